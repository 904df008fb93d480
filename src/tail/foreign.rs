//! Files that a glob finds although they are no access logs: the error logs of nginx.
//!
//! Owns the choice to leave such a file alone. The tailer refuses to know what a line says; this one question about a
//! file's first line is asked all the same, and answered by the parsers, since `*.log` would otherwise have every error
//! indexed as a request that nobody understands. Invariant: a file that a path without wildcards names, and so every log
//! that nginx.conf names, is never left; and each file that is left is told and counted, but never called lost.

use std::path::Path;
use std::sync::Arc;

use logweir_parsers::error_log;

use super::discover::Candidate;
use super::file_reader::FoundLines;
use super::fs::FileSystem;
use super::identity::stream_id;
use super::lines;
use super::stats::Problem;
use super::tailer::Tailer;
use crate::clock::Clock;

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Whether a file with this first line is left alone. What is known of it from an earlier version that followed
    /// it stays, so that it can go on where it was when a path names it.
    pub(super) fn is_foreign(&mut self, candidate: &Candidate, line: Option<&[u8]>) -> bool {
        let Some(line) = line.filter(|line| error_log::is_line(line)) else {
            return false;
        };
        let Candidate {
            path, log, names, ..
        } = candidate;
        // A file that no pattern finds is looked at for what it may continue, and is no log.
        if names.is_empty() || self.discover.is_named(*log, path, names) {
            return false;
        }
        for name in names {
            let stream = stream_id(self.streams.host(), name, line);
            for key in self.streams.keys_of(stream).to_vec() {
                if let Some(track) = self.streams.get_mut(key) {
                    track.missing = None;
                    if !std::mem::replace(&mut track.finished, true) {
                        self.streams.mark_changed();
                    }
                }
            }
        }
        self.leave(path);
        true
    }

    /// Whether the lines just read show that a file which was empty at first is to be left alone; its reader is gone
    /// then, and none of its lines is handed on.
    pub(super) fn turns_out_foreign(&mut self, index: usize, found: &FoundLines) -> bool {
        let reader = &self.readers[index];
        let Some(track) = self.streams.get(reader.key) else {
            return false;
        };
        if track.read.offset != 0 {
            return false;
        }
        let bytes = &self.buffer.bytes()[found.start..found.start + found.length];
        let first = lines::first(bytes).map_or(bytes, |length| &bytes[..length]);
        let names = [Arc::clone(&track.name)];
        if !error_log::is_line(first) || self.discover.is_named(track.log, &reader.path, &names) {
            return false;
        }
        let reader = self.readers.swap_remove(index);
        self.streams.remove(reader.key);
        self.stats.files_open = self.readers.len();
        self.leave(&reader.path);
        true
    }

    fn leave(&mut self, path: &Path) {
        self.stats.error_logs += 1;
        self.stats.problems.push(Problem::new(
            path,
            "is an error log of nginx by its first line and is not followed; give paths that leave it out, or \
             exclude = [\"*error.log*\"]"
                .to_owned(),
        ));
    }
}
