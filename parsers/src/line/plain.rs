//! Classifies the bytes of a whole line in one pass.
//!
//! Owns the pass. Refuses to know where values begin and end. Invariant: a line is plain exactly if none of its values needs
//! decoding, so that no value must be checked by itself.

/// The number of bytes examined together: the loop over a block becomes vector instructions, and its counts fit into a
/// byte.
const BLOCK: usize = 64;

/// The classes of bytes in a line, independent of the format. They are computed once, even if many formats are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plainness {
    /// Some byte is a `\`, or is not printable ASCII.
    pub(super) odd: bool,
    /// The number of `"`.
    quotes: usize,
}

impl Plainness {
    /// Examines each byte of `line` once.
    #[inline]
    pub fn of(line: &[u8]) -> Plainness {
        let (blocks, rest) = line.as_chunks::<BLOCK>();
        let mut last = [b' '; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        let (mut odd, mut quotes) = look(&last);
        for block in blocks {
            let (more_odd, more) = look(block);
            odd |= more_odd;
            quotes += more;
        }
        Plainness { odd, quotes }
    }

    /// Whether all bytes are plain, and the only `"` are the `quotes` of a format.
    pub(super) fn is_plain(self, quotes: usize) -> bool {
        !self.odd && self.quotes == quotes
    }
}

/// Whether a block has a byte that is never plain, and its number of `"`.
#[inline(always)]
fn look(block: &[u8; BLOCK]) -> (bool, usize) {
    let (mut odd, mut quotes) = (false, 0u8);
    for &byte in block {
        odd |= !(b' '..=b'~').contains(&byte) | (byte == b'\\');
        quotes += u8::from(byte == b'"');
    }
    (odd, usize::from(quotes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Escape;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_plain_line_has_only_plain_values(
            line in prop::collection::vec(prop_oneof![20 => b' '..=b'~', 1 => any::<u8>()], 0..300),
            repeated in 1..40_usize,
        ) {
            let line = line.repeat(repeated);
            let quotes = line.iter().filter(|byte| **byte == b'"').count();
            let without: Vec<u8> = line.iter().copied().filter(|byte| *byte != b'"').collect();
            let of = Plainness::of(&line);
            prop_assert_eq!(of.is_plain(quotes), Escape::is_plain(&without));
            prop_assert!(!of.is_plain(quotes + 1));
        }
    }

    #[test]
    fn one_special_byte_is_found_at_every_position() {
        for length in [1, 15, 63, 64, 65, 100, 128, 129, 20_000] {
            let mut line = vec![b'"'; length];
            assert!(Plainness::of(&line).is_plain(length));
            for at in [0, length / 2, length - 1] {
                for odd in [0, 0x1f, b'\\', 0x7f, 0x80, 0xff] {
                    line[at] = odd;
                    assert!(
                        !Plainness::of(&line).is_plain(length - 1),
                        "{odd} at {at} of {length}"
                    );
                }
                line[at] = b'"';
            }
        }
    }
}
