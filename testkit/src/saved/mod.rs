//! The shipped saved objects, taken apart as Kibana takes them apart, and the requests that Kibana makes of them.
//!
//! Nothing of the product is used here but the file: what stands in it is read as Kibana reads it, and what is not
//! known fails. `cargo xtask dashboards --cost` asks the same requests.

pub mod dsl;
pub mod kuery;

use serde_json::Value;

const FILE: &str = include_str!("../../../kibana/logweir.ndjson");

/// Every object of the file.
pub fn objects() -> Vec<Value> {
    FILE.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// An attribute that is JSON within a string.
pub fn inner(object: &Value, path: &str) -> Value {
    let text = object.pointer(path).and_then(Value::as_str);
    let text = text.unwrap_or_else(|| panic!("{}: no text at {path}", object["id"]));
    serde_json::from_str(text).unwrap()
}

pub const SEARCH_SOURCE: &str = "/attributes/kibanaSavedObjectMeta/searchSourceJSON";

/// A dashboard with its panels.
pub struct Dashboard {
    pub id: String,
    /// How far back its time goes, in seconds.
    pub seconds: i64,
    /// The filter for the site, as it lies there: switched off.
    pub site_filter: Value,
    pub panels: Vec<Panel>,
}

/// A visualization or a saved search.
#[derive(Clone)]
pub struct Panel {
    pub id: String,
    /// `table`, `histogram`, …, or `search`.
    pub kind: String,
    /// In kuery.
    pub query: String,
    pub aggs: Vec<Value>,
    pub columns: Vec<String>,
}

impl Panel {
    fn of(object: &Value) -> Self {
        let source = inner(object, SEARCH_SOURCE);
        assert_eq!(source["query"]["language"], "kuery");
        assert_eq!(source["filter"], serde_json::json!([]));
        let is_search = object["type"] == "search";
        let state = if is_search {
            Value::Null
        } else {
            inner(object, "/attributes/visState")
        };
        let texts = |value: &Value| -> Vec<String> {
            let texts = value.as_array().into_iter().flatten();
            texts
                .map(|text| text.as_str().unwrap().to_owned())
                .collect()
        };
        Self {
            id: object["id"].as_str().unwrap().to_owned(),
            kind: if is_search {
                "search"
            } else {
                state["type"].as_str().unwrap()
            }
            .to_owned(),
            query: source["query"]["query"].as_str().unwrap().to_owned(),
            aggs: state["aggs"].as_array().cloned().unwrap_or_default(),
            columns: texts(&object["attributes"]["columns"]),
        }
    }
}

/// The dashboards in the order of the file.
pub fn dashboards() -> Vec<Dashboard> {
    let objects = objects();
    let of_type = |kind| objects.iter().filter(move |object| object["type"] == kind);
    let dashboards = of_type("dashboard").map(|dashboard| {
        let panels = inner(dashboard, "/attributes/panelsJSON");
        let panels = panels.as_array().unwrap().iter().map(|panel| {
            let references = dashboard["references"].as_array().unwrap();
            let name = &panel["panelRefName"];
            let to = references.iter().find(|to| &to["name"] == name).unwrap();
            let mut found = objects
                .iter()
                .filter(|object| object["type"] == to["type"] && object["id"] == to["id"]);
            Panel::of(found.next().unwrap_or_else(|| panic!("{to} is not there")))
        });
        let source = inner(dashboard, SEARCH_SOURCE);
        assert_eq!(source["query"]["query"], "");
        assert_eq!(dashboard["attributes"]["timeTo"], "now");
        Dashboard {
            id: dashboard["id"].as_str().unwrap().to_owned(),
            seconds: ago(dashboard["attributes"]["timeFrom"].as_str().unwrap()),
            site_filter: source["filter"][0].clone(),
            panels: panels.collect(),
        }
    });
    dashboards.collect()
}

/// `now-24h` in seconds.
fn ago(text: &str) -> i64 {
    let text = text.strip_prefix("now-").unwrap();
    let (number, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        other => panic!("what is {other}?"),
    };
    number.parse::<i64>().unwrap() * unit
}
