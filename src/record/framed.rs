//! Records of lines that a container runtime has framed.
//!
//! Owns what the framing adds to a line: a time for a payload without one, and why a line is incomplete. Refuses to know
//! how parts are joined (`crate::framing`). Invariant: where the payload has a time, the framing changes neither the index
//! nor the id.

use logweir_parsers::cri;
use logweir_parsers::time::Stamp;

use super::{Recorded, Recorder};
use crate::event::{Batch, Framing};
use crate::framing::{LineFraming, Record, Shape};

/// The reason of lines of Docker's json-file driver.
pub(crate) const DOCKER_JSON: &str = "docker_json";

/// A line that was framed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FramedLine<'l> {
    /// Its payload, and what is known about its lines.
    pub(crate) record: Record<'l>,
    /// The framing of its file.
    pub(crate) framing: LineFraming,
    /// No other record is before it in its file, so that its beginning may be in another file.
    pub(crate) is_first: bool,
}

/// What framing says about a line, apart from its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'l> {
    /// The runtime's time; empty without one.
    pub(super) time: &'l [u8],
    /// The line with its head, if it may be a line of a raw log that only looks framed.
    pub(super) whole: Option<&'l [u8]>,
    /// Why the line is no line of an access log, so that it is not parsed.
    pub(super) incomplete: Option<Incomplete>,
    /// If no format matches it, a part of it may be missing.
    pub(super) may_be_partial: bool,
}

impl Frame<'_> {
    /// A line without a frame.
    pub(super) const RAW: Self = Self {
        time: &[],
        whole: None,
        incomplete: None,
        may_be_partial: false,
    };

    /// The runtime's time, if it is readable.
    #[cold]
    #[inline(never)]
    pub(super) fn stamp(&self) -> Option<Stamp> {
        match self.time {
            [] => None,
            time => cri::time(time).filter(Stamp::is_readable),
        }
    }
}

/// Why a line is no line of an access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Incomplete {
    BrokenOff,
    NotCri,
    DockerJson,
}

impl Incomplete {
    /// The name of the reason in metrics.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::BrokenOff => "partial_line",
            Self::NotCri => "not_cri",
            Self::DockerJson => DOCKER_JSON,
        }
    }

    /// The reason in the document.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::BrokenOff => "the file ends, or is damaged, before the last part of this line",
            Self::NotCri => "this line has no CRI head (time, stdout or stderr, P or F)",
            Self::DockerJson => {
                "this line is written by Docker's json-file driver, which is not CRI and is not read"
            }
        }
    }
}

impl<F: Framing> Recorder<F> {
    /// Writes the record of a framed line as one item of `batch`. `offset` is that of its first part.
    pub(crate) fn record_framed(
        &mut self,
        offset: u64,
        line: &FramedLine<'_>,
        batch: &mut Batch,
    ) -> Recorded {
        let FramedLine {
            record,
            framing,
            is_first,
        } = *line;
        let is_likely = framing == LineFraming::LikelyCri;
        let incomplete = match record.shape {
            Shape::Whole => None,
            Shape::BrokenOff => Some(Incomplete::BrokenOff),
            Shape::Unframed => Some(Incomplete::NotCri),
        };
        let frame = Frame {
            time: record.time,
            whole: record.line.filter(|_| is_likely),
            incomplete,
            may_be_partial: match record.shape {
                Shape::Whole => is_first,
                Shape::BrokenOff => true,
                Shape::Unframed => false,
            },
        };
        self.take(offset, record.payload, record.is_cut, &frame, batch)
    }
}
