//! What a new version of a contract may change. Questions that were answered, files that were accepted and
//! protection that was promised stay so within a major version.

use std::cmp::Ordering;

use crate::contract::{Column, Contract, Kind, Lineage, Role, Table, Tier};
use crate::reader::list;

/// Why a new version is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionRefusal {
    /// Not a later version.
    #[error("version `{new}` is not later than `{old}`, which is published")]
    NotLater {
        /// The version that is published.
        old: semver::Version,
        /// The version that was offered.
        new: semver::Version,
    },
    /// The same major version, but incompatible.
    #[error("version `{new}` is incompatible with `{old}` and needs a new major version: {}", .reasons.join("; "))]
    Incompatible {
        /// The version that is published.
        old: semver::Version,
        /// The version that was offered.
        new: semver::Version,
        /// What is incompatible, one sentence each.
        reasons: Vec<String>,
    },
}

/// Whether `new` may follow `old`: a later version, and where it is incompatible a later major version.
pub fn check_version(old: &Contract, new: &Contract) -> Result<(), VersionRefusal> {
    let versions = || (old.version.clone(), new.version.clone());
    if new.version.cmp_precedence(&old.version) != Ordering::Greater {
        let (old, new) = versions();
        return Err(VersionRefusal::NotLater { old, new });
    }
    let reasons = incompatibilities(old, new);
    if new.version.major > old.version.major || reasons.is_empty() {
        return Ok(());
    }
    let (old, new) = versions();
    Err(VersionRefusal::Incompatible { old, new, reasons })
}

/// What in `new` breaks what `old` promised, one sentence each. New tables, new optional columns, new codes,
/// wider ranges and better titles break nothing.
pub fn incompatibilities(old: &Contract, new: &Contract) -> Vec<String> {
    let mut broken = Vec::new();
    if old.name != new.name {
        broken.push(format!("the name changes from `{}` to `{}`", old.name, new.name));
    }
    if old.pool_rho.is_some_and(|pool| new.pool_rho.is_none_or(|now| now > pool)) {
        broken.push("the pool is raised, which weakens protection".to_owned());
    }
    for table in &old.tables {
        match new.table(&table.name) {
            Some(now) => compare_tables(table, now, &mut broken),
            None => broken.push(format!("table `{}` is removed", table.name)),
        }
    }
    broken
}

fn compare_tables(old: &Table, new: &Table, broken: &mut Vec<String>) {
    let name = &old.name;
    if old.lineage != new.lineage {
        let (was, is) = (lineage(&old.lineage), lineage(&new.lineage));
        broken.push(format!("table `{name}` changes from {was} to {is}"));
    }
    if old.primary_key != new.primary_key {
        let (was, is) = (key(&old.primary_key), key(&new.primary_key));
        broken.push(format!("the primary key of `{name}` changes from {was} to {is}"));
    }
    match (old.max_rows_per_unit, new.max_rows_per_unit) {
        (Some(was), Some(is)) if is < was => {
            broken.push(format!("`{name}` allows fewer rows per pupil: {} instead of {}", is.0, was.0));
        }
        (None, Some(is)) => broken.push(format!("`{name}` newly allows at most {} rows per pupil", is.0)),
        (Some(_), None) => broken.push(format!("`{name}` no longer bounds the rows per pupil")),
        _ => {}
    }
    if old.retention_years.is_some_and(|was| new.retention_years.is_none_or(|is| is > was)) {
        broken.push(format!("`{name}` is kept for longer, which weakens protection"));
    }
    for foreign in old.foreign_keys.iter().filter(|key| !new.foreign_keys.contains(key)) {
        let columns = list(&foreign.columns);
        broken.push(format!(
            "the foreign key {columns} of `{name}` to `{}` is removed or changed",
            foreign.table
        ));
    }
    for foreign in new.foreign_keys.iter().filter(|key| !old.foreign_keys.contains(key)) {
        if foreign.columns.iter().all(|column| old.column(column).is_some()) {
            let columns = list(&foreign.columns);
            broken.push(format!("{columns} of `{name}` must newly refer to `{}`", foreign.table));
        }
    }
    for column in &old.columns {
        match new.column(&column.name) {
            Some(now) => compare_columns(&format!("`{}` of `{name}`", column.name), column, now, broken),
            None => broken.push(format!("column `{}` of `{name}` is removed", column.name)),
        }
    }
    for column in new.columns.iter().filter(|column| column.required && old.column(&column.name).is_none()) {
        broken.push(format!("column `{}` of `{name}` is new and required", column.name));
    }
}

