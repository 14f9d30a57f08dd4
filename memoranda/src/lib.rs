//! What was agreed: published data formats ([`Contract`]) and agreements with institutions ([`Memorandum`]),
//! parsed from their files into values that hold only what is valid.
//!
//! Deliberately absent: files, clocks, data, SQL. Parsing takes text and gives a value or every mistake in it.
//!
//! In reading order: [`contract`] (tables, columns, lineage) · [`datapackage`] (Data Package v2 → contract) ·
//! [`compatibility`] (what a new version may change) · [`memorandum`] (people, purpose, items, term, allotment).

pub mod compatibility;
pub mod contract;
pub mod datapackage;
pub mod memorandum;

mod mistake;
mod reader;

pub use compatibility::{VersionRefusal, check_version};
pub use contract::{Bilingual, Column, Contract, ForeignKey, Kind, Lineage, Role, Table, Tier};
pub use memorandum::{Allotment, Difference, Items, Memorandum, Person, PersonRole, PureAllotment};
pub use mistake::Mistake;
