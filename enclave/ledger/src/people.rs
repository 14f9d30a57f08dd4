//! The register of people: who they are, what they may do, when they were seen last. Every change is a leaf.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use memoranda::PersonRole;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};

use crate::documents::object;
use crate::log::{self, LeafKind, LogPosition};
use crate::logins::{SecretKind, end_invitations};
use crate::stamp::Stamp;
use crate::store::{Ledger, LedgerError};

/// Days without being seen after which a person is dormant, where no policy says otherwise.
pub const DORMANT_DAYS: u32 = 180;
/// Name of the policy in its table and leaf.
const DORMANT: &str = "dormant_days";

/// A person of the register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// As in `--as ID`.
    pub id: String,
    /// Name for the log.
    pub name: String,
    /// What the person may do; at least one.
    pub roles: BTreeSet<PersonRole>,
    /// When the person was registered.
    pub since: DateTime<Utc>,
    /// When the person last did something, or was renewed; days, not seconds, are kept.
    pub seen: DateTime<Utc>,
    /// When the person was removed.
    pub ended: Option<DateTime<Utc>>,
}

impl Registered {
    /// Whether the person is there and holds the role.
    pub fn holds(&self, role: PersonRole) -> bool {
        self.ended.is_none() && self.roles.contains(&role)
    }

    /// Whether the person was not seen for longer than `days`.
    pub fn is_dormant(&self, now: DateTime<Utc>, days: u32) -> bool {
        now - self.seen > Duration::days(i64::from(days))
    }
}

/// A change of the register.
#[derive(Debug, Clone)]
pub enum PersonChange<'a> {
    /// Somebody new, or somebody who was removed, again.
    Add {
        /// As in `--as ID`.
        id: &'a str,
        /// Name for the log.
        name: &'a str,
        /// At least one.
        roles: &'a BTreeSet<PersonRole>,
    },
    /// Other roles.
    Roles {
        /// Who.
        id: &'a str,
        /// At least one.
        roles: &'a BTreeSet<PersonRole>,
    },
    /// No longer there.
    Remove {
        /// Who.
        id: &'a str,
    },
}

/// Why the register is not changed.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// Not there.
    #[error("nobody is registered as `{0}`; `enclave people list` shows who is")]
    Unknown(String),
    /// There already.
    #[error("`{0}` is registered already; `enclave people role` changes what they may do")]
    Known(String),
    /// Without a steward nobody could act.
    #[error("`{0}` is the last steward: register another one first")]
    LastSteward(String),
    /// A role is needed.
    #[error("a person has at least one role")]
    NoRole,
    /// Who proposes does not also decide.
    #[error("one person is not both steward and member of the board: what needs two people would need one")]
    TwoHats,
    /// Nothing was changed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<rusqlite::Error> for PeopleError {
    fn from(error: rusqlite::Error) -> Self {
        PeopleError::Ledger(error.into())
    }
}

