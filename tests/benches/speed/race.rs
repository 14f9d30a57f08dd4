//! TPC-H at scale factor 1 with no declared bound on a unit's rows, under pure differential privacy: error and time of
//! the race to the top, beside what was published of R2T on the same work (Dong, Fang, Yi, Tao and Machanavajjhala,
//! SIGMOD 2022: ε = 0.8, largest contribution 10⁶).

use arrow::datatypes::DataType;
use gate::{Epsilon, Price};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use tpchgen::generators::{CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator};
use tpchgen_arrow::{CustomerArrow, LineItemArrow, NationArrow, OrderArrow};
use vault::Input;

use crate::home::{Home, Paper, Plain, number};
use crate::tpch::write;
use crate::{median, round};

const EPSILON: f64 = 0.8;
/// Runs of which the median error is taken.
const RUNS: usize = 50;
/// Plain runs are taken between so many private ones.
const PRIVATE_PER_PLAIN: usize = 5;

/// A question that R2T was measured on.
struct Question {
    name: &'static str,
    sql: &'static str,
    /// Median relative error in percent.
    published: f64,
}

const OF_CUSTOMERS: [Question; 3] = [
    Question {
        name: "q3",
        sql: "SELECT COUNT(*) AS n FROM customer JOIN orders ON c_custkey = o_custkey \
              JOIN lineitem ON o_orderkey = l_orderkey \
              WHERE o_orderdate < DATE '1997-01-01' AND l_shipdate > DATE '1994-01-01'",
        published: 0.254,
    },
    Question {
        name: "q18",
        sql: "SELECT SUM(l_quantity) AS quantity FROM customer JOIN orders ON c_custkey = o_custkey \
              JOIN lineitem ON o_orderkey = l_orderkey",
        published: 0.132,
    },
    Question {
        name: "q10",
        sql: "SELECT COUNT(*) AS n FROM orders JOIN customer ON c_custkey = o_custkey \
              JOIN nation ON c_nationkey = n_nationkey",
        published: 0.174,
    },
];

const OF_ORDERS: [Question; 1] = [Question {
    name: "q12",
    sql: "SELECT COUNT(*) AS n FROM orders JOIN lineitem ON o_orderkey = l_orderkey",
    published: 0.023,
}];

/// The customer is the unit; nothing says how many orders or items one has.
const CUSTOMERS: &str = r#"{ "name": "customers", "version": "1.0.0", "title": "TPC-H", "enclave:unit": "customer",
  "resources": [
   { "name": "nation", "path": "nation.parquet", "title": "Nations", "enclave:public": true,
     "schema": { "primaryKey": ["n_nationkey"], "fields": [
       { "name": "n_nationkey", "type": "integer" },
       { "name": "n_name", "type": "string" } ] } },
   { "name": "customer", "path": "customer.parquet", "title": "Customers", "enclave:unitKey": "c_custkey",
     "schema": { "primaryKey": ["c_custkey"], "fields": [
       { "name": "c_custkey", "type": "integer", "enclave:role": "unit" },
       { "name": "c_nationkey", "type": "integer", "constraints": { "required": true } } ] } },
   { "name": "orders", "path": "orders.parquet", "title": "Orders", "enclave:unitKey": "o_custkey",
     "schema": { "primaryKey": ["o_orderkey"], "fields": [
       { "name": "o_orderkey", "type": "integer" },
       { "name": "o_custkey", "type": "integer", "enclave:role": "unit" },
       { "name": "o_orderdate", "type": "date", "constraints": { "required": true } } ] } },
   { "name": "lineitem", "path": "lineitem.parquet", "title": "Line items", "enclave:unitKey": { "via": "orders" },
     "schema": { "primaryKey": ["l_orderkey", "l_linenumber"],
       "foreignKeys": [ { "fields": ["l_orderkey"], "reference": { "resource": "orders", "fields": ["o_orderkey"] } } ],
       "fields": [
       { "name": "l_orderkey", "type": "integer" },
       { "name": "l_linenumber", "type": "integer" },
       { "name": "l_quantity", "type": "number", "enclave:step": 1,
         "constraints": { "required": true, "minimum": 1, "maximum": 50 } },
       { "name": "l_shipdate", "type": "date", "constraints": { "required": true } } ] } } ] }"#;

