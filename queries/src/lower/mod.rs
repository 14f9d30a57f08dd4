//! DataFusion's logical plan → relations of pupils' rows, blocks that are released, and post-processing of releases. A
//! node that is not expected where it stands is refused.
//!
//! In reading order: this file (the nodes of a plan) · `keys` (GROUP BY) · `join` (joins, IN, EXISTS) · `call` (aggregates
//! and window functions) · `expr` and `function` (expressions) · `output` (names and types of the answer).

pub(crate) mod call;
pub(crate) mod expr;
mod function;
pub(crate) mod join;
pub(crate) mod keys;
mod output;

use std::cell::RefCell;

use datafusion::common::NullEquality;
use datafusion::logical_expr::logical_plan as plan;
use datafusion::logical_expr::{self as df, JoinType, LogicalPlan};
use disclosure_rules::Value;
use memoranda::{Contract, Lineage, Role};

use crate::catalog::Catalog;
use crate::post::{Post, PostCall, SetOperation};
use crate::refusal::{Refusal, Rule};
use crate::tree::{Expr, Field, JoinKind, Literal, OrderKey, Rel, Scan};

pub(crate) use output::{names, output_kinds};

use call::Call;
use expr::{Scope, kind, unsayable};

/// One private GROUP BY: what is released by one mechanism.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Block {
    pub(crate) source: Rel,
    /// Over the source's columns.
    pub(crate) keys: Vec<Expr>,
    /// Per grouping set, which keys it groups by.
    pub(crate) sets: Sets,
    pub(crate) calls: Vec<Call>,
}

/// What a GROUP BY groups by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sets {
    /// All keys.
    Plain,
    /// GROUPING SETS, ROLLUP, CUBE: per set, which keys it groups by.
    Several(Vec<Vec<bool>>),
}

/// A whole question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    /// In the order in which they are released.
    pub(crate) blocks: Vec<Block>,
    /// Scalar subqueries.
    pub(crate) scalars: Vec<Post>,
    pub(crate) answer: Post,
}

/// What a plan gives: rows of pupils or of public tables, or a table computed from releases.
pub(crate) enum Lowered {
    Rows(Rel),
    Released(Post),
}

pub(crate) struct Lowering<'a> {
    catalog: &'a Catalog<'a>,
    contract: &'a Contract,
    pub(crate) sql: &'a str,
    blocks: RefCell<Vec<Block>>,
    scalars: RefCell<Vec<Post>>,
}

/// Lowers a whole question.
pub(crate) fn question(
    planned: &LogicalPlan,
    catalog: &Catalog<'_>,
    contract: &Contract,
    sql: &str,
) -> Result<Question, Refusal> {
    let lowering = Lowering {
        catalog,
        contract,
        sql,
        blocks: RefCell::new(Vec::new()),
        scalars: RefCell::new(Vec::new()),
    };
    let answer = match lowering.lower(planned)? {
        Lowered::Released(answer) => answer,
        Lowered::Rows(rel) if rel.is_private() => return Err(lowering.rows_shown(&rel)),
        Lowered::Rows(_) => return Err(public_only()),
    };
    let blocks = lowering.blocks.into_inner();
    if blocks.is_empty() {
        return Err(public_only());
    }
    Ok(Question { blocks, scalars: lowering.scalars.into_inner(), answer })
}

