//! What bounds a question on the network: time, places, the queue, how often. Whoever goes over is told so in the same
//! words whatever the rows are, and nobody else is disturbed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::OPEN_RULES;
use tests::club::{self, Visits};

use crate::support::{Desk, Served};

/// Rows of one pupil: joined with themselves they are more than anybody waits for.
const ROWS: usize = 40_000;
const SLOW: &str =
    "SELECT COUNT(*) AS n FROM visits v JOIN visits w ON v.pupil = w.pupil WHERE v.minutes < w.minutes + 601";
/// The same where next to nothing comes out: the join itself goes on for long.
const SLOW_INSIDE: &str = "SELECT COUNT(*) AS n FROM visits v FULL JOIN visits w ON v.pupil = w.pupil AND v.minutes > w.minutes + 598";
const QUICK: &str = "SELECT kind, COUNT(*) AS n FROM visits WHERE minutes < 3 GROUP BY kind";
/// ρ, so that what was charged can be counted.
const PRICE: f64 = 0.001;

/// A club with memoranda `open-1`, `brief-1` (one second) and `patient-1` (six), each with a person `r1`.
fn club() -> Desk {
    let desk = Desk::empty();
    let mut visits = Visits::default();
    for pupil in 0..40 {
        visits.push(
            pupil,
            &format!("{},hall,{},-4,true,1,3,0.5,2025-01-01", ["a", "b", "c"][pupil % 3], pupil),
        );
    }
    for row in 0..ROWS {
        visits.push(99_999, &format!("a,hall,{},0,true,1,3,0.5,2025-01-01", row % 600));
    }
    visits.write(desk.folder());
    desk.write("club.json", &club::contract(1e6));
    desk.run(["init"]).done();
    desk.run(["contract", "publish", "club.json"]).done();
    desk.run(["ingest", "club", "places=places.csv", "visits=visits.csv"]).done();
    for (rules, from, to) in [
        ("open", "", ""),
        ("brief", "timeout_seconds = 120", "timeout_seconds = 1"),
        ("patient", "timeout_seconds = 120", "timeout_seconds = 6"),
    ] {
        desk.write("rules.toml", &OPEN_RULES.replace("\"open\"", &format!("\"{rules}\"")).replace(from, to));
        desk.run(["rules", "install", "rules.toml"]).done();
        let paper = format!(
            "id = \"{rules}-1\"\ncontract = \"club\"\ntitle = {{ en = \"Test\" }}\ninstitution = \"Test\"\n\
             purpose = {{ en = \"Test\" }}\nuse_case = \"test\"\nvalid = {{ from = 2020-01-01, until = 2199-12-31 }}\n\
             rules = \"{rules}\"\npeople = [{{ id = \"r1\", name = \"One\", role = \"researcher\" }}]\n\
             items = [{{ table = \"visits\", columns = [\"kind\", \"minutes\"] }}]\n\
             [allotment]\nrho = 1000.0\ndelta = 1e-6\ndefault_rho = 0.01\n"
        );
        desk.write("paper.toml", &paper);
        desk.run(["memorandum", "sign", "paper.toml"]).done();
    }
    desk
}

fn question(memorandum: &str, sql: &str) -> Value {
    json!({ "memorandum": memorandum, "sql": sql, "rho": PRICE, "rows_per_unit": 5, "fresh": true })
}

/// How many questions at [`PRICE`] were charged.
fn charged(served: &Served, memorandum: &str, token: &str) -> u64 {
    let budget = served.get(&format!("/api/v1/memoranda/{memorandum}/budget"), token).is(200).json();
    (budget["charged"]["rho"].as_f64().unwrap() / PRICE).round() as u64
}

