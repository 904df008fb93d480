//! What the pipeline and an output agree on: a batch of encoded records goes in, a settled delivery comes back.
//!
//! This module owns the shape of a [`Batch`]; it refuses to know where the lines came from or how a cluster
//! is reached. Invariant: a delivery that says `settled` has accounted for every item of its batch.

pub mod elasticsearch;

use crate::tail::FileKey;

/// Encoded records on their way to an output, and the stretches of files they came from.
#[derive(Debug, Default)]
pub struct Batch {
    /// The bulk body: for each item an action line and a document line, each ended by `\n`.
    /// The action line is exactly `{"create":{"_index":"INDEX","_id":"ID"}}`.
    pub body: Vec<u8>,
    /// Where each item stands in `body`, in order; an item ends where the next begins.
    pub items: Vec<Item>,
    /// The stretches of files whose lines stand in this batch, in reading order.
    pub spans: Vec<Span>,
}

impl Batch {
    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.body.clear();
        self.items.clear();
        self.spans.clear();
    }

    /// Bytes of item `index`: its action line and document line.
    pub fn item(&self, index: usize) -> Option<&[u8]> {
        let start = self.items.get(index)?.start as usize;
        let end = self
            .items
            .get(index + 1)
            .map_or(self.body.len(), |next| next.start as usize);
        self.body.get(start..end)
    }
}

/// One bulk item's place in [`Batch::body`], in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Start of the action line.
    pub start: u32,
    /// Start of the document line.
    pub document: u32,
}

/// A stretch of one file that a batch carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub file: FileKey,
    /// Uncompressed byte offset of the first line's start.
    pub from: u64,
    /// Uncompressed byte offset after the last line.
    pub to: u64,
    /// Complete lines in the stretch, those without an item (filtered, expired) included.
    pub lines: u32,
}

/// How the items of a delivery ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Newly in the index.
    pub indexed: u64,
    /// Already in the index (409 on `create`): delivered before.
    pub duplicate: u64,
    /// Taken by Elasticsearch's failure store.
    pub diverted: u64,
    /// Refused for the document's own fault and kept in the dead-letter file.
    pub dead_lettered: u64,
    /// Kept in the dead-letter file because their index refuses while others accept.
    pub parked: u64,
    /// Dropped by an ingest pipeline of the cluster (`result: noop`).
    pub filtered: u64,
}

/// A batch that came back from an output.
#[derive(Debug)]
pub struct Delivery {
    /// The batch; its body may have been emptied, its spans are as they were.
    pub batch: Batch,
    /// How its items ended.
    pub tally: Tally,
    /// True when every item is durable elsewhere; false only when delivery was stopped.
    pub settled: bool,
}
