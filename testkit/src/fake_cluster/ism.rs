//! ISM of the fake cluster: policies, managed indices, and the jobs that ISM runs by itself.
//!
//! Sources: OpenSearch "ISM API", "Managed indexes"; of its plugin index-management `TransportExplainAction.kt`,
//! `ExplainResponse.kt`, `ManagedIndexMetaData.kt`, `TransportChangePolicyAction.kt`, `ManagedIndexRunner.kt`.

use serde_json::{Map, Value, json};

use super::management::{Management, Reply, error, is_time, no_handler, only};

/// An index that ISM manages.
#[derive(Debug, Clone, PartialEq)]
pub struct Managed {
    /// The policy that it follows.
    pub policy: String,
    /// Sequence number and primary term of the policy version that it follows; None: its job has not run yet.
    pub version: Option<(u64, u64)>,
    /// It is in transition to another state.
    pub in_transition: bool,
    /// The policy that its next job changes to.
    pub change: Option<String>,
}

/// The longest request line that a node accepts by default.
const LINE_BYTES: usize = 4096;

impl Management {
    /// Puts an index under the present version of a policy.
    pub fn manage(&self, index: &str, policy: &str) {
        let managed = Managed {
            policy: policy.to_owned(),
            version: Some(self.version_of(policy)),
            in_transition: false,
            change: None,
        };
        self.known_to_ism(index, Some(managed));
    }

    /// The state of an index in ISM.
    pub fn known_to_ism(&self, index: &str, managed: Option<Managed>) {
        let mut all = self.managed.lock().unwrap();
        all.insert(index.to_owned(), managed);
    }

    /// The policy of an index and the version that it follows.
    pub fn follows(&self, index: &str) -> (String, Option<(u64, u64)>) {
        let managed = self.managed.lock().unwrap()[index].clone().unwrap();
        (managed.policy, managed.version)
    }

    /// Runs ISM's job for each managed index.
    pub fn run_ism(&self) {
        let mut all = self.managed.lock().unwrap();
        for managed in all.values_mut().flatten() {
            if let Some(policy) = managed.change.take() {
                managed.policy = policy;
                managed.version = None;
            }
            if managed.version.is_none() {
                managed.version = Some(self.version_of(&managed.policy));
            }
        }
    }

    pub fn version_of(&self, policy: &str) -> (u64, u64) {
        let held = self.held(&format!("/_plugins/_ism/policies/{policy}"));
        // the fake does not hold foreign policies
        (held.map_or(2, |held| held["seq"].as_u64().unwrap()), 1)
    }

    pub(super) fn ism(&self, method: &str, path: &str, query: &str, body: Option<Value>) -> Reply {
        let line = format!("{} {path} HTTP/1.1", method);
        if line.len() > LINE_BYTES {
            return error(
                400,
                "too_long_http_line_exception",
                "An HTTP line is larger",
            );
        }
        if let Some(indices) = path.strip_prefix("/_plugins/_ism/explain/") {
            assert_eq!((method, body), ("GET", None));
            return self.explain(indices);
        }
        if let Some(indices) = path.strip_prefix("/_plugins/_ism/change_policy/") {
            assert_eq!(method, "POST");
            return self.change_policy(indices, &body.unwrap());
        }
        if path == "/_plugins/_ism/policies" {
            return (200, json!({"policies": [], "total_policies": 0}));
        }
        self.policy(method, path, query, body)
    }

    /// Explains each index of the expression, managed or not.
    fn explain(&self, indices: &str) -> Reply {
        let mut out = Map::new();
        let all = self.managed.lock().unwrap();
        let named = |name: &str| indices.split(',').any(|part| names(part, name));
        let mut total = 0;
        for (name, managed) in all.iter().filter(|(name, _)| named(name)) {
            let id = managed.as_ref().map(|managed| managed.policy.clone());
            let mut index = json!({
                "index.plugins.index_state_management.policy_id": id,
                "index.opendistro.index_state_management.policy_id": id,
                "enabled": managed.as_ref().map(|_| true),
            });
            if let Some(managed) = managed {
                total += 1;
                index["index"] = json!(name);
                index["index_uuid"] = json!(format!("uuid of {name}"));
                index["policy_id"] = json!(managed.policy);
                if let Some((sequence, term)) = managed.version {
                    index["policy_seq_no"] = json!(sequence);
                    index["policy_primary_term"] = json!(term);
                }
            }
            out.insert(name.clone(), index);
        }
        out.insert("total_managed_indices".to_owned(), json!(total));
        (200, Value::Object(out))
    }

