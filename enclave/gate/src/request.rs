//! [`Request`]: one question as it was asked.

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
