//! What waits for the board: decided by others than whoever asks, used once and in time, and all of it in the log.

use chrono::Duration;
use disclosure_rules::PlanDigest;
use ledger::{Approval, Case, CaseState, DebitError, Ledger, LedgerError, Question, Vote, VoteError};
use serde_json::json;

use crate::common::{Place, at, cost, digest, memorandum, question};

fn escalate(ledger: &Ledger, digest: PlanDigest, votes: u32) -> Approval {
    let file = json!({ "sql": "SELECT sch, AVG(math) FROM results GROUP BY sch" });
    let case = Case {
        subject: "question",
        digest,
        memorandum: Some("m"),
        person: "r1",
        votes,
        days: 30,
        file: &file,
        facts: json!({ "sql": "SELECT sch, AVG(math) FROM results GROUP BY sch" }),
    };
    ledger.escalate(at(1), &case).unwrap()
}

fn signed() -> (Place, Ledger) {
    let place = Place::new();
    let ledger = place.create();
    ledger.sign(at(0), &memorandum("m", 1_000), "m", None).unwrap();
    (place, ledger)
}

fn approved_question(byte: u8, approval: u64) -> Question<'static> {
    Question { approval: Some(approval), ..question("m", byte) }
}

#[test]
fn what_was_approved_runs_once() {
    let (place, ledger) = signed();
    let case = escalate(&ledger, digest(1), 1);
    assert_eq!(escalate(&ledger, digest(1), 1).id, case.id, "the same case again, not a second one");
    assert_eq!(ledger.approved(at(2), digest(1), Some("m"), "r1").unwrap(), None);
    let debit =
        |byte: u8, second: u32| ledger.debit(at(second), &approved_question(byte, case.id), cost(10, 0.0));
    let refused =
        |outcome| matches!(outcome, Err(DebitError::Ledger(LedgerError::NotApproved(id))) if id == case.id);
    assert!(refused(debit(1, 2)), "before the vote");
    ledger.vote(at(3), case.id, "b1", Vote::Approve, "").unwrap();
    assert_eq!(ledger.approved(at(4), digest(1), Some("m"), "r1").unwrap(), Some(case.id));
    assert_eq!(ledger.approved(at(4), digest(1), Some("m"), "r2").unwrap(), None, "another person");
    assert_eq!(ledger.approved(at(4), digest(2), Some("m"), "r1").unwrap(), None, "another question");
    assert!(refused(debit(2, 4)), "another question with the number of the approval");
    assert_eq!(ledger.account("m").unwrap().unwrap().charged.micro(), 0, "nothing was charged so far");
    debit(1, 5).unwrap();
    assert!(refused(debit(1, 6)), "twice");
    assert_eq!(ledger.approval(case.id).unwrap().unwrap().state(at(7)), CaseState::Used);
    assert_ne!(escalate(&ledger, digest(1), 1).id, case.id, "a new case is needed");
    ledger.verify().unwrap();
    drop(ledger);

    // What is stored about votes is what the log says; the control is the line above.
    for change in [
        "UPDATE vote SET person = 'b2'",
        "DELETE FROM vote",
        "UPDATE approval SET used = NULL",
        "UPDATE approval SET votes = 2",
    ] {
        let copy = place.copy();
        rusqlite::Connection::open(copy.path()).unwrap().execute_batch(change).unwrap();
        assert!(copy.open().verify().is_err(), "{change}");
    }
}

#[test]
fn an_approval_lapses() {
    let (_place, ledger) = signed();
    let case = escalate(&ledger, digest(1), 1);
    let decided = ledger.vote(at(3), case.id, "b1", Vote::Approve, "").unwrap();
    assert_eq!(decided.state(at(3)), CaseState::Approved(at(3) + Duration::days(30)));
    let late = at(4) + Duration::days(30);
    assert_eq!(decided.state(late), CaseState::Lapsed);
    let outcome = ledger.debit(late, &approved_question(1, case.id), cost(10, 0.0));
    assert!(matches!(outcome, Err(DebitError::Ledger(LedgerError::NotApproved(_)))));
    let undecided = escalate(&ledger, digest(2), 1);
    assert_eq!(undecided.state(late), CaseState::Lapsed, "nobody decided in time");
}

#[test]
fn votes_are_of_others_one_each_and_blind_at_first() {
    let (_place, ledger) = signed();
    let case = escalate(&ledger, digest(1), 2);
    let vote = |person: &str, vote, reason: &str| ledger.vote(at(5), case.id, person, vote, reason);
    assert!(matches!(vote("r1", Vote::Approve, ""), Err(VoteError::Own(_))));
    assert!(matches!(vote("b1", Vote::Reject, " "), Err(VoteError::NoReason)));
    assert!(matches!(ledger.vote(at(5), 99, "b1", Vote::Approve, ""), Err(VoteError::Unknown(99))));
    let asked = vote("b1", Vote::AskBack, "why each school?").unwrap();
    assert_eq!(asked.state(at(6)), CaseState::AskedBack);
    assert_eq!(vote("r1", Vote::Answer, "to find outliers").unwrap().state(at(6)), CaseState::Open);
    let first = vote("b1", Vote::Approve, "fine").unwrap();
    assert_eq!(first.state(at(6)), CaseState::Open, "two are needed");
    let seen =
        |reader| first.cast_for(reader, at(6)).iter().filter(|cast| cast.vote == Vote::Approve).count();
    assert_eq!((seen(Some("b2")), seen(None), seen(Some("b1"))), (0, 0, 1));
    assert!(matches!(vote("b1", Vote::Reject, "no"), Err(VoteError::Twice(_))));
    let second = vote("b2", Vote::Approve, "").unwrap();
    assert!(matches!(second.state(at(6)), CaseState::Approved(_)));
    assert_eq!(second.cast_for(None, at(6)).len(), second.cast.len(), "decided: open to all");
    assert!(matches!(vote("b3", Vote::Approve, ""), Err(VoteError::Closed(_, "approved"))));

    let other = escalate(&ledger, digest(2), 2);
    let rejected = ledger.vote(at(6), other.id, "b2", Vote::Reject, "too close to schools").unwrap();
    assert_eq!(rejected.state(at(7)), CaseState::Rejected, "one is enough");
    ledger.verify().unwrap();
}
