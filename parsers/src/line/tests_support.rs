//! Writes values as nginx does, for tests.
#![allow(clippy::unwrap_used)]

use crate::escape::Escape;

/// `ngx_http_log_escape` (ngx_http_log_module.c) and `ngx_escape_json` (ngx_string.c).
pub(crate) fn write_escaped(escape: Escape, value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        match (escape, *byte) {
            (Escape::None, byte) => out.push(byte),
            (Escape::Default, 0..=0x1f | b'"' | b'\\' | 0x7f..) => {
                out.extend_from_slice(format!("\\x{byte:02X}").as_bytes());
            }
            (Escape::Default, byte) => out.push(byte),
            (Escape::Json, b'"' | b'\\') => out.extend_from_slice(&[b'\\', *byte]),
            (Escape::Json, b'\n') => out.extend_from_slice(b"\\n"),
            (Escape::Json, b'\r') => out.extend_from_slice(b"\\r"),
            (Escape::Json, b'\t') => out.extend_from_slice(b"\\t"),
            (Escape::Json, 0x08) => out.extend_from_slice(b"\\b"),
            (Escape::Json, 0x0c) => out.extend_from_slice(b"\\f"),
            (Escape::Json, 0..=0x1f) => {
                out.extend_from_slice(format!("\\u{byte:04X}").as_bytes());
            }
            (Escape::Json, byte) => out.push(byte),
        }
    }
}
