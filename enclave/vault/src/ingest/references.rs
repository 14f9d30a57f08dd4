//! Keys and references, compared as 128-bit hashes, bucket by bucket: neither side has to fit in memory.
//!
//! Where a key holds the unit column of its table, the hash is over the pseudonym instead, since that is what
//! the store has of tables of earlier snapshots.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch, UInt64Array};
use arrow::datatypes::{
    DataType, Date32Type, Field, Float64Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType,
    UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use ring::digest;

use super::buckets::{Buckets, Sorted, sixteen};
use super::report::{FileReporter, Wrong};
use super::{IngestError, engine};
use crate::keys::Keyring;
use crate::snapshot::UNIT_COLUMN;

/// Buckets of keys: what one holds is sorted in memory.
pub(super) const KEY_BUCKETS: u32 = 64;

/// One key, or one reference to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) hash: u128,
    pub(super) line: u64,
    pub(super) unit: [u8; 16],
}

/// Collects keys.
pub(super) struct KeyWriter(Buckets);

impl KeyWriter {
    pub(super) fn new(budget: usize, folder: &Path) -> KeyWriter {
        KeyWriter(Buckets::new(entry_schema(), KEY_BUCKETS, budget, folder))
    }

    /// One entry for each row whose hash is there.
    pub(super) fn push(
        &mut self,
        hashes: &Hashes,
        lines: &UInt64Array,
        units: Option<&FixedSizeBinaryArray>,
    ) -> Result<(), IngestError> {
        let rows: Vec<usize> = (0..hashes.0.len()).filter(|row| hashes.0[*row].is_some()).collect();
        let hash = sixteen(rows.iter().filter_map(|row| hashes.0[*row]))?;
        let unit = sixteen(rows.iter().map(|row| units.map_or([0; 16], |units| unit_at(units, *row))))?;
        let line = UInt64Array::from_iter_values(rows.iter().map(|row| lines.value(*row)));
        self.0.push(RecordBatch::try_new(entry_schema(), vec![hash, unit, Arc::new(line)]).map_err(engine)?)
    }

    pub(super) fn finish(self) -> Result<Keys, IngestError> {
        Ok(Keys { own: self.0.finish()?, older: None })
    }
}

/// Keys or references, complete.
pub(super) struct Keys {
    own: Sorted,
    /// Of rows in the store that these were added to.
    older: Option<Box<Keys>>,
}

impl Keys {
    /// These, and those of the rows in the store; where both have a key, it is this one's.
    pub(super) fn over(self, older: Keys) -> Keys {
        Keys { older: Some(Box::new(older)), ..self }
    }

    /// The entries of a bucket, by hash and line.
    pub(super) fn entries(&self, bucket: usize) -> Result<Vec<Entry>, IngestError> {
        let mut entries = self.own_entries(bucket)?;
        if let Some(older) = &self.older {
            let mut older = older.entries(bucket)?;
            older.retain(|older| find(&entries, older.hash).is_none());
            entries.append(&mut older);
            entries.sort_unstable();
        }
        Ok(entries)
    }

    /// Calls `both` for each key that stands in the store as well, with the entry there.
    pub(super) fn each_older(&self, mut both: impl FnMut(&Entry, &Entry)) -> Result<(), IngestError> {
        let Some(older) = &self.older else { return Ok(()) };
        for bucket in 0..self.own.count() {
            let own = self.own_entries(bucket)?;
            for older in older.entries(bucket)? {
                find(&own, older.hash).into_iter().for_each(|own| both(own, &older));
            }
        }
        Ok(())
    }

    /// Calls `found` for every key here that is among `others`.
    pub(super) fn each_found(&self, others: &Keys, mut found: impl FnMut(&Entry)) -> Result<(), IngestError> {
        for bucket in 0..self.own.count() {
            let others = others.entries(bucket)?;
            let own = self.own_entries(bucket)?;
            own.iter().filter(|entry| find(&others, entry.hash).is_some()).for_each(&mut found);
        }
        Ok(())
    }

    /// The hashes of the keys, without those in the store.
    pub(super) fn hashes(&self) -> Result<HashSet<[u8; 16]>, IngestError> {
        let mut hashes = HashSet::new();
        for bucket in 0..self.own.count() {
            hashes.extend(self.own_entries(bucket)?.iter().map(|entry| entry.hash.to_be_bytes()));
        }
        Ok(hashes)
    }

    fn own_entries(&self, bucket: usize) -> Result<Vec<Entry>, IngestError> {
        let mut entries = Vec::new();
        self.own.each(bucket, |batch| {
            let hashes = batch.column(0).as_fixed_size_binary();
            let units = batch.column(1).as_fixed_size_binary();
            let lines = batch.column(2).as_primitive::<UInt64Type>();
            for row in 0..batch.num_rows() {
                let hash = u128::from_be_bytes(unit_at(hashes, row));
                entries.push(Entry { hash, line: lines.value(row), unit: unit_at(units, row) });
            }
            Ok(())
        })?;
        entries.sort_unstable();
        Ok(entries)
    }

    /// Reports every key that an earlier line has.
    pub(super) fn check_unique(
        &self,
        rule: &'static str,
        column: Option<(usize, &str)>,
        report: FileReporter<'_>,
    ) -> Result<(), IngestError> {
        for bucket in 0..self.own.count() {
            let entries = self.own_entries(bucket)?;
            for same in entries.chunk_by(|a, b| a.hash == b.hash) {
                for entry in &same[1..] {
                    let what = if column.is_some() { "value" } else { "key" };
                    let message = format!("the same {what} as in line {}", same[0].line);
                    report.mistake(entry.line, column, Wrong::new(rule, message));
                }
            }
        }
        Ok(())
    }

