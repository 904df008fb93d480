//! Reads a gzip-compressed rotated file at the positions of the lines inside it.
//!
//! Owns: decoding, and resuming in the middle (decode and discard). Refuses to know: why the file is read. Invariant:
//! an offset means the same as in the plain file that was compressed, so that a line keeps its identity. The failure it
//! guards against: a file that gzip is still writing is taken for a damaged or a finished one; it is read again after
//! it has changed.

use std::io::{self, BufReader, ErrorKind, Read};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use memchr::memchr;

use super::file_reader::{Buffer, FoundLines, Limits, Step};
use super::fs::FileSystem;
use super::identity::{FIRST_LINE_BYTES, MARKER_BYTES, Position, marker_length};
use super::lines::{self, Head};
use super::track::Track;
use crate::framing::{Condenser, RecordEnd, Searched, begins_with_part, closed, is_record};

/// Compressed bytes read at once.
const INPUT_BYTES: usize = 32 * 1024;

/// The first line must end before this offset.
const MAX_FIRST_LINE: usize = 64 * 1024 * 1024;

/// Reads an open file from its beginning.
struct FromStart<F: FileSystem> {
    fs: F,
    file: Arc<F::File>,
    offset: u64,
}

impl<F: FileSystem> Read for FromStart<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fs.read_at(&self.file, buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

type Decoder<F> = MultiGzDecoder<BufReader<FromStart<F>>>;

fn decoder<F: FileSystem>(fs: &F, file: &Arc<F::File>) -> Decoder<F> {
    let input = FromStart {
        fs: fs.clone(),
        file: Arc::clone(file),
        offset: 0,
    };
    MultiGzDecoder::new(BufReader::with_capacity(INPUT_BYTES, input))
}

/// The last bytes of a gzip file (RFC 1952, 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trailer {
    /// CRC-32 of the content of the last member.
    pub(super) crc32: u32,
    /// The low 32 bits of its length: the uncompressed size of a file with one member under 4 GiB.
    pub(super) size: u32,
}

impl Trailer {
    pub(super) fn of<F: FileSystem>(fs: &F, file: &F::File, size: u64) -> io::Result<Self> {
        let mut bytes = [0; 8];
        fs.read_at(file, &mut bytes, size.saturating_sub(8))?;
        let [a, b, c, d, e, f, g, h] = bytes;
        let (crc32, size) = (
            u32::from_le_bytes([a, b, c, d]),
            u32::from_le_bytes([e, f, g, h]),
        );
        Ok(Self { crc32, size })
    }
}

/// The first complete line of a file, without its `\n`, cut to the part that determines the identity.
pub(super) fn first_line<F: FileSystem>(
    fs: &F,
    file: &Arc<F::File>,
    compressed: bool,
) -> io::Result<Option<Vec<u8>>> {
    let found = if compressed {
        first_line_of(decoder(fs, file))
    } else {
        first_line_of(FromStart {
            fs: fs.clone(),
            file: Arc::clone(file),
            offset: 0,
        })
    };
    match found {
        // gzip is still writing.
        Err(error) if compressed && error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        found => found,
    }
}

/// Decodes a compressed file as far as its first line may reach. An error if it cannot be decoded, or ends early.
pub(super) fn decodes<F: FileSystem>(fs: &F, file: &Arc<F::File>) -> io::Result<()> {
    let decoded = decoder(fs, file).take(MAX_FIRST_LINE as u64);
    io::copy(&mut { decoded }, &mut io::sink()).map(drop)
}

fn first_line_of(mut input: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut length = 0;
    let mut block = [0; FIRST_LINE_BYTES];
    while length < MAX_FIRST_LINE {
        let count = input.read(&mut block)?;
        if count == 0 {
            return Ok(None);
        }
        let end = memchr(b'\n', &block[..count]);
        let part = &block[..end.unwrap_or(count)];
        let room = FIRST_LINE_BYTES - line.len();
        line.extend_from_slice(&part[..part.len().min(room)]);
        if end.is_some() {
            return Ok(Some(line));
        }
        length += count;
    }
    Ok(None)
}

