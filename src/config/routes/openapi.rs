//! An OpenAPI document as a list of paths with their methods.
//!
//! Owns the parts of the OpenAPI Specification (3.0, 3.1, 3.2; spec.openapis.org) that define requests: `servers`,
//! `paths`, path items and their `$ref`. Refuses to know how paths are matched. Invariant: a document is accepted or
//! refused as a whole; a problem in a single path skips that path and is reported.

use std::fmt;

use serde_json::{Map, Value};

use super::Methods;

/// The paths of a document.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) operations: Vec<Operation>,
    /// The skipped parts, with reasons.
    pub(super) odd: Vec<String>,
}

/// Operations that share a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Operation {
    /// The path with the server's prefix.
    pub(super) path: String,
    pub(super) methods: Methods,
}

/// Why a file is not a usable OpenAPI document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OpenApiError {
    /// Neither JSON nor YAML, with the message of the parser.
    Syntax(String),
    /// JSON or YAML without an OpenAPI document.
    Foreign,
    /// An unsupported version.
    Version(String),
    /// It has no paths.
    NoPaths,
}

impl fmt::Display for OpenApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(words) => write!(f, "is neither JSON nor YAML: {words}"),
            Self::Foreign => f.write_str(
                "is no OpenAPI document, for it has no key \"openapi\" at its top; name one of version 3",
            ),
            Self::Version(version) => write!(
                f,
                "is of OpenAPI {version}; convert it to version 3 (editor.swagger.io does), or write [[routes]]"
            ),
            Self::NoPaths => f.write_str("names no path of use, so it gives no route; take it out of openapi"),
        }
    }
}

/// Keys of a path item that are operations, with their methods (OpenAPI 3.2, "Path Item Object").
const OPERATIONS: [&str; 9] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace", "query",
];
/// A longer chain of references is circular.
const MAX_REFERENCES: usize = 16;
/// Limit of prefixes of one path, against documents that list the server of every customer.
const MAX_PREFIXES: usize = 64;

pub(super) fn read(content: &[u8]) -> Result<Document, OpenApiError> {
    let root = parse(content)?;
    let version = match (root.get("openapi"), root.get("swagger")) {
        (Some(Value::String(version)), _) => version.clone(),
        // `openapi: 3.1` without quotes
        (Some(Value::Number(version)), _) => version.to_string(),
        (None, Some(_)) => "2 (Swagger)".to_owned(),
        _ => return Err(OpenApiError::Foreign),
    };
    if version != "3" && !version.starts_with("3.") {
        return Err(OpenApiError::Version(version));
    }
    let paths = match root.get("paths") {
        Some(Value::Object(paths)) if !paths.is_empty() => paths,
        _ => return Err(OpenApiError::NoPaths),
    };
    let mut document = Document::default();
    let servers = document.prefixes(root.get("servers"), "the document");
    for (path, item) in paths {
        // Extensions of the specification are next to paths.
        if !path.starts_with("x-") {
            document.path(
                &root,
                path,
                item,
                servers.as_deref().unwrap_or(&[String::new()]),
            );
        }
    }
    if document.operations.is_empty() {
        return Err(OpenApiError::NoPaths);
    }
    Ok(document)
}

fn parse(content: &[u8]) -> Result<Value, OpenApiError> {
    let text = std::str::from_utf8(content)
        .map_err(|_| OpenApiError::Syntax("it is not UTF-8".to_owned()))?
        .trim_start_matches('\u{feff}');
    // JSON is YAML too, but its own parser is faster and has better messages.
    if text.trim_start().starts_with('{') {
        match serde_json::from_str(text) {
            Ok(value) => return Ok(value),
            Err(error) if !error.is_syntax() => {
                return Err(OpenApiError::Syntax(error.to_string()));
            }
            Err(_) => {}
        }
    }
    // The largest published documents have some hundred thousand nodes. Nodes that aliases multiply count too.
    let budget = serde_saphyr::budget! { max_events: 20_000_000, max_nodes: 5_000_000 };
    let options = serde_saphyr::options! { budget: budget, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let words = error.to_string();
        OpenApiError::Syntax(words.lines().next().unwrap_or_default().to_owned())
    })
}

