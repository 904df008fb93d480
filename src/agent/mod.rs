//! One running agent: the modules built from one configuration, at work until stopped; and the supervisor, which decides
//! when an agent starts and stops.
//!
//! Owns building and taking apart, signals and reloads. A reload is a stop and a start in the same process: positions are
//! saved, the telemetry stays, and the log files are the queue meanwhile; what is in no file any more, and what took long
//! to learn, goes from one agent to the next. Refuses to know arguments and exit codes. Invariant: from the first agent to
//! the last nobody else works on the state directory.

mod announce;
mod changes;
pub(crate) mod descriptors;
mod pages;
mod ports;
mod process;
pub(crate) mod root;
mod seen_formats;
mod settings;
pub(crate) mod signals;
mod state_rights;
mod supervisor;

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::DropGuard;

use crate::clock::SystemClock;
use crate::config::{Config, ConfigErrors};
use crate::output::elasticsearch::{Elasticsearch, OutputError};
use crate::output::gate::Gate;
use crate::pipeline::{Ended, Reader, Stop};
use crate::record::{Recorder, StaleFormats};
use crate::tail::fs::HostFs;
use crate::tail::watch::Watcher;
use crate::tail::{Handover, TailError, Tailer};
use crate::telemetry::Telemetry;

pub(crate) use changes::read_watched;
pub(crate) use process::{Options, run};
pub(crate) use seen_formats::seen as seen_formats;
pub(crate) use settings::links as link_settings;
pub(crate) use settings::logs as log_settings;
pub(crate) use settings::output as output_settings;
pub(crate) use state_rights::too_wide as state_too_wide;

/// How this run differs from the configured one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mode {
    /// Read what is there, have it settled, and end.
    pub once: bool,
    /// Do not ask for the index template.
    pub no_template_check: bool,
}

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The state directory or the logs.
    #[error(transparent)]
    Tail(#[from] TailError),
    /// The cluster's settings.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// No logs, or nowhere to send them.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The reader thread.
    #[error("cannot start the reader thread: {0}")]
    Thread(std::io::Error),
}

/// Why `run` cannot start; the cause is in the log.
#[derive(Debug)]
pub(crate) enum RunError {
    /// The system gives no descriptors, threads or signals.
    System,
    /// The address of the pages cannot be had.
    Listen,
    /// The first agent does not start.
    Start(StartError),
}

/// How the last agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// How its pipeline ended.
    pub(crate) ended: Ended,
    /// The time limit ended it.
    pub(crate) timed_out: bool,
}

/// A running agent.
#[derive(Debug)]
pub(crate) struct Agent {
    /// The host that identities and records carry: the one of the first start in this state directory.
    pub host: String,
    /// How it is told to stop.
    pub stop: Stop,
    /// Where its records go.
    pub gate: Arc<Gate>,
    /// The gate asks no more when this goes.
    _asks: DropGuard,
    ended: oneshot::Receiver<(Ended, Handover<HostFs>)>,
}

/// What an agent leaves to the next in the same process; empty before the first.
#[derive(Debug, Default)]
pub(crate) struct CarriedState {
    tail: Handover<HostFs>,
    output: Option<Arc<Elasticsearch>>,
}

impl Agent {
    /// Builds the modules and starts the reader. Deliveries run on `runtime`; `stale` tells whether the formats
    /// of `config` are still those of nginx; `carried` is taken, but left as it was when the agent cannot start for any
    /// other reason than a thread that cannot.
    pub(crate) fn start(
        config: &Config,
        mode: Mode,
        stale: StaleFormats,
        telemetry: &Telemetry,
        runtime: &Handle,
        carried: &mut CarriedState,
    ) -> Result<Self, StartError> {
        let cluster = config.ready_to_run()?;
        let clock = SystemClock::new();
        let output = Elasticsearch::connect_after(
            settings::output(config, cluster),
            carried.output.as_deref(),
        )?;
        let tail = settings::tail(config, cluster);
        let tailer = Tailer::open(tail, HostFs, clock, &mut carried.tail)?;
        let host = tailer.host().to_owned();
        // the tailer holds the lock: nobody else writes in the state directory
        let mut config = config.clone();
        seen_formats::join(&mut config);
        for warning in state_rights::tighten(&config.data_dir) {
            tracing::warn!("{warning}");
        }
        let watcher = Watcher::new(settings::poll(&config, tailer.dirs_to_watch()));
        let stop = Stop::new(watcher.waker());
        let asks = stop.abort.child_token();
        let _inside = runtime.enter();
        let gate = if mode.no_template_check {
            Gate::open(output)
        } else {
            Gate::until_template(output, cluster.target.clone(), asks.clone())
        };
        let reader = Reader::new(
            settings::pipeline(&config, cluster, mode.once),
            tailer,
            watcher,
            Recorder::new(settings::record(&config, cluster, &host)).with_stale_formats(stale),
            Arc::clone(&gate),
            runtime.clone(),
            telemetry.clone(),
            clock,
            stop.clone(),
        );
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || drop(end.send(reader.run())))
            .map_err(StartError::Thread)?;
        *carried = CarriedState::default();
        Ok(Self {
            host,
            stop,
            gate,
            _asks: asks.drop_guard(),
            ended,
        })
    }

    /// Waits for the end. A reader that died without a word counts as broken.
    pub(crate) async fn ended(&mut self) -> (Ended, CarriedState) {
        let (ended, tail) = (&mut self.ended)
            .await
            .unwrap_or_else(|_| (Ended::Broken, Handover::default()));
        let output = Some(Arc::clone(self.gate.output()));
        (ended, CarriedState { tail, output })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::tests::Machine;

    /// After a reload nobody is to knock on the old address with the old credentials for ever.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_agent_that_has_ended_asks_its_cluster_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "data_dir = '{0}/state'\n[[logs]]\npaths = ['{0}/access.log']\nformat = 'combined'\n\
             [elasticsearch]\nnodes = ['http://127.0.0.1:1']\n",
            folder.path().display()
        );
        let config = Machine::default()
            .with(crate::config::DEFAULT_FILE, text)
            .config();
        let mut agent = Agent::start(
            &config,
            Mode::default(),
            StaleFormats::new(|| false),
            &Telemetry::default(),
            &Handle::current(),
            &mut CarriedState::default(),
        )
        .unwrap();
        let gate = Arc::downgrade(&agent.gate);
        agent.stop.hand_back();
        assert_eq!(agent.ended().await.0, Ended::Settled);
        drop(agent);
        let gone = async {
            while gate.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        let minute = std::time::Duration::from_secs(60);
        tokio::time::timeout(minute, gone).await.unwrap();
    }
}
