//! Tails of the noise: thresholds and intervals. Discrete Gaussian: exact for small scales, conservative for
//! large; discrete Laplace: exact.

use crate::measure::Guarantee;

/// The noise on one integer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Discrete Gaussian where concentrated, discrete Laplace where pure.
    pub guarantee: Guarantee,
    /// Its scale: the Gaussian's standard deviation, the Laplace's mean magnitude (or a little more).
    pub scale: f64,
}

impl Noise {
    /// The least integer q with P(X ≥ q) ≤ `p` (or a little more). `p` is in (0, 1/2].
    pub fn upper_quantile(&self, p: f64) -> i64 {
        match self.guarantee {
            Guarantee::Concentrated => upper_quantile(self.scale, p),
            Guarantee::Pure => laplace_quantile(self.scale, p),
        }
    }

    /// The least integer w with P(|X| ≤ w) ≥ `confidence` (or a little more).
    pub fn half_width(&self, confidence: f64) -> i64 {
        self.upper_quantile((1.0 - confidence) / 2.0) - 1
    }

    /// Variance, or a little more.
    pub fn variance(&self) -> f64 {
        match self.guarantee {
            Guarantee::Concentrated => self.scale * self.scale,
            Guarantee::Pure => 2.0 * self.scale * self.scale,
        }
    }
}

/// Above this scale the continuous bound is at most one part in a hundred wider than the exact tail.
const EXACT_UP_TO: f64 = 100.0;

/// The least integer q with P(X ≥ q) ≤ `p` (or a little more), for X discrete Gaussian of scale `sigma`.
///
/// # Privacy
/// Up to a scale of 100 by summing the probability mass; above, by P(X ≥ q) ≤ P(N(0, σ²) ≥ q - 1) (Canonne,
/// Kamath and Steinke 2020, proposition 25), which can only overstate q. `p` is in (0, 1/2].
pub fn upper_quantile(sigma: f64, p: f64) -> i64 {
    if sigma <= EXACT_UP_TO {
        exact_quantile(sigma, p)
    } else {
        (sigma * normal_upper_quantile(p)).ceil() as i64 + 1
    }
}

/// The least integer w with P(|X| ≤ w) ≥ `confidence` (or a little more).
pub fn half_width(sigma: f64, confidence: f64) -> i64 {
    upper_quantile(sigma, (1.0 - confidence) / 2.0) - 1
}

/// The same for X discrete Laplace: with α = e^(-1/scale), P(X ≥ q) = α^q/(1+α) for q ≥ 1.
fn laplace_quantile(scale: f64, p: f64) -> i64 {
    let alpha = (-1.0 / scale).exp();
    let q = -(p * (1.0 + alpha)).ln() * scale;
    ((q * (1.0 + 1e-12)).ceil() as i64).max(1)
}

fn exact_quantile(sigma: f64, p: f64) -> i64 {
    let weight = |k: i64| (-((k as f64) / sigma).powi(2) / 2.0).exp();
    // Beyond 40 scales the mass is below 10⁻³⁴⁷: nothing that a float can add.
    let last = (40.0 * sigma).ceil() as i64 + 1;
    let half: f64 = (1..=last).rev().map(weight).sum();
    let total = 2.0 * half + 1.0;
    let mut tail = 0.0;
    // From the far end inwards, so that small terms are added first; stop before the tail exceeds p.
    for k in (0..=last).rev() {
        tail += weight(k) / total;
        if tail > p * (1.0 - 1e-12) {
            return k + 1;
        }
    }
    0
}

/// z with P(N(0, 1) ≥ z) = `p`, rounded up by a part in 10¹².
fn normal_upper_quantile(p: f64) -> f64 {
    let upper = |z: f64| 0.5 * libm::erfc(z / std::f64::consts::SQRT_2);
    let (mut low, mut high) = (0.0_f64, 40.0_f64);
    for _ in 0..120 {
        let middle = 0.5 * (low + high);
        if upper(middle) > p { low = middle } else { high = middle }
    }
    high * (1.0 + 1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_match_known_values() {
        // design section 7: scale 14.1 gives an interval of ±28
        assert_eq!(half_width(14.142, 0.95), 28);
        // z of 0.975 is 1.959964: 1000 × 1.959964, rounded up, is 1960
        assert_eq!(half_width(1000.0, 0.95), 1960);
        assert_eq!(half_width(0.1, 0.95), 0);
    }

    #[test]
    fn quantile_bounds_the_tail_and_is_least() {
        for sigma in [0.3, 1.0, 2.5, 7.0, 50.0] {
            for p in [0.05, 0.025, 1e-6, 1e-10] {
                let weight = |k: i64| (-((k as f64) / sigma).powi(2) / 2.0).exp();
                let total: f64 = (-4000..=4000).map(weight).sum();
                let tail = |q: i64| (q..=4000).rev().map(weight).sum::<f64>() / total;
                let q = upper_quantile(sigma, p);
                assert!(tail(q) <= p, "sigma {sigma}, p {p}");
                assert!(tail(q - 1) > p * (1.0 - 1e-9), "sigma {sigma}, p {p}");
            }
        }
    }

    #[test]
    fn laplace_quantiles_bound_the_tail_and_are_least() {
        for scale in [0.05, 0.7, 3.0, 40.0] {
            for p in [0.5, 0.05, 0.025, 1e-6] {
                let weight = |k: i64| (-(k.abs() as f64) / scale).exp();
                let total: f64 = (-4000..=4000).map(weight).sum();
                let tail = |q: i64| (q..=4000).rev().map(weight).sum::<f64>() / total;
                let q = Noise { guarantee: Guarantee::Pure, scale }.upper_quantile(p);
                assert!(tail(q) <= p * (1.0 + 1e-9), "scale {scale}, p {p}");
                assert!(q == 1 || tail(q - 1) > p * (1.0 - 1e-9), "scale {scale}, p {p}");
            }
        }
        let noise = Noise { guarantee: Guarantee::Pure, scale: 10.0 };
        // P(|X| > w) of the continuous Laplace is e^(-w/10): 29.96 at 5%.
        assert_eq!(noise.half_width(0.95), 30);
        assert_eq!(Noise { guarantee: Guarantee::Pure, scale: 1e-3 }.half_width(0.95), 0);
    }

    #[test]
    fn the_continuous_bound_is_never_below_the_exact_quantile() {
        for p in [0.05, 1e-6, 1e-9] {
            for sigma in [20.0, 60.0, 100.0, 400.0] {
                assert!((sigma * normal_upper_quantile(p)).ceil() as i64 + 1 >= exact_quantile(sigma, p));
            }
        }
    }
}
