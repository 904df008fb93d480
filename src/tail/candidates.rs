//! Processes the files that a scan found, from their names to the decision which stream they continue.
//!
//! Owns: the order in which candidates are matched, and which of them need not be opened. Refuses to know: the decision
//! (`matching`), and its effects (`applying`). Invariant: a file is opened only when its metadata do not show what it
//! contains; a file that cannot be opened makes the scan incomplete. The failures it guards against: each scan opens
//! all rotated files again, and a file that could not be examined counts as deleted.

use std::io;
use std::sync::Arc;

use super::FileKey;
use super::closing::GRACE_OF_THE_LAST;
use super::descriptor_slots::is_shortage;
use super::discover::{Candidate, Scan};
use super::file_reader::{holds, position_at};
use super::fs::{FileKind, FileSystem, Metadata};
use super::gzip::{Gzip, Trailer, first_line};
use super::history::HistoryRule;
use super::identity::{Position, beginning};
use super::matching::{Content, Match, OpenFile, Probe};
use super::reconcile::ScanContext;
use super::stats::{Leaves, Problem};
use super::stem::Compression;
use super::tailer::Tailer;
use super::track::Track;
use crate::clock::Clock;

/// A compressed file that changed within this time may still be written, milliseconds.
pub(super) const COMPRESSION_GRACE: u64 = 5_000;

/// Whether a candidate is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MatchState {
    Decided,
    /// It may be the beginning of a file that this scan has not reached yet.
    AskAgain,
}

