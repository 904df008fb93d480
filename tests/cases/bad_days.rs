//! Problems of real clusters, caused with their own APIs: blocks, closed indices, limits, a missing pipeline, a mapping
//! that does not fit. Delivery holds as long as needed, reports the hint, and continues by itself.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use logweir::event::{Batch, Item, OutcomeCounts};
use logweir::http::{Backoff, ConnectionSettings, HttpClient, Method, Service, Transport as _};
use logweir::output::dead_letters::{Choice, EntryKind};
use logweir::output::elasticsearch::{Elasticsearch, Settings};
use logweir::output::{Health, OutputStatus as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Servers, only_user_of_the_servers, servers, unique};
use crate::support::delivery::{self, Delivery, daily};

/// How often a waiting test checks.
const LOOK: Duration = Duration::from_millis(10);

/// A cluster, and an output with short waits between retries.
struct Lab {
    family: &'static str,
    output: Arc<Elasticsearch>,
    /// Causes the problems, independently of the output.
    operator: HttpClient,
    _directory: TempDir,
}

impl Lab {
    fn new(family: &'static str, address: &str, park_after: Duration) -> Self {
        let directory = TempDir::new().unwrap();
        let node = Url::parse(address).unwrap();
        let backoff = Backoff::try_new(Duration::from_millis(5), Duration::from_millis(50));
        let connection = ConnectionSettings::new(vec![node.clone()]);
        let operator = HttpClient::new(&connection, Service::Cluster, Backoff::default());
        let settings = Settings {
            backoff: backoff.unwrap(),
            park_after,
            ..Settings::new(vec![node], directory.path().to_owned())
        };
        Self {
            family,
            output: Elasticsearch::connect(settings, daily()).unwrap(),
            operator: operator.unwrap(),
            _directory: directory,
        }
    }

    fn all(servers: &Servers) -> Vec<Self> {
        let patient = Duration::from_secs(3600);
        let clusters = servers.clusters();
        clusters
            .map(|(family, address)| Self::new(family, address, patient))
            .collect()
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let body = body.map(|body| body.to_string().into());
        let sent = self.operator.request(method, path, &[], body).await;
        let answer = sent.unwrap();
        let text = String::from_utf8_lossy(&answer.body);
        assert!(answer.status < 300, "{}: {path}: {text}", self.family);
        serde_json::from_str(&text).unwrap()
    }

    async fn set(&self, index: &str, settings: Value) {
        self.ask(Method::Put, &format!("/{index}/_settings"), Some(settings))
            .await;
    }

    async fn set_cluster(&self, setting: &str, value: Value) {
        let settings = json!({ "persistent": { setting: value } });
        self.ask(Method::Put, "/_cluster/settings", Some(settings))
            .await;
    }

    async fn deliver(&self, batch: Batch) -> Delivery {
        delivery::deliver(&*self.output, batch, &CancellationToken::new()).await
    }

    fn start(&self, batch: Batch) -> JoinHandle<Delivery> {
        let output = Arc::clone(&self.output);
        tokio::spawn(
            async move { delivery::deliver(&*output, batch, &CancellationToken::new()).await },
        )
    }

