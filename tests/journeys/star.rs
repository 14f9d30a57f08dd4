//! A researcher asks about class size and achievement in Project STAR.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Cursor;

use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::support::{Desk, QUESTION, memorandum, micro, replaced};

#[test]
fn from_an_empty_folder_to_an_answer() {
    let desk = Desk::with_papers();
    let key = desk.run(["init"]).done().says(["root.key", "public key"]).text();
    assert_eq!(std::fs::read_to_string(desk.home().join("log.vkey")).unwrap(), key);
    assert!(desk.run(["contract", "publish", "star.json"]).done().text().starts_with("published star 1.0.0"));
    let ingested = desk.run(["ingest", "star", "results=star.csv"]).done().text();
    assert!(ingested.starts_with("results\t26796 rows\nsnapshot "), "{ingested}");
    let signed = desk.run(["memorandum", "sign", "star-1.toml"]).done().text();
    assert!(signed.starts_with("signed star-1, in force from 2020-01-01 until 2199-12-31"), "{signed}");

    let answer = desk.ask_json(["--rho", "0.02", QUESTION]);
    let names: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    let stated = [
        "memorandum",
        "question",
        "release",
        "replayed",
        "preview",
        "charged",
        "balance",
        "columns",
        "receipt",
        "rows",
        "log",
    ];
    assert_eq!(names, stated);
    assert_eq!(answer["memorandum"], "star-1");
    assert_digest(&answer["question"]);
    assert_digest(&answer["release"]);
    assert_eq!((&answer["replayed"], &answer["preview"]), (&json!(false), &json!(false)));
    assert_eq!(answer["charged"]["rho"], 0.02);
    assert_eq!(answer["charged"]["delta"], 1e-6);
    let epsilon = answer["charged"]["epsilon"].as_f64().unwrap();
    assert!((0.85..0.95).contains(&epsilon), "rho 0.02 is epsilon {epsilon} at delta 1e-6");
    assert_eq!(answer["balance"], json!({ "rho": 9.98 }));

    let [key, n, math] = answer["columns"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!(key, &json!({ "name": "cltype", "type": "string", "role": "key" }));
    for (column, name, kind, aggregate, clipped) in [
        (n, "n", "integer", "count", json!([0.0, 1.0])),
        (math, "math", "number", "avg", json!([250.0, 800.0])),
    ] {
        assert_eq!((&column["name"], &column["type"]), (&json!(name), &json!(kind)));
        assert_eq!((&column["role"], &column["aggregate"]), (&json!("measure"), &json!(aggregate)));
        assert_eq!(column["mechanism"], "discrete gaussian");
        assert_eq!(column["clipped"], clipped);
        let (scale, l2) = (&column["scale"], &column["sensitivity"]["l2"]);
        assert!(scale.as_f64().unwrap() > 0.0 && l2.as_f64().unwrap() > 0.0, "{column}");
    }
    // A pupil is in one row of grade K.
    assert_eq!(n["sensitivity"]["l2"], 1.0);

    let known = [("reg", 2194.0, 483.20), ("reg+A", 2231.0, 482.80), ("small", 1900.0, 490.93)];
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(rows.len(), known.len());
    for (row, (cltype, pupils, mean)) in rows.iter().zip(known) {
        assert_eq!(row["cltype"], cltype);
        assert!(row["n"]["value"].is_i64() && row["n"]["low"].is_i64() && row["n"]["high"].is_i64(), "{row}");
        // Eight standard deviations.
        assert_near(&row["n"], pupils, 70.0);
        assert_near(&row["math"], mean, 12.0);
    }
    let index = answer["log"]["index"].as_u64().unwrap();
    assert!(is_hex(answer["log"]["root"].as_str().unwrap()));
    let leaf = desk.run(["log", "show", &index.to_string()]).done().json();
    assert_eq!((&leaf["index"], &leaf["leaf"]["kind"]), (&json!(index), &json!("release")));

    let kinds: Vec<String> = desk.log().into_iter().map(|(_, kind, _)| kind).collect();
    let all = ["init", "publish", "publish", "ingest", "signature", "question", "release"];
    assert_eq!(kinds, all, "rule set and contract are published");
    desk.run(["log", "verify"]).done();
}

#[test]
fn the_same_question_again_costs_nothing() {
    let desk = Desk::with_star();
    let first = desk.ask_json(["--rho", "0.02", QUESTION]);
    // Written otherwise, and the same.
    let otherwise =
        "select CLTYPE, count(*) n, avg(math) as math\n from results where gr = 'K' group by 1 -- again";
    for sql in [QUESTION, otherwise] {
        let again = desk.ask_json(["--rho", "0.02", sql]);
        assert_eq!(again["replayed"], true, "{sql}");
        assert_eq!(again["charged"]["rho"], 0.0);
        for name in ["question", "release", "balance", "rows", "log"] {
            assert_eq!(again[name], first[name], "{name}");
        }
    }
    assert_eq!((desk.logged("release"), desk.logged("replay"), desk.charged_micro()), (1, 2, 20_000));

    // Another price is another question; and what is asked afresh is drawn and charged anew.
    let dearer = desk.ask_json(["--rho", "0.03", QUESTION]);
    let fresh = desk.ask_json(["--rho", "0.02", "--fresh", QUESTION]);
    for other in [&dearer, &fresh] {
        assert_eq!(other["replayed"], false);
        assert_ne!(other["rows"], first["rows"]);
    }
    assert_eq!(fresh["question"], first["question"]);
    assert_eq!((desk.logged("release"), desk.charged_micro()), (3, 70_000));
    // A new snapshot is asked anew.
    desk.run(["ingest", "star", "results=star.csv"]).done();
    assert_eq!(desk.ask_json(["--rho", "0.02", QUESTION])["replayed"], false);
    desk.run(["log", "verify"]).done();
}

#[test]
fn every_format_tells_the_same_numbers() {
    let desk = Desk::with_star();
    // School 66 has 93 pupils W and one or none of each other kind: shown and hidden cells.
    let sql = "SELECT sch, eth, COUNT(*) AS n, AVG(exp) AS exp FROM results WHERE gr = 'K' AND sch IN (33, 66) GROUP BY sch, eth";
    let ask = |format: &str| desk.ask(["--rho", "0.1", "--format", format, sql]).done();
    let csv = ask("csv").text();
    assert!(csv.starts_with("sch,eth,n,n_low,n_high,n_status,exp,exp_low,exp_high,exp_status\n"), "{csv}");
    assert!(csv.contains(",shown\n") && csv.contains(",small cell\n"), "{csv}");

    let reader = arrow::ipc::reader::FileReader::try_new(Cursor::new(ask("arrow").out), None).unwrap();
    assert_eq!(as_csv(reader.map(Result::unwrap)), csv);

    std::fs::write(desk.path("answer.parquet"), ask("parquet").out).unwrap();
    let file = File::open(desk.path("answer.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    assert_eq!(as_csv(reader.map(Result::unwrap)), csv);

    let rows = ask("json").json()["rows"].as_array().unwrap().clone();
    assert_eq!(rows.len(), csv.lines().count() - 1);
    for (row, line) in rows.iter().zip(csv.lines().skip(1)) {
        let n = match &row["n"]["hidden"] {
            Value::Null => format!("{},{},{},shown", row["n"]["value"], row["n"]["low"], row["n"]["high"]),
            hidden => format!(",,,{}", hidden.as_str().unwrap()),
        };
        let eth = row["eth"].as_str().unwrap_or_default();
        assert!(line.starts_with(&format!("{},{eth},{n},", row["sch"])), "{line}: {row}");
    }

    let table = ask("table").says(["already on record: nothing charged", "balance rho 9.9", "95%"]).text();
    assert!(table.contains("| sch | eth | n "), "{table}");
    assert_eq!(table.lines().count(), rows.len() + 4, "{table}");
}

#[test]
fn groups_of_few_pupils_are_hidden() {
    let desk = Desk::with_star();
    let sql = "SELECT eth, COUNT(*) AS n FROM results WHERE gr = 'K' AND sch = 66 GROUP BY eth";
    let answer = desk.ask_json(["--rho", "0.1", sql]);
    let rows = answer["rows"].as_array().unwrap();
    // All codes of the contract and the missing value, whether a pupil has them or not.
    let keys: BTreeSet<&str> = rows.iter().filter_map(|row| row["eth"].as_str()).collect();
    assert_eq!((rows.len(), keys), (7, BTreeSet::from(["A", "B", "H", "I", "O", "W"])));
    for row in rows {
        if row["eth"] == "W" {
            assert_near(&row["n"], 93.0, 20.0);
        } else {
            // 0 or 1 pupil: nothing but the word.
            assert_eq!(row["n"], json!({ "hidden": "small cell" }), "{row}");
        }
    }
}

#[test]
fn a_question_may_come_from_standard_input() {
    let desk = Desk::with_star();
    let typed = desk.ask_json(["--rho", "0.02", QUESTION]);
    let noted = format!("-- class size\n{QUESTION}");
    assert_eq!(desk.ask_json(["--rho", "0.02", "--", &noted])["rows"], typed["rows"]);
    for arguments in [vec!["-"], vec![]] {
        let all = [vec!["ask", "-m", "star-1", "--rho", "0.02", "--format", "json"], arguments].concat();
        let piped = desk.run_with(&all, &format!("{QUESTION}\n")).done().json();
        assert_eq!((&piped["replayed"], &piped["rows"]), (&json!(true), &typed["rows"]));
    }
}

#[test]
fn a_price_may_be_named_as_a_loss_or_an_accuracy() {
    let desk = Desk::with_star();
    let by_epsilon = desk.ask_json(["--epsilon", "0.5", QUESTION]);
    let epsilon = by_epsilon["charged"]["epsilon"].as_f64().unwrap();
    assert!((0.49..=0.5).contains(&epsilon), "{epsilon}");

    let sql = "SELECT gr, COUNT(*) AS n FROM results GROUP BY gr";
    let within = desk.ask_json(["--within", "10", sql]);
    for row in within["rows"].as_array().unwrap() {
        let n = &row["n"];
        let (value, low, high) = (n["value"].as_i64(), n["low"].as_i64(), n["high"].as_i64());
        assert!(high.unwrap() - value.unwrap() <= 10 && value.unwrap() - low.unwrap() <= 10, "{row}");
    }
    // No dearer than it must be: a little less would not do.
    let paid = within["charged"]["rho"].as_f64().unwrap();
    let cheaper = format!("{:.6}", paid * 0.9);
    let preview = desk.ask_json(["--preview", "--rho", &cheaper, sql]);
    assert!(preview["columns"][1]["half_width"].as_f64().unwrap() > 10.0, "{preview}");

    let default = desk.ask_json([QUESTION]);
    assert_eq!(default["charged"]["rho"], 0.01, "the memorandum's default");
}

#[test]
fn a_preview_reads_and_charges_nothing() {
    let desk = Desk::with_star();
    let asked = ["--rho", "0.02", "--preview"];
    let preview = desk.ask_json([asked[0], asked[1], asked[2], QUESTION]);
    assert_eq!(preview["preview"], true);
    assert_eq!(
        (&preview["rows"], &preview["release"], &preview["log"]),
        (&json!([]), &json!(null), &json!(null))
    );
    assert_eq!(preview["balance"], json!({ "rho": 10.0 }));
    assert_eq!((desk.charged_micro(), desk.logged("question"), desk.logged("release")), (0, 0, 0));
    for column in &preview["columns"].as_array().unwrap()[1..] {
        assert!(column["half_width"].as_f64().unwrap() > 0.0, "{column}");
    }
    let text = desk.ask(["--rho", "0.02", "--preview", QUESTION]).done().text();
    assert!(text.starts_with("would charge rho 0.02") && text.contains("n: ±"), "{text}");

    // What comes is what was said.
    let answer = desk.ask_json(["--rho", "0.02", QUESTION]);
    let n = &answer["rows"][0]["n"];
    let half_width = n["high"].as_f64().unwrap() - n["value"].as_f64().unwrap();
    assert_eq!(preview["columns"][1]["half_width"], half_width);
    assert_eq!((&answer["question"], &answer["charged"]), (&preview["question"], &preview["charged"]));
}

#[test]
fn a_refusal_says_which_rule_and_where() {
    let desk = Desk::with_star();
    let refusals = [
        ("row-level", "SELECT * FROM results"),
        ("row-level", "SELECT math FROM results"),
        ("pupil-column", "SELECT COUNT(*) FROM results WHERE id = 100017"),
        ("pupil-column", "SELECT id, COUNT(*) FROM results GROUP BY id"),
        ("column", "SELECT COUNT(*) FROM results WHERE tch = 478"),
        ("column", "SELECT AVG(height) FROM results"),
        ("table", "SELECT COUNT(*) FROM information_schema.tables"),
        ("private-join", "SELECT COUNT(*) FROM results a JOIN results b ON a.sch = b.sch"),
        ("function", "SELECT AVG(random()) FROM results"),
        ("only-select", "DROP TABLE results"),
        ("only-select", "DELETE FROM results"),
        ("only-select", "SET a = 1"),
        ("only-select", "EXPLAIN SELECT COUNT(*) FROM results"),
        ("only-select", "COPY results TO 'x.csv'"),
        ("one-statement", "SELECT COUNT(*) FROM results; SELECT COUNT(*) FROM results"),
        ("syntax", "SELECT COUNT(* FROM results"),
    ];
    let mut wrong = Vec::new();
    for (rule, sql) in refusals {
        let told = desk.ask(["--format", "json", sql]);
        let refused = &told.json()["refused"];
        let names: Vec<&str> = refused.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["rule", "at", "reason", "rewrite"]);
        let reason = refused["reason"].as_str().unwrap();
        if told.code != 3 || refused["rule"] != rule || reason.is_empty() {
            wrong.push(format!("{sql}: exit {}, expected {rule}: {refused}", told.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((desk.logged("refusal"), desk.charged_micro()), (refusals.len(), 0));
    // No number that was typed is in the log.
    assert!(!desk.run(["log", "list"]).done().text().contains("100017"));

    // In words for people, with what would pass.
    let told = desk.ask(["SELECT * FROM results"]).exits(3).says(["refused (row-level)", "GROUP BY"]);
    assert!(told.out.is_empty());
    // Whoever does not exist, is not in force or is no researcher.
    for arguments in [
        ["ask", "-m", "star-2", "--as", "r1", "SELECT COUNT(*) FROM results"],
        ["ask", "-m", "star-1", "--as", "r2", "SELECT COUNT(*) FROM results"],
    ] {
        desk.run(arguments).exits(3).says(["refused (memorandum)"]);
    }
    let dear = desk.ask(["--format", "json", "--rho", "0.2", "SELECT COUNT(*) FROM results"]).exits(3).json();
    assert_eq!(dear["refused"]["rule"], "limit");
    let unbounded = desk.ask(["SELECT AVG(1 / (math - 490)) AS x FROM results"]);
    unbounded.exits(3).says(["refused (range)"]);
    // Division by zero, which some pupils' rows are, is no error.
    desk.ask([
        "--rho",
        "0.1",
        "SELECT SUM(CASE WHEN 1 / (math - 490) > 0 THEN 1 ELSE 0 END) AS n FROM results",
    ])
    .done();
}

#[test]
fn what_makes_no_sense_exits_2() {
    let desk = Desk::with_star();
    let before = desk.log();
    for (arguments, says) in [
        (&["ask", QUESTION][..], "--memorandum"),
        (&["ask", "-m", "star-1", "--rho", "0.1", "--epsilon", "1", QUESTION], "cannot be used with"),
        (&["ask", "-m", "star-1", "--rho", "-1", QUESTION], "rho"),
        (&["ask", "-m", "star-1", "--rho", "NaN", QUESTION], "rho"),
        (&["ask", "-m", "star-1", "--rho", "much", QUESTION], "--rho"),
        (&["ask", "-m", "star-1", "--epsilon", "0", QUESTION], "epsilon"),
        (&["ask", "-m", "star-1", "--within", "0", QUESTION], "half-width"),
        (&["ask", "-m", "star-1", "--within", "inf", QUESTION], "half-width"),
        (&["ask", "-m", "star-1", "--rows-per-unit", "0", QUESTION], "--rows-per-unit"),
        (&["ask", "-m", "star-1", "--groups-per-unit", "0", QUESTION], "--groups-per-unit"),
        (&["ask", "-m", "star-1", "--format", "xml", QUESTION], "--format"),
        (&["ask", "-m", "star-1", "--quietly", QUESTION], "--quietly"),
        (&["ask", "-m", "star-1", QUESTION, QUESTION], "unexpected argument"),
        (&["budget", "-m", "star-2"], "there is no memorandum `star-2`"),
        (&["log", "show", "999"], "no leaf 999"),
        (&["log", "show", "first"], "invalid value"),
        (&["ask", "-m", "star-1", "--preveiw"], "--preveiw"),
        (&["answer"], "unrecognized subcommand"),
        (&[], "Usage"),
    ] {
        let told = desk.run_with(arguments, "").exits(2).says([says]);
        assert!(told.out.is_empty(), "{arguments:?}: {}", told.text());
    }
    assert_eq!(desk.log(), before, "nothing happened");
}

#[test]
fn an_allotment_can_be_spent_and_no_more() {
    let desk = Desk::with_papers();
    let small = replaced(&memorandum(), "rho = 10.0", "rho = 0.05");
    desk.write("star-1.toml", &replaced(&small, "default_rho = 0.01", "default_rho = 0.02"));
    desk.run(["init"]).done();
    desk.run(["contract", "publish", "star.json"]).done();
    desk.run(["ingest", "star", "results=star.csv"]).done();
    desk.run(["memorandum", "sign", "star-1.toml"]).done();

    for balance in [30_000, 10_000] {
        assert_eq!(micro(&desk.ask_json(["--fresh", QUESTION])["balance"]["rho"]), balance);
    }
    for _ in 0..2 {
        let told = desk.ask(["--fresh", QUESTION]).exits(4).says(["0.02", "balance of 0.01"]);
        assert!(told.out.is_empty());
    }
    // What is on record is told still, and what is left may be spent, to the end.
    assert_eq!(desk.ask_json([QUESTION])["replayed"], true);
    assert_eq!(desk.ask_json(["--rho", "0.01", QUESTION])["balance"], json!({ "rho": 0.0 }));
    desk.ask(["--rho", "0.000001", QUESTION]).exits(4);
    assert_eq!(desk.charged_micro(), 50_000);
    let exhausted = desk
        .log()
        .into_iter()
        .filter(|(_, kind, rest)| kind == "refusal" && rest.contains("balance-exhausted"));
    assert_eq!((exhausted.count(), desk.logged("question"), desk.logged("release")), (3, 3, 3));
    desk.run(["log", "verify"]).done();
}

fn as_csv(batches: impl Iterator<Item = RecordBatch>) -> String {
    let mut text = Vec::new();
    let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(&mut text);
    batches.for_each(|batch| writer.write(&batch).unwrap());
    drop(writer);
    String::from_utf8(text).unwrap()
}

/// A noisy number near what is known, inside its interval.
fn assert_near(cell: &Value, known: f64, by: f64) {
    let number = |name: &str| cell[name].as_f64().unwrap_or_else(|| panic!("no {name}: {cell}"));
    let (value, low, high) = (number("value"), number("low"), number("high"));
    assert!(low <= value && value <= high && low < high, "{cell}");
    assert!((value - known).abs() < by, "{cell}, known {known}");
}

fn assert_digest(value: &Value) {
    assert!(value.as_str().and_then(|text| text.strip_prefix("sha256:")).is_some_and(is_hex), "{value}");
}

fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
