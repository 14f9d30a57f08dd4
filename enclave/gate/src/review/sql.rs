//! What the log's SQL has in common: the same question up to its constants, and conditions that grow.

use std::collections::{BTreeMap, BTreeSet};

use sqlparser::ast::{BinaryOperator, Expr, Query, Select, SetExpr, TableFactor};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

/// Selects inside one another that are looked into.
const DEEPEST: usize = 16;
/// Different conditions that are compared, those of fewest parts first: beyond it there is no want of patterns.
const MOST_SETS: usize = 2_000;

/// SQL without its constants, letter case and white space.
pub(crate) fn shape(sql: &str) -> String {
    let mut out = String::new();
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = match c {
            '\'' => rest[1..].find('\'').map_or(rest.len(), |end| end + 2),
            c if c.is_ascii_digit() => rest.find(|c: char| !word(c) && c != '.').unwrap_or(rest.len()),
            c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        match c {
            c if c.is_whitespace() => out.push(' '),
            '\'' => out.push('?'),
            c if c.is_ascii_digit() => out.push('?'),
            _ => out.push_str(&token.to_lowercase()),
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The query of one statement; `None` where it does not read, as where a text was masked in an odd place.
pub(crate) fn parse(sql: &str) -> Option<Query> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, sql).ok()?;
    match (statements.pop()?, statements.is_empty()) {
        (sqlparser::ast::Statement::Query(query), true) => Some(*query),
        _ => None,
    }
}

/// What one SELECT reads, and under which conditions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Narrowed {
    /// FROM, in lower case.
    pub(crate) from: String,
    /// The conjuncts of WHERE.
    pub(crate) conditions: BTreeSet<String>,
}

/// Every SELECT of a question that reads something.
pub(crate) fn narrowed(sql: &str) -> Vec<Narrowed> {
    let mut found = Vec::new();
    if let Some(query) = parse(sql) {
        each_select(&query, DEEPEST, &mut |select| {
            let from: Vec<String> = select.from.iter().map(ToString::to_string).collect();
            if from.is_empty() {
                return;
            }
            let mut conditions = BTreeSet::new();
            if let Some(selection) = &select.selection {
                conjuncts(selection, &mut |expr| {
                    conditions.insert(expr.to_string());
                });
            }
            found.push(Narrowed { from: from.join(", ").to_lowercase(), conditions });
        });
    }
    found
}

/// The parts of a condition that all have to hold.
pub(crate) fn conjuncts<'e>(expr: &'e Expr, each: &mut dyn FnMut(&'e Expr)) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(left, each);
            conjuncts(right, each);
        }
        Expr::Nested(inner) => conjuncts(inner, each),
        other => each(other),
    }
}

fn each_select<'q>(query: &'q Query, depth: usize, each: &mut dyn FnMut(&'q Select)) {
    let Some(depth) = depth.checked_sub(1) else { return };
    for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
        each_select(&cte.query, depth, each);
    }
    each_of(&query.body, depth, each);
}

fn each_of<'q>(body: &'q SetExpr, depth: usize, each: &mut dyn FnMut(&'q Select)) {
    match body {
        SetExpr::Select(select) => {
            each(select);
            for table in &select.from {
                let joined = table.joins.iter().map(|join| &join.relation);
                for factor in std::iter::once(&table.relation).chain(joined) {
                    if let TableFactor::Derived { subquery, .. } = factor {
                        each_select(subquery, depth, each);
                    }
                }
            }
        }
        SetExpr::Query(query) => each_select(query, depth, each),
        SetExpr::SetOperation { left, right, .. } => {
            each_of(left, depth, each);
            each_of(right, depth, each);
        }
        _ => {}
    }
}

/// The longest chain of questions of which each narrows the one before: the same FROM, and one condition more or
/// several. Its leaves, the widest first, and the conditions of the last.
pub(crate) fn longest_chain(asked: &[(u64, Vec<Narrowed>)]) -> (Vec<u64>, BTreeSet<String>) {
    // The first question that asked under these conditions stands for all that did.
    let mut first: BTreeMap<&Narrowed, u64> = BTreeMap::new();
    for (leaf, selects) in asked {
        for select in selects {
            first.entry(select).or_insert(*leaf);
        }
    }
    let mut sets: Vec<(&Narrowed, u64)> = first.into_iter().collect();
    sets.sort_by_key(|(narrowed, leaf)| (narrowed.conditions.len(), *leaf));
    sets.truncate(MOST_SETS);
    let mut best: Vec<Vec<usize>> = Vec::new();
    for (i, (narrow, _)) in sets.iter().enumerate() {
        let wider = |j: &usize| {
            let (wide, _) = sets[*j];
            wide.from == narrow.from
                && wide.conditions.len() < narrow.conditions.len()
                && wide.conditions.is_subset(&narrow.conditions)
        };
        let before = (0..i).filter(wider).rev().max_by_key(|j| best[*j].len());
        let mut chain = before.map_or_else(Vec::new, |j| best[j].clone());
        chain.push(i);
        best.push(chain);
    }
    let longest = best.into_iter().rev().max_by_key(Vec::len).unwrap_or_default();
    let conditions = longest.last().map(|last| sets[*last].0.conditions.clone()).unwrap_or_default();
    (longest.into_iter().map(|i| sets[i].1).collect(), conditions)
}

#[cfg(test)]
mod tests {
    use super::{longest_chain, narrowed, shape};

    #[test]
    fn constants_make_no_other_shape() {
        let one = shape("SELECT gr, COUNT(*) FROM results WHERE math > 480.5 AND gr = 'K' GROUP BY gr");
        assert_eq!(one, "select gr, count(*) from results where math > ? and gr = ? group by gr");
        assert_eq!(shape("select  GR, count(*)\nfrom results where math > 1 and gr = '1' group by gr"), one);
        assert_ne!(shape("SELECT gr, COUNT(*) FROM results WHERE read > 1 AND gr = 'K' GROUP BY gr"), one);
    }

    #[test]
    fn conditions_that_grow_are_a_chain() {
        let asked = |conditions: &[&str]| -> Vec<(u64, Vec<super::Narrowed>)> {
            let sql = |condition: &&str| narrowed(&format!("SELECT COUNT(*) FROM results {condition}"));
            conditions.iter().enumerate().map(|(i, condition)| (i as u64, sql(condition))).collect()
        };
        let growing = asked(&[
            "WHERE sx = 'F'",
            "WHERE gr = 'K'",
            "WHERE gr = 'K' AND sx = 'F'",
            "WHERE (sx = 'F' AND eth = 'A') AND gr = 'K'",
        ]);
        let (leaves, conditions) = longest_chain(&growing);
        assert_eq!(leaves, [0, 2, 3]);
        assert_eq!(conditions.len(), 3);
        let apart = asked(&["WHERE sx = 'F'", "WHERE gr = 'K'", "WHERE gr = 'K' OR sx = 'F'"]);
        assert_eq!(longest_chain(&apart).0.len(), 1);
    }
}
