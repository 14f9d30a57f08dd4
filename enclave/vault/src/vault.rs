//! [`Vault`]: the store of one home.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use memoranda::Contract;
use zeroize::Zeroizing;

use crate::durable::{self, At};
use crate::identity::Desk;
use crate::ingest::{self, Announce, IngestError, Ingested, Input, Mode, Progress, staging};
use crate::keys::Keyring;
use crate::keys::escrow::EscrowError;
use crate::keys::guard::RootKeyError;
use crate::keys::source::RootSource;
use crate::seal::NoRandom;
use crate::snapshot::{self, Snapshot};
use crate::storage::Storage;

/// The store of one home, with its keys in memory.
pub struct Vault {
    pub(crate) home: PathBuf,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) storage: Storage,
}

/// What a home is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// What guards the root key.
    pub root: RootSource,
    /// `s3://bucket/prefix` or `az://container/prefix`; `None`: the home's own folder.
    pub store: Option<String>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup { root: RootSource::File(None), store: None }
    }
}

/// Why the store cannot be created, opened or read.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Created before.
    #[error("`{}` holds a vault already", .0.display())]
    Exists(PathBuf),
    /// Not created yet.
    #[error("`{}` holds no vault; run `enclave init`", .0.display())]
    NoHome(PathBuf),
    /// The root key's file is not there.
    #[error("no root key at `{}`; ENCLAVE_ROOT_KEY names another file", .0.display())]
    NoRootKey(PathBuf),
    /// Others could read the root key.
    #[error("the root key `{}` is open to others than its owner; set its mode to 0600", .0.display())]
    SharedRootKey(PathBuf),
    /// The root key's file is not a root key.
    #[error("the root key `{}` is not 32 bytes", .0.display())]
    RootKeyLength(PathBuf),
    /// The keyring does not open.
    #[error("the keyring does not open: another root key, or the file was changed")]
    WrongRootKey,
    /// The keyring opens, but is of another form.
    #[error("the keyring is not of a form this version reads")]
    Keyring,
    /// A key-encryption key, or that version of it, is not in the keyring.
    #[error("the key `{0}` is not in the keyring: it was destroyed, or it belongs to another home")]
    NoKey(String),
    /// The store cannot be used.
    #[error("the store cannot be used: {0}")]
    Store(String),
    /// A file is not the one that was written.
    #[error("`{0}` is damaged: it is not what the vault wrote there")]
    Damaged(String),
    /// The root key cannot be had from what guards it.
    #[error(transparent)]
    Root(#[from] RootKeyError),
    /// Shares of the root key.
    #[error(transparent)]
    Escrow(#[from] EscrowError),
    /// No randomness.
    #[error("the operating system's random generator failed")]
    NoRandom,
    /// A fault of this program.
    #[error("the vault failed: {0}")]
    Engine(&'static str),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] durable::FileError),
}

impl From<NoRandom> for VaultError {
    fn from(_: NoRandom) -> VaultError {
        VaultError::NoRandom
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({})", self.home.display())
    }
}

impl Vault {
    /// Makes keys and store in `home`; `log_key` (PKCS #8) is kept in the keyring for the log.
    pub fn create(home: &Path, log_key: &[u8]) -> Result<Vault, VaultError> {
        Vault::create_as(home, log_key, &Setup::default())
    }

    /// The same, with the root key and the store that `setup` names.
    pub fn create_as(home: &Path, log_key: &[u8], setup: &Setup) -> Result<Vault, VaultError> {
        durable::create_dir(home)?;
        if let Some(url) = &setup.store {
            Storage::configure(home, url)?;
        }
        Keyring::create_under(home, log_key, &setup.root)?;
        durable::sync_dir(home)?;
        Vault::open(home)
    }

    /// Opens what [`Vault::create`] has made.
    pub fn open(home: &Path) -> Result<Vault, VaultError> {
        let keys = Arc::new(Keyring::open(home)?);
        let home = home.canonicalize().at(home)?;
        let storage = Storage::open(&home)?;
        Ok(Vault { home, keys, storage })
    }

    /// The log's signing key, PKCS #8.
    pub fn log_key(&self) -> Zeroizing<Vec<u8>> {
        self.keys.log()
    }

    /// Few bytes, sealed and signed for the use `name`: a secret that its owner keeps elsewhere.
    pub fn seal_small(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.keys.seal_manifest(&format!("small {name}"), bytes)
    }

    /// What [`Vault::seal_small`] was given for the same use; `None` if it is not that.
    pub fn open_small(&self, name: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.keys.open_manifest(&format!("small {name}"), sealed)
    }

    /// The snapshot in force, or `None` before the first ingest. It does not expire as long as it is held.
    pub fn snapshot(&self, contract: &str) -> Result<Option<Snapshot>, VaultError> {
        snapshot::pinned(self, contract)
    }

    /// Finishes putting a manifest in force that was announced with this digest when the machine stopped; whether
    /// there was one.
    pub fn finish_switch(&self, contract: &str, manifest_sha256: &str) -> Result<bool, VaultError> {
        staging::finish(&self.storage, contract, manifest_sha256)
    }

    /// The door to names and numbers.
    pub fn desk(&self) -> Result<Desk<'_>, VaultError> {
        Desk::open(self)
    }

    /// Reads files of records, checks them against the contract, and puts a new snapshot in force; or leaves
    /// everything as it was. `announce` is called last, before the switch.
    pub fn ingest(
        &self,
        contract: &Contract,
        inputs: &[Input],
        progress: Progress<'_>,
        announce: Announce<'_>,
    ) -> Result<Ingested, IngestError> {
        self.ingest_as(Mode::Replace, contract, inputs, progress, announce)
    }

    /// The same, where rows may come to those that a table has.
    pub fn ingest_as(
        &self,
        mode: Mode,
        contract: &Contract,
        inputs: &[Input],
        progress: Progress<'_>,
        announce: Announce<'_>,
    ) -> Result<Ingested, IngestError> {
        ingest::ingest(self, contract, inputs, mode, progress, announce)
    }
}
