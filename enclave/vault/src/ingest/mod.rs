//! Ingest: files of records in, a new snapshot out, or nothing. Every constraint of the contract is enforced;
//! the unit column becomes a pseudonym, identifiers go to their own files under their own key, attributes to
//! encrypted Parquet, ordered by pupil.
//!
//! In reading order: `plan` (which tables are read, carried over, refused) · `csv_input`, `parquet_input`
//! (files → values) · `cells`, `rows` (values → checked chunks) · `table` (chunks → pseudonyms, keys,
//! buckets) · `buckets` (bounded memory) · `references` (keys across tables) · `merge` (rows that come to those in the store) · `write` (buckets → files) ·
//! `staging` (one at a time, and all or nothing) · `report` (what is wrong).

mod buckets;
mod carried;
mod cells;
mod csv_input;
mod merge;
mod parquet_input;
mod plan;
mod references;
mod report;
mod rows;
pub(crate) mod staging;
pub(crate) mod stored;
mod table;
mod write;

use std::cell::RefCell;
use std::path::PathBuf;

use disclosure_rules::value::Day;
use memoranda::{Contract, Kind};

pub use report::{Mistake, Report};

use crate::durable::FileError;
use crate::identity::{Cohorts, Desk, declaring, is_named};
use crate::snapshot::{self, Manifest};
use crate::vault::{Vault, VaultError};
use plan::Plan;
use report::Reporter;
use staging::Staging;

/// One file for one table. The format follows from `.csv` or `.parquet`, else from the first bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The table in the contract.
    pub table: String,
    /// The file.
    pub path: PathBuf,
}

/// What is done with the rows that a table has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// The file takes their place.
    #[default]
    Replace,
    /// The file's rows come to them; a key that is there already is a mistake.
    Append,
    /// The file's rows come to them, and take the place of those with the same primary key.
    Upsert,
}

/// Called with the bytes read so far, and the bytes to read in all.
pub type Progress<'a> = &'a dyn Fn(u64, u64);

/// Called when everything is durable, just before the new snapshot is put in force; an error leaves the old one
/// in force. So a snapshot that questions read is always one that was announced, whenever a crash comes.
pub type Announce<'a> = &'a dyn Fn(&Ingested) -> Result<(), String>;

/// The snapshot that is now in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingested {
    /// Its id.
    pub snapshot_id: String,
    /// The tables that were read, with their numbers of rows.
    pub tables: Vec<(String, u64)>,
    /// SHA-256 of the sealed manifest, for the log.
    pub manifest_sha256: String,
}

/// Why nothing was ingested.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The files break the contract.
    #[error("{0}")]
    Invalid(Report),
    /// No file was given.
    #[error("no file to ingest; name at least one TABLE=FILE")]
    NothingGiven,
    /// Not a table of the contract.
    #[error("the contract `{contract}` has no table `{table}`")]
    UnknownTable {
        /// The contract.
        contract: String,
        /// The table.
        table: String,
    },
    /// A table was given two files.
    #[error("two files are given for the table `{0}`")]
    GivenTwice(String),
    /// A table refers to one that is nowhere.
    #[error(
        "the table `{table}` refers to `{to}`, which is neither given nor in the store; ingest them together"
    )]
    MissingTable {
        /// The table that is given.
        table: String,
        /// The one it refers to.
        to: String,
    },
    /// Rows of a table without a primary key cannot be told apart.
    #[error(
        "the table `{0}` has no primary key, by which rows would be replaced; append to it, or ingest it whole"
    )]
    NoKey(String),
    /// A table in the store was checked against another definition.
    #[error("the table `{0}` in the store was checked against another definition of it; ingest it again")]
    Outdated(String),
    /// A table in the store refers to one that is given, in a way that only its own file can answer or that no
    /// longer holds.
    #[error("the table `{table}` in the store refers to `{to}`, and {reason}; ingest them together")]
    Unsatisfied {
        /// The table in the store.
        table: String,
        /// The one it refers to.
        to: String,
        /// Why not.
        reason: &'static str,
    },
    /// Another ingest of the same contract is running.
    #[error("another ingest of `{0}` is running")]
    Busy(String),
    /// Not a file of the format.
    #[error("`{}` cannot be read: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The snapshot could not be announced, so that it was not put in force.
    #[error("the new snapshot was not put in force: {0}")]
    NotAnnounced(String),
    /// A columnar operation failed: a fault of this program.
    #[error("ingest failed: {0}")]
    Engine(String),
}

/// What may be held in memory before it is sealed and set aside.
#[derive(Debug, Clone, Copy)]
struct Budget {
    /// Bytes of rows.
    rows: usize,
    /// Bytes of keys, for each key and reference.
    keys: usize,
    /// Bytes of input for one bucket.
    bucket: u64,
    /// Rows for one part.
    part: u64,
}

const BUDGET: Budget = Budget { rows: 32 << 20, keys: 8 << 20, bucket: 24 << 20, part: 1_000_000 };

/// The door; see [`Vault::ingest`].
pub(crate) fn ingest(
    vault: &Vault,
    contract: &Contract,
    inputs: &[Input],
    mode: Mode,
    progress: Progress<'_>,
    announce: Announce<'_>,
) -> Result<Ingested, IngestError> {
    ingest_within(vault, contract, inputs, mode, progress, announce, BUDGET)
}

