//! [`Contributions`]: one streaming pass over the rows of a part, pupil by pupil, which bounds what each adds
//! and adds it up. No table of pupils is kept: when a pupil's last row has gone by, the pupil is forgotten.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use datafusion::common::{Result, internal_err, resources_err};
use datafusion::execution::memory_pool::MemoryReservation;
use disclosure_rules::Value;
use disclosure_rules::measure::{Component, Grouping};
use queries::Stage;

use super::bounds::{Pupil, Secret};
use super::keys::Keys;
use super::race::Race;
use super::rows::{Adds, Mark, Rows};
use super::tally::Tally;
use super::totals::Totals;

/// What a stage adds up, and within which bounds.
#[derive(Debug, Clone)]
pub(super) struct Sums {
    /// The number of keys.
    pub(super) keys: usize,
    /// What is added up per group.
    pub(super) components: Vec<Component>,
    /// The finest first: its bounds decide which rows of a pupil count at all.
    pub(super) groupings: Vec<Grouping>,
    /// Truncation thresholds, where nothing bounds a pupil beforehand.
    pub(super) thresholds: Option<Vec<u64>>,
    /// Most groups of a grouping.
    pub(super) max_groups: u64,
}

impl Sums {
    pub(super) fn of(stage: &Stage) -> Sums {
        Sums {
            keys: stage.keys().len(),
            components: stage.components().to_vec(),
            groupings: stage.groupings().to_vec(),
            thresholds: stage.automatic().map(|automatic| automatic.thresholds()),
            max_groups: stage.max_groups(),
        }
    }
}

/// The rows of a part as they go by.
pub(super) struct Contributions {
    secret: Arc<Secret>,
    keys: Keys,
    adds: Vec<Adds>,
    tallies: Tallies,
    max_groups: u64,
    pupils: u64,
    /// The pupil whose rows are going by.
    unit: Option<[u8; 16]>,
    /// Pupils come in this order.
    last: Option<[u8; 16]>,
    /// The rows of that pupil so far, where they began in an earlier batch.
    pending: Rows,
    batch: Rows,
    memory: MemoryReservation,
}

enum Tallies {
    /// One per grouping.
    Bounded(Vec<Tally>),
    Race(Race),
}

impl Contributions {
    pub(super) fn new(sums: &Sums, secret: Arc<Secret>, memory: MemoryReservation) -> Result<Contributions> {
        let components = &sums.components;
        let tallies = match (&sums.thresholds, sums.groupings.as_slice()) {
            (None, groupings) => {
                Tallies::Bounded(groupings.iter().map(|grouping| Tally::new(grouping, components)).collect())
            }
            (Some(thresholds), [grouping]) => match Race::new(grouping, components, thresholds.clone()) {
                Some(race) => Tallies::Race(race),
                None => return internal_err!("this needs a declared bound"),
            },
            (Some(_), _) => return internal_err!("several groupings need a declared bound"),
        };
        Ok(Contributions {
            secret,
            keys: Keys::of(sums.keys),
            adds: components.iter().map(|component| Adds::new(*component)).collect(),
            tallies,
            max_groups: sums.max_groups,
            pupils: 0,
            unit: None,
            last: None,
            pending: Rows::of(components.len()),
            batch: Rows::of(components.len()),
            memory,
        })
    }

