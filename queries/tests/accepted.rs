//! Every form of question that is accepted, beside what it becomes. Each has a refused neighbour in `refusals.rs`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fmt::Write;

use disclosure_rules::Rho;
use queries::{Options, PrivatePlan, Stage};
use support::{Setting, bounds};

/// A table of SQL beside the plan it becomes.
fn check(setting: &Setting, questions: &[&str]) -> String {
    let mut table = String::new();
    for sql in questions {
        match setting.ask(sql) {
            Ok(plan) => writeln!(table, "{sql}\n  {}\n", summary(&plan).replace('\n', "\n  ")).unwrap(),
            Err(refusal) => panic!("{sql}\n{refusal}"),
        }
    }
    table
}

fn summary(plan: &PrivatePlan) -> String {
    let columns: Vec<String> = plan
        .answer_columns()
        .iter()
        .map(|column| format!("{} {:?} {:?}", column.name, column.kind, column.measures))
        .collect();
    let stages: Vec<String> = plan.stages().iter().map(stage).collect();
    format!("reads {}\n{}\n{}", plan.items().join(", "), stages.join("\n"), columns.join(" | "))
}

fn stage(stage: &Stage) -> String {
    let keys = match (stage.keys().len(), stage.has_unknown_keys()) {
        (0, _) => "one group".to_owned(),
        (n, true) => format!("{n} unknown keys"),
        (n, false) => format!("{n} public keys"),
    };
    let bounds: Vec<String> = stage
        .groupings()
        .iter()
        .map(|grouping| {
            let bound = grouping.contribution;
            format!("rows {} per group {} groups {}", bound.rows, bound.rows_per_group, bound.groups)
        })
        .collect();
    format!(
        "{}{}; {keys}; {} components, {} measures",
        if stage.automatic().is_some() { "no bound: " } else { "" },
        bounds.join(" / "),
        stage.components().len(),
        stage.measures().len(),
    )
}

#[test]
fn one_table() {
    insta::assert_snapshot!(check(
        &Setting::star(),
        &[
            "SELECT COUNT(*) FROM results",
            "SELECT COUNT(id) FROM results",
            "SELECT COUNT(DISTINCT id) AS pupils, COUNT(*) AS n FROM results",
            "SELECT COUNT(1), COUNT(NULL), COUNT(math) FROM results",
            "SELECT cltype, COUNT(*) AS n, AVG(math) AS math FROM results WHERE gr = 'K' GROUP BY cltype",
            "SELECT AVG(math), SUM(math), COUNT(math) FROM results WHERE gr = 'K'",
            "SELECT SUM(yrs), AVG(yrs) FROM results",
            "SELECT COUNT(*) FILTER (WHERE sx = 'F') AS girls, COUNT(*) FROM results",
            "SELECT COUNT(DISTINCT id) FILTER (WHERE math > 500) FROM results",
            "SELECT AVG(math) FILTER (WHERE ses = 'F') FROM results",
            "SELECT SUM(CASE WHEN math >= 500 THEN 1 ELSE 0 END) FROM results",
            "SELECT AVG(COALESCE(math, read, 0)) FROM results",
            "SELECT AVG(GREATEST(LEAST(exp, 40), 0)) FROM results",
            "SELECT AVG(math - read) FROM results",
            "SELECT AVG(math / 10), SUM(yrs / 2), SUM(yrs % 2) FROM results",
            "SELECT AVG(1/(math-249)) FROM results",
            "SELECT COUNT(*) FROM results WHERE math BETWEEN 400 AND 500 AND sx IN ('M', 'F') AND cltype LIKE 'reg%'",
            "SELECT COUNT(*) FROM results WHERE NOT (sx = 'M' OR ses IS NULL) AND eth IS DISTINCT FROM 'W'",
            "SELECT COUNT(*) FROM results WHERE CAST(gr AS BIGINT) > 1 OR CAST(gr AS DOUBLE) < 1.5",
            "SELECT gr, sx, COUNT(*) FROM results GROUP BY gr, sx",
            "SELECT gr, COUNT(*) FROM results GROUP BY 1",
            "SELECT UPPER(cltype) AS kind, COUNT(*) FROM results GROUP BY kind",
            "SELECT CASE WHEN gr = 'K' THEN 'first' ELSE 'later' END AS stage, COUNT(*) FROM results GROUP BY 1",
            "SELECT COALESCE(ses, '?'), COUNT(*) FROM results GROUP BY COALESCE(ses, '?')",
            "SELECT sch % 10 AS tenth, COUNT(*) FROM results GROUP BY sch % 10",
            "SELECT CAST(FLOOR(math / 10) AS BIGINT) AS band, COUNT(*) FROM results GROUP BY 1",
            "SELECT math > 500 AS high, COUNT(*) FROM results GROUP BY 1",
            "SELECT gr, AVG(math) FROM results GROUP BY gr HAVING COUNT(*) > 100 ORDER BY AVG(math) DESC, gr LIMIT 2 OFFSET 1",
            "SELECT gr FROM results GROUP BY gr ORDER BY COUNT(*)",
            "SELECT SUM(math) / COUNT(math) AS mean, ROUND(AVG(math), 1), COUNT(*) * 2 FROM results",
            "SELECT AVG(r.math) - AVG(r.read) FROM results AS r",
            "SELECT COUNT(*) AS \"人数\" FROM results;",
        ],
    ));
}

