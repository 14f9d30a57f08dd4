//! Components and measures of a block's aggregates. What two of them need is measured once.

use disclosure_rules::Value;
use disclosure_rules::measure::{
    Aggregate, Association, Component, Lattice, Measure, Position, Quantity, Spread,
};
use memoranda::{Contract, Kind};

use crate::function::Function;
use crate::lower::Block;
use crate::lower::call::{Call, What};
use crate::plan::MeasureColumn;
use crate::range;
use crate::refusal::{Refusal, Rule};
use crate::tree::{Binary, Expr, Field, Literal, Unary};

/// What is added up, and what is read off it.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) arguments: Vec<Expr>,
    pub(crate) components: Vec<Component>,
    pub(crate) measures: Vec<MeasureColumn>,
    /// The component that counts all pupils of a group, where keys are unknown or there is no aggregate.
    pub(crate) pupils: Option<usize>,
}

/// `one_row`: no pupil has two rows in one group. `unbounded`: sums must not be negative, so that a pupil's share can be
/// cut off.
pub(crate) fn measured(
    block: &Block,
    contract: &Contract,
    one_row: bool,
    unknown_keys: bool,
    unbounded: bool,
) -> Result<Measured, Refusal> {
    let fields = block.source.fields_under(contract);
    let mut found = Measured::default();
    if unknown_keys || block.calls.is_empty() {
        found.pupils = Some(found.component(Quantity::Pupils, None, None));
    }
    let means: Vec<&Expr> = block
        .calls
        .iter()
        .filter(|call| call.what == What::Mean)
        .filter_map(|call| call.argument.as_ref())
        .collect();
    for call in &block.calls {
        let reading = Reading { fields: &fields, one_row, unbounded, means: &means };
        found.call(call, &reading)?;
    }
    Ok(found)
}

struct Reading<'a> {
    fields: &'a [Field],
    one_row: bool,
    unbounded: bool,
    means: &'a [&'a Expr],
}

impl Measured {
    fn call(&mut self, call: &Call, reading: &Reading<'_>) -> Result<(), Refusal> {
        let argument = call.argument.as_ref();
        let number = match call.what {
            What::Association(_) => None,
            _ => argument.map(|argument| self.position(argument)),
        };
        let nullable = argument.is_some_and(|argument| range::nullable(argument, reading.fields));
        let present = number.filter(|_| nullable);
        // With one row per group, rows are pupils.
        let rows = if reading.one_row { Quantity::Pupils } else { Quantity::Rows };
        let mut pupils = match call.what {
            What::Association(_) => 0,
            _ => self.component(Quantity::Pupils, present, None),
        };
        let range = || argument.map_or(Err(no_range()), |argument| range_of(argument, reading.fields));
        let aggregate = match call.what {
            What::Pupils => Aggregate::Count(pupils),
            What::Rows => Aggregate::Count(self.component(rows, present, None)),
            What::Distinct => Aggregate::Count(self.component(Quantity::Distinct, number, None)),
            What::Mean => {
                let lattice = range()?.lattice(true, reading.unbounded);
                let count = self.component(rows, present, None);
                Aggregate::Mean { sum: self.component(Quantity::Sum(lattice), number, None), count }
            }
            What::Sum => {
                let centred = argument.is_some_and(|argument| reading.means.contains(&argument));
                let lattice = range()?.lattice(centred, reading.unbounded);
                let count = (lattice.origin != 0.0).then(|| self.component(rows, present, None));
                Aggregate::Sum { sum: self.component(Quantity::Sum(lattice), number, None), count }
            }
            What::Spread(form) => {
                let lattice = range()?.product_lattice();
                let count = self.component(rows, present, None);
                let sum = self.component(Quantity::Sum(lattice), number, None);
                let squares = self.component(Quantity::square(lattice), number, number);
                Aggregate::Spread { form, count, sum, squares }
            }
            What::Association(form) => {
                let second = call.second.as_ref().ok_or_else(no_range)?;
                let first = argument.ok_or_else(no_range)?;
                let x_lattice = range_of(second, reading.fields)?.product_lattice();
                let y_lattice = range()?.product_lattice();
                // Rows count where both have a value.
                let y = self.position(&where_present(second, first));
                let x = self.position(&where_present(first, second));
                pupils = self.component(Quantity::Pupils, Some(y), None);
                let count = self.component(rows, Some(y), None);
                Aggregate::Association {
                    form,
                    count,
                    x: self.component(Quantity::Sum(x_lattice), Some(x), None),
                    y: self.component(Quantity::Sum(y_lattice), Some(y), None),
                    xx: self.component(Quantity::square(x_lattice), Some(x), Some(x)),
                    yy: self.component(Quantity::square(y_lattice), Some(y), Some(y)),
                    xy: self.component(Quantity::product(x_lattice, y_lattice), Some(x), Some(y)),
                }
            }
            What::Quantile(at) => {
                let lattice = range()?.lattice(false, false);
                let distribution = self.component(Quantity::Distribution(lattice), number, None);
                Aggregate::Quantile { distribution, count: pupils, at }
            }
        };
        let integer = match call.what {
            What::Rows | What::Pupils | What::Distinct => true,
            What::Mean | What::Spread(_) | What::Association(_) => false,
            What::Sum | What::Quantile(_) => argument.and_then(Expr::kind) == Some(Kind::Integer),
        };
        self.measures
            .push(MeasureColumn { measure: Measure { aggregate, pupils, integer }, name: name(call.what) });
        Ok(())
    }

