//! `logweir run`: start, serve the pages, obey signals, end with the right code.
//!
//! SIGTERM and SIGINT drain, a second one stops at once; SIGHUP reads the configuration again and goes on
//! with the old one if the new one is wrong. A change of nginx.conf is like a SIGHUP: a new log or a new
//! format must not need a hand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Common, Exit, RunArgs, load, logging};
use crate::agent::{Agent, Mode, StartError};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Loaded};
use crate::output::gate::{Gate, Standing};
use crate::pipeline::Ended;
use crate::tail::TailError;
use crate::telemetry::Telemetry;
use crate::web::{self, Delivery, View};

/// How often nginx.conf is looked at for a change.
const NGINX_CONF_INTERVAL: Duration = Duration::from_secs(5);
/// Threads that send and serve; reading and encoding have their own.
const WORKERS: usize = 2;

pub(super) fn run(common: &Common, args: &RunArgs) -> Exit {
    let loaded = match load::load(common) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    logging::init(&loaded.config);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return Exit::Internal;
        }
    };
    let exit = runtime.block_on(Supervisor::new(common, args).run(loaded));
    // what a second signal left behind is not waited for
    runtime.shutdown_background();
    exit
}

struct Supervisor<'a> {
    common: &'a Common,
    args: &'a RunArgs,
    telemetry: Telemetry,
    /// The agent that pages speak of.
    shown: Arc<Mutex<Option<(String, Arc<Gate>)>>>,
}

/// Why the supervisor looks up.
enum Call {
    Stop,
    Reload,
    Ended(Ended),
    TimedOut,
}

impl<'a> Supervisor<'a> {
    fn new(common: &'a Common, args: &'a RunArgs) -> Self {
        Self { common, args, telemetry: Telemetry::default(), shown: Arc::default() }
    }

    async fn run(self, mut loaded: Loaded) -> Exit {
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!(%error, "cannot listen for signals");
                return Exit::Internal;
            }
        };
        // a run that ends by itself may stand beside a live agent, which has the address
        if !self.args.once
            && let Err(exit) = self.serve(&loaded.config).await
        {
            return exit;
        }
        let deadline = self.args.timeout.map(|limit| tokio::time::Instant::now() + limit);
        loop {
            let mut agent = match self.start(&loaded.config) {
                Ok(agent) => agent,
                Err(exit) => return exit,
            };
            let call = loop {
                match signals.next(&mut agent, &loaded, deadline).await {
                    Call::Reload => match load::reload(self.common, &loaded) {
                        Some(new) => break Reload(new)
                        None => continue,
                    },
                    call => break call,
                }
            };
        }
    }
}
