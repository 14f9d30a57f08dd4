//! Debit before read: both accounts, the question's leaf and the checkpoint change in one transaction, durable
//! before the charge exists.

use std::fmt;

use chrono::{DateTime, Utc};
use disclosure_rules::account::{Loss, PureEpsilon, PureLosses};
use disclosure_rules::{Account, Charge, Delta, Exhausted, PlanDigest, Rho};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};

use crate::approvals;
use crate::documents::object;
use crate::log::LeafKind;
use crate::store::{Ledger, LedgerError};

/// Whose account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountKind {
    /// One memorandum's.
    Memorandum,
    /// A contract's, over all memoranda.
    Pool,
}

impl AccountKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            AccountKind::Memorandum => "memorandum",
            AccountKind::Pool => "pool",
        }
    }
}

impl fmt::Display for AccountKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A question about to be charged.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Identifier of the memorandum.
    pub memorandum: &'a str,
    /// Name of the contract.
    pub contract: &'a str,
    /// Identifier of the person who asks.
    pub person: &'a str,
    /// The canonical plan with its options.
    pub digest: PlanDigest,
    /// The approval that it needs, which is used up in the same transaction.
    pub approval: Option<u64>,
    /// What else the leaf states, such as the SQL: a JSON object.
    pub facts: Value,
}

/// Why a question was not charged.
#[derive(Debug, thiserror::Error)]
pub enum DebitError {
    /// A balance does not cover the price. The refusal is in the log.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// Nothing was changed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Ledger {
    /// Debits a price from the memorandum's account, in its unit, and from the pool, or from neither.
    ///
    /// A charge returned is durable, and in the log; so is a refusal for an exhausted balance. A crash in between
    /// can cost budget, never privacy.
    pub fn debit(
        &self,
        at: DateTime<Utc>,
        question: &Question<'_>,
        loss: impl Into<Loss>,
    ) -> Result<Charge, DebitError> {
        let loss = loss.into();
        let cost = loss.cost();
        // NaN is not in the range.
        if !(0.0..1.0).contains(&cost.threshold_delta) {
            return Err(LedgerError::ThresholdDelta.into());
        }
        let outcome = self.write(|writer| {
            let (memorandum, pool) = in_force(&writer.transaction, question)?;
            let mut own = object(json!({
                "memorandum": question.memorandum,
                "contract": question.contract,
                "person": question.person,
                "question": question.digest.to_string(),
                "rho_micro": cost.rho.micro(),
                "threshold_delta": cost.threshold_delta,
            }));
            if let Some(epsilon) = loss.epsilon() {
                own.insert(EPSILON.to_owned(), epsilon.micro().into());
            }
            match Charge::debit(question.digest, loss, &memorandum, &pool) {
                Ok((memorandum, pool, charge)) => {
                    write_account(
                        &writer.transaction,
                        AccountKind::Memorandum,
                        question.memorandum,
                        &memorandum,
                    )?;
                    write_account(&writer.transaction, AccountKind::Pool, question.contract, &pool)?;
                    if let Some(id) = question.approval {
                        own.insert("approval".to_owned(), id.into());
                    }
                    let position = writer.leaf(at, LeafKind::Question, own, question.facts.clone())?;
                    if let Some(id) = question.approval {
                        let still = approvals::usable(
                            &writer.transaction,
                            at,
                            question.digest,
                            Some(question.memorandum),
                            question.person,
                        )?;
                        if still != Some(id) {
                            return Err(LedgerError::NotApproved(id));
                        }
                        approvals::mark_used(writer, id, position.index)?;
                    }
                    writer.transaction.execute(
                        "INSERT INTO question (leaf, memorandum, plan) VALUES (?1, ?2, ?3)",
                        params![position.index, question.memorandum, question.digest.0],
                    )?;
                    Ok::<_, LedgerError>(Ok(charge))
                }
                Err(exhausted) => {
                    own.insert("rule".to_owned(), "balance-exhausted".into());
                    writer.leaf(at, LeafKind::Refusal, own, question.facts.clone())?;
                    Ok(Err(exhausted))
                }
            }
        })?;
        Ok(outcome?)
    }

    /// A memorandum's account; `None` if none is signed.
    pub fn account(&self, memorandum: &str) -> Result<Option<Account>, LedgerError> {
        self.read(|transaction| read_account(transaction, AccountKind::Memorandum, memorandum))
    }

    /// A contract's pool; `None` before the first memorandum.
    pub fn pool(&self, contract: &str) -> Result<Option<Account>, LedgerError> {
        self.read(|transaction| read_account(transaction, AccountKind::Pool, contract))
    }
}

