//! What one tailer leaves to the next in the same process, at a reload.
//!
//! Owns: the lock of the state directory, deleted files that are still open, and the counters. Refuses to know:
//! what the next one is configured to do. Invariant: what only an open file holds stays open until it is settled,
//! whoever reads it; and nobody else gets into the state directory meanwhile. It guards against a reload that
//! loses what a mere wait for the cluster would not have lost.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::admit::Look;
use super::discover::Candidate;
use super::fs::{FileSystem, Metadata};
use super::gzip::Gzip;
use super::identity::Place;
use super::reader::{Reader, Source, holds};
use super::state::State;
use super::stats::Stats;
use super::tailer::Tailer;
use super::{FileKey, StreamId};
use crate::clock::Clock;

/// See the module; empty at the start of a process.
pub struct Handover<F: FileSystem> {
    pub(super) state: Option<State<F>>,
    pub(super) orphans: Vec<Orphan<F>>,
    /// Counters alone; what is true of a moment is found out anew.
    pub(super) stats: Stats,
}

/// An open file without a name.
pub(super) struct Orphan<F: FileSystem> {
    pub(super) file: Arc<F::File>,
    pub(super) compressed: bool,
    /// Its last name.
    pub(super) path: PathBuf,
    /// The log's name, part of the identity.
    pub(super) name: Arc<str>,
    pub(super) stream: Option<StreamId>,
    /// Everything before it is durable elsewhere.
    pub(super) settled: Place,
}

impl<F: FileSystem> Default for Handover<F> {
    fn default() -> Self {
        Self {
            state: None,
            orphans: Vec::new(),
            stats: Stats::default(),
        }
    }
}

impl<F: FileSystem> fmt::Debug for Handover<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Handover")
            .field("locked", &self.state.is_some())
            .field("orphans", &self.orphans.len())
            .finish_non_exhaustive()
    }
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Ends. What was handed out and not settled is read again by the next.
    pub fn hand_over(self) -> Handover<F> {
        let Self {
            fs,
            state,
            readers,
            tracks,
            mut stats,
            ..
        } = self;
        let orphan = |reader: Reader<F>| {
            let track = tracks.get(&reader.key)?;
            // Without a word about its links it is kept: a second reader of a file doubles nothing.
            let named = |metadata: Metadata| metadata.links > 0;
            if fs.metadata_of(reader.file()).is_ok_and(named) {
                return None;
            }
            let (file, compressed) = match reader.source {
                Source::Plain(file) => (file, false),
                Source::Gzip(gzip) => (gzip.into_file(), true),
            };
            Some(Orphan {
                file,
                compressed,
                path: reader.path,
                name: Arc::clone(&track.name),
                stream: track.stream,
                settled: track.settled(),
            })
        };
        let orphans = readers.into_iter().filter_map(orphan).collect();
        stats.problems.clear();
        (stats.files_open, stats.deleted_open_bytes) = (0, 0);
        Handover {
            state: Some(state),
            orphans,
            stats,
        }
    }

    /// Reads on in files that nobody could open again; gives back those of a log that is configured no more.
    pub(super) fn adopt(&mut self, orphans: Vec<Orphan<F>>) -> Vec<Orphan<F>> {
        let mut left = Vec::new();
        let look = Look {
            now: self.clock.now(),
            wall: self.clock.unix_millis(),
            last_chance: true,
        };
        for orphan in orphans {
            let Ok(metadata) = self.fs.metadata_of(&orphan.file) else {
                continue;
            };
            let Some(log) = self.discover.log_of(&orphan.name) else {
                left.push(orphan);
                continue;
            };
            let key = self.track_of(&orphan);
            let Orphan {
                file,
                compressed,
                path,
                name,
                ..
            } = orphan;
            let source = if compressed {
                Source::Gzip(Box::new(Gzip::new(self.fs.clone(), file)))
            } else {
                Source::Plain(file)
            };
            let candidate = Candidate {
                path,
                metadata,
                log,
                names: vec![name],
                live: false,
                compression: None,
            };
            self.attach_nameless(key, source, &candidate, look);
        }
        left
    }

    /// A file that a scan does not find.
    pub(super) fn attach_nameless(
        &mut self,
        key: FileKey,
        source: Source<F>,
        candidate: &Candidate,
        look: Look,
    ) {
        self.attach(key, source, candidate, &candidate.metadata, look);
        if let Some(reader) = self.readers.last_mut() {
            reader.visible = false;
        }
    }

    /// The stream that a file continues: what was saved of it may be a little behind, or another output's.
    fn track_of(&mut self, orphan: &Orphan<F>) -> FileKey {
        let keys = orphan
            .stream
            .and_then(|stream| self.by_stream.get(&stream))
            .into_iter()
            .flatten();
        let fits = |key: &&FileKey| {
            let place = self.tracks.get(key).map(|track| track.read);
            self.reader_of(**key).is_none()
                && place.is_some_and(|place| {
                    place.offset <= orphan.settled.offset
                        && (orphan.compressed
                            || holds(&self.fs, &*orphan.file, place).unwrap_or(false))
                })
        };
        let offset = |key: &&FileKey| self.tracks.get(key).map(|track| track.read.offset);
        if let Some(key) = keys.filter(fits).max_by_key(offset) {
            return *key;
        }
        let is_held =
            orphan.compressed || holds(&self.fs, &*orphan.file, orphan.settled).unwrap_or(true);
        if !is_held {
            // Emptied and written again since.
            self.add_track(&orphan.name, None, Place::start())
        } else if self.looks.read_all {
            self.add_track(&orphan.name, orphan.stream, Place::start())
        } else {
            self.add_track(&orphan.name, orphan.stream, orphan.settled)
        }
    }
}
