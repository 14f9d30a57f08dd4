//! Every publish, signature, ingest, question, refusal and release is a leaf of one append-only RFC 6962 Merkle
//! tree, written in the same transaction as the accounts that it changes: the log and the balances cannot differ.
//!
//! Deliberately absent: rows of pupils, SQL, prices. Callers say what a leaf states; nothing about a pupil is ever
//! among it.
//!
//! In reading order: `tree` (hashes, roots, proofs) · `canonical` (the bytes of a leaf) · `base64` ·
//! `key` (Ed25519, verifier keys) · `checkpoint` (signed roots) · `store` (one SQLite file) · `batch` (one flush for many) · `log`
//! (leaves) · `documents` (contracts, rule sets, memoranda) · `accounts` (debit before read) ·
//! `disclosures` (log before answer; replay) · `released` · `approvals` (what waits for the board) ·
//! `people` (the register) · `factor` (second factors) · `logins` (names, passwords, secrets handed out) · `passkeys` (WebAuthn, sealed) · `audit` (the ledger against itself) ·
//! `statement` (charge by charge) · `receipt` (what a researcher keeps) · `recompute` (accounts out of an export) · `tiles` (C2SP layout) ·
//! `nodes` (a tree in memory) · `proof` (proofs as texts) · `witness` (who cosigns) · `prune` (retention) · `anchor` (against
//! an older copy of the file) · `derived` (proofs and cosigned checkpoints of an export) ·
//! `export` (the folder for the board) · `verify` (which trusts nothing but that folder and a key).

mod accounts;
mod anchor;
mod announced;
mod approvals;
mod audit;
mod base64;
mod batch;
mod canonical;
mod checkpoint;
mod derived;
mod disclosures;
mod documents;
mod export;
mod factor;
mod key;
mod log;
mod logins;
mod nodes;
mod passkeys;
mod people;
mod proof;
mod prune;
mod receipt;
mod recompute;
mod released;
mod stamp;
mod statement;
mod store;
mod tiles;
mod tree;
mod verify;
mod witness;

pub use accounts::{AccountKind, DebitError, Question};
pub use approvals::{Approval, Case, CaseState, Cast, Vote, VoteError};
pub use audit::{Discrepancy, Recomputed};
pub use disclosures::{Disclosure, ReplayKey};
pub use documents::{AmendError, Document, DocumentKind};
pub use export::{ExportError, Exported};
pub use factor::{CodeUse, Factor, LOCKED_MINUTES, WRONG_CODES};
pub use key::{KeyError, LogKey, PublicKey};
pub use log::{Event, Leaf, LeafKind, LogPosition};
pub use logins::{Joining, LogIn, LogInError, NewSecret, Secret, SecretKind};
pub use passkeys::{KeptPasskey, NewPasskey, PASSKEYS, PasskeyAdded, PasskeyRemoved};
pub use people::{DORMANT_DAYS, PeopleError, PersonChange, Registered, check_roles};
pub use proof::{PastError, ProofError, verify_tlog_proof};
pub use prune::{POLICY_BYTES_MAX, PruneError, Pruned};
pub use receipt::{Receipt, ReceiptError, VerifiedReceipt};
pub use recompute::{Counted, Recount, RecountError, recount};
pub use stamp::Stamp;
pub use statement::{Entry, Forecast, forecast};
pub use store::{Checkpointed, Ledger, LedgerError};
pub use tree::{Hash, verify_consistency, verify_inclusion};
pub use verify::{Fault, Verified, VerifyError, exported_key, verify_export, verify_export_since};
pub use witness::{Witness, WitnessError, WitnessKey, WitnessPublic, witness_export};
