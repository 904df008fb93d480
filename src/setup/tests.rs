//! Setup against a cluster made of a map; the shipped files themselves, read as the golden source of names and types.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::json;

use super::*;

/// A cluster that keeps what is put and gives it back, and may have a fixed answer to some requests.
#[derive(Default)]
struct Cluster {
    held: Mutex<BTreeMap<String, Value>>,
    fixed: BTreeMap<&'static str, (u16, &'static str)>,
    log: Mutex<Vec<String>>,
}

const ELASTICSEARCH: (u16, &str) = (
    200,
    r#"{"version":{"number":"8.19.21"},"tagline":"You Know, for Search"}"#,
);

impl Cluster {
    fn new(fixed: impl IntoIterator<Item = (&'static str, (u16, &'static str))>) -> Self {
        let mut cluster = Self::default();
        cluster.fixed.insert("GET /", ELASTICSEARCH);
        cluster.fixed.extend(fixed);
        cluster
    }

    fn writes(&self) -> Vec<String> {
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        log.into_iter()
            .filter(|request| request.starts_with("PUT"))
            .collect()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("connection refused")]
struct Refused;

impl Client for Cluster {
    type Error = Refused;

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, Refused> {
        let request = answer::name(method, path);
        self.log.lock().unwrap().push(request.clone());
        let answer = |status, body: String| {
            Ok(Answer {
                status,
                body: body.into(),
            })
        };
        if let Some((status, body)) = self.fixed.get(request.as_str()) {
            return if *status == 0 {
                Err(Refused)
            } else {
                answer(*status, (*body).to_owned())
            };
        }
        let mut held = self.held.lock().unwrap();
        match (method, held.get(path)) {
            (Method::Put, _) => {
                held.insert(
                    path.to_owned(),
                    serde_json::from_slice(&body.unwrap()).unwrap(),
                );
                answer(200, r#"{"acknowledged":true}"#.to_owned())
            }
            (Method::Post, _) => answer(200, r#"{"overlapping":[]}"#.to_owned()),
            (Method::Get, None) => answer(404, r#"{"error":"not found"}"#.to_owned()),
            (Method::Get, Some(content)) => {
                let kind = path.trim_start_matches("/_").split('/').next().unwrap();
                let entry = json!({"name": "any", kind: content});
                answer(200, json!({format!("{kind}s"): [entry]}).to_string())
            }
        }
    }
}

fn outcomes(report: &Report) -> Vec<Outcome> {
    report.changes.iter().map(|change| change.outcome).collect()
}

fn setting(index: &str) -> config::Target {
    config::IndexPattern::parse(index).unwrap().into()
}

fn stream(name: &str) -> config::Target {
    config::DataStream::parse(name).unwrap().into()
}

const INDEX: &str = "nginx-access-%Y.%m.%d";

#[tokio::test]
async fn a_second_run_changes_nothing_and_an_edit_is_put_right() {
    let cluster = Cluster::new([]);
    assert_eq!(
        outcomes(&run(&cluster, &setting(INDEX), false).await.unwrap()),
        [Outcome::Created; 3]
    );
    assert_eq!(
        cluster.writes(),
        [
            "PUT /_component_template/nginx-access@mappings",
            "PUT /_component_template/nginx-access@settings",
            "PUT /_index_template/nginx-access",
        ]
    );
    assert_eq!(
        outcomes(&run(&cluster, &setting(INDEX), false).await.unwrap()),
        [Outcome::Unchanged; 3]
    );
    assert!(cluster.writes().is_empty());

    let path = "/_component_template/nginx-access@settings";
    *cluster
        .held
        .lock()
        .unwrap()
        .get_mut(path)
        .unwrap()
        .pointer_mut("/template")
        .unwrap() = json!({"settings": {}});
    let report = run(&cluster, &setting(INDEX), false).await.unwrap();
    assert_eq!(
        outcomes(&report),
        [Outcome::Unchanged, Outcome::Updated, Outcome::Unchanged]
    );
    assert_eq!(cluster.writes(), [format!("PUT {path}")]);
}

#[tokio::test]
async fn a_data_stream_gets_a_template_that_makes_one_and_a_second_run_changes_nothing() {
    let cluster = Cluster::new([]);
    let place = stream("logs-nginx.access-default");
    let report = run(&cluster, &place, false).await.unwrap();
    assert_eq!(outcomes(&report), [Outcome::Created; 3]);
    assert_eq!(
        cluster.writes(),
        [
            "PUT /_component_template/logs-nginx.access@mappings",
            "PUT /_component_template/logs-nginx.access@settings",
            "PUT /_index_template/logs-nginx.access",
        ]
    );
    insta::assert_snapshot!(report);
    // as the families fill it in
    for filled in [
        json!({"hidden": false, "allow_custom_routing": false}),
        json!({"timestamp_field": {"name": "@timestamp"}}),
    ] {
        let path = "/_index_template/logs-nginx.access";
        cluster.held.lock().unwrap().get_mut(path).unwrap()["data_stream"] = filled;
        assert_eq!(
            outcomes(&run(&cluster, &place, false).await.unwrap()),
            [Outcome::Unchanged; 3]
        );
    }
    assert!(cluster.writes().is_empty());
}

#[tokio::test]
async fn a_template_without_a_data_stream_is_not_the_wanted_one() {
    let cluster = Cluster::new([]);
    let place = stream("logs-nginx.access-default");
    run(&cluster, &place, false).await.unwrap();
    let path = "/_index_template/logs-nginx.access";
    let mut held = std::mem::take(&mut *cluster.held.lock().unwrap());
    held.get_mut(path)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove("data_stream");
    *cluster.held.lock().unwrap() = held;
    let report = run(&cluster, &place, false).await.unwrap();
    assert_eq!(report.changes[2].outcome, Outcome::Updated);
}

#[tokio::test]
async fn dates_that_the_server_adds_are_no_difference() {
    let cluster = Cluster::new([]);
    run(&cluster, &setting(INDEX), false).await.unwrap();
    for content in cluster.held.lock().unwrap().values_mut() {
        content["created_date_millis"] = json!(1);
        content["modified_date_millis"] = json!(1);
    }
    assert_eq!(
        outcomes(&run(&cluster, &setting(INDEX), false).await.unwrap()),
        [Outcome::Unchanged; 3]
    );
}

#[tokio::test]
async fn what_is_not_ours_stays_as_it_is_and_nothing_else_is_put() {
    let cluster = Cluster::new([]);
    let path = "/_index_template/nginx-access";
    let theirs = json!({"index_patterns": ["nginx-access-*"], "_meta": {"managed_by": "them"}});
    cluster.held.lock().unwrap().insert(path.to_owned(), theirs);
    let error = run(&cluster, &setting(INDEX), false).await.unwrap_err();
    assert!(cluster.writes().is_empty());
    insta::assert_snapshot!(error);

    let report = run(&cluster, &setting(INDEX), true).await.unwrap();
    assert_eq!(
        outcomes(&report),
        [Outcome::Created, Outcome::Created, Outcome::Overwritten]
    );
    insta::assert_snapshot!(report);
}

#[tokio::test]
async fn a_stronger_template_is_warned_of() {
    let cluster = Cluster::new([(
        "POST /_index_template/_simulate_index/nginx-access-unparsed",
        (
            200,
            r#"{"template":{},"overlapping":[{"name":"nginx-access"}]}"#,
        ),
    )]);
    let report = run(&cluster, &setting(INDEX), false).await.unwrap();
    assert!(report.shadowed);
    insta::assert_snapshot!(report);
}

#[tokio::test]
async fn refusals_name_the_request_the_reason_and_what_to_do() {
    const NESTED: &str = r#"{"error":{"type":"illegal_argument_exception","reason":"outer",
        "caused_by":{"type":"mapper_parsing_exception","reason":"No handler for type [nope]"}}}"#;
    const PRIORITY: &str = r#"{"error":{"type":"illegal_argument_exception","reason":
        "index template [nginx-access] has patterns that have the same priority [200]"}}"#;
    const PUT: &str = "PUT /_index_template/nginx-access";
    let mut messages = String::new();
    for (request, answer) in [
        (PUT, (400, NESTED)),
        (PUT, (400, PRIORITY)),
        (
            PUT,
            (
                403,
                r#"{"error":{"type":"security_exception","reason":"action is unauthorized"}}"#,
            ),
        ),
        (PUT, (503, "")),
        ("GET /", (401, "Unauthorized")),
        ("GET /", (0, "")),
        (
            "GET /_index_template/nginx-access",
            (200, "<html>\u{1b}[31mhello</html>"),
        ),
        ("GET /_index_template/nginx-access", (200, "{}")),
    ] {
        let error = run(&Cluster::new([(request, answer)]), &setting(INDEX), false)
            .await
            .unwrap_err();
        messages.push_str(&format!("{error}\n"));
    }
    insta::assert_snapshot!(messages);
}

