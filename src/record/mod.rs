//! Turns a line into an ECS document, written straight into the buffer of the batch.
//!
//! Owns the content of a record (ECS 8.11 names, types and units), and how its index and id follow from the line and its
//! position. Refuses to know rotation, batches and clusters.
//!
//! Invariants: every line ends as exactly one item, is blank, is counted as expired, or is requested again because the
//! formats are stale. A line that matches no format is indexed as a whole, with the reason. The index and id of a document
//! depend only on the line and its position, so that a line that is read twice gives the same document. They depend on
//! the formats only in one respect: a format decides which of several times in a line is its own
//! (`logweir_parsers::event_time`).

mod clients;
mod document;
mod extra;
mod framed;
mod members;
mod plan;
pub(crate) mod privacy;
mod request_target;
mod roles;
mod route;
mod stamp;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use logweir_parsers::event_time::{TimeMemo, find_time};
use logweir_parsers::time::Stamp;
use logweir_parsers::{Captures, ParseError, Plainness};

use crate::config::{DataStream, Field, FieldValue, Formats, NamedFormat, Privacy, Routes};
use crate::enrich::{Enrich, Enrichment};
use crate::event::{Batch, DocumentId, EventTime, Framing, Item, StreamId};
use crate::framing::{Pod, is_docker_json};
use crate::json;
use extra::PodNames;
use extra::{Ending, Extras};
pub(crate) use framed::{DOCKER_JSON, FramedLine};
use framed::{Frame, Incomplete};
use members::Request;
use plan::Plan;
use privacy::{Cleaned, Redactor, Seen};
use route::{MatchedRoute, Router};

/// The part of the configuration that the record needs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data stream that records name.
    pub data_stream: Option<DataStream>,
    /// `host.name`.
    pub host: String,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Keep the line in `event.original` even if it matches a format.
    pub keep_original: bool,
    /// Lines older than this are not indexed.
    pub retention: Option<Duration>,
    /// The configured routes.
    pub routes: Routes,
    /// What is hidden.
    pub privacy: Privacy,
    /// What is looked up.
    pub enrich: Enrich,
    /// By the same index as `tail::Settings::logs`.
    pub logs: Vec<LogSettings>,
}

/// One log's formats and constants.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// The formats, in the order in which they are tried.
    pub formats: Formats,
    /// Further fields of every record of this log, such as `url.domain`.
    pub fields: Vec<Field>,
    /// A container runtime may write its files, so that the path of a file names a pod.
    pub pods: bool,
}

/// Checks whether the formats are stale, and starts reading them again if they are. The recorder calls it before it
/// writes a line as unparsed: the administrator changes nginx's configuration before nginx writes the first line of a
/// new format, so a check after reading never takes such a line for an unparsed one.
#[derive(Clone)]
pub struct StaleFormats(Arc<dyn Fn() -> bool + Send + Sync>);

impl StaleFormats {
    /// `outdated` checks the files of the formats; it may take as long as a few `stat` calls.
    pub fn new(outdated: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(outdated))
    }
}

impl fmt::Debug for StaleFormats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StaleFormats")
    }
}

/// The result for a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// Written; the line matches the format at this position of the log's list.
    Parsed(usize),
    /// Written as a whole, with the reason of the format that matches most of the line; the first of several.
    Unparsed(&'static str),
    /// Not written: the line is blank, and no request leaves a blank line.
    Blank,
    /// Not written: the line is older than the retention.
    Expired,
    /// Not written: the line matches no format and the formats are stale. The caller passes it again later.
    Waits,
}

/// The source of the following lines: one file under one path.
#[derive(Debug, Clone, Copy)]
pub struct LineSource<'s> {
    /// Index into `Settings::logs`.
    pub log: usize,
    /// Identity of the file's content.
    pub stream: StreamId,
    /// The path that the lines are read from.
    pub path: &'s Path,
    /// A container runtime has framed the lines.
    pub is_framed: bool,
}

/// Writes records. One per reader thread; all its buffers are reused.
#[derive(Debug)]
pub struct Recorder<F> {
    framing: F,
    logs: Vec<LogRecorder>,
    captures: Captures,
    chunk: ChunkContext,
    buffers: Buffers,
    stale: Option<StaleFormats>,
    /// The formats were still current after these lines had been read.
    formats_current: bool,
}

