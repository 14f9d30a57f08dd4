//! The enclave on the network: from the invitation to an answer by HTTP, the same numbers and the same words as at the
//! command line, and what is not let in.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Desk, PASSWORD, QUESTION, Served};

const REFUSED: &str = "SELECT * FROM results";

#[test]
fn from_the_invitation_to_the_same_numbers_on_every_way() {
    let desk = Desk::with_star();
    let served = Served::start(&desk, true, &[]);
    let token = served.join(&desk, "star-1/r1", "hanako");

    let papers = served.get("/api/v1/memoranda", &token).is(200).json();
    assert_eq!((papers[0]["id"].as_str(), papers[0]["you"].as_str()), (Some("star-1"), Some("star-1/r1")));
    let items = served.get("/api/v1/memoranda/star-1/items", &token).is(200).json();
    let columns: Vec<&str> =
        items.as_array().unwrap().iter().filter_map(|item| item["column"].as_str()).collect();
    assert!(columns.contains(&"math") && !columns.contains(&"id"), "{columns:?}");

    let question = json!({ "memorandum": "star-1", "sql": QUESTION, "rho": 0.02 });
    let preview = served.send("POST", "/api/v1/questions/preview", &token, &question).is(200).json();
    assert_eq!((preview["rows"].as_array().unwrap().len(), &preview["preview"]), (0, &json!(true)));
    let explained = served.send("POST", "/api/v1/questions/explain", &token, &question).is(200).json();
    assert!(!explained["bounds"].as_array().unwrap().is_empty());
    let answer = served.send("POST", "/api/v1/questions", &token, &question).is(200).json();
    assert_eq!((&answer["replayed"], answer["rows"].as_array().unwrap().len()), (&json!(false), 3));
    let typed = desk.ask(["--as", "r1", "--rho", "0.02", "--format", "json", QUESTION]).done().json();
    assert_eq!((&typed["replayed"], &typed["rows"]), (&json!(true), &answer["rows"]));

    // Every form of the same answer, at no charge.
    let body = question.to_string();
    for (form, begins) in [
        ("text/csv", "cltype,n,n_low".as_bytes()),
        ("application/vnd.apache.arrow.file", b"ARROW1"),
        ("application/vnd.apache.parquet", b"PAR1"),
    ] {
        let accept = [("Accept", form)];
        let got =
            served.send_with("POST", "/api/v1/questions", &token, &accept, Some(body.as_bytes())).is(200);
        assert!(got.body.starts_with(begins), "{form}");
        assert_eq!(got.header("content-type"), Some(form));
    }
    served
        .send_with("POST", "/api/v1/questions", &token, &[("Accept", "image/png")], Some(body.as_bytes()))
        .is(406);

    // Again by its place in the log, with its receipt and proof.
    let index = answer["log"]["index"].as_u64().unwrap();
    let again = served.get(&format!("/api/v1/releases/{index}"), &token).is(200).json();
    assert_eq!(again["rows"][0]["measure_2"], answer["rows"][0]["n"]);
    let receipt = served.get(&format!("/api/v1/releases/{index}/receipt"), &token).is(200);
    desk.write("receipt.json", &receipt.text());
    desk.run(["receipt", "verify", "receipt.json"]).done();
    assert!(served.get(&format!("/api/v1/log/{index}/proof"), &token).is(200).text().contains("tlog-proof"));
    served.get("/api/v1/log", &token).is(403);

    let history = served.get("/api/v1/questions?memorandum=star-1", &token).is(200).json();
    assert_eq!(history["questions"][0]["release"], json!(index));
    let budget = served.get("/api/v1/memoranda/star-1/budget", &token).is(200).json();
    assert_eq!(budget["charged"]["rho"], json!(0.02));

    // One text of a refusal on every way.
    let refused = json!({ "memorandum": "star-1", "sql": REFUSED });
    let problem = served.send("POST", "/api/v1/questions", &token, &refused).is(422);
    assert_eq!(problem.header("content-type"), Some("application/problem+json"));
    let typed = desk.ask(["--as", "r1", REFUSED]).exits(3);
    assert_eq!(problem.json()["detail"].as_str().unwrap(), typed.err.trim_end());

    served.send_with("DELETE", "/api/v1/sessions/current", &token, &[], None).is(204);
    served.get("/api/v1/memoranda", &token).is(401);
    assert!(served.stop().success(), "a server that is asked to stop has done nothing wrong");
    desk.run(["log", "verify"]).done();
}

