//! Matches one template, or one segment of it.
//!
//! Owns the matching of a parameter in a part of a segment. Refuses to know other templates. Invariant: the time is linear in
//! the text for each literal.

use crate::config::{Segment, Template};

/// Whether the literals before, between and after the parameters of one segment match `segment`. Each parameter takes at
/// least one byte. The shortest choice for each parameter but the last finds a match if there is one.
pub(super) fn matches(literals: &[Vec<u8>], segment: &[u8]) -> bool {
    let [first, between @ .., last] = literals else {
        return false;
    };
    let Some(mut rest) = segment.strip_prefix(first.as_slice()) else {
        return false;
    };
    for literal in between {
        let Some(at) = rest
            .get(1..)
            .and_then(|rest| memchr::memmem::find(rest, literal))
        else {
            return false;
        };
        rest = &rest[1 + at + literal.len()..];
    }
    rest.len() > last.len() && rest.ends_with(last)
}

/// Returns the length of the literals of a segment.
pub(super) fn weight(literals: &[Vec<u8>]) -> usize {
    literals.iter().map(Vec::len).sum()
}

/// Returns the first segment of `rest`, and the text after its slash.
pub(super) fn split(rest: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'/', rest) {
        Some(slash) => (&rest[..slash], Some(&rest[slash + 1..])),
        None => (rest, None),
    }
}

/// Whether a whole template matches a path without its first slash; `None` is the root.
pub(super) fn takes(template: &Template, path: Option<&[u8]>) -> bool {
    let mut rest = path;
    for wanted in template.segments() {
        let Some((segment, next)) = rest.map(split) else {
            return false;
        };
        let fits = match wanted {
            Segment::Literal(literal) => literal == segment,
            Segment::Pattern(literals) => matches(literals, segment),
        };
        if !fits {
            return false;
        }
        rest = next;
    }
    rest.is_some() == template.has_rest()
}
