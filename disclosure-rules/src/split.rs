//! How a price is split over what is measured, so that the answer as a whole is as accurate as it can be.
//!
//! The squared relative error of a measure, at a made-up group of 100 pupils, is a sum over the components
//! that it is read off: Σ aᵢ/ρᵢ. A component that several measures use is measured once, and its aᵢ are
//! added. The sum over all measures and groupings is least, for Σρᵢ = ρ, where ρᵢ is proportional to √aᵢ
//! (Lagrange); for pure losses, where the error is Σ aᵢ/εᵢ² and Σεᵢ = ε, where εᵢ is proportional to ∛aᵢ.

use crate::estimate::{estimate, positions, range, reference};
use crate::loss::Rho;
use crate::measure::{Aggregate, Ask, Component, Guarantee, Position};
use crate::sensitivity::Contribution;

/// Pupils of the group that errors are worked out for.
pub const REFERENCE_PUPILS: f64 = 100.0;

/// Selections per quantile: itself, and one for either end of its interval.
pub(crate) const SELECTIONS: f64 = 3.0;

/// A noisy number of pupils decides which cells are shown. Its squared error weighs a tenth of a measure's.
const DECISION: f64 = 0.1;

/// Pupils contribute a few rows: what is assumed of a bound that is still to be found, as a power of two.
pub(crate) const ASSUMED_BOUND: u64 = 8;

/// What one row of an ordered distribution can change in the distance of a rank from the wanted one, and a
/// little more for rounding.
pub(crate) fn rank_change(at: Position) -> f64 {
    let share = at.share();
    share.max(1.0 - share) + 1.0 / 16_384.0
}

/// aᵢ per grouping and component.
pub(crate) fn errors(ask: &Ask) -> Vec<Vec<f64>> {
    let totals = reference(&ask.components, REFERENCE_PUPILS);
    let thresholds = ask.automatic.map(|automatic| automatic.thresholds());
    let slopes = slopes(ask, &totals);
    let per_grouping = |contribution: &Contribution, keyed: bool| {
        let error = |(i, component): (usize, &Component)| {
            let raced = thresholds.as_ref().filter(|_| !keyed && component.races());
            let noise = match raced {
                // Each of the thresholds is an integer of its own.
                Some(thresholds) => unit_noise(ask.guarantee, ASSUMED_BOUND as f64, thresholds.len() as f64),
                None => {
                    let contribution = match thresholds {
                        Some(_) => contribution.at_most(ASSUMED_BOUND),
                        None => *contribution,
                    };
                    unit_noise(ask.guarantee, sensitivity(ask.guarantee, component, &contribution), 1.0)
                }
            };
            let selections = selections(ask, i);
            if selections.is_empty() {
                return noise * slopes[i];
            }
            let count = SELECTIONS * selections.len() as f64;
            let shared =
                unit_noise(ask.guarantee, sensitivity(ask.guarantee, component, contribution), count);
            let change: f64 = selections.iter().map(|at| rank_change(*at).powi(2)).sum();
            noise * slopes[i] + shared * change / REFERENCE_PUPILS.powi(2)
        };
        ask.components.iter().enumerate().map(error).collect()
    };
    ask.groupings.iter().map(|g| per_grouping(&g.contribution, g.keys.contains(&true))).collect()
}

/// Shares of the price per grouping and component, summing to 1.
pub(crate) fn shares(ask: &Ask) -> Vec<Vec<f64>> {
    let weights = weights(ask);
    let sum: f64 = weights.iter().flatten().sum();
    let share = |weight: f64| if sum > 0.0 { weight / sum } else { 0.0 };
    weights.into_iter().map(|weights| weights.into_iter().map(share).collect()).collect()
}

/// What a stage weighs when a price is split over several: shares of ρ (of ε, where pure) are proportional to
/// it.
pub(crate) fn weight(ask: &Ask) -> f64 {
    weights(ask).iter().flatten().sum()
}

