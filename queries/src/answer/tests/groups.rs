//! Aggregates of released rows.

use super::*;
use crate::post::{PostCall, PostFunction};

fn call(function: PostFunction, argument: Option<Expr>) -> PostCall {
    PostCall { function, argument, distinct: false }
}

fn group(input: Post, keys: Vec<Expr>, calls: Vec<PostCall>) -> Post {
    Post::Group { input: Box::new(input), keys, calls }
}

fn all(argument: &Expr) -> Vec<PostCall> {
    use PostFunction::{Avg, Count, Max, Min, Sum};
    [Count, Sum, Avg, Min, Max].map(|function| call(function, Some(argument.clone()))).to_vec()
}

#[test]
fn independent_cells_add_up_in_their_squares() {
    // 10 · √3 = 17.3; of the average a third. The extremes hold for three cells together: 2.394 / 1.96 · 10 =
    // 12.2.
    let found = run(&group(stage_zero(), vec![], all(&n(1))), &[open()]);
    let expected = "3 [3, 3] | 350 [332.679, 367.321] | 116.667 [110.893, 122.44] | 50 [37.786, 62.214] | 200 [187.786, 212.214]";
    assert_eq!(found, [expected]);
}

#[test]
fn cells_that_share_noise_add_up_as_they_are() {
    // Of a ROLLUP, whose totals are adjusted together with their parts.
    let (mut shape, rows) = open();
    shape.grouping_ids = Some(vec![0, 1]);
    let sum = |index| vec![call(PostFunction::Sum, Some(n(index)))];
    assert_eq!(run(&group(stage_zero(), vec![], sum(2)), &[(shape, rows)]), ["350 [320, 380]"]);
    // The same cells twice.
    let twice = Post::Set {
        operation: crate::post::SetOperation::Union,
        all: true,
        left: Box::new(stage_zero()),
        right: Box::new(stage_zero()),
    };
    assert_eq!(run(&group(twice, vec![], sum(1)), &[open()]), ["700 [640, 760]"]);
    // A column that all rows share.
    let shared = columns_of(stage_zero(), vec![Expr::Noisy(0, Kind::Integer)]);
    let stages = [open(), (stage(&[], 1), release(vec![(vec![], vec![shown(5.0, 2.0)])]))];
    assert_eq!(run_with(&group(shared, vec![], sum(0)), &stages, &[Post::Stage(1)]), ["15 [9, 21]"]);
}

#[test]
fn lopsided_intervals_are_not_taken_for_noise_of_mean_zero() {
    let groups =
        (0..100).map(|i| (vec![Value::Int(i)], vec![Cell::Shown { value: 0.0, low: 0.0, high: 10.0 }]));
    let stages = [(stage(&[Kind::Integer], 1), release(groups.collect()))];
    let sum = group(stage_zero(), vec![], vec![call(PostFunction::Sum, Some(n(1)))]);
    let found = run(&sum, &stages);
    // A hundred counts that ended below zero may each be up to 10, and more where all are to hold at once.
    assert_eq!(found, ["0 [0, 1775.929]"]);
}

#[test]
fn what_a_hidden_cell_enters_is_hidden_but_rows_are_counted() {
    let mut calls = all(&n(1));
    calls.push(call(PostFunction::Count, None));
    let found = run(&group(stage_zero(), vec![], calls.clone()), &[grades()]);
    assert_eq!(found, ["3 [3, 4] | hidden | hidden | hidden | hidden | 4"]);
    let shown = keep(
        stage_zero(),
        Expr::Unary(
            crate::tree::Unary::Not,
            Box::new(Expr::Unary(crate::tree::Unary::IsNull, Box::new(n(1)))),
        ),
    );
    let found = run(&group(shown, vec![], calls), &[grades()]);
    assert!(found[0].contains("350 [332.679, 367.321]"), "{found:?}");
}

#[test]
fn nothing_is_counted_as_nothing() {
    let mut calls = all(&n(1));
    calls.extend(
        all(&key(0))
            .into_iter()
            .filter(|call| !matches!(call.function, PostFunction::Sum | PostFunction::Avg)),
    );
    let empty = (grades().0, release(vec![]));
    let found = run(&group(stage_zero(), vec![], calls.clone()), std::slice::from_ref(&empty));
    assert_eq!(found, ["0 | NULL | NULL | NULL | NULL | 0 | NULL | NULL"]);
    assert_eq!(run(&group(stage_zero(), vec![key(0)], calls), &[empty]), [""; 0]);
}

