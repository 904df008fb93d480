//! Requests to the measured server.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// A server without security.
pub(crate) struct Node {
    pub(crate) address: String,
}

#[derive(Clone, Copy)]
pub(crate) enum Method {
    Get,
    Put,
    Post,
    Delete,
}

/// The size of an index.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) documents: u64,
    pub(super) bytes: u64,
}

/// The size of one field, by `_disk_usage`.
pub(super) struct FieldSize {
    pub(super) name: String,
    pub(super) total: u64,
    pub(super) inverted: u64,
    pub(super) stored: u64,
    pub(super) doc_values: u64,
    pub(super) points: u64,
}

impl Node {
    /// Sends a request; a refusal is an error with its words.
    pub(crate) fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let url = format!("{}{path}", self.address);
        let with_body = |request: ureq::RequestBuilder<ureq::typestate::WithBody>| {
            let request = request.config().http_status_as_error(false).build();
            match body {
                Some(body) => request.send_json(body),
                None => request.send_empty(),
            }
        };
        let without = |request: ureq::RequestBuilder<ureq::typestate::WithoutBody>| {
            request.config().http_status_as_error(false).build().call()
        };
        let mut answer = match method {
            Method::Get => without(ureq::get(&url)),
            Method::Delete => without(ureq::delete(&url)),
            Method::Put => with_body(ureq::put(&url)),
            Method::Post => with_body(ureq::post(&url)),
        }?;
        let text = answer.body_mut().read_to_string()?;
        ensure!(
            answer.status().is_success(),
            "{path}: {}: {text}",
            answer.status()
        );
        serde_json::from_str(&text).with_context(|| format!("{path}: not JSON: {text}"))
    }

    /// Indexes documents, given as lines of the bulk API.
    pub(crate) fn bulk(&self, lines: &str) -> Result<()> {
        let mut answer = ureq::post(&format!("{}/_bulk?filter_path=errors", self.address))
            .header("content-type", "application/x-ndjson")
            .send(lines)?;
        let text = answer.body_mut().read_to_string()?;
        ensure!(text.contains("false"), "_bulk: {text}");
        Ok(())
    }

    /// Makes one segment of an index.
    pub(super) fn merge(&self, index: &str) -> Result<()> {
        for path in [
            "_forcemerge?max_num_segments=1",
            "_flush?force=true",
            "_refresh",
        ] {
            self.ask(Method::Post, &format!("/{index}/{path}"), None)?;
        }
        Ok(())
    }

    /// What the one segment of an index takes, all its files. `_stats` and `_cat/indices` say the same but for the
    /// file that names the segments, and say it only seconds later.
    pub(super) fn size(&self, index: &str) -> Result<Size> {
        let answer = self.ask(Method::Get, &format!("/{index}/_segments"), None)?;
        let mut found = Vec::new();
        let shards = answer
            .pointer(&format!("/indices/{index}/shards"))
            .and_then(Value::as_object)
            .context("no shards")?;
        for copy in shards.values().filter_map(Value::as_array).flatten() {
            let segments = copy.get("segments").and_then(Value::as_object);
            found.extend(segments.into_iter().flat_map(|segments| segments.values()));
        }
        let [segment] = found[..] else {
            bail!("{} segments after a merge into one", found.len());
        };
        let number = |key: &str| segment.get(key).and_then(Value::as_u64).context("no size");
        Ok(Size {
            documents: number("num_docs")?,
            bytes: number("size_in_bytes")?,
        })
    }

    /// The size of each field, the largest first. Elasticsearch only.
    pub(super) fn fields(&self, index: &str) -> Result<Vec<FieldSize>> {
        let path = format!("/{index}/_disk_usage?run_expensive_tasks=true");
        let answer = self.ask(Method::Post, &path, None)?;
        let fields = answer
            .get(index)
            .and_then(|index| index.get("fields")?.as_object())
            .context("no fields")?;
        let mut sizes: Vec<FieldSize> = fields
            .iter()
            .map(|(name, field)| {
                let number =
                    |pointer: &str| field.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
                FieldSize {
                    name: name.clone(),
                    total: number("/total_in_bytes"),
                    inverted: number("/inverted_index/total_in_bytes"),
                    stored: number("/stored_fields_in_bytes"),
                    doc_values: number("/doc_values_in_bytes"),
                    points: number("/points_in_bytes"),
                }
            })
            .collect();
        sizes.sort_by_key(|field| std::cmp::Reverse(field.total));
        Ok(sizes)
    }
}
