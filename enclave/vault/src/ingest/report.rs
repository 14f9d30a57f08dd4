//! What is wrong with the files, collected over all of them. No message holds a value from a file.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Mistakes that are kept; the rest is only counted.
const KEPT: usize = 100;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file, as it was given.
    pub file: String,
    /// Line of a CSV file, where the record begins; row of a Parquet file. Both from 1.
    pub line: u64,
    /// The column, where one is to blame.
    pub column: Option<String>,
    /// The constraint, as the contract names it.
    pub rule: &'static str,
    /// What is wrong.
    pub message: String,
}

/// The first mistakes in the order of files and lines, and how many there are in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// At most 100.
    pub mistakes: Vec<Mistake>,
    /// In all.
    pub total: u64,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if let Some(column) = &self.column {
            write!(f, "column `{column}`: ")?;
        }
        write!(f, "{} ({})", self.message, self.rule)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.total == 1 { "" } else { "s" };
        write!(f, "{} mistake{plural}; nothing was ingested", self.total)?;
        for mistake in &self.mistakes {
            write!(f, "\n{mistake}")?;
        }
        if self.total > self.mistakes.len() as u64 {
            write!(f, "\nand {} more", self.total - self.mistakes.len() as u64)?;
        }
        Ok(())
    }
}

/// What one value, row or key violates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) rule: &'static str,
    pub(super) message: String,
}

impl Wrong {
    pub(super) fn new(rule: &'static str, message: impl Into<String>) -> Wrong {
        Wrong { rule, message: message.into() }
    }
}

/// Collects from several threads. Which mistakes are kept does not depend on the order they are found in, which
/// follows pseudonyms in places.
pub(super) struct Reporter {
    files: Vec<String>,
    found: Mutex<Found>,
}

struct Found {
    /// With the file's index and the column's place, to sort by.
    kept: Vec<(usize, usize, Mistake)>,
    totals: Vec<u64>,
}

impl Reporter {
    /// For files of these names.
    pub(super) fn new(files: Vec<String>) -> Reporter {
        let totals = vec![0; files.len()];
        Reporter { files, found: Mutex::new(Found { kept: Vec::new(), totals }) }
    }

    /// Where mistakes of the file of that index go.
    pub(super) fn file(&self, index: usize) -> FileReporter<'_> {
        FileReporter { all: self, index }
    }

    /// Whether any file has a mistake.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().totals.iter().all(|total| *total == 0)
    }

    /// The report, if there is anything to report.
    pub(super) fn report(&self) -> Option<Report> {
        let mut found = self.lock();
        found.trim(KEPT);
        let total = found.totals.iter().sum();
        let mistakes = found.kept.iter().map(|(.., mistake)| mistake.clone()).collect();
        (total > 0).then_some(Report { mistakes, total })
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    fn trim(&mut self, length: usize) {
        self.kept.sort_by_key(|(file, place, mistake)| (*file, mistake.line, *place));
        self.kept.truncate(length);
    }
}

/// Collects for one file.
#[derive(Clone, Copy)]
pub(super) struct FileReporter<'a> {
    all: &'a Reporter,
    index: usize,
}

impl FileReporter<'_> {
    /// A mistake in a line, and in a column given by its place in the contract and its name.
    pub(super) fn mistake(&self, line: u64, column: Option<(usize, &str)>, wrong: Wrong) {
        let mut found = self.all.lock();
        found.totals[self.index] += 1;
        let mistake = Mistake {
            file: self.all.files[self.index].clone(),
            line,
            column: column.map(|(_, name)| name.to_owned()),
            rule: wrong.rule,
            message: wrong.message,
        };
        found.kept.push((self.index, column.map_or(usize::MAX, |(place, _)| place), mistake));
        if found.kept.len() >= 8 * KEPT {
            found.trim(KEPT);
        }
    }

    /// Whether this file has a mistake so far.
    pub(super) fn has_mistakes(&self) -> bool {
        self.all.lock().totals[self.index] > 0
    }
}
