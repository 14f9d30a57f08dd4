//! `enclave init`

use std::path::Path;

use gate::Enclave;

use crate::outcome::{Done, Outcome, put, say};

pub(crate) fn run(home: &Path) -> Done {
    let enclave = create(home)?;
    say(&format!("made an enclave in `{}`", home.display()));
    say(
        "keep `keys/root.key` apart from backups of the rest, and give the board this public key of the log:",
    );
    put(format!("{}\n", enclave.public_key()).as_bytes())
}

/// Makes the home, and writes the log's public key beside it for whoever verifies.
pub(crate) fn create(home: &Path) -> Result<Enclave, Outcome> {
    let enclave = Enclave::create(home, chrono::Utc::now)?;
    let path = home.join("log.vkey");
    std::fs::write(&path, format!("{}\n", enclave.public_key()))
        .map_err(|error| Outcome::Internal(format!("cannot write `{}`: {error}", path.display())))?;
    Ok(enclave)
}
