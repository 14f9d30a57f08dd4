//! Passkeys (WebAuthn) of a log-in: the sealed state of each, when it was used, and who has just signed with one.
//!
//! What a passkey is, and whether it signed, is the caller's to know: here are only sealed bytes. The log has the people
//! that a log-in stands for; its name, and what its passkeys are called, are their own words.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};
use serde_json::json;

use crate::documents::object;
use crate::log::{LeafKind, LogPosition};
use crate::logins::{LOG_INS, count_wrong, login_is_locked, people_of};
use crate::people::{read_time, time_text};
use crate::stamp::Stamp;
use crate::store::{Ledger, LedgerError};

/// The most passkeys of one log-in.
pub const PASSKEYS: usize = 16;
/// How they are called in the log, as act and as method.
const PASSKEY: &str = "passkey";

/// A passkey, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPasskey {
    /// Number by which it is listed and removed.
    pub id: u64,
    /// Whose it is.
    pub login: String,
    /// What its owner calls it.
    pub label: String,
    /// What its authenticator calls it.
    pub credential: Vec<u8>,
    /// Public key, counter and the like, sealed.
    pub sealed: String,
    /// When it was enrolled.
    pub created: DateTime<Utc>,
    /// When it signed last.
    pub used: Option<DateTime<Utc>>,
}

/// A passkey to keep.
#[derive(Debug, Clone, Copy)]
pub struct NewPasskey<'a> {
    /// See [`KeptPasskey::login`].
    pub login: &'a str,
    /// See [`KeptPasskey::label`].
    pub label: &'a str,
    /// See [`KeptPasskey::credential`].
    pub credential: &'a [u8],
    /// See [`KeptPasskey::sealed`].
    pub sealed: &'a str,
}

/// What became of a passkey that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasskeyAdded {
    /// It is there; its number.
    Added(u64),
    /// It is enrolled already, by this log-in or another.
    Taken,
    /// The log-in has [`PASSKEYS`].
    TooMany,
}

/// What became of a passkey that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasskeyRemoved {
    /// It is there no more.
    Removed,
    /// The log-in has none of this number.
    Missing,
    /// It is the last second factor, and stays.
    Last,
}

