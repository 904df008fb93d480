//! One running agent, which consists of the modules built from one configuration, and the supervisor, which decides when
//! an agent starts and stops.
//!
//! Owns starting and stopping, signals and reloads. A reload is a stop and a start in the same process: positions are
//! saved, the telemetry stays, and the log files are the queue meanwhile. State that is in no file, or took long to learn,
//! is carried from one agent to the next. Refuses to know arguments and exit codes. Invariant: from the first agent to the
//! last no other process works on the state directory.

mod announce;
mod changes;
mod container;
pub(crate) mod descriptors;
mod lasting;
mod liveness;
mod pages;
mod ports;
mod process;
pub(crate) mod root;
mod seen_formats;
mod service_manager;
mod settings;
pub(crate) mod signals;
mod state_rights;
mod supervisor;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use logweir_store::HostDisk;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock::SystemClock;
use crate::config::{
    Config, ConfigErrors, DataStream, Destination, Elasticsearch as ClusterConfig,
    Store as StoreConfig,
};
use crate::http::HttpError;
use crate::output::Output;
use crate::output::console::Console;
use crate::output::elasticsearch::Elasticsearch;
use crate::output::gate::{Gate, GateStatus};
use crate::output::store::{self, OpenError, Store};
use crate::pipeline::{Ended, Reader, Stop};
use crate::record::{Recorder, StaleFormats};
use crate::tail::fs::HostFs;
use crate::tail::watch::Watcher;
use crate::tail::{CarriedFiles, TailError, Tailer, known_outputs};
use crate::telemetry::Telemetry;

pub(crate) use announce::one_line;
pub(crate) use changes::read_watched;
pub(crate) use lasting::warnings as lasting;
pub(crate) use process::{Options, run};
pub(crate) use seen_formats::seen as seen_formats;
pub(crate) use settings::links as link_settings;
pub(crate) use settings::logs as log_settings;
pub(crate) use settings::output as output_settings;
pub(crate) use state_rights::too_wide as state_too_wide;

/// How this run differs from the configured one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mode {
    /// Read and deliver all existing lines, then end.
    pub once: bool,
    /// Do not check the index template.
    pub no_template_check: bool,
    /// Where documents go.
    pub output: OutputChoice,
}

/// Where the documents of a run go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OutputChoice {
    /// To the output of the configuration.
    #[default]
    Configured,
    /// To standard output, one JSON document a line.
    Console,
}

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The state directory or the logs.
    #[error(transparent)]
    Tail(#[from] TailError),
    /// The cluster's settings.
    #[error(transparent)]
    Output(#[from] HttpError),
    /// No logs, or nowhere to send them.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The reader thread.
    #[error("cannot start the reader thread: {0}")]
    Thread(std::io::Error),
    /// The embedded store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// No output is configured, and the state directory belongs to another one.
    #[error(
        "no output is configured, and {} has the positions of {other}: add the section [elasticsearch] again, or a section \
         [store] to index into the embedded store from now on (its logs are then read from their beginning), or name \
         another data_dir",
        data_dir.display()
    )]
    OtherOutput {
        /// The state directory.
        data_dir: PathBuf,
        /// The output whose positions it has.
        other: String,
    },
    /// Standard output.
    #[error("cannot write to standard output: {0}")]
    Console(std::io::Error),
}

