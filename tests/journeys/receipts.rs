//! What a researcher keeps beside an answer, and what anybody can add up from the exported log.

use serde_json::{Value, json};

use crate::support::{Desk, QUESTION, Told, micro};

/// Asks, writes the answer to `name` and its receipt beside it.
fn kept(desk: &Desk, name: &str, format: &str) -> Told {
    let receipt = format!("{name}.receipt");
    let told = desk.ask(["--receipt", &receipt, "--format", format, QUESTION]).done();
    std::fs::write(desk.path(name), &told.out).unwrap();
    told
}

/// The public key as the board was given it.
fn public_key(desk: &Desk) {
    desk.run(["log", "export", "handed-over"]).done();
    std::fs::copy(desk.path("handed-over/vkey"), desk.path("key")).unwrap();
}

#[test]
fn an_answer_is_shown_to_be_real_without_the_enclave() {
    let desk = Desk::with_star();
    kept(&desk, "first.csv", "csv");
    let replayed = kept(&desk, "again.json", "json").json();
    assert_eq!(replayed["replayed"], true);
    kept(&desk, "answer.arrow", "arrow");
    kept(&desk, "answer.parquet", "parquet");
    public_key(&desk);

    // On another desk, with nothing but the files and the key.
    let other = Desk::empty();
    for name in ["first.csv", "again.json", "answer.arrow", "answer.parquet", "key"] {
        std::fs::copy(desk.path(name), other.path(name)).unwrap();
    }
    for name in ["first.csv", "again.json", "answer.arrow", "answer.parquet"] {
        let receipt = format!("{name}.receipt");
        std::fs::copy(desk.path(&receipt), other.path(&receipt)).unwrap();
        let told = other.run(["receipt", "verify", &receipt, "--key", "key", "--result", name]).done();
        for word in ["verified: release", "memorandum star-1", "price rho 0.01", "the table is the one"] {
            assert!(told.text().contains(word), "{name}: no {word:?} in {}", told.text());
        }
    }
    // These bring it along.
    for name in ["again.json", "answer.arrow", "answer.parquet"] {
        let told = other.run(["receipt", "verify", name, "--key", "key"]).done();
        assert!(told.text().contains("the table is the one"), "{name}: {}", told.text());
    }
    other.run(["receipt", "verify", "first.csv", "--key", "key"]).exits(2).says(["brings no receipt"]);
    // All are of the same release: a replay has no other.
    let index = |name: &str| -> Value {
        let text = std::fs::read_to_string(other.path(name)).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["release"]["index"].clone()
    };
    assert_eq!(index("first.csv.receipt"), index("again.json.receipt"));
}

#[test]
fn a_changed_answer_is_not_what_was_released() {
    let desk = Desk::with_star();
    kept(&desk, "answer.csv", "csv");
    kept(&desk, "answer.json", "json");
    public_key(&desk);
    let verify = |result: &str| {
        desk.run(["receipt", "verify", "answer.csv.receipt", "--key", "key", "--result", result])
    };
    verify("answer.csv").done();
    verify("answer.json").done();

    let csv = std::fs::read_to_string(desk.path("answer.csv")).unwrap();
    let digit = csv.char_indices().rfind(|(_, c)| ('1'..='8').contains(c)).unwrap();
    let mut changed = csv.clone();
    changed.replace_range(digit.0..digit.0 + 1, "9");
    desk.write("changed.csv", &changed);
    verify("changed.csv").exits(2).says(["not the one that was released"]);
    let lines: Vec<&str> = csv.lines().collect();
    desk.write("short.csv", &format!("{}\n", lines[..lines.len() - 1].join("\n")));
    verify("short.csv").exits(2).says(["not the one that was released"]);
    // Its names are the asker's, and no part of the release.
    desk.write("renamed.csv", &csv.replacen("cltype", "class", 1));
    verify("renamed.csv").done();

    let mut answer: Value =
        serde_json::from_str(&std::fs::read_to_string(desk.path("answer.json")).unwrap()).unwrap();
    answer["rows"][0]["n"]["value"] = json!(1);
    desk.write("changed.json", &answer.to_string());
    verify("changed.json").exits(2).says(["not the one that was released"]);

    let receipt = std::fs::read_to_string(desk.path("answer.csv.receipt")).unwrap();
    desk.write("cheaper.receipt", &receipt.replacen("\"rho_micro\": 10000", "\"rho_micro\": 1", 1));
    desk.run(["receipt", "verify", "cheaper.receipt", "--key", "key"]).exits(2).says(["`terms`"]);
    // Another enclave's key.
    let other = Desk::with_star();
    public_key(&other);
    std::fs::copy(other.path("key"), desk.path("other")).unwrap();
    desk.run(["receipt", "verify", "answer.csv.receipt", "--key", "other"]).exits(2).says(["signed by"]);
    desk.run(["receipt", "verify", "answer.csv.receipt"]).done().says(["the key in the receipt is believed"]);
}

