//! A black-box audit: one release, many times over, of two sets of records that differ in one pupil. How well the two
//! can be told apart is a lower bound on the privacy loss. It stays below the claim, and for tight mechanisms near it.
//!
//! `ENCLAVE_RUNS` says how often each is released: 5,000 by default, nightly 100,000.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod cases;
mod statistics;

use cases::{Case, DELTA, RHO};
use disclosure_rules::{Delta, Rho};
use statistics::{Evidence, normal, normal_quantile};

/// The audit must hold whenever it runs: a claim counts as broken only where chance explains it once in a million.
const BROKEN: f64 = 1e-6;
/// What is reported.
const REPORTED: f64 = 0.05;
/// A usual δ.
const SMALL: f64 = 1e-5;

fn runs() -> usize {
    std::env::var("ENCLAVE_RUNS").map_or(5_000, |runs| runs.parse().unwrap())
}

/// What runs have shown of one mechanism.
struct Audit {
    claimed_mu: f64,
    /// Evidence at the threshold midway, which tells two normal distributions apart best.
    midway: Evidence,
    /// Evidence at the threshold where ε at one δ is best seen.
    far: Evidence,
}

impl Audit {
    fn of(case: &Case, delta: f64) -> Audit {
        let (n, pilot) = (runs(), runs() / 10);
        let (before, after) = (case.runs(false, pilot), case.runs(true, pilot));
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let (low, high) = (mean(&before), mean(&after));
        let sign = if high >= low { 1.0 } else { -1.0 };
        let signed = |values: Vec<f64>| values.into_iter().map(|value| sign * value).collect::<Vec<f64>>();
        let (before, after) = (signed(before), signed(after));
        let pooled = statistics::thresholds(&before, &after);
        let seen = |t: f64| Evidence::new(&before, &after, t).epsilon(delta, REPORTED);
        let far = pooled.into_iter().max_by(|a, b| seen(*a).total_cmp(&seen(*b))).unwrap();
        let (before, after) = (signed(case.runs(false, n)), signed(case.runs(true, n)));
        Audit {
            claimed_mu: (2.0 * RHO).sqrt(),
            midway: Evidence::new(&before, &after, sign * (low + high) / 2.0),
            far: Evidence::new(&before, &after, far),
        }
    }

    /// Where the claim does not hold.
    fn broken(&self, tight: bool) -> Vec<String> {
        let mut broken = Vec::new();
        let mut check = |what: &str, seen: f64, claimed: f64| {
            if seen > claimed {
                broken.push(format!("{what}: at least {seen}, claimed {claimed}"));
            }
        };
        let epsilon = Rho::at_least(RHO).unwrap().epsilon(Delta::new(SMALL).unwrap()).get();
        for evidence in [&self.midway, &self.far] {
            check("epsilon at a small delta", evidence.epsilon(SMALL, BROKEN), epsilon);
            let at = delta_of_one();
            let epsilon = Rho::at_least(RHO).unwrap().epsilon(Delta::new(at).unwrap()).get();
            check("epsilon at a large delta", evidence.epsilon(at, BROKEN), epsilon);
        }
        if tight {
            check("mu", self.midway.mu(BROKEN), self.claimed_mu);
            check("epsilon", self.far.epsilon(delta_of_one(), BROKEN), 1.0);
        }
        broken
    }
}

/// The δ at which normal noise of the claimed price is exactly ε = 1.
fn delta_of_one() -> f64 {
    let mu = (2.0 * RHO).sqrt();
    normal(mu / 2.0 - 1.0 / mu) - std::f64::consts::E * normal(-mu / 2.0 - 1.0 / mu)
}

/// The claim holds and is not far above the loss; with three quarters of the noise, it is seen not to hold.
fn check_tight(case: fn(f64) -> Case) {
    let audit = Audit::of(&case(RHO), delta_of_one());
    assert!(audit.broken(true).is_empty(), "{:?}", audit.broken(true));
    // Fewer runs show less; seeing ε takes more of them than seeing µ.
    let (least_mu, least_epsilon) = if runs() >= 100_000 { (0.9, 0.9) } else { (0.8, 0.4) };
    let (mu, epsilon) = (audit.midway.mu(REPORTED), audit.far.epsilon(delta_of_one(), REPORTED));
    assert!(mu >= least_mu * audit.claimed_mu, "only {mu} of {} is seen", audit.claimed_mu);
    assert!(epsilon >= least_epsilon, "only {epsilon} of 1 is seen");
    eprintln!("mu {mu:.3} of {:.3}, epsilon {epsilon:.3} of 1", audit.claimed_mu);
    caught(case);
}

/// The claim holds. That it is far above the loss is known; with a sixteenth of the noise it is seen not to hold.
fn check_loose(case: fn(f64) -> Case) {
    let audit = Audit::of(&case(RHO), SMALL);
    assert!(audit.broken(false).is_empty(), "{:?}", audit.broken(false));
    eprintln!("epsilon {:.3} at {SMALL}", audit.far.epsilon(SMALL, REPORTED));
    let broken = Audit::of(&case(RHO * 256.0), SMALL).broken(false);
    assert!(!broken.is_empty(), "most of the noise is missing, and nothing shows");
}

/// The scale of normal noise is as 1/√ρ.
const LESS_NOISE: f64 = RHO / (0.75 * 0.75);

fn caught(case: fn(f64) -> Case) {
    let broken = Audit::of(&case(LESS_NOISE), delta_of_one()).broken(true);
    assert!(!broken.is_empty(), "a quarter of the noise is missing, and nothing shows");
}

#[test]
fn counts() {
    check_tight(cases::count);
}

#[test]
fn sums() {
    check_tight(cases::sum);
}

#[test]
fn means() {
    check_tight(cases::mean);
}

#[test]
fn counts_of_many_groups() {
    check_tight(cases::groups);
}

#[test]
fn sums_of_grouping_sets() {
    check_tight(cases::grouping_sets);
}

#[test]
fn variances() {
    check_tight(cases::variance);
}

#[test]
fn medians() {
    check_loose(cases::median);
}

#[test]
fn largest_values() {
    check_loose(cases::maximum);
}

#[test]
fn races() {
    check_loose(cases::race);
}

#[test]
fn races_of_groups() {
    check_loose(cases::race_of_groups);
}

/// A key of one pupil appears with a chance of at most δ, and not much less.
#[test]
fn keys() {
    let shown = |delta: f64| {
        let case = cases::keys(delta);
        let shown = case.runs(true, runs()).into_iter().filter(|shown| *shown > 0.0).count();
        Evidence::share(shown, runs(), BROKEN)
    };
    assert!(cases::keys(DELTA).runs(false, 100).iter().all(|shown| *shown == 0.0));
    let (low, high) = shown(DELTA);
    assert!(
        low <= DELTA && high >= 0.8 * DELTA,
        "a key of one pupil appears in {low} to {high} of all releases"
    );
    let (low, _) = shown(4.0 * DELTA);
    assert!(low > DELTA, "a threshold that is too low is seen: {low}");
}

#[test]
fn known_bounds() {
    // Clopper and Pearson's interval for 7 of 100, at 95%: 2.86% to 13.89%.
    let (low, high) = Evidence::share(7, 100, 0.05);
    assert!((low - 0.0286).abs() < 1e-4 && (high - 0.1389).abs() < 1e-4, "{low} {high}");
    assert!((normal_quantile(0.975) - 1.959_964).abs() < 1e-6);
    assert!((delta_of_one() - 0.126_936_74).abs() < 1e-6, "{}", delta_of_one());
}
