//! The text of a `log_format`: its grammar, in nom. Splits a format's value into literal text and
//! variables as `ngx_http_log_compile_format` (ngx_http_log_module.c) does, and a directive into its
//! words as `ngx_conf_read_token` (ngx_conf_file.c) does. Knows nothing of what variables mean.

use super::error::{FormatError, FormatProblem};
use crate::escape::Escape;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{char, multispace0};
use nom::combinator::{opt, verify};
use nom::error::{ErrorKind, ParseError as NomError};
use nom::{IResult, Parser};

/// Where the grammar did not fit: only how much text was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    left: usize,
}

impl<'a> NomError<&'a str> for Misfit {
    fn from_error_kind(input: &'a str, _: ErrorKind) -> Self {
        Misfit { left: input.len() }
    }

    fn append(_: &'a str, _: ErrorKind, other: Self) -> Self {
        other
    }
}

type Parsed<'a, T> = IResult<&'a str, T, Misfit>;

/// A part of a format's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Literal(&'a str),
    Variable(&'a str),
}

fn name(input: &str) -> Parsed<'_, &str> {
    take_while1(|c: char| c.is_ascii_alphanumeric() || c == '_').parse(input)
}

/// `$name` or `${name}`
fn variable(input: &str) -> Parsed<'_, &str> {
    let (input, _) = char('$').parse(input)?;
    let (input, brace) = opt(char('{')).parse(input)?;
    let (input, name) = name(input)?;
    if brace.is_none() {
        return Ok((input, name));
    }
    let (input, _) = char('}').parse(input)?;
    Ok((input, name))
}

fn literal(input: &str) -> Parsed<'_, &str> {
    take_while1(|c| c != '$').parse(input)
}

/// Splits a format's value. Each part comes with its byte place.
pub(super) fn pieces(source: &str) -> Result<Vec<(usize, Piece<'_>)>, FormatError> {
    let mut pieces = Vec::new();
    let mut rest = source;
    while !rest.is_empty() {
        let at = source.len() - rest.len();
        let (after, piece) = if rest.starts_with('$') {
            let (after, name) = variable(rest).map_err(|_| {
                let problem = match rest.strip_prefix("${").map(name) {
                    Some(Ok(_)) => FormatProblem::OpenBrace,
                    _ => FormatProblem::NoName,
                };
                FormatError::new(source, at, problem)
            })?;
            (after, Piece::Variable(name))
        } else {
            let (after, text) =
                literal(rest).map_err(|_| FormatError::new(source, at, FormatProblem::NoName))?;
            (after, Piece::Literal(text))
        };
        pieces.push((at, piece));
        rest = after;
    }
    Ok(pieces)
}

/// A word of a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    text: String,
    quote: Option<char>,
}

fn blank(input: &str) -> Parsed<'_, ()> {
    let mut rest = input;
    loop {
        let (after, _) = multispace0(rest)?;
        // A comment reaches to the end of its line.
        let (after, comment) = opt((char('#'), take_while(|c| c != '\n'))).parse(after)?;
        rest = after;
        if comment.is_none() {
            return Ok((rest, ()));
        }
    }
}

fn word(input: &str) -> Parsed<'_, Word> {
    let quote = input.chars().next().filter(|c| matches!(c, '"' | '\''));
    match quote {
        Some(quote) => {
            let (input, _) = char(quote).parse(input)?;
            let end = end_of_word(input, |c| c == quote);
            let (text, rest) = input.split_at(end);
            let (rest, _) = char(quote).parse(rest)?;
            // nginx: unexpected "x" after the quote.
            let fits = rest
                .chars()
                .next()
                .is_none_or(|c| c.is_ascii_whitespace() || c == ';');
            if !fits {
                return Err(nom::Err::Error(Misfit { left: rest.len() }));
            }
            Ok((
                rest,
                Word {
                    text: undo(text),
                    quote: Some(quote),
                },
            ))
        }
        None => {
            let end = end_of_word(input, |c| c.is_ascii_whitespace() || c == ';');
            let (text, rest) = input.split_at(end);
            let (_, text) =
                verify(take_while(|_| true), |text: &str| !text.is_empty()).parse(text)?;
            Ok((
                rest,
                Word {
                    text: undo(text),
                    quote: None,
                },
            ))
        }
    }
}

/// The first place for which `ends` holds and which no `\` hides.
fn end_of_word(input: &str, ends: impl Fn(char) -> bool) -> usize {
    let mut hidden = false;
    for (at, c) in input.char_indices() {
        if hidden {
            hidden = false;
        } else if c == '\\' {
            hidden = true;
        } else if ends(c) {
            return at;
        }
    }
    input.len()
}

