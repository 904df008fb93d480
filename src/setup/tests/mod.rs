//! Tests of setup against a cluster in memory, and of the shipped files, which are the reference for names and types.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lifecycle;
mod managed_indices;
mod prune;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::fake::{self, Fake};
use super::template_conflict::TemplateConflict;
use super::*;
use crate::config;

const DAY: Duration = Duration::from_secs(86_400);

fn outcomes(report: &SetupReport) -> Vec<ChangeOutcome> {
    report.changes.iter().map(|change| change.outcome).collect()
}

fn setting(index: &str) -> config::IndexTarget {
    config::IndexPattern::parse(index).unwrap().into()
}

fn stream(name: &str) -> config::IndexTarget {
    config::DataStream::parse(name).unwrap().into()
}

/// All parts, without a life cycle.
fn want(target: &config::IndexTarget) -> Want<'_> {
    Want {
        target,
        retention: None,
        index_mode: None,
        parts: Parts::ALL,
    }
}

fn server(family: Family) -> ServerInfo {
    let version = match family {
        Family::Elasticsearch => "8.19.21",
        Family::OpenSearch => "2.19.6",
    };
    ServerInfo {
        family,
        version: version.to_owned(),
    }
}

/// The steps of a plan by their names.
fn steps(family: Family, target: &config::IndexTarget) -> BTreeMap<String, PlannedObject> {
    plan(&server(family), &want(target), false)
        .into_iter()
        .map(|step| (step.name.clone(), step))
        .collect()
}

async fn put(cluster: &Fake, target: &config::IndexTarget) -> SetupReport {
    run(cluster, &want(target), false).await.unwrap()
}

const INDEX: &str = "nginx-access-%Y.%m.%d";

#[tokio::test]
async fn a_second_run_changes_nothing_and_an_edit_is_reverted() {
    let cluster = Fake::elasticsearch();
    let target = setting(INDEX);
    assert_eq!(
        outcomes(&put(&cluster, &target).await),
        [ChangeOutcome::Created; 4]
    );
    assert_eq!(
        cluster.writes(),
        [
            "PUT /_component_template/nginx-access@mappings",
            "PUT /_component_template/nginx-access@settings",
            "PUT /_index_template/nginx-access-unparsed",
            "PUT /_index_template/nginx-access",
        ]
    );
    assert_eq!(
        outcomes(&put(&cluster, &target).await),
        [ChangeOutcome::Unchanged; 4]
    );
    assert!(cluster.writes().is_empty());

    let path = "/_component_template/nginx-access@settings";
    cluster.edit(path, "/template", json!({"settings": {}}));
    assert_eq!(
        outcomes(&put(&cluster, &target).await),
        [
            ChangeOutcome::Unchanged,
            ChangeOutcome::Updated,
            ChangeOutcome::Unchanged,
            ChangeOutcome::Unchanged
        ]
    );
    assert_eq!(cluster.writes(), [format!("PUT {path}")]);
}

#[tokio::test]
async fn a_component_that_the_server_requires_is_created_once_and_belongs_to_the_operator() {
    const CUSTOM: &str = "/_component_template/nginx-access@custom";
    for (family, version) in [
        (Family::Elasticsearch, "7.17.29"),
        (Family::Elasticsearch, "8.6.2"),
        (Family::OpenSearch, "2.19.6"),
        (Family::OpenSearch, "3.8.0"),
    ] {
        let cluster = fake::of(family, version);
        let report = put(&cluster, &setting(INDEX)).await;
        assert!(
            outcomes(&report)
                .iter()
                .all(|outcome| *outcome == ChangeOutcome::Created)
        );
        let theirs = json!({"template": {"settings": {"index": {"number_of_replicas": "0"}}}});
        cluster.edit(CUSTOM, "", theirs.clone());
        cluster.writes();
        let forced = run(&cluster, &want(&setting(INDEX)), true).await.unwrap();
        assert_eq!(forced.changes[2].outcome, ChangeOutcome::Kept, "{version}");
        assert!(cluster.writes().is_empty(), "{version}");
        assert_eq!(cluster.held(CUSTOM), Some(theirs));
        let settings = cluster.new_index("nginx-access-2026.11.23").unwrap();
        assert_eq!(
            settings["number_of_replicas"],
            json!("0"),
            "the last word is theirs"
        );
    }
    for version in ["8.7.0", "8.19.21", "9.5.3"] {
        let cluster = fake::of(Family::Elasticsearch, version);
        put(&cluster, &setting(INDEX)).await;
        assert_eq!(cluster.held(CUSTOM), None, "{version}");
    }
}

