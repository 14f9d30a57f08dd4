//! A small data set in memory, and the plans that `emit` makes run over it by DataFusion's whole optimiser.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch,
    StringArray, UInt32Array,
};
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{LogicalPlan, TableSource};
use datafusion::prelude::{SessionConfig, SessionContext};
use queries::{PrivatePlan, emit};

use super::Setting;

pub const CONTRACT: &str = r#"{
  "name": "small", "version": "1.0.0", "title": "Small", "enclave:unit": "pupil",
  "resources": [
    { "name": "t", "title": "Private", "enclave:unitKey": "u", "enclave:maxRowsPerUnit": 4,
      "schema": {
        "foreignKeys": [{ "fields": "s", "reference": { "resource": "p", "fields": "code" } }],
        "fields": [
          { "name": "u", "type": "integer", "enclave:role": "unit", "constraints": { "required": true } },
          { "name": "i", "type": "integer" },
          { "name": "f", "type": "number" },
          { "name": "t", "type": "string" },
          { "name": "d", "type": "date" },
          { "name": "b", "type": "boolean" },
          { "name": "n", "type": "integer", "constraints": { "minimum": 0, "maximum": 3 } },
          { "name": "c", "type": "string", "constraints": { "enum": ["x", "y"] } },
          { "name": "s", "type": "string" } ] } },
    { "name": "p", "title": "Public", "enclave:public": true,
      "schema": { "primaryKey": ["code"], "fields": [
          { "name": "code", "type": "string", "constraints": { "required": true } },
          { "name": "label", "type": "string" },
          { "name": "size", "type": "integer", "constraints": { "minimum": 1, "maximum": 3 } } ] } } ] }"#;

pub fn memorandum(items: &str) -> String {
    format!(
        "id = \"m\"\ncontract = \"small\"\ntitle = {{ en = \"m\" }}\ninstitution = \"m\"\npurpose = {{ en = \"m\" }}\n\
         use_case = \"m\"\nvalid = {{ from = 2026-04-01, until = 2027-03-31 }}\nrules = \"standard\"\n\
         people = [{{ id = \"r1\", name = \"R\", role = \"researcher\" }}]\nitems = [{items}]\n\
         [allotment]\nrho = 1.0\ndelta = 1e-6\ndefault_rho = 0.01\n"
    )
}

pub fn setting() -> Setting {
    Setting::new(
        CONTRACT,
        &memorandum(
            "{ table = \"t\", columns = [\"i\", \"f\", \"t\", \"d\", \"b\", \"n\", \"c\", \"s\"] }, \
             { table = \"p\", columns = [\"code\", \"label\", \"size\"] }",
        ),
    )
}

/// Columns of the private table, all of one length.
#[derive(Clone, Default)]
pub struct Rows {
    pub i: Vec<Option<i64>>,
    pub f: Vec<Option<f64>>,
    pub t: Vec<Option<String>>,
    pub d: Vec<Option<i32>>,
    pub b: Vec<Option<bool>>,
    pub n: Vec<Option<i64>>,
    pub c: Vec<Option<String>>,
    pub s: Vec<Option<String>>,
}

