//! What was typed after `enclave serve`, `restore` and `doctor`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::ListFormat;

#[derive(Debug, Default, ClapArgs)]
pub(crate) struct Serve {
    /// Configuration (TOML); `docs/serve.toml` lists every key.
    #[arg(long, env = "ENCLAVE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where HTTP is served [default: 127.0.0.1:8443].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http: Option<SocketAddr>,
    /// Where Arrow Flight SQL is served [default: 127.0.0.1:8444].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) flight: Option<SocketAddr>,
    /// No TLS, on loopback only.
    #[arg(long)]
    pub(crate) plain: bool,
    /// Any other key, as in `limits.queue=64`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
    /// Print the OpenAPI document, and serve nothing.
    #[arg(long)]
    pub(crate) openapi: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Restore {
    /// The backup.
    pub(crate) backup: PathBuf,
    /// The root key, where a file guards it: it is in no backup. It is copied into the new home.
    #[arg(long, value_name = "FILE")]
    pub(crate) root_key: Option<PathBuf>,
    /// A checkpoint that somebody kept, as the board does: the log must go on from it.
    #[arg(long, value_name = "FILE")]
    pub(crate) since: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    /// Configuration of the server (TOML): without it, the home's own certificate is looked at.
    #[arg(long, env = "ENCLAVE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Form of the report.
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: ListFormat,
}
