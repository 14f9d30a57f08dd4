//! A memorandum whose losses are pure: ε adds up in its account, ρ = ε²/2 in the pool.

use crate::common::*;
use disclosure_rules::Exhausted;
use disclosure_rules::account::Loss;
use ledger::{DebitError, Ledger, Recomputed};
use rusqlite::Connection;
use serde_json::Value;

fn pure(epsilon_micro: u64) -> Loss {
    Loss::Pure(epsilon(epsilon_micro))
}

/// Two memoranda of one pool: `pure` with ε = 3, of which 2 are charged in two questions; `rho` with ρ = 1.
fn charged(place: &Place) -> Ledger {
    let ledger = place.create();
    ledger.sign(at(0), &pure_memorandum("pure", 3_000_000), "pure", Some(micro(2_000_000))).unwrap();
    ledger.sign(at(1), &memorandum("rho", 1_000_000), "rho", None).unwrap();
    for plan in 1..=2 {
        ledger.debit(at(2), &question("pure", plan), pure(1_000_000)).unwrap();
    }
    ledger
}

fn body(ledger: &Ledger, leaf: u64) -> Value {
    serde_json::from_str(&ledger.leaf(leaf).unwrap().unwrap().body).unwrap()
}

#[test]
fn epsilon_adds_up_and_the_pool_counts_its_rho() {
    let place = Place::new();
    let ledger = charged(&place);
    let refused = ledger.debit(at(3), &question("pure", 3), pure(1_500_000));
    let Err(DebitError::Exhausted(Exhausted::Epsilon { price, balance })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((price, balance), (epsilon(1_500_000), epsilon(1_000_000)));
    let in_rho = ledger.debit(at(3), &question("pure", 3), cost(1, 0.0));
    assert!(matches!(in_rho, Err(DebitError::Exhausted(Exhausted::NotPure))), "{in_rho:?}");
    ledger.debit(at(4), &question("rho", 1), cost(500_000, 0.0)).unwrap();

    // The same to another process.
    drop(ledger);
    let ledger = place.open();
    let account = ledger.account("pure").unwrap().unwrap();
    assert_eq!(account.pure.unwrap().charged, epsilon(2_000_000));
    assert_eq!(account.charged, micro(1_000_000), "half a rho for each epsilon of 1");
    assert_eq!(ledger.pool(CONTRACT).unwrap().unwrap().charged, micro(1_500_000));
    // The pool has 0.5 left: as much as the last ε of 1.
    ledger.debit(at(5), &question("pure", 4), pure(1_000_000)).unwrap();
    assert_eq!(ledger.account("pure").unwrap().unwrap().pure.unwrap().balance().micro(), 0);
    assert!(matches!(
        ledger.debit(at(6), &question("rho", 2), cost(1, 0.0)),
        Err(DebitError::Exhausted(Exhausted::Rho { .. }))
    ));
    assert!(ledger.recomputed().unwrap().iter().all(Recomputed::agrees));
    ledger.verify().unwrap();
}

#[test]
fn the_log_states_both_losses() {
    let place = Place::new();
    let ledger = charged(&place);
    ledger.debit(at(3), &question("pure", 3), pure(1_500_000)).unwrap_err();
    let stated = |leaf: u64| {
        let body = body(&ledger, leaf);
        (body["epsilon_micro"].as_u64(), body["rho_micro"].as_u64(), body["threshold_delta"].as_f64())
    };
    assert_eq!(stated(0), (Some(3_000_000), Some(4_500_000), Some(0.0)));
    assert_eq!(stated(2), (Some(1_000_000), Some(500_000), Some(0.0)));
    assert_eq!(stated(4), (Some(1_500_000), Some(1_125_000), Some(0.0)));
    // A memorandum in ρ is stated as ever.
    assert_eq!(stated(1), (None, Some(1_000_000), Some(0.5e-6)));
    assert!(body(&ledger, 1).get("epsilon_micro").is_none());
}

#[test]
fn the_audit_adds_up_epsilon() {
    let original = Place::new();
    drop(charged(&original));
    for change in [
        "UPDATE account SET epsilon_charged_micro = 0 WHERE name = 'pure'",
        "UPDATE account SET epsilon_micro = 4000000 WHERE name = 'pure'",
        "UPDATE account SET epsilon_micro = NULL, epsilon_charged_micro = NULL WHERE name = 'pure'",
        "UPDATE account SET epsilon_micro = 1, epsilon_charged_micro = 0 WHERE name = 'rho'",
    ] {
        let place = original.copy();
        let ledger = place.open();
        ledger.verify().unwrap();
        assert_eq!(Connection::open(place.path()).unwrap().execute(change, []).unwrap(), 1);
        let found = ledger.verify().unwrap_err();
        assert!(
            found.iter().any(|one| one.to_string().contains("memorandum account of")),
            "{change}: {found:?}"
        );
    }
    // Leaves whose two losses contradict each other, or that charge more than there is.
    for (from, to) in [
        (r#""epsilon_micro":1000000,"#, r#""epsilon_micro":999999,"#),
        (r#""epsilon_micro":1000000,"#, ""),
        (r#""epsilon_micro":3000000,"#, r#""epsilon_micro":1000000,"#),
    ] {
        let place = original.copy();
        let ledger = place.open();
        let other = Connection::open(place.path()).unwrap();
        other.execute_batch("DROP TRIGGER leaf_fixed").unwrap();
        other.execute("UPDATE leaf SET body = replace(body, ?1, ?2)", [from, to]).unwrap();
        let found = ledger.verify().unwrap_err();
        assert!(found.iter().any(|one| one.to_string().contains("is not one that")), "{to}: {found:?}");
    }
}

#[test]
fn the_file_never_holds_more_than_the_allotment() {
    let place = Place::new();
    drop(charged(&place));
    let other = Connection::open(place.path()).unwrap();
    for change in [
        "UPDATE account SET epsilon_charged_micro = 3000001 WHERE name = 'pure'",
        "UPDATE account SET epsilon_charged_micro = NULL WHERE name = 'pure'",
        "UPDATE account SET epsilon_charged_micro = 1 WHERE name = 'rho'",
    ] {
        assert!(other.execute(change, []).is_err(), "{change}");
    }
}

#[test]
fn a_ledger_from_before_is_read_on() {
    let place = Place::new();
    let ledger = place.create();
    ledger.sign(at(0), &memorandum("rho", 100), "rho", None).unwrap();
    ledger.debit(at(1), &question("rho", 1), cost(10, 0.0)).unwrap();
    drop(ledger);
    // As version 1 had it.
    Connection::open(place.path())
        .unwrap()
        .execute_batch(
            "CREATE TABLE old (
               kind TEXT NOT NULL CHECK (kind IN ('memorandum', 'pool')),
               name TEXT NOT NULL,
               allotment_micro INTEGER,
               charged_micro INTEGER NOT NULL CHECK (charged_micro >= 0),
               delta REAL,
               delta_charged REAL NOT NULL CHECK (delta_charged >= 0),
               PRIMARY KEY (kind, name),
               CHECK (allotment_micro IS NULL OR charged_micro <= allotment_micro)
             ) STRICT;
             INSERT INTO old SELECT kind, name, allotment_micro, charged_micro, delta, delta_charged FROM account;
             DROP TRIGGER account_kept;
             DROP TABLE account;
             ALTER TABLE old RENAME TO account;
             CREATE TRIGGER account_kept BEFORE DELETE ON account
               BEGIN SELECT RAISE(ABORT, 'accounts are kept'); END;
             DROP TABLE vote;
             DROP TABLE approval;
             PRAGMA user_version = 1;",
        )
        .unwrap();
    for _ in 0..2 {
        let ledger = place.open();
        ledger.verify().unwrap();
        ledger.debit(at(2), &question("rho", 2), cost(10, 0.0)).unwrap();
    }
    let ledger = place.open();
    assert_eq!(ledger.account("rho").unwrap().unwrap().charged, micro(30));
    ledger.sign(at(3), &pure_memorandum("pure", 1_000_000), "pure", None).unwrap();
    ledger.debit(at(4), &question("pure", 1), pure(1_000_000)).unwrap();
    ledger.verify().unwrap();
    let other = Connection::open(place.path()).unwrap();
    assert!(other.execute("UPDATE account SET epsilon_charged_micro = 1000001", []).is_err());
    assert!(
        other.execute("UPDATE account SET epsilon_charged_micro = NULL WHERE name = 'pure'", []).is_err()
    );
}
