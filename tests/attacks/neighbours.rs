//! Two sets of records that differ in one pupil: answers without noise differ by no more than the sensitivity that is
//! stated with them, and everything else is the same.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use datasets_synthetic::{City, CitySize};
use gate::{Answered, Options, Request};
use tests::club::{self, Visits};
use tests::plain::rows;
use tests::{CITY_TABLES, Datum, Home, city_contract, inputs, question};
use vault::Input;

/// A home without the pupil and one with it.
struct Neighbours {
    without: Home,
    with: Home,
}

impl Neighbours {
    fn new(contract: &str, without: &[Input], with: &[Input]) -> Neighbours {
        Neighbours { without: Home::open(contract, without), with: Home::open(contract, with) }
    }

    /// Asks both; the largest ratio of what changed to what was stated, over the measures. Panics where anything else
    /// than a number depends on the pupil.
    fn ratio(&self, sql: &str, options: Options) -> f64 {
        let request = Request { options, ..question(sql) };
        let (a, b) = (self.without.ask(&request).unwrap(), self.with.ask(&request).unwrap());
        assert_eq!((a.charged, &a.columns), (b.charged, &b.columns), "{sql}");
        let (before, after) = (by_key(&a), by_key(&b));
        assert!(before.keys().eq(after.keys()), "{sql}: keys depend on the pupil");
        let mut largest = 0.0_f64;
        for (i, column) in a.columns.iter().enumerate() {
            let Some(sensitivity) = column.sensitivity.filter(|_| column.aggregate.as_deref() != Some("avg"))
            else {
                continue;
            };
            let changed = before.iter().map(|(key, row)| (number(&row[i]) - number(&after[key][i])).powi(2));
            largest = largest.max(changed.sum::<f64>().sqrt() / sensitivity.l2);
        }
        largest
    }

    /// Each question changes by what it states, or less.
    fn check(&self, questions: &[(&str, Options)]) {
        for (sql, options) in questions {
            let ratio = self.ratio(sql, *options);
            assert!(ratio <= 1.0 + 1e-5, "{sql} {options:?}: {ratio} of the stated sensitivity");
        }
    }
}

fn by_key(answered: &Answered) -> BTreeMap<String, Vec<Datum>> {
    let key = |row: &[Datum]| {
        let cells = row.iter().zip(&answered.columns).filter(|(_, column)| column.role == "key");
        format!("{:?}", cells.map(|(cell, _)| cell).collect::<Vec<_>>())
    };
    rows(answered).into_iter().map(|row| (key(&row), row)).collect()
}

/// A cell without pupils is hidden: zero.
fn number(cell: &Datum) -> f64 {
    if let Datum::Number(number) = cell { *number } else { 0.0 }
}

const CONTRACT_BOUNDS: Options = Options { rows_per_unit: None, groups_per_unit: None };

fn at_most(rows: u64, groups: Option<u64>) -> Options {
    Options { rows_per_unit: Some(rows), groups_per_unit: groups }
}

/// Adds a pupil with as many rows as the contract allows, the largest values in them, and missing ones.
fn add_extreme_pupil(city: &City, dir: &Path) {
    let number = "P-2024-9999999";
    let schools: Vec<&str> = city.schools().map(|school| school.code.as_str()).collect();
    let (first, last) = (schools[0], schools[2]);
    let add = |table: &str, lines: &[String]| {
        let path = dir.join(format!("{table}.csv"));
        let mut text = std::fs::read_to_string(&path).unwrap();
        lines.iter().for_each(|line| writeln!(text, "{number},{line}").unwrap());
        std::fs::write(&path, text).unwrap();
    };
    let years = [2024, 2025];
    let months = years.map(|year| {
        let month = move |i: i32| format!("{}-{:02}", year + i / 12, i % 12 + 1);
        (3..15).map(month).collect::<Vec<_>>()
    });
    let subjects = ["国語", "算数・数学", "理科", "社会", "英語"];
    add("pupils", &["極端花,キョクタンハナ,2009-04-02,female,".to_owned()]);
    add("enrolments", &[format!("2024,{first},9,10,true"), format!("2025,{last},9,10,true")]);
    let attendance = years.iter().zip(&months).flat_map(|(year, months)| {
        let reason = |i: usize| if i.is_multiple_of(3) { "" } else { "不登校" };
        months
            .iter()
            .enumerate()
            .map(move |(i, month)| format!("{month},{year},{last},9,23,23,{}", reason(i)))
    });
    add("attendance", &attendance.collect::<Vec<_>>());
    let assessments = years.iter().flat_map(|year| {
        let level = move |subject: &str| if subject == "社会" { "" } else { "5" };
        subjects.map(|subject| format!("{year},{first},1,{subject},{}", level(subject)))
    });
    add("assessments", &assessments.collect::<Vec<_>>());
    add("surveys", &[format!("2024,{first},1,4,4,4,4"), format!("2025,{first},1,,,,4")]);
    let consultations = (1..=12).map(|day| format!("2026-03-{day:02},2025,いじめ,養護教諭"));
    add("consultations", &consultations.collect::<Vec<_>>());
}

