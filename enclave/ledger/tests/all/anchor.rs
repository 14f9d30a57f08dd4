//! An older copy of the database is found out when it is opened; a crash is not.

use std::fs;

use crate::common::*;
use ledger::{Event, Ledger, LedgerError};
use serde_json::json;

fn grow(ledger: &Ledger, leaves: u32) {
    for second in 0..leaves {
        ledger.append(at(second), Event::Ingest, json!({ "snapshot": second })).unwrap();
    }
}

fn anchor(place: &Place) -> std::path::PathBuf {
    place.dir.path().join("ledger.anchor")
}

#[test]
fn an_older_copy_of_the_database_is_refused() {
    let place = Place::new();
    let ledger = place.create();
    grow(&ledger, 5);
    drop(ledger);
    let older = fs::read(place.path()).unwrap();
    grow(&place.open(), 3);
    let newest = fs::read(place.path()).unwrap();

    fs::write(place.path(), &older).unwrap();
    let error = Ledger::open(&place.path(), place.key()).unwrap_err();
    assert!(matches!(error, LedgerError::RolledBack { signed: 8, size: 5, .. }), "{error}");
    for part in ["was rolled back", "ledger.anchor", "8 leaves", "has 5", "Put the newest copy"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    // The positive control: with nothing outside the database, the older copy is a ledger.
    let aside = fs::read(anchor(&place)).unwrap();
    fs::remove_file(anchor(&place)).unwrap();
    assert_eq!(place.open().size().unwrap(), 5);

    // What is grown on the older copy is another log, also where it is longer.
    place.open().append(at(9), Event::Keys, json!({})).unwrap();
    grow(&place.open(), 9);
    fs::write(anchor(&place), &aside).unwrap();
    let error = Ledger::open(&place.path(), place.key()).unwrap_err();
    assert!(matches!(error, LedgerError::Rewritten { signed: 8, .. }), "{error}");

    fs::write(place.path(), &newest).unwrap();
    assert_eq!(place.open().size().unwrap(), 8);
}

/// Between the commit and the line in the file, or with the last lines lost: the file lags, and is made up for.
#[test]
fn a_file_that_lags_is_no_alarm() {
    let place = Place::new();
    let ledger = place.create();
    grow(&ledger, 6);
    drop(ledger);
    let whole = fs::read_to_string(anchor(&place)).unwrap();
    assert_eq!(whole.lines().filter(|line| !line.is_empty()).count(), 7);
    for kept in 0..whole.len() {
        fs::write(anchor(&place), &whole.as_bytes()[..kept]).unwrap();
        assert_eq!(place.open().size().unwrap(), 6, "{kept} bytes");
        let newest = String::from_utf8_lossy(&fs::read(anchor(&place)).unwrap()).into_owned();
        assert!(newest.lines().any(|line| line.starts_with(&format!("{ORIGIN}\t6\t"))), "{newest}");
    }
    fs::remove_file(anchor(&place)).unwrap();
    place.open();
    assert!(anchor(&place).is_file());
}

#[test]
fn a_foreign_file_is_no_alarm() {
    let (place, other) = (Place::new(), Place::new());
    grow(&other.create(), 9);
    grow(&place.create(), 2);
    // Signed by another key: not a checkpoint of this log.
    fs::copy(anchor(&other), anchor(&place)).unwrap();
    assert_eq!(place.open().size().unwrap(), 2);
}
