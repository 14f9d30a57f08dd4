//! How closely a system confines one of its cells: the least and the greatest value by linear programming.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use microlp::{ComparisonOp, Error, OptimizationDirection, Problem};

use super::family::{Relation, System, Told};

/// By how much intervals are widened, one after the other, where all of them cannot hold at once: each 95% interval
/// misses one time in twenty.
const WIDER: [f64; 5] = [1.0, 1.5, 2.0, 3.0, 5.0];
/// Slack of a floating-point solution, in counts.
const SLACK: f64 = 1e-6;

/// Bounds of a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    /// Least count.
    pub(super) low: u64,
    /// Greatest count; `None`: nothing bounds it.
    pub(super) high: Option<u64>,
    /// By how much the intervals had to be widened.
    pub(super) widened: f64,
}

/// Bounds of the cell of that number; `None` where the released numbers contradict each other however wide they are
/// taken, or the solver gives up.
pub(super) fn bounds(system: &System, cell: usize) -> Option<Bounds> {
    let near = connected(system, cell);
    WIDER.into_iter().find_map(|widened| {
        let low = solve(system, &near, cell, OptimizationDirection::Minimize, widened)?;
        let high = solve(system, &near, cell, OptimizationDirection::Maximize, widened)?;
        // Counts are whole.
        let low = low.map_or(0, |low| (low - SLACK).ceil().max(0.0) as u64);
        Some(Bounds { low, high: high.map(|high| (high + SLACK).floor().max(0.0) as u64), widened })
    })
}

/// The cells that anything ties to this one.
fn connected(system: &System, cell: usize) -> Vec<usize> {
    let mut found = BTreeSet::from([cell]);
    loop {
        let before = found.len();
        for constraint in &system.constraints {
            let mut all = constraint.parts.iter().chain([&constraint.whole]);
            if all.clone().any(|number| found.contains(number)) {
                found.extend(all.by_ref());
            }
        }
        if found.len() == before {
            return found.into_iter().collect();
        }
    }
}

/// The optimum; `Some(None)` where there is none because nothing bounds it, `None` where nothing is feasible.
fn solve(
    system: &System,
    near: &[usize],
    cell: usize,
    direction: OptimizationDirection,
    widened: f64,
) -> Option<Option<f64>> {
    let mut problem = Problem::new(direction);
    let mut variables = Vec::with_capacity(near.len());
    for number in near {
        let (low, high) = range(&system.variables[*number].told, widened);
        if low > high {
            return None;
        }
        variables.push(problem.add_var(if *number == cell { 1.0 } else { 0.0 }, (low, high)));
    }
    let variable = |number: &usize| near.binary_search(number).ok().map(|place| variables[place]);
    for constraint in &system.constraints {
        let Some(whole) = variable(&constraint.whole) else { continue };
        let parts = constraint.parts.iter().filter_map(variable).map(|part| (part, 1.0));
        let terms: Vec<_> = parts.chain([(whole, -1.0)]).collect();
        let relation = match constraint.relation {
            Relation::Equal => ComparisonOp::Eq,
            Relation::AtMost => ComparisonOp::Le,
            Relation::AtLeast => ComparisonOp::Ge,
        };
        problem.add_constraint(terms, relation, 0.0);
    }
    // A solver that fails says nothing, and is not this program's fault.
    let solved = std::panic::catch_unwind(AssertUnwindSafe(|| problem.solve())).ok()?;
    match solved {
        Ok(outcome) => outcome.into_solution().ok().map(|solution| Some(solution.objective())),
        Err(Error::Unbounded) => Some(None),
        Err(_) => None,
    }
}

/// What all that was told of a cell leaves; a count is at least 0.
fn range(told: &[(u64, Told)], widened: f64) -> (f64, f64) {
    let mut range = (0.0_f64, f64::INFINITY);
    for (_, told) in told {
        if let Told::Shown { low, high } = told {
            let (middle, half) = ((low + high) / 2.0, (high - low) / 2.0 * widened);
            // An infinite end says nothing.
            if half.is_finite() {
                range = (range.0.max(middle - half), range.1.min(middle + half));
            }
        }
    }
    range
}
