//! Finds out whether a cluster deletes old indices by itself, and writes the note about that.
//!
//! Owns the requests and the texts. The policies themselves are in [`plan`](super::plan).

use std::fmt;

use serde_json::Value;

use super::plan::{ObjectKind, counts_from_the_name};
use super::{Family, SetupError, TargetNames, Want, privileges, response};
use crate::config;
use crate::http::{Method, Transport};

/// State of the life cycle in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// `retention` is not set.
    Unwanted,
    /// `retention` is not set, but the policy of an earlier run is still there.
    LeftOver,
    /// The service runs.
    Running,
    /// The service is stopped.
    Stopped,
    /// The cluster has no such service.
    Absent,
    /// The credentials may not ask.
    Hidden,
}

/// The service's name and the path that shows its state.
fn service(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::Elasticsearch => ("index life-cycle management (ILM)", "/_ilm/status"),
        Family::OpenSearch => (
            "index state management (ISM)",
            "/_plugins/_ism/policies?size=1",
        ),
    }
}

/// State of the service itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServiceState {
    Running,
    Stopped,
    Absent,
    Hidden,
}

/// The life cycle, and whether templates may name a policy.
pub(super) struct LifecycleState {
    pub(super) lifecycle: Lifecycle,
    /// Whether a template may name a policy: a cluster without the service refuses such a template.
    pub(super) is_there: bool,
}

/// Asks the cluster: both families have builds without the service, and the version does not show it. Putting templates
/// only needs no privilege to see policies.
pub(super) async fn inspect<T: Transport>(
    client: &T,
    family: Family,
    want: &Want<'_>,
    names: &TargetNames,
) -> Result<LifecycleState, SetupError<T::Error>> {
    let by_templates = want.parts.templates && family == Family::Elasticsearch;
    let by_policy = want.parts.lifecycle && want.retention.is_some();
    let service = if by_templates || by_policy {
        Some(ask(client, family).await?)
    } else {
        None
    };
    let is_there = match service {
        Some(ServiceState::Running | ServiceState::Stopped) => true,
        Some(ServiceState::Hidden) if by_templates => match features(client).await? {
            Some(is_there) => is_there,
            None => is_named(client, names).await?,
        },
        Some(ServiceState::Hidden | ServiceState::Absent) | None => false,
    };
    let lifecycle = match (want.retention, service) {
        (None, Some(ServiceState::Absent)) => Lifecycle::Unwanted,
        (None, _) if want.parts.lifecycle => left_over(client, family, &names.template).await?,
        (None, _) | (_, None) => Lifecycle::Unwanted,
        (_, Some(ServiceState::Running)) => Lifecycle::Running,
        (_, Some(ServiceState::Stopped)) => Lifecycle::Stopped,
        (_, Some(ServiceState::Absent)) => Lifecycle::Absent,
        (_, Some(ServiceState::Hidden)) => Lifecycle::Hidden,
    };
    Ok(LifecycleState {
        lifecycle,
        is_there,
    })
}

async fn ask<T: Transport>(
    client: &T,
    family: Family,
) -> Result<ServiceState, SetupError<T::Error>> {
    let (_, path) = service(family);
    let response = response::send(client, Method::Get, path, None).await?;
    match response.status {
        status if privileges::is_absent(status) => Ok(ServiceState::Absent),
        403 => Ok(ServiceState::Hidden),
        _ => {
            let status = response::json(Method::Get, path, response)?;
            let mode = status.get("operation_mode").and_then(Value::as_str);
            Ok(match mode {
                Some("STOPPED" | "STOPPING") => ServiceState::Stopped,
                _ => ServiceState::Running,
            })
        }
    }
}

/// Whether Elasticsearch has ILM, for credentials that may not see its state; `monitor` is enough (Elasticsearch, "Info
/// API"). None where the response does not contain it.
async fn features<T: Transport>(client: &T) -> Result<Option<bool>, SetupError<T::Error>> {
    const PATH: &str = "/_xpack?categories=features";
    let response = response::send(client, Method::Get, PATH, None).await?;
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let ilm = body
        .pointer("/features/ilm")
        .filter(|_| response.status == 200);
    Ok(ilm.map(|ilm| ilm.get("enabled") == Some(&Value::Bool(true))))
}

