//! Principles (基本的な方針): matched on what was verified, not on how it was written.
//!
//! A principle sees the names and tags of the columns behind keys, conditions and measures, at any depth and inside any
//! expression. A condition on a column counts as grouping by it, and so does mixing it into what is measured. A column
//! of a public table says as much as the reference that leads to its row, unless the contract lists its values: the
//! name of a school stands for the school, its kind does not.

use disclosure_rules::RuleSet;
use disclosure_rules::rules::{Principle, Then};
use memoranda::{Column, Contract, Kind, Table};

use crate::bounds;
use crate::lower::Block;
use crate::plan::Concern;
use crate::refusal::{Refusal, Rule};

/// The principles that leave a block to the board; or the refusal by one that refuses it.
pub(crate) fn concerns(block: &Block, contract: &Contract, rules: &RuleSet) -> Result<Vec<Concern>, Refusal> {
    if rules.principles.is_empty() {
        return Ok(vec![]);
    }
    let fields = block.source.fields();
    let arguments = || block.calls.iter().flat_map(|call| call.argument.iter().chain(&call.second));
    // AVG(CASE WHEN school = 1 THEN level END) asks about a group as GROUP BY does.
    let mixing = arguments().filter(|argument| argument.columns().len() > 1);
    let grouping = block.keys.iter().chain(mixing).flat_map(|expr| bounds::origins(expr, &fields));
    let grouping = words(grouping.chain(bounds::choosing(&block.source)).collect(), contract);
    let exprs = block.keys.iter().chain(arguments());
    let used = exprs.flat_map(|expr| bounds::origins(expr, &fields)).chain(bounds::used(&block.source));
    let used = words(used.collect(), contract);
    let (grouping, used): (Vec<&str>, Vec<&str>) =
        (grouping.iter().map(String::as_str).collect(), used.iter().map(String::as_str).collect());
    let mut concerns = Vec::new();
    for principle in rules.principles.iter().filter(|principle| principle.matches(&grouping, &used)) {
        match principle.then {
            Then::Refuse => return Err(refused(principle)),
            Then::Escalate => {
                concerns.push(Concern { principle: principle.id.clone(), reason: principle.reason() });
            }
        }
    }
    Ok(concerns)
}

fn refused(principle: &Principle) -> Refusal {
    let reason = format!("the rule set refuses this (`{}`): {}", principle.id, principle.reason());
    Refusal::new(Rule::Principle, reason)
}

/// Names and tags of columns.
fn words(columns: bounds::Columns, contract: &Contract) -> Vec<String> {
    let mut words = Vec::new();
    for (table, name) in columns {
        if let Some((table, column)) = contract.table(&table).and_then(|t| Some((t, t.column(&name)?))) {
            words.extend(column.tags.iter().cloned());
            words.extend(inherited(table, column, contract));
        }
        words.push(name);
    }
    words
}

/// The tags of the columns that refer to a public table, if this column of it is as telling as the reference.
fn inherited<'a>(
    table: &'a Table,
    column: &'a Column,
    contract: &'a Contract,
) -> impl Iterator<Item = String> + 'a {
    let coarse = column.codes.is_some() || column.kind == Kind::Boolean;
    let telling = !table.is_private() && !coarse;
    let tables = contract.tables.iter().filter(move |_| telling);
    let references = tables.flat_map(|from| from.foreign_keys.iter().map(move |key| (from, key)));
    let references = references.filter(|(_, key)| key.table == table.name);
    let columns = references.flat_map(|(from, key)| key.columns.iter().filter_map(|name| from.column(name)));
    columns.flat_map(|column| column.tags.iter().cloned())
}
