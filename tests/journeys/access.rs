//! What lets somebody in, and that it ends: log-ins over the network stand for people who are there, and for what those
//! may do now.

use reqwest::tls::Version;
use serde_json::json;

use crate::support::{Desk, QUESTION, Served, memorandum, replaced};

#[test]
fn access_ends_with_what_gave_it() {
    let desk = Desk::with_star();
    desk.run(["people", "add", "c1", "--name", "Custodian", "--role", "custodian"]).done();
    let served = Served::start(&desk, true, &[]);
    let researcher = served.join(&desk, "star-1/r1", "hanako");
    let custodian = served.join(&desk, "c1", "chie");
    // As long as no steward is registered, whoever sits at the machine is one; nobody is over the network.
    let steward = json!({ "id": "x1", "name": "X", "roles": ["steward"] });
    let contract = json!({ "text": std::fs::read_to_string(desk.path("star.json")).unwrap() });
    for token in [&researcher, &custodian] {
        served.send("POST", "/api/v1/people", token, &steward).is(403);
        served.send("POST", "/api/v1/contracts", token, &contract).is(403);
    }
    desk.run(["people", "add", "s1", "--name", "Steward", "--role", "steward"]).done();
    let by_steward = |arguments: &[&str]| desk.run_with(&[&["--as", "s1"], arguments].concat(), "").done();

    // Something was lost: every session of that person ends, and nobody else's.
    by_steward(&["people", "log-out", "star-1/r1"]);
    served.get("/api/v1/memoranda", &researcher).is(401);
    served.get("/api/v1/people", &custodian).is(200);
    let researcher = served.log_in("hanako");
    served.get("/api/v1/memoranda/star-1", &researcher).is(200);

    // Who was removed has a log-in that stands for nobody.
    by_steward(&["people", "remove", "c1"]);
    served.get("/api/v1/people", &custodian).is(403);

    let question = json!({ "memorandum": "star-1", "sql": QUESTION, "rho": 0.01 });
    let keyed = || {
        let (key, body) = ([("Idempotency-Key", "a")], question.to_string());
        served.send_with("POST", "/api/v1/questions", &researcher, &key, Some(body.as_bytes()))
    };
    let answer = keyed().is(200).json();
    assert_eq!(keyed().is(200).json()["log"], answer["log"]);
    let release = format!("/api/v1/releases/{}", answer["log"]["index"]);
    served.get(&release, &researcher).is(200);
    let other = replaced(&memorandum(), "id = \"r1\"", "id = \"r2\"");
    desk.write("amended.toml", &replaced(&other, "contract = \"star\"", "contract = \"star\"\nversion = 2"));
    by_steward(&["memorandum", "amend", "amended.toml"]);
    assert_eq!(served.get("/api/v1/memoranda", &researcher).is(200).json(), json!([]));
    let none = json!({ "memorandum": "no-such", "sql": QUESTION, "rho": 0.01 });
    let [told, of_none] = [&question, &none]
        .map(|question| served.send("POST", "/api/v1/questions", &researcher, question).is(422).json());
    assert_eq!(told["detail"], of_none["detail"]);
    served.get(&release, &researcher).is(404);
    keyed().is(422);
}

