//! Quantiles: values selected by how far their rank is from the wanted one.
//!
//! Each quantile of a distribution is selected from all rows, and so is either end of its interval; sorted
//! afterwards, so that quantiles never cross. (The recursion of Kaplan, Schnapp and Stemmer 2022, which gives
//! each half only its own rows, would be cheaper for dozens of quantiles, but is wrong where many rows share
//! one value: it drops them.)

use crate::lattice::Lattice;
use crate::measure::{CONFIDENCE, Guarantee, Position, Terms};
use crate::noise::{self, Failed};
use crate::split::{SELECTIONS, rank_change};
use crate::terms::RAISE;

/// Most values that one is selected from.
const CANDIDATES: i64 = 4_096;

/// Scores are whole numbers of 2⁻¹⁶ ranks. Rounding is paid for in [`rank_change`].
const UNITS_PER_RANK: f64 = 65_536.0;

/// Scale of a selection, in ranks, below which steps between two rows are told apart.
const ACCURATE: f64 = 1.0 / 64.0;

/// Lattice steps, and share of the range, up to which an interval is narrow.
const NARROW_STEPS: f64 = 10.0;
const NARROW_SHARE: f64 = 0.02;

/// No rank is farther than this from the wanted one: 2⁴⁰.
const FARTHEST: f64 = 1_099_511_627_776.0;

/// A quantile with its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quantile {
    pub(crate) at: Position,
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// All quantiles wanted of one distribution, from its lattice indices and how many rows have them.
///
/// # Privacy
/// For each of k selections the loss is ρ/k (ε/k where pure). One row more moves the interpolated rank of
/// every candidate by 0 to 1, and the wanted rank p·(n-1) by p: their distance changes by at most s = max(p,
/// 1-p) per row (proved by trying all small cases in the tests). A pupil with n_g rows in group g loses
/// (s·n_g)²/(2·scale²) there (see [`noise::select`]), in all groups together s²·L2²/(2·scale²), with L2² ≥
/// Σn_g² the sensitivity of counting rows; where pure, 2·s·Σn_g/scale. The ends of the interval are wanted at
/// ranks that differ from p·(n-1) by a constant.
pub(crate) fn select(
    terms: &Terms,
    grouping: usize,
    component: usize,
    rows: &[(i64, u64)],
) -> Result<Vec<Quantile>, Failed> {
    let positions = terms.positions(component);
    let grid = Grid::of(terms, grouping, component);
    let ranks = Ranks::new(rows.iter().map(|&(index, rows)| (grid.place(index), rows)), grid.count);
    let mut found = Vec::with_capacity(positions.len());
    for at in positions {
        let scale = rank_scale(terms, grouping, component, at);
        let offset = grid.offset(scale);
        let exact = ranks.wanted(at);
        let near = ranks.inward(at, if offset > 0.0 { scale * grid.count.ln() } else { 0.0 });
        let draw = |wanted: f64| {
            let scores = ranks.scores(wanted);
            noise::select(&scores, terms.guarantee, scale * UNITS_PER_RANK)
        };
        let (value, low, high) = (draw(near)?, draw(exact - offset)?, draw(exact + offset)?);
        let (low, high) = (low.min(value), high.max(value));
        let inner = !matches!(at.share(), 0.0 | 1.0);
        let value = if inner && grid.is_narrow(low, high) { low.midpoint(high) } else { value };
        found.push((at, value, low, high));
    }
    let mut values: Vec<usize> = found.iter().map(|(_, value, _, _)| *value).collect();
    values.sort_unstable();
    let read = |((at, _, low, high), value): ((Position, usize, usize, usize), usize)| {
        let (low, high) = grid.interval(low.min(value), high.max(value));
        Quantile { at, value: grid.value(value), low, high }
    };
    Ok(found.into_iter().zip(values).map(read).collect())
}

