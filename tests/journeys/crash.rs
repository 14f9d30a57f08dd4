//! The machine fails, again and again, at whatever moment: budget may be lost, nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vault::Vault;

use crate::support::{Desk, QUESTION};

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
    assert_eq!(snapshots, names(&desk, "identity/star"));
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
    assert_eq!(vault.check("star").unwrap().files, 2, "attributes and identities");
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
    let check = || Vault::open(&desk.home()).unwrap().check("star");
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&part, damaged).unwrap();
        assert!(check().is_err(), "byte {at}");
    }
    fs::write(&part, &whole[..whole.len() - 1]).unwrap();
    assert!(check().is_err(), "cut short");
    fs::remove_file(&part).unwrap();
    assert!(check().is_err(), "gone");
    fs::write(&part, whole).unwrap();
    check().unwrap();
}
