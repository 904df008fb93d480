//! Compares an object in a cluster with the planned one, leaf by leaf.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::plan::ObjectKind;
use crate::text::{excerpt, safe};

/// Most characters of a value in a line.
const VALUE_CHARS: usize = 160;
/// Most bytes of a leaf's path in a line; ours have at most 80.
const PATH_BYTES: usize = 200;
/// Most leaves of one object that are shown; ours have a few hundred.
const LEAVES: usize = 1000;

/// Whether the objects are equal, apart from what servers add by themselves.
pub(super) fn same(kind: ObjectKind, current: &Value, wanted: &Value) -> bool {
    differences(kind, current, wanted).is_empty()
}

/// A line for each leaf that differs: `-` with the old value, `+` with the new one.
pub(super) fn lines(kind: ObjectKind, current: &Value, wanted: &Value) -> String {
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

fn differences(kind: ObjectKind, current: &Value, wanted: &Value) -> Differences {
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

/// Whether a server added this leaf by itself: dates; in an OpenSearch policy also its name, versions, the retries of
/// actions, and options that are off (`copy_alias: false`).
fn by_server(kind: ObjectKind, path: &str, value: &Value) -> bool {
    match kind {
        ObjectKind::ComponentTemplate | ObjectKind::IndexTemplate => {
            path.starts_with("created_date") || path.starts_with("modified_date")
        }
        ObjectKind::IlmPolicy => false,
        ObjectKind::IsmPolicy => {
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

/// Collects every leaf by its path. The presence of `data_stream` counts; the content that servers fill in does not.
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
        // a list of objects holds the parts of a policy; any other list is one value
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
