//! [`Exact`]: true aggregates, sealed. Only this crate can open them, and only to release them.

use std::fmt;

use crate::account::PlanDigest;
use crate::value::Value;

/// Exact integer totals per group, for one plan. No serialisation, no accessors, a `Debug` that shows nothing.
///
/// ```compile_fail
/// fn peek(exact: disclosure_rules::Exact) { let _ = exact.groups; }
/// ```
pub struct Exact {
    pub(crate) plan: PlanDigest,
    pub(crate) groups: Vec<(Vec<Value>, Vec<i64>)>,
}

impl Exact {
    /// Seals the totals of `plan`: for each group its key and one total per component, in the plan's order. Keys
    /// are distinct.
    pub fn seal(plan: PlanDigest, groups: Vec<(Vec<Value>, Vec<i64>)>) -> Exact {
        Exact { plan, groups }
    }
}

impl fmt::Debug for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exact(sealed)")
    }
}
