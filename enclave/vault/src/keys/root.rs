//! The root key, which seals the keyrings: in a file of 32 bytes, or sealed under what a passphrase, a credential
//! or a token gives ([`super::guard`]).
//!
//! One file is replaced when the root key changes. A change writes `FILE.next` first; `change` has the order.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::guard::{Guard, RootKeyError};
use super::source::RootSource;
use crate::durable::{self, At};
use crate::seal::Secret;
use crate::vault::VaultError;

/// Names another file for the root key, such as one on a removable or a memory file system.
const ROOT_KEY_VARIABLE: &str = "ENCLAVE_ROOT_KEY";
const PLAIN: &str = "root.key";
const DESCRIBED: &str = "root.toml";
const FORMAT: u32 = 1;
const KEY_BYTES: usize = 32;
const LARGEST: u64 = 8192;

/// `keys/root.toml`, in the clear: nothing in it is secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    format: u32,
    /// The file with the root key's 32 bytes, if it is not `keys/root.key`.
    file: Option<PathBuf>,
    /// The sealed root key, in hexadecimal, and what it is sealed under, else.
    sealed: Option<String>,
    guard: Option<Guard>,
}

/// Where the root key of a home is.
#[derive(Clone)]
pub(crate) struct Root {
    /// Replaced when the root key changes.
    path: PathBuf,
    /// Where a change puts a root key that another source guards.
    described: PathBuf,
    named_by_variable: bool,
}

impl Root {
    /// The root key of `home`.
    pub(crate) fn of(home: &Path) -> Result<Root, VaultError> {
        let folder = home.join("keys");
        let described = folder.join(DESCRIBED);
        if let Some(path) = std::env::var_os(ROOT_KEY_VARIABLE).filter(|path| !path.is_empty()) {
            return Ok(Root { path: PathBuf::from(path), described, named_by_variable: true });
        }
        let path = match durable::read_if_there(&described, LARGEST)? {
            None => folder.join(PLAIN),
            Some(text) => parse(&described, &text)?.file.unwrap_or_else(|| described.clone()),
        };
        Ok(Root { path, described, named_by_variable: false })
    }

    /// Makes one where there is none, guarded by `source`.
    pub(crate) fn create(home: &Path, source: &RootSource) -> Result<Root, VaultError> {
        let root = Root::of(home)?;
        match source {
            RootSource::File(None) => {
                if !root.path.exists() {
                    write_new(&root.path, Secret::generate()?.bytes())?;
                }
            }
            RootSource::File(Some(path)) => {
                if !path.exists() {
                    write_new(path, Secret::generate()?.bytes())?;
                }
                let path = path.canonicalize().at(path)?;
                let described = Described { format: FORMAT, file: Some(path), sealed: None, guard: None };
                write_new(&root.described, &text(&described)?)?;
            }
            guarded => {
                let path = if root.named_by_variable { &root.path } else { &root.described };
                if path.exists() {
                    return Err(VaultError::Exists(home.to_path_buf()));
                }
                write_new(path, &sealed(guarded, &Secret::generate()?)?)?;
            }
        }
        Root::of(home)
    }

    /// The key, read anew each time: it may have been rotated.
    pub(crate) fn secret(&self) -> Result<Secret, VaultError> {
        let bytes = self.bytes()?;
        if let Some(secret) = Secret::from_slice(&bytes) {
            return Ok(secret);
        }
        let described = parse(&self.path, &bytes)?;
        let (guard, sealed) = described.guard.zip(described.sealed).ok_or_else(|| self.not_a_key())?;
        let sealed = hex::decode(sealed).map_err(|_| self.not_a_key())?;
        Ok(guard.open(&sealed)?.ok_or_else(|| RootKeyError::Unopened(guard.to_string()))?)
    }

    /// What guards it, for people.
    pub(crate) fn source(&self) -> Result<String, VaultError> {
        let bytes = self.bytes()?;
        if bytes.len() == KEY_BYTES {
            return Ok(format!("file:{}", self.path.display()));
        }
        parse(&self.path, &bytes)?.guard.map(|guard| guard.to_string()).ok_or_else(|| self.not_a_key())
    }

    /// Whether a change was cut short.
    pub(crate) fn has_next(&self) -> bool {
        [&self.path, &self.described].into_iter().any(|path| next(path).exists())
    }

    /// The key that such a change was about to put in force.
    pub(crate) fn next(&self) -> Result<Secret, VaultError> {
        let staged = if next(&self.path).exists() { &self.path } else { &self.described };
        Root { path: next(staged), ..self.clone() }.secret()
    }

