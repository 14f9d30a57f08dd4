//! What somebody on the network sees of an answer beside its numbers: status, size, and when it comes. With one pupil
//! more, and that one with so many rows that it takes longer to read them, none of it differs.
//!
//! `ENCLAVE_ASKS` says how often: 120 by default, nightly 100,000; `ENCLAVE_AT_ONCE` how many side by side.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use gate::logins::{Caller, Scope, Secret, SecretKind};
use gate::{Enclave, Options, Request, encode};
use server::config::Limits;
use server::door::Door;
use tests::club::{self, Visits};
use tests::{Home, OPEN_RULES, Paper, priced};
use tokio::sync::watch;

const QUESTION: &str = "SELECT kind, COUNT(*) AS n, AVG(minutes) AS minutes FROM visits GROUP BY kind";
/// Rows of the pupil who is there or not.
const ROWS: usize = 25_000;

/// The same records, with and without one pupil.
fn neighbours() -> [Home; 2] {
    let dir = tempfile::tempdir().unwrap();
    let mut visits = Visits::default();
    for pupil in 0..40 {
        visits.push(
            pupil,
            &format!("{},hall,{},-4,true,1,3,0.5,2025-01-01", ["a", "b", "c"][pupil % 3], pupil + 1),
        );
    }
    let without = visits.write(&dir.path().join("without"));
    for _ in 0..ROWS {
        visits.push(99_999, "a,hall,7,0,true,1,3,0.5,2025-01-01");
    }
    let with = visits.write(&dir.path().join("with"));
    let rules = OPEN_RULES
        .replace("\"open\"", "\"grid\"")
        .replace("memory_mib = 4096", "memory_mib = 4096\ntime_grid_ms = 400");
    [without, with].map(|inputs| {
        let home = Home::bare(&club::contract(4e12), &inputs);
        home.enclave.install_rules(&rules).unwrap();
        home.sign(&Paper { rules: "grid", ..Paper::all("m", &home.contract) });
        home
    })
}

fn caller() -> Caller {
    let now = Utc::now();
    let secret = Secret {
        id: 1,
        kind: SecretKind::Session,
        owner: "a".to_owned(),
        label: String::new(),
        scope: String::new(),
        issued: now,
        seen: now,
        expires: now + TimeDelta::hours(1),
        ended: None,
    };
    Caller {
        login: "a".to_owned(),
        people: ["m/r1".to_owned()].into(),
        scopes: Scope::ALL.into(),
        memorandum: None,
        secret,
    }
}

/// What was seen of one answer.
struct Seen {
    status: String,
    bytes: f64,
    seconds: f64,
}

async fn seen(door: &Door, enclave: &Enclave, guarded: bool) -> Seen {
    let options = Options { rows_per_unit: Some(15), groups_per_unit: None };
    let request = Request { options, ..priced(QUESTION, 0.001) };
    let begun = Instant::now();
    let answered = if guarded {
        let (_keep, cancel) = watch::channel(false);
        door.ask(&caller(), request, Box::new(|_| ()), cancel).await.map_err(|error| error.to_string())
    } else {
        enclave.ask(&request).await.map_err(|error| error.to_string())
    };
    let seconds = begun.elapsed().as_secs_f64();
    match answered {
        Ok(answered) => {
            let bytes = encode::encode(&answered, encode::Format::Json).unwrap().len() as f64;
            Seen { status: format!("{} rows", answered.rows.len()), bytes, seconds }
        }
        Err(error) => Seen { bytes: error.len() as f64, status: error, seconds },
    }
}

/// Welch's t of two samples.
fn t(a: &[f64], b: &[f64]) -> f64 {
    let moments = |x: &[f64]| {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        (mean, x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (x.len() - 1) as f64 / x.len() as f64)
    };
    let ((a, va), (b, vb)) = (moments(a), moments(b));
    if va + vb == 0.0 { if a == b { 0.0 } else { f64::INFINITY } } else { (a - b) / (va + vb).sqrt() }
}

/// The same of their ranks, to which one answer that was late for another reason is one late answer.
fn t_of_ranks(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<f64> = a.iter().chain(b).copied().collect();
    all.sort_by(f64::total_cmp);
    let rank = |x: &f64| all.partition_point(|other| other < x) as f64;
    t(&a.iter().map(rank).collect::<Vec<_>>(), &b.iter().map(rank).collect::<Vec<_>>())
}

/// `asks` answers of both, by turns.
fn compare(homes: &[Home; 2], asks: usize, at_once: usize, guarded: bool) -> [Vec<Seen>; 2] {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let limits = Limits {
        questions: at_once,
        questions_per_person: at_once,
        questions_per_memorandum: at_once,
        ..Limits::default()
    };
    let served = |home: &Home| Door::new(home.enclave.clone().from_elsewhere(), limits.clone());
    let doors = homes.each_ref().map(served);
    let mut found = [vec![], vec![]];
    runtime.block_on(async {
        for round in 0..asks / (2 * at_once) {
            for which in [round % 2, (round + 1) % 2] {
                let asking = (0..at_once).map(|_| {
                    let (door, enclave) = (doors[which].clone(), homes[which].enclave.clone());
                    tokio::spawn(async move { seen(&door, &enclave, guarded).await })
                });
                for asked in asking.collect::<Vec<_>>() {
                    found[which].push(asked.await.unwrap());
                }
            }
        }
    });
    found
}

#[test]
fn neither_status_nor_size_nor_time_tells_of_a_pupil() {
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (asks, at_once) = (number("ENCLAVE_ASKS", 120), number("ENCLAVE_AT_ONCE", 2));
    let homes = neighbours();
    let grid = homes[0].enclave.time_grid("m").unwrap();
    assert_eq!(grid, Duration::from_millis(400));
    // Those who ask at once share what the machine does meanwhile: of time, they are one sample together.
    let means = |found: &[Vec<Seen>; 2], together: usize, what: fn(&Seen) -> f64| {
        let mean = |seen: &[Seen]| seen.iter().map(what).sum::<f64>() / seen.len() as f64;
        found.each_ref().map(|seen| seen.chunks(together).map(mean).collect::<Vec<f64>>())
    };
    let of = |found: &[Vec<Seen>; 2], together: usize, what: fn(&Seen) -> f64| {
        let [a, b] = means(found, together, what);
        t(&a, &b)
    };

    // Without the door, the time tells: else this test would show nothing.
    let open = compare(&homes, 320, 2, false);
    let [a, b] = means(&open, 2, |seen| seen.seconds);
    let told = t_of_ranks(&a, &b);
    assert!(told.abs() > 5.0, "the control sees the pupil: t = {told}");

    let closed = compare(&homes, asks, at_once, true);
    let status = &closed[0][0].status;
    assert!(closed.iter().flatten().all(|seen| seen.status == *status), "one status");
    let seconds = of(&closed, at_once, |seen| seen.seconds);
    // The steps that were waited. Beside them there is what comes before the charge and after the answer is recorded.
    let steps = of(&closed, at_once, |seen| (seen.seconds / 0.4).floor());
    let bytes = of(&closed, 1, |seen| seen.bytes);
    eprintln!(
        "{asks} asks: t of time {seconds:.2}, of steps {steps:.2} (without the door {told:.1}), of size {bytes:.2}"
    );
    assert!(seconds.abs() < 5.0, "time: t = {seconds}");
    assert!(steps.abs() < 5.0, "steps: t = {steps}");
    assert!(bytes.abs() < 5.0, "size: t = {bytes}");
}
