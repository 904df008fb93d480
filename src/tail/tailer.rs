//! All files together: what to read next, what is settled, what is saved.
//!
//! Owns: the open files, the tracks of all known streams, and the checkpoint's contents. Refuses to know:
//! how a directory is understood (`reconcile`) and how one file is read (`reader`). Invariant: a track is
//! read by at most one open file, and each open file reads exactly one track.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::assignments::Assignments;
use super::carried_files::CarriedFiles;
use super::checkpoint::{Checkpoint, Header};
use super::content::Looked;
use super::damage::is_damage;
use super::descriptor_slots::DescriptorSlots;
use super::discover::Discover;
use super::file_reader::{Buffer, FileReader, FoundLines, Limits, LineSource, Step};
use super::fs::{FileSystem, Inode, Metadata};
use super::identity::{FIRST_LINE_BYTES, Position};
use super::lines;
use super::state::{self, State};
use super::stats::{Lag, Leaves, Problem, Stats};
use super::stream_table::StreamTable;
use super::trusted_clock::TrustedClock;
use super::{Chunk, FileKey, Settings, TailError};
use crate::clock::Clock;

/// Reads logs; see the room's tour.
pub struct Tailer<F: FileSystem, C: Clock> {
    pub(super) settings: Settings,
    pub(super) fs: F,
    pub(super) clock: C,
    pub(super) discover: Discover,
    pub(super) state: State<F>,
    pub(super) limits: Limits,
    pub(super) readers: Vec<FileReader<F>>,
    /// The reader whose turn it is.
    turn: usize,
    pub(super) streams: StreamTable,
    assignments: Assignments,
    /// Rotated files of which nothing is wanted as long as they stay as they are.
    pub(super) done: HashMap<Inode, Done>,
    pub(super) looked: Looked,
    /// Where each log's live file was at the last look.
    pub(super) live_inodes: HashMap<Arc<str>, Vec<Inode>>,
    /// Live names that a rotation left without a file, and until when they are looked for.
    pub(super) vacant: Vec<(PathBuf, Duration)>,
    pub(super) directories: BTreeSet<PathBuf>,
    /// What the next reconcile must know about the ones before.
    pub(super) looks: Looks,
    pub(super) trusted_clock: TrustedClock,
    pub(super) buffer: Buffer,
    /// At the last look each file could be looked at.
    pub(super) sure: bool,
    /// Files wait until others are read to their end and closed.
    pub(super) backlog: bool,
    /// Which logs hold a descriptor.
    pub(super) room: DescriptorSlots,
    /// Files that a link leads to which is not followed, as of the last look.
    pub(super) refused: HashSet<Inode>,
    /// Compressed files that are so new that they may still be written, as of the last look.
    pub(super) young: Vec<PathBuf>,
    /// A file could not be opened, at the last look.
    pub(super) failed: bool,
    /// Names that would be those of files which belong to other logs, or may do so, as of the last look.
    pub(super) of_other_logs: HashSet<Arc<str>>,
    /// A file was given to a log by its content, at the last look.
    pub(super) assigned_now: bool,
    /// The next look must search by content, though nothing is missing.
    pub(super) search_again: bool,
    /// What the start did not find is not said yet.
    pub(super) unreported: bool,
    /// Complaints that no reconcile finds again: about the state directory, and from reading.
    pub(super) start_problems: Vec<Problem>,
    /// Files that may belong to several logs, and of which one was chosen.
    pub(super) doubts: Vec<Problem>,
    pub(super) stats: Stats,
}

/// Compressed files that are decoded at the same time: each takes some ten kilobytes.
const MAX_DECODERS: usize = 4;

/// Why bytes are lost: their file was emptied.
pub(super) const TRUNCATED: &str = "truncated";

/// The looks at the directories so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looks {
    /// None in this process yet.
    pub(super) first: bool,
    /// Positions were lost: all rotated files count as unread.
    pub(super) read_all: bool,
    /// Wall time of the last one, milliseconds; it may have been another process.
    pub(super) last: Option<i64>,
    /// What of that wall time was believed.
    pub(super) believed: Option<i64>,
    /// How often the clock had been set until then.
    pub(super) times_set: u64,
    /// Monotonic time of the last one.
    pub(super) at: Duration,
}

