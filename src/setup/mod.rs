//! Puts the shipped templates and the life cycle into a cluster.
//!
//! This module owns the objects, their names, and the rule for overwriting: an object without
//! `managed_by: logweir` belongs to somebody else and stays unchanged, unless the operator passes `--force`. It
//! refuses to know how a cluster is reached: that is a [`Client`].
//!
//! Invariant: setup reads every object before it writes one, so a refusal leaves the cluster unchanged; a second run
//! with the same files changes nothing. It guards against silent template conflicts, in which documents arrive but
//! their fields have the types of another template.

mod answer;
mod cluster;
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
mod shipped;
mod survey;
mod template_conflict;
#[cfg(test)]
mod tests;
mod time;

use std::future::Future;

use bytes::Bytes;

pub use self::detect::{Family, ServerInfo, detect};
pub use self::error::SetupError;
pub use self::lifecycle::Lifecycle;
pub use self::plan::{Names, ObjectKind, Parts, Step, Want, plan};
pub(crate) use self::print::{requests, roles};
pub(crate) use self::privileges::{Privileges, privileges};
pub(crate) use self::prune::{Expired, delete, delete_unparsed, find_expired};
pub use self::report::{Outcome, Report};
pub(crate) use self::survey::{Object, Survey};
pub use self::survey::{ObjectState, survey};
pub(crate) use self::time::cluster_time;

/// The HTTP methods that setup needs.
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

/// An HTTP response of any status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, usually JSON.
    pub body: Bytes,
}

/// Sends requests to a cluster. An error is a transport error: a refusal by the cluster is an [`Answer`].
pub trait Client {
    /// Why there is no response.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Sends one request; `path` begins with `/` and may carry a query.
    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> impl Future<Output = Result<Answer, Self::Error>> + Send;
}

/// Surveys the cluster and puts each object that is missing or differs.
///
/// `force` also overwrites objects of the same name that are not logweir's.
pub async fn run<C: Client>(
    client: &C,
    want: &Want<'_>,
    force: bool,
) -> Result<Report, SetupError<C::Error>> {
    survey(client, want).await?.apply(client, force).await
}
