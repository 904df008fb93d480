//! Sends a bulk request to a node of the cluster.
//!
//! Owns the addresses of `_bulk`, the headers of a bulk request and the limit of its response; refuses to know what the
//! response means. Invariant: a request for a data stream never creates a plain index of that name.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use url::Url;

use super::bulk::FILTER_PATH;
use super::settings::Settings;
use super::stream::{PARAMETER, Streams};
use crate::config::DataStream;
use crate::http::{HttpClient, HttpError, Method, Nodes, Response, Service};

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

/// A request body that is ready to be sent; it is kept for retries.
#[derive(Debug, Clone)]
pub(crate) struct BulkRequest {
    pub(crate) body: Bytes,
    pub(crate) gzip: bool,
    /// The number of its documents.
    pub(crate) documents: usize,
    /// The data stream of all items; it must not become a plain index.
    pub(crate) stream: Option<Arc<DataStream>>,
}

/// Sends bulk requests; tests replace it.
pub(crate) trait BulkTransport: Send + Sync + 'static {
    /// The nodes of the cluster.
    fn nodes(&self) -> &Nodes;

    /// Sends one bulk request to this node.
    fn bulk(
        &self,
        node: usize,
        request: BulkRequest,
    ) -> impl Future<Output = Result<Response, HttpError>> + Send;
}

/// The addresses of `_bulk` at one node.
struct BulkUrls {
    plain: Url,
    /// The same, but the cluster refuses names that are no data streams.
    stream: Url,
}

/// The transport to a real cluster.
pub(crate) struct BulkClient {
    pub(crate) http: HttpClient,
    urls: Vec<BulkUrls>,
    streams: Streams,
}

impl BulkClient {
    /// Builds the client and sends nothing.
    pub(crate) fn new(settings: &Settings) -> Result<Self, HttpError> {
        let http = HttpClient::new(&settings.connection, Service::Cluster, settings.backoff)?;
        // The cluster's timeout for a shard is shorter than ours for the request: a response that names the items that
        // could not be written is better than none.
        let path = format!(
            "_bulk?timeout={}ms&filter_path={FILTER_PATH}",
            settings.connection.request_timeout.as_millis() / 2
        );
        let urls = (0..http.nodes().count()).map(|node| {
            Ok(BulkUrls {
                plain: http.url(node, &path)?,
                stream: http.url(node, &format!("{path}&{PARAMETER}=true"))?,
            })
        });
        let urls: Result<Vec<_>, HttpError> = urls.collect();
        Ok(Self {
            urls: urls?,
            http,
            streams: Streams::default(),
        })
    }

    async fn post(
        &self,
        node: usize,
        url: &Url,
        request: &BulkRequest,
    ) -> Result<Response, HttpError> {
        let headers: &[_] = if request.gzip {
            &[NDJSON, GZIP]
        } else {
            &[NDJSON]
        };
        let (body, limit) = (request.body.clone(), response_limit(request.documents));
        self.http
            .send(node, Method::Post, url, headers, Some(body), limit)
            .await
    }
}

impl BulkTransport for BulkClient {
    fn nodes(&self) -> &Nodes {
        self.http.nodes()
    }

    async fn bulk(&self, node: usize, request: BulkRequest) -> Result<Response, HttpError> {
        let Some(urls) = self.urls.get(node) else {
            return Err(HttpError::Path("_bulk".to_owned()));
        };
        if let Some(stream) = &request.stream {
            if self.streams.take_parameter() {
                let response = self.post(node, &urls.stream, &request).await?;
                if !self.streams.is_refusal(&response) {
                    return Ok(response);
                }
            }
            if let Some(refusal) = self.streams.ensure(&self.http, node, stream).await? {
                return Ok(refusal);
            }
        }
        self.post(node, &urls.plain, &request).await
    }
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Limit of the response to a bulk request with this number of documents, in bytes. `{"create":{"status":201}}` has 25
/// bytes; a refusal with its reason and that of its cause seldom has 1 KiB. Where each reason is longer, the request is
/// sent in halves, and the limit of each half includes the first mebibyte again.
fn response_limit(documents: usize) -> usize {
    const PER_DOCUMENT: usize = 4 * KIB;
    const MOST: usize = 64 * MIB;
    documents
        .saturating_mul(PER_DOCUMENT)
        .saturating_add(MIB)
        .min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulk_response_may_be_as_long_as_its_request_has_documents() {
        assert_eq!(response_limit(0), MIB);
        assert_eq!(response_limit(10_000), 40_000 * KIB + MIB);
        assert_eq!(response_limit(usize::MAX), 64 * MIB);
    }
}
