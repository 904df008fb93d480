//! Proves where a field ends from the parts that follow it. Owns the proofs. Refuses to know steps and lines.
//!
//! All proofs answer one question about a field whose values are runs of bytes of a set S. The reader advances to the
//! first byte outside S; how far before that byte does the value end? If everything between the end of the value and a
//! byte that is certainly outside S has a known length, the answer is that length.

use super::grammar::{Grammar, Layout, Look};
use crate::bytes::ByteSet;

/// A part of the format, with its byte position in the source.
pub(super) enum Part {
    Literal {
        text: Vec<u8>,
        index: u16,
    },
    Field {
        index: u16,
        look: Look,
        grammar: Grammar,
        at: usize,
    },
}

/// The position of the first byte outside a set, relative to the end of the value.
pub(super) struct Anchor {
    pub(super) back: u32,
    /// The bytes with which the next field begins, unless that field is absent: then it is a `-`, which this field
    /// could contain too.
    pub(super) give_back: Option<ByteSet>,
}

/// Proves that the first byte outside `set` is at a fixed distance after the value's end.
pub(super) fn anchor(set: &ByteSet, pairs: bool, rest: &[Part]) -> Option<Anchor> {
    let mut back = 0u32;
    // If this field may be empty, the parts after it must stop the scan at the same position.
    let mut maybe_here = false;
    let certain = |back| {
        Some(Anchor {
            back,
            give_back: None,
        })
    };
    for (index, part) in rest.iter().enumerate() {
        match part {
            Part::Literal { text, .. } => {
                for byte in text {
                    if !set.has(*byte) {
                        return certain(back);
                    }
                    // Also, the scan would read a literal's `\` as the beginning of an escape.
                    if maybe_here || (pairs && *byte == b'\\') {
                        return None;
                    }
                    back += 1;
                }
            }
            Part::Field { look, .. } => match look.layout {
                Layout::Fixed(fixed) => {
                    for place in 0..fixed.len() {
                        let bytes = fixed.at(place);
                        if !set.meets(&bytes) {
                            return certain(back);
                        }
                        if maybe_here || !set.covers(&bytes) {
                            return None;
                        }
                        back += 1;
                    }
                }
                Layout::Run | Layout::List => {
                    if !look.begins().meets(set) {
                        if !look.empty {
                            return certain(back);
                        }
                        maybe_here = true;
                    } else if index == 0 && look.dash && !look.empty && !look.first.meets(set) {
                        // Only the `-` of an absent value could belong to both.
                        return Some(Anchor {
                            back,
                            give_back: Some(look.first),
                        });
                    } else {
                        return None;
                    }
                }
            },
        }
    }
    certain(back)
}

/// Proves that the value has only one possible end although its set holds what follows.
///
/// Some byte of the literal text after it occurs in no field before a byte outside the set (or the end of the line).
/// The number of such bytes after the value is therefore fixed, and two possible ends would differ in it.
pub(super) fn only_one_end(look: &Look, rest: &[Part]) -> bool {
    let Some((Part::Literal { text, .. }, _)) = rest.split_first() else {
        return false;
    };
    if look.pairs {
        return false;
    }
    text.iter().any(|mark| counts(look.wide, *mark, rest))
}

fn counts(set: ByteSet, mark: u8, rest: &[Part]) -> bool {
    for part in rest {
        match part {
            Part::Literal { text, .. } => {
                if text.iter().any(|byte| !set.has(*byte)) {
                    return true;
                }
            }
            Part::Field { look, .. } => match look.layout {
                Layout::Fixed(fixed) => {
                    for place in 0..fixed.len() {
                        let bytes = fixed.at(place);
                        if !set.meets(&bytes) {
                            return true;
                        }
                        if bytes.has(mark) || !set.covers(&bytes) {
                            return false;
                        }
                    }
                }
                Layout::Run | Layout::List => {
                    let mut bytes = look.all();
                    if look.layout == Layout::List {
                        bytes = bytes.or(ByteSet::of(b" ,:"));
                    }
                    if bytes.has(mark) || !set.covers(&bytes) {
                        return false;
                    }
                }
            },
        }
    }
    true
}

/// Whether the following parts can begin with `pattern`; true when that is uncertain.
pub(super) fn can_begin(rest: &[Part], pattern: &[u8]) -> bool {
    let Some(first) = pattern.first() else {
        return true;
    };
    match rest.split_first() {
        None => false,
        Some((Part::Literal { text, .. }, rest)) => {
            let shared = text.len().min(pattern.len());
            text[..shared] == pattern[..shared] && can_begin(rest, &pattern[shared..])
        }
        Some((Part::Field { look, .. }, rest)) => match look.layout {
            Layout::Fixed(fixed) => fixed.at(0).has(*first),
            Layout::Run | Layout::List => {
                look.begins().has(*first) || (look.empty && can_begin(rest, pattern))
            }
        },
    }
}