/// The order is the unit.
const ORDERS: &str = r#"{ "name": "orders", "version": "1.0.0", "title": "TPC-H", "enclave:unit": "order",
  "resources": [
   { "name": "orders", "path": "orders.parquet", "title": "Orders", "enclave:unitKey": "o_orderkey",
     "schema": { "primaryKey": ["o_orderkey"], "fields": [
       { "name": "o_orderkey", "type": "integer", "enclave:role": "unit" },
       { "name": "o_custkey", "type": "integer" },
       { "name": "o_orderdate", "type": "date" } ] } },
   { "name": "lineitem", "path": "lineitem.parquet", "title": "Line items", "enclave:unitKey": "l_orderkey",
     "schema": { "primaryKey": ["l_orderkey", "l_linenumber"], "fields": [
       { "name": "l_orderkey", "type": "integer", "enclave:role": "unit" },
       { "name": "l_linenumber", "type": "integer" },
       { "name": "l_quantity", "type": "number" },
       { "name": "l_shipdate", "type": "date" } ] } } ] }"#;

pub(crate) fn run(runtime: &Runtime) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let whole = |columns: &[&'static str]| -> Vec<(&'static str, DataType)> {
        columns.iter().map(|column| (*column, DataType::Int64)).collect()
    };
    let nation = [("n_nationkey", DataType::Int64), ("n_name", DataType::Utf8)];
    let nation = write(dir.path(), "nation", &nation, NationArrow::new(NationGenerator::new(1.0, 1, 1))).0;
    let customer = whole(&["c_custkey", "c_nationkey"]);
    let customer =
        write(dir.path(), "customer", &customer, CustomerArrow::new(CustomerGenerator::new(1.0, 1, 1))).0;
    let orders = [whole(&["o_orderkey", "o_custkey"]), vec![("o_orderdate", DataType::Date32)]].concat();
    let orders = write(dir.path(), "orders", &orders, OrderArrow::new(OrderGenerator::new(1.0, 1, 1))).0;
    let measured = [("l_quantity", DataType::Float64), ("l_shipdate", DataType::Date32)];
    let lineitem = [whole(&["l_orderkey", "l_linenumber"]), measured.to_vec()].concat();
    let lineitem =
        write(dir.path(), "lineitem", &lineitem, LineItemArrow::new(LineItemGenerator::new(1.0, 1, 1))).0;

    let of_orders = vec![orders.clone(), lineitem.clone()];
    let of_customers = vec![nation, customer, orders, lineitem];
    let mut report = Map::new();
    report.insert("published_ratios".to_owned(), json!("12 to 27"));
    time(runtime, CUSTOMERS, &of_customers, &OF_CUSTOMERS, &mut report);
    time(runtime, ORDERS, &of_orders, &OF_ORDERS, &mut report);
    Value::Object(report)
}

fn time(
    runtime: &Runtime,
    contract: &str,
    inputs: &[Input],
    questions: &[Question],
    report: &mut Map<String, Value>,
) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(&dir.path().join("home"), contract, inputs, &Paper::pure());
    let plain = Plain::new(runtime, inputs);
    for question in questions {
        report.insert(question.name.to_owned(), question.run(runtime, &home, &plain));
    }
}

impl Question {
    fn run(&self, runtime: &Runtime, home: &Home, plain: &Plain) -> Value {
        let price = Price::Epsilon(Epsilon::new(EPSILON).unwrap());
        // Warms both up.
        let truth = number(&plain.ask(runtime, self.sql).0);
        home.ask(runtime, self.sql, price).unwrap();
        let (mut errors, mut private, mut plain_seconds) = (Vec::new(), Vec::new(), Vec::new());
        for run in 0..RUNS {
            if run % PRIVATE_PER_PLAIN == 0 {
                plain_seconds.push(plain.ask(runtime, self.sql).1);
            }
            let asked = home.ask(runtime, self.sql, price).unwrap();
            errors.push((asked.number() - truth).abs() / truth * 100.0);
            private.push(asked.seconds);
        }
        let (private, plain) = (median(private), median(plain_seconds));
        json!({
            "error_percent": { "measured": round(median(errors)), "at_most": self.published, "published": self.published },
            "private_s": round(private),
            "plain_s": round(plain),
            "ratio": { "measured": round(private / plain), "at_most": 3.0 },
        })
    }
}
