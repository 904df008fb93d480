//! Decides which files hold a descriptor if there are not enough for all.
//!
//! Owns: the slots, one for each descriptor that may be open: which file gets one, gives one up, or waits. Refuses to
//! know: how files are found, and which streams they continue. Invariant: a file without a name keeps its descriptor
//! until it is read; a log that gives up its slot is still at its path, so that it can be opened again; and no log
//! waits longer than one that was read after it. The failures it guards against: on a host with more logs than
//! descriptors some logs are never read, or a log counts as deleted because nothing could be opened.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

use super::FileKey;
use super::file_reader::{FileReader, LineSource};
use super::fs::{FileSystem, Inode, Metadata};
use super::open_files::OpenFiles;
use super::stats::{Leaves, Problem};
use super::stream_table::StreamTable;

/// The maximum number of open rotated files with a name, plain or compressed: more would not be read sooner.
const MAX_OPEN_ROTATED: usize = 128;

/// A log that is never read to its end gives up its slot after this time, if others wait.
const SLICE: Duration = Duration::from_secs(10);

/// After the system refused a descriptor, logs without unread bytes are not opened for this long.
const SHORTAGE: Duration = Duration::from_secs(60);

/// The state of the slots, and the files that wait for one.
#[derive(Debug, Default)]
pub(super) struct DescriptorSlots {
    /// Live logs that gave up their slot.
    resting: HashMap<Inode, Resting>,
    /// How often a log gave up its slot.
    turn: u64,
    /// The open logs that could give up their slot, the first one last; determined once per scan.
    candidates: Option<Vec<FileKey>>,
    /// Live logs with unread bytes and without a slot, as of the last scan.
    waiting: usize,
    /// Files for which the system refused a descriptor although a slot was free.
    denied: usize,
    /// The system counts as short of descriptors until this time.
    short_until: Option<Duration>,
    /// Files wait until others are read to their end and closed.
    pub(super) backlog: bool,
}

/// A live log without a descriptor.
#[derive(Debug, Clone, Copy)]
struct Resting {
    /// Size and time of change when it had no unread bytes; `None` if it had some.
    read: Option<(u64, i64)>,
    key: FileKey,
    turn: u64,
}

impl DescriptorSlots {
    /// The streams of the logs that gave up their slot.
    pub(super) fn keys(&self) -> impl Iterator<Item = FileKey> {
        self.resting.values().map(|resting| resting.key)
    }

    /// When a log gave up its slot; 0 for those that never had one, which come first.
    pub(super) fn turn_of(&self, inode: Inode) -> u64 {
        self.resting.get(&inode).map_or(0, |resting| resting.turn)
    }

    /// Whether logs wait for slots that others will give up.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting > 0
    }

    /// How many logs wait for a descriptor, because of the slots or because the system refuses one.
    pub(super) fn waiting(&self) -> usize {
        self.waiting + self.denied
    }

    /// Starts a scan of the directories.
    pub(super) fn begin_scan(&mut self) {
        (self.waiting, self.denied, self.candidates) = (0, 0, None);
        self.backlog = false;
    }

    /// Forgets the logs without a slot that a complete scan did not find.
    pub(super) fn end_scan(&mut self, found: &HashSet<Inode>) {
        self.resting.retain(|inode, _| found.contains(inode));
    }

    /// Records that a log was opened again.
    pub(super) fn opened(&mut self, inode: Inode) {
        self.resting.remove(&inode);
    }

    /// Records that the system refused a descriptor that was needed to determine the log of a file.
    pub(super) fn deny(&mut self) {
        self.denied += 1;
    }

    /// Reports if not all logs can be open. `limit` is the number of slots, `logs` that of live logs.
    pub(super) fn problem(&self, limit: usize, logs: usize) -> Option<Problem> {
        let about_all = |text: String| Problem::new(Path::new(""), text);
        if self.denied > 0 {
            let text = "no more files can be opened: the logs that are not open wait, and are read later; raise the \
                        limit of open files (LimitNOFILE in the unit, or ulimit -n)";
            return Some(about_all(text.to_owned()).leaving(Leaves::Input));
        }
        let is_limited = self.waiting > 0 || !self.resting.is_empty();
        is_limited.then(|| {
            about_all(format!(
                "{logs} logs are there, and {limit} files can be open at one time: they are read in turns, a little \
                 later, and what is written to a log and deleted between two of its turns is missed; raise the limit \
                 of open files to {} (LimitNOFILE in the unit, or ulimit -n)",
                enough_for(logs),
            ))
        })
    }

    fn wait(&mut self, inode: Inode) {
        self.waiting += 1;
        // The stream of a log that was never open is not known.
        self.backlog |= !self.resting.contains_key(&inode);
    }
}

/// Whether an error means that no descriptor is left.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    shortages.contains(&error.raw_os_error())
}

impl<F: FileSystem> OpenFiles<F> {
    /// How many files may be open that are not at a live name.
    pub(super) fn max_rotated(&self) -> usize {
        (self.max_open / 2).max(1)
    }