#[test]
fn with_public_tables() {
    insta::assert_snapshot!(check(
        &Setting::city(),
        &[
            "SELECT sex, COUNT(*) FROM pupils GROUP BY sex",
            "SELECT month, SUM(absent_days) FROM attendance GROUP BY month",
            "SELECT reason, COUNT(*) FROM attendance GROUP BY reason",
            "SELECT school, COUNT(*) FROM enrolments GROUP BY school",
            "SELECT s.kind, COUNT(*) FROM attendance a JOIN schools s ON a.school = s.code GROUP BY s.kind",
            "SELECT s.name, COUNT(DISTINCT pupil) FROM attendance a LEFT JOIN schools s ON a.school = s.code GROUP BY s.name",
            "SELECT s.name, COUNT(*) FROM schools s RIGHT JOIN attendance a ON a.school = s.code GROUP BY s.name",
            "SELECT kind, grade, AVG(absent_days) FROM attendance a, schools s WHERE a.school = s.code GROUP BY kind, grade",
            "SELECT COUNT(*) FROM attendance a JOIN schools s ON a.school = s.code AND s.kind = 'elementary' WHERE opened < 1950",
            "SELECT topic, COUNT(DISTINCT pupil) FROM consultations GROUP BY topic",
        ],
    ));
    insta::assert_snapshot!(
        "dates",
        check(
            &Setting::transition(),
            &[
                "SELECT COUNT(*) FROM pupils WHERE birth_date >= '2012-04-02' AND birth_date < DATE '2013-04-02'",
                "SELECT EXTRACT(month FROM birth_date) AS m, COUNT(*) FROM pupils GROUP BY 1",
                "SELECT date_part('year', birth_date), COUNT(*) FROM pupils GROUP BY 1",
                "SELECT date_trunc('month', birth_date) AS m, COUNT(*) FROM pupils GROUP BY 1",
                "SELECT AVG(level) FROM assessments WHERE subject = '国語'",
            ],
        )
    );
}

