//! The bounds of one question, and why they are these.

use super::dependencies::Columns;
use super::{Facts, counted};
use crate::tree::Expr;

/// What one pupil can have at most; `None` where nothing bounds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Rows.
    pub(crate) rows: Option<u64>,
    /// Rows in one group.
    pub(crate) rows_per_group: Option<u64>,
    /// Groups.
    pub(crate) groups: Option<u64>,
    /// Why, one sentence each.
    pub(crate) why: Vec<String>,
}

/// For one set of group keys over the relation, the smallest bounds that the facts justify.
pub(crate) fn bound(facts: &Facts, keys: &[Expr]) -> Bound {
    let (facts, places) = facts.clone().with(keys);
    let (none, keys): (Columns, Columns) = (Columns::new(), places.into_iter().collect());
    let mut why = Vec::new();
    let rows = facts.agreeing(&none);
    match &rows {
        Some(found) => {
            let most = counted(found.rows, "row");
            why.push(format!("at most {most} per pupil: {}", reasons(&found.why)));
        }
        None => why.push("nothing bounds the rows of one pupil".to_owned()),
    }
    let within = facts.agreeing(&keys);
    if let Some(found) = within.as_ref().filter(|_| !keys.is_empty()) {
        let most = counted(found.rows, "row");
        if rows.as_ref().is_none_or(|rows| found.rows < rows.rows) {
            why.push(format!("at most {most} per pupil and group: {}", reasons(&found.why)));
        }
    }
    let combinations = facts.ways(&keys, &none);
    if let Some((ways, counted_by)) = combinations.as_ref().filter(|_| !keys.is_empty()) {
        let most = counted(*ways, "group");
        if *ways == 1 {
            let names: Vec<String> = keys.iter().map(|index| facts.name(*index)).collect();
            let verb = if names.len() == 1 { "is" } else { "are" };
            why.push(format!("{} {verb} the same in all rows of a pupil: 1 group", names.join(", ")));
        } else if rows.as_ref().is_none_or(|rows| *ways < rows.rows) {
            why.push(format!("at most {most} per pupil: {}", reasons(&facts.why_values(counted_by))));
        }
    }
    let at_least_one = |count: u64| count.max(1);
    let rows = rows.map(|found| at_least_one(found.rows));
    Bound {
        rows,
        rows_per_group: within.map(|found| at_least_one(found.rows)),
        groups: [rows, combinations.map(|(ways, _)| at_least_one(ways))].into_iter().flatten().min(),
        why,
    }
}

fn reasons(why: &[String]) -> String {
    let mut said: Vec<&str> = Vec::new();
    for reason in why {
        if !said.contains(&reason.as_str()) {
            said.push(reason);
        }
    }
    said.join("; ")
}
