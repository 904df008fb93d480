//! The acknowledgement of one batch.
//!
//! Owns the rule that a batch ends exactly once. Refuses to know who waits for it. Invariant: an [`Ack`] that is dropped
//! reports [`BatchOutcome::Released`], so that a delivery cannot forget a batch, however it ends.

use crate::event::OutcomeCounts;

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchOutcome {
    /// Every document is durable, or kept in the dead-letter file.
    Durable(OutcomeCounts),
    /// The output gives the batch up: its lines are read again.
    Released,
}

/// The obligation to report how one batch ended.
pub struct Ack {
    report: Option<Box<dyn FnOnce(BatchOutcome) + Send>>,
}

impl Ack {
    /// `report` is called once, on whatever thread the batch ends.
    pub fn new(report: impl FnOnce(BatchOutcome) + Send + 'static) -> Self {
        Self {
            report: Some(Box::new(report)),
        }
    }

    /// Every document of the batch is durable, or kept in the dead-letter file; `counts` add up to their number.
    pub fn durable(mut self, counts: OutcomeCounts) {
        self.end(BatchOutcome::Durable(counts));
    }

    fn end(&mut self, outcome: BatchOutcome) {
        if let Some(report) = self.report.take() {
            report(outcome);
        }
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        self.end(BatchOutcome::Released);
    }
}

impl std::fmt::Debug for Ack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ack")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_batch_ends_exactly_once() {
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let ack = || {
            let outcomes = Arc::clone(&outcomes);
            Ack::new(move |outcome| outcomes.lock().unwrap().push(outcome))
        };
        let counts = OutcomeCounts {
            indexed: 3,
            ..OutcomeCounts::default()
        };
        ack().durable(counts);
        drop(ack());
        assert_eq!(
            *outcomes.lock().unwrap(),
            [BatchOutcome::Durable(counts), BatchOutcome::Released]
        );
    }
}
