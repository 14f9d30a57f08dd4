//! Without noise, nodes give what DataFusion gives on the same table.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::common::ScalarValue;
use datafusion::prelude::SessionContext;

use super::*;
use crate::post::{PostCall, PostFunction, PostWindow, PostWindowFunction, SetOperation};
use crate::tree::Frame;

/// Keys `k` and `g`, a measure `v`; with ties and missing values.
fn table(seed: i64) -> Vec<(Option<&'static str>, Option<i64>, i64)> {
    let letters = [Some("a"), Some("b"), None, Some("c")];
    let row = |i: i64| {
        let mixed = (i * 7919 + seed * 104_729) % 1009;
        let number = if mixed % 5 == 0 { None } else { Some(mixed % 3) };
        (letters[(mixed % 4) as usize], number, mixed % 11 - 5)
    };
    (0..23).map(row).collect()
}

fn stages() -> Vec<(StageShape, Release)> {
    let of = |seed| {
        let group = |(k, g, v): (Option<&str>, Option<i64>, i64)| {
            let keys = vec![k.map_or(Value::Null, text), g.map_or(Value::Null, Value::Int)];
            (keys, vec![shown(v as f64, 0.0)])
        };
        (stage(&[Kind::Text, Kind::Integer], 1), release(table(seed).into_iter().map(group).collect()))
    };
    vec![of(1), of(2)]
}

fn plain(sql: &str) -> Vec<String> {
    let context = SessionContext::new();
    for (name, seed) in [("s", 1), ("t", 2)] {
        let rows = table(seed);
        let batch = RecordBatch::try_from_iter_with_nullable([
            (
                "k",
                Arc::new(StringArray::from(rows.iter().map(|row| row.0).collect::<Vec<_>>())) as ArrayRef,
                true,
            ),
            ("g", Arc::new(Int64Array::from(rows.iter().map(|row| row.1).collect::<Vec<_>>())), true),
            ("v", Arc::new(Int64Array::from(rows.iter().map(|row| row.2).collect::<Vec<_>>())), true),
        ]);
        context.register_batch(name, batch.unwrap()).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let work = async { context.sql(sql).await?.collect().await };
    let batches = runtime.block_on(work).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let cell = |column: &ArrayRef| match ScalarValue::try_from_array(column, row).unwrap() {
                scalar if scalar.is_null() => "NULL".to_owned(),
                ScalarValue::Float64(Some(f)) => written(&Datum::Plain(f)),
                scalar => scalar.to_string(),
            };
            rows.push(batch.columns().iter().map(cell).collect::<Vec<_>>().join(" | "));
        }
    }
    rows.sort();
    rows
}

/// Values alone: without noise an interval is a point.
fn same(sql: &str, post: &Post) {
    let without = |row: &String| {
        let cell = |cell: &str| {
            let Some((value, interval)) = cell.split_once(" [") else { return cell.to_owned() };
            assert_eq!(interval, format!("{value}, {value}]"), "{sql}");
            value.to_owned()
        };
        row.split(" | ").map(cell).collect::<Vec<_>>().join(" | ")
    };
    let mut found: Vec<String> = run(post, &stages()).iter().map(without).collect();
    found.sort();
    assert_eq!(found, plain(sql), "{sql}");
}

const K: fn() -> Expr = || key(0);
const G: fn() -> Expr = || n(1);
const V: fn() -> Expr = || n(2);

#[test]
fn windows() {
    use PostWindowFunction::{
        Aggregate, CumeDist, DenseRank, FirstValue, Lag, LastValue, Lead, Ntile, PercentRank, Rank, RowNumber,
    };
    let whole = Frame::RangeToCurrent;
    let ordered = || vec![descending(V()), ascending(K()), ascending(G())];
    let numbers = |function| Aggregate(function);
    for (function, args, order, frame, call, over) in [
        (Rank, vec![], vec![descending(V())], whole, "rank()", "ORDER BY v DESC"),
        (DenseRank, vec![], vec![descending(V())], whole, "dense_rank()", "ORDER BY v DESC"),
        (PercentRank, vec![], vec![ascending(V())], whole, "percent_rank()", "ORDER BY v"),
        (CumeDist, vec![], vec![ascending(G())], whole, "cume_dist()", "ORDER BY g"),
        (RowNumber, vec![], ordered(), whole, "row_number()", "ORDER BY v DESC, k, g"),
        (Ntile, vec![int(4)], ordered(), whole, "ntile(4)", "ORDER BY v DESC, k, g"),
        (Lag, vec![V(), int(2)], ordered(), whole, "lag(v, 2)", "ORDER BY v DESC, k, g"),
        (Lead, vec![V(), int(1), int(9)], ordered(), whole, "lead(v, 1, 9)", "ORDER BY v DESC, k, g"),
        (FirstValue, vec![V()], ordered(), whole, "first_value(v)", "ORDER BY v DESC, k, g"),
        (LastValue, vec![V()], ordered(), whole, "last_value(v)", "ORDER BY v DESC, k, g"),
        (numbers(PostFunction::Sum), vec![V()], vec![ascending(G())], whole, "sum(v)", "ORDER BY g"),
        (numbers(PostFunction::Avg), vec![V()], vec![], Frame::Whole, "avg(v)", ""),
        (numbers(PostFunction::Count), vec![G()], vec![ascending(K())], whole, "count(g)", "ORDER BY k"),
        (
            numbers(PostFunction::Min),
            vec![V()],
            vec![ascending(K()), ascending(V())],
            Frame::Rows(Some(2), Some(1)),
            "min(v)",
            "ORDER BY k, v ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING",
        ),
        (
            numbers(PostFunction::Max),
            vec![G()],
            vec![ascending(V()), ascending(K()), ascending(G())],
            Frame::Rows(Some(-1), None),
            "max(g)",
            "ORDER BY v, k, g ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING",
        ),
    ] {
        for (partition, by) in [(vec![], ""), (vec![K()], "PARTITION BY k ")] {
            let over = format!("{by}{over}").replace(" DESC", " DESC NULLS FIRST");
            let call = format!("SELECT k, g, v, {call} OVER ({over}) FROM s");
            let window = PostWindow { function, args: args.clone(), partition, order: order.clone(), frame };
            same(&call, &Post::Window { input: Box::new(stage_zero()), calls: vec![window] });
        }
    }
}

