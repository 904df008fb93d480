//! Remembers which indices refuse while others accept, and the share of dead letters.
//!
//! Owns the two decisions that need more than one batch: when an index's lines are parked, and when so many documents
//! are refused for their own fault that the fault must be elsewhere. Refuses to know what is done then. Invariant:
//! lines are parked only if another index accepted recently. It guards against one closed index of an old day that
//! stops a whole site, and against a wrong template that sends a day of lines to the dead letters.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many indices are remembered before inactive ones are forgotten.
const REMEMBERED: usize = 1024;

/// When an outcome was observed: by the clock, and in the order of observations. The order alone distinguishes two
/// items of one response.
#[derive(Debug, Clone, Copy)]
struct Observation {
    at: Instant,
    order: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct IndexState {
    accepted: Option<Observation>,
    refusing_since: Option<Observation>,
}

#[derive(Debug, Default)]
struct Memory {
    indices: HashMap<String, IndexState>,
    order: u64,
}

impl Memory {
    fn now(&mut self) -> Observation {
        self.order += 1;
        Observation {
            at: Instant::now(),
            order: self.order,
        }
    }
}

/// The recent outcomes of each index. The refusals of one response are recorded before its acceptances.
#[derive(Debug)]
pub(crate) struct IndexHealth {
    memory: Mutex<Memory>,
    park_after: Duration,
}

impl IndexHealth {
    pub(crate) fn new(park_after: Duration) -> Self {
        Self {
            memory: Mutex::default(),
            park_after,
        }
    }

    /// An item of this index was accepted.
    pub(crate) fn accepted(&self, index: &str) {
        let mut memory = self.memory();
        let now = memory.now();
        let state = IndexState {
            accepted: Some(now),
            refusing_since: None,
        };
        if let Some(known) = memory.indices.get_mut(index) {
            *known = state;
            return;
        }
        if memory.indices.len() >= REMEMBERED {
            memory.indices.retain(|_, state| {
                state.refusing_since.is_some()
                    || state
                        .accepted
                        .is_some_and(|seen| now.at - seen.at < self.park_after)
            });
        }
        memory.indices.insert(index.to_owned(), state);
    }

    /// An item of this index was refused.
    pub(crate) fn refused(&self, index: &str) {
        let mut memory = self.memory();
        let now = memory.now();
        if let Some(known) = memory.indices.get_mut(index) {
            known.refusing_since.get_or_insert(now);
        } else {
            let state = IndexState {
                accepted: None,
                refusing_since: Some(now),
            };
            memory.indices.insert(index.to_owned(), state);
        }
    }

