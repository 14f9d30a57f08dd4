//! Every question that is refused, beside its refusal; and that no refusal repeats a constant of the question.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fmt::Write;

use support::Setting;

/// A table of SQL beside what is said to it. Every question must be refused.
fn check(setting: &Setting, questions: &[&str]) -> String {
    let mut table = String::new();
    for sql in questions {
        let said = match setting.ask(sql) {
            Ok(plan) => panic!("accepted: {sql}\n{:?}", plan.stages()),
            Err(refusal) => refusal.to_string(),
        };
        for constant in ["Yamada", "100017"] {
            assert!(!said.contains(constant), "{sql}\n{said}");
        }
        writeln!(table, "{sql}\n  {}\n", said.replace('\n', "\n  ")).unwrap();
    }
    table
}

#[test]
fn rows_of_pupils_are_never_shown() {
    insta::assert_snapshot!(check(
        &Setting::star(),
        &[
            "SELECT * FROM results",
            "SELECT * FROM results WHERE sx = 'Yamada'",
            "SELECT r.* FROM results r LIMIT 1",
            "SELECT math FROM results WHERE math = 100017",
            "SELECT gr, math FROM results ORDER BY math DESC LIMIT 1",
            "SELECT gr, math, COUNT(*) FROM results GROUP BY gr",
            "SELECT math, COUNT(*) FROM results",
            "SELECT COUNT(*) FROM results HAVING math > 100017",
            "SELECT gr FROM results HAVING gr = 'Yamada'",
            "SELECT DISTINCT ON (gr) gr FROM results",
            "SELECT 1",
            "SELECT 'Yamada' FROM results",
            "TABLE results",
            "VALUES (1, 'Yamada')",
            "FROM results",
        ],
    ));
}

#[test]
fn the_pupil_is_counted_and_nothing_else() {
    insta::assert_snapshot!(check(
        &Setting::star(),
        &[
            "SELECT id FROM results",
            "SELECT id, COUNT(*) FROM results GROUP BY id",
            "SELECT COUNT(*) FROM results WHERE id = 100017",
            "SELECT COUNT(DISTINCT id)\nFROM results\nWHERE id = 100017",
            "SELECT COUNT(*) FROM results WHERE id = '100017'",
            "SELECT COUNT(*) FROM results WHERE id IN (100017, 1)",
            "SELECT COUNT(*) FROM results WHERE id BETWEEN 100017 AND 100018",
            "SELECT COUNT(*) FROM results WHERE id LIKE '100017%'",
            "SELECT COUNT(*) FROM results WHERE results.id > 100017",
            "SELECT COUNT(*) FROM results r WHERE r.id = 100017",
            "SELECT COUNT(*) FROM results WHERE LENGTH(id) > 5",
            "SELECT COUNT(*) FROM results WHERE CASE WHEN id = 100017 THEN true ELSE false END",
            "SELECT COUNT(*) FROM results WHERE CASE id WHEN 100017 THEN true ELSE false END",
            "SELECT COUNT(*) FROM results WHERE CAST(id AS BIGINT) % 2 = 0",
            "SELECT gr, COUNT(*) FROM results GROUP BY gr ORDER BY id",
            "SELECT COUNT(*) FROM results GROUP BY LEFT(id, 3)",
            "SELECT SUM(id) FROM results",
            "SELECT SUM(CASE WHEN id = 100017 THEN math END) FROM results",
            "SELECT COUNT(*) FILTER (WHERE id = 100017) FROM results",
            "SELECT COUNT(id || 'Yamada') FROM results",
            "SELECT COUNT(COALESCE(id, 'Yamada')) FROM results",
            "SELECT COUNT(*) FROM results HAVING id = 100017",
        ],
    ));
    insta::assert_snapshot!(
        "the_pupil_in_joins",
        check(
            &Setting::city(),
            &[
                "SELECT COUNT(*) FROM attendance a JOIN schools s ON a.pupil = s.code",
                "SELECT COUNT(*) FROM attendance a JOIN schools s ON a.school = s.code AND a.pupil = 'Yamada'",
                "SELECT COUNT(*) FROM schools s JOIN attendance a ON s.name = a.pupil",
            ],
        )
    );
}

