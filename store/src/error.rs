//! Errors of the store, and what the writer reports of itself.

use std::io;
use std::path::{Path, PathBuf};

use crate::Index;

/// Why the store cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A call to the operating system failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as in "write".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// Another process writes to the store.
    #[error("{}: another process writes to this store", path.display())]
    Locked {
        /// The directory of the store.
        path: PathBuf,
    },
    /// A file of the store was written by a newer version.
    #[error("{}: {text}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Which form it has.
        text: String,
    },
}

impl StoreError {
    /// The error of a file in `path` that could not be read.
    pub fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io("read", path)
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Something that happened to the store without being asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An index cannot be read any more. Its directory got another name, and the index is empty now.
    SetAside {
        /// The index.
        index: Index,
        /// Where its files are now.
        path: PathBuf,
        /// What is wrong with them.
        reason: String,
    },
    /// A day, or lines without a time, were removed because they are older than the retention.
    Retired {
        /// The index.
        index: Index,
        /// Its documents.
        documents: u64,
    },
    /// The same, because the store was larger than it may be.
    OverBudget {
        /// The index.
        index: Index,
        /// Its documents.
        documents: u64,
        /// Bytes of the whole store before.
        bytes: u64,
    },
    /// The file with the first day that may be written cannot be read; the oldest day that is there was taken.
    FloorUnreadable {
        /// What is wrong with it.
        reason: String,
    },
}
