//! The HTTP client for every request to a cluster or to Kibana.
//!
//! Owns URLs, headers, credentials and TLS; refuses to know what a body means. Invariant: a request reaches the node
//! that it was meant for and no other host; every failure, including a redirect, is an [`OutputError`] that names the
//! node; a response never takes more memory than its limit. It uses `reqwest` directly: the transport of the
//! `elasticsearch` crate uses it too, but follows redirects and has no option to turn that off.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap,
    HeaderName, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT,
};
use reqwest::redirect::Policy;
use secrecy::ExposeSecret;
use url::Url;

use super::bulk::FILTER_PATH;
use super::deliver::Transport;
use super::error::{Fault, OutputError, PROXY_AUTH};
use super::redirect::Redirect;
use super::response::{self, Response, Unread};
use super::settings::{Settings, shown};
use super::stream::{PARAMETER, Streams};
use super::sub_batch::BulkRequest;
use super::tls::Tls;
use crate::config::Proxy;

/// A node that takes longer to accept a connection counts as unreachable. Without this limit each request to a host
/// that is down would take its whole timeout, and a stop its whole grace period.
const CONNECT_TIME: Duration = Duration::from_secs(10);

const NAME: &str = concat!("logweir/", env!("CARGO_PKG_VERSION"));

/// The HTTP methods that are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Create or replace.
    Put,
    /// Query with a body, or start an action.
    Post,
    /// Remove.
    Delete,
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Put => Self::PUT,
            Method::Post => Self::POST,
            Method::Delete => Self::DELETE,
        }
    }
}

struct Node {
    base: Url,
    bulk: Url,
    /// The same, but the cluster refuses names that are no data streams.
    stream_bulk: Url,
    shown: String,
    proxy: Option<Proxy>,
}

/// The HTTP client and everything that a request needs.
pub(crate) struct Client {
    http: reqwest::Client,
    /// The name that messages use for the setting with the addresses.
    setting: &'static str,
    nodes: Vec<Node>,
    headers: HeaderMap,
    request_timeout: Duration,
    streams: Streams,
    /// The trusted authorities, for the message about an unknown issuer.
    trusted: String,
}

impl Client {
    /// Builds the client and sends nothing. `setting` is the name that messages use for the setting with the addresses.
    pub(crate) fn new(settings: &Settings, setting: &'static str) -> Result<Self, OutputError> {
        let mut nodes = Vec::with_capacity(settings.nodes.len());
        for base in &settings.nodes {
            let mut base = base.clone();
            if !base.path().ends_with('/') {
                base.set_path(&format!("{}/", base.path()));
            }
            // The cluster's timeout for a shard is shorter than ours for the request: a response that names the items
            // that could not be written is better than none.
            let path = format!(
                "_bulk?timeout={}ms&filter_path={FILTER_PATH}",
                settings.request_timeout.as_millis() / 2
            );
            nodes.push(Node {
                shown: shown(&base),
                bulk: join(&base, &path)?,
                stream_bulk: join(&base, &format!("{path}&{PARAMETER}=true"))?,
                proxy: settings.proxies.of(&base).cloned(),
                base,
            });
        }
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .timeout(settings.request_timeout)
            .connect_timeout(CONNECT_TIME.min(settings.request_timeout));
        // The configuration has read the environment variables for proxies; nothing else may choose one.
        builder = builder.no_proxy();
        if nodes.iter().any(|node| node.proxy.is_some()) {
            let proxies = settings.proxies.clone();
            let proxy = reqwest::Proxy::custom(move |url| proxies.of(url).map(Proxy::secret_url));
            builder = builder.proxy(proxy);
        }
        let mut trusted = String::new();
        let is_tls = |url: &Url| url.scheme() == "https";
        if settings.nodes.iter().any(is_tls) {
            let tls = Tls::read(settings)?;
            builder = builder.use_preconfigured_tls(tls.config);
            trusted = tls.trusted;
        }
        let http = builder
            .build()
            .map_err(|error| OutputError::Client(error.to_string()))?;
        Ok(Self {
            http,
            setting,
            nodes,
            headers: headers(settings)?,
            request_timeout: settings.request_timeout,
            streams: Streams::default(),
            trusted,
        })
    }

    pub(crate) fn node(&self, node: usize) -> &str {
        self.nodes.get(node).map_or("", |node| &node.shown)
    }

