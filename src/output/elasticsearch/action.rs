//! The action line before each document of a bulk body.
//!
//! Owns writing and parsing of the line, and the choice of a document's index. Refuses to know what a document contains.
//! Invariant: the index is a pure function of the event's time, never of the time of sending, so that a retry meets the
//! document that was indexed before.

use crate::config::IndexTarget;
use crate::event::{DocumentId, EventTime, Framing};

const BEFORE_INDEX: &[u8] = b"{\"create\":{\"_index\":\"";
const BEFORE_ID: &[u8] = b"\",\"_id\":\"";
const END: &[u8] = b"\"}}\n";

const SECONDS_PER_DAY: i64 = 86_400;

/// Frames documents for the bulk API: `{"create":{"_index":"INDEX","_id":"ID"}}`, the document, a line end.
#[derive(Debug)]
pub struct ActionLines {
    target: IndexTarget,
    /// The day that `line` belongs to; see [`ActionLines::day`].
    day: Option<i64>,
    /// The action line up to the id.
    line: Vec<u8>,
}

impl ActionLines {
    /// Documents go to `target`.
    pub fn new(target: IndexTarget) -> Self {
        Self {
            target,
            day: None,
            line: Vec::new(),
        }
    }

    /// The day that determines the index.
    fn day(&self, time: EventTime) -> i64 {
        match (&self.target, time) {
            // a data stream contains all days
            (IndexTarget::Stream(_), _) => 0,
            // documents without a readable time have an index of their own
            (IndexTarget::Daily(_), EventTime::Unreadable) => i64::MIN,
            (IndexTarget::Daily(_), EventTime::At(second)) => second.div_euclid(SECONDS_PER_DAY),
        }
    }

    fn write_line(&mut self, time: EventTime) {
        let name = match (&self.target, time) {
            (IndexTarget::Stream(stream), _) => stream.as_str().to_owned(),
            (IndexTarget::Daily(pattern), EventTime::Unreadable) => pattern.unparsed(),
            (IndexTarget::Daily(pattern), EventTime::At(second)) => pattern
                .name_at(second)
                .unwrap_or_else(|| pattern.unparsed()),
        };
        self.line.clear();
        begin_line(&mut self.line, &name);
    }
}

impl Framing for ActionLines {
    fn open(&mut self, body: &mut Vec<u8>, id: &DocumentId, time: EventTime) {
        let day = self.day(time);
        if self.day != Some(day) {
            self.day = Some(day);
            self.write_line(time);
        }
        body.extend_from_slice(&self.line);
        body.extend_from_slice(id.as_bytes());
        body.extend_from_slice(END);
    }

    fn close(&mut self, body: &mut Vec<u8>) {
        body.push(b'\n');
    }
}

/// Appends the action line of a document that has this index and id. Neither needs escaping: index names cannot hold
/// `"` or `\`, and ids that are not ours are checked before (`dead_letters::Entry::is_sendable`).
pub(crate) fn write(body: &mut Vec<u8>, index: &str, id: &str) {
    begin_line(body, index);
    body.extend_from_slice(id.as_bytes());
    body.extend_from_slice(END);
}

/// Index and id of an action line, with or without its line end; `None` when [`write`] did not make it.
pub(crate) fn parse(line: &[u8]) -> Option<(&str, &str)> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let rest = line.strip_prefix(BEFORE_INDEX)?.strip_suffix(b"\"}}")?;
    let (index, rest) = rest.split_at(memchr::memchr(b'"', rest)?);
    let id = rest.strip_prefix(BEFORE_ID)?;
    let whole = !index.is_empty() && !id.is_empty() && !id.contains(&b'"');
    whole.then_some((
        std::str::from_utf8(index).ok()?,
        std::str::from_utf8(id).ok()?,
    ))
}

/// The action line up to the end of the index's name: equal for documents of one index.
pub(crate) fn index_part(line: &[u8]) -> &[u8] {
    let end = memchr::memmem::find(line, BEFORE_ID).map_or(0, |at| at + 1);
    line.get(..end).unwrap_or_default()
}

fn begin_line(out: &mut Vec<u8>, index: &str) {
    out.extend_from_slice(BEFORE_INDEX);
    out.extend_from_slice(index.as_bytes());
    out.extend_from_slice(BEFORE_ID);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{DataStream, IndexPattern};
    use crate::event::StreamId;

    const DAY: i64 = 20_780;

    fn index_at(framing: &mut ActionLines, time: EventTime) -> String {
        let id = DocumentId::new(time, &StreamId([7; 10]), 12);
        let mut body = Vec::new();
        framing.open(&mut body, &id, time);
        let (index, written) = parse(&body).unwrap();
        assert_eq!(written.as_bytes(), id.as_bytes());
        index.to_owned()
    }

    #[test]
    fn an_action_line_gives_index_and_id_back() {
        let mut line = Vec::new();
        write(&mut line, "nginx-access-2026.11.23", "aGk");
        assert_eq!(
            line,
            b"{\"create\":{\"_index\":\"nginx-access-2026.11.23\",\"_id\":\"aGk\"}}\n"
        );
        assert_eq!(parse(&line), Some(("nginx-access-2026.11.23", "aGk")));
        assert_eq!(parse(&line[..line.len() - 1]), parse(&line));
        assert_eq!(
            index_part(&line),
            b"{\"create\":{\"_index\":\"nginx-access-2026.11.23\""
        );
        for other in [
            &b"{\"index\":{\"_index\":\"a\",\"_id\":\"b\"}}"[..],
            b"{\"create\":{\"_index\":\"a\",\"_id\":\"b\",\"x\":\"y\"}}",
            b"{\"create\":{\"_index\":\"\",\"_id\":\"b\"}}",
            b"",
        ] {
            assert_eq!(parse(other), None);
        }
    }

    #[test]
    fn the_index_is_that_of_the_events_day() {
        let pattern = IndexPattern::parse("nginx-access-%Y.%m.%d").unwrap();
        let mut framing = ActionLines::new(pattern.into());
        let last = (DAY + 1) * SECONDS_PER_DAY - 1;
        let cases = [
            (EventTime::At(last), "nginx-access-2026.11.23"),
            (EventTime::At(last + 1), "nginx-access-2026.11.24"),
            (EventTime::Unreadable, "nginx-access-unparsed"),
            (EventTime::At(last), "nginx-access-2026.11.23"),
        ];
        for (time, index) in cases {
            assert_eq!(index_at(&mut framing, time), index, "{time:?}");
        }
    }

    #[test]
    fn a_data_stream_contains_all_days() {
        let stream = DataStream::parse("logs-nginx.access-default").unwrap();
        let mut framing = ActionLines::new(IndexTarget::Stream(stream));
        for time in [
            EventTime::At(0),
            EventTime::At(DAY * SECONDS_PER_DAY),
            EventTime::Unreadable,
        ] {
            assert_eq!(index_at(&mut framing, time), "logs-nginx.access-default");
        }
    }
}
