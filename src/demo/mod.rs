//! The demo: a site that is visited, an agent that indexes its log into a store, and what the store answers each second.
//!
//! Owns the order of events. Refuses to know how they are shown. Invariant: at the end it compares what is in the store with
//! what was written, line by line; nothing is left on disk unless it is asked for.

mod chance;
mod child;
mod site;
mod tally;
mod traffic;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use logweir_store::StoreError;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::clock::Clock;
use child::AgentProcess;
use site::{PARTS, Site};

/// When the demo ends, the agent may take as long as it gets on: a line that is still missing when it has indexed nothing
/// for so long is lost.
const STANDSTILL: Duration = Duration::from_secs(30);
/// How often the store is looked at while it catches up.
const LOOK: Duration = Duration::from_millis(200);

/// What is demonstrated.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// How much past is there at the start.
    pub(crate) history: Duration,
    /// How long the site is visited; until a signal without it.
    pub(crate) duration: Option<Duration>,
    /// Leave the directory.
    pub(crate) keep: bool,
    /// This program.
    pub(crate) program: PathBuf,
    /// Where the directory is made.
    pub(crate) parent: PathBuf,
}

/// What is going on.
#[derive(Debug)]
pub(crate) enum Scene<'s> {
    /// Everything is set up; the agent runs as this process.
    Started { directory: &'s Path, agent: u32 },
    /// The log of the past is written.
    WritingPast { day: usize, days: usize, lines: u64 },
    /// The past is indexed: so many of so many lines.
    IndexingPast { indexed: u64, lines: u64 },
    /// Another second of the site.
    Second(View<'s>),
}

/// The site after a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'s> {
    /// The store.
    pub(crate) store: &'s Path,
    /// The time, in seconds since 1970.
    pub(crate) second: i64,
    /// Lines written since the start, the past included.
    pub(crate) lines: u64,
    /// Agents that were killed and replaced.
    pub(crate) restarts: u32,
    /// The agent's process.
    pub(crate) agent: u32,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Lines written.
    pub(crate) lines: u64,
    /// Lines without a document.
    pub(crate) lost: u64,
    /// Documents beyond the first of their line.
    pub(crate) doubled: u64,
    /// Agents that were killed and replaced.
    pub(crate) restarts: u32,
}

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// Its directory, or its logs.
    #[error("cannot write the demo's logs: {0}")]
    Site(#[source] io::Error),
    /// Its agent.
    #[error("cannot run the agent: {0}")]
    Agent(#[source] io::Error),
    /// Its store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Signals.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] io::Error),
}

/// Runs the demo; `show` gets each scene.
///
/// # Errors
///
/// See [`DemoError`]; the directory is removed then too, unless it is to be kept.
pub(crate) async fn run(
    options: &Options,
    clock: &dyn Clock,
    show: &mut dyn FnMut(Scene<'_>),
) -> Result<Summary, DemoError> {
    let mut stop = Stop::new().map_err(DemoError::Signals)?;
    let now = clock.unix_millis().div_euclid(1000);
    let site = Site::new(&options.parent, std::process::id(), options.keep, now);
    let mut site = site.map_err(DemoError::Site)?;
    let has_past =
        !options.history.is_zero() && write_past(&mut site, options, now, &mut stop, show).await?;
    let log = site.directory().join("agent.log");
    let agent = AgentProcess::start(options.program.clone(), site.config(), log);
    let mut agent = agent.map_err(DemoError::Agent)?;
    show(Scene::Started {
        directory: site.directory(),
        agent: agent.pid(),
    });
    if has_past {
        index_past(&site, &mut agent, &mut stop, show).await?;
    }
    visit(
        &mut site,
        &mut agent,
        options.duration,
        clock,
        &mut stop,
        show,
    )
    .await?;
    // What was written last takes a moment; an agent that was killed has to start first.
    let (mut seen, mut changed) = (documents(&site), Instant::now());
    while seen < site.lines && changed.elapsed() < STANDSTILL {
        agent.keep_alive().map_err(DemoError::Agent)?;
        sleep(LOOK).await;
        let now_seen = documents(&site);
        if now_seen != seen {
            (seen, changed) = (now_seen, Instant::now());
        }
    }
    let restarts = agent.restarts;
    agent.stop().map_err(DemoError::Agent)?;
    let tally = tally::count(&site.store())?;
    Ok(Summary {
        lines: site.lines,
        lost: site.lines.saturating_sub(tally.documents - tally.doubled),
        doubled: tally.doubled,
        restarts,
    })
}

/// Writes the log of each past day; true unless a signal came.
async fn write_past(
    site: &mut Site,
    options: &Options,
    now: i64,
    stop: &mut Stop,
    show: &mut dyn FnMut(Scene<'_>),
) -> Result<bool, DemoError> {
    let seconds = i64::try_from(options.history.as_secs()).unwrap_or(i64::MAX);
    let days = site::past_days(now, seconds);
    let count = days.len();
    for (day, (first, end, days_ago)) in days.into_iter().enumerate() {
        let day = day + 1;
        site.write_past_day(first, end, days_ago, |lines| {
            let days = count;
            show(Scene::WritingPast { day, days, lines });
        })
        .map_err(DemoError::Site)?;
        if stop.came().await {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Waits until the past is in the store.
async fn index_past(
    site: &Site,
    agent: &mut AgentProcess,
    stop: &mut Stop,
    show: &mut dyn FnMut(Scene<'_>),
) -> Result<(), DemoError> {
    loop {
        let indexed = documents(site);
        let lines = site.lines;
        show(Scene::IndexingPast { indexed, lines });
        if indexed >= lines || stop.came().await {
            return Ok(());
        }
        agent.keep_alive().map_err(DemoError::Agent)?;
        sleep(LOOK).await;
    }
}

/// Writes each second's lines in that second, and shows what the store has.
async fn visit(
    site: &mut Site,
    agent: &mut AgentProcess,
    duration: Option<Duration>,
    clock: &dyn Clock,
    stop: &mut Stop,
    show: &mut dyn FnMut(Scene<'_>),
) -> Result<(), DemoError> {
    let part_time = Duration::from_secs(1) / u32::try_from(PARTS).unwrap_or(1);
    let mut parts = interval(part_time);
    parts.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = duration.map(|duration| Instant::now() + duration);
    let store = site.store();
    while end.is_none_or(|end| Instant::now() < end) {
        let second = clock.unix_millis().div_euclid(1000);
        site.begin_second(second);
        for part in 0..PARTS {
            tokio::select! {
                _ = parts.tick() => {}
                () = stop.signal() => return Ok(()),
            }
            site.write_part(part).map_err(DemoError::Site)?;
        }
        agent.keep_alive().map_err(DemoError::Agent)?;
        show(Scene::Second(View {
            store: &store,
            second,
            lines: site.lines,
            restarts: agent.restarts,
            agent: agent.pid(),
        }));
    }
    Ok(())
}

/// Documents in the store so far; none while it is not there.
fn documents(site: &Site) -> u64 {
    tally::documents(&site.store()).unwrap_or(0)
}

/// SIGINT and SIGTERM end the demo in good order.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    has_come: bool,
}

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            has_come: false,
        })
    }

    /// Returns when a signal has come.
    async fn signal(&mut self) {
        if !self.has_come {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
            self.has_come = true;
        }
    }

    /// Whether a signal has come by now.
    async fn came(&mut self) -> bool {
        tokio::select! {
            () = self.signal() => true,
            () = tokio::task::yield_now() => false,
        }
    }
}