#[test]
fn the_first_steward_comes_by_the_link_of_init_once() {
    let desk = Desk::with_papers();
    let made = desk.run(["init"]).done();
    let secret =
        made.err.lines().find_map(|line| Some(line.split_once("/join/")?.1.trim().to_owned())).unwrap();
    let served = Served::start(&desk, true, &[]);
    let page = served.get(&format!("/join/{secret}"), "").is(200);
    assert!(page.text().contains("<form") && page.header("content-security-policy").is_some());
    let body = json!({ "secret": secret, "id": "s1", "name": "Sato", "login": "sato", "password": "short" });
    served.send("POST", "/api/v1/set-up", "", &body).is(422);
    let body = json!({ "secret": secret, "id": "s1", "name": "Sato", "login": "sato", "password": PASSWORD });
    served.send("POST", "/api/v1/set-up", "", &body).is(201);
    served.send("POST", "/api/v1/set-up", "", &body).is(409);

    // From here on everything is somebody's act.
    let steward = served.log_in("sato");
    let text = |file: &str| json!({ "text": std::fs::read_to_string(desk.path(file)).unwrap() });
    served.send("POST", "/api/v1/contracts", &steward, &text("star.json")).is(201);
    served.send("POST", "/api/v1/memoranda", &steward, &text("star-1.toml")).is(201);
    let person = json!({ "id": "b1", "name": "Board", "roles": ["board"] });
    served.send("POST", "/api/v1/people", &steward, &person).is(201);
    assert_eq!(served.get("/api/v1/people", &steward).is(200).json().as_array().unwrap().len(), 2);
    let invited =
        served.send("POST", "/api/v1/invitations", &steward, &json!({ "person": "b1" })).is(201).json();
    let accept = json!({ "invitation": invited["invitation"], "login": "board", "password": PASSWORD });
    served.send("POST", "/api/v1/invitations/accept", "", &accept).is(201);
    let board = served.log_in("board");
    served.send("POST", "/api/v1/people", &board, &person).is(403);
    let leaves = served.get("/api/v1/log?limit=2", &board).is(200).json();
    assert_eq!((leaves["leaves"].as_array().unwrap().len(), &leaves["next"]), (2, &json!(2)));
    served.get("/api/v1/register/", "").is(200);
    // What a steward gets wrong is told as their mistake, and no fault of the enclave's.
    let long = "x".repeat(70_000);
    for (person, status) in [
        (json!({ "id": "nobody", "name": "N", "roles": ["custodian"] }), 422),
        (json!({ "id": "n1", "name": long, "roles": ["custodian"] }), 422),
        (json!({ "id": "n1", "name": "N", "roles": [] }), 422),
        (json!({ "id": "n1", "name": "N", "roles": ["steward", "board"] }), 422),
        (json!({ "id": "b1", "name": "N", "roles": ["board"] }), 409),
    ] {
        served.send("POST", "/api/v1/people", &steward, &person).is(status);
    }
    served.send("PUT", "/api/v1/people/no-such", &steward, &json!({ "roles": ["custodian"] })).is(404);
    served.send_with("DELETE", "/api/v1/people/no-such", &steward, &[], None).is(404);
    let token = json!({ "label": "t", "scopes": ["read"], "days": 0 });
    served.send("POST", "/api/v1/tokens", &steward, &token).is(422);
    served
        .send("POST", "/api/v1/approvals/1/votes", &board, &json!({ "vote": "approve", "reason": "r" }))
        .is(404);
    // Who is steward does not read answers of researchers by asking.
    let question = json!({ "memorandum": "star-1", "sql": QUESTION });
    served.send("POST", "/api/v1/questions", &steward, &question).is(422);
}

