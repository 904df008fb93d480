//! Writes documents to standard output, one JSON line each, for a person or a pipe.
//!
//! Owns the stream and what a closed pipe means. Refuses to know what a document contains. Invariant: a batch
//! is written whole before the next one begins, each byte once, however often a write fails; nothing is acknowledged before
//! it is written. The
//! reader of the pipe may close it in the middle of a batch: then the run ends, and it is unknown how much was read.

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::health::HealthTracker;
use super::{Ack, Health, Output, OutputStatus, Readiness};
use crate::clock::Clock;
use crate::event::{Batch, DocumentId, EventTime, Framing, OutcomeCounts};
use crate::telemetry::MetricSink;

/// How often a write that failed is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// One document a line (NDJSON).
#[derive(Debug, Clone, Copy, Default)]
pub struct Lines;

impl Framing for Lines {
    fn open(&mut self, _: &mut Vec<u8>, _: &DocumentId, _: EventTime) {}

    fn close(&mut self, body: &mut Vec<u8>) {
        body.push(b'\n');
    }
}

/// Where documents are written.
pub struct Console<W = File> {
    stream: Arc<Mutex<W>>,
    /// Held for a whole batch: after a write that failed in the middle of a line no other batch may go on there.
    turn: tokio::sync::Mutex<()>,
    /// Cancelled when nobody reads the stream any more.
    closed: CancellationToken,
    health: HealthTracker,
    clock: Arc<dyn Clock>,
    written: AtomicU64,
}

impl Console {
    /// Writes to standard output; `closed` is cancelled when its reader has gone.
    ///
    /// # Errors
    ///
    /// Standard output is closed, or there is no descriptor left.
    pub fn stdout(closed: CancellationToken, clock: Arc<dyn Clock>) -> io::Result<Arc<Self>> {
        // This avoids the buffer of the standard library, which searches for line ends and holds the last line back.
        let stdout = rustix::io::dup(io::stdout().as_fd())?;
        Ok(Arc::new(Self::new(File::from(stdout), closed, clock)))
    }
}

impl<W: Write + Send + 'static> Console<W> {
    fn new(stream: W, closed: CancellationToken, clock: Arc<dyn Clock>) -> Self {
        Self {
            stream: Arc::new(Mutex::new(stream)),
            turn: tokio::sync::Mutex::new(()),
            closed,
            health: HealthTracker::default(),
            clock,
            written: AtomicU64::new(0),
        }
    }

    /// Writes the whole body; an error is that of a reader that has gone.
    async fn write(&self, body: Vec<u8>) -> (Vec<u8>, io::Result<()>) {
        let _turn = self.turn.lock().await;
        let problem = self.health.guard();
        let mut at = 0;
        let mut rest = body;
        loop {
            let stream = Arc::clone(&self.stream);
            let writing = tokio::task::spawn_blocking(move || {
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                let result = write_from(&mut *stream, &rest, &mut at);
                (rest, at, result)
            });
            let result;
            (rest, at, result) = match writing.await {
                Ok(written) => written,
                Err(error) => return (Vec::new(), Err(io::Error::other(error))),
            };
            match result {
                Ok(()) => return (rest, Ok(())),
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return (rest, Err(error)),
                Err(error) => problem.holding(
                    self.clock.unix_millis(),
                    format!("cannot write to standard output: {error}"),
                    "make room where it is redirected to".to_owned(),
                ),
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }
}

/// Writes `bytes` from `at` on, and advances `at` by what is written.
fn write_from(stream: &mut impl Write, bytes: &[u8], at: &mut usize) -> io::Result<()> {
    while *at < bytes.len() {
        match stream.write(&bytes[*at..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => *at += written,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    stream.flush()
}

impl<W: Write + Send + 'static> OutputStatus for Console<W> {
    fn target(&self) -> String {
        "standard output".to_owned()
    }

    fn health(&self) -> Health {
        self.health.health()
    }

    fn has_responded(&self) -> bool {
        true
    }

    fn documents_ended(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn write_metrics(&self, _: &mut dyn MetricSink) -> fmt::Result {
        Ok(())
    }
}

impl<W: Write + Send + 'static> Output for Console<W> {
    type Framing = Lines;

    fn framing(&self) -> Lines {
        Lines
    }

    async fn deliver(&self, mut batch: Batch, ack: Ack, stop: &CancellationToken) -> Batch {
        let documents = batch.items.len() as u64;
        let body = std::mem::take(&mut batch.body);
        // A stop does not wait for a reader that reads nothing.
        let (body, written) = tokio::select! {
            written = self.write(body) => written,
            () = stop.cancelled() => return batch,
        };
        batch.body = body;
        match written {
            Ok(()) => {
                self.written.fetch_add(documents, Ordering::Relaxed);
                ack.durable(OutcomeCounts {
                    indexed: documents,
                    ..OutcomeCounts::default()
                });
            }
            Err(_) => {
                self.closed.cancel();
                stop.cancelled().await;
            }
        }
        batch
    }

    async fn readiness(&self) -> Readiness {
        Readiness::Ready
    }
}
