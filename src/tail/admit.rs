//! Which stream a file that a scan found continues, if any.
//!
//! Owns: the comparison of a file's content with the tracks, and the choice to open it, to leave it, or to
//! count it as old history. Refuses to know: when files are let go (`reconcile`) and how they are read.
//! Invariant: a file is left only when each complete line in it is read under its identity from another place,
//! was read, or is history that nobody asked for. The failures it guards against: a rotated file forgotten, a
//! copy read beside its original, and two files that merely begin alike taken for one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::discover::{Candidate, Scan};
use super::fs::{FileSystem, Kind, Metadata};
use super::gzip::{Gzip, Trailer, first_line};
use super::identity::{Place, stream_id};
use super::reader::{Reader, Source, holds, last_line_end, place_at};
use super::reconcile::{DELETED, GRACE_OF_THE_LAST, MAX_OPEN_UNNAMED};
use super::stats::Problem;
use super::stem::Compression;
use super::tailer::{Done, TRUNCATED, Tailer};
use super::{FileKey, StreamId};
use crate::clock::Clock;

/// Rotated files that have a name, plain or compressed, open at once: each holds a file descriptor.
const MAX_OPEN_ROTATED: usize = 128;

/// Why bytes are passed over: their file is older than `retention`.
const EXPIRED: &str = "expired";

/// A compressed file changed this recently may still be written, milliseconds.
const COMPRESSION_GRACE: u64 = 5_000;

/// How far a file's time may be off, milliseconds: the kernel's clock is a little behind, and a clock may have
/// been set while nobody looked. To read a little that was not asked for is better than to miss a line.
const CLOCK_SLACK: i64 = 3_600_000;

/// What a look at one file found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Decided,
    /// It may be the beginning of a file that this scan has not come to yet.
    AskAgain,
}

/// When the look is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) now: Duration,
    pub(super) wall: i64,
    pub(super) last_chance: bool,
}

