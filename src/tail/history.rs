//! Which rotated files are left unread: old history that nobody asked for, and what is older than `retention`.
//!
//! Owns: that decision, and the count of what it leaves. Refuses to know: whose a file is, and how it is read.
//! Invariant: a file is left as history only when it was there before anybody asked for its log, and as expired only
//! by a time that is believed. The failure it guards against: lines that nobody has read taken for history, because
//! a clock was wrong.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::FileKey;
use super::admit::{OpenedCandidate, ScanContext};
use super::discover::Candidate;
use super::file_reader::{holds, last_line_end};
use super::fs::{FileSystem, Metadata};
use super::gzip::Trailer;
use super::identity::Position;
use super::tailer::{Done, Tailer};
use crate::clock::Clock;

/// Why bytes are passed over: their file is older than `retention`.
const EXPIRED: &str = "expired";

/// How far a file's time may be off, milliseconds: the kernel's clock is a little behind, and a clock may have
/// been set while nobody looked. To read a little that was not asked for is better than to miss a line.
const CLOCK_SLACK: i64 = 3_600_000;

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Whether a rotated file is older than anything that is kept.
    pub(super) fn is_expired(&self, candidate: &Candidate) -> bool {
        let (modified, now) = (candidate.metadata.modified, self.trusted_clock.believed());
        !candidate.live && is_over_age(modified, now, self.settings.retention)
    }

    /// Whether a file was left for its age by a clock that was ahead.
    pub(super) fn is_young_again(&self, key: FileKey, candidate: &Candidate) -> bool {
        self.streams.get(key).is_some_and(|track| track.expired) && !self.is_expired(candidate)
    }

    /// Leaves a file that is older than `retention`. What was not read of it is counted, once, and is not taken
    /// for lost, now or when the file is deleted.
    pub(super) fn pass_over(
        &mut self,
        opened: &OpenedCandidate<'_, F>,
        context: ScanContext,
    ) -> io::Result<()> {
        let OpenedCandidate {
            candidate,
            file,
            metadata,
            streams,
            ..
        } = opened;
        let Some((name, stream)) = streams.first() else {
            return Ok(());
        };
        let compressed = candidate.compression.is_some();
        let size = if compressed {
            u64::from(Trailer::of(&self.fs, &**file, metadata.size)?.size)
        } else {
            metadata.size
        };
        let mut best: Option<(u64, FileKey)> = None;
        for key in self.streams.keys_of_any(streams) {
            if self.reader_of(key).is_some() {
                // A copy, or what it is a copy of, is being read.
                return Ok(());
            }
            let Some(track) = self.streams.get(key) else {
                continue;
            };
            let position = track.read;
            let read = if track.skipped || position.offset > size {
                size
            } else if compressed || holds(&self.fs, &**file, position)? {
                position.offset
            } else {
                continue;
            };
            if best.is_none_or(|(most, _)| most < read) {
                best = Some((read, key));
            }
        }
        let (read, key) = match best {
            Some(best) => best,
            None if self.is_history(candidate, name, context) => {
                return self.leave_as_history(opened, context);
            }
            None => (
                0,
                self.streams
                    .add(name, Some((*stream, opened.beginning)), Position::start()),
            ),
        };
        if size > read {
            *self.stats.passed_over_bytes.entry(EXPIRED).or_default() += size - read;
        }
        if let Some(track) = self.streams.get_mut(key) {
            track.missing = None;
            track.finished = true;
            track.expired = true;
            self.streams.mark_changed();
        }
        self.set_done(key, metadata, context.wall);
        Ok(())
    }

    /// It counts as read up to now; what nginx still writes into it is not history. Of a compressed file nobody
    /// knows how far that is.
    pub(super) fn leave_as_history(
        &mut self,
        opened: &OpenedCandidate<'_, F>,
        context: ScanContext,
    ) -> io::Result<()> {
        let compressed = opened.candidate.compression.is_some();
        let position = if compressed {
            Position::start()
        } else {
            last_line_end(&self.fs, &*opened.file, opened.metadata.size)?
        };
        let (name, stream) = &opened.streams[0];
        let key = self
            .streams
            .add(name, Some((*stream, opened.beginning)), position);
        self.set_history(key, opened, compressed, context.wall);
        Ok(())
    }

    /// Whether a rotated file that no track knows was there before anybody asked for it.
    pub(super) fn is_history(
        &self,
        candidate: &Candidate,
        name: &Arc<str>,
        context: ScanContext,
    ) -> bool {
        // A log seen before had no other rotated files: this one came since.
        if self.looks.read_all || self.streams.knows_log(name) {
            return false;
        }
        // By which clock the file got its time nobody knows.
        if self.trusted_clock.times_set() != self.looks.times_set {
            return false;
        }
        let modified = candidate.metadata.modified;
        // A new log: what was written since the last look is no history, however it is named by now.
        let since = self.looks.last.map(|last| {
            // The last look in the time of today's clock, which may have been set back since.
            let elapsed = context.now.saturating_sub(self.looks.at).as_millis();
            let elapsed = i64::try_from(elapsed).unwrap_or(i64::MAX);
            last.min(context.wall.saturating_sub(elapsed))
                .saturating_sub(CLOCK_SLACK)
        });
        since.is_none_or(|since| modified / 1_000_000 < since)
            && is_over_age(
                modified,
                self.trusted_clock.believed(),
                Some(self.settings.history),
            )
    }

    /// A stream that counts as read as far as its file goes now, or (`skipped`) wholly.
    fn set_history(
        &mut self,
        key: FileKey,
        opened: &OpenedCandidate<'_, F>,
        skipped: bool,
        wall: i64,
    ) {
        if let Some(track) = self.streams.get_mut(key) {
            track.log = opened.candidate.log;
            track.finished = true;
            track.skipped = skipped;
            track.inode = opened.metadata.inode;
            track.path.clone_from(&opened.candidate.path);
        }
        self.streams.mark_changed();
        self.set_done(key, &opened.metadata, wall);
    }

    pub(super) fn set_done(&mut self, key: FileKey, metadata: &Metadata, wall: i64) {
        let Metadata {
            inode,
            size,
            modified,
            ..
        } = *metadata;
        self.done.insert(
            inode,
            Done {
                size,
                modified,
                key,
            },
        );
        if let Some(track) = self.streams.get_mut(key) {
            track.seen = wall;
        }
    }
}

fn is_over_age(modified: i64, wall: i64, limit: Option<Duration>) -> bool {
    let Some(limit) = limit else { return false };
    let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
    wall.saturating_sub(modified / 1_000_000) >= limit
}
