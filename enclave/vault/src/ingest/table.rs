//! One table: checked chunks become pseudonymised rows in buckets, and keys.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use arrow::array::{ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, RecordBatch, UInt64Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use memoranda::{ForeignKey, Lineage, Table};

use super::buckets::{Buckets, Sorted, sixteen};
use super::plan::{Format, Read};
use super::references::{Hashes, KEY_BUCKETS, KeyPart, KeyWriter, Keys, find, pseudonyms, unit_at};
use super::report::{FileReporter, Wrong};
use super::rows::raw_schema;
use super::write::{self, KeyCheck};
use super::{IngestError, Job, Mode, Progress, carried, csv_input, engine, parquet_input};
use crate::snapshot::{TableEntry, UNIT_BYTES, UNIT_COLUMN};

/// Columns that come before the contract's in a routed batch: route and line.
pub(super) const LEADING: usize = 2;
const CHUNKS_AHEAD: usize = 4;

/// A table that was read and written.
pub(super) struct Done {
    pub(super) entry: TableEntry,
    /// Its primary key, where others refer to it.
    keys: Option<Keys>,
    /// Its references, by place among its foreign keys.
    references: Vec<(usize, Keys)>,
    /// Every key that stood in the store still does, and leads to the same pupil.
    keeps_keys: bool,
}

/// Reads, checks and writes all tables; what each says about itself is checked.
pub(super) fn read_all(job: &Job<'_>, progress: Progress<'_>) -> Result<HashMap<String, Done>, IngestError> {
    let total = job.plan.reads.iter().map(|read| read.size).sum();
    let mut before = 0;
    let mut done: HashMap<String, Done> = HashMap::new();
    for read in &job.plan.reads {
        progress(before, total);
        // Keys of a table that is not read come from the store.
        let stored;
        let parent = match &read.table.lineage {
            Lineage::Via(to) => match done.get(to) {
                Some(parent) => parent.keys.as_ref(),
                None => {
                    stored = carried::keys(job, to)?;
                    Some(&stored)
                }
            },
            _ => None,
        };
        let size = read.size;
        let table = read_table(job, read, parent, &|bytes| {
            progress(before + bytes.min(size), total);
        })?;
        done.insert(read.table.name.clone(), table);
        before += read.size;
    }
    progress(total, total);
    Ok(done)
}

/// Checks what tables say about each other: those that are read against all, and those that are carried over
/// against those that are read.
pub(super) fn check_references(job: &Job<'_>, done: &HashMap<String, Done>) -> Result<(), IngestError> {
    let right =
        |table: &str| job.plan.read(table).is_none_or(|read| !job.report.file(read.file).has_mistakes());
    // Decided before the first complaint, so that one missing row is not also missed in another table.
    let right: HashMap<&str, bool> =
        job.contract.tables.iter().map(|table| (table.name.as_str(), right(&table.name))).collect();
    for table in &job.contract.tables {
        for (place, key) in table.foreign_keys.iter().enumerate() {
            if !right[table.name.as_str()] || !right.get(key.table.as_str()).copied().unwrap_or(false) {
                continue;
            }
            if let Some(read) = job.plan.read(&table.name) {
                // A reference that leads to the pupil was followed already.
                let Some((_, references)) =
                    done.get(&table.name).and_then(|done| done.references.iter().find(|(p, _)| *p == place))
                else {
                    continue;
                };
                let report = job.report.file(read.file);
                let missing = |line: u64| report_missing(report, table, key, line);
                match done.get(&key.table).and_then(|parent| parent.keys.as_ref()) {
                    Some(keys) => references.check_found(keys, false, |entry| missing(entry.line))?,
                    None => references
                        .check_found(&carried::keys(job, &key.table)?, false, |entry| missing(entry.line))?,
                }
            }
        }
    }
    for table in &job.contract.tables {
        let Some(stored) = job.plan.stored(&table.name) else { continue };
        for key in &table.foreign_keys {
            let parent =
                done.get(&key.table).filter(|_| right[key.table.as_str()] && right[table.name.as_str()]);
            if let Some(parent) = parent.filter(|parent| !parent.keeps_keys) {
                carried::check(job, stored, table, key, parent.keys.as_ref())?;
            }
        }
    }
    Ok(())
}