/// One log's formats and constants, compiled.
#[derive(Debug)]
struct LogRecorder {
    formats: Formats,
    fields: Vec<Field>,
    /// Documents may name a pod.
    pods: bool,
    /// The plans of the formats that matched a line so far, with their positions. They are few, even if there are many
    /// formats.
    plans: Vec<(usize, Plan)>,
    /// `url.domain` for a line that has none, as the inside of a JSON string.
    site: Option<String>,
    /// Extra members of lines that match no format.
    unparsed: Extras,
    /// Names the requests; the same for all logs.
    router: Arc<Router>,
    /// Hides secrets and addresses; the same for all logs.
    redactor: Arc<Redactor>,
}

/// The values that all lines of a chunk share: lines of one source that were read together.
#[derive(Debug)]
struct ChunkContext {
    trusted_proxies: Vec<IpNet>,
    keep_original: bool,
    retention: Option<i64>,
    data_stream: Option<DataStream>,
    /// `host.name`
    host: String,
    /// `","event":{…,"created":"…",`
    event: Vec<u8>,
    heads: HeadMemo,
    /// `"log":{"file":{"path":"…"},"offset":`
    log_file: Vec<u8>,
    log: usize,
    stream: StreamId,
    now_millis: i64,
    /// A line expires only if it is also too old at this time, in milliseconds.
    trusted_millis: i64,
    /// The last readable time of the source, for lines without one.
    last: Option<Stamp>,
    time_memo: TimeMemo,
    /// The pod that writes the source.
    pod: PodNames,
}

/// Buffers for values that are not copied unchanged, and caches.
#[derive(Debug)]
struct Buffers {
    enrichment: Enrichment,
    scratch: Scratch,
    path: Vec<u8>,
    resolved: Vec<u8>,
    route: Vec<u8>,
    clean: Seen,
}

/// Scratch space for writing a value.
#[derive(Debug, Default)]
struct Scratch {
    /// A decoded value.
    value: Vec<u8>,
    /// A cleaned value.
    cleaned: Cleaned,
    /// A line whose values were cleaned.
    line: Vec<u8>,
    marks: Marks,
}

/// Facts about the values of a line, for its tags.
#[derive(Debug, Default)]
struct Marks {
    /// A value does not fit the type of its configured field.
    type_mismatch: bool,
    /// Only the client vouches for its address.
    client_unverified: bool,
    /// Only the client vouches for the name of the user.
    user_unverified: bool,
}

