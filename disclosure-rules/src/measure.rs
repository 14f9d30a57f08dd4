//! What is measured: integer [`Component`]s per group, and the [`Measure`]s that are read off them. All from
//! public metadata, before any row is read.

use crate::account::PlanDigest;
pub use crate::lattice::{Lattice, MAX_INDEX};
use crate::loss::{Delta, Rho};
use crate::rules::SmallCells;
use crate::sensitivity::Contribution;
pub use crate::terms::Terms;
use crate::value::Value;

/// Confidence of every interval.
pub const CONFIDENCE: f64 = 0.95;

/// One integer per group, or a distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quantity {
    /// Pupils with at least one row (that counts, where arguments are named).
    Pupils,
    /// Rows (that count, where arguments are named).
    Rows,
    /// Sum of the argument's lattice indices.
    Sum(Lattice),
    /// Sum of index(argument) · index(with) - `centre`.
    Product {
        /// Lattice of `argument`.
        x: Lattice,
        /// Lattice of `with`.
        y: Lattice,
        /// What is subtracted from every product, so that its magnitude is small.
        centre: i64,
    },
    /// Different values of the argument.
    Distinct,
    /// Rows per lattice index of the argument: quantiles are read off it privately, it is never released.
    Distribution(Lattice),
}

impl Quantity {
    /// Squares of one argument, centred: products are in 0..=B², so |product - B²/2| is at most half of that.
    pub fn square(x: Lattice) -> Quantity {
        Quantity::Product { x, y: x, centre: (x.bound() * x.bound() / 2) as i64 }
    }

    /// Products of two arguments.
    pub fn product(x: Lattice, y: Lattice) -> Quantity {
        Quantity::Product { x, y, centre: 0 }
    }
}

/// An integer per group, of all rows or of those with a (finite) value of one argument, or of two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Component {
    /// What is added up.
    pub quantity: Quantity,
    /// Index of the argument expression in the stage; `None` for all rows.
    pub argument: Option<usize>,
    /// A second argument that must be present too: the factor of a product, or the partner of a pair.
    pub with: Option<usize>,
}

impl Component {
    /// The largest magnitude that one row adds to its group's integer.
    pub fn row_bound(&self) -> u64 {
        match self.quantity {
            Quantity::Pupils | Quantity::Rows | Quantity::Distinct | Quantity::Distribution(_) => 1,
            Quantity::Sum(lattice) => lattice.bound(),
            Quantity::Product { x, y, centre } => {
                let (low, high) = if self.argument == self.with && x == y {
                    let bound = i128::from(x.bound());
                    (0, bound * bound)
                } else {
                    let bound = i128::from(x.bound()) * i128::from(y.bound());
                    (-bound, bound)
                };
                let centre = i128::from(centre);
                let most = (low - centre).unsigned_abs().max((high - centre).unsigned_abs()).max(1);
                u64::try_from(most).unwrap_or(u64::MAX)
            }
        }
    }

    /// Whether a pupil's share of it can be cut at a threshold: it is not bounded by being one pupil.
    pub(crate) fn races(&self) -> bool {
        !matches!(self.quantity, Quantity::Pupils)
    }

    /// Square of the L2 sensitivity over all groups.
    ///
    /// # Privacy
    /// A pupil's n rows in a group change the number of different values by at most n, and the rows at or
    /// below any lattice index by at most n: both are bounded as rows are.
    pub fn l2_squared(&self, contribution: &Contribution) -> u128 {
        match self.quantity {
            Quantity::Pupils => contribution.of_pupils().l2_squared(1),
            _ => contribution.l2_squared(self.row_bound()),
        }
    }

    /// L1 sensitivity over all groups.
    pub fn l1(&self, contribution: &Contribution) -> u128 {
        match self.quantity {
            Quantity::Pupils => contribution.of_pupils().l1(1),
            _ => contribution.l1(self.row_bound()),
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
    /// The component itself: rows, pupils or different values.
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
    /// Variance or standard deviation.
    Spread {
        /// Which.
        form: Spread,
        /// Component with the number of values.
        count: usize,
        /// Component with the lattice sum.
        sum: usize,
        /// Component with the sum of squares.
        squares: usize,
    },
    /// How two arguments vary together.
    Association {
        /// Which.
        form: Association,
        /// Component with the number of pairs.
        count: usize,
        /// Component with the sum of x over pairs.
        x: usize,
        /// Component with the sum of y over pairs.
        y: usize,
        /// Component with the sum of squares of x.
        xx: usize,
        /// Component with the sum of squares of y.
        yy: usize,
        /// Component with the sum of products.
        xy: usize,
    },
    /// A quantile, interpolated as SQL's PERCENTILE_CONT is.
    Quantile {
        /// Component with the distribution.
        distribution: usize,
        /// Component with the number of values.
        count: usize,
        /// Where.
        at: Position,
    },
}

/// Forms of [`Aggregate::Spread`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Spread {
    VarPop,
    VarSamp,
    StddevPop,
    StddevSamp,
}

/// Forms of [`Aggregate::Association`]. SQL's `REGR_SLOPE(y, x)` is the slope of y on x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Association {
    CovarPop,
    CovarSamp,
    Corr,
    Slope,
    Intercept,
    R2,
}

