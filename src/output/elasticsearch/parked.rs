//! Resends parked documents periodically.
//!
//! Owns the walk over the dead-letter file's parked entries; refuses to know why they were parked. Invariant: an entry
//! is removed from the file only after the cluster has it. It guards against lines that wait for an operator although
//! their index was reopened long ago.

use std::collections::HashSet;
use std::sync::Weak;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::classify::ItemOutcome;
use super::deliver::{Deliverer, Transport};
use super::entries::{EntryResult, EntryResults, ResendBatch, ResendResult};
use crate::output::dead_letters::Rejection;
use crate::output::dead_letters::{Choice, Kind};

/// The shortest pause between two walks.
const EVERY: Duration = Duration::from_secs(60);

/// Walks the file periodically until the output is dropped or `stop` is cancelled.
pub(crate) async fn bring_back<C: Transport>(
    deliverer: Weak<Deliverer<C>>,
    stop: CancellationToken,
) {
    loop {
        let Some(deliverer) = deliverer.upgrade() else {
            return;
        };
        let every = EVERY.max(deliverer.backoff().max());
        if stop
            .run_until_cancelled(deliverer.bring_back_once())
            .await
            .is_none()
        {
            return;
        }
        drop(deliverer);
        if stop
            .run_until_cancelled(tokio::time::sleep(every))
            .await
            .is_none()
        {
            return;
        }
    }
}

impl<C: Transport> Deliverer<C> {
    /// Resends every parked entry whose index accepts, and writes the results into the file.
    pub(crate) async fn bring_back_once(&self) {
        if self.dead_letters.bytes() == 0 {
            return;
        }
        let choice = Choice::of(Some(Kind::Parked), None);
        let Ok(mut walk) = self.dead_letters.entries() else {
            return;
        };
        let mut results = EntryResults::default();
        let mut refusing = HashSet::new();
        let mut back = 0;
        'walk: loop {
            let chosen = {
                let (choice, refusing) = (choice.clone(), refusing.clone());
                move |entry: &_| choice.takes(entry) && !refusing.contains(&entry.index)
            };
            let Ok((rest, entries)) = self.next_entries(walk, chosen).await else {
                break;
            };
            walk = rest;
            if entries.is_empty() {
                break;
            }
            let (mut ready, _) = ResendBatch::sort(&entries);
            while let Some(batch) = ready.pop() {
                match self.resend(&batch).await {
                    ResendResult::Classified(outcomes) => {
                        back += self.sort_parked(&batch, outcomes, &mut results, &mut refusing);
                    }
                    ResendResult::TooLarge => match (batch.halves(), &batch.entries[..]) {
                        (Some((first, second)), _) => ready.extend([second, first]),
                        (None, [entry]) => results.insert(entry, EntryResult::Dead(too_large())),
                        (None, _) => {}
                    },
                    ResendResult::Busy(_) => break 'walk,
                    ResendResult::Held(_) => {
                        refusing.extend(batch.entries.iter().map(|entry| entry.index.clone()));
                    }
                }
            }
            if results.are_many() && !self.write_parked(&mut results, &choice, &mut back).await {
                return;
            }
        }
        self.write_parked(&mut results, &choice, &mut back).await;
    }

    /// Records the outcome of each entry; returns how many the cluster has.
    fn sort_parked(
        &self,
        batch: &ResendBatch<'_>,
        outcomes: Vec<ItemOutcome>,
        results: &mut EntryResults,
        refusing: &mut HashSet<String>,
    ) -> u64 {
        let mut back = 0;
        for (entry, outcome) in batch.entries.iter().zip(outcomes) {
            match outcome {
                ItemOutcome::Retry(_) | ItemOutcome::Hold(_) => {
                    self.index_health.refused(&entry.index);
                    refusing.insert(entry.index.clone());
                }
                ItemOutcome::DeadLetter(reason) => results.insert(entry, EntryResult::Dead(reason)),
                ItemOutcome::Indexed
                | ItemOutcome::Duplicate
                | ItemOutcome::Diverted
                | ItemOutcome::Filtered => {
                    self.index_health.accepted(&entry.index);
                    results.insert(entry, EntryResult::Taken);
                    back += 1;
                }
            }
        }
        back
    }

    /// False when the file cannot be written.
    async fn write_parked(
        &self,
        results: &mut EntryResults,
        choice: &Choice,
        back: &mut u64,
    ) -> bool {
        let back = std::mem::take(back);
        match self.settle(results, choice).await {
            Ok(()) if back > 0 => {
                self.stats.unparked_more(back);
                tracing::info!(
                    documents = back,
                    "brought parked documents back into the cluster"
                );
                true
            }
            Ok(()) => true,
            // They stay in the file and are resent; the cluster then reports them as duplicates.
            Err(error) => {
                tracing::warn!(%error, "cannot rewrite the dead-letter file");
                false
            }
        }
    }
}

/// The rejection of a document that is too large by itself.
pub(super) fn too_large() -> Rejection {
    Rejection::new(413, "content_too_large", "this document alone")
}