impl Lowering<'_> {
    pub(crate) fn lower(&self, plan: &LogicalPlan) -> Result<Lowered, Refusal> {
        match plan {
            LogicalPlan::TableScan(scan)
                if scan.projection.is_none() && scan.filters.is_empty() && scan.fetch.is_none() =>
            {
                self.scan(scan.table_name.table()).map(Lowered::Rows)
            }
            LogicalPlan::SubqueryAlias(alias) => self.lower(&alias.input),
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => Ok(Lowered::Released(Post::OneRow)),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Projection(projection) => self.projection(plan, projection),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Distinct(plan::Distinct::All(input)) => self.distinct(input),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Join(join) => self.join(join, &mut Vec::new()),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Sort(plan::Sort { expr, input, fetch: None }) => match self.lower(input)? {
                Lowered::Released(post) => {
                    let scope = Scope::released(self, input.schema());
                    let by =
                        expr.iter().map(|sort| self.order_key(sort, &scope)).collect::<Result<_, _>>()?;
                    Ok(Lowered::Released(Post::Order { input: Box::new(post), by }))
                }
                Lowered::Rows(rel) => Err(self.unordered(&rel)),
            },
            LogicalPlan::Limit(limit) => match self.lower(&limit.input)? {
                Lowered::Released(post) => Ok(Lowered::Released(Post::Limit {
                    input: Box::new(post),
                    skip: self.constant(limit.skip.as_deref())?.unwrap_or(0),
                    fetch: self.constant(limit.fetch.as_deref())?,
                })),
                Lowered::Rows(rel) => Err(self.unordered(&rel)),
            },
            _ => Err(Refusal::new(Rule::Clause, "this form of question is not offered")),
        }
    }

    /// The rows of a plan that must be rows.
    fn rows(&self, plan: &LogicalPlan) -> Result<Rel, Refusal> {
        match self.lower(plan)? {
            Lowered::Rows(rel) => Ok(rel),
            Lowered::Released(_) => Err(mixed()),
        }
    }

    fn unordered(&self, rel: &Rel) -> Refusal {
        if !rel.is_private() {
            return public_only();
        }
        Refusal::new(
            Rule::RowLevel,
            "ORDER BY and LIMIT over rows of pupils would pick out single pupils: they are for the answer only",
        )
        .rewrite("leave them out of the subquery, or number the rows of each pupil: ROW_NUMBER() OVER (PARTITION BY the pupil ORDER BY …)")
        .near(self.sql, "limit")
    }

    /// Rows of pupils at the top: that they name the pupil is the better reason.
    fn rows_shown(&self, rel: &Rel) -> Refusal {
        match rel.fields().into_iter().find(|field| field.unit && !field.column.is_empty()) {
            Some(unit) if matches!(rel, Rel::Project { .. } | Rel::Group { .. }) => {
                pupil_shown(Some(&unit.column)).near(self.sql, &unit.column)
            }
            _ => self.row_level(),
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

    pub(crate) fn order_key(&self, sort: &df::SortExpr, scope: &Scope<'_>) -> Result<OrderKey, Refusal> {
        Ok(OrderKey { by: scope.lower(&sort.expr)?, descending: !sort.asc, nulls_first: sort.nulls_first })
    }

    fn constant(&self, expr: Option<&df::Expr>) -> Result<Option<usize>, Refusal> {
        let Some(expr) = expr else { return Ok(None) };
        let empty = datafusion::common::DFSchema::empty();
        match Scope::released(self, &empty).lower(expr) {
            Ok(Expr::Literal(Literal::Value(Value::Int(n)))) if n >= 0 => Ok(Some(n as usize)),
            Ok(Expr::Literal(Literal::Value(Value::Null))) => Ok(None),
            _ => Err(unsayable("LIMIT or OFFSET with anything but a constant").near(self.sql, "limit")),
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
                scan: 0,
                origins: [(table.name.clone(), column.name.clone())].into(),
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

    fn filter(&self, filter: &plan::Filter) -> Result<Lowered, Refusal> {
        let mut conjuncts = df::utils::split_conjunction(&filter.predicate);
        let input = match filter.input.as_ref() {
            // FROM a, b WHERE a.x = b.x: the condition of the join stands here.
            LogicalPlan::Join(join) => self.join(join, &mut conjuncts)?,
            input => self.lower(input)?,
        };
        match input {
            Lowered::Released(post) => {
                let condition = Scope::released(self, filter.input.schema()).lower(&filter.predicate)?;
                Ok(Lowered::Released(Post::Keep { input: Box::new(post), condition }))
            }
            Lowered::Rows(mut rel) => {
                let (subqueries, plain): (Vec<_>, Vec<_>) =
                    conjuncts.into_iter().partition(|c| subquery(c).is_some());
                let fields = rel.fields();
                let scope = Scope::rows(self, filter.input.schema(), &fields);
                let conditions = plain.into_iter().map(|conjunct| scope.lower(conjunct));
                if let Some(predicate) = and(conditions.collect::<Result<Vec<_>, _>>()?) {
                    rel = Rel::Filter { input: Box::new(rel), predicate };
                }
                for (negated, inner) in subqueries.into_iter().filter_map(subquery) {
                    rel = self.subquery(rel, inner, negated, &scope)?;
                }
                Ok(Lowered::Rows(rel))
            }
        }
    }

    fn projection(&self, node: &LogicalPlan, projection: &plan::Projection) -> Result<Lowered, Refusal> {
        let input = &projection.input;
        match self.lower(input)? {
            Lowered::Released(post) => {
                let scope = Scope::released(self, input.schema());
                let columns = names(node)
                    .into_iter()
                    .zip(&projection.expr)
                    .map(|(name, expr)| Ok((name, scope.lower(expr)?)))
                    .collect::<Result<_, Refusal>>()?;
                Ok(Lowered::Released(Post::Columns { input: Box::new(post), columns }))
            }
            Lowered::Rows(rel) => {
                let fields = rel.fields();
                let scope = Scope::rows(self, input.schema(), &fields);
                let column = |expr: &df::Expr| match scope.unit_column(expr) {
                    Some(column) => Ok(column),
                    None => scope.lower(expr),
                };
                let columns = projection.expr.iter().map(column).collect::<Result<Vec<_>, _>>()?;
                let whole =
                    |(i, column): (usize, &Expr)| matches!(column, Expr::Column(index, _) if *index == i);
                if columns.len() == fields.len() && columns.iter().enumerate().all(whole) {
                    return Ok(Lowered::Rows(rel));
                }
                Ok(Lowered::Rows(Rel::Project { input: Box::new(rel), columns }))
            }
        }
    }

    fn aggregate(&self, aggregate: &plan::Aggregate) -> Result<Lowered, Refusal> {
        let schema = aggregate.input.schema();
        match self.lower(&aggregate.input)? {
            Lowered::Released(post) => {
                let scope = Scope::released(self, schema);
                let keys =
                    aggregate.group_expr.iter().map(|key| scope.lower(key)).collect::<Result<_, _>>()?;
                let calls = aggregate.aggr_expr.iter().map(|call| scope.post_call(call));
                let calls: Vec<PostCall> = calls.collect::<Result<_, _>>()?;
                Ok(Lowered::Released(Post::Group { input: Box::new(post), keys, calls }))
            }
            Lowered::Rows(rel) if !rel.is_private() => Err(public_only()),
            Lowered::Rows(rel) => {
                let fields = rel.fields();
                let scope = Scope::rows(self, schema, &fields);
                if aggregate.group_expr.iter().any(|key| scope.unit_column(key).is_some()) {
                    return self.per_pupil(aggregate, &scope, rel.clone()).map(Lowered::Rows);
                }
                let (keys, sets) = self.keys(&aggregate.group_expr, &scope)?;
                let calls = aggregate.aggr_expr.iter().map(|call| scope.call(call));
                let calls = calls.collect::<Result<Vec<_>, _>>()?;
                Ok(Lowered::Released(self.release(Block { source: rel.clone(), keys, sets, calls })))
            }
        }
    }

    fn per_pupil(&self, aggregate: &plan::Aggregate, scope: &Scope<'_>, input: Rel) -> Result<Rel, Refusal> {
        let key = |key: &df::Expr| match scope.unit_column(key) {
            Some(column) => Ok(column),
            None => scope.lower(key),
        };
        let keys = aggregate.group_expr.iter().map(key).collect::<Result<_, _>>()?;
        let calls =
            aggregate.aggr_expr.iter().map(|call| scope.pupil_call(call)).collect::<Result<_, _>>()?;
        Ok(Rel::Group { input: Box::new(input), keys, calls })
    }

    /// Keeps a block to be released; the same one is released once.
    fn release(&self, mut block: Block) -> Post {
        number_scans(&mut block.source, &mut 0);
        let mut blocks = self.blocks.borrow_mut();
        let stage = blocks.iter().position(|known| *known == block).unwrap_or_else(|| {
            blocks.push(block);
            blocks.len() - 1
        });
        Post::Stage(stage)
    }

    fn distinct(&self, input: &LogicalPlan) -> Result<Lowered, Refusal> {
        match self.lower(input)? {
            Lowered::Released(post) => Ok(Lowered::Released(Post::Distinct(Box::new(post)))),
            Lowered::Rows(rel) => {
                let fields = rel.fields();
                if !rel.is_private() || fields.iter().any(|field| field.unit) {
                    return Ok(Lowered::Rows(Rel::Distinct(Box::new(rel))));
                }
                let keys = fields.iter().enumerate().map(|(i, field)| Expr::Column(i, field.kind)).collect();
                let block = Block { source: rel, keys, sets: Sets::Plain, calls: vec![] };
                Ok(Lowered::Released(self.release(block)))
            }
        }
    }

    fn union(&self, union: &plan::Union) -> Result<Lowered, Refusal> {
        let inputs = union.inputs.iter().map(|input| self.lower(input)).collect::<Result<Vec<_>, _>>()?;
        let (mut rows, mut released) = (Vec::new(), Vec::new());
        for input in inputs {
            match input {
                Lowered::Rows(rel) => rows.push(rel),
                Lowered::Released(post) => released.push(post),
            }
        }
        match (rows.is_empty(), released.is_empty()) {
            (false, true) => {
                let private = rows.iter().filter(|rel| rel.is_private()).count();
                if private != 0 && private != rows.len() {
                    return Err(Refusal::new(
                        Rule::Clause,
                        "a UNION of rows of pupils with public rows is not offered",
                    )
                    .rewrite("join the public table instead"));
                }
                Ok(Lowered::Rows(Rel::Union(rows)))
            }
            (true, false) => {
                let both = |left, right| Post::Set {
                    operation: SetOperation::Union,
                    all: true,
                    left: Box::new(left),
                    right: Box::new(right),
                };
                released.into_iter().reduce(both).map(Lowered::Released).ok_or_else(mixed)
            }
            _ => Err(mixed()),
        }
    }

    /// A join; of `around`, the conjuncts of a WHERE around it, an inner join of rows takes those that compare its sides.
    fn join(&self, join: &plan::Join, around: &mut Vec<&df::Expr>) -> Result<Lowered, Refusal> {
        let kind = match join.join_type {
            JoinType::Inner => JoinKind::Inner,
            JoinType::Left => JoinKind::Left,
            JoinType::Right => JoinKind::Right,
            JoinType::Full => JoinKind::Full,
            JoinType::LeftSemi => JoinKind::Semi,
            JoinType::LeftAnti => JoinKind::Anti,
            _ => return Err(Refusal::new(Rule::Join, "this kind of join is not offered")),
        };
        // INTERSECT and EXCEPT are joins that match NULL with NULL.
        let set = join.null_equality == NullEquality::NullEqualsNull;
        if join.null_aware || (set && !matches!(kind, JoinKind::Semi | JoinKind::Anti)) {
            return Err(Refusal::new(Rule::Join, "a join that matches NULL with NULL is not offered"));
        }
        let inner = kind == JoinKind::Inner;
        let left = match join.left.as_ref() {
            LogicalPlan::Join(left) if inner => self.join(left, around)?,
            left => self.lower(left)?,
        };
        match (left, self.lower(&join.right)?) {
            (Lowered::Rows(left), Lowered::Rows(right)) => {
                let compares = |conjunct: &&df::Expr| inner && compares_sides(conjunct, join);
                let (own, others) = std::mem::take(around).into_iter().partition(compares);
                *around = others;
                let on = self.row_condition(join, &own, &left, &right, set)?;
                self.row_join(left, right, kind, on).map(Lowered::Rows)
            }
            (Lowered::Released(left), Lowered::Released(right)) if set => {
                let operation =
                    if kind == JoinKind::Semi { SetOperation::Intersect } else { SetOperation::Except };
                let (left, right) = (Box::new(left), Box::new(right));
                Ok(Lowered::Released(Post::Set { operation, all: false, left, right }))
            }
            (Lowered::Released(left), Lowered::Released(right)) => {
                let schema = join.left.schema().join(join.right.schema());
                let schema = schema.map_err(|_| unsayable("this join"))?;
                let scope = Scope::released(self, &schema);
                let mut on = Vec::new();
                for (a, b) in &join.on {
                    on.push(crate::lower::expr::pair(
                        crate::tree::Binary::Equal,
                        scope.lower(a)?,
                        scope.lower(b)?,
                    ));
                }
                on.extend(
                    join.filter.iter().map(|filter| scope.lower(filter)).collect::<Result<Vec<_>, _>>()?,
                );
                let (left, right) = (Box::new(left), Box::new(right));
                Ok(Lowered::Released(Post::Join { left, right, kind, on: and(on) }))
            }
            _ => Err(mixed()),
        }
    }

    /// The rows of a subquery after IN or EXISTS: see [`crate::lower::join`].
    pub(crate) fn subquery_rows(&self, plan: &LogicalPlan) -> Result<Rel, Refusal> {
        self.rows(plan)
    }

    pub(crate) fn contract(&self) -> &Contract {
        self.contract
    }

    /// A scalar subquery: its number and type.
    pub(crate) fn scalar(&self, plan: &LogicalPlan) -> Result<Expr, Refusal> {
        let field = match plan.schema().fields().as_ref() {
            [field] => kind(field.data_type()).ok_or_else(|| unsayable("this type"))?,
            _ => {
                return Err(Refusal::new(
                    Rule::Subquery,
                    "a subquery that stands for a value has one column",
                ));
            }
        };
        let post = match self.lower(plan)? {
            Lowered::Released(post) => post,
            Lowered::Rows(rel) if rel.is_private() => {
                return Err(Refusal::new(
                    Rule::Subquery,
                    "a subquery that stands for a value gives an aggregate over all its rows, never a pupil's value",
                )
                .rewrite("(SELECT AVG(x) FROM …)"));
            }
            Lowered::Rows(_) => return Err(public_only()),
        };
        if !self.is_one_row(&post) {
            return Err(Refusal::new(Rule::Subquery, "a subquery that stands for a value has one row")
                .rewrite("leave out its GROUP BY"));
        }
        let mut scalars = self.scalars.borrow_mut();
        let number = scalars.iter().position(|known| *known == post).unwrap_or_else(|| {
            scalars.push(post);
            scalars.len() - 1
        });
        Ok(Expr::Noisy(number, field))
    }

    fn is_one_row(&self, post: &Post) -> bool {
        match post {
            Post::OneRow => true,
            Post::Stage(stage) => self
                .blocks
                .borrow()
                .get(*stage)
                .is_some_and(|block| block.keys.is_empty() && block.sets == Sets::Plain),
            Post::Limit { fetch: Some(0 | 1), .. } => true,
            Post::Group { keys, .. } => keys.is_empty(),
            Post::Keep { input, .. }
            | Post::Columns { input, .. }
            | Post::Order { input, .. }
            | Post::Limit { input, .. }
            | Post::Distinct(input)
            | Post::Window { input, .. } => self.is_one_row(input),
            Post::Set { .. } | Post::Join { .. } => false,
        }
    }
}

/// A subquery that is a condition of its own: IN or EXISTS, and whether it is negated.
fn subquery(conjunct: &df::Expr) -> Option<(bool, &df::Expr)> {
    let (negated, inner) = match conjunct {
        df::Expr::Not(inner) => (true, inner.as_ref()),
        other => (false, other),
    };
    matches!(inner, df::Expr::InSubquery(_) | df::Expr::Exists(_)).then_some((negated, inner))
}

/// Whether a condition reads columns of both sides of a join, and nothing else.
fn compares_sides(conjunct: &df::Expr, join: &plan::Join) -> bool {
    let columns = conjunct.column_refs();
    let of = |side: &LogicalPlan| columns.iter().filter(|c| side.schema().index_of_column(c).is_ok()).count();
    let (left, right) = (of(&join.left), of(&join.right));
    subquery(conjunct).is_none() && left > 0 && right > 0 && left + right == columns.len()
}

/// Numbers the readings of tables, in the order of the tree: equal trees get equal numbers.
fn number_scans(rel: &mut Rel, next: &mut usize) {
    match rel {
        Rel::Scan(scan) => {
            scan.columns.iter_mut().for_each(|field| field.scan = *next);
            *next += 1;
        }
        Rel::Values(..) => {}
        Rel::Filter { input, .. }
        | Rel::Project { input, .. }
        | Rel::Group { input, .. }
        | Rel::Window { input, .. }
        | Rel::Distinct(input) => number_scans(input, next),
        Rel::Join { left, right, .. } => {
            number_scans(left, next);
            number_scans(right, next);
        }
        Rel::Union(inputs) => inputs.iter_mut().for_each(|input| number_scans(input, next)),
    }
}

pub(crate) fn and(conditions: Vec<Expr>) -> Option<Expr> {
    let both = |all, one| Expr::Binary(crate::tree::Binary::And, Box::new(all), Box::new(one));
    conditions.into_iter().reduce(both)
}

/// A name that the question quotes is left out: a person may stand there.
pub(crate) fn pupil_shown(name: Option<&str>) -> Refusal {
    const WHY: &str = "names the pupil: it can be counted and joined on, never shown, compared or grouped by";
    match name {
        Some(name) => Refusal::new(Rule::PupilColumn, format!("`{name}` {WHY}"))
            .rewrite(format!("COUNT(DISTINCT {name})")),
        None => {
            Refusal::new(Rule::PupilColumn, format!("this column {WHY}")).rewrite("COUNT(DISTINCT …) of it")
        }
    }
}

fn mixed() -> Refusal {
    Refusal::new(
        Rule::Subquery,
        "rows of pupils and a table of noisy results are not joined, united or compared in one question",
    )
    .rewrite("ask for the results first and write them into the next question, or compare with one value: x > (SELECT AVG(x) FROM …)")
}

pub(crate) fn public_only() -> Refusal {
    Refusal::new(Rule::PublicOnly, "no table of pupils is asked about; public tables are published as files")
        .rewrite("join the public table to a private one")
}
