//! [`Act`]: what people do that changes no account and no document, with the facts that its leaf states. What a leaf
//! of each kind holds is written in `docs/log-format.md`.
//!
//! Never among the facts: a row, a pupil's identifier or pseudonym, a number of rows.

use chrono::NaiveDate;
use serde_json::{Value, json};

use crate::log::{Event, LogPosition};
use crate::stamp::Stamp;
use crate::store::{Ledger, LedgerError};

/// Something that was done.
#[derive(Debug, Clone, PartialEq)]
pub enum Act<'a> {
    /// Records were taken in: a new snapshot.
    Ingest {
        /// Name of the contract.
        contract: &'a str,
        /// Its version.
        version: &'a str,
        /// Of the new snapshot.
        snapshot: &'a str,
        /// Of the manifest that names its files.
        manifest_sha256: &'a str,
        /// Tables that were given.
        tables: &'a [&'a str],
    },
    /// Records were found, changed or removed, at a data subject's request or because their time was over.
    Records {
        /// What was done.
        done: RecordsAct,
        /// Name of the contract.
        contract: &'a str,
        /// Tables concerned.
        tables: &'a [&'a str],
        /// Reference of the paper request; none of a disposal.
        request: Option<&'a str>,
        /// The snapshot that results, where there is a new one.
        snapshot: Option<&'a str>,
    },
    /// Keys were rotated, destroyed, dealt in shares or recovered; what, in words of the caller.
    Keys {
        /// `rotated`, `destroyed`, …
        done: &'a str,
        /// Which keys.
        keys: &'a str,
    },
    /// A member reviewed the log of a period.
    Review {
        /// First day.
        from: NaiveDate,
        /// Last day.
        until: NaiveDate,
        /// Note or sign-off.
        done: ReviewAct,
        /// The note.
        note: &'a str,
        /// SHA-256 of the review as it was read, `sha256:…`.
        sha256: Option<&'a str>,
    },
    /// The log left the enclave, or the public register was made from it.
    Published {
        /// `export` or `register`.
        what: &'a str,
        /// Number of leaves that were in it.
        size: u64,
    },
}

/// What was done with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordsAct {
    /// Shown to whom they are about (本人開示).
    Find,
    /// Corrected.
    Correct,
    /// Deleted.
    Delete,
    /// Handed over in the contract's format.
    Export,
    /// Kept from disposal.
    Keep,
    /// Disposed of when their retention was over.
    Dispose,
    /// Old snapshots were removed.
    Expire,
}

/// What a member did with a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewAct {
    /// Wrote a note.
    Note,
    /// Signed it off.
    SignOff,
}

impl RecordsAct {
    /// As in the leaf.
    pub fn name(self) -> &'static str {
        match self {
            RecordsAct::Find => "find",
            RecordsAct::Correct => "correct",
            RecordsAct::Delete => "delete",
            RecordsAct::Export => "export",
            RecordsAct::Keep => "keep",
            RecordsAct::Dispose => "dispose",
            RecordsAct::Expire => "expire",
        }
    }
}

impl ReviewAct {
    /// As in the leaf.
    pub fn name(self) -> &'static str {
        match self {
            ReviewAct::Note => "note",
            ReviewAct::SignOff => "sign-off",
        }
    }
}

impl Act<'_> {
    fn leaf(&self) -> (Event, Value) {
        match self {
            Act::Ingest { contract, version, snapshot, manifest_sha256, tables } => {
                let facts = json!({
                    "contract": contract, "version": version, "snapshot": snapshot,
                    "manifest_sha256": manifest_sha256, "tables": tables,
                });
                (Event::Ingest, facts)
            }
            Act::Records { done, contract, tables, request, snapshot } => {
                let facts = json!({
                    "act": done.name(), "contract": contract, "tables": tables, "request": request,
                    "snapshot": snapshot,
                });
                (Event::Records, facts)
            }
            Act::Keys { done, keys } => (Event::Keys, json!({ "act": done, "keys": keys })),
            Act::Review { from, until, done, note, sha256 } => {
                let facts = json!({
                    "act": done.name(), "from": from.to_string(), "until": until.to_string(), "note": note,
                    "sha256": sha256,
                });
                (Event::Review, facts)
            }
            Act::Published { what, size } => (Event::Published, json!({ "act": what, "size": size })),
        }
    }
}

impl Ledger {
    /// Records what was done, when, and by whom.
    pub fn record_act<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        act: &Act<'_>,
    ) -> Result<LogPosition, LedgerError> {
        let (event, facts) = act.leaf();
        self.append(stamp, event, facts)
    }
}