impl Document {
    fn path(&mut self, root: &Value, path: &str, item: &Value, servers: &[String]) {
        let mut methods = Methods::NONE;
        let mut found: Vec<(String, Methods)> = Vec::new();
        let mut item = item;
        for _ in 0..MAX_REFERENCES {
            let Some(members) = item.as_object() else {
                return self
                    .odd
                    .push(format!("{path:?} is left out: it is no path item"));
            };
            let own = self.prefixes(members.get("servers"), path);
            let servers = own.as_deref().unwrap_or(servers);
            for (method, operation) in operations(members) {
                methods = methods.or(method);
                let own = self.prefixes(operation.get("servers"), path);
                for prefix in own.as_deref().unwrap_or(servers) {
                    match found.iter_mut().find(|(known, _)| known == prefix) {
                        Some((_, methods)) => *methods = methods.or(method),
                        None => found.push((prefix.clone(), method)),
                    }
                }
            }
            let Some(reference) = members.get("$ref").and_then(Value::as_str) else {
                // A path item may be empty for users who may not see its operations.
                if methods.is_empty() {
                    found = servers
                        .iter()
                        .map(|prefix| (prefix.clone(), Methods::ANY))
                        .collect();
                }
                break;
            };
            match reference
                .strip_prefix('#')
                .and_then(|pointer| root.pointer(&decoded(pointer)))
            {
                Some(next) => item = next,
                None => {
                    self.odd.push(format!(
                        "{path:?}: {reference:?} is not in this file, so any method counts"
                    ));
                    found = servers
                        .iter()
                        .map(|prefix| (prefix.clone(), Methods::ANY))
                        .collect();
                    break;
                }
            }
        }
        for (prefix, methods) in found {
            let path = format!("{prefix}{path}");
            self.operations.push(Operation { path, methods });
        }
    }

    /// The paths of `servers`, each without a slash at its end; `None` without that key.
    fn prefixes(&mut self, servers: Option<&Value>, of: &str) -> Option<Vec<String>> {
        let servers = servers?.as_array().filter(|servers| !servers.is_empty())?;
        let mut prefixes: Vec<String> = Vec::new();
        for server in servers.iter().take(MAX_PREFIXES) {
            let Some(url) = server.get("url").and_then(Value::as_str) else {
                self.odd
                    .push(format!("{of}: a server without url is left out"));
                continue;
            };
            let prefix = prefix(&with_defaults(url, server.get("variables")));
            if !prefixes.contains(&prefix) {
                prefixes.push(prefix);
            }
        }
        (!prefixes.is_empty()).then_some(prefixes)
    }
}

/// The operations of a path item, with their methods.
fn operations(members: &Map<String, Value>) -> impl Iterator<Item = (Methods, &Value)> {
    let fixed = OPERATIONS
        .iter()
        .filter_map(|name| Some((Methods::named(name)?, members.get(*name)?)));
    let additional = members
        .get("additionalOperations")
        .and_then(Value::as_object);
    let additional = additional
        .into_iter()
        .flatten()
        .filter_map(|(name, operation)| Some((Methods::named(name)?, operation)));
    fixed.chain(additional)
}

/// A server's URL with the default of each variable. A variable without a default stays and becomes a parameter.
fn with_defaults(url: &str, variables: Option<&Value>) -> String {
    let mut out = url.to_owned();
    for (name, variable) in variables.and_then(Value::as_object).into_iter().flatten() {
        match variable.get("default") {
            Some(Value::String(default)) => out = out.replace(&format!("{{{name}}}"), default),
            Some(Value::Number(default)) => {
                out = out.replace(&format!("{{{name}}}"), &default.to_string());
            }
            _ => {}
        }
    }
    out
}

/// The path of a URL, without a slash at its end. A relative path counts from the root, because the address of the
/// document is unknown.
fn prefix(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let after_scheme = url.split_once("://").map(|(_, rest)| rest);
    let authority = after_scheme.or_else(|| url.strip_prefix("//"));
    let path = match authority {
        Some(rest) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => url,
    };
    let path = path.trim_start_matches("./").trim_matches('/');
    if matches!(path, "" | ".") {
        String::new()
    } else {
        format!("/{path}")
    }
}

