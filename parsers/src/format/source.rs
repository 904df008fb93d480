//! Parses the text of a `log_format` with nom. Splits a format's value into literal text and variables, and builds that
//! value from a directive's pieces, as `ngx_http_log_compile_format` (ngx_http_log_module.c) does. nginx.conf and a
//! text pasted from it are read by the same code: one tokenizer supplies the words of both
//! ([`crate::nginx_conf::token`]). Refuses to know what variables mean.

use super::error::{FormatError, FormatProblem};
use crate::escape::Escape;
use crate::nginx_conf::token::{End, Flaw, Tokens};
use nom::bytes::complete::take_while1;
use nom::character::complete::char;
use nom::combinator::opt;
use nom::error::{ErrorKind, ParseError as NomError};
use nom::{IResult, Parser};

/// The position at which the grammar did not match: only the length of the remaining text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SourceError {
    left: usize,
}

impl<'a> NomError<&'a str> for SourceError {
    fn from_error_kind(input: &'a str, _: ErrorKind) -> Self {
        SourceError { left: input.len() }
    }

    fn append(_: &'a str, _: ErrorKind, other: Self) -> Self {
        other
    }
}

type Parsed<'a, T> = IResult<&'a str, T, SourceError>;

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

/// Splits a format's value. Each part has its byte position.
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

/// The value of a format and its escaping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directive {
    pub(crate) value: String,
    /// `None` if the text has no `escape=`, which for nginx means `default`.
    pub(crate) escape: Option<Escape>,
}

/// The result of [`directive`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DirectiveText {
    /// A directive, or its quoted pieces.
    Directive(Directive),
    /// Quoted pieces that could also be a bare value with quotes of its own.
    Either(Directive),
    /// A bare value.
    Bare,
}

/// Reads `log_format name [escape=…] piece…;`, or only `[escape=…] 'piece' "piece"…`, by the same rules as nginx.conf.
pub(super) fn directive(text: &str) -> Result<DirectiveText, FormatError> {
    // The `;` of a pasted text may be missing, and a comment may follow it.
    let ended = format!("{text}\n;");
    let mut tokens = Tokens::new(ended.as_bytes());
    let end = tokens.next();
    let left = tokens.left();
    let (words, quotes) = (tokens.words, tokens.quotes);
    let is_directive = words.first().is_some_and(|word| word == LOG_FORMAT);
    let whole = end == Ok(End::Semicolon) && {
        let mut rest = Tokens::new(&ended.as_bytes()[ended.len() - left..]);
        // No text follows, or only the `;` that was added above.
        left == 0 || rest.next() == Err(Flaw::Unexpected(b';')) && rest.left() == 1
    };
    let error = |problem| {
        let at = text.len().min(ended.len() - left);
        FormatError::new(text, at, problem)
    };
    if is_directive {
        if !whole {
            return Err(error(FormatProblem::Words));
        }
        let words = texts(&words);
        let Some(pieces) = words.get(2..).filter(|pieces| !pieces.is_empty()) else {
            return Err(FormatError::new(text, text.len(), FormatProblem::NoFormat));
        };
        return from_words(pieces).map(DirectiveText::Directive);
    }
    let words = texts(&words);
    let named = words
        .first()
        .is_some_and(|word| word.starts_with("escape="));
    let pieces = quotes.get(usize::from(named)..).unwrap_or_default();
    if !whole || pieces.is_empty() || pieces.contains(&None) {
        return Ok(DirectiveText::Bare);
    }
    let directive = from_words(&words)?;
    if quotes.iter().all(|quote| *quote == Some(b'"')) {
        Ok(DirectiveText::Either(directive))
    } else {
        Ok(DirectiveText::Directive(directive))
    }
}

const LOG_FORMAT: &[u8] = b"log_format";

/// The words of a text are split only at ASCII bytes.
fn texts(words: &[Vec<u8>]) -> Vec<&str> {
    words
        .iter()
        .map(|word| std::str::from_utf8(word).unwrap_or_default())
        .collect()
}

/// Builds the value of a format from the words after its name.
pub(crate) fn from_words(words: &[&str]) -> Result<Directive, FormatError> {
    let (escape, pieces) = match words.split_first() {
        Some((first, rest)) => match first.strip_prefix("escape=") {
            None => (None, words),
            Some("default") => (Some(Escape::Default), rest),
            Some("json") => (Some(Escape::Json), rest),
            Some("none") => (Some(Escape::None), rest),
            Some(_) => return Err(FormatError::new(first, 0, FormatProblem::Escape)),
        },
        None => (None, words),
    };
    Ok(Directive {
        value: join(pieces)?,
        escape,
    })
}

/// Joins the pieces of a `log_format` into its value.
///
/// nginx compiles each piece separately, so a name ends with its piece: `'$host' 'name'` is `${host}name`. Such a name
/// gets braces.
fn join(parts: &[&str]) -> Result<String, FormatError> {
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
