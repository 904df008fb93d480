//! Tests the whole reader with a simulated file system and a clock that the test moves. Each wait of the reader calls a
//! script, which writes, rotates, ends deliveries or stops, and returns how long it took.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::super::harness::{self, Harness, numbered_line};
use super::super::scripted_output::{self, Ending, ScriptedOutput};
use super::*;
use crate::clock::ManualClock;
use crate::tail::CarriedFiles;
use crate::tail::sim::SimFs;
use crate::tail::watch::Waker;

const LIVE: &str = "/logs/access.log";
/// 2026-11-23, 04:00 UTC, in milliseconds.
const NOW: i64 = 1_795_406_400_000;
const SECOND: Duration = Duration::from_secs(1);
/// A script that needs more waits than this will never end.
const WAITS: usize = 5_000;

/// One wait of the reader, as its script sees it.
struct Moment<'w> {
    output: &'w ScriptedOutput,
    clock: &'w ManualClock,
    stop: &'w Stop,
    /// How long the reader would sleep.
    timeout: Duration,
    /// Waits before this one.
    waits: usize,
}

type Script<'s> = Box<dyn FnMut(&Moment<'_>) -> Duration + 's>;

/// A watcher whose waits run the script.
struct Sleep<'s> {
    calls: Watcher,
    runtime: Rc<Runtime>,
    output: Arc<ScriptedOutput>,
    clock: ManualClock,
    stop: Stop,
    script: RefCell<Script<'s>>,
    waits: Cell<usize>,
    /// Whether events are available.
    events: bool,
    armed: Rc<Cell<Armed>>,
}

/// How often events were requested, and whether they are requested now.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Armed {
    times: usize,
    now: bool,
}

impl Wait for Sleep<'_> {
    fn waker(&self) -> Waker {
        self.calls.waker()
    }

    fn arm<'p>(&mut self, directories: impl IntoIterator<Item = &'p Path>) -> bool {
        assert!(directories.into_iter().count() > 0);
        let times = self.armed.get().times + 1;
        self.armed.set(Armed { times, now: true });
        self.events
    }

    fn disarm(&mut self) {
        let times = self.armed.get().times;
        self.armed.set(Armed { times, now: false });
    }

    fn wait(&self, timeout: Duration) -> Woken {
        scripted_output::turn(&self.runtime);
        let woken = self.calls.wait(Duration::ZERO);
        if woken != Woken::Timeout {
            return woken;
        }
        let waits = self.waits.replace(self.waits.get() + 1);
        assert!(waits < WAITS, "the script does not end");
        let passed = (self.script.borrow_mut())(&Moment {
            output: &self.output,
            clock: &self.clock,
            stop: &self.stop,
            timeout,
            waits,
        });
        self.clock.advance(passed.min(timeout));
        scripted_output::turn(&self.runtime);
        self.calls.wait(Duration::ZERO)
    }
}

/// A host with logs and a state directory, on which readers run one after the other.
struct Lab {
    fs: SimFs,
    clock: ManualClock,
    output: Arc<ScriptedOutput>,
    telemetry: RefCell<Telemetry>,
    settings: Settings,
    retention: Option<Duration>,
    events: bool,
    armed: Rc<Cell<Armed>>,
}

impl Lab {
    fn new() -> Self {
        let clock = ManualClock::new(NOW);
        let fs = SimFs::new(&clock, "/state");
        fs.mkdir("/logs");
        Self {
            fs,
            clock,
            output: scripted_output::scripted_output(),
            telemetry: RefCell::default(),
            settings: harness::settings(),
            retention: None,
            events: true,
            armed: Rc::default(),
        }
    }

    fn write(&self, lines: std::ops::Range<usize>) {
        for line in lines {
            self.fs.append(LIVE, numbered_line(line).as_bytes());
        }
    }

    fn harness(&self) -> Harness<SimFs, ManualClock> {
        let (fs, clock) = (self.fs.clone(), self.clock.clone());
        let mut harness =
            Harness::new(fs, clock, "/state/logweir", "/logs/*access.log", "output:x");
        harness.pipeline = self.settings.clone();
        harness.retain(self.retention);
        harness
    }

