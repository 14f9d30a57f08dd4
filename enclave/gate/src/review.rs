//! [`Review`]: what the board needs each month, out of the log and the published documents alone; notes and sign-offs
//! of its members are leaves themselves.
//!
//! In reading order: `record` (leaves, read) · `sql` (what questions have in common) · `pattern` · `deviation` ·
//! `text` · `html` (one page in both languages) · `chart`.

mod chart;
pub(crate) mod deviation;
mod html;
mod pattern;
pub(crate) mod record;
pub(crate) mod sql;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use ledger::{Document, DocumentKind, Event, LeafKind, LedgerError, LogPosition};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

pub use deviation::{CallsFor, DENIED_LEAST, Deviation};
pub(crate) use html::outcome_title;
pub use pattern::{
    BURST_DAYS, BURST_FACTOR, BURST_LEAST, NARROWING_LEAST, NEAR_IDENTICAL_LEAST, Pattern, PatternKind,
};
pub use record::Sums;

use crate::acts::ActError;
use crate::enclave::Enclave;
use crate::permissions::Action;
use deviation::Published;
use pattern::Term;
use record::{Record, accounts, cases, day, outcome, records};

/// Longest note, in characters.
const NOTE_MOST: usize = 2_000;

/// Days in Japan, the first and the last included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Period {
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub until: NaiveDate,
}

impl Period {
    /// From one day to another.
    pub fn new(from: NaiveDate, until: NaiveDate) -> Option<Period> {
        (from <= until).then_some(Period { from, until })
    }

    /// A month, as in `2026-11`.
    pub fn month(text: &str) -> Option<Period> {
        let from = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok()?;
        let until = from.checked_add_months(Months::new(1))?.pred_opt()?;
        (from.format("%Y-%m").to_string() == text).then_some(Period { from, until })
    }

    /// The month that a moment is in.
    pub fn month_of(at: DateTime<Utc>) -> Option<Period> {
        Period::month(&day(at).format("%Y-%m").to_string())
    }

    /// As in `2026-11`, where it is a month.
    pub fn name(&self) -> String {
        let name = self.from.format("%Y-%m").to_string();
        if Period::month(&name).as_ref() == Some(self) {
            name
        } else {
            format!("{} – {}", self.from, self.until)
        }
    }

    fn holds(&self, day: NaiveDate) -> bool {
        self.from <= day && day <= self.until
    }
}

/// What happened in a period.
#[derive(Debug, Clone, Serialize)]
pub struct Review {
    /// When.
    pub period: Period,
    /// Leaves of the log when this was made.
    pub size: u64,
    /// Per memorandum that was in force.
    pub memoranda: Vec<MemorandumReview>,
    /// Pools at the end of the period, by contract.
    pub pools: BTreeMap<String, Sums>,
    /// Charges by week, of the weeks that the period touches.
    pub weeks: Vec<Week>,
    /// Refusals by rule.
    pub refusals: Vec<Refused>,
    /// Cases that were put before the board, or decided, in the period, and those still undecided.
    pub escalations: Vec<Escalated>,
    /// Items that were asked about for the first time under a memorandum.
    pub first_uses: Vec<FirstUse>,
    /// Unusual patterns.
    pub patterns: Vec<Pattern>,
    /// What calls for the director or the board.
    pub deviations: Vec<Deviation>,
    /// Notes and sign-offs of members.
    pub remarks: Vec<Remark>,
}

/// One memorandum in a period.
#[derive(Debug, Clone, Serialize)]
pub struct MemorandumReview {
    /// Its id.
    pub id: String,
    /// Its title in English and Japanese.
    pub title: [String; 2],
    /// With whom.
    pub institution: String,
    /// Last day of its term, or the day it was ended.
    pub until: NaiveDate,
    /// ρ at the end of the period.
    pub rho: Sums,
    /// ρ charged in the period, in millionths.
    pub charged_micro: u64,
    /// By use case.
    pub purposes: Vec<PurposeReview>,
    /// The questions that were charged.
    pub asked: Vec<Asked>,
}

