//! Time zones: what clocks show at an instant, and when they show a time.
//!
//! Owns the two conversions. Invariant: a time that clocks show twice is the first of the two; one that they pass over is the
//! instant at which they pass over it.

use chrono::{DateTime, FixedOffset, Local, NaiveDateTime, Offset as _, TimeZone as _};

/// A time zone.
pub(crate) trait Zone {
    /// Seconds that local time is ahead of UTC, at an instant in seconds since 1970.
    fn offset(&self, second: i64) -> i32;
    /// What it is called beside a time.
    fn name(&self) -> &'static str;
}

/// Coordinated universal time.
pub(crate) struct Utc;

impl Zone for Utc {
    fn offset(&self, _second: i64) -> i32 {
        0
    }

    fn name(&self) -> &'static str {
        "UTC"
    }
}

/// The zone of this host, or of the variable `TZ`.
pub(crate) struct LocalZone;

impl Zone for LocalZone {
    fn offset(&self, second: i64) -> i32 {
        DateTime::from_timestamp(second, 0).map_or(0, |time| {
            let offset = Local.offset_from_utc_datetime(&time.naive_utc());
            offset.fix().local_minus_utc()
        })
    }

    fn name(&self) -> &'static str {
        "local time"
    }
}

const DAY: i64 = 86_400;

/// The instant at which clocks show a time, both in seconds.
pub(crate) fn instant(zone: &dyn Zone, shown: i64) -> i64 {
    let offset = |second| i64::from(zone.offset(second));
    // The offsets on both sides of a change of the clocks, the larger one first: it gives the earlier instant.
    let mut offsets = [offset(shown - DAY), offset(shown + DAY)];
    offsets.sort_unstable_by(|one, other| other.cmp(one));
    let candidates = offsets.map(|offset| shown - offset);
    let fits = |instant: &&i64| **instant + offset(**instant) == shown;
    match candidates.iter().find(fits) {
        Some(instant) => *instant,
        None => change(zone, candidates[0], candidates[1]),
    }
}

/// The first instant behind `from`, up to `to`, at which the offset is not that of `from`; `to` where it is the same.
pub(crate) fn change(zone: &dyn Zone, from: i64, to: i64) -> i64 {
    let before = zone.offset(from);
    if zone.offset(to) == before {
        return to;
    }
    let (mut from, mut to) = (from, to);
    while to - from > 1 {
        let middle = from + (to - from) / 2;
        if zone.offset(middle) == before {
            from = middle;
        } else {
            to = middle;
        }
    }
    to
}

/// What clocks show at an instant in milliseconds.
pub(crate) fn local(zone: &dyn Zone, millis: i64) -> Option<DateTime<FixedOffset>> {
    let offset = FixedOffset::east_opt(zone.offset(millis.div_euclid(1_000)))?;
    Some(DateTime::from_timestamp_millis(millis)?.with_timezone(&offset))
}

/// The seconds that a time shown by clocks would be at in UTC.
pub(crate) fn shown(time: NaiveDateTime) -> i64 {
    time.and_utc().timestamp()
}

/// A zone for tests: Berlin in 2026, and others with a single change.
#[cfg(test)]
pub(crate) struct Changes(pub(crate) &'static [(i64, i32)]);

#[cfg(test)]
impl Zone for Changes {
    fn offset(&self, second: i64) -> i32 {
        let behind = self.0.partition_point(|(from, _)| *from <= second);
        self.0[behind.saturating_sub(1)].1
    }

    fn name(&self) -> &'static str {
        "local time"
    }
}

/// Berlin: at 2026-03-29T01:00Z from +1 to +2, at 2026-10-25T01:00Z back.
#[cfg(test)]
pub(crate) const BERLIN: Changes = Changes(&[
    (i64::MIN, 3_600),
    (1_774_746_000, 7_200),
    (1_792_890_000, 3_600),
]);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn seconds(text: &str) -> i64 {
        shown(NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap())
    }

    #[test]
    fn clocks_that_change_show_a_time_twice_or_never() {
        for (time, utc) in [
            ("2026-03-29 01:59:59", "2026-03-29 00:59:59"),
            // passed over
            ("2026-03-29 02:00:00", "2026-03-29 01:00:00"),
            ("2026-03-29 02:59:59", "2026-03-29 01:00:00"),
            ("2026-03-29 03:00:00", "2026-03-29 01:00:00"),
            // shown twice
            ("2026-10-25 01:59:59", "2026-10-24 23:59:59"),
            ("2026-10-25 02:00:00", "2026-10-25 00:00:00"),
            ("2026-10-25 02:59:59", "2026-10-25 00:59:59"),
            ("2026-10-25 03:00:00", "2026-10-25 02:00:00"),
        ] {
            assert_eq!(instant(&BERLIN, seconds(time)), seconds(utc), "{time}");
        }
    }

    proptest! {
        #[test]
        fn an_instant_shows_what_was_asked_for(second in 1_767_222_000_i64..1_798_758_000) {
            let shown = second + i64::from(BERLIN.offset(second));
            let found = instant(&BERLIN, shown);
            prop_assert_eq!(found + i64::from(BERLIN.offset(found)), shown);
            prop_assert!(found <= second);
        }
    }
}
