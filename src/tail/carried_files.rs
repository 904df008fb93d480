//! What one tailer leaves to the next in the same process, at a reload.
//!
//! Owns: the lock of the state directory, the open files, and the counters. Refuses to know: what the next one is
//! configured to do. Invariant: an open file stays open until it is settled, whoever reads it and whatever name it
//! has by now; and nobody else gets into the state directory meanwhile. It guards against a reload that loses
//! what a mere wait for the cluster would not have lost.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::admit::ScanContext;
use super::discover::{Candidate, FoundBy};
use super::file_reader::{FileReader, LineSource, holds};
use super::fs::FileSystem;
use super::gzip::{Gzip, first_line};
use super::identity::{Position, beginning, stream_id};
use super::state::State;
use super::stats::Stats;
use super::tailer::Tailer;
use super::{FileKey, StreamId};
use crate::clock::Clock;

/// See the module; empty at the start of a process.
pub struct CarriedFiles<F: FileSystem> {
    pub(super) state: Option<State<F>>,
    pub(super) files: Vec<CarriedFile<F>>,
    /// Counters alone; what is true of a moment is found out anew.
    pub(super) stats: Stats,
}

/// An open file.
pub(super) struct CarriedFile<F: FileSystem> {
    pub(super) file: Arc<F::File>,
    pub(super) compressed: bool,
    /// Its last name.
    pub(super) path: PathBuf,
    /// The log's name, part of the identity.
    pub(super) name: Arc<str>,
    /// Its identity, and what its first line hashes to.
    pub(super) stream: Option<StreamId>,
    pub(super) beginning: Option<u64>,
    /// It was opened as a rotated file.
    from_name: bool,
    /// Everything before it is durable elsewhere.
    pub(super) settled: Position,
}

impl<F: FileSystem> Default for CarriedFiles<F> {
    fn default() -> Self {
        Self {
            state: None,
            files: Vec::new(),
            stats: Stats::default(),
        }
    }
}

impl<F: FileSystem> fmt::Debug for CarriedFiles<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CarriedFiles")
            .field("locked", &self.state.is_some())
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Ends. What was handed out and not settled is read again by the next.
    pub fn into_carried_files(self) -> CarriedFiles<F> {
        let Self {
            state,
            readers,
            streams,
            mut stats,
            ..
        } = self;
        let open_file = |reader: FileReader<F>| {
            let track = streams.get(reader.key)?;
            let (file, compressed) = match reader.source {
                LineSource::Plain(file) => (file, false),
                LineSource::Gzip(gzip) => (gzip.into_file(), true),
            };
            Some(CarriedFile {
                file,
                compressed,
                path: reader.path,
                name: Arc::clone(&track.name),
                stream: track.stream,
                beginning: track.beginning,
                from_name: reader.caught_up_from_name,
                settled: track.settled(),
            })
        };
        let files = readers.into_iter().filter_map(open_file).collect();
        stats.problems.clear();
        (
            stats.files_open,
            stats.files_waiting,
            stats.deleted_open_bytes,
        ) = (0, 0, 0);
        CarriedFiles {
            state: Some(state),
            files,
            stats,
        }
    }

    /// Reads on in the files of the tailer before, wherever they are by now; gives back those of a log that is
    /// configured no more.
    pub(super) fn adopt(&mut self, files: Vec<CarriedFile<F>>) -> Vec<CarriedFile<F>> {
        let mut left = Vec::new();
        let context = ScanContext {
            now: self.clock.now(),
            wall: self.clock.unix_millis(),
            last_chance: true,
        };
        for mut open in files {
            let Ok(metadata) = self.fs.metadata_of(&open.file) else {
                continue;
            };
            if open.settled.offset == 0 {
                self.look_at_beginning(&mut open);
            }
            let Some(log) = self.discover.log_of(&open.name) else {
                left.push(open);
                continue;
            };
            let key = self.track_of(&open);
            let assigned = self.streams.get(key).is_some_and(|track| track.assigned);
            let CarriedFile {
                file,
                compressed,
                path,
                name,
                from_name,
                ..
            } = open;
            let source = if compressed {
                LineSource::Gzip(Box::new(Gzip::new(self.fs.clone(), file)))
            } else {
                LineSource::Plain(file)
            };
            let candidate = Candidate {
                path,
                metadata,
                log,
                names: vec![name],
                live: false,
                by: if assigned {
                    FoundBy::Content
                } else {
                    FoundBy::Table
                },
                compression: None,
                owners: None,
            };
            self.attach(key, source, &candidate, &metadata, context);
            if let Some(reader) = self.readers.last_mut() {
                // The next look finds its name, if it has one.
                reader.visible = false;
                reader.caught_up_from_name = from_name;
            }
        }
        left
    }

    /// A file of which nothing is settled may have got its first line since it was opened, or another one.
    fn look_at_beginning(&self, open: &mut CarriedFile<F>) {
        if let Ok(Some(line)) = first_line(&self.fs, &open.file, open.compressed) {
            open.stream = Some(stream_id(self.streams.host(), &open.name, &line));
            open.beginning = Some(beginning(&line));
        }
    }

    /// The stream that a file continues: what was saved of it may be a little behind, or another output's.
    fn track_of(&mut self, open: &CarriedFile<F>) -> FileKey {
        let keys = open
            .stream
            .map(|stream| self.streams.keys_of(stream))
            .unwrap_or_default()
            .iter();
        let fits = |key: &&FileKey| {
            let position = self.streams.get(**key).map(|track| track.read);
            self.reader_of(**key).is_none()
                && position.is_some_and(|position| {
                    position.offset <= open.settled.offset
                        && (open.compressed
                            || holds(&self.fs, &*open.file, position).unwrap_or(false))
                })
        };
        let offset = |key: &&FileKey| self.streams.get(**key).map(|track| track.read.offset);
        if let Some(key) = keys.filter(fits).max_by_key(offset) {
            return *key;
        }
        let is_held = open.compressed || holds(&self.fs, &*open.file, open.settled).unwrap_or(true);
        if !is_held {
            // Emptied and written again since.
            self.streams.add(&open.name, None, Position::start())
        } else if self.looks.read_all {
            self.add_known(open, Position::start())
        } else {
            self.add_known(open, open.settled)
        }
    }

    fn add_known(&mut self, open: &CarriedFile<F>, position: Position) -> FileKey {
        let key = self.streams.add(&open.name, None, position);
        if let Some(stream) = open.stream {
            self.streams.identify(key, stream, open.beginning);
        }
        key
    }
}
