//! The disclosure log: leaves, their positions, and [`Writer`], the one door through which the ledger changes.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::{Connection, Row, Savepoint, params};
use serde_json::{Map, Value};

use crate::canonical::canonical;
use crate::prune::unstub;
use crate::stamp::Stamp;
use crate::store::{Ledger, LedgerError, node, stored_checkpoint};
use crate::tree::{Growing, Hash, consistency_proof, inclusion_proof, leaf_hash, peaks, root_of_peaks};

/// Longest entry of a C2SP entry bundle.
const LEAF_BYTES_MAX: usize = 65_535;

/// What a leaf tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeafKind {
    /// The enclave was made.
    Init,
    /// A contract or a rule set was published.
    Publish,
    /// A memorandum was signed, and its account opened.
    Signature,
    /// A memorandum was ended.
    End,
    /// Records were ingested.
    Ingest,
    /// Keys were rotated, destroyed, dealt in shares or recovered.
    Keys,
    /// A custodian found, corrected, deleted, exported, kept or disposed of records, or changed snapshots.
    Records,
    /// A question was charged.
    Question,
    /// A question was refused.
    Refusal,
    /// An answer was released.
    Release,
    /// An answer on record was given again, at no charge.
    Replay,
    /// A question or an act was put before the board.
    Escalation,
    /// A member of the board voted, or was answered.
    Vote,
    /// The approval of an act was used.
    ApprovalUsed,
    /// A memorandum was amended, and its account with it.
    Amendment,
    /// The register of people changed: who is there, with which roles, under which policy.
    People,
    /// A person showed a second factor, or failed to.
    LogIn,
    /// Somebody became a witness, or is one no more.
    Witness,
    /// A witness cosigned a checkpoint.
    Cosignature,
    /// The words of old leaves were removed, under a written policy.
    Prune,
    /// A member of the board noted something on a month's review, or signed it off.
    Review,
    /// The enclave goes on from a backup.
    Restore,
}

impl LeafKind {
    const ALL: [LeafKind; 22] = [
        LeafKind::Init,
        LeafKind::Publish,
        LeafKind::Signature,
        LeafKind::End,
        LeafKind::Ingest,
        LeafKind::Keys,
        LeafKind::Records,
        LeafKind::Question,
        LeafKind::Refusal,
        LeafKind::Release,
        LeafKind::Replay,
        LeafKind::Escalation,
        LeafKind::Vote,
        LeafKind::ApprovalUsed,
        LeafKind::Amendment,
        LeafKind::People,
        LeafKind::LogIn,
        LeafKind::Witness,
        LeafKind::Cosignature,
        LeafKind::Prune,
        LeafKind::Review,
        LeafKind::Restore,
    ];

    /// As in the leaf.
    pub fn as_str(self) -> &'static str {
        match self {
            LeafKind::Init => "init",
            LeafKind::Publish => "publish",
            LeafKind::Signature => "signature",
            LeafKind::End => "end",
            LeafKind::Ingest => "ingest",
            LeafKind::Keys => "keys",
            LeafKind::Records => "records",
            LeafKind::Question => "question",
            LeafKind::Refusal => "refusal",
            LeafKind::Release => "release",
            LeafKind::Replay => "replay",
            LeafKind::Escalation => "escalation",
            LeafKind::Vote => "vote",
            LeafKind::ApprovalUsed => "approval-used",
            LeafKind::Amendment => "amendment",
            LeafKind::People => "people",
            LeafKind::LogIn => "log-in",
            LeafKind::Witness => "witness",
            LeafKind::Cosignature => "cosignature",
            LeafKind::Prune => "prune",
            LeafKind::Review => "review",
            LeafKind::Restore => "restore",
        }
    }
}

