//! [`Collusion`]: what all releases on one contract tell together, whoever asked: how closely linear programming over
//! the released numbers confines each small cell that was hidden.
//!
//! Read are the log, the published documents and the answers on record, never rows. A question is set beside others
//! only if, planned again from the log, it is the very one that was charged.

mod bounds;
mod family;

use std::collections::{BTreeMap, BTreeSet};

use disclosure_rules::Rho;
use ledger::{DocumentKind, LeafKind};
use memoranda::{Contract, Memorandum, datapackage};
use queries::{Options, Plain, PlainColumn, PrivatePlan};
use serde::Serialize;

use crate::acts::ActError;
use crate::answered::{Cell, Column, Recorded};
use crate::enclave::Enclave;
use crate::permissions::Action;
use crate::review::Sums;
use crate::review::record::{Record, accounts, records};
use family::{Measure, Place, System, Table, Told};

/// Cells of one family that are solved for: beyond it the view says so.
const CELLS_MOST: usize = 4_000;
/// A Gaussian's 95% interval, in standard deviations to each side.
const GAUSSIAN_95: f64 = 1.959_963_984_540_054;

/// What all releases on a contract tell together.
#[derive(Debug, Clone, Serialize)]
pub struct Collusion {
    /// The contract.
    pub contract: String,
    /// Its pool of ρ.
    pub pool: Sums,
    /// Releases, by memorandum.
    pub releases: BTreeMap<String, u64>,
    /// Every small cell of a count that was hidden, the most closely confined first.
    pub hidden: Vec<Confined>,
    /// Releases that cannot be set beside others, and why.
    pub not_compared: Vec<NotCompared>,
}

/// A hidden cell.
#[derive(Debug, Clone, Serialize)]
pub struct Confined {
    /// The snapshot that was read.
    pub snapshot: String,
    /// What was read: a table, or a relation.
    pub relation: String,
    /// Keys and their values.
    pub place: BTreeMap<String, String>,
    /// Conditions beside them.
    pub conditions: Vec<String>,
    /// What is counted.
    pub measure: String,
    /// Least count.
    pub low: u64,
    /// Greatest count; absent where nothing bounds it.
    pub high: Option<u64>,
    /// Half-width that its 95% interval would have had, had it been shown.
    pub half_width: f64,
    /// Whether low to high is narrower than that: told more closely than its own noise would.
    pub flagged: bool,
    /// By how much intervals had to be widened for all of them to hold; 1 where they hold as they are.
    pub widened: f64,
    /// Releases that hid it, by number of the leaf.
    pub hidden_by: Vec<u64>,
}

/// A release that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotCompared {
    /// Number of the release's leaf.
    pub leaf: u64,
    /// Why.
    pub reason: String,
    /// Small cells that it hid.
    pub hidden: u64,
}

/// What the tables of a family have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Family {
    snapshot: String,
    relation: String,
    conditions: BTreeSet<String>,
}

