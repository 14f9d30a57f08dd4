//! [`Answer`]: post-processing of a release, as the SQL says: SELECT expressions, HAVING, ORDER BY, LIMIT. Sees
//! noisy values and public keys only, so that nothing here costs privacy.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use disclosure_rules::release::{Cell, Hidden};
use disclosure_rules::{Release, Value};
use memoranda::Kind;

use crate::emit::scalar;
use crate::finite;
use crate::function::Function;
use crate::plan::{OrderKey, PrivatePlan, Step};
use crate::refusal::{Refusal, Rule};
use crate::tree::{Binary, Expr, Field, Literal, Unary};

/// The table that a researcher gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, one cell per column.
    pub rows: Vec<Vec<Datum>>,
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Name or alias.
    pub name: String,
    /// Type.
    pub kind: Kind,
    /// The measures it is computed from, by number; empty for a key.
    pub measures: Vec<usize>,
}

/// One cell of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    /// A key, or something computed from keys.
    Key(Value),
    /// A number without noise, computed from keys.
    Plain(f64),
    /// A noisy number with its 95% interval; infinite ends where noise could make a divisor zero.
    Noisy {
        /// The value.
        value: f64,
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// A measure that is not shown.
    Hidden(Hidden),
}

const NULL: Datum = Datum::Key(Value::Null);

impl PrivatePlan {
    /// The columns of the answer, known before anything is asked.
    pub fn answer_columns(&self) -> Vec<Column> {
        let mut table = Table::new(self.keys().len(), self.measures().len());
        let mut names: Vec<String> = Vec::new();
        for step in self.steps() {
            if let Step::Columns(columns) = step {
                names = columns.iter().map(|(name, _)| name.clone()).collect();
                table.sources = columns.iter().map(|(_, expr)| table.measures_of(expr)).collect();
            }
        }
        let kinds = self.kinds().iter().copied();
        let columns = names.into_iter().zip(kinds).zip(table.sources);
        columns
            .map(|((name, kind), sources)| Column { name, kind, measures: sources.into_iter().collect() })
            .collect()
    }

    /// Applies the SQL's own post-processing to a release of this plan.
    pub fn answer(&self, release: &Release) -> Answer {
        let mut table = Table::new(self.keys().len(), self.measures().len());
        table.kinds = self.keys().iter().map(|key| key.kind().unwrap_or(Kind::Text)).collect();
        table.kinds.extend(
            self.measures()
                .iter()
                .map(|column| if column.measure.integer { Kind::Integer } else { Kind::Number }),
        );
        table.rows = release
            .groups
            .iter()
            .map(|group| {
                let keys = group.keys.iter().cloned().map(Datum::Key);
                keys.chain(group.cells.iter().map(|cell| match *cell {
                    Cell::Shown { value, low, high } => Datum::Noisy { value, low, high },
                    Cell::Hidden { hidden } => Datum::Hidden(hidden),
                }))
                .collect()
            })
            .collect();
        self.steps().iter().for_each(|step| table.apply(step));
        Answer { columns: self.answer_columns(), rows: table.rows }
    }
}

/// Refuses steps that could not be computed on noisy values.
pub(crate) fn check(steps: &[Step], keys: usize) -> Result<(), Refusal> {
    let mut noisy: Vec<bool> = Vec::new();
    let is_noisy = |noisy: &[bool], expr: &Expr| {
        expr.columns().iter().any(|&index| noisy.get(index).copied().unwrap_or(index >= keys))
    };
    for step in steps {
        let exprs: Vec<&Expr> = match step {
            Step::Keep(expr) => vec![expr],
            Step::Columns(columns) => columns.iter().map(|(_, expr)| expr).collect(),
            Step::Order(order) => order.iter().map(|key| &key.by).collect(),
            Step::Limit { .. } => vec![],
        };
        exprs.into_iter().try_for_each(|expr| computable(expr, &|expr| is_noisy(&noisy, expr)))?;
        if let Step::Columns(columns) = step {
            if columns.iter().any(|(_, expr)| expr.kind() == Some(Kind::DateTime)) {
                return Err(Refusal::new(Rule::Expression, "a time of day in the answer is not offered")
                    .rewrite("CAST(x AS DATE)"));
            }
            noisy = columns.iter().map(|(_, expr)| is_noisy(&noisy, expr)).collect();
        }
    }
    Ok(())
}