/// A use case in a period.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PurposeReview {
    /// The use case.
    pub purpose: String,
    /// Questions charged.
    pub questions: u64,
    /// Answers released.
    pub releases: u64,
    /// Answers on record that were given again.
    pub replays: u64,
    /// ρ, in millionths.
    pub charged_micro: u64,
}

/// A question that was charged.
#[derive(Debug, Clone, Serialize)]
pub struct Asked {
    /// Number of its leaf.
    pub leaf: u64,
    /// When.
    pub day: NaiveDate,
    /// By whom.
    pub person: String,
    /// For which use case.
    pub purpose: String,
    /// As the log has it: without what could name a pupil.
    pub sql: String,
    /// What it read.
    pub items: Vec<String>,
    /// ρ, in millionths.
    pub rho_micro: u64,
    /// The approval it needed.
    pub approval: Option<u64>,
    /// Number of the release's leaf; none where a fault came between.
    pub release: Option<u64>,
    /// Groups that were told of.
    pub groups_told: Option<u64>,
}

/// ρ charged in a week, by memorandum, in millionths.
#[derive(Debug, Clone, Serialize)]
pub struct Week {
    /// Its Monday.
    pub monday: NaiveDate,
    /// Only memoranda that were charged.
    pub charged_micro: BTreeMap<String, u64>,
}

/// Refusals of one rule.
#[derive(Debug, Clone, Serialize)]
pub struct Refused {
    /// The rule.
    pub rule: String,
    /// Without previews.
    pub refusals: u64,
    /// Refused previews.
    pub previews: u64,
    /// Numbers of the leaves.
    pub leaves: Vec<u64>,
}

/// A case before the board.
#[derive(Debug, Clone, Serialize)]
pub struct Escalated {
    /// Its number: that of its leaf.
    pub approval: u64,
    /// When it was put.
    pub day: NaiveDate,
    /// `question`, or the act.
    pub subject: String,
    /// Under which memorandum, where it is a question.
    pub memorandum: Option<String>,
    /// Who asks.
    pub person: String,
    /// Why it is the board's: principles of the rule set, or reasons.
    pub reasons: Vec<String>,
    /// `open`, `asked-back`, `approved`, `rejected`, `used`, `lapsed`.
    pub outcome: &'static str,
    /// Votes and answers.
    pub votes: Vec<CastVote>,
}

/// A vote, or an answer.
#[derive(Debug, Clone, Serialize)]
pub struct CastVote {
    /// Number of its leaf.
    pub leaf: u64,
    /// When.
    pub day: NaiveDate,
    /// Whose.
    pub person: String,
    /// `approve`, `reject`, `ask-back`, `answer`.
    pub vote: &'static str,
    /// Why.
    pub reason: String,
}

/// An item asked about for the first time.
#[derive(Debug, Clone, Serialize)]
pub struct FirstUse {
    /// `table.column`.
    pub item: String,
    /// Its tier, as the contract had it.
    pub tier: &'static str,
    /// Under which memorandum.
    pub memorandum: String,
    /// When.
    pub day: NaiveDate,
    /// Number of the question's leaf.
    pub leaf: u64,
}

/// A note or a sign-off.
#[derive(Debug, Clone, Serialize)]
pub struct Remark {
    /// Number of its leaf.
    pub leaf: u64,
    /// When.
    pub day: NaiveDate,
    /// By whom.
    pub by: String,
    /// `note` or `sign`.
    pub act: String,
    /// The note; for a sign-off the digest of what was signed.
    pub text: String,
}

