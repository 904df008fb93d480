//! Compares an object in Kibana with the one that setup put there.
//!
//! Owns the changes that Kibana itself makes to an object that nobody edited. Kibana 7.10 and OpenSearch Dashboards
//! return objects unchanged. Later versions migrate them (seen on 8.12.2): a panel's title moves up one level, the names
//! of references get the panel's number as a prefix, charts get new parameters. Invariant: an edit of a query, an
//! aggregation, a text, a filter, a position or a time is a difference; parameters that Kibana adds to a chart are not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::http::error_body::excerpt;

/// Attributes that Kibana rewrites: it counts the uses of each field there, and reloads the list from the indices.
const OF_KIBANA: &[&str] = &["fields"];
/// Keys of a panel that depend on the object it shows, or on Kibana's version.
const OF_PANEL: &[&str] = &["type", "version"];
/// Parameters that newer versions rename.
const RENAMED: &[&str] = &["addLegend"];

/// Describes each difference between the object in Kibana and the one that was put, with its path.
pub(super) fn differences(put: &Value, held: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let (wanted, there) = (parsed(&put["attributes"]), parsed(&held["attributes"]));
    for (name, wanted) in wanted.as_object().into_iter().flatten() {
        if !OF_KIBANA.contains(&name.as_str()) {
            let there = there.get(name).unwrap_or(&Value::Null);
            compare(name, wanted, there, &mut found);
        }
    }
    let (wanted, there) = (references(put), references(held));
    if wanted != there {
        let names = |of: &BTreeMap<String, String>| json!(of).to_string();
        found.push(difference("references", &names(&wanted), &names(&there)));
    }
    found
}

/// Parses each text that holds JSON, and brings panels into one form.
fn parsed(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(['{', '[']) => {
            serde_json::from_str(text).map_or_else(|_| value.clone(), |inner| parsed(&inner))
        }
        Value::Array(list) => list.iter().map(parsed).collect(),
        Value::Object(map) => {
            let mut map: serde_json::Map<String, Value> = map
                .iter()
                .map(|(key, value)| (key.clone(), parsed(value)))
                .collect();
            if map.contains_key("gridData") {
                map.retain(|key, _| !OF_PANEL.contains(&key.as_str()));
                let config = map.get_mut("embeddableConfig");
                if let Some(config) = config.and_then(Value::as_object_mut) {
                    config.retain(|_, value| *value != json!({}));
                    if let Some(title) = config.remove("title") {
                        map.insert("title".to_owned(), title);
                    }
                }
            }
            Value::Object(map)
        }
        other => other.clone(),
    }
}

fn compare(at: &str, put: &Value, held: &Value, found: &mut Vec<String>) {
    match (put, held) {
        (Value::Object(put), Value::Object(held)) => {
            let is_chart = at.starts_with("visState.params");
            for (key, wanted) in put {
                match held.get(key) {
                    Some(there) => compare(&format!("{at}.{key}"), wanted, there, found),
                    None if is_chart && RENAMED.contains(&key.as_str()) => {}
                    None => found.push(difference(
                        &format!("{at}.{key}"),
                        &wanted.to_string(),
                        "none",
                    )),
                }
            }
            for (key, there) in held.iter().filter(|_| !is_chart) {
                if !put.contains_key(key) {
                    found.push(difference(
                        &format!("{at}.{key}"),
                        "none",
                        &there.to_string(),
                    ));
                }
            }
        }
        (Value::Array(put), Value::Array(held)) if put.len() == held.len() => {
            for (number, (put, held)) in put.iter().zip(held).enumerate() {
                compare(&format!("{at}[{number}]"), put, held, found);
            }
        }
        _ if put == held => {}
        _ => found.push(difference(at, &put.to_string(), &held.to_string())),
    }
}

/// The references by name; newer versions write `3:panel_3` for `panel_3`.
fn references(object: &Value) -> BTreeMap<String, String> {
    let list = object["references"].as_array().into_iter().flatten();
    list.map(|to| {
        let text = |key: &str| to[key].as_str().unwrap_or_default();
        let name = text("name");
        let name = match name.split_once(":panel_") {
            Some((number, rest)) if number == rest => &name[number.len() + 1..],
            _ => name,
        };
        (name.to_owned(), format!("{} {}", text("type"), text("id")))
    })
    .collect()
}

