//! Brings one batch to its end, whatever the cluster does meanwhile.
//!
//! Owns the state machine of a delivery: send, judge, send again what is not settled, keep what never can be.
//! Refuses to know how a request travels (a [`Courier`]) and where lines come from. Invariant: an item is
//! counted once, when it is durable in the cluster or in the dead-letter file, and a delivery that says
//! `settled` has counted them all. Guards against every way in which an answer can be less than a yes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::action;
use super::backoff::Backoff;
use super::bulk::{all_created, walk};
use super::error::OutputError;
use super::judge::{RequestVerdict, RetryReason, Verdict, hint, judge, judge_request};
use super::nodes::Nodes;
use super::notice::Notice;
use super::pace::Pace;
use super::parcel::{Delivery, Job, Parcel, Wire, gzip};
use super::redirect::Redirect;
use super::refusals::{DeadShare, Refusals};
use super::settings::Settings;
use super::stats::Stats;
use crate::clock::Clock;
use crate::config::DataStream;
use crate::event::{Batch, OutcomeCounts};
use crate::output::dead_letters::Rejection;
use crate::output::dead_letters::{AppendError, DeadLetters, Entry, Kind};
use crate::output::health::{Health, HealthGuard, HealthTracker};

/// What a node answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) date: Option<String>,
    pub(crate) body: Bytes,
}

/// Carries one request to one node.
pub(crate) trait Courier: Send + Sync + 'static {
    /// How many nodes there are.
    fn nodes(&self) -> usize;

    /// Sends one bulk request.
    fn bulk(
        &self,
        node: usize,
        wire: Wire,
    ) -> impl Future<Output = Result<Reply, OutputError>> + Send;
}

/// Somebody wants us to end.
#[derive(Debug)]
pub(crate) struct Stopped;

/// What all deliveries share.
pub(crate) struct Deliverer<C> {
    pub(crate) courier: C,
    pub(crate) nodes: Nodes,
    pub(crate) pace: Pace,
    pub(crate) refusals: Arc<Refusals>,
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
    said: Said,
}

#[derive(Default)]
struct Said {
    refused: Notice,
    held: Notice,
    buried: Notice,
    too_large: Notice,
    redirected: Notice,
}

/// How a parcel fared.
enum Sent {
    /// All of it is settled, or waits to be buried.
    Done,
    /// Some of it must go again.
    Left(Parcel, Wait),
    /// It goes in two.
    Halves(Parcel, Parcel),
}

/// How long to wait before the rest goes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wait {
    /// Somebody must act.
    Slow,
    /// It will pass.
    Backoff,
}

/// Whole-request failures in a row after which a parcel is halved: a body may be too much for a coordinating
/// node's memory (429 for ever), for the time limit, or for a proxy that resets instead of saying 413.
const FAILURES_BEFORE_HALVING: u32 = 3;
/// How often it is halved so; an outage must not leave requests of one line each behind.
const HALVINGS: u32 = 5;

impl<C: Courier> Deliverer<C> {
    pub(crate) fn new(
        courier: C,
        settings: &Settings,
        stream: Option<DataStream>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let backoff = settings.backoff;
        Self {
            nodes: Nodes::new(courier.nodes(), backoff),
            courier,
            pace: Pace::new(settings.max_in_flight, backoff),
            refusals: Arc::new(Refusals::new(settings.park_after)),
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
            said: Said::default(),
        }
    }

    /// Counts on where `before` ends and, of the same cluster, remembers what that remembers.
    pub(crate) fn go_on_from(&mut self, before: &Self, same_cluster: bool) {
        self.stats = Arc::clone(&before.stats);
        if same_cluster {
            self.refusals = Arc::clone(&before.refusals);
            self.share = Arc::clone(&before.share);
            self.nodes.go_on_from(&before.nodes);
        }
    }

    pub(crate) fn health(&self) -> Health {
        self.health.health()
    }

    /// Delivers a batch, for as long as it takes.
    pub(crate) async fn deliver(&self, batch: Batch, stop: &CancellationToken) -> Delivery {
        let mut job = Job::new(batch);
        let settled = job.items.is_empty() || self.drive(&mut job, stop).await.is_ok();
        if settled {
            self.share
                .settled(job.items.len() as u64, job.dead.len() as u64);
        }
        job.finish(settled)
    }

