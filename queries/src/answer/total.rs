//! [`Total`]: one aggregate over released rows, as GROUP BY and windows need it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use disclosure_rules::Value;
use disclosure_rules::release::Hidden;

use super::number::{Identity, compare, interval, is_null, noisy};
use super::sheet::{Presence, Sheet};
use super::table::whole;
use super::{Datum, NULL};
use crate::post::PostFunction;
use crate::tree::Expr;

/// An interval whose sides differ by less than this part of the longer one is taken for a symmetric one.
const SYMMETRIC: f64 = 0.05;

/// An aggregate's argument for every row.
pub(super) struct Arguments {
    /// With intervals that hold row by row; none for COUNT(*).
    single: Option<Vec<Datum>>,
    /// With intervals that hold in all rows of a group together.
    joint: Vec<Datum>,
    /// For COUNT of noisy values.
    presence: Option<Vec<Presence>>,
    /// Whether the noise in different rows is independent.
    independent: bool,
}

/// An aggregate of what was added so far.
#[derive(Debug, Clone)]
pub(super) struct Total {
    function: PostFunction,
    distinct: bool,
    seen: BTreeSet<Identity>,
    count: usize,
    surely: usize,
    possibly: usize,
    by_noise: bool,
    hidden: Option<Hidden>,
    /// While all are whole numbers.
    exact: Option<i128>,
    value: f64,
    below: f64,
    above: f64,
    squares: f64,
    extreme: Datum,
}

impl Total {
    /// An argument of the function over the rows of a sheet, of which at most `rows` are added up.
    pub(super) fn arguments(
        function: PostFunction,
        argument: Option<&Expr>,
        sheet: &Sheet<'_>,
        rows: usize,
    ) -> Arguments {
        let Some(argument) = argument else {
            return Arguments { single: None, joint: Vec::new(), presence: None, independent: false };
        };
        let counts = function == PostFunction::Count && sheet.is_noisy(argument);
        let single = sheet.evaluate(argument);
        Arguments {
            joint: if sheet.is_noisy(argument) && !counts {
                sheet.evaluate_jointly(argument, rows)
            } else {
                single.clone()
            },
            single: Some(single),
            presence: counts.then(|| sheet.presence(argument, rows)),
            independent: sheet.describe(argument).independent,
        }
    }

    pub(super) fn new(function: PostFunction, distinct: bool) -> Total {
        Total {
            function,
            distinct,
            seen: BTreeSet::new(),
            count: 0,
            surely: 0,
            possibly: 0,
            by_noise: false,
            hidden: None,
            exact: Some(0),
            value: 0.0,
            below: 0.0,
            above: 0.0,
            squares: 0.0,
            extreme: NULL,
        }
    }

    pub(super) fn add(&mut self, arguments: &Arguments, row: usize) {
        let Some(single) = &arguments.single else {
            self.count += 1;
            return;
        };
        if let Some(presence) = &arguments.presence {
            self.by_noise = true;
            self.count += usize::from(presence[row].present);
            self.surely += usize::from(presence[row].surely);
            self.possibly += usize::from(presence[row].possibly);
            return;
        }
        let datum = &single[row];
        let repeated = || self.distinct && self.seen.contains(&Identity::of(datum));
        if is_null(datum) || repeated() {
            return;
        }
        if self.distinct {
            self.seen.insert(Identity::of(datum));
        }
        self.count += 1;
        match (datum, self.function) {
            (Datum::Hidden(hidden), _) => self.hidden = Some(*hidden),
            (_, PostFunction::Count) => {}
            (_, PostFunction::Min | PostFunction::Max) => self.compare_with(&arguments.joint[row]),
            (_, PostFunction::Sum | PostFunction::Avg) => {
                self.add_number(datum, &arguments.joint[row], arguments.independent);
            }
        }
    }

    /// Half-widths of independent noise add up in their squares: 1.96 σ of a sum is that of the normal
    /// distribution, and less of Laplace's. Those of noise that is shared, or of a lopsided interval (a count
    /// that ends at 0, a CASE), add up as they are; lopsided ones at a confidence that makes them hold
    /// together.
    fn add_number(&mut self, single: &Datum, joint: &Datum, independent: bool) {
        let (Some((value, low, high)), Some((_, lowest, highest))) = (interval(single), interval(joint))
        else {
            return;
        };
        self.exact = match single {
            Datum::Key(Value::Int(i)) => self.exact.and_then(|sum| sum.checked_add(i128::from(*i))),
            _ => None,
        };
        self.by_noise |= matches!(single, Datum::Noisy { .. });
        self.value += value;
        let (down, up) = (value - low, high - value);
        let symmetric = (up - down).abs() <= SYMMETRIC * up.max(down);
        match (symmetric, independent) {
            (true, true) => self.squares += up.max(down).powi(2),
            (true, false) => (self.below, self.above) = (self.below + down, self.above + up),
            (false, _) => {
                (self.below, self.above) = (self.below + value - lowest, self.above + highest - value);
            }
        }
    }

    fn compare_with(&mut self, joint: &Datum) {
        let least = self.function == PostFunction::Min;
        let pick = if least { f64::min } else { f64::max };
        let is_noisy = |datum: &Datum| matches!(datum, Datum::Noisy { .. });
        if is_null(&self.extreme) {
            self.extreme = joint.clone();
        } else if let (true, Some(a), Some(b)) =
            (is_noisy(&self.extreme) || is_noisy(joint), interval(&self.extreme), interval(joint))
        {
            self.extreme = noisy((pick(a.0, b.0), pick(a.1, b.1), pick(a.2, b.2)));
        } else if compare(joint, &self.extreme)
            == Some(if least { Ordering::Less } else { Ordering::Greater })
        {
            self.extreme = joint.clone();
        }
    }

    /// The aggregate.
    pub(super) fn value(&self) -> Datum {
        match (self.function, self.hidden) {
            (PostFunction::Count, _) if self.by_noise => self.count_between(self.surely, self.possibly),
            (PostFunction::Count, _) => whole(self.count),
            (_, Some(hidden)) => Datum::Hidden(hidden),
            _ if self.count == 0 => NULL,
            (PostFunction::Min | PostFunction::Max, None) => self.extreme.clone(),
            (PostFunction::Sum, None) => match self.exact {
                Some(sum) => i64::try_from(sum).map_or(NULL, |sum| Datum::Key(Value::Int(sum))),
                None => self.number(1.0),
            },
            (PostFunction::Avg, None) => self.number(self.count as f64),
        }
    }

    /// A count of rows that noise chose.
    pub(super) fn count_between(&self, fewest: usize, most: usize) -> Datum {
        noisy((self.count as f64, fewest as f64, most as f64))
    }

    fn number(&self, divisor: f64) -> Datum {
        let value = self.value / divisor;
        if !self.by_noise {
            return if value.is_finite() { Datum::Plain(value) } else { NULL };
        }
        let together = self.squares.sqrt();
        noisy((value, value - (self.below + together) / divisor, value + (self.above + together) / divisor))
    }
}
