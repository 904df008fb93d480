//! The escaping of values by `log_format`'s `escape=`, and how it is undone.
//!
//! | | `default` | `json` | `none` |
//! |---|---|---|---|
//! | escaped | bytes below 0x20, `"`, `\`, 0x7F and above, as `\xHH` | `"`, `\`, bytes below 0x20 | nothing |
//! | a missing variable | `-` | nothing | nothing |
//!
//! Decoding is exact: every `\` that nginx wrote itself begins an escape. Invariant: decoded text is valid UTF-8, so
//! that a client's bytes never produce a document that the index refuses.

/// The `escape=` parameter of a `log_format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escape {
    /// `escape=default`, which nginx also uses without the parameter.
    #[default]
    Default,
    /// `escape=json`.
    Json,
    /// `escape=none`: the client can write anything into the line, newlines too.
    None,
}

impl Escape {
    /// Whether the text can be copied into a JSON string unchanged, whatever the escaping: ASCII, no `\`, no `"`, no
    /// control byte.
    ///
    /// ```
    /// use logweir_parsers::Escape;
    /// assert!(Escape::is_plain(b"Mozilla/5.0 (X11)"));
    /// assert!(!Escape::is_plain(br"\x22"));
    /// ```
    pub fn is_plain(raw: &[u8]) -> bool {
        // No early exit, so that the loop becomes vector instructions.
        let odd = |byte: u8| !(b' '..=b'~').contains(&byte) | (byte == b'"') | (byte == b'\\');
        raw.iter()
            .fold(0u8, |found, byte| found | u8::from(odd(*byte)))
            == 0
    }

    /// Appends the value that nginx escaped to `out`.
    ///
    /// Undoes `\xHH` (default) or JSON's escapes (json). Bytes that are not UTF-8 become the text `\xHH`, so the
    /// appended text is always valid UTF-8. A `\` that does not begin an escape is kept.
    ///
    /// ```
    /// use logweir_parsers::Escape;
    /// let mut out = Vec::new();
    /// Escape::Default.decode(br"\xC3\xA4 \x22 \xFF", &mut out);
    /// assert_eq!(out, "ä \" \\xFF".as_bytes());
    /// ```
    pub fn decode(self, raw: &[u8], out: &mut Vec<u8>) {
        let from = out.len();
        match self {
            Escape::Default => undo(raw, out, hex_escape),
            Escape::Json => undo(raw, out, json_escape),
            Escape::None => out.extend_from_slice(raw),
        }
        keep_utf8(out, from);
    }
}

/// Copies `raw` and replaces each escape. `escape` reads the text after a `\`, appends the decoded text, and returns
/// the number of bytes used, or 0 if it is not an escape.
fn undo(raw: &[u8], out: &mut Vec<u8>, escape: fn(&[u8], &mut Vec<u8>) -> usize) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let used = escape(&rest[at + 1..], out);
        if used == 0 {
            out.push(b'\\');
        }
        rest = &rest[at + 1 + used..];
    }
    out.extend_from_slice(rest);
}

/// `xHH`
fn hex_escape(after: &[u8], out: &mut Vec<u8>) -> usize {
    if let [b'x', high, low, ..] = after
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        out.push(high << 4 | low);
        return 3;
    }
    0
}

/// The text after a `\` in a JSON string (RFC 8259, section 7).
fn json_escape(after: &[u8], out: &mut Vec<u8>) -> usize {
    let byte = match after.first() {
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'b') => 0x08,
        Some(b'f') => 0x0C,
        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
        Some(b'u') => return unicode_escape(after, out),
        _ => return 0,
    };
    out.push(byte);
    1
}

/// `uHHHH`. nginx writes only control bytes in this form; a lone surrogate has no UTF-8 and is kept as written.
fn unicode_escape(after: &[u8], out: &mut Vec<u8>) -> usize {
    let Some(digits) = after.get(1..5) else {
        return 0;
    };
    let mut code = 0u32;
    for digit in digits {
        let Some(digit) = hex(*digit) else { return 0 };
        code = code << 4 | u32::from(digit);
    }
    let Some(character) = char::from_u32(code) else {
        return 0;
    };
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    5
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Replaces each byte after `from` that is not part of valid UTF-8 with `\xHH`.
fn keep_utf8(out: &mut Vec<u8>, from: usize) {
    if std::str::from_utf8(&out[from..]).is_ok() {
        return;
    }
    // This is rare: the corrected text is written after the raw text and then moved over it, so no second buffer is
    // needed.
    let raw_end = out.len();
    let mut at = from;
    while at < raw_end {
        let (valid, bad) = match std::str::from_utf8(&out[at..raw_end]) {
            Ok(_) => (raw_end, 0),
            Err(error) => {
                let valid = at + error.valid_up_to();
                (valid, error.error_len().unwrap_or(raw_end - valid))
            }
        };
        out.extend_from_within(at..valid);
        for index in valid..valid + bad {
            let byte = out[index];
            let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value)];
            out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
        }
        at = valid + bad;
    }
    out.drain(from..raw_end);
}

#[cfg(test)]
mod tests;
