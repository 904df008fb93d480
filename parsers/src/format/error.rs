//! Errors and warnings of formats, with their messages.

use std::fmt;

/// A format that cannot be compiled: what is wrong, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    source: String,
    offset: usize,
    problem: FormatProblem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FormatProblem {
    NoName,
    OpenBrace,
    NoFormat,
    NoVariable,
    Newline,
    TooMany,
    Words,
    Escape,
    Neighbours { left: String, right: String },
}

/// How much of the format a message shows before the position of the problem.
const CONTEXT: usize = 24;

impl FormatError {
    pub(crate) fn new(source: &str, offset: usize, problem: FormatProblem) -> Self {
        FormatError {
            source: source.to_owned(),
            offset,
            problem,
        }
    }

    /// The byte of [`FormatError::source`] at which the problem is.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The text that was compiled.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn problem(&self) -> &FormatProblem {
        &self.problem
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            FormatProblem::NoName => f.write_str("a `$` without a variable's name")?,
            FormatProblem::OpenBrace => f.write_str("a `${` without its `}`")?,
            FormatProblem::NoFormat => f.write_str("log_format without a name and a format")?,
            FormatProblem::NoVariable => {
                f.write_str("the format has no variable, so its lines would contain no data")?;
            }
            FormatProblem::Newline => {
                f.write_str("the format holds a newline; logs are read line by line")?;
            }
            FormatProblem::TooMany => f.write_str("too many variables or texts")?,
            FormatProblem::Words => {
                f.write_str("not the words of a log_format: a quote is open, or text follows")?;
            }
            FormatProblem::Escape => f.write_str("escape= must be default, json or none")?,
            FormatProblem::Neighbours { left, right } => write!(
                f,
                "${left} and ${right} stand side by side and cannot be told apart, and the format \
                 has no other variable; put a text between them that ${left} cannot hold, such as a \
                 double quote"
            )?,
        }
        write!(f, ", at byte {}", self.offset)?;
        let near = self.near();
        if !near.is_empty() {
            write!(f, ": …{near}…")?;
        }
        Ok(())
    }
}

impl FormatError {
    /// The part of the format around the problem.
    fn near(&self) -> String {
        let end = self.offset.saturating_add(CONTEXT);
        let start = self.offset.saturating_sub(CONTEXT);
        let inside = |at: &(usize, char)| (start..end).contains(&at.0);
        let text: String = self
            .source
            .char_indices()
            .filter(inside)
            .map(|(_, c)| c)
            .collect();
        text.escape_debug().to_string()
    }
}

impl std::error::Error for FormatError {}

/// A format that is readable but ambiguous.
///
/// Either the end of a field must be guessed, because its value can contain the text that follows it; a client that
/// chooses the value can then forge the later fields. Or adjacent variables cannot be separated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatWarning {
    pub(crate) field: String,
    pub(crate) offset: usize,
    pub(crate) ambiguity: Ambiguity,
}

/// The reason why a format is ambiguous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ambiguity {
    /// The end of a value, because the value can contain this text, which follows it.
    End { follows: String },
    /// The end of a list.
    List,
    /// Where one of several variables ends and the next begins.
    Joined,
}

impl FormatWarning {
    /// The variable whose end is uncertain, without `$`; for several adjacent variables, their names joined by `$`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The byte of the format's source at which that variable, or the first of several, begins.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Whether adjacent variables are kept as one text.
    pub fn is_joined(&self) -> bool {
        self.ambiguity == Ambiguity::Joined
    }
}

impl fmt::Display for FormatWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, offset) = (&self.field, self.offset);
        match &self.ambiguity {
            Ambiguity::List => write!(
                f,
                "the list ${field} (at byte {offset}) can be continued by what follows it, so fields can \
                 be forged; write \"${field}\" in double quotes"
            ),
            Ambiguity::End { follows } => write!(
                f,
                "${field} (at byte {offset}) can hold the text `{}` that ends it, so the fields \
                 after it can be forged; write \"${field}\" in double quotes, with escape=default \
                 or escape=json",
                follows.escape_debug()
            ),
            Ambiguity::Joined => write!(
                f,
                "the variables of ${field} (at byte {offset}) stand side by side and cannot be told \
                 apart, so they are kept as one text; put a text between them that the first cannot \
                 hold, such as a double quote"
            ),
        }
    }
}
