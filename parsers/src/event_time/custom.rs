//! Reads the time of a line from custom variables (`map`, Lua, `set`), or from several of them and the texts between:
//! rule 2 of identity, for formats without one of nginx's own times.
//!
//! Owns where in a format such a time may begin and end; [`crate::time`] reads the notations. Refuses to use values that a
//! client can choose: they neither begin nor continue a time, unless a setting names them. Invariant: the position comes
//! only from the format, and the same line under the same format gives the same time. This keeps a text from a client from
//! being read as the time of its line.

use crate::time::{self, Stamp};
use crate::{Captures, Format, Grammar, Part, variable};

/// A position in a format at which a time may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CustomTime {
    /// The first capture.
    first: usize,
    /// The last capture that the time can include.
    last: usize,
    until: Until,
    /// A name or a key marks it as a time; then a whole number counts as a time too.
    pub(super) named: bool,
}

/// The end of the bytes that may belong to a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// The end of the last capture.
    Last,
    /// The end of this capture, which begins with the time zone; text from a client may follow the zone.
    Zone(usize),
    /// The beginning of the first of these captures that the line has, or the end of the line.
    Behind { from: usize, to: usize },
}

impl CustomTime {
    /// Returns all positions in a format, those that are named like a time first.
    pub(super) fn all_of(format: &Format) -> Vec<Self> {
        let parts = format.parts();
        let mut found: Vec<Self> = (0..parts.len())
            .filter_map(|at| match parts[at] {
                Part::Field(capture) => Some(capture)
                    .filter(|capture| may_tell(format, *capture))
                    .filter(|capture| !names_other_time(format.fields()[*capture].name()))
                    .map(|capture| Self::at(format, &parts, at, capture)),
                Part::Text(_) => None,
            })
            .collect();
        found.sort_by_key(|own| !own.named);
        found
    }

    /// Returns the position of the variable that a setting names.
    pub(super) fn of_variable(format: &Format, variable: &str) -> Option<Self> {
        let parts = format.parts();
        let is_it = |capture: usize| format.fields()[capture].name() == variable;
        parts.iter().enumerate().find_map(|(at, part)| match part {
            Part::Field(capture) if is_it(*capture) => Some(Self {
                named: true,
                ..Self::at(format, &parts, at, *capture)
            }),
            _ => None,
        })
    }

