//! The way to a real Kibana: the output's client, which knows TLS and credentials.

use bytes::Bytes;

use super::Door;
use crate::config;
use crate::output::elasticsearch::{OutputError, Plain, Settings};
use crate::setup::{Answer, Method};

/// A Kibana or OpenSearch Dashboards at an address.
pub struct KibanaDoor(Plain);

impl KibanaDoor {
    /// Makes the client; no request is made.
    pub fn new(kibana: &config::Kibana) -> Result<Self, OutputError> {
        // No state directory: nothing is delivered there.
        let mut settings = Settings::new(vec![kibana.url.clone()], Default::default());
        settings.auth = kibana.auth.clone();
        settings.ca_file = kibana.ca_file.clone();
        settings.ca_fingerprint = kibana.ca_fingerprint;
        settings.proxies = kibana.proxies.clone();
        Plain::to(&settings, "`[kibana] url`").map(Self)
    }
}

impl Door for KibanaDoor {
    type Error = OutputError;

    async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &'static str)],
        body: Option<Bytes>,
    ) -> Result<Answer, OutputError> {
        let answer = self.0.request(method.into(), path, headers, body).await?;
        Ok(Answer {
            status: answer.status,
            body: answer.body,
        })
    }
}
