//! Whose a file is that its name does not tell: by its first line, and by the bytes before a saved position.
//!
//! Owns: the search for the rest of streams whose file is not where it was, and the choice between logs that a file
//! may belong to. Refuses to know: when files are opened and let go, and how they are read. Invariant: a file is
//! given to another log than its name says only when it holds what was read of that log's stream. The failures it
//! guards against: a rotated file that no table of names knows is forgotten; a rotated file or a copy that a glob
//! matches is indexed again as a log of its own; and a log taken for another one that began alike.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::FileKey;
use super::admit::{OpenedCandidate, ScanContext};
use super::descriptor_slots::is_shortage;
use super::discover::{Candidate, FoundBy, Scan};
use super::file_reader::{FoundLines, LineSource, holds, position_at};
use super::fs::{FileKind, FileSystem, Inode, Metadata};
use super::gzip::{Gzip, first_line};
use super::identity::beginning;
use super::lines;
use super::reconcile::{DELETED, GRACE_OF_THE_LAST};
use super::stats::{Leaves, Problem};
use super::stem::{self, Compression};
use super::tailer::{Done, Tailer};
use super::track::Track;
use crate::clock::Clock;

/// So many files that may belong to several logs are named at one time.
const MAX_DOUBTS: usize = 64;

/// Whose a file is.
pub(super) enum Owner {
    /// That of the log that its name says, or of a log of its own.
    Own,
    /// It goes on with a stream of another log, and is to be admitted as this.
    Other(Box<Candidate>),
    /// All that is in it is read from this file.
    Copy(FileKey),
    /// That shows when another file was read.
    Later,
    /// No log's, as far as is known.
    Nobody,
}

/// How a file is related to a stream that begins like it.
enum Relation {
    Continues,
    Copy,
    Later,
    Differs,
}

/// What is known of files whose names say nothing, so that they are not opened at each look.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// What their first lines hash to; nothing without a complete line.
    beginnings: HashMap<Inode, (u64, i64, Option<u64>)>,
    /// Copies, of which streams.
    copies: HashMap<Inode, Done>,
    /// Compressed files that hold no complete line: size and time of change.
    lineless: HashMap<Inode, (u64, i64)>,
}

impl Looked {
    /// Whether a compressed file was decoded as it is, and held no complete line.
    pub(super) fn is_lineless(&self, file: &Metadata) -> bool {
        self.lineless.get(&file.inode) == Some(&(file.size, file.modified))
    }

    pub(super) fn note_lineless(&mut self, file: &Metadata) {
        self.lineless.insert(file.inode, (file.size, file.modified));
    }

    pub(super) fn forget_copies_of(&mut self, key: FileKey) {
        self.copies.retain(|_, copy| copy.key != key);
    }
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Whether there may be another log that this file belongs to.
    pub(super) fn begins_like_another(&self, opened: &OpenedCandidate<'_, F>) -> bool {
        let known = |(_, stream): &(_, super::StreamId)| !self.streams.keys_of(*stream).is_empty();
        if opened.candidate.by == FoundBy::Path || opened.streams.iter().any(known) {
            return false;
        }
        !self
            .streams
            .beginning_with(opened.beginning, &opened.line)
            .is_empty()
            || self.assigned_before(opened.beginning).next().is_some()
    }

    /// A file that only a glob finds, and that had no line when it was opened, begins like another log: it is closed,
    /// and looked at again. True when it was.
    pub(super) fn may_be_a_copy(&mut self, index: usize, found: FoundLines) -> bool {
        let reader = &self.readers[index];
        let key = reader.key;
        let is_new = |track: &&Track| track.stream.is_none() && track.read.offset == 0;
        let Some(track) = self.streams.get(key).filter(is_new) else {
            return false;
        };
        if !reader.live || self.discover.fixes(&track.name) {
            return false;
        }
        let bytes = &self.buffer.bytes()[found.start..found.start + found.length];
        let line = lines::first(bytes).map_or(bytes, |length| &bytes[..length - 1]);
        let another = self
            .streams
            .beginning_with(beginning(line), line)
            .iter()
            .any(|other| {
                self.streams
                    .get(*other)
                    .is_some_and(|other| other.name != track.name)
            });
        if another {
            self.readers.swap_remove(index);
            self.streams.remove(key);
        }
        another
    }

    /// The logs that a content was assigned to before the positions were lost.
    fn assigned_before(&self, beginning: u64) -> impl Iterator<Item = &str> {
        self.streams
            .assigned_before(beginning)
            .map(|assignment| assignment.log.as_str())
            .filter(|log| self.discover.log_of(log).is_some())
    }

