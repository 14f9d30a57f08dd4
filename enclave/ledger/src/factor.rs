//! Second factors: the sealed secret of each person, which codes are used up, and who has just shown theirs.
//!
//! What a code is, and whether one is right, is the caller's to know: here are only sealed bytes and time steps.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value, json};

use crate::documents::object;
use crate::log::{LeafKind, LogPosition};
use crate::logins::{FACTORS, count_wrong, people_of};
use crate::people::{read_time, time_text};
use crate::stamp::Stamp;
use crate::store::{Ledger, LedgerError};

/// Wrong codes in a row after which a factor is locked.
pub const WRONG_CODES: u32 = 5;
/// For how many minutes it is locked.
pub const LOCKED_MINUTES: i64 = 15;

/// A person's second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factor {
    /// The secret, sealed.
    pub sealed: String,
    /// Whether the person has shown that they have it.
    pub confirmed: bool,
    /// The last time step whose code was used.
    pub step: u64,
    /// Wrong codes in a row.
    pub wrong: u32,
    /// Until when no code is taken.
    pub locked: Option<DateTime<Utc>>,
}

/// What became of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeUse {
    /// It was taken; its leaf.
    Taken(LogPosition),
    /// It, or a later one, was used before.
    UsedUp,
    /// There is no factor, or it is locked.
    Closed,
}

impl Ledger {
    /// A new factor of a person (of the register, or `MEMORANDUM/PERSON`), in place of the one before.
    pub fn enrol_factor<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        person: &str,
        sealed: &str,
    ) -> Result<LogPosition, LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let own = whose(&writer.transaction, person, json!({ "act": "factor" }))?;
            let position = writer.leaf(stamp, LeafKind::People, own, json!({}))?;
            writer.transaction.execute(
                "INSERT INTO factor (person, sealed) VALUES (?1, ?2)
                 ON CONFLICT (person) DO UPDATE SET sealed = ?2, confirmed = 0, step = 0",
                [person, sealed],
            )?;
            // A log-in was by the factor before.
            writer.transaction.execute("DELETE FROM step_up WHERE person = ?1", [person])?;
            Ok(position)
        })
    }

    /// A person's factor.
    pub fn factor(&self, person: &str) -> Result<Option<Factor>, LedgerError> {
        self.read(|transaction| factor(transaction, person))
    }

    /// Uses a right code of time step `step`, once. The leaf is a log-in, which later questions refer to; the first
    /// one confirms the factor.
    pub fn use_code<'s>(
        &self,
        stamp: impl Into<Stamp<'s>>,
        person: &str,
        step: u64,
    ) -> Result<CodeUse, LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            let Some(factor) = factor(&writer.transaction, person)? else { return Ok(CodeUse::Closed) };
            if factor.is_locked(stamp.at) {
                return Ok(CodeUse::Closed);
            }
            if step <= factor.step {
                return Ok(CodeUse::UsedUp);
            }
            let own = whose(&writer.transaction, person, json!({ "outcome": "passed" }))?;
            let position = writer.leaf(stamp, LeafKind::LogIn, own, json!({}))?;
            let update =
                "UPDATE factor SET confirmed = 1, step = ?2, wrong = 0, locked = NULL WHERE person = ?1";
            writer.transaction.execute(update, params![person, step])?;
            writer.transaction.execute(
                "INSERT INTO step_up (leaf, person, at) VALUES (?1, ?2, ?3)",
                params![position.index, person, time_text(stamp.at)],
            )?;
            Ok(CodeUse::Taken(position))
        })
    }

    /// Counts a wrong code; after [`WRONG_CODES`] of them the factor is locked for [`LOCKED_MINUTES`].
    pub fn wrong_code<'s>(&self, stamp: impl Into<Stamp<'s>>, person: &str) -> Result<(), LedgerError> {
        let stamp = stamp.into();
        self.write(|writer| {
            if factor(&writer.transaction, person)?.is_none() {
                return Ok(());
            }
            let outcome = count_wrong(&writer.transaction, stamp.at, FACTORS, person)?;
            let own = whose(&writer.transaction, person, json!({ "outcome": outcome }))?;
            writer.leaf(stamp, LeafKind::LogIn, own, json!({}))?;
            Ok(())
        })
    }

    /// When a person last showed the second factor.
    pub fn stepped_up(&self, person: &str) -> Result<Option<DateTime<Utc>>, LedgerError> {
        self.read(|transaction| {
            let query = "SELECT at FROM step_up WHERE person = ?1 ORDER BY leaf DESC LIMIT 1";
            let at: Option<String> =
                transaction.prepare_cached(query)?.query_row([person], |row| row.get(0)).optional()?;
            at.map(|at| read_time(&at)).transpose()
        })
    }
}

impl Factor {
    /// Whether no code is taken now.
    pub fn is_locked(&self, now: DateTime<Utc>) -> bool {
        self.locked.is_some_and(|until| now < until)
    }
}

/// Says whose factor it is. The owner of a log-in's is `@LOGIN`, a word of its person's own: the log has people only.
fn whose(connection: &Connection, owner: &str, mut own: Value) -> Result<Map<String, Value>, LedgerError> {
    match owner.strip_prefix('@') {
        Some(login) => own["people"] = people_of(connection, login)?.into(),
        None => own["person"] = owner.into(),
    }
    Ok(object(own))
}

fn factor(connection: &Connection, person: &str) -> Result<Option<Factor>, LedgerError> {
    let query = "SELECT sealed, confirmed, step, wrong, locked FROM factor WHERE person = ?1";
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query([person])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let locked: Option<String> = row.get(4)?;
    Ok(Some(Factor {
        sealed: row.get(0)?,
        confirmed: row.get(1)?,
        step: row.get(2)?,
        wrong: row.get(3)?,
        locked: locked.map(|until| read_time(&until)).transpose()?,
    }))
}
