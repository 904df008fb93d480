//! Times as people write them: `-30d`, `now`, `2026-11-23`, `2026-11-23 05:00`, RFC 3339.
//!
//! Owns what they mean. Invariant: a time without an offset is one of the zone; a day as the end of a range is in it.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

use super::Range;
use super::zone::{self, Zone};
use crate::config::parse_duration;

/// The range when none is given, in milliseconds: the last hour.
const DEFAULT: i64 = 3_600_000;

/// Which end of a range a time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    From,
    To,
}

/// A range of times that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum TimeError {
    #[error(
        "`{0}` is no time: write -15m, -30d, now, 2026-11-23, \"2026-11-23 05:00\" or 2026-11-23T05:00:00+01:00"
    )]
    Form(String),
    #[error("the range ends before it begins: it is from {from} to {to}")]
    Empty { from: String, to: String },
}

/// The range between two times; by default the hour before its end, which by default is now.
///
/// `now` is in milliseconds since 1970.
pub(crate) fn range(
    from: Option<&str>,
    to: Option<&str>,
    now: i64,
    zone: &dyn Zone,
) -> Result<Range, TimeError> {
    let end = to.map_or(Ok(now), |to| parse(to, End::To, now, zone))?;
    let start = match from {
        Some(from) => parse(from, End::From, now, zone)?,
        None => end.saturating_sub(DEFAULT),
    };
    if start >= end {
        let (from, to) = (show(zone, start), show(zone, end));
        return Err(TimeError::Empty { from, to });
    }
    Ok(Range {
        from: start,
        to: end,
    })
}

fn parse(text: &str, end: End, now: i64, zone: &dyn Zone) -> Result<i64, TimeError> {
    let wrong = || TimeError::Form(text.to_owned());
    let text = text.trim();
    if text == "now" {
        return Ok(now);
    }
    let is_shown = |millis: &i64| {
        let years = -62_135_596_800_000..253_402_300_800_000;
        years.contains(millis)
    };
    if let Some(ago) = text.strip_prefix('-') {
        let ago = parse_duration(ago).and_then(|ago| i64::try_from(ago.as_millis()).ok());
        let time = ago.and_then(|ago| now.checked_sub(ago)).filter(is_shown);
        return time.ok_or_else(wrong);
    }
    // a space may stand for the T, and seconds may be missing, as people write them
    let joined = text.replacen(' ', "T", 1);
    let with_offset = DateTime::parse_from_rfc3339(&joined)
        .or_else(|_| DateTime::parse_from_str(&joined, "%Y-%m-%dT%H:%M%:z"));
    if let Ok(time) = with_offset {
        let time = Some(time.timestamp_millis());
        return time.filter(is_shown).ok_or_else(wrong);
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        let day = match end {
            End::From => Some(day),
            End::To => day.succ_opt(),
        };
        let midnight = day
            .and_then(|day| day.and_hms_opt(0, 0, 0))
            .ok_or_else(wrong)?;
        let time = zone::instant(zone, zone::shown(midnight)) * 1_000;
        return Some(time).filter(is_shown).ok_or_else(wrong);
    }
    for form in ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(&joined, form) {
            let millis = i64::from(time.and_utc().timestamp_subsec_millis());
            let time = zone::instant(zone, zone::shown(time)) * 1_000 + millis;
            return Some(time).filter(is_shown).ok_or_else(wrong);
        }
    }
    Err(wrong())
}

/// A time with its offset, to the second.
pub(crate) fn show(zone: &dyn Zone, millis: i64) -> String {
    let local = zone::local(zone, millis);
    local.map_or_else(String::new, |time| {
        time.format("%Y-%m-%d %H:%M:%S %:z").to_string()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::zone::{BERLIN, Utc};
    use super::*;

    /// 2026-11-28T04:00:00.500Z.
    const NOW: i64 = 1_795_838_400_500;

    fn utc(from: &str, to: &str) -> String {
        shown(&Utc, Some(from), Some(to))
    }

    fn shown(zone: &dyn Zone, from: Option<&str>, to: Option<&str>) -> String {
        let range = range(from, to, NOW, zone).unwrap();
        let show = |millis| {
            zone::local(&Utc, millis)
                .unwrap()
                .format("%m-%d %H:%M:%S%.3f")
        };
        format!("{} {}", show(range.from), show(range.to))
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let last_hour = "11-28 03:00:00.500 11-28 04:00:00.500";
        assert_eq!(shown(&Utc, None, None), last_hour);
        assert_eq!(shown(&BERLIN, None, None), last_hour);
        assert_eq!(utc("-1h", "now"), last_hour);
        assert_eq!(
            utc("-1h30m", "-30m"),
            "11-28 02:30:00.500 11-28 03:30:00.500"
        );
        assert_eq!(utc("-30d", "now"), "10-29 04:00:00.500 11-28 04:00:00.500");
        let day = "11-23 00:00:00.000 11-24 00:00:00.000";
        assert_eq!(utc("2026-11-23", "2026-11-23"), day);
        let hour = "11-23 05:00:00.000 11-23 06:00:30.250";
        assert_eq!(utc("2026-11-23 05:00", "2026-11-23T06:00:30.25"), hour);
        assert_eq!(
            utc("2026-11-23T06:00+01:00", "2026-11-23 07:00:30.250+01:00"),
            hour
        );
        let ending = shown(&Utc, None, Some("2026-11-23 06:00"));
        assert_eq!(ending, "11-23 05:00:00.000 11-23 06:00:00.000");
    }

    #[test]
    fn a_local_day_has_the_hours_that_its_clocks_show() {
        let day = |day| shown(&BERLIN, Some(day), Some(day));
        assert_eq!(day("2026-03-29"), "03-28 23:00:00.000 03-29 22:00:00.000");
        assert_eq!(day("2026-10-25"), "10-24 22:00:00.000 10-25 23:00:00.000");
        assert_eq!(show(&BERLIN, NOW), "2026-11-28 05:00:00 +01:00");
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "yesterday",
            "30d",
            "-",
            "-5",
            "-99999999w",
            "2026-02-30",
            "2026-11-23 25:00",
            "12:00",
        ] {
            let error = range(Some(text), None, NOW, &Utc).unwrap_err();
            assert_eq!(error, TimeError::Form(text.to_owned()), "{text}");
        }
        let error = range(Some("now"), Some("-1h"), NOW, &Utc)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("from 2026-11-28 04:00:00 +00:00 to 2026-11-28 03:00:00"),
            "{error}"
        );
    }
}
