//! The errors between the agent and a node; each message names the node, the fault and the setting to change.
//!
//! Owns the messages and the reading of the HTTP client's error chain; refuses to know what is done about an error.
//! Invariant: no message contains a secret. It guards against "error sending request" as the whole message.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::classify::RetryReason;
use super::redirect::Redirect;
use super::refused_certificate;
use super::settings::SettingsProblem;
use crate::config::Proxy;

/// The fault of a proxy that wants credentials.
pub(crate) const PROXY_AUTH: &str = "it wants a user and a password, or others (407)";

/// An error of this output.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OutputError {
    /// The settings are invalid.
    #[error("[elasticsearch] {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings(Vec<SettingsProblem>),
    /// A file named by a setting cannot be read.
    #[error("[elasticsearch] {setting}: cannot read {}: {message}", path.display())]
    File {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        message: String,
    },
    /// A file named by a setting does not hold what it should.
    #[error("[elasticsearch] {setting}: {} {message}", path.display())]
    Pem {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The client could not be made.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
    /// A path does not lead below a node's address.
    #[error("{0} is not a path of the cluster's API")]
    Path(String),
    /// There was no complete response.
    #[error("{node}: {fault}")]
    Node {
        /// Its address.
        node: String,
        /// What failed.
        fault: Fault,
    },
}

/// Why there was no complete response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The name cannot be resolved.
    #[error("the name cannot be resolved ({0}); check nodes in [elasticsearch]")]
    Dns(String),
    /// The connection was refused.
    #[error("connection refused; is it running, and is its port the one in nodes?")]
    Refused,
    /// Another failure to connect.
    #[error("cannot connect ({0}); check nodes in [elasticsearch] and the network between")]
    Connect(String),
    /// An unknown authority signed the certificate.
    #[error(
        "TLS: its certificate is signed by an authority that is not trusted ({trusted}); set ca_file to the PEM file of the cluster's own authority, or ca_fingerprint to its fingerprint"
    )]
    UnknownIssuer {
        /// The trusted authorities.
        trusted: String,
    },
    /// Its certificate is for another name.
    #[error(
        "TLS: its certificate is not for this name ({0}); use a name in nodes that the certificate carries"
    )]
    WrongName(String),
    /// The certificate is refused for another reason.
    #[error("TLS: its certificate is refused: {0}")]
    Certificate(String),
    /// The node wants another client certificate.
    #[error(
        "TLS: it does not accept our client certificate, or wants one ({0}); set client_cert and client_key"
    )]
    ClientCertificate(String),
    /// The node does not speak TLS.
    #[error("it does not speak TLS ({0}); use http:// in nodes, or turn on TLS there")]
    NotTls(String),
    /// Another TLS fault.
    #[error("TLS: {0}")]
    Tls(String),
    /// It did not respond in time.
    #[error("no answer within {} s (request_timeout)", .0.as_secs())]
    Timeout(Duration),
    /// The connection ended before the complete response.
    #[error(
        "the connection ended before the answer did ({0}); if the node speaks TLS, use https:// in nodes"
    )]
    Broken(String),
    /// The proxy cannot be reached, or refuses the connection.
    #[error("by the proxy {proxy}: {reason}; check {named_by}")]
    Proxy {
        /// The proxy, without credentials.
        proxy: String,
        /// The setting or variable that names it.
        named_by: String,
        /// Its response, or what failed.
        reason: String,
    },
    /// The response is longer than that of any cluster.
    #[error(
        "its response is malformed: it is longer than {} KiB decompressed; is it the cluster that answers there, and not \
         another service?",
        limit / 1024
    )]
    TooLong {
        /// Bytes that were read at most.
        limit: usize,
    },
    /// It responded with a redirect. Nothing is sent to the other address.
    #[error("{0}")]
    Redirected(Redirect),
}

impl OutputError {
    /// The redirect, if this is one.
    pub(crate) fn redirect(&self) -> Option<&Redirect> {
        match self {
            Self::Node {
                fault: Fault::Redirected(redirect),
                ..
            } => Some(redirect),
            _ => None,
        }
    }
}

impl Fault {
    /// The reason under which retries are counted.
    pub(crate) fn retry_reason(&self) -> RetryReason {
        match self {
            Self::Timeout(_) => RetryReason::Timeout,
            Self::Broken(_) => RetryReason::Broken,
            Self::TooLong { .. } => RetryReason::Malformed,
            Self::Redirected(_) => RetryReason::Held,
            _ => RetryReason::Unreachable,
        }
    }

    /// A fault of a proxy.
    pub(crate) fn proxy(proxy: &Proxy, reason: String) -> Self {
        Self::Proxy {
            proxy: proxy.to_string(),
            named_by: proxy.named_by().to_owned(),
            reason,
        }
    }

    /// The same failure of a request through a proxy: faults before the node was reached are the proxy's.
    pub(crate) fn by_proxy(self, proxy: &Proxy) -> Self {
        let reason = match self {
            Self::Dns(reason) => format!("its name cannot be resolved ({reason})"),
            Self::Refused => "it refuses the connection".to_owned(),
            Self::Connect(reason) if reason.contains("proxy authorization required") => {
                PROXY_AUTH.to_owned()
            }
            Self::Connect(reason) if reason == "tunnel error: unsuccessful" => {
                "it opens no tunnel to the node; does it allow the node's host and port?".to_owned()
            }
            Self::Connect(reason) => format!("cannot connect ({reason})"),
            other => return other,
        };
        Self::proxy(proxy, reason)
    }

    /// Reads the transport's chain of errors. It hides most types behind `dyn Error`, so the texts of
    /// hyper-util ("client error (Connect)", "dns error") and rustls are what there is to go by.
    pub(crate) fn read(
        error: &reqwest::Error,
        request_timeout: Duration,
        trusted: impl FnOnce() -> String,
    ) -> Self {
        let mut kind = None;
        let mut tls = None;
        let mut texts = Vec::new();
        let mut next: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(link) = next {
            if let Some(io) = link.downcast_ref::<io::Error>() {
                kind = Some(io.kind());
                tls = tls.or_else(|| of_tls(io));
            }
            texts.push(link.to_string());
            next = link.source();
        }
        let last = texts.last().cloned().unwrap_or_default();
        let find = |sign: &str| texts.iter().find(|text| text.contains(sign));
        let connecting = find("(Connect)").is_some();
        if let Some(fault) = tls.and_then(|error| refused_certificate::fault(error, trusted)) {
            return fault;
        }
        if let Some(text) = find("received fatal alert") {
            return if ["ertificate", "UnknownCA", "AccessDenied"]
                .iter()
                .any(|s| text.contains(s))
            {
                Self::ClientCertificate(last)
            } else {
                Self::Tls(last)
            };
        }
        if find("InvalidContentType").is_some() {
            return Self::NotTls(last);
        }
        if find("dns error").is_some() {
            return Self::Dns(last);
        }
        if connecting && kind == Some(io::ErrorKind::ConnectionRefused) {
            return Self::Refused;
        }
        if connecting && error.is_timeout() {
            return Self::Connect("no connection in time".to_owned());
        }
        if error.is_timeout() {
            return Self::Timeout(request_timeout);
        }
        if connecting {
            Self::Connect(last)
        } else {
            Self::Broken(last)
        }
    }
}

/// The TLS error that an error of the connection stands for; there may be layers between.
fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    let tls = inner.downcast_ref::<rustls::Error>();
    tls.or_else(|| inner.downcast_ref::<io::Error>().and_then(of_tls))
}
