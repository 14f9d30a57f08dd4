//! Journeys: what people do with the binary `enclave`, from an empty folder to an answer, and what they are told
//! when something is wrong. One module a story; every command is a process of its own, as it is typed.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod access;
mod board;
mod clear;
mod clients;
mod crash;
mod demo;
mod governance;
mod keys;
mod limits;
mod log;
mod mistakes;
mod pure;
mod receipts;
mod records;
mod review;
mod server;
mod star;
#[path = "../storage/mod.rs"]
mod storage;
mod support;
mod upkeep;
mod witness;
