//! [`release`]: the only way out of [`Exact`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::account::{Charge, PlanDigest};
use crate::cells;
use crate::exact::{Exact, ExactGroup, Total};
use crate::groupings;
use crate::loss::Rho;
use crate::measure::{CONFIDENCE, GroupKeys, Grouping, Guarantee, Terms};
use crate::noise::{self, Failed};
use crate::quantile::{self, Quantile};
use crate::race;
use crate::suppress;
use crate::value::Value;

/// Noisy, suppressed numbers: the only answer that is ever serialised.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The plan that was measured.
    pub plan: PlanDigest,
    /// What it cost.
    pub rho: Rho,
    /// Groups in the order of groupings, then of their keys.
    pub groups: Vec<ReleasedGroup>,
    /// Per component: the bound on a pupil's contribution that the race chose; `None` where there was no
    /// race.
    pub bounds: Vec<Option<u64>>,
}

/// One group of a release.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleasedGroup {
    /// Which grouping it belongs to.
    pub grouping: usize,
    /// The group's key, one value per key column; NULL where the grouping does not group by it.
    pub keys: Vec<Value>,
    /// One cell per measure.
    pub cells: Vec<Cell>,
}

/// A number with its 95% interval, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// Shown.
    Shown {
        /// The noisy value.
        value: f64,
        /// Lower end of the interval.
        low: f64,
        /// Upper end of the interval.
        high: f64,
    },
    /// Not shown.
    Hidden {
        /// Why.
        hidden: Hidden,
    },
}

/// Why a cell is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hidden {
    /// The noisy number of pupils is too low.
    #[serde(rename = "small cell")]
    SmallCell,
}

/// Why nothing was released. None of these depends on a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// Charge, totals and terms are not of one plan and price.
    #[error("charge, totals and terms belong to different questions")]
    Mismatch,
    /// The noise generator failed.
    #[error("the noise generator failed")]
    Noise,
}

impl From<Failed> for ReleaseError {
    fn from(_: Failed) -> ReleaseError {
        ReleaseError::Noise
    }
}

/// A group after the noise.
#[derive(Debug, Clone)]
pub(crate) struct Noisy {
    pub(crate) keys: Vec<Value>,
    /// As drawn, per component: decides what is shown.
    pub(crate) drawn: Vec<i64>,
    /// As shown, per component: adjusted where groupings have to add up.
    pub(crate) totals: Vec<i64>,
    /// Half-width of the 95% interval of each total.
    pub(crate) widths: Vec<f64>,
    /// Per component; empty unless it is a distribution.
    pub(crate) quantiles: Vec<Vec<Quantile>>,
}

/// Adds the noise, keeps unknown keys unknown, hides small cells.
///
/// # Privacy
/// ρ-zCDP for `terms.rho` (√(2ρ)-DP where pure), with the threshold's δ where keys are unknown; neighbours:
/// all rows of one pupil added or removed. Noise on every component of every public group, or of every group
/// present where keys are unknown; everything after `noisy` sees noisy values only. `charge` is spent here.
pub fn release(
    exact: Exact,
    charge: Charge,
    terms: &Terms,
    keys: &GroupKeys,
) -> Result<Release, ReleaseError> {
    let paid = charge.cost();
    let matching = charge.plan() == terms.plan && exact.plan == terms.plan && paid == terms.cost();
    if !matching || !charge.pays_for(terms.guarantee) || !consistent(&exact, terms, keys) {
        return Err(ReleaseError::Mismatch);
    }
    let (exact, bound) = race::one_bound(terms, exact.groupings)?;
    let terms = &bound.map_or_else(|| terms.clone(), |finish| terms.at(finish.threshold));
    let mut bounds = vec![bound.map(|finish| finish.threshold); terms.components.len()];
    let mut groupings = drawn(terms, exact, keys, &mut bounds)?;
    let families = groupings::families(terms);
    groupings::adjust(terms, &families, &mut groupings);
    let hidden = suppress::hidden(terms, &families, &groupings);
    let groups = groupings.into_iter().zip(hidden).enumerate();
    let shown = groups.flat_map(|(grouping, (groups, hidden))| shown(terms, grouping, groups, hidden));
    Ok(Release { plan: terms.plan, rho: paid.rho, groups: shown.collect(), bounds })
}

/// All groups of all groupings, with their noise.
pub(crate) fn drawn(
    terms: &Terms,
    exact: Vec<Vec<ExactGroup>>,
    keys: &GroupKeys,
    bounds: &mut [Option<u64>],
) -> Result<Vec<Vec<Noisy>>, ReleaseError> {
    let draw = |(grouping, groups)| {
        noisy(terms, grouping, with_every_public_key(groups, terms, grouping, keys), bounds)
    };
    exact.into_iter().enumerate().map(draw).collect()
}

/// Whether totals and keys have the shape that the terms say. Nothing of this depends on a row.
fn consistent(exact: &Exact, terms: &Terms, keys: &GroupKeys) -> bool {
    let unknown = matches!(keys, GroupKeys::Unknown);
    let known = |grouping: &Grouping| !unknown || !grouping.keys.contains(&true);
    exact.groupings.len() == terms.groupings.len()
        && terms.groupings.iter().all(|grouping| grouping.unknown_keys != known(grouping))
        && (!unknown || (terms.pupils.is_some() && terms.guarantee == Guarantee::Concentrated))
}

