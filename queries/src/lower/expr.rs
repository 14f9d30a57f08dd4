//! DataFusion's expressions → [`Expr`]. What has no counterpart is refused where it stands.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{self as df, Operator};
use disclosure_rules::Value;
use disclosure_rules::value::Day;
use memoranda::Kind;

use super::{Lowering, pupil_shown};
use crate::function;
use crate::refusal::{Refusal, Rule, is_plain};
use crate::tree::{Binary, Expr, Field, Literal, Unary};

/// Largest expression, in parts once emitted.
pub(crate) const MAX_SIZE: u64 = 1_000;
/// Longest pattern: beyond it, one that is compiled to a regular expression could fail.
pub(crate) const MAX_PATTERN: usize = 500;

/// Where an expression stands: which relation its columns are of.
pub(crate) struct Scope<'a> {
    lowering: &'a Lowering<'a>,
    schema: &'a DFSchema,
    /// The columns, where they are of rows; empty above a release.
    fields: &'a [Field],
    released: bool,
    /// The query around a subquery. Its columns come first.
    outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    /// Over rows of pupils or of public tables.
    pub(crate) fn rows(lowering: &'a Lowering<'a>, schema: &'a DFSchema, fields: &'a [Field]) -> Scope<'a> {
        Scope { lowering, schema, fields, released: false, outer: None }
    }

    /// Over rows of a subquery that may name columns of the query around it. Those are numbered first.
    pub(crate) fn inner(
        lowering: &'a Lowering<'a>,
        schema: &'a DFSchema,
        fields: &'a [Field],
        outer: &'a Scope<'a>,
    ) -> Scope<'a> {
        Scope { lowering, schema, fields, released: false, outer: Some(outer) }
    }

    /// Over a table computed from releases.
    pub(crate) fn released(lowering: &'a Lowering<'a>, schema: &'a DFSchema) -> Scope<'a> {
        Scope { lowering, schema, fields: &[], released: true, outer: None }
    }

    pub(crate) fn sql(&self) -> &str {
        self.lowering.sql
    }

    pub(crate) fn fields(&self) -> &[Field] {
        self.fields
    }

    /// The pupil's own column, if that is what the expression is.
    pub(crate) fn unit_column(&self, expr: &df::Expr) -> Option<Expr> {
        match expr {
            df::Expr::Alias(alias) => self.unit_column(&alias.expr),
            df::Expr::Column(column) => {
                let index = self.schema.index_of_column(column).ok()?;
                let field = self.fields.get(index).filter(|field| field.unit)?;
                Some(Expr::Column(index + self.offset(), field.kind))
            }
            df::Expr::OuterReferenceColumn(_, column) => {
                self.outer?.unit_column(&df::Expr::Column(column.clone()))
            }
            _ => None,
        }
    }

    /// How many columns of the query around stand before its own.
    fn offset(&self) -> usize {
        self.outer.map_or(0, |outer| outer.fields.len())
    }

    /// The number of a column, or a refusal if it names the pupil.
    fn column(&self, column: &datafusion::common::Column) -> Result<usize, Refusal> {
        let index = self.schema.index_of_column(column).map_err(|_| {
            Refusal::new(Rule::Column, "a column is not among the items of this memorandum")
                .place(self.sql(), column)
        })?;
        if self.fields.get(index).is_some_and(|field| field.unit) {
            let name = column.name.as_str();
            return Err(
                pupil_shown(Some(name).filter(|name| is_plain(self.sql(), name))).place(self.sql(), column)
            );
        }
        Ok(index)
    }

    pub(crate) fn lower(&self, expr: &df::Expr) -> Result<Expr, Refusal> {
        Ok(match expr {
            df::Expr::Alias(alias) => self.lower(&alias.expr)?,
            df::Expr::Column(column) => {
                let index = self.column(column)?;
                let kind =
                    kind(self.schema.field(index).data_type()).ok_or_else(|| unsayable("this type"))?;
                // Times of day are no keys: above the aggregate, what DataFusion calls one is a truncated date.
                let above = self.released && kind == Kind::DateTime;
                Expr::Column(index + self.offset(), if above { Kind::Date } else { kind })
            }
            df::Expr::OuterReferenceColumn(_, column) => match self.outer {
                Some(outer) => outer.lower(&df::Expr::Column(column.clone()))?,
                None => return Err(unsayable("a column of the query around this one")),
            },
            df::Expr::Literal(value, _) => Expr::Literal(literal(value)?),
            df::Expr::BinaryExpr(binary) => self.binary(binary)?,
            df::Expr::Like(like) => self.like(like)?,
            df::Expr::Not(operand) => self.unary(Unary::Not, operand)?,
            df::Expr::IsNotNull(operand) => not(self.is_null(operand)?),
            df::Expr::IsNull(operand) => self.is_null(operand)?,
            df::Expr::IsTrue(operand) => self.unary(Unary::IsTrue, operand)?,
            df::Expr::IsFalse(operand) => self.unary(Unary::IsFalse, operand)?,
            df::Expr::IsUnknown(operand) => self.unary(Unary::IsNull, operand)?,
            df::Expr::IsNotTrue(operand) => not(self.unary(Unary::IsTrue, operand)?),
            df::Expr::IsNotFalse(operand) => not(self.unary(Unary::IsFalse, operand)?),
            df::Expr::IsNotUnknown(operand) => not(self.unary(Unary::IsNull, operand)?),
            df::Expr::Negative(operand) => self.unary(Unary::Negate, operand)?,
            df::Expr::Between(between) => {
                let value = self.lower(&between.expr)?;
                let at_least = pair(Binary::GreaterEqual, value.clone(), self.lower(&between.low)?);
                let at_most = pair(Binary::LessEqual, value, self.lower(&between.high)?);
                let within = self.limited(pair(Binary::And, at_least, at_most))?;
                if between.negated { not(within) } else { within }
            }
            df::Expr::Case(case) => self.case(case)?,
            df::Expr::Cast(cast) => self.cast(&cast.expr, cast.field.data_type())?,
            df::Expr::TryCast(cast) => self.cast(&cast.expr, cast.field.data_type())?,
            df::Expr::InList(list) => {
                let constant = |item: &df::Expr| match self.lower(item)? {
                    Expr::Literal(literal) => Ok(literal),
                    // A conversion of a constant that type coercion has put in.
                    Expr::Cast(inner, to) => match (*inner, to) {
                        (Expr::Literal(Literal::Value(Value::Int(i))), Kind::Number) => {
                            Ok(Literal::Float(i as f64))
                        }
                        (Expr::Literal(Literal::Value(Value::Null)), _) => Ok(Literal::Value(Value::Null)),
                        (Expr::Literal(Literal::Value(Value::Int(i))), Kind::Text) => {
                            Ok(Literal::Value(Value::Text(i.to_string())))
                        }
                        (Expr::Literal(Literal::Value(Value::Text(text))), Kind::Date)
                            if Day::parse(&text).is_some() =>
                        {
                            Ok(Day::parse(&text)
                                .map_or(Literal::Value(Value::Null), |day| Literal::Value(Value::Date(day))))
                        }
                        _ => Err(unsayable("a list with anything but constants after IN")),
                    },
                    _ => Err(unsayable("a list with anything but constants after IN")),
                };
                let constants = list.list.iter().map(constant).collect::<Result<_, _>>()?;
                let found = Expr::In(Box::new(self.lower(&list.expr)?), constants);
                if list.negated { not(found) } else { found }
            }
            df::Expr::ScalarFunction(call) if call.func.name() == "width_bucket" => {
                self.width_bucket(&call.args)?
            }
            df::Expr::ScalarFunction(call) if call.func.name() == "date_bin" => self.date_bin(&call.args)?,
            df::Expr::ScalarFunction(call) => {
                let name = call.func.name();
                let function = function::find(name).ok_or_else(|| {
                    Refusal::new(Rule::Function, format!("`{name}` is not on the list of total functions"))
                })?;
                let args = call.args.iter().map(|arg| self.lower(arg)).collect::<Result<Vec<_>, _>>()?;
                if let Some(misuse) = function.misuse(&args) {
                    return Err(
                        Refusal::new(Rule::Function, format!("`{name}`: {misuse}")).near(self.sql(), name)
                    );
                }
                self.limited(Expr::Call(function, args))?
            }
            df::Expr::AggregateFunction(_) => return Err(unsayable("an aggregate inside an aggregate")),
            df::Expr::WindowFunction(_) => {
                return Err(Refusal::new(
                    Rule::Window,
                    "a window function inside an expression is not offered here",
                ));
            }
            df::Expr::ScalarSubquery(subquery) if subquery.outer_ref_columns.is_empty() => {
                self.lowering.scalar(&subquery.subquery)?
            }
            df::Expr::ScalarSubquery(_) => {
                return Err(Refusal::new(
                    Rule::Subquery,
                    "a subquery that stands for a value may not read the query around it",
                )
                .rewrite("LEFT JOIN (SELECT pupil, COUNT(*) AS n FROM … GROUP BY pupil) AS s ON …"));
            }
            df::Expr::Exists(_) | df::Expr::InSubquery(_) => {
                return Err(Refusal::new(
                    Rule::Subquery,
                    "EXISTS and IN (SELECT …) stand alone in WHERE, or after AND",
                )
                .rewrite(
                    "LEFT JOIN (SELECT DISTINCT pupil FROM …) AS s ON …, then CASE WHEN s.pupil IS NOT NULL",
                ));
            }
            df::Expr::SetComparison(_) => {
                return Err(unsayable("ANY or ALL with a subquery").rewrite("IN (SELECT …) or EXISTS"));
            }
            df::Expr::Placeholder(_) => return Err(unsayable("a placeholder")),
            df::Expr::GroupingSet(_) => return Err(unsayable("this grouping set")),
            _ => return Err(unsayable("this expression")),
        })
    }

    /// IS NULL, which may be asked of the pupil's column too: whether an outer join has found a row.
    fn is_null(&self, operand: &df::Expr) -> Result<Expr, Refusal> {
        match self.unit_column(operand) {
            Some(unit) => Ok(Expr::Unary(Unary::IsNull, Box::new(unit))),
            None => self.unary(Unary::IsNull, operand),
        }
    }

    fn unary(&self, op: Unary, operand: &df::Expr) -> Result<Expr, Refusal> {
        let operand = self.lower(operand)?;
        if op == Unary::Negate && !matches!(operand.kind(), Some(Kind::Integer | Kind::Number) | None) {
            return Err(unsayable("minus before anything but a number"));
        }
        Ok(Expr::Unary(op, Box::new(operand)))
    }

    fn binary(&self, binary: &df::BinaryExpr) -> Result<Expr, Refusal> {
        if self.released
            && let Some(bits) = self.grouping_bits(binary)?
        {
            return Ok(bits);
        }
        let op = match binary.op {
            Operator::Plus => Binary::Add,
            Operator::Minus => Binary::Subtract,
            Operator::Multiply => Binary::Multiply,
            Operator::Divide => Binary::Divide,
            Operator::Modulo => Binary::Modulo,
            Operator::Eq => Binary::Equal,
            Operator::NotEq => Binary::NotEqual,
            Operator::Lt => Binary::Less,
            Operator::LtEq => Binary::LessEqual,
            Operator::Gt => Binary::Greater,
            Operator::GtEq => Binary::GreaterEqual,
            Operator::And => Binary::And,
            Operator::Or => Binary::Or,
            Operator::IsDistinctFrom => Binary::IsDistinct,
            Operator::IsNotDistinctFrom => Binary::IsNotDistinct,
            Operator::StringConcat => Binary::Concat,
            other => return Err(unsayable(&format!("the operator {other}"))),
        };
        let (left, right) = (self.lower(&binary.left)?, self.lower(&binary.right)?);
        let arithmetic =
            matches!(op, Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Modulo);
        let number = |expr: &Expr| matches!(expr.kind(), Some(Kind::Integer | Kind::Number) | None);
        if arithmetic && !(number(&left) && number(&right)) {
            return Err(unsayable("arithmetic on anything but numbers"));
        }
        match op {
            Binary::Divide | Binary::Modulo => self.limited(pair(op, left, right)),
            _ => Ok(pair(op, left, right)),
        }
    }

    /// Refuses an expression that would become too large. Checked wherever operands are repeated, so that nothing
    /// grows past a small multiple of the limit.
    pub(super) fn limited(&self, expr: Expr) -> Result<Expr, Refusal> {
        self.limit(expr.size()).map(|()| expr)
    }

    fn limit(&self, size: u64) -> Result<(), Refusal> {
        if size <= MAX_SIZE {
            return Ok(());
        }
        Err(Refusal::new(
            Rule::Limit,
            "an expression is too large: divisions, BETWEEN, CASE or functions nest too deep in each other",
        ))
    }

    fn like(&self, like: &df::expr::Like) -> Result<Expr, Refusal> {
        let Expr::Literal(Literal::Value(Value::Text(pattern))) = self.lower(&like.pattern)? else {
            return Err(unsayable("LIKE with anything but a constant pattern"));
        };
        if like.escape_char.is_some() {
            return Err(unsayable("ESCAPE"));
        }
        if pattern.len() > MAX_PATTERN {
            return Err(Refusal::new(
                Rule::Limit,
                format!("a pattern after LIKE has at most {MAX_PATTERN} bytes"),
            ));
        }
        let text = Box::new(self.lower(&like.expr)?);
        let found = Expr::Like { text, pattern, ignore_case: like.case_insensitive };
        Ok(if like.negated { not(found) } else { found })
    }

    fn case(&self, case: &df::Case) -> Result<Expr, Refusal> {
        let base = case.expr.as_deref().map(|base| self.lower(base)).transpose()?;
        let copies = base.as_ref().map_or(0, |base| base.size() * case.when_then_expr.len() as u64);
        self.limit(copies)?;
        let branch = |(when, then): &(Box<df::Expr>, Box<df::Expr>)| {
            let when = self.lower(when)?;
            let when = match &base {
                Some(base) => pair(Binary::Equal, base.clone(), when),
                None => when,
            };
            Ok((when, self.lower(then)?))
        };
        let branches = case.when_then_expr.iter().map(branch).collect::<Result<_, Refusal>>()?;
        let otherwise = case.else_expr.as_deref().map(|value| self.lower(value)).transpose()?;
        self.limited(Expr::Case(branches, otherwise.map(Box::new)))
    }

    fn cast(&self, operand: &df::Expr, to: &DataType) -> Result<Expr, Refusal> {
        let operand = self.lower(operand)?;
        if matches!(to, DataType::Decimal128(..)) && operand.kind() != Some(Kind::Integer) {
            return Err(
                Refusal::new(Rule::Expression, "decimals are not offered").rewrite("CAST(x AS DOUBLE)")
            );
        }
        let Some(to) = kind(to) else {
            return Err(Refusal::new(Rule::Expression, "this type is not offered")
                .rewrite("CAST to BOOLEAN, BIGINT, DOUBLE, VARCHAR, DATE or TIMESTAMP"));
        };
        let Some(from) = operand.kind() else { return Ok(Expr::Cast(Box::new(operand), to)) };
        use Kind::{Boolean, Date, DateTime, Integer, Number, Text};
        let offered = matches!(
            (from, to),
            (Integer | Number | Boolean, Integer | Number | Text)
                | (Integer, Boolean)
                | (Text, Integer | Number | Boolean | Date | DateTime)
                | (Date, DateTime | Text)
                | (DateTime, Date)
        );
        match () {
            () if from == to => Ok(operand),
            () if offered => self.limited(Expr::Cast(Box::new(operand), to)),
            () => Err(unsayable("a conversion between these types")),
        }
    }
}

