//! Decides when files are closed, and when unread bytes count as lost.
//!
//! Owns: how long a file that is not live must be idle, how much disk space deleted files may take, and when the search
//! for missing bytes ends. Refuses to know: how files are found, and which stream a file continues. Invariant: bytes
//! count as lost only after every file was examined, and each byte once. The failure it guards against: a file is
//! closed while nginx still writes to it, and its last lines are never read.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::FileKey;
use super::descriptor_slots::is_shortage;
use super::file_reader::{FileReader, LineSource, holds};
use super::fs::{FileSystem, Inode, Metadata};
use super::gzip::Trailer;
use super::open_files::FileEnd;
use super::stats::Problem;
use super::tailer::Tailer;
use super::track::Track;
use crate::clock::Clock;
use crate::framing::Pod;

/// nginx continues to write into a renamed file until its workers have opened the new one, so a file is closed only
/// after it was idle for this long. (`ngx_reopen_files` runs in each worker's own event loop.)
const GRACE: Duration = Duration::from_secs(5);

/// A renamed file that no new file has replaced yet: nginx still writes there, and a scan would notice it only slowly.
const GRACE_OF_THE_FINDABLE: Duration = Duration::from_secs(60);

/// A file that cannot be found again and that no new file has replaced is closed only after this time.
pub(super) const GRACE_OF_THE_LAST: Duration = Duration::from_secs(3600);

/// A copy of truncated content exists before the truncation; compression may hide it for a moment.
const GRACE_FOR_A_COPY: Duration = Duration::from_secs(60);

/// Positions of content that was not seen for longer than this are forgotten, if no retention is set.
const DEFAULT_MEMORY: Duration = Duration::from_secs(90 * 24 * 3600);

/// The same for files of pods, milliseconds: kubelet deletes a pod's files for good. A file that is read again after it
/// was forgotten only makes the same documents.
const MEMORY_OF_PODS: i64 = 24 * 3600 * 1000;

/// The reason for lost bytes: their file was deleted, and ended with an incomplete line.
const UNTERMINATED: &str = "unterminated";

/// The reason for lost bytes: their file was deleted.
pub(super) const DELETED: &str = "deleted";

/// A deleted file with bytes that are unread, or whose lines are in delivery.
struct Held {
    key: FileKey,
    modified: i64,
    size: u64,
    unread: u64,
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Closes the files that are read to their end and will not grow; returns how many.
    pub(super) fn close_finished(&mut self) -> usize {
        let now = self.clock.now();
        let before = self.open.len();
        let mut index = 0;
        while index < self.open.len() {
            if self.may_close(&self.open.files[index], now)
                && let Some(end) = self.open.last_attempt(index, &mut self.streams)
                && !end.open_record
                && !self.is_only_source(&self.open.files[index], &end)
            {
                let file = self.open.remove(index);
                self.finish(&file, &end);
            } else {
                index += 1;
            }
        }
        self.stats.files_open = self.open.len();
        before - self.open.len()
    }

    /// Whether a file is at its end and no writer is expected.
    fn may_close(&self, file: &FileReader<F>, now: Duration) -> bool {
        // A file that ends early is still being written, or the next read closes it with a message.
        if file.live || !file.at_end || file.ends_early() {
            return false;
        }
        let Some(track) = self.streams.get(file.key) else {
            return true;
        };
        let is_complete = matches!(&file.source, LineSource::Gzip(gzip) if gzip.is_complete());
        is_complete || now.saturating_sub(file.quiet_since) >= self.grace(file, &track.name)
    }

    /// Whether lines in delivery could not be read again without this open file. If many files are open, those with
    /// unread bytes are more important.
    fn is_only_source(&self, file: &FileReader<F>, end: &FileEnd) -> bool {
        let is_named = end.metadata.is_some_and(|metadata| metadata.links > 0);
        let track = self.streams.get(file.key);
        !is_named
            && track.is_some_and(Track::in_flight)
            && self.open.rotated() <= self.open.max_rotated() / 2
    }

