//! [`Sheet`]: expressions over the rows of a table. What reads keys only is DataFusion's to compute; the rest
//! is computed here, with intervals.

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use disclosure_rules::Value;
use disclosure_rules::measure::Guarantee;
use memoranda::Kind;

use super::number::{self, binary, boolean, compare, interval, is_null, map, noisy, truth, unary};
use super::shape::{ColumnShape, Given, Shape};
use super::table::Input;
use super::{Datum, NULL};
use crate::emit::scalar;
use crate::finite;
use crate::tree::{Binary, Expr, Field, Literal, Unary};

/// Rows and scalar subqueries, as columns.
pub(super) struct Sheet<'a> {
    given: &'a Given<'a>,
    scalars: &'a [Datum],
    shape: &'a Shape,
    rows: &'a [Vec<Datum>],
}

/// Which truth values a condition may have within the intervals of what it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Possible {
    yes: bool,
    no: bool,
    null: bool,
}

impl Possible {
    const NULL: Possible = Possible { yes: false, no: false, null: true };
    /// Of a hidden cell.
    const ANY: Possible = Possible { yes: true, no: true, null: true };

    fn only(truth: Option<bool>) -> Possible {
        Possible { yes: truth == Some(true), no: truth == Some(false), null: truth.is_none() }
    }

    fn fails(self) -> bool {
        self.no || self.null
    }

    fn not(self) -> Possible {
        Possible { yes: self.no, no: self.yes, null: self.null }
    }

    fn and(self, other: Possible) -> Possible {
        Possible {
            yes: self.yes && other.yes,
            no: self.no || other.no,
            null: (self.null && (other.null || other.yes)) || (other.null && self.yes),
        }
    }

    fn or(self, other: Possible) -> Possible {
        self.not().and(other.not()).not()
    }
}

