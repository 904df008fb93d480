//! Finds a time in a line that no format takes, so that the line still goes to its day.
//!
//! The search is the same for every line and every configuration: place and id of an unparsed line must not
//! change when a format is added. It knows the two forms in which nginx writes a whole time,
//! `$time_local` and `$time_iso8601`.

use logweir_parsers::time::{self, Stamp};

/// `23/Nov/2026:05:26:59 +0000`
const LOCAL_LEN: usize = 26;
/// `2026-11-23T05:26:59+00:00`
const ISO_LEN: usize = 25;
/// A line's time stands near its beginning; text further on is the client's.
const SEARCHED: usize = 4096;

/// The first readable time in `line`.
pub(super) fn find_time(line: &[u8]) -> Option<Stamp> {
    let line = &line[..line.len().min(SEARCHED)];
    // every form has two digits and a separator before its month
    memchr::memchr2_iter(b'/', b'-', line).find_map(|at| {
        let local = at
            .checked_sub(2)
            .and_then(|from| line.get(from..from + LOCAL_LEN));
        let iso = at
            .checked_sub(4)
            .and_then(|from| line.get(from..from + ISO_LEN));
        local
            .and_then(time::local)
            .or_else(|| iso.and_then(time::iso8601))
            .filter(super::stamp::readable)
    })
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
}