#[test]
fn a_question_over_its_limits_is_ended_and_charged_and_disturbs_nobody() {
    let desk = club();
    let served = Served::start(&desk, true, &[]);
    let [brief, open] = ["brief", "open"].map(|name| served.join(&desk, &format!("{name}-1/r1"), name));

    std::thread::scope(|scope| {
        // More of them than there are cores on a small machine.
        let slow: Vec<_> = [SLOW, SLOW_INSIDE, SLOW, SLOW_INSIDE]
            .into_iter()
            .map(|sql| {
                let (served, brief) = (&served, &brief);
                scope.spawn(move || {
                    let begun = Instant::now();
                    let over = served.send("POST", "/api/v1/questions", brief, &question("brief-1", sql));
                    // The rule set's second, and two in which to end.
                    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
                    over.is(422).json()["detail"].as_str().unwrap().to_owned()
                })
            })
            .collect();
        let mut others = 0;
        while others == 0 || slow.iter().any(|question| !question.is_finished()) {
            served.send("POST", "/api/v1/questions", &open, &question("open-1", QUICK)).is(200);
            others += 1;
        }
        assert_eq!(charged(&served, "open-1", &open), others);
        for question in slow {
            let refused = question.join().unwrap();
            assert!(
                refused.ends_with("the question could not be carried out within its limits"),
                "{refused}"
            );
        }
    });
    assert_eq!(charged(&served, "brief-1", &brief), 4);
    // What was ended and paid for is not paid for again under the same key.
    for _ in 0..2 {
        let (key, body) = ([("Idempotency-Key", "slow")], question("brief-1", SLOW).to_string());
        served.send_with("POST", "/api/v1/questions", &brief, &key, Some(body.as_bytes())).is(422);
    }
    assert_eq!(charged(&served, "brief-1", &brief), 5);
    // What was ended runs no more, and takes nobody's place.
    served.send("POST", "/api/v1/questions", &open, &question("open-1", QUICK)).is(200);
}

#[test]
fn who_fills_the_queue_fills_their_own_part_of_it_and_may_take_questions_back() {
    let desk = club();
    let served = Served::start(&desk, true, &["limits.questions=1", "limits.queue=8"]);
    let [patient, open] = ["patient", "open"].map(|name| served.join(&desk, &format!("{name}-1/r1"), name));
    let later = |token: &str, question: &Value| {
        let prefer = [("Prefer", "respond-async")];
        let body = question.to_string();
        let job =
            served.send_with("POST", "/api/v1/questions", token, &prefer, Some(body.as_bytes())).is(202);
        job.header("location").unwrap().to_owned()
    };
    let state = |place: &str, token: &str| {
        let answer = served.get(place, token);
        (answer.status, answer.json())
    };
    // The one place is taken for as long as the rule set lets.
    let running = later(&patient, &question("patient-1", SLOW));
    let until = Instant::now() + Duration::from_secs(5);
    while state(&running, &patient).1["state"] != "running" {
        assert!(Instant::now() < until);
    }
    // A fourth of the queue is one log-in's.
    let own: Vec<String> = (0..8).map(|_| later(&patient, &question("patient-1", QUICK))).collect();
    let other = later(&open, &question("open-1", QUICK));
    let (status, waiting) = state(&other, &open);
    assert_eq!((status, &waiting["state"]), (202, &json!("waiting")));
    assert_eq!(waiting["position"], 2);
    let busy = own.iter().map(|place| state(place, &patient)).filter(|(status, _)| *status == 503);
    let busy: Vec<Value> = busy.map(|(_, problem)| problem["code"].clone()).collect();
    assert_eq!(busy, vec![json!("busy"); 6]);

    // One before it is taken back, and it moves up.
    let waits = own.iter().position(|place| state(place, &patient).0 == 202).unwrap();
    served.send_with("DELETE", &own[waits], &patient, &[], None).is(204);
    while state(&other, &open).1["position"] != 1 {
        assert!(Instant::now() < until);
    }

    // Somebody else's is not there.
    served.get(&other, &patient).is(404);
    served.send_with("DELETE", &other, &patient, &[], None).is(404);
    // One's own may be taken back: as long as it waits it is not asked.
    served.send_with("DELETE", &other, &open, &[], None).is(204);
    let events = served.get(&format!("{other}/events"), &open).is(200).text();
    assert!(events.ends_with("event: failed\n") || events.contains("event: failed"), "{events}");
    assert_eq!(state(&other, &open), (409, served.get(&other, &open).json()));
    assert_eq!(served.get(&other, &open).json()["code"], "cancelled");
    // One that runs is charged and goes on.
    served.send_with("DELETE", &running, &patient, &[], None).is(204);
    for place in &own {
        let _ = served.get(&format!("{place}/events"), &patient).is(200).text();
    }
    assert_eq!(charged(&served, "open-1", &open), 0);
    assert_eq!(charged(&served, "patient-1", &patient), 1 + 1);
    desk.run(["log", "verify"]).done();
}

