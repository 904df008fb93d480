//! Delivers one batch, whatever the cluster does meanwhile.
//!
//! Owns the state machine of a delivery: send, classify, resend what is not settled, and keep what can never be
//! indexed. Refuses to know how a request is sent (see [`Transport`]) and where lines come from. Invariant: an item is
//! counted once, when it is durable in the cluster or in the dead-letter file, and a delivery that is `settled` has
//! counted all of its items. It guards against every response that is not a complete success.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::action;
use super::backoff::Backoff;
use super::bulk::{all_created, walk};
use super::classify::{ItemOutcome, RequestOutcome, RetryReason, classify, classify_request, hint};
use super::concurrency_limiter::ConcurrencyLimiter;
use super::error::OutputError;
use super::index_health::{DeadShare, IndexHealth};
use super::log_throttle::LogThrottle;
use super::nodes::Nodes;
use super::redirect::Redirect;
use super::response::Response;
use super::settings::Settings;
use super::stats::Stats;
use super::sub_batch::{BatchInDelivery, BulkRequest, Delivery, SubBatch, gzip};
use crate::clock::Clock;
use crate::config::DataStream;
use crate::event::{Batch, OutcomeCounts};
use crate::output::dead_letters::Rejection;
use crate::output::dead_letters::{AppendError, DeadLetters, Entry, Kind};
use crate::output::health::{Health, HealthGuard, HealthTracker};

/// Sends one request to one node.
pub(crate) trait Transport: Send + Sync + 'static {
    /// How many nodes there are.
    fn nodes(&self) -> usize;

    /// Sends one bulk request.
    fn bulk(
        &self,
        node: usize,
        request: BulkRequest,
    ) -> impl Future<Output = Result<Response, OutputError>> + Send;
}

/// The delivery was stopped.
#[derive(Debug)]
pub(crate) struct Stopped;

/// The state that all deliveries share.
pub(crate) struct Deliverer<C> {
    pub(crate) transport: C,
    pub(crate) nodes: Nodes,
    pub(crate) limiter: ConcurrencyLimiter,
    pub(crate) index_health: Arc<IndexHealth>,
    pub(crate) share: Arc<DeadShare>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) health: HealthTracker,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) batch_bytes: usize,
    stream: Option<Arc<DataStream>>,
    gzip: bool,
    backoff: Backoff,
    credentials: &'static str,
    log_throttles: LogThrottles,
}

#[derive(Default)]
struct LogThrottles {
    refused: LogThrottle,
    held: LogThrottle,
    kept: LogThrottle,
    too_large: LogThrottle,
    redirected: LogThrottle,
}

/// The result of sending a sub-batch.
enum Sent {
    /// Every item is settled, or waits for the dead-letter file.
    Done,
    /// Some items must be resent.
    Left(SubBatch, Wait),
    /// It is sent in two halves.
    Halves(SubBatch, SubBatch),
}

/// How long to wait before the remaining items are resent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wait {
    /// An operator must act.
    Slow,
    /// The cluster recovers by itself.
    Backoff,
}

/// Whole-request failures in a row after which a sub-batch is halved: a body may be too much for a coordinating
/// node's memory (429 for ever), for the time limit, or for a proxy that resets instead of responding 413.
const FAILURES_BEFORE_HALVING: u32 = 3;
/// How often such a sub-batch is halved; an outage must not end in requests of one line each.
const HALVINGS: u32 = 5;

impl<C: Transport> Deliverer<C> {
    pub(crate) fn new(
        transport: C,
        settings: &Settings,
        stream: Option<DataStream>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let backoff = settings.backoff;
        Self {
            nodes: Nodes::new(transport.nodes(), backoff),
            transport,
            limiter: ConcurrencyLimiter::new(settings.max_in_flight, backoff),
            index_health: Arc::new(IndexHealth::new(settings.park_after)),
            share: Arc::default(),
            stats: Arc::default(),
            health: HealthTracker::default(),
            dead_letters: Arc::new(DeadLetters::new(
                &settings.data_dir,
                settings.dead_letter_bytes,
            )),
            clock,
            batch_bytes: settings.batch_bytes,
            stream: stream.map(Arc::new),
            gzip: settings.gzip,
            backoff,
            credentials: settings.auth.setting(),
            log_throttles: LogThrottles::default(),
        }
    }

