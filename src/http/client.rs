//! Sends a request to a node of a service and reads the response.
//!
//! Owns URLs and headers; refuses to know what a body means. Invariant: every failure, including a redirect, is an
//! [`HttpError`] that names the node. It uses `reqwest` directly: the transport of the `elasticsearch` crate uses it too,
//! but follows redirects and has no option to turn that off.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, RETRY_AFTER, USER_AGENT,
};
use reqwest::redirect::Policy;
use secrecy::ExposeSecret;
use url::Url;

use super::backoff::Backoff;
use super::error::{HttpError, NodeFault, PROXY_AUTH};
use super::nodes::Nodes;
use super::redirect::Redirect;
use super::response::{self, ReadError, Response};
use super::settings::{ConnectionSettings, shown};
use super::tls::Tls;
use super::{Method, Service, Transport};
use crate::config::{self, Proxy};

/// A node that takes longer to accept a connection counts as unreachable. Without this limit each request to a host
/// that is down would take its whole timeout, and a stop its whole grace period.
const CONNECT_TIME: Duration = Duration::from_secs(10);

const NAME: &str = concat!("logweir/", env!("CARGO_PKG_VERSION"));

struct Node {
    base: Url,
    shown: String,
    proxy: Option<Proxy>,
}

/// The client of one service.
pub struct HttpClient {
    http: reqwest::Client,
    service: Service,
    addresses: Vec<Node>,
    nodes: Nodes,
    headers: HeaderMap,
    request_timeout: Duration,
    /// The trusted authorities, for the message about an unknown issuer.
    trusted: String,
}

