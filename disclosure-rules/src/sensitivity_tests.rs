//! What one pupil can change, by trying: small data sets with and without each pupil, every quantity.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::measure::{Component, Lattice, Quantity};

/// The largest Σnᵢ² by trying every way to place rows.
fn brute(rows: u64, per_group: u64, groups: u64) -> u128 {
    if groups == 0 || rows == 0 {
        return 0;
    }
    (0..=per_group.min(rows))
        .map(|n| u128::from(n * n) + brute(rows - n, per_group, groups - 1))
        .max()
        .unwrap_or(0)
}

/// Pupil, group, and two arguments that may be missing.
type Row = (u8, u8, Option<f64>, Option<f64>);

/// Rows cut to the bounds, the same way whatever other pupils are there.
fn bounded(rows: &[Row], contribution: &Contribution) -> Vec<Row> {
    let mut kept: Vec<Row> = Vec::new();
    for row in rows {
        let of_pupil = || kept.iter().filter(|other| other.0 == row.0);
        let groups: BTreeSet<u8> = of_pupil().map(|other| other.1).collect();
        let in_group = of_pupil().filter(|other| other.1 == row.1).count() as u64;
        let fits = (of_pupil().count() as u64) < contribution.rows
            && in_group < contribution.rows_per_group
            && (groups.contains(&row.1) || (groups.len() as u64) < contribution.groups);
        if fits {
            kept.push(*row);
        }
    }
    kept
}

/// The component's vector: a total per group; of a distribution, rows at or below each index of each group.
fn vector(component: &Component, rows: &[Row]) -> BTreeMap<(u8, i64), i64> {
    let mut totals: BTreeMap<(u8, i64), i64> = BTreeMap::new();
    let mut pupils = BTreeSet::new();
    let mut values = BTreeSet::new();
    for &(pupil, group, x, y) in rows {
        let value = |argument: Option<usize>| match argument {
            Some(0) => x,
            Some(_) => y,
            None => Some(0.0),
        };
        let (Some(first), Some(second)) = (value(component.argument), value(component.with)) else {
            continue;
        };
        let mut add = |place: i64, amount: i64| *totals.entry((group, place)).or_default() += amount;
        match component.quantity {
            Quantity::Pupils => add(0, i64::from(pupils.insert((group, pupil)))),
            Quantity::Rows => add(0, 1),
            Quantity::Sum(lattice) => add(0, lattice.index(first).unwrap()),
            Quantity::Product { x, y, centre } => {
                add(0, x.index(first).unwrap() * y.index(second).unwrap() - centre);
            }
            Quantity::Distinct => add(0, i64::from(values.insert((group, first as i64)))),
            Quantity::Distribution(lattice) => add(lattice.index(first).unwrap(), 1),
        }
    }
    totals
}

fn row() -> impl Strategy<Value = Row> {
    let value = || {
        prop_oneof![Just(None), Just(Some(-1e9)), Just(Some(1e9)), (-4i8..5).prop_map(|v| Some(f64::from(v)))]
    };
    (0u8..4, 0u8..3, value(), value())
}

proptest! {
    #[test]
    fn l2_is_the_worst_case(rows in 1u64..9, per_group in 1u64..6, groups in 1u64..5, bound in 1u64..4) {
        let contribution = Contribution::new(rows, per_group, groups);
        prop_assert_eq!(contribution.l2_squared(bound), brute(rows, per_group, groups) * u128::from(bound * bound));
    }

    /// Without any one pupil, no vector changes by more than its stated L1 and L2.
    #[test]
    fn a_pupil_changes_each_quantity_by_at_most_the_stated_amount(
        rows in proptest::collection::vec(row(), 1..14),
        bounds in (1u64..5, 1u64..4, 1u64..4),
    ) {
        let contribution = Contribution::new(bounds.0, bounds.1, bounds.2);
        let (x, y) = (Lattice::for_product(-3.0, 4.0, 1.0), Lattice::for_product(0.0, 3.0, 0.5));
        let quantities = [
            (Quantity::Pupils, None), (Quantity::Pupils, Some(1)), (Quantity::Rows, None), (Quantity::Rows, Some(1)),
            (Quantity::Sum(x), None), (Quantity::Sum(Lattice::for_sum(-3.0, 4.0, 1.0)), Some(1)),
            (Quantity::product(x, y), Some(1)), (Quantity::square(x), Some(0)),
            (Quantity::Distinct, None), (Quantity::Distribution(x), None),
        ];
        for (quantity, with) in quantities {
            let component = Component { quantity, argument: Some(0), with };
            let all = vector(&component, &bounded(&rows, &contribution));
            for pupil in 0..4 {
                let others: Vec<Row> = rows.iter().filter(|row| row.0 != pupil).copied().collect();
                let without = vector(&component, &bounded(&others, &contribution));
                let keys: BTreeSet<_> = all.keys().chain(without.keys()).collect();
                let at = |vector: &BTreeMap<(u8, i64), i64>, key| vector.get(key).copied().unwrap_or(0);
                let changes: Vec<u64> = keys.iter().map(|key| at(&all, key).abs_diff(at(&without, key))).collect();
                let l1: u128 = changes.iter().map(|change| u128::from(*change)).sum();
                let l2: u128 = changes.iter().map(|change| u128::from(change * change)).sum();
                prop_assert!(l1 <= component.l1(&contribution), "{:?}: L1 {}", component, l1);
                prop_assert!(l2 <= component.l2_squared(&contribution), "{:?}: L2² {}", component, l2);
            }
        }
    }
}

#[test]
fn the_stated_amounts_are_reached() {
    let contribution = Contribution::new(3, 2, 2);
    let x = Lattice::for_product(-3.0, 4.0, 1.0);
    let square = Component { quantity: Quantity::square(x), argument: Some(0), with: Some(0) };
    // Indices are -4..=3 round the middle of 1, or 16 for the square: less its centre of 8, 8 three times.
    let rows = [(0, 0, Some(-3.0), None), (0, 0, Some(-3.0), None), (0, 1, Some(-3.0), None)];
    let changes: Vec<i64> = vector(&square, &rows).into_values().collect();
    assert_eq!(changes, [16, 8]);
    assert_eq!((square.l1(&contribution), square.l2_squared(&contribution)), (24, 16 * 16 + 8 * 8));
}

#[test]
fn one_row_in_one_group_changes_one_total_by_one() {
    assert_eq!(Contribution::new(1, 1, 1).l2_squared(1), 1);
    assert_eq!(
        Contribution::new(4, 1, 4).l2_squared(1),
        4,
        "design example: four rows, one per group: L2 of 2"
    );
    assert_eq!(Contribution::new(4, 4, 4).l2_squared(1), 16);
    assert_eq!(Contribution::new(4, 4, 4).of_pupils().l2_squared(1), 4);
    assert_eq!(Contribution::new(100, 10, 20).at_most(8), Contribution::new(8, 8, 8));
}
