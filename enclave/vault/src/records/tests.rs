#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;

use memoranda::Contract;
use serde_json::json;

use super::*;
use crate::ingest::Mode;
use crate::ingest::tests::{Kit, contract, files_under};

fn school() -> Contract {
    contract(json!([
        { "name": "pupils", "title": "Pupils", "enclave:unitKey": "id", "enclave:maxRowsPerUnit": 1,
          "enclave:cohort": "born", "enclave:retentionYears": 3,
          "schema": { "primaryKey": ["id"], "fields": [
            { "name": "id", "type": "integer", "enclave:role": "unit" },
            { "name": "name", "type": "string", "enclave:role": "identifier" },
            { "name": "born", "type": "date", "constraints": { "required": true } } ] } },
        { "name": "marks", "title": "Marks", "enclave:unitKey": "id", "enclave:maxRowsPerUnit": 5,
          "enclave:retentionYears": 5,
          "schema": { "primaryKey": ["id", "term"],
            "foreignKeys": [ { "fields": "id", "reference": { "resource": "pupils", "fields": "id" } } ],
            "fields": [
            { "name": "id", "type": "integer", "enclave:role": "unit" },
            { "name": "term", "type": "integer", "constraints": { "minimum": 1, "maximum": 9 } },
            { "name": "mark", "type": "number" } ] } }
    ]))
}

/// Two cohorts: odd numbers finish school in 2026, even ones in 2030.
fn csv(pupils: &[u32]) -> (String, String) {
    let (mut names, mut marks) = ("id,name,born\n".to_owned(), "id,term,mark\n".to_owned());
    for id in pupils {
        let year = if id % 2 == 1 { 2010 } else { 2014 };
        names += &format!("{id},\"name, of {id}\",{year}-06-01\n");
        marks += &format!("{id},1,{}.5\n{id},2,\n", id % 9);
    }
    (names, marks)
}

fn stocked() -> (Contract, Kit) {
    let (contract, kit) = (school(), Kit::tight());
    let (names, marks) = csv(&(0..300).collect::<Vec<_>>());
    kit.csv(&contract, &[("pupils", &names), ("marks", &marks)]).unwrap();
    (contract, kit)
}

const ANNOUNCED: AnnounceChange<'_> = &|_| Ok(());

fn paths(kit: &Kit, contract: &Contract) -> BTreeSet<String> {
    kit.snapshot(contract).files().map(|part| part.path.clone()).collect()
}

fn sound(kit: &Kit, contract: &Contract) {
    assert_eq!(kit.vault.check(contract).unwrap().findings, []);
}

#[test]
fn a_deleted_pupil_was_never_there() {
    let (contract, kit) = stocked();
    let before = paths(&kit, &contract);
    let changed = kit.vault.delete_pupil(&contract, " 17\n", ANNOUNCED).unwrap();
    assert_eq!(changed.tables, ["marks", "pupils"]);
    // One file of attributes of each table, and one of identities.
    assert_eq!(changed.files, 3);
    assert_eq!(paths(&kit, &contract).difference(&before).count(), 3);
    let state = |table| (kit.rows(&contract, table), kit.names(&contract, table));
    let (pupils, marks) = (state("pupils"), state("marks"));
    sound(&kit, &contract);
    assert!(kit.vault.desk().unwrap().held(&contract, "17").unwrap().is_empty());
    assert!(matches!(kit.vault.delete_pupil(&contract, "17", ANNOUNCED), Err(RecordsError::NotHeld)));

    let (names, rows) = csv(&(0..300).filter(|id| *id != 17).collect::<Vec<_>>());
    kit.csv(&contract, &[("pupils", &names), ("marks", &rows)]).unwrap();
    assert_eq!(state("pupils"), pupils);
    assert_eq!(state("marks"), marks);
}

#[test]
fn what_is_held_is_told_as_it_was_delivered() {
    let (contract, kit) = stocked();
    let desk = kit.vault.desk().unwrap();
    let held = desk.held(&contract, "18").unwrap();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(held[0].rows, [[text("18"), text("name, of 18"), text("2014-06-01")]]);
    assert_eq!(held[1].rows, [[text("18"), text("1"), text("0.5")], [text("18"), text("2"), None]]);
    assert!(desk.held(&contract, "999").unwrap().is_empty());
    assert!(matches!(desk.held(&contract, "x"), Err(RecordsError::NotANumber)));
    assert_eq!(format!("{desk:?}"), "Desk");
}

