//! What ingest enforces, asked of rows that are in the store already: `vault check`.

use std::cell::RefCell;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use memoranda::{Contract, Role, Table};

use super::cells::Cells;
use super::plan::{Plan, fingerprint};
use super::references::{Hashes, KeyWriter};
use super::report::{Reporter, Wrong};
use super::staging::Staging;
use super::table::{place, primary_key};
use super::{BUDGET, IngestError, Job, carried};
use crate::identity::{Cohorts, Desk, each_batch, units};
use crate::snapshot::{Part, Snapshot, SnapshotTable, data_type};
use crate::vault::{Vault, VaultError};

/// Takes what is wrong: the table, the file or `None` for the table as a whole, the column, the rule, the words.
pub(crate) type Found<'a> = &'a mut dyn FnMut(&str, Option<&Part>, Option<&str>, &str, &str);

/// Checks the rows of the tables that `whole` says can be read.
pub(crate) fn check(
    vault: &Vault,
    contract: &Contract,
    snapshot: &Snapshot,
    whole: &dyn Fn(&str) -> bool,
    found: Found<'_>,
) -> Result<(), IngestError> {
    let plan = Plan::nothing(snapshot);
    let report = Reporter::new(contract.tables.iter().map(|table| table.name.clone()).collect());
    let (staging, desk) = (Staging::create(vault, &contract.name)?, Desk::open(vault)?);
    let cohorts = RefCell::new(Cohorts::empty(contract));
    let (plan, staging, report, desk, cohorts) = (&plan, &staging, &report, &desk, &cohorts);
    let job = Job { vault, desk, cohorts, contract, plan, staging, report, budget: BUDGET };
    for (index, table) in contract.tables.iter().enumerate() {
        let Some(stored) = snapshot.table(&table.name).filter(|_| whole(&table.name)) else { continue };
        if stored.fingerprint != fingerprint(table) {
            found(
                &table.name,
                None,
                None,
                "contract",
                "was checked against another definition; ingest it again",
            );
            continue;
        }
        check_values(&job, table, stored, found)?;
        if !table.primary_key.is_empty() {
            keys(&job, table, stored)?.check_unique("primaryKey", None, report.file(index))?;
            if report.file(index).has_mistakes() {
                found(&table.name, None, None, "primaryKey", "a key stands twice");
            }
        }
        for key in
            table.foreign_keys.iter().filter(|key| whole(&key.table) && plan.stored(&key.table).is_some())
        {
            let parents = carried::keys(&job, &key.table)?;
            match carried::check(&job, stored, table, key, Some(&parents)) {
                Err(IngestError::Unsatisfied { to, .. }) => {
                    let words =
                        format!("refers to rows of `{to}` that are not there, or are of another pupil");
                    found(&table.name, None, None, "foreignKey", &words);
                }
                checked => checked?,
            }
        }
    }
    Ok(())
}

fn keys(
    job: &Job<'_>,
    table: &Table,
    stored: &SnapshotTable,
) -> Result<super::references::Keys, IngestError> {
    let mut writer = KeyWriter::new(job.budget.keys, job.staging.folder());
    for part in &stored.parts {
        let mut failed = Ok(());
        each_batch(&job.vault.keys.ring, part, None, |batch| {
            if failed.is_ok() {
                failed = push_keys(&mut writer, table, &batch);
            }
            Ok(())
        })?;
        failed?;
    }
    writer.finish()
}

fn push_keys(writer: &mut KeyWriter, table: &Table, batch: &RecordBatch) -> Result<(), IngestError> {
    let rows = batch.num_rows();
    let units = units(batch).map(|units| Arc::new(units.clone()));
    let mut columns: Vec<ArrayRef> = table
        .columns
        .iter()
        .map(|column| arrow::array::new_null_array(&data_type(column.kind), rows))
        .collect();
    for name in &table.primary_key {
        if let Some(values) = batch.column_by_name(name) {
            columns[place(table, name)?] = Arc::clone(values);
        }
    }
    let hashes = Hashes::of(&primary_key(table, &columns, units.as_ref())?, rows)?;
    writer.push(&hashes, &UInt64Array::from_value(0, rows), units.as_deref())
}

/// Ranges, codes, patterns, and what may not be missing.
fn check_values(
    job: &Job<'_>,
    table: &Table,
    stored: &SnapshotTable,
    found: Found<'_>,
) -> Result<(), IngestError> {
    for part in &stored.parts {
        for column in table.columns.iter().filter(|column| column.role == Role::Attribute) {
            let mut cells =
                Cells::new(table, column).map_err(|error| IngestError::Engine(error.to_string()))?;
            let mut wrong = None;
            each_batch(&job.vault.keys.ring, part, Some(&[&column.name]), |batch| {
                let values = batch.column_by_name(&column.name);
                let values = values.ok_or_else(|| VaultError::Damaged(part.entry.place.clone()))?;
                for row in 0..values.len() {
                    if let Err(here) = push(&mut cells, values, row) {
                        wrong.get_or_insert(here);
                    }
                }
                cells.finish();
                Ok(())
            })?;
            if let Some(wrong) = wrong {
                found(&table.name, Some(part), Some(&column.name), wrong.rule, &wrong.message);
            }
        }
    }
    Ok(())
}

fn push(cells: &mut Cells, values: &ArrayRef, row: usize) -> Result<(), Wrong> {
    if values.is_null(row) {
        return cells.push_null();
    }
    match values.data_type() {
        DataType::Boolean => cells.push_bool(values.as_boolean().value(row)),
        DataType::Int64 => cells.push_i64(values.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => cells.push_f64(values.as_primitive::<Float64Type>().value(row)),
        DataType::Date32 => cells.push_date(values.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(..) => {
            cells.push_datetime(values.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Utf8 => cells.push_text(values.as_string::<i32>().value(row)),
        _ => Err(Wrong::new("type", "not a value of the column's type")),
    }
}