/// Which quantile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Position {
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// Between 0 and 1: 0.5 is the median.
    At(f64),
}

impl Position {
    /// As a share of the way from the least to the greatest value.
    pub fn share(&self) -> f64 {
        match *self {
            Position::Min => 0.0,
            Position::Max => 1.0,
            Position::At(share) => share.clamp(0.0, 1.0),
        }
    }
}

impl Aggregate {
    /// The components that it is computed from.
    pub fn components(&self) -> Vec<usize> {
        match *self {
            Aggregate::Count(count) => vec![count],
            Aggregate::Sum { sum, count } => std::iter::once(sum).chain(count).collect(),
            Aggregate::Mean { sum, count } => vec![sum, count],
            Aggregate::Spread { count, sum, squares, .. } => vec![count, sum, squares],
            Aggregate::Association { count, x, y, xx, yy, xy, .. } => vec![count, x, y, xx, yy, xy],
            Aggregate::Quantile { distribution, .. } => vec![distribution],
        }
    }
}

/// One way to group, of a GROUPING SETS, or the only one.
#[derive(Debug, Clone, PartialEq)]
pub struct Grouping {
    /// Per key of the stage: whether this grouping groups by it.
    pub keys: Vec<bool>,
    /// What one pupil can change in it.
    pub contribution: Contribution,
    /// Whether its keys come from the pupils' rows.
    pub unknown_keys: bool,
}

impl Grouping {
    /// Without keys there is one group, whatever was said.
    pub(crate) fn settle(&mut self) {
        if !self.keys.contains(&true) {
            let Contribution { rows, rows_per_group, .. } = self.contribution;
            self.contribution = Contribution::new(rows, rows_per_group, 1);
        }
    }
}

/// No bound on a pupil's rows was declared: a race to the top over thresholds finds one privately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Automatic {
    /// The most that one pupil can contribute.
    pub largest: u64,
}

impl Automatic {
    /// 1, 2, 4, …, the first power of two that is at least `largest`.
    pub fn thresholds(&self) -> Vec<u64> {
        let last = self.largest.clamp(1, 1 << 62).next_power_of_two();
        std::iter::successors(Some(1_u64), |t| (*t < last).then(|| t * 2)).collect()
    }
}

/// Which groups an answer has.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupKeys {
    /// The contract or a public table lists those of the finest grouping: all appear, also the empty ones.
    Public(Vec<Vec<Value>>),
    /// They come from the pupils' rows: a key appears only past the threshold.
    Unknown,
}

/// What a price means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// ρ-zero-concentrated: Gaussian noise.
    Concentrated,
    /// ε-pure with ε = √(2ρ): Laplace noise.
    Pure,
}

/// What a release is asked to be: everything public that [`Terms::new`] needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The plan that is measured.
    pub plan: PlanDigest,
    /// Integers per group.
    pub components: Vec<Component>,
    /// Numbers of the answer.
    pub measures: Vec<Measure>,
    /// The finest first.
    pub groupings: Vec<Grouping>,
    /// The component that counts all pupils of a group; set where keys are unknown or rows have no measure.
    pub pupils: Option<usize>,
    /// Chance of revealing a single pupil's key, over all groupings with unknown keys.
    pub threshold_delta: Delta,
    /// Whether a row appears only if its noisy number of pupils passes the cell threshold (SELECT DISTINCT).
    pub occupied_only: bool,
    /// Set where no bound on a pupil's rows is known.
    pub automatic: Option<Automatic>,
    /// The small-cell rule.
    pub small_cells: SmallCells,
    /// What the price means.
    pub guarantee: Guarantee,
    /// The price.
    pub rho: Rho,
}
