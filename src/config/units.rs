//! Sizes and durations as people write them: `2MiB`, `1h30m`.

use std::fmt;
use std::time::Duration;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(u64);

const BYTE_UNITS: [(&str, u64); 8] = [
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("", 1),
];

const TIME_UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

impl Bytes {
    /// So many bytes.
    pub const fn new(bytes: u64) -> Self {
        Bytes(bytes)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as the size of something in memory.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// Reads `512`, `64 KiB`, `2MiB`, `1GB`; units without regard to case.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (number, unit) = split_number(text.trim());
        let unit = unit.trim().to_ascii_lowercase();
        let factor = BYTE_UNITS.iter().find(|(name, _)| *name == unit)?.1;
        number.parse::<u64>().ok()?.checked_mul(factor).map(Bytes)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// Reads `250ms`, `1s`, `1h30m`, `7d`; each number needs its unit.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut millis = 0u64;
    loop {
        let (number, after) = split_number(rest);
        let length = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let factor = TIME_UNITS
            .iter()
            .find(|(name, _)| *name == &after[..length])?
            .1;
        millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = after[length..].trim_start();
        if rest.is_empty() {
            return Some(Duration::from_millis(millis));
        }
    }
}

/// A duration in the largest unit that expresses it exactly.
pub(crate) fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = |(_, factor): &&(&str, u64)| millis >= *factor && millis.is_multiple_of(*factor);
    let (unit, factor) = TIME_UNITS
        .iter()
        .rev()
        .find(fits)
        .copied()
        .unwrap_or(("s", 1_000));
    format!("{}{unit}", millis / factor)
}

fn split_number(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes() {
        let bytes = |text| Bytes::parse(text).map(Bytes::get);
        assert_eq!(bytes("2MiB"), Some(2 << 20));
        assert_eq!(bytes("64 kib"), Some(64 << 10));
        assert_eq!(bytes("1GB"), Some(1_000_000_000));
        assert_eq!(bytes("512"), Some(512));
        for bad in [
            "",
            "MiB",
            "2MiBs",
            "-1",
            "1.5MiB",
            "2 M",
            "99999999999GiB",
            "²MiB",
        ] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations() {
        let millis = |text| parse_duration(text).map(|time| time.as_millis());
        assert_eq!(millis("250ms"), Some(250));
        assert_eq!(millis("1h30m"), Some(5_400_000));
        assert_eq!(millis("1h 30m"), Some(5_400_000));
        assert_eq!(millis("0d"), Some(0));
        assert_eq!(millis("7d"), Some(604_800_000));
        for bad in [
            "",
            "1",
            "s",
            "1.5s",
            "-1s",
            "1s 2",
            "1S",
            "1y",
            "99999999999999999999d",
        ] {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_duration_is_read_back(number in 0u64..1 << 50) {
            prop_assert_eq!(Bytes::parse(&Bytes(number).to_string()), Some(Bytes(number)));
            let time = Duration::from_millis(number);
            prop_assert_eq!(parse_duration(&show_duration(time)), Some(time));
        }

        #[test]
        fn no_text_causes_a_panic(text in "\\PC*") {
            let _ = (Bytes::parse(&text), parse_duration(&text));
        }
    }
}
