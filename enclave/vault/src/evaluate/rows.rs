//! [`Adds`]: what each row adds to each component, in columns of integers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{Field, Float64Type, Int64Type, Schema};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use disclosure_rules::Value;
use disclosure_rules::measure::{Component, Lattice, Quantity};
use sha2::{Digest, Sha256};

/// In place of what a row adds to a distribution or to different values, where it has no value.
pub(super) const MISSING: i64 = i64::MIN;

/// Stands for a key or a value: unlike a number that was dealt out, the same whoever else is there.
pub(super) type Mark = u128;

pub(super) fn mark(bytes: &[u8]) -> Mark {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    digest.iter().take(16).fold(0, |mark, byte| mark << 8 | Mark::from(*byte))
}

/// Rows of pupils.
#[derive(Default)]
pub(super) struct Rows {
    /// Per row, the number of its key.
    pub(super) keys: Vec<usize>,
    /// Per component, what each row adds.
    pub(super) adds: Vec<Vec<i64>>,
}

impl Rows {
    pub(super) fn of(components: usize) -> Rows {
        Rows { keys: Vec::new(), adds: vec![Vec::new(); components] }
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.adds.iter_mut().for_each(Vec::clear);
    }

    pub(super) fn size(&self) -> usize {
        self.keys.capacity() * size_of::<usize>() * (1 + self.adds.len())
    }

    pub(super) fn append(&mut self, other: &Rows, start: usize, end: usize) {
        self.keys.extend_from_slice(&other.keys[start..end]);
        for (own, other) in self.adds.iter_mut().zip(&other.adds) {
            own.extend_from_slice(&other[start..end]);
        }
    }
}

/// Reads one component's additions off the arguments.
pub(super) struct Adds {
    component: Component,
    /// Of a component that counts different values.
    values: Option<Values>,
    scratch: Vec<i64>,
}

impl Adds {
    pub(super) fn new(component: Component) -> Adds {
        Adds { component, values: None, scratch: Vec::new() }
    }

    /// Replaces `adds` by what the rows add, given the columns of the arguments.
    pub(super) fn fill(&mut self, adds: &mut Vec<i64>, arguments: &[ArrayRef], rows: usize) -> Result<()> {
        if let Component { quantity: Quantity::Pupils | Quantity::Rows, argument: None, with: None } =
            self.component
        {
            // One of each row, as before.
            adds.resize(rows, 1);
            return Ok(());
        }
        let column = |index: usize| match arguments.get(index) {
            Some(column) => Ok(column),
            None => internal_err!("no such argument"),
        };
        let argument = self.component.argument.map(column).transpose()?;
        let with = self.component.with.map(column).transpose()?;
        let missing = match self.component.quantity {
            Quantity::Distinct | Quantity::Distribution(_) => MISSING,
            _ => 0,
        };
        match (self.component.quantity, argument) {
            (Quantity::Pupils | Quantity::Rows, None) => adds.resize(rows, 1),
            (Quantity::Pupils | Quantity::Rows, Some(argument)) => presence(adds, argument),
            (Quantity::Sum(lattice) | Quantity::Distribution(lattice), Some(argument)) => {
                indices(adds, argument, missing, &lattice);
            }
            (Quantity::Product { x, y, centre }, Some(argument)) => {
                let Some(with) = with else { return internal_err!("a product of one argument") };
                indices(adds, argument, MISSING, &x);
                indices(&mut self.scratch, with, MISSING, &y);
                for (add, &other) in adds.iter_mut().zip(&self.scratch) {
                    let whole = *add != MISSING && other != MISSING;
                    *add = if whole { add.saturating_mul(other).saturating_sub(centre) } else { 0 };
                }
                return Ok(());
            }
            (Quantity::Distinct, Some(argument)) => {
                let values = match &mut self.values {
                    Some(values) => values,
                    values => values.insert(Values::of(argument)?),
                };
                values.number(adds, argument)?;
            }
            (_, None) => return internal_err!("a component without its argument"),
        }
        if let Some(with) = with {
            presence(&mut self.scratch, with);
            for (add, &present) in adds.iter_mut().zip(&self.scratch) {
                if present == 0 {
                    *add = missing;
                }
            }
        }
        Ok(())
    }

    /// What stands for an addition when rows are told apart.
    pub(super) fn mark(&self, add: i64) -> Mark {
        match &self.values {
            Some(values) => values.mark(add),
            None => add as Mark,
        }
    }

