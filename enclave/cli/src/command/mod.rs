//! One module per command: each opens the enclave, acts through the gate, and tells.

pub(crate) mod approvals;
pub(crate) mod ask;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod budget;
pub(crate) mod collusion;
pub(crate) mod contract;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod ingest;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod log;
pub(crate) mod log_witness;
pub(crate) mod memorandum;
pub(crate) mod people;
pub(crate) mod place;
pub(crate) mod receipt;
pub(crate) mod records;
pub(crate) mod register;
pub(crate) mod review;
pub(crate) mod rules;
pub(crate) mod serve;
pub(crate) mod snapshots;
pub(crate) mod vault;

use std::path::Path;
use std::sync::OnceLock;

use gate::{Action, Enclave};

use crate::outcome::Outcome;

/// Who acts, as it was typed: one person a process.
static PERSON: OnceLock<Option<String>> = OnceLock::new();

/// Says who acts, once.
pub(crate) fn acting(person: Option<String>) {
    // Nobody else has said so before.
    let _ = PERSON.set(person);
}

/// Who acts.
pub(crate) fn person() -> Option<String> {
    PERSON.get().cloned().flatten()
}

/// The enclave, used by whoever acts.
fn open(home: &Path) -> Result<Enclave, Outcome> {
    Ok(Enclave::open(home, chrono::Utc::now)?.acting_as(person()))
}

/// The same for what reads the ledger itself: whoever acts may.
fn open_for(home: &Path, action: Action) -> Result<Enclave, Outcome> {
    let enclave = open(home)?;
    enclave.permitted(action)?;
    Ok(enclave)
}

fn read(file: &Path) -> Result<String, Outcome> {
    std::fs::read_to_string(file)
        .map_err(|error| Outcome::Invalid(format!("cannot read `{}`: {error}", file.display())))
}

fn runtime() -> Result<tokio::runtime::Runtime, Outcome> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|error| Outcome::Internal(format!("cannot start: {error}")))
}
