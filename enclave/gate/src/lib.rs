//! Ask: the whole way of one question on one screen, and the only door to pupils' records. What leaves is an
//! [`Answered`] disclosure or a [`Failure`] without a data value in it.
//!
//! Deliberately absent: command lines, HTTP, rows. The acts of steward and custodian (publish, ingest, sign) pass
//! here too, so that each is logged in the order in which it took effect.
//!
//! In reading order: [`ask`] (the way) · [`request`] (what is asked for) · [`parameters`] (constants of prepared statements) · [`price`] (what it costs) · [`answered`]
//! (what is told) · `explain` (why these bounds) · [`history`] (what was asked) · [`encode`] (JSON, CSV, Arrow, Parquet) · [`receipt`] (what is kept beside) · [`enclave`] (one home: vault, ledger, clock) · `papers` (documents, read once) ·
//! [`acts`] (publish, install) · [`records`] (ingest, find, delete, check) · [`keys`] (rotate, destroy, recover) · [`backup`] · `mask` (SQL without its constants) ·
//! [`approvals`] (what waits for the board) · [`permissions`] (role × action) · [`people`] (who acts) ·
//! [`memoranda`] (sign, amend, review) · [`factor`] (second factors) · [`logins`] (passwords, sessions, tokens, invitations) · [`passkeys`] (WebAuthn as second factor) ·
//! [`review`] (the board's month) · [`register`] (the public's site) · [`collusion`] (what all releases tell together).

pub mod acts;
pub mod answered;
pub mod approvals;
pub mod ask;
pub mod backup;
mod bilingual;
pub mod collusion;
pub mod enclave;
pub mod encode;
mod explain;
pub mod factor;
pub mod history;
pub mod keys;
pub mod logins;
mod mask;
pub mod memoranda;
mod papers;
pub mod parameters;
pub mod passkeys;
pub mod people;
pub mod permissions;
pub mod price;
pub mod receipt;
pub mod records;
pub mod register;
pub mod request;
pub mod review;
pub mod witness;

pub use acts::ActError;
pub use answered::Answered;
pub use approvals::Waiting;
pub use ask::Failure;
pub use enclave::{Enclave, OpenError};
pub use keys::{KeysError, Rotate};
pub use people::{Actor, FOUNDER};
pub use permissions::Action;
pub use request::{Price, Request};

pub use ledger::{
    AmendError, Approval, CaseState, Cast, DocumentKind, Leaf, LedgerError, PeopleError, Registered, Vote,
    VoteError,
};

pub use disclosure_rules::{Account, Epsilon, Rho};
pub use queries::emit::data_type;
pub use queries::{Options, Refusal, Rule};
