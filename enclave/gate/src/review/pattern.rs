//! Patterns that a board looks at: no offence in themselves, but how a person would be sought in many answers.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use ledger::LeafKind;
use serde::Serialize;

use super::record::Record;
use super::sql::{longest_chain, narrowed, shape};

/// Charged questions of one shape, constants apart, under one memorandum in the period.
pub const NEAR_IDENTICAL_LEAST: usize = 5;
/// Questions of which each narrows the one before.
pub const NARROWING_LEAST: usize = 3;
/// The last days of a memorandum that are looked at for a burst.
pub const BURST_DAYS: u64 = 14;
/// Charged questions in those days.
pub const BURST_LEAST: usize = 5;
/// By how much more a day than before them.
pub const BURST_FACTOR: f64 = 3.0;

/// What was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PatternKind {
    /// Many questions that differ in their constants only.
    NearIdentical,
    /// Conditions that grow from question to question.
    Narrowing,
    /// Many questions in the last days of the term.
    Burst,
}

impl PatternKind {
    /// In Japanese and English.
    pub fn title(self) -> (&'static str, &'static str) {
        match self {
            PatternKind::NearIdentical => {
                ("定数だけが異なる質問の繰り返し", "Questions that differ in constants only")
            }
            PatternKind::Narrowing => ("同じ集団の段階的な絞り込み", "One group narrowed again and again"),
            PatternKind::Burst => ("期限直前の集中", "A burst before expiry"),
        }
    }
}

/// A pattern, and the questions that make it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pattern {
    /// Which.
    pub kind: PatternKind,
    /// Under which memorandum.
    pub memorandum: String,
    /// The shape that is repeated, or the conditions at the end; as the log has them.
    pub what: String,
    /// Numbers of the leaves.
    pub leaves: Vec<u64>,
}

/// A memorandum's term, as the leaves up to the end of the period have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) from: NaiveDate,
    /// The last day; the day of its end, where it was ended.
    pub(crate) until: NaiveDate,
}

/// The patterns of a period among `asked`, its charged questions; `earlier` are those before it.
pub(crate) fn patterns(
    asked: &[&Record],
    earlier: &[&Record],
    terms: &BTreeMap<String, Term>,
) -> Vec<Pattern> {
    let mut found = Vec::new();
    for (memorandum, asked) in &by_memorandum(asked) {
        let mut shapes: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for record in asked {
            shapes.entry(shape(record.text("sql"))).or_default().push(record.index);
        }
        let mut add = |kind, what, leaves| {
            found.push(Pattern { kind, memorandum: memorandum.clone(), what, leaves });
        };
        for (what, leaves) in shapes {
            if leaves.len() >= NEAR_IDENTICAL_LEAST {
                add(PatternKind::NearIdentical, what, leaves);
            }
        }
        let selects: Vec<_> =
            asked.iter().map(|record| (record.index, narrowed(record.text("sql")))).collect();
        let (leaves, conditions) = longest_chain(&selects);
        if leaves.len() >= NARROWING_LEAST {
            let what = conditions.into_iter().collect::<Vec<_>>().join(" AND ");
            add(PatternKind::Narrowing, what, leaves);
        }
        let before: Vec<_> =
            earlier.iter().filter(|record| record.text("memorandum") == memorandum).copied().collect();
        if let Some(leaves) = terms.get(memorandum).and_then(|term| burst(asked, &before, *term)) {
            let until = terms.get(memorandum).map(|term| term.until.to_string()).unwrap_or_default();
            add(PatternKind::Burst, until, leaves);
        }
    }
    found.sort_by(|a, b| (a.kind, &a.memorandum, &a.leaves).cmp(&(b.kind, &b.memorandum, &b.leaves)));
    found
}

fn by_memorandum<'r>(records: &[&'r Record]) -> BTreeMap<String, Vec<&'r Record>> {
    let mut by: BTreeMap<String, Vec<&Record>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.kind == LeafKind::Question) {
        by.entry(record.text("memorandum").to_owned()).or_default().push(record);
    }
    by
}

/// The questions of the last days, if they are many and more a day than before.
fn burst(asked: &[&Record], earlier: &[&Record], term: Term) -> Option<Vec<u64>> {
    let starts = term.until.checked_sub_days(Days::new(BURST_DAYS - 1))?.max(term.from);
    let last = |record: &&&Record| (starts..=term.until).contains(&record.day());
    let all = || earlier.iter().chain(asked);
    let late: Vec<u64> = all().filter(last).map(|record| record.index).collect();
    let days_before = (starts - term.from).num_days();
    if late.len() < BURST_LEAST || days_before < 1 || !asked.iter().any(|record| last(&record)) {
        return None;
    }
    let before = all().filter(|record| record.day() < starts).count() as f64 / days_before as f64;
    let days = (term.until - starts).num_days() + 1;
    (late.len() as f64 / days as f64 >= BURST_FACTOR * before).then_some(late)
}
