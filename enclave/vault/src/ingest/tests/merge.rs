//! Rows that come to those in the store: the same as if all had come together, and no file more than needed.

use std::collections::BTreeSet;

use super::*;

/// Pupils with a date of birth, and their marks; both hold a name apart.
fn school() -> Contract {
    contract(json!([
        { "name": "pupils", "title": "Pupils", "enclave:unitKey": "id", "enclave:maxRowsPerUnit": 1,
          "enclave:cohort": "born",
          "schema": { "primaryKey": ["id"], "fields": [
            { "name": "id", "type": "integer", "enclave:role": "unit" },
            { "name": "name", "type": "string", "enclave:role": "identifier" },
            { "name": "born", "type": "date" },
            { "name": "club", "type": "string" },
            { "name": "phone", "type": "string", "enclave:role": "identifier", "constraints": { "unique": true } },
            { "name": "badge", "type": "integer", "constraints": { "unique": true } } ] } },
        { "name": "marks", "title": "Marks", "enclave:unitKey": "id", "enclave:maxRowsPerUnit": 3,
          "schema": { "primaryKey": ["id", "term"],
            "foreignKeys": [ { "fields": "id", "reference": { "resource": "pupils", "fields": "id" } } ],
            "fields": [
            { "name": "id", "type": "integer", "enclave:role": "unit" },
            { "name": "term", "type": "integer" },
            { "name": "mark", "type": "number", "constraints": { "maximum": 100 } },
            { "name": "teacher", "type": "string", "enclave:role": "identifier" } ] } },
        { "name": "tests", "title": "Tests", "enclave:unitKey": "id",
          "schema": { "primaryKey": ["test"], "fields": [
            { "name": "id", "type": "integer", "enclave:role": "unit" },
            { "name": "test", "type": "integer" },
            { "name": "score", "type": "integer" } ] } },
        { "name": "rooms", "title": "Rooms", "enclave:public": true,
          "schema": { "primaryKey": ["room"], "fields": [
            { "name": "room", "type": "string" }, { "name": "floor", "type": "integer" } ] } }
    ]))
}

const PUPILS: &str = "id,name,born,club,phone,badge\n";
const MARKS: &str = "id,term,mark,teacher\n";
const TESTS: &str = "id,test,score\n";
const ROOMS: &str = "room,floor\n";

fn pupil(id: u32) -> String {
    let (year, month) = (2010 + id % 3, ["03", "06"][id as usize % 2]);
    format!("{id},name {id},{year}-{month}-05,club {},090-{id},{}\n", id % 5, 7000 + id)
}

fn lines(head: &str, rows: impl Iterator<Item = String>) -> String {
    head.to_owned() + &rows.collect::<String>()
}

/// With 400 pupils, in several parts.
fn stocked() -> (Contract, Kit) {
    let (contract, kit) = (school(), Kit::tight());
    let pupils = lines(PUPILS, (0..400).map(pupil));
    let marks = lines(MARKS, (0..400).map(|id| format!("{id},1,{},teacher {}\n", id % 100, id % 7)));
    let tests = lines(TESTS, (0..400).map(|id| format!("{id},{},{}\n", 1000 + id, id % 10)));
    let rooms = lines(ROOMS, (0..4).map(|room| format!("r{room},{room}\n")));
    kit.csv(&contract, &[("pupils", &pupils), ("marks", &marks), ("tests", &tests), ("rooms", &rooms)])
        .unwrap();
    assert!(kit.snapshot(&contract).partitions >= 4);
    (contract, kit)
}

fn state(kit: &Kit, contract: &Contract) -> Vec<(RecordBatch, Vec<(String, String)>)> {
    let tables = contract.tables.iter().map(|table| table.name.as_str());
    tables.map(|table| (kit.rows(contract, table), kit.names(contract, table))).collect()
}

fn places(kit: &Kit, contract: &Contract, table: &str) -> BTreeSet<String> {
    kit.snapshot(contract).table(table).unwrap().parts.iter().map(|part| part.path.clone()).collect()
}

fn sound(kit: &Kit, contract: &Contract) {
    assert_eq!(kit.vault.check(contract).unwrap().findings, []);
}