fn compare_columns(what: &str, old: &Column, new: &Column, broken: &mut Vec<String>) {
    if old.kind != new.kind {
        let (was, is) = (kind(old.kind), kind(new.kind));
        // Ranges and codes of different types have nothing to compare.
        broken.push(format!("{what} changes from {was} to {is}"));
        return;
    }
    let mut when = |is_so: bool, sentence: &str| {
        if is_so {
            broken.push(format!("{what} {sentence}"));
        }
    };
    if old.role != new.role {
        let sentence = format!("changes its role from {} to {}", role(old.role), role(new.role));
        when(true, &sentence);
    }
    when(!old.required && new.required, "becomes required");
    when(!old.unique && new.unique, "becomes unique");
    when(raised(old.minimum, new.minimum) || lowered(old.maximum, new.maximum), "has a narrower range");
    let had_range = old.minimum.is_some() && old.maximum.is_some();
    when(had_range && (new.minimum.is_none() || new.maximum.is_none()), "no longer has a range");
    when(
        raised(old.min_length, new.min_length) || lowered(old.max_length, new.max_length),
        "has narrower lengths",
    );
    when(new.pattern.is_some() && old.pattern != new.pattern, "has a different pattern");
    match (&old.codes, &new.codes) {
        (Some(was), Some(is)) => {
            let gone: Vec<String> =
                was.iter().filter(|code| !is.contains(code)).map(ToString::to_string).collect();
            when(!gone.is_empty(), &format!("loses the codes {}", list(&gone)));
        }
        (None, Some(_)) => when(true, "newly takes only listed codes"),
        _ => {}
    }
    when(is_public(old) && !is_public(new), "no longer has public values to group by");
    if old.step != new.step {
        when(true, &format!("changes its step from {} to {}", step(old.step), step(new.step)));
    }
    if new.tier < old.tier {
        let sentence =
            format!("falls from {} to {}, which weakens protection", tier(old.tier), tier(new.tier));
        when(true, &sentence);
    }
    let gone: Vec<&String> = old.tags.iter().filter(|tag| !new.tags.contains(tag)).collect();
    when(!gone.is_empty(), &format!("loses the tags {}, which weakens protection", list(&gone)));
}

/// A least value appears or rises.
fn raised<T: PartialOrd>(old: Option<T>, new: Option<T>) -> bool {
    new.is_some_and(|new| old.is_none_or(|old| new > old))
}

/// A greatest value appears or falls.
fn lowered<T: PartialOrd>(old: Option<T>, new: Option<T>) -> bool {
    new.is_some_and(|new| old.is_none_or(|old| new < old))
}

fn is_public(column: &Column) -> bool {
    column.public_values().is_some()
}

fn key(columns: &[String]) -> String {
    if columns.is_empty() { "none".to_owned() } else { list(columns) }
}

fn step(step: Option<f64>) -> String {
    step.map_or("none".to_owned(), |step| step.to_string())
}

fn lineage(lineage: &Lineage) -> String {
    match lineage {
        Lineage::Public => "public".to_owned(),
        Lineage::Column(column) => format!("the pupil's column `{column}`"),
        Lineage::Via(table) => format!("the pupil of `{table}`"),
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "boolean",
        Kind::Integer => "integer",
        Kind::Number => "number",
        Kind::Text => "text",
        Kind::Date => "date",
        Kind::DateTime => "datetime",
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Unit => "unit",
        Role::Identifier => "identifier",
        Role::Attribute => "attribute",
    }
}

fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Standard => "standard",
        Tier::Sensitive => "sensitive",
        Tier::Restricted => "restricted",
    }
}
