//! State that one tailer passes to the next in the same process, at a reload.
//!
//! Owns: the lock of the state directory, the open files, and the counters. Refuses to know: how the next tailer is
//! configured. Invariant: an open file stays open until it is settled, whichever tailer reads it and whatever its
//! present name is; and no other agent gets into the state directory meanwhile. The failure it guards against: a reload
//! loses lines that a wait for the cluster would not have lost.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::discover::{Candidate, FoundBy};
use super::file_reader::{FileReader, LineSource, holds};
use super::fs::FileSystem;
use super::gzip::{Gzip, first_line};
use super::identity::Position;
use super::reconcile::ScanContext;
use super::state::State;
use super::stats::Stats;
use super::stream_framing::StreamFraming;
use super::tailer::Tailer;
use super::{FileKey, StreamId};
use crate::clock::Clock;

/// See the module; empty at the start of a process.
pub(crate) struct CarriedFiles<F: FileSystem> {
    pub(super) state: Option<State>,
    pub(super) files: Vec<CarriedFile<F>>,
    /// Only counters; gauges and problems are determined again.
    pub(super) stats: Stats,
}

/// An open file.
pub(super) struct CarriedFile<F: FileSystem> {
    file: Arc<F::File>,
    compressed: bool,
    /// Its last path.
    path: PathBuf,
    /// The log's name, part of the identity.
    name: Arc<str>,
    /// Its identity, and the hash of its first line.
    stream: Option<StreamId>,
    beginning: Option<u64>,
    /// Whether it was opened as a rotated file.
    from_name: bool,
    /// How its records are framed, as far as it is settled.
    framing: StreamFraming,
    /// Everything before it is durable elsewhere.
    settled: Position,
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
    /// Ends this tailer. The next one reads again what was handed out and not settled.
    pub(crate) fn into_carried_files(self) -> CarriedFiles<F> {
        let Self {
            state,
            open,
            streams,
            mut stats,
            ..
        } = self;
        let carried = |file: FileReader<F>| {
            let track = streams.get(file.key)?;
            let compressed = file.is_compressed();
            Some(CarriedFile {
                file: match file.source {
                    LineSource::Plain(plain) => plain,
                    LineSource::Gzip(gzip) => gzip.into_file(),
                },
                compressed,
                path: file.path,
                name: Arc::clone(&track.name),
                stream: track.stream,
                beginning: track.beginning,
                from_name: file.opened_as_rotated,
                framing: StreamFraming::restored(
                    track.framing.to_save(),
                    track.framing.has_record_before(track.settled().offset),
                ),
                settled: track.settled(),
            })
        };
        let files = open.files.into_iter().filter_map(carried).collect();
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

    /// Continues the open files of the previous tailer, whatever their present names are; returns those of logs that
    /// are no longer configured.
    pub(super) fn adopt(&mut self, files: Vec<CarriedFile<F>>) -> Vec<CarriedFile<F>> {
        let mut left = Vec::new();
        let context = ScanContext {
            now: self.clock.now(),
            wall: self.clock.unix_millis(),
            last_chance: true,
        };
        for mut carried in files {
            let Ok(metadata) = self.fs.metadata_of(&carried.file) else {
                continue;
            };
            if carried.settled.offset == 0 {
                self.identify_carried(&mut carried);
            }
            let Some(log) = self.discover.log_of(&carried.name) else {
                left.push(carried);
                continue;
            };
            let key = self.stream_of(&carried);
            let is_assigned = self.streams.get(key).is_some_and(|track| track.assigned);
            let CarriedFile {
                file,
                compressed,
                path,
                name,
                from_name,
                ..
            } = carried;
            let source = match compressed {
                true => LineSource::Gzip(Box::new(Gzip::new(self.fs.clone(), file))),
                false => LineSource::Plain(file),
            };
            let candidate = Candidate {
                path,
                metadata,
                log,
                names: vec![name],
                live: false,
                by: match is_assigned {
                    true => FoundBy::Content,
                    false => FoundBy::Table,
                },
                compression: None,
                owners: None,
            };
            self.attach(key, source, &candidate, &metadata, &[], context);
            if let Some(file) = self.open.files.last_mut() {
                // The next scan finds its name, if it has one.
                file.visible = false;
                file.opened_as_rotated = from_name;
            }
        }
        left
    }

    /// A file without settled lines may have got its first line, or another one, since it was opened.
    fn identify_carried(&self, carried: &mut CarriedFile<F>) {
        if let Ok(Some(line)) = first_line(&self.fs, &carried.file, carried.compressed) {
            let (stream, beginning) = self.streams.identity(&carried.name, &line);
            (carried.stream, carried.beginning) = (Some(stream), Some(beginning));
        }
    }

    /// The stream that a file continues. The saved position may be a little behind the file's own, or belong to another
    /// output.
    fn stream_of(&mut self, carried: &CarriedFile<F>) -> FileKey {
        let CarriedFile {
            file,
            compressed,
            settled,
            ..
        } = carried;
        let holds = |position, otherwise| {
            *compressed || holds(&self.fs, file, position).unwrap_or(otherwise)
        };
        let keys = carried.stream.map(|stream| self.streams.keys_of(stream));
        let fitting = keys.unwrap_or_default().iter().filter_map(|key| {
            let position = self.streams.get(*key)?.read;
            let fits = self.open.of(*key).is_none()
                && position.offset <= settled.offset
                && holds(position, false);
            fits.then_some((position.offset, *key))
        });
        // If positions are equal, the later stream is used.
        if let Some((_, key)) = fitting.max_by_key(|(offset, _)| *offset) {
            return key;
        }
        if !holds(*settled, true) {
            // It was truncated and written again since.
            return self.streams.add(&carried.name, None, Position::start());
        }
        let position = match self.earlier.read_all {
            true => Position::start(),
            false => *settled,
        };
        let key = self.streams.add(&carried.name, None, position);
        if let Some(stream) = carried.stream {
            self.streams.identify(key, stream, carried.beginning);
        }
        if let Some(track) = self.streams.get_mut(key)
            && position.offset > 0
        {
            track.framing = carried.framing;
        }
        key
    }
}