    /// True when this index's lines are to be parked: it has refused for the whole `park_after`, and another index
    /// accepted since its refusals began. That acceptance must be recent, at most one and a half times `park_after`
    /// ago: when every request waits for this index alone, there is no more recent one, and when the whole cluster has
    /// stopped accepting, parking stops soon after.
    pub(crate) fn parkable(&self, index: &str) -> bool {
        let now = Instant::now();
        let memory = self.memory();
        let Some(since) = memory
            .indices
            .get(index)
            .and_then(|known| known.refusing_since)
        else {
            return false;
        };
        let young = self.park_after * 3 / 2;
        now - since.at >= self.park_after
            && memory.indices.values().any(|other| {
                other.refusing_since.is_none()
                    && other
                        .accepted
                        .is_some_and(|seen| seen.order > since.order && now - seen.at < young)
            })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The share of documents refused for their own fault above which the fault is not theirs: one in twenty.
const DEAD_SHARE: u64 = 20;
/// So many documents of one batch may become dead letters whatever its size; otherwise a batch of one line could never
/// be settled.
const DEAD_IN_BATCH: u64 = 5;
/// So many documents of the window may become dead letters whatever its size.
const DEAD_IN_WINDOW: u64 = 20;
/// Documents after which the window forgets half.
const WINDOW: u64 = 10_000;

/// Counts dead letters over many small batches.
#[derive(Debug, Default)]
pub(crate) struct DeadShare(Mutex<(u64, u64)>);

impl DeadShare {
    /// Whether a batch of `items` may have `dead` dead letters.
    pub(crate) fn allows(&self, items: u64, dead: u64) -> bool {
        let (all, died) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        dead <= (items / DEAD_SHARE).max(DEAD_IN_BATCH)
            && died + dead <= ((all + items) / DEAD_SHARE).max(DEAD_IN_WINDOW)
    }

    /// A batch of `items` is settled, with `dead` dead letters.
    pub(crate) fn settled(&self, items: u64, dead: u64) {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *window = (window.0 + items, window.1 + dead);
        while window.0 > WINDOW {
            *window = (window.0 / 2, window.1 / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(600);
    const SECOND: Duration = Duration::from_secs(1);

    impl IndexHealth {
        fn refused_now(&self, index: &str) -> bool {
            self.refused(index);
            self.parkable(index)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lines_are_parked_only_after_the_time_limit_and_while_others_accept() {
        let index_health = IndexHealth::new(TEN);
        assert!(!index_health.refused_now("old"));
        tokio::time::advance(TEN + SECOND).await;
        assert!(
            !index_health.refused_now("old"),
            "nobody else accepted: the cluster is at fault"
        );
        index_health.accepted("today");
        assert!(index_health.refused_now("old"));
        index_health.accepted("old");
        assert!(!index_health.refused_now("old"), "its time begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_acceptance_of_another_index_does_not_count() {
        let index_health = IndexHealth::new(TEN);
        assert!(!index_health.refused_now("today"));
        index_health.accepted("yesterday");
        tokio::time::advance(TEN).await;
        assert!(index_health.refused_now("today"));
        tokio::time::advance(TEN / 2).await;
        assert!(
            !index_health.refused_now("today"),
            "the cluster has stopped accepting anything"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_acceptance_before_the_first_refusal_does_not_count() {
        let index_health = IndexHealth::new(TEN);
        index_health.accepted("yesterday");
        assert!(!index_health.refused_now("today"));
        tokio::time::advance(TEN).await;
        assert!(
            !index_health.refused_now("today"),
            "since then nobody has accepted anything"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_acceptance_of_an_index_that_refuses_now_does_not_count() {
        let index_health = IndexHealth::new(TEN);
        assert!(!index_health.refused_now("a"));
        index_health.accepted("b");
        assert!(!index_health.refused_now("b"));
        tokio::time::advance(TEN).await;
        assert!(!index_health.refused_now("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn inactive_indices_are_forgotten_beyond_a_limit() {
        let index_health = IndexHealth::new(TEN);
        assert!(!index_health.refused_now("refusing"));
        for day in 0..5 * REMEMBERED {
            index_health.accepted(&format!("day-{day}"));
            tokio::time::advance(SECOND).await;
        }
        assert!(index_health.memory().indices.len() <= REMEMBERED + 1);
        assert!(index_health.memory().indices.contains_key("refusing"));
    }

    #[test]
    fn one_in_twenty_may_be_a_dead_letter_and_a_few_in_a_small_batch() {
        let share = DeadShare::default();
        assert!(share.allows(1, 1));
        assert!(share.allows(100, 5) && !share.allows(100, 6));
        assert!(!share.allows(1000, 51));
        share.settled(100_000, 0);
        assert!(share.allows(1000, 50) && !share.allows(1000, 51));
    }

    #[test]
    fn a_slow_stream_of_dead_letters_is_noticed() {
        let share = DeadShare::default();
        let mut dead = 0;
        while share.allows(1, 1) {
            share.settled(1, 1);
            dead += 1;
            assert!(dead <= DEAD_IN_WINDOW);
        }
        assert_eq!(dead, DEAD_IN_WINDOW);
    }
}
