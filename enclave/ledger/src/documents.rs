//! Contracts, rule sets and memoranda: stored text, and a leaf with its SHA-256. Signing a memorandum opens its
//! account in the same transaction, amending it changes what the account holds.

use std::fmt;

use chrono::{DateTime, Utc};
use disclosure_rules::{Account, Delta, Rho};
use memoranda::Memorandum;
use rusqlite::{OptionalExtension, Row, params};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::accounts::{AccountKind, EPSILON, amend_account, open_account, read_account};
use crate::log::{self, LeafKind, LogPosition, Writer};
use crate::people::put_seen;
use crate::stamp::Stamp;
use crate::store::{Ledger, LedgerError};

/// What is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DocumentKind {
    /// A data format.
    Contract,
    /// A rule set.
    Rules,
    /// A memorandum; published by [`Ledger::sign`].
    Memorandum,
}

impl DocumentKind {
    /// As in the leaf.
    pub fn as_str(self) -> &'static str {
        match self {
            DocumentKind::Contract => "contract",
            DocumentKind::Rules => "rules",
            DocumentKind::Memorandum => "memorandum",
        }
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A published text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Which kind.
    pub kind: DocumentKind,
    /// Its name; a memorandum's identifier.
    pub name: String,
    /// Its version; counted from `1` for a memorandum.
    pub version: String,
    /// The text, byte for byte.
    pub text: String,
    /// When it was published.
    pub at: DateTime<Utc>,
    /// Index of its leaf.
    pub leaf: u64,
}

