//! Takes the records of a chunk one after the other.
//!
//! Owns the joining of parts, and the cut at the limit. Refuses to know where the chunk comes from. Invariant: a record
//! in one line is borrowed from the chunk; a joined record takes no more memory than the limit and one byte.

use logweir_parsers::cri::{self, Stream};
use memchr::memchr;

/// What is known about the lines of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All parts are there.
    Whole,
    /// The file ends, or was damaged, before the last part.
    BrokenOff,
    /// A line without a CRI head.
    Unframed,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'b> {
    /// What the container wrote, at most as many bytes as the limit.
    pub(crate) payload: &'b [u8],
    /// The line with its head, if it is the only one and within the limit.
    pub(crate) line: Option<&'b [u8]>,
    /// The runtime's time of the first line; empty without a head.
    pub(crate) time: &'b [u8],
    /// The payload was longer than the limit.
    pub(crate) is_cut: bool,
    pub(crate) shape: Shape,
}

/// The next lines of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken<'b> {
    /// Their length in bytes.
    pub(crate) width: usize,
    /// How many of them are lines of standard error.
    pub(crate) passed_over: u64,
    /// Their record; `None` if all are lines of standard error.
    pub(crate) record: Option<Record<'b>>,
}

/// Takes records; its buffer is reused.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(super) joined: Vec<u8>,
}

impl Records {
    /// Takes the lines of the first record in `bytes`, which begin where a record does. The last line may be the
    /// beginning of one that is longer than the limit and a head (`is_beginning`). A payload of more than `limit` bytes is
    /// cut.
    pub(crate) fn next<'b>(
        &'b mut self,
        bytes: &'b [u8],
        limit: usize,
        is_beginning: bool,
    ) -> Taken<'b> {
        let (line, width) = first_line(bytes);
        let alone = |record: Option<Record<'b>>| Taken {
            width,
            passed_over: u64::from(record.is_none()),
            record,
        };
        let Some(head) = cri::parse(line) else {
            return alone(Some(single(
                line,
                line,
                &[],
                limit,
                is_beginning,
                Shape::Unframed,
            )));
        };
        match (head.stream, head.is_part) {
            (Stream::Stderr, _) => alone(None),
            (Stream::Stdout, false) => alone(Some(single(
                head.payload,
                line,
                head.time,
                limit,
                is_beginning,
                Shape::Whole,
            ))),
            (Stream::Stdout, true) => self.join(bytes, limit),
        }
    }

    /// Joins the parts that `bytes` begin with.
    fn join<'b>(&'b mut self, bytes: &'b [u8], limit: usize) -> Taken<'b> {
        self.joined.clear();
        let mut time: &[u8] = &[];
        let (mut taken, mut passed_over) = (0, 0);
        let mut shape = Shape::BrokenOff;
        while taken < bytes.len() {
            let (line, width) = first_line(&bytes[taken..]);
            let Some(head) = cri::parse(line) else {
                break;
            };
            taken += width;
            if head.stream == Stream::Stderr {
                passed_over += 1;
                continue;
            }
            if time.is_empty() {
                time = head.time;
            }
            // One byte more than the limit shows that the record is longer.
            let room = (limit + 1).saturating_sub(self.joined.len());
            let part = &head.payload[..head.payload.len().min(room)];
            self.joined.extend_from_slice(part);
            if !head.is_part {
                shape = Shape::Whole;
                break;
            }
        }
        let payload = &self.joined[..self.joined.len().min(limit)];
        Taken {
            width: taken,
            passed_over,
            record: Some(Record {
                payload,
                line: None,
                time,
                is_cut: self.joined.len() > limit,
                shape,
            }),
        }
    }
}

/// The record of one line.
fn single<'b>(
    payload: &'b [u8],
    line: &'b [u8],
    time: &'b [u8],
    limit: usize,
    is_beginning: bool,
    shape: Shape,
) -> Record<'b> {
    Record {
        payload: &payload[..payload.len().min(limit)],
        line: (line.len() <= limit && !is_beginning).then_some(line),
        time,
        is_cut: is_beginning || payload.len() > limit,
        shape,
    }
}

/// The first line without its `\n`, and its length with it.
fn first_line(bytes: &[u8]) -> (&[u8], usize) {
    match memchr(b'\n', bytes) {
        Some(end) => (&bytes[..end], end + 1),
        None => (bytes, bytes.len()),
    }
}
