//! Files that are open and of which nothing was read yet.
//!
//! Owns the look at their first line before it is handed on. Refuses to know when lines are read and where they go.
//! Invariant: once positions are saved, each open file with a complete first line has an identity among them. The
//! failure it guards against: a log that was empty when it was opened fills while the output accepts nothing, the
//! agent stops, and the file gets a name and a compression that only its content sees through.

use std::sync::Arc;

use logweir_parsers::error_log;

use super::file_reader::LineSource;
use super::fs::FileSystem;
use super::lines;
use super::tailer::Tailer;
use crate::clock::Clock;

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Gives open files their identity that had no complete line when they were opened. A line that is longer than
    /// one read, and an error, wait until the file is read.
    pub(super) fn identify_unread(&mut self) {
        let length = self.limits.read_bytes;
        let mut found = Vec::new();
        for reader in &self.readers {
            let Some(track) = self.streams.get(reader.key) else {
                continue;
            };
            let LineSource::Plain(file) = &reader.source else {
                continue;
            };
            if track.stream.is_some() || track.read.offset > 0 {
                continue;
            }
            let bytes = self.buffer.take(length, length);
            let count = self.fs.read_at(file, bytes, 0).unwrap_or(0);
            let Some(end) = lines::first(&bytes[..count]) else {
                continue;
            };
            let line = &bytes[..end - 1];
            let names = [Arc::clone(&track.name)];
            // Reading it leaves it alone, and says so.
            let is_foreign = error_log::is_line(line)
                && !self.discover.is_named(track.log, &reader.path, &names);
            if !is_foreign {
                let (stream, beginning) = self.streams.identity(&track.name, line);
                found.push((reader.key, stream, beginning, count));
            }
        }
        for (key, stream, beginning, length) in found {
            self.streams.identify(key, stream, Some(beginning));
            if let Some(track) = self.streams.get_mut(key) {
                track.size = track.size.max(length as u64);
            }
        }
    }
}
