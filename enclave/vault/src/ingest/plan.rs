//! What an ingest will do, decided before a row is read.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use memoranda::{Contract, Lineage, Table};
use serde_json::json;

use super::buckets::MOST_BUCKETS;
use super::{Budget, IngestError, Input, Mode, csv_input, parquet_input};
use crate::durable::At;
use crate::snapshot::{Snapshot, SnapshotTable, sha256_hex};

/// Rows that are worth a part, and so a core, of their own; up to four.
const WORTH_A_CORE: u64 = 131_072;
const MOST_PARTITIONS: u64 = 256;

/// The decision.
pub(super) struct Plan<'a> {
    /// Tables to read; whoever names the pupil for another comes before it.
    pub(super) reads: Vec<Read<'a>>,
    /// Tables of the snapshot in force that stay as they are.
    pub(super) carried: Vec<&'a SnapshotTable>,
    /// What is done with the rows that a table has.
    pub(super) mode: Mode,
    /// Parts of every private table.
    pub(super) partitions: u32,
}

/// One file to read.
pub(super) struct Read<'a> {
    pub(super) table: &'a Table,
    pub(super) path: &'a Path,
    pub(super) format: Format,
    /// Its place among the inputs.
    pub(super) file: usize,
    /// Length of the file.
    pub(super) size: u64,
    /// Buckets that let one be sorted in memory.
    pub(super) buckets: u32,
    /// The table in the store that its rows are added to.
    pub(super) base: Option<&'a SnapshotTable>,
}

/// Format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Parquet,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        contract: &'a Contract,
        inputs: &'a [Input],
        mode: Mode,
        current: Option<&'a Snapshot>,
        budget: &Budget,
    ) -> Result<Plan<'a>, IngestError> {
        if inputs.is_empty() {
            return Err(IngestError::NothingGiven);
        }
        let mut given = HashSet::new();
        let mut reads = Vec::with_capacity(inputs.len());
        for (file, input) in inputs.iter().enumerate() {
            let Some(table) = contract.table(&input.table) else {
                let (contract, table) = (contract.name.clone(), input.table.clone());
                return Err(IngestError::UnknownTable { contract, table });
            };
            if !given.insert(table.name.as_str()) {
                return Err(IngestError::GivenTwice(table.name.clone()));
            }
            if mode == Mode::Upsert && table.primary_key.is_empty() {
                return Err(IngestError::NoKey(table.name.clone()));
            }
            reads.push((table, file, &input.path));
        }
        let carried = carried(contract, current, &given)?;
        for (table, ..) in &reads {
            for to in table.foreign_keys.iter().map(|key| key.table.as_str()) {
                if !given.contains(to) && !carried.iter().any(|carried| carried.name == to) {
                    let (table, to) = (table.name.clone(), to.to_owned());
                    return Err(IngestError::MissingTable { table, to });
                }
            }
        }

        let mut measured = Vec::with_capacity(reads.len());
        let mut most_rows = 0;
        for (table, file, path) in reads {
            let format = format_of(path)?;
            let size = path.metadata().at(path)?.len();
            let (rows, bytes) = match format {
                Format::Csv => (size / csv_input::line_bytes(path)?, size),
                Format::Parquet => {
                    let extent = parquet_input::extent(path)?;
                    (extent.rows, extent.bytes)
                }
            };
            if table.is_private() {
                most_rows = most_rows.max(rows);
            }
            let base = base(table, mode, current)?;
            measured.push((Read { table, path, format, file, size, buckets: 1, base }, bytes));
        }
        // Parts of the same number hold the same pupils in all tables, so a table that stays fixes the number.
        let bases = measured.iter().filter_map(|(read, _)| read.base);
        let stays = bases.chain(carried.iter().copied()).any(|table| table.private);
        let partitions = match current.filter(|_| stays) {
            Some(current) => current.partitions,
            None => parts_for(most_rows, budget.part),
        };
        let mut reads: Vec<Read<'a>> = measured
            .into_iter()
            .map(|(mut read, bytes)| {
                let wanted =
                    bytes.div_ceil(budget.bucket).next_power_of_two().min(u64::from(MOST_BUCKETS)) as u32;
                read.buckets = if read.table.is_private() { wanted.max(partitions) } else { 1 };
                read
            })
            .collect();
        // Whoever tells the cohorts comes before those who are filed by them.
        reads.sort_by_key(|read| (distance(contract, read.table), read.table.cohort.is_none()));
        Ok(Plan { reads, carried, mode, partitions })
    }

    /// A plan that reads nothing.
    pub(super) fn nothing(snapshot: &'a Snapshot) -> Plan<'a> {
        let carried = snapshot.tables.iter().collect();
        Plan { reads: Vec::new(), carried, mode: Mode::Replace, partitions: snapshot.partitions }
    }

    /// The table of that name, if it is read.
    pub(super) fn read(&self, table: &str) -> Option<&Read<'a>> {
        self.reads.iter().find(|read| read.table.name == table)
    }

    /// Whether the table that tells the cohorts is read.
    pub(super) fn tells_cohorts(&self) -> bool {
        self.reads.iter().any(|read| read.table.cohort.is_some())
    }

    /// The table of that name in the store, if it is carried over or added to.
    pub(super) fn stored(&self, table: &str) -> Option<&'a SnapshotTable> {
        let bases = self.reads.iter().filter_map(|read| read.base);
        self.carried.iter().copied().chain(bases).find(|stored| stored.name == table)
    }
}

