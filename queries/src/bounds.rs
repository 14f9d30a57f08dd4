//! Lineage and contribution: the most rows that one pupil can have in a block's source, in all and per group.

use std::collections::BTreeSet;

use disclosure_rules::sensitivity::Contribution;
use memoranda::{Contract, Lineage, Table};

use crate::finite;
use crate::lower::Block;
use crate::refusal::{Refusal, Rule};
use crate::tree::{Binary, Expr, Field, JoinKind, Rel};
use crate::verify::Options;

/// The bounds that the contract justifies, tightened by what the request asks for.
pub(crate) fn contribution(
    block: &Block,
    contract: &Contract,
    options: &Options,
) -> Result<Contribution, Refusal> {
    let fields = block.source.fields();
    let (start, table) = private_table(&block.source, contract)
        .ok_or_else(|| Refusal::new(Rule::PublicOnly, "no table of pupils is asked about"))?;
    let known =
        if fans_out(&block.source, contract, &[]) { None } else { declared(block, &fields, start, table) };
    let rows = match (known.map(|k| k.rows), options.rows_per_unit) {
        (Some(known), Some(asked)) => known.min(asked),
        (Some(known), None) => known,
        (None, Some(asked)) => asked,
        (None, None) => {
            return Err(Refusal::new(
                Rule::Contribution,
                format!(
                    "neither the contract nor the request bounds the rows that one pupil can have in `{}`",
                    table.name
                ),
            )
            .rewrite("name a bound: `--rows-per-unit N`; rows beyond it are left out"));
        }
    };
    let per_group = known.map_or(rows, |k| k.rows_per_group);
    let groups = if block.keys.is_empty() { 1 } else { key_combinations(block, &fields).unwrap_or(rows) };
    let groups = options.groups_per_unit.map_or(groups, |asked| groups.min(asked));
    Ok(Contribution::new(rows, per_group, groups))
}

/// The private table and the number of its first column.
fn private_table<'a>(source: &Rel, contract: &'a Contract) -> Option<(usize, &'a Table)> {
    let mut start = 0;
    for scan in source.scans() {
        if !scan.public {
            return contract.table(&scan.table).map(|table| (start, table));
        }
        start += scan.columns.len();
    }
    None
}

/// All conditions that every row of the source satisfies.
pub(crate) fn conditions(source: &Rel) -> Vec<Expr> {
    match source {
        Rel::Scan(_) | Rel::Values(..) => vec![],
        Rel::Filter { input, predicate } => {
            let mut all = conditions(input);
            all.extend(predicate.conjuncts().into_iter().cloned());
            all
        }
        Rel::Join { left, right, kind, on } => {
            let shift = left.fields().len();
            // What holds on a side that may be missing does not hold of every row.
            let mut all = if *kind == JoinKind::Right { vec![] } else { conditions(left) };
            if *kind != JoinKind::Left {
                all.extend(conditions(right).iter().map(|c| c.renumber(&|i| i + shift)));
            }
            if *kind == JoinKind::Inner {
                all.extend(on.iter().flat_map(|on| on.conjuncts().into_iter().cloned()));
            }
            all
        }
    }
}

/// All conditions that stand anywhere in the source, whether or not every row satisfies them.
pub(crate) fn mentioned(source: &Rel) -> Vec<Expr> {
    match source {
        Rel::Scan(_) | Rel::Values(..) => vec![],
        Rel::Filter { input, predicate } => {
            let mut all = mentioned(input);
            all.push(predicate.clone());
            all
        }
        Rel::Join { left, right, on, .. } => {
            let shift = left.fields().len();
            let mut all = mentioned(left);
            all.extend(mentioned(right).iter().map(|c| c.renumber(&|i| i + shift)));
            all.extend(on.clone());
            all
        }
    }
}

/// Per scan, whether an outer join may leave its columns without a row.
pub(crate) fn optional(source: &Rel) -> Vec<bool> {
    match source {
        Rel::Scan(_) => vec![false],
        Rel::Values(..) => vec![],
        Rel::Filter { input, .. } => optional(input),
        Rel::Join { left, right, kind, .. } => {
            let side = |rel: &Rel, made: JoinKind| -> Vec<bool> {
                optional(rel).into_iter().map(|optional| optional || *kind == made).collect()
            };
            [side(left, JoinKind::Right), side(right, JoinKind::Left)].concat()
        }
    }
}

