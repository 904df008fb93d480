//! What can be wrong with a configuration, and the words for it.
//!
//! A problem is what nginx would refuse to start with (or what this agent could not read, where nginx
//! can): the words keep close to nginx's own, which operators know.

use std::fmt;

use super::ConfPosition;
use super::token::Flaw;
use crate::FormatError;

/// Something wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line.
    pub place: ConfPosition,
    /// What it is.
    pub wrong: Wrong,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.wrong)
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
        /// Why, in the words of the system.
        reason: String,
    },
    /// A file includes itself, perhaps through others.
    Cycle {
        /// The file.
        path: String,
    },
    /// Includes within includes beyond any use.
    TooDeep,
    /// More files or bytes than a configuration has.
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
    /// A byte that may not stand there.
    Unexpected {
        /// The byte.
        byte: u8,
    },
    /// A directive in a block where nginx does not take it.
    NotAllowed {
        /// The directive.
        directive: &'static str,
    },
    /// Too few or too many arguments.
    Arguments {
        /// The directive.
        directive: &'static str,
    },
    /// An argument with no meaning.
    BadParameter {
        /// The directive.
        directive: &'static str,
        /// The argument.
        parameter: String,
    },
    /// `access_log` names a format that no `log_format` before it defines.
    UnknownFormat {
        /// The name.
        name: String,
    },
    /// A second `log_format` of one name, or one called `combined`.
    DuplicateFormat {
        /// The name.
        name: String,
    },
    /// A `log_format` that nginx refuses.
    BadFormat {
        /// Its name.
        name: String,
        /// Why, and at which place of which piece.
        error: FormatError,
    },
    /// A path or format which is not UTF-8.
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