fn computable(expr: &Expr, is_noisy: &dyn Fn(&Expr) -> bool) -> Result<(), Refusal> {
    if !is_noisy(expr) {
        return Ok(());
    }
    let offered = match expr {
        Expr::Binary(op, ..) => *op != Binary::Concat,
        Expr::Cast(_, to) => matches!(to, Kind::Integer | Kind::Number),
        Expr::Like { .. } => false,
        Expr::Call(function, _) => matches!(
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
                | Function::Round
                | Function::Sqrt
        ),
        _ => true,
    };
    if !offered {
        return Err(Refusal::new(
            Rule::Expression,
            "this function or conversion of an aggregate is not offered",
        )
        .rewrite("ask for the aggregate itself and compute with the answer"));
    }
    expr.children().into_iter().try_for_each(|child| computable(child, is_noisy))
}

struct Table {
    /// Per column, the measures it is computed from.
    sources: Vec<BTreeSet<usize>>,
    kinds: Vec<Kind>,
    rows: Vec<Vec<Datum>>,
}

impl Table {
    fn new(keys: usize, measures: usize) -> Table {
        let sources =
            (0..keys).map(|_| BTreeSet::new()).chain((0..measures).map(|i| BTreeSet::from([i]))).collect();
        Table { sources, kinds: Vec::new(), rows: Vec::new() }
    }

