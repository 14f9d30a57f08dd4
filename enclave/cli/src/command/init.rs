//! `enclave init`

use std::path::Path;

use gate::Enclave;
use vault::{RootSource, Setup};

use crate::args::keys::Init;
use crate::command::place;
use crate::outcome::{Done, Outcome, put, say};

pub(crate) fn run(home: &Path, args: &Init) -> Done {
    place::of_root_key(home, &args.root_key)?;
    let setup = Setup { root: args.root_key.clone(), store: args.store.clone() };
    let enclave = create_as(home, &setup)?;
    say(&format!("made an enclave in `{}`", home.display()));
    say(&match &setup.root {
        RootSource::File(None) => "keep `keys/root.key` apart from backups of the rest".to_owned(),
        RootSource::File(Some(path)) => format!("keep `{}` apart from backups of the home", path.display()),
        other => format!("the root key opens with: {other}; without it nothing can be read again"),
    });
    let link = server::join_link(&server::Config::default(), &enclave.set_up_secret()?);
    say(&format!("once `enclave serve` runs, the first steward registers here, once, within 7 days: {link}"));
    say("deal it in shares with `enclave keys escrow split`, and give the board this public key of the log:");
    put(format!("{}\n", enclave.public_key()).as_bytes())
}

/// Makes the home, and writes the log's public key beside it for whoever verifies.
pub(crate) fn create(home: &Path) -> Result<Enclave, Outcome> {
    create_as(home, &Setup::default())
}

fn create_as(home: &Path, setup: &Setup) -> Result<Enclave, Outcome> {
    let enclave = Enclave::create_as(home, chrono::Utc::now, setup)?;
    server::tls::ensure_own(home).map_err(|error| Outcome::Internal(error.to_string()))?;
    let path = home.join("log.vkey");
    std::fs::write(&path, format!("{}\n", enclave.public_key()))
        .map_err(|error| Outcome::Internal(format!("cannot write `{}`: {error}", path.display())))?;
    Ok(enclave)
}
