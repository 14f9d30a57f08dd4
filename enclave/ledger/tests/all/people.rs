//! The register of people, second factors, and memoranda that are amended.

use std::collections::BTreeSet;

use crate::common::*;
use chrono::Duration;
use ledger::{
    AmendError, CodeUse, DocumentKind, LedgerError, PeopleError, PersonChange, Recomputed, Stamp, WRONG_CODES,
};
use memoranda::{Memorandum, Person, PersonRole};
use serde_json::{Value, json};

fn roles<const N: usize>(roles: [PersonRole; N]) -> BTreeSet<PersonRole> {
    BTreeSet::from(roles)
}

#[test]
fn every_change_of_the_register_is_a_leaf() {
    let place = Place::new();
    let ledger = place.create();
    let change = |second, change: PersonChange<'_>| {
        ledger.change_person(Stamp { at: at(second), by: Some("founder") }, &change)
    };
    assert!(!ledger.founded().unwrap());
    let board = roles([PersonRole::Board]);
    change(0, PersonChange::Add { id: "b1", name: "B", roles: &board }).unwrap();
    assert!(!ledger.founded().unwrap(), "a board alone founds nothing");
    let steward = roles([PersonRole::Steward]);
    let added = change(1, PersonChange::Add { id: "s1", name: "S", roles: &steward }).unwrap();
    assert!(ledger.founded().unwrap());
    let leaf: Value = serde_json::from_str(&ledger.leaf(added.index).unwrap().unwrap().body).unwrap();
    assert_eq!(
        (&leaf["kind"], &leaf["act"], &leaf["person"], &leaf["roles"], &leaf["by"]),
        (&json!("people"), &json!("add"), &json!("s1"), &json!("steward"), &json!("founder"))
    );

    let size = ledger.size().unwrap();
    let again = change(2, PersonChange::Add { id: "s1", name: "S", roles: &steward });
    assert!(matches!(again, Err(PeopleError::Known(_))));
    let nobody = change(2, PersonChange::Remove { id: "s9" });
    assert!(matches!(nobody, Err(PeopleError::Unknown(_))));
    let last = change(2, PersonChange::Remove { id: "s1" });
    assert!(matches!(last, Err(PeopleError::LastSteward(_))));
    let last = change(2, PersonChange::Roles { id: "s1", roles: &board });
    assert!(matches!(last, Err(PeopleError::LastSteward(_))));
    let hats = roles([PersonRole::Steward, PersonRole::Board]);
    assert!(matches!(change(2, PersonChange::Roles { id: "b1", roles: &hats }), Err(PeopleError::TwoHats)));
    let none = roles([]);
    assert!(matches!(change(2, PersonChange::Roles { id: "b1", roles: &none }), Err(PeopleError::NoRole)));
    assert_eq!(ledger.size().unwrap(), size, "what is refused changes nothing");

    let two = roles([PersonRole::Steward, PersonRole::Custodian]);
    change(3, PersonChange::Add { id: "s2", name: "S2", roles: &two }).unwrap();
    change(4, PersonChange::Remove { id: "s1" }).unwrap();
    let gone = ledger.registered("s1").unwrap().unwrap();
    assert_eq!((gone.ended, gone.holds(PersonRole::Steward)), (Some(at(4)), false));
    assert!(ledger.registered("s2").unwrap().unwrap().holds(PersonRole::Custodian));
    assert!(ledger.founded().unwrap());
    change(5, PersonChange::Add { id: "s1", name: "S again", roles: &steward }).unwrap();
    assert!(ledger.registered("s1").unwrap().unwrap().holds(PersonRole::Steward));
    assert_eq!(ledger.people().unwrap().len(), 3);
    place.open().verify().unwrap();
}