#[test]
fn a_statement_says_what_each_question_cost_and_how_long_the_rest_lasts() {
    let desk = Desk::with_star();
    desk.ask([QUESTION]).done();
    desk.ask(["--fresh", "--rho", "0.02", QUESTION]).done();
    // Given again, at no charge: no line of the statement.
    desk.ask([QUESTION]).done();
    let told = desk.run(["budget", "-m", "star-1", "--statement", "--format", "json"]).done().json();
    let lines = told["statement"].as_array().unwrap();
    let line = |i: usize| {
        let line = &lines[i];
        (line["kind"].as_str().unwrap(), micro(&line["price"]["rho"]), micro(&line["balance"]["rho"]))
    };
    let allotment = line(0).2;
    assert_eq!(line(0).0, "signature");
    assert_eq!(line(1), ("question", 10_000, allotment - 10_000));
    assert_eq!(line(2), ("question", 20_000, allotment - 30_000));
    assert_eq!(lines.len(), 3);
    assert!(lines[1]["question"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(micro(&told["largest_prices"][0]["rho"]), 100_000);
    assert!(told["forecast"]["runs_out"].is_string(), "{told}");
    let text = desk.run(["budget", "-m", "star-1", "--statement"]).done().text();
    for word in ["one question costs at most rho 0.1", "rho 0.02", "a day the balance lasts until"] {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
    desk.run(["budget", "--statement"]).exits(2);
}

#[test]
fn every_balance_is_added_up_from_the_log_alone() {
    let desk = Desk::with_star();
    desk.ask([QUESTION]).done();
    desk.ask(["--fresh", QUESTION]).done();
    desk.run(["log", "audit"]).done().says(["are what the log adds up to"]);
    public_key(&desk);
    let budget = desk.run(["budget", "--format", "json"]).done();
    std::fs::write(desk.path("budget.json"), &budget.out).unwrap();

    let audit = |budget: &str| {
        desk.run(["log", "audit", "handed-over", "--key", "key", "--budget", budget, "--format", "json"])
    };
    let counted = audit("budget.json").done().json();
    for account in counted.as_array().unwrap() {
        assert_eq!((&account["questions"], &account["releases"]), (&json!(2), &json!(2)), "{account}");
        assert_eq!(micro(&account["charged"]["rho"]), 20_000);
    }
    // Somebody tells of a better balance.
    let better = budget.text().replacen("\"rho\": 0.02", "\"rho\": 0.01", 1);
    assert_ne!(better, budget.text());
    desk.write("better.json", &better);
    audit("better.json").exits(2).says(["is not what the log adds up to"]);
    // A leaf is missing.
    let leaves = std::fs::read_to_string(desk.path("handed-over/leaves.jsonl")).unwrap();
    let fewer: Vec<&str> = leaves.lines().filter(|line| !line.contains("\"kind\":\"question\"")).collect();
    desk.write("handed-over/leaves.jsonl", &format!("{}\n", fewer.join("\n")));
    audit("budget.json").exits(2).says(["not verified"]);
}