#[test]
fn who_asks_too_often_is_told_when_to_come_back() {
    let desk = Desk::with_star();
    let served = Served::start(&desk, true, &["limits.requests_per_minute=5", "limits.log_ins_per_minute=4"]);
    let token = served.join(&desk, "star-1/r1", "hanako");
    let told: Vec<_> = (0..8).map(|_| served.get("/api/v1/memoranda", &token)).collect();
    assert!(told[..5].iter().all(|answer| answer.status == 200));
    for late in &told[5..] {
        assert_eq!((late.status, &late.json()["code"]), (429, &json!("too-often")));
        let seconds: u64 = late.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds));
    }
    // Attempts to come in are counted by where they come from, whoever's they are.
    let wrong = json!({ "login": "nobody", "password": "wrong wrong wrong" });
    let tried: Vec<u16> =
        (0..6).map(|_| served.send("POST", "/api/v1/sessions", "", &wrong).status).collect();
    assert!(tried.contains(&429) && *tried.last().unwrap() == 429, "{tried:?}");
    // What is refused so is not read: its body need not come.
    let begun = Instant::now();
    served.raw(bodiless("192.0.2.1").as_bytes()).is(429);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// The head of an attempt to log in whose body does not come, as a proxy would pass it on.
fn bodiless(address: &str) -> String {
    format!(
        "POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: {address}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    )
}

#[test]
fn whose_requests_do_not_end_keeps_their_own_part_of_the_places() {
    let desk = Desk::with_star();
    let served = Served::start(&desk, true, &["behind_proxy=true", "limits.requests=8"]);
    let hold = |address: &str| {
        let mut stream = TcpStream::connect(&served.http).unwrap();
        stream.write_all(bodiless(address).as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert!(stream.read(&mut [0]).is_err(), "it is waited for");
        stream
    };
    let get = |address: &str| {
        served.send_with("GET", "/api/v1/openapi.json", "", &[("X-Forwarded-For", address)], None)
    };
    let wait_for = |address: &str, status: u16| {
        let until = Instant::now() + Duration::from_secs(10);
        while get(address).status != status {
            assert!(Instant::now() < until, "{address}: {status}");
        }
    };
    // Half of the places are one client's: in IPv6, a network's.
    let own = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"].map(hold);
    wait_for("2001:db8::5", 503);
    let busy = get("2001:db8::5").is(503);
    assert_eq!((busy.header("retry-after"), &busy.json()["code"]), (Some("1"), &json!("busy")));
    get("192.0.2.1").is(200);
    // All are taken: nobody waits, and the server is not ill.
    let others = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"].map(hold);
    wait_for("192.0.2.4", 503);
    served.get("/healthz", "").is(200);
    assert!(served.get("/metrics", "").text().contains("status=\"503\""));
    drop((own, others));
    wait_for("192.0.2.4", 200);
    wait_for("2001:db8::5", 200);
}

/// Sends a question on a connection of its own, and does not wait for the answer.
fn send(served: &Served, token: &str, question: &Value) -> TcpStream {
    let body = question.to_string();
    let head = format!(
        "POST /api/v1/questions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(&served.http).unwrap();
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    stream
}

/// Waits until so many questions run and wait.
fn wait_until(served: &Served, running: usize, waiting: usize) {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let metrics = served.get("/metrics", "").text();
        let is = |name: &str, n: usize| metrics.contains(&format!("enclave_questions_{name} {n}\n"));
        if is("running", running) && is("waiting", waiting) {
            return;
        }
        assert!(Instant::now() < until, "{metrics}");
    }
}

#[test]
fn a_server_that_stops_begins_no_question() {
    let desk = club();
    let settings = ["limits.questions=1", "limits.request_seconds=2", "limits.shutdown_seconds=20"];
    let served = Served::start(&desk, true, &settings);
    let [patient, open] = ["patient", "open"].map(|name| served.join(&desk, &format!("{name}-1/r1"), name));
    let runs = send(&served, &patient, &question("patient-1", SLOW));
    wait_until(&served, 1, 0);
    let waits = send(&served, &open, &question("open-1", QUICK));
    wait_until(&served, 1, 1);
    assert!(served.stop().success());
    let told = |mut stream: TcpStream| {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    // The one that ran came to its end, longer though it took than a request may take to arrive.
    assert_eq!((told(runs), told(waits)), ("422".to_owned(), "503".to_owned()));
    assert_eq!(desk.logged("question"), 1, "what waited is not charged");
    desk.run(["log", "verify"]).done();
}

#[test]
fn a_server_stops_in_time_whatever_runs() {
    let desk = club();
    let served = Served::start(&desk, true, &["limits.shutdown_seconds=3"]);
    let open = served.join(&desk, "open-1/r1", "open");
    let _runs = send(&served, &open, &question("open-1", SLOW));
    wait_until(&served, 1, 0);
    let begun = Instant::now();
    served.stop();
    // The three seconds, once, and less than as many again in which to end.
    assert!(begun.elapsed() < Duration::from_millis(5_500), "{:?}", begun.elapsed());
    desk.run(["log", "verify"]).done();
}