/// Size and time of change of the compressed file when decoding reached its end.
type Version = (u64, i64);

/// A compressed file being read.
pub(super) struct Gzip<F: FileSystem> {
    fs: F,
    file: Arc<F::File>,
    decoder: Option<Decoder<F>>,
    /// Up to [`MARKER_BYTES`] bytes before `offset`.
    window: Vec<u8>,
    /// Decoded bytes from `offset` on that are not handed out yet.
    carry: Vec<u8>,
    offset: u64,
    /// No more bytes are expected until the file differs from this state.
    ended: Option<Version>,
    /// The file was decoded to its regular end.
    complete: bool,
    /// The error of the decoder after the lines that were handed out; it might not report it a second time.
    failed: Option<io::Error>,
}

impl<F: FileSystem> Gzip<F> {
    pub(super) fn new(fs: F, file: Arc<F::File>) -> Self {
        Self {
            fs,
            file,
            decoder: None,
            window: Vec::new(),
            carry: Vec::new(),
            offset: 0,
            ended: None,
            complete: false,
            failed: None,
        }
    }

    pub(super) fn file(&self) -> &F::File {
        &self.file
    }

    pub(super) fn into_file(self) -> Arc<F::File> {
        self.file
    }

    /// Whether the whole file was decoded to its regular end.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether it has a decoder, which takes memory.
    pub(super) fn is_decoding(&self) -> bool {
        self.decoder.is_some()
    }

    pub(super) fn step(
        &mut self,
        track: &mut Track,
        buffer: &mut Buffer,
        limits: Limits,
    ) -> io::Result<Step> {
        if let Some(version) = self.ended {
            if self.version()? == version {
                return Ok(Step::Idle);
            }
            self.ended = None;
        }
        if self.decoder.is_none() || self.offset != track.read.offset {
            match self.resume(track.read) {
                Ok(true) => {}
                Ok(false) => return Ok(Step::Replaced),
                Err(error) => return self.stop(error),
            }
        }
        let window = self.window.len();
        let length = window + self.carry.len() + limits.read_bytes;
        let bytes = buffer.take(length, MARKER_BYTES + limits.read_bytes);
        bytes[..window].copy_from_slice(&self.window);
        bytes[window..window + self.carry.len()].copy_from_slice(&self.carry);
        let mut count = window + self.carry.len();
        let end = loop {
            match self.decode(&mut bytes[count..]) {
                Ok(0) => break Some(None),
                Ok(more) => count += more,
                Err(error) => break Some(Some(error)),
            }
            if count == length {
                break None;
            }
        };
        let data = &bytes[window..count];
        // An incomplete line at the end of a truncated file does not count as lost when the file is deleted.
        let lines = memchr::memrchr(b'\n', data).map_or(0, |at| at as u64 + 1);
        track.size = track.size.max(self.offset + lines);
        let framing = track.framing.look(self.offset, data);
        let line_limit = limits.line(framing);
        let mut head = lines::head(data, line_limit);
        let mut has_record = true;
        let mut is_open = head == Head::Long && begins_with_part(data, framing);
        if let Head::Lines(lines) = head {
            let is_last = matches!(end, Some(None)) && memchr(b'\n', &data[lines..]).is_none();
            let closed = closed(&data[..lines], framing, is_last);
            head = Head::Lines(closed.bytes);
            has_record = closed.has_record;
            is_open = closed.bytes == 0;
        }
        let step = match head {
            _ if is_open => {
                let is_regular = !matches!(end, Some(Some(_)));
                match self.long_record(count, buffer, limits, end.is_none(), is_regular) {
                    Ok(Some(found)) => Some(found),
                    Ok(None) => return self.end_without_line(end),
                    Err(error) => return self.stop(error),
                }
            }
            Head::Lines(lines) => {
                let end = Position::after(&bytes[..window + lines], self.offset + lines as u64);
                self.carry.clear();
                self.carry.extend_from_slice(&bytes[window + lines..count]);
                self.keep_window(end.offset, window + lines, buffer);
                Some(FoundLines {
                    start: window,
                    length: lines,
                    end,
                    cut: false,
                    has_record,
                    passed_over: 0,
                })
            }
            Head::Partial => {
                self.carry.clear();
                self.carry.extend_from_slice(data);
                None
            }
            Head::Long => match self.skip_long_line(count, buffer, line_limit, end.is_none()) {
                Ok(Some(found)) => {
                    let line = &buffer.bytes()[found.start..found.start + found.length];
                    let has_record = is_record(line, framing);
                    Some(FoundLines {
                        has_record,
                        ..found
                    })
                }
                Ok(None) => return self.end_without_line(end),
                Err(error) => return self.stop(error),
            },
        };
        match (step, end) {
            (Some(found), end) => {
                self.failed = end.flatten();
                Ok(Step::Lines(found))
            }
            (None, None) => Ok(Step::More),
            (None, Some(None)) => {
                self.complete = true;
                self.pause()
            }
            (None, Some(Some(error))) => self.stop(error),
        }
    }

