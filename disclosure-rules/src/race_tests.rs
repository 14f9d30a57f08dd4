#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::measure::{Aggregate, Ask, Automatic, GroupKeys, Lattice, Quantity};
use crate::sensitivity::Contribution;
use crate::testing::{ask, component, grouping, measure, released, shown, text};
use crate::value::Value;

/// Sums of shares, cut at each threshold.
fn cut(shares: &[i64], thresholds: &[u64]) -> Vec<i64> {
    thresholds
        .iter()
        .map(|threshold| shares.iter().map(|share| (*share).min(*threshold as i64)).sum())
        .collect()
}

/// Shares with a heavy tail: most are a few, one in a thousand is hundreds.
fn skewed(pupils: i64) -> Vec<i64> {
    (1..=pupils).map(|i| 1 + (pupils as f64 / i as f64).powf(0.7) as i64).collect()
}

#[test]
fn thresholds_are_powers_of_two_up_to_the_largest() {
    assert_eq!(Automatic { largest: 1 }.thresholds(), [1]);
    assert_eq!(Automatic { largest: 5 }.thresholds(), [1, 2, 4, 8]);
    assert_eq!(Automatic { largest: 8 }.thresholds(), [1, 2, 4, 8]);
    assert_eq!(Automatic { largest: 1_000_000 }.thresholds().len(), 21);
}

/// Median relative error of the penalised and of the plain winner.
fn errors(guarantee: Guarantee, loss: f64, shares: &[i64]) -> (f64, f64) {
    let thresholds = Automatic { largest: 1_000_000 }.thresholds();
    let truth = shares.iter().sum::<i64>() as f64;
    let (cut, count) = (cut(shares, &thresholds), thresholds.len());
    let mut found: Vec<(f64, f64)> = (0..41)
        .map(|_| {
            let finish = race(&cut, &thresholds, guarantee, loss).unwrap();
            let penalty =
                noise(guarantee, finish.threshold, count, loss).upper_quantile(MISLED / count as f64);
            let error = |value: i64| (value as f64 - truth).abs() / truth;
            (error(finish.value - penalty), error(finish.value))
        })
        .collect();
    let median = |of: fn(&(f64, f64)) -> f64, found: &mut Vec<(f64, f64)>| {
        found.sort_by(|a, b| of(a).total_cmp(&of(b)));
        of(&found[20])
    };
    (median(|e| e.0, &mut found), median(|e| e.1, &mut found))
}

#[test]
fn the_plain_winner_is_closer_than_the_penalised_one() {
    let bounded: Vec<i64> = (0..20_000).map(|i| i % 8).collect();
    for (guarantee, loss) in [(Guarantee::Pure, 0.8), (Guarantee::Concentrated, 0.1)] {
        let (penalised, plain) = errors(guarantee, loss, &skewed(20_000));
        assert!(plain < penalised, "{plain} {penalised}");
        let (penalised, plain) = errors(guarantee, loss, &bounded);
        assert!(plain < penalised / 2.0, "{plain} {penalised}");
    }
}

#[test]
fn intervals_cover_the_cut_sum_and_an_enormous_price_finds_the_sum() {
    let thresholds = Automatic { largest: 1_000 }.thresholds();
    let shares = skewed(2_000);
    let cut = cut(&shares, &thresholds);
    for (guarantee, loss) in [(Guarantee::Pure, 1.0), (Guarantee::Concentrated, 0.2)] {
        let covers = |_: &i32| {
            let finish = race(&cut, &thresholds, guarantee, loss).unwrap();
            (finish.value - cut[finish.place]).abs() <= finish.half_width
        };
        assert!((0..200).filter(covers).count() >= 180);
    }
    let finish = race(&cut, &thresholds, Guarantee::Concentrated, 1e12).unwrap();
    assert_eq!((finish.value, finish.half_width), (shares.iter().sum(), 0));
}

#[test]
fn the_noise_of_all_thresholds_costs_the_price() {
    let thresholds = Automatic { largest: 1_000_000 }.thresholds();
    let cost = |guarantee, loss: f64| {
        let of = |threshold: &u64| {
            let noise = noise(guarantee, *threshold, thresholds.len(), loss);
            let ratio = *threshold as f64 / noise.scale;
            match guarantee {
                Guarantee::Concentrated => ratio * ratio / 2.0,
                Guarantee::Pure => ratio,
            }
        };
        thresholds.iter().map(of).sum::<f64>()
    };
    for (guarantee, loss) in [(Guarantee::Concentrated, 0.1), (Guarantee::Pure, 0.8)] {
        let cost = cost(guarantee, loss);
        assert!(cost <= loss && cost > loss * 0.999_999, "{cost}");
    }
}

