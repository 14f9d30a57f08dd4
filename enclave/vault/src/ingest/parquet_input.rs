//! Parquet files: columns by name, in types that convert without loss.

use std::fs::File;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use memoranda::{Kind, Table};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::report::{FileReporter, Wrong};
use super::rows::{CHUNK_ROWS, Emit, RowReader, match_columns};
use super::{IngestError, engine};
use crate::durable::At;

/// Rows, and bytes when decoded.
pub(super) struct Extent {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// How much there is, by the footer.
pub(super) fn extent(path: &Path) -> Result<Extent, IngestError> {
    let builder = open(path)?;
    let metadata = builder.metadata();
    let bytes: i64 = metadata.row_groups().iter().map(|group| group.total_byte_size()).sum();
    let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
    // Dictionaries and runs make values much shorter in the file than in memory.
    let least = rows.saturating_mul(8 * builder.schema().fields().len() as u64);
    Ok(Extent { rows, bytes: u64::try_from(bytes).unwrap_or(0).max(least) })
}

/// Reads, checks, and emits rows.
pub(super) fn read(
    path: &Path,
    table: &Table,
    report: FileReporter<'_>,
    emit: &mut Emit<'_>,
) -> Result<(), IngestError> {
    let size = path.metadata().at(path)?.len();
    let builder = open(path)?;
    let schema = builder.schema().clone();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let Some(columns) = match_columns(table, &names, report) else {
        return Ok(());
    };
    let mut right = true;
    for (field, place) in schema.fields().iter().zip(&columns) {
        let column = &table.columns[*place];
        if target(field.data_type(), column.kind).is_none() {
            right = false;
            let message = format!("type {} does not fit the contract's", field.data_type());
            report.mistake(1, Some((*place, &column.name)), Wrong::new("type", message));
        }
    }
    if !right {
        return Ok(());
    }

    let in_all = builder.metadata().file_metadata().num_rows().max(1) as u64;
    let reader = builder.with_batch_size(CHUNK_ROWS).build().map_err(|error| unreadable(path, &error))?;
    let mut rows = RowReader::new(table, report)?;
    let mut line = 0_u64;
    for batch in reader {
        let batch = batch.map_err(|error| unreadable(path, &error))?;
        for row in 0..batch.num_rows() as u64 {
            rows.begin(line + row + 1);
        }
        for (array, place) in batch.columns().iter().zip(&columns) {
            put_column(&mut rows, *place, array, table.columns[*place].kind)?;
        }
        line += batch.num_rows() as u64;
        if !rows.flush(size * line.min(in_all) / in_all, emit)? {
            return Ok(());
        }
    }
    Ok(())
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, IngestError> {
    let file = File::open(path).at(path)?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> IngestError {
    IngestError::Unreadable { file: path.to_path_buf(), reason: error.to_string() }
}

/// The type that a file's column is first brought to; `None` where its values cannot be the contract's.
fn target(from: &DataType, kind: Kind) -> Option<DataType> {
    use DataType::{
        Boolean, Date32, Date64, Decimal128, Dictionary, Float32, Float64, Int8, Int16, Int32, Int64,
        LargeUtf8, Timestamp, UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    match (from, kind) {
        (Dictionary(_, value), _) => target(value, kind),
        // Text is read as in a CSV file.
        (Utf8 | LargeUtf8 | Utf8View, _) => Some(Utf8),
        (Boolean, Kind::Boolean) => Some(Boolean),
        (Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64, Kind::Integer | Kind::Number) => {
            Some(Int64)
        }
        (Float32 | Float64, Kind::Integer | Kind::Number) => Some(Float64),
        (Decimal128(..), Kind::Number) => Some(Float64),
        (Date32 | Date64, Kind::Date) => Some(Date32),
        (Timestamp(_, None), Kind::DateTime) => Some(Timestamp(TimeUnit::Microsecond, None)),
        _ => None,
    }
}

fn put_column(
    rows: &mut RowReader<'_>,
    place: usize,
    array: &ArrayRef,
    kind: Kind,
) -> Result<(), IngestError> {
    let Some(target) = target(array.data_type(), kind) else {
        return Err(IngestError::Engine("a column changed its type inside the file".to_owned()));
    };
    let cast = cast(array, &target).map_err(engine)?;
    // A cast gives NULL where a value does not fit; such a value is wrong, not missing.
    let lost = |row: usize| cast.is_null(row) && !array.is_null(row) && array.data_type() != &target;
    macro_rules! put {
        ($values:expr, $push:ident) => {
            for (row, value) in $values.iter().enumerate() {
                rows.put_at(row, place, |cells| match value {
                    Some(value) => cells.$push(value),
                    None => {
                        let pushed = cells.push_null();
                        if lost(row) {
                            Err(Wrong::new("type", "out of the range of the type"))
                        } else {
                            pushed
                        }
                    }
                });
            }
        };
    }
    match &target {
        DataType::Utf8 => put!(cast.as_string::<i32>(), push_text),
        DataType::Boolean => put!(cast.as_boolean(), push_bool),
        DataType::Int64 => put!(cast.as_primitive::<Int64Type>(), push_i64),
        DataType::Float64 => put!(cast.as_primitive::<Float64Type>(), push_f64),
        DataType::Date32 => put!(cast.as_primitive::<Date32Type>(), push_date),
        _ => put!(cast.as_primitive::<TimestampMicrosecondType>(), push_datetime),
    }
    Ok(())
}
