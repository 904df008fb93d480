//! Decides which rotated files are left unread: old history that was not requested, and files older than `retention`.
//!
//! Owns: that decision. Refuses to know: to which stream a file belongs, and how it is read. Invariant: a file is left
//! as history only if it existed before its log was configured, and as expired only by the trusted time. The failure it
//! guards against: unread lines are taken for history because a clock was wrong.

use std::time::Duration;

use super::FileKey;
use super::discover::Candidate;
use super::fs::FileSystem;
use super::reconcile::ScanContext;
use super::tailer::{EarlierScans, Tailer};
use super::trusted_clock::TrustedClock;
use crate::clock::Clock;

/// The tolerance for a file's time, milliseconds: the kernel's clock is a little behind, and a clock may have been set
/// between two scans. Reading some unrequested lines is better than missing a line.
const CLOCK_SLACK: i64 = 3_600_000;

/// The data that decide whether a rotated file without a known stream is old history. All times are milliseconds since
/// 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct HistoryRule {
    /// Positions were lost: nothing is history.
    pub(super) read_all: bool,
    /// The clock was set since the last scan, so it is not known by which clock a file got its time.
    pub(super) clock_was_set: bool,
    /// Files written since this time are not history; `None` at the first start.
    pub(super) since: Option<i64>,
    /// The trusted time.
    pub(super) now: i64,
    /// Rotated files that changed this recently are read.
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
            // The last scan in the time of the present clock, which may have been set back since.
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

    /// Whether a rotated file without a known stream existed before its log was configured. `modified`: when it was
    /// changed, nanoseconds since 1970.
    pub(super) fn is_history(&self, is_known_log: bool, modified: i64) -> bool {
        // A log that was seen before had no other rotated files: this one is newer.
        if self.read_all || is_known_log || self.clock_was_set {
            return false;
        }
        // A new log: files written since the last scan are not history, whatever their present names are.
        let is_older = |since: i64| modified / 1_000_000 < since;
        self.since.is_none_or(is_older) && is_over_age(modified, self.now, Some(self.history))
    }
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Whether a rotated file is older than the retention.
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
