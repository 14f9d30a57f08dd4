//! [`evaluate`]: the nodes of a post-processing, over rows.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use disclosure_rules::{Release, Value};

use super::number::{Identity, compare_keys, interval, noisy};
use super::shape::{Given, Shape};
use super::sheet::Sheet;
use super::total::Total;
use super::{Datum, NULL, join, stage_rows, window};
use crate::post::{Post, PostCall, PostFunction, SetOperation};
use crate::tree::{Expr, OrderKey};

/// What a post-processing reads.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) given: &'a Given<'a>,
    /// Values of the scalar subqueries.
    pub(super) scalars: &'a [Datum],
    /// Of the stages, in their order.
    pub(super) releases: &'a [Release],
}

/// A table computed from releases.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    pub(super) shape: Shape,
    pub(super) rows: Vec<Vec<Datum>>,
    /// How few and how many rows there could be, had noise chosen otherwise.
    pub(super) fewest: usize,
    pub(super) most: usize,
}

/// The table that a post-processing says.
pub(super) fn evaluate(post: &Post, input: &Input<'_>) -> Table {
    let shape = input.given.shape(post);
    let table = |rows: Vec<Vec<Datum>>, fewest, most| Table { shape: shape.clone(), fewest, most, rows };
    let of = |post: &Post| evaluate(post, input);
    match post {
        Post::OneRow => table(vec![Vec::new()], 1, 1),
        Post::Stage(stage) => {
            let released = input.given.stages.get(*stage).zip(input.releases.get(*stage));
            let rows = released.map(|(stage, release)| stage_rows(stage, release)).unwrap_or_default();
            let count = rows.len();
            table(rows, count, count)
        }
        Post::Keep { input: post, condition } => {
            let read = of(post);
            let kept = Sheet::new(&read.shape, &read.rows, input).conditions(condition, read.rows.len());
            let lost = read.rows.len() - kept.iter().filter(|row| row.surely).count();
            let unsure =
                read.most.saturating_sub(read.rows.len()) + kept.iter().filter(|row| row.possibly).count();
            let rows = read.rows.into_iter().zip(&kept).filter(|(_, kept)| kept.present);
            table(rows.map(|(row, _)| row).collect(), read.fewest.saturating_sub(lost), unsure)
        }
        Post::Columns { input: post, columns } => {
            let read = of(post);
            let sheet = Sheet::new(&read.shape, &read.rows, input);
            let computed = columns.iter().map(|(_, expr)| sheet.evaluate(expr)).collect();
            table(transposed(computed, read.rows.len()), read.fewest, read.most)
        }
        Post::Order { input: post, by } => {
            let read = of(post);
            let sheet = Sheet::new(&read.shape, &read.rows, input);
            let places = sorted(by, &sheet, (0..read.rows.len()).collect());
            table(places.into_iter().map(|place| read.rows[place].clone()).collect(), read.fewest, read.most)
        }
        Post::Limit { input: post, skip, fetch } => {
            let read = of(post);
            let fetch = fetch.unwrap_or(usize::MAX);
            let left = |count: usize| count.saturating_sub(*skip).min(fetch);
            let rows = read.rows.into_iter().skip(*skip).take(fetch).collect();
            table(rows, left(read.fewest), left(read.most))
        }
        Post::Distinct(post) => {
            let read = of(post);
            let rows = distinct(read.rows);
            let same = shape.chosen == read.shape.chosen && read.fewest == read.most;
            let (fewest, most) =
                if same { (rows.len(), rows.len()) } else { (read.fewest.min(1), read.most) };
            table(rows, fewest, most)
        }
        Post::Set { operation, all, left, right } => {
            let (left, right) = (of(left), of(right));
            let (l, r) = ((left.fewest, left.most), (right.fewest, right.most));
            let rows = set(*operation, *all, left.rows, right.rows);
            let (fewest, most) = match (shape.chosen.is_empty(), operation, all) {
                (true, ..) => (rows.len(), rows.len()),
                (_, SetOperation::Union, true) => (l.0 + r.0, l.1 + r.1),
                (_, SetOperation::Union, false) => ((l.0 + r.0).min(1), l.1 + r.1),
                (_, SetOperation::Intersect | SetOperation::Except, _) => (0, l.1),
            };
            table(rows, fewest, most)
        }
        Post::Join { left, right, kind, on } => {
            let (left, right) = (of(left), of(right));
            let pairs =
                left.most.saturating_mul(right.most).saturating_add(left.most).saturating_add(right.most);
            let rows = join::join(left, right, *kind, on.as_ref(), input);
            let (fewest, most) = if shape.chosen.is_empty() { (rows.len(), rows.len()) } else { (0, pairs) };
            table(rows, fewest, most)
        }
        Post::Group { input: post, keys, calls } => {
            let read = of(post);
            let most = if keys.is_empty() { 1 } else { read.most };
            let rows = group(&read, keys, calls, input);
            let count = rows.len();
            if shape.chosen.is_empty() {
                table(rows, count, count)
            } else {
                table(rows, read.fewest.min(1), most)
            }
        }
        Post::Window { input: post, calls } => {
            let mut read = of(post);
            let computed: Vec<Vec<Datum>> =
                calls.iter().map(|call| window::window(call, &read, input)).collect();
            for (i, row) in read.rows.iter_mut().enumerate() {
                row.extend(computed.iter().map(|column| column[i].clone()));
            }
            table(read.rows, read.fewest, read.most)
        }
    }
}