    /// Continues the counters of `before` and, for the same cluster, its knowledge of indices and nodes.
    pub(crate) fn go_on_from(&mut self, before: &Self, same_cluster: bool) {
        self.stats = Arc::clone(&before.stats);
        if same_cluster {
            self.index_health = Arc::clone(&before.index_health);
            self.share = Arc::clone(&before.share);
            self.nodes.go_on_from(&before.nodes);
        }
    }

    pub(crate) fn health(&self) -> Health {
        self.health.health()
    }

    /// Delivers a batch, however long that takes.
    pub(crate) async fn deliver(&self, batch: Batch, stop: &CancellationToken) -> Delivery {
        let mut batch = BatchInDelivery::new(batch);
        let settled = batch.items.is_empty() || self.drive(&mut batch, stop).await.is_ok();
        if settled {
            self.share
                .settled(batch.items.len() as u64, batch.dead.len() as u64);
        }
        batch.finish(settled)
    }

    async fn drive(
        &self,
        batch: &mut BatchInDelivery,
        stop: &CancellationToken,
    ) -> Result<(), Stopped> {
        let health = self.health.guard();
        let mut ready = vec![SubBatch::new(None)];
        let mut later = Vec::new();
        // Retries since something was settled.
        let mut round = 0_u32;
        loop {
            let mut wait = Wait::Slow;
            let settled_before = batch.counts;
            while let Some(sub_batch) = ready.pop() {
                match self.send(batch, sub_batch, &health, stop).await? {
                    Sent::Done => {}
                    Sent::Halves(first, second) => ready.extend([second, first]),
                    Sent::Left(sub_batch, how_long) => {
                        wait = wait.max(how_long);
                        later.push(sub_batch);
                    }
                }
            }
            if later.is_empty() {
                match self.dead_letter(batch).await {
                    Ok(()) => return Ok(()),
                    Err((reason, hint)) => {
                        self.hold(&health, &reason, hint);
                        // The cluster may accept them by now: a mapping was corrected, an index was reopened.
                        later.push(SubBatch::new(Some(batch.take_rejected())));
                    }
                }
            }
            if batch.counts != settled_before {
                round = 0;
            }
            let pause = match wait {
                Wait::Slow => self.limiter.slow_wait(),
                Wait::Backoff => self.limiter.item_wait(round),
            };
            or_stop(stop, tokio::time::sleep(pause)).await?;
            round = round.saturating_add(1);
            ready.append(&mut later);
        }
    }

    /// Sends one sub-batch until a response classifies its items.
    async fn send(
        &self,
        batch: &mut BatchInDelivery,
        mut sub_batch: SubBatch,
        health: &HealthGuard<'_>,
        stop: &CancellationToken,
    ) -> Result<Sent, Stopped> {
        let mut tried = 0;
        loop {
            let request = match &sub_batch.request {
                Some(request) => request.clone(),
                None => sub_batch
                    .request
                    .insert(self.encode_request(batch, &sub_batch).await)
                    .clone(),
            };
            let permit = or_stop(stop, self.limiter.acquire()).await?;
            let node = self.nodes.pick();
            let response = or_stop(stop, self.send_request(node, request)).await?;
            let count = sub_batch.count(batch);
            let (why, reason) = match response {
                Err(error) => {
                    let redirect = error.redirect().map(Redirect::hint);
                    let why = match &error {
                        OutputError::Node { fault, .. } => fault.retry_reason(),
                        _ => RetryReason::Unreachable,
                    };
                    tried += 1;
                    if tried < self.nodes.count() && self.nodes.any_available() {
                        self.stats.retried(why, count);
                        if redirect.is_some() {
                            self.left_out(&error);
                        }
                        continue;
                    }
                    tried = 0;
                    if let Some(hint) = redirect {
                        permit.held();
                        self.stats.retried(why, count);
                        self.hold(health, &error.to_string(), hint);
                        continue;
                    }
                    permit.refused(None);
                    (why, error.to_string())
                }
                Ok(response) => match classify_request(response.status, &response.body) {
                    RequestOutcome::Items => {
                        match self.classify_items(&response.body, batch, &sub_batch) {
                            Ok(left) => {
                                return Ok(
                                    self.after_answer(batch, sub_batch, left, permit, health)
                                );
                            }
                            Err(reason) => {
                                permit.refused(None);
                                (RetryReason::Malformed, reason)
                            }
                        }
                    }
                    RequestOutcome::TooLarge => {
                        permit.accepted();
                        return Ok(self.too_large(batch, sub_batch));
                    }
                    RequestOutcome::Retry(why, reason) => {
                        permit.refused(self.retry_after(response.retry_after.as_deref()));
                        (why, reason.to_string())
                    }
                    RequestOutcome::Hold(reason) => {
                        permit.held();
                        self.stats.retried(RetryReason::Held, count);
                        let hint = hint(&reason, self.credentials);
                        self.hold(health, &reason.to_string(), hint);
                        continue;
                    }
                },
            };
            self.stats.retried(why, count);
            self.retry(health, why, &reason);
            sub_batch.failures += 1;
            let hopeful = !matches!(why, RetryReason::Unreachable | RetryReason::Unavailable);
            if hopeful
                && sub_batch.failures >= FAILURES_BEFORE_HALVING
                && sub_batch.halved < HALVINGS
                && let Some((first, second)) = sub_batch.halves(batch)
            {
                return Ok(Sent::Halves(first, second));
            }
        }
    }

