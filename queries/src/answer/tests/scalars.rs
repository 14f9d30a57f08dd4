//! Scalar subqueries: constants with intervals here, plain constants for the next stage.

use super::*;
use crate::tree::Literal;

fn total() -> (StageShape, Release) {
    (stage(&[], 1), release(vec![(vec![], vec![shown(350.0, 10.0)])]))
}

#[test]
fn a_scalar_keeps_its_interval() {
    let share = op(Binary::Divide, op(Binary::Multiply, n(1), float(1.0)), Expr::Noisy(0, Kind::Integer));
    let found =
        run_with(&columns_of(stage_zero(), vec![key(0), share]), &[open(), total()], &[Post::Stage(1)]);
    assert_eq!(found, ["1 | 0.286 [0.245, 0.329]", "2 | 0.571 [0.522, 0.625]", "K | 0.143 [0.107, 0.181]"]);
}

#[test]
fn a_scalar_may_read_those_before_it() {
    let double = columns_of(Post::OneRow, vec![op(Binary::Multiply, Expr::Noisy(0, Kind::Integer), int(2))]);
    let found = columns_of(Post::OneRow, vec![Expr::Noisy(1, Kind::Integer)]);
    assert_eq!(run_with(&found, &[total()], &[Post::Stage(0), double]), ["700 [680, 720]"]);
}

#[test]
fn a_scalar_of_keys_alone_is_the_engines_to_compute_with() {
    let number = columns_of(Post::OneRow, vec![int(2)]);
    let sum = op(Binary::Add, Expr::Noisy(0, Kind::Integer), int(1));
    assert_eq!(run_with(&columns_of(Post::OneRow, vec![sum]), &[], &[number]), ["3"]);
}

#[test]
fn a_hidden_scalar_stays_hidden_and_one_without_rows_is_null() {
    let hidden = (stage(&[], 1), release(vec![(vec![], vec![SMALL])]));
    let nothing = (stage(&[], 1), release(vec![]));
    let scalars = [Post::Stage(0), Post::Stage(1)];
    let both = |a: Expr| columns_of(Post::OneRow, vec![a.clone(), op(Binary::Greater, a, int(1))]);
    let stages = [hidden, nothing];
    assert_eq!(run_with(&both(Expr::Noisy(0, Kind::Integer)), &stages, &scalars), ["hidden | NULL"]);
    assert_eq!(run_with(&both(Expr::Noisy(1, Kind::Integer)), &stages, &scalars), ["NULL | NULL"]);
}

#[test]
fn bindings_are_typed_constants_of_the_stages_released_so_far() {
    let shapes = [total().0, stage(&[], 1), stage(&[], 1)];
    let releases = [total().1, release(vec![(vec![], vec![SMALL])])];
    let half = columns_of(Post::Stage(0), vec![op(Binary::Divide, n(0), float(4.0))]);
    let scalars = [Post::Stage(0), half, Post::Stage(1), Post::Stage(2)];
    let null = Literal::Value(Value::Null);
    assert_eq!(
        bindings(&shapes, &scalars, &releases),
        [Literal::Value(Value::Int(350)), Literal::Float(87.5), null.clone(), null]
    );
}
