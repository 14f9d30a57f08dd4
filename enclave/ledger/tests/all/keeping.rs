//! What the ledger keeps, refuses, and gives again.

use crate::common::*;
use disclosure_rules::Exhausted;
use ledger::{
    DebitError, DocumentKind, Event, LeafKind, Ledger, LedgerError, LogKey, verify_consistency,
    verify_inclusion,
};
use serde_json::{Value, json};

#[test]
fn a_published_text_is_kept_and_its_digest_is_in_the_log() {
    let place = Place::new();
    let ledger = place.create();
    assert_eq!(ledger.size().unwrap(), 0);
    let first = ledger
        .publish(at(0), DocumentKind::Contract, "star", "1.0.0", "one", json!({ "tables": 2 }))
        .unwrap();
    ledger.publish(at(1), DocumentKind::Contract, "star", "1.1.0", "two", json!({})).unwrap();
    ledger.publish(at(2), DocumentKind::Rules, "standard", "1.0.0", "rules", json!({})).unwrap();
    assert_eq!(first.index, 0);

    let latest = ledger.latest(DocumentKind::Contract, "star").unwrap().unwrap();
    assert_eq!(
        (latest.version.as_str(), latest.text.as_str(), latest.at, latest.leaf),
        ("1.1.0", "two", at(1), 1)
    );
    let old = ledger.document(DocumentKind::Contract, "star", "1.0.0").unwrap().unwrap();
    assert_eq!(old.text, "one");
    assert_eq!(ledger.documents(DocumentKind::Contract).unwrap().len(), 2);
    assert_eq!(ledger.latest(DocumentKind::Contract, "standard").unwrap(), None);
    assert_eq!(ledger.document(DocumentKind::Rules, "standard", "2.0.0").unwrap(), None);

    let leaf = ledger.leaf(0).unwrap().unwrap();
    assert_eq!((leaf.kind, leaf.at), (LeafKind::Publish, at(0)));
    assert_eq!(
        leaf.body,
        r#"{"at":"2026-03-31T23:33:20.000000Z","document":"contract","kind":"publish","name":"star","#
            .to_owned()
            + r#""sha256":"7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed","#
            + r#""tables":2,"version":"1.0.0"}"#
    );

    let again = ledger.publish(at(3), DocumentKind::Contract, "star", "1.0.0", "one", json!({}));
    assert!(matches!(again, Err(LedgerError::AlreadyPublished { .. })));
    let unsigned = ledger.publish(at(3), DocumentKind::Memorandum, "m", "1", "text", json!({}));
    assert!(matches!(unsigned, Err(LedgerError::Unsigned)));
    assert_eq!(ledger.size().unwrap(), 3);
    assert_eq!(ledger.leaf(3).unwrap(), None);
    assert_eq!(ledger.leaves(1, u64::MAX).unwrap().len(), 2);
}

#[test]
fn a_caller_states_only_what_the_ledger_does_not() {
    let place = Place::new();
    let ledger = place.create();
    let append = |facts| ledger.append(at(0), Event::Ingest, facts);
    assert!(append(json!({ "snapshot": "s1", "rows": { "results": 11_598 } })).is_ok());
    assert!(
        matches!(append(json!({ "at": "yesterday" })), Err(LedgerError::ReservedFact(name)) if name == "at")
    );
    assert!(matches!(append(json!({ "kind": "release" })), Err(LedgerError::ReservedFact(_))));
    assert!(matches!(append(json!([1])), Err(LedgerError::Facts)));
    let envelope = r#"{"at":"2026-03-31T23:33:20.000000Z","kind":"ingest","sql":""}"#.len();
    assert!(append(json!({ "sql": "x".repeat(65_535 - envelope) })).is_ok());
    let long = append(json!({ "sql": "x".repeat(65_536 - envelope) }));
    assert!(matches!(long, Err(LedgerError::LeafTooLong(65_536))));
    assert_eq!(ledger.size().unwrap(), 2);
    ledger.verify().unwrap();
}

#[test]
fn signing_opens_the_account_and_the_pool() {
    let place = Place::new();
    let ledger = place.create();
    assert_eq!(ledger.account("m1").unwrap(), None);
    assert_eq!(ledger.pool(CONTRACT).unwrap(), None);
    ledger.sign(at(0), &memorandum("m1", 500), "text of m1", Some(micro(700))).unwrap();
    // The pool is the first one's: neither cap nor charges start anew.
    ledger.debit(at(1), &question("m1", 1), cost(10, 0.0)).unwrap();
    ledger.sign(at(2), &memorandum("m2", 500), "text of m2", Some(micro(9_999))).unwrap();
    let pool = ledger.pool(CONTRACT).unwrap().unwrap();
    assert_eq!((pool.allotment, pool.charged), (Some(micro(700)), micro(10)));
    assert_eq!(ledger.account("m2").unwrap().unwrap().allotment, Some(micro(500)));
    assert_eq!(ledger.latest(DocumentKind::Memorandum, "m2").unwrap().unwrap().text, "text of m2");

    let again = ledger.sign(at(3), &memorandum("m1", 900), "other text", None);
    assert!(matches!(again, Err(LedgerError::AlreadyPublished { .. })));
    ledger.verify().unwrap();
}

