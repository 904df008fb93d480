//! Leaves alone files that a glob finds although they are not access logs: the error logs of nginx.
//!
//! Owns: the decision to leave such a file alone. The tailer refuses to know the content of lines, with this one
//! exception: it asks the parsers about a file's first line, because otherwise `*.log` would index every error as an
//! unparsed request. Invariant: a file that a path without wildcards names, and so every log that nginx.conf names, is
//! never left alone; and each file that is left alone is reported and counted, but never as lost.

use std::path::Path;
use std::sync::Arc;

use logweir_parsers::error_log;

use super::discover::Candidate;
use super::file_reader::FoundLines;
use super::fs::FileSystem;
use super::stats::Problem;
use super::tailer::Tailer;
use crate::clock::Clock;

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Whether a file with this first line is left alone. The positions of it that an earlier version saved are kept,
    /// so that reading continues there if a path names the file.
    pub(super) fn is_foreign(&mut self, candidate: &Candidate, line: Option<&[u8]>) -> bool {
        let Some(line) = line.filter(|line| error_log::is_line(line)) else {
            return false;
        };
        let Candidate {
            path, log, names, ..
        } = candidate;
        // A file that no pattern finds is examined only for the stream that it may continue; it is not a log.
        if names.is_empty() || self.discover.is_named(*log, path, names) {
            return false;
        }
        for name in names {
            let (stream, _) = self.streams.identity(name, line);
            for key in self.streams.keys_of(stream).to_vec() {
                if let Some(track) = self.streams.get_mut(key) {
                    track.missing = None;
                    if !std::mem::replace(&mut track.finished, true) {
                        self.streams.mark_changed();
                    }
                }
            }
        }
        self.leave_alone(path);
        true
    }

    /// Whether the lines that were just read show that a file that was empty at first must be left alone. It is then
    /// closed, and none of its lines is handed out.
    pub(super) fn turns_out_foreign(&mut self, index: usize, found: &FoundLines) -> bool {
        let file = &self.open.files[index];
        let Some(track) = self.streams.get(file.key) else {
            return false;
        };
        if track.read.offset != 0 {
            return false;
        }
        let names = [Arc::clone(&track.name)];
        let line = self.open.first_line(found);
        if !error_log::is_line(line) || self.discover.is_named(track.log, &file.path, &names) {
            return false;
        }
        let file = self.open.remove(index);
        self.streams.remove(file.key);
        self.stats.files_open = self.open.len();
        self.leave_alone(&file.path);
        true
    }

    fn leave_alone(&mut self, path: &Path) {
        self.stats.error_logs += 1;
        self.stats.problems.push(Problem::new(
            path,
            "is an error log of nginx by its first line and is not followed; give paths that leave it out, or \
             exclude = [\"*error.log*\"]"
                .to_owned(),
        ));
    }
}
