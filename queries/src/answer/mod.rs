//! [`Answer`]: post-processing of releases, as the SQL says: SELECT expressions, HAVING, joins, set
//! operations, windows, aggregates of aggregates, ORDER BY, LIMIT. Sees noisy values and public keys only, so
//! that nothing here costs privacy.
//!
//! Every number that noise enters carries a 95% interval. Which rows there are, and how they are ordered, is
//! taken as released: of what noise chose, counts and ranks alone say how else it could be. What a hidden
//! cell enters is hidden too (sum over the shown ones: `HAVING COUNT(*) IS NOT NULL`), and hidden cells sort
//! last: ranks are of what is shown.
//!
//! In reading order: `shape` (columns, and what noise they carry) · `check` (what is refused) · `number`
//! (arithmetic of intervals) · `sheet` (expressions over rows) · `table` (the nodes) · `total` (aggregates) ·
//! `window` and `rank` · `join`.

use disclosure_rules::release::{Cell, Hidden};
use disclosure_rules::{Release, Value};
use memoranda::Kind;

use crate::post::Post;
use crate::tree::Literal;

mod check;
mod join;
mod number;
mod rank;
mod shape;
mod sheet;
mod table;
mod total;
mod window;

pub(crate) use check::{MOST_PAIRS, WIDEST_FRAME, check};
use shape::Given;
pub(crate) use shape::StageShape;

/// The table that a researcher gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, one cell per column.
    pub rows: Vec<Vec<Datum>>,
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Name or alias.
    pub name: String,
    /// Type.
    pub kind: Kind,
    /// The measures it is computed from, as (stage, measure); empty for a key.
    pub measures: Vec<(usize, usize)>,
}

/// One cell of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    /// A key, or something computed from keys.
    Key(Value),
    /// A number without noise, computed from keys.
    Plain(f64),
    /// A noisy number with its 95% interval; infinite ends where noise could make a divisor zero.
    Noisy {
        /// The value.
        value: f64,
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// A measure that is not shown.
    Hidden(Hidden),
}

pub(crate) const NULL: Datum = Datum::Key(Value::Null);

/// The columns of the answer, known before anything is asked. `scalars`: the scalar subqueries by number,
/// each of which reads only those before it.
pub(crate) fn columns(post: &Post, stages: &[StageShape], scalars: &[Post]) -> Vec<Column> {
    let named = Given::new(stages, scalars).shape(post).columns.into_iter();
    named
        .map(|column| Column {
            name: column.name,
            kind: column.kind,
            measures: column.measures.into_iter().collect(),
        })
        .collect()
}

/// Post-processing of the releases of all stages, in their order.
pub(crate) fn rows(
    post: &Post,
    stages: &[StageShape],
    scalars: &[Post],
    releases: &[Release],
) -> Vec<Vec<Datum>> {
    let given = Given::new(stages, scalars);
    let scalars = values(&given, scalars, releases);
    table::evaluate(post, &table::Input { given: &given, scalars: &scalars, releases }).rows
}

/// The scalar subqueries as constants for a stage that comes next. One that reads a stage without a release
/// yet is NULL, as is one that is hidden.
pub(crate) fn bindings(stages: &[StageShape], scalars: &[Post], releases: &[Release]) -> Vec<Literal> {
    let given = Given::new(stages, scalars);
    let kinds = given.scalars.iter().map(|column| column.kind);
    values(&given, scalars, releases)
        .into_iter()
        .zip(kinds)
        .map(|(datum, kind)| literal(datum, kind))
        .collect()
}

/// The values of the scalar subqueries, each of which may read those before it.
fn values(given: &Given<'_>, scalars: &[Post], releases: &[Release]) -> Vec<Datum> {
    let mut found: Vec<Datum> = Vec::new();
    for post in scalars {
        let table = table::evaluate(post, &table::Input { given, scalars: &found, releases });
        let first = table.rows.into_iter().next().and_then(|row| row.into_iter().next());
        found.push(first.unwrap_or(NULL));
    }
    found
}

fn literal(datum: Datum, kind: Kind) -> Literal {
    let number = |value: f64| match kind {
        Kind::Integer => Literal::Value(Value::Int(value as i64)),
        _ if value.is_finite() => Literal::Float(value),
        _ => Literal::Value(Value::Null),
    };
    match datum {
        Datum::Key(Value::Int(i)) if kind == Kind::Number => number(i as f64),
        Datum::Key(value) => Literal::Value(value),
        Datum::Plain(value) | Datum::Noisy { value, .. } => number(value),
        Datum::Hidden(_) => Literal::Value(Value::Null),
    }
}

/// The groups of a release as rows: keys, number of the grouping set where there are several, cells.
fn stage_rows(stage: &StageShape, release: &Release) -> Vec<Vec<Datum>> {
    let cell = |cell: &Cell| match *cell {
        Cell::Shown { value, low, high } => Datum::Noisy { value, low, high },
        Cell::Hidden { hidden } => Datum::Hidden(hidden),
    };
    let groups = release.groups.iter();
    groups
        .map(|group| {
            let set = stage
                .grouping_ids
                .as_ref()
                .and_then(|ids| ids.get(group.grouping))
                .map(|id| Datum::Key(Value::Int(*id)));
            let keys = group.keys.iter().cloned().map(Datum::Key);
            keys.chain(set).chain(group.cells.iter().take(stage.measures.len()).map(cell)).collect()
        })
        .collect()
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