    /// Adds a batch of pseudonym, keys and arguments.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let Some(units) = batch.column(0).as_fixed_size_binary_opt().filter(|units| units.null_count() == 0)
        else {
            return internal_err!("a row of no pupil");
        };
        let (units, []) = units.value_data().as_chunks::<16>() else {
            return internal_err!("length of a pseudonym");
        };
        let (keys, arguments) = batch.columns()[1..].split_at(self.keys.width());
        let tallies = &mut self.tallies;
        self.keys
            .number(keys, batch.num_rows(), &mut self.batch.keys, |key, mark| tallies.meet(key, mark))?;
        for (of, adds) in self.adds.iter_mut().zip(&mut self.batch.adds) {
            of.fill(adds, arguments, batch.num_rows())?;
        }
        let batch = std::mem::take(&mut self.batch);
        let done = self.add_units(units, &batch);
        self.batch = batch;
        done?;
        self.check_limits()
    }

    /// Adds rows, given the pupil of each: at once those of the pupils that are here whole. The first may have begun
    /// before, the last may go on.
    fn add_units(&mut self, units: &[[u8; 16]], rows: &Rows) -> Result<()> {
        let mut starts = starts(units);
        if self.unit.as_ref() == units.first() {
            self.pending.append(rows, 0, starts[1]);
            starts.remove(0);
        }
        let [whole @ .., _] = starts.as_slice() else { return Ok(()) };
        let Some(&last) = whole.last() else { return Ok(()) };
        self.finish_pupil();
        for &start in whole {
            if self.last.as_ref() >= Some(&units[start]) {
                return internal_err!("pupils are out of order");
            }
            self.last = Some(units[start]);
        }
        self.add_pupils(units, rows, whole);
        self.pending.append(rows, last, units.len());
        self.unit = Some(units[last]);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Totals> {
        self.finish_pupil();
        self.check_limits()?;
        Ok(Totals(match self.tallies {
            Tallies::Bounded(tallies) => tallies.into_iter().map(|tally| tally.finish(&self.adds)).collect(),
            Tallies::Race(race) => vec![race.finish()],
        }))
    }

    fn finish_pupil(&mut self) {
        let Some(unit) = self.unit.take() else { return };
        let mut rows = std::mem::take(&mut self.pending);
        self.add_pupil(&unit, &rows, 0..rows.keys.len());
        rows.clear();
        self.pending = rows;
    }

    /// Adds the rows of pupils, from each start to the next: in stretches where all are plainly within the bounds.
    fn add_pupils(&mut self, units: &[[u8; 16]], rows: &Rows, starts: &[usize]) {
        let mut from = 0;
        for (i, ends) in starts.windows(2).enumerate() {
            let all = ends[0]..ends[1];
            if !self.tallies.plainly_within(rows, all.clone()) {
                self.add_stretch(rows, &starts[from..=i]);
                self.add_pupil(&units[all.start], rows, all);
                from = i + 1;
            }
        }
        self.add_stretch(rows, &starts[from..]);
    }

    /// Adds the rows of pupils who are within the bounds, from each start to the next.
    fn add_stretch(&mut self, rows: &Rows, starts: &[usize]) {
        if let Tallies::Bounded(tallies) = &mut self.tallies {
            tallies.iter_mut().for_each(|tally| tally.add_stretch(self.pupils + 1, rows, starts));
            self.pupils += starts.len().saturating_sub(1) as u64;
        }
    }

    /// Adds one pupil's rows, or those of them that the bounds admit.
    fn add_pupil(&mut self, unit: &[u8; 16], rows: &Rows, all: Range<usize>) {
        self.pupils += 1;
        let nth = self.pupils;
        let pupil = || Pupil::new(&self.secret, unit, rows, &self.keys.marks, &self.adds);
        match &mut self.tallies {
            Tallies::Race(race) => race.add(nth, rows, all, pupil),
            Tallies::Bounded(tallies) => {
                let mut tallies = tallies.iter_mut();
                let admitted = tallies.next().and_then(|finest| finest.add(nth, rows, all.clone(), pupil));
                for tally in tallies {
                    match &admitted {
                        None => tally.add(nth, rows, all.clone(), pupil),
                        Some(admitted) => tally.add(nth, rows, admitted.iter().copied(), pupil),
                    };
                }
            }
        }
    }

    fn check_limits(&self) -> Result<()> {
        let (groups, size) = match &self.tallies {
            Tallies::Bounded(tallies) => (
                tallies.iter().map(Tally::groups).max().unwrap_or(0),
                tallies.iter().map(Tally::size).sum::<usize>(),
            ),
            Tallies::Race(race) => (race.groups(), race.size()),
        };
        if groups as u64 > self.max_groups {
            return resources_err!("too many groups");
        }
        let seen = self.keys.size() + self.adds.iter().map(Adds::size).sum::<usize>();
        self.memory.try_resize(size + seen + self.pending.size())
    }
}

impl Tallies {
    fn meet(&mut self, key: &[Value], mark: Mark) -> Result<()> {
        match self {
            Tallies::Bounded(tallies) => tallies.iter_mut().try_for_each(|tally| tally.meet(key, mark)),
            Tallies::Race(race) => race.meet(key, mark),
        }
    }

    /// Whether all rows of a pupil count, as a glance tells.
    fn plainly_within(&self, rows: &Rows, all: Range<usize>) -> bool {
        match self {
            Tallies::Bounded(tallies) => tallies.iter().all(|tally| tally.plainly_within(rows, all.clone())),
            Tallies::Race(_) => false,
        }
    }
}

/// Where each pupil starts, and the end of the last.
fn starts(units: &[[u8; 16]]) -> Vec<usize> {
    let changes = units.windows(2).enumerate().filter(|(_, pair)| pair[0] != pair[1]).map(|(i, _)| i + 1);
    std::iter::once(0).chain(changes).chain([units.len()]).collect()
}
