//! [`Ring`]: key-encryption keys by name and version, in one file that is sealed under the root key.
//!
//! The newest version of a key wraps; every version that is still there unwraps. A process that meets a version
//! it does not hold reads the file again, so that keys rotate while others work.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::change;
use super::root::Root;
use crate::durable::{self, At};
use crate::seal::Secret;
use crate::vault::VaultError;

const FORMAT: u32 = 2;
const LARGEST: u64 = 16 << 20;

/// A data key, sealed under a key-encryption key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wrapped {
    /// Name of the key-encryption key.
    pub(crate) by: String,
    /// Its version.
    pub(crate) version: u32,
    /// The sealed bytes, in hexadecimal.
    pub(crate) sealed: String,
}

/// One version of a key-encryption key.
#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) number: u32,
    pub(crate) made: DateTime<Utc>,
    secret: Secret,
}

/// What a ring holds: by name, the versions in their order.
#[derive(Clone, Default)]
pub(crate) struct Held {
    pub(crate) keys: BTreeMap<String, Vec<Version>>,
    /// Long-lived secrets, by name, that are wrapped like data keys.
    pub(crate) wrapped: BTreeMap<String, Wrapped>,
}

/// As it is sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    keys: BTreeMap<String, Vec<StoredVersion>>,
    wrapped: BTreeMap<String, Wrapped>,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct StoredVersion {
    version: u32,
    #[zeroize(skip)]
    made: DateTime<Utc>,
    secret: String,
}

/// One file of keys.
pub(crate) struct Ring {
    home: PathBuf,
    name: &'static str,
    held: RwLock<Arc<Held>>,
}

impl Ring {
    /// Makes the file; refused where it is there.
    pub(crate) fn create(home: &Path, name: &'static str) -> Result<Ring, VaultError> {
        let path = ring_path(home, name);
        if path.exists() {
            return Err(VaultError::Exists(home.to_path_buf()));
        }
        let held = Held::default();
        durable::replace(&path, &seal(name, &held, &Root::of(home)?.secret()?)?)?;
        Ok(Ring { home: home.to_path_buf(), name, held: RwLock::new(Arc::new(held)) })
    }

    /// Opens the file.
    pub(crate) fn open(home: &Path, name: &'static str) -> Result<Ring, VaultError> {
        let held = read(home, name)?;
        Ok(Ring { home: home.to_path_buf(), name, held: RwLock::new(Arc::new(held)) })
    }

    /// What it holds now.
    pub(crate) fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again.
    pub(crate) fn reload(&self) -> Result<Arc<Held>, VaultError> {
        let held = Arc::new(read(&self.home, self.name)?);
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&held);
        Ok(held)
    }

    /// Changes what the file holds, one process at a time; whole or not at all.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Held) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let _lock = lock(&self.home)?;
        change::settle(&self.home)?;
        let root = Root::of(&self.home)?.secret()?;
        let mut held = open_with(&self.home, self.name, &root)?;
        let changed = change(&mut held)?;
        let sealed = seal(self.name, &held, &root)?;
        durable::replace(&ring_path(&self.home, self.name), &sealed)?;
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(held);
        Ok(changed)
    }

    /// A secret sealed under the newest version of the key `by`, which is made where there is none.
    pub(crate) fn wrap(&self, by: &str, purpose: &str, secret: &[u8]) -> Result<Wrapped, VaultError> {
        if !self.held().keys.contains_key(by) {
            self.change(|held| {
                if !held.keys.contains_key(by) {
                    held.rotate(by)?;
                }
                Ok(())
            })?;
        }
        self.held().wrap(by, purpose, secret)
    }

    /// What [`Ring::wrap`] was given.
    pub(crate) fn unwrap(&self, purpose: &str, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let held = self.held();
        match held.unwrap(purpose, wrapped) {
            Err(VaultError::NoKey(_)) => self.reload()?.unwrap(purpose, wrapped),
            opened => opened,
        }
    }
}

impl Held {
    /// Seals the long-lived secrets under the newest versions of their keys.
    pub(crate) fn wrap_anew(&mut self) -> Result<(), VaultError> {
        for (purpose, wrapped) in self.wrapped.clone() {
            let secret = self.unwrap(&purpose, &wrapped)?;
            let wrapped = self.wrap(&wrapped.by, &purpose, &secret)?;
            self.wrapped.insert(purpose, wrapped);
        }
        Ok(())
    }

    /// The number of the newest version of a key.
    pub(crate) fn newest(&self, name: &str) -> Option<u32> {
        self.keys.get(name)?.last().map(|version| version.number)
    }

