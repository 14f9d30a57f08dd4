//! What questions cost, who may ask them, and what of them is in the log.

use disclosure_rules::Exhausted;
use gate::{Failure, Options, Price, Request, Rule};
use tests::club::{self, Visits};
use tests::{Home, Paper, priced, rho};

const QUESTION: &str = "SELECT kind, COUNT(*) AS n, AVG(minutes) AS m FROM visits GROUP BY kind";

/// 300 pupils with a visit each, and nothing signed.
fn home(pool: f64) -> Home {
    let dir = tempfile::tempdir().unwrap();
    let mut visits = Visits::default();
    for pupil in 0..300 {
        visits.push(
            pupil,
            &format!("{},hall,{pupil},0,true,word,1,0.5,2025-01-01", ["a", "b", "c"][pupil % 3]),
        );
    }
    Home::bare(&club::contract(pool), &visits.write(dir.path()))
}

fn paper(home: &Home, id: &str, rho: f64) -> Paper {
    Paper { rules: "standard", rho, ..Paper::all(id, &home.contract) }
}

fn ask(memorandum: &str, price: f64) -> Request {
    let options = Options { rows_per_unit: Some(1), groups_per_unit: None };
    Request { memorandum: memorandum.to_owned(), options, ..priced(QUESTION, price) }
}

fn exhausted(home: &Home, request: &Request) -> bool {
    match home.ask(request) {
        Err(Failure::Exhausted(Exhausted::Rho { .. })) => true,
        Ok(_) => false,
        Err(other) => panic!("{other}"),
    }
}

