//! The road to a node: the official client's transport, and nothing else of it.
//!
//! Owns URLs, headers, credentials and TLS; refuses to know what a body means. Invariant: every failure
//! comes back as an [`OutputError`] that names the node. Guards against the crate's own connection pool,
//! which neither tells which node it chose nor leaves a dead one out: each request is sent to an absolute
//! address, which the crate joins onto its base and so takes as it is.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use elasticsearch::auth::{ClientCertificate, Credentials};
use elasticsearch::http::Method;
use elasticsearch::http::headers::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName,
    HeaderValue, RETRY_AFTER, USER_AGENT,
};
use elasticsearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use secrecy::ExposeSecret;
use url::{Host, Url};

use super::Answer;
use super::bulk::FILTER_PATH;
use super::deliver::{Courier, Reply};
use super::error::{Fault, OutputError};
use super::parcel::Wire;
use super::settings::{Settings, shown};
use super::stream::{PARAMETER, Streams};
use super::tls::{Roots, identity};

const NAME: &str = concat!("logweir/", env!("CARGO_PKG_VERSION"));

struct Node {
    base: Url,
    bulk: String,
    /// The same, refused for what is no data stream.
    stream_bulk: String,
    shown: String,
}

/// The transport with all that a request needs.
pub(crate) struct Client {
    transport: Transport,
    nodes: Vec<Node>,
    headers: HeaderMap,
    request_timeout: Duration,
    streams: Streams,
    /// Whom we trust, for the message when that is not enough.
    trusted: String,
}

impl Client {
    pub(crate) fn new(settings: &Settings) -> Result<Self, OutputError> {
        let mut nodes = Vec::with_capacity(settings.nodes.len());
        for base in &settings.nodes {
            let mut base = base.clone();
            if !base.path().ends_with('/') {
                base.set_path(&format!("{}/", base.path()));
            }
            // The cluster gives up on a shard before we give up on the cluster: an answer that names the
            // items which could not be written is worth more than none.
            let path = format!(
                "_bulk?timeout={}ms&filter_path={FILTER_PATH}",
                settings.request_timeout.as_millis() / 2
            );
            let bulk = join(&base, &path)?.to_string();
            let stream_bulk = format!("{bulk}&{PARAMETER}=true");
            nodes.push(Node {
                shown: shown(&base),
                bulk,
                stream_bulk,
                base,
            });
        }
        let base = nodes.first().map(|node| node.base.clone());
        let pool = base.map_or_else(
            SingleNodeConnectionPool::default,
            SingleNodeConnectionPool::new,
        );
        let mut builder = TransportBuilder::new(pool)
            .timeout(settings.request_timeout)
            .enable_meta_header(false);
        // A proxy from the environment cannot reach this host's own loopback.
        if settings.nodes.iter().all(is_loopback) {
            builder = builder.disable_proxy();
        }
        let mut trusted = String::new();
        if settings.nodes.iter().any(|node| node.scheme() == "https") {
            let roots = Roots::read(settings)?;
            builder = builder.cert_validation(roots.validation()?);
            trusted = format!("{} of the operating system", roots.from_system);
            match &settings.ca_file {
                Some(path) => trusted.push_str(&format!(" and ca_file {}", path.display())),
                None => trusted.push_str(", no ca_file"),
            }
            if let Some(client) = &settings.client_certificate {
                let pem = ClientCertificate::Pem(identity(client)?);
                builder = builder.auth(Credentials::Certificate(pem));
            }
        }
        let transport = builder
            .build()
            .map_err(|error| OutputError::Client(error.to_string()))?;
        Ok(Self {
            transport,
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

    /// One request of any other kind, with JSON in it.
    pub(crate) async fn request(
        &self,
        node: usize,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, OutputError> {
        let json = [(CONTENT_TYPE.as_str(), "application/json")];
        self.request_with(node, method, path, &json, body).await
    }

    /// The same with headers of the caller's.
    pub(crate) async fn request_with(
        &self,
        node: usize,
        method: Method,
        path: &str,
        more: &[(&'static str, &'static str)],
        body: Option<Bytes>,
    ) -> Result<Answer, OutputError> {
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
        let reply = self.send(node, method, url.as_str(), headers, body).await?;
        Ok(Answer {
            status: reply.status,
            body: reply.body,
            date: reply.date,
        })
    }

    async fn send(
        &self,
        node: usize,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<Reply, OutputError> {
        let fault = |error: elasticsearch::Error| OutputError::Node {
            node: self.node(node).to_owned(),
            fault: Fault::read(&error, self.request_timeout, || self.trusted.clone()),
        };
        let response = self
            .transport
            .send(method, url, headers, None::<&()>, body, None)
            .await
            .map_err(fault)?;
        let status = response.status_code().as_u16();
        let header = |name| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let (retry_after, date) = (header(RETRY_AFTER), header(DATE));
        let body = response.bytes().await.map_err(fault)?;
        Ok(Reply {
            status,
            retry_after,
            date,
            body,
        })
    }
}

impl Courier for Client {
    fn nodes(&self) -> usize {
        self.nodes.len()
    }

    async fn bulk(&self, node: usize, wire: Wire) -> Result<Reply, OutputError> {
        let Some(addresses) = self.nodes.get(node) else {
            return Err(OutputError::Path("_bulk".to_owned()));
        };
        if let Some(stream) = &wire.stream {
            if self.streams.take_parameter() {
                let reply = self.post(node, &addresses.stream_bulk, &wire).await?;
                if !self.streams.is_refusal(&reply) {
                    return Ok(reply);
                }
            }
            if let Some(refusal) = self.streams.ensure(self, node, stream).await? {
                return Ok(refusal);
            }
        }
        self.post(node, &addresses.bulk, &wire).await
    }
}

impl Client {
    async fn post(&self, node: usize, url: &str, wire: &Wire) -> Result<Reply, OutputError> {
        let mut headers = self.headers.clone();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-ndjson"),
        );
        if wire.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        self.send(node, Method::Post, url, headers, Some(wire.body.clone()))
            .await
    }
}

fn headers(settings: &Settings) -> Result<HeaderMap, OutputError> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(NAME));
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

/// An address below `base`; a leading slash does not leave its prefix.
fn join(base: &Url, path: &str) -> Result<Url, OutputError> {
    let url = base.join(path.trim_start_matches('/')).ok();
    url.filter(|url| url.origin() == base.origin() && url.path().starts_with(base.path()))
        .ok_or_else(|| OutputError::Path(path.to_owned()))
}

fn is_loopback(node: &Url) -> bool {
    match node.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
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

    #[test]
    fn loopback_is_told_from_the_network() {
        let is = |node: &str| is_loopback(&Url::parse(node).unwrap());
        assert!(is("http://127.0.0.1:9200") && is("http://[::1]:9200") && is("http://localhost"));
        assert!(!is("http://es:9200") && !is("http://10.0.0.1"));
    }
}
