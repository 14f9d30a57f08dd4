//! Published formats parse, the memoranda match them, and real and invented data keep to them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;

use datasets_synthetic::demo::QUESTIONS;
use datasets_synthetic::{CITY_CONTRACT, CITY_MEMORANDA, City, CitySize, STAR_CONTRACT};
use memoranda::{Contract, Memorandum, Role, Tier, datapackage};

fn contract(json: &str) -> Contract {
    datapackage::parse(json).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

#[test]
fn contracts_say_what_was_agreed() {
    let star = contract(STAR_CONTRACT);
    let results = star.table("results").unwrap();
    assert_eq!((star.name.as_str(), star.version.to_string()), ("star", "1.0.0".to_owned()));
    assert_eq!(results.primary_key, ["id", "gr"]);
    assert_eq!(results.max_rows_per_unit.unwrap().0, 4);
    assert_eq!(results.column("gr").unwrap().public_values().unwrap().len(), 4);
    assert_eq!(results.column("math").unwrap().range(), Some((250.0, 800.0)));
    assert_eq!(star.pool_rho, None);

    let city = contract(CITY_CONTRACT);
    let names: Vec<_> = city.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(
        names,
        ["schools", "pupils", "enrolments", "attendance", "assessments", "surveys", "consultations"]
    );
    assert!(!city.table("schools").unwrap().is_private());
    assert_eq!(city.pool_rho.unwrap().get(), 5.0);
    assert_eq!(city.table("attendance").unwrap().column("month").unwrap().public_values().unwrap().len(), 24);
    let pupils = city.table("pupils").unwrap();
    for identifier in ["name", "kana", "guardian_phone"] {
        assert_eq!(pupils.column(identifier).unwrap().role, Role::Identifier, "{identifier}");
    }
    assert_eq!(pupils.column("birth_date").unwrap().tier, Tier::Sensitive);
    for table in [&star, &city].into_iter().flat_map(|contract| &contract.tables) {
        assert!(!table.title.en.is_empty() && !table.title.ja.is_empty(), "{}", table.name);
        for column in &table.columns {
            assert!(
                !column.title.en.is_empty() && !column.title.ja.is_empty(),
                "{}.{}",
                table.name,
                column.name
            );
        }
    }
}

#[test]
fn memoranda_match_the_city_and_cover_the_questions() {
    let city = contract(CITY_CONTRACT);
    let memoranda: Vec<_> = CITY_MEMORANDA
        .iter()
        .map(|toml| Memorandum::parse(toml).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")))
        .collect();
    assert_eq!(
        memoranda.iter().map(|m| m.id.as_str()).collect::<Vec<_>>(),
        ["city-absence", "city-transition"]
    );
    for memorandum in &memoranda {
        assert_eq!(memorandum.check_against(&city), []);
        assert_ne!(memorandum.check_against(&contract(STAR_CONTRACT)), []);
    }
    for question in QUESTIONS {
        let memorandum = memoranda.iter().find(|m| m.id == question.memorandum).unwrap();
        assert!(question.rho <= memorandum.allotment.rho.get());
        let mentioned =
            |name: &str| question.sql.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == name);
        let tables: Vec<_> = city.tables.iter().filter(|table| mentioned(&table.name)).collect();
        assert_eq!(tables.iter().filter(|table| table.is_private()).count(), 1, "{}", question.sql);
        for column in tables.iter().flat_map(|t| t.columns.iter().map(move |c| (&t.name, &c.name))) {
            let elsewhere = tables.iter().any(|t| memorandum.permits(&t.name, column.1));
            assert!(!mentioned(column.1) || elsewhere, "{}: {column:?}", question.sql);
        }
    }
}

#[test]
fn star_data_keeps_to_its_contract() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    let (broken, rows) = common::check(&contract(STAR_CONTRACT), &data);
    assert!(broken.is_empty(), "{} broken, first {:?}", broken.len(), &broken[..broken.len().min(5)]);
    assert_eq!(rows["results"], 26_796);
}

#[test]
fn city_keeps_to_its_contract() {
    let dir = tempfile::tempdir().unwrap();
    City::generate(7, CitySize { pupils: 2_300 }).write_csv(dir.path()).unwrap();
    let (broken, rows) = common::check(&contract(CITY_CONTRACT), dir.path());
    assert!(broken.is_empty(), "{} broken, first {:?}", broken.len(), &broken[..broken.len().min(5)]);
    assert_eq!((rows["pupils"], rows["schools"], rows["attendance"]), (2_300, 6, 2_070 * 24));
}

type Change = fn(&str) -> String;

/// A row more for a pupil who is there in both school years.
fn third_year(row: &str) -> String {
    if row.contains(",2024,") {
        format!("{row}\n{}", row.replace(",2024,", ",2026,"))
    } else {
        row.to_owned()
    }
}

/// The checker's own control: each change to one row is found.
#[test]
fn a_broken_row_is_found() {
    let cases: &[(&str, Change, &str)] = &[
        ("attendance.csv", |row| row.replace("2024-", "2023-"), "month: not in the code list"),
        ("attendance.csv", |row| row.replace("P-2", "P-1"), "pupil: pattern"),
        ("attendance.csv", |row| format!("{row}\n{row}"), "primary key: not unique"),
        ("enrolments.csv", |row| row.replace("B1", "D1"), "school: refers to nothing"),
        ("enrolments.csv", |row| row.replace("false", "no"), "special_needs: not a boolean"),
        ("pupils.csv", |row| row.replace(",201", ",200"), "birth_date: out of range"),
        ("enrolments.csv", third_year, "school_year: out of range"),
        ("enrolments.csv", third_year, "pupil: too many rows"),
        ("pupils.csv", |row| row.replace("male", ""), "sex: required"),
    ];
    for (file, change, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        City::generate(7, CitySize { pupils: 40 }).write_csv(dir.path()).unwrap();
        let path = dir.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        // The first row that the change touches.
        let row = text.lines().skip(1).find(|row| change(row) != *row && !row.contains("female")).unwrap();
        fs::write(&path, text.replacen(row, &change(row), 1)).unwrap();
        let (broken, _) = common::check(&contract(CITY_CONTRACT), dir.path());
        assert!(broken.iter().any(|message| message.ends_with(expected)), "{expected}: {broken:?}");
    }
}
