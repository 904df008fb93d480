//! The embedded store as an output: documents on the local disk, without a cluster.
//!
//! Owns the group commit: a batch is accepted when its documents are in memory, and acknowledged when the commit that
//! holds them is durable. Refuses to know what a document contains and how it is stored (the crate `logweir-store`).
//! Invariant: one task writes, and nothing is added while a commit fails. So a full disk holds delivery, as an unreachable
//! cluster does.

mod commits;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use logweir_store::{Disk, DocumentKey, Limits, Schema, SchemaError, StoreError, Writer};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::health::HealthTracker;
use super::{Ack, Health, Output, OutputStatus, Readiness};
use crate::clock::Clock;
use crate::event::{Batch, DocumentId, EventTime, Framing, IdParts};
use crate::telemetry::MetricSink;

/// The mappings that the store takes its types from: those of Elasticsearch.
const MAPPINGS: &str = include_str!("../../../mappings/elasticsearch/component-mappings.json");

/// A batch is collected for at most so long before it is delivered.
///
/// With the interval of commits and the time of a commit this makes a line searchable within a second.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

/// The store's place and limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The directory.
    pub path: PathBuf,
    /// Its limits.
    pub limits: Limits,
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mappings of this build.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// The types of fields, as the mappings of this build have them.
///
/// # Errors
///
/// The mappings have a type that the store does not know, which a test rules out.
pub fn schema() -> Result<Schema, SchemaError> {
    Schema::parse(MAPPINGS)
}

/// Frames a document by its id.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ids;

impl Framing for Ids {
    fn open(&mut self, body: &mut Vec<u8>, id: &DocumentId, _: EventTime) {
        body.extend_from_slice(id.as_bytes());
    }

    fn close(&mut self, _: &mut Vec<u8>) {}
}

/// The output; dropping the last one ends the writer when it has committed what it has.
pub struct Store {
    settings: Settings,
    deliveries: mpsc::Sender<Delivery>,
    shared: Arc<Shared>,
}

/// A batch on its way to the writer.
struct Delivery {
    batch: Batch,
    ack: Ack,
    accepted: oneshot::Sender<Batch>,
}

/// The state of the writer that others may see.
struct Shared {
    health: HealthTracker,
    clock: Arc<dyn Clock>,
    ended: AtomicU64,
    documents: AtomicU64,
    bytes: AtomicU64,
    commits: AtomicU64,
    merges: AtomicU64,
    dropped_days: AtomicU64,
    damaged_days: AtomicU64,
}

impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Store").field(&self.settings.path).finish()
    }
}

impl Store {
    /// Opens the store, or takes over that of the agent before. Must be called on a tokio runtime.
    ///
    /// # Errors
    ///
    /// The directory cannot be used, or another process writes to it.
    pub fn open_after<D: Disk>(
        disk: D,
        settings: Settings,
        clock: Arc<dyn Clock>,
        before: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, OpenError> {
        if let Some(before) = before
            && before.settings == settings
        {
            return Ok(Arc::clone(before));
        }
        let schema = Arc::new(schema()?);
        let writer = Writer::open(disk, &settings.path, schema, settings.limits)?;
        let (deliveries, queue) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            health: HealthTracker::default(),
            clock,
            ended: AtomicU64::new(0),
            documents: AtomicU64::new(writer.documents()),
            bytes: AtomicU64::new(writer.bytes()),
            commits: AtomicU64::new(0),
            merges: AtomicU64::new(0),
            dropped_days: AtomicU64::new(0),
            damaged_days: AtomicU64::new(0),
        });
        tokio::spawn(commits::run(writer, queue, Arc::clone(&shared)));
        Ok(Arc::new(Self {
            settings,
            deliveries,
            shared,
        }))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.settings.path
    }
}

/// The store's key of a document id.
fn key(id: &DocumentId) -> DocumentKey {
    let IdParts {
        second,
        stream: [a, b, c, d, e, f],
        offset,
    } = id.parts();
    DocumentKey {
        second,
        stream: u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
        offset,
    }
}

impl OutputStatus for Store {
    fn target(&self) -> String {
        format!("the store {}", self.settings.path.display())
    }

    fn health(&self) -> Health {
        self.shared.health.health()
    }

    fn has_responded(&self) -> bool {
        true
    }

    fn documents_ended(&self) -> u64 {
        self.shared.ended.load(Ordering::Relaxed)
    }

    fn write_metrics(&self, sink: &mut dyn MetricSink) -> fmt::Result {
        let counters = [
            (
                "store_commits",
                "Commits of the store.",
                &self.shared.commits,
            ),
            (
                "store_merges",
                "Merges of the store's segments.",
                &self.shared.merges,
            ),
            (
                "store_dropped_days",
                "Days that were removed for their age or for the disk budget.",
                &self.shared.dropped_days,
            ),
            (
                "store_damaged_days",
                "Days that were set aside because their files were damaged.",
                &self.shared.damaged_days,
            ),
        ];
        for (name, help, value) in counters {
            sink.counter(name, help, value.load(Ordering::Relaxed))?;
        }
        let gauges = [
            (
                "store_documents",
                "Documents in the store.",
                &self.shared.documents,
            ),
            (
                "store_bytes",
                "Bytes of the store's segments on disk.",
                &self.shared.bytes,
            ),
        ];
        for (name, help, value) in gauges {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a gauge is a float; 2^53 is far away"
            )]
            sink.gauge(name, help, value.load(Ordering::Relaxed) as f64)?;
        }
        Ok(())
    }
}

impl Output for Store {
    type Framing = Ids;

    fn framing(&self) -> Ids {
        Ids
    }

    async fn deliver(&self, batch: Batch, ack: Ack, stop: &CancellationToken) -> Batch {
        // The writer ends only with its store, or by a bug, which must not look like an output that delivers.
        let given_up = async || {
            let problem = self.shared.health.guard();
            problem.holding(
                self.shared.clock.unix_millis(),
                "the store's writer has ended by a bug".to_owned(),
                "restart the agent: what is not indexed is read again; and report the error in its log".to_owned(),
            );
            stop.cancelled().await;
            Batch::default()
        };
        let place = tokio::select! {
            place = self.deliveries.reserve() => place,
            () = stop.cancelled() => return batch,
        };
        let Ok(place) = place else {
            return given_up().await;
        };
        let (accepted, returned) = oneshot::channel();
        place.send(Delivery {
            batch,
            ack,
            accepted,
        });
        tokio::select! {
            Ok(batch) = returned => batch,
            batch = given_up() => batch,
        }
    }

    async fn readiness(&self) -> Readiness {
        Readiness::Ready
    }
}
