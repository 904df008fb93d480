//! What differs between what a cluster has and what would be put, leaf by leaf.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::plan::Kind;
use crate::text::{excerpt, safe};

/// As much of a value as a line shows.
const VALUE_CHARS: usize = 160;
/// As much of a leaf's path as a line shows, in bytes; ours have at most 80.
const PATH_BYTES: usize = 200;
/// Leaves of one object that are shown; ours have at most some hundreds.
const LEAVES: usize = 1000;

/// Whether the cluster holds what would be put, but for what servers add by themselves.
pub(super) fn same(kind: Kind, current: &Value, wanted: &Value) -> bool {
    differences(kind, current, wanted).is_empty()
}

/// A line for each leaf that differs, `-` for what goes and `+` for what comes.
pub(super) fn lines(kind: Kind, current: &Value, wanted: &Value) -> String {
    let mut out = String::new();
    let differences = differences(kind, current, wanted);
    let more = differences.len().saturating_sub(LEAVES);
    for (path, (old, new)) in differences.into_iter().take(LEAVES) {
        let path = excerpt(path.as_bytes(), PATH_BYTES);
        for (sign, value) in [('-', old), ('+', new)] {
            if let Some(value) = value {
                let _ = writeln!(out, "      {sign} {path}: {}", shown(&value));
            }
        }
    }
    if more > 0 {
        let _ = writeln!(out, "      … and {more} more");
    }
    out
}

type Differences = BTreeMap<String, (Option<Value>, Option<Value>)>;

fn differences(kind: Kind, current: &Value, wanted: &Value) -> Differences {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    leaves(String::new(), current, &mut old);
    leaves(String::new(), wanted, &mut new);
    let mut out = Differences::new();
    for (path, value) in &new {
        if old.get(path) != Some(value) {
            let before = old.get(path).cloned();
            out.insert(path.clone(), (before, Some(value.clone())));
        }
    }
    for (path, value) in old {
        if !new.contains_key(&path) && !by_server(kind, &path, &value) {
            out.insert(path, (Some(value), None));
        }
    }
    out
}

/// What a server adds to an object by itself: dates; in a policy of OpenSearch its
/// name, versions, how actions are repeated, and what they do not do (`copy_alias: false`).
fn by_server(kind: Kind, path: &str, value: &Value) -> bool {
    match kind {
        Kind::ComponentTemplate | Kind::IndexTemplate => {
            path.starts_with("created_date") || path.starts_with("modified_date")
        }
        Kind::IlmPolicy => false,
        Kind::IsmPolicy => {
            matches!(
                path,
                "policy_id" | "schema_version" | "last_updated_time" | "error_notification"
            ) || path.starts_with("user.")
                || path.ends_with(".last_updated_time")
                || path.contains(".retry.")
                || *value == Value::Bool(false)
        }
    }
}

/// Every leaf by its path. Whether there is a `data_stream` counts, and what servers fill it with does not.
fn leaves(path: String, value: &Value, out: &mut BTreeMap<String, Value>) {
    let dot = if path.is_empty() { "" } else { "." };
    match value {
        Value::Object(_) if path == "data_stream" => {
            out.insert(path, Value::Bool(true));
        }
        Value::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                leaves(format!("{path}{dot}{key}"), value, out);
            }
        }
        // the parts of a policy; any other list is one value
        Value::Array(values) if values.iter().any(Value::is_object) => {
            for (at, value) in values.iter().enumerate() {
                leaves(format!("{path}[{at}]"), value, out);
            }
        }
        Value::Null => {}
        value => {
            out.insert(path, value.clone());
        }
    }
}

fn shown(value: &Value) -> String {
    let text = safe(&value.to_string());
    match text.char_indices().nth(VALUE_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
