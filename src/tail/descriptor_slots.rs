//! Which logs hold a descriptor where not all of them can.
//!
//! Owns the places: who gets one, who gives his up, who waits. Refuses to know how files are found and read. Invariant: a
//! file that no name leads to keeps its descriptor until it is read; a log that gives its place up stands at its path, so
//! that it can be opened again; and a log waits no longer than one that was read after it. The failures it guards
//! against: a host with more logs than descriptors on which some are never read, and a log taken for gone because
//! nothing could be opened.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

use super::FileKey;
use super::discover::{Candidate, Scan};
use super::file_reader::{FileReader, LineSource};
use super::fs::{FileSystem, Inode};
use super::stats::{Leaves, Problem};
use super::tailer::Tailer;
use crate::clock::Clock;

/// Rotated files that have a name, plain or compressed, open at once: more would be read no sooner.
const MAX_OPEN_ROTATED: usize = 128;

/// A log that is never read to its end gives its place up after this, if others wait.
const SLICE: Duration = Duration::from_secs(10);

/// After the system gave no descriptor, what has nothing unread is not opened for so long.
const SHORT: Duration = Duration::from_secs(60);

/// Who waits for a place.
#[derive(Debug, Default)]
pub(super) struct DescriptorSlots {
    /// Live logs that gave their place up.
    resting: HashMap<Inode, Resting>,
    /// How often one did.
    turn: u64,
    /// Those that could give theirs up, the first one last; found once a look at the directories.
    candidates: Option<Vec<FileKey>>,
    /// Live logs that have something unread and no place, as of the last look.
    pub(super) waiting: usize,
    /// Files that the system gave no descriptor for although there was a place.
    denied: usize,
    /// Until when the system counts as short of descriptors.
    short_until: Option<Duration>,
}

/// A live log without a descriptor.
#[derive(Debug, Clone, Copy)]
struct Resting {
    /// Size and time of change when nothing was unread in it; None where something was.
    read: Option<(u64, i64)>,
    key: FileKey,
    turn: u64,
}

impl DescriptorSlots {
    pub(super) fn keys(&self) -> impl Iterator<Item = FileKey> {
        self.resting.values().map(|resting| resting.key)
    }

    /// When a log gave its place up; those that never had one come first.
    pub(super) fn turn_of(&self, inode: Inode) -> u64 {
        self.resting.get(&inode).map_or(0, |resting| resting.turn)
    }

    /// Whether logs wait for a place that others will give up.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting > 0
    }

    /// Logs that wait for a descriptor, whoever refuses it.
    pub(super) fn waiting(&self) -> usize {
        self.waiting + self.denied
    }

    pub(super) fn begin_look(&mut self) {
        (self.waiting, self.denied, self.candidates) = (0, 0, None);
    }

    pub(super) fn opened(&mut self, inode: Inode) {
        self.resting.remove(&inode);
    }
}

