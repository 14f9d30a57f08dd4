//! [`Race`]: totals under every truncation threshold at once, where nothing bounds a pupil beforehand. One
//! addition per row or pupil: what a pupil adds goes to the first threshold that admits it, and the sums of
//! all up to a threshold are its total (Dong, Fang, Yi, Tao and Machanavajjhala, SIGMOD 2022, need no more of
//! a sum over rows that each belong to one pupil).

use datafusion::common::Result;
use disclosure_rules::Value;
use disclosure_rules::measure::{Component, Grouping, Quantity};
use disclosure_rules::sensitivity::Contribution;

use super::bounds::{Pupil, within};
use super::numbering::Numbering;
use super::rows::{Mark, Rows};
use super::totals::{Groups, Partial};

/// One grouping, under thresholds in ascending order.
pub(super) struct Race {
    thresholds: Vec<u64>,
    bound: Contribution,
    numbering: Numbering,
    cells: Vec<Cells>,
}

/// One component.
enum Cells {
    /// Without keys a threshold truncates what a pupil adds in all.
    Whole {
        pupils: bool,
        /// Per threshold, the sum over the pupils that it is the first to admit whole; last, those of none.
        sums: Vec<i64>,
        /// Per threshold, the number of these pupils.
        counts: Vec<i64>,
    },
    /// With keys a threshold admits so many rows of a pupil. Per group and threshold, the sum over the rows
    /// that the threshold is the first to admit.
    Rows(Vec<i64>),
    /// The same, of a pupil's first row in a group; and per group the last pupil that was counted.
    Pupils(Vec<i64>, Vec<u64>),
}

impl Race {
    /// `None` where a component does not simply grow with a pupil's rows.
    pub(super) fn new(grouping: &Grouping, components: &[Component], thresholds: Vec<u64>) -> Option<Race> {
        if thresholds.is_empty() {
            return None;
        }
        let keyed = grouping.keys.contains(&true);
        let cells = |component: &Component| {
            let pupils = match component.quantity {
                Quantity::Pupils => true,
                Quantity::Rows | Quantity::Sum(_) => false,
                _ => return None,
            };
            Some(match (keyed, pupils) {
                (false, pupils) => {
                    let slots = vec![0; thresholds.len() + 1];
                    Cells::Whole { pupils, sums: slots.clone(), counts: slots }
                }
                (true, true) => Cells::Pupils(Vec::new(), Vec::new()),
                (true, false) => Cells::Rows(Vec::new()),
            })
        };
        Some(Race {
            bound: grouping.contribution,
            numbering: Numbering::new(&grouping.keys),
            cells: components.iter().map(cells).collect::<Option<_>>()?,
            thresholds,
        })
    }

    pub(super) fn groups(&self) -> usize {
        self.numbering.len()
    }

    pub(super) fn meet(&mut self, key: &[Value], of_key: Mark) -> Result<()> {
        self.numbering.meet(key, of_key)?;
        let (groups, thresholds) = (self.numbering.len(), self.thresholds.len());
        for cells in &mut self.cells {
            match cells {
                Cells::Whole { .. } => {}
                Cells::Rows(slots) => slots.resize(groups * thresholds, 0),
                Cells::Pupils(slots, last) => {
                    slots.resize(groups * thresholds, 0);
                    last.resize(groups, 0);
                }
            }
        }
        Ok(())
    }

