//! How an agreement comes about and is kept: people are registered, a memorandum is drafted, checked, signed by two,
//! asked under, amended, reviewed and ended. Who may not is told so, and the log has all of it.

use serde_json::{Value, json};

use crate::support::{Desk, QUESTION, Told, memorandum, replaced};

impl Desk {
    /// Somebody types a command.
    fn by<const N: usize>(&self, person: &str, arguments: [&str; N]) -> Told {
        let all: Vec<&str> = ["--as", person].into_iter().chain(arguments).collect();
        self.run_with(&all, "")
    }

    fn leaf(&self, index: u64) -> Value {
        let show = ["--as", "s1", "log", "show", &index.to_string()];
        self.run_with(&show, "").done().json()["leaf"].clone()
    }

    /// The newest leaf of a kind.
    fn newest(&self, kind: &str) -> Value {
        let list = self.by("s1", ["log", "list"]).done().text();
        let mut of_kind = list.lines().filter(|line| line.split('\t').nth(2) == Some(kind));
        let index = of_kind.next_back().unwrap_or_else(|| panic!("no {kind} in\n{list}")).split('\t').next();
        self.leaf(index.unwrap().parse().unwrap())
    }

    /// A command waits for the board; this is its approval's number.
    fn waits<const N: usize>(&self, person: &str, arguments: [&str; N]) -> String {
        let told = self.by(person, arguments).exits(5).err;
        let number = told.split("approval ").nth(1).and_then(|rest| rest.split_whitespace().next());
        number.unwrap_or_else(|| panic!("no number in {told}")).to_owned()
    }

    /// An enclave with steward, custodian and one member of the board, and nothing in it.
    fn with_people() -> Desk {
        let desk = Desk::with_papers();
        desk.run(["init"]).done();
        desk.run(["people", "add", "b1", "--name", "Board One", "--role", "board"]).done();
        desk.run(["people", "add", "c1", "--name", "Custodian", "--role", "custodian"]).done();
        desk.run(["people", "add", "s1", "--name", "Steward", "--role", "steward"])
            .done()
            .says(["the founding is over"]);
        desk
    }

    /// The same with Project STAR, whose column `ses` is restricted.
    fn with_restricted_star() -> Desk {
        let desk = Desk::with_people();
        let mut contract: Value = serde_json::from_str(datasets_synthetic::STAR_CONTRACT).unwrap();
        let fields = contract["resources"][0]["schema"]["fields"].as_array_mut().unwrap();
        let ses = fields.iter_mut().find(|field| field["name"] == "ses").unwrap();
        ses["enclave:tier"] = json!("restricted");
        desk.write("star.json", &contract.to_string());
        desk.by("s1", ["contract", "publish", "star.json"]).done();
        desk.by("c1", ["ingest", "star", "results=star.csv"]).done();
        desk
    }
}

#[test]
fn everybody_does_what_is_theirs_and_nothing_else() {
    let desk = Desk::with_people();
    desk.run(["contract", "publish", "star.json"]).exits(3).says(["say who acts, with `--as PERSON`"]);
    desk.by("x9", ["contract", "publish", "star.json"]).exits(3).says(["nobody of this id is registered"]);
    desk.by("b1", ["contract", "publish", "star.json"]).exits(3).says(["`b1` may not publish a contract"]);
    desk.by("s1", ["contract", "publish", "star.json"]).done();
    assert_eq!(desk.newest("publish")["by"], "s1");
    desk.by("s1", ["ingest", "star", "results=star.csv"]).exits(3).says(["takes one of custodian"]);
    desk.by("c1", ["ingest", "star", "results=star.csv"]).done();
    desk.by("c1", ["memorandum", "sign", "star-1.toml"]).exits(3);
    desk.by("s1", ["memorandum", "sign", "star-1.toml"]).done();
    desk.by("c1", ["people", "add", "s2", "--name", "S", "--role", "steward"]).exits(3);
    desk.by("c1", ["log", "export", "folder"]).exits(3);
    desk.by("b1", ["log", "export", "folder"]).done();
    desk.by("b1", ["budget"]).done();
    desk.by("star-1/r1", ["budget"]).done();
    desk.by("star-1/r2", ["budget"]).exits(3);
    // Nobody has to be registered to read what is published, or to verify what was exported.
    desk.run(["contract", "list"]).done();
    desk.run(["log", "verify", "folder"]).done();

    let refused = desk.newest("refusal");
    assert_eq!((&refused["rule"], &refused["person"]), (&json!("permission"), &Value::Null));
    desk.by("b1", ["log", "list"]).done();
    desk.by("s1", ["people", "remove", "s1"]).exits(2).says(["the last steward"]);
    let listed = desk.by("c1", ["people", "list", "--format", "json"]).done().json();
    let roles: Vec<&Value> = listed.as_array().unwrap().iter().map(|person| &person["roles"][0]).collect();
    assert_eq!(roles, ["board", "custodian", "steward"]);
    desk.by("s1", ["log", "verify"]).done();
}

