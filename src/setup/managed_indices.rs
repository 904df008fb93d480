//! Updates the indices that OpenSearch already manages by our policy. Each keeps the policy version with which it
//! started, until a request changes it (OpenSearch, "Index State Management", "Managed indexes", "Change policy").
//!
//! Owns the choice of these indices. Invariant: a request names only indices that follow our policy according to ISM,
//! and never a pattern. It guards against a deletion: `change_policy` moves every named index to our policy, which
//! deletes, including an index that an operator keeps under another policy (`TransportChangePolicyAction.kt` of
//! OpenSearch's index-management does not check the policy that an index follows).

use std::fmt;

use bytes::Bytes;
use serde_json::{Value, json};

use super::plan::ObjectKind;
use super::survey::{ObjectState, SurveyedObject};
use super::{SetupError, TargetNames, response};
use crate::http::error_body::excerpt;
use crate::http::{Method, Transport};

/// Most bytes of names in one request: by default a node reads a request line of 4096 bytes
/// (`http.max_initial_line_length`).
const NAMES_BYTES: usize = 3000;

/// Most names that a message shows.
const SHOWN: usize = 3;

/// The key in ISM's explanation that holds an index's policy, whether or not its job has run.
const POLICY_ID: &str = "index.plugins.index_state_management.policy_id";

/// Indices under our policy that do not follow its present version, or the version about to be put.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ManagedIndices {
    /// Their names, in order.
    pub(super) behind: Vec<String>,
    /// Why ISM refused to list them.
    refused: Option<String>,
}

/// Asks ISM which indices are behind; writes nothing.
pub(super) async fn inspect<T: Transport>(
    client: &T,
    names: &TargetNames,
    objects: &[SurveyedObject],
) -> Result<ManagedIndices, SetupError<T::Error>> {
    let is_policy = |object: &&SurveyedObject| object.step.kind == ObjectKind::IsmPolicy;
    let Some(policy) = objects.iter().find(is_policy) else {
        return Ok(ManagedIndices::default());
    };
    let path = format!("/_plugins/_ism/explain/{}", names.pattern);
    let response = response::send(client, Method::Get, &path, None).await?;
    if response.status == 404 {
        return Ok(ManagedIndices::default());
    }
    let explained = match response::json::<T::Error>(Method::Get, &path, response) {
        Ok(explained) => explained,
        Err(error) => {
            return Ok(ManagedIndices {
                behind: Vec::new(),
                refused: Some(error.to_string()),
            });
        }
    };
    // a policy that setup is about to replace gets a new version
    let present = match policy.found {
        ObjectState::Equal => policy.version,
        _ => None,
    };
    let mut behind: Vec<String> = explained
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, index)| is_under(index, &policy.step.name))
        .filter(|(_, index)| present.is_none() || follows(index) != present)
        .map(|(name, _)| name.clone())
        .collect();
    behind.sort();
    Ok(ManagedIndices {
        behind,
        refused: None,
    })
}

/// Whether an index is under this policy; `policy_id` differs from the other key while ISM changes the policy.
fn is_under(index: &Value, policy: &str) -> bool {
    let is = |id: &Value| id.as_str() == Some(policy);
    index.get(POLICY_ID).is_some_and(is) && index.get("policy_id").is_none_or(is)
}

/// The policy version that an index follows; None before ISM's first job for it.
fn follows(index: &Value) -> Option<(u64, u64)> {
    let number = |key| index.get(key).and_then(Value::as_u64);
    number("policy_seq_no").zip(number("policy_primary_term"))
}

impl ManagedIndices {
    /// Makes each index follow the present policy version, and returns a text about the result. The next setup finds
    /// a refused index behind and tries again.
    pub(super) async fn follow<T: Transport>(
        &self,
        client: &T,
        policy: &str,
    ) -> Result<String, SetupError<T::Error>> {
        let (mut updated, mut kept) = (0, Vec::new());
        for names in requests(&self.behind) {
            let path = format!("/_plugins/_ism/change_policy/{names}");
            let body = Bytes::from(json!({ "policy_id": policy }).to_string());
            let response = response::send(client, Method::Post, &path, Some(body)).await?;
            match response::json::<T::Error>(Method::Post, "/_plugins/_ism/change_policy", response)
            {
                Ok(response) => {
                    let count = response.get("updated_indices").and_then(Value::as_u64);
                    updated += count.unwrap_or(0);
                    kept.extend(failures(&response));
                }
                Err(error) => {
                    let mut names = names.split(',').map(str::to_owned);
                    // show the reason once
                    kept.extend(names.next().map(|name| format!("{name} ({error})")));
                    kept.extend(names);
                }
            }
        }
        let mut out = String::new();
        if updated > 0 {
            out.push_str(&format!(
                "Managed indices that will follow the present version of the policy, each when ISM looks at it next: \
                 {updated}.\n"
            ));
        }
        if !kept.is_empty() {
            out.push_str(&format!(
                "Warning: managed indices that keep an older version of the policy: {}: {}. The next logweir setup \
                 tries again.\n",
                kept.len(),
                first(&kept)
            ));
        }
        if let Some(refused) = &self.refused {
            out.push_str(&unknown(refused));
        }
        Ok(out)
    }
}

/// The indices that an update would name.
impl fmt::Display for ManagedIndices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.behind.is_empty() {
            writeln!(
                f,
                "Managed indices that would follow the new version of the policy: {}: {}.",
                self.behind.len(),
                first(&self.behind)
            )?;
        }
        match &self.refused {
            Some(refused) => f.write_str(&unknown(refused)),
            None => Ok(()),
        }
    }
}

fn unknown(refused: &str) -> String {
    format!(
        "Warning: it is unknown whether managed indices follow the present version of the policy: {refused}. Indices that do not \
         follow it keep an older version.\n"
    )
}

/// The names joined with commas, split so that each fits into one request line.
fn requests(names: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for name in names {
        match out.last_mut() {
            Some(last) if last.len() + 1 + name.len() <= NAMES_BYTES => {
                last.push(',');
                last.push_str(name);
            }
            _ => out.push(name.clone()),
        }
    }
    out
}

/// The indices that the response lists as failed, each with the reason.
fn failures(response: &Value) -> Vec<String> {
    let failed = response.get("failed_indices").and_then(Value::as_array);
    let text = |of: &Value, key| {
        let text = of.get(key).and_then(Value::as_str).unwrap_or("?");
        excerpt(text.as_bytes())
    };
    let failed = failed.into_iter().flatten();
    failed
        .map(|index| format!("{} ({})", text(index, "index_name"), text(index, "reason")))
        .collect()
}

/// The first [`SHOWN`] names and the number of the others.
fn first(all: &[String]) -> String {
    let shown = all.iter().take(SHOWN);
    let shown: Vec<_> = shown.map(|name| excerpt(name.as_bytes())).collect();
    let shown = shown.join(", ");
    match all.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