    pub(crate) async fn send_request(
        &self,
        node: usize,
        request: BulkRequest,
    ) -> Result<Response, OutputError> {
        let bytes = request.body.len();
        let under_way = self.stats.begin(bytes);
        let began = Instant::now();
        let response = self.transport.bulk(node, request).await;
        let (status, took) = (
            response.as_ref().map_or(0, |response| response.status),
            began.elapsed(),
        );
        under_way.end(status, took);
        tracing::debug!(
            node,
            bytes,
            status,
            ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            error = response.as_ref().err().map(ToString::to_string),
            "bulk request"
        );
        match &response {
            Ok(_) => self.nodes.answered(node),
            Err(_) => self.nodes.failed(node),
        }
        response
    }

    /// The request to send. Its body is that of the batch when nothing has to be left out or compressed.
    async fn encode_request(&self, batch: &BatchInDelivery, sub_batch: &SubBatch) -> BulkRequest {
        let body = match &sub_batch.items {
            None => batch.raw.clone(),
            Some(items) => {
                let mut body = Vec::new();
                for item in items {
                    body.extend_from_slice(batch.item(*item));
                }
                Bytes::from(body)
            }
        };
        let (documents, stream) = (sub_batch.count(batch), self.stream.clone());
        if self.gzip {
            let plain = body.clone();
            if let Ok(Some(packed)) = tokio::task::spawn_blocking(move || gzip(&plain)).await {
                return BulkRequest {
                    body: packed,
                    gzip: true,
                    documents,
                    stream,
                };
            }
        }
        BulkRequest {
            body,
            gzip: false,
            documents,
            stream,
        }
    }

    /// Parses a response and counts the items that it settles; returns the others with their outcomes.
    fn classify_items(
        &self,
        response: &[u8],
        batch: &mut BatchInDelivery,
        sub_batch: &SubBatch,
    ) -> Result<Vec<(u32, ItemOutcome)>, String> {
        // Nothing is settled before the response is known to be complete.
        let mut counts = OutcomeCounts::default();
        let mut odd: Vec<(usize, ItemOutcome)> = Vec::new();
        let sent = sub_batch.count(batch);
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
        batch.counts.add(&counts);
        self.stats.settled_more(counts.total());
        let refused = odd
            .iter()
            .filter(|(_, outcome)| !matches!(outcome, ItemOutcome::DeadLetter(_)));
        let mut last = "";
        for (at, _) in refused {
            let index = batch.index(sub_batch.at(*at));
            if index != last {
                self.index_health.refused(index);
                last = index;
            }
        }
        let mut left = Vec::with_capacity(odd.len());
        let mut odd = odd.into_iter().peekable();
        let mut last: &[u8] = b"";
        for at in 0..sent {
            let item = sub_batch.at(at);
            if odd.peek().is_some_and(|(position, _)| *position == at) {
                left.extend(odd.next().map(|(_, outcome)| (item, outcome)));
            } else if last.is_empty() || !batch.item(item).starts_with(last) {
                // documents of one index have action lines that begin alike
                last = batch.head(item);
                self.index_health.accepted(batch.index(item));
            }
        }
        Ok(left)
    }

