//! Holds deliveries back until the cluster has the index template.
//!
//! Without the template the first document would make an index whose fields have guessed types, and no later
//! template mends that. Invariant: nothing passes before the template is there, or the operator said not to
//! ask, or the cluster does not let us ask. While it waits nothing is lost: batches wait, reading stops, and
//! the tailer keeps hold of its files.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::elasticsearch::{Elasticsearch, State, TemplateState};
use super::{Batch, Delivery, Output};
use crate::config::Target;

/// How often the cluster is asked again for a missing template.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How often a cluster that does not answer is asked again.
const KNOCK_AGAIN: Duration = Duration::from_secs(5);

/// Until the first answer.
const ASKING: &str = "asking the cluster for its index template";
/// How often a closed gate is told again while somebody may sit before the terminal, and how often after that.
const REMIND_SOON: Duration = Duration::from_secs(30);
const REMIND: Duration = Duration::from_secs(600);

/// When a closed gate is told again.
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

    /// For how long it has been closed, when that is to be told now.
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
pub struct Gate {
    output: Arc<Elasticsearch>,
    standing: watch::Sender<Standing>,
}

/// How the gate stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Deliveries pass.
    Open,
    /// They wait; the words say for what.
    Closed(String),
}

impl Gate {
    /// A gate that is open from the start.
    pub fn open(output: Arc<Elasticsearch>) -> Arc<Self> {
        Arc::new(Self {
            output,
            standing: watch::Sender::new(Standing::Open),
        })
    }

    /// A gate that opens when the cluster has the index template of `target`; it asks until `stop` is
    /// cancelled. Must be called on a tokio runtime.
    pub fn until_template(
        output: Arc<Elasticsearch>,
        target: Target,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let asking = Standing::Closed(ASKING.to_owned());
        let gate = Arc::new(Self {
            output,
            standing: watch::Sender::new(asking),
        });
        let asked = Arc::clone(&gate);
        tokio::spawn(async move {
            tokio::select! {
                () = asked.ask(&target) => {}
                () = stop.cancelled() => {}
            }
        });
        gate
    }

    /// Returns when the cluster was asked once, with whatever answer.
    pub async fn has_asked(&self) {
        let mut standing = self.standing.subscribe();
        let asking = Standing::Closed(ASKING.to_owned());
        // the sender lives in `self`, so waiting cannot fail
        let _ = standing.wait_for(|standing| *standing != asking).await;
    }

    /// Why nothing is sent; `None` while it is sent, and until the cluster was asked once.
    pub fn problem(&self) -> Option<String> {
        match self.standing() {
            Standing::Closed(reason) if reason != ASKING => Some(reason),
            _ => None,
        }
    }

    /// How the gate stands now.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Whether it takes nothing at present: it is closed, or the cluster away or refusing.
    pub fn takes_nothing(&self) -> bool {
        self.standing() != Standing::Open || self.output.state() != State::Delivering
    }

    /// The output behind it.
    pub fn output(&self) -> &Arc<Elasticsearch> {
        &self.output
    }

    async fn ask(&self, target: &Target) {
        let template = target.template();
        let for_stream = target.stream().is_some();
        let mut reminder = Reminder::new();
        loop {
            let (word, pause) = match self.output.check_template(&template, for_stream).await {
                TemplateState::Present => break,
                TemplateState::Unknown(reason) => {
                    tracing::warn!(
                        "cannot ask whether the index template {template} is there ({reason}); going on. \
                         `logweir setup` puts it; --no-template-check spares the question"
                    );
                    break;
                }
                TemplateState::Missing => (
                    format!(
                        "the cluster has no index template {template}: run `logweir setup` with the same \
                         configuration; nothing is sent until then, and nothing is lost"
                    ),
                    ASK_AGAIN,
                ),
                TemplateState::NotForStreams => (
                    format!(
                        "the cluster's index template {template} makes no data streams: run `logweir setup` with \
                         the same configuration; nothing is sent until then, and nothing is lost"
                    ),
                    ASK_AGAIN,
                ),
                TemplateState::Unreachable(reason) => (
                    format!("the cluster gives no usable answer: {reason}"),
                    KNOCK_AGAIN,
                ),
            };
            let closed = Standing::Closed(word.clone());
            let is_new = self.standing.send_replace(closed.clone()) != closed;
            if is_new {
                tracing::warn!("{word}");
            } else if let Some(closed) = reminder.due() {
                tracing::warn!(
                    seconds = closed.as_secs(),
                    has_answered = self.output.has_answered(),
                    "nothing has been sent since the start, and nothing is lost: {word}"
                );
            }
            tokio::time::sleep(pause).await;
        }
        self.standing.send_replace(Standing::Open);
    }
}

impl Output for Gate {
    async fn deliver(&self, batch: Batch, stop: &CancellationToken) -> Delivery {
        let mut standing = self.standing.subscribe();
        tokio::select! {
            // the sender lives in `self`, so waiting cannot fail
            _ = standing.wait_for(|standing| *standing == Standing::Open) => {}
            () = stop.cancelled() => {
                return Delivery { batch, tally: super::Tally::default(), settled: false };
            }
        }
        self.output.deliver(batch, stop).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_is_told_again_every_thirty_seconds_and_after_ten_minutes_seldom() {
        let mut reminder = Reminder::new();
        let mut told = Vec::new();
        for _ in 0..(45 * 12) {
            tokio::time::advance(KNOCK_AGAIN).await;
            told.extend(reminder.due().map(|closed| closed.as_secs()));
        }
        let often = (1..=20).map(|time| 30 * time);
        let expected: Vec<u64> = often.chain([1200, 1800, 2400]).collect();
        assert_eq!(told, expected);
    }
}
