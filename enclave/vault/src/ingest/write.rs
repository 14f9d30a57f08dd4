//! Buckets become files: sorted by pupil, numbered inside each pupil, checked against the key and the bound on
//! rows, encrypted.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use memoranda::{ForeignKey, Role, Table};

use super::buckets::Sorted;
use super::merge::{self, FIRST_LINE, Merge};
use super::plan::{Read, fingerprint};
use super::references::{Keys, unit_at};
use super::report::{FileReporter, Wrong};
use super::table::{LEADING, lines, place};
use super::{IngestError, Job, engine};
use crate::files::FileWriter;
use crate::identity::{self, IdentityFiles, Unit, is_named};
use crate::snapshot::{PartEntry, ROW_COLUMN, TableEntry, data_type, stored_columns, stored_schema};

const PIECE_ROWS: usize = 16_384;
const PIECES_AHEAD: usize = 4;

/// How the primary key is checked.
pub(super) enum KeyCheck {
    /// None is declared.
    None,
    /// It determines the pupil, so equal keys meet when rows are sorted: by these columns inside a pupil.
    Inside(Vec<String>),
    /// Over all rows.
    Global,
}

impl KeyCheck {
    pub(super) fn of(table: &Table, via: Option<&ForeignKey>) -> KeyCheck {
        let key = &table.primary_key;
        let unit = table.unit_column();
        if key.is_empty() {
            return KeyCheck::None;
        }
        let inside = unit.is_some_and(|unit| key.iter().any(|column| column == unit))
            || via.is_some_and(|via| via.columns.iter().all(|column| key.contains(column)));
        if !inside {
            return KeyCheck::Global;
        }
        KeyCheck::Inside(key.iter().filter(|column| unit != Some(column.as_str())).cloned().collect())
    }
}

/// Checks all rows, and writes them unless there are mistakes already.
pub(super) fn write_table(
    job: &Job<'_>,
    read: &Read<'_>,
    rows: &Sorted,
    key_check: &KeyCheck,
    keys: Option<&Keys>,
    uniques: &[(usize, Keys)],
) -> Result<TableEntry, IngestError> {
    let table = read.table;
    let mut entry = TableEntry {
        name: table.name.clone(),
        private: table.is_private(),
        rows: 0,
        fingerprint: fingerprint(table),
        columns: stored_columns(table),
        parts: Vec::new(),
        identity: Vec::new(),
    };
    let merge = read.base.map(|stored| Merge::new(job, table, stored, rows, keys)).transpose()?;
    let merge = merge.as_ref();
    if let Some(merge) = merge {
        merge.check_unique(job, uniques, job.report.file(read.file))?;
    }
    let sorter = Sorter { table, rows, key_check, merge, report: job.report.file(read.file) };
    let discard = !job.report.is_empty();
    let mut files = Files::new(job, table, &entry, merge, discard)?;
    thread::scope(|scope| {
        let (sender, pieces) = sync_channel(PIECES_AHEAD);
        let partitions = if entry.private { job.plan.partitions as usize } else { 1 };
        let sorter = scope.spawn(move || sorter.sort(partitions, discard, &sender));
        let mut written = Ok(());
        for piece in pieces {
            written = files.take(piece);
            if written.is_err() {
                break;
            }
        }
        let sorted = sorter.join().map_err(|_| IngestError::Engine("the sorter stopped".to_owned()))?;
        written.and(sorted)
    })?;
    (entry.parts, entry.identity) = files.finish()?;
    entry.rows = entry.parts.iter().map(|part| part.rows).sum();
    Ok(entry)
}

enum Piece {
    Part(u32),
    /// A part of the store that stays as it is.
    Carried(PartEntry),
    /// `__unit`, `__row`, then the contract's columns.
    Rows(RecordBatch),
}

struct Sorter<'a> {
    table: &'a Table,
    rows: &'a Sorted,
    key_check: &'a KeyCheck,
    merge: Option<&'a Merge<'a>>,
    report: FileReporter<'a>,
}

/// Sorts by pupil, then by line. Batch and row say where the rest is.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    unit: [u8; 16],
    line: u64,
    batch: u32,
    row: u32,
}

