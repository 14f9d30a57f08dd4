//! Section `ledger`: questions a second that are debited, logged, signed and flushed (`synchronous = FULL`), by 64
//! clients and by one, at logs of growing length. One question is two transactions, each durable before the next
//! begins: the debit, and the release. The flush of the disk is timed beside it: one client waits for two of them.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use disclosure_rules::{Cost, PlanDigest, Rho};
use ledger::{Event, Ledger, LogKey, Question, ReplayKey};
use memoranda::Memorandum;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Leaves that the log has when the questions begin; `ENCLAVE_LEDGER_LEAVES` says how many at most.
const LEAVES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
const LEAVES_MAX: u64 = 1_000_000;
const CLIENTS: usize = 64;
/// How long each is measured.
const MEASURED: Duration = Duration::from_secs(5);
const WARMED: Duration = Duration::from_secs(2);
/// To reach.
const QUESTIONS_A_SECOND: f64 = 500.0;

pub(crate) fn run(_: &Runtime) -> Value {
    let most = std::env::var("ENCLAVE_LEDGER_LEAVES").map_or(LEAVES_MAX, |most| most.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let key = LogKey::from_pkcs8(&LogKey::generate().unwrap()).unwrap();
    let ledger = Ledger::create(&dir.path().join("ledger.db"), "enclave.example/bench", key).unwrap();
    ledger.sign(now(), &memorandum(), "the text", None).unwrap();
    let (mut sizes, mut asked) = (Vec::new(), 0);
    for leaves in LEAVES.into_iter().filter(|leaves| *leaves <= most) {
        fill(&ledger, leaves);
        // What filling left to be moved from the write-ahead log is no question's.
        measure(&ledger, CLIENTS, WARMED, &mut asked);
        let flush = flush_seconds(dir.path());
        let many = measure(&ledger, CLIENTS, MEASURED, &mut asked);
        let one = measure(&ledger, 1, MEASURED, &mut asked);
        sizes.push(json!({
            "leaves": leaves,
            "questions_per_second_64_clients": rounded(many),
            "questions_per_second_1_client": rounded(one),
            "flush_ms": rounded(flush * 1e3),
            "reached": many >= QUESTIONS_A_SECOND,
        }));
    }
    let of = |i: usize| sizes[i]["questions_per_second_64_clients"].as_f64().unwrap_or_default();
    let flat = of(sizes.len() - 1) / of(0);
    json!({ "at_least": QUESTIONS_A_SECOND, "sizes": sizes, "last_to_first": rounded(flat) })
}

/// Questions a second.
fn measure(ledger: &Ledger, clients: usize, time: Duration, asked: &mut u64) -> f64 {
    let start = Instant::now();
    let from = *asked;
    let counts: u64 = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients as u64)
            .map(|client| {
                scope.spawn(move || {
                    let mut done = 0;
                    while start.elapsed() < time {
                        ask(ledger, from + (client << 32) + done);
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    // No plan is the same as one before.
    *asked += 1 << 40;
    counts as f64 / start.elapsed().as_secs_f64()
}

fn ask(ledger: &Ledger, number: u64) {
    let mut plan = [0; 32];
    plan[..8].copy_from_slice(&number.to_be_bytes());
    let digest = PlanDigest(plan);
    let facts = json!({
        "sql": "SELECT cltype, COUNT(*) AS n, AVG(math) AS math FROM results WHERE gr = 'K' GROUP BY cltype",
        "purpose": "class-size", "items": ["results.cltype", "results.gr", "results.math"],
        "contract_version": "1.0.0", "rules": "standard@1.0.0", "snapshot": "s1",
    });
    let question =
        Question { memorandum: "m1", contract: "star", person: "r1", digest, approval: None, facts };
    let cost = Cost { rho: Rho::from_micro(1).unwrap(), threshold_delta: 0.0 };
    ledger.debit(now(), &question, cost).unwrap();
    let key = ReplayKey { memorandum: "m1", contract: "star", snapshot: "s1", digest };
    let facts = json!({ "mechanism": "discrete gaussian", "scales": [[14.1, 900.5]], "groups_told": 3 });
    ledger.record(now(), &key, facts, &"an answer of some length ".repeat(20)).unwrap();
}

/// Until the log has so many leaves.
fn fill(ledger: &Ledger, leaves: u64) {
    loop {
        let size = ledger.size().unwrap();
        if size >= leaves {
            return;
        }
        let facts = |i: u64| json!({ "rule": "row-level", "number": i, "sql": "SELECT math FROM results" });
        let many = (size..leaves.min(size + 50_000)).map(facts);
        ledger.append_all(now(), Event::Refusal, many).unwrap();
    }
}

/// What the disk takes to make one page durable.
fn flush_seconds(folder: &Path) -> f64 {
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("flushed")).unwrap();
    let start = Instant::now();
    for i in 0..100u64 {
        file.write_all_at(&[1; 4096], i % 10 * 4096).unwrap();
        file.sync_data().unwrap();
    }
    start.elapsed().as_secs_f64() / 100.0
}

fn memorandum() -> Memorandum {
    let text = r#"
        id = "m1"
        contract = "star"
        title = { en = "Bench", ja = "計測" }
        institution = "A university"
        purpose = { en = "Speed", ja = "速さ" }
        use_case = "class-size"
        valid = { from = 2020-01-01, until = 2199-12-31 }
        rules = "standard"
        people = [ { id = "r1", name = "R", role = "researcher" } ]
        items = [ { table = "results", columns = ["gr"] } ]
        [allotment]
        rho = 100.0
        delta = 1e-6
        default_rho = 0.01
    "#;
    Memorandum::parse(text).unwrap()
}

fn now() -> DateTime<Utc> {
    Utc::now()
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