/// The groups of a grouping in the order of keys, whatever order the rows came in. Public keys are the finest
/// grouping's, without what this grouping does not group by.
fn with_every_public_key(
    groups: Vec<ExactGroup>,
    terms: &Terms,
    grouping: usize,
    keys: &GroupKeys,
) -> Vec<ExactGroup> {
    let of = &terms.groupings[grouping];
    let mut found: BTreeMap<_, _> = groups.into_iter().collect();
    let mut public = match keys {
        GroupKeys::Unknown if of.unknown_keys => return found.into_iter().collect(),
        GroupKeys::Unknown => vec![vec![Value::Null; of.keys.len()]],
        GroupKeys::Public(keys) => keys.iter().map(|key| masked(key, &of.keys)).collect(),
    };
    public.sort();
    public.dedup();
    let empty: Vec<Total> = terms.components.iter().map(|_| Total::Number(0)).collect();
    let totals = |key| {
        let totals = found.remove(&key);
        (key, totals.unwrap_or_else(|| empty.clone()))
    };
    public.into_iter().map(totals).collect()
}

/// A key, with NULL where it is not grouped by.
pub(crate) fn masked(key: &[Value], by: &[bool]) -> Vec<Value> {
    key.iter().zip(by).map(|(value, by)| if *by { value.clone() } else { Value::Null }).collect()
}

/// The noise. One mechanism per component, over all groups of a grouping at once; of a distribution, one per
/// group.
fn noisy(
    terms: &Terms,
    grouping: usize,
    mut groups: Vec<ExactGroup>,
    bounds: &mut [Option<u64>],
) -> Result<Vec<Noisy>, ReleaseError> {
    let count = terms.components.len();
    let blank = |(keys, _): &ExactGroup| Noisy {
        keys: keys.clone(),
        drawn: vec![0; count],
        totals: Vec::new(),
        widths: vec![0.0; count],
        quantiles: vec![Vec::new(); count],
    };
    let mut noisy: Vec<Noisy> = groups.iter().map(blank).collect();
    for (component, bound) in bounds.iter_mut().enumerate() {
        let exact = groups.iter_mut().map(|(_, totals)| totals.get_mut(component).map(Total::take));
        let exact: Option<Vec<Total>> = exact.collect();
        let exact = exact.ok_or(ReleaseError::Mismatch)?;
        if !terms.positions(component).is_empty() {
            for (group, rows) in noisy.iter_mut().zip(exact) {
                let rows = rows.distribution().ok_or(ReleaseError::Mismatch)?;
                group.quantiles[component] = quantile::select(terms, grouping, component, &rows)?;
            }
        } else if let Some(thresholds) = terms.raced(component) {
            for (group, cut) in noisy.iter_mut().zip(exact) {
                let cut = cut.truncated(thresholds.len()).ok_or(ReleaseError::Mismatch)?;
                let finish = race::race(&cut, &thresholds, terms.guarantee, terms.loss(grouping, component))?;
                group.drawn[component] = finish.value;
                group.widths[component] = finish.half_width as f64;
                *bound = Some(finish.threshold);
            }
        } else {
            let exact: Option<Vec<i64>> = exact.into_iter().map(Total::number).collect();
            let noise = terms.noise(grouping, component);
            let width = noise.half_width(CONFIDENCE) as f64;
            let drawn = noise::add(&exact.ok_or(ReleaseError::Mismatch)?, noise)?;
            for (group, drawn) in noisy.iter_mut().zip(drawn) {
                group.drawn[component] = drawn;
                group.widths[component] = width;
            }
        }
    }
    for group in &mut noisy {
        group.totals.clone_from(&group.drawn);
    }
    Ok(noisy)
}

/// What of a grouping is shown.
fn shown(terms: &Terms, grouping: usize, groups: Vec<Noisy>, hidden: Vec<Vec<bool>>) -> Vec<ReleasedGroup> {
    let occupied = terms.pupils.filter(|_| terms.occupied_only);
    let least = [
        terms.pupils.zip(terms.key_threshold(grouping)),
        occupied.map(|pupils| (pupils, terms.cell_threshold(grouping, pupils))),
    ];
    let appears = |(group, _): &(Noisy, Vec<bool>)| {
        least.iter().flatten().all(|(pupils, least)| group.drawn[*pupils] >= *least)
    };
    let released = |(group, hidden): (Noisy, Vec<bool>)| {
        let cell = |(measure, hidden)| {
            if hidden {
                Cell::Hidden { hidden: Hidden::SmallCell }
            } else {
                cells::read(terms, measure, &group)
            }
        };
        let cells = terms.measures.iter().zip(hidden).map(cell).collect();
        ReleasedGroup { grouping, cells, keys: group.keys }
    };
    groups.into_iter().zip(hidden).filter(appears).map(released).collect()
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
