//! Puts the saved objects into Kibana or OpenSearch Dashboards.
//!
//! Owns the order and form of the requests (headers, file name, path of the space), and the rule for overwriting: as in
//! the cluster, it overwrites only objects that carry logweir's mark, unless the operator passes `--force`. Refuses to
//! know the content of a dashboard, and how Kibana is reached: that is a [`Transport`].
//!
//! Invariant: it compares all objects before it imports one, and a second run imports nothing. It guards against an
//! import with status 200 that leaves half of the panels empty: each refused object is named. It also guards against an
//! import that Kibana redirects to other objects: a missing object is imported without overwriting, and an object that
//! Kibana stored under another id is named.

mod content;
mod error;
mod objects;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;
use serde_json::{Value, json};

pub use self::error::KibanaError;
pub(crate) use self::error::RefusedObject;
pub(in crate::setup) use self::objects::DEFAULT_SPACE;
pub(crate) use self::objects::SavedObject;
pub use self::objects::{SavedObjectState, SavedObjects};
use super::ChangeOutcome;
use super::response::{self, request_line};
use crate::config;
use crate::http::error_body::{ServerError, describe, excerpt};
use crate::http::{Method, Response, Transport, shown};

/// The product that responds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Elastic's.
    Kibana,
    /// OpenSearch's.
    OpenSearchDashboards,
}

impl Product {
    /// The header that protects against cross-site request forgery; a write without it is refused.
    fn header(self) -> (&'static str, &'static str) {
        match self {
            Self::Kibana => ("kbn-xsrf", "logweir"),
            Self::OpenSearchDashboards => ("osd-xsrf", "logweir"),
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kibana => "Kibana",
            Self::OpenSearchDashboards => "OpenSearch Dashboards",
        })
    }
}

/// The objects in Kibana compared with those to import.
#[derive(Debug, Clone)]
pub struct Diff {
    /// The product that responded.
    pub product: Product,
    /// Its version, if the response has one.
    pub version: Option<String>,
    /// Each object with its state in Kibana, in the order of import.
    pub objects: Vec<(SavedObject, SavedObjectState)>,
}

impl Diff {
    /// The outcome of an import for each object; only `force` overwrites foreign or changed objects.
    pub fn outcomes(&self) -> impl Iterator<Item = (&SavedObject, ChangeOutcome)> {
        self.objects.iter().map(|(object, held)| {
            let outcome = match held {
                SavedObjectState::Missing => ChangeOutcome::Created,
                SavedObjectState::Equal => ChangeOutcome::Unchanged,
                SavedObjectState::Changed(_) => ChangeOutcome::Restored,
                SavedObjectState::Older => ChangeOutcome::Updated,
                SavedObjectState::Foreign => ChangeOutcome::Overwritten,
            };
            (object, outcome)
        })
    }