    /// Makes `secret` durable beside the key in force: guarded as that is, or by another source.
    pub(crate) fn stage(&self, secret: &Secret, source: Option<&RootSource>) -> Result<(), VaultError> {
        self.discard_next()?;
        let guard = match source {
            // Another source is another file, and the two would not change at once.
            Some(RootSource::File(_)) => return Err(RootKeyError::Elsewhere(self.path.clone()).into()),
            Some(_)
                if self.named_by_variable || (self.path != self.described && self.path != self.plain()) =>
            {
                return Err(RootKeyError::Elsewhere(self.path.clone()).into());
            }
            Some(source) => return write_new(&next(&self.described), &sealed(source, secret)?),
            None => self.guard()?,
        };
        let bytes = match guard {
            None => Zeroizing::new(secret.bytes().to_vec()),
            Some(guard) => Zeroizing::new(sealed_by(guard.renewed()?, secret)?),
        };
        write_new(&next(&self.path), &bytes)
    }

    /// Puts the staged key in force. What kept the one before is of no more use.
    pub(crate) fn commit_next(&self) -> Result<(), VaultError> {
        let mut now = self.clone();
        for path in [&self.described, &self.path] {
            if next(path).exists() {
                durable::rename(&next(path), path)?;
                now.path = path.clone();
            }
        }
        now.forget_others()
    }

    /// Removes what guarded a key before the one in force.
    pub(crate) fn forget_others(&self) -> Result<(), VaultError> {
        if self.path == self.described {
            durable::remove_file(&self.plain())?;
        }
        Ok(self.guard()?.map_or(Ok(()), |guard| guard.forget_others())?)
    }

    /// Forgets the staged key.
    pub(crate) fn discard_next(&self) -> Result<(), VaultError> {
        for path in [&self.path, &self.described] {
            durable::remove_file(&next(path))?;
        }
        Ok(())
    }

    /// Puts a recovered key in force, guarded as before or by another source.
    pub(crate) fn restore(&self, secret: &Secret, source: Option<&RootSource>) -> Result<(), VaultError> {
        let (path, bytes) = match source {
            None if self.path.exists() => match self.guard()? {
                None => (&self.path, secret.bytes().to_vec()),
                Some(guard) => (&self.path, sealed_by(guard, secret)?),
            },
            None => (&self.path, secret.bytes().to_vec()),
            Some(RootSource::File(path)) => {
                let path = path.clone().unwrap_or_else(|| self.plain());
                // One that was typed as a bare name lies in a folder too, whose names are made durable.
                let path = std::path::absolute(&path).at(&path)?;
                durable::replace(&path, secret.bytes())?;
                let file = Some(path.canonicalize().at(&path)?);
                let described = Described { format: FORMAT, file, sealed: None, guard: None };
                (&self.described, text(&described)?)
            }
            Some(source) => (&self.described, sealed(source, secret)?),
        };
        Ok(durable::replace(path, &Zeroizing::new(bytes))?)
    }

    /// Where the key is unless something else was said.
    fn plain(&self) -> PathBuf {
        self.described.with_file_name(PLAIN)
    }

    fn guard(&self) -> Result<Option<Guard>, VaultError> {
        let bytes = self.bytes()?;
        if bytes.len() == KEY_BYTES {
            return Ok(None);
        }
        parse(&self.path, &bytes)?.guard.map(Some).ok_or_else(|| self.not_a_key())
    }

    fn bytes(&self) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let Some(bytes) = durable::read_if_there(&self.path, LARGEST)? else {
            return Err(VaultError::NoRootKey(self.path.clone()));
        };
        let bytes = Zeroizing::new(bytes);
        if durable::is_shared(&self.path)? {
            return Err(VaultError::SharedRootKey(self.path.clone()));
        }
        Ok(bytes)
    }

    fn not_a_key(&self) -> VaultError {
        VaultError::RootKeyLength(self.path.clone())
    }
}

fn next(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".next");
    PathBuf::from(name)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Described, VaultError> {
    let described = std::str::from_utf8(bytes).ok().and_then(|text| toml::from_str::<Described>(text).ok());
    let described = described.filter(|described| described.format == FORMAT);
    described.ok_or_else(|| VaultError::RootKeyLength(path.to_path_buf()))
}

fn text(described: &Described) -> Result<Vec<u8>, VaultError> {
    toml::to_string(described).map(String::into_bytes).map_err(|_| VaultError::Keyring)
}

fn sealed(source: &RootSource, secret: &Secret) -> Result<Vec<u8>, VaultError> {
    sealed_by(Guard::new(source)?, secret)
}

fn sealed_by(guard: Guard, secret: &Secret) -> Result<Vec<u8>, VaultError> {
    let sealed = Some(hex::encode(guard.seal(secret)?));
    text(&Described { format: FORMAT, file: None, sealed, guard: Some(guard) })
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let mut file = durable::create_file(path)?;
    file.write_all(bytes).at(path)?;
    file.sync_all().at(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok(folder.map_or(Ok(()), durable::sync_dir)?)
}
