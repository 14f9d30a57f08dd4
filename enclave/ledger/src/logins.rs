//! Log-ins: names with passwords or subjects of an identity provider, the people they stand for, and the secrets that
//! were handed out: invitations, sessions, tokens.
//!
//! What a password is, and whether one is right, is the caller's to know. Of secrets only SHA-256 is kept; they have 256
//! random bits, so that a digest says nothing of them.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use crate::documents::object;
use crate::factor::{LOCKED_MINUTES, WRONG_CODES};
use crate::log::{LeafKind, LogPosition};
use crate::people::{read_time, time_text};
use crate::stamp::Stamp;
use crate::store::{Ledger, LedgerError};

/// A name to log in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogIn {
    /// The name.
    pub name: String,
    /// Argon2id in PHC form; `None` where only an identity provider lets in.
    pub password: Option<String>,
    /// `ISSUER SUBJECT` of an identity provider.
    pub subject: Option<String>,
    /// Until when no password is taken.
    pub locked: Option<DateTime<Utc>>,
    /// Whom it stands for: of the register, or `MEMORANDUM/PERSON`.
    pub people: BTreeSet<String>,
}

impl LogIn {
    /// Whether no password is taken now.
    pub fn is_locked(&self, now: DateTime<Utc>) -> bool {
        self.locked.is_some_and(|until| now < until)
    }
}

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// To found the enclave: the first steward.
    SetUp,
    /// To make a log-in for a person, or to add the person to one.
    Invitation,
    /// Handed out at log-in.
    Session,
    /// For programs.
    Token,
}

impl SecretKind {
    /// As it stands in the table.
    pub fn name(self) -> &'static str {
        match self {
            SecretKind::SetUp => "set-up",
            SecretKind::Invitation => "invitation",
            SecretKind::Session => "session",
            SecretKind::Token => "token",
        }
    }

    fn of(name: &str) -> Option<SecretKind> {
        [SecretKind::SetUp, SecretKind::Invitation, SecretKind::Session, SecretKind::Token]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// A secret that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Number by which it is listed and ended.
    pub id: u64,
    /// What it is for.
    pub kind: SecretKind,
    /// The log-in of a session or token; the person of an invitation; empty for a set-up.
    pub owner: String,
    /// What a token is called.
    pub label: String,
    /// What it lets do, in the caller's words.
    pub scope: String,
    /// When it was handed out.
    pub issued: DateTime<Utc>,
    /// When it was used last; not each use is kept.
    pub seen: DateTime<Utc>,
    /// When it is good no more.
    pub expires: DateTime<Utc>,
    /// When it was used up, or taken back.
    pub ended: Option<DateTime<Utc>>,
}

/// A secret to hand out.
#[derive(Debug, Clone)]
pub struct NewSecret<'a> {
    /// SHA-256 of it.
    pub digest: [u8; 32],
    /// What it is for.
    pub kind: SecretKind,
    /// See [`Secret::owner`].
    pub owner: &'a str,
    /// See [`Secret::label`].
    pub label: &'a str,
    /// See [`Secret::scope`].
    pub scope: &'a str,
    /// When it is good no more.
    pub expires: DateTime<Utc>,
}

/// What becomes of the log-in of an invited person.
#[derive(Debug, Clone, Copy)]
pub enum Joining<'a> {
    /// A new name.
    New {
        /// The name.
        name: &'a str,
        /// Argon2id in PHC form.
        password: Option<&'a str>,
        /// `ISSUER SUBJECT`.
        subject: Option<&'a str>,
    },
    /// One that is there already.
    Existing(&'a str),
}

/// Why nobody joins.
#[derive(Debug, thiserror::Error)]
pub enum LogInError {
    /// Another one has it.
    #[error("the log-in `{0}` is taken; choose another name")]
    Taken(String),
    /// Used, ended, too old, or never handed out.
    #[error("this invitation is not good any more: ask a steward for a new one")]
    NotInvited,
    /// Nothing was changed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<rusqlite::Error> for LogInError {
    fn from(error: rusqlite::Error) -> Self {
        LogInError::Ledger(error.into())
    }
}

