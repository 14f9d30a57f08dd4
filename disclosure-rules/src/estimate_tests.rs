#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::exact::Total;
use crate::loss::Units;
use crate::measure::{Ask, Guarantee, Terms};
use crate::rules::SmallCells;
use crate::testing::{ask, covered_where_shown, measure, numbers, of_one, shown};

const SPREADS: [Spread; 4] = [Spread::VarPop, Spread::VarSamp, Spread::StddevPop, Spread::StddevSamp];
const ASSOCIATIONS: [Association; 6] = [
    Association::CovarPop,
    Association::CovarSamp,
    Association::Corr,
    Association::Slope,
    Association::Intercept,
    Association::R2,
];

/// All spreads of x and all associations of y with x.
fn moments(rho: f64, x: Lattice, y: Lattice) -> Ask {
    let of = |quantity, argument, with| Component { quantity, argument: Some(argument), with: Some(with) };
    let components = vec![
        of(Quantity::Pupils, 0, 1),
        of(Quantity::Sum(x), 0, 1),
        of(Quantity::Sum(y), 1, 0),
        of(Quantity::square(x), 0, 0),
        of(Quantity::square(y), 1, 1),
        of(Quantity::product(x, y), 0, 1),
    ];
    let spread = |form| measure(Aggregate::Spread { form, count: 0, sum: 1, squares: 3 });
    let association =
        |form| measure(Aggregate::Association { form, count: 0, x: 1, y: 2, xx: 3, yy: 4, xy: 5 });
    let measures = SPREADS.map(spread).into_iter().chain(ASSOCIATIONS.map(association)).collect();
    ask(rho, components, measures)
}

/// The totals of these pairs.
fn totals(ask: &Ask, pairs: &[(f64, f64)]) -> Vec<Total> {
    let index = |component: &Component, (x, y): (f64, f64)| match component.quantity {
        Quantity::Sum(lattice) => lattice.index(if component.argument == Some(0) { x } else { y }).unwrap(),
        Quantity::Product { x: a, y: b, centre } => {
            let (first, second) = match (component.argument, component.with) {
                (Some(0), Some(0)) => (x, x),
                (Some(1), Some(1)) => (y, y),
                _ => (x, y),
            };
            a.index(first).unwrap() * b.index(second).unwrap() - centre
        }
        _ => 1,
    };
    let total = |component| pairs.iter().map(|pair| index(component, *pair)).sum();
    numbers(&ask.components.iter().map(total).collect::<Vec<i64>>())
}

/// From the definitions, in two passes.
fn exact(pairs: &[(f64, f64)]) -> Vec<f64> {
    let n = pairs.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    let (mx, my) = (mean(&|p| p.0), mean(&|p| p.1));
    let (vx, vy) = (mean(&|p| (p.0 - mx).powi(2)), mean(&|p| (p.1 - my).powi(2)));
    let both = mean(&|p| (p.0 - mx) * (p.1 - my));
    let sample = n / (n - 1.0);
    let slope = both / vx;
    vec![
        vx,
        vx * sample,
        vx.sqrt(),
        (vx * sample).sqrt(),
        both,
        both * sample,
        both / (vx * vy).sqrt(),
        slope,
        my - slope * mx,
        both * both / (vx * vy),
    ]
}

/// `n` pairs, x a score between 250 and 800, y about `slope` times x with noise of a size that the slope does
/// not drown.
fn pairs(n: usize) -> Vec<(f64, f64)> {
    let pair = |i: usize| {
        let x = 300.0 + (i * 7919 % 401) as f64;
        let noise = (i * 104_729 % 61) as f64 - 30.0;
        (x, (20.0 + 0.1 * x + noise).round())
    };
    (0..n).map(pair).collect()
}

fn lattices() -> (Lattice, Lattice) {
    (Lattice::for_product(250.0, 800.0, 1.0), Lattice::for_product(0.0, 150.0, 1.0))
}

