//! Chooses the node for the next request.
//!
//! Owns the round robin and how long a node is not used after a failure; refuses to know why it failed. Invariant:
//! [`Nodes::pick`] always returns a node; when all are paused, the one whose pause ends first. It guards against every
//! third bulk request waiting for a timeout because one node of three is down.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::backoff::Backoff;

#[derive(Debug, Default, Clone, Copy)]
struct NodeHealth {
    failures: u32,
    paused_until: Option<Instant>,
}

impl NodeHealth {
    fn is_paused(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| until > now)
    }
}

/// The nodes, by number.
#[derive(Debug)]
pub(crate) struct Nodes {
    health: Mutex<Vec<NodeHealth>>,
    turn: AtomicUsize,
    backoff: Backoff,
    has_responded: AtomicBool,
}

impl Nodes {
    pub(crate) fn new(count: usize, backoff: Backoff) -> Self {
        let health = Mutex::new(vec![NodeHealth::default(); count.max(1)]);
        Self {
            health,
            turn: AtomicUsize::new(0),
            backoff,
            has_responded: AtomicBool::new(false),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.health().len()
    }

    /// The next node in turn that is not paused.
    pub(crate) fn pick(&self) -> usize {
        let now = Instant::now();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let health = self.health();
        let count = health.len();
        let in_turn = || (0..count).map(|step| (turn.wrapping_add(step)) % count);
        let until = |node: &usize| health.get(*node).and_then(|h| h.paused_until);
        in_turn()
            .find(|node| health.get(*node).is_some_and(|h| !h.is_paused(now)))
            .or_else(|| in_turn().min_by_key(until))
            .unwrap_or(0)
    }

    /// Whether there is a node that is not paused.
    pub(crate) fn any_available(&self) -> bool {
        let now = Instant::now();
        self.health().iter().any(|node| !node.is_paused(now))
    }

    /// The node did not respond: it is paused, longer each time.
    pub(crate) fn failed(&self, node: usize) {
        if let Some(health) = self.health().get_mut(node) {
            let factor = 2u32.checked_pow(health.failures).unwrap_or(u32::MAX);
            let pause = self
                .backoff
                .min()
                .saturating_mul(factor)
                .min(self.backoff.max());
            health.failures = health.failures.saturating_add(1);
            health.paused_until = Some(Instant::now() + pause);
        }
    }

    /// The node responded, with whatever status.
    pub(crate) fn responded(&self, node: usize) {
        self.has_responded.store(true, Ordering::Relaxed);
        if let Some(health) = self.health().get_mut(node) {
            *health = NodeHealth::default();
        }
    }

    /// Whether any node ever responded.
    pub(crate) fn has_responded(&self) -> bool {
        self.has_responded.load(Ordering::Relaxed)
    }

    /// Takes over whether any node responded to the previous agent of this process.
    pub(crate) fn continue_from(&self, before: &Self) {
        self.has_responded
            .store(before.has_responded(), Ordering::Relaxed);
    }

    fn health(&self) -> std::sync::MutexGuard<'_, Vec<NodeHealth>> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    fn three() -> Nodes {
        let backoff = Backoff::try_new(Duration::from_secs(1), Duration::from_secs(8)).unwrap();
        Nodes::new(3, backoff)
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_node_is_not_used_until_its_pause_ends() {
        let nodes = three();
        assert_eq!(
            [nodes.pick(), nodes.pick(), nodes.pick(), nodes.pick()],
            [0, 1, 2, 0]
        );
        nodes.failed(1);
        let picked: Vec<usize> = (0..6).map(|_| nodes.pick()).collect();
        assert!(!picked.contains(&1), "{picked:?}");
        tokio::time::advance(Duration::from_millis(1001)).await;
        let picked: Vec<usize> = (0..3).map(|_| nodes.pick()).collect();
        assert!(picked.contains(&1), "{picked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_up_to_the_limit() {
        let nodes = three();
        for _ in 0..10 {
            nodes.failed(0);
        }
        tokio::time::advance(Duration::from_millis(7900)).await;
        assert!(!(0..6).map(|_| nodes.pick()).any(|node| node == 0));
        tokio::time::advance(Duration::from_millis(200)).await;
        assert!((0..6).map(|_| nodes.pick()).any(|node| node == 0));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_are_paused_the_one_whose_pause_ends_first_is_picked() {
        let nodes = three();
        nodes.failed(0);
        nodes.failed(0);
        nodes.failed(1);
        nodes.failed(1);
        nodes.failed(2);
        assert!(!nodes.any_available());
        assert_eq!(nodes.pick(), 2);
        nodes.responded(0);
        assert!(nodes.any_available());
        assert_eq!(nodes.pick(), 0);
    }
}