impl Ledger {
    /// Hands out a secret. That somebody was invited, or made a token, is a leaf; a session is one by its log-in, and the
    /// set-up by whom it registers. Of the invitations of one person the newest alone is good.
    pub fn hand_out<'s>(&self, stamp: impl Into<Stamp<'s>>, new: &NewSecret<'_>) -> Result<u64, LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            if matches!(new.kind, SecretKind::Invitation | SecretKind::Token) {
                let mut own = object(json!({ "act": new.kind.name(), "expires": time_text(new.expires) }));
                // The owner of a token is a log-in, which is the person's own word: the log has people only.
                if new.kind == SecretKind::Invitation {
                    own.insert("person".to_owned(), new.owner.into());
                }
                writer.leaf(stamp, LeafKind::People, own, json!({}))?;
            }
            if matches!(new.kind, SecretKind::Invitation | SecretKind::SetUp) {
                end_invitations(&writer.transaction, stamp.at, new.kind, new.owner)?;
            }
            let at = time_text(stamp.at);
            writer.transaction.execute(
                "INSERT INTO secret (digest, kind, owner, label, scope, issued, seen, expires)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)",
                params![
                    new.digest,
                    new.kind.name(),
                    new.owner,
                    new.label,
                    new.scope,
                    at,
                    time_text(new.expires)
                ],
            )?;
            Ok(u64::try_from(writer.transaction.last_insert_rowid()).unwrap_or_default())
        })
    }

    /// The secret of this digest, used, ended or not.
    pub fn secret(&self, digest: &[u8; 32]) -> Result<Option<Secret>, LedgerError> {
        self.read(|transaction| by_digest(transaction, digest))
    }

    /// What was handed out to an owner, the newest first.
    pub fn secrets(&self, kind: SecretKind, owner: &str) -> Result<Vec<Secret>, LedgerError> {
        self.read(|transaction| {
            let query = format!("{SECRET} WHERE kind = ?1 AND owner = ?2 ORDER BY id DESC");
            let mut statement = transaction.prepare_cached(&query)?;
            let mut rows = statement.query([kind.name(), owner])?;
            let mut secrets = Vec::new();
            while let Some(row) = rows.next()? {
                secrets.push(secret(row)?);
            }
            Ok(secrets)
        })
    }

    /// Notes that a secret is in use, not more often than `every`.
    pub fn note_used(&self, at: DateTime<Utc>, secret: &Secret, every: Duration) -> Result<(), LedgerError> {
        if at - secret.seen < every {
            return Ok(());
        }
        let update = "UPDATE secret SET seen = ?2 WHERE id = ?1";
        self.lock().execute(update, params![secret.id, time_text(at)])?;
        Ok(())
    }

    /// Ends a session or token of a log-in; one of somebody else stays. Says whether there was one.
    pub fn end_secret(&self, at: DateTime<Utc>, login: &str, id: u64) -> Result<bool, LedgerError> {
        let update = "UPDATE secret SET ended = ?3
                      WHERE id = ?1 AND owner = ?2 AND kind IN ('session', 'token') AND ended IS NULL";
        let Ok(id) = i64::try_from(id) else { return Ok(false) };
        Ok(self.lock().execute(update, params![id, login, time_text(at)])? > 0)
    }

    /// Ends every session and token of a log-in.
    pub fn end_secrets<'s>(&self, stamp: impl Into<Stamp<'s>>, login: &str) -> Result<(), LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let people = people_of(&writer.transaction, login)?;
            let own = object(json!({ "act": "log-out", "people": people }));
            writer.leaf(stamp, LeafKind::People, own, json!({}))?;
            let update = "UPDATE secret SET ended = ?2
                          WHERE owner = ?1 AND kind IN ('session', 'token') AND ended IS NULL";
            writer.transaction.execute(update, params![login, time_text(stamp.at)])?;
            Ok(())
        })
    }

    /// Uses up an invitation: the person it is for is from now on behind that log-in, and behind no other.
    pub fn take_up<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        invitation: &[u8; 32],
        person: &str,
        joining: Joining<'_>,
    ) -> Result<LogPosition, LogInError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let good = by_digest(&writer.transaction, invitation)?
                .filter(|found| matches!(found.kind, SecretKind::Invitation | SecretKind::SetUp))
                .filter(|found| found.ended.is_none() && stamp.at < found.expires)
                .filter(|found| found.kind == SecretKind::SetUp || found.owner == person);
            let Some(good) = good else { return Err(LogInError::NotInvited) };
            let name = match joining {
                Joining::New { name, password, subject } => {
                    if by_name(&writer.transaction, name)?.is_some() {
                        return Err(LogInError::Taken(name.to_owned()));
                    }
                    writer.transaction.execute(
                        "INSERT INTO login (name, password, subject) VALUES (?1, ?2, ?3)",
                        params![name, password, subject],
                    )?;
                    name
                }
                Joining::Existing(name) => name,
            };
            let own = object(json!({ "act": "join", "person": person }));
            let position = writer.leaf(stamp, LeafKind::People, own, json!({}))?;
            writer.transaction.execute(
                "INSERT INTO login_person (person, login) VALUES (?1, ?2)
                 ON CONFLICT (person) DO UPDATE SET login = ?2",
                [person, name],
            )?;
            end_invitations(&writer.transaction, stamp.at, good.kind, &good.owner)?;
            Ok(position)
        })
    }

    /// A log-in by its name.
    pub fn login(&self, name: &str) -> Result<Option<LogIn>, LedgerError> {
        self.read(|transaction| by_name(transaction, name))
    }

    /// The log-in of a subject of an identity provider.
    pub fn login_of_subject(&self, subject: &str) -> Result<Option<LogIn>, LedgerError> {
        self.read(|transaction| {
            let query = "SELECT name FROM login WHERE subject = ?1";
            let name: Option<String> =
                transaction.prepare_cached(query)?.query_row([subject], |row| row.get(0)).optional()?;
            name.map_or(Ok(None), |name| by_name(transaction, &name))
        })
    }

    /// The log-in behind which a person is.
    pub fn login_of_person(&self, person: &str) -> Result<Option<String>, LedgerError> {
        self.read(|transaction| {
            let query = "SELECT login FROM login_person WHERE person = ?1";
            Ok(transaction.prepare_cached(query)?.query_row([person], |row| row.get(0)).optional()?)
        })
    }

    /// Another password.
    pub fn set_password<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        name: &str,
        password: &str,
    ) -> Result<(), LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let people = people_of(&writer.transaction, name)?;
            let own = object(json!({ "act": "password", "people": people }));
            writer.leaf(stamp, LeafKind::People, own, json!({}))?;
            let update = "UPDATE login SET password = ?2, wrong = 0, locked = NULL WHERE name = ?1";
            writer.transaction.execute(update, [name, password])?;
            Ok(())
        })
    }

    /// A log-in that succeeded: a leaf for everybody it stands for. `false`, and none, where wrong attempts that ran beside
    /// it have locked it meanwhile; what an identity provider vouches for is not held up by wrong passwords.
    pub fn logged_in<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        login: &LogIn,
        method: &str,
    ) -> Result<bool, LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let now = by_name(&writer.transaction, &login.name)?;
            if login.password.is_some() && now.is_none_or(|now| now.is_locked(stamp.at)) {
                return Ok(false);
            }
            let people: Vec<&str> = login.people.iter().map(String::as_str).collect();
            let own = object(json!({ "people": people, "outcome": "passed", "method": method }));
            writer.leaf(stamp, LeafKind::LogIn, own, json!({}))?;
            writer
                .transaction
                .execute("UPDATE login SET wrong = 0, locked = NULL WHERE name = ?1", [&login.name])?;
            Ok(true)
        })
    }

    /// A right password without the second factor that belongs to it: a leaf, as a wrong password is, so that the size of the
    /// log does not tell the two apart. It is not counted.
    pub fn factor_missing<'s>(&self, stamp: impl Into<Stamp<'s>>, login: &LogIn) -> Result<(), LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let people: Vec<&str> = login.people.iter().map(String::as_str).collect();
            let own = object(json!({ "people": people, "outcome": "wrong", "method": "second factor" }));
            writer.leaf(stamp, LeafKind::LogIn, own, json!({}))?;
            Ok(())
        })
    }

    /// Counts a wrong password; after [`WRONG_CODES`] of them none is taken for [`LOCKED_MINUTES`]. Every attempt is a leaf,
    /// also for a name that is not there (`None`) or is locked: the log grows by the same, whoever is tried.
    pub fn wrong_password<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        login: Option<&LogIn>,
    ) -> Result<(), LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let name = login.map(|login| login.name.as_str()).unwrap_or_default();
            let outcome = count_wrong(&writer.transaction, stamp.at, LOG_INS, name)?;
            let people: Vec<&str> =
                login.iter().flat_map(|login| &login.people).map(String::as_str).collect();
            let own = object(json!({ "people": people, "outcome": outcome, "method": "password" }));
            writer.leaf(stamp, LeafKind::LogIn, own, json!({}))?;
            Ok(())
        })
    }
}