fn report_missing(report: FileReporter<'_>, table: &Table, key: &ForeignKey, line: u64) {
    let column = match key.columns.as_slice() {
        [column] => {
            table.columns.iter().position(|c| &c.name == column).map(|place| (place, column.as_str()))
        }
        _ => None,
    };
    let message = format!("no such row in `{}`", key.table);
    report.mistake(line, column, Wrong::new("foreignKey", message));
}

fn read_table(
    job: &Job<'_>,
    read: &Read<'_>,
    parent: Option<&Keys>,
    progress: &dyn Fn(u64),
) -> Result<Done, IngestError> {
    let report = job.report.file(read.file);
    let mut intake = Intake::new(job, read);
    // One thread reads and checks, this one pseudonymises and sets apart.
    thread::scope(|scope| {
        let (sender, chunks) = sync_channel(CHUNKS_AHEAD);
        let reader = scope.spawn(move || {
            let mut emit = |chunk, bytes| sender.send((chunk, bytes)).is_ok();
            match read.format {
                Format::Csv => csv_input::read(read.path, read.table, report, &mut emit),
                Format::Parquet => parquet_input::read(read.path, read.table, report, &mut emit),
            }
        });
        let mut taken = Ok(());
        for (chunk, bytes) in chunks {
            taken = intake.take(&chunk);
            if taken.is_err() {
                break;
            }
            progress(bytes);
        }
        let read = reader.join().map_err(|_| IngestError::Engine("the reader stopped".to_owned()))?;
        taken.and(read)
    })?;

    let rows = match parent {
        Some(parent) => intake.follow(parent)?,
        None => std::mem::replace(&mut intake.rows, job.buckets(read, 1)).finish()?,
    };
    let mut uniques = Vec::new();
    for (column, keys) in std::mem::take(&mut intake.unique) {
        let (name, keys) = (read.table.columns[column].name.as_str(), keys.finish()?);
        keys.check_unique("unique", Some((column, name)), report)?;
        uniques.push((column, keys));
    }
    let mut keys = intake.keys.take().map(KeyWriter::finish).transpose()?;
    let is_global = matches!(intake.key_check, KeyCheck::Global);
    if let Some(keys) = keys.as_ref().filter(|_| is_global) {
        keys.check_unique("primaryKey", None, report)?;
    }
    let referred = job.plan.reads.iter().flat_map(|read| &read.table.foreign_keys);
    let referred = referred.into_iter().any(|key| key.table == read.table.name);
    if let Some(own) = keys.take() {
        let with_older = read.base.is_some() && (is_global || referred);
        keys = Some(if with_older { own.over(carried::keys(job, &read.table.name)?) } else { own });
    }
    if let Some(keys) = keys.as_ref().filter(|_| is_global && job.plan.mode == Mode::Append) {
        keys.each_older(|own, _| {
            report.mistake(own.line, None, Wrong::new("primaryKey", "the store has this key already"));
        })?;
    }
    let references = std::mem::take(&mut intake.references);
    let references = references
        .into_iter()
        .map(|(place, keys)| Ok((place, keys.finish()?)))
        .collect::<Result<_, IngestError>>()?;
    let entry = write::write_table(job, read, &rows, &intake.key_check, keys.as_ref(), &uniques)?;
    let keeps_keys = read.base.is_some() && (job.plan.mode == Mode::Append || !is_global);
    Ok(Done { entry, keys, references, keeps_keys })
}

/// Takes the chunks of one table.
struct Intake<'a> {
    job: &'a Job<'a>,
    read: &'a Read<'a>,
    schema: SchemaRef,
    /// By pseudonym; by hash of the reference where that leads to the pupil.
    rows: Buckets,
    key_check: KeyCheck,
    keys: Option<KeyWriter>,
    unique: Vec<(usize, KeyWriter)>,
    references: Vec<(usize, KeyWriter)>,
    via: Option<&'a ForeignKey>,
}

