//! Parses the responses to setup's requests: JSON for 2xx, a named refusal for any other status.

use bytes::Bytes;
use serde_json::Value;

use super::{Answer, Client, Method, SetupError};
use crate::text;

/// Most bytes of a refusal's reason that an error message shows.
const REASON_BYTES: usize = 1024;

/// Sends a request; the error is a transport error.
pub(super) async fn request<C: Client>(
    client: &C,
    method: Method,
    path: &str,
    body: Option<Bytes>,
) -> Result<Answer, SetupError<C::Error>> {
    let answer = client.request(method, path, body).await;
    answer.map_err(|source| SetupError::Unreachable {
        request: name(method, path),
        source,
    })
}

/// Sends a request whose response must be 2xx and JSON.
pub(super) async fn accepted<C: Client>(
    client: &C,
    method: Method,
    path: &str,
    body: Option<Bytes>,
) -> Result<Value, SetupError<C::Error>> {
    judge(method, path, request(client, method, path, body).await?)
}

/// Returns the JSON of a 2xx response; any other response is a refusal by the cluster.
pub(super) fn judge<E>(method: Method, path: &str, answer: Answer) -> Result<Value, SetupError<E>> {
    let request = name(method, path);
    let json = serde_json::from_slice(&answer.body);
    match (answer.status, json) {
        (200..=299, Ok(json)) => Ok(json),
        (200..=299, Err(_)) => Err(SetupError::Incomprehensible {
            request,
            body: excerpt(&answer.body),
        }),
        (status, json) => {
            let reason = json.ok().and_then(|json| reason(&json));
            let reason = match &reason {
                Some(reason) => text::excerpt(reason.as_bytes(), REASON_BYTES),
                None => excerpt(&answer.body),
            };
            Err(SetupError::Refused {
                request,
                status,
                reason,
            })
        }
    }
}

/// The request as messages show it: `GET /path`.
pub(super) fn name(method: Method, path: &str) -> String {
    format!("{} {path}", method.as_str())
}

/// The innermost cause in an error body. The outer causes state only that something is wrong
/// (`composable template [x] template after composition is invalid`).
fn reason(body: &Value) -> Option<String> {
    let error = body.get("error")?;
    if let Some(text) = error.as_str() {
        return Some(text.to_owned());
    }
    let mut cause = error;
    while let Some(inner) = cause.get("caused_by") {
        cause = inner;
    }
    let text = |key| cause.get(key).and_then(Value::as_str);
    // in a 401 only this key states that an API key has expired
    let reason = text("additional_unsuccessful_credentials").or(text("reason"));
    match (text("type"), reason) {
        (Some(kind), Some(reason)) => Some(format!("{kind}: {reason}")),
        (kind, reason) => kind.or(reason).map(str::to_owned),
    }
}

/// The beginning of an outside text on one line, safe for a terminal.
pub(super) fn excerpt(body: &[u8]) -> String {
    if body.is_empty() {
        return "an empty body".to_owned();
    }
    text::excerpt(body, text::EXCERPT_BYTES)
}

/// A server's version, shortened and safe for a terminal.
pub(super) fn version(text: &str) -> String {
    const BYTES: usize = 64;
    text::excerpt(text.as_bytes(), BYTES)
}
