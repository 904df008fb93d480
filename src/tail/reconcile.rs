//! What the directories say, and what follows for the open files.
//!
//! Owns: where each open file is by now, and when it is let go. Refuses to know: how bytes are read, and which
//! stream a new file continues (`admit`). Invariant: it decides from the directories and
//! the tracks alone, so a lost event costs time and never a line. When in doubt it reads again: a line keeps
//! its id, so that is harmless.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::FileKey;
use super::admit::ScanContext;
use super::descriptor_slots::is_shortage;
use super::discover::{Candidate, FoundBy, Scan};
use super::file_reader::{FileReader, LineSource, Step, holds};
use super::fs::{FileSystem, Inode, Metadata};
use super::gzip::Trailer;
use super::stats::Problem;
use super::tailer::{Done, Tailer};
use super::track::Track;
use crate::clock::Clock;

/// nginx writes on into a renamed file until its workers have opened the new one; a file is let go only
/// when it was quiet for this long. (`ngx_reopen_files` runs in each worker's own event loop.)
const GRACE: Duration = Duration::from_secs(5);

/// A renamed file that nothing replaced yet: nginx still writes there, and to find that out by a scan would
/// be slow.
const GRACE_OF_THE_FINDABLE: Duration = Duration::from_secs(60);

/// A name that a rotation left without a file is looked for this long; then the next reconcile finds it.
const VACANCY: Duration = Duration::from_secs(60);

/// A file that nobody can find again and that nothing replaced is let go only after this.
pub(super) const GRACE_OF_THE_LAST: Duration = Duration::from_secs(3600);

/// A copy of truncated content is there before the truncation; compression may hide it for a moment.
const GRACE_FOR_A_COPY: Duration = Duration::from_secs(60);

/// Positions of content not seen for longer are forgotten, where no retention says otherwise.
const DEFAULT_MEMORY: Duration = Duration::from_secs(90 * 24 * 3600);

/// Why bytes are lost: a file is gone that ended in half a line.
const UNTERMINATED: &str = "unterminated";

/// Why bytes are lost: their file is gone.
pub(super) const DELETED: &str = "deleted";

/// A deleted file with something unread, or on its way.
struct Held {
    key: FileKey,
    modified: i64,
    size: u64,
    unread: u64,
}

/// A file at its end.
pub(super) struct Last {
    pub(super) metadata: Option<Metadata>,
    /// Bytes of an unterminated line.
    half_line: u64,
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Reads the directories afresh and follows what happened there: new, renamed, truncated, deleted files.
    /// Right even if no event ever came.
    pub fn reconcile(&mut self) {
        let now = self.clock.now();
        let wall = self.clock.unix_millis();
        self.looks.believed = Some(self.trusted_clock.look(now, wall));
        // before the scan: what gets a file from here on is noticed by the next look
        self.vacant
            .retain(|(path, until)| now < *until && self.fs.metadata(path).is_err());
        let mut scan = self.discover.scan(&self.fs, self.streams.known_logs());
        self.backlog = false;
        self.room.begin_look();
        self.refused.clear();
        self.young.clear();
        self.failed = false;
        self.of_other_logs.clear();
        self.assigned_now = false;
        self.stats.unassigned_files = 0;
        self.sure = !scan.incomplete;
        self.forget_damage();
        self.stats.problems.clone_from(&self.start_problems);
        self.stats.error_logs = 0;
        self.stats.problems.append(&mut scan.problems);
        let fs = &self.fs;
        self.doubts.retain(|doubt| fs.metadata(&doubt.path).is_ok());
        self.stats.problems.extend_from_slice(&self.doubts);
        self.live_inodes.clear();
        for live in &scan.live {
            let inodes = self
                .live_inodes
                .entry(Arc::clone(&live.names[0]))
                .or_default();
            inodes.push(live.metadata.inode);
        }
        self.place_open_files(&scan, now, wall);
        self.admit_all(&scan, now, wall);
        let context = ScanContext {
            now,
            wall,
            last_chance: true,
        };
        self.search(&scan, context);
        self.end_look(&scan);
        self.forget_copies(&scan);
        self.streams.forget_noted_beginnings();
        self.say_what_is_dated(&scan);
        self.report_unfound();
        self.remember_logs(&scan);
        if self.assigned_now && self.save_assignments().is_err() {
            // The next save tries again, and says so.
            self.streams.mark_changed();
        }
        self.directories = scan.directories;
        self.close_finished();
        self.keep_to_held_open_limit();
        self.miss_what_is_gone(now);
        self.give_up_missing(now);
        self.forget_old();
        self.looks.first = false;
        if self.looks.read_all && !scan.incomplete && self.young.is_empty() && !self.failed {
            self.looks.read_all = false;
            self.streams.mark_changed();
        }
        self.forget_matched();
        self.looks.last = Some(wall);
        self.looks.times_set = self.trusted_clock.times_set();
        self.looks.at = now;
        self.measure();
    }

