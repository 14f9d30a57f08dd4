//! What is kept outside: receipts, statements, and accounts out of an export; and leaves of every kind of act.

use chrono::Duration;
use disclosure_rules::Rho;
use ledger::{AccountKind, Event, LeafKind, Receipt, ReceiptError, RecountError, forecast, recount};
use serde_json::{Value, json};

use crate::common::*;

/// A ledger with a release at leaf 3, and more after it.
fn released(place: &Place) -> (ledger::Ledger, u64) {
    let ledger = place.create();
    ledger.append(at(0), Event::Init, json!({})).unwrap();
    ledger.sign(at(0), &memorandum("m1", 500), "m1", Some(micro(700))).unwrap();
    ledger.debit(at(1), &question("m1", 1), cost(60, 0.0)).unwrap();
    let facts = json!({ "table_sha256": "sha256:ab", "scales": [[1.5]], "mechanism": "discrete gaussian" });
    let index = ledger.record(at(2), &replay_key("m1", 1), facts, "answer").unwrap().position().index;
    (ledger, index)
}

#[test]
fn a_receipt_holds_without_the_ledger() {
    let place = Place::new();
    let (ledger, index) = released(&place);
    let early = ledger.receipt(index).unwrap().unwrap();
    for second in 3..40 {
        ledger.append(at(second), Event::Replay, json!({})).unwrap();
    }
    let late = ledger.receipt(index).unwrap().unwrap();
    let key = ledger.public_key().clone();
    drop((ledger, place));
    for (receipt, size) in [(early, 4), (late, 41)] {
        let receipt = Receipt::parse(&receipt.to_string()).unwrap();
        let held = receipt.verify(&key).unwrap();
        assert_eq!((held.index, held.size, held.table_sha256()), (3, size, Some("sha256:ab")));
        assert_eq!(held.question.unwrap()["rho_micro"], 60);
        assert_eq!(receipt.key().unwrap(), key);
    }
}

#[test]
fn no_other_leaf_has_a_receipt() {
    let place = Place::new();
    let (ledger, index) = released(&place);
    for other in [0, 1, 2, index + 1, u64::MAX] {
        assert_eq!(ledger.receipt(other).unwrap(), None, "{other}");
    }
}

/// Every value of a receipt, changed by itself, is noticed; unchanged it holds.
#[test]
fn every_value_of_a_receipt_counts() {
    let place = Place::new();
    let (ledger, index) = released(&place);
    ledger.append(at(3), Event::Replay, json!({})).unwrap();
    let whole = ledger.receipt(index).unwrap().unwrap().to_json();
    let verify = |value: &Value| Receipt::parse(&value.to_string())?.verify(ledger.public_key()).map(drop);
    assert_eq!(verify(&whole), Ok(()));

    fn paths(value: &Value, at: String, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(k, v)| paths(v, format!("{at}/{k}"), found)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, v)| paths(v, format!("{at}/{i}"), found))
            }
            _ => found.push(at),
        }
    }
    let mut found = Vec::new();
    paths(&whole, String::new(), &mut found);
    assert!(found.len() > 20, "{found:?}");
    for path in found {
        let mut changed = whole.clone();
        let value = changed.pointer_mut(&path).unwrap();
        *value = match value {
            Value::Number(number) => json!(number.as_f64().unwrap() + 1.0),
            Value::String(text) => json!(format!("{}x", &text[..text.len() - 1])),
            _ => json!("x"),
        };
        assert!(verify(&changed).is_err(), "{path}");
    }
    for gone in ["terms", "result", "release", "checkpoint", "key", "format"] {
        let mut changed = whole.clone();
        changed.as_object_mut().unwrap().shift_remove(gone);
        assert_eq!(verify(&changed), Err(ReceiptError::Form), "{gone}");
    }
    let mut more = whole.clone();
    more["note"] = json!("and the exact numbers are");
    assert_eq!(verify(&more), Err(ReceiptError::Form));
    let other = Place::new().create().public_key().clone();
    let receipt = Receipt::parse(&whole.to_string()).unwrap();
    assert!(matches!(receipt.verify(&other), Err(ReceiptError::Checkpoint(_))));
}

#[test]
fn a_receipt_is_of_its_own_question() {
    let place = Place::new();
    let (ledger, index) = released(&place);
    ledger.debit(at(5), &question("m1", 2), cost(1, 0.0)).unwrap();
    let other = ledger.record(at(6), &replay_key("m1", 2), json!({}), "other").unwrap().position().index;
    let mut mixed = ledger.receipt(other).unwrap().unwrap().to_json();
    let first = ledger.receipt(index).unwrap().unwrap().to_json();
    mixed["question"] = first["question"].clone();
    let refused = Receipt::parse(&mixed.to_string()).unwrap().verify(ledger.public_key());
    assert_eq!(refused, Err(ReceiptError::OtherLeaf(2, LeafKind::Question)));
}

