//! TPC-H, the customer as the unit: private questions over 6 million rows against the same SQL in plain DataFusion
//! over plain Parquet, in turn; and one over ten times as many.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use tpchgen::generators::{CustomerGenerator, LineItemGenerator, OrderGenerator};
use tpchgen_arrow::{CustomerArrow, LineItemArrow, OrderArrow};
use vault::Input;

use crate::home::{self, Home, Paper, Plain, number, rho};
use crate::{median, process, round};

/// A question, and the most that it may take as a multiple of the plain plan's time.
struct Question {
    name: &'static str,
    sql: &'static str,
    at_most: f64,
}

const QUESTIONS: [Question; 3] = [
    // For comparison with the scan alone: reads the pupil too, clamps, rounds and bounds.
    Question { name: "sum_of_6_columns", sql: SUMS, at_most: 2.0 },
    Question { name: "pricing_summary", sql: SUMMARY, at_most: 1.3 },
    Question {
        name: "sum_by_nation",
        sql: "SELECT c_nationkey, SUM(l_quantity) AS quantity FROM customer JOIN orders ON c_custkey = o_custkey \
              JOIN lineitem ON o_orderkey = l_orderkey GROUP BY c_nationkey",
        at_most: 1.3,
    },
];

const SUMS: &str = "SELECT SUM(l_linenumber) AS numbers, SUM(l_quantity) AS quantity, SUM(l_extendedprice) AS price, \
    SUM(l_discount) AS discount, SUM(l_tax) AS tax, SUM(l_suppkey) AS suppliers FROM lineitem";

const SUMMARY: &str = "SELECT l_returnflag, l_linestatus, COUNT(*) AS n, SUM(l_quantity) AS quantity, \
    AVG(l_extendedprice) AS price FROM lineitem GROUP BY l_returnflag, l_linestatus";

/// Rounds of which the median counts, after one that warms up.
const ROUNDS: usize = 9;

const CONTRACT: &str = r#"{ "name": "tpch", "version": "1.0.0", "title": "TPC-H", "enclave:unit": "customer",
  "enclave:poolRho": 100000.0,
  "resources": [
   { "name": "customer", "path": "customer.parquet", "title": "Customers", "enclave:unitKey": "c_custkey",
     "enclave:maxRowsPerUnit": 1,
     "schema": { "primaryKey": ["c_custkey"], "fields": [
       { "name": "c_custkey", "type": "integer", "enclave:role": "unit" },
       { "name": "c_nationkey", "type": "integer",
         "constraints": { "required": true, "minimum": 0, "maximum": 24 } } ] } },
   { "name": "orders", "path": "orders.parquet", "title": "Orders", "enclave:unitKey": "o_custkey",
     "enclave:maxRowsPerUnit": 60,
     "schema": { "primaryKey": ["o_orderkey"], "fields": [
       { "name": "o_orderkey", "type": "integer" },
       { "name": "o_custkey", "type": "integer", "enclave:role": "unit" } ] } },
   { "name": "lineitem", "path": "lineitem.parquet", "title": "Line items", "enclave:unitKey": { "via": "orders" },
     "enclave:maxRowsPerUnit": 300,
     "schema": { "primaryKey": ["l_orderkey", "l_linenumber"],
       "foreignKeys": [ { "fields": ["l_orderkey"], "reference": { "resource": "orders", "fields": ["o_orderkey"] } } ],
       "fields": [
       { "name": "l_orderkey", "type": "integer", "constraints": { "required": true } },
       { "name": "l_linenumber", "type": "integer",
         "constraints": { "required": true, "minimum": 1, "maximum": 7 } },
       { "name": "l_suppkey", "type": "integer",
         "constraints": { "required": true, "minimum": 1, "maximum": 100000 } },
       { "name": "l_returnflag", "type": "string", "constraints": { "required": true, "enum": ["A", "N", "R"] } },
       { "name": "l_linestatus", "type": "string", "constraints": { "required": true, "enum": ["F", "O"] } },
       { "name": "l_quantity", "type": "number", "enclave:step": 1,
         "constraints": { "required": true, "minimum": 1, "maximum": 50 } },
       { "name": "l_extendedprice", "type": "number", "enclave:step": 0.01,
         "constraints": { "required": true, "minimum": 0, "maximum": 105000 } },
       { "name": "l_discount", "type": "number", "enclave:step": 0.01,
         "constraints": { "required": true, "minimum": 0, "maximum": 0.1 } },
       { "name": "l_tax", "type": "number", "enclave:step": 0.01,
         "constraints": { "required": true, "minimum": 0, "maximum": 0.08 } } ] } } ] }"#;

