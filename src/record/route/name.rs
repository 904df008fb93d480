//! The name of a path that matches no configured route: its words stay, its values become placeholders.
//!
//! Owns the limits of a name and the iteration over segments; [`segment`] classifies a segment. Invariant: a name is text
//! of at most [`LONGEST`] bytes without control characters, and the same path always gives the same name. This guards
//! against as many routes as there are values.

use super::segment;

/// Bytes of a name. The index takes keywords of 1,024 characters.
const LONGEST: usize = 512;
/// Segments of a name.
const MOST_SEGMENTS: usize = 16;
/// Replaces the segments beyond either limit.
const REST: &[u8] = b"{rest}";

/// Longer words are examined more closely; few words are longer.
const LONG_WORD: usize = 12;
/// A segment with so many words is a title.
const TITLE_DASHES: usize = 5;

/// Appends the name of a resolved path to `out`, which is empty. Returns whether it holds an identifier.
pub(super) fn name(out: &mut Vec<u8>, path: &[u8]) -> bool {
    let mut identified = false;
    let mut start = 0;
    let mut segments = 0;
    // the beginning of the part that is not copied yet
    let mut from = 0;
    while start < path.len() {
        // a segment ends at the next slash; the paths of some variables begin with none
        let begin = start + usize::from(path[start] == b'/');
        let (end, plain) = plain_end(path, begin);
        segments += 1;
        if segments > MOST_SEGMENTS || out.len() + (begin - from) > LONGEST - REST.len() {
            return rest(out, path, from, begin, identified);
        }
        start = end;
        if plain {
            continue;
        }
        out.extend_from_slice(&path[from..begin]);
        let mark = out.len();
        let text = &path[begin..end];
        identified |= match segment::common(text) {
            Some(kind) => segment::push(out, text, kind),
            None => segment::write(out, text),
        };
        if out.len() > LONGEST - REST.len() {
            out.truncate(mark);
            out.extend_from_slice(REST);
            return identified;
        }
        from = end;
    }
    if out.len() + (path.len() - from) > LONGEST {
        let begin = memchr::memrchr(b'/', path).map_or(path.len(), |slash| slash + 1);
        return rest(out, path, from, begin, identified);
    }
    out.extend_from_slice(&path[from..]);
    identified
}

/// Ends a name before the segment that begins at `begin`.
fn rest(out: &mut Vec<u8>, path: &[u8], from: usize, begin: usize, identified: bool) -> bool {
    let end = begin.max(from);
    out.extend_from_slice(&path[from..end]);
    out.extend_from_slice(REST);
    identified
}

/// Returns the end of the segment that begins at `begin`, and whether it clearly consists of few short words:
/// lower-case letters between `-`, `_` and `.`.
fn plain_end(path: &[u8], begin: usize) -> (usize, bool) {
    let rest = path.get(begin..).unwrap_or_default();
    let mut word = 0;
    let mut has_long = false;
    let mut dashes = 0;
    for (at, &byte) in rest.iter().enumerate() {
        match CLASSES[usize::from(byte)] {
            LETTER => {}
            BETWEEN => {
                has_long |= at - word > LONG_WORD;
                word = at + 1;
                dashes += 1;
            }
            SLASH => {
                return (
                    begin + at,
                    !has_long && at - word <= LONG_WORD && dashes < TITLE_DASHES,
                );
            }
            _ => {
                let end = memchr::memchr(b'/', &rest[at..]).map_or(rest.len(), |slash| at + slash);
                return (begin + end, false);
            }
        }
    }
    let plain = !has_long && rest.len() - word <= LONG_WORD && dashes < TITLE_DASHES;
    (path.len(), plain)
}

const LETTER: u8 = 0;
const OTHER: u8 = 1;
const BETWEEN: u8 = 2;
const SLASH: u8 = 3;

/// The meaning of a byte in [`plain_end`].
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [OTHER; 256];
    let mut byte = b'a';
    while byte <= b'z' {
        classes[byte as usize] = LETTER;
        byte += 1;
    }
    classes[b'-' as usize] = BETWEEN;
    classes[b'_' as usize] = BETWEEN;
    classes[b'.' as usize] = BETWEEN;
    classes[b'/' as usize] = SLASH;
    classes
}
