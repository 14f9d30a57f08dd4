//! A memorandum whose losses are pure, from signing to its last ε.

use serde_json::json;

use crate::support::{Desk, QUESTION, memorandum, replaced};

/// Project STAR under a memorandum with ε = 1.
fn desk() -> Desk {
    let desk = Desk::with_papers();
    let allotment = "rho = 10.0\ndelta = 1e-6\ndefault_rho = 0.01";
    let pure =
        replaced(&memorandum(), allotment, "guarantee = \"pure\"\nepsilon = 1.0\ndefault_epsilon = 0.1");
    desk.write("star-1.toml", &pure);
    desk.run(["init"]).done();
    desk.run(["contract", "publish", "star.json"]).done();
    desk.run(["ingest", "star", "results=star.csv"]).done();
    desk.run(["memorandum", "sign", "star-1.toml"]).done();
    desk
}

#[test]
fn a_pure_allotment_is_spent_in_epsilon() {
    let desk = desk();
    let first = desk.ask_json(["--epsilon", "0.4", QUESTION]);
    assert_eq!(first["charged"], json!({ "rho": 0.08, "epsilon": 0.4, "delta": 0.0 }));
    assert_eq!(first["balance"], json!({ "rho": 0.18, "epsilon": 0.6 }));
    for column in &first["columns"].as_array().unwrap()[1..] {
        assert_eq!(column["mechanism"], "discrete laplace");
        assert!(column["sensitivity"]["l1"].as_f64().unwrap() > 0.0, "{column}");
    }
    let again = desk.ask(["--epsilon", "0.4", "--fresh", QUESTION]).done();
    again.says(["charged epsilon 0.4 (pure; rho 0.08 of the pool); balance epsilon 0.2"]);
    desk.ask(["--epsilon", "0.3", QUESTION])
        .exits(4)
        .says(["the price of 0.3 epsilon is more than the balance of 0.2"]);

    let table = desk.run(["budget"]).done().text();
    let own =
        "memorandum star-1: allotment epsilon 1 (pure), charged 0.8 (rho 0.16 of the pool), balance 0.2\n";
    assert!(table.starts_with(own) && table.contains("pool star: "), "{table}");
    let accounts = desk.run(["budget", "--format", "json"]).done().json();
    assert_eq!(accounts[0]["allotment"], json!({ "rho": 0.5, "epsilon": 1.0 }));
    assert_eq!(accounts[0]["charged"], json!({ "rho": 0.16, "epsilon": 0.8 }));
    assert_eq!(accounts[0]["balance"], json!({ "rho": 0.02, "epsilon": 0.2 }));
    assert_eq!(accounts[1]["charged"], json!({ "rho": 0.16 }));
    desk.run(["log", "verify"]).done();

    // The default, and the last of it.
    desk.ask(["--preview", QUESTION]).done();
    assert_eq!(desk.ask_json([QUESTION])["balance"]["epsilon"], 0.1);
    assert_eq!(desk.ask_json(["--fresh", QUESTION])["balance"]["epsilon"], 0.0);
    desk.ask(["--fresh", QUESTION]).exits(4);
}

#[test]
fn a_price_in_rho_is_told_in_epsilon() {
    let desk = desk();
    desk.ask(["--rho", "0.02", QUESTION]).exits(3).says(["pays in epsilon", "--epsilon 0.2"]);
    let preview = desk.ask(["--preview", "--epsilon", "0.2", QUESTION]).done().text();
    assert!(preview.starts_with("would charge epsilon 0.2 (pure; rho 0.02 of the pool) of 1\n"), "{preview}");
    let within =
        desk.ask_json(["--preview", "--within", "40", "SELECT gr, COUNT(*) AS n FROM results GROUP BY gr"]);
    assert!(within["charged"]["epsilon"].as_f64().unwrap() < 1.0, "{within}");
    assert!(within["columns"][1]["half_width"].as_f64().unwrap() <= 40.0, "{within}");
    let out_of_reach = desk.ask(["--preview", "--within", "1", QUESTION]).exits(3);
    out_of_reach.says(["out of reach at the largest price, 0.447213 epsilon", "--within "]);
}
