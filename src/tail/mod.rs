//! Finds the log files and hands out their complete lines with their place.

use std::path::Path;

/// One generation of one open file in this process; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileKey(pub u64);

/// Identity of a file's content: its beginning, not its name or inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub [u8; 10]);

/// Complete lines of one file.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'b> {
    /// The file generation the lines come from.
    pub file: FileKey,
    /// Index into `Settings::logs`.
    pub log: usize,
    /// Identity of the file's content.
    pub stream: StreamId,
    /// The path under which the file is read now.
    pub path: &'b Path,
    /// Uncompressed offset of `bytes[0]`.
    pub offset: u64,
    /// Uncompressed offset after the last line's `\n`.
    pub end: u64,
    /// Complete lines, each ended by `\n`; or, when `cut`, the beginning of one over-long line without it.
    pub bytes: &'b [u8],
    /// `bytes` is the beginning of one line longer than the limit.
    pub cut: bool,
}