#[test]
fn an_answer_may_come_later_and_once() {
    let desk = Desk::with_star();
    let served = Served::start(&desk, true, &[]);
    let token = served.join(&desk, "star-1/r1", "hanako");
    let question = json!({ "memorandum": "star-1", "sql": QUESTION, "rho": 0.01, "fresh": true });
    let body = question.to_string();
    let headers = [("Prefer", "respond-async"), ("Idempotency-Key", "a")];
    let post = || served.send_with("POST", "/api/v1/questions", &token, &headers, Some(body.as_bytes()));
    let job = post().is(202);
    let place = job.header("location").unwrap().to_owned();
    let events = served.get(&format!("{place}/events"), &token).is(200).text();
    assert!(events.contains("event: answered"), "{events}");
    let answer = served.get(&place, &token).is(200).json();
    // The same key asks nothing new, whether later or at once; another question under it is refused.
    assert_eq!(post().is(202).json()["job"], job.json()["job"]);
    let key = [("Idempotency-Key", "a")];
    let again =
        served.send_with("POST", "/api/v1/questions", &token, &key, Some(body.as_bytes())).is(200).json();
    assert_eq!(again["log"], answer["log"]);
    let other = json!({ "memorandum": "star-1", "sql": QUESTION, "rho": 0.02 }).to_string();
    served.send_with("POST", "/api/v1/questions", &token, &key, Some(other.as_bytes())).is(422);
    let charged = served.get("/api/v1/memoranda/star-1/budget", &token).is(200).json();
    assert_eq!(charged["charged"]["rho"], json!(0.01));
    served.send_with("DELETE", &place, &token, &[], None).is(204);
    served.get("/api/v1/jobs/00000000000000000000000000000000", &token).is(404);
}

#[test]
fn who_is_not_let_in_learns_nothing() {
    let desk = Desk::with_star();
    let paper = std::fs::read_to_string(desk.path("star-1.toml")).unwrap();
    desk.write("other.toml", &paper.replace("star-1", "other-1"));
    let served = Served::start(&desk, true, &["limits.log_ins_per_minute=1000"]);
    let token = served.join(&desk, "star-1/r1", "hanako");
    desk.run(["memorandum", "sign", "other.toml"]).done();

    // Other memoranda are as those that are not there.
    let words = |path: &str| {
        let answer = served.get(path, &token);
        (answer.status, answer.json()["detail"].as_str().unwrap().to_owned())
    };
    for rest in ["", "/items", "/budget"] {
        let [other, none] = ["other-1", "no-such"].map(|id| words(&format!("/api/v1/memoranda/{id}{rest}")));
        assert_eq!((other.0, &other), (404, &none), "{rest}");
    }
    assert_eq!(words("/api/v1/questions?memorandum=other-1"), words("/api/v1/questions?memorandum=no-such"));
    let ask = |id: &str| {
        let body = json!({ "memorandum": id, "sql": "SELECT COUNT(*) FROM results" });
        let answer = served.send("POST", "/api/v1/questions", &token, &body);
        (answer.status, answer.json()["detail"].clone())
    };
    assert_eq!(ask("other-1"), ask("no-such"));

    // Tokens: forged, of another kind, ended, too narrow.
    for forged in ["", "x", &token[..token.len() - 1], &token.replace("session", "token"), &"a".repeat(4000)]
    {
        served.get("/api/v1/sessions/current", forged).is(401);
    }
    let narrow =
        json!({ "label": "notebook", "scopes": ["read", "preview"], "memorandum": "star-1", "days": 1 });
    let made = served.send("POST", "/api/v1/tokens", &token, &narrow).is(201).json();
    let narrow = made["token"].as_str().unwrap();
    let question = json!({ "memorandum": "star-1", "sql": QUESTION });
    served.send("POST", "/api/v1/questions/preview", narrow, &question).is(200);
    served.send("POST", "/api/v1/questions", narrow, &question).is(403);
    served
        .send("POST", "/api/v1/tokens", narrow, &json!({ "label": "x", "scopes": ["read"], "days": 1 }))
        .is(403);
    served.send_with("DELETE", &format!("/api/v1/tokens/{}", made["id"]), &token, &[], None).is(204);
    served.get("/api/v1/memoranda", narrow).is(401);

    // A name that is there and one that is not are told the same; after five wrong ones the right one counts no more.
    let log_in = |login: &str, password: &str| {
        let body = json!({ "login": login, "password": password });
        let begun = Instant::now();
        let answer = served.send("POST", "/api/v1/sessions", "", &body);
        // Not before the step, whatever is done for a name that is there.
        assert!(begun.elapsed() >= Duration::from_secs(1));
        (answer.status, answer.text())
    };
    let nobody = log_in("nobody", "wrong wrong wrong");
    for _ in 0..5 {
        assert_eq!(log_in("hanako", "wrong wrong wrong"), nobody);
    }
    assert_eq!(log_in("hanako", PASSWORD), nobody);
}

