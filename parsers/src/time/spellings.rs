//! Reads times of programs other than nginx: any ISO 8601 or CLF time, an HTTP date, Unix time.
//!
//! Owns the notations. Refuses to know which text of a line is a time. Text may follow a time, so all possible ends are
//! returned; the caller, who knows the fields, chooses one. Sources: ISO 8601-1:2019 (section 5.4), RFC 3339, the
//! Common Log Format, RFC 9110 (section 5.6.7), RFC 850.
//!
//! Invariant: the result is a date of the calendar, and its zone is the written one. A time without a zone is UTC,
//! never the zone of the local host, because index and id must be the same everywhere.

use super::{Clock, Date, MONTHS, Stamp, stamp, two};

/// The maximum distance of a zone from UTC in hours (Pacific/Kiritimati; in the west it is 12).
const MAX_ZONE_HOURS: u32 = 14;

/// A time at the beginning of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The moment; `offset_minutes` is `None` if the text has no zone.
    pub stamp: Stamp,
    /// How many bytes of the text were read.
    pub end: usize,
    /// Whether it is a whole number that could also be a count of something else.
    pub bare: bool,
}

/// The times that a text begins with, the longest first: with fraction and zone, without the zone, without both.
///
/// - `2026-11-23T05:41:14`, `2026-11-23 05:41:14`, `2026/11/23 05:41:14`, `2026-11-23T05:41`, `20261123T054114`
/// - `23/Nov/2026:05:41:14`
/// - `Mon, 23 Nov 2026 05:41:14`, `Monday, 23-Nov-2026 05:41:14`
/// - seconds (10 digits), milliseconds (13), microseconds (16) or nanoseconds (19) since 1970
///
/// A fraction of a second follows a `.` or `,`; digits beyond the ninth are dropped. A zone is `Z`, `UTC`, `GMT`,
/// `+01:00`, `+0100` or `+01`, with or without one space before it.
///
/// ```
/// use logweir_parsers::time;
/// let ends = |text: &str| time::readings(text.as_bytes()).map(|read| read.end).collect::<Vec<_>>();
/// assert_eq!(ends("2026-11-23T05:41:14.865+00:00 x"), [29, 23, 19]);
/// assert_eq!(ends("1795412474865"), [13]);
/// assert_eq!(ends("yesterday"), []);
/// ```
pub fn readings(raw: &[u8]) -> impl Iterator<Item = Reading> {
    let found = calendar(raw).or_else(|| unix(raw)).unwrap_or_default();
    found.into_iter().flatten()
}

/// The time if the whole text is one; forms as in [`readings`].
///
/// ```
/// use logweir_parsers::time;
/// assert_eq!(time::read(b"2026-11-23T05:41:14Z").map(|stamp| stamp.seconds), Some(1_795_412_474));
/// assert_eq!(time::read(b"2026-11-23T05:41:14Z or so"), None);
/// ```
pub fn read(raw: &[u8]) -> Option<Stamp> {
    readings(raw)
        .find(|read| read.end == raw.len())
        .map(|read| read.stamp)
}

type Readings = [Option<Reading>; 3];

/// A date and a time of day.
fn calendar(raw: &[u8]) -> Option<Readings> {
    let (date, clock, end) = extended(raw)
        .or_else(|| basic(raw))
        .or_else(|| named_month(raw))?;
    let at = stamp(date, clock, 0)?;
    let (nanos, fraction_end) = fraction(raw, end).unwrap_or((0, end));
    let reading = |nanos, zone: Option<i16>, end| Reading {
        stamp: Stamp {
            seconds: at.seconds - i64::from(zone.unwrap_or(0)) * 60,
            nanos,
            offset_minutes: zone,
        },
        end,
        bare: false,
    };
    let zoned = zone(raw, fraction_end).map(|(zone, end)| reading(nanos, Some(zone), end));
    let fractional = (fraction_end > end).then(|| reading(nanos, None, fraction_end));
    Some([zoned, fractional, Some(reading(0, None, end))])
}

/// `2026-11-23T05:41:14`, also with a space or a `_` instead of the `T`, or without seconds.
fn extended(raw: &[u8]) -> Option<(Date, Clock, usize)> {
    let [y1, y2, y3, y4, dash, m1, m2, other, d1, d2, sep, rest @ ..] = raw else {
        return None;
    };
    let is_dated = matches!(dash, b'-' | b'/') && dash == other;
    if !is_dated || !matches!(sep, b'T' | b't' | b' ' | b'_') {
        return None;
    }
    let date = date(&[*y1, *y2, *y3, *y4], two(*m1, *m2)?, two(*d1, *d2)?)?;
    let (clock, end) = clock(rest)?;
    Some((date, clock, raw.len() - rest.len() + end))
}

