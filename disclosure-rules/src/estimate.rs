//! Measures as functions of component totals: the same function gives the value, the error to expect and the
//! interval.

use crate::lattice::Lattice;
use crate::measure::{Aggregate, Association, Component, Position, Quantity, Spread};

/// The measure at these component totals; `None` where it is not defined (too few values, no spread). A
/// quantile is not a function of totals: `None`.
pub(crate) fn estimate(aggregate: &Aggregate, components: &[Component], totals: &[f64]) -> Option<f64> {
    let value = match *aggregate {
        Aggregate::Count(count) => totals[count],
        Aggregate::Sum { sum, count } => {
            let lattice = lattice(&components[sum]);
            lattice.step * totals[sum] + count.map_or(0.0, |count| lattice.origin * totals[count])
        }
        Aggregate::Mean { sum, count } => {
            let lattice = lattice(&components[sum]);
            lattice.origin + lattice.step * positive(totals[sum] / totals[count], totals[count])?
        }
        Aggregate::Spread { form, count, sum, squares } => {
            let n = totals[count];
            let variance = covariance(components, totals, squares, [sum, sum], n)?;
            match form {
                Spread::VarPop => variance,
                Spread::VarSamp => variance * sample(n)?,
                Spread::StddevPop => variance.max(0.0).sqrt(),
                Spread::StddevSamp => (variance.max(0.0) * sample(n)?).sqrt(),
            }
        }
        Aggregate::Association { form, count, x, y, xx, yy, xy } => {
            let n = totals[count];
            let of = |product, sums| covariance(components, totals, product, sums, n);
            let (both, var_x, var_y) = (of(xy, [x, y])?, of(xx, [x, x])?, of(yy, [y, y])?);
            match form {
                Association::CovarPop => both,
                Association::CovarSamp => both * sample(n)?,
                Association::Corr => positive(both / (var_x * var_y).sqrt(), var_x.min(var_y))?,
                Association::R2 => positive(both * both / (var_x * var_y), var_x.min(var_y))?,
                Association::Slope => positive(both / var_x, var_x)?,
                Association::Intercept => {
                    let mean = |i: usize| {
                        let lattice = lattice(&components[i]);
                        lattice.origin + lattice.step * totals[i] / n
                    };
                    mean(y) - positive(both / var_x, var_x)? * mean(x)
                }
            }
        }
        Aggregate::Quantile { .. } => return None,
    };
    value.is_finite().then_some(value)
}

/// What the measure can be at all, for `n` values; counts and sums have no upper end.
pub(crate) fn possible(aggregate: &Aggregate, components: &[Component], n: f64) -> (f64, f64) {
    let of = |i: usize| lattice(&components[i]);
    match *aggregate {
        Aggregate::Count(_) => (0.0, f64::INFINITY),
        Aggregate::Sum { sum, .. } => {
            let lattice = of(sum);
            let low = if lattice.low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
            (low, if lattice.high <= 0.0 { 0.0 } else { f64::INFINITY })
        }
        Aggregate::Mean { sum, .. } => (of(sum).low, of(sum).high),
        Aggregate::Quantile { distribution, .. } => (of(distribution).low, of(distribution).high),
        Aggregate::Spread { form, squares, .. } => {
            // At most a quarter of the squared width, when half of the values are at either end; and n/(n-1)
            // ≤ 2.
            let most = of(squares).width().powi(2) / 4.0;
            let most = match form {
                Spread::VarPop => most,
                Spread::VarSamp => 2.0 * most,
                Spread::StddevPop => most.sqrt(),
                Spread::StddevSamp => (2.0 * most).sqrt(),
            };
            (0.0, most)
        }
        Aggregate::Association { form, x, y, .. } => {
            let (x, y) = (of(x), of(y));
            let most = x.width() * y.width() / 4.0;
            // The least spread of n lattice points that are not all the same is step²(n-1)/n².
            let n = n.max(2.0);
            let steepest = y.width() / 2.0 * n / (x.step * (n - 1.0).sqrt());
            let far = |lattice: Lattice| lattice.low.abs().max(lattice.high.abs());
            match form {
                Association::CovarPop => (-most, most),
                Association::CovarSamp => (-2.0 * most, 2.0 * most),
                Association::Corr => (-1.0, 1.0),
                Association::R2 => (0.0, 1.0),
                Association::Slope => (-steepest, steepest),
                Association::Intercept => {
                    let most = far(y) + steepest * far(x);
                    (-most, most)
                }
            }
        }
    }
}