impl Review {
    /// What the leaves and the published documents say of a period, as of `now`.
    pub(crate) fn of(
        records: &[Record],
        documents: &[Document],
        period: Period,
        now: DateTime<Utc>,
    ) -> Review {
        let published = Published::of(documents);
        let until_end: Vec<&Record> = records.iter().filter(|record| record.day() <= period.until).collect();
        let (within, earlier): (Vec<&Record>, Vec<&Record>) =
            until_end.iter().partition(|record| period.holds(record.day()));
        let accounts = accounts(until_end.iter().copied());
        let terms = terms(&until_end);
        let question = |records: &[&'_ Record]| -> Vec<usize> {
            (0..records.len()).filter(|i| records[*i].kind == LeafKind::Question).collect()
        };
        let asked: Vec<&Record> = question(&within).into_iter().map(|i| within[i]).collect();
        let before: Vec<&Record> = question(&earlier).into_iter().map(|i| earlier[i]).collect();
        Review {
            size: records.len() as u64,
            memoranda: memoranda(&within, &published, &terms, &accounts.memoranda, &period),
            pools: accounts.pools,
            weeks: weeks(&asked, &period),
            refusals: refusals(&within),
            escalations: escalations(records, &period, now),
            first_uses: first_uses(&asked, &before, &published),
            patterns: pattern::patterns(&asked, &before, &terms),
            deviations: deviation::deviations(&within, documents),
            remarks: remarks(records, &period),
            period,
        }
    }

    /// SHA-256 of the review without its remarks, in hexadecimal: what a member signs.
    pub fn digest(&self) -> String {
        let unsigned = Review { remarks: vec![], ..self.clone() };
        hex::encode(Sha256::digest(serde_json::to_string(&unsigned).unwrap_or_default()))
    }
}

impl Enclave {
    /// What happened in a period.
    pub fn review(&self, period: Period) -> Result<Review, ActError> {
        self.permitted(Action::ReviewLog)?;
        Ok(self.reviewed(period)?)
    }

    /// A member's note on a month, for everybody to read.
    pub fn note_review(&self, month: &str, text: &str) -> Result<LogPosition, ActError> {
        let actor = self.permitted(Action::SignOffReview)?;
        period(month)?;
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if text.trim().is_empty() || text.chars().count() > NOTE_MOST {
            let mistakes = vec![format!("a note has from one to {NOTE_MOST} characters")];
            return Err(ActError::Mistakes { what: "the note", mistakes });
        }
        let facts = json!({ "act": "note", "month": month, "text": text.trim() });
        Ok(self.ledger.append(self.stamp(&actor), Event::Review, facts)?)
    }

    /// A member's sign-off of a month: the digest of its review as the log stands now.
    pub fn sign_review(&self, month: &str) -> Result<LogPosition, ActError> {
        let actor = self.permitted(Action::SignOffReview)?;
        let review = self.reviewed(period(month)?)?;
        let facts =
            json!({ "act": "sign", "month": month, "size": review.size, "review_sha256": review.digest() });
        Ok(self.ledger.append(self.stamp(&actor), Event::Review, facts)?)
    }

    fn reviewed(&self, period: Period) -> Result<Review, LedgerError> {
        Ok(Review::of(&records(&self.ledger)?, &self.published()?, period, self.now()))
    }

    /// Every contract, rule set and memorandum that was published, in the order of their leaves.
    pub(crate) fn published(&self) -> Result<Vec<Document>, LedgerError> {
        let mut all = Vec::new();
        for kind in [DocumentKind::Contract, DocumentKind::Rules, DocumentKind::Memorandum] {
            all.extend(self.ledger.documents(kind)?);
        }
        all.sort_by_key(|document| document.leaf);
        Ok(all)
    }
}

fn period(month: &str) -> Result<Period, ActError> {
    Period::month(month).ok_or_else(|| {
        let mistakes = vec![format!("`{month}` is not a month: write it as in `2026-11`")];
        ActError::Mistakes { what: "the month", mistakes }
    })
}

/// The term of every memorandum that was signed.
fn terms(until_end: &[&Record]) -> BTreeMap<String, Term> {
    let mut terms: BTreeMap<String, Term> = BTreeMap::new();
    for record in until_end {
        let date = |name: &str| record.text(name).parse::<NaiveDate>().ok();
        match record.kind {
            LeafKind::Signature | LeafKind::Amendment => {
                if let (Some(from), Some(until)) = (date("from"), date("until")) {
                    terms.insert(record.text("memorandum").to_owned(), Term { from, until });
                }
            }
            LeafKind::End => {
                if let Some(term) = terms.get_mut(record.text("memorandum")) {
                    term.until = term.until.min(record.day());
                }
            }
            _ => {}
        }
    }
    terms
}

