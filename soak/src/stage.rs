//! The run itself: executes the scheduled events and checks the state all the time.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::{Rlimit, Signal};

use super::NODES;
use super::agent::Agent;
use super::disk::Disk;
use super::line;
use super::output::Output;
use super::proxy::Absence;
use super::report::{Counted, Tally};
use super::rotation::{Meanwhile, Rotations};
use super::schedule::{Event, Tamper};
use super::traffic::Traffic;
use super::writer::Shared;

/// How often everything is checked.
const TICK: Duration = Duration::from_millis(20);
/// An event that comes too early is tried again after this.
const AGAIN: Duration = Duration::from_millis(300);
/// How often the agent is asked for its numbers.
const LOOK: Duration = Duration::from_millis(700);
/// A stop may take this long.
const STOP_WITHIN: Duration = Duration::from_secs(60);
/// The agent has caught up when there was nothing to do for so long: longer than it waits for a rotated file to
/// be quiet, or for a compressed one to be whole, and then looks at the directories.
const QUIET: Duration = Duration::from_secs(22);

/// What happens next.
#[derive(Debug, Clone)]
enum Act {
    Event(Event),
    Start,
    Thaw,
    UnblockState {
        errors: usize,
    },
    UnlimitFiles {
        before: Rlimit,
        said: usize,
    },
    EmptyDisk {
        said: usize,
    },
    Accept {
        before: f64,
    },
    NodesBack {
        first: usize,
        count: usize,
        before: Absence,
    },
    Authorize,
    LiftBlock(&'static str),
    LiftShards,
    OpenDay {
        index: String,
        parked: f64,
    },
}

/// All participants.
pub(super) struct Stage<'a> {
    pub(super) agent: Agent,
    pub(super) output: Output,
    pub(super) traffic: Traffic,
    pub(super) disk: Option<Disk>,
    pub(super) tally: Arc<Tally>,
    pub(super) writers: Arc<Shared>,
    pub(super) start: Instant,
    pub(super) rotations: Rotations<'a>,
    pub(super) identity_checks: u64,
    pub(super) parked: Counted,
    pub(super) unparked: Counted,
    pub(super) commits: Counted,
    pub(super) merges: Counted,
    /// Documents that could not be sent for want of a connection.
    refused: Counted,
    /// What went wrong.
    pub(super) wrong: Vec<String>,
    due: Vec<Reverse<(Duration, u64)>>,
    acts: BTreeMap<u64, Act>,
    next: u64,
    /// When SIGTERM was sent, and how long the agent stays away.
    stopping: Option<(Duration, Duration)>,
    frozen: bool,
    /// How many seconds the agent's clock is ahead.
    ahead: i64,
    looked: Duration,
    quiet_since: Option<Duration>,
}

impl<'a> Stage<'a> {
    #[allow(clippy::too_many_arguments, reason = "each is somebody who takes part")]
    pub(super) fn new(
        agent: Agent,
        output: Output,
        traffic: Traffic,
        disk: Option<Disk>,
        tally: Arc<Tally>,
        writers: Arc<Shared>,
        rotations: Rotations<'a>,
    ) -> Self {
        Self {
            agent,
            output,
            traffic,
            disk,
            tally,
            writers,
            start: Instant::now(),
            rotations,
            identity_checks: 0,
            parked: Counted::default(),
            unparked: Counted::default(),
            commits: Counted::default(),
            merges: Counted::default(),
            refused: Counted::default(),
            wrong: Vec::new(),
            due: Vec::new(),
            acts: BTreeMap::new(),
            next: 0,
            stopping: None,
            frozen: false,
            ahead: 0,
            looked: Duration::ZERO,
            quiet_since: None,
        }
    }

