//! Functions that are lowered to something else than a call: WIDTH_BUCKET, DATE_BIN, GROUPING.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::logical_plan as plan;
use datafusion::logical_expr::{self as df, Operator};
use disclosure_rules::Value;
use disclosure_rules::value::Day;
use memoranda::Kind;

use super::expr::{Scope, literal, pair};
use crate::emit::NANOSECOND_DAYS;
use crate::function::Function;
use crate::refusal::{Refusal, Rule};
use crate::tree::{Binary, Expr, Literal, Unary};

impl Scope<'_> {
    /// `width_bucket(x, low, high, n)`: 0 below `low`, 1 to n in between, n + 1 from `high` on (SQL:2003).
    pub(super) fn width_bucket(&self, args: &[df::Expr]) -> Result<Expr, Refusal> {
        let args = args.iter().map(|arg| self.lower(arg)).collect::<Result<Vec<_>, _>>()?;
        let constant = |arg: &Expr| match arg {
            Expr::Literal(Literal::Float(f)) => Some(*f),
            Expr::Literal(Literal::Value(Value::Int(i))) => Some(*i as f64),
            Expr::Unary(Unary::Negate, inner) => match inner.as_ref() {
                Expr::Literal(Literal::Float(f)) => Some(-f),
                Expr::Literal(Literal::Value(Value::Int(i))) => Some(-(*i as f64)),
                _ => None,
            },
            _ => None,
        };
        let misuse = || {
            Refusal::new(Rule::Function, "`width_bucket` takes a number, two ascending constants and a constant number of buckets up to 1000")
                .rewrite("width_bucket(x, 0, 100, 10)")
                .near(self.sql(), "width_bucket")
        };
        let [x, low, high, count] = args.as_slice() else { return Err(misuse()) };
        let (Some(low), Some(high), Some(count)) = (constant(low), constant(high), constant(count)) else {
            return Err(misuse());
        };
        let numeric = matches!(x.kind(), Some(Kind::Integer | Kind::Number));
        let buckets = (1.0..=1000.0).contains(&count) && count.fract() == 0.0;
        if !(numeric && low < high && buckets) {
            return Err(misuse());
        }
        let x = match x.kind() {
            Some(Kind::Integer) => Expr::Cast(Box::new(x.clone()), Kind::Number),
            _ => x.clone(),
        };
        let float = |f: f64| Expr::Literal(Literal::Float(f));
        let whole = |i: f64| Expr::Literal(Literal::Value(Value::Int(i as i64)));
        let part =
            pair(Binary::Divide, pair(Binary::Subtract, x.clone(), float(low)), float((high - low) / count));
        let inside = Expr::Cast(Box::new(Expr::Call(Function::Floor, vec![part])), Kind::Integer);
        let inside = pair(Binary::Add, inside, whole(1.0));
        // The quotient may round up to the next bucket.
        let capped = Expr::Call(
            Function::Greatest,
            vec![Expr::Call(Function::Least, vec![inside, whole(count)]), whole(1.0)],
        );
        let missing = Expr::Unary(Unary::IsNull, Box::new(x.clone()));
        let branches = vec![
            (missing, Expr::Literal(Literal::Value(Value::Null))),
            (pair(Binary::Less, x.clone(), float(low)), whole(0.0)),
            (pair(Binary::GreaterEqual, x, float(high)), whole(count + 1.0)),
        ];
        self.limited(Expr::Case(branches, Some(Box::new(capped))))
    }

    /// `date_bin(INTERVAL 'n days', date [, origin])`.
    pub(super) fn date_bin(&self, args: &[df::Expr]) -> Result<Expr, Refusal> {
        let misuse = || {
            Refusal::new(
                Rule::Function,
                "`date_bin` takes an interval of whole days, a date, and a constant date as origin",
            )
            .rewrite("date_bin(INTERVAL '7 days', x)")
            .near(self.sql(), "date_bin")
        };
        let days = match args.first() {
            Some(df::Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(i)), _))
                if i.months == 0 && i.nanoseconds == 0 =>
            {
                i64::from(i.days)
            }
            Some(df::Expr::Literal(ScalarValue::IntervalDayTime(Some(i)), _)) if i.milliseconds == 0 => {
                i64::from(i.days)
            }
            _ => return Err(misuse()),
        };
        if !(1..=36_600).contains(&days) {
            return Err(misuse());
        }
        let value = self.lower(args.get(1).ok_or_else(misuse)?)?;
        let value = match value {
            Expr::Cast(date, Kind::DateTime) if date.kind() == Some(Kind::Date) => *date,
            other => other,
        };
        if !matches!(value.kind(), Some(Kind::Date | Kind::DateTime)) {
            return Err(misuse());
        }
        let origin = match args.get(2).map(|origin| self.lower(origin)).transpose()? {
            None => Day(0),
            Some(Expr::Cast(inner, Kind::DateTime | Kind::Date)) => match *inner {
                Expr::Literal(Literal::Value(Value::Date(day))) => day,
                Expr::Literal(Literal::Value(Value::Text(text))) => {
                    // A time of day must not be dropped silently.
                    let midnight = matches!(text.get(10..), Some("" | " 00:00:00" | "T00:00:00"));
                    let day = text.get(..10).filter(|_| midnight).and_then(Day::parse);
                    day.ok_or_else(misuse)?
                }
                _ => return Err(misuse()),
            },
            Some(Expr::Literal(Literal::Value(Value::Date(day)))) => day,
            Some(Expr::Literal(Literal::DateTime(t))) if t % 86_400_000_000 == 0 => {
                Day((t / 86_400_000_000) as i32)
            }
            Some(_) => return Err(misuse()),
        };
        // The engine counts nanoseconds from it.
        if !(NANOSECOND_DAYS[0]..NANOSECOND_DAYS[1]).contains(&origin.0) {
            return Err(misuse());
        }
        let constant = |value: Value| Expr::Literal(Literal::Value(value));
        let args = vec![constant(Value::Int(days)), value, constant(Value::Date(origin))];
        self.limited(Expr::Call(Function::DateBin, args))
    }

    /// The bits that GROUPING(…) reads off the number of a grouping set, as arithmetic.
    pub(super) fn grouping_bits(&self, binary: &df::BinaryExpr) -> Result<Option<Expr>, Refusal> {
        let number = |expr: &df::Expr| match expr {
            df::Expr::Literal(value, _) => match literal(value) {
                Ok(Literal::Value(Value::Int(n))) if (0..1 << 32).contains(&n) => Some(n),
                _ => None,
            },
            _ => None,
        };
        let whole = |n: i64| Expr::Literal(Literal::Value(Value::Int(n)));
        let Some(right) = number(&binary.right) else {
            return Ok(match binary.op {
                Operator::BitwiseOr if of_grouping_id(&binary.left) && of_grouping_id(&binary.right) => {
                    Some(pair(Binary::Add, self.lower(&binary.left)?, self.lower(&binary.right)?))
                }
                _ => None,
            });
        };
        if !of_grouping_id(&binary.left) {
            return Ok(None);
        }
        let left = || self.lower(&binary.left);
        Ok(match binary.op {
            Operator::BitwiseShiftLeft => Some(pair(Binary::Multiply, left()?, whole(1 << right.min(32)))),
            Operator::BitwiseShiftRight => Some(pair(Binary::Divide, left()?, whole(1 << right.min(32)))),
            Operator::BitwiseAnd if (right + 1) & right == 0 => {
                Some(pair(Binary::Modulo, left()?, whole(right + 1)))
            }
            Operator::BitwiseAnd if right & (right - 1) == 0 => {
                let bit = pair(Binary::Modulo, pair(Binary::Divide, left()?, whole(right)), whole(2));
                Some(pair(Binary::Multiply, bit, whole(right)))
            }
            _ => None,
        })
    }
}

/// Whether an expression reads the number of the grouping set and nothing else.
fn of_grouping_id(expr: &df::Expr) -> bool {
    match expr {
        df::Expr::Column(column) => column.name == plan::Aggregate::INTERNAL_GROUPING_ID,
        df::Expr::Cast(cast) => of_grouping_id(&cast.expr),
        df::Expr::BinaryExpr(binary) => {
            of_grouping_id(&binary.left)
                && (of_grouping_id(&binary.right) || matches!(*binary.right, df::Expr::Literal(..)))
        }
        _ => false,
    }
}