/// Whether an error says that there is no descriptor left.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    shortages.contains(&error.raw_os_error())
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Files open at one time that no log's live name leads to.
    pub(super) fn max_unnamed(&self) -> usize {
        (self.settings.open_files / 2).max(1)
    }

    /// Whether one more file can be opened; if not, it waits until others are closed. Of rotated files the oldest
    /// are open, because they are deleted next; once they are, they take no place of the others.
    pub(super) fn has_room(&mut self, candidate: &Candidate) -> bool {
        let rotated = |reader: &&FileReader<F>| !reader.live;
        let of_its_kind = candidate.live || {
            let named = (self.readers.iter().filter(rotated)).filter(|reader| reader.visible);
            named.count() < MAX_OPEN_ROTATED.min((self.settings.open_files / 4).max(1))
                && self.readers.iter().filter(rotated).count() < self.max_unnamed()
        };
        let any = self.readers.len() < self.settings.open_files;
        if of_its_kind && (any || self.give_up_a_place()) {
            return true;
        }
        if candidate.live {
            self.wait_for_room(candidate);
            return false;
        }
        let room = self.close_a_younger(candidate);
        self.backlog |= !room;
        room
    }

    /// Whether a live log need not be opened now: it has nothing unread, or it waits until there is room.
    pub(super) fn rests(&mut self, candidate: &Candidate) -> bool {
        if !candidate.live {
            return false;
        }
        let is_short = (self.room.short_until).is_some_and(|until| self.clock.now() < until);
        let any = self.readers.len() < self.settings.open_files && !is_short;
        let metadata = &candidate.metadata;
        let resting = self.room.resting.get(&metadata.inode);
        if let Some(Resting { key, .. }) = resting
            .filter(|resting| !any && resting.read == Some((metadata.size, metadata.modified)))
        {
            let seen = self.clock.unix_millis();
            if let Some(track) = self.streams.get_mut(*key) {
                track.seen = seen;
            }
            return true;
        }
        let full = self.readers.len() >= self.settings.open_files;
        let waits = full && self.candidates_to_give_up().is_empty();
        if waits {
            self.wait_for_room(candidate);
        }
        waits
    }

    fn wait_for_room(&mut self, candidate: &Candidate) {
        self.room.waiting += 1;
        // Of one that was never open nobody knows which stream it goes on with.
        self.backlog |= !self.room.resting.contains_key(&candidate.metadata.inode);
    }

    /// The system gave no descriptor for a file: whether one was freed.
    pub(super) fn make_up_for_shortage(&mut self, candidate: &Candidate) -> bool {
        self.room.short_until = Some(self.clock.now() + SHORT);
        let freed = candidate.live && self.give_up_a_place();
        self.room.denied += usize::from(!freed);
        freed
    }

    /// Nothing could be opened to find out whose a file is.
    pub(super) fn look_again_later(&mut self) {
        self.room.denied += 1;
        (self.sure, self.failed, self.search_again) = (false, true, true);
    }

    /// Closes the live log that can best do without its descriptor: one with nothing unread, the longest quiet first,
    /// else one that had its time. True when there was one.
    fn give_up_a_place(&mut self) -> bool {
        self.candidates_to_give_up();
        while let Some(key) = self.room.candidates.as_mut().and_then(Vec::pop) {
            let index = (self.readers.iter()).position(|reader| reader.key == key);
            if let Some(index) = index.filter(|index| self.stands_at_its_path(*index)) {
                self.rest(index);
                return true;
            }
        }
        false
    }

    fn candidates_to_give_up(&mut self) -> &[FileKey] {
        let now = self.clock.now();
        let readers = &self.readers;
        self.room.candidates.get_or_insert_with(|| {
            let may = |reader: &&FileReader<F>| {
                let plain = matches!(reader.source, LineSource::Plain(_));
                let had_its_time = now.saturating_sub(reader.opened) >= SLICE;
                plain && reader.live && reader.visible && (reader.at_end || had_its_time)
            };
            let mut may: Vec<&FileReader<F>> = readers.iter().filter(may).collect();
            may.sort_by_key(|reader| (reader.at_end, std::cmp::Reverse(reader.quiet_since)));
            may.iter().map(|reader| reader.key).collect()
        })
    }

    fn stands_at_its_path(&self, index: usize) -> bool {
        let reader = &self.readers[index];
        let found = self.fs.metadata(&reader.path);
        found.is_ok_and(|found| found.inode == reader.inode)
    }

    fn rest(&mut self, index: usize) {
        // As it was before an attempt to read that found nothing; else it has something unread.
        let read = match self.readers[index].at_end {
            true => self.last_attempt(index).and_then(|last| last.metadata),
            false => None,
        };
        let reader = self.readers.swap_remove(index);
        let metadata = self.fs.metadata_of(reader.file());
        let (Ok(metadata), Some(track)) = (metadata, self.streams.get_mut(reader.key)) else {
            return;
        };
        track.size = track.size.max(metadata.size);
        if track.stream.is_none() && track.read.offset == 0 {
            // Not one complete line was in it: it is met anew.
            self.streams.remove(reader.key);
        }
        self.room.turn += 1;
        let resting = Resting {
            read: read.map(|read| (read.size, read.modified)),
            key: reader.key,
            turn: self.room.turn,
        };
        self.room.resting.insert(reader.inode, resting);
    }

    /// Closes the youngest rotated file that has a name, if it is younger: it can be opened again.
    fn close_a_younger(&mut self, candidate: &Candidate) -> bool {
        let age = |reader: &FileReader<F>| {
            let metadata = self.fs.metadata_of(reader.file()).ok()?;
            Some(metadata.modified)
        };
        let named = self.readers.iter().enumerate();
        let named = named.filter(|(_, reader)| !reader.live && reader.visible);
        let youngest = named
            .filter_map(|(index, reader)| Some((age(reader)?, index)))
            .max();
        match youngest {
            Some((modified, index)) if modified > candidate.metadata.modified => {
                self.close_for_now(index);
                true
            }
            _ => false,
        }
    }

    /// A file that its name leads to is closed, to be opened again when there is room.
    pub(super) fn close_for_now(&mut self, index: usize) {
        let reader = self.readers.swap_remove(index);
        if let LineSource::Plain(file) = &reader.source
            && let Ok(metadata) = self.fs.metadata_of(file)
            && let Some(track) = self.streams.get_mut(reader.key)
        {
            track.size = track.size.max(metadata.size);
        }
        self.backlog = true;
    }

    /// Forgets the resting logs that are there no more, and says that not all logs can be open.
    pub(super) fn end_look(&mut self, scan: &Scan) {
        if !scan.incomplete {
            let found: HashMap<Inode, ()> = (scan.live.iter().chain(&scan.siblings))
                .map(|candidate| (candidate.metadata.inode, ()))
                .collect();
            self.room
                .resting
                .retain(|inode, _| found.contains_key(inode));
        }
        self.stats.files_waiting = self.room.waiting();
        let limit = self.settings.open_files;
        if self.room.denied > 0 {
            let text = "no more files can be opened: the logs that are not open wait, and are read later; raise the \
                        limit of open files (LimitNOFILE in the unit, or ulimit -n)";
            let problem = Problem::new(Path::new(""), text.to_owned());
            self.stats.problems.push(problem.leaving(Leaves::Input));
        } else if self.room.waiting > 0 || !self.room.resting.is_empty() {
            let text = format!(
                "{} logs are there, and {limit} files can be open at one time: they are read in turns, a little later, \
                 and what is written to a log and deleted between two of its turns is missed; raise the limit of open \
                 files to {} (LimitNOFILE in the unit, or ulimit -n)",
                scan.live.len(),
                enough_for(scan.live.len()),
            );
            self.stats.problems.push(Problem::new(Path::new(""), text));
        }
    }
}

/// A round limit of open files that is enough for so many logs, their rotated files and everything else.
fn enough_for(logs: usize) -> usize {
    (logs + logs / 2 + 512).next_multiple_of(1024)
}