/// A candidate that was opened.
pub(super) struct OpenedCandidate<'c, F: FileSystem> {
    pub(super) candidate: &'c Candidate,
    pub(super) file: Arc<F::File>,
    pub(super) content: Content,
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Opens the files of a scan that contain unread bytes.
    pub(super) fn match_all(&mut self, scan: &Scan, context: ScanContext) {
        let mut again = Vec::new();
        // A file that only a glob finds may be a copy or a rotated file of one with a better name: that one comes
        // first, and shorter names come before longer ones.
        let is_new =
            |live: &&Candidate| live.is_tentative() && !self.streams.knows_log(&live.names[0]);
        let (mut new, mut named): (Vec<&Candidate>, Vec<&Candidate>) =
            scan.live.iter().partition(is_new);
        new.sort_by_key(|candidate| (candidate.path.as_os_str().len(), &candidate.path));
        // Logs that gave up their slot come after those that never had one, and the longest ago come first.
        let slots = &self.open.slots;
        named.sort_by_key(|candidate| slots.turn_of(candidate.metadata.inode));
        let had_none = |live: &&Candidate| slots.turn_of(live.metadata.inode) == 0;
        let rested = named.split_off(named.partition_point(had_none));
        let named = named.into_iter().chain(&scan.siblings);
        for candidate in named.chain(new).chain(rested) {
            if self.match_or_report(candidate, context) == MatchState::AskAgain {
                again.push(candidate);
            }
        }
        for candidate in again {
            let context = ScanContext {
                last_chance: true,
                ..context
            };
            self.match_or_report(candidate, context);
        }
    }

    fn match_or_report(&mut self, candidate: &Candidate, context: ScanContext) -> MatchState {
        let mut state = self.match_candidate(candidate, context);
        if state.as_ref().is_err_and(is_shortage) {
            let now = self.clock.now();
            let live = candidate.live;
            if (self.open).make_up_for_shortage(live, &mut self.streams, now) {
                state = self.match_candidate(candidate, context);
            }
        }
        state.unwrap_or_else(|error| {
            self.scan.is_complete = false;
            self.scan.has_failed = true;
            // A file that was renamed since the scan is found by the next one. A shortage is reported once for all
            // files.
            if error.kind() != io::ErrorKind::NotFound
                && !is_shortage(&error)
                && !self.is_undecodable(candidate, &error)
            {
                let problem = Problem::io(&self.fs, &candidate.path, &error);
                self.stats.problems.push(problem);
            }
            MatchState::Decided
        })
    }

    /// Determines what a candidate is, and opens it for reading if it contains unread bytes.
    pub(super) fn match_candidate(
        &mut self,
        candidate: &Candidate,
        context: ScanContext,
    ) -> io::Result<MatchState> {
        if self.is_settled_by_metadata(candidate, context) {
            return Ok(MatchState::Decided);
        }
        let is_expired = self.is_expired(candidate);
        let compressed = match candidate.compression {
            None => false,
            Some(Compression::Gzip) => true,
            Some(_) => {
                // A file whose name does not identify a log may belong to none.
                if !is_expired && !candidate.names.is_empty() {
                    self.report_compression(candidate);
                }
                return Ok(MatchState::Decided);
            }
        };
        if is_expired {
            // A file that would not be read need not be readable.
            let opened = self.open_candidate(candidate, compressed);
            if let Some(opened) = opened.unwrap_or_default() {
                self.pass_over(&opened, context).unwrap_or_default();
            }
            return Ok(MatchState::Decided);
        }
        if compressed && self.seen.is_lineless(&candidate.metadata) {
            return Ok(MatchState::Decided);
        }
        let changed = candidate.metadata.modified / 1_000_000;
        if compressed && context.wall.abs_diff(changed) < COMPRESSION_GRACE {
            self.scan.is_complete = false;
            self.scan.young.push(candidate.path.clone());
            return Ok(MatchState::Decided);
        }
        let Some(opened) = self.open_candidate(candidate, compressed)? else {
            return Ok(MatchState::Decided);
        };
        let content = &opened.content;
        self.streams
            .note_beginning(&content.streams, content.beginning);
        if candidate.names.is_empty() {
            let beginning = (!content.line.is_empty()).then_some(content.beginning);
            self.seen.note_beginning(&content.metadata, beginning);
        }
        let probe = FileProbe {
            tailer: self,
            opened: &opened,
        };
        let decision = self
            .as_match(&opened, context, &probe)
            .decide(context.last_chance)?;
        self.apply(decision, opened, context)
    }

    pub(super) fn as_match<'a>(
        &'a self,
        opened: &'a OpenedCandidate<'_, F>,
        context: ScanContext,
        probe: &'a FileProbe<'a, F, C>,
    ) -> Match<'a, FileProbe<'a, F, C>> {
        let (clock, history) = (&self.trusted_clock, self.settings.history);
        Match {
            candidate: opened.candidate,
            content: &opened.content,
            streams: &self.streams,
            discover: &self.discover,
            history: HistoryRule::new(&self.earlier, clock, history, context),
            probe,
        }
    }

    /// Whether a candidate need not be opened, because there is no sign that it contains anything new.
    fn is_settled_by_metadata(&mut self, candidate: &Candidate, context: ScanContext) -> bool {
        let file = &candidate.metadata;
        if self.open.holds_inode(file.inode) {
            return true;
        }
        if candidate.live {
            let (now, wall) = (self.clock.now(), self.clock.unix_millis());
            if self.open.rests(file, &mut self.streams, now, wall) {
                return true;
            }
        }
        // A file behind a link that is not followed, found again at its own path.
        if candidate.names.is_empty() && self.scan.refused.contains(&file.inode) {
            return true;
        }
        if let Some(key) = self.is_known_copy(candidate) {
            self.leave_copy(candidate, key, context);
            return true;
        }
        let Some(seen) = self.seen.finished(file.inode) else {
            return false;
        };
        let key = seen.key;
        if !self.counts_as_rotated(candidate, key)
            || !seen.is_unchanged(file)
            || self.is_young_again(key, candidate)
        {
            return false;
        }
        self.assign(key, candidate);
        if let Some(track) = self.streams.get_mut(key) {
            track.seen = context.wall;
            // The path of a shorter copy does not count: only the whole file shows whether a file is a copy.
            if candidate.compression.is_none() && file.size >= track.read.offset {
                track.path.clone_from(&candidate.path);
            }
        }
        true
    }

    /// Whether it is a rotated file, or a file that only a glob takes for live and that was read as another log's.
    fn counts_as_rotated(&self, candidate: &Candidate, key: FileKey) -> bool {
        let is_another = |track: &Track| !candidate.names.contains(&track.name);
        !candidate.live || candidate.is_tentative() && self.streams.get(key).is_some_and(is_another)
    }

    /// The stream that a candidate was found to be a copy of, unless either has changed so that this may no longer be
    /// true.
    fn is_known_copy(&self, candidate: &Candidate) -> Option<FileKey> {
        let file = &candidate.metadata;
        let copy = self.seen.copy(file.inode)?;
        let track = self.streams.get(copy.key)?;
        let is_read = track.finished && track.read.offset >= file.size;
        let is_read = is_read || self.open.of(copy.key).is_some();
        (copy.is_unchanged(file) && is_read).then_some(copy.key)
    }

    /// Opens a file to read its beginning; `None` if it must not be read.
    fn open_candidate<'c>(
        &mut self,
        candidate: &'c Candidate,
        compressed: bool,
    ) -> io::Result<Option<OpenedCandidate<'c, F>>> {
        let (file, way) = self.fs.open(&candidate.path)?;
        let file = Arc::new(file);
        // The opened file counts: another file may have got its name since the scan.
        let metadata = self.fs.metadata_of(&file)?;
        if metadata.kind != FileKind::File || metadata.inode != candidate.metadata.inode {
            self.scan.is_complete = false;
            return Ok(None);
        }
        if self.is_refused(candidate, &way, &metadata) {
            return Ok(None);
        }
        let compressed = compressed || self.has_gzip_magic(&file, candidate)?;
        let line = first_line(&self.fs, &file, compressed)?;
        if self.is_foreign(candidate, line.as_deref()) {
            return Ok(None);
        }
        let streams = line.as_deref().map(|line| {
            let identity = |name: &Arc<str>| {
                let (stream, _) = self.streams.identity(name, line);
                (Arc::clone(name), stream)
            };
            candidate.names.iter().map(identity).collect()
        });
        let streams = streams.unwrap_or_default();
        let line = line.unwrap_or_default();
        Ok(Some(OpenedCandidate {
            candidate,
            file,
            content: Content {
                metadata,
                compressed,
                beginning: beginning(&line),
                line,
                streams,
            },
        }))
    }

    /// Whether the content of a file is compressed although its name does not show it.
    fn has_gzip_magic(&self, file: &Arc<F::File>, candidate: &Candidate) -> io::Result<bool> {
        if !candidate.live && !candidate.names.is_empty() {
            return Ok(false);
        }
        let mut magic = [0; 2];
        Ok(self.fs.read_at(file, &mut magic, 0)? == 2 && magic == [0x1f, 0x8b])
    }

    fn report_compression(&mut self, candidate: &Candidate) {
        let text = "is compressed in a format that cannot be read; lines in it that were not read before are not \
                    indexed; compress with gzip, or use logrotate's delaycompress";
        let problem = Problem::new(&candidate.path, text.to_owned()).leaving(Leaves::Input);
        // A file is matched twice if the first match did not decide.
        if !self.stats.problems.contains(&problem) {
            self.stats.problems.push(problem);
        }
    }
}