    fn measures_of(&self, expr: &Expr) -> BTreeSet<usize> {
        expr.columns().iter().filter_map(|&index| self.sources.get(index)).flatten().copied().collect()
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Keep(condition) => {
                let verdicts = self.evaluate(condition);
                let mut keep = verdicts.into_iter().map(|verdict| verdict == Datum::Key(Value::Bool(true)));
                self.rows.retain(|_| keep.next().unwrap_or(false));
            }
            Step::Columns(columns) => {
                let computed: Vec<Vec<Datum>> = columns.iter().map(|(_, expr)| self.evaluate(expr)).collect();
                let sources = columns.iter().map(|(_, expr)| self.measures_of(expr)).collect();
                self.kinds = columns.iter().map(|(_, expr)| expr.kind().unwrap_or(Kind::Text)).collect();
                self.sources = sources;
                for (i, row) in self.rows.iter_mut().enumerate() {
                    *row = computed.iter().map(|column| column[i].clone()).collect();
                }
            }
            Step::Order(order) => {
                let by: Vec<Vec<Datum>> = order.iter().map(|key| self.evaluate(&key.by)).collect();
                let mut places: Vec<usize> = (0..self.rows.len()).collect();
                places.sort_by(|&a, &b| {
                    let compared =
                        order.iter().zip(&by).map(|(key, column)| compare_keys(key, &column[a], &column[b]));
                    compared.fold(Ordering::Equal, Ordering::then)
                });
                self.rows = places.into_iter().map(|place| self.rows[place].clone()).collect();
            }
            Step::Limit { skip, fetch } => {
                let rows = std::mem::take(&mut self.rows).into_iter().skip(*skip);
                self.rows = rows.take(fetch.unwrap_or(usize::MAX)).collect();
            }
        }
    }

    /// The expression for every row. What reads keys only is DataFusion's to compute; the rest is computed here,
    /// with intervals. An interval that k measures enter is made of theirs at confidence 1 - 0.05/k (Bonferroni).
    fn evaluate(&self, expr: &Expr) -> Vec<Datum> {
        let measures = self.measures_of(expr).len();
        if measures == 0 {
            return self.evaluate_keys(expr);
        }
        let wider = if measures > 1 { z(0.05 / measures as f64) / z(0.05) } else { 1.0 };
        self.evaluate_noisy(expr, wider)
    }

    /// The value for every row, of keys alone.
    fn evaluate_keys(&self, expr: &Expr) -> Vec<Datum> {
        if let Expr::Column(index, _) = expr {
            return self.rows.iter().map(|row| row[*index].clone()).collect();
        }
        let used = expr.columns();
        let place = |index: usize| used.iter().position(|&u| u == index).unwrap_or(0);
        let column = |&index: &usize| {
            let kind = self.kinds[index];
            let scalar = |row: &Vec<Datum>| match &row[index] {
                Datum::Key(value) => scalar(value, kind),
                Datum::Plain(value) if kind == Kind::Integer => Ok(ScalarValue::Int64(Some(*value as i64))),
                Datum::Plain(value) => Ok(ScalarValue::Float64(Some(*value))),
                Datum::Noisy { .. } | Datum::Hidden(_) => scalar(&Value::Null, kind),
            };
            self.rows.iter().map(scalar).collect::<Result<Vec<_>, _>>()
        };
        let fields: Vec<Field> = used.iter().map(|&index| bare(self.kinds[index])).collect();
        let columns = used.iter().map(column).collect::<Result<Vec<_>, _>>();
        let array = columns
            .and_then(|columns| finite::evaluate(&expr.renumber(&place), &fields, &columns, self.rows.len()));
        array.ok().and_then(|array| finite::data(&array)).unwrap_or_else(|| vec![NULL; self.rows.len()])
    }

    /// The value for every row, with intervals; half-widths of measures are taken `wider` times.
    fn evaluate_noisy(&self, expr: &Expr, wider: f64) -> Vec<Datum> {
        if self.measures_of(expr).is_empty() {
            return self.evaluate_keys(expr);
        }
        let of = |expr: &Expr| self.evaluate_noisy(expr, wider);
        match expr {
            Expr::Column(index, _) => self
                .rows
                .iter()
                .map(|row| match row[*index].clone() {
                    Datum::Noisy { value, low, high } => {
                        noisy((value, value - (value - low) * wider, value + (high - value) * wider))
                    }
                    other => other,
                })
                .collect(),
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
            Expr::In(operand, list) => of(operand)
                .into_iter()
                .map(|value| {
                    let equal =
                        |literal: &Literal| binary(Binary::Equal, value.clone(), constant(literal), false);
                    let either = |all, one| binary(Binary::Or, all, one, false);
                    list.iter().map(equal).reduce(either).unwrap_or(NULL)
                })
                .collect(),
            Expr::Call(function, args) => {
                let args: Vec<Vec<Datum>> = args.iter().map(of).collect();
                (0..self.rows.len())
                    .map(|row| call(*function, args.iter().map(|arg| arg[row].clone()).collect()))
                    .collect()
            }
            // Of keys alone: evaluated above. Of measures: refused by `check`.
            Expr::Literal(_) | Expr::Like { .. } => vec![NULL; self.rows.len()],
        }
    }

    /// The branch that the noisy values choose. Where noise may have chosen, the interval spans all branches.
    fn case(&self, branches: &[(Expr, Expr)], otherwise: Option<&Expr>, wider: f64) -> Vec<Datum> {
        let by_noise = branches.iter().any(|(when, _)| !self.measures_of(when).is_empty());
        let conditions: Vec<Vec<Datum>> =
            branches.iter().map(|(when, _)| self.evaluate_noisy(when, wider)).collect();
        let values: Vec<Vec<Datum>> = branches
            .iter()
            .map(|(_, then)| then)
            .chain(otherwise)
            .map(|then| self.evaluate_noisy(then, wider))
            .collect();
        let of_row = |row: usize| {
            let chosen = conditions.iter().position(|when| truth(&when[row]) == Some(true));
            let chosen = chosen.or(otherwise.map(|_| branches.len()));
            let Some(result) = chosen.map(|branch| values[branch][row].clone()) else { return NULL };
            let (true, Some((value, low, high))) = (by_noise, interval(&result)) else { return result };
            let (low, high) = values
                .iter()
                .filter_map(|value| interval(&value[row]))
                .fold((low, high), |(low, high), (_, l, h)| (low.min(l), high.max(h)));
            noisy((value, low, high))
        };
        (0..self.rows.len()).map(of_row).collect()
    }
}

fn constant(literal: &Literal) -> Datum {
    match literal {
        Literal::Value(value) => Datum::Key(value.clone()),
        Literal::Float(f) => Datum::Plain(*f),
        Literal::DateTime(_) => NULL,
    }
}

fn bare(kind: Kind) -> Field {
    Field {
        table: String::new(),
        column: String::new(),
        kind,
        nullable: true,
        unit: false,
        range: None,
        values: None,
        references: None,
        step: None,
    }
}

