//! Old words go; proofs, balances and the record of why stay.

use std::fs;

use crate::common::*;
use ledger::{LeafKind, Ledger, PruneError, Stamp, recount, verify_export, verify_tlog_proof};
use rusqlite::Connection;
use serde_json::json;

const POLICY: &str = "After five years, the words of questions and answers are removed.";
const SECRET: &str = "SELECT COUNT(*) FROM results";

fn by(second: u32) -> Stamp<'static> {
    Stamp { at: at(second), by: Some("s1") }
}

/// Questions at 10, 20 and 30 seconds.
fn asked(place: &Place) -> Ledger {
    let ledger = place.create();
    ledger.sign(at(0), &memorandum("m1", 100), "m1", Some(micro(1000))).unwrap();
    for (second, plan) in [(10, 1), (20, 2), (30, 3)] {
        ledger.debit(at(second), &question("m1", plan), cost(7, 0.1e-6)).unwrap();
        ledger.record(at(second), &replay_key("m1", plan), json!({}), "the answer").unwrap();
    }
    ledger
}

fn holds(place: &Place, text: &str) -> bool {
    let files = fs::read_dir(place.dir.path()).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).any(|path| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[test]
fn words_go_and_proofs_and_balances_stay() {
    let place = Place::new();
    let ledger = asked(&place);
    let key = ledger.public_key().clone();
    let before = place.dir.path().join("before");
    ledger.export(&before).unwrap();
    let (old, account) = (ledger.checkpoint().unwrap(), ledger.account("m1").unwrap().unwrap());
    let leaves = ledger.leaves(0, 100).unwrap();

    let pruned = ledger.prune(by(40), at(15), POLICY).unwrap();
    assert_eq!((pruned.leaves, pruned.position.index, pruned.tidied), (2, 7, true));
    ledger.verify().unwrap();
    assert_eq!(ledger.account("m1").unwrap().unwrap(), account);
    assert!(ledger.recomputed().unwrap().iter().all(ledger::Recomputed::agrees));
    let left = ledger.leaf(1).unwrap().unwrap();
    assert!(left.pruned && left.hash == leaves[1].hash && left.kind == LeafKind::Question);
    assert!(left.body.contains("\"rho_micro\":7") && !left.body.contains("sql"), "{}", left.body);
    assert!(!ledger.leaf(3).unwrap().unwrap().pruned);
    let told = ledger.leaf(7).unwrap().unwrap();
    assert!(told.kind == LeafKind::Prune && told.body.contains(POLICY), "{}", told.body);
    // Not given again, and not taken for a charge without an answer.
    assert!(ledger.replay(&replay_key("m1", 1)).unwrap().is_none());
    assert!(ledger.replay(&replay_key("m1", 2)).unwrap().is_some());
    assert!(ledger.record(at(41), &replay_key("m1", 1), json!({}), "more").is_err());

    // The proof that was given before still verifies, as does one that is given now.
    let proof = fs::read_to_string(before.join("proofs/2.tlog-proof")).unwrap();
    assert_eq!(verify_tlog_proof(&proof, &leaves[2].hash, &key).unwrap(), 2);
    let after = place.dir.path().join("after");
    ledger.export(&after).unwrap();
    let verified = verify_export(&after, &key).unwrap();
    assert_eq!(verified.size, 8);
    let proof = fs::read_to_string(after.join("proofs/2.tlog-proof")).unwrap();
    assert_eq!(verify_tlog_proof(&proof, &leaves[2].hash, &key).unwrap(), 2);
    assert_eq!(ledger.check_past(&old).unwrap(), 7);
    assert!(!after.join("tile/entries/000.p/8").exists() && after.join("tile/0/000.p/8").exists());
}

#[test]
fn nothing_is_left_of_the_words() {
    let place = Place::new();
    let ledger = asked(&place);
    assert!(holds(&place, SECRET) && holds(&place, "the answer"));
    ledger.prune(by(40), at(35), POLICY).unwrap();
    assert!(!holds(&place, SECRET) && !holds(&place, "the answer"));
    assert!(holds(&place, POLICY));
    // Twice is once, and both prunings are told.
    assert!(matches!(ledger.prune(by(41), at(35), POLICY), Err(PruneError::Nothing)));
    ledger.debit(at(42), &question("m1", 4), cost(7, 0.0)).unwrap();
    ledger.prune(by(60), at(50), POLICY).unwrap();
    ledger.verify().unwrap();
    drop(ledger);
    let ledger = place.open();
    ledger.verify().unwrap();
    let dir = place.dir.path().join("export");
    ledger.export(&dir).unwrap();
    verify_export(&dir, ledger.public_key()).unwrap();
    // Leaves are fixed again.
    let other = Connection::open(place.path()).unwrap();
    assert!(other.execute("UPDATE leaf SET body = '{}'", []).is_err());
    assert!(other.execute("UPDATE disclosure SET answer = ''", []).is_err());
}

#[test]
fn pruning_takes_a_policy_and_a_past() {
    let place = Place::new();
    let ledger = asked(&place);
    let size = ledger.size().unwrap();
    assert!(matches!(ledger.prune(by(40), at(15), " \n"), Err(PruneError::Policy)));
    assert!(matches!(ledger.prune(by(40), at(41), POLICY), Err(PruneError::Future)));
    assert!(matches!(ledger.prune(by(40), at(10), POLICY), Err(PruneError::Nothing)));
    assert_eq!(ledger.size().unwrap(), size);
    let other = Connection::open(place.path()).unwrap();
    assert!(other.execute("UPDATE leaf SET body = '{}'", []).is_err());
}

/// A stub has the right hash whatever it says is kept: only the `prune` leaf vouches for it.
#[test]
fn what_is_kept_cannot_be_changed() {
    let original = Place::new();
    let ledger = asked(&original);
    ledger.prune(by(40), at(15), POLICY).unwrap();
    drop(ledger);
    for (change, expected) in [
        (
            "UPDATE leaf SET body = replace(body, '\"rho_micro\":7', '\"rho_micro\":6') WHERE position = 1",
            "leaf 1",
        ),
        (
            "UPDATE leaf SET body = (SELECT body FROM leaf WHERE position = 1) WHERE position = 3",
            "node 3 of level 0",
        ),
        ("UPDATE disclosure SET answer = '' WHERE leaf = 4", "stored as answer"),
        ("UPDATE disclosure SET answer = 'forged' WHERE leaf = 2", "stored as answer"),
    ] {
        let place = original.copy();
        let ledger = place.open();
        let other = Connection::open(place.path()).unwrap();
        other.execute_batch("DROP TRIGGER leaf_fixed; DROP TRIGGER disclosure_fixed").unwrap();
        assert_eq!(other.execute(change, []).unwrap(), 1, "{change}");
        let found = ledger.verify().unwrap_err();
        assert!(found.iter().any(|one| one.to_string().contains(expected)), "{change}: {found:?}");
    }
    // In an export, too.
    let place = original.copy();
    let ledger = place.open();
    let dir = place.dir.path().join("export");
    ledger.export(&dir).unwrap();
    let lines = fs::read_to_string(dir.join("leaves.jsonl")).unwrap();
    for (from, to) in [("\"rho_micro\":7", "\"rho_micro\":6"), ("m1", "m2")] {
        let first = lines.find("{\"kept\"").unwrap();
        let changed = format!("{}{}", &lines[..first], lines[first..].replacen(from, to, 1));
        fs::write(dir.join("leaves.jsonl"), changed).unwrap();
        let found = verify_export(&dir, ledger.public_key()).unwrap_err().to_string();
        assert!(found.contains("`leaves.jsonl`") && found.contains("vouches"), "{found}");
    }
}

/// Whoever has the export and the key adds up the same accounts as before.
#[test]
fn the_accounts_still_add_up_from_the_export_alone() {
    let place = Place::new();
    let ledger = asked(&place);
    let recounted = |name: &str| {
        let dir = place.dir.path().join(name);
        ledger.export(&dir).unwrap();
        recount(&dir, ledger.public_key()).unwrap().accounts
    };
    let before = recounted("before");
    ledger.prune(by(40), at(25), POLICY).unwrap();
    assert_eq!(recounted("after"), before);
    let stored = ledger.account("m1").unwrap().unwrap();
    assert!(before.iter().any(|one| one.account == stored && one.questions == 3 && one.releases == 3));
}
