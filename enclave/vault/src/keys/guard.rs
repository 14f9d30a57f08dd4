//! [`Guard`]: what seals a root key that does not lie in a file of its own: a passphrase, a credential, a token.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use argon2::{Config, Variant, Version};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::source::{Pkcs11Key, RootSource};
use super::token;
use crate::durable::{self, FileError};
use crate::seal::{NoRandom, Secret, random};

/// Names a file whose first line is the passphrase; `/dev/fd/3` is a descriptor.
const PASSPHRASE_VARIABLE: &str = "ENCLAVE_PASSPHRASE_FILE";
/// The same for the passphrase that is to be in force from now on.
const NEW_PASSPHRASE_VARIABLE: &str = "ENCLAVE_NEW_PASSPHRASE_FILE";
/// Where systemd puts the credentials of a service.
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
const LEAST_CHARACTERS: usize = 12;
const LEAST_CREDENTIAL_BYTES: u64 = 32;
const LARGEST_CREDENTIAL: u64 = 4096;
/// What a file may ask for: a guard that was changed must not exhaust the machine.
const MOST_MEMORY_KIB: u32 = 4 << 20;
const MOST_PASSES: u32 = 64;
const PURPOSE: &[u8] = b"enclave root key";

/// Why the root key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// What was given is not what sealed it.
    #[error("the root key does not open with this {0}")]
    Unopened(String),
    /// Only a key in the home's own folder can be given another source.
    #[error("the root key is at `{}`: only one in the folder `keys` can be put under another source, and not into a file", .0.display())]
    Elsewhere(PathBuf),
    /// Nobody typed one.
    #[error("no {0}: {1} names a file with it, or type it on a terminal")]
    NotGiven(&'static str, &'static str),
    /// Too short to keep anybody out.
    #[error("the passphrase has fewer than {LEAST_CHARACTERS} characters")]
    ShortPassphrase,
    /// Not handed to this process.
    #[error(
        "no credential `{0}`: start the service with `LoadCredentialEncrypted={0}`, or set {CREDENTIALS_VARIABLE}"
    )]
    NoCredential(String),
    /// Too short to be a key.
    #[error("the credential `{0}` has fewer than {LEAST_CREDENTIAL_BYTES} bytes; make it of random bytes")]
    ShortCredential(String),
    /// The token says no.
    #[error("the token cannot be used: {0}")]
    Token(String),
    /// The guard is not of a form this version reads.
    #[error("what guards the root key is not of a form this version reads")]
    Form,
    /// No randomness.
    #[error("the operating system's random generator failed")]
    NoRandom,
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<NoRandom> for RootKeyError {
    fn from(_: NoRandom) -> RootKeyError {
        RootKeyError::NoRandom
    }
}

/// What seals a root key. None of it is secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Guard {
    /// Argon2id of a passphrase.
    Passphrase { salt: String, memory_kib: u32, passes: u32, lanes: u32 },
    /// SHA-256 of a credential's bytes.
    Credential { name: String },
    /// AES-GCM in a token, by the key of this label and id.
    Pkcs11 { key: Pkcs11Key, id: String },
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Guard::Passphrase { .. } => f.write_str("passphrase"),
            Guard::Credential { name } => write!(f, "credential `{name}`"),
            Guard::Pkcs11 { key, .. } => write!(f, "token `{}`, key `{}`", key.token, key.object),
        }
    }
}

impl Guard {
    /// A new one. A passphrase is asked for; a token makes a key.
    pub(crate) fn new(source: &RootSource) -> Result<Guard, RootKeyError> {
        match source {
            RootSource::File(_) => Err(RootKeyError::Form),
            RootSource::Passphrase => {
                // The second recommendation of RFC 9106, section 4: 64 MiB, three passes, four lanes.
                let salt = hex::encode(random::<16>()?);
                let guard = Guard::Passphrase { salt, memory_kib: 64 << 10, passes: 3, lanes: 4 };
                let new = std::env::var_os(NEW_PASSPHRASE_VARIABLE).is_some();
                guard.derive(if new { NEW_PASSPHRASE_VARIABLE } else { PASSPHRASE_VARIABLE }, true)?;
                Ok(guard)
            }
            RootSource::Credential(name) => Ok(Guard::Credential { name: name.clone() }),
            RootSource::Pkcs11(key) => {
                let id = token::generate(key)?;
                Ok(Guard::Pkcs11 { key: key.clone(), id: hex::encode(id) })
            }
        }
    }

    /// For the next root key. A token makes a new key: the one before opens older copies, and is to go.
    pub(crate) fn renewed(self) -> Result<Guard, RootKeyError> {
        match self {
            Guard::Pkcs11 { key, .. } => {
                let id = hex::encode(token::generate(&key)?);
                Ok(Guard::Pkcs11 { key, id })
            }
            same => Ok(same),
        }
    }

