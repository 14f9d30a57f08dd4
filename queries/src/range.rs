//! What is known of the numbers an expression gives, from the ranges of the contract. A wrong range costs
//! accuracy, never privacy: values are clamped to it.

use disclosure_rules::Value;
use disclosure_rules::value::Day;
use memoranda::Kind;

use crate::function::Function;
use crate::tree::{Binary, Expr, Field, Literal, Unary};

/// Least and greatest value, of a date in days since 1970-01-01; infinite where nothing is known.
pub(crate) type Range = (f64, f64);

pub(crate) const ANY: Range = (f64::NEG_INFINITY, f64::INFINITY);

/// 2^63.
const WRAPS: f64 = 9_223_372_036_854_775_808.0;

/// The range of a number over the columns of a relation.
pub(crate) fn of(expr: &Expr, fields: &[Field]) -> Range {
    let range = |expr: &Expr| of(expr, fields);
    match expr {
        Expr::Column(index, _) => fields[*index].range.unwrap_or(ANY),
        Expr::Literal(Literal::Float(f)) => (*f, *f),
        Expr::Literal(Literal::Value(Value::Int(i))) => (*i as f64, *i as f64),
        Expr::Literal(Literal::Value(Value::Bool(b))) => (f64::from(u8::from(*b)), f64::from(u8::from(*b))),
        Expr::Literal(Literal::Value(Value::Date(day))) => (f64::from(day.0), f64::from(day.0)),
        Expr::Literal(_) | Expr::Noisy(..) => ANY,
        Expr::Unary(Unary::Negate, operand) => {
            let (low, high) = range(operand);
            (-high, -low)
        }
        Expr::Unary(..) | Expr::In(..) | Expr::Like { .. } => (0.0, 1.0),
        Expr::Binary(op, left, right) => {
            let whole = expr.kind() == Some(Kind::Integer);
            let (low, high) = binary(*op, range(left), range(right), whole);
            // Whole numbers that do not fit in 64 bits wrap around, to anywhere.
            let wraps = whole && (low < -WRAPS || high >= WRAPS);
            if wraps { ANY } else { (low, high) }
        }
        Expr::Case(branches, otherwise) => branches
            .iter()
            .map(|(_, value)| value)
            .chain(otherwise.as_deref())
            .filter_map(known(fields))
            .reduce(hull)
            .unwrap_or(ANY),
        Expr::Cast(operand, to) => match (operand.kind(), to) {
            (Some(Kind::Integer | Kind::Number | Kind::Boolean), Kind::Number) => range(operand),
            (Some(Kind::Integer | Kind::Number | Kind::Boolean), Kind::Integer) => {
                let (low, high) = range(operand);
                (low.trunc(), high.trunc())
            }
            (Some(Kind::Date), Kind::Date) => range(operand),
            (_, Kind::Boolean) => (0.0, 1.0),
            _ => ANY,
        },
        Expr::Call(function, args) => call(*function, args, fields),
    }
}

fn is_finite((low, high): Range) -> bool {
    low.is_finite() && high.is_finite()
}

/// The range of a branch that can have a value.
fn known(fields: &[Field]) -> impl Fn(&Expr) -> Option<Range> + '_ {
    |value| value.kind().map(|_| of(value, fields))
}

pub(crate) fn hull(a: Range, b: Range) -> Range {
    (a.0.min(b.0), a.1.max(b.1))
}