#[test]
fn keys_have_no_intervals() {
    let groups = [("a", 1), ("b", 2), ("a", 5), ("c", 2)]
        .map(|(k, i)| (vec![text(k), Value::Int(i)], vec![shown(10.0, 1.0)]));
    let mut groups = groups.to_vec();
    groups.push((vec![text("c"), Value::Null], vec![shown(10.0, 1.0)]));
    let stages = [(stage(&[Kind::Text, Kind::Integer], 1), release(groups))];
    let mut calls = all(&n(1));
    calls.push(PostCall { distinct: true, ..call(PostFunction::Count, Some(n(1))) });
    let found = run(&group(stage_zero(), vec![key(0)], calls), &stages);
    assert_eq!(
        found,
        ["a | 2 | 6 | 3 | 1 | 5 | 2", "b | 1 | 2 | 2 | 2 | 2 | 1", "c | 1 | 2 | 2 | 2 | 2 | 1"]
    );
}

#[test]
fn counts_of_what_noise_chose_say_what_else_it_could_be() {
    // 100 ± 12.2 is above 95 or not, 200 is, 50 is not.
    let over = op(Binary::Greater, n(1), int(95));
    let filtered = call(PostFunction::Count, Some(case(over.clone(), int(1), None)));
    assert_eq!(run(&group(stage_zero(), vec![], vec![filtered.clone()]), &[open()]), ["2 [1, 2]"]);
    let indicator = call(PostFunction::Sum, Some(case(over.clone(), int(1), Some(int(0)))));
    assert_eq!(run(&group(stage_zero(), vec![], vec![indicator]), &[open()]), ["2 [1, 2]"]);
    let count = || vec![call(PostFunction::Count, None)];
    let kept = keep(stage_zero(), over.clone());
    assert_eq!(run(&group(kept.clone(), vec![], count()), &[open()]), ["2 [1, 2]"]);
    // A hidden cell could be anything.
    assert_eq!(run(&group(stage_zero(), vec![], vec![filtered]), &[grades()]), ["2 [1, 3]"]);
    assert_eq!(run(&group(kept.clone(), vec![], count()), &[grades()]), ["2 [1, 3]"]);
    assert_eq!(run(&group(kept, vec![key(0)], count()), &[open()])[0], "1 | 1 [0, 2]");
    // Groups of noisy values.
    let found = run(
        &group(columns_of(stage_zero(), vec![over]), vec![Expr::Column(0, Kind::Boolean)], count()),
        &[open()],
    );
    assert_eq!(found, ["true | 2 [0, 3]", "false | 1 [0, 3]"]);
    // What keys choose is chosen for sure.
    let named = keep(stage_zero(), op(Binary::Less, key(0), Expr::Literal(Literal::Value(text("3")))));
    assert_eq!(run(&group(named, vec![], count()), &[grades()]), ["2"]);
}

#[test]
fn different_noisy_values_are_not_counted() {
    let shapes = [grades().0];
    let distinct = |function, argument| PostCall { distinct: true, ..call(function, Some(argument)) };
    let asked = |call| refused(&group(stage_zero(), vec![], vec![call]), &shapes);
    assert!(asked(distinct(PostFunction::Count, n(1))).is_some());
    assert!(asked(distinct(PostFunction::Count, key(0))).is_none());
    assert!(asked(distinct(PostFunction::Max, n(1))).is_none());
}

#[test]
fn groups_of_groups_stay_independent() {
    let groups = [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
        .map(|(k, i)| (vec![text(k), Value::Int(i)], vec![shown(100.0, 10.0)]));
    let stages = [(stage(&[Kind::Text, Kind::Integer], 1), release(groups.to_vec()))];
    let sum = |argument| vec![call(PostFunction::Sum, Some(argument))];
    let by_key = group(stage_zero(), vec![key(0)], sum(n(2)));
    assert_eq!(run(&by_key, &stages), ["a | 200 [185.858, 214.142]", "b | 200 [185.858, 214.142]"]);
    assert_eq!(run(&group(by_key, vec![], sum(n(1))), &stages), ["400 [380, 420]"]);
}
