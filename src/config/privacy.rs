//! The section `[privacy]`: rules that remove personal data from records.
//!
//! Owns the rules and the key of hashes. Refuses to know how text is redacted. Invariant: every rule that hashes has a
//! key that cannot be guessed. Without a key, an attacker finds each hashed IPv4 address within seconds.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

use super::logs::Log;
use super::ports::Files;
use super::problem::{Fault, Origin, Problem};
use super::raw::{Raw, Value, default_of};
use super::scope::Scope;
use super::settings::{Section, find};
use super::{FieldType, FieldValue};

/// The rule for client addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AddressRule {
    /// They stay unchanged.
    #[default]
    Keep,
    /// They are truncated to /24 for IPv4 and /48 for IPv6.
    Truncate,
    /// They are replaced by a hash.
    Hash,
}

/// The rules.
#[derive(Debug, Clone)]
pub struct Privacy {
    /// For addresses.
    pub ip: AddressRule,
    /// The key of hashes; present if a rule hashes.
    pub hash_key: Option<HashKey>,
    /// Fields that are written as hashes.
    pub hash_fields: Vec<String>,
    /// Keys whose values are redacted: `redact_query` and `redact_query_add`.
    pub redact_query: Vec<String>,
    /// Keys whose values are not.
    pub redact_query_except: Vec<String>,
    /// Shapes of values that are redacted whatever their key: `redact_values` without `redact_values_except`.
    pub redact_values: Vec<String>,
    /// Prefixes of more values that are redacted.
    pub redact_values_add: Vec<String>,
}

/// The key of hashes.
#[derive(Clone)]
pub struct HashKey(SecretString);

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey")
    }
}

impl HashKey {
    /// A key of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The key derived for one use; it reveals nothing about other keys.
    pub(crate) fn derive(&self, context: &str) -> [u8; 32] {
        blake3::derive_key(context, self.0.expose_secret().as_bytes())
    }
}

impl Default for Privacy {
    /// The defaults without the section.
    fn default() -> Self {
        Self {
            ip: AddressRule::Keep,
            hash_key: None,
            hash_fields: Vec::new(),
            redact_query: listed("redact_query"),
            redact_query_except: listed("redact_query_except"),
            redact_values: listed("redact_values"),
            redact_values_add: Vec::new(),
        }
    }
}

/// The texts that a setting lists by default.
fn listed(name: &str) -> Vec<String> {
    let given = find(Section::Privacy, name).and_then(default_of);
    match given.map(|given| given.value) {
        Some(Value::List(texts)) => texts.into_iter().map(|(text, _)| text).collect(),
        _ => Vec::new(),
    }
}

/// A shorter key could be guessed.
pub(super) const MIN_KEY: usize = 16;
/// A longer name is a mistake.
const MAX_NAME: usize = 64;
/// A shorter name with a `*` would be found in many words.
const MIN_OPEN: usize = 3;
/// A shorter beginning of a value would be found in many values.
const MIN_BEGINNING: usize = 3;
/// Built-in members of the record that can be hashed.
const HASHABLE: [&str; 4] = [
    "user.name",
    "user_agent.original",
    "http.request.id",
    "http.request.referrer",
];
/// The object that holds variables without an ECS field.
const OTHERS: &str = "nginx.access.";

pub(super) fn read(
    raw: &Raw,
    logs: &[Log],
    files: &dyn Files,
    problems: &mut Vec<Problem>,
) -> Privacy {
    let values = raw.sections.get(&Section::Privacy);
    let mut scope = Scope::new(Section::Privacy, values, problems);
    let rules = [AddressRule::Keep, AddressRule::Truncate, AddressRule::Hash];
    let ip = scope.one_of("ip", &rules).unwrap_or_default();
    let hash_key = key(&mut scope, files);
    let hash_fields = hash_fields(&mut scope, logs);
    let mut redact_query = names(&mut scope, "redact_query");
    redact_query.extend(names(&mut scope, "redact_query_add"));
    let redact_query_except = names(&mut scope, "redact_query_except");
    let mut redact_values = shapes(&mut scope, "redact_values");
    let except = shapes(&mut scope, "redact_values_except");
    redact_values.retain(|name| !except.contains(name));
    let redact_values_add = beginnings(&mut scope);
    let hashes = ip == AddressRule::Hash || !hash_fields.is_empty();
    let written = |name: &str| scope.written(name).map(|given| given.origin.clone());
    if hashes && written("hash_key").or(written("hash_key_file")).is_none() {
        let origin = written("ip").filter(|_| ip == AddressRule::Hash);
        let origin = origin.or(written("hash_fields")).unwrap_or(Origin::Nowhere);
        let hint = "hashes need a key; write one to a file (openssl rand -base64 32) and set hash_key_file";
        scope.fault("hash_key", origin, Fault::Missing { hint });
    }
    Privacy {
        ip,
        hash_key,
        hash_fields,
        redact_query,
        redact_query_except,
        redact_values,
        redact_values_add,
    }
}

