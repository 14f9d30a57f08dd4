//! Joins of rows, and the subqueries that are joins: IN (SELECT …), EXISTS. Rows of pupils meet rows of the same pupil
//! only.

use datafusion::logical_expr::logical_plan as plan;
use datafusion::logical_expr::{self as df, LogicalPlan};
use memoranda::{Contract, Lineage};

use crate::lower::expr::{Scope, pair, unsayable};
use crate::lower::{Lowering, and};
use crate::refusal::{Refusal, Rule};
use crate::tree::{Binary, Expr, Field, JoinKind, Rel};

/// The condition of a join: equal columns of the pupil, and the rest.
pub(crate) struct On {
    /// Whether some condition says that both sides are of one pupil.
    same_pupil: bool,
    /// Over the columns of both sides.
    rest: Vec<Expr>,
}

impl Lowering<'_> {
    /// The condition of a join in FROM, with what a WHERE around it adds; or of INTERSECT and EXCEPT, where NULL matches
    /// NULL.
    pub(crate) fn row_condition(
        &self,
        join: &plan::Join,
        also: &[&df::Expr],
        left: &Rel,
        right: &Rel,
        set: bool,
    ) -> Result<On, Refusal> {
        let fields = [left.fields(), right.fields()].concat();
        let both = join.left.schema().join(join.right.schema());
        let both = if set { None } else { Some(both.map_err(|_| unsayable("this join"))?) };
        let width = left.fields().len();
        let mut on = On { same_pupil: false, rest: vec![] };
        for (a, b) in &join.on {
            if let Some(both) = &both {
                on.equal(&Scope::rows(self, both, &fields), a, b, set)?;
            } else {
                // The sides of a set operation may use the same names.
                let (left_fields, right_fields) = fields.split_at(width);
                let left_scope = Scope::rows(self, join.left.schema(), left_fields);
                let right_scope = Scope::rows(self, join.right.schema(), right_fields);
                if left_scope.unit_column(a).is_some() && right_scope.unit_column(b).is_some() {
                    on.same_pupil = true;
                } else {
                    let right = right_scope.lower(b)?.renumber(&|index| index + width);
                    on.rest.push(pair(Binary::IsNotDistinct, left_scope.lower(a)?, right));
                }
            }
        }
        if let Some(both) = &both {
            let scope = Scope::rows(self, both, &fields);
            let own = join.filter.iter().flat_map(|filter| df::utils::split_conjunction(filter));
            for conjunct in own.chain(also.iter().copied()) {
                on.conjunct(&scope, conjunct)?;
            }
        }
        Ok(on)
    }

    /// A join of rows.
    pub(crate) fn row_join(&self, left: Rel, right: Rel, kind: JoinKind, on: On) -> Result<Rel, Refusal> {
        let half = matches!(kind, JoinKind::Semi | JoinKind::Anti);
        match (left.is_private(), right.is_private()) {
            (true, true) => {
                let linked = on.same_pupil || self.linked(&left, &right, &on.rest);
                if !linked {
                    return Err(self.unlinked(&left, &right));
                }
            }
            (false, true) if half => {
                return Err(Refusal::new(
                    Rule::Join,
                    "which rows of a public table remain may not depend on rows of pupils",
                )
                .rewrite("start from the private table and join the public one"));
            }
            (private, other) if private != other && !half => {
                let kept = match kind {
                    JoinKind::Inner => true,
                    JoinKind::Left => private,
                    JoinKind::Right => other,
                    _ => false,
                };
                if !kept {
                    return Err(Refusal::new(
                        Rule::Join,
                        "a public table may not keep its unmatched rows beside rows of pupils",
                    )
                    .rewrite("name the private table first and LEFT JOIN the public one, or use INNER JOIN")
                    .near(self.sql, "join"));
                }
            }
            _ => {}
        }
        Ok(Rel::Join { left: Box::new(left), right: Box::new(right), kind, on: and(on.rest) })
    }

    fn unlinked(&self, left: &Rel, right: &Rel) -> Refusal {
        let unit = |rel: &Rel| {
            rel.scans().into_iter().filter(|scan| !scan.public).find_map(|scan| {
                let unit = scan.columns.iter().find(|field| field.unit)?;
                Some((scan.table.clone(), unit.column.clone()))
            })
        };
        let rewrite = match (unit(left), unit(right)) {
            (Some((a, x)), Some((b, y))) if a == b => format!("… AS a JOIN … AS b ON a.{x} = b.{y}"),
            (Some((a, x)), Some((b, y))) => format!("… ON {a}.{x} = {b}.{y}"),
            _ => "join along the pupil's column, or a key that determines the pupil".to_owned(),
        };
        Refusal::new(
            Rule::PrivateJoin,
            "rows of pupils are joined with rows of the same pupil only: the condition must say that the pupil is the same",
        )
        .rewrite(rewrite)
        .near(self.sql, "join")
    }

    /// Whether equal columns mean the same row of a private table, hence the same pupil.
    fn linked(&self, left: &Rel, right: &Rel, on: &[Expr]) -> bool {
        let fields = [left.fields(), right.fields()].concat();
        let width = left.fields().len();
        let contract = self.contract();
        // The pairs of columns that the condition sets equal, each as what they name in a table that has the pupil.
        let mut met: Vec<(String, String)> = Vec::new();
        for condition in on.iter().flat_map(Expr::conjuncts) {
            let Expr::Binary(Binary::Equal | Binary::IsNotDistinct, a, b) = condition else { continue };
            let (Expr::Column(a, _), Expr::Column(b, _)) = (a.as_ref(), b.as_ref()) else { continue };
            if (*a < width) == (*b < width) {
                continue;
            }
            let named = named_rows(&fields[*a], contract);
            met.extend(named.into_iter().filter(|name| named_rows(&fields[*b], contract).contains(name)));
        }
        contract.tables.iter().filter(|table| table.is_private() && !table.primary_key.is_empty()).any(
            |table| {
                table.primary_key.iter().all(|column| met.contains(&(table.name.clone(), column.clone())))
            },
        )
    }

    /// Adds what stands after WHERE as `x IN (SELECT …)` or EXISTS.
    pub(crate) fn subquery(
        &self,
        rel: Rel,
        expr: &df::Expr,
        negated: bool,
        outer: &Scope<'_>,
    ) -> Result<Rel, Refusal> {
        let (plan, compared, negated) = match expr {
            df::Expr::InSubquery(within) => {
                (&within.subquery.subquery, Some(within.expr.as_ref()), negated != within.negated)
            }
            df::Expr::Exists(exists) => (&exists.subquery.subquery, None, negated != exists.negated),
            _ => return Err(unsayable("this subquery")),
        };
        let Correlated { input, projection, conditions } = self.correlated(plan, compared.is_some())?;
        let inner = self.subquery_rows(input)?;
        let inner_fields = inner.fields();
        let scope = Scope::inner(self, input.schema(), &inner_fields, outer);
        let mut on = On { same_pupil: false, rest: vec![] };
        for condition in conditions {
            on.conjunct(&scope, condition)?;
        }
        if let Some(compared) = compared {
            let value = projection.map_or_else(
                || Ok(df::Expr::Column(input.schema().columns().swap_remove(0))),
                |[value]: [df::Expr; 1]| Ok::<_, Refusal>(value),
            )?;
            match (outer.unit_column(compared), scope.unit_column(&value)) {
                (Some(_), Some(_)) => on.same_pupil = true,
                _ => {
                    let (compared, value) = (outer.lower(compared)?, scope.lower(&value)?);
                    let outer_fields = rel.fields();
                    let all = [outer_fields, inner_fields.clone()].concat();
                    let missing = |expr: &Expr| crate::range::nullable(expr, &all);
                    if negated && (missing(&compared) || missing(&value)) {
                        return Err(Refusal::new(
                            Rule::Subquery,
                            "NOT IN with values that may be missing means something else than it says",
                        )
                        .rewrite("NOT EXISTS (SELECT 1 FROM … WHERE …), or add IS NOT NULL on both sides"));
                    }
                    on.rest.push(pair(Binary::Equal, compared, value));
                }
            }
        }
        let kind = if negated { JoinKind::Anti } else { JoinKind::Semi };
        self.row_join(rel, inner, kind, on)
    }

    /// Takes the conditions that read the outer query off a subquery's top.
    fn correlated<'p>(&self, plan: &'p LogicalPlan, one_column: bool) -> Result<Correlated<'p>, Refusal> {
        let mut projection = None;
        let mut conditions = Vec::new();
        let mut node = plan;
        loop {
            match node {
                LogicalPlan::SubqueryAlias(alias) if contains_outer(node) => node = &alias.input,
                LogicalPlan::Projection(p) if contains_outer(node) => {
                    if one_column && projection.is_none() {
                        let [value] = p.expr.as_slice() else {
                            return Err(Refusal::new(Rule::Subquery, "a subquery after IN has one column"));
                        };
                        projection = Some([value.clone().unalias()]);
                    } else if one_column {
                        return Err(too_deep());
                    }
                    node = &p.input;
                }
                // Whether a row is there does not depend on how often.
                LogicalPlan::Distinct(plan::Distinct::All(input)) if contains_outer(node) => node = input,
                LogicalPlan::Filter(filter) if contains_outer(node) => {
                    conditions.extend(df::utils::split_conjunction(&filter.predicate));
                    node = &filter.input;
                }
                _ if contains_outer(node) => return Err(too_deep()),
                _ => break,
            }
        }
        if one_column && projection.is_none() && node.schema().fields().len() != 1 {
            return Err(Refusal::new(Rule::Subquery, "a subquery after IN has one column"));
        }
        Ok(Correlated { input: node, projection, conditions })
    }
}

