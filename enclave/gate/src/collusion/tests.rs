//! Hidden cells, confined as by hand.

use std::collections::BTreeMap;

use super::bounds::{Bounds, bounds};
use super::family::{Measure, Place, System, Table, Told};

const HIDDEN: Told = Told::Hidden { half_width: 27.0 };

fn shown(low: f64, high: f64) -> Told {
    Told::Shown { low, high }
}

fn place(keys: &[(&str, &str)]) -> Place {
    keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn table(leaf: u64, fixed: &[(&str, &str)], cells: &[(&[(&str, &str)], Told)]) -> Table {
    counted(leaf, Measure::Rows(None), fixed, cells)
}

fn counted(leaf: u64, measure: Measure, fixed: &[(&str, &str)], cells: &[(&[(&str, &str)], Told)]) -> Table {
    let fixed = place(fixed);
    let cell = |(keys, told): &(&[(&str, &str)], Told)| {
        let mut at = place(keys);
        at.extend(fixed.clone());
        ((measure.clone(), at), *told)
    };
    let cells: BTreeMap<_, _> = cells.iter().map(cell).collect();
    Table { leaf, fixed, complete: true, disjoint: false, cells }
}

/// Bounds of the only hidden cell.
fn of_hidden(tables: &[Table]) -> Option<Bounds> {
    let system = System::of(tables, 100).unwrap_or_default();
    let hides = |variable: &super::family::Variable| variable.told.iter().any(|(_, told)| *told == HIDDEN);
    let mut hidden = (0..system.variables.len()).filter(|number| hides(&system.variables[*number]));
    let bounds = hidden.next().and_then(|number| bounds(&system, number));
    assert!(hidden.next().is_none(), "one cell is hidden");
    bounds
}

fn exactly(low: u64, high: Option<u64>) -> Option<Bounds> {
    Some(Bounds { low, high, widened: 1.0 })
}

/// By class type in grade K: small 39 to 41, regular 49 to 51, regular with aide hidden.
fn by_class() -> Table {
    let cells: [(&[(&str, &str)], Told); 3] = [
        (&[("cltype", "small")], shown(39.0, 41.0)),
        (&[("cltype", "reg")], shown(49.0, 51.0)),
        (&[("cltype", "reg+A")], HIDDEN),
    ];
    table(1, &[("gr", "K")], &cells)
}

#[test]
fn a_total_and_the_shown_siblings_confine_a_hidden_cell() {
    // 99 - 41 - 51 = 7 and 101 - 39 - 49 = 13.
    let total = table(2, &[("gr", "K")], &[(&[], shown(99.0, 101.0))]);
    assert_eq!(of_hidden(&[by_class(), total]), exactly(7, Some(13)));
    // The total as a group of another question, which has no condition.
    let grades = table(3, &[], &[(&[("gr", "K")], shown(99.0, 101.0)), (&[("gr", "1")], shown(79.0, 81.0))]);
    assert_eq!(of_hidden(&[by_class(), grades]), exactly(7, Some(13)));
}

#[test]
fn without_a_total_or_with_another_grades_nothing_confines_it() {
    assert_eq!(of_hidden(&[by_class()]), exactly(0, None));
    let other = table(2, &[("gr", "1")], &[(&[], shown(99.0, 101.0))]);
    assert_eq!(of_hidden(&[by_class(), other]), exactly(0, None));
    // A table with rows left out does not sum up to the total: the hidden cell is only no more than what is left.
    let total = table(2, &[("gr", "K")], &[(&[], shown(99.0, 101.0))]);
    let partly = Table { complete: false, ..by_class() };
    assert_eq!(of_hidden(&[partly, total]), exactly(0, Some(13)));
}

#[test]
fn two_tables_have_a_total_in_common_that_nobody_asked_for() {
    let cells: [(&[(&str, &str)], Told); 4] = [
        (&[("sx", "F"), ("cl", "small")], shown(9.0, 11.0)),
        (&[("sx", "F"), ("cl", "reg")], HIDDEN),
        (&[("sx", "M"), ("cl", "small")], shown(19.0, 21.0)),
        (&[("sx", "M"), ("cl", "reg")], shown(29.0, 31.0)),
    ];
    let by_class = table(1, &[], &cells);
    let cells: [(&[(&str, &str)], Told); 4] = [
        (&[("sx", "F"), ("eth", "A")], shown(4.0, 6.0)),
        (&[("sx", "F"), ("eth", "B")], shown(9.0, 11.0)),
        (&[("sx", "M"), ("eth", "A")], shown(24.0, 26.0)),
        (&[("sx", "M"), ("eth", "B")], shown(24.0, 26.0)),
    ];
    let by_group = table(2, &[], &cells);
    // Girls: 13 to 17; less those in small classes, 9 to 11.
    assert_eq!(of_hidden(&[by_class, by_group]), exactly(2, Some(8)));
}

#[test]
fn pupils_may_be_in_several_groups() {
    let pupils = Measure::Pupils(None);
    let cells: [(&[(&str, &str)], Told); 2] = [(&[("gr", "K")], shown(59.0, 61.0)), (&[("gr", "1")], HIDDEN)];
    let grades = counted(1, pupils.clone(), &[], &cells);
    let total = counted(2, pupils, &[], &[(&[], shown(99.0, 101.0))]);
    // At least those whom the other grade does not have, at most all.
    assert_eq!(of_hidden(&[grades.clone(), total.clone()]), exactly(38, Some(101)));
    // Where nobody is in two, they add up.
    let apart = Table { disjoint: true, ..grades };
    assert_eq!(of_hidden(&[apart, total]), exactly(38, Some(42)));
}

#[test]
fn intervals_that_contradict_each_other_are_widened() {
    // The parts are 88 to 92 at least, the total 80 at most.
    let total = table(2, &[("gr", "K")], &[(&[], shown(70.0, 80.0))]);
    let found = of_hidden(&[by_class(), total]);
    assert_eq!(found.map(|bounds| bounds.widened), Some(3.0), "{found:?}");
    let never = table(2, &[("gr", "K")], &[(&[], shown(10.0, 11.0))]);
    assert_eq!(of_hidden(&[by_class(), never]), None);
}

#[test]
fn a_family_that_is_too_large_is_said_to_be() {
    assert!(System::of(&[by_class()], 2).is_none());
}
