//! With Gaussian noise, intervals hold as often as they say; narrower ones do not.

use super::*;
use crate::post::{PostCall, PostFunction, PostWindow, PostWindowFunction};
use crate::tree::Frame;

/// A linear congruential generator (Knuth's constants) through Box and Muller's transform.
struct Normal(u64);

impl Normal {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn next(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

const TRUTH: [f64; 5] = [100.0, 104.0, 120.0, 160.0, 400.0];
const SIGMA: f64 = 5.0;

/// How often all intervals of a question hold, whose cells say that they are `part` of 95% intervals.
fn coverage(post: &Post, truth: &[f64], part: f64) -> f64 {
    let mut normal = Normal(7);
    let runs = 2000;
    let shapes = [stage(&[Kind::Text], 1)];
    let mut held = 0;
    for _ in 0..runs {
        let cell = |(i, truth): (usize, &f64)| {
            (vec![text(&i.to_string())], vec![shown(truth + SIGMA * normal.next(), 1.96 * SIGMA * part)])
        };
        let release = release(TRUTH.iter().enumerate().map(cell).collect());
        let rows = rows(post, &shapes, &[], &[release]);
        let holds = |(row, truth): (&Vec<Datum>, &f64)| match row.last() {
            Some(Datum::Noisy { low, high, .. }) => low <= truth && truth <= high,
            _ => false,
        };
        held += usize::from(rows.iter().zip(truth).all(holds));
    }
    held as f64 / runs as f64
}

#[test]
fn intervals_hold_as_often_as_they_say() {
    let window = |function, args, order: Vec<OrderKey>| Post::Window {
        input: Box::new(stage_zero()),
        calls: vec![PostWindow { function, args, partition: vec![], order, frame: Frame::Whole }],
    };
    let total = |function| Post::Group {
        input: Box::new(stage_zero()),
        keys: vec![],
        calls: vec![PostCall { function, argument: Some(n(1)), distinct: false }],
    };
    let sum = window(PostWindowFunction::Aggregate(PostFunction::Sum), vec![n(1)], vec![]);
    let share = columns_of(sum, vec![op(Binary::Divide, op(Binary::Multiply, n(1), float(1.0)), n(2))]);
    let share = Post::Limit { input: Box::new(share), skip: 4, fetch: None };
    let whole: f64 = TRUTH.iter().sum();
    let ranks = window(PostWindowFunction::Rank, vec![], vec![ascending(n(1))]);
    let over = case(op(Binary::Greater, n(1), int(102)), int(1), None);
    let counted = Post::Group {
        input: Box::new(stage_zero()),
        keys: vec![],
        calls: vec![PostCall { function: PostFunction::Count, argument: Some(over), distinct: false }],
    };
    for (name, post, truth, tight) in [
        ("sum", total(PostFunction::Sum), vec![whole], true),
        ("average", total(PostFunction::Avg), vec![whole / 5.0], true),
        ("greatest", total(PostFunction::Max), vec![400.0], false),
        ("share of the total", share, vec![400.0 / whole], false),
        // All five at once.
        ("ranks", ranks, vec![1.0, 2.0, 3.0, 4.0, 5.0], false),
        ("count over a bound", counted, vec![4.0], false),
    ] {
        let found = coverage(&post, &truth, 1.0);
        assert!(found >= 0.94, "{name}: {found}");
        assert!(!tight || found <= 0.96, "{name}: {found}");
        let narrow = coverage(&post, &truth, 0.2);
        assert!(narrow < 0.94, "{name}: {narrow}");
    }
}
