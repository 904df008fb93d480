//! Splits the request line, `$request`, as a client sent it: valid, old or invalid.
//!
//! nginx logs the first line that it received even if it was not HTTP: TLS bytes on a plain port, a port scanner's
//! greeting, nothing at all. Only a text in the form of a request is split; otherwise the result is `None`, and the
//! caller keeps the whole text.

use memchr::{memchr, memrchr};

/// The parts of a request line; still escaped as nginx wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method: letters, `_` and `-` (ngx_http_parse.c accepts only upper case, but a refused lower-case method is
    /// logged too).
    pub method: &'a [u8],
    /// The target: a path, an absolute URL, or `host:port` after `CONNECT`. nginx before 1.21.1 accepts spaces in it.
    pub target: &'a [u8],
    /// The version without `HTTP/`: `1.1`, `2.0`, `3.0`. `None` for HTTP/0.9 (`GET /x`).
    pub version: Option<&'a [u8]>,
}

/// Bytes of a version such as `1.1`.
const VERSION: usize = 3;

/// Splits `$request`. `None` if it is not a request line: empty, TLS bytes, another protocol.
///
/// Without a version (HTTP/0.9) the target must begin with `/`; otherwise any two words would be a request.
///
/// ```
/// use logweir_parsers::request;
/// let request = request::split(b"GET /a?b=c HTTP/1.1").unwrap();
/// assert_eq!(request.method, b"GET");
/// assert_eq!(request.target, b"/a?b=c");
/// assert_eq!(request.version, Some(&b"1.1"[..]));
/// assert_eq!(request::split(br"\x16\x03\x01"), None);
/// ```
pub fn split(raw: &[u8]) -> Option<Request<'_>> {
    let token = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-');
    // Methods are short, so a vectorised search for the blank would cost more.
    let (method, rest) = raw.split_at(raw.iter().position(|byte| !token(byte))?);
    if method.is_empty() || rest.first() != Some(&b' ') {
        return None;
    }
    // nginx accepts any number of spaces between the parts, and after the version.
    let rest = trim_spaces(rest);
    // A shortcut for nearly every line; the general code below gives the same result.
    if let [
        target @ ..,
        b' ',
        b'H',
        b'T',
        b'T',
        b'P',
        b'/',
        b'0'..=b'9',
        b'.',
        b'0'..=b'9',
    ] = rest
        && !matches!(target, [] | [.., b' '])
    {
        return Some(Request {
            method,
            target,
            version: Some(&rest[rest.len() - VERSION..]),
        });
    }
    if let Some(space) = memrchr(b' ', rest)
        && let Some(version) = version(&rest[space + 1..])
    {
        let target = trim_spaces(&rest[..space]);
        return (!target.is_empty()).then_some(Request {
            method,
            target,
            version: Some(version),
        });
    }
    rest.starts_with(b"/").then_some(Request {
        method,
        target: rest,
        version: None,
    })
}

/// `1.1` of `HTTP/1.1`.
fn version(word: &[u8]) -> Option<&[u8]> {
    let number = word.strip_prefix(b"HTTP/")?;
    let dot = memchr(b'.', number)?;
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    (digits(&number[..dot]) && digits(&number[dot + 1..])).then_some(number)
}

fn trim_spaces(mut raw: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = raw {
        raw = rest;
    }
    while let [rest @ .., b' '] = raw {
        raw = rest;
    }
    raw
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(raw: &str) -> Option<(&str, &str, Option<&str>)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        split(raw.as_bytes()).map(|r| (text(r.method), text(r.target), r.version.map(text)))
    }

    #[test]
    fn requests() {
        assert_eq!(parts("GET / HTTP/1.0"), Some(("GET", "/", Some("1.0"))));
        assert_eq!(parts("POST /a HTTP/2.0"), Some(("POST", "/a", Some("2.0"))));
        assert_eq!(parts("GET / HTTP/3.0"), Some(("GET", "/", Some("3.0"))));
        assert_eq!(
            parts("M-SEARCH * HTTP/1.1"),
            Some(("M-SEARCH", "*", Some("1.1")))
        );
        assert_eq!(
            parts("CONNECT a:443 HTTP/1.1"),
            Some(("CONNECT", "a:443", Some("1.1")))
        );
        assert_eq!(
            parts("GET http://a/b HTTP/1.1"),
            Some(("GET", "http://a/b", Some("1.1")))
        );
        assert_eq!(parts("get / HTTP/1.1"), Some(("get", "/", Some("1.1"))));
    }

    #[test]
    fn unusual_requests() {
        assert_eq!(parts("GET /x"), Some(("GET", "/x", None)));
        assert_eq!(
            parts("GET /a b HTTP/1.1"),
            Some(("GET", "/a b", Some("1.1")))
        );
        assert_eq!(
            parts("GET   /   HTTP/1.1  "),
            Some(("GET", "/", Some("1.1")))
        );
        assert_eq!(parts("GET /x HTTP/1"), Some(("GET", "/x HTTP/1", None)));
        assert_eq!(parts("GET /x HTTP/.1"), Some(("GET", "/x HTTP/.1", None)));
        assert_eq!(
            parts(r"GET /\xFF HTTP/1.1"),
            Some(("GET", r"/\xFF", Some("1.1")))
        );
    }

    #[test]
    fn text_that_is_not_a_request_is_refused() {
        for wrong in [
            "",
            "-",
            " ",
            "GET",
            "GET ",
            " GET / HTTP/1.1",
            "GET HTTP/1.1",
            "GET  HTTP/1.1",
            "EHLO mail.example.com",
            "SSH-2.0-Go",
            "t3 12.1.2",
            r"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03 /",
            r"\x03\x00\x00/*\xE0\x00\x00\x00\x00\x00Cookie: mstshash=Administr",
        ] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }
}
