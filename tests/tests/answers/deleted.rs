//! A pupil who was deleted has no influence: answers without noise are, number for number, those of an enclave that
//! never held the pupil.

use gate::{Options, Request};
use tests::club::{self, Visits};
use tests::{Home, question};

const QUESTIONS: [&str; 4] = [
    "SELECT kind, COUNT(*) AS n, SUM(minutes) AS m FROM visits GROUP BY kind",
    "SELECT COUNT(DISTINCT pupil) AS p, SUM(score) AS s FROM visits WHERE member",
    "SELECT area, COUNT(*) AS n FROM visits AS v JOIN places AS p ON v.place = p.place GROUP BY area",
    "SELECT n, COUNT(*) AS pupils FROM (SELECT pupil, COUNT(*) AS n FROM visits GROUP BY pupil) AS v
     WHERE n <= 6 GROUP BY n",
];
/// Who goes: visits more than the bound, so that which rows count is drawn.
const GOES: usize = 300;

fn home(pupils: impl Iterator<Item = usize>) -> Home {
    let mut visits = Visits::default();
    for pupil in pupils {
        for visit in 0..if pupil == GOES { 9 } else { pupil % 5 } {
            let (kind, place) = (["a", "b", "c"][(pupil + visit) % 3], ["hall", "pool", "yard"][visit % 3]);
            let (minutes, score) = (pupil % 50 + visit, pupil % 7);
            let member = pupil.is_multiple_of(2);
            visits.push(pupil, &format!("{kind},{place},{minutes},{score},{member},word,1,0.5,2025-01-01"));
        }
    }
    let dir = tempfile::tempdir().unwrap();
    Home::open(&club::contract(4e12), &visits.write(dir.path()))
}

fn answers(home: &Home) -> Vec<String> {
    let options = Options { rows_per_unit: Some(6), groups_per_unit: None };
    let ask = |sql: &&str| home.ask(&Request { options, ..question(sql) }).unwrap();
    QUESTIONS.iter().map(|sql| format!("{:?}", ask(sql).rows)).collect()
}

#[test]
fn a_deleted_pupil_has_no_influence() {
    let never = answers(&home((0..600).filter(|pupil| *pupil != GOES)));
    let held = home(0..600);
    assert_ne!(answers(&held), never, "the pupil shows while it is there");
    held.enclave.delete_records("club", &format!("P{GOES:05}"), None).unwrap();
    assert_eq!(answers(&held), never);
}
