//! The soak's direct requests to Elasticsearch, past the proxy.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use ureq::Agent;

use super::oracle::Index;

/// All indices of the agent.
pub(super) const INDICES: &str = "nginx-access-*";
/// Documents fetched at once.
const PAGE: usize = 5000;
const ANSWER_BYTES: u64 = 1 << 30;
const WITHIN: Duration = Duration::from_secs(60);

/// A node.
pub(super) struct Cluster {
    url: String,
    agent: Agent,
}

/// One document, as far as the oracle cares.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) index: &'a str,
    pub(super) id: &'a str,
    pub(super) original: &'a str,
    pub(super) path: &'a str,
    pub(super) offset: u64,
    /// No format matches the line.
    pub(super) unparsed: bool,
}

impl Cluster {
    pub(super) fn new(url: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(WITHIN))
            .http_status_as_error(false)
            .build();
        Self {
            url: url.to_owned(),
            agent: config.into(),
        }
    }

    /// Sends `body`; none when it is null.
    pub(super) fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/{path}", self.url);
        let sent = match method {
            "POST" if body.is_null() => self.agent.post(&url).send_empty(),
            "PUT" => self.agent.put(&url).send_json(body),
            "POST" => self.agent.post(&url).send_json(body),
            "DELETE" => self.agent.delete(&url).force_send_body().send_json(body),
            _ => bail!("no such method: {method}"),
        };
        let mut answer = sent.with_context(|| format!("{method} {url}"))?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES)
            .read_to_vec()?;
        let said = || String::from_utf8_lossy(&text[..text.len().min(500)]).into_owned();
        ensure!(
            answer.status().is_success(),
            "{method} {url}: {}: {}",
            answer.status(),
            said()
        );
        serde_json::from_slice(&text).with_context(|| format!("{method} {url}: {}", said()))
    }

    /// Sets or lifts a block of all indices.
    pub(super) fn block(&self, block: &str, on: bool) -> Result<()> {
        let value = if on { json!(true) } else { Value::Null };
        let path = format!("{INDICES}/_settings");
        self.ask(
            "PUT",
            &path,
            &json!({ format!("index.blocks.{block}"): value }),
        )
        .map(drop)
    }

    /// Limits the shards of a node; `None` restores the default.
    pub(super) fn limit_shards(&self, limit: Option<u32>) -> Result<()> {
        let body = json!({"persistent": {"cluster.max_shards_per_node": limit}});
        self.ask("PUT", "_cluster/settings", &body).map(drop)
    }

    /// Closes an index, and creates it first if needed.
    pub(super) fn close(&self, index: &str) -> Result<()> {
        // Usually it exists.
        let _ = self.ask("PUT", index, &json!({}));
        self.ask("POST", &format!("{index}/_close"), &Value::Null)
            .map(drop)
    }

    /// Opens it.
    pub(super) fn open(&self, index: &str) -> Result<()> {
        self.ask("POST", &format!("{index}/_open"), &Value::Null)
            .map(drop)
    }

    /// Undoes every fault.
    pub(super) fn mend(&self) -> Result<()> {
        self.limit_shards(None)?;
        self.block("write", false)?;
        self.block("read_only_allow_delete", false)
    }
}

impl Index for Cluster {
    fn documents(&self, each: &mut dyn FnMut(Document<'_>)) -> Result<u64> {
        self.ask("POST", &format!("{INDICES}/_refresh"), &Value::Null)?;
        let opened = self.ask("POST", &format!("{INDICES}/_pit?keep_alive=5m"), &json!({}))?;
        let mut pit = opened["id"].clone();
        let mut after = Value::Null;
        let mut count = 0;
        loop {
            let mut query = json!({
                "size": PAGE,
                "track_total_hits": false,
                "pit": {"id": pit, "keep_alive": "5m"},
                "sort": [{"_shard_doc": "asc"}],
                "_source": ["event.original", "log", "tags"],
            });
            if !after.is_null() {
                query["search_after"] = after;
            }
            let found = self.ask("POST", "_search", &query)?;
            ensure!(
                found["_shards"]["failed"] == 0 && found["timed_out"] == false,
                "an incomplete search: {}",
                found["_shards"]
            );
            pit = found["pit_id"].clone();
            let hits = found["hits"]["hits"].as_array().context("no hits")?;
            for hit in hits {
                let source = &hit["_source"];
                each(Document {
                    index: hit["_index"].as_str().unwrap_or_default(),
                    id: hit["_id"].as_str().unwrap_or_default(),
                    original: source["event"]["original"].as_str().unwrap_or_default(),
                    path: source["log"]["file"]["path"].as_str().unwrap_or_default(),
                    offset: source["log"]["offset"].as_u64().unwrap_or(0),
                    unparsed: source["tags"]
                        .as_array()
                        .is_some_and(|tags| tags.iter().any(|tag| tag == "unparsed")),
                });
            }
            count += hits.len() as u64;
            match hits.last() {
                Some(last) if hits.len() == PAGE => after = last["sort"].clone(),
                _ => break,
            }
        }
        self.ask("DELETE", "_pit", &json!({"id": pit}))?;
        Ok(count)
    }
}