/// Whether a row counts: as released, surely, possibly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Presence {
    pub(super) present: bool,
    pub(super) surely: bool,
    pub(super) possibly: bool,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(shape: &'a Shape, rows: &'a [Vec<Datum>], input: &Input<'a>) -> Sheet<'a> {
        Sheet { given: input.given, scalars: input.scalars, shape, rows }
    }

    /// The value for every row, with an interval that holds with 95% in each row.
    pub(super) fn evaluate(&self, expr: &Expr) -> Vec<Datum> {
        self.evaluate_jointly(expr, 1)
    }

    /// The value for every row, with intervals such that those of any `rows` rows hold together with 95%. An
    /// interval that k noisy numbers enter is made of theirs at confidence 1 - 0.05/k (Bonferroni).
    pub(super) fn evaluate_jointly(&self, expr: &Expr, rows: usize) -> Vec<Datum> {
        let entering = self.describe(expr).quantities.len();
        self.noisy(expr, wider(entering.saturating_mul(rows.max(1)), self.given.guarantee()))
    }

    /// Whether a condition holds in every row, with the same confidence.
    pub(super) fn conditions(&self, condition: &Expr, rows: usize) -> Vec<Presence> {
        let entering = self.describe(condition).quantities.len();
        let wider = wider(entering.saturating_mul(rows.max(1)), self.given.guarantee());
        let possible = self.possible(condition, wider).into_iter();
        let verdicts = self.noisy(condition, wider).into_iter().zip(possible);
        verdicts
            .map(|(verdict, possible)| {
                let present = truth(&verdict) == Some(true);
                Presence { present, surely: present && !possible.fails(), possibly: present || possible.yes }
            })
            .collect()
    }

    /// Whether a value is there in every row, with the same confidence. `COUNT(*) FILTER (WHERE n > 100)`
    /// counts the values of a CASE: there, noise decides. A hidden cell is not counted, and may be there.
    pub(super) fn presence(&self, expr: &Expr, rows: usize) -> Vec<Presence> {
        let entering = self.describe(expr).quantities.len();
        let wider = wider(entering.saturating_mul(rows.max(1)), self.given.guarantee());
        let of = |datum: &Datum| {
            let shown = !is_null(datum) && !matches!(datum, Datum::Hidden(_));
            Presence { present: shown, surely: shown, possibly: !is_null(datum) }
        };
        let values = self.noisy(expr, wider);
        let Expr::Case(branches, otherwise) = expr else { return values.iter().map(of).collect() };
        let possible: Vec<_> = branches.iter().map(|(when, _)| self.possible(when, wider)).collect();
        let results: Vec<Vec<Datum>> = branches
            .iter()
            .map(|(_, then)| then)
            .chain(otherwise.as_deref())
            .map(|then| self.noisy(then, wider))
            .collect();
        let row = |(row, value): (usize, &Datum)| {
            let reached = reachable(&possible, row)
                .map(|branch| results.get(branch).map_or(of(&NULL), |result| of(&result[row])));
            let both = |a: Presence, b: Presence| Presence {
                present: a.present,
                surely: a.surely && b.surely,
                possibly: a.possibly || b.possibly,
            };
            reached.fold(of(value), both)
        };
        values.iter().enumerate().map(row).collect()
    }

    /// What an expression carries.
    pub(super) fn describe(&self, expr: &Expr) -> ColumnShape {
        self.given.describe(expr, self.shape)
    }

    pub(super) fn is_noisy(&self, expr: &Expr) -> bool {
        self.given.is_noisy(expr, self.shape)
    }

    /// A constant of every row, or a column of the rows.
    fn cell(&self, row: usize, index: usize) -> &Datum {
        let width = self.shape.columns.len();
        let found = if index < width { self.rows[row].get(index) } else { self.scalars.get(index - width) };
        found.unwrap_or(&NULL)
    }

    fn column(&self, index: usize) -> Vec<Datum> {
        (0..self.rows.len()).map(|row| self.cell(row, index).clone()).collect()
    }

    fn kind(&self, index: usize) -> Kind {
        let width = self.shape.columns.len();
        let columns =
            if index < width { self.shape.columns.get(index) } else { self.given.scalars.get(index - width) };
        columns.map_or(Kind::Text, |column| column.kind)
    }

    /// The value for every row, of keys alone.
    fn exact(&self, expr: &Expr) -> Vec<Datum> {
        let width = self.shape.columns.len();
        let expr = &scalars_as_columns(expr, width);
        match expr {
            Expr::Column(index, _) => return self.column(*index),
            Expr::Literal(literal) => return vec![constant(literal); self.rows.len()],
            _ => {}
        }
        let used = expr.columns();
        let place = |index: usize| used.iter().position(|&u| u == index).unwrap_or(0);
        let column = |&index: &usize| {
            let kind = self.kind(index);
            let scalar = |row: usize| match self.cell(row, index) {
                Datum::Key(value) => scalar(value, kind),
                Datum::Plain(value) if kind == Kind::Integer => Ok(ScalarValue::Int64(Some(*value as i64))),
                Datum::Plain(value) => Ok(ScalarValue::Float64(Some(*value))),
                Datum::Noisy { .. } | Datum::Hidden(_) => scalar(&Value::Null, kind),
            };
            (0..self.rows.len()).map(scalar).collect::<Result<Vec<_>, _>>()
        };
        let fields: Vec<Field> = used.iter().map(|&index| bare(self.kind(index))).collect();
        let columns = used.iter().map(column).collect::<Result<Vec<_>, _>>();
        let array = columns
            .and_then(|columns| finite::evaluate(&expr.renumber(&place), &fields, &columns, self.rows.len()));
        array.ok().and_then(|array| finite::data(&array)).unwrap_or_else(|| vec![NULL; self.rows.len()])
    }

    /// The value for every row, with intervals; half-widths of noisy numbers are taken `wider` times.
    fn noisy(&self, expr: &Expr, wider: f64) -> Vec<Datum> {
        if !self.is_noisy(expr) {
            return self.exact(expr);
        }
        let of = |expr: &Expr| self.noisy(expr, wider);
        match expr {
            Expr::Column(index, _) => {
                self.column(*index).into_iter().map(|datum| widened(datum, wider)).collect()
            }
            Expr::Noisy(scalar, _) => {
                let datum = self.scalars.get(*scalar).cloned().unwrap_or(NULL);
                vec![widened(datum, wider); self.rows.len()]
            }
            Expr::Unary(op, operand) => of(operand).into_iter().map(|datum| unary(*op, datum)).collect(),
            Expr::Binary(op, left, right) => {
                let whole = expr.kind() == Some(Kind::Integer);
                let pairs = of(left).into_iter().zip(of(right));
                pairs.map(|(a, b)| binary(*op, a, b, whole)).collect()
            }
            Expr::Case(branches, otherwise) => self.case(branches, otherwise.as_deref(), wider),
            Expr::Cast(operand, Kind::Integer) => {
                of(operand).into_iter().map(|datum| map(datum, f64::trunc)).collect()
            }
            Expr::Cast(operand, _) => of(operand),
            Expr::In(operand, list) => of(operand).into_iter().map(|value| is_among(&value, list)).collect(),
            Expr::Call(function, args) => {
                let args: Vec<Vec<Datum>> = args.iter().map(of).collect();
                (0..self.rows.len())
                    .map(|row| number::call(*function, args.iter().map(|arg| arg[row].clone()).collect()))
                    .collect()
            }
            // Of keys alone: computed above. Of measures: refused by `check`.
            Expr::Literal(_) | Expr::Like { .. } => vec![NULL; self.rows.len()],
        }
    }

    /// The branch that the noisy values choose. The interval spans all branches that they could choose.
    fn case(&self, branches: &[(Expr, Expr)], otherwise: Option<&Expr>, wider: f64) -> Vec<Datum> {
        let conditions: Vec<_> = branches.iter().map(|(when, _)| self.noisy(when, wider)).collect();
        let possible: Vec<_> = branches.iter().map(|(when, _)| self.possible(when, wider)).collect();
        let values: Vec<Vec<Datum>> = branches
            .iter()
            .map(|(_, then)| then)
            .chain(otherwise)
            .map(|then| self.noisy(then, wider))
            .collect();
        let by_noise = branches.iter().any(|(when, _)| self.is_noisy(when));
        let of_row = |row: usize| {
            let chosen = conditions.iter().position(|when| truth(&when[row]) == Some(true));
            let chosen = chosen.unwrap_or(branches.len());
            let Some(result) = values.get(chosen).map(|value| value[row].clone()) else { return NULL };
            let (true, Some((value, low, high))) = (by_noise, interval(&result)) else { return result };
            if truth(&result).is_some() {
                return result;
            }
            let (low, high) = reachable(&possible, row)
                .filter_map(|branch| interval(&values.get(branch)?[row]))
                .fold((low, high), |(low, high), (_, l, h)| (low.min(l), high.max(h)));
            noisy((value, low, high))
        };
        (0..self.rows.len()).map(of_row).collect()
    }

    /// The truth values that a condition may have.
    fn possible(&self, expr: &Expr, wider: f64) -> Vec<Possible> {
        if !self.is_noisy(expr) {
            return self.exact(expr).iter().map(|verdict| Possible::only(truth(verdict))).collect();
        }
        let of = |expr: &Expr| self.possible(expr, wider).into_iter();
        match expr {
            Expr::Unary(Unary::Not, operand) => of(operand).map(Possible::not).collect(),
            Expr::Unary(Unary::IsTrue, operand) => {
                of(operand).map(|p| Possible { yes: p.yes, no: p.fails(), null: false }).collect()
            }
            Expr::Unary(Unary::IsFalse, operand) => {
                of(operand).map(|p| Possible { yes: p.no, no: p.yes || p.null, null: false }).collect()
            }
            Expr::Binary(Binary::And, left, right) => {
                of(left).zip(of(right)).map(|(a, b)| a.and(b)).collect()
            }
            Expr::Binary(Binary::Or, left, right) => of(left).zip(of(right)).map(|(a, b)| a.or(b)).collect(),
            Expr::Binary(op, left, right) => {
                let pairs = self.noisy(left, wider).into_iter().zip(self.noisy(right, wider));
                pairs.map(|(a, b)| comparison(*op, &a, &b)).collect()
            }
            Expr::In(operand, list) => {
                let equal = |value: &Datum, literal| comparison(Binary::Equal, value, &constant(literal));
                let values = self.noisy(operand, wider).into_iter();
                values
                    .map(|value| {
                        let any = list.iter().map(|literal| equal(&value, literal)).reduce(Possible::or);
                        any.unwrap_or(Possible::NULL)
                    })
                    .collect()
            }
            // What a condition was made of is no longer known.
            _ => {
                let unknown = |verdict: Datum| match verdict {
                    Datum::Key(Value::Null) => Possible::NULL,
                    _ => Possible::ANY,
                };
                self.noisy(expr, wider).into_iter().map(unknown).collect()
            }
        }
    }
}

