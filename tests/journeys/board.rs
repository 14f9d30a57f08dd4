//! The board: a question that a principle leaves to it, from the first "wait" to the answer, and no second one.

use crate::support::Desk;

const BY_SCHOOL: &str = "SELECT sch, AVG(math) AS math FROM results WHERE gr = 'K' GROUP BY sch";

#[test]
fn a_question_about_schools_waits_and_runs_once_as_it_was_approved() {
    let desk = Desk::with_star();
    desk.run(["people", "add", "b1", "--name", "Board One", "--role", "board"]).done();
    let ask = |more: &[&str]| {
        let all = [&["ask", "-m", "star-1", "--rho", "0.02"], more, &[BY_SCHOOL]].concat();
        desk.run_with(&all, "")
    };
    let preview = ask(&["--preview"]).done().text();
    assert!(preview.contains("the board decides on it first: no-ranking"), "{preview}");
    assert_eq!(desk.logged("escalation"), 0, "a preview asks nobody");

    let waiting =
        ask(&["--justification", "to find classes that need help", "--format", "json"]).exits(5).json();
    let id = waiting["waiting"]["approval"].to_string();
    assert!(waiting["waiting"]["reasons"][0].as_str().unwrap().contains("順位付け"), "{waiting}");
    ask(&[]).exits(5).says(["the board decides", "open", &format!("approvals show {id}")]);
    assert_eq!((desk.logged("escalation"), desk.logged("question")), (1, 0), "one case, and nothing charged");

    let listed = desk.run(["approvals", "list"]).done().text();
    assert!(listed.starts_with(&format!("{id}\topen\tquestion\tstar-1\t")), "{listed}");
    let shown = desk.run(["approvals", "show", &id]).done().text();
    for word in [BY_SCHOOL, "to find classes that need help", "no-ranking", "少人数学級", "0.02"] {
        assert!(shown.contains(word), "no {word:?} in {shown}");
    }
    desk.run(["approvals", "vote", &id, "reject", "--as", "b1"]).exits(2).says(["say why"]);
    desk.run(["approvals", "vote", &id, "ask-back", "--as", "b1", "--reason", "which classes?"]).done();
    ask(&[]).exits(5).says(["asked-back"]);
    desk.run(["approvals", "answer", &id, "--as", "r1", "those of 1985"]).done();
    desk.run(["approvals", "vote", &id, "approve", "--as", "r1"])
        .exits(3)
        .says(["only a member of the board"]);
    let decided = desk.run(["approvals", "vote", &id, "approve", "--as", "b1"]).done().text();
    assert!(decided.contains("approved"), "{decided}");

    // Another price, another constant, another form: another question.
    let changed = BY_SCHOOL.replace("'K'", "'1'");
    desk.ask(["--rho", "0.02", &changed]).exits(5);
    desk.ask(["--rho", "0.03", BY_SCHOOL]).exits(5);
    let answer = ask(&["--format", "json"]).done().json();
    assert_eq!(answer["replayed"], false);
    assert!(answer["rows"].as_array().unwrap().len() > 50);
    let again = ask(&["--format", "json"]).done().json();
    assert_eq!(again["replayed"], true, "what was released is on record");
    ask(&["--fresh"]).exits(5).says(["open"]);

    let rejected = desk.run(["approvals", "list", "--format", "json"]).done().json();
    let last = rejected.as_array().unwrap().iter().find(|case| case["state"] == "open").unwrap();
    let last = last["approval"].to_string();
    desk.run(["approvals", "vote", &last, "reject", "--as", "b1", "--reason", "once is enough"]).done();
    let shown = desk.run(["approvals", "show", &last]).done().text();
    assert!(shown.contains("rejected") && shown.contains("once is enough"), "{shown}");
    desk.run(["log", "verify"]).done();
}
