//! Canaries: known defects of OpenDP 0.16, each still there. Where one of these tests fails after an upgrade, OpenDP has
//! mended it: delete the test, and its number from DESIGN section 4 and from `sensitivity.rs`. The mechanisms that we do
//! use, `make_gaussian`, `make_laplace` and `make_noisy_max`, are audited in `tests/audit`.
//!
//! Issues 2945 and 2949 are in OpenDP's data frames, which are not built here.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use opendp::domains::{AtomDomain, MapDomain, VectorDomain};
use opendp::measurements::{make_gaussian_threshold, make_laplace_threshold};
use opendp::measures::{Approximate, MaxDivergence, ZeroConcentratedDivergence};
use opendp::metrics::{AbsoluteDistance, L0PInfDistance, L1Distance, SymmetricDistance};
use opendp::transformations::{Pairwise, make_b_ary_tree, make_sum_of_squared_deviations};

const MENDED: &str = "mended upstream? see the head of this file";

/// A key of one pupil appears where 1 + noise reaches the threshold.
const THRESHOLD: i64 = 5;

type Counts = MapDomain<AtomDomain<i64>, AtomDomain<i64>>;

fn counts() -> Counts {
    MapDomain::new(AtomDomain::default(), AtomDomain::new_non_nan())
}

fn metric<const P: usize>() -> L0PInfDistance<P, AbsoluteDistance<i64>> {
    L0PInfDistance(AbsoluteDistance::default())
}

/// Issue 2922: counts at the threshold are released, but the δ that is reported is that of counts above it.
#[test]
fn the_delta_of_thresholds_leaves_out_the_threshold_itself() {
    let at_threshold = HashMap::from([(0, THRESHOLD)]);
    let laplace = |scale| {
        let made: Result<_, opendp::error::Error> = make_laplace_threshold::<_, _, Approximate<MaxDivergence>>(
            counts(),
            metric::<1>(),
            scale,
            THRESHOLD,
            None,
        );
        made.unwrap()
    };
    assert_eq!(laplace(1e-3).invoke(&at_threshold).unwrap().len(), 1, "{MENDED}");
    let (_, reported) = laplace(1.0).map(&(1, 1, 1)).unwrap();
    // P(noise ≥ 4), with α = e⁻¹.
    let exact = (-4.0_f64).exp() / (1.0 + (-1.0_f64).exp());
    assert!(reported < 0.5 * exact, "δ of {reported}, truly {exact}: {MENDED}");

    let gaussian = |scale| {
        let made: Result<_, opendp::error::Error> = make_gaussian_threshold::<
            _,
            _,
            Approximate<ZeroConcentratedDivergence>,
        >(counts(), metric::<2>(), scale, THRESHOLD, None);
        made.unwrap()
    };
    assert_eq!(gaussian(1e-3).invoke(&at_threshold).unwrap().len(), 1, "{MENDED}");
    let (_, reported) = gaussian(1.0).map(&(1, 1, 1)).unwrap();
    let weight = |k: i32| (-f64::from(k * k) / 2.0).exp();
    let exact = (4..40).map(weight).sum::<f64>() / (-40..40).map(weight).sum::<f64>();
    assert!(reported < 0.5 * exact, "δ of {reported}, truly {exact}: {MENDED}");
}

/// Issue 2923: the rounding of the mean, which every deviation is taken from, is not in the sensitivity.
#[test]
fn the_sensitivity_of_squared_deviations_leaves_out_the_rounding_of_the_mean() {
    let (least, rows) = (2.0_f64.powi(50), 1024);
    let domain = VectorDomain::new(AtomDomain::new_closed((least, least + 1.0)).unwrap()).with_size(rows);
    let deviations = make_sum_of_squared_deviations::<Pairwise<f64>>(domain, SymmetricDistance).unwrap();
    let same = vec![least + 0.25; rows];
    let mut other = same.clone();
    other[0] = least + 0.5;
    let changed = (deviations.invoke(&same).unwrap() - deviations.invoke(&other).unwrap()).abs();
    let claimed = deviations.map(&2).unwrap();
    assert!(changed > claimed, "changed by {changed}, claimed {claimed}: {MENDED}");
}

/// Issue 2925: sums in a tree of counts wrap around, or panic where overflow is checked. Either tells two neighbours
/// apart.
#[test]
fn sums_in_a_tree_overflow() {
    let domain = VectorDomain::new(AtomDomain::<i32>::new_non_nan()).with_size(2);
    let tree = make_b_ary_tree(domain, L1Distance::<i32>::default(), 2, 2).unwrap();
    let sums = |leaves: [i32; 2]| {
        let sums = catch_unwind(AssertUnwindSafe(|| tree.invoke(&leaves.to_vec()).unwrap()));
        sums.ok().map(|sums| sums.into_iter().map(i64::from).collect::<Vec<_>>())
    };
    let claimed = i64::from(tree.map(&1).unwrap());
    let changed = sums([i32::MAX, 0]).zip(sums([i32::MAX, 1])).map(|(a, b)| {
        let pairs = a.iter().zip(&b);
        pairs.map(|(a, b)| (a - b).abs()).sum::<i64>()
    });
    assert!(
        changed.is_none_or(|changed| changed > claimed),
        "changed by {changed:?}, claimed {claimed}: {MENDED}"
    );
}
