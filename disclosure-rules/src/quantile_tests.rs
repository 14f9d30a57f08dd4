#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::exact::Total;
use crate::measure::{Aggregate, Ask, Component, Quantity};
use crate::sensitivity::Contribution;
use crate::testing::{ask, component, covered, measure, of_one, shown};

fn quantiles(rho: f64, lattice: Lattice, positions: &[Position]) -> Ask {
    let components = vec![component(Quantity::Pupils), component(Quantity::Distribution(lattice))];
    let of = |at: &Position| measure(Aggregate::Quantile { distribution: 1, count: 0, at: *at });
    ask(rho, components, positions.iter().map(of).collect())
}

fn distribution(lattice: &Lattice, values: &[f64]) -> Vec<Total> {
    let mut rows = std::collections::BTreeMap::new();
    for value in values {
        *rows.entry(lattice.index(*value).unwrap()).or_insert(0) += 1;
    }
    vec![Total::Number(values.len() as i64), Total::Distribution(rows.into_iter().collect())]
}

/// PERCENTILE_CONT.
fn percentile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = share * (values.len() - 1) as f64;
    let (below, above) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
    below + (above - below) * rank.fract()
}

/// About 7,000 scores between 250 and 800, bell-shaped round 485.
fn scores() -> Vec<f64> {
    (0..7000)
        .map(|i| 485.0 + (f64::from(i % 70) + f64::from(i / 70 % 50) + f64::from(i % 97) - 108.0))
        .collect()
}

const POSITIONS: [Position; 5] =
    [Position::Min, Position::At(0.25), Position::At(0.5), Position::At(0.75), Position::Max];

#[test]
fn an_enormous_price_gives_the_exact_quantiles() {
    let lattice = Lattice::for_mean(250.0, 800.0, 1.0);
    for values in
        [scores(), scores()[..4].to_vec(), vec![400.0], vec![300.0, 500.0], vec![250.0, 250.0, 800.0]]
    {
        let terms = Terms::new(quantiles(1e12, lattice, &POSITIONS));
        let cells = of_one(distribution(&lattice, &values), &terms);
        for (cell, at) in cells.iter().zip(POSITIONS) {
            let exact = percentile(&values, at.share());
            assert_eq!(shown(cell), (exact, exact, exact), "{at:?} of {} values", values.len());
        }
    }
}

#[test]
fn medians_of_thousands_are_close_at_a_small_price() {
    let lattice = Lattice::for_mean(250.0, 800.0, 1.0);
    let mut ask = quantiles(0.05, lattice, &[Position::At(0.5)]);
    ask.groupings[0].contribution = Contribution::new(4, 4, 4);
    let terms = Terms::new(ask);
    let values = scores();
    let exact = percentile(&values, 0.5);
    for _ in 0..30 {
        let (value, low, high) = shown(&of_one(distribution(&lattice, &values), &terms)[1 - 1]);
        assert!((value - exact).abs() <= 3.0, "{value} for {exact}");
        assert!(high - low < 20.0);
    }
}

#[test]
fn intervals_cover_the_truth_also_of_few_rows_and_ties() {
    let lattice = Lattice::for_mean(0.0, 100.0, 1.0);
    let few: Vec<f64> = (0..12).map(|i| f64::from(i * 8)).collect();
    let ties: Vec<f64> = (0..200).map(|i| f64::from(40 + i % 3)).collect();
    let spread: Vec<f64> = (0..500).map(|i| f64::from(i % 101)).collect();
    for guarantee in [Guarantee::Concentrated, Guarantee::Pure] {
        for values in [&few, &ties, &spread] {
            let terms = Terms::new(Ask { guarantee, ..quantiles(0.5, lattice, &POSITIONS) });
            let truth: Vec<f64> = POSITIONS.iter().map(|at| percentile(values, at.share())).collect();
            let mut draws = 0;
            let mut inside = vec![0; truth.len()];
            for _ in 0..100 {
                let totals = distribution(&lattice, values);
                let group = select(
                    &terms,
                    0,
                    1,
                    match &totals[1] {
                        Total::Distribution(rows) => rows,
                        _ => &[],
                    },
                )
                .unwrap();
                draws += 1;
                for ((quantile, truth), inside) in group.iter().zip(&truth).zip(&mut inside) {
                    *inside += i32::from(quantile.low <= *truth && *truth <= quantile.high);
                }
            }
            // 100 draws at 95%: below 85 happens about once in 10⁵ runs.
            assert!(inside.iter().all(|n| *n >= draws * 85 / 100), "{guarantee:?} {inside:?}");
        }
    }
}

