//! What may be said about pupils, and what it costs: this crate turns sealed exact aggregates into a
//! [`Release`] whose privacy loss is the one that was debited, and nothing else can.
//!
//! Deliberately absent: SQL, files, clocks, accounts on disk. Everything here is a pure function, except the
//! draw of the noise itself.
//!
//! In reading order: [`loss`] (ρ, ε, δ) · [`value`] (group keys) · [`rules`] (rule sets) · [`account`] (debit
//! → [`Charge`]) · [`sensitivity`] (what one pupil can change) · [`tail`] (of the noise) · [`lattice`]
//! (values as integers) · [`measure`] (what is measured) · [`split`] (how the price is split) · [`terms`]
//! (scales and thresholds) · [`exact`] (sealed answers) · [`race`] (sums without a bound) · [`mod@release`]
//! (the only noise).

pub mod account;
mod cells;
mod estimate;
pub mod exact;
mod groupings;
mod interval;
pub mod lattice;
pub mod loss;
pub mod measure;
mod noise;
mod quantile;
pub mod race;
pub mod release;
pub mod rules;
pub mod sensitivity;
mod solve;
pub mod split;
mod suppress;
pub mod tail;
pub mod terms;
#[cfg(test)]
mod testing;
pub mod value;
mod weaker;

pub use account::{Account, Charge, Cost, Exhausted, PlanDigest};
pub use exact::{Exact, ExactGroup, Total};
pub use loss::{Delta, Epsilon, Rho, Rows, Units};
pub use release::{Release, release};
pub use rules::RuleSet;
pub use value::Value;
