//! Puts the saved objects into Kibana or OpenSearch Dashboards.
//!
//! Owns the order of requests, what they need to be taken (headers, a file's name, the space's path), and the rule
//! what may be overwritten: as in the cluster, nothing that does not say that logweir put it, unless the operator
//! insists. Refuses to know what is on a dashboard, and how Kibana is reached: that is a [`Door`].
//!
//! Invariant: everything is looked at before anything is imported, and a second run imports nothing. It guards against
//! an import that answers "200" and leaves half of the panels empty: each object that was refused is named. And against
//! one that Kibana turns to other objects than those that were looked at: what was not there is imported so that it
//! replaces nothing, and what comes to stand under another id is named.

mod content;
mod door;
mod error;
mod objects;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;

use bytes::Bytes;
use serde_json::{Value, json};

pub use self::door::KibanaDoor;
pub(crate) use self::door::{DoorError, address};
pub use self::error::KibanaError;
pub(crate) use self::error::RefusedObject;
pub(in crate::setup) use self::objects::DEFAULT_SPACE;
pub(crate) use self::objects::SavedObject;
pub use self::objects::{Held, SavedObjects};
use super::answer::{self, excerpt};
use super::{Answer, Method, Outcome};

/// A way to Kibana. An error is one of the way: a refusal is an [`Answer`].
pub trait Door {
    /// Why no answer came.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Sends one request; `path` begins with `/` and may carry a query.
    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &'static str)],
        body: Option<Bytes>,
    ) -> impl Future<Output = Result<Answer, Self::Error>> + Send;
}

/// Which of the two it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Elastic's.
    Kibana,
    /// OpenSearch's.
    OpenSearchDashboards,
}

impl Product {
    /// The header without which a request that writes is refused: against forgery by other sites.
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

/// What is there, compared with what would be imported.
#[derive(Debug, Clone)]
pub struct Diff {
    /// Who answered.
    pub product: Product,
    /// Its version, where it tells it.
    pub version: Option<String>,
    /// Each object with what stands under its name, in the order of import.
    pub objects: Vec<(SavedObject, Held)>,
}

impl Diff {
    /// What an import would do to each object; one that is foreign or was changed is overwritten only by force.
    pub fn outcomes(&self) -> impl Iterator<Item = (&SavedObject, Outcome)> {
        self.objects.iter().map(|(object, held)| {
            let outcome = match held {
                Held::Missing => Outcome::Created,
                Held::Equal => Outcome::Unchanged,
                Held::Changed(_) => Outcome::Restored,
                Held::Older => Outcome::Updated,
                Held::Foreign => Outcome::Overwritten,
            };
            (object, outcome)
        })
    }