/// The parts that suit a table of so many rows.
pub(super) fn parts_for(rows: u64, part_rows: u64) -> u32 {
    let parts = rows.div_ceil(part_rows).max(rows.div_ceil(WORTH_A_CORE).min(4));
    parts.next_power_of_two().clamp(1, MOST_PARTITIONS) as u32
}

/// The table in the store that rows are added to.
fn base<'a>(
    table: &Table,
    mode: Mode,
    current: Option<&'a Snapshot>,
) -> Result<Option<&'a SnapshotTable>, IngestError> {
    let stored = current.and_then(|current| current.table(&table.name)).filter(|_| mode != Mode::Replace);
    match stored {
        Some(stored) if stored.fingerprint != fingerprint(table) => {
            Err(IngestError::Outdated(table.name.clone()))
        }
        stored => Ok(stored),
    }
}

fn carried<'a>(
    contract: &Contract,
    current: Option<&'a Snapshot>,
    given: &HashSet<&str>,
) -> Result<Vec<&'a SnapshotTable>, IngestError> {
    let mut carried = Vec::new();
    for stored in current.into_iter().flat_map(|current| &current.tables) {
        let Some(table) = contract.table(&stored.name).filter(|table| !given.contains(table.name.as_str()))
        else {
            continue;
        };
        if stored.fingerprint != fingerprint(table) {
            return Err(IngestError::Outdated(table.name.clone()));
        }
        carried.push(stored);
    }
    Ok(carried)
}

/// Steps to the table that names the pupil.
fn distance(contract: &Contract, table: &Table) -> usize {
    let mut table = table;
    // The contract has no cycles of lineage; the bound is for a contract that was not parsed.
    for steps in 0..contract.tables.len() {
        match &table.lineage {
            Lineage::Via(to) => match contract.table(to) {
                Some(to) => table = to,
                None => return steps,
            },
            _ => return steps,
        }
    }
    contract.tables.len()
}

/// Stands for everything that ingest enforces for a table, so that rows which were checked against something
/// else are not taken for checked.
pub(super) fn fingerprint(table: &Table) -> String {
    let columns = table.columns.iter().map(|column| {
        json!([
            column.name,
            format!("{:?} {:?}", column.kind, column.role),
            [column.required, column.unique],
            [column.minimum, column.maximum],
            column.codes,
            column.pattern,
            [column.min_length, column.max_length],
        ])
    });
    let keys = table.foreign_keys.iter().map(|key| json!([key.columns, key.table, key.references]));
    let enforced = json!({
        "lineage": match &table.lineage {
            Lineage::Public => json!("public"),
            Lineage::Column(column) => json!(["column", column]),
            Lineage::Via(table) => json!(["via", table]),
        },
        "rows": table.max_rows_per_unit,
        "primary": table.primary_key,
        "foreign": keys.collect::<Vec<_>>(),
        "columns": columns.collect::<Vec<_>>(),
    });
    sha256_hex(enforced.to_string().as_bytes())
}

fn format_of(path: &Path) -> Result<Format, IngestError> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("csv") => return Ok(Format::Csv),
        Some("parquet") => return Ok(Format::Parquet),
        _ => {}
    }
    let mut magic = [0; 4];
    let length = File::open(path).and_then(|mut file| file.read(&mut magic)).at(path)?;
    Ok(if &magic[..length] == b"PAR1" { Format::Parquet } else { Format::Csv })
}