    /// Whose a file is, other than its name says.
    pub(super) fn owner(&mut self, opened: &OpenedCandidate<'_, F>) -> io::Result<Owner> {
        let OpenedCandidate { candidate, .. } = opened;
        let mut fits: Vec<FileKey> = Vec::new();
        let (mut copy, mut later) = (None, false);
        for key in self.streams.beginning_with(opened.beginning, &opened.line) {
            let Some(track) = self.streams.get(key) else {
                continue;
            };
            let Some(log) = self.discover.log_of(&track.name) else {
                continue;
            };
            if self.discover.excludes(log, &candidate.path) {
                continue;
            }
            match self.relation(key, track, opened)? {
                Relation::Continues => fits.push(key),
                Relation::Copy => copy = Some(key),
                Relation::Later => later = true,
                Relation::Differs => {}
            }
        }
        if let Some(name) = self.choose(&fits, opened) {
            return Ok(self.as_file_of(&name, opened));
        }
        if later {
            return Ok(Owner::Later);
        }
        if let Some(key) = copy {
            return Ok(Owner::Copy(key));
        }
        // Nothing is known of any position: what was assigned before stays so.
        let before: Vec<Arc<str>> = self
            .assigned_before(opened.beginning)
            .map(Arc::from)
            .collect();
        let own = |name: &Arc<str>| candidate.is_of_alone(name);
        if before.is_empty() || before.iter().any(own) {
            return Ok(match candidate.names.is_empty() {
                true => Owner::Nobody,
                false => Owner::Own,
            });
        }
        let here = |name: &&Arc<str>| {
            (self.streams.assigned_before(opened.beginning)).any(|assignment| {
                *assignment.log == ***name
                    && (Path::new(&assignment.path) == candidate.path
                        || (assignment.device, assignment.inode) == opened.metadata.inode)
            })
        };
        let likely = |name: &&Arc<str>| candidate.names.contains(*name);
        let name = (before.iter().find(here))
            .or_else(|| before.iter().find(likely))
            .unwrap_or(&before[0]);
        Ok(self.as_file_of(&Arc::clone(name), opened))
    }

    fn as_file_of(&mut self, name: &Arc<str>, opened: &OpenedCandidate<'_, F>) -> Owner {
        let candidate = Candidate {
            log: self.discover.log_of(name).unwrap_or(0),
            names: vec![Arc::clone(name)],
            live: false,
            by: FoundBy::Content,
            compression: opened.compressed.then_some(Compression::Gzip),
            ..opened.candidate.clone()
        };
        self.assigned_now = true;
        Owner::Other(Box::new(candidate))
    }

    fn relation(
        &self,
        key: FileKey,
        track: &Track,
        opened: &OpenedCandidate<'_, F>,
    ) -> io::Result<Relation> {
        let OpenedCandidate {
            candidate,
            file,
            metadata,
            ..
        } = opened;
        // A name from the table says whose a file is, if that log is known, unless it holds the rest of another's.
        let is_log = |name: &Arc<str>| self.discover.fixes(name) || self.streams.knows_log(name);
        let names_say = candidate.by == FoundBy::Table && candidate.names.iter().any(is_log);
        let must_be_read = !names_say && !candidate.names.is_empty();
        if track.skipped || names_say && (track.finished || track.read.offset == 0) {
            return Ok(Relation::Differs);
        }
        if let Some(reader) = self.reader_of(key) {
            return Ok(match &reader.source {
                _ if names_say => Relation::Differs,
                // Its compressed form, of which nothing is read beside the open file, but perhaps after it.
                _ if opened.compressed && reader.live => Relation::Copy,
                _ if opened.compressed => Relation::Later,
                LineSource::Gzip(_) => Relation::Later,
                LineSource::Plain(open) => {
                    let size = self.fs.metadata_of(open)?.size;
                    if size < track.size || self.was_emptied(track, open)? {
                        // Just now: the next read finds that out.
                        Relation::Later
                    } else if metadata.size <= size {
                        let there = position_at(&self.fs, &**open, metadata.size)?;
                        match there == position_at(&self.fs, &**file, metadata.size)? {
                            true => Relation::Copy,
                            false => Relation::Differs,
                        }
                    } else if reader.live || !holds(&self.fs, &**file, track.read)? {
                        Relation::Differs
                    } else if self.grace(reader, &track.name) < GRACE_OF_THE_LAST {
                        // A copy that went on: it continues the open file when that is let go.
                        Relation::Later
                    } else {
                        Relation::Continues
                    }
                }
            });
        }
        if opened.compressed {
            let file = Arc::clone(file);
            return Ok(match Gzip::holds(self.fs.clone(), file, track.read)? {
                Some(true) => Relation::Continues,
                // Nobody holds what it may be the beginning of: it is read under that one's identity, which
                // doubles nothing.
                None if must_be_read => Relation::Continues,
                _ => Relation::Differs,
            });
        }
        if metadata.size < track.read.offset {
            return Ok(match self.is_beginning_of(&[key], file, metadata.size)? {
                Some(_) => Relation::Copy,
                // As above; a file that no glob finds is looked for only after those that one finds.
                None if must_be_read => Relation::Continues,
                None => Relation::Differs,
            });
        }
        Ok(match holds(&self.fs, &**file, track.read)? {
            true => Relation::Continues,
            false => Relation::Differs,
        })
    }

