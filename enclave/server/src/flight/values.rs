//! Bound values: one row of an Arrow batch as [`Parameter`]s. A stream of values is small, and is not compressed: nothing
//! in it unfolds into more than it is. Arrow's reader trusts what a message says of itself, so a panic of it is a refusal.

use arrow::array::AsArray;
use arrow::array::{Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use arrow::ipc::root_as_message;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::PeekableFlightDataStream;
use futures::StreamExt;
use gate::parameters::Parameter;
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

/// The one row that was bound.
fn of(batch: &RecordBatch) -> Result<Vec<Parameter>, String> {
    if batch.num_rows() != 1 {
        return Err("bind one row of values: each question is asked by itself".to_owned());
    }
    batch.columns().iter().map(|column| value(column.as_ref())).collect()
}

fn value(column: &dyn Array) -> Result<Parameter, String> {
    if column.is_null(0) {
        return Ok(Parameter::Null);
    }
    let kind = column.data_type();
    let to = |kind: &DataType| cast(column, kind).map_err(|_| unfit(column));
    Ok(match kind {
        DataType::Null => Parameter::Null,
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
        DataType::Date32 | DataType::Date64 => {
            let date = cast(&to(&DataType::Date32)?, &DataType::Utf8).map_err(|_| unfit(column))?;
            if date.is_null(0) {
                return Err(unfit(column));
            }
            Parameter::Date(date.as_string::<i32>().value(0).to_owned())
        }
        _ => return Err(unfit(column)),
    })
}

fn unfit(column: &dyn Array) -> String {
    format!("a value of type {} cannot be bound: bind texts, numbers, booleans or dates", column.data_type())
}
