//! Relations. Every one of pupils has a column with the pupil, beside those that the tree numbers.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{self as df, JoinType, LogicalPlan, LogicalPlanBuilder, lit, when};
use memoranda::Kind;

use super::expr::{null, scalar};
use super::{Emitter, Rows, UNIT, data_type, qualified};
use crate::function;
use crate::tree::{
    Expr, Field, Frame, JoinKind, PupilCall, PupilFunction, Rel, Scan, WindowCall, WindowFunction,
};

impl Emitter<'_> {
    pub(super) fn rel(&mut self, rel: &Rel) -> Result<Rows> {
        match rel {
            Rel::Scan(scan) => self.scan(scan),
            Rel::Values(field, list) => {
                let alias = self.next_alias();
                let columns = vec![qualified(&alias, &field.column)];
                let rows = list
                    .iter()
                    .map(|value| Ok(vec![lit(scalar(value, field.kind)?)]))
                    .collect::<Result<_>>()?;
                let plan = values(std::slice::from_ref(field), rows)?;
                Ok(Rows { plan: LogicalPlanBuilder::from(plan).alias(alias)?.build()?, columns, unit: None })
            }
            Rel::Filter { input, predicate } => {
                let input = self.rel(input)?;
                let predicate = self.over(input.columns.clone()).expr(predicate)?;
                Ok(Rows { plan: LogicalPlanBuilder::from(input.plan).filter(predicate)?.build()?, ..input })
            }
            Rel::Join { left, right, kind, on } => self.join(left, right, *kind, on.as_ref()),
            Rel::Project { input, columns } => {
                let input = self.rel(input)?;
                let over = self.over(input.columns.clone());
                let columns = columns.iter().map(|column| over.expr(column)).collect::<Result<Vec<_>>>()?;
                self.renamed(input.plan, columns, input.unit)
            }
            Rel::Group { input, keys, calls } => self.group(input, keys, calls),
            Rel::Window { input, calls } => self.window(input, calls),
            Rel::Distinct(input) => {
                let input = self.rel(input)?;
                let rows = self.renamed(input.plan, input.columns, input.unit)?;
                Ok(Rows { plan: LogicalPlanBuilder::from(rows.plan).distinct()?.build()?, ..rows })
            }
            Rel::Union(inputs) => {
                let mut all: Option<(LogicalPlanBuilder, usize, bool)> = None;
                for input in inputs {
                    let rows = self.rel(input)?;
                    let (count, private) = (rows.columns.len(), rows.unit.is_some());
                    let rows = self.renamed(rows.plan, rows.columns, rows.unit)?;
                    all = Some(match all {
                        None => (LogicalPlanBuilder::from(rows.plan), count, private),
                        Some((before, ..)) => (before.union(rows.plan)?, count, private),
                    });
                }
                let (plan, count, private) =
                    all.ok_or_else(|| DataFusionError::Plan("a union of nothing".to_owned()))?;
                let alias = self.next_alias();
                let plan = plan.alias(alias.as_str())?.build()?;
                let columns = (0..count).map(|i| qualified(&alias, &format!("c{i}"))).collect();
                Ok(Rows { plan, columns, unit: private.then(|| qualified(&alias, UNIT)) })
            }
        }
    }

    fn scan(&mut self, scan: &Scan) -> Result<Rows> {
        let alias = self.next_alias();
        let unit = (!scan.public).then(|| qualified(&alias, UNIT));
        let column = |field: &Field| {
            if field.unit { qualified(&alias, UNIT) } else { qualified(&alias, &field.column) }
        };
        let columns = scan.columns.iter().map(column).collect();
        let table = LogicalPlanBuilder::scan(&scan.table, (self.tables)(&scan.table)?, None)?;
        if !scan.missing_row {
            return Ok(Rows { plan: table.alias(alias)?.build()?, columns, unit });
        }
        let names =
            scan.columns.iter().map(|field| qualified(&scan.table, &field.column).alias(&field.column));
        let missing =
            scan.columns.iter().map(|field| Ok(lit(null(field.kind)?))).collect::<Result<Vec<_>>>()?;
        let missing = values(&scan.columns, vec![missing])?;
        Ok(Rows { plan: table.project(names)?.union(missing)?.alias(alias)?.build()?, columns, unit })
    }

    /// The columns as `c0`, `c1`, … of a new relation, with the pupil.
    fn renamed(&mut self, plan: LogicalPlan, columns: Vec<df::Expr>, unit: Option<df::Expr>) -> Result<Rows> {
        let alias = self.next_alias();
        let private = unit.is_some();
        let count = columns.len();
        let named = columns.into_iter().enumerate().map(|(i, column)| column.alias(format!("c{i}")));
        let mut all: Vec<df::Expr> = unit.map(|unit| unit.alias(UNIT)).into_iter().chain(named).collect();
        if all.is_empty() {
            all.push(lit(1_i64).alias("c0"));
        }
        let plan = LogicalPlanBuilder::from(plan).project(all)?.alias(alias.as_str())?.build()?;
        let columns = (0..count).map(|i| qualified(&alias, &format!("c{i}"))).collect();
        Ok(Rows { plan, columns, unit: private.then(|| qualified(&alias, UNIT)) })
    }

    fn join(&mut self, left: &Rel, right: &Rel, kind: JoinKind, on: Option<&Expr>) -> Result<Rows> {
        let (left, right) = (self.rel(left)?, self.rel(right)?);
        let columns = [left.columns.clone(), right.columns].concat();
        let over = self.over(columns.clone());
        let mut conditions = match on {
            Some(on) => on.conjuncts().into_iter().map(|c| over.expr(c)).collect::<Result<Vec<_>>>()?,
            None => vec![],
        };
        let mut unit = left.unit.clone().or_else(|| right.unit.clone());
        if let (Some(a), Some(b)) = (&left.unit, &right.unit) {
            conditions.push(a.clone().eq(b.clone()));
            unit = match kind {
                JoinKind::Right => Some(b.clone()),
                JoinKind::Full => Some(when(a.clone().is_null(), b.clone()).otherwise(a.clone())?),
                _ => Some(a.clone()),
            };
        }
        if conditions.is_empty() {
            conditions.push(self.expr(&Expr::truth())?);
        }
        // The side with pupils streams past the other, which keeps its order: it goes right.
        let swap = left.unit.is_some();
        let (build, probe) = if swap { (right.plan, left.plan) } else { (left.plan, right.plan) };
        let (kind, half) = match (kind, swap) {
            (JoinKind::Inner, _) => (JoinType::Inner, false),
            (JoinKind::Full, _) => (JoinType::Full, false),
            (JoinKind::Left, true) | (JoinKind::Right, false) => (JoinType::Right, false),
            (JoinKind::Left, false) | (JoinKind::Right, true) => (JoinType::Left, false),
            (JoinKind::Semi, true) => (JoinType::RightSemi, true),
            (JoinKind::Semi, false) => (JoinType::LeftSemi, true),
            (JoinKind::Anti, true) => (JoinType::RightAnti, true),
            (JoinKind::Anti, false) => (JoinType::LeftAnti, true),
        };
        let plan = LogicalPlanBuilder::from(build).join_on(probe, kind, conditions)?.build()?;
        if kind == JoinType::Full {
            return self.renamed(plan, columns, unit);
        }
        Ok(Rows { plan, columns: if half { left.columns } else { columns }, unit })
    }

    fn group(&mut self, input: &Rel, keys: &[Expr], calls: &[PupilCall]) -> Result<Rows> {
        let rows = self.rel(input)?;
        let over = self.over(rows.columns);
        let unit = rows.unit.ok_or_else(|| DataFusionError::Plan("no pupil to group by".to_owned()))?;
        let fields = input.fields();
        let names_pupil = |key: &Expr| matches!(key, Expr::Column(index, _) if fields[*index].unit);
        let mut groups = vec![unit.clone()];
        for key in keys.iter().filter(|key| !names_pupil(key)) {
            groups.push(over.expr(key)?);
        }
        let width = groups.len();
        let calls = calls.iter().map(|call| over.pupil_call(call)).collect::<Result<Vec<_>>>()?;
        // Under names of their own, so that a constant or a repeated key is a column too.
        let groups = groups.into_iter().enumerate().map(|(i, key)| key.alias(format!("g{i}")));
        let calls: Vec<_> =
            calls.into_iter().enumerate().map(|(i, call)| call.alias(format!("x{i}"))).collect();
        let count = calls.len();
        let plan =
            LogicalPlanBuilder::from(rows.plan).aggregate(groups.collect::<Vec<_>>(), calls)?.build()?;
        let column = |index: usize| df::Expr::Column(Column::from(plan.schema().qualified_field(index)));
        let mut next = 0;
        let mut columns: Vec<df::Expr> = keys
            .iter()
            .map(|key| {
                if names_pupil(key) {
                    return column(0);
                }
                next += 1;
                column(next)
            })
            .collect();
        columns.extend((width..width + count).map(column));
        let unit = Some(column(0));
        self.renamed(plan, columns, unit)
    }

    fn window(&mut self, input: &Rel, calls: &[WindowCall]) -> Result<Rows> {
        let rows = self.rel(input)?;
        let unit = rows.unit.ok_or_else(|| DataFusionError::Plan("no pupil to partition by".to_owned()))?;
        // Rows of a pupil that agree in all columns are interchangeable: with these behind, an order leaves nothing to
        // the order in which rows happen to come, which might depend on other pupils.
        let fields = input.fields();
        let ties: Vec<df::SortExpr> = rows
            .columns
            .iter()
            .zip(&fields)
            .filter(|(_, field)| !field.unit)
            .map(|(column, _)| column.clone().sort(true, false))
            .collect();
        let over = self.over(rows.columns.clone());
        let called = calls
            .iter()
            .enumerate()
            .map(|(i, call)| Ok(over.window_call(call, &unit, &ties)?.alias(format!("w{i}"))));
        let called = called.collect::<Result<Vec<_>>>()?;
        let start = rows.plan.schema().fields().len();
        let plan = LogicalPlanBuilder::from(rows.plan).window(called)?.build()?;
        let column = |index: usize| df::Expr::Column(Column::from(plan.schema().qualified_field(index)));
        let made = calls.iter().enumerate().map(|(i, call)| match call.function {
            // The engine's ranks have no sign.
            WindowFunction::RowNumber | WindowFunction::Rank | WindowFunction::DenseRank => {
                df::cast(column(start + i), DataType::Int64)
            }
            _ => column(start + i),
        });
        let made: Vec<df::Expr> = made.collect();
        let columns = [rows.columns, made].concat();
        self.renamed(plan, columns, Some(unit))
    }

    fn pupil_call(&self, call: &PupilCall) -> Result<df::Expr> {
        let udf = pupil_function(call.function)?;
        let args = call.args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
        let args = if args.is_empty() { vec![lit(1_i64)] } else { numeric(call.function, &call.args, args) };
        let filter = call.filter.as_ref().map(|filter| self.expr(filter)).transpose()?;
        let called = df::expr::AggregateFunction::new_udf(
            udf,
            args,
            call.distinct,
            filter.map(Box::new),
            vec![],
            None,
        );
        Ok(df::Expr::AggregateFunction(called))
    }

    fn window_call(&self, call: &WindowCall, unit: &df::Expr, ties: &[df::SortExpr]) -> Result<df::Expr> {
        let mut args = call.args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
        let window = |name: &str| {
            let udf = function::window_udf(name);
            udf.map(df::WindowFunctionDefinition::WindowUDF)
                .ok_or_else(|| DataFusionError::Plan(format!("no function {name}")))
        };
        let (definition, by_place) = match call.function {
            WindowFunction::RowNumber => (window("row_number")?, true),
            WindowFunction::Rank => (window("rank")?, false),
            WindowFunction::DenseRank => (window("dense_rank")?, false),
            WindowFunction::Lag => (window("lag")?, true),
            WindowFunction::Lead => (window("lead")?, true),
            WindowFunction::FirstValue => (window("first_value")?, true),
            WindowFunction::LastValue => (window("last_value")?, true),
            WindowFunction::Aggregate(function) => {
                args = if args.is_empty() { vec![lit(1_i64)] } else { numeric(function, &call.args, args) };
                let udf = pupil_function(function)?;
                (df::WindowFunctionDefinition::AggregateUDF(udf), matches!(call.frame, Frame::Rows(..)))
            }
        };
        let order =
            call.order.iter().map(|key| Ok(self.expr(&key.by)?.sort(!key.descending, key.nulls_first)));
        let mut order = order.collect::<Result<Vec<_>>>()?;
        if by_place {
            order.extend_from_slice(ties);
        }
        let mut partition = vec![unit.clone()];
        for key in &call.partition {
            partition.push(self.expr(key)?);
        }
        let mut called = df::expr::WindowFunction::new(definition, args);
        called.params.partition_by = partition;
        called.params.window_frame = frame(call.frame, !order.is_empty())?;
        called.params.order_by = order;
        Ok(df::Expr::WindowFunction(Box::new(called)))
    }

    fn next_alias(&mut self) -> String {
        self.relations += 1;
        format!("t{}", self.relations - 1)
    }
}

