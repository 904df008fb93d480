//! Collects lines into batches: the part of the reader that knows no files, only chunks and buffers.
//!
//! Owns the open batch, the buffers and what is not acknowledged. Invariant: every line taken is in exactly one span of
//! one batch, and the telemetry's counts add up after each chunk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use logweir_parsers::time::Stamp;
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::ack_tracker::{AckTracker, BatchNumber};
use super::unparsed::UnparsedLogs;
use crate::event::{Batch, FileKey, OutcomeCounts, Span, StreamId};
use crate::framing::{LineFraming, Records};
use crate::output::{Ack, BatchOutcome, Output};
use crate::record::{FramedLine, LineSource, Recorded, Recorder};
use crate::tail::watch::Waker;
use crate::tail::{Chunk, Problem};
use crate::telemetry::Telemetry;

/// The last times of at most this many files are remembered, for lines without a time.
const REMEMBERED_FILES: usize = 4096;

/// Capacity beyond `batch_bytes` for the document that fills a batch, so that its buffer seldom grows.
const SLACK: usize = 16 * 1024;

/// Batches that an output may have accepted and not acknowledged; reading stops at this limit.
const MAX_UNACKNOWLEDGED: usize = 1024;

pub(super) struct Batcher<O: Output> {
    recorder: Recorder<O::Framing>,
    output: Arc<O>,
    runtime: tokio::runtime::Handle,
    waker: Waker,
    telemetry: Telemetry,
    limits: Limits,
    /// Empty buffers. Together with the open batch's buffer and those in delivery they are the memory budget.
    free: Vec<Batch>,
    open: Option<OpenBatch>,
    /// The pending chunk: it found no free buffer, or waits for formats.
    pending: Option<PendingChunk>,
    events: SyncSender<Event>,
    from_output: Receiver<Event>,
    acks: AckTracker,
    last_times: HashMap<FileKey, Stamp>,
    /// Cancelled when the output must give up what it has not acknowledged.
    recall: CancellationToken,
    counted: Counted,
    /// Takes records out of framed chunks.
    records: Records,
    /// No record of the chunk's stream is before the next line.
    is_first: bool,
    /// Framed lines that were cut for their length.
    long_records: u64,
    unparsed: UnparsedLogs,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    bytes: usize,
    count: usize,
    age: Duration,
}

impl Limits {
    /// Whether a batch takes another document.
    fn has_room(&self, batch: &Batch) -> bool {
        batch.body.len() < self.bytes && batch.items.len() < self.count
    }
}

struct OpenBatch {
    batch: Batch,
    /// The time of its first line.
    since: Duration,
}

/// What the output reports.
enum Event {
    /// A buffer that can be filled again; `None` if its delivery panicked.
    Buffer(Option<Batch>),
    /// A batch ended.
    Ended {
        number: BatchNumber,
        outcome: BatchOutcome,
        took: Duration,
    },
}

/// A delivery panicked or gave its batch up without being asked: a bug, after which the state of the batch is unknown.
#[derive(Debug)]
pub(super) struct Broken;

/// The lines of a chunk that were not taken.
struct PendingChunk {
    file: FileKey,
    log: usize,
    stream: StreamId,
    path: PathBuf,
    offset: u64,
    end: u64,
    marker: u64,
    bytes: Vec<u8>,
    cut: bool,
    limit: usize,
    framing: LineFraming,
    is_first: bool,
}

/// Counts of one chunk, booked at its end.
#[derive(Default)]
struct Counted {
    lines: u64,
    items: u64,
    expired: u64,
    blank: u64,
    /// Lines of standard error.
    passed_over: u64,
    by_format: Vec<u64>,
    errors: Vec<&'static str>,
}

impl<O: Output> Batcher<O> {
    pub(super) fn new(
        settings: &Settings,
        recorder: Recorder<O::Framing>,
        output: Arc<O>,
        runtime: tokio::runtime::Handle,
        waker: Waker,
        telemetry: Telemetry,
    ) -> Self {
        // one buffer is filled while the output has the others
        let buffers = settings.max_in_flight + 1;
        // an ack for each batch up to the limit and those of the buffers beyond it, and each buffer itself
        let (events, from_output) = sync_channel(MAX_UNACKNOWLEDGED + 2 * buffers);
        Self {
            recorder,
            output,
            runtime,
            waker,
            telemetry,
            limits: Limits {
                bytes: settings.batch_bytes,
                count: settings.batch_count,
                age: settings.flush_interval,
            },
            free: (0..buffers).map(|_| Batch::default()).collect(),
            open: None,
            pending: None,
            events,
            from_output,
            acks: AckTracker::default(),
            last_times: HashMap::new(),
            recall: CancellationToken::new(),
            counted: Counted::default(),
            records: Records::default(),
            is_first: false,
            long_records: 0,
            unparsed: UnparsedLogs::default(),
        }
    }

