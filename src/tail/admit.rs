//! Which stream a file that a scan found continues, if any.
//!
//! Owns: the comparison of a file's content with the tracks, and the choice to open it, to leave it, or to
//! count it as old history. Refuses to know: when files are let go (`reconcile`), how they are read, and whose a
//! file is that its name does not tell (`content`).
//! Invariant: a file is left only when each complete line in it is read under its identity from another place,
//! was read, or is history that nobody asked for. The failures it guards against: a rotated file forgotten, a
//! copy read beside its original, and two files that merely begin alike taken for one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::content::Owner;
use super::descriptor_slots::is_shortage;
use super::discover::{Candidate, FoundBy, Scan};
use super::file_reader::{FileReader, LineSource, holds, position_at};
use super::fs::{FileKind, FileSystem, Metadata};
use super::gzip::{Gzip, Trailer, first_line};
use super::identity::{Position, beginning, stream_id};
use super::reconcile::GRACE_OF_THE_LAST;
use super::stats::{Leaves, Problem};
use super::stem::Compression;
use super::tailer::{TRUNCATED, Tailer};
use super::track::Track;
use super::{FileKey, StreamId};
use crate::clock::Clock;

/// A compressed file changed this recently may still be written, milliseconds.
pub(super) const COMPRESSION_GRACE: u64 = 5_000;

/// What a look at one file found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Decided,
    /// It may be the beginning of a file that this scan has not come to yet.
    AskAgain,
}

/// When the look is.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScanContext {
    pub(super) now: Duration,
    pub(super) wall: i64,
    pub(super) last_chance: bool,
}