    fn component(&mut self, quantity: Quantity, argument: Option<usize>, with: Option<usize>) -> usize {
        let wanted = Component { quantity, argument, with };
        self.components.iter().position(|c| *c == wanted).unwrap_or_else(|| {
            self.components.push(wanted);
            self.components.len() - 1
        })
    }

    fn position(&mut self, argument: &Expr) -> usize {
        self.arguments.iter().position(|a| a == argument).unwrap_or_else(|| {
            self.arguments.push(argument.clone());
            self.arguments.len() - 1
        })
    }
}

fn name(what: What) -> &'static str {
    match what {
        What::Rows => "count",
        What::Pupils => "count distinct pupils",
        What::Distinct => "count distinct",
        What::Sum => "sum",
        What::Mean => "avg",
        What::Spread(Spread::VarPop) => "var_pop",
        What::Spread(Spread::VarSamp) => "var_samp",
        What::Spread(Spread::StddevPop) => "stddev_pop",
        What::Spread(Spread::StddevSamp) => "stddev_samp",
        What::Association(Association::CovarPop) => "covar_pop",
        What::Association(Association::CovarSamp) => "covar_samp",
        What::Association(Association::Corr) => "corr",
        What::Association(Association::Slope) => "regr_slope",
        What::Association(Association::Intercept) => "regr_intercept",
        What::Association(Association::R2) => "regr_r2",
        What::Quantile(Position::Min) => "min, as a low quantile",
        What::Quantile(Position::Max) => "max, as a high quantile",
        What::Quantile(Position::At(_)) => "quantile",
    }
}

/// `value` where `other` is a finite number, else NULL: of NaN and infinities, the difference is none.
fn where_present(other: &Expr, value: &Expr) -> Expr {
    let difference = Expr::Binary(Binary::Subtract, Box::new(other.clone()), Box::new(other.clone()));
    let zero = Expr::Literal(Literal::Value(Value::Int(0)));
    let finite = Expr::Binary(Binary::Equal, Box::new(difference), Box::new(zero));
    Expr::Case(vec![(finite, value.clone())], None)
}

pub(crate) fn no_range() -> Refusal {
    Refusal::new(Rule::Range, "the number has no finite range, so that one pupil's effect on it has no bound")
        .rewrite("give it one: GREATEST(LEAST(x, 100), 0)")
}