    /// Runs a reader until it ends.
    fn run(&self, script: impl FnMut(&Moment<'_>) -> Duration) -> Ended {
        let calls = Watcher::new(true);
        let stop = Stop::new(calls.waker());
        let runtime = Rc::new(scripted_output::runtime());
        let sleep = Sleep {
            calls,
            runtime: Rc::clone(&runtime),
            output: Arc::clone(&self.output),
            clock: self.clock.clone(),
            stop: stop.clone(),
            script: RefCell::new(Box::new(script)),
            waits: Cell::new(0),
            events: self.events,
            armed: Rc::clone(&self.armed),
        };
        let harness = self.harness();
        let tailer = harness.tailer(&mut CarriedFiles::default()).unwrap();
        let telemetry = self.telemetry.borrow().clone();
        let handle = runtime.handle();
        let reader = harness.reader(tailer, sleep, &self.output, handle, &telemetry, &stop);
        let (ended, _) = reader.run();
        let accounts = self.telemetry.borrow().snapshot().accounts;
        assert!(accounts.balance());
        assert!(
            ended == Ended::Broken || accounts.in_flight == 0,
            "{accounts:?}"
        );
        ended
    }

    fn unsaved(&self) -> usize {
        self.harness().unsaved()
    }

    fn settled(&self) -> u64 {
        self.telemetry.borrow().snapshot().accounts.settled.total()
    }
}

/// Ends all deliveries with success.
fn settle_all(moment: &Moment<'_>) -> usize {
    let mut lines = 0;
    while moment.output.waiting() > 0 {
        lines += moment.output.end(0, Ending::Settled).len();
    }
    lines
}

#[test]
fn once_ends_only_when_everything_is_settled_and_saved() {
    let mut lab = Lab::new();
    lab.settings.once = true;
    lab.write(0..13);
    lab.fs.append(LIVE, b"1795406399.999 unterminated");
    let mut delivered = 0;
    let ended = lab.run(|moment| {
        // acks are withheld for a long time, then given one at a time
        if moment.waits > 20 && moment.output.waiting() > 0 {
            delivered += moment.output.end(0, Ending::Settled).len();
        }
        moment.timeout
    });
    assert_eq!(ended, Ended::Settled);
    assert_eq!(delivered, 13);
    assert_eq!(lab.settled(), 13);
    assert_eq!(lab.unsaved(), 0);
}

#[test]
fn when_nothing_is_settled_reading_stops_and_memory_stays() {
    let lab = Lab::new();
    lab.write(0..500);
    let (fs, telemetry) = (lab.fs.clone(), lab.telemetry.borrow().clone());
    let mut read = None;
    let ended = lab.run(|moment| {
        if moment.waits < 200 {
            // buffers: those in delivery and the full one
            assert_eq!(moment.output.waiting(), lab.settings.max_in_flight + 1);
            let lines = telemetry.snapshot().accounts.read;
            assert_eq!(lines, 15);
            let handed_out = telemetry.snapshot().tail.bytes_read;
            assert!(handed_out <= 15 * 32 + 256, "{handed_out}");
            if moment.waits > 100 {
                // directories are still scanned, but logs are not read
                assert!(fs.bytes_read() < read.unwrap_or(usize::MAX).saturating_add(64 * 1024));
            }
            read.get_or_insert(fs.bytes_read());
            return moment.timeout;
        }
        settle_all(moment);
        if telemetry.snapshot().accounts.read == 500 {
            moment.stop.drain();
        }
        moment.timeout
    });
    assert_eq!(ended, Ended::Settled);
    assert_eq!(lab.settled(), 500);
    assert_eq!(lab.unsaved(), 0);
    let waited = lab.telemetry.borrow().snapshot().backpressure_seconds;
    assert!(waited > 100.0, "{waited}");
}

/// The output is down for a long time, and logrotate keeps two files and deletes the third, faster than the directories
/// are scanned. Each file is opened in time.
#[test]
fn rotations_while_nothing_is_accepted_lose_nothing() {
    for compressed in [false, true] {
        let lab = Lab::new();
        lab.write(0..20);
        let (mut rotations, mut idle, mut at) = (0, 0, lab.clock.now());
        let ended = lab.run(|moment| {
            if rotations < 30 {
                // the reader does not see what happens while it sleeps
                while at < moment.clock.now() + moment.timeout {
                    at += 2 * SECOND;
                    rotations += 1;
                    for suffix in ["", ".gz"] {
                        lab.fs.rm(&format!("{LIVE}.2{suffix}"));
                        let (from, to) = (format!("{LIVE}.1{suffix}"), format!("{LIVE}.2{suffix}"));
                        lab.fs.mv(&from, &to);
                    }
                    lab.fs.mv(LIVE, &format!("{LIVE}.1"));
                    if compressed {
                        lab.fs.gzip(&format!("{LIVE}.1"), &format!("{LIVE}.1.gz"));
                    }
                    lab.write(rotations * 20..rotations * 20 + 20);
                }
                return moment.timeout;
            }
            idle = if settle_all(moment) == 0 { idle + 1 } else { 0 };
            if idle > 20 {
                moment.stop.drain();
            }
            moment.timeout
        });
        assert_eq!(ended, Ended::Settled, "{compressed}");
        let snapshot = lab.telemetry.borrow().snapshot();
        assert!(snapshot.tail.lost_bytes.is_empty(), "{compressed}");
        let written = (rotations + 1) * 20;
        assert_eq!(lab.settled(), written as u64, "{compressed}");
    }
}

/// An expired line is skipped permanently, so a clock that is wrong for some hours must not decide that.
#[test]
fn recent_lines_do_not_expire_while_the_clock_is_ahead() {
    const DAY: i64 = 86_400_000;
    let mut lab = Lab::new();
    lab.retention = Some(Duration::from_secs(30 * 86_400));
    // one line is older than the retention by any clock
    lab.fs.append(LIVE, b"1779000000.000 old\n");
    lab.write(0..10);
    let mut ahead = false;
    for _ in 0..3 {
        lab.run(|moment| {
            if !std::mem::replace(&mut ahead, true) {
                lab.clock.jump(4_000 * DAY);
                lab.write(10..20);
            }
            settle_all(moment);
            if moment.waits > 30 {
                moment.stop.drain();
            }
            moment.timeout
        });
        // a restart, which reads the lines written meanwhile, does not change that
        lab.write(20..30);
    }
    let accounts = lab.telemetry.borrow().snapshot().accounts;
    assert_eq!((accounts.expired, lab.settled()), (1, 40));
    assert_eq!(lab.unsaved(), 10);
}

#[test]
fn a_batch_leaves_when_its_first_line_is_old_enough() {
    let lab = Lab::new();
    lab.write(0..1);
    let began = lab.clock.now();
    let mut second_at = None;
    lab.run(|moment| {
        let age = moment.clock.now() - began;
        if moment.output.waiting() == 0 {
            assert!(age < SECOND, "{age:?}");
            if age >= SECOND / 2 && second_at.is_none() {
                lab.write(1..2);
                second_at = Some(age);
            }
        } else {
            assert_eq!(age, SECOND);
            assert_eq!(moment.output.pending.lock().unwrap()[0].texts, ["n0", "n1"]);
            settle_all(moment);
            moment.stop.drain();
        }
        moment.timeout
    });
    assert_eq!(lab.settled(), 2);
}

#[test]
fn a_drain_waits_for_deliveries_until_its_limit() {
    let lab = Lab::new();
    lab.write(0..7);
    let mut stopped_at = None;
    let ended = lab.run(|moment| {
        if stopped_at.is_none() && moment.output.waiting() == 1 {
            lab.write(7..9);
            stopped_at = Some(moment.clock.now());
            moment.stop.drain();
            return Duration::ZERO;
        } else if moment.output.waiting() == 2 {
            // the second of two batches is delivered
            assert_eq!(moment.output.end(1, Ending::Settled).len(), 2);
        }
        moment.timeout
    });
    assert_eq!(ended, Ended::Released(5));
    assert_eq!(
        lab.clock.now() - stopped_at.unwrap(),
        lab.settings.shutdown_timeout
    );
    assert_eq!(lab.settled(), 2);
    // nothing is saved beyond the batch that was not delivered
    assert_eq!(lab.unsaved(), 9);
}

#[test]
fn a_drain_ends_when_everything_is_delivered() {
    let lab = Lab::new();
    lab.write(0..7);
    let mut stopped_at = None;
    let ended = lab.run(|moment| {
        if stopped_at.is_none() {
            stopped_at = Some(moment.clock.now());
            moment.stop.drain();
        } else {
            settle_all(moment);
            return Duration::ZERO;
        }
        moment.timeout
    });
    assert_eq!(ended, Ended::Settled);
    assert_eq!(lab.unsaved(), 0);
    assert!(lab.clock.now() - stopped_at.unwrap() <= *LOOK.end() + SECOND);
}

/// Runs the lab over seven lines; when all is quiet, `stop` is called, and nothing that it writes is read before.
fn stop_when_quiet(lab: &Lab, stop: impl Fn(&Stop)) -> Ended {
    lab.write(0..7);
    let mut stopped = false;
    lab.run(|moment| {
        settle_all(moment);
        if !stopped && lab.armed.get().now && lab.settled() == 7 {
            stopped = true;
            stop(moment.stop);
            return Duration::ZERO;
        }
        if stopped {
            Duration::ZERO
        } else {
            moment.timeout
        }
    })
}

#[test]
fn a_stop_reads_and_delivers_what_the_logs_contain_and_a_reload_leaves_it_to_the_next_agent() {
    for (stop, settled, unsaved) in [(Stop::finish as fn(&Stop), 100, 0), (Stop::drain, 7, 93)] {
        let lab = Lab::new();
        let ended = stop_when_quiet(&lab, |this| {
            lab.write(7..100);
            stop(this);
        });
        assert_eq!(ended, Ended::Settled);
        assert_eq!((lab.settled(), lab.unsaved()), (settled, unsaved));
    }
}

#[test]
fn a_stop_reads_a_log_that_was_rotated_since_the_last_scan() {
    let lab = Lab::new();
    let ended = stop_when_quiet(&lab, |stop| {
        lab.fs.mv(LIVE, "/logs/access.log.1");
        lab.write(7..50);
        stop.finish();
    });
    assert_eq!(ended, Ended::Settled);
    assert_eq!((lab.settled(), lab.unsaved()), (50, 0));
}

#[test]
fn a_stop_reads_for_half_of_its_time_and_leaves_the_rest_in_the_logs() {
    let lab = Lab::new();
    lab.write(0..100);
    let mut stopped_at = None;
    let ended = lab.run(|moment| {
        let now = moment.clock.now();
        let Some(began) = stopped_at else {
            stopped_at = Some(now);
            moment.stop.finish();
            return Duration::ZERO;
        };
        if now - began >= lab.settings.shutdown_timeout / 2 {
            settle_all(moment);
        }
        moment.timeout
    });
    // three batches of five lines: two in delivery, one open
    assert_eq!(ended, Ended::Settled);
    assert_eq!(lab.settled(), 15);
    // positions move by chunks
    assert!(lab.unsaved() >= 85, "{}", lab.unsaved());
    assert!(lab.clock.now() - stopped_at.unwrap() <= lab.settings.shutdown_timeout);
}

#[test]
fn an_abort_ends_at_once() {
    let lab = Lab::new();
    lab.write(0..30);
    let mut stopped_at = None;
    let ended = lab.run(|moment| {
        stopped_at.get_or_insert(moment.clock.now());
        moment.stop.abort();
        Duration::ZERO
    });
    assert_eq!(ended, Ended::Released(15));
    assert_eq!(lab.clock.now(), stopped_at.unwrap());
    assert_eq!(lab.unsaved(), 30);
}

#[test]
fn an_abort_does_not_wait_for_a_delivery_that_ignores_its_recall() {
    let lab = Lab::new();
    lab.output.deaf.store(true, Ordering::Relaxed);
    lab.write(0..7);
    let mut stopped_at = None;
    let ended = lab.run(|moment| {
        stopped_at.get_or_insert(moment.clock.now());
        moment.stop.abort();
        moment.timeout
    });
    assert_eq!(ended, Ended::Released(7));
    // the two lines of the open batch were not sent
    assert_eq!(lab.output.waiting(), 1);
    let took = lab.clock.now() - stopped_at.unwrap();
    assert!(took <= 2 * RECALL, "{took:?}");
    assert_eq!(lab.unsaved(), 7);
}

#[test]
fn a_drain_waits_for_a_delivery_that_ignores_its_recall() {
    let lab = Lab::new();
    lab.output.deaf.store(true, Ordering::Relaxed);
    lab.write(0..5);
    let began = lab.clock.now();
    let ended = lab.run(|moment| {
        moment.stop.drain();
        if moment.clock.now() - began > 60 * SECOND {
            settle_all(moment);
        }
        moment.timeout
    });
    // the state directory is free only when no delivery uses it any more
    assert_eq!(ended, Ended::Settled);
    assert_eq!(lab.unsaved(), 0);
}

#[test]
fn a_delivery_that_panics_ends_the_run_and_nothing_beyond_it_is_settled() {
    for second_settles in [false, true] {
        let lab = Lab::new();
        lab.write(0..10);
        let ended = lab.run(|moment| {
            if moment.output.waiting() == 2 {
                if second_settles {
                    moment.output.end(1, Ending::Settled);
                }
                moment.output.end(0, Ending::Panic);
            }
            moment.timeout
        });
        assert_eq!(ended, Ended::Broken);
        assert_eq!(lab.unsaved(), 10);
    }
}

#[test]
fn a_quiet_log_waits_for_events_and_a_busy_one_is_polled() {
    let lab = Lab::new();
    lab.write(0..1);
    let armed = Rc::clone(&lab.armed);
    let mut quiet = 0;
    lab.run(|moment| {
        settle_all(moment);
        if armed.get().now {
            quiet += 1;
            // only the reconcile is due
            assert!(
                quiet == 1 || moment.timeout > SECOND,
                "{:?}",
                moment.timeout
            );
            if quiet == 4 {
                lab.write(1..2);
            }
        } else {
            let draining = moment.stop.drain.is_cancelled();
            assert!(draining || moment.timeout <= *LOOK.end());
            if quiet >= 4 {
                moment.stop.drain();
            }
        }
        moment.timeout
    });
    assert_eq!(
        lab.armed.get(),
        Armed {
            times: 1,
            now: false
        }
    );
}

#[test]
fn without_events_a_watch_is_requested_at_each_reconcile() {
    let mut lab = Lab::new();
    lab.events = false;
    lab.write(0..1);
    let armed = Rc::clone(&lab.armed);
    let began = lab.clock.now();
    lab.run(|moment| {
        settle_all(moment);
        // a watch on some of the directories would wake for every request
        assert!(!armed.get().now);
        assert!(moment.timeout <= *LOOK.end());
        if moment.clock.now() - began > 25 * SECOND {
            moment.stop.drain();
        }
        moment.timeout
    });
    assert_eq!(lab.armed.get().times, 3);
}

/// What happens while the reader waits.
#[derive(Debug, Clone)]
enum Event {
    Write(usize),
    /// The beginning of a line, whose end comes with the next write.
    Part,
    Rotate,
    Settle(prop::sample::Index),
    /// A part of the time that the reader would sleep, in percent.
    Pass(u32),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1..20_usize).prop_map(Event::Write),
        1 => Just(Event::Part),
        1 => Just(Event::Rotate),
        6 => any::<prop::sample::Index>().prop_map(Event::Settle),
        2 => (0..=100_u32).prop_map(Event::Pass),
    ]
}