#[tokio::test]
async fn the_family_is_what_the_cluster_says_of_itself() {
    const NODES: &str = "GET /_nodes?filter_path=nodes.*.version";
    let refused = (
        405,
        r#"{"error":"Incorrect HTTP method for uri [/]","status":405}"#,
    );
    for (root, nodes, family) in [
        (ELASTICSEARCH, (500, ""), Some(Family::Elasticsearch)),
        (
            (
                200,
                r#"{"version":{"distribution":"opensearch","number":"2.19.6"}}"#,
            ),
            (500, ""),
            Some(Family::OpenSearch),
        ),
        (
            (
                200,
                r#"{"version":{"number":"7.10.2"},"tagline":"The OpenSearch Project: …"}"#,
            ),
            (500, ""),
            Some(Family::OpenSearch),
        ),
        (
            refused,
            (200, r#"{"nodes":{"a":{"version":"8.19.21"}}}"#),
            Some(Family::Elasticsearch),
        ),
        (
            refused,
            (200, r#"{"nodes":{"a":{"version":"3.1.0"}}}"#),
            Some(Family::OpenSearch),
        ),
        (refused, (200, r#"{"nodes":{}}"#), None),
        (refused, (403, ""), None),
    ] {
        let cluster = Cluster::new([("GET /", root), (NODES, nodes)]);
        let found = detect(&cluster).await.ok().map(|target| target.family);
        assert_eq!(found, family, "{root:?} {nodes:?}");
    }
}

#[test]
fn names_follow_the_index_setting() {
    for (index, template, pattern, example) in [
        (
            "nginx-access-%Y.%m.%d",
            "nginx-access",
            "nginx-access-*",
            "nginx-access-unparsed",
        ),
        ("web_%Y", "web", "web_*", "web_unparsed"),
        ("web%Y", "web", "web*", "web-unparsed"),
    ] {
        let names = Names::of(&setting(index));
        assert_eq!(
            [names.template, names.pattern, names.example],
            [template, pattern, example]
        );
    }
}

#[test]
fn a_data_stream_has_the_components_of_an_index_and_fields_for_its_name() {
    for family in [Family::Elasticsearch, Family::OpenSearch] {
        let daily = plan(family, &Names::of(&setting("logs-%Y")));
        let steps = plan(family, &Names::of(&stream("logs-nginx.shop-eu")));
        assert_eq!(steps[0].body, daily[0].body, "{family}");
        let template = &steps[2].body;
        assert_eq!(template["index_patterns"], json!(["logs-nginx.shop-*"]));
        assert_eq!(template["data_stream"], json!({}));
        assert_eq!(template["priority"], json!(200));
        assert_eq!(
            template["composed_of"][0],
            json!("logs-nginx.shop@mappings")
        );
        assert!(plan::is_ours(template));
        let fields = &template["template"]["mappings"]["properties"]["data_stream"]["properties"];
        for name in ["type", "dataset", "namespace"] {
            assert_eq!(fields[name]["type"], json!("keyword"), "{family}: {name}");
        }
        let text = template.to_string();
        assert!(!text.contains("nginx-access"), "{family}: {text}");
        assert!(!text.contains("nginx.access"), "{family}: {text}");
    }
}

#[test]
fn no_shipped_name_is_left_when_the_index_is_named_otherwise() {
    for family in [Family::Elasticsearch, Family::OpenSearch] {
        let steps = plan(family, &Names::of(&setting("web-%Y")));
        let paths: Vec<_> = steps.iter().map(|step| step.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/_component_template/web@mappings",
                "/_component_template/web@settings",
                "/_index_template/web"
            ]
        );
        for step in &steps {
            let text = step.body.to_string();
            assert!(!text.contains("nginx-access"), "{family}: {text}");
        }
        assert_eq!(steps[2].body["index_patterns"], json!(["web-*"]));
        assert_eq!(steps[2].body["composed_of"][0], json!("web@mappings"));
    }
}

/// Every leaf of a mapping: its dotted name and its type, multi-fields included.
fn leaves(prefix: &str, properties: &Value, out: &mut BTreeMap<String, String>) {
    for (key, field) in properties.as_object().unwrap() {
        let name = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        if let Some(kind) = field.get("type") {
            out.insert(name.clone(), kind.as_str().unwrap().to_owned());
        }
        for inner in ["properties", "fields"] {
            if let Some(inner) = field.get(inner) {
                leaves(&name, inner, out);
            }
        }
    }
}

fn shipped_types(family: Family) -> BTreeMap<String, String> {
    let steps = plan(family, &Names::of(&setting(INDEX)));
    let mut types = BTreeMap::new();
    leaves(
        "",
        &steps[0].body["template"]["mappings"]["properties"],
        &mut types,
    );
    types
}

#[test]
fn both_families_give_each_field_the_same_portable_type() {
    let types = shipped_types(Family::Elasticsearch);
    assert_eq!(types, shipped_types(Family::OpenSearch));
    let used: BTreeSet<&str> = types.values().map(String::as_str).collect();
    assert_eq!(
        used,
        BTreeSet::from(["date", "geo_point", "ip", "keyword", "long", "text"])
    );
    let list: String = types
        .iter()
        .map(|(name, kind)| format!("{name}: {kind}\n"))
        .collect();
    insta::assert_snapshot!(list);
}

#[test]
fn shipped_files_stand_for_themselves() {
    for family in [Family::Elasticsearch, Family::OpenSearch] {
        for step in plan(family, &Names::of(&setting(INDEX))) {
            let meta = &step.body["_meta"];
            assert_eq!(meta["managed_by"], json!("logweir"));
            assert_eq!(
                meta["version"],
                json!(env!("CARGO_PKG_VERSION")),
                "{family} {}",
                step.name
            );
            assert!(plan::is_ours(&step.body));
        }
        let index = &plan(family, &Names::of(&setting(INDEX)))[2].body;
        assert_eq!(index["index_patterns"], json!(["nginx-access-*"]));
        assert_eq!(index["priority"], json!(200));
    }
    // Known to OpenSearch under no version: it would refuse the template.
    let open = &plan(Family::OpenSearch, &Names::of(&setting(INDEX)))[2].body;
    assert_eq!(open.get("ignore_missing_component_templates"), None);
}
