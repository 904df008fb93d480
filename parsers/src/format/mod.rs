//! nginx's `log_format`, compiled once.
//!
//! A format is compiled to a sequence of literal texts and fields ([`crate::line`] runs it). Each variable has a
//! [`Grammar`] that lists the bytes of its values. From these the compiler proves where each field ends. The outcomes:
//!
//! - *Certain*: the value cannot contain the text that follows it, or that text has a known length up to a byte
//!   that the value cannot contain. So a user name with spaces or `[` in it cannot forge the rest of a
//!   `combined` line, and `$scheme://$host$request_uri` needs no separators.
//! - *Guessed*, with a [`FormatWarning`]: a text follows, but the value can contain it too
//!   (`$http_x_a $http_x_b`, or any client's text under `escape=none`). The reader tries each
//!   occurrence of that text; a client can forge the later fields.
//! - *Joined*: adjacent variables cannot be separated. They are read as one text, which is
//!   split where the grammars allow it (`$http_host$request_uri` at the first `/`, `$uri$is_args$args` at the
//!   first `?`). A text that is not split is the value of a field named after all of them, joined by `$`; the
//!   variables then have no value. If no line could be split, there is a [`FormatWarning`], and the
//!   variables are not fields. A format without other fields is refused with a [`FormatError`].
//!
//! As in nginx (ngx_http_log_module.c, `ngx_http_log_compile_format`), every variable is accepted, case does not matter
//! in names, and a variable may occur several times; each occurrence is a field. A `$` cannot be written literally.

mod compile;
mod error;
mod grammar;
mod joined;
mod proof;
pub(crate) mod source;

pub use error::{FormatError, FormatWarning};
pub use grammar::Grammar;

pub(crate) use compile::{Literal, Reading, Scan, Step};
pub(crate) use grammar::Fixed;
pub(crate) use joined::Joined;

use crate::error::{Explained, ParseError};
use crate::escape::Escape;
use source::DirectiveText;
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

/// The result of compiling a format.
#[derive(Debug)]
pub(crate) struct Program {
    source: String,
    pub(crate) escape: Escape,
    pub(crate) fields: Vec<Field>,
    warnings: Vec<FormatWarning>,
    pub(crate) steps: Vec<Step>,
    pub(crate) literals: Vec<Literal>,
    /// How many `"` the format itself puts into a line.
    pub(crate) quotes: usize,
    /// Texts of several variables, to be split after a line is read.
    pub(crate) joined: Vec<Joined>,
    /// Per byte, a bit for each set of bytes that a step scans for.
    pub(crate) classes: Box<[u64; 256]>,
}

/// One variable of a format, or several that are read as one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    name: String,
    grammar: Grammar,
}

/// A part of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'f> {
    /// A literal text in every line.
    Text(&'f str),
    /// A variable, as an index into [`Format::fields`].
    Field(usize),
}

impl Field {
    /// The variable's name without `$`, in lower case, or the names of several variables joined by `$`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The form of its values.
    pub fn grammar(&self) -> Grammar {
        self.grammar
    }
}

impl Format {
    /// Compiles a format's value, after its pieces are joined and its quotes removed.
    ///
    /// # Errors
    ///
    /// A `$` without a name, a `${` without `}`, no variable at all, a newline, or no variables other than adjacent
    /// ones that cannot be separated.
    ///
    /// ```
    /// use logweir_parsers::{Escape, Format};
    /// let format = Format::compile("$scheme://$host$request_uri $status", Escape::Default)?;
    /// assert_eq!(format.fields().len(), 4);
    /// assert!(Format::compile("$http_a$http_b", Escape::Default).is_err());
    /// # Ok::<(), logweir_parsers::FormatError>(())
    /// ```
    pub fn compile(source: &str, escape: Escape) -> Result<Format, FormatError> {
        compile::compile(source, escape).map(Format::new)
    }

    fn new(program: Program) -> Format {
        Format {
            program: Arc::new(program),
        }
    }

