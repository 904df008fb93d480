//! Puts the shipped templates and the life cycle into a cluster.
//!
//! This room owns what is put, under which names, and the rule what may be overwritten: an object that does not
//! say `managed_by: logweir` is somebody else's and stays as it is, unless the operator insists. It refuses
//! to know how a cluster is reached: that is a [`Client`].
//!
//! Invariant: everything is looked at before anything is written, so a refusal leaves the cluster as it was; and a
//! second run with the same files changes nothing. It guards against the quiet clash of templates, in which the
//! documents arrive but their fields have the types of somebody else's template.

mod answer;
mod cluster;
mod detect;
mod diff;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod followers;
pub mod kibana;
mod lifecycle;
mod plan;
mod print;
mod privileges;
mod prune;
mod report;
mod shadow;
mod shipped;
mod survey;
#[cfg(test)]
mod tests;
mod time;

use std::future::Future;

use bytes::Bytes;

pub use self::detect::{Family, Target, detect};
pub use self::error::SetupError;
pub use self::lifecycle::Lifecycle;
pub use self::plan::{Kind, Names, Parts, Step, Want, plan};
pub(crate) use self::print::{requests, roles};
pub(crate) use self::privileges::{Privileges, privileges};
pub(crate) use self::prune::{Ripe, delete, delete_unparsed, ripe};
pub use self::report::{Outcome, Report};
pub use self::survey::{Found, survey};
pub(crate) use self::survey::{Object, Survey};
pub(crate) use self::time::cluster_time;

/// The verbs that setup needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Create or replace.
    Put,
    /// Ask with a body, or have something done.
    Post,
    /// Remove.
    Delete,
}

impl Method {
    /// As it stands in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// What the cluster said, whatever the status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, usually JSON.
    pub body: Bytes,
}

/// A way to a cluster. An error is one of the way: a refusal by the cluster is an [`Answer`].
pub trait Client {
    /// Why no answer came.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Sends one request; `path` begins with `/` and may carry a query.
    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> impl Future<Output = Result<Answer, Self::Error>> + Send;
}

/// Looks at the cluster and puts what is missing or differs.
///
/// With `force`, what is not logweir's and has the same name is overwritten.
pub async fn run<C: Client>(
    client: &C,
    want: &Want<'_>,
    force: bool,
) -> Result<Report, SetupError<C::Error>> {
    survey(client, want).await?.apply(client, force).await
}
