//! The settings of this output, and their validation.
//!
//! Owns the settings and their rules; refuses to know where they were read from (TOML, environment). Invariant:
//! [`Settings::problems`] is empty for every value that [`Elasticsearch::connect`](super::Elasticsearch::connect)
//! accepts. It guards against a wrong setting that causes an error only at the first bulk request, hours after the start.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use url::Url;

use super::backoff::Backoff;
use crate::config::{Auth, ClientCertificate, Fingerprint, Proxies};

/// Time after which a request without a complete answer counts as failed.
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Target size of one bulk body before compression.
pub const DEFAULT_BATCH_BYTES: usize = 2 * 1024 * 1024;
/// Bulk requests in flight while nothing is refused.
pub const DEFAULT_MAX_IN_FLIGHT: usize = 2;
/// Size at which the dead-letter file is full and delivery holds.
pub const DEFAULT_DEAD_LETTER_BYTES: u64 = 100 * 1024 * 1024;
/// How long one index may refuse, while others accept, before its lines are parked.
pub const DEFAULT_PARK_AFTER: Duration = Duration::from_secs(600);

/// Everything this output needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
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
    /// For clusters that ask for a client certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// Compress bodies, and ask for compressed responses.
    pub gzip: bool,
    /// Time for one request, from connecting to the last byte of the response.
    pub request_timeout: Duration,
    /// Target size of one bulk body before compression.
    pub batch_bytes: usize,
    /// Requests in flight while nothing is refused; one otherwise.
    pub max_in_flight: usize,
    /// The waits between retries.
    pub backoff: Backoff,
    /// How long one index may refuse, while others accept, before its lines are parked.
    pub park_after: Duration,
    /// Where `dead-letters/` lives.
    pub data_dir: PathBuf,
    /// Size at which the dead-letter file is full.
    pub dead_letter_bytes: u64,
}

impl Settings {
    /// The defaults for these nodes and this state directory.
    pub fn new(nodes: Vec<Url>, data_dir: PathBuf) -> Self {
        Self {
            nodes,
            auth: Auth::None,
            ca_file: None,
            ca_fingerprint: None,
            proxies: Proxies::default(),
            client_certificate: None,
            gzip: true,
            request_timeout: DEFAULT_REQUEST_TIMEOUT,
            batch_bytes: DEFAULT_BATCH_BYTES,
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            backoff: Backoff::default(),
            park_after: DEFAULT_PARK_AFTER,
            data_dir,
            dead_letter_bytes: DEFAULT_DEAD_LETTER_BYTES,
        }
    }

    /// All problems of the settings; no file is opened.
    pub fn problems(&self) -> Vec<SettingsProblem> {
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
        if self.batch_bytes < 1024 {
            problems.push(SettingsProblem::TooSmall("batch_bytes", "1KiB"));
        }
        if self.max_in_flight == 0 {
            problems.push(SettingsProblem::TooSmall("max_in_flight", "1"));
        }
        if self.dead_letter_bytes < 4096 {
            problems.push(SettingsProblem::TooSmall("dead_letter_bytes", "4KiB"));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::SecretString;

    use super::*;

    fn settings(node: &str) -> Settings {
        Settings::new(vec![Url::parse(node).unwrap()], PathBuf::from("/tmp"))
    }

    #[test]
    fn defaults_are_valid() {
        assert_eq!(settings("https://localhost:9200").problems(), []);
    }

    #[test]
    fn every_problem_is_named_at_once_and_no_secret_is_shown() {
        let mut wrong = settings("http://elastic:hunter2@es:9200");
        wrong.nodes.push(Url::parse("ftp://es").unwrap());
        wrong.nodes.push(Url::parse("http://es?pretty").unwrap());
        wrong.auth = Auth::ApiKey(SecretString::from("abc\n"));
        wrong.ca_file = Some(PathBuf::from("ca.pem"));
        wrong.max_in_flight = 0;
        wrong.batch_bytes = 0;
        wrong.request_timeout = Duration::ZERO;
        let message: Vec<String> = wrong.problems().iter().map(ToString::to_string).collect();
        assert_eq!(message.len(), 8, "{message:#?}");
        assert!(!message.join("\n").contains("hunter2"), "{message:#?}");
        assert!(!format!("{wrong:?}").contains("abc\\n"));
    }
}
