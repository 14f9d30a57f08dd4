//! The life of keys: listed, rotated, destroyed, and cleared away when nothing needs them. Questions go on all the
//! while: what a manifest names stays readable until no manifest names it.
//!
//! A new version of a key-encryption key comes first; then, contract by contract, a new manifest whose data keys are
//! wrapped by it; the old version goes when the last manifest that names it has expired. Cut short anywhere, each
//! manifest is readable under the version it names, and rotating again finishes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::files::{self, FileWriter};
use crate::ingest::IngestError;
use crate::ingest::staging;
use crate::keys::change::{Both, change_root};
use crate::keys::ring::{Held, Ring, Wrapped};
use crate::keys::root::Root;
use crate::keys::source::RootSource;
use crate::keys::{self, escrow, name};
use crate::parquet_key;
use crate::seal::random;
use crate::snapshot::{self, Manifest, Part, PartEntry, identity_folder, snapshots_folder};
use crate::vault::{Vault, VaultError};
use zeroize::Zeroizing;

/// How long a change of keys waits for an ingest of the same contract to end.
const PATIENCE: Duration = Duration::from_secs(3600);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const BATCH_ROWS: usize = 8192;

/// A manifest with other keys for the same rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rekeyed {
    /// Name of the contract.
    pub contract: String,
    /// Id of the snapshot: as before, since the rows are.
    pub snapshot_id: String,
    /// SHA-256 of the sealed manifest, for the log.
    pub manifest_sha256: String,
}

/// Called when everything is durable, just before the manifest is put in force; an error leaves the one before in
/// force.
pub type AnnounceKeys<'a> = &'a dyn Fn(&Rekeyed) -> Result<(), String>;

/// A key of the home, and what it protects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// Its name.
    pub name: String,
    /// Its versions, the oldest first.
    pub versions: Vec<VersionEntry>,
}

/// One version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionEntry {
    /// Counts up from 1.
    pub version: u32,
    /// When it was made.
    pub made: DateTime<Utc>,
    /// Files of the snapshots in force of which it wraps a key.
    pub files_in_force: u64,
    /// Files of all snapshots that are kept.
    pub files: u64,
    /// Long-lived secrets that it wraps: of pseudonyms, manifests, the log.
    pub secrets: u64,
}

/// Why keys were not changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a key-encryption key of this home.
    #[error("there is no key of `{0}`; `enclave keys list` shows them")]
    Unknown(String),
    /// The manifest could not be announced, so that it was not put in force.
    #[error("the keys were not changed: {0}")]
    NotAnnounced(String),
    /// Records are being taken in for too long.
    #[error("an ingest of `{0}` is running; try again when it has ended")]
    Busy(String),
    /// The store.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

type Uses = BTreeMap<(String, u32), BTreeSet<String>>;

impl Vault {
    /// What guards the root key, for people.
    pub fn root_source(&self) -> Result<String, VaultError> {
        Root::of(&self.home)?.source()
    }