    /// Names of logs, of which a rotated file is no old history. A name that only a glob gives to a file of another
    /// log is none.
    fn remember_logs(&mut self, scan: &Scan) {
        let read: HashSet<Arc<str>> = (self.streams.tracks())
            .map(|track| Arc::clone(&track.name))
            .collect();
        for candidate in scan.live.iter().chain(&scan.siblings) {
            for name in &candidate.names {
                let other = candidate.is_tentative() || self.of_other_logs.contains(name);
                if !other || self.discover.fixes(name) || read.contains(name) {
                    self.streams.add_log(name);
                }
            }
        }
    }

    /// Where are the open files by now?
    fn place_open_files(&mut self, scan: &Scan, now: Duration, wall: i64) {
        let places: HashMap<Inode, &Candidate> = scan
            .live
            .iter()
            .chain(&scan.siblings)
            .map(|candidate| (candidate.metadata.inode, candidate))
            .collect();
        let mut has_changed = false;
        for reader in &mut self.readers {
            let Some(track) = self.streams.get_mut(reader.key) else {
                continue;
            };
            reader.look_again(track, self.limits);
            match places.get(&reader.inode) {
                Some(candidate) => {
                    // By another name that a glob finds it is a rotated file all the same.
                    let named = candidate.names.contains(&track.name);
                    if !named {
                        self.of_other_logs.extend(candidate.names.iter().cloned());
                    }
                    let own = !candidate.is_tentative() || named;
                    let live = candidate.live && own;
                    if !candidate.is_of_alone(&track.name) || candidate.by == FoundBy::Declared {
                        has_changed |= track.assign();
                    }
                    if reader.live && !live {
                        self.stats.rotations.renamed += 1;
                        if scan.live.iter().all(|live| live.path != reader.path) {
                            self.vacant.push((reader.path.clone(), now + VACANCY));
                        }
                        reader.quiet_since = now;
                    }
                    reader.live = live;
                    reader.visible = true;
                    if reader.path != candidate.path {
                        // A live file keeps the path behind its link.
                        reader.path.clone_from(&candidate.path);
                        track.path.clone_from(&candidate.path);
                    }
                    track.seen = wall;
                }
                None => {
                    if reader.live {
                        self.stats.rotations.removed += 1;
                        if scan.live.iter().all(|live| live.path != reader.path) {
                            self.vacant.push((reader.path.clone(), now + VACANCY));
                        }
                        reader.quiet_since = now;
                    }
                    reader.live = false;
                    reader.visible = false;
                    track.seen = wall;
                }
            }
        }
        if has_changed {
            self.streams.mark_changed();
        }
    }

    /// Lets go of files that are read to their end and will not grow; how many.
    pub(super) fn close_finished(&mut self) -> usize {
        let now = self.clock.now();
        let before = self.readers.len();
        let mut index = 0;
        while index < self.readers.len() {
            if self.may_go(&self.readers[index], now)
                && let Some(last) = self.last_attempt(index)
                && !self.is_all_there_is(&self.readers[index], &last)
            {
                let reader = self.readers.swap_remove(index);
                self.let_go(&reader, last);
            } else {
                index += 1;
            }
        }
        self.stats.files_open = self.readers.len();
        before - self.readers.len()
    }

    /// Whether a file is at its end and nobody is expected to write to it.
    fn may_go(&self, reader: &FileReader<F>, now: Duration) -> bool {
        // One that ends early is closed by the next read, which says so, or is still being written.
        if reader.live || !reader.at_end || reader.ends_early() {
            return false;
        }
        let Some(track) = self.streams.get(reader.key) else {
            return true;
        };
        let complete = matches!(&reader.source, LineSource::Gzip(gzip) if gzip.is_complete());
        complete || now.saturating_sub(reader.quiet_since) >= self.grace(reader, &track.name)
    }

    /// Whether lines that are on their way could not be read again without this open file. Where many are open
    /// those with something unread are worth more.
    fn is_all_there_is(&self, reader: &FileReader<F>, last: &Last) -> bool {
        let named = last.metadata.is_some_and(|metadata| metadata.links > 0);
        let track = self.streams.get(reader.key);
        let unnamed = self.readers.iter().filter(|reader| !reader.live);
        !named && track.is_some_and(Track::in_flight) && unnamed.count() <= self.max_unnamed() / 2
    }

