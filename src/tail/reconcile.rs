//! What the directories say, and what follows for the open files.
//!
//! Owns: the rules of rotation: which file continues which stream, what is new, what is old history, and
//! when a file is let go. Refuses to know: how bytes are read. Invariant: it decides from the directories and
//! the tracks alone, so a lost event costs time and never a line. When in doubt it reads again: a line keeps
//! its id, so that is harmless.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::discover::{Candidate, Scan};
use super::fs::{FileSystem, Inode, Kind, Metadata};
use super::gzip::{Gzip, first_line};
use super::identity::{Place, stream_id};
use super::reader::{Reader, Source, holds, last_line_end, place_at};
use super::stats::Problem;
use super::stem::Compression;
use super::tailer::{Done, Tailer};
use super::{FileKey, StreamId};
use crate::clock::Clock;

/// nginx writes on into a renamed file until its workers have opened the new one; a file is let go only
/// when it was quiet for this long. (`ngx_reopen_files` runs in each worker's own event loop.)
const GRACE: Duration = Duration::from_secs(5);

/// A file that nobody can find again and that nothing replaced is let go only after this.
const GRACE_OF_THE_LAST: Duration = Duration::from_secs(3600);

/// A copy of truncated content is there before the truncation; compression may hide it for a moment.
const GRACE_FOR_A_COPY: Duration = Duration::from_secs(60);

/// Rotated files open at once: each holds a file descriptor.
const MAX_OPEN_ROTATED: usize = 128;

/// Compressed files open at once: each holds a decoder.
const MAX_OPEN_COMPRESSED: usize = 4;

/// Positions of content not seen for longer are forgotten, where no retention says otherwise.
const DEFAULT_MEMORY: Duration = Duration::from_secs(90 * 24 * 3600);

