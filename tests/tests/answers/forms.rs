//! Every accepted form of question, without noise, beside plain DataFusion over the same records; and the traps, each
//! answered as written or refused.

use datasets_synthetic::{City, CitySize, STAR_CONTRACT};
use gate::{Options, Request, Rule};
use tests::plain::disagreement;
use tests::{CITY_TABLES, Home, Plain, city_contract, inputs, question, star};
use vault::Input;

struct Records {
    home: Home,
    plain: Plain,
}

impl Records {
    fn star() -> Records {
        let (contract, files) = star();
        Records { home: Home::open(STAR_CONTRACT, &files), plain: Plain::new(&contract, &files) }
    }

    fn city() -> Records {
        let dir = tempfile::tempdir().unwrap();
        City::generate(7, CitySize { pupils: 700 }).write_csv(dir.path()).unwrap();
        let files = inputs(dir.path(), &CITY_TABLES);
        let home = Home::open(&city_contract(), &files);
        let plain = Plain::new(&home.contract, &files);
        Records { home, plain }
    }

    /// Every question has the plain answer. One that starts with `+` is compared in the order of its rows; of one with
    /// ` ≡ ` inside, plain SQL is asked what stands behind that.
    fn check(&self, questions: &[&str]) {
        let wrong: Vec<String> = questions
            .iter()
            .filter_map(|question| {
                let (sql, ordered) = question.strip_prefix('+').map_or((*question, false), |sql| (sql, true));
                let (sql, in_plain) = sql.split_once(" ≡ ").unwrap_or((sql, sql));
                let verdict =
                    disagreement(&self.home, &self.plain, &tests::question(sql), in_plain, ordered)?;
                Some(format!("{sql}\n{verdict}\n"))
            })
            .collect();
        assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), questions.len(), wrong.join("\n"));
    }

    fn refused(&self, rule: Rule, sql: &str) {
        let found = self.home.ask(&question(sql));
        match &found {
            Err(gate::Failure::Refused(refusal)) if refusal.rule == rule => {}
            other => panic!("{sql}\n{other:?}"),
        }
    }
}

#[test]
fn joins_along_the_pupil() {
    Records::city().check(&[
        "SELECT e.grade, COUNT(*) AS n, AVG(s.feels_safe) AS safe FROM enrolments e JOIN surveys s ON e.pupil = s.pupil AND e.school_year = s.school_year GROUP BY e.grade",
        "SELECT sex, COUNT(*) AS n FROM pupils JOIN surveys USING (pupil) GROUP BY sex",
        "SELECT p.sex, s.school_year, AVG(s.enjoys_school) AS joy FROM pupils p INNER JOIN surveys s ON s.pupil = p.pupil GROUP BY p.sex, s.school_year",
        "SELECT p.sex, COUNT(*) AS n, COUNT(c.pupil) AS m FROM pupils p LEFT JOIN consultations c ON p.pupil = c.pupil GROUP BY p.sex",
        "SELECT c.topic, COUNT(*) AS n, COUNT(DISTINCT p.pupil) AS m FROM consultations c RIGHT JOIN pupils p ON p.pupil = c.pupil GROUP BY c.topic",
        "SELECT a.pupil IS NULL AS a, b.pupil IS NULL AS b, COUNT(*) AS n FROM (SELECT pupil FROM surveys WHERE school_year = 2024) a FULL JOIN (SELECT pupil FROM surveys WHERE school_year = 2025) b ON a.pupil = b.pupil GROUP BY 1, 2",
        "SELECT COUNT(*) AS n, COUNT(a.feels_safe) AS before, COUNT(b.feels_safe) AS after FROM (SELECT pupil, feels_safe FROM surveys WHERE school_year = 2024) a FULL OUTER JOIN (SELECT pupil, feels_safe FROM surveys WHERE school_year = 2025) b ON a.pupil = b.pupil AND a.feels_safe = b.feels_safe",
        "SELECT s.grade, COUNT(*) AS n FROM surveys s LEFT SEMI JOIN consultations c ON s.pupil = c.pupil GROUP BY s.grade",
        "SELECT s.grade, COUNT(*) AS n FROM surveys s LEFT ANTI JOIN consultations c ON s.pupil = c.pupil AND s.school_year = c.school_year GROUP BY s.grade",
        "SELECT COUNT(*) AS n FROM pupils p JOIN surveys s ON p.pupil = s.pupil JOIN consultations c ON c.pupil = p.pupil AND c.school_year = s.school_year",
        "SELECT k.kind, p.sex, AVG(s.has_friend) AS f FROM pupils p JOIN surveys s ON p.pupil = s.pupil JOIN schools k ON k.code = s.school GROUP BY k.kind, p.sex",
        "SELECT COUNT(*) AS n FROM surveys a, surveys b WHERE a.pupil = b.pupil AND a.school_year = 2024 AND b.school_year = 2025 AND a.feels_safe < b.feels_safe",
        "SELECT b.grade - a.grade AS years, COUNT(*) AS n FROM enrolments a JOIN enrolments b ON a.pupil = b.pupil AND a.school_year < b.school_year GROUP BY 1",
        "SELECT s.kind, SUM(y.days) AS days FROM (SELECT pupil, school, SUM(absent_days) AS days FROM attendance GROUP BY pupil, school) y JOIN schools s ON s.code = y.school GROUP BY s.kind",
        "SELECT s.kind, COUNT(*) AS n FROM enrolments e JOIN schools s ON s.code = e.school AND s.opened < 1960 + e.grade GROUP BY s.kind",
    ]);
}