/// The values that an argument can have, and how they are put on a lattice.
struct Known {
    low: f64,
    high: f64,
    step: f64,
}

/// The range of an argument, with the column's own step, 1 for whole numbers, else about a millionth of the range.
fn range_of(argument: &Expr, fields: &[Field]) -> Result<Known, Refusal> {
    let (low, high) = range::of(argument, fields);
    let fits = low.is_finite() && high.is_finite() && low.abs().max(high.abs()) <= 1e15;
    if !fits {
        return Err(no_range());
    }
    let (low, high) = (low.min(high), high.max(low));
    let derived =
        || if high > low { 2f64.powi(((high - low) / 1_048_576.0).log2().floor() as i32) } else { 1.0 };
    // A column's step is the contract's word. A constant of the question must not make the lattice endless.
    let (whole, column) = (argument.kind() != Some(Kind::Number), matches!(argument, Expr::Column(..)));
    let modest = |step: f64| column || (high - low) / step <= 1_048_576.0;
    let fits = |step: &f64| whole || (is_multiple(low, *step) && modest(*step));
    let step = step(argument, fields).filter(|step| step.is_finite()).filter(fits).unwrap_or_else(derived);
    Ok(Known { low, high, step })
}

/// What all values of an expression are multiples of, where that is known; infinite of zero and of NULL.
fn step(expr: &Expr, fields: &[Field]) -> Option<f64> {
    let of = |expr: &Expr| step(expr, fields);
    let common = |mut exprs: Vec<&Expr>| {
        exprs.retain(|expr| expr.kind().is_some());
        exprs.into_iter().try_fold(f64::INFINITY, |all, expr| {
            let own = of(expr)?;
            let (fine, coarse) = (all.min(own), all.max(own));
            (coarse.is_infinite() || is_multiple(coarse, fine)).then_some(fine)
        })
    };
    match expr {
        // Whole numbers, and truth values as 0 and 1.
        _ if expr.kind() != Some(Kind::Number) => Some(1.0),
        Expr::Column(index, _) => fields[*index].step,
        Expr::Literal(Literal::Float(f)) => Some(if *f == 0.0 { f64::INFINITY } else { f.abs() }),
        Expr::Unary(Unary::Negate, operand) => of(operand),
        Expr::Binary(Binary::Add | Binary::Subtract, left, right) => common(vec![left, right]),
        Expr::Case(branches, otherwise) => {
            common(branches.iter().map(|(_, value)| value).chain(otherwise.as_deref()).collect())
        }
        Expr::Call(Function::Coalesce | Function::Greatest | Function::Least, args) => {
            common(args.iter().collect())
        }
        Expr::Call(Function::Abs | Function::NullIf, args) => of(args.first()?),
        Expr::Call(Function::Ceil | Function::Floor | Function::Sign | Function::Trunc, _) => Some(1.0),
        Expr::Call(Function::Round, args) if args.len() == 1 => Some(1.0),
        Expr::Cast(operand, Kind::Number) if operand.kind() != Some(Kind::Text) => of(operand),
        _ => None,
    }
}

fn is_multiple(of: f64, step: f64) -> bool {
    ((of / step) - (of / step).round()).abs() < 1e-6
}

impl Known {
    /// For sums. `centred` halves the sensitivity where the number of values is measured too; `from_zero` makes every
    /// index at least 0.
    fn lattice(&self, centred: bool, from_zero: bool) -> Lattice {
        match (from_zero, centred) {
            (true, _) if self.low < 0.0 => {
                let from_zero = Lattice::for_sum(0.0, self.high - self.low, self.step);
                Lattice { low: self.low, high: self.high, origin: self.low, ..from_zero }
            }
            (false, true) => Lattice::for_mean(self.low, self.high, self.step),
            _ => Lattice::for_sum(self.low, self.high, self.step),
        }
    }

    /// For sums of squares and products.
    fn product_lattice(&self) -> Lattice {
        Lattice::for_product(self.low, self.high, self.step)
    }
}