#[test]
fn a_steward_alone_does_not_make_up_the_board() {
    let desk = Desk::with_people();
    let add = ["people", "add", "b2", "--name", "Board Two", "--role", "board"];
    let number = desk.waits("s1", add);
    // Neither the steward nor somebody unknown can approve it.
    desk.by("s1", ["approvals", "vote", &number, "approve"]).exits(3);
    desk.by("b2", ["approvals", "vote", &number, "approve"]).exits(3);
    desk.waits("s1", add);
    desk.by("b1", ["approvals", "vote", &number, "approve"]).done();
    // What was approved is what happens.
    let other = ["people", "add", "b3", "--name", "Board Two", "--role", "board"];
    assert_ne!(desk.waits("s1", other), number);
    desk.by("s1", add).done();
    desk.waits("s1", ["people", "remove", "b1"]);
    desk.by("b2", ["approvals", "list"]).done();
    desk.by("s1", ["log", "verify"]).done();
}

#[test]
fn from_a_draft_to_the_end() {
    let desk = Desk::with_people();
    desk.by("s1", ["contract", "publish", "star.json"]).done();
    desk.by("c1", ["ingest", "star", "results=star.csv"]).done();
    let draft = ["memorandum", "draft", "--contract", "star", "--id", "class", "--out", "class.toml"];
    desk.by("s1", draft).done().says(["memorandum check class.toml"]);
    desk.by("s1", draft).exits(2).says(["cannot write"]);
    // Everything that is missing, at once.
    let checked = desk.by("s1", ["memorandum", "check", "class.toml"]).exits(2);
    checked.says(["`/title/en`", "`/institution`", "`/purpose/en`", "`/use_case`", "`/people/0/name`"]);
    let draft = std::fs::read_to_string(desk.path("class.toml")).unwrap();
    let filled = draft
        .replace("title = { en = \"\", ja = \"\" }", "title = { en = \"Class size\", ja = \"学級規模\" }")
        .replace("purpose = { en = \"\", ja = \"\" }", "purpose = { en = \"To learn\", ja = \"学ぶため\" }")
        .replace("institution = \"\"", "institution = \"A university\"")
        .replace("use_case = \"\"", "use_case = [\"class-size\", \"achievement\"]")
        .replace("name = \"\"", "name = \"Researcher One\"");
    desk.write("class.toml", &filled);
    desk.by("s1", ["memorandum", "check", "class.toml"]).done();
    desk.by("s1", ["memorandum", "sign", "class.toml"]).done();
    desk.by("s1", ["memorandum", "sign", "class.toml"]).exits(2).says(["signed already", "amend"]);

    // A question names one of the purposes.
    let sql = "SELECT gr, AVG(math) AS m FROM results GROUP BY gr";
    let ask = |person: &str, purpose: &[&str]| {
        let all = [&["--as", person, "ask", "-m", "class"], purpose, &[sql]].concat();
        desk.run_with(&all, "")
    };
    ask("r1", &[]).exits(3).says(["several use cases", "class-size, achievement"]);
    ask("r1", &["--purpose", "transition"]).exits(3).says(["not one of this memorandum"]);
    ask("r1", &["--purpose", "achievement"]).done();
    assert_eq!(desk.newest("question")["purpose"], "achievement");

    // An amendment: somebody comes, an item goes.
    let amended = replaced(&filled, "version = 1 ", "version = 2 ");
    desk.write("same.toml", &replaced(&filled, "version = 1 ", "version = 1 "));
    desk.by("s1", ["memorandum", "amend", "same.toml"]).exits(2).says(["version 1 is in force"]);
    desk.write("none.toml", &amended);
    desk.by("s1", ["memorandum", "amend", "none.toml"]).exits(2).says(["changes nothing"]);
    let amended =
        replaced(&amended, "id = \"r1\", name = \"Researcher One\"", "id = \"r2\", name = \"R Two\"");
    let amended = replaced(&amended, "    \"read\",", "    # \"read\",");
    desk.write("class-2.toml", &replaced(&amended, "rho = 0.1 ", "rho = 0.2 "));
    let told = desk.by("s1", ["memorandum", "amend", "class-2.toml"]).done().text();
    let differences = [
        "- person r1: Researcher One, researcher",
        "+ person r2: R Two, researcher",
        "- item results.read",
        "~ allotment: rho 0.1, delta 1e-6, default 0.01 → rho 0.2, delta 1e-6, default 0.01",
    ];
    for difference in differences {
        assert!(told.contains(difference), "{difference} in {told}");
    }
    let leaf = desk.newest("amendment");
    assert_eq!(
        (&leaf["difference"], &leaf["version"], &leaf["by"]),
        (&json!(differences), &json!(2), &json!("s1"))
    );
    assert!(desk.by("s1", ["memorandum", "diff", "class"]).done().text().contains(differences[2]));
    let back = desk.by("s1", ["memorandum", "diff", "class", "--from", "2", "--to", "1"]).done().text();
    assert!(back.contains("+ item results.read"), "{back}");
    let history = desk.by("b1", ["memorandum", "history", "class"]).done().text();
    assert!(history.starts_with("version 1\t") && history.contains("signed by s1"), "{history}");
    let budget = desk.by("s1", ["budget", "-m", "class", "--format", "json"]).done().json();
    assert_eq!((&budget[0]["allotment"]["rho"], &budget[0]["charged"]["rho"]), (&json!(0.2), &json!(0.01)));
    // Who was removed cannot ask any more; what was dropped is not there any more.
    ask("r1", &["--purpose", "achievement"]).exits(3).says(["not a researcher"]);
    ask("r2", &["--purpose", "achievement"]).done();
    desk.write(
        "class-3.toml",
        &replaced(&replaced(&amended, "version = 2 ", "version = 3 "), "rho = 0.1 ", "rho = 0.005 ")
            .replace("default_rho = 0.01 ", "default_rho = 0.001 "),
    );
    desk.by("s1", ["memorandum", "amend", "class-3.toml"]).exits(2).says(["charged already"]);

    // Fewest items: what nobody used is named.
    let review = desk.by("s1", ["memorandum", "review", "class", "--format", "json"]).done().json();
    let used = |column: &str| {
        let items = review["items"].as_array().unwrap();
        items.iter().find(|item| item["column"] == column).unwrap()["questions"].as_u64().unwrap()
    };
    assert_eq!((used("gr"), used("math"), used("ses")), (2, 2, 0));
    assert!(!review["unused"].as_array().unwrap().is_empty());

    desk.by("s1", ["memorandum", "end", "class"]).done();
    ask("r2", &["--purpose", "achievement"]).exits(3);
    desk.by("s1", ["memorandum", "amend", "class-2.toml"]).exits(2);
    desk.by("s1", ["log", "verify"]).done();
}