#[test]
fn what_the_memorandum_does_not_list_does_not_exist() {
    insta::assert_snapshot!(check(
        &Setting::star(),
        &[
            "SELECT AVG(marks) FROM results WHERE sx = 'Yamada'",
            "SELECT AVG(birthy) FROM results",
            "SELECT birthq, COUNT(*) FROM results GROUP BY birthq",
            "SELECT COUNT(*) FROM results WHERE tch = 100017",
            "SELECT COUNT(*) FROM results WHERE results.tch = 100017",
            "SELECT COUNT(*) FROM results WHERE other.gr = 'Yamada'",
            "SELECT COUNT(*) FROM results WHERE gr = \"Yamada\"",
            "SELECT COUNT(*) FROM results WHERE \"Yamada\".gr = 'K'",
            "SELECT COUNT(*) FROM results WHERE \"MATH\" > 490",
            "SELECT COUNT(*) FROM results ORDER BY birthy",
            "SELECT COUNT(*) FROM pupils",
            "SELECT COUNT(*) FROM \"Yamada\"",
            "SELECT COUNT(*) FROM 'Yamada'",
            "SELECT COUNT(*) FROM \"Results\"",
            "SELECT COUNT(*) FROM public.results",
            "SELECT COUNT(*) FROM datafusion.public.results",
            "SELECT COUNT(*) FROM information_schema.tables",
            "SELECT COUNT(*) FROM information_schema.columns WHERE table_name = 'Yamada'",
            "SELECT COUNT(*) FROM pg_catalog.pg_tables",
            "SELECT COUNT(*) FROM 'results.parquet'",
            "SELECT COUNT(*) FROM results, secrets",
        ],
    ));
    insta::assert_snapshot!(
        "identifiers",
        check(
            &Setting::city(),
            &[
                "SELECT name FROM pupils",
                "SELECT name, COUNT(*) FROM pupils GROUP BY name",
                "SELECT COUNT(*) FROM pupils WHERE name = 'Yamada'",
                "SELECT COUNT(*) FROM pupils WHERE pupils.kana LIKE 'Yamada%'",
                "SELECT COUNT(DISTINCT guardian_phone) FROM pupils",
                "SELECT COUNT(*) FROM pupils WHERE birth_date = DATE '2012-04-02'",
                "SELECT AVG(level) FROM assessments",
                "SELECT special_needs, COUNT(*) FROM enrolments GROUP BY special_needs",
                "SELECT name_kana, COUNT(*) FROM enrolments e JOIN schools s ON e.school = s.code GROUP BY name_kana",
            ],
        )
    );
}

#[test]
fn a_question_is_one_select() {
    insta::assert_snapshot!(check(
        &Setting::star(),
        &[
            "",
            "   \n\t ",
            "-- Yamada",
            "/* Yamada 100017 */",
            ";",
            "SELECT",
            "SELEKT COUNT(*) FROM results WHERE sx = 'Yamada'",
            "SELECT COUNT(*) FROM results WHERE sx = 'Yamada",
            "SELECT COUNT(*) FROM results WHERE sx = 'Yamada' 100017",
            "SELECT COUNT(*) FROM results WHERE (sx = 'Yamada'",
            "SELECT COUNT(*) FROM results WHERE sx = ' at Line: Yamada, Column: 100017",
            "SELECT COUNT(*) FROM results; SELECT COUNT(*) FROM results",
            "SELECT COUNT(*) FROM results; DROP TABLE results",
            // The parser stops at END, as if it closed a block.
            "SELECT COUNT(*) FROM results END WHERE gr = 'Yamada'",
            "SELECT COUNT(*) FROM results END",
            "INSERT INTO results VALUES (100017)",
            "UPDATE results SET math = 100017 WHERE sx = 'Yamada'",
            "DELETE FROM results WHERE id = 100017",
            "MERGE INTO results USING results AS r ON true WHEN MATCHED THEN DELETE",
            "CREATE TABLE copied AS SELECT * FROM results",
            "CREATE VIEW v AS SELECT COUNT(*) FROM results",
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/tmp/Yamada'",
            "DROP TABLE results",
            "ALTER TABLE results ADD COLUMN x INT",
            "TRUNCATE TABLE results",
            "COPY results TO '/tmp/Yamada.csv'",
            "COPY (SELECT * FROM results) TO '/tmp/Yamada.csv'",
            "SET datafusion.execution.batch_size = 1",
            "SHOW TABLES",
            "SHOW ALL",
            "DESCRIBE results",
            "EXPLAIN SELECT COUNT(*) FROM results",
            "EXPLAIN ANALYZE SELECT COUNT(*) FROM results WHERE id = 100017",
            "PREPARE p AS SELECT COUNT(*) FROM results",
            "EXECUTE p(100017)",
            "USE other",
            "BEGIN",
            "CALL something(100017)",
        ],
    ));
}

