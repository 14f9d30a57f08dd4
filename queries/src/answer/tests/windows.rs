//! Windows over released rows.

use super::*;
use crate::post::{PostFunction, PostWindow, PostWindowFunction};
use crate::tree::Frame;

use PostWindowFunction::{
    Aggregate, CumeDist, DenseRank, FirstValue, Lag, LastValue, Lead, Ntile, PercentRank, Rank, RowNumber,
};

fn over(function: PostWindowFunction, args: Vec<Expr>, order: Vec<OrderKey>) -> PostWindow {
    let frame = if order.is_empty() { Frame::Whole } else { Frame::RangeToCurrent };
    PostWindow { function, args, partition: vec![], order, frame }
}

fn window(input: Post, calls: Vec<PostWindow>) -> Post {
    Post::Window { input: Box::new(input), calls }
}

/// The key, then the windows.
fn found(calls: Vec<PostWindow>, stages: &[(StageShape, Release)]) -> Vec<String> {
    let width = stages[0].0.keys.len() + stages[0].0.measures.len();
    let added = calls.iter().enumerate().map(|(i, call)| Expr::Column(width + i, call.kind()));
    let kept = std::iter::once(key(0)).chain(added).collect();
    run(&columns_of(window(stage_zero(), calls), kept), stages)
}

#[test]
fn ranks_by_noise_come_with_the_ranks_that_are_possible() {
    let by = || vec![descending(n(1))];
    // Three cells hold together at ± 12.2, and are far apart.
    assert_eq!(
        found(vec![over(Rank, vec![], by())], &[open()]),
        ["1 | 2 [2, 2]", "2 | 1 [1, 1]", "K | 3 [3, 3]"]
    );
    let close = [100.0, 110.0, 125.0, 200.0].iter().enumerate();
    let close = close.map(|(i, v)| (vec![text(&i.to_string())], vec![shown(*v, 10.0)])).collect();
    let stages = [(stage(&[Kind::Text], 1), release(close))];
    // Four hold together at ± 12.7: 100 and 110 meet, 110 and 125 do, 100 and 125 just do.
    let calls = [RowNumber, Rank, DenseRank, CumeDist, PercentRank];
    let calls = calls.map(|function| over(function, vec![], by())).to_vec();
    assert_eq!(
        found(calls, &stages),
        [
            "0 | 4 [2, 4] | 4 [2, 4] | 4 [2, 4] | 1 [0.5, 1] | 1 [0.333, 1]",
            "1 | 3 [2, 4] | 3 [2, 4] | 3 [2, 4] | 0.75 [0.5, 1] | 0.667 [0.333, 1]",
            "2 | 2 [2, 4] | 2 [2, 4] | 2 [2, 4] | 0.5 [0.5, 1] | 0.333 [0.333, 1]",
            "3 | 1 [1, 1] | 1 [1, 1] | 1 [1, 1] | 0.25 [0.25, 0.25] | 0 [0, 0]",
        ]
    );
}

#[test]
fn ranks_are_of_what_is_shown() {
    let calls =
        [over(Rank, vec![], vec![descending(n(1))]), over(Ntile, vec![int(3)], vec![ascending(n(1))])];
    assert_eq!(
        found(calls.to_vec(), &[grades()]),
        [
            "1 | 2 [2, 2] | 2 [2, 2]",
            "2 | 1 [1, 1] | 3 [3, 3]",
            "3 | hidden | hidden",
            "K | 3 [3, 3] | 1 [1, 1]"
        ]
    );
}

#[test]
fn ranks_by_keys_are_sure() {
    let groups = ["a", "b", "b", "c"].iter().map(|k| (vec![text(k)], vec![shown(1.0, 1.0)])).collect();
    let stages = [(stage(&[Kind::Text], 1), release(groups))];
    let calls = [RowNumber, Rank, DenseRank, PercentRank, CumeDist];
    let mut calls = calls.map(|function| over(function, vec![], vec![ascending(key(0))])).to_vec();
    calls.push(over(Ntile, vec![int(3)], vec![ascending(key(0))]));
    assert_eq!(
        found(calls, &stages),
        [
            "a | 1 | 1 | 1 | 0 | 0.25 | 1",
            "b | 2 | 2 | 2 | 0.333 | 0.75 | 1",
            "b | 3 | 2 | 2 | 0.333 | 0.75 | 2",
            "c | 4 | 4 | 3 | 1 | 1 | 3"
        ]
    );
}

