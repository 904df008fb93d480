//! A data stream as the target: documents arrive in it, never in a plain index of its name.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use logweir::config::{DataStream, PROMISE};
use logweir::event::{Batch, Item, OutcomeCounts};
use logweir::http::{Backoff, ConnectionSettings, HttpClient, Method, Service, Transport as _};
use logweir::output::elasticsearch::{Elasticsearch, Settings, TemplateState};
use logweir::output::{Health, OutputStatus as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{servers, unique};
use crate::support::delivery::{self};
use testkit::fake_cluster::Cluster;
use testkit::fake_es::FakeEs;

const NAME: &str = "logs-nginx.access-default";
const TEMPLATE: &str = "logs-nginx.access";

fn with_template(requires_streams: bool) -> Cluster {
    let mut cluster = Cluster {
        requires_streams,
        ..Cluster::default()
    };
    cluster.put_stream_template(TEMPLATE);
    cluster
}

fn output(node: Url, directory: &TempDir) -> Arc<Elasticsearch> {
    let backoff = Backoff::try_new(Duration::from_millis(1), Duration::from_millis(5)).unwrap();
    let settings = Settings {
        backoff,
        ..Settings::new(vec![node], directory.path().to_owned())
    };
    let stream = DataStream::parse(NAME).unwrap();
    Elasticsearch::connect(settings, stream.into()).unwrap()
}

fn batch(ids: std::ops::Range<usize>) -> Batch {
    let mut batch = Batch::default();
    for id in ids {
        let start = u32::try_from(batch.body.len()).unwrap();
        let action = format!("{{\"create\":{{\"_index\":\"{NAME}\",\"_id\":\"id-{id}\"}}}}\n");
        batch.body.extend_from_slice(action.as_bytes());
        let document = u32::try_from(batch.body.len()).unwrap();
        batch.items.push(Item { start, document });
        let document = format!("{{\"@timestamp\":\"2026-11-23T09:30:00Z\",\"n\":{id}}}\n");
        batch.body.extend_from_slice(document.as_bytes());
    }
    batch
}

async fn deliver(output: &Elasticsearch, ids: std::ops::Range<usize>) -> OutcomeCounts {
    let delivery = delivery::deliver(output, batch(ids), &CancellationToken::new()).await;
    assert!(delivery.settled);
    delivery.counts
}

/// Method and path of each request, bulks with or without the parameter.
fn asked(es: &FakeEs) -> Vec<String> {
    let short = |line: String| {
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let path = target.split('?').next().unwrap();
        let required = target.contains("require_data_stream=true");
        format!("{method} {path}{}", if required { " required" } else { "" })
    };
    es.seen().into_iter().map(|seen| short(seen.line)).collect()
}

#[tokio::test]
async fn a_server_that_knows_the_parameter_gets_it_in_each_request_and_no_other_check() {
    let es = FakeEs::start(with_template(true));
    let directory = TempDir::new().unwrap();
    let output = output(es.url(), &directory);
    assert_eq!(deliver(&output, 0..3).await.indexed, 3);
    assert_eq!(deliver(&output, 0..4).await.duplicate, 3);
    assert_eq!(asked(&es), ["POST /_bulk required"; 2]);
    assert!(es.cluster().streams.contains(NAME));
}

#[tokio::test]
async fn a_server_that_does_not_know_the_parameter_gets_it_once_and_the_name_is_checked_once() {
    let es = FakeEs::start(with_template(false));
    let directory = TempDir::new().unwrap();
    let output = output(es.url(), &directory);
    for round in 0..3 {
        assert_eq!(deliver(&output, round..round + 1).await.indexed, 1);
    }
    let stream = format!("/_data_stream/{NAME}");
    assert_eq!(
        asked(&es),
        [
            "POST /_bulk required",
            &format!("GET /_resolve/index/{NAME}"),
            &format!("PUT {stream}"),
            "POST /_bulk",
            "POST /_bulk",
            "POST /_bulk",
        ]
    );
    assert!(es.cluster().streams.contains(NAME));
}

#[tokio::test]
async fn nothing_is_written_until_the_template_exists() {
    for (requires_streams, no_stream_api) in [(true, false), (false, false), (false, true)] {
        let es = FakeEs::start(Cluster {
            requires_streams,
            no_stream_api,
            ..Cluster::default()
        });
        let directory = TempDir::new().unwrap();
        let output = output(es.url(), &directory);
        let delivery = tokio::spawn({
            let output = output.clone();
            async move { deliver(&output, 0..5).await }
        });
        let hint = loop {
            if let Health::Holding { hint, .. } = output.health() {
                break hint;
            }
            assert!(!delivery.is_finished(), "it was taken");
            tokio::task::yield_now().await;
        };
        assert!(es.cluster().documents.is_empty());
        if !requires_streams {
            assert!(hint.contains("logweir setup"), "{hint}");
        }
        {
            let mut cluster = es.cluster();
            cluster.put_stream_template(TEMPLATE);
            // an already scripted refusal would have to be answered first
            cluster.script.clear();
        }
        assert_eq!(delivery.await.unwrap().indexed, 5);
        assert!(es.cluster().streams.contains(NAME), "{requires_streams}");
    }
}

#[tokio::test]
async fn a_plain_index_of_the_name_gets_nothing() {
    let mut cluster = with_template(false);
    let place = (NAME.to_owned(), "somebody's".to_owned());
    cluster.documents.insert(place, "{}".to_owned());
    let es = FakeEs::start(cluster);
    let directory = TempDir::new().unwrap();
    let output = output(es.url(), &directory);
    let stop = CancellationToken::new();
    let delivery = tokio::spawn({
        let (output, stop) = (output.clone(), stop.clone());
        async move { delivery::deliver(&*output, batch(0..5), &stop).await }
    });
    let reason = loop {
        if let Health::Holding { reason, .. } = output.health() {
            break reason;
        }
        assert!(!delivery.is_finished(), "it was taken");
        tokio::task::yield_now().await;
    };
    assert!(reason.contains("not a data stream"), "{reason}");
    stop.cancel();
    assert!(!delivery.await.unwrap().settled);
    assert_eq!(es.cluster().documents.len(), 1);
}

#[tokio::test]
async fn a_template_of_plain_indices_differs_from_one_of_data_streams() {
    let mut cluster = with_template(true);
    cluster.put_template("plain");
    let es = FakeEs::start(cluster);
    let directory = TempDir::new().unwrap();
    let output = output(es.url(), &directory);
    for (name, for_stream, state) in [
        (TEMPLATE, true, TemplateState::Present),
        ("plain", true, TemplateState::NotForStreams),
        ("plain", false, TemplateState::Present),
        ("none", true, TemplateState::Missing),
    ] {
        assert_eq!(output.check_template(name, for_stream).await, state);
    }
}

/// A host with one log and the configuration for one data stream.
struct Host {
    folder: TempDir,
    stream: String,
}

impl Host {
    fn new(node: &str, stream: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let log = "\
            203.0.113.9 - - [23/Nov/2026:05:26:59 +0000] \"GET /a HTTP/1.1\" 200 5 \"-\" \"curl\"\n\
            203.0.113.9 - - [24/Nov/2026:05:26:59 +0000] \"GET /b HTTP/1.1\" 200 5 \"-\" \"curl\"\n\
            no time and no format\n";
        fs::write(at("access.log"), log).unwrap();
        let config = format!(
            "host = \"web-07\"\ndata_dir = \"{}\"\n[[logs]]\npaths = [\"{}\"]\nformat = \"combined\"\n\
             [elasticsearch]\nnodes = [\"{node}\"]\ndata_stream = \"{stream}\"\n",
            at("data"),
            at("access.log"),
        );
        fs::write(at("logweir.toml"), config).unwrap();
        Self {
            folder,
            stream: stream.to_owned(),
        }
    }

    /// The exit code and the output.
    fn logweir(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_logweir"))
            .env_clear()
            .arg("-c")
            .arg(self.folder.path().join("logweir.toml"))
            .args(arguments)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(said).unwrap(),
        )
    }

    fn forget(&self) {
        fs::remove_dir_all(self.folder.path().join("data/run")).unwrap();
    }

    /// Checks the documents of all three lines.
    fn check_documents(&self, documents: &[Value]) {
        assert_eq!(documents.len(), 3, "{documents:#?}");
        let mut parts = self.stream.split('-');
        let fields = json!({
            "type": parts.next(), "dataset": parts.next(), "namespace": parts.next(),
        });
        for document in documents {
            assert_eq!(document["data_stream"], fields);
            assert!(document["@timestamp"].is_string());
        }
        let unparsed = documents
            .iter()
            .filter(|document| document["tags"][0] == "unparsed");
        assert_eq!(unparsed.count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_goes_to_the_stream_whatever_its_day_and_another_output_starts_anew() {
    let es = FakeEs::start(with_template(true));
    let host = Host::new(&es.url::<String>(), NAME);
    let (code, said) = host.logweir(&["run", "--once", "--timeout", "60s"]);
    assert_eq!(code, 0, "{said}");
    let documents: Vec<Value> = {
        let cluster = es.cluster();
        assert!(cluster.documents.keys().all(|(index, _)| index == NAME));
        let documents = cluster.documents.values();
        documents
            .map(|text| serde_json::from_str(text).unwrap())
            .collect()
    };
    host.check_documents(&documents);

    let config = host.folder.path().join("logweir.toml");
    let text = fs::read_to_string(&config).unwrap();
    let setting = format!("data_stream = \"{NAME}\"");
    fs::write(&config, text.replace(&setting, "index = \"web-%Y\"")).unwrap();
    es.cluster().put_template("web");
    let (code, said) = host.logweir(&["run", "--once", "--timeout", "60s"]);
    assert_eq!(code, 0, "{said}");
    let cluster = es.cluster();
    let indices = cluster.documents.keys().map(|(index, _)| index.as_str());
    let indices: Vec<&str> = indices.filter(|index| *index != NAME).collect();
    assert_eq!(indices, ["web-2026", "web-2026", "web-unparsed"]);
}

#[test]
fn check_reports_the_weaker_guarantee_of_a_data_stream() {
    let host = Host::new("http://127.0.0.1:1", NAME);
    let (code, said) = host.logweir(&["check"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(PROMISE), "{said}");
    assert!(said.contains(NAME), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_servers_take_the_lines_once_and_setup_twice() {
    for (family, address) in servers().clusters() {
        let dataset = unique("stream").replace('-', ".");
        let stream = format!("logs-{dataset}-default");
        let host = Host::new(address, &stream);
        let settings = ConnectionSettings::new(vec![Url::parse(address).unwrap()]);
        let cluster = HttpClient::new(&settings, Service::Cluster, Backoff::default()).unwrap();

        // without the template no line and no plain index arrives
        let once = ["run", "--once", "--timeout", "2s", "--no-template-check"];
        let (code, said) = host.logweir(&once);
        assert_eq!(code, 69, "{family}: {said}");
        let path = format!("_resolve/index/{stream}");
        let there = cluster
            .request(Method::Get, &path, &[], None)
            .await
            .unwrap();
        // 404, or 200 with empty lists
        let there = String::from_utf8_lossy(&there.body).into_owned();
        assert!(!there.contains("\"name\""), "{family}: {there}");

        let (code, said) = host.logweir(&["setup"]);
        if said.contains("unknown field [data_stream]") {
            // an Elasticsearch without x-pack has no data streams
            assert_eq!(code, 69, "{family}: {said}");
            assert!(said.contains("set `index`"), "{family}: {said}");
            continue;
        }
        assert_eq!(code, 0, "{family}: {said}");
        assert!(said.contains("created"), "{family}: {said}");
        let (code, said) = host.logweir(&["setup"]);
        assert_eq!(code, 0, "{family}: {said}");
        assert!(said.contains("unchanged"), "{family}: {said}");
        for word in ["created", "updated", "Warning"] {
            assert!(!said.contains(word), "{family}: {word}: {said}");
        }
        for _ in 0..2 {
            let (code, said) = host.logweir(&["run", "--once", "--timeout", "60s"]);
            assert_eq!(code, 0, "{family}: {said}");
            // with the checkpoint lost, every line is sent again, and the cluster reports a duplicate
            host.forget();
        }
        let (code, said) = host.logweir(&["check", "--connect"]);
        assert_eq!(code, 0, "{family}: {said}");

        let there = cluster
            .request(Method::Get, &path, &[], None)
            .await
            .unwrap();
        let there: Value = serde_json::from_slice(&there.body).unwrap();
        assert_eq!(there["data_streams"][0]["name"], stream, "{family}");
        let refresh = format!("{stream}/_refresh");
        cluster
            .request(Method::Post, &refresh, &[], None)
            .await
            .unwrap();
        let search = format!("{stream}/_search?size=100");
        let found = cluster
            .request(Method::Get, &search, &[], None)
            .await
            .unwrap();
        let found: Value = serde_json::from_slice(&found.body).unwrap();
        let hits = found["hits"]["hits"].as_array().unwrap();
        let documents: Vec<Value> = hits.iter().map(|hit| hit["_source"].clone()).collect();
        host.check_documents(&documents);
        let mapping = format!("{stream}/_mapping");
        let mapping = cluster
            .request(Method::Get, &mapping, &[], None)
            .await
            .unwrap();
        let mapping: Value = serde_json::from_slice(&mapping.body).unwrap();
        let fields =
            &mapping.as_object().unwrap().values().next().unwrap()["mappings"]["properties"];
        assert_eq!(
            fields["data_stream"]["properties"]["dataset"]["type"], "keyword",
            "{family}"
        );
        assert_eq!(
            fields["source"]["properties"]["ip"]["type"], "ip",
            "{family}"
        );
    }
}