#[test]
fn clauses_that_the_tree_cannot_say() {
    insta::assert_snapshot!(check(
        &Setting::star(),
        &[
            "SELECT gr, COUNT(*) FROM results GROUP BY gr WITH ROLLUP",
            "SELECT gr, COUNT(*) FROM results GROUP BY GROUPING SETS ((gr), (gr))",
            "SELECT id, COUNT(*) FROM results GROUP BY ROLLUP (id)",
            "SELECT gr FROM results INTERSECT ALL SELECT gr FROM results",
            "SELECT gr, COUNT(*) FROM results GROUP BY gr UNION BY NAME SELECT gr, COUNT(*) FROM results GROUP BY gr",
            "SELECT COUNT(*) FROM results EXCEPT SELECT math FROM results",
            "SELECT COUNT(*) FROM results EXCEPT SELECT 100017",
            "SELECT gr, COUNT(*) FROM results GROUP BY ALL",
            "SELECT COUNT(*) FROM results FETCH FIRST 1 ROWS ONLY",
            "SELECT COUNT(*) FROM results FOR UPDATE",
            "SELECT COUNT(*) FROM results TABLESAMPLE BERNOULLI (10)",
            "SELECT TOP 1 COUNT(*) FROM results",
            "SELECT COUNT(*) INTO copied FROM results",
            "SELECT COUNT(*) FROM results LIMIT 1 + 1",
            "SELECT COUNT(*) FROM results LIMIT -1",
            "SELECT COUNT(*) FROM results LIMIT NULL",
            "SELECT COUNT(*) FROM results LIMIT 'Yamada'",
            "SELECT gr, COUNT(*) FROM results GROUP BY gr LIMIT 1 BY gr",
            "SELECT COUNT(*) FROM results OFFSET -100017",
            "SELECT COUNT(*) FROM results QUALIFY COUNT(*) > 100017",
            "SELECT gr, COUNT(*) FROM results GROUP BY gr ORDER BY gr WITH FILL",
            "SELECT gr, COUNT(*) FROM results GROUP BY gr ORDER BY gr INTERPOLATE",
            "SELECT COUNT(*) FROM results AS r (a, b)",
            "SELECT COUNT(*) FROM results CLUSTER BY gr",
            "SELECT COUNT(*) FROM results |> WHERE gr = 'Yamada'",
            "SELECT * EXCEPT (id) FROM results",
            "SELECT RANK() OVER (ORDER BY math) FROM results",
            "SELECT gr, COUNT(*) OVER (PARTITION BY gr) FROM results",
            "SELECT COUNT(*) FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY math) AS n FROM results) t WHERE n = 1",
            "SELECT COUNT(*) FROM (SELECT id, SUM(math) OVER (PARTITION BY id ORDER BY gr RANGE 1 PRECEDING) AS s FROM results) t",
            "SELECT AVG(math) OVER w FROM results WINDOW w AS (PARTITION BY gr)",
            "SELECT COUNT(*) FROM results, LATERAL (SELECT 1) t",
            "SELECT COUNT(*) FROM results CROSS JOIN UNNEST([1, 2])",
            "SELECT COUNT(*) FROM generate_series(1, 100017)",
        ],
    ));
}

