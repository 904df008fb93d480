//! A cluster in memory that checks the requests of setup: it refuses those that the documentation does not allow, and
//! responds in the documented shapes.
//!
//! Sources: Elasticsearch "Create or update lifecycle policy", "Get lifecycle policy", "Get index lifecycle management
//! status", "Index lifecycle settings", "Has privileges"; OpenSearch "Security API"; for ISM see [`ism`].
//! The responses for missing features were recorded from servers without them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod ism;

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::*;
use crate::http::{Method, Response};

pub(crate) use self::ism::Managed;

/// The fake's version, features and content.
pub(crate) struct Fake {
    pub(crate) family: Family,
    pub(crate) version: &'static str,
    /// Whether it has ILM or ISM.
    pub(crate) lifecycle: bool,
    /// The state in `GET /_ilm/status`.
    pub(crate) mode: &'static str,
    /// Unix seconds of its clock; None: the response has none.
    pub(crate) clock: Option<i64>,
    /// A write fails the test.
    pub(crate) read_only: bool,
    /// The objects that were put, by path.
    pub(crate) held: Mutex<BTreeMap<String, Value>>,
    /// The indices with their documents and bytes.
    pub(crate) indices: Mutex<BTreeMap<String, (u64, u64)>>,
    /// The documents of the index that queries search.
    pub(crate) documents: Mutex<BTreeMap<String, Vec<Value>>>,
    /// The indices with their state in ISM; None: ISM does not manage the index.
    pub(crate) managed: Mutex<BTreeMap<String, Option<Managed>>>,
    /// Fixed responses by request.
    pub(crate) fixed: BTreeMap<&'static str, (u16, &'static str)>,
    pub(crate) log: Mutex<Vec<String>>,
}

#[derive(Debug, thiserror::Error)]
#[error("connection refused")]
pub(crate) struct Refused;

type Reply = (u16, Value);

impl Fake {
    pub(crate) fn of(family: Family, version: &'static str) -> Self {
        Self {
            family,
            version,
            lifecycle: true,
            mode: "RUNNING",
            clock: None,
            read_only: false,
            held: Mutex::default(),
            indices: Mutex::default(),
            documents: Mutex::default(),
            managed: Mutex::default(),
            fixed: BTreeMap::new(),
            log: Mutex::default(),
        }
    }

    pub(crate) fn elasticsearch() -> Self {
        Self::of(Family::Elasticsearch, "8.19.21")
    }

    pub(crate) fn opensearch() -> Self {
        Self::of(Family::OpenSearch, "2.19.6")
    }

