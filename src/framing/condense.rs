//! A record that does not fit into one read: finding its end, and keeping what matters of it.
//!
//! Owns both passes over such a record. Refuses to know how bytes are read. Invariant: the memory needed is that of the
//! limit and three heads, however long the record and the lines of standard error between its parts are. The failure it
//! guards against: a container that writes without an end of line fills the agent's memory, or makes it read the same
//! bytes repeatedly.

use logweir_parsers::cri;
use memchr::memchr;

use super::LineKind;

/// A walk over the lines of an open record, in pieces of any size.
#[derive(Debug, Clone, Copy, Default)]
struct Walk {
    /// The kind of the line whose head was seen; `None` before a line.
    inside: Option<LineKind>,
}

/// Some bytes of one line.
struct Piece {
    kind: LineKind,
    /// Length of the head, if the piece begins the line.
    head: Option<usize>,
    /// Length without the `\n`.
    length: usize,
    /// Whether the `\n` follows.
    is_end: bool,
}

impl Walk {
    /// The bytes up to the end of the line or of `bytes`; `None` if they may be a part of a head.
    fn next(&mut self, bytes: &[u8]) -> Option<Piece> {
        let end = memchr(b'\n', bytes);
        let length = end.unwrap_or(bytes.len());
        let (kind, head) = match self.inside {
            Some(kind) => (kind, None),
            None if end.is_none() && length < cri::MAX_HEAD => return None,
            None => {
                let line = &bytes[..length];
                let payload = cri::parse(line).map_or(length, |line| line.payload.len());
                (LineKind::of(line), Some(length - payload))
            }
        };
        self.inside = end.is_none().then_some(kind);
        Some(Piece {
            kind,
            head,
            length,
            is_end: end.is_some(),
        })
    }
}

/// The search for the end of a record that begins with a part.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RecordEnd {
    walk: Walk,
    /// Bytes of the line that was begun and is not ended.
    half_line: u64,
}

/// The result of searching some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Searched {
    /// The record ends after this many bytes.
    Ends(usize),
    /// It goes on after this many bytes; the rest may be the beginning of a head.
    GoesOn(usize),
}

impl RecordEnd {
    /// Searches the next bytes of the record, from its beginning on.
    pub(crate) fn search(&mut self, bytes: &[u8]) -> Searched {
        let mut at = 0;
        while at < bytes.len() {
            let Some(piece) = self.walk.next(&bytes[at..]) else {
                break;
            };
            if piece.kind == LineKind::Unframed {
                return Searched::Ends(at);
            }
            at += piece.length + usize::from(piece.is_end);
            self.half_line = match piece.is_end {
                true => 0,
                false => self.half_line + piece.length as u64,
            };
            if piece.is_end && piece.kind == LineKind::Last {
                return Searched::Ends(at);
            }
        }
        Searched::GoesOn(at)
    }

    /// Bytes at the end of those that were searched that are not a whole line.
    pub(crate) fn half_line(&self) -> u64 {
        self.half_line
    }
}

/// Keeps the lines of a record that matter: the first part, the other parts as one, and the last line, without the lines
/// of standard error between them and without what is beyond the limit. They make the same record.
#[derive(Debug)]
pub(crate) struct Condenser {
    walk: Walk,
    kept: Vec<u8>,
    /// Length of `kept` at the end of the last whole line.
    whole: usize,
    /// Bytes of payload that are still kept: one more than the limit, which shows that the record is longer.
    room: usize,
    /// Parts so far.
    parts: u8,
    passed_over: u64,
}

impl Condenser {
    /// For payloads of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            walk: Walk::default(),
            kept: Vec::new(),
            whole: 0,
            room: limit + 1,
            parts: 0,
            passed_over: 0,
        }
    }

    /// Takes the next bytes of the record; returns how many. The rest may be the beginning of a head.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let Some(piece) = self.walk.next(&bytes[at..]) else {
                break;
            };
            self.keep(&bytes[at..at + piece.length], &piece);
            if piece.is_end {
                self.whole = self.kept.len();
            }
            at += piece.length + usize::from(piece.is_end);
        }
        at
    }

    fn keep(&mut self, bytes: &[u8], piece: &Piece) {
        match piece.kind {
            LineKind::Other => return self.passed_over += u64::from(piece.is_end),
            // It is not in the record.
            LineKind::Unframed => return,
            LineKind::Part | LineKind::Last => {}
        }
        let is_last = piece.kind == LineKind::Last;
        let (head, payload) = bytes.split_at(piece.head.unwrap_or(0));
        if piece.head.is_some() {
            if is_last && self.parts > 1 {
                self.kept.push(b'\n');
            }
            // The heads of further parts are left out, which joins their payloads.
            if is_last || self.parts < 2 {
                self.kept.extend_from_slice(head);
            }
            self.parts = self.parts.saturating_add(u8::from(!is_last));
        }
        let payload = &payload[..payload.len().min(self.room)];
        self.room -= payload.len();
        self.kept.extend_from_slice(payload);
        if piece.is_end && (is_last || self.parts == 1) {
            self.kept.push(b'\n');
        }
    }

    /// Lines of standard error that were left out.
    pub(crate) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// The whole lines that were kept. Joined parts without a last line have no `\n` at the end.
    pub(crate) fn kept(&self) -> &[u8] {
        &self.kept[..self.whole]
    }
}
