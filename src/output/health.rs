//! How delivery is doing.
//!
//! Owns the states that `/status` shows and the rule which of several problems is shown. Refuses to know their causes.
//! Invariant: a problem ends with the delivery that has it. It guards against an agent that holds delivery while nobody can
//! see why.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How delivery is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Nothing is sent yet.
    Waiting {
        /// What is missing, and how to get it.
        reason: String,
    },
    /// Documents are delivered.
    Delivering,
    /// Delivery is retried; nobody needs to act.
    Retrying {
        /// Since when, in milliseconds since the Unix epoch.
        since_unix_millis: i64,
        /// The other side's response, or what failed.
        reason: String,
    },
    /// Delivery waits until an operator acts.
    Holding {
        /// Since when, in milliseconds since the Unix epoch.
        since_unix_millis: i64,
        /// The other side's response.
        reason: String,
        /// What to do.
        hint: String,
    },
}

impl Health {
    fn since(&self) -> i64 {
        match self {
            Self::Waiting { .. } | Self::Delivering => i64::MAX,
            Self::Retrying {
                since_unix_millis, ..
            }
            | Self::Holding {
                since_unix_millis, ..
            } => *since_unix_millis,
        }
    }
}

/// The problems of the deliveries under way.
#[derive(Debug, Default)]
pub(crate) struct HealthTracker {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Health>>,
}

impl HealthTracker {
    pub(crate) fn guard(&self) -> HealthGuard<'_> {
        HealthGuard {
            tracker: self,
            number: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The worst problem; among equal ones the oldest.
    pub(crate) fn health(&self) -> Health {
        self.open()
            .values()
            .min_by_key(|state| (!matches!(state, Health::Holding { .. }), state.since()))
            .cloned()
            .unwrap_or(Health::Delivering)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Health>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The problem of one delivery; dropping it ends the problem.
#[derive(Debug)]
pub(crate) struct HealthGuard<'t> {
    tracker: &'t HealthTracker,
    number: u64,
}

impl HealthGuard<'_> {
    pub(crate) fn retrying(&self, now_unix_millis: i64, reason: String) {
        let since_unix_millis = self.since(now_unix_millis);
        self.set(Health::Retrying {
            since_unix_millis,
            reason,
        });
    }

    pub(crate) fn holding(&self, now_unix_millis: i64, reason: String, hint: String) {
        let since_unix_millis = self.since(now_unix_millis);
        self.set(Health::Holding {
            since_unix_millis,
            reason,
            hint,
        });
    }

    pub(crate) fn recovered(&self) {
        self.tracker.open().remove(&self.number);
    }

    fn since(&self, now: i64) -> i64 {
        self.tracker
            .open()
            .get(&self.number)
            .map_or(now, Health::since)
    }

    fn set(&self, state: Health) {
        self.tracker.open().insert(self.number, state);
    }
}

impl Drop for HealthGuard<'_> {
    fn drop(&mut self) {
        self.recovered();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_and_oldest_problem_is_shown() {
        let tracker = HealthTracker::default();
        let (a, b, c) = (tracker.guard(), tracker.guard(), tracker.guard());
        assert_eq!(tracker.health(), Health::Delivering);
        a.retrying(10, "busy".into());
        b.holding(30, "closed".into(), "open it".into());
        c.holding(20, "full".into(), "free it".into());
        assert!(matches!(
            tracker.health(),
            Health::Holding {
                since_unix_millis: 20,
                ..
            }
        ));
        c.holding(99, "still full".into(), "free it".into());
        assert!(matches!(
            tracker.health(),
            Health::Holding {
                since_unix_millis: 20,
                ..
            }
        ));
        drop(c);
        b.recovered();
        assert!(matches!(
            tracker.health(),
            Health::Retrying {
                since_unix_millis: 10,
                ..
            }
        ));
        drop(a);
        assert_eq!(tracker.health(), Health::Delivering);
    }
}