#[test]
fn a_register_that_the_log_does_not_tell_of_is_found_out() {
    let place = Place::new();
    let ledger = place.create();
    let board = roles([PersonRole::Board]);
    ledger.change_person(at(0), &PersonChange::Add { id: "b1", name: "B", roles: &board }).unwrap();
    ledger.verify().unwrap();
    let database = rusqlite::Connection::open(place.path()).unwrap();
    database.execute("UPDATE person SET roles = 'custodian' WHERE id = 'b1'", []).unwrap();
    assert_eq!(ledger.verify().unwrap_err().len(), 1);
}

#[test]
fn who_is_not_seen_becomes_dormant() {
    let place = Place::new();
    let ledger = place.create();
    let board = roles([PersonRole::Board]);
    ledger.change_person(at(0), &PersonChange::Add { id: "b1", name: "B", roles: &board }).unwrap();
    let dormant = |now| {
        let days = ledger.dormant_days().unwrap();
        ledger.registered("b1").unwrap().unwrap().is_dormant(now, days)
    };
    assert_eq!(ledger.dormant_days().unwrap(), 180);
    assert!(!dormant(at(0) + Duration::days(180)) && dormant(at(1) + Duration::days(180)));
    ledger.note_seen(at(0) + Duration::days(100), "b1").unwrap();
    assert!(!dormant(at(0) + Duration::days(280)));
    ledger.set_dormant_days(at(1), 30).unwrap();
    assert!(dormant(at(0) + Duration::days(131)));
    ledger.renew_person(at(0) + Duration::days(131), "b1").unwrap();
    assert!(!dormant(at(0) + Duration::days(131)));
    ledger.verify().unwrap();
}

#[test]
fn a_code_is_used_once_and_guessing_ends() {
    let place = Place::new();
    let ledger = place.create();
    assert_eq!(ledger.use_code(at(0), "m/r1", 7).unwrap(), CodeUse::Closed);
    ledger.enrol_factor(at(0), "m/r1", "sealed").unwrap();
    assert!(!ledger.factor("m/r1").unwrap().unwrap().confirmed);
    assert!(matches!(ledger.use_code(at(1), "m/r1", 7).unwrap(), CodeUse::Taken(_)));
    assert!(ledger.factor("m/r1").unwrap().unwrap().confirmed);
    for step in [7, 6] {
        assert_eq!(ledger.use_code(at(2), "m/r1", step).unwrap(), CodeUse::UsedUp);
    }
    assert_eq!(ledger.stepped_up("m/r1").unwrap(), Some(at(1)));
    for _ in 0..WRONG_CODES {
        assert!(!ledger.factor("m/r1").unwrap().unwrap().is_locked(at(3)));
        ledger.wrong_code(at(3), "m/r1").unwrap();
    }
    assert_eq!(ledger.use_code(at(4), "m/r1", 8).unwrap(), CodeUse::Closed);
    let later = at(3) + Duration::minutes(15);
    assert!(matches!(ledger.use_code(later, "m/r1", 8).unwrap(), CodeUse::Taken(_)));
    ledger.enrol_factor(at(9), "m/r1", "another").unwrap();
    assert_eq!(ledger.stepped_up("m/r1").unwrap(), None, "a log-in belongs to its factor");
    ledger.verify().unwrap();
}

fn version(version: u32, rho_micro: u64) -> Memorandum {
    Memorandum { version, ..memorandum("m1", rho_micro) }
}

