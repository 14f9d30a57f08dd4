//! What a question costs: from the request, the memorandum and the plan, before any row is read.

use disclosure_rules::measure::{Aggregate, Terms};
use disclosure_rules::{Rho, RuleSet};
use memoranda::Memorandum;
use queries::{PrivatePlan, Refusal, Rule};

use crate::request::Price;

/// The terms of a release: the plan at its price.
pub fn terms(
    plan: &PrivatePlan,
    price: Price,
    memorandum: &Memorandum,
    rules: &RuleSet,
) -> Result<Terms, Refusal> {
    let delta = memorandum.allotment.delta;
    let at = |rho: Rho| plan.terms(rho, memorandum.allotment.threshold_delta(), rules.small_cells);
    let most = rules.limits.max_rho_per_release;
    let rho = match price {
        Price::Default => memorandum.allotment.default_rho.min(most),
        Price::Rho(rho) => rho,
        Price::Epsilon(epsilon) => Rho::from_epsilon(epsilon, delta),
        Price::Within(width) => least(width, most, &at)?,
    };
    if rho == Rho::ZERO {
        return Err(Refusal::new(Rule::Limit, "the price is too small: the least is 0.000001 rho"));
    }
    if rho > most {
        return Err(Refusal::new(
            Rule::Limit,
            format!("one question costs at most {most} rho under rule set `{}`", rules.name),
        )
        .rewrite(format!("--rho {most}")));
    }
    Ok(at(rho))
}

/// The least price at which every measure's half-width is at most `width`: for a mean, in cells of at least
/// [`REFERENCE_PUPILS`]. Half-widths fall as the price rises.
fn least(width: f64, most: Rho, at: &dyn Fn(Rho) -> Terms) -> Result<Rho, Refusal> {
    let accurate = |micro: u64| Rho::from_micro(micro).is_ok_and(|rho| widest(&at(rho)) <= width);
    if !accurate(most.micro()) {
        let best = widest(&at(most));
        return Err(Refusal::new(
            Rule::Limit,
            format!("a half-width of {width} is out of reach at the largest price, {most} rho"),
        )
        .rewrite(format!("--within {}", round_up(best))));
    }
    let (mut low, mut high) = (0, most.micro());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if accurate(middle) { high = middle } else { low = middle }
    }
    Rho::from_micro(high).map_err(|_| Refusal::new(Rule::Limit, "the price is out of range"))
}

fn round_up(width: f64) -> f64 {
    let unit = 10f64.powf(width.log10().floor() - 1.0);
    (width / unit).ceil() * unit
}

fn widest(terms: &Terms) -> f64 {
    let width = |measure| terms.expected_half_width(measure, REFERENCE_PUPILS);
    terms.measures.iter().map(width).fold(0.0, f64::max)
}

/// The size of the cells that the half-width of a mean is stated for: unlike a count's or a sum's, it depends on
/// the number of pupils in the cell, which nobody may look up beforehand.
pub const REFERENCE_PUPILS: f64 = 100.0;

/// The number of pupils that a half-width is stated for; `None` where it is the same for every cell.
pub(crate) fn reference_pupils(aggregate: Aggregate) -> Option<f64> {
    matches!(aggregate, Aggregate::Mean { .. }).then_some(REFERENCE_PUPILS)
}