#[tokio::test]
async fn a_data_stream_gets_its_template_and_a_second_run_changes_nothing() {
    let cluster = Fake::elasticsearch();
    let target = stream("logs-nginx.access-default");
    let report = put(&cluster, &target).await;
    assert_eq!(outcomes(&report), [ChangeOutcome::Created; 3]);
    insta::assert_snapshot!(report);
    // the values that each family fills in
    for filled in [
        json!({"hidden": false, "allow_custom_routing": false}),
        json!({"timestamp_field": {"name": "@timestamp"}}),
    ] {
        cluster.edit("/_index_template/logs-nginx.access", "/data_stream", filled);
        assert_eq!(
            outcomes(&put(&cluster, &target).await),
            [ChangeOutcome::Unchanged; 3]
        );
    }
}

#[tokio::test]
async fn a_template_without_a_data_stream_differs() {
    let cluster = Fake::elasticsearch();
    let target = stream("logs-nginx.access-default");
    put(&cluster, &target).await;
    let path = "/_index_template/logs-nginx.access";
    let mut template = cluster.held(path).unwrap();
    template.as_object_mut().unwrap().remove("data_stream");
    cluster.edit(path, "", template);
    let report = put(&cluster, &target).await;
    assert_eq!(report.changes[2].outcome, ChangeOutcome::Updated);
}

#[tokio::test]
async fn dates_that_the_server_adds_are_no_difference() {
    let cluster = Fake::elasticsearch();
    put(&cluster, &setting(INDEX)).await;
    for content in cluster.held.lock().unwrap().values_mut() {
        content["created_date_millis"] = json!(1);
        content["modified_date_millis"] = json!(1);
    }
    assert_eq!(
        outcomes(&put(&cluster, &setting(INDEX)).await),
        [ChangeOutcome::Unchanged; 4]
    );
}

#[tokio::test]
async fn a_foreign_object_stays_unchanged_and_nothing_else_is_put() {
    let path = "/_index_template/nginx-access";
    let theirs = json!({"index_patterns": ["nginx-access-*"], "_meta": {"managed_by": "them"}});
    let cluster = Fake::elasticsearch().with(path, theirs);
    let target = setting(INDEX);
    let error = run(&cluster, &want(&target), false).await.unwrap_err();
    assert!(cluster.writes().is_empty());
    insta::assert_snapshot!(error);

    let report = run(&cluster, &want(&target), true).await.unwrap();
    assert_eq!(
        outcomes(&report),
        [
            ChangeOutcome::Created,
            ChangeOutcome::Created,
            ChangeOutcome::Created,
            ChangeOutcome::Overwritten
        ]
    );
    insta::assert_snapshot!(report);
}

