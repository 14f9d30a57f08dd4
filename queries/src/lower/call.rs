//! Aggregates and window functions: of releases, of one pupil's rows, and of noisy results.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::logical_plan as plan;
use datafusion::logical_expr::{self as df, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition};
use disclosure_rules::Value;
use disclosure_rules::measure::{Association, Position, Spread};
use memoranda::Kind;

use crate::lower::expr::{Scope, unsayable};
use crate::lower::{Lowered, Lowering};
use crate::post::{Post, PostCall, PostFunction, PostWindow, PostWindowFunction};
use crate::refusal::{Refusal, Rule};
use crate::tree::{
    Expr, Frame, Literal, OrderKey, PupilCall, PupilFunction, Rel, WindowCall, WindowFunction,
};

/// One aggregate that is released.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) what: What,
    /// Rows count only where it is not NULL; `None` for all rows.
    pub(crate) argument: Option<Expr>,
    /// The independent variable, of two.
    pub(crate) second: Option<Expr>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum What {
    Rows,
    Pupils,
    Sum,
    Mean,
    Distinct,
    Spread(Spread),
    Association(Association),
    Quantile(Position),
}

/// An aggregate as SQL states it.
struct Stated<'a> {
    name: String,
    args: &'a [df::Expr],
    distinct: bool,
    filter: Option<Expr>,
    order: &'a [df::SortExpr],
}

const TRUE_ROW: Expr = Expr::Literal(Literal::Value(Value::Int(1)));

