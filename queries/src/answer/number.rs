//! Arithmetic of data with intervals. Total: what has no value is NULL, what a hidden cell enters is hidden.

use std::cmp::Ordering;

use disclosure_rules::Value;
use disclosure_rules::value::Day;

use super::{Datum, NULL};
use crate::function::Function;
use crate::tree::{Binary, OrderKey, Unary};

/// What makes two data the same for DISTINCT, GROUP BY, set operations and joins: numbers by value, NULLs
/// alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identity {
    Null,
    Hidden,
    Bool(bool),
    /// Bits of a float.
    Number(u64),
    /// A whole number that no float is.
    Whole(i64),
    Date(Day),
    Text(String),
}

/// 2⁵³: up to here every whole number is a float.
const FLOATS_ARE_EXACT: u64 = 1 << 53;

impl Identity {
    pub(super) fn of(datum: &Datum) -> Identity {
        // -0 is 0.
        let number = |value: f64| Identity::Number((value + 0.0).to_bits());
        match datum {
            Datum::Hidden(_) => Identity::Hidden,
            Datum::Plain(value) | Datum::Noisy { value, .. } => number(*value),
            Datum::Key(Value::Null) => Identity::Null,
            Datum::Key(Value::Bool(b)) => Identity::Bool(*b),
            Datum::Key(Value::Int(i)) if i.unsigned_abs() <= FLOATS_ARE_EXACT => number(*i as f64),
            Datum::Key(Value::Int(i)) => Identity::Whole(*i),
            Datum::Key(Value::Date(day)) => Identity::Date(*day),
            Datum::Key(Value::Text(text)) => Identity::Text(text.clone()),
        }
    }

    pub(super) fn of_row(row: &[Datum]) -> Vec<Identity> {
        row.iter().map(Identity::of).collect()
    }

    /// Whether `=` can hold of it.
    pub(super) fn is_comparable(&self) -> bool {
        !matches!(self, Identity::Null | Identity::Hidden)
    }
}

/// NULL stands where SQL puts it. What is hidden stands last either way: a "top five" is of what is shown.
pub(super) fn compare_keys(key: &OrderKey, a: &Datum, b: &Datum) -> Ordering {
    let place = |datum: &Datum| match datum {
        Datum::Key(Value::Null) if key.nulls_first => 0,
        Datum::Key(Value::Null) => 2,
        Datum::Hidden(_) => 3,
        _ => 1,
    };
    let in_place = place(a).cmp(&place(b));
    let by_value = compare(a, b).unwrap_or(Ordering::Equal);
    in_place.then(if key.descending { by_value.reverse() } else { by_value })
}

pub(super) fn compare(a: &Datum, b: &Datum) -> Option<Ordering> {
    match (a, b) {
        (Datum::Key(Value::Text(a)), Datum::Key(Value::Text(b))) => Some(a.cmp(b)),
        (Datum::Key(Value::Date(a)), Datum::Key(Value::Date(b))) => Some(a.cmp(b)),
        (Datum::Key(Value::Bool(a)), Datum::Key(Value::Bool(b))) => Some(a.cmp(b)),
        (Datum::Key(Value::Int(a)), Datum::Key(Value::Int(b))) => Some(a.cmp(b)),
        _ => interval(a)?.0.partial_cmp(&interval(b)?.0),
    }
}

/// Value, low and high of a number.
pub(super) fn interval(datum: &Datum) -> Option<(f64, f64, f64)> {
    match *datum {
        Datum::Noisy { value, low, high } => Some((value, low, high)),
        Datum::Plain(value) => Some((value, value, value)),
        Datum::Key(Value::Int(i)) => Some((i as f64, i as f64, i as f64)),
        Datum::Key(Value::Bool(b)) => {
            let value = f64::from(u8::from(b));
            Some((value, value, value))
        }
        _ => None,
    }
}

pub(super) fn noisy((value, low, high): (f64, f64, f64)) -> Datum {
    if !value.is_finite() {
        return NULL;
    }
    let end = |end: f64, otherwise: f64| if end.is_nan() { otherwise } else { end };
    Datum::Noisy {
        value,
        low: end(low, f64::NEG_INFINITY).min(value),
        high: end(high, f64::INFINITY).max(value),
    }
}

pub(super) fn is_null(datum: &Datum) -> bool {
    *datum == NULL
}