    /// Adds a new version of a key, or the first.
    pub(crate) fn rotate(&mut self, name: &str) -> Result<u32, VaultError> {
        let versions = self.keys.entry(name.to_owned()).or_default();
        let number = versions.last().map_or(1, |last| last.number + 1);
        versions.push(Version { number, made: Utc::now(), secret: Secret::generate()? });
        Ok(number)
    }

    pub(crate) fn wrap(&self, by: &str, purpose: &str, secret: &[u8]) -> Result<Wrapped, VaultError> {
        let newest = self.keys.get(by).and_then(|versions| versions.last());
        let newest = newest.ok_or_else(|| VaultError::NoKey(by.to_owned()))?;
        let purpose = bound(by, newest.number, purpose);
        let sealed = newest.secret.seal(purpose.as_bytes(), secret)?;
        Ok(Wrapped { by: by.to_owned(), version: newest.number, sealed: hex::encode(sealed) })
    }

    pub(crate) fn unwrap(&self, purpose: &str, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let versions = self.keys.get(&wrapped.by).into_iter().flatten();
        let version = versions.into_iter().find(|version| version.number == wrapped.version);
        let version = version.ok_or_else(|| VaultError::NoKey(wrapped.by.clone()))?;
        let damaged = || VaultError::Damaged(purpose.to_owned());
        let sealed = hex::decode(&wrapped.sealed).map_err(|_| damaged())?;
        let purpose = bound(&wrapped.by, wrapped.version, purpose);
        version.secret.open(purpose.as_bytes(), &sealed).map_err(|_| damaged())
    }
}

/// Held while keys change; the system lets go of it when the process ends.
pub(crate) fn lock(home: &Path) -> Result<std::fs::File, VaultError> {
    let path = home.join("keys").join("lock");
    let file = durable::lock_file(&path)?;
    file.lock().at(&path)?;
    Ok(file)
}

pub(crate) fn ring_path(home: &Path, name: &str) -> PathBuf {
    home.join("keys").join(name)
}

fn bound(by: &str, version: u32, purpose: &str) -> String {
    format!("{by}@{version} {purpose}")
}

fn read(home: &Path, name: &str) -> Result<Held, VaultError> {
    if !ring_path(home, name).exists() {
        return Err(VaultError::NoHome(home.to_path_buf()));
    }
    match open_with(home, name, &Root::of(home)?.secret()?) {
        Err(VaultError::WrongRootKey) => {
            // The root key is being changed, or that was cut short: with the lock, it is one or the other.
            let _lock = lock(home)?;
            change::settle(home)?;
            open_with(home, name, &Root::of(home)?.secret()?)
        }
        read => read,
    }
}

/// What the file holds, if it is sealed under `root`.
pub(crate) fn open_with(home: &Path, name: &str, root: &Secret) -> Result<Held, VaultError> {
    let Some(sealed) = durable::read_if_there(&ring_path(home, name), LARGEST)? else {
        return Err(VaultError::NoHome(home.to_path_buf()));
    };
    let plain = root
        .open(format!("enclave keys {name}").as_bytes(), &sealed)
        .map_err(|_| VaultError::WrongRootKey)?;
    let stored: Stored = serde_json::from_slice(&plain).map_err(|_| VaultError::Keyring)?;
    if stored.format != FORMAT {
        return Err(VaultError::Keyring);
    }
    let mut keys = BTreeMap::new();
    for (name, versions) in &stored.keys {
        let version = |stored: &StoredVersion| -> Option<Version> {
            let bytes = Zeroizing::new(hex::decode(&stored.secret).ok()?);
            let secret = Secret::from_slice(&bytes)?;
            Some(Version { number: stored.version, made: stored.made, secret })
        };
        let versions: Option<Vec<Version>> = versions.iter().map(version).collect();
        keys.insert(name.clone(), versions.ok_or(VaultError::Keyring)?);
    }
    Ok(Held { keys, wrapped: stored.wrapped })
}

/// The file's bytes.
pub(crate) fn seal(name: &str, held: &Held, root: &Secret) -> Result<Vec<u8>, VaultError> {
    let version = |version: &Version| StoredVersion {
        version: version.number,
        made: version.made,
        secret: hex::encode(version.secret.bytes()),
    };
    let keys = held.keys.iter();
    let keys = keys.map(|(name, versions)| (name.clone(), versions.iter().map(version).collect())).collect();
    let stored = Stored { format: FORMAT, keys, wrapped: held.wrapped.clone() };
    let plain = Zeroizing::new(serde_json::to_vec(&stored).map_err(|_| VaultError::Keyring)?);
    Ok(root.seal(format!("enclave keys {name}").as_bytes(), &plain)?)
}