#[test]
fn an_enormous_price_gives_the_exact_moments() {
    let (x, y) = lattices();
    for n in [2, 3, 50, 3000] {
        let ask = moments(1e12, x, y);
        let cells = of_one(totals(&ask, &pairs(n)), &Terms::new(ask));
        for (i, (cell, exact)) in cells.iter().zip(exact(&pairs(n))).enumerate() {
            let (value, low, high) = shown(cell);
            assert!((value - exact).abs() <= 1e-9 * exact.abs().max(1e-3), "{i} of {n}: {value} for {exact}");
            assert!(high - low <= 1e-9 * exact.abs().max(1e-3), "{i} of {n}");
        }
    }
}

#[test]
fn intervals_cover_the_truth() {
    let (x, y) = lattices();
    for guarantee in [Guarantee::Concentrated, Guarantee::Pure] {
        // From prices at which the noise is nothing to prices at which it is everything.
        for (rho, n) in [(0.5, 3000), (0.05, 3000), (0.05, 300), (0.005, 300), (0.5, 40), (0.05, 40)] {
            let ask = Ask { guarantee, ..moments(rho, x, y) };
            let (totals, truth) = (totals(&ask, &pairs(n)), exact(&pairs(n)));
            let terms =
                Terms::new(Ask { small_cells: SmallCells { min_units: Units(0), assurance: 0.51 }, ..ask });
            let covered = covered_where_shown(&totals, &terms, &truth, 400);
            // 400 draws at 95%: below 358 happens less than once in 10⁵ runs.
            let enough = |(inside, of): &(usize, usize)| *inside as f64 >= 0.895 * *of as f64;
            assert!(covered.iter().all(enough), "{guarantee:?} rho {rho}, {n} pairs: {covered:?}");
        }
    }
}

#[test]
fn nothing_impossible_is_said_at_any_price() {
    let (x, y) = lattices();
    let ask = moments(1e-6, x, y);
    let (totals, terms) = (totals(&ask, &pairs(30)), Terms::new(ask));
    for _ in 0..200 {
        for (measure, cell) in terms.measures.iter().zip(of_one(totals.clone(), &terms)) {
            let crate::release::Cell::Shown { value, low, high } = cell else { continue };
            assert!(value.is_finite() && low <= value && value <= high, "{measure:?}: {low} {value} {high}");
            match measure.aggregate {
                Aggregate::Spread { .. } => assert!(low >= 0.0),
                Aggregate::Association { form: Association::Corr, .. } => assert!(low >= -1.0 && high <= 1.0),
                Aggregate::Association { form: Association::R2, .. } => assert!(low >= 0.0 && high <= 1.0),
                _ => (),
            }
        }
    }
}

#[test]
fn perfect_lines_and_constants_have_their_values() {
    let (x, y) = lattices();
    let ask = moments(1e12, x, y);
    let line: Vec<(f64, f64)> = (0..40).map(|i| (300.0 + f64::from(i), 10.0 + 2.0 * f64::from(i))).collect();
    let cells = of_one(totals(&ask, &line), &Terms::new(ask.clone()));
    let value = |i: usize| shown(&cells[i]).0;
    assert!((value(6) - 1.0).abs() < 1e-12 && value(6) <= 1.0, "correlation {}", value(6));
    assert!((value(7) - 2.0).abs() < 1e-9, "slope {}", value(7));
    assert!((value(8) + 590.0).abs() < 1e-6, "intercept {}", value(8));
    let constant = vec![(400.0, 50.0); 40];
    let cells = of_one(totals(&ask, &constant), &Terms::new(ask));
    assert_eq!(shown(&cells[0]).0, 0.0);
    assert_eq!(shown(&cells[6]), (0.0, -1.0, 1.0), "a correlation with a constant is anything");
}

#[test]
fn known_values() {
    // Anscombe's first quartet (1973), in tenths and hundredths.
    let x = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0];
    let y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68];
    let pairs: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
    let ask = moments(1e12, Lattice::for_product(0.0, 20.0, 1.0), Lattice::for_product(0.0, 12.0, 0.01));
    let cells = of_one(totals(&ask, &pairs), &Terms::new(ask));
    let near = |i: usize, expected: f64| (shown(&cells[i]).0 - expected).abs() < 1e-3;
    assert!(near(1, 11.0) && near(6, 0.8164) && near(7, 0.5001) && near(8, 3.0001) && near(9, 0.6665));
}