    pub(super) fn size(&self) -> usize {
        self.values.as_ref().map_or(0, Values::size)
    }
}

/// The different values of an argument that have been seen, numbered.
struct Values {
    numbers: Box<dyn GroupValues>,
    converter: RowConverter,
    marks: Vec<Mark>,
    of_rows: Vec<usize>,
}

impl Values {
    fn of(argument: &ArrayRef) -> Result<Values> {
        let kind = argument.data_type();
        let schema = Arc::new(Schema::new(vec![Field::new("", kind.clone(), true)]));
        Ok(Values {
            numbers: new_group_values(schema, &GroupOrdering::None)?,
            converter: RowConverter::new(vec![SortField::new(kind.clone())])?,
            marks: Vec::new(),
            of_rows: Vec::new(),
        })
    }

    fn number(&mut self, adds: &mut Vec<i64>, argument: &ArrayRef) -> Result<()> {
        presence(adds, argument);
        // Zero has two signs and is one number.
        let argument = match argument.as_primitive_opt::<Float64Type>() {
            Some(floats) => Arc::new(floats.unary::<_, Float64Type>(|value| value + 0.0)) as ArrayRef,
            None => Arc::clone(argument),
        };
        self.of_rows.clear();
        self.numbers.intern(std::slice::from_ref(&argument), &mut self.of_rows)?;
        let mut next = self.marks.len();
        let mut first = Vec::new();
        for (row, (add, &number)) in adds.iter_mut().zip(&self.of_rows).enumerate() {
            if number == next {
                first.push(row as u64);
                next += 1;
            }
            *add = if *add == 0 { MISSING } else { number as i64 };
        }
        let new = take(&argument, &UInt64Array::from(first), None)?;
        let new = self.converter.convert_columns(&[new])?;
        self.marks.extend(new.iter().map(|row| mark(row.as_ref())));
        Ok(())
    }

    fn mark(&self, add: i64) -> Mark {
        let number = usize::try_from(add).ok();
        number.and_then(|number| self.marks.get(number).copied()).unwrap_or_default()
    }

    fn size(&self) -> usize {
        self.numbers.size() + self.marks.capacity() * size_of::<Mark>()
    }
}

/// Replaces `adds` by 1 where there is a value, else 0. NaN and infinities are missing.
fn presence(adds: &mut Vec<i64>, argument: &ArrayRef) {
    if is_number(argument) {
        return numbers(adds, argument, 0, |_| 1);
    }
    adds.clear();
    match argument.logical_nulls() {
        Some(nulls) => adds.extend(nulls.iter().map(i64::from)),
        None => adds.resize(argument.len(), 1),
    }
}

fn is_number(argument: &ArrayRef) -> bool {
    argument.data_type().is_integer() || argument.data_type().is_floating()
}

/// Replaces `adds` by the index of each finite number; by `missing` elsewhere, and where there is no number.
fn indices(adds: &mut Vec<i64>, argument: &ArrayRef, missing: i64, lattice: &Lattice) {
    if argument.null_count() > 0 {
        return numbers(adds, argument, missing, |value| lattice.index(value).unwrap_or(missing));
    }
    // What is there from before is written over.
    adds.resize(argument.len(), missing);
    if let Some(floats) = argument.as_primitive_opt::<Float64Type>() {
        lattice.index_all(floats.values(), missing, adds);
    } else if let Some(integers) = argument.as_primitive_opt::<Int64Type>() {
        lattice.index_whole(integers.values(), adds);
    } else {
        adds.fill(missing);
    }
}

/// Replaces `adds` by what `add` makes of each finite number; by `missing` elsewhere, and where there is no number.
fn numbers(adds: &mut Vec<i64>, argument: &ArrayRef, missing: i64, add: impl Fn(f64) -> i64) {
    adds.clear();
    let add = |value: f64| if value.is_finite() { add(value) } else { missing };
    if let Some(floats) = argument.as_primitive_opt::<Float64Type>() {
        adds.extend(floats.iter().map(|value| value.map_or(missing, add)));
    } else if let Some(integers) = argument.as_primitive_opt::<Int64Type>() {
        adds.extend(integers.iter().map(|value| value.map_or(missing, |value| add(value as f64))));
    } else {
        adds.resize(argument.len(), missing);
    }
}

/// One value of a key column.
pub(super) fn key_value(column: &ArrayRef, row: usize) -> Result<Value> {
    match queries::value(&ScalarValue::try_from_array(column, row)?) {
        Some(value) => Ok(value),
        None => internal_err!("type of a key"),
    }
}