impl Ledger {
    /// One more passkey of a log-in.
    pub fn add_passkey<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        new: &NewPasskey<'_>,
    ) -> Result<PasskeyAdded, LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let query = "SELECT EXISTS (SELECT 1 FROM passkey WHERE credential = ?1)";
            let taken: bool = writer.transaction.query_row(query, [new.credential], |row| row.get(0))?;
            if taken {
                return Ok(PasskeyAdded::Taken);
            }
            if of_login(&writer.transaction, new.login)?.len() >= PASSKEYS {
                return Ok(PasskeyAdded::TooMany);
            }
            let people = people_of(&writer.transaction, new.login)?;
            let own = object(json!({ "act": PASSKEY, "change": "added", "people": people }));
            writer.leaf(stamp, LeafKind::People, own, json!({}))?;
            writer.transaction.execute(
                "INSERT INTO passkey (login, label, credential, sealed, created) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![new.login, new.label, new.credential, new.sealed, time_text(stamp.at)],
            )?;
            let id = u64::try_from(writer.transaction.last_insert_rowid()).unwrap_or_default();
            Ok(PasskeyAdded::Added(id))
        })
    }

    /// The passkeys of a log-in, the oldest first.
    pub fn passkeys(&self, login: &str) -> Result<Vec<KeptPasskey>, LedgerError> {
        self.read(|transaction| of_login(transaction, login))
    }

    /// Removes a passkey of a log-in; where `keep_one`, not its last second factor.
    pub fn remove_passkey<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        login: &str,
        id: u64,
        keep_one: bool,
    ) -> Result<PasskeyRemoved, LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let kept = of_login(&writer.transaction, login)?;
            if !kept.iter().any(|passkey| passkey.id == id) {
                return Ok(PasskeyRemoved::Missing);
            }
            let query = "SELECT EXISTS (SELECT 1 FROM factor WHERE person = ?1 AND confirmed = 1)";
            let codes: bool = writer.transaction.query_row(query, [owner(login)], |row| row.get(0))?;
            if keep_one && kept.len() == 1 && !codes {
                return Ok(PasskeyRemoved::Last);
            }
            let people = people_of(&writer.transaction, login)?;
            let own = object(json!({ "act": PASSKEY, "change": "removed", "people": people }));
            writer.leaf(stamp, LeafKind::People, own, json!({}))?;
            writer.transaction.execute("DELETE FROM passkey WHERE id = ?1", [id])?;
            // What was shown may have been this one.
            writer.transaction.execute("DELETE FROM step_up WHERE person = ?1", [owner(login)])?;
            Ok(PasskeyRemoved::Removed)
        })
    }

    /// Takes a signature that a passkey, as it was `before`, has made: from now on it is `sealed`. The leaf is a log-in,
    /// which later questions refer to. `None` where the passkey was removed, its counter went on, or the log-in
    /// was locked, since it was read.
    pub fn step_up_by<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        before: &KeptPasskey,
        sealed: &str,
    ) -> Result<Option<LogPosition>, LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            if login_is_locked(&writer.transaction, stamp.at, &before.login)? {
                return Ok(None);
            }
            let at = time_text(stamp.at);
            let replaced = writer.transaction.execute(
                "UPDATE passkey SET sealed = ?3, used = ?4 WHERE id = ?1 AND sealed = ?2",
                params![before.id, before.sealed, sealed, at],
            )?;
            if replaced == 0 {
                return Ok(None);
            }
            let people = people_of(&writer.transaction, &before.login)?;
            let own = object(json!({ "people": people, "outcome": "passed", "method": PASSKEY }));
            let position = writer.leaf(stamp, LeafKind::LogIn, own, json!({}))?;
            writer.transaction.execute(
                "INSERT INTO step_up (leaf, person, at) VALUES (?1, ?2, ?3)",
                params![position.index, owner(&before.login), at],
            )?;
            Ok(Some(position))
        })
    }

    /// Counts a signature that does not hold among the wrong passwords: after [`WRONG_CODES`](crate::WRONG_CODES) of either, neither
    /// password nor passkey is taken for [`LOCKED_MINUTES`](crate::LOCKED_MINUTES).
    pub fn wrong_passkey<'s>(&self, stamp: impl Into<Stamp<'s>>, login: &str) -> Result<(), LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let outcome = count_wrong(&writer.transaction, stamp.at, LOG_INS, login)?;
            let people = people_of(&writer.transaction, login)?;
            let own = object(json!({ "people": people, "outcome": outcome, "method": PASSKEY }));
            writer.leaf(stamp, LeafKind::LogIn, own, json!({}))?;
            Ok(())
        })
    }
}

/// Whose second factor it is among those of people.
fn owner(login: &str) -> String {
    format!("@{login}")
}

fn of_login(connection: &Connection, login: &str) -> Result<Vec<KeptPasskey>, LedgerError> {
    let query = "SELECT id, login, label, credential, sealed, created, used FROM passkey
                 WHERE login = ?1 ORDER BY id";
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([login])?;
    let mut kept = Vec::new();
    while let Some(row) = rows.next()? {
        kept.push(passkey(row)?);
    }
    Ok(kept)
}

