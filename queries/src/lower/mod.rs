//! DataFusion's logical plan → one block: a relation, keys, aggregates, and steps over noisy values. A node that
//! is not expected where it stands is refused.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, NullEquality};
use datafusion::logical_expr::logical_plan as plan;
use datafusion::logical_expr::{self as df, JoinType, LogicalPlan};
use disclosure_rules::Value;
use memoranda::{Contract, Kind, Lineage, Role};

use crate::catalog::Catalog;
use crate::function::Function;
use crate::lower_expr::{Scope, kind, unsayable};
use crate::refusal::{Refusal, Rule};
use crate::tree::{Binary, Expr, Field, JoinKind, Literal, Rel, Scan};

/// One SELECT with GROUP BY.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Block {
    pub(crate) source: Rel,
    /// Over the source's columns.
    pub(crate) keys: Vec<Expr>,
    pub(crate) calls: Vec<Call>,
    /// Over keys, then calls; in the order in which they are applied.
    pub(crate) steps: Vec<Step>,
}

impl Block {
    /// The same with the names of another lowering of the same question: reconciling types puts back the names that
    /// the SQL gave its tables.
    pub(crate) fn named_as(mut self, other: &Block) -> Block {
        for pair in self.steps.iter_mut().zip(&other.steps) {
            if let (Step::Columns(own), Step::Columns(named)) = pair {
                own.iter_mut().zip(named).for_each(|(own, named)| own.0.clone_from(&named.0));
            }
        }
        self
    }
}

/// One aggregate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) what: What,
    /// Rows count only where it is not NULL; `None` for all rows.
    pub(crate) argument: Option<Expr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Rows,
    Pupils,
    Sum,
    Mean,
}

/// One step of post-processing. Sees noisy values only.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// HAVING.
    Keep(Expr),
    /// SELECT: names and expressions over the columns so far.
    Columns(Vec<(String, Expr)>),
    /// ORDER BY.
    Order(Vec<OrderKey>),
    /// LIMIT and OFFSET.
    Limit {
        /// Rows left out first.
        skip: usize,
        /// Rows kept.
        fetch: Option<usize>,
    },
}

/// One expression of ORDER BY.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderKey {
    /// Over the columns so far.
    pub by: Expr,
    /// DESC.
    pub descending: bool,
    /// NULLS FIRST.
    pub nulls_first: bool,
}

pub(crate) struct Lowering<'a> {
    pub(crate) catalog: &'a Catalog<'a>,
    pub(crate) contract: &'a Contract,
    pub(crate) sql: &'a str,
}

