//! The life of records: looked up, corrected, deleted at a pupil's wish, and what happens when somebody tampers with
//! the store.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Desk, QUESTION, files};

/// A pupil of Project STAR who was there all four years.
const PUPIL: &str = "11032";

fn held(desk: &Desk) -> Vec<Value> {
    let found = desk.run_with(&["records", "find", "star", "--pupil", "-", "--format", "json"], PUPIL);
    found.done().json().as_array().unwrap().clone()
}

fn a_pupil(desk: &Desk) -> String {
    let csv = fs::read_to_string(desk.path("star.csv")).unwrap();
    let names: Vec<&str> =
        csv.lines().next().unwrap().split(',').map(|name| name.trim_matches('"')).collect();
    let id = names.iter().position(|name| *name == "id").unwrap();
    csv.lines().nth(1).unwrap().split(',').nth(id).unwrap().to_owned()
}

fn parts(desk: &Desk) -> Vec<PathBuf> {
    let files = files(&desk.home().join("store")).into_iter();
    files.filter(|path| path.extension().is_some_and(|extension| extension == "parquet")).collect()
}

#[test]
fn a_pupil_is_found_corrected_and_forgotten() {
    let desk = Desk::with_star();
    let pupil = a_pupil(&desk);
    let find = |desk: &Desk| {
        let told = desk.run_with(
            &["records", "find", "star", "--pupil", "-", "--request", "2026-17", "--format", "json"],
            &format!("{pupil}\n"),
        );
        told.done().json()
    };
    let found = find(&desk);
    let rows = found[0]["rows"].as_array().unwrap();
    let number: serde_json::Value = pupil.parse().unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| row["id"] == number), "{found}");

    // The file that delivers the pupil's rows is the one that an export gives.
    desk.run(["records", "export", "star", "--pupil", &pupil, "--out", "move"]).done();
    let exported = fs::read_to_string(desk.path("move/results.csv")).unwrap();
    assert_eq!(exported.lines().count(), 1 + rows.len());
    desk.run(["ingest", "star", "--mode", "append", "results=move/results.csv"]).exits(2).says([
        "in the store",
        "primaryKey",
        "nothing was ingested",
    ]);
    desk.run(["records", "correct", "star", "--request", "2026-18", "results=move/results.csv"]).done();
    let mut corrected = find(&desk)[0]["rows"].as_array().unwrap().clone();
    let mut before = rows.clone();
    corrected.sort_by_key(Value::to_string);
    before.sort_by_key(Value::to_string);
    assert_eq!(corrected, before);

    let told = desk.run_with(&["records", "delete", "star", "--pupil", "-", "--request", "2026-19"], &pupil);
    assert!(told.done().text().contains("deleted from results"));
    assert_eq!(find(&desk), Value::Array(vec![]));
    desk.run(["records", "delete", "star", "--pupil", &pupil]).exits(2).says(["holds nothing on this pupil"]);
    // Nothing older is left that holds the rows.
    let snapshots = desk.run(["snapshots", "list", "star", "--format", "json"]).done().json();
    assert_eq!(snapshots.as_array().unwrap().len(), 1);
    assert!(desk.run(["vault", "check"]).done().text().contains("sound"));
    desk.ask([QUESTION]).done();

    // Each call is a leaf, with its request, and without the pupil.
    let leaves: Vec<Value> = desk
        .log()
        .iter()
        .filter(|(_, kind, _)| kind == "records")
        .map(|(index, ..)| desk.run(["log", "show", &index.to_string()]).done().json()["leaf"].clone())
        .collect();
    let acts: Vec<&str> = leaves.iter().map(|leaf| leaf["act"].as_str().unwrap()).collect();
    assert_eq!(acts, ["find", "export", "correct", "find", "delete", "find"]);
    assert_eq!(leaves[4]["request"], "2026-19");
    for leaf in leaves {
        let words =
            leaf.as_object().unwrap().iter().filter(|(name, _)| !name.ends_with("sha256") && *name != "at");
        for (name, value) in words.filter(|(name, _)| *name != "snapshot") {
            assert!(!value.to_string().contains(&pupil), "{name}: {value}");
        }
    }
}