fn pupil_function(function: PupilFunction) -> Result<Arc<df::AggregateUDF>> {
    let name = match function {
        PupilFunction::Count => "count",
        PupilFunction::Sum => "sum",
        PupilFunction::Avg => "avg",
        PupilFunction::Min => "min",
        PupilFunction::Max => "max",
        PupilFunction::VarPop => "var_pop",
        PupilFunction::VarSamp => "var_samp",
        PupilFunction::StddevPop => "stddev_pop",
        PupilFunction::StddevSamp => "stddev",
        PupilFunction::Median => "median",
        PupilFunction::BoolAnd => "bool_and",
        PupilFunction::BoolOr => "bool_or",
    };
    function::aggregate_udf(name).ok_or_else(|| DataFusionError::Plan(format!("no aggregate {name}")))
}

/// Arguments in the types that the engine's aggregates take.
fn numeric(function: PupilFunction, from: &[Expr], args: Vec<df::Expr>) -> Vec<df::Expr> {
    let float = match function {
        PupilFunction::Avg
        | PupilFunction::VarPop
        | PupilFunction::VarSamp
        | PupilFunction::StddevPop
        | PupilFunction::StddevSamp => true,
        PupilFunction::Sum
        | PupilFunction::Count
        | PupilFunction::Min
        | PupilFunction::Max
        | PupilFunction::Median
        | PupilFunction::BoolAnd
        | PupilFunction::BoolOr => false,
    };
    let whole = |expr: &Expr| expr.kind() == Some(Kind::Integer);
    let sum = function == PupilFunction::Sum;
    let typed = |(arg, from): (df::Expr, &Expr)| match () {
        () if float => df::cast(arg, DataType::Float64),
        () if sum && whole(from) => df::cast(arg, DataType::Int64),
        () => arg,
    };
    args.into_iter().zip(from).map(typed).collect()
}

