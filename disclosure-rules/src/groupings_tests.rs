#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::exact::Total;
use crate::loss::Units;
use crate::measure::{Aggregate, Ask, GroupKeys, Lattice, Terms};
use crate::release::{Cell, Hidden, Release};
use crate::rules::SmallCells;
use crate::sensitivity::Contribution;
use crate::testing::{ask, component, grouping, measure, numbers, released, shown};

const ROLLUP: [[bool; 2]; 3] = [[true, true], [true, false], [false, false]];
const CUBE: [[bool; 2]; 4] = [[true, true], [true, false], [false, true], [false, false]];

/// Pupils and the sum of scores between 250 and 800, by two keys.
fn asked(rho: f64, masks: &[[bool; 2]]) -> Ask {
    let components =
        vec![component(Quantity::Pupils), component(Quantity::Sum(Lattice::for_mean(250.0, 800.0, 1.0)))];
    let measures = [Aggregate::Count(0), Aggregate::Sum { sum: 1, count: Some(0) }].map(measure).to_vec();
    let groupings = masks.iter().map(|mask| grouping(mask, Contribution::new(1, 1, 1))).collect();
    Ask { groupings, ..ask(rho, components, measures) }
}

fn key(a: i64, b: i64) -> Vec<Value> {
    vec![Value::Int(a), Value::Int(b)]
}

/// Cells (a, b) with so many pupils, all with a score of 526.
fn exact(
    cells: &[((i64, i64), i64)],
    masks: &[[bool; 2]],
) -> (Vec<Vec<crate::exact::ExactGroup>>, GroupKeys) {
    let of = |mask: &[bool; 2]| {
        let mut groups: BTreeMap<Vec<Value>, i64> = BTreeMap::new();
        for ((a, b), pupils) in cells {
            *groups.entry(masked(&key(*a, *b), mask)).or_default() += pupils;
        }
        groups.into_iter().map(|(key, pupils)| (key, numbers(&[pupils, pupils]))).collect()
    };
    let keys = cells.iter().map(|((a, b), _)| key(*a, *b)).collect();
    (masks.iter().map(of).collect(), GroupKeys::Public(keys))
}

fn value(release: &Release, grouping: usize, keys: &[Value], measure: usize) -> f64 {
    let found = release.groups.iter().find(|group| group.grouping == grouping && group.keys == keys);
    shown(&found.unwrap().cells[measure]).0
}

/// 3 × 4 cells of very different sizes, some empty.
fn table() -> Vec<((i64, i64), i64)> {
    (0..12).map(|i| ((i / 4, i % 4), [0, 3, 40, 700][(i % 4) as usize] * (1 + i / 4))).collect()
}

/// Without the small-cell rule: everything is shown, whatever the noise.
fn open(rho: f64, masks: &[[bool; 2]]) -> Terms {
    Terms::new(Ask {
        small_cells: SmallCells { min_units: Units(0), assurance: 1.0 - 1e-12 },
        ..asked(rho, masks)
    })
}

fn adjusted(terms: &Terms, cells: &[((i64, i64), i64)], masks: &[[bool; 2]]) -> Vec<Vec<Noisy>> {
    let (groupings, keys) = exact(cells, masks);
    let mut noisy = crate::release::drawn(terms, groupings, &keys, &mut [None; 2]).unwrap();
    adjust(terms, &families(terms), &mut noisy);
    noisy
}

fn assert_adds_up(terms: &Terms, noisy: &[Vec<Noisy>], component: usize) {
    for family in families(terms) {
        let fine = &noisy[family.members[0]];
        for &member in &family.members {
            let mut sums = vec![0; noisy[member].len()];
            let places = parts(terms, fine, &noisy[member], member);
            fine.iter().zip(places).for_each(|(cell, place)| sums[place] += cell.totals[component]);
            let totals: Vec<i64> = noisy[member].iter().map(|group| group.totals[component]).collect();
            assert_eq!(totals, sums);
        }
    }
}

#[test]
fn totals_are_the_sums_of_their_parts_and_counts_are_not_negative() {
    let sets: [&[[bool; 2]]; 4] =
        [&ROLLUP, &CUBE, &[[true, true], [false, true]], &[[true, true], [false, false], [true, false]]];
    for masks in sets {
        let terms = open(0.01, masks);
        for _ in 0..10 {
            let noisy = adjusted(&terms, &table(), masks);
            assert_adds_up(&terms, &noisy, 0);
            assert_adds_up(&terms, &noisy, 1);
            assert!(noisy.iter().flatten().all(|group| group.totals[0] >= 0));
        }
    }
}

