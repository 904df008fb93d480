//! Reads the cluster's clock.

use serde_json::Value;

use super::{SetupError, response};
use crate::http::{Method, Transport};

const PATH: &str = "/_cat/health?format=json&h=epoch";

/// Unix seconds of the cluster's clock; None where the response has none. Neither family sends the header `Date`; only
/// gateways in front of them do.
pub(crate) async fn cluster_time<T: Transport>(
    client: &T,
) -> Result<Option<i64>, SetupError<T::Error>> {
    let response = response::send(client, Method::Get, PATH, None).await?;
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let epoch = body.pointer("/0/epoch").and_then(Value::as_str);
    Ok(epoch.and_then(|epoch| epoch.parse().ok()))
}
