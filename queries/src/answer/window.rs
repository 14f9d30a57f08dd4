//! Window functions over released rows.

use disclosure_rules::Value;

use super::rank::{self, Place};
use super::sheet::Sheet;
use super::table::{Input, Table, compare_rows, partitions, whole};
use super::total::{Arguments, Total};
use super::{Datum, NULL};
use crate::post::{PostFunction, PostWindow, PostWindowFunction};
use crate::tree::{Expr, Frame, Literal};

/// The rows of a partition, in order.
struct Partition<'a> {
    call: &'a PostWindow,
    /// The keys of ORDER BY, for every row of the table.
    order: &'a [Vec<Datum>],
    /// Which of them noise enters.
    noisy: &'a [bool],
    rows: Vec<usize>,
}

/// The function's value for every row of a table.
pub(super) fn window(call: &PostWindow, read: &Table, input: &Input<'_>) -> Vec<Datum> {
    let sheet = Sheet::new(&read.shape, &read.rows, input);
    let by: Vec<Vec<Datum>> = call.partition.iter().map(|expr| sheet.evaluate(expr)).collect();
    let parts = partitions(&by, read.rows.len());
    let largest = parts.iter().map(Vec::len).max().unwrap_or(0);
    let order: Vec<Vec<Datum>> =
        call.order.iter().map(|key| sheet.evaluate_jointly(&key.by, largest)).collect();
    let noisy: Vec<bool> = call.order.iter().map(|key| sheet.is_noisy(&key.by)).collect();
    let args: Vec<Vec<Datum>> = call.args.iter().map(|arg| sheet.evaluate(arg)).collect();
    let added = match call.function {
        PostWindowFunction::Aggregate(function) => {
            let reach = match call.frame {
                Frame::Rows(Some(before), Some(after)) => {
                    usize::try_from(before.saturating_add(after).saturating_add(1)).unwrap_or(0)
                }
                _ => usize::MAX,
            };
            Some((function, Total::arguments(function, call.args.first(), &sheet, largest.min(reach))))
        }
        _ => None,
    };
    let most = if read.shape.chosen.is_empty() { None } else { Some(read.most) };
    let mut values = vec![NULL; read.rows.len()];
    for mut rows in parts {
        rows.sort_by(|&a, &b| compare_rows(&call.order, &order, a, b));
        let partition = Partition { call, order: &order, noisy: &noisy, rows };
        let found = match &added {
            Some((function, arguments)) => partition.aggregates(*function, arguments, most),
            None if is_navigation(call.function) => partition.neighbours(&args),
            None => partition.ranks(),
        };
        partition.rows.iter().zip(found).for_each(|(row, datum)| values[*row] = datum);
    }
    values
}

fn is_navigation(function: PostWindowFunction) -> bool {
    matches!(
        function,
        PostWindowFunction::Lag
            | PostWindowFunction::Lead
            | PostWindowFunction::FirstValue
            | PostWindowFunction::LastValue
    )
}

