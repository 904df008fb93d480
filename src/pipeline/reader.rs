//! The reader thread decides when to read, when to wait, when to save and how to stop.
//!
//! Owns the schedule. A busy log is polled, since an event for every request would cost more than the request; when all
//! logs are idle, the thread sleeps until an event or the next reconcile. Invariant: it never waits without a limit, and
//! it notices a stop at once.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::batcher::{Batcher, Broken};
use super::open_files::OpenFiles;
use super::{Ended, Settings, Stop};
use crate::clock::Clock;
use crate::output::Output;
use crate::record::Recorder;
use crate::tail::fs::FileSystem;
use crate::tail::watch::{Wait, Watcher, Woken};
use crate::tail::{CarriedFiles, Leaves, Problem, Tailer};
use crate::telemetry::Telemetry;

/// How often positions are saved while they move.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// How often the log reports that they cannot be saved.
const WARN_INTERVAL: Duration = Duration::from_secs(60);
/// A problem that returns after this time is logged again.
const FORGET_PROBLEMS: Duration = Duration::from_secs(600);
/// Without new lines for this long, the reader waits for events instead of polling.
const QUIET: Duration = Duration::from_secs(1);
/// Bounds of the polling interval of a busy log.
const LOOK: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_millis(100);
/// How often directories are scanned for new files while nothing can be read.
const HOLD: Duration = Duration::from_secs(1);
/// A chunk below this size means that the end of its file is reached.
const SHORT: usize = 32 * 1024;
/// After this many chunks the reader handles acks, positions and directories.
const CHUNKS_PER_POLL: usize = 16;
/// How long an abort waits for recalled deliveries; a drain waits for as long as it takes, because the agent
/// after a reload works on the same state directory.
const RECALL: Duration = Duration::from_millis(100);
/// How many names are checked per millisecond; that takes a hundredth of the time.
const LOGS_ASKED_PER_MILLI: u64 = 10;
/// How often a stop reads logs to their ends while they still grow.
const LAST_SCANS: u32 = 3;
/// How often a busy log is polled while a batch fills.
const LOOKS_PER_FLUSH: u32 = 5;

/// Everything the thread works with.
pub(crate) struct Reader<F: FileSystem, C: Clock, O: Output, W = Watcher> {
    settings: Settings,
    tailer: Tailer<F, C>,
    clock: C,
    watcher: W,
    batcher: Batcher<O>,
    telemetry: Telemetry,
    stop: Stop,
    poll_interval: Duration,
    reconcile_at: Duration,
    /// Names are not checked again before this time.
    names_at: Duration,
    save_at: Duration,
    /// Failed saves are not logged again before this time.
    warn_at: Duration,
    /// A position moved since the last save.
    unsaved: bool,
    /// Lines handed back before this run of the pipeline, in the same process.
    released_before: u64,
    /// When a line was read last.
    read_at: Duration,
    /// No watch is requested before this time, because the last request failed.
    arm_at: Duration,
    /// Problems that were logged, and when each was last present.
    logged: HashMap<String, Duration>,
    /// The time since when reading waits because no buffer is free.
    full_since: Option<Duration>,
    /// With `once`: all that can be read now is settled.
    only_waits: bool,
    open_files: OpenFiles,
}

impl<F: FileSystem, C: Clock, O: Output, W: Wait> Reader<F, C, O, W> {
    /// Connects the modules; nothing is read yet.
    #[allow(clippy::too_many_arguments)] // each is one module of the pipeline
    pub(crate) fn new(
        settings: Settings,
        tailer: Tailer<F, C>,
        watcher: W,
        recorder: Recorder<O::Framing>,
        output: Arc<O>,
        runtime: tokio::runtime::Handle,
        telemetry: Telemetry,
        clock: C,
        stop: Stop,
    ) -> Self {
        let waker = watcher.waker();
        let now = clock.now();
        let poll_interval =
            (settings.flush_interval / LOOKS_PER_FLUSH).clamp(*LOOK.start(), *LOOK.end());
        Self {
            released_before: telemetry.snapshot().accounts.released,
            batcher: Batcher::new(
                &settings,
                recorder,
                output,
                runtime,
                waker,
                telemetry.clone(),
            ),
            settings,
            tailer,
            clock,
            watcher,
            telemetry,
            stop,
            poll_interval,
            unsaved: false,
            reconcile_at: now,
            names_at: now,
            save_at: now,
            warn_at: now,
            read_at: now,
            arm_at: now,
            logged: HashMap::new(),
            full_since: None,
            only_waits: false,
            open_files: OpenFiles::default(),
        }
    }

