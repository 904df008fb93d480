//! Writes JSON strings and numbers into a buffer.
//!
//! Owns the escaping. Refuses to know fields. Invariant: the output is valid JSON in UTF-8, whatever bytes a client sent.
//! A value without escapes is copied as it is; that is nearly every value.

use logweir_parsers::Escape;

/// Lower-case hex digits for `\u00XX`.
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `raw`, a value as nginx escaped it, as the inside of a JSON string (no quotes). A `plain` value is
/// copied; `scratch` holds the decoded form of any other value.
pub(crate) fn value(
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
    escape: Escape,
    plain: bool,
    raw: &[u8],
) {
    if plain || Escape::is_plain(raw) {
        out.extend_from_slice(raw);
    } else {
        scratch.clear();
        escape.decode(raw, scratch);
        text(out, scratch);
    }
}

/// Appends UTF-8 `text` as the inside of a JSON string (RFC 8259, section 7).
pub(crate) fn text(out: &mut Vec<u8>, text: &[u8]) {
    let mut from = 0;
    for (at, &byte) in text.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x00..=0x1f | 0x7f => 0,
            _ => continue,
        };
        out.extend_from_slice(&text[from..at]);
        from = at + 1;
        if short == 0 {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 0x0f)]);
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
    }
    out.extend_from_slice(&text[from..]);
}

/// Returns `value` as the inside of a JSON string, for constants that are built once.
pub(crate) fn constant(value: &str) -> String {
    let mut out = Vec::with_capacity(value.len());
    text(&mut out, value.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether the number fits into Elasticsearch's `long`; the index would refuse a document with a larger one.
pub(crate) fn is_long(value: &u64) -> bool {
    i64::try_from(*value).is_ok()
}

/// Appends an integer.
pub(crate) fn integer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `key` and returns the offset where it begins.
#[inline(always)]
pub(crate) fn open(out: &mut Vec<u8>, key: &[u8]) -> usize {
    let mark = out.len();
    out.extend_from_slice(key);
    mark
}

/// Ends an object that has members, each of which ended with a comma.
pub(crate) fn end(out: &mut Vec<u8>) {
    if let Some(last) = out.last_mut() {
        *last = b'}';
    }
    out.push(b',');
}

/// Ends an object whose members each ended with a comma. An object without members is removed: the buffer is cut back
/// to `mark`, where its key began.
pub(crate) fn close(out: &mut Vec<u8>, mark: usize) {
    match out.last() {
        Some(b',') => end(out),
        _ => out.truncate(mark),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_reads_back(value in ".*") {
            let mut out = b"\"".to_vec();
            text(&mut out, value.as_bytes());
            out.push(b'"');
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), value);
        }

        #[test]
        fn any_bytes_make_valid_json(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
            for escape in [Escape::Default, Escape::Json, Escape::None] {
                let (mut out, mut scratch) = (b"\"".to_vec(), Vec::new());
                value(&mut out, &mut scratch, escape, false, &raw);
                out.push(b'"');
                prop_assert!(serde_json::from_slice::<String>(&out).is_ok());
            }
        }
    }

    #[test]
    fn an_empty_object_is_removed() {
        let mut out = b"{".to_vec();
        let mark = out.len();
        out.extend_from_slice(b"\"tls\":{");
        close(&mut out, mark);
        assert_eq!(out, b"{");
        out.extend_from_slice(b"\"url\":{\"path\":\"/\",");
        close(&mut out, mark);
        assert_eq!(out, b"{\"url\":{\"path\":\"/\"},");
    }
}
