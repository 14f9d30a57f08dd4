//! Expressions, all total.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{self as df, Operator, binary_expr, lit, when};
use disclosure_rules::Value;
use memoranda::Kind;

use super::{Emitter, data_type};
use crate::function::{self, Function};
use crate::tree::{Binary, Expr, Literal, Unary};

/// 1678-01-01 and 2262-01-01: between them, nanoseconds fit in 64 bits.
pub(crate) const NANOSECOND_DAYS: [i32; 2] = [-106_650, 106_651];
/// 0000-01-01 and 10000-01-01: between them, years have four digits.
const WRITTEN_DAYS: [i32; 2] = [-719_528, 2_932_897];

impl Emitter<'_> {
    pub(super) fn argument(&self, argument: &Expr) -> Result<df::Expr> {
        let value = self.expr(argument)?;
        Ok(match argument.kind() {
            Some(Kind::Number) => value,
            Some(Kind::Integer) => df::cast(value, DataType::Int64),
            Some(Kind::Boolean) => df::cast(value, DataType::Int64),
            _ => when(value.is_not_null(), lit(1_i64)).end()?,
        })
    }

    /// The expression, total.
    pub(crate) fn expr(&self, expr: &Expr) -> Result<df::Expr> {
        Ok(match expr {
            Expr::Column(index, _) => self.columns[*index].clone(),
            Expr::Literal(literal) => lit(constant(literal)?),
            Expr::Noisy(scalar, kind) => {
                let value = self.bindings.get(*scalar).map_or(Ok(ScalarValue::Null), constant)?;
                if value.is_null() { lit(null(*kind)?) } else { df::cast(lit(value), data_type(*kind)) }
            }
            Expr::Unary(op, operand) => {
                let operand = self.expr(operand)?;
                match op {
                    Unary::Not => df::not(operand),
                    Unary::Negate => minus(operand),
                    Unary::IsNull => operand.is_null(),
                    Unary::IsTrue => operand.is_true(),
                    Unary::IsFalse => operand.is_false(),
                }
            }
            Expr::Binary(op, left, right) => self.binary(*op, left, right)?,
            Expr::Case(branches, otherwise) => {
                let branches = branches
                    .iter()
                    .map(|(when, then)| Ok((Box::new(self.expr(when)?), Box::new(self.expr(then)?))));
                let otherwise = otherwise.as_deref().map(|value| self.expr(value)).transpose()?;
                df::Expr::Case(df::Case::new(None, branches.collect::<Result<_>>()?, otherwise.map(Box::new)))
            }
            // Even TRY_CAST fails on some dates of a year that has no four digits.
            Expr::Cast(operand, to) if operand.kind() == Some(Kind::Date) => {
                df::try_cast(between(self.expr(operand)?, WRITTEN_DAYS.map(day))?, data_type(*to))
            }
            Expr::Cast(operand, Kind::Date) if operand.kind() == Some(Kind::DateTime) => {
                date(self.expr(operand)?)?
            }
            // TRY_CAST gives NULL where CAST would fail.
            Expr::Cast(operand, to) => df::try_cast(self.expr(operand)?, data_type(*to)),
            Expr::In(operand, list) => {
                let list = list.iter().map(|literal| Ok(lit(constant(literal)?))).collect::<Result<_>>()?;
                self.expr(operand)?.in_list(list, false)
            }
            Expr::Like { text, pattern, ignore_case } => {
                let text = self.expr(text)?;
                if *ignore_case {
                    text.ilike(lit(pattern.as_str()))
                } else {
                    text.like(lit(pattern.as_str()))
                }
            }
            Expr::Call(function, args) => self.call(*function, args)?,
        })
    }

    fn binary(&self, op: Binary, left: &Expr, right: &Expr) -> Result<df::Expr> {
        let whole = left.kind() != Some(Kind::Number) && right.kind() != Some(Kind::Number);
        let (a, b) = (self.expr(left)?, self.expr(right)?);
        let operator = match op {
            // DataFusion's integer +, - and * wrap around; they do not fail.
            Binary::Add => Operator::Plus,
            Binary::Subtract => Operator::Minus,
            Binary::Multiply => Operator::Multiply,
            Binary::Divide | Binary::Modulo => {
                let operator = if op == Binary::Divide { Operator::Divide } else { Operator::Modulo };
                return Ok(if whole {
                    whole_division(operator, a, b)?
                } else {
                    binary_expr(a, operator, null_if(b, lit(0.0))?)
                });
            }
            Binary::Equal => Operator::Eq,
            Binary::NotEqual => Operator::NotEq,
            Binary::Less => Operator::Lt,
            Binary::LessEqual => Operator::LtEq,
            Binary::Greater => Operator::Gt,
            Binary::GreaterEqual => Operator::GtEq,
            Binary::And => Operator::And,
            Binary::Or => Operator::Or,
            Binary::IsDistinct => Operator::IsDistinctFrom,
            Binary::IsNotDistinct => Operator::IsNotDistinctFrom,
            Binary::Concat => Operator::StringConcat,
        };
        Ok(binary_expr(a, operator, b))
    }

    fn call(&self, function: Function, args: &[Expr]) -> Result<df::Expr> {
        let dated = matches!(function, Function::DateTrunc | Function::DateBin);
        let timed = dated && args[1].kind() == Some(Kind::DateTime);
        let args = args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
        let float = |expr: &df::Expr| df::cast(expr.clone(), DataType::Float64);
        Ok(match function {
            // |least integer| does not fit, and DataFusion's fails on it.
            Function::Abs => {
                when(args[0].clone().lt(lit(0_i64)), minus(args[0].clone())).otherwise(args[0].clone())?
            }
            Function::Sqrt => {
                udf(function, vec![when(float(&args[0]).gt_eq(lit(0.0)), float(&args[0])).end()?])?
            }
            Function::Ln => udf(function, vec![when(float(&args[0]).gt(lit(0.0)), float(&args[0])).end()?])?,
            // Whole powers overflow; powers of floats do not.
            Function::Power => udf(function, args.iter().map(float).collect())?,
            Function::Log10 | Function::Log2 => {
                udf(function, vec![when(float(&args[0]).gt(lit(0.0)), float(&args[0])).end()?])?
            }
            Function::Cbrt
            | Function::Ceil
            | Function::Floor
            | Function::Exp
            | Function::Sign
            | Function::Trunc => udf(function, vec![float(&args[0])])?,
            Function::Strpos => df::cast(udf(function, args)?, DataType::Int64),
            Function::Round => {
                let digits = args.get(1).cloned().map(|n| df::cast(n, DataType::Int32));
                udf(function, std::iter::once(float(&args[0])).chain(digits).collect())?
            }
            Function::DatePart | Function::Length => df::cast(udf(function, args)?, DataType::Int64),
            Function::DateTrunc => {
                // The granularities are days or longer. DataFusion counts nanoseconds here and fails on a date that
                // 64 bits of them do not reach, such as 9999-12-31: NULL.
                udf(function, vec![args[0].clone(), nanosecond_time(&args[1], timed)?])?
            }
            Function::DateBin => {
                let days = match &args[0] {
                    df::Expr::Literal(ScalarValue::Int64(Some(days)), _) => *days as i32,
                    _ => return Err(DataFusionError::Plan("date_bin takes a constant".to_owned())),
                };
                let interval = ScalarValue::new_interval_mdn(0, days, 0);
                let time = DataType::Timestamp(TimeUnit::Microsecond, None);
                let origin = df::try_cast(args[2].clone(), time.clone());
                let start = udf(function, vec![lit(interval), nanosecond_time(&args[1], timed)?, origin])?;
                // It comes in nanoseconds, in which the years that `date` compares with do not fit.
                df::try_cast(start, time)
            }
            _ => udf(function, args)?,
        })
    }
}