/// A subquery whose conditions read the query around it.
struct Correlated<'p> {
    input: &'p LogicalPlan,
    /// The value after IN, over `input`; `None` where `input` has it as its only column.
    projection: Option<[df::Expr; 1]>,
    conditions: Vec<&'p df::Expr>,
}

impl On {
    fn conjunct(&mut self, scope: &Scope<'_>, conjunct: &df::Expr) -> Result<(), Refusal> {
        if let df::Expr::BinaryExpr(binary) = conjunct
            && binary.op == df::Operator::Eq
        {
            return self.equal(scope, &binary.left, &binary.right, false);
        }
        self.rest.push(scope.lower(conjunct)?);
        Ok(())
    }

    fn equal(&mut self, scope: &Scope<'_>, a: &df::Expr, b: &df::Expr, null: bool) -> Result<(), Refusal> {
        match (scope.unit_column(a), scope.unit_column(b)) {
            (Some(_), Some(_)) => self.same_pupil = true,
            _ => {
                let op = if null { Binary::IsNotDistinct } else { Binary::Equal };
                self.rest.push(pair(op, scope.lower(a)?, scope.lower(b)?));
            }
        }
        Ok(())
    }
}

/// The rows of private tables that a column's value can name, each as (table, column of its primary key): its own
/// row, and the row that its foreign key refers to, where the pupil is found by that key.
fn named_rows(field: &Field, contract: &Contract) -> Vec<(String, String)> {
    let Some(table) = contract.table(&field.table) else { return vec![] };
    let mut named = Vec::new();
    if table.primary_key.contains(&field.column) {
        named.push((table.name.clone(), field.column.clone()));
    }
    if let Lineage::Via(parent) = &table.lineage {
        for key in table.foreign_keys.iter().filter(|key| key.table == *parent) {
            let columns = key.columns.iter().zip(&key.references);
            named.extend(
                columns
                    .filter(|(own, _)| **own == field.column)
                    .map(|(_, theirs)| (parent.clone(), theirs.clone())),
            );
        }
    }
    named
}

fn contains_outer(plan: &LogicalPlan) -> bool {
    plan.contains_outer_reference() || plan.inputs().into_iter().any(contains_outer)
}

fn too_deep() -> Refusal {
    Refusal::new(
        Rule::Subquery,
        "a subquery may read the query around it in its own WHERE only, without GROUP BY, joins or windows above it",
    )
    .rewrite("join a subquery that is grouped by the pupil: LEFT JOIN (SELECT pupil, COUNT(*) AS n FROM … GROUP BY pupil) …")
}