/// The kernel stamps files with a clock a little behind.
const CLOCK_SLACK_MILLIS: i64 = 2_000;

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Reads the directories afresh and follows what happened there: new, renamed, truncated, deleted files.
    /// Right even if no event ever came.
    pub fn reconcile(&mut self) {
        let now = self.clock.now();
        let wall = self.clock.unix_millis();
        let mut scan = self.discover.scan(&self.fs, &self.known);
        self.backlog = false;
        self.stats.problems.clone_from(&self.start_problems);
        self.stats.problems.append(&mut scan.problems);
        self.live_inodes.clear();
        for live in &scan.live {
            let inodes = self
                .live_inodes
                .entry(Arc::clone(&live.names[0]))
                .or_default();
            inodes.push(live.metadata.inode);
        }
        self.place_open_files(&scan, now, wall);
        for candidate in scan.live.iter().chain(&scan.siblings) {
            if let Err(error) = self.admit(candidate, &scan, now, wall) {
                let gone = error.kind() == io::ErrorKind::NotFound;
                if !gone {
                    self.stats
                        .problems
                        .push(Problem::io(&candidate.path, &error));
                }
            }
        }
        if self.looks.first {
            self.look_where_it_was(now, wall);
        }
        for candidate in scan.live.iter().chain(&scan.siblings) {
            for name in &candidate.names {
                self.dirty |= self.known.insert(Arc::clone(name));
            }
        }
        self.directories = scan.directories;
        self.close_finished();
        self.give_up_missing(now);
        self.forget_old(wall);
        self.looks.first = false;
        self.looks.read_all = false;
        self.looks.last = Some(wall);
        self.looks.at = now;
        self.measure();
    }

    /// Where are the open files by now?
    fn place_open_files(&mut self, scan: &Scan, now: Duration, wall: i64) {
        let places: HashMap<Inode, &Candidate> = scan
            .live
            .iter()
            .chain(&scan.siblings)
            .map(|candidate| (candidate.metadata.inode, candidate))
            .collect();
        for reader in &mut self.readers {
            let Some(track) = self.tracks.get_mut(&reader.key) else {
                continue;
            };
            reader.look_again(track, self.limits);
            match places.get(&reader.inode) {
                Some(candidate) => {
                    if reader.live && !candidate.live {
                        self.stats.rotations.renamed += 1;
                        reader.quiet_since = now;
                    }
                    reader.live = candidate.live;
                    reader.visible = true;
                    reader.path.clone_from(&candidate.path);
                    track.path.clone_from(&candidate.path);
                    track.seen = wall;
                }
                None => {
                    if reader.live {
                        self.stats.rotations.removed += 1;
                        reader.quiet_since = now;
                    }
                    reader.live = false;
                    reader.visible = false;
                    track.seen = wall;
                }
            }
        }
    }

    /// Opens a file that the scan found, if it holds something unread.
    fn admit(
        &mut self,
        candidate: &Candidate,
        scan: &Scan,
        now: Duration,
        wall: i64,
    ) -> io::Result<()> {
        let Metadata {
            inode,
            size,
            modified,
            ..
        } = candidate.metadata;
        if self.is_open(inode) {
            return Ok(());
        }
        if let Some(done) = self.done.get(&inode)
            && !candidate.live
            && (done.size, done.modified) == (size, modified)
        {
            if let Some(track) = self.tracks.get_mut(&done.key) {
                track.seen = wall;
                track.path.clone_from(&candidate.path);
            }
            return Ok(());
        }
        if !candidate.live && self.is_over_age(modified, wall, self.settings.retention) {
            return Ok(());
        }
        let rotated = self.readers.iter().filter(|reader| !reader.live).count();
        if !candidate.live && rotated >= MAX_OPEN_ROTATED {
            self.backlog = true;
            return Ok(());
        }
        let compressed = match candidate.compression {
            None => false,
            Some(Compression::Gzip) => true,
            Some(_) => {
                self.unreadable_compression(candidate);
                return Ok(());
            }
        };
        let file = Arc::new(self.fs.open(&candidate.path)?);
        // What was opened is what counts: the name may have moved on since the scan.
        let metadata = self.fs.metadata_of(&file)?;
        if metadata.kind != Kind::File || metadata.inode != inode || self.is_open(metadata.inode) {
            return Ok(());
        }
        let Some(line) = first_line(&self.fs, &file, compressed)? else {
            if candidate.live && !self.is_gzip(&file, candidate)? {
                let key = self.add_track(&candidate.names[0], None, Place::start());
                self.attach(key, Source::Plain(file), candidate, &metadata, now, wall);
            }
            return Ok(());
        };
        if candidate.live && self.is_gzip(&file, candidate)? {
            return Ok(());
        }
        let streams: Vec<(Arc<str>, StreamId)> = candidate
            .names
            .iter()
            .map(|name| (Arc::clone(name), stream_id(&self.host, name, &line)))
            .collect();
        if compressed {
            self.admit_compressed(candidate, scan, file, &metadata, &streams, now, wall)
        } else {
            self.admit_plain(candidate, file, &metadata, &streams, now, wall)
        }
    }

    fn admit_plain(
        &mut self,
        candidate: &Candidate,
        file: Arc<F::File>,
        metadata: &Metadata,
        streams: &[(Arc<str>, StreamId)],
        now: Duration,
        wall: i64,
    ) -> io::Result<()> {
        let mut best: Option<(u64, FileKey)> = None;
        for key in self.keys_of(streams) {
            let Some(track) = self.tracks.get(&key) else {
                continue;
            };
            if track.skipped && !candidate.live {
                self.done(key, metadata, wall);
                return Ok(());
            }
            if !track.skipped
                && track.read.offset <= metadata.size
                && best.is_none_or(|(offset, _)| offset < track.read.offset)
                && holds(&self.fs, &*file, track.read)?
            {
                best = Some((track.read.offset, key));
            }
        }
        if let Some((offset, key)) = best {
            if self.reader_of(key).is_some() {
                // A copy of what is being read: the open file goes on. Looked at again next time.
            } else if candidate.live || metadata.size > offset {
                self.attach(key, Source::Plain(file), candidate, metadata, now, wall);
            } else {
                self.done(key, metadata, wall);
            }
            return Ok(());
        }
        if !candidate.live && self.is_beginning_of_open_file(streams, &file, metadata.size)? {
            // A copy that is still being made.
            return Ok(());
        }
        let (name, stream) = &streams[0];
        if streams.len() > 1 {
            self.ambiguous(candidate);
        }
        if !candidate.live && self.is_history(candidate, name, wall) {
            let place = last_line_end(&self.fs, &*file, metadata.size)?;
            let key = self.add_track(name, Some(*stream), place);
            if let Some(track) = self.tracks.get_mut(&key) {
                track.log = candidate.log;
                track.finished = true;
                track.inode = metadata.inode;
                track.path.clone_from(&candidate.path);
            }
            self.dirty = true;
            self.done(key, metadata, wall);
            return Ok(());
        }
        if self
            .by_stream
            .get(stream)
            .is_some_and(|keys| !keys.is_empty())
        {
            self.stats.stream_id_collisions += 1;
        }
        let key = self.add_track(name, Some(*stream), Place::start());
        self.attach(key, Source::Plain(file), candidate, metadata, now, wall);
        Ok(())
    }

    #[allow(clippy::too_many_arguments)] // one look at one file
    fn admit_compressed(
        &mut self,
        candidate: &Candidate,
        scan: &Scan,
        file: Arc<F::File>,
        metadata: &Metadata,
        streams: &[(Arc<str>, StreamId)],
        now: Duration,
        wall: i64,
    ) -> io::Result<()> {
        let mut best: Option<(u64, FileKey)> = None;
        for key in self.keys_of(streams) {
            let Some(track) = self.tracks.get(&key) else {
                continue;
            };
            if self.reader_of(key).is_some() {
                // One reader per identity: an open file goes on.
                return Ok(());
            }
            if track.skipped {
                self.done(key, metadata, wall);
                return Ok(());
            }
            if best.is_none_or(|(offset, _)| offset < track.read.offset) {
                best = Some((track.read.offset, key));
            }
        }
        let (name, stream) = &streams[0];
        if let Some((offset, key)) = best {
            // The plain file that it is made of is preferred while it is there.
            let plain = scan.live.iter().chain(&scan.siblings).any(|other| {
                let done = self.done.get(&other.metadata.inode);
                other.compression.is_none() && done.is_some_and(|done| done.key == key)
            });
            let finished = self.tracks.get(&key).is_some_and(|track| track.finished);
            if plain || finished && self.uncompressed_size(&file, metadata)? == low_bits(offset) {
                if !plain {
                    self.done(key, metadata, wall);
                }
                return Ok(());
            }
        } else if self.is_history(candidate, name, wall) {
            let key = self.add_track(name, Some(*stream), Place::start());
            if let Some(track) = self.tracks.get_mut(&key) {
                track.log = candidate.log;
                track.skipped = true;
                track.inode = metadata.inode;
                track.path.clone_from(&candidate.path);
            }
            self.dirty = true;
            self.done(key, metadata, wall);
            return Ok(());
        }
        let open = self
            .readers
            .iter()
            .filter(|reader| matches!(reader.source, Source::Gzip(_)));
        if open.count() >= MAX_OPEN_COMPRESSED {
            self.backlog = true;
            return Ok(());
        }
        if best.is_none() && streams.len() > 1 {
            self.ambiguous(candidate);
        }
        let key = match best {
            Some((_, key)) => key,
            None => self.add_track(name, Some(*stream), Place::start()),
        };
        let source = Source::Gzip(Box::new(Gzip::new(self.fs.clone(), file)));
        self.attach(key, source, candidate, metadata, now, wall);
        Ok(())
    }

    fn attach(
        &mut self,
        key: FileKey,
        source: Source<F>,
        candidate: &Candidate,
        metadata: &Metadata,
        now: Duration,
        wall: i64,
    ) {
        let Some(track) = self.tracks.get_mut(&key) else {
            return;
        };
        track.log = candidate.log;
        track.seen = wall;
        track.inode = metadata.inode;
        track.finished = false;
        track.path = match self.fs.is_symlink(&candidate.path) {
            // The link may point elsewhere tomorrow.
            true => self
                .fs
                .canonicalize(&candidate.path)
                .unwrap_or_else(|_| candidate.path.clone()),
            false => candidate.path.clone(),
        };
        if let Source::Plain(_) = source {
            track.size = track.size.max(metadata.size);
        }
        if track.missing.take().is_some() {
            self.stats.rotations.copied += 1;
        }
        // An old file was quiet before we came.
        let age = u64::try_from(wall.saturating_sub(metadata.modified / 1_000_000)).unwrap_or(0);
        let quiet_since = now.saturating_sub(Duration::from_millis(age));
        self.done.remove(&metadata.inode);
        self.readers.push(Reader::new(
            key,
            source,
            metadata.inode,
            candidate.path.clone(),
            candidate.live,
            quiet_since,
        ));
    }

    /// After a restart: a stream may lie where no pattern finds it, behind a link that was swapped meanwhile.
    fn look_where_it_was(&mut self, now: Duration, wall: i64) {
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
                    self.attach(key, Source::Plain(file), &candidate, &metadata, now, wall);
                    if let Some(reader) = self.readers.last_mut() {
                        reader.visible = false;
                    }
                }
                _ if unread > 0 && self.stats.problems.is_empty() && !self.backlog => {
                    *self.stats.lost_bytes.entry("deleted").or_default() += unread;
                }
                _ => {}
            }
        }
    }

    /// Lets go of files that are read to their end and will not grow; how many.
    pub(super) fn close_finished(&mut self) -> usize {
        let now = self.clock.now();
        let before = self.readers.len();
        let mut index = 0;
        while index < self.readers.len() {
            if self.is_finished(&self.readers[index], now) {
                let reader = self.readers.swap_remove(index);
                self.let_go(&reader);
            } else {
                index += 1;
            }
        }
        self.stats.files_open = self.readers.len();
        before - self.readers.len()
    }

    fn is_finished(&self, reader: &Reader<F>, now: Duration) -> bool {
        if reader.live || !reader.at_end {
            return false;
        }
        let Some(track) = self.tracks.get(&reader.key) else {
            return true;
        };
        let file = match &reader.source {
            Source::Gzip(gzip) if gzip.is_complete() => return true,
            Source::Gzip(gzip) => gzip.file(),
            Source::Plain(file) => file,
        };
        let quiet = now.saturating_sub(reader.quiet_since);
        let replaced = self
            .live_inodes
            .get(&track.name)
            .is_some_and(|inodes| inodes.iter().any(|inode| *inode != reader.inode));
        let findable = reader.visible && reader.caught_up_from_name;
        if quiet < GRACE_OF_THE_LAST && (quiet < GRACE || !(replaced || findable)) {
            return false;
        }
        // Written to since the last read? Then that comes first.
        let compressed = matches!(reader.source, Source::Gzip(_));
        let seen = track.read.offset + reader.half_line(track);
        compressed
            || self
                .fs
                .metadata_of(file)
                .map_or(true, |metadata| metadata.size <= seen)
    }

    fn let_go(&mut self, reader: &Reader<F>) {
        let file = match &reader.source {
            Source::Plain(file) => file,
            Source::Gzip(gzip) => gzip.file(),
        };
        let metadata = self.fs.metadata_of(file).ok();
        let half_line = match self.tracks.get_mut(&reader.key) {
            Some(track) => {
                track.finished = true;
                self.dirty = true;
                reader.half_line(track)
            }
            None => 0,
        };
        match metadata {
            Some(metadata) if metadata.links > 0 => {
                let Metadata {
                    size,
                    modified,
                    inode,
                    ..
                } = metadata;
                self.done.insert(
                    inode,
                    Done {
                        size,
                        modified,
                        key: reader.key,
                    },
                );
            }
            _ if half_line > 0 => {
                *self.stats.lost_bytes.entry("unterminated").or_default() += half_line;
            }
            _ => {}
        }
    }

    /// Bytes truncated away of which no copy turned up are lost, and said to be.
    fn give_up_missing(&mut self, now: Duration) {
        for track in self.tracks.values_mut() {
            if let Some(missing) = track.missing
                && now.saturating_sub(missing.since) >= GRACE_FOR_A_COPY
            {
                *self.stats.lost_bytes.entry(missing.reason).or_default() += missing.bytes;
                track.missing = None;
            }
        }
    }

    /// Forgets streams that were not seen for longer than anything is kept, never one that is still there.
    fn forget_old(&mut self, wall: i64) {
        let memory = self.settings.retention.unwrap_or(DEFAULT_MEMORY);
        let memory = i64::try_from(memory.as_millis()).unwrap_or(i64::MAX);
        let open: Vec<FileKey> = self.readers.iter().map(|reader| reader.key).collect();
        let before = self.tracks.len();
        self.tracks.retain(|key, track| {
            track.in_flight()
                || wall.saturating_sub(track.seen) <= memory
                || open.contains(key)
                || track.missing.is_some()
        });
        if self.tracks.len() != before {
            self.dirty = true;
            let tracks = &self.tracks;
            self.by_stream.retain(|_, keys| {
                keys.retain(|key| tracks.contains_key(key));
                !keys.is_empty()
            });
            self.done.retain(|_, done| tracks.contains_key(&done.key));
        }
    }

    fn measure(&mut self) {
        self.stats.files_open = self.readers.len();
        self.stats.deleted_open_bytes = self
            .readers
            .iter()
            .filter(|reader| !reader.visible)
            .filter_map(|reader| match &reader.source {
                Source::Plain(file) => self.fs.metadata_of(file).ok(),
                Source::Gzip(gzip) => self.fs.metadata_of(gzip.file()).ok(),
            })
            .filter(|metadata| metadata.links == 0)
            .map(|metadata| metadata.size)
            .sum();
    }

    /// Whether a rotated file that no track knows was there before anybody asked for it.
    fn is_history(&self, candidate: &Candidate, name: &Arc<str>, wall: i64) -> bool {
        // A log seen before had no other rotated files: this one came since.
        if self.looks.read_all || self.known.contains(name) {
            return false;
        }
        let modified = candidate.metadata.modified / 1_000_000;
        // A new log: what was written since the last look is no history, however it is named by now.
        let since = self
            .looks
            .last
            .map(|last| last.saturating_sub(CLOCK_SLACK_MILLIS));
        !since.is_some_and(|since| modified >= since)
            && self.is_over_age(
                candidate.metadata.modified,
                wall,
                Some(self.settings.history),
            )
    }

    fn is_over_age(&self, modified: i64, wall: i64, limit: Option<Duration>) -> bool {
        let Some(limit) = limit else { return false };
        let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        wall.saturating_sub(modified / 1_000_000) >= limit
    }

    /// Whether a shorter file holds the beginning of one that is open under the same identity.
    fn is_beginning_of_open_file(
        &self,
        streams: &[(Arc<str>, StreamId)],
        file: &Arc<F::File>,
        size: u64,
    ) -> io::Result<bool> {
        for key in self.keys_of(streams) {
            if let Some(Reader {
                source: Source::Plain(open),
                ..
            }) = self.reader_of(key)
                && place_at(&self.fs, &**open, size)? == place_at(&self.fs, &**file, size)?
            {
                return Ok(true);
            }
        }
        Ok(false)
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

    /// The low bits of the length of what a gzip file holds (RFC 1952, 2.3.1: ISIZE), to tell cheaply that
    /// nothing was added before it was compressed.
    fn uncompressed_size(&self, file: &Arc<F::File>, metadata: &Metadata) -> io::Result<[u8; 4]> {
        let mut size = [0; 4];
        self.fs
            .read_at(file, &mut size, metadata.size.saturating_sub(4))?;
        Ok(size)
    }

    fn done(&mut self, key: FileKey, metadata: &Metadata, wall: i64) {
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

    fn is_open(&self, inode: Inode) -> bool {
        self.readers.iter().any(|reader| reader.inode == inode)
    }

    fn reader_of(&self, key: FileKey) -> Option<&Reader<F>> {
        self.readers.iter().find(|reader| reader.key == key)
    }
}

/// What gzip stores of a length.
#[allow(clippy::cast_possible_truncation)] // the low bits are meant
fn low_bits(length: u64) -> [u8; 4] {
    (length as u32).to_le_bytes()
}
