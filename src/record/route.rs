//! The route of a request: what a terms aggregation counts.
//!
//! Owns how a path gets its name: from the configured routes, else by replacing identifiers (`/users/17/orders` →
//! `/users/{id}/orders`). Works on the path as nginx normalises it, so that `/api/%65xport` counts as
//! `/api/export`; refuses to know hosts and queries. Pure: the same method and path always give the same route.

mod router;
#[cfg(test)]
mod tests;
mod trie;

use logweir_parsers::Escape;

use super::members::{Request, Text};
use super::privacy::Scope;
use super::{Buffers, Values, json};
use crate::config::RouteKind;

pub(super) use router::{Named, Router};

/// A hex segment from this length on is a hash or an object id, not a word (`/cafe`, `/deadbeef`).
const HASH_LEN: usize = 16;

/// What a request is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found<'r> {
    /// The line tells no path.
    Nothing,
    /// A configured route.
    Named(&'r Named),
    /// No route knows it; its name stands in the buffer for routes. With the flag it may hold bytes that the line
    /// did not show, and must be escaped.
    Normalised(bool),
}

impl<'r> Found<'r> {
    pub(super) fn of(
        router: &'r Router,
        buffers: &mut Buffers,
        values: &Values<'_>,
        request: &Request<'_>,
    ) -> Self {
        let Some(raw) = request.path else {
            return Self::Nothing;
        };
        let Buffers {
            path: decoded,
            resolved,
            route,
            ..
        } = buffers;
        let plain = values.plain || Escape::is_plain(raw);
        let mut path = raw;
        if !plain {
            decoded.clear();
            values.plan.escape.decode(raw, decoded);
            path = decoded;
        }
        let resolving = needs_resolving(path);
        if resolving {
            resolved.clear();
            resolve(resolved, path);
            path = resolved;
        }
        if !router.is_empty()
            && let Some(named) = router.find(request.method, path)
        {
            return Self::Named(named);
        }
        route.clear();
        segments(route, path);
        Self::Normalised(resolving || !plain)
    }

    /// What the request means.
    pub(super) fn kind(self) -> &'r RouteKind {
        match self {
            Self::Named(named) => &named.kind,
            Self::Nothing | Self::Normalised(_) => &RouteKind::Plain,
        }
    }

    /// Appends `http.route`; `normalised` is the buffer for routes.
    pub(super) fn write(self, text: &mut Text<'_>, normalised: &[u8]) {
        let out = &mut *text.out;
        match self {
            Self::Nothing => {}
            Self::Named(named) => out.extend_from_slice(&named.member),
            Self::Normalised(escape) => {
                out.extend_from_slice(b"\"route\":\"");
                if text.watched || escape {
                    let cleaned = &mut text.scratch.cleaned;
                    text.guard.clean(normalised, Scope::Value, cleaned);
                    json::text(out, &cleaned.text);
                } else {
                    out.extend_from_slice(normalised);
                }
                out.extend_from_slice(b"\",");
            }
        }
    }
}

/// Replaces identifier segments by their kind.
fn segments(out: &mut Vec<u8>, path: &[u8]) {
    let mut from = 0;
    let mut start = 0;
    while start < path.len() {
        // path[start] is '/': a segment reaches to the next one
        let begin = start + 1;
        let end = memchr::memchr(b'/', &path[begin..]).map_or(path.len(), |at| begin + at);
        if let Some(kind) = kind(&path[begin..end]) {
            out.extend_from_slice(&path[from..begin]);
            out.extend_from_slice(kind);
            from = end;
        }
        start = end;
    }
    out.extend_from_slice(&path[from..]);
}

fn kind(segment: &[u8]) -> Option<&'static [u8]> {
    if !segment.first()?.is_ascii_hexdigit() {
        return None;
    }
    if segment.iter().all(u8::is_ascii_digit) {
        return Some(b"{id}");
    }
    if is_uuid(segment) {
        return Some(b"{uuid}");
    }
    let hex = segment.len() >= HASH_LEN
        && segment.iter().all(u8::is_ascii_hexdigit)
        && segment.iter().any(u8::is_ascii_digit);
    hex.then_some(b"{hash}")
}

/// RFC 9562, section 4: `8-4-4-4-12` hex digits.
fn is_uuid(segment: &[u8]) -> bool {
    segment.len() == 36
        && segment.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn needs_resolving(path: &[u8]) -> bool {
    let mut previous = b' ';
    for &byte in path {
        if byte == b'%' || (previous == b'/' && (byte == b'/' || byte == b'.')) {
            return true;
        }
        previous = byte;
    }
    false
}

/// What nginx makes of a path before it looks for a location (`ngx_http_parse_complex_uri` in
/// src/http/ngx_http_parse.c): `%XX` decoded, `//` merged (its `merge_slashes on`), `.` and `..` resolved.
fn resolve(out: &mut Vec<u8>, path: &[u8]) {
    let mut at = 0;
    while at < path.len() {
        let (byte, width) = decoded(&path[at..]);
        at += width;
        if byte == b'/' {
            close_segment(out);
            if out.last() != Some(&b'/') {
                out.push(b'/');
            }
        } else {
            out.push(byte);
        }
    }
    close_segment(out);
    if out.is_empty() {
        out.push(b'/');
    }
    // What was decoded may be anything; a route is text.
    if std::str::from_utf8(out).is_err() {
        let text = String::from_utf8_lossy(out).into_owned();
        out.clear();
        out.extend_from_slice(text.as_bytes());
    }
}

/// Takes a `.` or `..` that ends `out` back.
fn close_segment(out: &mut Vec<u8>) {
    if out.ends_with(b"/..") {
        out.truncate(out.len() - 3);
        let parent = memchr::memrchr(b'/', out).unwrap_or(0);
        out.truncate(parent);
        out.push(b'/');
    } else if out.ends_with(b"/.") {
        out.truncate(out.len() - 1);
    }
}

fn decoded(rest: &[u8]) -> (u8, usize) {
    if let [b'%', high, low, ..] = rest
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        return (high << 4 | low, 3);
    }
    (rest[0], 1)
}

fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
