//! The saved objects that the program ships, adapted to the configured indices.
//!
//! Owns the mark that identifies an object in Kibana as ours, and the stamp in it that identifies this version;
//! [`content`](super::content) decides whether the object is unchanged. Kibana refuses unknown attributes, but keeps a
//! description unchanged, and for an object without a description the parameters of a field's format: they hold the
//! mark.
//!
//! Since Kibana 8.0 an id is unique across all spaces (Kibana documentation, "Sharing saved objects", "Overview":
//! share-capable and shareable types). An import of an id that another space has creates a copy under a generated id,
//! which setup would not find again. So in a space other than the default, our ids contain the space's name, in every
//! version of Kibana.

use serde_json::{Value, json};

use super::content;
use crate::config;

/// Generated from `kibana/source/` by `cargo xtask dashboards`.
const SHIPPED: &str = include_str!("../../../kibana/logweir.ndjson");

/// The mark at the end of a description; setup adds the stamp before the closing bracket.
const MARK: &str = "[logweir]";
const MARK_HEAD: &str = "[logweir ";

/// Prefix of all our ids.
pub(super) const NAMESPACE: &str = "logweir-";
/// The space that every Kibana has; it uses the ids of the shipped file, as does a Kibana without spaces.
pub(in crate::setup) const DEFAULT_SPACE: &str = "default";

/// The only type without a description.
const INDEX_PATTERN: &str = "index-pattern";
/// The attribute and the pointer in its JSON text that hold the mark of an index pattern.
const FORMATS: &str = "fieldFormatMap";
const MARKED_FORMAT: &str = "/event.duration/params/managed_by";

/// Length of the stamp: enough of the content's hash to distinguish versions.
const STAMP_HEX: usize = 8;

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedObject {
    /// `dashboard`, `visualization`, `search` or `index-pattern`.
    pub kind: String,
    /// Its id; ours start with `logweir-`, in a space other than the default with `logweir-SPACE-`.
    pub id: String,
    /// The title that Kibana shows.
    pub title: String,
    pub(super) mark: String,
    body: Value,
}

impl SavedObject {
    /// Type and id for messages: `dashboard logweir-traffic`.
    pub fn name(&self) -> String {
        format!("{} {}", self.kind, self.id)
    }

    /// The object in the form for the import.
    pub fn body(&self) -> &Value {
        &self.body
    }

    fn new(mut body: Value, pattern: &str, space: Option<&str>) -> Self {
        if let Some(space) = space {
            move_to(space, &mut body);
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = text(&body["type"]);
        if kind == INDEX_PATTERN {
            body["attributes"]["title"] = json!(pattern);
        }
        let hash = blake3::hash(body.to_string().as_bytes()).to_hex();
        let stamp = hash.get(..STAMP_HEX).unwrap_or_default();
        let mark = format!("{MARK_HEAD}{stamp}]");
        let attribute = if kind == INDEX_PATTERN {
            FORMATS
        } else {
            "description"
        };
        let marked = text(&body["attributes"][attribute]).replace(MARK, &mark);
        body["attributes"][attribute] = json!(marked);
        Self {
            id: text(&body["id"]),
            title: text(&body["attributes"]["title"]),
            kind,
            mark,
            body,
        }
    }

    /// Classifies the object that Kibana holds under our id.
    pub(super) fn recognise(&self, held: &Value) -> SavedObjectState {
        let attributes = &held["attributes"];
        let marked = if self.kind == INDEX_PATTERN {
            let formats = attributes[FORMATS].as_str().unwrap_or_default();
            let formats: Value = serde_json::from_str(formats).unwrap_or_default();
            let mark = formats.pointer(MARKED_FORMAT);
            mark.and_then(Value::as_str).map(str::to_owned)
        } else {
            attributes["description"].as_str().map(str::to_owned)
        };
        let mark = marked.as_deref().and_then(mark_at_end);
        match mark {
            None => SavedObjectState::Foreign,
            Some(mark) if mark == self.mark => {
                let differences = content::differences(&self.body, held);
                if differences.is_empty() {
                    SavedObjectState::Equal
                } else {
                    SavedObjectState::Changed(differences)
                }
            }
            Some(_) => SavedObjectState::Older,
        }
    }
}

/// Text before an id in links of markdown and field formats to a dashboard.
const LINK: &str = "#/view/";

/// Changes the ids in the object, its references and its links to those of the space. A test checks that no other part
/// of an object contains ids.
fn move_to(space: &str, body: &mut Value) {
    let (from, to) = (
        format!("{LINK}{NAMESPACE}"),
        format!("{LINK}{NAMESPACE}{space}-"),
    );
    let attributes = body["attributes"].as_object_mut();
    for (_, attribute) in attributes.into_iter().flatten() {
        if let Value::String(text) = attribute {
            *text = text.replace(&from, &to);
        }
    }
    let moved = |id: &mut Value| {
        let name = id.as_str().and_then(|id| id.strip_prefix(NAMESPACE));
        if let Some(name) = name {
            *id = json!(format!("{NAMESPACE}{space}-{name}"));
        }
    };
    moved(&mut body["id"]);
    let references = body["references"].as_array_mut();
    for reference in references.into_iter().flatten() {
        moved(&mut reference["id"]);
    }
}

/// `[logweir]` or `[logweir 0a1b2c3d]` at the end of a text.
fn mark_at_end(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let start = text.rfind('[')?;
    let mark = text.get(start..)?;
    (mark == MARK || (mark.starts_with(MARK_HEAD) && mark.ends_with(']'))).then_some(mark)
}

/// State of an object in Kibana.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SavedObjectState {
    /// Kibana does not have it.
    Missing,
    /// It equals ours.
    Equal,
    /// Of this version and for these indices, but edited since: a description of each change.
    Changed(Vec<String>),
    /// Ours, of another version or for other indices.
    Older,
    /// It lacks our mark: another owner's, or taken over by somebody.
    Foreign,
}

/// All objects in the order of import.
#[derive(Debug, Clone)]
pub struct SavedObjects {
    objects: Vec<SavedObject>,
}

impl SavedObjects {
    /// The objects for the configured indices in a space of Kibana.
    pub fn of(target: &config::IndexTarget, space: Option<&str>) -> Self {
        Self::for_pattern(&target.wildcard(), space)
    }

    /// The objects for the indices that match `pattern`.
    pub fn for_pattern(pattern: &str, space: Option<&str>) -> Self {
        let space = space.filter(|space| *space != DEFAULT_SPACE);
        // The file is part of the program; a test reads each of its lines.
        let objects = SHIPPED
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .map(|body| SavedObject::new(body, pattern, space))
            .collect();
        Self { objects }
    }

    /// Each object.
    pub fn objects(&self) -> &[SavedObject] {
        &self.objects
    }

    /// The file for an import by hand.
    pub fn ndjson(&self) -> String {
        ndjson(&self.objects)
    }
}

/// One line for each object.
pub(super) fn ndjson<'o>(objects: impl IntoIterator<Item = &'o SavedObject>) -> String {
    let mut text = String::new();
    for object in objects {
        text.push_str(&object.body.to_string());
        text.push('\n');
    }
    text
}