/// A date as a time that 64 bits of nanoseconds reach; NULL for another.
fn nanosecond_time(value: &df::Expr, timed: bool) -> Result<df::Expr> {
    let date = if timed { date(value.clone())? } else { value.clone() };
    let reached = between(df::try_cast(date, DataType::Date32), NANOSECOND_DAYS.map(day))?;
    Ok(df::try_cast(reached, DataType::Timestamp(TimeUnit::Microsecond, None)))
}

fn udf(function: Function, args: Vec<df::Expr>) -> Result<df::Expr> {
    let udf = function::scalar_udf(function.name());
    let udf = udf.ok_or_else(|| DataFusionError::Plan(format!("no function {}", function.name())))?;
    Ok(udf.call(args))
}

/// A date or time from one on, before another; NULL outside.
fn between(value: df::Expr, [from, to]: [ScalarValue; 2]) -> Result<df::Expr> {
    when(value.clone().gt_eq(lit(from)).and(value.clone().lt(lit(to))), value).end()
}

fn day(days: i32) -> ScalarValue {
    ScalarValue::Date32(Some(days))
}

/// The date of a time.
fn date(time: df::Expr) -> Result<df::Expr> {
    let midnight =
        |days: i32| ScalarValue::TimestampMicrosecond(Some(i64::from(days) * 86_400_000_000), None);
    Ok(df::try_cast(between(time, WRITTEN_DAYS.map(midnight))?, DataType::Date32))
}

/// -x; of the least integer itself. DataFusion's own minus fails on that one where it is a constant.
fn minus(x: df::Expr) -> df::Expr {
    binary_expr(lit(0_i64), Operator::Minus, x)
}

pub(super) fn null_if(value: df::Expr, nothing: df::Expr) -> Result<df::Expr> {
    udf(Function::NullIf, vec![value, nothing])
}

/// a / b and a % b of integers, NULL for b = 0, and without the one quotient that does not fit: least / -1.
fn whole_division(operator: Operator, a: df::Expr, b: df::Expr) -> Result<df::Expr> {
    let by_minus_one = if operator == Operator::Divide { minus(a.clone()) } else { lit(0_i64) };
    let divisor = when(b.clone().eq(lit(0_i64)).or(b.clone().eq(lit(-1_i64))), lit(ScalarValue::Int64(None)))
        .otherwise(b.clone())?;
    when(b.eq(lit(-1_i64)), by_minus_one).otherwise(binary_expr(a, operator, divisor))
}

pub(super) fn null(kind: Kind) -> Result<ScalarValue> {
    ScalarValue::try_from(&data_type(kind))
}

/// A value as a constant of a column's type.
pub(crate) fn scalar(value: &Value, kind: Kind) -> Result<ScalarValue> {
    Ok(match value {
        Value::Null => null(kind)?,
        Value::Bool(b) => ScalarValue::Boolean(Some(*b)),
        Value::Int(i) if kind == Kind::Number => ScalarValue::Float64(Some(*i as f64)),
        Value::Int(i) => ScalarValue::Int64(Some(*i)),
        Value::Date(day) => ScalarValue::Date32(Some(day.0)),
        Value::Text(text) => ScalarValue::Utf8(Some(text.clone())),
    })
}

fn constant(literal: &Literal) -> Result<ScalarValue> {
    Ok(match literal {
        Literal::Value(Value::Null) => ScalarValue::Null,
        Literal::Value(value) => scalar(value, Kind::Text)?,
        Literal::Float(f) => ScalarValue::Float64(Some(*f)),
        Literal::DateTime(t) => ScalarValue::TimestampMicrosecond(Some(*t), None),
    })
}