    /// Compiles a format as it is pasted from nginx.conf: the whole directive
    /// (`log_format main escape=json '…' "…";`), only its quoted pieces, or the bare value.
    ///
    /// Quotes and backslashes are undone as nginx's own reader does (ngx_conf_file.c, `ngx_conf_read_token`). A bare
    /// value of words in double quotes, such as `"$a" "$b"`, has two readings. It is read as pieces if these compile
    /// with all variables separated, else as a bare value if that does, else by the reading that separates more of
    /// them. `default_escape` applies if the text has no `escape=`.
    ///
    /// # Errors
    ///
    /// As for [`Format::compile`]; also an open quote, text after the `;`, and an unknown `escape=`.
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
        let bare = text.trim_matches(['\r', '\n']);
        let directive = match source::directive(text)? {
            DirectiveText::Bare => return Format::compile(bare, default_escape),
            DirectiveText::Directive(directive) => directive,
            DirectiveText::Either(directive) => {
                let escape = directive.escape.unwrap_or(default_escape);
                let ways = [(directive.value.as_str(), escape), (bare, default_escape)];
                let apart =
                    |(text, escape): (&str, Escape)| compile::compile_apart(text, escape).ok();
                if let Some(program) = ways.into_iter().find_map(apart) {
                    return Ok(Format::new(program));
                }
                let ways = ways.map(|(text, escape)| Format::compile(text, escape));
                let keeps_apart =
                    |format: &Format| !format.warnings().iter().any(FormatWarning::is_joined);
                let [pieces, bare] = ways;
                return match (pieces, bare) {
                    (Ok(pieces), Ok(bare)) if !keeps_apart(&pieces) && keeps_apart(&bare) => {
                        Ok(bare)
                    }
                    (Err(_), Ok(bare)) => Ok(bare),
                    (pieces, _) => pieces,
                };
            }
        };
        let escape = directive.escape.unwrap_or(default_escape);
        Format::compile(&directive.value, escape)
    }

    /// nginx's predefined format `combined`.
    pub fn combined() -> Format {
        match Format::compile(COMBINED, Escape::Default) {
            Ok(format) => format,
            // A test compiles this constant.
            Err(_) => unreachable!("combined compiles"),
        }
    }

    /// The value that was compiled.
    pub fn source(&self) -> &str {
        &self.program.source
    }

    /// The escaping of the lines.
    pub fn escape(&self) -> Escape {
        self.program.escape
    }

    /// The variables, in the order of the line; a repeated variable occurs again.
    pub fn fields(&self) -> &[Field] {
        &self.program.fields
    }

    /// Which fields have ends that must be guessed, so that lines can be forged, and which variables cannot be
    /// separated. Empty for a safe format.
    pub fn warnings(&self) -> &[FormatWarning] {
        &self.program.warnings
    }

    /// How much of a line the format prescribes: its own letters and digits, and the minimum bytes of values with a
    /// distinctive form, such as times and numbers. If two formats match a line, the one that prescribes more is the
    /// better match.
    pub fn prescribes(&self) -> usize {
        self.letters() + self.shapes().sum::<usize>()
    }

    /// Whether the format matches nearly any line: no value has a distinctive form, and the text between them has few
    /// letters. A match with such a format is no evidence that the line was written with it.
    pub fn takes_anything(&self) -> bool {
        /// The shortest word that identifies a log has more letters.
        const FEW: usize = 4;
        self.letters() < FEW && self.shapes().next().is_none()
    }

    /// The minimum bytes of each value with a distinctive form. A value that is split from a text of several has none,
    /// because a text that cannot be split is accepted too.
    fn shapes(&self) -> impl Iterator<Item = usize> {
        let cuts = || {
            let joined = self.program.joined.iter();
            joined.filter_map(|joined| joined.cuts.as_ref())
        };
        let is_cut = move |at: usize| {
            let mut fields = cuts().flat_map(|cuts| cuts.fields());
            fields.any(|field| usize::from(field) == at)
        };
        let fields = self.fields().iter().enumerate();
        let whole = fields.filter(move |(at, _)| !is_cut(*at));
        whole.filter_map(|(_, field)| field.grammar().shape())
    }

    /// The letters and digits of the format's literal texts.
    fn letters(&self) -> usize {
        let bytes = self
            .program
            .literals
            .iter()
            .flat_map(|literal| literal.bytes());
        bytes.filter(|byte| byte.is_ascii_alphanumeric()).count()
    }

    /// Turns an error of this format into a sentence: `expected a status of three digits for $status at byte 57, found
    /// 'x'`.
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
            | Step::Seconds { field }
            | Step::List { field, .. }
            | Step::Guess { field, .. } => Part::Field(usize::from(*field)),
        };
        self.program.steps.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests;
