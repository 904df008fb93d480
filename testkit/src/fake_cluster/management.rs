//! The management API of the fake cluster, as setup uses it: it refuses requests that the documentation does not allow,
//! and responds in the documented shapes.
//!
//! Sources: Elasticsearch "Create or update lifecycle policy", "Get lifecycle policy", "Get index lifecycle management
//! status", "Index lifecycle settings", "Has privileges"; OpenSearch "Security API"; for ISM see `ism`.
//! The responses for missing features were recorded from servers without them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::ism::Managed;

/// Which of the two a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Elasticsearch,
    OpenSearch,
}

/// The version, the features and the content of the cluster.
#[derive(Debug)]
pub struct Management {
    pub family: Family,
    pub version: &'static str,
    /// Whether it has ILM or ISM.
    pub lifecycle: bool,
    /// The state in `GET /_ilm/status`.
    pub mode: &'static str,
    /// Unix seconds of its clock; None: the response has none.
    pub clock: Option<i64>,
    /// A write fails the test.
    pub read_only: bool,
    /// The objects that were put, by path.
    pub held: Mutex<BTreeMap<String, Value>>,
    /// The indices with their documents and bytes.
    pub indices: Mutex<BTreeMap<String, (u64, u64)>>,
    /// The documents of the index that queries search.
    pub documents: Mutex<BTreeMap<String, Vec<Value>>>,
    /// The indices with their state in ISM; None: ISM does not manage the index.
    pub managed: Mutex<BTreeMap<String, Option<Managed>>>,
    /// Fixed responses by request.
    pub fixed: BTreeMap<&'static str, (u16, &'static str)>,
    pub log: Mutex<Vec<String>>,
}

pub(super) type Reply = (u16, Value);

impl Default for Management {
    /// A cluster that was assembled without the full distribution: it does not say what it is.
    fn default() -> Self {
        let nothing = (405, r#"{"error":"Incorrect HTTP method","status":405}"#);
        Self::elasticsearch()
            .answering("GET /", nothing)
            .answering("HEAD /", nothing)
    }
}

impl Management {
    pub fn of(family: Family, version: &'static str) -> Self {
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

    pub fn elasticsearch() -> Self {
        Self::of(Family::Elasticsearch, "8.19.21")
    }

    pub fn opensearch() -> Self {
        Self::of(Family::OpenSearch, "2.19.6")
    }

    pub fn answering(mut self, request: &'static str, answer: (u16, &'static str)) -> Self {
        self.fixed.insert(request, answer);
        self
    }

    pub fn with(self, path: &str, body: Value) -> Self {
        self.held.lock().unwrap().insert(path.to_owned(), body);
        self
    }

    pub fn held(&self, path: &str) -> Option<Value> {
        self.held.lock().unwrap().get(path).cloned()
    }

    /// Edits an object in the cluster.
    pub fn edit(&self, path: &str, pointer: &str, value: Value) {
        let mut held = self.held.lock().unwrap();
        *held.get_mut(path).unwrap().pointer_mut(pointer).unwrap() = value;
    }

    /// The writes since the last call.
    pub fn writes(&self) -> Vec<String> {
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        log.into_iter().filter(|line| is_write(line)).collect()
    }

    /// The settings that a new index of this name would get; `Err` where the cluster would refuse to create it.
    pub fn new_index(&self, index: &str) -> Result<Value, String> {
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
        if parses && !has_date(index) {
            return Err(format!("index name [{index}] does not match pattern"));
        }
        Ok(settings)
    }

    /// The response to a request, status and body; None: nobody listens.
    ///
    /// # Panics
    ///
    /// When the request is none that the documentation allows, or is a write that the test rules out.
    pub fn respond(&self, method: &str, path: &str, body: Option<&[u8]>) -> Option<(u16, String)> {
        let request = format!("{method} {path}");
        self.log.lock().unwrap().push(request.clone());
        if let Some((status, body)) = self.fixed.get(request.as_str()) {
            return (*status != 0).then(|| (*status, (*body).to_owned()));
        }
        assert!(!self.read_only || !is_write(&request), "a write: {request}");
        let body = body.map(|body| serde_json::from_slice(body).unwrap());
        let (status, body) = self.answer(method, path, body);
        Some((status, body.to_string()))
    }

