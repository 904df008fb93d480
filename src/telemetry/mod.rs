//! Counts what the agent has done, in numbers that always add up.
//!
//! Owns the counts of lines. Every module reports to it; it depends on none of them. Invariant of every snapshot: `read =
//! indexed + duplicate + diverted + dead_lettered + parked + filtered + expired + released + in_flight`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::OutcomeCounts;
use crate::tail;

/// Receives the metrics of an output. Names have no prefix and no `_total`; see the page that implements it.
pub trait MetricSink {
    /// A number that only grows.
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result;

    /// A number that goes up and down.
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result;

    /// Numbers that only grow, one for each value of `label`.
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        samples: &mut dyn Iterator<Item = (String, u64)>,
    ) -> fmt::Result;

    /// A histogram of durations: `buckets` are upper bounds with the counts of each bucket alone (not cumulative), `sum`
    /// is the total time, in seconds.
    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: &[(f64, u64)],
        sum: f64,
    ) -> fmt::Result;
}

/// Where every line that was read is now. All are counts of lines.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Accounts {
    /// Complete lines read.
    pub read: u64,
    /// Items that the output settled, by outcome.
    pub settled: OutcomeCounts,
    /// Older than the retention, not sent.
    pub expired: u64,
    /// Handed back unread at a stop or a reload, because the output did not take them in time; they are read
    /// again from the saved position.
    pub released: u64,
    /// Encoded, and not yet settled.
    pub in_flight: u64,
}

impl Accounts {
    /// Whether every line that was read is accounted for.
    pub(crate) fn balance(&self) -> bool {
        self.read == self.settled.total() + self.expired + self.released + self.in_flight
    }
}

/// How lines were parsed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Parsing {
    /// Lines that a format took, by its name.
    pub parsed: BTreeMap<String, u64>,
    /// Lines that no format took, by the first format's reason.
    pub errors: BTreeMap<&'static str, u64>,
    /// Lines that a container wrote to standard error, which are not indexed. They are among `filtered`.
    pub stderr_lines: u64,
}

/// One consistent view of everything counted.
#[derive(Debug, Default, Clone)]
pub(crate) struct Snapshot {
    /// Where every line is.
    pub accounts: Accounts,
    /// How lines were parsed.
    pub parsing: Parsing,
    /// What the tailer sees.
    pub tail: tail::Stats,
    /// Unread bytes per log.
    pub lag: Vec<tail::Lag>,
    /// Seconds that reading waited because the output did not accept.
    pub backpressure_seconds: f64,
    /// Milliseconds since the epoch at the reader's last poll.
    pub polled_millis: Option<i64>,
    /// Milliseconds since the epoch at the last saved checkpoint.
    pub checkpoint_millis: Option<i64>,
    /// Checkpoints that could not be written.
    pub checkpoint_errors: u64,
    /// Logs of which no line fits a format at present.
    pub unparsed: Vec<tail::Problem>,
    /// Reloads of the configuration, by whether it was accepted.
    pub reloads: BTreeMap<&'static str, u64>,
}

/// The shared counts. They are locked a few times per batch, never per line.
#[derive(Debug, Default, Clone)]
pub(crate) struct Telemetry {
    book: Arc<Mutex<Snapshot>>,
    /// How often the reader's loop has begun a turn.
    turns: Arc<AtomicU64>,
}

impl Telemetry {
    /// A snapshot of the numbers.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.book().clone()
    }

    /// Changes the numbers; a snapshot contains all changes of one call, or none.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut book = self.book();
        change(&mut book);
        debug_assert!(
            book.accounts.balance(),
            "accounts do not add up: {:?}",
            book.accounts
        );
    }

    /// Counts a turn of the reader's loop, the sign that the reader works.
    pub(crate) fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the reader's loop has begun a turn since the start of the process.
    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Counting goes on although a thread died while it counted.
    fn book(&self) -> MutexGuard<'_, Snapshot> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
