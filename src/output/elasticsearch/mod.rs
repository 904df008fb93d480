//! Delivery into Elasticsearch and OpenSearch.
//!
//! Owns the delivery of an encoded batch: the client, the classification of responses, retries, limits and dead
//! letters. Refuses to know what a log line is. Invariant: a batch counts as settled only when each of its items is
//! durable, in the cluster or in the dead-letter file. It guards against every failure that a cluster can have.
//!
//! `settings` hold the addresses and credentials. `client` sends requests to `nodes`, follows no `redirect` and reads a
//! bounded `response`. `stream` prevents a plain index with the name of a data stream. `bulk` parses the response,
//! `classify` decides what each item means, and `deliver` acts on that, within the limit of `concurrency_limiter`.
//! `index_health` remembers across batches which indices refuse. `entries` resends the entries of the dead-letter
//! file: `parked` does so periodically, `replay` on request.

pub(crate) mod action;
mod backoff;
mod bulk;
mod classify;
mod client;
mod concurrency_limiter;
mod deliver;
mod entries;
mod error;
#[cfg(test)]
pub(crate) mod in_process;
mod index_health;
mod log_throttle;
mod nodes;
mod parked;
mod redirect;
mod refused_certificate;
mod replay;
mod response;
mod settings;
mod stats;
mod stream;
mod sub_batch;
mod tls;
mod trust;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::action::ActionLines;
pub use self::backoff::{Backoff, InvalidBackoff};
pub use self::classify::RetryReason;
pub use self::client::Method;
pub use self::error::{Fault, OutputError};
pub use self::redirect::Redirect;
pub use self::replay::Replayed;
pub use self::response::Response;
pub(crate) use self::settings::shown;
pub use self::settings::{
    DEFAULT_BATCH_BYTES, DEFAULT_DEAD_LETTER_BYTES, DEFAULT_MAX_IN_FLIGHT, DEFAULT_PARK_AFTER,
    DEFAULT_REQUEST_TIMEOUT, Settings, SettingsProblem,
};

use self::bulk::request_error;
use self::classify::rejection;
use self::client::Client;
use self::deliver::Deliverer;
use self::stats::SECONDS;
pub use self::stats::Stats;
use super::dead_letters::{Choice, DeadLetters};
use super::{Ack, Health, Output, OutputStatus, Readiness};
use crate::clock::SystemClock;
use crate::config::Target;
use crate::event::Batch;
use crate::telemetry::MetricSink;

/// The name that messages use for the setting with the cluster's addresses.
const NODES: &str = "`nodes`";

/// A cluster to deliver into.
pub struct Elasticsearch {
    deliverer: Arc<Deliverer<Client>>,
    retries_parked: AtomicBool,
    cluster: Vec<Url>,
    target: Target,
}

impl fmt::Debug for Elasticsearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elasticsearch")
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

/// The HTTP client without delivery, for a service that takes the same TLS settings and credentials (Kibana).
pub struct HttpClient(Client);

impl HttpClient {
    /// Builds the client and sends nothing. It uses only the address, credentials, TLS and timeout of `settings`;
    /// `setting` is the name that messages use for the setting with the address.
    pub fn to(settings: &Settings, setting: &'static str) -> Result<Self, OutputError> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(OutputError::Settings(problems));
        }
        Client::new(settings, setting).map(Self)
    }

    /// Sends one request to the first address. Header names are in lower case.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &'static str)],
        body: Option<Bytes>,
    ) -> Result<Response, OutputError> {
        self.0.request_with(0, method, path, headers, body).await
    }
}

/// Whether an index template is in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateState {
    /// It is.
    Present,
    /// It is not.
    Missing,
    /// It is, but it creates plain indices where a data stream is wanted.
    NotForStreams,
    /// The cluster responded but did not say (these credentials may not ask).
    Unknown(String),
    /// The cluster could not be asked: ask again.
    Unreachable(String),
}

impl Elasticsearch {
    /// Makes the client; no request is made.
    pub fn connect(settings: Settings, target: Target) -> Result<Arc<Self>, OutputError> {
        Self::connect_after(settings, target, None)
    }

