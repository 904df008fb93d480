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
/// How often it is said what is waited for.
const SAY_AGAIN: Duration = Duration::from_secs(30);
/// How often a cluster that does not answer is asked again.
const KNOCK_AGAIN: Duration = Duration::from_secs(5);

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
        let asking = Standing::Closed("asking the cluster for its index template".to_owned());
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
        let mut told = Told(None);
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
            if told.is_due(is_new) {
                tracing::warn!("{word}");
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

/// When it was said last what is waited for.
struct Told(Option<Instant>);

impl Told {
    /// Whether it is to be said now: it is new, or was said long ago.
    fn is_due(&mut self, is_new: bool) -> bool {
        let is_due = is_new || self.0.is_none_or(|told| told.elapsed() >= SAY_AGAIN);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_is_said_every_thirty_seconds() {
        let mut told = Told(None);
        let mut said = Vec::new();
        for second in 0..100 {
            // What is new at 7 s is said at once.
            if told.is_due(second == 7) {
                said.push(second);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(said, [0, 7, 37, 67, 97]);
    }
}