impl<'a> Intake<'a> {
    fn new(job: &'a Job<'a>, read: &'a Read<'a>) -> Intake<'a> {
        let table = read.table;
        let via = via_key(table);
        let key_check = KeyCheck::of(table, via);
        let referenced = job.contract.tables.iter().flat_map(|table| &table.foreign_keys);
        let referenced = referenced.into_iter().any(|key| key.table == table.name);
        let writer = || KeyWriter::new(job.budget.keys, job.staging.folder());
        let columns = table.columns.iter().enumerate();
        let keys = table.foreign_keys.iter().enumerate();
        Intake {
            job,
            read,
            schema: routed_schema(table),
            rows: job.buckets(read, if via.is_some() { KEY_BUCKETS } else { read.buckets }),
            keys: (referenced || matches!(key_check, KeyCheck::Global) || job.plan.mode == Mode::Upsert)
                .then(writer),
            key_check,
            unique: columns.filter(|(_, column)| column.unique).map(|(place, _)| (place, writer())).collect(),
            references: keys
                .filter(|(_, key)| via.is_none_or(|via| via != *key))
                .map(|(place, _)| (place, writer()))
                .collect(),
            via,
        }
    }

    fn take(&mut self, chunk: &RecordBatch) -> Result<(), IngestError> {
        let (table, rows) = (self.read.table, chunk.num_rows());
        let lines = chunk.column(0).as_primitive::<UInt64Type>().clone();
        let columns = &chunk.columns()[1..];
        let units = match &table.lineage {
            Lineage::Column(name) => Some(pseudonyms(
                &self.job.vault.keys,
                &self.job.contract.name,
                &columns[place(table, name)?],
            )?),
            _ => None,
        };
        let values = Values { job: self.job, table, columns, units: units.as_ref() };
        for (place, keys) in &mut self.unique {
            let hashes = Hashes::of(&[KeyPart::Value(Arc::clone(&columns[*place]))], rows)?;
            keys.push(&hashes, &lines, None)?;
        }
        for (place, keys) in &mut self.references {
            let hashes = Hashes::of(&values.reference(&table.foreign_keys[*place])?, rows)?;
            keys.push(&hashes, &lines, None)?;
        }
        if let Some(via) = self.via {
            return self.take_unresolved(chunk, &Hashes::of(&values.reference(via)?, rows)?);
        }
        if let Some(keys) = &mut self.keys {
            keys.push(&Hashes::of(&values.primary_key()?, rows)?, &lines, units.as_deref())?;
        }
        let route: ArrayRef = match units {
            Some(units) => units,
            None => sixteen(std::iter::repeat_n([0; 16], rows))?,
        };
        self.rows.push(self.routed(route, chunk.columns())?)
    }

    /// Rows whose pupil is known only when all parents are: set apart by the hash of the reference.
    fn take_unresolved(&mut self, chunk: &RecordBatch, hashes: &Hashes) -> Result<(), IngestError> {
        let lines = chunk.column(0).as_primitive::<UInt64Type>();
        let report = self.job.report.file(self.read.file);
        for row in (0..chunk.num_rows()).filter(|row| hashes.0[*row].is_none()) {
            let wrong = Wrong::new("required", "a column that leads to the pupil is missing");
            report.mistake(lines.value(row), None, wrong);
        }
        let there = BooleanArray::from_iter(hashes.0.iter().map(|hash| Some(hash.is_some())));
        let chunk = filter_record_batch(chunk, &there).map_err(engine)?;
        let route = sixteen(hashes.0.iter().copied().flatten())?;
        self.rows.push(self.routed(route, chunk.columns())?)
    }

    /// Follows references to their pupils; the rows come back set apart by pseudonym.
    fn follow(&mut self, parents: &Keys) -> Result<Sorted, IngestError> {
        let table = self.read.table;
        let report = self.job.report.file(self.read.file);
        let Some(via) = self.via else {
            return Err(IngestError::Engine("no reference to follow".to_owned()));
        };
        // A parent that was refused as a row is missing here for that reason alone.
        let complain =
            self.job.plan.read(&via.table).is_none_or(|read| !self.job.report.file(read.file).has_mistakes());
        let next = self.job.buckets(self.read, self.read.buckets);
        let unresolved = std::mem::replace(&mut self.rows, next).finish()?;
        for bucket in 0..unresolved.count() {
            let parents = parents.entries(bucket)?;
            unresolved.each(bucket, |batch| {
                let route = batch.column(0).as_fixed_size_binary();
                let lines = batch.column(1).as_primitive::<UInt64Type>();
                let found = (0..batch.num_rows()).map(|row| {
                    let parent = find(&parents, u128::from_be_bytes(unit_at(route, row)));
                    if parent.is_none() && complain {
                        report_missing(report, table, via, lines.value(row));
                    }
                    parent.map(|parent| parent.unit)
                });
                let found: Vec<Option<[u8; 16]>> = found.collect();
                let there = BooleanArray::from_iter(found.iter().map(|unit| Some(unit.is_some())));
                let batch = filter_record_batch(&batch, &there).map_err(engine)?;
                let units = sixteen(found.into_iter().flatten())?;
                if let Some(keys) = &mut self.keys {
                    let lines = batch.column(1).as_primitive::<UInt64Type>();
                    let columns = &batch.columns()[LEADING..];
                    let values = Values { job: self.job, table, columns, units: Some(&units) };
                    let hashes = Hashes::of(&values.primary_key()?, batch.num_rows())?;
                    keys.push(&hashes, lines, Some(&units))?;
                }
                let routed = self.routed(units, &batch.columns()[1..])?;
                self.rows.push(routed)
            })?;
        }
        std::mem::replace(&mut self.rows, self.job.buckets(self.read, 1)).finish()
    }

    fn routed(&self, route: ArrayRef, rest: &[ArrayRef]) -> Result<RecordBatch, IngestError> {
        let columns = std::iter::once(route).chain(rest.iter().cloned()).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(engine)
    }
}

