//! Whole questions over snapshots in several parts.

use arrow::array::UInt32Array;
use datafusion::physical_plan::{ExecutionPlanProperties, displayable};
use disclosure_rules::measure::GroupKeys;
use disclosure_rules::rules::Limits;
use disclosure_rules::{Exact, PlanDigest, RuleSet};
use memoranda::{Contract, Memorandum, datapackage};
use queries::{Options, PrivatePlan};

use super::*;
use crate::evaluate::engine::Engine;
use crate::evaluate::{Allowed, EvaluateError, Job, within};
use crate::files::FileWriter;
use crate::ingest::Input;
use crate::scan::StoredTables;
use crate::snapshot::{self, ColumnEntry, Manifest, PartEntry, Snapshot, TableEntry};
use crate::vault::Vault;

const CONTRACT: &str = r#"{ "name": "club", "version": "1.0.0", "title": "Club", "enclave:unit": "pupil",
  "resources": [
   { "name": "places", "title": "Places", "enclave:public": true, "schema": {
      "primaryKey": ["place"], "fields": [
      { "name": "place", "type": "string", "constraints": { "required": true } },
      { "name": "side", "type": "string",
        "constraints": { "required": true, "enum": ["east", "west"] } } ] } },
   { "name": "members", "title": "Members", "enclave:unitKey": "pupil", "schema": {
      "primaryKey": ["pupil"], "fields": [
      { "name": "pupil", "type": "integer", "enclave:role": "unit" },
      { "name": "age", "type": "integer",
        "constraints": { "required": true, "minimum": 6, "maximum": 18 } } ] } },
   { "name": "visits", "title": "Visits", "enclave:unitKey": "pupil", "schema": {
      "foreignKeys": [ { "fields": ["place"], "reference": { "resource": "places", "fields": ["place"] } } ],
      "fields": [
      { "name": "pupil", "type": "integer", "enclave:role": "unit" },
      { "name": "place", "type": "string", "constraints": { "required": true } },
      { "name": "hours", "type": "number", "enclave:step": 1,
        "constraints": { "minimum": 0, "maximum": 10 } } ] } } ] }"#;

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
items = [ { table = "visits", columns = ["place", "hours"] }, { table = "members", columns = ["age"] },
          { table = "places", columns = ["place", "side"] } ]
[allotment]
rho = 1.0
delta = 1e-6
"#;

fn contract() -> Contract {
    datapackage::parse(CONTRACT).unwrap()
}

fn plan(sql: &str) -> PrivatePlan {
    let options = Options { rows_per_unit: Some(1000), groups_per_unit: None };
    let memorandum = Memorandum::parse(MEMORANDUM).unwrap();
    queries::verify(sql, &contract(), &memorandum, &RuleSet::standard(), &options).unwrap()
}

fn limits() -> Limits {
    RuleSet::standard().limits
}

/// A vault with one snapshot whose private tables are cut into `parts`, by the pupil.
pub(super) struct Store {
    vault: Vault,
    id: String,
    _home: tempfile::TempDir,
}

impl Store {
    pub(super) fn new(parts: u32) -> Store {
        Store::cut(parts, &[("members", parts), ("visits", parts)])
    }

    fn cut(partitions: u32, parts: &[(&str, u32)]) -> Store {
        let home = tempfile::tempdir().unwrap();
        let vault = Vault::create(&home.path().join("home"), b"key").unwrap();
        let store = Store { vault, id: "s1".to_owned(), _home: home };
        let mut manifest = Manifest::new("club", "1.0.0", &store.id, 1);
        manifest.partitions = partitions;
        for table in ["places", "members", "visits"] {
            let parts = parts.iter().find(|(name, _)| *name == table).map(|(_, parts)| *parts);
            manifest.tables.push(store.table(table, parts));
        }
        let sealed = manifest.seal(&store.vault.keys).unwrap();
        assert!(store.vault.storage.create(&snapshot::manifest_path("club", 1), &sealed).unwrap());
        store
    }

    fn snapshot(&self) -> Snapshot {
        snapshot::load(&self.vault.storage, &self.vault.keys, "club", 1).unwrap()
    }

