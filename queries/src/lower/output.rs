//! Names and types of the answer's columns.

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{self as df, LogicalPlan};
use memoranda::Kind;

use super::expr::kind;

/// Names of the columns that a plan gives, without the names that the SQL gave its tables: `sum(math)`, whether it
/// was written `SUM(math)` or `SUM(r.math)`.
pub(crate) fn names(plan: &LogicalPlan) -> Vec<String> {
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
        LogicalPlan::Aggregate(aggregate)
            if !aggregate.group_expr.iter().any(|expr| matches!(expr, df::Expr::GroupingSet(_))) =>
        {
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

/// The kinds of the columns that a plan's schema gives; see [`Scope::lower`] for dates.
pub(crate) fn output_kinds(plan: &LogicalPlan) -> Option<Vec<Kind>> {
    let shown = |kind| if kind == Kind::DateTime { Kind::Date } else { kind };
    plan.schema().fields().iter().map(|field| kind(field.data_type()).map(shown)).collect()
}