    /// Whether an open file holds something else than what was read of it.
    fn was_emptied(&self, track: &Track, open: &Arc<F::File>) -> io::Result<bool> {
        if track.read.offset > 0 {
            return Ok(!holds(&self.fs, &**open, track.read)?);
        }
        let line = first_line(&self.fs, open, false)?;
        Ok(line.map(|line| beginning(&line)) != track.beginning)
    }

    /// Of the streams that a file continues, the log of the likeliest: by the table of names, then by the
    /// directory. Where both leave it open that is said, and the inode decides.
    fn choose(&mut self, fits: &[FileKey], opened: &OpenedCandidate<'_, F>) -> Option<Arc<str>> {
        let path = &opened.candidate.path;
        let file = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let mut ranked = Vec::new();
        for track in fits.iter().filter_map(|key| self.streams.get(*key)) {
            let live = Path::new(&*track.name);
            let live_file = live.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let by_table = stem::rotated(live_file, file).is_some();
            let near = path.parent() == live.parent() || path.parent() == track.path.parent();
            let same_file = track.inode == opened.metadata.inode;
            ranked.push(((by_table, near), same_file, Arc::clone(&track.name)));
        }
        // The greatest rank; among equals the inode, then the first by name.
        ranked.sort_by(|a, b| (b.0, b.1, &a.2).cmp(&(a.0, a.1, &b.2)));
        let (best, _, name) = ranked.first().cloned()?;
        let mut equal: Vec<Arc<str>> = (ranked.into_iter())
            .filter(|(rank, _, _)| *rank == best)
            .map(|(_, _, name)| name)
            .collect();
        equal.dedup();
        if equal.len() > 1 {
            let doubt = Problem::new(
                path,
                format!(
                    "may belong to {}, whose files begin alike; it is read as one of {name}; give each log a \
                     directory of its own for rotated files",
                    equal.join(" or ")
                ),
            );
            if self.doubts.len() < MAX_DOUBTS && !self.doubts.contains(&doubt) {
                self.stats.problems.push(doubt.clone());
                self.doubts.push(doubt);
            }
        }
        Some(name)
    }

    /// Notes that a file is a copy, and says so.
    pub(super) fn leave_copy(&mut self, candidate: &Candidate, key: FileKey, context: ScanContext) {
        let Metadata {
            inode,
            size,
            modified,
            ..
        } = candidate.metadata;
        let copy = Done {
            size,
            modified,
            key,
        };
        // Of a compressed file nobody knows without decoding how much it holds.
        if candidate.compression.is_none() {
            self.looked.copies.insert(inode, copy);
        }
        // What it is a copy of stays known for as long as it lies there.
        self.assign(key, candidate);
        let original = self.streams.get_mut(key).map(|track| {
            track.seen = context.wall;
            track.path.clone()
        });
        if candidate.live
            && let Some(original) = original
        {
            self.stats.problems.push(Problem::new(
                &candidate.path,
                format!(
                    "holds the lines of {} and is not indexed beside it; if it is a log of its own, name it in \
                     paths without a wildcard, if not, leave it out by exclude",
                    original.display()
                ),
            ));
        }
    }

    /// Notes that what was read as this stream lies under a name that may be taken for another log's: when the
    /// positions are lost, it must not become one of that.
    pub(super) fn assign(&mut self, key: FileKey, candidate: &Candidate) {
        if !candidate.names.is_empty()
            && let Some(track) = self.streams.get(key)
            && !candidate.is_of_alone(&track.name)
        {
            self.streams.assign(key);
        }
    }

    /// Whether a file was found to be a copy, and neither has changed so that it could be anything else.
    pub(super) fn is_known_copy(&self, candidate: &Candidate) -> Option<FileKey> {
        let Metadata {
            inode,
            size,
            modified,
            ..
        } = candidate.metadata;
        let copy = self.looked.copies.get(&inode)?;
        let track = self.streams.get(copy.key)?;
        let read = track.finished && track.read.offset >= size;
        let read = read || self.reader_of(copy.key).is_some();
        ((copy.size, copy.modified) == (size, modified) && read).then_some(copy.key)
    }

