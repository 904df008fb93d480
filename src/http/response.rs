//! Reads a response, up to a limit.
//!
//! Owns the limits and the one loop that reads a body. Refuses to know what a body means. Invariant: a body takes no more
//! memory than its limit, whatever it is compressed to, however it is chunked and whatever length it claims; its time is
//! bounded by `request_timeout`, which runs from the request to the last byte of the response. The failure it guards
//! against: another server in the cluster's place sends 4 MB of gzip that become gigabytes, or a body without an end.

use bytes::Bytes;

/// The response to one request, of any status.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The body, decompressed; usually JSON.
    pub body: Bytes,
    /// The header `Date`; a proxy or gateway sends it, the cluster itself does not.
    pub date: Option<String>,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
}

impl Response {
    /// A response without these headers.
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            body: body.into(),
            date: None,
            retry_after: None,
        }
    }
}

/// Limit of every response but that of `_bulk`. The longest of them list the indices of `index`, or all index templates
/// of the cluster: some 100 to 600 bytes an entry, so this is room for 6,500 indices. Read into values, small objects take
/// 80 times the room of their text.
pub(crate) const LIMIT: usize = 4 * 1024 * 1024;

/// Why there is no body.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The connection failed, or the response took too long.
    Broken(reqwest::Error),
    /// There is more than the limit.
    TooLong,
}

/// Reads a body, decompressed, of at most `limit` bytes.
pub(crate) async fn read(
    mut response: reqwest::Response,
    limit: usize,
) -> Result<Bytes, ReadError> {
    // The length is known in advance only where the body is not compressed.
    let length = response.content_length().unwrap_or(0);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > limit {
        return Err(ReadError::TooLong);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(ReadError::Broken)? {
        if chunk.len() > limit - body.len() {
            return Err(ReadError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Bytes::from(body))
}
