//! Reasoning with functional dependencies: what columns fix, and in how many ways a pupil's rows can differ.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, Key, counted};

pub(super) type Columns = BTreeSet<usize>;
pub(super) type Determines = Vec<(Columns, Columns)>;

/// Most columns of which every subset is tried.
const MAX_TRIED: usize = 10;

/// All columns that these fix.
pub(super) fn closure(fixed: &Columns, determines: &[(Columns, Columns)]) -> Columns {
    let mut all = fixed.clone();
    loop {
        let before = all.len();
        for (left, right) in determines {
            if left.is_subset(&all) {
                all.extend(right);
            }
        }
        if all.len() == before {
            return all;
        }
    }
}

/// The columns without those that the others fix.
pub(super) fn minimal(columns: &Columns, determines: &[(Columns, Columns)]) -> Columns {
    let mut kept = columns.clone();
    for column in columns.iter().rev() {
        kept.remove(column);
        if !closure(&kept, determines).contains(column) {
            kept.insert(*column);
        }
    }
    kept
}

/// One dependency per left side, without those that say nothing.
pub(super) fn merged(determines: Determines) -> Determines {
    let mut by_left: BTreeMap<Columns, Columns> = BTreeMap::new();
    for (left, right) in determines {
        let new: Columns = right.difference(&left).copied().collect();
        by_left.entry(left).or_default().extend(new);
    }
    by_left.into_iter().filter(|(_, right)| !right.is_empty()).collect()
}

/// A bound on rows, and why it holds.
pub(super) struct Agreeing {
    pub(super) rows: u64,
    pub(super) why: Vec<String>,
}

impl Facts {
    pub(super) fn closure(&self, fixed: &Columns) -> Columns {
        closure(fixed, &self.determines)
    }

    /// The most rows of one pupil that agree on these columns.
    pub(super) fn agreeing(&self, columns: &Columns) -> Option<Agreeing> {
        let found = self.keys.iter().filter_map(|key| {
            let (ways, by) = self.ways(&key.columns, columns)?;
            Some((key.rows.checked_mul(ways)?, by, key))
        });
        let (rows, by, key) = found.min_by_key(|(rows, ..)| *rows)?;
        let why = key.why.iter().cloned().chain(self.why_values(&by)).collect();
        Some(Agreeing { rows, why })
    }

    /// In how many ways the rows of one pupil that agree on `fixed` can differ in `columns`, and the columns
    /// whose values that number multiplies: the best set that fixes `columns`.
    pub(super) fn ways(&self, columns: &Columns, fixed: &Columns) -> Option<(u64, Columns)> {
        let fixed = self.closure(fixed);
        let open: Columns = columns.difference(&fixed).copied().collect();
        let product = |chosen: &Columns| {
            chosen.iter().try_fold(1_u64, |all, index| all.checked_mul(self.domain[*index]?.max(1)))
        };
        let fixes = |chosen: &Columns| open.is_subset(&self.closure(&(&fixed | chosen)));
        let candidates: Vec<usize> =
            self.behind(&open, &fixed).into_iter().filter(|index| self.domain[*index].is_some()).collect();
        let mut best: Option<(u64, Columns)> = None;
        let mut consider = |chosen: Columns| {
            let ways = product(&chosen);
            if let Some(ways) = ways.filter(|ways| best.as_ref().is_none_or(|(least, _)| ways < least))
                && fixes(&chosen)
            {
                best = Some((ways, chosen));
            }
        };
        if candidates.len() <= MAX_TRIED {
            for subset in 0_u32..1 << candidates.len() {
                let chosen = candidates.iter().enumerate().filter(|(i, _)| subset >> i & 1 == 1);
                consider(chosen.map(|(_, index)| *index).collect());
            }
        } else {
            // The columns themselves, or what one dependency reads; of each, without what the rest fixes.
            let lefts = self.determines.iter().map(|(left, _)| left.difference(&fixed).copied().collect());
            let given: Determines =
                [(Columns::new(), fixed.clone())].into_iter().chain(self.determines.clone()).collect();
            for chosen in std::iter::once(open.clone()).chain(lefts) {
                consider(minimal(&chosen, &given));
            }
        }
        best
    }

    /// The columns from which these may follow, themselves included.
    fn behind(&self, columns: &Columns, fixed: &Columns) -> Columns {
        let mut all = columns.clone();
        loop {
            let before = all.len();
            for (left, right) in &self.determines {
                if !right.is_disjoint(&all) {
                    all.extend(left.difference(fixed));
                }
            }
            if all.len() == before {
                return all;
            }
        }
    }

    /// The relation of some of the columns, in that order; a column may be taken twice.
    pub(super) fn select(&self, places: &[usize]) -> Facts {
        let mut found = Facts::new(places.iter().map(|old| self.fields[*old].clone()).collect());
        found.domain = places.iter().map(|old| self.domain[*old]).collect();
        let news = |olds: &Columns| -> Columns {
            (0..places.len()).filter(|new| olds.contains(&places[*new])).collect()
        };
        let alone: BTreeMap<usize, Columns> =
            places.iter().map(|old| (*old, self.closure(&Columns::from([*old])))).collect();
        // A lost column is as good as a kept one that fixes it.
        let kept = |old: &usize| {
            let same = places.iter().position(|place| place == old);
            same.or_else(|| places.iter().position(|place| alone[place].contains(old)))
        };
        for (left, _) in &self.determines {
            if let Some(new) = left.iter().map(kept).collect::<Option<Columns>>() {
                found.determines.push((new, news(&self.closure(left))));
            }
        }
        found.determines.push((Columns::new(), news(&self.closure(&Columns::new()))));
        for (new, old) in places.iter().enumerate() {
            found.determines.push((Columns::from([new]), news(&alone[old])));
        }
        for key in &self.keys {
            let (has, lost): (Columns, Columns) = key.columns.iter().partition(|old| kept(old).is_some());
            let Some((ways, by)) = self.ways(&lost, &has) else { continue };
            let Some(rows) = key.rows.checked_mul(ways) else { continue };
            let why = key.why.iter().cloned().chain(self.why_values(&by)).collect();
            found.keys.push(Key { columns: has.iter().filter_map(kept).collect(), rows, why });
        }
        found
    }

    /// How many values each of the columns has, in words.
    pub(super) fn why_values(&self, columns: &Columns) -> Vec<String> {
        let says = |index: &usize| {
            let values = self.domain[*index].filter(|values| *values != 1)?;
            Some(format!("{} has {}", self.name(*index), counted(values, "value")))
        };
        columns.iter().filter_map(says).collect()
    }

    /// What a column is called in explanations.
    pub(super) fn name(&self, index: usize) -> String {
        let column = &self.fields[index].column;
        if column.is_empty() { "a computed column".to_owned() } else { format!("`{column}`") }
    }
}
