//! What may be deleted by its name.

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

/// A line without a time: it has the time of the last line before it that had one, and that at which it was read.
fn without_a_time(last: &str, read: &str) -> Value {
    json!({"@timestamp": last, "event": {"created": read}})
}

fn unparsed(cluster: &Fake, documents: &[Value]) {
    let mut all = cluster.documents.lock().unwrap();
    all.insert("n-unparsed".to_owned(), documents.to_vec());
}

async fn old(cluster: &Fake, index: &str, before: &str) -> Vec<String> {
    let ripe = ripe(cluster, &pattern(index), at(before)).await.unwrap();
    ripe.indices.into_iter().map(|old| old.name).collect()
}

#[tokio::test]
async fn only_whole_periods_of_exactly_these_names_are_old() {
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
    // the 23rd is over at midnight of the 24th, and not a second before
    assert_eq!(
        old(&cluster, daily, "2026-10-24T00:00:00Z").await,
        ["n-2025.12.31", "n-2026.10.22", "n-2026.10.23"]
    );
    assert_eq!(
        old(&cluster, daily, "2026-10-23T23:59:59Z").await,
        ["n-2025.12.31", "n-2026.10.22"]
    );
    let ripe = ripe(&cluster, &pattern(daily), at("2026-10-23T23:59:59Z"))
        .await
        .unwrap();
    assert_eq!((ripe.younger, ripe.unparsed), (2, Some(0)));

    let months = holding(&["m-2026.09", "m-2026.10", "m-2026.10.01"]);
    assert_eq!(
        old(&months, "m-%Y.%m", "2026-10-31T23:00:00Z").await,
        ["m-2026.09"]
    );
    let years = holding(&["y-2024", "y-2025", "y-2026"]);
    assert_eq!(
        old(&years, "y-%Y", "2025-12-31T00:00:00Z").await,
        ["y-2024"]
    );
}

#[tokio::test]
async fn looking_writes_nothing_and_each_index_is_deleted_by_its_name() {
    let mut cluster = holding(&["n-2026.10.22", "n-2026.10.23", "n-unparsed"]);
    let long_ago = "2020-02-29T00:00:00.000Z";
    // rubbish of this minute behind a line of long ago, and rubbish that was read long ago in a log that was ahead
    let fresh = without_a_time(long_ago, "2026-11-23T09:30:00.000Z");
    let stale = without_a_time("2026-11-23T09:30:00.000Z", long_ago);
    unparsed(&cluster, &[fresh.clone(), stale]);
    cluster.read_only = true;
    let (index, before) = (pattern("n-%Y.%m.%d"), at("2026-11-01T00:00:00Z"));
    let ripe = ripe(&cluster, &index, before).await.unwrap();
    cluster.read_only = false;
    for old in &ripe.indices {
        assert_eq!((old.documents, old.bytes), (Some(3), Some(4096)));
        delete(&cluster, old).await.unwrap();
        // gone meanwhile is as good as deleted
        delete(&cluster, old).await.unwrap();
    }
    assert_eq!(ripe.unparsed, Some(1));
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
async fn a_refusal_to_delete_is_told() {
    const BLOCKED: &str = r#"{"error":{"type":"cluster_block_exception","reason":"index [n-2026.10.22] blocked by: [FORBIDDEN/5/index read-only (api)];"}}"#;
    let cluster = holding(&["n-2026.10.22"]).answering("DELETE /n-2026.10.22", (403, BLOCKED));
    let ripe = ripe(&cluster, &pattern("n-%Y.%m.%d"), at("2026-11-01T00:00:00Z"))
        .await
        .unwrap();
    let error = delete(&cluster, &ripe.indices[0]).await.unwrap_err();
    insta::assert_snapshot!(error);
}