fn memoranda(
    within: &[&Record],
    published: &Published,
    terms: &BTreeMap<String, Term>,
    sums: &BTreeMap<String, Sums>,
    period: &Period,
) -> Vec<MemorandumReview> {
    let in_force = |term: &Term| term.from <= period.until && period.from <= term.until;
    let one = |(id, term): (&String, &Term)| {
        let paper = published.memorandum(id, u64::MAX);
        let of = |record: &&&Record| record.text("memorandum") == id;
        let asked = asked(&within.iter().filter(of).copied().collect::<Vec<_>>());
        let mut purposes: BTreeMap<&str, PurposeReview> = BTreeMap::new();
        for record in within.iter().filter(of) {
            let released = || asked.iter().find(|asked| asked.release == Some(record.index));
            let purpose = match record.kind {
                LeafKind::Question | LeafKind::Replay => record.text("purpose"),
                LeafKind::Release => released().map_or("", |asked| asked.purpose.as_str()),
                _ => continue,
            };
            let counted = purposes.entry(purpose).or_default();
            match record.kind {
                LeafKind::Question => {
                    counted.questions += 1;
                    counted.charged_micro += record.number("rho_micro");
                }
                LeafKind::Release => counted.releases += 1,
                _ => counted.replays += 1,
            }
        }
        let named = |(purpose, review): (&str, PurposeReview)| {
            let purpose = purpose.to_owned();
            PurposeReview { purpose, ..review }
        };
        MemorandumReview {
            id: id.clone(),
            title: paper
                .map_or_else(Default::default, |paper| [paper.title.en.clone(), paper.title.ja.clone()]),
            institution: paper.map_or_else(String::new, |paper| paper.institution.clone()),
            until: term.until,
            rho: sums.get(id).copied().unwrap_or_default(),
            charged_micro: asked.iter().map(|asked| asked.rho_micro).sum(),
            purposes: purposes.into_iter().map(named).collect(),
            asked,
        }
    };
    terms.iter().filter(|(_, term)| in_force(term)).map(one).collect()
}

/// The charged questions among the leaves of one memorandum, each with its release.
fn asked(of: &[&Record]) -> Vec<Asked> {
    let releases: BTreeMap<u64, &Record> = of
        .iter()
        .filter(|record| record.kind == LeafKind::Release)
        .map(|record| (record.number("question_leaf"), *record))
        .collect();
    let one = |record: &&Record| {
        let release = releases.get(&record.index);
        Asked {
            leaf: record.index,
            day: record.day(),
            person: record.text("person").to_owned(),
            purpose: record.text("purpose").to_owned(),
            sql: record.text("sql").to_owned(),
            items: record.texts("items").map(str::to_owned).collect(),
            rho_micro: record.number("rho_micro"),
            approval: record.facts["approval"].as_u64(),
            release: release.map(|release| release.index),
            groups_told: release.and_then(|release| release.facts["groups_told"].as_u64()),
        }
    };
    of.iter().filter(|record| record.kind == LeafKind::Question).map(one).collect()
}

fn weeks(asked: &[&Record], period: &Period) -> Vec<Week> {
    let monday = |day: NaiveDate| {
        let back = Days::new(u64::from(day.weekday().num_days_from_monday()));
        day.checked_sub_days(back).unwrap_or(day)
    };
    let mut weeks: Vec<Week> = Vec::new();
    let mut day = monday(period.from);
    while day <= period.until {
        weeks.push(Week { monday: day, charged_micro: BTreeMap::new() });
        let Some(next) = day.checked_add_days(Days::new(7)) else { break };
        day = next;
    }
    for record in asked {
        let of = monday(record.day());
        if let Some(week) = weeks.iter_mut().find(|week| week.monday == of) {
            *week.charged_micro.entry(record.text("memorandum").to_owned()).or_default() +=
                record.number("rho_micro");
        }
    }
    weeks
}

