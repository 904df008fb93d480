//! Encoded documents for an output, and the spans of files that they came from.
//!
//! Owns the shape of a [`Batch`]; refuses to know how an output frames a document ([`Framing`]) and what is in one.
//! Invariant: every line that a batch covers is in exactly one of its spans.

use std::path::Path;
use std::sync::Arc;

use super::{DocumentId, EventTime, FileKey, StreamId};

/// Encoded documents, and the spans of files that they came from.
#[derive(Debug, Default)]
pub struct Batch {
    /// The documents one after the other, each in the frame of the output.
    pub body: Vec<u8>,
    /// The position of each document in `body`, in order; an item ends where the next begins.
    pub items: Vec<Item>,
    /// The spans of files whose lines are in this batch, in reading order.
    pub spans: Vec<Span>,
}

impl Batch {
    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.body.clear();
        self.items.clear();
        self.spans.clear();
    }

    /// Bytes of item `index`: the document in its frame.
    pub fn item(&self, index: usize) -> Option<&[u8]> {
        let start = self.items.get(index)?.start as usize;
        let end = self
            .items
            .get(index + 1)
            .map_or(self.body.len(), |next| next.start as usize);
        self.body.get(start..end)
    }
}

/// The position of one document in [`Batch::body`], in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Start of the frame.
    pub start: u32,
    /// Start of the document.
    pub document: u32,
}

/// A part of one file whose lines are in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub file: FileKey,
    /// Identity of the file's content.
    pub stream: StreamId,
    /// The path that the lines were read from.
    pub path: Arc<Path>,
    /// Uncompressed byte offset of the first line's start.
    pub from: u64,
    /// Uncompressed byte offset after the last line.
    pub to: u64,
    /// Hash of the bytes before `to`, by which a reader finds out that a file still holds them. Known where the reader
    /// can start again: at the end of what it read at once.
    pub marker: Option<u64>,
    /// Complete lines in the span, including those without a document (filtered, expired).
    pub lines: u32,
    /// Documents of the span, which are consecutive in the batch.
    pub documents: u32,
}

/// How an output frames each document of a batch: the action line of a bulk request, a line end, a length.
pub trait Framing: Send + 'static {
    /// Appends the bytes before the document.
    fn open(&mut self, body: &mut Vec<u8>, id: &DocumentId, time: EventTime);

    /// Appends the bytes after the document.
    fn close(&mut self, body: &mut Vec<u8>);
}
