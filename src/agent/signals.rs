//! The signals of the process: the meaning of each, and protection against the others.
//!
//! Owns which signals have a meaning. Refuses to know how a request is carried out. Invariant: a signal that programs send
//! to nginx, or that is sent by mistake (by a timer, or with a wrong pid file), does not end the agent; it is logged once
//! and ignored. SIGQUIT and signals of a crash keep their meaning, so that a hung process can be made to dump its core.

use std::io;

use super::ports::Requests;
use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// End.
    Stop,
    /// Read the configuration again.
    Reload,
}

/// Signals that end a process by default, although nobody sends them for that. nginx reopens its logs on SIGUSR1 and
/// starts a new binary on SIGUSR2. SIGXFSZ comes with an error of the write, which is reported. Rust's runtime ignores
/// SIGPIPE.
const IGNORED: [(Number, &str); 8] = [
    (Number::USR1, "SIGUSR1"),
    (Number::USR2, "SIGUSR2"),
    (Number::ALARM, "SIGALRM"),
    (Number::VTALARM, "SIGVTALRM"),
    (Number::PROF, "SIGPROF"),
    (Number::IO, "SIGIO"),
    (Number::POWER, "SIGPWR"),
    (Number::XFSZ, "SIGXFSZ"),
];

/// The requests of signals, by their names.
pub(crate) const MEANINGS: [(&str, &str); 2] = [
    (
        "SIGTERM, SIGINT",
        "Stop: what was read is delivered first, as long as the output takes something. A second one stops at once; what \
         is not delivered is read again at the next start.",
    ),
    (
        "SIGHUP",
        "Read the configuration again, and go on with it. One that is wrong is refused, and the old one stays. Changes of \
         nginx.conf, of OpenAPI documents and of the files of [enrich] are noticed without a signal.",
    ),
];

/// The names of the signals that are ignored.
pub(crate) fn ignored() -> impl Iterator<Item = &'static str> {
    IGNORED.iter().map(|(_, name)| *name)
}

/// The signals of the process.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Listens from now on. Must be called on a tokio runtime.
    pub(super) fn new() -> io::Result<Self> {
        for (number, name) in IGNORED {
            let ignored = signal(SignalKind::from_raw(number.as_raw()))?;
            tokio::spawn(ignore(ignored, name));
        }
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

impl Requests for Signals {
    async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop,
            _ = self.interrupt.recv() => Request::Stop,
            _ = self.hang_up.recv() => Request::Reload,
        }
    }
}

/// Logs the first of these signals, and ignores all.
async fn ignore(mut ignored: Signal, name: &'static str) {
    if ignored.recv().await.is_some() {
        tracing::warn!(
            "{name} is ignored: logweir follows rotations without a signal, SIGHUP reads the configuration again; was \
             this one meant for nginx?"
        );
    }
    while ignored.recv().await.is_some() {}
}