/// Why `run` cannot start; the cause is in the log.
#[derive(Debug)]
pub(crate) enum RunError {
    /// The system has no more descriptors, threads or signals.
    System,
    /// The address of the pages cannot be bound.
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
pub(crate) struct Agent {
    /// The host that identities and records carry: the one of the first start in this state directory.
    pub host: String,
    /// Stops it.
    pub stop: Stop,
    /// Its output.
    pub output: Arc<dyn GateStatus>,
    /// The output whose state the next agent's output continues.
    carried: Option<CarriedOutput>,
    /// Dropping this ends the gate's checks.
    _asks: DropGuard,
    ended: oneshot::Receiver<(Ended, CarriedFiles<HostFs>)>,
}

/// The state carried from one agent to the next in the same process; empty before the first.
#[derive(Debug, Default)]
pub(crate) struct CarriedState {
    tail: CarriedFiles<HostFs>,
    output: Option<CarriedOutput>,
}

/// An output with state of its own in memory.
#[derive(Debug, Clone)]
enum CarriedOutput {
    Cluster(Arc<Elasticsearch>),
    Store(Arc<Store>),
}

/// What an agent is built from.
struct Parts<'a> {
    config: &'a Config,
    mode: Mode,
    stale: StaleFormats,
    telemetry: &'a Telemetry,
    runtime: &'a Handle,
    carried: &'a mut CarriedState,
}

/// The properties of an output that the agent needs besides the output itself.
struct OutputTraits {
    /// The output's name in the positions; without a name no positions are kept, and the state directory is not used.
    positions: Option<String>,
    data_stream: Option<DataStream>,
    /// Whether its readiness is checked before the first batch.
    is_asked: bool,
    /// The age from which lines are not indexed.
    retention: Option<Duration>,
    /// The greatest age of a batch, where it is not the configured one.
    flush_interval: Option<Duration>,
    carried: Option<CarriedOutput>,
}

impl Agent {
    /// Builds the modules and starts the reader. Deliveries run on `runtime`; `stale` knows whether the formats of
    /// `config` are still those of nginx; `carried` is taken, but stays unchanged when the agent cannot start, unless the
    /// reader thread is what fails.
    pub(crate) fn start(
        config: &Config,
        mode: Mode,
        stale: StaleFormats,
        telemetry: &Telemetry,
        runtime: &Handle,
        carried: &mut CarriedState,
    ) -> Result<Self, StartError> {
        let parts = Parts {
            config,
            mode,
            stale,
            telemetry,
            runtime,
            carried,
        };
        match mode.output {
            OutputChoice::Configured => match config.destination() {
                Destination::Cluster(cluster) => parts.start_for_cluster(cluster),
                Destination::Store(store) => parts.start_for_store(store),
            },
            OutputChoice::Console => parts.start_for_console(),
        }
    }

    /// Waits for the end. A reader that panicked counts as broken.
    pub(crate) async fn ended(&mut self) -> (Ended, CarriedState) {
        let (ended, tail) = (&mut self.ended)
            .await
            .unwrap_or_else(|_| (Ended::Broken, CarriedFiles::default()));
        let output = self.carried.clone();
        (ended, CarriedState { tail, output })
    }
}

