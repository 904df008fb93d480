//! The coordinator: it reads the directories, asks which stream each file continues, and applies the answer.
//!
//! Owns: the order of the steps, and the data that one scan passes to the next. Refuses to know: how streams are found
//! (`stream_table`), which open file is read next (`open_files`), and which stream a file continues (`matching`).
//! Invariant: a position is saved only after it is settled, and an assignment before any position that depends on it.
//! The failure it guards against: two parts decide separately, each from half of the facts.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::assignments::{Assignment, Assignments};
use super::carried_files::CarriedFiles;
use super::checkpoint::{Checkpoint, Header};
use super::discover::Discover;
use super::file_reader::{FileReader, Limits, LineSource};
use super::fs::{FileSystem, Inode};
use super::identity::FIRST_LINE_BYTES;
use super::open_files::OpenFiles;
use super::seen_files::SeenFiles;
use super::state::{FoundState, State};
use super::stats::{Lag, Leaves, Problem, Stats};
use super::stream_table::StreamTable;
use super::trusted_clock::TrustedClock;
use super::{Chunk, FileKey, Settings, TailError};
use crate::clock::Clock;

/// The reason for lost bytes: their file was truncated.
pub(super) const TRUNCATED: &str = "truncated";

/// Reads logs; see the overview in `mod.rs`.
pub(crate) struct Tailer<F: FileSystem, C: Clock> {
    pub(super) settings: Settings,
    pub(super) fs: F,
    pub(super) clock: C,
    pub(super) trusted_clock: TrustedClock,
    pub(super) discover: Discover,
    pub(super) state: State,
    assignments: Assignments,
    pub(super) streams: StreamTable,
    pub(super) open: OpenFiles<F>,
    pub(super) seen: SeenFiles,
    pub(super) scan: LastScan,
    pub(super) earlier: EarlierScans,
    /// Live names that have no file after a rotation, and until when they are watched.
    pub(super) vacant: Vec<(PathBuf, Duration)>,
    /// The next scan must search by content, although nothing is missing.
    pub(super) search_again: bool,
    /// The last attempt to save failed.
    pub(super) save_fails: bool,
    /// The streams that the start did not find are not reported yet.
    pub(super) unreported: bool,
    /// Problems that a scan does not find again: those of the state directory, and those of reading.
    pub(super) lasting_problems: Vec<Problem>,
    /// Files that may belong to several logs, and were assigned to one of them.
    pub(super) ambiguous: Vec<Problem>,
    pub(super) stats: Stats,
}

/// The results of the last scan of the directories.
#[derive(Debug, Default)]
pub(super) struct LastScan {
    /// Whether each file could be examined.
    pub(super) is_complete: bool,
    /// A file could not be opened.
    pub(super) has_failed: bool,
    /// Compressed files that are so new that they may still be written.
    pub(super) young: Vec<PathBuf>,
    /// Files behind links that are not followed.
    pub(super) refused: HashSet<Inode>,
    /// Whether a file was assigned to a log by its content.
    pub(super) has_assigned: bool,
    /// The paths of each log's live files.
    pub(super) live_inodes: HashMap<Arc<str>, Vec<Inode>>,
    /// Directories to watch for changes.
    pub(super) directories: BTreeSet<PathBuf>,
}

/// The facts that a scan needs about earlier ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct EarlierScans {
    /// Positions were lost: all rotated files count as unread.
    pub(super) read_all: bool,
    /// Wall time of the last scan, milliseconds since 1970; another process may have made it.
    pub(super) last: Option<i64>,
    /// The trusted time of that scan, milliseconds since 1970.
    pub(super) believed: Option<i64>,
    /// How often the clock had been set before that scan.
    pub(super) times_set: u64,
    /// Monotonic time of the last scan.
    pub(super) at: Duration,
}