#[test]
fn a_column_that_is_no_item_is_as_one_that_does_not_exist() {
    let desk = Desk::with_papers();
    let paper = replaced(&memorandum(), "\"read\", ", "");
    desk.write("star-1.toml", &paper);
    desk.run(["init"]).done();
    desk.run(["contract", "publish", "star.json"]).done();
    desk.run(["ingest", "star", "results=star.csv"]).done();
    desk.run(["memorandum", "sign", "star-1.toml"]).done();
    // `read` is in the contract, `reed` is nowhere: told apart by their names alone.
    for preview in [&[][..], &["--preview"]] {
        for format in ["table", "json"] {
            for sql in [
                "SELECT AVG(read) AS m FROM results",
                "SELECT gr, COUNT(*) AS n FROM results WHERE read > 500 GROUP BY gr",
                "SELECT read, COUNT(*) AS n FROM results GROUP BY read",
                "SELECT COUNT(*) AS n FROM results r WHERE r.read IS NULL",
                "SELECT gr, COUNT(*) AS n FROM results GROUP BY gr ORDER BY MAX(read)",
            ] {
                let told = |sql: &str| {
                    let all = [&["ask", "-m", "star-1", "--format", format], preview, &[sql]].concat();
                    let told = desk.run_with(&all, "").exits(3);
                    format!("{}{}", told.text(), told.err)
                };
                let (there, nowhere) = (told(sql), told(&sql.replace("read", "reed")));
                let named = |told: &str| told.replace("read", "reed");
                assert_eq!(named(&there), named(&nowhere), "{sql}");
            }
        }
    }
    // The control: as an item, it is answered.
    desk.ask(["--preview", "SELECT AVG(math) AS m FROM results"]).done();
    // An editor completes items and nothing else.
    let items =
        desk.run(["--as", "star-1/r1", "memorandum", "items", "star-1", "--format", "json"]).done().json();
    let columns: Vec<&str> =
        items.as_array().unwrap().iter().map(|item| item["column"].as_str().unwrap()).collect();
    assert!(columns.contains(&"math") && !columns.contains(&"read"), "{columns:?}");
}

