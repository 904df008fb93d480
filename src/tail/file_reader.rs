//! One open file and the next complete lines in it.
//!
//! Owns: how bytes are read, and the check that they still belong to the content that was read before. Refuses to know:
//! other files, names, rotation. Invariant: lines are handed out only if the file, after the read, still contained the
//! bytes before them; an incomplete line is never handed out. The failures it guards against: a file is truncated (and
//! perhaps regrows) between two reads or during one, and an incomplete line of a mebibyte is read again and again.
//!
//! A read requests the marker's window and the new bytes at once, which shows that the file contains what was read
//! before. But a read is not atomic: it may take several calls, and the kernel copies page by page. So the beginning of
//! the range is read once more afterwards. Truncated content does not come back: if the beginning is still the same,
//! the file was not truncated before that second read, and therefore not during the first one. As everywhere, two
//! contents that agree in these bytes are taken for one.

mod long_records;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use logweir_parsers::cri;
use memchr::memchr;

use super::FileKey;
use super::candidates::COMPRESSION_GRACE;
use super::fs::{FileSystem, Inode, Metadata};
use super::gzip::Gzip;
use super::identity::{MARKER_BYTES, Position, marker, marker_length};
use super::lines::{self, Head};
use super::track::Track;
use crate::framing::{LineFraming, RecordEnd, begins_with_part, closed, is_record};

/// The limits of a read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The number of bytes requested at once.
    pub(super) read_bytes: usize,
    /// Longer lines are cut.
    pub(super) line_bytes: usize,
}

impl Limits {
    /// The longest line that is handed out whole. A CRI head does not count.
    pub(super) fn line(&self, framing: LineFraming) -> usize {
        match framing.is_cri() {
            true => self.line_bytes + cri::MAX_HEAD,
            false => self.line_bytes,
        }
    }

    /// The limits for a stream that may have heads, which must fit into one read.
    fn with_heads(self) -> Self {
        Self {
            read_bytes: self.read_bytes.max(cri::MAX_HEAD),
            ..self
        }
    }
}

/// The one buffer of all files. It grows for a long line and shrinks after it.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
}

impl Buffer {
    /// Returns a buffer of at least `length` bytes, but not much more than `usual` if less is needed.
    pub(super) fn take(&mut self, length: usize, usual: usize) -> &mut [u8] {
        let wanted = length.max(usual);
        if self.bytes.len() != wanted {
            self.bytes.resize(wanted, 0);
            if self.bytes.capacity() > wanted.saturating_mul(2) {
                self.bytes.shrink_to(wanted);
            }
        }
        &mut self.bytes[..length]
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The source of the lines.
pub(super) enum LineSource<F: FileSystem> {
    /// The file contains the lines themselves.
    Plain(Arc<F::File>),
    /// The file contains them compressed; positions are still those of the lines.
    Gzip(Box<Gzip<F>>),
}

/// An open file.
pub(super) struct FileReader<F: FileSystem> {
    pub(super) key: FileKey,
    pub(super) source: LineSource<F>,
    pub(super) inode: Inode,
    pub(super) path: PathBuf,
    /// The bytes from the track's `read` to here contain no `\n`; or no end of the open record.
    scanned: u64,
    /// The search for the end of the record that begins at the track's `read` and is not complete.
    open_record: Option<RecordEnd>,
    /// No more is expected: an open record at the end is handed out as it is.
    pub(super) ends: bool,
    /// It has the log's live name.
    pub(super) live: bool,
    /// The last scan found a name for it.
    pub(super) visible: bool,
    /// It was opened as a rotated file, so that a scan would find it again.
    pub(super) opened_as_rotated: bool,
    /// Monotonic time since when no new bytes were found in it.
    pub(super) quiet_since: Duration,
    /// Monotonic time of its opening.
    pub(super) opened: Duration,
    /// Whether the last attempt found nothing.
    pub(super) at_end: bool,
}

/// The result of one attempt to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Lines, in the buffer from `start` on.
    Lines(FoundLines),
    /// Bytes were examined, but no line is complete yet; try again.
    More,
    /// Nothing to read now.
    Idle,
    /// The file no longer contains what was read from it.
    Replaced,
}

/// Complete lines in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FoundLines {
    pub(super) start: usize,
    pub(super) length: usize,
    /// The position after the last line.
    pub(super) end: Position,
    pub(super) cut: bool,
    /// Whether there is a record in them.
    pub(super) has_record: bool,
    /// Lines of standard error that are not in the buffer.
    pub(super) passed_over: u64,
}

