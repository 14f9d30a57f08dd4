//! [`Tally`]: what the pupils of a part add to the groups of one grouping, within its bounds.

use std::ops::Range;

use datafusion::common::{HashMap, HashSet, Result};
use disclosure_rules::Value;
use disclosure_rules::measure::{Component, Grouping, Quantity};
use disclosure_rules::sensitivity::Contribution;

use super::bounds::{Pupil, within};
use super::numbering::Numbering;
use super::rows::{Adds, MISSING, Mark, Rows};
use super::totals::{Groups, Partial};

/// A grouping, and per component what was added up.
pub(super) struct Tally {
    bound: Contribution,
    numbering: Numbering,
    cells: Vec<Cells>,
    /// The groups of the rows at hand.
    groups: Vec<usize>,
}

impl Tally {
    pub(super) fn new(grouping: &Grouping, components: &[Component]) -> Tally {
        Tally {
            bound: grouping.contribution,
            numbering: Numbering::new(&grouping.keys),
            cells: components.iter().map(Cells::new).collect(),
            groups: Vec::new(),
        }
    }

    pub(super) fn groups(&self) -> usize {
        self.numbering.len()
    }

    pub(super) fn meet(&mut self, key: &[Value], of_key: Mark) -> Result<()> {
        self.numbering.meet(key, of_key)?;
        let groups = self.numbering.len();
        self.cells.iter_mut().for_each(|cells| cells.resize(groups));
        Ok(())
    }

    /// Whether a pupil's rows are within the bounds, as can be told without looking closely.
    pub(super) fn plainly_within(&self, rows: &Rows, of: Range<usize>) -> bool {
        let keys = &rows.keys[of];
        let count = keys.len() as u64;
        let few = count.min(self.numbering.len() as u64) <= self.bound.groups;
        count <= self.bound.rows.min(self.bound.rows_per_group)
            && (few || keys.windows(2).all(|pair| pair[0] == pair[1]))
    }

    /// Adds all rows of some pupils, from each start to the next; `nth` is the first of these pupils.
    pub(super) fn add_stretch(&mut self, nth: u64, rows: &Rows, starts: &[usize]) {
        let (Some(&start), Some(&end)) = (starts.first(), starts.last()) else { return };
        let groups = self.numbering.groups(&rows.keys[start..end], &mut self.groups);
        for (cells, adds) in self.cells.iter_mut().zip(&rows.adds) {
            let adds = &adds[start..end];
            match cells {
                Cells::Sums(totals) => add_sums(totals, groups, adds),
                Cells::Pupils(totals, last) => {
                    for (i, pupil) in starts.windows(2).enumerate() {
                        let pupil = pupil[0] - start..pupil[1] - start;
                        count_pupil(totals, last, nth + i as u64, &groups[pupil.clone()], &adds[pupil]);
                    }
                }
                cells => cells.add(nth, groups.iter().copied().zip(adds.iter().copied())),
            }
        }
    }

    /// Adds the rows of the `nth` pupil that the bounds admit; gives them, unless it is all.
    pub(super) fn add<'a>(
        &mut self,
        nth: u64,
        rows: &Rows,
        of: impl ExactSizeIterator<Item = usize> + Clone,
        pupil: impl FnOnce() -> Pupil<'a>,
    ) -> Option<Vec<usize>> {
        let numbering = &self.numbering;
        let groups = of.clone().map(|row| numbering.group(rows.keys[row]));
        if within(&self.bound, groups, numbering.len()) {
            self.add_rows(nth, rows, of);
            return None;
        }
        let admitted = pupil().admitted(&self.bound, of, numbering);
        self.add_rows(nth, rows, admitted.iter().copied());
        Some(admitted)
    }

    /// Adds rows, component by component.
    fn add_rows(&mut self, nth: u64, rows: &Rows, of: impl Iterator<Item = usize> + Clone) {
        for (cells, adds) in self.cells.iter_mut().zip(&rows.adds) {
            let of = of.clone().map(|row| (self.numbering.group(rows.keys[row]), adds[row]));
            cells.add(nth, of);
        }
    }

    pub(super) fn finish(self, adds: &[Adds]) -> Groups {
        let mut groups: Vec<_> =
            self.numbering.into_keys().into_iter().map(|key| (key, Vec::new())).collect();
        for (cells, adds) in self.cells.into_iter().zip(adds) {
            for ((_, partials), partial) in groups.iter_mut().zip(cells.finish(adds)) {
                partials.push(partial);
            }
        }
        groups.into_iter().collect()
    }

    pub(super) fn size(&self) -> usize {
        let rows = self.groups.capacity() * size_of::<usize>();
        rows + self.numbering.size() + self.cells.iter().map(Cells::size).sum::<usize>()
    }
}

/// One component of all groups.
enum Cells {
    /// Per group its pupils, and the last pupil that was counted.
    Pupils(Vec<i64>, Vec<u64>),
    /// Per group.
    Sums(Vec<i64>),
    /// Per group and index, rows.
    Distribution(usize, HashMap<(u32, i64), u64>),
    /// Per group, the numbers of its values.
    Distinct(usize, HashSet<(u32, u32)>),
}

