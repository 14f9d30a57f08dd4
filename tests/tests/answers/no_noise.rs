//! Answers without noise are those of plain DataFusion over the same records.

use datasets_synthetic::{City, CitySize, STAR_CONTRACT, demo};
use gate::{Options, Request};
use parquet::arrow::ArrowWriter;
use tests::plain::difference;
use tests::{CITY_TABLES, Home, Plain, city_contract, inputs, plain, question, star};
use vault::Input;

/// Every question has the plain answer. A question that starts with `+` is compared in the order of its rows.
fn check(home: &Home, plain: &Plain, questions: &[&str], options: Options) {
    let mut wrong = Vec::new();
    for question in questions {
        let (sql, ordered) = question.strip_prefix('+').map_or((*question, false), |sql| (sql, true));
        let answered = home.ask(&Request { options, ..tests::question(sql) });
        let verdict = match answered {
            Ok(answered) => difference(&answered, plain.ask(sql).unwrap(), ordered),
            Err(failure) => Some(failure.to_string()),
        };
        wrong.extend(verdict.map(|verdict| format!("{sql}\n{verdict}\n")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn star_without_noise_is_plain_sql() {
    let (contract, files) = star();
    let home = Home::open(STAR_CONTRACT, &files);
    let questions = [
        "SELECT COUNT(*) AS n FROM results",
        "SELECT COUNT(DISTINCT id) AS n FROM results",
        "SELECT COUNT(*) AS n, COUNT(math) AS m, COUNT(*) - COUNT(math) AS missing FROM results",
        "SELECT cltype, COUNT(*) AS n, AVG(math) AS math FROM results WHERE gr = 'K' GROUP BY cltype",
        "SELECT gr, cltype, COUNT(*), COUNT(math), SUM(math), AVG(read) FROM results GROUP BY gr, cltype",
        "SELECT ses, COUNT(*) AS n FROM results GROUP BY ses",
        "SELECT ses IS NULL AS unknown, COUNT(*) AS n FROM results GROUP BY ses IS NULL",
        "SELECT sx = 'F' AS girl, ses, AVG(read) AS r FROM results GROUP BY sx = 'F', ses",
        "SELECT trace, hdeg, COUNT(DISTINCT id) AS pupils FROM results GROUP BY trace, hdeg",
        "+SELECT sch, AVG(math) AS m FROM results WHERE gr = '1' AND sch <> 78 GROUP BY sch ORDER BY sch",
        "+SELECT sch % 10 AS digit, COUNT(*) AS n, SUM(yrs) AS y FROM results GROUP BY 1 ORDER BY 1",
        "SELECT sch / 10 AS tens, AVG(yrs) AS y FROM results GROUP BY sch / 10",
        "SELECT gr, COUNT(*) FILTER (WHERE ses = 'F') AS f, AVG(math) FILTER (WHERE sx = 'F') AS m FROM results GROUP BY gr",
        "SELECT cltype, COUNT(DISTINCT id) FILTER (WHERE math > 600) AS high FROM results GROUP BY cltype",
        "SELECT gr, SUM(CASE WHEN math > 500 THEN 1 ELSE 0 END) AS high FROM results GROUP BY gr",
        "SELECT gr, AVG(CASE sx WHEN 'F' THEN math WHEN 'M' THEN read END) AS mixed FROM results GROUP BY gr",
        "SELECT COALESCE(ses, '?') AS ses, COUNT(*) AS n FROM results GROUP BY COALESCE(ses, '?')",
        "SELECT gr, SUM(COALESCE(math, read, 400)) AS any FROM results GROUP BY gr",
        "SELECT gr, COUNT(*) AS n FROM results GROUP BY gr HAVING COUNT(*) > 6500",
        "SELECT gr, cltype, AVG(math) AS m FROM results GROUP BY gr, cltype HAVING AVG(math) BETWEEN 500 AND 580",
        "+SELECT schtype, COUNT(*) AS n FROM results GROUP BY schtype ORDER BY n DESC LIMIT 2",
        "+SELECT gr, AVG(read) AS r FROM results GROUP BY gr ORDER BY AVG(read) LIMIT 2 OFFSET 1",
        "+SELECT eth, ses, COUNT(*) AS n FROM results GROUP BY 1, 2 ORDER BY n DESC NULLS LAST, eth, ses LIMIT 5",
        "SELECT cltype, AVG(math + read) AS both, SUM(math - read) AS gap FROM results GROUP BY cltype",
        "SELECT cltype, AVG(math) / AVG(read) AS ratio, ROUND(AVG(math), 1) AS m FROM results GROUP BY cltype",
        "SELECT gr, SUM(yrs) / COUNT(*) AS whole, CAST(SUM(yrs) AS DOUBLE) / COUNT(*) AS y FROM results GROUP BY gr",
        "SELECT birthq, COUNT(*) AS n FROM results WHERE birthq LIKE '1980%' GROUP BY birthq",
        "SELECT COUNT(*) AS n FROM results WHERE hdeg NOT LIKE '%MA%'",
        "SELECT COUNT(*) AS n FROM results WHERE hdeg ILIKE 'ms/%'",
        "SELECT gr, COUNT(*) AS n FROM results WHERE eth IN ('H', 'I', 'O') AND gr NOT IN ('K') GROUP BY gr",
        "SELECT cltype, COUNT(*) AS n FROM results WHERE math BETWEEN 450 AND 500 GROUP BY cltype",
        "SELECT cltype, COUNT(*) AS n FROM results WHERE math NOT BETWEEN 450 AND 700 GROUP BY cltype",
        "SELECT COUNT(*) AS n, SUM(math) AS s, AVG(math) AS a FROM results WHERE math > 900",
        "SELECT gr, COUNT(*) AS n, SUM(math) AS s FROM results WHERE math > 900 GROUP BY gr",
        "SELECT SUBSTR(birthq, 1, 4) AS y, COUNT(*) AS n FROM results GROUP BY SUBSTR(birthq, 1, 4)",
        "SELECT LOWER(LEFT(schtype, 1)) AS s, RIGHT(gr, 1) AS g, COUNT(*) AS n FROM results GROUP BY 1, 2",
        "SELECT gr || '/' || cltype AS class, AVG(math) AS m FROM results GROUP BY gr || '/' || cltype",
        "SELECT LENGTH(hdeg) AS l, COUNT(*) AS n FROM results GROUP BY LENGTH(hdeg)",
        "SELECT clad, AVG(exp) AS exp, SUM(exp) AS years FROM results GROUP BY clad",
        "SELECT AVG(birthy) AS y, AVG(CAST(yrs AS DOUBLE)) AS yrs FROM results",
        "SELECT COUNT(*) AS n FROM results WHERE sx IS NULL",
        "SELECT cltype, COUNT(*) AS n FROM results WHERE NOT (cltype = 'small') AND ses IS DISTINCT FROM 'F' GROUP BY cltype",
        "SELECT gr, AVG(math) AS m FROM results WHERE gr = 'K' OR (gr = '1' AND yrs = 0) GROUP BY gr",
        "SELECT gr, AVG(ABS(math - 500)) AS off, SUM(GREATEST(math, read)) AS best FROM results GROUP BY gr",
        "SELECT gr, AVG(SQRT(math)) AS root, AVG(GREATEST(LEAST(LN(math), 7), 5)) AS log, AVG(math * math) AS square FROM results GROUP BY gr",
        "SELECT gr, AVG(NULLIF(yrs, 0)) AS later FROM results GROUP BY gr",
        "SELECT NULLIF(gr, 'K') AS later, COUNT(*) AS n FROM results GROUP BY NULLIF(gr, 'K')",
        "SELECT CASE WHEN yrs = 0 THEN 'new' WHEN yrs < 3 THEN 'known' ELSE 'old' END AS y, COUNT(*) AS n FROM results GROUP BY 1",
        "SELECT r.gr, COUNT(*) AS n FROM results AS r WHERE r.sch < 10 GROUP BY r.gr",
        "SELECT gr = 'K' AND sx = 'F' AS k, COUNT(*) AS n FROM results GROUP BY gr = 'K' AND sx = 'F'",
        // The contract does not list these keys; every one of them is shared by two pupils or more.
        "SELECT CAST(FLOOR(math / 100) AS BIGINT) AS band, COUNT(*) AS n, AVG(read) AS r FROM results WHERE math BETWEEN 300 AND 699 GROUP BY 1",
        "SELECT tch, COUNT(*) AS n, AVG(math) AS m FROM results WHERE gr = 'K' GROUP BY tch HAVING COUNT(*) > 1",
        "SELECT CASE WHEN math < 450 THEN 'low' WHEN math < 550 THEN 'middle' END AS band, COUNT(*) AS n FROM results GROUP BY 1",
        "SELECT math > read AS counts, gr, COUNT(*) AS n FROM results GROUP BY math > read, gr",
    ];
    check(&home, &Plain::new(&contract, &files), &questions, Options::default());
}

#[test]
fn a_wrong_number_is_seen() {
    let (contract, files) = star();
    let home = Home::open(STAR_CONTRACT, &files);
    let plain = Plain::new(&contract, &files);
    let answered = home.ask(&question("SELECT gr, COUNT(*) AS n FROM results GROUP BY gr")).unwrap();
    for (other, seen) in [
        ("SELECT gr, COUNT(*) AS n FROM results GROUP BY gr", false),
        ("SELECT gr, COUNT(*) + 1 AS n FROM results GROUP BY gr", true),
        ("SELECT gr, COUNT(*) AS n FROM results WHERE gr <> 'K' GROUP BY gr", true),
        ("SELECT gr, COUNT(*) AS n FROM results WHERE math IS NOT NULL GROUP BY gr", true),
    ] {
        assert_eq!(difference(&answered, plain.ask(other).unwrap(), false).is_some(), seen, "{other}");
    }
}

#[test]
fn a_city_without_noise_is_plain_sql() {
    let dir = tempfile::tempdir().unwrap();
    City::generate(5, CitySize { pupils: 600 }).write_csv(dir.path()).unwrap();
    let files = inputs(dir.path(), &CITY_TABLES);
    let home = Home::open(&city_contract(), &files);
    let plain = Plain::new(&home.contract, &files);
    let mut questions = vec![
        "SELECT s.kind, COUNT(*) AS n, SUM(a.absent_days) AS days FROM attendance a JOIN schools s ON a.school = s.code GROUP BY s.kind",
        "SELECT s.name, a.grade, AVG(a.late_days) AS late FROM attendance a JOIN schools s ON a.school = s.code GROUP BY s.name, a.grade",
        "SELECT s.name, COUNT(*) AS n FROM enrolments e LEFT JOIN schools s ON e.school = s.code AND s.kind = 'junior_high' GROUP BY s.name",
        "SELECT s.name IS NULL AS none, AVG(e.grade) AS g FROM enrolments e LEFT JOIN schools s ON e.school = s.code AND s.kind = 'junior_high' GROUP BY 1",
        "SELECT s.kind, AVG(a.level) AS level FROM schools s JOIN assessments a ON s.code = a.school WHERE a.subject = '国語' GROUP BY s.kind",
        "SELECT s.district, COUNT(*) AS n FROM schools AS s RIGHT JOIN surveys AS v ON s.code = v.school GROUP BY s.district",
        "SELECT s.opened / 10 AS decade, COUNT(*) AS n FROM enrolments e JOIN schools s ON e.school = s.code WHERE s.opened > 1950 GROUP BY 1",
        "SELECT s.opened / 10 AS decade, COUNT(*) AS n FROM enrolments e, schools s WHERE e.school = s.code AND s.opened > 1950 GROUP BY s.opened / 10",
        "SELECT COUNT(*) AS n, AVG(s.opened) AS opened FROM enrolments e INNER JOIN schools s ON e.school = s.code",
        "SELECT special_needs, COUNT(*) AS n FROM enrolments GROUP BY special_needs",
        "SELECT school, school_year, COUNT(DISTINCT pupil) AS pupils FROM enrolments GROUP BY school, school_year",
        "SELECT class, AVG(grade) AS g FROM enrolments WHERE special_needs IS FALSE GROUP BY class",
        "SELECT reason, COUNT(*) AS n, SUM(absent_days) AS days FROM attendance GROUP BY reason",
        "SELECT absent_days >= 3 AS many, COUNT(*) AS n FROM attendance GROUP BY absent_days >= 3",
        "SELECT month, COUNT(DISTINCT pupil) AS n FROM attendance WHERE reason IN ('病気', '不登校') GROUP BY month",
        "+SELECT LEFT(month, 4) AS y, SUM(late_days) AS late FROM attendance GROUP BY 1 ORDER BY y DESC",
        "SELECT counsellor, COUNT(*) AS n FROM consultations WHERE topic LIKE '%関係' GROUP BY counsellor",
        "SELECT subject, AVG(level) AS level, COUNT(level) AS n, COUNT(*) - COUNT(level) AS missing FROM assessments GROUP BY subject",
        "SELECT sex, COUNT(*) AS n FROM pupils WHERE birth_date >= '2012-04-02' GROUP BY sex",
        "SELECT AVG(enjoys_school + feels_safe + has_friend + asks_adult) AS wellbeing FROM surveys",
        // The contract does not list these keys; every one of them is shared by two pupils or more.
        "SELECT date_part('year', birth_date) AS y, COUNT(*) AS n FROM pupils GROUP BY 1 HAVING COUNT(*) > 1",
        "SELECT EXTRACT(MONTH FROM birth_date) AS m, sex, COUNT(*) AS n FROM pupils GROUP BY 1, 2 HAVING COUNT(*) > 1",
        "SELECT CAST(date_trunc('year', birth_date) AS DATE) AS y, COUNT(*) AS n FROM pupils GROUP BY 1 HAVING COUNT(*) > 1",
        "SELECT birth_date, COUNT(*) AS n FROM pupils GROUP BY birth_date HAVING COUNT(*) > 1",
    ];
    questions.extend(demo::QUESTIONS.iter().map(|question| question.sql));
    check(&home, &plain, &questions, Options::default());
    // Joins that repeat a pupil's rows need a bound; here it cuts nothing off.
    let repeating = [
        "SELECT s.kind, COUNT(*) AS n, SUM(e.grade) AS g FROM enrolments e CROSS JOIN schools s GROUP BY s.kind",
        "SELECT s.name, COUNT(*) AS n FROM enrolments e JOIN schools s ON e.grade > 6 AND s.opened < 1990 + e.class GROUP BY s.name",
        "SELECT s.kind, COUNT(*) AS n FROM enrolments e LEFT JOIN schools s ON e.grade > 6 AND s.kind = 'elementary' GROUP BY s.kind",
    ];
    check(&home, &plain, &repeating, Options { rows_per_unit: Some(100), groups_per_unit: None });
    let unbounded =
        "SELECT s.kind, MEDIAN(e.grade) AS g FROM enrolments e CROSS JOIN schools s GROUP BY s.kind";
    let refused = home.ask(&question(unbounded)).unwrap_err();
    assert!(refused.to_string().contains("contribution"), "{refused}");
}

#[test]
fn parquet_and_csv_give_the_same_answers() {
    let (contract, files) = star();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("star.parquet");
    let batch = plain::batch(&contract, &files[0]);
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let csv = Home::open(STAR_CONTRACT, &files);
    let parquet = Home::open(STAR_CONTRACT, &[Input { table: "results".to_owned(), path }]);
    for sql in [
        "SELECT gr, cltype, COUNT(*), COUNT(math), SUM(math), AVG(read), COUNT(DISTINCT id) FROM results GROUP BY gr, cltype",
        "SELECT ses, eth, sx, birthq, COUNT(*), SUM(birthy) FROM results GROUP BY ses, eth, sx, birthq",
        "SELECT sch, hdeg, clad, AVG(exp), SUM(yrs) FROM results GROUP BY sch, hdeg, clad",
    ] {
        let (a, b) = (csv.ask(&question(sql)).unwrap(), parquet.ask(&question(sql)).unwrap());
        assert!(a.rows.len() > 3 && a.rows == b.rows && a.columns == b.columns, "{sql}");
    }
}
