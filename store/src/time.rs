//! The times in documents, as numbers and back.
//!
//! Owns the one form that documents use, `2026-11-23T05:26:59.000Z`. Invariant: a text is taken for a time only when
//! [`text`] gives it back byte for byte.

use chrono::{DateTime, NaiveDate};

/// Milliseconds since 1970 of `2026-11-23T05:26:59.000Z`; `None` for any other form.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let bytes: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let number = |from: usize, to: usize| {
        bytes[from..to].iter().try_fold(0_u32, |number, byte| {
            let digit = byte.wrapping_sub(b'0');
            (digit < 10).then(|| number * 10 + u32::from(digit))
        })
    };
    let separators = [
        (4, b'-'),
        (7, b'-'),
        (10, b'T'),
        (13, b':'),
        (16, b':'),
        (19, b'.'),
        (23, b'Z'),
    ];
    if separators.iter().any(|(at, byte)| bytes[*at] != *byte) {
        return None;
    }
    let year = i32::try_from(number(0, 4)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(5, 7)?, number(8, 10)?)?;
    let time = date.and_hms_milli_opt(
        number(11, 13)?,
        number(14, 16)?,
        number(17, 19)?,
        number(20, 23)?,
    )?;
    Some(time.and_utc().timestamp_millis())
}

/// The text of a time in milliseconds since 1970; `None` outside the years 0 to 9999.
pub(crate) fn text(millis: i64) -> Option<String> {
    let time = DateTime::from_timestamp_millis(millis)?;
    let text = time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    (text.len() == 24).then_some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_is_read_as_it_was_written(millis in -62_167_219_200_000..253_402_300_800_000_i64) {
            let written = text(millis).unwrap();
            prop_assert_eq!(parse(&written), Some(millis), "{}", written);
        }

        #[test]
        fn a_text_that_is_read_is_written_alike(year in "[0-9]{4}", rest in "-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\\.[0-9]{3}Z") {
            let given = year + &rest;
            if let Some(millis) = parse(&given) {
                prop_assert_eq!(text(millis), Some(given));
            }
        }
    }

    #[test]
    fn other_forms_are_no_times() {
        for other in [
            "",
            "2026-11-23",
            "2026-11-23T05:26:59Z",
            "2026-11-23T05:26:59.000+00:00",
            "2026-11-23 05:26:59.000Z",
            "2026-02-30T05:26:59.000Z",
            "2026-11-23T05:26:60.000Z",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
