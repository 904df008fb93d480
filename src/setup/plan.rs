//! What is put, and under which names: the shipped files, renamed to follow the setting `index` or `data_stream`.

use serde_json::{Value, json};

use super::{Family, Method};
use crate::config;

/// The name under which the shipped files stand; replaced where the setting gives another.
const SHIPPED_NAME: &str = "nginx-access";

/// `_meta.managed_by` of what is ours.
const MANAGED_BY: &str = "logweir";

/// A shipped file: what it is, its name's end, its text for Elasticsearch and for OpenSearch.
type Shipped = (Kind, &'static str, &'static str, &'static str);

macro_rules! shipped {
    ($kind:expr, $suffix:literal, $file:literal) => {
        (
            $kind,
            $suffix,
            include_str!(concat!("../../mappings/elasticsearch/", $file)),
            include_str!(concat!("../../mappings/opensearch/", $file)),
        )
    };
}

/// In the order in which they are put: the index template names the component templates, which must be there.
const COMPONENTS: [Shipped; 2] = [
    shipped!(
        Kind::ComponentTemplate,
        "@mappings",
        "component-mappings.json"
    ),
    shipped!(
        Kind::ComponentTemplate,
        "@settings",
        "component-settings.json"
    ),
];

/// The template of daily indices.
const DAILY: Shipped = shipped!(Kind::IndexTemplate, "", "index-template.json");

/// The template of data streams, of the same components.
const STREAM: Shipped = shipped!(Kind::IndexTemplate, "", "data-stream-template.json");

/// What a step puts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A building block of index templates.
    ComponentTemplate,
    /// What a new index takes its settings and mappings from.
    IndexTemplate,
}

impl Kind {
    /// As messages name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ComponentTemplate => "component template",
            Self::IndexTemplate => "index template",
        }
    }

    fn endpoint(self) -> &'static str {
        match self {
            Self::ComponentTemplate => "_component_template",
            Self::IndexTemplate => "_index_template",
        }
    }

    /// The object itself inside the answer to a GET.
    pub(super) fn content(self, answer: &Value) -> Option<&Value> {
        let (list, entry) = match self {
            Self::ComponentTemplate => ("component_templates", "component_template"),
            Self::IndexTemplate => ("index_templates", "index_template"),
        };
        answer.get(list)?.get(0)?.get(entry)
    }
}

/// One thing to put.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it is.
    pub kind: Kind,
    /// Its name in the cluster.
    pub name: String,
    /// How it is put.
    pub method: Method,
    /// Where it is put.
    pub path: String,
    /// What is put.
    pub body: Value,
}

/// The names that follow the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The index template; its component templates are `NAME@mappings` and `NAME@settings`.
    pub template: String,
    /// The indices, or data streams, it is for.
    pub pattern: String,
    /// One of them: the index of lines without a readable time, or the data stream itself.
    pub example: String,
    /// It is for data streams.
    pub stream: bool,
}

impl Names {
    /// The names for a setting.
    pub fn of(place: &config::Target) -> Self {
        Self {
            template: place.template(),
            pattern: place.wildcard(),
            example: place.example(),
            stream: place.stream().is_some(),
        }
    }
}

/// What is to be put into a cluster of this family, in order.
pub fn plan(family: Family, names: &Names) -> Vec<Step> {
    let index = if names.stream { STREAM } else { DAILY };
    COMPONENTS
        .iter()
        .chain([&index])
        .map(|(kind, suffix, elasticsearch, opensearch)| {
            let text = match family {
                Family::Elasticsearch => elasticsearch,
                Family::OpenSearch => opensearch,
            };
            let name = format!("{}{suffix}", names.template);
            let path = format!("/{}/{name}", kind.endpoint());
            Step {
                kind: *kind,
                name,
                method: Method::Put,
                path,
                body: renamed(text, names),
            }
        })
        .collect()
}

/// Whether an object in a cluster was put by logweir.
pub(super) fn is_ours(content: &Value) -> bool {
    let managed_by = content.get("_meta").and_then(|meta| meta.get("managed_by"));
    managed_by.and_then(Value::as_str) == Some(MANAGED_BY)
}

/// A shipped file with the names that follow the setting.
fn renamed(text: &str, names: &Names) -> Value {
    // The files are part of the program; a test parses each of them.
    let mut body: Value = serde_json::from_str(text).unwrap_or_default();
    rename_components(&mut body, &names.template);
    if let Some(patterns) = body.get_mut("index_patterns") {
        *patterns = json!([names.pattern]);
    }
    body
}

/// Puts the template's name into each reference to a component template, wherever it stands.
fn rename_components(value: &mut Value, template: &str) {
    match value {
        Value::String(text) => {
            *text = text.replace(&format!("{SHIPPED_NAME}@"), &format!("{template}@"));
        }
        Value::Array(values) => {
            values
                .iter_mut()
                .for_each(|value| rename_components(value, template));
        }
        Value::Object(entries) => {
            entries
                .values_mut()
                .for_each(|value| rename_components(value, template));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
