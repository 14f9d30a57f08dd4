//! One ingest of a contract at a time, and all of it or nothing: the files of a new snapshot are made durable in a
//! folder that no manifest names yet; its manifest, which is created once and never changed, puts it in force.
//!
//! Whatever an ingest left behind that did not get there is removed by the next.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::IngestError;
use crate::durable::{self, At};
use crate::keys::Keyring;
use crate::seal::random;
use crate::snapshot::{self, Manifest, identity_folder, manifest_path, sha256_hex, snapshots_folder};
use crate::storage::Storage;
use crate::vault::{Vault, VaultError};

/// Held while the snapshots of a contract change; the system lets go of it when the process ends, however it
/// ends.
pub(crate) fn lock(home: &Path, contract: &str) -> Result<File, IngestError> {
    let path = work_folder(home, contract)?.join("ingest.lock");
    let file = durable::lock_file(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(IngestError::Busy(contract.to_owned())),
        Err(TryLockError::Error(error)) => Err(error).at(&path).map_err(IngestError::File),
    }
}

/// `work/CONTRACT`: locks, and nameless files of what memory cannot hold. Always on this machine.
pub(crate) fn work_folder(home: &Path, contract: &str) -> Result<PathBuf, durable::FileError> {
    let folder = home.join("work").join(contract);
    durable::create_dir(&folder)?;
    Ok(folder)
}

/// Removes what ingests left behind that never came into force.
pub(crate) fn clean(vault: &Vault, contract: &str) -> Result<(), VaultError> {
    let mut used = HashSet::new();
    for number in snapshot::numbers(&vault.storage, contract)? {
        let snapshot = snapshot::load(&vault.storage, &vault.keys, contract, number)?;
        let parts = snapshot.tables.iter().flat_map(|table| table.parts.iter().chain(&table.identity));
        used.extend(parts.filter_map(|part| part.entry.place.split('/').nth(1).map(str::to_owned)));
    }
    for folder in [snapshots_folder(contract), identity_folder(contract)] {
        for name in vault.storage.names(&folder)?.iter().filter(|name| !used.contains(*name)) {
            vault.storage.remove_folder(&format!("{folder}/{name}"))?;
        }
    }
    Ok(())
}

/// The files of a snapshot that is not in force yet.
pub(crate) struct Staging {
    storage: Storage,
    contract: String,
    id: String,
    number: u64,
    work: PathBuf,
    keys: Arc<Keyring>,
    folders: RefCell<HashSet<String>>,
    committed: Cell<bool>,
}

impl Staging {
    pub(crate) fn create(vault: &Vault, contract: &str) -> Result<Staging, IngestError> {
        let random = hex::encode(random::<4>().map_err(VaultError::from)?);
        let newest = snapshot::numbers(&vault.storage, contract)?.last().copied();
        Ok(Staging {
            storage: vault.storage.clone(),
            contract: contract.to_owned(),
            id: format!("{}-{random}", chrono::Utc::now().format("%Y%m%dT%H%M%SZ")),
            number: newest.map_or(1, |newest| newest + 1),
            work: work_folder(&vault.home, contract)?,
            keys: Arc::clone(&vault.keys),
            folders: RefCell::default(),
            committed: Cell::new(false),
        })
    }

    /// Id of the snapshot to be.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Its number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Where to put spills.
    pub(crate) fn folder(&self) -> &Path {
        &self.work
    }

    /// Where its files go.
    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Path and place of a part of a table.
    pub(crate) fn part(&self, table: &str, number: u32) -> (String, String) {
        let file = format!("part-{number:05}.parquet");
        let folder = format!("{}/{}/{table}", snapshots_folder(&self.contract), self.id);
        let place = format!("{}/{}/{table}/{file}", self.contract, self.id);
        let path = format!("{folder}/{file}");
        self.folders.borrow_mut().insert(folder);
        (path, place)
    }

    /// Path and place of an identity file of a table.
    pub(crate) fn identity(&self, table: &str, cohort: &str) -> (String, String) {
        let file = format!("{table}-{cohort}.parquet");
        let folder = format!("{}/{}", identity_folder(&self.contract), self.id);
        let place = format!("{}/{}/identity/{file}", self.contract, self.id);
        let path = format!("{folder}/{file}");
        self.folders.borrow_mut().insert(folder);
        (path, place)
    }

    /// Puts the snapshot in force, once everything is durable and `announce` has told the digest of its manifest.
    pub(crate) fn commit(
        &self,
        manifest: &Manifest,
        announce: &dyn Fn(String) -> Result<(), IngestError>,
    ) -> Result<(), IngestError> {
        for folder in self.folders.borrow().iter() {
            self.storage.sync_folder(folder)?;
        }
        let signed = manifest.seal(&self.keys)?;
        announce(sha256_hex(&signed))?;
        // From here on the new snapshot may be in force, whatever is reported.
        self.committed.set(true);
        if self.storage.create(&manifest_path(&self.contract, self.number), &signed)? {
            Ok(())
        } else {
            // Another home with the same store was quicker.
            Err(IngestError::Busy(self.contract.clone()))
        }
    }
}

impl Drop for Staging {
    /// What is refused leaves nothing behind; what this cannot remove, the next ingest does.
    fn drop(&mut self) {
        if !self.committed.get() {
            for folder in [snapshots_folder(&self.contract), identity_folder(&self.contract)] {
                let _ = self.storage.remove_folder(&format!("{folder}/{}", self.id));
            }
        }
    }
}