    /// Adds the rows of the `nth` pupil.
    pub(super) fn add<'a>(
        &mut self,
        nth: u64,
        rows: &Rows,
        of: impl ExactSizeIterator<Item = usize> + Clone,
        pupil: impl FnOnce() -> Pupil<'a>,
    ) {
        if self.cells.iter().all(|cells| matches!(cells, Cells::Whole { .. })) {
            self.add_whole(rows, of);
        } else if of.len() == 1 {
            self.add_ranked(nth, rows, of);
        } else {
            let numbering = &self.numbering;
            let groups = of.clone().map(|row| numbering.group(rows.keys[row]));
            let ranked = if within(&self.bound, groups, numbering.len()) {
                pupil().ranked(of)
            } else {
                pupil().admitted(&self.bound, of, numbering)
            };
            self.add_ranked(nth, rows, ranked.into_iter());
        }
    }

    fn add_whole(&mut self, rows: &Rows, of: impl Iterator<Item = usize> + Clone) {
        for (cells, adds) in self.cells.iter_mut().zip(&rows.adds) {
            let Cells::Whole { pupils, sums, counts } = cells else { continue };
            let sum = of.clone().fold(0_i64, |sum, row| sum.saturating_add(adds[row])).max(0);
            let sum = if *pupils { sum.min(1) } else { sum };
            let first = self.thresholds.partition_point(|threshold| *threshold < sum.unsigned_abs());
            sums[first] = sums[first].saturating_add(sum);
            counts[first] += 1;
        }
    }

    /// Adds rows in the order of their ranks: the first threshold takes so many, the next goes on from there.
    fn add_ranked(&mut self, nth: u64, rows: &Rows, of: impl Iterator<Item = usize> + Clone) {
        let width = self.thresholds.len();
        for (cells, adds) in self.cells.iter_mut().zip(&rows.adds) {
            let mut first = 0;
            for (rank, row) in of.clone().enumerate() {
                while first < width && self.thresholds[first] <= rank as u64 {
                    first += 1;
                }
                if first == width {
                    break;
                }
                let group = self.numbering.group(rows.keys[row]);
                match cells {
                    Cells::Whole { .. } => {}
                    Cells::Rows(slots) => {
                        let slot = &mut slots[group * width + first];
                        *slot = slot.saturating_add(adds[row]);
                    }
                    Cells::Pupils(slots, last) => {
                        if adds[row] != 0 && last[group] != nth {
                            last[group] = nth;
                            slots[group * width + first] += 1;
                        }
                    }
                }
            }
        }
    }

    pub(super) fn finish(self) -> Groups {
        let width = self.thresholds.len();
        let mut groups: Vec<_> =
            self.numbering.into_keys().into_iter().map(|key| (key, Vec::new())).collect();
        for cells in self.cells {
            match cells {
                Cells::Whole { sums, counts, .. } => {
                    let truncated = truncated(&self.thresholds, &sums, &counts);
                    groups
                        .iter_mut()
                        .for_each(|(_, partials)| partials.push(Partial::Truncated(truncated.clone())));
                }
                Cells::Rows(slots) | Cells::Pupils(slots, _) => {
                    for ((_, partials), slots) in groups.iter_mut().zip(slots.chunks(width)) {
                        partials.push(Partial::Truncated(running(slots)));
                    }
                }
            }
        }
        groups.into_iter().collect()
    }

    pub(super) fn size(&self) -> usize {
        let slots = self.cells.len() * self.numbering.len() * (self.thresholds.len() + 1);
        self.numbering.size() + slots * size_of::<i64>()
    }
}

fn running(slots: &[i64]) -> Vec<i64> {
    let sums = slots.iter().scan(0_i64, |sum, slot| {
        *sum = sum.saturating_add(*slot);
        Some(*sum)
    });
    sums.collect()
}

/// Per threshold: what the pupils that it admits whole add, and itself for each other pupil.
fn truncated(thresholds: &[u64], sums: &[i64], counts: &[i64]) -> Vec<i64> {
    let pupils: i64 = counts.iter().sum();
    let admitted = running(sums).into_iter().zip(running(counts));
    let thresholds = thresholds.iter().map(|threshold| i64::try_from(*threshold).unwrap_or(i64::MAX));
    let totals = thresholds.zip(admitted);
    totals.map(|(most, (sum, whole))| sum.saturating_add(most.saturating_mul(pupils - whole))).collect()
}