impl<F: FileSystem> FileReader<F> {
    pub(super) fn new(
        key: FileKey,
        source: LineSource<F>,
        inode: Inode,
        path: PathBuf,
        live: bool,
        quiet_since: Duration,
        opened: Duration,
    ) -> Self {
        Self {
            key,
            source,
            inode,
            path,
            scanned: 0,
            open_record: None,
            ends: false,
            live,
            visible: true,
            opened_as_rotated: !live,
            quiet_since,
            opened,
            at_end: false,
        }
    }

    /// The open file itself.
    pub(super) fn file(&self) -> &F::File {
        match &self.source {
            LineSource::Plain(file) => file,
            LineSource::Gzip(gzip) => gzip.file(),
        }
    }

    /// Whether its lines are compressed.
    pub(super) fn is_compressed(&self) -> bool {
        matches!(self.source, LineSource::Gzip(_))
    }

    /// Whether its path still leads to it.
    pub(super) fn is_at_its_path(&self, fs: &F) -> bool {
        fs.metadata(&self.path)
            .is_ok_and(|there| there.inode == self.inode)
    }

    /// Whether it has a decoder, which takes memory.
    pub(super) fn is_decoding(&self) -> bool {
        matches!(&self.source, LineSource::Gzip(gzip) if gzip.is_decoding())
    }

    /// Whether it is compressed and its content is incomplete.
    pub(super) fn ends_early(&self) -> bool {
        matches!(&self.source, LineSource::Gzip(gzip) if self.at_end && !gzip.is_complete())
    }

    /// Whether its content stays incomplete: it was not written to for a while before `wall`, milliseconds since 1970.
    pub(super) fn is_cut_off(&self, fs: &F, wall: i64) -> bool {
        let age = |metadata: Metadata| wall.abs_diff(metadata.modified / 1_000_000);
        self.ends_early()
            && fs
                .metadata_of(self.file())
                .is_ok_and(|metadata| age(metadata) >= COMPRESSION_GRACE)
    }

    /// Searches for the next complete lines after `track.read`.
    pub(super) fn step(
        &mut self,
        fs: &F,
        track: &mut Track,
        buffer: &mut Buffer,
        limits: Limits,
    ) -> io::Result<Step> {
        let is_raw = track.framing.is_raw_by_setting();
        let limits = match is_raw {
            true => limits,
            false => limits.with_heads(),
        };
        let file = match &mut self.source {
            LineSource::Gzip(gzip) => return gzip.step(track, buffer, limits),
            LineSource::Plain(file) => file,
        };
        let plain = Plain {
            fs,
            file,
            limits,
            read: track.read,
            ends: self.ends,
        };
        let mut search = Search {
            scanned: &mut self.scanned,
            record: &mut self.open_record,
        };
        let searched = search.scanned.saturating_sub(track.read.offset);
        // The beginning of a line must show whether it has a head.
        let is_known = is_raw || searched >= cri::MAX_HEAD as u64;
        let step = if search.record.is_some() && *search.scanned >= track.read.offset {
            plain.go_on_with_record(&mut search, track, buffer)
        } else if searched > 0 && is_known {
            plain.go_on_with_half_line(&mut search, track, buffer)
        } else {
            search.begin(track.read.offset);
            plain.lines(&mut search, track, buffer, 0)
        };
        // Lines after these may begin another record.
        self.ends &= !matches!(step, Ok(Step::Lines(_)));
        step
    }

    /// Forgets how far an incomplete line was searched. A truncated and regrown file may have a `\n` there by now. The
    /// caller does this only from time to time, because always doing it would be quadratic for a long line.
    pub(super) fn look_again(&mut self, track: &Track, limits: Limits) {
        if self.scanned.saturating_sub(track.read.offset) <= limits.line_bytes as u64 {
            self.scanned = track.read.offset;
            self.open_record = None;
        }
    }

    /// Forgets lines that were found and not handed out.
    pub(super) fn read_again(&mut self, track: &Track) {
        self.scanned = track.read.offset;
    }

    /// Bytes of the unterminated line at the end, as far as it was searched.
    pub(super) fn half_line(&self, track: &Track) -> u64 {
        self.scanned.saturating_sub(track.read.offset)
    }

    /// Whether complete lines at the end, as far as they were searched, belong to a record that is not complete.
    pub(super) fn has_open_record(&self, track: &Track) -> bool {
        let half_line = self.open_record.map(|record| record.half_line());
        half_line.is_some_and(|half_line| self.half_line(track) > half_line)
    }

    /// Forgets what was searched after the track's position.
    pub(super) fn start_again(&mut self) {
        self.scanned = 0;
        self.open_record = None;
    }
}