#[test]
fn queries_inside_queries() {
    insta::assert_snapshot!(check(
        &Setting::star(),
        &[
            "SELECT COUNT(*) FROM (SELECT math FROM results ORDER BY math DESC LIMIT 1) t",
            "SELECT gr FROM (SELECT gr, id FROM results LIMIT 100) t GROUP BY gr",
            "SELECT COUNT(*) FROM results r JOIN (SELECT gr, AVG(math) AS m FROM results GROUP BY gr) g ON r.gr = g.gr",
            "SELECT COUNT(*) FROM results WHERE math > (SELECT AVG(math) FROM results GROUP BY gr)",
            "SELECT COUNT(*) FROM results r WHERE math > (SELECT AVG(math) FROM results s WHERE s.id = r.id)",
            "SELECT COUNT(*) FROM results WHERE id IN (SELECT id FROM results) OR math > 500",
            "SELECT COUNT(*) FROM results WHERE gr NOT IN (SELECT sx FROM results s WHERE s.id = results.id)",
            "WITH RECURSIVE r AS (SELECT 1) SELECT COUNT(*) FROM results",
            "SELECT (SELECT math FROM results WHERE id = 100017), COUNT(*) FROM results",
            "SELECT COUNT(*) FROM results WHERE EXISTS (SELECT 1 FROM results WHERE id = 100017)",
            "SELECT COUNT(*) FROM results WHERE sch IN (SELECT sch FROM results WHERE id = 100017)",
            "SELECT COUNT(*) FROM results WHERE math = ANY (SELECT math FROM results)",
        ],
    ));
}

#[test]
fn functions_and_aggregates_outside_the_list() {
    insta::assert_snapshot!(check(
        &Setting::star(),
        &[
            "SELECT COUNT(*) FROM results WHERE to_timestamp(math) > to_timestamp(100017)",
            "SELECT COUNT(*) FROM results WHERE random() < 0.5",
            "SELECT version()",
            "SELECT COUNT(*), now() FROM results",
            "SELECT COUNT(*) FROM results WHERE arrow_cast(math, 'Int8') = 1",
            "SELECT COUNT(*) FROM results WHERE gr ~ 'Yamada'",
            "SELECT COUNT(*) FROM results WHERE gr SIMILAR TO 'Yamada'",
            "SELECT COUNT(*) FROM results WHERE repeat(gr, 100017) = 'x'",
            "SELECT COUNT(*) FROM results WHERE OVERLAY(gr PLACING 'Yamada' FROM 1) = ''",
            "SELECT COUNT(*) FROM results WHERE \"Yamada\"(gr) = 1",
            "SELECT COUNT(*) FROM results WHERE pg_catalog.upper(gr) = 'K'",
            "SELECT EXTRACT(hour FROM CAST('2024-01-01' AS DATE)), COUNT(*) FROM results",
            "SELECT COUNT(*) FROM results WHERE LEFT(gr, sch) = 'K'",
            "SELECT COUNT(*) FROM results WHERE SUBSTR(gr, 1, -100017) = 'K'",
            "SELECT COUNT(*) FROM results WHERE ROUND(math, 100017) = 1",
            "SELECT PERCENTILE_CONT(1.5) WITHIN GROUP (ORDER BY math) FROM results",
            "SELECT PERCENTILE_CONT(math, read) FROM results",
            "SELECT MEDIAN(gr) FROM results",
            "SELECT BOOL_AND(math > 500) FROM results",
            "SELECT REGR_SXX(math, read) FROM results",
            "SELECT COUNT(*) FROM results WHERE regexp_like(gr, '(Yamada')",
            "SELECT COUNT(*) FROM results WHERE regexp_like(gr, sx)",
            "SELECT width_bucket(math, 800, 250, 10), COUNT(*) FROM results GROUP BY 1",
            "SELECT ARRAY_AGG(math) FROM results",
            "SELECT STRING_AGG(gr, ',') FROM results",
            "SELECT FIRST_VALUE(math) FROM results",
            "SELECT SUM(DISTINCT math) FROM results",
            "SELECT AVG(DISTINCT math) FROM results",
            "SELECT COUNT(gr, sx) FROM results",
            "SELECT SUM(math ORDER BY gr) FROM results",
            "SELECT SUM(math) IGNORE NULLS FROM results",
            "SELECT COUNT(*) WITHIN GROUP (ORDER BY math) FROM results",
            "SELECT SUM(AVG(math)) FROM results",
            "SELECT COUNT(*) FROM results WHERE COUNT(*) > 100017",
            "SELECT COUNT(*), AVG(math) FROM results GROUP BY AVG(math)",
            "SELECT LN(COUNT(*)) || 'Yamada' FROM results",
            "SELECT CAST(COUNT(*) AS VARCHAR) FROM results",
        ],
    ));
}

