//! The shipped templates in real clusters: they are accepted and applied, and documents with any client's text are indexed.

use std::time::Duration;

use bytes::Bytes;
use elasticsearch::http::headers::{CONTENT_TYPE, HeaderMap, HeaderValue};
use elasticsearch::http::transport::Transport as PlainTransport;
use logweir::config::{IndexMode, IndexPattern, IndexTarget};
use logweir::http::{Method, Response, Transport};
use logweir::setup::{
    ChangeOutcome, Family, Lifecycle, ObjectKind, ObjectState, Parts, PlannedObject, SetupError,
    SetupReport, Want, detect, plan, run, survey,
};
use serde_json::{Value, json};

use super::{servers, unique};

/// An index setting.
fn pattern_of(index: &str) -> IndexTarget {
    IndexPattern::parse(index).unwrap().into()
}

/// Everything for this target, with a life cycle where the cluster has one.
fn want(target: &IndexTarget) -> Want<'_> {
    Want {
        target,
        retention: Some(Duration::from_secs(30 * 86_400)),
        index_mode: None,
        parts: Parts::ALL,
    }
}

async fn put(
    cluster: &Cluster,
    target: &IndexTarget,
    force: bool,
) -> Result<SetupReport, SetupError<elasticsearch::Error>> {
    run(cluster, &want(target), force).await
}

/// The step of this kind whose name ends so.
fn step(steps: &[PlannedObject], kind: ObjectKind, end: &str) -> PlannedObject {
    let is = |step: &&PlannedObject| step.kind == kind && step.name.ends_with(end);
    steps.iter().find(is).unwrap().clone()
}

/// A cluster over plain HTTP.
struct Cluster(PlainTransport);

impl Cluster {
    fn at(address: &str) -> Self {
        Self(PlainTransport::single_node(address).unwrap())
    }

    /// Sends a request that must succeed.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let body = body.map(|body| Bytes::from(body.to_string()));
        let answer = self.request(method, path, &[], body).await.unwrap();
        let text = String::from_utf8_lossy(&answer.body);
        assert!(
            (200..300).contains(&answer.status),
            "{path}: {}: {text}",
            answer.status
        );
        serde_json::from_str(&text).unwrap()
    }
}

impl Transport for Cluster {
    type Error = elasticsearch::Error;

    async fn request(
        &self,
        method: Method,
        path: &str,
        _headers: &[(&'static str, &'static str)],
        body: Option<Bytes>,
    ) -> Result<Response, elasticsearch::Error> {
        let method = match method {
            Method::Get => elasticsearch::http::Method::Get,
            Method::Put => elasticsearch::http::Method::Put,
            Method::Post => elasticsearch::http::Method::Post,
            Method::Delete => elasticsearch::http::Method::Delete,
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let response = self
            .0
            .send(method, path, headers, None::<&()>, body, None)
            .await?;
        let status = response.status_code().as_u16();
        Ok(Response::new(status, response.bytes().await?))
    }
}

/// The dotted name of every leaf of a document.
fn fields(prefix: &str, document: &Value, out: &mut Vec<String>) {
    match document {
        Value::Object(entries) => {
            for (key, value) in entries {
                let dot = if prefix.is_empty() { "" } else { "." };
                fields(&format!("{prefix}{dot}{key}"), value, out);
            }
        }
        _ => out.push(prefix.to_owned()),
    }
}

/// The dotted name and the type of every field of a mapping.
fn types(prefix: &str, mapping: &Value, out: &mut Vec<(String, String)>) {
    if let Some(kind) = mapping.get("type").and_then(Value::as_str) {
        out.push((prefix.to_owned(), kind.to_owned()));
    }
    for (key, field) in mapping
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let dot = if prefix.is_empty() { "" } else { "." };
        types(&format!("{prefix}{dot}{key}"), field, out);
    }
}

fn types_of(mapping: &Value) -> Vec<(String, String)> {
    let mut out = Vec::new();
    types("", mapping, &mut out);
    assert!(!out.is_empty());
    out.sort();
    out
}

