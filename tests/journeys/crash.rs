//! The machine fails, again and again, at whatever moment: budget may be lost, nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use gate::{Enclave, Failure, Options, Price, Request};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vault::Vault;

use crate::support::{Desk, QUESTION, replaced};

/// How often, unless `ENCLAVE_KILLS` says otherwise.
const KILLS: u32 = 30;
const SEED: u64 = 20_260_401;
const SIGKILL: i32 = 9;

const INGESTS: [[&str; 3]; 2] =
    [["ingest", "star", "results=star.csv"], ["ingest", "star", "results=without.csv"]];
const ASK: [&str; 6] = ["ask", "-m", "star-1", "--fresh", "--format", "json"];

/// What was seen on the way: a run in which nothing was hit would show nothing.
#[derive(Debug, Default)]
struct Seen {
    ingests_killed: u32,
    ingests_left_something: u32,
    ingests_took_effect: u32,
    asks_killed: u32,
    answers_told: u32,
    charges_lost: u64,
}

#[test]
fn a_kill_at_any_moment_costs_budget_at_most() {
    let kills = std::env::var("ENCLAVE_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let desk = Desk::with_star();
    let rows = without_one_pupil(&desk);
    // Delays up to a little more than each takes undisturbed, on this machine.
    let ingest_takes = time(|| drop(desk.run(INGESTS[0]).done()));
    let ask_takes = time(|| drop(desk.run_with(&[&ASK[..], &[QUESTION]].concat(), "").done()));
    let mut chance = ChaCha8Rng::seed_from_u64(SEED);
    let mut seen = Seen::default();
    let mut in_force = in_force(&desk);
    let mut effective = 2;
    for kill in 0..kills {
        let part = chance.random_range(0.0..1.2);
        if kill % 2 == 0 {
            let version = (kill / 2 + 1) as usize % 2;
            let (status, said) = desk.kill_after(&INGESTS[version], ingest_takes.mul_f64(part));
            let killed = status.signal() == Some(SIGKILL);
            assert!(killed || status.success(), "{status}");
            seen.ingests_killed += u32::from(killed);
            // What the log announced before the kill, the next command puts in force.
            desk.ask_json(["--preview", QUESTION]);
            let now = self::in_force(&desk);
            let in_effect = effective + usize::from(now != in_force);
            let left = names(&desk, "store/star/snapshots").len() > in_effect;
            seen.ingests_left_something += u32::from(left);
            if now == in_force {
                assert!(killed && !said.contains("is in force"), "{said}");
            } else {
                assert_eq!(now.1, rows[version], "neither the snapshot before nor the new one");
                effective += 1;
                seen.ingests_took_effect += 1;
            }
            in_force = now;
        } else {
            let all = [&ASK[..], &[QUESTION]].concat();
            let (status, said) = desk.kill_after(&all, ask_takes.mul_f64(part));
            let killed = status.signal() == Some(SIGKILL);
            assert!(killed || status.success(), "{status}");
            seen.asks_killed += u32::from(killed);
            if let Ok(answer) = serde_json::from_str::<serde_json::Value>(&said) {
                let index = answer["log"]["index"].as_u64().unwrap();
                let leaf = desk.run(["log", "show", &index.to_string()]).done().json();
                assert_eq!(leaf["leaf"]["kind"], "release", "told and not logged");
                seen.answers_told += 1;
            }
            assert_eq!(self::in_force(&desk), in_force);
        }
        // 0.01 each.
        seen.charges_lost = holds(&desk) / 10_000;
    }
    eprintln!("{kills} kills: {seen:?}");
    if kills >= KILLS {
        assert!(
            seen.ingests_killed > 0 && seen.ingests_left_something > 0 && seen.asks_killed > 0,
            "{seen:?}"
        );
    }

    // Undisturbed, all is as ever; and what killed ingests left is gone.
    desk.run(INGESTS[0]).done();
    effective += 1;
    desk.ask(["--fresh", QUESTION]).done();
    holds(&desk);
    assert_eq!(names(&desk, "store/star"), BTreeSet::from(["manifests", "snapshots"].map(str::to_owned)));
    let snapshots = names(&desk, "store/star/snapshots");
    assert_eq!(snapshots.len(), effective, "those that were in force, and no other");
    assert!(!desk.home().join("identity/star").exists(), "no identifiers, so nothing to keep apart");
    let vault = Vault::open(&desk.home()).unwrap();
    assert_eq!(vault.check(&crate::support::star()).unwrap().findings, vec![]);
    drop(vault);
    a_damaged_part_is_noticed(&desk);
}

/// `star.csv` without the first pupil, as `without.csv`; the rows of both.
fn without_one_pupil(desk: &Desk) -> [u64; 2] {
    let all = fs::read_to_string(desk.path("star.csv")).unwrap();
    let without: String = all.split_inclusive('\n').filter(|line| !line.starts_with("100045,")).collect();
    desk.write("without.csv", &without);
    let rows = [all, without].map(|text| text.lines().count() as u64 - 1);
    assert!(rows[0] > rows[1], "{rows:?}");
    rows
}

fn time(what: impl FnOnce()) -> Duration {
    let start = Instant::now();
    what();
    start.elapsed()
}

/// Id and rows of the snapshot in force, every file of which is as it was written.
fn in_force(desk: &Desk) -> (String, u64) {
    let vault = Vault::open(&desk.home()).unwrap();
    let checked = vault.check(&crate::support::star()).unwrap();
    // What a killed ingest left is no part of it.
    let wrong: Vec<_> = checked.findings.iter().filter(|finding| finding.rule != "leftover").collect();
    assert_eq!((checked.files, wrong), (1, vec![]));
    let snapshot = vault.snapshot("star").unwrap().unwrap();
    (snapshot.id.clone(), snapshot.table("results").unwrap().rows)
}

/// Log and accounts agree; no less is charged than was released; questions can be asked. Gives what was charged
/// for questions that were never answered, in millionths of ρ.
fn holds(desk: &Desk) -> u64 {
    desk.run(["log", "verify"]).done();
    let mut charges = BTreeMap::new();
    let mut released = 0;
    for (index, kind, rest) in desk.log() {
        let after = |word: &str| rest.split("  ").find_map(|part| part.strip_prefix(word).map(str::to_owned));
        if kind == "question" {
            let rho: f64 = after("rho ").unwrap().parse().unwrap();
            charges.insert(index, (rho * 1e6).round() as u64);
        } else if kind == "release" {
            let question: u64 = after("answers ").unwrap().parse().unwrap();
            released += charges.remove(&question).expect("a charge is used once");
        }
    }
    let unanswered: u64 = charges.values().sum();
    let charged = desk.charged_micro();
    assert!(charged >= released, "charged {charged}, released {released}");
    assert_eq!(charged, released + unanswered, "every charge is of a logged question");
    let preview = desk.ask_json(["--preview", QUESTION]);
    assert_eq!(preview["preview"], true);
    unanswered
}

fn names(desk: &Desk, folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(desk.home().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The check above is one: a single bit does not pass it.
fn a_damaged_part_is_noticed(desk: &Desk) {
    let (id, _) = in_force(desk);
    let part = desk.home().join(format!("store/star/snapshots/{id}/results/part-00000.parquet"));
    let whole = fs::read(&part).unwrap();
    let is_sound =
        || Vault::open(&desk.home()).unwrap().check(&crate::support::star()).unwrap().findings.is_empty();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&part, damaged).unwrap();
        assert!(!is_sound(), "byte {at}");
    }
    fs::write(&part, &whole[..whole.len() - 1]).unwrap();
    assert!(!is_sound(), "cut short");
    fs::remove_file(&part).unwrap();
    assert!(!is_sound(), "gone");
    fs::write(&part, whole).unwrap();
    assert!(is_sound());
}

const CHILD: &str = "ENCLAVE_TEST_CHILD";
const FAIL_AT: &str = "ENCLAVE_TEST_FAIL_AT";
const SIGABRT: i32 = 6;

/// Looks at the clock since the question began. Every step of the way that is written down is dated first: so the
/// clock is where the process fails, and the binary that people get has no failpoint in it.
static LOOKS: AtomicU32 = AtomicU32::new(0);
static LAST_LOOK: AtomicU32 = AtomicU32::new(u32::MAX);

fn failing_clock() -> DateTime<Utc> {
    if LOOKS.fetch_add(1, Ordering::SeqCst) + 1 == LAST_LOOK.load(Ordering::SeqCst) {
        std::process::abort();
    }
    Utc::now()
}

fn fresh() -> Request {
    Request {
        memorandum: "star-1".to_owned(),
        person: None,
        purpose: None,
        sql: QUESTION.to_owned(),
        price: Price::Default,
        confidence: None,
        options: Options { rows_per_unit: None, groups_per_unit: None },
        justification: None,
        fresh: true,
        preview: false,
    }
}

/// Not a test by itself: asks, and fails at the look at the clock that it is told; `0` is after the record and before
/// the answer.
#[test]
fn child_asks_and_fails() {
    let Ok(home) = std::env::var(CHILD) else { return };
    let at: u32 = std::env::var(FAIL_AT).unwrap().parse().unwrap();
    let enclave = Enclave::open(Path::new(&home), failing_clock).unwrap();
    if at > 0 {
        LAST_LOOK.store(LOOKS.load(Ordering::SeqCst) + at, Ordering::SeqCst);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(enclave.ask(&fresh())).unwrap();
    if at == 0 {
        std::process::abort();
    }
}

/// How the child ended.
fn fails_at(desk: &Desk, at: u32) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_asks_and_fails"])
        .env(CHILD, desk.home())
        .env(FAIL_AT, at.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

#[test]
fn a_failure_at_any_step_costs_budget_at_most() {
    let desk = Desk::with_star();
    let count = || (desk.logged("question"), desk.logged("release"));
    let (mut before_debit, mut before_record, mut steps) = (0, 0, 0);
    loop {
        let (questions, releases) = count();
        let status = fails_at(&desk, steps + 1);
        holds(&desk);
        let (questions, releases) = (count().0 - questions, count().1 - releases);
        if status.success() {
            assert_eq!((questions, releases), (1, 1), "undisturbed, it is answered");
            break;
        }
        assert_eq!(status.signal(), Some(SIGABRT), "{status}");
        match (questions, releases) {
            (0, 0) => before_debit += 1,
            (1, 0) => before_record += 1,
            other => panic!("step {}: {other:?}", steps + 1),
        }
        steps += 1;
    }
    assert!(before_debit > 0 && before_record > 0, "{before_debit} and {before_record} of {steps}");

    let (_, releases) = count();
    assert_eq!(fails_at(&desk, 0).signal(), Some(SIGABRT));
    assert_eq!(count().1, releases + 1, "recorded, and never told");
    holds(&desk);
    // It is given now, for nothing.
    let charged = desk.charged_micro();
    assert_eq!(desk.ask_json([QUESTION])["replayed"], true);
    assert_eq!(desk.charged_micro(), charged);
}

#[test]
fn of_64_askers_one_has_the_last_unit() {
    const ASKERS: usize = 64;
    let desk = Desk::with_papers();
    let paper = fs::read_to_string(desk.path("star-1.toml")).unwrap();
    let allotment = paper.lines().find(|line| line.starts_with("rho = ")).unwrap();
    desk.write("star-1.toml", &replaced(&paper, allotment, "rho = 0.02"));
    desk.run(["init"]).done();
    desk.run(["contract", "publish", "star.json"]).done();
    desk.run(["ingest", "star", "results=star.csv"]).done();
    desk.run(["memorandum", "sign", "star-1.toml"]).done();
    desk.ask([QUESTION]).done();

    let enclave = Enclave::open(&desk.home(), Utc::now).unwrap();
    let barrier = Barrier::new(ASKERS);
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        barrier.wait();
        match runtime.block_on(enclave.ask(&fresh())) {
            Ok(answered) => answered.rows.len(),
            Err(Failure::Exhausted(_)) => 0,
            Err(other) => panic!("{other:?}"),
        }
    };
    let answers: Vec<usize> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..ASKERS).map(|_| scope.spawn(ask)).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|rows| **rows > 0).count(), 1, "{answers:?}");
    assert_eq!((desk.logged("question"), desk.logged("release")), (2, 2));
    assert_eq!(desk.logged("refusal"), ASKERS - 1);
    assert_eq!(desk.charged_micro(), 20_000);
    desk.run(["log", "verify"]).done();
}
