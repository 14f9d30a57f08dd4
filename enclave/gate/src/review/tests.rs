//! A month of an invented log.
#![allow(clippy::unwrap_used, clippy::panic)]

use chrono::{DateTime, TimeZone, Utc};
use ledger::LeafKind;
use serde_json::{Value, json};

use super::record::{Record, micro};
use super::{PatternKind, Period, Review};

/// Noon in Japan on a day of November 2026; day 0 is the last of October.
fn on(day: i64) -> DateTime<Utc> {
    let first = Utc.with_ymd_and_hms(2026, 11, 1, 3, 0, 0).unwrap();
    first + chrono::Duration::days(day - 1)
}

#[derive(Default)]
struct Log(Vec<Record>);

impl Log {
    fn add(&mut self, day: i64, kind: LeafKind, facts: Value) -> u64 {
        let index = self.0.len() as u64;
        self.0.push(Record { index, at: on(day), kind, facts });
        index
    }

    fn sign(&mut self, day: i64, id: &str, until: &str) {
        let facts = json!({ "memorandum": id, "contract": "star", "from": "2026-04-01", "until": until,
            "rho_micro": 1_000_000, "pool_rho_micro": 2_000_000 });
        self.add(day, LeafKind::Signature, facts);
    }

    fn ask(&mut self, day: i64, id: &str, sql: &str) -> u64 {
        let facts = json!({ "memorandum": id, "contract": "star", "person": "r1", "purpose": "class-size", "sql": sql,
            "items": ["results.gr", "results.math"], "rho_micro": 10_000 });
        let question = self.add(day, LeafKind::Question, facts);
        let facts =
            json!({ "memorandum": id, "contract": "star", "question_leaf": question, "groups_told": 3 });
        self.add(day, LeafKind::Release, facts);
        question
    }

    fn review(&self) -> Review {
        Review::of(&self.0, &[], Period::month("2026-11").unwrap(), on(40))
    }
}

#[test]
fn months_are_those_of_japan() {
    let period = Period::month("2026-11").unwrap();
    assert_eq!(
        (period.from.to_string(), period.until.to_string()),
        ("2026-11-01".into(), "2026-11-30".into())
    );
    assert_eq!(period.name(), "2026-11");
    for wrong in ["2026-13", "2026-1", "202611", "", "2026-11-01"] {
        assert_eq!(Period::month(wrong), None, "{wrong}");
    }
    // Midnight in Japan is 15:00 the day before in UTC.
    let eve = Utc.with_ymd_and_hms(2026, 10, 31, 15, 0, 0).unwrap();
    assert_eq!(Period::month_of(eve), Some(period));
    assert_eq!(
        ["0.01", "1", "0", "12.000001"],
        [10_000, 1_000_000, 0, 12_000_001].map(micro).each_ref().map(|s| s.as_str())
    );
}

#[test]
fn charges_refusals_and_first_uses_are_counted_in_their_month() {
    let mut log = Log::default();
    log.sign(-20, "m", "2027-03-31");
    log.ask(-5, "m", "SELECT gr FROM results");
    let asked = log.ask(3, "m", "SELECT gr, AVG(math) FROM results GROUP BY gr");
    log.0.last_mut().unwrap();
    log.add(4, LeafKind::Refusal, json!({ "memorandum": "m", "rule": "item", "preview": true }));
    log.add(4, LeafKind::Refusal, json!({ "memorandum": "m", "rule": "item", "preview": false }));
    log.add(35, LeafKind::Refusal, json!({ "memorandum": "m", "rule": "limit" }));
    let review = log.review();
    let memorandum = &review.memoranda[0];
    assert_eq!((memorandum.charged_micro, memorandum.rho.charged_micro), (10_000, 20_000));
    assert_eq!(memorandum.rho.balance_micro(), Some(980_000));
    assert_eq!((memorandum.purposes[0].questions, memorandum.purposes[0].releases), (1, 1));
    assert_eq!((memorandum.asked[0].leaf, memorandum.asked[0].release), (asked, Some(asked + 1)));
    assert_eq!(review.pools["star"].balance_micro(), Some(1_980_000));
    assert_eq!((review.refusals.len(), review.refusals[0].refusals, review.refusals[0].previews), (1, 1, 1));
    let weeks: Vec<u64> = review.weeks.iter().map(|week| week.charged_micro.values().sum()).collect();
    assert_eq!(weeks, [0, 10_000, 0, 0, 0, 0], "the weeks from Monday, 26 October");
    assert!(review.first_uses.is_empty(), "both items were used in October");
}

