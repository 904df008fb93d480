//! Delivery into Elasticsearch and OpenSearch.
//!
//! Owns the delivery of an encoded batch: the client, the classification of responses, retries, limits and dead
//! letters. Refuses to know what a log line is. Invariant: a batch counts as settled only when each of its items is
//! durable, in the cluster or in the dead-letter file. It guards against every failure that a cluster can have.
//!
//! `settings` hold what the output needs to know. `transport` sends a bulk request by the HTTP client; `stream` prevents
//! a plain index with the name of a data stream. `send` is the one path of all documents: within the limit of
//! `concurrency_limiter` it sends a `sub_batch`; `bulk` parses the response, `classify` decides what each item means, and
//! `index_health` remembers across batches which indices refuse. `deliver` acts on the outcomes for live batches,
//! `resend` for entries of the dead-letter file: `parked` resends them periodically, `replay` on request.

pub(crate) mod action;
mod bulk;
mod classify;
mod concurrency_limiter;
mod deliver;
#[cfg(test)]
pub(crate) mod in_process;
mod index_health;
mod log_throttle;
mod parked;
mod replay;
mod resend;
mod send;
mod settings;
mod stats;
mod stream;
mod sub_batch;
mod transport;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::action::ActionLines;
pub use self::classify::RetryReason;
pub use self::replay::Replayed;
pub use self::settings::Settings;
pub use self::stats::Stats;

use self::classify::rejection;
use self::deliver::Deliverer;
use self::stats::SECONDS;
use self::transport::{BulkClient, BulkTransport as _};
use super::dead_letters::{Choice, DeadLetters};
use super::{Ack, Health, Output, OutputStatus, Readiness};
use crate::clock::SystemClock;
use crate::config::IndexTarget;
use crate::event::Batch;
use crate::http::error_body::ServerError;
use crate::http::{HttpClient, HttpError, Method, Response, Service, Transport as _, shown};
use crate::telemetry::MetricSink;

/// A cluster to deliver into.
pub struct Elasticsearch {
    deliverer: Arc<Deliverer<BulkClient>>,
    retries_parked: AtomicBool,
    cluster: Vec<Url>,
    target: IndexTarget,
}

impl fmt::Debug for Elasticsearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elasticsearch")
            .field("health", &self.health())
            .finish_non_exhaustive()
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
    /// The response does not show it (these credentials may not ask).
    Unknown(String),
    /// The cluster could not be asked: ask again.
    Unreachable(String),
}

impl Elasticsearch {
    /// Makes the client; no request is made.
    pub fn connect(settings: Settings, target: IndexTarget) -> Result<Arc<Self>, HttpError> {
        Self::connect_after(settings, target, None)
    }

    /// Like [`Elasticsearch::connect`], after another output in this process. The counters continue. If the cluster is
    /// the same, the health of its indices is kept too: otherwise a closed index would never refuse for long enough
    /// where the configuration changes often.
    pub(crate) fn connect_after(
        settings: Settings,
        target: IndexTarget,
        before: Option<&Self>,
    ) -> Result<Arc<Self>, HttpError> {
        let problems = settings.problems();
        if !problems.is_empty() {
            let service = Service::Cluster;
            return Err(HttpError::Settings { service, problems });
        }
        let client = BulkClient::new(&settings)?;
        let mut deliverer = Deliverer::new(
            client,
            &settings,
            target.stream().cloned(),
            Arc::new(SystemClock::new()),
        );
        if let Some(before) = before {
            let same = before.cluster == settings.connection.nodes;
            deliverer.continue_from(&before.deliverer, same);
        }
        Ok(Arc::new(Self {
            deliverer: Arc::new(deliverer),
            retries_parked: AtomicBool::new(false),
            cluster: settings.connection.nodes,
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
        let path = format!("_index_template/{name}");
        match self.http().request(Method::Get, &path, &[], None).await {
            Ok(Response {
                status: 200, body, ..
            }) if for_stream && !stream::makes_streams(&body) => TemplateState::NotForStreams,
            Ok(Response { status: 200, .. }) => TemplateState::Present,
            Ok(Response { status: 404, .. }) => TemplateState::Missing,
            Ok(Response { status, body, .. }) => {
                let reason = rejection(status, &ServerError::read(&body)).to_string();
                if status == 429 || status >= 500 {
                    TemplateState::Unreachable(reason)
                } else {
                    TemplateState::Unknown(reason)
                }
            }
            Err(error) => TemplateState::Unreachable(error.to_string()),
        }
    }

    /// The client of the cluster.
    pub fn http(&self) -> &HttpClient {
        &self.deliverer.sender.transport.http
    }

    /// The counters so far.
    pub fn stats(&self) -> &Stats {
        &self.deliverer.sender.stats
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
        self.deliverer.sender.transport.nodes().has_responded()
    }

    fn documents_ended(&self) -> u64 {
        self.deliverer.sender.stats.settled()
    }

    fn write_metrics(&self, sink: &mut dyn MetricSink) -> fmt::Result {
        sink.gauge(
            "cluster_answered",
            "Whether the cluster has responded since the start: 1 or 0",
            f64::from(u8::from(self.has_responded())),
        )?;
        let stats = &self.deliverer.sender.stats;
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
            "Bulk requests by HTTP status; none: no complete response",
            "status",
            &mut requests,
        )?;
        let mut retries = stats
            .retries()
            .map(|(reason, documents)| (reason.label().to_owned(), documents));
        sink.counters(
            "documents_retried",
            "Documents that were resent",
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
            "Bytes of bulk bodies in flight",
            stats.in_flight_bytes() as f64,
        )?;
        sink.gauge(
            "inflight_requests",
            "Bulk requests in flight",
            stats.in_flight() as f64,
        )?;
        sink.counter(
            "documents_unparked",
            "Parked documents that their index accepted later",
            stats.unparked(),
        )?;
        let buckets = stats.request_buckets();
        let bounds = SECONDS.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(buckets).collect();
        let help = "Time from sending a bulk request to its complete response";
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
            tokio::spawn(parked::resend_periodically(deliverer, stop.clone()));
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
                "cannot ask whether the index template {template} exists ({reason}); continuing. `logweir setup` puts \
                 it; --no-template-check skips this check"
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
