//! Tree → DataFusion. Every emitted expression is total: it has a value or NULL for every row, never an error.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Column, DataFusionError, Result, ScalarValue, TableReference};
use datafusion::logical_expr::{
    self as df, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, TableSource, binary_expr, lit, when,
};
use disclosure_rules::Value;
use memoranda::Kind;

pub use crate::catalog::data_type;
use crate::function::{self, Function};
use crate::plan::PrivatePlan;
use crate::tree::{Binary, Expr, Field, JoinKind, Literal, Rel, Unary};

/// Stored column with the pupil's pseudonym: 16 bytes, ascending within a partition.
pub const UNIT: &str = "__unit";
/// Stored column with the number of the row within its pupil.
pub const ROW: &str = "__row";

/// 1678-01-01 and 2262-01-01: between them, nanoseconds fit in 64 bits.
const NANOSECOND_DAYS: [i32; 2] = [-106_650, 106_651];
/// 0000-01-01 and 10000-01-01: between them, years have four digits.
const WRITTEN_DAYS: [i32; 2] = [-719_528, 2_932_897];

/// Finds a table's source by its name in the contract.
pub type Tables<'a> = &'a dyn Fn(&str) -> Result<Arc<dyn TableSource>>;

/// The rows of a question, ready to be bounded and added up: pseudonym, row number, then the keys `k0`, `k1`, …,
/// then the arguments `a0`, `a1`, … Boolean arguments become 0 and 1, other non-numbers 1 where present.
pub fn source(plan: &PrivatePlan, tables: Tables<'_>) -> Result<LogicalPlan> {
    let mut emitter = Emitter::new(tables);
    let rel = emitter.rel(plan.source())?;
    let private =
        emitter.private.clone().ok_or_else(|| DataFusionError::Plan("no private table".to_owned()))?;
    let mut columns: Vec<df::Expr> = [UNIT, ROW].iter().map(|name| qualified(&private, name)).collect();
    for (i, key) in plan.keys().iter().enumerate() {
        columns.push(emitter.expr(key)?.alias(format!("k{i}")));
    }
    for (i, argument) in plan.arguments().iter().enumerate() {
        columns.push(emitter.argument(argument)?.alias(format!("a{i}")));
    }
    LogicalPlanBuilder::from(rel).project(columns)?.build()
}

/// The public keys of a question, one row per key; `None` where they are unknown. Reads public tables only.
pub fn public_keys(plan: &PrivatePlan, tables: Tables<'_>) -> Result<Option<LogicalPlan>> {
    let Some((rel, keys)) = plan.key_domain() else { return Ok(None) };
    let mut emitter = Emitter::new(tables);
    let rel = emitter.rel(rel)?;
    // NULLIF(key, NULL) is the key. DataFusion's logical and physical plans disagree on whether an expression such
    // as IS TRUE may be missing, and DISTINCT fails on that; of NULLIF both say that it may.
    let key = |(i, key): (usize, &Expr)| {
        let nothing = key.kind().map_or(Ok(ScalarValue::Null), null)?;
        Ok(null_if(emitter.expr(key)?, lit(nothing))?.alias(format!("k{i}")))
    };
    let keys = keys.iter().enumerate().map(key);
    let keys = keys.collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(rel).project(keys)?.distinct()?.build().map(Some)
}

/// Names every scan `t0`, `t1`, … so that a column of the tree is one qualified column of the plan.
pub(crate) struct Emitter<'a> {
    tables: Tables<'a>,
    columns: Vec<df::Expr>,
    private: Option<String>,
    scans: usize,
}

fn qualified(table: &str, column: &str) -> df::Expr {
    df::Expr::Column(Column::new(Some(TableReference::bare(table)), column))
}

