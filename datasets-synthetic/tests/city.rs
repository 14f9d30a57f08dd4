//! The invented city: the same from its seed, plausible, and with its findings in it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, HashSet};
use std::fs;

use datasets_synthetic::pupil::{LONG_TERM, SCHOOL_DAYS, Year};
use datasets_synthetic::{City, CitySize, school_code};
use sha2::{Digest, Sha256};

fn digest(seed: u64, pupils: u32) -> String {
    let dir = tempfile::tempdir().unwrap();
    let paths = City::generate(seed, CitySize { pupils }).write_csv(dir.path()).unwrap();
    let mut hash = Sha256::new();
    paths.iter().for_each(|path| hash.update(fs::read(path).unwrap()));
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A change of these bytes is a change of every published example: say so in the changelog.
#[test]
fn the_seed_fixes_every_byte() {
    assert_eq!(digest(1, 300), "bd8478d2515d9592");
    assert_eq!(digest(1, 300), digest(1, 300));
    assert_ne!(digest(1, 300), digest(2, 300));
    assert_ne!(digest(1, 300), digest(1, 301));
}

#[test]
fn schools_are_those_of_the_design() {
    let city = City::generate(1, CitySize::default());
    let kinds = |kind| city.schools().filter(|school| school.kind == kind).count();
    assert_eq!((kinds("elementary"), kinds("junior_high")), (12, 6));
    assert!(city.schools().all(|school| school_code::is_valid(&school.code)));
    let codes: HashSet<_> = city.schools().map(|school| &school.code).collect();
    assert_eq!(codes.len(), 18);
    // A larger city has more schools, not larger ones.
    assert_eq!(City::generate(1, CitySize { pupils: 1_000_000 }).schools().count(), 1_500);
}

#[test]
fn identifiers_are_unique_where_they_must_be() {
    let city = City::generate(1, CitySize::default());
    let planted: Vec<_> = city.planted_identifiers().collect();
    assert_eq!(planted.len(), 4 * 12_000);
    let unique =
        |prefix: &str| planted.iter().filter(|text| text.starts_with(prefix)).collect::<HashSet<_>>().len();
    assert_eq!((unique("P-20"), unique("090-0")), (12_000, 12_000));
}

#[test]
fn pupils_move_up_and_classes_stay_small() {
    let city = City::generate(3, CitySize::default());
    let mut classes: BTreeMap<_, u32> = BTreeMap::new();
    let mut enrolled: BTreeMap<_, u32> = BTreeMap::new();
    for pupil in city.pupils() {
        if let [first, second] = pupil.years.as_slice() {
            assert_eq!(first.grade + 1, second.grade);
            assert_eq!(first.school.district, second.school.district);
            assert_eq!(first.school == second.school, first.grade != 6, "only grade 6 changes school");
        } else {
            assert!(pupil.years.len() == 1 && [1, 9].contains(&pupil.years[0].grade));
        }
        for year in &pupil.years {
            assert_eq!(year.school.kind == "elementary", year.grade <= 6);
            *classes.entry((year.school_year, &year.school.code, year.grade, year.class)).or_default() += 1;
            *enrolled.entry((year.school_year, year.grade)).or_default() += 1;
        }
    }
    assert!(classes.values().all(|pupils| (15..=35).contains(pupils)), "{:?}", classes.values().max());
    assert!(enrolled.len() == 18 && enrolled.values().all(|pupils| *pupils == 1_200));
}

/// Share of those of `all` that `are`, in percent.
fn percent<T>(all: &[T], are: impl Fn(&T) -> bool) -> f64 {
    100.0 * all.iter().filter(|item| are(item)).count() as f64 / all.len() as f64
}

fn mean(values: impl Iterator<Item = u32>) -> f64 {
    let (sum, n) = values.fold((0u64, 0u64), |(sum, n), value| (sum + u64::from(value), n + 1));
    sum as f64 / n as f64
}

fn stays_away(year: &Year<'_>) -> bool {
    year.absent_days() >= LONG_TERM && year.months.iter().any(|month| month.reason == Some("不登校"))
}

fn close(what: &str, value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() <= tolerance, "{what}: {value:.3}, expected {expected} ± {tolerance}");
}

