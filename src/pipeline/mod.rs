//! Connects the modules: it reads lines, encodes them as documents, collects batches, hands them to the output and
//! returns acks to the tailer.
//!
//! Owns the memory budget (a fixed number of batch buffers that are reused), the order of acks and the ways to stop.
//! Refuses to know log formats and responses of a cluster. Reading and encoding run on one plain thread; deliveries run
//! on tokio. Invariant: a position is handed to the tailer only when every line before it is settled. When the output
//! does not accept, reading stops, because the log file is the queue.

mod ack_tracker;
mod batcher;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod model;
mod open_files;
mod reader;
#[cfg(test)]
mod scripted_output;
mod unparsed;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::tail::Leaves;
use crate::tail::watch::Waker;

pub(crate) use reader::Reader;

/// Sizes and times of the pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// A batch is sent when its body has this many bytes.
    pub batch_bytes: usize,
    /// A batch is sent when it has this many documents.
    pub batch_count: usize,
    /// A batch is sent when its first document has waited this long.
    pub flush_interval: Duration,
    /// Batches in delivery at one time.
    pub max_in_flight: usize,
    /// How often directories are scanned without an event.
    pub reconcile_interval: Duration,
    /// How long a stop waits for batches in delivery.
    pub shutdown_timeout: Duration,
    /// Read everything that exists, wait until it is settled, and end.
    pub once: bool,
}

/// Stops the pipeline, from any thread.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    /// Read what the logs contain now, then stop reading and finish deliveries.
    pub finish: CancellationToken,
    /// Stop reading, and finish deliveries.
    pub drain: CancellationToken,
    /// Recall the batches in delivery.
    pub recall: CancellationToken,
    /// Stop now.
    pub abort: CancellationToken,
    waker: Waker,
}

impl Stop {
    /// Nothing is stopped yet.
    pub(crate) fn new(waker: Waker) -> Self {
        Self {
            finish: CancellationToken::new(),
            drain: CancellationToken::new(),
            recall: CancellationToken::new(),
            abort: CancellationToken::new(),
            waker,
        }
    }

    /// Reads what the logs contain now, and delivers it, within the limit of the settings: the logs of a pod end with it.
    pub(crate) fn finish(&self) {
        self.finish.cancel();
        self.waker.wake();
    }

    /// Makes a sleeping reader begin another turn of its loop, and changes nothing else.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Stops reading and finishes deliveries, within the limit of the settings.
    pub(crate) fn drain(&self) {
        self.drain.cancel();
        self.waker.wake();
    }

    /// Stops reading and does not wait for deliveries, because the output takes nothing now. When this has ended, no
    /// delivery uses the state directory any more.
    pub(crate) fn hand_back(&self) {
        self.recall.cancel();
        self.drain();
    }

    /// Stops now; lines in delivery are read again at the next start.
    pub(crate) fn abort(&self) {
        self.drain.cancel();
        self.abort.cancel();
        self.waker.wake();
    }
}

/// How a run of the pipeline ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Every line that was read is settled, and the position saved.
    Settled,
    /// With `once`: every line that was read is settled, but some logs could not be read.
    Left(Leaves),
    /// With `once`: the same, but it was stopped while it waited for files that could be read later.
    Waited,
    /// Lines were handed back unread; they are read again at the next start.
    Released(u64),
    /// A delivery ended by a bug; nothing is lost, since its lines are not settled.
    Broken,
}
