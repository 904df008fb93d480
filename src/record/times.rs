//! Which time of a line counts.
//!
//! Owns the choice among the time fields of a format and what a readable time is; index and id rest on it.
//! Invariant: the same line under the same format gives the same time, whatever was read before.

use logweir_parsers::time::{self, Stamp};
use logweir_parsers::{Captures, Format, Grammar};

use super::stamp;

/// The fields of a format that tell the time, the most exact first: `$msec` knows milliseconds, the others
/// whole seconds.
#[derive(Debug, Clone, Default)]
pub struct TimeFields(Vec<(Grammar, usize)>);

impl TimeFields {
    /// Those of `format`.
    pub fn of(format: &Format) -> Self {
        const EXACT_FIRST: [Grammar; 3] = [Grammar::Msec, Grammar::TimeIso8601, Grammar::TimeLocal];
        let fields = || format.fields().iter().enumerate();
        let of = |grammar| {
            fields()
                .filter(move |(_, field)| field.grammar() == grammar)
                .map(move |(capture, _)| (grammar, capture))
        };
        Self(EXACT_FIRST.into_iter().flat_map(of).collect())
    }

    /// The first readable time of a parsed line: a real date, in a year from 2000 to 2099.
    pub fn read(&self, captures: &Captures, line: &[u8]) -> Option<Stamp> {
        self.0.iter().find_map(|&(grammar, capture)| {
            let raw = captures.get(line, capture)?;
            read(grammar, raw)
        })
    }

    /// The capture that was to tell the time, if the format has one.
    pub fn capture(&self) -> Option<usize> {
        self.0.first().map(|(_, capture)| *capture)
    }
}

fn read(grammar: Grammar, raw: &[u8]) -> Option<Stamp> {
    let stamp = match grammar {
        Grammar::Msec => time::msec(raw),
        Grammar::TimeIso8601 => time::iso8601(raw),
        _ => time::local(raw),
    };
    stamp.filter(stamp::readable)
}

/// The time text read last and what it says: most lines share their second with the one before.
#[derive(Debug, Default)]
pub(super) struct TimeMemo {
    text: Vec<u8>,
    stamp: Option<Stamp>,
    /// The same of the field that tells the zone.
    zone_text: Vec<u8>,
    zone: Option<Stamp>,
}

impl TimeMemo {
    /// As [`TimeFields::read`].
    pub(super) fn read(
        &mut self,
        fields: &TimeFields,
        captures: &Captures,
        line: &[u8],
    ) -> Option<Stamp> {
        for (at, &(grammar, capture)) in fields.0.iter().enumerate() {
            let Some(text) = captures.get(line, capture) else {
                continue;
            };
            if self.stamp.is_none() || self.text != text {
                let Some(stamp) = read(grammar, text) else {
                    continue;
                };
                self.text.clear();
                self.text.extend_from_slice(text);
                self.stamp = Some(stamp);
            }
            return self
                .stamp
                .map(|stamp| self.zoned(stamp, &fields.0[at + 1..], captures, line));
        }
        None
    }

    /// `$msec` knows no zone; a field beside it that tells the same second does.
    fn zoned(
        &mut self,
        stamp: Stamp,
        others: &[(Grammar, usize)],
        captures: &Captures,
        line: &[u8],
    ) -> Stamp {
        if stamp.offset_minutes.is_some() {
            return stamp;
        }
        let offset_minutes = others.iter().find_map(|&(grammar, capture)| {
            let text = captures.get(line, capture)?;
            if self.zone_text != text {
                self.zone_text.clear();
                self.zone_text.extend_from_slice(text);
                self.zone = read(grammar, text);
            }
            // nginx writes all of them from one reading of its clock
            let zone = self.zone.filter(|zone| zone.seconds == stamp.seconds)?;
            zone.offset_minutes
        });
        Stamp {
            offset_minutes,
            ..stamp
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_most_exact_time_is_read() {
        let format = Format::compile("[$time_local] $msec", Default::default()).unwrap();
        let line = b"[23/Nov/2026:05:41:14 +0000] 1795412474.123";
        let mut captures = Captures::new();
        assert!(format.parse(line, &mut captures).is_ok());
        let stamp = TimeFields::of(&format).read(&captures, line);
        assert_eq!(stamp.map(|stamp| stamp.nanos), Some(123_000_000));
    }

    #[test]
    fn the_zone_comes_from_the_field_that_has_one() {
        let format = Format::compile("$msec [$time_local]", Default::default()).unwrap();
        let fields = TimeFields::of(&format);
        let mut captures = Captures::new();
        let mut memo = TimeMemo::default();
        let mut read = |line: &[u8]| {
            assert!(format.parse(line, &mut captures).is_ok());
            let stamp = memo.read(&fields, &captures, line).unwrap();
            (stamp.seconds, stamp.nanos, stamp.offset_minutes)
        };
        let second = 1_795_412_474;
        for _ in 0..2 {
            let stamp = read(b"1795412474.123 [23/Nov/2026:07:41:14 +0200]");
            assert_eq!(stamp, (second, 123_000_000, Some(120)));
            let stamp = read(b"1795412474.123 [23/Nov/2026:05:41:14 +0000]");
            assert_eq!(stamp, (second, 123_000_000, Some(0)));
            // another moment is another matter, and the wrong one to believe
            let stamp = read(b"1795412474.123 [23/Nov/2026:05:41:15 +0000]");
            assert_eq!(stamp, (second, 123_000_000, None));
        }
    }
}
