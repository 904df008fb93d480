//! Splits nginx's configuration into tokens by the rules of `ngx_conf_read_token` (`src/core/ngx_conf_file.c`).
//!
//! Owns words, quotes, backslashes, comments and the three marks `;` `{` `}`. Refuses to know directives. Invariant:
//! each call advances or ends, and line numbers are those that an editor shows.
//!
//! Surprising rules: a quote, `#` or `}` is special only at the beginning of a word (`a"b`, `a#b` and `foo}` are plain
//! words); `{` after `$` is part of the word (`${host}`); a backslash makes the next byte part of the word and is kept,
//! except before a quote, a backslash, `t`, `r` and `n`; after a closing quote only a blank, `;`, `{` or `)` may
//! follow.

use nom::branch::alt;
use nom::bytes::complete::{is_not, take, take_till, take_while, take_while1};
use nom::character::complete::char;
use nom::combinator::recognize;
use nom::multi::{many0_count, many1_count};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

use super::lua;

/// The end of a sequence of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// `;`: a simple directive.
    Semicolon,
    /// `{`: a block begins.
    Open,
    /// `}`: a block ends; no words precede it.
    Close,
    /// The end of the file; no words precede it.
    File,
}

/// Why the rest of a file cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The file ends within a directive.
    End,
    /// The file ends within a string that this quote began.
    Quote(u8),
    /// This byte is not allowed here.
    Unexpected(u8),
    /// The file ends within a Lua block.
    Lua,
}

/// Reads the directives and blocks of one file in order.
pub(crate) struct Tokens<'i> {
    rest: &'i [u8],
    line: u32,
    /// Line of the last directive's first word, or of the mark or error that was found instead.
    pub(super) start: u32,
    /// The last directive's words, unescaped.
    pub(crate) words: Vec<Vec<u8>>,
    /// The quote of each of them.
    pub(crate) quotes: Vec<Option<u8>>,
}

impl<'i> Tokens<'i> {
    pub(crate) fn new(text: &'i [u8]) -> Self {
        Tokens {
            rest: text,
            line: 1,
            start: 1,
            words: Vec::new(),
            quotes: Vec::new(),
        }
    }

    /// Bytes that have not been read yet.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Reads the next directive's words into `words` and returns what ended them.
    pub(crate) fn next(&mut self) -> Result<End, Flaw> {
        self.words.clear();
        self.quotes.clear();
        loop {
            self.step(blank);
            if self.words.is_empty() {
                self.start = self.line;
            }
            let empty = self.words.is_empty();
            match self.rest.first().copied() {
                None if empty => return Ok(End::File),
                None => return Err(Flaw::End),
                Some(mark @ (b';' | b'{')) => {
                    if empty {
                        return Err(Flaw::Unexpected(mark));
                    }
                    self.step(take(1usize));
                    return Ok(if mark == b';' {
                        End::Semicolon
                    } else {
                        End::Open
                    });
                }
                Some(b'}') => {
                    if !empty {
                        self.start = self.line;
                        return Err(Flaw::Unexpected(b'}'));
                    }
                    self.step(take(1usize));
                    return Ok(End::Close);
                }
                Some(quote @ (b'"' | b'\'')) => self.quoted(quote)?,
                Some(_) => self.bare()?,
            }
        }
    }

    /// Skips the body of a `…_by_lua_block`, whose opening brace has just been read.
    pub(super) fn skip_lua(&mut self) -> Result<(), Flaw> {
        self.step(lua::body).map(|_| ()).ok_or(Flaw::Lua)
    }

    fn quoted(&mut self, quote: u8) -> Result<(), Flaw> {
        let line = self.line;
        let parsed = if quote == b'"' {
            self.step(double_quoted)
        } else {
            self.step(single_quoted)
        };
        let Some(raw) = parsed else {
            self.start = line;
            return Err(Flaw::Quote(quote));
        };
        self.words.push(unescape(raw));
        self.quotes.push(Some(quote));
        match self.rest.first().copied() {
            None => Err(Flaw::End),
            Some(b';' | b'{' | b')') => Ok(()),
            Some(byte) if is_blank(byte) => Ok(()),
            Some(byte) => {
                self.start = self.line;
                Err(Flaw::Unexpected(byte))
            }
        }
    }

    fn bare(&mut self) -> Result<(), Flaw> {
        let raw = self.step(bare).ok_or(Flaw::End)?;
        self.words.push(unescape(raw));
        self.quotes.push(None);
        Ok(())
    }

    /// Runs `parser` on the remaining input; on success advances past it and counts its lines.
    fn step<O>(&mut self, mut parser: impl Parser<&'i [u8], Output = O, Error = ()>) -> Option<O> {
        let (rest, output) = parser.parse(self.rest).ok()?;
        let used = self.rest.len() - rest.len();
        let lines = memchr::memchr_iter(b'\n', &self.rest[..used]).count();
        self.line = self
            .line
            .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.rest = rest;
        Some(output)
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Blanks and comments.
fn blank(input: &[u8]) -> IResult<&[u8], usize, ()> {
    let comment = preceded(char('#'), take_till(|byte| byte == b'\n'));
    many0_count(alt((take_while1(is_blank), comment))).parse(input)
}

fn escaped(input: &[u8]) -> IResult<&[u8], &[u8], ()> {
    preceded(char('\\'), take(1usize)).parse(input)
}

fn double_quoted(input: &[u8]) -> IResult<&[u8], &[u8], ()> {
    let inner = recognize(many0_count(alt((is_not(&b"\"\\"[..]), escaped))));
    delimited(char('"'), inner, char('"')).parse(input)
}

fn single_quoted(input: &[u8]) -> IResult<&[u8], &[u8], ()> {
    let inner = recognize(many0_count(alt((is_not(&b"'\\"[..]), escaped))));
    delimited(char('\''), inner, char('\'')).parse(input)
}

/// A word without quotes. A delimiter must follow it, so that a truncated file is detected.
fn bare(input: &[u8]) -> IResult<&[u8], &[u8], ()> {
    let variable = preceded(char('$'), take_while(|byte| byte == b'{'));
    let piece = alt((is_not(&b" \t\r\n;{\\$"[..]), variable, escaped));
    let (rest, word) = recognize(many1_count(piece)).parse(input)?;
    if rest.is_empty() || rest[0] == b'\\' {
        Err(nom::Err::Error(()))
    } else {
        Ok((rest, word))
    }
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut word = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let plain = match (byte, bytes.peek()) {
            (b'\\', Some(&next @ (b'"' | b'\'' | b'\\'))) => next,
            (b'\\', Some(b't')) => b'\t',
            (b'\\', Some(b'r')) => b'\r',
            (b'\\', Some(b'n')) => b'\n',
            _ => {
                word.push(byte);
                continue;
            }
        };
        bytes.next();
        word.push(plain);
    }
    word
}
