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
    pub fn index(&self, value: f64) -> Option<i64> {
        if !value.is_finite() {
            return None;
        }
        Some(((value.clamp(self.low, self.high) - self.origin) / self.step).round() as i64)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_of_two_fits_where_a_sum_alone_would_not() {
        let wide = Lattice::for_product(-1e6, 1e6, 0.01);
        assert!(wide.bound() as f64 <= MAX_FACTOR && wide.bound() as f64 > MAX_FACTOR / 4.0, "{wide:?}");
        let scores = Lattice::for_product(250.0, 800.0, 1.0);
        assert_eq!((scores.step, scores.origin, scores.bound()), (1.0, 525.0, 275));
        assert_eq!(Lattice::for_product(0.0, 65_536.0, 1.0).step, 1.0);
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
