//! What the pipeline and an output agree on: a batch of encoded records goes in, a settled delivery comes back.
//!
//! This module owns the shape of a [`Batch`]; it refuses to know where the lines came from or how a cluster
//! is reached. Invariant: a delivery that says `settled` has accounted for every item of its batch.

pub mod dead_letters;
pub mod elasticsearch;
pub mod gate;

use tokio_util::sync::CancellationToken;

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

/// Index and id of an action line (with or without its line end); `None` when it is not one of ours.
pub fn place(action: &[u8]) -> Option<(&str, &str)> {
    let action = action.strip_suffix(b"\n").unwrap_or(action);
    let rest = action
        .strip_prefix(b"{\"create\":{\"_index\":\"")?
        .strip_suffix(b"\"}}")?;
    let (index, rest) = rest.split_at(memchr::memchr(b'"', rest)?);
    let id = rest.strip_prefix(b"\",\"_id\":\"")?;
    let whole = !index.is_empty() && !id.is_empty() && !id.contains(&b'"');
    whole.then_some((
        std::str::from_utf8(index).ok()?,
        std::str::from_utf8(id).ok()?,
    ))
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
    /// Dropped by an ingest pipeline of the cluster (`result: noop`). In the accounts blank lines too, which
    /// are never sent.
    pub filtered: u64,
}

impl Tally {
    /// Items that ended in any way.
    pub fn total(&self) -> u64 {
        let Self {
            indexed,
            duplicate,
            diverted,
            dead_lettered,
            parked,
            filtered,
        } = self;
        indexed + duplicate + diverted + dead_lettered + parked + filtered
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.indexed += other.indexed;
        self.duplicate += other.duplicate;
        self.diverted += other.diverted;
        self.dead_lettered += other.dead_lettered;
        self.parked += other.parked;
        self.filtered += other.filtered;
    }
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

/// Delivers one batch; runs until every item is settled or `stop` is cancelled.
pub trait Output: Send + Sync + 'static {
    /// See [`Delivery`].
    fn deliver(
        &self,
        batch: Batch,
        stop: &CancellationToken,
    ) -> impl Future<Output = Delivery> + Send;
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn an_action_line_tells_its_place() {
        let action = b"{\"create\":{\"_index\":\"nginx-access-2026.11.23\",\"_id\":\"aGk\"}}\n";
        assert_eq!(place(action), Some(("nginx-access-2026.11.23", "aGk")));
        assert_eq!(place(&action[..action.len() - 1]), place(action));
        assert_eq!(place(b"{\"index\":{\"_index\":\"a\",\"_id\":\"b\"}}"), None);
        assert_eq!(
            place(b"{\"create\":{\"_index\":\"a\",\"_id\":\"b\",\"x\":\"y\"}}"),
            None
        );
        assert_eq!(place(b"{\"create\":{\"_index\":\"\",\"_id\":\"b\"}}"), None);
        assert_eq!(place(b""), None);
    }
}