    /// The last attempt to read was perhaps long ago, and the file written to or truncated since. What the
    /// file was like before another one that found nothing; `None` when that finds something.
    pub(super) fn last_attempt(&mut self, index: usize) -> Option<Last> {
        let reader = &mut self.readers[index];
        let metadata = self.fs.metadata_of(reader.file()).ok();
        let Some(track) = self.streams.get_mut(reader.key) else {
            return Some(Last {
                metadata,
                half_line: 0,
            });
        };
        reader.start_again();
        loop {
            match reader.step(&self.fs, track, &mut self.buffer, self.limits) {
                Ok(Step::Idle) => break,
                Ok(Step::More) => {}
                Ok(Step::Lines(_) | Step::Replaced) | Err(_) => {
                    reader.start_again();
                    return None;
                }
            }
        }
        Some(Last {
            metadata,
            half_line: reader.half_line(track),
        })
    }

    /// How long a file that is not live must be quiet before it is let go.
    pub(super) fn grace(&self, reader: &FileReader<F>, name: &Arc<str>) -> Duration {
        let another = |inodes: &Vec<Inode>| inodes.iter().any(|inode| *inode != reader.inode);
        let replaced = self.live_inodes.get(name).is_some_and(another);
        if replaced || reader.visible && reader.caught_up_from_name {
            GRACE
        } else if reader.visible {
            GRACE_OF_THE_FINDABLE
        } else {
            GRACE_OF_THE_LAST
        }
    }

    fn let_go(&mut self, reader: &FileReader<F>, last: Last) {
        if let Some(track) = self.streams.get_mut(reader.key) {
            track.finished = true;
            self.streams.mark_changed();
        }
        self.remember_compressed(reader, &last);
        match last.metadata {
            Some(Metadata {
                size,
                modified,
                inode,
                links,
                ..
            }) if links > 0 => {
                self.done.insert(
                    inode,
                    Done {
                        size,
                        modified,
                        key: reader.key,
                    },
                );
            }
            // A file that came in its place may go on where it ended.
            _ if last.half_line > 0 => {
                let now = self.clock.now();
                if let Some(track) = self.streams.get_mut(reader.key) {
                    track.size = track.size.max(track.read.offset + last.half_line);
                    track.miss(UNTERMINATED, now);
                }
            }
            _ => {}
        }
    }

    /// A compressed file that was decoded to its end need not be decoded again after the next start.
    fn remember_compressed(&mut self, reader: &FileReader<F>, last: &Last) {
        if let LineSource::Gzip(gzip) = &reader.source
            && gzip.is_complete()
            && let Some(metadata) = last.metadata
            && let Ok(trailer) = Trailer::of(&self.fs, gzip.file(), metadata.size)
            && let Some(track) = self.streams.get_mut(reader.key)
        {
            track.gzip = Some(trailer);
        }
    }

