//! Whether the pipeline moves, or waits for a reason that is known.
//!
//! Owns the judgement behind the watchdog's sign of life. Refuses to know who asks, and what follows. Invariant: an output
//! that is unreachable, slow or refuses is a known reason, since a restart repairs none of it; a reader whose loop makes no
//! turn, and a delivery that neither ends nor reports trouble, are not.

use std::time::Duration;

use tokio::time::Instant;

use super::ports::OutputState;

/// How long a delivery may take that reports no trouble, beyond the time that the settings allow.
const DELIVERY_LIMIT: Duration = Duration::from_secs(300);

/// What moved until the last look.
pub(super) struct Liveness {
    turns: Option<u64>,
    turned_at: Instant,
    settled: u64,
    /// When lines were last settled, or there were none, or the output had trouble.
    settled_at: Instant,
}

impl Liveness {
    /// Nothing is known yet.
    pub(super) fn new() -> Self {
        Self {
            turns: None,
            turned_at: Instant::now(),
            settled: 0,
            settled_at: Instant::now(),
        }
    }

    /// Why nothing moves, if so. `turns` is the count of the reader's turns, which is woken after each look; `in_flight` are
    /// the lines that are not settled; a delivery takes up to `allowed` by the settings.
    pub(super) fn look(
        &mut self,
        turns: u64,
        in_flight: u64,
        output: &OutputState,
        allowed: Duration,
    ) -> Option<String> {
        let now = Instant::now();
        if self.turns.replace(turns) != Some(turns) {
            self.turned_at = now;
        }
        if in_flight == 0 || output.takes_nothing || output.settled != self.settled {
            self.settled = output.settled;
            self.settled_at = now;
        }
        let (silent, waited) = (now - self.turned_at, now - self.settled_at);
        if !silent.is_zero() {
            Some(format!(
                "the reader has not moved for {} s",
                silent.as_secs()
            ))
        } else if waited > DELIVERY_LIMIT + allowed {
            Some(format!(
                "{in_flight} lines are in delivery, of which none was settled for {} s, and no reason is known",
                waited.as_secs()
            ))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_secs(30);

    fn output(settled: u64, takes_nothing: bool) -> OutputState {
        OutputState {
            target: "a test".to_owned(),
            waits_for: None,
            takes_nothing,
            has_answered: true,
            settled,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_without_a_turn_since_the_last_look_does_not_move() {
        let mut liveness = Liveness::new();
        let mut look = |turns| liveness.look(turns, 0, &output(0, false), STEP);
        assert_eq!(look(5), None);
        tokio::time::advance(STEP).await;
        assert_eq!(look(6), None);
        tokio::time::advance(STEP).await;
        let stalled = look(6);
        assert_eq!(
            stalled.as_deref(),
            Some("the reader has not moved for 30 s")
        );
        tokio::time::advance(STEP).await;
        assert_eq!(look(7), None);
    }

    /// Looks for an hour, with a reader that turns and `output` at each look; returns the number of looks without a sign of
    /// life.
    async fn stalls(in_flight: u64, output: impl Fn(u64) -> OutputState) -> usize {
        let mut liveness = Liveness::new();
        let mut stalls = 0;
        for turn in 0..120 {
            tokio::time::advance(STEP).await;
            stalls += usize::from(
                liveness
                    .look(turn, in_flight, &output(turn), STEP)
                    .is_some(),
            );
        }
        stalls
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_that_neither_ends_nor_reports_trouble_does_not_move() {
        // eleven looks are within the 330 s
        assert_eq!(stalls(9, |_| output(4, false)).await, 120 - 12);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_known_reason_counts_as_moving() {
        assert_eq!(stalls(9, |_| output(4, true)).await, 0, "it is unreachable");
        assert_eq!(stalls(0, |_| output(4, false)).await, 0, "it is idle");
        assert_eq!(
            stalls(9, |turn| output(turn / 10, false)).await,
            0,
            "it is slow"
        );
    }
}
