//! Errors of a configuration, and their messages.
//!
//! A problem is anything for which nginx would refuse to start (or that this agent could not read although nginx can).
//! The messages are close to nginx's own, which operators know.

use std::fmt;

use super::ConfPosition;
use super::token::Flaw;
use crate::FormatError;

/// An error and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The position.
    pub position: ConfPosition,
    /// The error.
    pub wrong: Wrong,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.wrong)
    }
}

/// The kinds of problems.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wrong {
    /// A file, or the folder of a pattern, cannot be read.
    Unreadable {
        /// The file or pattern.
        path: String,
        /// The reason, as the system reports it.
        reason: String,
    },
    /// A file includes itself, perhaps through others.
    Cycle {
        /// The file.
        path: String,
    },
    /// Includes that are nested too deeply.
    TooDeep,
    /// More files or bytes than any real configuration has.
    TooMuch,
    /// The file ends within a directive.
    UnexpectedEnd,
    /// The file ends within a string.
    UnclosedQuote {
        /// The quote that began it.
        quote: char,
    },
    /// The file ends within a block.
    UnclosedBlock {
        /// The block's directive.
        name: String,
    },
    /// A byte that is not allowed here.
    Unexpected {
        /// The byte.
        byte: u8,
    },
    /// A directive in a block where nginx does not allow it.
    NotAllowed {
        /// The directive.
        directive: &'static str,
    },
    /// Too few or too many arguments.
    Arguments {
        /// The directive.
        directive: &'static str,
    },
    /// An invalid argument.
    BadParameter {
        /// The directive.
        directive: &'static str,
        /// The argument.
        parameter: String,
    },
    /// `access_log` names a format that no earlier `log_format` defines.
    UnknownFormat {
        /// The name.
        name: String,
    },
    /// A second `log_format` with the same name, or one called `combined`.
    DuplicateFormat {
        /// The name.
        name: String,
    },
    /// A `log_format` that nginx refuses.
    BadFormat {
        /// Its name.
        name: String,
        /// The reason, and its position in which piece.
        error: FormatError,
    },
    /// A path or format that is not UTF-8.
    NotUtf8 {
        /// The directive.
        directive: &'static str,
    },
}

impl From<Flaw> for Wrong {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::End => Wrong::UnexpectedEnd,
            Flaw::Quote(quote) => Wrong::UnclosedQuote {
                quote: char::from(quote),
            },
            Flaw::Unexpected(byte) => Wrong::Unexpected { byte },
            Flaw::Lua => Wrong::UnclosedBlock {
                name: "…_by_lua_block".to_owned(),
            },
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Unreadable { path, reason } => write!(f, "cannot read {path}: {reason}"),
            Wrong::Cycle { path } => write!(f, "{path} includes itself"),
            Wrong::TooDeep => f.write_str("includes are nested too deeply; the rest is left out"),
            Wrong::TooMuch => f.write_str("too many or too large includes; the rest is left out"),
            Wrong::UnexpectedEnd => f.write_str("unexpected end of file, expecting \";\" or \"}\""),
            Wrong::UnclosedQuote { quote } => {
                write!(f, "the string that begins here has no closing {quote}")
            }
            Wrong::UnclosedBlock { name } => {
                write!(
                    f,
                    "the block \"{name}\" that begins here has no closing \"}}\""
                )
            }
            Wrong::Unexpected { byte } => write!(f, "unexpected \"{}\"", byte.escape_ascii()),
            Wrong::NotAllowed { directive } => {
                write!(f, "\"{directive}\" directive is not allowed here")
            }
            Wrong::Arguments { directive } => {
                write!(
                    f,
                    "invalid number of arguments in \"{directive}\" directive"
                )
            }
            Wrong::BadParameter {
                directive,
                parameter,
            } => {
                write!(
                    f,
                    "invalid parameter \"{parameter}\" in \"{directive}\" directive"
                )
            }
            Wrong::UnknownFormat { name } if name.contains('=') => {
                write!(
                    f,
                    "unknown log format \"{name}\"; a format's name comes before the options"
                )
            }
            Wrong::UnknownFormat { name } => write!(
                f,
                "unknown log format \"{name}\"; define it with log_format before this line"
            ),
            Wrong::DuplicateFormat { name } => {
                write!(f, "duplicate \"log_format\" name \"{name}\"")
            }
            Wrong::BadFormat { name, error } => {
                write!(f, "log_format {name} cannot be used: {error}")
            }
            Wrong::NotUtf8 { directive } => {
                write!(
                    f,
                    "an argument of \"{directive}\" is not UTF-8 and cannot be used"
                )
            }
        }
    }
}
