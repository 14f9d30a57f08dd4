//! What a question costs: from the request, the memorandum and the plan, before any row is read.

use disclosure_rules::account::{Loss, PureEpsilon};
use disclosure_rules::measure::{Aggregate, CONFIDENCE, Measure, Terms};
use disclosure_rules::tail::Noise;
use disclosure_rules::{Cost, PlanDigest, Rho, RuleSet};
use memoranda::{Memorandum, PureAllotment};
use queries::{PrivatePlan, Refusal, Rule};

use crate::request::Price;

/// A question at its price.
pub struct Priced {
    /// Digest of the question with its price.
    pub question: PlanDigest,
    /// What is charged, in the unit of the memorandum's account.
    pub loss: Loss,
    /// What each stage's release is made of.
    pub terms: Vec<Terms>,
}

/// The plan at its price. `confidence` is of the half-width that a price is asked for, 0.95 where none is named.
pub fn priced(
    plan: &PrivatePlan,
    price: Price,
    confidence: Option<f64>,
    memorandum: &Memorandum,
    rules: &RuleSet,
) -> Result<Priced, Refusal> {
    let confidence = confidence.unwrap_or(CONFIDENCE);
    if matches!(price, Price::Within(_)) && plan.stages().iter().any(|stage| stage.automatic().is_some()) {
        return Err(Refusal::new(
            Rule::Contribution,
            "where nothing bounds a pupil's rows, the accuracy of an answer is not known beforehand",
        )
        .rewrite("name a bound: `--rows-per-unit N`, or a price"));
    }
    let at = |rho: Rho| plan.terms(rho, memorandum.allotment.threshold_delta(), rules.small_cells);
    let widest = |rho: Rho| at(rho).map_or(f64::INFINITY, |terms| widest(&terms, confidence));
    let (rho, epsilon) = match memorandum.allotment.pure {
        None => (rho_of(price, memorandum, rules, &widest)?, None),
        Some(pure) => {
            let epsilon = epsilon_of(price, pure, rules, &widest)?;
            (epsilon.rho(), Some(epsilon))
        }
    };
    let too_small = || {
        Refusal::new(
            Rule::Limit,
            "the price is too small: the least is 0.000001 rho for each result inside the question",
        )
    };
    let terms = at(rho).ok_or_else(too_small)?;
    let threshold_delta = terms.iter().map(|terms| terms.cost().threshold_delta).sum();
    let loss = epsilon.map_or(Loss::Concentrated(Cost { rho, threshold_delta }), Loss::Pure);
    Ok(Priced { question: plan.digest(rho), loss, terms })
}

/// A price in ρ.
fn rho_of(
    price: Price,
    memorandum: &Memorandum,
    rules: &RuleSet,
    widest: &dyn Fn(Rho) -> f64,
) -> Result<Rho, Refusal> {
    let most = rules.limits.max_rho_per_release;
    let rho = match price {
        Price::Default => memorandum.allotment.default_rho.min(most),
        Price::Rho(rho) => rho,
        Price::Epsilon(epsilon) => Rho::from_epsilon(epsilon, memorandum.allotment.delta),
        Price::Within(width) => {
            let at = |micro| Rho::from_micro(micro).ok();
            let micro = least(width, most.micro(), &|micro| at(micro).map_or(f64::INFINITY, widest));
            micro.and_then(at).ok_or_else(|| out_of_reach(width, widest(most), &format!("{most} rho")))?
        }
    };
    if rho > most {
        return Err(too_dear(rules, &format!("{most} rho")).rewrite(format!("--rho {most}")));
    }
    Ok(rho)
}

