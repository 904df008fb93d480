//! The indices that OpenSearch manages by our policy already. Each keeps the version of the policy with which it began,
//! until it is told to follow another (OpenSearch, "Index State Management", "Managed indexes", "Change policy").
//!
//! Owns which indices are told. Invariant: only an index of which ISM itself says that it follows our policy is ever
//! named, and never a pattern. It guards against a deletion: `change_policy` switches whatever is named to our policy,
//! which deletes, also an index that somebody put under a policy of his own to keep it
//! (`TransportChangePolicyAction.kt` of OpenSearch's index-management asks of none which policy it follows).

use std::fmt;

use bytes::Bytes;
use serde_json::{Value, json};

use super::plan::Kind;
use super::survey::{Found, Object};
use super::{Client, Method, Names, SetupError, answer};

/// What the names in one request take at most: by default a node reads a request line of 4096 bytes
/// (`http.max_initial_line_length`).
const NAMES_BYTES: usize = 3000;

/// As many names as a message shows.
const SHOWN: usize = 3;

/// Where an explanation has the policy under which an index stands, whether or not its job has run.
const POLICY_ID: &str = "index.plugins.index_state_management.policy_id";

/// Indices under our policy that do not follow what the policy says, or is going to say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Followers {
    /// Their names, in order.
    pub(super) behind: Vec<String>,
    /// Why ISM would not say which they are.
    refused: Option<String>,
}

/// Asks which indices are behind; writes nothing.
pub(super) async fn look<C: Client>(
    client: &C,
    names: &Names,
    objects: &[Object],
) -> Result<Followers, SetupError<C::Error>> {
    let is_policy = |object: &&Object| object.step.kind == Kind::IsmPolicy;
    let Some(policy) = objects.iter().find(is_policy) else {
        return Ok(Followers::default());
    };
    let path = format!("/_plugins/_ism/explain/{}", names.pattern);
    let answer = answer::request(client, Method::Get, &path, None).await?;
    if answer.status == 404 {
        return Ok(Followers::default());
    }
    let explained = match answer::judge::<C::Error>(Method::Get, &path, answer) {
        Ok(explained) => explained,
        Err(error) => {
            return Ok(Followers {
                behind: Vec::new(),
                refused: Some(error.to_string()),
            });
        }
    };
    // what is put anew gets another version
    let present = match policy.found {
        Found::Equal => policy.version,
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
    Ok(Followers {
        behind,
        refused: None,
    })
}

/// Whether an index stands under this policy; `policy_id` differs from the other while ISM takes it to another.
fn is_under(index: &Value, policy: &str) -> bool {
    let is = |id: &Value| id.as_str() == Some(policy);
    index.get(POLICY_ID).is_some_and(is) && index.get("policy_id").is_none_or(is)
}

/// The version that an index follows; None before ISM has looked at it for the first time.
fn follows(index: &Value) -> Option<(u64, u64)> {
    let number = |key| index.get(key).and_then(Value::as_u64);
    number("policy_seq_no").zip(number("policy_primary_term"))
}

impl Followers {
    /// Tells each to follow the policy as it is now. The text is what came of it: what was refused is tried again by the
    /// next setup, which finds those indices behind as before.
    pub(super) async fn follow<C: Client>(
        &self,
        client: &C,
        policy: &str,
    ) -> Result<String, SetupError<C::Error>> {
        let (mut told, mut kept) = (0, Vec::new());
        for names in requests(&self.behind) {
            let path = format!("/_plugins/_ism/change_policy/{names}");
            let body = Bytes::from(json!({ "policy_id": policy }).to_string());
            let answer = answer::request(client, Method::Post, &path, Some(body)).await?;
            match answer::judge::<C::Error>(Method::Post, "/_plugins/_ism/change_policy", answer) {
                Ok(answer) => {
                    let count = answer.get("updated_indices").and_then(Value::as_u64);
                    told += count.unwrap_or(0);
                    kept.extend(failures(&answer));
                }
                Err(error) => {
                    let mut names = names.split(',').map(str::to_owned);
                    // the reason once
                    kept.extend(names.next().map(|name| format!("{name} ({error})")));
                    kept.extend(names);
                }
            }
        }
        let mut out = String::new();
        if told > 0 {
            out.push_str(&format!(
                "Managed indices that were told to follow the policy as it is now, which each does when ISM looks at it \
                 next: {told}.\n"
            ));
        }
        if !kept.is_empty() {
            out.push_str(&format!(
                "Warning: managed indices that keep an older version of the policy: {}: {}. The next logweir setup tells \
                 them again.\n",
                kept.len(),
                first(&kept)
            ));
        }
        if let Some(refused) = &self.refused {
            out.push_str(&not_told(refused));
        }
        Ok(out)
    }
}

/// Which would be told.
impl fmt::Display for Followers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.behind.is_empty() {
            writeln!(
                f,
                "Managed indices that would be told to follow the policy as it is then: {}: {}.",
                self.behind.len(),
                first(&self.behind)
            )?;
        }
        match &self.refused {
            Some(refused) => f.write_str(&not_told(refused)),
            None => Ok(()),
        }
    }
}

fn not_told(refused: &str) -> String {
    format!(
        "Warning: whether managed indices follow the policy as it is cannot be told: {refused}. Those that do not keep \
         an older version of it.\n"
    )
}

/// The names with commas, as many to a request as its first line holds.
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

/// The indices that an answer says were not told, each with the reason.
fn failures(answer: &Value) -> Vec<String> {
    let failed = answer.get("failed_indices").and_then(Value::as_array);
    let text = |of: &Value, key| {
        let text = of.get(key).and_then(Value::as_str).unwrap_or("?");
        answer::excerpt(text.as_bytes())
    };
    let failed = failed.into_iter().flatten();
    failed
        .map(|index| format!("{} ({})", text(index, "index_name"), text(index, "reason")))
        .collect()
}

/// The first few, and how many there are besides.
fn first(all: &[String]) -> String {
    let shown = all.iter().take(SHOWN);
    let shown: Vec<_> = shown.map(|name| answer::excerpt(name.as_bytes())).collect();
    let shown = shown.join(", ");
    match all.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
