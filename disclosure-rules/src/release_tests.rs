#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::account::{Account, Cost};
use crate::loss::{Delta, Units};
use crate::measure::{Component, KeyThreshold, Lattice, Quantity};
use crate::rules::SmallCells;
use crate::sensitivity::Contribution;

const PLAN: PlanDigest = PlanDigest([7; 32]);

fn text(key: &str) -> Vec<Value> {
    vec![Value::Text(key.to_owned())]
}

/// Pupils, values and a sum of scores between 250 and 800: COUNT, SUM and AVG of one question.
fn terms(rho: f64, min_units: u64, threshold: bool) -> Terms {
    let component = |quantity| Component { quantity, argument: None };
    let pupils = component(Quantity::Pupils);
    let sum = component(Quantity::Sum(Lattice::for_mean(250.0, 800.0, 1.0)));
    let measure = |aggregate| Measure { aggregate, pupils: 0, integer: false };
    Terms::new(
        PLAN,
        Contribution::new(1, 1, 1),
        vec![pupils, sum],
        vec![
            measure(Aggregate::Count(0)),
            measure(Aggregate::Mean { sum: 1, count: 0 }),
            measure(Aggregate::Sum { sum: 1, count: Some(0) }),
        ],
        threshold.then(|| KeyThreshold { pupils: 0, delta: Delta::new(1e-6).unwrap() }),
        SmallCells { min_units: Units(min_units), assurance: 0.95 },
        Rho::at_least(rho).unwrap(),
    )
}

fn charge(cost: Cost) -> Charge {
    let open = Account::new(None, None);
    Charge::debit(PLAN, cost, &open, &open).unwrap().2
}

/// `n` pupils whose scores are `mean` on average.
fn totals(n: i64, mean: i64) -> Vec<i64> {
    vec![n, n * (mean - 525)]
}

fn released(groups: Vec<(&str, Vec<i64>)>, terms: &Terms, keys: &GroupKeys) -> Release {
    let exact = Exact::seal(PLAN, groups.into_iter().map(|(key, totals)| (text(key), totals)).collect());
    release(exact, charge(terms.cost()), terms, keys).unwrap()
}

#[test]
fn intervals_cover_the_truth_19_times_in_20() {
    let terms = terms(0.02, 10, false);
    let keys = GroupKeys::Public(vec![text("a")]);
    let truth = [1762.0, 490.0, 1762.0 * 490.0];
    let mut covered = [0; 3];
    let mut wide = 0;
    for _ in 0..400 {
        let release = released(vec![("a", totals(1762, 490))], &terms, &keys);
        for (i, cell) in release.groups[0].cells.iter().enumerate() {
            let Cell::Shown { value, low, high } = *cell else { panic!("hidden") };
            assert!(low <= value && value <= high);
            covered[i] += usize::from(low <= truth[i] && truth[i] <= high);
            wide +=
                usize::from(high - low > 4.0 * 2.0 * terms.expected_half_width(&terms.measures[i], 1762.0));
        }
    }
    // 400 draws at 95%: below 358 happens less than once in 10⁵ runs.
    assert!(covered.iter().all(|&n| n >= 358), "{covered:?}");
    assert_eq!(wide, 0);
}

#[test]
fn an_enormous_price_gives_the_exact_numbers() {
    let terms = terms(1e12, 1, false);
    let release =
        released(vec![("a", totals(100, 600))], &terms, &GroupKeys::Public(vec![text("a"), text("b")]));
    let shown = |v: f64| Cell::Shown { value: v, low: v, high: v };
    assert_eq!(release.groups[0].cells, [shown(100.0), shown(600.0), shown(60_000.0)]);
    assert_eq!(release.groups[1].cells, [Cell::Hidden { hidden: Hidden::SmallCell }; 3]);
}

#[test]
fn every_public_key_appears_and_no_other() {
    let terms = terms(0.1, 10, false);
    let keys = GroupKeys::Public(vec![text("c"), text("a"), text("b")]);
    let release = released(vec![("b", totals(500, 500)), ("z", totals(500, 500))], &terms, &keys);
    let found: Vec<_> = release.groups.iter().map(|group| group.keys.clone()).collect();
    assert_eq!(found, [text("a"), text("b"), text("c")]);
    assert!(matches!(release.groups[0].cells[0], Cell::Hidden { .. }));
    assert!(matches!(release.groups[1].cells[0], Cell::Shown { .. }));
}

