//! Identifies open files of which nothing was read yet.
//!
//! Owns: examining their first line before it is handed out. Refuses to know: when lines are read and where they go.
//! Invariant: after positions are saved, each open file with a complete first line has an identity among them. The
//! failure it guards against: a log that was empty when it was opened is written while the output accepts nothing, the
//! agent stops, and the file is renamed and compressed so that only its content identifies it.

use std::sync::Arc;

use logweir_parsers::error_log;

use super::fs::FileSystem;
use super::tailer::Tailer;
use crate::clock::Clock;

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Gives an identity to open files that had no complete line when they were opened.
    pub(super) fn identify_unread(&mut self) {
        for (key, line, length) in self.open.unread_first_lines(&self.streams) {
            let (Some(track), Some(file)) = (self.streams.get(key), self.open.of(key)) else {
                continue;
            };
            let names = [Arc::clone(&track.name)];
            // Reading the error log leaves it alone, and reports that.
            if error_log::is_line(&line) && !self.discover.is_named(track.log, &file.path, &names) {
                continue;
            }
            let (stream, beginning) = self.streams.identity(&track.name, &line);
            self.streams.identify(key, stream, Some(beginning));
            if let Some(track) = self.streams.get_mut(key) {
                track.size = track.size.max(length);
            }
        }
    }
}
