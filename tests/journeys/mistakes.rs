//! What people get wrong, and what they are told: everything at once, where it is, and nothing changed.

use serde_json::{Value, json};

use crate::support::{Desk, QUESTION, memorandum, replaced};

#[test]
fn all_mistakes_of_a_contract_are_told_at_once() {
    let desk = Desk::empty();
    desk.run(["init"]).done();
    let before = desk.log();
    let mut contract: Value = serde_json::from_str(datasets_synthetic::STAR_CONTRACT).unwrap();
    contract["version"] = json!("one");
    let table = &mut contract["resources"][0];
    table["enclave:unitKey"] = json!("pupil");
    table["schema"]["fields"][1]["type"] = json!("int");
    table["schema"]["fields"][8]["constraints"] = json!({ "minimum": 800, "maximum": 250 });
    let reference =
        json!([{ "fields": ["sch"], "reference": { "resource": "nowhere", "fields": ["code"] } }]);
    table["schema"]["foreignKeys"] = reference;
    table["schema"]["fields"][11].as_object_mut().unwrap().remove("type");
    desk.write("star.json", &contract.to_string());
    desk.run(["contract", "publish", "star.json"]).exits(2).says([
        "`/version`",
        "`/resources/0/enclave:unitKey`: no column `pupil`",
        "`/resources/0/schema/fields/1/type`: unknown type `int`",
        "`/resources/0/schema/fields/8/constraints/minimum`: is above `maximum`",
        "`/resources/0/schema/fields/11`: `type` is missing",
        "`/resources/0/schema/foreignKeys/0/reference/resource`: no table `nowhere`",
    ]);
    for (text, says) in [("{", "not JSON"), ("[]", "mistake"), ("{}", "`resources` is missing")] {
        desk.write("star.json", text);
        desk.run(["contract", "publish", "star.json"]).exits(2).says([says]);
    }
    desk.run(["contract", "publish", "nowhere.json"]).exits(2).says(["cannot read `nowhere.json`"]);
    assert_eq!(desk.run(["contract", "list"]).done().text(), "");
    assert_eq!(desk.log(), before);
}

#[test]
fn an_incompatible_version_needs_a_new_major_number() {
    let desk = Desk::with_papers();
    desk.run(["init"]).done();
    desk.run(["contract", "publish", "star.json"]).done();
    let changed = |version: &str| {
        let mut contract: Value = serde_json::from_str(datasets_synthetic::STAR_CONTRACT).unwrap();
        contract["version"] = json!(version);
        let fields = contract["resources"][0]["schema"]["fields"].as_array_mut().unwrap();
        fields[8]["constraints"]["minimum"] = json!(300);
        fields.remove(3);
        contract.to_string()
    };
    desk.write("next.json", &changed("1.1.0"));
    desk.run(["contract", "publish", "next.json"]).exits(2).says([
        "version `1.1.0` is incompatible with `1.0.0`",
        "new major version",
        "column `cltype` of `results` is removed",
        "`read` of `results` has a narrower range",
    ]);
    desk.run(["contract", "publish", "star.json"]).exits(2).says(["`1.0.0`", "not later"]);
    assert_eq!(desk.run(["contract", "list"]).done().text().lines().count(), 1);

    desk.write("next.json", &changed("2.0.0"));
    desk.run(["contract", "publish", "next.json"]).done();
    assert_eq!(desk.run(["contract", "list"]).done().text().lines().count(), 2);
    assert_eq!(desk.run(["contract", "show", "star"]).done().text(), changed("2.0.0"));
    desk.run(["contract", "show", "moon"]).exits(2).says(["there is no contract `moon`"]);
}

