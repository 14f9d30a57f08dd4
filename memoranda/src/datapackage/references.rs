//! Foreign keys and lineage: what only shows once all tables are known.

use super::table::{Draft, ForeignKeyDraft};
use crate::contract::{Column, ForeignKey, Lineage, Role, Table};
use crate::reader::{Reader, list};

/// Resolves every reference, and gives the finished tables. With `has_unread` some resource could not be read, and
/// a name which is not found may be that one.
pub(super) fn resolve(mut drafts: Vec<Draft>, has_unread: bool, reader: &mut Reader) -> Vec<Table> {
    let has_unread = has_unread || drafts.iter().any(|draft| draft.table.name.is_empty());
    for index in 0..drafts.len() {
        let keys = foreign_keys(&drafts, index, has_unread, reader);
        drafts[index].table.foreign_keys = keys;
    }
    drafts.iter().for_each(|draft| check_via(draft, &drafts, has_unread, reader));
    drafts.into_iter().map(|draft| draft.table).collect()
}

fn foreign_keys(drafts: &[Draft], index: usize, has_unread: bool, reader: &mut Reader) -> Vec<ForeignKey> {
    let from = &drafts[index];
    let mut keys: Vec<ForeignKey> = Vec::new();
    for draft in from.foreign_keys.iter().filter(|key| !key.resource.is_empty()) {
        let Some(to) = find(drafts, &draft.resource) else {
            if !has_unread {
                let message = format!("no table `{}` in this package", draft.resource);
                reader.mistake(&format!("{}/reference/resource", draft.at), message);
            }
            continue;
        };
        check_foreign_key(draft, from, to, reader);
        let key = ForeignKey {
            columns: draft.columns.clone(),
            table: draft.resource.clone(),
            references: draft.references.clone(),
        };
        if keys.contains(&key) {
            reader.mistake(&draft.at, "the same foreign key stands above");
        } else {
            keys.push(key);
        }
    }
    keys
}

fn check_foreign_key(key: &ForeignKeyDraft, from: &Draft, to: &Draft, reader: &mut Reader) {
    if from.is_public && !to.is_public {
        let message = format!("a public table cannot refer to `{}`, which is about pupils", key.resource);
        reader.mistake(&format!("{}/reference/resource", key.at), message);
    }
    let there = format!("{}/reference/fields", key.at);
    if to.has_bad_key {
        return;
    }
    if to.table.primary_key.is_empty() {
        return reader.mistake(&there, format!("`{}` has no primary key to refer to", key.resource));
    }
    if to.table.primary_key != key.references {
        let columns = list(&to.table.primary_key);
        let message = format!("must be the primary key of `{}`, in its order: {columns}", key.resource);
        return reader.mistake(&there, message);
    }
    if key.columns.len() != key.references.len() {
        return reader
            .mistake(&format!("{}/fields", key.at), "must be as many columns as `reference/fields`");
    }
    for (here, there) in key.columns.iter().zip(&key.references) {
        if let (Some(a), Some(b)) = (from.column(here), to.column(there)) {
            let typed = !from.untyped.contains(here) && !to.untyped.contains(there);
            check_pair(key, a, b, typed, reader);
        }
    }
}

fn check_pair(key: &ForeignKeyDraft, here: &Column, there: &Column, typed: bool, reader: &mut Reader) {
    let at = format!("{}/fields", key.at);
    let (a, b, table) = (&here.name, &there.name, &key.resource);
    if typed && here.kind != there.kind {
        reader.mistake(&at, format!("`{a}` and `{b}` of `{table}` have different types"));
    }
    match (here.role, there.role) {
        // The raw name of a pupil would lie in the store, and in answers.
        (Role::Attribute, Role::Unit) => {
            reader.mistake(
                &at,
                format!("`{a}` names a pupil of `{table}`: its role must be `unit` or `identifier`"),
            );
        }
        // The other table would hold names of pupils as an ordinary column.
        (Role::Unit, Role::Attribute | Role::Identifier) => {
            reader
                .mistake(&at, format!("`{a}` names a pupil, but `{b}` of `{table}` is not its unit column"));
        }
        _ => {}
    }
}

/// `{"via": table}`: one foreign key to that table, never missing, and an end where a table names the pupil.
fn check_via(draft: &Draft, drafts: &[Draft], has_unread: bool, reader: &mut Reader) {
    let (Lineage::Via(table), Some(at)) = (&draft.table.lineage, &draft.via_at) else { return };
    let Some(to) = find(drafts, table) else {
        if !has_unread {
            reader.mistake(at, format!("no table `{table}` in this package"));
        }
        return;
    };
    if to.is_public {
        return reader.mistake(at, format!("`{table}` is public: it leads to no pupil"));
    }
    let keys: Vec<&ForeignKey> = draft.table.foreign_keys.iter().filter(|key| key.table == *table).collect();
    match keys[..] {
        [] if draft.has_unread => {}
        [] => reader.mistake(at, format!("the table declares no foreign key to `{table}`")),
        [key] => {
            let optional = key.columns.iter().filter_map(|name| draft.column(name)).filter(|c| !c.required);
            let optional: Vec<&String> = optional.map(|column| &column.name).collect();
            if !optional.is_empty() {
                reader.mistake(at, format!("{} must be required: every row has a pupil", list(&optional)));
            }
        }
        _ => reader.mistake(at, format!("the table declares several foreign keys to `{table}`")),
    }
    if goes_round(draft, drafts) {
        reader.mistake(at, "leads round in a circle, never to a pupil");
    }
}

fn goes_round(draft: &Draft, drafts: &[Draft]) -> bool {
    let mut here = draft;
    for _ in 0..=drafts.len() {
        let Lineage::Via(next) = &here.table.lineage else { return false };
        let Some(next) = find(drafts, next) else { return false };
        here = next;
    }
    true
}

fn find<'a>(drafts: &'a [Draft], name: &str) -> Option<&'a Draft> {
    drafts.iter().find(|draft| draft.table.name == name && !name.is_empty())
}