#[test]
fn an_amendment_changes_what_is_promised_not_what_was_charged() {
    let place = Place::new();
    let ledger = place.create();
    let first = version(1, 500);
    ledger.sign(at(0), &first, "one", Some(micro(700))).unwrap();
    ledger.debit(at(1), &question("m1", 1), cost(100, 0.0)).unwrap();
    let amend = |before: &Memorandum, after: &Memorandum| {
        let text = format!("version {}", after.version);
        ledger.amend(at(2), before, after, &text, json!({ "difference": ["~ allotment"] }))
    };
    assert!(matches!(amend(&first, &version(2, 99)), Err(AmendError::Charged { .. })));
    assert!(matches!(amend(&first, &version(2, 701)), Err(AmendError::Pool { .. })));
    assert!(matches!(amend(&first, &version(1, 600)), Err(AmendError::Version(1))));
    let pure = Memorandum { version: 2, ..pure_memorandum("m1", 10_000) };
    assert!(matches!(amend(&first, &pure), Err(AmendError::Guarantee)));
    assert_eq!(ledger.size().unwrap(), 2);

    let joined = Person { id: "r2".to_owned(), name: "R".to_owned(), role: PersonRole::Researcher };
    let second = Memorandum { people: vec![joined], ..version(3, 700) };
    amend(&first, &second).unwrap();
    let account = ledger.account("m1").unwrap().unwrap();
    assert_eq!((account.allotment, account.charged), (Some(micro(700)), micro(100)));
    assert_eq!(ledger.latest(DocumentKind::Memorandum, "m1").unwrap().unwrap().version, "3");
    assert_eq!(ledger.document(DocumentKind::Memorandum, "m1", "1").unwrap().unwrap().text, "one");
    assert_eq!(ledger.seen("m1/r2").unwrap(), Some(at(2)));
    // Somebody else was quicker: the difference would be another one.
    assert!(matches!(amend(&first, &version(4, 600)), Err(AmendError::Version(3))));
    amend(&second, &version(4, 100)).unwrap();
    assert!(ledger.debit(at(3), &question("m1", 2), cost(1, 0.0)).is_err());
    assert!(ledger.recomputed().unwrap().iter().all(Recomputed::agrees));
    ledger.end_memorandum(at(4), "m1").unwrap();
    let ended = amend(&version(4, 100), &version(5, 200));
    assert!(matches!(ended, Err(AmendError::Ledger(LedgerError::Ended(_)))));
    place.open().verify().unwrap();
}

#[test]
fn a_pool_grows_with_its_contract_and_never_below_its_charges() {
    let place = Place::new();
    let ledger = place.create();
    let publish =
        |version: &str, pool| ledger.publish_contract(at(0), CONTRACT, version, version, json!({}), pool);
    publish("1.0.0", Some(micro(100))).unwrap();
    ledger.sign(at(1), &memorandum("m1", 500), "m1", Some(micro(100))).unwrap();
    ledger.debit(at(2), &question("m1", 1), cost(60, 0.0)).unwrap();
    assert!(ledger.debit(at(3), &question("m1", 2), cost(60, 0.0)).is_err());
    publish("1.1.0", Some(micro(200))).unwrap();
    ledger.debit(at(4), &question("m1", 3), cost(60, 0.0)).unwrap();
    assert!(matches!(publish("1.2.0", Some(micro(119))), Err(LedgerError::PoolCharged { .. })));
    publish("1.2.0", None).unwrap();
    let pool = ledger.pool(CONTRACT).unwrap().unwrap();
    assert_eq!((pool.allotment, pool.charged), (None, micro(120)));
    ledger.sign(at(5), &memorandum("m2", 500), "m2", None).unwrap();
    ledger.verify().unwrap();
}

#[test]
fn a_pure_allotment_is_amended_in_epsilon() {
    let place = Place::new();
    let ledger = place.create();
    let first = pure_memorandum("m1", 1_000_000);
    ledger.sign(at(0), &first, "one", None).unwrap();
    let loss = disclosure_rules::account::Loss::Pure(epsilon(400_000));
    ledger.debit(at(1), &question("m1", 1), loss).unwrap();
    let amend = |micro| {
        let after = Memorandum { version: 2, ..pure_memorandum("m1", micro) };
        ledger.amend(at(2), &first, &after, "two", json!({}))
    };
    assert!(matches!(amend(399_999), Err(AmendError::Charged { .. })));
    amend(2_000_000).unwrap();
    let pure = ledger.account("m1").unwrap().unwrap().pure.unwrap();
    assert_eq!((pure.allotment, pure.charged), (epsilon(2_000_000), epsilon(400_000)));
    ledger.verify().unwrap();
}