    /// Waits until delivery holds for this reason, with this hint.
    async fn until_held(&self, reason: &str, hint: &str) {
        loop {
            if let Health::Holding {
                reason: why,
                hint: what,
                ..
            } = self.output.health()
                && why.contains(reason)
            {
                assert!(what.contains(hint), "{}: {why}: {what}", self.family);
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn count(&self, index: &str) -> u64 {
        self.ask(Method::Post, &format!("/{index}/_refresh"), None)
            .await;
        let answer = self
            .ask(Method::Get, &format!("/{index}/_count"), None)
            .await;
        answer["count"].as_u64().unwrap()
    }

    /// Delivery holds the lines for this index until the operator has acted; then each of them is indexed once.
    async fn holds(
        &self,
        index: &str,
        (reason, hint): (&str, &str),
        bad: impl AsyncFnOnce(&Self),
        good: impl AsyncFnOnce(&Self),
    ) {
        let other = unique("other");
        assert_eq!(self.deliver(batch(index, 0..5)).await.counts.indexed, 5);
        assert_eq!(self.deliver(batch(&other, 0..5)).await.counts.indexed, 5);
        bad(self).await;
        let mut both = batch(&other, 5..10);
        push(&mut both, index, 5..10, |id| json!({ "n": id }));
        let delivery = self.start(both);
        self.until_held(reason, hint).await;
        good(self).await;
        let delivery = delivery.await.unwrap();
        assert!(delivery.settled, "{}", self.family);
        let counts = delivery.counts;
        assert_eq!(counts.indexed + counts.duplicate, 10, "{counts:?}");
        assert_eq!(self.count(index).await, 10, "{}", self.family);
        assert_eq!(self.count(&other).await, 10, "{}", self.family);
        assert_eq!(self.output.dead_letters().bytes(), 0);
        assert_eq!(self.output.health(), Health::Delivering);
    }
}

fn push(
    batch: &mut Batch,
    index: &str,
    ids: std::ops::Range<usize>,
    document: impl Fn(usize) -> Value,
) {
    for id in ids {
        let start = u32::try_from(batch.body.len()).unwrap();
        let action = format!("{{\"create\":{{\"_index\":\"{index}\",\"_id\":\"id-{id}\"}}}}\n");
        batch.body.extend_from_slice(action.as_bytes());
        let line = u32::try_from(batch.body.len()).unwrap();
        batch.items.push(Item {
            start,
            document: line,
        });
        let document = document(id).to_string() + "\n";
        batch.body.extend_from_slice(document.as_bytes());
    }
}

fn batch(index: &str, ids: std::ops::Range<usize>) -> Batch {
    let mut batch = Batch::default();
    push(&mut batch, index, ids, |id| json!({ "n": id }));
    batch
}

#[tokio::test]
async fn a_closed_index_holds_until_it_is_open_again() {
    let servers = servers();
    for lab in Lab::all(&servers) {
        let index = unique("closed");
        let hint = ("index_closed_exception", "_open");
        let close = async |lab: &Lab| {
            lab.ask(Method::Post, &format!("/{index}/_close"), None)
                .await;
        };
        let open = async |lab: &Lab| {
            lab.ask(Method::Post, &format!("/{index}/_open"), None)
                .await;
        };
        lab.holds(&index, hint, close, open).await;
    }
}

#[tokio::test]
async fn each_block_of_an_index_holds_until_it_is_lifted() {
    let servers = servers();
    for lab in Lab::all(&servers) {
        // the last is what a full disk sets
        for block in ["write", "read_only", "read_only_allow_delete"] {
            let index = unique("blocked");
            let setting = format!("index.blocks.{block}");
            let hint = ("cluster_block_exception", "lift the block");
            let set = async |lab: &Lab| lab.set(&index, json!({ &setting: true })).await;
            let lift = async |lab: &Lab| lab.set(&index, json!({ &setting: null })).await;
            lab.holds(&index, hint, set, lift).await;
        }
    }
}

#[tokio::test]
async fn a_missing_pipeline_holds_until_the_index_no_longer_names_it() {
    let servers = servers();
    for lab in Lab::all(&servers) {
        let index = unique("pipeline");
        let hint = ("pipeline", "create the ingest pipeline");
        let set = async |lab: &Lab| {
            lab.set(&index, json!({ "index.default_pipeline": "no-such" }))
                .await;
        };
        let unset = async |lab: &Lab| {
            lab.set(&index, json!({ "index.default_pipeline": null }))
                .await;
        };
        lab.holds(&index, hint, set, unset).await;
    }
}

#[tokio::test]
async fn a_document_that_the_mapping_refuses_is_kept_and_the_others_are_indexed() {
    let servers = servers();
    for lab in Lab::all(&servers) {
        let index = unique("mapping");
        let mapping = json!({ "mappings": { "properties": { "n": { "type": "long" } } } });
        lab.ask(Method::Put, &format!("/{index}"), Some(mapping))
            .await;
        let mut mixed = batch(&index, 0..100);
        push(
            &mut mixed,
            &index,
            100..103,
            |_| json!({ "n": "no number" }),
        );
        push(&mut mixed, &index, 103..105, |_| json!({ "n": { "a": 1 } }));
        let delivery = lab.deliver(mixed).await;
        let wanted = OutcomeCounts {
            indexed: 100,
            dead_lettered: 5,
            ..OutcomeCounts::default()
        };
        assert_eq!(delivery.counts, wanted, "{}", lab.family);
        assert_eq!(lab.count(&index).await, 100);
        // with a correct mapping they would be accepted: if most of a batch is refused, it is not the documents' fault
        let mut most = batch(&index, 200..205);
        push(&mut most, &index, 205..230, |_| json!({ "n": "no number" }));
        let delivery = lab.start(most);
        lab.until_held("too many", "compare the index's mapping")
            .await;
        // The next attempt may come before the index is created again; with a template it creates the index itself.
        let mapping = json!({ "mappings": { "properties": { "n": { "type": "keyword" } } } });
        let template = json!({ "index_patterns": [&index], "priority": 999, "template": mapping });
        let at = format!("/_index_template/{index}");
        lab.ask(Method::Put, &at, Some(template)).await;
        lab.ask(Method::Delete, &format!("/{index}"), None).await;
        assert!(delivery.await.unwrap().settled, "{}", lab.family);
        let choice = Choice::of(Some(EntryKind::Dead), None);
        let replayed = lab.output.replay(&choice, Duration::from_secs(60)).await;
        assert_eq!(replayed.unwrap().taken.total(), 3, "{}", lab.family);
        lab.ask(Method::Delete, &at, None).await;
    }
}

/// Tests `park_after`, which is one second here.
#[tokio::test]
async fn lines_of_an_index_that_stays_closed_are_parked_and_resent() {
    let servers = servers();
    for (family, address) in servers.clusters() {
        let lab = Lab::new(family, address, Duration::from_secs(1));
        let (old, today) = (unique("old"), unique("today"));
        lab.deliver(batch(&old, 0..5)).await;
        lab.ask(Method::Post, &format!("/{old}/_close"), None).await;
        let mut both = batch(&old, 5..10);
        push(&mut both, &today, 0..5, |id| json!({ "n": id }));
        let delivery = lab.start(both);
        // while another index accepts, the closed one does not stop it
        let mut next = 5;
        while !delivery.is_finished() {
            lab.deliver(batch(&today, next..next + 1)).await;
            next += 1;
            tokio::time::sleep(LOOK).await;
        }
        let counts = delivery.await.unwrap().counts;
        assert_eq!((counts.indexed, counts.parked), (5, 5), "{family}");
        lab.ask(Method::Post, &format!("/{old}/_open"), None).await;
        let choice = Choice::of(Some(EntryKind::Parked), None);
        loop {
            // its primary shard starts a moment later
            tokio::time::sleep(LOOK).await;
            let replayed = lab.output.replay(&choice, Duration::from_secs(60)).await;
            if lab.output.dead_letters().bytes() == 0 {
                assert_eq!(replayed.unwrap().taken.total(), 5, "{family}");
                break;
            }
        }
        assert_eq!(lab.count(&old).await, 10, "{family}");
    }
}

/// These affect the whole cluster, so no other test may use it meanwhile.
#[tokio::test]
async fn the_shard_limit_at_midnight_and_a_block_of_the_cluster_hold() {
    let servers = only_user_of_the_servers();
    for lab in Lab::all(&servers) {
        let (today, tomorrow) = (unique("day"), unique("day"));
        lab.deliver(batch(&today, 0..5)).await;
        lab.set_cluster("cluster.max_shards_per_node", json!(1))
            .await;
        let mut both = batch(&today, 5..10);
        push(&mut both, &tomorrow, 0..5, |id| json!({ "n": id }));
        let delivery = lab.start(both);
        lab.until_held("shards", "cluster.max_shards_per_node")
            .await;
        lab.set_cluster("cluster.max_shards_per_node", Value::Null)
            .await;
        assert_eq!(delivery.await.unwrap().counts.indexed, 10, "{}", lab.family);

        lab.set_cluster("cluster.blocks.read_only", json!(true))
            .await;
        let delivery = lab.start(batch(&today, 10..15));
        lab.until_held("cluster_block_exception", "lift the block")
            .await;
        lab.set_cluster("cluster.blocks.read_only", Value::Null)
            .await;
        assert_eq!(delivery.await.unwrap().counts.indexed, 5, "{}", lab.family);

        lab.set_cluster("action.auto_create_index", json!(false))
            .await;
        let day_after = unique("day");
        let delivery = lab.start(batch(&day_after, 0..5));
        lab.until_held("index_not_found_exception", "action.auto_create_index")
            .await;
        lab.set_cluster("action.auto_create_index", Value::Null)
            .await;
        assert_eq!(delivery.await.unwrap().counts.indexed, 5, "{}", lab.family);
        assert_eq!(lab.output.dead_letters().bytes(), 0);
    }
}