/// The content of the state directory.
struct Stored {
    found: FoundState,
    host: Option<String>,
    assignments: Assignments,
    /// Assignments that are not in the checkpoint.
    unmatched: Vec<Assignment>,
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Locks and loads the state directory and finds the logs. `from` is the state that the previous tailer of this
    /// process left.
    ///
    /// # Errors
    /// When the state directory is in use or cannot be used, or a pattern cannot be used. `from` is unchanged then.
    pub(crate) fn open(
        settings: Settings,
        fs: F,
        clock: C,
        from: &mut CarriedFiles<F>,
    ) -> Result<Self, TailError> {
        let discover = Discover::new(&settings.logs, &settings.rotated_dirs, &settings.links)?;
        let (state, stored, problems) = Self::load_state(&settings, &fs, from)?;
        let Stored {
            found,
            host: stored_host,
            assignments,
            unmatched,
        } = stored;
        let mut problems = problems;
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
            // The identity needs at least this much of a cut line.
            line_bytes: settings.max_line_bytes.max(FIRST_LINE_BYTES),
        };
        let earlier = EarlierScans {
            read_all: matches!(found, FoundState::Used(_)),
            last: None,
            believed: None,
            times_set: 0,
            at: clock.now(),
        };
        let is_first_start = matches!(found, FoundState::FirstStart);
        let before = match &found {
            FoundState::FirstStart => None,
            FoundState::Used(before) => *before,
            FoundState::Checkpoint(checkpoint) => Some(checkpoint.header.time()),
        };
        let mut tailer = Self {
            trusted_clock: TrustedClock::new(earlier.at, clock.unix_millis(), before),
            open: OpenFiles::new(fs.clone(), limits, settings.open_files),
            settings,
            fs,
            clock,
            discover,
            state,
            assignments,
            streams: StreamTable::new(host, unmatched),
            seen: SeenFiles::default(),
            scan: LastScan::default(),
            earlier,
            vacant: Vec::new(),
            search_again: false,
            save_fails: false,
            unreported: true,
            lasting_problems: problems,
            ambiguous: Vec::new(),
            stats: std::mem::take(&mut from.stats),
        };
        if let FoundState::Checkpoint(checkpoint) = found {
            tailer.restore(*checkpoint);
        }
        let left = tailer.adopt(std::mem::take(&mut from.files));
        match tailer.begin(is_first_start, stored_host.is_none()) {
            Ok(()) => Ok(tailer),
            Err(error) => {
                *from = tailer.into_carried_files();
                from.files.extend(left);
                Err(error)
            }
        }
    }

    /// Opens the state directory and reads what is in it.
    fn load_state(
        settings: &Settings,
        fs: &F,
        from: &mut CarriedFiles<F>,
    ) -> Result<(State, Stored, Vec<Problem>), TailError> {
        let Some(output) = &settings.output else {
            let state = State::unkept(fs.disk(), &settings.data_dir);
            let (found, host) = state.load_unkept();
            let stored = Stored {
                found,
                host,
                assignments: Assignments::unkept(),
                unmatched: Vec::new(),
            };
            return Ok((state, stored, Vec::new()));
        };
        let mut state = match from.state.take_if(|state| state.is_of(&settings.data_dir)) {
            Some(state) => state,
            None => State::lock(fs.disk(), &settings.data_dir)?,
        };
        let mut problems = Vec::new();
        let loaded = state.load(output, &mut problems).and_then(|(found, host)| {
            let (assignments, unmatched) =
                Assignments::load(&*fs.disk(), &settings.data_dir, &mut problems)?;
            Ok(Stored {
                found,
                host,
                assignments,
                unmatched,
            })
        });
        match loaded {
            Ok(stored) => Ok((state, stored, problems)),
            Err(error) => {
                from.state = Some(state);
                Err(error)
            }
        }
    }

    fn begin(&mut self, is_first_start: bool, host_is_new: bool) -> Result<(), TailError> {
        self.reconcile();
        if is_first_start {
            // Whether a file is old history is decided once. The decision is saved before anything else can happen, and
            // before the identity file, whose existence means that an agent ran here.
            self.save()?;
        }
        if host_is_new && self.state.is_kept() {
            self.state.fix_host(self.streams.host())?;
        }
        Ok(())
    }

    fn restore(&mut self, checkpoint: Checkpoint) {
        let Checkpoint { header, entries } = checkpoint;
        self.earlier.last = Some(header.looked);
        self.earlier.read_all = header.read_all;
        let discover = &self.discover;
        self.streams
            .restore(header.logs, entries, |name| discover.log_of(name));
        self.forget_matched();
    }

    /// Returns the next complete lines of any file; `None` if there is nothing to read now.
    pub(crate) fn read(&mut self) -> Option<Chunk<'_>> {
        let (key, found, offset) = self.next_lines()?;
        let track = self.streams.get(key)?;
        let file = self.open.of(key)?;
        Some(Chunk {
            file: key,
            log: track.log,
            stream: track.stream?,
            path: &file.path,
            offset,
            end: found.end.offset,
            marker: found.end.marker,
            bytes: self.open.bytes(&found),
            cut: found.cut,
            limit: self.open.line_bytes(),
            framing: track.framing.get(),
            is_first: !track.framing.has_record_before(offset),
            passed_over: found.passed_over,
        })
    }

    /// Records that everything of `file` before `offset` is durable elsewhere. The caller uses increasing offsets and
    /// guarantees that nothing before them is missing.
    pub(crate) fn settle(&mut self, file: FileKey, offset: u64) {
        if let Some(track) = self.streams.get_mut(file)
            && track.settle(offset)
        {
            self.streams.mark_changed();
        }
    }

    /// Saves the settled positions durably, if they changed, and the identities of the open files.
    ///
    /// # Errors
    /// If the state directory cannot be written; the caller tries again later, and nothing is lost.
    pub(crate) fn save(&mut self) -> Result<(), TailError> {
        if !self.state.is_kept() {
            self.streams.mark_saved();
            return Ok(());
        }
        self.identify_unread();
        if !self.streams.is_changed() {
            return Ok(());
        }
        let saved = self.save_changes();
        self.save_fails = saved.is_err();
        saved
    }

    fn save_changes(&mut self) -> Result<(), TailError> {
        self.save_assignments()?;
        self.state.save(&self.checkpoint())?;
        self.streams.mark_saved();
        self.stats.saves += 1;
        Ok(())
    }

    /// Makes the assignments of content to logs durable.
    pub(super) fn save_assignments(&mut self) -> Result<(), TailError> {
        self.assignments
            .save(&*self.fs.disk(), self.streams.assignments())
    }

    /// Forgets the assignments of contents that have positions. While positions are lost, each of several files with
    /// the same beginning needs its own.
    pub(super) fn forget_matched(&mut self) {
        if !self.earlier.read_all {
            self.streams.forget_matched();
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        let mut header = Header::new(
            self.state.next_generation(),
            self.settings.output.as_deref().unwrap_or_default(),
            self.streams.host(),
            self.earlier.last.unwrap_or(0),
            self.streams.log_names(),
        );
        header.read_all = self.earlier.read_all;
        let believed = self.earlier.believed;
        header.believed = believed.filter(|believed| *believed != header.looked);
        Checkpoint {
            header,
            entries: self.streams.checkpoint_entries(),
        }
    }

    /// The time that may decide about lines for good, milliseconds since 1970: a clock that was set ahead is not
    /// trusted before it has run evenly for a day.
    pub(crate) fn trusted_now(&mut self) -> i64 {
        self.trusted_clock
            .look(self.clock.now(), self.clock.unix_millis())
    }

    /// Counters, and gauges as of the last reconcile.
    pub(crate) fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The host in every line's identity: that of the first start in this data_dir.
    pub(crate) fn host(&self) -> &str {
        self.streams.host()
    }

    /// Directories to watch for changes.
    pub(crate) fn dirs_to_watch(&self) -> impl Iterator<Item = &Path> {
        self.scan.directories.iter().map(PathBuf::as_path)
    }

    /// Whether a live path leads to another file than the one that is read, or has a file again. It costs one look at
    /// each path, and is used while no events are requested. `true` requires a reconcile.
    pub(crate) fn names_changed(&self) -> bool {
        let is_filled = |(path, _): &(PathBuf, Duration)| self.fs.metadata(path).is_ok();
        let has_moved = |file: &FileReader<F>| file.live && !file.is_at_its_path(&self.fs);
        self.vacant.iter().any(is_filled) || self.open.iter().any(has_moved)
    }

    /// Whether existing lines can be read only later: a compressed file may still be written, a file waits until
    /// another one is read to its end and closed, or the identity of a new one cannot be saved.
    pub(crate) fn waits(&self) -> bool {
        !self.scan.young.is_empty()
            || self.search_again
            || self.save_fails
            || self.open.slots.backlog
            || self.open.slots.is_waited_for()
            || self.open.iter().any(FileReader::ends_early)
            || self.open.iter().any(|file| self.waits_for_end(file))
    }

    /// Whether a rotated file ends with an open record, which is handed out when the file is closed.
    fn waits_for_end(&self, file: &FileReader<F>) -> bool {
        let track = self.streams.get(file.key);
        !file.live && track.is_some_and(|track| file.has_open_record(track))
    }

    /// Whether logs wait until others give up their descriptor.
    pub(crate) fn waits_for_descriptors(&self) -> bool {
        self.open.slots.is_waited_for()
    }

    /// The compressed files that may still be written.
    pub(crate) fn young_files(&self) -> &[PathBuf] {
        &self.scan.young
    }

    /// The most serious reason why existing lines cannot be read now.
    pub(crate) fn leaves(&self) -> Leaves {
        let leaves = self.stats.problems.iter().map(|problem| problem.leaves);
        leaves.max().unwrap_or(Leaves::Nothing)
    }

    /// The present number of unread bytes in each open file.
    pub(crate) fn lag(&self) -> Vec<Lag> {
        let of_file = |file: &FileReader<F>| {
            let track = self.streams.get(file.key)?;
            let size = match &file.source {
                LineSource::Plain(plain) => self.fs.metadata_of(plain).ok()?.size,
                LineSource::Gzip(_) => track.size,
            };
            let unread = size.saturating_sub(track.read.offset);
            Some(Lag {
                file: file.key,
                log: track.log,
                path: file.path.clone(),
                unread,
                framing: track.framing.get(),
            })
        };
        self.open.iter().filter_map(of_file).collect()
    }
}
