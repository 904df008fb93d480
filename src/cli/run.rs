//! `logweir run`: start, serve the pages, obey signals, end with the right code.
//!
//! SIGTERM and SIGINT drain for as long as the output takes something, a second one stops at once; SIGHUP reads the
//! configuration again and goes on with the old one if the new one is wrong. A change of nginx.conf, of an OpenAPI document or a database is taken
//! without: a new log, format or API must not need a hand. logweir's own file is read at a SIGHUP only; who edits
//! it chooses the moment.

use std::fs::File;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::changes::Changes;
use super::signals::{Order, Signals};
use super::terminal::complain;
use super::{Common, Exit, RunArgs, announce, logging, read};
use crate::agent::{self, Agent, Legacy, Mode, StartError, descriptors};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, ConfigErrors, Env as _, Loaded};
use crate::output::gate::GateStatus;
use crate::output::{Health, OutputStatus};
use crate::pipeline::Ended;
use crate::record::Doubt;
use crate::tail::fs::HostFs;
use crate::tail::{Leaves, LogFile, TailError, survey};
use crate::telemetry::Telemetry;
use crate::web::{self, Hosts, Pages, View};

/// Threads that send and serve; reading and encoding have their own.
const WORKERS: usize = 2;

/// How often an agent that worked before a reload is started again.
const START_AGAIN: Duration = Duration::from_secs(5);

/// A stop waits no longer than this for an output that has trouble and takes nothing meanwhile.
const HOPELESS: Duration = Duration::from_secs(1);

/// How often a stop looks whether the output takes something.
const LOOK: Duration = Duration::from_millis(100);

/// Without so many free descriptors nothing is begun: logs, connections, the state directory, the page.
const DESCRIPTORS: usize = 32;

pub(super) fn run(common: &Common, args: &RunArgs) -> Exit {
    let (loaded, changes) = match read_marked(|| read(common)) {
        Ok(read) => read,
        Err(errors) => {
            complain!("{errors}");
            return Exit::Config;
        }
    };
    logging::init(&loaded.config, args.log_level);
    for note in &loaded.notes {
        tracing::warn!("{note}");
    }
    descriptors::raise();
    let runtime = spare_descriptors().and_then(|()| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build()
    });
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start{}", advice(&error));
            return Exit::Io;
        }
    };
    let exit = runtime.block_on(async {
        let signals = Signals::new().map_err(|error| {
            tracing::error!(%error, "cannot listen for signals{}", advice(&error));
            Exit::Io
        })?;
        let supervisor = Supervisor {
            common,
            args,
            telemetry: Telemetry::default(),
            signals,
            legacy: Legacy::default(),
            deadline: args.timeout.map(|limit| Instant::now() + limit),
            timed_out: false,
        };
        supervisor.run(loaded, changes).await
    });
    // what a second signal left behind is not waited for
    runtime.shutdown_background();
    exit.unwrap_or_else(|exit| exit)
}

struct Supervisor<'a> {
    common: &'a Common,
    args: &'a RunArgs,
    telemetry: Telemetry,
    signals: Signals,
    /// What the last agent left.
    legacy: Legacy,
    /// When the output must have taken everything.
    deadline: Option<Instant>,
    timed_out: bool,
}

/// The agent that the pages speak of.
#[derive(Clone)]
struct Shown {
    host: String,
    output: Arc<dyn GateStatus>,
    /// What its configuration could not read.
    unread: Vec<String>,
}

type SharedShown = Arc<Mutex<Option<Shown>>>;

