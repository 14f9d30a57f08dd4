//! Bound values: one row of an Arrow batch as [`Parameter`]s. A stream of values is small, and is not compressed: nothing
//! in it unfolds into more than it is. Arrow's reader trusts what a message says of itself, so a panic of it is a refusal.

use arrow::array::AsArray;
use arrow::array::{Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, UInt64Type};
use arrow::ipc::root_as_message;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::PeekableFlightDataStream;
use futures::StreamExt;
use gate::parameters::{self, Parameter, ParameterError};
use tonic::Status;

/// Messages that one row of values takes at most: a schema, and a few batches of which one has a row.
const MESSAGES_MAX: usize = 16;

/// The one row that a client sends.
pub(super) async fn read(mut stream: PeekableFlightDataStream) -> Result<Vec<Parameter>, Status> {
    let refused = Status::invalid_argument;
    let mut messages = Vec::new();
    while let Some(message) = stream.next().await.transpose()? {
        if messages.len() == MESSAGES_MAX {
            return Err(refused("too many messages: bind one row of values"));
        }
        if !message.data_header.is_empty() && is_compressed(&message.data_header) != Some(false) {
            return Err(refused("values come uncompressed, as Arrow"));
        }
        messages.push(message);
    }
    let reading = tokio::spawn(async move {
        let messages = futures::stream::iter(messages.into_iter().map(Ok::<FlightData, FlightError>));
        let mut batches = FlightRecordBatchStream::new_from_flight_data(messages);
        let mut bound = None;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(|_| UNREAD.to_owned())?;
            if batch.num_rows() > 0 {
                if bound.is_some() {
                    return Err("bind one row of values: each question is asked by itself".to_owned());
                }
                bound = Some(of(&batch)?);
            }
        }
        bound.ok_or_else(|| "no values were bound".to_owned())
    });
    reading.await.unwrap_or_else(|_| Err(UNREAD.to_owned())).map_err(Status::invalid_argument)
}

const UNREAD: &str = "the values do not read as Arrow";

/// Whether a message's body is compressed; `None` where it does not read.
fn is_compressed(head: &[u8]) -> Option<bool> {
    let message = root_as_message(head).ok()?;
    let batch = message.header_as_record_batch();
    let batch =
        batch.or_else(|| message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data()));
    Some(batch.is_some_and(|batch| batch.compression().is_some()))
}

/// The one row that was bound. What no question can hold is not kept.
fn of(batch: &RecordBatch) -> Result<Vec<Parameter>, String> {
    if batch.num_rows() != 1 {
        return Err("bind one row of values: each question is asked by itself".to_owned());
    }
    if batch.num_columns() > parameters::COUNT_MAX {
        return Err(format!("a statement takes at most {} values", parameters::COUNT_MAX));
    }
    let values: Vec<Parameter> =
        batch.columns().iter().map(|column| value(column.as_ref())).collect::<Result<_, _>>()?;
    if values.iter().map(Parameter::length).sum::<usize>() > parameters::LENGTH_MAX {
        return Err(ParameterError::Long.to_string());
    }
    Ok(values)
}

fn value(column: &dyn Array) -> Result<Parameter, String> {
    if column.is_null(0) {
        return Ok(Parameter::Null);
    }
    let kind = column.data_type();
    let to = |kind: &DataType| cast(column, kind).map_err(|_| unfit(column));
    Ok(match kind {
        DataType::Null => Parameter::Null,
        DataType::Dictionary(_, kind) => value(to(kind.as_ref())?.as_ref())?,
        DataType::Boolean => Parameter::Boolean(column.as_boolean().value(0)),
        DataType::UInt64 => {
            let value = column.as_primitive::<UInt64Type>().value(0);
            Parameter::Integer(i64::try_from(value).map_err(|_| unfit(column))?)
        }
        kind if kind.is_integer() => {
            Parameter::Integer(to(&DataType::Int64)?.as_primitive::<Int64Type>().value(0))
        }
        kind if kind.is_numeric() => {
            Parameter::Number(to(&DataType::Float64)?.as_primitive::<Float64Type>().value(0))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            Parameter::Text(to(&DataType::Utf8)?.as_string::<i32>().value(0).to_owned())
        }
        DataType::Date32 | DataType::Date64 => Parameter::Date(written(to(&DataType::Date32)?.as_ref())?),
        DataType::Timestamp(_, None) => {
            let written = written(to(&DataType::Timestamp(TimeUnit::Microsecond, None))?.as_ref())?;
            Parameter::DateTime(written.replace('T', " "))
        }
        DataType::Timestamp(_, Some(_)) => {
            return Err(
                "a time with a zone cannot be bound: bind it without one, as the data set has it".to_owned()
            );
        }
        _ => return Err(unfit(column)),
    })
}