/// Two-sided quantile of the standard normal distribution.
fn z(alpha: f64) -> f64 {
    // A scale at which the discrete tail is the continuous one to six digits.
    disclosure_rules::tail::half_width(1e7, 1.0 - alpha) as f64 / 1e7
}

/// NULL stands where SQL puts it. What is hidden stands last either way: a "top five" is of what is shown.
fn compare_keys(key: &OrderKey, a: &Datum, b: &Datum) -> Ordering {
    let place = |datum: &Datum| match datum {
        Datum::Key(Value::Null) if key.nulls_first => 0,
        Datum::Key(_) | Datum::Plain(_) | Datum::Noisy { .. } if *datum != NULL => 1,
        Datum::Hidden(_) => 3,
        _ => 2,
    };
    let in_place = place(a).cmp(&place(b));
    let by_value = compare(a, b).unwrap_or(Ordering::Equal);
    in_place.then(if key.descending { by_value.reverse() } else { by_value })
}

fn compare(a: &Datum, b: &Datum) -> Option<Ordering> {
    match (a, b) {
        (Datum::Key(Value::Text(a)), Datum::Key(Value::Text(b))) => Some(a.cmp(b)),
        (Datum::Key(Value::Date(a)), Datum::Key(Value::Date(b))) => Some(a.cmp(b)),
        (Datum::Key(Value::Bool(a)), Datum::Key(Value::Bool(b))) => Some(a.cmp(b)),
        (Datum::Key(Value::Int(a)), Datum::Key(Value::Int(b))) => Some(a.cmp(b)),
        _ => interval(a)?.0.partial_cmp(&interval(b)?.0),
    }
}

/// Value, low and high of a number.
fn interval(datum: &Datum) -> Option<(f64, f64, f64)> {
    match *datum {
        Datum::Noisy { value, low, high } => Some((value, low, high)),
        Datum::Plain(value) => Some((value, value, value)),
        Datum::Key(Value::Int(i)) => Some((i as f64, i as f64, i as f64)),
        Datum::Key(Value::Bool(b)) => {
            Some((f64::from(u8::from(b)), f64::from(u8::from(b)), f64::from(u8::from(b))))
        }
        _ => None,
    }
}

fn noisy((value, low, high): (f64, f64, f64)) -> Datum {
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

fn truth(datum: &Datum) -> Option<bool> {
    if let Datum::Key(Value::Bool(b)) = datum { Some(*b) } else { None }
}

fn boolean(truth: Option<bool>) -> Datum {
    Datum::Key(truth.map_or(Value::Null, Value::Bool))
}

/// A function that rises with its argument.
fn map(datum: Datum, rising: impl Fn(f64) -> f64) -> Datum {
    match (&datum, interval(&datum)) {
        (Datum::Noisy { .. }, Some((value, low, high))) => noisy((rising(value), rising(low), rising(high))),
        (_, Some((value, ..))) => Datum::Plain(rising(value)),
        (_, None) => datum,
    }
}

fn unary(op: Unary, operand: Datum) -> Datum {
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

fn binary(op: Binary, a: Datum, b: Datum, whole: bool) -> Datum {
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
        Binary::IsNotDistinct => boolean(Some(compare(&a, &b) == Some(Ordering::Equal) || a == b)),
        Binary::IsDistinct => boolean(Some(!(compare(&a, &b) == Some(Ordering::Equal) || a == b))),
        Binary::Concat => NULL,
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Modulo => {
            arithmetic(op, a, b, whole)
        }
    }
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

fn call(function: Function, mut args: Vec<Datum>) -> Datum {
    if function == Function::Coalesce {
        let present = args.iter().position(|arg| !matches!(arg, Datum::Key(Value::Null)));
        return present.map_or(NULL, |i| args.swap_remove(i));
    }
    if let Some(hidden) = args.iter().find(|arg| matches!(arg, Datum::Hidden(_))) {
        return hidden.clone();
    }
    let first = args[0].clone();
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
        Function::Ln | Function::Sqrt => match interval(&first) {
            Some((value, ..)) if value < 0.0 || (value == 0.0 && function == Function::Ln) => NULL,
            _ if function == Function::Ln => map(first, |v| v.max(0.0).ln()),
            _ => map(first, |v| v.max(0.0).sqrt()),
        },
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
            if args.get(1).and_then(|b| compare(&first, b)) == Some(Ordering::Equal) {
                NULL
            } else {
                first
            }
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
