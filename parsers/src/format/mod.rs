//! nginx's `log_format`, compiled once.
//!
//! A format is compiled to a sequence of literal texts and fields ([`crate::line`] runs it). Each
//! variable has a [`Grammar`]: which bytes its value holds. From these the compiler proves where each
//! field ends. Three outcomes:
//!
//! - *Certain*: the value cannot hold what follows it, or what follows has a known length up to a byte
//!   that the value cannot hold. So a user name with spaces or `[` in it cannot forge the rest of a
//!   `combined` line, and `$scheme://$host$request_uri` needs nothing in between.
//! - *Guessed*, with a [`FormatWarning`]: a text follows, but the value can hold it too
//!   (`$http_x_a $http_x_b`, or any client's text under `escape=none`). The line is read by trying the
//!   places of that text; a client can forge the later fields.
//! - *Refused*, with a [`FormatError`]: two fields stand side by side and cannot be told apart.
//!
//! As in nginx (ngx_http_log_module.c, `ngx_http_log_compile_format`) every variable is accepted, names
//! are looked up without regard to case, and a variable may occur several times: it then is several
//! fields. A `$` cannot be written literally.

mod compile;
mod error;
mod grammar;
mod source;

pub use error::{FormatError, FormatWarning};
pub use grammar::Grammar;

pub(crate) use compile::{Literal, Reading, Scan, Step};
pub(crate) use grammar::Fixed;

use crate::error::{Explained, ParseError};
use crate::escape::Escape;
use std::fmt::Display;
use std::sync::Arc;

/// The value of nginx's predefined format `combined` (ngx_http_log_module.c,
/// `ngx_http_combined_fmt`).
const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status \
                        $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";

/// A compiled `log_format`. Cloning it is cheap: the parts are shared.
#[derive(Clone, Debug)]
pub struct Format {
    pub(crate) program: Arc<Program>,
}

/// What a format was compiled to.
#[derive(Debug)]
pub(crate) struct Program {
    source: String,
    pub(crate) escape: Escape,
    pub(crate) fields: Vec<Field>,
    warnings: Vec<FormatWarning>,
    pub(crate) steps: Vec<Step>,
    pub(crate) literals: Vec<Literal>,
    /// Per byte, a bit for each set of bytes that a step scans for.
    pub(crate) classes: Box<[u64; 256]>,
}

/// One variable of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    name: String,
    grammar: Grammar,
}

/// A part of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'f> {
    /// A text that stands in every line.
    Text(&'f str),
    /// A variable, by its place in [`Format::fields`].
    Field(usize),
}

impl Field {
    /// The variable's name without `$`, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its values look like.
    pub fn grammar(&self) -> Grammar {
        self.grammar
    }
}

impl Format {
    /// Compiles a format's value, its pieces already joined and its quotes undone.
    ///
    /// # Errors
    ///
    /// A `$` without a name, a `${` without `}`, no variable at all, a newline, or two fields side by
    /// side that cannot be told apart.
    ///
    /// ```
    /// use logweir_parsers::{Escape, Format};
    /// let format = Format::compile("$scheme://$host$request_uri $status", Escape::Default)?;
    /// assert_eq!(format.fields().len(), 4);
    /// assert!(Format::compile("$http_a$http_b", Escape::Default).is_err());
    /// # Ok::<(), logweir_parsers::FormatError>(())
    /// ```
    pub fn compile(source: &str, escape: Escape) -> Result<Format, FormatError> {
        let program = compile::compile(source, escape)?;
        Ok(Format {
            program: Arc::new(program),
        })
    }

    /// Compiles a format as it is pasted from nginx.conf: the whole directive
    /// (`log_format main escape=json '…' "…";`), only its quoted pieces, or the bare value.
    ///
    /// Quotes and backslashes are undone as nginx's own reader does (ngx_conf_file.c,
    /// `ngx_conf_read_token`). A bare value of words in double quotes, such as `"$a" "$b"`, is taken as
    /// pieces if these compile, else as it stands. `default_escape` holds where the text has no
    /// `escape=`.
    ///
    /// # Errors
    ///
    /// As for [`Format::compile`]; besides, an open quote, text after the `;`, an unknown `escape=`.
    ///
    /// ```
    /// use logweir_parsers::{Escape, Format};
    /// let text = "log_format main escape=json '{\"a\":\"$remote_addr\",'\n '\"s\":$status}';";
    /// let format = Format::from_directive(text, Escape::Default)?;
    /// assert_eq!(format.escape(), Escape::Json);
    /// assert_eq!(format.source(), r#"{"a":"$remote_addr","s":$status}"#);
    /// # Ok::<(), logweir_parsers::FormatError>(())
    /// ```
    pub fn from_directive(text: &str, default_escape: Escape) -> Result<Format, FormatError> {
        if let Some(directive) = source::directive(text)? {
            let escape = directive.escape.unwrap_or(default_escape);
            return Format::compile(&directive.value, escape);
        }
        let bare = || Format::compile(text.trim_matches(['\r', '\n']), default_escape);
        match source::quoted(text)? {
            None => bare(),
            Some(pieces) => {
                let escape = pieces.escape.unwrap_or(default_escape);
                Format::compile(&pieces.value, escape).or_else(|error| {
                    if pieces.maybe_bare {
                        bare().map_err(|_| error)
                    } else {
                        Err(error)
                    }
                })
            }
        }
    }

    /// Joins the pieces of a `log_format` directive, quotes already undone, to its value.
    ///
    /// nginx compiles each piece by itself, so a variable's name ends with its piece; such a name is
    /// given braces: `$host` and `name` become `${host}name`.
    ///
    /// # Errors
    ///
    /// A `$` without a name or a `${` without `}` in a piece.
    pub fn join_pieces(pieces: &[&str]) -> Result<String, FormatError> {
        source::join(pieces)
    }

    /// nginx's predefined format `combined`.
    pub fn combined() -> Format {
        match Format::compile(COMBINED, Escape::Default) {
            Ok(format) => format,
            // A constant that a test compiles.
            Err(_) => unreachable!("combined compiles"),
        }
    }

    /// The value that was compiled.
    pub fn source(&self) -> &str {
        &self.program.source
    }

    /// The escaping it was compiled for.
    pub fn escape(&self) -> Escape {
        self.program.escape
    }

    /// The variables, in the order of the line; a repeated variable occurs again.
    pub fn fields(&self) -> &[Field] {
        &self.program.fields
    }

    /// Which fields' ends must be guessed, so that lines can be forged. Empty for a safe format.
    pub fn warnings(&self) -> &[FormatWarning] {
        &self.program.warnings
    }

    /// Makes a sentence of an error of this format: `expected a status of three digits for $status at
    /// byte 57, found 'x'`.
    pub fn explain(&self, error: &ParseError) -> impl Display {
        Explained::new(self, *error)
    }

    /// The literal text with this number.
    pub(crate) fn literal(&self, index: u16) -> Option<&[u8]> {
        self.program
            .literals
            .get(usize::from(index))
            .map(|literal| literal.bytes())
    }

    /// The texts and variables, in the order of the line.
    pub fn parts(&self) -> Vec<Part<'_>> {
        let text = |index| {
            self.literal(index)
                .and_then(|text| str::from_utf8(text).ok())
        };
        let part = |step: &Step| match step {
            Step::Literal(index) => Part::Text(text(*index).unwrap_or_default()),
            Step::Fixed { field, .. }
            | Step::Run { field, .. }
            | Step::List { field, .. }
            | Step::Guess { field, .. } => Part::Field(usize::from(*field)),
        };
        self.program.steps.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests;
