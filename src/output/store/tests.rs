//! Batches that are accepted, committed, refused by the disk, and met again.

#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::atomic::AtomicBool;

use logweir_store::{HostDisk, Reader, Segment, Sources};
use tempfile::TempDir;

use super::*;
use crate::clock::SystemClock;
use crate::event::{Item, OutcomeCounts, StreamId};
use crate::output::BatchOutcome;

const SECOND: i64 = 20_780 * 86_400 + 5;

/// The host's disk, which may be full, or meet a bug.
#[derive(Clone, Default)]
struct FullDisk(Arc<AtomicBool>, Arc<AtomicBool>);

impl Disk for FullDisk {
    type Lock = std::fs::File;

    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>> {
        HostDisk.lock(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        HostDisk.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        HostDisk.list(path)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        HostDisk.read(path)
    }
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        assert!(!self.1.load(Ordering::Relaxed), "a bug of the store");
        match self.0.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => HostDisk.write(path, bytes),
        }
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        HostDisk.rename(from, to)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        HostDisk.sync_dir(path)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        HostDisk.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        HostDisk.remove_dir(path)
    }
    fn open(&self, path: &Path) -> io::Result<Segment> {
        HostDisk.open(path)
    }
}

struct Host {
    folder: TempDir,
    disk: FullDisk,
}

impl Host {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            disk: FullDisk::default(),
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            path: self.folder.path().join("store"),
            limits: Limits {
                retention: None,
                disk_budget: None,
                memory: 1 << 24,
            },
        }
    }

    fn open(&self, before: Option<&Arc<Store>>) -> Arc<Store> {
        let clock = Arc::new(SystemClock::new());
        Store::open_after(self.disk.clone(), self.settings(), clock, before).unwrap()
    }

    fn documents(&self) -> Vec<serde_json::Value> {
        let reader = Reader::open(&self.folder.path().join("store")).unwrap();
        let mut documents = Vec::new();
        for day in reader.days().unwrap() {
            for segment in reader.segments(day.index, i64::MIN, i64::MAX).unwrap() {
                let sources = Sources::of(&segment).unwrap();
                documents.extend((0..segment.rows()).map(|row| sources.get(row).unwrap()));
            }
        }
        documents
    }
}