    /// The key-encryption keys, by name.
    pub fn key_list(&self) -> Result<Vec<KeyEntry>, VaultError> {
        let (mut all, mut in_force) = (Uses::new(), Uses::new());
        for contract in self.contracts()? {
            let numbers = snapshot::numbers(&self.storage, &contract)?;
            for number in &numbers {
                let (manifest, _) = snapshot::manifest(&self.storage, &self.keys, &contract, *number)?;
                note_uses(&manifest, &mut all);
                if Some(number) == numbers.last() {
                    note_uses(&manifest, &mut in_force);
                }
            }
        }
        let count = |uses: &Uses, key: &(String, u32)| uses.get(key).map_or(0, |files| files.len() as u64);
        let mut list = Vec::new();
        for held in [self.keys.ring.reload()?, keys::identities(&self.home)?.held()] {
            for (name, versions) in &held.keys {
                let entry = |version: &crate::keys::ring::Version| {
                    let key = (name.clone(), version.number);
                    let by = |secret: &&Wrapped| (&secret.by, secret.version) == (name, version.number);
                    VersionEntry {
                        version: version.number,
                        made: version.made,
                        files_in_force: count(&in_force, &key),
                        files: count(&all, &key),
                        secrets: held.wrapped.values().filter(by).count() as u64,
                    }
                };
                list.push(KeyEntry { name: name.clone(), versions: versions.iter().map(entry).collect() });
            }
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(list)
    }

    /// Puts a new root key in force, guarded as before or by `source`. Shares of the one before are worth nothing.
    pub fn rotate_root(&self, source: Option<&RootSource>) -> Result<(), VaultError> {
        change_root(&self.home, source, |_| Ok(()))?;
        self.keys.ring.reload().map(drop)
    }

    /// Makes a new version of each of these key-encryption keys (all, where none is named), and wraps by it what the
    /// versions before wrap.
    pub fn rotate_key_encryption(
        &self,
        names: &[String],
        announce: AnnounceKeys<'_>,
    ) -> Result<(), KeyError> {
        let identities = keys::identities(&self.home)?;
        let rings = [&self.keys.ring, &*identities];
        let chosen = |held: &Held| -> Vec<String> {
            let is_chosen = |name: &&String| names.is_empty() || names.contains(name);
            held.keys.keys().filter(is_chosen).cloned().collect()
        };
        let held = [rings[0].reload()?, rings[1].reload()?];
        let there = |name: &&String| held.iter().any(|held| held.keys.contains_key(*name));
        if let Some(unknown) = names.iter().find(|name| !there(name)) {
            return Err(KeyError::Unknown(unknown.clone()));
        }
        for ring in rings {
            ring.change(|held| {
                for name in chosen(held) {
                    held.rotate(&name)?;
                }
                held.wrap_anew()
            })?;
        }
        for contract in self.contracts()? {
            let _lock = self.wait_for(&contract)?;
            let Some(mut manifest) = self.manifest_in_force(&contract)? else { continue };
            let mut changed = false;
            for entry in entries(&mut manifest) {
                let ring = rings[usize::from(entry.identity)];
                changed |= parquet_key::wrap_anew(ring, &entry.place, &mut entry.keys)?;
            }
            if changed {
                self.put_in_force(manifest, announce)?;
            }
        }
        self.prune_unused(&[])?;
        Ok(())
    }

    /// Writes every file of the snapshots in force anew, with data keys of its own. The files before stay until the
    /// snapshots that name them expire.
    pub fn rotate_data(&self, announce: AnnounceKeys<'_>) -> Result<(), KeyError> {
        let identities = keys::identities(&self.home)?;
        for contract in self.contracts()? {
            let _lock = self.wait_for(&contract)?;
            let Some(mut manifest) = self.manifest_in_force(&contract)? else { continue };
            self.keys.ring.reload()?;
            let written = Written::new(self, &contract)?;
            for entry in entries(&mut manifest) {
                let ring = if entry.identity { &*identities } else { &self.keys.ring };
                *entry = written.again(self, ring, entry)?;
            }
            written.sync()?;
            // Once announced, it may be in force whatever is reported.
            self.put_in_force(manifest, &|rekeyed| {
                announce(rekeyed)?;
                written.keep();
                Ok(())
            })?;
        }
        self.prune_unused(&[])?;
        Ok(())
    }

    /// Whether there is a key of a contract's identities, of one cohort or of any.
    pub fn has_identity_keys(&self, contract: &str, cohort: Option<&str>) -> Result<bool, VaultError> {
        let held = keys::identities(&self.home)?.held();
        Ok(held.keys.keys().any(|name| is_of(name, contract, cohort)))
    }

    /// Destroys the keys of a contract's identities, of one cohort or of all, so that names and numbers of these
    /// pupils can be read by nobody any more: neither here, nor from a copy of the home without its root key of that
    /// time. Their attributes stay.
    pub fn destroy_identities(
        &self,
        contract: &str,
        cohort: Option<&str>,
        announce: AnnounceKeys<'_>,
    ) -> Result<(), KeyError> {
        let is_wanted = |name: &str| is_of(name, contract, cohort);
        let _lock = self.wait_for(contract)?;
        let mut files = BTreeSet::new();
        for number in snapshot::numbers(&self.storage, contract)? {
            let (mut manifest, _) = snapshot::manifest(&self.storage, &self.keys, contract, number)?;
            let gone =
                entries(&mut manifest).into_iter().filter(|e| e.identity && is_wanted(&e.keys.footer.by));
            files.extend(gone.filter_map(|entry| entry.path()));
        }
        if let Some(mut manifest) = self.manifest_in_force(contract)? {
            let mut changed = false;
            for table in &mut manifest.tables {
                let before = table.identity.len();
                table.identity.retain(|entry| !is_wanted(&entry.keys.footer.by));
                changed |= table.identity.len() < before;
            }
            if changed {
                self.put_in_force(manifest, announce)?;
            }
        }
        change_root(&self.home, None, |both: &mut Both| {
            both.identities.keys.retain(|name, _| !is_wanted(name));
            Ok(())
        })?;
        self.keys.ring.reload()?;
        for path in files {
            self.storage.remove(&path).map_err(VaultError::from)?;
        }
        Ok(())
    }

    /// Removes versions of keys that wrap nothing any more, as when snapshots have expired; `false` where an ingest
    /// is running, whose files no manifest names yet. `locked` are contracts whose lock the caller holds.
    pub fn prune_unused(&self, locked: &[&str]) -> Result<bool, VaultError> {
        let mut locks = Vec::new();
        for contract in self.contracts()? {
            if locked.contains(&contract.as_str()) {
                continue;
            }
            match staging::lock(&self.home, &contract) {
                Ok(lock) => locks.push(lock),
                Err(_) => return Ok(false),
            }
        }
        let mut uses = Uses::new();
        for contract in self.contracts()? {
            for number in snapshot::numbers(&self.storage, &contract)? {
                let (manifest, _) = snapshot::manifest(&self.storage, &self.keys, &contract, number)?;
                note_uses(&manifest, &mut uses);
            }
        }
        let identities = keys::identities(&self.home)?;
        for ring in [&self.keys.ring, &*identities] {
            ring.change(|held| {
                for secret in held.wrapped.values() {
                    uses.entry((secret.by.clone(), secret.version)).or_default();
                }
                for (name, versions) in &mut held.keys {
                    let newest = versions.last().map(|version| version.number);
                    versions.retain(|version| {
                        Some(version.number) == newest || uses.contains_key(&(name.clone(), version.number))
                    });
                }
                Ok(())
            })?;
        }
        Ok(true)
    }

    /// Deals shares of the root key, any `least` of which give it back.
    pub fn split_root_key(&self, shares: u8, least: u8) -> Result<Vec<Zeroizing<String>>, VaultError> {
        escrow::split(&self.home, shares, least)
    }

    /// Puts the root key that shares give back in force, guarded as before or by `source`.
    pub fn recover_root_key(
        home: &std::path::Path,
        shares: &[String],
        source: Option<&RootSource>,
    ) -> Result<(), VaultError> {
        escrow::recover(home, shares, source)
    }

    /// The contracts that have files, or are about to.
    fn contracts(&self) -> Result<Vec<String>, VaultError> {
        let mut contracts: BTreeSet<String> = self.storage.names("store")?.into_iter().collect();
        contracts.extend(crate::durable::names_in(&self.home.join("work"))?);
        Ok(contracts.into_iter().collect())
    }

    fn wait_for(&self, contract: &str) -> Result<std::fs::File, KeyError> {
        let start = Instant::now();
        loop {
            match staging::lock(&self.home, contract) {
                Ok(lock) => return Ok(lock),
                Err(IngestError::File(error)) => return Err(VaultError::File(error).into()),
                Err(_) if start.elapsed() > PATIENCE => return Err(KeyError::Busy(contract.to_owned())),
                Err(_) => thread::sleep(LOOK_AGAIN),
            }
        }
    }

    /// The manifest in force, with the next number; `None` before the first ingest.
    fn manifest_in_force(&self, contract: &str) -> Result<Option<Manifest>, VaultError> {
        let Some(newest) = snapshot::numbers(&self.storage, contract)?.last().copied() else {
            return Ok(None);
        };
        let (mut manifest, _) = snapshot::manifest(&self.storage, &self.keys, contract, newest)?;
        manifest.number = newest + 1;
        Ok(Some(manifest))
    }

    fn put_in_force(&self, manifest: Manifest, announce: AnnounceKeys<'_>) -> Result<(), KeyError> {
        let signed = manifest.seal(&self.keys)?;
        let (contract, snapshot_id, number) = (manifest.contract, manifest.id, manifest.number);
        let in_force = staging::switch(&self.storage, &contract, number, &signed, |manifest_sha256| {
            let rekeyed = Rekeyed { contract: contract.clone(), snapshot_id, manifest_sha256 };
            announce(&rekeyed).map_err(KeyError::NotAnnounced)
        })?;
        // Another home with the same store was quicker.
        if in_force { Ok(()) } else { Err(KeyError::Busy(contract)) }
    }
}

/// Whether a key is one of a contract's identities, of one cohort or of any.
fn is_of(key: &str, contract: &str, cohort: Option<&str>) -> bool {
    match cohort {
        Some(cohort) => key == name::identities(contract, cohort),
        None => key.starts_with(&name::identities(contract, "")),
    }
}

fn entries(manifest: &mut Manifest) -> Vec<&mut PartEntry> {
    manifest.tables.iter_mut().flat_map(|table| table.parts.iter_mut().chain(&mut table.identity)).collect()
}

fn note_uses(manifest: &Manifest, uses: &mut Uses) {
    for entry in manifest.tables.iter().flat_map(|table| table.parts.iter().chain(&table.identity)) {
        let columns = entry.keys.columns.iter().map(|column| &column.key);
        for key in columns.chain([&entry.keys.footer]) {
            uses.entry((key.by.clone(), key.version)).or_default().insert(entry.place.clone());
        }
    }
}

/// Files that are written anew, in a folder that no manifest names yet. Removed again unless they are kept.
struct Written<'a> {
    vault: &'a Vault,
    contract: String,
    folder: String,
    kept: std::cell::Cell<bool>,
    folders: std::cell::RefCell<BTreeSet<String>>,
}