#[test]
fn expressions_and_types_outside_the_vocabulary() {
    insta::assert_snapshot!(check(
        &Setting::star(),
        &[
            "SELECT math, COUNT(*) FROM results GROUP BY math",
            "SELECT FLOOR(math / 10), COUNT(*) FROM results GROUP BY 1",
            "SELECT COUNT(*) FROM results GROUP BY 'Yamada'",
            "SELECT COUNT(*) FROM results GROUP BY NULL",
            "SELECT COUNT(*) FROM results GROUP BY 5",
            "SELECT AVG(1/(math-490)) FROM results",
            "SELECT SUM(1.0 / exp) FROM results",
            "SELECT AVG(EXP(math) * EXP(math)) FROM results",
            "SELECT SUM(CAST(gr AS BIGINT)) FROM results",
            "SELECT SUM(gr) FROM results",
            "SELECT AVG(gr = 'Yamada') FROM results",
            "SELECT SUM(NULL) FROM results",
            "SELECT COUNT(*) FROM results WHERE gr",
            "SELECT COUNT(*) FROM results WHERE math",
            "SELECT COUNT(*) FROM results WHERE NOT math",
            "SELECT COUNT(*) FROM results WHERE gr + 100017 > 'Yamada' - 1",
            "SELECT COUNT(*) FROM results WHERE $1 = gr",
            "SELECT COUNT(*) FROM results WHERE ? = gr",
            "SELECT COUNT(*) FROM results WHERE @@version = 'Yamada'",
            "SELECT COUNT(*) FROM results WHERE CAST(math AS DECIMAL(10, 2)) = 1",
            "SELECT COUNT(*) FROM results WHERE CAST(gr AS VARCHAR(1)) = 'K'",
            "SELECT COUNT(*) FROM results WHERE CAST(math AS BYTEA) = 'Yamada'",
            "SELECT COUNT(*) FROM results WHERE CAST(math AS DATE) = '2020-01-01'",
            "SELECT COUNT(*) FROM results WHERE CAST(gr AS TIME) IS NULL",
            "SELECT COUNT(*) FROM results WHERE CAST(gr AS INTERVAL) IS NULL",
            "SELECT COUNT(*) FROM results WHERE CAST(gr AS TIMESTAMP WITH TIME ZONE) IS NULL",
            "SELECT COUNT(*) FROM results WHERE DATE '2020-01-01' + INTERVAL '1 day' > DATE '2020-01-01'",
            "SELECT COUNT(*) FROM results WHERE DATE '2020-01-01' - DATE '2019-01-01' > 1",
            "SELECT COUNT(*) FROM results WHERE gr LIKE sx",
            "SELECT COUNT(*) FROM results WHERE gr LIKE 'Yamada!%' ESCAPE '!'",
            "SELECT COUNT(*) FROM results WHERE gr IN (sx, 'Yamada')",
            "SELECT COUNT(*) FROM results WHERE gr IN (UPPER('Yamada'))",
            "SELECT COUNT(*) FROM results WHERE sch & 1 = 1",
            "SELECT COUNT(*) FROM results WHERE sch << 2 = 100017",
            "SELECT COUNT(*) FROM results WHERE [1, 100017][1] = sch",
            "SELECT COUNT(*) FROM results WHERE MAKE_ARRAY(1) = 1",
            "SELECT COUNT(*) FROM results WHERE {'a': 100017}['a'] = sch",
            "SELECT COUNT(*) FROM results WHERE STRUCT(1) = 1",
            "SELECT COUNT(*) FROM results WHERE (sch, yrs) = (1, 100017)",
            "SELECT COUNT(*) FROM results WHERE gr COLLATE \"Yamada\" = 'K'",
            "SELECT COUNT(*) FROM results WHERE 'Yamada' AT TIME ZONE 'UTC' IS NULL",
            "SELECT COUNT(*) FROM results WHERE X'59616d616461' IS NULL",
            "SELECT COUNT(*), COUNT(*) FROM results",
            "SELECT COUNT(*) AS n, SUM(math) AS n FROM results",
        ],
    ));
}

