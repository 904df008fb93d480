//! The parts of a line that identify it: the letter of its log and a number.

use std::hash::{DefaultHasher, Hasher as _};
use std::time::{SystemTime, UNIX_EPOCH};

/// Before the letter and the number, in the request's query.
const MARK: &[u8] = b"mark=";
/// Lines longer than this are cut by the agent (its `max_line_bytes`).
pub(super) const LIMIT: usize = 16 * 1024;

const SECONDS_IN_DAY: u64 = 86_400;

/// `mark=c-123.`
pub(super) fn mark(letter: char, number: usize) -> String {
    format!("mark={letter}-{number}.")
}

/// Letter and number of a line.
pub(super) fn find(line: &[u8]) -> Option<(char, usize)> {
    let rest = &line[memchr::memmem::find(line, MARK)? + MARK.len()..];
    let (letter, rest) = rest.split_first()?;
    let rest = rest.strip_prefix(b"-")?;
    let number = &rest[..memchr::memchr(b'.', rest)?];
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some((char::from(*letter), number))
}

/// The hash of the part of a line that belongs into the index.
pub(super) fn hash(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(&line[..line.len().min(LIMIT)]);
    hasher.finish()
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// As nginx's `$time_local` in UTC: `23/Nov/2026:05:26:59 +0000`.
pub(super) fn time_local(seconds: u64) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (year, month, day) = civil(seconds / SECONDS_IN_DAY);
    let second = seconds % SECONDS_IN_DAY;
    let month = usize::try_from(month - 1).ok();
    let month = month.and_then(|month| MONTHS.get(month)).unwrap_or(&"Jan");
    format!(
        "{day:02}/{month}/{year}:{:02}:{:02}:{:02} +0000",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// The index of the day this many days ago.
pub(super) fn index_of(days_ago: u64) -> String {
    let (year, month, day) = civil(now() / SECONDS_IN_DAY - days_ago);
    format!("nginx-access-{year}.{month:02}.{day:02}")
}

/// Year, month and day of a day since 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`).
fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let era = day / 146_097;
    let of_era = day % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_nginx_writes_it() {
        assert_eq!(time_local(1_795_411_619), "23/Nov/2026:05:26:59 +0000");
        assert_eq!(time_local(951_782_400), "29/Feb/2000:00:00:00 +0000");
        assert_eq!(time_local(1_704_067_199), "31/Dec/2023:23:59:59 +0000");
    }

    #[test]
    fn a_mark_is_found_again_when_it_is_whole() {
        let line = format!("x \"GET /a?b=1&{} HTTP/1.1\"", mark('c', 120));
        assert_eq!(find(line.as_bytes()), Some(('c', 120)));
        assert_eq!(find(b"GET /?mark=c-12"), None);
        assert_eq!(find(b"GET /?mark=c-. x"), None);
        assert_eq!(find(b""), None);
    }

    #[test]
    fn the_part_behind_the_limit_does_not_count() {
        let line = vec![b'x'; LIMIT + 5];
        assert_eq!(hash(&line), hash(&line[..LIMIT]));
        assert_ne!(hash(&line), hash(&line[..LIMIT - 1]));
    }
}
