//! The settings of a connection, and their validation.
//!
//! Owns the settings and their rules; refuses to know how the configuration was read. Invariant:
//! [`ConnectionSettings::problems`] is empty for every value that [`HttpClient::new`](super::HttpClient::new) accepts. It
//! guards against a wrong setting that causes an error only at the first request, hours after the start.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use url::Url;

use crate::config::{self, Auth, ClientCertificate, Fingerprint, Proxies};

/// Time after which a request without a complete response counts as failed.
const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How a service is reached.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
    /// Base addresses of the nodes; a path is a prefix (`https://proxy/es/`).
    pub nodes: Vec<Url>,
    /// The credentials.
    pub auth: Auth,
    /// A PEM file with authorities to trust besides the operating system's.
    pub ca_file: Option<PathBuf>,
    /// The fingerprint of the one authority to trust instead of all others.
    pub ca_fingerprint: Option<Fingerprint>,
    /// The HTTP proxies before the nodes.
    pub proxies: Proxies,
    /// For servers that ask for a client certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// Ask for compressed responses, and compress bodies with documents.
    pub gzip: bool,
    /// Time for one request, from connecting to the last byte of the response.
    pub request_timeout: Duration,
}

impl ConnectionSettings {
    /// The defaults for these nodes.
    pub fn new(nodes: Vec<Url>) -> Self {
        Self {
            nodes,
            auth: Auth::None,
            ca_file: None,
            ca_fingerprint: None,
            proxies: Proxies::default(),
            client_certificate: None,
            gzip: true,
            request_timeout: DEFAULT_REQUEST_TIMEOUT,
        }
    }

    /// The settings of a cluster.
    pub(crate) fn of_cluster(cluster: &config::Elasticsearch) -> Self {
        Self {
            auth: cluster.auth.clone(),
            ca_file: cluster.ca_file.clone(),
            ca_fingerprint: cluster.ca_fingerprint,
            proxies: cluster.proxies.clone(),
            client_certificate: cluster.client_certificate.clone(),
            gzip: cluster.gzip,
            request_timeout: cluster.request_timeout,
            ..Self::new(cluster.nodes.clone())
        }
    }

    /// The settings of a Kibana or OpenSearch Dashboards.
    pub(crate) fn of_kibana(kibana: &config::Kibana) -> Self {
        Self {
            auth: kibana.auth.clone(),
            ca_file: kibana.ca_file.clone(),
            ca_fingerprint: kibana.ca_fingerprint,
            proxies: kibana.proxies.clone(),
            ..Self::new(vec![kibana.url.clone()])
        }
    }

    /// All problems of the settings; no file is opened.
    pub(crate) fn problems(&self) -> Vec<SettingsProblem> {
        let mut problems = Vec::new();
        if self.nodes.is_empty() {
            problems.push(SettingsProblem::NoNodes);
        }
        for node in &self.nodes {
            let shown = shown(node);
            if !matches!(node.scheme(), "http" | "https") || node.host().is_none() {
                problems.push(SettingsProblem::NotHttp(shown));
            } else if !node.username().is_empty() || node.password().is_some() {
                problems.push(SettingsProblem::CredentialsInUrl(shown));
            } else if node.query().is_some() || node.fragment().is_some() {
                problems.push(SettingsProblem::QueryInUrl(shown));
            }
        }
        if let Some(header) = self.auth.header()
            && !header
                .expose_secret()
                .bytes()
                .all(|byte| (0x20..0x7f).contains(&byte))
        {
            problems.push(SettingsProblem::UnprintableSecret(self.auth.setting()));
        }
        let tls = self.nodes.iter().any(|node| node.scheme() == "https");
        if !tls && self.ca_file.is_some() {
            problems.push(SettingsProblem::TlsWithoutHttps("ca_file"));
        }
        if !tls && self.ca_fingerprint.is_some() {
            problems.push(SettingsProblem::TlsWithoutHttps("ca_fingerprint"));
        }
        if !tls && self.client_certificate.is_some() {
            problems.push(SettingsProblem::TlsWithoutHttps("client_cert"));
        }
        if self.request_timeout < Duration::from_secs(1) {
            problems.push(SettingsProblem::TooSmall("request_timeout", "1s"));
        }
        problems
    }
}

/// A node's address without any secret in it.
pub(crate) fn shown(node: &Url) -> String {
    let mut node = node.clone();
    // Neither can fail for an address that has a host; one without has no secret to hide.
    let _ = node.set_password(None);
    let _ = node.set_username("");
    node.set_query(None);
    node.set_fragment(None);
    node.to_string().trim_end_matches('/').to_owned()
}

/// One thing wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsProblem {
    /// `nodes` is empty.
    #[error("nodes is empty: name at least one, e.g. nodes = [\"https://localhost:9200\"]")]
    NoNodes,
    /// Not an http(s) address.
    #[error("node {0} is not an http:// or https:// address")]
    NotHttp(String),
    /// `user:password@` in the address: it would be shown wherever the address is.
    #[error("node {0} carries a user or password: move them to username and password")]
    CredentialsInUrl(String),
    /// `?…` or `#…` in the address.
    #[error("node {0} has a query or fragment: leave only scheme, host, port and path prefix")]
    QueryInUrl(String),
    /// A line end or other byte that no header may carry.
    #[error("{0} holds a character that no HTTP header may carry (a line end?)")]
    UnprintableSecret(&'static str),
    /// A TLS setting beside plain http nodes.
    #[error("{0} is set, but no node is https://")]
    TlsWithoutHttps(&'static str),
    /// Below the least sensible value.
    #[error("{0} must be at least {1}")]
    TooSmall(&'static str, &'static str),
}
