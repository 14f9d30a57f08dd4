//! Rows that come to a table of the store: which of its parts are written anew, and what of them stays.
//!
//! A part holds the same pupils as before, so only the parts of pupils with new rows are read and written; the rest
//! of the table is carried over, file by file. Rows that stay keep their order, before the new ones.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array, UInt64Array, new_null_array,
};
use arrow::compute::{concat_batches, filter_record_batch, take};
use arrow::datatypes::UInt32Type;
use memoranda::{Role, Table};

use super::buckets::{Sorted, bucket_of};
use super::references::{Hashes, KeyPart, KeyWriter, Keys, unit_at};
use super::report::{FileReporter, Wrong};
use super::table::{LEADING, primary_key, routed_schema};
use super::{IngestError, Job, Mode, engine};
use crate::identity::{self, Unit, each_batch, is_named};
use crate::keys::Keyring;
use crate::snapshot::{Part, PartEntry, ROW_COLUMN, SnapshotTable, data_type};

/// Lines of the file come after the numbers of rows in the store.
pub(super) const FIRST_LINE: u64 = 1 << 32;

/// What of a stored table comes together with new rows.
pub(super) struct Merge<'a> {
    keys: &'a Keyring,
    table: &'a Table,
    pub(super) stored: &'a SnapshotTable,
    /// Hashes of the primary keys whose rows are replaced.
    replaced: HashSet<[u8; 16]>,
    /// Pupils whose rows change.
    affected: HashSet<Unit>,
    /// The numbers of parts with such pupils.
    touched: HashSet<usize>,
    names: Names,
}

/// What is kept apart, of the pupils whose rows change.
struct Names {
    batch: Option<RecordBatch>,
    row_of: HashMap<(Unit, u32), u32>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(
        job: &'a Job<'a>,
        table: &'a Table,
        stored: &'a SnapshotTable,
        rows: &Sorted,
        keys: Option<&Keys>,
    ) -> Result<Merge<'a>, IngestError> {
        let mut affected = HashSet::new();
        let upsert = job.plan.mode == Mode::Upsert;
        let replaced = keys.filter(|_| upsert).map(Keys::hashes).transpose()?.unwrap_or_default();
        if table.is_private() {
            for bucket in 0..rows.count() {
                rows.each(bucket, |batch| {
                    let units = batch.column(0).as_fixed_size_binary();
                    affected.extend((0..units.len()).map(|row| unit_at(units, row)));
                    Ok(())
                })?;
            }
            // A row that is replaced may have been another pupil's.
            if let Some(keys) = keys.filter(|_| upsert) {
                keys.each_older(|_, older| {
                    affected.insert(older.unit);
                })?;
            }
        }
        let bits = job.plan.partitions.trailing_zeros();
        let touched = affected.iter().map(|unit| bucket_of(unit, bits)).collect();
        let names = Names::of(job, table, stored, &affected)?;
        Ok(Merge { keys: &job.vault.keys, table, stored, replaced, affected, touched, names })
    }

    /// Whether a pupil's rows change.
    pub(super) fn affects(&self, unit: &Unit) -> bool {
        self.affected.contains(unit)
    }

    /// The part of that number, where it stays as it is.
    pub(super) fn carried(&self, part: usize) -> Option<PartEntry> {
        let carried =
            if self.table.is_private() { !self.touched.contains(&part) } else { self.replaced.is_empty() };
        self.stored.parts.get(part).filter(|_| carried).map(|part| part.entry.as_ref().clone())
    }

    /// The rows of a stored part that stay, as they come from a file: `__unit`, the number of the row in place of the
    /// line, and the contract's columns, where identifiers are those of affected pupils only.
    pub(super) fn staying(&self, part: usize) -> Result<Vec<RecordBatch>, IngestError> {
        let Some(part) = self.stored.parts.get(part) else { return Ok(Vec::new()) };
        let mut batches = Vec::new();
        each_batch(&self.keys.ring, part, None, |batch| {
            batches.push(batch);
            Ok(())
        })?;
        batches.iter().map(|batch| self.as_read(batch)).collect()
    }

    /// Whether the rows that stay have a value that only one row may have, and a new row has.
    pub(super) fn check_unique(
        &self,
        job: &Job<'_>,
        uniques: &[(usize, Keys)],
        report: FileReporter<'_>,
    ) -> Result<(), IngestError> {
        for (place, new) in uniques {
            let column = &self.table.columns[*place];
            let mut there = KeyWriter::new(job.budget.keys, job.staging.folder());
            for part in 0..self.stored.parts.len() {
                for batch in self.staying(part)? {
                    push_values(&mut there, batch.column(LEADING + place))?;
                }
            }
            // What is kept apart is beside the rows of pupils whose rows change; that of the others is not.
            if column.role == Role::Identifier {
                for part in &self.stored.identity {
                    let mut pushed = Ok(());
                    job.desk.each(part, None, |batch| {
                        let others = identity::without(&batch, &|unit| self.affects(unit))?;
                        if let Some(values) = others.column_by_name(&column.name).filter(|_| pushed.is_ok()) {
                            pushed = push_values(&mut there, values);
                        }
                        Ok(())
                    })?;
                    pushed?;
                }
            }
            new.each_found(&there.finish()?, |entry| {
                let wrong = Wrong::new("unique", "the store has this value already");
                report.mistake(entry.line, Some((*place, &column.name)), wrong);
            })?;
        }
        Ok(())
    }

    fn as_read(&self, batch: &RecordBatch) -> Result<RecordBatch, IngestError> {
        let rows = batch.num_rows();
        let outdated = || IngestError::Outdated(self.table.name.clone());
        let (unit, numbers): (ArrayRef, ArrayRef) = if self.table.is_private() {
            let unit = identity::units(batch).ok_or_else(outdated)?;
            let numbers = batch.column_by_name(ROW_COLUMN).ok_or_else(outdated)?;
            let numbers = numbers.as_primitive::<UInt32Type>();
            let lines = UInt64Array::from_iter_values(numbers.values().iter().map(|row| u64::from(*row)));
            (Arc::new(unit.clone()), Arc::new(lines))
        } else {
            (
                super::buckets::sixteen(std::iter::repeat_n([0; 16], rows))?,
                Arc::new(UInt64Array::from_value(0, rows)),
            )
        };
        let mut columns = vec![unit, numbers];
        for column in &self.table.columns {
            columns.push(match column.role {
                Role::Attribute => Arc::clone(batch.column_by_name(&column.name).ok_or_else(outdated)?),
                _ => new_null_array(&data_type(column.kind), rows),
            });
        }
        self.names.fill(self.table, &mut columns)?;
        let read = RecordBatch::try_new(routed_schema(self.table), columns).map_err(engine)?;
        if self.replaced.is_empty() { Ok(read) } else { self.without_replaced(&read) }
    }

    fn without_replaced(&self, batch: &RecordBatch) -> Result<RecordBatch, IngestError> {
        let columns = &batch.columns()[LEADING..];
        let units = self.table.is_private().then(|| Arc::new(batch.column(0).as_fixed_size_binary().clone()));
        let hashes = Hashes::of(&primary_key(self.table, columns, units.as_ref())?, batch.num_rows())?;
        let stays = |hash: &Option<[u8; 16]>| Some(hash.is_none_or(|hash| !self.replaced.contains(&hash)));
        filter_record_batch(batch, &hashes.0.iter().map(stays).collect::<BooleanArray>()).map_err(engine)
    }
}

