//! What is known of files that are not open, by inode.
//!
//! Owns: which files were read to their end, which are copies, how files begin whose names say nothing, and which
//! compressed files hold no line. Refuses to know: why that is so. Invariant: what is known of a file holds only while
//! its size and its time of change are the same, because an inode is used again. The failure it guards against: each
//! scan opens all rotated files again.

use std::collections::{HashMap, HashSet};

use super::FileKey;
use super::fs::{Inode, Metadata};

/// A file as it was when nothing more was to be read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SeenFile {
    size: u64,
    modified: i64,
    /// The stream of which it is a file.
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

    /// Whether the file is as it was.
    pub(super) fn is_unchanged(&self, file: &Metadata) -> bool {
        (self.size, self.modified) == (file.size, file.modified)
    }
}

/// How a file begins.
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

    /// Nothing more is to be read from a file as it is.
    pub(super) fn finish(&mut self, file: &Metadata, key: FileKey) {
        self.finished.insert(file.inode, SeenFile::new(file, key));
    }

    /// The file with this inode is read again.
    pub(super) fn reopen(&mut self, inode: Inode) {
        self.finished.remove(&inode);
    }

    /// The copy with this inode, with the stream that it is a copy of.
    pub(super) fn copy(&self, inode: Inode) -> Option<SeenFile> {
        self.copies.get(&inode).copied()
    }

    /// A file is a copy of what is read as this stream.
    pub(super) fn add_copy(&mut self, file: &Metadata, key: FileKey) {
        self.copies.insert(file.inode, SeenFile::new(file, key));
    }

    /// The hash of the first line of a file that is as it was; the inner `None` where it had no complete line.
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

    /// Whether a compressed file was decoded as it is and held no complete line.
    pub(super) fn is_lineless(&self, file: &Metadata) -> bool {
        self.lineless.get(&file.inode) == Some(&(file.size, file.modified))
    }

    pub(super) fn note_lineless(&mut self, file: &Metadata) {
        self.lineless.insert(file.inode, (file.size, file.modified));
    }

    /// A stream has another content now: no file is a file or a copy of it any more.
    pub(super) fn forget_stream(&mut self, key: FileKey) {
        self.copies.retain(|_, copy| copy.key != key);
        self.finished.retain(|_, file| file.key != key);
    }

    /// Forgets the finished files of streams that are not known any more.
    pub(super) fn retain_finished(&mut self, is_known: impl Fn(FileKey) -> bool) {
        self.finished.retain(|_, file| is_known(file.key));
    }

    /// Forgets how files began that a search did not find.
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
