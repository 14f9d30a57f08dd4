//! [`Terms`]: what a release is made of, with scales, thresholds and price. Public before any row is read.

use crate::account::{Cost, PlanDigest};
use crate::estimate::{self, estimate, possible, reference};
use crate::lattice::Lattice;
use crate::loss::{Delta, Rho};
use crate::measure::{
    Aggregate, Ask, Automatic, CONFIDENCE, Component, Grouping, Guarantee, Measure, Position,
};
use crate::quantile;
use crate::race;
use crate::rules::SmallCells;
use crate::split;
use crate::tail::Noise;

/// Part of a keyed question's price that finds the bound on a pupil's rows.
const RACE: f64 = 1.0 / 8.0;

/// Raises every scale by more than all rounding errors that are made here together.
pub(crate) const RAISE: f64 = 1.0 + 1e-9;

/// Everything public that one release is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// The plan that is measured.
    pub plan: PlanDigest,
    /// Integers per group.
    pub components: Vec<Component>,
    /// Numbers of the answer.
    pub measures: Vec<Measure>,
    /// The finest first.
    pub groupings: Vec<Grouping>,
    /// The component that counts all pupils of a group.
    pub pupils: Option<usize>,
    /// Chance of revealing a single pupil's key, over all groupings with unknown keys.
    pub threshold_delta: Delta,
    /// Whether a row appears only if its noisy number of pupils passes the cell threshold.
    pub occupied_only: bool,
    /// Set where no bound on a pupil's rows is known.
    pub automatic: Option<Automatic>,
    /// The small-cell rule.
    pub small_cells: SmallCells,
    /// What the price means.
    pub guarantee: Guarantee,
    /// ρ of the release.
    pub rho: Rho,
    /// Scale of the noise per grouping and component, in the component's own units; of a distribution, in
    /// ranks. Where a bound is still to be found: as if it were the largest.
    pub scales: Vec<Vec<f64>>,
    /// ρ (ε where pure) per grouping and component.
    losses: Vec<Vec<f64>>,
    /// ρ (ε where pure) of the race for a keyed question.
    race: f64,
}

impl Terms {
    /// Splits the price over groupings and components (see [`mod@split`]) and derives their scales.
    ///
    /// # Privacy
    /// Composition of one mechanism per grouping and component. Gaussian: L2 sensitivity Δ and scale σ =
    /// Δ/√(2ρᵢ), so Δ²/(2σ²) = ρᵢ (Bun and Steinke 2016, proposition 1.6), and Σρᵢ ≤ ρ. Laplace: L1
    /// sensitivity Δ and scale Δ/εᵢ, and Σεᵢ ≤ √(2ρ). Scales are raised by a part in 10⁹, which exceeds every
    /// rounding error made here.
    pub fn new(mut ask: Ask) -> Terms {
        ask.groupings.iter_mut().for_each(Grouping::settle);
        let price = match ask.guarantee {
            Guarantee::Concentrated => ask.rho.get(),
            Guarantee::Pure => (2.0 * ask.rho.get()).sqrt(),
        };
        let keyed = ask.groupings.iter().any(|grouping| grouping.keys.contains(&true));
        let race = if ask.automatic.is_some() && keyed { RACE * price } else { 0.0 };
        let loss = |share: f64| share * (price - race);
        let losses = split::shares(&ask).into_iter().map(|shares| shares.into_iter().map(loss).collect());
        let mut terms = Terms {
            losses: losses.collect(),
            race,
            scales: Vec::new(),
            plan: ask.plan,
            components: ask.components,
            measures: ask.measures,
            groupings: ask.groupings,
            pupils: ask.pupils,
            threshold_delta: ask.threshold_delta,
            occupied_only: ask.occupied_only,
            automatic: ask.automatic,
            small_cells: ask.small_cells,
            guarantee: ask.guarantee,
            rho: ask.rho,
        };
        terms.scales = terms.scales_at(u64::MAX);
        terms
    }

    /// What a stage weighs when a price is split over several; see [`split::prices`].
    pub fn weight(ask: &Ask) -> f64 {
        let mut ask = ask.clone();
        ask.groupings.iter_mut().for_each(Grouping::settle);
        split::weight(&ask)
    }

    /// The price.
    pub fn cost(&self) -> Cost {
        let unknown = self.groupings.iter().any(|grouping| grouping.unknown_keys);
        let threshold_delta = if unknown { self.threshold_delta.get() } else { 0.0 };
        Cost { rho: self.rho, threshold_delta }
    }

    /// The noise on a component.
    pub fn noise(&self, grouping: usize, component: usize) -> Noise {
        Noise { guarantee: self.guarantee, scale: self.scales[grouping][component] }
    }

    /// The noise that a release had on a component, once a race has found a bound for it (see
    /// [`Release`](crate::Release)).
    pub fn noise_of(&self, bounds: &[Option<u64>], grouping: usize, component: usize) -> Noise {
        match (bounds.get(component).copied().flatten(), self.raced(component)) {
            (Some(bound), Some(thresholds)) => {
                race::noise(self.guarantee, bound, thresholds.len(), self.loss(grouping, component))
            }
            (Some(bound), None) => self.at(bound).noise(grouping, component),
            (None, _) => self.noise(grouping, component),
        }
    }

    /// The least noisy number of pupils at which an unknown key appears: a key of a single pupil reaches it
    /// with probability at most δ over all the groups, of all groupings, that the pupil touches.
    pub fn key_threshold(&self, grouping: usize) -> Option<i64> {
        let of = &self.groupings[grouping];
        let pupils = self.pupils.filter(|_| of.unknown_keys)?;
        let groupings = self.groupings.iter().filter(|grouping| grouping.unknown_keys).count();
        let delta = self.threshold_delta.get() / groupings as f64 / of.contribution.groups as f64;
        Some(self.noise(grouping, pupils).upper_quantile(delta.min(0.5)).saturating_add(1))
    }

