//! One question to all homes, and what must hold of what they say.

use std::collections::BTreeMap;

use gate::answered::{Bounds, Cell, Column};
use gate::{Answered, Options, Request};
use tests::plain::rows;
use tests::{Datum, Home, question};

pub(crate) use super::homes::Homes;
use super::question::Question;

/// What is left of noise and of lattices at the price that is asked for.
const ROUNDING: f64 = 1e-4;
/// The difference of two draws of noise is beyond this many scales once in 10⁹.
const NOISE: f64 = 9.0;

pub(crate) enum Outcome {
    Accepted,
    Refused,
}

fn request(sql: &str, options: Options, preview: bool) -> Request {
    Request { options, preview, ..question(sql) }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, a: &T, b: &T) -> Result<(), String> {
    if a == b { Ok(()) } else { Err(format!("{what} depends on the pupil: {a:?} {b:?}")) }
}

impl Homes {
    /// Bounds count as broken beyond `claim` times what is stated.
    pub(crate) fn check(&self, question: &Question, claim: f64) -> Result<Outcome, String> {
        let sql = question.sql();
        let asked = |home: &Home, preview: bool| {
            home.ask(&request(&sql, question.options, preview)).map_err(|failure| failure.to_string())
        };
        let preview = match (asked(&self.without, true), asked(&self.with, true)) {
            (Err(a), Err(b)) => {
                same("the refusal", &a, &b)?;
                return Ok(Outcome::Refused);
            }
            (a, b) => {
                let (a, b) = (a?, b?);
                same("the preview's bounds", &a.bounds, &b.bounds)?;
                same("the preview's columns", &a.columns, &b.columns)?;
                a
            }
        };
        let (a, b) = (asked(&self.without, false)?, asked(&self.with, false)?);
        same("the charge", &a.charged, &b.charged)?;
        same("what is said of columns", &a.columns, &b.columns)?;
        let [bounds] = &preview.bounds.unwrap_or_default()[..] else {
            // Several releases in one question: its form only.
            return Ok(Outcome::Accepted);
        };
        if question.shows_every_group() {
            if bounds.groups.is_some() {
                same("the number of rows", &a.rows.len(), &b.rows.len())?;
                same("a key", &keyed(&a).into_keys().collect::<Vec<_>>(), &keyed(&b).into_keys().collect())?;
            }
            let changes = Changes { columns: &a.columns, bounds, claim, a: keyed(&a), b: keyed(&b) };
            changes.check(question)?;
        }
        if question.draws_nothing() && bounds.rows_per_unit.is_some() {
            let permuted = asked(&self.permuted, false)?;
            same("the order of rows: the charge", &a.charged, &permuted.charged)?;
            unordered(&a, &permuted)?;
        }
        Ok(Outcome::Accepted)
    }
}

/// Rows by what their keys and grouping columns are.
fn keyed(answered: &Answered) -> BTreeMap<String, Vec<Datum>> {
    let key = |row: &[Datum]| {
        let cells = row.iter().zip(&answered.columns).filter(|(_, column)| column.role == "key");
        format!("{:?}", cells.map(|(cell, _)| cell).collect::<Vec<_>>())
    };
    rows(answered).into_iter().map(|row| (key(&row), row)).collect()
}

/// A cell without pupils is hidden: zero.
fn amount(cell: &Datum) -> f64 {
    if let Datum::Number(number) = cell { *number } else { 0.0 }
}

/// Two answers from the same rows in another order differ by noise only.
fn unordered(a: &Answered, b: &Answered) -> Result<(), String> {
    // What is clamped to zero may have a narrow interval on one side only.
    let width = |cell: &Cell| match cell {
        Cell::Noisy { low: Some(low), high: Some(high), .. } => high.get() - low.get(),
        _ => f64::INFINITY,
    };
    let alike = |a: &Cell, b: &Cell| match (a, b) {
        (Cell::Noisy { value: x, .. }, Cell::Noisy { value: y, .. }) => {
            (x.get() - y.get()).abs() <= 3.0 * width(a).max(width(b)) + 1e-9 * x.get().abs()
        }
        (a, b) => a == b,
    };
    let same = a.rows.len() == b.rows.len()
        && a.rows.iter().zip(&b.rows).all(|(a, b)| a.iter().zip(b).all(|(a, b)| alike(a, b)));
    if same {
        Ok(())
    } else {
        Err(format!("the answer depends on the order of rows: {:?} {:?}", a.rows, b.rows))
    }
}

/// What the pupil changes, by group.
struct Changes<'a> {
    columns: &'a [Column],
    bounds: &'a Bounds,
    claim: f64,
    a: BTreeMap<String, Vec<Datum>>,
    b: BTreeMap<String, Vec<Datum>>,
}