/// A club with a contract of its own: `number` names the member, `name` and `phone` identify.
fn club() -> Desk {
    let contract = json!({
        "name": "club", "version": "1.0.0", "title": "A club", "title:ja": "クラブ", "enclave:unit": "pupil",
        "resources": [{
            "name": "members", "path": "members.csv", "title": "Members", "title:ja": "部員",
            "enclave:unitKey": "number",
            "schema": {
                "primaryKey": ["number"],
                "fields": [
                    { "name": "number", "type": "string", "enclave:role": "unit",
                      "constraints": { "required": true, "pattern": "P-[0-9]{4}" } },
                    { "name": "name", "type": "string", "enclave:role": "identifier",
                      "constraints": { "required": true, "maxLength": 8 } },
                    { "name": "phone", "type": "string", "enclave:role": "identifier",
                      "constraints": { "pattern": "0[0-9]{9}" } },
                    { "name": "grade", "type": "integer",
                      "constraints": { "required": true, "minimum": 1, "maximum": 9 } }
                ]
            }
        }]
    });
    let desk = Desk::empty();
    desk.write("club.json", &contract.to_string());
    desk.run(["init"]).done();
    desk.run(["contract", "publish", "club.json"]).done();
    desk
}

#[test]
fn a_message_about_records_never_shows_who_they_are_about() {
    let desk = club();
    desk.write(
        "members.csv",
        "number,name,phone,grade\n\
         P-1001,Hanako,0312345678,3\n\
         P-100200,Taro,0312345678,3\n\
         P-1003,Bartholomew,0312345678,3\n\
         P-1004,Jiro,090-1234,3\n\
         P-1005,Saburo,0312345678,12\n\
         P-1001,Shiro,0312345678,4\n\
         P-1007,,0312345678,x\n\
         P-1008,Goro\n",
    );
    let told = desk.run(["ingest", "club", "members=members.csv"]).exits(2).says([
        "8 mistakes; nothing was ingested",
        "members.csv:3: column `number`",
        "members.csv:4: column `name`",
        "members.csv:5: column `phone`",
        "members.csv:6: column `grade`: above the maximum 9 (maximum)",
        "members.csv:7:",
        "(primaryKey)",
        "members.csv:8: column `name`",
        "members.csv:8: column `grade`",
        "members.csv:9: 2 fields, but the header names 4 (fields)",
    ]);
    for secret in ["P-1", "Hanako", "Taro", "Bartholomew", "0312345678", "090-1234", "Shiro", "Goro"] {
        assert!(!told.err.contains(secret) && !told.text().contains(secret), "{secret}: {}", told.err);
    }
    let store = desk.home().join("store");
    let kept = if store.exists() { crate::support::files(&store) } else { Vec::new() };
    assert!(kept.iter().all(|file| file.ends_with("ingest.lock")), "{kept:?}");
    assert_eq!(desk.logged("ingest"), 0);

    for (text, says) in [
        ("number,name,phone,grade\n\"P-1001,Hanako,0312345678,3\n", "members.csv"),
        ("number,name,phone\nP-1001,Hanako,0312345678\n", "grade"),
        ("number,name,phone,grade,grade\nP-1001,Hanako,0312345678,3,3\n", "members.csv:1: column 5"),
        ("", "members.csv"),
    ] {
        desk.write("members.csv", text);
        let told = desk.run(["ingest", "club", "members=members.csv"]).exits(2).says([says]);
        assert!(!told.err.contains("Hanako") && !told.err.contains("P-1001"), "{}", told.err);
    }
    desk.write("members.csv", "number,name,phone,grade\nP-1001,Hanako,0312345678,3\nP-1002,Taro,,9\n");
    desk.run(["ingest", "club", "members=members.csv"]).done();
}