/// Why a memorandum is not amended. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AmendError {
    /// Versions go up.
    #[error("version {0} is in force: an amendment has a higher `version`, and starts from it")]
    Version(u32),
    /// What was told cannot be taken back.
    #[error("{charged} is charged already: an allotment is never below it")]
    Charged {
        /// As it is written in an allotment.
        charged: String,
    },
    /// The pool is for all memoranda.
    #[error("the allotment would leave {wanted} to spend, but the pool of the contract holds only {left}")]
    Pool {
        /// Balance of the memorandum after the amendment.
        wanted: Rho,
        /// Balance of the pool.
        left: Rho,
    },
    /// Losses of two kinds do not add up.
    #[error(
        "`guarantee` and `delta` stay as they were signed: another kind of loss needs another memorandum"
    )]
    Guarantee,
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Ledger {
    /// Publishes a version of a contract, whose pool is capped at `pool` from now on, if it is open already: charges
    /// stay.
    pub fn publish_contract<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        name: &str,
        version: &str,
        text: &str,
        facts: Value,
        pool: Option<Rho>,
    ) -> Result<LogPosition, LedgerError> {
        self.publish_with(stamp.into(), DocumentKind::Contract, name, version, text, facts, Some(pool))
    }

    /// Publishes a version of a contract or of a rule set.
    pub fn publish<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        kind: DocumentKind,
        name: &str,
        version: &str,
        text: &str,
        facts: Value,
    ) -> Result<LogPosition, LedgerError> {
        if kind == DocumentKind::Memorandum {
            return Err(LedgerError::Unsigned);
        }
        self.publish_with(stamp.into(), kind, name, version, text, facts, None)
    }

    #[expect(clippy::too_many_arguments, reason = "a document, and what comes with it")]
    fn publish_with(
        &self,
        stamp: Stamp<'_>,
        kind: DocumentKind,
        name: &str,
        version: &str,
        text: &str,
        facts: Value,
        pool: Option<Option<Rho>>,
    ) -> Result<LogPosition, LedgerError> {
        let own = object(json!({
            "document": kind.as_str(), "name": name, "version": version, "sha256": sha256(text),
        }));
        self.write(|writer| {
            refuse_published(writer, kind, name, version)?;
            let mut own = own;
            if let Some(pool) = pool {
                change_pool(writer, name, pool, &mut own)?;
            }
            let position = writer.leaf(stamp, LeafKind::Publish, own, facts)?;
            keep_document(writer, kind, name, version, text, position)?;
            Ok(position)
        })
    }

    /// Signs a memorandum: its text, its account, and the pool of its contract if this is the first one, capped at
    /// `pool`. A pool that exists keeps its cap and its charges.
    pub fn sign<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        memorandum: &Memorandum,
        text: &str,
        pool: Option<Rho>,
    ) -> Result<LogPosition, LedgerError> {
        let stamp = stamp.into();
        let (id, contract) = (&memorandum.id, &memorandum.contract);
        self.write(|writer| {
            let version = memorandum.version.to_string();
            if let Some(signed) = newest_version(writer, id)? {
                let (kind, name, version) = (DocumentKind::Memorandum, id.clone(), signed.to_string());
                return Err(LedgerError::AlreadyPublished { kind, name, version });
            }
            let existing = read_account(&writer.transaction, AccountKind::Pool, contract)?;
            let pool_account = existing.unwrap_or(Account::new(pool, None));
            let own = statement(memorandum, text, &pool_account);
            let position = writer.leaf(stamp, LeafKind::Signature, own, json!({}))?;
            keep_document(writer, DocumentKind::Memorandum, id, &version, text, position)?;
            writer.transaction.execute(
                "INSERT INTO memorandum (id, contract, signed) VALUES (?1, ?2, ?3)",
                params![id, contract, position.index],
            )?;
            let account = memorandum.allotment.account();
            open_account(&writer.transaction, AccountKind::Memorandum, id, &account)?;
            if existing.is_none() {
                open_account(&writer.transaction, AccountKind::Pool, contract, &pool_account)?;
            }
            see_new_people(writer, memorandum, None, stamp.at)?;
            Ok(position)
        })
    }

    /// Amends a memorandum: a later version of its text, and what its account holds. What was charged stays charged;
    /// a larger allotment has to fit into what is left of the pool. `facts` say what is different.
    pub fn amend<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        before: &Memorandum,
        memorandum: &Memorandum,
        text: &str,
        facts: Value,
    ) -> Result<LogPosition, AmendError> {
        let stamp = stamp.into();
        let (id, contract) = (&memorandum.id, &memorandum.contract);
        self.write(|writer| {
            let newest = newest_version(writer, id)?;
            let newest = newest.ok_or_else(|| LedgerError::UnknownMemorandum(id.clone()))?;
            if newest != before.version || memorandum.version <= newest {
                return Err(AmendError::Version(newest));
            }
            let query = "SELECT ended IS NOT NULL FROM memorandum WHERE id = ?1";
            if writer.transaction.query_row(query, [id], |row| row.get(0)).map_err(LedgerError::from)? {
                return Err(LedgerError::Ended(id.clone()).into());
            }
            let missing = |kind: AccountKind| LedgerError::Damaged(format!("the {kind} account is missing"));
            let account = read_account(&writer.transaction, AccountKind::Memorandum, id)?
                .ok_or_else(|| missing(AccountKind::Memorandum))?;
            let pool = read_account(&writer.transaction, AccountKind::Pool, contract)?
                .ok_or_else(|| missing(AccountKind::Pool))?;
            let amended = amended(&account, memorandum)?;
            let raised = amended.allotment > account.allotment;
            if let (true, Some(left), Some(wanted)) = (raised, pool.balance(), amended.balance())
                && wanted > left
            {
                return Err(AmendError::Pool { wanted, left });
            }
            let own = statement(memorandum, text, &pool);
            let position = writer.leaf(stamp, LeafKind::Amendment, own, facts)?;
            let version = memorandum.version.to_string();
            keep_document(writer, DocumentKind::Memorandum, id, &version, text, position)?;
            amend_account(&writer.transaction, AccountKind::Memorandum, id, &amended)?;
            see_new_people(writer, memorandum, Some(before), stamp.at)?;
            Ok(position)
        })
    }

    /// Ends a memorandum: no question is charged to it afterwards.
    pub fn end_memorandum<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        id: &str,
    ) -> Result<LogPosition, LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let ended: Option<Option<u64>> = writer
                .transaction
                .query_row("SELECT ended FROM memorandum WHERE id = ?1", [id], |row| row.get(0))
                .optional()?;
            match ended {
                None => return Err(LedgerError::UnknownMemorandum(id.to_owned())),
                Some(Some(_)) => return Err(LedgerError::Ended(id.to_owned())),
                Some(None) => {}
            }
            let own = object(json!({ "memorandum": id }));
            let position = writer.leaf(stamp, LeafKind::End, own, json!({}))?;
            writer
                .transaction
                .execute("UPDATE memorandum SET ended = ?1 WHERE id = ?2", params![position.index, id])?;
            Ok(position)
        })
    }

    /// When a memorandum was ended; `None` if it was not.
    pub fn ended(&self, id: &str) -> Result<Option<DateTime<Utc>>, LedgerError> {
        self.read(|transaction| {
            let query =
                "SELECT leaf.position, leaf.body FROM memorandum JOIN leaf ON position = ended WHERE id = ?1";
            let mut statement = transaction.prepare_cached(query)?;
            let mut rows = statement.query([id])?;
            rows.next()?.map(|row| log::leaf(row).map(|leaf| leaf.at)).transpose()
        })
    }

    /// All documents of a kind, in the order of publishing.
    pub fn documents(&self, kind: DocumentKind) -> Result<Vec<Document>, LedgerError> {
        self.read_documents(kind, None, None)
    }

    /// Index of the leaf that published the version published last.
    pub fn latest_leaf(&self, kind: DocumentKind, name: &str) -> Result<Option<u64>, LedgerError> {
        self.read(|transaction| {
            let query = "SELECT MAX(leaf) FROM document WHERE kind = ?1 AND name = ?2";
            let mut statement = transaction.prepare_cached(query)?;
            Ok(statement.query_row(params![kind.as_str(), name], |row| row.get(0))?)
        })
    }

    /// The version published last.
    pub fn latest(&self, kind: DocumentKind, name: &str) -> Result<Option<Document>, LedgerError> {
        Ok(self.read_documents(kind, Some(name), None)?.pop())
    }

    /// One version.
    pub fn document(
        &self,
        kind: DocumentKind,
        name: &str,
        version: &str,
    ) -> Result<Option<Document>, LedgerError> {
        Ok(self.read_documents(kind, Some(name), Some(version))?.pop())
    }

    fn read_documents(
        &self,
        kind: DocumentKind,
        name: Option<&str>,
        version: Option<&str>,
    ) -> Result<Vec<Document>, LedgerError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT leaf.position, leaf.body, document.name, document.version, document.text
                 FROM document JOIN leaf ON leaf.position = document.leaf
                 WHERE kind = ?1 AND (?2 IS NULL OR name = ?2) AND (?3 IS NULL OR version = ?3)
                 ORDER BY leaf.position",
            )?;
            let mut rows = statement.query(params![kind.as_str(), name, version])?;
            let mut documents = Vec::new();
            while let Some(row) = rows.next()? {
                documents.push(document(kind, row)?);
            }
            Ok(documents)
        })
    }
}

