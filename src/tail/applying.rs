//! Applies the decision which stream a file continues.
//!
//! Owns: the changes to streams, open files and counters that a [`Decision`] causes. Refuses to know: how the decision
//! was made. Invariant: a file is opened for reading only with a slot, and for one stream. The failure it guards
//! against: a file counts as read, or as passed over, although it was neither.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::FileKey;
use super::candidates::{FileProbe, MatchState, OpenedCandidate};
use super::discover::{Candidate, FoundBy};
use super::file_reader::{FileReader, LineSource, last_line_end};
use super::fs::{FileSystem, Metadata};
use super::gzip::Gzip;
use super::identity::Position;
use super::matching::{Decision, ExpiredFile};
use super::reconcile::ScanContext;
use super::stats::{Leaves, Problem};
use super::stem::Compression;
use super::tailer::{TRUNCATED, Tailer};
use crate::clock::Clock;

/// How many files that may belong to several logs are reported at once.
const MAX_AMBIGUOUS: usize = 64;

/// The reason for passed-over bytes: their file is older than `retention`.
const EXPIRED: &str = "expired";

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Applies the decision on an opened candidate.
    pub(super) fn apply(
        &mut self,
        decision: Decision,
        opened: OpenedCandidate<'_, F>,
        context: ScanContext,
    ) -> io::Result<MatchState> {
        let candidate = opened.candidate;
        let metadata = opened.content.metadata;
        match decision {
            Decision::NoLog => {}
            Decision::AskAgain => return Ok(MatchState::AskAgain),
            Decision::NoLine => self.apply_no_line(opened, context),
            Decision::LiveGzip => self.report_live_gzip(candidate),
            Decision::Unassigned => self.report_unassigned(candidate),
            Decision::OtherLog {
                name,
                equally_likely,
            } => {
                self.report_equally_likely(candidate, &name, &equally_likely);
                return self.match_as_file_of(&name, &opened, context);
            }
            Decision::CopyOf(key) => {
                self.leave_copy(candidate, key, context);
            }
            Decision::Later => {
                self.scan.is_complete = false;
                self.search_again = true;
            }
            Decision::ReadFromOpen(_) => {
                if opened.content.compressed {
                    // The other bytes in it are not lost.
                    self.scan.is_complete = false;
                }
            }
            Decision::WasRead { key, to_its_end } => {
                self.finish_file(key, &metadata, context);
                if to_its_end && let Some(track) = self.streams.get_mut(key) {
                    track.path.clone_from(&candidate.path);
                }
            }
            Decision::Continue(key) => self.open_for(key, opened, context),
            Decision::New { beside } => {
                if let Some(key) = beside {
                    self.forget_unread(key, metadata.size);
                }
                self.read_as_new(opened, context);
            }
            Decision::History => self.leave_as_history(&opened, context)?,
        }
        Ok(MatchState::Decided)
    }

    /// Without a complete line there is nothing to read yet. nginx writes the first line to the live file.
    fn apply_no_line(&mut self, opened: OpenedCandidate<'_, F>, context: ScanContext) {
        let candidate = opened.candidate;
        let is_live_gzip = candidate.live && opened.content.compressed;
        if is_live_gzip {
            self.report_live_gzip(candidate);
        }
        if candidate.live && !is_live_gzip && self.has_slot(candidate) {
            let name = &candidate.names[0];
            let key = self.streams.add(name, None, Position::start());
            self.open_for(key, opened, context);
        } else if candidate.compression.is_some() {
            self.look_for_damage(&opened);
        }
    }

    /// Matches a candidate again as a file of the log to which its content belongs.
    fn match_as_file_of(
        &mut self,
        name: &Arc<str>,
        opened: &OpenedCandidate<'_, F>,
        context: ScanContext,
    ) -> io::Result<MatchState> {
        let candidate = opened.candidate;
        let other = Candidate {
            log: self.discover.log_of(name).unwrap_or(0),
            names: vec![Arc::clone(name)],
            live: false,
            by: FoundBy::Content,
            compression: opened.content.compressed.then_some(Compression::Gzip),
            ..candidate.clone()
        };
        self.scan.has_assigned = true;
        let state = self.match_candidate(&other, context)?;
        // All of it may have been read. A process may still write to it, so it is examined again.
        if let Some(seen) = self.seen.finished(candidate.metadata.inode)
            && let Some(track) = self.streams.get(seen.key)
            && !candidate.is_of_alone(&track.name)
        {
            self.streams.assign(seen.key);
        }
        Ok(state)
    }

    /// Records that a file is a copy of what is read as this stream, and reports it if it looks like a log.
    pub(super) fn leave_copy(&mut self, candidate: &Candidate, key: FileKey, context: ScanContext) {
        // The size of a compressed file's content is known only after decoding.
        if candidate.compression.is_none() {
            self.seen.add_copy(&candidate.metadata, key);
        }
        // Its original is remembered for as long as the copy exists.
        self.assign(key, candidate);
        let Some(track) = self.streams.get_mut(key) else {
            return;
        };
        track.seen = context.wall;
        if candidate.live {
            self.stats.problems.push(Problem::new(
                &candidate.path,
                format!(
                    "holds the lines of {} and is not indexed beside it; if it is a log of its own, name it in paths \
                     without a wildcard, if not, leave it out by exclude",
                    track.path.display()
                ),
            ));
        }
    }

    /// Records that the content of a stream has a name that could belong to another log: after a loss of the positions
    /// it must not be assigned to that log.
    pub(super) fn assign(&mut self, key: FileKey, candidate: &Candidate) {
        if !candidate.names.is_empty()
            && let Some(track) = self.streams.get(key)
            && !candidate.is_of_alone(&track.name)
        {
            self.streams.assign(key);
        }
    }

    /// Reads a file from its beginning, under the identity of its first line.
    fn read_as_new(&mut self, opened: OpenedCandidate<'_, F>, context: ScanContext) {
        let candidate = opened.candidate;
        let content = &opened.content;
        if !self.has_slot(candidate) {
            return;
        }
        if content.streams.len() > 1 {
            self.report_several_logs(candidate);
        }
        let Some((name, stream)) = content.streams.first() else {
            return;
        };
        if !self.streams.keys_of(*stream).is_empty() {
            self.stats.stream_id_collisions += 1;
        }
        let identity = Some((*stream, content.beginning));
        let key = self.streams.add(name, identity, Position::start());
        self.open_for(key, opened, context);
    }

    /// Opens a file for the rest of a stream, if there is a slot.
    fn open_for(&mut self, key: FileKey, opened: OpenedCandidate<'_, F>, context: ScanContext) {
        let OpenedCandidate {
            candidate,
            file,
            content,
        } = opened;
        if self.has_slot(candidate) {
            let source = match content.compressed {
                true => LineSource::Gzip(Box::new(Gzip::new(self.fs.clone(), file))),
                false => LineSource::Plain(file),
            };
            let (metadata, line) = (&content.metadata, &content.line);
            self.attach(key, source, candidate, metadata, line, context);
        }
    }

    fn has_slot(&mut self, candidate: &Candidate) -> bool {
        let (live, now) = (candidate.live, self.clock.now());
        (self.open).has_slot(live, &candidate.metadata, &mut self.streams, now)
    }

    /// Continues a stream from this file, whose first line is `line`; empty if that is not known.
    pub(super) fn attach(
        &mut self,
        key: FileKey,
        source: LineSource<F>,
        candidate: &Candidate,
        metadata: &Metadata,
        line: &[u8],
        context: ScanContext,
    ) {
        let Some(track) = self.streams.get_mut(key) else {
            return;
        };
        track.log = match candidate.names.len() {
            1 => candidate.log,
            _ => self.discover.log_of(&track.name).unwrap_or(candidate.log),
        };
        let setting = self.settings.logs.get(track.log).map(|log| log.framing);
        track.framing.configure(setting.unwrap_or_default(), line);
        track.seen = context.wall;
        track.inode = metadata.inode;
        track.finished = false;
        track.expired = false;
        track.unfound = false;
        // Another file may contain more of it.
        self.search_again |= !candidate.live;
        track.assigned = matches!(candidate.by, FoundBy::Content | FoundBy::Declared);
        // A link may later lead to another file.
        let is_link = self.fs.is_symlink(&candidate.path);
        let real = match is_link {
            true => self.fs.canonicalize(&candidate.path).ok(),
            false => None,
        };
        track.path = real.unwrap_or_else(|| candidate.path.clone());
        if let LineSource::Plain(_) = source {
            track.size = track.size.max(metadata.size);
        }
        if let Some(missing) = &mut track.missing {
            let is_first = missing.held == track.read.offset;
            self.stats.rotations.copied += u64::from(missing.reason == TRUNCATED && is_first);
            missing.held = match source {
                LineSource::Plain(_) => missing.held.max(metadata.size),
                // The size of its content is known only after decoding.
                LineSource::Gzip(_) => missing.size,
            };
            track.missing = track.missing.filter(|missing| missing.bytes() > 0);
        }
        // An old file was idle before it was opened.
        let age = u64::try_from(context.wall.saturating_sub(metadata.modified / 1_000_000));
        let age = Duration::from_millis(age.unwrap_or(0));
        self.seen.reopen(metadata.inode);
        self.lasting_problems
            .retain(|problem| problem.path != candidate.path);
        self.open.add(FileReader::new(
            key,
            source,
            metadata.inode,
            candidate.path.clone(),
            candidate.live,
            context.now.saturating_sub(age),
            context.now,
        ));
        self.stats.files_open = self.open.len();
    }

    /// The open file of a stream was truncated before any of it was read. A copy of `size` bytes contains all of it, so
    /// nothing is missing.
    fn forget_unread(&mut self, key: FileKey, size: u64) {
        if let Some(track) = self.streams.get_mut(key)
            && track.read.offset == 0
            && track.size <= size
        {
            track.size = 0;
        }
    }

    /// Passes over a file that is older than `retention`. Its unread bytes are counted once, and do not count as lost,
    /// now or when the file is deleted.
    pub(super) fn pass_over(
        &mut self,
        opened: &OpenedCandidate<'_, F>,
        context: ScanContext,
    ) -> io::Result<()> {
        let probe = FileProbe {
            tailer: self,
            opened,
        };
        let (key, unread) = match self.as_match(opened, context, &probe).expired()? {
            ExpiredFile::Ignored => return Ok(()),
            ExpiredFile::History => return self.leave_as_history(opened, context),
            ExpiredFile::PassedOver { key, unread } => (key, unread),
        };
        let content = &opened.content;
        let key = match (key, content.streams.first()) {
            (Some(key), _) => key,
            (None, Some((name, stream))) => {
                let identity = Some((*stream, content.beginning));
                self.streams.add(name, identity, Position::start())
            }
            (None, None) => return Ok(()),
        };
        if unread > 0 {
            *self.stats.passed_over_bytes.entry(EXPIRED).or_default() += unread;
        }
        if let Some(track) = self.streams.get_mut(key) {
            track.missing = None;
            track.finished = true;
            track.expired = true;
            self.streams.mark_changed();
        }
        self.finish_file(key, &content.metadata, context);
        Ok(())
    }

    /// Counts a file as read up to its present end; lines that nginx still writes into it are not history. The content
    /// size of a compressed file is unknown, so it is never read.
    fn leave_as_history(
        &mut self,
        opened: &OpenedCandidate<'_, F>,
        context: ScanContext,
    ) -> io::Result<()> {
        let content = &opened.content;
        let position = match content.compressed {
            true => Position::start(),
            false => last_line_end(&self.fs, &opened.file, content.metadata.size)?,
        };
        let Some((name, stream)) = content.streams.first() else {
            return Ok(());
        };
        let identity = Some((*stream, content.beginning));
        let key = self.streams.add(name, identity, position);
        if let Some(track) = self.streams.get_mut(key) {
            track.log = opened.candidate.log;
            track.framing.hand_on(position.offset, true);
            track.finished = true;
            track.skipped = content.compressed;
            track.inode = content.metadata.inode;
            track.path.clone_from(&opened.candidate.path);
        }
        self.finish_file(key, &content.metadata, context);
        Ok(())
    }

    /// Records that nothing more is to be read from a file in its present state.
    fn finish_file(&mut self, key: FileKey, metadata: &Metadata, context: ScanContext) {
        self.seen.finish(metadata, key);
        if let Some(track) = self.streams.get_mut(key) {
            track.seen = context.wall;
        }
    }

    fn report_live_gzip(&mut self, candidate: &Candidate) {
        let text = "is written compressed (`access_log … gzip`) and cannot be followed; remove `gzip` from the \
                    access_log directive";
        let problem = Problem::new(&candidate.path, text.to_owned());
        self.stats.problems.push(problem.leaving(Leaves::Input));
    }

    /// Reports a declared file that may belong to several logs; it is not read for any of them.
    fn report_unassigned(&mut self, candidate: &Candidate) {
        self.stats.unassigned_files += 1;
        let text = format!(
            "is a rotated file by `rotated`, and may belong to {}: it is not read; put `rotated` into a [[logs]] of \
             one log",
            candidate.names.join(" or ")
        );
        let problem = Problem::new(&candidate.path, text);
        self.stats.problems.push(problem.leaving(Leaves::Input));
    }

    fn report_several_logs(&mut self, candidate: &Candidate) {
        self.stats.problems.push(Problem::new(
            &candidate.path,
            format!(
                "may belong to {}; it is read as the first of them; give each log a directory of its own for rotated \
                 files",
                candidate.names.join(" or ")
            ),
        ));
    }

    fn report_equally_likely(
        &mut self,
        candidate: &Candidate,
        name: &Arc<str>,
        equally_likely: &[Arc<str>],
    ) {
        if equally_likely.is_empty() {
            return;
        }
        let problem = Problem::new(
            &candidate.path,
            format!(
                "may belong to {}, whose files begin alike; it is read as one of {name}; give each log a directory of \
                 its own for rotated files",
                equally_likely.join(" or ")
            ),
        );
        if self.ambiguous.len() < MAX_AMBIGUOUS && !self.ambiguous.contains(&problem) {
            self.stats.problems.push(problem.clone());
            self.ambiguous.push(problem);
        }
    }
}
