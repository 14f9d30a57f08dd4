//! `enclave doctor`: what could go wrong, before it does.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chrono::{Duration, Utc};
use gate::{Action, Enclave};
use serde_json::json;
use server::Config;
use server::config::Provider;

use crate::args::ListFormat;
use crate::args::serve::Doctor;
use crate::command::open;
use crate::outcome::{Done, Outcome, put};

/// Free space below which ingest may not find room.
const FREE_BYTES: u64 = 2 << 30;
/// Days before its end at which a certificate is warned of.
const CERTIFICATE_DAYS: i64 = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    Warning,
    Bad,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Good => "ok",
            State::Warning => "warning",
            State::Bad => "bad",
        }
    }
}

struct Finding {
    about: &'static str,
    state: State,
    says: String,
}

fn finding(about: &'static str, state: State, says: impl Into<String>) -> Finding {
    Finding { about, state, says: says.into() }
}

pub(crate) fn run(home: &Path, args: &Doctor) -> Done {
    let mut found = vec![permissions(home), disk(home)];
    match open(home) {
        Ok(enclave) => {
            enclave.permitted(Action::CheckVault)?;
            found.push(finding("keys", State::Good, "the root key opens the keyring"));
            found.extend([clock(&enclave), log(&enclave), store(&enclave)]);
        }
        Err(outcome) => found.push(finding("keys", State::Bad, outcome.message())),
    }
    found.extend(configuration(home, args));
    let text = match args.format {
        ListFormat::Json => {
            let found: Vec<_> = found
                .iter()
                .map(|found| json!({ "about": found.about, "state": found.state.name(), "says": found.says }))
                .collect();
            format!("{}\n", serde_json::to_string_pretty(&found).unwrap_or_default())
        }
        ListFormat::Table => found
            .iter()
            .map(|found| format!("{}\t{}\t{}\n", found.state.name(), found.about, found.says))
            .collect(),
    };
    put(text.as_bytes())?;
    if found.iter().any(|found| found.state == State::Bad) { Err(Outcome::Told(2)) } else { Ok(()) }
}

fn permissions(home: &Path) -> Finding {
    let mut open = Vec::new();
    for (path, mask) in
        [(home.to_owned(), 0o007), (home.join("keys"), 0o077), (home.join("tls/key.pem"), 0o077)]
    {
        match std::fs::metadata(&path) {
            Ok(found) if found.permissions().mode() & mask != 0 => open.push(path.display().to_string()),
            _ => {}
        }
    }
    if open.is_empty() {
        return finding("permissions", State::Good, "home and keys are closed to others");
    }
    let says = format!("others can read {}: `chmod -R go-rwx {}`", open.join(", "), home.display());
    finding("permissions", State::Bad, says)
}

fn disk(home: &Path) -> Finding {
    let Ok(stat) = rustix::fs::statvfs(home) else {
        return finding("disk", State::Bad, format!("cannot look at `{}`", home.display()));
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let says = format!("{} MiB free", free >> 20);
    if free < FREE_BYTES {
        return finding(
            "disk",
            State::Warning,
            format!("{says}: an ingest needs about the size of its files"),
        );
    }
    finding("disk", State::Good, says)
}

fn clock(enclave: &Enclave) -> Finding {
    let last = enclave.ledger().size().and_then(|size| enclave.ledger().leaf(size.saturating_sub(1)));
    match last {
        Ok(Some(leaf)) if leaf.at > Utc::now() + Duration::seconds(5) => {
            let at = leaf.at.format("%Y-%m-%d %H:%M:%S UTC");
            finding(
                "clock",
                State::Bad,
                format!("the last leaf is of {at}, in the future: set the clock right"),
            )
        }
        Ok(_) => finding("clock", State::Good, "not behind the log"),
        Err(error) => finding("clock", State::Bad, error.to_string()),
    }
}

fn log(enclave: &Enclave) -> Finding {
    match enclave.ledger().verify() {
        Ok(_) => finding("log", State::Good, "every leaf, account and signature holds"),
        Err(found) => {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            finding("log", State::Bad, found.join("; "))
        }
    }
}

fn store(enclave: &Enclave) -> Finding {
    match enclave.check_announced() {
        Ok(()) => finding("store", State::Good, "every data set is in the state that the log announced last"),
        Err(error) => finding("store", State::Bad, error.to_string()),
    }
}

fn configuration(home: &Path, args: &Doctor) -> Vec<Finding> {
    match Config::read(args.config.as_deref(), std::env::vars(), &[]) {
        Ok(config) => {
            let mut found = vec![certificate(home, &config)];
            found.extend(config.providers.iter().filter_map(secret));
            found
        }
        Err(error) => vec![finding("configuration", State::Bad, error.to_string())],
    }
}

/// The file with the secret of a client of an identity provider.
fn secret(provider: &Provider) -> Option<Finding> {
    let path = provider.client_secret_file.as_ref()?;
    let (state, says) = match std::fs::metadata(path) {
        Ok(found) if found.permissions().mode() & 0o077 != 0 => {
            (State::Bad, format!("others can read {0}: `chmod go-rwx {0}`", path.display()))
        }
        Ok(_) => (State::Good, format!("{} is closed to others", path.display())),
        Err(_) => (State::Bad, format!("cannot look at {}", path.display())),
    };
    Some(finding("provider", state, format!("{}: {says}", provider.name)))
}

fn certificate(home: &Path, config: &Config) -> Finding {
    let about = "certificate";
    if config.tls.plain {
        return finding(about, State::Good, "none is needed: `tls.plain`, on loopback behind a proxy");
    }
    match server::tls::expires(home, config) {
        Ok(None) => finding(about, State::Warning, "none: `enclave serve` makes one that is self-signed"),
        Ok(Some(end)) => {
            let says = format!("good until {}", end.format("%Y-%m-%d"));
            let left = end - Utc::now();
            if left < Duration::zero() {
                return finding(about, State::Bad, format!("ended on {}", end.format("%Y-%m-%d")));
            }
            let state = if left < Duration::days(CERTIFICATE_DAYS) { State::Warning } else { State::Good };
            finding(about, state, says)
        }
        Err(error) => finding(about, State::Bad, error.to_string()),
    }
}