impl Changes<'_> {
    fn check(&self, question: &Question) -> Result<(), String> {
        let place =
            |number: usize| self.columns.iter().position(|column| column.name == format!("m{number}"));
        let mut number = 0;
        for measure in &question.measures {
            if let Some(place) = place(number) {
                self.hold(place, &self.of(|row| self.total(&row[place])))?;
            }
            if measure.mean
                && let Some((count, mean)) = place(number).zip(place(number + 1))
            {
                self.mean(count, mean)?;
            }
            number += measure.columns.len();
        }
        Ok(())
    }

    /// The change of a number in each group of the finest grouping. Keys that are not known beforehand may be hidden on
    /// one side, at the price of δ: they are left out, and so are cells that are not known.
    fn of(&self, number: impl Fn(&[Datum]) -> f64) -> Vec<f64> {
        let finest = |row: &[Datum]| {
            let coarse =
                |(cell, column): (&Datum, &Column)| column.name.starts_with('g') && amount(cell) > 0.0;
            !row.iter().zip(self.columns).any(coarse)
        };
        let both =
            self.a.iter().filter(|(_, row)| finest(row)).filter_map(|(key, a)| Some((a, self.b.get(key)?)));
        let change = |(a, b): (&Vec<Datum>, &Vec<Datum>)| number(b) - number(a);
        both.map(change).map(|change| if change.is_nan() { 0.0 } else { change }).collect()
    }

    /// A cell without pupils is hidden. Beside a total, so are cells that it and the others would give away: not known.
    fn total(&self, cell: &Datum) -> f64 {
        let beside_total = self.columns.iter().any(|column| column.name.starts_with('g'));
        if *cell == Datum::Hidden && beside_total { f64::NAN } else { amount(cell) }
    }

    /// A mean is a sum around the middle of its range, and a count. Where exactly the middle is, to half a step, is not
    /// told: the most favourable place is taken.
    fn mean(&self, count: usize, mean: usize) -> Result<(), String> {
        let Some((low, high)) = self.columns[mean].clipped else { return Ok(()) };
        let middle = (low + high) / 2.0;
        let counts = self.of(|row| self.total(&row[count]));
        let sums = self.of(|row| (self.total(&row[mean]) - middle) * self.total(&row[count]));
        let squares: f64 = counts.iter().map(|count| count * count).sum();
        let both: f64 = counts.iter().zip(&sums).map(|(count, sum)| count * sum).sum();
        let shift = if squares > 0.0 { (both / squares).clamp(-0.5, 0.5) } else { 0.0 };
        let shifted = counts.iter().zip(&sums).map(|(count, sum)| sum - shift * count);
        self.euclidean(mean, &shifted.collect::<Vec<_>>())
    }

    fn hold(&self, place: usize, changes: &[f64]) -> Result<(), String> {
        self.euclidean(place, changes)?;
        let column = &self.columns[place];
        let (Some((low, high)), Some(rows)) = (column.clipped, self.bounds.rows_per_unit) else {
            return Ok(());
        };
        if column.sensitivity.is_none() {
            return Ok(());
        }
        let row = low.abs().max(high.abs());
        let in_group = self.bounds.rows_per_group.unwrap_or(rows) as f64 * row;
        let largest = changes.iter().fold(0.0_f64, |largest, change| largest.max(change.abs()));
        self.at_most(place, "L-infinity", largest, in_group)?;
        self.at_most(place, "L1", changes.iter().map(|change| change.abs()).sum(), rows as f64 * row)?;
        let least = (ROUNDING * row).max(NOISE * column.scale.unwrap_or(0.0));
        let touched = changes.iter().filter(|change| change.abs() > least).count();
        let groups = self.bounds.groups_per_unit.unwrap_or(rows);
        self.at_most(place, "L0", touched as f64, groups as f64)
    }

    fn euclidean(&self, place: usize, changes: &[f64]) -> Result<(), String> {
        let Some(sensitivity) = self.columns[place].sensitivity else { return Ok(()) };
        let changed = changes.iter().map(|change| change * change).sum::<f64>().sqrt();
        self.at_most(place, "L2", changed, sensitivity.l2)
    }

    fn at_most(&self, place: usize, norm: &str, changed: f64, stated: f64) -> Result<(), String> {
        let column = &self.columns[place];
        let noise = NOISE * column.scale.unwrap_or(0.0) * self.a.len() as f64;
        let noise = if noise < 0.2 * ROUNDING * stated.max(1.0) { 0.0 } else { noise };
        if changed <= stated * self.claim * (1.0 + ROUNDING) + noise {
            return Ok(());
        }
        Err(format!("{norm} of {}: changed by {changed}, stated {stated}", column.name))
    }
}