fn refusals(within: &[&Record]) -> Vec<Refused> {
    let mut by: BTreeMap<&str, Refused> = BTreeMap::new();
    for record in within.iter().filter(|record| record.kind == LeafKind::Refusal) {
        let rule = record.text("rule");
        let empty = || Refused { rule: rule.to_owned(), refusals: 0, previews: 0, leaves: vec![] };
        let counted = by.entry(rule).or_insert_with(empty);
        match record.facts["preview"].as_bool() {
            Some(true) => counted.previews += 1,
            _ => counted.refusals += 1,
        }
        counted.leaves.push(record.index);
    }
    let mut refusals: Vec<Refused> = by.into_values().collect();
    refusals.sort_by_key(|refused| std::cmp::Reverse(refused.leaves.len()));
    refusals
}

fn escalations(records: &[Record], period: &Period, now: DateTime<Utc>) -> Vec<Escalated> {
    let told = |case: &ledger::Approval| {
        let moments = std::iter::once(case.at).chain(case.cast.iter().map(|cast| cast.at));
        let touched = moments.map(day).any(|day| period.holds(day));
        touched
            || (day(case.at) <= period.until
                && matches!(outcome(case, now), "open" | "asked-back" | "approved"))
    };
    let reasons = |leaf: u64| -> Vec<String> {
        let Some(record) = records.get(leaf as usize) else { return vec![] };
        record.texts("principles").chain(record.texts("reasons")).map(str::to_owned).collect()
    };
    let one = |case: ledger::Approval| Escalated {
        approval: case.id,
        day: day(case.at),
        subject: case.subject.clone(),
        memorandum: case.memorandum.clone(),
        person: case.person.clone(),
        reasons: reasons(case.id),
        outcome: outcome(&case, now),
        // Blind until it is decided: the review is read by members who have not voted.
        votes: case
            .cast_for(None, now)
            .into_iter()
            .map(|cast| CastVote {
                leaf: cast.leaf,
                day: day(cast.at),
                person: cast.person.clone(),
                vote: cast.vote.name(),
                reason: cast.reason.clone(),
            })
            .collect(),
    };
    cases(records).into_iter().filter(told).map(one).collect()
}

fn first_uses(asked: &[&Record], before: &[&Record], published: &Published) -> Vec<FirstUse> {
    let uses = |record: &Record| -> Vec<(String, String)> {
        let memorandum = record.text("memorandum");
        record.texts("items").map(|item| (memorandum.to_owned(), item.to_owned())).collect()
    };
    let mut known: BTreeSet<(String, String)> = before.iter().flat_map(|record| uses(record)).collect();
    let mut found = Vec::new();
    for record in asked {
        let contract = published.contract(record.text("contract"), record.index);
        for (memorandum, item) in uses(record) {
            if !known.insert((memorandum.clone(), item.clone())) {
                continue;
            }
            let tier = contract.zip(item.split_once('.')).and_then(|(contract, (table, column))| {
                Some(contract.table(table)?.column(column)?.tier.name())
            });
            let (day, leaf) = (record.day(), record.index);
            found.push(FirstUse { item, tier: tier.unwrap_or_default(), memorandum, day, leaf });
        }
    }
    found
}

fn remarks(records: &[Record], period: &Period) -> Vec<Remark> {
    let month = period.name();
    let of = |record: &&Record| record.is("review") && record.text("month") == month;
    let one = |record: &Record| Remark {
        leaf: record.index,
        day: record.day(),
        by: record.text("by").to_owned(),
        act: record.text("act").to_owned(),
        text: [record.text("text"), record.text("review_sha256")].concat(),
    };
    records.iter().filter(of).map(one).collect()
}

#[cfg(test)]
#[path = "review/tests.rs"]
mod tests;