    /// How long a file that is not live must be idle before it is closed.
    pub(super) fn grace(&self, file: &FileReader<F>, name: &Arc<str>) -> Duration {
        let is_another = |inodes: &Vec<Inode>| inodes.iter().any(|inode| *inode != file.inode);
        let is_replaced = self.scan.live_inodes.get(name).is_some_and(is_another);
        if is_replaced || file.visible && file.opened_as_rotated {
            GRACE
        } else if file.visible {
            GRACE_OF_THE_FINDABLE
        } else {
            GRACE_OF_THE_LAST
        }
    }

    /// Records that a file was read to its end and closed.
    fn finish(&mut self, file: &FileReader<F>, end: &FileEnd) {
        if let Some(track) = self.streams.get_mut(file.key) {
            track.finished = true;
            self.streams.mark_changed();
        }
        self.remember_compressed(file, end);
        match &end.metadata {
            Some(metadata) if metadata.links > 0 => self.seen.finish(metadata, file.key),
            // A file that replaced it may continue where it ended.
            _ if end.half_line > 0 => {
                let now = self.clock.now();
                if let Some(track) = self.streams.get_mut(file.key) {
                    track.size = track.size.max(track.read.offset + end.half_line);
                    track.miss(UNTERMINATED, now);
                }
            }
            _ => {}
        }
    }

    /// A compressed file that was decoded to its end need not be decoded again after the next start.
    fn remember_compressed(&mut self, file: &FileReader<F>, end: &FileEnd) {
        if let LineSource::Gzip(gzip) = &file.source
            && gzip.is_complete()
            && let Some(metadata) = end.metadata
            && let Ok(trailer) = Trailer::of(&self.fs, gzip.file(), metadata.size)
            && let Some(track) = self.streams.get_mut(file.key)
        {
            track.gzip = Some(trailer);
        }
    }

    /// Holds deleted files open while bytes in them are unread or their lines are in delivery, up to a limit of disk
    /// space. Beyond it the oldest files are closed, and their unread bytes are counted.
    pub(super) fn keep_to_held_open_limit(&mut self) {
        // A file with a name can be opened again.
        while self.open.rotated() > self.open.max_rotated()
            && let Some(index) =
                (self.open.files.iter()).rposition(|file| !file.live && file.visible)
        {
            self.open.close_for_now(index, &mut self.streams);
        }
        let mut held: Vec<Held> = (self.open.iter())
            .filter_map(|file| self.held(file))
            .collect();
        held.sort_by_key(|held| (held.modified, held.key));
        let mut bytes: u64 = held.iter().map(|held| held.size).sum();
        for Held {
            key, size, unread, ..
        } in held
        {
            if bytes <= self.settings.held_open_bytes {
                break;
            }
            bytes = bytes.saturating_sub(size);
            self.open.files.retain(|file| file.key != key);
            if unread == 0 {
                continue;
            }
            *self.stats.lost_bytes.entry("held_open_limit").or_default() += unread;
            if let Some(track) = self.streams.get_mut(key) {
                track.finished = true;
                self.stats.problems.push(Problem::new(
                    &track.path,
                    format!(
                        "was deleted before it was read and is closed with {unread} bytes unread, because deleted \
                         logs took more than held_open_bytes of disk space; raise it, or keep rotated logs longer"
                    ),
                ));
                self.streams.mark_changed();
            }
        }
    }

    fn held(&self, file: &FileReader<F>) -> Option<Held> {
        let track = self.streams.get(file.key)?;
        let Metadata {
            links,
            size,
            modified,
            ..
        } = self.fs.metadata_of(file.file()).ok()?;
        let known = match file.source {
            LineSource::Plain(_) => size,
            // The size of the rest is known only after decoding.
            LineSource::Gzip(_) => {
                let more = u64::from(!file.at_end);
                track.size.max(track.read.offset + more)
            }
        };
        let unread = known.saturating_sub(track.read.offset);
        (links == 0 && (unread > 0 || track.in_flight())).then_some(Held {
            key: file.key,
            modified,
            size,
            unread,
        })
    }