#[test]
fn without_the_finest_set_only_sets_with_parts_are_adjusted() {
    let masks = [[true, false], [false, true], [false, false]];
    let terms = open(0.01, &masks);
    let members: Vec<Vec<usize>> = families(&terms).into_iter().map(|family| family.members).collect();
    assert_eq!(members, [vec![0, 2]]);
    let noisy = adjusted(&terms, &table(), &masks);
    assert_adds_up(&terms, &noisy, 0);
    assert!(noisy[1].iter().all(|group| group.totals == group.drawn));
}

#[test]
fn pupils_in_several_groups_and_different_values_do_not_add_up() {
    let mut ask = asked(0.1, &ROLLUP);
    ask.components.push(component(Quantity::Distinct));
    ask.components.push(component(Quantity::Rows));
    ask.groupings[0].contribution = Contribution::new(2, 1, 2);
    assert_eq!(families(&Terms::new(ask))[0].additive, [1, 3]);
}

#[test]
fn an_enormous_price_leaves_the_exact_numbers() {
    for masks in [&ROLLUP[..], &CUBE[..]] {
        let (groupings, keys) = exact(&table(), masks);
        let release = released(groupings, &Terms::new(asked(1e12, masks)), &keys);
        assert_eq!(value(&release, 0, &key(1, 3), 0), 1400.0);
        assert_eq!(value(&release, 1, &[Value::Int(2), Value::Null], 0), 2229.0);
        let last = masks.len() - 1;
        assert_eq!(value(&release, last, &[Value::Null, Value::Null], 1), 4458.0 * 526.0);
    }
}

#[test]
fn the_adjustment_lowers_the_error_as_the_intervals_say() {
    // Many cells, so that noise of one does not decide; none near 0, so that the least squares stay linear.
    let cells: Vec<_> = (0..24).map(|i| ((i / 4, i % 4), 100_000)).collect();
    for masks in [&ROLLUP[..], &CUBE[..]] {
        let terms = open(0.02, masks);
        let families = families(&terms);
        let variances: Vec<f64> = (0..masks.len()).map(|g| terms.noise(g, 0).variance()).collect();
        let (mut squares, mut ratio) = (vec![0.0; masks.len()], vec![0.0; masks.len()]);
        let mut counted = vec![0.0; masks.len()];
        let mut covered = vec![0.0; masks.len()];
        for draw in 0..60 {
            let noisy = adjusted(&terms, &cells, masks);
            for (g, groups) in noisy.iter().enumerate() {
                let truth = (24 / groups.len() * 100_000) as f64;
                for group in groups {
                    let error = group.totals[0] as f64 - truth;
                    squares[g] += error * error / variances[g];
                    covered[g] += f64::from(error.abs() <= group.widths[0]);
                    counted[g] += 1.0;
                }
            }
            if draw == 0 {
                let places: Vec<_> =
                    families[0].members.iter().map(|m| parts(&terms, &noisy[0], &noisy[*m], *m)).collect();
                let found = ratios(&terms, &families[0], &noisy, &places, &variances);
                for (m, found) in families[0].members.iter().zip(found) {
                    ratio[*m] = found[0];
                }
            }
        }
        for g in 0..masks.len() {
            let found = squares[g] / counted[g];
            assert!(ratio[g] < 1.0, "{ratio:?}");
            let slack = 1.0 + 6.0 / counted[g].sqrt();
            assert!(found < ratio[g] * slack && found > ratio[g] / slack, "{g}: {found} for {}", ratio[g]);
            assert!(covered[g] / counted[g] > 0.95 - 4.0 * (0.05 / counted[g]).sqrt(), "{g}");
        }
    }
}

#[test]
fn intervals_cover_the_truth_where_cells_are_empty_or_small() {
    let cells: Vec<_> =
        (0..40).map(|i| ((i / 8, i % 8), [0, 0, 0, 3, 12, 40, 0, 90][(i % 8) as usize])).collect();
    for masks in [&ROLLUP[..], &CUBE[..]] {
        let terms = open(0.02, masks);
        let (truths, _) = exact(&cells, masks);
        let (mut covered, mut closer) = (vec![0.0; masks.len()], 0.0);
        for _ in 0..300 {
            let noisy = adjusted(&terms, &cells, masks);
            for (g, (groups, truths)) in noisy.iter().zip(&truths).enumerate() {
                for (group, (_, truth)) in groups.iter().zip(truths) {
                    let truth = truth[0].clone().number().unwrap() as f64;
                    let error = (group.totals[0] as f64 - truth).abs();
                    covered[g] += f64::from(error <= group.widths[0]) / groups.len() as f64 / 300.0;
                    closer += error - (group.drawn[0] as f64 - truth).abs();
                }
            }
        }
        assert!(covered.iter().all(|share| *share > 0.9), "{covered:?}");
        assert!(closer < 0.0, "non-negative least squares are closer to the truth than the measurements");
    }
}

