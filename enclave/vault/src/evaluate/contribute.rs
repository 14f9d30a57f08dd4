//! [`Contributions`]: one streaming pass over the rows of a part, pupil by pupil, which bounds what each adds and
//! adds it up. No table of pupils is kept: when a pupil's last row has gone by, the pupil is forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Field, Float64Type, Int64Type, Schema, UInt32Type};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::EmitTo;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use disclosure_rules::Value;
use disclosure_rules::measure::{Component, Quantity};
use disclosure_rules::sensitivity::Contribution;
use queries::PrivatePlan;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Decides, for one release, which rows and groups of an over-contributing pupil are kept.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Secret([u8; 32]);

impl Secret {
    pub(super) fn fresh() -> Result<Secret, ring::error::Unspecified> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes)?;
        Ok(Secret(bytes))
    }

    fn rank(&self, what: &[u8], unit: &[u8], of: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.0)
            .chain_update(what)
            .chain_update(unit)
            .chain_update(of)
            .finalize()
            .into()
    }
}

/// Totals per group.
#[derive(Default)]
pub(super) struct Totals(BTreeMap<Vec<Value>, Vec<i64>>);

impl Totals {
    pub(super) fn groups(&self) -> usize {
        self.0.len()
    }

    pub(super) fn merge(&mut self, other: Totals) {
        for (key, totals) in other.0 {
            match self.0.get_mut(&key) {
                Some(own) => {
                    own.iter_mut().zip(totals).for_each(|(own, more)| *own = own.saturating_add(more))
                }
                None => drop(self.0.insert(key, totals)),
            }
        }
    }

    pub(super) fn into_groups(self) -> Vec<(Vec<Value>, Vec<i64>)> {
        self.0.into_iter().collect()
    }
}

/// Rows of one pupil, in columns.
#[derive(Default)]
struct Rows {
    groups: Vec<usize>,
    /// The row's number within its pupil.
    numbers: Vec<u32>,
    /// Per component, what the row adds.
    adds: Vec<Vec<i64>>,
}

pub(super) struct Contributions {
    bound: Contribution,
    components: Vec<Component>,
    keys: usize,
    secret: Arc<Secret>,
    interner: Option<Box<dyn GroupValues>>,
    /// Per group, a digest of its key: unlike its number, independent of other pupils.
    group_digests: Vec<[u8; 32]>,
    /// Per group and component.
    totals: Vec<i64>,
    /// Per group and component, the last pupil that was counted.
    counted: Vec<u64>,
    pupils: u64,
    /// The pupil whose rows are going by.
    unit: Option<[u8; 16]>,
    pending: Rows,
    batch: Rows,
}

impl Contributions {
    pub(super) fn new(plan: &PrivatePlan, secret: Arc<Secret>) -> Result<Contributions> {
        let components = plan.components().to_vec();
        let rows = || Rows { adds: vec![Vec::new(); components.len()], ..Rows::default() };
        Ok(Contributions {
            bound: plan.contribution(),
            keys: plan.keys().len(),
            secret,
            interner: None,
            group_digests: Vec::new(),
            totals: Vec::new(),
            counted: Vec::new(),
            pupils: 0,
            unit: None,
            pending: rows(),
            batch: rows(),
            components,
        })
    }

