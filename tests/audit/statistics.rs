//! Bounds on shares, and what they say of privacy loss.

/// How often a value above a threshold was seen, of the records without the pupil and with it.
pub(crate) struct Evidence {
    before: usize,
    after: usize,
    runs: usize,
}

impl Evidence {
    pub(crate) fn new(before: &[f64], after: &[f64], threshold: f64) -> Evidence {
        let above = |values: &[f64]| values.iter().filter(|value| **value > threshold).count();
        Evidence { before: above(before), after: above(after), runs: before.len() }
    }

    /// Interval of Clopper and Pearson (1934) for a share of which `found` of `runs` were seen. It misses with a chance of
    /// at most `miss`.
    pub(crate) fn share(found: usize, runs: usize, miss: f64) -> (f64, f64) {
        let low = if found == 0 { 0.0 } else { upper_tail_is(found, runs, miss / 2.0) };
        // The others are a share as well.
        let high = if found == runs { 1.0 } else { 1.0 - upper_tail_is(runs - found, runs, miss / 2.0) };
        (low, high)
    }

    /// Lower bound on µ of Gaussian privacy (Dong, Roth and Su 2022).
    pub(crate) fn mu(&self, miss: f64) -> f64 {
        let (_, before) = Evidence::share(self.before, self.runs, miss);
        let (after, _) = Evidence::share(self.after, self.runs, miss);
        normal_quantile(after) - normal_quantile(before)
    }

    /// Lower bound on ε at δ: from values above the threshold and from those below, either way round.
    pub(crate) fn epsilon(&self, delta: f64, miss: f64) -> f64 {
        let (before, after) =
            (Evidence::share(self.before, self.runs, miss), Evidence::share(self.after, self.runs, miss));
        let loss = |more: f64, less: f64| ((more - delta).max(0.0) / less.max(f64::MIN_POSITIVE)).ln();
        let losses = [
            loss(after.0, before.1),
            loss(before.0, after.1),
            loss(1.0 - before.1, 1.0 - after.0),
            loss(1.0 - after.1, 1.0 - before.0),
        ];
        losses.into_iter().fold(0.0, f64::max)
    }
}

/// The p for which at least `found` of `runs` have a chance of `tail`, below a half.
fn upper_tail_is(found: usize, runs: usize, tail: f64) -> f64 {
    let logs = logs_of_factorials(runs);
    let chance = |p: f64| {
        if found as f64 <= p * runs as f64 {
            return 0.5;
        }
        let term = |k: usize| {
            let ways = logs[runs] - logs[k] - logs[runs - k];
            (ways + k as f64 * p.ln() + (runs - k) as f64 * (-p).ln_1p()).exp()
        };
        // They fall off fast away from the middle.
        (found..=runs).map(term).take_while(|term| *term > 1e-25).sum()
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        if chance(middle) < tail { low = middle } else { high = middle }
    }
    low
}

fn logs_of_factorials(n: usize) -> Vec<f64> {
    let mut logs = vec![0.0];
    for k in 1..=n {
        logs.push(logs[k - 1] + (k as f64).ln());
    }
    logs
}

/// Values between the smallest and the largest, to try as thresholds.
pub(crate) fn thresholds(before: &[f64], after: &[f64]) -> Vec<f64> {
    let mut all = [before, after].concat();
    all.sort_by(f64::total_cmp);
    (1..40).map(|i| all[all.len() * i / 40]).collect()
}

/// P(N(0, 1) ≤ z).
pub(crate) fn normal(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

pub(crate) fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if normal(middle) < p { low = middle } else { high = middle }
    }
    low
}