/// The branches of a CASE that its conditions may reach; one past them is ELSE.
fn reachable(possible: &[Vec<Possible>], row: usize) -> impl Iterator<Item = usize> {
    let passed_by = move |branch: &usize| possible[..*branch].iter().all(|when| when[row].fails());
    let taken = move |branch: &usize| possible.get(*branch).is_none_or(|when| when[row].yes);
    (0..=possible.len()).filter(move |branch| passed_by(branch) && taken(branch))
}

fn comparison(op: Binary, a: &Datum, b: &Datum) -> Possible {
    if matches!(a, Datum::Hidden(_)) || matches!(b, Datum::Hidden(_)) {
        return Possible::ANY;
    }
    let as_released = Possible::only(truth(&binary(op, a.clone(), b.clone(), false)));
    let (Some((_, a_low, a_high)), Some((_, b_low, b_high))) = (interval(a), interval(b)) else {
        return as_released;
    };
    let less = Possible { yes: a_low < b_high, no: a_high >= b_low, null: false };
    let greater = Possible { yes: a_high > b_low, no: a_low <= b_high, null: false };
    let equal = Possible {
        yes: a_low <= b_high && b_low <= a_high,
        no: !(a_low >= b_high && b_low >= a_high),
        null: false,
    };
    match op {
        Binary::Less => less,
        Binary::GreaterEqual => less.not(),
        Binary::Greater => greater,
        Binary::LessEqual => greater.not(),
        Binary::Equal | Binary::IsNotDistinct => equal,
        Binary::NotEqual | Binary::IsDistinct => equal.not(),
        _ => as_released,
    }
}

