//! Privacy loss and counts, as types: [`Rho`], [`Epsilon`], [`Delta`], [`Units`], [`Rows`].
//!
//! ρ is kept as a whole number of millionths, so that charges add up exactly, in the ledger and in the log.
//! Conversions round against the researcher: an allotment down, a charge up.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a number is not a privacy loss.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {range}")]
pub struct OutOfRange {
    what: &'static str,
    range: &'static str,
}

/// Zero-concentrated privacy loss ρ (Bun and Steinke 2016), in whole millionths: 0 to 4·10¹².
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Rho(u64);

impl Rho {
    /// No loss.
    pub const ZERO: Rho = Rho(0);
    const MAX_MICRO: u64 = 4_000_000_000_000_000_000;

    /// The least number of millionths that is at least `rho`: for charges.
    pub fn at_least(rho: f64) -> Result<Rho, OutOfRange> {
        Self::from_float(rho, f64::ceil)
    }

    /// The greatest number of millionths that is at most `rho`: for allotments.
    pub fn at_most(rho: f64) -> Result<Rho, OutOfRange> {
        Self::from_float(rho, f64::floor)
    }

    fn from_float(rho: f64, round: fn(f64) -> f64) -> Result<Rho, OutOfRange> {
        let error = OutOfRange { what: "rho", range: "between 0 and 4e12" };
        if !rho.is_finite() || rho < 0.0 {
            return Err(error);
        }
        // 0.01 × 10⁶ is 10000 in the reals; a float product a hair off must not become 10001.
        let micro = rho * 1e6;
        let nearest = micro.round();
        let micro = if (micro - nearest).abs() <= 1e-9 * nearest { nearest } else { round(micro) };
        if micro > Self::MAX_MICRO as f64 { Err(error) } else { Ok(Rho(micro as u64)) }
    }

    /// From whole millionths, as the ledger stores it.
    pub fn from_micro(micro: u64) -> Result<Rho, OutOfRange> {
        if micro > Self::MAX_MICRO {
            return Err(OutOfRange { what: "rho", range: "between 0 and 4e12" });
        }
        Ok(Rho(micro))
    }

    /// In whole millionths.
    pub fn micro(self) -> u64 {
        self.0
    }

    /// As a float.
    pub fn get(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Sequential composition: losses add.
    pub fn plus(self, other: Rho) -> Rho {
        Rho(self.0.saturating_add(other.0))
    }

    /// What is left of `self` after `other`; `None` if `other` is larger.
    pub fn minus(self, other: Rho) -> Option<Rho> {
        self.0.checked_sub(other.0).map(Rho)
    }

    /// The largest ρ whose conversion to `delta` is at most `epsilon`: how an allotment written as (ε, δ) is
    /// read. Rounded down.
    pub fn from_epsilon(epsilon: Epsilon, delta: Delta) -> Rho {
        // ε(ρ, δ) > ρ, so ρ < ε brackets the answer.
        let (mut low, mut high) = (0.0_f64, epsilon.0.min(4e12));
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            if epsilon_of(middle, delta.0) <= epsilon.0 { low = middle } else { high = middle }
        }
        Rho((low * 1e6).floor() as u64)
    }

    /// The ε for which ρ-zCDP implies (ε, `delta`)-DP.
    ///
    /// # Privacy
    /// Canonne, Kamath and Steinke, *The discrete Gaussian for differential privacy* (2020), corollary 13, with
    /// the order α found by search: any α gives a valid ε, so the search can only overstate it.
    pub fn epsilon(self, delta: Delta) -> Epsilon {
        Epsilon(epsilon_of(self.get(), delta.0))
    }
}

fn epsilon_of(rho: f64, delta: f64) -> f64 {
    if rho <= 0.0 {
        return 0.0;
    }
    // f(α) = αρ + ln(1/(αδ))/(α-1) + ln(1-1/α); α-1 runs over a log scale, golden-section on its logarithm.
    let bound = |t: f64| {
        let a1 = t.exp();
        let alpha = 1.0 + a1;
        alpha * rho + (-(alpha.ln() + delta.ln()) / a1) - (1.0 / a1).ln_1p()
    };
    let (mut low, mut high) = (-12.0_f64, 40.0_f64);
    let golden = 0.5 * (5f64.sqrt() - 1.0);
    for _ in 0..200 {
        let (a, b) = (high - golden * (high - low), low + golden * (high - low));
        if bound(a) <= bound(b) { high = b } else { low = a }
    }
    bound(0.5 * (low + high)).max(0.0)
}

impl TryFrom<f64> for Rho {
    type Error = OutOfRange;
    fn try_from(rho: f64) -> Result<Self, Self::Error> {
        Rho::at_least(rho)
    }
}

impl From<Rho> for f64 {
    fn from(rho: Rho) -> f64 {
        rho.get()
    }
}

impl fmt::Display for Rho {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.get())
    }
}

/// Pure or approximate privacy loss ε: positive and finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Epsilon(f64);

impl Epsilon {
    /// A positive, finite ε.
    pub fn new(epsilon: f64) -> Result<Epsilon, OutOfRange> {
        if epsilon.is_finite() && epsilon > 0.0 {
            Ok(Epsilon(epsilon))
        } else {
            Err(OutOfRange { what: "epsilon", range: "positive and finite" })
        }
    }

    /// As a float.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Epsilon {
    type Error = OutOfRange;
    fn try_from(epsilon: f64) -> Result<Self, Self::Error> {
        Epsilon::new(epsilon)
    }
}

impl From<Epsilon> for f64 {
    fn from(epsilon: Epsilon) -> f64 {
        epsilon.0
    }
}

/// A probability of failure δ: above 0, below 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Delta(f64);

impl Delta {
    /// A δ strictly between 0 and 1.
    pub fn new(delta: f64) -> Result<Delta, OutOfRange> {
        if delta > 0.0 && delta < 1.0 {
            Ok(Delta(delta))
        } else {
            Err(OutOfRange { what: "delta", range: "above 0 and below 1" })
        }
    }

    /// As a float.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Delta {
    type Error = OutOfRange;
    fn try_from(delta: f64) -> Result<Self, Self::Error> {
        Delta::new(delta)
    }
}

impl From<Delta> for f64 {
    fn from(delta: Delta) -> f64 {
        delta.0
    }
}

/// A number of pupils.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Units(pub u64);

/// A number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rows(pub u64);
