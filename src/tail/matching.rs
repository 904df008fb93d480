//! Decides which stream a file continues, from facts alone.
//!
//! Owns: the decision between the rest of a stream, a copy, a new stream, old history and a file of another log.
//! Refuses to know: how files are opened and read; it asks a [`Probe`] what two contents have in common, and changes
//! nothing. Invariant: a file is left unread only if each complete line in it is read under its identity from another
//! file, was read, or is history that was not requested; and a file is assigned to a log other than that of its name
//! only if it contains what was read of that log's stream. The failures it guards against: a rotated file is forgotten,
//! a copy is read beside its original, and two files with the same beginning are taken for one.

mod expired;
mod owner;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use super::discover::{Candidate, Discover, FoundBy};
use super::fs::Metadata;
use super::gzip::Trailer;
use super::history::HistoryRule;
use super::identity::Position;
use super::stream_table::StreamTable;
use super::{FileKey, StreamId};

pub(super) use expired::ExpiredFile;

/// The facts about the content of an opened file.
pub(super) struct Content {
    /// The metadata of the file as it was opened.
    pub(super) metadata: Metadata,
    pub(super) compressed: bool,
    /// Its first complete line, as far as it matters; empty without one, and also for a first line that is empty.
    pub(super) line: Vec<u8>,
    /// The hash of that line.
    pub(super) beginning: u64,
    /// Its identity under the name of each log that it may belong to; empty without a complete line.
    pub(super) streams: Vec<(Arc<str>, StreamId)>,
}

/// The questions of the match about the bytes of files. The candidate is the file that is matched.
pub(super) trait Probe {
    /// Whether the candidate contains what was read up to `position`; `None` if a compressed one ends before it.
    fn holds(&self, position: Position) -> io::Result<Option<bool>>;
    /// The position at `offset` in the plain candidate, with the marker of the bytes before it.
    fn position_at(&self, offset: u64) -> io::Result<Position>;
    /// The trailer of the compressed candidate.
    fn trailer(&self) -> io::Result<Trailer>;
    /// The open file from which a stream is read.
    fn open_file(&self, key: FileKey) -> Option<OpenFile>;
    /// The present length of the open plain file of a stream.
    fn open_size(&self, key: FileKey) -> io::Result<u64>;
    /// Whether the open plain file of a stream contains what was read up to `position`.
    fn open_holds(&self, key: FileKey, position: Position) -> io::Result<bool>;
    /// The position at `offset` in the open plain file of a stream.
    fn open_position_at(&self, key: FileKey, offset: u64) -> io::Result<Position>;
    /// The hash of the first line of the open plain file of a stream; `None` without a complete one.
    fn open_beginning(&self, key: FileKey) -> io::Result<Option<u64>>;
    /// The position at `offset` in the file that was read to its end as a stream and is unchanged; `None` if there is
    /// no such file, or if it is not longer than `offset`.
    fn finished_position_at(&self, key: FileKey, offset: u64) -> io::Result<Option<Position>>;
}

/// The open file of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenFile {
    /// Whether nginx writes to it now.
    pub(super) live: bool,
    pub(super) compressed: bool,
    /// Whether it has a name, or another file replaced it: then it is closed soon after it is read.
    pub(super) is_closed_soon: bool,
}

/// What to do with a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// It has no complete line.
    NoLine,
    /// It belongs to no known log.
    NoLog,
    /// nginx writes it compressed (`access_log … gzip`); its end cannot be distinguished from an incomplete block.
    LiveGzip,
    /// `rotated` matches it for several logs, and none of them is known to have had its content.
    Unassigned,
    /// It belongs to the log of this name, whatever its own name is, and is matched again as a file of that log.
    OtherLog {
        name: Arc<str>,
        /// The logs that are equally likely and whose files have the same beginning, including this one; empty if it is
        /// the only one.
        equally_likely: Vec<Arc<str>>,
    },
    /// All its lines are read from the file of this stream, under another name.
    CopyOf(FileKey),
    /// All its lines are read from the open file of this stream.
    ReadFromOpen(FileKey),
    /// All its lines were read as this stream. `to_its_end`: it contains everything that was read of the stream.
    WasRead { key: FileKey, to_its_end: bool },
    /// It contains the rest of this stream.
    Continue(FileKey),
    /// It is a stream of its own. `beside` is the open stream that only has the same beginning.
    New { beside: Option<FileKey> },
    /// It existed before its log was configured.
    History,
    /// It may be the beginning of a file that this scan has not reached yet.
    AskAgain,
    /// The answer is known when another file was read further.
    Later,
}

/// One candidate, and the facts that it is compared with.
pub(super) struct Match<'a, P: Probe> {
    pub(super) candidate: &'a Candidate,
    pub(super) content: &'a Content,
    pub(super) streams: &'a StreamTable,
    pub(super) discover: &'a Discover,
    pub(super) history: HistoryRule,
    pub(super) probe: &'a P,
}