#[test]
fn subqueries_and_set_operations_of_rows() {
    Records::city().check(&[
        "SELECT sex, COUNT(*) AS n FROM pupils WHERE pupil IN (SELECT pupil FROM consultations WHERE topic = 'いじめ') GROUP BY sex",
        "SELECT sex, COUNT(*) AS n FROM pupils WHERE pupil NOT IN (SELECT pupil FROM consultations) GROUP BY sex",
        "SELECT grade, COUNT(*) AS n FROM surveys s WHERE EXISTS (SELECT 1 FROM consultations c WHERE c.pupil = s.pupil AND c.school_year = s.school_year) GROUP BY grade",
        "SELECT grade, COUNT(*) AS n FROM surveys s WHERE feels_safe = 1 AND NOT EXISTS (SELECT * FROM consultations c WHERE c.pupil = s.pupil) GROUP BY grade",
        "SELECT COUNT(*) AS n FROM enrolments e WHERE e.school IN (SELECT code FROM schools WHERE kind = 'elementary')",
        "SELECT COUNT(*) AS n FROM enrolments e WHERE EXISTS (SELECT 1 FROM schools s WHERE s.code = e.school AND s.opened > 1960 + e.grade)",
        "SELECT COUNT(*) AS n FROM pupils WHERE pupil IN (SELECT pupil FROM attendance GROUP BY pupil HAVING SUM(absent_days) >= 20)",
        "SELECT COUNT(*) AS n FROM (SELECT pupil FROM surveys WHERE feels_safe = 1 INTERSECT SELECT pupil FROM consultations) x",
        "SELECT COUNT(*) AS n FROM (SELECT pupil, school_year FROM surveys EXCEPT SELECT pupil, school_year FROM consultations) x",
        "SELECT school_year, COUNT(*) AS n FROM (SELECT pupil, school_year FROM surveys WHERE has_friend = 1 UNION SELECT pupil, school_year FROM consultations) x GROUP BY school_year",
        "SELECT kind, COUNT(*) AS n, COUNT(DISTINCT pupil) AS m FROM (SELECT pupil, 'survey' AS kind FROM surveys UNION ALL SELECT pupil, 'talk' AS kind FROM consultations UNION ALL SELECT pupil, 'roll' AS kind FROM enrolments) x GROUP BY kind",
        "SELECT COUNT(*) AS n FROM (SELECT DISTINCT pupil, topic FROM consultations) x",
        "SELECT topic, COUNT(*) AS n FROM (SELECT DISTINCT pupil, topic, counsellor FROM consultations) x GROUP BY topic",
        "+SELECT DISTINCT grade FROM enrolments ORDER BY grade",
        "+SELECT DISTINCT school_year, reason FROM attendance WHERE reason IS NOT NULL AND reason <> '経済的理由' ORDER BY 1 DESC, 2",
        "SELECT DISTINCT grade >= 7 AS upper FROM enrolments",
        "WITH days AS (SELECT pupil, school_year, SUM(absent_days) AS d FROM attendance GROUP BY pupil, school_year), high AS (SELECT pupil, school_year, d FROM days WHERE d > 10) SELECT school_year, COUNT(*) AS n, AVG(d) AS d FROM high GROUP BY school_year",
        "WITH s AS (SELECT * FROM surveys WHERE school_year = 2025) SELECT a.grade, COUNT(*) AS n FROM s a JOIN s b ON a.pupil = b.pupil GROUP BY a.grade",
        "SELECT big, COUNT(*) AS n FROM (SELECT pupil, COUNT(*) > 2 AS big FROM consultations GROUP BY pupil) x GROUP BY big",
        "SELECT d, COUNT(*) AS n FROM (SELECT grade, CASE WHEN absent_days > 5 THEN 'many' WHEN absent_days > 0 THEN 'few' ELSE 'none' END AS d FROM attendance WHERE school_year = 2024) x GROUP BY d",
    ]);
}