/// How far the line, or the record, after the track's `read` was searched for its end.
struct Search<'a> {
    scanned: &'a mut u64,
    record: &'a mut Option<RecordEnd>,
}

impl Search<'_> {
    /// Begins again at this offset.
    fn begin(&mut self, offset: u64) {
        *self.scanned = offset;
        *self.record = None;
    }
}

/// A plain file that is read from a position on.
struct Plain<'a, F: FileSystem> {
    fs: &'a F,
    file: &'a F::File,
    limits: Limits,
    read: Position,
    ends: bool,
}

impl<F: FileSystem> Plain<'_, F> {
    /// Reads the window before `read` and at least `need` bytes after it.
    fn lines(
        &self,
        search: &mut Search<'_>,
        track: &mut Track,
        buffer: &mut Buffer,
        need: usize,
    ) -> io::Result<Step> {
        let Position { offset, .. } = self.read;
        let window = marker_length(offset);
        let length = window + need.max(self.limits.read_bytes);
        let Some(count) = self.window_and(length, buffer)? else {
            return Ok(Step::Replaced);
        };
        let bytes = &buffer.bytes()[..count];
        let data = &bytes[window..];
        if data.is_empty() {
            // Before the first line there is no marker; it is only known that the file was not empty.
            return Ok(if offset == 0 && track.size > 0 {
                Step::Replaced
            } else {
                Step::Idle
            });
        }
        let at_end = count < length;
        let framing = track.framing.look(offset, data);
        match lines::head(data, self.limits.line(framing)) {
            Head::Lines(lines) => {
                let is_last = self.ends && at_end && memchr(b'\n', &data[lines..]).is_none();
                let closed = closed(&data[..lines], framing, is_last);
                let lines = closed.bytes;
                if lines == 0 {
                    return self.open_record(count, at_end, search, track, buffer);
                }
                let end = Position::after(&bytes[..window + lines], offset + lines as u64);
                // A read that came to the end of the file gives its size.
                let size = if at_end {
                    offset + data.len() as u64
                } else {
                    self.fs.metadata_of(self.file)?.size
                };
                if size < end.offset || !self.still_holds(&bytes[..window + lines])? {
                    return Ok(Step::Replaced);
                }
                // No bytes were read that could be compared; but nginx only appends.
                if offset == 0 && size < track.size {
                    return Ok(Step::Replaced);
                }
                track.size = track.size.max(size);
                *search.scanned = end.offset;
                Ok(Step::Lines(FoundLines {
                    start: window,
                    length: lines,
                    end,
                    cut: false,
                    has_record: closed.has_record,
                    passed_over: 0,
                }))
            }
            Head::Long | Head::Partial if begins_with_part(data, framing) => {
                self.open_record(count, at_end, search, track, buffer)
            }
            Head::Long if let Some(line) = memchr(b'\n', data) => {
                self.long_line(offset + line as u64 + 1, search, track, buffer)
            }
            Head::Long | Head::Partial => {
                // The same as above: before the first line there is no marker, but nginx only appends.
                if offset == 0 && at_end && (data.len() as u64) < track.size {
                    return Ok(Step::Replaced);
                }
                *search.scanned = offset + data.len() as u64;
                track.size = track.size.max(*search.scanned);
                Ok(if at_end { Step::Idle } else { Step::More })
            }
        }
    }

    /// Searches for the `\n` only in the bytes that are new since the last time.
    fn go_on_with_half_line(
        &self,
        search: &mut Search<'_>,
        track: &mut Track,
        buffer: &mut Buffer,
    ) -> io::Result<Step> {
        let Position { offset, .. } = self.read;
        let part = buffer.take(self.limits.read_bytes, self.usual());
        let count = self.fs.read_at(self.file, part, *search.scanned)?;
        if count == 0 {
            if self.fs.metadata_of(self.file)?.size < *search.scanned {
                search.begin(offset);
                return self.lines(search, track, buffer, 0);
            }
            return self.nothing_new(buffer);
        }
        let Some(at) = memchr(b'\n', &part[..count]) else {
            *search.scanned += count as u64;
            track.size = track.size.max(*search.scanned);
            return Ok(Step::More);
        };
        let end = *search.scanned + at as u64 + 1;
        match usize::try_from(end - offset) {
            Ok(length) if length <= self.limits.line(track.framing.get()) + 1 => {
                self.lines(search, track, buffer, length)
            }
            _ => self.long_line(end, search, track, buffer),
        }
    }

    /// No bytes follow those that were searched; the file may have been replaced meanwhile.
    fn nothing_new(&self, buffer: &mut Buffer) -> io::Result<Step> {
        let unchanged = self.window_and(marker_length(self.read.offset), buffer)?;
        Ok(match unchanged {
            Some(_) => Step::Idle,
            None => Step::Replaced,
        })
    }

    /// The beginning of the line after `read`, which ends before `end`.
    fn long_line(
        &self,
        end: u64,
        search: &mut Search<'_>,
        track: &Track,
        buffer: &mut Buffer,
    ) -> io::Result<Step> {
        let window = marker_length(self.read.offset);
        let line = self.limits.line(track.framing.get());
        let length = window + line;
        match self.window_and(length, buffer)? {
            Some(count) if count == length => {}
            _ => return Ok(Step::Replaced),
        }
        let bytes = &buffer.bytes()[..length];
        let end = self.line_end(end)?;
        let Some(end) = end.filter(|_| memchr(b'\n', &bytes[window..]).is_none()) else {
            // The content of the file changed since the end of the line was found.
            search.begin(self.read.offset);
            return Ok(Step::More);
        };
        if !self.still_holds(bytes)? {
            return Ok(Step::Replaced);
        }
        *search.scanned = end.offset;
        Ok(Step::Lines(FoundLines {
            start: window,
            length: line,
            end,
            cut: true,
            has_record: is_record(&bytes[window..], track.framing.get()),
            passed_over: 0,
        }))
    }

    /// The position at `offset` if a line ends there.
    fn line_end(&self, offset: u64) -> io::Result<Option<Position>> {
        let mut tail = [0; MARKER_BYTES];
        let tail = &mut tail[..marker_length(offset)];
        let before = offset - tail.len() as u64;
        let count = self.fs.read_at(self.file, tail, before)?;
        let ends = count == tail.len() && tail.last() == Some(&b'\n');
        Ok(ends.then(|| Position {
            offset,
            marker: marker(tail),
        }))
    }

    /// Reads `length` bytes from the beginning of the window before `read`; `None` if the window has changed.
    fn window_and(&self, length: usize, buffer: &mut Buffer) -> io::Result<Option<usize>> {
        let window = marker_length(self.read.offset);
        let bytes = buffer.take(length, self.usual());
        let count = self
            .fs
            .read_at(self.file, bytes, self.read.offset - window as u64)?;
        let unchanged = count >= window && marker(&bytes[..window]) == self.read.marker;
        Ok(unchanged.then_some(count))
    }

    /// Whether the file still contains the first bytes of the range that was read, which begins with the window before
    /// `read`.
    fn still_holds(&self, read: &[u8]) -> io::Result<bool> {
        let first = &read[..read.len().min(MARKER_BYTES)];
        let mut now = [0; MARKER_BYTES];
        let now = &mut now[..first.len()];
        let from = self.read.offset - marker_length(self.read.offset) as u64;
        Ok(self.fs.read_at(self.file, now, from)? == first.len() && now == first)
    }

    fn usual(&self) -> usize {
        MARKER_BYTES + self.limits.read_bytes
    }
}

