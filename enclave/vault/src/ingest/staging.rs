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
use crate::snapshot::{
    self, LARGEST_MANIFEST, Manifest, identity_folder, manifest_path, manifests_folder, sha256_hex,
    snapshots_folder,
};
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

/// Removes what was left behind and never came into force, and the files that no snapshot names any more. Where a
/// manifest cannot be read nobody knows what it names, and everything stays.
pub(crate) fn clean(vault: &Vault, contract: &str) -> Result<(), VaultError> {
    for path in leftovers(vault, contract)? {
        vault.storage.remove(&path)?;
    }
    for folder in [snapshots_folder(contract), identity_folder(contract)] {
        for name in vault.storage.names(&folder)? {
            remove_empty(&vault.storage, &format!("{folder}/{name}"))?;
        }
    }
    Ok(())
}

/// The files that [`clean`] removes.
pub(crate) fn leftovers(vault: &Vault, contract: &str) -> Result<Vec<String>, VaultError> {
    let manifests = manifests_folder(contract);
    let names = vault.storage.names(&manifests)?;
    let mut found: Vec<String> =
        names.iter().filter(|name| is_unfinished(name)).map(|name| format!("{manifests}/{name}")).collect();
    let mut named = HashSet::new();
    for number in snapshot::numbers(&vault.storage, contract)? {
        match snapshot::load(&vault.storage, &vault.keys, contract, number) {
            Ok(snapshot) => named.extend(snapshot.files().map(|part| part.path.clone())),
            Err(VaultError::Damaged(_)) => return Ok(found),
            Err(error) => return Err(error),
        }
    }
    for folder in [snapshots_folder(contract), identity_folder(contract)] {
        unnamed(&vault.storage, &folder, &named, &mut found)?;
    }
    Ok(found)
}

fn unnamed(
    storage: &Storage,
    folder: &str,
    named: &HashSet<String>,
    found: &mut Vec<String>,
) -> Result<(), VaultError> {
    for name in storage.names(folder)? {
        let path = format!("{folder}/{name}");
        if !name.ends_with(".parquet") {
            unnamed(storage, &path, named, found)?;
        } else if !named.contains(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// Removes a folder without files; whether there are some.
fn remove_empty(storage: &Storage, folder: &str) -> Result<bool, VaultError> {
    let mut left = false;
    for name in storage.names(folder)? {
        left |= name.ends_with(".parquet") || remove_empty(storage, &format!("{folder}/{name}"))?;
    }
    if !left {
        storage.remove_folder(folder)?;
    }
    Ok(left)
}

/// Puts a manifest in force. It is durable under another name before `announce` tells its digest to the log, and
/// under its own name only after: where the machine stops in between, [`finish`] does the rest. `false` where
/// another home with the same store was quicker.
pub(crate) fn switch<E: From<VaultError>>(
    storage: &Storage,
    contract: &str,
    number: u64,
    signed: &[u8],
    announce: impl FnOnce(String) -> Result<(), E>,
) -> Result<bool, E> {
    let pending = pending_path(contract, number);
    let put = || -> Result<bool, VaultError> {
        storage.remove(&pending)?;
        Ok(storage.create(&pending, signed)?)
    };
    if !put()? {
        return Ok(false);
    }
    if let Err(error) = announce(sha256_hex(signed)) {
        storage.remove(&pending).map_err(VaultError::from)?;
        return Err(error);
    }
    Ok(name_pending(storage, contract, number, signed)?)
}

/// Finishes a switch that was announced with this digest; whether there was one.
pub(crate) fn finish(storage: &Storage, contract: &str, manifest_sha256: &str) -> Result<bool, VaultError> {
    let names = storage.names(&manifests_folder(contract))?;
    for number in names.iter().filter_map(|name| name.strip_suffix(PENDING)?.parse().ok()) {
        let signed = storage.read(&pending_path(contract, number), LARGEST_MANIFEST)?;
        if let Some(signed) = signed.filter(|signed| sha256_hex(signed) == manifest_sha256) {
            return name_pending(storage, contract, number, &signed);
        }
    }
    Ok(false)
}

fn name_pending(storage: &Storage, contract: &str, number: u64, signed: &[u8]) -> Result<bool, VaultError> {
    let path = manifest_path(contract, number);
    // Whoever has found it pending may have been quicker with the very same.
    let named = storage.create(&path, signed)?
        || storage.read(&path, LARGEST_MANIFEST)?.is_some_and(|there| there == signed);
    storage.remove(&pending_path(contract, number))?;
    Ok(named)
}

const PENDING: &str = ".pending";

fn pending_path(contract: &str, number: u64) -> String {
    format!("{}{PENDING}", manifest_path(contract, number))
}

/// Whether a file beside the manifests is one that was being written.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.ends_with(PENDING) || name.ends_with(".new")
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
    given: RefCell<HashSet<String>>,
    committed: Cell<bool>,
}

impl Staging {
    pub(crate) fn create(vault: &Vault, contract: &str) -> Result<Staging, VaultError> {
        // Keys may have been rotated, and a version that wraps nothing may be gone.
        vault.keys.ring.reload()?;
        let random = hex::encode(random::<4>()?);
        let newest = snapshot::numbers(&vault.storage, contract)?.last().copied();
        Ok(Staging {
            storage: vault.storage.clone(),
            contract: contract.to_owned(),
            id: format!("{}-{random}", chrono::Utc::now().format("%Y%m%dT%H%M%SZ")),
            number: newest.map_or(1, |newest| newest + 1),
            work: work_folder(&vault.home, contract)?,
            keys: Arc::clone(&vault.keys),
            folders: RefCell::default(),
            given: RefCell::default(),
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
        let mut given = self.given.borrow_mut();
        let mut file = format!("{table}-{cohort}.parquet");
        for again in 2.. {
            if given.insert(file.clone()) {
                break;
            }
            file = format!("{table}-{cohort}-{again}.parquet");
        }
        let folder = format!("{}/{}", identity_folder(&self.contract), self.id);
        let place = format!("{}/{}/identity/{file}", self.contract, self.id);
        let path = format!("{folder}/{file}");
        self.folders.borrow_mut().insert(folder);
        (path, place)
    }

    /// Puts the snapshot in force, once everything is durable and `announce` has told the digest of its manifest.
    pub(crate) fn commit<E: From<VaultError>>(
        &self,
        manifest: &Manifest,
        announce: impl FnOnce(String) -> Result<(), E>,
    ) -> Result<bool, E> {
        for folder in self.folders.borrow().iter() {
            self.storage.sync_folder(folder).map_err(VaultError::from)?;
        }
        let signed = manifest.seal(&self.keys)?;
        switch(&self.storage, &self.contract, self.number, &signed, |digest| {
            announce(digest)?;
            // From here on the new snapshot may be in force, whatever is reported.
            self.committed.set(true);
            Ok(())
        })
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
