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
use super::deliver::{Deliverer, Transport};
use super::entries::{EntryResult, EntryResults, ResendBatch, ResendResult};
use super::parked::too_large;
use crate::event::OutcomeCounts;
use crate::output::dead_letters::Rejection;
use crate::output::dead_letters::{Choice, Entry};

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
    pub fn refused(&self) -> u64 {
        self.refused.values().sum::<u64>() + self.unsendable
    }

    /// Entries that the cluster did not take, through no fault of theirs.
    pub fn left(&self) -> u64 {
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

impl<C: Transport> Deliverer<C> {
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
            replay.done.unsendable += unsendable.len() as u64;
            for batch in batches {
                self.send_again(batch, &mut replay).await;
            }
            if replay.results.are_many() {
                self.settle(&mut replay.results, choice).await?;
            }
        }
        self.settle(&mut replay.results, choice).await?;
        Ok(replay.done)
    }

    /// Resends a batch, in parts where necessary, until each entry has an outcome or the time is over.
    async fn send_again(&self, batch: ResendBatch<'_>, replay: &mut Replay) {
        let mut ready = vec![batch];
        let mut round = 0;
        while let Some(batch) = ready.pop() {
            let batch = replay.without_waiting(&batch);
            if batch.entries.is_empty() {
                continue;
            }
            let result = tokio::time::timeout_at(replay.deadline, self.resend(&batch)).await;
            match result {
                Err(_) => replay.done.late += batch.entries.len() as u64,
                Ok(ResendResult::Classified(outcomes)) => {
                    let again = self.sort_replayed(&batch, outcomes, replay);
                    if !again.is_empty() {
                        let wait = tokio::time::sleep(self.limiter.item_wait(round));
                        // when the time is over, the next pass finds that out
                        let _ = tokio::time::timeout_at(replay.deadline, wait).await;
                        round += 1;
                        ready.push(batch.with(again));
                    }
                }
                Ok(ResendResult::TooLarge) => match (batch.halves(), &batch.entries[..]) {
                    (Some((first, second)), _) => ready.extend([second, first]),
                    (None, [entry]) => replay.refused(entry, too_large()),
                    (None, _) => {}
                },
                Ok(ResendResult::Busy(reason)) => {
                    replay.done.busy = Some(reason);
                    ready.push(batch);
                }
                Ok(ResendResult::Held(reason)) => {
                    let state = (reason.to_string(), hint(&reason, self.credentials()));
                    for entry in &batch.entries {
                        replay.waiting.insert(entry.index.clone(), state.clone());
                    }
                    ready.push(batch);
                }
            }
        }
    }

    /// Records the outcome of each entry; returns those to be resent.
    fn sort_replayed<'e>(
        &self,
        batch: &ResendBatch<'e>,
        outcomes: Vec<ItemOutcome>,
        replay: &mut Replay,
    ) -> Vec<&'e Entry> {
        let mut again = Vec::new();
        for (entry, outcome) in batch.entries.iter().zip(outcomes) {
            let taken = &mut replay.done.taken;
            match outcome {
                ItemOutcome::Indexed => taken.indexed += 1,
                ItemOutcome::Duplicate => taken.duplicate += 1,
                ItemOutcome::Diverted => taken.diverted += 1,
                ItemOutcome::Filtered => taken.filtered += 1,
                ItemOutcome::Retry(why) => {
                    replay.done.busy = Some(format!("{}: {}", entry.index, why.label()));
                    again.push(*entry);
                    continue;
                }
                ItemOutcome::DeadLetter(reason) => {
                    replay.refused(entry, reason);
                    continue;
                }
                ItemOutcome::Hold(reason) => {
                    let state = (
                        format!("{}: {reason}", entry.index),
                        hint(&reason, self.credentials()),
                    );
                    count(&mut replay.done.waiting, state.clone(), other_reasons);
                    replay.waiting.insert(entry.index.clone(), state);
                    replay.results.insert(entry, EntryResult::Waits(reason));
                    continue;
                }
            }
            replay.results.insert(entry, EntryResult::Taken);
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

    /// The batch without entries whose index takes nothing; those are counted.
    fn without_waiting<'e>(&mut self, batch: &ResendBatch<'e>) -> ResendBatch<'e> {
        let (waiting, done) = (&self.waiting, &mut self.done);
        let ready = batch.entries.iter().filter(|entry| {
            let state = waiting.get(&entry.index);
            if let Some(state) = state {
                count(&mut done.waiting, state.clone(), other_reasons);
            }
            state.is_none()
        });
        batch.with(ready.copied().collect())
    }
}
