//! Each node over stages made by hand: values, intervals, NULLs and hidden cells.
#![allow(clippy::unwrap_used, clippy::panic)]

use disclosure_rules::measure::Guarantee;
use disclosure_rules::release::{Cell, Hidden, ReleasedGroup};
use disclosure_rules::{PlanDigest, Release, Rho, Value};
use memoranda::Kind;

use super::*;
use crate::refusal::Refusal;
use crate::tree::{Binary, Expr, JoinKind, OrderKey};

mod coverage;
mod engine;
mod groups;
mod nodes;
mod scalars;
mod tables;
mod windows;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn shown(value: f64, width: f64) -> Cell {
    Cell::Shown { value, low: value - width, high: value + width }
}

const SMALL: Cell = Cell::Hidden { hidden: Hidden::SmallCell };

/// A stage of these keys, then whole measures.
fn stage(keys: &[Kind], measures: usize) -> StageShape {
    StageShape {
        keys: keys.to_vec(),
        grouping_ids: None,
        measures: vec![Kind::Integer; measures],
        groups: 1000,
        guarantee: Guarantee::Concentrated,
    }
}

fn release(groups: Vec<(Vec<Value>, Vec<Cell>)>) -> Release {
    let groups = groups.into_iter().map(|(keys, cells)| ReleasedGroup { grouping: 0, keys, cells });
    Release { plan: PlanDigest([0; 32]), rho: Rho::ZERO, groups: groups.collect(), bounds: vec![] }
}

/// One text key and one count: 100 ± 10, 200 ± 10, hidden, 50 ± 10.
fn grades() -> (StageShape, Release) {
    let groups = vec![
        (vec![text("1")], vec![shown(100.0, 10.0)]),
        (vec![text("2")], vec![shown(200.0, 10.0)]),
        (vec![text("3")], vec![SMALL]),
        (vec![text("K")], vec![shown(50.0, 10.0)]),
    ];
    (stage(&[Kind::Text], 1), release(groups))
}

/// The same without the hidden one.
fn open() -> (StageShape, Release) {
    let (shape, mut release) = grades();
    release.groups.remove(2);
    (shape, release)
}

fn key(index: usize) -> Expr {
    Expr::Column(index, Kind::Text)
}

fn n(index: usize) -> Expr {
    Expr::Column(index, Kind::Integer)
}

fn int(i: i64) -> Expr {
    Expr::Literal(Literal::Value(Value::Int(i)))
}

fn float(f: f64) -> Expr {
    Expr::Literal(Literal::Float(f))
}

fn op(op: Binary, a: Expr, b: Expr) -> Expr {
    Expr::Binary(op, Box::new(a), Box::new(b))
}

fn case(when: Expr, then: Expr, otherwise: Option<Expr>) -> Expr {
    Expr::Case(vec![(when, then)], otherwise.map(Box::new))
}

fn columns_of(input: Post, exprs: Vec<Expr>) -> Post {
    let columns = exprs.into_iter().enumerate().map(|(i, expr)| (format!("c{i}"), expr)).collect();
    Post::Columns { input: Box::new(input), columns }
}

fn keep(input: Post, condition: Expr) -> Post {
    Post::Keep { input: Box::new(input), condition }
}

fn ascending(by: Expr) -> OrderKey {
    OrderKey { by, descending: false, nulls_first: false }
}

fn descending(by: Expr) -> OrderKey {
    OrderKey { by, descending: true, nulls_first: true }
}

fn written(datum: &Datum) -> String {
    let number = |v: f64| format!("{}", (v * 1e3).round() / 1e3);
    match datum {
        Datum::Key(Value::Null) => "NULL".to_owned(),
        Datum::Key(value) => value.to_string(),
        Datum::Plain(value) => number(*value),
        Datum::Noisy { value, low, high } => {
            format!("{} [{}, {}]", number(*value), number(*low), number(*high))
        }
        Datum::Hidden(_) => "hidden".to_owned(),
    }
}

fn refused(post: &Post, stages: &[StageShape]) -> Option<Refusal> {
    check(post, stages, &[]).err()
}

/// The rows, once `check` has let the question pass.
fn run_with(post: &Post, stages: &[(StageShape, Release)], scalars: &[Post]) -> Vec<String> {
    let (shapes, releases): (Vec<_>, Vec<_>) = stages.iter().cloned().unzip();
    check(post, &shapes, scalars).unwrap();
    let rows = rows(post, &shapes, scalars, &releases);
    let columns = columns(post, &shapes, scalars);
    for row in &rows {
        assert_eq!(row.len(), columns.len());
        // Noise is where the columns say that it is.
        for (datum, column) in row.iter().zip(&columns) {
            let noisy = matches!(datum, Datum::Noisy { .. } | Datum::Hidden(_));
            assert!(!noisy || !column.measures.is_empty(), "{datum:?} in {column:?}");
        }
    }
    rows.iter().map(|row| row.iter().map(written).collect::<Vec<_>>().join(" | ")).collect()
}

fn run(post: &Post, stages: &[(StageShape, Release)]) -> Vec<String> {
    run_with(post, stages, &[])
}

fn stage_zero() -> Post {
    Post::Stage(0)
}

fn join_of(kind: JoinKind, left: Post, right: Post, on: Option<Expr>) -> Post {
    Post::Join { left: Box::new(left), right: Box::new(right), kind, on }
}
