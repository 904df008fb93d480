//! Determines the log of a file by its first line and the bytes before a saved position.
//!
//! Owns: the choice between logs that a file may belong to. Refuses to know: which of a log's streams the file
//! continues. Invariant: a file is assigned to a log other than that of its name only if it contains what was read of
//! that log's stream, or had that log's content before the positions were lost. The failures it guards against: a
//! rotated file whose name is in no table is forgotten; a rotated file or a copy that a glob matches is indexed again
//! as a log of its own; and a log is taken for another one with the same beginning.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::super::FileKey;
use super::super::assignments::Assignment;
use super::super::discover::FoundBy;
use super::super::stem;
use super::super::track::Track;
use super::{Decision, Match, OpenFile, Probe};

/// The relation of a candidate to a stream of another log with the same beginning.
enum Relation {
    Continues,
    Copy,
    Later,
    Differs,
}

impl<P: Probe> Match<'_, P> {
    /// Whether the candidate may belong to another log.
    pub(super) fn begins_like_another(&self) -> bool {
        let content = self.content;
        let is_known = |(_, stream): &(_, _)| !self.streams.keys_of(*stream).is_empty();
        if self.candidate.by == FoundBy::Path || content.streams.iter().any(is_known) {
            return false;
        }
        let alike = self
            .streams
            .beginning_with(content.beginning, &content.line);
        !alike.is_empty() || self.assigned_before().next().is_some()
    }

    /// The decision for a candidate that belongs to another log than that of its name; `None` if its name is right.
    pub(super) fn owner(&self) -> io::Result<Option<Decision>> {
        let Self {
            candidate, content, ..
        } = self;
        let mut fits: Vec<&Track> = Vec::new();
        let (mut copy, mut is_later) = (None, false);
        let alike = self
            .streams
            .beginning_with(content.beginning, &content.line);
        for key in alike {
            let Some(track) = self.streams.get(key) else {
                continue;
            };
            let Some(log) = self.discover.log_of(&track.name) else {
                continue;
            };
            if self.discover.excludes(log, &candidate.path) {
                continue;
            }
            match self.relation(key, track)? {
                Relation::Continues => fits.push(track),
                Relation::Copy => copy = Some(key),
                Relation::Later => is_later = true,
                Relation::Differs => {}
            }
        }
        if let Some((name, equally_likely)) = self.likeliest(&fits) {
            return Ok(Some(Decision::OtherLog {
                name,
                equally_likely,
            }));
        }
        if is_later {
            return Ok(Some(Decision::Later));
        }
        if let Some(key) = copy {
            return Ok(Some(Decision::CopyOf(key)));
        }
        Ok(self.owner_before())
    }

    /// The log that had this content before the positions were lost, because no position is known that could decide.
    fn owner_before(&self) -> Option<Decision> {
        let candidate = self.candidate;
        let before: Vec<&Assignment> = self.assigned_before().collect();
        let is_own = |one: &&Assignment| matches!(&*candidate.names, [own] if **own == *one.log);
        if before.is_empty() || before.iter().any(is_own) {
            return candidate.names.is_empty().then_some(Decision::NoLog);
        }
        let is_here = |one: &&&Assignment| {
            // Each of the log's assignments may describe this file.
            before.iter().any(|other| {
                other.log == one.log
                    && (Path::new(&other.path) == candidate.path
                        || (other.device, other.inode) == self.content.metadata.inode)
            })
        };
        let is_likely = |one: &&&Assignment| candidate.names.iter().any(|name| **name == *one.log);
        let one = (before.iter().find(is_here))
            .or_else(|| before.iter().find(is_likely))
            .unwrap_or(&before[0]);
        Some(Decision::OtherLog {
            name: Arc::from(one.log.as_str()),
            equally_likely: Vec::new(),
        })
    }

    /// The assignments of this content to logs that are still configured.
    fn assigned_before(&self) -> impl Iterator<Item = &Assignment> {
        let before = self.streams.assigned_before(self.content.beginning);
        before.filter(|one| self.discover.log_of(&one.log).is_some())
    }

    fn relation(&self, key: FileKey, track: &Track) -> io::Result<Relation> {
        let Self {
            candidate,
            content,
            probe,
            ..
        } = self;
        // The table of names determines the log of a file, if that log is known, unless the file contains the rest of
        // another log's stream.
        let is_log = |name: &Arc<str>| self.discover.fixes(name) || self.streams.knows_log(name);
        let names_decide = candidate.by == FoundBy::Table && candidate.names.iter().any(is_log);
        let must_be_read = !names_decide && !candidate.names.is_empty();
        if track.skipped || names_decide && (track.finished || track.read.offset == 0) {
            return Ok(Relation::Differs);
        }
        if let Some(open) = probe.open_file(key) {
            return match names_decide {
                true => Ok(Relation::Differs),
                false => self.relation_to_open(key, track, open),
            };
        }
        let size = content.metadata.size;
        if !content.compressed && size < track.read.offset {
            return Ok(match self.beginning_of(&[key])? {
                Some(_) => Relation::Copy,
                // No known file contains the content of which this one may be the beginning. It is read under the
                // identity of that content, so nothing is duplicated. A file that no glob finds comes after those that
                // a glob finds.
                None if must_be_read => Relation::Continues,
                None => Relation::Differs,
            });
        }
        Ok(match probe.holds(track.read)? {
            Some(true) => Relation::Continues,
            // The same applies to a compressed file that ends before the position.
            None if must_be_read => Relation::Continues,
            _ => Relation::Differs,
        })
    }

    fn relation_to_open(
        &self,
        key: FileKey,
        track: &Track,
        open: OpenFile,
    ) -> io::Result<Relation> {
        let probe = self.probe;
        if self.content.compressed {
            // It is the compressed form of the open file: it is not read beside that file, but may be read after it.
            return Ok(match open.live {
                true => Relation::Copy,
                false => Relation::Later,
            });
        }
        if open.compressed {
            return Ok(Relation::Later);
        }
        let here = self.content.metadata.size;
        let size = probe.open_size(key)?;
        Ok(if size < track.size || self.was_emptied(key, track)? {
            // It was just truncated: its next read detects that.
            Relation::Later
        } else if here <= size {
            match probe.open_position_at(key, here)? == probe.position_at(here)? {
                true => Relation::Copy,
                false => Relation::Differs,
            }
        } else if open.live || probe.holds(track.read)? != Some(true) {
            Relation::Differs
        } else if open.is_closed_soon {
            // A copy that has grown: it continues the open file when that is closed.
            Relation::Later
        } else {
            Relation::Continues
        })
    }

    /// Whether the open file of a stream contains something else than what was read of it.
    fn was_emptied(&self, key: FileKey, track: &Track) -> io::Result<bool> {
        if track.read.offset > 0 {
            return Ok(!self.probe.open_holds(key, track.read)?);
        }
        Ok(self.probe.open_beginning(key)? != track.beginning)
    }

    /// The likeliest log among the streams that the candidate continues: by the table of names, then by the directory,
    /// then by the inode. The second part contains the names of all logs that are equally likely by name and directory;
    /// it is empty if there is only one.
    fn likeliest(&self, fits: &[&Track]) -> Option<(Arc<str>, Vec<Arc<str>>)> {
        let path = &self.candidate.path;
        let file = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let rank = |track: &&Track| {
            let live = Path::new(&*track.name);
            let live_file = live.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let by_table = stem::rotated(live_file, file).is_some();
            let near = path.parent() == live.parent() || path.parent() == track.path.parent();
            let same_file = track.inode == self.content.metadata.inode;
            ((by_table, near), same_file, Arc::clone(&track.name))
        };
        let mut ranked: Vec<_> = fits.iter().map(rank).collect();
        // The greatest rank comes first; among equals the same inode, then the first by name.
        ranked.sort_by(|a, b| (b.0, b.1, &a.2).cmp(&(a.0, a.1, &b.2)));
        let (best, _, name) = ranked.first().cloned()?;
        let mut equal: Vec<Arc<str>> = (ranked.into_iter())
            .filter(|(rank, _, _)| *rank == best)
            .map(|(_, _, name)| name)
            .collect();
        equal.dedup();
        if equal.len() == 1 {
            equal.clear();
        }
        Some((name, equal))
    }
}