#[test]
fn one_pupils_rows() {
    Records::city().check(&[
        "SELECT n, COUNT(*) AS pupils FROM (SELECT pupil, COUNT(*) AS n FROM enrolments GROUP BY pupil) x GROUP BY n",
        "SELECT AVG(d) AS mean, SUM(late) AS late FROM (SELECT pupil, SUM(absent_days) AS d, MAX(late_days) AS late FROM attendance GROUP BY pupil) x",
        "SELECT grade, AVG(least) AS least, AVG(most) AS most, AVG(mean) AS mean FROM (SELECT pupil, MAX(grade) AS grade, MIN(level) AS least, MAX(level) AS most, AVG(level) AS mean FROM assessments GROUP BY pupil) x GROUP BY grade",
        "SELECT AVG(v) AS v, AVG(s) AS s FROM (SELECT pupil, VAR_POP(level) AS v, STDDEV_POP(level) AS s FROM assessments GROUP BY pupil) x",
        "SELECT any_low, all_low, COUNT(*) AS n FROM (SELECT pupil, BOOL_OR(level = 1) AS any_low, BOOL_AND(level <= 2) AS all_low FROM assessments WHERE level IS NOT NULL GROUP BY pupil) x GROUP BY any_low, all_low",
        "SELECT subjects, COUNT(*) AS n FROM (SELECT pupil, COUNT(DISTINCT topic) AS subjects FROM consultations GROUP BY pupil) x WHERE subjects <= 3 GROUP BY subjects",
        "SELECT school_year, AVG(ill) AS ill FROM (SELECT pupil, school_year, SUM(absent_days) FILTER (WHERE reason = '病気') AS ill FROM attendance GROUP BY pupil, school_year) x GROUP BY school_year",
        "SELECT COUNT(*) AS n FROM (SELECT pupil, ROW_NUMBER() OVER (PARTITION BY pupil ORDER BY month) AS nth, reason FROM attendance WHERE reason = '不登校') x WHERE nth = 1",
        "SELECT month, COUNT(*) AS n FROM (SELECT month, RANK() OVER (PARTITION BY pupil ORDER BY absent_days DESC) AS place FROM attendance) x WHERE place = 1 GROUP BY month",
        "SELECT place, COUNT(*) AS n FROM (SELECT DENSE_RANK() OVER (PARTITION BY pupil ORDER BY absent_days DESC) AS place FROM attendance) x WHERE place <= 3 GROUP BY place",
        "SELECT COUNT(*) AS n, AVG(absent_days - before) AS step FROM (SELECT absent_days, LAG(absent_days) OVER (PARTITION BY pupil ORDER BY month) AS before FROM attendance) x WHERE before IS NOT NULL",
        "SELECT COUNT(*) AS n FROM (SELECT absent_days, LAG(absent_days, 2, 0) OVER (PARTITION BY pupil, school_year ORDER BY month) AS before FROM attendance) x WHERE before > absent_days",
        "SELECT month, AVG(after) AS after FROM (SELECT month, LEAD(late_days) OVER (PARTITION BY pupil ORDER BY month) AS after FROM attendance) x GROUP BY month",
        "SELECT month, AVG(so_far) AS so_far FROM (SELECT month, SUM(absent_days) OVER (PARTITION BY pupil, school_year ORDER BY month) AS so_far FROM attendance) x GROUP BY month",
        "SELECT month, AVG(around) AS around FROM (SELECT month, AVG(absent_days) OVER (PARTITION BY pupil ORDER BY month ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS around FROM attendance) x GROUP BY month",
        "SELECT month, SUM(rest) AS rest FROM (SELECT month, SUM(absent_days) OVER (PARTITION BY pupil, school_year ORDER BY month ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS rest FROM attendance) x GROUP BY month",
        "SELECT months, COUNT(*) AS n FROM (SELECT month, COUNT(*) OVER (PARTITION BY pupil) AS months FROM attendance) x WHERE month = '2025-06' GROUP BY months HAVING COUNT(*) > 1",
        "SELECT COUNT(*) AS n FROM (SELECT absent_days, MAX(absent_days) OVER (PARTITION BY pupil) AS most, MIN(absent_days) OVER (PARTITION BY pupil) AS least FROM attendance) x WHERE absent_days = most AND most > least",
        "SELECT COUNT(*) AS n FROM (SELECT FIRST_VALUE(reason) OVER (PARTITION BY pupil ORDER BY month) AS a, LAST_VALUE(reason) OVER (PARTITION BY pupil ORDER BY month ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS b FROM attendance) x WHERE a IS NOT DISTINCT FROM b",
        "SELECT AVG(middle) AS m, COUNT(*) AS n FROM (SELECT pupil, MEDIAN(CAST(absent_days AS DOUBLE)) AS middle FROM attendance GROUP BY pupil) x WHERE middle < 8",
    ]);
}

