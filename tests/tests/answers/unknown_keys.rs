//! Keys that the contract does not list: a single pupil's never appears, a common one does, and each question uses up
//! a share of δ.

use disclosure_rules::{Exhausted, Value};
use gate::answered::Cell;
use gate::{Answered, Failure, Options, Request};
use tests::club::{self, Visits};
use tests::{Home, NO_NOISE, Paper, priced};

const QUESTION: &str = "SELECT word, COUNT(*) AS n FROM visits GROUP BY word";

/// 300 pupils with the word `common`, two with `pair`, one with `solo`.
fn home() -> Home {
    let dir = tempfile::tempdir().unwrap();
    let mut visits = Visits::default();
    for pupil in 0..303 {
        let word = match pupil {
            0..300 => "common",
            300..302 => "pair",
            _ => "solo",
        };
        visits.push(pupil, &format!("a,hall,5,0,true,{word},1,0.5,2025-01-01"));
    }
    Home::open(&club::contract(4e12), &visits.write(dir.path()))
}

fn ask(home: &Home, memorandum: &str, sql: &str, price: f64) -> Result<Answered, Failure> {
    let options = Options { rows_per_unit: Some(1), groups_per_unit: None };
    home.ask(&Request { memorandum: memorandum.to_owned(), options, ..priced(sql, price) })
}

fn words(answered: &Answered) -> Vec<String> {
    let word = |cell: &Cell| match cell {
        Cell::Key(Value::Text(word)) => word.clone(),
        other => panic!("not a word: {other:?}"),
    };
    answered.rows.iter().map(|row| word(&row[0])).collect()
}

#[test]
fn a_single_pupils_key_never_appears_and_delta_runs_out() {
    let home = home();
    home.sign(&Paper { rules: "standard", rho: 100.0, ..Paper::all("standard", &home.contract) });
    for _ in 0..100 {
        let answered = ask(&home, "standard", QUESTION, 0.1).unwrap();
        assert_eq!(words(&answered), ["common"]);
        let share = answered.charged.threshold_delta.unwrap();
        assert!((share / 5e-9 - 1.0).abs() < 1e-9, "a hundredth of half the memorandum's δ, not {share:e}");
    }
    let charged = home.charged("standard");
    let spent = ask(&home, "standard", QUESTION, 0.1).unwrap_err();
    assert!(matches!(spent, Failure::Exhausted(Exhausted::Delta)), "{spent}");
    assert_eq!(home.charged("standard"), charged, "what is refused costs nothing");
    // Keys that the contract lists use no δ.
    let listed = ask(&home, "standard", "SELECT kind, COUNT(*) AS n FROM visits GROUP BY kind", 0.1).unwrap();
    assert_eq!(listed.charged.threshold_delta, None);
}

#[test]
fn without_noise_two_pupils_are_enough() {
    // So the keys are there to be found, and the threshold is what keeps them back.
    assert_eq!(words(&ask(&home(), "m", QUESTION, NO_NOISE).unwrap()), ["common", "pair"]);
}
