//! What is measured: integer [`Component`]s per group, the [`Measure`]s that are read off them, and how a price
//! is split. All from public metadata, before any row is read.

use crate::account::{Cost, PlanDigest};
use crate::loss::{Delta, Rho};
use crate::rules::SmallCells;
use crate::sensitivity::Contribution;
use crate::tail;
use crate::value::Value;

/// Confidence of every interval.
pub const CONFIDENCE: f64 = 0.95;

/// Largest lattice index: 2³¹, so that 2³² rows sum within 63 bits.
pub const MAX_INDEX: f64 = 2_147_483_648.0;

/// The grid that values are clamped to, put on, and summed on as integers: value = `origin` + `step` · index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lattice {
    /// Least value.
    pub low: f64,
    /// Greatest value.
    pub high: f64,
    /// Distance of neighbouring points.
    pub step: f64,
    /// The value of index 0.
    pub origin: f64,
}

impl Lattice {
    /// A lattice for plain sums: index 0 is the value 0. `step` is coarsened (doubled) until the indices fit.
    pub fn for_sum(low: f64, high: f64, step: f64) -> Lattice {
        let mut step = step;
        while low.abs().max(high.abs()) / step > MAX_INDEX {
            step *= 2.0;
        }
        Lattice { low, high, step, origin: 0.0 }
    }

    /// A lattice for means: index 0 is the middle of the range, which halves the sensitivity or better.
    pub fn for_mean(low: f64, high: f64, step: f64) -> Lattice {
        let lattice = Lattice::for_sum(low, high, step);
        Lattice { origin: ((low + high) / 2.0 / lattice.step).round() * lattice.step, ..lattice }
    }

    /// Index of the point nearest to `value` after clamping. NaN and infinities are missing values: `None`.
    pub fn index(&self, value: f64) -> Option<i64> {
        if !value.is_finite() {
            return None;
        }
        Some(((value.clamp(self.low, self.high) - self.origin) / self.step).round() as i64)
    }

    /// Largest magnitude of an index.
    pub fn bound(&self) -> u64 {
        let magnitude = |v: f64| ((v - self.origin) / self.step).round().abs() as u64;
        magnitude(self.low).max(magnitude(self.high)).max(1)
    }
}

/// One integer per group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quantity {
    /// Pupils with at least one row (with a value of the argument, where one is named).
    Pupils,
    /// Rows (with a value of the argument, where one is named).
    Rows,
    /// Sum of the argument's lattice indices.
    Sum(Lattice),
}

/// An integer per group, of all rows or of those with a value of one argument.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Component {
    /// What is added up.
    pub quantity: Quantity,
    /// Index of the argument expression in the plan; `None` for all rows.
    pub argument: Option<usize>,
}

impl Component {
    /// Square of the L2 sensitivity over all groups.
    pub fn l2_squared(&self, contribution: &Contribution) -> u128 {
        match self.quantity {
            Quantity::Pupils => contribution.of_pupils().l2_squared(1),
            Quantity::Rows => contribution.l2_squared(1),
            Quantity::Sum(lattice) => contribution.l2_squared(lattice.bound()),
        }
    }
}

/// A number that is read off components, by their indices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// How.
    pub aggregate: Aggregate,
    /// The component that counts the pupils of this cell, for the small-cell rule.
    pub pupils: usize,
    /// Whether the value is a whole number.
    pub integer: bool,
}

/// How a measure is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregate {
    /// The component itself: rows or pupils.
    Count(usize),
    /// A sum; `count` where the lattice is centred and the centre has to be added back.
    Sum {
        /// Component with the lattice sum.
        sum: usize,
        /// Component with the number of values.
        count: Option<usize>,
    },
    /// Sum over number.
    Mean {
        /// Component with the lattice sum.
        sum: usize,
        /// Component with the number of values.
        count: usize,
    },
}

/// Which groups an answer has.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupKeys {
    /// The contract or a public table lists them: all appear, also the empty ones.
    Public(Vec<Vec<Value>>),
    /// They come from the pupils' rows: a key appears only past the threshold.
    Unknown,
}

/// How an unknown key is kept unknown until enough pupils share it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeyThreshold {
    /// The component that counts all pupils of the group.
    pub pupils: usize,
    /// Chance of revealing a single pupil's key.
    pub delta: Delta,
}