impl Ledger {
    /// Changes the register; the leaf says what the person may do from now on.
    pub fn change_person<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        change: &PersonChange<'_>,
    ) -> Result<LogPosition, PeopleError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let (act, id, name, roles) = match change {
                PersonChange::Add { id, name, roles } => ("add", *id, Some(*name), Some(*roles)),
                PersonChange::Roles { id, roles } => ("role", *id, None, Some(*roles)),
                PersonChange::Remove { id } => ("remove", *id, None, None),
            };
            let before = person(&writer.transaction, id)?;
            let here = before.as_ref().filter(|person| person.ended.is_none());
            match (name.is_some(), here) {
                (true, Some(_)) => return Err(PeopleError::Known(id.to_owned())),
                (false, None) => return Err(PeopleError::Unknown(id.to_owned())),
                _ => {}
            }
            roles.map_or(Ok(()), check_roles)?;
            let leaves_office = here.is_some_and(|person| person.holds(PersonRole::Steward))
                && roles.is_none_or(|roles| !roles.contains(&PersonRole::Steward));
            if leaves_office && stewards(&writer.transaction)? < 2 {
                return Err(PeopleError::LastSteward(id.to_owned()));
            }
            let name = name.or(here.map(|person| person.name.as_str())).unwrap_or_default();
            let roles = roles.or(here.map(|person| &person.roles)).cloned().unwrap_or_default();
            let own = object(json!({
                "act": act, "person": id, "name": name, "roles": roles_text(&roles),
            }));
            let position = writer.leaf(stamp, LeafKind::People, own, json!({}))?;
            let ended = matches!(change, PersonChange::Remove { .. }).then_some(position.index);
            writer.transaction.execute(
                "INSERT INTO person (id, name, roles, since, changed, ended) VALUES (?1, ?2, ?3, ?4, ?4, NULL)
                 ON CONFLICT (id) DO UPDATE SET name = ?2, roles = ?3, changed = ?4, ended = ?5",
                params![id, name, roles_text(&roles), position.index, ended],
            )?;
            // What was handed out was for what the person was then.
            end_invitations(&writer.transaction, stamp.at, SecretKind::Invitation, id)?;
            if act == "add" {
                put_seen(&writer.transaction, id, stamp.at)?;
            }
            Ok(position)
        })
    }

    /// A dormant person, of the register or `MEMORANDUM/PERSON`, is let in again.
    pub fn renew_person<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        id: &str,
    ) -> Result<LogPosition, LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let own = object(json!({ "act": "renew", "person": id }));
            let position = writer.leaf(stamp, LeafKind::People, own, json!({}))?;
            put_seen(&writer.transaction, id, stamp.at)?;
            Ok(position)
        })
    }

    /// After how many days without being seen people are dormant.
    pub fn set_dormant_days<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        days: u32,
    ) -> Result<LogPosition, LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let own = object(json!({ "act": "policy", "dormant_days": days }));
            let position = writer.leaf(stamp, LeafKind::People, own, json!({}))?;
            writer.transaction.execute(
                "INSERT INTO policy (name, value, leaf) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET value = ?2, leaf = ?3",
                params![DORMANT, days, position.index],
            )?;
            Ok(position)
        })
    }

    /// The policy in force.
    pub fn dormant_days(&self) -> Result<u32, LedgerError> {
        self.read(|transaction| {
            let query = "SELECT value FROM policy WHERE name = ?1";
            let days =
                transaction.prepare_cached(query)?.query_row([DORMANT], |row| row.get(0)).optional()?;
            Ok(days.unwrap_or(DORMANT_DAYS))
        })
    }

    /// Everybody who is or was registered, by id.
    pub fn people(&self) -> Result<Vec<Registered>, LedgerError> {
        self.read(|transaction| people(transaction, None))
    }

    /// One person, also one who was removed.
    pub fn registered(&self, id: &str) -> Result<Option<Registered>, LedgerError> {
        self.read(|transaction| person(transaction, id))
    }

    /// Whether a steward was ever registered: from then on, every act is somebody's.
    pub fn founded(&self) -> Result<bool, LedgerError> {
        self.read(|transaction| {
            let query = "SELECT EXISTS (SELECT 1 FROM person WHERE ' ' || roles || ' ' LIKE '% steward %')";
            Ok(transaction.prepare_cached(query)?.query_row([], |row| row.get(0))?)
        })
    }

    /// When somebody, of the register or `MEMORANDUM/PERSON`, was seen last.
    pub fn seen(&self, id: &str) -> Result<Option<DateTime<Utc>>, LedgerError> {
        self.read(|transaction| read_seen(transaction, id))
    }

    /// Notes that somebody is here. Written once a day, and no leaf: what they do is one.
    pub fn note_seen(&self, at: DateTime<Utc>, id: &str) -> Result<(), LedgerError> {
        let seen = self.seen(id)?;
        if seen.is_some_and(|seen| at - seen < Duration::days(1)) {
            return Ok(());
        }
        put_seen(&self.lock(), id, at)
    }
}

