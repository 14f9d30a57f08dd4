//! Two tables: set operations and joins.

use super::*;
use crate::post::SetOperation;

fn letters(letters: &[&str]) -> (StageShape, Release) {
    let groups = letters.iter().map(|&k| {
        let key = if k.is_empty() { Value::Null } else { text(k) };
        (vec![key], vec![shown(10.0 * k.len() as f64, 1.0)])
    });
    (stage(&[Kind::Text], 1), release(groups.collect()))
}

fn keys(stage: usize) -> Post {
    columns_of(Post::Stage(stage), vec![key(0)])
}

fn set(operation: SetOperation, all: bool, left: Post, right: Post) -> Post {
    Post::Set { operation, all, left: Box::new(left), right: Box::new(right) }
}

#[test]
fn sets_count_rows_and_take_nulls_for_equal() {
    let stages = [letters(&["a", "b", "b", "", "b"]), letters(&["b", "c", "", "b"])];
    let of = |operation, all| run(&set(operation, all, keys(0), keys(1)), &stages).join(" ");
    assert_eq!(of(SetOperation::Union, true), "a b b NULL b b c NULL b");
    assert_eq!(of(SetOperation::Union, false), "a b NULL c");
    assert_eq!(of(SetOperation::Intersect, true), "b b NULL");
    assert_eq!(of(SetOperation::Intersect, false), "b NULL");
    assert_eq!(of(SetOperation::Except, true), "a b");
    assert_eq!(of(SetOperation::Except, false), "a");
    assert_eq!(run(&Post::Distinct(Box::new(keys(0))), &stages), ["a", "b", "NULL"]);
}

#[test]
fn whole_rows_of_noise_are_united_but_not_compared() {
    let stages = [letters(&["a"]), letters(&["a", "bb"])];
    let shapes = [stages[0].0.clone(), stages[1].0.clone()];
    let of = |operation, all| set(operation, all, stage_zero(), Post::Stage(1));
    assert_eq!(
        run(&of(SetOperation::Union, true), &stages),
        ["a | 10 [9, 11]", "a | 10 [9, 11]", "bb | 20 [19, 21]"]
    );
    assert_eq!(run(&of(SetOperation::Union, false), &stages), ["a | 10 [9, 11]", "bb | 20 [19, 21]"]);
    for operation in [SetOperation::Intersect, SetOperation::Except] {
        assert!(refused(&of(operation, false), &shapes).is_some());
    }
    let measures = columns(&of(SetOperation::Union, true), &shapes, &[])[1].measures.clone();
    assert_eq!(measures, [(0, 0), (1, 0)]);
}

#[test]
fn numbers_are_equal_across_types() {
    let left = columns_of(Post::OneRow, vec![int(2)]);
    let right = columns_of(Post::OneRow, vec![float(2.0)]);
    assert_eq!(run(&set(SetOperation::Union, false, left.clone(), right.clone()), &[]), ["2"]);
    assert_eq!(run(&set(SetOperation::Intersect, false, left, right), &[]), ["2"]);
}

#[test]
fn joins_of_all_kinds() {
    let stages = [letters(&["a", "bb", "", "ccc"]), letters(&["bb", "ccc", "", "dd"])];
    let on = || Some(op(Binary::Equal, key(0), key(2)));
    let of = |kind, on| {
        let joined = join_of(kind, stage_zero(), Post::Stage(1), on);
        let width = if matches!(kind, JoinKind::Semi | JoinKind::Anti) { 1 } else { 3 };
        let kept = if width == 1 { vec![key(0)] } else { vec![key(0), key(2)] };
        run(&columns_of(joined, kept), &stages).join(", ")
    };
    // NULL is not equal to NULL.
    assert_eq!(of(JoinKind::Inner, on()), "bb | bb, ccc | ccc");
    assert_eq!(of(JoinKind::Left, on()), "a | NULL, bb | bb, NULL | NULL, ccc | ccc");
    assert_eq!(of(JoinKind::Right, on()), "bb | bb, ccc | ccc, NULL | NULL, NULL | dd");
    assert_eq!(of(JoinKind::Full, on()), "a | NULL, bb | bb, NULL | NULL, ccc | ccc, NULL | NULL, NULL | dd");
    assert_eq!(of(JoinKind::Semi, on()), "bb, ccc");
    assert_eq!(of(JoinKind::Anti, on()), "a, NULL");
    let alike = || Some(op(Binary::IsNotDistinct, key(2), key(0)));
    assert_eq!(of(JoinKind::Inner, alike()), "bb | bb, NULL | NULL, ccc | ccc");
    let more =
        || Some(op(Binary::And, op(Binary::Equal, key(0), key(2)), op(Binary::Greater, n(1), int(25))));
    assert_eq!(of(JoinKind::Inner, more()), "ccc | ccc");
    assert_eq!(of(JoinKind::Left, more()), "a | NULL, bb | NULL, NULL | NULL, ccc | ccc");
    assert_eq!(
        of(JoinKind::Inner, Some(op(Binary::Less, key(0), key(2)))),
        "a | bb, a | ccc, a | dd, bb | ccc, bb | dd, ccc | dd"
    );
    assert_eq!(of(JoinKind::Inner, None).split(", ").count(), 16);
}

#[test]
fn two_cells_in_a_row_are_two_noisy_numbers() {
    let stages = [letters(&["aa", "bb"])];
    let both = join_of(JoinKind::Inner, stage_zero(), stage_zero(), Some(op(Binary::Equal, key(0), key(2))));
    let difference = columns_of(both, vec![op(Binary::Subtract, n(1), n(3))]);
    assert_eq!(run(&difference, &stages)[0], "0 [-2.287, 2.287]");
}

#[test]
fn a_join_that_could_make_too_many_rows_is_refused() {
    let large = StageShape { groups: 100_000, ..stage(&[Kind::Text, Kind::Text], 1) };
    let small = StageShape { groups: 100_000, ..stage(&[Kind::Text], 1) };
    let shapes = [large, small];
    let asked = |left: usize, right: usize, on| {
        refused(&join_of(JoinKind::Inner, Post::Stage(left), Post::Stage(right), on), &shapes).is_some()
    };
    // The second table's only key is fixed; one of the first's two is not enough.
    assert!(!asked(0, 1, Some(op(Binary::Equal, key(1), key(3)))));
    assert!(asked(0, 0, Some(op(Binary::Equal, key(1), key(3)))));
    let both = op(Binary::And, op(Binary::Equal, key(0), key(3)), op(Binary::Equal, key(1), key(4)));
    assert!(!asked(0, 0, Some(both)));
    assert!(asked(0, 1, None));
    let few = [StageShape { groups: 4, ..shapes[0].clone() }, shapes[1].clone()];
    assert_eq!(refused(&join_of(JoinKind::Inner, Post::Stage(0), Post::Stage(1), None), &few), None);
}
