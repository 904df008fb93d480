//! A clock that can be trusted for irreversible decisions.
//!
//! Owns: the trusted time. Refuses to know: what is decided by it. A line that is older than the retention is passed
//! over for good, so a clock that is set years ahead, or a time server that is wrong for some hours, would pass over
//! everything that waits to be read. Therefore this time advances only by time that certainly passed. Invariant: it is
//! never later than the clock. It advances faster than measured time only if the clock has run evenly for [`PROOF`], or
//! by at most [`PROOF`] for the time between two runs. The failure it guards against: lines lost to a wrong clock. It
//! errs on one side only: it may index a line too many, never one too few.

use std::time::Duration;

/// A clock that was set ahead is trusted after it has run evenly for this long; and this much of the time between two
/// runs is trusted without proof, because one run per day is a common way to use the agent.
const PROOF: Duration = Duration::from_secs(24 * 3600);

/// Between two looks the two clocks differ by less than this, milliseconds, unless one was set.
const EVEN: i64 = 1_000;

/// The trusted wall time, milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrustedClock {
    /// Monotonic time of the last look, and the time since when both clocks have run evenly.
    now: Duration,
    even_since: Duration,
    /// Wall time of the last look, milliseconds.
    wall: i64,
    believed: i64,
    times_set: u64,
}

impl TrustedClock {
    /// `before`: the trusted time of an earlier run, and the time of its clock then.
    pub(super) fn new(now: Duration, wall: i64, before: Option<(i64, i64)>) -> Self {
        let believed = before.map_or(wall, |(believed, clock)| {
            let away = wall.saturating_sub(clock).clamp(0, millis(PROOF));
            believed.saturating_add(away).min(wall)
        });
        Self {
            now,
            even_since: now,
            wall,
            believed,
            times_set: 0,
        }
    }

    /// Reads both clocks; returns the trusted time from now on.
    pub(super) fn look(&mut self, now: Duration, wall: i64) -> i64 {
        let passed = millis(now.saturating_sub(self.now));
        let stepped = wall.saturating_sub(self.wall);
        if stepped.saturating_sub(passed).saturating_abs() >= EVEN {
            self.even_since = now;
            self.times_set += 1;
        }
        let proved = now.saturating_sub(self.even_since) >= PROOF;
        self.believed = if proved {
            wall
        } else {
            self.believed.saturating_add(passed).min(wall)
        };
        (self.now, self.wall) = (now, wall);
        self.believed
    }

    /// The number of looks that found that a clock was set.
    pub(super) fn times_set(&self) -> u64 {
        self.times_set
    }

    /// The trusted time at the last look.
    pub(super) fn believed(&self) -> i64 {
        self.believed
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_795_406_400_000;
    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;

    /// Both clocks, and the trusted time.
    struct Clocks {
        now: Duration,
        wall: i64,
        clock: TrustedClock,
    }

    impl Clocks {
        fn new() -> Self {
            let now = Duration::from_secs(7);
            Self {
                now,
                wall: NOW,
                clock: TrustedClock::new(now, NOW, None),
            }
        }

        /// Lets time pass, with occasional looks.
        fn pass(&mut self, time: i64) -> i64 {
            let mut left = time;
            while left > 0 {
                let step = left.min(10 * 60_000);
                self.now += Duration::from_millis(step.unsigned_abs());
                self.wall += step;
                left -= step;
                self.clock.look(self.now, self.wall);
            }
            self.clock.believed()
        }

        fn set(&mut self, by: i64) -> i64 {
            self.wall += by;
            self.clock.look(self.now, self.wall)
        }

        fn restart(&mut self, away: i64) {
            let before = (self.clock.believed(), self.wall);
            self.wall += away;
            self.now = Duration::from_secs(3);
            self.clock = TrustedClock::new(self.now, self.wall, Some(before));
        }
    }

    #[test]
    fn a_clock_that_runs_evenly_is_trusted_to_the_millisecond() {
        let mut clocks = Clocks::new();
        assert_eq!(clocks.pass(40 * DAY), NOW + 40 * DAY);
    }

    #[test]
    fn a_clock_that_is_ahead_for_some_time_is_not_trusted() {
        let mut clocks = Clocks::new();
        assert_eq!(clocks.set(4_000 * DAY), NOW);
        assert_eq!(clocks.pass(23 * HOUR), NOW + 23 * HOUR);
        // The clock is right again, and needs no proof.
        assert_eq!(clocks.set(-4_000 * DAY), NOW + 23 * HOUR);
        assert_eq!(clocks.pass(HOUR), NOW + DAY);
    }

    #[test]
    fn a_clock_that_stays_ahead_is_trusted_after_a_day() {
        let mut clocks = Clocks::new();
        clocks.set(40 * DAY);
        assert!(clocks.pass(DAY - HOUR) < NOW + DAY);
        assert_eq!(clocks.pass(HOUR), NOW + 41 * DAY);
    }

    #[test]
    fn each_jump_restarts_the_proof() {
        let mut clocks = Clocks::new();
        for _ in 0..10 {
            clocks.set(40 * DAY);
            clocks.pass(23 * HOUR);
        }
        assert_eq!(clocks.clock.believed(), NOW + 230 * HOUR);
    }

    #[test]
    fn a_clock_set_back_is_trusted_at_once() {
        let mut clocks = Clocks::new();
        assert_eq!(clocks.set(-40 * DAY), NOW - 40 * DAY);
        // It is trusted forward again only with proof.
        assert_eq!(clocks.set(40 * DAY), NOW - 40 * DAY);
        assert_eq!(clocks.pass(DAY), NOW + DAY);
    }

    #[test]
    fn a_restart_does_not_prove_a_jump() {
        let mut clocks = Clocks::new();
        clocks.set(4_000 * DAY);
        for _ in 0..20 {
            clocks.restart(0);
            clocks.pass(HOUR);
        }
        assert_eq!(clocks.clock.believed(), NOW + 20 * HOUR);
    }

    #[test]
    fn one_run_per_day_keeps_the_clock_current() {
        let mut clocks = Clocks::new();
        for _ in 0..100 {
            clocks.restart(DAY - 60_000);
            clocks.pass(60_000);
        }
        assert_eq!(clocks.clock.believed(), NOW + 100 * DAY);
    }

    #[test]
    fn one_day_of_a_long_absence_is_trusted_until_the_rest_is_proved() {
        let mut clocks = Clocks::new();
        clocks.restart(40 * DAY);
        assert_eq!(clocks.clock.believed(), NOW + DAY);
        assert_eq!(clocks.pass(DAY), NOW + 41 * DAY);
    }

    proptest! {
        /// The trusted time never advances more than time passed, whatever the clock does for less than a day.
        #[test]
        fn the_trusted_time_advances_no_faster_than_time_passes(
            jumps in prop::collection::vec((-5_000 * DAY..5_000 * DAY, 0..2 * HOUR), 1..12),
        ) {
            let mut clocks = Clocks::new();
            let mut passed = 0;
            for (jump, time) in jumps {
                clocks.set(jump);
                clocks.pass(time);
                passed += time;
                prop_assert!(clocks.clock.believed() <= NOW + passed);
                prop_assert!(clocks.clock.believed() <= clocks.wall);
            }
        }
    }
}