fn cities() -> Neighbours {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let city = City::generate(9, CitySize { pupils: 150 });
    city.write_csv(a.path()).unwrap();
    city.write_csv(b.path()).unwrap();
    add_extreme_pupil(&city, b.path());
    Neighbours::new(&city_contract(), &inputs(a.path(), &CITY_TABLES), &inputs(b.path(), &CITY_TABLES))
}

#[test]
fn a_pupil_changes_no_more_than_the_contract_allows() {
    let neighbours = cities();
    let questions = [
        "SELECT COUNT(*) AS n FROM attendance",
        "SELECT COUNT(DISTINCT pupil) AS n FROM attendance",
        "SELECT COUNT(*) AS n, SUM(absent_days) AS d, COUNT(reason) AS r FROM attendance",
        "SELECT month, COUNT(*) AS n, SUM(absent_days) AS d FROM attendance GROUP BY month",
        "SELECT month, reason, COUNT(*) AS n, SUM(late_days) AS d FROM attendance GROUP BY month, reason",
        "SELECT reason, COUNT(*) AS n, COUNT(DISTINCT pupil) AS p, SUM(absent_days + late_days) AS d FROM attendance GROUP BY reason",
        "SELECT absent_days, COUNT(*) AS n FROM attendance GROUP BY absent_days",
        "SELECT school_year, SUM(absent_days * late_days) AS d FROM attendance GROUP BY school_year",
        "SELECT school_year, COUNT(*) AS n FROM attendance WHERE month = '2025-04' GROUP BY school_year",
        "SELECT COUNT(*) AS n, SUM(absent_days) AS d FROM attendance WHERE month IN ('2025-04', '2025-05')",
        "SELECT COUNT(*) FILTER (WHERE absent_days > 20) AS n, SUM(absent_days) FILTER (WHERE reason IS NULL) AS d FROM attendance",
        "SELECT s.kind, COUNT(*) AS n, SUM(a.absent_days) AS d FROM attendance a JOIN schools s ON a.school = s.code GROUP BY s.kind",
        "SELECT s.name, COUNT(DISTINCT a.pupil) AS n FROM attendance a LEFT JOIN schools s ON a.school = s.code AND s.kind = 'elementary' GROUP BY s.name",
        "SELECT s.district, e.school_year, COUNT(*) AS n, SUM(e.class) AS c FROM schools s JOIN enrolments e ON e.school = s.code GROUP BY 1, 2",
        "SELECT special_needs, grade, COUNT(*) AS n FROM enrolments GROUP BY special_needs, grade",
        "SELECT grade, COUNT(*) AS n, SUM(class) AS c FROM enrolments WHERE school_year = 2025 GROUP BY grade",
        "SELECT sex, COUNT(*) AS n FROM pupils GROUP BY sex",
        "SELECT COUNT(*) AS n FROM pupils WHERE birth_date < '2010-01-01'",
        "SELECT subject, COUNT(*) AS n, COUNT(level) AS l, SUM(level) AS s FROM assessments GROUP BY subject",
        "SELECT subject, level, COUNT(*) AS n FROM assessments GROUP BY subject, level",
        "SELECT COUNT(level) AS n, SUM(level - 3) AS s, SUM(-level) AS m FROM assessments",
        "SELECT school_year, SUM(enjoys_school) AS e, SUM(COALESCE(feels_safe, 4)) AS f FROM surveys GROUP BY school_year",
        "SELECT SUM(enjoys_school * feels_safe) AS e, COUNT(has_friend) AS h FROM surveys",
        "SELECT topic, counsellor, COUNT(*) AS n, COUNT(DISTINCT pupil) AS p FROM consultations GROUP BY topic, counsellor",
        "SELECT COUNT(*) AS n FROM consultations WHERE consulted_on >= '2026-03-01'",
        "SELECT enjoys_school IS NULL AS missing, COUNT(*) AS n, AVG(asks_adult) AS a FROM surveys GROUP BY 1",
    ];
    neighbours.check(&questions.map(|sql| (sql, CONTRACT_BOUNDS)));
    // The bounds are tight: this pupil has every row that the contract allows, with the largest values.
    for sql in [
        "SELECT COUNT(*) AS n FROM attendance",
        "SELECT month, SUM(absent_days) AS d FROM attendance GROUP BY month",
    ] {
        let ratio = neighbours.ratio(sql, CONTRACT_BOUNDS);
        assert!((ratio - 1.0).abs() < 1e-5, "{sql}: {ratio}");
    }
}