#[test]
fn what_is_weaker_or_wider_takes_two() {
    let desk = Desk::with_people();
    desk.by("s1", ["contract", "publish", "star.json"]).done();
    let standard = include_str!("../../disclosure-rules/rules/standard.toml");
    let rules = |version: &str, units: &str| {
        let text = standard.replacen("min_units = 10", &format!("min_units = {units}"), 1);
        let from = text.lines().find(|line| line.starts_with("version")).unwrap().to_owned();
        desk.write("rules.toml", &text.replacen(&from, &format!("version = \"{version}\""), 1));
    };
    rules("8.0.0", "12");
    desk.by("s1", ["rules", "install", "rules.toml"]).done();
    rules("9.0.0", "11");
    let number = desk.waits("s1", ["rules", "install", "rules.toml"]);
    desk.by("s1", ["rules", "install", "rules.toml"]).exits(5).says(["falls from 12 to 11"]);
    desk.by("b1", ["approvals", "vote", &number, "approve"]).done();
    desk.by("s1", ["rules", "install", "rules.toml"]).done();
    // Under another name it is not less weak.
    let named = |name: &str| standard.replacen("\"standard\"", &format!("\"{name}\""), 1);
    desk.write("rules.toml", &named("other"));
    desk.waits("s1", ["rules", "install", "rules.toml"]);

    let mut contract: Value = serde_json::from_str(datasets_synthetic::STAR_CONTRACT).unwrap();
    contract["version"] = json!("1.1.0");
    contract["resources"][0]["schema"]["fields"][8]["enclave:tags"] = json!(["achievement", "inner-life"]);
    desk.write("star.json", &contract.to_string());
    desk.by("s1", ["contract", "publish", "star.json"]).exits(5).says(["is newly tagged `inner-life`"]);
}

