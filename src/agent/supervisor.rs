//! The supervisor: which agent runs when, from the start of `logweir run` to its end.
//!
//! Owns the order of events: a stop reads and delivers what there is, for as long as the output takes something, and a second
//! stop ends at once; a reload replaces the agent, and a configuration that is wrong or does not start leaves the old one at work; an agent
//! that worked is started again until it starts. Refuses to know how signals arrive, how files are read and what an
//! agent consists of: these are the traits of `ports`. Invariant: at most one agent runs, and what it leaves goes to the
//! next one.
//!
//! A change of nginx.conf, of an OpenAPI document or of a database is a reload without a signal: a new log, format or API
//! must not need an operator. logweir's own file is read at a reload by signal only: whoever edits it chooses the moment.

#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::announce;
use super::changes::Change;
use super::liveness::Liveness;
use super::ports::{
    AgentFactory, ConfigChanges, ConfigSource, Notice, OutputHealth, Requests, RunningAgent,
    ServiceManager, WatchedConfig,
};
use super::signals::Request;
use super::{End, StartError};
use crate::config::{Config, Destination, Loaded};
use crate::pipeline::Ended;
use crate::record::StaleFormats;
use crate::telemetry::Telemetry;

/// How often an agent that worked before a reload is started again.
const START_AGAIN: Duration = Duration::from_secs(5);

/// How long a stop waits for an output that has trouble and takes nothing.
const HOPELESS: Duration = Duration::from_secs(1);

/// How often a stop checks whether the output takes something.
const LOOK: Duration = Duration::from_millis(100);

type Carried<F> = <<F as AgentFactory>::Agent as RunningAgent>::Carried;

/// Starts agents one after the other until one ends for good.
pub(super) struct Supervisor<R, C, F: AgentFactory> {
    requests: R,
    configs: C,
    agents: F,
    manager: Box<dyn ServiceManager>,
    liveness: Liveness,
    telemetry: Telemetry,
    /// The state carried over from the last agent.
    carried: Carried<F>,
    /// When the output must have taken everything.
    deadline: Option<Instant>,
    timed_out: bool,
}

/// What happens after an agent.
enum Next<W> {
    End(End),
    Restart(Box<WatchedConfig<W>>),
}

/// An event while an agent works.
enum Event<S> {
    /// The agent has ended with this result.
    Ended(Ended, S),
    /// The output has responded, or the wait for its response is over.
    FirstAnswer,
    /// A signal requests something.
    Asked(Request),
    /// It is time to check the progress of a stop.
    Look,
    /// It is time to tell the service manager how the agent stands.
    Report,
    /// A file of the configuration has changed.
    Changed(Change),
    /// The deadline has passed.
    TimeUp,
}

impl<R: Requests, C: ConfigSource, F: AgentFactory> Supervisor<R, C, F> {
    /// Nothing is started yet; `timeout` begins now.
    pub(super) fn new(
        requests: R,
        configs: C,
        agents: F,
        manager: Box<dyn ServiceManager>,
        telemetry: Telemetry,
        timeout: Option<Duration>,
    ) -> Self {
        Self {
            requests,
            configs,
            agents,
            manager,
            liveness: Liveness::new(),
            telemetry,
            carried: Carried::<F>::default(),
            deadline: timeout.map(|limit| Instant::now() + limit),
            timed_out: false,
        }
    }