    /// Whether one more file can be opened; if not, it waits until others are closed. The oldest rotated files are
    /// open, because they are deleted next. Rotated files take no slot of live ones.
    pub(super) fn has_slot(
        &mut self,
        live: bool,
        file: &Metadata,
        streams: &mut StreamTable,
        now: Duration,
    ) -> bool {
        let of_its_kind = live || {
            let rotated = self.files.iter().filter(|file| !file.live);
            rotated.filter(|file| file.visible).count()
                < MAX_OPEN_ROTATED.min((self.max_open / 4).max(1))
                && self.rotated() < self.max_rotated()
        };
        let any = self.files.len() < self.max_open;
        if of_its_kind && (any || self.give_up_a_slot(streams, now)) {
            return true;
        }
        if live {
            self.slots.wait(file.inode);
            return false;
        }
        let has_slot = self.close_a_younger(file, streams);
        self.slots.backlog |= !has_slot;
        has_slot
    }

    /// Whether a live log need not be opened now, because it has no unread bytes or because it waits for a slot. `wall`
    /// is the time at which it was seen, milliseconds since 1970.
    pub(super) fn rests(
        &mut self,
        file: &Metadata,
        streams: &mut StreamTable,
        now: Duration,
        wall: i64,
    ) -> bool {
        let is_short = self.slots.short_until.is_some_and(|until| now < until);
        let is_full = self.files.len() >= self.max_open;
        let resting = self.slots.resting.get(&file.inode);
        let is_read = |resting: &&Resting| resting.read == Some((file.size, file.modified));
        if (is_full || is_short)
            && let Some(Resting { key, .. }) = resting.filter(is_read)
        {
            if let Some(track) = streams.get_mut(*key) {
                track.seen = wall;
            }
            return true;
        }
        let waits = is_full && self.candidates_to_give_up(now).is_empty();
        if waits {
            self.slots.wait(file.inode);
        }
        waits
    }

    /// Handles a refusal of a descriptor by the system; returns whether one could be freed.
    pub(super) fn make_up_for_shortage(
        &mut self,
        live: bool,
        streams: &mut StreamTable,
        now: Duration,
    ) -> bool {
        self.slots.short_until = Some(now + SHORTAGE);
        let freed = live && self.give_up_a_slot(streams, now);
        self.slots.denied += usize::from(!freed);
        freed
    }

    /// Closes the live log that needs its descriptor least: one without unread bytes, the longest idle first; else one
    /// whose turn is over. True if there was one.
    fn give_up_a_slot(&mut self, streams: &mut StreamTable, now: Duration) -> bool {
        self.candidates_to_give_up(now);
        while let Some(key) = self.slots.candidates.as_mut().and_then(Vec::pop) {
            let index = self.files.iter().position(|file| file.key == key);
            if let Some(index) = index.filter(|index| self.files[*index].is_at_its_path(&self.fs)) {
                self.rest(index, streams);
                return true;
            }
        }
        false
    }

    fn candidates_to_give_up(&mut self, now: Duration) -> &[FileKey] {
        let files = &self.files;
        self.slots.candidates.get_or_insert_with(|| {
            let may = |file: &&FileReader<F>| {
                let had_its_time = now.saturating_sub(file.opened) >= SLICE;
                let plain = !file.is_compressed();
                plain && file.live && file.visible && (file.at_end || had_its_time)
            };
            let mut may: Vec<&FileReader<F>> = files.iter().filter(may).collect();
            may.sort_by_key(|file| (file.at_end, Reverse(file.quiet_since)));
            may.iter().map(|file| file.key).collect()
        })
    }

    fn rest(&mut self, index: usize, streams: &mut StreamTable) {
        // The state of the file before an unsuccessful attempt to read; otherwise the file has unread bytes.
        let read = match self.files[index].at_end {
            true => self
                .last_attempt(index, streams)
                .and_then(|end| end.metadata),
            false => None,
        };
        let file = self.remove(index);
        let metadata = self.fs.metadata_of(file.file());
        let (Ok(metadata), Some(track)) = (metadata, streams.get_mut(file.key)) else {
            return;
        };
        track.size = track.size.max(metadata.size);
        if track.stream.is_none() && track.read.offset == 0 {
            // It had no complete line: it is matched again when it is opened.
            streams.remove(file.key);
        }
        self.slots.turn += 1;
        let resting = Resting {
            read: read.map(|read| (read.size, read.modified)),
            key: file.key,
            turn: self.slots.turn,
        };
        self.slots.resting.insert(file.inode, resting);
    }

    /// Closes the youngest rotated file with a name, if it is younger than `file`: it can be opened again.
    fn close_a_younger(&mut self, file: &Metadata, streams: &mut StreamTable) -> bool {
        let named = (self.files.iter().enumerate()).filter(|(_, open)| !open.live && open.visible);
        let youngest = named
            .filter_map(|(index, open)| {
                let metadata = self.fs.metadata_of(open.file()).ok()?;
                Some((metadata.modified, index))
            })
            .max();
        match youngest {
            Some((modified, index)) if modified > file.modified => {
                self.close_for_now(index, streams);
                true
            }
            _ => false,
        }
    }

    /// Closes a file at its own name; it is opened again when a slot is free.
    pub(super) fn close_for_now(&mut self, index: usize, streams: &mut StreamTable) {
        let file = self.remove(index);
        if let LineSource::Plain(plain) = &file.source
            && let Ok(metadata) = self.fs.metadata_of(plain)
            && let Some(track) = streams.get_mut(file.key)
        {
            track.size = track.size.max(metadata.size);
        }
        self.slots.backlog = true;
    }
}

/// A round limit of open files that suffices for this many logs, their rotated files and everything else.
fn enough_for(logs: usize) -> usize {
    (logs + logs / 2 + 512).next_multiple_of(1024)
}