fn is_among(value: &Datum, list: &[Literal]) -> Datum {
    let equal = |literal: &Literal| compare(value, &constant(literal)).map(|order| order.is_eq());
    let either = |all: Option<bool>, one: Option<bool>| match (all, one) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    };
    boolean(list.iter().map(equal).reduce(either).flatten())
}

fn constant(literal: &Literal) -> Datum {
    match literal {
        Literal::Value(value) => Datum::Key(value.clone()),
        Literal::Float(f) => Datum::Plain(*f),
        Literal::DateTime(_) => NULL,
    }
}

fn widened(datum: Datum, wider: f64) -> Datum {
    match datum {
        Datum::Noisy { value, low, high } => {
            noisy((value, value - (value - low) * wider, value + (high - value) * wider))
        }
        other => other,
    }
}

/// How much wider a 95% interval is at confidence 1 - 0.05/k.
fn wider(k: usize, guarantee: Guarantee) -> f64 {
    if k <= 1 {
        return 1.0;
    }
    let alpha = 0.05 / k as f64;
    match guarantee {
        Guarantee::Concentrated => z(alpha) / z(0.05),
        // A Laplace distribution's tail is exp(-t).
        Guarantee::Pure => alpha.ln() / 0.05f64.ln(),
    }
}

/// Two-sided quantile of the standard normal distribution.
fn z(alpha: f64) -> f64 {
    // A scale at which the discrete tail is the continuous one to six digits.
    disclosure_rules::tail::half_width(1e7, 1.0 - alpha) as f64 / 1e7
}

/// The same with scalar subqueries as columns after the first `width`.
fn scalars_as_columns(expr: &Expr, width: usize) -> Expr {
    let again = |expr: &Expr| Box::new(scalars_as_columns(expr, width));
    match expr {
        Expr::Noisy(scalar, kind) => Expr::Column(width + scalar, *kind),
        Expr::Column(..) | Expr::Literal(_) => expr.clone(),
        Expr::Unary(op, operand) => Expr::Unary(*op, again(operand)),
        Expr::Binary(op, left, right) => Expr::Binary(*op, again(left), again(right)),
        Expr::Case(branches, otherwise) => Expr::Case(
            branches.iter().map(|(when, then)| (*again(when), *again(then))).collect(),
            otherwise.as_deref().map(again),
        ),
        Expr::Cast(operand, kind) => Expr::Cast(again(operand), *kind),
        Expr::In(operand, list) => Expr::In(again(operand), list.clone()),
        Expr::Like { text, pattern, ignore_case } => {
            Expr::Like { text: again(text), pattern: pattern.clone(), ignore_case: *ignore_case }
        }
        Expr::Call(function, args) => Expr::Call(*function, args.iter().map(|arg| *again(arg)).collect()),
    }
}

fn bare(kind: Kind) -> Field {
    Field {
        table: String::new(),
        column: String::new(),
        scan: 0,
        origins: BTreeSet::new(),
        kind,
        nullable: true,
        unit: false,
        range: None,
        values: None,
        references: None,
        step: None,
    }
}
