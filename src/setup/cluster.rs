//! The way to a real cluster: the output's client, without its bulk side.

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
        let method = match method {
            Method::Get => output::Method::Get,
            Method::Put => output::Method::Put,
            Method::Post => output::Method::Post,
            Method::Delete => output::Method::Delete,
        };
        let path = path.trim_start_matches('/');
        let answer = Elasticsearch::request(self, method, path, body.map(Vec::from)).await?;
        Ok(Answer {
            status: answer.status,
            body: answer.body,
        })
    }
}
