//! Skips the body of a `…_by_lua_block { … }` of lua-nginx-module, which nginx's own tokenizer never reads.
//!
//! Owns just enough of Lua's lexical rules to find the closing brace: strings, long brackets, comments
//! (`ngx_http_lua_lex.rl` in lua-nginx-module does the same). Otherwise a brace, quote or `--` in Lua code would make
//! the rest of the file unreadable.

use nom::IResult;

/// Takes everything up to and including the `}` that closes the block; fails if there is none.
pub(super) fn body(input: &[u8]) -> IResult<&[u8], &[u8], ()> {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(&byte) = input.get(at) {
        let rest = &input[at..];
        at += match byte {
            b'{' => {
                depth += 1;
                1
            }
            b'}' if depth == 0 => return Ok((&input[at + 1..], &input[..=at])),
            b'}' => {
                depth -= 1;
                1
            }
            b'"' | b'\'' => string(rest).ok_or(nom::Err::Error(()))?,
            b'-' if rest.starts_with(b"--") => comment(rest),
            b'[' => match opening(rest) {
                Some(level) => long(rest, level).ok_or(nom::Err::Error(()))?,
                None => 1,
            },
            _ => 1,
        };
    }
    Err(nom::Err::Error(()))
}

/// Length of the string literal at the start of `input`, including its quotes.
fn string(input: &[u8]) -> Option<usize> {
    let quote = *input.first()?;
    let mut at = 1;
    loop {
        match *input.get(at)? {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// Length of the line comment at the start of `input`, before its line feed. Of a block comment only the length of the
/// dashes, because the long bracket after them is read like any other.
fn comment(input: &[u8]) -> usize {
    match opening(&input[2..]) {
        Some(_) => 2,
        None => memchr::memchr(b'\n', input).unwrap_or(input.len()),
    }
}

/// The number of `=` if `input` begins with a long bracket, `[[` or `[==[`.
fn opening(input: &[u8]) -> Option<usize> {
    let after = input.strip_prefix(b"[")?;
    let level = after.iter().take_while(|&&byte| byte == b'=').count();
    (after.get(level) == Some(&b'[')).then_some(level)
}

/// Length of the long bracket of `level` at the start of `input`, including its closing `]==]`.
fn long(input: &[u8], level: usize) -> Option<usize> {
    let mut from = level + 2;
    loop {
        let close = from + memchr::memchr(b']', input.get(from..)?)?;
        let after = input.get(close + 1..)?;
        if after.get(level) == Some(&b']') && after[..level].iter().all(|&byte| byte == b'=') {
            return Some(close + level + 2);
        }
        from = close + 1;
    }
}
