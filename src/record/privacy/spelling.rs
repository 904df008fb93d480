//! Decodes one byte of a text: plain, `%HH` once or several times, `\xHH`, `\u00HH`, `\"`.
//!
//! Owns the ways in which a client's or nginx's escaping can hide a byte. Refuses to know the meaning of bytes. Invariant:
//! reading on from the end of each byte passes over any text exactly once.

/// One decoded byte of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) byte: u8,
    /// The number of bytes of its encoded form.
    pub(super) len: usize,
    /// How often it was percent-encoded: a URL in a query's value has its `&` encoded once more.
    pub(super) depth: u8,
}

/// Decodes the byte at `at`, which lies within `text`.
#[inline]
pub(super) fn unit(text: &[u8], at: usize) -> Unit {
    let plain = Unit {
        byte: text[at],
        len: 1,
        depth: 0,
    };
    match text[at] {
        b'%' => percent(text, at).unwrap_or(plain),
        b'\\' => backslash(text, at).unwrap_or(plain),
        _ => plain,
    }
}

#[cold]
fn percent(text: &[u8], at: usize) -> Option<Unit> {
    let (mut from, mut depth) = (at + 1, 1_u8);
    while text[from..].starts_with(b"25") && hex(text, from + 2).is_some() {
        from += 2;
        depth = depth.saturating_add(1);
    }
    Some(Unit {
        byte: hex(text, from)?,
        len: from + 2 - at,
        depth,
    })
}

#[cold]
fn backslash(text: &[u8], at: usize) -> Option<Unit> {
    let (byte, len) = match text.get(at + 1)? {
        b'x' => (hex(text, at + 2)?, 4),
        b'u' if text[at + 2..].starts_with(b"00") => (hex(text, at + 4)?, 6),
        byte @ (b'"' | b'\\' | b'/') => (*byte, 2),
        _ => return None,
    };
    Some(Unit {
        byte,
        len,
        depth: 0,
    })
}

fn hex(text: &[u8], at: usize) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (high, low) = (digit(*text.get(at)?)?, digit(*text.get(at + 1)?)?);
    u8::try_from(high << 4 | low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoding_is_one_byte() {
        let read = |text: &str| {
            let Unit { byte, len, depth } = unit(text.as_bytes(), 0);
            (char::from(byte), len, depth)
        };
        assert_eq!(read("a"), ('a', 1, 0));
        assert_eq!(read("%3d1"), ('=', 3, 1));
        assert_eq!(read("%253D"), ('=', 5, 2));
        assert_eq!(read("%25253D"), ('=', 7, 3));
        assert_eq!(read("%25"), ('%', 3, 1));
        assert_eq!(read("%2520203"), (' ', 5, 2));
        assert_eq!(read("%2"), ('%', 1, 0));
        assert_eq!(read("%zz"), ('%', 1, 0));
        assert_eq!(read("\\x22"), ('"', 4, 0));
        assert_eq!(read("\\u003d"), ('=', 6, 0));
        assert_eq!(read("\\\""), ('"', 2, 0));
        assert_eq!(read("\\"), ('\\', 1, 0));
    }
}