#[test]
fn a_statement_has_every_charge_and_the_balance_after_it() {
    let place = Place::new();
    let (ledger, release) = released(&place);
    ledger.debit(at(9), &question("m1", 2), cost(40, 0.0)).unwrap();
    ledger.sign(at(9), &memorandum("m2", 100), "m2", None).unwrap();
    ledger.debit(at(9), &question("m2", 2), cost(5, 0.0)).unwrap();
    let entries = ledger.statement("m1").unwrap();
    let lines: Vec<_> = entries
        .iter()
        .map(|entry| {
            let balance = entry.account.balance().unwrap().micro();
            (entry.kind, entry.rho.micro(), balance, entry.release)
        })
        .collect();
    assert_eq!(
        lines,
        [
            (LeafKind::Signature, 0, 500, None),
            (LeafKind::Question, 60, 440, Some(release)),
            (LeafKind::Question, 40, 400, None),
        ]
    );
    assert_eq!(entries[1].question.as_deref(), Some(digest(1).to_string().as_str()));
    assert_eq!(entries[2].account, ledger.account("m1").unwrap().unwrap());
    assert_eq!(ledger.statement("m9").unwrap(), []);
}

#[test]
fn a_balance_lasts_as_long_as_the_pace_allows() {
    let place = Place::new();
    let (ledger, _) = released(&place);
    let account = ledger.account("m1").unwrap().unwrap();
    // 60 in 6 days, 440 left: 44 more days.
    let now = at(0) + Duration::days(6);
    let told = forecast(&account, at(0), now);
    assert!((told.per_day - 10e-6).abs() < 1e-12);
    assert_eq!(told.runs_out.map(|end| (end - now).num_hours()), Some(44 * 24));
    // The first hours are no pace.
    assert!(forecast(&account, at(0), at(60)).per_day < 61e-6);
    let fresh = disclosure_rules::Account { charged: Rho::ZERO, ..account };
    assert_eq!(forecast(&fresh, at(0), now).runs_out, None);
}

#[test]
fn an_export_adds_up_to_the_accounts() {
    let place = Place::new();
    let (ledger, _) = released(&place);
    ledger.sign(at(3), &pure_memorandum("p1", 2_000_000), "p1", Some(micro(700))).unwrap();
    let loss = disclosure_rules::account::Loss::Pure(epsilon(10_000));
    ledger.debit(at(4), &question("p1", 3), loss).unwrap();
    let (dir, other) = (place.dir.path().join("log"), Place::new());
    ledger.export(&dir).unwrap();
    let counted = recount(&dir, ledger.public_key()).unwrap();
    assert_eq!(counted.verified.size, ledger.size().unwrap());
    let found: Vec<_> =
        counted.accounts.iter().map(|a| (a.kind, a.name.as_str(), a.questions, a.releases)).collect();
    assert_eq!(
        found,
        [
            (AccountKind::Memorandum, "m1", 1, 1),
            (AccountKind::Memorandum, "p1", 1, 0),
            (AccountKind::Pool, CONTRACT, 2, 1),
        ]
    );
    for account in counted.accounts {
        let stored = match account.kind {
            AccountKind::Memorandum => ledger.account(&account.name),
            AccountKind::Pool => ledger.pool(&account.name),
        };
        assert_eq!(stored.unwrap(), Some(account.account));
    }
    let wrong = recount(&dir, other.create().public_key());
    assert!(matches!(wrong, Err(RecountError::Verify(_))));
}

#[test]
fn every_event_is_a_leaf_that_the_ledger_knows() {
    let place = Place::new();
    let ledger = place.create();
    for event in [
        Event::Init,
        Event::Ingest,
        Event::Keys,
        Event::Records,
        Event::Refusal,
        Event::Replay,
        Event::Review,
    ] {
        let stamp = ledger::Stamp { at: at(1), by: Some("s1") };
        ledger.append(stamp, event, json!({ "act": "find", "contract": "star" })).unwrap();
    }
    let many = (0..3).map(|i| json!({ "rule": "ddl", "number": i }));
    let last = ledger.append_all(at(2), Event::Refusal, many).unwrap();
    assert_eq!(last.map(|place| place.index), Some(9));
    let leaves = ledger.leaves(0, 100).unwrap();
    let kinds: Vec<_> = leaves[..7].iter().map(|leaf| leaf.kind.as_str()).collect();
    assert_eq!(kinds, ["init", "ingest", "keys", "records", "refusal", "replay", "review"]);
    let deletion: Value = serde_json::from_str(&leaves[3].body).unwrap();
    assert_eq!((&deletion["act"], &deletion["by"]), (&json!("find"), &json!("s1")));
    ledger.verify().unwrap();
}
