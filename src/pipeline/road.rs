//! Lines into batches: the part of the reader that has no files, only chunks and buffers.
//!
//! Owns the batch being filled, the buffers that go round and what is on its way. Invariant: every line taken
//! stands in exactly one span of one batch, and the accounts are right after each chunk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use logweir_parsers::time::Stamp;
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::ledger::Ledger;
use super::unparsed::UnparsedLogs;
use crate::output::{Batch, Delivery, Output, Span, Tally};
use crate::record::{Recorded, Recorder, Source};
use crate::tail::watch::Waker;
use crate::tail::{Chunk, FileKey, Problem, StreamId};
use crate::telemetry::Telemetry;

/// Times remembered for lines without one are forgotten beyond this many files.
const REMEMBERED_FILES: usize = 4096;

/// Room beyond `batch_bytes` for the document that fills a batch, so that its buffer seldom grows.
const SLACK: usize = 16 * 1024;

pub(super) struct Road<O> {
    recorder: Recorder,
    output: Arc<O>,
    runtime: tokio::runtime::Handle,
    waker: Waker,
    telemetry: Telemetry,
    limits: Limits,
    /// Empty buffers. With the one being filled and those on their way they are the memory budget.
    free: Vec<Batch>,
    filling: Option<Filling>,
    /// What a full road left of a chunk, or what waits for formats.
    rest: Option<Rest>,
    sent: usize,
    /// Items of the batches on their way.
    sent_items: u64,
    give_back: SyncSender<Returned>,
    returns: Receiver<Returned>,
    ledger: Ledger,
    last_times: HashMap<FileKey, Stamp>,
    /// Cancelled when what is on its way shall come back unsettled.
    recall: CancellationToken,
    counted: Counted,
    unparsed: UnparsedLogs,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    bytes: usize,
    count: usize,
    age: Duration,
}

struct Filling {
    batch: Batch,
    /// When its first line came.
    since: Duration,
}

/// A batch that came back, or `None` when its delivery panicked.
struct Returned {
    delivery: Option<Delivery>,
    items: u64,
    took: Duration,
}

/// A delivery panicked: a bug, after which nothing about its batch is known.
#[derive(Debug)]
pub(super) struct Broken;

/// The lines of a chunk that were not taken.
struct Rest {
    file: FileKey,
    log: usize,
    stream: StreamId,
    path: PathBuf,
    offset: u64,
    end: u64,
    bytes: Vec<u8>,
    cut: bool,
}

/// Counts of one chunk, booked at its end.
#[derive(Default)]
struct Counted {
    lines: u64,
    items: u64,
    expired: u64,
    blank: u64,
    by_format: Vec<u64>,
    errors: Vec<&'static str>,
}