    pub(crate) fn answering(mut self, request: &'static str, answer: (u16, &'static str)) -> Self {
        self.fixed.insert(request, answer);
        self
    }

    pub(crate) fn with(self, path: &str, body: Value) -> Self {
        self.held.lock().unwrap().insert(path.to_owned(), body);
        self
    }

    pub(crate) fn held(&self, path: &str) -> Option<Value> {
        self.held.lock().unwrap().get(path).cloned()
    }

    /// Edits an object in the cluster.
    pub(crate) fn edit(&self, path: &str, pointer: &str, value: Value) {
        let mut held = self.held.lock().unwrap();
        *held.get_mut(path).unwrap().pointer_mut(pointer).unwrap() = value;
    }

    /// The writes since the last call.
    pub(crate) fn writes(&self) -> Vec<String> {
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        log.into_iter().filter(|line| is_write(line)).collect()
    }

    /// The settings that a new index of this name would get; `Err` where the cluster would refuse to create it.
    pub(crate) fn new_index(&self, index: &str) -> Result<Value, String> {
        let held = self.held.lock().unwrap();
        let templates = held
            .iter()
            .filter(|(path, _)| path.starts_with("/_index_template/"));
        let (_, winner) = templates
            .filter(|(_, template)| {
                let patterns = template["index_patterns"].as_array().unwrap();
                patterns.iter().any(|pattern| {
                    let pattern = pattern.as_str().unwrap();
                    let (head, tail) = pattern.split_once('*').unwrap_or((pattern, ""));
                    index.starts_with(head)
                        && index.ends_with(tail)
                        && (pattern.contains('*') || pattern == index)
                })
            })
            .max_by_key(|(_, template)| template["priority"].as_u64().unwrap_or(0))
            .ok_or("no template")?;
        // Elasticsearch, MetadataIndexTemplateService.resolveSettings: the template's own settings come last
        let mut settings = json!({});
        for component in winner["composed_of"].as_array().unwrap() {
            let path = format!("/_component_template/{}", component.as_str().unwrap());
            if let Some(part) = held.get(&path) {
                merge(&mut settings, &part["template"]["settings"]["index"]);
            }
        }
        merge(&mut settings, &winner["template"]["settings"]["index"]);
        let parses = settings.pointer("/lifecycle/parse_origination_date") == Some(&json!("true"));
        // Elasticsearch, IndexLifecycleOriginationDateParser
        let dated = regex::Regex::new(r"^.*-(\d{4}.\d{2}.\d{2})(-\d+)?$").unwrap();
        if parses && !dated.is_match(index) {
            return Err(format!("index name [{index}] does not match pattern"));
        }
        Ok(settings)
    }

    fn answer(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let open = self.family == Family::OpenSearch;
        match path.split('/').nth(1).unwrap() {
            "" => {
                let number = self.version;
                let distribution = if open { "opensearch" } else { "default" };
                (
                    200,
                    json!({"version": {"number": number, "distribution": distribution}}),
                )
            }
            "_component_template" => self.component(method, path, body),
            "_index_template" if path == "/_index_template" => self.all_templates(),
            "_index_template" => self.index_template(method, path, body),
            "_ilm" if !open && self.lifecycle => self.ilm(method, path, body),
            "_xpack" if !open && self.lifecycle => {
                let feature = json!({"available": true, "enabled": true});
                (200, json!({"features": {"ilm": feature}}))
            }
            "_plugins" if open && path.starts_with("/_plugins/_ism") && self.lifecycle => {
                self.ism(method, path, query, body)
            }
            "_cat" if path == "/_cat/health" => match self.clock {
                Some(clock) => (200, json!([{"epoch": clock.to_string()}])),
                None => error(403, "security_exception", "action is unauthorized"),
            },
            "_cat" => self.cat(path),
            name if !name.starts_with('_') => self.index(method, name, path, body),
            _ => no_handler(method, path),
        }
    }

    fn component(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        if let (Method::Put, Some(body)) = (method, &body) {
            only(body, &["_meta", "template", "version"]);
            if let Some(refusal) = self.unknown_setting(body) {
                return refusal;
            }
        }
        self.template(method, path, body, "component_template")
    }

    fn unknown_setting(&self, template: &Value) -> Option<Reply> {
        let known = self.lifecycle && self.family == Family::Elasticsearch;
        template
            .pointer("/template/settings/index/lifecycle")
            .filter(|_| !known)
            .map(|_| {
                let text = "unknown setting [index.lifecycle.name]";
                error(400, "illegal_argument_exception", text)
            })
    }

    fn index_template(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        if let (Method::Put, Some(body)) = (method, &body) {
            only(
                body,
                &[
                    "_meta",
                    "index_patterns",
                    "priority",
                    "composed_of",
                    "template",
                    "data_stream",
                    "ignore_missing_component_templates",
                    "allow_auto_create",
                ],
            );
            if let Some(refusal) = self.unknown_setting(body) {
                return refusal;
            }
            let open = self.family == Family::OpenSearch;
            let old = open || self.version.starts_with('7');
            for (key, unknown) in [
                ("ignore_missing_component_templates", old),
                ("allow_auto_create", open),
            ] {
                if unknown && body.get(key).is_some() {
                    let text = format!("[index_template] unknown field [{key}]");
                    return error(400, "x_content_parse_exception", &text);
                }
            }
            let may_miss = body["ignore_missing_component_templates"].as_array();
            for name in body["composed_of"].as_array().unwrap() {
                let there = format!("/_component_template/{}", name.as_str().unwrap());
                let held = self.held.lock().unwrap().contains_key(&there);
                if !held && !may_miss.is_some_and(|names| names.contains(name)) {
                    let text = format!("specifies component templates [{name}] that do not exist");
                    return error(400, "invalid_index_template_exception", &text);
                }
            }
        }
        self.template(method, path, body, "index_template")
    }

    fn template(&self, method: Method, path: &str, body: Option<Value>, kind: &str) -> Reply {
        match (method, body) {
            (Method::Put, Some(body)) => self.keep(path, body),
            (Method::Get, _) => match self.held(path) {
                Some(content) => {
                    let entry = json!({"name": "any", kind: content});
                    (200, json!({format!("{kind}s"): [entry]}))
                }
                None => error(404, "resource_not_found_exception", "not found"),
            },
            _ => no_handler(method, path),
        }
    }

    fn all_templates(&self) -> Reply {
        let held = self.held.lock().unwrap();
        let all = held.iter().filter_map(|(path, template)| {
            let name = path.strip_prefix("/_index_template/")?;
            Some(json!({"name": name, "index_template": template}))
        });
        (200, json!({"index_templates": all.collect::<Vec<_>>()}))
    }

    fn ilm(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        if path == "/_ilm/status" {
            return (200, json!({"operation_mode": self.mode}));
        }
        let name = path.strip_prefix("/_ilm/policy/").unwrap();
        match (method, body) {
            (Method::Put, Some(body)) => {
                only(&body, &["policy"]);
                only(&body["policy"], &["_meta", "phases"]);
                only(
                    &body["policy"]["phases"],
                    &["hot", "warm", "cold", "frozen", "delete"],
                );
                for (phase, content) in body["policy"]["phases"].as_object().unwrap() {
                    only(content, &["min_age", "actions"]);
                    is_time(&content["min_age"]);
                    let actions: &[&str] = match phase.as_str() {
                        "hot" => &["rollover"],
                        _ => &["delete"],
                    };
                    only(&content["actions"], actions);
                }
                self.keep(path, body["policy"].clone())
            }
            (Method::Get, _) => match self.held(path) {
                Some(policy) => (
                    200,
                    json!({name: {
                        "version": 1, "modified_date": "2026-11-23T05:41:00.000Z", "policy": policy,
                        "in_use_by": {"indices": [], "data_streams": [], "composable_templates": []},
                    }}),
                ),
                None => {
                    let text = format!("Lifecycle policy not found: {name}");
                    error(404, "resource_not_found_exception", &text)
                }
            },
            _ => no_handler(method, path),
        }
    }

    fn cat(&self, path: &str) -> Reply {
        let wildcard = path.strip_prefix("/_cat/indices/").unwrap();
        let (head, tail) = wildcard.split_once('*').unwrap();
        let indices = self.indices.lock().unwrap();
        let all = indices
            .iter()
            // the fake's wildcard matches more than a server's, so that no code relies on the server's
            .filter(|(name, _)| name.contains(head.trim_end_matches('-')) && name.ends_with(tail))
            .map(|(name, (documents, bytes))| {
                json!({"index": name, "docs.count": documents.to_string(), "store.size": bytes.to_string()})
            });
        (200, all.collect())
    }

    fn index(&self, method: Method, name: &str, path: &str, body: Option<Value>) -> Reply {
        let mut indices = self.indices.lock().unwrap();
        let there = indices.get(name).copied();
        let missing = error(
            404,
            "index_not_found_exception",
            &format!("no such index [{name}]"),
        );
        match (method, path.split('/').nth(2)) {
            (Method::Delete, None) => {
                assert!(!name.contains(['*', ',']), "{name}");
                match indices.remove(name) {
                    Some(_) => (200, json!({"acknowledged": true})),
                    None => missing,
                }
            }
            // no index has this setting
            (Method::Get, Some("_settings")) if name.contains('*') || there.is_some() => {
                (200, json!({}))
            }
            (Method::Get, Some("_settings")) => missing,
            (Method::Post, Some(_)) if there.is_none() => missing,
            (Method::Post, Some(what)) => {
                let query = body.unwrap();
                let mut all = self.documents.lock().unwrap();
                let documents = all.entry(name.to_owned()).or_default();
                let matching = documents
                    .iter()
                    .filter(|one| is_before(one, &query))
                    .count();
                match what {
                    "_count" => (200, json!({"count": matching})),
                    "_delete_by_query" => {
                        documents.retain(|one| !is_before(one, &query));
                        (200, json!({"deleted": matching, "failures": []}))
                    }
                    _ => no_handler(method, path),
                }
            }
            _ => no_handler(method, path),
        }
    }

    fn keep(&self, path: &str, body: Value) -> Reply {
        self.held.lock().unwrap().insert(path.to_owned(), body);
        (200, json!({"acknowledged": true}))
    }
}

