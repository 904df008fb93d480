//! Finds the secret values of a text: `token=…` in queries and wherever else, `"password":"…"` in JSON.
//!
//! Owns where such a value begins and ends. A query within a query (`?next=%2Fa%3Ftoken%3D…`) counts. Invariant:
//! when in doubt about its end a value is too long rather than too short.

use std::ops::Range;

use super::Scope;
use super::names::Names;
use super::spelling::unit;

/// Whether any value of a line can hold a secret; false only when none does. Each value has to stand in the line
/// as it is, without nginx's escaping.
pub(super) fn may_be_in(names: &Names, line: &[u8]) -> bool {
    if names.is_empty() {
        return false;
    }
    memchr::memchr2_iter(b'=', b'%', line).any(|at| match line[at] {
        b'=' => names.may_have_key(line, at),
        _ => {
            let spelled = unit(line, at);
            let next = at + spelled.len;
            match spelled.byte {
                b'=' => names.may_have_key(line, at),
                b'"' => is_colon(line, next) && names.may_have_key(line, at),
                _ => false,
            }
        }
    })
}

fn is_colon(text: &[u8], at: usize) -> bool {
    let at = blanks(text, at);
    at < text.len() && unit(text, at).byte == b':'
}

/// Passes over blanks.
fn blanks(text: &[u8], mut at: usize) -> usize {
    while at < text.len() {
        let unit = unit(text, at);
        if !unit.byte.is_ascii_whitespace() {
            break;
        }
        at += unit.len;
    }
    at
}

/// Hands over the place of each secret value, in order.
pub(super) fn find(names: &Names, text: &[u8], scope: Scope, mut found: impl FnMut(Range<usize>)) {
    let mut at = 0;
    // any other byte is one of its own, and begins no value
    while let Some(passed) = text[at..].iter().position(|byte| begins_value(*byte)) {
        at += passed;
        let here = unit(text, at);
        let next = at + here.len;
        let value = match here.byte {
            b'=' if names.has_key(text, at) => next..end(text, next, here.depth, scope),
            b'"' if is_colon(text, next) && names.has_key(text, at) => json(text, next),
            _ => {
                at = next;
                continue;
            }
        };
        at = value.end.max(next);
        if !value.is_empty() {
            found(value);
        }
    }
}

/// Whether a spelling of `=` or `"` begins with this byte.
fn begins_value(byte: u8) -> bool {
    matches!(byte, b'=' | b'"' | b'%' | b'\\')
}

/// Where the value of a query's key ends; its `=` was encoded `depth` times.
fn end(text: &[u8], from: usize, depth: u8, scope: Scope) -> usize {
    let quoted = match scope {
        Scope::Value => true,
        Scope::Line => memchr::memchr_iter(b'"', &text[..from]).count() % 2 == 1,
    };
    let mut at = from;
    while at < text.len() {
        let here = unit(text, at);
        let next = at + here.len;
        let ends = match here.byte {
            b'&' | b'#' => here.depth <= depth,
            // cookies
            b';' => here.depth <= depth && text.get(next) == Some(&b' '),
            // `$request`: what follows the target is no secret
            b' ' if scope == Scope::Value => here.len == 1 && is_version(&text[next..]),
            _ if scope == Scope::Value => false,
            // an escaped one is the client's own
            b'"' => here.len == 1,
            b' ' if quoted => here.len == 1 && text[next..].starts_with(b"HTTP/"),
            byte => here.len == 1 && byte.is_ascii_whitespace(),
        };
        if ends {
            return at;
        }
        at = next;
    }
    at
}

/// Whether a request line ends so.
fn is_version(text: &[u8]) -> bool {
    let number = text.strip_prefix(b"HTTP/");
    number.is_some_and(|number| {
        let part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        number.len() <= 3 && number.iter().all(part)
    })
}