#[test]
fn groups() {
    let call = |function, argument| PostCall { function, argument, distinct: false };
    let calls = vec![
        call(PostFunction::Count, None),
        call(PostFunction::Count, Some(G())),
        call(PostFunction::Sum, Some(V())),
        call(PostFunction::Avg, Some(V())),
        call(PostFunction::Min, Some(V())),
        call(PostFunction::Max, Some(K())),
        call(PostFunction::Sum, Some(G())),
        call(PostFunction::Avg, Some(G())),
        PostCall { distinct: true, ..call(PostFunction::Count, Some(G())) },
        call(PostFunction::Count, Some(case(op(Binary::Greater, V(), int(0)), int(1), None))),
    ];
    let list = "COUNT(*), COUNT(g), SUM(v), AVG(v), MIN(v), MAX(k), SUM(g), AVG(g), COUNT(DISTINCT g), \
                COUNT(*) FILTER (WHERE v > 0)";
    let group = |keys, input| Post::Group { input: Box::new(input), keys, calls: calls.clone() };
    same(&format!("SELECT {list} FROM s"), &group(vec![], stage_zero()));
    same(&format!("SELECT k, {list} FROM s GROUP BY k"), &group(vec![K()], stage_zero()));
    let none = keep(stage_zero(), op(Binary::Equal, G(), int(77)));
    same(&format!("SELECT {list} FROM s WHERE g = 77"), &group(vec![], none));
}

#[test]
fn sets() {
    let keys = |stage| columns_of(Post::Stage(stage), vec![K(), G()]);
    for (word, operation, all) in [
        ("UNION ALL", SetOperation::Union, true),
        ("UNION", SetOperation::Union, false),
        ("INTERSECT", SetOperation::Intersect, false),
        ("EXCEPT", SetOperation::Except, false),
    ] {
        let post = Post::Set { operation, all, left: Box::new(keys(0)), right: Box::new(keys(1)) };
        same(&format!("SELECT k, g FROM s {word} SELECT k, g FROM t"), &post);
    }
    same("SELECT DISTINCT k, g FROM s", &Post::Distinct(Box::new(keys(0))));
}

#[test]
fn joins() {
    let on = || op(Binary::And, op(Binary::Equal, K(), key(3)), op(Binary::Less, V(), n(5)));
    for (word, kind) in [
        ("JOIN", JoinKind::Inner),
        ("LEFT JOIN", JoinKind::Left),
        ("RIGHT JOIN", JoinKind::Right),
        ("FULL JOIN", JoinKind::Full),
        ("LEFT SEMI JOIN", JoinKind::Semi),
        ("LEFT ANTI JOIN", JoinKind::Anti),
    ] {
        let sql = format!("SELECT * FROM s {word} t ON s.k = t.k AND s.v < t.v");
        same(&sql, &join_of(kind, stage_zero(), Post::Stage(1), Some(on())));
        let sql = format!("SELECT * FROM s {word} t ON s.v < t.v AND s.g = t.g + 1");
        let sum = op(Binary::Equal, G(), op(Binary::Add, n(4), int(1)));
        let rest = op(Binary::And, op(Binary::Less, V(), n(5)), sum);
        same(&sql, &join_of(kind, stage_zero(), Post::Stage(1), Some(rest)));
    }
    same("SELECT * FROM s CROSS JOIN t", &join_of(JoinKind::Inner, stage_zero(), Post::Stage(1), None));
}
