//! A newcomer runs `enclave demo`; and no name or number of the invented city is anywhere to be found after it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use datasets_synthetic::demo::QUESTIONS;
use datasets_synthetic::{CITY_CONTRACT, City, CitySize};

use crate::support::{Desk, Found, Search, files};

#[test]
fn the_demo_answers_three_questions_and_leaks_no_name() {
    let desk = Desk::empty();
    fs::create_dir(desk.path("scratch")).unwrap();
    let output = desk.command(&["demo", "--no-serve"]).env("TMPDIR", desk.path("scratch")).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{err}");
    for question in &QUESTIONS {
        assert!(
            out.contains(question.title) && out.contains(question.title_ja) && out.contains(question.sql)
        );
    }
    assert_eq!(out.matches("_status").count(), 5, "three tables with five measures: {out}");
    for words in [
        "memorandum city-absence: allotment rho 1, charged 0.1, balance 0.9",
        "memorandum city-transition: allotment rho 0.5, charged 0.05, balance 0.45",
        "pool city: allotment rho 5, charged 0.15, balance 4.85",
        "Try next:",
    ] {
        assert!(out.contains(words), "no {words:?} in:\n{out}");
    }
    // What it says to try next works.
    let next = "SELECT grade, AVG(late_days) AS late FROM attendance GROUP BY grade";
    assert!(out.contains(next));
    desk.run(["ask", "-m", "city-absence", "--as", "r1", "--preview", next]).done();
    desk.run(["ask", "-m", "city-absence", "--as", "r1", "SELECT * FROM pupils"]).exits(3);
    desk.run(["log", "verify"]).done();

    let city = City::generate(1, CitySize::default());
    let someone = city.pupils().next().unwrap();
    // Somebody types a name and a number into questions: refused, asked, and as a column.
    for sql in [
        format!("SELECT COUNT(*) FROM pupils WHERE name = '{}'", someone.name),
        format!("SELECT COUNT(*) FROM attendance WHERE reason = '{}'", someone.number),
        format!("SELECT \"{}\" FROM pupils", someone.kana),
        format!("SELECT COUNT(*) AS \"{}\" FROM attendance -- {}", someone.guardian_phone, someone.name),
    ] {
        let told = desk.run(["ask", "-m", "city-absence", "--as", "r1", &sql]);
        assert!(told.code == 0 || told.code == 3, "{sql}: {}", told.err);
    }
    desk.run(["log", "export", "log"]).done();

    let planted = Search::of(city.planted_identifiers());
    let mut found = Found::default();
    planted.in_folder(&desk.home(), &mut found);
    planted.in_folder(&desk.path("log"), &mut found);
    planted.in_bytes(out.as_bytes(), "stdout", &mut found);
    planted.in_bytes(err.as_bytes(), "stderr", &mut found);
    let listed = desk.run(["log", "list"]).done();
    planted.in_bytes(&listed.out, "log list", &mut found);
    assert_eq!(found.len(), 0, "{:?}", found.places);
    assert_eq!(files(&desk.path("scratch")).len(), 0, "the records in the clear are gone");

    // The same search finds every one of them where they are.
    fs::create_dir(desk.path("records")).unwrap();
    city.write_csv(&desk.path("records")).unwrap();
    planted.in_folder(&desk.path("records"), &mut found);
    assert_eq!(found.len(), planted.len());
    assert!(planted.len() > 30_000, "{}", planted.len());

    the_home_is_closed(&desk);
}

/// Nobody but the owner reads anything but the log's public key.
fn the_home_is_closed(desk: &Desk) {
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let home = desk.home();
    let all = files(&home);
    assert!(all.contains(&home.join("keys/root.key")));
    for file in &all {
        if *file != home.join("log.vkey") {
            assert_eq!(mode(file), 0o600, "{}", file.display());
        }
        for folder in file.ancestors().skip(1).take_while(|folder| folder.starts_with(&home)) {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
    }
    // A key that others could read is not used.
    let key = home.join("keys/root.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    desk.run(["log", "list"]).exits(2).says(["root.key", "0600"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    desk.run(["log", "list"]).done();
}

#[test]
fn what_a_killed_ingest_leaves_behind_names_nobody() {
    let desk = Desk::empty();
    desk.write("city.json", CITY_CONTRACT);
    desk.run(["init"]).done();
    desk.run(["contract", "publish", "city.json"]).done();
    fs::create_dir(desk.path("records")).unwrap();
    let city = City::generate(1, CitySize { pupils: 2_000 });
    let records = city.write_csv(&desk.path("records")).unwrap();
    let inputs = records
        .iter()
        .map(|path| format!("{}={}", path.file_stem().unwrap().to_str().unwrap(), path.display()));
    let arguments: Vec<String> = ["ingest".to_owned(), "city".to_owned()].into_iter().chain(inputs).collect();

    let planted = Search::of(city.planted_identifiers());
    let mut found = Found::default();
    let mut left = BTreeSet::new();
    let size = || -> u64 {
        let staged = files(&desk.home()).into_iter().filter(|file| is_staged(file));
        staged.filter_map(|file| fs::metadata(file).ok()).map(|data| data.len()).sum()
    };
    // Killed when some has been written, when more has, and just before the end.
    for least in [1, 50_000, 200_000] {
        let mut child = desk.command(&arguments).spawn().unwrap();
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() && size() < least {
            assert!(start.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        left.extend(files(&desk.home()).into_iter().filter(|file| is_staged(file)));
        planted.in_folder(&desk.home(), &mut found);
    }
    assert!(!left.is_empty(), "no ingest was killed in time");
    assert_eq!(found.len(), 0, "{:?}", found.places);

    let told = desk.command(&arguments).output().unwrap();
    assert_eq!(told.status.code(), Some(0), "{}", String::from_utf8_lossy(&told.stderr));
    planted.in_folder(&desk.home(), &mut found);
    assert_eq!(found.len(), 0, "{:?}", found.places);
    let snapshots = fs::read_dir(desk.home().join("store/city/snapshots")).unwrap().count();
    assert_eq!(snapshots, 1, "what was left is removed");
    assert!(left.iter().all(|file| !file.exists()), "{left:?}");
}

/// As long as there is no manifest, whatever a snapshot has written.
fn is_staged(file: &std::path::Path) -> bool {
    file.iter().any(|part| part == "snapshots" || part == "identity")
}
