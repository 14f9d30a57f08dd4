//! Tree → DataFusion. Every emitted expression is total: it has a value or NULL for every row, never an error.

mod expr;
mod rel;

use std::sync::Arc;

use datafusion::common::{Column, DataFusionError, Result, ScalarValue, TableReference};
use datafusion::logical_expr::{self as df, LogicalPlan, LogicalPlanBuilder, TableSource, lit};
use disclosure_rules::measure::{Component, Quantity};

pub use crate::catalog::data_type;
use crate::plan::Stage;
use crate::tree::{Expr, Literal};
pub(crate) use expr::{NANOSECOND_DAYS, scalar};
use expr::{null, null_if};

/// Stored column with the pupil's pseudonym: 16 bytes, ascending within a partition.
pub const UNIT: &str = "__unit";
/// Stored column with the number of the row within its pupil.
pub const ROW: &str = "__row";

/// Finds a table's source by its name in the contract.
pub type Tables<'a> = &'a dyn Fn(&str) -> Result<Arc<dyn TableSource>>;

/// The rows of a stage, ready to be bounded and added up: pseudonym, then the keys `k0`, `k1`, …, then the arguments
/// `a0`, `a1`, … Boolean arguments become 0 and 1, other non-numbers 1 where present, except those whose different
/// values are counted.
///
/// `bindings` are the values of the scalar subqueries. A plan over the parts of pupils is right where each part holds
/// whole pupils: nothing in it mixes the rows of two.
pub fn source(stage: &Stage, bindings: &[Literal], tables: Tables<'_>) -> Result<LogicalPlan> {
    let mut emitter = Emitter::new(tables, bindings);
    let rows = emitter.rel(stage.source())?;
    let unit = rows.unit.clone().ok_or_else(|| DataFusionError::Plan("no private table".to_owned()))?;
    let emitter = emitter.over(rows.columns);
    let mut columns: Vec<df::Expr> = vec![unit.alias(UNIT)];
    for (i, key) in stage.keys().iter().enumerate() {
        columns.push(emitter.expr(key)?.alias(format!("k{i}")));
    }
    for (i, argument) in stage.arguments().iter().enumerate() {
        let counted =
            |component: &Component| component.quantity == Quantity::Distinct && component.argument == Some(i);
        let value = if stage.components().iter().any(counted) {
            emitter.expr(argument)?
        } else {
            emitter.argument(argument)?
        };
        columns.push(value.alias(format!("a{i}")));
    }
    LogicalPlanBuilder::from(rows.plan).project(columns)?.build()
}

/// The public keys of a stage, one row per key; `None` where they are unknown. Reads public tables only.
pub fn public_keys(stage: &Stage, tables: Tables<'_>) -> Result<Option<LogicalPlan>> {
    let Some((rel, keys)) = stage.key_domain() else { return Ok(None) };
    let mut emitter = Emitter::new(tables, &[]);
    let rows = emitter.rel(rel)?;
    let emitter = emitter.over(rows.columns);
    // NULLIF(key, NULL) is the key. DataFusion's logical and physical plans disagree on whether an expression such
    // as IS TRUE may be missing, and DISTINCT fails on that; of NULLIF both say that it may.
    let key = |(i, key): (usize, &Expr)| {
        let nothing = key.kind().map_or(Ok(ScalarValue::Null), null)?;
        Ok(null_if(emitter.expr(key)?, lit(nothing))?.alias(format!("k{i}")))
    };
    let keys = keys.iter().enumerate().map(key);
    let keys = keys.collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(rows.plan).project(keys)?.distinct()?.build().map(Some)
}

/// Emits expressions over the columns of one relation.
pub(crate) struct Emitter<'a> {
    tables: Tables<'a>,
    bindings: &'a [Literal],
    columns: Vec<df::Expr>,
    relations: usize,
}

/// An emitted relation: its columns, and the column with its pupil.
struct Rows {
    plan: LogicalPlan,
    columns: Vec<df::Expr>,
    unit: Option<df::Expr>,
}

fn qualified(table: &str, column: &str) -> df::Expr {
    df::Expr::Column(Column::new(Some(TableReference::bare(table)), column))
}

impl<'a> Emitter<'a> {
    fn new(tables: Tables<'a>, bindings: &'a [Literal]) -> Emitter<'a> {
        Emitter { tables, bindings, columns: Vec::new(), relations: 0 }
    }

    /// An emitter for expressions over one relation whose columns are named `c0`, `c1`, …
    pub(crate) fn over_columns(count: usize, tables: Tables<'a>) -> Emitter<'a> {
        let columns =
            (0..count).map(|i| df::Expr::Column(Column::new_unqualified(format!("c{i}")))).collect();
        Emitter { tables, bindings: &[], columns, relations: 0 }
    }

    /// The same for expressions over these columns.
    fn over(&self, columns: Vec<df::Expr>) -> Emitter<'a> {
        Emitter { tables: self.tables, bindings: self.bindings, columns, relations: self.relations }
    }
}
