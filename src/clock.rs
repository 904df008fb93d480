//! The only place that asks the system what time it is.
//!
//! Everything that waits, ages or stamps takes a [`Clock`], so that tests move time instead of sleeping.
//! Invariant: no other module calls `Instant::now` or `SystemTime::now` (`clippy.toml` bans them).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of monotonic and wall-clock time.
pub trait Clock: Send + Sync {
    /// Time since an arbitrary start; never goes back.
    fn now(&self) -> Duration;

    /// Milliseconds since the Unix epoch; may jump when the host's clock is set.
    fn unix_millis(&self) -> i64;
}

/// The host's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[allow(clippy::disallowed_methods)] // this is the one place
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    #[allow(clippy::disallowed_methods)] // this is the one place
    fn unix_millis(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => {
                i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis)
            }
        }
    }
}

/// Microseconds of the host's monotonic clock, the one that systemd compares with its own.
pub(crate) fn monotonic_micros() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default() / 1000
}

/// A clock that stands still until a test moves it.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
pub(crate) struct ManualClock(std::sync::Arc<std::sync::Mutex<(Duration, i64)>>);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
impl ManualClock {
    /// A clock that shows `unix_millis` and has run for an hour.
    pub(crate) fn new(unix_millis: i64) -> Self {
        let clock = Self::default();
        *clock.0.lock().unwrap() = (Duration::from_secs(3600), unix_millis);
        clock
    }

    /// Time goes by.
    pub(crate) fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        now.0 += by;
        now.1 += i64::try_from(by.as_millis()).unwrap();
    }

    /// Somebody sets the wall clock.
    pub(crate) fn jump(&self, millis: i64) {
        self.0.lock().unwrap().1 += millis;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
impl Clock for ManualClock {
    fn now(&self) -> Duration {
        self.0.lock().unwrap().0
    }

    fn unix_millis(&self) -> i64 {
        self.0.lock().unwrap().1
    }
}
