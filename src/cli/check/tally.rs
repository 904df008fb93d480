//! The totals of a whole log: lines by format, failures by reason, and the period.
//!
//! Owns the counts and their sums. Invariant: each line is counted once, as parsed, unparsed or blank; memory grows with the
//! number of reasons, not of lines.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use logweir_parsers::time::Stamp;

use super::report::{percent, size};

/// Counts of one log.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) lines: u64,
    by_format: Vec<u64>,
    odd: BTreeMap<&'static str, Odd>,
    /// Lines with only blanks.
    blank: u64,
    /// Lines whose format contains no time.
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

    /// Counts a line that the format at this position matches.
    pub(super) fn parsed(&mut self, format: usize, stamp: Option<Stamp>) {
        self.lines += 1;
        self.by_format[format] += 1;
        let Some(stamp) = stamp else {
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

    /// Counts a blank line.
    pub(super) fn blank(&mut self) {
        self.lines += 1;
        self.blank += 1;
    }

    /// Counts a line that no format matches; returns the number of lines with this reason so far.
    pub(super) fn odd(&mut self, reason: &'static str, line: u64) -> u64 {
        self.lines += 1;
        let odd = self.odd.entry(reason).or_insert(Odd {
            lines: 0,
            first: line,
        });
        odd.lines += 1;
        odd.lines
    }

    /// Whether the format at this position matched a line.
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
        if self.blank > 0 {
            row("blank", &format!("{}  `run` skips them", share(self.blank)));
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
        tally.parsed(1, None);
        tally.parsed(0, None);
        assert_eq!(tally.odd("time", 5), 1);
        assert_eq!(tally.odd("time", 6), 2);
        assert_eq!(tally.odd("literal", 7), 1);
        tally.blank();
        assert_eq!((tally.lines, tally.odd_lines()), (8, 3));
        insta::assert_snapshot!(tally.summary(&["main", "combined"], 4096));
    }
}
