//! Which rotated files are left unread: old history that nobody asked for, and what is older than `retention`.
//!
//! Owns: that decision. Refuses to know: to which stream a file belongs, and how it is read. Invariant: a file is left as
//! history only when it was there before anybody asked for its log, and as expired only by a time that is trusted. The
//! failure it guards against: lines that were not read are taken for history, because a clock was wrong.

use std::time::Duration;

use super::FileKey;
use super::discover::Candidate;
use super::fs::FileSystem;
use super::reconcile::ScanContext;
use super::tailer::{EarlierScans, Tailer};
use super::trusted_clock::TrustedClock;
use crate::clock::Clock;

/// How far a file's time may be off, milliseconds: the kernel's clock is a little behind, and a clock may have been set
/// between two scans. To read a little that was not asked for is better than to miss a line.
const CLOCK_SLACK: i64 = 3_600_000;

/// By what a rotated file without a known stream is taken for old history. All times are milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct HistoryRule {
    /// Positions were lost: nothing is history.
    pub(super) read_all: bool,
    /// The clock was set since the last scan: by which clock a file got its time is not known.
    pub(super) clock_was_set: bool,
    /// What was written since then is no history; `None` at the first start.
    pub(super) since: Option<i64>,
    /// The trusted time.
    pub(super) now: i64,
    /// Rotated files changed this recently are read.
    pub(super) history: Duration,
}

impl HistoryRule {
    pub(super) fn new(
        earlier: &EarlierScans,
        clock: &TrustedClock,
        history: Duration,
        context: ScanContext,
    ) -> Self {
        let since = earlier.last.map(|last| {
            // The last scan in the time of the clock as it is now, which may have been set back since.
            let elapsed = context.now.saturating_sub(earlier.at).as_millis();
            let elapsed = i64::try_from(elapsed).unwrap_or(i64::MAX);
            last.min(context.wall.saturating_sub(elapsed))
                .saturating_sub(CLOCK_SLACK)
        });
        Self {
            read_all: earlier.read_all,
            clock_was_set: clock.times_set() != earlier.times_set,
            since,
            now: clock.believed(),
            history,
        }
    }

    /// Whether a rotated file that no stream knows was there before anybody asked for it. `modified`: when it was
    /// changed, nanoseconds since 1970.
    pub(super) fn is_history(&self, is_known_log: bool, modified: i64) -> bool {
        // A log that was seen before had no other rotated files: this one came since.
        if self.read_all || is_known_log || self.clock_was_set {
            return false;
        }
        // A new log: what was written since the last scan is no history, whatever its name is by now.
        let is_older = |since: i64| modified / 1_000_000 < since;
        self.since.is_none_or(is_older) && is_over_age(modified, self.now, Some(self.history))
    }
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Whether a rotated file is older than anything that is kept.
    pub(super) fn is_expired(&self, candidate: &Candidate) -> bool {
        let (modified, now) = (candidate.metadata.modified, self.trusted_clock.believed());
        !candidate.live && is_over_age(modified, now, self.settings.retention)
    }

    /// Whether a file was passed over for its age by a clock that was ahead.
    pub(super) fn is_young_again(&self, key: FileKey, candidate: &Candidate) -> bool {
        self.streams.get(key).is_some_and(|track| track.expired) && !self.is_expired(candidate)
    }
}

fn is_over_age(modified: i64, now: i64, limit: Option<Duration>) -> bool {
    let Some(limit) = limit else { return false };
    let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
    now.saturating_sub(modified / 1_000_000) >= limit
}
