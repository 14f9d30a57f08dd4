//! What waits for the board: a question, or an act, as it was asked; the votes on it; and its one use.
//!
//! A case is known by the index of its leaf. What was approved is what runs: the case holds the digest, and the use
//! is recorded in the transaction that charges the question, so that there is no second one.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use disclosure_rules::PlanDigest;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};

use crate::documents::object;
use crate::log::{LeafKind, LogPosition, Writer};
use crate::store::{Ledger, LedgerError};

/// What the board is asked.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// `question`, or the name of an act.
    pub subject: &'a str,
    /// Of the plan with its price, or of the act with its text.
    pub digest: PlanDigest,
    /// The memorandum that it is under; none for an act.
    pub memorandum: Option<&'a str>,
    /// Who asks.
    pub person: &'a str,
    /// How many members have to approve.
    pub votes: u32,
    /// For how many days an approval can be used.
    pub days: u32,
    /// What the board reads: SQL, preview, purpose, justification.
    pub file: &'a Value,
    /// What the log says of it: never more than everybody may read.
    pub facts: Value,
}

/// Where a case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseState {
    /// The board has not decided.
    Open,
    /// A member has asked back; the person has not answered yet.
    AskedBack,
    /// It may be used once, until then.
    Approved(DateTime<Utc>),
    /// A member rejected it.
    Rejected,
    /// It was used.
    Used,
    /// Its time has passed.
    Lapsed,
}

impl CaseState {
    /// As in listings.
    pub fn name(self) -> &'static str {
        match self {
            CaseState::Open => "open",
            CaseState::AskedBack => "asked-back",
            CaseState::Approved(_) => "approved",
            CaseState::Rejected => "rejected",
            CaseState::Used => "used",
            CaseState::Lapsed => "lapsed",
        }
    }
}

/// What a member says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vote {
    /// It may run.
    Approve,
    /// It may not.
    Reject,
    /// A question to whoever asks.
    AskBack,
    /// The answer to it, by whoever asks.
    Answer,
}

impl Vote {
    const ALL: [Vote; 4] = [Vote::Approve, Vote::Reject, Vote::AskBack, Vote::Answer];

    /// As in the leaf.
    pub fn name(self) -> &'static str {
        match self {
            Vote::Approve => "approve",
            Vote::Reject => "reject",
            Vote::AskBack => "ask-back",
            Vote::Answer => "answer",
        }
    }
}

/// A vote that was cast, or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    /// Whose.
    pub person: String,
    /// What.
    pub vote: Vote,
    /// Why; needed for all but an approval.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Index of its leaf.
    pub leaf: u64,
}

/// A case and its votes.
#[derive(Debug, Clone)]
pub struct Approval {
    /// Index of its leaf: its number.
    pub id: u64,
    /// `question`, or the name of an act.
    pub subject: String,
    /// What was asked.
    pub digest: PlanDigest,
    /// The memorandum.
    pub memorandum: Option<String>,
    /// Who asks.
    pub person: String,
    /// How many members have to approve.
    pub votes: u32,
    /// For how many days an approval can be used.
    pub days: u32,
    /// What the board reads.
    pub file: Value,
    /// When it was asked.
    pub at: DateTime<Utc>,
    /// Votes and answers, in their order.
    pub cast: Vec<Cast>,
    /// Index of the leaf of its use.
    pub used: Option<u64>,
}