    /// Plays the schedule to its end.
    pub(super) fn play(&mut self, events: &[(Duration, Event)], length: Duration) -> Result<()> {
        for (at, event) in events {
            self.at(*at, Act::Event(*event));
        }
        self.agent.start()?;
        while self.start.elapsed() < length {
            self.step()?;
        }
        // Every fault that has begun is ended: nothing stays frozen or blocked.
        self.acts.retain(|_, act| !matches!(act, Act::Event(_)));
        while !self.acts.is_empty() || self.rotations.are_running() || self.stopping.is_some() {
            if self.start.elapsed() > length + Duration::from_secs(120) {
                bail!("what was begun does not end: {:?}", self.acts);
            }
            self.step()?;
        }
        Ok(())
    }

    /// Runs on without faults until the agent has nothing left to do.
    pub(super) fn catch_up(&mut self, within: Duration) -> Result<Duration> {
        self.output.mend()?;
        let begin = self.start.elapsed();
        self.quiet_since = None;
        loop {
            if !self.agent.is_running() {
                self.agent.start()?;
            }
            self.step()?;
            let now = self.start.elapsed();
            match self.quiet_since {
                Some(since) if now.saturating_sub(since) >= QUIET => {
                    return Ok(since.saturating_sub(begin));
                }
                _ if now.saturating_sub(begin) > within => bail!(
                    "the agent has not caught up after {} s without faults",
                    within.as_secs()
                ),
                _ => {}
            }
        }
    }

    fn step(&mut self) -> Result<()> {
        let now = self.start.elapsed();
        self.due.sort_unstable();
        while let Some(Reverse((at, number))) = self.due.last().copied()
            && at <= now
        {
            self.due.pop();
            if let Some(act) = self.acts.remove(&number) {
                self.act(act, now)?;
            }
        }
        self.wrong.extend(self.rotations.reap(now)?);
        self.watch_agent(now)?;
        if now.saturating_sub(self.looked) >= LOOK {
            self.looked = now;
            if let Some(disk) = self.disk.as_mut().filter(|disk| disk.is_full()) {
                disk.fill()?;
            }
            self.look(now);
            let can_save = !self.frozen
                && !self.disk.as_ref().is_some_and(Disk::is_full)
                && !self.is_on(Event::StateBlocked { time: now })
                && !self.is_on(Event::FilesLimited { time: now });
            self.rotations.look(&self.agent, can_save, now);
        }
        sleep(TICK);
        Ok(())
    }

    fn at(&mut self, at: Duration, act: Act) {
        self.acts.insert(self.next, act);
        self.due.push(Reverse((at, self.next)));
        self.next += 1;
    }