#[test]
fn tls_is_of_version_1_3_with_a_certificate_of_ones_own() {
    let desk = Desk::with_star();
    let served = Served::start(&desk, false, &[]);
    let folder = desk.home().join("tls");
    let certificate = std::fs::read(folder.join("certificate.pem")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let reached = |served: &Served, highest: Version| {
        let root = reqwest::Certificate::from_pem(&certificate).unwrap();
        let client = reqwest::Client::builder().add_root_certificate(root).max_tls_version(highest);
        let url = format!("https://localhost:{}/healthz", served.http.rsplit(':').next().unwrap());
        runtime.block_on(async { client.build().unwrap().get(url).send().await.is_ok() })
    };
    assert!(reached(&served, Version::TLS_1_3));
    assert!(!reached(&served, Version::TLS_1_2));
    served.stop();

    for (from, to) in [("certificate.pem", "chain.pem"), ("key.pem", "key.pem")] {
        std::fs::copy(folder.join(from), desk.path(to)).unwrap();
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let certificate_alone = ["serve", "--set", "tls.certificate=\"chain.pem\""];
    desk.run(certificate_alone).exits(2).says(["`tls.certificate` and `tls.key` are set together"]);
    let served = Served::start(&desk, false, &["tls.certificate=\"chain.pem\"", "tls.key=\"key.pem\""]);
    assert!(reached(&served, Version::TLS_1_3));
    assert!(!folder.exists());
}

#[test]
fn a_member_of_the_board_comes_in_as_nobody_else() {
    let desk = Desk::with_star();
    desk.run(["people", "add", "b1", "--name", "Board", "--role", "board"]).done();
    let served = Served::start(&desk, true, &[]);
    let board = served.join(&desk, "b1", "ben");
    desk.run(["people", "add", "s1", "--name", "Steward", "--role", "steward"]).done();
    // By a second invitation a steward could come in as the second person: that takes two.
    desk.run(["--as", "s1", "people", "invite", "b1"]).exits(5).says(["approval"]);
    let invited = desk.run(["--as", "s1", "people", "invite", "star-1/r1"]).done().text();
    let secret = invited.trim().rsplit('/').next().unwrap();
    served.send("POST", "/api/v1/invitations/accept", &board, &json!({ "invitation": secret })).is(403);

    // A token reads the log where it was made for reading.
    for (scope, status) in [("read", 200), ("preview", 403)] {
        let wanted = json!({ "label": scope, "scopes": [scope], "days": 1 });
        let made = served.send("POST", "/api/v1/tokens", &board, &wanted).is(201).json();
        served.get("/api/v1/log", made["token"].as_str().unwrap()).is(status);
    }
}

#[test]
fn who_may_not_read_learns_not_what_is_there() {
    let desk = Desk::with_star();
    for (id, role) in [("b1", "board"), ("rr", "researcher"), ("pp", "practitioner")] {
        desk.run(["people", "add", id, "--name", id, "--role", role]).done();
    }
    desk.run(["people", "add", "nobody", "--name", "N", "--role", "steward"]).says(["reserved"]);
    let served = Served::start(&desk, true, &[]);
    let [board, registered, practitioner] =
        ["b1", "rr", "pp"].map(|id| served.join(&desk, id, &format!("{id}-in")));
    let researcher = served.join(&desk, "star-1/r1", "hanako");
    let question = json!({ "memorandum": "star-1", "sql": QUESTION, "rho": 0.01 });
    let answer = served.send("POST", "/api/v1/questions", &researcher, &question).is(200).json();

    // A researcher of the register is in nobody's memorandum.
    for path in ["memoranda/star-1/budget", "memoranda/star-1/items", "approvals", "approvals/1"] {
        served.get(&format!("/api/v1/{path}"), &registered).is(403);
    }
    served.get("/api/v1/approvals", &board).is(200);
    // What is there and not theirs is told as what is not there.
    let same = |there: &str, not_there: &str, token: &str| {
        let [a, b] = [there, not_there].map(|path| served.get(&format!("/api/v1/{path}"), token));
        assert_eq!((a.status, a.json()), (b.status, b.json()), "{there}");
        assert!(matches!(a.status, 403 | 404), "{there}: {}", a.status);
    };
    let release = format!("releases/{}", answer["log"]["index"]);
    for token in [&registered, &practitioner] {
        same(&release, "releases/999999", token);
        same("approvals/1", "approvals/999999", token);
        same("memoranda/star-1", "memoranda/no-such", token);
    }
    same("approvals/1", "approvals/999999", &researcher);

    // A token for one memorandum says nothing of others, and one for reading asks nothing, also not later.
    let wanted = json!({ "label": "t", "scopes": ["read"], "memorandum": "star-1", "days": 1 });
    let made = served.send("POST", "/api/v1/tokens", &researcher, &wanted).is(201).json();
    let token = made["token"].as_str().unwrap();
    assert_eq!(served.get("/api/v1/sessions/current", token).json()["people"], json!(["star-1/r1"]));
    let later = [("Prefer", "respond-async")];
    let post = |token: &str, body: &serde_json::Value| {
        served.send_with("POST", "/api/v1/questions", token, &later, Some(body.to_string().as_bytes()))
    };
    post(token, &question).is(403);
    post(&researcher, &json!({ "memorandum": "no-such", "sql": QUESTION })).is(422);

    // What is out of range is a mistake of the sender's.
    served.get("/api/v1/log?limit=0", &board).is(400);
    served.get("/api/v1/questions?memorandum=star-1&limit=201", &researcher).is(400);
    served.send_with("DELETE", "/api/v1/tokens/9223372036854775808", &researcher, &[], None).is(404);
    served
        .send("POST", "/api/v1/tokens", &researcher, &json!({ "label": "", "scopes": ["read"], "days": 1 }))
        .is(422);
    served.send("POST", "/api/v1/questions", &researcher, &json!(["star-1", QUESTION])).is(400);
    // An older checkpoint's log is the beginning of this one.
    let proof = served.get("/api/v1/log/consistency?from=1", "").is(200).json();
    assert!(proof["to"].as_u64().unwrap() > 1 && !proof["proof"].as_array().unwrap().is_empty());
    served.get("/api/v1/log/consistency?from=9&to=999999", "").is(404);
}