/// Overwrites the leaves of `settings` with those of `more`.
fn merge(settings: &mut Value, more: &Value) {
    match (settings, more) {
        (Value::Object(settings), Value::Object(more)) => {
            for (key, value) in more {
                merge(settings.entry(key).or_insert_with(|| json!({})), value);
            }
        }
        (_, Value::Null) => {}
        (settings, more) => *settings = more.clone(),
    }
}

fn is_write(request: &str) -> bool {
    let asks = ["GET ", "POST /_security/user/_has_privileges"];
    let counts = request.starts_with("POST ") && request.ends_with("/_count");
    !counts && !asks.iter().any(|ask| request.starts_with(ask))
}

fn no_handler(method: Method, path: &str) -> Reply {
    let text = format!(
        "no handler found for uri [{path}] and method [{}]",
        method.as_str()
    );
    (400, json!({"error": text}))
}

fn error(status: u16, kind: &str, reason: &str) -> Reply {
    let error = json!({"type": kind, "reason": reason});
    (status, json!({"error": error, "status": status}))
}

/// Whether a range query without a lower bound matches a document.
fn is_before(document: &Value, query: &Value) -> bool {
    only(query, &["query"]);
    only(&query["query"], &["range"]);
    let range = query["query"]["range"].as_object().unwrap();
    let time = |value: &Value| {
        value
            .as_str()
            .unwrap()
            .parse::<chrono::DateTime<chrono::Utc>>()
    };
    range.iter().all(|(field, range)| {
        only(range, &["lt"]);
        let value = field
            .split('.')
            .try_fold(document, |value, key| value.get(key));
        value.is_some_and(|value| time(value).unwrap() < time(&range["lt"]).unwrap())
    })
}

fn only(object: &Value, known: &[&str]) {
    for key in object.as_object().unwrap().keys() {
        assert!(known.contains(&key.as_str()), "unknown field [{key}]");
    }
}

fn is_time(value: &Value) {
    let text = value.as_str().unwrap();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    assert!(["d", "h", "m", "s", "ms"].contains(&unit), "{text}");
}

impl Transport for Fake {
    type Error = Refused;

    async fn request(
        &self,
        method: Method,
        path: &str,
        _headers: &[(&'static str, &'static str)],
        body: Option<Bytes>,
    ) -> Result<Response, Refused> {
        let request = response::request_line(method, path);
        self.log.lock().unwrap().push(request.clone());
        if let Some((status, body)) = self.fixed.get(request.as_str()) {
            return if *status == 0 {
                Err(Refused)
            } else {
                Ok(Response::new(*status, body.as_bytes()))
            };
        }
        assert!(!self.read_only || !is_write(&request), "a write: {request}");
        let body = body.map(|body| serde_json::from_slice(&body).unwrap());
        let (status, body) = self.answer(method, path, body);
        Ok(Response::new(status, body.to_string()))
    }
}
