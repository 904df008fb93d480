//! Whether a cluster deletes what is old by itself, and what to know about it.
//!
//! Owns the asking and the words. The policies themselves stand in the plan.

use std::fmt;

use serde_json::Value;

use super::plan::{Kind, counts_from_the_name};
use super::{Client, Family, Method, SetupError, Want, answer, privileges};
use crate::config;

/// What a cluster can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// Nobody wants it.
    Unwanted,
    /// A policy of ours from an earlier run is there, though nobody wants it any more.
    LeftOver,
    /// It is there and runs.
    Running,
    /// It is there and was stopped.
    Stopped,
    /// This cluster has none.
    Absent,
    /// These credentials may not ask.
    NotTold,
}

impl Lifecycle {
    /// Whether policies can be put.
    pub(super) fn is_there(self) -> bool {
        matches!(self, Self::Running | Self::Stopped)
    }
}

/// What a family calls it, and how it is asked for.
fn service(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::Elasticsearch => ("index life-cycle management (ILM)", "/_ilm/status"),
        Family::OpenSearch => (
            "index state management (ISM)",
            "/_plugins/_ism/policies?size=1",
        ),
    }
}

/// Finds out by asking: there are builds of both families without it, and no version tells.
pub(super) async fn ask<C: Client>(
    client: &C,
    family: Family,
    want: &Want<'_>,
) -> Result<Lifecycle, SetupError<C::Error>> {
    if want.retention.is_none() {
        return left_over(client, family, &want.place.template()).await;
    }
    let (_, path) = service(family);
    let answer = answer::request(client, Method::Get, path, None).await?;
    match answer.status {
        status if privileges::is_absent(status) => Ok(Lifecycle::Absent),
        403 => Ok(Lifecycle::NotTold),
        _ => {
            let status = answer::judge(Method::Get, path, answer)?;
            let mode = status.get("operation_mode").and_then(Value::as_str);
            Ok(match mode {
                Some("STOPPED" | "STOPPING") => Lifecycle::Stopped,
                _ => Lifecycle::Running,
            })
        }
    }
}

async fn left_over<C: Client>(
    client: &C,
    family: Family,
    name: &str,
) -> Result<Lifecycle, SetupError<C::Error>> {
    let kind = kind(family);
    let answer = answer::request(client, Method::Get, &kind.path(name), None).await?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let ours = answer.status == 200
        && kind
            .content(name, &body)
            .is_some_and(|policy| kind.is_ours(policy));
    Ok(if ours {
        Lifecycle::LeftOver
    } else {
        Lifecycle::Unwanted
    })
}

fn kind(family: Family) -> Kind {
    match family {
        Family::Elasticsearch => Kind::IlmPolicy,
        Family::OpenSearch => Kind::IsmPolicy,
    }
}

/// What to know about the life cycle that a cluster has, or has not.
pub(super) struct Told<'a> {
    pub(super) family: Family,
    pub(super) lifecycle: Lifecycle,
    pub(super) place: &'a config::Target,
    pub(super) retention: Option<std::time::Duration>,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, _) = service(self.family);
        let name = self.place.template();
        let retention = self.retention.map(config::show_duration);
        let retention = retention.as_deref().unwrap_or("…");
        match self.lifecycle {
            Lifecycle::Unwanted => {
                return writeln!(
                    f,
                    "No life cycle: `retention` is not set, so nothing is ever deleted."
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
                    match self.place {
                        config::Target::Daily(_) =>
                            "Have `logweir prune` delete what is older than `retention`, once a day.",
                        config::Target::Stream(_) =>
                            "Roll the data stream over and delete its old backing indices by hand, or write to \
                             daily indices (`index`), which `logweir prune` deletes.",
                    }
                );
            }
            Lifecycle::NotTold => {
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
        match (self.place, self.family) {
            (config::Target::Stream(_), _) => writeln!(
                f,
                "The data stream rolls over by itself, and what was rolled over is deleted after {retention}."
            ),
            (place, Family::Elasticsearch) if counts_from_the_name(place) => writeln!(
                f,
                "New indices are deleted when all of their day is older than {retention}, by the day in their name."
            ),
            _ => writeln!(
                f,
                "New indices are deleted when all that they can hold is older than {retention}, counted from their \
                 creation: one that is filled later with old lines lives longer. `logweir prune` goes by the name."
            ),
        }?;
        if let Some(unparsed) = self.place.unparsed() {
            writeln!(
                f,
                "Indices that are there already, and {unparsed}, are left to `logweir prune`."
            )?;
        }
        Ok(())
    }
}