/// The value that stands in JSON behind the colon at or after `from`.
fn json(text: &[u8], from: usize) -> Range<usize> {
    let colon = blanks(text, from);
    let start = blanks(text, colon + unit(text, colon).len);
    if start >= text.len() {
        return start..start;
    }
    let first = unit(text, start);
    let from = start + first.len;
    let mut at = from;
    if first.byte == b'"' {
        let quote = &text[start..from];
        while at < text.len() {
            let here = unit(text, at);
            if &text[at..at + here.len] == quote {
                return from..at;
            }
            // within raw quotes `\"` is one unit; within escaped ones the backslash is a unit of its own
            let escapes = here.byte == b'\\' && (quote.len() > 1 || here.len == 1);
            at += here.len;
            if escapes && at < text.len() {
                at += unit(text, at).len;
            }
        }
        return from..at;
    }
    while at < text.len() {
        let here = unit(text, at);
        if matches!(here.byte, b',' | b'}' | b']' | b'&' | b'"') || here.byte.is_ascii_whitespace()
        {
            break;
        }
        at += here.len;
    }
    start..at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str, scope: Scope) -> String {
        let names = Names::new(["token", "password"]);
        let (mut out, mut from) = (String::new(), 0);
        find(&names, text.as_bytes(), scope, |value| {
            out.push_str(&text[from..value.start]);
            out.push('*');
            from = value.end;
        });
        out.push_str(&text[from..]);
        assert!(out == text || may_be_in(&names, text.as_bytes()) || text.contains(['"', '\\']));
        out
    }

    #[test]
    fn values_end_where_the_next_key_begins() {
        for (text, expected) in [
            ("/a?token=1&b=2", "/a?token=*&b=2"),
            ("token=1;2 3", "token=*"),
            ("/a?b=1&PassWord=x%26y&c", "/a?b=1&PassWord=*&c"),
            ("/a?token=1#password=2", "/a?token=*#password=*"),
            ("/a?token=&token", "/a?token=&token"),
            ("/a?token==1", "/a?token=*"),
            ("token=1; theme=dark", "token=*; theme=dark"),
            (
                "/in?next=%2Fa%3Ftoken%3D1%26b%3D2&c=3",
                "/in?next=%2Fa%3Ftoken%3D*%26b%3D2&c=3",
            ),
            (
                "/in?next=%252Fa%253Ftoken%253D1%2526b",
                "/in?next=%252Fa%253Ftoken%253D*%2526b",
            ),
            ("/a?%74oken=1&x", "/a?%74oken=*&x"),
            ("/a?token=a=b&c", "/a?token=*&c"),
            ("GET /a?token=1 2 HTTP/1.1", "GET /a?token=* HTTP/1.1"),
            ("token=1 HTTP/1.1 2", "token=*"),
            ("/;token=x/y", "/;token=*"),
            ("/tokens?a=1&mytoken=2", "/tokens?a=1&mytoken=2"),
        ] {
            assert_eq!(redacted(text, Scope::Value), expected);
        }
    }

    #[test]
    fn json_is_known_in_every_escaping() {
        for (text, expected) in [
            (r#"{"password":"a\"b","c":1}"#, r#"{"password":"*","c":1}"#),
            (
                r#"{\"password\": \"a\\\"b\",\"c\":1}"#,
                r#"{\"password\": \"*\",\"c\":1}"#,
            ),
            (
                r"{\x22password\x22:\x22a\x5C\x22b\x22,",
                r"{\x22password\x22:\x22*\x22,",
            ),
            (
                "d=%7B%22password%22%3A%22a%22%7D",
                "d=%7B%22password%22%3A%22*%22%7D",
            ),
            (r#"{"token":12,"b":3}"#, r#"{"token":*,"b":3}"#),
            (r#"{"token":"#, r#"{"token":"#),
            (r#"{"token":"unended"#, r#"{"token":"*"#),
            (r#"{"other":"token"}"#, r#"{"other":"token"}"#),
        ] {
            assert_eq!(redacted(text, Scope::Value), expected);
        }
    }

    #[test]
    fn in_a_whole_line_a_value_stays_within_its_field() {
        for (text, expected) in [
            (
                "1 \"GET /?token=a b HTTP/1.1\" 200 \"http://x/?password=y\" z",
                "1 \"GET /?token=* HTTP/1.1\" 200 \"http://x/?password=*\" z",
            ),
            ("1 /?token=a 200 b", "1 /?token=* 200 b"),
            ("1 \"token=a\\\"b\" 2", "1 \"token=*\" 2"),
        ] {
            assert_eq!(redacted(text, Scope::Line), expected);
        }
    }
}