    /// Sorts the items that a response did not settle: for the dead-letter file, or to be resent.
    fn after_answer(
        &self,
        batch: &mut BatchInDelivery,
        sub_batch: SubBatch,
        left: Vec<(u32, ItemOutcome)>,
        permit: super::concurrency_limiter::Permit<'_>,
        health: &HealthGuard<'_>,
    ) -> Sent {
        let all = sub_batch.count(batch);
        let mut again = Vec::new();
        let mut retries = [0; RetryReason::ALL.len()];
        let mut held = None;
        for (item, outcome) in left {
            let (why, reason) = match outcome {
                ItemOutcome::DeadLetter(reason) => {
                    batch.dead.push((item, reason));
                    continue;
                }
                ItemOutcome::Retry(why) => (why, None),
                ItemOutcome::Hold(reason) => (RetryReason::Held, Some(reason)),
                // `classify_items` has settled the others.
                _ => continue,
            };
            if self.index_health.parkable(batch.index(item)) {
                let reason = reason.unwrap_or_else(|| Rejection::new(0, why.label(), ""));
                batch.parked.push((item, reason));
                continue;
            }
            again.push(item);
            if let Some(count) = retries.get_mut(why.index()) {
                *count += 1;
            }
            held = held.or(reason);
        }
        if again.is_empty() {
            permit.accepted();
            health.recovered();
            return Sent::Done;
        }
        for why in RetryReason::ALL {
            self.stats
                .retried(why, retries.get(why.index()).copied().unwrap_or(0));
        }
        let held_count = retries.get(RetryReason::Held.index()).copied().unwrap_or(0);
        // An index that refuses for its own reasons does not show that the cluster is overloaded.
        if held_count == again.len() && again.len() < all {
            permit.accepted();
        } else {
            permit.partly_refused();
        }
        let wait = if held_count == again.len() {
            Wait::Slow
        } else {
            Wait::Backoff
        };
        match held {
            Some(reason) => {
                let index = again.first().map_or("", |item| batch.index(*item));
                let log_throttles = format!("{held_count} of {all} documents ({index}): {reason}");
                self.hold(health, &log_throttles, hint(&reason, self.credentials));
            }
            None => {
                let log_throttles = format!("{} of {all} documents refused for now", again.len());
                let why = RetryReason::ALL
                    .into_iter()
                    .find(|why| retries.get(why.index()).is_some_and(|count| *count > 0));
                self.retry(
                    health,
                    why.unwrap_or(RetryReason::Overloaded),
                    &log_throttles,
                );
            }
        }
        // The same items need the same bytes.
        let request = if again.len() == all {
            sub_batch.request
        } else {
            None
        };
        let items = if again.len() == all {
            sub_batch.items
        } else {
            Some(again)
        };
        Sent::Left(
            SubBatch {
                items,
                request,
                failures: 0,
                halved: sub_batch.halved,
            },
            wait,
        )
    }

    /// On 413 the sub-batch is sent in halves, down to one document that is too large by itself.
    fn too_large(&self, batch: &mut BatchInDelivery, mut sub_batch: SubBatch) -> Sent {
        let count = sub_batch.count(batch);
        self.stats.retried(RetryReason::TooLarge, count);
        if let Some(unsaid) = self.log_throttles.too_large.due() {
            tracing::warn!(
                documents = count,
                unsaid,
                "413: the cluster, or a proxy before it, does not take a body of this size; sending halves. \
                 Lower batch_bytes in [elasticsearch]"
            );
        }
        if let Some((first, second)) = sub_batch.halves(batch) {
            return Sent::Halves(first, second);
        }
        let bytes = batch.item(sub_batch.at(0)).len();
        let text = format!("this document alone ({bytes} bytes) is over the server's size limit");
        batch.dead.push((
            sub_batch.at(0),
            Rejection::new(413, "content_too_large", text),
        ));
        Sent::Done
    }