/// Whether `file` contains what was read up to `position`.
pub(super) fn holds<F: FileSystem>(fs: &F, file: &F::File, position: Position) -> io::Result<bool> {
    let mut window = [0; MARKER_BYTES];
    let window = &mut window[..marker_length(position.offset)];
    let count = fs.read_at(file, window, position.offset - window.len() as u64)?;
    Ok(count == window.len() && marker(window) == position.marker)
}

/// The position after the last complete line of a file of `size` bytes.
pub(super) fn last_line_end<F: FileSystem>(
    fs: &F,
    file: &F::File,
    size: u64,
) -> io::Result<Position> {
    let mut block = [0; 8192];
    let mut end = size;
    loop {
        let start = end.saturating_sub(block.len() as u64);
        let length = usize::try_from(end - start).unwrap_or(block.len());
        let count = fs.read_at(file, &mut block[..length], start)?;
        if let Some(at) = memchr::memrchr(b'\n', &block[..count]) {
            return position_at(fs, file, start + at as u64 + 1);
        }
        if start == 0 {
            return Ok(Position::start());
        }
        end = start;
    }
}

/// The position at `offset`, with the marker of the bytes that are before it now.
pub(super) fn position_at<F: FileSystem>(
    fs: &F,
    file: &F::File,
    offset: u64,
) -> io::Result<Position> {
    let mut window = [0; MARKER_BYTES];
    let window = &mut window[..marker_length(offset)];
    let count = fs.read_at(file, window, offset - window.len() as u64)?;
    Ok(Position {
        offset,
        marker: marker(&window[..count]),
    })
}