/// A table that counts wrong attempts, and its key.
pub(crate) type Attempts = (&'static str, &'static str);
/// Wrong passwords and signatures, by log-in.
pub(crate) const LOG_INS: Attempts = ("login", "name");
/// Wrong codes, by owner.
pub(crate) const FACTORS: Attempts = ("factor", "person");

/// Counts a wrong attempt: the [`WRONG_CODES`]th in a row locks for [`LOCKED_MINUTES`]. While it is locked neither count nor
/// lock changes: what was on its way when it was locked does not open it again. The outcome, for the leaf.
pub(crate) fn count_wrong(
    connection: &Connection,
    at: DateTime<Utc>,
    (table, key): Attempts,
    name: &str,
) -> Result<&'static str, LedgerError> {
    let query = format!("SELECT wrong, locked FROM {table} WHERE {key} = ?1");
    let before: Option<(u32, Option<String>)> = connection
        .prepare_cached(&query)?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((before, locked)) = before else { return Ok("wrong") };
    if locked.map(|until| read_time(&until)).transpose()?.is_some_and(|until| at < until) {
        return Ok("wrong");
    }
    let locks = before + 1 >= WRONG_CODES;
    let until = locks.then(|| time_text(at + Duration::minutes(LOCKED_MINUTES)));
    let update = format!("UPDATE {table} SET wrong = ?2, locked = ?3 WHERE {key} = ?1");
    connection.execute(&update, params![name, if locks { 0 } else { before + 1 }, until])?;
    Ok(if locks { "locked" } else { "wrong" })
}

