//! What is emitted is total: a value or NULL for every row that there can be, through DataFusion's whole optimiser.
//! And every key that the rows have is among the public keys.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use datafusion::common::ScalarValue;
use support::Setting;
use support::rows::{CONTRACT, Rows, memorandum, setting};

const EXPRESSIONS: &[&str] = &[
    "-i",
    "ABS(i)",
    "ABS(-i)",
    "i + i",
    "i - 1",
    "i * i",
    "i * -1",
    "i / 0",
    "i % 0",
    "i / i",
    "i % i",
    "i / -1",
    "i % -1",
    "(i + 1) / (i - 1)",
    "0 - i",
    "i / NULL",
    "NULL / i",
    "i / 2.5",
    "i % 0.5",
    "-f",
    "ABS(f)",
    "f + f",
    "f * f",
    "f / 0",
    "f / f",
    "f % f",
    "f % 0",
    "1 / (f - 7)",
    "f / i",
    "i / f",
    "SQRT(f)",
    "SQRT(i)",
    "LN(f)",
    "LN(i)",
    "EXP(f)",
    "EXP(i)",
    "POWER(f, f)",
    "POWER(i, i)",
    "POWER(10, i)",
    "FLOOR(f)",
    "CEIL(i)",
    "ROUND(f)",
    "ROUND(f, 9)",
    "ROUND(f, -9)",
    "ROUND(i, 2)",
    "SIGNUM(i)",
    "CAST(f AS BIGINT)",
    "CAST(f AS INT)",
    "CAST(1e300 AS BIGINT)",
    "CAST(i AS DOUBLE)",
    "CAST(i AS BOOLEAN)",
    "CAST(t AS BIGINT)",
    "CAST(t AS INT)",
    "CAST(t AS DOUBLE)",
    "CAST(t AS BOOLEAN)",
    "CAST(t AS DATE)",
    "CAST(t AS TIMESTAMP)",
    "CAST('abc' AS BIGINT)",
    "CAST('9999-99-99' AS DATE)",
    "CAST('x' AS TIMESTAMP)",
    "TRY_CAST(t AS BIGINT)",
    "t::BIGINT + 1",
    "CAST(i AS VARCHAR)",
    "CAST(f AS VARCHAR)",
    "CAST(d AS VARCHAR)",
    "CAST(b AS BIGINT)",
    "CAST(d AS TIMESTAMP)",
    "CAST(CAST(d AS TIMESTAMP) AS DATE)",
    "CAST(CAST(t AS TIMESTAMP) AS DATE)",
    "date_part('year', d)",
    "date_part('quarter', d)",
    "date_part('month', d)",
    "date_part('week', d)",
    "date_part('day', d)",
    "date_part('doy', d)",
    "date_part('dow', d)",
    "EXTRACT(year FROM CAST(t AS DATE))",
    "EXTRACT(month FROM CAST(t AS TIMESTAMP))",
    "date_part('year', CAST(d AS TIMESTAMP))",
    "date_part('year', t)",
    "date_trunc('year', d)",
    "date_trunc('quarter', d)",
    "date_trunc('month', d)",
    "date_trunc('week', d)",
    "date_trunc('day', d)",
    "date_trunc('month', CAST(t AS DATE))",
    "date_trunc('year', CAST(t AS TIMESTAMP))",
    "date_trunc('month', d) = '2024-02-01'",
    "date_trunc('month', d) < CAST(d AS TIMESTAMP)",
    "COALESCE(date_trunc('month', d), CAST(t AS TIMESTAMP))",
    "d > '2024-01-01'",
    "d > CAST(t AS TIMESTAMP)",
    "d = CAST(t AS DATE)",
    "d BETWEEN '2000-01-01' AND 'x'",
    "d IN ('2024-02-29', '9999-12-31')",
    "SUBSTR(t, 0, 2)",
    "SUBSTR(t, 3)",
    "SUBSTR(t, 1000, 1000)",
    "LEFT(t, 0)",
    "LEFT(t, 2)",
    "RIGHT(t, 1000)",
    "UPPER(t)",
    "LOWER(t)",
    "TRIM(t)",
    "LENGTH(t)",
    "CONCAT(t, i, f)",
    "t || i",
    "STARTS_WITH(t, t)",
    "t LIKE '%\\'",
    "t LIKE '%_'",
    "t ILIKE 'İ%'",
    "t ILIKE '_\\%'",
    "t LIKE ''",
    "t = i",
    "t > f",
    "i IN (1, 2.5, NULL)",
    "f IN (1, 7)",
    "t IN ('7', NULL)",
    "GREATEST(i, f)",
    "LEAST(i, NULL, f)",
    "COALESCE(i, f, 0)",
    "NULLIF(i, f)",
    "NULLIF(t, '')",
    "b AND i > 0 OR NOT b",
    "b IS NOT TRUE",
    "b = (i > 0)",
    "i IS DISTINCT FROM f",
    "CASE t WHEN '7' THEN i ELSE f END",
    "CASE WHEN i > 0 THEN 10 / i WHEN f < 0 THEN LN(f) END",
    "i BETWEEN -1 AND f",
    "1 = 1",
    "NULL",
    "9223372036854775807 + 1",
    "-9223372036854775808 / -1",
    "-9223372036854775808 % -1",
    "-(-9223372036854775808)",
    "ABS(-9223372036854775808)",
    "1 / 0",
    "1.0 / 0.0",
    "1 % 0",
    "9223372036854775807 * 2",
    "SQRT(-1)",
    "LN(0)",
    "POWER(10, 400)",
    "EXP(1000)",
    "-CAST('-9223372036854775808' AS BIGINT)",
    "date_trunc('month', DATE '9999-12-31')",
    "date_part('year', DATE '9999-12-31')",
    "ROUND(1e308, 9)",
    "SUBSTR('abc', 0, 0)",
    "CAST('inf' AS DOUBLE) - CAST('inf' AS DOUBLE)",
];