impl<F: Framing> Recorder<F> {
    /// Prepares everything that does not depend on a line; `framing` writes the bytes around each document.
    pub fn new(settings: Settings, framing: F) -> Self {
        let ending = Ending {
            host: &settings.host,
            stream: settings.data_stream.as_ref(),
            pods: false,
        };
        let router = Arc::new(Router::new(settings.routes));
        let redactor = Arc::new(Redactor::new(&settings.privacy));
        let logs = settings.logs.into_iter();
        let logs = logs.map(|log| LogRecorder::new(log, &router, ending, &redactor));
        let logs = logs.collect();
        let chunk = ChunkContext {
            trusted_proxies: settings.trusted_proxies,
            keep_original: settings.keep_original,
            retention: settings
                .retention
                .map(|age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX)),
            data_stream: settings.data_stream,
            host: settings.host,
            event: Vec::new(),
            heads: HeadMemo::default(),
            log_file: Vec::new(),
            log: 0,
            stream: StreamId([0; 10]),
            now_millis: 0,
            trusted_millis: i64::MAX,
            last: None,
            time_memo: TimeMemo::default(),
            pod: PodNames::default(),
        };
        Self {
            framing,
            logs,
            captures: Captures::new(),
            chunk,
            buffers: Buffers {
                enrichment: Enrichment::new(&settings.enrich),
                scratch: Scratch::default(),
                path: Vec::new(),
                resolved: Vec::new(),
                route: Vec::new(),
                clean: Seen::default(),
            },
            stale: None,
            formats_current: true,
        }
    }

    /// Returns the recorder with a check for stale formats.
    pub fn with_stale_formats(self, stale: StaleFormats) -> Self {
        Self {
            stale: Some(stale),
            ..self
        }
    }

    /// Begins a chunk: the following lines come from `source` and were read at `now_millis`. `last` is the last readable
    /// time of the lines before them in the same file.
    pub fn begin(&mut self, source: LineSource<'_>, now_millis: i64, last: Option<Stamp>) {
        self.formats_current = self.stale.is_none();
        let chunk = &mut self.chunk;
        chunk.log = source.log;
        chunk.stream = source.stream;
        chunk.now_millis = now_millis;
        chunk.last = last;
        document::event_head(&mut chunk.event, now_millis);
        chunk.heads.forget();
        document::log_file(&mut chunk.log_file, source.path);
        let pod = source.is_framed.then(|| Pod::of(source.path)).flatten();
        chunk.pod.set(pod);
    }

    /// Sets the latest time that is known to be right. A line does not expire by a clock that is ahead of it.
    pub fn trust_clock_until(&mut self, millis: i64) {
        self.chunk.trusted_millis = millis;
    }

    /// The last readable time so far; the next [`Recorder::begin`] of this file takes it.
    pub fn last_time(&self) -> Option<Stamp> {
        self.chunk.last
    }

    /// The name of a format by the log and its position in the log's list.
    pub fn format_name(&self, log: usize, format: usize) -> &str {
        self.logs
            .get(log)
            .and_then(|log| log.formats.get(format))
            .map_or("", |named| &named.name)
    }

    /// A value of a line that matches a format of the first log, decoded and without what must be hidden.
    pub fn shown(
        &mut self,
        format: usize,
        captures: &Captures,
        line: &[u8],
        capture: usize,
    ) -> Option<Vec<u8>> {
        let log = self.logs.first_mut()?;
        log.prepare(format, &self.chunk);
        let values = Values {
            plan: log.plan(format)?,
            captures,
            line,
            plain: false,
            watched: true,
            redactor: &log.redactor,
        };
        values.value(Some(capture)).map(|value| values.shown(value))
    }

    /// `http.route` of a line that matches a format of the first log, and whether a configured route names it; `None` if
    /// the line has no path.
    pub fn route(
        &mut self,
        format: usize,
        captures: &Captures,
        line: &[u8],
    ) -> Option<(String, bool)> {
        let log = self.logs.first_mut()?;
        log.prepare(format, &self.chunk);
        let plan = log.plan(format)?;
        let values = Values {
            plan,
            captures,
            line,
            plain: captures.is_plain(),
            watched: log.redactor.watches(line),
            redactor: &log.redactor,
        };
        let request = Request::new(&values);
        let status = plan.roles.status(&values);
        let found = MatchedRoute::of(&log.router, &mut self.buffers, &values, &request, status);
        let name = found.name(&values, &self.buffers.route)?;
        Some((name, matches!(found, MatchedRoute::Named(_))))
    }

    /// Writes the record of `line`, at `offset` of the source, as one item of `batch`.
    /// `cut`: the line was longer than the limit and this is its beginning.
    #[inline(always)]
    pub fn record(&mut self, offset: u64, line: &[u8], cut: bool, batch: &mut Batch) -> Recorded {
        self.take(offset, line, cut, &Frame::RAW, batch)
    }

    /// The same for a line in a frame. There is one copy of it, into which the steps of a line are inlined.
    #[inline(never)]
    fn take(
        &mut self,
        offset: u64,
        line: &[u8],
        cut: bool,
        frame: &Frame<'_>,
        batch: &mut Batch,
    ) -> Recorded {
        let Self {
            framing,
            logs,
            captures,
            chunk,
            buffers,
            stale,
            formats_current,
        } = self;
        let mut line = match line {
            // a `\r` belongs to the end of the line, unless the line was cut
            [text @ .., b'\r'] if !cut => text,
            line => line,
        };
        if !cut && is_blank(line) {
            return Recorded::Blank;
        }
        let log = &mut logs[chunk.log];
        let mut taken = match frame.incomplete {
            None => choose(&log.formats, line, captures),
            Some(_) => Err(None),
        };
        if taken.is_err()
            && let Some(whole) = frame.whole
            && let Some(index) = choose_for_whole(&log.formats, whole, captures)
        {
            (taken, line) = (Ok(index), whole);
        }
        let position = LinePosition {
            offset,
            line,
            cut,
            may_be_partial: frame.may_be_partial,
        };
        if let Ok(index) = taken {
            log.prepare(index, chunk);
            let log = &*log;
            if let Some(plan) = log.plan(index) {
                let stamp = chunk.time_memo.read(&plan.times, captures, line);
                let stamp = stamp.or_else(|| frame.stamp());
                let shows_line = chunk.shows_line(cut, stamp);
                let values = Values {
                    plan,
                    captures,
                    line,
                    plain: captures.is_plain(),
                    watched: match shows_line {
                        true => log.redactor.watches(line),
                        false => {
                            let clean = &mut buffers.clean;
                            log.redactor
                                .watches_values(&plan.watch, captures, line, clean)
                        }
                    },
                    redactor: &log.redactor,
                };
                let Some(times) = chunk.event_times(stamp) else {
                    return Recorded::Expired;
                };
                let sink = Sink { batch, framing };
                chunk.parsed(&times, log, &values, &position, buffers, sink);
                return Recorded::Parsed(index);
            }
        }
        if !*formats_current {
            if stale
                .as_ref()
                .is_some_and(|StaleFormats(outdated)| outdated())
            {
                return Recorded::Waits;
            }
            *formats_current = true;
        }
        let stamp = find_time(line).or_else(|| frame.stamp());
        let Some(times) = chunk.event_times(stamp) else {
            return Recorded::Expired;
        };
        let docker = (log.pods && is_docker_json(line)).then_some(Incomplete::DockerJson);
        let incomplete = docker.or(frame.incomplete);
        let furthest = taken.err().flatten();
        let furthest = furthest.and_then(|(at, error)| Some((log.formats.get(at)?, error)));
        let (reason, message) = match furthest {
            _ if let Some(incomplete) = incomplete => {
                (incomplete.reason(), incomplete.message().to_owned())
            }
            Some((NamedFormat { format, .. }, error)) => {
                (error.reason(), format.explain(&error).to_string())
            }
            None => (
                "no_format",
                "no format is configured for this log".to_owned(),
            ),
        };
        let sink = Sink { batch, framing };
        chunk.unparsed(&times, log, &message, &position, buffers, sink);
        Recorded::Unparsed(reason)
    }
}