#[test]
fn a_founder_alone_does_nothing_that_takes_two() {
    let desk = Desk::with_papers();
    desk.run(["init"]).done();
    let mut contract: Value = serde_json::from_str(datasets_synthetic::STAR_CONTRACT).unwrap();
    contract["resources"][0]["schema"]["fields"][8]["enclave:tags"] = json!(["inner-life"]);
    desk.write("star.json", &contract.to_string());
    let publish = ["contract", "publish", "star.json"];
    desk.run(publish).exits(3).says(["takes a steward and a member of the board", "people add"]);
    desk.run(["people", "add", "s1", "--name", "S", "--role", "steward"]).done();
    desk.by("s1", publish).exits(3).says(["takes a steward and a member of the board"]);
    desk.by("s1", ["people", "add", "b1", "--name", "B", "--role", "board"]).done();
    let number = desk.waits("s1", publish);
    desk.by("b1", ["approvals", "vote", &number, "reject", "--reason", "not needed"]).done();
    assert_ne!(desk.waits("s1", publish), number);
}

#[test]
fn restricted_items_take_two_signatures_and_a_second_factor() {
    let desk = Desk::with_restricted_star();
    let sign = ["memorandum", "sign", "star-1.toml"];
    let number = desk.waits("s1", sign);
    desk.by("b1", ["approvals", "vote", &number, "approve"]).done();
    // Another text is another act.
    desk.write("other.toml", &replaced(&memorandum(), "rho = 10.0", "rho = 11.0"));
    assert_ne!(desk.waits("s1", ["memorandum", "sign", "other.toml"]), number);
    desk.by("s1", sign).done();

    let restricted = "SELECT ses, COUNT(*) AS n FROM results GROUP BY ses";
    let ask = |sql: &str| desk.by("r1", ["ask", "-m", "star-1", "--rho", "0.02", sql]);
    ask(QUESTION).done();
    ask(restricted).exits(3).says(["second factor", "step-up"]);

    // The steward enrols, the researcher confirms and, before each sitting, steps up.
    desk.by("r1", ["step-up", "-m", "star-1", "--code", "000000"]).exits(3).says(["no second factor"]);
    desk.by("r1", ["people", "factor", "enrol", "star-1/r1"]).exits(3);
    desk.by("s1", ["people", "factor", "enrol", "star-1/r9"]).exits(2);
    let uri = desk.by("s1", ["people", "factor", "enrol", "star-1/r1"]).done().text();
    let factor = totp_rs::TOTP::from_url(uri.trim()).unwrap();
    let now = || chrono::Utc::now().timestamp().unsigned_abs();
    let confirm = |code: &str| desk.run(["people", "factor", "confirm", "star-1/r1", code]);
    let code = factor.generate(now());
    confirm(&code).done();
    confirm(&code).exits(3).says(["used already"]);
    ask(restricted).exits(5).says(["approval"]);
    let log_in = desk.newest("log-in");
    assert_eq!((&log_in["person"], &log_in["outcome"]), (&json!("star-1/r1"), &json!("passed")));

    // The next code is good once more; guessing ends soon.
    let next = factor.generate(now() + 30);
    let step_up = |code: &str| desk.by("r1", ["step-up", "-m", "star-1", "--code", code]);
    step_up(&next).done();
    let wrong = if next == "000000" { "000001" } else { "000000" };
    for _ in 0..5 {
        step_up(wrong).exits(3).says(["wrong"]);
    }
    step_up(wrong).exits(3).says(["15 minutes"]);
    assert_eq!(desk.newest("log-in")["outcome"], "locked");

    // Nothing of the secret is in the home in the clear.
    let secret = factor.get_secret_base32();
    for file in crate::support::files(&desk.home()) {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
            || bytes.windows(factor.secret.len()).any(|window| window == factor.secret);
        assert!(!found, "{}", file.display());
    }
    desk.by("s1", ["log", "verify"]).done();
}

#[test]
fn the_page_of_permissions_is_the_table() {
    let page = Desk::empty().run(["people", "permissions", "--markdown"]).done().text();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/permissions.md");
    assert_eq!(std::fs::read_to_string(path).unwrap(), page, "write it anew: people permissions --markdown");
}
