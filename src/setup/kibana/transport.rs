//! Implements [`Transport`] for a real Kibana with the output's client, which knows TLS and credentials.

use bytes::Bytes;

use super::Transport;
use crate::config;
use crate::output::elasticsearch::{Fault, HttpClient, OutputError, Settings, shown};
use crate::setup::{Answer, Method};

/// The client of a Kibana or OpenSearch Dashboards.
pub struct KibanaTransport(HttpClient);

impl KibanaTransport {
    /// Makes the client; sends no request.
    pub fn new(kibana: &config::Kibana) -> Result<Self, OutputError> {
        // No state directory: this client delivers no documents.
        let mut settings = Settings::new(vec![kibana.url.clone()], Default::default());
        settings.auth = kibana.auth.clone();
        settings.ca_file = kibana.ca_file.clone();
        settings.ca_fingerprint = kibana.ca_fingerprint;
        settings.proxies = kibana.proxies.clone();
        HttpClient::to(&settings, "`[kibana] url`").map(Self)
    }
}

/// No complete response. The messages are those of the output, but name the setting of Kibana's address.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", message(.0))]
pub struct TransportError(OutputError);

fn message(error: &OutputError) -> String {
    let OutputError::Node { node, fault } = error else {
        return error.to_string();
    };
    let fault = match fault {
        Fault::Dns(why) => format!("the name cannot be resolved ({why}); check `[kibana] url`"),
        Fault::Refused => {
            "connection refused; is it running, and is its port the one in `[kibana] url`?"
                .to_owned()
        }
        Fault::Connect(why) => {
            format!("cannot connect ({why}); check `[kibana] url` and the network between")
        }
        Fault::WrongName(why) => format!(
            "TLS: its certificate is not for this name ({why}); use a name in `[kibana] url` that the certificate \
             carries"
        ),
        Fault::NotTls(why) => {
            format!(
                "it does not speak TLS ({why}); use http:// in `[kibana] url`, or turn on TLS there"
            )
        }
        Fault::Broken(why) => format!(
            "the connection ended before the answer did ({why}); if it speaks TLS, use https:// in `[kibana] url`"
        ),
        other => other.to_string(),
    };
    format!("{node}: {fault}")
}

/// The URL of a dashboard for people.
pub(crate) fn address(kibana: &config::Kibana, dashboard: &str) -> String {
    let space = super::prefix(kibana.space.as_deref());
    format!(
        "{}{space}/app/dashboards#/view/{dashboard}",
        shown(&kibana.url)
    )
}

impl Transport for KibanaTransport {
    type Error = TransportError;

    async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &'static str)],
        body: Option<Bytes>,
    ) -> Result<Answer, TransportError> {
        let answer = self.0.request(method.into(), path, headers, body).await;
        let answer = answer.map_err(TransportError)?;
        Ok(Answer {
            status: answer.status,
            body: answer.body,
        })
    }
}