impl fmt::Display for LeafKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The leaves that change no account and no document, so that [`Ledger::append`] may write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The enclave was made.
    Init,
    /// Records were ingested.
    Ingest,
    /// Keys were rotated, destroyed, dealt in shares or recovered.
    Keys,
    /// A custodian found, corrected, deleted, exported, kept or disposed of records, or changed snapshots.
    Records,
    /// A question was refused.
    Refusal,
    /// An answer on record was given again.
    Replay,
    /// A member of the board noted something on a month's review, or signed it off.
    Review,
    /// The enclave goes on from a backup.
    Restore,
}

impl Event {
    fn kind(self) -> LeafKind {
        match self {
            Event::Init => LeafKind::Init,
            Event::Ingest => LeafKind::Ingest,
            Event::Keys => LeafKind::Keys,
            Event::Records => LeafKind::Records,
            Event::Refusal => LeafKind::Refusal,
            Event::Replay => LeafKind::Replay,
            Event::Review => LeafKind::Review,
            Event::Restore => LeafKind::Restore,
        }
    }
}

/// Where a leaf stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    /// Counted from 0.
    pub index: u64,
    /// Root of the tree that ends with this leaf.
    pub root: Hash,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Counted from 0.
    pub index: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// What it tells of.
    pub kind: LeafKind,
    /// Canonical JSON: the bytes that are hashed; of a pruned leaf, what is kept of it.
    pub body: String,
    /// SHA-256(0x00 ‖ body), of the whole body also where the leaf was pruned.
    pub hash: Hash,
    /// Whether its words were removed.
    pub pruned: bool,
}

impl Ledger {
    /// Appends a leaf that states `facts`.
    pub fn append<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        event: Event,
        facts: Value,
    ) -> Result<LogPosition, LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| writer.leaf(stamp, event.kind(), Map::new(), facts))
    }

    /// Appends a leaf for each of `facts`, durable together; gives the last one's place.
    pub fn append_all<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        event: Event,
        facts: impl IntoIterator<Item = Value>,
    ) -> Result<Option<LogPosition>, LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let mut last = None;
            for facts in facts {
                last = Some(writer.leaf(stamp, event.kind(), Map::new(), facts)?);
            }
            Ok(last)
        })
    }

    /// Number of leaves.
    pub fn size(&self) -> Result<u64, LedgerError> {
        self.read(|transaction| Ok(self.head(transaction)?.size()))
    }

    /// At most `count` leaves from index `from` on.
    pub fn leaves(&self, from: u64, count: u64) -> Result<Vec<Leaf>, LedgerError> {
        // What lies beyond SQLite's integers lies beyond the log.
        let (from, count) =
            (i64::try_from(from).unwrap_or(i64::MAX), i64::try_from(count).unwrap_or(i64::MAX));
        self.read(|transaction| {
            let query = "SELECT position, body FROM leaf WHERE position >= ?1 ORDER BY position LIMIT ?2";
            let mut statement = transaction.prepare_cached(query)?;
            let mut rows = statement.query(params![from, count])?;
            let mut leaves = Vec::new();
            while let Some(row) = rows.next()? {
                leaves.push(leaf(row)?);
            }
            Ok(leaves)
        })
    }

    /// Leaf `index`, if there is one.
    pub fn leaf(&self, index: u64) -> Result<Option<Leaf>, LedgerError> {
        Ok(self.leaves(index, 1)?.into_iter().find(|leaf| leaf.index == index))
    }

    /// The signed checkpoint of the whole log, a C2SP `tlog-checkpoint` note.
    pub fn checkpoint(&self) -> Result<String, LedgerError> {
        self.read(|transaction| {
            self.head(transaction)?;
            stored_checkpoint(transaction)
        })
    }

    /// The root of the first `size` leaves; `None` beyond the log.
    pub fn root(&self, size: u64) -> Result<Option<Hash>, LedgerError> {
        self.read(|transaction| {
            if size > self.head(transaction)?.size() {
                return Ok(None);
            }
            root_at(transaction, size).map(Some)
        })
    }

    /// The proof that leaf `index` is among the first `size`; `None` if it is not.
    pub fn prove_inclusion(&self, index: u64, size: u64) -> Result<Option<Vec<Hash>>, LedgerError> {
        self.read(|transaction| {
            if index >= size || size > self.head(transaction)?.size() {
                return Ok(None);
            }
            inclusion_proof(index, size, &mut |level, index| node(transaction, level, index)).map(Some)
        })
    }

    /// The proof that the first `old` leaves are the beginning of the first `size`; `None` if they are not.
    pub fn prove_consistency(&self, old: u64, size: u64) -> Result<Option<Vec<Hash>>, LedgerError> {
        self.read(|transaction| {
            if old > size || size > self.head(transaction)?.size() {
                return Ok(None);
            }
            if old == 0 {
                return Ok(Some(Vec::new()));
            }
            consistency_proof(old, size, &mut |level, index| node(transaction, level, index)).map(Some)
        })
    }
}