impl HttpClient {
    /// Builds the client and sends nothing. `pause` determines how long a node is not used after it failed.
    pub fn new(
        settings: &ConnectionSettings,
        service: Service,
        pause: Backoff,
    ) -> Result<Self, HttpError> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(HttpError::Settings { service, problems });
        }
        let mut addresses = Vec::with_capacity(settings.nodes.len());
        for base in &settings.nodes {
            let mut base = base.clone();
            if !base.path().ends_with('/') {
                base.set_path(&format!("{}/", base.path()));
            }
            addresses.push(Node {
                shown: shown(&base),
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
        if addresses.iter().any(|node| node.proxy.is_some()) {
            let proxies = settings.proxies.clone();
            let proxy = reqwest::Proxy::custom(move |url| proxies.of(url).map(Proxy::secret_url));
            builder = builder.proxy(proxy);
        }
        let mut trusted = String::new();
        let is_tls = |url: &Url| url.scheme() == "https";
        if settings.nodes.iter().any(is_tls) {
            let tls = Tls::read(settings, service)?;
            builder = builder.use_preconfigured_tls(tls.config);
            trusted = tls.trusted;
        }
        let http = builder
            .build()
            .map_err(|error| HttpError::Client(error.to_string()))?;
        Ok(Self {
            http,
            service,
            nodes: Nodes::new(addresses.len(), pause),
            addresses,
            headers: headers(settings, service)?,
            request_timeout: settings.request_timeout,
            trusted,
        })
    }

    /// The client of the configured cluster.
    pub(crate) fn of_cluster(cluster: &config::Elasticsearch) -> Result<Self, HttpError> {
        let settings = ConnectionSettings::of_cluster(cluster);
        Self::new(&settings, Service::Cluster, Backoff::default())
    }

    /// The client of the configured Kibana or OpenSearch Dashboards.
    pub fn of_kibana(kibana: &config::Kibana) -> Result<Self, HttpError> {
        let settings = ConnectionSettings::of_kibana(kibana);
        Self::new(&settings, Service::Kibana, Backoff::default())
    }

    /// The nodes, and which of them respond.
    pub(crate) fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// The URL of a path below a node's address. A leading slash in `path` keeps the prefix of the address.
    pub(crate) fn url(&self, node: usize, path: &str) -> Result<Url, HttpError> {
        let node = self.addresses.get(node);
        node.and_then(|node| join(&node.base, path))
            .ok_or_else(|| HttpError::Path(path.to_owned()))
    }

    /// Sends a request to this node. `headers` are added to those of every request.
    pub(crate) async fn request_node(
        &self,
        node: usize,
        method: Method,
        path: &str,
        headers: &[(&'static str, &'static str)],
        body: Option<Bytes>,
    ) -> Result<Response, HttpError> {
        let url = self.url(node, path)?;
        self.send(node, method, &url, headers, body, response::LIMIT)
            .await
    }

    /// Sends a request to this URL of a node; a body of more than `limit` bytes is an error.
    pub(crate) async fn send(
        &self,
        node: usize,
        method: Method,
        url: &Url,
        headers: &[(&'static str, &'static str)],
        body: Option<Bytes>,
        limit: usize,
    ) -> Result<Response, HttpError> {
        let address = self.addresses.get(node);
        let failed = |fault| HttpError::Node {
            node: address.map_or_else(String::new, |node| node.shown.clone()),
            service: self.service,
            fault,
        };
        let proxy = address.and_then(|node| node.proxy.as_ref());
        let broken = |error: reqwest::Error| {
            let fault = NodeFault::read(&error, self.request_timeout, || self.trusted.clone());
            failed(match proxy {
                Some(proxy) => fault.by_proxy(proxy),
                None => fault,
            })
        };
        let mut all = self.headers.clone();
        for (name, value) in headers {
            all.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let mut request = self.http.request(method.into(), url.clone()).headers(all);
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        if let Some(proxy) = proxy
            && status == 407
        {
            return Err(failed(NodeFault::proxy(proxy, PROXY_AUTH.to_owned())));
        }
        let location = response.headers().get(LOCATION).map(HeaderValue::as_bytes);
        if let Some(address) = address
            && let Some(redirect) =
                Redirect::read(status, location, &address.base, url, self.service)
        {
            return Err(failed(NodeFault::Redirected(redirect)));
        }
        let header = |name| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let (retry_after, date) = (header(RETRY_AFTER), header(DATE));
        let body = response::read(response, limit)
            .await
            .map_err(|error| match error {
                ReadError::Broken(error) => broken(error),
                ReadError::TooLong => failed(NodeFault::TooLong { limit }),
            })?;
        Ok(Response {
            status,
            body,
            date,
            retry_after,
        })
    }
}

/// Sends the request to the first node that responds.
impl Transport for HttpClient {
    type Error = HttpError;

    async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &'static str)],
        body: Option<Bytes>,
    ) -> Result<Response, HttpError> {
        let mut tried = 1;
        loop {
            let node = self.nodes.pick();
            let response = self
                .request_node(node, method, path, headers, body.clone())
                .await;
            match response {
                Err(HttpError::Node { .. }) if tried < self.nodes.count() => {
                    self.nodes.failed(node);
                }
                Err(error) => return Err(error),
                Ok(response) => {
                    self.nodes.responded(node);
                    return Ok(response);
                }
            }
            tried += 1;
        }
    }
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

/// The headers of every request.
fn headers(settings: &ConnectionSettings, service: Service) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(NAME));
    let json = HeaderValue::from_static("application/json");
    headers.insert(ACCEPT, json.clone());
    headers.insert(CONTENT_TYPE, json);
    if !settings.gzip {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if let Some(secret) = settings.auth.header() {
        let mut value = HeaderValue::from_str(secret.expose_secret()).map_err(|_| {
            let problems = settings.problems();
            HttpError::Settings { service, problems }
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn join(base: &Url, path: &str) -> Option<Url> {
    let url = base.join(path.trim_start_matches('/')).ok()?;
    let is_below = url.origin() == base.origin() && url.path().starts_with(base.path());
    is_below.then_some(url)
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
        assert!(join(&base, "http://elsewhere/_bulk").is_none());
        assert!(join(&base, "../_bulk").is_none());
    }
}
