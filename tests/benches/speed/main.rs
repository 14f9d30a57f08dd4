//! `make bench`: speed, memory and error as one JSON object, each beside what it has to reach. Ratios are of medians of
//! runs taken in turn within this process; whole processes are timed from outside, with their peak memory.
//! `cargo bench --package cli --bench speed -- gallery race` runs these sections only.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod gallery;
mod home;
mod large;
mod ledger;
mod process;
mod race;
mod serve;
mod tpch;

use std::path::PathBuf;

use datasets_synthetic::{CITY_CONTRACT, City, CitySize, STAR_CONTRACT};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use vault::Input;

use home::{Home, Paper, rho};

const STAR_QUESTION: &str =
    "SELECT cltype, COUNT(*) AS n, AVG(math) AS math FROM results WHERE gr = 'K' GROUP BY cltype";

/// A part of the report.
type Section = fn(&Runtime) -> Value;

const SECTIONS: [(&str, Section); 10] = [
    ("star", star),
    ("ingest_city", ingest_city),
    ("gallery", gallery::run),
    ("per_pupil", gallery::per_pupil),
    ("tpch_sf1", tpch::run),
    ("tpch_sf10", tpch::growth),
    ("race", race::run),
    ("large", large::run),
    ("ledger", ledger::run),
    ("serve", serve::run),
];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // Cargo itself adds `--bench`.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let unknown = wanted.iter().find(|name| !SECTIONS.iter().any(|(section, _)| section == name));
    assert!(unknown.is_none(), "no section {unknown:?}");
    let chosen =
        SECTIONS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|want| want == name));
    let report: Map<String, Value> = chosen.map(|(name, run)| ((*name).to_owned(), run(&runtime))).collect();
    println!("{}", serde_json::to_string_pretty(&report).unwrap());
}

/// The file of Project STAR.
fn star_csv() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/star.csv")
}

fn star(runtime: &Runtime) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("home");
    let inputs = [Input { table: "results".to_owned(), path: star_csv() }];
    let home = Home::new(&path, STAR_CONTRACT, &inputs, &Paper::default());
    let warm = median(
        (0..9).map(|_| home.ask(runtime, STAR_QUESTION, rho(0.02)).unwrap().seconds).skip(1).collect(),
    );
    drop(home);
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

fn ingest_city(_: &Runtime) -> Value {
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

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Three significant digits.
fn round(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap()
}
