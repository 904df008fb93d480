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
use super::deliver::Deliverer;
use super::resend::{EntryResult, EntryResults, ResendBatch, ResendResult};
use super::send::Classified;
use super::sub_batch::SubBatch;
use super::transport::BulkTransport;
use crate::output::dead_letters::{Choice, EntryKind};

/// The shortest pause between two walks.
const EVERY: Duration = Duration::from_secs(60);

/// Walks the file periodically until the output is dropped or `stop` is cancelled.
pub(crate) async fn resend_periodically<T: BulkTransport>(
    deliverer: Weak<Deliverer<T>>,
    stop: CancellationToken,
) {
    loop {
        let Some(deliverer) = deliverer.upgrade() else {
            return;
        };
        let every = EVERY.max(deliverer.backoff().max());
        if stop
            .run_until_cancelled(deliverer.resend_parked())
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

impl<T: BulkTransport> Deliverer<T> {
    /// Resends every parked entry whose index accepts, and writes the results into the file.
    pub(crate) async fn resend_parked(&self) {
        if self.dead_letters.bytes() == 0 {
            return;
        }
        let choice = Choice::of(Some(EntryKind::Parked), None);
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
            let (batches, _) = ResendBatch::sort(&entries);
            for batch in &batches {
                let mut ready = vec![SubBatch::new(None)];
                while let Some(mut sub_batch) = ready.pop() {
                    match self.resend(batch, &mut sub_batch).await {
                        ResendResult::Classified(classified) => {
                            back += classified.counts.total();
                            sort_parked(batch, &sub_batch, classified, &mut results, &mut refusing);
                        }
                        ResendResult::Halves(first, second) => ready.extend([second, first]),
                        ResendResult::TooLarge(item, reason) => {
                            if let Some(entry) = batch.entry(item) {
                                results.insert(entry, EntryResult::Dead(reason));
                            }
                        }
                        ResendResult::Busy(_) => break 'walk,
                        ResendResult::Held(_) => {
                            let entries = batch.entries(&sub_batch);
                            refusing.extend(entries.map(|(_, entry)| entry.index.clone()));
                        }
                    }
                }
            }
            if results.are_many() && !self.write_parked(&mut results, &choice, &mut back).await {
                return;
            }
        }
        self.write_parked(&mut results, &choice, &mut back).await;
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
                self.sender.stats.unparked_more(back);
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

/// Records the outcome of each entry, and the indices that refuse.
fn sort_parked(
    batch: &ResendBatch<'_>,
    sub_batch: &SubBatch,
    classified: Classified,
    results: &mut EntryResults,
    refusing: &mut HashSet<String>,
) {
    for (_, entry, outcome) in batch.outcomes(sub_batch, classified) {
        match outcome {
            Some(ItemOutcome::Retry(_) | ItemOutcome::Hold(_)) => {
                refusing.insert(entry.index.clone());
            }
            Some(ItemOutcome::DeadLetter(reason)) => {
                results.insert(entry, EntryResult::Dead(reason));
            }
            _ => results.insert(entry, EntryResult::Taken),
        }
    }
}
