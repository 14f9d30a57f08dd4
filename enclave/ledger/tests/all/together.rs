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

/// Not a test by itself: asks without end, so that [`a_killed_process_loses_no_charge`] can kill it.
#[test]
fn child_asks_until_killed() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let dir = std::path::Path::new(&dir);
    let key = LogKey::from_pkcs8(&std::fs::read(dir.join("key")).unwrap()).unwrap();
    let ledger = Ledger::open(&dir.join("ledger.db"), key).unwrap();
    loop {
        ledger.debit(at(1), &question("m1", 1), cost(1, 0.0)).unwrap();
        ledger.record(at(1), &replay_key("m1", 1), json!({}), "answer").unwrap();
    }
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

#[test]
fn a_killed_process_loses_no_charge() {
    let dir = tempfile::tempdir().unwrap();
    let pkcs8 = LogKey::generate().unwrap();
    std::fs::write(dir.path().join("key"), &pkcs8).unwrap();
    let open = || Ledger::open(&dir.path().join("ledger.db"), LogKey::from_pkcs8(&pkcs8).unwrap()).unwrap();
    let key = LogKey::from_pkcs8(&pkcs8).unwrap();
    let ledger = Ledger::create(&dir.path().join("ledger.db"), ORIGIN, key).unwrap();
    ledger.sign(at(0), &memorandum("m1", 1_000_000), "m1", None).unwrap();
    drop(ledger);

    let mut size = 1;
    for round in 0..12u64 {
        let mut children = [child(dir.path()), child(dir.path())];
        // Waits for progress, then a little, each round a different while.
        while open().size().unwrap() == size {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(round * 3 % 17));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let ledger = open();
        size = ledger.verify().unwrap().size;
        let leaves = ledger.leaves(1, u64::MAX).unwrap();
        let count = |kind| leaves.iter().filter(|leaf| leaf.kind == kind).count() as u64;
        assert_eq!(ledger.account("m1").unwrap().unwrap().charged.micro(), count(LeafKind::Question));
        assert!(count(LeafKind::Release) <= count(LeafKind::Question));
    }
}
