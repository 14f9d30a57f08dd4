//! What is known of the columns that an operator gives: type, range, listed values, whether they may be
//! missing.

use std::collections::BTreeSet;

use disclosure_rules::Value;
use memoranda::{Contract, Kind};

use crate::finite;
use crate::lineage;
use crate::range::{self, Range};
use crate::tree::{
    Binary, Expr, Field, Frame, JoinKind, Literal, PupilCall, PupilFunction, Rel, Unary, WindowCall,
    WindowFunction,
};

/// Most values of a range of whole numbers that are listed.
const MAX_LISTED: f64 = memoranda::contract::MAX_PUBLIC_RANGE;

impl Rel {
    /// The columns, as far as the tree alone says: without the contract's bounds on rows, a count or sum per
    /// pupil has no upper end.
    pub fn fields(&self) -> Vec<Field> {
        lineage::of_tree(self).fields
    }

    /// The columns, with what the contract says of keys and of rows per pupil.
    pub(crate) fn fields_under(&self, contract: &Contract) -> Vec<Field> {
        lineage::facts(self, contract).fields
    }
}

/// The column that an expression over these columns gives: a bare column as it is, else a computed one.
pub(crate) fn derived(expr: &Expr, fields: &[Field]) -> Field {
    if let Expr::Column(index, _) = expr {
        return fields[*index].clone();
    }
    let kind = expr.kind().unwrap_or(Kind::Text);
    let numeric = matches!(kind, Kind::Boolean | Kind::Integer | Kind::Number | Kind::Date);
    let range = numeric.then(|| range::of(expr, fields)).filter(|range| *range != range::ANY);
    let mut field = computed(kind, [expr], fields);
    field.nullable = range::nullable(expr, fields);
    field.range = range;
    if let Some(mut outcomes) = finite::outcomes(expr, fields) {
        field.nullable = outcomes.first() == Some(&Value::Null);
        outcomes.retain(|value| *value != Value::Null);
        field.values = Some(outcomes);
    }
    listed(field)
}

/// A column of which nothing is known but where it comes from.
fn computed<'a>(kind: Kind, from: impl IntoIterator<Item = &'a Expr>, fields: &[Field]) -> Field {
    let columns: BTreeSet<usize> = from.into_iter().flat_map(Expr::columns).collect();
    Field {
        table: String::new(),
        column: String::new(),
        scan: 0,
        origins: columns.into_iter().flat_map(|index| fields[index].origins.clone()).collect(),
        kind,
        nullable: true,
        unit: false,
        range: None,
        values: None,
        references: None,
        step: None,
    }
}

/// The column with its values listed where they are few, and its range no wider than they are.
fn listed(mut field: Field) -> Field {
    if field.unit {
        return field;
    }
    if field.kind == Kind::Boolean && field.values.is_none() {
        field.values = Some(vec![Value::Bool(false), Value::Bool(true)]);
    }
    if field.kind != Kind::Integer {
        return field;
    }
    match (&mut field.values, field.range) {
        (Some(values), Some((low, high))) => {
            values.retain(|value| number(value).is_none_or(|n| (low..=high).contains(&n)));
        }
        (None, Some((low, high))) if high.floor() - low.ceil() < MAX_LISTED => {
            field.values = Some((low.ceil() as i64..=high.floor() as i64).map(Value::Int).collect());
        }
        _ => {}
    }
    let numbers = || field.values.iter().flatten().filter_map(number);
    if let (Some(low), Some(high)) = (numbers().reduce(f64::min), numbers().reduce(f64::max)) {
        field.range = Some((low, high));
    }
    field
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(i) => Some(*i as f64),
        Value::Date(day) => Some(f64::from(day.0)),
        _ => None,
    }
}

/// How many different values the column can have, NULL included.
pub(crate) fn variety(field: &Field) -> Option<u64> {
    let of_list = field.values.as_ref().map(|values| values.len() as u64);
    let of_range = field
        .range
        .filter(|_| matches!(field.kind, Kind::Integer | Kind::Date))
        .map(|(low, high)| high.floor() - low.ceil() + 1.0)
        .filter(|values| *values < 1e15)
        .map(|values| values.max(0.0) as u64);
    let present = [of_list, of_range].into_iter().flatten().min()?;
    Some(present + u64::from(field.nullable))
}

