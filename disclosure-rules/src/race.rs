//! The race to the top: sums where nobody has said how much one pupil can contribute (Dong, Fang, Yi, Tao and
//! Machanavajjhala, *R2T: Instance-optimal truncation for differentially private query evaluation with
//! foreign keys*, SIGMOD 2022).
//!
//! Every pupil's share of a sum of non-negative numbers is cut at thresholds 1, 2, 4, …; the larger the
//! threshold, the less is lost, and the more noise is needed. All cut sums are released with noise, and the
//! race decides which is the answer: the one that is largest after a penalty for its noise. The paper answers
//! with the penalised sum, which lies below the truth with high probability. Here the answer is the winner
//! without its penalty: the noise is paid for either way, and the simulation in the tests shows half the
//! error or less.

use crate::exact::{ExactGroup, Total};
use crate::measure::{CONFIDENCE, Guarantee, Quantity, Terms};
use crate::noise::{self, Failed};
use crate::release::ReleaseError;
use crate::tail::Noise;
use crate::terms::scale;

/// Chance that the noise of some threshold exceeds its penalty; the paper's β is twice that (its noise has
/// two sides). In simulations on four skewed distributions, 0.02 had the same median error as 0.05, and a
/// twentieth worst error several times below it (a large threshold that wins by luck is far off); still less
/// only cuts more.
const MISLED: f64 = 0.02;

/// The end of a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish {
    /// The noisy sum.
    pub value: i64,
    /// The threshold at which every pupil's share was cut.
    pub threshold: u64,
    /// Which of the thresholds that is.
    pub place: usize,
    /// Half-width of the 95% interval: of the noise, not of what was cut.
    pub half_width: i64,
}

/// The noise on the sum that is cut at `threshold`, one of so many, for a loss (ρ, or ε where pure) of the
/// whole race.
///
/// # Privacy
/// One pupil changes the sum cut at τ by at most τ. Each of J thresholds costs ρ/J (ε/J where pure), so the
/// scale is τ·√(J/(2ρ)) (τ·J/ε).
pub(crate) fn noise(guarantee: Guarantee, threshold: u64, thresholds: usize, loss: f64) -> Noise {
    Noise { guarantee, scale: scale(guarantee, threshold as f64, loss / thresholds as f64) }
}

/// Runs the race for a loss of ρ, or ε where pure. `truncated` has one sum per threshold; they are one
/// pupil's share cut at that threshold, summed over pupils.
///
/// # Privacy
/// One pupil changes the sum cut at τ by at most τ, and each of J thresholds costs ρ/J (ε/J); the choice of
/// the winner sees noisy sums only. The interval is wide enough for all thresholds at once, as the winner is
/// one that was lucky.
pub fn race(
    truncated: &[i64],
    thresholds: &[u64],
    guarantee: Guarantee,
    loss: f64,
) -> Result<Finish, ReleaseError> {
    let matching = truncated.len() == thresholds.len() && !thresholds.is_empty();
    if !matching {
        return Err(ReleaseError::Mismatch);
    }
    let count = thresholds.len();
    let lane = |(place, (&sum, &threshold)): (usize, (&i64, &u64))| {
        let noise = noise(guarantee, threshold, count, loss);
        let value = noise::add(&[sum], noise)?.first().copied().ok_or(Failed)?;
        let penalised = value.saturating_sub(noise.upper_quantile(MISLED / count as f64));
        let half_width = noise.half_width(1.0 - (1.0 - CONFIDENCE) / count as f64);
        Ok((penalised, Finish { value, threshold, place, half_width }))
    };
    let lanes = truncated.iter().zip(thresholds).enumerate().map(lane);
    let lanes = lanes.collect::<Result<Vec<(i64, Finish)>, Failed>>()?;
    // Among equals the first: it has the least noise.
    let winner = lanes.into_iter().reduce(|best, next| if next.0 > best.0 { next } else { best });
    winner.map(|(_, finish)| finish).ok_or(ReleaseError::Mismatch)
}

/// For a keyed question: races for one bound on a pupil's rows, over their total number, and leaves of every
/// total what it is at that bound. `None` where the terms have no race, or one per component.
pub(crate) fn one_bound(
    terms: &Terms,
    groupings: Vec<Vec<ExactGroup>>,
) -> Result<(Vec<Vec<ExactGroup>>, Option<Finish>), ReleaseError> {
    let Some(automatic) = terms.automatic.filter(|_| terms.race_loss() > 0.0) else {
        return Ok((groupings, None));
    };
    let thresholds = automatic.thresholds();
    // A pupil is in at most as many groups as it has rows: without a count of rows, that of pupils races as
    // well.
    let counts = [Quantity::Rows, Quantity::Pupils];
    let raced = counts
        .iter()
        .find_map(|wanted| terms.components.iter().position(|component| component.quantity == *wanted))
        .ok_or(ReleaseError::Mismatch)?;
    let mut sums = vec![0_i64; thresholds.len()];
    for (_, totals) in groupings.first().into_iter().flatten() {
        let Some(Total::Truncated(cut)) = totals.get(raced) else { return Err(ReleaseError::Mismatch) };
        for (sum, cut) in sums.iter_mut().zip(cut) {
            *sum = sum.saturating_add(*cut);
        }
    }
    let finish = race(&sums, &thresholds, terms.guarantee, terms.race_loss())?;
    let number = |total: Total| match total {
        Total::Truncated(cut) => cut.get(finish.place).map(|total| Total::Number(*total)),
        Total::Number(_) | Total::Distribution(_) => None,
    };
    let cut = |(key, totals): ExactGroup| {
        let totals: Option<Vec<Total>> = totals.into_iter().map(number).collect();
        totals.map(|totals| (key, totals))
    };
    let groupings: Option<Vec<Vec<ExactGroup>>> =
        groupings.into_iter().map(|groups| groups.into_iter().map(cut).collect()).collect();
    Ok((groupings.ok_or(ReleaseError::Mismatch)?, Some(finish)))
}

#[cfg(test)]
#[path = "race_tests.rs"]
mod tests;