    /// Records the unread bytes of files that were deleted while they were not open, because too many files waited.
    pub(super) fn miss_deleted(&mut self, now: Duration) {
        if !self.scan.is_complete || self.open.slots.backlog {
            return;
        }
        let held: HashSet<FileKey> = self.open.keys().chain(self.seen.finished_keys()).collect();
        for (key, track) in self.streams.iter_mut() {
            let bytes = track.size.saturating_sub(track.read.offset);
            let is_known =
                track.finished || track.skipped || track.unfound || track.missing.is_some();
            if bytes > 0 && !is_known && !held.contains(&key) {
                track.miss(DELETED, now);
            }
        }
    }

    /// Counts missing bytes as lost if no copy of them was found.
    pub(super) fn give_up_missing(&mut self, now: Duration) {
        if !self.scan.is_complete || self.open.slots.backlog {
            // The copy may be one of the files that wait.
            return;
        }
        let is_due = |track: &Track| {
            track
                .missing
                .is_some_and(|missing| now.saturating_sub(missing.since) >= GRACE_FOR_A_COPY)
        };
        let open: HashSet<FileKey> = self.open.iter().map(|file| file.key).collect();
        let due: Vec<FileKey> = (self.streams.iter())
            .filter(|(_, track)| is_due(track))
            .map(|(key, _)| key)
            .collect();
        for key in due {
            let Some(is_read_elsewhere) = self.was_read_elsewhere(key) else {
                continue;
            };
            if let Some(track) = self.streams.get_mut(key)
                && let Some(missing) = track.missing.take()
            {
                let is_lost = missing.bytes() > 0 && !is_read_elsewhere;
                if is_lost {
                    *self.stats.lost_bytes.entry(missing.reason).or_default() += missing.bytes();
                }
                // A deleted file is still searched for: it may have been moved to another directory.
                track.unfound |= is_lost && missing.reason == DELETED;
                track.finished |= !track.unfound && !open.contains(&key);
                self.streams.mark_changed();
            }
        }
    }

    /// Whether another stream with the same content was read as far: one that was open before it, or a copy that was
    /// found before its original had a first line. `None` if a shortage of descriptors prevents the answer.
    fn was_read_elsewhere(&self, key: FileKey) -> Option<bool> {
        let Some(track) = self.streams.get(key) else {
            return Some(false);
        };
        let twins = track.stream.map(|stream| self.streams.keys_of(stream));
        for twin in twins.unwrap_or_default() {
            let Some(other) = self.streams.get(*twin) else {
                continue;
            };
            if other.read.offset < track.size {
                continue;
            }
            let is_same = match self.open.plain_of(*twin) {
                _ if track.read.offset == 0 => Ok(true),
                Some(open) => holds(&self.fs, open, track.read),
                None => (self.fs.open(&other.path))
                    .and_then(|(file, _)| holds(&self.fs, &file, track.read)),
            };
            match is_same {
                Ok(true) => return Some(true),
                Err(error) if is_shortage(&error) => return None,
                _ => {}
            }
        }
        Some(false)
    }

    /// Forgets streams that were not seen for longer than the retention, but never one whose file still exists.
    pub(super) fn forget_old(&mut self) {
        let now = self.trusted_clock.believed();
        let memory = self.settings.retention.unwrap_or(DEFAULT_MEMORY);
        let memory = i64::try_from(memory.as_millis()).unwrap_or(i64::MAX);
        let oldest = now.saturating_sub(memory);
        let open: HashSet<FileKey> = self.open.keys().collect();
        self.streams.forget_unmatched_before(oldest);
        // A node has new pods every day, and none of them returns.
        let of_pods = match self.scan.is_complete {
            true => oldest.max(now.saturating_sub(MEMORY_OF_PODS)),
            // A directory that could not be read may still hold them.
            false => oldest,
        };
        let is_of_pod = |track: &Track| Pod::of(Path::new(&*track.name)).is_some();
        let has_forgotten = self.streams.retain(|key, track| {
            track.in_flight()
                || track.seen >= of_pods
                || track.seen >= oldest && !is_of_pod(track)
                || open.contains(&key)
                || track.missing.is_some()
        });
        if has_forgotten {
            self.streams
                .forget_logs(|name| Pod::of(Path::new(name)).is_some());
            let streams = &self.streams;
            self.seen.retain_finished(|key| streams.get(key).is_some());
        }
    }
}
