//! Who was not seen for long is kept out, and a second factor is good for minutes, as the clock goes on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use chrono::{DateTime, Duration, Utc};
use gate::logins::{Scope, SessionLimits};
use gate::{Enclave, Failure, Request, Rule};
use memoranda::PersonRole;
use tests::{clock, question};

static MINUTES: AtomicI64 = AtomicI64::new(0);

fn moving() -> DateTime<Utc> {
    clock() + Duration::minutes(MINUTES.load(SeqCst))
}

fn pass(minutes: i64) {
    MINUTES.fetch_add(minutes, SeqCst);
}

const DAY: i64 = 24 * 60;

#[test]
fn time_takes_access_away() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let enclave = Enclave::create(&home, moving).unwrap();
    enclave.publish_contract(datasets_synthetic::STAR_CONTRACT).unwrap();
    enclave.sign_memorandum(include_str!("../../../memoranda/examples/star-1.toml")).unwrap();
    for (id, role) in [("b1", PersonRole::Board), ("c1", PersonRole::Custodian), ("s1", PersonRole::Steward)]
    {
        enclave.add_person(id, id, &BTreeSet::from([role])).unwrap();
    }
    drop(enclave);
    let by = |person: &str| Enclave::open(&home, moving).unwrap().acting_as(Some(person.to_owned()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Without records the question ends at `engine`: whoever asks was let in.
    let asked = || {
        let request =
            Request { memorandum: "star-1".to_owned(), ..question("SELECT COUNT(*) AS n FROM results") };
        let request = Request { price: gate::Price::Default, ..request };
        match runtime.block_on(by("r1").ask(&request)) {
            Err(Failure::Refused(refusal)) => refusal.rule,
            other => panic!("{other:?}"),
        }
    };
    let reads = |person: &str| by(person).people().map(drop).map_err(|error| error.to_string());

    assert_eq!(asked(), Rule::Engine);
    pass(179 * DAY);
    assert_eq!(asked(), Rule::Engine);
    reads("s1").unwrap();
    pass(2 * DAY);
    assert_eq!(asked(), Rule::Engine, "seen two days ago");
    assert!(reads("c1").unwrap_err().contains("was not seen for 180 days"));
    assert!(by("c1").renew_person("c1").is_err());
    by("s1").renew_person("c1").unwrap();
    reads("c1").unwrap();
    by("s1").set_dormant_days(30).unwrap();
    pass(31 * DAY);
    assert_eq!(asked(), Rule::Memorandum);
    // All are dormant: the steward is let in, and lets the others in.
    assert!(reads("b1").is_err());
    by("s1").renew_person("star-1/r1").unwrap();
    assert_eq!(asked(), Rule::Engine);
    assert!(by("s1").renew_person("star-1/r9").is_err());

    // A second factor.
    let (uri, _) = by("s1").enrol_factor("star-1/r1").unwrap();
    let secret = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap();
    assert!(secret.len() >= 32 && uri.starts_with("otpauth://totp/"), "160 bits");
    let fresh = |minutes| by("r1").stepped_up("r1", Some("star-1"), minutes).unwrap();
    assert!(!fresh(15));
    by("s1").ledger().use_code(moving(), "star-1/r1", 1).unwrap();
    assert!(fresh(15) && !by("r1").stepped_up("r1", None, 15).unwrap());
    pass(15);
    assert!(fresh(15));
    pass(1);
    assert!(!fresh(15) && fresh(16));
    pass(-20);
    assert!(!fresh(16), "a clock that was set back proves nothing");
    by("s1").ledger().verify().unwrap();
}

static LATER: AtomicI64 = AtomicI64::new(0);

fn later() -> DateTime<Utc> {
    clock() + Duration::minutes(LATER.load(SeqCst))
}

#[test]
fn sessions_and_tokens_end_by_themselves() {
    const PASSWORD: &str = "seventeen herons cross the bay";
    let dir = tempfile::tempdir().unwrap();
    let enclave = Enclave::create(&dir.path().join("home"), later).unwrap();
    enclave.add_person("c1", "C", &BTreeSet::from([PersonRole::Custodian])).unwrap();
    let (invitation, _) = enclave.invite("c1").unwrap();
    enclave.accept(&invitation, "chie", PASSWORD).unwrap();
    let limits = SessionLimits { idle: Duration::minutes(30), absolute: Duration::hours(12) };
    let log_in = || enclave.log_in("chie", PASSWORD, None, limits).unwrap();
    let good = |secret: &str| enclave.caller(secret, limits).is_ok();

    // Used every 29 minutes, it goes on until twelve hours are over.
    let (session, _) = log_in();
    for _ in 0..24 {
        LATER.fetch_add(29, SeqCst);
        assert!(good(&session));
    }
    LATER.fetch_add(12 * 60 - 24 * 29 - 1, SeqCst);
    assert!(good(&session));
    LATER.fetch_add(1, SeqCst);
    assert!(!good(&session));

    let (session, caller) = log_in();
    let (token, _) =
        enclave.issue_token(&caller, "notebook", &BTreeSet::from([Scope::Read]), None, 1).unwrap();
    LATER.fetch_add(31, SeqCst);
    assert!(!good(&session) && good(&token), "a token has its own term");
    LATER.fetch_add(DAY, SeqCst);
    assert!(!good(&token));
}
