//! Post-processing of releases made by hand: what the SQL says is done to noisy values, their intervals and hidden
//! cells, and to nothing else.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fmt::Write;

use disclosure_rules::release::{Cell, Hidden, ReleasedGroup};
use disclosure_rules::{PlanDigest, Release, Rho, Value};
use queries::answer::Datum;
use support::Setting;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn shown(value: f64, width: f64) -> Cell {
    Cell::Shown { value, low: value - width, high: value + width }
}

const SMALL: Cell = Cell::Hidden { hidden: Hidden::SmallCell };

fn release(groups: Groups) -> Release {
    Release {
        plan: PlanDigest([0; 32]),
        rho: Rho::ZERO,
        groups: groups.into_iter().map(|(keys, cells)| ReleasedGroup { grouping: 0, keys, cells }).collect(),
        bounds: vec![],
    }
}

fn written(datum: &Datum) -> String {
    let number = |v: f64| format!("{}", (v * 1e3).round() / 1e3);
    match datum {
        Datum::Key(Value::Null) => "NULL".to_owned(),
        Datum::Key(value) => value.to_string(),
        Datum::Plain(value) => number(*value),
        Datum::Noisy { value, low, high } => {
            format!("{} [{}, {}]", number(*value), number(*low), number(*high))
        }
        Datum::Hidden(_) => "hidden".to_owned(),
    }
}

type Groups = Vec<(Vec<Value>, Vec<Cell>)>;

fn rows(sql: &str, groups: Groups) -> Vec<String> {
    rows_of(sql, vec![groups])
}

/// The answer, from the groups of every stage.
fn rows_of(sql: &str, stages: Vec<Groups>) -> Vec<String> {
    let plan = Setting::star().ask(sql).unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
    assert_eq!(plan.stages().len(), stages.len(), "{sql}");
    let releases: Vec<Release> = stages.into_iter().map(release).collect();
    let answer = plan.answer(&releases);
    let row = |row: &Vec<Datum>| row.iter().map(written).collect::<Vec<_>>().join(" | ");
    assert!(answer.rows.iter().all(|row| row.len() == answer.columns.len()), "{sql}");
    answer.rows.iter().map(row).collect()
}

/// Grades with a count of 100 ± 10, 200 ± 10, hidden, 50 ± 10.
fn grades() -> Groups {
    vec![
        (vec![text("1")], vec![shown(100.0, 10.0)]),
        (vec![text("2")], vec![shown(200.0, 10.0)]),
        (vec![text("3")], vec![SMALL]),
        (vec![text("K")], vec![shown(50.0, 10.0)]),
    ]
}

