//! Delivers one batch, whatever the cluster does meanwhile.
//!
//! Owns the state machine of a delivery: send, resend what is not settled, and keep what can never be indexed. Refuses to
//! know how a request is sent and classified (see [`Sender`]) and where lines come from. Invariant: an item is counted
//! once, when it is durable in the cluster or in the dead-letter file, and a delivery that is `settled` has counted all of
//! its items. It guards against every response that is not a complete success.

use std::future::Future;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::action;
use super::classify::{ItemOutcome, RetryReason, hint};
use super::concurrency_limiter::Permit;
use super::index_health::DeadShare;
use super::log_throttle::LogThrottle;
use super::send::{Classified, SendResult, Sender};
use super::settings::Settings;
use super::sub_batch::{BatchInDelivery, Delivery, SubBatch};
use super::transport::BulkTransport;
use crate::clock::Clock;
use crate::config::DataStream;
use crate::event::Batch;
use crate::http::{Backoff, Redirect};
use crate::output::dead_letters::{AppendError, DeadLetters, Entry, EntryKind, Rejection};
use crate::output::health::{Health, HealthGuard, HealthTracker};

/// The delivery was stopped.
#[derive(Debug)]
pub(crate) struct Stopped;

/// The state that all deliveries share.
pub(crate) struct Deliverer<T> {
    pub(crate) sender: Sender<T>,
    pub(crate) share: Arc<DeadShare>,
    pub(crate) health: HealthTracker,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) batch_bytes: usize,
    stream: Option<Arc<DataStream>>,
    backoff: Backoff,
    credentials: &'static str,
    log_throttles: LogThrottles,
}

#[derive(Default)]
struct LogThrottles {
    refused: LogThrottle,
    held: LogThrottle,
    kept: LogThrottle,
}

/// The progress of a delivery after a sub-batch was sent.
enum Progress {
    /// Every item is settled, or waits for the dead-letter file.
    Done,
    /// Some items must be resent.
    Resend(SubBatch, RetryWait),
    /// It is sent in two halves.
    Halves(SubBatch, SubBatch),
}

/// How long to wait before the remaining items are resent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RetryWait {
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

