//! The import of saved objects through a strict Kibana, over a real socket.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use logweir::config::Auth;
use logweir::config::Kibana;
use logweir::setup::kibana::{Held, KibanaDoor, KibanaError, SavedObjects, diff, import};
use logweir::setup::{Answer, Method, Outcome};
use serde_json::json;
use url::Url;

use crate::support::fake_cluster::Cluster;
use crate::support::fake_es::FakeEs;
use crate::support::fake_kibana::{FakeKibana, Inside};

const PATTERN: &str = "nginx-access-*";

fn door(kibana: &FakeKibana, auth: Auth) -> KibanaDoor {
    KibanaDoor::new(&Kibana {
        url: Url::parse(&format!("http://{}", kibana.address)).unwrap(),
        space: None,
        auth,
        ca_file: None,
    })
    .unwrap()
}

/// Compares and imports; gives what became of the objects.
async fn set_up(kibana: &FakeKibana, pattern: &str, space: Option<&str>) -> Vec<Outcome> {
    let door = door(kibana, Auth::None);
    let wanted = SavedObjects::for_pattern(pattern);
    let diff = diff(&door, space, &wanted).await.unwrap();
    import(&door, space, &diff, false).await.unwrap();
    diff.outcomes().map(|(_, outcome)| outcome).collect()
}

fn all(outcomes: &[Outcome], outcome: Outcome) -> bool {
    !outcomes.is_empty() && outcomes.iter().all(|one| *one == outcome)
}

#[tokio::test]
async fn both_products_take_everything_and_a_second_run_sends_nothing() {
    for kibana in [FakeKibana::kibana(), FakeKibana::dashboards()] {
        assert!(all(&set_up(&kibana, PATTERN, None).await, Outcome::Created));
        let held = kibana.held("");
        assert_eq!(
            held.len(),
            SavedObjects::for_pattern(PATTERN).objects().len()
        );
        assert!(all(
            &set_up(&kibana, PATTERN, None).await,
            Outcome::Unchanged
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
    assert_eq!(outcomes[0], Outcome::Updated);
    assert!(all(&outcomes[1..], Outcome::Unchanged));
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
        Outcome::Created
    ));
    assert!(kibana.held("").is_empty() && !kibana.held("ops").is_empty());

    let door = door(&kibana, Auth::None);
    let wanted = SavedObjects::for_pattern(PATTERN);
    let error = diff(&door, Some("nobody"), &wanted).await.unwrap_err();
    assert!(error.to_string().contains("create that space"), "{error}");
}

#[tokio::test]
async fn a_space_in_opensearch_dashboards_is_refused() {
    let kibana = FakeKibana::dashboards();
    let wanted = SavedObjects::for_pattern(PATTERN);
    let error = diff(&door(&kibana, Auth::None), Some("ops"), &wanted)
        .await
        .unwrap_err();
    assert!(matches!(error, KibanaError::NoSpaces { .. }), "{error}");
}

#[tokio::test]
async fn what_somebody_made_their_own_stays() {
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
    let door = door(&kibana, Auth::None);
    let wanted = SavedObjects::for_pattern(PATTERN);
    let found = diff(&door, None, &wanted).await.unwrap();
    let changed: Vec<(&str, Outcome)> = found
        .outcomes()
        .filter(|(_, outcome)| *outcome != Outcome::Unchanged)
        .map(|(object, outcome)| (object.id.as_str(), outcome))
        .collect();
    let wanted_changes = [
        ("logweir-traffic-routes", Outcome::Updated),
        ("logweir-traffic", Outcome::Overwritten),
    ];
    assert_eq!(changed, wanted_changes);

    let error = import(&door, None, &found, false)
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

    import(&door, None, &found, true).await.unwrap();
    let found = diff(&door, None, &wanted).await.unwrap();
    assert!(found.objects.iter().all(|(_, held)| *held == Held::Equal));
}

#[tokio::test]
async fn what_was_imported_by_hand_is_ours_and_gets_its_stamp() {
    let kibana = FakeKibana::kibana();
    let shipped = include_str!("../../kibana/logweir.ndjson");
    for line in shipped.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| object[key].as_str().unwrap().to_owned();
        let key = (String::new(), text("type"), text("id"));
        kibana.inside().objects.insert(key, object);
    }
    assert!(all(&set_up(&kibana, PATTERN, None).await, Outcome::Updated));
    assert!(all(
        &set_up(&kibana, PATTERN, None).await,
        Outcome::Unchanged
    ));
}

#[tokio::test]
async fn each_object_that_was_refused_is_named() {
    let kibana = FakeKibana::kibana();
    kibana
        .inside()
        .unwritable
        .insert("logweir-traffic".to_owned());
    let door = door(&kibana, Auth::None);
    let wanted = SavedObjects::for_pattern(PATTERN);
    let mut found = diff(&door, None, &wanted).await.unwrap();
    let error = import(&door, None, &found, false)
        .await
        .unwrap_err()
        .to_string();
    let all = wanted.objects().len();
    let told =
        format!("1 of {all} objects were not imported: dashboard logweir-traffic: disk full");
    assert_eq!(error, told);

    // without its index pattern a panel shows nothing, and says so only when it is looked at
    let kibana = FakeKibana::kibana();
    found.objects.remove(0);
    let door = self::door(&kibana, Auth::None);
    let error = import(&door, None, &found, false)
        .await
        .unwrap_err()
        .to_string();
    let told = "visualization logweir-sites: what it refers to is not there: index-pattern logweir-nginx-access";
    assert!(error.contains(told), "{error}");
}

#[tokio::test]
async fn credentials_are_sent_and_their_refusal_says_what_to_do() {
    let kibana = FakeKibana::kibana();
    kibana.inside().authorization = Some("ApiKey aWQ6a2V5");
    let wanted = SavedObjects::for_pattern(PATTERN);
    let error = diff(&door(&kibana, Auth::None), None, &wanted)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("GET /api/status was refused with status 401"),
        "{error}"
    );
    assert!(error.contains("credentials of [kibana]"), "{error}");
    let door = door(&kibana, Auth::ApiKey("id:key".into()));
    let found = diff(&door, None, &wanted).await.unwrap();
    import(&door, None, &found, false).await.unwrap();
}

#[tokio::test]
async fn a_kibana_that_hides_its_version_is_still_one() {
    let kibana = FakeKibana::of(Inside::default());
    assert!(all(&set_up(&kibana, PATTERN, None).await, Outcome::Created));
}

#[tokio::test]
async fn another_server_at_the_address_is_noticed() {
    let stage = FakeEs::start(Cluster::default()).await;
    let door = KibanaDoor::new(&Kibana {
        url: stage.url(),
        space: None,
        auth: Auth::None,
        ca_file: None,
    })
    .unwrap();
    let wanted = SavedObjects::for_pattern(PATTERN);
    let error = diff(&door, None, &wanted).await.unwrap_err().to_string();
    assert!(error.contains("and not the cluster"), "{error}");
}

/// Sends as it is told, and shows what the fake would say to a client that got it wrong.
async fn raw(
    kibana: &FakeKibana,
    headers: &[(&'static str, &'static str)],
    path: &str,
    body: &str,
) -> Answer {
    use logweir::setup::kibana::Door as _;
    let door = door(kibana, Auth::None);
    let body = Some(body.to_owned().into());
    door.request(Method::Post, path, headers, body)
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
