//! What the modules between a log file and an output agree on: identities, batches, and how documents end.
//!
//! Owns the types that travel: [`StreamId`] and [`FileKey`] say where a line stands, [`DocumentId`] names its document,
//! [`Batch`] carries encoded documents, [`OutcomeCounts`] says how they ended. Refuses to know files, formats and outputs.
//! Invariant: nothing here depends on another module of the crate, so every output and every reader can.

mod batch;
mod document_id;
mod outcome;

use std::fmt;

pub use batch::{Batch, Framing, Item, Span};
pub use document_id::{DocumentId, EventTime};
pub use outcome::OutcomeCounts;

/// One generation of one stream in this process; never reused. It stays the same when the rest of a
/// stream is read from another file (a renamed, copied or compressed one).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileKey(pub u64);

/// Identity of a file's content: its beginning, not its name or inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub [u8; 10]);

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}
