//! The one module that names the `backoff` crate, so that replacing it touches nothing else.

use std::time::Duration;

use ::backoff::backoff::Backoff;
use ::backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

/// The pauses between tries: 100 ms × 2^n, each spread by up to half of itself to either side.
pub(crate) struct Delays<R = fn() -> f64> {
    exponential: ExponentialBackoff,
    random: R,
}

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);

impl Delays {
    pub(crate) fn new() -> Self {
        Self::with_random(fastrand::f64)
    }
}

impl<R: FnMut() -> f64> Delays<R> {
    /// With a source of numbers from 0 to 1 in place of the thread's own.
    pub(crate) fn with_random(random: R) -> Self {
        let exponential = ExponentialBackoffBuilder::new()
            .with_initial_interval(FIRST)
            .with_multiplier(2.0)
            .with_randomization_factor(0.0)
            .with_max_interval(LONGEST)
            .with_max_elapsed_time(None)
            .build();
        Self { exponential, random }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let base = self.exponential.next_backoff().unwrap_or(LONGEST);
        base.mul_f64(0.5 + (self.random)().clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_jitter_the_delays_double() {
        let mut delays = Delays::with_random(|| 0.5);
        let got: Vec<u128> = (0..12).map(|_| delays.next().as_millis()).collect();
        assert_eq!(got, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
    }

    proptest! {
        #[test]
        fn each_delay_is_within_half_of_its_base(randoms in prop::collection::vec(0.0..=1.0f64, 1..40)) {
            let mut source = randoms.iter();
            let mut delays = Delays::with_random(|| *source.next().expect("one for each delay"));
            for n in 0..randoms.len() {
                let base = (0.1 * 2f64.powi(n as i32)).min(60.0);
                let got = delays.next().as_secs_f64();
                prop_assert!(got >= 0.5 * base - 1e-6 && got <= 1.5 * base + 1e-6, "{n}: {got}");
            }
        }

        #[test]
        fn the_extremes_of_two_neighbours_grow(n in 0usize..8) {
            let nth = |random: f64| {
                let mut delays = Delays::with_random(move || random);
                (0..=n + 1).map(|_| delays.next()).collect::<Vec<_>>()
            };
            let (least, most) = (nth(0.0), nth(1.0));
            prop_assert_eq!(least[n] * 2, least[n + 1]);
            prop_assert_eq!(most[n], least[n] * 3);
        }
    }
}
