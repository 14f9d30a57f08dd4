//! Two members of the board witness the log; an older ledger is put back, and found out; old words are removed.

use std::fs;
use std::path::Path;
use std::process::Command;

use chrono::{DateTime, Utc};
use gate::Enclave;
use ledger::{Event, Stamp};
use serde_json::json;

use crate::support::{Desk, QUESTION, files};

/// The second verifier, in Python, of an exported folder. What it said, and whether it was content.
fn second_opinion(desk: &Desk, folder: &str, since: Option<&str>) -> (bool, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/tlog_verify/verify.py");
    let mut command = Command::new("python3");
    command.arg("-I").arg(script).arg(desk.path(folder)).arg("--key").arg(desk.path("key"));
    if let Some(since) = since {
        command.arg("--since").arg(desk.path(since));
    }
    let output =
        command.output().unwrap_or_else(|error| panic!("`python3` is needed for this test: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), said + &String::from_utf8_lossy(&output.stderr))
}

#[test]
fn members_of_the_board_witness_the_log() {
    let desk = Desk::with_star();
    fs::copy(desk.home().join("log.vkey"), desk.path("key")).unwrap();
    desk.ask(["--rho", "0.02", QUESTION]).done();

    // Each member makes a key and keeps it; the steward registers the public half.
    let sato = desk.run(["log", "witness", "keygen", "sato", "--name", "board.example/sato"]).done();
    desk.run(["log", "witness", "register", "board.example/sato", sato.text().trim()]).done();
    desk.write("mori.pub", &desk.run(["log", "witness", "keygen", "mori"]).done().text());
    desk.run(["log", "witness", "register", "mori", "mori.pub"]).done();
    desk.run(["log", "witness", "register", "mori", "mori.pub"]).exits(2).says(["already"]);
    desk.run(["log", "witness", "register", "kato", "mori.pub"]).exits(2).says(["the key of `mori`"]);
    desk.run(["log", "witness", "keygen", "mori"]).exits(2).says(["cannot write `mori`"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(desk.path("sato")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    // They sign what they were given, each at home, with nothing but the folder.
    desk.run(["log", "export", "first"]).done();
    let elsewhere = desk.path("nowhere");
    for member in ["sato", "mori"] {
        let out = format!("{member}.cosigned");
        let sign =
            ["--home", elsewhere.to_str().unwrap(), "log", "witness", "sign", "first", "--key", member];
        desk.run_with(&[&sign[..], &["--log-key", "key", "--out", &out]].concat(), "").done();
        desk.run(["log", "witness", "add", &out]).done();
    }
    assert!(!elsewhere.exists());
    desk.run(["log", "witness", "add", "sato.cosigned"])
        .exits(2)
        .says(["no cosignature that the log has not"]);
    let listed = desk.run(["log", "witness", "list"]).done().text();
    assert!(
        listed.contains("board.example/sato\t9 leaves, ") && listed.contains("mori\t9 leaves, "),
        "{listed}"
    );

    // Later exports carry the cosigned checkpoint, and the proof of the answer leads to it.
    desk.ask(["--rho", "0.01", QUESTION]).done();
    desk.run(["log", "export", "second"]).done();
    desk.run(["log", "verify", "second", "--key", "key", "--since", "mori.last"]).done();
    let (proof, cosigned) = ("second/proofs/6.tlog-proof", "second/cosigned/9");
    let cosigned = fs::read_to_string(desk.path(cosigned)).unwrap();
    assert!(fs::read_to_string(desk.path(proof)).unwrap().ends_with(&cosigned));
    assert_eq!(cosigned.matches("\n— ").count(), 3, "{cosigned}");
    let said = second_opinion(&desk, "second", Some("sato.cosigned"));
    assert!(said.0 && said.1.contains(": verified: 13 leaves, root "), "{}", said.1);
    let proof = desk.run(["log", "prove", "6"]).done().text();
    assert!(proof.starts_with("c2sp.org/tlog-proof@v1\nindex 6\n"), "{proof}");
    let proof = desk.run(["log", "prove", "--since", "sato.cosigned"]).done().text();
    assert!(proof.starts_with("old 9\n"), "{proof}");
    desk.run(["log", "prove", "99"]).exits(2).says(["no leaf 99"]);

    // A member goes on from the last one, and is not led back behind it.
    desk.run(["log", "witness", "sign", "second", "--key", "sato"]).done();
    desk.run(["log", "witness", "sign", "first", "--key", "sato"])
        .exits(2)
        .says(["not cosigned", "rolled back"]);
    desk.run(["log", "verify", "first", "--key", "key", "--since", "sato.last"])
        .exits(2)
        .says(["rolled back"]);
    desk.write("sato.seen", desk_checkpoint(&desk, "second").as_str());
    let said = second_opinion(&desk, "first", Some("sato.seen"));
    assert!(!said.0 && said.1.contains("rolled back"), "{}", said.1);
    // Another log, of another key, is not signed either.
    let other = Desk::empty();
    other.run(["init"]).done();
    other.run(["log", "export", "log"]).done();
    let foreign = other.path("log");
    desk.run(["log", "witness", "sign", foreign.to_str().unwrap(), "--key", "sato"])
        .exits(2)
        .says(["not cosigned", "not the key to verify with"]);
    desk.run(["log", "witness", "remove", "mori"]).done();
    desk.run(["log", "witness", "add", "mori.cosigned"]).exits(2).says(["`mori` is not a witness"]);
    desk.run(["log", "verify"]).done();
}

fn desk_checkpoint(desk: &Desk, folder: &str) -> String {
    fs::read_to_string(desk.path(folder).join("checkpoint")).unwrap()
}

#[test]
fn an_older_ledger_that_was_put_back_is_found_out() {
    let desk = Desk::with_star();
    let database = desk.home().join("ledger.db");
    let older = fs::read(&database).unwrap();
    desk.ask(["--rho", "0.02", QUESTION]).done();
    let newest = fs::read(&database).unwrap();
    desk.run(["log", "export", "newest"]).done();

    fs::write(&database, &older).unwrap();
    for command in [&["budget"][..], &["log", "list"], &["ask", "-m", "star-1", QUESTION]] {
        let told = desk.run_with(command, "").exits(1);
        assert!(told.out.is_empty());
        told.says([
            "the ledger was rolled back",
            "ledger.anchor",
            "7 leaves",
            "has 5",
            "Put the newest copy",
        ]);
    }
    // With the file gone as well, the charge is forgotten: the positive control.
    let anchor = desk.home().join("ledger.anchor");
    let aside = fs::read(&anchor).unwrap();
    fs::remove_file(&anchor).unwrap();
    desk.run(["budget"]).done();
    // A checkpoint that the board has shows it all the same.
    desk.run(["log", "verify", "--since", "newest/checkpoint"]).exits(2).says(["rolled back", "7 leaves"]);

    fs::write(&database, newest).unwrap();
    fs::write(&anchor, aside).unwrap();
    desk.run(["log", "verify", "--since", "newest/checkpoint"]).done();
}

#[test]
fn old_words_are_removed_under_a_policy() {
    const WORDS: &str = "SELECT a_question_of_long_ago FROM results";
    let desk = Desk::with_star();
    fs::copy(desk.home().join("log.vkey"), desk.path("key")).unwrap();
    let at: DateTime<Utc> = "2019-04-01T00:00:00Z".parse().unwrap();
    {
        let enclave = Enclave::open(&desk.home(), chrono::Utc::now).unwrap();
        let refused = json!({ "memorandum": "star-1", "sql": WORDS, "rule": "unknown-column" });
        enclave.ledger().append(Stamp { at, by: None }, Event::Refusal, refused).unwrap();
    }
    desk.ask(["--rho", "0.02", QUESTION]).done();
    desk.run(["log", "export", "before"]).done();
    desk.write("policy.txt", "After five years the words of questions are removed.\n");

    desk.run(["log", "prune", "--policy", "nowhere"]).exits(2);
    let pruned = desk.run(["log", "prune", "--policy", "policy.txt"]).done();
    assert!(pruned.text().starts_with("removed the words of 1 leaves from before "), "{}", pruned.text());
    desk.run(["log", "prune", "--policy", "policy.txt"]).exits(2).says(["no leaf from before that date"]);
    assert!(!holds(&desk.home(), WORDS));
    desk.run(["log", "verify", "--since", "before/checkpoint"]).done();
    desk.run(["budget", "-m", "star-1"]).done();

    desk.run(["log", "export", "after"]).done();
    desk.run(["log", "verify", "after", "--key", "key", "--since", "before/checkpoint"]).done();
    let said = second_opinion(&desk, "after", Some("before/checkpoint"));
    assert!(said.0 && said.1.contains(": verified: 9 leaves"), "{}", said.1);
    let leaves = fs::read_to_string(desk.path("after").join("leaves.jsonl")).unwrap();
    assert!(leaves.contains("{\"kept\":{") && leaves.contains("After five years the words"), "{leaves}");
    // What is kept of it cannot be changed: the policy's leaf vouches for it.
    let changed = leaves.replacen("\"kept\":{\"at\":\"2019", "\"kept\":{\"at\":\"2018", 1);
    fs::write(desk.path("after").join("leaves.jsonl"), changed).unwrap();
    desk.run(["log", "verify", "after", "--key", "key"]).exits(2).says(["`leaves.jsonl`", "vouches"]);
    assert!(!second_opinion(&desk, "after", None).0);
}

fn holds(folder: &Path, text: &str) -> bool {
    files(folder)
        .iter()
        .any(|path| fs::read(path).unwrap().windows(text.len()).any(|window| window == text.as_bytes()))
}