    /// Destroys the keys of the token that sealed earlier root keys.
    pub(crate) fn forget_others(&self) -> Result<(), RootKeyError> {
        match self {
            Guard::Pkcs11 { key, id } => {
                token::destroy_others(key, &hex::decode(id).map_err(|_| RootKeyError::Form)?)
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn seal(&self, secret: &Secret) -> Result<Vec<u8>, RootKeyError> {
        match self {
            Guard::Pkcs11 { key, id } => token::encrypt(
                key,
                &hex::decode(id).map_err(|_| RootKeyError::Form)?,
                PURPOSE,
                secret.bytes(),
            ),
            _ => Ok(self.wrapping_key()?.seal(PURPOSE, secret.bytes())?),
        }
    }

    /// `None` where it does not open.
    pub(crate) fn open(&self, sealed: &[u8]) -> Result<Option<Secret>, RootKeyError> {
        let opened = match self {
            Guard::Pkcs11 { key, id } => {
                token::decrypt(key, &hex::decode(id).map_err(|_| RootKeyError::Form)?, PURPOSE, sealed)?
            }
            _ => self.wrapping_key()?.open(PURPOSE, sealed).ok(),
        };
        let secret = opened.and_then(|bytes| Secret::from_slice(&bytes));
        if secret.is_none() {
            self.forget_typed();
        }
        Ok(secret)
    }

    fn wrapping_key(&self) -> Result<Secret, RootKeyError> {
        match self {
            Guard::Passphrase { .. } => self.derive(PASSPHRASE_VARIABLE, false),
            Guard::Credential { name } => credential(name),
            Guard::Pkcs11 { .. } => Err(RootKeyError::Form),
        }
    }

    fn derive(&self, variable: &'static str, new: bool) -> Result<Secret, RootKeyError> {
        let Guard::Passphrase { salt, memory_kib, passes, lanes } = self else {
            return Err(RootKeyError::Form);
        };
        if let Some((_, key)) = typed().iter().find(|(of, _)| of == salt) {
            return Ok(key.clone());
        }
        if *memory_kib > MOST_MEMORY_KIB || *passes > MOST_PASSES {
            return Err(RootKeyError::Form);
        }
        let salt_bytes = hex::decode(salt).map_err(|_| RootKeyError::Form)?;
        let passphrase = given("passphrase", variable, new)?;
        if new && passphrase.chars().count() < LEAST_CHARACTERS {
            return Err(RootKeyError::ShortPassphrase);
        }
        let costs = Config {
            variant: Variant::Argon2id,
            version: Version::Version13,
            mem_cost: *memory_kib,
            time_cost: *passes,
            lanes: *lanes,
            hash_length: 32,
            ..Config::default()
        };
        let key = argon2::hash_raw(passphrase.as_bytes(), &salt_bytes, &costs).map(Zeroizing::new);
        let key = key.ok().and_then(|key| Secret::from_slice(&key)).ok_or(RootKeyError::Form)?;
        typed().push((salt.clone(), key.clone()));
        Ok(key)
    }

    /// A passphrase that did not open is asked for again.
    fn forget_typed(&self) {
        if let Guard::Passphrase { salt, .. } = self {
            typed().retain(|(of, _)| of != salt);
        }
    }
}

/// What passphrases gave, by salt: a passphrase is typed once a process, and a descriptor is read once.
fn typed() -> std::sync::MutexGuard<'static, Vec<(String, Secret)>> {
    static TYPED: Mutex<Vec<(String, Secret)>> = Mutex::new(Vec::new());
    TYPED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A secret that a person gives: from the file that the variable names, or typed on the terminal.
pub(super) fn given(
    what: &'static str,
    variable: &'static str,
    twice: bool,
) -> Result<Zeroizing<String>, RootKeyError> {
    let not_given = || RootKeyError::NotGiven(what, variable);
    if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        let file = File::open(&path).map_err(|source| FileError { path: path.clone(), source })?;
        let mut line = Zeroizing::new(String::new());
        let read = BufReader::new(file).read_line(&mut line);
        read.map_err(|source| FileError { path, source })?;
        let length = line.trim_end_matches(['\r', '\n']).len();
        line.truncate(length);
        return if line.is_empty() { Err(not_given()) } else { Ok(line) };
    }
    let ask =
        |prompt: String| rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|_| not_given());
    let first = ask(format!("{what}: "))?;
    if twice && ask(format!("{what}, again: "))? != first {
        return Err(RootKeyError::Unopened(format!("{what}: the two are not the same")));
    }
    if first.is_empty() { Err(not_given()) } else { Ok(first) }
}

fn credential(name: &str) -> Result<Secret, RootKeyError> {
    let missing = || RootKeyError::NoCredential(name.to_owned());
    let folder = std::env::var_os(CREDENTIALS_VARIABLE).filter(|folder| !folder.is_empty());
    let path = PathBuf::from(folder.ok_or_else(missing)?).join(name);
    let bytes = durable::read_if_there(&path, LARGEST_CREDENTIAL)?.map(Zeroizing::new).ok_or_else(missing)?;
    if fs::metadata(&path).is_ok_and(|data| data.len() < LEAST_CREDENTIAL_BYTES) {
        return Err(RootKeyError::ShortCredential(name.to_owned()));
    }
    let mut hash = Sha256::new();
    hash.update(b"enclave credential\0");
    hash.update(&bytes);
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(&hash.finalize());
    Secret::from_slice(&key[..]).ok_or(RootKeyError::Form)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    /// RFC 9106, section 5.3.
    #[test]
    fn argon2id_is_the_one_of_the_rfc() {
        let costs = Config {
            variant: Variant::Argon2id,
            version: Version::Version13,
            mem_cost: 32,
            time_cost: 3,
            lanes: 4,
            hash_length: 32,
            secret: &[3; 8],
            ad: &[4; 12],
            ..Config::default()
        };
        let tag = argon2::hash_raw(&[1; 32], &[2; 16], &costs).unwrap();
        assert_eq!(hex::encode(tag), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
    }
}