/// How one run of several ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Drain,
    Abort,
    Panic,
}

/// The index: documents that were delivered and settled, by position.
#[derive(Default)]
struct Index {
    documents: BTreeMap<([u8; 6], u64), String>,
}

impl Index {
    fn end(&mut self, output: &ScriptedOutput, index: usize) {
        let order = output.pending.lock().unwrap().remove(index);
        let mut before = BTreeMap::new();
        for (place, text) in order.lines.iter().zip(&order.texts) {
            assert!(
                before
                    .insert(place.0, place.1)
                    .is_none_or(|at| at < place.1)
            );
            let twin = self.documents.insert(*place, text.clone());
            assert!(
                twin.is_none_or(|twin| twin == *text),
                "{text} has the place of another"
            );
        }
        order.end(Ending::Settled);
    }
}

proptest! {
    #![proptest_config(crate::replay::lives(150))]

    /// Whatever is written, rotated, withheld and interrupted, each line is finally in the index once.
    #[test]
    fn every_line_arrives_once_over_several_runs(
        runs in prop::collection::vec(
            (
                prop::collection::vec(any_event(), 0..25),
                prop::sample::select(&[End::Drain, End::Abort, End::Panic][..]),
            ),
            1..4,
        ),
    ) {
        let lab = Lab::new();
        let mut index = Index::default();
        let (mut written, mut rotated, mut part) = (0, 0, false);
        for (events, end) in &runs {
            let mut events = events.iter();
            let mut stopped = false;
            lab.run(|moment| {
                within_budget(moment, &lab);
                match events.next() {
                    Some(Event::Write(lines)) => {
                        if std::mem::take(&mut part) {
                            lab.fs.append(LIVE, b"\n");
                        }
                        lab.write(written..written + lines);
                        written += lines;
                    }
                    Some(Event::Part) if !part => {
                        part = true;
                        let line = format!("1795406399.000 n{written}");
                        lab.fs.append(LIVE, line.as_bytes());
                        written += 1;
                    }
                    // a line is written in one call, so the rest of a torn line goes to the file that contains its
                    // beginning
                    Some(Event::Rotate) if !part && lab.fs.exists(LIVE) => {
                        rotated += 1;
                        for number in (1..rotated).rev() {
                            let (from, to) = (format!("{LIVE}.{number}"), format!("{LIVE}.{}", number + 1));
                            lab.fs.mv(&from, &to);
                        }
                        lab.fs.mv(LIVE, &format!("{LIVE}.1"));
                        lab.fs.touch(LIVE);
                    }
                    Some(Event::Part | Event::Rotate) => {}
                    Some(Event::Settle(which)) => {
                        if moment.output.waiting() > 0 {
                            index.end(moment.output, which.index(moment.output.waiting()));
                        }
                    }
                    Some(Event::Pass(percent)) => return moment.timeout * *percent / 100,
                    None => match end {
                        End::Panic if moment.output.waiting() > 0 => {
                            moment.output.end(moment.output.waiting() - 1, Ending::Panic);
                        }
                        End::Drain | End::Panic if !std::mem::replace(&mut stopped, true) => {
                            moment.stop.drain();
                        }
                        End::Drain | End::Panic => {}
                        End::Abort => moment.stop.abort(),
                    },
                }
                (moment.timeout / 10).max(Duration::from_millis(1))
            });
            // the process has ended, and its deliveries with it
            lab.telemetry.take();
            lab.output.pending.lock().unwrap().clear();
        }
        let ended = lab.run(|moment| {
            if std::mem::take(&mut part) {
                lab.fs.append(LIVE, b"\n");
            }
            let idle = moment.output.waiting() == 0 && moment.waits > 100;
            while moment.output.waiting() > 0 {
                index.end(moment.output, moment.output.waiting() - 1);
            }
            if idle {
                moment.stop.drain();
            }
            moment.timeout
        });
        prop_assert_eq!(ended, Ended::Settled);
        prop_assert_eq!(lab.unsaved(), 0);
        let texts: BTreeSet<_> = index.documents.values().cloned().collect();
        prop_assert_eq!(texts.len(), index.documents.len(), "a line is in the index twice");
        let expected: BTreeSet<_> = (0..written).map(|line| format!("n{line}")).collect();
        prop_assert_eq!(texts, expected);
    }
}

fn within_budget(moment: &Moment<'_>, lab: &Lab) {
    assert!(moment.output.waiting() <= lab.settings.max_in_flight + 1);
    let accounts = lab.telemetry.borrow().snapshot().accounts;
    assert!(accounts.balance(), "{accounts:?}");
}