#[test]
fn keys_before_noise_decide_first_and_partitions_part() {
    let groups = [("a", 1.0), ("a", 2.0), ("b", 3.0), ("b", 4.0)];
    let groups = groups.map(|(k, v)| (vec![text(k)], vec![shown(v, 10.0)])).to_vec();
    let stages = [(stage(&[Kind::Text], 1), release(groups))];
    let by_key = over(Rank, vec![], vec![descending(key(0)), ascending(n(1))]);
    let parted = PostWindow { partition: vec![key(0)], ..over(Rank, vec![], vec![ascending(n(1))]) };
    assert_eq!(
        found(vec![by_key, parted], &stages),
        [
            "a | 3 [3, 4] | 1 [1, 2]",
            "a | 4 [3, 4] | 2 [1, 2]",
            "b | 1 [1, 2] | 1 [1, 2]",
            "b | 2 [1, 2] | 2 [1, 2]"
        ]
    );
}

#[test]
fn exact_ties_within_a_noisy_order_are_ties() {
    let indicator = case(op(Binary::Greater, n(1), int(20)), int(1), Some(int(0)));
    let rank = over(Rank, vec![], vec![ascending(indicator)]);
    assert_eq!(found(vec![rank], &[open()]), ["1 | 1 [1, 1]", "2 | 1 [1, 1]", "K | 1 [1, 1]"]);
}

#[test]
fn shares_of_a_total_have_finite_intervals() {
    let total = over(Aggregate(PostFunction::Sum), vec![n(1)], vec![]);
    let share = op(Binary::Divide, op(Binary::Multiply, n(1), float(1.0)), n(2));
    let post = columns_of(window(stage_zero(), vec![total]), vec![key(0), share]);
    // Of 350 ± 17.3; both numbers are taken 1.14 times as wide.
    assert_eq!(
        run(&post, &[open()]),
        ["1 | 0.286 [0.239, 0.337]", "2 | 0.571 [0.51, 0.64]", "K | 0.143 [0.104, 0.186]"]
    );
    assert!(run(&post, &[grades()]).iter().all(|row| row.ends_with("hidden")));
    let measures = columns(&post, &[open().0], &[])[1].measures.clone();
    assert_eq!(measures, [(0, 0)]);
}

#[test]
fn aggregates_see_their_frames() {
    let framed = |function, frame| PostWindow {
        frame,
        ..over(Aggregate(function), vec![n(1)], vec![ascending(key(0))])
    };
    let calls = vec![
        framed(PostFunction::Sum, Frame::RangeToCurrent),
        framed(PostFunction::Sum, Frame::Rows(Some(1), Some(0))),
        framed(PostFunction::Sum, Frame::Rows(Some(0), None)),
        framed(PostFunction::Avg, Frame::Whole),
        framed(PostFunction::Count, Frame::Rows(Some(-1), Some(1))),
        framed(PostFunction::Max, Frame::Rows(None, Some(-1))),
    ];
    assert_eq!(
        found(calls, &[open()]),
        [
            "1 | 100 [90, 110] | 100 [90, 110] | 350 [332.679, 367.321] | 116.667 [110.893, 122.44] | 1 [1, 1] | NULL",
            "2 | 300 [285.858, 314.142] | 300 [285.858, 314.142] | 250 [235.858, 264.142] | 116.667 [110.893, 122.44] | 1 [1, 1] | 100 [87.786, 112.214]",
            "K | 350 [332.679, 367.321] | 250 [235.858, 264.142] | 50 [40, 60] | 116.667 [110.893, 122.44] | 0 | 200 [187.786, 212.214]",
        ]
    );
    // A hidden cell hides the frames that it is in, and no other.
    let running = framed(PostFunction::Sum, Frame::RangeToCurrent);
    assert_eq!(found(vec![running], &[grades()])[1..3], ["2 | 300 [285.858, 314.142]", "3 | hidden"]);
}

