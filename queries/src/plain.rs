//! [`Plain`]: a question whose answer is one released table as it is, so that its cells can be set beside those of
//! other questions.

use std::collections::{BTreeMap, BTreeSet};

use disclosure_rules::Value;
use disclosure_rules::measure::{Aggregate, Quantity};
use sha2::{Digest, Sha256};

use crate::plan::{PrivatePlan, Stage};
use crate::post::Post;
use crate::tree::{Binary, Expr, Field, Literal, Rel};

/// A question in words that two questions can share: which rows, by which keys, what is counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Plain {
    /// What is read, before the conditions: a table, or several with the digest of how they are read.
    pub relation: String,
    /// Keys that a condition sets to one value.
    pub fixed: BTreeMap<String, Value>,
    /// The other conditions.
    pub conditions: BTreeSet<String>,
    /// Names of the keys: `table.column`, or an expression in the words of its tree.
    pub keys: Vec<String>,
    /// The answer's columns, in their order.
    pub columns: Vec<PlainColumn>,
    /// Whether every group is in the answer: keys are public, and no HAVING or LIMIT leaves rows out.
    pub complete: bool,
    /// Whether a pupil has one row in a group at most, so that rows and pupils are the same.
    pub one_row: bool,
    /// Whether a pupil is in one group at most, so that pupils add up.
    pub one_group: bool,
}

/// What a column of the answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlainColumn {
    /// The key of that number.
    Key(usize),
    /// The number of rows; of those with a value, where an argument is named.
    Rows(Option<String>),
    /// The number of pupils; of those with a value, where an argument is named.
    Pupils(Option<String>),
    /// Anything else.
    Other,
}

/// Why an answer is not one released table as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPlain {
    /// Subqueries of their own, or set operations of results.
    #[error("several results inside the question")]
    Stages,
    /// Subtotals are post-processed.
    #[error("grouping sets")]
    GroupingSets,
    /// Which rows count was found privately.
    #[error("a bound that was found privately")]
    Automatic,
    /// Joins, windows or aggregates of results.
    #[error("results computed from results")]
    Computed,
}

impl PrivatePlan {
    /// The question, where its answer is one released table: columns chosen, renamed and reordered, rows reordered or
    /// left out, and nothing else.
    pub fn plain(&self) -> Result<Plain, NotPlain> {
        let [stage] = self.stages() else { return Err(NotPlain::Stages) };
        if stage.grouping_ids.is_some() || stage.groupings.len() != 1 {
            return Err(NotPlain::GroupingSets);
        }
        if stage.automatic.is_some() {
            return Err(NotPlain::Automatic);
        }
        let (columns, whole) = columns(self.post(), stage)?;
        let contribution = stage.groupings[0].contribution;
        let (base, predicates) = unfiltered(&stage.source);
        let fields = stage.source.fields();
        let mut plain = Plain {
            relation: relation(base),
            fixed: BTreeMap::new(),
            conditions: BTreeSet::new(),
            keys: stage.keys.iter().map(|key| name(key, &fields)).collect(),
            columns,
            complete: whole && !stage.has_unknown_keys(),
            one_row: contribution.rows_per_group == 1,
            one_group: contribution.groups == 1,
        };
        for predicate in predicates {
            for conjunct in predicate.conjuncts() {
                match equal(conjunct, &fields) {
                    // A second value for the same key makes no rows; it stays a condition.
                    Some((key, value)) if !plain.fixed.contains_key(&key) => {
                        plain.fixed.insert(key, value);
                    }
                    _ => {
                        plain.conditions.insert(name(conjunct, &fields));
                    }
                }
            }
        }
        Ok(plain)
    }
}