impl<T: BulkTransport> Deliverer<T> {
    pub(crate) fn new(
        transport: T,
        settings: &Settings,
        stream: Option<DataStream>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            sender: Sender::new(transport, settings, clock),
            share: Arc::default(),
            health: HealthTracker::default(),
            dead_letters: Arc::new(DeadLetters::new(
                &settings.data_dir,
                settings.dead_letter_bytes,
            )),
            batch_bytes: settings.batch_bytes,
            stream: stream.map(Arc::new),
            backoff: settings.backoff,
            credentials: settings.connection.auth.setting(),
            log_throttles: LogThrottles::default(),
        }
    }

    /// Continues the counters of `before` and, for the same cluster, its knowledge of indices and nodes.
    pub(crate) fn continue_from(&mut self, before: &Self, same_cluster: bool) {
        self.sender.stats = Arc::clone(&before.sender.stats);
        if same_cluster {
            self.sender.index_health = Arc::clone(&before.sender.index_health);
            self.share = Arc::clone(&before.share);
            let nodes = self.sender.transport.nodes();
            nodes.continue_from(before.sender.transport.nodes());
        }
    }

    pub(crate) fn health(&self) -> Health {
        self.health.health()
    }

    /// Delivers a batch, however long that takes.
    pub(crate) async fn deliver(&self, batch: Batch, stop: &CancellationToken) -> Delivery {
        let mut batch = BatchInDelivery::new(batch, self.stream.clone());
        let is_empty = batch.documents.items.is_empty();
        let settled = is_empty || self.drive(&mut batch, stop).await.is_ok();
        if settled {
            let (all, dead) = (batch.documents.items.len(), batch.dead.len());
            self.share.settled(all as u64, dead as u64);
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
            let mut wait = RetryWait::Slow;
            let settled_before = batch.counts;
            while let Some(sub_batch) = ready.pop() {
                match self.send(batch, sub_batch, &health, stop).await? {
                    Progress::Done => {}
                    Progress::Halves(first, second) => ready.extend([second, first]),
                    Progress::Resend(sub_batch, how_long) => {
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
            let limiter = &self.sender.limiter;
            let pause = match wait {
                RetryWait::Slow => limiter.slow_wait(),
                RetryWait::Backoff => limiter.item_wait(round),
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
    ) -> Result<Progress, Stopped> {
        let stats = &self.sender.stats;
        loop {
            let count = sub_batch.count(&batch.documents);
            let sent = self.sender.send(&batch.documents, &mut sub_batch);
            let (why, reason) = match or_stop(stop, sent).await? {
                SendResult::Classified(classified, permit) => {
                    batch.counts.add(&classified.counts);
                    stats.settled_more(classified.counts.total());
                    return Ok(self.sort(batch, sub_batch, classified, permit, health));
                }
                SendResult::Halves(first, second) => return Ok(Progress::Halves(first, second)),
                SendResult::TooLarge(item, reason) => {
                    batch.dead.push((item, reason));
                    return Ok(Progress::Done);
                }
                SendResult::Redirected(error, permit) => {
                    permit.held();
                    stats.retried(RetryReason::Held, count);
                    let hint = error.redirect().map(Redirect::hint);
                    self.hold(health, &error.to_string(), hint.unwrap_or_default());
                    continue;
                }
                SendResult::Held(reason, permit) => {
                    permit.held();
                    stats.retried(RetryReason::Held, count);
                    let hint = hint(&reason, self.credentials);
                    self.hold(health, &reason.to_string(), hint);
                    continue;
                }
                SendResult::Retry(why, reason) => (why, reason),
            };
            stats.retried(why, count);
            self.retry(health, why, &reason);
            sub_batch.failures += 1;
            let hopeful = !matches!(why, RetryReason::Unreachable | RetryReason::Unavailable);
            if hopeful
                && sub_batch.failures >= FAILURES_BEFORE_HALVING
                && sub_batch.halved < HALVINGS
                && let Some((first, second)) = sub_batch.halves(&batch.documents)
            {
                return Ok(Progress::Halves(first, second));
            }
        }
    }

    /// Sorts the items that a response did not settle: for the dead-letter file, or to be resent.
    fn sort(
        &self,
        batch: &mut BatchInDelivery,
        sub_batch: SubBatch,
        classified: Classified,
        permit: Permit<'_>,
        health: &HealthGuard<'_>,
    ) -> Progress {
        let all = sub_batch.count(&batch.documents);
        let mut again = Vec::new();
        let mut retries = [0; RetryReason::ALL.len()];
        let mut held = None;
        for (item, outcome) in classified.unsettled {
            let (why, reason) = match outcome {
                ItemOutcome::DeadLetter(reason) => {
                    batch.dead.push((item, reason));
                    continue;
                }
                ItemOutcome::Retry(why) => (why, None),
                ItemOutcome::Hold(reason) => (RetryReason::Held, Some(reason)),
                // these are settled
                ItemOutcome::Indexed
                | ItemOutcome::Duplicate
                | ItemOutcome::Diverted
                | ItemOutcome::Filtered => continue,
            };
            let index = batch.documents.index(item);
            if self.sender.index_health.parkable(index) {
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
            return Progress::Done;
        }
        let count_of = |why: RetryReason| retries.get(why.index()).copied().unwrap_or(0);
        for why in RetryReason::ALL {
            self.sender.stats.retried(why, count_of(why));
        }
        let held_count = count_of(RetryReason::Held);
        // An index that refuses for its own reasons does not show that the cluster is overloaded.
        if held_count == again.len() && again.len() < all {
            permit.accepted();
        } else {
            permit.partly_refused();
        }
        let wait = if held_count == again.len() {
            RetryWait::Slow
        } else {
            RetryWait::Backoff
        };
        match held {
            Some(reason) => {
                let index = again.first();
                let index = index.map_or("", |item| batch.documents.index(*item));
                let text = format!("{held_count} of {all} documents ({index}): {reason}");
                self.hold(health, &text, hint(&reason, self.credentials));
            }
            None => {
                let text = format!("{} of {all} documents refused for now", again.len());
                let why = RetryReason::ALL.into_iter().find(|why| count_of(*why) > 0);
                self.retry(health, why.unwrap_or(RetryReason::Overloaded), &text);
            }
        }
        let halved = sub_batch.halved;
        let rest = if again.len() == all {
            // the same items need the same bytes
            SubBatch {
                failures: 0,
                ..sub_batch
            }
        } else {
            SubBatch {
                halved,
                ..SubBatch::new(Some(again))
            }
        };
        Progress::Resend(rest, wait)
    }

    /// Writes rejected and parked items into the dead-letter file. An error holds the reason why that must not or
    /// cannot be done, and a hint.
    async fn dead_letter(&self, batch: &mut BatchInDelivery) -> Result<(), (String, String)> {
        if batch.dead.is_empty() && batch.parked.is_empty() {
            return Ok(());
        }
        let (all, dead) = (batch.documents.items.len() as u64, batch.dead.len() as u64);
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
        let now = self.sender.clock.unix_millis();
        let entry = |kind, (item, reason): &(u32, Rejection)| {
            let (action, document) = batch.documents.parts(*item);
            let key = action::parse(action).unwrap_or_default();
            Entry {
                data_stream: batch.documents.stream.is_some(),
                ..Entry::new(kind, now, key, document, batch.file(*item), reason.clone())
            }
        };
        let mut entries: Vec<Entry> = Vec::with_capacity(batch.dead.len() + batch.parked.len());
        entries.extend(batch.dead.iter().map(|one| entry(EntryKind::Dead, one)));
        entries.extend(batch.parked.iter().map(|one| entry(EntryKind::Parked, one)));
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
        if let Some(suppressed) = self.log_throttles.kept.due() {
            let first = batch.dead.first().or(batch.parked.first());
            tracing::warn!(
                dead,
                parked = batch.parked.len(),
                suppressed,
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
            self.sender.clock.unix_millis(),
            format!("{}: {reason}", why.label()),
        );
        if let Some(suppressed) = self.log_throttles.refused.due() {
            tracing::warn!(
                why = why.label(),
                reason,
                suppressed,
                "delivery is retried; nothing is lost"
            );
        }
    }

    fn hold(&self, health: &HealthGuard<'_>, reason: &str, hint: String) {
        if let Some(suppressed) = self.log_throttles.held.due() {
            tracing::warn!(reason, hint, suppressed, "delivery holds; nothing is lost");
        }
        health.holding(self.sender.clock.unix_millis(), reason.to_owned(), hint);
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