/// The first format that matches the line, or the one that matches most of it, with its error.
#[inline(always)]
fn choose(
    formats: &Formats,
    line: &[u8],
    captures: &mut Captures,
) -> Result<usize, Option<(usize, ParseError)>> {
    let mut furthest: Option<(usize, ParseError)> = None;
    // there may be thousands of formats
    let bytes = Plainness::of(line);
    for (index, NamedFormat { format, .. }) in formats.iter().enumerate() {
        match format.parse_known(line, bytes, captures) {
            Ok(()) => return Ok(index),
            Err(error) => {
                if furthest.is_none_or(|(_, best)| error.offset > best.offset) {
                    furthest = Some((index, error));
                }
            }
        }
    }
    Err(furthest)
}

/// The first format that matches a line with its head, which is rare.
#[cold]
#[inline(never)]
fn choose_for_whole(formats: &Formats, line: &[u8], captures: &mut Captures) -> Option<usize> {
    choose(formats, line, captures).ok()
}

/// The number of nodes that one path would visit in the trie of templates, if the templates cross too much for a trie.
pub(crate) fn crossing_visits(routes: &Routes) -> Option<usize> {
    Router::new(routes.clone()).crossing_visits()
}

/// Whether a line has only blanks. Text editors and scripts leave such lines.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

impl LogRecorder {
    fn new(
        settings: LogSettings,
        router: &Arc<Router>,
        ending: Ending<'_>,
        redactor: &Arc<Redactor>,
    ) -> Self {
        let fields = &settings.fields;
        let site = fields.iter().find_map(|field| match &field.value {
            FieldValue::Constant(site) if field.name == "url.domain" => Some(json::constant(site)),
            _ => None,
        });
        let ending = Ending {
            pods: settings.pods,
            ..ending
        };
        let unparsed = Extras::of_unparsed(fields, ending);
        Self {
            formats: settings.formats,
            fields: settings.fields,
            pods: settings.pods,
            plans: Vec::new(),
            site,
            unparsed,
            router: Arc::clone(router),
            redactor: Arc::clone(redactor),
        }
    }

    /// Makes the plan of the format at `index` when the first line matches it.
    fn prepare(&mut self, index: usize, chunk: &ChunkContext) {
        if self.plan(index).is_some() {
            return;
        }
        if let Some(named) = self.formats.get(index) {
            let ending = Ending {
                host: &chunk.host,
                stream: chunk.data_stream.as_ref(),
                pods: self.pods,
            };
            let plan = Plan::new(&named.format, &self.fields, ending, &self.redactor);
            self.plans.push((index, plan));
        }
    }

