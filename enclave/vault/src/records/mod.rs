//! The life of records: what a custodian does for a pupil (find, delete, keep), and with whole snapshots (list,
//! expire, compact, dispose). Every change is a new manifest that names the files that did not change as they are.
//!
//! In reading order: `change` (a new snapshot out of the one in force) · `find` (what is held on a pupil) · `remove`
//! (of one pupil, or of those whose time is over) · `expire` (older snapshots) · `compact` (parts of another number).

pub(crate) mod change;
mod compact;
mod expire;
mod find;
mod remove;

pub use expire::{Expired, Expiry, SnapshotEntry};
pub use find::Held;

use crate::durable::FileError;
use crate::ingest::IngestError;
use crate::vault::VaultError;

/// A new snapshot, before it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its id.
    pub snapshot_id: String,
    /// SHA-256 of its sealed manifest, for the log.
    pub manifest_sha256: String,
    /// The tables whose files change.
    pub tables: Vec<String>,
    /// How many files were written anew.
    pub files: u64,
}

/// Called when everything is durable, just before the change takes effect; an error leaves everything as it was.
pub type AnnounceChange<'a> = &'a dyn Fn(&Changed) -> Result<(), String>;

/// Why records were not found or changed.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// No snapshot is in force.
    #[error("contract `{0}` holds no data yet")]
    Empty(String),
    /// The number cannot be one.
    #[error("the pupil's number is not of the kind that the contract declares for it")]
    NotANumber,
    /// No table names a pupil.
    #[error("no table of the contract `{0}` names a pupil")]
    NoUnit(String),
    /// Nothing is held.
    #[error("the store holds nothing on this pupil")]
    NotHeld,
    /// Nothing says when a pupil leaves school.
    #[error(
        "no table of `{0}` declares `enclave:cohort`, so that nothing says when time is over; declare it, or delete pupil by pupil"
    )]
    NoCohort(String),
    /// Records are being taken in.
    #[error("an ingest of `{0}` is running; try again when it has ended")]
    Busy(String),
    /// The log does not know of the change, so that it did not take effect.
    #[error("nothing was changed: {0}")]
    NotAnnounced(String),
    /// The store.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<FileError> for RecordsError {
    fn from(error: FileError) -> RecordsError {
        RecordsError::Vault(error.into())
    }
}

impl From<IngestError> for RecordsError {
    fn from(error: IngestError) -> RecordsError {
        match error {
            IngestError::Busy(contract) => RecordsError::Busy(contract),
            IngestError::Vault(error) => RecordsError::Vault(error),
            IngestError::File(error) => RecordsError::Vault(error.into()),
            _ => RecordsError::Vault(VaultError::Engine("the store could not be locked")),
        }
    }
}

#[cfg(test)]
mod tests;