/// Scale factor 1: each question, private and plain in turn.
pub(crate) fn run(runtime: &Runtime) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let (inputs, rows) = generate(dir.path(), 1.0);
    let path = dir.path().join("home");
    let home = Home::new(&path, CONTRACT, &inputs, &Paper::default());
    let plain = Plain::new(runtime, &inputs);
    let mut report = Map::new();
    report.insert("rows".to_owned(), json!(rows));
    report.insert("ingest_rows_per_second".to_owned(), json!(round(rows as f64 / home.ingest_seconds)));
    report.insert("encrypted_scan".to_owned(), scan(runtime, &home, &plain));
    for Question { name, sql, at_most } in QUESTIONS {
        let mut seconds = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let plain = plain.ask(runtime, sql).1;
            let private = home.ask(runtime, sql, rho(0.5)).unwrap().seconds;
            if round > 0 {
                seconds.0.push(private);
                seconds.1.push(plain);
            }
        }
        let (private, plain) = (median(seconds.0), median(seconds.1));
        let mut found = json!({
            "private_s": round(private),
            "plain_s": round(plain),
            "ratio": { "measured": round(private / plain), "at_most": at_most },
        });
        found["private_plan"] = json!(home.physical_plan(runtime, sql));
        report.insert(name.to_owned(), found);
    }
    Value::Object(report)
}

/// Scan and sum of six columns by plain DataFusion as it comes: of the vault's encrypted files, and of plain ones.
fn scan(runtime: &Runtime, home: &Home, plain: &Plain) -> Value {
    let encrypted = home.encrypted(runtime, "lineitem");
    let (mut sealed, mut open) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (sums, open_seconds) = plain.ask(runtime, SUMS);
        let (same, sealed_seconds) = encrypted.ask(runtime, SUMS);
        assert!((number(&sums) - number(&same)).abs() < 1.0);
        if round > 0 {
            sealed.push(sealed_seconds);
            open.push(open_seconds);
        }
    }
    let (sealed, open) = (median(sealed), median(open));
    json!({
        "encrypted_s": round(sealed),
        "plain_s": round(open),
        "ratio": { "measured": round(sealed / open), "at_most": 1.15 },
    })
}

/// Ten times the records: time and peak memory of whole processes that ask the same.
pub(crate) fn growth(_: &Runtime) -> Value {
    let [one, ten] = [1.0, 10.0].map(|scale| {
        let dir = tempfile::tempdir().unwrap();
        let (inputs, _) = generate(dir.path(), scale);
        let path = dir.path().join("home");
        drop(Home::new(&path, CONTRACT, &inputs, &Paper::default()));
        for input in &inputs {
            std::fs::remove_file(&input.path).unwrap();
        }
        let home = path.to_str().unwrap();
        let ask =
            ["--home", home, "ask", "-m", "bench", "--fresh", "--rho", "0.1", "--format", "json", SUMMARY];
        let runs: Vec<_> = (0..=ROUNDS).map(|_| process::run(&ask)).skip(1).collect();
        let seconds = median(runs.iter().map(|run| run.seconds).collect());
        (seconds, median(runs.iter().map(|run| run.peak_mb).collect()))
    });
    json!({
        "sf1": { "s": round(one.0), "peak_mb": round(one.1) },
        "sf10": { "s": round(ten.0), "peak_mb": round(ten.1) },
        "time_ratio": { "measured": round(ten.0 / one.0), "at_most": 10.5 },
        "memory_ratio": { "measured": round(ten.1 / one.1), "at_most": 1.2 },
    })
}

/// The tables at a scale, with the number of line items.
fn generate(dir: &Path, scale: f64) -> (Vec<Input>, usize) {
    let keys = [("c_custkey", DataType::Int64), ("c_nationkey", DataType::Int64)];
    let (customer, _) =
        write(dir, "customer", &keys, CustomerArrow::new(CustomerGenerator::new(scale, 1, 1)));
    let keys = [("o_orderkey", DataType::Int64), ("o_custkey", DataType::Int64)];
    let (orders, _) = write(dir, "orders", &keys, OrderArrow::new(OrderGenerator::new(scale, 1, 1)));
    let columns = [
        ("l_orderkey", DataType::Int64),
        ("l_linenumber", DataType::Int64),
        ("l_suppkey", DataType::Int64),
        ("l_returnflag", DataType::Utf8),
        ("l_linestatus", DataType::Utf8),
        ("l_quantity", DataType::Float64),
        ("l_extendedprice", DataType::Float64),
        ("l_discount", DataType::Float64),
        ("l_tax", DataType::Float64),
    ];
    let items = LineItemArrow::new(LineItemGenerator::new(scale, 1, 1));
    let (lineitem, rows) = write(dir, "lineitem", &columns, items);
    (vec![customer, orders, lineitem], rows)
}

/// Writes some columns of a generator as a table's Parquet file; gives it with the number of rows.
pub(crate) fn write(
    dir: &Path,
    table: &str,
    columns: &[(&str, DataType)],
    batches: impl Iterator<Item = Result<RecordBatch, arrow::error::ArrowError>>,
) -> (Input, usize) {
    let fields: Vec<Field> =
        columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), false)).collect();
    let schema = Arc::new(Schema::new(fields));
    let selected = batches.map(|batch| {
        let batch = batch.unwrap();
        let column = |(name, kind): &(&str, DataType)| -> ArrayRef {
            cast(batch.column_by_name(name).unwrap(), kind).unwrap()
        };
        RecordBatch::try_new(Arc::clone(&schema), columns.iter().map(column).collect()).unwrap()
    });
    let path = dir.join(format!("{table}.parquet"));
    let rows = home::write(&path, &schema, selected);
    (Input { table: table.to_owned(), path }, rows)
}
