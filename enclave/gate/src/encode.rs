//! Answers as text and files: JSON, CSV, Arrow IPC, Parquet, and a table for people. Tabular forms give each measure
//! as NAME, NAME_low, NAME_high and NAME_status.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use disclosure_rules::Value;
use disclosure_rules::measure::CONFIDENCE;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use queries::Refusal;
use serde_json::json;

use crate::answered::{Answered, Cell, Column, Number, Rows};
use crate::approvals::Waiting;
use crate::receipt::{METADATA, with_receipt};

/// Forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// DESIGN section 7.
    Json,
    /// RFC 4180 with a header.
    Csv,
    /// Arrow IPC file.
    Arrow,
    /// Parquet file.
    Parquet,
}

/// Why an answer could not be written out.
#[derive(Debug, thiserror::Error)]
#[error("the answer cannot be written in this format")]
pub struct EncodeError;

impl From<ArrowError> for EncodeError {
    fn from(_: ArrowError) -> EncodeError {
        EncodeError
    }
}

impl From<parquet::errors::ParquetError> for EncodeError {
    fn from(_: parquet::errors::ParquetError) -> EncodeError {
        EncodeError
    }
}

/// The answer in a format. Text ends with a line feed.
pub fn encode(answered: &Answered, format: Format) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    match format {
        Format::Json => {
            out = serde_json::to_vec_pretty(&json(answered)?).map_err(|_| EncodeError)?;
            out.push(b'\n');
        }
        Format::Table => {
            let table = arrow::util::pretty::pretty_format_batches(&[batch(&rounded(answered))?])?;
            out = format!("{table}\n").into_bytes();
        }
        Format::Csv => {
            let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(&mut out);
            writer.write(&batch(answered)?)?;
        }
        Format::Arrow => {
            let batch = described(answered)?;
            let mut writer = arrow::ipc::writer::FileWriter::try_new(&mut out, &batch.schema())?;
            writer.write(&batch)?;
            writer.finish()?;
        }
        Format::Parquet => {
            let batch = described(answered)?;
            let carried = answered.receipt.as_ref().map(|receipt| {
                let receipt = KeyValue::new(METADATA.to_owned(), receipt.to_string());
                WriterProperties::builder().set_key_value_metadata(Some(vec![receipt])).build()
            });
            let mut writer = parquet::arrow::ArrowWriter::try_new(&mut out, batch.schema(), carried)?;
            writer.write(&batch)?;
            writer.close()?;
        }
    }
    Ok(out)
}

/// The answer as JSON.
pub fn json(answered: &Answered) -> Result<serde_json::Value, EncodeError> {
    let mut value = serde_json::to_value(answered).map_err(|_| EncodeError)?;
    let rows = serde_json::to_value(Rows(answered)).map_err(|_| EncodeError)?;
    let object = value.as_object_mut().ok_or(EncodeError)?;
    let log = object.shift_remove("log");
    object.insert("rows".to_owned(), rows);
    object.insert("log".to_owned(), log.unwrap_or_default());
    Ok(value)
}

/// A refusal as JSON.
pub fn refusal_json(refusal: &Refusal) -> serde_json::Value {
    json!({ "refused": {
        "rule": refusal.rule.name(),
        "at": refusal.at,
        "reason": refusal.reason,
        "rewrite": refusal.rewrite,
    } })
}

/// What waits for the board, as JSON.
pub fn waiting_json(waiting: &Waiting) -> serde_json::Value {
    json!({ "waiting": {
        "approval": waiting.approval, "state": waiting.state, "reasons": waiting.reasons,
    } })
}

/// The answer as a table whose schema says what was done: of the whole, memorandum, question, charge and receipt; of each
/// measure, its mechanism, scale and interval. The keys are in `docs/clients.md`.
pub fn described(answered: &Answered) -> Result<RecordBatch, EncodeError> {
    let batch = with_receipt(batch(answered)?, answered.receipt.as_ref())?;
    let mut schema = batch.schema().as_ref().clone();
    let mut fields = schema.fields.iter().map(|field| field.as_ref().clone());
    let mut described = Vec::new();
    for column in &answered.columns {
        let facts = |part: &str| {
            let mut facts = HashMap::from([
                ("enclave:role".to_owned(), column.role.clone()),
                ("enclave:of".to_owned(), column.name.clone()),
                ("enclave:part".to_owned(), part.to_owned()),
            ]);
            let scale = column.scale.map(|scale| scale.to_string());
            let sensitivity = column.sensitivity.and_then(|found| serde_json::to_string(&found).ok());
            let clipped = column.clipped.and_then(|found| serde_json::to_string(&found).ok());
            for (key, value) in [
                ("enclave:aggregate", column.aggregate.clone()),
                ("enclave:mechanism", column.mechanism.clone()),
                ("enclave:scale", scale),
                ("enclave:sensitivity", sensitivity),
                ("enclave:clipped", clipped),
                ("enclave:confidence", (column.role != "key").then(|| CONFIDENCE.to_string())),
            ] {
                if let Some(value) = value {
                    facts.insert(key.to_owned(), value);
                }
            }
            facts
        };
        let parts: &[&str] =
            if column.role == "key" { &["key"] } else { &["value", "low", "high", "status"] };
        for (part, field) in parts.iter().zip(fields.by_ref()) {
            described.push(field.with_metadata(facts(part)));
        }
    }
    schema.fields = described.into();
    let charged = serde_json::to_string(&answered.charged).map_err(|_| EncodeError)?;
    let balance = serde_json::to_string(&answered.balance).map_err(|_| EncodeError)?;
    for (key, value) in [
        ("enclave:memorandum", Some(answered.memorandum.clone())),
        ("enclave:question", Some(answered.question.clone())),
        ("enclave:release", answered.release.clone()),
        ("enclave:replayed", Some(answered.replayed.to_string())),
        ("enclave:preview", Some(answered.preview.to_string())),
        ("enclave:charged", Some(charged)),
        ("enclave:balance", Some(balance)),
        ("enclave:log", answered.log.as_ref().map(|log| log.index.to_string())),
    ] {
        if let Some(value) = value {
            schema.metadata.insert(key.to_owned(), value);
        }
    }
    Ok(batch.with_schema(Arc::new(schema))?)
}