/// A request with every field of the mappings.
fn full_document() -> Value {
    json!({
        "@timestamp": "2026-11-23T09:30:00.123Z",
        "agent": { "id": "a1", "name": "web-07", "type": "logweir", "version": "0.1.0" },
        "container": { "name": "nginx" },
        "destination": { "address": "192.0.2.1", "domain": "shop.example", "ip": "192.0.2.1", "port": 443 },
        "ecs": { "version": "8.11.0" },
        "error": { "message": "expected a number for $status" },
        "event": {
            "category": ["web"], "created": "2026-11-23T09:30:01Z", "dataset": "nginx.access",
            "duration": 12_000_000, "ingested": "2026-11-23T09:30:02Z", "kind": "event",
            "module": "nginx", "original": "…", "outcome": "success",
            "start": "2026-11-23T09:30:00.111Z", "timezone": "+00:00", "type": ["access"],
        },
        "host": { "hostname": "web-07", "name": "web-07" },
        "http": {
            "request": { "bytes": 480, "id": "5f1c", "method": "GET", "referrer": "https://shop.example/" },
            "response": { "body": { "bytes": 512 }, "bytes": 733, "status_code": 200 },
            "route": "/users/{id}/orders", "version": "1.1",
        },
        "input": { "type": "log" },
        "kubernetes": {
            "container": { "name": "nginx" }, "namespace": "shop", "pod": { "name": "web-7d", "uid": "0f1e" },
        },
        "log": { "file": { "path": "/var/log/nginx/access.log" }, "offset": 4_294_967_296_u64 },
        "logweir": { "route_rule": 2 },
        "nginx": { "access": {
            "remote_ip_list": ["203.0.113.9", "unknown"], "response_time": 12,
            "upstream": {
                "addr": ["10.0.0.1:8080", "10.0.0.2:8080"], "bytes_received": [1, 2], "bytes_sent": [3, 4],
                "cache_status": "MISS", "connect_time_ms": [0, 1], "header_time_ms": [null, 9],
                "queue_time_ms": 0, "response_length": [0, 512], "response_time_ms": [0, 10], "status": [502, 200],
            },
        } },
        "orchestrator": {
            "namespace": "shop", "resource": { "name": "web-7d", "type": "pod" }, "type": "kubernetes",
        },
        "related": { "ip": ["203.0.113.9", "2001:db8::1"], "user": "ada" },
        "service": { "type": "nginx" },
        "source": {
            "address": "203.0.113.9", "as": { "number": 64500, "organization": { "name": "Example" } },
            "geo": {
                "city_name": "Ghent", "continent_name": "Europe", "country_iso_code": "BE",
                "country_name": "Belgium", "location": [3.72, 51.05],
                "region_iso_code": "BE-VOV", "region_name": "East Flanders",
            },
            "ip": "203.0.113.9", "port": 51234,
        },
        "tags": ["unparsed"],
        "tls": { "cipher": "TLS_AES_128_GCM_SHA256", "version": "1.3", "version_protocol": "tls" },
        "url": {
            "domain": "shop.example", "extension": "html", "fragment": "top",
            "original": "/users/7/orders?x=1", "path": "/users/7/orders", "query": "x=1", "scheme": "https",
        },
        "user": { "id": "4711", "name": "ada" },
        "user_agent": {
            "device": { "name": "Other" }, "name": "curl", "original": "curl/8.5.0",
            "os": { "full": "Linux 6", "name": "Linux", "version": "6" }, "version": "8.5.0",
        },
    })
}

#[tokio::test]
async fn the_templates_are_accepted_and_a_second_run_changes_nothing() {
    for (family, address) in servers().clusters() {
        let cluster = Cluster::at(address);
        assert_eq!(detect(&cluster).await.unwrap().family.to_string(), family);
        let index = format!("{}-%Y.%m.%d", unique("twice"));
        let outcomes = |report: SetupReport| {
            assert_eq!(report.conflicts, [], "{family}");
            report
                .changes
                .into_iter()
                .map(|change| change.outcome)
                .collect::<Vec<_>>()
        };
        let report = put(&cluster, &pattern_of(&index), false).await.unwrap();
        let made = outcomes(report);
        assert!(made.len() >= 3, "{family}: {made:?}");
        assert!(
            made.iter().all(|made| *made == ChangeOutcome::Created),
            "{family}: {made:?}"
        );
        let report = put(&cluster, &pattern_of(&index), false).await.unwrap();
        let still = outcomes(report);
        let nothing =
            |made: &ChangeOutcome| matches!(made, ChangeOutcome::Unchanged | ChangeOutcome::Kept);
        assert!(still.iter().all(nothing), "{family}: {still:?}");
    }
}