#[test]
fn quantiles_never_cross() {
    let lattice = Lattice::for_mean(0.0, 100.0, 1.0);
    let terms = Terms::new(quantiles(0.001, lattice, &POSITIONS));
    for _ in 0..50 {
        let cells = of_one(distribution(&lattice, &[10.0, 50.0, 50.0, 90.0]), &terms);
        let values: Vec<f64> = cells
            .iter()
            .filter(|cell| matches!(cell, crate::release::Cell::Shown { .. }))
            .map(|c| shown(c).0)
            .collect();
        assert!(values.is_sorted(), "{values:?}");
    }
}

/// Scores as tests convert them: many pupils on each of a few values, and the wanted rank at the edge of a gap.
#[test]
fn the_middle_of_a_narrow_gap_is_told() {
    let lattice = Lattice::for_mean(250.0, 800.0, 1.0);
    let terms = Terms::new(quantiles(0.05, lattice, &[Position::At(0.5)]));
    let values: Vec<f64> = [(478.0, 797), (484.0, 86), (489.0, 879)]
        .iter()
        .flat_map(|&(value, rows)| vec![value; rows])
        .collect();
    assert_eq!(percentile(&values, 0.5), 484.0);
    let group = distribution(&lattice, &values);
    for _ in 0..60 {
        let (value, low, high) = shown(&of_one(group.clone(), &terms)[0]);
        assert!((value - 484.0).abs() <= 3.0, "{value}");
        assert!(low <= 484.0 && high >= 484.0, "{low} to {high}");
    }
}

/// Where days are counted, the same width is most of the range, and its middle is not the median.
#[test]
fn an_interval_over_much_of_the_range_is_not_narrow() {
    let narrow = |lattice: Lattice, low: f64, high: f64| {
        let grid = Grid::new(lattice, &[]);
        let [low, high] = [low, high].map(|value| grid.place(lattice.index(value).unwrap()));
        grid.is_narrow(low, high)
    };
    let (days, scores) = (Lattice::for_mean(0.0, 23.0, 1.0), Lattice::for_mean(250.0, 800.0, 1.0));
    assert!(!narrow(days, 1.0, 8.0));
    assert!(narrow(scores, 484.0, 489.0));
    assert!(!narrow(scores, 400.0, 411.0));
}

#[test]
fn a_range_wider_than_the_grid_is_rounded_and_says_so() {
    let lattice = Lattice::for_mean(0.0, 1e6, 1.0);
    let terms = Terms::new(quantiles(1e12, lattice, &[Position::At(0.5)]));
    let (value, low, high) = shown(&of_one(distribution(&lattice, &[123_456.0; 30]), &terms)[0]);
    assert!((value - 123_456.0).abs() <= 125.0, "{value}");
    assert!(low <= 123_456.0 && high >= 123_456.0 && high - low < 300.0);
    assert_eq!(covered(&distribution(&lattice, &[123_456.0; 30]), &terms, &[123_456.0], 20), [20]);
}

#[test]
fn quarters_have_a_grid_of_quarters_where_it_fits() {
    let positions = [Position::At(0.25), Position::At(0.5)];
    let grid = Grid::new(Lattice::for_mean(250.0, 800.0, 1.0), &positions);
    assert_eq!((grid.finer, grid.coarser), (4, 1));
    let grid = Grid::new(Lattice::for_mean(0.0, 1500.0, 1.0), &positions);
    assert_eq!((grid.finer, grid.coarser), (2, 1));
    let grid = Grid::new(Lattice::for_mean(0.0, 100_000.0, 1.0), &positions);
    assert_eq!((grid.finer, grid.coarser), (1, 25));
    assert!(grid.count as i64 <= CANDIDATES);
}

/// The definition: the rank of each candidate from the sorted rows, with -1 and n at the ends.
fn ranks(places: &[usize], count: usize) -> Ranks {
    let mut rows = std::collections::BTreeMap::new();
    for place in places {
        *rows.entry(*place).or_insert(0) += 1;
    }
    Ranks::new(rows.into_iter(), count as f64)
}