    /// Names of the foreign objects.
    pub fn foreign(&self) -> Vec<String> {
        let foreign = self
            .objects
            .iter()
            .filter(|(_, held)| *held == SavedObjectState::Foreign);
        foreign.map(|(object, _)| object.name()).collect()
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");
/// Separates the parts of the form; no saved object contains it.
const BOUNDARY: &str = "logweir-7f1c9a52e0d84b36";
const FORM: (&str, &str) = (
    "content-type",
    "multipart/form-data; boundary=logweir-7f1c9a52e0d84b36",
);

/// Compares the objects in Kibana with `wanted`; writes nothing.
pub async fn diff<T: Transport>(
    transport: &T,
    space: Option<&str>,
    wanted: &SavedObjects,
) -> Result<Diff, KibanaError<T::Error>> {
    let (product, version) = detect(transport).await?;
    if let (Product::OpenSearchDashboards, Some(space)) = (product, space) {
        let space = space.to_owned();
        return Err(KibanaError::NoSpaces { space });
    }
    let path = format!("{}/api/saved_objects/_bulk_get", prefix(space));
    let names = wanted.objects().iter();
    let names: Value = names
        .map(|object| json!({"type": object.kind, "id": object.id}))
        .collect();
    let headers = [product.header(), JSON];
    let response = accepted(
        transport,
        Method::Post,
        &path,
        &headers,
        Some(names.to_string().into()),
    )
    .await?;
    let found = response.get("saved_objects").and_then(Value::as_array);
    let found = found.ok_or_else(|| incomprehensible(Method::Post, &path, &response))?;
    let held = |object: &SavedObject| {
        let mut same = found
            .iter()
            .filter(|found| found["type"] == object.kind && found["id"] == object.id);
        let there = same
            .next()
            .ok_or_else(|| incomprehensible(Method::Post, &path, &response))?;
        match there.get("error") {
            None => Ok(object.recognise(there)),
            Some(error) if error["statusCode"] == 404 => Ok(SavedObjectState::Missing),
            Some(error) => Err(KibanaError::Refused {
                request: format!("POST {path} ({})", object.name()),
                status: status_of(error),
                reason: reason(error),
            }),
        }
    };
    let mut objects = Vec::with_capacity(wanted.objects().len());
    for object in wanted.objects() {
        objects.push((object.clone(), held(object)?));
    }
    Ok(Diff {
        product,
        version,
        objects,
    })
}

/// Imports the objects that `diff` found missing or older; `force` also overwrites changed and foreign objects.
pub async fn import<T: Transport>(
    transport: &T,
    space: Option<&str>,
    diff: &Diff,
    force: bool,
) -> Result<(), KibanaError<T::Error>> {
    let names = diff.foreign();
    if !names.is_empty() && !force {
        return Err(KibanaError::Foreign { names });
    }
    // With `overwrite`, Kibana replaces not only the object of that id but also a copy that it once made of it. Nobody
    // compared that copy, so a missing object is imported without `overwrite`.
    let (mut new, mut replaced) = (Vec::new(), Vec::new());
    for (object, held) in &diff.objects {
        match held {
            SavedObjectState::Missing => new.push(object),
            SavedObjectState::Older | SavedObjectState::Foreign => replaced.push(object),
            SavedObjectState::Changed(_) if force => replaced.push(object),
            SavedObjectState::Changed(_) | SavedObjectState::Equal => {}
        }
    }
    send(transport, space, diff.product, &new, force).await?;
    send(transport, space, diff.product, &replaced, true).await
}

/// Sends one import.
async fn send<T: Transport>(
    transport: &T,
    space: Option<&str>,
    product: Product,
    objects: &[&SavedObject],
    overwrite: bool,
) -> Result<(), KibanaError<T::Error>> {
    if objects.is_empty() {
        return Ok(());
    }
    let query = if overwrite { "?overwrite=true" } else { "" };
    let path = format!("{}/api/saved_objects/_import{query}", prefix(space));
    let headers = [product.header(), FORM];
    let body = form(&objects::ndjson(objects.iter().copied()));
    let response = accepted(transport, Method::Post, &path, &headers, Some(body)).await?;
    match response.get("success").and_then(Value::as_bool) {
        Some(true) => {}
        Some(false) => {
            return Err(KibanaError::Objects {
                sent: objects.len(),
                refused: refused(&response),
            });
        }
        None => return Err(incomprehensible(Method::Post, &path, &response)),
    }
    let objects = elsewhere(&response);
    if objects.is_empty() {
        Ok(())
    } else {
        Err(KibanaError::Elsewhere { objects })
    }
}

/// The objects that Kibana imported under other ids.
fn elsewhere(response: &Value) -> Vec<String> {
    let done = response.get("successResults").and_then(Value::as_array);
    let moved = done.into_iter().flatten().filter_map(|done| {
        let to = destination(done)?;
        let to = excerpt(to.as_bytes());
        Some(format!("{} as {to}", named(done)))
    });
    moved.collect()
}

/// The id that Kibana chose instead of the object's own.
fn destination(of: &Value) -> Option<&str> {
    of["destinationId"].as_str()
}

/// Asks for the product and its version. Both products respond alike, but OpenSearch Dashboards restarted its versions at
/// 1 when it forked Kibana 7; only Kibana hides its version from users without the privilege.
async fn detect<T: Transport>(
    transport: &T,
) -> Result<(Product, Option<String>), KibanaError<T::Error>> {
    const PATH: &str = "/api/status";
    let sent = transport.request(Method::Get, PATH, &[], None).await;
    let response = sent.map_err(|source| unreachable(Method::Get, PATH, source))?;
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    // A server that is starting or unhealthy responds with 503 and the same body.
    let version = body.pointer("/version/number").and_then(Value::as_str);
    let major = version.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    match major {
        Some(..5) => Ok((
            Product::OpenSearchDashboards,
            version.map(response::version),
        )),
        Some(_) => Ok((Product::Kibana, version.map(response::version))),
        None if body.pointer("/status/overall").is_some() => Ok((Product::Kibana, None)),
        // Kibana itself refuses with one of these; a cluster or a web server responds with 404 or 405.
        None if matches!(response.status, 401 | 403 | 429 | 500..) => {
            Err(refusal(Method::Get, PATH, &response))
        }
        None => Err(incomprehensible(Method::Get, PATH, &body_text(&response))),
    }
}

/// Sends a request whose response must be 2xx and JSON.
async fn accepted<T: Transport>(
    transport: &T,
    method: Method,
    path: &str,
    headers: &[(&'static str, &'static str)],
    body: Option<Bytes>,
) -> Result<Value, KibanaError<T::Error>> {
    let sent = transport.request(method, path, headers, body).await;
    let response = sent.map_err(|source| unreachable(method, path, source))?;
    if !(200..300).contains(&response.status) {
        return Err(refusal(method, path, &response));
    }
    serde_json::from_slice(&response.body)
        .map_err(|_| incomprehensible(method, path, &body_text(&response)))
}

/// The URL of a dashboard for people.
pub(crate) fn address(kibana: &config::Kibana, dashboard: &str) -> String {
    let space = prefix(kibana.space.as_deref());
    format!(
        "{}{space}/app/dashboards#/view/{dashboard}",
        shown(&kibana.url)
    )
}

fn prefix(space: Option<&str>) -> String {
    space.map_or_else(String::new, |space| format!("/s/{space}"))
}

/// A form with one file; Kibana checks the extension of its name.
fn form(ndjson: &str) -> Bytes {
    format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"logweir.ndjson\"\r\n\
         Content-Type: application/ndjson\r\n\r\n{ndjson}\r\n--{BOUNDARY}--\r\n"
    )
    .into()
}

/// The objects that a response of `_import` lists as refused.
fn refused(response: &Value) -> Vec<RefusedObject> {
    let errors = response.get("errors").and_then(Value::as_array);
    let errors = errors.into_iter().flatten();
    errors
        .map(|error| RefusedObject {
            name: named(error),
            reason: why(&error["error"]),
        })
        .collect()
}

/// Type and id of an object in a response.
fn named(object: &Value) -> String {
    let text = |key: &str| excerpt(object[key].as_str().unwrap_or("?").as_bytes());
    format!("{} {}", text("type"), text("id"))
}

fn why(error: &Value) -> String {
    /// Most missing objects that are named.
    const REFERENCES: usize = 20;
    match error["type"].as_str() {
        Some("conflict" | "ambiguous_conflict") => match destination(error) {
            Some(copy) => format!(
                "its id is another space's, and {}, a copy of that, was not overwritten (--force overwrites it)",
                excerpt(copy.as_bytes())
            ),
            None => "an object of that id is there and was not overwritten".to_owned(),
        },
        Some("unsupported_type") => "Kibana does not know this type of object".to_owned(),
        Some("missing_references") => {
            let missing = error["references"].as_array();
            let missing = missing.into_iter().flatten().take(REFERENCES);
            let missing: Vec<String> = missing.map(named).collect();
            format!("it refers to missing objects: {}", missing.join(", "))
        }
        _ => reason(error),
    }
}

/// The reason of an error within a response.
fn reason(error: &Value) -> String {
    let cause = ServerError::of_value(error).and_then(|error| error.root_cause());
    excerpt(cause.unwrap_or_else(|| error.to_string()).as_bytes())
}

fn status_of(error: &Value) -> u16 {
    let status = error["statusCode"].as_u64();
    status
        .and_then(|status| status.try_into().ok())
        .unwrap_or(500)
}

fn unreachable<E>(method: Method, path: &str, source: E) -> KibanaError<E> {
    let request = request_line(method, path);
    KibanaError::Unreachable { request, source }
}

fn refusal<E>(method: Method, path: &str, response: &Response) -> KibanaError<E> {
    KibanaError::Refused {
        request: request_line(method, path),
        status: response.status,
        reason: describe(&response.body),
    }
}

fn body_text(response: &Response) -> Value {
    Value::String(String::from_utf8_lossy(&response.body).into_owned())
}

fn incomprehensible<E>(method: Method, path: &str, body: &Value) -> KibanaError<E> {
    let text = body
        .as_str()
        .map_or_else(|| body.to_string(), str::to_owned);
    KibanaError::Incomprehensible {
        request: request_line(method, path),
        body: excerpt(text.as_bytes()),
    }
}
