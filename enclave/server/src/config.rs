//! [`Config`]: how the enclave is served. Read from a file, then the environment, then flags, each over the one before;
//! a key that is none is refused.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// Everything that can be set; `docs/serve.toml` describes each with its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where HTTP is served; port 0 lets the system choose.
    pub http: SocketAddr,
    /// Where Arrow Flight SQL is served.
    pub flight: SocketAddr,
    /// How people reach it, for links: such as `https://enclave.example.jp`.
    pub public_url: Option<String>,
    /// Whether a proxy on this machine sends the client's address in `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// Certificates.
    pub tls: Tls,
    /// How long people stay logged in.
    pub sessions: Sessions,
    /// How much at once.
    pub limits: Limits,
    /// Universities' identity providers.
    pub providers: Vec<Provider>,
    /// What is written to standard error.
    pub log: Log,
}

/// Certificates.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// PEM file with the chain; the self-signed one that `init` made where it is left out.
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key.
    pub key: Option<PathBuf>,
    /// No TLS: on loopback only, behind a proxy or in tests.
    pub plain: bool,
}

/// How long people stay logged in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sessions {
    /// Minutes without a request after which a session ends.
    pub idle_minutes: u32,
    /// Hours after which a session ends in any case.
    pub absolute_hours: u32,
}

/// How much at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Questions that run at once.
    pub questions: usize,
    /// Of one log-in.
    pub questions_per_person: usize,
    /// Under one memorandum.
    pub questions_per_memorandum: usize,
    /// Questions that wait.
    pub queue: usize,
    /// Requests at once at each port; half of them of one client.
    pub requests: usize,
    /// Requests of one log-in in a minute.
    pub requests_per_minute: u32,
    /// Attempts to log in from one address in a minute.
    pub log_ins_per_minute: u32,
    /// The longest body of a request, in KiB.
    pub body_kib: usize,
    /// Seconds in which a request has to arrive, and a connection's first.
    pub request_seconds: u64,
    /// Seconds for which running questions may go on after the signal to stop.
    pub shutdown_seconds: u64,
}

/// A university's identity provider (OpenID Connect).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Short name, in the address of its log-in.
    pub name: String,
    /// Its issuer, as in its discovery document.
    pub issuer: String,
    /// The client that was registered there.
    pub client_id: String,
    /// File with the client's secret.
    pub client_secret_file: Option<PathBuf>,
    /// PEM file with certificates that are trusted for it, beside those of the system.
    pub root_certificate_file: Option<PathBuf>,
}

/// What is written to standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: LogFormat,
    /// `error`, `warn`, `info` or `debug`.
    pub level: LogLevel,
}

/// Form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The least that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Faults.
    Error,
    /// What somebody should look at.
    Warn,
    /// Each request.
    Info,
    /// More.
    Debug,
}

impl LogLevel {
    pub(crate) fn name(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, 8443)),
            flight: SocketAddr::from((Ipv4Addr::LOCALHOST, 8444)),
            public_url: None,
            behind_proxy: false,
            tls: Tls::default(),
            sessions: Sessions::default(),
            limits: Limits::default(),
            providers: vec![],
            log: Log::default(),
        }
    }
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions { idle_minutes: 30, absolute_hours: 12 }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            questions: 32,
            questions_per_person: 4,
            questions_per_memorandum: 16,
            queue: 256,
            requests: 1024,
            requests_per_minute: 1200,
            log_ins_per_minute: 20,
            body_kib: 256,
            request_seconds: 30,
            shutdown_seconds: 30,
        }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log { format: LogFormat::Text, level: LogLevel::Info }
    }
}

/// Why a configuration does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file.
    #[error("cannot read `{0}`: {1}")]
    Read(PathBuf, std::io::Error),
    /// Not TOML, an unknown key, or a value of another type.
    #[error("{0}: {1}; `docs/serve.toml` lists every key")]
    Invalid(String, String),
    /// Values that do not go together.
    #[error("{0}")]
    Together(&'static str),
}

/// Names in the environment begin so; `ENCLAVE_SERVE_LIMITS__QUEUE` is `limits.queue`.
pub const ENVIRONMENT: &str = "ENCLAVE_SERVE_";

impl Config {
    /// Reads the file, lays the environment over it, and `KEY=VALUE` settings of flags over both.
    pub fn read(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        settings: &[String],
    ) -> Result<Config, ConfigError> {
        let mut table = Table::new();
        if let Some(path) = file {
            let text =
                std::fs::read_to_string(path).map_err(|error| ConfigError::Read(path.to_owned(), error))?;
            table = text.parse().map_err(|error: toml::de::Error| invalid(&path.display(), &error))?;
            // Alone, so that the message names the file.
            Config::of(table.clone()).map_err(|error| invalid(&path.display(), &error))?;
        }
        for (name, value) in environment {
            let Some(key) = name.strip_prefix(ENVIRONMENT) else { continue };
            set(&mut table, &key.to_lowercase().replace("__", "."), &value)
                .map_err(|error| invalid(&format!("`{name}` in the environment"), &error))?;
            Config::of(table.clone())
                .map_err(|error| invalid(&format!("`{name}` in the environment"), &error))?;
        }
        for setting in settings {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            set(&mut table, key, value).map_err(|error| invalid(&format!("`{setting}`"), &error))?;
            Config::of(table.clone()).map_err(|error| invalid(&format!("`{setting}`"), &error))?;
        }
        let config = Config::of(table).map_err(|error| invalid(&"the configuration", &error))?;
        config.check()?;
        Ok(config)
    }