impl Lowering<'_> {
    /// The block of a whole question.
    pub(crate) fn block(&self, plan: &LogicalPlan) -> Result<Block, Refusal> {
        let mut steps = Vec::new();
        let mut node = plan;
        let aggregate = loop {
            node = match node {
                LogicalPlan::Aggregate(aggregate) => break aggregate,
                LogicalPlan::Projection(plan::Projection { expr, input, .. }) => {
                    self.above_aggregate(input)?;
                    let scope = Scope { schema: input.schema(), unit: &[], sql: self.sql };
                    let columns =
                        names(node).into_iter().zip(expr).map(|(name, expr)| Ok((name, scope.lower(expr)?)));
                    steps.push(Step::Columns(columns.collect::<Result<_, Refusal>>()?));
                    input
                }
                LogicalPlan::Filter(filter) => {
                    self.above_aggregate(&filter.input)?;
                    let scope = Scope { schema: filter.input.schema(), unit: &[], sql: self.sql };
                    steps.push(Step::Keep(scope.lower(&filter.predicate)?));
                    &filter.input
                }
                LogicalPlan::Sort(plan::Sort { expr, input, fetch: None }) => {
                    self.above_aggregate(input)?;
                    let scope = Scope { schema: input.schema(), unit: &[], sql: self.sql };
                    let key = |sort: &df::SortExpr| {
                        let by = scope.lower(&sort.expr)?;
                        Ok(OrderKey { by, descending: !sort.asc, nulls_first: sort.nulls_first })
                    };
                    steps.push(Step::Order(expr.iter().map(key).collect::<Result<_, Refusal>>()?));
                    input
                }
                LogicalPlan::Limit(limit) => {
                    self.above_aggregate(&limit.input)?;
                    let skip = self.constant(limit.skip.as_deref())?.unwrap_or(0);
                    steps.push(Step::Limit { skip, fetch: self.constant(limit.fetch.as_deref())? });
                    &limit.input
                }
                _ => return Err(self.row_level()),
            };
        };
        steps.reverse();
        let source = self.rel(&aggregate.input)?;
        self.check_tables(&source)?;
        let unit: Vec<bool> = source.fields().iter().map(|field| field.unit).collect();
        let scope = Scope { schema: aggregate.input.schema(), unit: &unit, sql: self.sql };
        let key = |key: &df::Expr| {
            let key = scope.lower(key)?;
            // A day or longer that DataFusion writes as a time of day.
            let truncated = matches!(&key, Expr::Call(Function::DateTrunc, _));
            Ok(if truncated { Expr::Cast(Box::new(key), memoranda::Kind::Date) } else { key })
        };
        let keys = aggregate.group_expr.iter().map(key).collect::<Result<_, Refusal>>()?;
        let calls =
            aggregate.aggr_expr.iter().map(|call| self.call(call, &scope)).collect::<Result<_, _>>()?;
        Ok(Block { source, keys, calls, steps })
    }

    /// A plan without an aggregate shows rows: refused before anything in it is looked at, unless it names the
    /// pupil, which is the better reason.
    fn above_aggregate(&self, plan: &LogicalPlan) -> Result<(), Refusal> {
        match plan {
            LogicalPlan::Aggregate(_) => Ok(()),
            LogicalPlan::Projection(p) => self.above_aggregate(&p.input),
            LogicalPlan::Filter(f) => self.above_aggregate(&f.input),
            LogicalPlan::Sort(s) => self.above_aggregate(&s.input),
            LogicalPlan::Limit(l) => self.above_aggregate(&l.input),
            _ => Err(self.row_level()),
        }
    }

    fn row_level(&self) -> Refusal {
        Refusal::new(
            Rule::RowLevel,
            "rows of pupils are never shown: every column must be a key or inside an aggregate",
        )
        .rewrite("SELECT key, COUNT(*) FROM … GROUP BY key")
        .near(self.sql, "select")
    }

    fn constant(&self, expr: Option<&df::Expr>) -> Result<Option<usize>, Refusal> {
        let Some(expr) = expr else { return Ok(None) };
        let empty = datafusion::common::DFSchema::empty();
        let scope = Scope { schema: &empty, unit: &[], sql: self.sql };
        match scope.lower(expr) {
            Ok(Expr::Literal(Literal::Value(Value::Int(n)))) if n >= 0 => Ok(Some(n as usize)),
            Ok(Expr::Literal(Literal::Value(Value::Null))) => Ok(None),
            _ => Err(unsayable("LIMIT or OFFSET with anything but a constant").near(self.sql, "limit")),
        }
    }

    fn rel(&self, plan: &LogicalPlan) -> Result<Rel, Refusal> {
        match plan {
            LogicalPlan::TableScan(scan)
                if scan.projection.is_none() && scan.filters.is_empty() && scan.fetch.is_none() =>
            {
                self.scan(scan.table_name.table())
            }
            LogicalPlan::SubqueryAlias(alias) if matches!(*alias.input, LogicalPlan::TableScan(_)) => {
                self.rel(&alias.input)
            }
            LogicalPlan::Filter(filter) => {
                let input = self.rel(&filter.input)?;
                let unit: Vec<bool> = input.fields().iter().map(|field| field.unit).collect();
                let scope = Scope { schema: filter.input.schema(), unit: &unit, sql: self.sql };
                let predicate = scope.lower(&filter.predicate)?;
                Ok(Rel::Filter { input: Box::new(input), predicate })
            }
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::EmptyRelation(_) => Err(public_only()),
            LogicalPlan::Aggregate(_) | LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {
                Err(Refusal::new(
                    Rule::Subquery,
                    "a query inside a query is not offered yet: ask in a single SELECT",
                ))
            }
            LogicalPlan::Window(_) => Err(Refusal::new(Rule::Window, "window functions are not offered yet")),
            _ => Err(Refusal::new(Rule::Clause, "this form of question is not offered")),
        }
    }

    fn scan(&self, name: &str) -> Result<Rel, Refusal> {
        let visible = self.catalog.table(name).ok_or_else(|| {
            Refusal::new(Rule::Table, format!("table `{name}` is not among the items of this memorandum"))
        })?;
        let table = visible.table;
        let field = |column: &&memoranda::Column| {
            let references = table.foreign_key(&[&column.name]).and_then(|key| {
                let public = self.contract.table(&key.table).is_some_and(|t| t.lineage == Lineage::Public);
                public.then(|| (key.table.clone(), key.references[0].clone()))
            });
            Field {
                table: table.name.clone(),
                column: column.name.clone(),
                kind: column.kind,
                nullable: !column.required,
                unit: column.role == Role::Unit,
                range: column.range(),
                values: column.public_values(),
                references,
                step: column.step,
            }
        };
        Ok(Rel::Scan(Scan {
            table: table.name.clone(),
            public: !table.is_private(),
            columns: visible.columns.iter().map(field).collect(),
            missing_row: false,
        }))
    }

    fn join(&self, join: &plan::Join) -> Result<Rel, Refusal> {
        let kind = match join.join_type {
            JoinType::Inner => JoinKind::Inner,
            JoinType::Left => JoinKind::Left,
            JoinType::Right => JoinKind::Right,
            _ => {
                return Err(Refusal::new(
                    Rule::Join,
                    "only INNER, LEFT, RIGHT and CROSS JOIN are offered yet",
                ));
            }
        };
        if join.null_equality != NullEquality::NullEqualsNothing || join.null_aware {
            return Err(Refusal::new(Rule::Join, "a join that matches NULL with NULL is not offered"));
        }
        let (left, right) = (Box::new(self.rel(&join.left)?), Box::new(self.rel(&join.right)?));
        let mut unit: Vec<bool> = left.fields().iter().map(|field| field.unit).collect();
        unit.extend(right.fields().iter().map(|field| field.unit));
        if is_private(&left) && is_private(&right) {
            return Err(self.private_join(&left, &right));
        }
        let scope = Scope { schema: &join.schema, unit: &unit, sql: self.sql };
        let mut on = Vec::new();
        for (a, b) in &join.on {
            on.push(Expr::Binary(Binary::Equal, Box::new(scope.lower(a)?), Box::new(scope.lower(b)?)));
        }
        if let Some(filter) = &join.filter {
            on.push(scope.lower(filter)?);
        }
        let on = on.into_iter().reduce(|all, one| Expr::Binary(Binary::And, Box::new(all), Box::new(one)));
        let kept_is_private = match kind {
            JoinKind::Inner => true,
            JoinKind::Left => is_private(&left) || !is_private(&right),
            JoinKind::Right => is_private(&right) || !is_private(&left),
        };
        if !kept_is_private {
            return Err(Refusal::new(
                Rule::Join,
                "a public table may not keep its unmatched rows beside rows of pupils",
            )
            .rewrite("name the private table first and LEFT JOIN the public one, or use INNER JOIN")
            .near(self.sql, "join"));
        }
        Ok(Rel::Join { left, right, kind, on })
    }

    fn private_join(&self, left: &Rel, right: &Rel) -> Refusal {
        let names = |rel: &Rel| -> Vec<String> {
            rel.scans().into_iter().filter(|scan| !scan.public).map(|scan| scan.table.clone()).collect()
        };
        let same = names(left).iter().any(|name| names(right).contains(name));
        let what = if same { "a private table joined with itself" } else { "a join of two private tables" };
        Refusal::new(Rule::PrivateJoin, format!("{what} is not offered yet"))
            .rewrite("ask about one private table, joined with public ones")
            .near(self.sql, "join")
    }

    fn check_tables(&self, source: &Rel) -> Result<(), Refusal> {
        if is_private(source) { Ok(()) } else { Err(public_only()) }
    }

    fn call(&self, expr: &df::Expr, scope: &Scope<'_>) -> Result<Call, Refusal> {
        let df::Expr::AggregateFunction(call) = expr.clone().unalias() else {
            return Err(unsayable("this aggregate"));
        };
        let name = call.func.name().to_owned();
        let params = &call.params;
        if !params.order_by.is_empty() || params.null_treatment.is_some() {
            return Err(Refusal::new(
                Rule::Clause,
                format!("`{name}` with ORDER BY or IGNORE NULLS is not offered"),
            ));
        }
        let [argument] = params.args.as_slice() else {
            return Err(
                Refusal::new(Rule::Aggregate, format!("`{name}` takes one argument")).near(self.sql, &name)
            );
        };
        let filter = params.filter.as_deref().map(|filter| scope.lower(filter)).transpose()?;
        let only = |value: Expr| match &filter {
            Some(filter) => Expr::Case(vec![(filter.clone(), value)], None),
            None => value,
        };
        let one = || Expr::Literal(Literal::Value(Value::Int(1)));
        let unit = match argument {
            df::Expr::Column(column) => scope.unit[scope.index(column)?],
            _ => false,
        };
        match (name.as_str(), params.distinct) {
            ("count", true) if unit => {
                Ok(Call { what: What::Pupils, argument: filter.is_some().then(|| only(one())) })
            }
            (_, true) => Err(Refusal::new(
                Rule::Aggregate,
                format!("`{name}(DISTINCT …)` is offered for the pupil's column only"),
            )
            .rewrite("GROUP BY the column and count the groups")
            .near(self.sql, "distinct")),
            ("count", false) if unit => {
                Ok(Call { what: What::Rows, argument: filter.is_some().then(|| only(one())) })
            }
            ("count", false) => {
                let counted = scope.lower(argument)?;
                let every_row =
                    matches!(&counted, Expr::Literal(literal) if *literal != Literal::Value(Value::Null));
                let argument = match (every_row, &filter) {
                    (true, None) => None,
                    (true, Some(_)) => Some(only(one())),
                    (false, _) => Some(only(counted)),
                };
                Ok(Call { what: What::Rows, argument })
            }
            ("sum", false) | ("avg", false) => {
                // AVG's argument comes converted; a whole number is as good, and is measured once with SUM's.
                let value = match scope.lower(argument)? {
                    Expr::Cast(whole, Kind::Number) if whole.kind() == Some(Kind::Integer) => *whole,
                    value => value,
                };
                let value = only(value);
                if !matches!(value.kind(), Some(Kind::Integer | Kind::Number)) {
                    return Err(Refusal::new(Rule::Expression, format!("`{name}` takes numbers"))
                        .near(self.sql, &name));
                }
                Ok(Call { what: if name == "sum" { What::Sum } else { What::Mean }, argument: Some(value) })
            }
            _ => Err(Refusal::new(Rule::Aggregate, format!("`{name}` is not offered")).near(self.sql, &name)),
        }
    }
}