    /// Calls `missing` for every reference here that finds no key among `parents`; with `same_unit`, also for
    /// one that finds a key of another pupil.
    pub(super) fn check_found(
        &self,
        parents: &Keys,
        same_unit: bool,
        mut missing: impl FnMut(&Entry),
    ) -> Result<(), IngestError> {
        for bucket in 0..self.own.count() {
            let parents = parents.entries(bucket)?;
            for entry in self.own_entries(bucket)? {
                match find(&parents, entry.hash) {
                    Some(parent) if !same_unit || parent.unit == entry.unit => {}
                    _ => missing(&entry),
                }
            }
        }
        Ok(())
    }
}

/// The key of that hash, among entries sorted by it.
pub(super) fn find(entries: &[Entry], hash: u128) -> Option<&Entry> {
    let place = entries.partition_point(|entry| entry.hash < hash);
    entries.get(place).filter(|entry| entry.hash == hash)
}

/// A hash for each row; none where a part of the key is missing.
pub(super) struct Hashes(pub(super) Vec<Option<[u8; 16]>>);

/// One column of a key.
pub(super) enum KeyPart {
    /// Stands for the unit column.
    Pseudonym(Arc<FixedSizeBinaryArray>),
    /// Any other.
    Value(ArrayRef),
}

impl Hashes {
    /// Over keys of these columns.
    pub(super) fn of(parts: &[KeyPart], rows: usize) -> Result<Hashes, IngestError> {
        // Pseudonyms are evenly distributed already.
        if let [KeyPart::Pseudonym(units)] = parts {
            return Ok(Hashes(units.iter().map(|unit| unit.and_then(|unit| unit.try_into().ok())).collect()));
        }
        let mut hashes = Vec::with_capacity(rows);
        let mut bytes = Vec::new();
        for row in 0..rows {
            bytes.clear();
            let mut whole = true;
            for part in parts {
                whole &= part.append(row, &mut bytes)?;
            }
            hashes.push(whole.then(|| first_sixteen(digest::digest(&digest::SHA256, &bytes).as_ref())));
        }
        Ok(Hashes(hashes))
    }
}

impl KeyPart {
    /// Appends an encoding that no other value, and no other split into columns, has. False: missing.
    fn append(&self, row: usize, bytes: &mut Vec<u8>) -> Result<bool, IngestError> {
        let array = match self {
            KeyPart::Pseudonym(units) => {
                bytes.extend_from_slice(units.value(row));
                return Ok(units.is_valid(row));
            }
            KeyPart::Value(array) => array,
        };
        if array.is_null(row) {
            return Ok(false);
        }
        match array.data_type() {
            DataType::Utf8 => {
                let text = array.as_string::<i32>().value(row);
                bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
            DataType::Int64 => {
                bytes.extend_from_slice(&array.as_primitive::<Int64Type>().value(row).to_be_bytes());
            }
            DataType::Boolean => bytes.push(u8::from(array.as_boolean().value(row))),
            DataType::Float64 => {
                bytes.extend_from_slice(&array.as_primitive::<Float64Type>().value(row).to_be_bytes());
            }
            DataType::Date32 => {
                bytes.extend_from_slice(&array.as_primitive::<Date32Type>().value(row).to_be_bytes());
            }
            DataType::Timestamp(..) => {
                let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
                bytes.extend_from_slice(&micros.to_be_bytes());
            }
            other => return Err(IngestError::Engine(format!("no keys of type {other}"))),
        }
        Ok(true)
    }
}

/// The pseudonyms of the values of a column; NULL where they are missing.
pub(super) fn pseudonyms(
    keys: &Keyring,
    contract: &str,
    units: &ArrayRef,
) -> Result<Arc<FixedSizeBinaryArray>, IngestError> {
    let rows = units.len();
    let mut bytes = Vec::with_capacity(16 * rows);
    let mut last = [0_u8; 16];
    match units.data_type() {
        DataType::Int64 => {
            let values = units.as_primitive::<Int64Type>().values();
            for row in 0..rows {
                if row == 0 || values[row] != values[row - 1] {
                    last = keys.pseudonym(contract, values[row].to_string().as_bytes());
                }
                bytes.extend_from_slice(&last);
            }
        }
        DataType::Utf8 => {
            let values = units.as_string::<i32>();
            for row in 0..rows {
                if row == 0 || values.value(row) != values.value(row - 1) {
                    last = keys.pseudonym(contract, values.value(row).as_bytes());
                }
                bytes.extend_from_slice(&last);
            }
        }
        _ => {
            let options = FormatOptions::default();
            let values = ArrayFormatter::try_new(units, &options).map_err(engine)?;
            for row in 0..rows {
                bytes.extend_from_slice(&keys.pseudonym(contract, values.value(row).to_string().as_bytes()));
            }
        }
    }
    let nulls = units.logical_nulls();
    Ok(Arc::new(FixedSizeBinaryArray::try_new(16, bytes.into(), nulls).map_err(engine)?))
}

pub(super) fn unit_at(units: &FixedSizeBinaryArray, row: usize) -> [u8; 16] {
    first_sixteen(units.value(row))
}

fn first_sixteen(bytes: &[u8]) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(&bytes[..16]);
    first
}

fn entry_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("hash", DataType::FixedSizeBinary(16), false),
        Field::new(UNIT_COLUMN, DataType::FixedSizeBinary(16), false),
        Field::new("line", DataType::UInt64, false),
    ]))
}