/// Whether some join may pair one row of the private side with several rows of a public one: it does not, where
/// the condition fixes every column of the public table's primary key.
///
/// `outer` are the conditions of what is around the source that read nothing but its columns.
fn fans_out(source: &Rel, contract: &Contract, outer: &[Expr]) -> bool {
    match source {
        Rel::Scan(_) | Rel::Values(..) => false,
        Rel::Filter { input, predicate } => {
            let all: Vec<Expr> = outer.iter().chain(predicate.conjuncts()).cloned().collect();
            fans_out(input, contract, &all)
        }
        Rel::Join { left, right, on, .. } => {
            let left_private = left.scans().iter().any(|scan| !scan.public);
            let (private, public) = if left_private { (left, right) } else { (right, left) };
            let (start, private_start) =
                if left_private { (left.fields().len(), 0) } else { (0, left.fields().len()) };
            let own = start..start + public.fields().len();
            let all: Vec<&Expr> = outer.iter().chain(on.iter().flat_map(|on| on.conjuncts())).collect();
            let fixed: BTreeSet<usize> = all.iter().filter_map(|c| fixes(c, &own)).collect();
            let whole_key = match public.scans().as_slice() {
                [scan] => {
                    let key = contract
                        .table(&scan.table)
                        .map(|table| table.primary_key.as_slice())
                        .unwrap_or_default();
                    let position =
                        |name: &String| scan.columns.iter().position(|field| field.column == *name);
                    !key.is_empty()
                        && key.iter().all(|name| position(name).is_some_and(|i| fixed.contains(&(start + i))))
                }
                _ => false,
            };
            let of_private: Vec<Expr> = outer
                .iter()
                .filter(|c| c.columns().iter().all(|index| !own.contains(index)))
                .map(|c| c.renumber(&|index| index - private_start))
                .collect();
            !whole_key || fans_out(private, contract, &of_private)
        }
    }
}

/// The column among `own` that a condition sets equal to something of the other side, or to a constant.
fn fixes(condition: &Expr, own: &std::ops::Range<usize>) -> Option<usize> {
    let Expr::Binary(Binary::Equal, left, right) = condition else { return None };
    let column = |expr: &Expr| match expr {
        Expr::Column(index, _) if own.contains(index) => Some(*index),
        _ => None,
    };
    let elsewhere = |expr: &Expr| expr.columns().iter().all(|index| !own.contains(index));
    match (column(left), column(right)) {
        (Some(index), None) if elsewhere(right) => Some(index),
        (None, Some(index)) if elsewhere(left) => Some(index),
        _ => None,
    }
}

#[derive(Clone, Copy)]
struct Declared {
    rows: u64,
    rows_per_group: u64,
}

/// What the contract's own row bound and primary key say, narrowed by the conditions on single columns.
///
/// Of a primary key (pupil, grade) with four grades, a pupil has at most four rows; where grade is fixed by a
/// condition, or within a group by grade, at most one.
fn declared(block: &Block, fields: &[Field], start: usize, table: &Table) -> Option<Declared> {
    let most = table.max_rows_per_unit.map(|rows| rows.0);
    let conditions = conditions(&block.source);
    let values_of = |name: &String| -> Option<u64> {
        let visible = fields
            .iter()
            .enumerate()
            .skip(start)
            .find(|(_, field)| field.table == table.name && field.column == *name);
        match visible {
            Some((index, field)) => {
                let own: Vec<&Expr> = conditions.iter().filter(|c| c.columns() == [index]).collect();
                finite::surviving(index, field, &own)
            }
            None => table.column(name)?.public_values().map(|values| values.len() as u64),
        }
    };
    let is_key = |name: &String| {
        let column = |key: &Expr| match key {
            Expr::Column(index, _) => {
                *index >= start && fields[*index].table == table.name && fields[*index].column == *name
            }
            _ => false,
        };
        block.keys.iter().any(column)
    };
    let by_key = match &table.lineage {
        Lineage::Column(unit) if table.primary_key.contains(unit) => {
            let product = |columns: &mut dyn Iterator<Item = &String>| {
                columns.map(values_of).try_fold(1_u64, |all, n| all.checked_mul(n?))
            };
            let rest = || table.primary_key.iter().filter(|name| *name != unit);
            let all = product(&mut rest());
            let within = product(&mut rest().filter(|name| !is_key(name)));
            Some((all, within))
        }
        _ => None,
    };
    let (all, within) = by_key.unwrap_or((None, None));
    let rows = [most, all].into_iter().flatten().min()?;
    Some(Declared { rows, rows_per_group: within.map_or(rows, |within| within.min(rows)) })
}

/// How many different keys there can be, where every key is a column whose values are listed.
fn key_combinations(block: &Block, fields: &[Field]) -> Option<u64> {
    let conditions = conditions(&block.source);
    let columns: BTreeSet<usize> = block.keys.iter().flat_map(Expr::columns).collect();
    columns.into_iter().try_fold(1_u64, |all, index| {
        let own: Vec<&Expr> = conditions.iter().filter(|c| c.columns() == [index]).collect();
        all.checked_mul(finite::surviving(index, &fields[index], &own)?.max(1))
    })
}
