//! Questions through the gate: what their answers say, what they cost, and what of them is in the log.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod accuracy;
mod budget;
mod deleted;
mod forms;
mod gallery;
mod no_noise;
mod people;
mod pure;
mod unknown_keys;
