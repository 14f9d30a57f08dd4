#![allow(clippy::unwrap_used, clippy::panic)]

mod bounded;
mod joins;
mod parts;
mod plans;
mod race;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool, MemoryReservation};
use disclosure_rules::Value;
use disclosure_rules::exact::{ExactGroup, Total};
use disclosure_rules::measure::{Component, Grouping, Lattice, Quantity};
use disclosure_rules::sensitivity::Contribution;

use super::bounds::Secret;
use super::contribute::{Contributions, Sums};
use super::totals::Totals;

/// A row of a visit: keys place and day, arguments hours, guests, and tag.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Visit {
    place: &'static str,
    day: Option<i64>,
    hours: Option<f64>,
    guests: Option<i64>,
    tag: Option<&'static str>,
}

/// Pupils in ascending order, and their visits.
type Pupils = Vec<(u8, Vec<Visit>)>;

const HOURS: Lattice = Lattice { low: 0.0, high: 10.0, step: 1.0, origin: 0.0 };
const GUESTS: Lattice = Lattice { low: 0.0, high: 4.0, step: 1.0, origin: 2.0 };

fn component(quantity: Quantity, argument: Option<usize>, with: Option<usize>) -> Component {
    Component { quantity, argument, with }
}

/// One of each kind. Arguments are numbered: hours, guests, tag.
fn components() -> Vec<Component> {
    vec![
        component(Quantity::Pupils, None, None),
        component(Quantity::Rows, None, None),
        component(Quantity::Pupils, Some(0), None),
        component(Quantity::Rows, Some(0), None),
        component(Quantity::Rows, Some(0), Some(1)),
        component(Quantity::Sum(HOURS), Some(0), None),
        component(Quantity::Sum(HOURS), Some(0), Some(1)),
        component(Quantity::square(GUESTS), Some(1), Some(1)),
        component(Quantity::product(HOURS, GUESTS), Some(0), Some(1)),
        component(Quantity::Distinct, Some(0), None),
        component(Quantity::Distinct, Some(2), None),
        component(Quantity::Distinct, Some(2), Some(0)),
        component(Quantity::Distribution(HOURS), Some(0), None),
        component(Quantity::Distribution(HOURS), Some(0), Some(2)),
    ]
}

fn grouping(keys: &[bool], rows: u64, per_group: u64, groups: u64) -> Grouping {
    Grouping {
        keys: keys.to_vec(),
        contribution: Contribution::new(rows, per_group, groups),
        unknown_keys: false,
    }
}

const PLENTY: u64 = 1_000_000;

fn sums(components: Vec<Component>, groupings: Vec<Grouping>, thresholds: Option<Vec<u64>>) -> Sums {
    Sums { keys: 2, components, groupings, thresholds, max_groups: 1000 }
}

/// By place and day, by place, and all.
fn rollup(contribution: impl Fn(usize) -> Contribution) -> Vec<Grouping> {
    let groupings = [[true, true], [true, false], [false, false]].into_iter().enumerate();
    groupings
        .map(|(i, keys)| Grouping { keys: keys.to_vec(), contribution: contribution(i), unknown_keys: false })
        .collect()
}

/// Visits without a pattern, many of them alike.
fn visits(seed: u64, count: u64) -> Vec<Visit> {
    let draw = |i: u64, what: u64, of: u64| {
        let mix = |n: u64| (n ^ n >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mix(mix(mix(seed + 1).wrapping_add(i)).wrapping_add(what)) >> 33) % of
    };
    (0..count)
        .map(|i| Visit {
            place: ["pool", "gym", "hall", "field"][draw(i, 1, 4) as usize],
            day: [None, Some(1), Some(2)][draw(i, 2, 3) as usize],
            hours: match draw(i, 3, 9) {
                0 => None,
                1 => Some(f64::NAN),
                2 => Some([f64::INFINITY, f64::NEG_INFINITY][draw(i, 4, 2) as usize]),
                3 => Some([1e9, -1e9, -0.0, 0.0][draw(i, 5, 4) as usize]),
                n => Some(n as f64),
            },
            guests: [None, Some(0), Some(1), Some(9)][draw(i, 6, 4) as usize],
            tag: [None, Some("a"), Some("b"), Some("")][draw(i, 7, 4) as usize],
        })
        .collect()
}

/// One pupil far over any bound, some ordinary ones.
fn pupils() -> Pupils {
    let counts = [40, 5, 1, 2, 3, 17, 1, 4];
    counts.iter().enumerate().map(|(i, &count)| (i as u8 * 3 + 1, visits(i as u64, count))).collect()
}

/// The rows as a stage's source gives them, in batches of `size`.
fn batches(pupils: &[(u8, Vec<Visit>)], size: usize) -> Vec<RecordBatch> {
    let rows: Vec<_> =
        pupils.iter().flat_map(|(pupil, visits)| visits.iter().map(|visit| ([*pupil; 16], *visit))).collect();
    rows.chunks(size).map(batch).collect()
}