proptest! {
    /// One row more changes the score of no candidate by more than `rank_change`, for every wanted rank in
    /// use.
    #[test]
    fn one_row_changes_scores_by_at_most_the_stated_amount(
        places in proptest::collection::vec(0usize..9, 0..7),
        row in 0usize..9,
        share in prop_oneof![Just(0.0), Just(0.1), Just(0.25), Just(0.5), Just(0.9), Just(1.0)],
        offset in prop_oneof![Just(0.0), Just(0.3), Just(1.7), Just(6.0), Just(-2.4)],
    ) {
        let at = Position::At(share);
        let (without, with) = (ranks(&places, 9), ranks(&[&places[..], &[row]].concat(), 9));
        let most = rank_change(at) * UNITS_PER_RANK;
        let wanted = |ranks: &Ranks| [ranks.wanted(at) + offset, ranks.inward(at, offset.abs())];
        for (a, b) in wanted(&without).into_iter().zip(wanted(&with)) {
            for (a, b) in without.scores(a).into_iter().zip(with.scores(b)) {
                prop_assert!((a - b).abs() as f64 <= most, "{} and {}", a, b);
            }
        }
    }

    /// The best candidate is the interpolated quantile, wherever the grid has it.
    #[test]
    fn the_best_score_is_the_quantile(places in proptest::collection::vec(0usize..9, 1..7)) {
        let values: Vec<f64> = places.iter().map(|place| *place as f64).collect();
        for share in [0.0, 0.5, 1.0] {
            let doubled: Vec<usize> = places.iter().map(|place| place * 2).collect();
            let ranks = ranks(&doubled, 17);
            let scores = ranks.scores(ranks.wanted(Position::At(share)));
            let exact = percentile(&values, share) * 2.0;
            prop_assert_eq!(scores[exact as usize], 0);
        }
    }
}

/// A selection's chances on neighbours differ by no more than the exponential mechanism's range allows.
#[test]
fn the_stated_loss_covers_the_selection() {
    let terms = Terms::new(quantiles(0.3, Lattice::for_mean(0.0, 8.0, 1.0), &[Position::At(0.5)]));
    let at = Position::At(0.5);
    let scale = rank_scale(&terms, 0, 1, at) * UNITS_PER_RANK;
    let chances = |ranks: &Ranks| {
        let scores = ranks.scores(ranks.wanted(at));
        let weights: Vec<f64> = scores.iter().map(|score| (*score as f64 / scale).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect::<Vec<_>>()
    };
    let price = terms.loss(0, 1) / SELECTIONS;
    let (without, with) = (chances(&ranks(&[2, 2, 9, 12], 17)), chances(&ranks(&[2, 2, 9, 12, 16], 17)));
    for order in [1.5, 2.0, 8.0, 50.0] {
        let renyi = |p: &[f64], q: &[f64]| {
            p.iter().zip(q).map(|(p, q)| p.powf(order) * q.powf(1.0 - order)).sum::<f64>().ln()
                / (order - 1.0)
        };
        assert!(renyi(&with, &without).max(renyi(&without, &with)) <= order * price);
    }
}

/// The loss that OpenDP states for all selections of one pupil with rows in several groups.
#[test]
fn selections_add_up_to_the_price() {
    use opendp::domains::{AtomDomain, VectorDomain};
    use opendp::measurements::make_noisy_max;
    use opendp::measures::{MaxDivergence, ZeroConcentratedDivergence};
    use opendp::metrics::LInfDistance;

    let rows_in_groups = [2_i64, 2, 1];
    for guarantee in [Guarantee::Concentrated, Guarantee::Pure] {
        let mut ask = Ask { guarantee, ..quantiles(0.3, Lattice::for_mean(0.0, 8.0, 1.0), &POSITIONS) };
        ask.groupings[0].contribution = Contribution::new(5, 2, 3);
        let terms = Terms::new(ask);
        let mut sum = 0.0;
        for (at, rows) in POSITIONS.iter().flat_map(|at| rows_in_groups.map(|rows| (at, rows))) {
            let scale = rank_scale(&terms, 0, 1, *at) * UNITS_PER_RANK;
            let change = (rank_change(*at) * UNITS_PER_RANK) as i64 * rows;
            let (domain, space) =
                (VectorDomain::new(AtomDomain::<i64>::new_non_nan()), LInfDistance::<i64>::default());
            let loss = match guarantee {
                Guarantee::Concentrated => {
                    make_noisy_max(domain, space, ZeroConcentratedDivergence, scale, false)
                        .unwrap()
                        .map(&change)
                }
                Guarantee::Pure => {
                    make_noisy_max(domain, space, MaxDivergence, scale, false).unwrap().map(&change)
                }
            };
            sum += SELECTIONS * loss.unwrap();
        }
        assert!(sum <= terms.loss(0, 1) && sum > terms.loss(0, 1) * 0.999, "{sum} of {}", terms.loss(0, 1));
    }
}

#[test]
fn a_distribution_has_no_other_use() {
    let lattice = Lattice::for_mean(0.0, 10.0, 1.0);
    let component = Component { quantity: Quantity::Distribution(lattice), argument: Some(0), with: None };
    assert_eq!(component.l2_squared(&Contribution::new(4, 4, 4)), 16);
}
