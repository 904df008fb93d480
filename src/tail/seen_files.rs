//! Remembers facts about files that are not open, by inode.
//!
//! Owns: which files were read to their end, which are copies, the beginnings of files whose names do not identify
//! their log, and which compressed files contain no line. Refuses to know: the reasons. Invariant: a fact about a file
//! is valid only while its size and its time of change are the same, because an inode is reused. The failure it guards
//! against: each scan opens all rotated files again.

use std::collections::{HashMap, HashSet};

use super::FileKey;
use super::fs::{Inode, Metadata};

/// The state of a file when nothing more was to be read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SeenFile {
    size: u64,
    modified: i64,
    /// The stream that it belongs to.
    pub(super) key: FileKey,
}

impl SeenFile {
    fn new(file: &Metadata, key: FileKey) -> Self {
        Self {
            size: file.size,
            modified: file.modified,
            key,
        }
    }

    /// Whether the file is unchanged.
    pub(super) fn is_unchanged(&self, file: &Metadata) -> bool {
        (self.size, self.modified) == (file.size, file.modified)
    }
}

/// The beginning of a file.
#[derive(Debug)]
struct SeenBeginning {
    size: u64,
    modified: i64,
    /// The hash of its first line; `None` without a complete line.
    beginning: Option<u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct SeenFiles {
    finished: HashMap<Inode, SeenFile>,
    copies: HashMap<Inode, SeenFile>,
    beginnings: HashMap<Inode, SeenBeginning>,
    /// Compressed files without a complete line: size and time of change.
    lineless: HashMap<Inode, (u64, i64)>,
}

impl SeenFiles {
    /// The file with this inode from which nothing more was to be read.
    pub(super) fn finished(&self, inode: Inode) -> Option<SeenFile> {
        self.finished.get(&inode).copied()
    }

    /// The streams that were read to their end.
    pub(super) fn finished_keys(&self) -> impl Iterator<Item = FileKey> {
        self.finished.values().map(|file| file.key)
    }

    /// Records that nothing more is to be read from a file in its present state.
    pub(super) fn finish(&mut self, file: &Metadata, key: FileKey) {
        self.finished.insert(file.inode, SeenFile::new(file, key));
    }

    /// Records that the file with this inode is read again.
    pub(super) fn reopen(&mut self, inode: Inode) {
        self.finished.remove(&inode);
    }

    /// The copy with this inode, and the stream that it is a copy of.
    pub(super) fn copy(&self, inode: Inode) -> Option<SeenFile> {
        self.copies.get(&inode).copied()
    }

    /// Records that a file is a copy of what is read as this stream.
    pub(super) fn add_copy(&mut self, file: &Metadata, key: FileKey) {
        self.copies.insert(file.inode, SeenFile::new(file, key));
    }

    /// The hash of the first line of a file if the file is unchanged; the inner `None` if it had no complete line.
    pub(super) fn beginning(&self, file: &Metadata) -> Option<Option<u64>> {
        let seen = self.beginnings.get(&file.inode)?;
        ((seen.size, seen.modified) == (file.size, file.modified)).then_some(seen.beginning)
    }

    pub(super) fn note_beginning(&mut self, file: &Metadata, beginning: Option<u64>) {
        let seen = SeenBeginning {
            size: file.size,
            modified: file.modified,
            beginning,
        };
        self.beginnings.insert(file.inode, seen);
    }

    /// Whether a compressed file was decoded in its present state and contained no complete line.
    pub(super) fn is_lineless(&self, file: &Metadata) -> bool {
        self.lineless.get(&file.inode) == Some(&(file.size, file.modified))
    }

    pub(super) fn note_lineless(&mut self, file: &Metadata) {
        self.lineless.insert(file.inode, (file.size, file.modified));
    }

    /// Records that a stream has new content: no file is a file or a copy of it any more.
    pub(super) fn forget_stream(&mut self, key: FileKey) {
        self.copies.retain(|_, copy| copy.key != key);
        self.finished.retain(|_, file| file.key != key);
    }

    /// Forgets the finished files of streams that are no longer known.
    pub(super) fn retain_finished(&mut self, is_known: impl Fn(FileKey) -> bool) {
        self.finished.retain(|_, file| is_known(file.key));
    }

    /// Forgets the beginnings of files that a search did not find.
    pub(super) fn retain_beginnings(&mut self, found: &HashSet<Inode>) {
        self.beginnings.retain(|inode, _| found.contains(inode));
    }

    /// Forgets the copies and the files without a line that a scan did not find.
    pub(super) fn retain_found(&mut self, found: &HashSet<Inode>) {
        self.lineless.retain(|inode, _| found.contains(inode));
        let others = &self.beginnings;
        self.copies
            .retain(|inode, _| found.contains(inode) || others.contains_key(inode));
    }
}