    /// Sends a request other than `_bulk`, with a JSON body.
    pub(crate) async fn request(
        &self,
        node: usize,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Response, OutputError> {
        let json = [(CONTENT_TYPE.as_str(), "application/json")];
        self.request_with(node, method, path, &json, body).await
    }

    /// Like [`Client::request`], with additional headers.
    pub(crate) async fn request_with(
        &self,
        node: usize,
        method: Method,
        path: &str,
        more: &[(&'static str, &'static str)],
        body: Option<Bytes>,
    ) -> Result<Response, OutputError> {
        let base = self.nodes.get(node).map(|node| &node.base);
        let url = join(
            base.ok_or_else(|| OutputError::Path(path.to_owned()))?,
            path,
        )?;
        let mut headers = self.headers.clone();
        for (name, value) in more {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        self.send(node, method, url, headers, body, response::LIMIT)
            .await
    }

    async fn send(
        &self,
        node: usize,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Option<Bytes>,
        limit: usize,
    ) -> Result<Response, OutputError> {
        let failed = |fault| OutputError::Node {
            node: self.node(node).to_owned(),
            fault,
        };
        let proxy = self.nodes.get(node).and_then(|node| node.proxy.as_ref());
        let broken = |error: reqwest::Error| {
            let fault = Fault::read(&error, self.request_timeout, || self.trusted.clone());
            failed(match proxy {
                Some(proxy) => fault.by_proxy(proxy),
                None => fault,
            })
        };
        let mut request = self
            .http
            .request(method.into(), url.clone())
            .headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        if let Some(proxy) = proxy
            && status == 407
        {
            return Err(failed(Fault::proxy(proxy, PROXY_AUTH.to_owned())));
        }
        if let Some(redirect) = self.redirect(node, &url, status, response.headers()) {
            return Err(failed(Fault::Redirected(redirect)));
        }
        let header = |name| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let (retry_after, date) = (header(RETRY_AFTER), header(DATE));
        let body = response::read(response, limit)
            .await
            .map_err(|unread| match unread {
                Unread::Broken(error) => broken(error),
                Unread::TooLong => failed(Fault::TooLong { limit }),
            })?;
        Ok(Response {
            status,
            retry_after,
            date,
            body,
        })
    }

    fn redirect(
        &self,
        node: usize,
        url: &Url,
        status: u16,
        headers: &HeaderMap,
    ) -> Option<Redirect> {
        let base = &self.nodes.get(node)?.base;
        let location = headers.get(LOCATION).map(HeaderValue::as_bytes);
        Redirect::read(status, location, base, url, self.setting)
    }
}

impl Transport for Client {
    fn nodes(&self) -> usize {
        self.nodes.len()
    }

    async fn bulk(&self, node: usize, request: BulkRequest) -> Result<Response, OutputError> {
        let Some(addresses) = self.nodes.get(node) else {
            return Err(OutputError::Path("_bulk".to_owned()));
        };
        if let Some(stream) = &request.stream {
            if self.streams.take_parameter() {
                let response = self.post(node, &addresses.stream_bulk, &request).await?;
                if !self.streams.is_refusal(&response) {
                    return Ok(response);
                }
            }
            if let Some(refusal) = self.streams.ensure(self, node, stream).await? {
                return Ok(refusal);
            }
        }
        self.post(node, &addresses.bulk, &request).await
    }
}

impl Client {
    async fn post(
        &self,
        node: usize,
        url: &Url,
        request: &BulkRequest,
    ) -> Result<Response, OutputError> {
        let mut headers = self.headers.clone();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-ndjson"),
        );
        if request.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        self.send(
            node,
            Method::Post,
            url.clone(),
            headers,
            Some(request.body.clone()),
            response::bulk_limit(request.documents),
        )
        .await
    }
}

fn headers(settings: &Settings) -> Result<HeaderMap, OutputError> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(NAME));
    let json = HeaderValue::from_static("application/json");
    headers.insert(ACCEPT, json.clone());
    headers.insert(CONTENT_TYPE, json);
    if !settings.gzip {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if let Some(secret) = settings.auth.header() {
        let mut value = HeaderValue::from_str(secret.expose_secret())
            .map_err(|_| OutputError::Settings(settings.problems()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// An address below `base`. A leading slash in `path` keeps the prefix of `base`.
fn join(base: &Url, path: &str) -> Result<Url, OutputError> {
    let url = base.join(path.trim_start_matches('/')).ok();
    url.filter(|url| url.origin() == base.origin() && url.path().starts_with(base.path()))
        .ok_or_else(|| OutputError::Path(path.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_path_stays_below_the_nodes_prefix() {
        let base = Url::parse("https://proxy/es/").unwrap();
        assert_eq!(
            join(&base, "/_bulk?a=b").unwrap().as_str(),
            "https://proxy/es/_bulk?a=b"
        );
        assert!(join(&base, "http://elsewhere/_bulk").is_err());
        assert!(join(&base, "../_bulk").is_err());
    }
}
