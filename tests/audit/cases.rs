//! What is audited: per case a release, two sets of totals that differ in one pupil, and one number of what is released.

use disclosure_rules::exact::{ExactGroup, Total};
use disclosure_rules::measure::Terms;
use disclosure_rules::measure::{
    Aggregate, Ask, Automatic, Component, GroupKeys, Grouping, Guarantee, Lattice, Measure, Position,
    Quantity, Spread,
};
use disclosure_rules::release::Cell;
use disclosure_rules::rules::SmallCells;
use disclosure_rules::sensitivity::Contribution;
use disclosure_rules::{Account, Charge, Delta, Exact, PlanDigest, Rho, Units, Value, release};

/// The price that is claimed. Normal noise of this price has µ = 1.
pub(crate) const RHO: f64 = 0.5;
/// The chance that is claimed of showing a single pupil's key.
pub(crate) const DELTA: f64 = 0.01;

const PLAN: PlanDigest = PlanDigest([1; 32]);
/// Totals so large that no cell is small, and no count is cut off at zero.
const MANY: i64 = 100_000;

/// A number that is read off a release: shown values per group and measure.
type Statistic = Box<dyn Fn(&[Vec<f64>]) -> f64>;

pub(crate) struct Case {
    terms: Terms,
    keys: GroupKeys,
    without: Vec<Vec<ExactGroup>>,
    with: Vec<Vec<ExactGroup>>,
    statistic: Statistic,
}

impl Case {
    /// The statistic of so many releases, of the records with the pupil or without.
    pub(crate) fn runs(&self, with: bool, runs: usize) -> Vec<f64> {
        let groupings = if with { &self.with } else { &self.without };
        let shown = |cell: &Cell| match cell {
            Cell::Shown { value, .. } => *value,
            Cell::Hidden { .. } => 0.0,
        };
        let run = |_| {
            let open = Account::new(None, None);
            let charge = Charge::debit(PLAN, self.terms.cost(), &open, &open).unwrap().2;
            let released =
                release(Exact::seal(PLAN, groupings.clone()), charge, &self.terms, &self.keys).unwrap();
            let groups = released.groups.iter().map(|group| group.cells.iter().map(shown).collect());
            (self.statistic)(&groups.collect::<Vec<_>>())
        };
        (0..runs).map(run).collect()
    }
}

/// One group, one number per component, and what the pupil adds to each.
fn one_group(ask: Ask, without: &[i64], pupil: &[i64], statistic: impl Fn(&Terms) -> Statistic) -> Case {
    let with: Vec<i64> = without.iter().zip(pupil).map(|(without, pupil)| without + pupil).collect();
    let group =
        |totals: &[i64]| vec![vec![(vec![], totals.iter().map(|total| Total::Number(*total)).collect())]];
    let terms = Terms::new(ask);
    Case {
        keys: GroupKeys::Public(vec![vec![]]),
        without: group(without),
        with: group(&with),
        statistic: statistic(&terms),
        terms,
    }
}

fn ask(rho: f64, components: Vec<Component>, aggregates: &[Aggregate], groupings: Vec<Grouping>) -> Ask {
    let measure = |aggregate: &Aggregate| Measure { aggregate: *aggregate, pupils: 0, integer: false };
    Ask {
        plan: PLAN,
        components,
        measures: aggregates.iter().map(measure).collect(),
        groupings,
        pupils: None,
        threshold_delta: Delta::new(DELTA).unwrap(),
        occupied_only: false,
        automatic: None,
        small_cells: SmallCells { min_units: Units(1), assurance: 0.95 },
        guarantee: Guarantee::Concentrated,
        rho: Rho::at_least(rho).unwrap(),
    }
}

fn all(contribution: Contribution) -> Vec<Grouping> {
    vec![Grouping { keys: vec![], contribution, unknown_keys: false }]
}

fn component(quantity: Quantity) -> Component {
    let argument = (!matches!(quantity, Quantity::Rows | Quantity::Pupils)).then_some(0);
    Component { quantity, argument, with: None }
}

/// What the pupil adds, weighed by how much of it the noise of each component lets through: no other number tells more.
fn matched(terms: &Terms, pupil: &[i64]) -> impl Fn(&[f64]) -> f64 + 'static {
    let weights: Vec<f64> =
        pupil.iter().zip(&terms.scales[0]).map(|(added, scale)| *added as f64 / (scale * scale)).collect();
    move |totals| totals.iter().zip(&weights).map(|(total, weight)| total * weight).sum()
}

/// COUNT(*) where one pupil has ten rows.
pub(crate) fn count(rho: f64) -> Case {
    let ask =
        ask(rho, vec![component(Quantity::Rows)], &[Aggregate::Count(0)], all(Contribution::new(10, 10, 1)));
    one_group(ask, &[MANY], &[10], |_| Box::new(|groups| groups[0][0]))
}

