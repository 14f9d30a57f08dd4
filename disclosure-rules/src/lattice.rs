//! [`Lattice`]: the grid that values are clamped to, put on, and summed on as integers.

/// Largest lattice index: 2³¹, so that 2³² rows sum within 63 bits.
pub const MAX_INDEX: f64 = 2_147_483_648.0;

/// Largest lattice index in a product: 2¹⁵, so that 2³² products of two sum within 63 bits.
pub const MAX_FACTOR: f64 = 32_768.0;

/// A grid: value = `origin` + `step` · index.
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
        Lattice::for_sum(low, high, step).centred()
    }

    /// A lattice for sums of products, and for the plain sums beside them: centred as for means, with indices
    /// of at most 2¹⁵. A whole number between 0 and 65,536 keeps its step of 1.
    pub fn for_product(low: f64, high: f64, step: f64) -> Lattice {
        let mut lattice = Lattice::for_mean(low, high, step);
        while lattice.bound() as f64 > MAX_FACTOR {
            lattice = Lattice { step: lattice.step * 2.0, ..lattice }.centred();
        }
        lattice
    }

    fn centred(self) -> Lattice {
        Lattice { origin: ((self.low + self.high) / 2.0 / self.step).round() * self.step, ..self }
    }

    /// Index of the point nearest to `value` after clamping. NaN and infinities are missing values: `None`.
    #[inline]
    pub fn index(&self, value: f64) -> Option<i64> {
        let steps = (value.max(self.low).min(self.high) - self.origin) / self.step;
        let index = rounded(steps);
        value.is_finite().then_some(index)
    }

    /// Puts in place the index of each value, and of what is no finite number `missing`. As [`Lattice::index`], many
    /// at once.
    pub fn index_all(&self, values: &[f64], missing: i64, indices: &mut [i64]) {
        let (inverse, step) = (1.0 / self.step, self.step);
        // Dividing by a power of two is multiplying by another, exactly.
        if step.to_bits() << 12 == 0 && inverse.is_normal() {
            self.index_each(values, missing, indices, |distance| distance * inverse);
        } else {
            self.index_each(values, missing, indices, |distance| distance / step);
        }
    }

    #[inline]
    fn index_each(&self, values: &[f64], missing: i64, indices: &mut [i64], steps: impl Fn(f64) -> f64) {
        let (low, high, origin) = (self.low, self.high, self.origin);
        for (index, &value) in indices.iter_mut().zip(values) {
            let clamped = if value > low { value } else { low };
            let clamped = if clamped < high { clamped } else { high };
            *index = rounded(if value.is_finite() { steps(clamped - origin) } else { 0.0 });
        }
        if missing != 0 {
            let absent = indices.iter_mut().zip(values).filter(|(_, value)| !value.is_finite());
            absent.for_each(|(index, _)| *index = missing);
        }
    }

    /// The same of whole numbers.
    pub fn index_whole(&self, values: &[i64], indices: &mut [i64]) {
        let whole =
            |number: f64| (number.trunc() == number && number.abs() < MAX_INDEX).then_some(number as i64);
        match (whole(self.low), whole(self.high), whole(self.origin)) {
            (Some(low), Some(high), Some(origin)) if self.step == 1.0 => {
                for (index, &value) in indices.iter_mut().zip(values) {
                    *index = value.max(low).min(high) - origin;
                }
            }
            _ => {
                for (index, &value) in indices.iter_mut().zip(values) {
                    *index = self.index(value as f64).unwrap_or(0);
                }
            }
        }
    }

    /// The value of an index.
    pub fn value(&self, index: i64) -> f64 {
        self.origin + self.step * index as f64
    }

    /// Least and greatest index.
    pub fn indices(&self) -> (i64, i64) {
        let index = |value: f64| ((value - self.origin) / self.step).round() as i64;
        (index(self.low), index(self.high))
    }

    /// Largest magnitude of an index, at least 1.
    pub fn bound(&self) -> u64 {
        let (low, high) = self.indices();
        low.unsigned_abs().max(high.unsigned_abs()).max(1)
    }

    /// Distance of the greatest from the least value.
    pub fn width(&self) -> f64 {
        self.high - self.low
    }
}