    async fn drive(&self, job: &mut Job, stop: &CancellationToken) -> Result<(), Stopped> {
        let health = self.health.guard();
        let mut ready = vec![Parcel::new(None)];
        let mut later = Vec::new();
        // Repeats since something was settled.
        let mut round = 0_u32;
        loop {
            let mut wait = Wait::Slow;
            let settled_before = job.counts;
            while let Some(parcel) = ready.pop() {
                match self.send(job, parcel, &health, stop).await? {
                    Sent::Done => {}
                    Sent::Halves(first, second) => ready.extend([second, first]),
                    Sent::Left(parcel, how_long) => {
                        wait = wait.max(how_long);
                        later.push(parcel);
                    }
                }
            }
            if later.is_empty() {
                match self.bury(job).await {
                    Ok(()) => return Ok(()),
                    Err((reason, hint)) => {
                        self.hold(&health, &reason, hint);
                        // They may be accepted by now: a mapping was mended, an index opened again.
                        later.push(Parcel::new(Some(job.exhume())));
                    }
                }
            }
            if job.counts != settled_before {
                round = 0;
            }
            let pause = match wait {
                Wait::Slow => self.pace.slow_wait(),
                Wait::Backoff => self.pace.item_wait(round),
            };
            or_stop(stop, tokio::time::sleep(pause)).await?;
            round = round.saturating_add(1);
            ready.append(&mut later);
        }
    }