    /// Like [`Elasticsearch::connect`], after another output in this process. The counters continue. If the cluster is
    /// the same, the health of its indices is kept too: otherwise a closed index would never refuse for long enough
    /// where the configuration changes often.
    pub fn connect_after(
        settings: Settings,
        target: Target,
        before: Option<&Self>,
    ) -> Result<Arc<Self>, OutputError> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(OutputError::Settings(problems));
        }
        let client = Client::new(&settings, NODES)?;
        let mut deliverer = Deliverer::new(
            client,
            &settings,
            target.stream().cloned(),
            Arc::new(SystemClock::new()),
        );
        if let Some(before) = before {
            let same = before.cluster == settings.nodes;
            deliverer.go_on_from(&before.deliverer, same);
        }
        Ok(Arc::new(Self {
            deliverer: Arc::new(deliverer),
            retries_parked: AtomicBool::new(false),
            cluster: settings.nodes,
            target,
        }))
    }

    /// Resends the chosen entries of the dead-letter file until each has an outcome or `time` is over. Entries that
    /// the cluster takes are removed from the file.
    pub async fn replay(&self, choice: &Choice, time: Duration) -> io::Result<Replayed> {
        self.deliverer.replay(choice, time).await
    }

    /// Asks whether this index template exists and, for a data stream, whether it creates data streams.
    pub async fn check_template(&self, name: &str, for_stream: bool) -> TemplateState {
        match self
            .request(Method::Get, &format!("_index_template/{name}"), None)
            .await
        {
            Ok(Response {
                status: 200, body, ..
            }) if for_stream && !stream::makes_streams(&body) => TemplateState::NotForStreams,
            Ok(Response { status: 200, .. }) => TemplateState::Present,
            Ok(Response { status: 404, .. }) => TemplateState::Missing,
            Ok(Response { status, body, .. }) => {
                let reason = rejection(status, &request_error(&body)).to_string();
                if status == 429 || status >= 500 {
                    TemplateState::Unreachable(reason)
                } else {
                    TemplateState::Unknown(reason)
                }
            }
            Err(error) => TemplateState::Unreachable(error.to_string()),
        }
    }

    /// Sends one request to the first node that responds; `path` may contain a query.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response, OutputError> {
        let Deliverer {
            transport, nodes, ..
        } = &*self.deliverer;
        let body = body.map(Bytes::from);
        let mut tried = 1;
        loop {
            let node = nodes.pick();
            let response = transport.request(node, method, path, body.clone()).await;
            match response {
                Err(OutputError::Node { .. }) if tried < nodes.count() => nodes.failed(node),
                Err(error) => return Err(error),
                Ok(response) => {
                    nodes.answered(node);
                    return Ok(response);
                }
            }
            tried += 1;
        }
    }

    /// The counters so far.
    pub fn stats(&self) -> &Stats {
        &self.deliverer.stats
    }

    /// The file of documents that the cluster does not take.
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.deliverer.dead_letters
    }
}

impl OutputStatus for Elasticsearch {
    fn target(&self) -> String {
        let nodes: Vec<String> = self.cluster.iter().map(shown).collect();
        nodes.join(", ")
    }

    fn health(&self) -> Health {
        self.deliverer.health()
    }

    fn has_responded(&self) -> bool {
        self.deliverer.nodes.has_answered()
    }

    fn documents_ended(&self) -> u64 {
        self.deliverer.stats.settled()
    }

    fn write_metrics(&self, sink: &mut dyn MetricSink) -> fmt::Result {
        sink.gauge(
            "cluster_answered",
            "Whether the cluster has answered since the start: 1 or 0",
            f64::from(u8::from(self.has_responded())),
        )?;
        let stats = &self.deliverer.stats;
        let mut requests = stats.requests().map(|(status, count)| {
            let status = if status == 0 {
                "none".to_owned()
            } else {
                status.to_string()
            };
            (status, count)
        });
        sink.counters(
            "bulk_requests",
            "Bulk requests by HTTP status; none: no whole answer came",
            "status",
            &mut requests,
        )?;
        let mut retries = stats
            .retries()
            .map(|(reason, documents)| (reason.label().to_owned(), documents));
        sink.counters(
            "documents_retried",
            "Documents sent again",
            "reason",
            &mut retries,
        )?;
        sink.counter(
            "bulk_request_bytes",
            "Bytes of bulk bodies as sent",
            stats.sent_bytes(),
        )?;
        sink.gauge(
            "inflight_bytes",
            "Bytes of bodies on their way",
            stats.in_flight_bytes() as f64,
        )?;
        sink.gauge(
            "inflight_requests",
            "Bulk requests on their way",
            stats.in_flight() as f64,
        )?;
        sink.counter(
            "documents_unparked",
            "Parked documents that their index took in the end",
            stats.unparked(),
        )?;
        let buckets = stats.request_buckets();
        let bounds = SECONDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(buckets).collect();
        let help = "Time from sending a bulk request to its whole answer";
        let sum = stats.request_time().as_secs_f64();
        sink.histogram("bulk_request_seconds", help, &buckets, sum)
    }
}

impl Output for Elasticsearch {
    type Framing = ActionLines;

    fn framing(&self) -> ActionLines {
        ActionLines::new(self.target.clone())
    }

    /// Must be called on a tokio runtime; the first call also starts the task that resends parked documents.
    async fn deliver(&self, batch: Batch, ack: Ack, stop: &CancellationToken) -> Batch {
        if !self.retries_parked.swap(true, Ordering::Relaxed) {
            let deliverer = Arc::downgrade(&self.deliverer);
            tokio::spawn(parked::bring_back(deliverer, stop.clone()));
        }
        let delivery = self.deliverer.deliver(batch, stop).await;
        if delivery.settled {
            ack.durable(delivery.counts);
        }
        delivery.batch
    }

    async fn readiness(&self) -> Readiness {
        let template = self.target.template();
        let for_stream = self.target.stream().is_some();
        match self.check_template(&template, for_stream).await {
            TemplateState::Present => Readiness::Ready,
            TemplateState::Unknown(reason) => Readiness::Unknown(format!(
                "cannot ask whether the index template {template} is there ({reason}); going on. `logweir setup` puts \
                 it; --no-template-check spares the question"
            )),
            TemplateState::Missing => Readiness::Missing(format!(
                "the cluster has no index template {template}: run `logweir setup` with the same configuration; \
                 nothing is sent until then, and nothing is lost"
            )),
            TemplateState::NotForStreams => Readiness::Missing(format!(
                "the cluster's index template {template} makes no data streams: run `logweir setup` with the same \
                 configuration; nothing is sent until then, and nothing is lost"
            )),
            TemplateState::Unreachable(reason) => {
                Readiness::Unreachable(format!("the cluster gives no usable answer: {reason}"))
            }
        }
    }
}
