//! [`Chance`]: draws that are the same on every machine. Only integers and the four operations of IEEE 754, no
//! function of the C library, no library's idea of a uniform range.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A stream of draws: one per pupil, so that pupils can be made in any order.
pub(crate) struct Chance(ChaCha12Rng);

impl Chance {
    /// Stream `stream` of `seed`.
    pub(crate) fn new(seed: u64, stream: u64) -> Chance {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Chance(rng)
    }

    /// A whole number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u32, high: u32) -> u32 {
        let width = u64::from(high - low) + 1;
        low + ((u64::from(self.0.next_u32()) * width) >> 32) as u32
    }

    /// True `of_ten_thousand` times in ten thousand.
    pub(crate) fn happens(&mut self, of_ten_thousand: u32) -> bool {
        self.between(0, 9_999) < of_ten_thousand
    }

    /// One of `choices`.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.between(0, choices.len() as u32 - 1) as usize]
    }

    /// Roughly normal, mean 0, standard deviation 1: the sum of four uniforms.
    pub(crate) fn normal(&mut self) -> f64 {
        let sum: f64 = (0..4).map(|_| f64::from(self.0.next_u32()) / 4_294_967_296.0).sum();
        (sum - 2.0) * 1.732_050_807_568_877_2
    }
}
