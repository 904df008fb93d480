//! Tests of each finding about a cluster in memory, with the operator's texts.

#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::config::{Env, System};
use crate::setup::fake::Fake;

struct Bare;

impl Env for Bare {
    fn variables(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn host_name(&self) -> String {
        "web-07".to_owned()
    }
}

fn config(retention: &str, more: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logweir.toml");
    let text =
        format!("{retention}\n[elasticsearch]\nnodes = [\"http://127.0.0.1:9200\"]\n{more}\n");
    std::fs::write(&path, text).unwrap();
    crate::config::load(Some(&path), &Bare, &System)
        .unwrap()
        .config
}

async fn set_up(fake: &Fake, config: &Config) {
    let target = &config.elasticsearch.as_ref().unwrap().target;
    setup::run(fake, &want(config, target, Parts::ALL), false)
        .await
        .unwrap();
}

async fn report_of(fake: &Fake, config: &Config) -> (String, Exit) {
    let mut report = Report::default();
    report.section("cluster");
    describe(
        fake,
        config,
        config.elasticsearch.as_ref().unwrap(),
        &mut report,
    )
    .await;
    let (text, exit) = report.so_far();
    (text.to_owned(), exit)
}

const HAS: &str = "POST /_security/user/_has_privileges";
const AUTHINFO: &str = "GET /_plugins/_security/authinfo";

#[tokio::test]
async fn a_cluster_that_is_set_up_has_nothing_to_warn_of() {
    let enough = r#"{"has_all_requested":true,"cluster":{"monitor":true},
        "index":{"nginx-access-*":{"create_doc":true,"auto_configure":true}}}"#;
    let config = config("retention = \"30d\"", "");
    let mut fake = Fake::elasticsearch().answering(HAS, (200, enough));
    set_up(&fake, &config).await;
    fake.read_only = true;
    let (text, exit) = report_of(&fake, &config).await;
    assert_eq!(exit, Exit::Ok, "{text}");
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn a_clock_difference_is_reported_with_its_direction() {
    let config = config("", "");
    let here = SystemClock::new().unix_millis() / 1000;
    // far enough apart for the time that the test takes
    for (there, word) in [
        (here + 7200, "behind the cluster's"),
        (here - 7200, "ahead of the cluster's"),
        (here, "0 s apart"),
    ] {
        let fake = Fake {
            clock: Some(there),
            ..Fake::elasticsearch()
        };
        let (text, _) = report_of(&fake, &config).await;
        let near = text.replace("1 s apart", "0 s apart");
        assert!(near.contains(word), "{text}");
    }
}

#[tokio::test]
async fn privileges_that_lack_are_named() {
    let some = r#"{"has_all_requested":false,"cluster":{"monitor":false},
        "index":{"nginx-access-*":{"create_doc":true,"auto_configure":false}}}"#;
    let config = config("", "");
    let fake = Fake::elasticsearch().answering(HAS, (200, some));
    set_up(&fake, &config).await;
    let (text, exit) = report_of(&fake, &config).await;
    assert_eq!(exit, Exit::Permission, "{text}");
    let lack = "lack monitor on the cluster, auto_configure on nginx-access-*: ";
    assert!(text.contains(lack), "{text}");
}

#[tokio::test]
async fn a_data_stream_wants_more_of_an_old_elasticsearch() {
    let some = r#"{"cluster":{"monitor":true},"index":{"logs-nginx.access-*":
        {"create_doc":true,"auto_configure":true,"create_index":false,"view_index_metadata":true}}}"#;
    let config = config("", "data_stream = \"logs-nginx.access-default\"");
    for (version, lacks) in [("8.12.2", true), ("8.13.0", false)] {
        let fake = Fake {
            version,
            ..Fake::elasticsearch().answering(HAS, (200, some))
        };
        set_up(&fake, &config).await;
        let (text, _) = report_of(&fake, &config).await;
        assert_eq!(text.contains("lack create_index on"), lacks, "{text}");
    }
}

#[tokio::test]
async fn opensearch_shows_only_the_roles() {
    let who = r#"{"user_name":"logweir","roles":["own_index","logweir_agent"],"backend_roles":[]}"#;
    let config = config("", "");
    let fake = Fake::opensearch().answering(AUTHINFO, (200, who));
    set_up(&fake, &config).await;
    let (text, exit) = report_of(&fake, &config).await;
    assert_eq!(exit, Exit::Ok);
    assert!(
        text.contains("logweir with the roles own_index, logweir_agent"),
        "{text}"
    );
}

