//! The contract of every output that keeps positions, whatever its kind (`docs/ADDING_AN_OUTPUT.md`).
//!
//! Each test runs the real tailer, recorder and reader over a real file, once for each output: a cluster that is
//! simulated in this process, a scripted store that commits in groups, and the embedded store on the host's disk. An
//! output joins by an implementation of [`Contract`]. Deliveries run in virtual time, so no test really waits.

#![allow(clippy::unwrap_used)]

mod cluster;
mod group_commit;
mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::harness::{Harness, numbered_line, paused_runtime};
use super::{Ended, Settings, Stop};
use crate::clock::SystemClock;
use crate::event::Batch;
use crate::output::{Ack, Health, Output, OutputStatus, Readiness};
use crate::tail::CarriedFiles;
use crate::tail::fs::HostFs;
use crate::tail::watch::Watcher;
use crate::telemetry::{MetricSink, Telemetry};

/// An output that the tests can start again over the same storage.
trait Contract {
    type Output: Output;

    /// Creates empty storage.
    fn empty(folder: &Path) -> Self;

    /// Starts the output. The state that an earlier instance kept only in memory is gone.
    fn start(&self) -> Arc<Self::Output>;

    /// The durable documents by their ids, with the number of copies in the storage.
    fn documents(&self) -> BTreeMap<String, usize>;

    /// The identity that its positions are kept under.
    const POSITIONS: &'static str;
}

/// One output on one host.
struct Host<C> {
    folder: TempDir,
    contract: C,
}

/// How one run of the reader ended.
struct Run {
    ended: Ended,
    /// Batches that the output accepted.
    accepted: usize,
}

const BATCH: usize = 7;
const IN_FLIGHT: usize = 2;

impl<C: Contract> Host<C> {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let contract = C::empty(&folder.path().join("storage"));
        Self { folder, contract }
    }

    fn write(&self, lines: std::ops::Range<usize>) {
        use std::io::Write as _;
        let path = self.folder.path().join("access.log");
        let mut log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        for line in lines {
            log.write_all(numbered_line(line).as_bytes()).unwrap();
        }
    }

    /// Reads everything until it is durable, or until `batches` were accepted: then the process dies.
    fn run(&self, batches: Option<usize>) -> Run {
        let runtime = paused_runtime();
        let watcher = Watcher::new(true);
        let stop = Stop::new(watcher.waker());
        let inside = runtime.enter();
        let output = Arc::new(Interrupted {
            output: self.contract.start(),
            accepted: AtomicUsize::new(0),
            last: batches,
            stop: stop.clone(),
        });
        drop(inside);
        let harness = self.harness();
        let reader = harness.reader(
            harness.tailer(&mut CarriedFiles::default()).unwrap(),
            watcher,
            &output,
            runtime.handle(),
            &Telemetry::default(),
            &stop,
        );
        let done = CancellationToken::new();
        let ended = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let (ended, _) = reader.run();
                done.cancel();
                ended
            });
            runtime.block_on(done.cancelled());
            reader.join().unwrap()
        });
        Run {
            ended,
            accepted: output.accepted.load(Ordering::Relaxed),
        }
    }

    fn harness(&self) -> Harness<HostFs, SystemClock> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let (state, log) = (path("state"), path("access.log"));
        let mut harness = Harness::new(HostFs, SystemClock::new(), &state, &log, C::POSITIONS);
        harness.pipeline = Settings {
            batch_bytes: 64 * 1024,
            batch_count: BATCH,
            flush_interval: Duration::from_millis(10),
            max_in_flight: IN_FLIGHT,
            once: true,
            ..harness.pipeline
        };
        harness
    }

    /// The number of lines that a reader started now would read again.
    fn unsaved(&self) -> usize {
        self.harness().unsaved()
    }

    /// Asserts that each of the lines is stored once.
    fn assert_complete(&self, lines: usize) {
        let documents = self.contract.documents();
        assert_eq!(documents.len(), lines);
        assert!(documents.values().all(|count| *count == 1), "{documents:?}");
    }
}

/// An output whose process dies when it has accepted enough.
struct Interrupted<O> {
    output: Arc<O>,
    accepted: AtomicUsize,
    last: Option<usize>,
    stop: Stop,
}

impl<O: Output> OutputStatus for Interrupted<O> {
    fn target(&self) -> String {
        self.output.target()
    }

    fn health(&self) -> Health {
        self.output.health()
    }

    fn has_responded(&self) -> bool {
        self.output.has_responded()
    }

    fn documents_ended(&self) -> u64 {
        self.output.documents_ended()
    }

    fn write_metrics(&self, sink: &mut dyn MetricSink) -> std::fmt::Result {
        self.output.write_metrics(sink)
    }
}

impl<O: Output> Output for Interrupted<O> {
    type Framing = O::Framing;

    fn framing(&self) -> O::Framing {
        self.output.framing()
    }

    async fn deliver(&self, batch: Batch, ack: Ack, stop: &CancellationToken) -> Batch {
        let batch = self.output.deliver(batch, ack, stop).await;
        let accepted = self.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        if Some(accepted) == self.last {
            self.stop.abort();
        }
        batch
    }

    async fn readiness(&self) -> Readiness {
        self.output.readiness().await
    }
}

fn all_lines_become_durable_and_their_position_is_saved<C: Contract>() {
    let host = Host::<C>::new();
    host.write(0..500);
    assert_eq!(host.run(None).ended, Ended::Settled);
    host.assert_complete(500);
    assert_eq!(host.unsaved(), 0);
    host.write(500..510);
    let run = host.run(None);
    assert_eq!(
        (run.ended, run.accepted),
        (Ended::Settled, 10_usize.div_ceil(BATCH))
    );
    host.assert_complete(510);
}

/// The process dies after each possible number of batches, and another one continues.
fn a_killed_process_neither_loses_nor_duplicates_lines<C: Contract>() {
    for batches in 1..20 {
        let host = Host::<C>::new();
        host.write(0..150);
        host.run(Some(batches));
        let durable = host.contract.documents().len();
        assert!(
            host.unsaved() + durable >= 150,
            "a saved position is durable"
        );
        assert_eq!(host.run(None).ended, Ended::Settled, "{batches}");
        host.assert_complete(150);
    }
}

/// Documents that were durable already are sent again after their positions were lost.
fn a_repeated_document_is_stored_once<C: Contract>() {
    let host = Host::<C>::new();
    host.write(0..100);
    host.run(None);
    std::fs::remove_dir_all(host.folder.path().join("state/run")).unwrap();
    assert_eq!(host.unsaved(), 100);
    assert_eq!(host.run(None).ended, Ended::Settled);
    host.assert_complete(100);
}

macro_rules! contract {
    ($output:ident, $kind:ty) => {
        mod $output {
            #[test]
            fn all_lines_become_durable_and_their_position_is_saved() {
                super::all_lines_become_durable_and_their_position_is_saved::<$kind>();
            }

            #[test]
            fn a_killed_process_neither_loses_nor_duplicates_lines() {
                super::a_killed_process_neither_loses_nor_duplicates_lines::<$kind>();
            }

            #[test]
            fn a_repeated_document_is_stored_once() {
                super::a_repeated_document_is_stored_once::<$kind>();
            }
        }
    };
}

contract!(elasticsearch, super::cluster::Storage);
contract!(scripted_store, super::group_commit::Storage);
contract!(embedded_store, super::store::Storage);