impl Supervisor<'_> {
    /// Starts agents one after the other until one ends for good.
    async fn run(mut self, mut loaded: Loaded, changes: Changes) -> Result<Exit, Exit> {
        let shown = SharedShown::default();
        // a run that ends by itself may stand beside a live agent, which has the address
        if !self.args.once {
            self.serve(&loaded.config, Arc::clone(&shown)).await?;
        }
        warn_beforehand(&loaded.config);
        let mode = Mode {
            once: self.args.once,
            no_template_check: self.args.no_template_check,
        };
        let mut changes = Arc::new(changes);
        let mut before = None;
        let mut worked = false;
        loop {
            let asked = Arc::clone(&changes);
            let started = Agent::start(
                &loaded.config,
                mode,
                Doubt::new(move || asked.are_there()),
                &self.telemetry,
                &Handle::current(),
                &mut self.legacy,
            );
            let agent = match (started, before.take()) {
                (Ok(agent), _) => agent,
                // what only the start shows must not end an agent that worked
                (Err(error), Some(old)) => {
                    self.count_reload("refused");
                    tracing::warn!(
                        error = announce::one_line(&error.to_string()),
                        "the new configuration does not start; the old one stays"
                    );
                    loaded = old;
                    continue;
                }
                // without the reload it would have gone on: a full or unreadable disk may pass
                (Err(error), None) if worked => {
                    tracing::warn!(
                        error = announce::one_line(&error.to_string()),
                        "the agent does not start again; trying on"
                    );
                    match tokio::time::timeout(START_AGAIN, self.signals.next()).await {
                        Ok(Order::Stop) => {
                            tracing::info!("stopped: nothing was read since the agent ended");
                            return Ok(Exit::Ok);
                        }
                        Ok(Order::Reload) => {
                            if let Some(new) = self.reload("SIGHUP", &loaded, false) {
                                let (new, marked) = *new;
                                (loaded, changes) = (new, Arc::new(marked));
                            }
                        }
                        Err(_) => {}
                    }
                    continue;
                }
                (Err(error), None) => return Err(refused(error)),
            };
            worked = true;
            let unread = loaded.unread.iter().map(ToString::to_string).collect();
            *shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(Shown {
                host: agent.host.clone(),
                output: Arc::clone(&agent.output),
                unread,
            });
            match self.watch_over(agent, &loaded, &changes).await {
                Next::End(exit) => return Ok(exit),
                Next::Restart(new) => {
                    let (new, marked) = *new;
                    before = Some(std::mem::replace(&mut loaded, new));
                    // The old agent asked the old ones to its end: what made it wait must not be forgotten before.
                    changes = Arc::new(marked);
                }
            }
        }
    }

    /// Lets an agent work until it ends, or is to be replaced; `changes` are those since its configuration,
    /// `loaded`, was read.
    async fn watch_over(&mut self, mut agent: Agent, loaded: &Loaded, changes: &Changes) -> Next {
        let (host, output) = (agent.host.clone(), Arc::clone(&agent.output));
        let mut first_answer = pin!(announce::first_answer(&*output));
        let mut is_announced = false;
        let mut restart = None;
        // a drain for a reload is none: what is asked meanwhile is done all the same
        let mut stopping = false;
        let mut progress = None;
        loop {
            let (reload, marks) = tokio::select! {
                (ended, legacy) = agent.ended() => {
                    self.legacy = legacy;
                    if !is_announced {
                        announce::started(&loaded.config, &host, &*output);
                    }
                    return match restart {
                        Some(new) if ended != Ended::Broken && !self.timed_out => Next::Restart(new),
                        _ => {
                            let exit = exit_of(ended, self.timed_out);
                            let is_all = exit == Exit::Ok;
                            announce::stopped(ended, is_all, &self.telemetry.snapshot());
                            Next::End(exit)
                        }
                    };
                }
                () = &mut first_answer, if !is_announced => {
                    is_announced = true;
                    announce::started(&loaded.config, &host, &*output);
                    continue;
                }
                order = self.signals.next() => match order {
                    Order::Reload => ("SIGHUP", None),
                    Order::Stop if stopping => {
                        tracing::warn!(
                            "stopping at once; what is on its way is read again at the next start"
                        );
                        agent.stop.abort();
                        continue;
                    }
                    Order::Stop => {
                        tracing::info!(
                            "stopping: what is on its way arrives first; a second signal stops at once"
                        );
                        stopping = true;
                        restart = None;
                        // behind a closed gate nothing can arrive
                        if !matches!(agent.output.health(), Health::Waiting { .. }) {
                            agent.stop.drain();
                            progress = Some(Progress::new(&*agent.output));
                        } else {
                            agent.stop.hand_back();
                        }
                        continue;
                    }
                },
                () = tokio::time::sleep(LOOK), if progress.is_some() => {
                    if progress.as_mut().is_some_and(|progress| progress.is_hopeless(&*agent.output)) {
                        progress = None;
                        tracing::info!("the output takes nothing; what is on its way is read again later");
                        agent.stop.hand_back();
                    }
                    continue;
                }
                change = changes.next(), if restart.is_none() && !stopping => (change.what, Some(change.marks)),
                () = at(self.deadline), if !self.timed_out => {
                    self.timed_out = true;
                    tracing::warn!("the time is up (--timeout): not everything was read and taken by the output");
                    agent.stop.abort();
                    continue;
                }
            };
            if stopping {
                continue;
            }
            match (self.reload(reload, loaded, marks.is_some()), marks) {
                (Some(new), _) => {
                    restart = Some(new);
                    // the way out of a bad day may well be this configuration: it must not have to wait for it
                    if agent.output.health() != Health::Delivering {
                        agent.stop.hand_back();
                    } else {
                        agent.stop.drain();
                        progress = Some(Progress::new(&*agent.output));
                    }
                }
                (None, Some(marks)) => changes.put_up_with(marks),
                (None, None) => {}
            }
        }
    }

    /// Reads the configuration again, or only `follow`s what others change; `None` when the old one stays.
    fn reload(&self, why: &str, old: &Loaded, follow: bool) -> Option<Box<(Loaded, Changes)>> {
        let again = || match follow {
            true => config::follow(old, &config::System, &config::System),
            false => read(self.common),
        };
        let loaded = read_marked(again)
            .and_then(|read| read.0.config.ready_to_run().map(drop).map(|()| read));
        self.count_reload(if loaded.is_ok() { "taken" } else { "refused" });
        match loaded {
            Ok(loaded) => {
                for note in &loaded.0.notes {
                    if !old.notes.contains(note) {
                        tracing::warn!("{note}");
                    }
                }
                tracing::info!("{why}: going on with the configuration read afresh");
                Some(Box::new(loaded))
            }
            Err(errors) => {
                announce::refused(why, &errors);
                None
            }
        }
    }

    fn count_reload(&self, result: &'static str) {
        self.telemetry
            .update(|book| *book.reloads.entry(result).or_default() += 1);
    }

    async fn serve(&self, config: &Config, shown: SharedShown) -> Result<(), Exit> {
        let listener = web::bind(config.http_listen).await.map_err(|error| {
            tracing::error!(
                "cannot listen on {} ({error}): another agent may run here; set http.listen",
                config.http_listen
            );
            Exit::Config
        })?;
        let (telemetry, clock) = (self.telemetry.clone(), SystemClock::new());
        let started_millis = clock.unix_millis();
        let source = Arc::new(move || {
            let shown = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
            view(&telemetry, shown, started_millis, clock.unix_millis())
        });
        let own = [config::System.host_name(), config.host.clone()];
        let hosts = Hosts::new(own.iter().map(String::as_str), &config.http_allowed_hosts);
        let pages = Pages::new(source, hosts);
        tokio::spawn(web::serve(listener, pages, descriptors::for_http()));
        Ok(())
    }
}