impl Rows {
    /// Every value of each column at least once, in as many rows as the longest list needs.
    pub fn extremes() -> Rows {
        let texts = [
            "",
            " ",
            "abc",
            "7",
            "-0",
            "1e400",
            "NaN",
            "inf",
            "9223372036854775808",
            "-9223372036854775808",
            "true",
            "2024-02-29",
            "2023-02-29",
            "9999-99-99",
            "9999-12-31",
            "0000-00-00",
            "262143-12-31",
            "-262143-01-01",
            "2024-01-01T25:00:00",
            "99999-01-01T00:00:00",
            "児童生徒",
            "%_\\",
            "\u{0}",
            "İıßΣ",
            "e\u{301}",
        ];
        let text = |i: usize| Some(texts[i % texts.len()].to_owned());
        let ints = [0, 1, -1, 2, 7, 10, i64::MIN, i64::MAX, i64::MIN + 1, 1 << 53, 1 << 62];
        let floats = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            7.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            1e300,
            9.3e18,
            -9.3e18,
            5e-324,
        ];
        let days = [
            0,
            1,
            -1,
            19_782,
            2_932_896,
            -719_528,
            i32::MIN,
            i32::MAX,
            106_750,
            106_752,
            -106_752,
            106_650,
            106_651,
            -106_650,
            -106_651,
            95_026_601,
            -96_465_659,
        ];
        let count = 400;
        let cycle = |i: usize, len: usize| i % (len + 1);
        Rows {
            i: (0..count).map(|r| ints.get(cycle(r, ints.len())).copied()).collect(),
            f: (0..count).map(|r| floats.get(cycle(r, floats.len())).copied()).collect(),
            t: (0..count).map(|r| if r % 27 == 26 { None } else { text(r) }).collect(),
            d: (0..count).map(|r| days.get(cycle(r, days.len())).copied()).collect(),
            b: (0..count).map(|r| [Some(true), Some(false), None][r % 3]).collect(),
            n: (0..count).map(|r| [Some(0), Some(3), None, Some(1), Some(2)][r % 5]).collect(),
            c: (0..count)
                .map(|r| [Some("x"), None, Some("y"), Some("x")][r % 4].map(str::to_owned))
                .collect(),
            s: (0..count)
                .map(|r| [Some("A"), Some("B"), None, Some("C")][r % 4].map(str::to_owned))
                .collect(),
        }
    }

    fn batch(&self) -> RecordBatch {
        let len = self.i.len();
        let units = (0..len).map(|row| ((row / 4) as u128).to_be_bytes());
        let columns: Vec<(&str, ArrayRef)> = vec![
            (emit::UNIT, Arc::new(FixedSizeBinaryArray::try_from_iter(units).unwrap())),
            (emit::ROW, Arc::new(UInt32Array::from_iter_values((0..len).map(|row| (row % 4) as u32)))),
            ("i", Arc::new(Int64Array::from(self.i.clone()))),
            ("f", Arc::new(Float64Array::from(self.f.clone()))),
            ("t", Arc::new(StringArray::from(self.t.clone()))),
            ("d", Arc::new(Date32Array::from(self.d.clone()))),
            ("b", Arc::new(BooleanArray::from(self.b.clone()))),
            ("n", Arc::new(Int64Array::from(self.n.clone()))),
            ("c", Arc::new(StringArray::from(self.c.clone()))),
            ("s", Arc::new(StringArray::from(self.s.clone()))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
            .unwrap()
    }

    fn table(&self, name: &str) -> Result<Arc<dyn TableSource>> {
        let batch = match name {
            "t" => self.batch(),
            "p" => RecordBatch::try_from_iter_with_nullable([
                ("code", Arc::new(StringArray::from(vec!["A", "B", "C", "D"])) as ArrayRef, false),
                (
                    "label",
                    Arc::new(StringArray::from(vec![Some("one"), Some("two"), None, Some("one")])),
                    true,
                ),
                ("size", Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(2)])), true),
            ])
            .unwrap(),
            _ => return plan_err!("no such table"),
        };
        Ok(provider_as_source(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
    }

    /// The rows that the vault would bound and add up for the first stage: keys, then arguments.
    pub fn source(&self, plan: &PrivatePlan) -> Result<Vec<Vec<ScalarValue>>> {
        let rows = run(emit::source(&plan.stages()[0], &[], &|name| self.table(name))?)?;
        Ok(rows.into_iter().map(|row| row[1..].to_vec()).collect())
    }

    /// The public keys.
    pub fn public_keys(&self, plan: &PrivatePlan) -> Result<Option<Vec<Vec<ScalarValue>>>> {
        emit::public_keys(&plan.stages()[0], &|name| self.table(name))?.map(run).transpose()
    }
}

fn run(plan: LogicalPlan) -> Result<Vec<Vec<ScalarValue>>> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let work = async { context.execute_logical_plan(plan).await?.collect().await };
    let mut rows = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for batch in runtime.block_on(work)? {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| ScalarValue::try_from_array(column, row));
            rows.push(cells.collect::<Result<_>>()?);
        }
    }
    Ok(rows)
}