fn passkey(row: &Row<'_>) -> Result<KeptPasskey, LedgerError> {
    let created: String = row.get(5)?;
    let used: Option<String> = row.get(6)?;
    Ok(KeptPasskey {
        id: row.get(0)?,
        login: row.get(1)?,
        label: row.get(2)?,
        credential: row.get(3)?,
        sealed: row.get(4)?,
        created: read_time(&created)?,
        used: used.map(|at| read_time(&at)).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::Duration;

    use super::*;
    use crate::{Joining, LogKey, NewSecret, SecretKind, WRONG_CODES};

    const NEW: NewPasskey<'_> =
        NewPasskey { login: "sato", label: "blue key", credential: &[1, 2, 3], sealed: "one" };

    /// A ledger in which the log-in `sato` stands for two people.
    fn ledger(folder: &std::path::Path) -> Ledger {
        let key = LogKey::from_pkcs8(&LogKey::generate().unwrap()).unwrap();
        let ledger = Ledger::create(&folder.join("ledger.db"), "enclave.example/log", key).unwrap();
        let now = Utc::now();
        for (number, person) in ["s1", "star-1/r1"].into_iter().enumerate() {
            let digest = [u8::try_from(number).unwrap(); 32];
            let (kind, expires) = (SecretKind::Invitation, now + Duration::days(1));
            ledger
                .hand_out(now, &NewSecret { digest, kind, owner: person, label: "", scope: "", expires })
                .unwrap();
            let joining = match number {
                0 => Joining::New { name: "sato", password: Some("hash"), subject: None },
                _ => Joining::Existing("sato"),
            };
            ledger.take_up(now, &digest, person, joining).unwrap();
        }
        ledger
    }

    fn body(ledger: &Ledger, index: u64) -> String {
        ledger.leaf(index).unwrap().unwrap().body
    }

    #[test]
    fn the_log_has_people_and_neither_log_in_nor_label() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path());
        let (now, before) = (Utc::now(), ledger.size().unwrap());
        let PasskeyAdded::Added(id) = ledger.add_passkey(now, &NEW).unwrap() else { unreachable!() };
        let kept = ledger.passkeys("sato").unwrap().remove(0);
        assert!(ledger.step_up_by(now, &kept, "two").unwrap().is_some());
        assert!(ledger.stepped_up("@sato").unwrap().is_some());
        ledger.wrong_passkey(now, "sato").unwrap();
        assert_eq!(ledger.remove_passkey(now, "sato", id, false).unwrap(), PasskeyRemoved::Removed);
        assert!(ledger.stepped_up("@sato").unwrap().is_none());
        for (index, kind) in (before..).zip(["people", "log-in", "log-in", "people"]) {
            let body = body(&ledger, index);
            assert!(body.contains(&format!(r#""kind":"{kind}""#)), "{body}");
            assert!(body.contains(r#""people":["s1","star-1/r1"]"#), "{body}");
            assert!(!body.contains("sato") && !body.contains("blue"), "{body}");
        }
        assert_eq!(ledger.size().unwrap(), before + 4);
        ledger.verify().unwrap();
    }

    #[test]
    fn a_passkey_is_enrolled_once_and_a_log_in_has_few() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path());
        let now = Utc::now();
        assert!(matches!(ledger.add_passkey(now, &NEW).unwrap(), PasskeyAdded::Added(_)));
        assert_eq!(ledger.add_passkey(now, &NEW).unwrap(), PasskeyAdded::Taken);
        for number in 1..PASSKEYS {
            let credential = [u8::try_from(number).unwrap()];
            let added = ledger.add_passkey(now, &NewPasskey { credential: &credential, ..NEW }).unwrap();
            assert!(matches!(added, PasskeyAdded::Added(_)));
        }
        let more = ledger.add_passkey(now, &NewPasskey { credential: &[255], ..NEW }).unwrap();
        assert_eq!(more, PasskeyAdded::TooMany);
    }

    /// Two signatures over one counter: one of them is a copy's.
    #[test]
    fn a_signature_over_an_older_state_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path());
        let now = Utc::now();
        ledger.add_passkey(now, &NEW).unwrap();
        let kept = ledger.passkeys("sato").unwrap().remove(0);
        assert!(ledger.step_up_by(now, &kept, "two").unwrap().is_some());
        assert!(ledger.step_up_by(now, &kept, "two, of the copy").unwrap().is_none());
        let kept = ledger.passkeys("sato").unwrap().remove(0);
        assert_eq!((kept.sealed.as_str(), kept.used.is_some()), ("two", true));
        assert!(ledger.step_up_by(now, &kept, "three").unwrap().is_some());
    }

    #[test]
    fn the_last_one_stays_where_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path());
        let now = Utc::now();
        let PasskeyAdded::Added(id) = ledger.add_passkey(now, &NEW).unwrap() else { unreachable!() };
        assert_eq!(ledger.remove_passkey(now, "sato", id + 1, true).unwrap(), PasskeyRemoved::Missing);
        assert_eq!(ledger.remove_passkey(now, "other", id, false).unwrap(), PasskeyRemoved::Missing);
        assert_eq!(ledger.remove_passkey(now, "sato", id, true).unwrap(), PasskeyRemoved::Last);
        ledger.enrol_factor(now, "@sato", "sealed").unwrap();
        assert_eq!(ledger.remove_passkey(now, "sato", id, true).unwrap(), PasskeyRemoved::Last);
        ledger.use_code(now, "@sato", 1).unwrap();
        assert_eq!(ledger.remove_passkey(now, "sato", id, true).unwrap(), PasskeyRemoved::Removed);
    }

    #[test]
    fn wrong_ones_lock_the_log_in() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path());
        let now = Utc::now();
        let locked = |ledger: &Ledger| ledger.login("sato").unwrap().unwrap().is_locked(now);
        for _ in 1..WRONG_CODES {
            ledger.wrong_passkey(now, "sato").unwrap();
            assert!(!locked(&ledger));
        }
        ledger.wrong_passkey(now, "sato").unwrap();
        assert!(locked(&ledger));
    }
}