    /// Names of the objects that are not ours.
    pub fn foreign(&self) -> Vec<String> {
        let foreign = self
            .objects
            .iter()
            .filter(|(_, held)| *held == Held::Foreign);
        foreign.map(|(object, _)| object.name()).collect()
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");
/// Between the parts of the form: nothing that stands in a saved object.
const BOUNDARY: &str = "logweir-7f1c9a52e0d84b36";
const FORM: (&str, &str) = (
    "content-type",
    "multipart/form-data; boundary=logweir-7f1c9a52e0d84b36",
);

/// Compares what is there with `wanted`; nothing is written.
pub async fn diff<D: Door>(
    door: &D,
    space: Option<&str>,
    wanted: &SavedObjects,
) -> Result<Diff, KibanaError<D::Error>> {
    let (product, version) = detect(door).await?;
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
    let answer = ask(
        door,
        Method::Post,
        &path,
        &headers,
        Some(names.to_string().into()),
    )
    .await?;
    let found = answer.get("saved_objects").and_then(Value::as_array);
    let found = found.ok_or_else(|| incomprehensible(Method::Post, &path, &answer))?;
    let held = |object: &SavedObject| {
        let mut same = found
            .iter()
            .filter(|found| found["type"] == object.kind && found["id"] == object.id);
        let there = same
            .next()
            .ok_or_else(|| incomprehensible(Method::Post, &path, &answer))?;
        match there.get("error") {
            None => Ok(object.recognise(there)),
            Some(error) if error["statusCode"] == 404 => Ok(Held::Missing),
            Some(error) => Err(KibanaError::Refused {
                request: format!("POST {path} ({})", object.name()),
                status: status_of(error),
                reason: reason(error).unwrap_or_else(|| excerpt(error.to_string().as_bytes())),
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

/// Imports what `diff` found missing or older; with `force` also over what was changed since, or is not ours.
pub async fn import<D: Door>(
    door: &D,
    space: Option<&str>,
    diff: &Diff,
    force: bool,
) -> Result<(), KibanaError<D::Error>> {
    let names = diff.foreign();
    if !names.is_empty() && !force {
        return Err(KibanaError::Foreign { names });
    }
    // Told to overwrite, Kibana looks not only for the id but also for what it once copied from that id, and replaces
    // that. Nobody looked at it, so where nothing of ours was found nothing may be overwritten.
    let (mut new, mut replaced) = (Vec::new(), Vec::new());
    for (object, held) in &diff.objects {
        match held {
            Held::Missing => new.push(object),
            Held::Older | Held::Foreign => replaced.push(object),
            Held::Changed(_) if force => replaced.push(object),
            Held::Changed(_) | Held::Equal => {}
        }
    }
    send(door, space, diff.product, &new, force).await?;
    send(door, space, diff.product, &replaced, true).await
}

/// One import.
async fn send<D: Door>(
    door: &D,
    space: Option<&str>,
    product: Product,
    objects: &[&SavedObject],
    overwrite: bool,
) -> Result<(), KibanaError<D::Error>> {
    if objects.is_empty() {
        return Ok(());
    }
    let query = if overwrite { "?overwrite=true" } else { "" };
    let path = format!("{}/api/saved_objects/_import{query}", prefix(space));
    let headers = [product.header(), FORM];
    let body = form(&objects::ndjson(objects.iter().copied()));
    let answer = ask(door, Method::Post, &path, &headers, Some(body)).await?;
    match answer.get("success").and_then(Value::as_bool) {
        Some(true) => {}
        Some(false) => {
            return Err(KibanaError::Objects {
                sent: objects.len(),
                refused: refused(&answer),
            });
        }
        None => return Err(incomprehensible(Method::Post, &path, &answer)),
    }
    let objects = elsewhere(&answer);
    if objects.is_empty() {
        Ok(())
    } else {
        Err(KibanaError::Elsewhere { objects })
    }
}

/// What Kibana imported under ids of its own choice.
fn elsewhere(answer: &Value) -> Vec<String> {
    let done = answer.get("successResults").and_then(Value::as_array);
    let moved = done.into_iter().flatten().filter_map(|done| {
        let to = destination(done)?;
        let to = excerpt(to.as_bytes());
        Some(format!("{} as {to}", named(done)))
    });
    moved.collect()
}

/// The id that Kibana chose instead of an object's own.
fn destination(of: &Value) -> Option<&str> {
    of["destinationId"].as_str()
}

/// Asks who is there. Both products answer alike, but OpenSearch Dashboards began to count anew at 1 when it left
/// Kibana at 7; and only Kibana hides its version from those who may not see it.
async fn detect<D: Door>(door: &D) -> Result<(Product, Option<String>), KibanaError<D::Error>> {
    const PATH: &str = "/api/status";
    let sent = door.request(Method::Get, PATH, &[], None).await;
    let answer = sent.map_err(|source| unreachable(Method::Get, PATH, source))?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    // A server that is starting or unwell answers 503 and the same.
    let version = body.pointer("/version/number").and_then(Value::as_str);
    let major = version.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    match major {
        Some(..5) => Ok((Product::OpenSearchDashboards, version.map(answer::version))),
        Some(_) => Ok((Product::Kibana, version.map(answer::version))),
        None if body.pointer("/status/overall").is_some() => Ok((Product::Kibana, None)),
        // A refusal is Kibana's own only where Kibana would refuse; the cluster, or a web server, says 404 or 405.
        None if matches!(answer.status, 401 | 403 | 429 | 500..) => {
            Err(refusal(Method::Get, PATH, &answer))
        }
        None => Err(incomprehensible(Method::Get, PATH, &body_text(&answer))),
    }
}

/// Sends a request that must be answered with 2xx and JSON.
async fn ask<D: Door>(
    door: &D,
    method: Method,
    path: &str,
    headers: &[(&'static str, &'static str)],
    body: Option<Bytes>,
) -> Result<Value, KibanaError<D::Error>> {
    let sent = door.request(method, path, headers, body).await;
    let answer = sent.map_err(|source| unreachable(method, path, source))?;
    if !(200..300).contains(&answer.status) {
        return Err(refusal(method, path, &answer));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|_| incomprehensible(method, path, &body_text(&answer)))
}

fn prefix(space: Option<&str>) -> String {
    space.map_or_else(String::new, |space| format!("/s/{space}"))
}

/// A form with one file; Kibana looks at the end of its name.
fn form(ndjson: &str) -> Bytes {
    format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"logweir.ndjson\"\r\n\
         Content-Type: application/ndjson\r\n\r\n{ndjson}\r\n--{BOUNDARY}--\r\n"
    )
    .into()
}

/// The objects that an answer of `_import` complains of.
fn refused(answer: &Value) -> Vec<RefusedObject> {
    let errors = answer.get("errors").and_then(Value::as_array);
    let errors = errors.into_iter().flatten();
    errors
        .map(|error| RefusedObject {
            name: named(error),
            reason: why(&error["error"]),
        })
        .collect()
}

/// Type and id of an object that an answer speaks of.
fn named(object: &Value) -> String {
    let text = |key: &str| excerpt(object[key].as_str().unwrap_or("?").as_bytes());
    format!("{} {}", text("type"), text("id"))
}

fn why(error: &Value) -> String {
    /// Missing objects that are named.
    const REFERENCES: usize = 20;
    let words = || reason(error).unwrap_or_else(|| excerpt(error.to_string().as_bytes()));
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
            format!("what it refers to is not there: {}", missing.join(", "))
        }
        _ => words(),
    }
}

fn reason(body: &Value) -> Option<String> {
    let said = body
        .get("message")
        .or_else(|| body.get("error"))?
        .as_str()?;
    Some(excerpt(said.as_bytes()))
}

fn status_of(error: &Value) -> u16 {
    let status = error["statusCode"].as_u64();
    status
        .and_then(|status| status.try_into().ok())
        .unwrap_or(500)
}

fn name(method: Method, path: &str) -> String {
    format!("{} {path}", method.as_str())
}

fn unreachable<E>(method: Method, path: &str, source: E) -> KibanaError<E> {
    let request = name(method, path);
    KibanaError::Unreachable { request, source }
}

fn refusal<E>(method: Method, path: &str, answer: &Answer) -> KibanaError<E> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    KibanaError::Refused {
        request: name(method, path),
        status: answer.status,
        reason: reason(&body).unwrap_or_else(|| excerpt(&answer.body)),
    }
}

fn body_text(answer: &Answer) -> Value {
    Value::String(String::from_utf8_lossy(&answer.body).into_owned())
}

fn incomprehensible<E>(method: Method, path: &str, body: &Value) -> KibanaError<E> {
    let text = body
        .as_str()
        .map_or_else(|| body.to_string(), str::to_owned);
    KibanaError::Incomprehensible {
        request: name(method, path),
        body: excerpt(text.as_bytes()),
    }
}