#[test]
fn small_cells_are_shown_with_probability_at_most_one_in_twenty() {
    let terms = terms(0.05, 10, false);
    let keys = GroupKeys::Public(vec![text("a")]);
    let shown = |n: i64| {
        let draw = |_| released(vec![("a", totals(n, 500))], &terms, &keys).groups[0].cells[0];
        (0..600).map(draw).filter(|cell| matches!(cell, Cell::Shown { .. })).count()
    };
    // 600 draws at 5%: more than 55 happens less than once in 10⁵ runs.
    assert!(shown(9) <= 55, "{}", shown(9));
    // control: the rule hides the small, not everything
    assert_eq!(shown(200), 600);
}

#[test]
fn a_single_pupils_key_stays_unknown_and_a_common_key_does_not() {
    let terms = terms(0.1, 1, true);
    let draw =
        || released(vec![("one", totals(1, 500)), ("many", totals(300, 500))], &terms, &GroupKeys::Unknown);
    for _ in 0..200 {
        let release = draw();
        assert_eq!(release.groups.iter().map(|g| g.keys.clone()).collect::<Vec<_>>(), [text("many")]);
    }
    // control: without the threshold the single pupil's key would be there
    let open = self::terms(0.1, 1, false);
    let keys = GroupKeys::Public(vec![text("one"), text("many")]);
    assert_eq!(released(vec![("one", totals(1, 500))], &open, &keys).groups.len(), 2);
}

#[test]
fn a_charge_pays_for_its_own_plan_and_price_only() {
    let terms = terms(0.02, 10, false);
    let keys = GroupKeys::Public(vec![text("a")]);
    let other = Exact::seal(PlanDigest([8; 32]), vec![]);
    assert_eq!(release(other, charge(terms.cost()), &terms, &keys), Err(ReleaseError::Mismatch));
    let cheaper = Cost { rho: Rho::at_least(0.01).unwrap(), threshold_delta: 0.0 };
    assert_eq!(
        release(Exact::seal(PLAN, vec![]), charge(cheaper), &terms, &keys),
        Err(ReleaseError::Mismatch)
    );
    assert_eq!(
        release(Exact::seal(PLAN, vec![]), charge(terms.cost()), &terms, &GroupKeys::Unknown),
        Err(ReleaseError::Mismatch),
        "unknown keys need a threshold"
    );
}

/// The loss that OpenDP itself computes for the mechanisms that are drawn from, against the price.
#[test]
fn scales_add_up_to_the_price() {
    for rho in [0.001, 0.02, 0.1, 3.0] {
        let terms = terms(rho, 10, false);
        let mut sum = 0.0;
        for (component, &scale) in terms.components.iter().zip(&terms.scales) {
            let space = VectorDomain::new(AtomDomain::<i64>::new_non_nan());
            let mechanism = make_gaussian(space, L2Distance::<f64>::default(), scale, None).unwrap();
            sum += mechanism.map(&(component.l2_squared(&terms.contribution) as f64).sqrt()).unwrap();
        }
        assert!(sum <= rho && sum > rho * 0.999_999, "{sum} for {rho}");
    }
}

/// Neighbours in the exact totals: with half the noise, the same attack wins more often than the price allows.
#[test]
fn a_release_does_not_tell_neighbours_apart_beyond_its_price() {
    let distinguish = |cut: f64| {
        let mut terms = terms(0.5, 1, false);
        terms.scales.iter_mut().for_each(|scale| *scale *= cut);
        let keys = GroupKeys::Public(vec![text("a")]);
        let above = |n: i64| {
            (0..1500)
                .filter(|_| {
                    let release = released(vec![("a", totals(n, 525))], &terms, &keys);
                    matches!(release.groups[0].cells[0], Cell::Shown { value, .. } if value >= 200.5)
                })
                .count() as f64
                / 1500.0
        };
        above(201) - above(200)
    };
    // One of two components: ρ = 0.25 means μ = √0.5, so the advantage is at most 2Φ(μ/2) - 1 = 0.276.
    assert!(distinguish(1.0) < 0.276 + 0.07);
    assert!(distinguish(0.33) > 0.276 + 0.07, "control: the attack works when the noise is cut");
}
