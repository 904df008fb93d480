//! Whether one template, or one segment of it, matches.
//!
//! Owns the matching of a parameter in a part of a segment; refuses to know other templates. Invariant: takes time
//! linear in the text for each literal.

use crate::config::{Segment, Template};

/// The literals before, between and after the parameters of one segment match `segment`. Each parameter takes at
/// least one byte. Taking as little as possible for each but the last finds a match if there is any.
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

/// How much of a segment the literals say.
pub(super) fn weight(literals: &[Vec<u8>]) -> usize {
    literals.iter().map(Vec::len).sum()
}

/// The first segment of `rest`, and what follows its slash.
pub(super) fn split(rest: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'/', rest) {
        Some(slash) => (&rest[..slash], Some(&rest[slash + 1..])),
        None => (rest, None),
    }
}

/// Whether a template as a whole matches a path without its first slash; `None` is the root.
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
