//! Recognises a line of nginx's error log by its form.
//!
//! Owns only this check (`src/core/ngx_log.c`, `ngx_log_error_core`): the time, the level in brackets, process and thread.
//! Refuses to read the message. Invariant: no access log line with a client's text in front is recognised, because an error
//! log line begins with nginx's own time.

/// The names of the levels (`ngx_log.c`, `err_levels`).
const LEVELS: [&str; 8] = [
    "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug",
];

/// Whether a line begins like a line of an error log: `2026/11/23 05:41:14 [error] 12#12: …`.
///
/// ```
/// use logweir_parsers::error_log::is_line;
///
/// assert!(is_line(b"2026/11/23 05:41:14 [error] 12#34: *5 open() \"/x\" failed"));
/// assert!(!is_line(b"203.0.113.9 - - [23/Nov/2026:05:41:14 +0000] \"GET / HTTP/1.1\" 200 1"));
/// ```
pub fn is_line(line: &[u8]) -> bool {
    let Some((time, rest)) = line.split_at_checked(TIME.len()) else {
        return false;
    };
    let is_time = time.iter().zip(TIME).all(|(byte, like)| match like {
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    });
    let level = LEVELS.iter().find_map(|level| {
        let rest = rest.strip_prefix(level.as_bytes())?;
        rest.strip_prefix(b"] ")
    });
    let thread = level
        .and_then(number)
        .and_then(|rest| rest.strip_prefix(b"#"))
        .and_then(number);
    is_time && thread.is_some_and(|rest| rest.starts_with(b":"))
}

/// The text before the level; `0` is any digit.
const TIME: &[u8] = b"0000/00/00 00:00:00 [";

/// The text after a number.
fn number(text: &[u8]) -> Option<&[u8]> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| &text[digits..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_written_by_nginx_are_recognised() {
        for level in LEVELS {
            let line = format!("2026/11/23 05:41:14 [{level}] 12#0: signal process started");
            assert!(is_line(line.as_bytes()), "{line}");
        }
        assert!(is_line(
            b"2026/11/23 05:41:14 [notice] 1#1: using the \"epoll\" event method"
        ));
        assert!(is_line(
            b"2026/11/23 05:41:14 [crit] 4194303#4194303: *18446744073709551615 x"
        ));
    }

    #[test]
    fn other_lines_are_not_recognised() {
        for line in [
            "",
            "2026/11/23 05:41:14 [error] 12#12",
            "2026/11/23 05:41:14 [error] 12: x",
            "2026/11/23 05:41:14 [error] #12: x",
            "2026/11/23 05:41:14 [error]12#12: x",
            "2026/11/23 05:41:14 [fatal] 12#12: x",
            "2026/11/23 05:41:14 error 12#12: x",
            "2026-11-23 05:41:14 [error] 12#12: x",
            " 2026/11/23 05:41:14 [error] 12#12: x",
            "2026/11/23 05:41:14 [203.0.113.9] GET / 200",
            "[Mon Nov 23 05:41:14 2026] [error] [client 203.0.113.9] x",
            "203.0.113.9 - - [23/Nov/2026:05:41:14 +0000] \"GET /?2026/11/23 05:41:14 [error] 12#12: HTTP/1.1\" 200 1",
        ] {
            assert!(!is_line(line.as_bytes()), "{line}");
        }
    }
}
