//! The saved objects that the program carries, made to fit the configured indices.
//!
//! Owns the mark by which an object in Kibana is known as ours, and the stamp in it by which it is known as one of this
//! version; whether it still is what was put, [`content`](super::content) judges. Kibana refuses attributes that it does
//! not know. What it keeps as it came is a description, and, where an object has none, the parameters of a field's
//! format: there the mark stands.
//!
//! From Kibana 8.0 on an id is one object's in all spaces together (Kibana documentation, "Sharing saved objects",
//! "Overview": share-capable and shareable types), and an import of an id that another space has puts a copy under an
//! id of Kibana's choice, which nobody finds again. So in a space of its own each id of ours carries the space's name,
//! in every version alike.

use serde_json::{Value, json};

use super::content;
use crate::config;

/// Made of `kibana/source/` by `cargo xtask dashboards`.
const SHIPPED: &str = include_str!("../../../kibana/logweir.ndjson");

/// At the end of a description; with the stamp before the closing bracket once it was put by setup.
const MARK: &str = "[logweir]";
const MARK_HEAD: &str = "[logweir ";

/// Before every id of ours.
pub(super) const NAMESPACE: &str = "logweir-";
/// The space that every Kibana has; its ids are those of the shipped file, as where there are no spaces.
pub(in crate::setup) const DEFAULT_SPACE: &str = "default";

/// The one type that has no description.
const INDEX_PATTERN: &str = "index-pattern";
/// Where its mark stands, in the JSON text of its field formats.
const FORMATS: &str = "fieldFormatMap";
const MARKED_FORMAT: &str = "/event.duration/params/managed_by";

/// Of the content's hash, enough to tell one version from another.
const STAMP_HEX: usize = 8;

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedObject {
    /// `dashboard`, `visualization`, `search` or `index-pattern`.
    pub kind: String,
    /// Its id; ours begin with `logweir-`, in a space of its own with `logweir-SPACE-`.
    pub id: String,
    /// As people see it.
    pub title: String,
    pub(super) mark: String,
    body: Value,
}

impl SavedObject {
    /// `dashboard logweir-traffic`, as messages name it.
    pub fn name(&self) -> String {
        format!("{} {}", self.kind, self.id)
    }

    /// The object as it is imported.
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
        let place = if kind == INDEX_PATTERN {
            FORMATS
        } else {
            "description"
        };
        let marked = text(&body["attributes"][place]).replace(MARK, &mark);
        body["attributes"][place] = json!(marked);
        Self {
            id: text(&body["id"]),
            title: text(&body["attributes"]["title"]),
            kind,
            mark,
            body,
        }
    }

    /// What an object under our name in Kibana is, as it lies there.
    pub(super) fn recognise(&self, held: &Value) -> Held {
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
            None => Held::Foreign,
            Some(mark) if mark == self.mark => {
                let differences = content::differences(&self.body, held);
                if differences.is_empty() {
                    Held::Equal
                } else {
                    Held::Changed(differences)
                }
            }
            Some(_) => Held::Older,
        }
    }
}

/// Before an id in an address within Kibana, where markdown and field formats lead to a dashboard.
const LINK: &str = "#/view/";

/// Gives the object, and what it refers to and links to, the ids of the space. They stand nowhere else: a test looks.
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

/// What Kibana holds under an object's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Missing,
    /// This very object.
    Equal,
    /// Of this version and for these indices, but somebody changed it since: where, and what to what.
    Changed(Vec<String>),
    /// Ours, of another version or for other indices.
    Older,
    /// Without our mark: somebody else's, or one that somebody made their own.
    Foreign,
}

/// All objects, in the order in which they are imported.
#[derive(Debug, Clone)]
pub struct SavedObjects {
    objects: Vec<SavedObject>,
}

impl SavedObjects {
    /// Those for the configured indices, and for a space of Kibana's.
    pub fn of(place: &config::Target, space: Option<&str>) -> Self {
        Self::for_pattern(&place.wildcard(), space)
    }

    /// Those for the indices that match `pattern`.
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

    /// The file to import, for those who do it by hand.
    pub fn ndjson(&self) -> String {
        ndjson(&self.objects)
    }
}

/// One line an object.
pub(super) fn ndjson<'o>(objects: impl IntoIterator<Item = &'o SavedObject>) -> String {
    let mut text = String::new();
    for object in objects {
        text.push_str(&object.body.to_string());
        text.push('\n');
    }
    text
}
