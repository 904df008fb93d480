//! A store that commits in groups, as an embedded one does: it accepts many batches and acknowledges them together.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{BATCH, Contract, Host, IN_FLIGHT};
use crate::event::{Batch, DocumentId, EventTime, Framing, OutcomeCounts};
use crate::output::{Ack, Health, Output, OutputStatus, Readiness};
use crate::pipeline::Ended;
use crate::telemetry::MetricSink;

/// The time from the first batch of a group to its commit.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// The state that survives a crash.
#[derive(Debug, Default)]
struct Disk {
    documents: BTreeMap<String, usize>,
    /// The number of batches that each commit acknowledged.
    groups: Vec<usize>,
}

pub(super) struct Storage {
    disk: Arc<Mutex<Disk>>,
    commit: Commit,
}

/// When a group is committed.
#[derive(Debug, Clone, Copy)]
enum Commit {
    /// A while after its first batch.
    ByTime,
    /// When it has this many batches.
    ByCount(usize),
}

/// The ids of each batch, and its acknowledgement.
type Group = Vec<(Vec<String>, Ack)>;

/// One process that has the store open.
pub(super) struct Store {
    disk: Arc<Mutex<Disk>>,
    commit: Commit,
    /// Batches that are accepted and not committed.
    group: Arc<Mutex<Group>>,
}

/// The id, then the document.
#[derive(Debug)]
pub(super) struct Row;

impl Framing for Row {
    fn open(&mut self, body: &mut Vec<u8>, id: &DocumentId, _: EventTime) {
        body.extend_from_slice(id.as_bytes());
    }

    fn close(&mut self, _: &mut Vec<u8>) {}
}

impl Store {
    fn commit(disk: &Mutex<Disk>, group: &Mutex<Group>) {
        let group = std::mem::take(&mut *group.lock().unwrap());
        disk.lock().unwrap().groups.push(group.len());
        for (ids, ack) in group {
            let mut counts = OutcomeCounts::default();
            let mut disk = disk.lock().unwrap();
            for id in ids {
                match disk.documents.contains_key(&id) {
                    true => counts.duplicate += 1,
                    false => {
                        disk.documents.insert(id, 1);
                        counts.indexed += 1;
                    }
                }
            }
            drop(disk);
            ack.durable(counts);
        }
    }
}

impl Store {
    fn commit_later(&self, stop: &CancellationToken) {
        let (disk, group) = (Arc::clone(&self.disk), Arc::clone(&self.group));
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(COMMIT_INTERVAL) => Self::commit(&disk, &group),
                // uncommitted batches are given up
                () = stop.cancelled() => group.lock().unwrap().clear(),
            }
        });
    }
}

impl OutputStatus for Store {
    fn target(&self) -> String {
        "a store".to_owned()
    }

    fn health(&self) -> Health {
        Health::Delivering
    }

    fn has_responded(&self) -> bool {
        true
    }

    fn documents_ended(&self) -> u64 {
        self.disk.lock().unwrap().documents.len() as u64
    }

    fn write_metrics(&self, _: &mut dyn MetricSink) -> std::fmt::Result {
        Ok(())
    }
}

impl Output for Store {
    type Framing = Row;

    fn framing(&self) -> Row {
        Row
    }

    async fn deliver(&self, batch: Batch, ack: Ack, stop: &CancellationToken) -> Batch {
        let id = |item: &crate::event::Item| {
            let id = &batch.body[item.start as usize..item.document as usize];
            std::str::from_utf8(id).unwrap().to_owned()
        };
        let ids = batch.items.iter().map(id).collect();
        let mut group = self.group.lock().unwrap();
        group.push((ids, ack));
        let count = group.len();
        drop(group);
        match self.commit {
            Commit::ByCount(full) if count >= full => Self::commit(&self.disk, &self.group),
            Commit::ByTime if count == 1 => self.commit_later(stop),
            _ => {}
        }
        batch
    }

    async fn readiness(&self) -> Readiness {
        Readiness::Ready
    }
}

impl Contract for Storage {
    type Output = Store;

    const POSITIONS: &'static str = "store";

    fn empty(_: &Path) -> Self {
        Self {
            disk: Arc::default(),
            commit: Commit::ByTime,
        }
    }

    fn start(&self) -> Arc<Store> {
        Arc::new(Store {
            disk: Arc::clone(&self.disk),
            commit: self.commit,
            group: Arc::default(),
        })
    }

    fn documents(&self) -> BTreeMap<String, usize> {
        self.disk.lock().unwrap().documents.clone()
    }
}

/// Without this, a store with few batch buffers could commit only that many batches at a time.
#[test]
fn one_commit_acknowledges_many_more_batches_than_there_are_buffers() {
    let mut host = Host::<Storage>::new();
    let group = 10 * (IN_FLIGHT + 1);
    host.contract.commit = Commit::ByCount(group);
    host.write(0..2 * group * BATCH);
    assert_eq!(host.run(None).ended, Ended::Settled);
    let disk = host.contract.disk.lock().unwrap();
    assert_eq!(disk.groups, [group, group]);
    assert_eq!(disk.documents.len(), 2 * group * BATCH);
}
