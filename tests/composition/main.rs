//! What ρ means as (ε, δ), beside Google's dp-accounting: `vectors.csv`, printed by `vectors.py`. Nightly prints it
//! again and compares.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use disclosure_rules::{Delta, Epsilon, Rho};

struct Vector<'a> {
    line: &'a str,
    rho: Rho,
    delta: Delta,
    optimistic: f64,
    pessimistic: f64,
}

fn vectors() -> Vec<Vector<'static>> {
    let lines = include_str!("vectors.csv").lines().filter(|line| !line.starts_with('#')).skip(1);
    lines.map(vector).collect()
}

fn vector(line: &str) -> Vector<'_> {
    let [_, rhos, delta, optimistic, pessimistic] = line.split(',').collect::<Vec<_>>()[..] else {
        panic!("{line}")
    };
    Vector {
        line,
        rho: total(rhos),
        delta: Delta::new(delta.parse().unwrap()).unwrap(),
        optimistic: optimistic.parse().unwrap(),
        pessimistic: pessimistic.parse().unwrap(),
    }
}

/// `0.01 0.02`, or `0.01x50` for fifty of them: each charged, and added up as the ledger does.
fn total(rhos: &str) -> Rho {
    let part = |part: &str| {
        let (rho, times) = part.split_once('x').unwrap_or((part, "1"));
        vec![Rho::at_least(rho.parse().unwrap()).unwrap(); times.parse().unwrap()]
    };
    rhos.split(' ').flat_map(part).fold(Rho::ZERO, Rho::plus)
}

/// That zero-concentrated losses are a little coarser than whole privacy loss distributions is known; this is how much.
const AT_MOST_ABOVE: f64 = 1.25;

fn faults(epsilon: impl Fn(&Vector) -> f64) -> Vec<String> {
    let fault = |vector: &Vector| {
        let epsilon = epsilon(vector);
        let fine = epsilon >= vector.optimistic && epsilon <= vector.pessimistic * AT_MOST_ABOVE;
        (!fine).then(|| format!("{}: {epsilon}", vector.line))
    };
    vectors().iter().filter_map(fault).collect()
}

#[test]
fn epsilon_is_never_below_the_true_one_and_little_above() {
    assert!(vectors().len() >= 50);
    let faults = faults(|vector| vector.rho.epsilon(vector.delta).get());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn an_allotment_in_epsilon_is_never_more_than_it_says() {
    for vector in vectors() {
        let rho = Rho::from_epsilon(Epsilon::new(vector.optimistic).unwrap(), vector.delta);
        assert!(rho <= vector.rho, "{}: {rho}", vector.line);
        let rho = Rho::from_epsilon(Epsilon::new(vector.pessimistic * AT_MOST_ABOVE).unwrap(), vector.delta);
        assert!(rho >= vector.rho, "{}: {rho}", vector.line);
    }
}

#[test]
fn a_wrong_conversion_is_caught() {
    // ρ taken for ε, and the conversion of Bun and Steinke 2016 without its first term.
    assert!(!faults(|vector| vector.rho.get()).is_empty());
    let without = |vector: &Vector| 2.0 * (vector.rho.get() * -vector.delta.get().ln()).sqrt();
    assert!(!faults(without).is_empty());
}
