//! The set of open files, and which of them is read next.
//!
//! Owns: the open files, whose turn it is, the read buffer, the number of active decoders, and the descriptors
//! (`descriptor_slots`). Refuses to know: directories, what a name means, and which stream a file continues; a path is
//! a label that its owner put on a file. Invariant: a stream is read from at most one open file, and each open file
//! reads exactly one stream. The failure it guards against: one busy file keeps all others from being read.

use std::io;
use std::sync::Arc;

use super::FileKey;
use super::descriptor_slots::DescriptorSlots;
use super::file_reader::{Buffer, FileReader, FoundLines, Limits, LineSource, Step};
use super::fs::{FileSystem, Inode, Metadata};
use super::lines;
use super::stream_table::StreamTable;
use crate::clock::Clock;

/// The maximum number of compressed files that are decoded at the same time: each takes about ten kilobytes.
const MAX_DECODERS: usize = 4;

/// See the module.
pub(super) struct OpenFiles<F: FileSystem> {
    pub(super) fs: F,
    limits: Limits,
    /// The maximum number of files that may be open at the same time.
    pub(super) max_open: usize,
    pub(super) files: Vec<FileReader<F>>,
    /// The file that is read next.
    turn: usize,
    buffer: Buffer,
    pub(super) slots: DescriptorSlots,
}

/// The result of an attempt to read.
pub(super) enum Event {
    /// Complete lines, in the buffer.
    Lines { index: usize, found: FoundLines },
    /// The file no longer contains what was read from it.
    Replaced { index: usize },
    /// The file cannot be read, or its compressed content is incomplete.
    Failed { index: usize, error: io::Error },
}

/// A file at its end.
pub(super) struct FileEnd {
    pub(super) metadata: Option<Metadata>,
    /// Bytes of an unterminated line.
    pub(super) half_line: u64,
    /// Its last lines are the beginning of a record, and are handed out by the next read.
    pub(super) open_record: bool,
}

impl<F: FileSystem> OpenFiles<F> {
    pub(super) fn new(fs: F, limits: Limits, max_open: usize) -> Self {
        Self {
            fs,
            limits,
            max_open,
            files: Vec::new(),
            turn: 0,
            buffer: Buffer::default(),
            slots: DescriptorSlots::default(),
        }
    }

    /// Reads the files in turn until one of them has a result; `None` if all are read to their end. `idle` counts the
    /// consecutive files without a result; the caller sets it to 0 when files were opened or closed. `only_saved`:
    /// streams whose identity is not saved wait.
    pub(super) fn next_event(
        &mut self,
        streams: &mut StreamTable,
        idle: &mut usize,
        clock: &impl Clock,
        only_saved: bool,
    ) -> Option<Event> {
        while *idle < self.files.len() {
            let index = self.turn % self.files.len();
            let is_held = only_saved && !streams.has_saved_identity(self.files[index].key);
            if is_held || self.must_wait(index) {
                self.turn = index + 1;
                *idle += 1;
                continue;
            }
            let file = &mut self.files[index];
            let Some(track) = streams.get_mut(file.key) else {
                self.files.swap_remove(index);
                continue;
            };
            let decoded = file.is_decoding();
            match file.step(&self.fs, track, &mut self.buffer, self.limits) {
                Ok(Step::Lines(found)) => {
                    self.turn = index + 1;
                    return Some(Event::Lines { index, found });
                }
                Ok(Step::More) => {
                    self.turn = index + 1;
                    *idle = 0;
                }
                Ok(Step::Idle) => {
                    file.at_end = true;
                    self.turn = index + 1;
                    // A decoder that reached its end lets another one begin.
                    *idle = if decoded { 0 } else { *idle + 1 };
                    if file.is_cut_off(&self.fs, clock.unix_millis()) {
                        let error = io::ErrorKind::UnexpectedEof.into();
                        return Some(Event::Failed { index, error });
                    }
                }
                Ok(Step::Replaced) => return Some(Event::Replaced { index }),
                Err(error) => {
                    self.turn = index + 1;
                    *idle += 1;
                    return Some(Event::Failed { index, error });
                }
            }
        }
        None
    }

    /// A compressed file whose decoding has not begun waits while enough others are being decoded.
    fn must_wait(&self, index: usize) -> bool {
        let file = &self.files[index];
        let at_work = self.files.iter().filter(|file| file.is_decoding());
        file.is_compressed() && !file.is_decoding() && at_work.count() >= MAX_DECODERS
    }

    /// The longest line that is handed out whole.
    pub(super) fn line_bytes(&self) -> usize {
        self.limits.line_bytes
    }