/// Of a function that is monotone in each argument.
fn corners(a: Range, b: Range, f: fn(f64, f64) -> f64) -> Range {
    let all = [f(a.0, b.0), f(a.0, b.1), f(a.1, b.0), f(a.1, b.1)];
    if all.iter().any(|c| c.is_nan()) {
        return ANY;
    }
    (all.iter().copied().fold(f64::INFINITY, f64::min), all.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

fn binary(op: Binary, a: Range, b: Range, whole: bool) -> Range {
    let of_corners = |f: fn(f64, f64) -> f64| corners(a, b, f);
    match op {
        Binary::Add => (a.0 + b.0, a.1 + b.1),
        Binary::Subtract => (a.0 - b.1, a.1 - b.0),
        Binary::Multiply => of_corners(|x, y| x * y),
        // A divisor that can come near zero gives quotients without a bound.
        Binary::Divide if b.0 > 0.0 || b.1 < 0.0 => {
            let (low, high) = of_corners(|x, y| x / y);
            if whole { (low.trunc(), high.trunc()) } else { (low, high) }
        }
        Binary::Modulo if b.0.is_finite() && b.1.is_finite() => {
            let most = b.0.abs().max(b.1.abs());
            (if a.0 < 0.0 { -most } else { 0.0 }, if a.1 > 0.0 { most } else { 0.0 })
        }
        Binary::Divide | Binary::Modulo => ANY,
        _ => (0.0, 1.0),
    }
}

fn call(function: Function, args: &[Expr], fields: &[Field]) -> Range {
    let ranges: Vec<Range> = args.iter().map(|arg| of(arg, fields)).collect();
    let first = ranges.first().copied().unwrap_or(ANY);
    let all = || ranges.iter().copied().reduce(hull).unwrap_or(ANY);
    let present = |i: &usize| !nullable(&args[*i], fields);
    match function {
        Function::Abs if first.0 >= 0.0 => first,
        Function::Abs => (0.0, first.0.abs().max(first.1.abs())),
        Function::Ceil => (first.0.ceil(), first.1.ceil()),
        Function::Floor => (first.0.floor(), first.1.floor()),
        Function::Round => (first.0.floor(), first.1.ceil()),
        Function::Trunc => (first.0.trunc(), first.1.trunc()),
        Function::Sign => (-1.0, 1.0),
        Function::Cbrt => (first.0.cbrt(), first.1.cbrt()),
        // Of zero and below there is no logarithm.
        Function::Ln => (first.0.max(0.0).ln(), first.1.max(0.0).ln()),
        Function::Log10 => (first.0.max(0.0).log10(), first.1.max(0.0).log10()),
        Function::Log2 => (first.0.max(0.0).log2(), first.1.max(0.0).log2()),
        Function::Length | Function::Strpos => (0.0, f64::INFINITY),
        Function::Sqrt => (0.0, first.1.max(0.0).sqrt()),
        Function::Exp => (first.0.exp(), first.1.exp()),
        // Of bases that are not negative; of zero to a negative power there is none.
        Function::Power if first.0 >= 0.0 => {
            let power = ranges.get(1).copied().unwrap_or(ANY);
            if first.0 > 0.0 || power.0 >= 0.0 { corners(first, power, f64::powf) } else { ANY }
        }
        Function::NullIf => first,
        Function::Coalesce => all(),
        // Missing arguments are passed over, so only those that are always there bound the result.
        Function::Least => {
            let high = (0..args.len()).filter(present).map(|i| ranges[i].1).fold(f64::INFINITY, f64::min);
            (all().0, all().1.min(high))
        }
        Function::Greatest => {
            let low = (0..args.len()).filter(present).map(|i| ranges[i].0).fold(f64::NEG_INFINITY, f64::max);
            (all().0.max(low), all().1)
        }
        Function::DatePart => match &args[0] {
            Expr::Literal(Literal::Value(Value::Text(part))) => match part.to_ascii_lowercase().as_str() {
                "year" => args.get(1).map_or(ANY, |date| years(date, of(date, fields))),
                "quarter" => (1.0, 4.0),
                "month" => (1.0, 12.0),
                "week" => (1.0, 53.0),
                "day" => (1.0, 31.0),
                "doy" => (1.0, 366.0),
                "dow" => (0.0, 6.0),
                _ => ANY,
            },
            _ => ANY,
        },
        _ => ANY,
    }
}

/// The years of a range of dates.
fn years(date: &Expr, (low, high): Range) -> Range {
    let year = |day: f64| {
        let written = (day.abs() < 700_000.0).then(|| Day(day as i32).to_string())?;
        written.split('-').next()?.parse::<f64>().ok()
    };
    match (date.kind(), year(low), year(high)) {
        (Some(Kind::Date), Some(low), Some(high)) => (low, high),
        _ => ANY,
    }
}

/// Whether the value may be missing; "yes" where it is not known.
pub(crate) fn nullable(expr: &Expr, fields: &[Field]) -> bool {
    let any = |args: &[Expr]| args.iter().any(|arg| nullable(arg, fields));
    match expr {
        Expr::Column(index, _) => fields[*index].nullable,
        Expr::Literal(literal) => *literal == Literal::Value(Value::Null),
        Expr::Call(Function::Coalesce | Function::Least | Function::Greatest, args) => {
            args.iter().all(|arg| nullable(arg, fields))
        }
        Expr::Call(
            Function::Abs
            | Function::Ceil
            | Function::Floor
            | Function::Sign
            | Function::Trunc
            | Function::Cbrt
            | Function::Length
            | Function::Lower
            | Function::Upper
            | Function::Trim
            | Function::LTrim
            | Function::RTrim
            | Function::Left
            | Function::Right
            | Function::Substr
            | Function::Replace
            | Function::Strpos
            | Function::Contains
            | Function::StartsWith
            | Function::EndsWith
            | Function::RegexpLike,
            args,
        ) => any(args),
        Expr::Unary(Unary::IsNull | Unary::IsTrue | Unary::IsFalse, _)
        | Expr::Binary(Binary::IsDistinct | Binary::IsNotDistinct, ..) => false,
        Expr::Unary(Unary::Negate | Unary::Not, operand) => nullable(operand, fields),
        Expr::Binary(op, left, right) => match op {
            // NULL where the divisor is zero.
            Binary::Divide | Binary::Modulo => true,
            // Numbers with decimals can grow out of all numbers.
            Binary::Add | Binary::Subtract | Binary::Multiply
                if expr.kind() == Some(Kind::Number) && !is_finite(of(expr, fields)) =>
            {
                true
            }
            _ => nullable(left, fields) || nullable(right, fields),
        },
        Expr::Like { text, .. } => nullable(text, fields),
        Expr::In(operand, list) => nullable(operand, fields) || list.contains(&Literal::Value(Value::Null)),
        Expr::Case(branches, Some(otherwise)) => {
            nullable(otherwise, fields) || branches.iter().any(|(_, value)| nullable(value, fields))
        }
        // A whole number or a truth value always has a number that it converts to.
        Expr::Cast(operand, Kind::Number)
            if matches!(operand.kind(), Some(Kind::Integer | Kind::Boolean)) =>
        {
            nullable(operand, fields)
        }
        _ => true,
    }
}
