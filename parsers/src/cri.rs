//! Reads the head that a Kubernetes container runtime puts before each line of a container's output.
//!
//! Owns the form `<time> <stream> <tags> <payload>`: `2026-11-27T12:00:00.123456789Z stdout F payload` (Kubernetes, "CRI
//! Container Stdout/Stderr Logs"; `pkg/kubelet/kuberuntime/logs/logs.go`, `parseCRILog`). Refuses to know which lines
//! make one line of the container. Invariant: only the first [`MAX_HEAD`] bytes of a line decide whether it has a head,
//! so that the beginning of a long line gives the same answer as the whole line.

use crate::time::{self, Stamp};

/// The longest head in bytes, with the space after the tags.
pub const MAX_HEAD: usize = 128;

/// Where the container wrote the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of a CRI file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'l> {
    /// The time at which the runtime read the line, as it is written: RFC 3339 with up to nine digits of a fraction.
    pub time: &'l [u8],
    /// The stream that the container wrote to.
    pub stream: Stream,
    /// Whether the line of the container goes on in the next line of the same stream (tag `P`).
    pub is_part: bool,
    /// What the container wrote.
    pub payload: &'l [u8],
}

/// Reads one line without its `\n`, or at least its first [`MAX_HEAD`] bytes; `None` if it has no head.
///
/// ```
/// use logweir_parsers::cri::{self, Stream};
///
/// let line = cri::parse(b"2026-11-27T12:00:00.5+01:00 stdout F GET / 200").unwrap();
/// assert_eq!((line.stream, line.is_part, line.payload), (Stream::Stdout, false, &b"GET / 200"[..]));
/// ```
pub fn parse(line: &[u8]) -> Option<Line<'_>> {
    let head = &line[..line.len().min(MAX_HEAD)];
    let length = time_length(head)?;
    let (time, rest) = head.split_at(length);
    let (stream, rest) = match rest.strip_prefix(b" stdout ") {
        Some(rest) => (Stream::Stdout, rest),
        None => (Stream::Stderr, rest.strip_prefix(b" stderr ")?),
    };
    let (tag, more) = rest.split_first()?;
    let is_part = match tag {
        b'P' => true,
        b'F' => false,
        _ => return None,
    };
    // Further tags follow after a colon. An editor may have removed the space before an empty payload.
    let payload = match more.first() {
        None if line.len() <= MAX_HEAD => line.len(),
        Some(b' ') => head.len() - more.len() + 1,
        Some(b':') => {
            let end = memchr::memchr(b' ', more)?;
            head.len() - more.len() + end + 1
        }
        _ => return None,
    };
    Some(Line {
        time,
        stream,
        is_part,
        payload: &line[payload..],
    })
}

/// The moment that [`Line::time`] denotes; `None` if it does not exist.
pub fn time(raw: &[u8]) -> Option<Stamp> {
    let (second, rest) = raw.split_at_checked(SECOND.len())?;
    let digits = match rest.strip_prefix(b".") {
        Some(rest) => rest.iter().take_while(|byte| byte.is_ascii_digit()).count(),
        None => 0,
    };
    let (fraction, zone) = match digits {
        0 => (&b""[..], rest),
        _ => (&rest[1..=digits], &rest[1 + digits..]),
    };
    let zone = if zone == b"Z" { b"+00:00" } else { zone };
    let mut text = [0; 25];
    text[..SECOND.len()].copy_from_slice(second);
    text[SECOND.len()..].copy_from_slice(zone.get(..6)?);
    let mut nanos = 0;
    for at in 0..9 {
        let digit = fraction.get(at).map_or(0, |digit| u32::from(digit - b'0'));
        nanos = nanos * 10 + digit;
    }
    Some(Stamp {
        nanos,
        ..time::iso8601(&text)?
    })
}

/// Whether nginx itself cannot have written this time: `$time_iso8601` has neither a fraction nor a `Z`
/// (ngx_times.c).
pub fn is_time_of_a_runtime(raw: &[u8]) -> bool {
    raw.get(SECOND.len()) == Some(&b'.') || raw.last() == Some(&b'Z')
}

/// A date and a time of day; `0` is any digit.
const SECOND: &[u8; 19] = b"0000-00-00T00:00:00";

