//! Implements [`Client`] for a real cluster with the output's HTTP client.

use bytes::Bytes;

use super::{Answer, Client, Method};
use crate::output::elasticsearch::{self as output, Elasticsearch, OutputError};

impl Client for Elasticsearch {
    type Error = OutputError;

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, OutputError> {
        let path = path.trim_start_matches('/');
        let answer = Elasticsearch::request(self, method.into(), path, body.map(Vec::from)).await?;
        Ok(Answer {
            status: answer.status,
            body: answer.body,
        })
    }
}

impl From<Method> for output::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::Get,
            Method::Put => Self::Put,
            Method::Post => Self::Post,
            Method::Delete => Self::Delete,
        }
    }
}