#[test]
fn every_expression_has_a_value_for_every_row() {
    let (setting, rows) = (setting(), Rows::extremes());
    let run = |sql: &str| {
        let plan = setting.ask(sql).map_err(|refusal| format!("{sql}: {refusal}\n"))?;
        rows.source(&plan).map_err(|error| format!("{sql}: {error}\n"))
    };
    let mut failed = String::new();
    for some in EXPRESSIONS.chunks(10) {
        let counts = |form: &dyn Fn(&str) -> String| {
            some.iter().map(|expression| form(expression)).collect::<Vec<_>>()
        };
        let always = counts(&|e| format!("COUNT({e})"));
        // Where a single row decides whether the expression is evaluated at all.
        let once = counts(&|e| format!("COUNT(CASE WHEN i = 7 THEN {e} END)"));
        let filter = counts(&|e| format!("(({e}) IS NOT NULL OR i = 7)")).join(" AND ");
        for list in [always, once] {
            let named: Vec<_> =
                list.iter().enumerate().map(|(i, count)| format!("{count} AS c{i}")).collect();
            if run(&format!("SELECT {} FROM t", named.join(", "))).is_ok() {
                continue;
            }
            // Which of them?
            failed.extend(list.iter().filter_map(|count| run(&format!("SELECT {count} FROM t")).err()));
        }
        failed.extend(run(&format!("SELECT COUNT(*) FROM t WHERE {filter}")).err());
    }
    assert_eq!(failed, "");
}

#[test]
fn conditions_over_constants_only_are_answered_without_an_error() {
    let (setting, rows) = (setting(), Rows::extremes());
    let every = rows.i.len();
    for (condition, kept) in [
        ("1/0 = 1", 0),
        ("CAST('x' AS BIGINT) = 1", 0),
        ("9223372036854775807 + 1 > 0", 0),
        ("9223372036854775807 + 1 < 0", every),
        ("-9223372036854775808 / -1 < 0", every),
        ("1/0 IS NULL", every),
        ("CAST('2023-02-29' AS DATE) IS NULL", every),
        ("1 = 1", every),
        ("NULL", 0),
    ] {
        let plan = setting.ask(&format!("SELECT COUNT(*) FROM t WHERE {condition}")).unwrap();
        assert_eq!(rows.source(&plan).unwrap().len(), kept, "{condition}");
    }
}