/// The scale of a selection, in ranks: a candidate one scale farther from the wanted rank is e times less
/// likely.
pub(crate) fn rank_scale(terms: &Terms, grouping: usize, component: usize, at: Position) -> f64 {
    let selections = SELECTIONS * terms.positions(component).len() as f64;
    let loss = terms.loss(grouping, component) / selections;
    let contribution = &terms.groupings[grouping].contribution;
    let scale = match terms.guarantee {
        Guarantee::Concentrated => (contribution.l2_squared(1) as f64).sqrt() / (2.0 * loss).sqrt(),
        Guarantee::Pure => 2.0 * contribution.l1(1) as f64 / loss,
    };
    let scale = scale * rank_change(at) * RAISE;
    // A whole number of units makes the exact draw several times faster, and is larger by less than a part in 1,000.
    let units = scale * UNITS_PER_RANK;
    if units > 1_024.0 { units.ceil() / UNITS_PER_RANK } else { scale }
}

/// Half-width to expect, in ranks, of the interval of a quantile.
pub(crate) fn rank_width(terms: &Terms, grouping: usize, component: usize, at: Position) -> f64 {
    let grid = Grid::of(terms, grouping, component);
    grid.offset(rank_scale(terms, grouping, component, at))
}

/// The values that one is selected from: lattice points and points between them, or fewer than the lattice
/// has.
struct Grid {
    lattice: Lattice,
    first: i64,
    /// Candidates per lattice step.
    finer: i64,
    /// Lattice steps per candidate; 1 where `finer` is more.
    coarser: i64,
    count: f64,
}

impl Grid {
    /// The grid of a component's quantiles: with every step that SQL interpolates at where the price is so high that
    /// ranks are accurate, else with half steps, as more would take time and tell nothing.
    fn of(terms: &Terms, grouping: usize, component: usize) -> Grid {
        let (lattice, positions) = (terms.lattice(component), terms.positions(component));
        let fine = Grid::new(lattice, &positions);
        let mut scales = positions.iter().map(|at| rank_scale(terms, grouping, component, *at));
        if scales.all(|scale| scale < ACCURATE) { fine } else { Grid::new(lattice, &[]) }
    }

    fn new(lattice: Lattice, positions: &[Position]) -> Grid {
        let (first, last) = lattice.indices();
        let span = (last - first).max(0);
        let wanted = positions.iter().fold(2, |all, at| least_common_multiple(all, denominator(at.share())));
        let fits = |finer: &i64| span.saturating_mul(*finer) < CANDIDATES;
        let finer = [wanted, 2].into_iter().find(fits).unwrap_or(1);
        let coarser = if fits(&finer) { 1 } else { span / (CANDIDATES - 1) + 1 };
        let last = if coarser > 1 { (span + coarser - 1) / coarser } else { span * finer };
        Grid { lattice, first, finer, coarser, count: (last + 1) as f64 }
    }

    /// The candidate at (or nearest to) a lattice index.
    fn place(&self, index: i64) -> usize {
        let steps = (index - self.first).max(0);
        let place =
            if self.coarser > 1 { (steps + self.coarser / 2) / self.coarser } else { steps * self.finer };
        usize::try_from(place).unwrap_or(0).min(self.count as usize - 1)
    }

    fn value(&self, candidate: usize) -> f64 {
        let steps = candidate as f64 * self.coarser as f64 / self.finer as f64;
        let value = self.lattice.value(self.first) + self.lattice.step * steps;
        value.clamp(self.lattice.low, self.lattice.high)
    }

    /// The values that a range of candidates stands for.
    fn interval(&self, low: usize, high: usize) -> (f64, f64) {
        let rounding = self.lattice.step * if self.coarser > 1 { self.coarser as f64 / 2.0 } else { 0.0 };
        let within = |value: f64| value.clamp(self.lattice.low, self.lattice.high);
        (within(self.value(low) - rounding), within(self.value(high) + rounding))
    }

    /// Whether so little is between two candidates that the middle is told, which is at most half of it off, instead
    /// of a selection at random. Between values with gaps, as converted scores have, selections are spread over the
    /// whole gap whenever the wanted rank is at its edge.
    fn is_narrow(&self, low: usize, high: usize) -> bool {
        let (low, high) = self.interval(low, high);
        let steps = (high - low) / self.lattice.step;
        steps <= NARROW_STEPS && high - low <= (self.lattice.high - self.lattice.low) * NARROW_SHARE
    }