/// SUM of days, beside the number of pupils that the small-cell rule needs.
pub(crate) fn sum(rho: f64) -> Case {
    let components =
        vec![component(Quantity::Pupils), component(Quantity::Sum(Lattice::for_sum(0.0, 5.0, 1.0)))];
    let aggregates = [Aggregate::Count(0), Aggregate::Sum { sum: 1, count: None }];
    let ask = ask(rho, components, &aggregates, all(Contribution::new(4, 4, 1)));
    let pupil = [1, 4 * 5];
    one_group(ask, &[MANY, MANY], &pupil, |terms| {
        let matched = matched(terms, &pupil);
        Box::new(move |groups| matched(&groups[0]))
    })
}

/// AVG of days, on a lattice around the middle of their range.
pub(crate) fn mean(rho: f64) -> Case {
    let lattice = Lattice::for_mean(0.0, 8.0, 1.0);
    let aggregates = [Aggregate::Count(0), Aggregate::Mean { sum: 1, count: 0 }];
    let components = vec![component(Quantity::Rows), component(Quantity::Sum(lattice))];
    let ask = ask(rho, components, &aggregates, all(Contribution::new(4, 4, 1)));
    let pupil = [4, 4 * 4];
    one_group(ask, &[MANY, 0], &pupil, |terms| {
        let matched = matched(terms, &pupil);
        Box::new(move |groups| {
            let (count, mean) = (groups[0][0], groups[0][1]);
            matched(&[count, (mean - lattice.origin) / lattice.step * count])
        })
    })
}

/// VAR_POP, with the count and the mean that it is read off.
pub(crate) fn variance(rho: f64) -> Case {
    let lattice = Lattice::for_product(0.0, 8.0, 1.0);
    let squares = Quantity::square(lattice);
    let Quantity::Product { centre, .. } = squares else { panic!("{squares:?}") };
    let components = vec![
        component(Quantity::Rows),
        component(Quantity::Sum(lattice)),
        Component { with: Some(0), ..component(squares) },
    ];
    let aggregates = [
        Aggregate::Count(0),
        Aggregate::Mean { sum: 1, count: 0 },
        Aggregate::Spread { form: Spread::VarPop, count: 0, sum: 1, squares: 2 },
    ];
    let ask = ask(rho, components, &aggregates, all(Contribution::new(4, 4, 1)));
    // All rows of the pupil are at the upper end: 4 from the middle.
    let pupil = [4, 4 * 4, 4 * (16 - centre)];
    one_group(ask, &[MANY, 0, 0], &pupil, |terms| {
        let matched = matched(terms, &pupil);
        Box::new(move |groups| {
            let (count, mean, variance) = (groups[0][0], groups[0][1] - lattice.origin, groups[0][2]);
            let squares = (variance + mean * mean - centre as f64) * count;
            matched(&[count, mean * count, squares])
        })
    })
}

const MONTHS: usize = 6;

fn months() -> Vec<Vec<Value>> {
    (0..MONTHS as i64).map(|month| vec![Value::Int(month)]).collect()
}

/// COUNT(*) by month, where one pupil has one row in each.
pub(crate) fn groups(rho: f64) -> Case {
    let grouping = Grouping {
        keys: vec![true],
        contribution: Contribution::new(MONTHS as u64, 1, MONTHS as u64),
        unknown_keys: false,
    };
    let ask = ask(rho, vec![component(Quantity::Rows)], &[Aggregate::Count(0)], vec![grouping]);
    let group =
        |total: i64| vec![months().into_iter().map(|key| (key, vec![Total::Number(total)])).collect()];
    Case {
        terms: Terms::new(ask),
        keys: GroupKeys::Public(months()),
        without: group(MANY),
        with: group(MANY + 1),
        statistic: Box::new(|groups| groups.iter().map(|cells| cells[0]).sum()),
    }
}

/// COUNT(*) by month and in all: the adjusted total holds all that both measurements tell.
pub(crate) fn grouping_sets(rho: f64) -> Case {
    let grouping = |keyed: bool| {
        let contribution = if keyed {
            Contribution::new(MONTHS as u64, 1, MONTHS as u64)
        } else {
            Contribution::new(MONTHS as u64, MONTHS as u64, 1)
        };
        Grouping { keys: vec![keyed], contribution, unknown_keys: false }
    };
    let groupings = vec![grouping(true), grouping(false)];
    let ask = ask(rho, vec![component(Quantity::Rows)], &[Aggregate::Count(0)], groupings);
    let totals = |total: i64| {
        let months = months().into_iter().map(|key| (key, vec![Total::Number(total)])).collect();
        vec![months, vec![(vec![Value::Null], vec![Total::Number(MONTHS as i64 * total)])]]
    };
    Case {
        terms: Terms::new(ask),
        keys: GroupKeys::Public(months()),
        without: totals(MANY),
        with: totals(MANY + 1),
        // The total comes last.
        statistic: Box::new(|groups| groups[MONTHS][0]),
    }
}

