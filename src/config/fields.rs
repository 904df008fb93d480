//! The setting `fields`: extra members of every record of a log, constants or variables of its format.
//!
//! Owns the allowed names and the types of their values. Invariant: an accepted field never collides with a built-in
//! member of a record, unless it replaces that member, and no value of it makes Elasticsearch refuse the document.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use logweir_parsers::{client, number, time};

use super::Note;
use super::formats::NamedFormat;
use super::problem::Origin;
use super::scope::Scope;

/// A field and the source of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The dotted name.
    pub name: String,
    /// The value.
    pub value: FieldValue,
    /// The type of the field in the index.
    pub kind: FieldType,
}

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// A constant of the configuration.
    Constant(String),
    /// A variable of the line's format, without the `$`.
    Variable(String),
}

/// The variable that gives the field `name` its value, without its `$`.
pub(crate) fn variable_of<'f>(fields: &'f [Field], name: &str) -> Option<&'f str> {
    fields.iter().find_map(|field| match &field.value {
        FieldValue::Variable(variable) if field.name == name => Some(variable.as_str()),
        FieldValue::Variable(_) | FieldValue::Constant(_) => None,
    })
}

/// The type of a field in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// Any text.
    Text,
    /// A whole number.
    Long,
    /// An address.
    Ip,
    /// A time.
    Date,
}

impl Field {
    /// A constant text.
    pub fn constant(name: &str, value: &str) -> Self {
        let value = FieldValue::Constant(value.to_owned());
        Self::new(name.to_owned(), value, FieldType::Text)
    }

    /// It replaces a built-in member of the record.
    pub fn replaces(&self) -> bool {
        YIELDING.contains(&&*self.name)
    }

    fn new(name: String, value: FieldValue, kind: FieldType) -> Self {
        Self { name, value, kind }
    }
}

/// Built-in fields of records. A second value for one of them would break identity or order, or create a duplicate key,
/// a list, or text in place of an object: Elasticsearch would refuse each document, or count it under both values.
const OWN: [&str; 42] = [
    "@timestamp",
    "agent.name",
    "agent.type",
    "agent.version",
    "data_stream",
    "destination.domain",
    "destination.ip",
    "destination.port",
    "ecs",
    "error",
    "event.category",
    "event.created",
    "event.dataset",
    "event.duration",
    "event.kind",
    "event.module",
    "event.original",
    "event.outcome",
    "event.start",
    "event.timezone",
    "event.type",
    "host.name",
    "http",
    "input",
    "log",
    "logweir",
    "nginx",
    "related.ip",
    "related.user",
    "service.type",
    "source.address",
    "source.ip",
    "tags",
    "tls.cipher",
    "tls.version",
    "tls.version_protocol",
    "url.extension",
    "url.fragment",
    "url.path",
    "url.query",
    "url.scheme",
    "user_agent.original",
];

/// Built-in fields that a variable can override; for `url.domain` a constant can be the fallback. Dashboards count by
/// time, client, status, duration and size, so those cannot be overridden.
const YIELDING: [&str; 9] = [
    "@timestamp",
    "event.duration",
    "http.request.id",
    "http.response.body.bytes",
    "http.response.status_code",
    "source.ip",
    "url.domain",
    "url.original",
    "user.name",
];

/// Most parts of a name; deeper objects are mistakes.
const MAX_DEPTH: usize = 8;

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            FieldValue::Constant(value) => write!(f, "{} = {value:?}", self.name),
            FieldValue::Variable(variable) => write!(f, "{} = ${variable}", self.name),
        }
    }
}

/// Whether a field of this name collides with a built-in field.
pub(crate) fn is_own(name: &str) -> bool {
    let mut own = OWN.iter().chain(&YIELDING);
    own.any(|own| overlap(own, name)) || name.starts_with('_')
}

/// Whether two names are equal, or one is an object that contains the other.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() {
        (one, other)
    } else {
        (other, one)
    };
    long.strip_prefix(short)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The type that ECS 8.11 (field reference) gives a field; `Err` names a type that cannot be made of text.
fn type_of(name: &str) -> Result<FieldType, &'static str> {
    let (root, rest) = name.split_once('.').unwrap_or((name, ""));
    match (root, rest) {
        ("client" | "server" | "source" | "destination", "ip" | "nat.ip")
        | ("host" | "observer", "ip")
        | ("network", "forwarded_ip") => Ok(FieldType::Ip),
        (
            "client" | "server" | "source" | "destination",
            "port" | "nat.port" | "bytes" | "packets" | "as.number",
        )
        | ("network", "bytes" | "packets")
        | ("event", "duration" | "sequence" | "severity")
        | ("http", "response.body.bytes" | "response.status_code")
        | ("host", "uptime")
        | ("process", "pid" | "exit_code")
        | ("file", "size")
        | ("url", "port") => Ok(FieldType::Long),
        ("@timestamp", "")
        | ("event", "end" | "ingested")
        | ("tls", "client.not_after" | "client.not_before") => Ok(FieldType::Date),
        ("client" | "server" | "source" | "destination" | "host" | "observer", "geo.location") => {
            Err("a place")
        }
        ("event", "risk_score" | "risk_score_norm") => Err("a number with a fraction"),
        ("tls", "established" | "resumed") => Err("true or false"),
        _ => Ok(FieldType::Text),
    }
}

pub(super) fn read(scope: &mut Scope<'_>) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for (name, value, origin) in scope.constants("fields") {
        match field(&fields, name.clone(), value) {
            Ok(field) => fields.push(field),
            Err(why) => scope.bad("fields", origin, &name, why),
        }
    }
    fields
}

