//! What was asked under a memorandum, and the answers on record again. Reads the ledger, never a row.

use chrono::{DateTime, Utc};
use ledger::{LeafKind, LedgerError};
use serde::Serialize;
use serde_json::Value;

use crate::answered::{Answered, Balance, Charged, LogPlace, Recorded};
use crate::ask::Failure;
use crate::enclave::Enclave;

/// A question that was charged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Asked {
    /// Index of its leaf.
    pub leaf: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who, of the memorandum's people.
    pub person: String,
    /// The question, without texts that are not codes.
    pub sql: String,
    /// The use case.
    pub purpose: String,
    /// Digest of the canonical question with its price.
    pub question: String,
    /// What it cost, in ρ.
    pub rho: f64,
    /// Index of the release; absent where a crash or a failure came first.
    pub release: Option<u64>,
}

impl Enclave {
    /// The questions under a memorandum, the newest first: at most `count` of those before leaf `before`.
    pub fn history(
        &self,
        memorandum: &str,
        before: Option<u64>,
        count: usize,
    ) -> Result<Vec<Asked>, LedgerError> {
        let asked = self.ledger.asked(memorandum, before, count)?.into_iter();
        asked.filter_map(|(leaf, release)| self.asked_at(leaf, release).transpose()).collect()
    }

    /// A question as its leaf states it.
    fn asked_at(&self, leaf: u64, release: Option<u64>) -> Result<Option<Asked>, LedgerError> {
        let Some(leaf) = self.ledger.leaf(leaf)? else { return Ok(None) };
        let facts: Value = serde_json::from_str(&leaf.body).unwrap_or_default();
        let text = |key: &str| facts[key].as_str().unwrap_or_default().to_owned();
        Ok(Some(Asked {
            leaf: leaf.index,
            at: leaf.at,
            person: text("person"),
            sql: text("sql"),
            purpose: text("purpose"),
            question: text("question"),
            rho: facts["rho_micro"].as_u64().unwrap_or_default() as f64 / 1e6,
            release,
        }))
    }

    /// The memorandum of the release at leaf `index`.
    pub fn memorandum_of_release(&self, index: u64) -> Result<Option<String>, LedgerError> {
        let leaf = self.ledger.leaf(index)?.filter(|leaf| leaf.kind == LeafKind::Release);
        let facts: Option<Value> = leaf.and_then(|leaf| serde_json::from_str(&leaf.body).ok());
        Ok(facts.and_then(|facts| facts["memorandum"].as_str().map(str::to_owned)))
    }

    /// The answer of the release at leaf `index`, as it was told. Its columns are called `key_1`, `measure_2`, …: what
    /// the asker called them is not on record. `None` where there is none, or its words were pruned.
    pub fn answer_again(&self, index: u64) -> Result<Option<Answered>, Failure> {
        let leaf = self.ledger.leaf(index)?.filter(|leaf| leaf.kind == LeafKind::Release);
        let (Some(leaf), Some(body)) = (leaf, self.ledger.released(index)?) else { return Ok(None) };
        let facts: Value = serde_json::from_str(&leaf.body).unwrap_or_default();
        let recorded: Recorded = serde_json::from_str(&body)
            .map_err(|_| LedgerError::Damaged("an answer does not read".to_owned()))?;
        let text = |key: &str| facts[key].as_str().unwrap_or_default().to_owned();
        let memorandum = text("memorandum");
        let account = self.ledger.account(&memorandum)?;
        let rho = account.and_then(|account| account.balance()).unwrap_or_default();
        let epsilon = account.and_then(|account| account.pure).map(|pure| pure.balance());
        let delta = self.memorandum(&memorandum)?.map_or(0.0, |found| found.allotment.delta.get());
        let name = |(i, mut column): (usize, crate::answered::Column)| {
            column.name = format!("{}_{}", column.role, i + 1);
            column
        };
        let root = self.ledger.root(index + 1)?.map(hex::encode).unwrap_or_default();
        Ok(Some(Answered {
            question: text("question"),
            release: facts["sha256"]
                .as_str()
                .map(|digest| format!("sha256:{}", digest.trim_start_matches("sha256:"))),
            replayed: true,
            preview: false,
            charged: Charged { rho: disclosure_rules::Rho::ZERO, epsilon: 0.0, delta, threshold_delta: None },
            balance: Balance { rho, epsilon },
            bounds: None,
            board: None,
            columns: recorded.columns.into_iter().enumerate().map(name).collect(),
            rows: recorded.rows,
            log: Some(LogPlace { index, root }),
            receipt: self.ledger.receipt(index)?,
            memorandum,
        }))
    }
}