fn difference(at: &str, put: &str, held: &str) -> String {
    let short = |text: &str| excerpt(text.as_bytes());
    format!("{at}: {} instead of {}", short(held), short(put))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shipped(id: &str) -> Value {
        let file = include_str!("../../../kibana/logweir.ndjson");
        let mut objects = file
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        objects.find(|object| object["id"] == id).unwrap()
    }

    /// Rewrites an attribute that is JSON in a text.
    fn within(object: &mut Value, attribute: &str, change: impl FnOnce(&mut Value)) {
        let text = object["attributes"][attribute].as_str().unwrap();
        let mut inner: Value = serde_json::from_str(text).unwrap();
        change(&mut inner);
        object["attributes"][attribute] = json!(inner.to_string());
    }

    #[test]
    fn every_object_equals_itself() {
        for line in include_str!("../../../kibana/logweir.ndjson").lines() {
            let object: Value = serde_json::from_str(line).unwrap();
            assert_eq!(differences(&object, &object), [""; 0]);
        }
    }

    /// The changes are those of Kibana 8.12.2.
    #[test]
    fn the_migrations_of_a_newer_kibana_are_no_difference() {
        let put = shipped("logweir-rate-abuse");
        let mut held = put.clone();
        within(&mut held, "panelsJSON", |panels| {
            for panel in panels.as_array_mut().unwrap() {
                let config = panel["embeddableConfig"].as_object_mut().unwrap();
                let title = config.remove("title").unwrap();
                config.insert("enhancements".to_owned(), json!({}));
                panel["title"] = title;
                panel["type"] = json!("visualization");
                panel["version"] = json!("8.12.2");
            }
        });
        for to in held["references"].as_array_mut().unwrap() {
            let name = to["name"].as_str().unwrap();
            if let Some(number) = name.strip_prefix("panel_") {
                to["name"] = json!(format!("{number}:{name}"));
            }
        }
        assert_eq!(differences(&put, &held), [""; 0]);

        let put = shipped("logweir-traffic-duration");
        let mut held = put.clone();
        within(&mut held, "visState", |state| {
            state["params"]["palette"] = json!({"name": "kibana_palette"});
            state["params"]["detailedTooltip"] = json!(true);
            state["params"]["seriesParams"][0]["circlesRadius"] = json!(1);
        });
        assert_eq!(differences(&put, &held), [""; 0]);

        let put = shipped("logweir-sites");
        let mut held = put.clone();
        within(&mut held, "visState", |state| {
            let params = state["params"].as_object_mut().unwrap();
            params.remove("addLegend");
            params.insert("legendDisplay".to_owned(), json!("show"));
        });
        assert_eq!(differences(&put, &held), [""; 0]);

        let put = shipped("logweir-nginx-access");
        let mut held = put.clone();
        within(&mut held, "fields", |fields| fields[7]["count"] = json!(12));
        assert_eq!(differences(&put, &held), [""; 0]);
    }

    #[test]
    fn an_edit_by_hand_is_a_difference_with_its_path() {
        let put = shipped("logweir-rate-abuse-over");
        type Change = fn(&mut Value);
        let changes: [(&str, Change); 4] = [
            ("title", |held| held["attributes"]["title"] = json!("Mine")),
            ("visState.aggs[1].params.size", |held| {
                within(held, "visState", |state| {
                    state["aggs"][1]["params"]["size"] = json!(5);
                });
            }),
            ("visState.aggs[3].params.json.min_doc_count", |held| {
                within(held, "visState", |state| {
                    let json = state["aggs"][3]["params"]["json"].as_str().unwrap();
                    let json = json.replace("1000", "999");
                    state["aggs"][3]["params"]["json"] = json!(json);
                });
            }),
            (
                "kibanaSavedObjectMeta.searchSourceJSON.query.query",
                |held| {
                    let meta = &mut held["attributes"]["kibanaSavedObjectMeta"];
                    let text = meta["searchSourceJSON"].as_str().unwrap();
                    let text = text.replace(r#""query":"""#, r#""query":"url.domain: a""#);
                    meta["searchSourceJSON"] = json!(text);
                },
            ),
        ];
        for (path, change) in changes {
            let mut held = put.clone();
            change(&mut held);
            let found = differences(&put, &held);
            assert_eq!(found.len(), 1, "{path}: {found:?}");
            assert!(found[0].starts_with(&format!("{path}: ")), "{found:?}");
        }

        let put = shipped("logweir-rate-abuse");
        let mut held = put.clone();
        within(&mut held, "panelsJSON", |panels| {
            panels.as_array_mut().unwrap().pop();
        });
        held["references"].as_array_mut().unwrap().pop();
        let found = differences(&put, &held);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("panelsJSON: "), "{found:?}");
        assert!(found[1].starts_with("references: "), "{found:?}");
    }
}
