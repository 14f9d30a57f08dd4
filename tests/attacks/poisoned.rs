//! Generated expressions over a pupil whose values break them: whether the pupil is there shows in nothing but noisy
//! numbers.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use gate::{Answered, Options, Request};
use tests::club::{self, Visits};
use tests::{Home, Plain, question};

use crate::generated::{CLUB, Column, condition, number};

/// The trap of Wilson et al. and others: evaluated out of order, the cast fails where the pupil exists.
const GUARDED: [&str; 4] = [
    "WITH guarded AS (SELECT kind, CASE WHEN word = 'x' THEN CAST(word AS BIGINT) ELSE 1 END AS v FROM visits) \
     SELECT kind, COUNT(*) AS n, SUM(GREATEST(LEAST(v, 9), 0)) AS s FROM guarded GROUP BY kind",
    "SELECT COUNT(*) AS n FROM visits WHERE word <> 'x' AND CAST(word AS BIGINT) = 1",
    "SELECT COUNT(*) FILTER (WHERE minutes <> 0 AND 1 / minutes > 0) AS n FROM visits",
    "SELECT kind, COUNT(COALESCE(minutes, CAST(word AS BIGINT), 1 / 0)) AS n FROM visits GROUP BY kind",
];

struct Poison {
    clean: Home,
    poisoned: Home,
    plain: [Plain; 2],
}

fn poison() -> Poison {
    let dir = tempfile::tempdir().unwrap();
    let mut visits = Visits::default();
    for pupil in 0..40 {
        let kind = ["a", "b", "c"][pupil % 3];
        visits.push(pupil, &format!("{kind},hall,{},-4,true,1,3,0.5,2025-01-01", pupil + 1));
    }
    let clean = visits.write(&dir.path().join("clean"));
    for rest in [
        "a,hall,0,0,true,x,9223372036854775807,1e308,0001-01-01",
        "b,hall,0,100,false,99999999999999999999,-9223372036854775808,-1e308,9999-12-31",
        "c,pool,600,-100,,2025-02-31,0,0,1900-02-28",
        "a,yard,0,0,,\"[(*\\\",-1,1e-308,1969-12-31",
        "b,hall,1,0.5,false,1e400,1,5e-324,2024-02-29",
        ",,,,,,,,",
    ] {
        visits.push(99_999, rest);
    }
    let poisoned = visits.write(&dir.path().join("poisoned"));
    let contract = club::contract(4e12);
    let home = Home::open(&contract, &clean);
    Poison {
        plain: [Plain::new(&home.contract, &clean), Plain::new(&home.contract, &poisoned)],
        poisoned: Home::open(&contract, &poisoned),
        clean: home,
    }
}

/// What anyone can see of an answer but its numbers.
fn seen(answered: &Answered) -> String {
    let keys = answered.columns.iter().position(|column| column.role == "key");
    let keys: Vec<_> = answered.rows.iter().map(|row| keys.map(|key| row[key].clone())).collect();
    format!("{:?} {:?} {} {keys:?}", answered.charged, answered.columns, answered.rows.len())
}

impl Poison {
    /// How the two differ; whether the question is accepted.
    fn ask(&self, sql: &str) -> Result<bool, String> {
        let options = Options { rows_per_unit: Some(15), groups_per_unit: None };
        let ask =
            |home: &Home| home.ask(&Request { options, ..question(sql) }).map_err(|error| error.to_string());
        match (ask(&self.clean), ask(&self.poisoned)) {
            (Ok(a), Ok(b)) if seen(&a) == seen(&b) => Ok(true),
            (Ok(a), Ok(b)) => Err(format!("{sql}\n  {}\n  {}", seen(&a), seen(&b))),
            (Err(a), Err(b)) if a == b && !a.contains("could not") => Ok(false),
            (a, b) => Err(format!("{sql}\n  {:?}\n  {:?}", a.err(), b.err())),
        }
    }
}

/// A question for each place where an expression can stand.
fn questions(seed: u64) -> [String; 4] {
    let dice = &mut ChaCha8Rng::seed_from_u64(seed);
    let table = &CLUB.tables[0];
    let column = |&(name, kind): &(&str, _)| Column { name: format!("visits.{name}"), kind };
    let columns: Vec<Column> = table.columns.iter().map(column).collect();
    let value = number(dice, &columns, 3);
    let holds = condition(dice, &columns, 3);
    [
        format!(
            "SELECT kind, COUNT({value}) AS n, SUM(GREATEST(LEAST({value}, 100), -100)) AS s FROM visits GROUP BY kind"
        ),
        format!(
            "SELECT kind, AVG(LEAST(GREATEST({value}, 0), 1)) AS a FROM visits WHERE {holds} GROUP BY kind"
        ),
        format!(
            "SELECT COUNT(*) AS n FROM (SELECT pupil, MAX({value}) AS v FROM visits GROUP BY pupil) AS p WHERE v > 0"
        ),
        format!(
            "SELECT p.area, COUNT(*) FILTER (WHERE {value} IS NULL) AS n FROM visits JOIN places AS p \
             ON visits.place = p.place GROUP BY p.area"
        ),
    ]
}

#[test]
fn no_generated_expression_tells_that_a_pupil_is_there() {
    let poison = poison();
    let (mut accepted, mut asked) = (0, 0);
    let mut wrong = Vec::new();
    for seed in 0..25 {
        for sql in questions(seed) {
            asked += 1;
            match poison.ask(&sql) {
                Ok(answered) => accepted += usize::from(answered),
                Err(fault) => wrong.push(fault),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(accepted * 2 > asked, "only {accepted} of {asked} are accepted");
}

#[test]
fn guards_hold_whatever_is_evaluated_first() {
    let poison = poison();
    for sql in GUARDED {
        assert_eq!(poison.ask(sql), Ok(true));
    }
}

/// Without the enclave some of these questions fail where the pupil is there, and only there.
#[test]
fn an_ordinary_engine_tells_by_failing() {
    let poison = poison();
    let tells = |sql: &str| poison.plain[0].ask(sql).is_ok() && poison.plain[1].ask(sql).is_err();
    let all = (0..25).flat_map(questions).chain(GUARDED.map(str::to_owned));
    let told = all.filter(|sql| tells(sql)).count();
    assert!(told >= 3, "{told} questions tell");
}