    /// Reads until it is stopped; with `once` until everything that exists is settled. Returns what the next reader in
    /// this process needs.
    pub(crate) fn run(mut self) -> (Ended, CarriedFiles<F>) {
        let ended = self.read_on().and_then(|()| {
            let began = self.clock.now();
            self.read_rest(began + self.settings.shutdown_timeout / 2)?;
            self.drain(began + self.settings.shutdown_timeout)
        });
        self.publish(self.settings.once);
        let ended = ended.unwrap_or_else(|Broken| {
            tracing::error!(
                "a delivery ended by a bug; stopping, its lines are read again at the next start"
            );
            Ended::Broken
        });
        (ended, self.tailer.into_carried_files())
    }

    fn read_on(&mut self) -> Result<(), Broken> {
        let mut armed = false;
        while !self.stop.drain.is_cancelled() && !self.stop.finish.is_cancelled() {
            self.telemetry.turn();
            self.take_returns()?;
            let now = self.clock.now();
            // without a watch, a rename under load is noticed only by checking the name
            if now >= self.reconcile_at || (!armed && self.names_changed(now)) {
                self.reconcile_at = now + self.settings.reconcile_interval;
                self.tailer.reconcile();
            }
            if self.tailer.waits_for_descriptors() {
                self.reconcile_at = self.reconcile_at.min(now + HOLD);
            }
            let found = self.read();
            self.only_waits = false;
            let now = self.clock.now();
            self.note_full(now);
            if self.batcher.flush_at().is_some_and(|at| now >= at) {
                self.batcher.send();
            }
            if now >= self.save_at {
                self.save(now);
            }
            if found != PollResult::Nothing {
                self.read_at = now;
                if std::mem::take(&mut armed) {
                    self.watcher.disarm();
                }
            }
            if found == PollResult::More && !self.batcher.is_full() {
                continue;
            }
            if self.settings.once && found == PollResult::Nothing && !self.batcher.is_full() {
                self.batcher.send();
                if self.batcher.is_empty() {
                    if !self.tailer.waits() {
                        return Ok(());
                    }
                    self.only_waits = true;
                    self.reconcile_at = self.reconcile_at.min(now + HOLD);
                }
            }
            let quiet = now.saturating_sub(self.read_at) >= QUIET && !self.batcher.is_full();
            if quiet && !armed && !self.settings.once && now >= self.arm_at {
                armed = self.watcher.arm(self.tailer.dirs_to_watch());
                if armed {
                    // lines that were written before the watch began cause no event
                    continue;
                }
                // events from some of the directories would wake once per request while others are polled
                self.watcher.disarm();
                self.arm_at = now + self.settings.reconcile_interval;
            }
            if self.watcher.wait(self.wait_limit(now, armed)) == Woken::Rescan {
                self.reconcile_at = Duration::ZERO;
            }
        }
        Ok(())
    }

    /// Whether the name of an open log now belongs to another file. With thousands of logs not every poll checks that.
    fn names_changed(&mut self, now: Duration) -> bool {
        if now < self.names_at {
            return false;
        }
        let logs = u64::try_from(self.tailer.stats().files_open).unwrap_or(u64::MAX);
        self.names_at = now + Duration::from_millis(logs / LOGS_ASKED_PER_MILLI);
        self.tailer.names_changed()
    }

