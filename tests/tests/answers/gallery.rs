//! The questions of `queries/gallery`: each says in both languages what it asks and what for, and without noise each
//! has the plain answer.

use std::fs;
use std::path::Path;

use datasets_synthetic::{City, CitySize, STAR_CONTRACT};
use tests::plain::disagreement;
use tests::{CITY_TABLES, Home, Plain, city_contract, inputs, question, star};

const HEADER: [&str; 5] = ["contract", "title", "title:ja", "purpose", "purpose:ja"];

struct Entry {
    name: String,
    header: Vec<(String, String)>,
    sql: String,
}

/// The whole gallery, in the order of its file names.
fn gallery() -> Vec<Entry> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../queries/gallery");
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let lines = text.lines().map_while(|line| line.strip_prefix("-- ")?.split_once(": "));
            let header = lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            Entry { name: path.file_name().unwrap().to_str().unwrap().to_owned(), header, sql: text }
        })
        .collect()
}

/// Every question of the gallery on a contract has the plain answer.
fn check(contract: &str, home: &Home, plain: &Plain) {
    let wrong: Vec<String> = gallery()
        .iter()
        .filter(|entry| entry.header[0].1 == contract)
        .filter_map(|entry| {
            // The plain one approximates it.
            let in_plain = entry.sql.replace("APPROX_PERCENTILE_CONT", "PERCENTILE_CONT");
            let ordered = entry.sql.contains("\nORDER BY");
            let verdict = disagreement(home, plain, &question(&entry.sql), &in_plain, ordered)?;
            Some(format!("{}: {verdict}\n", entry.name))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_question_says_what_it_asks_and_what_for() {
    let gallery = gallery();
    assert!(gallery.len() >= 30, "{}", gallery.len());
    for entry in &gallery {
        let keys: Vec<&str> = entry.header.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, HEADER, "{}", entry.name);
        for (key, value) in &entry.header {
            let japanese = value.chars().any(|c| ('\u{3040}'..='\u{9fff}').contains(&c));
            assert_eq!(japanese, key.ends_with(":ja"), "{}: {key}", entry.name);
        }
        assert!(["city", "star"].contains(&entry.header[0].1.as_str()), "{}", entry.name);
        assert!(entry.name.ends_with(".sql"), "{}", entry.name);
    }
    let mut titles: Vec<&str> = gallery.iter().map(|entry| entry.header[1].1.as_str()).collect();
    titles.sort_unstable();
    titles.dedup();
    assert_eq!(titles.len(), gallery.len(), "no two questions have the same title");
}

#[test]
fn the_gallery_on_star_is_plain_sql() {
    let (contract, files) = star();
    check("star", &Home::open(STAR_CONTRACT, &files), &Plain::new(&contract, &files));
}

#[test]
fn the_gallery_on_a_city_is_plain_sql() {
    let dir = tempfile::tempdir().unwrap();
    City::generate(11, CitySize { pupils: 3000 }).write_csv(dir.path()).unwrap();
    let files = inputs(dir.path(), &CITY_TABLES);
    let home = Home::open(&city_contract(), &files);
    check("city", &home, &Plain::new(&home.contract, &files));
}