/// A file as it was when nothing more was wanted of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) size: u64,
    pub(super) modified: i64,
    pub(super) key: FileKey,
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Locks and loads the state directory and looks for the logs; `from` is what the tailer before in this
    /// process left.
    ///
    /// # Errors
    /// When the state directory is in use or cannot be used, or a pattern makes no sense. `from` is as it was then.
    pub fn open(
        settings: Settings,
        fs: F,
        clock: C,
        from: &mut CarriedFiles<F>,
    ) -> Result<Self, TailError> {
        let discover = Discover::new(&settings.logs, &settings.rotated_dirs, &settings.links)?;
        let mut state = match from.state.take_if(|state| state.is_of(&settings.data_dir)) {
            Some(state) => state,
            None => State::lock(fs.clone(), &settings.data_dir)?,
        };
        let mut problems = Vec::new();
        let (found, stored_host) = match state.load(&settings.output, &mut problems) {
            Ok(loaded) => loaded,
            Err(error) => {
                from.state = Some(state);
                return Err(error);
            }
        };
        let (assignments, unmatched) =
            match Assignments::load(&fs, &settings.data_dir, &mut problems) {
                Ok(loaded) => loaded,
                Err(error) => {
                    from.state = Some(state);
                    return Err(error);
                }
            };
        let host = stored_host.clone().unwrap_or_else(|| settings.host.clone());
        if host != settings.host {
            problems.push(Problem::new(
                &settings.data_dir,
                format!(
                    "was started as host `{host}`, which stays part of every line's identity; the name `{}` is \
                     not used here (start with an empty data_dir to change it)",
                    settings.host
                ),
            ));
        }
        let limits = Limits {
            read_bytes: settings.read_bytes.max(1),
            // The identity needs this much of a cut line.
            line_bytes: settings.max_line_bytes.max(FIRST_LINE_BYTES),
        };
        let looks = Looks {
            first: true,
            read_all: matches!(found, state::FoundState::Used(_)),
            last: None,
            believed: None,
            times_set: 0,
            at: clock.now(),
        };
        let first_start = matches!(found, state::FoundState::FirstStart);
        let before = match &found {
            state::FoundState::FirstStart => None,
            state::FoundState::Used(before) => *before,
            state::FoundState::Checkpoint(checkpoint) => Some(checkpoint.header.time()),
        };
        let trusted_clock = TrustedClock::new(looks.at, clock.unix_millis(), before);
        let mut tailer = Self {
            settings,
            fs,
            clock,
            discover,
            state,
            limits,
            readers: Vec::new(),
            turn: 0,
            streams: StreamTable::new(host, unmatched),
            assignments,
            done: HashMap::new(),
            looked: Looked::default(),
            live_inodes: HashMap::new(),
            vacant: Vec::new(),
            directories: BTreeSet::new(),
            trusted_clock,
            looks,
            buffer: Buffer::default(),
            sure: false,
            backlog: false,
            room: DescriptorSlots::default(),
            refused: HashSet::new(),
            young: Vec::new(),
            failed: false,
            of_other_logs: HashSet::new(),
            assigned_now: false,
            search_again: false,
            unreported: true,
            start_problems: problems,
            doubts: Vec::new(),
            stats: std::mem::take(&mut from.stats),
        };
        if let state::FoundState::Checkpoint(checkpoint) = found {
            tailer.restore(*checkpoint);
            tailer.forget_matched();
        }
        let left = tailer.adopt(std::mem::take(&mut from.files));
        match tailer.begin(first_start, stored_host.is_none()) {
            Ok(()) => Ok(tailer),
            Err(error) => {
                *from = tailer.into_carried_files();
                from.files.extend(left);
                Err(error)
            }
        }
    }

    fn begin(&mut self, first_start: bool, host_is_new: bool) -> Result<(), TailError> {
        self.reconcile();
        if first_start {
            // What is old history is decided once: saved before anything else can happen, and before the
            // identity, whose presence says that somebody was here.
            self.save()?;
        }
        if host_is_new {
            self.state.fix_host(self.streams.host())?;
        }
        Ok(())
    }

    /// The next complete lines of any file; `None` when there is nothing to read now.
    pub fn read(&mut self) -> Option<Chunk<'_>> {
        let (key, found, offset) = self.advance()?;
        let track = self.streams.get(key)?;
        let reader = self.readers.iter().find(|reader| reader.key == key)?;
        Some(Chunk {
            file: key,
            log: track.log,
            stream: track.stream?,
            path: &reader.path,
            offset,
            end: found.end.offset,
            bytes: &self.buffer.bytes()[found.start..found.start + found.length],
            cut: found.cut,
        })
    }

    /// Everything of `file` before `offset` is durable elsewhere. The caller calls with growing offsets and
    /// guarantees that none before is missing.
    pub fn settle(&mut self, file: FileKey, offset: u64) {
        if let Some(track) = self.streams.get_mut(file)
            && track.settle(offset)
        {
            self.streams.mark_changed();
        }
    }

    /// Saves the settled positions durably, if they changed, and which contents are open.
    ///
    /// # Errors
    /// When the state directory does not take them; the caller tries again later, nothing is lost by it.
    pub fn save(&mut self) -> Result<(), TailError> {
        self.identify_unread();
        if !self.streams.is_changed() {
            return Ok(());
        }
        self.save_assignments()?;
        let checkpoint = self.checkpoint();
        self.state.save(&checkpoint)?;
        self.streams.mark_saved();
        self.stats.saves += 1;
        Ok(())
    }

    /// Makes durable which content belongs to which log: of each stream whose file the next start may not find by
    /// its name.
    pub(super) fn save_assignments(&mut self) -> Result<(), TailError> {
        self.assignments.save(&self.fs, self.streams.assignments())
    }

    /// Forgets assignments of what has positions. While positions are lost, files that begin alike need each its own.
    pub(super) fn forget_matched(&mut self) {
        if !self.looks.read_all {
            self.streams.forget_matched();
        }
    }

    /// The time now, in milliseconds since 1970, as far as it may decide over lines for good: a clock that was
    /// set ahead is not believed before it went evenly for a day.
    pub fn trusted_now(&mut self) -> i64 {
        self.trusted_clock
            .look(self.clock.now(), self.clock.unix_millis())
    }

    /// Counters, and gauges as of the last reconcile.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The host in every line's identity: that of the first start in this data_dir.
    pub fn host(&self) -> &str {
        self.streams.host()
    }

    /// Directories in which something may happen.
    pub fn dirs_to_watch(&self) -> impl Iterator<Item = &Path> {
        self.directories.iter().map(PathBuf::as_path)
    }

    /// Where a file was last seen.
    pub fn file_path(&self, file: FileKey) -> Option<&Path> {
        self.streams.get(file).map(|track| track.path.as_path())
    }

    /// Whether the directories are due to be read again.
    pub fn reconcile_due(&self) -> bool {
        self.clock.now().saturating_sub(self.looks.at) >= self.settings.reconcile_interval
    }

    /// Whether a live path names another file than the one being read, or a file again: one look at each, for
    /// the time when no events are asked for. `true` calls for a reconcile.
    pub fn names_changed(&self) -> bool {
        let filled = |(path, _): &(PathBuf, Duration)| self.fs.metadata(path).is_ok();
        self.vacant.iter().any(filled)
            || self
                .readers
                .iter()
                .filter(|reader| reader.live)
                .any(|reader| {
                    self.fs
                        .metadata(&reader.path)
                        .map_or(true, |now| now.inode != reader.inode)
                })
    }

    /// Whether something that is there can be read only after a while: a compressed file that may still be written,
    /// or a file that waits until another one is read to its end and closed.
    pub fn waits(&self) -> bool {
        !self.young.is_empty()
            || self.search_again
            || self.backlog
            || self.room.is_waited_for()
            || self.readers.iter().any(FileReader::ends_early)
    }

    /// Whether logs wait until others give their descriptor up.
    pub fn waits_for_room(&self) -> bool {
        self.room.is_waited_for()
    }

    /// The compressed files of these.
    pub fn young_files(&self) -> &[PathBuf] {
        &self.young
    }

    /// What of all that is there cannot be read now.
    pub fn leaves(&self) -> Leaves {
        let leaves = self.stats.problems.iter().map(|problem| problem.leaves);
        leaves.max().unwrap_or(Leaves::Nothing)
    }

    /// What is unread in each open file, as of now.
    pub fn lag(&self) -> Vec<Lag> {
        self.readers
            .iter()
            .filter_map(|reader| {
                let track = self.streams.get(reader.key)?;
                let size = match &reader.source {
                    LineSource::Plain(file) => self.fs.metadata_of(file).ok()?.size,
                    LineSource::Gzip(_) => track.size,
                };
                let unread = size.saturating_sub(track.read.offset);
                Some(Lag {
                    file: reader.key,
                    log: track.log,
                    path: reader.path.clone(),
                    unread,
                })
            })
            .collect()
    }

    /// Steps the readers in turn until one has lines.
    fn advance(&mut self) -> Option<(FileKey, FoundLines, u64)> {
        let mut idle = 0;
        loop {
            if idle >= self.readers.len() {
                // All is read. Does something wait for a descriptor?
                if self.backlog && self.close_finished() > 0 {
                    self.reconcile();
                    idle = 0;
                    continue;
                }
                return None;
            }
            let index = self.turn % self.readers.len();
            if self.must_wait(index) {
                self.turn = index + 1;
                idle += 1;
                continue;
            }
            let reader = &mut self.readers[index];
            let Some(track) = self.streams.get_mut(reader.key) else {
                self.readers.swap_remove(index);
                continue;
            };
            let decoded = reader.is_decoding();
            match reader.step(&self.fs, track, &mut self.buffer, self.limits) {
                Ok(Step::Lines(found)) => {
                    self.turn = index + 1;
                    if self.turns_out_foreign(index, &found) {
                        idle = 0;
                        continue;
                    }
                    if self.may_be_a_copy(index, found) {
                        self.reconcile();
                        idle = 0;
                        continue;
                    }
                    return Some(self.hand_on(index, found));
                }
                Ok(Step::More) => {
                    self.turn = index + 1;
                    idle = 0;
                }
                Ok(Step::Idle) => {
                    reader.at_end = true;
                    self.turn = index + 1;
                    // another may be decoded now
                    idle = if decoded { 0 } else { idle + 1 };
                    if reader.is_cut_off(&self.fs, self.clock.unix_millis()) {
                        self.read_failed(index, &io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Ok(Step::Replaced) => {
                    self.start_new_generation(index);
                    // The copy, if there is one, is there by now; soon it may be compressed.
                    self.reconcile();
                    idle = 0;
                }
                Err(error) => {
                    self.turn = index + 1;
                    idle += 1;
                    if self.read_failed(index, &error) {
                        idle = 0;
                    }
                }
            }
        }
    }

    /// A compressed file whose decoding has not begun waits while enough others are decoded.
    fn must_wait(&self, index: usize) -> bool {
        let reader = &self.readers[index];
        let at_work = self.readers.iter().filter(|reader| reader.is_decoding());
        matches!(reader.source, LineSource::Gzip(_))
            && !reader.is_decoding()
            && at_work.count() >= MAX_DECODERS
    }

    /// A file that its name leads to is closed, which mends a stale handle: the next reconcile opens it again,
    /// its track stays. One without a name is kept, since nobody could open it again. True when it was closed.
    fn read_failed(&mut self, index: usize, error: &io::Error) -> bool {
        let reader = &self.readers[index];
        let (path, compressed) = (
            reader.path.clone(),
            matches!(reader.source, LineSource::Gzip(_)),
        );
        let found = self.fs.metadata(&path).ok();
        let found = found.filter(|metadata| metadata.inode == reader.inode);
        let damaged = compressed && is_damage(error);
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
        let reader = self.readers.swap_remove(index);
        self.stats.files_open = self.readers.len();
        if let Some(Metadata { size, modified, .. }) = found
            && damaged
        {
            let key = reader.key;
            let done = Done {
                size,
                modified,
                key,
            };
            self.done.insert(reader.inode, done);
        }
        true
    }

    fn hand_on(&mut self, index: usize, found: FoundLines) -> (FileKey, FoundLines, u64) {
        let reader = &mut self.readers[index];
        let key = reader.key;
        reader.at_end = false;
        reader.quiet_since = self.clock.now();
        let Some(track) = self.streams.get(key) else {
            return (key, found, 0);
        };
        let offset = track.read.offset;
        if offset == 0 {
            // The identity comes from the very bytes that are handed on, whatever an earlier look saw.
            let bytes = &self.buffer.bytes()[found.start..found.start + found.length];
            let line = lines::first(bytes).map_or(bytes, |length| &bytes[..length - 1]);
            let (stream, beginning) = self.streams.identity(&track.name, line);
            if track.stream != Some(stream) {
                self.part_with_unread(key);
                self.streams.identify(key, stream, Some(beginning));
            }
        }
        let Some(track) = self.streams.get_mut(key) else {
            return (key, found, 0);
        };
        track.finished = false;
        track.hand_on(found.end);
        self.stats.bytes_read += found.end.offset - offset;
        self.stats.long_lines += u64::from(found.cut);
        (key, found, offset)
    }

    /// The file was emptied and written again before anything was read of it: a copy may hold what it was.
    fn part_with_unread(&mut self, key: FileKey) {
        let Some(track) = self.streams.get(key) else {
            return;
        };
        let (Some(stream), Some(beginning)) = (track.stream, track.beginning) else {
            return;
        };
        let (name, path, log, seen) = (
            Arc::clone(&track.name),
            track.path.clone(),
            track.log,
            track.seen,
        );
        self.stats.truncations += 1;
        // What was a copy of the old content is none of the new.
        self.looked.forget_copies_of(key);
        self.done.retain(|_, done| done.key != key);
        let now = self.clock.now();
        let old = self
            .streams
            .add(&name, Some((stream, beginning)), Position::start());
        if let Some(old) = self.streams.get_mut(old) {
            (old.path, old.log, old.seen) = (path, log, seen);
            old.miss(TRUNCATED, now);
        }
    }

    /// The open file holds something else now: its old content becomes a track without a file, which a copy
    /// may continue; what it holds now is read from the beginning.
    fn start_new_generation(&mut self, index: usize) {
        self.stats.truncations += 1;
        let now = self.clock.now();
        let reader = &mut self.readers[index];
        let old = reader.key;
        let Some(track) = self.streams.get_mut(old) else {
            return;
        };
        track.miss(TRUNCATED, now);
        let (name, log) = (Arc::clone(&track.name), track.log);
        if track.stream.is_none() {
            // Not one complete line was in it.
            self.streams.remove(old);
        }
        let key = self.streams.add(&name, None, Position::start());
        if let Some(track) = self.streams.get_mut(key) {
            track.log = log;
            track.path.clone_from(&reader.path);
            track.inode = reader.inode;
            track.seen = self.clock.unix_millis();
        }
        reader.key = key;
        reader.start_again();
        reader.at_end = false;
        reader.quiet_since = now;
    }

    fn restore(&mut self, checkpoint: Checkpoint) {
        self.looks.last = Some(checkpoint.header.looked);
        self.looks.read_all = checkpoint.header.read_all;
        let discover = &self.discover;
        let log_of = |name: &str| discover.log_of(name);
        self.streams
            .restore(checkpoint.header.logs, checkpoint.entries, log_of);
    }

    fn checkpoint(&self) -> Checkpoint {
        let entries = self.streams.checkpoint_entries();
        let mut header = Header::new(
            self.state.next_generation(),
            &self.settings.output,
            self.streams.host(),
            self.looks.last.unwrap_or(0),
            self.streams.log_names(),
        );
        header.read_all = self.looks.read_all;
        header.believed = self
            .looks
            .believed
            .filter(|believed| *believed != header.looked);
        Checkpoint { header, entries }
    }
}