/// A write in progress.
pub(crate) struct Writer<'a> {
    pub(crate) transaction: Savepoint<'a>,
    pub(crate) tree: Growing,
}

impl Writer<'_> {
    /// Appends a leaf of what the ledger states (`own`) and what its caller does (`facts`).
    pub(crate) fn leaf<'s>(
        &mut self,
        stamp: impl Into<Stamp<'s>>,
        kind: LeafKind,
        mut own: Map<String, Value>,
        facts: Value,
    ) -> Result<LogPosition, LedgerError> {
        let Stamp { at, by } = stamp.into();
        if let Some(by) = by {
            own.insert("by".to_owned(), by.into());
        }
        own.insert("at".to_owned(), at.to_rfc3339_opts(SecondsFormat::Micros, true).into());
        own.insert("kind".to_owned(), kind.as_str().into());
        let Value::Object(facts) = facts else { return Err(LedgerError::Facts) };
        for (name, fact) in facts {
            if own.contains_key(&name) {
                return Err(LedgerError::ReservedFact(name));
            }
            own.insert(name, fact);
        }
        let body = canonical(&own);
        if body.len() > LEAF_BYTES_MAX {
            return Err(LedgerError::LeafTooLong(body.len()));
        }

        let index = self.tree.size();
        self.transaction
            .prepare_cached("INSERT INTO leaf (position, body) VALUES (?1, ?2)")?
            .execute(params![index, body])?;
        let mut insert = self
            .transaction
            .prepare_cached("INSERT INTO node (level, position, hash) VALUES (?1, ?2, ?3)")?;
        self.tree.push(leaf_hash(body.as_bytes()), |level, index, hash| {
            insert.execute(params![level, index, hash]).map(drop)
        })?;
        Ok(LogPosition { index, root: self.tree.root() })
    }

    /// Number of leaves so far.
    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }
}

/// The root of the first `size` leaves, which the tree has.
pub(crate) fn root_at(transaction: &Connection, size: u64) -> Result<Hash, LedgerError> {
    let hashes: Vec<_> =
        peaks(size).map(|(level, index)| node(transaction, level, index)).collect::<Result<_, _>>()?;
    Ok(root_of_peaks(&hashes))
}

/// Reads a row of (position, body).
pub(crate) fn leaf(row: &Row<'_>) -> Result<Leaf, LedgerError> {
    let (index, line): (u64, String) = (row.get(0)?, row.get(1)?);
    let (hash, kept) = unstub(line.as_bytes());
    let pruned = kept.is_some();
    let body = kept.unwrap_or(line);
    let read = || -> Option<(DateTime<Utc>, LeafKind)> {
        let fields: Map<String, Value> = serde_json::from_str(&body).ok()?;
        let kind = fields.get("kind")?.as_str()?;
        let kind = LeafKind::ALL.into_iter().find(|known| known.as_str() == kind)?;
        let at = DateTime::parse_from_rfc3339(fields.get("at")?.as_str()?).ok()?;
        Some((at.to_utc(), kind))
    };
    let (at, kind) = read().ok_or_else(|| LedgerError::Damaged(format!("leaf {index} is not one")))?;
    Ok(Leaf { index, at, kind, body, hash, pruned })
}