#[test]
fn of_keys_and_one_measure() {
    let mut table = String::new();
    for sql in [
        "SELECT gr, COUNT(*) FROM results GROUP BY gr",
        "SELECT COUNT(*) AS n, gr FROM results GROUP BY gr ORDER BY n DESC",
        "SELECT gr, COUNT(*) AS n FROM results GROUP BY gr ORDER BY n NULLS FIRST, gr",
        "SELECT gr, COUNT(*) FROM results GROUP BY gr ORDER BY gr DESC LIMIT 2 OFFSET 1",
        "SELECT gr, COUNT(*) FROM results GROUP BY gr LIMIT 0",
        "SELECT gr, COUNT(*) AS n FROM results GROUP BY gr HAVING COUNT(*) > 60",
        "SELECT gr, COUNT(*) AS n FROM results GROUP BY gr HAVING NOT COUNT(*) > 60",
        "SELECT gr, COUNT(*) AS n FROM results GROUP BY gr HAVING COUNT(*) IS NULL",
        "SELECT gr, COUNT(*) AS n FROM results GROUP BY gr HAVING gr <> 'K' AND COUNT(*) BETWEEN 1 AND 150",
        "SELECT gr, COUNT(*) AS n FROM results GROUP BY gr HAVING gr LIKE '%' AND COUNT(*) IN (100, 50)",
        "SELECT gr FROM results GROUP BY gr ORDER BY COUNT(*)",
        "SELECT LOWER(gr), gr || '!', LENGTH(gr) + 1, COUNT(*) FROM results GROUP BY gr",
        "SELECT gr = 'K' AS first, COUNT(*) FROM results GROUP BY gr ORDER BY first DESC, gr",
        "SELECT gr, LENGTH(gr) * 1.5 AS h, COUNT(*) FROM results GROUP BY gr ORDER BY -h, gr DESC",
        "SELECT gr, LENGTH(gr) * 1.5 AS h, COUNT(*) FROM results GROUP BY gr ORDER BY h + CAST(gr AS BIGINT)",
        "SELECT gr, COUNT(*) + 1, COUNT(*) - 300, -COUNT(*), COUNT(*) * 2, COUNT(*) / 3, COUNT(*) / 3.0 FROM results GROUP BY gr",
        "SELECT gr, COUNT(*) / 0, COUNT(*) / (COUNT(*) - 55), COUNT(*) % 7 FROM results GROUP BY gr",
        "SELECT gr, COUNT(*) * CAST(gr AS BIGINT) AS weighted FROM results GROUP BY gr",
        "SELECT gr, CASE WHEN gr LIKE 'K%' THEN COUNT(*) ELSE 0 END AS k FROM results GROUP BY gr",
        "SELECT gr, CASE WHEN COUNT(*) > 95 THEN 1 ELSE 0 END AS large FROM results GROUP BY gr",
        "SELECT gr, CASE gr WHEN 'K' THEN COUNT(*) END FROM results GROUP BY gr",
        "SELECT gr, COALESCE(COUNT(*), 0), NULLIF(COUNT(*), 50) FROM results GROUP BY gr",
        "SELECT gr, ROUND(COUNT(*) / 3.0, 1), ROUND(COUNT(*), -2), FLOOR(COUNT(*) / 3.0), CEIL(COUNT(*) / 3.0) FROM results GROUP BY gr",
        "SELECT gr, ABS(COUNT(*) - 105), SQRT(COUNT(*) - 45), LN(COUNT(*) - 150) FROM results GROUP BY gr",
        "SELECT gr, GREATEST(COUNT(*), 95), LEAST(COUNT(*), 95) FROM results GROUP BY gr",
        "SELECT gr, COUNT(*) > 60 AS large FROM results GROUP BY gr",
        "SELECT gr, CAST(COUNT(*) AS DOUBLE), CAST(COUNT(*) / 3.0 AS BIGINT) FROM results GROUP BY gr",
    ] {
        writeln!(table, "{sql}\n  {}\n", rows(sql, grades()).join("\n  ")).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn of_two_measures() {
    let groups = vec![
        (vec![text("reg")], vec![shown(1000.0, 20.0), shown(10.0, 5.0)]),
        (vec![text("reg+A")], vec![shown(-5.0, 20.0), shown(2.0, 5.0)]),
        (vec![text("small")], vec![shown(3.0, 1.0), SMALL]),
    ];
    let mut table = String::new();
    for sql in [
        "SELECT cltype, SUM(math), COUNT(read) FROM results GROUP BY cltype",
        // Two noisy numbers: each interval is taken wider, so that both hold at once.
        "SELECT cltype, SUM(math) - COUNT(read) FROM results GROUP BY cltype",
        "SELECT cltype, SUM(math) / COUNT(read) FROM results GROUP BY cltype",
        "SELECT cltype, SUM(math) * COUNT(read) FROM results GROUP BY cltype",
        "SELECT cltype, CASE WHEN SUM(math) > 0 THEN COUNT(read) ELSE -1 END FROM results GROUP BY cltype",
        "SELECT cltype FROM results GROUP BY cltype HAVING SUM(math) > COUNT(read)",
        "SELECT cltype FROM results GROUP BY cltype HAVING SUM(math) > 0 OR COUNT(read) > 0 ORDER BY COUNT(read)",
    ] {
        writeln!(table, "{sql}\n  {}\n", rows(sql, groups.clone()).join("\n  ")).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn of_no_groups_and_of_many() {
    assert_eq!(
        rows("SELECT gr, COUNT(*) * 2 FROM results GROUP BY gr HAVING gr > 'A' ORDER BY 1", vec![]),
        [""; 0]
    );
    // Keys are computed once per column, not once per row.
    let many = (0..20_000).map(|i| (vec![Value::Int(i)], vec![shown(100.0, 1.0)])).collect();
    let found =
        rows("SELECT sch, CASE WHEN sch % 2 = 0 THEN COUNT(*) END AS n FROM results GROUP BY sch", many);
    assert_eq!(found[..2], ["0 | 100 [99, 101]", "1 | NULL"]);
}

/// The grades whose count is shown.
fn shown_grades() -> Groups {
    grades().into_iter().filter(|(_, cells)| cells[0] != SMALL).collect()
}

#[test]
fn of_windows() {
    let mut table = String::new();
    for sql in [
        "SELECT gr, COUNT(*), RANK() OVER (ORDER BY COUNT(*) DESC) AS place FROM results GROUP BY gr",
        "SELECT gr, COUNT(*), ROW_NUMBER() OVER (ORDER BY gr DESC) AS r FROM results GROUP BY gr",
        "SELECT gr, NTILE(2) OVER (ORDER BY COUNT(*)) AS half FROM results GROUP BY gr",
        "SELECT gr, COUNT(*) * 1.0 / SUM(COUNT(*)) OVER () AS share FROM results GROUP BY gr ORDER BY share DESC",
        "SELECT gr, COUNT(*) - LAG(COUNT(*)) OVER (ORDER BY gr) AS more FROM results GROUP BY gr",
        "SELECT gr, SUM(COUNT(*)) OVER (ORDER BY gr) AS so_far FROM results GROUP BY gr",
        "SELECT gr, AVG(COUNT(*)) OVER (ORDER BY gr ROWS 1 PRECEDING) AS a FROM results GROUP BY gr",
        "SELECT gr FROM (SELECT gr, RANK() OVER (ORDER BY COUNT(*) DESC) AS r FROM results GROUP BY gr) AS t WHERE r <= 1",
    ] {
        let found = [rows(sql, shown_grades()), rows(sql, grades())];
        writeln!(
            table,
            "{sql}\n  {}\n  with a hidden cell:\n  {}\n",
            found[0].join("\n  "),
            found[1].join("\n  ")
        )
        .unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn of_released_tables() {
    let mut table = String::new();
    for sql in [
        "SELECT COUNT(*) AS grades, SUM(n) AS pupils, MAX(n) AS most FROM (SELECT gr, COUNT(*) AS n FROM results GROUP BY gr) AS t",
        "SELECT COUNT(*) AS grades, SUM(n) AS pupils FROM (SELECT gr, COUNT(*) AS n FROM results GROUP BY gr HAVING COUNT(*) > 95) AS t",
        "SELECT COUNT(*) FILTER (WHERE n > 95) AS large FROM (SELECT gr, COUNT(*) AS n FROM results GROUP BY gr) AS t",
        "WITH g AS (SELECT gr, COUNT(*) AS n FROM results GROUP BY gr) SELECT a.gr, a.n - b.n AS d FROM g AS a JOIN g AS b ON a.gr = b.gr",
        "WITH g AS (SELECT gr, COUNT(*) AS n FROM results GROUP BY gr) SELECT gr FROM g WHERE n > 60 UNION SELECT gr FROM g WHERE gr = 'K'",
        "WITH g AS (SELECT gr, COUNT(*) AS n FROM results GROUP BY gr) SELECT gr FROM g EXCEPT SELECT gr FROM g WHERE n > 60",
    ] {
        writeln!(table, "{sql}\n  {}\n", rows(sql, grades()).join("\n  ")).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn of_a_scalar_subquery() {
    let sql = "SELECT gr, COUNT(*) * 1.0 / (SELECT COUNT(*) FROM results) AS share FROM results GROUP BY gr";
    let total = vec![(vec![], vec![shown(350.0, 10.0)])];
    let plan = Setting::star().ask(sql).unwrap();
    let total_first = plan.stages()[0].keys().is_empty();
    let stages = if total_first { vec![total, grades()] } else { vec![grades(), total] };
    assert_eq!(rows_of(sql, stages)[0], "1 | 0.286 [0.245, 0.329]");
}
