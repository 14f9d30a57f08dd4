//! [`release`]: the only noise, and the only way out of [`Exact`].

use std::collections::BTreeMap;

use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::make_gaussian;
use opendp::metrics::L2Distance;
use serde::{Deserialize, Serialize};

use crate::account::{Charge, PlanDigest};
use crate::exact::Exact;
use crate::loss::Rho;
use crate::measure::{Aggregate, CONFIDENCE, GroupKeys, Measure, Terms};
use crate::tail;
use crate::value::Value;

/// Noisy, suppressed numbers: the only answer that is ever serialised.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The plan that was measured.
    pub plan: PlanDigest,
    /// What it cost.
    pub rho: Rho,
    /// Groups in the order of their keys.
    pub groups: Vec<ReleasedGroup>,
}

/// One group of a release.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleasedGroup {
    /// The group's key, one value per key column.
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

/// Adds the noise, keeps unknown keys unknown, hides small cells.
///
/// # Privacy
/// ρ-zCDP for `terms.rho`, with the threshold's δ where keys are unknown; neighbours: all rows of one pupil added
/// or removed. Discrete Gaussian noise (Canonne, Kamath and Steinke 2020) from OpenDP on every component of every
/// public group, or of every group present where keys are unknown; everything after `noisy` sees noisy values
/// only. `charge` is spent here.
pub fn release(
    exact: Exact,
    charge: Charge,
    terms: &Terms,
    keys: &GroupKeys,
) -> Result<Release, ReleaseError> {
    let paid = charge.cost();
    let matching = charge.plan() == terms.plan && exact.plan == terms.plan && paid == terms.cost();
    let unknown = matches!(keys, GroupKeys::Unknown);
    if !matching || unknown != terms.threshold.is_some() {
        return Err(ReleaseError::Mismatch);
    }
    let groups = noisy(with_every_public_key(exact, terms, keys), &terms.scales)?;
    let key_threshold = terms.threshold.map(|threshold| threshold.pupils).zip(terms.key_threshold());
    let cells = Cells::new(terms);
    Ok(Release {
        plan: terms.plan,
        rho: paid.rho,
        groups: groups
            .into_iter()
            .filter(|(_, noisy)| key_threshold.is_none_or(|(pupils, least)| noisy[pupils] >= least))
            .map(|(keys, noisy)| ReleasedGroup { keys, cells: cells.read(&noisy) })
            .collect(),
    })
}

type Groups = Vec<(Vec<Value>, Vec<i64>)>;

/// In the order of keys, whatever order the rows came in.
fn with_every_public_key(exact: Exact, terms: &Terms, keys: &GroupKeys) -> Groups {
    let mut found: BTreeMap<_, _> = exact.groups.into_iter().collect();
    match keys {
        GroupKeys::Unknown => found.into_iter().collect(),
        GroupKeys::Public(keys) => {
            let mut keys = keys.clone();
            keys.sort();
            keys.dedup();
            let zero = vec![0; terms.components.len()];
            keys.into_iter()
                .map(|key| {
                    let totals = found.remove(&key);
                    (key, totals.unwrap_or_else(|| zero.clone()))
                })
                .collect()
        }
    }
}

/// The noise. One integer mechanism per component, over all groups at once.
fn noisy(mut groups: Groups, scales: &[f64]) -> Result<Groups, ReleaseError> {
    for (component, &scale) in scales.iter().enumerate() {
        let totals: Vec<i64> = groups.iter().map(|(_, totals)| totals[component]).collect();
        let space = VectorDomain::new(AtomDomain::<i64>::new_non_nan());
        let mechanism = make_gaussian(space, L2Distance::<f64>::default(), scale, None)
            .map_err(|_| ReleaseError::Noise)?;
        let noisy = mechanism.invoke(&totals).map_err(|_| ReleaseError::Noise)?;
        for ((_, totals), value) in groups.iter_mut().zip(noisy) {
            totals[component] = value;
        }
    }
    Ok(groups)
}

/// Reads measures off noisy components. Half-widths and thresholds are the same for every group.
struct Cells<'a> {
    terms: &'a Terms,
    /// Half-width of each component's 95% interval.
    widths: Vec<f64>,
    /// Least noisy number of pupils, per measure.
    least: Vec<i64>,
}

impl<'a> Cells<'a> {
    fn new(terms: &'a Terms) -> Cells<'a> {
        Cells {
            terms,
            widths: terms.scales.iter().map(|&scale| tail::half_width(scale, CONFIDENCE) as f64).collect(),
            least: terms.measures.iter().map(|measure| terms.cell_threshold(measure)).collect(),
        }
    }

    fn read(&self, noisy: &[i64]) -> Vec<Cell> {
        let small = |(measure, &least): (&Measure, &i64)| noisy[measure.pupils] < least;
        let measures = self.terms.measures.iter();
        measures
            .zip(&self.least)
            .map(|pair| {
                if small(pair) {
                    Cell::Hidden { hidden: Hidden::SmallCell }
                } else {
                    self.shown(pair.0, noisy)
                }
            })
            .collect()
    }

    fn shown(&self, measure: &Measure, noisy: &[i64]) -> Cell {
        let terms = self.terms;
        let width = |i: usize| self.widths[i];
        match measure.aggregate {
            Aggregate::Count(count) => {
                let (value, width) = (noisy[count] as f64, width(count));
                Cell::Shown {
                    value: value.max(0.0),
                    low: (value - width).max(0.0),
                    high: (value + width).max(0.0),
                }
            }
            Aggregate::Sum { sum, count } => {
                let lattice = terms.lattice(sum);
                let number = count.map_or(0.0, |count| noisy[count] as f64);
                let value = lattice.step * noisy[sum] as f64 + lattice.origin * number;
                let width = (lattice.step * width(sum)).hypot(lattice.origin * count.map_or(0.0, width));
                Cell::Shown { value, low: value - width, high: value + width }
            }
            Aggregate::Mean { sum, count } => {
                let lattice = terms.lattice(sum);
                let total = lattice.step * noisy[sum] as f64;
                let number = noisy[count] as f64;
                let ratio = fieller(total, number, lattice.step * width(sum), width(count));
                let within = |v: f64| (lattice.origin + v).clamp(lattice.low, lattice.high);
                match ratio {
                    Some((value, low, high)) => {
                        Cell::Shown { value: within(value), low: within(low), high: within(high) }
                    }
                    // So few values that the noise could make their number zero: every mean in the range is possible.
                    None => Cell::Shown {
                        value: within(if number > 0.0 { total / number } else { 0.0 }),
                        low: lattice.low,
                        high: lattice.high,
                    },
                }
            }
        }
    }
}

/// A ratio of two independent noisy numbers, with the interval of Fieller (1954): all t for which total - t·number
/// is within its own noise. `None` where that set is unbounded.
fn fieller(total: f64, number: f64, total_width: f64, number_width: f64) -> Option<(f64, f64, f64)> {
    let a = number * number - number_width * number_width;
    if number <= 0.0 || a <= 0.0 {
        return None;
    }
    let b = total * number;
    let c = total * total - total_width * total_width;
    let root = (b * b - a * c).max(0.0).sqrt();
    Some((total / number, (b - root) / a, (b + root) / a))
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
