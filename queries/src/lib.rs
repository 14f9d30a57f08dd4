//! What was asked, and why it is safe: [`verify`] turns SQL into a [`PrivatePlan`], or into a [`Refusal`] that
//! names the rule, the place and a way that would pass.
//!
//! Deliberately absent: rows, files, clocks, accounts. A verdict depends on the SQL, the contract, the memorandum
//! and the rule set alone.
//!
//! In reading order: [`refusal`] · `surface` (SQL text → one SELECT) · `qualified` (names as tools write them) · `catalog` (what a memorandum lets SQL see) ·
//! [`tree`] (the closed vocabulary of rows) · [`post`] (of released tables) · `function` (its functions) · `lower`
//! (DataFusion's logical plan → trees) · `fields`, `range` and `finite`
//! (what is known of values) · `bounds` and `lineage` (what one pupil can have) · `key_source` and `measured` (keys and
//! measures) · [`verify`] (the door) · [`plan`] (what it gives) · `plain` (answers that can be set beside others) · [`emit`] (tree → DataFusion, every expression total) ·
//! [`answer`] (post-processing of noisy values) · `vocabulary` (what the page for researchers lists).

pub mod answer;
mod bounds;
mod catalog;
pub mod emit;
mod fields;
mod finite;
mod function;
mod key_source;
mod lineage;
mod lower;
mod measured;
mod plain;
pub mod plan;
pub mod post;
mod principles;
mod qualified;
mod range;
pub mod refusal;
mod surface;
pub mod tree;
mod verify;
mod vocabulary;

pub use answer::Answer;
pub use finite::value;
pub use function::Totality;
pub use plain::{NotPlain, Plain, PlainColumn};
pub use plan::{Concern, PrivatePlan, Stage};
pub use refusal::{Refusal, Rule};
pub use verify::{Options, verify};
pub use vocabulary::{Vocabulary, vocabulary};