/// Decodes `%XX` in a fragment (RFC 6901, section 6).
fn decoded(fragment: &str) -> String {
    let mut out = Vec::with_capacity(fragment.len());
    let bytes = fragment.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = fragment.get(at + 1..at + 3).filter(|_| byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shown(content: &str) -> Vec<String> {
        let document = read(content.as_bytes()).unwrap();
        let operations = document.operations.iter();
        operations
            .map(|operation| format!("{} {}", operation.methods.shown(), operation.path))
            .chain(document.odd.iter().map(|odd| format!("odd: {odd}")))
            .collect()
    }

    #[test]
    fn paths_have_methods_and_the_prefixes_of_their_servers() {
        let yaml = r#"
openapi: 3.0
info: { title: Shop, version: "1" }
x-twice: &id { type: integer }
servers:
  - url: https://{host}/{base}/
    variables: { host: { default: api.shop.example:8443 }, base: { default: v2, enum: [v2, v3] } }
  - url: /api
paths:
  x-internal: [1]
  /users/{id}:
    parameters: [{ name: id, in: path, schema: *id }]
    get: { responses: { 200: { description: on } } }
    delete: {}
  /files/{name}:
    servers: [{ url: "https://files.shop.example" }]
    put: { servers: [{ url: "//upload.shop.example/up?x" }] }
    get: {}
  /nothing: {}
"#;
        let mut found = shown(yaml);
        found.sort();
        assert_eq!(
            found,
            [
                "GET /files/{name}",
                "GET, DELETE /api/users/{id}",
                "GET, DELETE /v2/users/{id}",
                "PUT /up/files/{name}",
                "any method /api/nothing",
                "any method /v2/nothing",
            ]
        );
    }

    #[test]
    fn references_within_the_file_are_followed() {
        let json = r##"{"openapi": "3.1.0", "paths": {
            "/a": {"$ref": "#/components/pathItems/a~1b%20c"},
            "/b": {"$ref": "#/paths/~1a", "post": {}},
            "/c": {"$ref": "other.yaml#/paths/c"},
            "/d": {"$ref": "#/paths/~1d"},
            "/e": 5
        }, "components": {"pathItems": {"a/b c": {"get": {}, "additionalOperations": {"COPY": {}, "X": {}}}}}}"##;
        assert_eq!(
            shown(json),
            [
                "GET, COPY /a",
                "GET, POST, COPY /b",
                "any method /c",
                "odd: \"/c\": \"other.yaml#/paths/c\" is not in this file, so any method counts",
                "odd: \"/e\" is left out: it is no path item",
            ]
        );
    }

    #[test]
    fn what_is_no_document_of_version_3_is_refused() {
        let error = |content: &str| read(content.as_bytes()).unwrap_err();
        assert_eq!(
            error("swagger: '2.0'\npaths: {/a: {}}"),
            OpenApiError::Version("2 (Swagger)".to_owned())
        );
        assert_eq!(
            error("openapi: 4.0.0"),
            OpenApiError::Version("4.0.0".to_owned())
        );
        assert_eq!(error("a: b"), OpenApiError::Foreign);
        assert_eq!(error("[]"), OpenApiError::Foreign);
        assert_eq!(error("openapi: 3.1.0\npaths: {}"), OpenApiError::NoPaths);
        assert_eq!(error("openapi: 3.1.0"), OpenApiError::NoPaths);
        assert!(matches!(error("openapi: [3"), OpenApiError::Syntax(_)));
        assert!(matches!(
            error("{\"openapi\": \"3.0.0\",\n \"paths\": "),
            OpenApiError::Syntax(_)
        ));
        assert!(matches!(
            read(&[0xff, 0xfe]).unwrap_err(),
            OpenApiError::Syntax(_)
        ));
    }

    #[test]
    fn a_document_of_many_thousand_nodes_is_read() {
        let many = "a,".repeat(260_000);
        let yaml = format!("openapi: 3.1.0\nx-many: [{many}]\npaths:\n  /a:\n    get: {{}}\n");
        assert_eq!(shown(&yaml), ["GET /a"]);
    }

    #[test]
    fn aliases_that_multiply_are_refused_before_they_fill_the_memory() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for at in 1..12 {
            let list = vec![format!("*a{}", at - 1); 9].join(", ");
            bomb.push_str(&format!("a{at}: &a{at} [{list}]\n"));
        }
        bomb.push_str("openapi: 3.1.0\npaths: { /a: {} }\n");
        assert!(matches!(
            read(bomb.as_bytes()).unwrap_err(),
            OpenApiError::Syntax(_)
        ));
    }

    #[test]
    fn prefixes_are_the_paths_of_urls() {
        for (url, expected) in [
            ("https://a.example/v1/", "/v1"),
            ("https://a.example", ""),
            ("https://a.example?x=/y", ""),
            ("/", ""),
            (".", ""),
            ("./v1", "/v1"),
            ("v1", "/v1"),
            ("//a.example/v1/x", "/v1/x"),
            ("https://{a}.example/{b}/c", "/{b}/c"),
        ] {
            assert_eq!(prefix(url), expected, "{url}");
        }
    }
}