#[test]
fn values_are_what_sql_says() {
    let setting = setting();
    let row = |i: i64, f: f64, t: &str, d: i32| Rows {
        i: vec![Some(i)],
        f: vec![Some(f)],
        t: vec![Some(t.to_owned())],
        d: vec![Some(d)],
        b: vec![None],
        n: vec![None],
        c: vec![None],
        s: vec![None],
    };
    let int = |i: i64| ScalarValue::Int64(Some(i));
    let float = |f: f64| ScalarValue::Float64(Some(f));
    let no_int = ScalarValue::Int64(None);
    let no_float = ScalarValue::Float64(None);
    let day = |days: i32| ScalarValue::Date32(Some(days));
    for (expression, rows, expected) in [
        ("i / 2", row(-7, 0., "", 0), int(-3)),
        ("i % 2", row(-7, 0., "", 0), int(-1)),
        ("i / 0", row(5, 0., "", 0), no_int.clone()),
        ("i % 0", row(5, 0., "", 0), no_int.clone()),
        ("i / -1", row(5, 0., "", 0), int(-5)),
        ("i / -1", row(i64::MIN, 0., "", 0), int(i64::MIN)),
        ("i % -1", row(i64::MIN, 0., "", 0), int(0)),
        ("-i", row(i64::MIN, 0., "", 0), int(i64::MIN)),
        ("ABS(i)", row(-7, 0., "", 0), int(7)),
        ("i + 1", row(i64::MAX, 0., "", 0), int(i64::MIN)),
        ("f / 0", row(0, 1., "", 0), no_float.clone()),
        ("1 / (f - 490)", row(0, 490., "", 0), no_float.clone()),
        ("f / 2", row(0, 5., "", 0), float(2.5)),
        ("SQRT(f)", row(0, -1., "", 0), no_float.clone()),
        ("SQRT(f)", row(0, 9., "", 0), float(3.)),
        ("LN(f)", row(0, 0., "", 0), no_float.clone()),
        ("-f", row(0, 2.5, "", 0), float(-2.5)),
        ("ABS(f)", row(0, -2.5, "", 0), float(2.5)),
        ("ROUND(f, 1)", row(0, 2.449, "", 0), float(2.4)),
        ("CAST(f AS BIGINT)", row(0, 2.9, "", 0), int(2)),
        ("CAST(f AS BIGINT)", row(0, 1e300, "", 0), no_int.clone()),
        ("CAST(f AS BIGINT)", row(0, f64::NAN, "", 0), no_int.clone()),
        ("CAST(t AS BIGINT)", row(0, 0., "12", 0), int(12)),
        ("CAST(t AS BIGINT)", row(0, 0., "12a", 0), no_int.clone()),
        ("CAST(t AS DOUBLE)", row(0, 0., "1.5", 0), float(1.5)),
        ("CASE WHEN f > 1 THEN f ELSE 0 END", row(0, 0.5, "", 0), float(0.)),
        ("COALESCE(NULLIF(i, 0), 9)", row(0, 0., "", 0), int(9)),
        ("date_part('year', d)", row(0, 0., "", 19_782), int(2024)),
        ("date_part('dow', d)", row(0, 0., "", 19_782), int(4)),
        ("LENGTH(t)", row(0, 0., "児童", 0), int(2)),
    ] {
        let sql =
            format!("SELECT AVG(GREATEST(LEAST({expression}, 1e15), -1e15)), COUNT({expression}) FROM t");
        let plan = setting.ask(&sql).unwrap_or_else(|refusal| panic!("{expression}: {refusal}"));
        let cells = rows.source(&plan).unwrap().remove(0);
        assert_eq!(cells[1], expected, "{expression} {:?}", cells);
    }
    for (key, rows, expected) in [
        ("date_trunc('month', d)", row(0, 0., "", 19_782), day(19_754)),
        ("date_trunc('month', d)", row(0, 0., "", 2_932_896), ScalarValue::Date32(None)),
        ("CAST(t AS DATE)", row(0, 0., "2024-02-29", 0), day(19_782)),
        ("CAST(t AS DATE)", row(0, 0., "2023-02-29", 0), ScalarValue::Date32(None)),
        ("UPPER(t)", row(0, 0., "ß", 0), ScalarValue::from("SS")),
        ("SUBSTR(t, 2, 1)", row(0, 0., "abc", 0), ScalarValue::from("b")),
        ("t LIKE 'a%'", row(0, 0., "abc", 0), ScalarValue::from(true)),
        ("i IN (1, 2)", row(3, 0., "", 0), ScalarValue::from(false)),
    ] {
        let plan = setting.ask(&format!("SELECT {key}, COUNT(*) FROM t GROUP BY 1")).unwrap();
        let found = rows.source(&plan).unwrap().remove(0).remove(0);
        let text = |value: &ScalarValue| queries::value(value);
        assert_eq!(text(&found), text(&expected), "{key}");
    }
}

