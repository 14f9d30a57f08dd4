//! [`Exact`]: true aggregates, sealed. Only this crate can open them, and only to release them.

use std::fmt;

use crate::account::PlanDigest;
use crate::value::Value;

/// The true total of one component in one group.
#[derive(Clone, PartialEq, Eq)]
pub enum Total {
    /// An integer.
    Number(i64),
    /// Lattice indices, ascending, and how many rows have them.
    Distribution(Vec<(i64, u64)>),
    /// One integer per threshold of automatic bounds, each with every pupil's share cut at it.
    Truncated(Vec<i64>),
}

impl Total {
    pub(crate) fn take(&mut self) -> Total {
        std::mem::replace(self, Total::Number(0))
    }

    /// One integer: where a pupil's share is bounded anyway, the one that cuts least.
    pub(crate) fn number(self) -> Option<i64> {
        match self {
            Total::Number(total) => Some(total),
            Total::Truncated(cut) => cut.last().copied(),
            Total::Distribution(_) => None,
        }
    }

    /// Rows per lattice index. A group without rows has the number 0.
    pub(crate) fn distribution(self) -> Option<Vec<(i64, u64)>> {
        match self {
            Total::Distribution(rows) => Some(rows),
            Total::Number(0) => Some(Vec::new()),
            Total::Number(_) | Total::Truncated(_) => None,
        }
    }

    /// One integer per threshold. A group without rows has the number 0.
    pub(crate) fn truncated(self, thresholds: usize) -> Option<Vec<i64>> {
        match self {
            Total::Truncated(cut) => Some(cut),
            Total::Number(0) => Some(vec![0; thresholds]),
            Total::Number(_) | Total::Distribution(_) => None,
        }
    }
}

impl fmt::Debug for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Total(sealed)")
    }
}

/// A group: its key (NULL where the grouping does not group by it) and one total per component.
pub type ExactGroup = (Vec<Value>, Vec<Total>);

/// Exact totals per group, for one plan. No serialisation, no accessors, a `Debug` that shows nothing.
///
/// ```compile_fail
/// fn peek(exact: disclosure_rules::Exact) { let _ = exact.groupings; }
/// ```
pub struct Exact {
    pub(crate) plan: PlanDigest,
    pub(crate) groupings: Vec<Vec<ExactGroup>>,
}

impl Exact {
    /// Seals the totals of `plan`: for each grouping its groups, each with one total per component, in the
    /// plan's order. Keys are distinct within a grouping.
    pub fn seal(plan: PlanDigest, groupings: Vec<Vec<ExactGroup>>) -> Exact {
        Exact { plan, groupings }
    }
}

impl fmt::Debug for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exact(sealed)")
    }
}
