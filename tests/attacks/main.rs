//! Attacks through the gate: what one pupil's presence may change, and what it must not.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod generated;
mod neighbours;
mod oracles;
mod poisoned;
mod served;
