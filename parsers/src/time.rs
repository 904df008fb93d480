//! Reads the three forms in which nginx writes the time of a line; [`spellings`] reads those of other programs.
//!
//! `$time_local` `23/Nov/2026:05:41:14 +0100`, `$time_iso8601` `2026-11-23T05:41:14+01:00` and `$msec` `1795408874.123`
//! (ngx_times.c, ngx_http_log_module.c). Every date is checked against the calendar; a date that does not exist is
//! `None`.
//!
//! A second of 60 is refused: nginx takes its time from POSIX seconds, which have no leap second, so nginx did not
//! write such a line.

pub mod spellings;

pub use spellings::{Reading, read, readings};

/// A moment, and the zone in which nginx wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Nanoseconds within the second, 0 to 999,999,999 (nginx itself knows milliseconds).
    pub nanos: u32,
    /// Minutes east of UTC as written in the line; `None` for `$msec`, which has no zone.
    pub offset_minutes: Option<i16>,
}

/// The seconds of the years 2000 to 2099.
const READABLE: std::ops::Range<i64> = 946_684_800..4_102_444_800;

impl Stamp {
    /// Whether a web server can have logged this time: it is in the years 2000 to 2099. Other numbers that can be read
    /// as a time are coincidences.
    pub fn is_readable(&self) -> bool {
        READABLE.contains(&self.seconds)
    }
}

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// `$msec` has seconds of ten digits until the year 2286; a longer number is not a time.
const MAX_SECOND_DIGITS: usize = 12;

/// `$time_local`: `23/Nov/2026:05:41:14 +0100`, months always in English (ngx_times.c).
///
/// `None` if the text has another form or denotes a moment that does not exist.
///
/// ```
/// use logweir_parsers::time;
/// let stamp = time::local(b"23/Nov/2026:06:41:14 +0100").unwrap();
/// assert_eq!((stamp.seconds, stamp.offset_minutes), (1_795_412_474, Some(60)));
/// ```
pub fn local(raw: &[u8]) -> Option<Stamp> {
    let raw: &[u8; 26] = raw.try_into().ok()?;
    let separators = [raw[2], raw[6], raw[11], raw[14], raw[17], raw[20]];
    if separators != *b"//::: " {
        return None;
    }
    let month = (1u32..)
        .zip(MONTHS)
        .find(|(_, name)| name[..] == raw[3..6])?
        .0;
    let year = two(raw[7], raw[8])? * 100 + two(raw[9], raw[10])?;
    let date = Date {
        year,
        month,
        day: two(raw[0], raw[1])?,
    };
    let clock = Clock {
        hour: two(raw[12], raw[13])?,
        minute: two(raw[15], raw[16])?,
        second: two(raw[18], raw[19])?,
    };
    stamp(
        date,
        clock,
        zone(raw[21], [raw[22], raw[23], raw[24], raw[25]])?,
    )
}

/// `$time_iso8601`: `2026-11-23T05:41:14+01:00`, always with a numeric zone (ngx_times.c).
///
/// `None` if the text has another form or denotes a moment that does not exist.
pub fn iso8601(raw: &[u8]) -> Option<Stamp> {
    let raw: &[u8; 25] = raw.try_into().ok()?;
    let separators = [raw[4], raw[7], raw[10], raw[13], raw[16], raw[22]];
    if separators != *b"--T:::" {
        return None;
    }
    let year = two(raw[0], raw[1])? * 100 + two(raw[2], raw[3])?;
    let date = Date {
        year,
        month: two(raw[5], raw[6])?,
        day: two(raw[8], raw[9])?,
    };
    let clock = Clock {
        hour: two(raw[11], raw[12])?,
        minute: two(raw[14], raw[15])?,
        second: two(raw[17], raw[18])?,
    };
    stamp(
        date,
        clock,
        zone(raw[19], [raw[20], raw[21], raw[23], raw[24]])?,
    )
}

/// `$msec`: seconds since 1970 and three digits of milliseconds, `1795408874.123`.
///
/// `None` if the text has another form.
pub fn msec(raw: &[u8]) -> Option<Stamp> {
    let dot = raw.len().checked_sub(4)?;
    if dot > MAX_SECOND_DIGITS || raw[dot] != b'.' {
        return None;
    }
    let seconds = i64::try_from(crate::number::unsigned(&raw[..dot])?).ok()?;
    let millis = u32::try_from(crate::number::unsigned(&raw[dot + 1..])?).ok()?;
    Some(Stamp {
        seconds,
        nanos: millis * 1_000_000,
        offset_minutes: None,
    })
}

struct Date {
    year: u32,
    month: u32,
    day: u32,
}

struct Clock {
    hour: u32,
    minute: u32,
    second: u32,
}

fn two(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// Minutes east of UTC from a sign and `hhmm`.
fn zone(sign: u8, digits: [u8; 4]) -> Option<i16> {
    let (hours, minutes) = (two(digits[0], digits[1])?, two(digits[2], digits[3])?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset = i16::try_from(hours * 60 + minutes).ok()?;
    match sign {
        b'+' => Some(offset),
        b'-' => Some(-offset),
        _ => None,
    }
}

fn stamp(date: Date, clock: Clock, offset_minutes: i16) -> Option<Stamp> {
    if clock.hour > 23 || clock.minute > 59 || clock.second > 59 {
        return None;
    }
    if date.day == 0 || date.day > days_in_month(date.year, date.month)? {
        return None;
    }
    let seconds = days_from_civil(&date) * 86_400
        + i64::from(clock.hour * 3_600 + clock.minute * 60 + clock.second)
        - i64::from(offset_minutes) * 60;
    Some(Stamp {
        seconds,
        nanos: 0,
        offset_minutes: Some(offset_minutes),
    })
}

fn days_in_month(year: u32, month: u32) -> Option<u32> {
    Some(match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => return None,
    })
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar: Howard Hinnant's `days_from_civil`
/// (<https://howardhinnant.github.io/date_algorithms.html>), years from 0 on.
fn days_from_civil(date: &Date) -> i64 {
    // The year begins in March, so that the leap day is its last day.
    let year = i64::from(date.year) - i64::from(date.month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = (i64::from(date.month) + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + i64::from(date.day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests;
