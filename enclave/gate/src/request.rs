//! [`Request`]: one question as it was asked, and what its numbers may be, for every way to ask.

use disclosure_rules::{Epsilon, Rho};

/// What to pay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Price {
    /// The memorandum's default.
    Default,
    /// ρ.
    Rho(Rho),
    /// ε at the memorandum's δ, converted to ρ and rounded down; under a pure memorandum, the charge itself.
    Epsilon(Epsilon),
    /// The least price that gives every measure a half-width of at most this, in the measure's unit; means in
    /// cells of at least [`crate::price::REFERENCE_PUPILS`].
    Within(f64),
}

impl Price {
    /// The one of three ways to name a price that was taken; none is the memorandum's default. What has no meaning is told
    /// in words for whoever asks.
    pub fn of(rho: Option<f64>, epsilon: Option<f64>, within: Option<f64>) -> Result<Price, String> {
        match (rho, epsilon, within) {
            (None, None, None) => Ok(Price::Default),
            (Some(rho), None, None) => Rho::at_least(rho).map(Price::Rho).map_err(|error| error.to_string()),
            (None, Some(epsilon), None) => {
                Epsilon::new(epsilon).map(Price::Epsilon).map_err(|error| error.to_string())
            }
            (None, None, Some(width)) if width.is_finite() && width > 0.0 => Ok(Price::Within(width)),
            (None, None, Some(_)) => Err("a half-width is positive and finite".to_owned()),
            _ => Err("give at most one of `rho`, `epsilon` and `within`".to_owned()),
        }
    }
}

/// A confidence of half-widths, where one was named, if it has a meaning.
pub fn confidence(named: Option<f64>) -> Result<Option<f64>, String> {
    if named.is_some_and(|confidence| !(0.5..1.0).contains(&confidence)) {
        return Err("a confidence is at least 0.5 and below 1".to_owned());
    }
    Ok(named)
}

/// One question.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Id of the memorandum.
    pub memorandum: String,
    /// Who asks; may be left out where the memorandum names one researcher.
    pub person: Option<String>,
    /// The use case of the memorandum that it is asked for; may be left out where there is one.
    pub purpose: Option<String>,
    /// The question.
    pub sql: String,
    /// What to pay.
    pub price: Price,
    /// Confidence of the half-width after `Price::Within`, and of those that a preview tells; 0.95 where none is named.
    pub confidence: Option<f64>,
    /// Bounds beside the contract's.
    pub options: queries::Options,
    /// Why the question is needed, for the board where it decides.
    pub justification: Option<String>,
    /// Draw and charge anew where the answer is on record.
    pub fresh: bool,
    /// Charge and read nothing; say what would be charged and how accurate it would be.
    pub preview: bool,
}
