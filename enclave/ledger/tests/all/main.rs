//! The ledger from outside: what it keeps and refuses, what is found after tampering, and several processes at once.
#![allow(clippy::unwrap_used, clippy::panic)]

mod approvals;
mod common;
mod export;
mod keeping;
mod people;
mod pure;
mod receipts;
mod tampering;
mod together;
