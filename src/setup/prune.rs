//! Deletes whole indices by the time in their names, for clusters that do not do so by themselves.
//!
//! Owns the rule what may go: an index whose name the setting `index` gives exactly, when all the time that it can hold
//! is over and long enough ago. Refuses to know now(). Invariant: nothing else is ever named in a DELETE, and never a
//! pattern. It guards against a deletion by a wrong name or a wrong clock, which nothing brings back.

use bytes::Bytes;
use chrono::{DateTime, NaiveTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{Client, Method, SetupError, answer};
use crate::config::IndexPattern;

/// An index that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Old {
    /// Its name.
    pub name: String,
    /// What the cluster counts in it; None for a closed one.
    pub documents: Option<u64>,
    /// Its size with all replicas.
    pub bytes: Option<u64>,
}

/// What of a cluster is older than a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ripe {
    /// Indices that may go, the oldest first.
    pub indices: Vec<Old>,
    /// How many hold something younger.
    pub younger: usize,
    /// Documents in the index of lines without a readable time; None where there is no such index.
    pub unparsed: Option<u64>,
}

/// Looks what is older than `before`; writes nothing.
pub(crate) async fn ripe<C: Client>(
    client: &C,
    pattern: &IndexPattern,
    before: DateTime<Utc>,
) -> Result<Ripe, SetupError<C::Error>> {
    let path = format!(
        "/_cat/indices/{}?format=json&bytes=b&h=index,docs.count,store.size&expand_wildcards=open,closed",
        pattern.wildcard()
    );
    let list = answer::accepted(client, Method::Get, &path, None).await?;
    let Some(list) = list.as_array() else {
        return Err(SetupError::Incomprehensible {
            request: answer::name(Method::Get, &path),
            body: answer::excerpt(list.to_string().as_bytes()),
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
        let old = Old {
            name: name.to_owned(),
            documents: number("docs.count"),
            bytes: number("store.size"),
        };
        indices.push((end, old));
    }
    indices.sort_by_key(|(end, _)| *end);
    let unparsed = if has_unparsed {
        Some(count_unparsed(client, pattern, before).await?)
    } else {
        None
    };
    Ok(Ripe {
        indices: indices.into_iter().map(|(_, old)| old).collect(),
        younger,
        unparsed,
    })
}

/// Deletes one index; that it is gone already, by a life cycle or another prune, is as good.
pub(crate) async fn delete<C: Client>(client: &C, index: &Old) -> Result<(), SetupError<C::Error>> {
    let path = format!("/{}", index.name);
    let answer = answer::request(client, Method::Delete, &path, None).await?;
    if answer.status == 404 {
        return Ok(());
    }
    answer::judge(Method::Delete, &path, answer).map(drop)
}

/// Deletes the old documents of the index of lines without a readable time, and says how many. The index itself stays:
/// its name tells no time, and it may hold a line of this minute.
pub(crate) async fn delete_unparsed<C: Client>(
    client: &C,
    pattern: &IndexPattern,
    before: DateTime<Utc>,
) -> Result<u64, SetupError<C::Error>> {
    let path = format!("/{}/_delete_by_query?conflicts=proceed", pattern.unparsed());
    let body = answer::accepted(client, Method::Post, &path, Some(older(before))).await?;
    Ok(body.get("deleted").and_then(Value::as_u64).unwrap_or(0))
}

async fn count_unparsed<C: Client>(
    client: &C,
    pattern: &IndexPattern,
    before: DateTime<Utc>,
) -> Result<u64, SetupError<C::Error>> {
    let path = format!("/{}/_count", pattern.unparsed());
    let body = answer::accepted(client, Method::Post, &path, Some(older(before))).await?;
    Ok(body.get("count").and_then(Value::as_u64).unwrap_or(0))
}

/// What was read before this time, which each document has. `@timestamp` will not do: of a line without a time it is that
/// of the last line before it that had one, and so may be old in a document of this minute.
fn older(before: DateTime<Utc>) -> Bytes {
    let before = before.to_rfc3339_opts(SecondsFormat::Millis, true);
    let query = json!({ "query": { "range": { "event.created": { "lt": before } } } });
    Bytes::from(query.to_string())
}
