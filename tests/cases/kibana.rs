//! The import of saved objects through a strict Kibana, over a real socket.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use logweir::config::Auth;
use logweir::config::Kibana;
use logweir::http::{HttpClient, Method, Response, Transport as _};
use logweir::setup::ChangeOutcome;
use logweir::setup::kibana::{KibanaError, SavedObjectState, SavedObjects, diff, import};
use serde_json::json;
use url::Url;

use testkit::fake_cluster::Cluster;
use testkit::fake_es::FakeEs;
use testkit::fake_kibana::{FakeKibana, Inside};

const PATTERN: &str = "nginx-access-*";

fn transport(kibana: &FakeKibana, auth: Auth) -> HttpClient {
    HttpClient::of_kibana(&Kibana {
        url: Url::parse(&format!("http://{}", kibana.address)).unwrap(),
        space: None,
        auth,
        ca_file: None,
        ca_fingerprint: None,
        proxies: Default::default(),
    })
    .unwrap()
}

/// Compares and imports; returns the outcome for each object.
async fn set_up(kibana: &FakeKibana, pattern: &str, space: Option<&str>) -> Vec<ChangeOutcome> {
    let transport = transport(kibana, Auth::None);
    let wanted = SavedObjects::for_pattern(pattern, space);
    let diff = diff(&transport, space, &wanted).await.unwrap();
    import(&transport, space, &diff, false).await.unwrap();
    diff.outcomes().map(|(_, outcome)| outcome).collect()
}

fn all(outcomes: &[ChangeOutcome], outcome: ChangeOutcome) -> bool {
    !outcomes.is_empty() && outcomes.iter().all(|one| *one == outcome)
}

#[tokio::test]
async fn both_products_take_everything_and_a_second_run_sends_nothing() {
    for kibana in [FakeKibana::kibana(), FakeKibana::dashboards()] {
        assert!(all(
            &set_up(&kibana, PATTERN, None).await,
            ChangeOutcome::Created
        ));
        let held = kibana.held("");
        assert_eq!(
            held.len(),
            SavedObjects::for_pattern(PATTERN, None).objects().len()
        );
        assert!(all(
            &set_up(&kibana, PATTERN, None).await,
            ChangeOutcome::Unchanged
        ));
        let inside = kibana.inside();
        let imports = inside.seen.iter().filter(|line| line.contains("_import"));
        assert_eq!(imports.count(), 1, "{:?}", inside.seen);
    }
}

#[tokio::test]
async fn the_index_pattern_follows_the_setting() {
    let kibana = FakeKibana::kibana();
    set_up(&kibana, PATTERN, None).await;
    let outcomes = set_up(&kibana, "web-*", None).await;
    assert_eq!(outcomes[0], ChangeOutcome::Updated);
    assert!(all(&outcomes[1..], ChangeOutcome::Unchanged));
    let held = kibana.held("");
    let pattern = &held["index-pattern logweir-nginx-access"]["attributes"];
    assert_eq!(pattern["title"], "web-*");
}

#[tokio::test]
async fn a_space_gets_its_own() {
    let kibana = FakeKibana::of(Inside {
        version: Some("8.12.2"),
        spaces: BTreeSet::from(["ops".to_owned()]),
        ..Inside::default()
    });
    assert!(all(
        &set_up(&kibana, PATTERN, Some("ops")).await,
        ChangeOutcome::Created
    ));
    assert!(kibana.held("").is_empty() && !kibana.held("ops").is_empty());

    let transport = transport(&kibana, Auth::None);
    let wanted = SavedObjects::for_pattern(PATTERN, None);
    let error = diff(&transport, Some("nobody"), &wanted).await.unwrap_err();
    assert!(error.to_string().contains("create that space"), "{error}");
}

fn with_spaces(version: &'static str) -> FakeKibana {
    FakeKibana::of(Inside {
        version: Some(version),
        spaces: ["ops", "dev"].map(str::to_owned).into(),
        ..Inside::default()
    })
}