    /// The bytes of lines that the last read found.
    pub(super) fn bytes(&self, found: &FoundLines) -> &[u8] {
        &self.buffer.bytes()[found.start..found.start + found.length]
    }

    /// The first line that the last read found, without its `\n`.
    pub(super) fn first_line(&self, found: &FoundLines) -> &[u8] {
        let bytes = self.bytes(found);
        lines::first(bytes).map_or(bytes, |length| &bytes[..length - 1])
    }

    /// Tries once more to read a file that was at its end, because the last attempt may be long ago. Returns the state
    /// of the file before an attempt that found nothing; `None` if it found something.
    pub(super) fn last_attempt(
        &mut self,
        index: usize,
        streams: &mut StreamTable,
    ) -> Option<FileEnd> {
        let file = &mut self.files[index];
        let metadata = self.fs.metadata_of(file.file()).ok();
        let Some(track) = streams.get_mut(file.key) else {
            return Some(FileEnd {
                metadata,
                half_line: 0,
                open_record: false,
            });
        };
        file.start_again();
        loop {
            match file.step(&self.fs, track, &mut self.buffer, self.limits) {
                Ok(Step::Idle) => break,
                Ok(Step::More) => {}
                Ok(Step::Lines(_) | Step::Replaced) | Err(_) => {
                    file.start_again();
                    return None;
                }
            }
        }
        let open_record = file.has_open_record(track);
        file.ends = open_record;
        file.at_end &= !open_record;
        Some(FileEnd {
            metadata,
            half_line: file.half_line(track),
            open_record,
        })
    }

    /// The plain files of which nothing was read and whose first line is complete now: the stream, the line, and how
    /// many bytes of the file were examined. A line longer than one read, and an error, wait until the file is read.
    pub(super) fn unread_first_lines(
        &mut self,
        streams: &StreamTable,
    ) -> Vec<(FileKey, Vec<u8>, u64)> {
        let length = self.limits.read_bytes;
        let mut unread = Vec::new();
        for file in &self.files {
            let is_unread = streams
                .get(file.key)
                .is_some_and(|track| track.stream.is_none() && track.read.offset == 0);
            let (true, LineSource::Plain(plain)) = (is_unread, &file.source) else {
                continue;
            };
            let bytes = self.buffer.take(length, length);
            let count = self.fs.read_at(plain, bytes, 0).unwrap_or(0);
            if let Some(end) = lines::first(&bytes[..count]) {
                unread.push((file.key, bytes[..end - 1].to_vec(), count as u64));
            }
        }
        unread
    }

    /// Makes a file the next one to be read, from where it was before the lines that were found last.
    pub(super) fn read_again(&mut self, index: usize, streams: &StreamTable) {
        let file = &mut self.files[index];
        if let Some(track) = streams.get(file.key) {
            file.read_again(track);
        }
        self.turn = index;
    }

    /// Makes each file search its incomplete line again.
    pub(super) fn look_again(&mut self, streams: &StreamTable) {
        for file in &mut self.files {
            if let Some(track) = streams.get(file.key) {
                file.look_again(track, self.limits);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &FileReader<F>> {
        self.files.iter()
    }

    /// The streams that are read from open files, and those of logs that gave up their descriptor.
    pub(super) fn keys(&self) -> impl Iterator<Item = FileKey> {
        let open = self.files.iter().map(|file| file.key);
        open.chain(self.slots.keys())
    }

    /// The open file from which a stream is read.
    pub(super) fn of(&self, key: FileKey) -> Option<&FileReader<F>> {
        self.files.iter().find(|file| file.key == key)
    }

    /// The open plain file from which a stream is read.
    pub(super) fn plain_of(&self, key: FileKey) -> Option<&Arc<F::File>> {
        match &self.of(key)?.source {
            LineSource::Plain(file) => Some(file),
            LineSource::Gzip(_) => None,
        }
    }

    pub(super) fn holds_inode(&self, inode: Inode) -> bool {
        self.files.iter().any(|file| file.inode == inode)
    }

    /// Adds a file that was opened.
    pub(super) fn add(&mut self, file: FileReader<F>) {
        self.slots.opened(file.inode);
        self.files.push(file);
    }

    /// Removes a file; it is closed when the caller drops it.
    pub(super) fn remove(&mut self, index: usize) -> FileReader<F> {
        self.files.swap_remove(index)
    }

    /// The number of open files that are not at a live name.
    pub(super) fn rotated(&self) -> usize {
        self.files.iter().filter(|file| !file.live).count()
    }
}