#[test]
fn of_many_mistakes_a_hundred_are_listed() {
    let desk = club();
    let rows: String = (0..150).map(|i| format!("P-{:04},Name {i},,0\n", 1000 + i)).collect();
    desk.write("members.csv", &format!("number,name,phone,grade\n{rows}"));
    let told = desk.run(["ingest", "club", "members=members.csv"]).exits(2);
    let lines: Vec<&str> = told.err.lines().collect();
    assert_eq!(lines.len(), 102, "{}", told.err);
    assert_eq!(lines[0], "error: 150 mistakes; nothing was ingested");
    for (i, line) in lines[1..101].iter().enumerate() {
        assert_eq!(*line, format!("members.csv:{}: column `grade`: below the minimum 1 (minimum)", i + 2));
    }
    assert_eq!(lines[101], "and 50 more");
}

#[test]
fn a_refused_ingest_leaves_everything_as_it_was() {
    let desk = Desk::with_star();
    let answer = desk.ask_json(["--rho", "0.02", QUESTION]);
    let before = desk.log();
    let star = std::fs::read_to_string(desk.path("star.csv")).unwrap();
    desk.write("wrong.csv", &replaced(&star, "100017,28,K,small,", "100017,28,Q,small,"));
    for (arguments, says) in [
        (
            &["ingest", "star", "results=wrong.csv"][..],
            "wrong.csv:2: column `gr`: not one of the listed codes (enum)",
        ),
        (&["ingest", "star", "pupils=star.csv"], "has no table `pupils`"),
        (&["ingest", "star", "results=nowhere.csv"], "`nowhere.csv`"),
        (&["ingest", "moon", "results=star.csv"], "there is no contract `moon`; publish it first"),
        (&["ingest", "star", "results=star.csv", "results=star.csv"], "two files"),
        (&["ingest", "star", "star.csv"], "write TABLE=FILE"),
        (&["ingest", "star", "=star.csv"], "write TABLE=FILE"),
        (&["ingest", "star"], "TABLE=FILE"),
        (&["ingest", "star", "results=."], "`.`"),
    ] {
        let told = desk.run_with(arguments, "").exits(2).says([says]);
        assert!(told.out.is_empty(), "{}", told.text());
    }
    assert_eq!(desk.log(), before);
    let again = desk.ask_json(["--rho", "0.02", QUESTION]);
    assert_eq!((&again["replayed"], &again["rows"]), (&json!(true), &answer["rows"]));
    // The same file with the mistake corrected is a new snapshot.
    desk.run(["ingest", "star", "results=star.csv"]).done();
    assert_eq!(desk.ask_json(["--rho", "0.02", QUESTION])["replayed"], false);
}

