//! Contracts, rule sets and memoranda: stored text, and a leaf with its SHA-256. Signing a memorandum opens its
//! account in the same transaction.

use std::fmt;

use chrono::{DateTime, Utc};
use disclosure_rules::{Account, Delta, Rho};
use memoranda::Memorandum;
use rusqlite::{OptionalExtension, Row, params};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::accounts::{AccountKind, EPSILON, open_account, read_account};
use crate::log::{self, LeafKind, LogPosition, Writer};
use crate::store::{Ledger, LedgerError};

/// A memorandum is not amended: another one is signed.
const MEMORANDUM_VERSION: &str = "1";

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
    /// Its version; `1` for a memorandum.
    pub version: String,
    /// The text, byte for byte.
    pub text: String,
    /// When it was published.
    pub at: DateTime<Utc>,
    /// Index of its leaf.
    pub leaf: u64,
}

impl Ledger {
    /// Publishes a version of a contract or of a rule set.
    pub fn publish(
        &self,
        at: DateTime<Utc>,
        kind: DocumentKind,
        name: &str,
        version: &str,
        text: &str,
        facts: Value,
    ) -> Result<LogPosition, LedgerError> {
        if kind == DocumentKind::Memorandum {
            return Err(LedgerError::Unsigned);
        }
        let own = object(json!({
            "document": kind.as_str(), "name": name, "version": version, "sha256": sha256(text),
        }));
        self.write(|writer| {
            refuse_published(writer, kind, name, version)?;
            let position = writer.leaf(at, LeafKind::Publish, own, facts)?;
            keep_document(writer, kind, name, version, text, position)?;
            Ok(position)
        })
    }

    /// Signs a memorandum: its text, its account, and the pool of its contract if this is the first one, capped at
    /// `pool`. A pool that exists keeps its cap and its charges.
    pub fn sign(
        &self,
        at: DateTime<Utc>,
        memorandum: &Memorandum,
        text: &str,
        pool: Option<Rho>,
    ) -> Result<LogPosition, LedgerError> {
        let (id, contract, allotment) = (&memorandum.id, &memorandum.contract, memorandum.allotment);
        self.write(|writer| {
            refuse_published(writer, DocumentKind::Memorandum, id, MEMORANDUM_VERSION)?;
            let existing = read_account(&writer.transaction, AccountKind::Pool, contract)?;
            let pool_account = existing.unwrap_or(Account::new(pool, None));
            let account = allotment.account();
            let mut own = object(json!({
                "memorandum": id,
                "contract": contract,
                "institution": memorandum.institution,
                "use_case": memorandum.use_cases.join(" "),
                "from": memorandum.from.to_string(),
                "until": memorandum.until.to_string(),
                "rules": memorandum.rules,
                "sha256": sha256(text),
                "rho_micro": allotment.rho.micro(),
                "delta": account.pure.map_or(allotment.delta.get(), |_| 0.0),
                "threshold_delta": account.delta.map_or(0.0, Delta::get),
                "pool_rho_micro": pool_account.allotment.map(Rho::micro),
            }));
            if let Some(pure) = account.pure {
                own.insert(EPSILON.to_owned(), pure.allotment.micro().into());
            }
            let position = writer.leaf(at, LeafKind::Signature, own, json!({}))?;
            keep_document(writer, DocumentKind::Memorandum, id, MEMORANDUM_VERSION, text, position)?;
            writer.transaction.execute(
                "INSERT INTO memorandum (id, contract, signed) VALUES (?1, ?2, ?3)",
                params![id, contract, position.index],
            )?;
            open_account(&writer.transaction, AccountKind::Memorandum, id, &account)?;
            if existing.is_none() {
                open_account(&writer.transaction, AccountKind::Pool, contract, &pool_account)?;
            }
            Ok(position)
        })
    }

    /// Ends a memorandum: no question is charged to it afterwards.
    pub fn end_memorandum(&self, at: DateTime<Utc>, id: &str) -> Result<LogPosition, LedgerError> {
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
            let position = writer.leaf(at, LeafKind::End, own, json!({}))?;
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
            let mut statement = transaction.prepare(query)?;
            let mut rows = statement.query([id])?;
            rows.next()?.map(|row| log::leaf(row).map(|leaf| leaf.at)).transpose()
        })
    }

    /// All documents of a kind, in the order of publishing.
    pub fn documents(&self, kind: DocumentKind) -> Result<Vec<Document>, LedgerError> {
        self.read_documents(kind, None, None)
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
            let mut statement = transaction.prepare(
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
    if writer.transaction.query_row(query, [kind.as_str(), name, version], |row| row.get(0))? {
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