/// A file under consideration.
struct Subject<'c, F: FileSystem> {
    candidate: &'c Candidate,
    file: Arc<F::File>,
    /// Of the file as it was opened.
    metadata: Metadata,
    /// The identities it has under each log that it may belong to.
    streams: Vec<(Arc<str>, StreamId)>,
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Opens what holds something unread.
    pub(super) fn admit_all(&mut self, scan: &Scan, now: Duration, wall: i64) {
        let mut again = Vec::new();
        let all: Vec<&Candidate> = scan.live.iter().chain(&scan.siblings).collect();
        for candidate in all {
            let look = Look {
                now,
                wall,
                last_chance: false,
            };
            if self.admit_or_say_why(candidate, look) == Verdict::AskAgain {
                again.push(candidate);
            }
        }
        for candidate in again {
            self.admit_or_say_why(
                candidate,
                Look {
                    now,
                    wall,
                    last_chance: true,
                },
            );
        }
    }

    fn admit_or_say_why(&mut self, candidate: &Candidate, look: Look) -> Verdict {
        self.admit(candidate, look).unwrap_or_else(|error| {
            self.sure = false;
            // Renamed since the scan: the next one finds it.
            if error.kind() != io::ErrorKind::NotFound {
                self.stats
                    .problems
                    .push(Problem::io(&self.fs, &candidate.path, &error));
            }
            Verdict::Decided
        })
    }

    fn admit(&mut self, candidate: &Candidate, look: Look) -> io::Result<Verdict> {
        let Metadata {
            inode,
            size,
            modified,
            ..
        } = candidate.metadata;
        if self.is_open(inode) {
            return Ok(Verdict::Decided);
        }
        if let Some(done) = self.done.get(&inode)
            && !candidate.live
            && (done.size, done.modified) == (size, modified)
            && !self.is_young_again(done.key, candidate)
        {
            if let Some(track) = self.tracks.get_mut(&done.key) {
                track.seen = look.wall;
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
                if !expired {
                    self.unreadable_compression(candidate);
                }
                return Ok(Verdict::Decided);
            }
        };
        if expired {
            // What would not be read need not be readable.
            let subject = self.open_subject(candidate, compressed);
            if let Some(subject) = subject.unwrap_or_default() {
                self.pass_over(&subject, look).unwrap_or_default();
            }
            return Ok(Verdict::Decided);
        }
        if compressed && look.wall.abs_diff(modified / 1_000_000) < COMPRESSION_GRACE {
            self.sure = false;
            return Ok(Verdict::Decided);
        }
        let Some(subject) = self.open_subject(candidate, compressed)? else {
            return Ok(Verdict::Decided);
        };
        if subject.streams.is_empty() {
            // Without a complete line there is nothing to read yet; it comes first to the live file.
            if candidate.live {
                let key = self.add_track(&candidate.names[0], None, Place::start());
                self.attach_plain(key, subject, look);
            }
            Ok(Verdict::Decided)
        } else if compressed {
            self.admit_compressed(subject, look)
                .map(|()| Verdict::Decided)
        } else {
            self.admit_plain(subject, look)
        }
    }

    /// Opens a file to see what it begins with; `None` when it is none to be read.
    fn open_subject<'c>(
        &mut self,
        candidate: &'c Candidate,
        compressed: bool,
    ) -> io::Result<Option<Subject<'c, F>>> {
        let file = Arc::new(self.fs.open(&candidate.path)?);
        // What was opened is what counts: the name may have moved on since the scan.
        let metadata = self.fs.metadata_of(&file)?;
        if metadata.kind != Kind::File || metadata.inode != candidate.metadata.inode {
            self.sure = false;
            return Ok(None);
        }
        if candidate.live && self.is_gzip(&file, candidate)? {
            return Ok(None);
        }
        let line = first_line(&self.fs, &file, compressed)?;
        if self.is_foreign(candidate, line.as_deref()) {
            return Ok(None);
        }
        let identity = |line: &[u8]| {
            let names = candidate.names.iter();
            names
                .map(|name| (Arc::clone(name), stream_id(&self.host, name, line)))
                .collect()
        };
        let streams = line.as_deref().map(identity).unwrap_or_default();
        Ok(Some(Subject {
            candidate,
            file,
            metadata,
            streams,
        }))
    }

    /// Whether a rotated file is older than anything that is kept.
    fn is_expired(&self, candidate: &Candidate) -> bool {
        let (modified, now) = (candidate.metadata.modified, self.present.believed());
        !candidate.live && is_over_age(modified, now, self.settings.retention)
    }

    /// Whether a file was left for its age by a clock that was ahead.
    fn is_young_again(&self, key: FileKey, candidate: &Candidate) -> bool {
        self.tracks.get(&key).is_some_and(|track| track.expired) && !self.is_expired(candidate)
    }

    /// Leaves a file that is older than `retention`. What was not read of it is counted, once, and is not taken
    /// for lost, now or when the file is deleted.
    fn pass_over(&mut self, subject: &Subject<'_, F>, look: Look) -> io::Result<()> {
        let Subject {
            candidate,
            file,
            metadata,
            streams,
        } = subject;
        let Some((name, stream)) = streams.first() else {
            return Ok(());
        };
        let compressed = candidate.compression.is_some();
        let size = if compressed {
            u64::from(Trailer::of(&self.fs, &**file, metadata.size)?.size)
        } else {
            metadata.size
        };
        let mut best: Option<(u64, FileKey)> = None;
        for key in self.keys_of(streams) {
            if self.reader_of(key).is_some() {
                // A copy, or what it is a copy of, is being read.
                return Ok(());
            }
            let Some(track) = self.tracks.get(&key) else {
                continue;
            };
            let place = track.read;
            let read = if track.skipped || place.offset > size {
                size
            } else if compressed || holds(&self.fs, &**file, place)? {
                place.offset
            } else {
                continue;
            };
            if best.is_none_or(|(most, _)| most < read) {
                best = Some((read, key));
            }
        }
        let (read, key) = match best {
            Some(best) => best,
            None if self.is_history(candidate, name, look) => {
                return self.leave_as_history(subject, look);
            }
            None => (0, self.add_track(name, Some(*stream), Place::start())),
        };
        if size > read {
            *self.stats.passed_over_bytes.entry(EXPIRED).or_default() += size - read;
        }
        if let Some(track) = self.tracks.get_mut(&key) {
            track.missing = None;
            track.finished = true;
            track.expired = true;
            self.dirty = true;
        }
        self.set_done(key, metadata, look.wall);
        Ok(())
    }

    /// It counts as read up to now; what nginx still writes into it is not history. Of a compressed file nobody
    /// knows how far that is.
    fn leave_as_history(&mut self, subject: &Subject<'_, F>, look: Look) -> io::Result<()> {
        let compressed = subject.candidate.compression.is_some();
        let place = if compressed {
            Place::start()
        } else {
            last_line_end(&self.fs, &*subject.file, subject.metadata.size)?
        };
        let (name, stream) = &subject.streams[0];
        let key = self.add_track(name, Some(*stream), place);
        self.set_history(key, subject, compressed, look.wall);
        Ok(())
    }

    fn admit_plain(&mut self, subject: Subject<'_, F>, look: Look) -> io::Result<Verdict> {
        let Subject {
            candidate,
            file,
            metadata,
            streams,
        } = &subject;
        let mut best: Option<(u64, FileKey)> = None;
        let mut may_be_a_beginning = false;
        for key in self.keys_of(streams) {
            let Some(track) = self.tracks.get(&key) else {
                continue;
            };
            if track.skipped {
                if !candidate.live {
                    self.set_done(key, metadata, look.wall);
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
            if let Some((key, open)) = self.is_beginning_of(streams, file, metadata.size)? {
                if !open {
                    self.set_done(key, metadata, look.wall);
                }
                return Ok(Verdict::Decided);
            }
            if !look.last_chance {
                return Ok(Verdict::AskAgain);
            }
        }
        if let Some((offset, key)) = best {
            if self.reader_of(key).is_some() {
                // A copy of what is being read: the open file goes on. Looked at again next time.
                if self.goes_beyond(metadata.size, key, false)? {
                    self.forget_unread(key, metadata.size);
                    self.read_anew(subject, look);
                }
            } else if candidate.live || metadata.size > offset {
                self.attach_plain(key, subject, look);
            } else {
                self.set_done(key, metadata, look.wall);
                if let Some(track) = self.tracks.get_mut(&key) {
                    track.path.clone_from(&candidate.path);
                }
            }
            return Ok(Verdict::Decided);
        }
        let (name, _) = &streams[0];
        if !candidate.live && self.is_history(candidate, name, look) {
            self.leave_as_history(&subject, look)?;
        } else {
            self.read_anew(subject, look);
        }
        Ok(Verdict::Decided)
    }

    fn admit_compressed(&mut self, subject: Subject<'_, F>, look: Look) -> io::Result<()> {
        let Subject {
            candidate,
            file,
            metadata,
            streams,
        } = &subject;
        let trailer = Trailer::of(&self.fs, &**file, metadata.size)?;
        let size = u64::from(trailer.size);
        let mut best: Option<((bool, bool, u64), FileKey)> = None;
        let mut another = false;
        for key in self.keys_of(streams) {
            let Some(track) = self.tracks.get(&key) else {
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
                self.set_done(key, metadata, look.wall);
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
            Some((_, key)) => self.attach_compressed(key, subject, look),
            None if !another && self.is_history(candidate, name, look) => {
                self.leave_as_history(&subject, look)?;
            }
            None => self.read_anew(subject, look),
        }
        Ok(())
    }

    /// From the beginning, under whatever identity it has.
    fn read_anew(&mut self, subject: Subject<'_, F>, look: Look) {
        let Subject {
            candidate, streams, ..
        } = &subject;
        let compressed = candidate.compression.is_some();
        if !self.has_room(candidate) {
            return;
        }
        if streams.len() > 1 {
            self.ambiguous(candidate);
        }
        let (name, stream) = &streams[0];
        if self
            .by_stream
            .get(stream)
            .is_some_and(|keys| !keys.is_empty())
        {
            self.stats.stream_id_collisions += 1;
        }
        let key = self.add_track(name, Some(*stream), Place::start());
        if compressed {
            self.attach_compressed(key, subject, look);
        } else {
            self.attach_plain(key, subject, look);
        }
    }

    fn attach_plain(&mut self, key: FileKey, subject: Subject<'_, F>, look: Look) {
        let Subject {
            candidate,
            file,
            metadata,
            ..
        } = subject;
        if self.has_room(candidate) {
            self.attach(key, Source::Plain(file), candidate, &metadata, look);
        }
    }

    fn attach_compressed(&mut self, key: FileKey, subject: Subject<'_, F>, look: Look) {
        let Subject {
            candidate,
            file,
            metadata,
            ..
        } = subject;
        if self.has_room(candidate) {
            let source = Source::Gzip(Box::new(Gzip::new(self.fs.clone(), file)));
            self.attach(key, source, candidate, &metadata, look);
        }
    }

    pub(super) fn attach(
        &mut self,
        key: FileKey,
        source: Source<F>,
        candidate: &Candidate,
        metadata: &Metadata,
        look: Look,
    ) {
        let Some(track) = self.tracks.get_mut(&key) else {
            return;
        };
        track.log = candidate.log;
        track.seen = look.wall;
        track.inode = metadata.inode;
        track.finished = false;
        track.expired = false;
        // A link may point elsewhere tomorrow.
        let link = self.fs.is_symlink(&candidate.path);
        let real = if link {
            self.fs.canonicalize(&candidate.path).ok()
        } else {
            None
        };
        track.path = real.unwrap_or_else(|| candidate.path.clone());
        if let Source::Plain(_) = source {
            track.size = track.size.max(metadata.size);
        }
        if track
            .missing
            .take()
            .is_some_and(|missing| missing.reason == TRUNCATED)
        {
            self.stats.rotations.copied += 1;
        }
        // An old file was quiet before we came.
        let age = u64::try_from(look.wall.saturating_sub(metadata.modified / 1_000_000));
        let quiet_since = look
            .now
            .saturating_sub(Duration::from_millis(age.unwrap_or(0)));
        self.done.remove(&metadata.inode);
        self.start_problems
            .retain(|problem| problem.path != candidate.path);
        let (path, live) = (candidate.path.clone(), candidate.live);
        self.readers.push(Reader::new(
            key,
            source,
            metadata.inode,
            path,
            live,
            quiet_since,
        ));
        self.stats.files_open = self.readers.len();
    }

    /// Whether one more file can be opened; if not, it waits until others are closed. Of rotated files the oldest
    /// are open, because they are deleted next; once they are, they take no place of the others.
    fn has_room(&mut self, candidate: &Candidate) -> bool {
        let rotated = |reader: &&Reader<F>| !reader.live;
        let named = self
            .readers
            .iter()
            .filter(rotated)
            .filter(|reader| reader.visible);
        let room = candidate.live
            || named.count() < MAX_OPEN_ROTATED
                && self.readers.iter().filter(rotated).count() < MAX_OPEN_UNNAMED
            || self.close_a_younger(candidate);
        self.backlog |= !room;
        room
    }

    /// Closes the youngest rotated file that has a name, if it is younger: it can be opened again.
    fn close_a_younger(&mut self, candidate: &Candidate) -> bool {
        let age = |reader: &Reader<F>| {
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

    /// Whether a file that begins as the one being read holds more than that one: then they are two that
    /// merely begin alike. Of a compressed one nobody knows without decoding that it does not.
    fn goes_beyond(&self, size: u64, key: FileKey, compressed: bool) -> io::Result<bool> {
        let (Some(reader), Some(track)) = (self.reader_of(key), self.tracks.get(&key)) else {
            return Ok(false);
        };
        let Source::Plain(open) = &reader.source else {
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
        if let Some(track) = self.tracks.get_mut(&key)
            && track.read.offset == 0
            && track.size <= size
        {
            track.size = 0;
        }
    }

    /// Whether a file of `size` bytes holds the beginning of a longer one, which is open (true) or was read
    /// to its end (false): a copy that is still being made, or that was made earlier.
    fn is_beginning_of(
        &self,
        streams: &[(Arc<str>, StreamId)],
        file: &Arc<F::File>,
        size: u64,
    ) -> io::Result<Option<(FileKey, bool)>> {
        let here = place_at(&self.fs, &**file, size)?;
        for key in self.keys_of(streams) {
            if let Some(Reader {
                source: Source::Plain(open),
                ..
            }) = self.reader_of(key)
            {
                if place_at(&self.fs, &**open, size)? == here {
                    return Ok(Some((key, true)));
                }
            } else if let Some(track) = self.tracks.get(&key)
                && let Ok(longer) = self.fs.open(&track.path)
                && let Ok(metadata) = self.fs.metadata_of(&longer)
                // Inodes are used again, this very file may have got one: it must be as it was left, and longer.
                && size < metadata.size
                && self.done.get(&metadata.inode).is_some_and(|done| {
                    done.key == key
                        && (done.size, done.modified) == (metadata.size, metadata.modified)
                })
                && place_at(&self.fs, &longer, size)? == here
            {
                return Ok(Some((key, false)));
            }
        }
        Ok(None)
    }

    /// Whether a rotated file that no track knows was there before anybody asked for it.
    fn is_history(&self, candidate: &Candidate, name: &Arc<str>, look: Look) -> bool {
        // A log seen before had no other rotated files: this one came since.
        if self.looks.read_all || self.known.contains(name) {
            return false;
        }
        // By which clock the file got its time nobody knows.
        if self.present.times_set() != self.looks.times_set {
            return false;
        }
        let modified = candidate.metadata.modified;
        // A new log: what was written since the last look is no history, however it is named by now.
        let since = self.looks.last.map(|last| {
            // The last look in the time of today's clock, which may have been set back since.
            let elapsed = look.now.saturating_sub(self.looks.at).as_millis();
            let elapsed = i64::try_from(elapsed).unwrap_or(i64::MAX);
            last.min(look.wall.saturating_sub(elapsed))
                .saturating_sub(CLOCK_SLACK)
        });
        since.is_none_or(|since| modified / 1_000_000 < since)
            && is_over_age(
                modified,
                self.present.believed(),
                Some(self.settings.history),
            )
    }

    /// A stream that counts as read as far as its file goes now, or (`skipped`) wholly.
    fn set_history(&mut self, key: FileKey, subject: &Subject<'_, F>, skipped: bool, wall: i64) {
        if let Some(track) = self.tracks.get_mut(&key) {
            track.log = subject.candidate.log;
            track.finished = true;
            track.skipped = skipped;
            track.inode = subject.metadata.inode;
            track.path.clone_from(&subject.candidate.path);
        }
        self.dirty = true;
        self.set_done(key, &subject.metadata, wall);
    }

    fn set_done(&mut self, key: FileKey, metadata: &Metadata, wall: i64) {
        let Metadata {
            inode,
            size,
            modified,
            ..
        } = *metadata;
        self.done.insert(
            inode,
            Done {
                size,
                modified,
                key,
            },
        );
        if let Some(track) = self.tracks.get_mut(&key) {
            track.seen = wall;
        }
    }

    fn keys_of(&self, streams: &[(Arc<str>, StreamId)]) -> Vec<FileKey> {
        let keys = streams
            .iter()
            .filter_map(|(_, stream)| self.by_stream.get(stream));
        keys.flatten().copied().collect()
    }

    /// After a restart: a stream may lie where no pattern finds it, behind a link that was swapped meanwhile.
    pub(super) fn look_where_it_was(&mut self, now: Duration, wall: i64) {
        let read = |key: &FileKey| {
            self.reader_of(*key).is_some() || self.done.values().any(|done| done.key == *key)
        };
        let lost: Vec<FileKey> = self
            .tracks
            .keys()
            .filter(|key| !read(key))
            .copied()
            .collect();
        for key in lost {
            let Some(track) = self.tracks.get(&key) else {
                continue;
            };
            if track.skipped || track.finished {
                continue;
            }
            // Of twins one may hold what the other lacks: that shows when they were read.
            let twins = track.stream.and_then(|stream| self.by_stream.get(&stream));
            let alone = twins.is_none_or(|keys| keys.len() == 1);
            let (path, place, unread) = (
                track.path.clone(),
                track.read,
                track.size.saturating_sub(track.read.offset),
            );
            let found = self.fs.metadata(&path).and_then(|metadata| {
                if metadata.kind != Kind::File || self.is_open(metadata.inode) {
                    return Ok(None);
                }
                let file = Arc::new(self.fs.open(&path)?);
                let metadata = self.fs.metadata_of(&file)?;
                let line = first_line(&self.fs, &file, false)?;
                let same = line.is_some_and(|line| {
                    track.stream == Some(stream_id(&self.host, &track.name, &line))
                });
                let same = same && holds(&self.fs, &*file, place)?;
                Ok(same.then_some((file, metadata)))
            });
            match found {
                Ok(Some((file, metadata))) => {
                    let candidate = Candidate {
                        path,
                        metadata,
                        log: track.log,
                        names: vec![Arc::clone(&track.name)],
                        live: false,
                        compression: None,
                    };
                    let look = Look {
                        now,
                        wall,
                        last_chance: true,
                    };
                    self.attach_nameless(key, Source::Plain(file), &candidate, look);
                }
                _ if alone && unread > 0 && self.sure && !self.backlog => {
                    *self.stats.lost_bytes.entry(DELETED).or_default() += unread;
                    if let Some(track) = self.tracks.get_mut(&key) {
                        track.finished = true;
                        self.dirty = true;
                    }
                }
                _ => {}
            }
        }
    }

    /// nginx's `access_log … gzip` writes a compressed live file, whose end cannot be told from a half one.
    fn is_gzip(&mut self, file: &Arc<F::File>, candidate: &Candidate) -> io::Result<bool> {
        let mut magic = [0; 2];
        let count = self.fs.read_at(file, &mut magic, 0)?;
        let gzip = count == 2 && magic == [0x1f, 0x8b];
        if gzip {
            self.stats.problems.push(Problem::new(
                &candidate.path,
                "is written compressed (`access_log … gzip`) and cannot be followed; take `gzip` away from \
                 the access_log directive"
                    .to_owned(),
            ));
        }
        Ok(gzip)
    }

    fn unreadable_compression(&mut self, candidate: &Candidate) {
        let text = "is compressed in a way that is not read; lines in it that were not read before are left \
                    out; compress with gzip, or with logrotate's delaycompress";
        if !self
            .stats
            .problems
            .iter()
            .any(|problem| problem.text == text)
        {
            self.stats
                .problems
                .push(Problem::new(&candidate.path, text.to_owned()));
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

fn is_over_age(modified: i64, wall: i64, limit: Option<Duration>) -> bool {
    let Some(limit) = limit else { return false };
    let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
    wall.saturating_sub(modified / 1_000_000) >= limit
}
