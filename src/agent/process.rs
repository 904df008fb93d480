//! `logweir run` as a process: the runtime, the descriptors, the pages, and the supervisor with real signals, files and
//! agents.
//!
//! Owns the implementations of the supervisor's ports. Refuses to know arguments, exit codes and the order of events.
//! Invariant: every failure is logged here, once; the caller gets only its kind.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, getppid, kill_process};
use tokio::runtime::Handle;

use super::changes::{Changes, read_watched};
use super::pages::{self, CurrentAgent};
use super::ports::{AgentFactory, ConfigSource, RunningAgent, WatchedConfig};
use super::service_manager::Systemd;
use super::signals::Signals;
use super::supervisor::Supervisor;
use super::{Agent, CarriedState, End, Mode, RunError, StartError, descriptors, root};
use crate::config::{self, Config, ConfigErrors, Loaded};
use crate::disk::DiskError;
use crate::output::gate::GateStatus;
use crate::pipeline::Ended;
use crate::record::StaleFormats;
use crate::tail::fs::HostFs;
use crate::tail::{LogFile, TailError, survey};
use crate::telemetry::Telemetry;

/// Threads that send and serve; reading and encoding have their own.
const WORKERS: usize = 2;

/// The free descriptors without which the agent does not start: logs, connections, the state directory, the pages.
const DESCRIPTORS: usize = 32;

/// How often it is checked whether the parent process is there.
const PARENT_CHECK: Duration = Duration::from_millis(500);

/// How this run differs from the configured one, and how long it may take.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// How this run differs from the configured one.
    pub(crate) mode: Mode,
    /// Give up when the output has not taken everything by then.
    pub(crate) timeout: Option<Duration>,
    /// Stop when the process that started this one has ended.
    pub(crate) with_parent: bool,
}

/// Runs agents until one ends for good, the first one with `first`; `read` reads the configuration again.
///
/// # Errors
///
/// The process cannot start. It is logged.
pub(crate) fn run(
    options: Options,
    first: WatchedConfig<Changes>,
    read: impl Fn() -> Result<Loaded, ConfigErrors>,
) -> Result<End, RunError> {
    for note in &first.loaded.notes {
        tracing::warn!("{note}");
    }
    descriptors::raise();
    let runtime = spare_descriptors().and_then(|()| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build()
    });
    let runtime = runtime.map_err(|error| {
        tracing::error!(%error, "cannot start{}", advice(&error));
        RunError::System
    })?;
    let end = runtime.block_on(supervise(options, first, read));
    // tasks that a second signal interrupted are not waited for
    runtime.shutdown_background();
    end
}

async fn supervise(
    options: Options,
    first: WatchedConfig<Changes>,
    read: impl Fn() -> Result<Loaded, ConfigErrors>,
) -> Result<End, RunError> {
    let signals = Signals::new().map_err(|error| {
        tracing::error!(%error, "cannot listen for signals{}", advice(&error));
        RunError::System
    })?;
    if options.with_parent {
        tokio::spawn(stop_with(getppid()));
    }
    let telemetry = Telemetry::default();
    let current = CurrentAgent::default();
    let agents = Agents {
        mode: options.mode,
        telemetry: telemetry.clone(),
        runtime: Handle::current(),
        current: current.clone(),
    };
    let supervisor = Supervisor::new(
        signals,
        ConfigFiles(read),
        agents,
        Box::new(Systemd::from_environment()),
        telemetry.clone(),
        options.timeout,
    );
    let config = &first.loaded.config;
    // a run that ends by itself may be beside a running agent, which has the address
    if !options.mode.once {
        pages::serve(config, telemetry, current).await?;
    }
    for warning in super::lasting(&first.loaded) {
        tracing::warn!("{warning}");
    }
    warn_beforehand(config);
    supervisor.run(first).await.map_err(|error| {
        match &error {
            StartError::Tail(TailError::State(DiskError { source, .. }))
            | StartError::Thread(source) => {
                tracing::error!("{error}{}", advice(source));
            }
            _ => tracing::error!("{error}"),
        }
        RunError::Start(error)
    })
}