#[test]
fn a_pupil_changes_no_refusal_and_no_preview() {
    let neighbours = cities();
    for sql in [
        "SELECT * FROM attendance",
        "SELECT COUNT(*) FROM attendance WHERE pupil = 'P-2024-9999999'",
        "SELECT pupil, COUNT(*) FROM attendance GROUP BY pupil",
        "SELECT COUNT(*) FROM pupils WHERE guardian_phone = ''",
        "SELECT SUM(a.absent_days) FROM attendance a JOIN pupils p ON a.school = p.sex",
        "SELECT MEDIAN(grade) FROM enrolments CROSS JOIN schools",
        "SELECT COUNT(*) FROM nowhere",
    ] {
        let refused = |home: &Home| home.ask(&question(sql)).unwrap_err().to_string();
        assert_eq!(refused(&neighbours.without), refused(&neighbours.with), "{sql}");
    }
    for sql in [
        "SELECT month, AVG(absent_days) AS d FROM attendance GROUP BY month",
        "SELECT COUNT(*) AS n FROM pupils",
    ] {
        let preview = |home: &Home| home.ask(&Request { preview: true, ..question(sql) }).unwrap();
        assert_eq!(preview(&neighbours.without), preview(&neighbours.with), "{sql}");
    }
}

/// Sixty pupils with two visits each, of one kind to one place; and the same with a pupil of forty visits.
fn clubs() -> Neighbours {
    let dir = tempfile::tempdir().unwrap();
    let mut visits = Visits::default();
    for pupil in 0..60 {
        let (kind, place) = (["a", "b", "c"][pupil % 3], ["hall", "pool", "yard"][pupil % 3]);
        (0..2).for_each(|_| {
            visits.push(pupil, &format!("{kind},{place},{pupil},{},true,word,1,0.5,2025-01-01", pupil % 9))
        });
    }
    let without = visits.write(&dir.path().join("without"));
    for visit in 0..40 {
        let (kind, place) = (["a", "b", "c", ""][visit % 4], ["hall", "pool", "yard", ""][visit / 4 % 4]);
        let (minutes, score) = if visit % 7 == 6 { ("", "") } else { ("600", "-100") };
        visits.push(99_999, &format!("{kind},{place},{minutes},{score},false,other,,,"));
    }
    let with = visits.write(&dir.path().join("with"));
    Neighbours::new(&club::contract(4e12), &without, &with)
}