/// The answer as a table.
pub fn batch(answered: &Answered) -> Result<RecordBatch, EncodeError> {
    table(&answered.columns, &answered.rows)
}

pub(crate) fn table(columns: &[Column], rows: &[Vec<Cell>]) -> Result<RecordBatch, EncodeError> {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        let cells: Vec<&Cell> = rows.iter().map(|row| &row[i]).collect();
        let mut push = |name: String, array: ArrayRef| {
            fields.push(Field::new(name, array.data_type().clone(), true));
            arrays.push(array);
        };
        if column.role == "key" {
            push(column.name.clone(), keys(column, &cells));
            continue;
        }
        push(column.name.clone(), numbers(column, &cells, |value, _, _| Some(value)));
        push(format!("{}_low", column.name), numbers(column, &cells, |_, low, _| low));
        push(format!("{}_high", column.name), numbers(column, &cells, |_, _, high| high));
        let status = cells.iter().map(|cell| match cell {
            Cell::Hidden { .. } => "small cell",
            Cell::Noisy { .. } | Cell::Number(_) => "shown",
            Cell::Key(Value::Null) => "undefined",
            Cell::Key(_) => "shown",
        });
        push(format!("{}_status", column.name), Arc::new(status.map(Some).collect::<StringArray>()));
    }
    let schema = Arc::new(Schema::new(fields));
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
}

/// For people: each number with as many digits as its interval warrants, two of the half-width.
fn rounded(answered: &Answered) -> Answered {
    let round = |number: Number, unit: f64| match number {
        Number::Float(f) if unit > 0.0 && unit.is_finite() => {
            let digits = (-unit.log10().floor()).clamp(0.0, 12.0) as usize;
            Number::Float(format!("{f:.digits$}").parse().unwrap_or(f))
        }
        other => other,
    };
    let cell = |cell: &Cell| match cell {
        Cell::Noisy { value, low: Some(low), high: Some(high) } => {
            let unit = (high.get() - low.get()) / 20.0;
            Cell::Noisy {
                value: round(*value, unit),
                low: Some(round(*low, unit)),
                high: Some(round(*high, unit)),
            }
        }
        other => other.clone(),
    };
    let rows = answered.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    Answered { rows, ..answered.clone() }
}

fn keys(column: &Column, cells: &[&Cell]) -> ArrayRef {
    let number = |cell: &Cell| match cell {
        Cell::Number(number) => Some(number.get()),
        Cell::Key(Value::Int(i)) => Some(*i as f64),
        _ => None,
    };
    match column.kind.as_str() {
        "integer" => Arc::new(
            cells
                .iter()
                .map(|cell| match cell {
                    Cell::Key(Value::Int(i)) | Cell::Number(Number::Integer(i)) => Some(*i),
                    _ => None,
                })
                .collect::<Int64Array>(),
        ),
        "number" => Arc::new(cells.iter().map(|cell| number(cell)).collect::<Float64Array>()),
        "boolean" => Arc::new(
            cells
                .iter()
                .map(|cell| if let Cell::Key(Value::Bool(b)) = cell { Some(*b) } else { None })
                .collect::<BooleanArray>(),
        ),
        "date" => Arc::new(
            cells
                .iter()
                .map(|cell| if let Cell::Key(Value::Date(day)) = cell { Some(day.0) } else { None })
                .collect::<Date32Array>(),
        ),
        _ => {
            let text = |cell: &&Cell| match cell {
                Cell::Key(Value::Null) | Cell::Hidden { .. } | Cell::Noisy { .. } => None,
                Cell::Key(value) => Some(value.to_string()),
                Cell::Number(number) => Some(number.get().to_string()),
            };
            Arc::new(cells.iter().map(text).collect::<StringArray>())
        }
    }
}

fn numbers(
    column: &Column,
    cells: &[&Cell],
    part: impl Fn(Number, Option<Number>, Option<Number>) -> Option<Number>,
) -> ArrayRef {
    let values = cells.iter().map(|cell| match cell {
        Cell::Noisy { value, low, high } => part(*value, *low, *high),
        Cell::Number(number) => part(*number, Some(*number), Some(*number)),
        Cell::Hidden { .. } | Cell::Key(_) => None,
    });
    if column.kind == "integer" {
        let whole = |number: Number| match number {
            Number::Integer(i) => i,
            Number::Float(f) => f as i64,
        };
        Arc::new(values.map(|value| value.map(whole)).collect::<Int64Array>())
    } else {
        Arc::new(values.map(|value| value.map(Number::get)).collect::<Float64Array>())
    }
}
