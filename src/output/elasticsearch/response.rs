//! Reads a response, up to a limit.
//!
//! Owns the limits and the one loop that reads a body. Refuses to know what a body means. Invariant: a body takes no more
//! memory than its limit, whatever it is compressed to, however it is chunked and whatever length it claims; its time is
//! bounded by `request_timeout`, which runs from the request to the last byte of the response. The failure it guards
//! against: another server in the cluster's place sends 4 MB of gzip that become gigabytes, or a body without an end.

use bytes::Bytes;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The response of a node to one request.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The body, decompressed.
    pub body: Bytes,
    /// The header `Date`; a proxy or gateway sends it, the cluster itself does not.
    pub date: Option<String>,
    /// The header `Retry-After`.
    pub(crate) retry_after: Option<String>,
}

/// Limit of every response but that of `_bulk`. The longest of them list the indices of `index`, or all index templates
/// of the cluster: some 100 to 600 bytes an entry, so this is room for 6,500 indices. Read into values, small objects take
/// 80 times the room of their text.
pub(crate) const LIMIT: usize = 4 * MIB;

/// Limit of a response of `_bulk` to so many documents. `{"create":{"status":201}}` has 25 bytes; a refusal with its reason
/// and that of its cause seldom has 1 KiB. Where each reason is longer, the request is sent in halves, and the limit of
/// each half includes the first mebibyte again.
pub(crate) fn bulk_limit(documents: usize) -> usize {
    const PER_DOCUMENT: usize = 4 * KIB;
    const MOST: usize = 64 * MIB;
    documents
        .saturating_mul(PER_DOCUMENT)
        .saturating_add(MIB)
        .min(MOST)
}

/// Why there is no body.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The connection failed, or the response took too long.
    Broken(reqwest::Error),
    /// There is more than the limit.
    TooLong,
}

/// Reads a body, decompressed, of at most `limit` bytes.
pub(crate) async fn read(mut response: reqwest::Response, limit: usize) -> Result<Bytes, Unread> {
    // The length is known in advance only where the body is not compressed.
    let length = response.content_length().unwrap_or(0);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > limit {
        return Err(Unread::TooLong);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Unread::Broken)? {
        if chunk.len() > limit - body.len() {
            return Err(Unread::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Bytes::from(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulk_response_may_be_as_long_as_its_request_has_documents() {
        assert_eq!(bulk_limit(0), MIB);
        assert_eq!(bulk_limit(10_000), 40_000 * KIB + MIB);
        assert_eq!(bulk_limit(usize::MAX), 64 * MIB);
    }
}
