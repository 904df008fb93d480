//! The lines of a log without what a container runtime put around them.
//!
//! Owns the joining of parts, as the agent does it (`crate::framing`). Refuses to know formats. Invariant: memory is
//! bounded by the longest line that the agent accepts; a line has the number and the offset of its first part.

use std::io;

use logweir_parsers::cri::{self, Stream};

use super::lines::{Line, Lines};
use crate::framing::{Condenser, FramingSetting, LineFraming, Records};

/// Lines, one after the other.
pub(super) struct FramedLines {
    lines: Lines,
    setting: FramingSetting,
    limit: usize,
    /// Known after the first line.
    framing: Option<LineFraming>,
    /// A line that was read to see that it does not belong to the one before.
    read: Option<OwnedLine>,
    /// The lines of one record.
    bytes: Vec<u8>,
    records: Records,
    stderr: u64,
}

/// A line of the file.
struct OwnedLine {
    number: u64,
    offset: u64,
    bytes: Vec<u8>,
    length: u64,
    ended: bool,
}

impl FramedLines {
    /// The lines of a file; a payload over `limit` bytes is cut.
    pub(super) fn new(lines: Lines, setting: FramingSetting, limit: usize) -> Self {
        Self {
            lines,
            setting,
            limit,
            framing: None,
            read: None,
            bytes: Vec::new(),
            records: Records::default(),
            stderr: 0,
        }
    }

    /// Uncompressed bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.lines.bytes()
    }

    /// What was found out about the framing; `None` for a file whose lines are as nginx wrote them.
    pub(super) fn framing_text(&self) -> Option<String> {
        self.framing.filter(|framing| framing.is_cri())?;
        let stderr = match self.stderr {
            0 => String::new(),
            lines => format!("; {lines} lines of standard error are passed over"),
        };
        Some(format!(
            "framing: {}, read as cri{stderr}\n",
            self.setting.word()
        ))
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let Some(line) = self.next_record()? else {
            return Ok(None);
        };
        let OwnedLine {
            number,
            offset,
            length,
            ended,
            ..
        } = line;
        self.bytes = line.bytes;
        if !self.framing.is_some_and(LineFraming::is_cri) {
            let cut = self.bytes.len().min(self.limit);
            return Ok(Some(Line {
                number,
                offset,
                bytes: &self.bytes[..cut],
                length,
                ended,
                record: None,
            }));
        }
        let taken = self.records.next(&self.bytes, self.limit, false);
        Ok(taken.record.map(|record| Line {
            number,
            offset,
            bytes: record.payload,
            length: length.max(record.payload.len() as u64),
            ended,
            record: Some(record),
        }))
    }

    /// The next line of a raw file; or the lines of the next record with their ends, and the length of its payload.
    fn next_record(&mut self) -> io::Result<Option<OwnedLine>> {
        let mut first = loop {
            let Some(line) = self.next_line()? else {
                return Ok(None);
            };
            let framing = *self
                .framing
                .get_or_insert_with(|| LineFraming::of(self.setting, &line.bytes));
            if !framing.is_cri() {
                return Ok(Some(line));
            }
            match cri::parse(&line.bytes) {
                Some(head) if head.stream == Stream::Stderr => self.stderr += 1,
                _ => break line,
            }
        };
        let Some(head) = cri::parse(&first.bytes) else {
            return Ok(Some(first));
        };
        let head_length = (first.bytes.len() - head.payload.len()) as u64;
        let is_part = head.is_part;
        first.length -= head_length;
        if !is_part {
            return Ok(Some(first));
        }
        let mut condenser = Condenser::new(self.limit);
        first.bytes.push(b'\n');
        condenser.take(&first.bytes);
        while let Some(mut line) = self.next_line()? {
            let Some(head) = cri::parse(&line.bytes) else {
                self.read = Some(line);
                break;
            };
            let (payload, is_last) = (head.payload.len(), !head.is_part);
            first.ended = line.ended;
            if head.stream == Stream::Stderr {
                self.stderr += 1;
                continue;
            }
            first.length += line.length - (line.bytes.len() - payload) as u64;
            line.bytes.push(b'\n');
            condenser.take(&line.bytes);
            if is_last {
                break;
            }
        }
        first.bytes = condenser.kept().to_vec();
        Ok(Some(first))
    }

    fn next_line(&mut self) -> io::Result<Option<OwnedLine>> {
        if let Some(line) = self.read.take() {
            return Ok(Some(line));
        }
        let line = self.lines.next()?;
        Ok(line.map(|line| OwnedLine {
            number: line.number,
            offset: line.offset,
            bytes: line.bytes.to_vec(),
            length: line.length,
            ended: line.ended,
        }))
    }
}