#[test]
fn aggregates() {
    Records::star().check(&[
        "SELECT gr, VAR_POP(math) AS a, VAR_SAMP(math) AS b, VAR(math) AS c, STDDEV_POP(math) AS d, STDDEV_SAMP(math) AS e, STDDEV(math) AS f FROM results GROUP BY gr",
        "SELECT gr, VARIANCE(math) AS v FROM results GROUP BY gr ≡ SELECT gr, VAR_SAMP(math) AS v FROM results GROUP BY gr",
        "SELECT VAR_SAMP(yrs) AS a, STDDEV(exp) AS b, VAR_POP(math - read) AS c FROM results",
        "SELECT VAR_SAMP(math) FILTER (WHERE sx = 'F') AS f, VAR_SAMP(math) FILTER (WHERE sx = 'M') AS m FROM results",
        "SELECT gr, COVAR_POP(math, read) AS a, COVAR_SAMP(math, read) AS b, CORR(math, read) AS c FROM results GROUP BY gr",
        "SELECT cltype, REGR_SLOPE(math, read) AS a, REGR_INTERCEPT(math, read) AS b, REGR_R2(math, read) AS c, REGR_COUNT(math, read) AS d, REGR_AVGX(math, read) AS e, REGR_AVGY(math, read) AS f FROM results GROUP BY cltype",
        "SELECT CORR(exp, read) AS c, COVAR(exp, read) AS v, REGR_SLOPE(read, exp) AS s FROM results WHERE gr = '2'",
        "SELECT gr, REGR_SLOPE(math, CASE WHEN cltype = 'small' THEN 1 ELSE 0 END) AS effect FROM results GROUP BY gr",
        "SELECT cltype, MEDIAN(math) AS m FROM results WHERE gr = 'K' GROUP BY cltype",
        "SELECT gr, MEDIAN(read) AS m, AVG(read) AS a, COUNT(read) AS n FROM results GROUP BY gr",
        "SELECT cltype, PERCENTILE_CONT(0.25) WITHIN GROUP (ORDER BY math) AS a, PERCENTILE_CONT(0.75) WITHIN GROUP (ORDER BY math) AS b FROM results GROUP BY cltype",
        "SELECT PERCENTILE_CONT(0.1) WITHIN GROUP (ORDER BY read DESC) AS top FROM results",
        "SELECT percentile_cont(math, 0.5) AS a, quantile_cont(read, 0.25) AS b FROM results",
        "SELECT gr, APPROX_PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY math) AS m, APPROX_MEDIAN(read) AS r FROM results GROUP BY gr ≡ SELECT gr, MEDIAN(math) AS m, MEDIAN(read) AS r FROM results GROUP BY gr",
        "SELECT gr, MIN(math) AS a, MAX(math) AS b, MIN(yrs) AS c, MAX(yrs) AS d FROM results GROUP BY gr",
        "SELECT MIN(exp) AS a, MAX(read) FILTER (WHERE cltype = 'small') AS b FROM results",
        "SELECT gr, COUNT(DISTINCT sch) AS a, COUNT(DISTINCT tch) AS b, COUNT(DISTINCT math) AS c, COUNT(DISTINCT birthq) AS d FROM results GROUP BY gr",
        "SELECT COUNT(DISTINCT sch) FILTER (WHERE cltype = 'small') AS a, COUNT(DISTINCT UPPER(hdeg)) AS b, COUNT(DISTINCT sch % 7) AS c FROM results",
        "SELECT COUNT(1) AS a, COUNT(math) AS b, COUNT(id) AS c, COUNT(DISTINCT id) AS d FROM results",
        "SELECT gr, SUM(yrs) AS a, SUM(math) AS b, MEAN(math) AS c, SUM(math - read) AS d FROM results GROUP BY gr",
        "SELECT AVG(math) FILTER (WHERE sx = 'F' AND ses = 'F') AS a, COUNT(*) FILTER (WHERE math > read) AS b, SUM(yrs) FILTER (WHERE gr = '3') AS c FROM results",
        "SELECT width_bucket(math, 400, 700, 6) AS b, COUNT(*) AS n FROM results WHERE gr = 'K' AND math BETWEEN 350 AND 620 GROUP BY 1 ≡ SELECT CASE WHEN math < 400 THEN 0 WHEN math >= 700 THEN 7 ELSE CAST(FLOOR((math - 400) / 50) AS BIGINT) + 1 END AS b, COUNT(*) AS n FROM results WHERE gr = 'K' AND math BETWEEN 350 AND 620 GROUP BY 1",
        "SELECT width_bucket(yrs, 0, 4, 2) AS b, COUNT(*) AS n FROM results GROUP BY 1 ≡ SELECT yrs / 2 + 1 AS b, COUNT(*) AS n FROM results GROUP BY 1",
        "SELECT AVG(width_bucket(read, 300, 700, 40)) AS b FROM results WHERE read BETWEEN 310 AND 690 ≡ SELECT AVG(FLOOR((read - 300) / 10) + 1) AS b FROM results WHERE read BETWEEN 310 AND 690",
    ]);
}

