//! Prevents documents for a data stream from creating a plain index of that name.
//!
//! A bulk request to a name that does not exist creates what the cluster's templates define. Without the right template
//! that is a plain index with guessed types, which blocks the data stream for ever. Elasticsearch since 8.13 refuses
//! that itself on request (`require_data_stream`, elastic/elasticsearch#101872); older versions and OpenSearch refuse
//! the parameter. There the name is checked before the first bulk request. Invariant: without the parameter no bulk
//! request goes to a name that is not a data stream, unless it is certain to become one.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::classify::rejection;
use crate::config::DataStream;
use crate::http::error_body::ServerError;
use crate::http::{HttpClient, HttpError, Method, Response};

/// The parameter of `_bulk`.
pub(crate) const PARAMETER: &str = "require_data_stream";

/// The error type of refusals that this module makes instead of the cluster.
pub(crate) const NO_STREAM: &str = "no_data_stream";

/// Whether the servers know the parameter, and which names are data streams. Each is asked once and remembered.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    refuses_parameter: AtomicBool,
    sure: Mutex<HashSet<String>>,
}

/// The result of checking a name.
enum NameCheck {
    /// It is a data stream, or the first bulk makes it one.
    Stream,
    /// It is not, or that cannot be found out, for this reason.
    Not(String),
}

impl Streams {
    /// Whether the servers accept [`PARAMETER`], as far as is known.
    pub(crate) fn take_parameter(&self) -> bool {
        !self.refuses_parameter.load(Ordering::Relaxed)
    }

    /// True when this response shows that the server does not know [`PARAMETER`]; it is not used again.
    pub(crate) fn is_refusal(&self, response: &Response) -> bool {
        let error = (response.status == 400).then(|| ServerError::read(&response.body));
        let refused = error.is_some_and(|error| {
            error.reason.contains("unrecognized parameter") && error.reason.contains(PARAMETER)
        });
        if refused {
            self.refuses_parameter.store(true, Ordering::Relaxed);
        }
        refused
    }

    /// Checks that a bulk request to this name reaches a data stream; otherwise returns a response that refuses it.
    pub(crate) async fn ensure(
        &self,
        client: &HttpClient,
        node: usize,
        stream: &DataStream,
    ) -> Result<Option<Response>, HttpError> {
        if self.sure().contains(stream.as_str()) {
            return Ok(None);
        }
        match check_name(client, node, stream).await? {
            NameCheck::Stream => {
                self.sure().insert(stream.as_str().to_owned());
                Ok(None)
            }
            NameCheck::Not(reason) => {
                let error = json!({"type": NO_STREAM, "reason": reason});
                let body = json!({"error": error, "status": 404}).to_string();
                Ok(Some(Response::new(404, body)))
            }
        }
    }

    fn sure(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.sure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks whether the data stream exists, and creates it otherwise. Creating succeeds only where the template that
/// applies creates data streams and no index has the name. Where neither request is allowed, it checks our own template.
async fn check_name(
    client: &HttpClient,
    node: usize,
    stream: &DataStream,
) -> Result<NameCheck, HttpError> {
    let name = stream.as_str();
    let path = format!("_resolve/index/{name}");
    let there = client
        .request_node(node, Method::Get, &path, &[], None)
        .await?;
    if there.status == 200 {
        let there: Value = serde_json::from_slice(&there.body).unwrap_or_default();
        let lists = |kind: &str| {
            let entries = there.get(kind).and_then(Value::as_array);
            let mut names = entries.into_iter().flatten().map(|entry| &entry["name"]);
            names.any(|entry| entry == name)
        };
        if lists("data_streams") {
            return Ok(NameCheck::Stream);
        }
        if lists("indices") || lists("aliases") {
            let text = format!("{name} is an index or an alias, not a data stream");
            return Ok(NameCheck::Not(text));
        }
    }
    let path = format!("_data_stream/{name}");
    let made = client
        .request_node(node, Method::Put, &path, &[], None)
        .await?;
    let error = ServerError::read(&made.body);
    match made.status {
        200..=299 => return Ok(NameCheck::Stream),
        400 if &*error.kind == "resource_already_exists_exception" => return Ok(NameCheck::Stream),
        // not allowed, or no such API: a server without it responds 405, or 400 without a type
        401 | 403..=405 => {}
        400 if error.kind.is_empty() => {}
        status => return Ok(NameCheck::Not(rejection(status, &error).to_string())),
    }
    let template = stream.template();
    let path = format!("_index_template/{template}");
    let response = client
        .request_node(node, Method::Get, &path, &[], None)
        .await?;
    Ok(match response.status {
        200 if makes_streams(&response.body) => NameCheck::Stream,
        200 => NameCheck::Not(format!(
            "the index template {template} makes no data streams"
        )),
        404 => NameCheck::Not(format!("there is no index template {template}")),
        status => {
            let reason = rejection(status, &ServerError::read(&response.body));
            NameCheck::Not(format!(
                "cannot find out whether {name} is a data stream: {reason}"
            ))
        }
    })
}

/// Whether the response to `GET _index_template/NAME` is a template that creates data streams.
pub(crate) fn makes_streams(response: &[u8]) -> bool {
    let response: Value = serde_json::from_slice(response).unwrap_or_default();
    response
        .pointer("/index_templates/0/index_template/data_stream")
        .is_some_and(Value::is_object)
}
