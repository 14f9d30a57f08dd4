//! What is known of the numbers an expression gives, from the ranges of the contract. A wrong range costs
//! accuracy, never privacy: values are clamped to it.

use disclosure_rules::Value;
use memoranda::Kind;

use crate::function::Function;
use crate::tree::{Binary, Expr, Field, Literal, Unary};

/// Least and greatest value; infinite where nothing is known.
pub(crate) type Range = (f64, f64);

const ANY: Range = (f64::NEG_INFINITY, f64::INFINITY);

/// The range of a number over the columns of a relation.
pub(crate) fn of(expr: &Expr, fields: &[Field]) -> Range {
    let range = |expr: &Expr| of(expr, fields);
    match expr {
        Expr::Column(index, _) => fields[*index].range.unwrap_or(ANY),
        Expr::Literal(Literal::Float(f)) => (*f, *f),
        Expr::Literal(Literal::Value(Value::Int(i))) => (*i as f64, *i as f64),
        Expr::Literal(Literal::Value(Value::Bool(b))) => (f64::from(u8::from(*b)), f64::from(u8::from(*b))),
        Expr::Literal(_) => ANY,
        Expr::Unary(Unary::Negate, operand) => {
            let (low, high) = range(operand);
            (-high, -low)
        }
        Expr::Unary(..) | Expr::In(..) | Expr::Like { .. } => (0.0, 1.0),
        Expr::Binary(op, left, right) => {
            binary(*op, range(left), range(right), expr.kind() == Some(Kind::Integer))
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
            (_, Kind::Boolean) => (0.0, 1.0),
            _ => ANY,
        },
        Expr::Call(function, args) => call(*function, args, fields),
    }
}

/// The range of a branch that can have a value.
fn known(fields: &[Field]) -> impl Fn(&Expr) -> Option<Range> + '_ {
    |value| value.kind().map(|_| of(value, fields))
}

fn hull(a: Range, b: Range) -> Range {
    (a.0.min(b.0), a.1.max(b.1))
}

fn binary(op: Binary, a: Range, b: Range, whole: bool) -> Range {
    let of_corners = |f: fn(f64, f64) -> f64| {
        let corners = [f(a.0, b.0), f(a.0, b.1), f(a.1, b.0), f(a.1, b.1)];
        if corners.iter().any(|c| c.is_nan()) {
            return ANY;
        }
        (
            corners.iter().copied().fold(f64::INFINITY, f64::min),
            corners.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        )
    };
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
        Function::Sign => (-1.0, 1.0),
        Function::Sqrt => (0.0, first.1.max(0.0).sqrt()),
        Function::Exp => (first.0.exp(), first.1.exp()),
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

/// Whether the value may be missing; "yes" where it is not known.
pub(crate) fn nullable(expr: &Expr, fields: &[Field]) -> bool {
    match expr {
        Expr::Column(index, _) => fields[*index].nullable,
        Expr::Literal(literal) => *literal == Literal::Value(Value::Null),
        Expr::Call(Function::Coalesce | Function::Least | Function::Greatest, args) => {
            args.iter().all(|arg| nullable(arg, fields))
        }
        Expr::Unary(Unary::Negate, operand) => nullable(operand, fields),
        // A whole number or a truth value always has a number that it converts to.
        Expr::Cast(operand, Kind::Number)
            if matches!(operand.kind(), Some(Kind::Integer | Kind::Boolean)) =>
        {
            nullable(operand, fields)
        }
        _ => true,
    }
}