    /// Deleted files are held open while something in them is unread or on its way, up to a limit: beyond it their
    /// disk space is worth more than their lines, the oldest of which go, and are counted where they are unread.
    fn keep_to_held_open_limit(&mut self) {
        // What has a name can be opened again.
        while self.readers.iter().filter(|reader| !reader.live).count() > self.max_unnamed()
            && let Some(index) = self
                .readers
                .iter()
                .rposition(|reader| !reader.live && reader.visible)
        {
            self.close_for_now(index);
        }
        let mut held: Vec<Held> = self
            .readers
            .iter()
            .filter_map(|reader| self.held(reader))
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
            self.readers.retain(|reader| reader.key != key);
            if unread == 0 {
                continue;
            }
            *self.stats.lost_bytes.entry("held_open_limit").or_default() += unread;
            if let Some(track) = self.streams.get_mut(key) {
                track.finished = true;
                self.stats.problems.push(Problem::new(
                    &track.path,
                    format!(
                        "was deleted before it was read and is let go with {unread} bytes unread, because deleted \
                         logs took more than held_open_bytes of disk space; raise it, or keep rotated logs longer"
                    ),
                ));
                self.streams.mark_changed();
            }
        }
    }

    fn held(&self, reader: &FileReader<F>) -> Option<Held> {
        let track = self.streams.get(reader.key)?;
        let file = reader.file();
        let Metadata {
            links,
            size,
            modified,
            ..
        } = self.fs.metadata_of(file).ok()?;
        let known = match reader.source {
            LineSource::Plain(_) => size,
            // How much more it holds only decoding tells.
            LineSource::Gzip(_) => track
                .size
                .max(track.read.offset + u64::from(!reader.at_end)),
        };
        let unread = known.saturating_sub(track.read.offset);
        (links == 0 && (unread > 0 || track.in_flight())).then_some(Held {
            key: reader.key,
            modified,
            size,
            unread,
        })
    }

    /// What was not open when it was deleted, unread: so many files waited that not all could be held.
    fn miss_what_is_gone(&mut self, now: Duration) {
        if !self.sure || self.backlog {
            return;
        }
        let held: HashSet<FileKey> = (self.readers.iter().map(|reader| reader.key))
            .chain(self.done.values().map(|done| done.key))
            .chain(self.room.keys())
            .collect();
        for (key, track) in self.streams.iter_mut() {
            let bytes = track.size.saturating_sub(track.read.offset);
            let known = track.finished || track.skipped || track.unfound || track.missing.is_some();
            if bytes > 0 && !known && !held.contains(&key) {
                track.miss(DELETED, now);
            }
        }
    }

    /// Bytes truncated away of which no copy turned up are lost, and said to be.
    fn give_up_missing(&mut self, now: Duration) {
        if !self.sure || self.backlog {
            // The copy may be one of those that wait.
            return;
        }
        let due = |track: &Track| {
            track
                .missing
                .is_some_and(|missing| now.saturating_sub(missing.since) >= GRACE_FOR_A_COPY)
        };
        let open: HashSet<FileKey> = self.readers.iter().map(|reader| reader.key).collect();
        let due: Vec<FileKey> = (self.streams.iter())
            .filter(|(_, track)| due(track))
            .map(|(key, _)| key)
            .collect();
        for key in due {
            let Some(read_elsewhere) = self.was_read_elsewhere(key) else {
                continue;
            };
            if let Some(track) = self.streams.get_mut(key)
                && let Some(missing) = track.missing.take()
            {
                let lost = missing.bytes() > 0 && !read_elsewhere;
                if lost {
                    *self.stats.lost_bytes.entry(missing.reason).or_default() += missing.bytes();
                }
                // What is lost is looked for still: it may have been moved out of sight.
                track.unfound |= lost && missing.reason == DELETED;
                track.finished |= !track.unfound && !open.contains(&key);
                self.streams.mark_changed();
            }
        }
    }

    /// Whether the content has a twin that was read as far: one that was open before it, or a copy that was found
    /// before its original had a first line. None when nobody can tell now for want of descriptors.
    fn was_read_elsewhere(&self, key: FileKey) -> Option<bool> {
        let Some(track) = self.streams.get(key) else {
            return Some(false);
        };
        let twins = track
            .stream
            .map(|stream| self.streams.keys_of(stream))
            .unwrap_or_default()
            .iter();
        let far = twins.filter_map(|twin| {
            let other = self.streams.get(*twin)?;
            (other.read.offset >= track.size).then_some((*twin, other))
        });
        for (twin, other) in far {
            let same = match self.reader_of(twin) {
                _ if track.read.offset == 0 => Ok(true),
                Some(FileReader {
                    source: LineSource::Plain(open),
                    ..
                }) => holds(&self.fs, &**open, track.read),
                _ => (self.fs.open(&other.path))
                    .and_then(|(file, _)| holds(&self.fs, &file, track.read)),
            };
            match same {
                Ok(true) => return Some(true),
                Err(error) if is_shortage(&error) => return None,
                _ => {}
            }
        }
        Some(false)
    }

    /// Forgets streams that were not seen for longer than anything is kept, never one that is still there.
    fn forget_old(&mut self) {
        let now = self.trusted_clock.believed();
        let memory = self.settings.retention.unwrap_or(DEFAULT_MEMORY);
        let memory = i64::try_from(memory.as_millis()).unwrap_or(i64::MAX);
        let open: HashSet<FileKey> = (self.readers.iter().map(|reader| reader.key))
            .chain(self.room.keys())
            .collect();
        self.streams
            .forget_unmatched_before(now.saturating_sub(memory));
        let forgotten = self.streams.retain(|key, track| {
            track.in_flight()
                || now.saturating_sub(track.seen) <= memory
                || open.contains(&key)
                || track.missing.is_some()
        });
        if forgotten {
            let streams = &self.streams;
            self.done.retain(|_, done| streams.get(done.key).is_some());
        }
    }

    fn measure(&mut self) {
        self.stats.files_open = self.readers.len();
        self.stats.deleted_open_bytes = self
            .readers
            .iter()
            .filter(|reader| !reader.visible)
            .filter_map(|reader| self.fs.metadata_of(reader.file()).ok())
            .filter(|metadata| metadata.links == 0)
            .map(|metadata| metadata.size)
            .sum();
    }

    pub(super) fn is_open(&self, inode: Inode) -> bool {
        self.readers.iter().any(|reader| reader.inode == inode)
    }

    pub(super) fn reader_of(&self, key: FileKey) -> Option<&FileReader<F>> {
        self.readers.iter().find(|reader| reader.key == key)
    }
}
