//! The fake cluster as setup's transport.

#![allow(clippy::unwrap_used)]

pub(crate) use testkit::fake_cluster::{Managed, Management as Fake};

use bytes::Bytes;

use super::Family;
use crate::http::{Method, Response, Transport};

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

impl Transport for Fake {
    type Error = Refused;

    async fn request(
        &self,
        method: Method,
        path: &str,
        _headers: &[(&'static str, &'static str)],
        body: Option<Bytes>,
    ) -> Result<Response, Refused> {
        let answer = self.respond(method.as_str(), path, body.as_deref());
        let (status, body) = answer.ok_or(Refused)?;
        Ok(Response::new(status, body))
    }
}
