//! Rows on their way in: checked columns in chunks, with the line of each row.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use memoranda::Table;

use super::cells::Cells;
use super::report::{FileReporter, Wrong};
use super::{IngestError, engine};
use crate::snapshot::data_type;

/// Rows in a chunk.
pub(super) const CHUNK_ROWS: usize = 8192;
/// Where the line of a row travels until it is known to be right.
pub(super) const LINE_COLUMN: &str = "__line";

/// Takes a chunk and the bytes read so far; false stops the reading.
pub(super) type Emit<'a> = dyn FnMut(RecordBatch, u64) -> bool + 'a;

/// `__line`, then all columns of the contract.
pub(super) fn raw_schema(table: &Table) -> SchemaRef {
    let columns = table.columns.iter().map(|column| Field::new(&column.name, data_type(column.kind), true));
    let line = Field::new(LINE_COLUMN, DataType::UInt64, false);
    Arc::new(Schema::new(std::iter::once(line).chain(columns).collect::<Vec<_>>()))
}

/// For each column of the file, its place in the contract; `None` where they differ, which is reported.
pub(super) fn match_columns(table: &Table, names: &[&str], report: FileReporter<'_>) -> Option<Vec<usize>> {
    let mut given = HashMap::new();
    let mut columns = Vec::with_capacity(names.len());
    let mut right = true;
    let mut wrong = |message: String| {
        right = false;
        report.mistake(1, None, Wrong::new("header", message));
    };
    for (i, name) in names.iter().enumerate() {
        if given.insert(*name, i).is_some() {
            // Not its name: a file without a header has data here.
            wrong(format!("column {} has the name of an earlier one", i + 1));
        }
        match table.columns.iter().position(|column| column.name == *name) {
            Some(place) => columns.push(place),
            None => wrong(format!("column {} is not in the contract", i + 1)),
        }
    }
    for column in table.columns.iter().filter(|column| !given.contains_key(column.name.as_str())) {
        wrong(format!("the column `{}` is missing", column.name));
    }
    right.then_some(columns)
}

/// Checks rows, value by value, and emits those that are right.
pub(super) struct RowReader<'a> {
    table: &'a Table,
    report: FileReporter<'a>,
    schema: SchemaRef,
    cells: Vec<Cells>,
    lines: Vec<u64>,
    right: Vec<bool>,
}

impl<'a> RowReader<'a> {
    pub(super) fn new(table: &'a Table, report: FileReporter<'a>) -> Result<RowReader<'a>, IngestError> {
        let cells = table.columns.iter().map(|column| Cells::new(table, column));
        Ok(RowReader {
            table,
            report,
            schema: raw_schema(table),
            cells: cells.collect::<Result<_, _>>().map_err(|error| IngestError::Engine(error.to_string()))?,
            lines: Vec::with_capacity(CHUNK_ROWS),
            right: Vec::with_capacity(CHUNK_ROWS),
        })
    }

    /// The next row begins.
    pub(super) fn begin(&mut self, line: u64) {
        self.lines.push(line);
        self.right.push(true);
    }

    /// A value of the row that has begun.
    pub(super) fn put(&mut self, column: usize, push: impl FnOnce(&mut Cells) -> Result<(), Wrong>) {
        let row = self.lines.len() - 1;
        self.put_at(row, column, push);
    }

    /// A value of a row of this chunk, for files that come by column.
    pub(super) fn put_at(
        &mut self,
        row: usize,
        column: usize,
        push: impl FnOnce(&mut Cells) -> Result<(), Wrong>,
    ) {
        if let Err(wrong) = push(&mut self.cells[column]) {
            self.right[row] = false;
            self.report.mistake(self.lines[row], Some((column, &self.table.columns[column].name)), wrong);
        }
    }

    /// The row is complete. False: nobody wants more.
    pub(super) fn end(&mut self, done: u64, emit: &mut Emit<'_>) -> Result<bool, IngestError> {
        if self.lines.len() < CHUNK_ROWS { Ok(true) } else { self.flush(done, emit) }
    }

    /// Emits the rows that are here.
    pub(super) fn flush(&mut self, done: u64, emit: &mut Emit<'_>) -> Result<bool, IngestError> {
        let lines = UInt64Array::from(std::mem::take(&mut self.lines));
        let right = std::mem::take(&mut self.right);
        let mut columns: Vec<ArrayRef> = vec![Arc::new(lines)];
        columns.extend(self.cells.iter_mut().map(Cells::finish));
        let mut chunk = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(engine)?;
        if !right.iter().all(|right| *right) {
            chunk = filter_record_batch(&chunk, &BooleanArray::from(right)).map_err(engine)?;
        }
        Ok(emit(chunk, done))
    }
}