#[tokio::test]
async fn a_conflict_with_elastics_integration_names_it() {
    let theirs = json!({
        "index_patterns": ["logs-nginx.access-*"], "data_stream": {}, "priority": 200,
        "composed_of": ["logs-nginx.access@package"],
        "_meta": {"package": {"name": "nginx"}, "managed_by": "fleet", "managed": true},
    });
    let cluster = Fake::elasticsearch().with("/_index_template/logs-nginx.access", theirs);
    let target = stream("logs-nginx.access-default");
    let error = run(&cluster, &want(&target), false).await.unwrap_err();
    insta::assert_snapshot!(error);
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_shows_what_a_run_would_do() {
    let target = setting(INDEX);
    let dry = async |cluster: &mut Fake| {
        cluster.read_only = true;
        let shown = survey(cluster, &want(&target)).await.unwrap().to_string();
        cluster.read_only = false;
        shown
    };
    let mut cluster = Fake::opensearch();
    let mut shown = dry(&mut cluster).await;
    put(&cluster, &target).await;
    cluster.edit(
        "/_component_template/nginx-access@settings",
        "/template/settings/index",
        json!({"number_of_shards": "3", "codec": "best_compression", "blocks": {"write": "true"}}),
    );
    cluster.edit(
        "/_index_template/nginx-access",
        "/_meta",
        json!({"managed_by": "\u{1b}[31mthem"}),
    );
    shown.push_str(&dry(&mut cluster).await);
    insta::assert_snapshot!(shown);
    assert!(!shown.contains('\u{1b}'));
}

#[tokio::test]
async fn only_the_requested_parts_are_put() {
    let target = setting(INDEX);
    for (templates, lifecycle, written) in [(true, false, 4 + 1), (false, true, 1)] {
        let cluster = Fake::elasticsearch();
        let want = Want {
            retention: Some(30 * DAY),
            parts: Parts {
                templates,
                lifecycle,
            },
            ..want(&target)
        };
        run(&cluster, &want, false).await.unwrap();
        let writes = cluster.writes();
        assert_eq!(writes.len(), written, "{writes:?}");
        let policies = writes.iter().filter(|write| write.contains("_ilm")).count();
        assert_eq!(policies, usize::from(lifecycle), "{writes:?}");
    }
}

#[tokio::test]
async fn setup_names_a_template_of_higher_priority() {
    let stronger = |pattern: &str, priority: u64| json!({"index_patterns": [pattern], "priority": priority, "composed_of": []});
    let cluster = Fake::elasticsearch()
        .with("/_index_template/everything", stronger("*", 500))
        .with("/_index_template/stronger", stronger("nginx-*", 900))
        .with("/_index_template/weaker", stronger("nginx-access-*", 199))
        .with("/_index_template/other", stronger("nginx-error-*", 1000));
    let report = put(&cluster, &setting(INDEX)).await;
    let conflict = |index: &str| TemplateConflict {
        index: index.to_owned(),
        template: "stronger".to_owned(),
        priority: 900,
    };
    let ours = ["nginx-access-unparsed", "nginx-access-2026.01.02"];
    assert_eq!(report.conflicts, ours.map(conflict));
    insta::assert_snapshot!(report);
    let beaten = Fake::elasticsearch()
        .with("/_index_template/weaker", stronger("nginx-access-*", 199))
        .with("/_index_template/other", stronger("nginx-error-*", 1000));
    assert_eq!(put(&beaten, &setting(INDEX)).await.conflicts, []);
}

#[tokio::test]
async fn logsdb_is_used_only_on_clusters_that_have_it() {
    const SETTINGS: &str = "/_component_template/nginx-access@settings";
    let target = setting(INDEX);
    let with = |mode| Want {
        index_mode: Some(mode),
        ..want(&target)
    };
    for (mode, word) in [
        (config::IndexMode::Logsdb, "logsdb"),
        (config::IndexMode::Standard, "standard"),
    ] {
        let cluster = fake::of(Family::Elasticsearch, "8.17.0");
        run(&cluster, &with(mode), false).await.unwrap();
        let settings = cluster.held(SETTINGS).unwrap();
        assert_eq!(
            settings["template"]["settings"]["index"]["mode"],
            json!(word)
        );
    }
    let mut shown = String::new();
    for (family, version) in [
        (Family::Elasticsearch, "8.16.6"),
        (Family::Elasticsearch, "7.17.29"),
        (Family::OpenSearch, "3.8.0"),
    ] {
        let mut cluster = fake::of(family, version);
        cluster.read_only = true;
        let logsdb = with(config::IndexMode::Logsdb);
        let error = run(&cluster, &logsdb, false).await.unwrap_err();
        shown.push_str(&format!("{error}\n"));
        cluster.read_only = false;
        // the cluster's default needs no setting
        let standard = with(config::IndexMode::Standard);
        run(&cluster, &standard, false).await.unwrap();
        let settings = cluster.held(SETTINGS).unwrap();
        assert_eq!(settings["template"]["settings"]["index"].get("mode"), None);
    }
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn refusals_name_the_request_the_reason_and_what_to_do() {
    const NESTED: &str = r#"{"error":{"type":"illegal_argument_exception","reason":"outer",
        "caused_by":{"type":"mapper_parsing_exception","reason":"No handler for type [nope]"}}}"#;
    const PRIORITY: &str = r#"{"error":{"type":"illegal_argument_exception","reason":
        "index template [nginx-access] has patterns that have the same priority [200]"}}"#;
    const CHANGED: &str = r#"{"error":{"type":"version_conflict_engine_exception","reason":"x"}}"#;
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
        (PUT, (409, CHANGED)),
        (PUT, (503, "")),
        ("GET /", (401, "Unauthorized")),
        ("GET /", (0, "")),
        (
            "GET /_index_template/nginx-access",
            (200, "<html>\u{1b}[31mhello</html>"),
        ),
        ("GET /_index_template/nginx-access", (200, "{}")),
    ] {
        let cluster = Fake::elasticsearch().answering(request, answer);
        let error = run(&cluster, &want(&setting(INDEX)), false)
            .await
            .unwrap_err();
        messages.push_str(&format!("{error}\n"));
    }
    insta::assert_snapshot!(messages);
}

