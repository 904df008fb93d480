//! Finds complete lines in bytes that begin at a line's start.
//!
//! Owns: what a line is (bytes up to and including `\n`) and when it is too long. Refuses to know: files. Invariant:
//! bytes that are handed out end with `\n` or are the marked beginning of an over-long line. The failure it guards
//! against: an incomplete line is sent, which could not be corrected, because the id of a line is its offset.

use memchr::{memchr, memrchr};

/// The content of a buffer that begins at the start of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// Complete lines of this many bytes, including the last `\n`; none exceeds the limit.
    Lines(usize),
    /// One line over the limit; its end may be after the buffer.
    Long,
    /// The beginning of one line within the limit, so far.
    Partial,
}

/// Classifies `bytes`; a line of more than `limit` bytes (without its `\n`) is long.
pub(super) fn head(bytes: &[u8], limit: usize) -> Head {
    let mut complete = 0;
    loop {
        let rest = &bytes[complete..];
        // In this window the last `\n` ends a run of lines none of which can be over the limit.
        let window = &rest[..rest.len().min(limit.saturating_add(1))];
        match memrchr(b'\n', window) {
            Some(end) => complete += end + 1,
            None if complete > 0 => return Head::Lines(complete),
            None if rest.len() > limit => return Head::Long,
            None => return Head::Partial,
        }
    }
}

/// The length of the first line including its `\n`, if it is complete.
pub(super) fn first(bytes: &[u8]) -> Option<usize> {
    memchr(b'\n', bytes).map(|end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_limit_counts_without_the_newline() {
        assert_eq!(head(b"abc\n", 3), Head::Lines(4));
        assert_eq!(head(b"abcd\n", 3), Head::Long);
        assert_eq!(head(b"abcd", 3), Head::Long);
        assert_eq!(head(b"abc", 3), Head::Partial);
        assert_eq!(head(b"", 3), Head::Partial);
        assert_eq!(head(b"a\nabcd\n", 3), Head::Lines(2));
        assert_eq!(head(b"a\nabc", 3), Head::Lines(2));
    }

    proptest! {
        #[test]
        fn agrees_with_counting_line_by_line(text in "[ab\n]{0,40}", limit in 1_usize..8) {
            let mut complete = 0;
            let mut long = false;
            for line in text.split_inclusive('\n') {
                long = line.trim_end_matches('\n').len() > limit;
                if long || !line.ends_with('\n') {
                    break;
                }
                complete += line.len();
            }
            let expected = match (complete, long) {
                (0, true) => Head::Long,
                (0, false) => Head::Partial,
                (complete, _) => Head::Lines(complete),
            };
            prop_assert_eq!(head(text.as_bytes(), limit), expected);
        }
    }
}
