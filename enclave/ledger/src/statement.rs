//! A memorandum's account as a bank would send it: every charge with the balance after it, and how long the balance
//! lasts at the pace so far. Read from the leaves, not from the accounts.

use chrono::{DateTime, Duration, Utc};
use disclosure_rules::{Account, Rho};
use serde_json::Value;

use crate::accounts::AccountKind;
use crate::audit::Implied;
use crate::log::LeafKind;
use crate::store::{Ledger, LedgerError};

/// One line of a statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Index of the leaf.
    pub leaf: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// Signature, amendment or question.
    pub kind: LeafKind,
    /// Digest of the question; `None` of a signature or an amendment.
    pub question: Option<String>,
    /// Who asked.
    pub person: Option<String>,
    /// ρ that was charged; what the pool counts of a pure one.
    pub rho: Rho,
    /// Index of the release that the charge paid for; `None` if a crash or a failure came first.
    pub release: Option<u64>,
    /// The account afterwards.
    pub account: Account,
}

/// When a balance runs out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Charged a day since the memorandum was signed, in the unit of its account: ρ, or ε where it is pure.
    pub per_day: f64,
    /// When nothing is left at that pace; `None` if that is more than a thousand years away, or nothing was charged.
    pub runs_out: Option<DateTime<Utc>>,
}

/// A day is the least time that a pace is told from.
const DAY: f64 = 86_400.0;
/// A forecast further away is none.
const DAYS_MAX: f64 = 365_250.0;

/// Charges of a memorandum since `since`, continued from `now` on.
pub fn forecast(account: &Account, since: DateTime<Utc>, now: DateTime<Utc>) -> Forecast {
    let (charged, balance) = match account.pure {
        Some(pure) => (pure.charged.get(), pure.balance().get()),
        None => (account.charged.get(), account.balance().map_or(f64::INFINITY, Rho::get)),
    };
    let days = ((now - since).num_seconds() as f64 / DAY).max(1.0);
    let per_day = charged / days;
    let left = balance / per_day;
    let runs_out =
        (left.is_finite() && left <= DAYS_MAX).then(|| now + Duration::seconds((left * DAY) as i64));
    Forecast { per_day, runs_out }
}

/// The leaves that a memorandum's account follows from: of the memorandum, and what opened and widened its pool. That no
/// others are about it is what `verify` finds.
const LEAVES: &str = "
    WITH own AS (SELECT contract FROM memorandum WHERE id = ?1)
    SELECT position, body FROM leaf WHERE position IN (
        SELECT signed FROM memorandum WHERE contract = (SELECT contract FROM own)
        UNION ALL SELECT leaf FROM document WHERE kind = 'contract' AND name = (SELECT contract FROM own)
        UNION ALL SELECT leaf FROM document WHERE kind = 'memorandum' AND name = ?1
        UNION ALL SELECT leaf FROM question WHERE memorandum = ?1
        UNION ALL SELECT leaf FROM disclosure WHERE memorandum = ?1
    ) ORDER BY position";

impl Ledger {
    /// Every signature, amendment and charge of a memorandum, in order, with the balance after it.
    pub fn statement(&self, memorandum: &str) -> Result<Vec<Entry>, LedgerError> {
        self.read(|transaction| {
            let key = (AccountKind::Memorandum, memorandum.to_owned());
            let (mut implied, mut entries) = (Implied::default(), Vec::<Entry>::new());
            let mut statement = transaction.prepare_cached(LEAVES)?;
            let mut rows = statement.query([memorandum])?;
            while let Some(row) = rows.next()? {
                let leaf = crate::log::leaf(row)?;
                let damaged = || LedgerError::Damaged(format!("leaf {} is not one", leaf.index));
                implied.add(leaf.index, &leaf.body).ok_or_else(damaged)?;
                let facts: Value = serde_json::from_str(&leaf.body).map_err(|_| damaged())?;
                if facts["memorandum"] != memorandum {
                    continue;
                }
                let text = |name: &str| facts[name].as_str().map(str::to_owned);
                match leaf.kind {
                    LeafKind::Signature | LeafKind::Amendment | LeafKind::Question => {
                        let charged = leaf.kind == LeafKind::Question;
                        let micro = facts["rho_micro"].as_u64().filter(|_| charged).unwrap_or_default();
                        entries.push(Entry {
                            leaf: leaf.index,
                            at: leaf.at,
                            kind: leaf.kind,
                            question: text("question").filter(|_| charged),
                            person: text("person").filter(|_| charged),
                            rho: Rho::from_micro(micro).map_err(|_| damaged())?,
                            release: None,
                            account: *implied.accounts.get(&key).ok_or_else(damaged)?,
                        });
                    }
                    LeafKind::Release => {
                        let question = facts["question_leaf"].as_u64();
                        if let Some(entry) =
                            entries.iter_mut().rev().find(|entry| Some(entry.leaf) == question)
                        {
                            entry.release = Some(leaf.index);
                        }
                    }
                    _ => {}
                }
            }
            Ok(entries)
        })
    }
}
