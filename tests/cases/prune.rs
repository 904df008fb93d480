//! `logweir prune` as an operator types it, on real clusters.

use elasticsearch::http::Method;
use elasticsearch::http::headers::{CONTENT_TYPE, HeaderMap, HeaderValue};
use elasticsearch::http::transport::Transport;
use serde_json::{Value, json};

use super::check::serve;
use super::{cluster_down, servers, unique};
use crate::support::agent::Home;

/// One request that must succeed, and its answer.
pub(crate) async fn ask(address: &str, method: Method, path: &str, body: Option<Value>) -> Value {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = body.map(|body| body.to_string());
    let transport = Transport::single_node(address).unwrap();
    let response = transport
        .send(method, path, headers, None::<&()>, body, None)
        .await
        .unwrap();
    let status = response.status_code().as_u16();
    let text = response.text().await.unwrap();
    assert!(status < 300, "{path}: {status}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// The names of all indices of a test.
async fn indices(address: &str, name: &str) -> Vec<String> {
    let path = format!("/_cat/indices/*{name}*?format=json&h=index");
    let list = ask(address, Method::Get, &path, None).await;
    let list = list.as_array().unwrap().iter();
    let mut names: Vec<String> = list
        .map(|entry| entry["index"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// A configuration for these indices of a cluster, with a `retention`.
pub(crate) fn home(address: &str, index: &str) -> Home {
    let home = Home::new();
    let section = format!("[elasticsearch]\nnodes = [\"{address}\"]\nindex = \"{index}\"\n");
    home.configure("retention = \"30d\"\n", &section);
    home
}

#[tokio::test]
async fn only_days_that_are_old_by_their_name_are_deleted() {
    for (family, address) in servers().clusters() {
        let name = unique("prune");
        let today = chrono::Utc::now().format("%Y.%m.%d");
        let old = [format!("{name}-2020.02.29"), format!("{name}-2026.01.01")];
        let kept = [
            format!("{name}-{today}"),
            format!("{name}-2020.02.30"),
            format!("{name}-2020.01.01-restored"),
            format!("x{name}-2020.01.01"),
        ];
        for index in old.iter().chain(&kept) {
            let path = format!("/{index}/_doc/1?refresh=true");
            let document = json!({"@timestamp": "2020-01-01T00:00:00Z"});
            ask(address, Method::Put, &path, Some(document)).await;
        }
        let path = format!("/{}/_close", old[1]);
        ask(address, Method::Post, &path, None).await;
        let all = indices(address, &name).await;
        assert_eq!(all.len(), 6, "{family}");

        let home = home(address, &format!("{name}-%Y.%m.%d"));
        let dry = home.end_of(&["prune", "--dry-run"]);
        assert_eq!(dry.code, Some(0), "{family}: {}", dry.words);
        for index in &old {
            assert!(
                dry.words.contains(index.as_str()),
                "{family}: {}",
                dry.words
            );
        }
        assert!(
            dry.words.contains("documents: 1"),
            "{family}: {}",
            dry.words
        );
        assert_eq!(indices(address, &name).await, all, "{family}");

        let pruned = home.end_of(&["prune"]);
        assert_eq!(pruned.code, Some(0), "{family}: {}", pruned.words);
        let mut expected = kept.to_vec();
        expected.sort();
        assert_eq!(indices(address, &name).await, expected, "{family}");
        let again = home.end_of(&["prune"]);
        assert!(
            again.words.contains("indices: 0 older, 1 younger"),
            "{}",
            again.words
        );
    }
}

/// If the server can delete by query, the documents are deleted; otherwise the command fails.
#[tokio::test]
async fn old_documents_without_a_time_are_deleted_and_their_index_stays() {
    for (family, address) in servers().clusters() {
        let name = unique("undated");
        let index = format!("{name}-unparsed");
        let (old, now) = ("2020-01-01T00:00:00Z", chrono::Utc::now().to_rfc3339());
        // a line without a time gets the time of a line before it, which may be long ago
        for (id, last, read) in [("1", now.as_str(), old), ("2", old, now.as_str())] {
            let path = format!("/{index}/_doc/{id}?refresh=true");
            let document = json!({"@timestamp": last, "event": {"created": read}});
            ask(address, Method::Put, &path, Some(document)).await;
        }
        let home = home(address, &format!("{name}-%Y.%m.%d"));
        let said = format!("documents of {index}: 1");
        let dry = home.end_of(&["prune", "--dry-run"]);
        assert!(dry.words.contains(&said), "{family}: {}", dry.words);
        let pruned = home.end_of(&["prune"]);
        ask(address, Method::Post, &format!("/{index}/_refresh"), None).await;
        let left = ask(address, Method::Get, &format!("/{index}/_count"), None).await;
        if pruned.code == Some(0) {
            assert_eq!(left["count"], 1, "{family}");
            ask(address, Method::Get, &format!("/{index}/_doc/2"), None).await;
        } else {
            assert!(
                pruned.words.contains("_delete_by_query"),
                "{family}: {}",
                pruned.words
            );
            assert_eq!(
                (pruned.code, &left["count"]),
                (Some(69), &json!(2)),
                "{family}"
            );
        }
    }
}

#[test]
fn prune_reports_targets_that_it_does_not_support() {
    let address = cluster_down();
    let home = Home::new();
    let section = format!("[elasticsearch]\nnodes = [\"{address}\"]\n");
    home.configure("", &section);
    let no_age = home.end_of(&["prune"]);
    assert_eq!(no_age.code, Some(64), "{}", no_age.words);
    assert!(
        no_age.words.contains("--older-than 30d"),
        "{}",
        no_age.words
    );
    let too_young = home.end_of(&["prune", "--older-than", "5m"]);
    assert_eq!(too_young.code, Some(64), "{}", too_young.words);
    let down = home.end_of(&["prune", "--older-than", "30d"]);
    assert_eq!(down.code, Some(69), "{}", down.words);
    let stream = format!("{section}data_stream = \"logs-nginx.access-default\"\n");
    home.configure("retention = \"30d\"\n", &stream);
    let streams = home.end_of(&["prune"]);
    assert_eq!(streams.code, Some(78), "{}", streams.words);
    assert!(streams.words.contains("logweir setup"), "{}", streams.words);
}

/// A wrong clock would delete data irrevocably, so it is first compared with that of the cluster.
#[test]
fn nothing_is_deleted_if_the_clock_is_far_ahead_of_the_clusters() {
    const INDICES: &str = r#"[{"index":"n-2020.01.01","docs.count":"7","store.size":"4096"}]"#;
    let now = chrono::Utc::now().timestamp();
    for (ahead, code) in [(2 * 3600, 78), (0, 0), (-2 * 3600, 0)] {
        let clock = format!(r#"[{{"epoch":"{}"}}]"#, now - ahead);
        let cluster = serve(&[
            ("/_cat/health", 200, "", &clock),
            ("/_cat/indices/n-*", 200, "", INDICES),
            ("/n-2020.01.01", 200, "", r#"{"acknowledged":true}"#),
        ]);
        let home = home(&cluster.url(), "n-%Y.%m.%d");
        let ended = home.end_of(&["prune"]);
        assert_eq!(ended.code, Some(code), "{ahead}: {}", ended.words);
        let deleted = ended
            .words
            .contains("  deleted  n-2020.01.01  documents: 7, 4.0 KiB");
        assert_eq!(deleted, code == 0, "{ahead}: {}", ended.words);
    }
}