#[tokio::test]
async fn in_each_of_several_spaces_a_second_run_changes_nothing() {
    for version in ["7.10.2", "8.12.2", "9.1.0"] {
        let kibana = with_spaces(version);
        // the default space has an identifier too
        for space in [None, Some("ops"), Some("dev"), Some("default")] {
            let first = set_up(&kibana, PATTERN, space).await;
            let wanted = match space {
                Some("default") => ChangeOutcome::Unchanged,
                _ => ChangeOutcome::Created,
            };
            assert!(all(&first, wanted), "{version} {space:?}: {first:?}");
        }
        let held = kibana.inside().objects.clone();
        kibana.inside().seen.clear();
        for space in [None, Some("ops"), Some("dev")] {
            let second = set_up(&kibana, PATTERN, space).await;
            assert!(
                all(&second, ChangeOutcome::Unchanged),
                "{version} {space:?}: {second:?}"
            );
        }
        let inside = kibana.inside();
        assert_eq!(inside.objects, held, "{version}");
        assert!(!inside.seen.iter().any(|line| line.contains("_import")));
        assert_eq!(inside.regenerated, 0, "{version}");
        let ids: BTreeSet<_> = held.keys().map(|(_, kind, id)| (kind, id)).collect();
        assert_eq!(ids.len(), held.len(), "{version}: an id in two spaces");
    }
}

#[tokio::test]
async fn changes_in_a_space_are_kept_without_force() {
    for version in ["7.10.2", "8.12.2"] {
        let kibana = with_spaces(version);
        set_up(&kibana, PATTERN, None).await;
        set_up(&kibana, PATTERN, Some("ops")).await;
        let key = ["ops", "dashboard", "logweir-ops-traffic"].map(str::to_owned);
        let key: (String, String, String) = key.into();
        let description = |text: &str| {
            kibana.inside().objects.get_mut(&key).unwrap()["attributes"]["description"] =
                json!(text);
        };
        description("mine");
        let transport = transport(&kibana, Auth::None);
        let wanted = SavedObjects::for_pattern(PATTERN, Some("ops"));
        let found = diff(&transport, Some("ops"), &wanted).await.unwrap();
        let error = import(&transport, Some("ops"), &found, false)
            .await
            .unwrap_err();
        assert!(matches!(error, KibanaError::Foreign { .. }), "{error}");
        assert_eq!(
            kibana.inside().objects[&key]["attributes"]["description"],
            "mine"
        );
        import(&transport, Some("ops"), &found, true).await.unwrap();
        let found = diff(&transport, Some("ops"), &wanted).await.unwrap();
        assert!(
            found
                .objects
                .iter()
                .all(|(_, held)| *held == SavedObjectState::Equal)
        );
    }
}

/// Somebody imported the file of the space "ops" into another one.
#[tokio::test]
async fn objects_that_kibana_put_under_other_ids_are_reported_and_never_replaced() {
    let kibana = with_spaces("8.12.2");
    let wanted = SavedObjects::for_pattern(PATTERN, Some("ops"));
    let transport = transport(&kibana, Auth::None);
    let by_hand = diff(&transport, None, &wanted).await.unwrap();
    import(&transport, None, &by_hand, false).await.unwrap();

    let found = diff(&transport, Some("ops"), &wanted).await.unwrap();
    let error = import(&transport, Some("ops"), &found, false)
        .await
        .unwrap_err();
    let KibanaError::Elsewhere { objects } = &error else {
        panic!("{error}")
    };
    assert_eq!(objects.len(), wanted.objects().len());
    let first = "index-pattern logweir-ops-nginx-access as 00000000-0000-4000-8000-000000000001";
    assert_eq!(objects[0], first);
    assert!(error.to_string().contains(first), "{error}");
    assert!(error.to_string().contains(" and 59 more;"), "{error}");

    for object in kibana.inside().objects.values_mut() {
        object["attributes"]["description"] = json!("mine");
    }
    let held = kibana.inside().objects.clone();
    let found = diff(&transport, Some("ops"), &wanted).await.unwrap();
    let error = import(&transport, Some("ops"), &found, false)
        .await
        .unwrap_err();
    let told = "logweir-ops-traffic: its id is another space's, and 00000000-0000-4000-8000-";
    assert!(error.to_string().contains(told), "{error}");
    assert_eq!(kibana.inside().objects, held);

    let error = import(&transport, Some("ops"), &found, true)
        .await
        .unwrap_err();
    assert!(matches!(error, KibanaError::Elsewhere { .. }), "{error}");
    assert_ne!(kibana.inside().objects, held);
}