#[tokio::test]
async fn templates_that_are_not_as_they_should_be() {
    const MAIN: &str = "/_index_template/nginx-access";
    const SETTINGS: &str = "/_component_template/nginx-access@settings";
    let config = config("", "");
    let mut shown = String::new();

    let (text, exit) = report_of(&Fake::elasticsearch(), &config).await;
    assert_eq!(exit, Exit::Unavailable);
    shown.push_str(&text);

    let fake = Fake::elasticsearch();
    set_up(&fake, &config).await;
    fake.edit(SETTINGS, "/template/settings/index/codec", json!("default"));
    fake.edit(MAIN, "/_meta", json!({}));
    let stronger = json!({"index_patterns": ["nginx-*"], "priority": 300, "composed_of": []});
    let fake = fake.with("/_index_template/stronger", stronger);
    let (text, exit) = report_of(&fake, &config).await;
    assert_eq!(exit, Exit::Ok);
    shown.push_str(&text);
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn a_template_that_makes_no_data_streams_is_none() {
    let config = config("", "data_stream = \"logs-nginx.access-default\"");
    let fake = Fake::elasticsearch();
    set_up(&fake, &config).await;
    let path = "/_index_template/logs-nginx.access";
    let mut template = fake.held(path).unwrap();
    template.as_object_mut().unwrap().remove("data_stream");
    let (text, exit) = report_of(&fake.with(path, template), &config).await;
    assert_eq!(exit, Exit::Unavailable);
    assert!(text.contains("it makes no data streams"), "{text}");
}

#[tokio::test]
async fn a_life_cycle_that_is_not_as_it_should_be() {
    let keeping = config("retention = \"30d\"", "");
    let keeping_less = config("retention = \"7d\"", "");
    let forever = config("", "");
    let mut shown = String::new();
    let mut tell = async |fake: &Fake, config: &Config| {
        let (text, exit) = report_of(fake, config).await;
        assert_eq!(exit, Exit::Ok, "{text}");
        let about = |line: &&str| line.contains("cycle") || line.contains("retention");
        shown.extend(text.lines().filter(about).map(|line| format!("{line}\n")));
    };
    let fake = Fake::elasticsearch();
    set_up(&fake, &keeping).await;
    tell(&fake, &keeping_less).await;
    tell(&fake, &forever).await;
    let fake = Fake {
        mode: "STOPPED",
        ..fake
    };
    tell(&fake, &keeping).await;

    let mut fake = Fake::opensearch();
    set_up(&fake, &forever).await;
    tell(&fake, &keeping).await;
    set_up(&fake, &keeping).await;
    fake.manage("nginx-access-2026.11.22", "nginx-access");
    fake.manage("nginx-access-2020.02.29", "legal-hold");
    set_up(&fake, &keeping_less).await;
    tell(&fake, &keeping_less).await;
    fake.lifecycle = false;
    tell(&fake, &keeping).await;
    insta::assert_snapshot!(shown);
}

/// The agent's own key may see templates and no policies.
#[tokio::test]
async fn missing_privileges_to_see_something_are_no_failure() {
    let config = config("retention = \"30d\"", "");
    let fake = Fake::elasticsearch();
    set_up(&fake, &config).await;
    let (text, exit) = report_of(&fake.answering("GET /_ilm/status", (403, "")), &config).await;
    assert_eq!(exit, Exit::Ok, "{text}");
    assert!(
        text.contains("life cycle  hidden from these credentials"),
        "{text}"
    );
    assert!(text.contains("template    nginx-access, there\n"), "{text}");

    let fake = Fake::elasticsearch()
        .answering("GET /_ilm/status", (403, ""))
        .answering(
            "GET /_index_template/nginx-access",
            (403, r#"{"error":"no"}"#),
        );
    let (text, exit) = report_of(&fake, &config).await;
    assert_eq!(exit, Exit::Ok, "{text}");
    assert!(
        text.contains("whether run can write there is unknown"),
        "{text}"
    );
}

/// What an index acknowledged before a power cut, and whether the agent's key lets that be known.
#[tokio::test]
async fn the_durability_of_indices_is_reported_or_why_it_is_unknown() {
    const DAYS: &str = "GET /nginx-access-*/_settings/index.translog.durability?flat_settings=true";
    const MIXED: &str = r#"{
        "nginx-access-2026.11.21": {"settings": {"index.translog.durability": "async"}},
        "nginx-access-2026.11.22": {"settings": {"index.translog.durability": "request"}}
    }"#;
    let days = config("", "");
    let stream = config("", "data_stream = \"logs-nginx.access-default\"");
    let with = |answer| Fake::elasticsearch().answering(DAYS, answer);
    let mut shown = String::new();
    for (fake, config) in [
        (Fake::elasticsearch(), &days),
        (with((200, MIXED)), &days),
        (with((403, "{}")), &days),
        (with((503, "")), &days),
        (with((0, "")), &days),
        (Fake::elasticsearch(), &stream),
    ] {
        set_up(&fake, config).await;
        let (text, exit) = report_of(&fake, config).await;
        assert_eq!(exit, Exit::Ok, "{text}");
        let about = |line: &&str| line.contains("durability");
        shown.extend(text.lines().filter(about).map(|line| format!("{line}\n")));
    }
    insta::assert_snapshot!(shown);
}