pub(super) fn truth(datum: &Datum) -> Option<bool> {
    if let Datum::Key(Value::Bool(b)) = datum { Some(*b) } else { None }
}

pub(super) fn boolean(truth: Option<bool>) -> Datum {
    Datum::Key(truth.map_or(Value::Null, Value::Bool))
}

/// A function that rises with its argument.
pub(super) fn map(datum: Datum, rising: impl Fn(f64) -> f64) -> Datum {
    match (&datum, interval(&datum)) {
        (Datum::Noisy { .. }, Some((value, low, high))) => noisy((rising(value), rising(low), rising(high))),
        (_, Some((value, ..))) => Datum::Plain(rising(value)),
        (_, None) => datum,
    }
}

pub(super) fn unary(op: Unary, operand: Datum) -> Datum {
    let missing = matches!(operand, Datum::Hidden(_) | Datum::Key(Value::Null));
    match op {
        Unary::Not => boolean(truth(&operand).map(|b| !b)),
        Unary::IsNull => boolean(Some(missing)),
        Unary::IsTrue => boolean(Some(truth(&operand) == Some(true))),
        Unary::IsFalse => boolean(Some(truth(&operand) == Some(false))),
        Unary::Negate => match operand {
            Datum::Noisy { value, low, high } => noisy((-value, -high, -low)),
            other => map(other, |v| -v),
        },
    }
}

pub(super) fn binary(op: Binary, a: Datum, b: Datum, whole: bool) -> Datum {
    match op {
        Binary::And => boolean(match (truth(&a), truth(&b)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }),
        Binary::Or => boolean(match (truth(&a), truth(&b)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        }),
        Binary::Equal => boolean(compare(&a, &b).map(Ordering::is_eq)),
        Binary::NotEqual => boolean(compare(&a, &b).map(Ordering::is_ne)),
        Binary::Less => boolean(compare(&a, &b).map(Ordering::is_lt)),
        Binary::LessEqual => boolean(compare(&a, &b).map(Ordering::is_le)),
        Binary::Greater => boolean(compare(&a, &b).map(Ordering::is_gt)),
        Binary::GreaterEqual => boolean(compare(&a, &b).map(Ordering::is_ge)),
        Binary::IsNotDistinct => boolean(same(&a, &b)),
        Binary::IsDistinct => boolean(same(&a, &b).map(|same| !same)),
        Binary::Concat => NULL,
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Modulo => {
            arithmetic(op, a, b, whole)
        }
    }
}

/// IS NOT DISTINCT FROM: NULL is NULL. Of a hidden cell nobody knows.
fn same(a: &Datum, b: &Datum) -> Option<bool> {
    let hidden = matches!(a, Datum::Hidden(_)) || matches!(b, Datum::Hidden(_));
    (!hidden).then(|| compare(a, b) == Some(Ordering::Equal) || (is_null(a) && is_null(b)))
}

fn arithmetic(op: Binary, a: Datum, b: Datum, whole: bool) -> Datum {
    if let Datum::Hidden(_) = a {
        return a;
    }
    if let Datum::Hidden(_) = b {
        return b;
    }
    let (Some((x, x_low, x_high)), Some((y, y_low, y_high))) = (interval(&a), interval(&b)) else {
        return NULL;
    };
    let corners = |f: fn(f64, f64) -> f64| {
        let ends = [f(x_low, y_low), f(x_low, y_high), f(x_high, y_low), f(x_high, y_high)];
        if ends.iter().any(|end| end.is_nan()) {
            return (f64::NEG_INFINITY, f64::INFINITY);
        }
        (
            ends.iter().copied().fold(f64::INFINITY, f64::min),
            ends.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        )
    };
    let around_zero = y_low <= 0.0 && y_high >= 0.0;
    let (value, (low, high)) = match op {
        Binary::Add => (x + y, (x_low + y_low, x_high + y_high)),
        Binary::Subtract => (x - y, (x_low - y_high, x_high - y_low)),
        Binary::Multiply => (x * y, corners(|x, y| x * y)),
        Binary::Modulo => (x % y, (-y_low.abs().max(y_high.abs()), y_low.abs().max(y_high.abs()))),
        _ if around_zero => (x / y, (f64::NEG_INFINITY, f64::INFINITY)),
        _ => (x / y, corners(|x, y| x / y)),
    };
    let round = |v: f64| if whole && op == Binary::Divide { v.trunc() } else { v };
    match (&a, &b) {
        (Datum::Noisy { .. }, _) | (_, Datum::Noisy { .. }) => noisy((round(value), round(low), round(high))),
        _ if value.is_finite() => Datum::Plain(round(value)),
        _ => NULL,
    }
}

