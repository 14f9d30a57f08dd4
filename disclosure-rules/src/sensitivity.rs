//! What one pupil can change: contribution bounds, and the sensitivities that they justify.
//!
//! OpenDP's own sensitivity arithmetic is not used (its issues 2922 to 2949 under-report it in places).

/// The most that one pupil's whole presence contributes to the rows being aggregated. Enforced while they are
/// aggregated, never assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contribution {
    /// Rows in all (R), at least 1.
    pub rows: u64,
    /// Rows within one group (r), at least 1.
    pub rows_per_group: u64,
    /// Groups touched (G), at least 1.
    pub groups: u64,
}

impl Contribution {
    /// Bounds made consistent: no more rows in a group than in all, no more groups than rows, no more rows
    /// than the groups can hold.
    pub fn new(rows: u64, rows_per_group: u64, groups: u64) -> Contribution {
        let rows = rows.max(1);
        let groups = groups.clamp(1, rows);
        let rows_per_group = rows_per_group.clamp(1, rows);
        Contribution { rows: rows.min(groups.saturating_mul(rows_per_group)), rows_per_group, groups }
    }

    /// Square of the L2 sensitivity of the vector of group totals, where one row adds at most `row_bound` in
    /// magnitude to one group's total.
    ///
    /// # Privacy
    /// Neighbours: all rows of one pupil added or removed. The vector changes by (c₁, …, c_G) with
    /// |cᵢ| ≤ `row_bound`·nᵢ, nᵢ ≤ r, Σnᵢ ≤ R. Σnᵢ² is convex, so its maximum fills groups one after the other.
    pub fn l2_squared(&self, row_bound: u64) -> u128 {
        let full = (self.rows / self.rows_per_group).min(self.groups);
        let rest = if full < self.groups { self.rows - full * self.rows_per_group } else { 0 };
        let square = |n: u64| u128::from(n).saturating_mul(u128::from(n));
        let rows = u128::from(full).saturating_mul(square(self.rows_per_group)).saturating_add(square(rest));
        rows.saturating_mul(square(row_bound))
    }

    /// L1 sensitivity of the same vector: R rows, each of at most `row_bound`.
    pub fn l1(&self, row_bound: u64) -> u128 {
        u128::from(self.rows).saturating_mul(u128::from(row_bound))
    }

    /// The same bounds where every pupil's rows are cut at `rows` in all.
    pub fn at_most(&self, rows: u64) -> Contribution {
        Contribution::new(self.rows.min(rows), self.rows_per_group, self.groups)
    }

    /// The bounds for counting pupils rather than rows: at most one in a group.
    pub fn of_pupils(&self) -> Contribution {
        Contribution::new(self.groups, 1, self.groups)
    }
}

#[cfg(test)]
#[path = "sensitivity_tests.rs"]
mod tests;
