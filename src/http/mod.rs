//! The one HTTP client for every request to a cluster, to Kibana, or to the agent that runs on this host.
//!
//! Owns the connection: addresses, credentials, TLS, proxies, time limits, the choice of a node, the bounded [`Response`],
//! and the parsing of error bodies, which Elasticsearch, OpenSearch, Kibana and OpenSearch Dashboards write in few shapes.
//! Refuses to know what a request is for and what is done about an error: `output/elasticsearch` sends documents with it,
//! `setup` sends templates and dashboards, `logweir health` asks an agent.
//!
//! Invariant: a request reaches the node that it is meant for and no other host, and ends in bounded time and memory. It
//! guards against redirects that send credentials elsewhere, and against responses without an end.
//!
//! `settings` are validated before `client` is built with them; `tls` reads the certificate files, `trust` decides about
//! a server's certificate and `refused_certificate` explains the decision. `client` sends a request to one of its `nodes`,
//! which are paused by `backoff` after a failure. `response` reads the body, `error_body` parses it where it is a refusal.
//! `error` and `redirect` describe why there is no response.

mod backoff;
mod client;
mod error;
pub(crate) mod error_body;
mod nodes;
mod redirect;
mod refused_certificate;
mod response;
mod settings;
mod tls;
mod trust;

use std::fmt;
use std::future::Future;

use bytes::Bytes;

pub(crate) use self::backoff::Jitter;
pub use self::backoff::{Backoff, InvalidBackoff};
pub use self::client::HttpClient;
pub use self::error::{HttpError, NodeFault};
pub(crate) use self::nodes::Nodes;
pub use self::redirect::Redirect;
pub use self::response::Response;
pub(crate) use self::settings::shown;
pub use self::settings::{ConnectionSettings, SettingsProblem};

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

impl Method {
    /// The method as written in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The service that a client talks to. It determines how messages name the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Elasticsearch or OpenSearch.
    Cluster,
    /// Kibana or OpenSearch Dashboards.
    Kibana,
    /// The agent that runs on this host.
    Agent,
}

impl Service {
    /// The name of the service within a sentence.
    fn name(self) -> &'static str {
        match self {
            Self::Cluster => "the cluster",
            Self::Kibana => "Kibana",
            Self::Agent => "logweir",
        }
    }

    /// The section of its settings.
    fn section(self) -> &'static str {
        match self {
            Self::Cluster => "[elasticsearch]",
            Self::Kibana => "[kibana]",
            Self::Agent => "[http]",
        }
    }

    /// The setting with its addresses.
    fn addresses(self) -> &'static str {
        match self {
            Self::Cluster => "nodes",
            Self::Kibana => "`[kibana] url`",
            Self::Agent => "`[http] listen`",
        }
    }

    /// The setting with its addresses, in quotes.
    fn quoted_addresses(self) -> &'static str {
        match self {
            Self::Cluster => "`nodes`",
            Self::Kibana | Self::Agent => self.addresses(),
        }
    }

    /// The setting with its addresses, and its section.
    fn full_addresses(self) -> &'static str {
        match self {
            Self::Cluster => "nodes in [elasticsearch]",
            Self::Kibana | Self::Agent => self.addresses(),
        }
    }
}

/// Sends requests to a service and returns responses of any status. [`HttpClient`] does; tests replace it.
pub trait Transport {
    /// Why there is no response.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Sends one request. `path` may carry a query. The body is JSON unless `headers`, whose names are in lower case,
    /// contain another `content-type`.
    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &'static str)],
        body: Option<Bytes>,
    ) -> impl Future<Output = Result<Response, Self::Error>> + Send;
}