fn key(scope: &mut Scope<'_>, files: &dyn Files) -> Option<HashKey> {
    let key = scope.secret("hash_key", files)?;
    let text = key.expose_secret();
    let mut different = text.as_bytes().to_vec();
    different.sort_unstable();
    different.dedup();
    if text.len() < MIN_KEY || different.len() < MIN_KEY / 2 {
        let name = match scope.written("hash_key") {
            Some(_) => "hash_key",
            None => "hash_key_file",
        };
        let origin = scope
            .written(name)
            .map_or(Origin::Nowhere, |given| given.origin.clone());
        let why = format!(
            "can be guessed; take at least {MIN_KEY} random bytes, as from openssl rand -base64 32"
        );
        scope.fault(name, origin, Fault::BadValue { value: None, why });
        return None;
    }
    Some(HashKey(key))
}

fn hash_fields(scope: &mut Scope<'_>, logs: &[Log]) -> Vec<String> {
    let mut fields = Vec::new();
    for (name, origin) in scope.list("hash_fields") {
        let of_logs = || logs.iter().flat_map(|log| &log.fields);
        let mut mapped = of_logs().filter(|field| field.name == name);
        let is_other = name.strip_prefix(OTHERS).is_some_and(|variable| {
            !variable.is_empty()
                && variable
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        });
        let why = match mapped.next() {
            Some(field) if field.name == "source.ip" => "holds an address; set ip = \"hash\"",
            Some(field) if field.kind != FieldType::Text => {
                "is no text in ECS, and its index would refuse a hash; map its variable to a field of labels"
            }
            Some(field) if matches!(field.value, FieldValue::Constant(_)) => {
                "is a constant, of which a hash hides nothing; take it out of the list"
            }
            _ if fields.contains(&name) => "is listed twice",
            // other fields contain the same values and would have to be hidden too
            Some(field) if field.name == "url.domain" => {
                "cannot be hashed; url.original may hold it too"
            }
            Some(_) => {
                fields.push(name);
                continue;
            }
            None if is_other || HASHABLE.contains(&&*name) => {
                fields.push(name);
                continue;
            }
            None if name.starts_with("source.") || name == "related.ip" => {
                "holds an address; set ip = \"hash\""
            }
            None => {
                "cannot be hashed; there are user.name, user_agent.original, http.request.id, \
                 http.request.referrer, nginx.access.VARIABLE and what [[logs]] fields takes from variables"
            }
        };
        scope.bad("hash_fields", origin, &name, why);
    }
    fields
}

fn names(scope: &mut Scope<'_>, setting: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, origin) in scope.list(setting) {
        let inner = name.strip_prefix('*').unwrap_or(&name);
        let inner = inner.strip_suffix('*').unwrap_or(inner);
        let is_key = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let letters = inner.bytes().filter(u8::is_ascii_alphanumeric).count();
        let why = if !inner.bytes().all(is_key) || letters == 0 {
            "is no key; write it as in a query, without = and %; it may begin and end with *"
                .to_owned()
        } else if name.len() > MAX_NAME {
            format!("is longer than {MAX_NAME} bytes")
        } else if inner.len() < name.len() && letters < MIN_OPEN {
            format!("would be found in many words; with * write at least {MIN_OPEN} letters")
        } else {
            names.push(name);
            continue;
        };
        scope.bad(setting, origin, &name, why);
    }
    names
}

/// Names of shapes; the list of all of them is what `redact_values` is by default.
fn shapes(scope: &mut Scope<'_>, setting: &str) -> Vec<String> {
    let known = listed("redact_values");
    let mut shapes = Vec::new();
    for (name, origin) in scope.list(setting) {
        if known.contains(&name) {
            shapes.push(name);
            continue;
        }
        let why = format!(
            "is no shape of values; there are {}; write beginnings of further values to redact_values_add",
            known.join(", ")
        );
        scope.bad(setting, origin, &name, why);
    }
    shapes
}

fn beginnings(scope: &mut Scope<'_>) -> Vec<String> {
    const SETTING: &str = "redact_values_add";
    let mut beginnings = Vec::new();
    for (text, origin) in scope.list(SETTING) {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let why = if !text.bytes().all(is_part) || text.len() < MIN_BEGINNING {
            format!(
                "is no beginning of a value; write at least {MIN_BEGINNING} letters, digits, _, - or ., as in \
                 \"acme_live_\""
            )
        } else if text.len() > MAX_NAME {
            format!("is longer than {MAX_NAME} bytes")
        } else {
            beginnings.push(text);
            continue;
        };
        scope.bad(SETTING, origin, &text, why);
    }
    beginnings
}
