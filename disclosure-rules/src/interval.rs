//! Intervals of numbers that are computed from several noisy ones.

const WIDER: f64 = 1.05;

/// How far a function of noisy totals may lie below and above its value, where each total may be off by its
/// width. `None` where it is not defined all the way.
///
/// Each total is moved to both ends of its own interval, and the squared effects are added, as for
/// independent noise. For linear functions this is exact for Gaussian noise; elsewhere it sees the curvature
/// that the delta method's tangent misses. A twentieth is added for what remains: simulations (in the tests)
/// show that the truth is covered.
pub(crate) fn spread(
    totals: &[f64],
    widths: &[f64],
    used: &[usize],
    value: impl Fn(&[f64]) -> Option<f64>,
) -> Option<(f64, f64)> {
    let centre = value(totals)?;
    let mut moved = totals.to_vec();
    let (mut down, mut up) = (0.0, 0.0);
    for &i in used {
        let (mut below, mut above) = (0.0_f64, 0.0_f64);
        for end in [-widths[i], widths[i]] {
            moved[i] = totals[i] + end;
            let effect = value(&moved)? - centre;
            below = below.max(-effect);
            above = above.max(effect);
        }
        moved[i] = totals[i];
        down += below * below;
        up += above * above;
    }
    Some((WIDER * down.sqrt(), WIDER * up.sqrt()))
}
