//! How long to wait before a retry: exponential backoff with full jitter, and a server's `Retry-After` within limits.
//!
//! Owns the calculation; refuses to know what is retried. Invariant: every wait is at most [`Backoff::max`]. It guards
//! against many agents that retry at the same instant, and against a server (or a proxy) that asks for a wait of a day.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bound of the first wait.
const DEFAULT_MIN: Duration = Duration::from_millis(500);
/// Upper bound of every wait.
const DEFAULT_MAX: Duration = Duration::from_secs(30);

/// Bounds of the waits, checked when made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
}

/// Why a [`Backoff`] was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidBackoff(&'static str);

impl Backoff {
    /// Waits that grow from `min` to `max`.
    pub fn try_new(min: Duration, max: Duration) -> Result<Self, InvalidBackoff> {
        if min.is_zero() {
            return Err(InvalidBackoff("the shortest wait must be more than zero"));
        }
        if min > max {
            return Err(InvalidBackoff(
                "the shortest wait must not exceed the longest",
            ));
        }
        if max > Duration::from_secs(3600) {
            return Err(InvalidBackoff("the longest wait must not exceed an hour"));
        }
        Ok(Self { min, max })
    }

    /// Upper bound of the first wait.
    pub(crate) fn min(&self) -> Duration {
        self.min
    }

    /// Upper bound of every wait.
    pub(crate) fn max(&self) -> Duration {
        self.max
    }

    /// The wait before retry number `attempt` (0 is the first). Full jitter: any time between zero and the exponential
    /// bound (AWS Architecture Blog, "Exponential Backoff And Jitter"), but at least what the server asked for, which is
    /// itself limited to between `min` and `max`.
    pub(crate) fn wait(
        &self,
        attempt: u32,
        retry_after: Option<Duration>,
        jitter: &Jitter,
    ) -> Duration {
        let factor = 2u32.checked_pow(attempt).unwrap_or(u32::MAX);
        let bound = self.min.saturating_mul(factor).min(self.max);
        let wait = bound.mul_f64(jitter.unit());
        match retry_after {
            Some(asked) => wait.max(asked.clamp(self.min, self.max)),
            None => wait,
        }
    }

    /// The wait while an operator must act: long from the start, with jitter.
    pub(crate) fn slow(&self, jitter: &Jitter) -> Duration {
        self.max.mul_f64(0.5 + jitter.unit() / 2.0)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            min: DEFAULT_MIN,
            max: DEFAULT_MAX,
        }
    }
}

/// A small source of randomness for jitter (SplitMix64); not for secrets.
#[derive(Debug)]
pub(crate) struct Jitter(AtomicU64);

impl Jitter {
    /// Seeded with the hash keys of the process, so that two agents differ.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(RandomState::new().build_hasher().finish()))
    }

    /// A number in `0.0..1.0`.
    fn unit(&self) -> f64 {
        let mut z = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        f64::from(u32::try_from(z >> 32).unwrap_or(u32::MAX)) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn invalid_bounds_are_refused() {
        let ms = Duration::from_millis;
        assert!(Backoff::try_new(ms(0), ms(1)).is_err());
        assert!(Backoff::try_new(ms(2), ms(1)).is_err());
        assert!(Backoff::try_new(ms(2), ms(4_000_000)).is_err());
        assert!(Backoff::try_new(ms(2), ms(2)).is_ok());
    }

    #[test]
    fn jitter_fills_its_range() {
        let jitter = Jitter::new();
        let drawn: Vec<f64> = (0..1000).map(|_| jitter.unit()).collect();
        assert!(drawn.iter().all(|unit| (0.0..1.0).contains(unit)));
        assert!(drawn.iter().any(|unit| *unit < 0.1) && drawn.iter().any(|unit| *unit > 0.9));
    }

    proptest! {
        #[test]
        fn a_wait_keeps_its_bounds(
            min in 1u64..5_000,
            more in 0u64..100_000,
            attempt in 0u32..100,
            asked in proptest::option::of(0u64..10_000_000),
        ) {
            let backoff =
                Backoff::try_new(Duration::from_millis(min), Duration::from_millis(min + more)).unwrap();
            let jitter = Jitter::new();
            let asked = asked.map(Duration::from_millis);
            let wait = backoff.wait(attempt, asked, &jitter);
            prop_assert!(wait <= backoff.max());
            if attempt == 0 && asked.is_none() {
                prop_assert!(wait <= backoff.min());
            }
            if let Some(asked) = asked {
                prop_assert!(wait >= asked.clamp(backoff.min(), backoff.max()));
            }
            let slow = backoff.slow(&jitter);
            prop_assert!(slow <= backoff.max() && slow >= backoff.max() / 2);
        }
    }
}
