//! The task that writes: adds batches, commits them in groups, and keeps the store in its limits.
//!
//! Owns the rhythm. Invariant: acks follow the commit that made their documents durable, in the order of batches;
//! a store that cannot be written takes no batch until it can.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use logweir_store::{Disk, DocumentKey, Event, Merged, StoreError, Writer};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Delivery, Shared, key};
use crate::event::{Batch, DocumentId, OutcomeCounts};
use crate::output::Ack;

/// Documents are committed so long after the first of them was added.
pub(super) const INTERVAL: Duration = Duration::from_millis(700);
/// The time between two upkeeps.
const UPKEEP: Duration = Duration::from_secs(1);
/// The time after which a failed call is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What to do when the store cannot be written.
const HINT: &str = "make room on the disk, lower store.disk_budget or store.retention, or give the agent's user the right \
                    to write there";

struct Task<D: Disk> {
    writer: Writer<D>,
    shared: Arc<Shared>,
    /// Batches that are added and not committed.
    uncommitted: Vec<(Ack, OutcomeCounts)>,
}

/// Works until the store is dropped, and commits what it has then.
pub(super) async fn run<D: Disk>(
    writer: Writer<D>,
    mut queue: mpsc::Receiver<Delivery>,
    shared: Arc<Shared>,
) {
    let task = Task {
        writer,
        shared,
        uncommitted: Vec::new(),
    };
    let mut merge: Option<JoinHandle<Merged>> = None;
    // The oldest day that is kept must be known before the first batch.
    let Some(mut task) = task.upkeep().await else {
        return;
    };
    let mut upkeep = Instant::now() + UPKEEP;
    let mut commit = None;
    loop {
        let next = commit.map_or(upkeep, |commit: Instant| commit.min(upkeep));
        tokio::select! {
            delivery = queue.recv() => {
                let Some(delivery) = delivery else { break };
                let Some(back) = task.add(delivery).await else { return };
                task = back;
                commit.get_or_insert_with(|| Instant::now() + INTERVAL);
                if task.writer.is_full() {
                    commit = Some(Instant::now());
                }
            }
            () = sleep_until(next) => {}
            merged = finished(&mut merge) => {
                merge = None;
                match merged {
                    Ok(merged) => {
                        let Some(back) = task.finish_merge(merged).await else { return };
                        task = back;
                    }
                    // The writer waits for the result of this one, so it begins no other.
                    Err(error) => tracing::warn!(
                        "a merge of the store ended by a bug ({error}): all documents are there, and segments are not \
                         merged until the agent is restarted"
                    ),
                }
            }
        }
        let now = Instant::now();
        if commit.is_some_and(|commit| commit <= now) {
            commit = None;
            let Some(back) = task.commit().await else {
                return;
            };
            task = back;
        }
        if upkeep <= now {
            upkeep = now + UPKEEP;
            let Some(back) = task.upkeep().await else {
                return;
            };
            task = back;
            if merge.is_none() {
                let seconds = task.seconds();
                merge = task
                    .writer
                    .next_merge(seconds)
                    .map(|job| spawn_blocking(move || job.run()));
            }
        }
    }
    if let Some(merge) = merge
        && let Ok(merged) = merge.await
    {
        let Some(back) = task.finish_merge(merged).await else {
            return;
        };
        task = back;
    }
    task.commit().await;
}

/// The result of a call of the writer; `None` when the runtime ends, or by a bug, which ends the writer.
async fn unless_broken<T>(called: JoinHandle<T>) -> Option<T> {
    called
        .await
        .inspect_err(|error| {
            if error.is_panic() {
                tracing::error!("the store's writer ended by a bug ({error}): nothing is indexed until the agent is restarted");
            }
        })
        .ok()
}

/// The result of the current merge; pending for ever without one. A handle must not be polled again after this.
async fn finished(merge: &mut Option<JoinHandle<Merged>>) -> Result<Merged, JoinError> {
    match merge {
        Some(merge) => merge.await,
        None => std::future::pending().await,
    }
}

impl<D: Disk> Task<D> {
    fn seconds(&self) -> i64 {
        self.shared.clock.unix_millis().div_euclid(1000)
    }

