//! Finds a time in a line that matches no format, so that the line still goes to the index of its day.
//!
//! The search is the same for every line and every configuration: index and id of an unparsed line must not change when a
//! format is added. It knows the three forms in which nginx writes a whole time, `$time_local`, `$time_iso8601` and `$msec`,
//! and takes the first one in the line. If nginx wrote it, a format would have read the same second from any of its time
//! fields: nginx writes all of them from one reading of its clock (ngx_times.c), and in most formats the text from the client
//! follows them. This is rule 1 of identity.
//!
//! Only in a line without any of these three, rule 2 looks for a date and a time of day in another notation, as `custom`
//! reads it from formats without one of nginx's times. A number does not count here, because its key is unknown.

use crate::time::{self, Stamp};

/// `23/Nov/2026:05:26:59 +0000`
const LOCAL_LEN: usize = 26;
/// `2026-11-23T05:26:59+00:00`
const ISO_LEN: usize = 25;
/// `1795411619.123`, of the seconds from 2001 on
const MSEC_LEN: usize = 14;
/// The time of a line is near its beginning; later text comes from the client.
const SEARCHED: usize = 4096;

/// Returns the first readable time in `line`.
pub fn find_time(line: &[u8]) -> Option<Stamp> {
    let line = &line[..line.len().min(SEARCHED)];
    nginx_time(line).or_else(|| other_time(line))
}

/// Rule 1.
fn nginx_time(line: &[u8]) -> Option<Stamp> {
    // two forms have two digits and a separator before the month, the third has a dot after the seconds
    memchr::memchr3_iter(b'/', b'-', b'.', line).find_map(|at| {
        let form = |before, length| {
            let from = at.checked_sub(before)?;
            Some((from, line.get(from..from + length)?))
        };
        let stamp = match line[at] {
            b'.' => form(10, MSEC_LEN)
                .filter(|&(from, raw)| is_isolated(line, from, from + raw.len()))
                .and_then(|(_, raw)| time::msec(raw)),
            _ => form(2, LOCAL_LEN)
                .and_then(|(_, raw)| time::local(raw))
                .or_else(|| form(4, ISO_LEN).and_then(|(_, raw)| time::iso8601(raw))),
        };
        stamp.filter(Stamp::is_readable)
    })
}

/// Rule 2.
fn other_time(line: &[u8]) -> Option<Stamp> {
    memchr::memchr2_iter(b'/', b'-', line).find_map(|at| {
        // after the year, or after the day
        [4, 2].into_iter().find_map(|before| {
            let from = at.checked_sub(before)?;
            time::readings(&line[from..])
                .filter(|read| !read.bare && is_isolated(line, from, from + read.end))
                .map(|read| read.stamp)
                .find(Stamp::is_readable)
        })
    })
}

/// Whether a time is a value of its own and not part of a longer value, an address or an id: operators build request
/// ids from `$pid-$msec-…`, and browsers build cookies from times and random numbers.
fn is_isolated(line: &[u8], from: usize, to: usize) -> bool {
    let apart = |byte: Option<&u8>| {
        byte.is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b".-_/+%&?@".contains(byte))
    };
    apart(from.checked_sub(1).and_then(|before| line.get(before))) && apart(line.get(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(line: &str) -> Option<i64> {
        find_time(line.as_bytes()).map(|stamp| stamp.seconds)
    }

    #[test]
    fn the_first_readable_time_counts() {
        let expected = Some(1_795_411_619);
        assert_eq!(
            seconds("x - - [23/Nov/2026:05:26:59 +0000] rubbish"),
            expected
        );
        assert_eq!(seconds("x 2026-11-23T05:26:59+00:00 rubbish"), expected);
        assert_eq!(seconds("1/2 x-y [23/Nov/2026:05:26:59 +0000"), expected);
        assert_eq!(seconds("23/Nov/2026:05:26:59 +0000"), expected);
        assert_eq!(seconds("no time / here - at all"), None);
        assert_eq!(seconds("23/Nov/1926:05:26:59 +0000"), None);
        assert_eq!(
            seconds("23/Nov/1926:05:26:59 +0000 2026-11-23T05:26:59+00:00"),
            expected
        );
        assert_eq!(seconds(""), None);
    }

    #[test]
    fn other_notations_count_without_a_time_of_nginx() {
        let expected = Some(1_795_411_619);
        for line in [
            r#"{"ts":"2026-11-23T05:26:59.865+00:00","ip":"1.2.3.4"}"#,
            "2026-11-23T06:26:59,865+0100 1.2.3.4",
            "2026-11-23 05:26:59 1.2.3.4",
            "1.2.3.4 [23/Nov/2026:05:26:59.865 +0000] GET",
            "time:2026-11-23T05:26:59Z\thost:a",
            "2026/11/23 05:26:59 [error] 12#12: *1 open()",
            // one of nginx's own times comes first, wherever it is
            "2026-11-22T05:26:59Z [23/Nov/2026:05:26:59 +0000]",
            "2026-11-22T05:26:59Z 1795411619.123",
            // not a part of a URL or an id
            "/a/2026-11-22T05:26:59Z /?t=2026-11-22T05:26:59Z& x-2026-11-22T05:26:59Z 2026-11-23T05:26:59Z",
            "1926-11-23T05:26:59.000Z 2026-11-23T05:26:59.000Z",
        ] {
            assert_eq!(seconds(line), expected, "{line}");
        }
        for line in [
            "1795411619",
            "1795411619865",
            "2026-11-23",
            "2026-11-23T05:26:59.000Zx",
        ] {
            assert_eq!(seconds(line), None, "{line}");
        }
    }

    #[test]
    fn seconds_since_1970_are_a_time_if_they_are_isolated() {
        let expected = Some(1_795_411_619);
        for line in [
            "1795411619.123 1.2.3.4 GET /",
            "1795411619.123",
            "x [1795411619.123] 2026-11-23T05:26:58+00:00",
            r#"{"remote":"1.2.3.4","msec":1795411619.123,"status":200}"#,
            r#"{"msec":"1795411619.123"}"#,
            "host:shop.example\tmsec:1795411619.123\tstatus:200",
            "msec=1795411619.123 status=200",
            "a|1795411619.123|b",
            // years in which no web server can have logged
            "0000000000.000 1795411619.123",
            // ids that contain a time
            "17-1795411618.123-42 1795411619.123",
            "GA1.2.1234567890.1795411618 /a?t=1795411618.1234&u=1795411618.123&v [23/Nov/2026:05:26:59 +0000]",
        ] {
            assert_eq!(seconds(line), expected, "{line}");
        }
        for line in [
            "1795411619.12",
            "1795411619.1234",
            "11795411619.123",
            "795411619.123",
            "1.1795411619.123",
            "1795411619.123.4",
            "a1795411619.123",
            "/1795411619.123/",
            "1795411619,123",
        ] {
            assert_eq!(seconds(line), None, "{line}");
        }
    }
}