fn batch(rows: &[([u8; 16], Visit)]) -> RecordBatch {
    let visits = || rows.iter().map(|(_, visit)| visit);
    let units = FixedSizeBinaryArray::try_from_iter(rows.iter().map(|(unit, _)| unit)).unwrap();
    let columns: [(&str, ArrayRef); 6] = [
        ("__unit", Arc::new(units)),
        ("k0", Arc::new(visits().map(|visit| Some(visit.place)).collect::<StringArray>())),
        ("k1", Arc::new(visits().map(|visit| visit.day).collect::<Int64Array>())),
        ("a0", Arc::new(visits().map(|visit| visit.hours).collect::<Float64Array>())),
        ("a1", Arc::new(visits().map(|visit| visit.guests).collect::<Int64Array>())),
        ("a2", Arc::new(visits().map(|visit| visit.tag).collect::<StringArray>())),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn secret() -> Arc<Secret> {
    Arc::new(Secret::fresh().unwrap())
}

fn memory(bytes: usize) -> MemoryReservation {
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(bytes));
    MemoryConsumer::new("test").register(&pool)
}

fn contributions(sums: &Sums, secret: &Arc<Secret>) -> Contributions {
    Contributions::new(sums, Arc::clone(secret), memory(1 << 30)).unwrap()
}

fn part(sums: &Sums, secret: &Arc<Secret>, pupils: &[(u8, Vec<Visit>)], size: usize) -> Totals {
    let mut contributions = contributions(sums, secret);
    batches(pupils, size).iter().for_each(|batch| contributions.add(batch).unwrap());
    contributions.finish().unwrap()
}

fn merged(sums: &Sums, parts: impl IntoIterator<Item = Totals>) -> Vec<Vec<ExactGroup>> {
    let mut totals = Totals::none(sums.groupings.len());
    parts.into_iter().for_each(|part| totals.merge(part));
    totals.into_groups()
}

fn totals(sums: &Sums, secret: &Arc<Secret>, pupils: &[(u8, Vec<Visit>)]) -> Vec<Vec<ExactGroup>> {
    part(sums, secret, pupils, 1000).into_groups()
}

fn number(total: &Total) -> i64 {
    match total {
        Total::Number(number) => *number,
        _ => panic!("not a number"),
    }
}

fn truncated(total: &Total) -> &[i64] {
    match total {
        Total::Truncated(totals) => totals,
        _ => panic!("not truncated"),
    }
}

fn key(visit: &Visit, keys: &[bool]) -> Vec<Value> {
    let values = [Value::Text(visit.place.to_owned()), visit.day.map_or(Value::Null, Value::Int)];
    values.into_iter().zip(keys).map(|(value, &by)| if by { value } else { Value::Null }).collect()
}

/// What a row adds to a component, by the definition.
fn adds(component: &Component, visit: &Visit) -> Option<i64> {
    let finite = |argument: usize| match argument {
        0 => visit.hours.filter(|hours| hours.is_finite()),
        1 => visit.guests.map(|guests| guests as f64),
        _ => visit.tag.map(|tag| tag.len() as f64 * 1000.0 + f64::from(tag.bytes().next().unwrap_or(0))),
    };
    component.with.map_or(Some(0.0), finite)?;
    let value = component.argument.map_or(Some(0.0), finite)?;
    Some(match component.quantity {
        Quantity::Pupils | Quantity::Rows => 1,
        Quantity::Sum(lattice) | Quantity::Distribution(lattice) => lattice.index(value).unwrap(),
        Quantity::Product { x, y, centre } => {
            x.index(value).unwrap() * y.index(finite(component.with.unwrap()).unwrap()).unwrap() - centre
        }
        Quantity::Distinct => (value * 1e6) as i64,
    })
}

/// The totals of all rows, by the definition.
fn by_definition(sums: &Sums, pupils: &[(u8, Vec<Visit>)]) -> Vec<Vec<ExactGroup>> {
    let groups = |grouping: &Grouping| {
        let mut groups = BTreeMap::<Vec<Value>, Vec<(u8, &Visit)>>::new();
        for (pupil, visits) in pupils {
            for visit in visits {
                groups.entry(key(visit, &grouping.keys)).or_default().push((*pupil, visit));
            }
        }
        groups
    };
    let total = |component: &Component, rows: &[(u8, &Visit)]| {
        let added: Vec<_> =
            rows.iter().filter_map(|(p, visit)| Some((*p, adds(component, visit)?))).collect();
        match component.quantity {
            Quantity::Pupils => {
                Total::Number(added.iter().map(|(pupil, _)| pupil).collect::<BTreeSet<_>>().len() as i64)
            }
            Quantity::Distinct => {
                Total::Number(added.iter().map(|(_, value)| value).collect::<BTreeSet<_>>().len() as i64)
            }
            Quantity::Distribution(_) => {
                let mut counts = BTreeMap::new();
                added.iter().for_each(|(_, index)| *counts.entry(*index).or_default() += 1);
                Total::Distribution(counts.into_iter().collect())
            }
            _ => Total::Number(added.iter().map(|(_, add)| add).sum()),
        }
    };
    let of_grouping = |grouping: &Grouping| {
        let groups = groups(grouping).into_iter();
        groups
            .map(|(key, rows)| {
                (key, sums.components.iter().map(|component| total(component, &rows)).collect())
            })
            .collect()
    };
    sums.groupings.iter().map(of_grouping).collect()
}

/// Other orders of each pupil's rows.
fn permuted() -> Vec<Pupils> {
    let changed = |change: fn(&mut Vec<Visit>)| {
        let mut pupils = pupils();
        pupils.iter_mut().for_each(|(_, visits)| change(visits));
        pupils
    };
    vec![
        changed(|visits| visits.reverse()),
        changed(|visits| {
            let third = visits.len() / 3;
            visits.rotate_left(third);
        }),
        changed(|visits| visits.sort_by_key(|visit| (visit.day, visit.guests))),
    ]
}

/// Each pupil's totals, as if it were the only one.
fn alone(sums: &Sums, secret: &Arc<Secret>) -> Vec<Totals> {
    pupils().chunks(1).map(|pupil| part(sums, secret, pupil, 7)).collect()
}
