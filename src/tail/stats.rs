//! Counters and problems of the tailer.
//!
//! Owns: plain counters and the texts of problems. Refuses to know: metrics formats. Invariant: counters only increase;
//! gauges and problems are as of the last reconcile.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::FileKey;
use super::access;
use super::fs::FileSystem;
use crate::framing::LineFraming;

/// Rotations by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rotations {
    /// The file got another name.
    pub renamed: u64,
    /// The file was copied and emptied; found when the copy was.
    pub copied: u64,
    /// The file was deleted, or moved to another directory.
    pub removed: u64,
}

/// Unread bytes of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lag {
    /// The file.
    pub file: FileKey,
    /// Index into the settings.
    pub log: usize,
    /// Its path.
    pub path: PathBuf,
    /// The number of bytes after those that were handed out.
    pub unread: u64,
    /// How its records are framed, as far as that is known.
    pub framing: LineFraming,
}

/// Counters, gauges and problems.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stats {
    /// Uncompressed bytes handed out, including the rest of over-long lines that was cut off.
    pub bytes_read: u64,
    /// Rotations seen.
    pub rotations: Rotations,
    /// Files that no longer contained what was read from them.
    pub truncations: u64,
    /// Bytes that were written and cannot be read anywhere, by reason, if their number is known.
    pub lost_bytes: BTreeMap<&'static str, u64>,
    /// Compressed files that could not be decoded to their end, by the kind of damage.
    pub damaged_files: BTreeMap<&'static str, u64>,
    /// Bytes in files that the settings leave unread, by reason; they are not lost.
    pub passed_over_bytes: BTreeMap<&'static str, u64>,
    /// Files that a glob finds and that are error logs of nginx, which are not read.
    pub error_logs: usize,
    /// Lines cut for their length.
    pub long_lines: u64,
    /// The number of open files.
    pub files_open: usize,
    /// Logs that have unread bytes and wait for a file descriptor, as of the last reconcile.
    pub files_waiting: usize,
    /// Bytes of open files that have no name any more: closing them would free this disk space.
    pub deleted_open_bytes: u64,
    /// Different contents with the same identity; harmless except for lines of one second at one offset.
    pub stream_id_collisions: u64,
    /// Files that were not read to their end and could not be found again.
    pub files_not_found: u64,
    /// Rotated files that are not read because their log is not known, as of the last reconcile.
    pub unassigned_files: usize,
    /// Checkpoints saved.
    pub saves: u64,
    /// The present problems.
    pub problems: Vec<Problem>,
}

/// A path, its problem, and the hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The path; empty if the problem is not about a single file.
    pub path: PathBuf,
    /// The problem; continues a sentence that begins with the path.
    pub text: String,
    /// What a run that ends by itself leaves unread because of the problem.
    pub leaves: Leaves,
}

/// Whether existing lines are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Leaves {
    /// As far as is known, all are read.
    Nothing,
    /// A file is not read now, but can be read later or after another problem is solved.
    Input,
    /// A damaged file is not read to its end.
    Damaged,
}

impl Problem {
    pub(super) fn new(path: &Path, text: String) -> Self {
        Self {
            path: path.to_owned(),
            text,
            leaves: Leaves::Nothing,
        }
    }

    /// The same problem, marked as keeping lines from being read.
    pub(super) fn leaving(self, leaves: Leaves) -> Self {
        Self { leaves, ..self }
    }

    pub(super) fn io<F: FileSystem>(fs: &F, path: &Path, error: &io::Error) -> Self {
        let advice = match error.kind() {
            ErrorKind::PermissionDenied => access::who_may_read(fs, path),
            _ if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
                "; raise the limit of open files (LimitNOFILE)".to_owned()
            }
            _ => "; it is tried again".to_owned(),
        };
        Self::new(path, format!("cannot be read: {error}{advice}")).leaving(Leaves::Input)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.as_os_str().is_empty() {
            // It is not about a single file.
            return formatter.write_str(&self.text);
        }
        write!(formatter, "{} {}", self.path.display(), self.text)
    }
}
