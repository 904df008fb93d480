//! Problems of a configuration: origin, key, fault and hint.
//!
//! Owns the texts of all messages. Invariant: all problems are reported at once, each with its line or variable, and no
//! message shows a secret.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logweir_parsers::FormatError;

use super::index_pattern::IndexPatternError;
use super::settings::Section;

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// In the configuration file.
    File {
        /// The file.
        path: Arc<Path>,
        /// Its line, from 1; 0 for the file as a whole.
        line: usize,
    },
    /// In the environment.
    Variable(String),
    /// No origin: the value is missing.
    Nowhere,
}

impl Origin {
    /// The file or variable, and the line where there is one.
    pub(crate) fn place(&self) -> (Option<String>, Option<usize>) {
        match self {
            Origin::File { path, line } => (
                Some(path.display().to_string()),
                Some(*line).filter(|line| *line > 0),
            ),
            Origin::Variable(name) => (Some(format!("environment {name}")), None),
            Origin::Nowhere => (None, None),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line: 0 } => write!(f, "{}", path.display()),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Variable(name) => write!(f, "environment {name}"),
            Origin::Nowhere => f.write_str("configuration"),
        }
    }
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The origin.
    pub origin: Origin,
    /// The key; empty if no single key is concerned.
    pub key: String,
    /// The fault.
    pub fault: Fault,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        self.fault.fmt(f)
    }
}

/// The kinds of faults.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Fault {
    /// Not TOML.
    Syntax(String),
    /// A key that no setting has.
    UnknownKey {
        /// The whole key of a setting that may be meant.
        suggestion: Option<String>,
    },
    /// A section that does not exist.
    UnknownSection {
        /// A section that may be meant.
        suggestion: Option<String>,
    },
    /// `[logs]` where `[[logs]]` is meant, or the other way round.
    WrongSection {
        /// How the section must begin.
        header: &'static str,
    },
    /// A `LOGWEIR_…` variable that no setting has.
    UnknownVariable {
        /// A variable that may be meant.
        suggestion: Option<String>,
    },
    /// A value of another type.
    WrongType {
        /// What it must be.
        expected: String,
        /// What it is.
        found: &'static str,
    },
    /// A value that cannot be read.
    BadValue {
        /// The value; None for a secret.
        value: Option<String>,
        /// The mistake and the hint.
        why: String,
    },
    /// A number, size or time outside its bounds.
    OutOfRange {
        /// The value.
        value: String,
        /// The least.
        least: String,
        /// The most.
        most: String,
    },
    /// Two settings that exclude each other.
    Conflict {
        /// The other one, with its origin.
        other: String,
        /// What to change.
        hint: &'static str,
    },
    /// A setting that must be there.
    Missing {
        /// What to write.
        hint: &'static str,
    },
    /// A file that cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A format that cannot be compiled.
    Format(Box<FormatError>),
    /// An index name that cannot be used.
    Index {
        /// The pattern.
        pattern: String,
        /// The reason.
        error: IndexPatternError,
    },
}

/// The columns of a format shown around the byte an error points to.
const FORMAT_COLUMNS: usize = 72;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let did_you_mean =
            |f: &mut fmt::Formatter<'_>, suggestion: &Option<String>| match suggestion {
                Some(suggestion) => write!(f, "; did you mean {suggestion}?"),
                None => Ok(()),
            };
        match self {
            Fault::Syntax(message) => f.write_str(message),
            Fault::UnknownKey { suggestion } => {
                f.write_str("unknown key")?;
                did_you_mean(f, suggestion)
            }
            Fault::UnknownSection { suggestion } => {
                f.write_str("unknown section")?;
                if suggestion.is_none() {
                    let headers: Vec<&str> = Section::ALL[1..]
                        .iter()
                        .map(|section| section.header())
                        .collect();
                    write!(f, "; there are {}", headers.join(", "))?;
                }
                did_you_mean(f, suggestion)
            }
            Fault::WrongSection { header } => write!(f, "write this section as {header}"),
            Fault::UnknownVariable { suggestion } => {
                f.write_str("unknown variable")?;
                did_you_mean(f, suggestion)
            }
            Fault::WrongType { expected, found } => write!(f, "expected {expected}, found {found}"),
            Fault::BadValue {
                value: Some(value),
                why,
            } => write!(f, "{value:?}: {why}"),
            Fault::BadValue { value: None, why } => f.write_str(why),
            Fault::OutOfRange { value, least, most } => {
                write!(f, "{value} is out of range; write {least} to {most}")
            }
            Fault::Conflict { other, hint } => write!(f, "conflicts with {other}; {hint}"),
            Fault::Missing { hint } => write!(f, "missing; {hint}"),
            Fault::Unreadable { path, reason } => {
                write!(f, "cannot read {}: {reason}", path.display())
            }
            Fault::Format(error) => {
                write!(f, "{error}")?;
                caret(f, error.source(), error.offset())
            }
            Fault::Index { pattern, error } => write!(f, "{pattern:?}: {error}"),
        }
    }
}

/// The format on a line of its own and a caret under the byte.
fn caret(f: &mut fmt::Formatter<'_>, source: &str, offset: usize) -> fmt::Result {
    let before: Vec<char> = source
        .char_indices()
        .filter(|(at, _)| *at < offset)
        .map(|(_, c)| c)
        .collect();
    let from = before.len().saturating_sub(FORMAT_COLUMNS / 2);
    let (lead, column) = if from > 0 {
        ("…", before.len() - from + 1)
    } else {
        ("", before.len())
    };
    let shown: String = source
        .chars()
        .skip(from)
        .take(FORMAT_COLUMNS)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    write!(f, "\n    {lead}{shown}\n    {:column$}^", "")
}

/// All problems of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "the configuration has {count} {noun}")?;
        for problem in &self.0 {
            write!(f, "\n  {}", problem.to_string().replace('\n', "\n  "))?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// The most similar entry of `known`, if it is similar enough.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    /// Below this, a suggestion misleads more often than it helps.
    const NEAR: f64 = 0.84;
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(word, known), known))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