    /// No buffer is free, or a line waits until the formats are read again: nothing more may be read now.
    pub(super) fn is_full(&self) -> bool {
        self.pending.is_some()
            || (self.open.is_none() && self.free.is_empty())
            || self.acks.unacknowledged() >= MAX_UNACKNOWLEDGED
    }

    /// Nothing waits here and everything is acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && self.pending.is_none() && self.acks.unacknowledged() == 0
    }

    /// Logs of which no line parses; see [`UnparsedLogs::problems`].
    pub(super) fn unparsed(
        &mut self,
        now: Duration,
        at_the_end: bool,
        is_open: impl Fn(&Path) -> bool,
    ) -> Vec<Problem> {
        self.unparsed.problems(now, at_the_end, is_open)
    }

    /// Framed lines that were cut for their length so far.
    pub(super) fn long_records(&self) -> u64 {
        self.long_records
    }

    /// Batches that are not acknowledged.
    pub(super) fn unacknowledged(&self) -> usize {
        self.acks.unacknowledged()
    }

    /// When the open batch must be sent.
    pub(super) fn flush_at(&self) -> Option<Duration> {
        self.open.as_ref().map(|open| open.since + self.limits.age)
    }

    /// A lower bound of the current time, in milliseconds since 1970; expiry is judged by it.
    pub(super) fn sure_of(&mut self, millis: i64) {
        self.recorder.trust_clock_until(millis);
    }

    /// Encodes the lines of `chunk`; lines without a free buffer are kept for [`Batcher::resume`].
    pub(super) fn take(&mut self, chunk: Chunk<'_>, now: Duration, unix_millis: i64) {
        let taken = self.record(&chunk, now, unix_millis);
        if taken < chunk.bytes.len() {
            self.pending = Some(PendingChunk {
                file: chunk.file,
                log: chunk.log,
                stream: chunk.stream,
                path: chunk.path.to_path_buf(),
                offset: chunk.offset + taken as u64,
                end: chunk.end,
                marker: chunk.marker,
                bytes: chunk.bytes[taken..].to_vec(),
                cut: chunk.cut,
                limit: chunk.limit,
                framing: chunk.framing,
                is_first: self.is_first,
            });
        }
    }

    /// Continues with the pending chunk when a buffer is free again.
    pub(super) fn resume(&mut self, now: Duration, unix_millis: i64) {
        if self.open.is_none() && self.free.is_empty() {
            return;
        }
        if let Some(pending) = self.pending.take() {
            let chunk = Chunk {
                file: pending.file,
                log: pending.log,
                stream: pending.stream,
                path: &pending.path,
                offset: pending.offset,
                end: pending.end,
                marker: pending.marker,
                bytes: &pending.bytes,
                cut: pending.cut,
                limit: pending.limit,
                framing: pending.framing,
                is_first: pending.is_first,
                passed_over: 0,
            };
            self.take(chunk, now, unix_millis);
        }
    }

    /// Encodes lines until the chunk ends, no buffer is free or a line has to wait; returns the bytes taken.
    fn record(&mut self, chunk: &Chunk<'_>, now: Duration, unix_millis: i64) -> usize {
        let source = LineSource {
            log: chunk.log,
            stream: chunk.stream,
            path: chunk.path,
            is_framed: chunk.framing.is_cri(),
        };
        self.is_first = chunk.is_first;
        self.counted.passed_over += chunk.passed_over;
        self.recorder.begin(
            source,
            unix_millis,
            self.last_times.get(&chunk.file).copied(),
        );
        let mut taken = 0;
        while taken < chunk.bytes.len() {
            let Some(mut open) = self.open.take().or_else(|| self.open_batch(now)) else {
                break;
            };
            let waits;
            (taken, waits) = self.fill(&mut open.batch, chunk, taken);
            self.open = Some(open);
            self.book(chunk.log, chunk.path, now);
            if self.is_full_batch() {
                self.send();
            }
            if waits {
                break;
            }
        }
        if let Some(time) = self.recorder.last_time() {
            if self.last_times.len() >= REMEMBERED_FILES {
                self.last_times.clear();
            }
            self.last_times.insert(chunk.file, time);
        }
        taken
    }

    fn open_batch(&mut self, now: Duration) -> Option<OpenBatch> {
        let mut batch = self.free.pop()?;
        batch.body.reserve(self.limits.bytes + SLACK);
        Some(OpenBatch { batch, since: now })
    }

    /// Encodes lines from `taken` on until the chunk ends, the batch is full or a line has to wait; returns the total
    /// bytes taken, and whether a line waits.
    fn fill(&mut self, batch: &mut Batch, chunk: &Chunk<'_>, mut taken: usize) -> (usize, bool) {
        let from = chunk.offset + taken as u64;
        let documents_before = batch.items.len();
        let lines;
        let waits;
        (taken, lines, waits) = match chunk.framing.is_cri() {
            false => self.fill_lines(batch, chunk, taken),
            true => self.fill_records(batch, chunk, taken),
        };
        if lines == 0 {
            return (taken, waits);
        }
        self.extend_span(batch, chunk, from, taken, lines, documents_before);
        (taken, waits)
    }

    /// Encodes lines of which each is a record; returns the total bytes taken, the number of lines, and whether one waits.
    fn fill_lines(
        &mut self,
        batch: &mut Batch,
        chunk: &Chunk<'_>,
        mut taken: usize,
    ) -> (usize, u32, bool) {
        let mut lines = 0;
        while taken < chunk.bytes.len() && self.limits.has_room(batch) {
            let rest = &chunk.bytes[taken..];
            let (line, width) = match memchr::memchr(b'\n', rest) {
                Some(newline) => (&rest[..newline], newline + 1),
                // only a truncated line has no line end
                None => (rest, rest.len()),
            };
            let offset = chunk.offset + taken as u64;
            let recorded = self.recorder.record(offset, line, chunk.cut, batch);
            if recorded == Recorded::Waits {
                return (taken, lines, true);
            }
            self.counted.count(recorded);
            taken += width;
            lines += 1;
        }
        (taken, lines, false)
    }

    /// The same for lines that a container runtime has framed; lines of standard error count too.
    fn fill_records(
        &mut self,
        batch: &mut Batch,
        chunk: &Chunk<'_>,
        mut taken: usize,
    ) -> (usize, u32, bool) {
        let mut lines = 0;
        while taken < chunk.bytes.len() && self.limits.has_room(batch) {
            let rest = &chunk.bytes[taken..];
            let next = self.records.next(rest, chunk.limit, chunk.cut);
            if let Some(record) = next.record {
                let line = FramedLine {
                    record,
                    framing: chunk.framing,
                    is_first: self.is_first,
                };
                let offset = chunk.offset + taken as u64;
                let recorded = self.recorder.record_framed(offset, &line, batch);
                if recorded == Recorded::Waits {
                    return (taken, lines, true);
                }
                self.counted.count(recorded);
                self.is_first = false;
                self.long_records += u64::from(record.is_cut);
                lines += 1;
            }
            self.counted.passed_over += next.passed_over;
            taken += next.width;
            lines += u32::try_from(next.passed_over).unwrap_or(u32::MAX);
        }
        (taken, lines, false)
    }

    /// Records that the batch contains the lines of `chunk` from the offset `from` up to `taken`.
    fn extend_span(
        &self,
        batch: &mut Batch,
        chunk: &Chunk<'_>,
        from: u64,
        taken: usize,
        lines: u32,
        documents_before: usize,
    ) {
        let (to, marker) = if taken == chunk.bytes.len() {
            (chunk.end, Some(chunk.marker))
        } else {
            (chunk.offset + taken as u64, None)
        };
        let documents = batch.items.len() - documents_before;
        let documents = u32::try_from(documents).unwrap_or(u32::MAX);
        match batch.spans.last_mut() {
            Some(last)
                if last.file == chunk.file && last.to == from && *last.path == *chunk.path =>
            {
                (last.to, last.marker) = (to, marker);
                last.lines += lines;
                last.documents += documents;
            }
            _ => batch.spans.push(Span {
                file: chunk.file,
                stream: chunk.stream,
                path: chunk.path.into(),
                from,
                to,
                marker,
                lines,
                documents,
            }),
        }
    }

    fn book(&mut self, log: usize, path: &Path, now: Duration) {
        let Self {
            counted,
            recorder,
            telemetry,
            unparsed,
            ..
        } = self;
        let has_parsed = counted.by_format.iter().any(|lines| *lines > 0);
        unparsed.note(path, has_parsed, &counted.errors, now);
        telemetry.update(|book| {
            book.accounts.read += counted.lines + counted.passed_over;
            book.accounts.expired += counted.expired;
            book.accounts.settled.filtered += counted.blank + counted.passed_over;
            book.parsing.stderr_lines += counted.passed_over;
            book.accounts.in_flight += counted.items;
            for (format, lines) in counted.by_format.iter_mut().enumerate() {
                if *lines > 0 {
                    let name = recorder.format_name(log, format);
                    match book.parsing.parsed.get_mut(name) {
                        Some(parsed) => *parsed += *lines,
                        None => {
                            book.parsing.parsed.insert(name.to_owned(), *lines);
                        }
                    }
                    *lines = 0;
                }
            }
            for reason in counted.errors.drain(..) {
                *book.parsing.errors.entry(reason).or_default() += 1;
            }
        });
        (counted.lines, counted.items) = (0, 0);
        (counted.expired, counted.blank, counted.passed_over) = (0, 0, 0);
    }

    fn is_full_batch(&self) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.batch.body.len() >= self.limits.bytes
                || open.batch.items.len() >= self.limits.count
        })
    }

    /// Hands the open batch to the output, if there is one.
    pub(super) fn send(&mut self) {
        let Some(OpenBatch { batch, .. }) = self.open.take() else {
            return;
        };
        let number = self.acks.send(&batch);
        if batch.items.is_empty() {
            // every line was expired or blank: there is nothing to deliver
            self.acks.acknowledge(number);
            self.recycle(batch);
            return;
        }
        tracing::debug!(
            documents = batch.items.len(),
            bytes = batch.body.len(),
            "batch sent"
        );
        let ack = self.ack(number);
        let (output, recall) = (Arc::clone(&self.output), self.recall.clone());
        let delivery = self
            .runtime
            .spawn(async move { output.deliver(batch, ack, &recall).await });
        let (events, waker) = (self.events.clone(), self.waker.clone());
        self.runtime.spawn(async move {
            // the channel has capacity for every buffer and every ack; a reader that has ended needs none
            let _ = events.try_send(Event::Buffer(delivery.await.ok()));
            waker.wake();
        });
    }

    fn ack(&self, number: BatchNumber) -> Ack {
        let (events, waker) = (self.events.clone(), self.waker.clone());
        let began = tokio::time::Instant::now();
        Ack::new(move |outcome| {
            let took = began.elapsed();
            let _ = events.try_send(Event::Ended {
                number,
                outcome,
                took,
            });
            waker.wake();
        })
    }

    /// Handles the reports of the output; `durable` gets each file whose position moved.
    pub(super) fn take_returns(
        &mut self,
        mut durable: impl FnMut(FileKey, u64),
    ) -> Result<(), Broken> {
        while let Ok(event) = self.from_output.try_recv() {
            match event {
                Event::Buffer(batch) => self.recycle(batch.ok_or(Broken)?),
                Event::Ended {
                    number,
                    outcome: BatchOutcome::Durable(counts),
                    took,
                } => self.note_durable(number, &counts, took),
                Event::Ended { number, .. } => {
                    let documents = self.acks.release(number);
                    tracing::debug!(documents, settled = false, "batch returned");
                    self.telemetry.update(|book| {
                        book.accounts.in_flight -= documents;
                        book.accounts.released += documents;
                    });
                    if !self.recall.is_cancelled() {
                        return Err(Broken);
                    }
                }
            }
        }
        for (file, offset) in self.acks.take_durable() {
            durable(file, offset);
        }
        Ok(())
    }

    fn note_durable(&mut self, number: BatchNumber, counts: &OutcomeCounts, took: Duration) {
        let documents = self.acks.acknowledge(number);
        let OutcomeCounts {
            indexed, duplicate, ..
        } = counts;
        tracing::debug!(
            documents,
            settled = true,
            indexed,
            duplicate,
            others = counts.total() - indexed - duplicate,
            ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "batch returned"
        );
        self.telemetry.update(|book| {
            book.accounts.in_flight -= documents;
            book.accounts.settled.add(counts);
        });
    }

    /// Asks the output to give up what it has not acknowledged.
    pub(super) fn recall(&self) {
        self.recall.cancel();
    }

    /// Drops lines that were read and are not acknowledged, even if the output still has them; they are read again at
    /// the next start.
    pub(super) fn release(&mut self) {
        self.pending = None;
        let open = self.open.take();
        let filled = open.map_or(0, |open| open.batch.items.len() as u64);
        let documents = filled + self.acks.release_all();
        self.telemetry.update(|book| {
            book.accounts.in_flight -= documents;
            book.accounts.released += documents;
        });
    }

    fn recycle(&mut self, mut batch: Batch) {
        batch.clear();
        // a very long line must not keep its memory forever
        batch.body.shrink_to(self.limits.bytes + SLACK);
        self.free.push(batch);
    }
}

impl Counted {
    fn count(&mut self, recorded: Recorded) {
        self.lines += 1;
        match recorded {
            Recorded::Parsed(format) => {
                self.items += 1;
                if self.by_format.len() <= format {
                    self.by_format.resize(format + 1, 0);
                }
                self.by_format[format] += 1;
            }
            Recorded::Unparsed(reason) => {
                self.items += 1;
                self.errors.push(reason);
            }
            Recorded::Expired => self.expired += 1,
            Recorded::Blank => self.blank += 1,
            // The line was not taken, so it is not counted.
            Recorded::Waits => {}
        }
    }
}

#[cfg(test)]
mod tests;