#[test]
fn queries_inside_queries_and_results_beside_results() {
    insta::assert_snapshot!(check(
        &Setting::star(),
        &[
            "SELECT gr FROM results GROUP BY gr",
            "SELECT DISTINCT gr FROM results",
            "SELECT COUNT(*) FROM results WHERE id IS NULL",
            "SELECT COUNT(*) FROM results UNION ALL SELECT COUNT(*) FROM results",
            "SELECT gr, COUNT(*) FROM results GROUP BY GROUPING SETS ((gr), ())",
            "SELECT gr, COUNT(*) FROM results GROUP BY ROLLUP (gr)",
            "SELECT gr, COUNT(*) FROM results GROUP BY CUBE (gr, sx)",
            "SELECT SUM(COUNT(*)) OVER () FROM results",
            "WITH r AS (SELECT * FROM results) SELECT COUNT(*) FROM r",
            "SELECT COUNT(*) FROM (SELECT * FROM results) r",
            "SELECT (SELECT COUNT(*) FROM results)",
            "SELECT COUNT(*) FROM results WHERE math > (SELECT AVG(math) FROM results)",
            "SELECT COUNT(*) FROM results HAVING COUNT(*) > (SELECT 100017)",
            "(SELECT COUNT(*) FROM results)",
            "SELECT COUNT(*) FROM results WHERE regexp_like(gr, 'Yamada')",
            "SELECT COUNT(*) FROM results WHERE position('Yamada' IN gr) > 0",
            "SELECT COUNT(*) FROM results WHERE TRIM(LEADING 'Yamada' FROM gr) = ''",
            "SELECT MIN(math) FROM results",
            "SELECT MAX(math) FROM results",
            "SELECT MEDIAN(math) FROM results",
            "SELECT STDDEV(math) FROM results",
            "SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY math) FROM results",
            "SELECT COUNT(DISTINCT gr) FROM results",
            "SELECT COUNT(*) FROM results a JOIN results b ON a.id = b.id",
            "SELECT COUNT(*) FROM results a, results b WHERE a.id = b.id AND a.gr = 'K' AND b.gr = '1'",
            "SELECT n, COUNT(*) FROM (SELECT id, COUNT(*) AS n FROM results GROUP BY id) t GROUP BY n",
            "SELECT AVG(d) FROM (SELECT id, math - LAG(math) OVER (PARTITION BY id ORDER BY gr) AS d FROM results) t",
            "SELECT COUNT(*) FROM results WHERE id IN (SELECT id FROM results WHERE cltype = 'small')",
            "SELECT COUNT(*) FROM results r WHERE NOT EXISTS (SELECT 1 FROM results s WHERE s.id = r.id AND s.gr = 'K')",
            "SELECT COUNT(*) FROM results a LEFT JOIN results b ON a.id = b.id AND b.gr = '3' WHERE a.gr = 'K' AND b.id IS NULL",
            "SELECT COUNT(*) FROM (SELECT id FROM results WHERE gr = 'K' INTERSECT SELECT id FROM results WHERE gr = '3') t",
            "SELECT gr, COUNT(*) * 1.0 / SUM(COUNT(*)) OVER () AS share FROM results GROUP BY gr",
            "WITH a AS (SELECT gr, AVG(math) AS m FROM results GROUP BY gr) SELECT x.gr, x.m - y.m FROM a x JOIN a y ON x.gr < y.gr",
            "SELECT REGR_SLOPE(math, read), CORR(math, read), VAR_POP(math), AVG(math), MEDIAN(math), MAX(math) FROM results",
        ],
    ));
    insta::assert_snapshot!(
        "joins_of_pupils",
        check(
            &Setting::city(),
            &[
                "SELECT COUNT(*) FROM pupils p JOIN attendance a ON p.pupil = a.pupil",
                "SELECT COUNT(*) FROM pupils p JOIN attendance a USING (pupil)",
                "SELECT COUNT(*) FROM pupils NATURAL JOIN enrolments",
                "SELECT COUNT(*) FROM attendance a LEFT SEMI JOIN schools s ON a.school = s.code",
                "SELECT COUNT(*) FROM attendance a LEFT ANTI JOIN schools s ON a.school = s.code",
                "SELECT COUNT(*) FROM attendance a, schools s",
                "SELECT COUNT(*) FROM attendance a JOIN schools s ON a.school < s.code",
                "SELECT COUNT(*) FROM attendance a JOIN schools s ON a.grade = s.opened",
                "SELECT COUNT(*) FROM attendance NATURAL JOIN schools",
            ],
        )
    );
}