impl Sorter<'_> {
    fn sort(&self, partitions: usize, discard: bool, sender: &SyncSender<Piece>) -> Result<(), IngestError> {
        if !self.table.is_private() {
            return self.pass(sender);
        }
        // INVARIANT: there are at least as many buckets as partitions, and both are powers of two.
        let buckets = self.rows.count() / partitions;
        for part in 0..partitions {
            if let Some(carried) = self.merge.and_then(|merge| merge.carried(part)) {
                if sender.send(Piece::Carried(carried)).is_err() {
                    return Ok(());
                }
                continue;
            }
            // An error of the other side stops this one; it reports the error.
            if sender.send(Piece::Part(part as u32)).is_err() {
                return Ok(());
            }
            let buckets = part * buckets..(part + 1) * buckets;
            // Rows of the store are not set apart more finely than by part.
            let sets: Vec<Vec<usize>> = if self.merge.is_some() {
                vec![buckets.collect()]
            } else {
                buckets.map(|b| vec![b]).collect()
            };
            for set in sets {
                let mut batches = self.merge.map_or(Ok(Vec::new()), |merge| merge.staying(part))?;
                let staying = batches.len();
                for bucket in set {
                    batches.extend(self.rows.read(bucket)?);
                }
                if !self.sort_rows(&batches, staying, discard, sender)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A public table stays in the order of the input.
    fn pass(&self, sender: &SyncSender<Piece>) -> Result<(), IngestError> {
        let mut parts = 0;
        if let Some(merge) = self.merge {
            for part in 0..merge.stored.parts.len() {
                let carried = merge.carried(part);
                let piece = carried.map_or(Piece::Part(parts), Piece::Carried);
                let again = matches!(piece, Piece::Part(_));
                parts += 1;
                if sender.send(piece).is_err() {
                    return Ok(());
                }
                for batch in if again { merge.staying(part)? } else { Vec::new() } {
                    if !send_in_order(&batch, sender)? {
                        return Ok(());
                    }
                }
            }
        }
        let mut going = sender.send(Piece::Part(parts)).is_ok();
        for bucket in 0..self.rows.count() {
            self.rows.each(bucket, |batch| {
                going = going && send_in_order(&batch, sender)?;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The first `staying` batches are of the store.
    fn sort_rows(
        &self,
        batches: &[RecordBatch],
        staying: usize,
        discard: bool,
        sender: &SyncSender<Piece>,
    ) -> Result<bool, IngestError> {
        let mut places = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        for (batch, rows) in batches.iter().enumerate() {
            let (units, lines) = (rows.column(0).as_fixed_size_binary(), lines(rows));
            let first = if batch < staying { 0 } else { self.first_line() };
            places.extend((0..rows.num_rows()).map(|row| Place {
                unit: unit_at(units, row),
                line: first + lines.value(row),
                batch: batch as u32,
                row: row as u32,
            }));
        }
        places.sort_unstable();
        self.check_bound(&places);
        self.check_key(batches, &places)?;
        if discard {
            return Ok(true);
        }
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        let (mut last, mut number) = (None, 0);
        for places in places.chunks(PIECE_ROWS) {
            let numbers = UInt32Array::from_iter_values(places.iter().map(|place| {
                number = if last == Some(place.unit) { number + 1 } else { 0 };
                last = Some(place.unit);
                number
            }));
            let order: Vec<_> =
                places.iter().map(|place| (place.batch as usize, place.row as usize)).collect();
            let sorted = interleave_record_batch(&batches, &order).map_err(engine)?;
            if sender.send(Piece::Rows(numbered(&sorted, numbers)?)).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn first_line(&self) -> u64 {
        if self.merge.is_some() { FIRST_LINE } else { 0 }
    }

    /// Of the file. A mistake is always in a row of it, since the store holds none.
    fn line(&self, place: &Place) -> u64 {
        place.line.saturating_sub(self.first_line())
    }

    fn check_bound(&self, places: &[Place]) {
        let Some(most) = self.table.max_rows_per_unit else {
            return;
        };
        for pupil in places.chunk_by(|a, b| a.unit == b.unit) {
            // One mistake for a pupil, at the first row too many.
            if let Some(place) = usize::try_from(most.0).ok().and_then(|most| pupil.get(most)) {
                let message = format!("more than {} rows of one unit", most.0);
                self.report.mistake(self.line(place), None, Wrong::new("maxRowsPerUnit", message));
            }
        }
    }

    fn check_key(&self, batches: &[RecordBatch], places: &[Place]) -> Result<(), IngestError> {
        let KeyCheck::Inside(columns) = self.key_check else {
            return Ok(());
        };
        let columns =
            columns.iter().map(|column| place(self.table, column)).collect::<Result<Vec<_>, _>>()?;
        let fields = columns.iter().map(|place| SortField::new(data_type(self.table.columns[*place].kind)));
        let converter = RowConverter::new(fields.collect()).map_err(engine)?;
        let mut keys = Vec::with_capacity(batches.len());
        for batch in batches {
            let values: Vec<ArrayRef> =
                columns.iter().map(|c| Arc::clone(batch.column(LEADING + c))).collect();
            keys.push(if values.is_empty() {
                None
            } else {
                Some(converter.convert_columns(&values).map_err(engine)?)
            });
        }
        let mut seen = HashSet::new();
        for pupil in places.chunk_by(|a, b| a.unit == b.unit).filter(|pupil| pupil.len() > 1) {
            seen.clear();
            for place in pupil {
                let key = keys[place.batch as usize].as_ref().map(|keys| keys.row(place.row as usize));
                if !seen.insert(key) {
                    let message = match self.merge {
                        Some(_) => "the same key as in an earlier line, or in the store",
                        None => "the same key as in an earlier line",
                    };
                    self.report.mistake(self.line(place), None, Wrong::new("primaryKey", message));
                }
            }
        }
        Ok(())
    }
}

/// Rows of a public table. False: nobody wants more.
fn send_in_order(batch: &RecordBatch, sender: &SyncSender<Piece>) -> Result<bool, IngestError> {
    let rows = UInt32Array::from_iter_values(0..batch.num_rows() as u32);
    Ok(sender.send(Piece::Rows(numbered(batch, rows)?)).is_ok())
}

/// The batch with the number of each row in place of its line.
fn numbered(batch: &RecordBatch, rows: UInt32Array) -> Result<RecordBatch, IngestError> {
    let mut fields: Vec<_> = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[1] = Field::new(ROW_COLUMN, DataType::UInt32, false);
    let mut columns = batch.columns().to_vec();
    columns[1] = Arc::new(rows);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(engine)
}

/// The files of one table.
struct Files<'a> {
    job: &'a Job<'a>,
    table: &'a Table,
    schema: SchemaRef,
    attributes: Vec<usize>,
    part: Option<FileWriter>,
    parts: Vec<PartEntry>,
    /// Where it has identifiers: their places, and their files.
    identity: Option<(Vec<usize>, IdentityFiles<'a>)>,
    /// Where it tells the cohorts: the place of the column.
    cohort: Option<usize>,
    merge: Option<&'a Merge<'a>>,
    discard: bool,
}

impl<'a> Files<'a> {
    fn new(
        job: &'a Job<'a>,
        table: &'a Table,
        entry: &TableEntry,
        merge: Option<&'a Merge<'a>>,
        discard: bool,
    ) -> Result<Files<'a>, IngestError> {
        let leading = if entry.private { 0..LEADING } else { 0..0 };
        let of_role = |wanted: fn(Role) -> bool| {
            let columns = table.columns.iter().enumerate().filter(move |(_, column)| wanted(column.role));
            columns.map(|(place, _)| LEADING + place)
        };
        let schema = stored_schema(entry.private, &entry.columns)
            .ok_or_else(|| IngestError::Engine("a kind of column is not known".to_owned()))?;
        let named: Vec<usize> = (0..LEADING).chain(of_role(|role| role != Role::Attribute)).collect();
        let identity = || (named, IdentityFiles::new(job.desk, job.staging, &job.contract.name, table));
        let cohort = table.cohort.as_deref().map(|column| place(table, column)).transpose()?;
        Ok(Files {
            job,
            table,
            schema,
            attributes: leading.chain(of_role(|role| role == Role::Attribute)).collect(),
            part: None,
            parts: Vec::new(),
            identity: (!discard && is_named(table)).then(identity),
            cohort: cohort.map(|place| LEADING + place),
            merge,
            discard,
        })
    }

    fn take(&mut self, piece: Piece) -> Result<(), IngestError> {
        match piece {
            _ if self.discard => Ok(()),
            Piece::Part(number) => {
                self.close()?;
                self.part = Some(self.attributes_file(number)?);
                Ok(())
            }
            Piece::Carried(part) => {
                self.close()?;
                self.parts.push(part);
                Ok(())
            }
            Piece::Rows(batch) => {
                let columns = self.attributes.iter().map(|place| Arc::clone(batch.column(*place))).collect();
                let attributes = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(engine)?;
                if let Some(part) = &mut self.part {
                    part.write(&attributes)?;
                }
                self.file_names(&batch)
            }
        }
    }

    /// Tells the cohorts of pupils, and files what is kept apart by them.
    fn file_names(&mut self, batch: &RecordBatch) -> Result<(), IngestError> {
        if self.cohort.is_none() && self.identity.is_none() {
            return Ok(());
        }
        let mut batch = batch.clone();
        if let Some(merge) = self.merge {
            // The identities of other pupils stay where they are.
            batch = identity::without(&batch, &|unit| !merge.affects(unit))?;
        }
        if let (Some(place), Some(units)) = (self.cohort, identity::units(&batch)) {
            self.job.cohorts.borrow_mut().note(units, batch.column(place));
        }
        if let Some((columns, files)) = &mut self.identity {
            let columns = columns.iter().map(|place| Arc::clone(batch.column(*place))).collect();
            let named = RecordBatch::try_new(Arc::clone(files.schema()), columns).map_err(engine)?;
            files.write(&named, &self.job.cohorts.borrow())?;
        }
        Ok(())
    }

    fn attributes_file(&self, number: u32) -> Result<FileWriter, IngestError> {
        let (path, place) = self.job.staging.part(&self.table.name, number);
        let (storage, ring) = (self.job.staging.storage(), &self.job.vault.keys.ring);
        Ok(FileWriter::attributes(storage, ring, self.table, path, place, Arc::clone(&self.schema))?)
    }

    fn close(&mut self) -> Result<(), IngestError> {
        if let Some(part) = self.part.take() {
            self.parts.push(part.finish()?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(Vec<PartEntry>, Vec<PartEntry>), IngestError> {
        self.close()?;
        let (old, merge) = (merge::old_identity(self.merge), self.merge);
        let dropped = |unit: &Unit| merge.is_some_and(|merge| merge.affects(unit));
        let identity = self.identity.map(|(_, files)| files.finish(old, &dropped)).transpose()?;
        Ok((self.parts, identity.unwrap_or_default()))
    }
}
