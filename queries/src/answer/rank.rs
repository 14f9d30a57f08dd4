//! Places of rows in an order that noise may have chosen.
//!
//! Where noisy values order the rows, a place comes with the places that are possible while the intervals of
//! all compared cells hold at once (Klein, Wright and Wieczorek 2020, *A joint confidence region for an
//! overall ranking of populations*): at least those rows stand before another whose intervals lie wholly
//! before its own.

use std::collections::BTreeMap;

use disclosure_rules::Value;

use super::Datum;
use super::number::{interval, is_null, noisy};
use super::table::{compare_rows, whole};
use crate::tree::OrderKey;

/// A number with the least and the greatest that it could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    value: usize,
    low: usize,
    high: usize,
}

/// Where a row stands among those that are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// ROW_NUMBER.
    pub(super) number: Count,
    /// RANK.
    pub(super) rank: Count,
    /// DENSE_RANK.
    pub(super) dense: Count,
    /// Rows up to the last of its peers.
    pub(super) upto: Count,
}

impl Count {
    /// As it was released.
    fn exactly(value: usize) -> Count {
        Count { value, low: value, high: value }
    }

    /// As a whole number; `by_noise` where noise ordered the rows.
    pub(super) fn datum(self, by_noise: bool) -> Datum {
        if by_noise { self.number(|n| n as f64) } else { whole(self.value) }
    }

    /// What rises with it.
    pub(super) fn number(self, rising: impl Fn(usize) -> f64) -> Datum {
        noisy((rising(self.value), rising(self.low), rising(self.high)))
    }
}

/// The places of sorted `rows`. `columns` are the order's keys with intervals that hold together, `noisy`
/// says which of them noise enters.
pub(super) fn places(by: &[OrderKey], columns: &[Vec<Datum>], noisy: &[bool], rows: &[usize]) -> Vec<Place> {
    let mut places = as_released(by, columns, rows);
    let Some(key) = noisy.iter().position(|noisy| *noisy) else { return places };
    let ties = if noisy[key + 1..].contains(&true) {
        Ties::Unknown
    } else if key + 1 < by.len() {
        Ties::Parted
    } else {
        Ties::Peers
    };
    let class = |row: usize| match &columns[key][row] {
        Datum::Key(Value::Null) => Class::Null,
        datum if interval(datum).is_some() => Class::Number,
        _ => Class::Other,
    };
    let (mut start, mut dense) = (0, (0, 0));
    while start < rows.len() {
        // Rows that differ before the noisy key, or of which one has no number, are surely in this order.
        let first = rows[start];
        let same = |row: &usize| {
            compare_rows(&by[..key], columns, first, *row).is_eq() && class(first) == class(*row)
        };
        let end = start + rows[start..].iter().take_while(|row| same(row)).count();
        let ends: Vec<(f64, f64)> =
            rows[start..end].iter().map(|row| ascending(&by[key], &columns[key][*row])).collect();
        let (least, most) = bound(&mut places[start..end], &ends, ties, start, dense);
        dense = (dense.0 + least, dense.1 + most);
        start = end;
    }
    places
}

/// What becomes of rows whose noisy keys are surely equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ties {
    /// They are peers.
    Peers,
    /// Keys without noise order them.
    Parted,
    /// More noise does.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Null,
    Number,
    Other,
}

fn as_released(by: &[OrderKey], columns: &[Vec<Datum>], rows: &[usize]) -> Vec<Place> {
    let peers = |a: usize, b: usize| compare_rows(by, columns, a, b).is_eq();
    let mut places: Vec<Place> = Vec::with_capacity(rows.len());
    let (mut rank, mut dense, mut upto) = (0, 0, 0);
    for (i, row) in rows.iter().enumerate() {
        if i == upto {
            rank = i + 1;
            dense += 1;
            upto = i + rows[i..].iter().take_while(|other| peers(*row, **other)).count();
        }
        places.push(Place {
            number: Count::exactly(i + 1),
            rank: Count::exactly(rank),
            dense: Count::exactly(dense),
            upto: Count::exactly(upto),
        });
    }
    places
}