#[test]
fn a_debit_charges_both_accounts_or_neither() {
    let place = Place::new();
    let ledger = place.create();
    ledger.sign(at(0), &memorandum("m1", 100), "m1", Some(micro(150))).unwrap();
    ledger.sign(at(1), &memorandum("m2", 100), "m2", Some(micro(150))).unwrap();
    let charged = || {
        let of = |account: Option<disclosure_rules::Account>| account.unwrap().charged.micro();
        let pool = of(ledger.pool(CONTRACT).unwrap());
        (of(ledger.account("m1").unwrap()), of(ledger.account("m2").unwrap()), pool)
    };

    let charge = ledger.debit(at(2), &question("m1", 7), cost(60, 0.0)).unwrap();
    assert_eq!((charge.plan(), charge.cost()), (digest(7), cost(60, 0.0)));
    assert_eq!(charged(), (60, 0, 60));

    // Beyond the memorandum's balance, then beyond the pool's; the exact balance is still good.
    for (id, price, balance) in [("m1", 41, 40), ("m2", 91, 90)] {
        let refused = ledger.debit(at(3), &question(id, 8), cost(price, 0.0));
        let Err(DebitError::Exhausted(Exhausted::Rho { balance: left, .. })) = refused else {
            panic!("{id}: {refused:?}")
        };
        assert_eq!(left, micro(balance));
    }
    assert_eq!(charged(), (60, 0, 60));
    ledger.debit(at(4), &question("m2", 8), cost(90, 0.0)).unwrap();
    assert_eq!(charged(), (60, 90, 150));

    // δ: half of the memorandum's is for thresholds. Two halves of that, no third.
    for (expected, second) in [(true, 5), (true, 6), (false, 7)] {
        let half = ledger.debit(at(second), &question("m1", 9), cost(0, 0.25e-6));
        assert_eq!(half.is_ok(), expected, "{half:?}");
    }

    let kinds: Vec<_> = ledger.leaves(2, 100).unwrap().into_iter().map(|leaf| leaf.kind.as_str()).collect();
    assert_eq!(kinds, ["question", "refusal", "refusal", "question", "question", "question", "refusal"]);
    let refusal: Value = serde_json::from_str(&ledger.leaf(3).unwrap().unwrap().body).unwrap();
    assert_eq!(refusal["rule"], "balance-exhausted");
    assert_eq!(refusal["rho_micro"], 41);
    assert_eq!(refusal["sql"], "SELECT COUNT(*) FROM results");
    assert!(ledger.recomputed().unwrap().iter().all(ledger::Recomputed::agrees));
    ledger.verify().unwrap();
}

#[test]
fn only_a_memorandum_in_force_is_charged() {
    let place = Place::new();
    let ledger = place.create();
    ledger.sign(at(0), &memorandum("m1", 100), "m1", None).unwrap();
    let mut other = question("m1", 1);
    other.contract = "else";
    assert!(matches!(
        ledger.debit(at(1), &other, cost(1, 0.0)),
        Err(DebitError::Ledger(LedgerError::OtherContract { .. }))
    ));
    assert!(matches!(
        ledger.debit(at(1), &question("m9", 1), cost(1, 0.0)),
        Err(DebitError::Ledger(LedgerError::UnknownMemorandum(_)))
    ));
    for nonsense in [f64::NAN, -1e-9, 1.0, f64::INFINITY] {
        let refused = ledger.debit(at(1), &question("m1", 1), cost(1, nonsense));
        assert!(matches!(refused, Err(DebitError::Ledger(LedgerError::ThresholdDelta))), "{nonsense}");
    }
    assert!(ledger.debit(at(1), &question("m1", 1), cost(1, 0.0)).is_ok());

    assert_eq!(ledger.ended("m1").unwrap(), None);
    ledger.end_memorandum(at(2), "m1").unwrap();
    assert_eq!(ledger.ended("m1").unwrap(), Some(at(2)));
    assert!(matches!(
        ledger.debit(at(3), &question("m1", 1), cost(1, 0.0)),
        Err(DebitError::Ledger(LedgerError::Ended(_)))
    ));
    assert!(matches!(ledger.end_memorandum(at(3), "m1"), Err(LedgerError::Ended(_))));
    assert!(matches!(ledger.end_memorandum(at(3), "m9"), Err(LedgerError::UnknownMemorandum(_))));
    assert_eq!(ledger.size().unwrap(), 3);
    ledger.verify().unwrap();
}

