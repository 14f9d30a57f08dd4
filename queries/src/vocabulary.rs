//! [`vocabulary`]: the names and limits that `docs/sql.md` has to list.

use crate::answer::{MOST_PAIRS, WIDEST_FRAME};
use crate::function::{self, Totality};
use crate::lower::expr::{MAX_PATTERN, MAX_SIZE};
use crate::lower::keys::MOST_KEYS;
use crate::surface::{MAX_CALLS, MAX_CHAIN, MAX_DEPTH, MAX_EXPRESSIONS, MAX_LENGTH, MAX_QUERIES};
use crate::verify::MAX_STAGES;

/// What questions are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    /// SQL names of each scalar function, and how it is made total.
    pub functions: Vec<(Vec<&'static str>, Totality)>,
    /// SQL names of aggregates.
    pub aggregates: Vec<&'static str>,
    /// SQL names of window functions, beside the aggregates.
    pub windows: Vec<&'static str>,
    /// Of what a question has at most how many.
    pub limits: Vec<(&'static str, u64)>,
}

/// The names and limits of this version.
pub fn vocabulary() -> Vocabulary {
    let limits = [
        ("bytes of a question", MAX_LENGTH as u64),
        ("depth of brackets and subqueries", MAX_DEPTH as u64),
        ("operators that follow each other", MAX_CHAIN as u64),
        ("functions inside each other", MAX_CALLS as u64),
        ("queries inside each other or side by side", MAX_QUERIES as u64),
        ("expressions", MAX_EXPRESSIONS as u64),
        ("parts of one expression, once made total", MAX_SIZE),
        ("bytes of a pattern after LIKE", MAX_PATTERN as u64),
        ("releases of a question", MAX_STAGES as u64),
        ("keys of grouping sets", MOST_KEYS as u64),
        ("pairs of rows in a join of results", MOST_PAIRS),
        ("rows that a frame over results reaches", WIDEST_FRAME.unsigned_abs()),
    ];
    Vocabulary {
        functions: function::scalar_functions(),
        aggregates: function::AGGREGATES.to_vec(),
        windows: function::WINDOWS.to_vec(),
        limits: limits.to_vec(),
    }
}