    fn act(&mut self, act: Act, now: Duration) -> Result<()> {
        match act {
            Act::Event(Event::Rotate { log, name }) => self.rotate(log, name, now)?,
            // On a slow machine the previous one may last longer than planned.
            Act::Event(event) if self.is_on(event) => self.at(now + AGAIN, Act::Event(event)),
            Act::Event(event) => {
                self.say(now, &event.to_string());
                self.tally.injected(event.name());
                let reloads = self.is_away() && self.agent.is_running();
                if self.inflict(event, now)? {
                    self.tally.hit(event.name());
                    if let Some(name) = event.name_during_an_outage().filter(|_| reloads) {
                        self.tally.done(name);
                    }
                }
            }
            Act::Start => {
                if !self.agent.is_running() {
                    self.agent.start()?;
                }
            }
            Act::Thaw => {
                self.agent.signal(Signal::CONT)?;
                self.frozen = false;
            }
            Act::UnblockState { errors } => {
                self.agent.block_state(false)?;
                if self.agent.says(CANNOT_SAVE) > errors {
                    self.tally.hit(Event::StateBlocked { time: now }.name());
                }
            }
            Act::UnlimitFiles { before, said } => {
                self.agent.limit_files(Some(before))?;
                if self.agent.says(TOO_MANY_FILES) > said {
                    self.tally.hit(Event::FilesLimited { time: now }.name());
                }
            }
            Act::Accept { before } => {
                self.output.network()?.proxy.come_back(0..NODES);
                if self.refused.total() > before {
                    self.tally.hit(Event::Refuse { time: now }.name());
                }
            }
            Act::EmptyDisk { said } => {
                if let Some(disk) = &mut self.disk {
                    disk.empty()?;
                }
                if self.agent.says(NO_SPACE) > said {
                    self.tally.hit(Event::DiskFull { time: now }.name());
                }
            }
            // While nobody can connect they stay away too.
            Act::NodesBack { .. } if self.is_away() => self.at(now + AGAIN, act),
            Act::NodesBack {
                first,
                count,
                before,
            } => {
                let event = Event::NodesGone {
                    first,
                    count,
                    resets: false,
                    time: now,
                };
                if self.output.network()?.proxy.absence().told_since(before) {
                    self.tally.hit(event.name());
                }
                self.output
                    .network()?
                    .proxy
                    .come_back(some_nodes(first, count));
            }
            Act::OpenDay { index, parked } => {
                self.output.network()?.cluster.open(&index)?;
                if self.parked.total() > parked {
                    self.tally.hit(Event::DayClosed { time: now }.name());
                } else {
                    self.wrong
                        .push(format!("{index} was closed, and nothing was parked"));
                }
            }
            Act::Authorize => self.output.network()?.proxy.unauthorized(false),
            Act::LiftBlock(block) => {
                self.output.network()?.cluster.block(block, false)?;
                self.output.network()?.proxy.look_for(None);
            }
            Act::LiftShards => {
                self.output.network()?.cluster.limit_shards(None)?;
                self.output.network()?.proxy.look_for(None);
            }
        }
        Ok(())
    }

    /// Whether nobody can connect to the cluster.
    fn is_away(&self) -> bool {
        self.is_on(Event::Refuse {
            time: Duration::ZERO,
        })
    }

    /// Whether something of this kind has begun and not ended.
    fn is_on(&self, event: Event) -> bool {
        self.acts.values().any(|act| {
            matches!(
                (event, act),
                (Event::StateBlocked { .. }, Act::UnblockState { .. })
                    | (Event::FilesLimited { .. }, Act::UnlimitFiles { .. })
                    | (Event::DiskFull { .. }, Act::EmptyDisk { .. })
                    | (Event::Freeze { .. }, Act::Thaw)
                    | (Event::Refuse { .. }, Act::Accept { .. })
                    | (
                        Event::NodesGone { .. },
                        Act::NodesBack { .. } | Act::Accept { .. }
                    )
                    | (
                        Event::WriteBlock { .. }
                            | Event::DiskBlock { .. }
                            | Event::ShardLimit { .. },
                        Act::LiftBlock(_) | Act::LiftShards
                    )
            )
        })
    }

