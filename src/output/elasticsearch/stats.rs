//! The counters of this output.
//!
//! Owns the counters of requests; refuses to count lines (the acknowledgement of each batch does). Invariant: counters
//! only grow, and gauges are zero when no request is in flight.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::classify::RetryReason;

/// Upper bounds of the request histogram's buckets, in seconds; one more bucket has no bound.
pub(super) const SECONDS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

const STATUSES: usize = 600;

/// Counters of this output.
#[derive(Debug)]
pub struct Stats {
    requests: [AtomicU64; STATUSES],
    buckets: [AtomicU64; SECONDS.len() + 1],
    nanos: AtomicU64,
    retries: [AtomicU64; RetryReason::ALL.len()],
    sent_bytes: AtomicU64,
    in_flight: AtomicU64,
    in_flight_bytes: AtomicU64,
    unparked: AtomicU64,
    settled: AtomicU64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            requests: std::array::from_fn(|_| AtomicU64::new(0)),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            nanos: AtomicU64::new(0),
            retries: std::array::from_fn(|_| AtomicU64::new(0)),
            sent_bytes: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            in_flight_bytes: AtomicU64::new(0),
            unparked: AtomicU64::new(0),
            settled: AtomicU64::new(0),
        }
    }
}

impl Stats {
    /// Bulk requests by HTTP status, for those that occurred; status 0 is a request without a complete response.
    pub fn requests(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        (0u16..).zip(&self.requests).filter_map(|(status, count)| {
            let count = count.load(Ordering::Relaxed);
            (count > 0).then_some((status, count))
        })
    }

    /// Requests by how long they took (not cumulative): up to 5 ms, then up to longer times, the last without a bound.
    pub(crate) fn request_buckets(&self) -> [u64; SECONDS.len() + 1] {
        std::array::from_fn(|at| {
            self.buckets
                .get(at)
                .map_or(0, |n| n.load(Ordering::Relaxed))
        })
    }

    /// Time spent in all requests.
    pub(crate) fn request_time(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    /// Documents that were resent, by reason.
    pub fn retries(&self) -> impl Iterator<Item = (RetryReason, u64)> + '_ {
        RetryReason::ALL
            .into_iter()
            .zip(self.retries.iter().map(|n| n.load(Ordering::Relaxed)))
    }

    /// Bytes of all bodies, as sent (compressed where gzip is on).
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    /// Requests under way.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Bytes of the bodies under way, as sent.
    pub(crate) fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes.load(Ordering::Relaxed)
    }

    /// Parked documents that were accepted later.
    pub(crate) fn unparked(&self) -> u64 {
        self.unparked.load(Ordering::Relaxed)
    }

    /// Documents of live batches that the cluster has, or will never have, counted as soon as the response shows it.
    pub(crate) fn settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }

    pub(crate) fn settled_more(&self, documents: u64) {
        self.settled.fetch_add(documents, Ordering::Relaxed);
    }

    pub(crate) fn retried(&self, reason: RetryReason, documents: usize) {
        if let Some(count) = self.retries.get(reason.index()) {
            count.fetch_add(documents as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn unparked_more(&self, documents: u64) {
        self.unparked.fetch_add(documents, Ordering::Relaxed);
    }

    pub(crate) fn begin(&self, bytes: usize) -> RequestInFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.in_flight_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        RequestInFlight {
            stats: self,
            bytes: bytes as u64,
        }
    }
}

/// A request in flight; dropping it ends it.
#[derive(Debug)]
pub(crate) struct RequestInFlight<'s> {
    stats: &'s Stats,
    bytes: u64,
}

impl RequestInFlight<'_> {
    /// It ended with this status, 0 without one.
    pub(crate) fn end(self, status: u16, took: Duration) {
        let stats = self.stats;
        if let Some(count) = stats.requests.get(usize::from(status)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let bucket = SECONDS
            .iter()
            .position(|bound| took.as_secs_f64() <= *bound);
        if let Some(count) = stats.buckets.get(bucket.unwrap_or(SECONDS.len())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        stats.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Drop for RequestInFlight<'_> {
    fn drop(&mut self) {
        self.stats.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.stats
            .in_flight_bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_status_and_time_and_gauges_return_to_zero() {
        let stats = Stats::default();
        stats.begin(100).end(200, Duration::from_millis(7));
        stats.begin(50).end(200, Duration::from_secs(100));
        let open = stats.begin(7);
        assert_eq!((stats.in_flight(), stats.in_flight_bytes()), (1, 7));
        drop(open);
        assert_eq!((stats.in_flight(), stats.in_flight_bytes()), (0, 0));
        assert_eq!(stats.requests().collect::<Vec<_>>(), [(200, 2)]);
        assert_eq!(stats.sent_bytes(), 157);
        let buckets = stats.request_buckets();
        assert_eq!((buckets[1], buckets[SECONDS.len()]), (1, 1));
    }
}
