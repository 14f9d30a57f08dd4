#![allow(clippy::unwrap_used, clippy::panic)]

mod constraints;
mod formats;
mod layout;
mod merge;
mod references;
mod secrecy;

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::{AsArray, RecordBatch, RecordBatchReader};
use arrow::compute::concat_batches;
use memoranda::{Contract, datapackage};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::files;
use crate::identity::Desk;
use crate::keys;
use crate::keys::ring::Ring;
use crate::snapshot::{Part, Snapshot};

/// A home, and a folder of deliveries beside it.
pub(crate) struct Kit {
    pub(crate) folder: TempDir,
    pub(crate) vault: Vault,
    budget: Budget,
}

impl Kit {
    pub(crate) fn new() -> Kit {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::create(&folder.path().join("home"), b"log key").unwrap();
        Kit { folder, vault, budget: BUDGET }
    }

    /// Everything is set aside, and parts are small.
    pub(crate) fn tight() -> Kit {
        Kit { budget: Budget { rows: 2_000, keys: 500, bucket: 2_000, part: 100 }, ..Kit::new() }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Tables with the text of their CSV files.
    pub(crate) fn csv(&self, contract: &Contract, tables: &[(&str, &str)]) -> Result<Ingested, IngestError> {
        self.csv_as(Mode::Replace, contract, tables)
    }

    pub(crate) fn csv_as(
        &self,
        mode: Mode,
        contract: &Contract,
        tables: &[(&str, &str)],
    ) -> Result<Ingested, IngestError> {
        let inputs: Vec<Input> = tables
            .iter()
            .map(|(table, text)| Input {
                table: (*table).to_owned(),
                path: self.file(&format!("{table}.csv"), text),
            })
            .collect();
        self.ingest_as(mode, contract, &inputs)
    }

    pub(crate) fn ingest(&self, contract: &Contract, inputs: &[Input]) -> Result<Ingested, IngestError> {
        self.ingest_as(Mode::Replace, contract, inputs)
    }

    pub(crate) fn ingest_as(
        &self,
        mode: Mode,
        contract: &Contract,
        inputs: &[Input],
    ) -> Result<Ingested, IngestError> {
        ingest_within(&self.vault, contract, inputs, mode, &|_, _| {}, &|_| Ok(()), self.budget)
    }

    pub(crate) fn snapshot(&self, contract: &Contract) -> Snapshot {
        self.vault.snapshot(&contract.name).unwrap().unwrap()
    }

    pub(crate) fn read(&self, part: &Part) -> Result<RecordBatch, String> {
        read_with(&self.vault.keys.ring, part)
    }

    /// Where a part is.
    pub(crate) fn path(&self, part: &Part) -> PathBuf {
        self.home().join(&part.path)
    }

    pub(crate) fn rows(&self, contract: &Contract, table: &str) -> RecordBatch {
        let snapshot = self.snapshot(contract);
        let table = snapshot.table(table).unwrap();
        let parts: Vec<RecordBatch> = table.parts.iter().map(|part| self.read(part).unwrap()).collect();
        concat_batches(&table.schema, &parts).unwrap()
    }

    pub(crate) fn texts(&self, contract: &Contract, table: &str, column: &str) -> Vec<String> {
        let rows = self.rows(contract, table);
        let column = rows.column_by_name(column).unwrap().as_string::<i32>();
        let mut texts: Vec<String> = column.iter().map(|text| text.unwrap_or("NULL").to_owned()).collect();
        texts.sort();
        texts
    }
}

impl Kit {
    /// What is kept apart in a table: `__unit`, `__row`, names, by cohort.
    pub(crate) fn names(&self, contract: &Contract, table: &str) -> Vec<(String, String)> {
        let desk: Desk<'_> = self.vault.desk().unwrap();
        let mut names = Vec::new();
        for part in &self.snapshot(contract).table(table).unwrap().identity {
            let rows = read_with(&desk.ring, part).unwrap();
            let cohort = crate::identity::Cohort::of_file(&part.entry).name();
            let options = arrow::util::display::FormatOptions::default();
            let columns: Vec<_> = rows
                .columns()
                .iter()
                .map(|column| arrow::util::display::ArrayFormatter::try_new(column, &options).unwrap())
                .collect();
            for row in 0..rows.num_rows() {
                let values: Vec<String> =
                    columns.iter().map(|column| column.value(row).to_string()).collect();
                names.push((cohort.clone(), values.join(" ")));
            }
        }
        names.sort();
        names
    }
}

/// Every row of a part, if `ring` opens it.
pub(crate) fn read_with(ring: &Ring, part: &Part) -> Result<RecordBatch, String> {
    let reader = files::read(part, ring, None, 1 << 20).map_err(|error| error.to_string())?;
    let schema = reader.schema();
    let batches: Result<Vec<RecordBatch>, _> = reader.collect();
    concat_batches(&schema, &batches.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

pub(crate) fn report(result: Result<Ingested, IngestError>) -> Report {
    match result {
        Err(IngestError::Invalid(report)) => report,
        other => panic!("expected a report, not {other:?}"),
    }
}

pub(crate) fn contract(resources: Value) -> Contract {
    let package = json!({
        "name": "school", "version": "1.0.0", "title": "A school", "enclave:unit": "pupil", "resources": resources,
    });
    datapackage::parse(&package.to_string()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// One private table: a number that names the pupil, a name, a mark.
fn marks() -> Contract {
    contract(json!([{
        "name": "marks", "path": "marks.csv", "title": "Marks", "enclave:unitKey": "id", "enclave:maxRowsPerUnit": 3,
        "schema": { "primaryKey": ["id", "term"], "fields": [
            { "name": "id", "type": "integer", "enclave:role": "unit" },
            { "name": "name", "type": "string", "enclave:role": "identifier" },
            { "name": "term", "type": "integer", "constraints": { "minimum": 1, "maximum": 9 } },
            { "name": "mark", "type": "number", "constraints": { "minimum": 0, "maximum": 100 } },
            { "name": "note", "type": "string" },
        ] }
    }]))
}

pub(crate) fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}
