//! The draws: the only place where noise is made. OpenDP's integer mechanisms and its selection, and nothing
//! else of its privacy arithmetic.

use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::{make_gaussian, make_laplace, make_noisy_max};
use opendp::measures::{MaxDivergence, ZeroConcentratedDivergence};
use opendp::metrics::{L1Distance, L2Distance, LInfDistance};

use crate::measure::Guarantee;
use crate::tail::Noise;

/// The noise generator failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

/// Adds noise of one scale to integers.
///
/// # Privacy
/// Discrete Gaussian noise (Canonne, Kamath and Steinke 2020): Δ²/(2·scale²)-zCDP for L2 sensitivity Δ.
/// Discrete Laplace noise: Δ/scale-DP for L1 sensitivity Δ.
pub(crate) fn add(totals: &[i64], noise: Noise) -> Result<Vec<i64>, Failed> {
    let totals = totals.to_vec();
    let domain = VectorDomain::new(AtomDomain::<i64>::new_non_nan());
    match noise.guarantee {
        Guarantee::Concentrated => {
            let space = L2Distance::<f64>::default();
            let mechanism =
                make_gaussian::<_, _, ZeroConcentratedDivergence>(domain, space, noise.scale, None);
            mechanism.and_then(|mechanism| mechanism.invoke(&totals)).map_err(|_| Failed)
        }
        Guarantee::Pure => {
            let space = L1Distance::<i64>::default();
            let mechanism = make_laplace::<_, _, MaxDivergence>(domain, space, noise.scale, None);
            mechanism.and_then(|mechanism| mechanism.invoke(&totals)).map_err(|_| Failed)
        }
    }
}

/// Selects one of several candidates by their scores: the higher, the likelier, by a factor of e per `scale`.
///
/// # Privacy
/// For scores that change by at most Δ each. Concentrated: the exponential mechanism P(i) ∝
/// exp(scoreᵢ/scale), whose privacy loss ranges over at most 2Δ/scale, so that it is (2Δ/scale)²/8-zCDP
/// (Cesar and Rogers 2021, lemma 5). Pure: permute-and-flip (McKenna and Sheldon 2020), 2Δ/scale-DP. OpenDP
/// draws both exactly, by rejection in rationals.
pub(crate) fn select(scores: &[i64], guarantee: Guarantee, scale: f64) -> Result<usize, Failed> {
    let domain = VectorDomain::new(AtomDomain::<i64>::new_non_nan());
    let space = LInfDistance::<i64>::default();
    let scores = scores.to_vec();
    let selected = match guarantee {
        Guarantee::Concentrated => make_noisy_max(domain, space, ZeroConcentratedDivergence, scale, false)
            .and_then(|mechanism| mechanism.invoke(&scores)),
        Guarantee::Pure => make_noisy_max(domain, space, MaxDivergence, scale, false)
            .and_then(|mechanism| mechanism.invoke(&scores)),
    };
    selected.map_err(|_| Failed)
}
