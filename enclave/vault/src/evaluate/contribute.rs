//! [`Contributions`]: one streaming pass over the rows of a part, pupil by pupil, which bounds what each adds
//! and adds it up. No table of pupils is kept: when a pupil's last row has gone by, the pupil is forgotten.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Field, Schema};
use datafusion::common::{DataFusionError, Result, internal_err, resources_err};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use disclosure_rules::Value;
use disclosure_rules::measure::{Component, Grouping};
use queries::Stage;

use super::bounds::{Pupil, Secret};
use super::numbering::mark_of;
use super::race::Race;
use super::rows::{Adds, Mark, Rows, key_value};
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
        let (keys, arguments) = batch.columns()[1..].split_at(self.keys.width);
        let tallies = &mut self.tallies;
        self.keys
            .number(keys, batch.num_rows(), &mut self.batch.keys, |key, mark| tallies.meet(key, mark))?;
        for (of, adds) in self.adds.iter_mut().zip(&mut self.batch.adds) {
            of.fill(adds, arguments, batch.num_rows())?;
        }
        let mut start = 0;
        while start < batch.num_rows() {
            let unit: [u8; 16] = units
                .value(start)
                .try_into()
                .map_err(|_| DataFusionError::Internal("length of a pseudonym".to_owned()))?;
            let mut end = start + 1;
            while end < batch.num_rows() && units.value(end) == unit {
                end += 1;
            }
            if self.unit != Some(unit) {
                self.finish_pupil();
                if self.last >= Some(unit) {
                    return internal_err!("pupils are out of order");
                }
                (self.unit, self.last) = (Some(unit), Some(unit));
            }
            if self.pending.keys.is_empty() && end < batch.num_rows() {
                // All rows of this pupil are here: no need to copy them.
                let rows = std::mem::take(&mut self.batch);
                self.add_pupil(&unit, &rows, start..end);
                self.batch = rows;
                self.unit = None;
            } else {
                self.pending.append(&self.batch, start, end);
            }
            start = end;
        }
        self.check_limits()
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
}

/// The keys that have been seen, numbered.
struct Keys {
    width: usize,
    numbers: Option<Box<dyn GroupValues>>,
    marks: Vec<Mark>,
}

impl Keys {
    fn of(width: usize) -> Keys {
        Keys { width, numbers: None, marks: Vec::new() }
    }

    /// Numbers the keys of rows, and says which are new.
    fn number(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        numbers: &mut Vec<usize>,
        mut meet: impl FnMut(&[Value], Mark) -> Result<()>,
    ) -> Result<()> {
        numbers.clear();
        if columns.is_empty() {
            numbers.resize(rows, 0);
        } else {
            let interner = match &mut self.numbers {
                Some(interner) => interner,
                interner => {
                    let field = |column: &ArrayRef| Field::new("", column.data_type().clone(), true);
                    let fields: Vec<_> = columns.iter().map(field).collect();
                    interner.insert(new_group_values(Arc::new(Schema::new(fields)), &GroupOrdering::None)?)
                }
            };
            interner.intern(columns, numbers)?;
        }
        for (row, &number) in numbers.iter().enumerate() {
            if number == self.marks.len() {
                let key = columns.iter().map(|column| key_value(column, row)).collect::<Result<Vec<_>>>()?;
                let mark = mark_of(&key);
                self.marks.push(mark);
                meet(&key, mark)?;
            }
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.marks.capacity() * size_of::<Mark>() + self.numbers.as_ref().map_or(0, |numbers| numbers.size())
    }
}