/// Another cap for the pool of a contract, if there is one; the leaf states it.
fn change_pool(
    writer: &Writer<'_>,
    contract: &str,
    cap: Option<Rho>,
    own: &mut Map<String, Value>,
) -> Result<(), LedgerError> {
    let Some(pool) = read_account(&writer.transaction, AccountKind::Pool, contract)? else { return Ok(()) };
    if pool.allotment == cap {
        return Ok(());
    }
    if cap.is_some_and(|cap| cap < pool.charged) {
        return Err(LedgerError::PoolCharged { contract: contract.to_owned(), charged: pool.charged });
    }
    own.insert("pool".to_owned(), json!({ "rho_micro": cap.map(Rho::micro) }));
    amend_account(&writer.transaction, AccountKind::Pool, contract, &Account { allotment: cap, ..pool })
}

/// What the leaf of a signature or an amendment states.
fn statement(memorandum: &Memorandum, text: &str, pool: &Account) -> Map<String, Value> {
    let allotment = memorandum.allotment;
    let account = allotment.account();
    let mut own = object(json!({
        "memorandum": memorandum.id,
        "version": memorandum.version,
        "contract": memorandum.contract,
        "institution": memorandum.institution,
        "use_case": memorandum.use_cases.join(" "),
        "from": memorandum.from.to_string(),
        "until": memorandum.until.to_string(),
        "rules": memorandum.rules,
        "sha256": sha256(text),
        "rho_micro": allotment.rho.micro(),
        "delta": account.pure.map_or(allotment.delta.get(), |_| 0.0),
        "threshold_delta": account.delta.map_or(0.0, Delta::get),
        "pool_rho_micro": pool.allotment.map(Rho::micro),
    }));
    if let Some(pure) = account.pure {
        own.insert(EPSILON.to_owned(), pure.allotment.micro().into());
    }
    own
}

