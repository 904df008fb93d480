//! Limits how many requests are in flight, and when the next may start.
//!
//! Owns the one limit that all deliveries share; refuses to know what is sent. Invariant: after a refusal (of a whole
//! request or of single items) at most one request is in flight until one is accepted completely; each further
//! accepted request raises the limit by one, up to the maximum. It guards against a cluster that is overloaded by
//! retries of what it has just refused.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::http::{Backoff, Jitter};

#[derive(Debug)]
struct State {
    in_flight: usize,
    limit: usize,
    /// No request starts before this time.
    resume_at: Option<Instant>,
    /// Whole requests refused in a row.
    refusals: u32,
}

/// The shared limiter.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimiter {
    state: Mutex<State>,
    changed: Notify,
    max: usize,
    backoff: Backoff,
    jitter: Jitter,
}

/// One request in flight. Dropping it without a result (on a stop) only releases its slot.
#[derive(Debug)]
pub(crate) struct Permit<'p> {
    limiter: &'p ConcurrencyLimiter,
    /// Refusals in a row when it began: two requests that the same fault refuses lengthen the wait once.
    refusals: u32,
}

impl ConcurrencyLimiter {
    pub(crate) fn new(max: usize, backoff: Backoff) -> Self {
        let max = max.max(1);
        Self {
            state: Mutex::new(State {
                in_flight: 0,
                limit: max,
                resume_at: None,
                refusals: 0,
            }),
            changed: Notify::new(),
            max,
            backoff,
            jitter: Jitter::new(),
        }
    }

    /// Waits until a request may start.
    pub(crate) async fn acquire(&self) -> Permit<'_> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let resume_at = {
                let mut state = self.state();
                if state.in_flight < state.limit {
                    match state.resume_at {
                        Some(at) if at > Instant::now() => Some(at),
                        _ => {
                            state.in_flight += 1;
                            return Permit {
                                limiter: self,
                                refusals: state.refusals,
                            };
                        }
                    }
                } else {
                    None
                }
            };
            match resume_at {
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => changed.await,
            }
        }
    }

    /// The wait before refused items are resent.
    pub(crate) fn item_wait(&self, round: u32) -> Duration {
        self.backoff.wait(round, None, &self.jitter)
    }

    /// The wait while the cluster's state does not allow delivery.
    pub(crate) fn slow_wait(&self) -> Duration {
        self.backoff.slow(&self.jitter)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// The cluster took every item.
    pub(crate) fn accepted(self) {
        let mut state = self.limiter.state();
        state.limit = (state.limit + 1).min(self.limiter.max);
        state.refusals = 0;
        state.resume_at = None;
    }

    /// The cluster took a part: it responds, but is overloaded.
    pub(crate) fn partly_refused(self) {
        let mut state = self.limiter.state();
        state.limit = 1;
        state.refusals = 0;
        state.resume_at = None;
    }

    /// The whole request was refused: no request starts until the wait is over.
    pub(crate) fn refused(self, retry_after: Option<Duration>) {
        let limiter = self.limiter;
        let mut state = limiter.state();
        state.limit = 1;
        if state.refusals == self.refusals {
            state.refusals = state.refusals.saturating_add(1);
        }
        let wait = limiter
            .backoff
            .wait(self.refusals, retry_after, &limiter.jitter);
        state.resume_at = state.resume_at.max(Some(Instant::now() + wait));
    }

    /// The cluster's state does not allow it, and an operator must act.
    pub(crate) fn held(self) {
        let mut state = self.limiter.state();
        state.limit = 1;
        let wait = self.limiter.slow_wait();
        state.resume_at = state.resume_at.max(Some(Instant::now() + wait));
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.limiter.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        self.limiter.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_now_or_never::now_or_never;

    /// Polls once.
    mod futures_now_or_never {
        use std::future::Future;
        use std::pin::pin;
        use std::task::{Context, Poll, Waker};

        pub(super) fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
            match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            }
        }
    }

    fn limiter(max: usize) -> ConcurrencyLimiter {
        let backoff = Backoff::try_new(Duration::from_secs(1), Duration::from_secs(8)).unwrap();
        ConcurrencyLimiter::new(max, backoff)
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_item_limits_to_one_request_and_acceptance_raises_the_limit() {
        let limiter = limiter(3);
        let (a, b, c) = (
            limiter.acquire().await,
            limiter.acquire().await,
            limiter.acquire().await,
        );
        assert!(now_or_never(limiter.acquire()).is_none());
        a.partly_refused();
        b.partly_refused();
        assert!(
            now_or_never(limiter.acquire()).is_none(),
            "one is still in flight"
        );
        c.partly_refused();
        let a = now_or_never(limiter.acquire()).unwrap();
        assert!(now_or_never(limiter.acquire()).is_none());
        a.accepted();
        let (a, b) = (
            now_or_never(limiter.acquire()).unwrap(),
            now_or_never(limiter.acquire()).unwrap(),
        );
        assert!(now_or_never(limiter.acquire()).is_none());
        a.accepted();
        b.accepted();
        assert_eq!(limiter.state().limit, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_refused_request_none_starts_before_the_wait_is_over() {
        let limiter = limiter(2);
        let asked = Duration::from_secs(5);
        limiter.acquire().await.refused(Some(asked));
        let before = Instant::now();
        let permit = limiter.acquire().await;
        assert!(before.elapsed() >= asked);
        permit.held();
        let before = Instant::now();
        drop(limiter.acquire().await);
        assert!(before.elapsed() >= Duration::from_secs(4));
    }

    #[tokio::test(start_paused = true)]
    async fn two_requests_refused_by_one_fault_count_once_and_a_dropped_permit_releases_its_slot() {
        let limiter = limiter(2);
        let (a, b) = (limiter.acquire().await, limiter.acquire().await);
        a.refused(None);
        b.refused(None);
        assert_eq!(limiter.state().refusals, 1);
        drop(limiter.acquire().await);
        assert_eq!(limiter.state().in_flight, 0);
        limiter.acquire().await.refused(None);
        assert_eq!(limiter.state().refusals, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_wakes_when_a_slot_becomes_free() {
        let limiter = std::sync::Arc::new(limiter(1));
        let permit = limiter.acquire().await;
        let waiter = tokio::spawn({
            let limiter = limiter.clone();
            async move { limiter.acquire().await.accepted() }
        });
        tokio::task::yield_now().await;
        permit.accepted();
        waiter.await.unwrap();
    }
}