#[test]
fn counts_of_rows_that_noise_ordered_or_chose_are_not_sure() {
    let count = |order| over(Aggregate(PostFunction::Count), vec![int(1)], order);
    let calls = vec![count(vec![]), count(vec![ascending(key(0))]), count(vec![ascending(n(1))])];
    assert_eq!(found(calls, &[open()])[1], "2 | 3 | 2 | 3 [0, 3]");
    let large = keep(stage_zero(), op(Binary::Greater, n(1), int(95)));
    let counted = columns_of(window(large, vec![count(vec![])]), vec![n(2)]);
    assert_eq!(run(&counted, &[open()])[0], "2 [0, 2]");
}

#[test]
fn neighbours_stand_in_the_order_that_was_released() {
    let by = || vec![descending(n(1))];
    let calls = vec![
        over(Lag, vec![n(1)], by()),
        over(Lead, vec![key(0), int(2)], by()),
        over(Lag, vec![n(1), int(1), int(0)], by()),
        over(FirstValue, vec![n(1)], by()),
        over(LastValue, vec![key(0)], by()),
        PostWindow { frame: Frame::Whole, ..over(LastValue, vec![n(1)], by()) },
    ];
    assert_eq!(
        found(calls, &[grades()]),
        [
            "1 | 200 [190, 210] | 3 | 200 [190, 210] | 200 [190, 210] | 1 | hidden",
            "2 | NULL | K | 0 | 200 [190, 210] | 2 | hidden",
            "3 | 50 [40, 60] | NULL | 50 [40, 60] | 200 [190, 210] | 3 | hidden",
            "K | 100 [90, 110] | NULL | 100 [90, 110] | 200 [190, 210] | K | hidden",
        ]
    );
    let gap = window(stage_zero(), vec![over(Lag, vec![n(1)], by())]);
    let gap = columns_of(gap, vec![op(Binary::Subtract, n(2), n(1))]);
    assert_eq!(run(&gap, &[open()])[0], "100 [77.128, 122.872]");
}

#[test]
fn windows_whose_numbers_are_no_constants_are_refused() {
    let shapes = [grades().0];
    let by = || vec![ascending(n(1))];
    let asked = |call| refused(&window(stage_zero(), vec![call]), &shapes);
    for (refused_form, passes) in [
        (over(Ntile, vec![int(0)], by()), over(Ntile, vec![int(1)], by())),
        (over(Ntile, vec![n(1)], by()), over(Ntile, vec![int(9)], by())),
        (over(Lag, vec![n(1), n(1)], by()), over(Lag, vec![n(1), int(2)], by())),
        (
            PostWindow {
                frame: Frame::Rows(Some(5000), Some(0)),
                ..over(Aggregate(PostFunction::Sum), vec![n(1)], by())
            },
            PostWindow {
                frame: Frame::Rows(None, Some(0)),
                ..over(Aggregate(PostFunction::Sum), vec![n(1)], by())
            },
        ),
    ] {
        assert!(asked(refused_form).is_some());
        assert_eq!(asked(passes), None);
    }
}

#[test]
fn many_rows_take_no_time() {
    let many = (0..50_000).map(|i| (vec![text(&i.to_string())], vec![shown(f64::from(i % 977), 3.0)]));
    let stages = [(StageShape { groups: 100_000, ..stage(&[Kind::Text], 1) }, release(many.collect()))];
    let calls = vec![
        over(Rank, vec![], vec![descending(n(1))]),
        over(DenseRank, vec![], vec![descending(n(1))]),
        over(Aggregate(PostFunction::Sum), vec![n(1)], vec![ascending(n(1)), ascending(key(0))]),
        over(Aggregate(PostFunction::Max), vec![n(1)], vec![]),
    ];
    assert_eq!(found(calls, &stages).len(), 50_000);
}