    fn table(&self, name: &str, parts: Option<u32>) -> TableEntry {
        let columns = snapshot::stored_columns(contract().table(name).unwrap());
        let write = |part: u32| {
            let within = |unit: &u8| parts.is_none_or(|parts| u32::from(*unit) * parts / 256 == part);
            self.part(name, part, &rows(name, &within), &columns)
        };
        TableEntry {
            name: name.to_owned(),
            private: parts.is_some(),
            rows: 0,
            fingerprint: String::new(),
            parts: (0..parts.unwrap_or(1)).map(write).collect(),
            columns,
            identity: Vec::new(),
        }
    }

    fn part(&self, table: &str, part: u32, columns: &[ArrayRef], entries: &[ColumnEntry]) -> PartEntry {
        let private = columns.len() > entries.len();
        let schema = snapshot::stored_schema(private, entries).unwrap();
        let folder = snapshot::snapshots_folder("club");
        let file = format!("{}/{table}/part-{part}.parquet", self.id);
        let (path, place) = (format!("{folder}/{file}"), format!("club/{file}"));
        let (storage, ring, contract) = (&self.vault.storage, &self.vault.keys.ring, contract());
        let table = contract.table(table).unwrap();
        let mut writer =
            FileWriter::attributes(storage, ring, table, path, place, Arc::clone(&schema)).unwrap();
        writer.write(&RecordBatch::try_new(schema, columns.to_vec()).unwrap()).unwrap();
        writer.finish().unwrap()
    }

    fn totals(&self, plan: &PrivatePlan) -> Vec<Vec<Vec<ExactGroup>>> {
        let run = |stage| {
            let job = Arc::new(Job::new(stage, &[], &self.snapshot(), Allowed::from_now(&limits())).unwrap());
            runtime().block_on(job.run()).unwrap().into_groups()
        };
        plan.stages().iter().map(run).collect()
    }
}

/// How the first part is read.
pub(super) fn physical_plan(store: &Store, sql: &str) -> String {
    let (plan, snapshot) = (plan(sql), store.snapshot());
    runtime().block_on(store.vault.explain(&plan.stages()[0], &snapshot, &limits())).unwrap()
}

fn evaluate(
    vault: &Vault,
    plan: &PrivatePlan,
    snapshot: &Snapshot,
    limits: &Limits,
) -> Result<Exact, EvaluateError> {
    runtime().block_on(vault.evaluate(
        &plan.stages()[0],
        &[],
        PlanDigest([0; 32]),
        snapshot,
        Allowed::from_now(limits),
    ))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// The stored rows of the pupils that are wanted, in the order of pupils. None is in the third quarter.
fn rows(table: &str, within: &dyn Fn(&u8) -> bool) -> Vec<ArrayRef> {
    const PLACES: [&str; 3] = ["gym", "hall", "pool"];
    let pupils = || (0..=255_u8).filter(|unit| unit % 3 != 1 && !(128..192).contains(unit)).filter(within);
    let units = |units: Vec<u8>| -> ArrayRef {
        let units: Vec<_> = units.into_iter().map(|unit| Some([unit; 16])).collect();
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(units.into_iter(), 16).unwrap())
    };
    match table {
        "places" => {
            let sides = ["east", "west", "east"];
            vec![
                Arc::new(StringArray::from_iter_values(PLACES)),
                Arc::new(StringArray::from_iter_values(sides)),
            ]
        }
        "members" => {
            let ages = pupils().map(|unit| 6 + i64::from(unit) % 13);
            vec![
                units(pupils().collect()),
                Arc::new(pupils().map(|_| Some(0)).collect::<UInt32Array>()),
                Arc::new(Int64Array::from_iter_values(ages)),
            ]
        }
        _ => {
            let visits = || pupils().flat_map(|unit| (0..u32::from(unit % 7)).map(move |row| (unit, row)));
            let place = |(unit, row): (u8, u32)| PLACES[(usize::from(unit) + row as usize) % 3];
            let hours = |(unit, row): (u8, u32)| (row != 2).then(|| f64::from(unit % 5) + f64::from(row));
            vec![
                units(visits().map(|(unit, _)| unit).collect()),
                Arc::new(visits().map(|(_, row)| Some(row)).collect::<UInt32Array>()),
                Arc::new(visits().map(place).map(Some).collect::<StringArray>()),
                Arc::new(visits().map(hours).collect::<Float64Array>()),
            ]
        }
    }
}