/// Ends what was handed out to an owner and not taken up.
pub(crate) fn end_invitations(
    connection: &Connection,
    at: DateTime<Utc>,
    kind: SecretKind,
    owner: &str,
) -> Result<(), LedgerError> {
    let update = "UPDATE secret SET ended = ?3 WHERE kind = ?1 AND owner = ?2 AND ended IS NULL";
    connection.execute(update, params![kind.name(), owner, time_text(at)])?;
    Ok(())
}

fn by_name(connection: &Connection, name: &str) -> Result<Option<LogIn>, LedgerError> {
    let query = "SELECT password, subject, locked FROM login WHERE name = ?1";
    let found: Option<(Option<String>, Option<String>, Option<String>)> = connection
        .prepare_cached(query)?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((password, subject, locked)) = found else { return Ok(None) };
    let people = people_of(connection, name)?.into_iter().collect();
    let locked = locked.map(|until| read_time(&until)).transpose()?;
    Ok(Some(LogIn { name: name.to_owned(), password, subject, locked, people }))
}

/// Whether wrong attempts have locked a log-in.
pub(crate) fn login_is_locked(
    connection: &Connection,
    at: DateTime<Utc>,
    name: &str,
) -> Result<bool, LedgerError> {
    Ok(by_name(connection, name)?.is_some_and(|login| login.is_locked(at)))
}