impl Job<'_> {
    fn buckets(&self, read: &Read<'_>, count: u32) -> Buckets {
        Buckets::new(routed_schema(read.table), count, self.budget.rows, self.staging.folder())
    }
}

/// The columns of some rows of a table, as keys see them.
pub(super) struct Values<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) table: &'a Table,
    /// In the contract's order.
    pub(super) columns: &'a [ArrayRef],
    pub(super) units: Option<&'a Arc<FixedSizeBinaryArray>>,
}

impl Values<'_> {
    pub(super) fn primary_key(&self) -> Result<Vec<KeyPart>, IngestError> {
        primary_key(self.table, self.columns, self.units)
    }

    pub(super) fn reference(&self, key: &ForeignKey) -> Result<Vec<KeyPart>, IngestError> {
        let there = self.job.contract.table(&key.table).and_then(Table::unit_column);
        let parts = key.columns.iter().zip(&key.references).map(|(here, reference)| {
            let column = &self.columns[place(self.table, here)?];
            if there != Some(reference) {
                return Ok(KeyPart::Value(Arc::clone(column)));
            }
            match self.units {
                Some(units) if self.table.unit_column() == Some(here) => {
                    Ok(KeyPart::Pseudonym(Arc::clone(units)))
                }
                _ => {
                    pseudonyms(&self.job.vault.keys, &self.job.contract.name, column).map(KeyPart::Pseudonym)
                }
            }
        });
        parts.collect()
    }
}

/// The columns of a primary key; `columns` are in the contract's order.
pub(super) fn primary_key(
    table: &Table,
    columns: &[ArrayRef],
    units: Option<&Arc<FixedSizeBinaryArray>>,
) -> Result<Vec<KeyPart>, IngestError> {
    let unit = table.unit_column();
    let parts = table.primary_key.iter().map(|name| match units {
        Some(units) if unit == Some(name) => Ok(KeyPart::Pseudonym(Arc::clone(units))),
        _ => Ok(KeyPart::Value(Arc::clone(&columns[place(table, name)?]))),
    });
    parts.collect()
}

/// The foreign key that leads to the pupil.
pub(super) fn via_key(table: &Table) -> Option<&ForeignKey> {
    match &table.lineage {
        Lineage::Via(to) => table.foreign_keys.iter().find(|key| &key.table == to),
        _ => None,
    }
}

pub(super) fn place(table: &Table, column: &str) -> Result<usize, IngestError> {
    let place = table.columns.iter().position(|c| c.name == column);
    place.ok_or_else(|| IngestError::Engine(format!("the contract names no column `{column}`")))
}

pub(super) fn routed_schema(table: &Table) -> SchemaRef {
    let route = Field::new(UNIT_COLUMN, DataType::FixedSizeBinary(UNIT_BYTES), false);
    let raw = raw_schema(table);
    let raw = raw.fields().iter().map(|field| field.as_ref().clone());
    Arc::new(Schema::new(std::iter::once(route).chain(raw).collect::<Vec<_>>()))
}

/// Lines of a routed batch.
pub(super) fn lines(batch: &RecordBatch) -> &UInt64Array {
    batch.column(1).as_primitive::<UInt64Type>()
}
