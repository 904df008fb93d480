//! Errors of lines that do not match their format. The value is small and `Copy`, because it is created on the hot path
//! and often discarded (a log has several formats, tried in order). This module owns all message texts.

use crate::format::{Format, Grammar};
use std::fmt;

/// A line that does not match: what was expected at which byte, and which byte was found.
///
/// If a format was tried in several ways, this is the failure farthest to the right. [`Format::explain`] turns it into
/// a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The field that was read, or after which the text was expected; an index into
    /// [`Format::fields`]. `None` before the first field.
    pub field: Option<u16>,
    /// The byte of the line at which it stops matching, from 0.
    pub offset: u32,
    /// What the format expects there.
    pub expected: Expected,
    /// The byte that was found; `None` at the end of the line.
    pub found: Option<u8>,
}

/// What a format expects at a position of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A value of this grammar.
    Value(Grammar),
    /// The literal text with this number among the format's literal texts.
    Literal(u16),
    /// The end of the line.
    EndOfLine,
    /// A line of less than 4 GiB.
    ShortLine,
    /// A line for which all possible ends of its fields can be tried within the limit of effort.
    LessEffort,
}

impl ParseError {
    /// A label for metrics, one of a few: `number`, `time`, `literal`, `end_of_line`, …
    pub fn reason(&self) -> &'static str {
        match self.expected {
            Expected::Value(grammar) => grammar.reason(),
            Expected::Literal(_) => "literal",
            Expected::EndOfLine => "end_of_line",
            Expected::ShortLine => "too_long",
            Expected::LessEffort => "too_ambiguous",
        }
    }
}

/// A [`ParseError`] with the names from its format; made by [`Format::explain`].
#[derive(Clone, Copy, Debug)]
pub struct Explained<'a> {
    format: &'a Format,
    error: ParseError,
}

impl<'a> Explained<'a> {
    pub(crate) fn new(format: &'a Format, error: ParseError) -> Self {
        Explained { format, error }
    }
}

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self
            .error
            .field
            .and_then(|index| self.format.fields().get(usize::from(index)));
        match self.error.expected {
            Expected::Value(grammar) => {
                write!(f, "expected {}", grammar.describe())?;
                if let Some(field) = name {
                    write!(f, " for ${}", field.name())?;
                }
            }
            Expected::Literal(index) => {
                let text = self.format.literal(index).unwrap_or_default();
                write!(f, "expected the text {}", Quoted(text))?;
                if let Some(field) = name {
                    write!(f, " after ${}", field.name())?;
                }
            }
            Expected::EndOfLine => {
                f.write_str("expected the end of the line")?;
                if let Some(field) = name {
                    write!(f, " after ${}", field.name())?;
                }
            }
            Expected::ShortLine => return f.write_str("the line is longer than 4 GiB"),
            Expected::LessEffort => {
                return f.write_str(
                    "gave up: too many places where an unquoted field could end; \
                     put that field in double quotes in the log_format",
                );
            }
        }
        write!(f, " at byte {}, found ", self.error.offset)?;
        match self.error.found {
            Some(byte) => write!(f, "'{}'", byte.escape_ascii()),
            None => f.write_str("the end of the line"),
        }
    }
}

/// Literal text of a format in a message, between backquotes so that its spaces are visible.
struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", String::from_utf8_lossy(self.0).escape_debug())
    }
}
