//! What the custodian does with keys: list, rotate, destroy, deal the root key in shares, recover it. Each is a leaf
//! of the log, and so is every manifest that names other keys, before it is in force.

use std::path::Path;

use chrono::{DateTime, Utc};
use ledger::{Event, LedgerError, LogPosition, Stamp};
use serde_json::json;
use vault::{KeyEntry, KeyError, Rekeyed, RootSource, Vault, VaultError};
use zeroize::Zeroizing;

use crate::acts::ActError;
use crate::enclave::{Enclave, OpenError};
use crate::people::Actor;
use crate::permissions::Action;

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
    /// Whoever acts may not, or not alone.
    #[error(transparent)]
    Act(#[from] ActError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The home.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The shares gave the root key back, by somebody who may not bring them.
    #[error("{0}. The shares have put the root key in force all the same, and the log says so")]
    Recovered(String),
}

impl From<VaultError> for KeysError {
    fn from(error: VaultError) -> KeysError {
        KeysError::Open(OpenError::Vault(error))
    }
}

impl Enclave {
    /// The key-encryption keys, with what they protect.
    pub fn keys(&self) -> Result<Vec<KeyEntry>, KeysError> {
        self.permitted(Action::ListKeys)?;
        Ok(self.vault.key_list()?)
    }

    /// What guards the root key, for people.
    pub fn root_source(&self) -> Result<String, KeysError> {
        Ok(self.vault.root_source()?)
    }

    /// Rotates keys while questions go on.
    pub fn rotate_keys(&self, what: &Rotate) -> Result<(), KeysError> {
        let actor = self.permitted(Action::RotateKeys)?;
        // Other keys must not make an older state the newest.
        self.check_announced()?;
        let announce = |rekeyed: &Rekeyed| self.announce_keys(&actor, rekeyed);
        match what {
            Rotate::Root(source) => {
                let under = source.as_ref().map_or_else(String::new, |source| format!(" under {source}"));
                self.log_keys(self.stamp(&actor), "rotated", &format!("root{under}"))?;
                Ok(self.vault.rotate_root(source.as_ref())?)
            }
            Rotate::KeyEncryption(names) => {
                let named = if names.is_empty() { "key-encryption".to_owned() } else { names.join(", ") };
                self.log_keys(self.stamp(&actor), "rotated", &named)?;
                Ok(self.vault.rotate_key_encryption(names, &announce)?)
            }
            Rotate::Data => {
                self.log_keys(self.stamp(&actor), "rotated", "data")?;
                Ok(self.vault.rotate_data(&announce)?)
            }
            Rotate::All => {
                self.rotate_keys(&Rotate::KeyEncryption(Vec::new()))?;
                self.rotate_keys(&Rotate::Data)?;
                self.rotate_keys(&Rotate::Root(None))
            }
        }
    }

    /// Destroys the keys of a contract's identities, of one cohort or of all: a steward, once a member of the board
    /// has approved it.
    pub fn destroy_keys(&self, contract: &str, cohort: Option<&str>) -> Result<(), KeysError> {
        let actor = self.permitted(Action::DestroyKeys)?;
        let which = cohort.unwrap_or("every cohort");
        let text = format!("identities of {contract}: {which}");
        if !self.vault.has_identity_keys(contract, cohort)? {
            return Err(KeyError::Unknown(text).into());
        }
        self.two_people(&actor, Action::DestroyKeys, &text, &[format!("{text} can never be read again")])?;
        self.check_announced()?;
        self.log_keys(self.stamp(&actor), "destroyed", &text)?;
        let announce = |rekeyed: &Rekeyed| self.announce_keys(&actor, rekeyed);
        Ok(self.vault.destroy_identities(contract, cohort, &announce)?)
    }

    /// Deals shares of the root key, of which any `least` give it back.
    pub fn split_root_key(&self, shares: u8, least: u8) -> Result<Vec<Zeroizing<String>>, KeysError> {
        let actor = self.permitted(Action::EscrowKeys)?;
        let dealt = self.vault.split_root_key(shares, least)?;
        self.log_keys(self.stamp(&actor), "dealt in shares", &format!("root: {least} of {shares} needed"))?;
        Ok(dealt)
    }

    /// Puts the root key of `home` in force that shares give back, guarded as before or by `source`. Without it
    /// nobody can be looked up: the people who bring their shares are who lets this happen. The log has it whoever acts;
    /// where they may not, the leaf names nobody, and they are told.
    pub fn recover_root_key(
        home: &Path,
        clock: fn() -> DateTime<Utc>,
        person: Option<String>,
        shares: &[String],
        source: Option<&RootSource>,
    ) -> Result<Enclave, KeysError> {
        Vault::recover_root_key(home, shares, source)?;
        let enclave = Enclave::open(home, clock)?.acting_as(person);
        let actor = enclave.permitted(Action::EscrowKeys);
        let stamp = match &actor {
            Ok(actor) => enclave.stamp(actor),
            Err(_) => Stamp::from(enclave.now()),
        };
        enclave.log_keys(stamp, "recovered", "root")?;
        match actor {
            Ok(_) => Ok(enclave),
            Err(ActError::Denied(message)) => Err(KeysError::Recovered(message)),
            Err(error) => Err(error.into()),
        }
    }

    /// Logged before it is in force, as an ingest is.
    fn announce_keys(&self, actor: &Actor, rekeyed: &Rekeyed) -> Result<(), String> {
        let facts = json!({
            "act": "put in force",
            "keys": "of the files",
            "contract": rekeyed.contract,
            "snapshot": rekeyed.snapshot_id,
            "manifest_sha256": rekeyed.manifest_sha256,
        });
        let logged = self.ledger.append(self.stamp(actor), Event::Keys, facts);
        logged.map(drop).map_err(|error| error.to_string())
    }

    fn log_keys(&self, stamp: Stamp<'_>, done: &str, keys: &str) -> Result<LogPosition, LedgerError> {
        self.ledger.append(stamp, Event::Keys, json!({ "act": done, "keys": keys }))
    }
}
