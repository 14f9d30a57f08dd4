//! What is asked along the pupil is read in the order in which it is stored: the physical plans.

use super::parts::{Store, physical_plan};

/// Questions, each with what its plan has to have.
const ALONG_THE_PUPIL: [(&str, &[&str]); 10] = [
    ("SELECT place, COUNT(*) AS n FROM visits GROUP BY place", &[]),
    // An aggregation per pupil, by more than the pupil too.
    (
        "SELECT n, COUNT(*) AS pupils FROM (SELECT pupil, COUNT(*) AS n FROM visits GROUP BY pupil) AS v
         WHERE n < 4 GROUP BY n",
        &["ordering_mode=Sorted"],
    ),
    (
        "SELECT place, COUNT(*) AS pupils FROM (SELECT pupil, place, SUM(hours) AS h FROM visits
         GROUP BY pupil, place) AS v WHERE h > 4 GROUP BY place",
        &["ordering_mode=PartiallySorted([0])"],
    ),
    (
        "SELECT place, COUNT(*) AS n FROM (SELECT DISTINCT pupil, place FROM visits) AS v GROUP BY place",
        &["ordering_mode=PartiallySorted([0, 1])"],
    ),
    // Inside a pupil rows are sorted as the window wants them.
    (
        "SELECT place, COUNT(*) AS n FROM (SELECT pupil, place, CAST(ROW_NUMBER() OVER (PARTITION BY pupil
         ORDER BY hours) AS BIGINT) AS r FROM visits) AS v WHERE r = 1 GROUP BY place",
        &["BoundedWindowAggExec", "PartialSortExec", "common_prefix_length=[1]"],
    ),
    (
        "SELECT age, COUNT(*) AS n FROM visits JOIN members ON visits.pupil = members.pupil GROUP BY age",
        &["JoinByPupil: kind=Inner"],
    ),
    (
        "SELECT age, COUNT(hours) AS n FROM members LEFT JOIN visits ON visits.pupil = members.pupil
         GROUP BY age",
        &["JoinByPupil: kind=Right"],
    ),
    (
        "SELECT age, COUNT(*) AS n FROM members WHERE pupil NOT IN (SELECT pupil FROM visits WHERE hours > 3)
         GROUP BY age",
        &["JoinByPupil"],
    ),
    (
        "SELECT m.age, COUNT(*) AS n FROM members AS m JOIN visits AS a ON m.pupil = a.pupil
         JOIN visits AS b ON m.pupil = b.pupil AND a.place = b.place AND a.hours < b.hours GROUP BY m.age",
        &["JoinByPupil: kind=Inner", "filter="],
    ),
    // All at once.
    (
        "SELECT age, COUNT(*) AS n FROM members JOIN (SELECT pupil, place, SUM(hours) AS h FROM visits
         GROUP BY pupil, place) AS v ON members.pupil = v.pupil WHERE h > 2 GROUP BY age",
        &["JoinByPupil: kind=Inner", "ordering_mode=PartiallySorted([0])"],
    ),
];

#[test]
fn along_the_pupil_nothing_is_dealt_out_sorted_or_hashed() {
    let store = Store::new(2);
    for (sql, has) in ALONG_THE_PUPIL {
        let shown = physical_plan(&store, sql);
        let operators: Vec<&str> =
            shown.lines().filter_map(|line| line.trim().split([':', ' ']).next()).collect();
        for not in ["RepartitionExec", "SortExec", "HashJoinExec", "SortPreservingMergeExec"] {
            assert!(!operators.contains(&not), "{sql}\n{shown}");
        }
        for part in has {
            assert!(shown.contains(part), "{sql} without {part}\n{shown}");
        }
        for line in shown.lines().filter(|line| line.contains("AggregateExec")) {
            assert!(line.contains("ordering_mode="), "a table of pupils: {sql}\n{shown}");
        }
    }
}
