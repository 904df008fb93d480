//! Finds a user and a password before a host: `http://user:password@host/`, `//user:password@host`,
//! `CONNECT user:password@host:443`.
//!
//! Owns where this part begins and ends (RFC 3986, section 3.2.1). A password that should have been encoded
//! (`http://user:pa/ss@host/`) counts as well: such an authority has a port that is no number. Refuses to know what happens
//! with the part. Invariant: each check reads a bounded number of bytes beyond the authority.

use std::ops::Range;

use super::spelling::unit;

/// Limit of the search for an `@` after the `//`; no authority should be as long.
const FARTHEST: usize = 256;

/// Returns the user and password of a URL, up to the `@`. `from` is the offset after the `//`, whose bytes were encoded
/// `depth` times.
/// Without a scheme there must be a password, because `//report@2x.png` is a path.
pub(super) fn of_authority(
    text: &[u8],
    from: usize,
    depth: u8,
    scheme: bool,
) -> Option<Range<usize>> {
    let first = Authority::read(text, from, depth, usize::MAX);
    let (at_sign, colon) = match first.at_sign {
        Some(at_sign) => (at_sign, first.colon),
        None if first.odd_port => {
            let (mut at, limit) = (first.end, text.len().min(first.end + FARTHEST));
            // search the next `@`, and then the last one of the authority
            loop {
                if at >= limit {
                    return None;
                }
                let here = unit(text, at);
                match here.byte {
                    b'@' => break,
                    b'"' | b' ' | b'\t' | b'\r' | b'\n' => return None,
                    _ => at += here.len,
                }
            }
            let behind = Authority::read(text, at, depth, FARTHEST);
            (behind.at_sign.unwrap_or(at), true)
        }
        None => return None,
    };
    (at_sign > from && (scheme || colon)).then_some(from..at_sign)
}

/// Returns the user and password of a target or a host, `user:password@host:443`, that begins at `from`.
pub(super) fn of_host(text: &[u8], from: usize) -> Option<Range<usize>> {
    /// Schemes without `//`, whose addresses are not secret.
    const NAMES: [&[u8]; 6] = [b"mailto", b"sip", b"sips", b"xmpp", b"acct", b"im"];
    let authority = Authority::read(text, from, 0, FARTHEST);
    let at_sign = authority.at_sign?;
    let name = text[from..at_sign].split(|byte| *byte == b':').next()?;
    let known = NAMES.iter().any(|known| known.eq_ignore_ascii_case(name));
    // `key=a:b@c` is a query, `(+mailto:a@b)` a text
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"._~%+-".contains(byte);
    let is_name = !name.is_empty() && name.iter().all(is_part);
    let host = text.get(at_sign + unit(text, at_sign).len)?;
    let is_host = host.is_ascii_alphanumeric() || *host == b'[';
    (authority.colon && is_name && is_host && !known).then_some(from..at_sign)
}

/// Whether the `@` at `at` of a line may end a user and password of a URL or a host.
pub(super) fn may_end_at(line: &[u8], at: usize) -> bool {
    let before = &line[at.saturating_sub(2 * FARTHEST)..at];
    let ends = |byte: &u8| matches!(byte, b'"' | b' ' | b'\t');
    let before = &before[before.iter().rposition(ends).map_or(0, |at| at + 1)..];
    let part = before
        .iter()
        .rposition(|byte| matches!(byte, b'/' | b'?' | b'#'));
    match part {
        // no byte that ends an authority lies between
        Some(slash) if before[slash] == b'/' && slash > 0 && before[slash - 1] == b'/' => true,
        _ if memchr::memchr(b':', &before[part.map_or(0, |at| at + 1)..]).is_some() => true,
        // an encoded `/` or `:`, or a port that is no number
        _ => {
            let encoded = |at: usize| {
                matches!(
                    before.get(at + 1..at + 3),
                    Some(b"2F" | b"2f" | b"3A" | b"3a" | b"25")
                )
            };
            memchr::memchr_iter(b'%', before).any(encoded)
                || memchr::memmem::find_iter(before, b"//")
                    .any(|slashes| Authority::read(before, slashes + 2, 0, usize::MAX).odd_port)
        }
    }
}

/// Returns the length of the userinfo at the beginning of an authority, including its `@`.
pub(in crate::record) fn length(rest: &[u8]) -> usize {
    if memchr::memchr(b'@', rest).is_none() {
        return 0;
    }
    of_authority(rest, 0, 0, true).map_or(0, |range| range.end + 1)
}

struct Authority {
    end: usize,
    /// The offset of the last `@`.
    at_sign: Option<usize>,
    /// There is a colon before it.
    colon: bool,
    /// The text after the last colon is no number.
    odd_port: bool,
}

impl Authority {
    /// Reads up to the end of an authority that was encoded `depth` times.
    fn read(text: &[u8], from: usize, depth: u8, limit: usize) -> Self {
        let mut read = Self {
            end: from,
            at_sign: None,
            colon: false,
            odd_port: false,
        };
        let (mut colon, mut brackets) = (false, false);
        while read.end < text.len() && read.end - from < limit {
            let here = unit(text, read.end);
            let ends = match here.byte {
                b'/' | b'?' | b'#' | b'&' => here.depth <= depth,
                b'"' | b'<' | b'>' | b'\\' | b'\0' => true,
                byte => byte.is_ascii_whitespace(),
            };
            if ends {
                break;
            }
            match here.byte {
                b'@' => {
                    read.at_sign = Some(read.end);
                    read.colon |= colon;
                    read.odd_port = false;
                }
                b'[' | b']' => brackets = true,
                b':' => {
                    colon = true;
                    read.odd_port = false;
                }
                byte if colon && !brackets => read.odd_port |= !byte.is_ascii_digit(),
                _ => {}
            }
            read.end += here.len;
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_reaches_to_the_last_at_sign_of_the_authority() {
        for (rest, expected) in [
            ("host/a", 0),
            ("host/@a", 0),
            ("host:80/a@b", 0),
            ("[::1]:80/a@b", 0),
            ("[2001:db8::1]/a@b", 0),
            ("host?a@b", 0),
            ("bob@host/", 4),
            ("bob:pass@host/", 9),
            ("bob:p@ss@host/x@y", 9),
            ("bob:pa/ss@host/", 10),
            ("bob:pa#s?s@host/x", 11),
            ("bob:pa/s@s@host/x@y", 11),
            ("bob%40:p%3Ass@host", 14),
            ("", 0),
            ("@", 0),
        ] {
            assert_eq!(length(rest.as_bytes()), expected, "{rest}");
        }
    }

    #[test]
    fn a_host_with_a_password_is_recognised() {
        for (text, expected) in [
            ("bob:pass@host:443", Some(8)),
            ("bob:@host", Some(4)),
            ("host:443", None),
            ("bob@host", None),
            ("mailto:bob@host", None),
            ("sip:bob@host", None),
            ("key=a:b@c", None),
            ("/a:b@c", None),
            ("a b:c@d", None),
            ("(a:b@c", None),
            (":b@c", None),
            ("a:b@", None),
            ("a:b@ c", None),
        ] {
            let found = of_host(text.as_bytes(), 0).map(|range| range.end);
            assert_eq!(found, expected, "{text}");
        }
    }
}