    /// Reads until there is nothing more, [`CHUNKS_PER_POLL`] chunks are read, or no buffer is free.
    fn read(&mut self) -> PollResult {
        let Self {
            batcher,
            tailer,
            clock,
            ..
        } = self;
        batcher.sure_of(tailer.trusted_now());
        batcher.resume(clock.now(), clock.unix_millis());
        let mut found = PollResult::Nothing;
        let mut short = 0;
        for _ in 0..CHUNKS_PER_POLL {
            if batcher.is_full() {
                return PollResult::More;
            }
            let Some(chunk) = tailer.read() else {
                return found;
            };
            found = PollResult::Lines;
            // A small chunk means that the end of the file is reached. Lines that are written meanwhile wait for the
            // next poll, where they cost far less.
            short = if chunk.bytes.len() < SHORT {
                short + 1
            } else {
                0
            };
            batcher.take(chunk, clock.now(), clock.unix_millis());
            if short > tailer.stats().files_open && !self.settings.once {
                return PollResult::Lines;
            }
        }
        PollResult::More
    }

    fn take_returns(&mut self) -> Result<(), Broken> {
        let Self {
            batcher,
            tailer,
            unsaved,
            ..
        } = self;
        batcher.take_returns(|file, offset| {
            tailer.settle(file, offset);
            *unsaved = true;
        })
    }

    /// Counts how long reading waits because the output does not accept.
    fn note_full(&mut self, now: Duration) {
        if let Some(since) = self.full_since.take() {
            let waited = now.saturating_sub(since).as_secs_f64();
            self.telemetry
                .update(|book| book.backpressure_seconds += waited);
        }
        if self.batcher.is_full() {
            self.full_since = Some(now);
        }
    }

    fn save(&mut self, now: Duration) {
        self.save_at = now + SAVE_INTERVAL;
        let saved = self.tailer.save();
        let millis = self.clock.unix_millis();
        self.telemetry.update(|book| match &saved {
            Ok(()) => book.checkpoint_millis = Some(millis),
            Err(_) => book.checkpoint_errors += 1,
        });
        match saved {
            Ok(()) => self.unsaved = false,
            Err(error) if now >= self.warn_at => {
                self.warn_at = now + WARN_INTERVAL;
                tracing::warn!(%error, "positions are not saved, trying again; known logs are read and sent meanwhile, new ones \
                     wait");
            }
            Err(_) => {}
        }
        self.publish(false);
    }

    fn publish(&mut self, at_the_end: bool) {
        let (mut stats, lag) = (self.tailer.stats().clone(), self.tailer.lag());
        stats.problems.extend(self.watcher.problem().cloned());
        stats.long_lines += self.batcher.long_records();
        self.open_files.log_changes(&lag);
        let open: HashSet<&Path> = lag.iter().map(|lag| lag.path.as_path()).collect();
        // a run that ends by itself logs every file that it has read
        let is_open = |path: &Path| self.settings.once || open.contains(path);
        let unparsed = self.batcher.unparsed(self.clock.now(), at_the_end, is_open);
        let problems: Vec<&Problem> = stats.problems.iter().chain(&unparsed).collect();
        self.tell_problems(&problems);
        let millis = self.clock.unix_millis();
        self.telemetry.update(|book| {
            for (reason, bytes) in &stats.lost_bytes {
                let before = book.tail.lost_bytes.get(reason).copied().unwrap_or(0);
                if *bytes > before {
                    tracing::error!(reason, bytes = bytes - before, "bytes of a log are lost");
                }
            }
            (book.tail, book.lag, book.polled_millis) = (stats, lag, Some(millis));
            book.unparsed = unparsed;
        });
    }

    /// Logs each problem when it begins, and when it returns after a while.
    fn tell_problems(&mut self, problems: &[&Problem]) {
        let now = self.clock.now();
        for problem in problems {
            let text = problem.to_string();
            if self.logged.insert(text.clone(), now).is_none() {
                match problem.leaves {
                    Leaves::Damaged => tracing::error!("{text}"),
                    Leaves::Nothing | Leaves::Input => tracing::warn!("{text}"),
                }
            }
        }
        self.logged
            .retain(|_, at| now.saturating_sub(*at) < FORGET_PROBLEMS);
    }

