//! The intervals of a timeline.
//!
//! Owns where they begin. Invariant: an interval of less than a day is never longer than it says, and a change of the clocks
//! begins a new one; an interval of days begins when clocks show midnight, so a day has 23 to 25 hours.

use std::time::Duration;

use chrono::DateTime;

use super::Range;
use super::zone::{self, Zone};
use crate::config::{parse_duration, show_duration};

/// More rows are of use to nobody, and each takes memory.
const MOST: usize = 10_000;
/// Rows that fit on a screen.
const FEW: i64 = 60;
const DAY: i64 = 86_400;

/// The lengths that `auto` chooses from, in seconds.
const LENGTHS: [i64; 21] = [
    1,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1_800,
    3_600,
    7_200,
    10_800,
    21_600,
    43_200,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
    28 * DAY,
];

/// Length of intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interval {
    /// So that there are about 60.
    Auto,
    /// Seconds: less than a day, or whole days.
    Seconds(i64),
}

/// An interval that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum IntervalError {
    #[error(
        "`{0}` is no interval: write auto, or whole seconds, minutes, hours or days, such as 5s, 1m, 1h or 1d"
    )]
    Form(String),
    #[error(
        "`{0}` is more than a day and no number of days, which could not begin at midnight: write 1d or 2d"
    )]
    Days(String),
    #[error("that are more than {MOST} intervals: make them at least {0}, or the range shorter")]
    TooMany(String),
}

impl Interval {
    /// Reads `auto`, `5s`, `1m`, `1h`, `1d`.
    pub(crate) fn parse(text: &str) -> Result<Self, IntervalError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let wrong = || IntervalError::Form(text.to_owned());
        let length = parse_duration(text).filter(|length| length.subsec_millis() == 0);
        let seconds = length.and_then(|length| i64::try_from(length.as_secs()).ok());
        match seconds.filter(|seconds| (1..=366 * DAY).contains(seconds)) {
            None => Err(wrong()),
            Some(seconds) if seconds > DAY && seconds % DAY > 0 => {
                Err(IntervalError::Days(text.to_owned()))
            }
            Some(seconds) => Ok(Self::Seconds(seconds)),
        }
    }

    /// The length for a range, in seconds.
    pub(crate) fn seconds(self, range: Range) -> i64 {
        let length = range.to.saturating_sub(range.from);
        match self {
            Self::Seconds(seconds) => seconds,
            Self::Auto => LENGTHS
                .into_iter()
                .find(|seconds| length <= seconds * 1_000 * FEW)
                .unwrap_or((length / 1_000 / FEW / DAY + 1) * DAY),
        }
    }
}

/// The beginnings of the intervals that a range has a part of, in milliseconds since 1970.
///
/// # Errors
///
/// There are more than can be shown.
pub(crate) fn starts(
    range: Range,
    seconds: i64,
    zone: &dyn Zone,
) -> Result<Vec<i64>, IntervalError> {
    let length = (range.to - range.from) / 1_000;
    if length / seconds > MOST as i64 {
        return Err(too_many(length));
    }
    let last = (range.to - 1).div_euclid(1_000);
    let mut start = first(range.from.div_euclid(1_000), seconds, zone);
    let mut starts = Vec::new();
    while start <= last {
        starts.push(start * 1_000);
        if starts.len() > MOST {
            return Err(too_many(length));
        }
        let next = next(start, seconds, zone);
        // No zone has a change that makes time stand still; a loop without an end would be worse than a wrong interval.
        start = next.max(start + 1);
    }
    Ok(starts)
}

fn too_many(length: i64) -> IntervalError {
    let least = length / MOST as i64 + 1;
    let fits = |seconds: &i64| *seconds >= least;
    let least = LENGTHS
        .into_iter()
        .find(fits)
        .unwrap_or((least / DAY + 1) * DAY);
    let least = Duration::from_secs(u64::try_from(least).unwrap_or(0));
    IntervalError::TooMany(show_duration(least))
}

/// The beginning of the interval that an instant is in.
fn first(second: i64, seconds: i64, zone: &dyn Zone) -> i64 {
    let offset = i64::from(zone.offset(second));
    let shown = second + offset;
    let floor = shown.div_euclid(seconds) * seconds;
    if seconds >= DAY {
        return zone::instant(zone, floor).min(second);
    }
    // Where the clocks changed within it, it began then.
    let start = floor - offset;
    if zone.offset(start) == zone.offset(second) {
        start
    } else {
        zone::change(zone, start, second)
    }
}

/// The beginning of the interval behind the one that begins at `start`.
fn next(start: i64, seconds: i64, zone: &dyn Zone) -> i64 {
    let shown = start + i64::from(zone.offset(start));
    let next = (shown.div_euclid(seconds) + 1) * seconds;
    if seconds >= DAY {
        return zone::instant(zone, next);
    }
    zone::change(zone, start, start + next - shown)
}

