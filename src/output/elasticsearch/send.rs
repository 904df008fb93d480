//! The one path by which documents are sent: those of live batches and those of the dead-letter file.
//!
//! Owns a request from its encoding to the outcome of each item: the limit of concurrent requests, the choice of the node,
//! the classification of the response, halves after a 413, and what an outcome shows about its index. Refuses to know
//! what happens to documents that are not settled (`deliver` and `resend` decide that). Invariant: an item has an outcome
//! only when the response to its request is complete. It guards against two paths that understand a cluster differently.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::bulk::{all_created, walk};
use super::classify::{ItemOutcome, RequestOutcome, RetryReason, classify, classify_request};
use super::concurrency_limiter::{ConcurrencyLimiter, Permit};
use super::index_health::IndexHealth;
use super::log_throttle::LogThrottle;
use super::settings::Settings;
use super::stats::Stats;
use super::sub_batch::{Documents, SubBatch};
use super::transport::{BulkRequest, BulkTransport};
use crate::clock::Clock;
use crate::event::OutcomeCounts;
use crate::http::{HttpError, Response};
use crate::output::dead_letters::Rejection;

/// Sends sub-batches. All deliveries and resends share it.
pub(crate) struct Sender<T> {
    pub(crate) transport: T,
    pub(crate) limiter: ConcurrencyLimiter,
    pub(crate) index_health: Arc<IndexHealth>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) clock: Arc<dyn Clock>,
    gzip: bool,
    too_large: LogThrottle,
    redirected: LogThrottle,
}

