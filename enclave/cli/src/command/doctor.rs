//! `enclave doctor`: what could go wrong, before it does.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chrono::{Duration, Utc};
use gate::{Action, Enclave};
use serde_json::json;
use server::config::Provider;
use server::tls::TlsError;
use server::{Config, ServeError};

use crate::args::ListFormat;
use crate::args::serve::Doctor;
use crate::command::open;
use crate::outcome::{Done, Outcome, put};

/// Free space below which ingest may not find room.
const FREE_BYTES: u64 = 2 << 30;
/// Days before its end at which a certificate is warned of.
const CERTIFICATE_DAYS: i64 = 30;
/// Modes that let in the group or others.
const SHARED: u32 = 0o077;
/// Modes that let in others, or the group to change something.
const OTHERS: u32 = 0o027;

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
    let enclave = match open(home) {
        Ok(enclave) => {
            enclave.permitted(Action::CheckVault)?;
            found.push(finding("keys", State::Good, "the root key opens the keyring"));
            found.extend([clock(&enclave), log(&enclave), store(&enclave)]);
            Some(enclave)
        }
        Err(outcome) => {
            found.push(finding("keys", State::Bad, outcome.message()));
            None
        }
    };
    found.extend(configuration(home, args, enclave));
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
    let within = ["keys", "ledger.db", "ledger.db-wal", "ledger.anchor", "tls/key.pem"];
    let within = within.map(|name| (home.join(name), SHARED));
    for (path, mask) in [(home.to_owned(), 0o007)].into_iter().chain(within) {
        match std::fs::metadata(&path) {
            Ok(found) if found.permissions().mode() & mask != 0 => open.push(path.display().to_string()),
            _ => {}
        }
    }
    if open.is_empty() {
        return finding("permissions", State::Good, "home, keys and ledger are closed to others");
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

fn configuration(home: &Path, args: &Doctor, enclave: Option<Enclave>) -> Vec<Finding> {
    match Config::read(args.config.as_deref(), std::env::vars(), &[]) {
        Ok(config) => {
            let mut found = certificate(home, &config, enclave);
            found.extend(config.providers.iter().filter_map(secret));
            found
        }
        Err(error) => vec![finding("configuration", State::Bad, error.to_string())],
    }
}

/// The file with the secret of a client of an identity provider.
fn secret(provider: &Provider) -> Option<Finding> {
    let (state, says) = closed(provider.client_secret_file.as_ref()?, SHARED);
    Some(finding("provider", state, format!("{}: {says}", provider.name)))
}

/// Whether we can read a file, and those whom `mask` names cannot.
fn closed(path: &Path, mask: u32) -> (State, String) {
    let shown = path.display();
    match File::open(path).and_then(|file| file.metadata()) {
        Ok(found) if found.permissions().mode() & mask != 0 => {
            (State::Bad, format!("others can read {shown}: `chmod go-rwx {shown}`"))
        }
        Ok(_) => (State::Good, format!("{shown} is closed to others")),
        Err(error) => (State::Bad, format!("cannot read {shown}: {error}")),
    }
}

/// What is served with, as `enclave serve` would take it.
fn certificate(home: &Path, config: &Config, enclave: Option<Enclave>) -> Vec<Finding> {
    let about = "certificate";
    if config.tls.plain {
        let says = "none is needed: `tls.plain`, on loopback behind a proxy";
        return vec![finding(about, State::Good, says)];
    }
    let path = config.tls.certificate.clone().unwrap_or_else(|| server::tls::own_certificate(home));
    let shown = path.display();
    let end = match server::tls::expires(home, config) {
        Ok(Some(end)) => end,
        Ok(None) if config.tls.certificate.is_some() => {
            return vec![finding(about, State::Bad, format!("there is no {shown}"))];
        }
        Ok(None) => {
            let says = "none: `enclave serve` makes one that is self-signed";
            return vec![finding(about, State::Warning, says)];
        }
        Err(error) => return vec![finding(about, State::Bad, error.to_string())],
    };
    let (left, day) = (end - Utc::now(), end.format("%Y-%m-%d"));
    let (state, says) = if left < Duration::zero() {
        (State::Bad, format!("{shown} ended on {day}"))
    } else if left < Duration::days(CERTIFICATE_DAYS) {
        (State::Warning, format!("{shown} is good until {day}"))
    } else {
        (State::Good, format!("{shown} is good until {day}"))
    };
    vec![finding(about, state, says), private_key(home, config, enclave)]
}

/// The key of the certificate: whether we can read it, others cannot, and it is that certificate's.
fn private_key(home: &Path, config: &Config, enclave: Option<Enclave>) -> Finding {
    let about = "private key";
    let path = config.tls.key.clone().unwrap_or_else(|| home.join("tls").join("key.pem"));
    let (state, says) = closed(&path, OTHERS);
    let (State::Good, Some(enclave)) = (state, enclave) else { return finding(about, state, says) };
    // As it would be served, on ports that the system chooses, and that are let go at once.
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = Config { http: any, flight: any, ..config.clone() };
    match server::bind(home, enclave, config) {
        Err(ServeError::Tls(TlsError::Rustls(_))) => {
            let says =
                format!("{} is not the key of the certificate, or not one that can be used", path.display());
            finding(about, State::Bad, says)
        }
        Err(ServeError::Tls(error)) => finding(about, State::Bad, error.to_string()),
        // No port is to be had: that is not about the key.
        Err(_) => finding(about, State::Good, says),
        Ok(_) => finding(about, State::Good, format!("{says}, and is the certificate's")),
    }
}