/// Everything public that one release is made of. The scales are fixed by [`Terms::new`] from the price.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// The plan that is measured.
    pub plan: PlanDigest,
    /// What one pupil can change.
    pub contribution: Contribution,
    /// Integers per group.
    pub components: Vec<Component>,
    /// Standard deviation of the noise on each component, in its own units.
    pub scales: Vec<f64>,
    /// Numbers of the answer.
    pub measures: Vec<Measure>,
    /// Set where keys are unknown.
    pub threshold: Option<KeyThreshold>,
    /// The small-cell rule.
    pub small_cells: SmallCells,
    /// ρ of the release.
    pub rho: Rho,
}

impl Terms {
    /// Splits `rho` evenly over the components and derives their scales.
    ///
    /// # Privacy
    /// One Gaussian mechanism over the concatenated vector: component i has L2 sensitivity Δᵢ and scale
    /// σᵢ = Δᵢ/√(2ρ/m), so Σ Δᵢ²/(2σᵢ²) = ρ (Bun and Steinke 2016, proposition 1.6, and composition). Scales are
    /// raised by a part in 10⁹, which exceeds every rounding error made here.
    pub fn new(
        plan: PlanDigest,
        contribution: Contribution,
        components: Vec<Component>,
        measures: Vec<Measure>,
        threshold: Option<KeyThreshold>,
        small_cells: SmallCells,
        rho: Rho,
    ) -> Terms {
        let share = rho.get() / components.len() as f64;
        let scales = components
            .iter()
            .map(|c| (c.l2_squared(&contribution) as f64).sqrt() / (2.0 * share).sqrt() * (1.0 + 1e-9))
            .collect();
        Terms { plan, contribution, components, scales, measures, threshold, small_cells, rho }
    }

    /// The price.
    pub fn cost(&self) -> Cost {
        Cost { rho: self.rho, threshold_delta: self.threshold.map_or(0.0, |t| t.delta.get()) }
    }

    /// The least noisy number of pupils at which an unknown key appears: a key of a single pupil reaches it with
    /// probability at most δ over all the groups that the pupil touches.
    pub fn key_threshold(&self) -> Option<i64> {
        let threshold = self.threshold?;
        let delta = threshold.delta.get() / self.contribution.groups as f64;
        Some(1 + tail::upper_quantile(self.scales[threshold.pupils], delta))
    }

    /// The least noisy number of pupils at which a cell of this measure is shown: a cell of fewer than `min_units`
    /// is shown with probability at most 1 - `assurance`.
    pub fn cell_threshold(&self, measure: &Measure) -> i64 {
        let fewest = self.small_cells.min_units.0 as i64;
        fewest - 1 + tail::upper_quantile(self.scales[measure.pupils], 1.0 - self.small_cells.assurance)
    }

    /// The half-width to expect of a measure's 95% interval, for a cell of `pupils` pupils; the same for every
    /// cell unless the measure is a mean. The unit is the measure's.
    pub fn expected_half_width(&self, measure: &Measure, pupils: f64) -> f64 {
        let width = |i: usize| tail::half_width(self.scales[i], CONFIDENCE) as f64;
        match measure.aggregate {
            Aggregate::Count(count) => width(count),
            Aggregate::Sum { sum, count } => {
                let lattice = self.lattice(sum);
                let centre = count.map_or(0.0, |count| lattice.origin * width(count));
                (lattice.step * width(sum)).hypot(centre)
            }
            Aggregate::Mean { sum, count } => {
                let lattice = self.lattice(sum);
                let spread = (lattice.high - lattice.origin).max(lattice.origin - lattice.low);
                let worst = (lattice.step * width(sum)).hypot(spread * width(count));
                (worst / (pupils - width(count)).max(f64::MIN_POSITIVE)).min(lattice.high - lattice.low)
            }
        }
    }

    /// The lattice of a sum component.
    pub fn lattice(&self, component: usize) -> Lattice {
        match self.components[component].quantity {
            Quantity::Sum(lattice) => lattice,
            Quantity::Rows | Quantity::Pupils => Lattice { low: 0.0, high: 1.0, step: 1.0, origin: 0.0 },
        }
    }
}