impl<'a> Scope<'a> {
    fn stated<'e>(&self, expr: &'e df::Expr) -> Result<Stated<'e>, Refusal> {
        let mut expr = expr;
        while let df::Expr::Alias(alias) = expr {
            expr = &alias.expr;
        }
        let df::Expr::AggregateFunction(call) = expr else { return Err(unsayable("this aggregate")) };
        let name = call.func.name().to_owned();
        let params = &call.params;
        if params.null_treatment.is_some() {
            return Err(Refusal::new(Rule::Clause, format!("`{name}` with IGNORE NULLS is not offered")));
        }
        let filter = params.filter.as_deref().map(|filter| self.lower(filter)).transpose()?;
        Ok(Stated { name, args: &params.args, distinct: params.distinct, filter, order: &params.order_by })
    }

    /// An aggregate that is released.
    pub(crate) fn call(&self, expr: &df::Expr) -> Result<Call, Refusal> {
        let call = self.stated(expr)?;
        let name = call.name.as_str();
        let only = |value: Expr| match &call.filter {
            Some(filter) => Expr::Case(vec![(filter.clone(), value)], None),
            None => value,
        };
        if let Some(at) = self.position(&call)? {
            let value = self.number(&call, only)?;
            return Ok(Call { what: What::Quantile(at), argument: Some(value), second: None });
        }
        if !call.order.is_empty() {
            return Err(Refusal::new(Rule::Clause, format!("`{name}` with ORDER BY is not offered")));
        }
        if let Some(form) = association(name) {
            let [y, x] = call.args else { return Err(self.arguments(name, "two arguments")) };
            let (y, x) = (self.numeric(name, y)?, self.numeric(name, x)?);
            if call.distinct {
                return Err(self.not_distinct(name));
            }
            return Ok(Call { what: What::Association(form), argument: Some(only(y)), second: Some(x) });
        }
        if let "regr_count" | "regr_avgx" | "regr_avgy" = name {
            let [y, x] = call.args else { return Err(self.arguments(name, "two arguments")) };
            let (y, x) = (self.numeric(name, y)?, self.numeric(name, x)?);
            let (value, other) = if name == "regr_avgx" { (x, y) } else { (y, x) };
            let present = Expr::Unary(crate::tree::Unary::IsNull, Box::new(other));
            let value = Expr::Case(
                vec![(present, Expr::Literal(Literal::Value(Value::Null)))],
                Some(Box::new(value)),
            );
            let what = if name == "regr_count" { What::Rows } else { What::Mean };
            return Ok(Call { what, argument: Some(only(value)), second: None });
        }
        let [argument] = call.args else { return Err(self.arguments(name, "one argument")) };
        let unit = self.unit_column(argument);
        match (name, call.distinct) {
            ("count", true) if unit.is_some() => {
                Ok(Call { what: What::Pupils, argument: self.counted_unit(unit, &call), second: None })
            }
            ("count", true) => {
                let argument = only(self.lower(argument)?);
                Ok(Call { what: What::Distinct, argument: Some(argument), second: None })
            }
            (_, true) => Err(self.not_distinct(name)),
            ("count", false) if unit.is_some() => {
                Ok(Call { what: What::Rows, argument: self.counted_unit(unit, &call), second: None })
            }
            ("count", false) => {
                let counted = self.lower(argument)?;
                let every_row =
                    matches!(&counted, Expr::Literal(literal) if *literal != Literal::Value(Value::Null));
                let argument = match (every_row, &call.filter) {
                    (true, None) => None,
                    (true, Some(_)) => Some(only(TRUE_ROW)),
                    (false, _) => Some(only(counted)),
                };
                Ok(Call { what: What::Rows, argument, second: None })
            }
            ("sum" | "avg", false) => {
                let what = if name == "sum" { What::Sum } else { What::Mean };
                Ok(Call { what, argument: Some(self.number(&call, only)?), second: None })
            }
            (_, false) => match spread(name) {
                Some(form) => Ok(Call {
                    what: What::Spread(form),
                    argument: Some(self.number(&call, only)?),
                    second: None,
                }),
                None => Err(Refusal::new(Rule::Aggregate, format!("`{name}` is not offered"))
                    .rewrite(crate::function::refused_aggregate(name).unwrap_or("COUNT, SUM, AVG, …"))
                    .near(self.sql(), name)),
            },
        }
    }

    /// What COUNT of the pupil's column counts: rows where an outer join has found one.
    fn counted_unit(&self, unit: Option<Expr>, call: &Stated<'_>) -> Option<Expr> {
        let missing = unit.filter(|unit| match unit {
            Expr::Column(index, _) => self.fields()[*index].nullable,
            _ => false,
        });
        let present = |unit: Expr| {
            Expr::Unary(
                crate::tree::Unary::Not,
                Box::new(Expr::Unary(crate::tree::Unary::IsNull, Box::new(unit))),
            )
        };
        let conditions = missing.map(present).into_iter().chain(call.filter.clone()).collect();
        crate::lower::and(conditions).map(|when| Expr::Case(vec![(when, TRUE_ROW)], None))
    }

    /// The only number argument, for the rows that FILTER keeps.
    fn number(&self, call: &Stated<'_>, only: impl Fn(Expr) -> Expr) -> Result<Expr, Refusal> {
        let Some(argument) = call.args.first() else {
            return Err(self.arguments(&call.name, "one argument"));
        };
        if call.distinct {
            return Err(self.not_distinct(&call.name));
        }
        Ok(only(self.numeric(&call.name, argument)?))
    }

    fn numeric(&self, name: &str, argument: &df::Expr) -> Result<Expr, Refusal> {
        // The argument comes converted; a whole number is as good, and is measured once with SUM's.
        let value = match self.lower(argument)? {
            Expr::Cast(whole, Kind::Number) if whole.kind() == Some(Kind::Integer) => *whole,
            value => value,
        };
        match value.kind() {
            Some(Kind::Integer | Kind::Number) => Ok(value),
            _ => {
                Err(Refusal::new(Rule::Expression, format!("`{name}` takes numbers")).near(self.sql(), name))
            }
        }
    }

    /// The rank that an aggregate asks for, if it is a quantile.
    fn position(&self, call: &Stated<'_>) -> Result<Option<Position>, Refusal> {
        let name = call.name.as_str();
        let at = match name {
            "min" => return Ok(Some(Position::Min)),
            "max" => return Ok(Some(Position::Max)),
            "median" | "approx_median" => return Ok(Some(Position::At(0.5))),
            "percentile_cont" | "approx_percentile_cont" => {
                let Some(at) = call.args.get(1) else {
                    return Err(self.arguments(name, "a rank between 0 and 1"));
                };
                match self.lower(at)? {
                    Expr::Literal(Literal::Float(at)) => at,
                    Expr::Literal(Literal::Value(Value::Int(at))) => at as f64,
                    _ => f64::NAN,
                }
            }
            _ => return Ok(None),
        };
        if !(0.0..=1.0).contains(&at) {
            return Err(Refusal::new(
                Rule::Expression,
                format!("the rank of `{name}` is a constant from 0 to 1"),
            )
            .rewrite(format!("{name}(x, 0.5)")));
        }
        let descending = call.order.first().is_some_and(|sort| !sort.asc);
        Ok(Some(Position::At(if descending { 1.0 - at } else { at })))
    }

    fn arguments(&self, name: &str, what: &str) -> Refusal {
        Refusal::new(Rule::Aggregate, format!("`{name}` takes {what}")).near(self.sql(), name)
    }

    fn not_distinct(&self, name: &str) -> Refusal {
        let (reason, rewrite) = match name {
            "sum" | "avg" => (
                "one pupil's value may be the only one of its kind, so that a sum of different values has no useful bound",
                "SUM(x), or COUNT(DISTINCT x)",
            ),
            _ => ("DISTINCT is offered with COUNT only", "leave DISTINCT out"),
        };
        Refusal::new(Rule::Aggregate, format!("`{name}(DISTINCT …)` is not offered: {reason}"))
            .rewrite(rewrite)
            .near(self.sql(), "distinct")
    }

    /// An aggregate over one pupil's rows.
    pub(crate) fn pupil_call(&self, expr: &df::Expr) -> Result<PupilCall, Refusal> {
        let call = self.stated(expr)?;
        let function = pupil_function(&call.name).ok_or_else(|| self.not_per_pupil(&call.name))?;
        if !call.order.is_empty() {
            return Err(Refusal::new(Rule::Clause, format!("`{}` with ORDER BY is not offered", call.name)));
        }
        let args = call.args.iter().map(|arg| self.pupil_argument(function, arg));
        let args: Vec<Expr> = args.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        if call.distinct && (function != PupilFunction::Count || args.is_empty()) {
            return Err(self.not_distinct(&call.name));
        }
        Ok(PupilCall { function, args, distinct: call.distinct, filter: call.filter })
    }

    /// `None` for a constant that counts every row.
    fn pupil_argument(&self, function: PupilFunction, arg: &df::Expr) -> Result<Option<Expr>, Refusal> {
        if let Some(unit) = self.unit_column(arg) {
            return match function {
                PupilFunction::Count => Ok(Some(unit)),
                _ => self.lower(arg).map(Some),
            };
        }
        let value = self.lower(arg)?;
        let every_row = function == PupilFunction::Count
            && matches!(&value, Expr::Literal(literal) if *literal != Literal::Value(Value::Null));
        Ok((!every_row).then_some(value))
    }

    fn not_per_pupil(&self, name: &str) -> Refusal {
        Refusal::new(Rule::Aggregate, format!("`{name}` over one pupil's rows is not offered"))
            .rewrite("COUNT, SUM, AVG, MIN, MAX, MEDIAN, VAR_POP, VAR_SAMP, STDDEV_POP, STDDEV_SAMP, BOOL_AND or BOOL_OR")
            .near(self.sql(), name)
    }

    /// An aggregate of noisy results.
    pub(crate) fn post_call(&self, expr: &df::Expr) -> Result<PostCall, Refusal> {
        let call = self.stated(expr)?;
        let function = post_function(&call.name).ok_or_else(|| {
            Refusal::new(Rule::Aggregate, format!("`{}` of noisy results is not offered", call.name))
                .rewrite("COUNT, SUM, AVG, MIN or MAX")
        })?;
        let [argument] = call.args else { return Err(self.arguments(&call.name, "one argument")) };
        if !call.order.is_empty() {
            return Err(Refusal::new(Rule::Clause, format!("`{}` with ORDER BY is not offered", call.name)));
        }
        if call.distinct && function != PostFunction::Count {
            return Err(self.not_distinct(&call.name));
        }
        let value = self.lower(argument)?;
        let every_row = matches!(&value, Expr::Literal(literal) if *literal != Literal::Value(Value::Null));
        let argument = match (call.filter, every_row && function == PostFunction::Count) {
            (None, true) => None,
            (None, false) => Some(value),
            (Some(filter), _) => Some(Expr::Case(vec![(filter, value)], None)),
        };
        Ok(PostCall { function, argument, distinct: call.distinct })
    }
}