    /// The least noisy number of pupils, read off component `pupils`, at which a cell is shown: a cell of
    /// fewer than `min_units` is shown with probability at most 1 - `assurance`.
    pub fn cell_threshold(&self, grouping: usize, pupils: usize) -> i64 {
        let fewest = self.small_cells.min_units.0 as i64;
        let noise = self.noise(grouping, pupils).upper_quantile(1.0 - self.small_cells.assurance);
        noise.saturating_add(fewest - 1)
    }

    /// The half-width to expect of a measure's 95% interval, for a cell of `pupils` pupils, in the grouping
    /// where it is widest. The unit is the measure's. For quantiles and ratios it depends on the rows: this
    /// is what a made-up group gives whose values are spread evenly over the upper half of their range or so.
    pub fn expected_half_width(&self, measure: &Measure, pupils: f64) -> f64 {
        let widths = (0..self.groupings.len()).map(|grouping| self.half_width_in(grouping, measure, pupils));
        widths.fold(0.0, f64::max)
    }

    fn half_width_in(&self, grouping: usize, measure: &Measure, pupils: f64) -> f64 {
        let width = |i: usize| self.noise(grouping, i).half_width(CONFIDENCE) as f64;
        let (low, high) = possible(&measure.aggregate, &self.components, pupils);
        match measure.aggregate {
            Aggregate::Count(count) => width(count),
            Aggregate::Sum { sum, count } => {
                let lattice = self.lattice(sum);
                (lattice.step * width(sum)).hypot(lattice.origin * count.map_or(0.0, width))
            }
            Aggregate::Mean { sum, count } => {
                let lattice = self.lattice(sum);
                let spread = (lattice.high - lattice.origin).max(lattice.origin - lattice.low);
                let worst = (lattice.step * width(sum)).hypot(spread * width(count));
                (worst / (pupils - width(count)).max(f64::MIN_POSITIVE)).min(high - low)
            }
            Aggregate::Spread { .. } | Aggregate::Association { .. } => {
                let totals = reference(&self.components, pupils);
                let widths: Vec<f64> = (0..self.components.len()).map(width).collect();
                let spread =
                    crate::interval::spread(&totals, &widths, &measure.aggregate.components(), |totals| {
                        estimate(&measure.aggregate, &self.components, totals)
                    });
                spread.map_or(high - low, |(down, up)| down.max(up).min(high - low))
            }
            Aggregate::Quantile { distribution, at, .. } => {
                let ranks = quantile::rank_width(self, grouping, distribution, at);
                (high - low) * (ranks / pupils.max(1.0)).min(1.0)
            }
        }
    }

    /// The lattice of a component; of a product, the first factor's.
    pub fn lattice(&self, component: usize) -> Lattice {
        estimate::lattice(&self.components[component])
    }

    /// Positions that are selected from a distribution, from the least to the greatest.
    pub(crate) fn positions(&self, component: usize) -> Vec<Position> {
        estimate::positions(self.measures.iter().map(|measure| &measure.aggregate), component)
    }

    /// ρ (ε where pure) of a component.
    pub(crate) fn loss(&self, grouping: usize, component: usize) -> f64 {
        self.losses[grouping][component]
    }

    /// ρ (ε where pure) of the race that finds one bound for a keyed question.
    pub(crate) fn race_loss(&self) -> f64 {
        self.race
    }

    /// Thresholds of a component that has a race of its own: where no bound is known and the question has no
    /// keys.
    pub(crate) fn raced(&self, component: usize) -> Option<Vec<u64>> {
        let raced = self.race == 0.0 && self.components[component].races();
        self.automatic.filter(|_| raced).map(|automatic| automatic.thresholds())
    }

    /// The terms once the race has found a bound on a pupil's rows.
    pub fn at(&self, bound: u64) -> Terms {
        let bounded = |grouping: &Grouping| Grouping {
            contribution: grouping.contribution.at_most(bound),
            ..grouping.clone()
        };
        Terms {
            scales: self.scales_at(bound),
            groupings: self.groupings.iter().map(bounded).collect(),
            ..self.clone()
        }
    }

    /// Scales where every pupil contributes at most `bound` rows, and no more than the groupings allow.
    pub(crate) fn scales_at(&self, bound: u64) -> Vec<Vec<f64>> {
        let scale = |grouping: usize, component: usize| {
            let loss = self.losses[grouping][component];
            let change = |at: &Position| split::rank_change(*at);
            let widest = |a: &Position, b: &Position| change(a).total_cmp(&change(b));
            if let Some(at) = self.positions(component).into_iter().max_by(widest) {
                return quantile::rank_scale(self, grouping, component, at);
            }
            if let Some(thresholds) = self.raced(component) {
                let last = thresholds.last().copied().unwrap_or(1);
                return race::noise(self.guarantee, last, thresholds.len(), loss).scale;
            }
            let contribution = self.groupings[grouping].contribution.at_most(bound);
            let sensitivity = split::sensitivity(self.guarantee, &self.components[component], &contribution);
            scale(self.guarantee, sensitivity, loss)
        };
        let scales =
            |grouping| (0..self.components.len()).map(|component| scale(grouping, component)).collect();
        (0..self.groupings.len()).map(scales).collect()
    }
}

/// The scale of the noise on integers of this sensitivity, for this loss (ρ, or ε where pure).
pub(crate) fn scale(guarantee: Guarantee, sensitivity: f64, loss: f64) -> f64 {
    match guarantee {
        Guarantee::Concentrated => sensitivity / (2.0 * loss).sqrt() * RAISE,
        Guarantee::Pure => sensitivity / loss * RAISE,
    }
}