#[test]
fn snapshots_expire_with_their_files_unless_somebody_reads_them() {
    let (contract, kit) = stocked();
    let first = kit.snapshot(&contract);
    kit.vault.delete_pupil(&contract, "17", ANNOUNCED).unwrap();
    kit.vault.delete_pupil(&contract, "18", ANNOUNCED).unwrap();
    let numbers = |kit: &Kit| -> Vec<(u64, bool)> {
        kit.vault.snapshots("school").unwrap().iter().map(|entry| (entry.number, entry.pinned)).collect()
    };
    assert_eq!(numbers(&kit), [(1, true), (2, false), (3, false)]);
    let expired = kit.vault.expire(&contract, Expiry::Keep(1)).unwrap();
    assert_eq!(expired, Expired { expired: vec![2], pinned: vec![1] });
    // Whoever reads it goes on reading.
    for part in first.tables.iter().flat_map(|table| &table.parts) {
        kit.read(part).unwrap();
    }
    let held_on = first.clone();
    drop(first);
    assert_eq!(kit.vault.expire(&contract, Expiry::Keep(1)).unwrap().pinned, [1]);
    drop(held_on);
    assert_eq!(kit.vault.expire(&contract, Expiry::Keep(5)).unwrap(), Expired::default());
    assert_eq!(kit.vault.expire(&contract, Expiry::OlderThanDays(1)).unwrap(), Expired::default());
    assert_eq!(kit.vault.expire(&contract, Expiry::Keep(1)).unwrap().expired, [1]);
    let there: BTreeSet<String> = files_under(&kit.home())
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .map(|path| path.strip_prefix(kit.home()).unwrap().display().to_string())
        .collect();
    assert_eq!(there, paths(&kit, &contract), "no file that no snapshot names");
    sound(&kit, &contract);
}

#[test]
fn what_was_not_announced_is_not_done() {
    let (contract, kit) = stocked();
    let before = files_under(&kit.home().join("store"));
    let refused = kit.vault.delete_pupil(&contract, "17", &|_| Err("no".to_owned()));
    assert!(matches!(refused, Err(RecordsError::NotAnnounced(_))));
    assert_eq!(files_under(&kit.home().join("store")), before);
    assert_eq!(kit.vault.desk().unwrap().held(&contract, "17").unwrap().len(), 2);
}

#[test]
fn records_go_when_their_time_is_over() {
    let (contract, kit) = stocked();
    let dispose = |day: &str| kit.vault.dispose(&contract, day.parse().unwrap(), ANNOUNCED).unwrap();
    // Marks stay five years, and pupils with them.
    assert_eq!(dispose("2031-03-31"), None);
    kit.vault.keep_pupil(&contract, "17", true, ANNOUNCED).unwrap();
    kit.vault.keep_pupil(&contract, "19", true, ANNOUNCED).unwrap();
    kit.vault.keep_pupil(&contract, "19", false, ANNOUNCED).unwrap();
    assert!(matches!(kit.vault.keep_pupil(&contract, "999", true, ANNOUNCED), Err(RecordsError::NotHeld)));
    assert_eq!(dispose("2031-04-01").unwrap().tables, ["marks", "pupils"]);
    assert_eq!(kit.rows(&contract, "pupils").num_rows(), 151);
    assert_eq!(kit.rows(&contract, "marks").num_rows(), 302);
    assert_eq!(kit.names(&contract, "pupils").len(), 151);
    // Whom an ingest does not concern stays kept.
    kit.csv_as(Mode::Append, &contract, &[("marks", "id,term,mark\n18,3,1\n")]).unwrap();
    assert_eq!(dispose("2031-04-01"), None);
    kit.vault.delete_pupil(&contract, "17", ANNOUNCED).unwrap();
    assert!(kit.snapshot(&contract).kept.is_empty());
    sound(&kit, &contract);
    let silent = contract_of_none();
    assert!(matches!(
        kit.vault.dispose(&silent, "2031-04-01".parse().unwrap(), ANNOUNCED),
        Err(RecordsError::NoCohort(_))
    ));
}