/// Whether one person may have these roles together.
pub fn check_roles(roles: &BTreeSet<PersonRole>) -> Result<(), PeopleError> {
    if roles.is_empty() {
        return Err(PeopleError::NoRole);
    }
    if roles.contains(&PersonRole::Steward) && roles.contains(&PersonRole::Board) {
        return Err(PeopleError::TwoHats);
    }
    Ok(())
}

/// Roles as they stand in table and leaf: `board custodian`, in one order.
fn roles_text(roles: &BTreeSet<PersonRole>) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(" ")
}

fn stewards(connection: &Connection) -> Result<usize, LedgerError> {
    Ok(people(connection, None)?.iter().filter(|person| person.holds(PersonRole::Steward)).count())
}

fn person(connection: &Connection, id: &str) -> Result<Option<Registered>, LedgerError> {
    Ok(people(connection, Some(id))?.pop())
}

fn people(connection: &Connection, id: Option<&str>) -> Result<Vec<Registered>, LedgerError> {
    let query = "SELECT id, name, roles, since, ended FROM person WHERE ?1 IS NULL OR id = ?1 ORDER BY id";
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query([id])?;
    let mut people = Vec::new();
    while let Some(row) = rows.next()? {
        people.push(registered(connection, row)?);
    }
    Ok(people)
}

fn registered(connection: &Connection, row: &Row<'_>) -> Result<Registered, LedgerError> {
    let (id, roles): (String, String) = (row.get(0)?, row.get(2)?);
    let read: Option<BTreeSet<PersonRole>> = roles.split_whitespace().map(PersonRole::of).collect();
    let roles = read.ok_or_else(|| LedgerError::Damaged(format!("the roles of `{id}` do not read")))?;
    let since = moment(connection, row.get(3)?)?;
    let ended: Option<u64> = row.get(4)?;
    let ended = ended.map(|leaf| moment(connection, leaf)).transpose()?;
    let seen = read_seen(connection, &id)?.unwrap_or(since);
    Ok(Registered { id, name: row.get(1)?, roles, since, seen, ended })
}

/// When a leaf was written.
fn moment(connection: &Connection, leaf: u64) -> Result<DateTime<Utc>, LedgerError> {
    let query = "SELECT position, body FROM leaf WHERE position = ?1";
    connection.prepare_cached(query)?.query_row([leaf], |row| Ok(log::leaf(row)))?.map(|leaf| leaf.at)
}

fn read_seen(connection: &Connection, id: &str) -> Result<Option<DateTime<Utc>>, LedgerError> {
    let query = "SELECT at FROM seen WHERE person = ?1";
    let at: Option<String> =
        connection.prepare_cached(query)?.query_row([id], |row| row.get(0)).optional()?;
    at.map(|at| read_time(&at)).transpose()
}

pub(crate) fn put_seen(connection: &Connection, id: &str, at: DateTime<Utc>) -> Result<(), LedgerError> {
    let insert = "INSERT INTO seen (person, at) VALUES (?1, ?2) ON CONFLICT (person) DO UPDATE SET at = ?2";
    connection.execute(insert, [id, &time_text(at)])?;
    Ok(())
}

pub(crate) fn time_text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(crate) fn read_time(text: &str) -> Result<DateTime<Utc>, LedgerError> {
    let read = DateTime::parse_from_rfc3339(text);
    read.map(|at| at.to_utc()).map_err(|_| LedgerError::Damaged("a moment does not read".to_owned()))
}

/// What a leaf says of the table of people: id, name, roles, and whether the person is there; `None` where it says
/// nothing of it.
pub(crate) fn implied(fields: &Value) -> Option<Vec<String>> {
    let text = |key: &str| fields[key].as_str().map(str::to_owned);
    let act = text("act")?;
    let here = matches!(act.as_str(), "add" | "role");
    (here || act == "remove").then_some(())?;
    Some(vec![text("person")?, text("name")?, text("roles")?, here.to_string()])
}
