//! Finds out whether a cluster is Elasticsearch or OpenSearch.
//!
//! Invariant: it trusts no header and no setting, only the cluster's description of itself, and reports an error when
//! that is not enough. It guards against putting the other family's files: the cluster would refuse those with a message
//! about an unknown field.

use std::fmt;

use serde_json::Value;

use super::SetupError;
use super::response::{self, json, send};
use crate::http::{Method, Transport};

/// The two families; they differ in the keys that an index template may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Elasticsearch 7.17, 8 and 9.
    Elasticsearch,
    /// OpenSearch.
    OpenSearch,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elasticsearch => "Elasticsearch",
            Self::OpenSearch => "OpenSearch",
        })
    }
}

/// The cluster's family and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// The family.
    pub family: Family,
    /// The version number from the response.
    pub version: String,
}

impl ServerInfo {
    /// Whether the version is this one or later. A part that is not a number counts as newer.
    pub fn is_at_least(&self, major: u32, minor: u32) -> bool {
        let mut numbers = self.version.split('.').map(str::parse);
        let mut next = || numbers.next().and_then(Result::ok).unwrap_or(u32::MAX);
        (next(), next()) >= (major, minor)
    }

    /// Whether an index template may name component templates that do not exist (Elasticsearch 8.7, "Create or update
    /// index template", `ignore_missing_component_templates`).
    pub(super) fn takes_missing_components(&self) -> bool {
        self.family == Family::Elasticsearch && self.is_at_least(8, 7)
    }

    /// Whether every licence has `index.mode: logsdb` (Elasticsearch 8.17, "Logs data stream").
    pub(super) fn has_logsdb(&self) -> bool {
        self.family == Family::Elasticsearch && self.is_at_least(8, 17)
    }
}

const ROOT: &str = "/";
const NODES: &str = "/_nodes?filter_path=nodes.*.version";

/// Asks the cluster for its family and version: by `GET /`, or where that is refused (some gateways and embedded nodes
/// respond with 405 or 403) by the version of its nodes. Elasticsearch versions with index templates start at 7;
/// OpenSearch's latest is 3.
pub async fn detect<T: Transport>(client: &T) -> Result<ServerInfo, SetupError<T::Error>> {
    let root = send(client, Method::Get, ROOT, None).await?;
    if root.status == 401 {
        json(Method::Get, ROOT, root)?;
    } else if let Some(server) = serde_json::from_slice(&root.body)
        .ok()
        .as_ref()
        .and_then(by_root)
    {
        return Ok(server);
    }
    let nodes = send(client, Method::Get, NODES, None).await?;
    let nodes = json(Method::Get, NODES, nodes)?;
    by_nodes(&nodes).ok_or(SetupError::Unknown)
}

fn by_root(root: &Value) -> Option<ServerInfo> {
    let version = root.get("version")?;
    let number = version.get("number")?.as_str()?;
    let number = response::version(number);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("").to_lowercase();
    // OpenSearch can be configured to return Elasticsearch's number (compatibility.override_main_response_version);
    // its tagline stays the same.
    let open = text(version.get("distribution")).contains("opensearch")
        || text(root.get("tagline")).contains("opensearch");
    let family = if open {
        Family::OpenSearch
    } else {
        Family::Elasticsearch
    };
    Some(ServerInfo {
        family,
        version: number,
    })
}

fn by_nodes(nodes: &Value) -> Option<ServerInfo> {
    let mut nodes = nodes.get("nodes")?.as_object()?.values();
    let number = nodes.find_map(|node| node.get("version")?.as_str())?;
    let major: u32 = number.split('.').next()?.parse().ok()?;
    let family = match major {
        7.. => Family::Elasticsearch,
        1..=3 => Family::OpenSearch,
        _ => return None,
    };
    Some(ServerInfo {
        family,
        version: response::version(number),
    })
}