#[test]
fn what_is_appended_is_as_if_it_had_come_with_the_rest() {
    let (contract, kit) = stocked();
    let before = places(&kit, &contract, "marks");
    kit.csv_as(
        Mode::Append,
        &contract,
        &[
            ("pupils", &lines(PUPILS, (400..402).map(pupil))),
            (
                "marks",
                &lines(MARKS, ["401,1,50,x\n", "7,2,51,y\n", "7,3,52,z\n"].map(str::to_owned).into_iter()),
            ),
            ("tests", &lines(TESTS, ["7,2000,1\n".to_owned()].into_iter())),
            ("rooms", &lines(ROOMS, ["r9,9\n".to_owned()].into_iter())),
        ],
    )
    .unwrap();
    sound(&kit, &contract);
    let appended = state(&kit, &contract);
    let kept = places(&kit, &contract, "marks").intersection(&before).count();
    assert!(kept >= before.len() - 2, "{kept} of {} parts stay as they are", before.len());

    let pupils = lines(PUPILS, (0..402).map(pupil));
    let marks = lines(MARKS, (0..400).map(|id| format!("{id},1,{},teacher {}\n", id % 100, id % 7)));
    let tests = lines(TESTS, (0..400).map(|id| format!("{id},{},{}\n", 1000 + id, id % 10)));
    let rooms = lines(ROOMS, (0..4).map(|room| format!("r{room},{room}\n")));
    kit.csv(
        &contract,
        &[
            ("pupils", &pupils),
            ("marks", &(marks + "401,1,50,x\n7,2,51,y\n7,3,52,z\n")),
            ("tests", &(tests + "7,2000,1\n")),
            ("rooms", &(rooms + "r9,9\n")),
        ],
    )
    .unwrap();
    assert_eq!(state(&kit, &contract), appended);
}

#[test]
fn what_is_upserted_takes_the_place_of_its_key() {
    let (contract, kit) = stocked();
    let before = places(&kit, &contract, "marks");
    kit.csv_as(
        Mode::Upsert,
        &contract,
        &[
            ("marks", &format!("{MARKS}7,1,99,new teacher\n8,2,98,another\n")),
            // A test that turns out to be another pupil's.
            ("tests", &format!("{TESTS}9,1007,5\n")),
            ("rooms", &format!("{ROOMS}r1,11\n")),
        ],
    )
    .unwrap();
    sound(&kit, &contract);
    let kept = places(&kit, &contract, "marks").intersection(&before).count();
    assert!(kept >= before.len() - 2 && kept < before.len());
    let names: Vec<String> = kit.names(&contract, "marks").into_iter().map(|(_, name)| name).collect();
    assert_eq!(names.len(), 401);
    assert_eq!(names.iter().filter(|name| name.ends_with("new teacher")).count(), 1);
    let floors = kit.rows(&contract, "rooms");
    assert_eq!(floors.num_rows(), 4);
    let held = kit.vault.desk().unwrap().held(&contract, "9").unwrap();
    let tests = held.iter().find(|held| held.table == "tests").unwrap();
    assert_eq!(tests.rows.len(), 2);
    let held = kit.vault.desk().unwrap().held(&contract, "7").unwrap();
    assert!(held.iter().all(|held| held.table != "tests"), "the test was pupil 7's");
    let marks = held.iter().find(|held| held.table == "marks").unwrap();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(marks.rows, [[text("7"), text("1"), text("99"), text("new teacher")]]);
}

#[test]
fn a_corrected_date_of_birth_moves_names_to_another_cohort() {
    let (contract, kit) = stocked();
    let cohorts = |kit: &Kit, table: &str| -> BTreeSet<String> {
        let id = hex::encode(kit.vault.keys.pseudonym("school", b"6"));
        let names = kit.names(&contract, table);
        names.into_iter().filter(|(_, names)| names.starts_with(&id)).map(|(cohort, _)| cohort).collect()
    };
    // Born on 5 March 2010: finishes with those of 2009.
    assert_eq!(cohorts(&kit, "pupils"), BTreeSet::from(["2025".to_owned()]));
    assert_eq!(cohorts(&kit, "marks"), BTreeSet::from(["2025".to_owned()]));
    kit.csv_as(
        Mode::Upsert,
        &contract,
        &[("pupils", &format!("{PUPILS}6,name 6,2010-04-02,club 1,090-6,7006\n"))],
    )
    .unwrap();
    for table in ["pupils", "marks"] {
        assert_eq!(cohorts(&kit, table), BTreeSet::from(["2026".to_owned()]), "{table}");
        assert_eq!(kit.names(&contract, table).len(), 400);
    }
    sound(&kit, &contract);
}

