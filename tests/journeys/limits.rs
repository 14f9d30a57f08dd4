//! What bounds a question on the network: time, places, the queue, how often. Whoever goes over is told so in the same
//! words whatever the rows are, and nobody else is disturbed.

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
    // A fourth of the queue is one log-in's, and one more is let in for the moment in which it may find a place.
    let own: Vec<String> = (0..8).map(|_| later(&patient, &question("patient-1", QUICK))).collect();
    let other = later(&open, &question("open-1", QUICK));
    let (status, waiting) = state(&other, &open);
    assert_eq!((status, &waiting["state"]), (202, &json!("waiting")));
    let position = waiting["position"].as_u64().unwrap();
    assert!((1..=3).contains(&position), "{position}");
    let busy = own.iter().map(|place| state(place, &patient)).filter(|(status, _)| *status == 503);
    let busy: Vec<Value> = busy.map(|(_, problem)| problem["code"].clone()).collect();
    assert_eq!(busy, vec![json!("busy"); 5]);

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
    assert_eq!(charged(&served, "patient-1", &patient), 1 + 3);
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
}