impl Partition<'_> {
    fn is_by_noise(&self) -> bool {
        self.noisy.contains(&true)
    }

    /// Of what is shown: a row whose place a hidden cell decides has none.
    fn ranks(&self) -> Vec<Datum> {
        let first = self.noisy.iter().position(|noisy| *noisy);
        let hidden = |row: &usize| match first.map(|key| &self.order[key][*row]) {
            Some(Datum::Hidden(hidden)) => Some(Datum::Hidden(*hidden)),
            _ => None,
        };
        let shown: Vec<usize> = self.rows.iter().copied().filter(|row| hidden(row).is_none()).collect();
        let places = rank::places(&self.call.order, self.order, self.noisy, &shown);
        let mut found = places.iter().map(|place| self.rank(place, shown.len()));
        self.rows.iter().map(|row| hidden(row).or_else(|| found.next()).unwrap_or(NULL)).collect()
    }

    fn rank(&self, place: &Place, rows: usize) -> Datum {
        let by_noise = self.is_by_noise();
        let part = |datum: Datum| match datum {
            Datum::Noisy { value, .. } if !by_noise => Datum::Plain(value),
            other => other,
        };
        match self.call.function {
            PostWindowFunction::RowNumber => place.number.datum(by_noise),
            PostWindowFunction::Rank => place.rank.datum(by_noise),
            PostWindowFunction::DenseRank => place.dense.datum(by_noise),
            PostWindowFunction::PercentRank => {
                let others = rows.saturating_sub(1).max(1) as f64;
                part(place.rank.number(|rank| (rank - 1) as f64 / others))
            }
            PostWindowFunction::CumeDist => part(place.upto.number(|upto| upto as f64 / rows as f64)),
            PostWindowFunction::Ntile => {
                let tiles =
                    self.constant(0).and_then(|tiles| usize::try_from(tiles).ok()).unwrap_or(1).max(1);
                match part(place.number.number(|number| tile(number, rows, tiles) as f64)) {
                    Datum::Plain(tile) => whole(tile as usize),
                    datum => datum,
                }
            }
            _ => NULL,
        }
    }

    fn constant(&self, arg: usize) -> Option<i64> {
        match self.call.args.get(arg) {
            Some(Expr::Literal(Literal::Value(Value::Int(n)))) => Some(*n),
            _ => None,
        }
    }

    /// What stands in another row, in the order that was released.
    fn neighbours(&self, args: &[Vec<Datum>]) -> Vec<Datum> {
        let Some(wanted) = args.first() else { return vec![NULL; self.rows.len()] };
        let offset = self.constant(1).unwrap_or(1);
        let frames = self.frames();
        let moved = |place: usize, by: Option<i64>| {
            let to = i64::try_from(place).ok()?.checked_add(by?)?;
            self.rows.get(usize::try_from(to).ok()?)
        };
        let of_row = |place: usize| {
            let (start, end) = frames[place];
            let row = match self.call.function {
                PostWindowFunction::Lag => moved(place, offset.checked_neg()),
                PostWindowFunction::Lead => moved(place, Some(offset)),
                _ if start >= end => return NULL,
                PostWindowFunction::FirstValue => self.rows.get(start),
                _ => self.rows.get(end - 1),
            };
            let otherwise = || args.get(2).map_or(NULL, |column| column[self.rows[place]].clone());
            row.map_or_else(otherwise, |row| wanted[*row].clone())
        };
        (0..self.rows.len()).map(of_row).collect()
    }

    /// Start and end of every row's frame.
    fn frames(&self) -> Vec<(usize, usize)> {
        let count = self.rows.len();
        let moved = |place: usize, by: i64| {
            let to = i64::try_from(place).unwrap_or(i64::MAX).saturating_add(by);
            usize::try_from(to).unwrap_or(0).min(count)
        };
        match self.call.frame {
            Frame::Whole => vec![(0, count); count],
            Frame::RangeToCurrent => {
                let mut frames = Vec::with_capacity(count);
                let mut end = 0;
                for (place, row) in self.rows.iter().enumerate() {
                    if place == end {
                        let peers = self.rows[place..].iter();
                        let peer = |a: usize| compare_rows(&self.call.order, self.order, a, *row).is_eq();
                        end += peers.take_while(|other| peer(**other)).count();
                    }
                    frames.push((0, end));
                }
                frames
            }
            Frame::Rows(before, after) => (0..count)
                .map(|place| {
                    let start = before.map_or(0, |before| moved(place, before.saturating_neg()));
                    let end = after.map_or(count, |after| moved(place, after.saturating_add(1)));
                    (start, end)
                })
                .collect(),
        }
    }

    /// `most`: how many rows there could be, where noise chose them.
    fn aggregates(&self, function: PostFunction, arguments: &Arguments, most: Option<usize>) -> Vec<Datum> {
        let totals = self.totals(function, arguments);
        let placed = self.is_by_noise() && self.call.frame != Frame::Whole;
        if function != PostFunction::Count || (most.is_none() && !placed) {
            return totals.iter().map(Total::value).collect();
        }
        let most = most.unwrap_or(self.rows.len());
        totals.iter().map(|total| total.count_between(0, most)).collect()
    }

    /// One pass where frames begin with the partition or end with it.
    fn totals(&self, function: PostFunction, arguments: &Arguments) -> Vec<Total> {
        let frames = self.frames();
        let nothing = || Total::new(function, false);
        if frames.iter().all(|frame| frame.0 == 0) {
            let (mut total, mut next) = (nothing(), 0);
            let upto = |&(_, end): &(usize, usize)| {
                while next < end {
                    total.add(arguments, self.rows[next]);
                    next += 1;
                }
                total.clone()
            };
            return frames.iter().map(upto).collect();
        }
        if frames.iter().all(|frame| frame.1 == self.rows.len()) {
            let (mut total, mut next) = (nothing(), self.rows.len());
            let from = |&(start, _): &(usize, usize)| {
                while next > start {
                    next -= 1;
                    total.add(arguments, self.rows[next]);
                }
                total.clone()
            };
            let mut totals: Vec<Total> = frames.iter().rev().map(from).collect();
            totals.reverse();
            return totals;
        }
        let of_frame = |&(start, end): &(usize, usize)| {
            let mut total = nothing();
            let rows = self.rows.get(start..end).unwrap_or_default();
            rows.iter().for_each(|row| total.add(arguments, *row));
            total
        };
        frames.iter().map(of_frame).collect()
    }
}

/// The bucket of a row: the first buckets hold one row more where they are not equal.
fn tile(number: usize, rows: usize, tiles: usize) -> usize {
    let (size, larger) = (rows / tiles, rows % tiles);
    let in_larger = larger * (size + 1);
    if number <= in_larger {
        (number - 1) / (size + 1) + 1
    } else {
        larger + (number - 1 - in_larger) / size.max(1) + 1
    }
}
