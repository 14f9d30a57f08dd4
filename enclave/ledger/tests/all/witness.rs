//! Members of the board cosign what they have checked, and notice what is not what they had cosigned.

use std::fs;
use std::path::PathBuf;

use crate::common::*;
use ledger::{
    Event, Ledger, PastError, ProofError, Stamp, WitnessError, WitnessKey, WitnessPublic, exported_key,
    verify_export, verify_export_since, verify_tlog_proof, witness_export,
};
use serde_json::json;

fn by(second: u32) -> Stamp<'static> {
    Stamp { at: at(second), by: Some("s1") }
}

fn grow(ledger: &Ledger, leaves: u32) {
    for second in 0..leaves {
        ledger.append(at(second), Event::Ingest, json!({ "snapshot": second })).unwrap();
    }
}

fn export(place: &Place, ledger: &Ledger, name: &str) -> PathBuf {
    let dir = place.dir.path().join(name);
    ledger.export(&dir).unwrap();
    dir
}

/// A ledger with two answers.
fn answered(place: &Place) -> Ledger {
    let ledger = place.create();
    ledger.sign(at(0), &memorandum("m1", 100), "m1", None).unwrap();
    for plan in 0..2 {
        ledger.debit(at(1), &question("m1", plan), cost(7, 0.0)).unwrap();
        ledger.record(at(1), &replay_key("m1", plan), json!({}), "answer").unwrap();
    }
    ledger
}

#[test]
fn a_witness_signs_what_it_checked_and_the_log_keeps_it() {
    let place = Place::new();
    let ledger = answered(&place);
    let log = ledger.public_key().clone();
    let keys = ["board.example/sato", "board.example/mori"].map(|name| WitnessKey::generate(name).unwrap());
    for key in &keys {
        ledger.register_witness(by(2), key.public()).unwrap();
    }
    let size = ledger.size().unwrap();
    let first = export(&place, &ledger, "first");
    let notes = keys.each_ref().map(|key| witness_export(&first, key, &log, None, at(3)).unwrap());
    for (note, key) in notes.iter().zip(&keys) {
        assert!(note.contains(&format!("— {} ", key.public().name())), "{note}");
        assert_eq!(ledger.add_cosignatures(by(4), note).unwrap(), [key.public().name()]);
        assert!(matches!(ledger.add_cosignatures(by(4), note), Err(WitnessError::Nothing)));
    }
    ledger.verify().unwrap();
    let known = ledger.witnesses().unwrap();
    assert_eq!(known.iter().map(|one| one.last.unwrap()).collect::<Vec<_>>(), [(size, at(3)); 2]);

    // The next export has the checkpoint with both cosignatures, and proofs that lead to it.
    grow(&ledger, 3);
    ledger.debit(at(5), &question("m1", 9), cost(7, 0.0)).unwrap();
    ledger.record(at(5), &replay_key("m1", 9), json!({}), "answer").unwrap();
    let second = export(&place, &ledger, "second");
    verify_export(&second, &log).unwrap();
    let cosigned = fs::read_to_string(second.join(format!("cosigned/{size}"))).unwrap();
    assert_eq!(cosigned.matches("— ").count(), 3, "{cosigned}");
    let last = ledger.size().unwrap() - 1;
    for (index, cosignatures) in [(2, 2), (4, 2), (last, 0)] {
        let proof = fs::read_to_string(second.join(format!("proofs/{index}.tlog-proof"))).unwrap();
        let leaf = ledger.leaf(index).unwrap().unwrap();
        assert_eq!(verify_tlog_proof(&proof, &leaf.hash, &log).unwrap(), index);
        assert_eq!(proof.matches("— ").count(), 1 + cosignatures, "{proof}");
        assert!(matches!(verify_tlog_proof(&proof, &[0; 32], &log), Err(ProofError::Leaf)));
        for changed in [
            proof.replace("index ", "index 0"),
            proof.replacen("\n\n", "\n", 1),
            proof.replace("@v1", "@v2"),
            proof.trim_end().to_owned(),
        ] {
            assert!(verify_tlog_proof(&changed, &leaf.hash, &log).is_err(), "{changed}");
        }
        let own = ledger.tlog_proof(index).unwrap();
        assert_eq!(verify_tlog_proof(&own, &leaf.hash, &log).unwrap(), index);
    }
    // A witness goes on from what it signed last.
    witness_export(&second, &keys[0], &log, Some(&notes[0]), at(6)).unwrap();
    let request = ledger.prove_since(&notes[0]).unwrap();
    assert!(request.starts_with(&format!("old {size}\n")), "{request}");
    assert!(request.ends_with(&ledger.checkpoint().unwrap()), "{request}");
}