#[test]
fn grouping_sets() {
    Records::star().check(&[
        "SELECT gr, cltype, COUNT(*) AS n FROM results GROUP BY ROLLUP (gr, cltype)",
        "SELECT gr, cltype, GROUPING(gr) AS a, GROUPING(cltype) AS b, COUNT(*) AS n, SUM(yrs) AS y FROM results GROUP BY ROLLUP (gr, cltype)",
        "SELECT gr, sx, GROUPING(gr) AS a, GROUPING(sx) AS b, COUNT(*) AS n FROM results WHERE sx IS NOT NULL GROUP BY CUBE (gr, sx)",
        "SELECT gr, schtype, cltype, GROUPING(gr) AS a, GROUPING(schtype) AS b, GROUPING(cltype) AS c, COUNT(*) AS n, AVG(math) AS m FROM results GROUP BY GROUPING SETS ((gr, schtype), (cltype), ())",
        "SELECT gr, cltype, AVG(math) AS m FROM results GROUP BY GROUPING SETS ((gr), (cltype))",
        "+SELECT schtype, GROUPING(schtype) AS all_of_them, COUNT(*) AS n FROM results GROUP BY ROLLUP (schtype) ORDER BY 2, 1",
        "SELECT COALESCE(gr, 'all') AS grade, COUNT(*) AS n FROM results GROUP BY ROLLUP (gr)",
        "SELECT gr, cltype, COUNT(*) AS n FROM results GROUP BY ROLLUP (gr, cltype) HAVING GROUPING(cltype) = 1",
        "SELECT gr, cltype, CASE WHEN GROUPING(gr) = 1 THEN 'in all' WHEN GROUPING(cltype) = 1 THEN 'grade' ELSE 'class' END AS level, COUNT(*) AS n FROM results GROUP BY ROLLUP (gr, cltype)",
        "SELECT sx, ses, GROUPING(sx) * 2 + GROUPING(ses) AS g, COUNT(*) AS n FROM results GROUP BY CUBE (sx, ses)",
        "SELECT sch % 3 AS third, gr, COUNT(DISTINCT id) AS n FROM results GROUP BY GROUPING SETS ((sch % 3, gr), (sch % 3))",
        "SELECT gr, cltype, STDDEV(math) AS s, CORR(math, read) AS c FROM results GROUP BY ROLLUP (gr, cltype)",
    ]);
}

