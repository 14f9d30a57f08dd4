//! Which cells stay hidden: small ones, and those that would give a small one away.

use crate::groupings::{self, Family};
use crate::measure::Terms;
use crate::release::Noisy;

/// Per grouping, group and measure.
pub(crate) type HiddenCells = Vec<Vec<Vec<bool>>>;

/// Hides small cells, and where of a total and its parts exactly one is hidden, one more: the next smallest
/// part, or the total where no part is left. The total less the parts that are shown would be the hidden
/// part, and the sum of the parts the hidden total. Repeated until nothing changes. All by the noisy numbers
/// of pupils; only where totals were made to add up does a difference tell anything.
pub(crate) fn hidden(terms: &Terms, families: &[Family], groupings: &[Vec<Noisy>]) -> HiddenCells {
    let small = |(grouping, groups): (usize, &Vec<Noisy>)| {
        let least: Vec<i64> =
            terms.measures.iter().map(|measure| terms.cell_threshold(grouping, measure.pupils)).collect();
        let measures = |group: &Noisy| {
            let measures = terms.measures.iter().zip(&least);
            measures.map(|(measure, least)| group.drawn[measure.pupils] < *least).collect()
        };
        groups.iter().map(measures).collect()
    };
    let mut hidden: HiddenCells = groupings.iter().enumerate().map(small).collect();
    for family in families {
        let steps = steps(terms, family, groupings);
        for (measure, of) in terms.measures.iter().enumerate() {
            if of.aggregate.components().iter().all(|component| family.additive.contains(component)) {
                while steps.iter().any(|step| complement(&mut hidden, groupings, step, measure, of.pupils)) {}
            }
        }
    }
    hidden
}

/// A total and its parts one step finer: grouping and group of the total, grouping and groups of the parts.
struct Step {
    coarse: usize,
    fine: usize,
    parts: Vec<Vec<usize>>,
}

fn steps(terms: &Terms, family: &Family, groupings: &[Vec<Noisy>]) -> Vec<Step> {
    let strictly = |a: usize, b: usize| groupings::coarser(terms, a, b) && !groupings::coarser(terms, b, a);
    let mut steps = Vec::new();
    for &coarse in &family.members {
        for &fine in family.members.iter().filter(|fine| strictly(coarse, **fine)) {
            let between = |other: &usize| strictly(coarse, *other) && strictly(*other, fine);
            if family.members.iter().any(between) {
                continue;
            }
            let mut parts = vec![Vec::new(); groupings[coarse].len()];
            let places = groupings::parts(terms, &groupings[fine], &groupings[coarse], coarse);
            places.into_iter().enumerate().for_each(|(part, total)| parts[total].push(part));
            steps.push(Step { coarse, fine, parts });
        }
    }
    steps
}

/// Hides what one step needs hidden; whether that was anything.
fn complement(
    hidden: &mut HiddenCells,
    groupings: &[Vec<Noisy>],
    step: &Step,
    measure: usize,
    pupils: usize,
) -> bool {
    let mut changed = false;
    for (total, parts) in step.parts.iter().enumerate() {
        let is_hidden = |part: &&usize| hidden[step.fine][**part][measure];
        let secrets =
            parts.iter().filter(is_hidden).count() + usize::from(hidden[step.coarse][total][measure]);
        if secrets != 1 || parts.is_empty() {
            continue;
        }
        let shown = parts.iter().filter(|part| !is_hidden(part));
        let next = shown.min_by_key(|part| groupings[step.fine][**part].drawn[pupils]).copied();
        match next {
            Some(part) => hidden[step.fine][part][measure] = true,
            None => hidden[step.coarse][total][measure] = true,
        }
        changed = true;
    }
    changed
}