/// Why a vote does not count.
#[derive(Debug, thiserror::Error)]
pub enum VoteError {
    /// No such case.
    #[error("there is no approval {0}; `enclave approvals list` shows them")]
    Unknown(u64),
    /// It is decided.
    #[error("approval {0} is {1}: no more votes are taken")]
    Closed(u64, &'static str),
    /// One vote each.
    #[error("`{0}` has voted on it already")]
    Twice(String),
    /// Nobody decides on what they ask themselves.
    #[error("`{0}` asks for it, and so cannot vote on it")]
    Own(String),
    /// A reason is owed.
    #[error("say why, with `--reason TEXT`")]
    NoReason,
    /// Nothing was changed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Approval {
    /// Where it stands at a moment.
    pub fn state(&self, now: DateTime<Utc>) -> CaseState {
        if self.used.is_some() {
            return CaseState::Used;
        }
        if self.cast.iter().any(|cast| cast.vote == Vote::Reject) {
            return CaseState::Rejected;
        }
        let approvals = self.cast.iter().filter(|cast| cast.vote == Vote::Approve);
        let term = Duration::days(i64::from(self.days));
        if let Some(last) = approvals.clone().map(|cast| cast.at).max()
            && approvals.count() >= self.votes as usize
        {
            let until = last + term;
            return if now <= until { CaseState::Approved(until) } else { CaseState::Lapsed };
        }
        if now > self.at + term {
            return CaseState::Lapsed;
        }
        match self.cast.iter().rfind(|cast| matches!(cast.vote, Vote::AskBack | Vote::Answer)) {
            Some(cast) if cast.vote == Vote::AskBack => CaseState::AskedBack,
            _ => CaseState::Open,
        }
    }

    /// Votes and answers as `reader` may see them: first votes are blind, so that a member who has not voted sees no
    /// other's vote until the case is decided.
    pub fn cast_for(&self, reader: Option<&str>, now: DateTime<Utc>) -> Vec<&Cast> {
        let decided = !matches!(self.state(now), CaseState::Open | CaseState::AskedBack);
        let voted: BTreeSet<&str> = self
            .cast
            .iter()
            .filter(|cast| matches!(cast.vote, Vote::Approve | Vote::Reject))
            .map(|cast| cast.person.as_str())
            .collect();
        let blind = self.votes > 1 && !decided && reader.is_none_or(|reader| !voted.contains(reader));
        let open = |cast: &&Cast| !blind || matches!(cast.vote, Vote::AskBack | Vote::Answer);
        self.cast.iter().filter(open).collect()
    }
}

impl Ledger {
    /// Puts a question or an act before the board; the same one that is waiting, or approved and not used, again.
    pub fn escalate(&self, at: DateTime<Utc>, case: &Case<'_>) -> Result<Approval, LedgerError> {
        self.write(|writer| {
            let same = cases(&writer.transaction, Some((case.digest, case.memorandum, case.person)))?;
            let live = |approval: &Approval| {
                matches!(approval.state(at), CaseState::Open | CaseState::AskedBack | CaseState::Approved(_))
            };
            if let Some(waiting) = same.into_iter().rfind(live) {
                return Ok(waiting);
            }
            let own = object(json!({
                "subject": case.subject,
                "digest": case.digest.to_string(),
                "memorandum": case.memorandum,
                "person": case.person,
                "votes": case.votes,
                "days": case.days,
            }));
            let position = writer.leaf(at, LeafKind::Escalation, own, case.facts.clone())?;
            writer.transaction.execute(
                "INSERT INTO approval (leaf, subject, digest, memorandum, person, votes, days, file)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    position.index,
                    case.subject,
                    case.digest.0,
                    case.memorandum,
                    case.person,
                    case.votes,
                    case.days,
                    case.file.to_string()
                ],
            )?;
            found(&writer.transaction, position.index)?
                .ok_or_else(|| LedgerError::Damaged("an approval is missing".to_owned()))
        })
    }

    /// All cases, in their order.
    pub fn approvals(&self) -> Result<Vec<Approval>, LedgerError> {
        self.read(|transaction| cases(transaction, None))
    }

    /// One case.
    pub fn approval(&self, id: u64) -> Result<Option<Approval>, LedgerError> {
        self.read(|transaction| found(transaction, id))
    }

    /// A vote, or an answer. Whether the person may vote at all is the caller's to know.
    pub fn vote(
        &self,
        at: DateTime<Utc>,
        id: u64,
        person: &str,
        vote: Vote,
        reason: &str,
    ) -> Result<Approval, VoteError> {
        if vote != Vote::Approve && reason.trim().is_empty() {
            return Err(VoteError::NoReason);
        }
        self.write(|writer| {
            let approval = found(&writer.transaction, id)?.ok_or(VoteError::Unknown(id))?;
            let state = approval.state(at);
            if !matches!(state, CaseState::Open | CaseState::AskedBack) {
                return Err(VoteError::Closed(id, state.name()));
            }
            if vote != Vote::Answer && approval.person == person {
                return Err(VoteError::Own(person.to_owned()));
            }
            let decides = |vote: Vote| matches!(vote, Vote::Approve | Vote::Reject);
            let before = |cast: &Cast| cast.person == person && decides(cast.vote);
            if decides(vote) && approval.cast.iter().any(before) {
                return Err(VoteError::Twice(person.to_owned()));
            }
            let own = object(json!({
                "approval": id, "digest": approval.digest.to_string(), "person": person, "vote": vote.name(),
                "reason": reason,
            }));
            let position = writer.leaf(at, LeafKind::Vote, own, json!({})).map_err(VoteError::from)?;
            let insert =
                "INSERT INTO vote (leaf, approval, person, vote, reason) VALUES (?1, ?2, ?3, ?4, ?5)";
            writer
                .transaction
                .execute(insert, params![position.index, id, person, vote.name(), reason])
                .map_err(LedgerError::from)?;
            found(&writer.transaction, id)?.ok_or(VoteError::Unknown(id))
        })
    }

