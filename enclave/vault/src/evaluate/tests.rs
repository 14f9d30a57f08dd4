#![allow(clippy::unwrap_used, clippy::panic)]

use arrow::array::{ArrayRef, FixedSizeBinaryArray, Float64Array, RecordBatch, StringArray, UInt32Array};
use datafusion::physical_plan::displayable;
use disclosure_rules::RuleSet;
use memoranda::{Contract, Memorandum, datapackage};
use queries::Options;

use super::*;
use crate::ingest::Input;

const CONTRACT: &str = r#"{ "name": "club", "version": "1.0.0", "title": "Club", "enclave:unit": "pupil",
  "resources": [
   { "name": "places", "title": "Places", "enclave:public": true, "schema": { "primaryKey": ["place"], "fields": [
      { "name": "place", "type": "string", "constraints": { "required": true } },
      { "name": "side", "type": "string", "constraints": { "required": true, "enum": ["east", "west"] } } ] } },
   { "name": "visits", "title": "Visits", "enclave:unitKey": "pupil", "schema": {
      "foreignKeys": [ { "fields": ["place"], "reference": { "resource": "places", "fields": ["place"] } } ],
      "fields": [
      { "name": "pupil", "type": "integer", "enclave:role": "unit" },
      { "name": "place", "type": "string", "constraints": { "required": true } },
      { "name": "hours", "type": "number", "constraints": { "minimum": 0, "maximum": 10 }, "enclave:step": 1 } ] } } ] }"#;

const MEMORANDUM: &str = r#"
id = "m"
contract = "club"
title = { en = "Test" }
institution = "Test"
purpose = { en = "Test" }
use_case = "test"
valid = { from = 2020-01-01, until = 2099-12-31 }
rules = "standard"
people = [ { id = "r1", name = "R", role = "researcher" } ]
items = [ { table = "visits", columns = ["place", "hours"] }, { table = "places", columns = ["place", "side"] } ]
[allotment]
rho = 1.0
delta = 1e-6
"#;

fn contract() -> Contract {
    datapackage::parse(CONTRACT).unwrap()
}

fn plan(sql: &str, rows: u64, groups: Option<u64>) -> PrivatePlan {
    let options = Options { rows_per_unit: Some(rows), groups_per_unit: groups };
    let memorandum = Memorandum::parse(MEMORANDUM).unwrap();
    queries::verify(sql, &contract(), &memorandum, &RuleSet::standard(), &options).unwrap()
}