    /// Runs agents, the first one with `first`, until one ends for good.
    ///
    /// # Errors
    ///
    /// The first agent does not start.
    pub(super) async fn run(mut self, first: WatchedConfig<C::Changes>) -> Result<End, StartError> {
        let mut loaded = first.loaded;
        let mut changes = Arc::new(first.changes);
        let mut previous = None;
        let mut has_worked = false;
        loop {
            let asked = Arc::clone(&changes);
            let stale = StaleFormats::new(move || asked.are_there());
            let started = self.agents.start(&loaded, stale, &mut self.carried);
            let agent = match (started, previous.take()) {
                (Ok(agent), _) => agent,
                // Some problems appear only at a start; they must not end an agent that worked.
                (Err(error), Some(old)) => {
                    self.count_reload("refused");
                    tracing::warn!(
                        error = announce::one_line(&error.to_string()),
                        "the new configuration does not start; the old one stays"
                    );
                    loaded = old;
                    continue;
                }
                // Without the reload the agent would still run, and a full or unreadable disk may recover.
                (Err(error), None) if has_worked => {
                    tracing::warn!(
                        error = announce::one_line(&error.to_string()),
                        "the agent does not start again; it is tried every few seconds"
                    );
                    self.manager.tell(&Notice::Works(format!(
                        "the agent does not start again: {error}"
                    )));
                    match tokio::time::timeout(START_AGAIN, self.requests.next()).await {
                        Ok(Request::Stop) => {
                            self.manager.tell(&Notice::Stopping);
                            tracing::info!("stopped: nothing was read since the agent ended");
                            return Ok(End {
                                ended: Ended::Settled,
                                timed_out: self.timed_out,
                            });
                        }
                        Ok(Request::Reload) => {
                            if let Some(new) = self.reload("SIGHUP", &loaded, false) {
                                loaded = new.loaded;
                                changes = Arc::new(new.changes);
                            }
                        }
                        Err(_) => {}
                    }
                    continue;
                }
                (Err(error), None) => return Err(error),
            };
            has_worked = true;
            self.manager.tell(&Notice::Ready);
            match self.supervise(agent, &loaded, &changes).await {
                Next::End(end) => return Ok(end),
                Next::Restart(new) => {
                    previous = Some(std::mem::replace(&mut loaded, new.loaded));
                    // The old agent uses the old watch until it ends, so the watch is replaced only now: the change
                    // that a line waits for must not be forgotten earlier.
                    changes = Arc::new(new.changes);
                }
            }
        }
    }

    /// Lets an agent work until it ends or is to be replaced; `changes` are those since its configuration, `loaded`,
    /// was read.
    async fn supervise(
        &mut self,
        mut agent: F::Agent,
        loaded: &Loaded,
        changes: &C::Changes,
    ) -> Next<C::Changes> {
        let host = agent.host().to_owned();
        let output = agent.output();
        let mut first_answer = pin!(announce::first_answer(&*output));
        let mut is_announced = false;
        // The configuration of the next agent, once there is to be one.
        let mut restart = None;
        // A stop was requested. The drain before a restart is not a stop: requests are still obeyed.
        let mut stopping = false;
        let mut progress: Option<Progress> = None;
        let interval = self.manager.interval();
        let mut report_at = interval.map(|_| Instant::now());
        loop {
            let event = tokio::select! {
                (ended, carried) = agent.ended() => Event::Ended(ended, carried),
                () = &mut first_answer, if !is_announced => Event::FirstAnswer,
                request = self.requests.next() => Event::Asked(request),
                () = tokio::time::sleep(LOOK), if progress.is_some() => Event::Look,
                () = at(report_at) => Event::Report,
                change = changes.next(), if restart.is_none() && !stopping => Event::Changed(change),
                () = at(self.deadline), if !self.timed_out => Event::TimeUp,
            };
            let (why, marks) = match event {
                Event::Ended(ended, carried) => {
                    self.carried = carried;
                    if !is_announced {
                        announce::started(&loaded.config, &host, &output.status());
                    }
                    return match restart {
                        Some(new) if ended != Ended::Broken && !self.timed_out => {
                            Next::Restart(new)
                        }
                        _ => {
                            if !stopping {
                                self.manager.tell(&Notice::Stopping);
                            }
                            let timed_out = self.timed_out;
                            let end = End { ended, timed_out };
                            announce::stopped(end, &self.telemetry.snapshot());
                            Next::End(end)
                        }
                    };
                }
                Event::FirstAnswer => {
                    is_announced = true;
                    announce::started(&loaded.config, &host, &output.status());
                    continue;
                }
                Event::Asked(Request::Stop) if stopping => {
                    tracing::warn!(
                        "stopping at once; lines in flight are read again at the next start"
                    );
                    agent.abort();
                    continue;
                }
                Event::Asked(Request::Stop) => {
                    tracing::info!(
                        "stopping after the delivery of what the logs contain; a second signal stops at once"
                    );
                    self.manager.tell(&Notice::Stopping);
                    stopping = true;
                    restart = None;
                    // An output that waits for a template, or for its first response, takes nothing.
                    if output.status().waits_for.is_none() {
                        agent.finish();
                        progress = Some(Progress::new(&*output));
                    } else {
                        agent.hand_back();
                    }
                    continue;
                }
                Event::Look => {
                    let is_hopeless = |progress: &mut Progress| progress.is_hopeless(&*output);
                    if progress.as_mut().is_some_and(is_hopeless) {
                        progress = None;
                        tracing::info!(
                            "the output accepts nothing; lines in flight are read again later"
                        );
                        agent.hand_back();
                    }
                    continue;
                }
                Event::Report => {
                    self.report(&loaded.config, &*output);
                    agent.wake();
                    report_at = interval.map(|interval| Instant::now() + interval);
                    continue;
                }
                Event::TimeUp => {
                    self.timed_out = true;
                    tracing::warn!(
                        "the time limit (--timeout) is over: not everything was read and accepted by the output"
                    );
                    agent.abort();
                    continue;
                }
                Event::Asked(Request::Reload) if stopping => continue,
                Event::Asked(Request::Reload) => ("SIGHUP", None),
                Event::Changed(change) => (change.what, Some(change.marks)),
            };
            match (self.reload(why, loaded, marks.is_some()), marks) {
                (Some(new), _) => {
                    restart = Some(new);
                    // The new configuration may repair an output that takes nothing, so it must not wait for that output.
                    if output.status().takes_nothing {
                        agent.hand_back();
                    } else {
                        agent.drain();
                        progress = Some(Progress::new(&*output));
                    }
                }
                (None, Some(marks)) => changes.accept(marks),
                (None, None) => {}
            }
        }
    }