/// Keys of the rows that are not among the public keys: they would be dropped silently.
fn strays(setting: &Setting, sql: &str) -> Vec<Vec<ScalarValue>> {
    let rows = Rows::extremes();
    let plan = setting.ask(sql).unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
    let public = rows
        .public_keys(&plan)
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .unwrap_or_else(|| panic!("unknown keys: {sql}"));
    let keys = plan.stages()[0].keys().len();
    let found = rows.source(&plan).unwrap();
    assert!(!found.is_empty(), "{sql}");
    let as_values = |row: &[ScalarValue]| row.iter().map(|v| queries::value(v).unwrap()).collect::<Vec<_>>();
    let listed: std::collections::BTreeSet<_> = public.iter().map(|row| as_values(row)).collect();
    assert_eq!(listed.len(), public.len(), "a key twice: {sql}");
    found
        .into_iter()
        .map(|row| row[..keys].to_vec())
        .filter(|row| !listed.contains(&as_values(row)))
        .collect()
}

#[test]
fn every_key_of_the_rows_is_a_public_key() {
    let setting = setting();
    for sql in [
        "SELECT n, COUNT(*) FROM t GROUP BY n",
        "SELECT b, c, n, COUNT(*) FROM t GROUP BY b, c, n",
        "SELECT CASE WHEN n > 1 THEN 'high' WHEN c = 'x' THEN c END, COUNT(*) FROM t GROUP BY 1",
        "SELECT COALESCE(c, CAST(n AS VARCHAR), 'none'), COUNT(*) FROM t GROUP BY 1",
        "SELECT n / (n - 1), COUNT(*) FROM t GROUP BY 1",
        "SELECT NULLIF(n, 2), COUNT(*) FROM t GROUP BY 1",
        "SELECT b IS NOT TRUE, COUNT(*) FROM t GROUP BY 1",
        "SELECT b IS DISTINCT FROM true, n IS NULL, n IN (1, NULL), COUNT(*) FROM t GROUP BY 1, 2, 3",
        "SELECT c, COUNT(*) FROM t WHERE c IS NOT NULL GROUP BY c",
        "SELECT c, COUNT(*) FROM t WHERE c = 'x' OR i > 0 GROUP BY c",
        "SELECT c, COUNT(*) FROM t WHERE c IN ('x', 'z') AND n = 1 GROUP BY c",
        "SELECT n, COUNT(*) FROM t WHERE n IN (1, 2.0) GROUP BY n",
        "SELECT s, COUNT(*) FROM t GROUP BY s",
        "SELECT LOWER(s) || c, COUNT(*) FROM t GROUP BY 1",
        "SELECT s, COUNT(*) FROM t WHERE s <> 'A' GROUP BY s",
        "SELECT label, COUNT(*) FROM t JOIN p ON s = code GROUP BY label",
        "SELECT label, COUNT(*) FROM t LEFT JOIN p ON s = code GROUP BY label",
        "SELECT label, COUNT(*) FROM t LEFT JOIN p ON s = code AND size > 1 GROUP BY label",
        "SELECT code, COUNT(*) FROM t LEFT JOIN p ON s = code AND size > 1 GROUP BY code",
        "SELECT code, s, COUNT(*) FROM t LEFT JOIN p ON s = code AND size > 1 GROUP BY code, s",
        "SELECT code, size, COUNT(*) FROM p RIGHT JOIN t ON s = code WHERE n > 0 GROUP BY code, size",
        "SELECT COALESCE(label, s, 'none'), COUNT(*) FROM t LEFT JOIN p ON s = code GROUP BY 1",
        "SELECT size, n, COUNT(*) FROM t, p WHERE s = code AND size >= n GROUP BY size, n",
        "SELECT size, COUNT(*) FROM t JOIN p ON s = code WHERE label IS NULL GROUP BY size",
        "SELECT p.label, q.size, COUNT(*) FROM t JOIN p ON s = p.code LEFT JOIN p AS q ON q.code = p.code AND c = 'x' GROUP BY 1, 2",
    ] {
        assert_eq!(strays(&setting, sql), Vec::<Vec<ScalarValue>>::new(), "{sql}");
    }
}

