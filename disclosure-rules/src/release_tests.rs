#![allow(clippy::unwrap_used, clippy::panic)]

use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::{make_gaussian, make_laplace};
use opendp::measures::{MaxDivergence, ZeroConcentratedDivergence};
use opendp::metrics::{L1Distance, L2Distance};

use super::*;
use crate::account::Cost;
use crate::exact::Exact;
use crate::loss::Units;
use crate::measure::{Aggregate, Ask};
use crate::rules::SmallCells;
use crate::testing::{PLAN, charge, covered, numbers, of_one, scores, text};

/// `n` pupils whose scores are `mean` on average.
fn totals(n: i64, mean: i64) -> Vec<Total> {
    numbers(&[n, n * (mean - 525)])
}

fn with_small_cells(rho: f64) -> Terms {
    Terms::new(Ask { small_cells: SmallCells { min_units: Units(10), assurance: 0.95 }, ..scores(rho) })
}

fn with_unknown_keys(rho: f64) -> Terms {
    let mut ask = scores(rho);
    ask.groupings[0].unknown_keys = true;
    Terms::new(ask)
}

fn released(groups: Vec<(&str, Vec<Total>)>, terms: &Terms, keys: &GroupKeys) -> Release {
    let groups = groups.into_iter().map(|(key, totals)| (text(key), totals)).collect();
    crate::testing::released(vec![groups], terms, keys)
}

#[test]
fn intervals_cover_the_truth_19_times_in_20() {
    for guarantee in [Guarantee::Concentrated, Guarantee::Pure] {
        let terms = Terms::new(Ask { guarantee, ..scores(0.02) });
        let truth = [1762.0, 490.0, 1762.0 * 490.0];
        let covered = covered(&totals(1762, 490), &terms, &truth, 400);
        // 400 draws at 95%: below 358 happens less than once in 10⁵ runs.
        assert!(covered.iter().all(|&n| n >= 358), "{guarantee:?} {covered:?}");
        for (cell, measure) in of_one(totals(1762, 490), &terms).iter().zip(&terms.measures) {
            let (_, low, high) = crate::testing::shown(cell);
            assert!(high - low <= 2.001 * terms.expected_half_width(measure, 1762.0), "{measure:?}");
        }
    }
}

#[test]
fn an_enormous_price_gives_the_exact_numbers() {
    for guarantee in [Guarantee::Concentrated, Guarantee::Pure] {
        let terms = Terms::new(Ask { guarantee, ..scores(1e12) });
        let keys = GroupKeys::Public(vec![text("a"), text("b")]);
        let release = released(vec![("a", totals(100, 600))], &terms, &keys);
        let shown = |v: f64| Cell::Shown { value: v, low: v, high: v };
        assert_eq!(release.groups[0].cells, [shown(100.0), shown(600.0), shown(60_000.0)]);
        assert_eq!(release.groups[1].cells, [Cell::Hidden { hidden: Hidden::SmallCell }; 3]);
    }
}

#[test]
fn every_public_key_appears_and_no_other() {
    let terms = with_small_cells(0.1);
    let keys = GroupKeys::Public(vec![text("c"), text("a"), text("b")]);
    let release = released(vec![("b", totals(500, 500)), ("z", totals(500, 500))], &terms, &keys);
    let found: Vec<_> = release.groups.iter().map(|group| group.keys.clone()).collect();
    assert_eq!(found, [text("a"), text("b"), text("c")]);
    assert!(matches!(release.groups[0].cells[0], Cell::Hidden { .. }));
    assert!(matches!(release.groups[1].cells[0], Cell::Shown { .. }));
}

#[test]
fn of_distinct_keys_only_those_with_enough_pupils_appear() {
    let terms = Terms::new(Ask { occupied_only: true, ..scores(1e9) });
    let keys = GroupKeys::Public(vec![text("a"), text("b")]);
    let release = released(vec![("b", totals(500, 500))], &terms, &keys);
    assert_eq!(release.groups.iter().map(|group| group.keys.clone()).collect::<Vec<_>>(), [text("b")]);
}

#[test]
fn small_cells_are_shown_with_probability_at_most_one_in_twenty() {
    for guarantee in [Guarantee::Concentrated, Guarantee::Pure] {
        let terms = Terms::new(Ask {
            guarantee,
            small_cells: SmallCells { min_units: Units(10), assurance: 0.95 },
            ..scores(0.05)
        });
        let shown = |n: i64| {
            let draw = |_| of_one(totals(n, 500), &terms)[0];
            (0..600).map(draw).filter(|cell| matches!(cell, Cell::Shown { .. })).count()
        };
        // 600 draws at 5%: more than 55 happens less than once in 10⁵ runs.
        assert!(shown(9) <= 55, "{}", shown(9));
        // control: the rule hides the small, not everything
        assert_eq!(shown(200), 600);
    }
}

#[test]
fn a_single_pupils_key_stays_unknown_and_a_common_key_does_not() {
    let terms = with_unknown_keys(0.1);
    let draw =
        || released(vec![("one", totals(1, 500)), ("many", totals(300, 500))], &terms, &GroupKeys::Unknown);
    for _ in 0..200 {
        let release = draw();
        assert_eq!(release.groups.iter().map(|g| g.keys.clone()).collect::<Vec<_>>(), [text("many")]);
    }
    // control: without the threshold the single pupil's key would be there
    let keys = GroupKeys::Public(vec![text("one"), text("many")]);
    assert_eq!(released(vec![("one", totals(1, 500))], &Terms::new(scores(0.1)), &keys).groups.len(), 2);
}

