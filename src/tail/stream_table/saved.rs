//! Saves and restores the stream table.
//!
//! Owns: which part of a track is saved in the checkpoint, and which in the assignments. Refuses to know: the bytes on
//! disk and when they are written. Invariant: the saved position of a stream is its settled one. The failure it guards
//! against: a position saved ahead of what is durable elsewhere.

use std::sync::Arc;

use super::super::assignments::Assignment;
use super::super::checkpoint::CheckpointEntry;
use super::super::gzip::Trailer;
use super::super::identity::Position;
use super::super::stream_framing::StreamFraming;
use super::super::track::Track;
use super::StreamTable;

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

impl StreamTable {
    /// Restores the content of a checkpoint; `log_of` returns the index of a log in the settings by its name.
    pub(in crate::tail) fn restore(
        &mut self,
        logs: Vec<String>,
        entries: Vec<CheckpointEntry>,
        log_of: impl Fn(&str) -> Option<usize>,
    ) {
        self.known_logs = logs.into_iter().map(Arc::from).collect();
        for entry in entries {
            let name: Arc<str> = entry.log.into();
            let position = Position {
                offset: entry.offset,
                marker: entry.marker,
            };
            let key = self.add(&name, None, position);
            let assigned = entry.beginning.and_then(|beginning| {
                let mut assigned = self.assigned_before(beginning);
                let assigned = assigned.find(|assignment| *assignment.log == *name);
                assigned.map(|assignment| assignment.by_content)
            });
            self.identify(key, entry.stream, entry.beginning);
            if let Some(track) = self.get_mut(key) {
                track.log = log_of(&name).unwrap_or(0);
                track.path = entry.path.into();
                track.inode = (entry.device, entry.inode);
                track.size = entry.size;
                track.seen = entry.seen;
                track.finished = entry.finished;
                track.skipped = entry.skipped;
                track.unfound = entry.unfound;
                track.framing = StreamFraming::restored(entry.framing, entry.has_record);
                track.assigned = assigned.unwrap_or(false);
                track.gzip = entry.gzip.map(|(crc32, size)| Trailer { crc32, size });
            }
        }
        self.mark_saved();
    }

    /// The streams for a checkpoint, including those of which nothing is settled, because their first lines lead to
    /// them under any name.
    pub(in crate::tail) fn checkpoint_entries(&self) -> Vec<CheckpointEntry> {
        self.tracks().filter_map(entry).collect()
    }

    /// The names of all logs ever seen, sorted.
    pub(in crate::tail) fn log_names(&self) -> Vec<String> {
        let mut logs: Vec<String> = self.known_logs.iter().map(ToString::to_string).collect();
        logs.sort_unstable();
        logs
    }

    /// The assignments of content to logs, for each stream whose file the next start may not find by its name.
    pub(in crate::tail) fn assignments(&self) -> Vec<Assignment> {
        let mut all: Vec<Assignment> = self.tracks().filter_map(assignment).collect();
        for unmatched in &self.unmatched {
            if !all.iter().any(|known| known.is_of_file(unmatched)) {
                all.push(unmatched.clone());
            }
        }
        all
    }
}

fn entry(track: &Track) -> Option<CheckpointEntry> {
    let stream = track.stream?;
    let position = track.settled();
    let finished = track.finished && !track.in_flight();
    // A compressed file counts as decoded only when its lines are settled.
    let gzip = track.gzip.filter(|_| finished);
    let framing = track.framing.to_save();
    Some(CheckpointEntry {
        stream,
        log: track.name.to_string(),
        offset: position.offset,
        marker: position.marker,
        path: track.path.to_string_lossy().into_owned(),
        device: track.inode.0,
        inode: track.inode.1,
        size: track.size,
        seen: track.seen,
        finished,
        skipped: track.skipped,
        gzip: gzip.map(|trailer| (trailer.crc32, trailer.size)),
        beginning: track.beginning,
        unfound: track.unfound,
        framing,
        has_record: framing.is_some() && track.framing.has_record_before(position.offset),
    })
}

fn assignment(track: &Track) -> Option<Assignment> {
    let beginning = track.beginning?;
    let read = track.finished && !track.in_flight();
    (track.assigned || !read).then(|| Assignment {
        log: track.name.to_string(),
        beginning: format!("{beginning:016x}"),
        path: track.path.to_string_lossy().into_owned(),
        device: track.inode.0,
        inode: track.inode.1,
        by_content: track.assigned,
        seen: track.seen - track.seen.rem_euclid(DAY),
    })
}
