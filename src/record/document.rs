//! Writes the document of a line, member by member in a fixed order.
//!
//! Owns the bytes between a record's `{` and its `}`. Each member ends with a comma: an object without members can be
//! removed as a whole, and the last comma becomes the closing brace. Source of names, types and units: ECS 8.11 field
//! reference, and the nginx integration's `nginx.access.*`.

use std::path::Path;

use logweir_parsers::{Escape, number, time::Stamp};

use super::clients;
use super::members::{self, Request, Text};
use super::route::MatchedRoute;
use super::{
    Buffers, ChunkContext, EventTimes, LinePosition, LogRecorder, Marks, Sink, Values, stamp,
};
use crate::config::RouteKind;
use crate::enrich::Enrichment;
use crate::event::{DocumentId, Framing};
use crate::json;

/// Tag of a line longer than the limit; the record has only its beginning.
const TAG_CUT: &str = "line_cut";
/// Tag of a line whose time is more than a day in the future.
const TAG_CLOCK_SKEW: &str = "clock_skew";
/// Tag of a line without a time in the years 2000 to 2099.
const TAG_NO_TIME: &str = "time_unreadable";
/// Tag of a line that matches no format.
const TAG_UNPARSED: &str = "unparsed";
/// Tag of a framed line that matches no format and of which a part may be missing.
const TAG_PARTIAL: &str = "partial_line";
/// Tag of a request to a sensitive route.
const TAG_SENSITIVE: &str = "sensitive";
/// Tag of a line with a value whose type does not fit the configured field.
const TAG_TYPE_MISMATCH: &str = "field_misfit";
/// Tag of a request whose client address comes only from data that the client sends.
const TAG_CLIENT_UNVERIFIED: &str = "client_unverified";
/// Tag of a request whose user name comes only from data that the client sends.
const TAG_USER_UNVERIFIED: &str = "user_unverified";

/// The result for the line as a whole.
#[derive(Debug, Clone, Copy)]
enum Whole<'e> {
    Parsed {
        sensitive: bool,
        marks: &'e Marks,
    },
    Unparsed {
        message: &'e str,
        may_be_partial: bool,
    },
}

