//! Turns the path of the request line into the path that a back end sees.
//!
//! Owns nginx's rules for a path before it looks for a location (`ngx_http_parse_complex_uri` in src/http/ngx_http_parse.c):
//! it decodes `%XX`, merges `//` (`merge_slashes on`), and resolves `.` and `..`. Owns also what back ends cut off: path
//! parameters (`;x`, RFC 3986, section 3.3), blanks at the end of a segment, and everything after a NUL. Refuses to know
//! routes. Invariant: the result is UTF-8, and resolving a path for which [`is_resolved`] is true does not change it.

/// Whether [`resolve`] would leave a path unchanged.
pub(super) fn is_resolved(path: &[u8]) -> bool {
    let mut odd = 0;
    let mut after = ANYWHERE;
    for &byte in path {
        let marks = MARKS[usize::from(byte)];
        odd |= marks & after;
        after = ANYWHERE | marks >> 1;
    }
    odd & (ANYWHERE | AFTER_SLASH) == 0
}

/// The byte always needs resolving.
const ANYWHERE: u8 = 1;
/// The byte needs resolving after a slash.
const AFTER_SLASH: u8 = 2;
/// The byte is a slash; the bit above [`AFTER_SLASH`].
const SLASH: u8 = 4;

/// The properties of each byte.
static MARKS: [u8; 256] = marks();

const fn marks() -> [u8; 256] {
    let mut marks = [0; 256];
    let mut byte = 0;
    while byte <= b' ' as usize {
        marks[byte] = ANYWHERE;
        byte += 1;
    }
    marks[b'%' as usize] = ANYWHERE;
    marks[b';' as usize] = ANYWHERE;
    marks[0x7f] = ANYWHERE;
    marks[b'.' as usize] = AFTER_SLASH;
    marks[b'/' as usize] = AFTER_SLASH | SLASH;
    marks
}

/// Appends the path that a back end sees to `out`, which is empty.
pub(super) fn resolve(out: &mut Vec<u8>, path: &[u8]) {
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
    // Decoded bytes can be anything, but a route is text.
    if std::str::from_utf8(out).is_err() {
        let text = String::from_utf8_lossy(out).into_owned();
        out.clear();
        out.extend_from_slice(text.as_bytes());
    }
}

/// Removes the part of the last segment that a back end does not see, then resolves a `.` or `..`.
fn close_segment(out: &mut Vec<u8>) {
    let start = memchr::memrchr(b'/', out).map_or(0, |slash| slash + 1);
    let end = memchr::memchr2(b';', 0, &out[start..]).map_or(out.len(), |at| start + at);
    let seen = &out[start..end];
    let is_blank = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
    let kept = seen.iter().rposition(|byte| !is_blank(byte));
    out.truncate(kept.map_or(start, |last| start + last + 1));
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