/// The account as the amendment leaves it: other allotment, same charges.
fn amended(account: &Account, memorandum: &Memorandum) -> Result<Account, AmendError> {
    let new = memorandum.allotment.account();
    if new.pure.is_some() != account.pure.is_some() || new.delta != account.delta {
        return Err(AmendError::Guarantee);
    }
    let mut amended = Account { charged: account.charged, delta_charged: account.delta_charged, ..new };
    match (&mut amended.pure, account.pure) {
        (Some(pure), Some(before)) => {
            pure.charged = before.charged;
            if pure.charged > pure.allotment {
                return Err(AmendError::Charged { charged: format!("epsilon {}", pure.charged) });
            }
        }
        _ if new.allotment.is_some_and(|allotment| allotment < account.charged) => {
            return Err(AmendError::Charged { charged: format!("rho {}", account.charged) });
        }
        _ => {}
    }
    Ok(amended)
}

/// The highest version of a memorandum that is signed.
fn newest_version(writer: &Writer<'_>, id: &str) -> Result<Option<u32>, LedgerError> {
    let query = "SELECT MAX(CAST(version AS INTEGER)) FROM document WHERE kind = 'memorandum' AND name = ?1";
    Ok(writer.transaction.prepare_cached(query)?.query_row([id], |row| row.get(0))?)
}

/// From the day on which they join, people of a memorandum count as seen.
fn see_new_people(
    writer: &Writer<'_>,
    memorandum: &Memorandum,
    before: Option<&Memorandum>,
    at: DateTime<Utc>,
) -> Result<(), LedgerError> {
    let joined = |id: &str| before.is_none_or(|before| before.person(id).is_none());
    for person in memorandum.people.iter().filter(|person| joined(&person.id)) {
        put_seen(&writer.transaction, &format!("{}/{}", memorandum.id, person.id), at)?;
    }
    Ok(())
}

fn document(kind: DocumentKind, row: &Row<'_>) -> Result<Document, LedgerError> {
    let leaf = log::leaf(row)?;
    let (name, version, text) = (row.get(2)?, row.get(3)?, row.get(4)?);
    Ok(Document { kind, name, version, text, at: leaf.at, leaf: leaf.index })
}

fn refuse_published(
    writer: &Writer<'_>,
    kind: DocumentKind,
    name: &str,
    version: &str,
) -> Result<(), LedgerError> {
    let query = "SELECT EXISTS (SELECT 1 FROM document WHERE kind = ?1 AND name = ?2 AND version = ?3)";
    if writer
        .transaction
        .prepare_cached(query)?
        .query_row([kind.as_str(), name, version], |row| row.get(0))?
    {
        let (name, version) = (name.to_owned(), version.to_owned());
        return Err(LedgerError::AlreadyPublished { kind, name, version });
    }
    Ok(())
}

fn keep_document(
    writer: &Writer<'_>,
    kind: DocumentKind,
    name: &str,
    version: &str,
    text: &str,
    position: LogPosition,
) -> Result<(), LedgerError> {
    writer.transaction.execute(
        "INSERT INTO document (kind, name, version, leaf, text) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![kind.as_str(), name, version, position.index, text],
    )?;
    Ok(())
}

/// The digest of a text, as leaves state it.
pub(crate) fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// The fields of a `json!({…})`.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
