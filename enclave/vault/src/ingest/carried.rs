//! Tables of the snapshot in force that stay as they are: their keys, and their references to what is new.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array, new_null_array};
use memoranda::{Contract, ForeignKey, Role, Table};

use super::references::{Hashes, KeyPart, KeyWriter, Keys};
use super::rows::CHUNK_ROWS;
use super::table::{Values, place, via_key};
use super::{IngestError, Job};
use crate::files;
use crate::identity;
use crate::keys::ring::Ring;
use crate::snapshot::{Part, PartEntry, SnapshotTable, TableEntry, UNIT_COLUMN, data_type, stored_columns};
use crate::vault::VaultError;

/// The primary key of a table that is not read.
pub(super) fn keys(job: &Job<'_>, table: &str) -> Result<Keys, IngestError> {
    let (Some(stored), Some(table)) = (job.plan.stored(table), job.contract.table(table)) else {
        return Err(IngestError::Engine(format!("no table `{table}` to refer to")));
    };
    let unsatisfied = "its key holds an identifier";
    collect(job, stored, table, &table.primary_key, unsatisfied, &table.name, |values| values.primary_key())
}

/// Whether a table that stays still finds what it refers to in one that is new.
pub(super) fn check(
    job: &Job<'_>,
    stored: &SnapshotTable,
    table: &Table,
    key: &ForeignKey,
    parents: Option<&Keys>,
) -> Result<(), IngestError> {
    let unsatisfied =
        |reason| IngestError::Unsatisfied { table: table.name.clone(), to: key.table.clone(), reason };
    let references = collect(
        job,
        stored,
        table,
        &key.columns,
        "the reference uses what only its file holds",
        &key.table,
        |values| values.reference(key),
    )?;
    let parents = parents.ok_or_else(|| IngestError::Engine(format!("no keys of `{}`", key.table)))?;
    // A row that would now reach another pupil is as wrong as one that reaches none.
    let same_unit = via_key(table) == Some(key);
    let mut whole = true;
    references.check_found(parents, same_unit, |_| whole = false)?;
    if whole { Ok(()) } else { Err(unsatisfied("not all of its rows find theirs any more")) }
}

/// The manifest's entry, as it is.
pub(super) fn entry(stored: &SnapshotTable, contract: &Contract) -> TableEntry {
    let entries = |parts: &[Part]| parts.iter().map(|part| part.entry.as_ref().clone()).collect::<Vec<_>>();
    TableEntry {
        name: stored.name.clone(),
        private: stored.private,
        rows: stored.rows,
        fingerprint: stored.fingerprint.clone(),
        columns: contract.table(&stored.name).map(stored_columns).unwrap_or_default(),
        parts: entries(&stored.parts),
        identity: entries(&stored.identity),
    }
}

/// The identity files of a table, where pupils have changed their cohort.
pub(super) fn rehomed(
    job: &Job<'_>,
    table: &Table,
    entry: &TableEntry,
) -> Result<Vec<PartEntry>, IngestError> {
    let part = |entry: &PartEntry| {
        let part = Part::of(Arc::new(entry.clone()), &job.vault.keys, &job.vault.storage);
        part.ok_or_else(|| VaultError::Damaged(entry.place.clone()))
    };
    let old = entry.identity.iter().map(part).collect::<Result<Vec<_>, _>>()?;
    Ok(identity::rehome(job.desk, job.staging, job.contract, table, &old, &job.cohorts.borrow())?)
}

/// Hashes over some columns of a stored table. The unit column can stand in a key only as a pseudonym, and
/// identifiers cannot at all, since attribute files have neither.
fn collect(
    job: &Job<'_>,
    stored: &SnapshotTable,
    table: &Table,
    columns: &[String],
    unsatisfied: &'static str,
    to: &str,
    parts_of: impl Fn(&Values<'_>) -> Result<Vec<KeyPart>, IngestError>,
) -> Result<Keys, IngestError> {
    let refused =
        || IngestError::Unsatisfied { table: table.name.clone(), to: to.to_owned(), reason: unsatisfied };
    if columns.iter().any(|name| table.column(name).is_some_and(|column| column.role == Role::Identifier)) {
        return Err(refused());
    }
    let mut writer = KeyWriter::new(job.budget.keys, job.staging.folder());
    let mut names: Vec<&str> = columns.iter().map(String::as_str).collect();
    names.push(UNIT_COLUMN);
    for part in &stored.parts {
        each_batch(&job.vault.keys.ring, part, &names, |batch| {
            let units =
                batch.column_by_name(UNIT_COLUMN).map(|units| Arc::new(units.as_fixed_size_binary().clone()));
            let mut values: Vec<ArrayRef> = table
                .columns
                .iter()
                .map(|column| new_null_array(&data_type(column.kind), batch.num_rows()))
                .collect();
            for name in columns {
                if let Some(column) = batch.column_by_name(name) {
                    values[place(table, name)?] = Arc::clone(column);
                }
            }
            let parts = parts_of(&Values { job, table, columns: &values, units: units.as_ref() })?;
            // The unit column used for its value, not for its pupil.
            let unit_place = table.unit_column().map(|unit| place(table, unit)).transpose()?;
            let raw = |part: &KeyPart| match (part, unit_place) {
                (KeyPart::Value(value), Some(unit)) => Arc::ptr_eq(value, &values[unit]),
                _ => false,
            };
            if parts.iter().any(raw) {
                return Err(refused());
            }
            let hashes = Hashes::of(&parts, batch.num_rows())?;
            let lines = UInt64Array::from_value(0, batch.num_rows());
            writer.push(&hashes, &lines, units.as_deref())
        })?;
    }
    writer.finish()
}

fn each_batch(
    ring: &Ring,
    part: &Part,
    columns: &[&str],
    mut take: impl FnMut(RecordBatch) -> Result<(), IngestError>,
) -> Result<(), IngestError> {
    let damaged = || VaultError::Damaged(part.entry.place.clone());
    let reader = files::read(part, ring, Some(columns), CHUNK_ROWS)?;
    for batch in reader {
        take(batch.map_err(|_| damaged())?)?;
    }
    Ok(())
}