    /// Tells the service manager how the agent stands; that it works only if something moves, or waits for a known reason.
    fn report(&mut self, config: &Config, output: &(impl OutputHealth + ?Sized)) {
        let (snapshot, state) = (self.telemetry.snapshot(), output.status());
        let (turns, in_flight) = (self.telemetry.turns(), snapshot.accounts.in_flight);
        let stalled = self
            .liveness
            .look(turns, in_flight, &state, time_of_delivery(config));
        let status = announce::status_line(&snapshot, &state, stalled.as_deref());
        self.manager.tell(&match stalled {
            None => Notice::Works(status),
            Some(reason) => {
                tracing::warn!("{reason}; the service manager restarts the agent if that lasts");
                Notice::Stalled(status)
            }
        });
    }

    /// Reads the configuration again, or only follows what others change; `None` when the old one stays.
    fn reload(
        &self,
        why: &str,
        old: &Loaded,
        follow: bool,
    ) -> Option<Box<WatchedConfig<C::Changes>>> {
        self.manager.tell(&Notice::Reloading);
        let read = match follow {
            true => self.configs.follow(old),
            false => self.configs.read(),
        };
        let read = read.and_then(|read| read.loaded.config.ready_to_run().map(|()| read));
        self.count_reload(if read.is_ok() { "taken" } else { "refused" });
        match read {
            Ok(new) => {
                for note in &new.loaded.notes {
                    if !old.notes.contains(note) {
                        tracing::warn!("{note}");
                    }
                }
                tracing::info!("{why}: continuing with the new configuration");
                Some(Box::new(new))
            }
            Err(errors) => {
                announce::refused(why, &errors);
                self.manager.tell(&Notice::Ready);
                None
            }
        }
    }

    fn count_reload(&self, result: &'static str) {
        self.telemetry
            .update(|book| *book.reloads.entry(result).or_default() += 1);
    }
}

/// How long the settings let a line wait for its batch and a request for its response.
fn time_of_delivery(config: &Config) -> Duration {
    match config.destination() {
        Destination::Cluster(cluster) => cluster.request_timeout + config.batches.flush_interval,
        Destination::Store(_) => Duration::ZERO,
    }
}

/// Whether an agent that stops still delivers something.
struct Progress {
    settled: u64,
    at: Instant,
}

impl Progress {
    fn new(output: &(impl OutputHealth + ?Sized)) -> Self {
        Self {
            settled: output.status().settled,
            at: Instant::now(),
        }
    }

    /// True when the output has had trouble for [`HOPELESS`] and took nothing meanwhile. One that has never answered
    /// counts as in trouble, since it may not exist. A cluster that is slow is not in trouble: it is waited for as long
    /// as the settings say.
    fn is_hopeless(&mut self, output: &(impl OutputHealth + ?Sized)) -> bool {
        let status = output.status();
        let in_trouble = status.takes_nothing || !status.has_answered;
        if status.settled != self.settled || !in_trouble {
            *self = Self::new(output);
        }
        self.at.elapsed() >= HOPELESS
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
