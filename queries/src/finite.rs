//! Conditions over columns whose values the contract lists, decided by trying every value.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, new_empty_array};
use datafusion::arrow::datatypes::{Field as ArrowField, Schema};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::TableSource;
use datafusion::prelude::SessionContext;
use disclosure_rules::Value;
use disclosure_rules::value::Day;

use crate::answer::Datum;
use crate::catalog::data_type;
use crate::emit::{Emitter, scalar};
use crate::tree::{Expr, Field};

static ENGINE: LazyLock<SessionContext> = LazyLock::new(SessionContext::new);

/// How many of a column's listed values (and NULL, where it may be missing) pass all the conditions, each of
/// which reads this column only. `None` where the contract lists no values.
pub(crate) fn surviving(index: usize, field: &Field, conditions: &[&Expr]) -> Option<u64> {
    let mut values = field.values.clone()?;
    if field.nullable {
        values.push(Value::Null);
    }
    let mut alive = vec![true; values.len()];
    let scalars = values.iter().map(|value| scalar(value, field.kind)).collect::<Result<Vec<_>>>().ok()?;
    for condition in conditions {
        debug_assert_eq!(condition.columns(), [index]);
        let verdicts = evaluate(
            &condition.renumber(&|_| 0),
            std::slice::from_ref(field),
            std::slice::from_ref(&scalars),
            scalars.len(),
        )
        .ok()?;
        let verdicts =
            verdicts.as_boolean_opt()?.iter().map(|verdict| verdict == Some(true)).collect::<Vec<_>>();
        alive.iter_mut().zip(verdicts).for_each(|(alive, verdict)| *alive &= verdict);
    }
    Some(alive.into_iter().filter(|alive| *alive).count() as u64)
}

/// The values of an expression over columns given as lists of `rows` values.
pub(crate) fn evaluate(
    expr: &Expr,
    fields: &[Field],
    columns: &[Vec<ScalarValue>],
    rows: usize,
) -> Result<ArrayRef> {
    let no_tables = |_: &str| -> Result<std::sync::Arc<dyn TableSource>> { plan_err!("no tables here") };
    let emitted = Emitter::over_columns(columns.len(), &no_tables).expr(expr)?;
    let arrays = columns.iter().zip(fields).map(|(values, field)| {
        if values.is_empty() {
            Ok(new_empty_array(&data_type(field.kind)))
        } else {
            ScalarValue::iter_to_array(values.iter().cloned())
        }
    });
    let arrays = arrays.collect::<Result<Vec<ArrayRef>>>()?;
    let types = arrays
        .iter()
        .enumerate()
        .map(|(i, array)| ArrowField::new(format!("c{i}"), array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(types.collect::<Vec<_>>()));
    let count = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &count)?;
    let physical = ENGINE.create_physical_expr(emitted, &DFSchema::try_from(schema)?)?;
    physical.evaluate(&batch)?.into_array(rows)
}

/// An array as data of an answer; `None` for a type that answers do not have.
pub(crate) fn data(array: &ArrayRef) -> Option<Vec<Datum>> {
    (0..array.len())
        .map(|row| {
            let scalar = ScalarValue::try_from_array(array, row).ok()?;
            if scalar.is_null() {
                return Some(Datum::Key(Value::Null));
            }
            Some(match scalar {
                ScalarValue::Float64(Some(f)) => Datum::Plain(f),
                other => Datum::Key(value(&other)?),
            })
        })
        .collect()
}

/// A scalar as a group key; `None` for a type that keys do not have.
pub fn value(scalar: &ScalarValue) -> Option<Value> {
    if scalar.is_null() {
        return Some(Value::Null);
    }
    Some(match scalar {
        ScalarValue::Boolean(Some(b)) => Value::Bool(*b),
        ScalarValue::Int32(Some(i)) => Value::Int(i64::from(*i)),
        ScalarValue::Int64(Some(i)) => Value::Int(*i),
        ScalarValue::Date32(Some(days)) => Value::Date(Day(*days)),
        ScalarValue::Utf8(Some(text))
        | ScalarValue::Utf8View(Some(text))
        | ScalarValue::LargeUtf8(Some(text)) => Value::Text(text.clone()),
        _ => return None,
    })
}