/// A binary expression; of a comparison with a constant, the constant stands right, so that `'K' = gr` and
/// `gr = 'K'` are one question.
pub(crate) fn pair(op: Binary, left: Expr, right: Expr) -> Expr {
    let mirrored = match op {
        Binary::Equal | Binary::NotEqual | Binary::IsDistinct | Binary::IsNotDistinct => op,
        Binary::Less => Binary::Greater,
        Binary::LessEqual => Binary::GreaterEqual,
        Binary::Greater => Binary::Less,
        Binary::GreaterEqual => Binary::LessEqual,
        _ => return Expr::Binary(op, Box::new(left), Box::new(right)),
    };
    if matches!((&left, &right), (Expr::Literal(_), other) if !matches!(other, Expr::Literal(_))) {
        return Expr::Binary(mirrored, Box::new(right), Box::new(left));
    }
    Expr::Binary(op, Box::new(left), Box::new(right))
}

fn not(operand: Expr) -> Expr {
    Expr::Unary(Unary::Not, Box::new(operand))
}

pub(crate) fn unsayable(what: &str) -> Refusal {
    Refusal::new(Rule::Expression, format!("{what} is not offered"))
}

pub(super) fn literal(value: &ScalarValue) -> Result<Literal, Refusal> {
    if value.is_null() {
        return Ok(Literal::Value(Value::Null));
    }
    Ok(match value {
        ScalarValue::Boolean(Some(b)) => Literal::Value(Value::Bool(*b)),
        ScalarValue::Int8(Some(i)) => Literal::Value(Value::Int(i64::from(*i))),
        ScalarValue::Int16(Some(i)) => Literal::Value(Value::Int(i64::from(*i))),
        ScalarValue::Int32(Some(i)) => Literal::Value(Value::Int(i64::from(*i))),
        ScalarValue::Int64(Some(i)) => Literal::Value(Value::Int(*i)),
        ScalarValue::UInt8(Some(i)) => Literal::Value(Value::Int(i64::from(*i))),
        ScalarValue::UInt16(Some(i)) => Literal::Value(Value::Int(i64::from(*i))),
        ScalarValue::UInt32(Some(i)) => Literal::Value(Value::Int(i64::from(*i))),
        ScalarValue::UInt64(Some(i)) if i64::try_from(*i).is_ok() => Literal::Value(Value::Int(*i as i64)),
        ScalarValue::Decimal128(Some(i), _, 0) if i64::try_from(*i).is_ok() => {
            Literal::Value(Value::Int(*i as i64))
        }
        ScalarValue::Float32(Some(f)) if f.is_finite() => Literal::Float(f64::from(*f)),
        ScalarValue::Float64(Some(f)) if f.is_finite() => Literal::Float(*f),
        ScalarValue::Utf8(Some(s)) | ScalarValue::Utf8View(Some(s)) | ScalarValue::LargeUtf8(Some(s)) => {
            Literal::Value(Value::Text(s.clone()))
        }
        ScalarValue::Date32(Some(days)) => Literal::Value(Value::Date(Day(*days))),
        ScalarValue::TimestampMicrosecond(Some(t), None) => Literal::DateTime(*t),
        ScalarValue::TimestampNanosecond(Some(t), None) => Literal::DateTime(t.div_euclid(1000)),
        ScalarValue::TimestampMillisecond(Some(t), None) => Literal::DateTime(t.saturating_mul(1000)),
        ScalarValue::TimestampSecond(Some(t), None) => Literal::DateTime(t.saturating_mul(1_000_000)),
        _ => return Err(unsayable("a constant of this type")),
    })
}

/// The kind of an Arrow type; `None` where the vocabulary has none.
pub(crate) fn kind(data_type: &DataType) -> Option<Kind> {
    Some(match data_type {
        DataType::Boolean => Kind::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Kind::Integer,
        // Of the engine's own functions: ranks, grouping sets.
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => Kind::Integer,
        DataType::Float32 | DataType::Float64 => Kind::Number,
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => Kind::Text,
        DataType::Date32 => Kind::Date,
        DataType::Timestamp(_, None) => Kind::DateTime,
        // What the engine compares numbers of two widths as: see `cast`.
        DataType::Decimal128(_, 0) => Kind::Integer,
        _ => return None,
    })
}
