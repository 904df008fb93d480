//! Resends entries of the dead-letter file on request.
//!
//! Owns which entries are resent, for how long, and the counts at the end; refuses to know who asked. Invariant: an
//! entry is removed from the file only when the cluster has its document; an entry without a response stays as it was.
//! It guards against a replay that loses a kept line. It may run beside an agent that works on the same file: both send
//! the same ids, so the second request gets a version conflict.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::classify::{ItemOutcome, hint};
use super::deliver::Deliverer;
use super::resend::{EntryResult, EntryResults, ResendBatch, ResendResult};
use super::send::Classified;
use super::sub_batch::SubBatch;
use super::transport::BulkTransport;
use crate::event::OutcomeCounts;
use crate::output::dead_letters::{Choice, Entry, Rejection};

/// Reasons that are counted separately. A cluster has few; another server in its place may send any number.
const REASONS: usize = 1000;

/// The result of a replay.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Entries that were chosen.
    pub chosen: u64,
    /// Entries that the cluster took, by outcome; they are removed from the file.
    pub taken: OutcomeCounts,
    /// Refused again for the document's own fault, by reason; they stay.
    pub refused: BTreeMap<String, u64>,
    /// Entries that would not be one item of a request, because somebody edited the file; they stay.
    pub unsendable: u64,
    /// Entries that the cluster's state does not allow, by reason and hint; they stay.
    pub waiting: BTreeMap<(String, String), u64>,
    /// Entries that were not sent, or got no response, in time; they stay.
    pub late: u64,
    /// The last reason for a retry.
    pub busy: Option<String>,
}

impl Replayed {
    /// Entries that stay for their own fault.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.values().sum::<u64>() + self.unsendable
    }

    /// Entries that the cluster did not take, through no fault of theirs.
    pub(crate) fn left(&self) -> u64 {
        self.waiting.values().sum::<u64>() + self.late
    }
}

/// The state of a replay.
struct Replay {
    deadline: Instant,
    done: Replayed,
    results: EntryResults,
    /// Indices that take nothing, with the reason and the hint.
    waiting: BTreeMap<String, (String, String)>,
}

impl<T: BulkTransport> Deliverer<T> {
    /// Resends the chosen entries until each has an outcome, or `time` is over.
    pub(crate) async fn replay(&self, choice: &Choice, time: Duration) -> io::Result<Replayed> {
        let mut replay = Replay {
            deadline: Instant::now() + time,
            done: Replayed::default(),
            results: EntryResults::default(),
            waiting: BTreeMap::new(),
        };
        let mut walk = self.dead_letters.entries()?;
        loop {
            let chosen = choice.clone();
            let (rest, entries) = self
                .next_entries(walk, move |entry| chosen.takes(entry))
                .await?;
            walk = rest;
            if entries.is_empty() {
                break;
            }
            replay.done.chosen += entries.len() as u64;
            let (batches, unsendable) = ResendBatch::sort(&entries);
            replay.done.unsendable += unsendable;
            for batch in batches {
                self.send_again(&batch, &mut replay).await;
            }
            if replay.results.are_many() {
                self.settle(&mut replay.results, choice).await?;
            }
        }
        self.settle(&mut replay.results, choice).await?;
        Ok(replay.done)
    }

    /// Resends a batch, in parts where necessary, until each entry has an outcome or the time is over.
    async fn send_again(&self, batch: &ResendBatch<'_>, replay: &mut Replay) {
        let mut ready = vec![SubBatch::new(None)];
        let mut round = 0;
        while let Some(sub_batch) = ready.pop() {
            let Some(mut sub_batch) = replay.without_waiting(batch, sub_batch) else {
                continue;
            };
            let sent = self.resend(batch, &mut sub_batch);
            match tokio::time::timeout_at(replay.deadline, sent).await {
                Err(_) => replay.done.late += sub_batch.count(&batch.documents) as u64,
                Ok(ResendResult::Classified(classified)) => {
                    let again = self.sort_replayed(batch, &sub_batch, classified, replay);
                    if !again.is_empty() {
                        let wait = tokio::time::sleep(self.sender.limiter.item_wait(round));
                        // when the time is over, the next pass finds that out
                        let _ = tokio::time::timeout_at(replay.deadline, wait).await;
                        round += 1;
                        ready.push(SubBatch::new(Some(again)));
                    }
                }
                Ok(ResendResult::Halves(first, second)) => ready.extend([second, first]),
                Ok(ResendResult::TooLarge(item, reason)) => {
                    if let Some(entry) = batch.entry(item) {
                        replay.refused(entry, reason);
                    }
                }
                Ok(ResendResult::Busy(reason)) => {
                    replay.done.busy = Some(reason);
                    ready.push(sub_batch);
                }
                Ok(ResendResult::Held(reason)) => {
                    let state = (reason.to_string(), hint(&reason, self.credentials()));
                    for (_, entry) in batch.entries(&sub_batch) {
                        replay.waiting.insert(entry.index.clone(), state.clone());
                    }
                    ready.push(sub_batch);
                }
            }
        }
    }

    /// Records the outcome of each entry; returns the items to be resent.
    fn sort_replayed(
        &self,
        batch: &ResendBatch<'_>,
        sub_batch: &SubBatch,
        classified: Classified,
        replay: &mut Replay,
    ) -> Vec<u32> {
        let mut again = Vec::new();
        replay.done.taken.add(&classified.counts);
        for (item, entry, outcome) in batch.outcomes(sub_batch, classified) {
            match outcome {
                Some(ItemOutcome::Retry(why)) => {
                    replay.done.busy = Some(format!("{}: {}", entry.index, why.label()));
                    again.push(item);
                }
                Some(ItemOutcome::DeadLetter(reason)) => replay.refused(entry, reason),
                Some(ItemOutcome::Hold(reason)) => {
                    let state = (
                        format!("{}: {reason}", entry.index),
                        hint(&reason, self.credentials()),
                    );
                    count(&mut replay.done.waiting, state.clone(), other_reasons);
                    replay.waiting.insert(entry.index.clone(), state);
                    replay.results.insert(entry, EntryResult::Waits(reason));
                }
                _ => replay.results.insert(entry, EntryResult::Taken),
            }
        }
        again
    }
}

/// Counts one more under this key, or under the key for all others when there are [`REASONS`] keys.
fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, others: fn() -> K) {
    let key = match counts.len() < REASONS || counts.contains_key(&key) {
        true => key,
        false => others(),
    };
    *counts.entry(key).or_default() += 1;
}

fn others() -> String {
    "others".to_owned()
}

fn other_reasons() -> (String, String) {
    (others(), "replay again".to_owned())
}

impl Replay {
    fn refused(&mut self, entry: &Entry, reason: Rejection) {
        count(&mut self.done.refused, reason.label(), others);
        self.results.insert(entry, EntryResult::Dead(reason));
    }

    /// The sub-batch without entries whose index takes nothing; those are counted. `None` when no entry is left.
    fn without_waiting(
        &mut self,
        batch: &ResendBatch<'_>,
        sub_batch: SubBatch,
    ) -> Option<SubBatch> {
        let mut ready = Vec::new();
        for (item, entry) in batch.entries(&sub_batch) {
            match self.waiting.get(&entry.index) {
                Some(state) => count(&mut self.done.waiting, state.clone(), other_reasons),
                None => ready.push(item),
            }
        }
        match ready.len() {
            0 => None,
            all if all == sub_batch.count(&batch.documents) => Some(sub_batch),
            _ => Some(SubBatch::new(Some(ready))),
        }
    }
}
