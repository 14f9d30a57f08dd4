//! Rows of one stage: WHERE, SELECT, ORDER BY, LIMIT, and conditions within intervals.

use super::*;
use crate::function::Function;

#[test]
fn a_stage_is_its_keys_the_number_of_its_set_and_its_cells() {
    let mut shape = stage(&[Kind::Text, Kind::Integer], 1);
    shape.grouping_ids = Some(vec![0, 1, 3]);
    let group = |grouping, keys, cell| ReleasedGroup { grouping, keys, cells: vec![cell] };
    let mut release = release(vec![]);
    release.groups = vec![
        group(0, vec![text("a"), Value::Int(1)], shown(5.0, 1.0)),
        group(1, vec![text("a"), Value::Null], shown(7.0, 1.0)),
        group(2, vec![Value::Null, Value::Null], SMALL),
    ];
    let found = run(&stage_zero(), &[(shape, release)]);
    assert_eq!(found, ["a | 1 | 0 | 5 [4, 6]", "a | NULL | 1 | 7 [6, 8]", "NULL | NULL | 3 | hidden"]);
}

#[test]
fn one_row_without_columns() {
    assert_eq!(run(&columns_of(Post::OneRow, vec![int(3)]), &[]), ["3"]);
}

#[test]
fn rows_are_kept_where_the_condition_is_true() {
    let large = op(Binary::Greater, n(1), int(60));
    assert_eq!(
        run(&keep(stage_zero(), large.clone()), &[grades()]),
        ["1 | 100 [90, 110]", "2 | 200 [190, 210]"]
    );
    // Of a hidden cell it is neither true nor false.
    let not = Expr::Unary(crate::tree::Unary::Not, Box::new(large));
    assert_eq!(run(&keep(stage_zero(), not), &[grades()]), ["K | 50 [40, 60]"]);
}

#[test]
fn hidden_cells_stand_last_and_are_not_null() {
    for by in [ascending(n(1)), descending(n(1))] {
        let order = Post::Order { input: Box::new(stage_zero()), by: vec![by] };
        assert_eq!(run(&order, &[grades()])[3], "3 | hidden");
    }
    let first = Post::Order { input: Box::new(stage_zero()), by: vec![descending(n(1))] };
    let first = Post::Limit { input: Box::new(first), skip: 1, fetch: Some(1) };
    assert_eq!(run(&first, &[grades()]), ["1 | 100 [90, 110]"]);
    let coalesced = Expr::Call(Function::Coalesce, vec![n(1), int(0)]);
    assert_eq!(run(&columns_of(stage_zero(), vec![coalesced]), &[grades()])[2], "hidden");
    let same = op(Binary::IsNotDistinct, n(1), int(7));
    assert_eq!(run(&columns_of(stage_zero(), vec![same]), &[grades()])[1..3], ["false", "NULL"]);
}

#[test]
fn a_case_spans_the_branches_that_noise_could_choose() {
    let indicator = case(op(Binary::Greater, n(1), int(95)), int(1), Some(int(0)));
    let found = run(&columns_of(stage_zero(), vec![indicator]), &[grades()]);
    assert_eq!(found, ["1 [0, 1]", "1 [1, 1]", "0 [0, 1]", "0 [0, 0]"]);
}

#[test]
fn intervals_of_several_numbers_are_made_wider() {
    let stages = [(
        stage(&[Kind::Text], 2),
        release(vec![(vec![text("a")], vec![shown(100.0, 10.0), shown(50.0, 10.0)])]),
    )];
    let difference = op(Binary::Subtract, n(1), n(2));
    // z of 1 - 0.025/2 is 2.2414: 2.2414 / 1.96 = 1.1436.
    let found = run(&columns_of(stage_zero(), vec![difference.clone()]), &stages);
    assert_eq!(found, ["50 [27.128, 72.872]"]);
    // Put together once, it is one number.
    let again = columns_of(
        columns_of(stage_zero(), vec![difference.clone()]),
        vec![op(Binary::Multiply, n(0), int(2))],
    );
    assert_eq!(run(&again, &stages), ["100 [54.256, 145.744]"]);
    // Laplace's tails are heavier: ln 40 / ln 20 = 1.2314.
    let pure = [(StageShape { guarantee: Guarantee::Pure, ..stages[0].0.clone() }, stages[0].1.clone())];
    assert_eq!(run(&columns_of(stage_zero(), vec![difference]), &pure), ["50 [25.372, 74.628]"]);
}

#[test]
fn powers_and_signs() {
    let power =
        |exponent| Expr::Call(Function::Power, vec![op(Binary::Subtract, n(1), int(55)), int(exponent)]);
    let sign = Expr::Call(Function::Sign, vec![op(Binary::Subtract, n(1), int(95))]);
    let found = run(&columns_of(stage_zero(), vec![power(2), power(-1), sign]), &[open()]);
    assert_eq!(found[0], "2025 [1225, 3025] | 0.022 [0.018, 0.029] | 1 [-1, 1]");
    assert_eq!(found[2], "25 [0, 225] | -0.2 [-inf, inf] | -1 [-1, -1]");
}

#[test]
fn columns_say_what_they_come_from() {
    let post = columns_of(stage_zero(), vec![key(0), n(1), op(Binary::Divide, n(1), n(1)), int(1)]);
    let found = columns(&post, &[grades().0], &[]);
    assert_eq!(found[0].name, "c0");
    let measures: Vec<usize> = found.iter().map(|column| column.measures.len()).collect();
    assert_eq!(measures, [0, 1, 1, 0]);
    assert_eq!(found[1].measures, [(0, 0)]);
    let kinds: Vec<Kind> = found.iter().map(|column| column.kind).collect();
    assert_eq!(kinds, [Kind::Text, Kind::Integer, Kind::Integer, Kind::Integer]);
}

#[test]
fn what_cannot_be_computed_on_noise_is_refused() {
    let shapes = [grades().0];
    let like = |text| Expr::Like { text: Box::new(text), pattern: "%".to_owned(), ignore_case: false };
    for (refused_form, passes) in [
        (op(Binary::Concat, n(1), key(0)), op(Binary::Concat, key(0), key(0))),
        (Expr::Cast(Box::new(n(1)), Kind::Text), Expr::Cast(Box::new(n(1)), Kind::Number)),
        (Expr::Call(Function::Length, vec![n(1)]), Expr::Call(Function::Length, vec![key(0)])),
        (like(n(1)), like(key(0))),
    ] {
        let refusal = refused(&columns_of(stage_zero(), vec![refused_form.clone()]), &shapes);
        assert!(refusal.is_some_and(|refusal| refusal.rewrite.is_some()), "{refused_form:?}");
        assert_eq!(refused(&columns_of(stage_zero(), vec![passes]), &shapes), None);
    }
    let time = Expr::Literal(Literal::DateTime(0));
    assert!(refused(&columns_of(stage_zero(), vec![time]), &shapes).is_some());
}
