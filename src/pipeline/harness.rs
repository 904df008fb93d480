//! The agent's pipeline for tests: the real tailer, recorder and reader, with the settings of all three in one place.
//!
//! Owns how a test connects the modules. Refuses to know the script of a test: each test supplies its own file system,
//! clock, waits and output.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use logweir_parsers::{Escape, Format};
use tokio::runtime::{Handle, Runtime};

use super::{Reader, Settings, Stop};
use crate::clock::Clock;
use crate::event::Framing;
use crate::output::Output;
use crate::record::{self, Recorder};
use crate::tail::fs::FileSystem;
use crate::tail::watch::Wait;
use crate::tail::{self, CarriedFiles, TailError, Tailer};
use crate::telemetry::Telemetry;

const SECOND: Duration = Duration::from_secs(1);

/// One host, on which readers run one after the other.
pub(super) struct Harness<F, C> {
    pub(super) fs: F,
    pub(super) clock: C,
    pub(super) tail: tail::Settings,
    pub(super) record: record::Settings,
    pub(super) pipeline: Settings,
}

impl<F: FileSystem, C: Clock + Clone> Harness<F, C> {
    /// A host with one log, whose positions are kept for `output` below `data_dir`.
    pub(super) fn new(fs: F, clock: C, data_dir: &str, log: &str, output: &str) -> Self {
        let tail = tail::Settings {
            data_dir: data_dir.into(),
            read_bytes: 256,
            output: Some(output.to_owned()),
            ..tail::tests::settings(&[log])
        };
        Self {
            fs,
            clock,
            tail,
            record: record::tests::settings(vec![numbered_format()]),
            pipeline: settings(),
        }
    }

    /// Documents and lines older than this expire.
    pub(super) fn retain(&mut self, retention: Option<Duration>) {
        self.tail.retention = retention;
        self.record.retention = retention;
    }

    pub(super) fn tailer(&self, carried: &mut CarriedFiles<F>) -> Result<Tailer<F, C>, TailError> {
        Tailer::open(
            self.tail.clone(),
            self.fs.clone(),
            self.clock.clone(),
            carried,
        )
    }

    /// A reader of this tailer, which delivers to `output` on `runtime`.
    pub(super) fn reader<O: Output, W: Wait>(
        &self,
        tailer: Tailer<F, C>,
        watcher: W,
        output: &Arc<O>,
        runtime: &Handle,
        telemetry: &Telemetry,
        stop: &Stop,
    ) -> Reader<F, C, O, W> {
        Reader::new(
            self.pipeline.clone(),
            tailer,
            watcher,
            Recorder::new(self.record.clone(), output.framing()),
            Arc::clone(output),
            runtime.clone(),
            telemetry.clone(),
            self.clock.clone(),
            stop.clone(),
        )
    }

    /// The number of lines that a reader started now would read: those that are not saved as durable.
    pub(super) fn unsaved(&self) -> usize {
        let tailer = self.tailer(&mut CarriedFiles::default());
        let mut tailer = tailer.map_err(|error| error.to_string()).unwrap();
        let mut lines = 0;
        while let Some(chunk) = tailer.read() {
            lines += memchr::memchr_iter(b'\n', chunk.bytes).count();
        }
        lines
    }
}

/// Small batches, few buffers.
pub(super) fn settings() -> Settings {
    Settings {
        batch_bytes: 4096,
        batch_count: 5,
        flush_interval: SECOND,
        max_in_flight: 2,
        reconcile_interval: 10 * SECOND,
        shutdown_timeout: 5 * SECOND,
        once: false,
    }
}

/// The format of [`numbered_line`].
fn numbered_format() -> Format {
    Format::compile("$msec $my_own", Escape::Default).unwrap()
}

/// A line with its line end, different for each number.
pub(super) fn numbered_line(number: usize) -> String {
    format!("1795406399.{:03} n{number}\n", number % 1000)
}

/// Writes records of lines such as [`numbered_line`].
pub(super) fn recorder<F: Framing>(retention: Option<Duration>, framing: F) -> Recorder<F> {
    let settings = record::Settings {
        retention,
        ..record::tests::settings(vec![numbered_format()])
    };
    Recorder::new(settings, framing)
}

/// A runtime on this thread whose time passes only when everything waits for it.
pub(super) fn paused_runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}