/// The accounts that a question is charged to.
fn in_force(connection: &Connection, question: &Question<'_>) -> Result<(Account, Account), LedgerError> {
    let id = question.memorandum;
    let query = "SELECT contract, ended IS NOT NULL FROM memorandum WHERE id = ?1";
    let found: Option<(String, bool)> =
        connection.prepare_cached(query)?.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (contract, ended) = found.ok_or_else(|| LedgerError::UnknownMemorandum(id.to_owned()))?;
    if ended {
        return Err(LedgerError::Ended(id.to_owned()));
    }
    if contract != question.contract {
        let (memorandum, contract) = (id.to_owned(), question.contract.to_owned());
        return Err(LedgerError::OtherContract { memorandum, contract });
    }
    let account = |kind: AccountKind, name: &str| {
        read_account(connection, kind, name)?
            .ok_or_else(|| LedgerError::Damaged(format!("the {kind} account of `{name}` is missing")))
    };
    Ok((account(AccountKind::Memorandum, id)?, account(AccountKind::Pool, &contract)?))
}

pub(crate) fn read_account(
    connection: &Connection,
    kind: AccountKind,
    name: &str,
) -> Result<Option<Account>, LedgerError> {
    let query = format!("SELECT {ACCOUNT} FROM account WHERE kind = ?1 AND name = ?2");
    let mut statement = connection.prepare_cached(&query)?;
    let mut rows = statement.query([kind.as_str(), name])?;
    rows.next()?.map(|row| account(row, 0)).transpose()
}

/// In a leaf: the ε of a pure memorandum or question.
pub(crate) const EPSILON: &str = "epsilon_micro";

/// The columns of an account.
pub(crate) const ACCOUNT: &str =
    "allotment_micro, charged_micro, delta, delta_charged, epsilon_micro, epsilon_charged_micro";

/// Reads an account from the columns [`ACCOUNT`], from `first` on.
pub(crate) fn account(row: &Row<'_>, first: usize) -> Result<Account, LedgerError> {
    let out_of_range = || LedgerError::Damaged("an account is out of range".to_owned());
    let damaged = |_| out_of_range();
    let rho = |micro: u64| Rho::from_micro(micro).map_err(damaged);
    let epsilon = |micro: u64| PureEpsilon::from_micro(micro).ok_or_else(out_of_range);
    let pure = row.get::<_, Option<u64>>(first + 4)?.zip(row.get::<_, Option<u64>>(first + 5)?);
    let pure = pure.map(|(allotment, charged)| {
        Ok::<_, LedgerError>(PureLosses { allotment: epsilon(allotment)?, charged: epsilon(charged)? })
    });
    Ok(Account {
        allotment: row.get::<_, Option<u64>>(first)?.map(rho).transpose()?,
        charged: rho(row.get(first + 1)?)?,
        delta: row.get::<_, Option<f64>>(first + 2)?.map(Delta::new).transpose().map_err(damaged)?,
        delta_charged: row.get(first + 3)?,
        pure: pure.transpose()?,
    })
}

pub(crate) fn open_account(
    connection: &Connection,
    kind: AccountKind,
    name: &str,
    account: &Account,
) -> Result<(), LedgerError> {
    connection.execute(
        &format!("INSERT INTO account (kind, name, {ACCOUNT}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"),
        params![
            kind.as_str(),
            name,
            account.allotment.map(Rho::micro),
            account.charged.micro(),
            account.delta.map(Delta::get),
            account.delta_charged,
            account.pure.map(|pure| pure.allotment.micro()),
            account.pure.map(|pure| pure.charged.micro())
        ],
    )?;
    Ok(())
}

/// Another allotment for the same charges.
pub(crate) fn amend_account(
    connection: &Connection,
    kind: AccountKind,
    name: &str,
    account: &Account,
) -> Result<(), LedgerError> {
    connection.execute(
        "UPDATE account SET allotment_micro = ?3, epsilon_micro = ?4 WHERE kind = ?1 AND name = ?2",
        params![
            kind.as_str(),
            name,
            account.allotment.map(Rho::micro),
            account.pure.map(|pure| pure.allotment.micro())
        ],
    )?;
    Ok(())
}

fn write_account(
    connection: &Connection,
    kind: AccountKind,
    name: &str,
    account: &Account,
) -> Result<(), LedgerError> {
    connection.execute(
        "UPDATE account SET charged_micro = ?3, delta_charged = ?4, epsilon_charged_micro = ?5
         WHERE kind = ?1 AND name = ?2",
        params![
            kind.as_str(),
            name,
            account.charged.micro(),
            account.delta_charged,
            account.pure.map(|pure| pure.charged.micro())
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{Ledger, LogKey};

    /// What "durable before it returns" rests on, with every connection.
    #[test]
    fn every_commit_is_flushed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let pkcs8 = LogKey::generate().unwrap();
        let key = || LogKey::from_pkcs8(&pkcs8).unwrap();
        let check = |ledger: Ledger| {
            let connection = ledger.lock();
            let number = |name| connection.pragma_query_value::<i64, _>(None, name, |row| row.get(0));
            let mode = connection.pragma_query_value::<String, _>(None, "journal_mode", |row| row.get(0));
            // 2: FULL.
            assert_eq!((number("synchronous").unwrap(), mode.unwrap().as_str()), (2, "wal"));
        };
        check(Ledger::create(&path, "enclave.example/log", key()).unwrap());
        check(Ledger::open(&path, key()).unwrap());
    }
}