/// What the columns of the answer are, and whether all rows are in it.
fn columns(post: &Post, stage: &Stage) -> Result<(Vec<PlainColumn>, bool), NotPlain> {
    match post {
        Post::Stage(_) => {
            let keys = (0..stage.keys.len()).map(PlainColumn::Key);
            let fields = stage.source.fields();
            let measure = |measure: &crate::plan::MeasureColumn| {
                let Aggregate::Count(component) = measure.measure.aggregate else {
                    return PlainColumn::Other;
                };
                let component = stage.components[component];
                if component.with.is_some() {
                    return PlainColumn::Other;
                }
                let argument = component.argument.map(|argument| name(&stage.arguments[argument], &fields));
                match component.quantity {
                    Quantity::Rows => PlainColumn::Rows(argument),
                    Quantity::Pupils => PlainColumn::Pupils(argument),
                    _ => PlainColumn::Other,
                }
            };
            Ok((keys.chain(stage.measures.iter().map(measure)).collect(), true))
        }
        Post::Columns { input, columns: chosen } => {
            let (input, whole) = columns(input, stage)?;
            let column = |expr: &Expr| match expr {
                Expr::Column(index, _) => input.get(*index).cloned().unwrap_or(PlainColumn::Other),
                _ => PlainColumn::Other,
            };
            Ok((chosen.iter().map(|(_, expr)| column(expr)).collect(), whole))
        }
        Post::Order { input, .. } => columns(input, stage),
        Post::Keep { input, .. } | Post::Limit { input, .. } => Ok((columns(input, stage)?.0, false)),
        _ => Err(NotPlain::Computed),
    }
}

/// A relation without the conditions on top of it. Columns keep their numbers.
fn unfiltered(rel: &Rel) -> (&Rel, Vec<&Expr>) {
    match rel {
        Rel::Filter { input, predicate } => {
            let (base, mut predicates) = unfiltered(input);
            predicates.push(predicate);
            (base, predicates)
        }
        // What only chooses columns reads the same rows.
        Rel::Project { input, columns } if bare(columns) && matches!(unfiltered(input).1.as_slice(), []) => {
            unfiltered(input)
        }
        base => (base, vec![]),
    }
}

fn bare(columns: &[Expr]) -> bool {
    columns.iter().all(|column| matches!(column, Expr::Column(..)))
}

/// A table by its name; anything else by its tables, and a digest of the tree that tells it from others.
fn relation(rel: &Rel) -> String {
    if let Rel::Scan(scan) = rel {
        return scan.table.clone();
    }
    let tables: Vec<&str> = rel.scans().into_iter().map(|scan| scan.table.as_str()).collect();
    let digest: String =
        Sha256::digest(format!("{rel:?}")).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} ({digest})", tables.join(", "))
}

/// An expression in words that do not depend on how columns are numbered here.
fn name(expr: &Expr, fields: &[Field]) -> String {
    if let Expr::Column(index, _) = expr {
        let field = &fields[*index];
        return match (field.table.as_str(), field.scan) {
            ("", _) => format!("column {index}"),
            (table, 0) => format!("{table}.{}", field.column),
            (table, scan) => format!("{table}#{scan}.{}", field.column),
        };
    }
    let columns: Vec<String> =
        expr.columns().into_iter().map(|i| name(&Expr::Column(i, memoranda::Kind::Text), fields)).collect();
    let numbered = expr.columns();
    let place = |index: usize| numbered.iter().position(|column| *column == index).unwrap_or(index);
    // Sorted by name, so that the numbers say nothing of this question's own order.
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by(|a, b| columns[*a].cmp(&columns[*b]));
    let rank = |index: usize| order.iter().position(|at| *at == place(index)).unwrap_or(index);
    let names: Vec<&str> = order.iter().map(|at| columns[*at].as_str()).collect();
    format!("{:?} over {}", expr.renumber(&rank), names.join(", "))
}

/// `key = constant`, either way round.
fn equal(expr: &Expr, fields: &[Field]) -> Option<(String, Value)> {
    let Expr::Binary(Binary::Equal, left, right) = expr else { return None };
    match (left.as_ref(), right.as_ref()) {
        (key @ Expr::Column(..), Expr::Literal(Literal::Value(value)))
        | (Expr::Literal(Literal::Value(value)), key @ Expr::Column(..))
            if *value != Value::Null =>
        {
            Some((name(key, fields), value.clone()))
        }
        _ => None,
    }
}