/// A pupil's visits: place and hours.
type Visits = Vec<(&'static str, Option<f64>)>;

/// Rows as the vault's scan gives them for keys `place` and argument `hours`, in batches of `size`.
fn batches(pupils: &[(u8, Visits)], size: usize) -> Vec<RecordBatch> {
    let rows: Vec<_> = pupils
        .iter()
        .flat_map(|(pupil, visits)| {
            visits.iter().enumerate().map(|(row, visit)| ([*pupil; 16], row as u32, *visit))
        })
        .collect();
    rows.chunks(size)
        .map(|rows| {
            let units = FixedSizeBinaryArray::try_from_iter(rows.iter().map(|row| row.0)).unwrap();
            let numbers: UInt32Array = rows.iter().map(|row| Some(row.1)).collect();
            let places: StringArray = rows.iter().map(|row| Some(row.2.0)).collect();
            let hours: Float64Array = rows.iter().map(|row| row.2.1).collect();
            let columns: [(&str, ArrayRef); 4] = [
                ("__unit", Arc::new(units)),
                ("__row", Arc::new(numbers)),
                ("k0", Arc::new(places)),
                ("a0", Arc::new(hours)),
            ];
            RecordBatch::try_from_iter(columns).unwrap()
        })
        .collect()
}

fn totals(
    plan: &PrivatePlan,
    secret: &Arc<contribute::Secret>,
    pupils: &[(u8, Visits)],
    size: usize,
) -> Vec<(Vec<Value>, Vec<i64>)> {
    let mut contributions = Contributions::new(plan, Arc::clone(secret)).unwrap();
    batches(pupils, size).iter().for_each(|batch| contributions.add(batch).unwrap());
    contributions.finish().unwrap().into_groups()
}

const SQL: &str =
    "SELECT place, COUNT(DISTINCT pupil) AS p, COUNT(hours) AS n, SUM(hours) AS h FROM visits GROUP BY place";

/// Three pupils: one far over any bound, one with missing and infinite hours, one plain.
fn pupils() -> Vec<(u8, Visits)> {
    let busy = (0..40).map(|i| (["pool", "gym", "hall", "field"][i % 4], Some((i % 11) as f64))).collect();
    let odd = vec![("gym", None), ("gym", Some(f64::NAN)), ("gym", Some(f64::INFINITY)), ("pool", Some(3.0))];
    vec![(1, busy), (2, odd), (3, vec![("pool", Some(7.0)), ("pool", Some(1e9))])]
}

/// What one pupil adds, as the difference that its presence makes.
fn added(
    plan: &PrivatePlan,
    secret: &Arc<contribute::Secret>,
    pupil: u8,
    size: usize,
) -> Vec<(Vec<Value>, Vec<i64>)> {
    let all = totals(plan, secret, &pupils(), size);
    let others: Vec<_> = pupils().into_iter().filter(|(id, _)| *id != pupil).collect();
    let without: std::collections::BTreeMap<_, _> = totals(plan, secret, &others, size).into_iter().collect();
    all.into_iter()
        .map(|(key, totals)| {
            let rest = without.get(&key).cloned().unwrap_or_else(|| vec![0; totals.len()]);
            (key, totals.iter().zip(rest).map(|(a, b)| a - b).collect())
        })
        .collect()
}

#[test]
fn totals_do_not_depend_on_how_rows_are_cut_into_batches() {
    let secret = Arc::new(contribute::Secret::fresh().unwrap());
    for (rows, groups) in [(100, None), (5, None), (5, Some(2)), (1, Some(1))] {
        let plan = plan(SQL, rows, groups);
        let whole = totals(&plan, &secret, &pupils(), 1000);
        for size in [1, 2, 3, 7, 40, 41] {
            assert_eq!(
                totals(&plan, &secret, &pupils(), size),
                whole,
                "{rows} rows, {groups:?} groups, batches of {size}"
            );
        }
    }
}

#[test]
fn a_pupil_adds_no_more_than_the_bounds_and_the_same_whoever_else_is_there() {
    let secret = Arc::new(contribute::Secret::fresh().unwrap());
    for (rows, groups) in [(5, None), (5, Some(2)), (1, Some(1)), (8, Some(1))] {
        let plan = plan(SQL, rows, groups);
        for pupil in [1, 2, 3] {
            let added = added(&plan, &secret, pupil, 7);
            let alone: Vec<_> = pupils().into_iter().filter(|(id, _)| *id == pupil).collect();
            let alone: std::collections::BTreeMap<_, _> =
                totals(&plan, &secret, &alone, 3).into_iter().collect();
            for (component, of) in plan.components().iter().enumerate() {
                let squares: i64 = added.iter().map(|(_, totals)| totals[component].pow(2)).sum();
                let most = of.l2_squared(&plan.contribution());
                assert!(
                    squares as u128 <= most,
                    "pupil {pupil}, {rows} rows, {groups:?} groups: {squares} > {most}"
                );
                for (key, totals) in &added {
                    assert_eq!(
                        totals[component],
                        alone.get(key).map_or(0, |own| own[component]),
                        "another pupil changed what is kept"
                    );
                }
            }
        }
        // Control: without the bounds, the busy pupil adds more.
        let open = self::plan(SQL, 1000, None);
        let unbounded: i64 = added(&open, &secret, 1, 7).iter().map(|(_, totals)| totals[2].pow(2)).sum();
        assert!(unbounded as u128 > plan.components()[2].l2_squared(&plan.contribution()));
    }
}

#[test]
fn what_is_kept_of_an_over_contributing_pupil_changes_with_the_secret() {
    let plan = plan(SQL, 3, Some(2));
    let draw = || totals(&plan, &Arc::new(contribute::Secret::fresh().unwrap()), &pupils(), 10);
    let first = draw();
    assert!((0..50).any(|_| draw() != first));
}

#[test]
fn values_are_clamped_and_what_is_no_number_is_missing() {
    let secret = Arc::new(contribute::Secret::fresh().unwrap());
    let plan = plan(SQL, 100, None);
    let of = |pupil| {
        added(&plan, &secret, pupil, 100)
            .into_iter()
            .filter(|(_, t)| t.iter().any(|n| *n != 0))
            .collect::<Vec<_>>()
    };
    let pool = vec![Value::Text("pool".to_owned())];
    let gym = vec![Value::Text("gym".to_owned())];
    // Pupils; pupils with hours; hours counted; hours, the million clamped to 10.
    assert_eq!(plan.components().len(), 4);
    assert_eq!(of(3), [(pool.clone(), vec![1, 1, 2, 17])]);
    assert_eq!(of(2), [(gym, vec![1, 0, 0, 0]), (pool, vec![1, 1, 1, 3])]);
}

/// Rows of pupils are read in order: no sort, no repartition, also past a join with a public table.
#[tokio::test]
async fn plans_over_pupils_keep_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::create(&dir.path().join("home"), b"key").unwrap();
    let (places, visits) = (dir.path().join("places.csv"), dir.path().join("visits.csv"));
    std::fs::write(&places, "place,side\ngym,east\npool,west\n").unwrap();
    std::fs::write(&visits, "pupil,place,hours\n3,gym,1\n1,pool,2\n3,pool,4\n2,gym,\n").unwrap();
    let input = |table: &str, path| Input { table: table.to_owned(), path };
    let inputs = [input("places", places), input("visits", visits)];
    vault.ingest(&contract(), &inputs, &|_, _| {}, &|_| Ok(())).unwrap();
    let snapshot = vault.snapshot("club").unwrap().unwrap();
    let engine = Engine::new(&RuleSet::standard().limits).unwrap();
    for (sql, sorts) in [
        ("SELECT place, COUNT(*) AS n FROM visits WHERE hours > 0 GROUP BY place", false),
        (
            "SELECT side, COUNT(*) AS n FROM visits JOIN places ON visits.place = places.place GROUP BY side",
            false,
        ),
        (
            "SELECT side, COUNT(*) AS n FROM visits LEFT JOIN places ON visits.place = places.place GROUP BY side",
            false,
        ),
        // A join on anything but equality loses the order, and is sorted again in memory.
        (
            "SELECT side, COUNT(*) AS n FROM visits JOIN places ON visits.place < places.place GROUP BY side",
            true,
        ),
    ] {
        let plan = plan(sql, 5, None);
        let logical = queries::emit::source(&plan, &|name| table_source(&snapshot, name)).unwrap();
        let physical = engine.plan_by_pupil(&logical).await.unwrap();
        let shown = displayable(physical.as_ref()).indent(false).to_string();
        assert!(!shown.contains("RepartitionExec"), "{shown}");
        assert_eq!(shown.contains("SortExec"), sorts, "{shown}");
        let exact =
            vault.evaluate(&plan, PlanDigest([0; 32]), &snapshot, &RuleSet::standard().limits).await.unwrap();
        assert_eq!(format!("{exact:?}"), "Exact(sealed)");
    }
}
