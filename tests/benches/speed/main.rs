//! `make bench`: speed and memory as one JSON object, each beside what it has to reach. Ratios are of medians of
//! runs taken in turn within this process; whole processes are timed from outside, with their peak memory.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod process;
mod tpch;

use std::path::{Path, PathBuf};
use std::time::Instant;

use datasets_synthetic::{CITY_CONTRACT, City, CitySize, STAR_CONTRACT};
use gate::{Enclave, Options, Price, Request, Rho};
use serde_json::{Value, json};
use vault::Input;

/// Rule set under which a bench may ask as often as it likes.
const RULES: &str = "name = \"bench\"\nversion = \"1.0.0\"\n[small_cells]\nmin_units = 10\nassurance = 0.95\n[limits]\n\
    max_rho_per_release = 0.1\nmax_groups = 100000\ntimeout_seconds = 120\nmemory_mib = 4096\n";

const STAR_QUESTION: &str =
    "SELECT cltype, COUNT(*) AS n, AVG(math) AS math FROM results WHERE gr = 'K' GROUP BY cltype";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let report = json!({
        "star": star(&runtime),
        "ingest_city": ingest_city(),
        "tpch_sf1": tpch::run(&runtime),
    });
    println!("{}", serde_json::to_string_pretty(&report).unwrap());
}

/// A memorandum of contract `contract` over these columns of `table`.
fn memorandum(contract: &str, table: &str, columns: &str) -> String {
    format!(
        "id = \"bench\"\ncontract = \"{contract}\"\ntitle = {{ en = \"Bench\" }}\ninstitution = \"Bench\"\n\
         purpose = {{ en = \"Bench\" }}\nuse_case = \"bench\"\nvalid = {{ from = 2020-01-01, until = 2099-12-31 }}\n\
         rules = \"bench\"\npeople = [ {{ id = \"r1\", name = \"Bench\", role = \"researcher\" }} ]\n\
         items = [ {{ table = \"{table}\", columns = [{columns}] }} ]\n\
         [allotment]\nrho = 1000.0\ndelta = 1e-6\ndefault_rho = 0.01\n"
    )
}

/// A home with a contract, its records, and the bench's memorandum.
fn home(dir: &Path, contract: &str, inputs: &[Input], memorandum: &str) -> Enclave {
    let enclave = Enclave::create(dir, chrono::Utc::now).unwrap();
    let (contract, _) = enclave.publish_contract(contract).unwrap();
    enclave.install_rules(RULES).unwrap();
    enclave.ingest(&contract.name, inputs, &|_, _| {}).unwrap();
    enclave.sign_memorandum(memorandum).unwrap();
    enclave
}

/// Seconds of one fresh question.
fn ask(runtime: &tokio::runtime::Runtime, enclave: &Enclave, sql: &str, rho: f64) -> f64 {
    let request = Request {
        memorandum: "bench".to_owned(),
        person: None,
        sql: sql.to_owned(),
        price: Price::Rho(Rho::at_least(rho).unwrap()),
        options: Options::default(),
        fresh: true,
        preview: false,
    };
    let start = Instant::now();
    runtime.block_on(enclave.ask(&request)).unwrap();
    start.elapsed().as_secs_f64()
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn star(runtime: &tokio::runtime::Runtime) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("home");
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/star.csv");
    let columns = "\"gr\", \"cltype\", \"math\"";
    let inputs = [Input { table: "results".to_owned(), path: file }];
    let enclave = home(&path, STAR_CONTRACT, &inputs, &memorandum("star", "results", columns));
    let warm = median((0..9).map(|_| ask(runtime, &enclave, STAR_QUESTION, 0.02)).skip(1).collect());
    drop(enclave);
    let home = path.to_str().unwrap();
    let runs: Vec<_> = (0..9)
        .map(|_| {
            process::run(&[
                "--home",
                home,
                "ask",
                "-m",
                "bench",
                "--fresh",
                "--rho",
                "0.02",
                "--format",
                "json",
                STAR_QUESTION,
            ])
        })
        .collect();
    json!({
        "warm_ask_ms": { "measured": round(warm * 1e3), "at_most": 150 },
        "cold_process_s": { "measured": round(median(runs.iter().map(|run| run.seconds).collect())), "at_most": 1.0 },
        "cold_process_peak_mb": { "measured": round(runs.iter().map(|run| run.peak_mb).fold(0.0, f64::max)), "at_most": 300 },
    })
}

fn ingest_city() -> Value {
    let dir = tempfile::tempdir().unwrap();
    let files = City::generate(1, CitySize::default()).write_csv(dir.path()).unwrap();
    let rows: usize =
        files.iter().map(|file| std::fs::read_to_string(file).unwrap().lines().count() - 1).sum();
    let contract = dir.path().join("datapackage.json");
    std::fs::write(&contract, CITY_CONTRACT).unwrap();
    let home = dir.path().join("home");
    let home = home.to_str().unwrap();
    process::run(&["--home", home, "init"]);
    process::run(&["--home", home, "contract", "publish", contract.to_str().unwrap()]);
    let tables: Vec<String> = files
        .iter()
        .map(|file| format!("{}={}", file.file_stem().unwrap().to_str().unwrap(), file.display()))
        .collect();
    let arguments: Vec<&str> =
        ["--home", home, "ingest", "city"].into_iter().chain(tables.iter().map(String::as_str)).collect();
    let runs: Vec<_> = (0..5).map(|_| process::run(&arguments)).collect();
    let seconds = median(runs.iter().map(|run| run.seconds).collect());
    json!({
        "rows": rows,
        "rows_per_second": { "measured": round(rows as f64 / seconds), "at_least": 300_000 },
        "peak_mb": { "measured": round(runs.iter().map(|run| run.peak_mb).fold(0.0, f64::max)), "at_most": 500 },
    })
}

/// Three significant digits.
fn round(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap()
}
