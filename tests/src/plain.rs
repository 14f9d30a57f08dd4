//! [`Plain`]: records in plain DataFusion, read by a contract's types.

use std::fs::File;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use disclosure_rules::Value;
use gate::answered::Cell;
use gate::{Answered, Request};
use memoranda::{Contract, Kind, Table};
use vault::Input;

use crate::Home;

/// A cell, of an answer or of a plain result.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    /// NULL.
    Null,
    /// Not shown.
    Hidden,
    /// A number.
    Number(f64),
    /// Text, a date, or a truth value.
    Text(String),
}

/// Records in plain DataFusion.
pub struct Plain {
    context: SessionContext,
    runtime: tokio::runtime::Runtime,
}

impl Plain {
    /// The same files as a home ingests.
    pub fn new(contract: &Contract, inputs: &[Input]) -> Plain {
        let context = SessionContext::new();
        for input in inputs {
            context.register_batch(&input.table, batch(contract, input)).unwrap();
        }
        Plain { context, runtime: tokio::runtime::Runtime::new().unwrap() }
    }

    /// The rows of a question.
    pub fn ask(&self, sql: &str) -> Result<Vec<Vec<Datum>>, DataFusionError> {
        let batches = self.runtime.block_on(async { self.context.sql(sql).await?.collect().await })?;
        let row = |batch: &RecordBatch, row: usize| -> Result<Vec<Datum>, DataFusionError> {
            let scalars = batch.columns().iter().map(|column| ScalarValue::try_from_array(column, row));
            scalars.map(|scalar| Ok(datum(&scalar?))).collect()
        };
        batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|i| row(batch, i))).collect()
    }
}

/// A file's records, by the contract's types.
pub fn batch(contract: &Contract, input: &Input) -> RecordBatch {
    let schema = schema(contract.table(&input.table).unwrap());
    let reader = arrow::csv::ReaderBuilder::new(Arc::clone(&schema)).with_header(true);
    let batches = reader.build(File::open(&input.path).unwrap()).unwrap();
    arrow::compute::concat_batches(&schema, &batches.collect::<Result<Vec<_>, _>>().unwrap()).unwrap()
}

fn schema(table: &Table) -> Arc<Schema> {
    let field = |column: &memoranda::Column| {
        let kind = match column.kind {
            Kind::Boolean => DataType::Boolean,
            Kind::Integer => DataType::Int64,
            Kind::Number => DataType::Float64,
            Kind::Text => DataType::Utf8,
            Kind::Date => DataType::Date32,
            Kind::DateTime => DataType::Timestamp(TimeUnit::Microsecond, None),
        };
        Field::new(&column.name, kind, true)
    };
    Arc::new(Schema::new(table.columns.iter().map(field).collect::<Vec<_>>()))
}

fn datum(scalar: &ScalarValue) -> Datum {
    match scalar {
        ScalarValue::Float64(Some(f)) => Datum::Number(*f),
        ScalarValue::TimestampMicrosecond(Some(_), None)
        | ScalarValue::TimestampNanosecond(Some(_), None) => {
            let day = scalar.cast_to(&DataType::Date32).unwrap();
            key(&queries::value(&day).unwrap())
        }
        other if other.data_type().is_unsigned_integer() => datum(&other.cast_to(&DataType::Int64).unwrap()),
        other => key(&queries::value(other).unwrap()),
    }
}

fn key(value: &Value) -> Datum {
    match value {
        Value::Null => Datum::Null,
        Value::Int(i) => Datum::Number(*i as f64),
        Value::Bool(_) | Value::Date(_) | Value::Text(_) => Datum::Text(value.to_string()),
    }
}

/// The rows of an answer.
pub fn rows(answered: &Answered) -> Vec<Vec<Datum>> {
    let cell = |cell: &Cell| match cell {
        Cell::Noisy { value, .. } | Cell::Number(value) => Datum::Number(value.get()),
        Cell::Hidden { .. } => Datum::Hidden,
        Cell::Key(value) => key(value),
    };
    answered.rows.iter().map(|row| row.iter().map(cell).collect()).collect()
}

/// How the answer of a home without noise differs from the plain one, which may be asked for in other words where plain
/// SQL has none of these.
pub fn disagreement(
    home: &Home,
    plain: &Plain,
    request: &Request,
    in_plain: &str,
    ordered: bool,
) -> Option<String> {
    match home.ask(request) {
        Ok(answered) => match plain.ask(in_plain) {
            Ok(rows) => difference(&answered, rows, ordered),
            Err(error) => Some(format!("plain: {error}")),
        },
        Err(failure) => Some(failure.to_string()),
    }
}

/// How an answer without noise differs from a plain result; `None` where it does not. A cell without pupils is hidden:
/// plain SQL has a zero there, or NULL, or no row at all. Rows are compared in order where `ordered`, else by key.
pub fn difference(answered: &Answered, plain: Vec<Vec<Datum>>, ordered: bool) -> Option<String> {
    let keys: Vec<usize> =
        (0..answered.columns.len()).filter(|&i| answered.columns[i].role == "key").collect();
    let key = |row: &[Datum]| keys.iter().map(|&i| format!("{:?}", row[i])).collect::<Vec<_>>();
    let known: Vec<Vec<String>> = plain.iter().map(|row| key(row)).collect();
    let empty = |row: &[Datum]| {
        (0..row.len()).all(|i| keys.contains(&i) || row[i] == Datum::Hidden) && !known.contains(&key(row))
    };
    let (mut found, mut plain) = (rows(answered), plain);
    found.retain(|row| !empty(row));
    if !ordered {
        found.sort_by_key(|row| key(row));
        plain.sort_by_key(|row| key(row));
    }
    if found.len() != plain.len() {
        return Some(format!("{} rows, not {}:\n{found:?}\n{plain:?}", found.len(), plain.len()));
    }
    let mut pairs = found.iter().zip(&plain);
    let tolerances =
        answered.columns.iter().map(|column| if column.kind == "integer" { 0.0 } else { TOLERANCE });
    let tolerances: Vec<f64> = tolerances.collect();
    let same = |found: &[Datum], plain: &[Datum]| {
        found.iter().zip(plain).zip(&tolerances).all(|((a, b), tolerance)| same(a, b, *tolerance))
    };
    let wrong = pairs.find(|(found, plain)| !same(found, plain))?;
    Some(format!("{:?}\nplain: {:?}", wrong.0, wrong.1))
}

/// What the lattice that an expression is summed on, about a millionth of its range, and the rest of the noise on it
/// can make of a number with decimals, relative to it. Less than a row of the records compared here.
const TOLERANCE: f64 = 1e-5;

fn same(found: &Datum, plain: &Datum, tolerance: f64) -> bool {
    match (found, plain) {
        (Datum::Hidden, plain) => matches!(plain, Datum::Null) || *plain == Datum::Number(0.0),
        (Datum::Number(a), Datum::Number(b)) => (a - b).abs() <= tolerance * b.abs().max(1.0),
        (found, plain) => found == plain,
    }
}