impl Enclave {
    /// What all releases on a contract tell together.
    pub fn collusion(&self, contract: &str) -> Result<Collusion, ActError> {
        self.permitted(Action::ReadCollusion)?;
        self.contract_or(contract)?;
        let records = records(&self.ledger)?;
        let pool = accounts(records.iter()).pools.get(contract).copied().unwrap_or_default();
        let mut families: BTreeMap<Family, Vec<Table>> = BTreeMap::new();
        let mut found = Collusion {
            contract: contract.to_owned(),
            pool,
            releases: BTreeMap::new(),
            hidden: vec![],
            not_compared: vec![],
        };
        let of = |record: &&Record| record.kind == LeafKind::Release && record.text("contract") == contract;
        for release in records.iter().filter(of) {
            *found.releases.entry(release.text("memorandum").to_owned()).or_default() += 1;
            let leaf = release.index;
            let answer = self.ledger.released(leaf)?;
            let recorded: Option<Recorded> = answer.and_then(|answer| serde_json::from_str(&answer).ok());
            let Some(recorded) = recorded else {
                let reason = "the answer is not on record any more".to_owned();
                found.not_compared.push(NotCompared { leaf, reason, hidden: 0 });
                continue;
            };
            let question = records.get(release.number("question_leaf") as usize);
            let planned = match question {
                Some(question) => self.planned_again(question)?,
                None => Err("its question is not in the log".to_owned()),
            };
            match planned.and_then(|plan| plan.plain().map_err(|error| error.to_string())) {
                Ok(plain) => {
                    let snapshot = release.text("snapshot").to_owned();
                    let Plain { relation, conditions, .. } = plain.clone();
                    let family = Family { snapshot, relation, conditions };
                    families.entry(family).or_default().push(table(leaf, &plain, &recorded));
                }
                Err(reason) => {
                    found.not_compared.push(NotCompared { leaf, reason, hidden: hidden(&recorded) });
                }
            }
        }
        for (family, tables) in families {
            confine(&family, &tables, &mut found);
        }
        let width =
            |cell: &Confined| cell.high.map_or(f64::INFINITY, |high| (high - cell.low.min(high)) as f64);
        found.hidden.sort_by(|a, b| (!a.flagged).cmp(&!b.flagged).then(width(a).total_cmp(&width(b))));
        found.not_compared.sort_by_key(|left| left.leaf);
        Ok(found)
    }

    /// The plan of a question of the log, if it is the very one that was charged; else why there is none.
    fn planned_again(&self, question: &Record) -> Result<Result<PrivatePlan, String>, ActError> {
        let version = question.text("contract_version");
        let contract = self.ledger.document(DocumentKind::Contract, question.text("contract"), version)?;
        let contract: Option<Contract> =
            contract.and_then(|contract| datapackage::parse(&contract.text).ok());
        let (name, version) = question.text("rules").split_once('@').unwrap_or_default();
        let rules = self.ledger.document(DocumentKind::Rules, name, version)?;
        let rules = rules.and_then(|rules| disclosure_rules::RuleSet::parse(&rules.text).ok());
        let memoranda = self.ledger.documents(DocumentKind::Memorandum)?;
        let signed = |document: &&ledger::Document| {
            document.name == question.text("memorandum") && document.leaf < question.index
        };
        let memorandum = memoranda.iter().rfind(signed).and_then(|paper| Memorandum::parse(&paper.text).ok());
        let (Some(contract), Some(rules), Some(memorandum)) = (contract, rules, memorandum) else {
            return Ok(Err("its contract, rule set or memorandum does not read any more".to_owned()));
        };
        let sql = question.text("sql");
        let verify = || queries::verify(sql, &contract, &memorandum, &rules, &Options::default());
        let plan = std::panic::catch_unwind(std::panic::AssertUnwindSafe(verify));
        let Ok(Ok(plan)) = plan else {
            return Ok(Err("the log has its SQL without a constant that it needs".to_owned()));
        };
        let rho = Rho::from_micro(question.number("rho_micro")).ok();
        let same = rho.is_some_and(|rho| plan.digest(rho).to_string() == question.text("question"));
        let other = "it was asked with bounds of its own, or under another version of this program";
        Ok(if same { Ok(plan) } else { Err(other.to_owned()) })
    }
}

/// Small cells that an answer hides.
fn hidden(recorded: &Recorded) -> u64 {
    recorded.rows.iter().flatten().filter(|cell| matches!(cell, Cell::Hidden { .. })).count() as u64
}

