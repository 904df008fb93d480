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
}

impl TimeMemo {
    /// As [`TimeFields::read`].
    pub(super) fn read(
        &mut self,
        fields: &TimeFields,
        captures: &Captures,
        line: &[u8],
    ) -> Option<Stamp> {
        for &(grammar, capture) in &fields.0 {
            let Some(text) = captures.get(line, capture) else {
                continue;
            };
            if self.stamp.is_some() && self.text == text {
                return self.stamp;
            }
            if let Some(stamp) = read(grammar, text) {
                self.text.clear();
                self.text.extend_from_slice(text);
                self.stamp = Some(stamp);
                return self.stamp;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
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
}