/// The length of the time at the beginning of `text`.
fn time_length(text: &[u8]) -> Option<usize> {
    let (second, rest) = text.split_at_checked(SECOND.len())?;
    let is_like = |text: &[u8], pattern: &[u8]| {
        text.len() == pattern.len()
            && text.iter().zip(pattern).all(|(byte, like)| match like {
                b'0' => byte.is_ascii_digit(),
                other => byte == other,
            })
    };
    if !is_like(second, SECOND) {
        return None;
    }
    let fraction = match rest.strip_prefix(b".") {
        Some(rest) => match rest.iter().take_while(|byte| byte.is_ascii_digit()).count() {
            digits @ 1..=9 => digits + 1,
            _ => return None,
        },
        None => 0,
    };
    let zone = &rest[fraction..];
    let zone = match zone.first()? {
        b'Z' => 1,
        b'+' | b'-' if is_like(zone.get(1..6)?, b"00:00") => 6,
        _ => return None,
    };
    Some(SECOND.len() + fraction + zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(line: &str) -> Option<(&str, Stream, bool, &str)> {
        let line = parse(line.as_bytes())?;
        let text = |bytes| std::str::from_utf8(bytes).expect("ASCII");
        Some((
            text(line.time),
            line.stream,
            line.is_part,
            text(line.payload),
        ))
    }

    #[test]
    fn lines_of_containerd_and_of_cri_o() {
        use Stream::{Stderr, Stdout};
        for (line, expected) in [
            (
                "2026-11-27T12:00:00.123456789Z stdout F a b",
                ("2026-11-27T12:00:00.123456789Z", Stdout, false, "a b"),
            ),
            (
                "2026-11-27T12:00:00.5+01:00 stderr P x",
                ("2026-11-27T12:00:00.5+01:00", Stderr, true, "x"),
            ),
            // Go leaves the fraction out if it is zero
            (
                "2026-11-27T12:00:00Z stdout F:tag:other  x",
                ("2026-11-27T12:00:00Z", Stdout, false, " x"),
            ),
            (
                "2026-11-27T12:00:00.1-03:30 stdout P ",
                ("2026-11-27T12:00:00.1-03:30", Stdout, true, ""),
            ),
            (
                "2026-11-27T12:00:00.1Z stdout F",
                ("2026-11-27T12:00:00.1Z", Stdout, false, ""),
            ),
        ] {
            assert_eq!(parts(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn other_lines_have_no_head() {
        for line in [
            "",
            "2026-11-27T12:00:00.1Z",
            "2026-11-27T12:00:00.1Z stdout",
            "2026-11-27T12:00:00.1Z stdout ",
            "2026-11-27T12:00:00.1Z stdout X a",
            "2026-11-27T12:00:00.1Z stdout FULL a",
            "2026-11-27T12:00:00.1Z stdin F a",
            "2026-11-27T12:00:00.1Z  stdout F a",
            "2026-11-27T12:00:00. stdout F a",
            "2026-11-27T12:00:00.Z stdout F a",
            "2026-11-27T12:00:00.1234567890Z stdout F a",
            "2026-11-27T12:00:00.1 stdout F a",
            "2026-11-27T12:00:00.1+0100 stdout F a",
            "2026-11-27 12:00:00.1Z stdout F a",
            " 2026-11-27T12:00:00.1Z stdout F a",
            r#"{"log":"a\n","stream":"stdout","time":"2026-11-27T12:00:00.1Z"}"#,
            r#"203.0.113.9 - - [23/Nov/2026:05:41:14 +0000] "GET / HTTP/1.1" 200 1 "-" "-""#,
        ] {
            assert_eq!(parts(line), None, "{line}");
        }
    }

    #[test]
    fn the_beginning_of_a_line_decides() {
        let tags = |length: usize| {
            format!(
                "2026-11-27T12:00:00Z stdout F:{} payload {}",
                "t".repeat(length),
                "p".repeat(500)
            )
        };
        for (line, has_head) in [
            (tags(1), true),
            (tags(96), true),
            (tags(97), true),
            (tags(98), false),
        ] {
            let line = line.as_bytes();
            assert_eq!(parse(line).is_some(), has_head);
            assert_eq!(parse(&line[..MAX_HEAD]).is_some(), has_head);
        }
        // without its space, a head that fills the limit is that of a longer line
        let full = format!("2026-11-27T12:00:00Z stdout F:{}", "t".repeat(98));
        assert_eq!(full.len(), MAX_HEAD);
        assert_eq!(parse(full.as_bytes()), None);
    }

    #[test]
    fn times() {
        let at =
            |text: &str| time(text.as_bytes()).map(|at| (at.seconds, at.nanos, at.offset_minutes));
        let noon = 1_795_780_800;
        assert_eq!(at("2026-11-27T12:00:00Z"), Some((noon, 0, Some(0))));
        assert_eq!(
            at("2026-11-27T12:00:00.000000001Z"),
            Some((noon, 1, Some(0)))
        );
        assert_eq!(
            at("2026-11-27T13:00:00.5+01:00"),
            Some((noon, 500_000_000, Some(60)))
        );
        assert_eq!(at("2026-02-30T13:00:00.5+01:00"), None);
        assert_eq!(at("2026-11-27T12:00:60Z"), None);
    }

    #[test]
    fn a_time_that_nginx_writes_is_not_one_of_a_runtime() {
        assert!(!is_time_of_a_runtime(b"2026-11-27T12:00:00+00:00"));
        assert!(is_time_of_a_runtime(b"2026-11-27T12:00:00Z"));
        assert!(is_time_of_a_runtime(b"2026-11-27T12:00:00.1+00:00"));
    }
}
