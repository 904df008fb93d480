#![allow(clippy::unwrap_used, clippy::panic)]
//! The state machine against a scripted cluster in this process, in virtual time.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::time::Instant;
use url::Url;

use super::super::transport::BulkRequest;
use super::*;
use crate::clock::SystemClock;
use crate::event::{FileKey, Item, OutcomeCounts, Span, StreamId};
use crate::http::{HttpError, NodeFault, Nodes, Response, Service};
use testkit::fake_cluster::{Cluster, Fault, Reaction};

const MINUTE: Duration = Duration::from_secs(60);

/// Passes requests to a cluster in this process; node 0 may be down.
struct InProcess {
    cluster: Arc<Mutex<Cluster>>,
    nodes: Nodes,
    dead: Option<usize>,
    latency: Duration,
}

impl BulkTransport for InProcess {
    fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    async fn bulk(&self, node: usize, request: BulkRequest) -> Result<Response, HttpError> {
        let failed = |fault| {
            Err(HttpError::Node {
                node: format!("node-{node}"),
                service: Service::Cluster,
                fault,
            })
        };
        if self.dead == Some(node) {
            return failed(NodeFault::Refused);
        }
        assert!(!request.gzip);
        tokio::time::sleep(self.latency).await;
        let reaction = self.cluster.lock().unwrap().bulk(&request.body);
        match reaction {
            Reaction::Answer {
                status,
                retry_after,
                body,
                ..
            } => {
                let retry_after = retry_after.map(str::to_owned);
                Ok(Response {
                    retry_after,
                    ..Response::new(status, body)
                })
            }
            Reaction::Cut { .. } | Reaction::Reset => failed(NodeFault::Broken("reset".into())),
            Reaction::Refused => failed(NodeFault::Refused),
            Reaction::Hang => {
                tokio::time::sleep(MINUTE).await;
                failed(NodeFault::Timeout(MINUTE))
            }
        }
    }
}

#[path = "kept_tests.rs"]
mod kept;
#[path = "replay_tests.rs"]
mod replay;
#[path = "waits_tests.rs"]
mod waits;

struct Lab {
    deliverer: Arc<Deliverer<InProcess>>,
    cluster: Arc<Mutex<Cluster>>,
    directory: TempDir,
}

fn settings(data_dir: &Path) -> Settings {
    let nodes = vec![Url::parse("http://es:9200").unwrap()];
    let mut settings = Settings::new(nodes, data_dir.to_owned());
    settings.connection.gzip = false;
    settings
}

fn nodes_of(count: usize) -> Nodes {
    Nodes::new(count, Backoff::default())
}

impl Lab {
    fn new(cluster: Cluster) -> Self {
        Self::with(cluster, 1, None, |_| {})
    }

    fn with(
        cluster: Cluster,
        nodes: usize,
        dead: Option<usize>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let directory = TempDir::new().unwrap();
        let mut settings = settings(directory.path());
        change(&mut settings);
        let cluster = Arc::new(Mutex::new(cluster));
        let latency = Duration::from_millis(10);
        let transport = InProcess {
            cluster: cluster.clone(),
            nodes: nodes_of(nodes),
            dead,
            latency,
        };
        Self::over(transport, cluster, directory, &settings)
    }

    fn over(
        transport: InProcess,
        cluster: Arc<Mutex<Cluster>>,
        directory: TempDir,
        settings: &Settings,
    ) -> Self {
        let deliverer = Deliverer::new(transport, settings, None, Arc::new(SystemClock::new()));
        Self {
            deliverer: Arc::new(deliverer),
            cluster,
            directory,
        }
    }

    async fn deliver(&self, batch: Batch) -> Delivery {
        let stop = CancellationToken::new();
        // Virtual: a delivery that never ends fails at once.
        let day = tokio::time::timeout(24 * 60 * MINUTE, self.deliverer.deliver(batch, &stop));
        day.await.unwrap()
    }

    /// Starts a delivery in a task of its own.
    fn start(&self, batch: Batch, stop: &CancellationToken) -> tokio::task::JoinHandle<Delivery> {
        let (deliverer, stop) = (self.deliverer.clone(), stop.clone());
        tokio::spawn(async move { deliverer.deliver(batch, &stop).await })
    }

