//! Tests of which OpenSearch indices setup moves to a changed policy, and which it leaves alone.

use super::lifecycle::{ISM, keeping};
use super::*;
use crate::setup::fake::Managed;

const POLICY: &str = "nginx-access";
const DAYS: [&str; 2] = ["nginx-access-2026.11.21", "nginx-access-2026.11.22"];
const HELD: &str = "nginx-access-2020.02.29";

/// A cluster after setup: two daily indices under our policy, one under another policy, two without a policy.
async fn managing(target: &config::IndexTarget) -> Fake {
    let cluster = Fake::opensearch();
    run(&cluster, &keeping(target, 30 * DAY), false)
        .await
        .unwrap();
    for day in DAYS {
        cluster.manage(day, POLICY);
    }
    cluster.manage(HELD, "legal-hold");
    cluster.known_to_ism("nginx-access-2026.11.20", None);
    cluster.known_to_ism("nginx-access-unparsed", None);
    cluster.writes();
    cluster
}

fn changes(cluster: &Fake) -> Vec<String> {
    let writes = cluster.writes().into_iter();
    writes
        .filter(|write| write.contains("change_policy"))
        .collect()
}

#[tokio::test]
async fn an_index_under_a_foreign_policy_is_never_named() {
    let target = setting(INDEX);
    let mut cluster = managing(&target).await;
    let shorter = keeping(&target, DAY);

    cluster.read_only = true;
    let dry = survey(&cluster, &shorter).await.unwrap();
    insta::assert_snapshot!(dry);
    cluster.read_only = false;

    let report = run(&cluster, &shorter, false).await.unwrap();
    let request =
        "POST /_plugins/_ism/change_policy/nginx-access-2026.11.21,nginx-access-2026.11.22";
    assert_eq!(changes(&cluster), [request]);
    assert!(
        report.to_string().contains("looks at it next: 2."),
        "{report}"
    );
    cluster.run_ism();
    let present = Some(cluster.version_of(POLICY));
    for day in DAYS {
        assert_eq!(cluster.follows(day), (POLICY.to_owned(), present));
    }
    assert_eq!(cluster.follows(HELD).0, "legal-hold");

    let again = run(&cluster, &shorter, false).await.unwrap();
    assert!(cluster.writes().is_empty());
    assert!(!again.to_string().contains("Managed indices"), "{again}");
}

#[tokio::test]
async fn the_next_setup_retries_a_refused_index() {
    const REQUEST: &str =
        "POST /_plugins/_ism/change_policy/nginx-access-2026.11.21,nginx-access-2026.11.22";
    const NO: &str = r#"{"error":{"type":"security_exception","reason":"no permissions for [cluster:admin/opendistro/ism/managedindex/change]"}}"#;
    let target = setting(INDEX);
    let shorter = keeping(&target, DAY);
    let mut cluster = managing(&target).await.answering(REQUEST, (403, NO));
    let report = run(&cluster, &shorter, false).await.unwrap();
    insta::assert_snapshot!(report);

    cluster.fixed.clear();
    let again = run(&cluster, &shorter, false).await.unwrap();
    assert_eq!(again.changes[0].outcome, ChangeOutcome::Unchanged);
    assert_eq!(changes(&cluster), [REQUEST, REQUEST]);
    cluster.run_ism();
    let present = Some(cluster.version_of(POLICY));
    assert_eq!(cluster.follows(DAYS[0]).1, present);
}

#[tokio::test]
async fn an_index_that_cannot_change_now_is_reported_by_name() {
    let target = setting(INDEX);
    let cluster = managing(&target).await;
    let version = Some(cluster.version_of(POLICY));
    cluster.known_to_ism(
        DAYS[0],
        Some(Managed {
            policy: POLICY.to_owned(),
            version,
            in_transition: true,
            change: None,
        }),
    );
    let report = run(&cluster, &keeping(&target, DAY), false).await.unwrap();
    insta::assert_snapshot!(report);
}

/// A node accepts a request line of 4096 bytes; the names of a year's indices are longer.
#[tokio::test]
async fn many_indices_are_split_into_requests_that_a_node_accepts() {
    let target = setting(INDEX);
    let cluster = managing(&target).await;
    let days: Vec<String> = (0..400)
        .map(|day| format!("nginx-access-2025.{:02}.{:02}", day / 28 + 1, day % 28 + 1))
        .collect();
    for day in &days {
        cluster.manage(day, POLICY);
    }
    let report = run(&cluster, &keeping(&target, DAY), false).await.unwrap();
    assert!(
        report.to_string().contains("looks at it next: 402."),
        "{report}"
    );
    assert!(!report.to_string().contains("Warning"), "{report}");
    cluster.run_ism();
    let present = Some(cluster.version_of(POLICY));
    for day in &days {
        assert_eq!(cluster.follows(day).1, present, "{day}");
    }
}

/// An index without a first ISM job may have got the old version a moment ago.
#[tokio::test]
async fn an_index_that_is_new_under_the_policy_is_updated_too() {
    let target = setting(INDEX);
    let cluster = managing(&target).await;
    let new = Managed {
        policy: POLICY.to_owned(),
        version: None,
        in_transition: false,
        change: None,
    };
    cluster.known_to_ism("nginx-access-2026.11.23", Some(new));
    run(&cluster, &keeping(&target, 30 * DAY), false)
        .await
        .unwrap();
    let request = "POST /_plugins/_ism/change_policy/nginx-access-2026.11.23";
    assert_eq!(changes(&cluster), [request]);
}

#[tokio::test]
async fn the_backing_indices_of_a_data_stream_are_updated_by_name() {
    let target = stream("logs-nginx.access-default");
    let cluster = Fake::opensearch();
    run(&cluster, &keeping(&target, 30 * DAY), false)
        .await
        .unwrap();
    cluster.manage(".ds-logs-nginx.access-default-000001", "logs-nginx.access");
    cluster.manage(".ds-logs-nginx.access-default-000002", "legal-hold");
    cluster.writes();
    run(&cluster, &keeping(&target, 7 * DAY), false)
        .await
        .unwrap();
    let request = "POST /_plugins/_ism/change_policy/.ds-logs-nginx.access-default-000001";
    assert_eq!(changes(&cluster), [request]);
}

#[tokio::test]
async fn no_index_is_updated_when_ism_does_not_list_them() {
    const EXPLAIN: &str = "GET /_plugins/_ism/explain/nginx-access-*";
    const NO: &str = r#"{"error":{"type":"security_exception","reason":"no permissions for [cluster:admin/opendistro/ism/managedindex/explain]"}}"#;
    let target = setting(INDEX);
    let cluster = managing(&target).await.answering(EXPLAIN, (403, NO));
    let report = run(&cluster, &keeping(&target, DAY), false).await.unwrap();
    assert!(changes(&cluster).is_empty());
    assert_ne!(cluster.held(ISM), None);
    insta::assert_snapshot!(report);
}