fn contract_of_none() -> Contract {
    contract(json!([{ "name": "notes", "title": "Notes", "enclave:unitKey": "id", "schema": { "fields": [
        { "name": "id", "type": "integer", "enclave:role": "unit" }, { "name": "note", "type": "string" } ] } }]))
}

#[test]
fn compaction_changes_files_alone() {
    let (contract, kit) = stocked();
    let state = |kit: &Kit| [kit.rows(&contract, "pupils"), kit.rows(&contract, "marks")];
    let (before, cut) = (state(&kit), kit.snapshot(&contract).partitions);
    assert!(cut >= 4);
    kit.vault.compact(&contract, ANNOUNCED).unwrap().unwrap();
    assert_eq!(kit.snapshot(&contract).partitions, 1);
    assert_eq!(state(&kit), before);
    assert_eq!(kit.vault.compact(&contract, ANNOUNCED).unwrap(), None);
    sound(&kit, &contract);
    kit.vault.delete_pupil(&contract, "17", ANNOUNCED).unwrap();
    sound(&kit, &contract);
}

/// Damage to one file: (which, how, the rule that finds it).
#[test]
fn check_names_the_file_and_the_rule() {
    type Harm = fn(&mut Vec<u8>);
    let flip: Harm = |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    let cut: Harm = |bytes| bytes.truncate(bytes.len() - 1);
    for (harm, rule) in [(flip, "digest"), (cut, "length")] {
        for identity in [false, true] {
            let (contract, kit) = stocked();
            let snapshot = kit.snapshot(&contract);
            let table = snapshot.table("pupils").unwrap();
            let part = if identity { &table.identity[0] } else { &table.parts[0] };
            let mut bytes = fs::read(kit.path(part)).unwrap();
            harm(&mut bytes);
            fs::write(kit.path(part), bytes).unwrap();
            let checked = kit.vault.check(&contract).unwrap();
            let found: Vec<_> =
                checked.findings.iter().map(|found| (found.place.as_str(), found.rule.as_str())).collect();
            assert_eq!(found, [(part.entry.place.as_str(), rule)]);
        }
    }
    let (contract, kit) = stocked();
    let part = kit.snapshot(&contract).table("marks").unwrap().parts[1].clone();
    fs::remove_file(kit.path(&part)).unwrap();
    assert_eq!(kit.vault.check(&contract).unwrap().findings[0].rule, "missing");
}

#[test]
fn repair_mends_what_needs_no_backup() {
    let (contract, kit) = stocked();
    kit.vault.delete_pupil(&contract, "17", ANNOUNCED).unwrap();
    let store = kit.home().join("store/school");
    fs::create_dir_all(store.join("snapshots/20200101T000000Z-0badf00d/marks")).unwrap();
    fs::write(store.join("snapshots/20200101T000000Z-0badf00d/marks/part-00000.parquet"), b"x").unwrap();
    fs::write(store.join("manifests/00000009.pending"), b"half").unwrap();
    let rules = |kit: &Kit| -> Vec<String> {
        kit.vault.check(&contract).unwrap().findings.iter().map(|found| found.rule.clone()).collect()
    };
    assert_eq!(rules(&kit), ["leftover", "leftover"]);
    // An older manifest is history; without it nobody knows what it named.
    fs::write(store.join("manifests/00000001"), b"x").unwrap();
    assert_eq!(rules(&kit), ["leftover", "signature"]);
    kit.vault.repair(&contract, ANNOUNCED).unwrap();
    sound(&kit, &contract);
    assert!(!store.join("snapshots/20200101T000000Z-0badf00d").exists());
    // The one in force comes from a backup, or everything comes anew.
    fs::write(store.join("manifests/00000002"), b"x").unwrap();
    kit.vault.repair(&contract, ANNOUNCED).unwrap_err();
    assert_eq!(rules(&kit), ["signature"]);
    let (names, marks) = csv(&[1, 2, 3]);
    assert!(kit.csv(&contract, &[("marks", &marks)]).is_err());
    kit.csv(&contract, &[("pupils", &names), ("marks", &marks)]).unwrap();
    kit.vault.repair(&contract, ANNOUNCED).unwrap();
    sound(&kit, &contract);
}
