//! What a whole log came to: lines by format, failures by reason, the time it spans.
//!
//! Owns counts and their summing up. Invariant: each line is counted once, as parsed or as odd; memory
//! grows with the number of reasons, not of lines.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use logweir_parsers::time::{self, Stamp};
use logweir_parsers::{Captures, Format, Grammar};

use super::report::{percent, size};

/// The years that the agent takes a time from; another is indexed as unparsed.
const READABLE_SECONDS: std::ops::Range<i64> = 946_684_800..4_102_444_800;

/// Counts of one log.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) lines: u64,
    by_format: Vec<u64>,
    odd: BTreeMap<&'static str, Odd>,
    /// Parsed, but without a time of their own.
    timeless: u64,
    times: Option<(Stamp, Stamp)>,
    /// The last line has no `\n`.
    pub(super) unfinished: bool,
}

/// Odd lines of one reason.
#[derive(Debug)]
struct Odd {
    lines: u64,
    first: u64,
}

impl Tally {
    pub(super) fn new(formats: usize) -> Self {
        Self {
            by_format: vec![0; formats],
            ..Self::default()
        }
    }

    /// A line that the format at this position took.
    pub(super) fn parsed(&mut self, format: usize, stamp: Option<Stamp>) {
        self.lines += 1;
        self.by_format[format] += 1;
        let Some(stamp) = stamp.filter(|stamp| READABLE_SECONDS.contains(&stamp.seconds)) else {
            self.timeless += 1;
            return;
        };
        let at = |stamp: &Stamp| (stamp.seconds, stamp.nanos);
        let (first, last) = self.times.unwrap_or((stamp, stamp));
        let first = if at(&stamp) < at(&first) {
            stamp
        } else {
            first
        };
        let last = if at(&stamp) > at(&last) { stamp } else { last };
        self.times = Some((first, last));
    }

    /// A line that no format took; the number of such lines so far.
    pub(super) fn odd(&mut self, reason: &'static str, line: u64) -> u64 {
        self.lines += 1;
        let odd = self.odd.entry(reason).or_insert(Odd {
            lines: 0,
            first: line,
        });
        odd.lines += 1;
        odd.lines
    }

    /// Whether the format at this position took a line.
    pub(super) fn used(&self, format: usize) -> bool {
        self.by_format[format] > 0
    }

    pub(super) fn odd_lines(&self) -> u64 {
        self.odd.values().map(|odd| odd.lines).sum()
    }

    /// The table at the end.
    pub(super) fn summary(&self, names: &[&str], bytes: u64) -> String {
        let mut out = String::from("summary\n");
        let mut row = |label: &str, value: &str| {
            out.push_str(format!("  {label:20}{value}").trim_end());
            out.push('\n');
        };
        let share = |lines: u64| format!("{lines:>9}  {:>7}", percent(lines, self.lines));
        row("lines", &format!("{:>9}  {:>7}", self.lines, size(bytes)));
        row("parsed", &share(self.by_format.iter().sum()));
        for (name, lines) in names
            .iter()
            .zip(&self.by_format)
            .filter(|(_, lines)| **lines > 0)
        {
            row(
                &format!("  by {}", super::super::terminal::cut(name, 14)),
                &share(*lines),
            );
        }
        row("not parsed", &share(self.odd_lines()));
        for (reason, odd) in &self.odd {
            row(
                &format!("  {reason}"),
                &format!("{}  first: line {}", share(odd.lines), odd.first),
            );
        }
        if self.timeless > 0 {
            let share = share(self.timeless);
            row(
                "without a time",
                &format!("{share}  they go to the index of unparsed lines"),
            );
        }
        if let Some((first, last)) = self.times {
            row("times", &format!("  {} to {}", shown(&first), shown(&last)));
        }
        if self.unfinished {
            row(
                "last line",
                "  has no end yet: `run` sends it once nginx has finished it",
            );
        }
        out
    }
}

fn shown(stamp: &Stamp) -> String {
    let time = DateTime::from_timestamp(stamp.seconds, stamp.nanos).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Reads the time of lines of one format, from the field that knows it best.
#[derive(Debug, Clone)]
pub(super) struct TimeFields(Vec<(Grammar, usize)>);

impl TimeFields {
    pub(super) fn of(format: &Format) -> Self {
        let rank = |grammar| match grammar {
            Grammar::Msec => Some(0),
            Grammar::TimeIso8601 => Some(1),
            Grammar::TimeLocal => Some(2),
            _ => None,
        };
        let fields = format.fields().iter().enumerate();
        let times = fields.filter(|(_, field)| rank(field.grammar()).is_some());
        let mut times: Vec<_> = times
            .map(|(index, field)| (field.grammar(), index))
            .collect();
        times.sort_by_key(|(grammar, _)| rank(*grammar));
        Self(times)
    }

    pub(super) fn read(&self, captures: &Captures, line: &[u8]) -> Option<Stamp> {
        self.0.iter().find_map(|(grammar, index)| {
            let raw = captures.get(line, *index)?;
            match grammar {
                Grammar::Msec => time::msec(raw),
                Grammar::TimeIso8601 => time::iso8601(raw),
                _ => time::local(raw),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_counted_once() {
        let stamp = |seconds| {
            Some(Stamp {
                seconds,
                nanos: 0,
                offset_minutes: None,
            })
        };
        let mut tally = Tally::new(2);
        tally.parsed(0, stamp(1_795_412_474));
        tally.parsed(1, stamp(1_795_412_470));
        tally.parsed(1, stamp(1));
        tally.parsed(0, None);
        assert_eq!(tally.odd("time", 5), 1);
        assert_eq!(tally.odd("time", 6), 2);
        assert_eq!(tally.odd("literal", 7), 1);
        assert_eq!((tally.lines, tally.odd_lines()), (7, 3));
        insta::assert_snapshot!(tally.summary(&["main", "combined"], 4096));
    }

    #[test]
    fn the_most_exact_time_is_read() {
        let format = Format::compile("[$time_local] $msec", Default::default());
        let format = format.unwrap_or_else(|_| Format::combined());
        let line = b"[23/Nov/2026:05:41:14 +0000] 1795412474.123";
        let mut captures = Captures::new();
        assert!(format.parse(line, &mut captures).is_ok());
        let stamp = TimeFields::of(&format).read(&captures, line);
        assert_eq!(stamp.map(|stamp| stamp.nanos), Some(123_000_000));
    }
}