impl Cells {
    fn new(component: &Component) -> Cells {
        match component.quantity {
            Quantity::Pupils => Cells::Pupils(Vec::new(), Vec::new()),
            Quantity::Rows | Quantity::Sum(_) | Quantity::Product { .. } => Cells::Sums(Vec::new()),
            Quantity::Distinct => Cells::Distinct(0, HashSet::new()),
            Quantity::Distribution(_) => Cells::Distribution(0, HashMap::new()),
        }
    }

    fn resize(&mut self, groups: usize) {
        match self {
            Cells::Pupils(totals, last) => {
                totals.resize(groups, 0);
                last.resize(groups, 0);
            }
            Cells::Sums(totals) => totals.resize(groups, 0),
            Cells::Distribution(count, _) | Cells::Distinct(count, _) => *count = groups,
        }
    }

    /// Adds rows of the `nth` pupil, as group and addition.
    fn add(&mut self, nth: u64, rows: impl Iterator<Item = (usize, i64)>) {
        match self {
            Cells::Pupils(totals, last) => {
                for (group, add) in rows {
                    if add != 0 && last[group] != nth {
                        last[group] = nth;
                        totals[group] += 1;
                    }
                }
            }
            Cells::Sums(totals) => {
                for (group, add) in rows {
                    totals[group] = totals[group].saturating_add(add);
                }
            }
            Cells::Distribution(_, counts) => {
                for (group, add) in rows.filter(|(_, add)| *add != MISSING) {
                    *counts.entry((group as u32, add)).or_default() += 1;
                }
            }
            Cells::Distinct(_, seen) => {
                seen.extend(
                    rows.filter(|(_, add)| *add != MISSING).map(|(group, add)| (group as u32, add as u32)),
                );
            }
        }
    }

    /// Per group.
    fn finish(self, adds: &Adds) -> Vec<Partial> {
        match self {
            Cells::Pupils(totals, _) | Cells::Sums(totals) => {
                totals.into_iter().map(Partial::Number).collect()
            }
            Cells::Distribution(groups, counts) => {
                let mut of_groups = vec![HashMap::new(); groups];
                for ((group, index), rows) in counts {
                    of_groups[group as usize].insert(index, rows);
                }
                of_groups.into_iter().map(Partial::Distribution).collect()
            }
            Cells::Distinct(groups, seen) => {
                let mut of_groups = vec![HashSet::new(); groups];
                for (group, value) in seen {
                    of_groups[group as usize].insert(adds.mark(i64::from(value)));
                }
                of_groups.into_iter().map(Partial::Distinct).collect()
            }
        }
    }

    fn size(&self) -> usize {
        match self {
            Cells::Pupils(totals, _) => totals.len() * 2 * size_of::<i64>(),
            Cells::Sums(totals) => totals.len() * size_of::<i64>(),
            Cells::Distribution(_, counts) => counts.capacity() * size_of::<((u32, i64), u64)>(),
            Cells::Distinct(_, seen) => seen.capacity() * size_of::<(u32, u32)>(),
        }
    }
}

/// Groups that are few enough to be summed apart.
const FEW: usize = 16;

fn add_sums(totals: &mut [i64], groups: &[usize], adds: &[i64]) {
    // A row adds at most 2³¹ in magnitude, and a batch is short: its sums do not overflow.
    match totals {
        [total] => *total = total.saturating_add(adds.iter().fold(0, |sum: i64, add| sum.wrapping_add(*add))),
        // Four sums of each group, so that a row need not wait for the one before.
        few if few.len() <= FEW => {
            let mut sums = [[0_i64; FEW]; 4];
            let (quads, rest) = groups.as_chunks::<4>();
            let (quad_adds, rest_adds) = adds.as_chunks::<4>();
            for (groups, adds) in quads.iter().zip(quad_adds) {
                for i in 0..4 {
                    let sum = &mut sums[i][groups[i] % FEW];
                    *sum = sum.wrapping_add(adds[i]);
                }
            }
            for (group, add) in rest.iter().zip(rest_adds) {
                sums[0][group % FEW] += add;
            }
            for (group, total) in few.iter_mut().enumerate() {
                *total = sums.iter().fold(*total, |total, sums| total.saturating_add(sums[group]));
            }
        }
        many => {
            for (&group, &add) in groups.iter().zip(adds) {
                many[group] = many[group].saturating_add(add);
            }
        }
    }
}

/// Counts the `nth` pupil once in each group that a row adds to.
fn count_pupil(totals: &mut [i64], last: &mut [u64], nth: u64, groups: &[usize], adds: &[i64]) {
    // A pupil's groups as bits, where they are few.
    if totals.len() <= 64 {
        let mut bits =
            groups.iter().zip(adds).fold(0_u64, |bits, (&group, &add)| bits | u64::from(add != 0) << group);
        while bits != 0 {
            totals[bits.trailing_zeros() as usize] += 1;
            bits &= bits - 1;
        }
        return;
    }
    for (&group, &add) in groups.iter().zip(adds) {
        if add != 0 && last[group] != nth {
            last[group] = nth;
            totals[group] += 1;
        }
    }
}