/// `20261123T054114`.
fn basic(raw: &[u8]) -> Option<(Date, Clock, usize)> {
    let [y1, y2, y3, y4, m1, m2, d1, d2, b'T' | b't', rest @ ..] = raw else {
        return None;
    };
    let [h1, h2, n1, n2, s1, s2, ..] = rest else {
        return None;
    };
    let date = date(&[*y1, *y2, *y3, *y4], two(*m1, *m2)?, two(*d1, *d2)?)?;
    let clock = Clock {
        hour: two(*h1, *h2)?,
        minute: two(*n1, *n2)?,
        second: two(*s1, *s2)?,
    };
    ends_number(raw, 15).then_some((date, clock, 15))
}

/// `23/Nov/2026:05:41:14`, or with a weekday `Mon, 23 Nov 2026 05:41:14`.
fn named_month(raw: &[u8]) -> Option<(Date, Clock, usize)> {
    let from = weekday(raw);
    let [
        d1,
        d2,
        sep,
        n1,
        n2,
        n3,
        other,
        y1,
        y2,
        y3,
        y4,
        gap,
        rest @ ..,
    ] = raw.get(from..)?
    else {
        return None;
    };
    let is_dated = matches!(sep, b'/' | b'-' | b' ') && sep == other;
    if !is_dated || !matches!(gap, b':' | b' ') {
        return None;
    }
    let is_named = |name: &[u8; 3]| name.eq_ignore_ascii_case(&[*n1, *n2, *n3]);
    let (month, _) = (1u32..).zip(MONTHS).find(|(_, name)| is_named(name))?;
    let date = date(&[*y1, *y2, *y3, *y4], month, two(*d1, *d2)?)?;
    let (clock, end) = clock(rest)?;
    Some((date, clock, raw.len() - rest.len() + end))
}

/// The position of the date after `Mon, ` or `Monday, `; the weekday is not checked.
fn weekday(raw: &[u8]) -> usize {
    let letters = raw.iter().take_while(|byte| byte.is_ascii_alphabetic());
    let letters = letters.take(10).count();
    let is_gap = raw
        .get(letters..)
        .is_some_and(|rest| rest.starts_with(b", "));
    if letters >= 3 && is_gap {
        letters + 2
    } else {
        0
    }
}

fn date(year: &[u8; 4], month: u32, day: u32) -> Option<Date> {
    let year = two(year[0], year[1])? * 100 + two(year[2], year[3])?;
    Some(Date { year, month, day })
}

/// `05:41:14` or `05:41`, and its end.
fn clock(raw: &[u8]) -> Option<(Clock, usize)> {
    let [h1, h2, b':', n1, n2, rest @ ..] = raw else {
        return None;
    };
    let (second, end) = match rest {
        [b':', s1, s2, ..] => (two(*s1, *s2)?, 8),
        _ => (0, 5),
    };
    let clock = Clock {
        hour: two(*h1, *h2)?,
        minute: two(*n1, *n2)?,
        second,
    };
    ends_number(raw, end).then_some((clock, end))
}

/// Whether the byte at `end` is not a digit.
fn ends_number(raw: &[u8], end: usize) -> bool {
    !raw.get(end).is_some_and(u8::is_ascii_digit)
}

/// `.865` or `,865` at `from`: nanoseconds, and its end.
fn fraction(raw: &[u8], from: usize) -> Option<(u32, usize)> {
    let [b'.' | b',', digits @ ..] = raw.get(from..)? else {
        return None;
    };
    let digits = &digits[..count_digits(digits)];
    if digits.is_empty() {
        return None;
    }
    let mut nanos = 0;
    for place in 0..9 {
        let digit = digits.get(place).map_or(0, |byte| u32::from(byte - b'0'));
        nanos = nanos * 10 + digit;
    }
    Some((nanos, from + 1 + digits.len()))
}