/// Narrows columns to the rows for which all the conditions are true.
pub(crate) fn narrow(fields: &mut [Field], conditions: &[&Expr]) {
    for condition in conditions {
        for index in true_needs(condition) {
            fields[index].nullable = false;
        }
        constants(condition, fields);
    }
    // A second time, for `x <= y AND y <= 5`.
    for _ in 0..2 {
        conditions.iter().for_each(|condition| compare(condition, fields));
    }
    finite::narrow(fields, conditions);
    for field in fields {
        *field = listed(field.clone());
    }
}

/// The columns that cannot be missing where the condition is true.
fn true_needs(condition: &Expr) -> BTreeSet<usize> {
    match condition {
        Expr::Binary(Binary::And, a, b) => &true_needs(a) | &true_needs(b),
        Expr::Binary(Binary::Or, a, b) => &true_needs(a) & &true_needs(b),
        Expr::Unary(Unary::IsTrue, operand) => true_needs(operand),
        Expr::Unary(Unary::IsFalse, operand) => value_needs(operand),
        Expr::Unary(Unary::Not, operand) => match operand.as_ref() {
            Expr::Unary(Unary::IsNull, operand) => value_needs(operand),
            operand => value_needs(operand),
        },
        other => value_needs(other),
    }
}

/// The columns that cannot be missing where the expression has a value.
fn value_needs(expr: &Expr) -> BTreeSet<usize> {
    match expr {
        Expr::Column(index, _) => BTreeSet::from([*index]),
        Expr::Unary(Unary::Not | Unary::Negate, operand) | Expr::Cast(operand, _) | Expr::In(operand, _) => {
            value_needs(operand)
        }
        Expr::Like { text, .. } => value_needs(text),
        Expr::Binary(op, a, b) => match op {
            Binary::And | Binary::Or | Binary::IsDistinct | Binary::IsNotDistinct | Binary::Concat => {
                BTreeSet::new()
            }
            _ => &value_needs(a) | &value_needs(b),
        },
        _ => BTreeSet::new(),
    }
}

/// `x = 5`, `x IN (5, 6)`: the condition itself lists the values.
fn constants(condition: &Expr, fields: &mut [Field]) {
    let (column, list): (&Expr, Vec<&Literal>) = match condition {
        Expr::In(column, list) => (column, list.iter().collect()),
        Expr::Binary(Binary::Equal, a, b) => match (a.as_ref(), b.as_ref()) {
            (column, Expr::Literal(literal)) | (Expr::Literal(literal), column) => (column, vec![literal]),
            _ => return,
        },
        _ => return,
    };
    let Expr::Column(index, _) = column else { return };
    let field = &mut fields[*index];
    if field.unit || field.values.is_some() {
        return;
    }
    let fits = |literal: &&Literal| match literal {
        Literal::Value(value) => matches!(
            (value, field.kind),
            (Value::Int(_), Kind::Integer) | (Value::Text(_), Kind::Text) | (Value::Date(_), Kind::Date)
        ),
        _ => false,
    };
    if list.iter().all(fits) {
        let values: BTreeSet<Value> = list
            .into_iter()
            .filter_map(
                |literal| if let Literal::Value(value) = literal { Some(value.clone()) } else { None },
            )
            .collect();
        let ends = |ends: Vec<f64>| Some((*ends.first()?, *ends.last()?));
        if let Some((low, high)) = ends(values.iter().filter_map(number).collect()) {
            tighten(field, low, high);
        }
        field.values = Some(values.into_iter().collect());
    }
}

/// `x >= 10`, `y < x`: moves an end of the range of each side that is a column.
fn compare(condition: &Expr, fields: &mut [Field]) {
    let Expr::Binary(op, a, b) = condition else { return };
    bounded(a, *op, b, fields);
    let turned = match op {
        Binary::Less => Binary::Greater,
        Binary::LessEqual => Binary::GreaterEqual,
        Binary::Greater => Binary::Less,
        Binary::GreaterEqual => Binary::LessEqual,
        other => *other,
    };
    bounded(b, turned, a, fields);
}