fn line(offset: u64) -> (u64, String) {
    let text =
        format!(r#"{{"@timestamp":"2026-11-23T00:00:05.000Z","log":{{"offset":{offset}}}}}"#);
    (offset, text)
}

fn batch(documents: &[(u64, String)]) -> Batch {
    let mut batch = Batch::default();
    for (offset, text) in documents {
        let time = EventTime::At(SECOND);
        let id = DocumentId::new(time, &StreamId([7; 10]), *offset);
        let start = u32::try_from(batch.body.len()).unwrap();
        Ids.open(&mut batch.body, &id, time);
        let document = u32::try_from(batch.body.len()).unwrap();
        batch.items.push(Item { start, document });
        batch.body.extend_from_slice(text.as_bytes());
        Ids.close(&mut batch.body);
    }
    batch
}

/// Delivers a batch; its outcome comes later.
async fn deliver(store: &Store, documents: &[(u64, String)]) -> oneshot::Receiver<BatchOutcome> {
    let (report, outcome) = oneshot::channel();
    let ack = Ack::new(move |outcome| {
        let _ = report.send(outcome);
    });
    let sent = batch(documents);
    let length = sent.body.len();
    let back = store.deliver(sent, ack, &CancellationToken::new()).await;
    assert_eq!(back.body.len(), length, "the buffer comes back");
    outcome
}

fn counts(indexed: u64, duplicate: u64) -> BatchOutcome {
    BatchOutcome::Durable(OutcomeCounts {
        indexed,
        duplicate,
        ..OutcomeCounts::default()
    })
}

#[tokio::test(start_paused = true)]
async fn batches_are_accepted_at_once_and_acknowledged_by_one_commit() {
    let host = Host::new();
    let store = host.open(None);
    let mut first = deliver(&store, &[line(0), line(10)]).await;
    let second = deliver(&store, &[line(10), line(20)]).await;
    assert!(first.try_recv().is_err(), "nothing is durable yet");
    assert_eq!(store.documents_ended(), 4);
    assert_eq!(first.await.unwrap(), counts(2, 0));
    assert_eq!(second.await.unwrap(), counts(1, 1));
    assert_eq!(host.documents().len(), 3);
    assert_eq!(store.shared.commits.load(Ordering::Relaxed), 1);
    let again = deliver(&store, &[line(20), line(30)]).await;
    assert_eq!(again.await.unwrap(), counts(1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_holds_delivery_until_there_is_room() {
    let host = Host::new();
    let store = host.open(None);
    host.disk.0.store(true, Ordering::Relaxed);
    let mut outcome = deliver(&store, &[line(0)]).await;
    while store.health() == Health::Delivering {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let Health::Holding { reason, hint, .. } = store.health() else {
        panic!("{:?}", store.health());
    };
    assert!(reason.starts_with("cannot write "), "{reason}");
    assert!(hint.contains("store.disk_budget"), "{hint}");
    assert!(outcome.try_recv().is_err());
    host.disk.0.store(false, Ordering::Relaxed);
    assert_eq!(outcome.await.unwrap(), counts(1, 0));
    assert_eq!(store.health(), Health::Delivering);
    assert_eq!(host.documents().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_full_disk() {
    let host = Host::new();
    let store = host.open(None);
    host.disk.0.store(true, Ordering::Relaxed);
    let held = deliver(&store, &[line(0)]).await;
    while store.health() == Health::Delivering {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let stop = CancellationToken::new();
    stop.cancel();
    // one waits in the queue, the next one for a place in it
    for offset in [10, 20] {
        let ack = Ack::new(drop);
        store.deliver(batch(&[line(offset)]), ack, &stop).await;
    }
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_document_that_does_not_fit_into_columns_is_kept_as_text() {
    let host = Host::new();
    let store = host.open(None);
    let odd = r#"{"@timestamp":"2026-11-23T00:00:05.000Z","a":[[1]],"log":{"offset":10}}"#;
    let outcome = deliver(&store, &[line(0), (10, odd.to_owned()), line(20)]).await;
    assert_eq!(outcome.await.unwrap(), counts(3, 0));
    let documents = host.documents();
    let kept = documents
        .iter()
        .find(|one| one["log"]["offset"] == 10)
        .unwrap();
    assert_eq!(kept["event"]["original"], odd);
    assert_eq!(kept["tags"][0], "unstorable");
    // a line that is read again meets it
    let again = deliver(&store, &[(10, odd.to_owned())]).await;
    assert_eq!(again.await.unwrap(), counts(0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_next_agent_goes_on_with_the_same_store_unless_its_settings_changed() {
    let host = Host::new();
    let store = host.open(None);
    let again = host.open(Some(&store));
    assert!(Arc::ptr_eq(&store, &again));
    let other = Settings {
        path: host.folder.path().join("other"),
        ..host.settings()
    };
    let clock = Arc::new(SystemClock::new());
    let other = Store::open_after(HostDisk, other, clock, Some(&store)).unwrap();
    assert!(!Arc::ptr_eq(&store, &other));
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_is_committed_when_the_store_is_dropped() {
    let host = Host::new();
    let store = host.open(None);
    let outcome = deliver(&store, &[line(0)]).await;
    drop(store);
    assert_eq!(outcome.await.unwrap(), counts(1, 0));
    assert_eq!(host.documents().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bug_of_the_writer_releases_its_batches_and_shows() {
    let host = Host::new();
    let store = host.open(None);
    host.disk.1.store(true, Ordering::Relaxed);
    let outcome = deliver(&store, &[line(0)]).await;
    assert_eq!(outcome.await.unwrap(), BatchOutcome::Released);
    let stop = CancellationToken::new();
    let delivery = store.deliver(batch(&[line(10)]), Ack::new(drop), &stop);
    let watch = async {
        while store.health() == Health::Delivering {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let health = store.health();
        stop.cancel();
        health
    };
    let (_, health) = tokio::join!(delivery, watch);
    assert!(matches!(health, Health::Holding { reason, .. } if reason.contains("by a bug")));
}
