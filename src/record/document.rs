//! The document of a line, member by member in a fixed order.
//!
//! Owns the bytes between a record's `{` and its `}`. Each member ends with a comma, so that an object without
//! members can be taken back whole and the last comma becomes the closing brace. Source of names, types and
//! units: ECS 8.11 field reference, and the nginx integration's `nginx.access.*`.

use std::path::Path;

use logweir_parsers::{number, time::Stamp};

use super::members::{self, Request};
use super::{Buffers, Frame, LogRecorder, Place, Placed, Values, json, stamp};
use crate::config::DataStream;
use crate::output::{Batch, Item};

/// The ECS version whose names are used.
const ECS_VERSION: &str = "8.11.0";

/// Tag of a line longer than the limit, of which only the beginning is there.
const TAG_CUT: &str = "line_cut";
/// Tag of a line whose time lies more than a day ahead.
const TAG_CLOCK_SKEW: &str = "clock_skew";
/// Tag of a line that has no time, or none of a year from 2000 to 2099.
const TAG_NO_TIME: &str = "time_unreadable";
/// Tag of a line that no format takes.
const TAG_UNPARSED: &str = "unparsed";

/// What a document says of the line as a whole.
#[derive(Debug, Clone, Copy)]
enum Whole<'e> {
    Parsed,
    Unparsed(&'e str),
}

/// Members after `log.offset` that are the same in every record.
pub(super) fn tail(host: &str, stream: Option<&DataStream>) -> Vec<u8> {
    let host = json::constant(host);
    let version = env!("CARGO_PKG_VERSION");
    let stream = stream.map_or_else(String::new, |stream| {
        format!(
            "\"data_stream\":{{\"type\":\"{}\",\"dataset\":\"{}\",\"namespace\":\"{}\"}},",
            json::constant(stream.kind()),
            json::constant(stream.dataset()),
            json::constant(stream.namespace())
        )
    });
    format!(
        "\"ecs\":{{\"version\":\"{ECS_VERSION}\"}},\"host\":{{\"name\":\"{host}\"}},\
         \"agent\":{{\"name\":\"{host}\",\"type\":\"logweir\",\"version\":\"{version}\"}},\
         \"input\":{{\"type\":\"log\"}},\"service\":{{\"type\":\"nginx\"}},{stream}"
    )
    .into_bytes()
}

