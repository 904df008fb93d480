//! Updates streams and files after a read.
//!
//! Owns: the identity of a stream whose first line is read now, the new generation of a truncated file, and the closing
//! of a file that cannot be read. Refuses to know: how bytes are read, and the content of directories. Invariant: the
//! identity of lines comes from the bytes that are handed out, whatever an earlier look at the file found. The failure
//! it guards against: a file that was truncated and written again is read under the identity of its old content.

use std::io;
use std::sync::Arc;

use super::FileKey;
use super::damage::is_damage;
use super::file_reader::FoundLines;
use super::fs::FileSystem;
use super::identity::Position;
use super::open_files::Event;
use super::stats::Problem;
use super::tailer::{TRUNCATED, Tailer};
use super::track::Track;
use crate::clock::Clock;

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// The next lines in the buffer, with their stream and the offset of the first one.
    pub(super) fn next_lines(&mut self) -> Option<(FileKey, FoundLines, u64)> {
        let mut idle = 0;
        loop {
            let event =
                self.open
                    .next_event(&mut self.streams, &mut idle, &self.clock, self.save_fails);
            match event {
                Some(Event::Lines { index, found }) => {
                    if self.turns_out_foreign(index, &found) {
                        idle = 0;
                    } else if self.may_be_a_copy(index, &found) {
                        self.reconcile();
                        idle = 0;
                    } else {
                        self.identify_by_lines(index, &found);
                        if self.is_identity_saved(index) {
                            return Some(self.hand_on(index, found));
                        }
                        // Saving uses the buffer, so the lines are read again.
                        idle = 0;
                    }
                }
                Some(Event::Replaced { index }) => {
                    self.start_new_generation(index);
                    // The copy, if there is one, exists by now; soon it may be compressed.
                    self.reconcile();
                    idle = 0;
                }
                Some(Event::Failed { index, error }) => {
                    if self.close_failed(index, &error) {
                        idle = 0;
                    }
                }
                // Everything is read, and some files wait until others are closed.
                None if self.open.slots.backlog && self.close_finished() > 0 => {
                    self.reconcile();
                    idle = 0;
                }
                None => return None,
            }
        }
    }

    /// Closes a file that cannot be read but is still at its name, which repairs a stale handle: the next reconcile
    /// opens it again, and its track is kept. A file without a name is kept, because it could not be opened again. True
    /// if it was closed.
    fn close_failed(&mut self, index: usize, error: &io::Error) -> bool {
        let file = &self.open.files[index];
        let path = file.path.clone();
        let damaged = file.is_compressed() && is_damage(error);
        let found = self.fs.metadata(&path).ok();
        let found = found.filter(|metadata| metadata.inode == file.inode);
        if damaged {
            self.note_damage(&path, error);
        } else {
            let problem = Problem::io(&self.fs, &path, error);
            if !self.stats.problems.contains(&problem) {
                self.stats.problems.push(problem);
            }
        }
        if found.is_none() && !damaged {
            return false;
        }
        let file = self.open.remove(index);
        self.stats.files_open = self.open.len();
        if let Some(metadata) = found
            && damaged
        {
            self.seen.finish(&metadata, file.key);
        }
        true
    }

    /// Counts lines as read; returns the offset at which they begin.
    fn hand_on(&mut self, index: usize, found: FoundLines) -> (FileKey, FoundLines, u64) {
        let file = &mut self.open.files[index];
        let key = file.key;
        file.at_end = false;
        file.quiet_since = self.clock.now();
        let Some(track) = self.streams.get_mut(key) else {
            return (key, found, 0);
        };
        let offset = track.read.offset;
        track.finished = false;
        track.hand_on(found.end);
        track.framing.hand_on(found.end.offset, found.has_record);
        self.stats.bytes_read += found.end.offset - offset;
        // The length of a framed line is known only without its head.
        let is_long = found.cut && !track.framing.get().is_cri();
        self.stats.long_lines += u64::from(is_long);
        (key, found, offset)
    }

    /// Gives a stream the identity of its first line if that line is among those that were found.
    fn identify_by_lines(&mut self, index: usize, found: &FoundLines) {
        let key = self.open.files[index].key;
        let Some(track) = self.streams.get(key) else {
            return;
        };
        if track.read.offset > 0 {
            return;
        }
        let line = self.open.first_line(found);
        let (stream, beginning) = self.streams.identity(&track.name, line);
        if track.stream != Some(stream) {
            self.part_with_unread(key);
            self.streams.identify(key, stream, Some(beginning));
        }
    }

    /// Whether the identity of a stream was saved before. If not, it is saved now, for as many streams as possible, and
    /// the lines that were found must be read again. A failure is counted and reported by the next regular save.
    fn is_identity_saved(&mut self, index: usize) -> bool {
        if (self.streams).has_saved_identity(self.open.files[index].key) {
            return true;
        }
        self.open.read_again(index, &self.streams);
        self.save().unwrap_or_default();
        false
    }

    /// The file was truncated and written again before any of it was read. A copy may contain its old content, which
    /// becomes a stream without a file.
    fn part_with_unread(&mut self, key: FileKey) {
        let Some(track) = self.streams.get(key) else {
            return;
        };
        let (Some(stream), Some(beginning)) = (track.stream, track.beginning) else {
            return;
        };
        let (name, path) = (Arc::clone(&track.name), track.path.clone());
        let (log, seen) = (track.log, track.seen);
        self.stats.truncations += 1;
        // A copy of the old content is not a copy of the new one.
        self.seen.forget_stream(key);
        let now = self.clock.now();
        let old = self
            .streams
            .add(&name, Some((stream, beginning)), Position::start());
        if let Some(old) = self.streams.get_mut(old) {
            (old.path, old.log, old.seen) = (path, log, seen);
            old.miss(TRUNCATED, now);
        }
    }

    /// The open file has new content. The old content becomes a stream without a file, which a copy may continue; the
    /// new content is read from its beginning.
    fn start_new_generation(&mut self, index: usize) {
        self.stats.truncations += 1;
        let now = self.clock.now();
        let file = &mut self.open.files[index];
        let old = file.key;
        let Some(track) = self.streams.get_mut(old) else {
            return;
        };
        track.miss(TRUNCATED, now);
        let (name, log) = (Arc::clone(&track.name), track.log);
        if track.stream.is_none() {
            // It had no complete line.
            self.streams.remove(old);
        }
        let key = self.streams.add(&name, None, Position::start());
        if let Some(track) = self.streams.get_mut(key) {
            track.log = log;
            track.path.clone_from(&file.path);
            track.inode = file.inode;
            track.seen = self.clock.unix_millis();
            let setting = self.settings.logs.get(log).map(|log| log.framing);
            track.framing.configure(setting.unwrap_or_default(), &[]);
        }
        file.key = key;
        file.start_again();
        file.at_end = false;
        file.quiet_since = now;
    }

    /// Whether a file that only a glob finds, and that had no line when it was opened, has the same beginning as
    /// another log. It is then closed, and matched again.
    fn may_be_a_copy(&mut self, index: usize, found: &FoundLines) -> bool {
        let file = &self.open.files[index];
        let key = file.key;
        let is_new = |track: &&Track| track.stream.is_none() && track.read.offset == 0;
        let Some(track) = self.streams.get(key).filter(is_new) else {
            return false;
        };
        if !file.live || self.discover.fixes(&track.name) {
            return false;
        }
        let line = self.open.first_line(found);
        let (_, beginning) = self.streams.identity(&track.name, line);
        let is_another = |other: &FileKey| {
            self.streams
                .get(*other)
                .is_some_and(|other| other.name != track.name)
        };
        let alike = self.streams.beginning_with(beginning, line);
        let has_another = alike.iter().any(is_another);
        if has_another {
            self.open.remove(index);
            self.streams.remove(key);
        }
        has_another
    }
}
