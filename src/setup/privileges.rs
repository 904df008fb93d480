//! What the credentials at hand may do, as far as the cluster tells.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Client, Family, Method, Names, SetupError, Target, answer};

/// What a key may do of what the agent does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Privileges {
    /// All of it.
    Enough,
    /// Not these, each with what it is for.
    Missing(Vec<String>),
    /// OpenSearch tells who somebody is, and not what he may do.
    Roles {
        /// Who we are to it.
        user: String,
        /// The roles.
        roles: Vec<String>,
    },
    /// The cluster has no security, or it is switched off.
    Off,
}

/// Of the agent's key on Elasticsearch.
pub(super) const CLUSTER: [&str; 1] = ["monitor"];

/// The agent's privileges on its indices in Elasticsearch. Before 8.13 there is no `require_data_stream`, and the name
/// of a data stream is made sure of otherwise.
pub(super) fn on_indices(names: &Names, before_8_13: bool) -> Vec<&'static str> {
    let mut privileges = vec!["create_doc", "auto_configure"];
    if names.stream && before_8_13 {
        privileges.extend(["create_index", "view_index_metadata"]);
    }
    privileges
}

/// Asks the cluster about the credentials that it is asked with.
pub(crate) async fn privileges<C: Client>(
    client: &C,
    target: &Target,
    names: &Names,
) -> Result<Privileges, SetupError<C::Error>> {
    match target.family {
        Family::Elasticsearch => elasticsearch(client, target, names).await,
        Family::OpenSearch => opensearch(client).await,
    }
}

/// Elasticsearch, "Has privileges".
async fn elasticsearch<C: Client>(
    client: &C,
    target: &Target,
    names: &Names,
) -> Result<Privileges, SetupError<C::Error>> {
    const PATH: &str = "/_security/user/_has_privileges";
    let on_indices = on_indices(names, !target.is_at_least(8, 13));
    let body = json!({
        "cluster": CLUSTER,
        "index": [{ "names": [names.pattern], "privileges": on_indices }],
    });
    let body = Bytes::from(body.to_string());
    let answer = answer::request(client, Method::Post, PATH, Some(body)).await?;
    if is_absent(answer.status) {
        return Ok(Privileges::Off);
    }
    let answer = answer::judge(Method::Post, PATH, answer)?;
    let has = |place: Option<&Value>, privilege: &str| {
        place.and_then(|place| place.get(privilege)) == Some(&Value::Bool(true))
    };
    let cluster = answer.get("cluster");
    let index = answer.get("index").and_then(|all| all.get(&names.pattern));
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
async fn opensearch<C: Client>(client: &C) -> Result<Privileges, SetupError<C::Error>> {
    /// Roles that are named; a user seldom has ten.
    const ROLES: usize = 100;
    const PATH: &str = "/_plugins/_security/authinfo";
    let answer = answer::request(client, Method::Get, PATH, None).await?;
    if is_absent(answer.status) {
        return Ok(Privileges::Off);
    }
    let answer = answer::judge(Method::Get, PATH, answer)?;
    let roles = answer.get("roles").and_then(Value::as_array);
    let user = answer.get("user_name").and_then(Value::as_str);
    Ok(Privileges::Roles {
        user: answer::excerpt(user.unwrap_or_default().as_bytes()),
        roles: roles
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|role| answer::excerpt(role.as_bytes()))
            .take(ROLES)
            .collect(),
    })
}

/// How servers without a part answer a request for it: no handler is 400, 404 or 405; switched off in a managed cluster
/// is 410.
pub(super) fn is_absent(status: u16) -> bool {
    matches!(status, 400 | 404 | 405 | 410)
}