/// Says so when a log has no file, as with a wrong path, and when nothing but habit makes the agent run as root.
fn warn_beforehand(config: &Config) {
    let (logs, rotated_dirs) = agent::log_settings(config);
    // What is wrong with the settings of logs is told by who uses them.
    let Ok(found) = survey(&logs, &rotated_dirs, &agent::link_settings(config), &HostFs) else {
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
    if let Some(advice) = agent::root::needless(paths, &config.data_dir) {
        tracing::warn!("{advice}");
    }
}

/// Reads the configuration, and marks what it depends on.
fn read_marked(
    read: impl Fn() -> Result<Loaded, ConfigErrors>,
) -> Result<(Loaded, Changes), ConfigErrors> {
    let mut marked = Changes::of(&read()?);
    loop {
        // Only what is read after the marks were made cannot be older than they are.
        let loaded = read()?;
        if marked.cover(&loaded) {
            return Ok((loaded, marked));
        }
        marked = Changes::of(&loaded);
    }
}

/// Whether an agent that stops still gets something delivered.
struct Progress {
    settled: u64,
    at: Instant,
}

impl Progress {
    fn new(output: &dyn GateStatus) -> Self {
        Self {
            settled: output.documents_ended(),
            at: Instant::now(),
        }
    }

    /// True when the output has had trouble for [`HOPELESS`] and took nothing meanwhile; one that has never answered counts as
    /// in trouble, since nobody knows that it is there. A cluster that is slow has none: it is waited for as long as
    /// the settings say.
    fn is_hopeless(&mut self, output: &dyn GateStatus) -> bool {
        let settled = output.documents_ended();
        let in_trouble = output.health() != Health::Delivering || !output.has_responded();
        if settled != self.settled || !in_trouble {
            *self = Self::new(output);
        }
        self.at.elapsed() >= HOPELESS
    }
}

/// What follows after an agent.
enum Next {
    End(Exit),
    Restart(Box<(Loaded, Changes)>),
}

fn view(
    telemetry: &Telemetry,
    shown: Option<Shown>,
    started_millis: i64,
    unix_millis: i64,
) -> View {
    let (host, output, mut problems) = match shown {
        Some(shown) => (shown.host, Some(shown.output), shown.unread),
        None => (String::new(), None, Vec::new()),
    };
    problems.extend(output.as_ref().and_then(|output| output.problem()));
    let delivery = match &output {
        Some(output) => output.health(),
        None => Health::Waiting {
            reason: "starting".to_owned(),
        },
    };
    View {
        snapshot: telemetry.snapshot(),
        delivery,
        output: output.map(|output| output as Arc<dyn OutputStatus>),
        host,
        problems,
        unix_millis,
        started_millis,
    }
}

/// Fails where there are too few descriptors to work with; libraries would find that out by a panic.
fn spare_descriptors() -> io::Result<()> {
    let spare: io::Result<Vec<File>> = (0..DESCRIPTORS).map(|_| File::open("/dev/null")).collect();
    spare.map(drop)
}

/// What to do about a system that gives no more descriptors.
fn advice(error: &io::Error) -> &'static str {
    let none_left = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    if none_left.contains(&error.raw_os_error()) {
        "; raise the limit of open files (LimitNOFILE)"
    } else {
        ""
    }
}