#[test]
fn what_is_not_a_request_is_refused() {
    let desk = Desk::with_star();
    let served = Served::start(&desk, true, &["limits.request_seconds=2", "limits.body_kib=64"]);
    let token = served.join(&desk, "star-1/r1", "hanako");
    let post = |body: &str| served.send_with("POST", "/api/v1/questions", &token, &[], Some(body.as_bytes()));
    let code = |answer: crate::support::Answer| answer.json()["code"].as_str().unwrap().to_owned();
    assert_eq!(code(post("{").is(400)), "invalid");
    assert_eq!(code(post(r#"{"memorandum":"star-1","sql":"SELECT 1","roh":1}"#).is(400)), "invalid");
    assert_eq!(
        code(post(r#"{"memorandum":"star-1","sql":"SELECT 1","rho":1,"epsilon":1}"#).is(400)),
        "invalid"
    );
    assert_eq!(code(post(&format!("\"{}\"", "x".repeat(70_000))).is(413)), "too-long");
    served.raw(b"POST /api/v1/questions HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").is(401);
    // A body that unfolds is not unfolded.
    let zipped = [("Content-Encoding", "gzip")];
    let bomb = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xff];
    served.send_with("POST", "/api/v1/questions", &token, &zipped, Some(&bomb)).is(400);
    // Deep SQL is refused as such.
    let deep = format!("SELECT {}1{} FROM results", "(".repeat(5_000), ")".repeat(5_000));
    post(&json!({ "memorandum": "star-1", "sql": deep }).to_string()).is(422);
    // An array is no object, though its values are those of the fields in their order.
    served.send("POST", "/api/v1/factors/totp", &token, &json!([])).is(400);
    let fields = json!(["star-1", QUESTION, null, 0.01, null, null, null, null, null, null, false]);
    served.send("POST", "/api/v1/questions", &token, &fields).is(400);
    // Every refusal is problem details.
    for path in ["/api/v1/questions", "/api/v1/register/", "/healthz", "/readyz", "/metrics", "/join/x"] {
        assert_eq!(code(served.send("PATCH", path, &token, &json!({})).is(405)), "method", "{path}");
    }
    assert_eq!(code(served.get("/join/%FF", "").is(404)), "not-found");
    assert_eq!(code(served.send("POST", "/join", "", &json!({})).is(415)), "unsupported");
    let form = |filled: &str| {
        let head = "POST /join HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded";
        served.raw(format!("{head}\r\nContent-Length: {}\r\n\r\n{filled}", filled.len()).as_bytes())
    };
    assert_eq!(code(form("secret=x").is(400)), "invalid");
    assert_eq!(code(form(&format!("secret={}", "x".repeat(70_000))).is(413)), "too-long");
    assert_eq!(code(served.get("/api/v2", &token).is(404)), "not-found");
    assert_eq!(served.get("/healthz", "").is(200).text(), "ok\n");
    served.get("/readyz", "").is(200);
    assert!(served.get("/metrics", "").is(200).text().contains("enclave_requests_total"));

    // Who sends slowly is hung up on, and disturbs nobody.
    let begun = Instant::now();
    let mut slow = TcpStream::connect(&served.http).unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(begun.elapsed() < Duration::from_secs(20));
    served.get("/healthz", "").is(200);
}

/// The timers of HTTP begin with its first bytes, and a client of HTTP/2 that asks nothing is asked only whether it is there.
#[test]
fn who_asks_nothing_is_hung_up_on() {
    let desk = Desk::with_star();
    let served = Served::start(&desk, true, &["limits.request_seconds=2"]);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let beginnings: [&[u8]; 4] = [b"", &preface[..8], preface, b"GE"];
    let begun = Instant::now();
    let mut silent = Vec::new();
    for port in [&served.http, &served.flight] {
        for sent in beginnings {
            let mut stream = TcpStream::connect(port).unwrap();
            stream.write_all(sent).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            silent.push((stream, sent));
        }
    }
    for (mut stream, sent) in silent {
        let _ = stream.read_to_end(&mut Vec::new());
        let sent = String::from_utf8_lossy(sent);
        assert!(begun.elapsed() < Duration::from_secs(10), "{sent:?}: {:?}", begun.elapsed());
    }
    served.get("/healthz", "").is(200);
}

#[test]
fn every_link_of_the_register_leads_somewhere() {
    let desk = Desk::with_star();
    let served = Served::start(&desk, true, &[]);
    let token = served.join(&desk, "star-1/r1", "hanako");
    let question = json!({ "memorandum": "star-1", "sql": QUESTION, "rho": 0.01 });
    served.send("POST", "/api/v1/questions", &token, &question).is(200);

    let top = served.get("/api/v1/register", "").is(308);
    let mut next = vec![resolved("/api/v1/register", top.header("location").unwrap())];
    assert_eq!(next, ["/api/v1/register/"]);
    let mut found = BTreeMap::new();
    while let Some(place) = next.pop() {
        if found.contains_key(&place) {
            continue;
        }
        let page = served.get(&place, "").is(200);
        let kind = page.header("content-type").unwrap().to_owned();
        if kind.starts_with("text/html") {
            // What the page takes its style from is let in.
            assert!(page.header("content-security-policy").unwrap().contains("style-src 'self'"), "{place}");
            let text = page.text();
            let links = text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
            next.extend(links.map(|link| resolved(&place, link)));
        }
        found.insert(place, kind);
    }
    for (place, kind) in &found {
        let wanted = if place.ends_with(".css") { "text/css" } else { "text/html" };
        assert_eq!(*kind, format!("{wanted}; charset=utf-8"), "{place}");
    }

    // The register lists what is in it, as the document says, and all of it was found.
    let listed = served.get("/api/v1/register/register.json", "").is(200);
    assert_eq!(listed.header("content-type"), Some("application/json"));
    let listed = listed.json();
    let document = served.get("/api/v1/openapi.json", "").is(200).json();
    let stated = &document["components"]["schemas"]["RegisterContents"]["properties"];
    let keys = |of: &Value| {
        let mut keys: Vec<String> = of.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(stated), keys(&listed));
    let files: Vec<&str> = listed["files"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(files.contains(&"memoranda/star-1.html"), "{files:?}");
    for file in files {
        assert!(found.contains_key(&format!("/api/v1/register/{file}")), "{file}: {:?}", found.keys());
    }
    for missing in ["no-such.html", "memoranda/no-such.html", "memoranda", "memoranda/"] {
        let problem = served.get(&format!("/api/v1/register/{missing}"), "").is(404).json();
        assert_eq!(problem["code"], "not-found");
    }
}

/// Where a link on a page leads.
fn resolved(page: &str, link: &str) -> String {
    let mut path: Vec<&str> = page.split('/').collect();
    path.pop();
    for part in link.split('/') {
        if part == ".." {
            path.pop();
        } else {
            path.push(part);
        }
    }
    path.join("/")
}

#[test]
fn a_second_factor_is_asked_for_once_it_is_enrolled() {
    let desk = Desk::with_star();
    let served = Served::start(&desk, true, &[]);
    let token = served.join(&desk, "star-1/r1", "hanako");
    let uri = served.send("POST", "/api/v1/factors/totp", &token, &json!({})).is(201).json();
    let totp = totp_rs::TOTP::from_url(uri["uri"].as_str().unwrap()).unwrap();
    served.send("POST", "/api/v1/factors/totp/confirm", &token, &json!({ "code": "000000" })).is(403);
    let code = json!({ "code": totp.generate_current().unwrap() });
    served.send("POST", "/api/v1/factors/totp/confirm", &token, &code).is(204);
    let body = json!({ "login": "hanako", "password": PASSWORD });
    served.send("POST", "/api/v1/sessions", "", &body).is(401);
    // A code is good once.
    let body = json!({ "login": "hanako", "password": PASSWORD, "code": code["code"] });
    served.send("POST", "/api/v1/sessions", "", &body).is(401);
}

#[test]
fn a_backup_is_made_while_questions_go_on_and_proves_itself() {
    let desk = Desk::with_star();
    let served = Served::start(&desk, true, &[]);
    let token = served.join(&desk, "star-1/r1", "hanako");
    let question = json!({ "memorandum": "star-1", "sql": QUESTION, "rho": 0.01 });
    let answer = served.send("POST", "/api/v1/questions", &token, &question).is(200).json();
    desk.write("before", &served.get("/api/v1/log/checkpoint", "").is(200).text());
    desk.run(["backup", "copy"]).done().says(["the root key is not in it"]);
    desk.run(["backup", "copy"]).exits(2);
    assert!(!desk.path("copy/keys/root.key").exists());
    let home = desk.home();
    let root_key = home.join("keys/root.key");
    let restore = |to: &str, key: Option<&str>| {
        let mut arguments = vec!["--home", to, "restore", "copy"];
        arguments.extend(key.map(|key| ["--root-key", key]).into_iter().flatten());
        desk.run_with(&arguments, "")
    };
    restore("without-key", None).exits(2);
    restore("again", root_key.to_str()).done();
    let replayed = desk.run_with(
        &[
            "--home", "again", "ask", "-m", "star-1", "--as", "r1", "--rho", "0.01", "--format", "json",
            QUESTION,
        ],
        "",
    );
    assert_eq!(replayed.done().json()["rows"], answer["rows"]);
    desk.run_with(&["--home", "again", "log", "verify"], "").done();
    desk.run_with(&["--home", "again", "doctor"], "").done();
    // What was charged since the backup is forgotten by it: a checkpoint that somebody kept shows that.
    let fresh = json!({ "memorandum": "star-1", "sql": QUESTION, "rho": 0.01, "fresh": true });
    served.send("POST", "/api/v1/questions", &token, &fresh).is(200);
    desk.write("since", &served.get("/api/v1/log/checkpoint", "").is(200).text());
    let since = |file: &str, to: &str| {
        desk.run_with(
            &["--home", to, "restore", "copy", "--root-key", root_key.to_str().unwrap(), "--since", file],
            "",
        )
    };
    since("before", "onwards").done();
    since("since", "behind").exits(2);
    assert!(!desk.path("behind").exists());
    // A file that changed is found out.
    let part = desk.path("copy/ledger.db");
    let mut bytes = std::fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    restore("broken", root_key.to_str()).exits(2);
}

/// The document names every route, and what it says of an answer is what comes.
#[test]
fn the_document_is_openapi_3_1() {
    let desk = Desk::with_star();
    let served = Served::start(&desk, true, &[]);
    let document: Value = served.get("/api/v1/openapi.json", "").is(200).json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document, desk.run(["serve", "--openapi"]).done().json());
    let token = served.join(&desk, "star-1/r1", "hanako");
    let question = json!({ "memorandum": "star-1", "sql": QUESTION, "rho": 0.01 });
    let answer = served.send("POST", "/api/v1/questions", &token, &question).is(200).json();
    let schema = &document["components"]["schemas"]["Answer"];
    let stated = schema["properties"].as_object().unwrap();
    let unknown: Vec<&String> =
        answer.as_object().unwrap().keys().filter(|key| !stated.contains_key(*key)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    for key in schema["required"].as_array().unwrap() {
        assert!(answer.get(key.as_str().unwrap()).is_some(), "{key}");
    }
}