/// A quantile of marks from 0 to 10, where others have the best so many times, and one pupil ten times.
fn quantile(rho: f64, at: Position, others: u64) -> Case {
    let distribution =
        Component { with: None, ..component(Quantity::Distribution(Lattice::for_sum(0.0, 10.0, 1.0))) };
    let components = vec![component(Quantity::Rows), distribution];
    let aggregates = [Aggregate::Count(0), Aggregate::Quantile { distribution: 1, count: 0, at }];
    let ask = ask(rho, components, &aggregates, all(Contribution::new(10, 10, 1)));
    let rows = |best: u64| {
        let marks = vec![(0, 500), (10, others + best)];
        vec![vec![(vec![], vec![Total::Number(MANY), Total::Distribution(marks)])]]
    };
    Case {
        terms: Terms::new(ask),
        keys: GroupKeys::Public(vec![vec![]]),
        without: rows(0),
        with: rows(10),
        statistic: Box::new(|groups| groups[0][1]),
    }
}

pub(crate) fn median(rho: f64) -> Case {
    quantile(rho, Position::At(0.5), 500)
}

pub(crate) fn maximum(rho: f64) -> Case {
    quantile(rho, Position::Max, 0)
}

const LARGEST: Automatic = Automatic { largest: 16 };

/// One sum per threshold, of a thousand pupils with two rows each, and perhaps of one with 16.
fn cut(extreme: bool) -> Total {
    let cut = |threshold: &u64| {
        let threshold = *threshold as i64;
        1_000 * threshold.min(2) + if extreme { threshold.min(16) } else { 0 }
    };
    Total::Truncated(LARGEST.thresholds().iter().map(cut).collect())
}

/// COUNT(*) without any bound.
pub(crate) fn race(rho: f64) -> Case {
    let unbounded = Contribution::new(1 << 40, 1 << 40, 1);
    let ask = ask(rho, vec![component(Quantity::Rows)], &[Aggregate::Count(0)], all(unbounded));
    let group = |extreme: bool| vec![vec![(vec![], vec![cut(extreme)])]];
    Case {
        terms: Terms::new(Ask { automatic: Some(LARGEST), ..ask }),
        keys: GroupKeys::Public(vec![vec![]]),
        without: group(false),
        with: group(true),
        statistic: Box::new(|groups| groups[0][0]),
    }
}

/// The same by a key with two values; the extreme pupil is in the first.
pub(crate) fn race_of_groups(rho: f64) -> Case {
    let unbounded = Contribution::new(1 << 40, 1 << 40, 1 << 40);
    let grouping = Grouping { keys: vec![true], contribution: unbounded, unknown_keys: false };
    let ask = ask(rho, vec![component(Quantity::Rows)], &[Aggregate::Count(0)], vec![grouping]);
    let key = |key: i64| vec![Value::Int(key)];
    let group = |extreme: bool| vec![vec![(key(0), vec![cut(extreme)]), (key(1), vec![cut(false)])]];
    Case {
        terms: Terms::new(Ask { automatic: Some(LARGEST), ..ask }),
        keys: GroupKeys::Public(vec![key(0), key(1)]),
        without: group(false),
        with: group(true),
        statistic: Box::new(|groups| groups[0][0]),
    }
}

/// Keys that come from the rows: whether that of a single pupil is shown.
pub(crate) fn keys(delta: f64) -> Case {
    let grouping =
        Grouping { keys: vec![true], contribution: Contribution::new(1, 1, 1), unknown_keys: true };
    // Noise of scale 10, so that the threshold is hardly rounded.
    let ask = ask(0.005, vec![component(Quantity::Pupils)], &[Aggregate::Count(0)], vec![grouping]);
    let known: ExactGroup = (vec![Value::Int(0)], vec![Total::Number(MANY)]);
    let single = (vec![Value::Int(1)], vec![Total::Number(1)]);
    Case {
        terms: Terms::new(Ask { pupils: Some(0), threshold_delta: Delta::new(delta).unwrap(), ..ask }),
        keys: GroupKeys::Unknown,
        without: vec![vec![known.clone()]],
        with: vec![vec![known, single]],
        statistic: Box::new(|groups| groups.len() as f64 - 1.0),
    }
}
