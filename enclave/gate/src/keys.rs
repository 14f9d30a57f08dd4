//! What the custodian does with keys: list, rotate, destroy, deal the root key in shares, recover it. Each is a leaf
//! of the log, and so is every manifest that names other keys, before it is in force.

use std::path::Path;

use chrono::{DateTime, Utc};
use ledger::{Event, LedgerError, LogPosition};
use serde_json::{Value, json};
use vault::{KeyEntry, KeyError, Rekeyed, RootSource, Vault, VaultError};
use zeroize::Zeroizing;

use crate::enclave::{Enclave, OpenError};

/// Which keys get new ones in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotate {
    /// The root key; guarded by another source, where one is named.
    Root(Option<RootSource>),
    /// The key-encryption keys of these names, or all.
    KeyEncryption(Vec<String>),
    /// The keys of files and columns, for which every file is written anew.
    Data,
    /// All three.
    All,
}

/// Why keys were not changed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The home.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<VaultError> for KeysError {
    fn from(error: VaultError) -> KeysError {
        KeysError::Open(OpenError::Vault(error))
    }
}

impl Enclave {
    /// The key-encryption keys, with what they protect.
    pub fn keys(&self) -> Result<Vec<KeyEntry>, KeysError> {
        Ok(self.vault.key_list()?)
    }

    /// What guards the root key, for people.
    pub fn root_source(&self) -> Result<String, KeysError> {
        Ok(self.vault.root_source()?)
    }

    /// Rotates keys while questions go on.
    pub fn rotate_keys(&self, what: &Rotate) -> Result<(), KeysError> {
        match what {
            Rotate::Root(source) => {
                let facts = match source {
                    None => json!({ "act": "rotate", "keys": ["root"] }),
                    Some(source) => {
                        json!({ "act": "rotate", "keys": ["root"], "source": source.to_string() })
                    }
                };
                self.log_keys(facts)?;
                Ok(self.vault.rotate_root(source.as_ref())?)
            }
            Rotate::KeyEncryption(names) => {
                let named: &[String] = if names.is_empty() { &["key-encryption".to_owned()] } else { names };
                self.log_keys(json!({ "act": "rotate", "keys": named }))?;
                Ok(self.vault.rotate_key_encryption(names, &|rekeyed| self.announce_keys(rekeyed))?)
            }
            Rotate::Data => {
                self.log_keys(json!({ "act": "rotate", "keys": ["data"] }))?;
                Ok(self.vault.rotate_data(&|rekeyed| self.announce_keys(rekeyed))?)
            }
            Rotate::All => {
                self.rotate_keys(&Rotate::KeyEncryption(Vec::new()))?;
                self.rotate_keys(&Rotate::Data)?;
                self.rotate_keys(&Rotate::Root(None))
            }
        }
    }

    /// Destroys the keys of a contract's identities, of one cohort or of all.
    pub fn destroy_keys(&self, contract: &str, cohort: Option<&str>) -> Result<(), KeysError> {
        self.log_keys(
            json!({ "act": "destroy", "contract": contract, "cohort": cohort.unwrap_or("every") }),
        )?;
        Ok(self.vault.destroy_identities(contract, cohort, &|rekeyed| self.announce_keys(rekeyed))?)
    }

    /// Deals shares of the root key, of which any `least` give it back.
    pub fn split_root_key(&self, shares: u8, least: u8) -> Result<Vec<Zeroizing<String>>, KeysError> {
        let dealt = self.vault.split_root_key(shares, least)?;
        self.log_keys(json!({ "act": "split", "keys": ["root"], "shares": shares, "needed": least }))?;
        Ok(dealt)
    }

    /// Puts the root key of `home` in force that shares give back, guarded as before or by `source`.
    pub fn recover_root_key(
        home: &Path,
        clock: fn() -> DateTime<Utc>,
        shares: &[String],
        source: Option<&RootSource>,
    ) -> Result<Enclave, KeysError> {
        Vault::recover_root_key(home, shares, source)?;
        let enclave = Enclave::open(home, clock)?;
        enclave.log_keys(json!({ "act": "recover", "keys": ["root"], "shares": shares.len() }))?;
        Ok(enclave)
    }

    /// Logged before it is in force, as an ingest is.
    fn announce_keys(&self, rekeyed: &Rekeyed) -> Result<(), String> {
        let facts = json!({
            "act": "rekey",
            "contract": rekeyed.contract,
            "snapshot": rekeyed.snapshot_id,
            "manifest_sha256": rekeyed.manifest_sha256,
        });
        self.log_keys(facts).map(drop).map_err(|error| error.to_string())
    }

    fn log_keys(&self, facts: Value) -> Result<LogPosition, LedgerError> {
        self.ledger.append(self.now(), Event::Keys, facts)
    }
}