/// Says why an agent cannot start.
fn refused(error: StartError) -> Exit {
    match &error {
        StartError::Tail(TailError::State { source, .. }) | StartError::Thread(source) => {
            tracing::error!("{error}{}", advice(source));
        }
        _ => tracing::error!("{error}"),
    }
    match error {
        StartError::Tail(TailError::State { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            Exit::Permission
        }
        StartError::Tail(TailError::State { action: "read", .. }) => Exit::Io,
        StartError::Tail(TailError::State { .. }) => Exit::CannotCreate,
        StartError::Tail(TailError::Locked { .. }) => Exit::Unavailable,
        StartError::Thread(_) => Exit::Io,
        StartError::Tail(_) | StartError::Output(_) | StartError::Config(_) => Exit::Config,
    }
}

fn exit_of(ended: Ended, timed_out: bool) -> Exit {
    match ended {
        // what was sent has arrived, but reading was broken off
        Ended::Settled if timed_out => Exit::Unavailable,
        Ended::Left(_) if timed_out => Exit::Unavailable,
        Ended::Waited => Exit::InputLeft,
        Ended::Settled => Exit::Ok,
        Ended::Left(leaves) => {
            tracing::warn!(
                "not all that is there was read: the warnings above name each file; what is read of it later is \
                 indexed once all the same"
            );
            match leaves {
                Leaves::Damaged => Exit::Data,
                _ => Exit::InputLeft,
            }
        }
        Ended::Released(_) if timed_out => Exit::Unavailable,
        Ended::Released(_) => Exit::Ok,
        Ended::Broken => Exit::Internal,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