    /// Sends one parcel until it gets an answer that judges its items.
    async fn send(
        &self,
        job: &mut Job,
        mut parcel: Parcel,
        health: &HealthGuard<'_>,
        stop: &CancellationToken,
    ) -> Result<Sent, Stopped> {
        let mut tried = 0;
        loop {
            let wire = match &parcel.wire {
                Some(wire) => wire.clone(),
                None => parcel.wire.insert(self.pack(job, &parcel).await).clone(),
            };
            let permit = or_stop(stop, self.pace.enter()).await?;
            let node = self.nodes.pick();
            let reply = or_stop(stop, self.carry(node, wire)).await?;
            let count = parcel.count(job);
            let (why, reason) = match reply {
                Err(error) => {
                    let redirect = error.redirect().map(Redirect::hint);
                    let why = match &error {
                        OutputError::Node { fault, .. } => fault.retry_reason(),
                        _ => RetryReason::Unreachable,
                    };
                    tried += 1;
                    if tried < self.nodes.count() && self.nodes.any_awake() {
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
                Ok(reply) => match judge_request(reply.status, &reply.body) {
                    RequestVerdict::Items => match self.judge_items(&reply.body, job, &parcel) {
                        Ok(left) => {
                            return Ok(self.after_answer(job, parcel, left, permit, health));
                        }
                        Err(reason) => {
                            permit.refused(None);
                            (RetryReason::Malformed, reason)
                        }
                    },
                    RequestVerdict::TooLarge => {
                        permit.accepted();
                        return Ok(self.too_large(job, parcel));
                    }
                    RequestVerdict::Retry(why, reason) => {
                        permit.refused(self.retry_after(reply.retry_after.as_deref()));
                        (why, reason.to_string())
                    }
                    RequestVerdict::Hold(reason) => {
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
            parcel.failures += 1;
            let hopeful = !matches!(why, RetryReason::Unreachable | RetryReason::Unavailable);
            if hopeful
                && parcel.failures >= FAILURES_BEFORE_HALVING
                && parcel.halved < HALVINGS
                && let Some((first, second)) = parcel.halves(job)
            {
                return Ok(Sent::Halves(first, second));
            }
        }
    }

    pub(crate) async fn carry(&self, node: usize, wire: Wire) -> Result<Reply, OutputError> {
        let bytes = wire.body.len();
        let under_way = self.stats.begin(bytes);
        let began = Instant::now();
        let reply = self.courier.bulk(node, wire).await;
        let (status, took) = (
            reply.as_ref().map_or(0, |reply| reply.status),
            began.elapsed(),
        );
        under_way.end(status, took);
        tracing::debug!(
            node,
            bytes,
            status,
            ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            error = reply.as_ref().err().map(ToString::to_string),
            "bulk request"
        );
        match &reply {
            Ok(_) => self.nodes.answered(node),
            Err(_) => self.nodes.failed(node),
        }
        reply
    }

    /// The bytes to send: the batch's own when nothing has to be left out or compressed.
    async fn pack(&self, job: &Job, parcel: &Parcel) -> Wire {
        let body = match &parcel.items {
            None => job.raw.clone(),
            Some(items) => {
                let mut body = Vec::new();
                for item in items {
                    body.extend_from_slice(job.item(*item));
                }
                Bytes::from(body)
            }
        };
        let (documents, stream) = (parcel.count(job), self.stream.clone());
        if self.gzip {
            let plain = body.clone();
            if let Ok(Some(packed)) = tokio::task::spawn_blocking(move || gzip(&plain)).await {
                return Wire {
                    body: packed,
                    gzip: true,
                    documents,
                    stream,
                };
            }
        }
        Wire {
            body,
            gzip: false,
            documents,
            stream,
        }
    }

    /// Reads an answer and settles what it settles; gives the rest with what it needs.
    fn judge_items(
        &self,
        answer: &[u8],
        job: &mut Job,
        parcel: &Parcel,
    ) -> Result<Vec<(u32, Verdict)>, String> {
        // Nothing is settled before the answer is known to be whole.
        let mut counts = OutcomeCounts::default();
        let mut odd: Vec<(usize, Verdict)> = Vec::new();
        let sent = parcel.count(job);
        if all_created(answer, sent) {
            counts.indexed = sent as u64;
        } else {
            walk(answer, sent, |at, outcome| match judge(&outcome) {
                Verdict::Indexed => counts.indexed += 1,
                Verdict::Duplicate => counts.duplicate += 1,
                Verdict::Diverted => counts.diverted += 1,
                Verdict::Filtered => counts.filtered += 1,
                other => odd.push((at, other)),
            })
            .map_err(|malformed| malformed.to_string())?;
        }
        job.counts.add(&counts);
        self.stats.settled_more(counts.total());
        let refused = odd
            .iter()
            .filter(|(_, verdict)| !matches!(verdict, Verdict::DeadLetter(_)));
        let mut last = "";
        for (at, _) in refused {
            let index = job.index(parcel.at(*at));
            if index != last {
                self.refusals.refused(index);
                last = index;
            }
        }
        let mut left = Vec::with_capacity(odd.len());
        let mut odd = odd.into_iter().peekable();
        let mut last: &[u8] = b"";
        for at in 0..sent {
            let item = parcel.at(at);
            if odd.peek().is_some_and(|(place, _)| *place == at) {
                left.extend(odd.next().map(|(_, verdict)| (item, verdict)));
            } else if last.is_empty() || !job.item(item).starts_with(last) {
                // as far as the index goes, the lines of one day begin alike
                last = job.head(item);
                self.refusals.accepted(job.index(item));
            }
        }
        Ok(left)
    }

    /// Sorts what an answer left: to be buried, or to be sent again.
    fn after_answer(
        &self,
        job: &mut Job,
        parcel: Parcel,
        left: Vec<(u32, Verdict)>,
        permit: super::pace::Permit<'_>,
        health: &HealthGuard<'_>,
    ) -> Sent {
        let all = parcel.count(job);
        let mut again = Vec::new();
        let mut retries = [0; RetryReason::ALL.len()];
        let mut held = None;
        for (item, verdict) in left {
            let (why, reason) = match verdict {
                Verdict::DeadLetter(reason) => {
                    job.dead.push((item, reason));
                    continue;
                }
                Verdict::RetryItem(why) => (why, None),
                Verdict::HoldCluster(reason) => (RetryReason::Held, Some(reason)),
                // `judge_items` has settled the others.
                _ => continue,
            };
            if self.refusals.parkable(job.index(item)) {
                let reason = reason.unwrap_or_else(|| Rejection::new(0, why.label(), ""));
                job.parked.push((item, reason));
                continue;
            }
            again.push(item);
            if let Some(count) = retries.get_mut(why.place()) {
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
                .retried(why, retries.get(why.place()).copied().unwrap_or(0));
        }
        let held_count = retries.get(RetryReason::Held.place()).copied().unwrap_or(0);
        // An index that refuses for reasons of its own says nothing of the cluster's load.
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
                let index = again.first().map_or("", |item| job.index(*item));
                let said = format!("{held_count} of {all} documents ({index}): {reason}");
                self.hold(health, &said, hint(&reason, self.credentials));
            }
            None => {
                let said = format!("{} of {all} documents refused for now", again.len());
                let why = RetryReason::ALL
                    .into_iter()
                    .find(|why| retries.get(why.place()).is_some_and(|count| *count > 0));
                self.retry(health, why.unwrap_or(RetryReason::Overloaded), &said);
            }
        }
        // The same items again: the same bytes again.
        let wire = if again.len() == all {
            parcel.wire
        } else {
            None
        };
        let items = if again.len() == all {
            parcel.items
        } else {
            Some(again)
        };
        Sent::Left(
            Parcel {
                items,
                wire,
                failures: 0,
                halved: parcel.halved,
            },
            wait,
        )
    }

    /// 413: in halves, down to the one document that is too large by itself.
    fn too_large(&self, job: &mut Job, mut parcel: Parcel) -> Sent {
        let count = parcel.count(job);
        self.stats.retried(RetryReason::TooLarge, count);
        if let Some(unsaid) = self.said.too_large.due() {
            tracing::warn!(
                documents = count,
                unsaid,
                "413: the cluster, or a proxy before it, does not take a body of this size; sending halves. \
                 Lower batch_bytes in [elasticsearch]"
            );
        }
        if let Some((first, second)) = parcel.halves(job) {
            return Sent::Halves(first, second);
        }
        let bytes = job.item(parcel.at(0)).len();
        let text = format!("this document alone ({bytes} bytes) is over the server's size limit");
        job.dead
            .push((parcel.at(0), Rejection::new(413, "content_too_large", text)));
        Sent::Done
    }

    /// Puts into the dead-letter file what belongs there; an error says why it must not or cannot be.
    async fn bury(&self, job: &mut Job) -> Result<(), (String, String)> {
        if job.dead.is_empty() && job.parked.is_empty() {
            return Ok(());
        }
        let (all, dead) = (job.items.len() as u64, job.dead.len() as u64);
        if dead > 0 && !self.share.allows(all, dead) {
            let reason = job
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
            let (action, document) = job.parts(*item);
            let key = action::parse(action).unwrap_or_default();
            Entry {
                data_stream: self.stream.is_some(),
                ..Entry::new(kind, now, key, document, job.file(*item), reason.clone())
            }
        };
        let mut entries: Vec<Entry> = Vec::with_capacity(job.dead.len() + job.parked.len());
        entries.extend(job.dead.iter().map(|one| entry(Kind::Dead, one)));
        entries.extend(job.parked.iter().map(|one| entry(Kind::Parked, one)));
        let file = self.dead_letters.clone();
        // Not to be stopped halfway: what is written must be counted.
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
        job.counts.dead_lettered += dead;
        job.counts.parked += job.parked.len() as u64;
        if let Some(unsaid) = self.said.buried.due() {
            let first = job.dead.first().or(job.parked.first());
            tracing::warn!(
                dead,
                parked = job.parked.len(),
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
        if let Some(unsaid) = self.said.refused.due() {
            tracing::warn!(
                why = why.label(),
                reason,
                unsaid,
                "delivery is retried; nothing is lost"
            );
        }
    }

    /// A node that leads elsewhere while others take its share: nobody would notice.
    fn left_out(&self, error: &OutputError) {
        if let Some(unsaid) = self.said.redirected.due() {
            tracing::warn!(reason = %error, unsaid, "a node is left out; others are asked");
        }
    }

    fn hold(&self, health: &HealthGuard<'_>, reason: &str, hint: String) {
        if let Some(unsaid) = self.said.held.due() {
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

    /// The setting to look at when the cluster does not know us.
    pub(crate) fn credentials(&self) -> &'static str {
        self.credentials
    }

    /// How long repeated work that nobody waits for may rest.
    pub(crate) fn backoff(&self) -> Backoff {
        self.backoff
    }
}

async fn or_stop<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Result<T, Stopped> {
    stop.run_until_cancelled(work).await.ok_or(Stopped)
}

#[cfg(test)]
#[path = "../../../tests/support/fake_cluster.rs"]
pub(super) mod fake_cluster;

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;