#[tokio::test]
async fn a_space_in_opensearch_dashboards_is_refused() {
    let kibana = FakeKibana::dashboards();
    let wanted = SavedObjects::for_pattern(PATTERN, None);
    let error = diff(&transport(&kibana, Auth::None), Some("ops"), &wanted)
        .await
        .unwrap_err();
    assert!(matches!(error, KibanaError::NoSpaces { .. }), "{error}");
}

#[tokio::test]
async fn objects_without_our_mark_are_kept() {
    let kibana = FakeKibana::kibana();
    set_up(&kibana, PATTERN, None).await;
    let key = |kind: &str, id: &str| (String::new(), kind.to_owned(), id.to_owned());
    let dashboard = key("dashboard", "logweir-traffic");
    let older = key("visualization", "logweir-traffic-routes");
    {
        let objects = &mut kibana.inside().objects;
        objects.get_mut(&dashboard).unwrap()["attributes"]["description"] = json!("mine");
        let text = json!("An older text. [logweir 00000000]");
        objects.get_mut(&older).unwrap()["attributes"]["description"] = text;
    }
    let transport = transport(&kibana, Auth::None);
    let wanted = SavedObjects::for_pattern(PATTERN, None);
    let found = diff(&transport, None, &wanted).await.unwrap();
    let changed: Vec<(&str, ChangeOutcome)> = found
        .outcomes()
        .filter(|(_, outcome)| *outcome != ChangeOutcome::Unchanged)
        .map(|(object, outcome)| (object.id.as_str(), outcome))
        .collect();
    let wanted_changes = [
        ("logweir-traffic-routes", ChangeOutcome::Updated),
        ("logweir-traffic", ChangeOutcome::Overwritten),
    ];
    assert_eq!(changed, wanted_changes);

    let error = import(&transport, None, &found, false)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("dashboard logweir-traffic;"), "{error}");
    assert!(error.contains("--force"), "{error}");
    let description = |key| kibana.inside().objects[key]["attributes"]["description"].clone();
    assert_eq!(description(&dashboard), "mine");
    assert_eq!(
        description(&older),
        "An older text. [logweir 00000000]",
        "nothing was imported"
    );

    import(&transport, None, &found, true).await.unwrap();
    let found = diff(&transport, None, &wanted).await.unwrap();
    assert!(
        found
            .objects
            .iter()
            .all(|(_, held)| *held == SavedObjectState::Equal)
    );
}