    /// Executes an event; true when it has certainly hit something already.
    fn inflict(&mut self, event: Event, now: Duration) -> Result<bool> {
        match event {
            Event::Rotate { .. } => Ok(false),
            Event::Kill { down, tamper } => {
                let hit = self.agent.kill()?;
                // Whoever was asked to stop does not any more.
                self.stopping = None;
                let tampered = match tamper {
                    // The full disk leaves no space to tamper.
                    Some(_) if self.disk.as_ref().is_some_and(Disk::is_full) => false,
                    Some(tamper) => self.tamper(tamper, now)?,
                    None => true,
                };
                self.at(now + down, Act::Start);
                if tamper.is_some() && hit {
                    self.tally.done(Event::Kill { down, tamper: None }.name());
                }
                Ok(hit && tampered)
            }
            Event::KillAtWrite { down } => {
                let writes = self.agent.is_running() && self.output.store()?.wait_for_a_new_file();
                let hit = self.agent.kill()?;
                self.stopping = None;
                self.at(now + down, Act::Start);
                Ok(hit && writes)
            }
            Event::Terminate { .. } | Event::HangUp if !self.agent.obeys() => Ok(false),
            Event::Terminate { down } => {
                let hit = self.agent.signal(Signal::TERM)?;
                if hit {
                    self.stopping = Some((now, down));
                }
                Ok(hit)
            }
            Event::Freeze { time } => {
                self.frozen = self.agent.signal(Signal::STOP)?;
                self.at(now + time, Act::Thaw);
                Ok(self.frozen)
            }
            Event::HangUp => {
                self.agent.write_settings()?;
                self.agent.signal(Signal::HUP)
            }
            Event::StateBlocked { time } => {
                if self.agent.data().join("run").is_dir() {
                    let errors = self.agent.says(CANNOT_SAVE);
                    self.agent.block_state(true)?;
                    self.at(now + time, Act::UnblockState { errors });
                }
                Ok(false)
            }
            // With the files that it has at its beginning it could not start.
            Event::FilesLimited { .. } if !self.agent.obeys() => Ok(false),
            Event::FilesLimited { time } => {
                let said = self.agent.says(TOO_MANY_FILES);
                if let Some(before) = self.agent.limit_files(None)? {
                    self.at(now + time, Act::UnlimitFiles { before, said });
                }
                Ok(false)
            }
            Event::DiskFull { time } => {
                if let Some(disk) = &mut self.disk {
                    let said = self.agent.says(NO_SPACE);
                    disk.fill()?;
                    self.at(now + time, Act::EmptyDisk { said });
                }
                Ok(false)
            }
            Event::Clock { ahead } => self.move_clock(ahead),
            Event::Reformat => self.traffic.reformat().map(|()| true),
            Event::NodesGone {
                first,
                count,
                resets,
                time,
            } => {
                self.output
                    .network()?
                    .proxy
                    .leave(some_nodes(first, count), resets);
                let before = self.output.network()?.proxy.absence();
                let back = Act::NodesBack {
                    first,
                    count,
                    before,
                };
                self.at(now + time, back);
                Ok(false)
            }
            Event::DayClosed { time } => {
                let index = line::index_of(1);
                self.output.network()?.cluster.close(&index)?;
                let parked = self.parked.total();
                self.at(now + time, Act::OpenDay { index, parked });
                Ok(false)
            }
            Event::Refuse { time } => {
                let before = self.refused.total();
                self.output.network()?.proxy.leave(0..NODES, false);
                self.at(now + time, Act::Accept { before });
                Ok(false)
            }
            Event::Unauthorized { time } => {
                self.output.network()?.proxy.unauthorized(true);
                self.at(now + time, Act::Authorize);
                // The proxy counts those that it turned away.
                Ok(true)
            }
            Event::WriteBlock { time } => self.block("write", b"FORBIDDEN/8/", event, time, now),
            Event::DiskBlock { time } => self.block(
                "read_only_allow_delete",
                b"/12/disk usage",
                event,
                time,
                now,
            ),
            Event::ShardLimit { time } => {
                self.output.network()?.cluster.limit_shards(Some(1))?;
                self.output
                    .network()?
                    .proxy
                    .look_for(Some((event.name(), b"maximum normal shards")));
                self.writers.days.fetch_add(1, Ordering::Relaxed);
                self.at(now + time, Act::LiftShards);
                Ok(false)
            }
        }
    }

    fn tamper(&mut self, tamper: Tamper, now: Duration) -> Result<bool> {
        if let Some(newest) = self.agent.saved() {
            self.rotations.forget_done(&newest, now);
        }
        let rotations = &self.rotations;
        let done = self
            .agent
            .tamper(tamper, |left| rotations.may_start_with(left))?;
        if done {
            self.rotations.forget_seen();
        }
        Ok(done)
    }