fn bounded(column: &Expr, op: Binary, other: &Expr, fields: &mut [Field]) {
    let column = match column {
        Expr::Cast(inner, Kind::Number) if inner.kind() == Some(Kind::Integer) => inner,
        column => column,
    };
    let Expr::Column(index, _) = column else { return };
    let numeric = |kind: Option<Kind>| matches!(kind, Some(Kind::Integer | Kind::Number));
    let days = fields[*index].kind == Kind::Date && other.kind() == Some(Kind::Date);
    if !(days || numeric(Some(fields[*index].kind)) && numeric(other.kind())) {
        return;
    }
    let (low, high) = range::of(other, fields);
    // Above 9.5 are the whole numbers from 10 on, above 9 too.
    let whole = fields[*index].kind != Kind::Number;
    let (above, below) = if whole { (low.floor() + 1.0, high.ceil() - 1.0) } else { (low, high) };
    match op {
        Binary::Equal => tighten(&mut fields[*index], low, high),
        Binary::Less => tighten(&mut fields[*index], f64::NEG_INFINITY, below),
        Binary::LessEqual => tighten(&mut fields[*index], f64::NEG_INFINITY, high),
        Binary::Greater => tighten(&mut fields[*index], above, f64::INFINITY),
        Binary::GreaterEqual => tighten(&mut fields[*index], low, f64::INFINITY),
        _ => {}
    }
}

fn tighten(field: &mut Field, low: f64, high: f64) {
    let (old_low, old_high) = field.range.unwrap_or(range::ANY);
    let range = (old_low.max(low), old_high.min(high));
    // Nothing is left of a range whose ends cross: no row passes, and any range is right.
    if range.0 <= range.1 && range != range::ANY {
        field.range = Some(range);
    }
}

/// The columns of an inner or outer join; `all` are both sides' columns in the pairs that match.
pub(crate) fn joined(left: &[Field], right: &[Field], all: &[Field], kind: JoinKind) -> Vec<Field> {
    let keeps_left = matches!(kind, JoinKind::Left | JoinKind::Full);
    let keeps_right = matches!(kind, JoinKind::Right | JoinKind::Full);
    let side = |own: &[Field], matched: &[Field], kept: bool, optional: bool| -> Vec<Field> {
        let fields = if kept { own } else { matched };
        fields.iter().map(|field| Field { nullable: field.nullable || optional, ..field.clone() }).collect()
    };
    let (matched_left, matched_right) = all.split_at(left.len());
    let left = side(left, matched_left, keeps_left, keeps_right);
    let right = side(right, matched_right, keeps_right, keeps_left);
    [left, right].concat()
}

/// The columns of a union.
pub(crate) fn united(inputs: &[&[Field]]) -> Vec<Field> {
    let Some((first, others)) = inputs.split_first() else { return vec![] };
    let both = |a: Field, b: &Field| {
        let same = (&a.table, &a.column, a.scan) == (&b.table, &b.column, b.scan);
        let values = a.values.zip(b.values.clone()).map(|(mut all, more)| {
            let new: Vec<Value> = more.into_iter().filter(|value| !all.contains(value)).collect();
            all.extend(new);
            all
        });
        Field {
            table: if same { a.table } else { String::new() },
            column: if same { a.column } else { String::new() },
            scan: if same { a.scan } else { 0 },
            origins: &a.origins | &b.origins,
            kind: a.kind,
            nullable: a.nullable || b.nullable,
            unit: a.unit && b.unit,
            range: a.range.zip(b.range).map(|(a, b)| range::hull(a, b)),
            values,
            references: a.references.filter(|references| Some(references) == b.references.as_ref()),
            step: a.step.filter(|step| Some(*step) == b.step),
        }
    };
    let column = |(index, field): (usize, &Field)| {
        others.iter().filter_map(|fields| fields.get(index)).fold(field.clone(), both)
    };
    first.iter().enumerate().map(column).collect()
}

/// The rows that an aggregate sees.
#[derive(Clone, Copy)]
struct Seen {
    /// At most so many.
    most: Option<u64>,
    /// At least one.
    some: bool,
}

/// The column of an aggregate over the rows of one pupil, of which at most `rows` are in a group.
pub(crate) fn called(call: &PupilCall, fields: &[Field], rows: Option<u64>) -> Field {
    let seen = Seen { most: rows, some: call.filter.is_none() };
    let mut field = aggregate(call.function, &call.args, call.distinct, seen, fields);
    field.origins = computed(field.kind, call.args.iter().chain(&call.filter), fields).origins;
    field
}

