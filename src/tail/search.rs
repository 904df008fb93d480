//! Searches for missing streams among files whose names do not identify their log.
//!
//! Owns: when all files of the directories are examined, and the report if a stream is not found. Refuses to know:
//! which stream a file continues (`matching`). Invariant: a stream with unread bytes is searched for at each scan until
//! its file is found or is known to be deleted; a file is opened again only if it has changed or has the same beginning
//! as a known stream. The failure it guards against: a log that was renamed while the agent was stopped is forgotten.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::FileKey;
use super::closing::DELETED;
use super::descriptor_slots::is_shortage;
use super::discover::{Candidate, FoundBy, Scan};
use super::fs::{FileKind, FileSystem, Inode};
use super::reconcile::ScanContext;
use super::stats::{Leaves, Problem};
use super::stem;
use super::tailer::Tailer;
use super::track::Track;
use crate::clock::Clock;

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Searches for missing streams among the files whose names do not identify their log.
    pub(super) fn search(&mut self, scan: &Scan, context: ScanContext) {
        let missing = self.missing();
        let moved: Vec<PathBuf> = (self.open.iter())
            .filter(|file| !file.visible)
            .filter(|file| {
                let metadata = self.fs.metadata_of(file.file());
                metadata.is_ok_and(|metadata| metadata.links > 0)
            })
            .map(|file| file.path.clone())
            .collect();
        let lost_positions = self.earlier.read_all && self.streams.has_unmatched();
        let again = std::mem::take(&mut self.search_again);
        // After a start, a shorter copy may have the name of the file that was being read: all files are examined once.
        let again = again || self.unreported || lost_positions || self.has_assigned_file_changed();
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
            self.search_again_later();
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
        self.seen.retain_beginnings(&there);
        let context = ScanContext {
            last_chance: true,
            ..context
        };
        for candidate in found {
            if !self.place_open_file(&candidate, context.wall) {
                self.match_nameless(&candidate, &missing, context);
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

    /// Whether the file is open; then it got a name that does not identify its log.
    fn place_open_file(&mut self, candidate: &Candidate, wall: i64) -> bool {
        let inode = candidate.metadata.inode;
        let Some(file) = (self.open.files.iter_mut()).find(|file| file.inode == inode) else {
            return false;
        };
        if let Some(track) = self.streams.get_mut(file.key)
            && !file.visible
        {
            file.visible = true;
            file.path.clone_from(&candidate.path);
            track.path.clone_from(&candidate.path);
            track.seen = wall;
            self.streams.assign(file.key);
        }
        true
    }

    fn match_nameless(&mut self, candidate: &Candidate, missing: &[FileKey], context: ScanContext) {
        if let Some(beginning) = self.seen.beginning(&candidate.metadata)
            && self.streams.knows_all_beginnings()
        {
            let is_log = |log: &str| self.discover.log_of(log).is_some();
            let is_known = |beginning| self.streams.may_know_beginning(beginning, is_log);
            if !beginning.is_some_and(is_known) {
                return;
            }
        }
        match self.match_candidate(candidate, context) {
            Ok(_) => {}
            // It was renamed since the scan; the next one finds it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.scan.is_complete = false,
            Err(error) if is_shortage(&error) => self.search_again_later(),
            // A file that belongs to no log need not be readable.
            Err(error) => {
                if self.is_named_like_one_of(missing, &candidate.path) {
                    self.scan.is_complete = false;
                    let problem = Problem::io(&self.fs, &candidate.path, &error);
                    self.stats.problems.push(problem);
                }
            }
        }
    }

    /// Records that no descriptor was left to determine to which log a file belongs.
    fn search_again_later(&mut self) {
        self.open.slots.deny();
        self.scan.is_complete = false;
        self.scan.has_failed = true;
        self.search_again = true;
    }

    /// Whether the name of a file contains that of a missing log.
    fn is_named_like_one_of(&self, missing: &[FileKey], path: &Path) -> bool {
        let file = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let stem = |key: &FileKey| {
            let name = Path::new(&*self.streams.get(*key)?.name);
            name.file_stem().and_then(OsStr::to_str)
        };
        (missing.iter().filter_map(stem)).any(|stem| file.contains(stem))
    }

    /// Streams with unread bytes whose file is not known.
    fn missing(&self) -> Vec<FileKey> {
        let placed: HashSet<FileKey> = self.open.keys().chain(self.seen.finished_keys()).collect();
        let is_missing = |(key, track): &(FileKey, &Track)| {
            !track.finished
                && !track.skipped
                && track.stream.is_some()
                && !placed.contains(key)
                && self.discover.log_of(&track.name).is_some()
        };
        let missing = self.streams.iter().filter(is_missing);
        missing.map(|(key, _)| key).collect()
    }

    /// Whether a file that was assigned to a log by its content has changed since it was read.
    fn has_assigned_file_changed(&self) -> bool {
        (self.streams.iter())
            .filter(|(key, track)| track.assigned && self.open.of(*key).is_none())
            .filter_map(|(_, track)| self.fs.metadata(&track.path).ok())
            .any(|metadata| {
                let seen = self.seen.finished(metadata.inode);
                !seen.is_some_and(|seen| seen.is_unchanged(&metadata))
            })
    }

    /// After a start, reports and counts the streams that were partly read and whose file is not found any more.
    pub(super) fn report_unfound(&mut self) {
        if !self.unreported || !self.scan.is_complete || self.open.slots.backlog {
            return;
        }
        self.unreported = false;
        for key in self.missing() {
            let Some(track) = self.streams.get(key) else {
                continue;
            };
            // Of two streams with the same content one may contain what the other lacks; this is known when both were
            // read.
            let twins = track.stream.map(|stream| self.streams.keys_of(stream));
            let is_alone = twins.is_none_or(|keys| keys.len() <= 1);
            if track.unfound || track.missing.is_some() || !is_alone {
                continue;
            }
            let unread = track.size.saturating_sub(track.read.offset);
            let problem = Problem::new(
                Path::new(&*track.name),
                format!(
                    "was read to byte {} of a file that cannot be found any more (last seen as {}): the bytes \
                     after it are not indexed; if the file was renamed or moved, add its directory to rotated_dirs, \
                     or move it back; `logweir check` lists the files that were examined",
                    track.read.offset,
                    track.path.display()
                ),
            );
            self.lasting_problems.push(problem.leaving(Leaves::Input));
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

    /// Reports the files that only a glob found and that have a date in their names: they are not followed.
    pub(super) fn report_dated(&mut self, scan: &Scan) {
        let assigned: HashSet<&Path> = (self.streams.tracks())
            .filter(|track| track.assigned)
            .map(|track| track.path.as_path())
            .collect();
        let dated = scan.dated.iter().map(PathBuf::as_path);
        let followed_by_nobody = dated.filter(|path| !assigned.contains(path));
        self.stats
            .problems
            .extend(followed_by_nobody.map(dated_file));
    }
}

/// Why a file with a date in its name is not followed, and what to do.
pub(super) fn dated_file(path: &Path) -> Problem {
    Problem::new(
        path,
        "has a date in its name and is not followed, because a glob found it: its lines would get another \
         identity every day; if it is one lasting log, name its path without a wildcard, if a new file comes \
         every day, give it a [[logs]] with a `name`, if it is neither, leave it out by exclude"
            .to_owned(),
    )
}
