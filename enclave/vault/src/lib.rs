//! The locked store: rows of pupils lie here only encrypted, ordered by pupil, in immutable snapshots, and only
//! a [`queries::PrivatePlan`] is evaluated over them.
//!
//! Deliberately absent: SQL, privacy accounting, noise, logging, and any function that returns rows. What
//! identifies a pupil is kept apart, under its own key, in files that no question opens.
//!
//! In reading order: `vault` (create, open, check) · `keys` (root key, key-encryption keys) · `seal` (authenticated
//! encryption of small things) · `storage` (a folder, or a bucket) · `snapshot` (what is in force) · `parquet_key` (modular encryption of
//! files) · `files` (one file, written and read) · [`ingest`] (validate, pseudonymise, encrypt, switch) · `durable` (files that survive a crash) ·
//! `rotate` (the life of keys) · `scan` (a table as DataFusion reads it) · [`evaluate`] (a plan's totals, sealed) · [`process`] (memory that
//! nobody else reads).

mod check;
mod durable;
pub mod evaluate;
mod files;
mod identity;
pub mod ingest;
mod keys;
mod parquet_key;
mod pins;
pub mod process;
pub mod records;
mod rotate;
mod scan;
mod seal;
mod snapshot;
mod storage;
mod vault;

pub use check::{Checked, Finding, Mend};
pub use durable::FileError;
pub use evaluate::{Allowed, EvaluateError};
pub use identity::Desk;
pub use ingest::{IngestError, Ingested, Input, Mistake, Mode, Report};
pub use keys::escrow::EscrowError;
pub use keys::guard::RootKeyError;
pub use keys::source::{Pkcs11Key, RootSource, UnknownSource};
pub use records::{AnnounceChange, Changed, Expired, Expiry, Held, RecordsError, SnapshotEntry};
pub use rotate::{AnnounceKeys, KeyEntry, KeyError, Rekeyed, VersionEntry};
pub use snapshot::{Part, Snapshot, SnapshotData, SnapshotTable};
pub use vault::{Setup, Vault, VaultError};