#[test]
fn noisy_results_worked_on() {
    Records::star().check(&[
        "+SELECT cltype, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*) DESC) AS place FROM results GROUP BY cltype ORDER BY place",
        "SELECT gr, cltype, COUNT(*) AS n, COUNT(*) * 1.0 / SUM(COUNT(*)) OVER (PARTITION BY gr) AS share FROM results GROUP BY gr, cltype",
        "SELECT gr, AVG(math) - AVG(AVG(math)) OVER () AS off FROM results GROUP BY gr",
        "SELECT gr, LAG(COUNT(*)) OVER (ORDER BY gr) AS before, LEAD(COUNT(*), 2) OVER (ORDER BY gr) AS later FROM results GROUP BY gr",
        "SELECT sch, ROW_NUMBER() OVER (ORDER BY COUNT(*) DESC, sch) AS nth, NTILE(4) OVER (ORDER BY sch) AS quarter FROM results WHERE gr = 'K' GROUP BY sch HAVING COUNT(*) > 0",
        "SELECT gr, SUM(COUNT(*)) OVER (ORDER BY gr ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS so_far FROM results GROUP BY gr",
        "SELECT schtype, DENSE_RANK() OVER (ORDER BY AVG(read)) AS place, PERCENT_RANK() OVER (ORDER BY AVG(read)) AS p, CUME_DIST() OVER (ORDER BY AVG(read)) AS c FROM results GROUP BY schtype",
        "SELECT gr, FIRST_VALUE(AVG(math)) OVER (ORDER BY gr) AS first, LAST_VALUE(AVG(math)) OVER (ORDER BY gr ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS last FROM results GROUP BY gr",
        "SELECT MIN(n) AS least, MAX(n) AS most, AVG(n) AS mean, SUM(n) AS all_of_them, COUNT(*) AS groups FROM (SELECT gr, cltype, COUNT(*) AS n FROM results GROUP BY gr, cltype) x",
        "SELECT cltype, SUM(n) AS n FROM (SELECT gr, cltype, COUNT(*) AS n FROM results GROUP BY gr, cltype) x GROUP BY cltype",
        "SELECT cltype, n FROM (SELECT cltype, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*)) AS r FROM results GROUP BY cltype) x WHERE r = 1",
        "SELECT a.gr, a.m, b.r, a.m - b.r AS gap FROM (SELECT gr, AVG(math) AS m FROM results GROUP BY gr) a JOIN (SELECT gr, AVG(read) AS r FROM results GROUP BY gr) b ON a.gr = b.gr",
        "SELECT a.cltype, a.n, b.n AS small FROM (SELECT cltype, COUNT(*) AS n FROM results GROUP BY cltype) a LEFT JOIN (SELECT cltype, COUNT(*) AS n FROM results WHERE cltype = 'small' GROUP BY cltype HAVING COUNT(*) > 1) b ON a.cltype = b.cltype",
        "SELECT a.n, b.n AS m FROM (SELECT COUNT(*) AS n FROM results WHERE gr = 'K') a CROSS JOIN (SELECT COUNT(*) AS n FROM results WHERE gr = '3') b",
        "+SELECT 'K' AS gr, COUNT(*) AS n FROM results WHERE gr = 'K' UNION ALL SELECT '3' AS gr, COUNT(*) AS n FROM results WHERE gr = '3' ORDER BY gr",
        "SELECT gr FROM results GROUP BY gr HAVING COUNT(*) > 6300 INTERSECT SELECT gr FROM results GROUP BY gr HAVING AVG(math) > 500",
        "SELECT gr FROM results GROUP BY gr HAVING COUNT(*) > 0 EXCEPT SELECT gr FROM results GROUP BY gr HAVING AVG(math) > 550",
        "SELECT cltype FROM results GROUP BY cltype HAVING COUNT(*) > 8000 UNION SELECT 'other' AS cltype FROM results HAVING COUNT(*) > 0",
        "SELECT COUNT(*) AS n FROM results WHERE math > (SELECT AVG(math) FROM results)",
        "SELECT gr, COUNT(*) AS n, AVG(math) - (SELECT AVG(math) FROM results) AS off FROM results GROUP BY gr",
        "SELECT gr, AVG(CASE WHEN read >= (SELECT AVG(read) FROM results WHERE gr = '1') THEN 1.0 ELSE 0.0 END) AS share FROM results WHERE read IS NOT NULL GROUP BY gr",
        "SELECT gr, COUNT(*) AS n FROM results GROUP BY gr HAVING AVG(math) > (SELECT AVG(math) FROM results)",
        "SELECT COUNT(*) AS n FROM results WHERE math > (SELECT AVG(math) FROM results) + (SELECT STDDEV(math) FROM results)",
        "SELECT (SELECT COUNT(*) FROM results WHERE sx = 'F') AS girls, (SELECT COUNT(*) FROM results WHERE sx = 'M') AS boys",
        "+SELECT gr, COUNT(*) AS n FROM results GROUP BY gr ORDER BY n DESC, gr LIMIT 3 OFFSET 1",
        "SELECT gr, CASE WHEN AVG(math) > 550 THEN 'high' ELSE 'low' END AS level FROM results GROUP BY gr",
        "SELECT gr, ROUND(AVG(math)) AS a, CAST(AVG(math) * 100 AS BIGINT) / 100 AS b, ABS(AVG(math) - 600) AS c, GREATEST(AVG(math), AVG(read)) AS d, SQRT(COUNT(*)) AS e FROM results GROUP BY gr",
        "WITH a AS (SELECT gr, sx, COUNT(*) AS n FROM results WHERE sx IS NOT NULL GROUP BY gr, sx) SELECT f.gr, f.n * 1.0 / m.n AS ratio FROM a f JOIN a m ON f.gr = m.gr AND f.sx = 'F' AND m.sx = 'M'",
    ]);
}