    fn plan(&self, index: usize) -> Option<&Plan> {
        let mut plans = self.plans.iter();
        plans
            .find(|(position, _)| *position == index)
            .map(|(_, plan)| plan)
    }
}

/// The batch that receives documents, and the framing.
struct Sink<'b, F> {
    batch: &'b mut Batch,
    framing: &'b mut F,
}

impl<F: Framing> Sink<'_, F> {
    /// Begins the item of a document.
    fn open(&mut self, id: &DocumentId, time: EventTime) {
        let body = &mut self.batch.body;
        let start = body.len();
        self.framing.open(body, id, time);
        // A batch is sealed far below 4 GiB: see the limits of `batch_bytes` and the longest line.
        #[allow(clippy::cast_possible_truncation)]
        self.batch.items.push(Item {
            start: start as u32,
            document: body.len() as u32,
        });
    }

    /// Ends the item.
    fn close(&mut self) {
        self.framing.close(&mut self.batch.body);
    }
}

/// A line and its position.
#[derive(Debug, Clone, Copy)]
struct LinePosition<'l> {
    offset: u64,
    line: &'l [u8],
    cut: bool,
    /// If no format matches the line, a part of it may be missing.
    may_be_partial: bool,
}

/// The values of a parsed line.
#[derive(Clone, Copy)]
struct Values<'l> {
    plan: &'l Plan,
    captures: &'l Captures,
    line: &'l [u8],
    /// No value needs decoding or escaping.
    plain: bool,
    /// A value may hold something that must be hidden.
    watched: bool,
    redactor: &'l Redactor,
}

impl<'l> Values<'l> {
    fn get(&self, capture: Option<usize>) -> Option<&'l [u8]> {
        self.captures.get(self.line, capture?)
    }
}

/// The times of a record.
#[derive(Debug, Clone, Copy)]
struct EventTimes {
    /// The value of `@timestamp`.
    shown: Stamp,
    /// The line's own time.
    time: EventTime,
    /// The line's time is more than a day in the future.
    ahead: bool,
}

impl EventTimes {
    fn is_readable(&self) -> bool {
        self.time != EventTime::Unreadable
    }
}

impl ChunkContext {
    /// Whether the record of this parsed line has `event.original`.
    fn shows_line(&self, cut: bool, stamp: Option<Stamp>) -> bool {
        self.keep_original || cut || stamp.is_none()
    }

    /// Determines the times of a record from the line's readable time; `None` if the line is older than the retention.
    fn event_times(&mut self, stamp: Option<Stamp>) -> Option<EventTimes> {
        let now = self.now_millis.div_euclid(1000);
        let Some(stamp) = stamp else {
            let millis = self.now_millis.rem_euclid(1000);
            let nanos = u32::try_from(millis).unwrap_or(0) * 1_000_000;
            let read = Stamp {
                seconds: now,
                nanos,
                offset_minutes: None,
            };
            let shown = self.last.unwrap_or(read);
            return Some(EventTimes {
                shown,
                time: EventTime::Unreadable,
                ahead: false,
            });
        };
        let trusted = now.min(self.trusted_millis.div_euclid(1000));
        if self
            .retention
            .is_some_and(|age| trusted.saturating_sub(stamp.seconds) > age)
        {
            return None;
        }
        self.last = Some(stamp);
        let ahead = stamp.seconds > now + stamp::DAY;
        Some(EventTimes {
            shown: stamp,
            time: EventTime::At(stamp.seconds),
            ahead,
        })
    }
}

/// The beginning of the last document, from `@timestamp` to `event.timezone`.
#[derive(Debug, Default)]
struct HeadMemo {
    time: Option<(Stamp, bool)>,
    text: Vec<u8>,
}

impl HeadMemo {
    fn forget(&mut self) {
        self.time = None;
    }

    fn text(&mut self, event: &[u8], times: &EventTimes) -> &[u8] {
        let time = Some((times.shown, times.is_readable()));
        if self.time != time {
            self.time = time;
            self.text.clear();
            self.text.extend_from_slice(b"{\"@timestamp\":\"");
            stamp::timestamp(&mut self.text, times.shown.seconds, times.shown.nanos);
            self.text.extend_from_slice(event);
            if times.is_readable()
                && let Some(offset) = times.shown.offset_minutes
            {
                self.text.extend_from_slice(b"\"timezone\":\"");
                stamp::zone(&mut self.text, offset);
                self.text.extend_from_slice(b"\",");
            }
        }
        &self.text
    }
}