/// The functions that noisy values can enter: `check` refuses the others.
pub(super) fn is_offered(function: Function) -> bool {
    matches!(
        function,
        Function::Abs
            | Function::Ceil
            | Function::Coalesce
            | Function::Exp
            | Function::Floor
            | Function::Greatest
            | Function::Least
            | Function::Ln
            | Function::NullIf
            | Function::Power
            | Function::Round
            | Function::Sign
            | Function::Sqrt
    )
}

pub(super) fn call(function: Function, mut args: Vec<Datum>) -> Datum {
    if function == Function::Coalesce {
        let present = args.iter().position(|arg| !is_null(arg));
        return present.map_or(NULL, |i| args.swap_remove(i));
    }
    if let Some(hidden) = args.iter().find(|arg| matches!(arg, Datum::Hidden(_))) {
        return hidden.clone();
    }
    let Some(first) = args.first().cloned() else { return NULL };
    match function {
        Function::Abs => match interval(&first) {
            Some((value, low, high)) => {
                let least = if low <= 0.0 && high >= 0.0 { 0.0 } else { low.abs().min(high.abs()) };
                noisy((value.abs(), least, low.abs().max(high.abs())))
            }
            None => NULL,
        },
        Function::Ceil => map(first, f64::ceil),
        Function::Floor => map(first, f64::floor),
        Function::Exp => map(first, f64::exp),
        Function::Sign => map(first, |v| if v == 0.0 { 0.0 } else { v.signum() }),
        Function::Ln | Function::Sqrt => match interval(&first) {
            Some((value, ..)) if value < 0.0 || (value == 0.0 && function == Function::Ln) => NULL,
            _ if function == Function::Ln => map(first, |v| v.max(0.0).ln()),
            _ => map(first, |v| v.max(0.0).sqrt()),
        },
        Function::Power => args.get(1).map_or(NULL, |exponent| power(&first, exponent)),
        Function::Round => {
            let digits = args.get(1).and_then(interval).map_or(0.0, |(n, ..)| n);
            let unit = 10f64.powf(-digits);
            match (&first, interval(&first)) {
                (Datum::Noisy { .. }, Some((value, low, high))) => noisy((
                    (value / unit).round() * unit,
                    (low / unit).floor() * unit,
                    (high / unit).ceil() * unit,
                )),
                _ => map(first, |v| (v / unit).round() * unit),
            }
        }
        Function::NullIf => {
            let equal = args.get(1).and_then(|b| compare(&first, b)) == Some(Ordering::Equal);
            if equal { NULL } else { first }
        }
        Function::Greatest | Function::Least => {
            let pick = if function == Function::Greatest { f64::max } else { f64::min };
            let together = args
                .iter()
                .filter_map(interval)
                .reduce(|a, b| (pick(a.0, b.0), pick(a.1, b.1), pick(a.2, b.2)));
            together.map_or(NULL, noisy)
        }
        _ => NULL,
    }
}

/// x to the y. Over a base that is nowhere negative, extremes lie in the corners; else at whole exponents
/// alone is there a value for every base, with an extreme at 0 as well.
fn power(base: &Datum, exponent: &Datum) -> Datum {
    let (Some((x, x_low, x_high)), Some((y, y_low, y_high))) = (interval(base), interval(exponent)) else {
        return NULL;
    };
    let mut ends = vec![x_low.powf(y_low), x_low.powf(y_high), x_high.powf(y_low), x_high.powf(y_high)];
    if x_low <= 0.0 && x_high >= 0.0 {
        ends.extend([0f64.powf(y_low), 0f64.powf(y_high)]);
    }
    let fixed = y_low.total_cmp(&y_high).is_eq() && y.fract() == 0.0;
    // An odd power below zero has a pole there.
    let defined = if x_low < 0.0 { fixed && (y >= 0.0 || x_high < 0.0) } else { true };
    if !defined || ends.iter().any(|end| end.is_nan()) {
        return noisy((x.powf(y), f64::NEG_INFINITY, f64::INFINITY));
    }
    let low = ends.iter().copied().fold(f64::INFINITY, f64::min);
    noisy((x.powf(y), low, ends.iter().copied().fold(f64::NEG_INFINITY, f64::max)))
}