#[test]
fn expressions() {
    Records::star().check(&[
        "SELECT CASE sx WHEN 'F' THEN 'girl' WHEN 'M' THEN 'boy' ELSE 'not told' END AS who, COUNT(*) AS n FROM results GROUP BY 1",
        "SELECT gr, COUNT(*) AS n FROM results WHERE gr IN ('1', '2') AND NOT (sx = 'F') AND math BETWEEN 500 AND 600 GROUP BY gr",
        "SELECT COUNT(*) AS n FROM results WHERE birthq LIKE '19__:1' OR hdeg ILIKE '%phd' OR hdeg NOT LIKE 'MS%'",
        "SELECT COUNT(*) AS n FROM results WHERE (sx = 'F') IS TRUE AND (ses = 'F') IS NOT TRUE AND (math > 500) IS NOT FALSE",
        "SELECT COUNT(*) AS n FROM results WHERE (sx IS DISTINCT FROM ses) AND (eth IS NOT DISTINCT FROM trace)",
        "SELECT UPPER(schtype) AS a, LENGTH(schtype) AS b, COUNT(*) AS n FROM results GROUP BY 1, 2",
        "SELECT REPLACE(cltype, 'reg', 'regular') AS a, COUNT(*) AS n FROM results GROUP BY 1",
        "SELECT CONCAT(gr, '-', cltype) AS a, COUNT(*) AS n FROM results GROUP BY 1",
        "SELECT TRIM(LEFT(birthq, 4)) AS y, STRPOS(birthq, ':') AS p, COUNT(*) AS n FROM results GROUP BY 1, 2 HAVING COUNT(*) > 1",
        "SELECT STARTS_WITH(hdeg, 'MS') AS a, ENDS_WITH(hdeg, 'BA') AS b, CONTAINS(hdeg, '/') AS c, COUNT(*) AS n FROM results GROUP BY 1, 2, 3 HAVING COUNT(*) > 1",
        "SELECT REGEXP_LIKE(birthq, '^19(79|80):[12]$') AS a, COUNT(*) AS n FROM results GROUP BY 1",
        "SELECT SUBSTRING(birthq FROM 6 FOR 1) AS q, COUNT(*) AS n FROM results GROUP BY 1 HAVING COUNT(*) > 1",
        "SELECT AVG(POWER(yrs, 2)) AS a, AVG(EXP(yrs)) AS b, AVG(CBRT(math)) AS c, AVG(LOG10(math)) AS d, AVG(LOG2(math)) AS e FROM results",
        "SELECT SUM(ROUND(math / 7)) AS a, AVG(CEIL(math / 7)) AS b, AVG(TRUNC(math / 7)) AS c, AVG(SIGNUM(math - read)) AS d FROM results",
        "SELECT AVG(GREATEST(LEAST(CAST(gr AS BIGINT), 3), 1)) AS g FROM results WHERE gr <> 'K'",
        "SELECT SUM(CAST(math > 500 AS BIGINT)) AS n FROM results",
        "SELECT CAST(yrs AS VARCHAR) AS y, CAST(math / 100 AS BIGINT) AS h, COUNT(*) AS n FROM results WHERE math BETWEEN 400 AND 650 GROUP BY 1, 2",
        "SELECT NVL(ses, 'none') AS s, COUNT(*) AS n FROM results GROUP BY 1",
        "SELECT SUM(-yrs) AS a, AVG(yrs % 2) AS b, AVG((math + read) / 2) AS c FROM results",
        "SELECT COUNT(*) AS n FROM results WHERE math IN (500, 513, 528) OR yrs NOT IN (0, 1, 2)",
    ]);
    Records::city().check(&[
        "SELECT DATE_TRUNC('month', consulted_on) AS m, COUNT(*) AS n FROM consultations GROUP BY 1 HAVING COUNT(*) > 1",
        "+SELECT CAST(DATE_TRUNC('quarter', consulted_on) AS DATE) AS q, COUNT(*) AS n FROM consultations GROUP BY 1 HAVING COUNT(*) > 1 ORDER BY 1",
        "SELECT CAST(DATE_BIN(INTERVAL '30 days', consulted_on, TIMESTAMP '2024-04-01 00:00:00') AS DATE) AS b, COUNT(*) AS n FROM consultations GROUP BY 1 HAVING COUNT(*) > 1",
        "SELECT DATE_PART('dow', consulted_on) AS d, COUNT(*) AS n FROM consultations GROUP BY 1 HAVING COUNT(*) > 1",
        "SELECT EXTRACT(YEAR FROM birth_date) AS y, DATE_PART('quarter', birth_date) AS q, COUNT(*) AS n FROM pupils GROUP BY 1, 2 HAVING COUNT(*) > 1",
        "SELECT COUNT(*) AS n FROM consultations WHERE consulted_on BETWEEN DATE '2025-01-01' AND DATE '2025-03-31' AND EXTRACT(DAY FROM consulted_on) <= 15",
        "SELECT COUNT(*) AS n FROM consultations WHERE DATE_TRUNC('year', consulted_on) = DATE '2025-01-01'",
        "SELECT COUNT(*) AS n FROM attendance WHERE CAST(SUBSTR(month, 1, 4) AS BIGINT) = 2025 AND CAST(month || '-01' AS DATE) < DATE '2025-09-01'",
        "SELECT special_needs, AVG(CASE WHEN special_needs THEN grade ELSE 0 END) AS g FROM enrolments GROUP BY special_needs",
        "SELECT grade, COUNT(*) AS n FROM surveys WHERE COALESCE(feels_safe, has_friend, 4) = 1 GROUP BY grade",
    ]);
}

