//! The enclave on the network: HTTP and Arrow Flight SQL, both through the one door [`gate::Enclave::ask`], both with
//! the same limits, the same people, and the same refusals.
//!
//! Deliberately absent: rules, prices, SQL. What may be asked, and what is told, is decided behind the gate.
//!
//! In reading order: [`config`] (how it is served) · [`tls`] · [`app`] (what requests share) · [`door`] (the way to
//! `ask`) · [`jobs`] (answers that are fetched later) · `pace` (how often) · `metrics` · `http` (`/api/v1`) · `flight`
//! (Flight SQL) · [`bind`] (both ports, until the signal to stop).

pub mod app;
pub mod config;
pub mod door;
mod flight;
#[expect(clippy::result_large_err, reason = "a problem is as large as what is told of it, and rare")]
mod http;
pub mod jobs;
mod metrics;
mod pace;
mod serve;
pub mod tls;

pub use app::join_link;
pub use config::{Config, ConfigError};
pub use http::openapi;
pub use serve::{ServeError, Serving, bind};

use ring::rand::{SecureRandom, SystemRandom};

/// 128 random bits, in hexadecimal.
pub(crate) fn random_id() -> String {
    let mut bytes = [0_u8; 16];
    // The system's generator fails only where there is none: then nothing could be served at all.
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => hex::encode(bytes),
        Err(_) => std::process::abort(),
    }
}