/// Whether rows of the relation belong to pupils.
pub(crate) fn is_private(rel: &Rel) -> bool {
    rel.scans().iter().any(|scan| !scan.public)
}

/// Names of the columns that a plan gives, without the names that the SQL gave its tables: `sum(math)`, whether it
/// was written `SUM(math)` or `SUM(r.math)`.
fn names(plan: &LogicalPlan) -> Vec<String> {
    let plain = |expr: &df::Expr, inner: &dyn Fn(&Column) -> Option<String>| {
        let renamed = expr.clone().transform(|expr| {
            Ok(match expr {
                df::Expr::Column(column) => {
                    let name = inner(&column).unwrap_or_else(|| column.name.clone());
                    Transformed::yes(df::Expr::Column(Column::new_unqualified(name)))
                }
                other => Transformed::no(other),
            })
        });
        renamed
            .map_or_else(|_| expr.schema_name().to_string(), |renamed| renamed.data.schema_name().to_string())
    };
    match plan {
        LogicalPlan::Aggregate(aggregate) => {
            let exprs = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
            exprs.map(|expr| plain(expr, &|_| None)).collect()
        }
        LogicalPlan::Projection(projection) => {
            let below = names(&projection.input);
            let schema = projection.input.schema();
            let inner = |column: &Column| below.get(schema.index_of_column(column).ok()?).cloned();
            projection.expr.iter().map(|expr| plain(expr, &inner)).collect()
        }
        LogicalPlan::Filter(filter) => names(&filter.input),
        LogicalPlan::Sort(sort) => names(&sort.input),
        LogicalPlan::Limit(limit) => names(&limit.input),
        other => other.schema().fields().iter().map(|field| field.name().clone()).collect(),
    }
}

fn public_only() -> Refusal {
    Refusal::new(Rule::PublicOnly, "no table of pupils is asked about; public tables are published as files")
        .rewrite("join the public table to a private one")
}

/// The kinds of the columns that a plan's schema gives; see [`Scope::lower`] for dates.
pub(crate) fn output_kinds(plan: &LogicalPlan) -> Option<Vec<Kind>> {
    let shown = |kind| if kind == Kind::DateTime { Kind::Date } else { kind };
    plan.schema().fields().iter().map(|field| kind(field.data_type()).map(shown)).collect()
}