#[tokio::test]
async fn a_full_document_ends_with_the_expected_types() {
    for (family, address) in servers().clusters() {
        let cluster = Cluster::at(address);
        let name = unique("types");
        let setting = format!("{name}-%Y.%m.%d");
        let server = put(&cluster, &pattern_of(&setting), false)
            .await
            .unwrap()
            .server;
        let document = full_document();

        let target = pattern_of(&setting);
        let steps = plan(&server, &want(&target), false);
        let shipped = step(&steps, ObjectKind::ComponentTemplate, "@mappings").body;
        let shipped = types_of(&shipped["template"]["mappings"]);
        let mut sent = Vec::new();
        fields("", &document, &mut sent);
        sent.sort();
        let mapped: Vec<&String> = shipped.iter().map(|(name, _)| name).collect();
        assert_eq!(
            sent.iter().collect::<Vec<_>>(),
            mapped,
            "the sample has every field of the mappings"
        );

        for index in [format!("{name}-2026.11.23"), format!("{name}-unparsed")] {
            let path = format!("/{index}/_create/1?refresh=true");
            cluster
                .ask(Method::Put, &path, Some(document.clone()))
                .await;
            let mapping = cluster
                .ask(Method::Get, &format!("/{index}/_mapping"), None)
                .await;
            let given = types_of(&mapping[index.as_str()]["mappings"]);
            assert_eq!(given, shipped, "{family}: {index}");
            let search = format!("/{index}/_search");
            let query = json!({"query": {"exists": {"field": "_ignored"}}});
            let ignored = cluster.ask(Method::Post, &search, Some(query)).await;
            assert_eq!(ignored["hits"]["hits"], json!([]), "{family}: {index}");
        }
    }
}

#[tokio::test]
async fn the_routes_of_the_last_minute_can_be_counted() {
    for (family, address) in servers().clusters() {
        let cluster = Cluster::at(address);
        let name = unique("routes");
        put(&cluster, &pattern_of(&format!("{name}-%Y.%m.%d")), false)
            .await
            .unwrap();
        for (id, second, route) in [(1, 1, "/a"), (2, 2, "/a"), (3, 2, "/b"), (4, 7, "/a")] {
            let path = format!("/{name}-2026.11.23/_create/{id}?refresh=true");
            let document = json!({
                "@timestamp": format!("2026-11-23T09:30:0{second}Z"), "http": {"route": route},
            });
            cluster.ask(Method::Put, &path, Some(document)).await;
        }
        let query = json!({"size": 0, "aggs": {"when": {
            "date_histogram": {"field": "@timestamp", "fixed_interval": "5s"},
            "aggs": {"route": {"terms": {"field": "http.route"}}},
        }}});
        let found = cluster
            .ask(Method::Post, &format!("/{name}-*/_search"), Some(query))
            .await;
        let counts: Vec<Value> = found["aggregations"]["when"]["buckets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|when| {
                let routes = when["route"]["buckets"].as_array().unwrap().iter();
                routes
                    .map(|route| json!([route["key"], route["doc_count"]]))
                    .collect()
            })
            .collect();
        assert_eq!(
            counts,
            [json!([["/a", 2], ["/b", 1]]), json!([["/a", 1]])],
            "{family}"
        );
    }
}