/// Answers the questions of a match from the files themselves.
pub(super) struct FileProbe<'t, F: FileSystem, C: Clock> {
    pub(super) tailer: &'t Tailer<F, C>,
    pub(super) opened: &'t OpenedCandidate<'t, F>,
}

impl<F: FileSystem, C: Clock> FileProbe<'_, F, C> {
    /// The open plain file of a stream.
    fn plain(&self, key: FileKey) -> io::Result<&F::File> {
        let file = self.tailer.open.plain_of(key);
        file.map(|file| &**file)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl<F: FileSystem, C: Clock> Probe for FileProbe<'_, F, C> {
    fn holds(&self, position: Position) -> io::Result<Option<bool>> {
        let (fs, file) = (&self.tailer.fs, &self.opened.file);
        match self.opened.content.compressed {
            true => Gzip::holds(fs.clone(), Arc::clone(file), position),
            false => holds(fs, file, position).map(Some),
        }
    }

    fn position_at(&self, offset: u64) -> io::Result<Position> {
        position_at(&self.tailer.fs, &self.opened.file, offset)
    }

    fn trailer(&self) -> io::Result<Trailer> {
        let size = self.opened.content.metadata.size;
        Trailer::of(&self.tailer.fs, &self.opened.file, size)
    }

    fn open_file(&self, key: FileKey) -> Option<OpenFile> {
        let file = self.tailer.open.of(key)?;
        let track = self.tailer.streams.get(key)?;
        Some(OpenFile {
            live: file.live,
            compressed: file.is_compressed(),
            is_closed_soon: self.tailer.grace(file, &track.name) < GRACE_OF_THE_LAST,
        })
    }

    fn open_size(&self, key: FileKey) -> io::Result<u64> {
        let metadata = self.tailer.fs.metadata_of(self.plain(key)?)?;
        Ok(metadata.size)
    }

    fn open_holds(&self, key: FileKey, position: Position) -> io::Result<bool> {
        holds(&self.tailer.fs, self.plain(key)?, position)
    }

    fn open_position_at(&self, key: FileKey, offset: u64) -> io::Result<Position> {
        position_at(&self.tailer.fs, self.plain(key)?, offset)
    }

    fn open_beginning(&self, key: FileKey) -> io::Result<Option<u64>> {
        let Some(file) = self.tailer.open.plain_of(key) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let line = first_line(&self.tailer.fs, file, false)?;
        Ok(line.map(|line| beginning(&line)))
    }

    fn finished_position_at(&self, key: FileKey, offset: u64) -> io::Result<Option<Position>> {
        let Tailer {
            fs, streams, seen, ..
        } = self.tailer;
        let opened = streams.get(key).map(|track| fs.open(&track.path));
        let Some(Ok((file, _))) = opened else {
            return Ok(None);
        };
        let Ok(metadata) = fs.metadata_of(&file) else {
            return Ok(None);
        };
        // Inodes are reused, and this very file may have a reused one: it must be unchanged since it was closed.
        let is_left = |metadata: &Metadata| {
            let finished = seen.finished(metadata.inode);
            finished.is_some_and(|seen| seen.key == key && seen.is_unchanged(metadata))
        };
        match offset < metadata.size && is_left(&metadata) {
            true => position_at(fs, &file, offset).map(Some),
            false => Ok(None),
        }
    }
}