impl<'a> Emitter<'a> {
    fn new(tables: Tables<'a>) -> Emitter<'a> {
        Emitter { tables, columns: Vec::new(), private: None, scans: 0 }
    }

    /// An emitter for expressions over one relation whose columns are named `c0`, `c1`, …
    pub(crate) fn over_columns(count: usize, tables: Tables<'a>) -> Emitter<'a> {
        let columns =
            (0..count).map(|i| df::Expr::Column(Column::new_unqualified(format!("c{i}")))).collect();
        Emitter { tables, columns, private: None, scans: 0 }
    }

    fn rel(&mut self, rel: &Rel) -> Result<LogicalPlan> {
        match rel {
            Rel::Scan(scan) => {
                let alias = self.next_alias();
                if !scan.public {
                    self.private = Some(alias.clone());
                }
                self.columns.extend(scan.columns.iter().map(|field| qualified(&alias, &field.column)));
                let table = LogicalPlanBuilder::scan(&scan.table, (self.tables)(&scan.table)?, None)?;
                if !scan.missing_row {
                    return table.alias(alias)?.build();
                }
                let names = scan
                    .columns
                    .iter()
                    .map(|field| qualified(&scan.table, &field.column).alias(&field.column));
                let missing = scan
                    .columns
                    .iter()
                    .map(|field| Ok(lit(null(field.kind)?)))
                    .collect::<Result<Vec<_>>>()?;
                let missing = values(&scan.columns, vec![missing])?;
                table.project(names)?.union(missing)?.alias(alias)?.build()
            }
            Rel::Values(field, list) => {
                let alias = self.next_alias();
                self.columns.push(qualified(&alias, &field.column));
                let rows = list
                    .iter()
                    .map(|value| Ok(vec![lit(scalar(value, field.kind)?)]))
                    .collect::<Result<_>>()?;
                LogicalPlanBuilder::from(values(std::slice::from_ref(field), rows)?).alias(alias)?.build()
            }
            Rel::Filter { input, predicate } => {
                let input = self.rel(input)?;
                LogicalPlanBuilder::from(input).filter(self.expr(predicate)?)?.build()
            }
            Rel::Join { left, right, kind, on } => {
                let (left_plan, right_plan) = (self.rel(left)?, self.rel(right)?);
                let on = match on {
                    Some(on) => {
                        on.conjuncts().into_iter().map(|c| self.expr(c)).collect::<Result<Vec<_>>>()?
                    }
                    None => vec![self.expr(&Expr::truth())?],
                };
                // The side with pupils streams past the other, which keeps its order: it goes right.
                let swap = left.scans().iter().any(|scan| !scan.public);
                let kind = match (kind, swap) {
                    (JoinKind::Inner, _) => JoinType::Inner,
                    (JoinKind::Left, true) | (JoinKind::Right, false) => JoinType::Right,
                    (JoinKind::Left, false) | (JoinKind::Right, true) => JoinType::Left,
                };
                let (build, probe) = if swap { (right_plan, left_plan) } else { (left_plan, right_plan) };
                LogicalPlanBuilder::from(build).join_on(probe, kind, on)?.build()
            }
        }
    }

    fn next_alias(&mut self) -> String {
        self.scans += 1;
        format!("t{}", self.scans - 1)
    }

    fn argument(&self, argument: &Expr) -> Result<df::Expr> {
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
        let timed = function == Function::DateTrunc && args[1].kind() == Some(Kind::DateTime);
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
            Function::Ceil | Function::Floor | Function::Exp | Function::Sign => {
                udf(function, vec![float(&args[0])])?
            }
            Function::Round => {
                let digits = args.get(1).cloned().map(|n| df::cast(n, DataType::Int32));
                udf(function, std::iter::once(float(&args[0])).chain(digits).collect())?
            }
            Function::DatePart | Function::Length => df::cast(udf(function, args)?, DataType::Int64),
            Function::DateTrunc => {
                // The granularities are days or longer. DataFusion counts nanoseconds here and fails on a date that
                // 64 bits of them do not reach, such as 9999-12-31: NULL.
                let date = if timed { date(args[1].clone())? } else { args[1].clone() };
                let reached = between(df::try_cast(date, DataType::Date32), NANOSECOND_DAYS.map(day))?;
                let time = DataType::Timestamp(TimeUnit::Microsecond, None);
                udf(function, vec![args[0].clone(), df::try_cast(reached, time)])?
            }
            _ => udf(function, args)?,
        })
    }
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

fn null_if(value: df::Expr, nothing: df::Expr) -> Result<df::Expr> {
    udf(Function::NullIf, vec![value, nothing])
}

/// a / b and a % b of integers, NULL for b = 0, and without the one quotient that does not fit: least / -1.
fn whole_division(operator: Operator, a: df::Expr, b: df::Expr) -> Result<df::Expr> {
    let by_minus_one = if operator == Operator::Divide { minus(a.clone()) } else { lit(0_i64) };
    let divisor = when(b.clone().eq(lit(0_i64)).or(b.clone().eq(lit(-1_i64))), lit(ScalarValue::Int64(None)))
        .otherwise(b.clone())?;
    when(b.eq(lit(-1_i64)), by_minus_one).otherwise(binary_expr(a, operator, divisor))
}

fn values(fields: &[Field], rows: Vec<Vec<df::Expr>>) -> Result<LogicalPlan> {
    let named = fields.iter().enumerate();
    let columns: Vec<_> = named
        .map(|(i, field)| {
            let column = df::Expr::Column(Column::new_unqualified(format!("column{}", i + 1)));
            df::cast(column, data_type(field.kind)).alias(&field.column)
        })
        .collect();
    LogicalPlanBuilder::values(rows)?.project(columns)?.build()
}

fn null(kind: Kind) -> Result<ScalarValue> {
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