/// Whom a log-in stands for.
pub(crate) fn people_of(connection: &Connection, login: &str) -> Result<Vec<String>, LedgerError> {
    let query = "SELECT person FROM login_person WHERE login = ?1 ORDER BY person";
    let mut statement = connection.prepare_cached(query)?;
    let people = statement.query_map([login], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(people)
}

const SECRET: &str = "SELECT id, kind, owner, label, scope, issued, seen, expires, ended FROM secret";

fn by_digest(connection: &Connection, digest: &[u8; 32]) -> Result<Option<Secret>, LedgerError> {
    let mut statement = connection.prepare_cached(&format!("{SECRET} WHERE digest = ?1"))?;
    let mut rows = statement.query([digest])?;
    rows.next()?.map(secret).transpose()
}

fn secret(row: &Row<'_>) -> Result<Secret, LedgerError> {
    let kind: String = row.get(1)?;
    let kind = SecretKind::of(&kind)
        .ok_or_else(|| LedgerError::Damaged("the kind of a secret does not read".to_owned()))?;
    let moment = |text: String| read_time(&text);
    let ended: Option<String> = row.get(8)?;
    Ok(Secret {
        id: row.get(0)?,
        kind,
        owner: row.get(2)?,
        label: row.get(3)?,
        scope: row.get(4)?,
        issued: moment(row.get(5)?)?,
        seen: moment(row.get(6)?)?,
        expires: moment(row.get(7)?)?,
        ended: ended.map(moment).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::LogKey;

    fn ledger(folder: &std::path::Path) -> Ledger {
        let key = LogKey::from_pkcs8(&LogKey::generate().unwrap()).unwrap();
        Ledger::create(&folder.join("ledger.db"), "enclave.example/log", key).unwrap()
    }

    fn invite(ledger: &Ledger, person: &str, digest: u8) {
        let (kind, expires) = (SecretKind::Invitation, Utc::now() + Duration::days(1));
        let new = NewSecret { digest: [digest; 32], kind, owner: person, label: "", scope: "", expires };
        ledger.hand_out(Utc::now(), &new).unwrap();
    }

    fn join(ledger: &Ledger, person: &str, digest: u8, name: &str) -> Result<LogPosition, LogInError> {
        let joining = Joining::New { name, password: Some("hash"), subject: None };
        ledger.take_up(Utc::now(), &[digest; 32], person, joining)
    }

    #[test]
    fn of_the_invitations_of_one_person_the_newest_alone_is_good() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path());
        invite(&ledger, "b1", 1);
        invite(&ledger, "b2", 2);
        invite(&ledger, "b1", 3);
        assert!(matches!(join(&ledger, "b1", 1, "early"), Err(LogInError::NotInvited)));
        join(&ledger, "b1", 3, "sato").unwrap();
        join(&ledger, "b2", 2, "abe").unwrap();
        assert!(matches!(join(&ledger, "b1", 3, "again"), Err(LogInError::NotInvited)));
    }

    #[test]
    fn an_invitation_is_void_once_the_person_has_other_roles() {
        use memoranda::PersonRole::{Board, Researcher};
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path());
        let (id, roles) = ("b1", BTreeSet::from([Researcher]));
        let add = crate::PersonChange::Add { id, name: "B. One", roles: &roles };
        ledger.change_person(Utc::now(), &add).unwrap();
        invite(&ledger, id, 1);
        let roles = BTreeSet::from([Board]);
        ledger.change_person(Utc::now(), &crate::PersonChange::Roles { id, roles: &roles }).unwrap();
        assert!(matches!(join(&ledger, id, 1, "sato"), Err(LogInError::NotInvited)));
    }

    #[test]
    fn who_has_a_log_in_of_that_name_ends_nobodys_invitation() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path());
        invite(&ledger, "star-1/r1", 1);
        join(&ledger, "star-1/r1", 1, "b1").unwrap();
        invite(&ledger, "b1", 2);
        let invitation = ledger.secret(&[2; 32]).unwrap().unwrap();
        assert!(!ledger.end_secret(Utc::now(), "b1", invitation.id).unwrap());
        assert!(!ledger.end_secret(Utc::now(), "b1", u64::MAX).unwrap());
        join(&ledger, "b1", 2, "sato").unwrap();
    }

    /// Many attempts run beside each other, and each has read the log-in before the first was counted.
    #[test]
    fn what_was_on_its_way_when_a_log_in_was_locked_does_not_open_it() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path());
        invite(&ledger, "b1", 1);
        join(&ledger, "b1", 1, "sato").unwrap();
        ledger.enrol_factor(Utc::now(), "@sato", "sealed").unwrap();
        let (now, read) = (Utc::now(), ledger.login("sato").unwrap().unwrap());
        for _ in 0..2 * WRONG_CODES {
            ledger.wrong_password(now, Some(&read)).unwrap();
            ledger.wrong_code(now, "@sato").unwrap();
        }
        ledger.wrong_passkey(now, "sato").unwrap();
        assert!(ledger.login("sato").unwrap().unwrap().is_locked(now));
        assert!(ledger.factor("@sato").unwrap().unwrap().is_locked(now));
        assert!(!ledger.logged_in(now, &read, "password").unwrap());
        let later = now + Duration::minutes(LOCKED_MINUTES);
        assert!(ledger.logged_in(later, &read, "password").unwrap());
    }
}