/// A file under consideration.
pub(super) struct OpenedCandidate<'c, F: FileSystem> {
    pub(super) candidate: &'c Candidate,
    pub(super) file: Arc<F::File>,
    /// Of the file as it was opened.
    pub(super) metadata: Metadata,
    pub(super) compressed: bool,
    /// Its first complete line, as far as it counts; empty without one, and the same for a first line that is empty.
    pub(super) line: Vec<u8>,
    /// What that line hashes to.
    pub(super) beginning: u64,
    /// The identities it has under each log that it may belong to; none without a complete line.
    pub(super) streams: Vec<(Arc<str>, StreamId)>,
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Opens what holds something unread.
    pub(super) fn admit_all(&mut self, scan: &Scan, now: Duration, wall: i64) {
        let mut again = Vec::new();
        // What only a glob finds may be a copy or a rotated file of what has a better name: that comes first, the
        // shorter names before the longer ones.
        let is_new =
            |live: &&Candidate| live.is_tentative() && !self.streams.knows_log(&live.names[0]);
        let (mut new, mut named): (Vec<&Candidate>, Vec<&Candidate>) =
            scan.live.iter().partition(is_new);
        new.sort_by_key(|candidate| (candidate.path.as_os_str().len(), &candidate.path));
        // Who gave his place up comes after those that never had one, and the longest ago first.
        named.sort_by_key(|candidate| self.room.turn_of(candidate.metadata.inode));
        let had_none = |live: &&Candidate| self.room.turn_of(live.metadata.inode) == 0;
        let rested = named.split_off(named.partition_point(had_none));
        let named = named.into_iter().chain(&scan.siblings);
        for candidate in named.chain(new).chain(rested) {
            let context = ScanContext {
                now,
                wall,
                last_chance: false,
            };
            if self.admit_or_say_why(candidate, context) == Verdict::AskAgain {
                again.push(candidate);
            }
        }
        for candidate in again {
            self.admit_or_say_why(
                candidate,
                ScanContext {
                    now,
                    wall,
                    last_chance: true,
                },
            );
        }
    }

    fn admit_or_say_why(&mut self, candidate: &Candidate, context: ScanContext) -> Verdict {
        let mut admitted = self.admit(candidate, context);
        if admitted.as_ref().is_err_and(is_shortage) && self.make_up_for_shortage(candidate) {
            admitted = self.admit(candidate, context);
        }
        admitted.unwrap_or_else(|error| {
            self.sure = false;
            self.failed = true;
            self.note_other(candidate);
            // Renamed since the scan: the next one finds it. That nothing can be opened is told once.
            if error.kind() != io::ErrorKind::NotFound
                && !is_shortage(&error)
                && !self.is_undecodable(candidate, &error)
            {
                self.stats
                    .problems
                    .push(Problem::io(&self.fs, &candidate.path, &error));
            }
            Verdict::Decided
        })
    }

    pub(super) fn admit(
        &mut self,
        candidate: &Candidate,
        context: ScanContext,
    ) -> io::Result<Verdict> {
        let Metadata {
            inode,
            size,
            modified,
            ..
        } = candidate.metadata;
        if self.is_open(inode) || self.rests(candidate) {
            return Ok(Verdict::Decided);
        }
        // Found again at a path of its own, it is what a link leads to that is not followed.
        if candidate.names.is_empty() && self.refused.contains(&inode) {
            return Ok(Verdict::Decided);
        }
        if let Some(key) = self.is_known_copy(candidate) {
            self.leave_copy(candidate, key, context);
            self.note_other(candidate);
            return Ok(Verdict::Decided);
        }
        if let Some(done) = self.done.get(&inode)
            && self.counts_as_rotated(candidate, done.key)
            && (done.size, done.modified) == (size, modified)
            && !self.is_young_again(done.key, candidate)
        {
            let key = done.key;
            if (self.streams.get(key)).is_some_and(|track| !candidate.names.contains(&track.name)) {
                self.note_other(candidate);
            }
            self.assign(key, candidate);
            if let Some(track) = self.streams.get_mut(key) {
                track.seen = context.wall;
                // Not that of a shorter copy: whether a file is one is found out from the whole one.
                if candidate.compression.is_none() && size >= track.read.offset {
                    track.path.clone_from(&candidate.path);
                }
            }
            return Ok(Verdict::Decided);
        }
        let expired = self.is_expired(candidate);
        let compressed = match candidate.compression {
            None => false,
            Some(Compression::Gzip) => true,
            Some(_) => {
                // Of a file whose name says nothing nobody can tell.
                if !expired && !candidate.names.is_empty() {
                    self.unreadable_compression(candidate);
                }
                return Ok(Verdict::Decided);
            }
        };
        if expired {
            // What would not be read need not be readable.
            let opened = self.open_candidate(candidate, compressed);
            if let Some(opened) = opened.unwrap_or_default() {
                self.pass_over(&opened, context).unwrap_or_default();
            }
            return Ok(Verdict::Decided);
        }
        if compressed && self.looked.is_lineless(&candidate.metadata) {
            return Ok(Verdict::Decided);
        }
        if compressed && context.wall.abs_diff(modified / 1_000_000) < COMPRESSION_GRACE {
            self.sure = false;
            self.young.push(candidate.path.clone());
            self.note_other(candidate);
            return Ok(Verdict::Decided);
        }
        let Some(opened) = self.open_candidate(candidate, compressed)? else {
            return Ok(Verdict::Decided);
        };
        self.streams
            .note_beginning(&opened.streams, opened.beginning);
        if opened.streams.is_empty() && !candidate.names.is_empty() {
            // Without a complete line there is nothing to read yet; it comes first to the live file.
            if candidate.live && !self.is_gzip(&opened) && self.has_room(candidate) {
                let key = self
                    .streams
                    .add(&candidate.names[0], None, Position::start());
                self.attach_plain(key, opened, context);
            } else if compressed {
                self.look_for_damage(&opened);
            }
            return Ok(Verdict::Decided);
        }
        if candidate.names.is_empty() {
            self.note_beginning_of(&opened);
        }
        if self.begins_like_another(&opened) {
            if !context.last_chance {
                return Ok(Verdict::AskAgain);
            }
            let owner = self.owner(&opened)?;
            if !matches!(owner, Owner::Own) {
                self.note_other(candidate);
            }
            match owner {
                Owner::Own => {}
                Owner::Other(other) => {
                    let verdict = self.admit(&other, context)?;
                    // All of it is read already. Its writer may still hold it, so it is looked at again.
                    if let Some(done) = self.done.get(&inode)
                        && let Some(track) = self.streams.get(done.key)
                        && !candidate.is_of_alone(&track.name)
                    {
                        self.streams.assign(done.key);
                    }
                    return Ok(verdict);
                }
                Owner::Copy(key) => {
                    self.leave_copy(candidate, key, context);
                    return Ok(Verdict::Decided);
                }
                Owner::Later => {
                    self.sure = false;
                    self.search_again = true;
                    return Ok(Verdict::Decided);
                }
                Owner::Nobody => return Ok(Verdict::Decided),
            }
        }
        if candidate.names.is_empty() || self.is_gzip(&opened) {
            return Ok(Verdict::Decided);
        }
        if candidate.by == FoundBy::Declared && self.is_unassigned(&opened) {
            return Ok(Verdict::Decided);
        }
        if opened.compressed {
            self.admit_compressed(opened, context)
                .map(|()| Verdict::Decided)
        } else {
            self.admit_plain(opened, context)
        }
    }

    /// The file does not make its name that of a log.
    fn note_other(&mut self, candidate: &Candidate) {
        self.of_other_logs.extend(candidate.names.iter().cloned());
    }

    /// Whether it is a rotated file, or one that only a glob takes for live and that was read as another log's.
    fn counts_as_rotated(&self, candidate: &Candidate, key: FileKey) -> bool {
        let another = |track: &Track| !candidate.names.contains(&track.name);
        !candidate.live || candidate.is_tentative() && self.streams.get(key).is_some_and(another)
    }

    /// A declared file that may be one of several logs, none of which is known to have had its content, is read as
    /// none of them.
    fn is_unassigned(&mut self, opened: &OpenedCandidate<'_, F>) -> bool {
        let OpenedCandidate {
            candidate, streams, ..
        } = opened;
        let known = |(_, stream): &(_, StreamId)| self.streams.has_seen(*stream);
        let unassigned = candidate.names.len() != 1 && !streams.iter().any(known);
        if unassigned {
            self.stats.unassigned_files += 1;
            let problem = Problem::new(
                &candidate.path,
                format!(
                    "is a rotated file by `rotated`, and may belong to {}: it is not read; put `rotated` into a                      [[logs]] of one log",
                    match candidate.names.is_empty() {
                        true => "a log that was never seen".to_owned(),
                        false => candidate.names.join(" or "),
                    }
                ),
            );
            self.stats.problems.push(problem.leaving(Leaves::Input));
        }
        unassigned
    }

    /// Opens a file to see what it begins with; `None` when it is none to be read.
    fn open_candidate<'c>(
        &mut self,
        candidate: &'c Candidate,
        compressed: bool,
    ) -> io::Result<Option<OpenedCandidate<'c, F>>> {
        let (file, way) = self.fs.open(&candidate.path)?;
        let file = Arc::new(file);
        // What was opened is what counts: the name may have moved on since the scan.
        let metadata = self.fs.metadata_of(&file)?;
        if metadata.kind != FileKind::File || metadata.inode != candidate.metadata.inode {
            self.sure = false;
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
        let identity = |line: &[u8]| {
            let names = candidate.names.iter();
            names
                .map(|name| (Arc::clone(name), stream_id(self.streams.host(), name, line)))
                .collect()
        };
        let streams = line.as_deref().map(identity).unwrap_or_default();
        let line = line.unwrap_or_default();
        Ok(Some(OpenedCandidate {
            candidate,
            file,
            metadata,
            compressed,
            beginning: beginning(&line),
            line,
            streams,
        }))
    }

    fn admit_plain(
        &mut self,
        opened: OpenedCandidate<'_, F>,
        context: ScanContext,
    ) -> io::Result<Verdict> {
        let OpenedCandidate {
            candidate,
            file,
            metadata,
            streams,
            ..
        } = &opened;
        let mut best: Option<(u64, FileKey)> = None;
        let mut may_be_a_beginning = false;
        for key in self.streams.keys_of_any(streams) {
            let Some(track) = self.streams.get(key) else {
                continue;
            };
            if track.skipped {
                if !candidate.live {
                    self.set_done(key, metadata, context.wall);
                    return Ok(Verdict::Decided);
                }
            } else if track.read.offset > metadata.size {
                may_be_a_beginning = !candidate.live;
            } else if best.is_none_or(|(offset, _)| offset < track.read.offset)
                && holds(&self.fs, &**file, track.read)?
            {
                best = Some((track.read.offset, key));
            }
        }
        if may_be_a_beginning {
            // All its lines are read from the longer file, under the same ids.
            let keys = self.streams.keys_of_any(streams);
            if let Some((key, open)) = self.is_beginning_of(&keys, file, metadata.size)? {
                if !open {
                    self.set_done(key, metadata, context.wall);
                }
                return Ok(Verdict::Decided);
            }
            if !context.last_chance {
                return Ok(Verdict::AskAgain);
            }
        }
        if let Some((offset, key)) = best {
            if self.reader_of(key).is_some() {
                // A copy of what is being read: the open file goes on. Looked at again next time.
                if self.goes_beyond(metadata.size, key, false)? {
                    self.forget_unread(key, metadata.size);
                    self.read_anew(opened, context);
                }
            } else if candidate.live || metadata.size > offset {
                self.attach_plain(key, opened, context);
            } else {
                self.set_done(key, metadata, context.wall);
                if let Some(track) = self.streams.get_mut(key) {
                    track.path.clone_from(&candidate.path);
                }
            }
            return Ok(Verdict::Decided);
        }
        let (name, _) = &streams[0];
        if !candidate.live && self.is_history(candidate, name, context) {
            self.leave_as_history(&opened, context)?;
        } else {
            self.read_anew(opened, context);
        }
        Ok(Verdict::Decided)
    }

    fn admit_compressed(
        &mut self,
        opened: OpenedCandidate<'_, F>,
        context: ScanContext,
    ) -> io::Result<()> {
        let OpenedCandidate {
            candidate,
            file,
            metadata,
            streams,
            ..
        } = &opened;
        let trailer = Trailer::of(&self.fs, &**file, metadata.size)?;
        let size = u64::from(trailer.size);
        let mut best: Option<((bool, bool, u64), FileKey)> = None;
        let mut another = false;
        for key in self.streams.keys_of_any(streams) {
            let Some(track) = self.streams.get(key) else {
                continue;
            };
            if self.reader_of(key).is_some() {
                // One reader per identity: an open file goes on, if it is the one that was compressed.
                if !self.goes_beyond(size, key, true)? {
                    // What it holds besides is not lost.
                    self.sure = false;
                    return Ok(());
                }
                another = true;
            } else if track.skipped || track.finished && track.gzip == Some(trailer) {
                // Decoded once, and known from then on.
                self.set_done(key, metadata, context.wall);
                return Ok(());
            } else {
                // The longest that it can hold; but for files over 4 GiB, whose size is not known.
                let offset = track.read.offset;
                let rank = (offset == size, offset <= size, offset);
                if best.is_none_or(|(best, _)| best < rank) {
                    best = Some((rank, key));
                }
            }
        }
        let (name, _) = &streams[0];
        match best {
            Some((_, key)) => self.attach_compressed(key, opened, context),
            None if !another && self.is_history(candidate, name, context) => {
                self.leave_as_history(&opened, context)?;
            }
            None => self.read_anew(opened, context),
        }
        Ok(())
    }

    /// From the beginning, under whatever identity it has.
    fn read_anew(&mut self, opened: OpenedCandidate<'_, F>, context: ScanContext) {
        let OpenedCandidate {
            candidate, streams, ..
        } = &opened;
        let compressed = candidate.compression.is_some();
        if !self.has_room(candidate) {
            return;
        }
        if streams.len() > 1 {
            self.ambiguous(candidate);
        }
        let (name, stream) = &streams[0];
        if !self.streams.keys_of(*stream).is_empty() {
            self.stats.stream_id_collisions += 1;
        }
        let key = self
            .streams
            .add(name, Some((*stream, opened.beginning)), Position::start());
        if compressed {
            self.attach_compressed(key, opened, context);
        } else {
            self.attach_plain(key, opened, context);
        }
    }

    fn attach_plain(&mut self, key: FileKey, opened: OpenedCandidate<'_, F>, context: ScanContext) {
        let OpenedCandidate {
            candidate,
            file,
            metadata,
            ..
        } = opened;
        if self.has_room(candidate) {
            self.attach(key, LineSource::Plain(file), candidate, &metadata, context);
        }
    }

    fn attach_compressed(
        &mut self,
        key: FileKey,
        opened: OpenedCandidate<'_, F>,
        context: ScanContext,
    ) {
        let OpenedCandidate {
            candidate,
            file,
            metadata,
            ..
        } = opened;
        if self.has_room(candidate) {
            let source = LineSource::Gzip(Box::new(Gzip::new(self.fs.clone(), file)));
            self.attach(key, source, candidate, &metadata, context);
        }
    }

    pub(super) fn attach(
        &mut self,
        key: FileKey,
        source: LineSource<F>,
        candidate: &Candidate,
        metadata: &Metadata,
        context: ScanContext,
    ) {
        let Some(track) = self.streams.get_mut(key) else {
            return;
        };
        track.log = match candidate.names.len() {
            1 => candidate.log,
            _ => self.discover.log_of(&track.name).unwrap_or(candidate.log),
        };
        track.seen = context.wall;
        track.inode = metadata.inode;
        track.finished = false;
        track.expired = false;
        track.unfound = false;
        // Another file may hold more of it.
        self.search_again |= !candidate.live;
        track.assigned = matches!(candidate.by, FoundBy::Content | FoundBy::Declared);
        // A link may point elsewhere tomorrow.
        let link = self.fs.is_symlink(&candidate.path);
        let real = if link {
            self.fs.canonicalize(&candidate.path).ok()
        } else {
            None
        };
        track.path = real.unwrap_or_else(|| candidate.path.clone());
        if let LineSource::Plain(_) = source {
            track.size = track.size.max(metadata.size);
        }
        if let Some(missing) = &mut track.missing {
            let first = missing.held == track.read.offset;
            self.stats.rotations.copied += u64::from(missing.reason == TRUNCATED && first);
            missing.held = match source {
                LineSource::Plain(_) => missing.held.max(metadata.size),
                // How much it holds only decoding tells.
                LineSource::Gzip(_) => missing.size,
            };
            track.missing = track.missing.filter(|missing| missing.bytes() > 0);
        }
        // An old file was quiet before we came.
        let age = u64::try_from(context.wall.saturating_sub(metadata.modified / 1_000_000));
        let quiet_since = context
            .now
            .saturating_sub(Duration::from_millis(age.unwrap_or(0)));
        self.done.remove(&metadata.inode);
        self.room.opened(metadata.inode);
        self.start_problems
            .retain(|problem| problem.path != candidate.path);
        let (path, live) = (candidate.path.clone(), candidate.live);
        self.readers.push(FileReader::new(
            key,
            source,
            metadata.inode,
            path,
            live,
            quiet_since,
            context.now,
        ));
        self.stats.files_open = self.readers.len();
    }

    /// Whether a file that begins as the one being read holds more than that one: then they are two that
    /// merely begin alike. Of a compressed one nobody knows without decoding that it does not.
    fn goes_beyond(&self, size: u64, key: FileKey, compressed: bool) -> io::Result<bool> {
        let (Some(reader), Some(track)) = (self.reader_of(key), self.streams.get(key)) else {
            return Ok(false);
        };
        let LineSource::Plain(open) = &reader.source else {
            return Ok(false);
        };
        if !reader.live && self.grace(reader, &track.name) < GRACE_OF_THE_LAST {
            // It will be let go, and this one continues it.
            return Ok(false);
        }
        // An open file that was truncated just now is the original of a copy: the next read finds out.
        let beyond = self.fs.metadata_of(open)?.size < size || compressed && reader.live;
        Ok(beyond && holds(&self.fs, &**open, track.read)?)
    }

    /// Truncated before anything of it was read: a copy of `size` bytes holds it all, so nothing is missed.
    fn forget_unread(&mut self, key: FileKey, size: u64) {
        if let Some(track) = self.streams.get_mut(key)
            && track.read.offset == 0
            && track.size <= size
        {
            track.size = 0;
        }
    }

    /// Whether a file of `size` bytes holds the beginning of a longer one, which is open (true) or was read
    /// to its end (false): a copy that is still being made, or that was made earlier.
    pub(super) fn is_beginning_of(
        &self,
        keys: &[FileKey],
        file: &Arc<F::File>,
        size: u64,
    ) -> io::Result<Option<(FileKey, bool)>> {
        let here = position_at(&self.fs, &**file, size)?;
        for &key in keys {
            if let Some(FileReader {
                source: LineSource::Plain(open),
                ..
            }) = self.reader_of(key)
            {
                if position_at(&self.fs, &**open, size)? == here {
                    return Ok(Some((key, true)));
                }
            } else if let Some(track) = self.streams.get(key)
                && let Ok((longer, _)) = self.fs.open(&track.path)
                && let Ok(metadata) = self.fs.metadata_of(&longer)
                // Inodes are used again, this very file may have got one: it must be as it was left, and longer.
                && size < metadata.size
                && self.done.get(&metadata.inode).is_some_and(|done| {
                    done.key == key
                        && (done.size, done.modified) == (metadata.size, metadata.modified)
                })
                && position_at(&self.fs, &longer, size)? == here
            {
                return Ok(Some((key, false)));
            }
        }
        Ok(None)
    }

    /// Whether the content of a file whose name does not tell is compressed.
    fn has_gzip_magic(&self, file: &Arc<F::File>, candidate: &Candidate) -> io::Result<bool> {
        if !candidate.live && !candidate.names.is_empty() {
            return Ok(false);
        }
        let mut magic = [0; 2];
        Ok(self.fs.read_at(file, &mut magic, 0)? == 2 && magic == [0x1f, 0x8b])
    }

    /// nginx's `access_log … gzip` writes a compressed live file, whose end cannot be told from a half one.
    fn is_gzip(&mut self, opened: &OpenedCandidate<'_, F>) -> bool {
        let gzip = opened.candidate.live && opened.compressed;
        if gzip {
            let problem = Problem::new(
                &opened.candidate.path,
                "is written compressed (`access_log … gzip`) and cannot be followed; take `gzip` away from \
                 the access_log directive"
                    .to_owned(),
            );
            self.stats.problems.push(problem.leaving(Leaves::Input));
        }
        gzip
    }

    fn unreadable_compression(&mut self, candidate: &Candidate) {
        let text = "is compressed in a way that is not read; lines in it that were not read before are left \
                    out; compress with gzip, or with logrotate's delaycompress";
        let problem = Problem::new(&candidate.path, text.to_owned()).leaving(Leaves::Input);
        // A file is asked about twice where the first time did not decide.
        if !self.stats.problems.contains(&problem) {
            self.stats.problems.push(problem);
        }
    }

    fn ambiguous(&mut self, candidate: &Candidate) {
        self.stats.problems.push(Problem::new(
            &candidate.path,
            format!(
                "may belong to {}; it is read as the first of them; give each log a directory of its own for \
                 rotated files",
                candidate.names.join(" or ")
            ),
        ));
    }
}
