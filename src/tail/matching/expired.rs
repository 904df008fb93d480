//! Determines the stream of a file that is older than `retention`, and how much of it was read.
//!
//! Owns: that answer. Refuses to know: what is counted, and by which clock a file is old. Invariant: a file whose
//! stream is being read does not count as passed over. The failure it guards against: lines that were read from another
//! file count as passed over.

use std::io;

use super::super::FileKey;
use super::{Match, Probe};

/// A file that is older than `retention`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tail) enum ExpiredFile {
    /// It has no complete line, or it is a copy or the original of what is being read.
    Ignored,
    /// It existed before its log was configured.
    History,
    /// It belongs to this stream, or to a new one.
    PassedOver {
        key: Option<FileKey>,
        /// Its number of unread bytes.
        unread: u64,
    },
}

impl<P: Probe> Match<'_, P> {
    /// Classifies an expired candidate.
    ///
    /// # Errors
    /// Those of the probe.
    pub(in crate::tail) fn expired(&self) -> io::Result<ExpiredFile> {
        let content = self.content;
        if content.streams.is_empty() {
            return Ok(ExpiredFile::Ignored);
        }
        let size = match content.compressed {
            true => u64::from(self.probe.trailer()?.size),
            false => content.metadata.size,
        };
        let mut best: Option<(u64, FileKey)> = None;
        for key in self.streams.keys_of_any(&content.streams) {
            if self.probe.open_file(key).is_some() {
                return Ok(ExpiredFile::Ignored);
            }
            let Some(track) = self.streams.get(key) else {
                continue;
            };
            let position = track.read;
            let read = if track.skipped || position.offset > size {
                size
            } else if content.compressed || self.probe.holds(position)? == Some(true) {
                position.offset
            } else {
                continue;
            };
            if best.is_none_or(|(most, _)| most < read) {
                best = Some((read, key));
            }
        }
        Ok(match best {
            Some((read, key)) => ExpiredFile::PassedOver {
                key: Some(key),
                unread: size.saturating_sub(read),
            },
            None if self.is_history() => ExpiredFile::History,
            None => ExpiredFile::PassedOver {
                key: None,
                unread: size,
            },
        })
    }
}