    /// Writes rejected and parked items into the dead-letter file. An error holds the reason why that must not or
    /// cannot be done, and a hint.
    async fn dead_letter(&self, batch: &mut BatchInDelivery) -> Result<(), (String, String)> {
        if batch.dead.is_empty() && batch.parked.is_empty() {
            return Ok(());
        }
        let (all, dead) = (batch.items.len() as u64, batch.dead.len() as u64);
        if dead > 0 && !self.share.allows(all, dead) {
            let reason = batch
                .dead
                .first()
                .map(|(_, reason)| reason.to_string())
                .unwrap_or_default();
            return Err((
                format!("{dead} of {all} documents are refused for their own fault, too many: {reason}"),
                "compare the index's mapping with the template (`logweir setup`); nothing is given up, \
                 delivery goes on once they are accepted"
                    .to_owned(),
            ));
        }
        let now = self.clock.unix_millis();
        let entry = |kind, (item, reason): &(u32, Rejection)| {
            let (action, document) = batch.parts(*item);
            let key = action::parse(action).unwrap_or_default();
            Entry {
                data_stream: self.stream.is_some(),
                ..Entry::new(kind, now, key, document, batch.file(*item), reason.clone())
            }
        };
        let mut entries: Vec<Entry> = Vec::with_capacity(batch.dead.len() + batch.parked.len());
        entries.extend(batch.dead.iter().map(|one| entry(Kind::Dead, one)));
        entries.extend(batch.parked.iter().map(|one| entry(Kind::Parked, one)));
        let file = self.dead_letters.clone();
        // A stop must not interrupt this: items that are written must be counted.
        let written = tokio::task::spawn_blocking(move || file.append(&entries)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(full @ AppendError::Full { .. })) => {
                return Err((
                    full.to_string(),
                    "look at it with `logweir dead-letters list`, then replay or delete, or raise \
                     dead_letter_bytes"
                        .to_owned(),
                ));
            }
            Ok(Err(error)) => {
                return Err((
                    error.to_string(),
                    "free space or permit writing in data_dir".to_owned(),
                ));
            }
            Err(error) => return Err((error.to_string(), String::new())),
        }
        batch.counts.dead_lettered += dead;
        batch.counts.parked += batch.parked.len() as u64;
        if let Some(unsaid) = self.log_throttles.kept.due() {
            let first = batch.dead.first().or(batch.parked.first());
            tracing::warn!(
                dead,
                parked = batch.parked.len(),
                unsaid,
                file = %self.dead_letters.path().display(),
                reason = first.map(|(_, reason)| reason.to_string()),
                "kept documents that the cluster does not take"
            );
        }
        Ok(())
    }

    fn retry(&self, health: &HealthGuard<'_>, why: RetryReason, reason: &str) {
        tracing::debug!(why = why.label(), reason, "sending again");
        health.retrying(
            self.clock.unix_millis(),
            format!("{}: {reason}", why.label()),
        );
        if let Some(unsaid) = self.log_throttles.refused.due() {
            tracing::warn!(
                why = why.label(),
                reason,
                unsaid,
                "delivery is retried; nothing is lost"
            );
        }
    }

    /// Logs a node that redirects while others take its share: otherwise nobody would notice.
    fn left_out(&self, error: &OutputError) {
        if let Some(unsaid) = self.log_throttles.redirected.due() {
            tracing::warn!(reason = %error, unsaid, "a node is left out; others are asked");
        }
    }

    fn hold(&self, health: &HealthGuard<'_>, reason: &str, hint: String) {
        if let Some(unsaid) = self.log_throttles.held.due() {
            tracing::warn!(reason, hint, unsaid, "delivery holds; nothing is lost");
        }
        health.holding(self.clock.unix_millis(), reason.to_owned(), hint);
    }

    /// `Retry-After` in either of its shapes (RFC 9110, 10.2.3).
    pub(crate) fn retry_after(&self, header: Option<&str>) -> Option<Duration> {
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

    /// The setting to check when the cluster does not accept the credentials.
    pub(crate) fn credentials(&self) -> &'static str {
        self.credentials
    }

    /// The backoff of the settings.
    pub(crate) fn backoff(&self) -> Backoff {
        self.backoff
    }
}

async fn or_stop<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Result<T, Stopped> {
    stop.run_until_cancelled(work).await.ok_or(Stopped)
}

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;