const QUESTIONS: [&str; 13] = [
    "SELECT place, COUNT(*) AS n, SUM(hours) AS h FROM visits GROUP BY place",
    "SELECT COUNT(*) AS n, COUNT(DISTINCT pupil) AS p FROM visits",
    "SELECT side, COUNT(*) AS n FROM visits JOIN places ON visits.place = places.place GROUP BY side",
    "SELECT side, COUNT(*) AS n FROM visits JOIN places ON visits.place < places.place GROUP BY side",
    "SELECT age, COUNT(*) AS n FROM visits JOIN members ON visits.pupil = members.pupil GROUP BY age",
    "SELECT age, COUNT(hours) AS n FROM members LEFT JOIN visits ON visits.pupil = members.pupil
     GROUP BY age",
    "SELECT age, COUNT(*) AS n FROM members WHERE pupil NOT IN (SELECT pupil FROM visits WHERE hours > 3)
     GROUP BY age",
    "SELECT COUNT(DISTINCT hours) AS d, MEDIAN(hours) AS m FROM visits",
    "SELECT n, COUNT(*) AS pupils FROM (SELECT pupil, COUNT(*) AS n FROM visits GROUP BY pupil) AS v
     WHERE n < 4 GROUP BY n",
    "SELECT place, COUNT(*) AS n FROM (SELECT pupil, place, CAST(ROW_NUMBER() OVER (PARTITION BY pupil
     ORDER BY hours) AS BIGINT) AS r FROM visits) AS v WHERE r = 1 GROUP BY place",
    "SELECT COUNT(*) AS n FROM (SELECT pupil, hours FROM visits
     UNION ALL SELECT pupil, CAST(age AS DOUBLE) FROM members) AS v WHERE hours > 2",
    "SELECT place, side, COUNT(*) AS n FROM (SELECT v.pupil, v.place, side FROM visits AS v JOIN places AS p
     ON v.place = p.place) AS w GROUP BY ROLLUP (side, place)",
    "SELECT place, COUNT(age) AS n FROM visits FULL JOIN members ON visits.pupil = members.pupil
     GROUP BY place",
];

/// Those whose rows come out of order and are sorted in memory: a join on an inequality, and pupils from either side.
const SORTED: [usize; 2] = [3, 12];

#[test]
fn totals_do_not_depend_on_the_number_of_parts() {
    let (one, four) = (Store::new(1), Store::new(4));
    assert!(four.snapshot().table("visits").unwrap().parts.iter().any(|part| part.rows == 0));
    for sql in QUESTIONS {
        let plan = plan(sql);
        let totals = one.totals(&plan);
        assert!(totals[0][0].len() > 1 || !sql.contains("GROUP BY"), "{sql}");
        assert!(totals == four.totals(&plan), "{sql}");
    }
}

/// A private join meets within a part: parts that are cut differently are refused, not joined wrongly.
#[test]
fn tables_that_are_cut_differently_are_not_read() {
    let store = Store::cut(4, &[("members", 4), ("visits", 2)]);
    let snapshot = store.snapshot();
    let ask = |sql| evaluate(&store.vault, &plan(sql), &snapshot, &limits()).map(|_| ());
    assert!(ask("SELECT AVG(age) AS a FROM members").is_ok());
    assert!(matches!(ask(QUESTIONS[4]), Err(EvaluateError::Failed)));
}