/// (mode, table, rows, rule)
const REFUSED: [(Mode, &str, &str, &str); 11] = [
    (Mode::Append, "marks", "7,1,1,a\n", "primaryKey"),
    (Mode::Append, "tests", "7,1003,1\n", "primaryKey"),
    (Mode::Append, "pupils", "7,again,2010-05-05,c,1,1\n", "maxRowsPerUnit"),
    (Mode::Append, "marks", "7,2,1,a\n7,3,1,a\n7,4,1,a\n", "maxRowsPerUnit"),
    (Mode::Append, "pupils", "900,a,2010-05-05,c,090-7,1\n", "unique"),
    (Mode::Append, "pupils", "900,a,2010-05-05,c,1,7007\n", "unique"),
    (Mode::Upsert, "pupils", "8,a,2010-05-05,c,090-7,7008\n", "unique"),
    (Mode::Append, "marks", "5000,1,1,a\n", "foreignKey"),
    (Mode::Upsert, "marks", "7,1,101,a\n", "maximum"),
    (Mode::Upsert, "marks", "7,1,1,a\n7,1,2,a\n", "primaryKey"),
    (Mode::Upsert, "marks", "7,2,1,a\n7,3,1,a\n7,4,1,a\n", "maxRowsPerUnit"),
];

#[test]
fn old_and_new_rows_keep_the_contract_together() {
    let (contract, kit) = stocked();
    let (before, files) = (state(&kit, &contract), files_under(&kit.home().join("store")));
    for (mode, table, rows, rule) in REFUSED {
        let head = match table {
            "marks" => MARKS,
            "tests" => TESTS,
            _ => PUPILS,
        };
        let report = report(kit.csv_as(mode, &contract, &[(table, &format!("{head}{rows}"))]));
        assert!(
            report.mistakes.iter().all(|mistake| mistake.rule == rule || rule == "maxRowsPerUnit"),
            "{report}"
        );
        assert!(report.mistakes.iter().any(|mistake| mistake.rule == rule), "{rule}: {report}");
        assert!(report.mistakes.iter().all(|mistake| (2..=4).contains(&mistake.line)), "{report}");
    }
    assert_eq!(state(&kit, &contract), before);
    assert_eq!(files_under(&kit.home().join("store")), files);
    // Their neighbours are accepted.
    kit.csv_as(Mode::Append, &contract, &[("marks", &format!("{MARKS}7,2,1,a\n7,3,1,a\n"))]).unwrap();
    kit.csv_as(Mode::Upsert, &contract, &[("marks", &format!("{MARKS}7,1,100,a\n"))]).unwrap();
    let keyless = contract_without_key();
    let upsert = kit.csv_as(Mode::Upsert, &keyless, &[("notes", "id,note\n1,a\n")]);
    assert!(matches!(upsert, Err(IngestError::NoKey(_))));
}

fn contract_without_key() -> Contract {
    contract(json!([{ "name": "notes", "title": "Notes", "enclave:unitKey": "id", "schema": { "fields": [
        { "name": "id", "type": "integer", "enclave:role": "unit" }, { "name": "note", "type": "string" } ] } }]))
}

#[test]
fn a_switch_that_was_announced_is_finished() {
    let (contract, kit) = stocked();
    let old = kit.snapshot(&contract);
    let manifests = kit.home().join("store/school/manifests");
    // As after SIGKILL between the announcement and the switch.
    let mut announced = String::new();
    kit.csv_as(Mode::Append, &contract, &[("rooms", "room,floor\nr7,7\n")]).unwrap();
    let new = kit.snapshot(&contract);
    announced.push_str(&new.manifest_sha256);
    let name = format!("{:08}", new.number);
    fs::rename(manifests.join(&name), manifests.join(format!("{name}.pending"))).unwrap();
    assert_eq!(kit.snapshot(&contract).number, old.number);
    assert!(!kit.vault.finish_switch("school", &old.manifest_sha256).unwrap());
    assert!(kit.vault.finish_switch("school", &announced).unwrap());
    assert_eq!(kit.snapshot(&contract).number, new.number);
    assert!(!manifests.join(format!("{name}.pending")).exists());
    sound(&kit, &contract);
}