impl Lowering<'_> {
    /// Window functions: over the rows of each pupil, or over released rows.
    pub(crate) fn window(&self, window: &plan::Window) -> Result<Lowered, Refusal> {
        let schema = window.input.schema();
        match self.lower(&window.input)? {
            Lowered::Released(post) => {
                let scope = Scope::released(self, schema);
                let calls = window.window_expr.iter().map(|expr| self.post_window(expr, &scope));
                Ok(Lowered::Released(Post::Window {
                    input: Box::new(post),
                    calls: calls.collect::<Result<_, _>>()?,
                }))
            }
            Lowered::Rows(rel) if !rel.is_private() => Err(crate::lower::public_only()),
            Lowered::Rows(rel) => {
                let fields = rel.fields();
                let scope = Scope::rows(self, schema, &fields);
                let calls = window.window_expr.iter().map(|expr| self.pupil_window(expr, &scope));
                let calls = calls.collect::<Result<_, _>>()?;
                Ok(Lowered::Rows(Rel::Window { input: Box::new(rel), calls }))
            }
        }
    }

    fn pupil_window(&self, expr: &df::Expr, scope: &Scope<'_>) -> Result<WindowCall, Refusal> {
        let stated = StatedWindow::of(expr)?;
        let (units, partition): (Vec<_>, Vec<_>) =
            stated.params.partition_by.iter().partition(|key| scope.unit_column(key).is_some());
        if units.is_empty() {
            let name = &stated.name;
            return Err(Refusal::new(
                Rule::Window,
                format!("`{name}(…) OVER (…)` over rows of pupils sees other pupils' rows: partition it by the pupil"),
            )
            .rewrite(format!("{name}(…) OVER (PARTITION BY the pupil …) in a subquery; or GROUP BY, and the window over its result"))
            .near(self.sql, "over"));
        }
        let function = match stated.name.as_str() {
            "row_number" => WindowFunction::RowNumber,
            "rank" => WindowFunction::Rank,
            "dense_rank" => WindowFunction::DenseRank,
            "lag" => WindowFunction::Lag,
            "lead" => WindowFunction::Lead,
            "first_value" => WindowFunction::FirstValue,
            "last_value" => WindowFunction::LastValue,
            name => {
                let function = pupil_function(name).filter(|function| *function != PupilFunction::Median);
                WindowFunction::Aggregate(function.ok_or_else(|| not_a_window(name))?)
            }
        };
        let mut args = Vec::new();
        for arg in &stated.params.args {
            match function {
                WindowFunction::Aggregate(function) => args.extend(scope.pupil_argument(function, arg)?),
                _ => args.push(scope.lower(arg)?),
            }
        }
        constant_offsets(&args, matches!(function, WindowFunction::Lag | WindowFunction::Lead))?;
        let partition = partition.into_iter().map(|key| scope.lower(key)).collect::<Result<_, _>>()?;
        let (order, frame) = self.order_and_frame(&stated, scope)?;
        Ok(WindowCall { function, args, partition, order, frame })
    }

    fn post_window(&self, expr: &df::Expr, scope: &Scope<'_>) -> Result<PostWindow, Refusal> {
        let stated = StatedWindow::of(expr)?;
        let function = match stated.name.as_str() {
            "row_number" => PostWindowFunction::RowNumber,
            "rank" => PostWindowFunction::Rank,
            "dense_rank" => PostWindowFunction::DenseRank,
            "percent_rank" => PostWindowFunction::PercentRank,
            "cume_dist" => PostWindowFunction::CumeDist,
            "ntile" => PostWindowFunction::Ntile,
            "lag" => PostWindowFunction::Lag,
            "lead" => PostWindowFunction::Lead,
            "first_value" => PostWindowFunction::FirstValue,
            "last_value" => PostWindowFunction::LastValue,
            name => PostWindowFunction::Aggregate(post_function(name).ok_or_else(|| not_a_window(name))?),
        };
        let args = stated.params.args.iter().map(|arg| scope.lower(arg)).collect::<Result<Vec<_>, _>>()?;
        constant_offsets(&args, matches!(function, PostWindowFunction::Lag | PostWindowFunction::Lead))?;
        if function == PostWindowFunction::Ntile
            && !matches!(args.as_slice(), [Expr::Literal(Literal::Value(Value::Int(n)))] if *n > 0)
        {
            return Err(unsayable("NTILE of anything but a positive constant"));
        }
        let partition =
            stated.params.partition_by.iter().map(|key| scope.lower(key)).collect::<Result<_, _>>()?;
        let (order, frame) = self.order_and_frame(&stated, scope)?;
        Ok(PostWindow { function, args, partition, order, frame })
    }

    fn order_and_frame(
        &self,
        stated: &StatedWindow<'_>,
        scope: &Scope<'_>,
    ) -> Result<(Vec<OrderKey>, Frame), Refusal> {
        let order = stated.params.order_by.iter().map(|sort| self.order_key(sort, scope));
        let order: Vec<OrderKey> = order.collect::<Result<_, _>>()?;
        let frame = &stated.params.window_frame;
        let whole = || unsayable("a window frame in anything but rows");
        let bound = |bound: &WindowFrameBound, sign: i64| match bound {
            WindowFrameBound::CurrentRow => Ok(Some(0)),
            WindowFrameBound::Preceding(n) => Ok(rows(n)?.map(|n| -n * sign)),
            WindowFrameBound::Following(n) => Ok(rows(n)?.map(|n| n * sign)),
        };
        let unbounded = |bound: &WindowFrameBound| match bound {
            WindowFrameBound::Preceding(n) | WindowFrameBound::Following(n) => n.is_null(),
            WindowFrameBound::CurrentRow => false,
        };
        let from_start = matches!(&frame.start_bound, WindowFrameBound::Preceding(n) if n.is_null());
        let frame = match frame.units {
            WindowFrameUnits::Range if from_start && unbounded(&frame.end_bound) => Frame::Whole,
            WindowFrameUnits::Range if from_start && frame.end_bound == WindowFrameBound::CurrentRow => {
                if order.is_empty() {
                    Frame::Whole
                } else {
                    Frame::RangeToCurrent
                }
            }
            WindowFrameUnits::Rows => {
                Frame::Rows(bound(&frame.start_bound, -1)?, bound(&frame.end_bound, 1)?)
            }
            WindowFrameUnits::Range | WindowFrameUnits::Groups => return Err(whole()),
        };
        Ok((order, frame))
    }
}