fn push_values(keys: &mut KeyWriter, values: &ArrayRef) -> Result<(), IngestError> {
    let hashes = Hashes::of(&[KeyPart::Value(Arc::clone(values))], values.len())?;
    keys.push(&hashes, &UInt64Array::from_value(0, values.len()), None)
}

impl Names {
    fn of(
        job: &Job<'_>,
        table: &Table,
        stored: &SnapshotTable,
        affected: &HashSet<Unit>,
    ) -> Result<Names, IngestError> {
        let mut found = Names { batch: None, row_of: HashMap::new() };
        if !is_named(table) {
            return Ok(found);
        }
        let schema = identity::identity_schema(table);
        let mut batches = Vec::new();
        for part in &stored.identity {
            job.desk.each(part, None, |batch| {
                let batch = identity::without(&batch, &|unit| !affected.contains(unit))?;
                if batch.num_rows() > 0 {
                    batches.push(batch);
                }
                Ok(())
            })?;
        }
        let outdated = || IngestError::Outdated(table.name.clone());
        let batch = concat_batches(&schema, &batches).map_err(|_| outdated())?;
        let units = identity::units(&batch).ok_or_else(outdated)?;
        let rows = batch.column(1).as_primitive::<UInt32Type>();
        found.row_of =
            (0..batch.num_rows()).map(|row| ((unit_at(units, row), rows.value(row)), row as u32)).collect();
        found.batch = Some(batch);
        Ok(found)
    }

    /// Puts names beside attributes, by pupil and number of the row.
    fn fill(&self, table: &Table, columns: &mut [ArrayRef]) -> Result<(), IngestError> {
        let Some(names) = self.batch.as_ref().filter(|names| names.num_rows() > 0) else { return Ok(()) };
        let units = columns[0].as_fixed_size_binary();
        let lines = columns[1].as_primitive::<arrow::datatypes::UInt64Type>();
        let place = |row: usize| self.row_of.get(&(unit_at(units, row), lines.value(row) as u32)).copied();
        let places: UInt32Array = (0..units.len()).map(place).collect();
        for (place, column) in
            table.columns.iter().enumerate().filter(|(_, column)| column.role != Role::Attribute)
        {
            if let Some(values) = names.column_by_name(&column.name) {
                columns[LEADING + place] = take(values, &places, None).map_err(engine)?;
            }
        }
        Ok(())
    }
}

/// The identity files of the stored table.
pub(super) fn old_identity<'a>(merge: Option<&'a Merge<'_>>) -> &'a [Part] {
    merge.map_or(&[], |merge| &merge.stored.identity)
}