#[test]
fn joins_that_mix_pupils() {
    insta::assert_snapshot!(check(
        &Setting::star(),
        &[
            "SELECT COUNT(*) FROM results a, results b WHERE a.id < b.id",
            "SELECT COUNT(*) FROM results a CROSS JOIN results b",
            "SELECT COUNT(*) FROM results JOIN results ON true",
        ],
    ));
    insta::assert_snapshot!(
        "joins_of_the_city",
        check(
            &Setting::city(),
            &[
                "SELECT COUNT(*) FROM pupils, attendance WHERE sex = 'Yamada'",
                "SELECT COUNT(*) FROM attendance a FULL JOIN schools s ON a.school = s.code",
                "SELECT COUNT(*) FROM schools s LEFT JOIN attendance a ON a.school = s.code",
                "SELECT COUNT(*) FROM attendance a RIGHT JOIN schools s ON a.school = s.code",
                "SELECT COUNT(*) FROM schools",
                "SELECT kind, COUNT(*) FROM schools GROUP BY kind",
            ],
        )
    );
}

#[test]
fn questions_that_are_too_large() {
    let setting = Setting::star();
    let chain = |term: &str, op: &str, n: usize| vec![term; n].join(op);
    let refused = |sql: &str| {
        let refusal = setting.ask(sql).map(|_| ()).expect_err(&sql[..sql.len().min(200)]);
        assert_eq!(refusal.rule.name(), "limit", "{refusal}");
        refusal.rule.name()
    };
    let nested = |open: &str, inner: &str, close: &str, n: usize| {
        format!("SELECT COUNT(*) FROM results WHERE {}{inner}{} > 1", open.repeat(n), close.repeat(n))
    };
    assert_eq!(refused(&nested("(", "sch", ")", 1000)), "limit");
    assert_eq!(refused(&nested("- ", "sch", "", 1000)), "limit");
    // The parser tries CASE as a name where it nests too deep.
    let case = setting.ask(&nested("CASE WHEN true THEN ", "sch", " END", 700)).unwrap_err();
    assert_eq!(case.rule.name(), "syntax");
    let not =
        setting.ask(&format!("SELECT COUNT(*) FROM results WHERE {}", "NOT ".repeat(4000))).unwrap_err();
    assert_eq!(not.rule.name(), "syntax");
    assert_eq!(refused(&format!("SELECT COUNT(*) FROM results -- {}", "x".repeat(20_000))), "limit");
    assert_eq!(
        refused(&format!("SELECT COUNT(*) FROM results WHERE {} > 1", chain("sch", " + ", 2_500))),
        "limit"
    );
    // The parser would read these again and again.
    let started = std::time::Instant::now();
    for (open, close) in
        [("CAST(", " AS BIGINT)"), ("FLOOR(", ")"), ("EXTRACT(year FROM ", ")"), ("ARRAY[", "]")]
    {
        assert_eq!(refused(&nested(open, "sch", close, 30)), "limit");
        assert!(setting.ask(&nested(open, "sch FROM", close, 12)).is_err());
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
    // Forms that are spelled out as several copies of their operands.
    assert_eq!(refused(&nested("abs(", "sch", ")", 30)), "limit");
    assert_eq!(refused(&nested("COALESCE(", "sch", ", 1)", 30)), "limit");
    assert_eq!(
        refused(&format!("SELECT COUNT(*) FROM results WHERE {} > 1", chain("sch", " / ", 70))),
        "limit"
    );
    assert_eq!(
        refused(&format!("SELECT COUNT(*) FROM results WHERE {} > 1", chain("sch", " % ", 70))),
        "limit"
    );
    let mut between = "(sch = 1)".to_owned();
    for _ in 0..25 {
        between = format!("({between} BETWEEN false AND true)");
    }
    assert_eq!(refused(&format!("SELECT COUNT(*) FROM results WHERE {between}")), "limit");
    let mut case = "sch".to_owned();
    for _ in 0..12 {
        case = format!("CASE {case} WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN 3 THEN 3 WHEN 4 THEN 4 END");
    }
    assert_eq!(refused(&format!("SELECT COUNT(*) FROM results WHERE {case} = 1")), "limit");
    assert_eq!(
        refused(&format!("SELECT COUNT(*) FROM results WHERE gr ILIKE '{}'", "_".repeat(5000))),
        "limit"
    );
    // The refused neighbours' neighbours.
    for sql in [
        nested("(", "sch", ")", 20),
        nested("abs(", "sch", ")", 3),
        format!("SELECT COUNT(*) FROM results WHERE {} > 1", chain("sch", " + ", 70)),
        format!("SELECT COUNT(*) FROM results WHERE {}", chain("sch = 1", " OR ", 70)),
        format!("SELECT COUNT(*) FROM results WHERE {} > 1", chain("sch", " / ", 4)),
        format!("SELECT COUNT(*) FROM results WHERE sch IN ({})", chain("1", ", ", 1500)),
    ] {
        assert!(setting.ask(&sql).is_ok(), "{:?}", setting.ask(&sql).map(|_| ()));
    }
}

#[test]
fn keys_with_more_combinations_than_an_answer_may_have() {
    let mut setting = Setting::star();
    let sql = "SELECT sch, gr, yrs, COUNT(*) FROM results GROUP BY sch, gr, yrs";
    assert!(setting.ask(sql).is_ok());
    setting.rules.limits.max_groups = 80 * 4 * 4 - 1;
    assert_eq!(setting.ask(sql).unwrap_err().rule.name(), "limit");
}

#[test]
fn principles_see_columns_wherever_they_stand() {
    let setting = Setting::transition();
    for (sql, matches) in [
        ("SELECT school, AVG(level) FROM assessments GROUP BY school", true),
        ("SELECT UPPER(school), AVG(level) FROM assessments GROUP BY 1", true),
        ("SELECT AVG(level) FROM assessments WHERE school = 'x'", true),
        (
            "SELECT s.kind, AVG(level) FROM assessments a JOIN schools s ON a.school = s.code GROUP BY s.kind",
            false,
        ),
        (
            "SELECT s.district, AVG(level) FROM assessments a LEFT JOIN schools s ON a.school = s.code GROUP BY s.district",
            true,
        ),
        (
            "SELECT AVG(level) FROM assessments WHERE school IN (SELECT code FROM schools WHERE district = 'x')",
            true,
        ),
        (
            "WITH mine AS (SELECT CASE WHEN school = 'x' THEN 'ours' ELSE 'theirs' END AS side, level FROM assessments) \
             SELECT side, AVG(level) FROM mine GROUP BY side",
            true,
        ),
        (
            "SELECT place, AVG(mark) FROM (SELECT pupil, MIN(school) AS place, AVG(level) AS mark FROM assessments \
             GROUP BY pupil) AS pupils GROUP BY place",
            true,
        ),
        ("SELECT school, level, COUNT(*) FROM assessments GROUP BY school, level", true),
        ("SELECT school, COUNT(*) FROM assessments WHERE level >= 4 GROUP BY school", true),
        ("SELECT AVG(level) FILTER (WHERE school = 'x') FROM assessments", true),
        ("SELECT AVG(CASE WHEN school = 'x' THEN level END) FROM assessments", true),
        ("SELECT school, COUNT(*) FROM assessments GROUP BY school", false),
        ("SELECT grade, AVG(level) FROM assessments GROUP BY grade", false),
        ("SELECT AVG(CASE WHEN grade = 3 THEN level END) FROM assessments", false),
    ] {
        let found = setting.ask(sql);
        let plan = found.unwrap_or_else(|refusal| panic!("{sql}: {refusal:?}"));
        let concerns: Vec<&str> = plan.concerns().iter().map(|concern| concern.principle.as_str()).collect();
        assert_eq!(concerns, if matches { vec!["no-ranking"] } else { vec![] }, "{sql}");
    }
}

/// Found by fuzzing: what stands in double quotes may be a person too.
#[test]
fn quoted_names_are_not_repeated() {
    let setting = Setting::star();
    for sql in [
        "SELECT \"Yamada Taro\" FROM (SELECT COUNT(*) AS \"Yamada Taro\" FROM results) a, \
         (SELECT COUNT(*) AS \"Yamada Taro\" FROM results) b",
        "SELECT COUNT(*) FROM (SELECT id AS \"Yamada Taro\" FROM results) x WHERE \"Yamada Taro\" = 1",
        "SELECT COUNT(*) FROM \"Yamada Taro\"",
        "SELECT \"Yamada Taro\" FROM results",
    ] {
        let refusal = setting.ask(sql).unwrap_err();
        assert!(!format!("{refusal} {refusal:?}").contains("Yamada"), "{sql}: {refusal}");
    }
}