    fn cluster(&self) -> std::sync::MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap()
    }

    fn held_ids(&self) -> BTreeSet<String> {
        self.cluster()
            .documents
            .keys()
            .map(|(_, id)| id.clone())
            .collect()
    }

    fn entries(&self) -> Vec<Entry> {
        self.deliverer
            .dead_letters
            .entries()
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }
}

/// `(index, id, bad)` for each item.
fn batch_of(items: &[(&str, usize, bool)]) -> Batch {
    let mut batch = Batch::default();
    for (index, id, bad) in items {
        let start = u32::try_from(batch.body.len()).unwrap();
        let action = format!("{{\"create\":{{\"_index\":\"{index}\",\"_id\":\"id-{id}\"}}}}\n");
        batch.body.extend_from_slice(action.as_bytes());
        let document = u32::try_from(batch.body.len()).unwrap();
        batch.items.push(Item { start, document });
        let line = format!(
            "{{\"n\":{id},\"bad\":{bad},\"pad\":\"{}\"}}\n",
            "x".repeat(id % 50)
        );
        batch.body.extend_from_slice(line.as_bytes());
    }
    batch.spans.push(Span {
        file: FileKey(1),
        stream: StreamId([0; 10]),
        path: Path::new("/logs/access.log").into(),
        from: 0,
        to: 1,
        marker: None,
        lines: u32::try_from(items.len()).unwrap(),
        documents: u32::try_from(items.len()).unwrap(),
    });
    batch
}

/// The dead-letter entry of an item.
fn entry_of(kind: EntryKind, action: &[u8], document: &[u8], reason: Rejection) -> Entry {
    let key = action::parse(action).unwrap();
    Entry::new(kind, 0, key, document, None, reason)
}

fn good(count: usize) -> Batch {
    batch_of(
        &(0..count)
            .map(|id| ("today", id, false))
            .collect::<Vec<_>>(),
    )
}

fn ids(range: std::ops::Range<usize>) -> BTreeSet<String> {
    range.map(|id| format!("id-{id}")).collect()
}

fn sum(counts: &OutcomeCounts) -> u64 {
    counts.indexed
        + counts.duplicate
        + counts.diverted
        + counts.dead_lettered
        + counts.parked
        + counts.filtered
}