/// A number of rows in a frame; `None` is unbounded.
fn rows(value: &ScalarValue) -> Result<Option<i64>, Refusal> {
    if value.is_null() {
        return Ok(None);
    }
    match value {
        ScalarValue::UInt64(Some(n)) if *n <= 1_000_000 => Ok(Some(*n as i64)),
        _ => Err(unsayable("a window frame of that many rows")),
    }
}

struct StatedWindow<'a> {
    name: String,
    params: &'a df::expr::WindowFunctionParams,
}

impl<'a> StatedWindow<'a> {
    fn of(mut expr: &'a df::Expr) -> Result<StatedWindow<'a>, Refusal> {
        while let df::Expr::Alias(alias) = expr {
            expr = &alias.expr;
        }
        let df::Expr::WindowFunction(call) = expr else { return Err(unsayable("this window function")) };
        let name = match &call.fun {
            WindowFunctionDefinition::AggregateUDF(udf) => udf.name().to_owned(),
            WindowFunctionDefinition::WindowUDF(udf) => udf.name().to_owned(),
        };
        let params = &call.params;
        if params.filter.is_some() || params.distinct || params.null_treatment.is_some() {
            return Err(Refusal::new(
                Rule::Window,
                format!("`{name}` with FILTER, DISTINCT or IGNORE NULLS over a window is not offered"),
            )
            .rewrite("CASE WHEN … THEN x END inside"));
        }
        Ok(StatedWindow { name, params })
    }
}

fn constant_offsets(args: &[Expr], shifts: bool) -> Result<(), Refusal> {
    let literal = |arg: &Expr| matches!(arg, Expr::Literal(_));
    let offset = match args.get(1) {
        Some(Expr::Literal(Literal::Value(Value::Int(n)))) => n.abs() <= 1_000_000,
        Some(_) => false,
        None => true,
    };
    if shifts && !(offset && args.iter().skip(1).all(literal)) {
        return Err(unsayable("LAG or LEAD with anything but constants after the first argument"));
    }
    Ok(())
}

fn not_a_window(name: &str) -> Refusal {
    Refusal::new(Rule::Window, format!("`{name}(…) OVER (…)` is not offered")).rewrite(
        "ROW_NUMBER, RANK, DENSE_RANK, LAG, LEAD, FIRST_VALUE, LAST_VALUE, COUNT, SUM, AVG, MIN or MAX",
    )
}

fn association(name: &str) -> Option<Association> {
    Some(match name {
        "covar_pop" => Association::CovarPop,
        "covar_samp" => Association::CovarSamp,
        "corr" => Association::Corr,
        "regr_slope" => Association::Slope,
        "regr_intercept" => Association::Intercept,
        "regr_r2" => Association::R2,
        _ => return None,
    })
}

fn spread(name: &str) -> Option<Spread> {
    Some(match name {
        "var_pop" => Spread::VarPop,
        "var" => Spread::VarSamp,
        "stddev_pop" => Spread::StddevPop,
        "stddev" => Spread::StddevSamp,
        _ => return None,
    })
}

fn pupil_function(name: &str) -> Option<PupilFunction> {
    Some(match name {
        "count" => PupilFunction::Count,
        "sum" => PupilFunction::Sum,
        "avg" => PupilFunction::Avg,
        "min" => PupilFunction::Min,
        "max" => PupilFunction::Max,
        "var_pop" => PupilFunction::VarPop,
        "var" => PupilFunction::VarSamp,
        "stddev_pop" => PupilFunction::StddevPop,
        "stddev" => PupilFunction::StddevSamp,
        "median" => PupilFunction::Median,
        "bool_and" => PupilFunction::BoolAnd,
        "bool_or" => PupilFunction::BoolOr,
        _ => return None,
    })
}

fn post_function(name: &str) -> Option<PostFunction> {
    Some(match name {
        "count" => PostFunction::Count,
        "sum" => PostFunction::Sum,
        "avg" => PostFunction::Avg,
        "min" => PostFunction::Min,
        "max" => PostFunction::Max,
        _ => return None,
    })
}