#[test]
fn many_cells_are_no_trouble() {
    let cells: Vec<_> = (0..30_000).map(|i| ((i / 100, i % 100), i % 7)).collect();
    let terms = open(0.1, &CUBE);
    let noisy = adjusted(&terms, &cells, &CUBE);
    assert_adds_up(&terms, &noisy, 0);
}

#[test]
fn a_tree_and_the_product_formula_agree() {
    let cells: Vec<_> = (0..12).map(|i| ((i / 4, i % 4), 10)).collect();
    let terms = open(0.02, &ROLLUP);
    let noisy = adjusted(&terms, &cells, &ROLLUP);
    let family = &families(&terms)[0];
    let variances = [9.0, 2.0, 5.0];
    let places: Vec<_> = family.members.iter().map(|m| parts(&terms, &noisy[0], &noisy[*m], *m)).collect();
    let tree = nested(&terms, family, &noisy, &places, &variances).unwrap();
    let product = full(&terms, family, &noisy, &variances).unwrap();
    for (tree, product) in tree.iter().flatten().zip(product.iter().flatten()) {
        assert!((tree - product).abs() < 1e-12, "{tree} {product}");
    }
}

#[test]
fn unknown_keys_leave_the_total_as_it_was_measured() {
    let mut ask = asked(0.1, &[[true, true], [false, false]]);
    ask.groupings[0].unknown_keys = true;
    assert!(families(&Terms::new(ask)).is_empty());
}

/// Which cells of a release are hidden, by grouping and key.
fn hidden(cells: &[((i64, i64), i64)], masks: &[[bool; 2]]) -> Vec<(usize, Vec<Value>)> {
    let ask = Ask { small_cells: SmallCells { min_units: Units(10), assurance: 0.95 }, ..asked(1e12, masks) };
    let (groupings, keys) = exact(cells, masks);
    let release = released(groupings, &Terms::new(ask), &keys);
    let is_hidden = |cell: &Cell| *cell == Cell::Hidden { hidden: Hidden::SmallCell };
    let groups = release.groups.into_iter().filter(|group| is_hidden(&group.cells[0]));
    groups.map(|group| (group.grouping, group.keys)).collect()
}

#[test]
fn a_single_hidden_part_takes_the_next_smallest_with_it() {
    let cells = [((0, 0), 5), ((0, 1), 60), ((0, 2), 50), ((1, 0), 70), ((1, 1), 80), ((1, 2), 90)];
    // One level up, the total of a = 0 would give the 5 away: the 50 goes as well.
    assert_eq!(hidden(&cells, &ROLLUP), [(0, key(0, 0)), (0, key(0, 2))]);
    // With totals by b too, each hidden cell needs company in its column.
    let both = [(0, key(0, 0)), (0, key(0, 2)), (0, key(1, 0)), (0, key(1, 2))];
    assert_eq!(hidden(&cells, &CUBE), both);
    // control: two hidden parts keep each other's secret
    let two = [((0, 0), 5), ((0, 1), 6), ((0, 2), 50)];
    assert_eq!(hidden(&two, &ROLLUP), [(0, key(0, 0)), (0, key(0, 1))]);
    // control: without a total nothing more is hidden
    assert_eq!(hidden(&cells, &ROLLUP[..1]), [(0, key(0, 0))]);
}

#[test]
fn a_hidden_total_takes_a_part_with_it() {
    let cells = [((0, 0), 5), ((1, 0), 70), ((1, 1), 80), ((2, 0), 90)];
    // The total of a = 0 is its only part, and small; among the totals that of a = 2 keeps it company, and is
    // itself its only part.
    let total = |a: i64| vec![Value::Int(a), Value::Null];
    assert_eq!(hidden(&cells, &ROLLUP), [(0, key(0, 0)), (0, key(2, 0)), (1, total(0)), (1, total(2))]);
}

#[test]
fn totals_of_distributions_are_not_numbers() {
    let numbers = Total::Distribution(vec![(1, 2)]).number();
    assert_eq!(numbers, None);
}