#[test]
fn a_witness_is_not_shown_another_past() {
    let place = Place::new();
    let ledger = place.create();
    grow(&ledger, 4);
    let log = ledger.public_key().clone();
    let witness = WitnessKey::generate("board.example/sato").unwrap();
    let short = export(&place, &ledger, "short");
    // The same key signs another log of the same beginning.
    let fork = place.copy();
    drop(ledger);
    fs::copy(place.path(), fork.path()).unwrap();
    let (ledger, forked) = (place.open(), fork.open());
    grow(&ledger, 3);
    forked.append(at(9), Event::Keys, json!({})).unwrap();
    grow(&forked, 6);
    let (long, other) = (export(&place, &ledger, "long"), export(&fork, &forked, "other"));

    let last = witness_export(&long, &witness, &log, None, at(1)).unwrap();
    for (dir, problem) in [(&short, "the log was rolled back"), (&other, "the log was rewritten")] {
        let refused = witness_export(dir, &witness, &log, Some(&last), at(2)).unwrap_err().to_string();
        assert!(refused.contains(problem) && refused.contains("`checkpoint`"), "{refused}");
        assert!(verify_export_since(dir, &log, Some(&last)).unwrap_err().to_string().contains(problem));
        // The positive control: whoever has no earlier checkpoint takes either for the log.
        verify_export(dir, &log).unwrap();
    }
    // The ledger that was rolled back or forked learns of it from the cosignature.
    assert!(matches!(ledger.check_past(&last), Ok(7)));
    assert!(matches!(forked.check_past(&last), Err(ProofError::Past(PastError::Rewritten { signed: 7 }))));
    let added = forked.add_cosignatures(by(3), &last);
    assert!(matches!(added, Err(WitnessError::Past(PastError::Rewritten { signed: 7 }))));
    let older = Place::new();
    let rolled_back = Ledger::create(&older.path(), ORIGIN, place.key()).unwrap();
    let added = rolled_back.add_cosignatures(by(3), &last);
    assert!(matches!(added, Err(WitnessError::Past(PastError::RolledBack { signed: 7, size: 0 }))));
    // A changed export is not cosigned at all.
    fs::write(long.join("leaves.jsonl"), "{}\n").unwrap();
    assert!(witness_export(&long, &witness, &log, None, at(2)).is_err());
}

#[test]
fn only_witnesses_cosign() {
    let place = Place::new();
    let ledger = answered(&place);
    let log = ledger.public_key().clone();
    let [known, unknown] = ["sato", "mori"].map(|name| WitnessKey::generate(name).unwrap());
    ledger.register_witness(by(2), known.public()).unwrap();
    assert!(matches!(ledger.register_witness(by(2), known.public()), Err(WitnessError::Register(_))));
    assert!(matches!(ledger.remove_witness(by(2), "mori"), Err(WitnessError::Register(_))));
    let dir = export(&place, &ledger, "export");
    let note = witness_export(&dir, &known, &log, None, at(3)).unwrap();
    let foreign = witness_export(&dir, &unknown, &log, None, at(3)).unwrap();
    let bare = ledger.checkpoint().unwrap();
    let borrowed = foreign.replace("— mori ", "— sato ");
    let broken = {
        let line = note.lines().last().unwrap();
        let at = line.len() - 10;
        let other = if line.as_bytes()[at] == b'A' { "B" } else { "A" };
        note.replace(line, &format!("{}{other}{}", &line[..at], &line[at + 1..]))
    };
    for (note, expected) in [
        (&foreign, "`mori` is not a witness"),
        (&borrowed, "`sato` is not a witness with this key"),
        (&broken, "the cosignature of `sato` does not verify"),
        (&bare, "no cosignature"),
        (&"nonsense".to_owned(), "not a signed note"),
    ] {
        let refused = ledger.add_cosignatures(by(4), note).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
    ledger.add_cosignatures(by(4), &note).unwrap();
    ledger.remove_witness(by(5), "sato").unwrap();
    assert_eq!(ledger.witnesses().unwrap(), []);
    // What it cosigned while it was one stays.
    let dir = export(&place, &ledger, "later");
    verify_export(&dir, &exported_key(&dir).unwrap()).unwrap();
    ledger.verify().unwrap();
}

#[test]
fn a_witness_key_has_one_spelling_and_is_not_printed() {
    let key = WitnessKey::generate("board.example/sato").unwrap();
    let secret = key.secret();
    assert!(secret.starts_with("PRIVATE+KEY+board.example/sato+"));
    let again: WitnessKey = secret.parse().unwrap();
    assert_eq!(again.public(), key.public());
    assert_eq!(format!("{key:?}"), "WitnessKey(board.example/sato)");
    let public = key.public().to_string();
    assert_eq!(&public.parse::<WitnessPublic>().unwrap(), key.public());
    assert!(public.starts_with("board.example/sato+"));
    // A key of a log is not one of a witness, nor the other way round.
    assert!(public.parse::<ledger::PublicKey>().is_err());
    for refused in
        ["", "PRIVATE+KEY+", &public, &secret.replace("sato", "mori"), &secret.replace("KEY", "key")]
    {
        assert!(refused.parse::<WitnessKey>().is_err(), "{refused}");
    }
    assert!(WitnessKey::generate("two words").is_err());
}
