#![allow(clippy::unwrap_used)]

use super::*;
use crate::measure::{Lattice, Quantity, Terms};
use crate::testing::{ask, component, grouping, measure};

/// Counts, a mean, a variance, a median over two groupings.
fn mixed(guarantee: Guarantee) -> Ask {
    let x = Lattice::for_product(250.0, 800.0, 1.0);
    let square = Component { with: Some(0), ..component(Quantity::square(x)) };
    let components = vec![
        component(Quantity::Pupils),
        component(Quantity::Rows),
        component(Quantity::Sum(x)),
        square,
        component(Quantity::Distribution(x)),
    ];
    let measures = [
        Aggregate::Count(1),
        Aggregate::Mean { sum: 2, count: 1 },
        Aggregate::Spread { form: crate::measure::Spread::StddevSamp, count: 1, sum: 2, squares: 3 },
        Aggregate::Quantile { distribution: 4, count: 1, at: Position::At(0.5) },
    ];
    let mut ask = ask(0.1, components, measures.map(measure).to_vec());
    ask.groupings = [true, false].map(|by| grouping(&[by], Contribution::new(4, 1, 4))).to_vec();
    Ask { guarantee, ..ask }
}

/// Σ aᵢ/ρᵢ, or Σ aᵢ/εᵢ².
fn error(errors: &[Vec<f64>], shares: &[f64], guarantee: Guarantee) -> f64 {
    let power = if guarantee == Guarantee::Pure { 2 } else { 1 };
    errors.iter().flatten().zip(shares).map(|(error, share)| error / share.powi(power)).sum()
}

#[test]
fn the_split_beats_the_even_one_and_every_one_near_it() {
    for guarantee in [Guarantee::Concentrated, Guarantee::Pure] {
        let ask = mixed(guarantee);
        let errors = errors(&ask);
        let shares: Vec<f64> = shares(&ask).into_iter().flatten().collect();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let best = error(&errors, &shares, guarantee);
        let even = vec![1.0 / shares.len() as f64; shares.len()];
        let even = error(&errors, &even, guarantee);
        assert!(best < 0.9 * even, "{best} {even}");
        for i in 0..shares.len() {
            for j in 0..shares.len() {
                let mut moved = shares.clone();
                let change = 0.1 * moved[i].min(moved[j]);
                moved[i] += change;
                moved[j] -= change;
                assert!(error(&errors, &moved, guarantee) >= best * (1.0 - 1e-12));
            }
        }
    }
}

#[test]
fn all_losses_together_are_the_price() {
    for (guarantee, price) in [(Guarantee::Concentrated, 0.1), (Guarantee::Pure, 0.2_f64.sqrt())] {
        let terms = Terms::new(mixed(guarantee));
        let sum: f64 = (0..2).flat_map(|g| (0..5).map(move |c| (g, c))).map(|(g, c)| terms.loss(g, c)).sum();
        assert!(sum <= price * (1.0 + 1e-12) && sum > price * 0.999_999, "{sum}");
    }
}

#[test]
fn shared_components_make_two_measures_cheaper_than_two_questions() {
    let both = mixed(Guarantee::Concentrated);
    let alone = |measure: usize| Ask { measures: vec![both.measures[measure]], ..both.clone() };
    assert!(weight(&both) < weight(&alone(0)) + weight(&alone(1)) + weight(&alone(2)) + weight(&alone(3)));
}

#[test]
fn prices_of_stages_never_sum_to_more_than_the_question_costs() {
    for rho in [0.000_001, 0.05, 0.1, 3.0, 1e12] {
        let rho = Rho::at_least(rho).unwrap();
        for weights in [&[1.0][..], &[1.0, 1.0, 1.0], &[0.3, 12.0], &[0.0, 0.0]] {
            let sum = |part: fn(f64) -> f64, prices: Vec<Rho>| -> f64 {
                prices.into_iter().map(|price| part(price.get())).sum()
            };
            let concentrated = sum(|rho| rho, prices(rho, Guarantee::Concentrated, weights));
            assert!(concentrated <= rho.get());
            let pure = sum(f64::sqrt, prices(rho, Guarantee::Pure, weights));
            assert!(pure <= rho.get().sqrt());
        }
    }
    let rho = Rho::at_least(0.1).unwrap();
    let micro =
        |guarantee| -> Vec<u64> { prices(rho, guarantee, &[1.0, 3.0]).into_iter().map(Rho::micro).collect() };
    assert_eq!(micro(Guarantee::Concentrated), [25_000, 75_000]);
    assert_eq!(micro(Guarantee::Pure), [6_250, 56_250]);
}
