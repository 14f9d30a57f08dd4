//! Expressions over columns whose values are listed, decided by trying every combination.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, new_empty_array};
use datafusion::arrow::datatypes::{Field as ArrowField, Schema};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::TableSource;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::prelude::SessionContext;
use disclosure_rules::Value;
use disclosure_rules::value::Day;
use memoranda::Kind;

use crate::answer::Datum;
use crate::catalog::data_type;
use crate::emit::{Emitter, scalar};
use crate::tree::{Expr, Field};

static ENGINE: LazyLock<SessionContext> = LazyLock::new(SessionContext::new);

/// Most combinations that are tried: ten years of days are fewer.
const MAX_COMBINATIONS: usize = 4_000;

/// What a column can be: NULL, where it may be missing, is among the values.
type Choices = Vec<Vec<Value>>;

/// Drops the values (and NULL) that no row can have for which the conditions are true. Of a condition over
/// several columns, a value stays if it passes beside some values of the others.
pub(crate) fn narrow(fields: &mut [Field], conditions: &[&Expr]) {
    let mut conditions: Vec<&Expr> = conditions.to_vec();
    conditions.sort_by_key(|condition| condition.columns().len());
    for condition in conditions {
        let columns = condition.columns();
        let Some(choices) = choices(&columns, fields, |field| field.values.clone()) else { continue };
        let Some(verdicts) = tried(condition, &columns, fields, &choices) else { continue };
        let Some(verdicts) = verdicts.as_boolean_opt() else { continue };
        let mut alive: Vec<Vec<bool>> = choices.iter().map(|values| vec![false; values.len()]).collect();
        for row in (0..verdicts.len()).filter(|row| verdicts.is_valid(*row) && verdicts.value(*row)) {
            for (alive, place) in alive.iter_mut().zip(places(row, &choices)) {
                alive[place] = true;
            }
        }
        for ((index, values), alive) in columns.into_iter().zip(choices).zip(alive) {
            let kept: Vec<Value> =
                values.into_iter().zip(alive).filter(|(_, alive)| *alive).map(|(value, _)| value).collect();
            fields[index].nullable &= kept.contains(&Value::Null);
            fields[index].values = Some(kept.into_iter().filter(|value| *value != Value::Null).collect());
        }
    }
}

/// The values that an expression can have, in order, with NULL first if it is one of them. `None` where there
/// are too many to try, or the results are numbers with decimals or times.
pub(crate) fn outcomes(expr: &Expr, fields: &[Field]) -> Option<Vec<Value>> {
    let columns = expr.columns();
    let choices = choices(&columns, fields, |field| field.values.clone().or_else(|| days(field)))?;
    let found = tried(expr, &columns, fields, &choices)?;
    let found = (0..found.len())
        .map(|row| value(&ScalarValue::try_from_array(&found, row).ok()?))
        .collect::<Option<std::collections::BTreeSet<Value>>>()?;
    Some(found.into_iter().collect())
}

/// Every day of a date's range.
fn days(field: &Field) -> Option<Vec<Value>> {
    let (low, high) = field.range.filter(|_| field.kind == Kind::Date)?;
    let few = high - low < MAX_COMBINATIONS as f64;
    few.then(|| (low.ceil() as i32..=high.floor() as i32).map(|day| Value::Date(Day(day))).collect())
}

/// What each column can be, where they have few combinations.
fn choices(
    columns: &[usize],
    fields: &[Field],
    listed: impl Fn(&Field) -> Option<Vec<Value>>,
) -> Option<Choices> {
    let mut combinations = 1_usize;
    let choices = columns.iter().map(|index| {
        let field = fields.get(*index)?;
        let mut values = listed(field)?;
        if field.nullable {
            values.push(Value::Null);
        }
        combinations = combinations.checked_mul(values.len()).filter(|all| *all <= MAX_COMBINATIONS)?;
        Some(values)
    });
    choices.collect()
}

/// Where in each column's choices the combination of that number is.
fn places(combination: usize, choices: &[Vec<Value>]) -> impl Iterator<Item = usize> + '_ {
    let mut rest = combination;
    choices.iter().map(move |values| {
        let place = rest % values.len();
        rest /= values.len();
        place
    })
}

/// The expression's value for every combination.
fn tried(expr: &Expr, columns: &[usize], fields: &[Field], choices: &Choices) -> Option<ArrayRef> {
    let fields: Vec<Field> = columns.iter().map(|index| fields[*index].clone()).collect();
    let rows = choices.iter().map(Vec::len).product();
    let mut inputs: Vec<Vec<ScalarValue>> = vec![Vec::with_capacity(rows); columns.len()];
    for row in 0..rows {
        for (i, place) in places(row, choices).enumerate() {
            inputs[i].push(scalar(&choices[i][place], fields[i].kind).ok()?);
        }
    }
    let place = |index: usize| columns.iter().position(|column| *column == index).unwrap_or(0);
    evaluate(&expr.renumber(&place), &fields, &inputs, rows).ok()
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
    let schema = Arc::new(DFSchema::try_from(schema)?);
    // Some functions, COALESCE among them, exist only as what they are simplified to.
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::clone(&schema)).build());
    let emitted = simplifier.simplify(simplifier.coerce(emitted, &schema)?)?;
    let physical = ENGINE.create_physical_expr(emitted, &schema)?;
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