fn frame(frame: Frame, ordered: bool) -> Result<df::WindowFrame> {
    use df::WindowFrameBound::{CurrentRow, Following, Preceding};
    let unbounded = || ScalarValue::UInt64(None);
    let (units, start, end) = match frame {
        Frame::Whole => {
            let null = if ordered { ScalarValue::Null } else { unbounded() };
            let units = if ordered { df::WindowFrameUnits::Range } else { df::WindowFrameUnits::Rows };
            (units, Preceding(null.clone()), Following(null))
        }
        Frame::RangeToCurrent => (df::WindowFrameUnits::Range, Preceding(ScalarValue::Null), CurrentRow),
        Frame::Rows(start, end) => {
            let bound = |rows: Option<i64>, open: fn(ScalarValue) -> df::WindowFrameBound| match rows {
                None => open(unbounded()),
                Some(0) => CurrentRow,
                Some(n) if n < 0 => Preceding(ScalarValue::UInt64(Some(n.unsigned_abs()))),
                Some(n) => Following(ScalarValue::UInt64(Some(n.unsigned_abs()))),
            };
            (df::WindowFrameUnits::Rows, bound(start.map(|before| -before), Preceding), bound(end, Following))
        }
    };
    Ok(df::WindowFrame::new_bounds(units, start, end))
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
