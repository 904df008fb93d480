//! One running agent: the rooms built from one configuration, at work until stopped.
//!
//! Owns building and taking apart. A reload is a stop and a start in the same process: positions are saved,
//! the telemetry stays, and the log files are the queue meanwhile. Invariant: while an agent runs, nobody else
//! works on its state directory.

mod seen_formats;
mod settings;

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::clock::SystemClock;
use crate::config::{Config, ConfigErrors};
use crate::output::elasticsearch::{Elasticsearch, OutputError};
use crate::output::gate::Gate;
use crate::pipeline::{Ended, Reader, Stop};
use crate::record::{Doubt, Recorder};
use crate::tail::fs::HostFs;
use crate::tail::watch::Watcher;
use crate::tail::{TailError, Tailer};
use crate::telemetry::Telemetry;

pub use seen_formats::seen as seen_formats;
pub use settings::logs as log_settings;
pub use settings::output as output_settings;

/// How this run differs from the configured one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mode {
    /// Read what is there, have it settled, and end.
    pub once: bool,
    /// Do not ask for the index template.
    pub no_template_check: bool,
}

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
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

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    /// The host that identities and records carry: the one of the first start in this state directory.
    pub host: String,
    /// How it is told to stop.
    pub stop: Stop,
    /// Where its records go.
    pub gate: Arc<Gate>,
    ended: oneshot::Receiver<Ended>,
}

impl Agent {
    /// Builds the rooms and starts the reader. Deliveries run on `runtime`; `doubt` tells whether the formats of
    /// `config` are still those of nginx.
    pub fn start(
        config: &Config,
        mode: Mode,
        doubt: Doubt,
        telemetry: &Telemetry,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        let cluster = config.ready_to_run()?;
        let clock = SystemClock::new();
        let output = Elasticsearch::connect(settings::output(config, cluster))?;
        let tailer = Tailer::open(settings::tail(config, cluster), HostFs, clock)?;
        let host = tailer.host().to_owned();
        // the tailer holds the lock: nobody else writes in the state directory
        let mut config = config.clone();
        seen_formats::join(&mut config);
        let watcher = Watcher::new(settings::poll(&config, tailer.dirs_to_watch()));
        let stop = Stop::new(watcher.waker());
        let _inside = runtime.enter();
        let gate = if mode.no_template_check {
            Gate::open(output)
        } else {
            Gate::until_template(output, cluster.target.clone(), stop.abort.clone())
        };
        let reader = Reader::new(
            settings::pipeline(&config, cluster, mode.once),
            tailer,
            watcher,
            Recorder::new(settings::record(&config, cluster, &host)).with_doubt(doubt),
            Arc::clone(&gate),
            runtime.clone(),
            telemetry.clone(),
            clock,
            stop.clone(),
        );
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || end.send(reader.run()))
            .map_err(StartError::Thread)?;
        Ok(Self {
            host,
            stop,
            gate,
            ended,
        })
    }

    /// Waits for the end. A reader that died without a word counts as broken.
    pub async fn ended(&mut self) -> Ended {
        (&mut self.ended).await.unwrap_or(Ended::Broken)
    }
}