/// A date or time as text; refused where it is of no year that can be written.
fn written(column: &dyn Array) -> Result<String, String> {
    let text = cast(column, &DataType::Utf8).map_err(|_| unfit(column))?;
    if text.is_null(0) {
        return Err(unfit(column));
    }
    Ok(text.as_string::<i32>().value(0).to_owned())
}

fn unfit(column: &dyn Array) -> String {
    let kind = column.data_type();
    format!(
        "a value of type {kind} cannot be bound: bind texts, numbers, booleans, dates or times without a zone"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, DictionaryArray, Int64Array, StringArray, TimestampMicrosecondArray,
        TimestampMillisecondArray, TimestampSecondArray,
    };
    use arrow::datatypes::{Field, Int8Type, Schema};

    use super::*;

    fn bound(columns: Vec<ArrayRef>) -> Result<Vec<Parameter>, String> {
        let field = |column: &ArrayRef| Field::new("$", column.data_type().clone(), true);
        let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
        of(&RecordBatch::try_new(Arc::new(schema), columns).unwrap())
    }

    #[test]
    fn times_without_a_zone_are_bound() {
        let time = |text: &str| Parameter::DateTime(text.to_owned());
        let seconds = Arc::new(TimestampSecondArray::from(vec![1_775_044_800])) as ArrayRef;
        let milliseconds = Arc::new(TimestampMillisecondArray::from(vec![1_775_044_800_500])) as ArrayRef;
        let missing = Arc::new(TimestampMicrosecondArray::from(vec![None::<i64>])) as ArrayRef;
        for (column, expected) in [
            (seconds, time("2026-04-01 12:00:00")),
            (milliseconds, time("2026-04-01 12:00:00.500")),
            (missing, Parameter::Null),
        ] {
            assert_eq!(bound(vec![column]), Ok(vec![expected]));
        }
        let zoned = TimestampSecondArray::from(vec![0]).with_timezone("+09:00");
        assert!(bound(vec![Arc::new(zoned)]).unwrap_err().contains("without one"));
        let seconds = Arc::new(TimestampSecondArray::from(vec![i64::MAX])) as ArrayRef;
        let microseconds = Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX])) as ArrayRef;
        for of_no_year in [seconds, microseconds] {
            assert!(bound(vec![of_no_year]).unwrap_err().contains("cannot be bound"));
        }
    }

    #[test]
    fn a_dictionary_holds_values() {
        let texts: DictionaryArray<Int8Type> = vec!["K", "1"].into_iter().collect();
        assert_eq!(bound(vec![Arc::new(texts.slice(0, 1))]), Ok(vec![Parameter::Text("K".to_owned())]));
        let missing: DictionaryArray<Int8Type> = vec![None::<&str>].into_iter().collect();
        assert_eq!(bound(vec![Arc::new(missing)]), Ok(vec![Parameter::Null]));
    }

    #[test]
    fn what_no_question_can_hold_is_not_kept() {
        let text = |length: usize| Arc::new(StringArray::from(vec!["x".repeat(length)])) as ArrayRef;
        assert!(bound(vec![text(parameters::LENGTH_MAX)]).is_ok());
        assert!(bound(vec![text(parameters::LENGTH_MAX), text(1)]).is_err());
        let number = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
        assert!(bound((0..=parameters::COUNT_MAX).map(|_| number()).collect()).is_err());
    }
}
