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
    let at = |rho: Rho| plan.terms(rho, delta, rules.small_cells);
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

/// The least price at which every measure's half-width is at most `width`: for a mean, in the smallest cell that
/// is shown. Half-widths fall as the price rises.
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
    terms
        .measures
        .iter()
        .map(|measure| terms.expected_half_width(measure, reference_pupils(terms, measure.aggregate)))
        .fold(0.0, f64::max)
}

/// The number of pupils that a half-width is stated for: of a mean, the smallest cell that is shown.
pub(crate) fn reference_pupils(terms: &Terms, aggregate: Aggregate) -> f64 {
    let Aggregate::Mean { .. } = aggregate else { return 0.0 };
    let thresholds =
        terms.measures.iter().filter(|m| m.aggregate == aggregate).map(|m| terms.cell_threshold(m));
    thresholds.max().unwrap_or(0) as f64
}
