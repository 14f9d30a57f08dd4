//! Someone with the database file in hand: what they change is found, or stops the ledger.

use crate::common::*;
use ledger::{Ledger, LedgerError};
use rusqlite::Connection;
use serde_json::json;

/// A ledger in which something of everything happened.
fn lived_in(place: &Place) -> Ledger {
    let ledger = place.create();
    ledger.publish(at(0), ledger::DocumentKind::Contract, "star", "1.0.0", "contract", json!({})).unwrap();
    for (second, id) in [(1, "m1"), (2, "m2")] {
        ledger.sign(at(second), &memorandum(id, 100), id, Some(micro(1000))).unwrap();
        for plan in 0..3 {
            ledger.debit(at(second), &question(id, plan), cost(7, 0.1e-6)).unwrap();
            ledger.record(at(second), &replay_key(id, plan), json!({}), "answer").unwrap();
        }
    }
    ledger.debit(at(3), &question("m1", 9), cost(5, 0.0)).unwrap();
    ledger.end_memorandum(at(4), "m2").unwrap();
    ledger.verify().unwrap();
    ledger
}

#[test]
fn the_audit_names_every_change() {
    let original = Place::new();
    drop(lived_in(&original));
    for (change, expected) in [
        (
            "UPDATE leaf SET body = replace(body, '\"rho_micro\":7', '\"rho_micro\":6') WHERE position = 2",
            "node 2 of level 0",
        ),
        ("UPDATE leaf SET body = replace(body, ',', ' ,') WHERE position = 2", "leaf 2 is not one"),
        ("UPDATE leaf SET body = '{}' WHERE position = 2", "leaf 2 is not one"),
        ("DELETE FROM leaf WHERE position = 5", "leaf 5 is missing"),
        ("DELETE FROM leaf WHERE position = 16", "16 leaves, but the checkpoint is of 17"),
        ("UPDATE node SET hash = zeroblob(32) WHERE level = 1 AND position = 3", "node 3 of level 1"),
        ("DELETE FROM node WHERE level = 2 AND position = 0", "node 0 of level 2"),
        ("INSERT INTO node VALUES (9, 9, zeroblob(32))", "nodes are stored"),
        ("UPDATE log SET checkpoint = replace(checkpoint, '17', '16')", "signature does not verify"),
        ("UPDATE account SET charged_micro = 0 WHERE name = 'm1'", "memorandum account of `m1`"),
        ("UPDATE account SET delta_charged = 0 WHERE name = 'm2'", "memorandum account of `m2`"),
        ("UPDATE account SET allotment_micro = NULL WHERE kind = 'pool'", "pool account of `star`"),
        ("DELETE FROM account WHERE kind = 'pool'", "pool account of `star`"),
        (
            "INSERT INTO account VALUES ('memorandum', 'm3', 10, 0, NULL, 0, NULL, NULL)",
            "memorandum account of `m3`",
        ),
        ("UPDATE document SET text = 'other' WHERE kind = 'contract'", "stored as document"),
        ("UPDATE memorandum SET ended = NULL", "end of a memorandum"),
        ("UPDATE memorandum SET contract = 'else' WHERE id = 'm2'", "stored as memorandum"),
        ("DELETE FROM question WHERE leaf = (SELECT MAX(leaf) FROM question)", "stored as question"),
        ("UPDATE disclosure SET answer = 'forged' WHERE leaf = 3", "stored as answer"),
        ("UPDATE disclosure SET snapshot = 's2' WHERE leaf = 3", "stored as answer"),
    ] {
        let place = original.copy();
        let ledger = place.open();
        let other = Connection::open(place.path()).unwrap();
        for trigger in [
            "leaf_kept",
            "leaf_fixed",
            "node_kept",
            "node_fixed",
            "document_kept",
            "document_fixed",
            "account_kept",
            "disclosure_kept",
            "disclosure_fixed",
        ] {
            other.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
        }
        other.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        assert_eq!(other.execute(change, []).unwrap().min(1), 1, "{change}");
        let found = ledger.verify().unwrap_err();
        assert!(found.iter().any(|one| one.to_string().contains(expected)), "{change}: {found:?}");
    }
}

#[test]
fn a_tree_that_is_not_the_signed_one_stops_the_ledger() {
    for change in [
        "UPDATE log SET checkpoint = replace(checkpoint, '17', '16')",
        "DROP TRIGGER node_fixed; UPDATE node SET hash = zeroblob(32) WHERE level = 4",
        "INSERT INTO leaf VALUES (17, '{}')",
    ] {
        let place = Place::new();
        let ledger = lived_in(&place);
        Connection::open(place.path()).unwrap().execute_batch(change).unwrap();
        let append = ledger.append(at(9), ledger::Event::Refusal, json!({}));
        assert!(matches!(append, Err(LedgerError::Damaged(_))), "{change}");
        drop(ledger);
        assert!(matches!(Ledger::open(&place.path(), place.key()), Err(LedgerError::Damaged(_))), "{change}");
    }
}

#[test]
fn leaves_documents_and_answers_are_never_changed() {
    let place = Place::new();
    let ledger = lived_in(&place);
    let other = Connection::open(place.path()).unwrap();
    for change in [
        "UPDATE leaf SET body = '{}'",
        "DELETE FROM leaf",
        "DELETE FROM node",
        "UPDATE node SET hash = zeroblob(32)",
        "DELETE FROM document",
        "UPDATE document SET text = ''",
        "DELETE FROM account",
        "DELETE FROM disclosure",
        "UPDATE disclosure SET answer = ''",
        "UPDATE account SET charged_micro = 101 WHERE name = 'm1'",
    ] {
        assert!(other.execute(change, []).is_err(), "{change}");
    }
    ledger.verify().unwrap();
}

#[test]
fn a_forged_answer_is_not_replayed() {
    let place = Place::new();
    let ledger = lived_in(&place);
    assert!(ledger.replay(&replay_key("m1", 0)).unwrap().is_some());
    let other = Connection::open(place.path()).unwrap();
    other.execute_batch("DROP TRIGGER disclosure_fixed; UPDATE disclosure SET answer = 'forged'").unwrap();
    assert!(matches!(ledger.replay(&replay_key("m1", 0)), Err(LedgerError::Damaged(_))));
}
