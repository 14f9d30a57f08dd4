//! What the tests of this crate share: asks with sensible defaults, charges, and reading cells.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::account::{Account, Charge, Cost, PlanDigest};
use crate::exact::{Exact, ExactGroup, Total};
use crate::loss::{Delta, Rho, Units};
use crate::measure::{
    Aggregate, Ask, Component, GroupKeys, Grouping, Guarantee, Lattice, Measure, Quantity, Terms,
};
use crate::release::{Cell, Release, release};
use crate::rules::SmallCells;
use crate::sensitivity::Contribution;
use crate::value::Value;

pub(crate) const PLAN: PlanDigest = PlanDigest([7; 32]);

pub(crate) fn text(key: &str) -> Vec<Value> {
    vec![Value::Text(key.to_owned())]
}

pub(crate) fn measure(aggregate: Aggregate) -> Measure {
    Measure { aggregate, pupils: 0, integer: false }
}

pub(crate) fn component(quantity: Quantity) -> Component {
    Component { quantity, argument: Some(0), with: None }
}

/// One grouping by one key, one row per pupil, no small cells.
pub(crate) fn ask(rho: f64, components: Vec<Component>, measures: Vec<Measure>) -> Ask {
    Ask {
        plan: PLAN,
        components,
        measures,
        groupings: vec![grouping(&[true], Contribution::new(1, 1, 1))],
        pupils: Some(0),
        threshold_delta: Delta::new(1e-6).unwrap(),
        occupied_only: false,
        automatic: None,
        small_cells: SmallCells { min_units: Units(1), assurance: 0.95 },
        guarantee: Guarantee::Concentrated,
        rho: Rho::at_least(rho).unwrap(),
    }
}

pub(crate) fn grouping(keys: &[bool], contribution: Contribution) -> Grouping {
    Grouping { keys: keys.to_vec(), contribution, unknown_keys: false }
}

/// Pupils, and a sum of scores between 250 and 800: COUNT, AVG and SUM of one question.
pub(crate) fn scores(rho: f64) -> Ask {
    let sum = component(Quantity::Sum(Lattice::for_mean(250.0, 800.0, 1.0)));
    let aggregates = [
        Aggregate::Count(0),
        Aggregate::Mean { sum: 1, count: 0 },
        Aggregate::Sum { sum: 1, count: Some(0) },
    ];
    ask(rho, vec![component(Quantity::Pupils), sum], aggregates.map(measure).to_vec())
}

pub(crate) fn charge(cost: Cost) -> Charge {
    let open = Account::new(None, None);
    Charge::debit(PLAN, cost, &open, &open).unwrap().2
}

pub(crate) fn numbers(totals: &[i64]) -> Vec<Total> {
    totals.iter().map(|total| Total::Number(*total)).collect()
}

pub(crate) fn released(groupings: Vec<Vec<ExactGroup>>, terms: &Terms, keys: &GroupKeys) -> Release {
    release(Exact::seal(PLAN, groupings), charge(terms.cost()), terms, keys).unwrap()
}

/// The release of one group, `a`.
pub(crate) fn of_one(totals: Vec<Total>, terms: &Terms) -> Vec<Cell> {
    let groups = vec![vec![(text("a"), totals)]];
    released(groups, terms, &GroupKeys::Public(vec![text("a")])).groups.remove(0).cells
}

pub(crate) fn shown(cell: &Cell) -> (f64, f64, f64) {
    let Cell::Shown { value, low, high } = *cell else { panic!("hidden") };
    assert!(low <= value && value <= high, "{low} {value} {high}");
    (value, low, high)
}

/// Of `draws` releases of one group, in how many the interval of each measure covers the truth.
pub(crate) fn covered(totals: &[Total], terms: &Terms, truth: &[f64], draws: usize) -> Vec<usize> {
    let mut covered = vec![0; truth.len()];
    for _ in 0..draws {
        for ((cell, truth), covered) in of_one(totals.to_vec(), terms).iter().zip(truth).zip(&mut covered) {
            let (_, low, high) = shown(cell);
            // Noise is nothing beside the rounding of a float here, where the price is enormous.
            let rounding = 1e-9 * truth.abs();
            *covered += usize::from(low - rounding <= *truth && *truth <= high + rounding);
        }
    }
    covered
}

/// The same, where cells may be hidden: of how many that were shown, how many cover the truth.
pub(crate) fn covered_where_shown(
    totals: &[Total],
    terms: &Terms,
    truth: &[f64],
    draws: usize,
) -> Vec<(usize, usize)> {
    let mut covered = vec![(0, 0); truth.len()];
    for _ in 0..draws {
        for ((cell, truth), covered) in of_one(totals.to_vec(), terms).iter().zip(truth).zip(&mut covered) {
            if let Cell::Shown { low, high, .. } = *cell {
                covered.0 += usize::from(low <= *truth && *truth <= high);
                covered.1 += 1;
            }
        }
    }
    covered
}