#[tokio::test(start_paused = true)]
async fn a_delivery_without_faults_takes_one_request_and_returns_the_same_memory() {
    let lab = Lab::new(Cluster::default());
    let batch = good(100);
    let (memory, capacity) = (batch.body.as_ptr(), batch.body.capacity());
    let delivery = lab.deliver(batch).await;
    assert!(delivery.settled);
    assert_eq!(
        delivery.counts,
        OutcomeCounts {
            indexed: 100,
            ..OutcomeCounts::default()
        }
    );
    assert_eq!(lab.held_ids(), ids(0..100));
    assert_eq!(lab.cluster().bulks.len(), 1);
    assert_eq!(
        (delivery.batch.body.as_ptr(), delivery.batch.body.capacity()),
        (memory, capacity)
    );
    assert!(delivery.batch.body.is_empty());
    assert_eq!(delivery.batch.spans.len(), 1);
    assert_eq!(lab.deliverer.health(), Health::Delivering);
    let again = lab.deliver(good(100)).await;
    assert_eq!(
        again.counts,
        OutcomeCounts {
            duplicate: 100,
            ..OutcomeCounts::default()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_batch_is_settled_without_a_request() {
    let lab = Lab::new(Cluster::default());
    assert!(lab.deliver(Batch::default()).await.settled);
    assert_eq!(lab.cluster().bulks.len(), 0);
}

/// Each fault happens once before the cluster works.
#[tokio::test(start_paused = true)]
async fn every_fault_is_survived_with_exact_counts() {
    let faults = [
        Fault::Refused,
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::HangAfter,
        Fault::CutJson(40),
        Fault::CutBody(40),
        Fault::Html,
        Fault::WrongCount,
        Fault::Status(413, None, ""),
        Fault::Status(429, None, "es_rejected_execution_exception"),
        Fault::Status(429, Some("7"), "es_rejected_execution_exception"),
        Fault::Status(503, None, "unavailable"),
        Fault::Status(502, None, ""),
        Fault::Status(401, None, "security_exception"),
        Fault::Status(403, None, "cluster_block_exception"),
        Fault::Status(404, None, ""),
        Fault::Status(400, None, "parse_exception"),
        Fault::Items {
            every: 3,
            status: 429,
            kind: "es_rejected_execution_exception",
        },
        Fault::Items {
            every: 1,
            status: 429,
            kind: "cluster_block_exception",
        },
        Fault::Items {
            every: 2,
            status: 503,
            kind: "unavailable_shards_exception",
        },
        Fault::Items {
            every: 1,
            status: 403,
            kind: "security_exception",
        },
        Fault::Items {
            every: 5,
            status: 400,
            kind: "validation_exception",
        },
        Fault::Items {
            every: 5,
            status: 404,
            kind: "index_not_found_exception",
        },
    ];
    for fault in faults {
        let lab = Lab::new(Cluster::with([fault.clone()]));
        let delivery = lab.deliver(good(20)).await;
        assert!(delivery.settled, "{fault:?}");
        assert_eq!(lab.held_ids(), ids(0..20), "{fault:?}");
        assert_eq!(
            sum(&delivery.counts),
            20,
            "{fault:?}: {:?}",
            delivery.counts
        );
        assert!(lab.cluster().bulks.len() > 1, "{fault:?}");
        assert!(lab.entries().is_empty(), "{fault:?}");
        assert!(
            lab.deliverer
                .sender
                .stats
                .retries()
                .any(|(_, count)| count > 0),
            "{fault:?}"
        );
        assert_eq!(lab.deliverer.health(), Health::Delivering, "{fault:?}");
        assert_eq!(lab.deliverer.sender.stats.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn only_refused_items_are_resent() {
    let refusal = Fault::Items {
        every: 10,
        status: 429,
        kind: "es_rejected_execution_exception",
    };
    let lab = Lab::new(Cluster::with([refusal]));
    let batch = good(100);
    let (first, tenth) = (batch.item(0).unwrap().len(), batch.body.len());
    lab.deliver(batch).await;
    let bulks = lab.cluster().bulks.clone();
    assert_eq!(bulks.len(), 2);
    assert!(bulks[1] >= 10 * first && bulks[1] < tenth / 5, "{bulks:?}");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_respected() {
    let lab = Lab::new(Cluster::with([Fault::Status(429, Some("20"), "busy")]));
    let before = Instant::now();
    lab.deliver(good(1)).await;
    assert!(before.elapsed() >= Duration::from_secs(20));
    let date = lab
        .deliverer
        .sender
        .retry_after(Some("Fri, 01 Jan 2100 00:00:00 GMT"))
        .unwrap();
    assert!(date > 1000 * MINUTE);
    assert_eq!(lab.deliverer.sender.retry_after(Some("soon")), None);
}

#[tokio::test(start_paused = true)]
async fn diverted_and_dropped_documents_are_counted_as_such() {
    let lab = Lab::new(Cluster::with([
        Fault::FailureStore { every: 4 },
        Fault::Dropped { every: 2 },
    ]));
    let first = lab.deliver(good(8)).await;
    assert_eq!(
        first.counts,
        OutcomeCounts {
            indexed: 6,
            diverted: 2,
            ..OutcomeCounts::default()
        }
    );
    let items: Vec<_> = (100..104).map(|id| ("today", id, false)).collect();
    let second = lab.deliver(batch_of(&items)).await;
    assert_eq!(
        second.counts,
        OutcomeCounts {
            indexed: 2,
            filtered: 2,
            ..OutcomeCounts::default()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_sent_in_halves_and_a_single_large_document_is_kept() {
    let lab = Lab::new(Cluster {
        max_bytes: Some(400),
        ..Cluster::default()
    });
    let mut batch = good(100);
    let start = u32::try_from(batch.body.len()).unwrap();
    let action = b"{\"create\":{\"_index\":\"today\",\"_id\":\"id-huge\"}}\n";
    batch.body.extend_from_slice(action);
    batch.items.push(Item {
        start,
        document: start + u32::try_from(action.len()).unwrap(),
    });
    batch
        .body
        .extend_from_slice(format!("{{\"x\":\"{}\"}}\n", "y".repeat(500)).as_bytes());
    let delivery = lab.deliver(batch).await;
    assert!(delivery.settled);
    assert_eq!(
        delivery.counts,
        OutcomeCounts {
            indexed: 100,
            dead_lettered: 1,
            ..OutcomeCounts::default()
        }
    );
    let entries = lab.entries();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].id.as_str(), entries[0].reason.status),
        ("id-huge", 413)
    );
    assert!(entries[0].document.as_ref().unwrap().get().len() > 500);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_always_refused_is_finally_sent_in_halves() {
    // A coordinating node whose memory never suffices for this body: 429 each time, not 413.
    let mut cluster = Cluster::default();
    let busy = || Fault::Status(429, None, "es_rejected_execution_exception");
    cluster.script.extend((0..3).map(|_| busy()));
    let lab = Lab::new(cluster);
    lab.deliver(good(100)).await;
    let bulks = lab.cluster().bulks.clone();
    assert_eq!(bulks.len(), 5, "{bulks:?}");
    assert!(bulks[3] < bulks[0] * 2 / 3, "{bulks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_costs_nothing_while_another_lives() {
    let lab = Lab::with(Cluster::default(), 3, Some(0), |_| {});
    let began = Instant::now();
    for _ in 0..6 {
        assert!(lab.deliver(good(3)).await.settled);
    }
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn bad_credentials_hold_and_name_the_setting() {
    let denied = || Fault::Status(401, None, "security_exception");
    let lab = Lab::new(Cluster::with((0..5).map(|_| denied())));
    let stop = CancellationToken::new();
    let delivery = lab.start(good(3), &stop);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let Health::Holding { reason, hint, .. } = lab.deliverer.health() else {
        panic!()
    };
    assert!(
        reason.contains("401") && hint.contains("api_key"),
        "{reason} {hint}"
    );
    assert_eq!(delivery.await.unwrap().counts.indexed, 3);
}

#[tokio::test(start_paused = true)]
async fn stopping_gives_the_batch_back_unsettled() {
    let lab = Lab::new(Cluster::with((0..1000).map(|_| Fault::HangAfter)));
    let stop = CancellationToken::new();
    let delivery = lab.start(good(3), &stop);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(lab.deliverer.sender.stats.in_flight(), 1);
    stop.cancel();
    let delivery = delivery.await.unwrap();
    assert!(!delivery.settled);
    assert_eq!(delivery.batch.spans.len(), 1);
    assert_eq!(lab.deliverer.sender.stats.in_flight(), 0);
    assert_eq!(lab.deliverer.health(), Health::Delivering);
}

/// The reader hands over one batch more than may be sent at once, and that batch waits.
#[tokio::test(start_paused = true)]
async fn a_batch_beyond_the_limit_in_flight_waits() {
    let lab = Lab::with(Cluster::default(), 1, None, |settings| {
        settings.max_in_flight = 2;
    });
    let stop = CancellationToken::new();
    let running: Vec<_> = (0..3).map(|_| lab.start(good(50), &stop)).collect();
    let mut most = 0;
    while running.iter().any(|delivery| !delivery.is_finished()) {
        most = most.max(lab.deliverer.sender.stats.in_flight());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(most, 2);
}

#[tokio::test(start_paused = true)]
async fn while_items_are_refused_one_request_is_in_flight() {
    let refuse = || Fault::Items {
        every: 2,
        status: 429,
        kind: "rejected_execution_exception",
    };
    let cluster = Arc::new(Mutex::new(Cluster::with((0..20).map(|_| refuse()))));
    let directory = TempDir::new().unwrap();
    let settings = Settings {
        max_in_flight: 4,
        ..settings(directory.path())
    };
    // This is far longer than any wait between retries: without the limit they would run at the same time.
    let latency = 10 * MINUTE;
    let transport = InProcess {
        cluster: cluster.clone(),
        nodes: nodes_of(1),
        dead: None,
        latency,
    };
    let lab = Lab::over(transport, cluster, directory, &settings);
    let stop = CancellationToken::new();
    let running: Vec<_> = (0..4).map(|_| lab.start(good(50), &stop)).collect();
    tokio::time::sleep(MINUTE).await;
    assert_eq!(lab.deliverer.sender.stats.in_flight(), 4);
    tokio::time::sleep(10 * MINUTE).await;
    while !lab.cluster().script.is_empty() {
        assert!(lab.deliverer.sender.stats.in_flight() <= 1);
        tokio::time::sleep(MINUTE).await;
    }
    for delivery in running {
        assert!(delivery.await.unwrap().settled);
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    let status = prop_oneof![
        Just((429, "es_rejected_execution_exception")),
        Just((503, "unavailable_shards_exception")),
        Just((500, "x")),
        Just((403, "cluster_block_exception")),
        Just((429, "cluster_block_exception")),
        Just((403, "security_exception")),
        Just((400, "validation_exception")),
        Just((404, "index_not_found_exception")),
    ];
    let asked = prop_oneof![
        Just(None),
        Just(Some("1")),
        Just(Some("100000")),
        Just(Some("rubbish"))
    ];
    prop_oneof![
        2 => Just(Fault::None),
        1 => Just(Fault::Refused),
        1 => Just(Fault::ResetBefore),
        1 => Just(Fault::ResetAfter),
        1 => Just(Fault::HangAfter),
        1 => (0usize..2000).prop_map(Fault::CutJson),
        1 => (0usize..2000).prop_map(Fault::CutBody),
        1 => Just(Fault::Html),
        1 => Just(Fault::WrongCount),
        2 => (status.clone(), asked).prop_map(|((status, kind), asked)| Fault::Status(status, asked, kind)),
        3 => (status, 1usize..8).prop_map(|((status, kind), every)| Fault::Items { every, status, kind }),
        1 => (1usize..8).prop_map(|every| Fault::Dropped { every }),
    ]
}

proptest! {
    #![proptest_config(crate::replay::lives(1_000))]

    /// Under any script every document is in exactly one place (in the cluster, dropped by its pipeline, or in the
    /// file), and every item is counted once.
    #[test]
    fn under_any_script_every_document_ends_in_one_place(
        script in proptest::collection::vec(fault(), 0..25),
        sizes in proptest::collection::vec(1usize..40, 1..4),
        bad in proptest::collection::btree_set(0usize..100, 0..2),
        max_bytes in proptest::option::of(300usize..3000),
        max_in_flight in 1usize..4,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let cluster = Cluster { max_bytes, ..Cluster::with(script) };
            let lab = Lab::with(cluster, 2, None, |settings| settings.max_in_flight = max_in_flight);
            let stop = CancellationToken::new();
            let mut first = 0;
            let mut running = Vec::new();
            for size in &sizes {
                let items: Vec<_> = (first..first + size)
                    .map(|id| (["a", "b", "c"][id % 3], id, bad.contains(&id)))
                    .collect();
                running.push((*size, lab.start(batch_of(&items), &stop)));
                first += size;
            }
            let mut parked = 0;
            for (size, delivery) in running {
                let delivery = delivery.await.unwrap();
                assert!(delivery.settled);
                assert_eq!(sum(&delivery.counts), size as u64);
                parked += delivery.counts.parked;
            }
            let entries = lab.entries();
            assert_eq!(entries.iter().filter(|entry| entry.kind == EntryKind::Parked).count() as u64, parked);
            let kept: BTreeSet<String> = entries.iter().map(|entry| entry.id.clone()).collect();
            assert_eq!(kept.len(), entries.len(), "nothing is kept twice");
            let mut places = kept.clone();
            let held = lab.held_ids();
            // A document whose drop was not reported, and that is not dropped again, is also indexed.
            let dropped: BTreeSet<String> =
                lab.cluster().dropped.iter().map(|(_, id)| id.clone()).collect();
            let mut dead = entries.iter().filter(|entry| entry.kind == EntryKind::Dead);
            assert!(dead.all(|entry| !held.contains(&entry.id)));
            places.extend(held);
            places.extend(dropped);
            assert_eq!(places, ids(0..first));
            for id in bad.iter().filter(|id| **id < first) {
                assert!(kept.contains(&format!("id-{id}")));
            }
            assert_eq!(lab.deliverer.health(), Health::Delivering);
            assert_eq!(lab.deliverer.sender.stats.in_flight_bytes(), 0);
        });
    }
}