    /// The approval that lets this run now.
    pub fn approved(
        &self,
        at: DateTime<Utc>,
        digest: PlanDigest,
        memorandum: Option<&str>,
        person: &str,
    ) -> Result<Option<u64>, LedgerError> {
        self.read(|transaction| usable(transaction, at, digest, memorandum, person))
    }

    /// Uses the approval of an act; `None` where there is none.
    pub fn use_approval(
        &self,
        at: DateTime<Utc>,
        digest: PlanDigest,
        person: &str,
    ) -> Result<Option<LogPosition>, LedgerError> {
        self.write(|writer| {
            let Some(id) = usable(&writer.transaction, at, digest, None, person)? else { return Ok(None) };
            let own = object(json!({ "approval": id, "digest": digest.to_string(), "person": person }));
            let position = writer.leaf(at, LeafKind::ApprovalUsed, own, json!({}))?;
            mark_used(writer, id, position.index)?;
            Ok(Some(position))
        })
    }
}

/// The approval that lets a question run now.
pub(crate) fn usable(
    connection: &Connection,
    at: DateTime<Utc>,
    digest: PlanDigest,
    memorandum: Option<&str>,
    person: &str,
) -> Result<Option<u64>, LedgerError> {
    let cases = cases(connection, Some((digest, memorandum, person)))?;
    let approved = cases.into_iter().find(|case| matches!(case.state(at), CaseState::Approved(_)));
    Ok(approved.map(|case| case.id))
}

/// No second use.
pub(crate) fn mark_used(writer: &Writer<'_>, id: u64, leaf: u64) -> Result<(), LedgerError> {
    let update = "UPDATE approval SET used = ?2 WHERE leaf = ?1 AND used IS NULL";
    match writer.transaction.execute(update, params![id, leaf])? {
        1 => Ok(()),
        _ => Err(LedgerError::Damaged(format!("approval {id} was used before"))),
    }
}

const CASE: &str = "SELECT leaf, subject, digest, memorandum, person, votes, days, file, used FROM approval";

fn found(connection: &Connection, id: u64) -> Result<Option<Approval>, LedgerError> {
    let id = i64::try_from(id).unwrap_or(i64::MAX);
    let query = format!("{CASE} WHERE leaf = ?1");
    connection
        .prepare_cached(&query)?
        .query_row([id], |row| Ok(case(connection, row)))
        .optional()?
        .transpose()
}

fn cases(
    connection: &Connection,
    of: Option<(PlanDigest, Option<&str>, &str)>,
) -> Result<Vec<Approval>, LedgerError> {
    let digest = of.map(|(digest, ..)| digest.0);
    let query = format!("{CASE} WHERE ?1 IS NULL OR digest = ?1 ORDER BY leaf");
    let mut statement = connection.prepare_cached(&query)?;
    let mut rows = statement.query(params![digest])?;
    let mut cases = Vec::new();
    while let Some(row) = rows.next()? {
        let case = case(connection, row)?;
        let wanted = of.is_none_or(|(_, memorandum, person)| {
            case.memorandum.as_deref() == memorandum && case.person == person
        });
        cases.extend(wanted.then_some(case));
    }
    Ok(cases)
}

fn case(connection: &Connection, row: &Row<'_>) -> Result<Approval, LedgerError> {
    let damaged = || LedgerError::Damaged("an approval does not read".to_owned());
    let id: u64 = row.get(0)?;
    let at = |leaf: u64| -> Result<DateTime<Utc>, LedgerError> {
        let query = "SELECT position, body FROM leaf WHERE position = ?1";
        connection
            .prepare_cached(query)?
            .query_row([leaf], |row| Ok(crate::log::leaf(row)))?
            .map(|leaf| leaf.at)
    };
    let file: String = row.get(7)?;
    let mut statement = connection
        .prepare_cached("SELECT leaf, person, vote, reason FROM vote WHERE approval = ?1 ORDER BY leaf")?;
    let mut rows = statement.query([id])?;
    let mut cast = Vec::new();
    while let Some(row) = rows.next()? {
        let (leaf, vote): (u64, String) = (row.get(0)?, row.get(2)?);
        let vote = Vote::ALL.into_iter().find(|known| known.name() == vote).ok_or_else(damaged)?;
        cast.push(Cast { person: row.get(1)?, vote, reason: row.get(3)?, at: at(leaf)?, leaf });
    }
    Ok(Approval {
        id,
        subject: row.get(1)?,
        digest: PlanDigest(row.get(2)?),
        memorandum: row.get(3)?,
        person: row.get(4)?,
        votes: row.get(5)?,
        days: row.get(6)?,
        file: serde_json::from_str(&file).map_err(|_| damaged())?,
        at: at(id)?,
        cast,
        used: row.get(8)?,
    })
}