    /// Forgets copies that are no more.
    pub(super) fn forget_copies(&mut self, scan: &Scan) {
        let there: HashSet<Inode> = (scan.live.iter().chain(&scan.siblings))
            .map(|candidate| candidate.metadata.inode)
            .collect();
        self.looked
            .lineless
            .retain(|inode, _| there.contains(inode));
        let others = &self.looked.beginnings;
        self.looked
            .copies
            .retain(|inode, _| there.contains(inode) || others.contains_key(inode));
    }

    /// Looks for what is missing among the files whose names say nothing.
    pub(super) fn search(&mut self, scan: &Scan, context: ScanContext) {
        let missing = self.missing();
        let moved: Vec<PathBuf> = (self.readers.iter())
            .filter(|reader| !reader.visible)
            .filter(|reader| {
                let links = self.fs.metadata_of(reader.file());
                links.is_ok_and(|metadata| metadata.links > 0)
            })
            .map(|reader| reader.path.clone())
            .collect();
        let lost_positions = self.looks.read_all && self.streams.has_unmatched();
        let again = std::mem::take(&mut self.search_again);
        // After a start a shorter copy may stand in the place of what was being read: all files are looked at once.
        let again = again || self.unreported || lost_positions || self.grown_since();
        if missing.is_empty() && moved.is_empty() && !again {
            return;
        }
        let paths = missing
            .iter()
            .filter_map(|key| Some(self.streams.get(*key)?.path.clone()));
        let further: HashSet<PathBuf> = paths
            .chain(moved)
            .filter_map(|path| path.parent().map(Path::to_owned))
            .filter(|directory| !directory.as_os_str().is_empty())
            .collect();
        let (others, is_short) = scan.others(&self.fs, further);
        if is_short {
            self.look_again_later();
        }
        let mut found: Vec<Candidate> = (others.into_iter())
            .filter_map(|path| self.as_candidate(path))
            .collect();
        found.sort_by_cached_key(|candidate| {
            (
                candidate.compression.is_some(),
                candidate.metadata.modified,
                candidate.path.clone(),
            )
        });
        let there: HashSet<Inode> = (found.iter())
            .map(|candidate| candidate.metadata.inode)
            .collect();
        self.looked
            .beginnings
            .retain(|inode, _| there.contains(inode));
        for candidate in found {
            if !self.place_open_file(&candidate, context.wall) {
                self.consider(&candidate, &missing, context);
            }
        }
    }

    fn as_candidate(&self, path: PathBuf) -> Option<Candidate> {
        let metadata = self.fs.metadata(&path).ok()?;
        let compression = stem::compression(path.file_name()?.to_str()?);
        (metadata.kind == FileKind::File && metadata.size > 0).then_some(Candidate {
            path,
            metadata,
            log: 0,
            names: Vec::new(),
            live: false,
            by: FoundBy::Content,
            owners: None,
            compression,
        })
    }

    /// A file that is open got a name that says nothing.
    fn place_open_file(&mut self, candidate: &Candidate, wall: i64) -> bool {
        let inode = candidate.metadata.inode;
        let Some(reader) = (self.readers.iter_mut()).find(|reader| reader.inode == inode) else {
            return false;
        };
        if let Some(track) = self.streams.get_mut(reader.key)
            && !reader.visible
        {
            reader.visible = true;
            reader.path.clone_from(&candidate.path);
            track.path.clone_from(&candidate.path);
            track.seen = wall;
            self.streams.assign(reader.key);
        }
        true
    }

    fn consider(&mut self, candidate: &Candidate, missing: &[FileKey], context: ScanContext) {
        let Metadata {
            inode,
            size,
            modified,
            ..
        } = candidate.metadata;
        let known = self.looked.beginnings.get(&inode).copied();
        if let Some((then, at, beginning)) = known
            && (then, at) == (size, modified)
            && self.streams.knows_all_beginnings()
        {
            let like = beginning.is_some_and(|beginning| {
                let is_log = |log: &str| self.discover.log_of(log).is_some();
                self.streams.may_know_beginning(beginning, is_log)
            });
            if !like {
                return;
            }
        }
        let last = ScanContext {
            last_chance: true,
            ..context
        };
        match self.admit(candidate, last) {
            Ok(_) => {}
            // Renamed since the scan: the next one finds it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.sure = false,
            Err(error) if is_shortage(&error) => self.look_again_later(),
            // What has nothing to do with a log need not be readable.
            Err(error) => {
                if self.is_named_like_one_of(missing, &candidate.path) {
                    self.sure = false;
                    let problem = Problem::io(&self.fs, &candidate.path, &error);
                    self.stats.problems.push(problem);
                }
            }
        }
    }

