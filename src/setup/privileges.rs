//! Asks the cluster which privileges the configured credentials have.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Family, ServerInfo, SetupError, TargetNames, response};
use crate::http::error_body::excerpt;
use crate::http::{Method, Transport};

/// The privileges of the credentials, compared with those that the agent needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Privileges {
    /// They have all.
    Enough,
    /// They lack these, each with the object it is for.
    Missing(Vec<String>),
    /// OpenSearch returns a user's roles, but not the privileges.
    Roles {
        /// The user's name.
        user: String,
        /// The roles.
        roles: Vec<String>,
    },
    /// The cluster has no security, or security is off.
    Off,
}

/// The agent's cluster privileges in Elasticsearch.
pub(super) const CLUSTER: [&str; 1] = ["monitor"];

/// The agent's index privileges in Elasticsearch. Versions before 8.13 have no `require_data_stream`, so the agent
/// checks the data stream by other requests.
pub(super) fn on_indices(names: &TargetNames, before_8_13: bool) -> Vec<&'static str> {
    let mut privileges = vec!["create_doc", "auto_configure"];
    if names.stream && before_8_13 {
        privileges.extend(["create_index", "view_index_metadata"]);
    }
    privileges
}

/// Asks the cluster about the credentials of the request.
pub(crate) async fn privileges<T: Transport>(
    client: &T,
    server: &ServerInfo,
    names: &TargetNames,
) -> Result<Privileges, SetupError<T::Error>> {
    match server.family {
        Family::Elasticsearch => elasticsearch(client, server, names).await,
        Family::OpenSearch => opensearch(client).await,
    }
}

/// Elasticsearch, "Has privileges".
async fn elasticsearch<T: Transport>(
    client: &T,
    server: &ServerInfo,
    names: &TargetNames,
) -> Result<Privileges, SetupError<T::Error>> {
    const PATH: &str = "/_security/user/_has_privileges";
    let on_indices = on_indices(names, !server.is_at_least(8, 13));
    let body = json!({
        "cluster": CLUSTER,
        "index": [{ "names": [names.pattern], "privileges": on_indices }],
    });
    let body = Bytes::from(body.to_string());
    let response = response::send(client, Method::Post, PATH, Some(body)).await?;
    if is_absent(response.status) {
        return Ok(Privileges::Off);
    }
    let response = response::json(Method::Post, PATH, response)?;
    let has = |granted: Option<&Value>, privilege: &str| {
        granted.and_then(|granted| granted.get(privilege)) == Some(&Value::Bool(true))
    };
    let cluster = response.get("cluster");
    let index = response
        .get("index")
        .and_then(|all| all.get(&names.pattern));
    let mut missing = Vec::new();
    for privilege in CLUSTER {
        if !has(cluster, privilege) {
            missing.push(format!("{privilege} on the cluster"));
        }
    }
    for privilege in on_indices {
        if !has(index, privilege) {
            missing.push(format!("{privilege} on {}", names.pattern));
        }
    }
    Ok(if missing.is_empty() {
        Privileges::Enough
    } else {
        Privileges::Missing(missing)
    })
}

/// OpenSearch, "Security", `authinfo`.
async fn opensearch<T: Transport>(client: &T) -> Result<Privileges, SetupError<T::Error>> {
    /// Most roles that are named; a user seldom has ten.
    const ROLES: usize = 100;
    const PATH: &str = "/_plugins/_security/authinfo";
    let response = response::send(client, Method::Get, PATH, None).await?;
    if is_absent(response.status) {
        return Ok(Privileges::Off);
    }
    let response = response::json(Method::Get, PATH, response)?;
    let roles = response.get("roles").and_then(Value::as_array);
    let user = response.get("user_name").and_then(Value::as_str);
    Ok(Privileges::Roles {
        user: excerpt(user.unwrap_or_default().as_bytes()),
        roles: roles
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|role| excerpt(role.as_bytes()))
            .take(ROLES)
            .collect(),
    })
}

/// Whether the status means that the server lacks the feature: 400, 404 or 405 without a handler, 410 when a managed
/// cluster has it switched off.
pub(super) fn is_absent(status: u16) -> bool {
    matches!(status, 400 | 404 | 405 | 410)
}