/// The interval of a row's key, turned round where it descends. NULLs are alike; of what is no number, all is
/// open.
fn ascending(by: &OrderKey, datum: &Datum) -> (f64, f64) {
    let open = (f64::NEG_INFINITY, f64::INFINITY);
    let (low, high) = match interval(datum) {
        Some((_, low, high)) => (low, high),
        None => return if is_null(datum) { (0.0, 0.0) } else { open },
    };
    if by.descending { (-high, -low) } else { (low, high) }
}

/// Bounds the places of rows that only their intervals tell apart; `before` rows stand surely before them.
/// Returns the least and greatest number of different values among them.
fn bound(
    places: &mut [Place],
    ends: &[(f64, f64)],
    ties: Ties,
    before: usize,
    dense: (usize, usize),
) -> (usize, usize) {
    let sorted = |end: fn(&(f64, f64)) -> f64| {
        let mut ends: Vec<f64> = ends.iter().map(end).collect();
        ends.sort_by(f64::total_cmp);
        ends
    };
    let (lows, highs) = (sorted(|end| end.0), sorted(|end| end.1));
    let apart = disjoint(ends);
    // Peers have one value between them.
    let mut different = ends.to_vec();
    different.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    if ties == Ties::Peers {
        let is_point = |end: &(f64, f64)| end.0.total_cmp(&end.1).is_eq();
        different.dedup_by(|a, b| is_point(a) && is_point(b) && a == b);
    }
    let tied = tied(places, ends, ties);
    for ((place, &(low, high)), tied) in places.iter_mut().zip(ends).zip(tied) {
        let surely = highs.partition_point(|other| *other < low);
        // Rows that are not surely after this one, which is one of them. At a tie, later keys decide, or
        // nothing does.
        let not_after = lows.partition_point(|other| *other <= high) - 1;
        let possibly = lows.partition_point(|other| *other < high) - usize::from(low < high);
        let ahead = if ties == Ties::Peers { possibly } else { not_after - tied.from_peers };
        let widen = |count: &mut Count, low: usize, high: usize| {
            (count.low, count.high) = (low.min(count.value), high.max(count.value));
        };
        let sure = before + surely;
        widen(&mut place.number, sure + tied.before + 1, before + not_after - tied.after + 1);
        widen(&mut place.rank, sure + tied.before_peers + 1, before + ahead + 1);
        widen(&mut place.upto, sure + tied.upto_peers.max(1), before + not_after - tied.after_peers + 1);
        let least = apart.partition_point(|end| *end < low);
        let most = different.partition_point(|other| other.0 < high) - usize::from(low < high);
        let most = if ties == Ties::Peers { most } else { ahead };
        widen(&mut place.dense, dense.0 + least + 1, dense.1 + most + 1);
    }
    (apart.len(), different.len())
}

/// Of the rows that are surely equal to one in the noisy key: how many stand where.
#[derive(Debug, Clone, Copy, Default)]
struct Tied {
    before: usize,
    after: usize,
    before_peers: usize,
    /// Its other peers, and those after them.
    from_peers: usize,
    /// With itself.
    upto_peers: usize,
    after_peers: usize,
}

fn tied(places: &[Place], ends: &[(f64, f64)], ties: Ties) -> Vec<Tied> {
    let mut found = vec![Tied::default(); ends.len()];
    if ties == Ties::Unknown {
        return found;
    }
    let mut points: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (row, (low, high)) in ends.iter().enumerate() {
        if low.total_cmp(high).is_eq() {
            points.entry(low.to_bits()).or_default().push(row);
        }
    }
    for rows in points.into_values() {
        let rank = |row: &usize| places[*row].rank.value;
        for (i, row) in rows.iter().enumerate() {
            let before_peers = rows.partition_point(|other| rank(other) < rank(row));
            let upto_peers = rows.partition_point(|other| rank(other) <= rank(row));
            found[*row] = Tied {
                before: i,
                after: rows.len() - 1 - i,
                before_peers,
                from_peers: rows.len() - 1 - before_peers,
                upto_peers,
                after_peers: rows.len() - upto_peers,
            };
        }
    }
    found
}

/// Ends of the most intervals of which no two meet: so many different values there are at least.
fn disjoint(ends: &[(f64, f64)]) -> Vec<f64> {
    let mut by_end = ends.to_vec();
    by_end.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut chosen: Vec<f64> = Vec::new();
    for (low, high) in by_end {
        if chosen.last().is_none_or(|last| *last < low) {
            chosen.push(high);
        }
    }
    chosen
}
