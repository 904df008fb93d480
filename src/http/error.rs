//! The errors between this program and a node; each message names the node, the fault and the setting to change.
//!
//! Owns the messages and the reading of `reqwest`'s error chain; refuses to know what is done about an error.
//! Invariant: no message contains a secret. It guards against "error sending request" as the whole message.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::Service;
use super::redirect::Redirect;
use super::refused_certificate;
use super::settings::SettingsProblem;
use crate::config::Proxy;

/// The fault of a proxy that wants credentials.
pub(crate) const PROXY_AUTH: &str = "it wants a user and a password, or others (407)";

/// Why a client cannot be built, or has no response.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    /// The settings are invalid.
    #[error("{} {}", service.section(), problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings {
        /// The service that they are for.
        service: Service,
        /// What is wrong with them.
        problems: Vec<SettingsProblem>,
    },
    /// A file named by a setting cannot be read.
    #[error("{} {setting}: cannot read {}: {message}", service.section(), path.display())]
    File {
        /// The service that the setting is for.
        service: Service,
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        message: String,
    },
    /// A file named by a setting does not hold what it should.
    #[error("{} {setting}: {} {message}", service.section(), path.display())]
    Pem {
        /// The service that the setting is for.
        service: Service,
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The client could not be built.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
    /// A path does not lead below a node's address.
    #[error("{0} is not a path of the cluster's API")]
    Path(String),
    /// There was no complete response.
    #[error("{node}: {}", FaultMessage(fault, *service))]
    Node {
        /// Its address.
        node: String,
        /// The service that it belongs to.
        service: Service,
        /// What failed.
        fault: NodeFault,
    },
}

/// Why there was no complete response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeFault {
    /// The name cannot be resolved, for this reason.
    Dns(String),
    /// The connection was refused.
    Refused,
    /// Another failure to connect.
    Connect(String),
    /// An unknown authority signed the certificate.
    UnknownIssuer {
        /// The trusted authorities.
        trusted: String,
    },
    /// Its certificate is for another name.
    WrongName(String),
    /// The certificate is refused for another reason.
    Certificate(String),
    /// The node wants another client certificate.
    ClientCertificate(String),
    /// The node does not speak TLS.
    NotTls(String),
    /// Another TLS fault.
    Tls(String),
    /// It did not respond in this time.
    Timeout(Duration),
    /// The connection ended before the complete response.
    Broken(String),
    /// The proxy cannot be reached, or refuses the connection.
    Proxy {
        /// The proxy, without credentials.
        proxy: String,
        /// The setting or variable that names it.
        named_by: String,
        /// Its response, or what failed.
        reason: String,
    },
    /// The response is longer than that of any cluster.
    TooLong {
        /// Bytes that were read at most.
        limit: usize,
    },
    /// It responded with a redirect. Nothing is sent to the other address.
    Redirected(Redirect),
}

/// A fault with the setting to change, as the settings of the service are named.
struct FaultMessage<'f>(&'f NodeFault, Service);

impl fmt::Display for FaultMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(fault, service) = self;
        let setting = service.addresses();
        let full_setting = service.full_addresses();
        match fault {
            NodeFault::Dns(why) => write!(
                f,
                "the name cannot be resolved ({why}); check {full_setting}"
            ),
            NodeFault::Refused => write!(
                f,
                "connection refused; is it running, and is its port the one in {setting}?"
            ),
            NodeFault::Connect(why) => write!(
                f,
                "cannot connect ({why}); check {full_setting} and the network between"
            ),
            NodeFault::UnknownIssuer { trusted } => write!(
                f,
                "TLS: its certificate is signed by an authority that is not trusted ({trusted}); set ca_file to the PEM \
                 file of the cluster's own authority, or ca_fingerprint to its fingerprint"
            ),
            NodeFault::WrongName(why) => write!(
                f,
                "TLS: its certificate is not for this name ({why}); use a name in {setting} that the certificate carries"
            ),
            NodeFault::Certificate(why) => write!(f, "TLS: its certificate is refused: {why}"),
            NodeFault::ClientCertificate(why) => write!(
                f,
                "TLS: it does not accept our client certificate, or wants one ({why}); set client_cert and client_key"
            ),
            NodeFault::NotTls(why) => write!(
                f,
                "it does not speak TLS ({why}); use http:// in {setting}, or turn on TLS there"
            ),
            NodeFault::Tls(why) => write!(f, "TLS: {why}"),
            NodeFault::Timeout(time) => {
                write!(f, "no answer within {} s", time.as_secs())?;
                match service {
                    // Its time is no setting.
                    Service::Agent => Ok(()),
                    Service::Cluster | Service::Kibana => f.write_str(" (request_timeout)"),
                }
            }
            NodeFault::Broken(why) if *service == Service::Agent => write!(
                f,
                "the connection ended before the answer did ({why}); is another program on the port of {setting}?"
            ),
            NodeFault::Broken(why) => write!(
                f,
                "the connection ended before the answer did ({why}); if it speaks TLS, use https:// in {setting}"
            ),
            NodeFault::Proxy {
                proxy,
                named_by,
                reason,
            } => write!(f, "by the proxy {proxy}: {reason}; check {named_by}"),
            NodeFault::TooLong { limit } => write!(
                f,
                "its response is malformed: it is longer than {} KiB decompressed; is it {} that answers there, and not \
                 another service?",
                limit / 1024,
                service.name()
            ),
            NodeFault::Redirected(redirect) => redirect.fmt(f),
        }
    }
}

impl HttpError {
    /// The redirect, if this is one.
    pub(crate) fn redirect(&self) -> Option<&Redirect> {
        match self {
            Self::Node {
                fault: NodeFault::Redirected(redirect),
                ..
            } => Some(redirect),
            _ => None,
        }
    }
}

impl NodeFault {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn message(service: Service, fault: NodeFault) -> String {
        let node = "http://host:1".to_owned();
        HttpError::Node {
            node,
            service,
            fault,
        }
        .to_string()
    }

    #[test]
    fn a_message_names_the_setting_of_the_service() {
        let faults = [
            NodeFault::Dns("x".to_owned()),
            NodeFault::Refused,
            NodeFault::Connect("x".to_owned()),
            NodeFault::WrongName("x".to_owned()),
            NodeFault::NotTls("x".to_owned()),
            NodeFault::Broken("x".to_owned()),
        ];
        for fault in faults {
            let cluster = message(Service::Cluster, fault.clone());
            assert!(
                cluster.contains("nodes") && !cluster.contains("kibana"),
                "{cluster}"
            );
            let kibana = message(Service::Kibana, fault);
            assert!(
                kibana.contains("`[kibana] url`") && !kibana.contains("nodes"),
                "{kibana}"
            );
        }
        let long = message(Service::Kibana, NodeFault::TooLong { limit: 4096 });
        assert!(long.contains("4 KiB") && long.contains("Kibana"), "{long}");
    }

    #[test]
    fn a_file_is_named_with_the_section_of_its_setting() {
        let error = HttpError::File {
            service: Service::Kibana,
            setting: "ca_file",
            path: PathBuf::from("/ca.pem"),
            message: "gone".to_owned(),
        };
        assert_eq!(
            error.to_string(),
            "[kibana] ca_file: cannot read /ca.pem: gone"
        );
    }
}