/// Stops this process, as by SIGTERM, when it has another parent.
async fn stop_with(parent: Option<Pid>) {
    while getppid() == parent {
        tokio::time::sleep(PARENT_CHECK).await;
    }
    if let Err(error) = kill_process(getpid(), Signal::TERM) {
        tracing::warn!(%error, "cannot stop although the parent process has ended");
    }
}

/// Reads the configuration from files.
struct ConfigFiles<R>(R);

impl<R: Fn() -> Result<Loaded, ConfigErrors>> ConfigSource for ConfigFiles<R> {
    type Changes = Changes;

    fn read(&self) -> Result<WatchedConfig<Changes>, ConfigErrors> {
        read_watched(&self.0)
    }

    fn follow(&self, before: &Loaded) -> Result<WatchedConfig<Changes>, ConfigErrors> {
        read_watched(|| config::follow(before, &config::System, &config::System))
    }
}

/// Starts real agents and shows them on the pages.
struct Agents {
    mode: Mode,
    telemetry: Telemetry,
    runtime: Handle,
    current: CurrentAgent,
}

impl AgentFactory for Agents {
    type Agent = Agent;

    fn start(
        &mut self,
        loaded: &Loaded,
        stale: StaleFormats,
        carried: &mut CarriedState,
    ) -> Result<Agent, StartError> {
        let agent = Agent::start(
            &loaded.config,
            self.mode,
            stale,
            &self.telemetry,
            &self.runtime,
            carried,
        )?;
        self.current.show(&agent, loaded);
        Ok(agent)
    }
}

impl RunningAgent for Agent {
    type Carried = CarriedState;
    type Output = dyn GateStatus;

    fn host(&self) -> &str {
        &self.host
    }

    fn output(&self) -> Arc<dyn GateStatus> {
        Arc::clone(&self.output)
    }

    fn finish(&self) {
        self.stop.finish();
    }

    fn drain(&self) {
        self.stop.drain();
    }

    fn hand_back(&self) {
        self.stop.hand_back();
    }

    fn abort(&self) {
        self.stop.abort();
    }

    fn wake(&self) {
        self.stop.wake();
    }

    async fn ended(&mut self) -> (Ended, CarriedState) {
        Agent::ended(self).await
    }
}

/// Warns about a log without a file, as with a wrong path, and about an agent that runs as root without need.
fn warn_beforehand(config: &Config) {
    let (logs, rotated_dirs) = super::log_settings(config);
    // The agent itself reports what is wrong with the settings of logs.
    let Ok(found) = survey(&logs, &rotated_dirs, &super::link_settings(config), &HostFs) else {
        return;
    };
    for (index, log) in config.logs.iter().enumerate() {
        let is_there = |file: &LogFile| file.live && file.log == index;
        if !found.files.iter().any(is_there) {
            tracing::warn!(
                "no file is there for the log {}; it is followed once there is one; logweir check shows what is found",
                log.paths.join(", ")
            );
        }
    }
    let paths = found.files.iter().map(|file| file.path.as_path());
    if let Some(advice) = root::needless(paths, &config.data_dir) {
        tracing::warn!("{advice}");
    }
}

/// Fails where there are too few descriptors to work with; libraries would panic later.
fn spare_descriptors() -> io::Result<()> {
    let spare: io::Result<Vec<File>> = (0..DESCRIPTORS).map(|_| File::open("/dev/null")).collect();
    spare.map(drop)
}

/// The hint for a system without free descriptors.
fn advice(error: &io::Error) -> &'static str {
    let none_left = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    if none_left.contains(&error.raw_os_error()) {
        "; raise the limit of open files (LimitNOFILE)"
    } else {
        ""
    }
}