#[test]
fn keys_come_from_public_tables_and_lists_alone() {
    let store = Store::new(2);
    let keys = |sql| {
        let plan = plan(sql);
        runtime()
            .block_on(store.vault.keys(&plan.stages()[0], &store.snapshot(), Allowed::from_now(&limits())))
            .unwrap()
    };
    let GroupKeys::Public(places) = keys(QUESTIONS[0]) else { panic!("the places are public") };
    assert_eq!(places.len(), 3);
    assert_eq!(keys(QUESTIONS[1]), GroupKeys::Public(vec![vec![]]));
    let unknown = "SELECT h, COUNT(*) AS n
        FROM (SELECT pupil, CAST(hours AS VARCHAR) AS h FROM visits) AS v GROUP BY h";
    assert_eq!(keys(unknown), GroupKeys::Unknown);
    let tables = StoredTables::of(&store.snapshot());
    assert!(tables.public("places").is_ok());
    assert!(tables.public("visits").is_err());
    assert!(tables.part("visits", 2).is_err());
}

#[test]
fn a_panic_and_a_limit_are_failures_like_any_other() {
    let run = |limits: &Limits, fails: bool| {
        let work = async move {
            tokio::task::yield_now().await;
            assert!(!fails, "a value of a pupil");
            Ok(1)
        };
        runtime().block_on(within(Allowed::from_now(limits).end, work))
    };
    assert_eq!(run(&limits(), false).unwrap(), 1);
    let error = run(&limits(), true).unwrap_err();
    assert_eq!(error.to_string(), EvaluateError::Failed.to_string());
    let late = Limits { timeout_seconds: 0, ..limits() };
    let work = std::future::pending::<Result<(), EvaluateError>>();
    assert!(matches!(
        runtime().block_on(within(Allowed::from_now(&late).end, work)),
        Err(EvaluateError::Failed)
    ));

    let store = Store::new(2);
    let plan = plan(QUESTIONS[4]);
    let within = |limits: Limits| evaluate(&store.vault, &plan, &store.snapshot(), &limits);
    assert!(within(limits()).is_ok());
    assert!(within(Limits { memory_mib: 0, ..limits() }).is_err());

    // The time of a question is not counted anew for each of its stages.
    let limits = limits();
    let used_up = Allowed { end: std::time::Instant::now(), ..Allowed::from_now(&limits) };
    let (stage, snapshot) = (&plan.stages()[0], store.snapshot());
    let evaluated = store.vault.evaluate(stage, &[], PlanDigest([0; 32]), &snapshot, used_up);
    assert!(matches!(runtime().block_on(evaluated), Err(EvaluateError::Failed)));
}

/// Rows of pupils are read in order: no repartition, and no sort past what can keep the order.
#[test]
fn plans_over_pupils_keep_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::create(&dir.path().join("home"), b"key").unwrap();
    let input = |table: &str, text: &str| {
        let path = dir.path().join(format!("{table}.csv"));
        std::fs::write(&path, text).unwrap();
        Input { table: table.to_owned(), path }
    };
    let inputs = [
        input("places", "place,side\ngym,east\npool,west\n"),
        input("members", "pupil,age\n1,7\n2,8\n3,9\n"),
        input("visits", "pupil,place,hours\n3,gym,1\n1,pool,2\n3,pool,4\n2,gym,\n"),
    ];
    vault.ingest(&contract(), &inputs, &|_, _| {}, &|_| Ok(())).unwrap();
    let snapshot = vault.snapshot("club").unwrap().unwrap();
    let engine = Engine::new(Allowed::from_now(&limits()), &vault.storage).unwrap();
    let tables = StoredTables::of(&snapshot);
    for (number, sql) in QUESTIONS.into_iter().enumerate() {
        let plan = plan(sql);
        let logical = queries::emit::source(&plan.stages()[0], &[], &|name| tables.part(name, 0)).unwrap();
        let physical = runtime().block_on(engine.plan_by_pupil(&logical)).unwrap();
        let shown = displayable(physical.as_ref()).indent(false).to_string();
        assert_eq!(physical.output_partitioning().partition_count(), 1, "{shown}");
        assert!(!shown.contains("RepartitionExec"), "{shown}");
        assert_eq!(
            shown.contains(" SortExec") || shown.starts_with("SortExec"),
            SORTED.contains(&number),
            "{shown}"
        );
        let exact = evaluate(&vault, &plan, &snapshot, &limits()).unwrap();
        assert_eq!(format!("{exact:?}"), "Exact(sealed)");
    }
}