fn ingest_within(
    vault: &Vault,
    contract: &Contract,
    inputs: &[Input],
    mode: Mode,
    progress: Progress<'_>,
    announce: Announce<'_>,
    budget: Budget,
) -> Result<Ingested, IngestError> {
    let _lock = staging::lock(&vault.home, &contract.name)?;
    let current = match snapshot::current(&vault.storage, &vault.keys, &contract.name) {
        // What is damaged is replaced as a whole.
        Err(VaultError::Damaged(_)) if mode == Mode::Replace && names_every_table(contract, inputs) => None,
        current => current?,
    };
    staging::clean(vault, &contract.name)?;
    let plan = Plan::new(contract, inputs, mode, current.as_ref(), &budget)?;
    let report = Reporter::new(inputs.iter().map(|input| input.path.display().to_string()).collect());
    let staging = Staging::create(vault, &contract.name)?;
    let desk = Desk::open(vault)?;
    let cohorts = RefCell::new(known_cohorts(&desk, contract, &plan)?);
    let (desk, plan, staging, report) = (&desk, &plan, &staging, &report);
    let job = Job { vault, desk, cohorts: &cohorts, contract, plan, staging, report, budget };

    let mut read = table::read_all(&job, progress)?;
    table::check_references(&job, &read)?;
    if let Some(report) = report.report() {
        return Err(IngestError::Invalid(report));
    }

    let mut manifest =
        Manifest::new(&contract.name, &contract.version.to_string(), staging.id(), staging.number());
    manifest.partitions = plan.partitions;
    manifest.kept = current.as_ref().map(|current| current.kept.clone()).unwrap_or_default();
    let mut tables = Vec::new();
    for table in &contract.tables {
        let mut entry = if let Some(done) = read.remove(&table.name) {
            tables.push((table.name.clone(), done.entry.rows));
            done.entry
        } else if let Some(stored) = plan.carried.iter().find(|carried| carried.name == table.name) {
            carried::entry(stored, contract)
        } else {
            continue;
        };
        if plan.tells_cohorts() && plan.stored(&table.name).is_some() && is_named(table) {
            entry.identity = carried::rehomed(&job, table, &entry)?;
        }
        manifest.tables.push(entry);
    }
    let snapshot_id = manifest.id.clone();
    let ingested = RefCell::new(Ingested { snapshot_id, tables, manifest_sha256: String::new() });
    let in_force = staging.commit(&manifest, |digest| {
        ingested.borrow_mut().manifest_sha256 = digest;
        announce(&ingested.borrow()).map_err(IngestError::NotAnnounced)
    })?;
    if !in_force {
        // Another home with the same store was quicker.
        return Err(IngestError::Busy(contract.name.clone()));
    }
    if plan.tells_cohorts() {
        // Files of identities that were written before their pupils had all moved. What stays, the next ingest removes.
        let _ = staging::clean(vault, &contract.name);
    }
    Ok(ingested.into_inner())
}

fn names_every_table(contract: &Contract, inputs: &[Input]) -> bool {
    contract.tables.iter().all(|table| inputs.iter().any(|input| input.table == table.name))
}

/// What the store says of cohorts, where somebody is to be filed by it.
fn known_cohorts(desk: &Desk<'_>, contract: &Contract, plan: &Plan<'_>) -> Result<Cohorts, IngestError> {
    let stored = declaring(contract).and_then(|(table, _)| plan.stored(&table.name));
    match stored.filter(|_| plan.tells_cohorts() || plan.reads.iter().any(|read| is_named(read.table))) {
        Some(stored) => Ok(Cohorts::stored(desk, contract, stored)?),
        None => Ok(Cohorts::empty(contract)),
    }
}

/// The part that a pupil is in, of so many.
pub(crate) fn part_of(unit: &[u8; 16], partitions: u32) -> usize {
    buckets::bucket_of(unit, partitions.trailing_zeros())
}

/// The parts that suit a table of so many rows: a power of two.
pub(crate) fn parts_for(rows: u64) -> u32 {
    plan::parts_for(rows, BUDGET.part)
}

/// The text over which the pseudonym of a pupil's number is made; `None` where it is no such number.
pub(crate) fn unit_text(kind: Kind, number: &str) -> Option<String> {
    let number = number.trim();
    match kind {
        Kind::Integer => cells::parse_integer(number).map(|number| number.to_string()),
        Kind::Text => Some(number.to_owned()).filter(|number| !number.is_empty()),
        Kind::Date => Day::parse(number).map(|day| day.to_string()),
        Kind::Boolean | Kind::Number | Kind::DateTime => None,
    }
}

/// One ingest, as its steps see it.
struct Job<'a> {
    vault: &'a Vault,
    desk: &'a Desk<'a>,
    cohorts: &'a RefCell<Cohorts>,
    contract: &'a Contract,
    plan: &'a Plan<'a>,
    staging: &'a Staging,
    report: &'a Reporter,
    budget: Budget,
}

/// Arrow and Parquet fail here only on our own arrays and files, so their messages hold no values of a file.
fn engine(error: impl std::fmt::Display) -> IngestError {
    IngestError::Engine(error.to_string())
}

#[cfg(test)]
pub(crate) mod tests;
