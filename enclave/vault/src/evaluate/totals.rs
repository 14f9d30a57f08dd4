//! [`Totals`]: what the parts of a stage come to together.

use std::collections::BTreeMap;

use datafusion::common::{HashMap, HashSet};
use disclosure_rules::Value;
use disclosure_rules::exact::{ExactGroup, Total};

use super::rows::Mark;

/// About what a group takes in memory, beside what it holds.
const GROUP_BYTES: usize = 128;

/// A component of one group in some of the parts.
pub(super) enum Partial {
    Number(i64),
    /// Rows per index.
    Distribution(HashMap<i64, u64>),
    /// What stands for each value.
    Distinct(HashSet<Mark>),
    /// Per threshold.
    Truncated(Vec<i64>),
}

/// Per key of a grouping, its components.
pub(super) type Groups = BTreeMap<Vec<Value>, Vec<Partial>>;

/// Per grouping.
pub(super) struct Totals(pub(super) Vec<Groups>);

impl Totals {
    pub(super) fn none(groupings: usize) -> Totals {
        Totals((0..groupings).map(|_| Groups::new()).collect())
    }

    /// The number of groups of the grouping that has most.
    pub(super) fn most_groups(&self) -> usize {
        self.0.iter().map(Groups::len).max().unwrap_or(0)
    }

    pub(super) fn merge(&mut self, other: Totals) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            for (key, partials) in other {
                match own.get_mut(&key) {
                    Some(own) => own.iter_mut().zip(partials).for_each(|(own, more)| own.merge(more)),
                    None => drop(own.insert(key, partials)),
                }
            }
        }
    }

    pub(super) fn size(&self) -> usize {
        let groups = self.0.iter().flat_map(BTreeMap::values);
        groups.map(|partials| GROUP_BYTES + partials.iter().map(Partial::size).sum::<usize>()).sum()
    }

    pub(super) fn into_groups(self) -> Vec<Vec<ExactGroup>> {
        let total = |(key, partials): (_, Vec<Partial>)| {
            (key, partials.into_iter().map(Partial::into_total).collect())
        };
        self.0.into_iter().map(|groups| groups.into_iter().map(total).collect()).collect()
    }
}

impl Partial {
    /// Both are of the same component.
    fn merge(&mut self, other: Partial) {
        match (self, other) {
            (Partial::Number(own), Partial::Number(more)) => *own = own.saturating_add(more),
            (Partial::Truncated(own), Partial::Truncated(more)) => {
                own.iter_mut().zip(more).for_each(|(own, more)| *own = own.saturating_add(more));
            }
            (Partial::Distribution(own), Partial::Distribution(more)) => {
                for (index, rows) in more {
                    *own.entry(index).or_default() += rows;
                }
            }
            (Partial::Distinct(own), Partial::Distinct(more)) => own.extend(more),
            _ => {}
        }
    }

    fn size(&self) -> usize {
        size_of::<Partial>()
            + match self {
                Partial::Number(_) => 0,
                Partial::Distribution(rows) => rows.capacity() * size_of::<(i64, u64)>(),
                Partial::Distinct(seen) => seen.capacity() * size_of::<Mark>(),
                Partial::Truncated(totals) => totals.len() * size_of::<i64>(),
            }
    }

    fn into_total(self) -> Total {
        match self {
            Partial::Number(number) => Total::Number(number),
            Partial::Distribution(rows) => {
                let mut rows: Vec<_> = rows.into_iter().collect();
                rows.sort_unstable();
                Total::Distribution(rows)
            }
            Partial::Distinct(seen) => Total::Number(i64::try_from(seen.len()).unwrap_or(i64::MAX)),
            Partial::Truncated(totals) => Total::Truncated(totals),
        }
    }
}