    fn at(format: &Format, parts: &[Part<'_>], at: usize, first: usize) -> Self {
        let name = |capture: usize| format.fields()[capture].name();
        let key = match at.checked_sub(1).map(|before| parts[before]) {
            Some(Part::Text(text)) => key(text),
            _ => "",
        };
        let mut own = Self {
            first,
            last: first,
            until: Until::Behind { from: 0, to: 0 },
            named: names_time(name(first)) || names_time(&key.to_ascii_lowercase()),
        };
        let (mut comma, mut sign) = (false, false);
        for part in &parts[at + 1..] {
            match part {
                Part::Text(text) => {
                    comma = text.starts_with(',');
                    sign = matches!(*text, "+" | "-");
                }
                Part::Field(next) if !may_tell(format, *next) => {
                    let (from, to) = (*next, format.fields().len());
                    own.until = match sign && begins_with_custom(format, from) {
                        true => Until::Zone(from),
                        false => Until::Behind { from, to },
                    };
                    break;
                }
                // in `$time,$size` the comma begins another value, and in `$time,$millisec` a fraction
                Part::Field(next) if comma && !names_fraction(name(*next)) => {
                    own.until = Until::Last;
                    break;
                }
                Part::Field(next) => {
                    own.last = *next;
                    (comma, sign) = (false, false);
                }
            }
        }
        own
    }

    pub(super) fn capture(&self) -> usize {
        self.first
    }

    /// Reads the time at this position.
    pub(super) fn read(&self, captures: &Captures, line: &[u8]) -> Option<Stamp> {
        let span = |capture| {
            let (from, to) = captures.span(capture)?;
            Some((from as usize, to as usize))
        };
        let (from, to) = span(self.first)?;
        if from == to {
            return None;
        }
        let end = match self.until {
            Until::Last => span(self.last)?.1,
            Until::Zone(zone) => span(zone)?.1,
            Until::Behind { from, to } => (from..to)
                .find_map(span)
                .map_or(line.len(), |(from, _)| from),
        };
        // the zone belongs to the time: without it the time would be another moment
        let fits_zone = |end: usize| match self.until {
            Until::Zone(zone) => span(zone).is_none_or(|(zone, to)| {
                let is_zone = line.get(zone..to).is_some_and(begins_with_zone);
                if is_zone {
                    end >= zone + 4
                } else {
                    end <= zone
                }
            }),
            Until::Last | Until::Behind { .. } => true,
        };
        // a value belongs to the time completely or not at all
        let cuts_none = |end: usize| {
            (self.first..=self.last)
                .filter_map(span)
                .all(|(from, to)| end <= from || to <= end)
        };
        time::readings(line.get(from..end)?)
            .filter(|read| self.named || !read.bare)
            .filter(|read| fits_zone(from + read.end))
            .find(|read| cuts_none(from + read.end))
            .map(|read| read.stamp)
            .filter(Stamp::is_readable)
    }
}

/// Whether a variable can hold a part of a time: it is not nginx's own, and holds no text from a client.
fn may_tell(format: &Format, capture: usize) -> bool {
    let field = &format.fields()[capture];
    // variables that are read as one text have their names joined
    let mut names = field.name().split('$');
    field.grammar() == Grammar::Text && !names.any(holds_clients_text)
}

/// Whether variables that are read as one text begin with one that can hold a part of a time.
fn begins_with_custom(format: &Format, capture: usize) -> bool {
    let name = format.fields()[capture].name();
    let first = name.split_once('$').map(|(first, _)| first);
    first.is_some_and(is_custom)
}

/// Whether a variable of a text of several can hold a part of a time.
pub(super) fn holds_custom(text: &str) -> bool {
    text.split('$').any(is_custom)
}

fn is_custom(name: &str) -> bool {
    Grammar::of(name) == Grammar::Text && !holds_clients_text(name)
}

/// Whether a variable may hold text from a client. A variable that is named after a part of a request was most likely
/// made from it (`$best_http_host`, `$filtered_request_uri`, `$req_id`), unless it is also named like a time.
fn holds_clients_text(name: &str) -> bool {
    const PARTS: [&str; 16] = [
        "host",
        "uri",
        "url",
        "path",
        "query",
        "args",
        "arg",
        "referer",
        "referrer",
        "agent",
        "ua",
        "cookie",
        "header",
        "user",
        "id",
        "forwarded",
    ];
    let is_part = || words(name).any(|word| PARTS.contains(&word));
    variable::may_hold_clients_text(name) || (is_part() && !names_time(name))
}

/// `0100` or `01:00`; the sign is part of the format.
fn begins_with_zone(text: &[u8]) -> bool {
    let digits = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    match text {
        [h1, h2, b':', m1, m2, ..] | [h1, h2, m1, m2, ..] => digits(&[*h1, *h2, *m1, *m2]),
        _ => false,
    }
}

/// Returns the key before a value in JSON or LTSV: `timestamp` of `,"timestamp":"`.
fn key(text: &str) -> &str {
    let before = text.trim_end_matches(['"', '\'', ' ', '[', '(']);
    let Some(before) = before.strip_suffix([':', '=']) else {
        return "";
    };
    let before = before.trim_end_matches(['"', '\'', ' ']);
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-@.".contains(c);
    let from = before.rfind(|c: char| !is_word(c)).map_or(0, |at| at + 1);
    before.get(from..).unwrap_or_default()
}

/// Whether a name marks its value as a time.
fn names_time(name: &str) -> bool {
    const WORDS: [&str; 15] = [
        "ts", "t", "dt", "at", "iso", "now", "sec", "secs", "second", "seconds", "ms", "millis",
        "msec", "year", "when",
    ];
    const PARTS: [&str; 7] = ["time", "date", "stamp", "epoch", "unix", "clock", "milli"];
    words(name).any(|word| WORDS.contains(&word) || PARTS.iter().any(|part| word.contains(part)))
}

/// Whether a name marks its value as a time other than that of the request.
fn names_other_time(name: &str) -> bool {
    const PARTS: [&str; 3] = ["expir", "modif", "valid"];
    words(name).any(|word| PARTS.iter().any(|part| word.contains(part)))
}

/// Whether a name marks its value as a fraction of a second.
fn names_fraction(name: &str) -> bool {
    const PARTS: [&str; 6] = ["milli", "micro", "nano", "msec", "usec", "frac"];
    words(name).any(|word| word == "ms" || word == "us" || PARTS.iter().any(|p| word.contains(p)))
}

/// Returns the words of a name, without trailing numbers.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()))
}
