//! The types that the modules between a log file and an output share: identities, batches and outcomes.
//!
//! Owns [`StreamId`] and [`FileKey`], which locate a line, [`DocumentId`], which names its document, [`Batch`], which
//! holds encoded documents, and [`OutcomeCounts`], which counts their outcomes. Refuses to know files, formats and
//! outputs. Invariant: this module depends on no other module of the crate, so every output and every reader can use it.

mod batch;
mod document_id;
mod outcome;

use std::fmt;

pub use batch::{Batch, Framing, Item, Span};
pub use document_id::{DocumentId, EventTime, IdParts};
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
