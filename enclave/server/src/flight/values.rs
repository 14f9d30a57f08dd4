//! Bound values: one row of an Arrow batch as [`Parameter`]s.

use arrow::array::AsArray;
use arrow::array::{Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use gate::parameters::Parameter;

/// The one row that was bound.
pub(super) fn of(batch: &RecordBatch) -> Result<Vec<Parameter>, String> {
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
            Parameter::Date(date.as_string::<i32>().value(0).to_owned())
        }
        _ => return Err(unfit(column)),
    })
}

fn unfit(column: &dyn Array) -> String {
    format!("a value of type {} cannot be bound: bind texts, numbers, booleans or dates", column.data_type())
}
