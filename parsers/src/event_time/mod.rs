//! Chooses the time of a line.
//!
//! Owns the choice among the time fields of a format; index and id of a document depend on it. The variable that a setting
//! names comes first, then nginx's own times (rule 1 of identity). Only a format without one of nginx's times uses its other
//! variables (rule 2, `custom`). Invariant: the same line under the same format gives the same time, whatever was read
//! before. A format with a time of nginx's own reads no other, unless a setting names it.

mod custom;
mod search;

use crate::time::{self, Stamp};
use crate::{Captures, Format, Grammar};
use custom::CustomTime;

pub use search::find_time;

/// The time fields of a format.
#[derive(Debug, Clone, Default)]
pub struct TimeFields {
    /// The variable that a setting names.
    set: Option<CustomTime>,
    /// nginx's own times, the most exact first: `$msec` has milliseconds, the others have whole seconds.
    nginx: Vec<(Grammar, usize)>,
    /// Other variables; empty if the format has one of nginx's own times.
    own: Vec<CustomTime>,
    /// Only a text of several variables side by side may hold the time.
    joined: bool,
    /// One of nginx's times is part of such a text.
    hidden: bool,
}

impl TimeFields {
    /// The time fields of `format`. `set` is the variable, without its `$`, that a setting names for the time.
    pub fn of(format: &Format, set: Option<&str>) -> Self {
        const EXACT_FIRST: [Grammar; 3] = [Grammar::Msec, Grammar::TimeIso8601, Grammar::TimeLocal];
        let captures = || format.fields().iter().enumerate();
        let of = |grammar| {
            captures()
                .filter(move |(_, field)| field.grammar() == grammar)
                .map(move |(capture, _)| (grammar, capture))
        };
        let nginx: Vec<_> = EXACT_FIRST.into_iter().flat_map(of).collect();
        let set = set.and_then(|variable| CustomTime::of_variable(format, variable));
        let own = if nginx.is_empty() {
            CustomTime::all_of(format)
        } else {
            Vec::new()
        };
        let texts = || {
            let names = format.fields().iter().map(|field| field.name());
            names.filter(|name| name.contains('$'))
        };
        let is_time = |name: &str| matches!(name, "msec" | "time_iso8601" | "time_local");
        let is_named = own.iter().any(|own| own.named);
        Self {
            set,
            nginx,
            joined: !is_named && texts().any(custom::holds_custom),
            own,
            hidden: texts().any(|text| text.split('$').any(is_time)),
        }
    }

    /// Returns the first readable time of a parsed line: a real date in the years 2000 to 2099.
    pub fn read(&self, captures: &Captures, line: &[u8]) -> Option<Stamp> {
        let nginx = || {
            self.nginx.iter().find_map(|&(grammar, capture)| {
                let raw = captures.get(line, capture)?;
                read(grammar, raw)
            })
        };
        self.read_set(captures, line)
            .or_else(nginx)
            .or_else(|| self.read_own(captures, line))
    }

    fn read_set(&self, captures: &Captures, line: &[u8]) -> Option<Stamp> {
        self.set.as_ref()?.read(captures, line)
    }

    /// If variables are adjacent without a separator, their text may contain one of nginx's times. The time is then the
    /// one that the line had while it matched no format. Otherwise a variable that is named like a time comes first,
    /// and a text of several variables comes last, because it may contain a time from the client.
    fn read_own(&self, captures: &Captures, line: &[u8]) -> Option<Stamp> {
        let of = |named: bool| {
            let own = self.own.iter().filter(move |own| own.named == named);
            own.into_iter().find_map(|own| own.read(captures, line))
        };
        let found = |by: bool| by.then(|| find_time(line)).flatten();
        found(self.hidden)
            .or_else(|| of(true))
            .or_else(|| of(false))
            .or_else(|| found(self.joined))
    }

    /// Returns the capture that should hold the time, if the format has one.
    pub fn capture(&self) -> Option<usize> {
        let nginx = self.nginx.first().map(|(_, capture)| *capture);
        let own = self.own.iter().find(|own| own.named);
        let of = |own: Option<&CustomTime>| own.map(CustomTime::capture);
        of(self.set.as_ref()).or(nginx).or_else(|| of(own))
    }
}

/// Whether a variable of a format is known to hold the time: by the setting `set`, as one of nginx's own, or by its
/// name.
pub fn has_time(format: &Format, set: Option<&str>) -> bool {
    TimeFields::of(format, set).capture().is_some()
}

fn read(grammar: Grammar, raw: &[u8]) -> Option<Stamp> {
    let stamp = match grammar {
        Grammar::Msec => time::msec(raw),
        Grammar::TimeIso8601 => time::iso8601(raw),
        _ => time::local(raw),
    };
    stamp.filter(Stamp::is_readable)
}

/// The last time text and its value: most lines share their second with the line before.
#[derive(Debug, Default)]
pub struct TimeMemo {
    text: Vec<u8>,
    stamp: Option<Stamp>,
    /// The same for the field with the time zone.
    zone_text: Vec<u8>,
    zone: Option<Stamp>,
}

impl TimeMemo {
    /// Like [`TimeFields::read`].
    pub fn read(&mut self, fields: &TimeFields, captures: &Captures, line: &[u8]) -> Option<Stamp> {
        if let Some(stamp) = fields.read_set(captures, line) {
            return Some(stamp);
        }
        for (at, &(grammar, capture)) in fields.nginx.iter().enumerate() {
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
                .map(|stamp| self.zoned(stamp, &fields.nginx[at + 1..], captures, line));
        }
        fields.read_own(captures, line)
    }

    /// `$msec` has no time zone; another field with the same second supplies it.
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
            // nginx takes all of them from one reading of its clock
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
        let stamp = TimeFields::of(&format, None).read(&captures, line);
        assert_eq!(stamp.map(|stamp| stamp.nanos), Some(123_000_000));
    }

    #[test]
    fn the_zone_comes_from_the_field_that_has_one() {
        let format = Format::compile("$msec [$time_local]", Default::default()).unwrap();
        let fields = TimeFields::of(&format, None);
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
            // a field with another second does not supply the zone
            let stamp = read(b"1795412474.123 [23/Nov/2026:05:41:15 +0000]");
            assert_eq!(stamp, (second, 123_000_000, None));
        }
    }
}