impl<P: Probe> Match<'_, P> {
    /// Decides what to do with the candidate. `last_chance`: all other candidates of the scan were matched before, so
    /// the answer is never [`Decision::AskAgain`].
    ///
    /// # Errors
    /// Those of the probe.
    pub(super) fn decide(&self, last_chance: bool) -> io::Result<Decision> {
        let Self {
            candidate, content, ..
        } = self;
        let has_name = !candidate.names.is_empty();
        if content.streams.is_empty() && has_name {
            return Ok(Decision::NoLine);
        }
        if self.begins_like_another() {
            if !last_chance {
                return Ok(Decision::AskAgain);
            }
            if let Some(decision) = self.owner()? {
                return Ok(decision);
            }
        }
        if !has_name {
            return Ok(Decision::NoLog);
        }
        if candidate.live && content.compressed {
            return Ok(Decision::LiveGzip);
        }
        let is_known = |(_, stream): &(_, StreamId)| self.streams.has_seen(*stream);
        let is_declared = candidate.by == FoundBy::Declared && candidate.names.len() != 1;
        if is_declared && !content.streams.iter().any(is_known) {
            return Ok(Decision::Unassigned);
        }
        match content.compressed {
            true => self.compressed(),
            false => self.plain(last_chance),
        }
    }

    fn plain(&self, last_chance: bool) -> io::Result<Decision> {
        let live = self.candidate.live;
        let size = self.content.metadata.size;
        let keys = self.streams.keys_of_any(&self.content.streams);
        let mut best: Option<(u64, FileKey)> = None;
        let mut may_be_a_beginning = false;
        for &key in &keys {
            let Some(track) = self.streams.get(key) else {
                continue;
            };
            let offset = track.read.offset;
            if track.skipped {
                if !live {
                    return Ok(was_read_in_part(key));
                }
            } else if offset > size {
                may_be_a_beginning = !live;
            } else if best.is_none_or(|(longest, _)| longest < offset)
                && self.probe.holds(track.read)? == Some(true)
            {
                best = Some((offset, key));
            }
        }
        if may_be_a_beginning {
            // All its lines are read from the longer file, under the same ids.
            match self.beginning_of(&keys)? {
                Some((key, true)) => return Ok(Decision::ReadFromOpen(key)),
                Some((key, false)) => return Ok(was_read_in_part(key)),
                None if !last_chance => return Ok(Decision::AskAgain),
                None => {}
            }
        }
        let Some((offset, key)) = best else {
            return Ok(self.history_or_new());
        };
        if self.probe.open_file(key).is_some() {
            // Reading continues in the open file, and the next scan examines this copy again.
            return Ok(match self.goes_beyond_open(size, key)? {
                true => Decision::New { beside: Some(key) },
                false => Decision::ReadFromOpen(key),
            });
        }
        Ok(match live || size > offset {
            true => Decision::Continue(key),
            false => Decision::WasRead {
                key,
                to_its_end: true,
            },
        })
    }

    fn compressed(&self) -> io::Result<Decision> {
        let trailer = self.probe.trailer()?;
        let size = u64::from(trailer.size);
        let mut best: Option<((bool, bool, u64), FileKey)> = None;
        let mut is_beside_open = false;
        for key in self.streams.keys_of_any(&self.content.streams) {
            let Some(track) = self.streams.get(key) else {
                continue;
            };
            if self.probe.open_file(key).is_some() {
                // One file is read per stream. Reading continues in the open one, if it is the one that was compressed.
                if !self.goes_beyond_open(size, key)? {
                    return Ok(Decision::ReadFromOpen(key));
                }
                is_beside_open = true;
            } else if track.skipped || track.finished && track.gzip == Some(trailer) {
                // It was decoded once, and its content is known since then.
                return Ok(was_read_in_part(key));
            } else {
                // The maximum length of its content, except for files over 4 GiB, whose content size is not known.
                let offset = track.read.offset;
                let rank = (offset == size, offset <= size, offset);
                if best.is_none_or(|(best, _)| best < rank) {
                    best = Some((rank, key));
                }
            }
        }
        Ok(match best {
            Some((_, key)) => Decision::Continue(key),
            None if is_beside_open => Decision::New { beside: None },
            None => self.history_or_new(),
        })
    }

    fn history_or_new(&self) -> Decision {
        match !self.candidate.live && self.is_history() {
            true => Decision::History,
            false => Decision::New { beside: None },
        }
    }

    /// Whether the candidate existed before its log was configured.
    fn is_history(&self) -> bool {
        let is_known = |(name, _): &(Arc<str>, _)| self.streams.knows_log(name);
        let is_known_log = self.content.streams.first().is_some_and(is_known);
        let modified = self.candidate.metadata.modified;
        self.history.is_history(is_known_log, modified)
    }

    /// Whether a candidate of `size` bytes, which has the same beginning as the open file of a stream, contains more
    /// than that file: then they are two different files. For a compressed candidate only decoding could show this.
    fn goes_beyond_open(&self, size: u64, key: FileKey) -> io::Result<bool> {
        let (Some(open), Some(track)) = (self.probe.open_file(key), self.streams.get(key)) else {
            return Ok(false);
        };
        if open.compressed || !open.live && open.is_closed_soon {
            // The open file is closed when it is read, and this file continues it.
            return Ok(false);
        }
        // An open file that was just truncated is the original of a copy: its next read detects that.
        let is_longer = self.probe.open_size(key)? < size;
        let is_beyond = is_longer || self.content.compressed && open.live;
        Ok(is_beyond && self.probe.open_holds(key, track.read)?)
    }

    /// The longer file of which the plain candidate contains the beginning, and whether it is open (otherwise it was
    /// read to its end): the candidate is a copy that is still being made, or that was made earlier.
    fn beginning_of(&self, keys: &[FileKey]) -> io::Result<Option<(FileKey, bool)>> {
        let size = self.content.metadata.size;
        let here = self.probe.position_at(size)?;
        for &key in keys {
            let is_open_plain = |open: OpenFile| !open.compressed;
            if self.probe.open_file(key).is_some_and(is_open_plain) {
                if self.probe.open_position_at(key, size)? == here {
                    return Ok(Some((key, true)));
                }
            } else if self.probe.finished_position_at(key, size)? == Some(here) {
                return Ok(Some((key, false)));
            }
        }
        Ok(None)
    }
}

/// The candidate need not be read; it may be only a part of the stream.
fn was_read_in_part(key: FileKey) -> Decision {
    Decision::WasRead {
        key,
        to_its_end: false,
    }
}