/// The mark shows that the object is ours and of this version, but its content was changed.
#[tokio::test]
async fn changed_objects_with_the_mark_are_reported_and_restored_only_by_force() {
    for kibana in [FakeKibana::kibana(), FakeKibana::dashboards()] {
        set_up(&kibana, PATTERN, None).await;
        let put = kibana.held("");
        let key = |kind: &str, id: &str| (String::new(), kind.to_owned(), id.to_owned());
        let panel = key("visualization", "logweir-rate-abuse-over");
        let dashboard = key("dashboard", "logweir-traffic");
        {
            let objects = &mut kibana.inside().objects;
            let state = &mut objects.get_mut(&panel).unwrap()["attributes"]["visState"];
            let text = state.as_str().unwrap().replace("\\\"1m\\\"", "\\\"1h\\\"");
            *state = json!(text);
            let dashboard = objects.get_mut(&dashboard).unwrap();
            dashboard["attributes"]["timeFrom"] = json!("now-7d");
        }
        let changed = kibana.held("");
        let transport = transport(&kibana, Auth::None);
        let wanted = SavedObjects::for_pattern(PATTERN, None);
        let found = diff(&transport, None, &wanted).await.unwrap();
        let told: Vec<(&str, &str)> = found
            .objects
            .iter()
            .filter_map(|(object, held)| match held {
                SavedObjectState::Changed(differences) => {
                    Some((object.id.as_str(), differences[0].as_str()))
                }
                SavedObjectState::Equal => None,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(
            told[0],
            (
                "logweir-traffic",
                r#"timeFrom: "now-7d" instead of "now-24h""#
            )
        );
        assert_eq!(told[1].0, "logweir-rate-abuse-over");
        assert!(
            told[1]
                .1
                .starts_with("visState.aggs[3].params.json.fixed_interval: "),
            "{told:?}"
        );

        import(&transport, None, &found, false).await.unwrap();
        assert_eq!(kibana.held(""), changed, "it is somebody's work");
        import(&transport, None, &found, true).await.unwrap();
        assert_eq!(kibana.held(""), put);
    }
}

#[tokio::test]
async fn links_in_a_space_lead_to_its_own_dashboards() {
    let kibana = with_spaces("8.12.2");
    set_up(&kibana, PATTERN, Some("ops")).await;
    let held = kibana.held("ops");
    let texts = held.values().map(|object| object["attributes"].to_string());
    let texts: Vec<String> = texts.collect();
    let links = texts.iter().flat_map(|text| text.split("#/view/").skip(1));
    let mut count = 0;
    for link in links {
        let end = link
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .unwrap();
        let name = format!("dashboard {}", &link[..end]);
        assert!(held.contains_key(&name), "{name}");
        count += 1;
    }
    // seven in the panel of links, one for each dashboard
    assert_eq!(count, 8);
}

#[tokio::test]
async fn manually_imported_objects_are_ours_and_get_the_stamp() {
    let kibana = FakeKibana::kibana();
    let shipped = include_str!("../../kibana/logweir.ndjson");
    for line in shipped.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| object[key].as_str().unwrap().to_owned();
        let key = (String::new(), text("type"), text("id"));
        kibana.inside().objects.insert(key, object);
    }
    assert!(all(
        &set_up(&kibana, PATTERN, None).await,
        ChangeOutcome::Updated
    ));
    assert!(all(
        &set_up(&kibana, PATTERN, None).await,
        ChangeOutcome::Unchanged
    ));
}

#[tokio::test]
async fn each_object_that_was_refused_is_named() {
    let kibana = FakeKibana::kibana();
    kibana
        .inside()
        .unwritable
        .insert("logweir-traffic".to_owned());
    let transport = transport(&kibana, Auth::None);
    let wanted = SavedObjects::for_pattern(PATTERN, None);
    let mut found = diff(&transport, None, &wanted).await.unwrap();
    let error = import(&transport, None, &found, false)
        .await
        .unwrap_err()
        .to_string();
    let all = wanted.objects().len();
    let told =
        format!("1 of {all} objects were not imported: dashboard logweir-traffic: disk full");
    assert_eq!(error, told);

    // without its index pattern a panel shows only an error, when somebody opens it
    let kibana = FakeKibana::kibana();
    found.objects.remove(0);
    let transport = self::transport(&kibana, Auth::None);
    let error = import(&transport, None, &found, false)
        .await
        .unwrap_err()
        .to_string();
    let told = "visualization logweir-sites: it refers to missing objects: index-pattern logweir-nginx-access";
    assert!(error.contains(told), "{error}");
}

#[tokio::test]
async fn credentials_are_sent_and_a_refusal_has_a_hint() {
    let kibana = FakeKibana::kibana();
    kibana.inside().authorization = Some("ApiKey aWQ6a2V5");
    let wanted = SavedObjects::for_pattern(PATTERN, None);
    let error = diff(&transport(&kibana, Auth::None), None, &wanted)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("GET /api/status was refused with status 401"),
        "{error}"
    );
    assert!(error.contains("credentials of [kibana]"), "{error}");
    let transport = transport(&kibana, Auth::ApiKey("id:key".into()));
    let found = diff(&transport, None, &wanted).await.unwrap();
    import(&transport, None, &found, false).await.unwrap();
}

#[tokio::test]
async fn a_kibana_without_a_visible_version_is_accepted() {
    let kibana = FakeKibana::of(Inside::default());
    assert!(all(
        &set_up(&kibana, PATTERN, None).await,
        ChangeOutcome::Created
    ));
}

#[tokio::test]
async fn a_server_that_is_not_kibana_is_reported() {
    let stage = FakeEs::start(Cluster::default());
    let transport = HttpClient::of_kibana(&Kibana {
        url: stage.url(),
        space: None,
        auth: Auth::None,
        ca_file: None,
        ca_fingerprint: None,
        proxies: Default::default(),
    })
    .unwrap();
    let wanted = SavedObjects::for_pattern(PATTERN, None);
    let error = diff(&transport, None, &wanted)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("and not the cluster"), "{error}");
}