#[test]
fn marginals_are_plausible() {
    let city = City::generate(1, CitySize::default());
    let pupils: Vec<_> = city.pupils().collect();
    close("boys", percent(&pupils, |pupil| pupil.sex == "male"), 51.2, 1.5);
    for school_year in [2024, 2025] {
        let years: Vec<_> =
            pupils.iter().flat_map(|pupil| &pupil.years).filter(|y| y.school_year == school_year).collect();
        let (elementary, junior): (Vec<_>, Vec<_>) = years.iter().copied().partition(|year| year.grade <= 6);
        close("away, elementary", percent(&elementary, |y| stays_away(y)), 2.1, 0.6);
        close("away, junior high", percent(&junior, |y| stays_away(y)), 6.8, 1.2);
        close("special needs", percent(&years, |year| year.special_needs), 4.0, 0.6);
        let ordinary = years.iter().filter(|y| y.absent_days() < LONG_TERM).map(|y| y.absent_days());
        close("days absent of the others", mean(ordinary), 5.2, 0.4);
        close("took the survey", percent(&years, |year| year.survey.is_some()), 93.5, 1.5);
        close(
            "level",
            mean(years.iter().flat_map(|y| &y.levels).filter_map(|(_, level)| *level)),
            3.05,
            0.15,
        );
        for month in years.iter().flat_map(|y| y.months.iter().zip(SCHOOL_DAYS)) {
            assert!(month.0.absent + month.0.late <= month.1);
            assert_eq!(month.0.reason.is_some(), month.0.absent > 0);
        }
    }
}

#[test]
fn absences_rise_in_the_months_before_long_term_absence() {
    let city = City::generate(1, CitySize::default());
    let years: Vec<_> = city.pupils().flat_map(|pupil| pupil.years).collect();
    // The month in which the 30th day of absence falls, from July on, so that three months lie before it.
    let reached = |year: &Year<'_>| {
        let mut days = 0;
        year.months.iter().position(|month| {
            days += month.absent;
            days >= LONG_TERM
        })
    };
    let before = |by: usize| {
        let absent = years.iter().filter_map(|year| {
            let month = reached(year).filter(|month| *month >= 4)?;
            stays_away(year).then(|| year.months[month - by].absent)
        });
        mean(absent)
    };
    let ordinary = mean(
        years.iter().filter(|y| reached(y).is_none()).flat_map(|y| y.months.iter().map(|month| month.absent)),
    );
    let rise = [before(4), before(3), before(2), before(1)];
    assert!(rise.windows(2).all(|pair| pair[1] > 1.3 * pair[0]), "{rise:?}");
    assert!(rise[2] > 5.0 * ordinary, "{rise:?} beside {ordinary}");
}

#[test]
fn wellbeing_and_levels_fall_with_absence_and_at_the_transition() {
    let city = City::generate(1, CitySize::default());
    let years: Vec<_> = city.pupils().flat_map(|pupil| pupil.years).collect();
    let enjoys = |are: &dyn Fn(&Year<'_>) -> bool| {
        mean(years.iter().filter(|year| are(year)).filter_map(|year| year.survey?[0]))
    };
    let level = |are: &dyn Fn(&Year<'_>) -> bool| {
        mean(years.iter().filter(|y| are(y)).flat_map(|y| &y.levels).filter_map(|(_, level)| *level))
    };
    let (long, not) =
        (|y: &Year<'_>| y.absent_days() >= LONG_TERM, |y: &Year<'_>| y.absent_days() < LONG_TERM);
    assert!(enjoys(&not) - enjoys(&long) > 0.5);
    assert!(level(&not) - level(&long) > 0.6);
    let of = |grade: u32| enjoys(&move |year: &Year<'_>| year.grade == grade);
    let falls: Vec<f64> = (1..9).map(|grade| of(grade) - of(grade + 1)).collect();
    let (transition, others) = (falls[5], falls.iter().enumerate().filter(|(at, _)| *at != 5));
    assert!(transition > 0.2 && others.into_iter().all(|(_, fall)| *fall < transition / 2.0), "{falls:?}");
    let away = |grade: u32| {
        let of_grade: Vec<_> = years.iter().filter(|year| year.grade == grade).collect();
        percent(&of_grade, |year| stays_away(year))
    };
    assert!(away(7) > 1.4 * away(6), "{} {}", away(6), away(7));
}