#[test]
fn a_home_is_made_once_and_before_anything_else() {
    let desk = Desk::with_papers();
    for arguments in [
        &["contract", "publish", "star.json"][..],
        &["contract", "list"],
        &["ingest", "star", "results=star.csv"],
        &["rules", "list"],
        &["memorandum", "sign", "star-1.toml"],
        &["ask", "-m", "star-1", QUESTION],
        &["budget"],
        &["log", "list"],
        &["log", "verify"],
    ] {
        desk.run_with(arguments, "").exits(2).says(["enclave-home` holds no vault; run `enclave init`"]);
    }
    assert!(!desk.home().exists(), "asking made a home");

    desk.run(["init"]).done();
    let key = std::fs::read(desk.home().join("keys/root.key")).unwrap();
    desk.run(["init"]).exits(2).says(["holds a vault already"]);
    desk.run(["demo"]).exits(2).says(["holds a vault already"]);
    assert_eq!(std::fs::read(desk.home().join("keys/root.key")).unwrap(), key);
    desk.run(["log", "verify"]).done();

    // Elsewhere, by option and by environment.
    desk.run(["--home", "other", "init"]).done();
    desk.run(["log", "list", "--home", "other"]).done();
    let output = desk.command(&["budget"]).env("ENCLAVE_HOME", "third").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`third` holds no vault"));

    // Without the root key nothing opens, and nothing is damaged by trying.
    std::fs::rename(desk.home().join("keys/root.key"), desk.path("root.key")).unwrap();
    desk.run(["log", "list"]).exits(2).says(["no root key"]);
    let output = desk.command(&["log", "list"]).env("ENCLAVE_ROOT_KEY", "root.key").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn all_mistakes_of_a_memorandum_are_told_at_once() {
    let desk = Desk::with_papers();
    desk.run(["init"]).done();
    desk.run(["memorandum", "sign", "star-1.toml"])
        .exits(2)
        .says(["there is no contract `star`; publish it"]);
    desk.run(["contract", "publish", "star.json"]).done();
    let before = desk.log();

    let mut text = replaced(&memorandum(), "delta = 1e-6", "delta = 2");
    text = replaced(&text, "rho = 10.0", "rho = -1.0");
    text = replaced(&text, "use_case =", "usecase =");
    text = replaced(&text, "until = 2199-12-31", "until = 2019-12-31");
    desk.write("wrong.toml", &text);
    desk.run(["memorandum", "sign", "wrong.toml"]).exits(2).says([
        "mistakes:",
        "`use_case` is missing",
        "unknown key `usecase`",
        "/valid",
        "/allotment/rho",
        "/allotment/delta",
    ]);
    let text = replaced(&memorandum(), "\"math\"", "\"maths\", \"heights\"");
    desk.write("wrong.toml", &text);
    let says = ["2 mistakes", "no column `maths` in table `results`", "no column `heights`"];
    desk.run(["memorandum", "sign", "wrong.toml"]).exits(2).says(says);
    desk.write("wrong.toml", &replaced(&memorandum(), "rules = \"standard\"", "rules = \"strict\""));
    desk.run(["memorandum", "sign", "wrong.toml"]).exits(2).says(["there is no rule set `strict`"]);
    desk.write("wrong.toml", "id = ");
    desk.run(["memorandum", "sign", "wrong.toml"]).exits(2);
    desk.run(["memorandum", "sign", "nowhere.toml"]).exits(2).says(["cannot read `nowhere.toml`"]);
    assert_eq!(desk.log(), before);
    desk.run(["memorandum", "sign", "star-1.toml"]).done();
}

#[test]
fn a_memorandum_is_signed_once_and_ended_once() {
    let desk = Desk::with_star();
    desk.run(["memorandum", "sign", "star-1.toml"]).exits(2).says(["`star-1` is signed already"]);
    assert_eq!(desk.run(["memorandum", "show", "star-1"]).done().text(), memorandum());
    desk.ask(["--rho", "0.02", QUESTION]).done();
    desk.run(["memorandum", "end", "star-2"]).exits(2).says(["there is no memorandum `star-2`"]);
    desk.run(["memorandum", "end", "star-1"]).done();
    desk.run(["memorandum", "end", "star-1"]).exits(2).says(["ended already"]);
    assert!(desk.run(["memorandum", "list"]).done().text().contains("\tended 20"));
    // Not even what is on record is told again.
    for arguments in [&["--rho", "0.02"][..], &["--preview"], &["--fresh"]] {
        let all = [&["ask", "-m", "star-1", "--format", "json"], arguments, &[QUESTION]].concat();
        let told = desk.run_with(&all, "").exits(3);
        assert_eq!(told.json()["refused"]["rule"], "memorandum");
    }
    // Nor does signing the ended one again put it in force.
    desk.run(["memorandum", "sign", "star-1.toml"]).exits(2);

    for (id, valid) in [
        ("past", "from = 2020-01-01, until = 2020-12-31"),
        ("future", "from = 2198-01-01, until = 2199-12-31"),
    ] {
        let text = replaced(&memorandum(), "id = \"star-1\"", &format!("id = \"{id}\""));
        desk.write("other.toml", &replaced(&text, "from = 2020-01-01, until = 2199-12-31", valid));
        desk.run(["memorandum", "sign", "other.toml"]).done();
        desk.run(["ask", "-m", id, QUESTION]).exits(3).says(["in force"]);
    }
    assert_eq!(desk.logged("question"), 1);
}
