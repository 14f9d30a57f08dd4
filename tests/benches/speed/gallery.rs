//! The questions of `queries/gallery`, each as it stands: fresh through the gate of an open home, ledger and all,
//! against plain DataFusion over plain Parquet, in turn.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datasets_synthetic::{CITY_CONTRACT, City, CitySize, STAR_CONTRACT};
use gate::Failure;
use memoranda::{Kind, datapackage};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use vault::Input;

use crate::home::{Home, Paper, Plain, rho, write};
use crate::{median, round, star_csv};

/// Rounds of which the median counts, after one that warms up.
const ROUNDS: usize = 9;

/// One data set, in an enclave and beside it.
struct Set {
    contract: &'static str,
    home: Home,
    plain: Plain,
    _dir: tempfile::TempDir,
}

/// Medians of one question, in seconds.
struct Timed {
    name: String,
    private: f64,
    plain: f64,
}

pub(crate) fn run(runtime: &Runtime) -> Value {
    let mut report = serde_json::Map::new();
    // The city of the demo, and one whose records outweigh what every question costs however small it is.
    for (name, pupils) in [("demo", CitySize::default().pupils), ("large_city", 120_000)] {
        let sets = [city(runtime, pupils), star(runtime)];
        report.insert(name.to_owned(), timed(runtime, &sets));
    }
    Value::Object(report)
}

/// Pupils with more than 30 absent days, by school: an aggregation per pupil below the one that is released.
const ABSENT: &str = "SELECT school, COUNT(*) AS pupils FROM (SELECT pupil, school, SUM(absent_days) AS days \
    FROM attendance GROUP BY pupil, school) AS years WHERE days > 30 GROUP BY school";

pub(crate) fn per_pupil(runtime: &Runtime) -> Value {
    let set = city(runtime, 200_000);
    let (private, plain) = set.time(runtime, ABSENT).unwrap();
    json!({
        "pupils": 200_000,
        "private_s": round(private),
        "plain_s": round(plain),
        "ratio": { "measured": round(private / plain), "at_most": 1.1 },
        "private_plan": set.home.physical_plan(runtime, ABSENT),
    })
}

fn timed(runtime: &Runtime, sets: &[Set]) -> Value {
    let (mut timed, mut failed) = (Vec::new(), Vec::new());
    for file in questions() {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let sql = std::fs::read_to_string(&file).unwrap();
        let set = sets.iter().find(|set| sql.contains(&format!("-- contract: {}\n", set.contract))).unwrap();
        match set.time(runtime, &sql) {
            Ok((private, plain)) => timed.push(Timed { name, private, plain }),
            Err(failure) => failed.push(format!("{name}: {failure}")),
        }
    }
    let sum = |of: fn(&Timed) -> f64| timed.iter().map(of).sum::<f64>();
    let (private, plain) = (sum(|timed| timed.private), sum(|timed| timed.plain));
    timed.sort_by(|a, b| (b.private - b.plain).total_cmp(&(a.private - a.plain)));
    let question = |timed: &Timed| {
        json!({
            "question": timed.name,
            "private_ms": round(timed.private * 1e3),
            "plain_ms": round(timed.plain * 1e3),
        })
    };
    json!({
        "questions": timed.len(),
        "failed": failed,
        "private_s": round(private),
        "plain_s": round(plain),
        "ratio": { "measured": round(private / plain), "at_most": 2.0 },
        "slowest": timed.iter().take(8).map(question).collect::<Vec<_>>(),
    })
}

impl Set {
    /// Medians: through the gate, and plain.
    fn time(&self, runtime: &Runtime, sql: &str) -> Result<(f64, f64), Failure> {
        let (mut private, mut plain) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let (_, plain_seconds) = self.plain.ask(runtime, sql);
            let private_seconds = self.home.ask(runtime, sql, rho(0.1))?.seconds;
            if round > 0 {
                private.push(private_seconds);
                plain.push(plain_seconds);
            }
        }
        Ok((median(private), median(plain)))
    }
}

fn questions() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../queries/gallery");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|extension| extension == "sql")).collect();
    files.sort();
    files
}

fn city(runtime: &Runtime, pupils: u32) -> Set {
    let dir = tempfile::tempdir().unwrap();
    let files = City::generate(1, CitySize { pupils }).write_csv(dir.path()).unwrap();
    let input = |path: PathBuf| Input { table: path.file_stem().unwrap().to_str().unwrap().to_owned(), path };
    // Asked more often than the pool of the demo allows.
    let contract = CITY_CONTRACT.replace("\"enclave:poolRho\": 5.0", "\"enclave:poolRho\": 1000.0");
    set(runtime, "city", dir, &contract, &files.into_iter().map(input).collect::<Vec<_>>())
}

fn star(runtime: &Runtime) -> Set {
    let inputs = [Input { table: "results".to_owned(), path: star_csv() }];
    set(runtime, "star", tempfile::tempdir().unwrap(), STAR_CONTRACT, &inputs)
}

fn set(
    runtime: &Runtime,
    name: &'static str,
    dir: tempfile::TempDir,
    contract: &str,
    inputs: &[Input],
) -> Set {
    let home = Home::new(&dir.path().join("home"), contract, inputs, &Paper::default());
    let contract = datapackage::parse(contract).unwrap();
    let parquet = |input: &Input| {
        let path = dir.path().join(format!("{}.parquet", input.table));
        convert(contract.table(&input.table).unwrap(), &input.path, &path);
        Input { table: input.table.clone(), path }
    };
    let plain = Plain::new(runtime, &inputs.iter().map(parquet).collect::<Vec<_>>());
    Set { contract: name, home, plain, _dir: dir }
}

/// A CSV file as Parquet, by the contract's types.
fn convert(table: &memoranda::Table, csv: &Path, parquet: &Path) {
    let field = |column: &memoranda::Column| {
        let kind = match column.kind {
            Kind::Boolean => DataType::Boolean,
            Kind::Integer => DataType::Int64,
            Kind::Number => DataType::Float64,
            Kind::Text => DataType::Utf8,
            Kind::Date => DataType::Date32,
            Kind::DateTime => DataType::Timestamp(TimeUnit::Microsecond, None),
        };
        Field::new(&column.name, kind, true)
    };
    let schema = Arc::new(Schema::new(table.columns.iter().map(field).collect::<Vec<_>>()));
    let reader = arrow::csv::ReaderBuilder::new(Arc::clone(&schema)).with_header(true);
    write(parquet, &schema, reader.build(File::open(csv).unwrap()).unwrap().map(Result::unwrap));
}