/// Prices of stages that together cost at most `rho`, in proportion to their weights: in ρ where
/// concentrated, in ε = √(2ρ) where pure.
pub fn prices(rho: Rho, guarantee: Guarantee, weights: &[f64]) -> Vec<Rho> {
    if weights.len() == 1 {
        return vec![rho];
    }
    let sum: f64 = weights.iter().sum();
    let micro = |weight: &f64| {
        let share = if sum > 0.0 { weight / sum } else { 1.0 / weights.len() as f64 };
        let price = match guarantee {
            Guarantee::Concentrated => rho.micro() as f64 * share,
            Guarantee::Pure => rho.micro() as f64 * share * share,
        };
        (price * (1.0 + 1e-12)).floor() as u64
    };
    let mut micros: Vec<u64> = weights.iter().map(micro).collect();
    let exceeds = |micros: &[u64]| match guarantee {
        Guarantee::Concentrated => micros.iter().sum::<u64>() > rho.micro(),
        Guarantee::Pure => {
            micros.iter().map(|micro| (*micro as f64).sqrt()).sum::<f64>() > (rho.micro() as f64).sqrt()
        }
    };
    // What floats rounded up comes off the dearest.
    while exceeds(&micros)
        && let Some(dearest) = micros.iter_mut().max()
    {
        *dearest -= (*dearest / 1_000_000_000_000).max(1);
    }
    micros.into_iter().map(|micro| Rho::from_micro(micro).unwrap_or(Rho::ZERO)).collect()
}

fn weights(ask: &Ask) -> Vec<Vec<f64>> {
    let root = |error: f64| match ask.guarantee {
        Guarantee::Concentrated => error.sqrt(),
        Guarantee::Pure => error.cbrt(),
    };
    errors(ask).into_iter().map(|errors| errors.into_iter().map(root).collect()).collect()
}

/// Positions that are selected from a component.
pub(crate) fn selections(ask: &Ask, component: usize) -> Vec<Position> {
    positions(ask.measures.iter().map(|measure| &measure.aggregate), component)
}

/// L2 where concentrated, L1 where pure.
pub(crate) fn sensitivity(guarantee: Guarantee, component: &Component, contribution: &Contribution) -> f64 {
    match guarantee {
        Guarantee::Concentrated => (component.l2_squared(contribution) as f64).sqrt(),
        Guarantee::Pure => component.l1(contribution) as f64,
    }
}

/// Variance of the noise at a price of 1 (ρ, or ε where pure), for so many integers of this sensitivity.
fn unit_noise(guarantee: Guarantee, sensitivity: f64, integers: f64) -> f64 {
    match guarantee {
        Guarantee::Concentrated => integers * sensitivity * sensitivity / 2.0,
        Guarantee::Pure => 2.0 * (integers * sensitivity).powi(2),
    }
}

/// Per component: Σ over measures of (∂measure/∂component ÷ the measure's range)², at the reference totals.
fn slopes(ask: &Ask, totals: &[f64]) -> Vec<f64> {
    let mut slopes = vec![0.0; ask.components.len()];
    for measure in &ask.measures {
        let range = range(&measure.aggregate, &ask.components, REFERENCE_PUPILS);
        for i in measure.aggregate.components() {
            let slope = slope(&measure.aggregate, &ask.components, totals, i) / range;
            slopes[i] += slope * slope;
        }
    }
    let decides = ask.measures.iter().map(|measure| measure.pupils).chain(ask.pupils);
    for (i, slope) in slopes.iter_mut().enumerate() {
        if decides.clone().any(|decides| decides == i) {
            *slope += DECISION / REFERENCE_PUPILS.powi(2);
        }
        // What no measure depends on at the reference group may matter elsewhere, and is released all the
        // same.
        let least = 1e-3 / (REFERENCE_PUPILS * ask.components[i].row_bound() as f64).powi(2);
        if selections(ask, i).is_empty() {
            *slope = slope.max(least);
        }
    }
    slopes
}

/// Central difference; the measures are smooth at the reference group.
fn slope(aggregate: &Aggregate, components: &[Component], totals: &[f64], i: usize) -> f64 {
    let step = 1e-4 * REFERENCE_PUPILS * components[i].row_bound() as f64;
    let at = |shift: f64| {
        let mut moved = totals.to_vec();
        moved[i] += shift;
        estimate(aggregate, components, &moved)
    };
    at(step).zip(at(-step)).map_or(0.0, |(up, down)| (up - down) / (2.0 * step))
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
