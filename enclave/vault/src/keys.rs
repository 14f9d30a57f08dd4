//! The root key, and the keyring that is sealed under it.

use std::io::Write;
use std::path::{Path, PathBuf};

use ring::hmac;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::durable::{self, At};
use crate::seal::Secret;
use crate::vault::VaultError;

/// Names another file for the root key, such as one on a removable or a memory file system.
const ROOT_KEY_VARIABLE: &str = "ENCLAVE_ROOT_KEY";
const PURPOSE: &[u8] = b"enclave keyring 1";
const LARGEST_KEYRING: u64 = 1 << 20;

/// The keys of one home. Each has one use.
pub(crate) struct Keyring {
    pseudonym: hmac::Key,
    /// Wraps the data keys of attribute files.
    pub(crate) attributes: Secret,
    /// Wraps the data keys of identity files.
    pub(crate) identity: Secret,
    /// Seals manifests.
    pub(crate) manifest: Secret,
    /// The log's signing key, PKCS #8; the vault only keeps it.
    pub(crate) log: Zeroizing<Vec<u8>>,
}

/// As it is sealed.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Stored {
    pseudonym: String,
    attributes: String,
    identity: String,
    manifest: String,
    log: String,
}

impl Keyring {
    /// Fresh keys, durable in `home`; refused where there is a keyring.
    pub(crate) fn create(home: &Path, log_key: &[u8]) -> Result<(), VaultError> {
        let path = keyring_path(home);
        if path.exists() {
            return Err(VaultError::Exists(home.to_path_buf()));
        }
        durable::create_dir(&home.join("keys"))?;
        let root = root_key(home, true)?;
        let stored = Stored {
            pseudonym: hex::encode(Secret::generate()?.bytes()),
            attributes: hex::encode(Secret::generate()?.bytes()),
            identity: hex::encode(Secret::generate()?.bytes()),
            manifest: hex::encode(Secret::generate()?.bytes()),
            log: hex::encode(log_key),
        };
        let plain = Zeroizing::new(serde_json::to_vec(&stored).map_err(|_| VaultError::Keyring)?);
        durable::replace(&path, &root.seal(PURPOSE, &plain)?)?;
        Ok(())
    }

    /// The keys of `home`.
    pub(crate) fn open(home: &Path) -> Result<Keyring, VaultError> {
        let path = keyring_path(home);
        let Some(sealed) = durable::read_if_there(&path, LARGEST_KEYRING)? else {
            return Err(VaultError::NoHome(home.to_path_buf()));
        };
        let root = root_key(home, false)?;
        let plain = root.open(PURPOSE, &sealed).map_err(|_| VaultError::WrongRootKey)?;
        let stored: Stored = serde_json::from_slice(&plain).map_err(|_| VaultError::Keyring)?;
        let secret = |text: &str| -> Result<Secret, VaultError> {
            let bytes = Zeroizing::new(hex::decode(text).map_err(|_| VaultError::Keyring)?);
            Secret::from_slice(&bytes).ok_or(VaultError::Keyring)
        };
        Ok(Keyring {
            pseudonym: hmac::Key::new(hmac::HMAC_SHA256, secret(&stored.pseudonym)?.bytes()),
            attributes: secret(&stored.attributes)?,
            identity: secret(&stored.identity)?,
            manifest: secret(&stored.manifest)?,
            log: Zeroizing::new(hex::decode(&stored.log).map_err(|_| VaultError::Keyring)?),
        })
    }

    /// The pseudonym of a pupil in all tables of a contract: the first 16 bytes of HMAC-SHA-256 over the
    /// contract's name, a zero byte, and the canonical text of the unit value. Keyed, so that nobody without
    /// the keyring can try all numbers; per contract, so that two data sets do not join.
    pub(crate) fn pseudonym(&self, contract: &str, unit: &[u8]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.pseudonym);
        context.update(contract.as_bytes());
        context.update(&[0]);
        context.update(unit);
        let mut pseudonym = [0; 16];
        pseudonym.copy_from_slice(&context.sign().as_ref()[..16]);
        pseudonym
    }
}

fn keyring_path(home: &Path) -> PathBuf {
    home.join("keys").join("keyring")
}

fn root_key(home: &Path, create: bool) -> Result<Secret, VaultError> {
    let path = match std::env::var_os(ROOT_KEY_VARIABLE) {
        Some(path) if !path.is_empty() => PathBuf::from(path),
        _ => home.join("keys").join("root.key"),
    };
    if create && !path.exists() {
        let mut file = durable::create_file(&path)?;
        file.write_all(Secret::generate()?.bytes()).at(&path)?;
        file.sync_all().at(&path)?;
        path.parent().map_or(Ok(()), durable::sync_dir)?;
    }
    let Some(bytes) = durable::read_if_there(&path, 64)? else {
        return Err(VaultError::NoRootKey(path));
    };
    let bytes = Zeroizing::new(bytes);
    if durable::is_shared(&path)? {
        return Err(VaultError::SharedRootKey(path));
    }
    Secret::from_slice(&bytes).ok_or(VaultError::RootKeyLength(path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn pseudonyms_are_stable_and_apart() {
        let home = tempfile::tempdir().unwrap();
        Keyring::create(home.path(), b"log").unwrap();
        let keys = Keyring::open(home.path()).unwrap();
        assert_eq!(
            keys.pseudonym("star", b"17"),
            Keyring::open(home.path()).unwrap().pseudonym("star", b"17")
        );
        assert_ne!(keys.pseudonym("star", b"17"), keys.pseudonym("star", b"18"));
        assert_ne!(keys.pseudonym("star", b"17"), keys.pseudonym("city", b"17"));
        assert_eq!(&keys.log[..], b"log");
        let other = tempfile::tempdir().unwrap();
        Keyring::create(other.path(), b"log").unwrap();
        assert_ne!(
            keys.pseudonym("star", b"17"),
            Keyring::open(other.path()).unwrap().pseudonym("star", b"17")
        );
    }
}
