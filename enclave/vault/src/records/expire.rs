//! Older snapshots: listed, and expired once nobody reads them. With the last snapshot that names a file, the file
//! goes.

use memoranda::Contract;

use super::RecordsError;
use crate::ingest::staging;
use crate::pins::Alone;
use crate::snapshot;
use crate::vault::{Vault, VaultError};

/// One snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotEntry {
    /// Counts up from 1.
    pub number: u64,
    /// Its id; what is of another number and the same id differs in keys alone. `None`: its manifest cannot be read.
    pub id: Option<String>,
    /// When its rows changed last, in UTC, as `20261125T091500Z`.
    pub made: Option<String>,
    /// Version of the contract.
    pub contract_version: Option<String>,
    /// Questions read it.
    pub in_force: bool,
    /// Somebody reads it at this moment.
    pub pinned: bool,
    /// Number of its files, with those that it has in common with others.
    pub files: u64,
    /// Their length in bytes.
    pub bytes: u64,
}

/// Which snapshots expire. The one in force never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// All but so many of the newest.
    Keep(u64),
    /// Those that were followed by another more than so many days ago.
    OlderThanDays(u32),
}

/// What has expired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expired {
    /// Numbers of the snapshots that are gone.
    pub expired: Vec<u64>,
    /// Numbers of those that somebody reads; they expire when this is done again.
    pub pinned: Vec<u64>,
}

impl Vault {
    /// The snapshots of a contract, the oldest first.
    pub fn snapshots(&self, contract: &str) -> Result<Vec<SnapshotEntry>, VaultError> {
        let numbers = snapshot::numbers(&self.storage, contract)?;
        let newest = numbers.last().copied();
        let entry = |number: u64| {
            let pinned = Alone::with(&self.home, contract, number)?.is_none();
            let loaded = match snapshot::load(&self.storage, &self.keys, contract, number) {
                Ok(loaded) => Some(loaded),
                Err(VaultError::Damaged(_)) => None,
                Err(error) => return Err(error),
            };
            let id = loaded.as_ref().map(|loaded| loaded.id.clone());
            Ok(SnapshotEntry {
                number,
                made: id.as_deref().and_then(|id| id.split('-').next()).map(str::to_owned),
                id,
                contract_version: loaded.as_ref().map(|loaded| loaded.contract_version.clone()),
                in_force: Some(number) == newest,
                pinned,
                files: loaded.as_ref().map_or(0, |loaded| loaded.files().count() as u64),
                bytes: loaded.as_ref().map_or(0, |loaded| loaded.files().map(|part| part.size).sum()),
            })
        };
        numbers.into_iter().map(entry).collect()
    }

    /// Expires snapshots, and removes the files that no snapshot names any more and the keys that wrap nothing.
    pub fn expire(&self, contract: &Contract, which: Expiry) -> Result<Expired, RecordsError> {
        let name = &contract.name;
        let _lock = staging::lock(&self.home, name)?;
        let snapshots = self.snapshots(name)?;
        let last = snapshots.len().saturating_sub(1);
        let before = match which {
            Expiry::Keep(keep) => {
                snapshots.len().saturating_sub(usize::try_from(keep.max(1)).unwrap_or(usize::MAX))
            }
            Expiry::OlderThanDays(days) => {
                let limit = chrono::Utc::now() - chrono::TimeDelta::days(i64::from(days));
                let limit = limit.format("%Y%m%dT%H%M%SZ").to_string();
                // A snapshot was in force until the next was made.
                let followed = |next: &SnapshotEntry| next.made.as_ref().is_some_and(|made| *made < limit);
                snapshots.iter().skip(1).take_while(|next| followed(next)).count()
            }
        };
        let mut done = Expired::default();
        for old in &snapshots[..before.min(last)] {
            match Alone::with(&self.home, name, old.number)? {
                Some(alone) => {
                    self.storage.remove(&snapshot::manifest_path(name, old.number))?;
                    alone.end()?;
                    done.expired.push(old.number);
                }
                None => done.pinned.push(old.number),
            }
        }
        staging::clean(self, name)?;
        self.prune_unused(&[name])?;
        Ok(done)
    }
}
