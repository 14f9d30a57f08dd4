//! What holds of every row of a relation, and which columns its rows are chosen by.

use std::collections::BTreeSet;

use crate::tree::{Binary, Expr, Field, JoinKind, Rel};

/// All conditions over the relation's columns that every row satisfies.
pub(crate) fn conditions(rel: &Rel) -> Vec<Expr> {
    match rel {
        Rel::Scan(_) | Rel::Values(..) | Rel::Union(_) => vec![],
        Rel::Filter { input, predicate } => {
            let mut all = conditions(input);
            all.extend(predicate.conjuncts().into_iter().cloned());
            all
        }
        Rel::Distinct(input) => conditions(input),
        Rel::Window { input, .. } => conditions(input),
        Rel::Project { input, columns } => passed_on(&conditions(input), columns),
        Rel::Group { input, keys, .. } => passed_on(&conditions(input), keys),
        Rel::Join { left, right, kind, on } => {
            let shift = left.fields().len();
            // What holds on a side that may be missing does not hold of every row.
            let mut all = match kind {
                JoinKind::Right | JoinKind::Full => vec![],
                _ => conditions(left),
            };
            if matches!(kind, JoinKind::Inner | JoinKind::Right) {
                all.extend(conditions(right).iter().map(|c| c.renumber(&|i| i + shift)));
            }
            if *kind == JoinKind::Inner {
                all.extend(on.iter().flat_map(|on| on.conjuncts().into_iter().cloned()));
            }
            all
        }
    }
}

/// The conditions whose columns are all passed on as they are.
fn passed_on(conditions: &[Expr], columns: &[Expr]) -> Vec<Expr> {
    let place = |index: usize| {
        columns.iter().position(|column| matches!(column, Expr::Column(own, _) if *own == index))
    };
    let kept = |condition: &&Expr| condition.columns().into_iter().all(|index| place(index).is_some());
    let kept = conditions.iter().filter(kept);
    kept.map(|condition| condition.renumber(&|index| place(index).unwrap_or(index))).collect()
}

/// Columns of the contract, as (table, column).
pub(crate) type Columns = BTreeSet<(String, String)>;

/// The columns of the contract behind an expression over a relation's columns.
pub(crate) fn origins(expr: &Expr, fields: &[Field]) -> Columns {
    let fields = expr.columns().into_iter().filter_map(|index| fields.get(index));
    fields.flat_map(|field| field.origins.iter().cloned()).collect()
}

/// The columns by which the relation's rows are chosen, matched, grouped or ordered, at any depth. That two stored
/// columns are equal chooses no row for what it says.
pub(crate) fn choosing(rel: &Rel) -> Columns {
    let mut all: Columns = rel.inputs().into_iter().flat_map(choosing).collect();
    let own = match rel {
        Rel::Project { .. } => vec![],
        Rel::Group { keys, calls, .. } => {
            keys.iter().chain(calls.iter().filter_map(|call| call.filter.as_ref())).collect()
        }
        Rel::Window { calls, .. } => calls
            .iter()
            .flat_map(|call| call.partition.iter().chain(call.order.iter().map(|key| &key.by)))
            .collect(),
        Rel::Join { on: Some(on), .. } => {
            let fields = input_fields(rel);
            let stored = |expr: &Expr| matches!(expr, Expr::Column(i, _) if !fields[*i].origins.is_empty());
            let matches = |on: &&Expr| matches!(on, Expr::Binary(Binary::Equal, left, right) if stored(left) && stored(right));
            on.conjuncts().into_iter().filter(|on| !matches(on)).collect()
        }
        _ => rel.expressions(),
    };
    let fields = input_fields(rel);
    all.extend(
        own.into_iter().flat_map(|expr| origins(expr, &fields)).filter(|column| !is_unit(column, &fields)),
    );
    all
}

fn is_unit(column: &(String, String), fields: &[Field]) -> bool {
    fields.iter().any(|field| field.unit && field.origins.contains(column))
}

/// Every column of the contract that stands in the relation.
pub(crate) fn used(rel: &Rel) -> Columns {
    let fields = input_fields(rel);
    let own = rel.expressions().into_iter().flat_map(|expr| origins(expr, &fields));
    let distinct = match rel {
        Rel::Distinct(_) => fields.iter().flat_map(|field| field.origins.iter().cloned()).collect(),
        _ => Columns::new(),
    };
    own.chain(distinct).chain(rel.inputs().into_iter().flat_map(used)).collect()
}

/// The columns that a node's expressions are over.
fn input_fields(rel: &Rel) -> Vec<Field> {
    rel.inputs().into_iter().flat_map(Rel::fields).collect()
}
