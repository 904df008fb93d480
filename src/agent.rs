//! One running agent: the rooms built from one configuration, at work until stopped.
//!
//! Owns building and taking apart. A reload is a stop and a start in the same process: positions are saved,
//! the telemetry stays, and the log files are the queue meanwhile. Invariant: while an agent runs, nobody else
//! works on its state directory.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::output::elasticsearch::{Elasticsearch, OutputError};
use crate::output::gate::Gate;
use crate::pipeline::{self, Ended, Reader, Stop};
use crate::record::{self, Recorder};
use crate::tail::watch::Watcher;
use crate::tail::{self, TailError, Tailer, fs::RealFileSystem};
use crate::telemetry::Telemetry;

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
    /// No `[elasticsearch]`.
    #[error(
        "there is nowhere to send records to: add\n\n    [elasticsearch]\n    nodes = [\"https://localhost:9200\"]\n\n\
         to the configuration, or set LOGWEIR_ELASTICSEARCH_NODES"
    )]
    NoOutput,
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
    /// Builds the rooms and starts the reader. Deliveries run on `runtime`.
    pub fn start(
        config: &Config,
        mode: Mode,
        telemetry: &Telemetry,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        let clock = SystemClock::new();
        let cluster = config.elasticsearch.as_ref().ok_or(StartError::NoOutput)?;
        let output = Elasticsearch::connect(cluster.output.clone())?;
        let tailer = Tailer::open(config.tail(), RealFileSystem::new(), clock)?;
        let host = tailer.host().to_owned();
        let watcher = Watcher::new(config.poll);
        let stop = Stop::new(watcher.waker());
        let _inside = runtime.enter();
        let gate = if mode.no_template_check {
            Gate::open(output)
        } else {
            let template = cluster.index.template().to_owned();
            Gate::until_template(output, template, stop.abort.clone())
        };
        let reader = Reader::new(
            config.pipeline(mode.once),
            tailer,
            watcher,
            Recorder::new(config.record(&host)),
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
        Ok(Self { host, stop, gate, ended })
    }

    /// Waits for the end. A reader that died without a word counts as broken.
    pub async fn ended(&mut self) -> Ended {
        (&mut self.ended).await.unwrap_or(Ended::Broken)
    }
}
