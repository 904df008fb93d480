//! One batch through an output, and what the output acknowledged.

use std::sync::mpsc::sync_channel;

use logweir::config::{IndexPattern, IndexTarget};
use logweir::event::{Batch, OutcomeCounts};
use logweir::output::{Ack, BatchOutcome, Output};
use tokio_util::sync::CancellationToken;

/// A delivery that is over.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) batch: Batch,
    pub(crate) counts: OutcomeCounts,
    /// The batch was acknowledged.
    pub(crate) settled: bool,
}

/// Delivers a batch until it is acknowledged or given up.
pub(crate) async fn deliver(
    output: &impl Output,
    batch: Batch,
    stop: &CancellationToken,
) -> Delivery {
    let (report, outcome) = sync_channel(1);
    let ack = Ack::new(move |outcome| report.send(outcome).unwrap());
    let batch = output.deliver(batch, ack, stop).await;
    let (counts, settled) = match outcome.recv().unwrap() {
        BatchOutcome::Durable(counts) => (counts, true),
        BatchOutcome::Released => (OutcomeCounts::default(), false),
    };
    Delivery {
        batch,
        counts,
        settled,
    }
}

/// Indices of a day each.
pub(crate) fn daily() -> IndexTarget {
    IndexPattern::parse("nginx-access-%Y.%m.%d").unwrap().into()
}