#[tokio::test]
async fn no_length_and_no_invalid_text_makes_a_cluster_refuse_a_document() {
    for (family, address) in servers().clusters() {
        let cluster = Cluster::at(address);
        let name = unique("long");
        put(&cluster, &pattern_of(&format!("{name}-%Y.%m.%d")), false)
            .await
            .unwrap();
        // The widest that one character of `ignore_above` (a UTF-16 unit) can be in UTF-8: a term of more than 32766
        // bytes would have the whole document refused.
        let wide = "\u{20AC}";
        let cases = [
            (json!({"event": {"original": "x".repeat(1 << 20)}}), None),
            (json!({"url": {"original": wide.repeat(8191)}}), None),
            (
                json!({"url": {"original": wide.repeat(8192)}}),
                Some("url.original"),
            ),
            (json!({"url": {"path": wide.repeat(1024)}}), None),
            (
                json!({"url": {"path": wide.repeat(262_144)}}),
                Some("url.path"),
            ),
            (
                json!({"unforeseen": {"text": wide.repeat(262_144)}}),
                Some("unforeseen.text"),
            ),
            (
                json!({"user_agent": {"original": "a".repeat(1 << 20)}}),
                Some("user_agent.original"),
            ),
            (json!({"source": {"ip": "unix:"}}), Some("source.ip")),
            (
                json!({"http": {"response": {"status_code": "abc"}}}),
                Some("http.response.status_code"),
            ),
        ];
        for (id, (mut document, ignored)) in cases.into_iter().enumerate() {
            document["@timestamp"] = json!("2026-11-23T09:30:00Z");
            let index = format!("/{name}-2026.11.23");
            let path = format!("{index}/_create/{id}?refresh=true");
            cluster
                .ask(Method::Put, &path, Some(document.clone()))
                .await;
            let query = json!({"query": {"ids": {"values": [id.to_string()]}}});
            let found = cluster
                .ask(Method::Post, &format!("{index}/_search"), Some(query))
                .await;
            let hit = &found["hits"]["hits"][0];
            assert!(
                hit["_source"] == document,
                "{family}: {id}: the source is kept whole"
            );
            let names: Vec<&str> = hit["_ignored"]
                .as_array()
                .map(|names| names.iter().map(|name| name.as_str().unwrap()).collect())
                .unwrap_or_default();
            // OpenSearch names in `_ignored` what is malformed, and passes over in silence what is too long.
            let malformed =
                ignored.is_some_and(|name| name.ends_with("ip") || name.ends_with("code"));
            let ignored = ignored.filter(|_| family == "Elasticsearch" || malformed);
            assert_eq!(names, Vec::from_iter(ignored), "{family}: {id}");
        }
    }
}

#[tokio::test]
async fn a_foreign_template_is_not_changed() {
    for (family, address) in servers().clusters() {
        let cluster = Cluster::at(address);
        let name = unique("foreign");
        let theirs = json!({"index_patterns": [format!("{name}-*")], "priority": 7});
        let path = format!("/_index_template/{name}");
        cluster.ask(Method::Put, &path, Some(theirs)).await;
        let index = format!("{name}-%Y");
        let error = put(&cluster, &pattern_of(&index), false)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("--force"), "{family}: {error}");
        let left = cluster.ask(Method::Get, &path, None).await;
        assert_eq!(
            left["index_templates"][0]["index_template"]["priority"],
            json!(7),
            "{family}"
        );

        let report = put(&cluster, &pattern_of(&index), true).await.unwrap();
        let last = report.changes.last().unwrap();
        assert_eq!(last.outcome, ChangeOutcome::Overwritten, "{family}");
    }
}

#[tokio::test]
async fn a_template_of_higher_priority_is_reported() {
    for (family, address) in servers().clusters() {
        let cluster = Cluster::at(address);
        let name = unique("shadow");
        let stronger = json!({"index_patterns": [format!("{name}*")], "priority": 500});
        cluster
            .ask(
                Method::Put,
                &format!("/_index_template/{name}-stronger"),
                Some(stronger),
            )
            .await;
        let report = put(&cluster, &pattern_of(&format!("{name}-%Y")), false)
            .await
            .unwrap();
        let conflict = &report.conflicts[0];
        assert_eq!(
            (conflict.template.as_str(), conflict.priority),
            (&*format!("{name}-stronger"), 500),
            "{family}"
        );
    }
}

#[tokio::test]
async fn opensearch_would_refuse_the_files_of_elasticsearch() {
    let Some(address) = servers().opensearch else {
        return;
    };
    let cluster = Cluster::at(&address);
    let name = unique("family");
    let target = pattern_of(&format!("{name}-%Y"));
    let elasticsearch = logweir::setup::ServerInfo {
        family: Family::Elasticsearch,
        version: "9.0.0".to_owned(),
    };
    for step in plan(&elasticsearch, &want(&target), false) {
        let body = Bytes::from(step.body.to_string());
        let answer = cluster
            .request(Method::Put, &step.path, &[], Some(body))
            .await
            .unwrap();
        let taken = step.path.starts_with("/_component_template");
        assert_eq!(answer.status == 200, taken, "{}", step.path);
    }
}

