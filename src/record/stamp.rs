//! Writes times as text.
//!
//! Owns the text of `@timestamp` and of a time zone.

use chrono::{DateTime, Datelike, SecondsFormat, Timelike};

/// Seconds in a day.
pub(super) const DAY: i64 = 86_400;

/// Appends `2026-11-23T05:26:59.000Z`; `seconds` outside chrono's range give the epoch.
pub(super) fn timestamp(out: &mut Vec<u8>, seconds: i64, nanos: u32) {
    let time = DateTime::from_timestamp(seconds, nanos).unwrap_or_default();
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let year = time.year();
    if !(0..=9999).contains(&year) {
        out.extend_from_slice(time.to_rfc3339_opts(SecondsFormat::Millis, true).as_bytes());
        return;
    }
    digits(&mut text[0..4], year.unsigned_abs());
    digits(&mut text[5..7], time.month());
    digits(&mut text[8..10], time.day());
    digits(&mut text[11..13], time.hour());
    digits(&mut text[14..16], time.minute());
    digits(&mut text[17..19], time.second());
    digits(&mut text[20..23], nanos / 1_000_000);
    out.extend_from_slice(&text);
}

fn digits(out: &mut [u8], mut value: u32) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Appends a time zone in ECS form: `+02:00`.
pub(super) fn zone(out: &mut Vec<u8>, offset_minutes: i16) {
    let mut text = *b"+00:00";
    if offset_minutes < 0 {
        text[0] = b'-';
    }
    let minutes = u32::from(offset_minutes.unsigned_abs());
    digits(&mut text[1..3], minutes / 60);
    digits(&mut text[4..6], minutes % 60);
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_timestamp_is_written_as_by_chrono(seconds in 946_684_800..4_102_444_800_i64, millis in 0..1000_u32) {
            let mut out = Vec::new();
            timestamp(&mut out, seconds, millis * 1_000_000);
            let time = DateTime::from_timestamp(seconds, millis * 1_000_000).unwrap();
            let expected = time.to_rfc3339_opts(SecondsFormat::Millis, true);
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn zones() {
        let text = |minutes| {
            let mut out = Vec::new();
            zone(&mut out, minutes);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(0), "+00:00");
        assert_eq!(text(-210), "-03:30");
        assert_eq!(text(345), "+05:45");
    }
}
