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
    /// Bounds made consistent: no more rows in a group than in all, no more groups than rows, no more rows than
    /// the groups can hold.
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

    /// The bounds for counting pupils rather than rows: at most one in a group.
    pub fn of_pupils(&self) -> Contribution {
        Contribution::new(self.groups, 1, self.groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The largest Σnᵢ² by trying every way to place rows.
    fn brute(rows: u64, per_group: u64, groups: u64) -> u128 {
        if groups == 0 || rows == 0 {
            return 0;
        }
        (0..=per_group.min(rows))
            .map(|n| u128::from(n * n) + brute(rows - n, per_group, groups - 1))
            .max()
            .unwrap_or(0)
    }

    proptest! {
        #[test]
        fn l2_is_the_worst_case(rows in 1u64..9, per_group in 1u64..6, groups in 1u64..5, bound in 1u64..4) {
            let contribution = Contribution::new(rows, per_group, groups);
            prop_assert_eq!(contribution.l2_squared(bound), brute(rows, per_group, groups) * u128::from(bound * bound));
        }
    }

    #[test]
    fn one_row_in_one_group_changes_one_total_by_one() {
        assert_eq!(Contribution::new(1, 1, 1).l2_squared(1), 1);
        assert_eq!(
            Contribution::new(4, 1, 4).l2_squared(1),
            4,
            "design example: four rows, one per group: L2 of 2"
        );
        assert_eq!(Contribution::new(4, 4, 4).l2_squared(1), 16);
        assert_eq!(Contribution::new(4, 4, 4).of_pupils().l2_squared(1), 4);
    }
}
