//! Deletes whole indices by the time in their names, for clusters that have no life-cycle service.
//!
//! Owns the rule for deletion: an index may go when its name has exactly the form of the setting `index` and its whole
//! period is older than the limit. Refuses to know the current time. Invariant: a DELETE names only such an index, and
//! never a pattern. It guards against irrevocable deletions by a wrong name or a wrong clock.

use bytes::Bytes;
use chrono::{DateTime, NaiveTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{SetupError, response};
use crate::config::IndexPattern;
use crate::http::error_body::excerpt;
use crate::http::{Method, Transport};

/// An index that may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExpiredIndex {
    /// Its name.
    pub name: String,
    /// Its number of documents; None for a closed index.
    pub documents: Option<u64>,
    /// Its size with all replicas.
    pub bytes: Option<u64>,
}

/// The indices and documents of a cluster that are older than a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expired {
    /// Indices that may be deleted, the oldest first.
    pub indices: Vec<ExpiredIndex>,
    /// Number of indices that hold something younger.
    pub younger: usize,
    /// Number of documents in the index of lines without a readable time; None without such an index.
    pub unparsed: Option<u64>,
}

/// Finds what is older than `before`; writes nothing.
pub(crate) async fn find_expired<T: Transport>(
    client: &T,
    pattern: &IndexPattern,
    before: DateTime<Utc>,
) -> Result<Expired, SetupError<T::Error>> {
    let path = format!(
        "/_cat/indices/{}?format=json&bytes=b&h=index,docs.count,store.size&expand_wildcards=open,closed",
        pattern.wildcard()
    );
    let list = response::accepted(client, Method::Get, &path, None).await?;
    let Some(list) = list.as_array() else {
        return Err(SetupError::Incomprehensible {
            request: response::request_line(Method::Get, &path),
            body: excerpt(list.to_string().as_bytes()),
        });
    };
    let mut indices = Vec::new();
    let (mut younger, mut has_unparsed) = (0, false);
    for entry in list {
        let text = |key| entry.get(key).and_then(Value::as_str);
        let Some(name) = text("index") else { continue };
        has_unparsed |= name == pattern.unparsed();
        let Some(end) = pattern.end(name) else {
            continue;
        };
        if end.and_time(NaiveTime::MIN).and_utc() > before {
            younger += 1;
            continue;
        }
        let number = |key| text(key).and_then(|text| text.parse().ok());
        let index = ExpiredIndex {
            name: name.to_owned(),
            documents: number("docs.count"),
            bytes: number("store.size"),
        };
        indices.push((end, index));
    }
    indices.sort_by_key(|(end, _)| *end);
    let unparsed = if has_unparsed {
        Some(count_unparsed(client, pattern, before).await?)
    } else {
        None
    };
    Ok(Expired {
        indices: indices.into_iter().map(|(_, index)| index).collect(),
        younger,
        unparsed,
    })
}

/// Deletes one index; success also if a life cycle or another prune has deleted it already.
pub(crate) async fn delete<T: Transport>(
    client: &T,
    index: &ExpiredIndex,
) -> Result<(), SetupError<T::Error>> {
    let path = format!("/{}", index.name);
    let response = response::send(client, Method::Delete, &path, None).await?;
    if response.status == 404 {
        return Ok(());
    }
    response::json(Method::Delete, &path, response).map(drop)
}

/// Deletes the old documents from the index of lines without a readable time, and returns their number. The index itself
/// stays: its name has no time, and it may hold a line of this minute.
pub(crate) async fn delete_unparsed<T: Transport>(
    client: &T,
    pattern: &IndexPattern,
    before: DateTime<Utc>,
) -> Result<u64, SetupError<T::Error>> {
    let path = format!("/{}/_delete_by_query?conflicts=proceed", pattern.unparsed());
    let body = response::accepted(client, Method::Post, &path, Some(older(before))).await?;
    Ok(body.get("deleted").and_then(Value::as_u64).unwrap_or(0))
}

async fn count_unparsed<T: Transport>(
    client: &T,
    pattern: &IndexPattern,
    before: DateTime<Utc>,
) -> Result<u64, SetupError<T::Error>> {
    let path = format!("/{}/_count", pattern.unparsed());
    let body = response::accepted(client, Method::Post, &path, Some(older(before))).await?;
    Ok(body.get("count").and_then(Value::as_u64).unwrap_or(0))
}

/// A query for documents that were read before this time. Every document has `event.created`. `@timestamp` does not
/// work: a line without a time takes that of the last line with one, so it may be old in a document of this minute.
fn older(before: DateTime<Utc>) -> Bytes {
    let before = before.to_rfc3339_opts(SecondsFormat::Millis, true);
    let query = json!({ "query": { "range": { "event.created": { "lt": before } } } });
    Bytes::from(query.to_string())
}