    fn of(table: Table) -> Result<Config, toml::de::Error> {
        Value::Table(table).try_into()
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.tls.plain && !(self.http.ip().is_loopback() && self.flight.ip().is_loopback()) {
            return Err(ConfigError::Together("`tls.plain` holds on loopback addresses only"));
        }
        if self.behind_proxy && !(self.http.ip().is_loopback() && self.flight.ip().is_loopback()) {
            return Err(ConfigError::Together(
                "`behind_proxy` holds where only this machine can reach the ports",
            ));
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return Err(ConfigError::Together("`tls.certificate` and `tls.key` are set together"));
        }
        let plain =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let names: std::collections::BTreeSet<&str> =
            self.providers.iter().map(|provider| provider.name.as_str()).collect();
        if names.len() != self.providers.len() || !names.iter().all(|name| plain(name)) {
            return Err(ConfigError::Together(
                "each of `providers` has a name of its own, of letters, digits and `-`",
            ));
        }
        let limits = &self.limits;
        let least = [
            limits.questions,
            limits.questions_per_person,
            limits.questions_per_memorandum,
            limits.requests,
            limits.body_kib,
        ];
        let times = [
            limits.request_seconds,
            u64::from(limits.requests_per_minute),
            u64::from(limits.log_ins_per_minute),
            u64::from(self.sessions.idle_minutes),
            u64::from(self.sessions.absolute_hours),
        ];
        if least.contains(&0) || times.contains(&0) {
            return Err(ConfigError::Together(
                "every limit but `limits.queue` and `limits.shutdown_seconds` is at least 1",
            ));
        }
        Ok(())
    }
}

fn invalid(place: &dyn std::fmt::Display, error: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Invalid(place.to_string(), error.to_string().trim().replace('\n', " "))
}

/// Sets one key, whose value is read as TOML, or else as the text that it is.
fn set(table: &mut Table, key: &str, text: &str) -> Result<(), String> {
    let value = format!("value = {text}").parse::<Table>().ok().and_then(|mut read| read.remove("value"));
    let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
    let mut path: Vec<&str> = key.split('.').collect();
    let last = path.pop().unwrap_or_default();
    let mut table = table;
    for part in path {
        let inner = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
        table = inner.as_table_mut().ok_or_else(|| format!("`{part}` holds no keys"))?;
    }
    table.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(environment: &[(&str, &str)], settings: &[&str]) -> Result<Config, ConfigError> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        Config::read(None, environment, &settings)
    }

    #[test]
    fn flags_lie_over_the_environment() {
        let config = read(
            &[("ENCLAVE_SERVE_LIMITS__QUEUE", "7"), ("ENCLAVE_SERVE_HTTP", "127.0.0.1:0"), ("PATH", "/")],
            &["limits.queue=9"],
        )
        .unwrap();
        assert_eq!((config.limits.queue, config.http.port()), (9, 0));
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_refused() {
        for setting in ["limits.queu=9", "queue=9", "limits.queue=many", "http=here", "limits.requests=0"] {
            let error = read(&[], &[setting]).unwrap_err().to_string();
            assert!(error.contains("docs/serve.toml") || error.contains("at least 1"), "{error}");
        }
        assert!(read(&[("ENCLAVE_SERVE_QUEUE", "1")], &[]).is_err());
    }

    #[test]
    fn plain_only_on_loopback() {
        assert!(read(&[], &["tls.plain=true"]).is_ok());
        assert!(read(&[], &["tls.plain=true", "http=0.0.0.0:80"]).is_err());
        assert!(read(&[], &["tls.key=key.pem"]).is_err());
    }

    /// The page is the schema: with every key, at its default.
    #[test]
    fn the_page_has_every_key_at_its_default() {
        let page = include_str!("../../../docs/serve.toml");
        let read: Config = toml::from_str(page).unwrap();
        assert_eq!(read, Config::default());
        let written = toml::Table::try_from(Config::default()).unwrap();
        for (key, value) in &written {
            let keys: Vec<&String> = value.as_table().into_iter().flat_map(Table::keys).collect();
            assert!(page.contains(key.as_str()), "{key}");
            keys.iter().for_each(|key| assert!(page.contains(key.as_str()), "{key}"));
        }
    }
}