/// The result of sending a sub-batch.
pub(crate) enum SendResult<'s> {
    /// The response has an outcome for each item.
    Classified(Classified, Permit<'s>),
    /// 413: two halves are to be sent instead.
    Halves(SubBatch, SubBatch),
    /// 413: this one document is too large.
    TooLarge(u32, Rejection),
    /// There is no usable response, or the cluster refuses the request for now; a retry may succeed.
    Retry(RetryReason, String),
    /// No node responds with anything but a redirect: an operator must act.
    Redirected(HttpError, Permit<'s>),
    /// The cluster's state does not allow the request: an operator must act.
    Held(Rejection, Permit<'s>),
}

/// The outcomes of the items of one request.
#[derive(Default)]
pub(crate) struct Classified {
    /// The items that are settled: newly indexed, there already, diverted or filtered.
    pub(crate) counts: OutcomeCounts,
    /// The other items with their outcomes, in the order of the request.
    pub(crate) unsettled: Vec<(u32, ItemOutcome)>,
}

impl<T: BulkTransport> Sender<T> {
    pub(crate) fn new(transport: T, settings: &Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            transport,
            limiter: ConcurrencyLimiter::new(settings.max_in_flight, settings.backoff),
            index_health: Arc::new(IndexHealth::new(settings.park_after)),
            stats: Arc::default(),
            clock,
            gzip: settings.connection.gzip,
            too_large: LogThrottle::default(),
            redirected: LogThrottle::default(),
        }
    }

    /// Sends a sub-batch once, to another node where one does not respond.
    pub(crate) async fn send(
        &self,
        documents: &Documents,
        sub_batch: &mut SubBatch,
    ) -> SendResult<'_> {
        let count = sub_batch.count(documents);
        let nodes = self.transport.nodes();
        let mut tried = 0;
        let (response, permit) = loop {
            let request = sub_batch.request(documents, self.gzip).await;
            let permit = self.limiter.acquire().await;
            let error = match self.send_request(nodes.pick(), request).await {
                Ok(response) => break (response, permit),
                Err(error) => error,
            };
            let why = RetryReason::of(&error);
            tried += 1;
            if tried < nodes.count() && nodes.any_available() {
                self.stats.retried(why, count);
                if error.redirect().is_some() {
                    self.warn_of_redirect(&error);
                }
            } else if error.redirect().is_some() {
                return SendResult::Redirected(error, permit);
            } else {
                permit.refused(None);
                return SendResult::Retry(why, error.to_string());
            }
        };
        match classify_request(response.status, &response.body) {
            RequestOutcome::Items => {
                match self.classify_items(&response.body, documents, sub_batch) {
                    Ok(classified) => SendResult::Classified(classified, permit),
                    Err(reason) => {
                        permit.refused(None);
                        SendResult::Retry(RetryReason::Malformed, reason)
                    }
                }
            }
            RequestOutcome::TooLarge => {
                permit.accepted();
                self.too_large(documents, sub_batch)
            }
            RequestOutcome::Retry(why, reason) => {
                permit.refused(self.retry_after(response.retry_after.as_deref()));
                SendResult::Retry(why, reason.to_string())
            }
            RequestOutcome::Hold(reason) => SendResult::Held(reason, permit),
        }
    }

    async fn send_request(&self, node: usize, request: BulkRequest) -> Result<Response, HttpError> {
        let bytes = request.body.len();
        let in_flight = self.stats.begin(bytes);
        let began = Instant::now();
        let response = self.transport.bulk(node, request).await;
        let (status, took) = (
            response.as_ref().map_or(0, |response| response.status),
            began.elapsed(),
        );
        in_flight.end(status, took);
        tracing::debug!(
            node,
            bytes,
            status,
            ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            error = response.as_ref().err().map(ToString::to_string),
            "bulk request"
        );
        match &response {
            Ok(_) => self.transport.nodes().responded(node),
            Err(_) => self.transport.nodes().failed(node),
        }
        response
    }

    /// Parses a response, and records which indices accept and which refuse.
    fn classify_items(
        &self,
        response: &[u8],
        documents: &Documents,
        sub_batch: &SubBatch,
    ) -> Result<Classified, String> {
        // Nothing is settled before the response is known to be complete.
        let mut counts = OutcomeCounts::default();
        let mut odd: Vec<(usize, ItemOutcome)> = Vec::new();
        let sent = sub_batch.count(documents);
        if all_created(response, sent) {
            counts.indexed = sent as u64;
        } else {
            walk(response, sent, |at, item| match classify(&item) {
                ItemOutcome::Indexed => counts.indexed += 1,
                ItemOutcome::Duplicate => counts.duplicate += 1,
                ItemOutcome::Diverted => counts.diverted += 1,
                ItemOutcome::Filtered => counts.filtered += 1,
                other => odd.push((at, other)),
            })
            .map_err(|malformed| malformed.to_string())?;
        }
        let refused = odd
            .iter()
            .filter(|(_, outcome)| !matches!(outcome, ItemOutcome::DeadLetter(_)));
        let mut last = "";
        for (at, _) in refused {
            let index = documents.index(sub_batch.at(*at));
            if index != last {
                self.index_health.refused(index);
                last = index;
            }
        }
        let mut unsettled = Vec::with_capacity(odd.len());
        let mut odd = odd.into_iter().peekable();
        let mut last: &[u8] = b"";
        for at in 0..sent {
            let item = sub_batch.at(at);
            if odd.peek().is_some_and(|(position, _)| *position == at) {
                unsettled.extend(odd.next().map(|(_, outcome)| (item, outcome)));
            } else if last.is_empty() || !documents.item(item).starts_with(last) {
                // documents of one index have action lines that begin alike
                last = documents.head(item);
                self.index_health.accepted(documents.index(item));
            }
        }
        Ok(Classified { counts, unsettled })
    }

    /// After a 413 the sub-batch is sent in halves, down to one document that is too large by itself.
    fn too_large(&self, documents: &Documents, sub_batch: &SubBatch) -> SendResult<'_> {
        let count = sub_batch.count(documents);
        self.stats.retried(RetryReason::TooLarge, count);
        if let Some(suppressed) = self.too_large.due() {
            tracing::warn!(
                documents = count,
                suppressed,
                "413: the cluster, or a proxy before it, does not take a body of this size; sending halves. \
                 Lower batch_bytes in [elasticsearch]"
            );
        }
        if let Some((first, second)) = sub_batch.halves(documents) {
            return SendResult::Halves(first, second);
        }
        let item = sub_batch.at(0);
        let bytes = documents.item(item).len();
        let text = format!("this document alone ({bytes} bytes) is over the server's size limit");
        SendResult::TooLarge(item, Rejection::new(413, "content_too_large", text))
    }

    /// Logs a node that redirects while others take its share: otherwise nobody would notice.
    fn warn_of_redirect(&self, error: &HttpError) {
        if let Some(suppressed) = self.redirected.due() {
            tracing::warn!(reason = %error, suppressed, "a node redirects and is not used; others are");
        }
    }

    /// `Retry-After` in either of its shapes (RFC 9110, 10.2.3).
    pub(super) fn retry_after(&self, header: Option<&str>) -> Option<Duration> {
        let header = header?.trim();
        if let Ok(seconds) = header.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let at = chrono::DateTime::parse_from_rfc2822(header)
            .ok()?
            .timestamp_millis();
        Some(Duration::from_millis(
            u64::try_from(at - self.clock.unix_millis()).unwrap_or(0),
        ))
    }
}