    /// Calls the writer apart from the runtime's threads, and again until it succeeds. `None` when the runtime ends.
    async fn until_done<T: Send + 'static>(
        mut self,
        call: impl Fn(&mut Writer<D>) -> Result<T, StoreError> + Send + Clone + 'static,
    ) -> Option<(Self, T)> {
        let shared = Arc::clone(&self.shared);
        let problem = shared.health.guard();
        loop {
            let call = call.clone();
            let called = spawn_blocking(move || {
                let result = call(&mut self.writer);
                (self, result)
            });
            let result;
            (self, result) = unless_broken(called).await?;
            self.report();
            match result {
                Ok(value) => return Some((self, value)),
                Err(error) => {
                    let now = shared.clock.unix_millis();
                    problem.holding(now, error.to_string(), HINT.to_owned());
                    tracing::warn!("{error}; {HINT}; it is tried again each second");
                }
            }
            sleep(TRY_AGAIN).await;
        }
    }

    /// Adds the documents of a batch and gives its buffer back.
    async fn add(self, delivery: Delivery) -> Option<Self> {
        let Delivery {
            batch,
            ack,
            accepted,
        } = delivery;
        let batch = Arc::new(batch);
        let added = Arc::clone(&batch);
        let (mut task, counts) = self.until_done(move |writer| add(writer, &added)).await?;
        // The only other reference was the closure's.
        if let Ok(batch) = Arc::try_unwrap(batch) {
            // The pipeline may be gone.
            let _ = accepted.send(batch);
        }
        task.shared
            .ended
            .fetch_add(counts.total(), Ordering::Relaxed);
        task.uncommitted.push((ack, counts));
        Some(task)
    }

    async fn commit(self) -> Option<Self> {
        let now = self.seconds();
        let (mut task, ()) = self
            .until_done(move |writer| {
                writer.commit().inspect_err(|_| {
                    // A day that is too old may be what fills the disk; its error is less important than that of the commit.
                    let _ = writer.upkeep(now);
                })
            })
            .await?;
        for (ack, counts) in task.uncommitted.drain(..) {
            ack.durable(counts);
        }
        task.shared.commits.fetch_add(1, Ordering::Relaxed);
        Some(task)
    }

    async fn upkeep(mut self) -> Option<Self> {
        let now = self.seconds();
        let called = spawn_blocking(move || {
            let result = self.writer.upkeep(now);
            (self, result)
        });
        let (mut task, result) = unless_broken(called).await?;
        if let Err(error) = result {
            tracing::warn!("{error}; the store's limits are not kept until it can be done");
        }
        task.report();
        Some(task)
    }

    async fn finish_merge(mut self, merged: Merged) -> Option<Self> {
        let called = spawn_blocking(move || {
            let result = self.writer.finish_merge(merged);
            (self, result)
        });
        let (mut task, result) = unless_broken(called).await?;
        match result {
            Ok(()) => {
                task.shared.merges.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::warn!("{error}; the segments stay as they are, and are merged later")
            }
        }
        task.report();
        Some(task)
    }

    /// Logs and counts what happened to the store, and shows its size.
    fn report(&mut self) {
        for event in self.writer.take_events() {
            match &event {
                Event::SetAside {
                    index,
                    path,
                    reason,
                } => {
                    self.shared.damaged_days.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(
                        "the index {index} of the store is damaged ({reason}): it is set aside as {} and counted requests of \
                         that day are missing; to index what the logs still hold, stop the agent, remove run/checkpoint* from \
                         data_dir, set history to reach back to that day, and start it: what other days have is not indexed twice",
                        path.display()
                    );
                }
                Event::Retired { index, documents } => {
                    self.shared.dropped_days.fetch_add(1, Ordering::Relaxed);
                    tracing::info!(
                        "removed {index} from the store: {documents} documents older than store.retention"
                    );
                }
                Event::OverBudget {
                    index,
                    documents,
                    bytes,
                } => {
                    self.shared.dropped_days.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(
                        "removed {index} from the store: {documents} documents; the store had {bytes} bytes, more than \
                         store.disk_budget"
                    );
                }
                Event::FloorUnreadable { reason } => tracing::warn!(
                    "floor.json of the store cannot be used: {reason}; lines older than the oldest day in the store are not \
                     indexed"
                ),
            }
        }
        let bytes = self.writer.bytes();
        self.shared.bytes.store(bytes, Ordering::Relaxed);
        let documents = self.writer.documents();
        self.shared.documents.store(documents, Ordering::Relaxed);
    }
}

/// Adds all documents of a batch; a document that cannot be stored as it is becomes an unparsed one.
fn add<D: Disk>(writer: &mut Writer<D>, batch: &Batch) -> Result<OutcomeCounts, StoreError> {
    let documents: Vec<(DocumentKey, &[u8])> = (0..batch.items.len())
        .filter_map(|number| document(batch, number))
        .collect();
    let added = writer.add(&documents)?;
    let mut counts = OutcomeCounts {
        indexed: added.added,
        duplicate: added.duplicate,
        expired: added.expired,
        ..OutcomeCounts::default()
    };
    for (number, error) in &added.rejected {
        if let Some((key, document)) = documents.get(*number) {
            let text = unstorable(*key, document, &error.to_string());
            let again = writer.add(&[(*key, text.as_bytes())])?;
            counts.indexed += again.added;
        }
    }
    Ok(counts)
}

/// Key and bytes of document `number`.
fn document(batch: &Batch, number: usize) -> Option<(DocumentKey, &[u8])> {
    let item = batch.items.get(number)?;
    let (frame, document) = batch
        .item(number)?
        .split_at_checked((item.document - item.start) as usize)?;
    let id = DocumentId::parse(std::str::from_utf8(frame).ok()?)?;
    Some((key(&id), document))
}

/// A document that holds another one as text.
fn unstorable(key: DocumentKey, document: &[u8], reason: &str) -> String {
    let millis = i64::from(key.second) * 1000;
    let time = chrono::DateTime::from_timestamp_millis(millis).unwrap_or_default();
    serde_json::json!({
        "@timestamp": time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "event": { "kind": "event", "original": String::from_utf8_lossy(document) },
        "error": { "message": reason },
        "log": { "offset": key.offset },
        "tags": ["unstorable"],
    })
    .to_string()
}