#[test]
fn what_one_pupil_can_change() {
    let star = Setting::star();
    let found = |sql: &str, options: &Options| {
        let bound = star.ask_with(sql, options).unwrap().stages()[0].groupings()[0].contribution;
        (bound.rows, bound.rows_per_group, bound.groups)
    };
    let none = Options::default();
    for (condition, key, expected) in [
        ("", "", (4, 4, 1)),
        ("WHERE gr = 'K'", "", (1, 1, 1)),
        ("WHERE 'K' = gr", "", (1, 1, 1)),
        ("WHERE gr IN ('K', '1')", "", (2, 2, 1)),
        ("WHERE gr <> 'K'", "", (3, 3, 1)),
        ("WHERE NOT gr = 'K' AND gr <> '1'", "", (2, 2, 1)),
        ("WHERE gr LIKE '%'", "", (4, 4, 1)),
        ("WHERE gr = 'nothing'", "", (1, 1, 1)),
        ("WHERE gr = 'K' OR sx = 'M'", "", (4, 4, 1)),
        // Of two columns that are equal, the values that both have: none here.
        ("WHERE gr = sx", "", (1, 1, 1)),
        ("WHERE math > 500", "", (4, 4, 1)),
        ("", "GROUP BY gr", (4, 1, 4)),
        ("WHERE gr IN ('K', '1')", "GROUP BY gr", (2, 1, 2)),
        ("WHERE gr = 'K'", "GROUP BY cltype", (1, 1, 1)),
        ("", "GROUP BY cltype", (4, 4, 3)),
        ("", "GROUP BY sx", (4, 4, 3)),
        ("WHERE sx IS NOT NULL", "GROUP BY sx", (4, 4, 2)),
        ("", "GROUP BY UPPER(gr)", (4, 4, 4)),
        ("", "GROUP BY gr, sch", (4, 1, 4)),
        ("", "GROUP BY math > 500", (4, 4, 3)),
    ] {
        let sql = format!("SELECT COUNT(*) FROM results {condition} {key}");
        assert_eq!(found(&sql, &none), expected, "{sql}");
    }
    // Options only tighten.
    for (rows, groups, expected) in [
        (Some(2), None, (2, 1, 2)),
        (Some(9), None, (4, 1, 4)),
        (None, Some(1), (1, 1, 1)),
        (None, Some(9), (4, 1, 4)),
        (Some(0), Some(0), (1, 1, 1)),
    ] {
        let sql = "SELECT gr, COUNT(*) FROM results GROUP BY gr";
        assert_eq!(found(sql, &bounds(rows, groups)), expected, "{rows:?} {groups:?}");
    }
    // A join that may repeat rows needs a bound.
    let city = Setting::city();
    let fanning = "SELECT COUNT(*) FROM attendance a JOIN schools s ON a.grade < s.opened";
    assert!(city.ask(fanning).unwrap().stages()[0].automatic().is_some());
    let median = "SELECT MEDIAN(a.absent_days) FROM attendance a JOIN schools s ON a.grade < s.opened";
    assert_eq!(city.ask(median).unwrap_err().rule.name(), "contribution");
    let rows = |plan: PrivatePlan| plan.stages()[0].groupings()[0].contribution.rows;
    assert_eq!(rows(city.ask_with(fanning, &bounds(Some(30), None)).unwrap()), 30);
    let by_key = "SELECT COUNT(*) FROM attendance a JOIN schools s ON a.school = s.code";
    assert_eq!(rows(city.ask(by_key).unwrap()), 24);
}

#[test]
fn the_digest_is_of_the_question_and_not_of_its_spelling() {
    let setting = Setting::star();
    let rho = Rho::at_least(0.02).unwrap();
    let digest = |sql: &str, options: &Options, rho: Rho| {
        setting
            .ask_with(sql, options)
            .map(|plan| plan.digest(rho))
            .unwrap_or_else(|refusal| panic!("{refusal}"))
    };
    let none = Options::default();
    let sql = "SELECT cltype, COUNT(*), AVG(math) FROM results WHERE gr = 'K' GROUP BY cltype";
    let first = digest(sql, &none, rho);
    for same in [
        "select cltype, count(*), avg(math)\n from results -- why\n where gr = 'K' group by cltype;",
        "SELECT r.cltype, COUNT(*), AVG(r.math) FROM results AS r WHERE r.gr = 'K' GROUP BY r.cltype",
        "SELECT results.cltype, COUNT(*), AVG(results.math) FROM results WHERE (gr = 'K') GROUP BY 1",
    ] {
        assert_eq!(digest(same, &none, rho), first, "{same}");
    }
    for other in [
        "SELECT cltype, COUNT(*), AVG(read) FROM results WHERE gr = 'K' GROUP BY cltype",
        "SELECT cltype, COUNT(*), AVG(math) FROM results WHERE gr = '1' GROUP BY cltype",
        "SELECT cltype, COUNT(*), AVG(math) FROM results WHERE gr = 'k' GROUP BY cltype",
        "SELECT cltype, COUNT(*), AVG(math) FROM results WHERE gr <> 'K' GROUP BY cltype",
        "SELECT cltype, COUNT(*), AVG(math) FROM results WHERE gr = 'K' GROUP BY cltype LIMIT 1",
    ] {
        assert_ne!(digest(other, &none, rho), first, "{other}");
    }
    // With one row per pupil already, a bound of one row is the same question; a smaller price is not.
    assert_eq!(digest(sql, &bounds(Some(1), None), rho), first);
    assert_ne!(digest(sql, &none, Rho::at_least(0.01).unwrap()), first);
    let open = "SELECT cltype, COUNT(*) FROM results GROUP BY cltype";
    assert_ne!(digest(open, &bounds(Some(1), None), rho), digest(open, &none, rho));
    assert_ne!(digest(open, &bounds(None, Some(1)), rho), digest(open, &none, rho));
}