/// The range that errors are measured against, for `n` values: an error of this size makes the answer
/// worthless.
pub(crate) fn range(aggregate: &Aggregate, components: &[Component], n: f64) -> f64 {
    let range = match *aggregate {
        Aggregate::Count(_) => n,
        Aggregate::Sum { sum, .. } => {
            let lattice = lattice(&components[sum]);
            n * lattice.low.abs().max(lattice.high.abs())
        }
        Aggregate::Spread { squares, form, .. } => {
            let width = lattice(&components[squares]).width();
            match form {
                Spread::VarPop | Spread::VarSamp => width * width / 4.0,
                Spread::StddevPop | Spread::StddevSamp => width / 2.0,
            }
        }
        Aggregate::Association { form, x, y, .. } => {
            let (x, y) = (lattice(&components[x]).width(), lattice(&components[y]).width());
            match form {
                Association::CovarPop | Association::CovarSamp => x * y / 4.0,
                Association::Corr | Association::R2 => 1.0,
                Association::Slope => y / x,
                Association::Intercept => y,
            }
        }
        Aggregate::Mean { .. } | Aggregate::Quantile { .. } => {
            let (low, high) = possible(aggregate, components, n);
            high - low
        }
    };
    // A column whose range is one point has no error to speak of.
    if range.is_finite() && range > 0.0 { range } else { 1.0 }
}

/// Totals of a made-up group of `n` pupils, one row each: values in the upper half of their range, spread as
/// evenly over it as they can be, pairs correlated by a half. What error to expect is worked out there, as no
/// row may be read.
pub(crate) fn reference(components: &[Component], n: f64) -> Vec<f64> {
    let mean = |lattice: &Lattice| {
        let value = lattice.low + 0.6 * lattice.width();
        (value - lattice.origin) / lattice.step
    };
    let deviation = |lattice: &Lattice| lattice.width() / lattice.step / 12_f64.sqrt();
    let total = |component: &Component| match component.quantity {
        Quantity::Pupils | Quantity::Rows | Quantity::Distinct | Quantity::Distribution(_) => n,
        Quantity::Sum(lattice) => n * mean(&lattice),
        Quantity::Product { x, y, centre } => {
            let correlation = if component.argument == component.with { 1.0 } else { 0.5 };
            let product = mean(&x) * mean(&y) + correlation * deviation(&x) * deviation(&y);
            n * (product - centre as f64)
        }
    };
    components.iter().map(total).collect()
}

/// The lattice of a component; of a product, the first factor's.
pub(crate) fn lattice(component: &Component) -> Lattice {
    match component.quantity {
        Quantity::Sum(lattice) | Quantity::Distribution(lattice) => lattice,
        Quantity::Product { x, .. } => x,
        Quantity::Rows | Quantity::Pupils | Quantity::Distinct => {
            Lattice { low: 0.0, high: 1.0, step: 1.0, origin: 0.0 }
        }
    }
}

/// Positions wanted of a distribution, each once, from the least to the greatest.
pub(crate) fn positions<'a>(
    aggregates: impl Iterator<Item = &'a Aggregate>,
    component: usize,
) -> Vec<Position> {
    let mut found: Vec<Position> = Vec::new();
    for aggregate in aggregates {
        if let Aggregate::Quantile { distribution, at, .. } = *aggregate
            && distribution == component
            && !found.contains(&at)
        {
            found.push(at);
        }
    }
    let order = |at: &Position| match at {
        Position::Min => -1.0,
        Position::Max => 2.0,
        Position::At(_) => at.share(),
    };
    found.sort_by(|a, b| order(a).total_cmp(&order(b)));
    found
}

/// Covariance of two arguments (a variance where they are the same) from the sum of products and the two
/// plain sums. The product and a sum may be on different lattices.
fn covariance(
    components: &[Component],
    totals: &[f64],
    product: usize,
    sums: [usize; 2],
    n: f64,
) -> Option<f64> {
    let Quantity::Product { x, y, centre } = components[product].quantity else { return None };
    let mean = |sum: usize, factor: Lattice| {
        let lattice = lattice(&components[sum]);
        (lattice.origin - factor.origin) + lattice.step * totals[sum] / n
    };
    let raw = x.step * y.step * (totals[product] / n + centre as f64);
    positive(raw - mean(sums[0], x) * mean(sums[1], y), n)
}

/// From the population's form to the sample's.
fn sample(n: f64) -> Option<f64> {
    positive(n / (n - 1.0), n - 1.0)
}

fn positive(value: f64, divisor: f64) -> Option<f64> {
    (divisor > 0.0).then_some(value)
}

#[cfg(test)]
#[path = "estimate_tests.rs"]
mod tests;