/// The column of a window function, of which a partition has at most `rows` rows.
pub(crate) fn windowed(call: &WindowCall, fields: &[Field], rows: Option<u64>) -> Field {
    let argument = || call.args.first().map(|argument| derived(argument, fields));
    let seen = match call.frame {
        Frame::Whole | Frame::RangeToCurrent => Seen { most: rows, some: true },
        Frame::Rows(before, after) => {
            let here = |rows: Option<i64>| rows.is_none_or(|rows| rows >= 0);
            let span =
                before.zip(after).map(|(before, after)| before.saturating_add(after).saturating_add(1));
            let span = span.map(|span| u64::try_from(span).unwrap_or(0));
            let most = [rows, span].into_iter().flatten().min();
            Seen { most, some: here(before) && here(after) }
        }
    };
    let mut field = match call.function {
        WindowFunction::RowNumber | WindowFunction::Rank | WindowFunction::DenseRank => counted(1, rows),
        WindowFunction::Lag | WindowFunction::Lead => {
            let mut value = passed_on(argument(), fields);
            // The third argument stands where there is no such row.
            match call.args.get(2).filter(|default| default.kind().is_some()) {
                Some(default) => {
                    let default = derived(default, fields);
                    value = united(&[&[value], &[default]]).remove(0);
                }
                None => value.nullable = true,
            }
            value
        }
        WindowFunction::FirstValue | WindowFunction::LastValue => {
            let mut value = passed_on(argument(), fields);
            value.nullable |= !seen.some;
            value
        }
        WindowFunction::Aggregate(function) => aggregate(function, &call.args, false, seen, fields),
    };
    let order = call.order.iter().map(|key| &key.by);
    field.origins =
        computed(field.kind, call.args.iter().chain(&call.partition).chain(order), fields).origins;
    field
}

/// A value of the argument, in another place.
fn passed_on(argument: Option<Field>, fields: &[Field]) -> Field {
    match argument {
        Some(field) => Field { table: String::new(), column: String::new(), scan: 0, unit: false, ..field },
        None => computed(Kind::Integer, [], fields),
    }
}

/// A whole number from `least` to `most`.
fn counted(least: u64, most: Option<u64>) -> Field {
    let range = (least as f64, most.map_or(f64::INFINITY, |most| most.max(least) as f64));
    let field = computed(Kind::Integer, [], &[]);
    listed(Field { nullable: false, range: Some(range), step: Some(1.0), ..field })
}

fn aggregate(function: PupilFunction, args: &[Expr], distinct: bool, seen: Seen, fields: &[Field]) -> Field {
    let argument = args.first().map(|argument| derived(argument, fields));
    let Some(argument) = argument else { return counted(u64::from(seen.some), seen.most) };
    let some = seen.some && !argument.nullable;
    let known = argument.range.unwrap_or(range::ANY);
    let number = |range: Range| Field {
        nullable: !some,
        range: Some(range).filter(|range| *range != range::ANY),
        ..computed(Kind::Number, [], fields)
    };
    // Of numbers at most w apart, the variance is at most w²/4; of two of them, divided by one less, w²/2.
    let width = known.1 - known.0;
    let spread = |samples: bool| {
        let most = if samples { width * width / 2.0 } else { width * width / 4.0 };
        (0.0, if most.is_nan() { f64::INFINITY } else { most })
    };
    let root = |(low, high): Range| (f64::sqrt(low), f64::sqrt(high));
    match function {
        PupilFunction::Count => {
            let values = distinct.then(|| variety(&argument)).flatten();
            let values = values.map(|values| values - u64::from(argument.nullable));
            counted(u64::from(some), [seen.most, values].into_iter().flatten().min())
        }
        PupilFunction::Sum => {
            let most = seen.most.map_or(f64::INFINITY, |rows| rows.max(1) as f64);
            let times = |end: f64| if end == 0.0 { 0.0 } else { end * most };
            let range = (known.0.min(times(known.0)), known.1.max(times(known.1)));
            let step = if argument.kind == Kind::Integer { Some(1.0) } else { argument.step };
            listed(Field { kind: argument.kind, step, ..number(range) })
        }
        PupilFunction::Avg => number(known),
        PupilFunction::Median => listed(Field { kind: argument.kind, ..number(known) }),
        PupilFunction::Min | PupilFunction::Max => {
            Field { nullable: !some, ..passed_on(Some(argument), fields) }
        }
        PupilFunction::VarPop => number(spread(false)),
        PupilFunction::StddevPop => number(root(spread(false))),
        // Of a single number there is none.
        PupilFunction::VarSamp => Field { nullable: true, ..number(spread(true)) },
        PupilFunction::StddevSamp => Field { nullable: true, ..number(root(spread(true))) },
        PupilFunction::BoolAnd | PupilFunction::BoolOr => {
            listed(Field { kind: Kind::Boolean, ..number((0.0, 1.0)) })
        }
    }
}
