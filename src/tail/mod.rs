//! Finds the log files and hands out their complete lines with their positions.
//!
//! Owns: which bytes are a line, to which log they belong, and how far they are safely delivered. Refuses to know: the
//! content of a line and its destination. Invariant: a complete line in a file that exists or is held open is handed
//! out, always under the same [`StreamId`] and offset, until it is settled; the saved position is never ahead of what
//! is settled. The failure it guards against: rotation, truncation, compression or a crash loses or duplicates lines.
//!
//! One plain thread owns the [`Tailer`]:
//!
//! - [`Tailer::reconcile`] reads the directories again; it is right even if no event ever came;
//! - [`Tailer::read`] returns the next complete lines of any file;
//! - [`Tailer::settle`] takes the acks, [`Tailer::save`] makes them durable;
//! - [`watch::Watcher`] waits for something to happen.
//!
//! The parts:
//!
//! - Which files there are: `discover` with `pattern`, `leaf` and `likely`; `stem` (rotated names); `links` and `access`
//!   (which files may be read).
//! - What is known: `stream_table` (the streams, with the `track` of each), `stream_framing` (what makes a record), `identity` (what makes a file this file),
//!   `seen_files` (files that need not be opened again), `trusted_clock`.
//! - What is open: `open_files` with `file_reader`, `gzip` and `lines`, and `descriptor_slots` (which files may
//!   be open).
//! - Which stream a file continues: `matching`, which decides from facts alone, and `history`.
//! - The coordinator: `tailer`; `reconcile` (a scan), `candidates` (the files to match), `applying` (the effects),
//!   `search` (missing streams), `closing` (the end of files), `reading` (the results of a read), `unread`, `foreign`, `damage`.
//! - What survives the process: `checkpoint`, `assignments`, `state`; and a reload: `carried_files`.
//! - `survey` and `others` show beforehand which files would be read, and which would not.

mod access;
mod applying;
mod assignments;
mod candidates;
mod carried_files;
mod checkpoint;
mod closing;
mod damage;
mod descriptor_slots;
mod discover;
mod file_reader;
mod foreign;
pub(crate) mod fs;
mod gzip;
mod history;
mod identity;
mod leaf;
mod likely;
mod lines;
mod links;
mod matching;
mod open_files;
mod others;
mod pattern;
mod reading;
mod reconcile;
mod search;
mod seen_files;
#[cfg(test)]
pub(crate) mod sim;
mod state;
mod stats;
pub(crate) mod stem;
mod stream_framing;
mod stream_table;
mod survey;
mod tailer;
#[cfg(test)]
pub(crate) mod tests;
mod track;
mod trusted_clock;
mod unread;
pub(crate) mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::disk::DiskError;
use crate::event::{FileKey, StreamId};
use crate::framing::{FramingSetting, LineFraming};

pub(crate) use access::user_id;
pub(crate) use carried_files::CarriedFiles;
pub(crate) use links::Links;
pub(crate) use others::{OtherFile, other_files};
pub(crate) use state::known_outputs;
#[cfg(test)]
pub(crate) use stats::Rotations;
pub(crate) use stats::{Lag, Leaves, Problem, Stats};
pub(crate) use survey::{LogFile, survey};
pub(crate) use tailer::Tailer;

/// Complete lines of one file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk<'b> {
    /// The file generation the lines come from.
    pub file: FileKey,
    /// Index into [`Settings::logs`].
    pub log: usize,
    /// Identity of the file's content.
    pub stream: StreamId,
    /// The path under which the file is read now.
    pub path: &'b Path,
    /// Uncompressed offset of `bytes[0]`.
    pub offset: u64,
    /// Uncompressed offset after the last line's `\n`.
    pub end: u64,
    /// Hash of the bytes before `end`.
    pub marker: u64,
    /// Complete lines, each ended by `\n`; or, when `cut`, the beginning of one over-long line without it.
    pub bytes: &'b [u8],
    /// `bytes` is the beginning of one line longer than the limit.
    pub cut: bool,
    /// The longest payload that a record keeps whole.
    pub limit: usize,
    /// How the lines make records. With CRI, `bytes` ends where a record does, or with one that was broken off. Of a
    /// single record that does not fit into one read, `bytes` has only the lines that matter.
    pub framing: LineFraming,
    /// No record of the stream is before this chunk.
    pub is_first: bool,
    /// Lines of standard error between `offset` and `end` that are not in `bytes`.
    pub passed_over: u64,
}

/// What to tail and how.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The host's name in the identity of each line; the name of the first start in `data_dir` is kept.
    pub host: String,
    /// Where positions are kept, under `run/`.
    pub data_dir: PathBuf,
    /// The logs.
    pub logs: Vec<LogSettings>,
    /// More directories with rotated files (logrotate's `olddir`): absolute paths with wildcards as in
    /// [`LogSettings::paths`].
    pub rotated_dirs: Vec<String>,
    /// At the first start, and for a new log, rotated files that changed this recently are read.
    pub history: Duration,
    /// Rotated files that have not changed for longer than this are never read.
    pub retention: Option<Duration>,
    /// A longer line is cut.
    pub max_line_bytes: usize,
    /// The number of bytes read at once.
    pub read_bytes: usize,
    /// Deleted files with unread lines are held open up to this many bytes of disk space.
    pub held_open_bytes: u64,
    /// Which users' links are followed.
    pub links: Links,
    /// The maximum number of logs that are open at the same time, at least one.
    pub open_files: usize,
    /// The output whose acks the positions represent, such as `elasticsearch:nginx-access-%Y.%m.%d`. Without it no
    /// positions are kept: the state directory is read for the host's name, not locked, and not written to.
    pub output: Option<String>,
}

/// One `[[logs]]`.
#[derive(Debug, Clone)]
pub(crate) struct LogSettings {
    /// Absolute paths with `*`, `?`, `[…]`, `{…}` and `**`.
    pub paths: Vec<String>,
    /// Patterns for files to leave alone: a pattern with a `/` applies to the whole path, otherwise to the name.
    pub exclude: Vec<String>,
    /// Absolute paths, with wildcards, of rotated files that cannot be recognised by their names.
    pub rotated: Vec<String>,
    /// The log's name in the identity of its lines, instead of its live path.
    pub name: Option<String>,
    /// How its files are framed.
    pub framing: FramingSetting,
}

/// Why the tailer cannot start, or cannot save.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TailError {
    /// Another process uses the same state.
    #[error(
        "{} is locked: another logweir runs on this data_dir; stop it, or give each agent a data_dir of its own",
        path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The state directory cannot be read or written.
    #[error(transparent)]
    State(#[from] DiskError),
    /// A pattern that cannot be used.
    #[error("the path pattern `{glob}` cannot be used: {reason}")]
    Glob {
        /// As configured.
        glob: String,
        /// The error in it.
        reason: String,
    },
}
