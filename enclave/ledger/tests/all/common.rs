//! A ledger in a folder of its own, and a memorandum of any size.

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, Utc};
use disclosure_rules::account::PureEpsilon;
use disclosure_rules::{Cost, Delta, PlanDigest, Rho};
use ledger::{Ledger, LogKey, Question, ReplayKey};
use memoranda::memorandum::{Allotment, PureAllotment};
use memoranda::{Bilingual, Memorandum};
use serde_json::json;

pub(crate) const ORIGIN: &str = "enclave.example/log";
pub(crate) const CONTRACT: &str = "star";

pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pkcs8: Vec<u8>,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap(), pkcs8: LogKey::generate().unwrap().to_vec() }
    }

    /// The same ledger once more; `self` has none open.
    pub(crate) fn copy(&self) -> Place {
        let copy = Place { dir: tempfile::tempdir().unwrap(), pkcs8: self.pkcs8.clone() };
        std::fs::copy(self.path(), copy.path()).unwrap();
        copy
    }

    /// The same while it is open here.
    pub(crate) fn copy_open(&self) -> Place {
        let copy = Place { dir: tempfile::tempdir().unwrap(), pkcs8: self.pkcs8.clone() };
        let other = rusqlite::Connection::open(self.path()).unwrap();
        other.execute("VACUUM INTO ?1", [copy.path().to_str().unwrap()]).unwrap();
        copy
    }

    pub(crate) fn key(&self) -> LogKey {
        LogKey::from_pkcs8(&self.pkcs8).unwrap()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("ledger.db")
    }

    pub(crate) fn create(&self) -> Ledger {
        Ledger::create(&self.path(), ORIGIN, self.key()).unwrap()
    }

    pub(crate) fn open(&self) -> Ledger {
        Ledger::open(&self.path(), self.key()).unwrap()
    }
}

pub(crate) fn at(second: u32) -> DateTime<Utc> {
    DateTime::from_timestamp(1_775_000_000 + i64::from(second), 0).unwrap()
}

pub(crate) fn micro(micro: u64) -> Rho {
    Rho::from_micro(micro).unwrap()
}

pub(crate) fn cost(rho_micro: u64, threshold_delta: f64) -> Cost {
    Cost { rho: micro(rho_micro), threshold_delta }
}

pub(crate) fn memorandum(id: &str, rho_micro: u64) -> Memorandum {
    let text = |en: &str| Bilingual { en: en.to_owned(), ja: String::new() };
    Memorandum {
        id: id.to_owned(),
        version: 1,
        contract: CONTRACT.to_owned(),
        title: text("Class size"),
        institution: "A university".to_owned(),
        purpose: text("Whether class size matters"),
        use_cases: vec!["class-size".to_owned()],
        from: NaiveDate::from_ymd_opt(2026, 4, 1).unwrap(),
        until: NaiveDate::from_ymd_opt(2027, 3, 31).unwrap(),
        rules: "standard".to_owned(),
        people: Vec::new(),
        items: Vec::new(),
        allotment: Allotment {
            rho: micro(rho_micro),
            delta: Delta::new(1e-6).unwrap(),
            default_rho: micro(1),
            pure: None,
        },
    }
}

pub(crate) fn epsilon(micro: u64) -> PureEpsilon {
    PureEpsilon::from_micro(micro).unwrap()
}

/// A memorandum whose losses are pure.
pub(crate) fn pure_memorandum(id: &str, epsilon_micro: u64) -> Memorandum {
    let epsilon = epsilon(epsilon_micro);
    let pure = Some(PureAllotment { epsilon, default_epsilon: epsilon });
    let plain = memorandum(id, epsilon.rho().micro());
    Memorandum { allotment: Allotment { pure, ..plain.allotment }, ..plain }
}

pub(crate) fn digest(byte: u8) -> PlanDigest {
    PlanDigest([byte; 32])
}

pub(crate) fn question(memorandum: &str, byte: u8) -> Question<'_> {
    let facts = json!({ "sql": "SELECT COUNT(*) FROM results" });
    Question { memorandum, contract: CONTRACT, person: "r1", digest: digest(byte), approval: None, facts }
}

pub(crate) fn replay_key(memorandum: &str, byte: u8) -> ReplayKey<'_> {
    ReplayKey { memorandum, contract: CONTRACT, snapshot: "s1", digest: digest(byte) }
}
