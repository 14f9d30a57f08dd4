//! What is held on one pupil: attributes and, beside them, what is kept apart.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType, UInt32Type};
use chrono::{DateTime, NaiveDate, TimeDelta};
use memoranda::{Contract, Kind, Role, Table};

use super::RecordsError;
use crate::identity::{Desk, Unit, each_batch, is_named, without};
use crate::ingest::{part_of, unit_text};
use crate::snapshot::{self, ROW_COLUMN, SnapshotTable};
use crate::vault::VaultError;

/// The rows of one pupil in one table, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The table.
    pub table: String,
    /// The contract's columns, in its order.
    pub columns: Vec<(String, Kind)>,
    /// Each value as a CSV file has it; `None` where it is missing.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Desk<'_> {
    /// The pseudonym of a pupil's number.
    pub(crate) fn unit(&self, contract: &Contract, number: &str) -> Result<Unit, RecordsError> {
        let kind = contract.tables.iter().find_map(|table| Some(table.column(table.unit_column()?)?.kind));
        let kind = kind.ok_or_else(|| RecordsError::NoUnit(contract.name.clone()))?;
        let text = unit_text(kind, number).ok_or(RecordsError::NotANumber)?;
        Ok(self.vault.keys.pseudonym(&contract.name, text.as_bytes()))
    }

    /// All that the snapshot in force holds on the pupil of this number, table by table; empty where that is nothing.
    pub fn held(&self, contract: &Contract, number: &str) -> Result<Vec<Held>, RecordsError> {
        let unit = self.unit(contract, number)?;
        let snapshot = snapshot::pinned(self.vault, &contract.name)?;
        let snapshot = snapshot.ok_or_else(|| RecordsError::Empty(contract.name.clone()))?;
        let mut all = Vec::new();
        for table in contract.tables.iter().filter(|table| table.is_private()) {
            let Some(stored) = snapshot.table(&table.name) else { continue };
            let rows = self.rows(table, stored, part_of(&unit, snapshot.partitions), &unit, number)?;
            if !rows.is_empty() {
                let columns = table.columns.iter().map(|column| (column.name.clone(), column.kind)).collect();
                all.push(Held { table: table.name.clone(), columns, rows });
            }
        }
        Ok(all)
    }

    fn rows(
        &self,
        table: &Table,
        stored: &SnapshotTable,
        part: usize,
        unit: &Unit,
        number: &str,
    ) -> Result<Vec<Vec<Option<String>>>, VaultError> {
        let named = if is_named(table) { self.names(table, stored, unit)? } else { HashMap::new() };
        let mut rows = Vec::new();
        let Some(part) = stored.parts.get(part) else { return Ok(rows) };
        each_batch(&self.vault.keys.ring, part, None, |batch| {
            let batch = without(&batch, &|other| other != unit)?;
            let numbers = row_numbers(&batch).unwrap_or_default();
            for (row, of_pupil) in numbers.iter().enumerate() {
                let values = table.columns.iter().map(|column| match column.role {
                    Role::Attribute => text(batch.column_by_name(&column.name)?, row),
                    Role::Unit => Some(number.trim().to_owned()),
                    Role::Identifier => named.get(of_pupil)?.get(&column.name).cloned(),
                });
                rows.push(values.collect());
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// By number of the row and column.
    fn names(
        &self,
        table: &Table,
        stored: &SnapshotTable,
        unit: &Unit,
    ) -> Result<HashMap<u32, HashMap<String, String>>, VaultError> {
        let mut named: HashMap<u32, HashMap<String, String>> = HashMap::new();
        for part in &stored.identity {
            self.each(part, None, |batch| {
                let batch = without(&batch, &|other| other != unit)?;
                for (row, of_pupil) in row_numbers(&batch).unwrap_or_default().into_iter().enumerate() {
                    for column in table.columns.iter().filter(|column| column.role == Role::Identifier) {
                        let value = batch.column_by_name(&column.name).and_then(|values| text(values, row));
                        if let Some(value) = value {
                            named.entry(of_pupil).or_default().insert(column.name.clone(), value);
                        }
                    }
                }
                Ok(())
            })?;
        }
        Ok(named)
    }
}

fn row_numbers(batch: &RecordBatch) -> Option<Vec<u32>> {
    Some(batch.column_by_name(ROW_COLUMN)?.as_primitive_opt::<UInt32Type>()?.values().to_vec())
}

/// A value as a CSV file has it.
fn text(values: &ArrayRef, row: usize) -> Option<String> {
    if values.is_null(row) {
        return None;
    }
    Some(match values.data_type() {
        DataType::Boolean => values.as_boolean().value(row).to_string(),
        DataType::Int64 => values.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => values.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Date32 => {
            let days = TimeDelta::days(i64::from(values.as_primitive::<Date32Type>().value(row)));
            NaiveDate::default().checked_add_signed(days)?.to_string()
        }
        DataType::Timestamp(..) => {
            let micros = values.as_primitive::<TimestampMicrosecondType>().value(row);
            DateTime::from_timestamp_micros(micros)?.naive_utc().format("%Y-%m-%dT%H:%M:%S%.f").to_string()
        }
        _ => values.as_string_opt::<i32>()?.value(row).to_owned(),
    })
}
