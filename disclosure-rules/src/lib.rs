//! What may be said about pupils, and what it costs: this crate turns sealed exact aggregates into a
//! [`Release`] whose privacy loss is the one that was debited, and nothing else can.
//!
//! Deliberately absent: SQL, files, clocks, accounts on disk. Everything here is a pure function, except the
//! draw of the noise itself.
//!
//! In reading order: [`loss`] (ρ, ε, δ) · [`value`] (group keys) · [`rules`] (rule sets) · [`account`] (debit →
//! [`Charge`]) · [`sensitivity`] (what one pupil can change) · [`tail`] (of the noise) · [`measure`] (what is
//! measured, and how the price is split) · [`exact`] (sealed answers) · [`mod@release`] (the only noise).

pub mod account;
pub mod exact;
pub mod loss;
pub mod measure;
pub mod release;
pub mod rules;
pub mod sensitivity;
pub mod tail;
pub mod value;

pub use account::{Account, Charge, Cost, Exhausted, PlanDigest};
pub use exact::Exact;
pub use loss::{Delta, Epsilon, Rho, Rows, Units};
pub use release::{Release, release};
pub use rules::RuleSet;
pub use value::Value;
