//! What a preview says of the bounds on one pupil, in words: why these, and what would lower the noise.

use disclosure_rules::measure::{GroupKeys, Terms};
use disclosure_rules::tail::Noise;
use queries::{PrivatePlan, Stage};

use crate::answered::Bounds;

pub(crate) fn bounds(plan: &PrivatePlan, terms: &[Terms], keys: &[GroupKeys]) -> Vec<Bounds> {
    let several = plan.stages().len() > 1;
    let of = |(number, ((stage, terms), keys)): (usize, ((&Stage, &Terms), &GroupKeys))| {
        let contribution = stage.groupings()[0].contribution;
        let groups = match keys {
            GroupKeys::Public(keys) => Some(keys.len()),
            GroupKeys::Unknown => None,
        };
        let bounded = |rows: u64| (stage.automatic().is_none() && rows < UNBOUNDED).then_some(rows);
        Bounds {
            rho: terms.rho,
            rows_per_unit: bounded(contribution.rows),
            rows_per_group: bounded(contribution.rows_per_group),
            groups_per_unit: bounded(contribution.groups),
            groups,
            hidden_chances: hidden_chances(stage, terms),
            explanation: explain(stage, groups, several.then_some(number + 1)),
        }
    };
    plan.stages().iter().zip(terms).zip(keys).enumerate().map(of).collect()
}

/// Beyond this, a bound says that there is none.
const UNBOUNDED: u64 = 1 << 40;

/// Sizes of cells, in pupils, for which a preview tells how likely they are hidden.
const SIZES: [u64; 5] = [5, 10, 20, 50, 100];

/// How likely a cell of so many pupils is hidden, for the first measure.
fn hidden_chances(stage: &Stage, terms: &Terms) -> Vec<(u64, f64)> {
    let Some(measure) = stage.measures().first() else { return vec![] };
    let least = terms.cell_threshold(0, measure.measure.pupils);
    let noise = terms.noise(0, measure.measure.pupils);
    let chance = |size: u64| {
        let missing = least.saturating_sub(size as i64);
        // Of noise that is symmetric round zero.
        let shown = if missing > 0 { at_least(&noise, missing) } else { 1.0 - at_least(&noise, 1 - missing) };
        ((1.0 - shown) * 100.0).round() / 100.0
    };
    SIZES.map(|size| (size, chance(size))).to_vec()
}

/// The chance of noise of at least `least`, which is above zero; to about a part in a million.
fn at_least(noise: &Noise, least: i64) -> f64 {
    let (mut low, mut high) = (0.0, 0.5);
    for _ in 0..20 {
        let middle = 0.5 * (low + high);
        if noise.upper_quantile(middle) <= least { high = middle } else { low = middle }
    }
    high
}

fn explain(stage: &Stage, groups: Option<usize>, number: Option<usize>) -> String {
    let plural = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let mut words = number.map_or(String::new(), |number| format!("result {number} inside the question: "));
    let bound = stage.groupings()[0].contribution;
    if stage.automatic().is_some() {
        words +=
            "nothing says how many rows one pupil can have: a bound is found privately, within the price";
    } else if bound.rows >= UNBOUNDED {
        words += "one pupil counts once, however many rows it has";
    } else {
        words += &format!(
            "one pupil counts with at most {}, at most {} of them in one group, in at most {}",
            plural(bound.rows, "row"),
            bound.rows_per_group,
            plural(bound.groups, "group"),
        );
    }
    if !stage.why().is_empty() {
        words += &format!(" ({})", stage.why().join("; "));
    }
    match groups {
        Some(1) => words += "; there is one group",
        Some(groups) => {
            words += &format!("; the {groups} group keys are known beforehand, so that all appear")
        }
        None => {
            words += "; group keys are not known beforehand: a key appears only if enough pupils share it"
        }
    }
    if stage.groupings().len() > 1 {
        words += &format!(
            "; the {} grouping sets share the price, and totals are made to equal the sum of their parts",
            stage.groupings().len()
        );
    }
    if stage.automatic().is_some() {
        words += ". Less noise: name a bound with `--rows-per-unit`";
    } else if bound.rows > 1 && bound.rows < UNBOUNDED {
        words +=
            ". Less noise: fix the rest of the primary key in WHERE or GROUP BY, or lower `--rows-per-unit`";
        if bound.groups > 1 {
            words += " or `--groups-per-unit`";
        }
    }
    words
}