    /// How far outwards the ends of an interval are wanted, in ranks, so that each is on its side of the
    /// quantile with a chance of 97.5%: of at most N candidates on the wrong side, all farther than this from
    /// the wanted rank, each is e^(-offset/scale) times as likely as the nearest, which is within half a
    /// candidate's rank. (Permute-and-flip is never worse.) 0 where the price is so high that the best
    /// candidate wins all the same.
    fn offset(&self, scale: f64) -> f64 {
        let tail = (self.count / ((1.0 - CONFIDENCE) / 2.0)).ln();
        if scale * tail * self.count <= 1.0 {
            return 0.0;
        }
        (scale * tail + 0.5 / self.finer as f64).min(FARTHEST)
    }
}

/// The least b up to 100 for which `share` is a whole number of b-ths: of 0.25, 4. Else 1.
fn denominator(share: f64) -> i64 {
    let whole = |b: &i64| {
        let parts = share * *b as f64;
        (parts - parts.round()).abs() < 1e-9
    };
    (1..=100).find(whole).unwrap_or(1)
}

fn least_common_multiple(a: i64, b: i64) -> i64 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

/// Ranks of candidates: 0 is the least row's. Where rows share a candidate it has a range of ranks; between
/// rows, ranks are interpolated. Below the first row and above the last they run to -1 and n, at the ends of
/// the grid, which stand for everything beyond as well.
struct Ranks {
    rows: f64,
    /// Least and greatest rank per candidate.
    of: Vec<(f64, f64)>,
}

impl Ranks {
    /// From places in ascending order.
    fn new(places: impl Iterator<Item = (usize, u64)>, count: f64) -> Ranks {
        let last = count as usize - 1;
        let mut of = vec![(0.0, 0.0); last + 1];
        of[0] = (f64::NEG_INFINITY, -1.0);
        let (mut at, mut below) = (0, 0.0_f64);
        for (place, rows) in places.filter(|(_, rows)| *rows > 0) {
            if place > at {
                interpolate(&mut of, at, place, below);
                of[place].0 = below;
                at = place;
            }
            below += rows as f64;
            of[place].1 = below - 1.0;
        }
        if at < last {
            interpolate(&mut of, at, last, below);
            of[last].0 = below;
        }
        of[last].1 = f64::INFINITY;
        Ranks { rows: below, of }
    }

    /// The rank that SQL interpolates at.
    fn wanted(&self, at: Position) -> f64 {
        at.share() * (self.rows - 1.0)
    }

    /// The same, but of the least and the greatest value: moved inwards by so many ranks, at most to the
    /// median. At the very end the empty part of the range, all of it within one rank, would outweigh the
    /// rows. Per row this moves by 0 to 1, as the ranks do.
    fn inward(&self, at: Position, ranks: f64) -> f64 {
        let (wanted, median) = (self.wanted(at), (self.rows - 1.0) / 2.0);
        match at.share() {
            0.0 => ranks.min(median),
            1.0 => (wanted - ranks).max(median),
            _ => wanted,
        }
    }

    /// Minus the distance from the wanted rank.
    fn scores(&self, wanted: f64) -> Vec<i64> {
        let distance = |&(least, greatest): &(f64, f64)| (least - wanted).max(wanted - greatest).max(0.0);
        self.of
            .iter()
            .map(|ranks| -((distance(ranks).min(FARTHEST) * UNITS_PER_RANK).round() as i64))
            .collect()
    }
}

/// Ranks strictly between two candidates: from that of the last row before, `below - 1`, to the next one's.
fn interpolate(of: &mut [(f64, f64)], from: usize, to: usize, below: f64) {
    let gap = (to - from) as f64;
    for (step, ranks) in of[from + 1..to].iter_mut().enumerate() {
        let rank = below - 1.0 + (step + 1) as f64 / gap;
        *ranks = (rank, rank);
    }
}

#[cfg(test)]
#[path = "quantile_tests.rs"]
mod tests;