/// Sends a request, to show how the fake responds to a wrong one.
async fn raw(
    kibana: &FakeKibana,
    headers: &[(&'static str, &'static str)],
    path: &str,
    body: &str,
) -> Response {
    let transport = transport(kibana, Auth::None);
    let body = Some(body.to_owned().into());
    transport
        .request(Method::Post, path, headers, body)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_fake_is_as_strict_as_the_real_ones() {
    const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=--edge");
    const IMPORT: &str = "/api/saved_objects/_import";
    let object = r#"{"type":"search","id":"a","attributes":{"title":"A"},"references":[],"migrationVersion":{"search":"7.9.3"}}"#;
    let form = |name: &str, object: &str| {
        format!(
            "----edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{object}\r\n----edge--\r\n"
        )
    };
    let good = form("a.ndjson", object);
    let kibana = FakeKibana::kibana();
    let osd = FakeKibana::dashboards();
    let (kbn_xsrf, osd_xsrf) = (("kbn-xsrf", "1"), ("osd-xsrf", "1"));
    assert_eq!(
        raw(&kibana, &[osd_xsrf, FORM], IMPORT, &good).await.status,
        400
    );
    assert_eq!(
        raw(&osd, &[kbn_xsrf, FORM], IMPORT, &good).await.status,
        400
    );
    let named = form("a.json", object);
    assert_eq!(
        raw(&kibana, &[kbn_xsrf, FORM], IMPORT, &named).await.status,
        400
    );
    assert_eq!(
        raw(&kibana, &[kbn_xsrf, FORM], IMPORT, &good).await.status,
        200
    );
    let said = async |form: String| {
        let answer = raw(&kibana, &[kbn_xsrf, FORM], IMPORT, &form).await;
        serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap()
    };
    assert_eq!(
        said(good.clone()).await["errors"][0]["error"]["type"],
        "conflict"
    );
    for (wrong, kind) in [
        (object.replace("search", "lens"), "unsupported_type"),
        (object.replace("7.9.3", "7.11.0"), "unknown"),
        (object.replace("\"title\"", "\"managed_by\""), "unknown"),
    ] {
        let said = said(form("a.ndjson", &wrong)).await;
        assert_eq!(said["errors"][0]["error"]["type"], kind, "{wrong}");
    }
}

#[tokio::test]
async fn the_fake_has_unique_ids_as_the_real_ones_from_version_8_on() {
    const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=--edge");
    let object = |kind: &str, id: &str, version: &str, references: &str| {
        format!(
            r#"{{"type":"{kind}","id":"{id}","attributes":{{"title":"A"}},"references":[{references}],"migrationVersion":{{"{kind}":"{version}"}}}}"#
        )
    };
    let file = [
        object("index-pattern", "p", "7.6.0", ""),
        object(
            "search",
            "s",
            "7.9.3",
            r#"{"type":"index-pattern","id":"p","name":"n"}"#,
        ),
    ]
    .join("\n");
    let body = format!(
        "----edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.ndjson\"\r\n\r\n{file}\r\n----edge--\r\n"
    );
    for (version, moves) in [("7.10.2", false), ("8.0.0", true), ("9.1.0", true)] {
        let kibana = with_spaces(version);
        let said = async |path: &str| {
            let answer = raw(&kibana, &[("kbn-xsrf", "1"), FORM], path, &body).await;
            serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap()
        };
        let there = "/api/saved_objects/_import";
        assert_eq!(said(there).await["success"], true);
        let here = "/s/ops/api/saved_objects/_import";
        let first = said(here).await;
        assert_eq!(first["success"], true, "{version}");
        let to = first["successResults"][1]["destinationId"].as_str();
        assert_eq!(to.is_some(), moves, "{version}");
        let search = format!("search {}", to.unwrap_or("s"));
        let search = kibana.held("ops")[&search].clone();
        let pattern = first["successResults"][0]["destinationId"].as_str();
        assert_eq!(search["references"][0]["id"], pattern.unwrap_or("p"));

        let again = said(here).await;
        assert_eq!(again["errors"][1]["error"]["type"], "conflict", "{version}");
        let named = again["errors"][1]["error"]["destinationId"].as_str();
        assert_eq!(named, to, "{version}");
        let over = said(&format!("{here}?overwrite=true")).await;
        assert_eq!(over["successResults"][1]["destinationId"].as_str(), to);
        assert_eq!(kibana.held("ops").len(), 2, "{version}");
    }
}