#[tokio::test]
async fn the_family_is_taken_from_the_clusters_response() {
    const NODES: &str = "GET /_nodes?filter_path=nodes.*.version";
    let elasticsearch = (
        200,
        r#"{"version":{"number":"8.19.21"},"tagline":"You Know, for Search"}"#,
    );
    let refused = (
        405,
        r#"{"error":"Incorrect HTTP method for uri [/]","status":405}"#,
    );
    for (root, nodes, family) in [
        (elasticsearch, (500, ""), Some(Family::Elasticsearch)),
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
        let cluster = Fake::elasticsearch()
            .answering("GET /", root)
            .answering(NODES, nodes);
        let found = detect(&cluster).await.ok().map(|server| server.family);
        assert_eq!(found, family, "{root:?} {nodes:?}");
    }
}

#[test]
fn versions_are_compared_by_their_numbers() {
    for (version, is) in [
        ("8.17.0", true),
        ("8.19.21", true),
        ("9.0.0-SNAPSHOT", true),
        ("10.0.0", true),
        ("8.9.1", false),
        ("7.17.29", false),
    ] {
        let server = ServerInfo {
            family: Family::Elasticsearch,
            version: version.to_owned(),
        };
        assert_eq!(server.is_at_least(8, 17), is, "{version}");
    }
}

#[test]
fn what_is_printed_for_each_cluster() {
    let target = setting("web-%Y.%m.%d");
    let want = Want {
        retention: Some(30 * DAY),
        ..want(&target)
    };
    for (name, family, version) in [
        ("elasticsearch", Family::Elasticsearch, "9.0.0"),
        ("elasticsearch-7", Family::Elasticsearch, "7.17.0"),
        ("opensearch", Family::OpenSearch, "3.0.0"),
    ] {
        let version = version.to_owned();
        let printed = requests(&ServerInfo { family, version }, &want);
        // other tests check the mappings
        let short: Vec<&str> = printed
            .split("\n\n")
            .filter(|request| !request.contains("@mappings\n{"))
            .collect();
        assert_eq!(printed.matches("@mappings\n{").count(), 1);
        insta::assert_snapshot!(format!("printed_{name}"), short.join("\n\n"));
    }
    for (name, family) in [
        ("roles_elasticsearch", Family::Elasticsearch),
        ("roles_opensearch", Family::OpenSearch),
    ] {
        insta::assert_snapshot!(name, roles(family, &target, None));
    }
    let streams = roles(
        Family::Elasticsearch,
        &stream("logs-nginx.access-default"),
        None,
    );
    assert!(streams.contains("logs-nginx.access-*") && streams.contains("create_index"));
    assert!(!streams.contains("prune"));
}

/// The role of setup gets the privileges of an import; the other roles stay the same.
#[test]
fn with_kibana_the_roles_have_what_an_import_needs() {
    let target = config::IndexTarget::default_target().unwrap();
    let of = |family, space: Option<&str>| {
        let kibana = config::Kibana {
            url: url::Url::parse("https://kibana:5601").unwrap(),
            space: space.map(str::to_owned),
            auth: config::Auth::None,
            ca_file: None,
            ca_fingerprint: None,
            proxies: Default::default(),
        };
        let (with, without) = (
            roles(family, &target, Some(&kibana)),
            roles(family, &target, None),
        );
        let requests =
            |text: &str| -> Vec<String> { text.split("\n\n").map(str::to_owned).collect() };
        let without = requests(&without);
        let mut other = requests(&with);
        other.retain(|request| !without.contains(request));
        other.join("\n\n")
    };
    insta::assert_snapshot!("kibana_elasticsearch", of(Family::Elasticsearch, None));
    insta::assert_snapshot!("kibana_opensearch", of(Family::OpenSearch, None));
    let ops = of(Family::Elasticsearch, Some("ops"));
    assert!(ops.contains("\"space:ops\"") && !ops.contains("space:default"));
}

#[test]
fn names_are_derived_from_the_index_setting() {
    for (index, template, pattern, example, unparsed) in [
        (
            "nginx-access-%Y.%m.%d",
            "nginx-access",
            "nginx-access-*",
            "nginx-access-2026.01.02",
            "nginx-access-unparsed",
        ),
        ("web_%Y", "web", "web_*", "web_2026", "web_unparsed"),
        ("web%Y", "web", "web*", "web2026", "web-unparsed"),
    ] {
        let names = TargetNames::of(&setting(index));
        assert_eq!(
            [
                names.template,
                names.pattern,
                names.example,
                names.unparsed.unwrap()
            ],
            [template, pattern, example, unparsed]
        );
    }
}