    /// How long the thread may sleep.
    fn wait_limit(&self, now: Duration, armed: bool) -> Duration {
        let mut until = self.reconcile_at;
        if let Some(flush) = self.batcher.flush_at() {
            until = until.min(flush);
        }
        if self.unsaved {
            until = until.min(self.save_at);
        }
        if !armed {
            // Files are opened even while they cannot be read: they may be deleted before reading continues.
            until = until.min(
                now + if self.batcher.is_full() {
                    HOLD
                } else {
                    self.poll_interval
                },
            );
        }
        until.saturating_sub(now)
    }

    /// After a stop: reads what the logs contain now, as far as the output takes it until `limit`. What a sidecar does not
    /// read now is lost with its pod. Half of a stop's time is left for the deliveries.
    fn read_rest(&mut self, limit: Duration) -> Result<(), Broken> {
        if self.settings.once || !self.stop.finish.is_cancelled() {
            return Ok(());
        }
        // Only acks are waited for.
        self.watcher.disarm();
        // A file may have been renamed or created since the last scan.
        self.tailer.reconcile();
        let mut scans = 0;
        while !self.stop.drain.is_cancelled() {
            self.telemetry.turn();
            self.take_returns()?;
            let found = self.read();
            let now = self.clock.now();
            self.note_full(now);
            if now >= limit {
                break;
            }
            if self.batcher.is_full() {
                self.watcher.wait(HOLD.min(limit - now));
            } else if found != PollResult::More {
                // Lines that a busy server writes meanwhile are not waited for.
                scans += 1;
                if found == PollResult::Nothing || scans == LAST_SCANS {
                    break;
                }
                self.tailer.reconcile();
            }
        }
        Ok(())
    }

    /// Waits for deliveries until `limit`, and saves.
    fn drain(&mut self, limit: Duration) -> Result<Ended, Broken> {
        if !self.stop.abort.is_cancelled() && !self.stop.recall.is_cancelled() {
            self.batcher.send();
        }
        let mut abandon_at = None;
        loop {
            self.telemetry.turn();
            self.take_returns()?;
            if self.batcher.unacknowledged() == 0 {
                break;
            }
            let now = self.clock.now();
            let aborted = self.stop.abort.is_cancelled();
            if !aborted && !self.stop.recall.is_cancelled() && now < limit {
                self.watcher.wait(limit - now);
                continue;
            }
            self.batcher.recall();
            let abandon_at = *abandon_at.get_or_insert(now + RECALL);
            if !aborted {
                self.watcher.wait(RECALL);
            } else if now < abandon_at {
                self.watcher.wait(abandon_at - now);
            } else {
                // a delivery that ignores its recall must not keep the process from ending
                break;
            }
        }
        self.batcher.release();
        self.save(self.clock.now());
        match self.telemetry.snapshot().accounts.released - self.released_before {
            0 if self.only_waits => {
                for path in self.tailer.young_files() {
                    tracing::warn!(
                        "{} is compressed and so new that it may still be written; it is left for a later run",
                        path.display()
                    );
                }
                Ok(Ended::Waited)
            }
            0 if self.settings.once && self.tailer.leaves() > Leaves::Nothing => {
                tracing::warn!(
                    "left unread: {}",
                    left_unread(&self.tailer.stats().problems)
                );
                Ok(Ended::Left(self.tailer.leaves()))
            }
            0 => Ok(Ended::Settled),
            lines => Ok(Ended::Released(lines)),
        }
    }
}

/// The files that these problems keep from being read, shortened where there are many.
fn left_unread(problems: &[Problem]) -> String {
    const NAMED: usize = 20;
    let left = problems.iter().filter(|left| left.leaves > Leaves::Nothing);
    let mut paths: Vec<String> = left
        .map(|left| match left.path.as_os_str().is_empty() {
            true => left.to_string(),
            false => left.path.display().to_string(),
        })
        .collect();
    paths.sort();
    paths.dedup();
    let more = paths.len().saturating_sub(NAMED);
    paths.truncate(NAMED);
    let named = paths.join(", ");
    match more {
        0 => named,
        more => format!("{named}, and {more} more"),
    }
}

#[cfg(test)]
mod tests;

/// The result of one poll of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PollResult {
    Nothing,
    /// Lines, and no more for now.
    Lines,
    /// Lines, and more can be read at once.
    More,
}
