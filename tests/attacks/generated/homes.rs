//! Homes that differ in one pupil, who has as much of everything as there can be; and one with its rows in another order.

use std::fmt::Write;
use std::path::Path;

use datasets_synthetic::{City, CitySize};
use tests::club::{self, Visits};
use tests::{CITY_TABLES, Home, city_contract, inputs};

pub(crate) struct Homes {
    pub(crate) without: Home,
    pub(crate) with: Home,
    /// As the one without, in another order.
    pub(crate) permuted: Home,
}

pub(crate) fn city() -> Homes {
    let dir = tempfile::tempdir().unwrap();
    let city = City::generate(11, CitySize { pupils: 40 });
    let home = |name: &str, change: &dyn Fn(&Path)| {
        let at = dir.path().join(name);
        std::fs::create_dir_all(&at).unwrap();
        city.write_csv(&at).unwrap();
        change(&at);
        Home::open(&city_contract(), &inputs(&at, &CITY_TABLES))
    };
    Homes {
        without: home("without", &|_| {}),
        with: home("with", &|at| add_extreme_pupil(&city, at)),
        permuted: home("permuted", &|at| CITY_TABLES[1..].iter().for_each(|table| reverse(at, table))),
    }
}

fn reverse(dir: &Path, table: &str) {
    let path = dir.join(format!("{table}.csv"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1..].reverse();
    // Not only backwards: neighbours part as well.
    let middle = 1 + (lines.len() - 1) / 3;
    lines[1..].rotate_left(middle - 1);
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
}

fn add_extreme_pupil(city: &City, dir: &Path) {
    let schools: Vec<&str> = city.schools().map(|school| school.code.as_str()).collect();
    let (first, last) = (schools[0], schools[2]);
    let add = |table: &str, lines: &[String]| {
        let path = dir.join(format!("{table}.csv"));
        let mut text = std::fs::read_to_string(&path).unwrap();
        lines.iter().for_each(|line| writeln!(text, "P-2024-9999999,{line}").unwrap());
        std::fs::write(&path, text).unwrap();
    };
    let years = [2024, 2025];
    add("pupils", &["極端花,キョクタンハナ,2009-04-02,female,".to_owned()]);
    add("enrolments", &[format!("2024,{first},1,1,false"), format!("2025,{last},9,10,true")]);
    let attendance = years.iter().flat_map(|year| {
        (3..15).map(move |i| {
            let (days, reason) = if i % 5 == 0 { (0, "") } else { (23, "不登校") };
            format!("{}-{:02},{year},{last},9,{days},23,{reason}", year + i / 12, i % 12 + 1)
        })
    });
    add("attendance", &attendance.collect::<Vec<_>>());
    let subjects = ["国語", "算数・数学", "理科", "社会", "英語"];
    let levels = ["5", "1", "", "5", "5"];
    let assessments = years.iter().flat_map(|year| {
        subjects.iter().zip(levels).map(move |(subject, level)| format!("{year},{first},9,{subject},{level}"))
    });
    add("assessments", &assessments.collect::<Vec<_>>());
    add("surveys", &[format!("2024,{first},1,4,4,4,4"), format!("2025,{first},9,1,,,4")]);
    let consultations = (0..12).map(|i| {
        let (day, topic) = (i / 2 + 1, if i % 2 == 0 { "いじめ" } else { "家庭" });
        format!("2026-03-{day:02},2025,{topic},養護教諭")
    });
    add("consultations", &consultations.collect::<Vec<_>>());
}

/// Thirty pupils with two visits each, of one kind to one place; and the same with a pupil of forty visits.
pub(crate) fn club() -> Homes {
    let dir = tempfile::tempdir().unwrap();
    let mut ordinary = Vec::new();
    for pupil in 0..30 {
        let (kind, place) = (["a", "b", "c"][pupil % 3], ["hall", "pool", "yard"][pupil % 3]);
        let visit = format!("{kind},{place},{pupil},{},true,word,{pupil},0.5,2025-01-01", pupil % 9);
        ordinary.extend([(pupil, visit.clone()), (pupil, visit)]);
    }
    let extreme = (0..40).map(|visit| {
        let (kind, place) = (["a", "b", "c", ""][visit % 4], ["hall", "pool", "yard", ""][visit / 4 % 4]);
        let (minutes, score) = if visit % 7 == 6 { ("", "") } else { ("600", "-100") };
        (99_999, format!("{kind},{place},{minutes},{score},false,other,9223372036854775807,1e308,"))
    });
    let home = |name: &str, rows: Vec<(usize, String)>| {
        let mut visits = Visits::default();
        rows.iter().for_each(|(pupil, visit)| visits.push(*pupil, visit));
        Home::open(&club::contract(4e12), &visits.write(&dir.path().join(name)))
    };
    Homes {
        with: home("with", ordinary.iter().cloned().chain(extreme).collect()),
        permuted: home("permuted", ordinary.iter().rev().cloned().collect()),
        without: home("without", ordinary),
    }
}