fn rule(home: &Home, request: &Request) -> Rule {
    match home.ask(request) {
        Err(Failure::Refused(refusal)) => refusal.rule,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_spent_allotment_answers_nothing_more() {
    let home = home(4e12);
    home.sign(&paper(&home, "m", 0.05));
    assert_eq!(home.ask(&ask("m", 0.02)).unwrap().balance.rho, rho(0.03));
    assert_eq!(home.ask(&ask("m", 0.02)).unwrap().balance.rho, rho(0.01));
    let before = home.log_size();
    assert!(exhausted(&home, &ask("m", 0.02)));
    assert_eq!(home.charged("m"), rho(0.04));
    let leaves = home.leaves(before);
    assert!(
        leaves.len() == 1 && leaves[0].0 == "refusal" && leaves[0].1.contains("balance-exhausted"),
        "{leaves:?}"
    );
    assert_eq!(home.ask(&ask("m", 0.01)).unwrap().balance.rho, rho(0.0));
    assert!(exhausted(&home, &ask("m", 0.000001)));
}

#[test]
fn memoranda_share_one_pool() {
    let home = home(0.05);
    home.sign(&paper(&home, "one", 0.04));
    home.sign(&paper(&home, "two", 0.04));
    assert!(!exhausted(&home, &ask("one", 0.04)));
    assert!(exhausted(&home, &ask("two", 0.02)), "0.01 is left of the pool");
    assert!(!exhausted(&home, &ask("two", 0.01)));
    assert!(exhausted(&home, &ask("two", 0.000001)), "the pool is spent, the allotment is not");
    assert_eq!((home.charged("one"), home.charged("two")), (rho(0.04), rho(0.01)));
    let pool = home.enclave.ledger().pool("club").unwrap().unwrap();
    assert_eq!(pool.charged, rho(0.05));
}

#[test]
fn the_same_question_again_costs_nothing() {
    let home = home(4e12);
    home.sign(&paper(&home, "m", 1.0));
    home.sign(&paper(&home, "other", 1.0));
    let again = Request { fresh: false, ..ask("m", 0.02) };
    let first = home.ask(&again).unwrap();
    assert!(!first.replayed);
    let spelled =
        "select  KIND, count(*) as n,\n avg( v.minutes ) as m from visits as v group by v.kind -- again";
    for sql in [QUESTION, spelled] {
        let told = home.ask(&Request { sql: sql.to_owned(), ..again.clone() }).unwrap();
        assert!(told.replayed, "{sql}");
        assert_eq!((&told.columns, &told.rows, &told.release), (&first.columns, &first.rows, &first.release));
        assert_eq!((told.charged.rho, told.balance), (rho(0.0), first.balance));
        assert_eq!(told.log, first.log, "the place of the release");
    }
    assert_eq!(home.leaves(0).iter().filter(|(kind, _)| kind == "replay").count(), 2);
    for (what, request) in [
        ("another price", Request { price: Price::Rho(rho(0.03)), ..again.clone() }),
        ("another memorandum", Request { memorandum: "other".to_owned(), ..again.clone() }),
        (
            "another bound",
            Request { options: Options { rows_per_unit: Some(2), groups_per_unit: None }, ..again.clone() },
        ),
        ("another question", Request { sql: QUESTION.replace("AVG", "SUM"), ..again.clone() }),
    ] {
        let told = home.ask(&request).unwrap();
        assert!(!told.replayed && told.charged.rho > rho(0.0), "{what}");
    }
    let before = home.charged("m");
    let fresh = home.ask(&Request { fresh: true, ..again.clone() }).unwrap();
    assert!(!fresh.replayed && fresh.rows != first.rows, "drawn anew");
    assert_eq!(home.charged("m"), before.plus(rho(0.02)));
}

#[test]
fn new_records_are_asked_anew() {
    let home = home(4e12);
    home.sign(&paper(&home, "m", 1.0));
    let request = Request { fresh: false, ..ask("m", 0.02) };
    let first = home.ask(&request).unwrap();
    let mut visits = Visits::default();
    (0..600).for_each(|pupil| visits.push(pupil, "a,hall,5,0,true,word,1,0.5,2025-01-01"));
    home.ingest(&visits.write(home.dir()));
    let second = home.ask(&request).unwrap();
    assert!(!second.replayed && second.rows != first.rows);
    assert_eq!(home.charged("m"), rho(0.04));
    assert!(home.ask(&request).unwrap().replayed);
}

#[test]
fn a_preview_costs_nothing_and_tells_the_price() {
    let home = home(4e12);
    home.sign(&paper(&home, "m", 0.02));
    let size = home.log_size();
    for price in [Price::Rho(rho(0.02)), Price::Default, Price::Within(60.0)] {
        let request = Request { price, preview: true, ..ask("m", 0.02) };
        let preview = home.ask(&request).unwrap();
        assert!(
            preview.preview && preview.rows.is_empty() && preview.release.is_none() && preview.log.is_none()
        );
        assert!(preview.columns[1..].iter().all(|column| column.half_width.is_some_and(|width| width > 0.0)));
        assert_eq!((home.log_size(), home.charged("m")), (size, rho(0.0)));
    }
    let preview = home.ask(&Request { preview: true, ..ask("m", 0.02) }).unwrap();
    let asked = home.ask(&ask("m", 0.02)).unwrap();
    assert_eq!((preview.charged, &preview.question), (asked.charged, &asked.question));
    let scales =
        |columns: &[gate::answered::Column]| columns.iter().map(|column| column.scale).collect::<Vec<_>>();
    assert_eq!(scales(&preview.columns), scales(&asked.columns));
    // What could not be paid for can still be previewed.
    assert!(exhausted(&home, &ask("m", 0.02)));
    assert!(home.ask(&Request { preview: true, ..ask("m", 0.02) }).is_ok());
}

#[test]
fn prices_have_limits() {
    let home = home(4e12);
    home.sign(&paper(&home, "m", 1.0));
    assert_eq!(rule(&home, &ask("m", 0.100001)), Rule::Limit);
    assert_eq!(rule(&home, &ask("m", 0.0)), Rule::Limit);
    assert_eq!(rule(&home, &Request { price: Price::Within(0.001), ..ask("m", 0.0) }), Rule::Limit);
    assert!(home.ask(&ask("m", 0.1)).is_ok());
    assert_eq!(home.charged("m"), rho(0.1));
}

#[test]
fn only_a_researcher_of_a_memorandum_in_force_asks() {
    let home = home(4e12);
    let people = vec![("r1", "researcher"), ("r2", "researcher"), ("s1", "steward")];
    home.sign(&paper(&home, "m", 1.0));
    home.sign(&Paper { people, ..paper(&home, "two", 1.0) });
    home.sign(&Paper { valid: ("2025-04-01", "2026-05-31"), ..paper(&home, "past", 1.0) });
    home.sign(&Paper { valid: ("2026-06-02", "2027-03-31"), ..paper(&home, "future", 1.0) });
    home.sign(&Paper { valid: ("2026-06-01", "2026-06-01"), ..paper(&home, "today", 1.0) });
    home.sign(&paper(&home, "ended", 1.0));
    home.enclave.end_memorandum("ended").unwrap();
    let asked = |memorandum: &str, person: Option<&str>| Request {
        person: person.map(str::to_owned),
        ..ask(memorandum, 0.02)
    };
    for (memorandum, person) in [
        ("past", None),
        ("future", None),
        ("ended", None),
        ("nowhere", None),
        ("m", Some("r2")),
        ("two", None),
        ("two", Some("s1")),
        ("two", Some("")),
    ] {
        let before = home.log_size();
        assert_eq!(rule(&home, &asked(memorandum, person)), Rule::Memorandum, "{memorandum} {person:?}");
        let leaves = home.leaves(before);
        assert!(leaves.len() == 1 && leaves[0].0 == "refusal", "{leaves:?}");
    }
    for (memorandum, person) in
        [("m", None), ("m", Some("r1")), ("two", Some("r1")), ("two", Some("r2")), ("today", None)]
    {
        assert!(home.ask(&asked(memorandum, person)).is_ok(), "{memorandum} {person:?}");
    }
    let charged = |id: &str| home.charged(id);
    assert_eq!([charged("past"), charged("future"), charged("ended")], [rho(0.0); 3]);
}

#[test]
fn nothing_that_was_typed_into_a_question_is_in_the_log() {
    let home = home(4e12);
    home.sign(&paper(&home, "m", 1.0));
    let planted = ["Yamada", "山田", "P00042", "100017", "090-1234"];
    let refused = [
        "SELECT * FROM visits WHERE pupil = 'P00042'",
        "SELECT COUNT(*) FROM visits WHERE pupil = '100017' -- 山田",
        "SELECT COUNT(*) FROM visits WHERE Yamada = 1",
        "SELECT \"山田\" FROM visits",
        "SELECT COUNT(*) FROM Yamada",
        "SELECT COUNT(*) FROM \"090-1234\"",
        "SELECT Yamada(minutes) FROM visits",
        "SELECT COUNT(*) FROM visits WHERE minutes = 100017 AND pupil = 'Yamada' /* Yamada */",
        "SELECT COUNT(*) FROM visits; SELECT 'Yamada'",
        "SELECT COUNT(*) FROM visits WHERE word = 'Yamada",
        "INSERT INTO visits VALUES ('P00042', '山田', '090-1234')",
        "COPY visits TO '/tmp/Yamada'",
        "SET Yamada = '山田'",
        "EXPLAIN SELECT COUNT(*) FROM visits WHERE word = '山田'",
        "Yamada 100017",
        "SELECT ARRAY_AGG(minutes) AS Yamada FROM visits WHERE word = '090-1234'",
    ];
    let asked = |memorandum: &str, sql: &str| {
        let request = Request { sql: sql.to_owned(), ..ask(memorandum, 0.01) };
        home.ask(&request)
    };
    let before = home.log_size();
    for sql in refused {
        assert!(matches!(asked("m", sql), Err(Failure::Refused(_))), "{sql}");
        assert!(matches!(asked("Yamada", sql), Err(Failure::Refused(_))), "{sql}");
    }
    assert_eq!(home.log_size(), before + 2 * refused.len() as u64, "every attempt is in the log");
    // Also where the question is answered.
    for sql in [
        "SELECT COUNT(*) AS n FROM visits WHERE word = 'Yamada' OR word LIKE '%山田%'",
        "SELECT kind, COUNT(*) AS n FROM visits WHERE word IN ('P00042', '090-1234') GROUP BY kind -- Yamada",
    ] {
        assert!(asked("m", sql).is_ok(), "{sql}");
    }
    for (kind, body) in home.leaves(0) {
        for literal in planted {
            assert!(!body.contains(literal), "`{literal}` is in a leaf of kind {kind}: {body}");
        }
    }
    let logged = home.leaves(before).into_iter().map(|(_, body)| body).collect::<Vec<_>>();
    assert!(logged[0].contains("SELECT * FROM visits WHERE pupil = ?"), "{}", logged[0]);
}
