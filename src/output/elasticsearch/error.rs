//! What can go wrong between us and a node, in words that name the node, the fault and the one setting to change.
//!
//! Owns the wording and the reading of the transport's error chain; refuses to know what is done about it.
//! Invariant: no message carries a secret. Guards against "error sending request" as the only thing said.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::classify::RetryReason;
use super::redirect::Redirect;
use super::refused_certificate;
use super::settings::SettingsProblem;
use crate::config::Proxy;

/// What a proxy says that wants credentials.
pub(crate) const PROXY_AUTH: &str = "it wants a user and a password, or others (407)";

/// An error of this output.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OutputError {
    /// Settings that cannot be true.
    #[error("[elasticsearch] {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings(Vec<SettingsProblem>),
    /// A file named by a setting cannot be read.
    #[error("[elasticsearch] {setting}: cannot read {}: {message}", path.display())]
    File {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
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
    /// A path that is no path below a node.
    #[error("{0} is not a path of the cluster's API")]
    Path(String),
    /// No whole answer came.
    #[error("{node}: {fault}")]
    Node {
        /// Its address.
        node: String,
        /// What failed.
        fault: Fault,
    },
}

/// What failed on the way to a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its name means nothing.
    #[error("the name cannot be resolved ({0}); check nodes in [elasticsearch]")]
    Dns(String),
    /// Nobody listens.
    #[error("connection refused; is it running, and is its port the one in nodes?")]
    Refused,
    /// Another failure to connect.
    #[error("cannot connect ({0}); check nodes in [elasticsearch] and the network between")]
    Connect(String),
    /// Its certificate comes from a stranger.
    #[error(
        "TLS: its certificate is signed by an authority that is not trusted ({trusted}); set ca_file to the PEM file of the cluster's own authority, or ca_fingerprint to its fingerprint"
    )]
    UnknownIssuer {
        /// Whom we do trust.
        trusted: String,
    },
    /// Its certificate is for another name.
    #[error(
        "TLS: its certificate is not for this name ({0}); use a name in nodes that the certificate carries"
    )]
    WrongName(String),
    /// Any other thing about its certificate.
    #[error("TLS: its certificate is refused: {0}")]
    Certificate(String),
    /// It wants to know who we are, on the TLS level.
    #[error(
        "TLS: it does not accept our client certificate, or wants one ({0}); set client_cert and client_key"
    )]
    ClientCertificate(String),
    /// One side speaks TLS, the other does not.
    #[error("it does not speak TLS ({0}); use http:// in nodes, or turn on TLS there")]
    NotTls(String),
    /// Another TLS fault.
    #[error("TLS: {0}")]
    Tls(String),
    /// It did not answer in time.
    #[error("no answer within {} s (request_timeout)", .0.as_secs())]
    Timeout(Duration),
    /// The connection ended before the whole answer.
    #[error(
        "the connection ended before the answer did ({0}); if the node speaks TLS, use https:// in nodes"
    )]
    Broken(String),
    /// The proxy before it cannot be reached, or does not let us pass.
    #[error("by the proxy {proxy}: {reason}; check {named_by}")]
    Proxy {
        /// The proxy, without credentials.
        proxy: String,
        /// The setting or variable that names it.
        named_by: String,
        /// What it answers, or what failed.
        reason: String,
    },
    /// Its response is longer than that of any cluster.
    #[error(
        "its response is malformed: it is longer than {} KiB decompressed; is it the cluster that answers there, and not \
         another service?",
        limit / 1024
    )]
    TooLong {
        /// Bytes that were read at most.
        limit: usize,
    },
    /// It answered that the cluster is elsewhere. Nothing is sent there.
    #[error("{0}")]
    Redirected(Redirect),
}

impl OutputError {
    /// The redirect that stood in the cluster's place.
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
    /// How this counts among the reasons for sending again.
    pub(crate) fn retry_reason(&self) -> RetryReason {
        match self {
            Self::Timeout(_) => RetryReason::Timeout,
            Self::Broken(_) => RetryReason::Broken,
            Self::TooLong { .. } => RetryReason::Malformed,
            Self::Redirected(_) => RetryReason::Held,
            _ => RetryReason::Unreachable,
        }
    }

    /// Of a proxy.
    pub(crate) fn proxy(proxy: &Proxy, reason: String) -> Self {
        Self::Proxy {
            proxy: proxy.to_string(),
            named_by: proxy.named_by().to_owned(),
            reason,
        }
    }

    /// The same failure on the way by a proxy: what failed before the node was reached is the proxy's.
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