#[test]
fn the_total_of_unknown_keys_is_a_known_key() {
    let mut ask = scores(1e9);
    ask.groupings[0].unknown_keys = true;
    ask.groupings.push(Grouping { keys: vec![false], unknown_keys: false, ..ask.groupings[0].clone() });
    let terms = Terms::new(ask);
    let groups = vec![vec![(text("a"), totals(300, 500))], vec![(vec![Value::Null], totals(300, 500))]];
    let release = crate::testing::released(groups, &terms, &GroupKeys::Unknown);
    let found: Vec<_> = release.groups.iter().map(|group| (group.grouping, group.keys.clone())).collect();
    assert_eq!(found, [(0, text("a")), (1, vec![Value::Null])]);
}

#[test]
fn a_charge_pays_for_its_own_plan_price_and_guarantee_only() {
    let terms = with_small_cells(0.02);
    let keys = GroupKeys::Public(vec![text("a")]);
    let empty = || Exact::seal(PLAN, vec![vec![]]);
    let other = Exact::seal(PlanDigest([8; 32]), vec![vec![]]);
    let cheaper = Cost { rho: Rho::at_least(0.01).unwrap(), threshold_delta: 0.0 };
    let two_groupings = Exact::seal(PLAN, vec![vec![], vec![]]);
    let mismatch = Err(ReleaseError::Mismatch);
    assert_eq!(release(other, charge(terms.cost()), &terms, &keys), mismatch);
    assert_eq!(release(empty(), charge(cheaper), &terms, &keys), mismatch);
    assert_eq!(release(two_groupings, charge(terms.cost()), &terms, &keys), mismatch);
    let unknown = release(empty(), charge(terms.cost()), &terms, &GroupKeys::Unknown);
    assert_eq!(unknown, mismatch, "unknown keys need a threshold");
    assert!(release(empty(), charge(terms.cost()), &terms, &keys).is_ok(), "control");

    let half = Cost { rho: Rho::at_least(0.02).unwrap(), threshold_delta: 0.0 };
    let whole = || charge(Cost { rho: Rho::at_least(0.04).unwrap(), threshold_delta: 0.0 });
    let pure = Terms::new(Ask { guarantee: Guarantee::Pure, ..scores(0.02) });
    let part = whole().split(&[(PLAN, half), (PLAN, half)]).unwrap().remove(0);
    assert_eq!(release(empty(), part, &pure, &keys), mismatch, "two pure halves of a concentrated price");
}

#[test]
fn pure_releases_have_no_unknown_keys() {
    let mut ask = Ask { guarantee: Guarantee::Pure, ..scores(0.02) };
    ask.groupings[0].unknown_keys = true;
    let terms = Terms::new(ask);
    let exact = Exact::seal(PLAN, vec![vec![]]);
    assert_eq!(
        release(exact, charge(terms.cost()), &terms, &GroupKeys::Unknown),
        Err(ReleaseError::Mismatch)
    );
}

/// The loss that OpenDP itself computes for the mechanisms that are drawn from, against the price.
#[test]
fn scales_add_up_to_the_price() {
    for rho in [0.001, 0.02, 0.1, 3.0] {
        let terms = with_small_cells(rho);
        let mut sum = 0.0;
        for (component, &scale) in terms.components.iter().zip(&terms.scales[0]) {
            let space = VectorDomain::new(AtomDomain::<i64>::new_non_nan());
            let mechanism = make_gaussian::<_, _, ZeroConcentratedDivergence>(
                space,
                L2Distance::<f64>::default(),
                scale,
                None,
            );
            let change = (component.l2_squared(&terms.groupings[0].contribution) as f64).sqrt();
            sum += mechanism.unwrap().map(&change).unwrap();
        }
        assert!(sum <= rho && sum > rho * 0.999_999, "{sum} for {rho}");

        let terms = Terms::new(Ask { guarantee: Guarantee::Pure, ..scores(rho) });
        let mut sum = 0.0;
        for (component, &scale) in terms.components.iter().zip(&terms.scales[0]) {
            let space = VectorDomain::new(AtomDomain::<i64>::new_non_nan());
            let mechanism =
                make_laplace::<_, _, MaxDivergence>(space, L1Distance::<i64>::default(), scale, None);
            let change = component.l1(&terms.groupings[0].contribution);
            sum += mechanism.unwrap().map(&i64::try_from(change).unwrap()).unwrap();
        }
        let epsilon = (2.0 * rho).sqrt();
        assert!(sum <= epsilon && sum > epsilon * 0.999_999, "{sum} for {epsilon}");
    }
}

/// Neighbours in the exact totals: with less noise, the same attack wins more often than the price allows.
#[test]
fn a_release_does_not_tell_neighbours_apart_beyond_its_price() {
    let distinguish = |cut: f64| {
        let counted = crate::testing::component(crate::measure::Quantity::Pupils);
        let count = crate::testing::measure(Aggregate::Count(0));
        let mut terms = Terms::new(crate::testing::ask(0.25, vec![counted], vec![count]));
        terms.scales[0].iter_mut().for_each(|scale| *scale *= cut);
        let above = |n: i64| {
            let draw = |_: &i32| {
                let cell = of_one(numbers(&[n]), &terms)[0];
                matches!(cell, Cell::Shown { value, .. } if value >= 200.5)
            };
            (0..1500).filter(draw).count() as f64 / 1500.0
        };
        above(201) - above(200)
    };
    // ρ = 0.25 means μ = √0.5, so the advantage is at most 2Φ(μ/2) - 1 = 0.276.
    assert!(distinguish(1.0) < 0.276 + 0.07);
    assert!(distinguish(0.33) > 0.276 + 0.07, "control: the attack works when the noise is cut");
}