#[test]
fn rows_of_pupils_do_not_meet_other_pupils() {
    let star = Records::star();
    for (rule, sql) in [
        (Rule::Window, "SELECT COUNT(*) OVER (PARTITION BY gr) AS n FROM results"),
        (Rule::Window, "SELECT AVG(n) FROM (SELECT COUNT(*) OVER (PARTITION BY gr) AS n FROM results) x"),
        (
            Rule::Window,
            "SELECT COUNT(*) FROM (SELECT RANK() OVER (ORDER BY math) AS r FROM results) x WHERE r = 1",
        ),
        (Rule::RowLevel, "SELECT AVG(math) FROM (SELECT math FROM results ORDER BY math DESC LIMIT 1) x"),
        (Rule::RowLevel, "SELECT COUNT(*) FROM (SELECT * FROM results LIMIT 10) x"),
        (Rule::PupilColumn, "SELECT COUNT(*) AS n FROM results WHERE id = 100017"),
        (Rule::PupilColumn, "SELECT COUNT(*) AS n FROM results WHERE id IN (100017, 100018)"),
        (Rule::PupilColumn, "SELECT AVG(math) FROM (SELECT id, math FROM results) x WHERE x.id < 100100"),
        (Rule::Subquery, "SELECT COUNT(*) FROM results WHERE math > (SELECT math FROM results)"),
        (
            Rule::RowLevel,
            "SELECT COUNT(*) FROM results WHERE math > (SELECT math FROM results ORDER BY math LIMIT 1)",
        ),
        (Rule::PrivateJoin, "SELECT COUNT(*) FROM results a JOIN results b ON a.sch = b.sch"),
        (Rule::Aggregate, "SELECT SUM(DISTINCT math) FROM results"),
        (Rule::Aggregate, "SELECT BOOL_OR(math > 700) FROM results"),
    ] {
        star.refused(rule, sql);
    }
    // What the same words say where they touch no other pupil.
    star.check(&[
        "SELECT gr, COUNT(*) AS n, SUM(COUNT(*)) OVER () AS of FROM results GROUP BY gr",
        "SELECT AVG(n) AS n FROM (SELECT id, COUNT(*) OVER (PARTITION BY id) AS n FROM results) x",
        "+SELECT gr, AVG(math) AS m FROM results GROUP BY gr ORDER BY m DESC LIMIT 1",
    ]);
}

/// A conversion that fails in plain SQL for one pupil's value must not tell whether that pupil is there.
#[test]
fn a_failing_conversion_tells_nothing_of_a_pupil() {
    let (contract, files) = star();
    let text = std::fs::read_to_string(&files[0].path).unwrap();
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let column = |name: &str| header.iter().position(|h| h.trim_matches('"') == name).unwrap();
    let rare = |line: &str| line.split(',').nth(column("birthq")).unwrap().contains("1977:1");
    let without: String = text.lines().filter(|line| !rare(line)).map(|line| format!("{line}\n")).collect();
    assert!(without.lines().count() < text.lines().count(), "somebody is left out");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("without.csv");
    std::fs::write(&path, without).unwrap();
    let without = vec![Input { table: "results".to_owned(), path }];
    let trap = "WITH t AS (SELECT CASE WHEN birthq = '1977:1' THEN CAST(birthq AS INTEGER) ELSE 1 END AS x FROM results) \
         SELECT COUNT(*) AS n, SUM(x) AS s FROM t WHERE x = 1";
    // Plain SQL fails only where the pupil is: the trap would catch somebody.
    assert!(Plain::new(&contract, &files).ask(trap).is_err());
    assert!(Plain::new(&contract, &without).ask(trap).is_ok());
    let answer = |files: &[Input]| {
        let answered = Home::open(STAR_CONTRACT, files).ask(&question(trap)).unwrap();
        (answered.columns, answered.rows.len(), answered.charged, answered.rows)
    };
    let (with, without) = (answer(&files), answer(&without));
    assert_eq!((&with.0, with.1, with.2), (&without.0, without.1, without.2));
    assert_eq!(with.3, without.3, "who has no number is not counted, as if not there");
}

#[test]
fn rows_beyond_a_named_bound_are_left_out() {
    let star = Records::star();
    let bounded = |rows: u64| {
        let options = Options { rows_per_unit: Some(rows), groups_per_unit: None };
        let request = Request { options, ..question("SELECT COUNT(*) AS n FROM results") };
        let answered = star.home.ask(&request).unwrap();
        tests::plain::rows(&answered)[0][0].clone()
    };
    for rows in 1..=4 {
        let kept = format!(
            "SELECT SUM(CASE WHEN n > {rows} THEN {rows} ELSE n END) AS n \
             FROM (SELECT id, COUNT(*) AS n FROM results GROUP BY id) x"
        );
        assert_eq!(bounded(rows), star.plain.ask(&kept).unwrap()[0][0], "{rows}");
    }
}
