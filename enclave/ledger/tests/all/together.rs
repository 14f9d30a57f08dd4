//! Several processes at once, and processes that are killed: the sum of the charges is the account.

use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::time::Duration;

use crate::common::*;
use disclosure_rules::Exhausted;
use ledger::{DebitError, LeafKind, Ledger, LogKey};
use serde_json::json;

/// Askers at once, each with a connection of its own.
const CLIENTS: usize = 64;

#[test]
fn the_last_unit_is_won_once() {
    let place = Place::new();
    let ledger = place.create();
    ledger.sign(at(0), &memorandum("m1", 11), "m1", None).unwrap();
    ledger.debit(at(0), &question("m1", 0), cost(10, 0.0)).unwrap();

    let barrier = Barrier::new(CLIENTS);
    let ask = |plan: u8| {
        let own = place.open();
        barrier.wait();
        match own.debit(at(1), &question("m1", plan), cost(1, 0.0)) {
            Ok(_) => true,
            Err(DebitError::Exhausted(Exhausted::Rho { .. })) => false,
            Err(other) => panic!("{other:?}"),
        }
    };
    let winners = std::thread::scope(|scope| {
        let ask = &ask;
        let asking: Vec<_> = (1..=CLIENTS as u8).map(|plan| scope.spawn(move || ask(plan))).collect();
        asking.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum::<usize>()
    });
    assert_eq!(winners, 1);
    assert_eq!(ledger.account("m1").unwrap().unwrap().charged, micro(11));
    let kinds: Vec<_> = ledger.leaves(2, 100).unwrap().into_iter().map(|leaf| leaf.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == LeafKind::Question).count(), 1);
    assert_eq!(kinds.iter().filter(|kind| **kind == LeafKind::Refusal).count(), CLIENTS - 1);
    ledger.verify().unwrap();
}

#[test]
fn one_handle_serves_many_threads() {
    let place = Place::new();
    let ledger = place.create();
    ledger.sign(at(0), &memorandum("m1", 1000), "m1", None).unwrap();
    std::thread::scope(|scope| {
        for plan in 0..4 {
            let ledger = &ledger;
            scope.spawn(move || {
                for _ in 0..5 {
                    ledger.debit(at(1), &question("m1", plan), cost(3, 1e-9)).unwrap();
                    ledger.record(at(1), &replay_key("m1", plan), json!({}), "answer").unwrap();
                }
            });
        }
    });
    assert_eq!(ledger.account("m1").unwrap().unwrap().charged, micro(60));
    assert_eq!(ledger.size().unwrap(), 41);
    ledger.verify().unwrap();
}

const CHILD: &str = "LEDGER_TEST_CHILD";
/// Clients of one child process; two children are 64.
const CLIENTS_OF_A_CHILD: u8 = 32;
/// How often, unless `ENCLAVE_KILLS` says otherwise.
const KILLS: u64 = 12;
/// At least so many questions, unless `ENCLAVE_CHARGES` says otherwise.
const CHARGES: u64 = 100;

/// Not a test by itself: asks without end, so that [`killed_processes_lose_no_charge`] can kill it.
#[test]
fn child_asks_until_killed() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let dir = std::path::Path::new(&dir);
    let pkcs8 = std::fs::read(dir.join("key")).unwrap();
    let client = |plan: u8| {
        let ledger = Ledger::open(&dir.join("ledger.db"), LogKey::from_pkcs8(&pkcs8).unwrap()).unwrap();
        loop {
            // The small one is soon spent: from then on it is refused, and never overdrawn.
            for (id, price) in [("m1", 1 + u64::from(plan) % 3), ("small", 7)] {
                match ledger.debit(at(1), &question(id, plan), cost(price, 0.0)) {
                    Ok(_) => drop(ledger.record(at(1), &replay_key(id, plan), json!({}), "answer").unwrap()),
                    Err(DebitError::Exhausted(_)) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for plan in 0..CLIENTS_OF_A_CHILD {
            let client = &client;
            scope.spawn(move || client(plan));
        }
    });
}

fn child(dir: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "together::child_asks_until_killed"])
        .env(CHILD, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn from_env(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}

/// 64 clients in two processes, killed again and again at whatever moment.
#[test]
fn killed_processes_lose_no_charge() {
    let (kills, charges) = (from_env("ENCLAVE_KILLS", KILLS), from_env("ENCLAVE_CHARGES", CHARGES));
    let dir = tempfile::tempdir().unwrap();
    let pkcs8 = LogKey::generate().unwrap();
    std::fs::write(dir.path().join("key"), &pkcs8).unwrap();
    let open = || Ledger::open(&dir.path().join("ledger.db"), LogKey::from_pkcs8(&pkcs8).unwrap()).unwrap();
    let key = LogKey::from_pkcs8(&pkcs8).unwrap();
    let ledger = Ledger::create(&dir.path().join("ledger.db"), ORIGIN, key).unwrap();
    ledger.sign(at(0), &memorandum("m1", 100_000_000), "m1", None).unwrap();
    ledger.sign(at(0), &memorandum("small", 200), "small", None).unwrap();
    drop(ledger);

    let (mut size, mut round, mut questions) = (2, 0, 0);
    while round < kills || questions < charges {
        let mut children = [child(dir.path()), child(dir.path())];
        // Waits for progress, then a little, each round a different while.
        while open().size().unwrap() == size {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(round * 37 % 101));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let ledger = open();
        size = ledger.size().unwrap();
        // All of the log in a short run; where there are many rounds, every tenth time and at the end.
        if round % 10 == 0 || kills <= KILLS || round + 1 >= kills {
            questions = adds_up(&ledger);
        }
        round += 1;
    }
    eprintln!("{round} kills of two processes, {questions} questions, {size} leaves");
    let small = open().account("small").unwrap().unwrap();
    assert!(small.charged <= micro(200), "overdrawn");
}

/// Accounts, log and sum of the charges are the same; every release has a charge of its own.
fn adds_up(ledger: &Ledger) -> u64 {
    ledger.verify().unwrap();
    assert!(ledger.recomputed().unwrap().iter().all(ledger::Recomputed::agrees));
    let (mut charged, mut questions, mut releases) = (0, 0, 0);
    for leaf in ledger.leaves(0, u64::MAX).unwrap() {
        let facts: serde_json::Value = serde_json::from_str(&leaf.body).unwrap();
        match leaf.kind {
            LeafKind::Question => {
                charged += facts["rho_micro"].as_u64().unwrap();
                questions += 1;
            }
            LeafKind::Release => releases += 1,
            _ => {}
        }
    }
    let sum: u64 =
        ["m1", "small"].iter().map(|id| ledger.account(id).unwrap().unwrap().charged.micro()).sum();
    assert_eq!((sum, ledger.pool(CONTRACT).unwrap().unwrap().charged.micro()), (charged, charged));
    assert!(releases <= questions, "{releases} releases of {questions} charges");
    questions
}