fn field(known: &[Field], name: String, value: String) -> Result<Field, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-@".contains(&byte);
    let parts = name.split('.').count();
    if name.split('.').any(str::is_empty) || !name.bytes().all(is_name) || parts > MAX_DEPTH {
        return Err("is no field name; write it as in \"url.domain\"".to_owned());
    }
    let variable = variable(&value).map_err(|why| match &*name {
        "@timestamp" => format!("{why}; of several, the one that the time begins with"),
        _ => why,
    })?;
    let yields = YIELDING.contains(&&*name);
    if yields && variable.is_none() && name != "url.domain" {
        return Err("is written by the agent itself, and a constant would replace it; name a variable, or another \
                    field"
            .to_owned());
    }
    if name == "url.path" || name == "url.query" {
        return Err("is a part of url.original; write \"url.original\"".to_owned());
    }
    if name == "source.address" {
        return Err("has the value of source.ip, or its hash; write \"source.ip\"".to_owned());
    }
    if is_own(&name) && !yields {
        return Err(
            "is a field of which the agent decides; take another one, such as \"labels.NAME\""
                .to_owned(),
        );
    }
    if known.iter().any(|known| known.name == name) {
        return Err("is listed twice".to_owned());
    }
    if known.iter().any(|known| overlap(&known.name, &name)) {
        return Err("cannot hold a value and other fields at once".to_owned());
    }
    let kind = type_of(&name).map_err(|what| {
        format!("is {what} in ECS, which a text of a line cannot be; take another field")
    })?;
    let value = match variable {
        Some(variable) => FieldValue::Variable(variable),
        None => {
            let (fits, what) = match kind {
                FieldType::Text => (true, ""),
                FieldType::Long => (is_long(&value), "a whole number"),
                FieldType::Ip => (client::address(value.as_bytes()).is_some(), "an address"),
                FieldType::Date => (
                    time::iso8601(value.as_bytes()).is_some(),
                    "a time, such as 2026-11-23T05:26:59+00:00",
                ),
            };
            if !fits {
                return Err(format!("must be {what}, which {value:?} is not"));
            }
            FieldValue::Constant(value)
        }
    };
    Ok(Field::new(name, value, kind))
}

fn is_long(text: &str) -> bool {
    number::unsigned(text.as_bytes()).is_some_and(|number| i64::try_from(number).is_ok())
}

/// The variable that a value names, if it starts with `$`.
fn variable(value: &str) -> Result<Option<String>, String> {
    let Some(name) = value.strip_prefix('$') else {
        return Ok(None);
    };
    let name = name
        .strip_prefix('{')
        .and_then(|name| name.strip_suffix('}'))
        .unwrap_or(name);
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(format!(
            "takes the whole value of one variable, which {value:?} is not; write it as in \"$http_x_user_id\""
        ));
    }
    // nginx looks up names without regard to case
    Ok(Some(name.to_ascii_lowercase()))
}

/// Variables that no format has, by variable and field.
#[derive(Debug, Default)]
pub(super) struct Unknown(BTreeMap<(String, String), Names>);

/// Names of formats, each once, in order of appearance.
#[derive(Debug, Default)]
struct Names {
    all: HashSet<String>,
    first: Vec<String>,
    /// One of the formats has the variable, but only as part of a longer text.
    joined: bool,
}

/// Most formats that a note names.
const NAMED_FORMATS: usize = 12;

impl Unknown {
    /// Checks a log whose lines have one of these formats.
    pub(super) fn look<'f>(
        &mut self,
        fields: &[Field],
        formats: impl Iterator<Item = &'f NamedFormat> + Clone,
    ) {
        for field in fields {
            let FieldValue::Variable(variable) = &field.value else {
                continue;
            };
            let has = |named: &NamedFormat| {
                let mut fields = named.format.fields().iter();
                fields.any(|field| field.name() == variable)
            };
            if formats.clone().any(has) {
                continue;
            }
            let names = self
                .0
                .entry((variable.clone(), field.name.clone()))
                .or_default();
            let in_text = |name: &str| name.split('$').any(|part| part == variable);
            for named in formats.clone() {
                names.joined |= named
                    .format
                    .fields()
                    .iter()
                    .any(|field| in_text(field.name()));
                if names.all.insert(named.name.clone()) && names.first.len() < NAMED_FORMATS {
                    names.first.push(named.name.clone());
                }
            }
        }
    }

    /// One note for each variable.
    pub(super) fn notes(self, origin: &Origin) -> impl Iterator<Item = Note> {
        self.0.into_iter().map(move |((variable, field), names)| {
            let (noun, has) = if names.all.len() == 1 {
                ("the format", "has")
            } else {
                ("the formats", "have")
            };
            let first = names.first.join(", ");
            let formats = match names.all.len() - names.first.len() {
                0 => first,
                more => format!("{first} and {more} more"),
            };
            let lack = if names.joined {
                format!(
                    "${variable} side by side with another variable, and they cannot be separated; put a text \
                     between them in the log_format"
                )
            } else {
                format!("no ${variable}; add it to the log_format")
            };
            let outcome = if YIELDING.contains(&&*field) {
                "is left to the agent"
            } else {
                "stays empty"
            };
            Note {
                origin: origin.clone(),
                text: format!(
                    "fields: {field} {outcome}, for {noun} {formats} {has} {lack}"
                ),
            }
        })
    }
}