fn count_digits(raw: &[u8]) -> usize {
    raw.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// A zone at `from`: minutes east of UTC, and its end.
fn zone(raw: &[u8], from: usize) -> Option<(i16, usize)> {
    let rest = raw.get(from..)?;
    let (at, rest) = match rest {
        [b' ', rest @ ..] => (from + 1, rest),
        rest => (from, rest),
    };
    let word = |length: usize| {
        let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        (!rest.get(length).is_some_and(goes_on)).then_some((0, at + length))
    };
    match rest {
        [b'Z' | b'z', ..] => word(1),
        [b'U', b'T', b'C', ..] | [b'G', b'M', b'T', ..] => word(3),
        [sign @ (b'+' | b'-'), h1, h2, rest @ ..] => {
            let (minutes, length) = match rest {
                [b':', m1, m2, ..] => (two(*m1, *m2)?, 6),
                [m1 @ b'0'..=b'9', m2, ..] => (two(*m1, *m2)?, 5),
                _ => (0, 3),
            };
            let hours = two(*h1, *h2)?;
            let fits = hours <= MAX_ZONE_HOURS && minutes <= 59 && ends_number(raw, at + length);
            let minutes = i16::try_from(hours * 60 + minutes).ok().filter(|_| fits)?;
            let minutes = if *sign == b'-' { -minutes } else { minutes };
            Some((minutes, at + length))
        }
        _ => None,
    }
}

/// Seconds, or smaller units, since 1970; the number of digits determines the unit. Ten digits are the years from 2001
/// to 2286.
fn unix(raw: &[u8]) -> Option<Readings> {
    let digits = count_digits(raw);
    let unit: u64 = match digits {
        10 => 1,
        13 => 1_000,
        16 => 1_000_000,
        19 => 1_000_000_000,
        _ => return None,
    };
    let number = crate::number::unsigned(&raw[..digits])?;
    let seconds = i64::try_from(number / unit).ok()?;
    let nanos = u32::try_from(number % unit * (1_000_000_000 / unit)).ok()?;
    let reading = |nanos, end, bare| Reading {
        stamp: Stamp {
            seconds,
            nanos,
            offset_minutes: None,
        },
        end,
        bare,
    };
    // only for seconds: documents keep nothing below a millisecond
    let fraction = fraction(raw, digits).map(|(more, end)| match digits {
        10 => reading(more, end, false),
        _ => reading(nanos, end, true),
    });
    Some([fraction, Some(reading(nanos, digits, true)), None])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::time::{iso8601, local, msec};
    use proptest::prelude::*;

    /// `date -u -d '2026-11-23 05:41:14' +%s`
    const SECONDS: i64 = 1_795_412_474;

    fn seen(text: &str) -> Option<(i64, u32, Option<i16>)> {
        let stamp = super::read(text.as_bytes())?;
        Some((stamp.seconds, stamp.nanos, stamp.offset_minutes))
    }

    #[test]
    fn one_time_in_every_notation() {
        const MILLIS: u32 = 865_000_000;
        for (text, nanos, zone) in [
            ("2026-11-23T05:41:14.865+00:00", MILLIS, Some(0)),
            ("2026-11-23T05:41:14,865+0000", MILLIS, Some(0)),
            ("2026-11-23T05:41:14.865+00", MILLIS, Some(0)),
            ("2026-11-23T05:41:14.865Z", MILLIS, Some(0)),
            ("2026-11-23t05:41:14.865z", MILLIS, Some(0)),
            ("2026-11-23T05:41:14.865 UTC", MILLIS, Some(0)),
            ("2026-11-23T06:41:14.865+01:00", MILLIS, Some(60)),
            ("2026-11-23 02:11:14.865 -0330", MILLIS, Some(-210)),
            ("2026-11-23T05:41:14.865", MILLIS, None),
            ("2026-11-23 05:41:14,865", MILLIS, None),
            ("2026/11/23 05:41:14", 0, None),
            ("2026-11-23T05:41:14Z", 0, Some(0)),
            ("2026-11-23T05:41:14", 0, None),
            ("2026-11-23T05:41:14.8650001239", 865_000_123, None),
            ("20261123T054114Z", 0, Some(0)),
            ("20261123T054114.865+0000", MILLIS, Some(0)),
            ("23/Nov/2026:05:41:14 +0000", 0, Some(0)),
            ("23/Nov/2026:05:41:14.865 +0000", MILLIS, Some(0)),
            ("23/Nov/2026:05:41:14,865", MILLIS, None),
            ("23/nov/2026 05:41:14 Z", 0, Some(0)),
            ("Mon, 23 Nov 2026 05:41:14 GMT", 0, Some(0)),
            ("Monday, 23-Nov-2026 05:41:14 GMT", 0, Some(0)),
            ("1795412474", 0, None),
            ("1795412474.865", MILLIS, None),
            ("1795412474,865", MILLIS, None),
            ("1795412474865", MILLIS, None),
            ("1795412474865.3", MILLIS, None),
            ("1795412474865000", MILLIS, None),
            ("1795412474865000000", MILLIS, None),
        ] {
            assert_eq!(seen(text), Some((SECONDS, nanos, zone)), "{text}");
        }
        assert_eq!(seen("2026-11-23T05:41Z"), Some((SECONDS - 14, 0, Some(0))));
    }

    #[test]
    fn times_that_are_not_in_the_calendar() {
        for text in [
            "",
            "-",
            "2026-11-23",
            "05:41:14",
            "2026-02-29T05:41:14Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T05:41:60Z",
            "2026-11/23T05:41:14",
            "2026-11-23T05:41:145",
            "2026-11-23T05:41:14.",
            "2026-11-23T05:41:14.865+1",
            "2026-11-23T05:41:14+15:00",
            "2026-11-23T05:41:14+01:60",
            "2026-11-23T05:41:14+01000",
            "2026-11-23T05:41:14Zulu",
            "2026-11-23T05:41:14 CET",
            "2026-11-23T05:41:14  +0000",
            " 2026-11-23T05:41:14Z",
            "20261123054114",
            "20261123T0541145",
            "23/Foo/2026:05:41:14 +0000",
            "3/Nov/2026:05:41:14 +0000",
            "Mo, 23 Nov 2026 05:41:14 GMT",
            "179541247",
            "17954124741",
            "1795412474.",
            "1795412474.1.2",
            "+1795412474",
            "1795412474s",
        ] {
            assert_eq!(seen(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_can_end_before_its_fraction_and_before_its_zone() {
        let all = |text: &str| -> Vec<_> {
            let found = readings(text.as_bytes());
            found
                .map(|read| (&text[..read.end], read.stamp.nanos, read.bare))
                .map(|(text, nanos, bare)| (text.to_owned(), nanos, bare))
                .collect()
        };
        assert_eq!(
            all("2026-11-23T05:41:14.5Z\""),
            [
                ("2026-11-23T05:41:14.5Z".to_owned(), 500_000_000, false),
                ("2026-11-23T05:41:14.5".to_owned(), 500_000_000, false),
                ("2026-11-23T05:41:14".to_owned(), 0, false),
            ]
        );
        assert_eq!(
            all("1795412474.5,"),
            [
                ("1795412474.5".to_owned(), 500_000_000, false),
                ("1795412474".to_owned(), 0, true),
            ]
        );
        assert_eq!(
            all("1795412474865 x"),
            [("1795412474865".to_owned(), 865_000_000, true)]
        );
    }

    proptest! {
        /// Times that nginx writes itself give the same result as before.
        #[test]
        fn the_forms_of_nginx_are_read(
            year in 2000u32..=2099, month in 1usize..=12, day in 1u32..=28, hour in 0u32..=23,
            minute in 0u32..=59, second in 0u32..=59, zone in 0u32..=13, sign in "[+-]",
            seconds in 1_000_000_000u64..4_102_444_800, millis in 0u64..1000,
        ) {
            let name = std::str::from_utf8(MONTHS[month - 1]).unwrap();
            let clock = format!("{hour:02}:{minute:02}:{second:02}");
            let text = format!("{day:02}/{name}/{year}:{clock} {sign}{zone:02}30");
            prop_assert_eq!(super::read(text.as_bytes()), local(text.as_bytes()));
            let text = format!("{year}-{month:02}-{day:02}T{clock}{sign}{zone:02}:30");
            prop_assert_eq!(super::read(text.as_bytes()), iso8601(text.as_bytes()));
            let text = format!("{seconds}.{millis:03}");
            prop_assert_eq!(super::read(text.as_bytes()), msec(text.as_bytes()));
        }

        #[test]
        fn every_reading_lies_inside_its_text(raw in "[0-9TZ:./, +-]{0,40}|2026-11-23[T ]05:41:14[0-9.,Z+: -]{0,16}") {
            let mut before = usize::MAX;
            for read in readings(raw.as_bytes()) {
                prop_assert!(read.end <= raw.len() && read.end < before);
                prop_assert_eq!(super::read(&raw.as_bytes()[..read.end]), Some(read.stamp));
                before = read.end;
            }
        }
    }
}