/// Writes the bytes from the end of `@timestamp` to `event.created`.
pub(super) fn event_head(out: &mut Vec<u8>, now_millis: i64) {
    out.clear();
    out.extend_from_slice(
        b"\",\"event\":{\"kind\":\"event\",\"type\":[\"access\"],\
          \"module\":\"nginx\",\"dataset\":\"nginx.access\",\"created\":\"",
    );
    let nanos = u32::try_from(now_millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000;
    stamp::timestamp(out, now_millis.div_euclid(1000), nanos);
    out.extend_from_slice(b"\",");
}

/// Writes `log.file.path`, up to the offset.
pub(super) fn log_file(out: &mut Vec<u8>, path: &Path) {
    out.clear();
    out.extend_from_slice(b"\"log\":{\"file\":{\"path\":\"");
    json::text(out, path.to_string_lossy().as_bytes());
    out.extend_from_slice(b"\"},\"offset\":");
}

impl ChunkContext {
    /// Appends the item of a line that matches a format.
    pub(super) fn parsed<F: Framing>(
        &mut self,
        times: &EventTimes,
        log: &LogRecorder,
        values: &Values<'_>,
        position: &LinePosition<'_>,
        buffers: &mut Buffers,
        mut sink: Sink<'_, F>,
    ) {
        let request = Request::new(values);
        let status = values.plan.roles.status(values);
        let found = MatchedRoute::of(&log.router, buffers, values, &request, status);
        self.open(times, position, &mut sink);
        let type_mismatch = values.plan.may_mismatch
            && (values.plan.roles.has_type_mismatch(values)
                || clients::has_type_mismatch(&values.plan.clients, values));
        buffers.scratch.marks = Marks {
            type_mismatch,
            ..Marks::default()
        };
        let mut text = Text {
            out: &mut sink.batch.body,
            scratch: &mut buffers.scratch,
            escape: values.plan.escape,
            plain: values.plain,
            watched: values.watched,
            redactor: values.redactor,
            pod: &self.pod,
        };
        self.event(&mut text, times, values, position, (found.kind(), status));
        members::http(&mut text, values, &request, status, (found, &buffers.route));
        members::url(&mut text, values, &request, log.site.as_deref());
        let Enrichment {
            addresses,
            user_agents,
        } = &mut buffers.enrichment;
        members::peers(&mut text, values, &self.trusted_proxies, addresses.as_mut());
        members::user_agent(&mut text, values, user_agents.as_mut());
        if values.plan.tells_tls {
            members::tls(&mut text, values);
        }
        if values.plan.tells_more || request.rubbish.is_some() {
            members::nginx(&mut text, values, &request);
        }
        text.extras(&values.plan.extras.ending, Some(values));
        let whole = Whole::Parsed {
            sensitive: matches!(found.kind(), RouteKind::Sensitive),
            marks: &buffers.scratch.marks,
        };
        self.close(times, position, whole, &mut sink);
    }

    /// Appends the item of a line that matches no format: the whole line and the reason.
    pub(super) fn unparsed<F: Framing>(
        &mut self,
        times: &EventTimes,
        log: &LogRecorder,
        reason: &str,
        position: &LinePosition<'_>,
        buffers: &mut Buffers,
        mut sink: Sink<'_, F>,
    ) {
        self.open(times, position, &mut sink);
        let mut text = Text {
            out: &mut sink.batch.body,
            scratch: &mut buffers.scratch,
            escape: Escape::None,
            plain: false,
            watched: true,
            redactor: &log.redactor,
            pod: &self.pod,
        };
        text.out.extend_from_slice(WEB);
        let shown = log.redactor.line(position.line, &mut text.scratch.cleaned);
        original(text.out, shown);
        text.extras(&log.unparsed.event, None);
        json::end(text.out);
        text.extras(&log.unparsed.ending, None);
        let unparsed = Whole::Unparsed {
            message: reason,
            may_be_partial: position.may_be_partial,
        };
        self.close(times, position, unparsed, &mut sink);
    }

    /// Appends the document up to `event.created`.
    fn open<F: Framing>(
        &mut self,
        times: &EventTimes,
        position: &LinePosition<'_>,
        sink: &mut Sink<'_, F>,
    ) {
        let id = DocumentId::new(times.time, &self.stream, position.offset);
        sink.open(&id, times.time);
        let head = self.heads.text(&self.event, times);
        sink.batch.body.extend_from_slice(head);
    }

    /// Ends the document with the position of the line and the tags.
    fn close<F: Framing>(
        &self,
        times: &EventTimes,
        position: &LinePosition<'_>,
        whole: Whole<'_>,
        sink: &mut Sink<'_, F>,
    ) {
        let out = &mut sink.batch.body;
        out.extend_from_slice(&self.log_file);
        json::integer(out, position.offset);
        out.extend_from_slice(b"},");
        let (sensitive, marks) = match whole {
            Whole::Parsed { sensitive, marks } => (sensitive, marks),
            Whole::Unparsed { .. } => (false, &Marks::default()),
        };
        let tags = [
            (sensitive, TAG_SENSITIVE),
            (marks.type_mismatch, TAG_TYPE_MISMATCH),
            (marks.client_unverified, TAG_CLIENT_UNVERIFIED),
            (marks.user_unverified, TAG_USER_UNVERIFIED),
            (matches!(whole, Whole::Unparsed { .. }), TAG_UNPARSED),
            (position.cut, TAG_CUT),
            (times.ahead, TAG_CLOCK_SKEW),
            (!times.is_readable(), TAG_NO_TIME),
        ];
        if tags.iter().any(|(set, _)| *set) {
            out.extend_from_slice(b"\"tags\":[");
            for (_, tag) in tags.iter().filter(|(set, _)| *set) {
                out.push(b'"');
                out.extend_from_slice(tag.as_bytes());
                out.extend_from_slice(b"\",");
            }
            // It is none of the tags above, which are looked at for each line.
            if matches!(whole, Whole::Unparsed { may_be_partial, .. } if may_be_partial) {
                out.extend_from_slice(format!("\"{TAG_PARTIAL}\",").as_bytes());
            }
            out.pop();
            out.extend_from_slice(b"],");
        }
        if let Whole::Unparsed { message, .. } = whole {
            out.extend_from_slice(b"\"error\":{\"message\":\"");
            json::text(out, message.as_bytes());
            out.extend_from_slice(b"\"},");
        }
        out.pop();
        out.push(b'}');
        sink.close();
    }

    /// Writes the rest of `event`, which [`ChunkContext::open`] began.
    fn event(
        &self,
        text: &mut Text<'_>,
        times: &EventTimes,
        values: &Values<'_>,
        position: &LinePosition<'_>,
        (kind, status): (&RouteKind, Option<&[u8]>),
    ) {
        let success = match kind {
            RouteKind::Login { success } => Some(success.as_slice()),
            RouteKind::Plain | RouteKind::Sensitive => None,
        };
        text.out
            .extend_from_slice(if success.is_some() { LOGIN } else { WEB });
        if let Some(status) = status.and_then(number::unsigned) {
            let succeeded = match success {
                Some(success) => success.iter().any(|range| range.contains(&status)),
                None => status < 400,
            };
            text.out.extend_from_slice(match status {
                // nginx logs 000 if the client closed the connection before the response
                0..100 => &b"\"outcome\":\"unknown\","[..],
                _ if succeeded => b"\"outcome\":\"success\",",
                _ => b"\"outcome\":\"failure\",",
            });
        }
        let out = &mut *text.out;
        if let Some(nanos) = values.plan.roles.duration(values).filter(json::is_long) {
            out.extend_from_slice(b"\"duration\":");
            json::integer(out, nanos);
            out.push(b',');
            if times.is_readable() {
                out.extend_from_slice(b"\"start\":\"");
                let (seconds, rest) = before(&times.shown, nanos);
                stamp::timestamp(out, seconds, rest);
                out.extend_from_slice(b"\",");
            }
        }
        if self.shows_line(position.cut, times.is_readable().then_some(times.shown)) {
            let line = values.clean_line(text.scratch);
            original(text.out, line);
        }
        text.extras(&values.plan.extras.event, Some(values));
        json::end(text.out);
    }
}

/// `event.category` of a request, and of a login.
const WEB: &[u8] = b"\"category\":[\"web\"],";
const LOGIN: &[u8] = b"\"category\":[\"web\",\"authentication\"],";

/// Appends `event.original`: the bytes of the file, with `\xHH` for bytes that are not UTF-8.
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

/// Returns the time `nanos` before `stamp`, in seconds and nanoseconds.
fn before(stamp: &Stamp, nanos: u64) -> (i64, u32) {
    const SECOND: i128 = 1_000_000_000;
    let at = i128::from(stamp.seconds) * SECOND + i128::from(stamp.nanos) - i128::from(nanos);
    let seconds = i64::try_from(at.div_euclid(SECOND)).unwrap_or(0);
    (seconds, u32::try_from(at.rem_euclid(SECOND)).unwrap_or(0))
}