fn transposed(columns: Vec<Vec<Datum>>, rows: usize) -> Vec<Vec<Datum>> {
    let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
    (0..rows).map(|_| columns.iter_mut().map(|column| column.next().unwrap_or(NULL)).collect()).collect()
}

/// Numbers of rows in the order of the keys; equals stay as they are.
fn sorted(by: &[OrderKey], sheet: &Sheet<'_>, mut places: Vec<usize>) -> Vec<usize> {
    let columns: Vec<Vec<Datum>> = by.iter().map(|key| sheet.evaluate(&key.by)).collect();
    places.sort_by(|&a, &b| compare_rows(by, &columns, a, b));
    places
}

/// Two rows by the keys of an ORDER BY, which were computed as `columns`.
pub(super) fn compare_rows(by: &[OrderKey], columns: &[Vec<Datum>], a: usize, b: usize) -> Ordering {
    let compared = by.iter().zip(columns).map(|(key, column)| compare_keys(key, &column[a], &column[b]));
    compared.fold(Ordering::Equal, Ordering::then)
}

fn distinct(rows: Vec<Vec<Datum>>) -> Vec<Vec<Datum>> {
    let mut seen = BTreeSet::new();
    rows.into_iter().filter(|row| seen.insert(Identity::of_row(row))).collect()
}

/// With ALL, a row of the result stands as often as SQL says: the least of both counts, or their difference.
fn set(operation: SetOperation, all: bool, left: Vec<Vec<Datum>>, right: Vec<Vec<Datum>>) -> Vec<Vec<Datum>> {
    if operation == SetOperation::Union {
        let together = left.into_iter().chain(right).collect();
        return if all { together } else { distinct(together) };
    }
    let mut counts: BTreeMap<Vec<Identity>, usize> = BTreeMap::new();
    right.iter().for_each(|row| *counts.entry(Identity::of_row(row)).or_default() += 1);
    let in_right = |row: &Vec<Datum>| {
        let Some(count) = counts.get_mut(&Identity::of_row(row)) else { return false };
        let found = *count > 0;
        if all {
            *count = count.saturating_sub(1);
        }
        found
    };
    let found: Vec<bool> = left.iter().map(in_right).collect();
    let wanted = operation == SetOperation::Intersect;
    let kept = left.into_iter().zip(found).filter(|(_, found)| *found == wanted).map(|(row, _)| row);
    if all { kept.collect() } else { distinct(kept.collect()) }
}

/// Rows by their keys, in the order in which keys first stand.
pub(super) fn partitions(keys: &[Vec<Datum>], rows: usize) -> Vec<Vec<usize>> {
    let mut places: BTreeMap<Vec<Identity>, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for row in 0..rows {
        let key = keys.iter().map(|column| Identity::of(&column[row])).collect();
        let place = *places.entry(key).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(row);
    }
    groups
}

fn group(read: &Table, keys: &[Expr], calls: &[PostCall], input: &Input<'_>) -> Vec<Vec<Datum>> {
    let sheet = Sheet::new(&read.shape, &read.rows, input);
    let columns: Vec<Vec<Datum>> = keys.iter().map(|key| sheet.evaluate(key)).collect();
    let mut groups = partitions(&columns, read.rows.len());
    if keys.is_empty() && groups.is_empty() {
        groups.push(Vec::new());
    }
    let largest = groups.iter().map(Vec::len).max().unwrap_or(0);
    let by_noise = keys.iter().any(|key| input.given.is_noisy(key, &read.shape));
    // Had noise chosen otherwise, a group could have none of the rows, or all of them.
    let chosen = by_noise || !read.shape.chosen.is_empty();
    let (fewest, most) = if keys.is_empty() { (read.fewest, read.most) } else { (0, read.most) };
    let mut rows: Vec<Vec<Datum>> =
        groups.iter().map(|group| columns.iter().map(|column| together(column, group)).collect()).collect();
    for call in calls {
        let values = Total::arguments(call.function, call.argument.as_ref(), &sheet, largest);
        for (group, row) in groups.iter().zip(&mut rows) {
            let mut total = Total::new(call.function, call.distinct);
            group.iter().for_each(|&row| total.add(&values, row));
            let counted = chosen && call.function == PostFunction::Count;
            let fewest = if call.argument.is_none() { fewest } else { 0 };
            row.push(if counted { total.count_between(fewest, most) } else { total.value() });
        }
    }
    rows
}

/// A key of a group: where it is a noisy number, over the intervals of all rows.
fn together(column: &[Datum], group: &[usize]) -> Datum {
    let first = group.first().map_or(NULL, |row| column[*row].clone());
    let Datum::Noisy { value, .. } = first else { return first };
    let ends = group.iter().filter_map(|row| interval(&column[*row]));
    let (low, high) = ends.fold((value, value), |(low, high), (_, l, h)| (low.min(l), high.max(h)));
    noisy((value, low, high))
}

/// A whole number without noise.
pub(super) fn whole(number: usize) -> Datum {
    Datum::Key(Value::Int(i64::try_from(number).unwrap_or(i64::MAX)))
}
