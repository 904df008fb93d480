//! Reads a record of several lines that does not end within one read.
//!
//! Owns: the search for its end in the bytes that are new, and reading it again once the end is found. Refuses to know:
//! what a part is (`crate::framing`). Invariant: a record is handed out as a whole, or, when no more is expected, as far as
//! it goes; no byte is searched twice. The failure it guards against: a container that writes to standard error between
//! the parts of a line makes the agent read the same bytes again and again.

use std::io;

use super::{Buffer, FoundLines, MARKER_BYTES, Plain, Search, Step, marker_length};
use crate::framing::{Condenser, RecordEnd, Searched};
use crate::tail::fs::FileSystem;
use crate::tail::track::Track;

impl<F: FileSystem> Plain<'_, F> {
    /// A record begins at `read`, and the lines in the buffer, which has `count` bytes, do not end it.
    pub(super) fn open_record(
        &self,
        count: usize,
        at_end: bool,
        search: &mut Search<'_>,
        track: &mut Track,
        buffer: &mut Buffer,
    ) -> io::Result<Step> {
        let offset = self.read.offset;
        let data = &buffer.bytes()[marker_length(offset)..count];
        // Before the first line there is no marker; but a runtime only appends.
        if offset == 0 && at_end && (data.len() as u64) < track.size {
            return Ok(Step::Replaced);
        }
        track.size = track.size.max(offset + data.len() as u64);
        search.begin(offset);
        let mut record = RecordEnd::default();
        let searched = record.search(data);
        self.searched(searched, record, at_end, search, track, buffer)
    }

    /// Searches only the bytes that are new since the last time.
    pub(super) fn go_on_with_record(
        &self,
        search: &mut Search<'_>,
        track: &mut Track,
        buffer: &mut Buffer,
    ) -> io::Result<Step> {
        let Some(mut record) = *search.record else {
            return Ok(Step::More);
        };
        let from = *search.scanned;
        let part = buffer.take(self.limits.read_bytes, self.usual());
        let count = self.fs.read_at(self.file, part, from)?;
        let at_end = count < part.len();
        if count == 0 && self.fs.metadata_of(self.file)?.size < from {
            search.begin(self.read.offset);
            return self.lines(search, track, buffer, 0);
        }
        track.size = track.size.max(from + count as u64);
        let searched = record.search(&part[..count]);
        self.searched(searched, record, at_end, search, track, buffer)
    }

    fn searched(
        &self,
        searched: Searched,
        record: RecordEnd,
        at_end: bool,
        search: &mut Search<'_>,
        track: &Track,
        buffer: &mut Buffer,
    ) -> io::Result<Step> {
        let from = *search.scanned;
        match searched {
            Searched::Ends(bytes) => self.condensed(from + bytes as u64, search, track, buffer),
            Searched::GoesOn(bytes) => {
                *search.scanned = from + bytes as u64;
                *search.record = Some(record);
                let last_line = *search.scanned - record.half_line();
                if self.ends && at_end && last_line > self.read.offset {
                    self.condensed(last_line, search, track, buffer)
                } else if bytes > 0 && !at_end {
                    Ok(Step::More)
                } else {
                    self.nothing_new(buffer)
                }
            }
        }
    }

    /// The record after `read`, which ends at `end`, as far as it matters.
    fn condensed(
        &self,
        end: u64,
        search: &mut Search<'_>,
        track: &Track,
        buffer: &mut Buffer,
    ) -> io::Result<Step> {
        let offset = self.read.offset;
        let window = marker_length(offset);
        let Some(count) = self.window_and(MARKER_BYTES.max(window), buffer)? else {
            return Ok(Step::Replaced);
        };
        let mut first = [0; MARKER_BYTES];
        let first = &mut first[..count.min(MARKER_BYTES)];
        first.copy_from_slice(&buffer.bytes()[..first.len()]);
        let mut condenser = Condenser::new(self.limits.line_bytes);
        let mut at = offset;
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let part = buffer.take(left.min(self.limits.read_bytes), self.usual());
            let count = self.fs.read_at(self.file, part, at)?;
            let taken = condenser.take(&part[..count]);
            if taken == 0 {
                break;
            }
            at += taken as u64;
        }
        let position = self.line_end(end)?.filter(|_| at == end);
        let Some(position) = position else {
            // The content of the file changed since the end of the record was found.
            search.begin(offset);
            return Ok(Step::More);
        };
        let size = self.fs.metadata_of(self.file)?.size;
        if !self.still_holds(first)? || offset == 0 && size < track.size {
            return Ok(Step::Replaced);
        }
        let kept = condenser.kept();
        buffer.take(kept.len(), self.usual()).copy_from_slice(kept);
        search.begin(end);
        Ok(Step::Lines(FoundLines {
            start: 0,
            length: kept.len(),
            end: position,
            cut: false,
            has_record: true,
            passed_over: condenser.passed_over(),
        }))
    }
}