/// A price in ε, where losses are pure.
fn epsilon_of(
    price: Price,
    pure: PureAllotment,
    rules: &RuleSet,
    widest: &dyn Fn(Rho) -> f64,
) -> Result<PureEpsilon, Refusal> {
    let most = PureEpsilon::within(rules.limits.max_rho_per_release);
    let epsilon = match price {
        Price::Default => pure.default_epsilon.min(most),
        Price::Rho(rho) => {
            let same = PureEpsilon::within(rho).min(most);
            return Err(Refusal::new(Rule::Limit, "the memorandum is pure: it pays in epsilon")
                .rewrite(format!("--epsilon {same}")));
        }
        Price::Epsilon(epsilon) => {
            PureEpsilon::at_least(epsilon).ok().filter(|epsilon| *epsilon <= most).ok_or_else(|| {
                too_dear(rules, &format!("{most} epsilon")).rewrite(format!("--epsilon {most}"))
            })?
        }
        Price::Within(width) => {
            let widest = |epsilon: PureEpsilon| widest(epsilon.rho());
            let at = PureEpsilon::from_micro;
            let micro = least(width, most.micro(), &|micro| at(micro).map_or(f64::INFINITY, widest));
            micro.and_then(at).ok_or_else(|| out_of_reach(width, widest(most), &format!("{most} epsilon")))?
        }
    };
    Ok(epsilon)
}

fn too_dear(rules: &RuleSet, most: &str) -> Refusal {
    Refusal::new(Rule::Limit, format!("one question costs at most {most} under rule set `{}`", rules.name))
}

fn out_of_reach(width: f64, best: f64, most: &str) -> Refusal {
    Refusal::new(Rule::Limit, format!("a half-width of {width} is out of reach at the largest price, {most}"))
        .rewrite(format!("--within {}", round_up(best)))
}

/// The least price, in millionths up to `most`, at which every measure's half-width is at most `width`; `None` if there
/// is none. Where it depends on the rows, in cells of [`REFERENCE_PUPILS`]. Half-widths fall as the price rises.
fn least(width: f64, most: u64, widest: &dyn Fn(u64) -> f64) -> Option<u64> {
    (widest(most) <= width).then_some(())?;
    let (mut low, mut high) = (0, most);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if widest(middle) <= width { high = middle } else { low = middle }
    }
    Some(high)
}

fn round_up(width: f64) -> f64 {
    let unit = 10f64.powf(width.log10().floor() - 1.0);
    (width / unit).ceil() * unit
}

fn widest(terms: &[Terms], confidence: f64) -> f64 {
    let of = |terms: &Terms| {
        let width = |measure| half_width(terms, measure, confidence);
        terms.measures.iter().map(width).fold(0.0, f64::max)
    };
    terms.iter().map(of).fold(0.0, f64::max)
}

/// The half-width to expect of a measure's interval of this confidence; where it depends on the rows, in a cell of
/// [`REFERENCE_PUPILS`].
pub(crate) fn half_width(terms: &Terms, measure: &Measure, confidence: f64) -> f64 {
    if confidence == CONFIDENCE {
        return terms.expected_half_width(measure, REFERENCE_PUPILS);
    }
    if let Aggregate::Count(count) = measure.aggregate
        && terms.automatic.is_none()
    {
        let widths =
            (0..terms.groupings.len()).map(|grouping| terms.noise(grouping, count).half_width(confidence));
        return widths.max().unwrap_or_default() as f64;
    }
    // A scale at which the discrete tail is the continuous one to six digits.
    let noise = Noise { guarantee: terms.guarantee, scale: 1e7 };
    let quantile = |confidence: f64| noise.half_width(confidence) as f64;
    terms.expected_half_width(measure, REFERENCE_PUPILS) * quantile(confidence) / quantile(CONFIDENCE)
}

/// The size of the cells that the half-width of a mean and the like is stated for: unlike a count's or a sum's, it depends on
/// the number of pupils in the cell, which nobody may look up beforehand.
pub const REFERENCE_PUPILS: f64 = 100.0;

/// The number of pupils that a half-width is stated for; `None` where it is the same for every cell.
pub(crate) fn reference_pupils(aggregate: Aggregate) -> Option<f64> {
    (!matches!(aggregate, Aggregate::Count(_) | Aggregate::Sum { .. })).then_some(REFERENCE_PUPILS)
}
