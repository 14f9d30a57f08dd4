//! Reads measures off noisy totals, each with its interval.

use crate::estimate::{estimate, possible};
use crate::interval;
use crate::measure::{Aggregate, Measure, Spread, Terms};
use crate::release::{Cell, Noisy};

/// The measure of a noisy group, as it is shown.
pub(crate) fn read(terms: &Terms, measure: &Measure, group: &Noisy) -> Cell {
    let totals: Vec<f64> = group.totals.iter().map(|total| *total as f64).collect();
    let widths = &group.widths;
    match measure.aggregate {
        Aggregate::Count(count) => {
            let (value, width) = (totals[count], widths[count]);
            Cell::Shown {
                value: value.max(0.0),
                low: (value - width).max(0.0),
                high: (value + width).max(0.0),
            }
        }
        Aggregate::Sum { sum, count } => {
            let lattice = terms.lattice(sum);
            let number = count.map_or(0.0, |count| totals[count]);
            let value = lattice.step * totals[sum] + lattice.origin * number;
            let width =
                (lattice.step * widths[sum]).hypot(lattice.origin * count.map_or(0.0, |count| widths[count]));
            Cell::Shown { value, low: value - width, high: value + width }
        }
        Aggregate::Mean { sum, count } => {
            let lattice = terms.lattice(sum);
            let total = lattice.step * totals[sum];
            let number = totals[count];
            let ratio = fieller(total, number, lattice.step * widths[sum], widths[count]);
            let within = |v: f64| (lattice.origin + v).clamp(lattice.low, lattice.high);
            match ratio {
                Some((value, low, high)) => {
                    Cell::Shown { value: within(value), low: within(low), high: within(high) }
                }
                // So few values that the noise could make their number zero: every mean in the range is
                // possible.
                None => Cell::Shown {
                    value: within(if number > 0.0 { total / number } else { 0.0 }),
                    low: lattice.low,
                    high: lattice.high,
                },
            }
        }
        Aggregate::Spread { form: Spread::StddevPop, count, sum, squares } => root(moments(
            terms,
            &Aggregate::Spread { form: Spread::VarPop, count, sum, squares },
            count,
            &totals,
            widths,
        )),
        Aggregate::Spread { form: Spread::StddevSamp, count, sum, squares } => root(moments(
            terms,
            &Aggregate::Spread { form: Spread::VarSamp, count, sum, squares },
            count,
            &totals,
            widths,
        )),
        Aggregate::Spread { count, .. } | Aggregate::Association { count, .. } => {
            moments(terms, &measure.aggregate, count, &totals, widths)
        }
        Aggregate::Quantile { distribution, at, .. } => {
            let quantile = group.quantiles[distribution].iter().find(|quantile| quantile.at == at);
            let (low, high) = possible(&measure.aggregate, &terms.components, 0.0);
            match quantile {
                Some(found) => Cell::Shown { value: found.value, low: found.low, high: found.high },
                None => Cell::Shown { value: low, low, high },
            }
        }
    }
}

/// Where the noise could make the number of values, or their spread, zero: everything that is possible.
fn moments(terms: &Terms, aggregate: &Aggregate, count: usize, totals: &[f64], widths: &[f64]) -> Cell {
    let (low, high) = possible(aggregate, &terms.components, totals[count] + widths[count]);
    let value = |totals: &[f64]| estimate(aggregate, &terms.components, totals);
    let within = |v: f64| v.clamp(low, high);
    let centre = value(totals);
    match centre.zip(interval::spread(totals, widths, &aggregate.components(), value)) {
        Some((centre, (down, up))) => {
            Cell::Shown { value: within(centre), low: within(centre - down), high: within(centre + up) }
        }
        None => Cell::Shown { value: within(centre.unwrap_or(0.0)), low, high },
    }
}

/// A standard deviation from its variance: the interval keeps its chance.
fn root(variance: Cell) -> Cell {
    match variance {
        Cell::Shown { value, low, high } => {
            Cell::Shown { value: value.sqrt(), low: low.sqrt(), high: high.sqrt() }
        }
        Cell::Hidden { .. } => variance,
    }
}

/// A ratio of two independent noisy numbers, with the interval of Fieller (1954): all t for which total -
/// t·number is within its own noise. `None` where that set is unbounded.
fn fieller(total: f64, number: f64, total_width: f64, number_width: f64) -> Option<(f64, f64, f64)> {
    let a = number * number - number_width * number_width;
    if number <= 0.0 || a <= 0.0 {
        return None;
    }
    let b = total * number;
    let c = total * total - total_width * total_width;
    let root = (b * b - a * c).max(0.0).sqrt();
    Some((total / number, (b - root) / a, (b + root) / a))
}
