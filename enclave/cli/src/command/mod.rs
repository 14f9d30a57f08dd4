//! One module per command: each opens the enclave, acts through the gate, and tells.

pub(crate) mod ask;
pub(crate) mod budget;
pub(crate) mod contract;
pub(crate) mod demo;
pub(crate) mod ingest;
pub(crate) mod init;
pub(crate) mod log;
pub(crate) mod memorandum;
pub(crate) mod rules;

use std::path::Path;

use gate::Enclave;

use crate::outcome::Outcome;

fn open(home: &Path) -> Result<Enclave, Outcome> {
    Ok(Enclave::open(home, chrono::Utc::now)?)
}

fn read(file: &Path) -> Result<String, Outcome> {
    std::fs::read_to_string(file)
        .map_err(|error| Outcome::Invalid(format!("cannot read `{}`: {error}", file.display())))
}

fn runtime() -> Result<tokio::runtime::Runtime, Outcome> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|error| Outcome::Internal(format!("cannot start: {error}")))
}
