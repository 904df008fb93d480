//! Sends setup's requests to a cluster and parses the responses: JSON for 2xx, a named refusal for any other status.

use bytes::Bytes;
use serde_json::Value;

use super::SetupError;
use crate::http::error_body::{describe, excerpt};
use crate::http::{Method, Response, Transport};
use crate::text;

/// Sends a request; the error is a transport error.
pub(super) async fn send<T: Transport>(
    client: &T,
    method: Method,
    path: &str,
    body: Option<Bytes>,
) -> Result<Response, SetupError<T::Error>> {
    let response = client.request(method, path, &[], body).await;
    response.map_err(|source| SetupError::Unreachable {
        request: request_line(method, path),
        source,
    })
}

/// Sends a request whose response must be 2xx and JSON.
pub(super) async fn accepted<T: Transport>(
    client: &T,
    method: Method,
    path: &str,
    body: Option<Bytes>,
) -> Result<Value, SetupError<T::Error>> {
    json(method, path, send(client, method, path, body).await?)
}

/// Returns the JSON of a 2xx response; any other response is a refusal by the cluster.
pub(super) fn json<E>(
    method: Method,
    path: &str,
    response: Response,
) -> Result<Value, SetupError<E>> {
    let request = request_line(method, path);
    match response.status {
        200..=299 => {
            serde_json::from_slice(&response.body).map_err(|_| SetupError::Incomprehensible {
                request,
                body: excerpt(&response.body),
            })
        }
        status => Err(SetupError::Refused {
            request,
            status,
            reason: describe(&response.body),
        }),
    }
}

/// The request as messages show it: `GET /path`.
pub(super) fn request_line(method: Method, path: &str) -> String {
    format!("{method} {path}")
}

/// A server's version, shortened and safe for a terminal.
pub(super) fn version(text: &str) -> String {
    const BYTES: usize = 64;
    text::excerpt(text.as_bytes(), BYTES)
}
