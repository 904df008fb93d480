//! How the lines of a file make records: each line is one, or a container runtime has framed and split them (CRI).
//!
//! Owns: which lines belong to one record, where a record may end a chunk, and how the framing of a file is decided.
//! Refuses to know: files, positions, and the content of a record. Invariant: the records of a file, their offsets and
//! their content are a pure function of its bytes, wherever reading begins, as long as it begins where a record does.
//! The failure it guards against: a restart in the middle of a record makes two documents of one request, or none.
//!
//! Only standard output makes records. nginx writes its access log there and its error log to standard error, so lines
//! of standard error are passed over. With a single stream records follow each other, and every end of a record is a
//! position at which reading can begin again.
//!
//! A line without a CRI head is a record of its own. It also ends an open record, because it shows that the file was
//! damaged there.

mod condense;
mod pod;
mod records;
#[cfg(test)]
mod tests;

use logweir_parsers::cri::{self, Stream};
use memchr::memrchr;

pub(crate) use condense::{Condenser, RecordEnd, Searched};
pub(crate) use pod::Pod;
pub(crate) use records::{Record, Records, Shape};

/// The setting `framing` of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum FramingSetting {
    /// Each line is a record.
    #[default]
    Raw,
    /// The files are those of a container runtime.
    Cri,
    /// The first line of each file decides.
    Auto,
}

impl FramingSetting {
    /// All settings with their words in the configuration.
    pub(crate) const WORDS: [(&'static str, Self); 3] =
        [("raw", Self::Raw), ("cri", Self::Cri), ("auto", Self::Auto)];

    /// Its word in the configuration.
    pub(crate) fn word(self) -> &'static str {
        let mut words = Self::WORDS.iter();
        words
            .find(|(_, setting)| *setting == self)
            .map_or("", |(word, _)| word)
    }
}

/// The framing of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineFraming {
    /// Each line is a record.
    Raw,
    /// CRI by the setting.
    Cri,
    /// CRI by the first line. A raw log whose first line only looks like CRI must lose nothing, so a line that no
    /// format matches without its head is tried with it.
    LikelyCri,
}

impl LineFraming {
    /// The framing of a log's file that begins with `first_line`: the whole line without its `\n`, or at least its first
    /// [`cri::MAX_HEAD`] bytes.
    ///
    /// `auto` takes it for CRI if it has a CRI head with a time that nginx cannot have written, so that no format that
    /// begins with a time of nginx's own is mistaken.
    pub(crate) fn of(setting: FramingSetting, first_line: &[u8]) -> Self {
        let is_framed =
            || cri::parse(first_line).is_some_and(|line| cri::is_time_of_a_runtime(line.time));
        match setting {
            FramingSetting::Raw => Self::Raw,
            FramingSetting::Cri => Self::Cri,
            FramingSetting::Auto if is_framed() => Self::LikelyCri,
            FramingSetting::Auto => Self::Raw,
        }
    }

    /// Its word, as in the configuration.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Cri | Self::LikelyCri => "cri",
        }
    }

    /// Whether lines have CRI heads.
    pub(crate) fn is_cri(self) -> bool {
        self != Self::Raw
    }
}

/// Whether a line is one of Docker's json-file driver, which is not CRI.
pub(crate) fn is_docker_json(line: &[u8]) -> bool {
    line.starts_with(br#"{"log":""#)
}

/// The meaning of one line for the records of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineKind {
    /// It begins or continues a record that goes on.
    Part,
    /// It is, or ends, a record.
    Last,
    /// It has no head.
    Unframed,
    /// It is of standard error.
    Other,
}

impl LineKind {
    /// The kind of a line, or of at least its first [`cri::MAX_HEAD`] bytes.
    fn of(line: &[u8]) -> Self {
        match cri::parse(line) {
            None => Self::Unframed,
            Some(line) if line.stream == Stream::Stderr => Self::Other,
            Some(line) if line.is_part => Self::Part,
            Some(_) => Self::Last,
        }
    }
}

/// Whether bytes at the start of a line show that it is a part of a record that goes on.
pub(crate) fn begins_with_part(bytes: &[u8], framing: LineFraming) -> bool {
    framing.is_cri() && bytes.len() >= cri::MAX_HEAD && LineKind::of(bytes) == LineKind::Part
}

/// Whether a line that begins so is, or belongs to, a record.
pub(crate) fn is_record(beginning: &[u8], framing: LineFraming) -> bool {
    !framing.is_cri() || LineKind::of(beginning) != LineKind::Other
}

/// The beginning of complete lines that contains whole records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Its length in bytes; after it, all lines belong to one open record.
    pub(crate) bytes: usize,
    /// Whether it contains a record.
    pub(crate) has_record: bool,
}

/// Finds the whole records in complete lines that begin where a record does. If no more lines are expected (`is_last`),
/// the last record counts as whole.
pub(crate) fn closed(lines: &[u8], framing: LineFraming, is_last: bool) -> Closed {
    if !framing.is_cri() {
        return Closed {
            bytes: lines.len(),
            has_record: true,
        };
    }
    let closed = closed_cri(lines);
    match is_last && closed.bytes < lines.len() {
        true => Closed {
            bytes: lines.len(),
            has_record: true,
        },
        false => closed,
    }
}

fn closed_cri(lines: &[u8]) -> Closed {
    let mut open = lines.len();
    let mut end = lines.len();
    while end > 0 {
        let start = memrchr(b'\n', &lines[..end - 1]).map_or(0, |at| at + 1);
        match LineKind::of(&lines[start..end - 1]) {
            LineKind::Part => open = start,
            LineKind::Other => {}
            LineKind::Last | LineKind::Unframed => {
                return Closed {
                    bytes: open,
                    has_record: true,
                };
            }
        }
        end = start;
    }
    Closed {
        bytes: open,
        has_record: false,
    }
}
