//! The whole-number table that is closest to noisy totals.

/// Rounds of the search for cells that have to be 0.
const ROUNDS: usize = 40;

/// Steps of one solution: the equations have few different eigenvalues, so that it ends long before.
const STEPS: usize = 200;

/// Finest cells closest to what was measured. `measured` has the finest grouping first, then coarser ones;
/// `parts` says of each cell which total of each grouping it belongs to; `variances` are per grouping.
///
/// Where the totals already add up, the cells stay as they are. Rounding goes along the cells in their order
/// and carries the remainder on, so that the sum over any run of neighbours is off by less than one.
pub(crate) fn closest(
    measured: &[Vec<i64>],
    parts: &[Vec<usize>],
    variances: &[f64],
    non_negative: bool,
) -> Vec<i64> {
    let cells = &measured[0];
    let system = System::new(measured, parts, variances);
    let change =
        if non_negative { system.non_negative(cells) } else { system.solve(&vec![None; cells.len()]) };
    let (mut carried, mut given) = (0.0_f64, 0_i64);
    let round = |(cell, change): (&i64, f64)| {
        carried += change;
        let whole = (carried + 0.5).floor() as i64;
        let rounded = cell.saturating_add(whole - given);
        given = whole;
        if non_negative { rounded.max(0) } else { rounded }
    };
    cells.iter().zip(change).map(round).collect()
}

/// The normal equations for the change d of the finest cells: (I + Σ wₘAₘᵀAₘ)·d = Σ wₘAₘᵀrₘ, where rₘ is what
/// the totals of a grouping exceed the sum of their parts by (in whole numbers: exactly 0 where they add up),
/// and wₘ the weight of a grouping relative to that of the finest.
struct System<'a> {
    parts: &'a [Vec<usize>],
    weights: Vec<f64>,
    totals: Vec<usize>,
    right: Vec<f64>,
}

impl System<'_> {
    fn new<'a>(measured: &[Vec<i64>], parts: &'a [Vec<usize>], variances: &[f64]) -> System<'a> {
        let cells = &measured[0];
        let weights: Vec<f64> = variances[1..].iter().map(|variance| variances[0] / variance).collect();
        let mut right = vec![0.0; cells.len()];
        for ((totals, part_of), weight) in measured.iter().zip(parts).skip(1).zip(&weights) {
            let mut excess: Vec<i128> = totals.iter().map(|total| i128::from(*total)).collect();
            cells.iter().zip(part_of).for_each(|(cell, part)| excess[*part] -= i128::from(*cell));
            let right = right.iter_mut().zip(part_of);
            right.for_each(|(right, part)| *right += weight * excess[*part] as f64);
        }
        let totals = measured[1..].iter().map(Vec::len).collect();
        System { parts: &parts[1..], weights, totals, right }
    }

    /// Least squares with some changes fixed.
    fn solve(&self, fixed: &[Option<f64>]) -> Vec<f64> {
        let free = |values: &mut [f64]| {
            values
                .iter_mut()
                .zip(fixed)
                .filter(|(_, fixed)| fixed.is_some())
                .for_each(|(value, _)| *value = 0.0);
        };
        // Conjugate gradients, from the fixed changes.
        let mut change: Vec<f64> = fixed.iter().map(|fixed| fixed.unwrap_or(0.0)).collect();
        let mut rest = self.rest(&change);
        free(&mut rest);
        let mut direction = rest.clone();
        let mut length = dot(&rest, &rest);
        let enough = length * 1e-26;
        for _ in 0..STEPS {
            if length <= enough || length == 0.0 {
                break;
            }
            let mut image = self.apply(&direction);
            free(&mut image);
            let step = length / dot(&direction, &image);
            change.iter_mut().zip(&direction).for_each(|(change, d)| *change += step * d);
            rest.iter_mut().zip(&image).for_each(|(rest, image)| *rest -= step * image);
            let next = dot(&rest, &rest);
            direction.iter_mut().zip(&rest).for_each(|(d, rest)| *d = rest + next / length * *d);
            length = next;
        }
        change
    }

    /// Least squares with non-negative cells: those that come out negative are set to 0, and freed again
    /// where the squares would fall (Lawson and Hanson 1974, in blocks).
    fn non_negative(&self, cells: &[i64]) -> Vec<f64> {
        let mut fixed = vec![None; cells.len()];
        let mut change = self.solve(&fixed);
        for round in 0..ROUNDS {
            let rest = self.rest(&change);
            let mut moved = false;
            for (i, cell) in cells.iter().enumerate() {
                let empty = -(*cell as f64);
                if fixed[i].is_none() && change[i] < empty - 1e-9 {
                    fixed[i] = Some(empty);
                    moved = true;
                } else if fixed[i].is_some() && rest[i] > 1e-9 && round < ROUNDS / 2 {
                    fixed[i] = None;
                    moved = true;
                }
            }
            if !moved {
                break;
            }
            change = self.solve(&fixed);
        }
        change.iter().zip(cells).map(|(change, cell)| change.max(-(*cell as f64))).collect()
    }

    fn rest(&self, change: &[f64]) -> Vec<f64> {
        let image = self.apply(change);
        self.right.iter().zip(image).map(|(right, image)| right - image).collect()
    }

    fn apply(&self, values: &[f64]) -> Vec<f64> {
        let mut image = values.to_vec();
        for ((part_of, weight), totals) in self.parts.iter().zip(&self.weights).zip(&self.totals) {
            let mut sums = vec![0.0; *totals];
            values.iter().zip(part_of).for_each(|(value, part)| sums[*part] += value);
            image.iter_mut().zip(part_of).for_each(|(image, part)| *image += weight * sums[*part]);
        }
        image
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
