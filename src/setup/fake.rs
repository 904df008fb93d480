//! The fake cluster as setup's client.

#![allow(clippy::unwrap_used)]

pub(crate) use testkit::fake_cluster::{Managed, Management as Fake};

use bytes::Bytes;

use super::{Answer, Client, Family, Method};

/// Nobody listens.
#[derive(Debug, thiserror::Error)]
#[error("connection refused")]
pub struct Refused;

/// A cluster of this family and version.
pub(crate) fn of(family: Family, version: &'static str) -> Fake {
    let family = match family {
        Family::Elasticsearch => testkit::fake_cluster::Family::Elasticsearch,
        Family::OpenSearch => testkit::fake_cluster::Family::OpenSearch,
    };
    Fake::of(family, version)
}

impl Client for Fake {
    type Error = Refused;

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, Refused> {
        let answer = self.respond(method.as_str(), path, body.as_deref());
        let (status, body) = answer.ok_or(Refused)?;
        let body = body.into();
        Ok(Answer { status, body })
    }
}