#[test]
fn a_data_stream_has_the_components_of_an_index_and_fields_for_its_name() {
    for family in [Family::Elasticsearch, Family::OpenSearch] {
        let daily = steps(family, &setting("logs-%Y"));
        let stream = steps(family, &stream("logs-nginx.shop-eu"));
        assert_eq!(
            stream["logs-nginx.shop@mappings"].body, daily["logs@mappings"].body,
            "{family}"
        );
        let template = &stream["logs-nginx.shop"].body;
        assert_eq!(template["index_patterns"], json!(["logs-nginx.shop-*"]));
        assert_eq!(template["data_stream"], json!({}));
        assert_eq!(template["priority"], json!(200));
        assert_eq!(
            template["composed_of"][0],
            json!("logs-nginx.shop@mappings")
        );
        let fields = &template["template"]["mappings"]["properties"]["data_stream"]["properties"];
        for name in ["type", "dataset", "namespace"] {
            assert_eq!(fields[name]["type"], json!("keyword"), "{family}: {name}");
        }
        let text = template.to_string();
        assert!(!text.contains("nginx.access"), "{family}: {text}");
    }
}

#[test]
fn another_index_name_replaces_every_shipped_name() {
    let target = setting("web-%Y.%m.%d");
    let want = Want {
        retention: Some(DAY),
        ..want(&target)
    };
    for family in [Family::Elasticsearch, Family::OpenSearch] {
        let steps = plan(&server(family), &want, true);
        for step in &steps {
            assert!(step.name.starts_with("web"), "{family}: {}", step.name);
            let mut body = step.body.clone();
            // a file's description may contain the default name
            body.as_object_mut().unwrap().remove("_meta");
            let text = body.to_string();
            assert!(!text.contains("nginx-access"), "{family}: {text}");
        }
        let template = &steps.last().unwrap().body;
        assert_eq!(template["index_patterns"], json!(["web-*"]));
        assert_eq!(template["composed_of"][0], json!("web@mappings"));
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
    let steps = steps(family, &setting(INDEX));
    let mut types = BTreeMap::new();
    leaves(
        "",
        &steps["nginx-access@mappings"].body["template"]["mappings"]["properties"],
        &mut types,
    );
    types
}

#[test]
fn each_field_has_the_same_portable_type_in_both_families() {
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
fn the_shipped_files_equal_the_objects_of_the_default_settings() {
    for family in [Family::Elasticsearch, Family::OpenSearch] {
        for target in [setting(INDEX), stream("logs-nginx.access-default")] {
            let want = Want {
                retention: Some(30 * DAY),
                ..want(&target)
            };
            for step in plan(&server(family), &want, true) {
                let PlannedObject {
                    kind, name, body, ..
                } = &step;
                let content = kind.wanted(body);
                assert_eq!(kind.is_ours(content), !step.is_users, "{family} {name}");
                let version = env!("CARGO_PKG_VERSION");
                let text = content.to_string();
                assert_eq!(text.contains(version), !step.is_users, "{family} {name}");
                // with the defaults setup puts the files of the repository
                let file = match (kind, name.split_once('@'), want.target.stream()) {
                    (ObjectKind::ComponentTemplate, Some((_, part)), _) => {
                        format!("component-{part}")
                    }
                    (ObjectKind::IlmPolicy, _, None) => "ilm-policy".to_owned(),
                    (ObjectKind::IlmPolicy, ..) => "ilm-policy-data-stream".to_owned(),
                    (ObjectKind::IsmPolicy, _, None) => "ism-policy".to_owned(),
                    (ObjectKind::IsmPolicy, ..) => "ism-policy-data-stream".to_owned(),
                    // these name the life cycle only on clusters that have one
                    _ => continue,
                };
                if target.stream().is_some() && *kind == ObjectKind::ComponentTemplate {
                    continue;
                }
                let folder = match family {
                    Family::Elasticsearch => "elasticsearch",
                    Family::OpenSearch => "opensearch",
                };
                let path = format!(
                    "{}/mappings/{folder}/{file}.json",
                    env!("CARGO_MANIFEST_DIR")
                );
                let shipped: Value =
                    serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                assert_eq!(*body, shipped, "{path}");
            }
        }
    }
}
