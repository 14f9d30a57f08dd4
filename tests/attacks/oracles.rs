//! A pupil whose values break expressions: whether it is there shows in nothing but noisy numbers. No expression fails.

use gate::{Options, Request};
use tests::club::{self, Visits};
use tests::{Home, Plain, question};

/// Expressions that have no value for the poisoned pupil, or fail on it in an ordinary engine.
const EXPRESSIONS: [&str; 30] = [
    "1 / minutes",
    "1 / (minutes - 490)",
    "1.0 / (minutes - 490)",
    "100 % minutes",
    "100.5 % minutes",
    "big / minutes",
    "big / -1",
    "big % -1",
    "ABS(big)",
    "-big",
    "big * big",
    "big + 9223372036854775807",
    "CAST(word AS BIGINT)",
    "CAST(word AS DOUBLE)",
    "CAST(ratio AS BIGINT)",
    "CAST(CAST(ratio AS VARCHAR) AS BIGINT)",
    "CASE WHEN CAST(word AS BOOLEAN) THEN 1 ELSE 0 END",
    "SQRT(-score)",
    "LN(score)",
    "POWER(big, 3)",
    "EXP(ratio)",
    "ROUND(ratio, 9)",
    "ratio * 1e300",
    "LENGTH(SUBSTR(word, 2, 3))",
    "LENGTH(LEFT(TRIM(word), 1)) + LENGTH(RIGHT(UPPER(word), 1000))",
    "date_part('year', day)",
    "date_part('month', date_trunc('quarter', day))",
    "date_part('week', CAST(word AS DATE))",
    "date_part('day', CAST(CAST(word AS TIMESTAMP) AS DATE))",
    "CASE WHEN word LIKE '%\\' THEN 1 WHEN word ILIKE '_x%' THEN 2 END",
];

struct Poison {
    clean: Home,
    poisoned: Home,
    plain_clean: Plain,
    plain_poisoned: Plain,
}

fn poison() -> Poison {
    let dir = tempfile::tempdir().unwrap();
    let mut visits = Visits::default();
    for pupil in 0..40 {
        let (kind, minutes) = (["a", "b", "c"][pupil % 3], pupil + 1);
        visits.push(pupil, &format!("{kind},hall,{minutes},-4,true,1,3,0.5,2025-01-01"));
    }
    let clean = visits.write(&dir.path().join("clean"));
    for rest in [
        "a,hall,0,4,true,x９,9223372036854775807,1e308,0001-01-01",
        "b,hall,490,100,false,99999999999999999999,-9223372036854775808,-1e308,9999-12-31",
        "c,pool,0,-100,,2025-02-31,0,0,1900-02-28",
        "a,yard,0,0,,\"\u{0301}\u{1f469}\u{200d}\u{1f467}x\\\",-1,1e-308,1969-12-31",
        ",,,,,,,,",
    ] {
        visits.push(99_999, rest);
    }
    let poisoned = visits.write(&dir.path().join("poisoned"));
    let contract = club::contract(4e12);
    let (clean_home, poisoned_home) = (Home::open(&contract, &clean), Home::open(&contract, &poisoned));
    Poison {
        plain_clean: Plain::new(&clean_home.contract, &clean),
        plain_poisoned: Plain::new(&clean_home.contract, &poisoned),
        clean: clean_home,
        poisoned: poisoned_home,
    }
}

#[test]
fn no_expression_tells_that_a_pupil_is_there() {
    let poison = poison();
    let mut wrong = Vec::new();
    for expression in EXPRESSIONS {
        let bounded = format!("GREATEST(LEAST({expression}, 100), -100)");
        for sql in [
            format!("SELECT kind, AVG({bounded}) AS a, SUM({bounded}) AS s FROM visits GROUP BY kind"),
            format!("SELECT COUNT({expression}) AS n FROM visits"),
            format!("SELECT kind, COUNT(*) AS n FROM visits WHERE {expression} > 0 GROUP BY kind"),
            format!(
                "SELECT place, COUNT(*) FILTER (WHERE {expression} IS NULL) AS n FROM visits GROUP BY place"
            ),
            format!(
                "SELECT p.area, COUNT(*) AS n FROM visits v LEFT JOIN places p ON v.place = p.place AND {expression} > 0 GROUP BY p.area"
            ),
        ] {
            let options = Options { rows_per_unit: Some(15), groups_per_unit: None };
            let ask = |home: &Home| home.ask(&Request { options, ..question(&sql) });
            match (ask(&poison.clean), ask(&poison.poisoned)) {
                (Ok(a), Ok(b)) => {
                    let keys = |answered: &gate::Answered| {
                        let first =
                            answered.rows.iter().map(|row| format!("{:?}", row[0])).collect::<Vec<_>>();
                        if answered.columns[0].role == "key" { first } else { vec![] }
                    };
                    let same = (a.charged, &a.columns, keys(&a), a.rows.len())
                        == (b.charged, &b.columns, keys(&b), b.rows.len());
                    if !same {
                        wrong.push(format!("{sql}: price, columns or keys differ"));
                    }
                }
                (a, b) => wrong.push(format!("{sql}: {:?} {:?}", a.err(), b.err())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn keys_made_of_such_expressions_do_not_fail() {
    let poison = poison();
    let mut wrong = Vec::new();
    for expression in EXPRESSIONS {
        let sql =
            format!("SELECT {expression} > 0 AS k, COUNT(*) AS n FROM visits GROUP BY {expression} > 0");
        let options = Options { rows_per_unit: Some(5), groups_per_unit: None };
        for home in [&poison.clean, &poison.poisoned] {
            wrong.extend(
                home.ask(&Request { options, ..question(&sql) }).err().map(|error| format!("{sql}: {error}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_ordinary_engine_tells() {
    let poison = poison();
    let fails = |plain: &Plain, expression: &str| {
        plain
            .ask(&format!("SELECT COUNT({expression}), SUM(CAST({expression} AS DOUBLE)) FROM visits"))
            .is_err()
    };
    let told: Vec<&str> = EXPRESSIONS
        .into_iter()
        .filter(|expression| {
            !fails(&poison.plain_clean, expression) && fails(&poison.plain_poisoned, expression)
        })
        .collect();
    for expression in ["1 / minutes", "100 % minutes", "CAST(word AS BIGINT)"] {
        assert!(told.contains(&expression), "{told:?}");
    }
}
