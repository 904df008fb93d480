//! Tests of the deletion of indices by their names.

use chrono::{DateTime, Utc};

use super::*;

fn pattern(text: &str) -> config::IndexPattern {
    config::IndexPattern::parse(text).unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn holding(names: &[&str]) -> Fake {
    let cluster = Fake::elasticsearch();
    let indices = names.iter().map(|name| ((*name).to_owned(), (3, 4096)));
    cluster.indices.lock().unwrap().extend(indices);
    cluster
}

/// A line without a time: it has the time of the last line with one, and the time at which it was read.
fn without_a_time(last: &str, read: &str) -> Value {
    json!({"@timestamp": last, "event": {"created": read}})
}

fn unparsed(cluster: &Fake, documents: &[Value]) {
    let mut all = cluster.documents.lock().unwrap();
    all.insert("n-unparsed".to_owned(), documents.to_vec());
}

async fn expired_names(cluster: &Fake, index: &str, before: &str) -> Vec<String> {
    let expired = find_expired(cluster, &pattern(index), at(before))
        .await
        .unwrap();
    expired
        .indices
        .into_iter()
        .map(|index| index.name)
        .collect()
}

#[tokio::test]
async fn only_whole_periods_with_exactly_these_names_are_expired() {
    let cluster = holding(&[
        "n-2026.10.22",
        "n-2026.10.23",
        "n-2026.10.24",
        "n-2025.12.31",
        "n-unparsed",
        "n-2020.01.01-restored",
        "n-2020.13.01",
        "n-2020.01",
        ".ds-n-2020.01.01-000001",
        "shrunk-n-2020.01.01",
    ]);
    let daily = "n-%Y.%m.%d";
    // the 23rd ends at midnight of the 24th, not a second earlier
    assert_eq!(
        expired_names(&cluster, daily, "2026-10-24T00:00:00Z").await,
        ["n-2025.12.31", "n-2026.10.22", "n-2026.10.23"]
    );
    assert_eq!(
        expired_names(&cluster, daily, "2026-10-23T23:59:59Z").await,
        ["n-2025.12.31", "n-2026.10.22"]
    );
    let expired = find_expired(&cluster, &pattern(daily), at("2026-10-23T23:59:59Z"))
        .await
        .unwrap();
    assert_eq!((expired.younger, expired.unparsed), (2, Some(0)));

    let months = holding(&["m-2026.09", "m-2026.10", "m-2026.10.01"]);
    assert_eq!(
        expired_names(&months, "m-%Y.%m", "2026-10-31T23:00:00Z").await,
        ["m-2026.09"]
    );
    let years = holding(&["y-2024", "y-2025", "y-2026"]);
    assert_eq!(
        expired_names(&years, "y-%Y", "2025-12-31T00:00:00Z").await,
        ["y-2024"]
    );
}

#[tokio::test]
async fn finding_writes_nothing_and_each_index_is_deleted_by_name() {
    let mut cluster = holding(&["n-2026.10.22", "n-2026.10.23", "n-unparsed"]);
    let long_ago = "2020-02-29T00:00:00.000Z";
    // an unparsed line of this minute after an old line, and one that was read long ago in a log whose clock was ahead
    let fresh = without_a_time(long_ago, "2026-11-23T09:30:00.000Z");
    let stale = without_a_time("2026-11-23T09:30:00.000Z", long_ago);
    unparsed(&cluster, &[fresh.clone(), stale]);
    cluster.read_only = true;
    let (index, before) = (pattern("n-%Y.%m.%d"), at("2026-11-01T00:00:00Z"));
    let expired = find_expired(&cluster, &index, before).await.unwrap();
    cluster.read_only = false;
    for index in &expired.indices {
        assert_eq!((index.documents, index.bytes), (Some(3), Some(4096)));
        delete(&cluster, index).await.unwrap();
        // an index that is gone already counts as deleted
        delete(&cluster, index).await.unwrap();
    }
    assert_eq!(expired.unparsed, Some(1));
    assert_eq!(delete_unparsed(&cluster, &index, before).await.unwrap(), 1);
    assert_eq!(cluster.documents.lock().unwrap()["n-unparsed"], [fresh]);
    assert_eq!(
        cluster.writes(),
        [
            "DELETE /n-2026.10.22",
            "DELETE /n-2026.10.22",
            "DELETE /n-2026.10.23",
            "DELETE /n-2026.10.23",
            "POST /n-unparsed/_delete_by_query?conflicts=proceed",
        ]
    );
    let left: Vec<String> = cluster.indices.lock().unwrap().keys().cloned().collect();
    assert_eq!(left, ["n-unparsed"]);
}

#[tokio::test]
async fn a_refusal_to_delete_is_reported() {
    const BLOCKED: &str = r#"{"error":{"type":"cluster_block_exception","reason":"index [n-2026.10.22] blocked by: [FORBIDDEN/5/index read-only (api)];"}}"#;
    let cluster = holding(&["n-2026.10.22"]).answering("DELETE /n-2026.10.22", (403, BLOCKED));
    let expired = find_expired(&cluster, &pattern("n-%Y.%m.%d"), at("2026-11-01T00:00:00Z"))
        .await
        .unwrap();
    let error = delete(&cluster, &expired.indices[0]).await.unwrap_err();
    insta::assert_snapshot!(error);
}
