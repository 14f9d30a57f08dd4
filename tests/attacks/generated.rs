//! Questions from a grammar, put to homes that differ in one pupil: what is told without noise differs by no more than
//! what is stated with it, and everything else is the same.
//!
//! `ENCLAVE_QUESTIONS` says how many: 500 by default, nightly 10,000. `ENCLAVE_SEED` is where they begin.

mod check;
mod expression;
mod homes;
mod question;
mod schema;
mod source;

use check::{Homes, Outcome};
pub(crate) use expression::{condition, number};
use question::Question;
pub(crate) use schema::CLUB;
use schema::{CITY, Schema};
pub(crate) use source::Column;

/// What a home's pool pays for.
const QUESTIONS_PER_HOME: u64 = 180;

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}

/// Half of all questions are put to either contract.
fn ask_all(schema: &Schema, homes: fn() -> Homes) {
    let (questions, seed) =
        (from_environment("ENCLAVE_QUESTIONS", 500) / 2, from_environment("ENCLAVE_SEED", 0));
    let mut accepted = 0;
    let mut faults = Vec::new();
    for first in (0..questions).step_by(QUESTIONS_PER_HOME as usize) {
        let homes = homes();
        for number in first..questions.min(first + QUESTIONS_PER_HOME) {
            let question = Question::new(schema, seed + number);
            match homes.check(&question, 1.0) {
                Ok(Outcome::Accepted) => accepted += 1,
                Ok(Outcome::Refused) => {}
                Err(fault) => faults.push(shrunk(&homes, question, fault, seed + number, 1.0)),
            }
            assert!(faults.len() < 5, "{}", faults.join("\n\n"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    assert!(accepted * 10 >= questions * 6, "only {accepted} of {questions} questions are accepted");
    eprintln!("{accepted} of {questions} questions are accepted");
}

/// The least question found that still shows a fault.
fn shrunk(homes: &Homes, mut question: Question, mut fault: String, seed: u64, claim: f64) -> String {
    // Each attempt costs some of the pool.
    let mut attempts = 40;
    let faulty = |smaller: Question, attempts: &mut i32| {
        *attempts -= 1;
        let found = if *attempts > 0 { homes.check(&smaller, claim).err() } else { None };
        found.map(|fault| (smaller, fault))
    };
    while let Some(smaller) =
        question.smaller().into_iter().find_map(|smaller| faulty(smaller, &mut attempts))
    {
        (question, fault) = smaller;
    }
    format!("{fault}\n  {}\n  {:?}, seed {seed}", question.sql(), question.options)
}

#[test]
fn a_pupil_of_the_city_changes_no_more_than_is_stated() {
    ask_all(&CITY, homes::city);
}

#[test]
fn a_pupil_of_the_club_changes_no_more_than_is_stated() {
    ask_all(&CLUB, homes::club);
}

/// Bounds half as large as stated are broken, and the question that shows it is shrunk.
#[test]
fn a_bound_that_is_too_small_is_caught() {
    for (schema, homes) in [(&CITY, homes::city as fn() -> Homes), (&CLUB, homes::club)] {
        let homes = homes();
        let questions = (0..40).map(|seed| Question::new(schema, seed));
        let caught: Vec<Question> =
            questions.filter(|question| homes.check(question, 0.5).is_err()).collect();
        assert!(caught.len() >= 5, "only {} of 40 questions reach more than half their bounds", caught.len());
        let longest = caught.into_iter().max_by_key(|question| question.sql().len()).unwrap();
        let told = shrunk(&homes, longest.clone(), String::new(), 0, 0.5);
        assert!(told.contains("stated"), "{told}");
        assert!(told.len() < longest.sql().len() + 200, "{told}");
    }
}