/// Whether the existing template names a life cycle; the last resort to know whether the service exists.
async fn is_named<T: Transport>(
    client: &T,
    names: &TargetNames,
) -> Result<bool, SetupError<T::Error>> {
    let path = ObjectKind::IndexTemplate.path(&names.template);
    let response = response::send(client, Method::Get, &path, None).await?;
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let components = ObjectKind::IndexTemplate
        .content(&names.template, &body)
        .and_then(|template| template.get("composed_of")?.as_array());
    Ok(components.is_some_and(|all| all.iter().any(|name| *name == *names.lifecycle())))
}

async fn left_over<T: Transport>(
    client: &T,
    family: Family,
    name: &str,
) -> Result<Lifecycle, SetupError<T::Error>> {
    let kind = kind(family);
    let response = response::send(client, Method::Get, &kind.path(name), None).await?;
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let ours = response.status == 200
        && kind
            .content(name, &body)
            .is_some_and(|policy| kind.is_ours(policy));
    Ok(if ours {
        Lifecycle::LeftOver
    } else {
        Lifecycle::Unwanted
    })
}

fn kind(family: Family) -> ObjectKind {
    match family {
        Family::Elasticsearch => ObjectKind::IlmPolicy,
        Family::OpenSearch => ObjectKind::IsmPolicy,
    }
}

/// The note to the operator about the cluster's life cycle.
pub(super) struct LifecycleNote<'a> {
    pub(super) family: Family,
    pub(super) lifecycle: Lifecycle,
    pub(super) target: &'a config::IndexTarget,
    pub(super) retention: Option<std::time::Duration>,
}

impl fmt::Display for LifecycleNote<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, _) = service(self.family);
        let name = self.target.template();
        let retention = self.retention.map(config::show_duration);
        let retention = retention.as_deref().unwrap_or("…");
        match self.lifecycle {
            Lifecycle::Unwanted => {
                return writeln!(
                    f,
                    "No life cycle: `retention` is not set, so nothing is ever deleted, unless by a policy of your own."
                );
            }
            Lifecycle::LeftOver => {
                // ILM refuses to delete a policy that is in use, and ISM's indices keep a copy of it
                let remove = match self.family {
                    Family::Elasticsearch => "/INDEX/_ilm/remove",
                    Family::OpenSearch => "/_plugins/_ism/remove/INDEX",
                };
                return writeln!(
                    f,
                    "No life cycle is wanted (`retention` is not set), but the policy {name} of an earlier run is there \
                     and goes on to delete. To end that: POST {remove} for each index that follows it, then DELETE {}",
                    kind(self.family).path(&name)
                );
            }
            Lifecycle::Absent => {
                return writeln!(
                    f,
                    "No life cycle: this cluster has no {service}. {}",
                    match self.target {
                        config::IndexTarget::Daily(_) =>
                            "Have `logweir prune` delete what is older than `retention`, once a day.",
                        config::IndexTarget::Stream(_) =>
                            "Roll the data stream over and delete its old backing indices by hand, or write to \
                             daily indices (`index`), which `logweir prune` deletes.",
                    }
                );
            }
            Lifecycle::Hidden => {
                return writeln!(
                    f,
                    "Life cycle: these credentials may not see whether there is one."
                );
            }
            Lifecycle::Stopped => writeln!(
                f,
                "Warning: {service} is stopped in this cluster, so nothing is deleted; start it with POST /_ilm/start."
            )?,
            Lifecycle::Running => {}
        }
        match (self.target, self.family) {
            (config::IndexTarget::Stream(_), _) => writeln!(
                f,
                "The data stream rolls over by itself, and what was rolled over is deleted after {retention}."
            ),
            (target, Family::Elasticsearch) if counts_from_the_name(target) => writeln!(
                f,
                "New indices are deleted when all of their day is older than {retention}, by the day in their name."
            ),
            _ => writeln!(
                f,
                "New indices are deleted when all that they can hold is older than {retention}, counted from their \
                 creation: one that is filled later with old lines lives longer. `logweir prune` goes by the name."
            ),
        }?;
        if let Some(unparsed) = self.target.unparsed() {
            writeln!(
                f,
                "Indices that are there already, and {unparsed}, are left to `logweir prune`."
            )?;
        }
        Ok(())
    }
}