#[test]
fn an_answer_is_given_again_to_the_same_question_only() {
    let place = Place::new();
    let ledger = place.create();
    ledger.sign(at(0), &memorandum("m1", 100), "m1", None).unwrap();
    let key = replay_key("m1", 1);
    assert_eq!(ledger.replay(&key).unwrap(), None);

    // No release without a charge of its own.
    assert!(matches!(ledger.record(at(1), &key, json!({}), "{}"), Err(LedgerError::NotCharged { .. })));
    ledger.debit(at(1), &question("m1", 1), cost(1, 0.0)).unwrap();
    let first = ledger.record(at(2), &key, json!({ "rows": 3 }), r#"{"n":1}"#).unwrap();
    assert!(matches!(ledger.record(at(3), &key, json!({}), "{}"), Err(LedgerError::NotCharged { .. })));
    assert_eq!(ledger.replay(&key).unwrap().as_ref(), Some(&first));
    assert_eq!(first.answer(), r#"{"n":1}"#);

    // Afresh: the newest answers from now on, at its own place in the log.
    ledger.debit(at(4), &question("m1", 1), cost(1, 0.0)).unwrap();
    let second = ledger.record(at(5), &key, json!({}), r#"{"n":2}"#).unwrap();
    ledger.append(at(6), Event::Refusal, json!({ "rule": "ddl" })).unwrap();
    assert_eq!(place.open().replay(&key).unwrap(), Some(second.clone()));
    assert_eq!(ledger.root(second.position().index + 1).unwrap(), Some(second.position().root));

    let neighbours = [
        ledger::ReplayKey { snapshot: "s2", ..key.clone() },
        ledger::ReplayKey { memorandum: "m2", ..key.clone() },
        ledger::ReplayKey { contract: "else", ..key.clone() },
        ledger::ReplayKey { digest: digest(2), ..key.clone() },
    ];
    for neighbour in neighbours {
        assert_eq!(ledger.replay(&neighbour).unwrap(), None, "{neighbour:?}");
    }
    ledger.verify().unwrap();
}

#[test]
fn a_ledger_is_made_once_and_opened_with_its_key() {
    let place = Place::new();
    assert!(matches!(Ledger::open(&place.path(), place.key()), Err(LedgerError::Missing(_))));
    let created = place.create();
    created.append(at(0), Event::Init, json!({})).unwrap();
    let (note, key) = (created.checkpoint().unwrap(), created.public_key().clone());
    drop(created);

    assert!(matches!(Ledger::create(&place.path(), ORIGIN, place.key()), Err(LedgerError::Exists(_))));
    let other = LogKey::from_pkcs8(&LogKey::generate().unwrap()).unwrap();
    assert!(matches!(Ledger::open(&place.path(), other), Err(LedgerError::Damaged(_))));
    let reopened = place.open();
    assert_eq!((reopened.checkpoint().unwrap(), reopened.public_key()), (note, &key));
    assert_eq!(reopened.size().unwrap(), 1);

    let foreign = place.dir.path().join("notes.txt");
    std::fs::write(&foreign, "not a database").unwrap();
    assert!(matches!(Ledger::open(&foreign, place.key()), Err(LedgerError::Foreign(_))));
    let unnamed = place.dir.path().join("unnamed.db");
    assert!(matches!(Ledger::create(&unnamed, "two words", place.key()), Err(LedgerError::Key(_))));
    assert!(!unnamed.exists());
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let ledger = place.create();
    ledger.append(at(0), Event::Init, json!({})).unwrap();
    for entry in std::fs::read_dir(place.dir.path()).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o077, 0);
    }
}

#[test]
fn proofs_come_from_the_stored_nodes() {
    let place = Place::new();
    let ledger = place.create();
    let mut roots = vec![ledger.root(0).unwrap().unwrap()];
    for second in 0..21 {
        roots.push(ledger.append(at(second), Event::Ingest, json!({})).unwrap().root);
    }
    for size in 0..=21u64 {
        let root = &roots[size as usize];
        assert_eq!(ledger.root(size).unwrap().as_ref(), Some(root));
        for index in 0..size {
            let proof = ledger.prove_inclusion(index, size).unwrap().unwrap();
            assert!(verify_inclusion(&ledger.leaf(index).unwrap().unwrap().hash, index, size, root, &proof));
        }
        for old in 0..=size {
            let proof = ledger.prove_consistency(old, size).unwrap().unwrap();
            assert!(verify_consistency(old, &roots[old as usize], size, root, &proof), "{old} in {size}");
        }
    }
    assert_eq!(ledger.root(22).unwrap(), None);
    assert_eq!(ledger.prove_inclusion(5, 5).unwrap(), None);
    assert_eq!(ledger.prove_inclusion(0, 22).unwrap(), None);
    assert_eq!(ledger.prove_consistency(3, 2).unwrap(), None);
    assert_eq!(ledger.prove_consistency(3, 22).unwrap(), None);
}