    /// True when the agent shows another time.
    fn move_clock(&mut self, ahead: i64) -> Result<bool> {
        let Some(clock) = &self.agent.clock else {
            return Ok(false);
        };
        // A stopped process reads no clock and sends no answer.
        let before = match self.frozen {
            true => None,
            false => self.agent.uptime(),
        };
        let since = Instant::now();
        clock.set(ahead)?;
        let moved_by = ahead - std::mem::replace(&mut self.ahead, ahead);
        let Some((before, after)) = before.zip(before.and_then(|_| self.agent.uptime())) else {
            return Ok(false);
        };
        let passed = i64::try_from(since.elapsed().as_secs()).unwrap_or(0);
        Ok((after - before - moved_by - passed).abs() < 5)
    }

    fn block(
        &mut self,
        block: &'static str,
        sign: &'static [u8],
        event: Event,
        time: Duration,
        now: Duration,
    ) -> Result<bool> {
        let network = self.output.network()?;
        network.cluster.block(block, true)?;
        network.proxy.look_for(Some((event.name(), sign)));
        self.at(now + time, Act::LiftBlock(block));
        Ok(false)
    }

    fn rotate(&mut self, log: usize, name: Option<u64>, now: Duration) -> Result<()> {
        let meanwhile = Meanwhile {
            now,
            agent: &self.agent,
            away: self.is_away(),
        };
        if let Some(time) = self.rotations.begin(log, name, meanwhile)? {
            self.at(now + time, Act::Event(Event::Rotate { log, name }));
        }
        Ok(())
    }

    /// Handles expected and unexpected ends of the agent.
    fn watch_agent(&mut self, now: Duration) -> Result<()> {
        if let Some((status, tail)) = self.agent.ended()? {
            match self.stopping.take() {
                Some((_, down)) if status.success() => self.at(now + down, Act::Start),
                _ => {
                    let words = format!("the agent ended by itself with {status}; {tail}");
                    self.say(now, &words);
                    self.wrong.push(words);
                    self.at(now + Duration::from_millis(500), Act::Start);
                }
            }
        }
        if let Some((since, _)) = self.stopping
            && now.saturating_sub(since) > STOP_WITHIN
        {
            bail!("the agent does not stop");
        }
        Ok(())
    }

    fn look(&mut self, now: Duration) {
        self.agent.look();
        if self.frozen || self.stopping.is_some() {
            return;
        }
        let Some(numbers) = self.agent.scrape() else {
            self.quiet_since = None;
            return;
        };
        self.identity_checks += 1;
        if let Err(error) = numbers.balance() {
            self.wrong.push(error.to_string());
        }
        self.parked
            .saw(numbers.one("logweir_documents_total{outcome=\"parked\"}"));
        self.unparked
            .saw(numbers.sum("logweir_documents_unparked_total"));
        self.refused
            .saw(numbers.one("logweir_documents_retried_total{reason=\"unreachable\"}"));
        self.commits.saw(numbers.sum("logweir_store_commits_total"));
        self.merges.saw(numbers.sum("logweir_store_merges_total"));
        if numbers.sum("logweir_store_damaged_days_total") > 0.0 {
            self.wrong
                .push("the agent found a damaged day in its store".to_owned());
        }
        let busy = numbers.sum("logweir_in_flight_lines")
            + numbers.sum("logweir_source_lag_bytes")
            + self.agent.parked_bytes();
        let started = numbers.sum("logweir_lines_read_total") > 0.0 || now > QUIET * 3;
        if busy > 0.0 || !started {
            self.quiet_since = None;
        } else {
            self.quiet_since.get_or_insert(now);
        }
    }

    fn say(&self, now: Duration, words: &str) {
        println!("{:7.1} s  {words}", now.as_secs_f64());
    }
}

const CANNOT_SAVE: &str = "checkpoint.new";
const TOO_MANY_FILES: &str = "os error 24";
const NO_SPACE: &str = "os error 28";

/// This many nodes, beginning with the first.
fn some_nodes(first: usize, count: usize) -> impl Iterator<Item = usize> {
    (first..first + count).map(|node| node % NODES)
}
