//! Which files hold a descriptor where not all of them can.
//!
//! Owns: the slots, one for each descriptor that may be open: who gets one, who gives one up, who waits. Refuses to know:
//! how files are found, and which streams they continue. Invariant: a file that no name leads to keeps its descriptor
//! until it is read; a log that gives its slot up is still at its path, so that it can be opened again; and no log waits
//! longer than one that was read after it. The failures it guards against: a host with more logs than descriptors on
//! which some logs are never read, and a log taken for deleted because nothing could be opened.

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

/// Rotated files with a name, plain or compressed, that are open at once: more would be read no sooner.
const MAX_OPEN_ROTATED: usize = 128;

/// A log that is never read to its end gives its slot up after this, if others wait.
const SLICE: Duration = Duration::from_secs(10);

/// After the system refused a descriptor, logs that have nothing unread are not opened for so long.
const SHORTAGE: Duration = Duration::from_secs(60);

/// Who waits for a slot.
#[derive(Debug, Default)]
pub(super) struct DescriptorSlots {
    /// Live logs that gave their slot up.
    resting: HashMap<Inode, Resting>,
    /// How often a log gave its slot up.
    turn: u64,
    /// The open logs that could give their slot up, the first one last; found once per scan.
    candidates: Option<Vec<FileKey>>,
    /// Live logs that have something unread and no slot, as of the last scan.
    waiting: usize,
    /// Files for which the system refused a descriptor although a slot was free.
    denied: usize,
    /// The system counts as short of descriptors until then.
    short_until: Option<Duration>,
    /// Files wait until others are read to their end and closed.
    pub(super) backlog: bool,
}

/// A live log without a descriptor.
#[derive(Debug, Clone, Copy)]
struct Resting {
    /// Size and time of change when nothing in it was unread; `None` where something was.
    read: Option<(u64, i64)>,
    key: FileKey,
    turn: u64,
}

impl DescriptorSlots {
    /// The streams of the logs that gave their slot up.
    pub(super) fn keys(&self) -> impl Iterator<Item = FileKey> {
        self.resting.values().map(|resting| resting.key)
    }

    /// When a log gave its slot up; 0 for those that never had one, which come first.
    pub(super) fn turn_of(&self, inode: Inode) -> u64 {
        self.resting.get(&inode).map_or(0, |resting| resting.turn)
    }

    /// Whether logs wait for a slot that others will give up.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting > 0
    }

    /// How many logs wait for a descriptor, whether a slot or the system refuses it.
    pub(super) fn waiting(&self) -> usize {
        self.waiting + self.denied
    }

    /// A scan of the directories begins.
    pub(super) fn begin_scan(&mut self) {
        (self.waiting, self.denied, self.candidates) = (0, 0, None);
        self.backlog = false;
    }

    /// Forgets the resting logs that a complete scan did not find.
    pub(super) fn end_scan(&mut self, found: &HashSet<Inode>) {
        self.resting.retain(|inode, _| found.contains(inode));
    }

    /// A log was opened again.
    pub(super) fn opened(&mut self, inode: Inode) {
        self.resting.remove(&inode);
    }

    /// The system refused a descriptor that would have shown which log a file belongs to.
    pub(super) fn deny(&mut self) {
        self.denied += 1;
    }

    /// Says that not all logs can be open, where that is so. `limit` is the number of slots, `logs` that of live logs.
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
        // Which stream a log continues that was never open is not known.
        self.backlog |= !self.resting.contains_key(&inode);
    }
}

/// Whether an error says that there is no descriptor left.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    shortages.contains(&error.raw_os_error())
}

impl<F: FileSystem> OpenFiles<F> {
    /// How many files may be open that no log's live name leads to.
    pub(super) fn max_rotated(&self) -> usize {
        (self.max_open / 2).max(1)
    }

    /// Whether one more file can be opened; if not, it waits until others are closed. Of rotated files the oldest are
    /// open, because they are deleted next; rotated files take no slot of live ones.
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

    /// Whether a live log need not be opened now: because it has nothing unread, or because it waits for a slot.
    /// `wall` is the time at which it was seen, milliseconds since 1970.
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

    /// The system refused a descriptor for a file: whether one could be freed.
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

    /// Closes the live log that can best do without its descriptor: one with nothing unread, the longest quiet first,
    /// else one that had its time. True when there was one.
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
        // The file as it was before an attempt to read that found nothing; else it has something unread.
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

    /// Closes a file that its name leads to; it is opened again when a slot is free.
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

/// A round limit of open files that is enough for so many logs, their rotated files and everything else.
fn enough_for(logs: usize) -> usize {
    (logs + logs / 2 + 512).next_multiple_of(1024)
}