    /// Changes the policy of every named index, including one that follows another policy.
    fn change_policy(&self, indices: &str, body: &Value) -> Reply {
        if indices.is_empty() {
            return error(400, "illegal_argument_exception", "Missing index");
        }
        only(body, &["policy_id", "state", "include"]);
        let policy = body["policy_id"].as_str().unwrap();
        if self
            .held(&format!("/_plugins/_ism/policies/{policy}"))
            .is_none()
        {
            let text = format!("Could not find policy={policy}");
            return error(404, "status_exception", &text);
        }
        let mut all = self.managed.lock().unwrap();
        for part in indices.split(',') {
            if !part.contains('*') && !all.contains_key(part) {
                let text = format!("no such index [{part}]");
                return error(404, "index_not_found_exception", &text);
            }
        }
        let (mut updated, mut failed) = (0, Vec::new());
        let named = |name: &str| indices.split(',').any(|part| names(part, name));
        for (name, managed) in all.iter_mut().filter(|(name, _)| named(name)) {
            let reason = match managed {
                None => "This index is not being managed",
                Some(managed) if managed.in_transition => {
                    "Cannot change policy while transitioning to new state"
                }
                Some(managed) => {
                    managed.change = Some(policy.to_owned());
                    updated += 1;
                    continue;
                }
            };
            let uuid = format!("uuid of {name}");
            failed.push(json!({"index_name": name, "index_uuid": uuid, "reason": reason}));
        }
        let failures = !failed.is_empty();
        (
            200,
            json!({"updated_indices": updated, "failures": failures, "failed_indices": failed}),
        )
    }

    fn policy(&self, method: &str, path: &str, query: &str, body: Option<Value>) -> Reply {
        let name = path.strip_prefix("/_plugins/_ism/policies/").unwrap();
        let held = self.held(path);
        match (method, body) {
            ("PUT", Some(body)) => {
                only(&body, &["policy"]);
                only(
                    &body["policy"],
                    &["description", "default_state", "states", "ism_template"],
                );
                for state in body["policy"]["states"].as_array().unwrap() {
                    only(state, &["name", "actions", "transitions"]);
                    for transition in state["transitions"].as_array().unwrap() {
                        only(transition, &["state_name", "conditions"]);
                        for age in transition["conditions"].as_object().unwrap().values() {
                            is_time(age);
                        }
                    }
                }
                let seen = held.map(|policy| policy["seq"].as_u64().unwrap());
                let expected = seen.map(|seq| format!("if_seq_no={seq}&if_primary_term=1"));
                if expected.as_deref().unwrap_or("") != query {
                    let text = "version conflict, document already exists";
                    return error(409, "version_conflict_engine_exception", text);
                }
                let seq = seen.map_or(7, |seq| seq + 1);
                self.keep(path, json!({"seq": seq, "policy": body["policy"]}))
            }
            ("GET", _) => match held {
                Some(held) => {
                    let mut policy = held["policy"].clone();
                    let fields = policy.as_object_mut().unwrap();
                    fields.insert("policy_id".to_owned(), name.into());
                    fields.insert("schema_version".to_owned(), 19.into());
                    fields.insert("last_updated_time".to_owned(), 1_795_424_499_813_u64.into());
                    fields.insert("error_notification".to_owned(), Value::Null);
                    for state in policy["states"].as_array_mut().unwrap() {
                        for action in state["actions"].as_array_mut().unwrap() {
                            if let Some(rollover) = action.get_mut("rollover") {
                                rollover["copy_alias"] = false.into();
                            }
                            action["retry"] =
                                json!({"count": 3, "backoff": "exponential", "delay": "1m"});
                        }
                    }
                    policy["ism_template"][0]["last_updated_time"] = 1_795_424_499_813_u64.into();
                    let seq = &held["seq"];
                    let text = json!({
                        "_id": name, "_version": 1, "_seq_no": seq, "_primary_term": 1, "policy": policy,
                    });
                    (200, text)
                }
                None => error(404, "status_exception", "Policy not found"),
            },
            _ => no_handler(method, path),
        }
    }
}

/// Whether a part of an index expression matches an index or its data stream.
fn names(part: &str, index: &str) -> bool {
    let behind = index.strip_prefix(".ds-").unwrap_or(index);
    match part.split_once('*') {
        None => part == index,
        Some((head, tail)) => behind.starts_with(head) && behind.ends_with(tail),
    }
}
