//! ECS documents in columns on the local disk: a directory for each index, and in it immutable segments.
//!
//! Owns the form on disk, exactly-once within it, and reading it beside the process that writes. Refuses to know log files,
//! nginx and the questions that people ask. Invariant: what a manifest names is whole and durable; a document is there once
//! per [`DocumentKey`] and index.
//!
//! The columns are those of `tantivy-columnar`. A segment has no other index and no copy of the documents: a document is
//! rebuilt from its columns ([`Sources`]).

mod disk;
mod document;
mod error;
mod index;
mod manifest;
mod merge;
mod open_index;
pub mod query;
mod reader;
mod schema;
mod sealed;
mod segment;
mod source;
#[cfg(test)]
mod tests;
mod time;
mod writer;

pub use disk::{Disk, HostDisk};
pub use document::Unsupported;
pub use error::{Event, StoreError};
pub use index::Index;
pub use merge::{MergeJob, Merged};
pub use reader::{Day, Reader};
pub use schema::{FieldType, Schema, SchemaError};
pub use segment::{Segment, SegmentBuilder};
pub use source::Sources;
pub use writer::{Added, Limits, Writer};

/// What makes a document unique within its index: a pure function of the line and its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentKey {
    /// Second of the event since 1970, UTC; 0 for a line without a readable time.
    pub second: u32,
    /// The first six bytes of the identity of the file's content, as a number (big-endian).
    pub stream: u64,
    /// Offset of the line in the uncompressed file, in bytes.
    pub offset: u64,
}

/// The column of a document's time.
pub const TIMESTAMP: &str = "@timestamp";
/// The column of [`DocumentKey::offset`], which is a field of the document too.
pub const OFFSET: &str = "log.offset";
/// The column of [`DocumentKey::stream`].
const STREAM: &str = "[stream]";
/// The column of [`DocumentKey::second`], less the second of [`TIMESTAMP`]: zero nearly always, which takes no space.
const SECOND: &str = "[second]";
/// End of the name of a column whose field holds a list in the document.
const LIST: &str = "[]";
