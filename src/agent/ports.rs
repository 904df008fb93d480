//! The supervisor's interfaces to its surroundings, as small traits.
//!
//! Owns the traits and their implementations for the real output. Refuses to know how signals, files and agents work.
//! Invariant: a test of the supervisor needs no process, no file and no clock of its own.

use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use super::changes::{Change, Marks};
use super::signals::Request;
use crate::config::{ConfigErrors, Loaded};
use crate::output::Health;
use crate::output::gate::GateStatus;
use crate::pipeline::Ended;
use crate::record::StaleFormats;

/// Where requests to the process come from.
pub(super) trait Requests {
    /// Waits for the next request. Cancelling the wait loses none.
    async fn next(&mut self) -> Request;
}

/// A configuration, and the watch on the files that it was read from.
#[derive(Debug)]
pub(crate) struct WatchedConfig<W> {
    /// The configuration.
    pub(crate) loaded: Loaded,
    /// Notices changes of the files since they were read.
    pub(crate) changes: W,
}

/// Reads configurations.
pub(super) trait ConfigSource {
    /// The watch on the files that a configuration was read from.
    type Changes: ConfigChanges;

    /// Reads everything again.
    ///
    /// # Errors
    ///
    /// All problems of the configuration.
    fn read(&self) -> Result<WatchedConfig<Self::Changes>, ConfigErrors>;

    /// Reads again the files that others write (nginx.conf, OpenAPI documents, databases), and keeps the agent's own
    /// settings of `before`.
    ///
    /// # Errors
    ///
    /// All problems of the configuration.
    fn follow(&self, before: &Loaded) -> Result<WatchedConfig<Self::Changes>, ConfigErrors>;
}

/// Notices that the files of a configuration change.
pub(super) trait ConfigChanges: Send + Sync + 'static {
    /// Waits for a change. Cancelling the wait loses none.
    async fn next(&self) -> Change;

    /// Whether there is a change now; then [`ConfigChanges::next`] returns at once.
    fn are_there(&self) -> bool;

    /// Marks these changes as known, because the configuration that they belong to is refused.
    fn accept(&self, marks: Marks);
}

/// Starts agents.
pub(super) trait AgentFactory {
    /// What it starts.
    type Agent: RunningAgent;

    /// Starts an agent with this configuration. It takes the state of the agent before it from `carried`, which stays
    /// unchanged when the agent cannot start.
    ///
    /// # Errors
    ///
    /// Why it cannot start.
    fn start(
        &mut self,
        loaded: &Loaded,
        stale: StaleFormats,
        carried: &mut <Self::Agent as RunningAgent>::Carried,
    ) -> Result<Self::Agent, StartError>;
}

/// A running agent.
pub(super) trait RunningAgent {
    /// The state that it carries to the next agent of the process; the default before the first.
    type Carried: Default;
    /// Where its documents go.
    type Output: OutputHealth + ?Sized;

    /// The host that records carry.
    fn host(&self) -> &str;

    /// Where its documents go; it outlives the agent.
    fn output(&self) -> Arc<Self::Output>;

    /// Reads what the logs contain now, and delivers it, within the time of the settings.
    fn finish(&self);

    /// Stops reading; lines that were read are delivered, within the time of the settings.
    fn drain(&self);

    /// Stops reading; lines that are not delivered yet are read again at the next start.
    fn hand_back(&self);

    /// Stops now, and waits for nothing.
    fn abort(&self);

    /// Makes the reader give a sign of life, even where it sleeps.
    fn wake(&self);

    /// Waits for the end. Cancelling the wait loses nothing.
    async fn ended(&mut self) -> (Ended, Self::Carried);
}

/// The state of an output at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutputState {
    /// Where documents go, for people.
    pub(super) target: String,
    /// Why nothing is sent yet; `None` while documents are sent.
    pub(super) waits_for: Option<String>,
    /// It accepts nothing now: it waits, is unreachable, or refuses.
    pub(super) takes_nothing: bool,
    /// It has responded since the start of the process.
    pub(super) has_answered: bool,
    /// Documents settled since the start of the process.
    pub(super) settled: u64,
}

/// What a service manager is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// An agent works.
    Ready,
    /// The configuration is read again; `Ready` follows.
    Reloading,
    /// The process is about to end.
    Stopping,
    /// The pipeline moves, or waits for a known reason; the text is the status for people.
    Works(String),
    /// The pipeline does not move: no sign of life.
    Stalled(String),
}

/// Who started this process as a service, and watches it.
pub(super) trait ServiceManager {
    /// How often it is told how the agent stands; `None` where nobody listens.
    fn interval(&self) -> Option<Duration>;

    /// Tells it this.
    fn tell(&self, notice: &Notice);
}

/// Reports the state of an output.
pub(super) trait OutputHealth {
    /// Returns when the output was asked for the first time, whatever it responded.
    async fn first_answer(&self);

    /// The state now.
    fn status(&self) -> OutputState;
}

impl OutputHealth for dyn GateStatus {
    async fn first_answer(&self) {
        self.asked().await;
    }

    fn status(&self) -> OutputState {
        let health = self.health();
        OutputState {
            target: self.target(),
            takes_nothing: health != Health::Delivering,
            waits_for: match health {
                Health::Waiting { reason } => Some(reason),
                _ => None,
            },
            has_answered: self.has_responded(),
            settled: self.documents_ended(),
        }
    }
}