impl Parts<'_> {
    fn start_for_cluster(self, cluster: &ClusterConfig) -> Result<Agent, StartError> {
        self.config.ready_to_run()?;
        let before = match &self.carried.output {
            Some(CarriedOutput::Cluster(before)) => Some(&**before),
            _ => None,
        };
        let output = Elasticsearch::connect_after(
            settings::output(self.config, cluster),
            cluster.target.clone(),
            before,
        )?;
        let traits = OutputTraits {
            positions: Some(cluster.target.output()),
            data_stream: cluster.target.stream().cloned(),
            is_asked: !self.mode.no_template_check,
            retention: self.config.retention,
            flush_interval: None,
            carried: Some(CarriedOutput::Cluster(Arc::clone(&output))),
        };
        self.start(output, traits)
    }

    fn start_for_store(self, config: &StoreConfig) -> Result<Agent, StartError> {
        self.config.ready_to_run()?;
        if !config.is_chosen {
            rule_out_another_output(&self.config.data_dir)?;
        }
        let before = match &self.carried.output {
            Some(CarriedOutput::Store(before)) => Some(before),
            _ => None,
        };
        let _inside = self.runtime.enter();
        let settings = settings::store(config);
        let clock = Arc::new(SystemClock::new());
        let output = Store::open_after(HostDisk, settings, clock, before)?;
        let kept = config.retention;
        let traits = OutputTraits {
            positions: Some(format!("{STORE_POSITIONS}{}", config.path.display())),
            data_stream: None,
            is_asked: false,
            // What the store would remove again is not indexed.
            retention: Some(kept.min(self.config.retention.unwrap_or(kept))),
            flush_interval: Some(store::FLUSH_INTERVAL),
            carried: Some(CarriedOutput::Store(Arc::clone(&output))),
        };
        self.start(output, traits)
    }

    fn start_for_console(self) -> Result<Agent, StartError> {
        self.config.ready_to_run()?;
        let closed = CancellationToken::new();
        let clock = Arc::new(SystemClock::new());
        let output = Console::stdout(closed.clone(), clock).map_err(StartError::Console)?;
        let traits = OutputTraits {
            positions: None,
            data_stream: None,
            is_asked: false,
            retention: self.config.retention,
            flush_interval: None,
            carried: None,
        };
        let runtime = self.runtime.clone();
        let agent = self.start(output, traits)?;
        let stop = agent.stop.clone();
        runtime.spawn(async move {
            closed.cancelled().await;
            tracing::info!("nobody reads standard output any more");
            stop.hand_back();
        });
        Ok(agent)
    }

    /// Builds the modules around the output and starts the reader.
    fn start<O: Output>(self, output: Arc<O>, traits: OutputTraits) -> Result<Agent, StartError> {
        let clock = SystemClock::new();
        let keeps_positions = traits.positions.is_some();
        let tail = settings::tail(self.config, traits.positions, traits.retention);
        let tailer = Tailer::open(tail, HostFs, clock, &mut self.carried.tail)?;
        let host = tailer.host().to_owned();
        let mut config = self.config.clone();
        if keeps_positions {
            // the tailer holds the lock: no other process writes in the state directory
            seen_formats::join(&mut config);
            for warning in state_rights::tighten(&config.data_dir) {
                tracing::warn!("{warning}");
            }
        }
        let watcher = Watcher::new(settings::poll(&config, tailer.dirs_to_watch()));
        let stop = Stop::new(watcher.waker());
        let asks = stop.abort.child_token();
        let _inside = self.runtime.enter();
        let gate = match traits.is_asked {
            true => Gate::until_ready(Arc::clone(&output), asks.clone()),
            false => Gate::open(Arc::clone(&output)),
        };
        let record = settings::record(&config, traits.data_stream, &host, traits.retention);
        let reader = Reader::new(
            settings::pipeline(&config, self.mode.once, traits.flush_interval),
            tailer,
            watcher,
            Recorder::new(record, output.framing()).with_stale_formats(self.stale),
            Arc::clone(&gate),
            self.runtime.clone(),
            self.telemetry.clone(),
            clock,
            stop.clone(),
        );
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || drop(end.send(reader.run())))
            .map_err(StartError::Thread)?;
        *self.carried = CarriedState::default();
        Ok(Agent {
            host,
            stop,
            output: gate,
            carried: traits.carried,
            _asks: asks.drop_guard(),
            ended,
        })
    }
}

/// Beginning of the name of positions in a store; the directory follows.
const STORE_POSITIONS: &str = "store ";

/// A configuration whose output was removed must not silently continue with the default output.
fn rule_out_another_output(data_dir: &Path) -> Result<(), StartError> {
    let outputs = known_outputs(&HostFs, data_dir);
    let is_store = |output: &&String| output.starts_with(STORE_POSITIONS);
    match outputs.first() {
        Some(other) if !outputs.iter().any(|output| is_store(&output)) => {
            Err(StartError::OtherOutput {
                data_dir: data_dir.to_owned(),
                other: other.clone(),
            })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::tests::Machine;

    /// After a reload no task may keep sending requests to the old address with the old credentials.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_ended_agent_sends_no_more_requests() {
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
        let gate = Arc::downgrade(&agent.output);
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
