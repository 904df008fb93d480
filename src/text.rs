//! Makes text from outside safe to show: it cannot control a terminal or reorder the text around it, and an excerpt has a
//! bounded length.
//!
//! Owns the set of safe characters. Refuses to know the source and the reader of a text. Invariant: the result has no control
//! character, no invisible one and none that changes the writing direction. It guards against a log line, a file name or a
//! server's response that controls the operator's terminal or forges a log line.

use std::fmt::Write as _;

/// As much of a response as a message quotes, in bytes before escaping.
pub(crate) const EXCERPT_BYTES: usize = 300;

/// One line of text: characters that are not safe, line breaks among them, become `\xHH` or `\u{…}`.
pub(crate) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|char| push_safe(&mut out, char));
    out
}

/// Lines of text: as [`safe`], but line breaks stay. For text of our own that quotes text from outside.
pub(crate) fn safe_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' => out.push(char),
            char => push_safe(&mut out, char),
        }
    }
    out
}

/// Any bytes, as [`safe`]; those that are not UTF-8 become `\xHH`.
pub(crate) fn safe_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        chunk
            .valid()
            .chars()
            .for_each(|char| push_safe(&mut out, char));
        for byte in chunk.invalid() {
            push_byte(&mut out, *byte);
        }
    }
    out
}

/// JSON text, made safe without changing what it says: outside its strings it has no such characters but line breaks,
/// which stay.
pub(crate) fn safe_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if is_safe(char) || char == '\n' {
            out.push(char);
        } else {
            for unit in char.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// The beginning of an outside text on one line: at most `limit` bytes, consecutive white space as one blank,
/// `…` where it was cut.
pub(crate) fn excerpt(bytes: &[u8], limit: usize) -> String {
    let head = String::from_utf8_lossy(bytes.get(..limit).unwrap_or(bytes));
    let mut head = &*head;
    let is_cut = bytes.len() > limit;
    if is_cut {
        // The rest of a character that was cut in two.
        head = head.trim_end_matches('\u{fffd}');
    }
    let mut out = String::with_capacity(head.len() + 8);
    for word in head.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        word.chars().for_each(|char| push_safe(&mut out, char));
    }
    if is_cut {
        out.push('…');
    }
    out
}

/// Whether the character moves no cursor, is visible and does not reorder the text around it.
pub(crate) fn is_safe(char: char) -> bool {
    !char.is_control()
        && !matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Appends a character as it may be shown.
pub(crate) fn push_safe(out: &mut String, char: char) {
    if is_safe(char) {
        out.push(char);
    } else {
        push_escaped(out, char);
    }
}

/// Appends a character by its number.
pub(crate) fn push_escaped(out: &mut String, char: char) {
    match u8::try_from(char) {
        Ok(byte) if byte.is_ascii() => push_byte(out, byte),
        _ => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(char));
        }
    }
}

/// Appends a byte as nginx writes it into a log.
pub(crate) fn push_byte(out: &mut String, byte: u8) {
    let _ = write!(out, "\\x{byte:02X}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_speaks_to_the_terminal() {
        assert_eq!(
            safe("a\u{1b}]0;x\u{7}\u{9b}\u{202e}\n"),
            "a\\x1B]0;x\\x07\\u{9b}\\u{202e}\\x0A"
        );
        assert_eq!(safe_lines("a\nb\r\u{2066}"), "a\nb\\x0D\\u{2066}");
        assert_eq!(safe_bytes(b"\xc3\xa4\xc3\0"), "ä\\xC3\\x00");
        assert_eq!(
            safe_json("\"\u{7f}\u{202e}ä\u{e0001}\"\n"),
            "\"\\u007f\\u202eä\\udb40\\udc01\"\n"
        );
    }

    #[test]
    fn an_excerpt_is_one_safe_line_of_bounded_length() {
        assert_eq!(excerpt(b"  a\r\n\tb\x1b[2J ", 300), "a b\\x1B[2J");
        assert_eq!(excerpt("aäb".as_bytes(), 2), "a…");
        assert_eq!(excerpt(b"ab", 2), "ab");
        assert_eq!(excerpt(b"", 2), "");
        assert_eq!(excerpt(b"\xff", 9), "\u{fffd}");
        let long = excerpt("\u{202e}".repeat(1 << 20).as_bytes(), EXCERPT_BYTES);
        assert!(long.len() < 4 * EXCERPT_BYTES, "{}", long.len());
    }
}