/// To the nearest whole number, halves away from zero, as `f64::round`: without a branch or a call, so that many are
/// rounded at once. For magnitudes up to 2⁵⁰; indices have at most 2³².
#[inline]
fn rounded(number: f64) -> i64 {
    // From 2⁵² on, neighbouring numbers differ by 1: adding so much rounds, halves to the even one.
    const SHIFT: f64 = 6_755_399_441_055_744.0; // 1.5 · 2⁵²
    let even = number + SHIFT - SHIFT;
    // Half a step in the direction of the number is what was rounded towards zero.
    let half = 0.5_f64.copysign(number);
    let more = if number - even == half { half + half } else { 0.0 };
    ((even + more) + SHIFT).to_bits().wrapping_sub(SHIFT.to_bits()) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rounding_is_as_the_library_rounds(whole in -(1_i64 << 50)..1 << 50, part in -1.0..1.0, shift in 0..50) {
            let half = whole as f64 / 2.0;
            let number = whole as f64 / (1_i64 << shift) as f64 + part;
            for number in [half, half.next_up(), half.next_down(), number, number.round() + 0.5] {
                prop_assert_eq!(rounded(number), number.round() as i64, "{}", number);
            }
        }
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        let numbers = [0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 0.499_999_999_999_999_94, 0.0, -0.0, 4_294_967_296.5];
        let rounded: Vec<i64> = numbers.into_iter().map(super::rounded).collect();
        assert_eq!(rounded, [1, -1, 2, -2, 3, -3, 0, 0, 0, 4_294_967_297]);
    }

    #[test]
    fn a_product_of_two_fits_where_a_sum_alone_would_not() {
        let wide = Lattice::for_product(-1e6, 1e6, 0.01);
        assert!(wide.bound() as f64 <= MAX_FACTOR && wide.bound() as f64 > MAX_FACTOR / 4.0, "{wide:?}");
        let scores = Lattice::for_product(250.0, 800.0, 1.0);
        assert_eq!((scores.step, scores.origin, scores.bound()), (1.0, 525.0, 275));
        assert_eq!(Lattice::for_product(0.0, 65_536.0, 1.0).step, 1.0);
    }

    proptest! {
        #[test]
        fn many_at_once_are_as_one_by_one(
            values in prop::collection::vec(any::<f64>(), 0..40), near in prop::collection::vec(-90.0..90.0, 0..40),
            whole in prop::collection::vec(any::<i64>(), 0..40), close in prop::collection::vec(-90..90_i64, 0..40),
            step in prop::sample::select(vec![1.0, 0.5, 2.0, 0.01, 0.3, 5.0]), low in -60.0..0.0, high in 0.0..60.0,
        ) {
            for (low, high) in [(low, high), (f64::floor(low), f64::ceil(high))] {
                for lattice in [Lattice::for_sum(low, high, step), Lattice::for_mean(low, high, step)] {
                    let one = |value: &f64| lattice.index(*value).unwrap_or(i64::MIN);
                    let values = [values.clone(), near.clone(), vec![f64::NAN, f64::INFINITY, -0.0]].concat();
                    let mut all = vec![7; values.len()];
                    lattice.index_all(&values, i64::MIN, &mut all);
                    prop_assert_eq!(&all[..], values.iter().map(one).collect::<Vec<_>>());
                    let plain = |value: &f64| ((value.clamp(low, high) - lattice.origin) / lattice.step).round() as i64;
                    prop_assert!(values.iter().filter(|value| value.is_finite()).all(|value| one(value) == plain(value)));
                    let whole = [whole.clone(), close.clone()].concat();
                    let mut all = vec![7; whole.len()];
                    lattice.index_whole(&whole, &mut all);
                    prop_assert_eq!(all, whole.iter().map(|value| one(&(*value as f64))).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn every_index_is_within_the_bound() {
        for lattice in [
            Lattice::for_sum(0.3, 9.7, 0.5),
            Lattice::for_mean(0.3, 9.8, 0.5),
            Lattice::for_product(-7.0, 123_456.7, 0.1),
        ] {
            let (low, high) = lattice.indices();
            for value in [f64::MIN, lattice.low, 0.0, 5.0, lattice.high, f64::MAX] {
                let index = lattice.index(value).unwrap_or(i64::MAX);
                assert!((low..=high).contains(&index), "{value} in {lattice:?}");
                assert!(index.unsigned_abs() <= lattice.bound());
            }
            assert_eq!(lattice.index(f64::NAN), None);
            assert_eq!(lattice.index(f64::INFINITY), None);
        }
    }
}