    /// Adds a batch of pseudonym, row number, keys and arguments.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.intern(batch)?;
        let units = batch.column(0).as_fixed_size_binary();
        self.batch.numbers.clear();
        self.batch.numbers.extend_from_slice(batch.column(1).as_primitive::<UInt32Type>().values());
        for (component, adds) in self.components.iter().zip(&mut self.batch.adds) {
            let argument = component.argument.map(|argument| batch.column(2 + self.keys + argument));
            fill(adds, component.quantity, argument, batch.num_rows())?;
        }
        let mut start = 0;
        while start < batch.num_rows() {
            let unit: [u8; 16] = units.value(start).try_into().unwrap_or_default();
            let mut end = start + 1;
            while end < batch.num_rows() && units.value(end) == unit {
                end += 1;
            }
            if self.unit != Some(unit) {
                self.finish_pupil();
                self.unit = Some(unit);
            }
            if self.pending.groups.is_empty() && end < batch.num_rows() {
                // All rows of this pupil are here: no need to copy them.
                let rows = std::mem::take(&mut self.batch);
                self.add_pupil(&unit, &rows, start, end);
                self.batch = rows;
                self.unit = None;
            } else {
                self.pending.groups.extend_from_slice(&self.batch.groups[start..end]);
                self.pending.numbers.extend_from_slice(&self.batch.numbers[start..end]);
                for (pending, batch) in self.pending.adds.iter_mut().zip(&self.batch.adds) {
                    pending.extend_from_slice(&batch[start..end]);
                }
            }
            start = end;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Totals> {
        self.finish_pupil();
        let width = self.components.len();
        let columns = match &mut self.interner {
            Some(interner) => interner.emit(EmitTo::All)?,
            None => vec![],
        };
        let mut totals = Totals::default();
        for (group, sums) in self.totals.chunks(width).enumerate() {
            let key = columns.iter().map(|column| key_value(column, group)).collect::<Result<_>>()?;
            totals.0.insert(key, sums.to_vec());
        }
        Ok(totals)
    }

    /// Numbers the groups of a batch's rows.
    fn intern(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = &batch.columns()[2..2 + self.keys];
        self.batch.groups.clear();
        if columns.is_empty() {
            self.batch.groups.resize(batch.num_rows(), 0);
        } else {
            if self.interner.is_none() {
                let fields: Vec<_> =
                    columns.iter().map(|c| Field::new("", c.data_type().clone(), true)).collect();
                self.interner = Some(new_group_values(Arc::new(Schema::new(fields)), &GroupOrdering::None)?);
            }
            let Some(interner) = &mut self.interner else { return internal_err!("no groups") };
            interner.intern(columns, &mut self.batch.groups)?;
        }
        for (row, &group) in self.batch.groups.iter().enumerate() {
            if group == self.group_digests.len() {
                let key = columns.iter().map(|column| key_value(column, row)).collect::<Result<Vec<_>>>()?;
                self.group_digests.push(Sha256::digest(format!("{key:?}").as_bytes()).into());
                self.totals.resize(self.totals.len() + self.components.len(), 0);
                self.counted.resize(self.totals.len(), 0);
            }
        }
        Ok(())
    }

    fn finish_pupil(&mut self) {
        let Some(unit) = self.unit.take() else { return };
        let mut rows = std::mem::take(&mut self.pending);
        self.add_pupil(&unit, &rows, 0, rows.groups.len());
        rows.groups.clear();
        rows.numbers.clear();
        rows.adds.iter_mut().for_each(Vec::clear);
        self.pending = rows;
    }

    /// Adds one pupil's rows `start..end` of `rows`, or those of them that the bounds admit.
    fn add_pupil(&mut self, unit: &[u8; 16], rows: &Rows, start: usize, end: usize) {
        self.pupils += 1;
        if self.within_bounds(&rows.groups[start..end]) {
            self.add_rows(rows, start..end);
        } else {
            let chosen = self.choose(unit, rows, start, end);
            self.add_rows(rows, chosen.iter().copied());
        }
    }

    /// Adds rows of one pupil, component by component.
    fn add_rows(&mut self, rows: &Rows, of: impl Iterator<Item = usize> + Clone) {
        let width = self.components.len();
        for (i, component) in self.components.iter().enumerate() {
            let adds = &rows.adds[i];
            match component.quantity {
                Quantity::Pupils => {
                    for row in of.clone() {
                        let at = rows.groups[row] * width + i;
                        if adds[row] != 0 && self.counted[at] != self.pupils {
                            self.counted[at] = self.pupils;
                            self.totals[at] += 1;
                        }
                    }
                }
                Quantity::Rows | Quantity::Sum(_) => {
                    for row in of.clone() {
                        let total = &mut self.totals[rows.groups[row] * width + i];
                        *total = total.saturating_add(adds[row]);
                    }
                }
            }
        }
    }

    fn within_bounds(&self, groups: &[usize]) -> bool {
        let count = groups.len() as u64;
        if count > self.bound.rows {
            return false;
        }
        // A pupil touches no more groups than it has rows, and no more than have been seen of all pupils.
        let groups_at_most = count.min(self.group_digests.len() as u64);
        if groups_at_most <= self.bound.groups && count <= self.bound.rows_per_group {
            return true;
        }
        let mut sorted = groups.to_vec();
        sorted.sort_unstable();
        let runs = sorted.chunk_by(|a, b| a == b);
        let (groups, most) =
            runs.fold((0, 0), |(groups, most), run| (groups + 1, most.max(run.len() as u64)));
        groups <= self.bound.groups && most <= self.bound.rows_per_group
    }

    /// Rows that are kept: of the groups that rank first, the rows that rank first. Ranks depend on the release's
    /// secret, the pupil, the group's key and the row's place in the pupil alone, so that adding or removing
    /// another pupil changes nothing here.
    fn choose(&self, unit: &[u8; 16], rows: &Rows, start: usize, end: usize) -> Vec<usize> {
        let mut groups: Vec<usize> = rows.groups[start..end].to_vec();
        groups.sort_unstable();
        groups.dedup();
        groups.sort_by_cached_key(|&group| self.secret.rank(b"group", unit, &self.group_digests[group]));
        groups.truncate(usize::try_from(self.bound.groups).unwrap_or(usize::MAX));
        groups.sort_unstable();
        let mut ranked: Vec<([u8; 32], usize)> = (start..end)
            .filter(|&row| groups.binary_search(&rows.groups[row]).is_ok())
            .map(|row| {
                // A join may repeat a row: its place among the pupil's rows tells the copies apart.
                let place = [rows.numbers[row].to_le_bytes(), ((row - start) as u32).to_le_bytes()].concat();
                (self.secret.rank(b"row", unit, &place), row)
            })
            .collect();
        ranked.sort_unstable();
        let mut kept = Vec::new();
        let mut in_group = BTreeMap::<usize, u64>::new();
        for (_, row) in ranked {
            let already = in_group.entry(rows.groups[row]).or_default();
            if (kept.len() as u64) < self.bound.rows && *already < self.bound.rows_per_group {
                *already += 1;
                kept.push(row);
            }
        }
        kept
    }
}

/// What each row adds to a component.
fn fill(adds: &mut Vec<i64>, quantity: Quantity, argument: Option<&ArrayRef>, rows: usize) -> Result<()> {
    adds.clear();
    let Some(argument) = argument else {
        adds.resize(rows, 1);
        return Ok(());
    };
    let add = |value: f64| match quantity {
        Quantity::Sum(lattice) => lattice.index(value).unwrap_or(0),
        Quantity::Rows | Quantity::Pupils => i64::from(value.is_finite()),
    };
    if let (Some(floats), 0) = (argument.as_primitive_opt::<Float64Type>(), argument.null_count()) {
        adds.extend(floats.values().iter().map(|&value| add(value)));
    } else if let Some(floats) = argument.as_primitive_opt::<Float64Type>() {
        adds.extend(floats.iter().map(|value| value.map_or(0, add)));
    } else if let Some(integers) = argument.as_primitive_opt::<Int64Type>() {
        adds.extend(integers.iter().map(|value| value.map_or(0, |value| add(value as f64))));
    } else if matches!(quantity, Quantity::Sum(_)) || argument.data_type().is_null() {
        adds.resize(rows, 0);
    } else {
        adds.extend((0..rows).map(|row| i64::from(argument.is_valid(row))));
    }
    Ok(())
}

/// One value of a key column.
pub(super) fn key_value(column: &ArrayRef, row: usize) -> Result<Value> {
    match queries::value(&ScalarValue::try_from_array(column, row)?) {
        Some(value) => Ok(value),
        None => internal_err!("type of a key"),
    }
}
