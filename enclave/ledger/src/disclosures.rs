//! Log before answer: a [`Disclosure`] exists only once its `release` leaf and its stored answer are durable.

use chrono::{DateTime, Utc};
use disclosure_rules::PlanDigest;
use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use crate::documents::{object, sha256};
use crate::log::{LeafKind, LogPosition, leaf, root_at};
use crate::store::{Ledger, LedgerError};

/// What makes two questions the same: the answer on record is given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayKey<'a> {
    /// Identifier of the memorandum.
    pub memorandum: &'a str,
    /// Name of the contract.
    pub contract: &'a str,
    /// Snapshot that was read.
    pub snapshot: &'a str,
    /// The canonical plan with its options.
    pub digest: PlanDigest,
}

/// A recorded release: what may leave the enclave. Only [`Ledger::record`] and [`Ledger::replay`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosure {
    position: LogPosition,
    at: DateTime<Utc>,
    answer: String,
}

impl Disclosure {
    /// Where its leaf stands.
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// When it was recorded.
    pub fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// The answer, as it was given to [`Ledger::record`].
    pub fn answer(&self) -> &str {
        &self.answer
    }
}

impl Ledger {
    /// Records the release that a charge paid for, with the answer to replay; the leaf states its SHA-256 and
    /// `facts`. Every release uses up one charge for its plan.
    pub fn record(
        &self,
        at: DateTime<Utc>,
        key: &ReplayKey<'_>,
        facts: Value,
        answer: &str,
    ) -> Result<Disclosure, LedgerError> {
        self.write(|writer| {
            // The newest one: an older charge without a release was lost in a crash.
            let query = "SELECT MAX(question.leaf) FROM question
                         LEFT JOIN disclosure ON disclosure.question = question.leaf
                         WHERE question.memorandum = ?1 AND question.plan = ?2 AND disclosure.leaf IS NULL";
            let charged: Option<u64> = writer
                .transaction
                .prepare_cached(query)?
                .query_row(params![key.memorandum, key.digest.0], |row| row.get(0))?;
            let question = charged.ok_or_else(|| LedgerError::NotCharged {
                memorandum: key.memorandum.to_owned(),
                plan: key.digest,
            })?;
            let own = object(json!({
                "memorandum": key.memorandum,
                "contract": key.contract,
                "snapshot": key.snapshot,
                "question": key.digest.to_string(),
                "question_leaf": question,
                "sha256": sha256(answer),
            }));
            let position = writer.leaf(at, LeafKind::Release, own, facts)?;
            writer.transaction.execute(
                "INSERT INTO disclosure (leaf, question, memorandum, contract, snapshot, plan, answer)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    position.index,
                    question,
                    key.memorandum,
                    key.contract,
                    key.snapshot,
                    key.digest.0,
                    answer
                ],
            )?;
            Ok(Disclosure { position, at, answer: answer.to_owned() })
        })
    }

    /// Leaves of the questions under a memorandum with those of their releases, the newest first: at most `count` of those
    /// before leaf `before`.
    pub fn asked(
        &self,
        memorandum: &str,
        before: Option<u64>,
        count: usize,
    ) -> Result<Vec<(u64, Option<u64>)>, LedgerError> {
        self.read(|transaction| {
            let query = "SELECT question.leaf, disclosure.leaf FROM question
                         LEFT JOIN disclosure ON disclosure.question = question.leaf
                         WHERE question.memorandum = ?1 AND question.leaf < ?2
                         ORDER BY question.leaf DESC LIMIT ?3";
            let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let mut statement = transaction.prepare_cached(query)?;
            let rows = statement
                .query_map(params![memorandum, before, count], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The newest answer on record to the same question.
    pub fn replay(&self, key: &ReplayKey<'_>) -> Result<Option<Disclosure>, LedgerError> {
        self.read(|transaction| {
            let query = "SELECT leaf, answer FROM disclosure
                         WHERE memorandum = ?1 AND plan = ?2 AND contract = ?3 AND snapshot = ?4
                           AND answer <> ''
                         ORDER BY leaf DESC LIMIT 1";
            let values = params![key.memorandum, key.digest.0, key.contract, key.snapshot];
            let found: Option<(u64, String)> = transaction
                .prepare_cached(query)?
                .query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((index, answer)) = found else { return Ok(None) };

            let mut statement =
                transaction.prepare_cached("SELECT position, body FROM leaf WHERE position = ?1")?;
            let mut rows = statement.query([index])?;
            let damaged =
                || LedgerError::Damaged(format!("the stored answer is not the one of leaf {index}"));
            let leaf = leaf(rows.next()?.ok_or_else(damaged)?)?;
            let stated: Value = serde_json::from_str(&leaf.body).map_err(|_| damaged())?;
            if stated["sha256"] != sha256(&answer) {
                return Err(damaged());
            }
            let position = LogPosition { index, root: root_at(transaction, index + 1)? };
            Ok(Some(Disclosure { position, at: leaf.at, answer }))
        })
    }
}