/// A memorandum that shows no required column of an optional table: its missing row is a key all the same.
#[test]
fn a_table_whose_visible_columns_may_all_be_missing_still_has_a_missing_row() {
    let setting = Setting::new(
        CONTRACT,
        &memorandum("{ table = \"t\", columns = [\"i\", \"n\"] }, { table = \"p\", columns = [\"size\"] }"),
    );
    let options = support::bounds(Some(4), None);
    let sql = "SELECT p.size, COUNT(*) FROM t LEFT JOIN p ON n = p.size AND p.size = 1 GROUP BY p.size";
    let plan = setting.ask_with(sql, &options).unwrap();
    let keys = Rows::extremes().public_keys(&plan).unwrap().unwrap();
    assert!(keys.contains(&vec![ScalarValue::Int64(None)]), "{keys:?}");
}

/// What a thread has by default, in a debug build too: verified, emitted, planned and run.
#[test]
fn the_deepest_questions_fit_on_a_stack() {
    let deepest = |term: &str, op: &str| {
        let sql = |n: usize| format!("SELECT COUNT(*) FROM t WHERE {} > 0", vec![term; n].join(op));
        let most = (1..82).rev().find(|&n| setting().ask(&sql(n)).is_ok()).unwrap();
        sql(most)
    };
    let nested = |open: &str, close: &str| {
        let sql =
            |n: usize| format!("SELECT COUNT(*) FROM t WHERE {}n{} > 0", open.repeat(n), close.repeat(n));
        let most = (1..42).rev().find(|&n| setting().ask(&sql(n)).is_ok()).unwrap();
        sql(most)
    };
    let questions = [
        deepest("n", " + "),
        deepest("n", " / "),
        nested("(", " + 1)"),
        nested("CASE WHEN true THEN ", " END"),
        nested("COALESCE(", ", 1)"),
        nested("NULLIF(", ", 9)"),
        nested("GREATEST(", ", 0)"),
        nested("ABS(", ")"),
        nested("ROUND(", ")"),
        nested("CAST(CAST(", " AS DOUBLE) AS BIGINT)"),
        nested("CAST((", " IS NULL) AS BIGINT)"),
        nested("- ", ""),
    ];
    let work = move || {
        for sql in questions {
            let started = std::time::Instant::now();
            Rows::extremes().source(&setting().ask(&sql).unwrap()).unwrap();
            assert!(started.elapsed() < std::time::Duration::from_secs(20), "{sql}");
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}
