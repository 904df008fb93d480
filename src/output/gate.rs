//! Holds deliveries back until the output is ready.
//!
//! A cluster without our index template creates an index with guessed types from the first document, and no later template
//! corrects that. Invariant: no batch passes before the output reports that it is ready or that its readiness is unknown,
//! unless the operator turned the check off. Nothing is lost meanwhile: batches wait, reading stops, and the tailer keeps
//! its files open.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Ack, Health, Output, OutputStatus, Readiness};
use crate::event::Batch;
use crate::telemetry::MetricSink;

/// How often an output that lacks something is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How often an output that does not respond is asked again.
const KNOCK_AGAIN: Duration = Duration::from_secs(5);

/// The reason until the first response.
const ASKING: &str = "asking the output whether it is ready";
/// How often a closed gate is logged at first, while an operator may watch the terminal, and how often after that.
const REMIND_SOON: Duration = Duration::from_secs(30);
const REMIND: Duration = Duration::from_secs(600);

/// When a closed gate is logged again.
struct Reminder {
    since: Instant,
    next: Instant,
}

impl Reminder {
    fn new() -> Self {
        let since = Instant::now();
        Self {
            since,
            next: since + REMIND_SOON,
        }
    }

    /// For how long it has been closed, if that is to be logged now.
    fn due(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if now < self.next {
            return None;
        }
        let closed = now - self.since;
        self.next = now
            + match closed < REMIND {
                true => REMIND_SOON,
                false => REMIND,
            };
        Some(closed)
    }
}

/// An output behind its gate.
#[derive(Debug)]
pub struct Gate<O> {
    output: Arc<O>,
    state: watch::Sender<GateState>,
}

/// Whether deliveries pass.
#[derive(Debug, Clone, PartialEq, Eq)]
enum GateState {
    Open,
    /// They wait; the text names the reason.
    Closed(String),
}

/// A gate, whatever output is behind it.
pub trait GateStatus: OutputStatus {
    /// Why nothing is sent; `None` while the gate is open, and until the output was asked once.
    fn problem(&self) -> Option<String>;

    /// Returns when the output was asked once, with whatever response.
    fn asked(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

impl<O: Output> Gate<O> {
    /// A gate that is open from the start.
    pub fn open(output: Arc<O>) -> Arc<Self> {
        Arc::new(Self {
            output,
            state: watch::Sender::new(GateState::Open),
        })
    }

    /// A gate that opens when the output is ready; it asks until `stop` is cancelled. Must be called on a tokio runtime.
    pub fn until_ready(output: Arc<O>, stop: CancellationToken) -> Arc<Self> {
        let gate = Arc::new(Self {
            output,
            state: watch::Sender::new(GateState::Closed(ASKING.to_owned())),
        });
        let asked = Arc::clone(&gate);
        tokio::spawn(async move {
            tokio::select! {
                () = asked.ask() => {}
                () = stop.cancelled() => {}
            }
        });
        gate
    }

    async fn ask(&self) {
        let mut reminder = Reminder::new();
        loop {
            let (reason, pause) = match self.output.readiness().await {
                Readiness::Ready => break,
                Readiness::Unknown(reason) => {
                    tracing::warn!("{reason}");
                    break;
                }
                Readiness::Missing(reason) => (reason, ASK_AGAIN),
                Readiness::Unreachable(reason) => (reason, KNOCK_AGAIN),
            };
            let closed = GateState::Closed(reason.clone());
            let is_new = self.state.send_replace(closed.clone()) != closed;
            if is_new {
                tracing::warn!("{reason}");
            } else if let Some(closed) = reminder.due() {
                tracing::warn!(
                    seconds = closed.as_secs(),
                    has_answered = self.output.has_responded(),
                    "nothing has been sent since the start, and nothing is lost: {reason}"
                );
            }
            tokio::time::sleep(pause).await;
        }
        self.state.send_replace(GateState::Open);
    }
}

impl<O: Output> GateStatus for Gate<O> {
    fn problem(&self) -> Option<String> {
        match &*self.state.borrow() {
            GateState::Closed(reason) if reason != ASKING => Some(reason.clone()),
            _ => None,
        }
    }

    fn asked(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut state = self.state.subscribe();
        Box::pin(async move {
            let asking = GateState::Closed(ASKING.to_owned());
            // the sender lives in `self`, so waiting cannot fail
            let _ = state.wait_for(|state| *state != asking).await;
        })
    }
}

impl<O: Output> OutputStatus for Gate<O> {
    fn target(&self) -> String {
        self.output.target()
    }

    fn health(&self) -> Health {
        match &*self.state.borrow() {
            GateState::Closed(reason) => Health::Waiting {
                reason: reason.clone(),
            },
            GateState::Open => self.output.health(),
        }
    }

    fn has_responded(&self) -> bool {
        self.output.has_responded()
    }

    fn documents_ended(&self) -> u64 {
        self.output.documents_ended()
    }

    fn write_metrics(&self, sink: &mut dyn MetricSink) -> fmt::Result {
        self.output.write_metrics(sink)
    }
}

impl<O: Output> Output for Gate<O> {
    type Framing = O::Framing;

    fn framing(&self) -> O::Framing {
        self.output.framing()
    }

    async fn deliver(&self, batch: Batch, ack: Ack, stop: &CancellationToken) -> Batch {
        let mut state = self.state.subscribe();
        tokio::select! {
            // the sender lives in `self`, so waiting cannot fail
            _ = state.wait_for(|state| *state == GateState::Open) => {}
            () = stop.cancelled() => return batch,
        }
        self.output.deliver(batch, ack, stop).await
    }

    async fn readiness(&self) -> Readiness {
        self.output.readiness().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_is_logged_every_thirty_seconds_and_less_often_after_ten_minutes() {
        let mut reminder = Reminder::new();
        let mut logged = Vec::new();
        for _ in 0..(45 * 12) {
            tokio::time::advance(KNOCK_AGAIN).await;
            logged.extend(reminder.due().map(|closed| closed.as_secs()));
        }
        let often = (1..=20).map(|time| 30 * time);
        let expected: Vec<u64> = often.chain([1200, 1800, 2400]).collect();
        assert_eq!(logged, expected);
    }
}