    /// Whether the file contains what was read up to `position`; `None` if it ends before it.
    pub(super) fn holds(fs: F, file: Arc<F::File>, position: Position) -> io::Result<Option<bool>> {
        let mut gzip = Self::new(fs, file);
        match gzip.resume(position) {
            Ok(holds) => Ok((gzip.offset == position.offset).then_some(holds)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Decodes up to `position` and checks that the file contains what was read before it.
    fn resume(&mut self, position: Position) -> io::Result<bool> {
        self.decoder = Some(decoder(&self.fs, &self.file));
        // The new decoder comes to the same error again.
        self.failed = None;
        self.carry.clear();
        self.window.clear();
        self.offset = 0;
        let mut block = vec![0; INPUT_BYTES];
        while self.offset < position.offset {
            let left = usize::try_from(position.offset - self.offset).unwrap_or(usize::MAX);
            let wanted = left.min(block.len());
            let count = self.decode(&mut block[..wanted])?;
            if count == 0 {
                return Ok(false);
            }
            self.offset += count as u64;
            self.slide_window(&block[..count]);
        }
        Ok(Position::after(&self.window, self.offset) == position)
    }

    /// The line at `offset` exceeds the limit: its beginning is in the buffer, the rest is skipped.
    fn skip_long_line(
        &mut self,
        count: usize,
        buffer: &mut Buffer,
        line_limit: usize,
        more: bool,
    ) -> io::Result<Option<FoundLines>> {
        let start = self.window.len();
        let data = buffer.bytes()[start..count].to_vec();
        let mut block = vec![0; INPUT_BYTES];
        let mut rest = data.as_slice();
        let mut from_block;
        let mut end = self.offset;
        loop {
            let line = memchr(b'\n', rest).map(|at| at + 1);
            let passed = &rest[..line.unwrap_or(rest.len())];
            end += passed.len() as u64;
            self.slide_window(passed);
            if let Some(line) = line {
                self.carry.clear();
                self.carry.extend_from_slice(&rest[line..]);
                break;
            }
            from_block = if more { self.decode(&mut block)? } else { 0 };
            if from_block == 0 {
                // The line does not end in this file, so all of it stays unread.
                self.decoder = None;
                return Ok(None);
            }
            rest = &block[..from_block];
        }
        self.offset = end;
        Ok(Some(FoundLines {
            start,
            length: line_limit,
            end: Position::after(&self.window, end),
            cut: true,
            has_record: true,
            passed_over: 0,
        }))
    }

    /// A record begins at `offset`, and the lines in the buffer do not end it. `more`: the end of the file is not
    /// reached; `is_regular`: it is, or may be, the regular end.
    fn long_record(
        &mut self,
        count: usize,
        buffer: &mut Buffer,
        limits: Limits,
        more: bool,
        is_regular: bool,
    ) -> io::Result<Option<FoundLines>> {
        let mut bytes = buffer.bytes()[self.window.len()..count].to_vec();
        let mut block = vec![0; INPUT_BYTES];
        let mut record = RecordEnd::default();
        let mut condenser = Condenser::new(limits.line_bytes);
        let mut end = self.offset;
        // The state at the end of the last whole line.
        let (mut line_end, mut line_window) = (end, self.window.clone());
        let is_whole = loop {
            let (passed, is_whole) = match record.search(&bytes) {
                Searched::Ends(passed) => (passed, true),
                Searched::GoesOn(passed) => (passed, false),
            };
            condenser.take(&bytes[..passed]);
            let half_line = usize::try_from(record.half_line()).unwrap_or(usize::MAX);
            let lines = passed.saturating_sub(half_line);
            self.slide_window(&bytes[..lines]);
            if passed >= half_line {
                line_end = end + lines as u64;
                line_window.clone_from(&self.window);
            }
            self.slide_window(&bytes[lines..passed]);
            end += passed as u64;
            bytes.drain(..passed);
            if is_whole {
                break true;
            }
            let decoded = if more { self.decode(&mut block)? } else { 0 };
            if decoded == 0 {
                break false;
            }
            bytes.extend_from_slice(&block[..decoded]);
        };
        if !is_whole && (!is_regular || line_end == self.offset) {
            // The record does not end in this file, so all of it stays unread.
            self.decoder = None;
            return Ok(None);
        }
        self.carry.clear();
        if is_whole {
            self.carry.extend_from_slice(&bytes);
        }
        self.offset = line_end;
        self.window = line_window;
        let kept = condenser.kept();
        buffer
            .take(kept.len(), MARKER_BYTES + limits.read_bytes)
            .copy_from_slice(kept);
        Ok(Some(FoundLines {
            start: 0,
            length: kept.len(),
            end: Position::after(&self.window, self.offset),
            cut: false,
            has_record: true,
            passed_over: condenser.passed_over(),
        }))
    }

    /// An over-long line, or a record, has no end yet: further decoding would begin it again and again.
    fn end_without_line(&mut self, end: Option<Option<io::Error>>) -> io::Result<Step> {
        if let Some(error) = end.flatten() {
            return self.stop(error);
        }
        self.complete = true;
        self.pause()
    }

    fn decode(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        match &mut self.decoder {
            Some(decoder) => decoder.read(buffer),
            None => Ok(0),
        }
    }

    fn keep_window(&mut self, offset: u64, end: usize, buffer: &Buffer) {
        let start = end - marker_length(offset);
        self.window.clear();
        self.window.extend_from_slice(&buffer.bytes()[start..end]);
        self.offset = offset;
    }

    fn slide_window(&mut self, passed: &[u8]) {
        let passed = &passed[passed.len().saturating_sub(MARKER_BYTES)..];
        let over = (self.window.len() + passed.len()).saturating_sub(MARKER_BYTES);
        self.window.drain(..over);
        self.window.extend_from_slice(passed);
    }

    /// A file that ends early is unfinished; a file that cannot be decoded is damaged.
    fn stop(&mut self, error: io::Error) -> io::Result<Step> {
        if error.kind() == ErrorKind::UnexpectedEof {
            self.pause()
        } else {
            self.decoder = None;
            Err(error)
        }
    }

    fn pause(&mut self) -> io::Result<Step> {
        self.decoder = None;
        self.carry = Vec::new();
        self.ended = Some(self.version()?);
        Ok(Step::Idle)
    }

    fn version(&self) -> io::Result<Version> {
        let metadata = self.fs.metadata_of(&self.file)?;
        Ok((metadata.size, metadata.modified))
    }
}
