//! The ledger from outside: what it keeps and refuses, what is found after tampering, and several processes at once.
#![allow(clippy::unwrap_used, clippy::panic)]

mod anchor;
mod approvals;
mod common;
mod export;
mod keeping;
mod mutations;
mod people;
mod power;
mod prune;
mod pure;
mod python;
mod receipts;
mod tampering;
mod together;
mod witness;