/// The servers of the tests have no ILM and no ISM. That is detected, and templates that name a policy, which they would
/// refuse, are not put.
#[tokio::test]
async fn a_cluster_without_a_life_cycle_is_detected() {
    for (family, address) in servers().clusters() {
        let cluster = Cluster::at(address);
        let target = pattern_of(&format!("{}-%Y.%m.%d", unique("cycle")));
        let survey = survey(&cluster, &want(&target)).await.unwrap();
        assert_eq!(survey.lifecycle, Lifecycle::Absent, "{family}");
        assert!(
            survey.to_string().contains("logweir prune"),
            "{family}: {survey}"
        );
        let missing = |found: &ObjectState| *found == ObjectState::Missing;
        assert!(
            survey.objects.iter().all(|object| missing(&object.found)),
            "{family}"
        );
    }
}

#[tokio::test]
async fn the_operators_component_template_takes_precedence_and_is_never_changed() {
    for (family, address) in servers().clusters() {
        let cluster = Cluster::at(address);
        let name = unique("custom");
        let target = pattern_of(&format!("{name}-%Y"));
        put(&cluster, &target, false).await.unwrap();
        let path = format!("/_component_template/{name}@custom");
        let theirs = json!({"template": {"settings": {"index": {"refresh_interval": "17s"}}}});
        cluster.ask(Method::Put, &path, Some(theirs)).await;
        put(&cluster, &target, true).await.unwrap();
        let index = format!("/{name}-2026");
        cluster.ask(Method::Put, &index, None).await;
        let settings = cluster
            .ask(Method::Get, &format!("{index}/_settings"), None)
            .await;
        let interval = &settings[&index[1..]]["settings"]["index"]["refresh_interval"];
        assert_eq!(*interval, json!("17s"), "{family}");
    }
}

#[tokio::test]
async fn logsdb_accepts_every_field_and_still_detects_a_duplicate_by_its_id() {
    let servers = servers();
    for (family, address) in servers.clusters() {
        let cluster = Cluster::at(address);
        let server = detect(&cluster).await.unwrap();
        let name = unique("logsdb");
        let target = pattern_of(&format!("{name}-%Y"));
        let want = Want {
            index_mode: Some(IndexMode::Logsdb),
            ..want(&target)
        };
        let done = run(&cluster, &want, false).await;
        if server.family == Family::OpenSearch || !server.is_at_least(8, 17) {
            assert!(matches!(done, Err(SetupError::NoLogsdb { .. })), "{family}");
            continue;
        }
        done.unwrap();
        let path = format!("/{name}-2026/_create/1?refresh=true");
        cluster.ask(Method::Put, &path, Some(full_document())).await;
        let again = Bytes::from(full_document().to_string());
        let again = cluster
            .request(Method::Put, &path, &[], Some(again))
            .await
            .unwrap();
        assert_eq!(again.status, 409, "{family}");
        let settings = cluster
            .ask(
                Method::Get,
                &format!("/{name}-2026/_settings?flat_settings=true"),
                None,
            )
            .await;
        let settings = &settings[format!("{name}-2026")]["settings"];
        assert_eq!(settings["index.mode"], json!("logsdb"), "{family}");
        let hit = cluster
            .ask(Method::Get, &format!("/{name}-2026/_doc/1"), None)
            .await;
        let source = &hit["_source"];
        // two lists that belong together, value by value
        for list in [
            "/nginx/access/upstream/status",
            "/nginx/access/upstream/addr",
        ] {
            assert_eq!(
                source.pointer(list),
                full_document().pointer(list),
                "{family}"
            );
        }
        // the source may be rebuilt from the fields, with times and positions in another form
        let (mut sent, mut kept) = (Vec::new(), Vec::new());
        fields("", &full_document(), &mut sent);
        fields("", source, &mut kept);
        for names in [&mut sent, &mut kept] {
            names.retain(|name| !name.starts_with("source.geo.location"));
            names.sort();
        }
        assert_eq!(kept, sent, "{family}");
    }
}