impl<O: Output> Road<O> {
    pub(super) fn new(
        settings: &Settings,
        recorder: Recorder,
        output: Arc<O>,
        runtime: tokio::runtime::Handle,
        waker: Waker,
        telemetry: Telemetry,
    ) -> Self {
        // one is filled while the others are on their way
        let buffers = settings.max_in_flight + 1;
        let (give_back, returns) = sync_channel(buffers);
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
            filling: None,
            rest: None,
            sent: 0,
            sent_items: 0,
            give_back,
            returns,
            ledger: Ledger::default(),
            last_times: HashMap::new(),
            recall: CancellationToken::new(),
            counted: Counted::default(),
            unparsed: UnparsedLogs::default(),
        }
    }

    /// No buffer is free, or a line waits for the formats to be read afresh: nothing more may be read now.
    pub(super) fn is_full(&self) -> bool {
        self.rest.is_some() || (self.filling.is_none() && self.free.is_empty())
    }

    /// Nothing waits here and nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.filling.is_none() && self.rest.is_none() && self.sent == 0
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

    /// Batches on their way.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// When the batch being filled has to leave.
    pub(super) fn flush_at(&self) -> Option<Duration> {
        self.filling
            .as_ref()
            .map(|filling| filling.since + self.limits.age)
    }

    /// It is at least this late, in milliseconds since 1970: what is younger does not expire.
    pub(super) fn sure_of(&mut self, millis: i64) {
        self.recorder.sure_of(millis);
    }

    /// Records the lines of `chunk`; what finds no room is kept and taken up by [`Road::resume`].
    pub(super) fn take(&mut self, chunk: Chunk<'_>, now: Duration, unix_millis: i64) {
        let taken = self.record(&chunk, now, unix_millis);
        if taken < chunk.bytes.len() {
            self.rest = Some(Rest {
                file: chunk.file,
                log: chunk.log,
                stream: chunk.stream,
                path: chunk.path.to_path_buf(),
                offset: chunk.offset + taken as u64,
                end: chunk.end,
                bytes: chunk.bytes[taken..].to_vec(),
                cut: chunk.cut,
            });
        }
    }

    /// Goes on with what was kept, when there is room again.
    pub(super) fn resume(&mut self, now: Duration, unix_millis: i64) {
        if self.filling.is_none() && self.free.is_empty() {
            return;
        }
        if let Some(rest) = self.rest.take() {
            let chunk = Chunk {
                file: rest.file,
                log: rest.log,
                stream: rest.stream,
                path: &rest.path,
                offset: rest.offset,
                end: rest.end,
                bytes: &rest.bytes,
                cut: rest.cut,
            };
            self.take(chunk, now, unix_millis);
        }
    }

    /// Records lines until the chunk ends, no buffer is free or a line has to wait; gives the bytes taken.
    fn record(&mut self, chunk: &Chunk<'_>, now: Duration, unix_millis: i64) -> usize {
        let source = Source {
            log: chunk.log,
            stream: chunk.stream,
            path: chunk.path,
        };
        self.recorder.begin(
            source,
            unix_millis,
            self.last_times.get(&chunk.file).copied(),
        );
        let mut taken = 0;
        while taken < chunk.bytes.len() {
            let Some(mut filling) = self.filling.take().or_else(|| self.buffer(now)) else {
                break;
            };
            let waits;
            (taken, waits) = self.fill(&mut filling.batch, chunk, taken);
            self.filling = Some(filling);
            self.book(chunk.log, chunk.path, now);
            if self.is_ripe() {
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

    fn buffer(&mut self, now: Duration) -> Option<Filling> {
        let mut batch = self.free.pop()?;
        batch.body.reserve(self.limits.bytes + SLACK);
        Some(Filling { batch, since: now })
    }

    /// Records lines from `taken` on until the chunk ends, the batch is full or a line has to wait; gives the
    /// bytes taken in all, and whether a line waits.
    fn fill(&mut self, batch: &mut Batch, chunk: &Chunk<'_>, mut taken: usize) -> (usize, bool) {
        let from = chunk.offset + taken as u64;
        let (mut lines, mut waits) = (0, false);
        while taken < chunk.bytes.len()
            && batch.body.len() < self.limits.bytes
            && batch.items.len() < self.limits.count
        {
            let rest = &chunk.bytes[taken..];
            let (line, width) = match memchr::memchr(b'\n', rest) {
                Some(newline) => (&rest[..newline], newline + 1),
                // only a cut line comes without its end
                None => (rest, rest.len()),
            };
            let offset = chunk.offset + taken as u64;
            let recorded = self.recorder.record(offset, line, chunk.cut, batch);
            if recorded == Recorded::Waits {
                waits = true;
                break;
            }
            self.counted.count(recorded);
            taken += width;
            lines += 1;
        }
        if lines == 0 {
            return (taken, waits);
        }
        let to = if taken == chunk.bytes.len() {
            chunk.end
        } else {
            chunk.offset + taken as u64
        };
        match batch.spans.last_mut() {
            Some(last) if last.file == chunk.file && last.to == from => {
                last.to = to;
                last.lines += lines;
            }
            _ => batch.spans.push(Span {
                file: chunk.file,
                from,
                to,
                lines,
            }),
        }
        (taken, waits)
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
            book.accounts.read += counted.lines;
            book.accounts.expired += counted.expired;
            book.accounts.settled.filtered += counted.blank;
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
        (counted.expired, counted.blank) = (0, 0);
    }

    fn is_ripe(&self) -> bool {
        self.filling.as_ref().is_some_and(|filling| {
            filling.batch.body.len() >= self.limits.bytes
                || filling.batch.items.len() >= self.limits.count
        })
    }

    /// Sends the batch being filled on its way, if there is one.
    pub(super) fn send(&mut self) {
        let Some(Filling { batch, .. }) = self.filling.take() else {
            return;
        };
        self.ledger.send(&batch.spans);
        if batch.items.is_empty() {
            // every line was expired or blank: there is nothing to deliver
            self.ledger.settle(&batch.spans);
            self.recycle(batch);
            return;
        }
        self.sent += 1;
        let items = batch.items.len() as u64;
        self.sent_items += items;
        tracing::debug!(documents = items, bytes = batch.body.len(), "batch sent");
        let (output, recall) = (Arc::clone(&self.output), self.recall.clone());
        let (give_back, waker) = (self.give_back.clone(), self.waker.clone());
        let delivery = self
            .runtime
            .spawn(async move { output.deliver(batch, &recall).await });
        self.runtime.spawn(async move {
            let began = tokio::time::Instant::now();
            let returned = Returned {
                delivery: delivery.await.ok(),
                items,
                took: began.elapsed(),
            };
            // the channel has room for every buffer there is; a reader that is gone needs no answer
            let _ = give_back.try_send(returned);
            waker.wake();
        });
    }

    /// Takes what came back; `settled` gets each file whose position moved.
    pub(super) fn take_returns(
        &mut self,
        mut settled: impl FnMut(FileKey, u64),
    ) -> Result<(), Broken> {
        while let Ok(returned) = self.returns.try_recv() {
            let items = returned.items;
            let delivery = returned.delivery.ok_or(Broken)?;
            let Tally {
                indexed, duplicate, ..
            } = delivery.tally;
            tracing::debug!(
                documents = items,
                settled = delivery.settled,
                indexed,
                duplicate,
                others = delivery.tally.total() - indexed - duplicate,
                ms = u64::try_from(returned.took.as_millis()).unwrap_or(u64::MAX),
                "batch returned"
            );
            self.sent -= 1;
            self.sent_items -= items;
            self.telemetry.update(|book| {
                book.accounts.in_flight -= items;
                if delivery.settled {
                    book.accounts.settled.add(&delivery.tally);
                } else {
                    book.accounts.released += items;
                }
            });
            if delivery.settled {
                self.ledger.settle(&delivery.batch.spans);
            }
            self.recycle(delivery.batch);
        }
        for (file, offset) in self.ledger.take_settled() {
            settled(file, offset);
        }
        Ok(())
    }

    /// What is on its way shall come back as it is.
    pub(super) fn recall(&self) {
        self.recall.cancel();
    }

    /// Drops what was read and not settled, even if it is still on its way; it is read again at the next start.
    pub(super) fn release(&mut self) {
        self.rest = None;
        let filling = self.filling.take();
        let filled = filling.map_or(0, |filling| filling.batch.items.len() as u64);
        let items = filled + std::mem::take(&mut self.sent_items);
        self.sent = 0;
        self.telemetry.update(|book| {
            book.accounts.in_flight -= items;
            book.accounts.released += items;
        });
    }

    fn recycle(&mut self, mut batch: Batch) {
        batch.clear();
        // one very long line must not keep its room for ever
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
            // It was not taken, and is not counted.
            Recorded::Waits => {}
        }
    }
}

#[cfg(test)]
mod tests;