#[test]
fn a_pupil_changes_no_more_than_the_request_allows() {
    let neighbours = clubs();
    let all = "SELECT COUNT(*) AS n, COUNT(minutes) AS m, SUM(minutes) AS s, SUM(score) AS p, COUNT(DISTINCT pupil) AS u FROM visits";
    let by_kind = "SELECT kind, COUNT(*) AS n, SUM(minutes) AS s, SUM(score) AS p, COUNT(DISTINCT pupil) AS u FROM visits GROUP BY kind";
    let by_both = "SELECT kind, place, COUNT(*) AS n, SUM(minutes) AS s FROM visits GROUP BY kind, place";
    let joined = "SELECT p.area, COUNT(*) AS n, SUM(v.minutes) AS s FROM visits v JOIN places p ON v.place = p.place GROUP BY p.area";
    let crossed = "SELECT v.kind, p.area, COUNT(*) AS n, SUM(v.score) AS s FROM visits v CROSS JOIN places p WHERE p.place <> v.place GROUP BY 1, 2";
    let flags = "SELECT member, minutes > 300 AS long, COUNT(*) AS n, COUNT(DISTINCT pupil) AS u FROM visits GROUP BY 1, 2";
    neighbours.check(&[
        (all, at_most(2, None)),
        (all, at_most(7, None)),
        (by_kind, at_most(2, None)),
        (by_kind, at_most(2, Some(1))),
        (by_kind, at_most(9, Some(2))),
        (by_both, at_most(2, Some(1))),
        (by_both, at_most(12, None)),
        (by_both, at_most(12, Some(3))),
        (joined, at_most(2, Some(1))),
        (joined, at_most(5, None)),
        (flags, at_most(2, None)),
        (flags, at_most(20, Some(1))),
        // Two visits, to other places two: four rows of each of the sixty.
        (crossed, at_most(4, None)),
        (crossed, at_most(4, Some(2))),
    ]);
    // The bounds are reached, so that a bound that were not enforced would show.
    let counted = "SELECT COUNT(*) AS n FROM visits";
    assert!((neighbours.ratio(counted, at_most(2, None)) - 1.0).abs() < 1e-5);
    let unbounded = neighbours.ratio(counted, at_most(40, None)) * 40.0;
    assert!(unbounded > 39.9, "without the smaller bound the pupil changes the count by {unbounded}");
}

#[test]
fn which_rows_are_kept_depends_on_no_other_pupil() {
    let dir = tempfile::tempdir().unwrap();
    let mut visits = Visits::default();
    for pupil in 0..50 {
        for visit in 0..5 {
            visits.push(
                pupil,
                &format!("{},hall,{visit},0,true,word,1,0.5,2025-01-01", ["a", "b", "c"][visit % 3]),
            );
        }
    }
    let fifty = visits.write(&dir.path().join("fifty"));
    visits.push(50, "a,hall,0,0,true,word,1,0.5,2025-01-01");
    let more = visits.write(&dir.path().join("more"));
    let neighbours = Neighbours::new(&club::contract(4e12), &fifty, &more);
    let ask = |home: &Home, sql: &str, options: Options| {
        let answered = home.ask(&Request { options, ..question(sql) }).unwrap();
        rows(&answered).iter().map(|row| number(row.last().unwrap())).collect::<Vec<f64>>()
    };
    let total = |home: &Home, sql: &str, options: Options| ask(home, sql, options).iter().sum::<f64>();
    let by_kind = "SELECT kind, COUNT(*) AS n FROM visits GROUP BY kind";
    let pupils = "SELECT kind, COUNT(DISTINCT pupil) AS n FROM visits GROUP BY kind";
    for (sql, options, fifty, more) in [
        ("SELECT COUNT(*) AS n FROM visits", at_most(2, None), 100.0, 101.0),
        ("SELECT COUNT(*) AS n FROM visits", at_most(5, None), 250.0, 251.0),
        ("SELECT COUNT(*) AS n FROM visits", at_most(9, None), 250.0, 251.0),
        ("SELECT COUNT(DISTINCT pupil) AS n FROM visits", at_most(2, None), 50.0, 51.0),
        (by_kind, at_most(2, None), 100.0, 101.0),
        (by_kind, at_most(1, None), 50.0, 51.0),
        (pupils, at_most(5, Some(1)), 50.0, 51.0),
        (pupils, at_most(5, Some(2)), 100.0, 101.0),
        (pupils, at_most(5, Some(3)), 150.0, 151.0),
    ] {
        assert_eq!(total(&neighbours.without, sql, options), fifty, "{sql} {options:?}");
        assert_eq!(total(&neighbours.with, sql, options), more, "{sql} {options:?}");
    }
    // A fresh secret chooses anew: 50 pupils choose the same of three kinds again with chance 3⁻⁵⁰.
    let draws: Vec<_> = (0..4).map(|_| ask(&neighbours.without, by_kind, at_most(1, None))).collect();
    assert!(draws.iter().any(|draw| *draw != draws[0]), "{draws:?}");
    assert!(draws.iter().flatten().all(|&n| n < 50.0), "every kind is chosen: {draws:?}");
}
