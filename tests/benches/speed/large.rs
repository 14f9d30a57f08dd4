//! A large city's attendance: ingest from Parquet in the order of months, as offices deliver it; one question; one pupil
//! deleted. Whole processes, with their peak memory. ENCLAVE_LARGE_ROWS names the rows: 10 million, or 100 million for
//! a million pupils.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::process;
use crate::round;

const ROWS: u64 = 10_000_000;
const MONTHS: u64 = 100;
const BATCH: u64 = 65_536;

const CONTRACT: &str = r#"{ "name": "large", "version": "1.0.0", "title": "Attendance", "enclave:unit": "pupil",
  "resources": [
   { "name": "pupils", "title": "Pupils", "enclave:unitKey": "pupil", "enclave:maxRowsPerUnit": 1,
     "enclave:cohort": "leaves", "schema": { "primaryKey": ["pupil"], "fields": [
       { "name": "pupil", "type": "integer", "enclave:role": "unit" },
       { "name": "name", "type": "string", "enclave:role": "identifier" },
       { "name": "leaves", "type": "year", "constraints": { "required": true } } ] } },
   { "name": "attendance", "title": "Attendance", "enclave:unitKey": "pupil", "enclave:maxRowsPerUnit": 100,
     "schema": { "primaryKey": ["pupil", "month"],
       "foreignKeys": [ { "fields": "pupil", "reference": { "resource": "pupils", "fields": "pupil" } } ],
       "fields": [
       { "name": "pupil", "type": "integer", "enclave:role": "unit" },
       { "name": "month", "type": "integer", "constraints": { "minimum": 0, "maximum": 99 } },
       { "name": "school", "type": "string", "constraints": { "required": true, "enum": ["a", "b", "c", "d"] } },
       { "name": "absent", "type": "integer", "constraints": { "required": true, "minimum": 0, "maximum": 23 } },
       { "name": "ill", "type": "boolean", "constraints": { "required": true } } ] } } ] }"#;

const MEMORANDUM: &str = r#"id = "large"
contract = "large"
title = { en = "Bench" }
institution = "Bench"
purpose = { en = "Bench" }
use_case = "bench"
valid = { from = 2020-01-01, until = 2099-12-31 }
rules = "standard"
people = [ { id = "r1", name = "Bench", role = "researcher" } ]
items = [ { table = "attendance", columns = ["month", "school", "absent", "ill"] } ]
[allotment]
rho = 10.0
delta = 1e-6
default_rho = 0.01
"#;

pub(crate) fn run(_: &Runtime) -> Value {
    let rows = std::env::var("ENCLAVE_LARGE_ROWS").map_or(ROWS, |rows| rows.parse().unwrap());
    let pupils = rows.div_ceil(MONTHS);
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("large.json"), CONTRACT).unwrap();
    std::fs::write(path("large.toml"), MEMORANDUM).unwrap();
    write_pupils(Path::new(&path("pupils.parquet")), pupils);
    write_attendance(Path::new(&path("attendance.parquet")), pupils);

    let home = path("home");
    let enclave = |arguments: &[&str]| process::run(&[&["--home", home.as_str()], arguments].concat());
    enclave(&["init"]);
    enclave(&["contract", "publish", &path("large.json")]);
    enclave(&["memorandum", "sign", &path("large.toml")]);
    let inputs =
        [format!("pupils={}", path("pupils.parquet")), format!("attendance={}", path("attendance.parquet"))];
    let ingest = enclave(&["ingest", "large", &inputs[0], &inputs[1]]);
    for input in ["pupils.parquet", "attendance.parquet"] {
        std::fs::remove_file(path(input)).unwrap();
    }
    let question = "SELECT school, COUNT(*) AS n, AVG(absent) AS absent FROM attendance GROUP BY school";
    let ask = enclave(&["ask", "-m", "large", question]);
    let before = parts(Path::new(&home));
    let delete = enclave(&["records", "delete", "large", "--pupil", "4711"]);
    let anew = parts(Path::new(&home)).iter().filter(|part| !before.contains(part)).count();
    json!({
        "rows": rows,
        "ingest_rows_per_second": { "measured": round((rows + pupils) as f64 / ingest.seconds), "at_least": 500_000 },
        "ingest_peak_mb": { "measured": round(ingest.peak_mb), "at_most": 2_000 },
        "question_s": round(ask.seconds),
        "question_peak_mb": round(ask.peak_mb),
        "delete_s": { "measured": round(delete.seconds), "at_most": 5.0 },
        "delete_files_of_attributes": { "measured": anew, "at_most": 2 },
    })
}

fn parts(home: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![home.join("store")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                found.push(path);
            }
        }
    }
    found
}

fn write_pupils(path: &Path, pupils: u64) {
    write(path, pupils, |from, to| {
        let names = (from..to).map(|pupil| format!("Pupil {pupil}"));
        vec![
            ("pupil", integers(from..to)),
            ("name", Arc::new(StringArray::from_iter_values(names))),
            ("leaves", integers((from..to).map(|pupil| 2027 + pupil % 9))),
        ]
    });
}

fn write_attendance(path: &Path, pupils: u64) {
    write(path, pupils * MONTHS, |from, to| {
        let rows = || (from..to).map(|row| (row % pupils, row / pupils));
        // Any scatter will do.
        let scatter = |(pupil, month): (u64, u64)| (pupil * 2_654_435_761 + month * 40_503) >> 7;
        let schools = rows().map(|(pupil, _)| ["a", "b", "c", "d"][(pupil % 4) as usize]);
        let ill: BooleanArray = rows().map(|row| Some(scatter(row).is_multiple_of(3))).collect();
        vec![
            ("pupil", integers(rows().map(|(pupil, _)| pupil))),
            ("month", integers(rows().map(|(_, month)| month))),
            ("school", Arc::new(StringArray::from_iter_values(schools))),
            ("absent", integers(rows().map(|row| scatter(row) % 24))),
            ("ill", Arc::new(ill)),
        ]
    });
}

fn integers(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.map(|value| value as i64)))
}

fn write(path: &Path, rows: u64, columns: impl Fn(u64, u64) -> Vec<(&'static str, ArrayRef)>) {
    let batch = |from: u64| RecordBatch::try_from_iter(columns(from, rows.min(from + BATCH))).unwrap();
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch(0).schema(), Some(properties)).unwrap();
    for from in (0..rows).step_by(BATCH as usize) {
        writer.write(&batch(from)).unwrap();
    }
    writer.close().unwrap();
}