    /// Remembers how a file begins.
    pub(super) fn note_beginning_of(&mut self, opened: &OpenedCandidate<'_, F>) {
        let Metadata {
            inode,
            size,
            modified,
            ..
        } = opened.metadata;
        let beginning = (!opened.line.is_empty()).then_some(opened.beginning);
        self.looked
            .beginnings
            .insert(inode, (size, modified, beginning));
    }

    /// Whether the name of a file has that of a missing log in it.
    fn is_named_like_one_of(&self, missing: &[FileKey], path: &Path) -> bool {
        let file = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let stem = |key: &FileKey| {
            let name = Path::new(&*self.streams.get(*key)?.name);
            name.file_stem().and_then(OsStr::to_str).map(str::to_owned)
        };
        (missing.iter().filter_map(stem)).any(|stem| file.contains(&stem))
    }

    /// Streams with something unread whose file is not known.
    fn missing(&self) -> Vec<FileKey> {
        let open: HashSet<FileKey> = (self.readers.iter().map(|reader| reader.key))
            .chain(self.done.values().map(|done| done.key))
            .chain(self.room.keys())
            .collect();
        let is_missing = |(key, track): &(FileKey, &Track)| {
            !track.finished
                && !track.skipped
                && track.stream.is_some()
                && !open.contains(key)
                && self.discover.log_of(&track.name).is_some()
        };
        let missing = self.streams.iter().filter(is_missing);
        missing.map(|(key, _)| key).collect()
    }

    /// Whether a file that was given to a log by its content is another than when it was read.
    fn grown_since(&self) -> bool {
        (self.streams.iter())
            .filter(|(key, track)| track.assigned && self.reader_of(*key).is_none())
            .filter_map(|(_, track)| self.fs.metadata(&track.path).ok())
            .any(|metadata| {
                self.done.get(&metadata.inode).is_none_or(|done| {
                    (done.size, done.modified) != (metadata.size, metadata.modified)
                })
            })
    }

    /// After a start, says and counts what was read in part and is nowhere any more.
    pub(super) fn report_unfound(&mut self) {
        if !self.unreported || !self.sure || self.backlog {
            return;
        }
        self.unreported = false;
        for key in self.missing() {
            let Some(track) = self.streams.get(key) else {
                continue;
            };
            // Of twins one may hold what the other lacks: that shows when they were read.
            let twins = track.stream.map(|stream| self.streams.keys_of(stream));
            let alone = twins.is_none_or(|keys| keys.len() <= 1);
            if track.unfound || track.missing.is_some() || !alone {
                continue;
            }
            let unread = track.size.saturating_sub(track.read.offset);
            let problem = Problem::new(
                Path::new(&*track.name),
                format!(
                    "was read to byte {} of a file that is found no more (last seen as {}): what stood behind it \
                     is not indexed; if the file was renamed or moved, add its directory to rotated_dirs, or put \
                     it back; `logweir check` lists the files that were looked at",
                    track.read.offset,
                    track.path.display()
                ),
            );
            self.start_problems.push(problem.leaving(Leaves::Input));
            self.stats.files_not_found += 1;
            if unread > 0 {
                *self.stats.lost_bytes.entry(DELETED).or_default() += unread;
            }
            if let Some(track) = self.streams.get_mut(key) {
                track.unfound = true;
                self.streams.mark_changed();
            }
        }
    }

    /// Files that only a glob found, with a date in their names, are followed by nobody.
    pub(super) fn say_what_is_dated(&mut self, scan: &Scan) {
        let assigned: HashSet<&Path> = (self.streams.tracks())
            .filter(|track| track.assigned)
            .map(|track| track.path.as_path())
            .collect();
        for path in scan
            .dated
            .iter()
            .filter(|path| !assigned.contains(path.as_path()))
        {
            self.stats.problems.push(dated(path));
        }
    }
}

/// Why a file with a date in its name is not followed, and what to do.
pub(super) fn dated(path: &Path) -> Problem {
    Problem::new(
        path,
        "carries a date in its name and is not followed, because a glob found it: its lines would get another \
         identity every day; if it is one lasting log, name its path without a wildcard, if a new file comes \
         every day, give it a [[logs]] with a `name`, if it is neither, leave it out by exclude"
            .to_owned(),
    )
}
