//! The position in one stream of bytes, separate from the file that contains them now.
//!
//! Owns: how far a stream was read, how far it is settled, and the marker of both. Refuses to know: how bytes are read
//! and why they are settled. Invariant: `settled ≤ read`, and the settled position was the end of a chunk whose bytes
//! were all handed out and settled. The failure it guards against: a position is saved ahead of what is durable
//! elsewhere, which is the only way in which a restart can lose lines.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use super::StreamId;
use super::fs::Inode;
use super::gzip::Trailer;
use super::identity::Position;
use super::stream_framing::StreamFraming;

/// The maximum number of positions remembered between `settled` and `read`. Beyond it the newest are merged, which is
/// coarser but never wrong.
const MAX_PENDING: usize = 64;

/// One generation of one stream.
#[derive(Debug)]
pub(super) struct Track {
    /// Index into the settings; meaningless before a file is opened for it.
    pub(super) log: usize,
    /// The log's name, part of the identity.
    pub(super) name: Arc<str>,
    /// How its records are framed.
    pub(super) framing: StreamFraming,
    /// Known after the first complete line.
    pub(super) stream: Option<StreamId>,
    /// The hash of the first line; unknown for a stream of an older checkpoint until its file is found.
    pub(super) beginning: Option<u64>,
    /// Everything before it was handed out.
    pub(super) read: Position,
    /// Everything before it is durable elsewhere.
    settled: Position,
    /// Ends of chunks after `settled`, ascending; the last one is `read`.
    pending: VecDeque<Position>,
    /// The path and the inode where the content was last seen: hints for people and for symbolic links.
    pub(super) path: PathBuf,
    pub(super) inode: Inode,
    /// The greatest length seen: bytes after `read` are lost if the content disappears.
    pub(super) size: u64,
    /// Wall time of the last look at a file with this content, milliseconds.
    pub(super) seen: i64,
    /// Rotated, and read to its end.
    pub(super) finished: bool,
    /// Old history that was not requested, in a compressed file of unknown content size: never read.
    pub(super) skipped: bool,
    /// Its file was older than the retention; the unread rest is passed over.
    pub(super) expired: bool,
    /// Its file has a name that does not identify its log; its content or `rotated` does.
    pub(super) assigned: bool,
    /// The rest was searched for, not found, and counted; the search goes on.
    pub(super) unfound: bool,
    /// The trailer of the compressed file that was found to contain exactly this content.
    pub(super) gzip: Option<Trailer>,
    /// The content disappeared with unread bytes; a copy may still be found.
    pub(super) missing: Option<Missing>,
}

/// Bytes that were written and not read, and are in no known file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing {
    /// The greatest length seen.
    pub(super) size: u64,
    /// How many of them were read, or are in a file that was found since.
    pub(super) held: u64,
    /// Monotonic time of the loss.
    pub(super) since: std::time::Duration,
    pub(super) reason: &'static str,
}

impl Missing {
    pub(super) fn bytes(&self) -> u64 {
        self.size.saturating_sub(self.held)
    }
}

impl Track {
    /// A stream to be read from `position`, before which everything counts as settled.
    pub(super) fn new(name: Arc<str>, position: Position) -> Self {
        Self {
            log: 0,
            name,
            framing: StreamFraming::default(),
            stream: None,
            beginning: None,
            read: position,
            settled: position,
            pending: VecDeque::new(),
            path: PathBuf::new(),
            inode: (0, 0),
            size: position.offset,
            seen: 0,
            finished: false,
            skipped: false,
            expired: false,
            assigned: false,
            unfound: false,
            gzip: None,
            missing: None,
        }
    }

    /// Records that a chunk that ends at `position` was handed out.
    pub(super) fn hand_on(&mut self, position: Position) {
        self.read = position;
        self.size = self.size.max(position.offset);
        if self.pending.len() >= MAX_PENDING {
            self.pending.pop_back();
        }
        self.pending.push_back(position);
    }

    /// Records that everything before `offset` is durable; true if the settled position moved.
    pub(super) fn settle(&mut self, offset: u64) -> bool {
        let before = self.settled.offset;
        while let Some(position) = self.pending.front()
            && position.offset <= offset
        {
            self.settled = *position;
            self.pending.pop_front();
        }
        self.settled.offset != before
    }

    /// Records that no file contains more than what was read.
    pub(super) fn miss(&mut self, reason: &'static str, since: std::time::Duration) {
        self.missing = Some(Missing {
            size: self.size,
            held: self.read.offset,
            since,
            reason,
        });
    }

    /// Records that its content has a name that does not identify its log; true if that is new.
    pub(super) fn assign(&mut self) -> bool {
        !std::mem::replace(&mut self.assigned, true)
    }

    pub(super) fn settled(&self) -> Position {
        self.settled
    }

    /// Whether lines that were handed out still wait for their ack.
    pub(super) fn in_flight(&self) -> bool {
        !self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(offset: u64) -> Position {
        Position {
            offset,
            marker: offset,
        }
    }

    #[test]
    fn settles_only_at_ends_of_chunks() {
        let mut track = Track::new("l".into(), Position::start());
        track.hand_on(position(10));
        track.hand_on(position(30));
        assert!(!track.settle(9));
        assert_eq!(track.settled().offset, 0);
        assert!(track.settle(29));
        assert_eq!(track.settled(), position(10));
        assert!(track.settle(30));
        assert!(!track.in_flight());
    }

    #[test]
    fn many_small_chunks_cost_bounded_memory_and_still_settle_to_the_end() {
        let mut track = Track::new("l".into(), Position::start());
        for offset in 1..=10_000 {
            track.hand_on(position(offset));
        }
        assert_eq!(track.pending.len(), MAX_PENDING);
        assert!(track.settle(5_000));
        assert!(track.settled().offset < MAX_PENDING as u64);
        assert!(track.settle(10_000));
        assert_eq!(track.settled(), position(10_000));
    }
}
