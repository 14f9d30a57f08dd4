//! TPC-H at scale factor 1, the customer as the unit: one private question over 6 million rows against the same
//! aggregation in plain DataFusion over plain Parquet, in turn.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tpchgen::generators::{LineItemGenerator, OrderGenerator};
use tpchgen_arrow::{LineItemArrow, OrderArrow};
use vault::Input;

use crate::home::{self, Home, Paper, Plain, rho};
use crate::{median, round};

const SQL: &str = "SELECT l_returnflag, l_linestatus, COUNT(*) AS n, SUM(l_quantity) AS quantity, \
    AVG(l_extendedprice) AS price FROM lineitem GROUP BY l_returnflag, l_linestatus";

const CONTRACT: &str = r#"{ "name": "tpch", "version": "1.0.0", "title": "TPC-H", "enclave:unit": "customer",
  "resources": [
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
       { "name": "l_linenumber", "type": "integer", "constraints": { "required": true } },
       { "name": "l_returnflag", "type": "string", "constraints": { "required": true, "enum": ["A", "N", "R"] } },
       { "name": "l_linestatus", "type": "string", "constraints": { "required": true, "enum": ["F", "O"] } },
       { "name": "l_quantity", "type": "number", "enclave:step": 1,
         "constraints": { "required": true, "minimum": 1, "maximum": 50 } },
       { "name": "l_extendedprice", "type": "number", "enclave:step": 0.01,
         "constraints": { "required": true, "minimum": 0, "maximum": 105000 } } ] } } ] }"#;

pub(crate) fn run(runtime: &Runtime) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let keys = [("o_orderkey", DataType::Int64), ("o_custkey", DataType::Int64)];
    let (orders, _) = write(dir.path(), "orders", &keys, OrderArrow::new(OrderGenerator::new(1.0, 1, 1)));
    let columns = [
        ("l_orderkey", DataType::Int64),
        ("l_linenumber", DataType::Int64),
        ("l_returnflag", DataType::Utf8),
        ("l_linestatus", DataType::Utf8),
        ("l_quantity", DataType::Float64),
        ("l_extendedprice", DataType::Float64),
    ];
    let items = LineItemArrow::new(LineItemGenerator::new(1.0, 1, 1));
    let (lineitem, rows) = write(dir.path(), "lineitem", &columns, items);
    let inputs = [orders, lineitem];
    let home = Home::new(&dir.path().join("home"), CONTRACT, &inputs, &Paper::default());
    let plain = Plain::new(runtime, &inputs);
    let mut seconds = (Vec::new(), Vec::new());
    for round in 0..10 {
        let (batches, plain) = plain.ask(runtime, SQL);
        assert!(batches.iter().map(RecordBatch::num_rows).sum::<usize>() == 4);
        let private = home.ask(runtime, SQL, rho(0.1)).unwrap().seconds;
        // The first round warms both up.
        if round > 0 {
            seconds.0.push(private);
            seconds.1.push(plain);
        }
    }
    let (private, plain) = (median(seconds.0), median(seconds.1));
    json!({
        "rows": rows,
        "private_s": round(private),
        "plain_s": round(plain),
        "ratio": { "measured": round(private / plain), "at_most": 2.5 },
        "ingest_rows_per_second": round(rows as f64 / home.ingest_seconds),
    })
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