/// From the end of `@timestamp` to `event.created`.
pub(super) fn event_head(out: &mut Vec<u8>, now_millis: i64) {
    out.clear();
    out.extend_from_slice(
        b"\",\"event\":{\"kind\":\"event\",\"category\":[\"web\"],\"type\":[\"access\"],\
          \"module\":\"nginx\",\"dataset\":\"nginx.access\",\"created\":\"",
    );
    let nanos = u32::try_from(now_millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000;
    stamp::timestamp(out, now_millis.div_euclid(1000), nanos);
    out.extend_from_slice(b"\",");
}

/// `log.file.path`, up to the offset.
pub(super) fn place(out: &mut Vec<u8>, path: &Path) {
    out.clear();
    out.extend_from_slice(b"\"log\":{\"file\":{\"path\":\"");
    json::text(out, path.to_string_lossy().as_bytes());
    out.extend_from_slice(b"\"},\"offset\":");
}

impl Frame {
    /// Appends the item of a line that a format took.
    pub(super) fn parsed(
        &mut self,
        placed: &Placed,
        log: &LogRecorder,
        values: &Values<'_>,
        place: &Place<'_>,
        buffers: &mut Buffers,
        batch: &mut Batch,
    ) {
        self.open(placed, place, batch);
        let out = &mut batch.body;
        self.event(out, placed, values, place);
        let request = Request::new(values);
        members::http(out, buffers, values, &request);
        members::url(
            out,
            &mut buffers.value,
            values,
            &request,
            log.site.as_deref(),
        );
        members::peers(out, &mut buffers.value, values, &self.trusted_proxies);
        members::user_agent(out, &mut buffers.value, values);
        if values.plan.tells_tls {
            members::tls(out, &mut buffers.value, values);
        }
        if values.plan.tells_more || request.rubbish.is_some() {
            members::nginx(out, &mut buffers.value, values, &request);
        }
        self.close(placed, log, place, Whole::Parsed, batch);
    }

    /// Appends the item of a line that no format takes: whole, with the reason.
    pub(super) fn unparsed(
        &mut self,
        placed: &Placed,
        log: &LogRecorder,
        reason: &str,
        place: &Place<'_>,
        batch: &mut Batch,
    ) {
        self.open(placed, place, batch);
        original(&mut batch.body, place.line);
        json::end(&mut batch.body);
        if let Some(site) = &log.site {
            batch
                .body
                .extend_from_slice(format!("\"url\":{{\"domain\":\"{site}\"}},").as_bytes());
        }
        self.close(placed, log, place, Whole::Unparsed(reason), batch);
    }

    /// Appends the action line and the document up to `event.created`.
    fn open(&mut self, placed: &Placed, place: &Place<'_>, batch: &mut Batch) {
        let out = &mut batch.body;
        let start = out.len();
        out.extend_from_slice(self.actions.line(&self.target, placed));
        out.extend_from_slice(&stamp::document_id(
            placed.second,
            &self.stream.0,
            place.offset,
        ));
        out.extend_from_slice(b"\"}}\n");
        let document = out.len();
        // A batch is sealed far below 4 GiB: see the limits of `batch_bytes` and the longest line.
        #[allow(clippy::cast_possible_truncation)]
        batch.items.push(Item {
            start: start as u32,
            document: document as u32,
        });
        out.extend_from_slice(self.heads.text(&self.event, placed));
    }

    /// Ends the document with its place, its tags and the constants.
    fn close(
        &self,
        placed: &Placed,
        log: &LogRecorder,
        place: &Place<'_>,
        whole: Whole<'_>,
        batch: &mut Batch,
    ) {
        let out = &mut batch.body;
        out.extend_from_slice(&self.place);
        json::integer(out, place.offset);
        out.extend_from_slice(b"},");
        let tags = [
            (matches!(whole, Whole::Unparsed(_)), TAG_UNPARSED),
            (place.cut, TAG_CUT),
            (placed.ahead, TAG_CLOCK_SKEW),
            (!placed.readable, TAG_NO_TIME),
        ];
        if tags.iter().any(|(set, _)| *set) {
            out.extend_from_slice(b"\"tags\":[");
            for (_, tag) in tags.iter().filter(|(set, _)| *set) {
                out.push(b'"');
                out.extend_from_slice(tag.as_bytes());
                out.extend_from_slice(b"\",");
            }
            out.pop();
            out.extend_from_slice(b"],");
        }
        if let Whole::Unparsed(message) = whole {
            out.extend_from_slice(b"\"error\":{\"message\":\"");
            json::text(out, message.as_bytes());
            out.extend_from_slice(b"\"},");
        }
        out.extend_from_slice(log.constants.as_bytes());
        out.extend_from_slice(&self.tail);
        out.pop();
        out.extend_from_slice(b"}\n");
    }

    /// The rest of `event`, which [`Frame::open`] began.
    fn event(&self, out: &mut Vec<u8>, placed: &Placed, values: &Values<'_>, place: &Place<'_>) {
        if let Some(status) = values.get(values.plan.status).and_then(number::unsigned) {
            out.extend_from_slice(match status {
                // nginx logs 000 when the client was gone before there was an answer
                0..100 => &b"\"outcome\":\"unknown\","[..],
                100..400 => b"\"outcome\":\"success\",",
                _ => b"\"outcome\":\"failure\",",
            });
        }
        if let Some(nanos) = values
            .get(values.plan.request_time)
            .and_then(number::seconds_to_nanos)
            .filter(json::is_long)
        {
            out.extend_from_slice(b"\"duration\":");
            json::integer(out, nanos);
            out.push(b',');
            if placed.readable {
                out.extend_from_slice(b"\"start\":\"");
                let (seconds, rest) = before(&placed.shown, nanos);
                stamp::timestamp(out, seconds, rest);
                out.extend_from_slice(b"\",");
            }
        }
        if self.keep_original || place.cut || !placed.readable {
            original(out, place.line);
        }
        json::end(out);
    }
}

/// Appends `event.original`. Its bytes are what stands in the file; those that are not UTF-8 become `\xHH`.
fn original(out: &mut Vec<u8>, line: &[u8]) {
    out.extend_from_slice(b"\"original\":\"");
    for chunk in line.utf8_chunks() {
        json::text(out, chunk.valid().as_bytes());
        for byte in chunk.invalid() {
            out.extend_from_slice(format!("\\\\x{byte:02X}").as_bytes());
        }
    }
    out.extend_from_slice(b"\",");
}

/// The moment `nanos` before `stamp`.
fn before(stamp: &Stamp, nanos: u64) -> (i64, u32) {
    const SECOND: i128 = 1_000_000_000;
    let at = i128::from(stamp.seconds) * SECOND + i128::from(stamp.nanos) - i128::from(nanos);
    let seconds = i64::try_from(at.div_euclid(SECOND)).unwrap_or(0);
    (seconds, u32::try_from(at.rem_euclid(SECOND)).unwrap_or(0))
}
