//! Puts the shipped templates and the life cycle into a cluster.
//!
//! This module owns the objects, their names, and the rule for overwriting: an object without
//! `managed_by: logweir` belongs to somebody else and stays unchanged, unless the operator passes `--force`. It
//! refuses to know how a cluster is reached: that is a [`Transport`].
//!
//! Invariant: setup reads every object before it writes one, so a refusal leaves the cluster unchanged; a second run
//! with the same files changes nothing. It guards against silent template conflicts, in which documents arrive but
//! their fields have the types of another template.

mod detect;
mod diff;
mod error;
#[cfg(test)]
pub(crate) mod fake;
pub mod kibana;
mod lifecycle;
mod managed_indices;
mod plan;
mod print;
mod privileges;
mod prune;
mod report;
mod response;
mod shipped;
mod survey;
mod template_conflict;
#[cfg(test)]
mod tests;
mod time;

pub use self::detect::{Family, ServerInfo, detect};
pub use self::error::SetupError;
pub use self::lifecycle::Lifecycle;
pub use self::plan::{ObjectKind, Parts, PlannedObject, TargetNames, Want, plan};
pub(crate) use self::print::{requests, roles};
pub(crate) use self::privileges::{Privileges, privileges};
pub(crate) use self::prune::{Expired, delete, delete_unparsed, find_expired};
pub use self::report::{ChangeOutcome, SetupReport};
pub use self::survey::{ObjectState, survey};
pub(crate) use self::survey::{Survey, SurveyedObject};
pub(crate) use self::time::cluster_time;

use crate::http::Transport;

/// Surveys the cluster and puts each object that is missing or differs.
///
/// `force` also overwrites objects of the same name that are not logweir's.
pub async fn run<T: Transport>(
    client: &T,
    want: &Want<'_>,
    force: bool,
) -> Result<SetupReport, SetupError<T::Error>> {
    survey(client, want).await?.apply(client, force).await
}