#[test]
fn questions_need_no_identity() {
    let desk = Desk::with_star();
    let (there, away) = (desk.home().join("keys/identities"), desk.path("away"));
    fs::rename(&there, &away).unwrap();
    fs::remove_dir_all(desk.home().join("identity")).ok();
    desk.ask([QUESTION]).done();
    assert_ne!(desk.run(["records", "find", "star", "--pupil", PUPIL]).code, 0);
    assert_ne!(desk.run(["ingest", "star", "results=star.csv"]).code, 0);
    fs::rename(&away, &there).unwrap();
    desk.run(["ingest", "star", "results=star.csv"]).done();
    assert!(held(&desk).len() <= 1);
}

/// What somebody with the disk may do to the newest part.
#[test]
fn a_question_over_a_damaged_file_names_it() {
    type Harm = fn(&mut Vec<u8>);
    let harm: [(&str, Harm); 3] = [
        ("flipped", |bytes| bytes.iter_mut().step_by(500).for_each(|byte| *byte ^= 1)),
        ("truncated", |bytes| bytes.truncate(bytes.len() / 2)),
        ("emptied", Vec::clear),
    ];
    for (name, harm) in harm {
        let desk = Desk::with_star();
        let path = parts(&desk)[0].clone();
        let file = path.file_name().unwrap().to_str().unwrap();
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        harm(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        let told = desk.ask([QUESTION]).exits(1).says(["is damaged", file]);
        assert!(told.out.is_empty(), "{name}");
        let checked = desk.run(["vault", "check", "star"]).exits(2);
        assert!(checked.text().contains(file), "{}", checked.text());
        // From the backup, as it says.
        fs::write(&path, &whole).unwrap();
        desk.run(["vault", "check", "star"]).done();
        desk.ask([QUESTION]).done();
    }
}

#[test]
fn a_part_of_an_older_snapshot_or_of_another_place_is_found_out() {
    let desk = Desk::with_star();
    let old = parts(&desk);
    desk.run(["ingest", "star", "results=star.csv"]).done();
    let new: Vec<PathBuf> = parts(&desk).into_iter().filter(|path| !old.contains(path)).collect();
    fs::copy(&old[0], &new[0]).unwrap();
    desk.ask([QUESTION]).exits(1).says(["is damaged"]);
}

#[test]
fn an_older_state_of_the_store_is_found_out() {
    let desk = Desk::with_star();
    desk.ask([QUESTION]).done();
    let manifests = desk.home().join("store/star/manifests");
    let first = fs::read(manifests.join("00000001")).unwrap();
    desk.run(["ingest", "star", "results=star.csv"]).done();
    let second = fs::read(manifests.join("00000002")).unwrap();
    let refused = |desk: &Desk| {
        desk.ask(["--fresh", QUESTION]).exits(1);
        desk.run(["records", "find", "star", "--pupil", PUPIL]).exits(1);
        desk.run(["vault", "check", "star"]).exits(2);
    };
    // The newest removed; an older one in its place; none at all.
    fs::remove_file(manifests.join("00000002")).unwrap();
    desk.ask(["--fresh", QUESTION]).exits(1).says(["not in the state that the log announced last"]);
    refused(&desk);
    fs::write(manifests.join("00000002"), &first).unwrap();
    refused(&desk);
    fs::remove_file(manifests.join("00000002")).unwrap();
    fs::remove_file(manifests.join("00000001")).unwrap();
    refused(&desk);
    // Put back as it was, all is well.
    fs::write(manifests.join("00000001"), &first).unwrap();
    fs::write(manifests.join("00000002"), &second).unwrap();
    desk.ask(["--fresh", QUESTION]).done();
    // Or with every table anew.
    fs::remove_file(manifests.join("00000002")).unwrap();
    desk.run(["ingest", "star", "results=star.csv"]).done();
    desk.ask(["--fresh", QUESTION]).done();
}

#[test]
fn an_ingest_that_was_killed_after_its_announcement_comes_into_force() {
    let desk = Desk::with_star();
    desk.run(["ingest", "star", "results=star.csv"]).done();
    let manifests = desk.home().join("store/star/manifests");
    fs::rename(manifests.join("00000002"), manifests.join("00000002.pending")).unwrap();
    desk.ask([QUESTION]).done();
    assert!(manifests.join("00000002").exists() && !manifests.join("00000002.pending").exists());
}