/// The beginning of an interval as it is shown, with as much of it as tells intervals of this length apart.
pub(crate) fn show(zone: &dyn Zone, start: i64, seconds: i64) -> String {
    let form = match seconds {
        _ if seconds >= DAY => "%Y-%m-%d",
        _ if seconds % 60 == 0 => "%Y-%m-%d %H:%M",
        _ => "%Y-%m-%d %H:%M:%S",
    };
    let time: Option<DateTime<_>> = zone::local(zone, start);
    time.map_or_else(String::new, |time| time.format(form).to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::super::times;
    use super::super::zone::{BERLIN, Changes, Utc};
    use super::*;

    fn range(from: &str, to: &str, zone: &dyn Zone) -> Range {
        times::range(Some(from), Some(to), 0, zone).unwrap()
    }

    fn shown(from: &str, to: &str, interval: &str, zone: &dyn Zone) -> Vec<String> {
        let range = range(from, to, zone);
        let seconds = Interval::parse(interval).unwrap().seconds(range);
        let starts = starts(range, seconds, zone).unwrap();
        let show = |start: &i64| {
            zone::local(zone, *start)
                .unwrap()
                .format("%d %H:%M %:z")
                .to_string()
        };
        starts.iter().map(show).collect()
    }

    #[test]
    fn hours_follow_the_clocks_when_they_change() {
        assert_eq!(
            shown("2026-03-29 00:30", "2026-03-29 04:10", "1h", &BERLIN),
            [
                "29 00:00 +01:00",
                "29 01:00 +01:00",
                "29 03:00 +02:00",
                "29 04:00 +02:00"
            ]
        );
        assert_eq!(
            shown("2026-10-25 01:00", "2026-10-25 04:00", "1h", &BERLIN),
            [
                "25 01:00 +02:00",
                "25 02:00 +02:00",
                "25 02:00 +01:00",
                "25 03:00 +01:00"
            ]
        );
        // none is longer than it says
        assert_eq!(
            shown("2026-10-25 00:00", "2026-10-25 06:00", "2h", &BERLIN),
            [
                "25 00:00 +02:00",
                "25 02:00 +02:00",
                "25 02:00 +01:00",
                "25 04:00 +01:00"
            ]
        );
        assert_eq!(
            shown("2026-03-29 00:00", "2026-03-29 06:00", "2h", &BERLIN),
            ["29 00:00 +01:00", "29 03:00 +02:00", "29 04:00 +02:00"]
        );
    }

    #[test]
    fn days_have_23_to_25_hours() {
        let of = |from, to, zone: &dyn Zone| {
            let starts = starts(range(from, to, zone), DAY, zone).unwrap();
            let hours = starts
                .windows(2)
                .map(|pair| (pair[1] - pair[0]) / 3_600_000);
            hours.collect::<Vec<_>>()
        };
        assert_eq!(of("2026-03-28", "2026-03-31", &BERLIN), [24, 23, 24]);
        assert_eq!(of("2026-10-24", "2026-10-27", &BERLIN), [24, 25, 24]);
        // a zone in which a day begins at one o'clock: 2026-03-29T00:00Z is its midnight
        let without_midnight = Changes(&[(i64::MIN, 0), (1_774_742_400, 3_600)]);
        assert_eq!(
            of("2026-03-27", "2026-03-30", &without_midnight),
            [24, 24, 23]
        );
    }

    #[test]
    fn intervals_begin_at_round_times_of_the_zone() {
        let india = Changes(&[(i64::MIN, 19_800)]);
        assert_eq!(
            shown("2026-11-23 05:40", "2026-11-23 07:10", "1h", &india),
            ["23 05:00 +05:30", "23 06:00 +05:30", "23 07:00 +05:30"]
        );
        assert_eq!(shown("2026-11-23", "2026-11-23", "6h", &Utc).len(), 4);
        // the end is not in the range
        assert_eq!(
            shown("2026-11-23 05:00", "2026-11-23 06:00", "1h", &Utc).len(),
            1
        );
    }

    #[test]
    fn auto_gives_about_sixty() {
        for (hours, seconds) in [
            (1, 60),
            (24, 1_800),
            (7 * 24, 10_800),
            (30 * 24, 43_200),
            (365 * 24, 7 * DAY),
        ] {
            let range = Range {
                from: 0,
                to: hours * 3_600_000,
            };
            assert_eq!(Interval::Auto.seconds(range), seconds, "{hours}");
        }
        let range = Range {
            from: 0,
            to: i64::MAX / 2,
        };
        assert!(
            starts(range, Interval::Auto.seconds(range), &Utc)
                .unwrap()
                .len()
                < 100
        );
    }

    #[test]
    fn other_intervals_are_refused() {
        for text in ["", "0s", "1500ms", "1", "year", "-1h", "400d"] {
            assert_eq!(
                Interval::parse(text),
                Err(IntervalError::Form(text.into())),
                "{text}"
            );
        }
        assert_eq!(
            Interval::parse("36h"),
            Err(IntervalError::Days("36h".into()))
        );
        assert_eq!(Interval::parse("48h"), Ok(Interval::Seconds(2 * DAY)));
        let month = Range {
            from: 0,
            to: 30 * DAY * 1_000,
        };
        let error = starts(month, 5, &Utc).unwrap_err();
        assert_eq!(error, IntervalError::TooMany("5m".into()));
        assert!(starts(month, 300, &Utc).is_ok());
    }

    proptest! {
        #[test]
        fn intervals_cover_the_range_and_are_not_longer_than_they_say(
            from in 1_774_000_000_000_i64..1_793_500_000_000,
            length in 1_i64..400_000_000,
            seconds in proptest::sample::select(&[300, 1_800, 3_600, 7_200, 25_200, DAY, 2 * DAY][..]),
        ) {
            let range = Range { from, to: from + length };
            let starts = starts(range, seconds, &BERLIN).unwrap();
            prop_assert!(starts[0] <= range.from);
            prop_assert!(*starts.last().unwrap() < range.to);
            let most = if seconds < DAY { seconds } else { seconds + 3_600 };
            for pair in starts.windows(2) {
                prop_assert!(pair[0] < pair[1] && pair[1] - pair[0] <= most * 1_000);
                prop_assert!(pair[1] > range.from);
            }
            prop_assert!(range.to - starts.last().unwrap() <= most * 1_000);
        }
    }
}