impl<'a> Written<'a> {
    fn new(vault: &'a Vault, contract: &str) -> Result<Written<'a>, VaultError> {
        let folder = format!("{}-{}", Utc::now().format("%Y%m%dT%H%M%SZ"), hex::encode(random::<4>()?));
        Ok(Written {
            vault,
            contract: contract.to_owned(),
            folder,
            kept: false.into(),
            folders: Default::default(),
        })
    }

    /// The same rows, in a new file.
    fn again(&self, vault: &Vault, ring: &Ring, entry: &PartEntry) -> Result<PartEntry, VaultError> {
        let damaged = || VaultError::Damaged(entry.place.clone());
        let [contract, _, table, file] = entry.place.split('/').collect::<Vec<_>>()[..] else {
            return Err(damaged());
        };
        let place = format!("{contract}/{}/{table}/{file}", self.folder);
        let path = PartEntry { place: place.clone(), ..entry.clone() }.path().ok_or_else(damaged)?;
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folders.borrow_mut().insert(folder.to_owned());
        }
        let part = Part::of(Arc::new(entry.clone()), &vault.keys, &vault.storage).ok_or_else(damaged)?;
        let rows = files::read(&part, ring, None, BATCH_ROWS)?;
        let schema = arrow::array::RecordBatchReader::schema(&rows);
        let mut file = FileWriter::again(&vault.storage, ring, entry, path, place, schema)?;
        for batch in rows {
            file.write(&batch.map_err(|_| damaged())?)?;
        }
        let written = file.finish()?;
        if written.rows == entry.rows { Ok(written) } else { Err(damaged()) }
    }

    fn sync(&self) -> Result<(), VaultError> {
        Ok(self.folders.borrow().iter().try_for_each(|folder| self.vault.storage.sync_folder(folder))?)
    }

    fn keep(&self) {
        self.kept.set(true);
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        if !self.kept.get() {
            for folder in [snapshots_folder(&self.contract), identity_folder(&self.contract)] {
                // What this cannot remove, the next ingest does.
                let _ = self.vault.storage.remove_folder(&format!("{folder}/{}", self.folder));
            }
        }
    }
}
