//! Logs a repeated message at most once a minute.
//!
//! Owns the rate of repeated log lines; refuses to know their text. Invariant: suppressed messages are counted, and
//! the next message reports their number. It guards against a log that fills the disk during an outage.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(60);

/// The throttle of one kind of message.
#[derive(Debug, Default)]
pub(crate) struct LogThrottle(Mutex<(Option<Instant>, u64)>);

impl LogThrottle {
    /// The number of suppressed messages when one may be logged now, `None` otherwise.
    pub(crate) fn due(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.0.is_some_and(|last| now - last < EVERY) {
            state.1 += 1;
            return None;
        }
        let suppressed = state.1;
        *state = (Some(now), 0);
        Some(suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_message_is_logged_once_a_minute_with_the_number_suppressed() {
        let log_throttle = LogThrottle::default();
        assert_eq!(log_throttle.due(), Some(0));
        assert_eq!((log_throttle.due(), log_throttle.due()), (None, None));
        tokio::time::advance(EVERY).await;
        assert_eq!(log_throttle.due(), Some(2));
        tokio::time::advance(EVERY).await;
        assert_eq!(log_throttle.due(), Some(0));
    }
}