/// nginx undoes `\"`, `\'`, `\\`, `\t`, `\r`, `\n`, and leaves any other `\` as it is.
fn undo(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw.chars();
    while let Some(c) = rest.next() {
        let next = rest.clone().next();
        let plain = match (c, next) {
            ('\\', Some(quote @ ('"' | '\'' | '\\'))) => quote,
            ('\\', Some('t')) => '\t',
            ('\\', Some('r')) => '\r',
            ('\\', Some('n')) => '\n',
            _ => {
                text.push(c);
                continue;
            }
        };
        text.push(plain);
        rest.next();
    }
    text
}

/// All words up to the `;` or the end. Nothing may follow the `;`.
fn words(input: &str) -> Parsed<'_, Vec<Word>> {
    let mut words = Vec::new();
    let (mut rest, ()) = blank(input)?;
    while !rest.is_empty() && !rest.starts_with(';') {
        let (after, word) = word(rest)?;
        let (after, ()) = blank(after)?;
        words.push(word);
        rest = after;
    }
    let (rest, _) = opt(char(';')).parse(rest)?;
    let (rest, ()) = blank(rest)?;
    if rest.is_empty() {
        Ok((rest, words))
    } else {
        Err(nom::Err::Error(Misfit { left: rest.len() }))
    }
}

/// The value of a format and its escaping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) value: String,
    pub(super) escape: Option<Escape>,
    /// Whether the text could as well be a bare value, whose own quotes these are.
    pub(super) maybe_bare: bool,
}

/// Reads `log_format name [escape=…] piece…;`. `None` if the text does not begin so.
pub(super) fn directive(text: &str) -> Result<Option<Directive>, FormatError> {
    let Ok((_, rest)) = keyword(text) else {
        return Ok(None);
    };
    let mut words = whole(text, rest)?;
    if words.len() < 2 {
        return Err(FormatError::new(text, text.len(), FormatProblem::NoFormat));
    }
    words.remove(0);
    from_words(text, words).map(Some)
}

/// Reads `[escape=…] 'piece' "piece"…[;]`. `None` if a piece is not quoted.
pub(super) fn quoted(text: &str) -> Result<Option<Directive>, FormatError> {
    let Ok((_, words)) = words(text) else {
        return Ok(None);
    };
    let pieces = match words.split_first() {
        Some((first, rest)) if first.text.starts_with("escape=") => rest,
        _ => &words[..],
    };
    if pieces.is_empty() || pieces.iter().any(|word| word.quote.is_none()) {
        return Ok(None);
    }
    let maybe_bare = words.iter().all(|word| word.quote == Some('"'));
    let directive = from_words(text, words)?;
    Ok(Some(Directive {
        maybe_bare,
        ..directive
    }))
}

fn keyword(text: &str) -> Parsed<'_, &str> {
    let (rest, ()) = blank(text)?;
    let (rest, _) = tag("log_format").parse(rest)?;
    let (after, _) = verify(multispace0, |space: &str| !space.is_empty()).parse(rest)?;
    Ok(("", after))
}

fn whole(text: &str, rest: &str) -> Result<Vec<Word>, FormatError> {
    match words(rest) {
        Ok((_, words)) => Ok(words),
        Err(nom::Err::Error(misfit) | nom::Err::Failure(misfit)) => Err(FormatError::new(
            text,
            text.len() - misfit.left,
            FormatProblem::Words,
        )),
        Err(nom::Err::Incomplete(_)) => {
            Err(FormatError::new(text, text.len(), FormatProblem::Words))
        }
    }
}

fn from_words(text: &str, mut words: Vec<Word>) -> Result<Directive, FormatError> {
    let escape = match words
        .first()
        .and_then(|word| word.text.strip_prefix("escape="))
    {
        None => None,
        Some("default") => Some(Escape::Default),
        Some("json") => Some(Escape::Json),
        Some("none") => Some(Escape::None),
        Some(other) => {
            let at = text.find(other).unwrap_or(0);
            return Err(FormatError::new(text, at, FormatProblem::Escape));
        }
    };
    if escape.is_some() {
        words.remove(0);
    }
    let pieces: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    Ok(Directive {
        value: join(&pieces)?,
        escape,
        maybe_bare: false,
    })
}

/// Joins the pieces of a `log_format` to its value.
///
/// nginx compiles each piece by itself, so a name ends with its piece: `'$host' 'name'` is
/// `${host}name`. Such a name gets its braces.
pub(super) fn join(parts: &[&str]) -> Result<String, FormatError> {
    let mut value = String::new();
    for (index, part) in parts.iter().enumerate() {
        let pieces = pieces(part)?;
        let name_goes_on = parts[index + 1..]
            .iter()
            .find_map(|next| next.chars().next())
            .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        match pieces.last() {
            Some((at, Piece::Variable(name))) if name_goes_on && !part.ends_with('}') => {
                value.push_str(&part[..*at]);
                value.push_str("${");
                value.push_str(name);
                value.push('}');
            }
            _ => value.push_str(part),
        }
    }
    Ok(value)
}
