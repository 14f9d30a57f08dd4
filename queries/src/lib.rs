//! What was asked, and why it is safe: [`verify`] turns SQL into a [`PrivatePlan`], or into a [`Refusal`] that
//! names the rule, the place and a way that would pass.
//!
//! Deliberately absent: rows, files, clocks, accounts. A verdict depends on the SQL, the contract, the memorandum
//! and the rule set alone.
//!
//! In reading order: [`refusal`] · `surface` (SQL text → one plain SELECT) · `catalog` (what a memorandum lets SQL
//! see) · [`tree`] (the closed vocabulary) · `function` (its functions) · `lower` and `lower_expr` (DataFusion's
//! logical plan → tree) · `range` and `finite` (what is known of values) · `bounds` (lineage and contribution) ·
//! [`verify`] (the door) · [`plan`] (what it gives) · [`emit`] (tree → DataFusion, every expression total) ·
//! [`answer`] (post-processing of noisy values).

pub mod answer;
mod bounds;
mod catalog;
pub mod emit;
mod finite;
mod function;
mod lower;
mod lower_expr;
pub mod plan;
mod range;
pub mod refusal;
mod surface;
pub mod tree;
mod verify;

pub use answer::Answer;
pub use finite::value;
pub use plan::PrivatePlan;
pub use refusal::{Refusal, Rule};
pub use verify::{Options, verify};
