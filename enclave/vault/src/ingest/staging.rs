//! One ingest of a contract at a time, and all of it or nothing: files are made durable beside the store, moved
//! in by one rename, and put in force by another.
//!
//! Snapshots that were in force are kept, since a reader may still be on one; whatever an ingest left behind
//! that did not get there is removed by the next.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::IngestError;
use crate::durable::{self, At};
use crate::seal::random;
use crate::snapshot::{
    self, Manifest, Snapshot, contract_dir, current_path, identity_dir, sha256_hex, snapshots_dir,
};
use crate::vault::{Vault, VaultError};

const STAGING: &str = "staging-";

/// Held while an ingest runs; the system lets go of it when the process ends, however it ends.
pub(super) fn lock(home: &Path, contract: &str) -> Result<File, IngestError> {
    let folder = contract_dir(home, contract);
    durable::create_dir(&folder)?;
    let path = folder.join("ingest.lock");
    let file = durable::lock_file(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(IngestError::Busy(contract.to_owned())),
        Err(TryLockError::Error(error)) => Err(error).at(&path).map_err(IngestError::File),
    }
}

/// Removes what ingests left behind that never came into force.
pub(super) fn clean(vault: &Vault, contract: &str, current: Option<&Snapshot>) -> Result<(), IngestError> {
    let mut in_force = HashSet::new();
    let mut next = current.cloned();
    while let Some(snapshot) = next {
        next = match &snapshot.previous {
            Some(id) => Some(snapshot::load(&vault.home, &vault.keys, contract, id)?),
            None => None,
        };
        in_force.insert(snapshot.id.clone());
    }
    let folder = contract_dir(&vault.home, contract);
    for name in durable::names_in(&folder)?.iter().filter(|name| name.starts_with(STAGING)) {
        durable::remove_dir(&folder.join(name))?;
    }
    for folder in [snapshots_dir(&vault.home, contract), identity_dir(&vault.home, contract)] {
        for name in durable::names_in(&folder)?.iter().filter(|name| !in_force.contains(*name)) {
            durable::remove_dir(&folder.join(name))?;
        }
    }
    Ok(())
}

/// The folders of an ingest that is not in force yet.
pub(super) struct Staging {
    home: PathBuf,
    contract: String,
    id: String,
    folder: PathBuf,
    identity: PathBuf,
    keys: std::sync::Arc<crate::keys::Keyring>,
    committed: std::cell::Cell<bool>,
}

impl Staging {
    pub(super) fn create(vault: &Vault, contract: &str) -> Result<Staging, IngestError> {
        let random = hex::encode(random::<4>().map_err(VaultError::from)?);
        let id = format!("{}-{random}", chrono::Utc::now().format("%Y%m%dT%H%M%SZ"));
        let folder = contract_dir(&vault.home, contract).join(format!("{STAGING}{random}"));
        let identity = identity_dir(&vault.home, contract).join(&id);
        durable::create_dir(&snapshots_dir(&vault.home, contract))?;
        durable::create_dir(&folder)?;
        durable::create_dir(&identity)?;
        Ok(Staging {
            home: vault.home.clone(),
            contract: contract.to_owned(),
            id,
            folder,
            identity,
            keys: std::sync::Arc::clone(&vault.keys),
            committed: std::cell::Cell::new(false),
        })
    }

    /// Id of the snapshot to be.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Where to put spills.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Path and place of a part of a table.
    pub(super) fn part(&self, table: &str, number: u32) -> Result<(PathBuf, String), IngestError> {
        let folder = self.folder.join(table);
        durable::create_dir(&folder)?;
        let file = format!("part-{number:05}.parquet");
        let place = format!("{}/{}/{table}/{file}", self.contract, self.id);
        Ok((folder.join(file), place))
    }

    /// Path and place of the identity file of a table.
    pub(super) fn identity(&self, table: &str) -> (PathBuf, String) {
        let file = format!("{table}.parquet");
        (self.identity.join(&file), format!("{}/{}/identity/{file}", self.contract, self.id))
    }

    /// Puts the snapshot in force, once everything is durable and `announce` has told the digest of its manifest.
    pub(super) fn commit(
        &self,
        manifest: &Manifest,
        announce: &dyn Fn(String) -> Result<(), IngestError>,
    ) -> Result<(), IngestError> {
        let sealed = manifest.seal(&self.keys)?;
        durable::replace(&self.folder.join("manifest"), &sealed)?;
        for table in durable::names_in(&self.folder)? {
            let path = self.folder.join(table);
            if path.is_dir() {
                durable::sync_dir(&path)?;
            }
        }
        durable::sync_dir(&self.folder)?;
        durable::sync_dir(&self.identity)?;
        for folder in self.identity.ancestors().skip(1).take_while(|folder| *folder != self.home) {
            durable::sync_dir(folder)?;
        }
        let snapshots = snapshots_dir(&self.home, &self.contract);
        durable::rename(&self.folder, &snapshots.join(&self.id))?;
        for folder in snapshots.ancestors().skip(1).take_while(|folder| *folder != self.home) {
            durable::sync_dir(folder)?;
        }
        announce(sha256_hex(&sealed))?;
        // From the next rename on, the new snapshot is in force.
        self.committed.set(true);
        durable::replace(&current_path(&self.home, &self.contract), format!("{}\n", self.id).as_bytes())?;
        Ok(())
    }
}

impl Drop for Staging {
    /// What is refused leaves nothing behind; what this cannot remove, the next ingest does.
    fn drop(&mut self) {
        if !self.committed.get() {
            let _ = durable::remove_dir(&self.folder);
            let _ = durable::remove_dir(&self.identity);
        }
    }
}