/// The counts of a released table, by place.
fn table(leaf: u64, plain: &Plain, recorded: &Recorded) -> Table {
    let json = |value: &disclosure_rules::Value| serde_json::to_string(value).unwrap_or_default();
    let fixed: Place = plain.fixed.iter().map(|(key, value)| (key.clone(), json(value))).collect();
    let mut cells = BTreeMap::new();
    // Without its keys a row has no place, so that the table says nothing of any other.
    let placed = (0..plain.keys.len()).all(|key| plain.columns.contains(&PlainColumn::Key(key)));
    for row in recorded.rows.iter().filter(|_| placed) {
        let mut place = fixed.clone();
        for (cell, column) in row.iter().zip(&plain.columns) {
            if let (Cell::Key(value), PlainColumn::Key(key)) = (cell, column) {
                place.insert(plain.keys[*key].clone(), json(value));
            }
            if let (Cell::Number(number), PlainColumn::Key(key)) = (cell, column) {
                place.insert(plain.keys[*key].clone(), serde_json::to_string(number).unwrap_or_default());
            }
        }
        for (i, (cell, column)) in row.iter().zip(&plain.columns).enumerate() {
            let measure = match column {
                PlainColumn::Rows(argument) => Measure::Rows(argument.clone()),
                PlainColumn::Pupils(argument) if plain.one_row => Measure::Rows(argument.clone()),
                PlainColumn::Pupils(argument) => Measure::Pupils(argument.clone()),
                PlainColumn::Key(_) | PlainColumn::Other => continue,
            };
            let told = match cell {
                Cell::Noisy { low, high, .. } => {
                    let end =
                        |end: &Option<crate::answered::Number>, none: f64| end.map_or(none, |end| end.get());
                    Told::Shown { low: end(low, f64::NEG_INFINITY), high: end(high, f64::INFINITY) }
                }
                Cell::Hidden { .. } => Told::Hidden { half_width: half_width(recorded.columns.get(i)) },
                _ => continue,
            };
            cells.insert((measure, place.clone()), told);
        }
    }
    Table { leaf, fixed, complete: plain.complete && placed, disjoint: plain.one_group, cells }
}

/// Half of the 95% interval of a count, from the scale of its noise.
fn half_width(column: Option<&Column>) -> f64 {
    let Some(column) = column else { return 0.0 };
    let scale = column.scale.unwrap_or_default();
    match column.mechanism.as_deref() {
        Some("discrete laplace") => scale * 20.0_f64.ln(),
        _ => scale * GAUSSIAN_95,
    }
}

/// Bounds for every hidden cell of a family.
fn confine(family: &Family, tables: &[Table], found: &mut Collusion) {
    let Some(system) = System::of(tables, CELLS_MOST) else {
        for table in tables {
            let hidden =
                table.cells.values().filter(|told| matches!(told, Told::Hidden { .. })).count() as u64;
            let reason = format!("its family has more than {CELLS_MOST} cells");
            found.not_compared.push(NotCompared { leaf: table.leaf, reason, hidden });
        }
        return;
    };
    for (number, variable) in system.variables.iter().enumerate() {
        let hiding: Vec<(u64, f64)> = variable
            .told
            .iter()
            .filter_map(|(leaf, told)| match told {
                Told::Hidden { half_width } => Some((*leaf, *half_width)),
                Told::Shown { .. } => None,
            })
            .collect();
        let Some(half_width) = hiding.iter().map(|(_, width)| *width).reduce(f64::min) else { continue };
        let hidden_by: Vec<u64> = hiding.iter().map(|(leaf, _)| *leaf).collect();
        let Some(bounds) = bounds::bounds(&system, number) else {
            for leaf in hidden_by {
                let reason = "the released numbers contradict each other beyond their intervals".to_owned();
                let left = NotCompared { leaf, reason, hidden: 1 };
                if !found.not_compared.contains(&left) {
                    found.not_compared.push(left);
                }
            }
            continue;
        };
        found.hidden.push(Confined {
            snapshot: family.snapshot.clone(),
            relation: family.relation.clone(),
            place: variable.place.clone(),
            conditions: family.conditions.iter().cloned().collect(),
            measure: variable.measure.to_string(),
            low: bounds.low,
            high: bounds.high,
            half_width: (half_width * 10.0).round() / 10.0,
            flagged: bounds.high.is_some_and(|high| ((high.saturating_sub(bounds.low)) as f64) < half_width),
            widened: bounds.widened,
            hidden_by,
        });
    }
}

#[cfg(test)]
#[path = "collusion/tests.rs"]
mod tests;