#[test]
fn patterns_have_their_questions_and_ordinary_use_has_none() {
    let mut log = Log::default();
    log.sign(-20, "m", "2027-03-31");
    for grade in ["K", "1", "2", "3"] {
        log.ask(3, "m", &format!("SELECT COUNT(*) FROM results WHERE gr = '{grade}'"));
    }
    log.ask(3, "m", "SELECT COUNT(*) FROM results WHERE gr = 'K' AND sx = 'F'");
    assert!(log.review().patterns.is_empty(), "{:?}", log.review().patterns);
    let fifth = log.ask(5, "m", "select count(*) from results where gr = 'X'");
    let third = log.ask(6, "m", "SELECT COUNT(*) FROM results WHERE sx = 'F' AND gr = 'K' AND eth = 'A'");
    let patterns = log.review().patterns;
    assert_eq!(patterns.len(), 2, "{patterns:?}");
    assert_eq!((patterns[0].kind, patterns[0].leaves.len()), (PatternKind::NearIdentical, 5));
    assert_eq!(patterns[0].leaves.last(), Some(&fifth));
    assert_eq!((patterns[1].kind, patterns[1].leaves.len()), (PatternKind::Narrowing, 3));
    assert_eq!(patterns[1].leaves.last(), Some(&third));
}

#[test]
fn a_burst_is_of_the_last_days() {
    let burst = |until: &str| {
        let mut log = Log::default();
        log.sign(-20, "m", until);
        for (day, column) in [(20, "gr"), (21, "sx"), (22, "eth"), (23, "ses"), (24, "math")] {
            log.ask(day, "m", &format!("SELECT {column}, COUNT(*) FROM results GROUP BY {column}"));
        }
        log.review().patterns.iter().any(|pattern| pattern.kind == PatternKind::Burst)
    };
    assert!(burst("2026-11-30"));
    assert!(!burst("2027-03-31"));
}

#[test]
fn what_departs_from_the_guidelines_calls_for_somebody() {
    let mut log = Log::default();
    log.add(2, LeafKind::Keys, json!({ "act": "rotate", "keys": ["data"] }));
    let destroyed =
        log.add(2, LeafKind::Keys, json!({ "act": "destroy", "contract": "star", "cohort": "2011" }));
    let deleted = log.add(3, LeafKind::Records, json!({ "act": "delete", "contract": "star" }));
    log.add(3, LeafKind::Records, json!({ "act": "find", "contract": "star" }));
    let found: Vec<u64> =
        log.review().deviations.iter().flat_map(|deviation| deviation.leaves.clone()).collect();
    assert_eq!(found, [destroyed, deleted]);
    for _ in 0..3 {
        log.add(4, LeafKind::Refusal, json!({ "rule": "permission", "act": "vote" }));
    }
    assert_eq!(log.review().deviations.len(), 3);
}

#[test]
fn a_case_is_told_with_its_votes_and_its_outcome() {
    let mut log = Log::default();
    log.sign(-20, "m", "2027-03-31");
    let facts = json!({ "subject": "question", "memorandum": "m", "person": "r1", "votes": 1, "days": 14,
        "digest": "sha256:00", "principles": ["no-ranking"] });
    let case = log.add(2, LeafKind::Escalation, facts.clone());
    assert_eq!(log.review().escalations[0].outcome, "lapsed", "nobody voted within 14 days");
    let vote = json!({ "approval": case, "person": "b1", "vote": "reject", "reason": "it ranks schools" });
    log.add(3, LeafKind::Vote, vote);
    let told = &log.review().escalations[0];
    assert_eq!((told.outcome, told.votes[0].reason.as_str()), ("rejected", "it ranks schools"));
    assert_eq!(told.reasons, ["no-ranking"]);
}

#[test]
fn the_page_escapes_what_it_tells_and_loads_nothing() {
    let mut log = Log::default();
    log.sign(-20, "m", "2027-03-31");
    log.ask(3, "m", "SELECT '<script>alert(1)</script>' & \"x\" FROM results");
    log.add(
        5,
        LeafKind::Review,
        json!({ "act": "note", "by": "b1", "month": "2026-11", "text": "<b onload='x'>" }),
    );
    let review = log.review();
    let page = review.html();
    for part in ["<script", "<b onload", "<link", "<img", "url(", "http", "@import", " src="] {
        assert!(!page.contains(part), "{part}");
    }
    for part in
        ["&lt;script&gt;alert(1)", "&lt;b onload", "@page", "lang=\"ja\"", "lang=\"en\"", "<svg", "所見"]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(review.text().contains("SELECT '<script>"), "text is text");
    // What is signed does not depend on what was remarked before.
    let unsigned = Review { remarks: vec![], ..review.clone() };
    assert_eq!(review.digest(), unsigned.digest());
}