/// One share is 700 of 1,000: the race must give it up, or the noise that hides it would drown the rest.
fn without_a_bound(rho: f64, keyed: bool) -> Ask {
    let lattice = Lattice::for_sum(0.0, 100.0, 1.0);
    let components = [Quantity::Pupils, Quantity::Rows, Quantity::Sum(lattice)].map(component).to_vec();
    let aggregates = [Aggregate::Count(0), Aggregate::Count(1), Aggregate::Sum { sum: 2, count: None }];
    let mut ask = ask(rho, components, aggregates.map(measure).to_vec());
    ask.groupings = vec![grouping(&[keyed], Contribution::new(1_000, 1_000, if keyed { 1_000 } else { 1 }))];
    ask.automatic = Some(Automatic { largest: 1_000 });
    ask
}

fn truncated(shares: [&[i64]; 3]) -> Vec<Total> {
    let thresholds = Automatic { largest: 1_000 }.thresholds();
    shares.map(|shares| Total::Truncated(cut(shares, &thresholds))).to_vec()
}

#[test]
fn without_keys_every_component_has_its_own_race() {
    let rows: Vec<i64> = (0..3_000).map(|i| 1 + i % 4).collect();
    let sums: Vec<i64> = rows.iter().map(|rows| rows * 50).collect();
    let totals = truncated([&vec![1; 3_000], &rows, &sums]);
    let key = vec![Value::Null];
    let keys = GroupKeys::Public(vec![key.clone()]);
    let groups = || vec![vec![(key.clone(), totals.clone())]];

    let exact = released(groups(), &Terms::new(without_a_bound(1e12, false)), &keys);
    let values: Vec<f64> = exact.groups[0].cells.iter().map(|cell| shown(cell).0).collect();
    assert_eq!(values, [3_000.0, 7_500.0, 375_000.0]);
    assert_eq!(exact.bounds, [None, Some(4), Some(256)]);
    let terms = Terms::new(without_a_bound(0.5, false));
    let scale = |bounds: [Option<u64>; 3]| terms.noise_of(&bounds, 0, 1).scale;
    assert!((scale([None, Some(4), None]) * 256.0 / scale([None; 3]) - 1.0).abs() < 1e-9);

    let noisy = released(groups(), &Terms::new(without_a_bound(0.5, false)), &keys);
    let (value, low, high) = shown(&noisy.groups[0].cells[1]);
    assert!((value - 7_500.0).abs() < 1_500.0 && high - low < 3_000.0, "{low} {value} {high}");
}

#[test]
fn with_keys_one_race_bounds_the_rows_of_all_groups() {
    let rows: Vec<i64> = (0..3_000).map(|i| 1 + i % 4).collect();
    let sums: Vec<i64> = rows.iter().map(|rows| rows * 50).collect();
    let totals = truncated([&vec![1; 3_000], &rows, &sums]);
    // The totals of a keyed question are cut by rows: at 4 rows nothing is lost.
    let by_rows = |i: usize| match &totals[1] {
        Total::Truncated(cut) if i == 2 => Total::Truncated(cut.iter().map(|rows| rows * 50).collect()),
        _ => totals[i].clone(),
    };
    let groups = vec![vec![(text("a"), (0..3).map(by_rows).collect())]];
    let keys = GroupKeys::Public(vec![text("a"), text("b")]);

    let exact = released(groups.clone(), &Terms::new(without_a_bound(1e12, true)), &keys);
    let values: Vec<f64> = exact.groups[0].cells.iter().map(|cell| shown(cell).0).collect();
    assert_eq!(values, [3_000.0, 7_500.0, 375_000.0]);
    assert_eq!(exact.bounds, [Some(4); 3]);
    let terms = Terms::new(without_a_bound(0.5, true));
    let scale = |bound| terms.noise_of(&[bound; 3], 0, 1).scale;
    assert!((scale(Some(4)) * 250.0 / scale(None) - 1.0).abs() < 1e-9, "a bound of 4 instead of 1,000 rows");

    // A bound of 1,000 rows at the same price would need noise of 1,000/√0.8 and more. One race in a hundred or so is won
    // by another bound.
    let won = (0..20).filter(|_| {
        let noisy = released(groups.clone(), &Terms::new(without_a_bound(0.5, true)), &keys);
        let (value, low, high) = shown(&noisy.groups[0].cells[1]);
        (value - 7_500.0).abs() < 500.0 && high - low < 200.0
    });
    let won = won.count();
    assert!(won >= 16, "{won} of 20");
}

#[test]
fn totals_of_the_wrong_shape_are_refused() {
    let terms = Terms::new(without_a_bound(0.5, false));
    assert!(race(&[1, 2], &[1], Guarantee::Pure, 1.0).is_err());
    let exact = crate::exact::Exact::seal(
        crate::testing::PLAN,
        vec![vec![(vec![Value::Null], vec![Total::Number(1), Total::Number(2), Total::Number(3)])]],
    );
    let charge = crate::testing::charge(terms.cost());
    let keys = GroupKeys::Public(vec![vec![Value::Null]]);
    let refused = crate::release::release(exact, charge, &terms, &keys);
    assert_eq!(refused, Err(ReleaseError::Mismatch));
}
