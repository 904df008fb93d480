//! The route of a path: what a terms aggregation counts.
//!
//! Owns how a path becomes a template (`/users/17/orders` → `/users/{id}/orders`) when nobody has named the
//! routes. Works on the path as nginx normalises it, so that `/api/%65xport` counts as `/api/export`; refuses
//! to know methods, hosts or queries. Pure: the same path always gives the same route.

/// A hex segment from this length on is a hash or an object id, not a word (`/cafe`, `/deadbeef`).
const HASH_LEN: usize = 16;

/// Appends the route of `path` (bytes after nginx's log escaping was undone) to `out`; `scratch` is for paths
/// that need normalising first. Gives whether normalising was needed: then the route may hold bytes that the
/// path did not show.
pub(super) fn normalise(out: &mut Vec<u8>, scratch: &mut Vec<u8>, path: &[u8]) -> bool {
    let resolving = needs_resolving(path);
    if resolving {
        scratch.clear();
        resolve(scratch, path);
        segments(out, scratch);
    } else {
        segments(out, path);
    }
    resolving
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn route(path: &str) -> String {
        let (mut out, mut scratch) = (Vec::new(), Vec::new());
        normalise(&mut out, &mut scratch, path.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn identifiers_become_their_kind() {
        assert_eq!(route("/users/17/orders"), "/users/{id}/orders");
        assert_eq!(route("/users/17"), "/users/{id}");
        assert_eq!(route("/17/"), "/{id}/");
        assert_eq!(
            route("/d/550e8400-e29b-41d4-a716-446655440000"),
            "/d/{uuid}"
        );
        assert_eq!(
            route("/blob/d41d8cd98f00b204e9800998ecf8427e/raw"),
            "/blob/{hash}/raw"
        );
        assert_eq!(route("/1/2/3"), "/{id}/{id}/{id}");
    }

    #[test]
    fn words_stay() {
        for path in [
            "/",
            "/cafe",
            "/deadbeefdeadbeef/x",
            "/v1/users",
            "/a1",
            "/img/17.png",
            "/feed",
        ] {
            assert_eq!(route(path), path);
        }
    }

    #[test]
    fn a_path_counts_as_nginx_routes_it() {
        assert_eq!(route("/api/%65xport"), "/api/export");
        assert_eq!(route("//api///export"), "/api/export");
        assert_eq!(route("/api/./x/../export"), "/api/export");
        assert_eq!(route("/api/x/.."), "/api/");
        assert_eq!(route("/../.."), "/");
        assert_eq!(route("/users/%31%37"), "/users/{id}");
        assert_eq!(route("/a/.well-known/b"), "/a/.well-known/b");
        assert_eq!(route("/100%"), "/100%");
        assert_eq!(route("/%2e%2e/a"), "/a");
    }

    proptest! {
        #[test]
        fn any_path_gives_text_and_never_fails(path in "/[ -~]{0,40}") {
            let once = route(&path);
            prop_assert!(once.starts_with('/'));
        }
    }
}