    fn answer(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
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

    fn component(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        if let ("PUT", Some(body)) = (method, &body) {
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

    fn index_template(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        if let ("PUT", Some(body)) = (method, &body) {
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
            for name in body["composed_of"].as_array().into_iter().flatten() {
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

    fn template(&self, method: &str, path: &str, body: Option<Value>, kind: &str) -> Reply {
        match (method, body) {
            ("PUT", Some(body)) => self.keep(path, body),
            ("GET", _) => match self.held(path) {
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

    fn ilm(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        if path == "/_ilm/status" {
            return (200, json!({"operation_mode": self.mode}));
        }
        let name = path.strip_prefix("/_ilm/policy/").unwrap();
        match (method, body) {
            ("PUT", Some(body)) => {
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
            ("GET", _) => match self.held(path) {
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
            // this wildcard matches more than a server's, so that no code relies on the server's
            .filter(|(name, _)| name.contains(head.trim_end_matches('-')) && name.ends_with(tail))
            .map(|(name, (documents, bytes))| {
                json!({"index": name, "docs.count": documents.to_string(), "store.size": bytes.to_string()})
            });
        (200, all.collect())
    }

    fn index(&self, method: &str, name: &str, path: &str, body: Option<Value>) -> Reply {
        let mut indices = self.indices.lock().unwrap();
        let there = indices.get(name).copied();
        let missing = error(
            404,
            "index_not_found_exception",
            &format!("no such index [{name}]"),
        );
        match (method, path.split('/').nth(2)) {
            ("DELETE", None) => {
                assert!(!name.contains(['*', ',']), "{name}");
                match indices.remove(name) {
                    Some(_) => (200, json!({"acknowledged": true})),
                    None => missing,
                }
            }
            // no index has this setting
            ("GET", Some("_settings")) if name.contains('*') || there.is_some() => (200, json!({})),
            ("GET", Some("_settings")) => missing,
            ("POST", Some(_)) if there.is_none() => missing,
            ("POST", Some(what)) => {
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

    pub(super) fn keep(&self, path: &str, body: Value) -> Reply {
        self.held.lock().unwrap().insert(path.to_owned(), body);
        (200, json!({"acknowledged": true}))
    }
}

/// Whether the name of an index has a date at its end, before a number or not (Elasticsearch,
/// IndexLifecycleOriginationDateParser: `^.*-(\d{4}.\d{2}.\d{2})(-\d+)?$`).
fn has_date(index: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let ends_with_date = |name: &str| {
        let date = name.len().checked_sub(11).and_then(|at| name.get(at..));
        date.is_some_and(|date| {
            let parts = (date.get(..1), date.get(1..5), date.get(6..8), date.get(9..));
            matches!(parts, (Some("-"), Some(year), Some(month), Some(day))
                if [year, month, day].into_iter().all(is_number))
        })
    };
    let numbered = index
        .rsplit_once('-')
        .filter(|(_, number)| is_number(number));
    ends_with_date(index) || numbered.is_some_and(|(name, _)| ends_with_date(name))
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

pub(super) fn no_handler(method: &str, path: &str) -> Reply {
    let text = format!("no handler found for uri [{path}] and method [{}]", method);
    (400, json!({"error": text}))
}

pub(super) fn error(status: u16, kind: &str, reason: &str) -> Reply {
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

pub(super) fn only(object: &Value, known: &[&str]) {
    for key in object.as_object().unwrap().keys() {
        assert!(known.contains(&key.as_str()), "unknown field [{key}]");
    }
}

pub(super) fn is_time(value: &Value) {
    let text = value.as_str().unwrap();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    assert!(["d", "h", "m", "s", "ms"].contains(&unit), "{text}");
}
