//! Hints at the probable nature of an unparsed line, by its look.
//!
//! Owns the looks of lines that occur in access logs but are not access log lines. A hint never decides anything: it
//! accompanies the parser's own reason.

use logweir_parsers::{Expected, ParseError, cri, error_log};

/// The hint about a line that no format matches.
pub(super) fn hint(line: &[u8], error: &ParseError, ended: bool) -> Option<&'static str> {
    let begins = |head: &[u8]| line.starts_with(head);
    let offset = usize::try_from(error.offset).unwrap_or(usize::MAX);
    if line.iter().take(64).all(|byte| *byte == 0) {
        return Some(
            "NUL bytes: the file was emptied (copytruncate) while nginx went on writing at its old place; \
             rotate by rename and USR1 instead",
        );
    }
    if !ended {
        return Some(
            "the line has no line end: nginx may still be writing it, or its disk was full",
        );
    }
    if begins(b"{\"log\":") || begins(b"{\"stream\":") {
        return Some(
            "Docker's json-file wraps each line; let nginx write to a file on a shared volume",
        );
    }
    if cri::parse(line).is_some() {
        return Some("a container runtime wraps each line; set framing = \"cri\" in its [[logs]]");
    }
    if begins(b"{") && offset == 0 {
        return Some(
            "a JSON line: give its log_format, with escape=json, by --format or in [[logs]] format",
        );
    }
    if begins(b"<") && line.get(1).is_some_and(u8::is_ascii_digit) {
        return Some("a syslog header: let nginx write to a file");
    }
    if error_log::is_line(line) {
        return Some("a line of an error_log; give error_log a file of its own");
    }
    if error.expected == Expected::EndOfLine {
        return Some(
            "the line continues after the format's end: it was written by a longer log_format",
        );
    }
    if offset >= line.strip_suffix(b"\r").unwrap_or(line).len() {
        return Some(
            "the line ends too early: it was written by a shorter log_format, or cut off when the disk was full",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use logweir_parsers::{Captures, Format};

    #[test]
    fn lines_are_recognised_by_their_form() {
        let said = |line: &str, word: &str| {
            let format = Format::combined();
            let error = format
                .parse(line.as_bytes(), &mut Captures::new())
                .unwrap_err();
            let hint = hint(line.as_bytes(), &error, true).unwrap_or_default();
            assert!(hint.contains(word), "{line:?}: {hint:?}");
        };
        let good = "1.2.3.4 - - [23/Nov/2026:05:41:14 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"";
        said("\0\0\0 - -", "");
        said("\0\0\0", "NUL");
        said(&format!("{good} 0.001"), "longer");
        said(&good[..60], "short");
        said(&format!("{}\r", &good[..60]), "short");
        said("{\"log\":\"1.2.3.4 - -\"}", "Docker");
        said("{\"time\":\"x\"}", "JSON");
        said(
            "2026-11-23T05:41:14.123456789Z stdout F 1.2.3.4 - -",
            "container",
        );
        said("<190>Nov 23 05:41:14 web nginx: 1.2.3.4 - -", "syslog");
        said("2026/11/23 05:41:14 [error] 12#12: *1 open()", "error_log");
    }

    #[test]
    fn an_unfinished_line_is_reported_as_such() {
        let error = Format::combined()
            .parse(b"1.2.3.4", &mut Captures::new())
            .unwrap_err();
        assert!(
            hint(b"1.2.3.4", &error, false)
                .unwrap()
                .contains("no line end")
        );
    }
}
