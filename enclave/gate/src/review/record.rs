//! The log as reviews and the register read it: leaves with their facts, and what they add up to. Nothing else is read.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, NaiveDate, Utc};
use disclosure_rules::PlanDigest;
use ledger::{Approval, CaseState, Cast, LeafKind, Ledger, LedgerError, Vote};
use serde::Serialize;
use serde_json::Value;

/// Leaves that are read at once.
const PAGE: u64 = 1_000;

/// A leaf, read.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Number of the leaf.
    pub(crate) index: u64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) kind: LeafKind,
    pub(crate) facts: Value,
}

/// Takes every leaf of a log, in their order.
pub(crate) fn each(ledger: &Ledger, mut take: impl FnMut(Record)) -> Result<(), LedgerError> {
    let mut next = 0;
    loop {
        let leaves = ledger.leaves(next, PAGE)?;
        let Some(last) = leaves.last() else { return Ok(()) };
        next = last.index + 1;
        // A body that was pruned away reads as one without facts.
        leaves.into_iter().for_each(|leaf| {
            take(Record {
                index: leaf.index,
                at: leaf.at,
                kind: leaf.kind,
                facts: serde_json::from_str(&leaf.body).unwrap_or_default(),
            });
        });
    }
}

/// All leaves of a log, in their order.
pub(crate) fn records(ledger: &Ledger) -> Result<Vec<Record>, LedgerError> {
    let mut records = Vec::new();
    each(ledger, |record| records.push(record))?;
    Ok(records)
}

/// The day in Japan, where memoranda are in force and months begin.
pub(crate) fn day(at: DateTime<Utc>) -> NaiveDate {
    let japan = FixedOffset::east_opt(9 * 3600);
    japan.map_or_else(|| at.date_naive(), |japan| at.with_timezone(&japan).date_naive())
}

impl Record {
    pub(crate) fn day(&self) -> NaiveDate {
        day(self.at)
    }

    /// Whether it is of a kind, by the name that the log has for it.
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind.as_str() == kind
    }

    /// A fact that is text; empty where there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.facts[name].as_str().unwrap_or_default()
    }

    /// A fact that is a whole number; 0 where there is none.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.facts[name].as_u64().unwrap_or_default()
    }

    /// A fact that is a list of texts.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.facts[name].as_array().into_iter().flatten().filter_map(Value::as_str)
    }
}

/// ρ or ε of an account, in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Promised; `None` where nothing caps it.
    pub allotment_micro: Option<u64>,
    /// Charged so far.
    pub charged_micro: u64,
}

impl Sums {
    /// What is left; `None` where nothing caps it.
    pub fn balance_micro(&self) -> Option<u64> {
        self.allotment_micro.map(|allotment| allotment.saturating_sub(self.charged_micro))
    }
}

/// Accounts as the leaves add up to them, by name: of memoranda, and of pools.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    pub(crate) memoranda: BTreeMap<String, Sums>,
    pub(crate) pools: BTreeMap<String, Sums>,
}

/// What the leaves add up to.
pub(crate) fn accounts<'r>(records: impl Iterator<Item = &'r Record>) -> Accounts {
    let mut accounts = Accounts::default();
    for record in records {
        let (memorandum, contract) = (record.text("memorandum"), record.text("contract"));
        match record.kind {
            LeafKind::Signature | LeafKind::Amendment => {
                let sums = accounts.memoranda.entry(memorandum.to_owned()).or_default();
                sums.allotment_micro = record.facts["rho_micro"].as_u64();
                let pool = accounts.pools.entry(contract.to_owned()).or_default();
                pool.allotment_micro = record.facts["pool_rho_micro"].as_u64();
            }
            LeafKind::Publish if record.facts["pool"].is_object() => {
                let pool = accounts.pools.entry(record.text("name").to_owned()).or_default();
                pool.allotment_micro = record.facts["pool"]["rho_micro"].as_u64();
            }
            LeafKind::Question => {
                let price = record.number("rho_micro");
                accounts.memoranda.entry(memorandum.to_owned()).or_default().charged_micro += price;
                accounts.pools.entry(contract.to_owned()).or_default().charged_micro += price;
            }
            _ => {}
        }
    }
    accounts
}

/// The cases before the board, with their votes and uses, as the leaves tell them.
pub(crate) fn cases(records: &[Record]) -> Vec<Approval> {
    let mut cases: Vec<Approval> = Vec::new();
    for record in records {
        let of = record.facts["approval"].as_u64();
        match record.kind {
            LeafKind::Escalation => cases.push(case(record)),
            LeafKind::Vote => {
                let found = cases.iter_mut().find(|case| Some(case.id) == of);
                if let (Some(case), Some(vote)) = (found, vote(record.text("vote"))) {
                    case.cast.push(Cast {
                        person: record.text("person").to_owned(),
                        vote,
                        reason: record.text("reason").to_owned(),
                        at: record.at,
                        leaf: record.index,
                    });
                }
            }
            LeafKind::ApprovalUsed | LeafKind::Question => {
                if let Some(case) = cases.iter_mut().find(|case| Some(case.id) == of) {
                    case.used = Some(record.index);
                }
            }
            _ => {}
        }
    }
    cases
}

fn case(record: &Record) -> Approval {
    let small = |name| u32::try_from(record.number(name)).unwrap_or(u32::MAX);
    let mut digest = [0; 32];
    // A digest that does not read is one that nothing has.
    let _ = hex::decode_to_slice(record.text("digest").trim_start_matches("sha256:"), &mut digest);
    Approval {
        id: record.index,
        subject: record.text("subject").to_owned(),
        digest: PlanDigest(digest),
        memorandum: record.facts["memorandum"].as_str().map(str::to_owned),
        person: record.text("person").to_owned(),
        votes: small("votes"),
        days: small("days"),
        file: Value::Null,
        at: record.at,
        cast: vec![],
        used: None,
    }
}

fn vote(name: &str) -> Option<Vote> {
    [Vote::Approve, Vote::Reject, Vote::AskBack, Vote::Answer].into_iter().find(|vote| vote.name() == name)
}

/// Where a case stood at a moment, or ended before it.
pub(crate) fn outcome(case: &Approval, at: DateTime<Utc>) -> &'static str {
    match case.state(at) {
        // Of a case that was approved, and whose approval has then lapsed, as of one that was not decided.
        CaseState::Approved(_) => "approved",
        state => state.name(),
    }
}

/// Millionths as a number, without needless zeros.
pub(crate) fn micro(micro: u64) -> String {
    let text = format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The same where there may be no cap.
pub(crate) fn micro_or(number: Option<u64>, none: &str) -> String {
    number.map_or_else(|| none.to_owned(), micro)
}

/// Numbers of leaves as a list.
pub(crate) fn numbers(leaves: &[u64]) -> String {
    leaves.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}
