//! A model test of the whole agent, from the log's bytes to the cluster's documents, in virtual time.
//!
//! The tailer, the recorder, the reader with its schedule, the delivery with its retries and the dead-letter file are
//! real. The disk with logs and positions, the clock, and the cluster with its faults are simulated. Events happen while
//! the reader waits: nginx writes (in two formats, as after a reload); logrotate rotates, copies, compresses; the cluster
//! refuses, resets, closes an index; the clock is set; the disk is full; the agent is stopped or killed. At the end there
//! are no faults for a while. Then each complete line of a file that exists is exactly once in the cluster, complete and
//! parsed, or in the dead-letter file if the cluster refused it for its own fault; and there are no other documents.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use logweir_parsers::{Escape, Format};
use proptest::prelude::*;
use rustix::io::Errno;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::harness::{Harness, paused_runtime};
use super::{Ended, Stop};
use crate::clock::{Clock, ManualClock};
use crate::fail_points::FailPoints;
use crate::output::elasticsearch::in_process::{Cluster, Fault, InProcess};
use crate::record;
use crate::tail::CarriedFiles;
use crate::tail::sim::{Op, SimFs};
use crate::tail::watch::{Wait, Waker, Watcher, Woken};
use crate::telemetry::Telemetry;

mod steps;

const LIVE: &str = "/logs/access.log";
const CHECKPOINT: &str = "/state/logweir/run/checkpoint";
/// 2026-11-23, 23:58 UTC: midnight is near.
const NOW: i64 = 1_795_478_280_000;
const SECOND: Duration = Duration::from_secs(1);
/// No run here is half as long, so a line expires only because the clock is wrong.
const RETENTION: Duration = Duration::from_secs(30 * 86_400);
/// The largest change of the clock, in milliseconds: longer than the retention.
const MONTHS: i64 = 50 * DAY_MILLIS;
const DAY_MILLIS: i64 = 86_400_000;
/// The reader needs fewer waits than this for any run.
const WAITS: usize = 60_000;

#[derive(Debug, Clone)]
enum Act {
    Append {
        lines: usize,
        half: bool,
    },
    /// New workers write this format until the next one; old workers keep theirs.
    Reload,
    Rotate {
        reopen: bool,
    },
    Reopen,
    Copytruncate,
    Compress {
        which: usize,
    },
    Delete,
    /// The faults of the next requests.
    Cluster(Vec<Fault>),
    /// The index of today or of yesterday is closed or opened.
    Close {
        today: bool,
        open: bool,
    },
    Limit {
        bytes: Option<usize>,
    },
    /// This many of these system calls fail.
    Disk {
        op: Op,
        path: &'static str,
        error: Errno,
        times: usize,
    },
    Heal,
    ClockJump {
        millis: i64,
    },
    Wait {
        millis: u64,
    },
    /// The agent is stopped and started normally, in the same process or in another.
    Restart {
        same_process: bool,
    },
    Kill(Crash),
}

#[derive(Debug, Clone, Copy)]
enum Crash {
    Process,
    Power {
        kept: usize,
        torn: u8,
    },
    /// After this many steps of the next saves.
    InSave {
        steps: usize,
    },
    TornCheckpoint,
    LostCheckpoint,
}

fn fault() -> impl Strategy<Value = Fault> {
    let items = |status, kind| {
        (1_usize..6).prop_map(move |every| Fault::Items {
            every,
            status,
            kind,
        })
    };
    prop_oneof![
        1 => Just(Fault::Refused),
        1 => Just(Fault::ResetBefore),
        3 => Just(Fault::ResetAfter),
        2 => Just(Fault::HangAfter),
        1 => (0_usize..400).prop_map(Fault::CutJson),
        1 => (0_usize..400).prop_map(Fault::CutBody),
        1 => Just(Fault::Html),
        1 => Just(Fault::WrongCount),
        1 => Just(Fault::Status(413, None, "")),
        1 => Just(Fault::Status(429, Some("2"), "es_rejected_execution_exception")),
        1 => Just(Fault::Status(503, None, "unavailable")),
        1 => Just(Fault::Status(401, None, "security_exception")),
        1 => Just(Fault::Status(400, None, "illegal_argument_exception")),
        2 => items(429, "es_rejected_execution_exception"),
        2 => items(503, "unavailable_shards_exception"),
        1 => items(403, "cluster_block_exception"),
        1 => items(400, "validation_exception"),
        1 => items(400, "document_parsing_exception"),
        1 => (1_usize..6).prop_map(|every| Fault::FailureStore { every }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let call = prop_oneof![
        (Just(Op::Open), Just("/logs"), Just(Errno::ACCESS)),
        (Just(Op::Open), Just("/"), Just(Errno::MFILE)),
        (Just(Op::Read), Just("/logs"), Just(Errno::IO)),
        (Just(Op::ReadDir), Just("/logs"), Just(Errno::MFILE)),
        (Just(Op::Stat), Just("/logs"), Just(Errno::IO)),
        (Just(Op::Create), Just("/state"), Just(Errno::NOSPC)),
        (Just(Op::Write), Just("/state"), Just(Errno::NOSPC)),
        (Just(Op::Sync), Just("/state"), Just(Errno::IO)),
        (Just(Op::Rename), Just("/state"), Just(Errno::IO)),
        (Just(Op::SyncDir), Just("/state"), Just(Errno::IO)),
    ];
    prop_oneof![
        12 => (1_usize..12, any::<bool>()).prop_map(|(lines, half)| Act::Append { lines, half }),
        1 => Just(Act::Reload),
        3 => any::<bool>().prop_map(|reopen| Act::Rotate { reopen }),
        2 => Just(Act::Reopen),
        2 => Just(Act::Copytruncate),
        2 => (0_usize..4).prop_map(|which| Act::Compress { which }),
        1 => Just(Act::Delete),
        5 => prop::collection::vec(fault(), 1..4).prop_map(Act::Cluster),
        2 => any::<(bool, bool)>().prop_map(|(today, open)| Act::Close { today, open }),
        1 => prop::option::of(600_usize..3_000).prop_map(|bytes| Act::Limit { bytes }),
        2 => (call, 1_usize..6)
            .prop_map(|((op, path, error), times)| Act::Disk { op, path, error, times }),
        2 => Just(Act::Heal),
        1 => (-10_000_000_i64..10_000_000).prop_map(|millis| Act::ClockJump { millis }),
        1 => (-MONTHS..MONTHS).prop_map(|millis| Act::ClockJump { millis }),
        8 => (1_u64..4_000).prop_map(|millis| Act::Wait { millis }),
        1 => (60_000_u64..1_000_000).prop_map(|millis| Act::Wait { millis }),
        3 => any::<bool>().prop_map(|same_process| Act::Restart { same_process }),
        5 => crash().prop_map(Act::Kill),
    ]
}

fn crash() -> impl Strategy<Value = Crash> {
    prop_oneof![
        4 => Just(Crash::Process),
        2 => (0_usize..4, any::<u8>()).prop_map(|(kept, torn)| Crash::Power { kept, torn }),
        2 => (0_usize..8).prop_map(|steps| Crash::InSave { steps }),
        1 => Just(Crash::TornCheckpoint),
        1 => Just(Crash::LostCheckpoint),
    ]
}

/// The panic payload that unwinds a killed reader.
struct Killed;

/// Everything outside of the agent.
struct World {
    fs: SimFs,
    clock: ManualClock,
    cluster: Arc<Mutex<Cluster>>,
    data_dir: TempDir,
    acts: VecDeque<Act>,
    /// How the agent that runs now ends, and the state it leaves.
    crash: Option<Crash>,
    writer: u64,
    unfinished_line: Vec<u8>,
    iso: bool,
    written: u64,
    ever: BTreeSet<String>,
    /// The lines as nginx wrote them; a line that an incomplete one runs into does not count.
    meant: BTreeSet<String>,
    /// The time until the next event.
    left: Duration,
    waits: usize,
    /// Nothing happened in the cluster for so long.
    quiet: Duration,
    bulks: usize,
    /// Indices in which something was refused for a while.
    finished: bool,
    /// How far the clock is off, milliseconds.
    off: i64,
    /// The checkpoint as it was when it was lost last.
    unusable: Option<Vec<u8>>,
    points: FailPoints,
    /// A death of the agent is a power cut, and this many file names survive.
    power: Option<usize>,
    same_process: bool,
    /// The state that the last agent carried over to the next in its process.
    handover: CarriedFiles<SimFs>,
}

impl World {
    fn new(acts: &[Act]) -> Self {
        let clock = ManualClock::new(NOW);
        let fs = SimFs::new(&clock, "/state");
        fs.mkdir("/logs");
        let writer = fs.touch(LIVE);
        fs.hold(writer, true);
        Self {
            fs,
            clock,
            cluster: Arc::default(),
            data_dir: TempDir::new().unwrap(),
            acts: acts.iter().cloned().collect(),
            crash: None,
            writer,
            unfinished_line: vec![],
            iso: false,
            written: 0,
            ever: BTreeSet::new(),
            meant: BTreeSet::new(),
            left: Duration::ZERO,
            waits: 0,
            quiet: Duration::ZERO,
            bulks: 0,
            finished: false,
            off: 0,
            unusable: None,
            points: FailPoints::default(),
            power: None,
            same_process: false,
            handover: CarriedFiles::default(),
        }
    }

    fn line(&mut self) -> String {
        self.written += 1;
        let (number, pad) = (
            self.written,
            "x".repeat(usize::try_from(self.written % 30).unwrap()),
        );
        let at = chrono::DateTime::from_timestamp_millis(self.clock.unix_millis()).unwrap();
        // Workers of before and after a reload take turns.
        let iso = self.iso && !number.is_multiple_of(3);
        let line = match number % 17 {
            0 => format!("rubbish {number:06} {pad}"),
            _ if iso => format!(
                "{number:06}{pad} {} 200 \"GET /l/{number:06} HTTP/1.1\"",
                at.to_rfc3339_opts(chrono::SecondsFormat::Secs, false)
            ),
            _ => format!(
                "203.0.113.7 - - [{}] \"GET /l/{number:06}{pad} HTTP/1.1\" 200 5 \"-\" \"curl/8\"",
                at.format("%d/%b/%Y:%H:%M:%S +0000")
            ),
        };
        self.meant.insert(line.clone());
        line
    }

    fn append(&mut self, lines: usize, half: bool) {
        let mut bytes = std::mem::take(&mut self.unfinished_line);
        for _ in 0..lines {
            bytes.extend(self.line().into_bytes());
            bytes.push(b'\n');
        }
        if half {
            let line = self.line() + "\n";
            let (begun, unfinished_line) = line.split_at(9);
            bytes.extend(begun.bytes());
            self.unfinished_line = unfinished_line.as_bytes().to_vec();
        }
        self.fs.append_inode(self.writer, &bytes);
        self.ever.extend(complete_lines(&self.fs.data(self.writer)));
    }

    fn reopen(&mut self) {
        self.fs.hold(self.writer, false);
        self.writer = self.fs.touch(LIVE);
        self.fs.hold(self.writer, true);
        self.unfinished_line.clear();
    }

    fn shift(&mut self) {
        let names = self.fs.names("/logs");
        for number in (1..30).rev() {
            for suffix in ["", ".gz"] {
                let from = format!("{LIVE}.{number}{suffix}");
                if names.contains(&from) {
                    self.fs.mv(&from, &format!("{LIVE}.{}{suffix}", number + 1));
                }
            }
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Append { lines, half } => self.append(lines, half),
            Act::Reload => self.iso = !self.iso,
            Act::Rotate { reopen } => {
                self.shift();
                self.fs.mv(LIVE, &format!("{LIVE}.1"));
                if reopen {
                    self.reopen();
                }
            }
            Act::Reopen => self.reopen(),
            Act::Copytruncate => {
                self.shift();
                if self.fs.exists(LIVE) {
                    self.fs.cp(LIVE, &format!("{LIVE}.1"));
                    self.fs.truncate(LIVE, 0);
                }
            }
            Act::Compress { which } => {
                let plain: Vec<String> = self.fs.names("/logs");
                let plain: Vec<&String> = plain
                    .iter()
                    .filter(|name| *name != LIVE && !name.ends_with(".gz"))
                    .collect();
                if let Some(name) = plain.get(which % plain.len().max(1)) {
                    self.fs.gzip(name, &format!("{name}.gz"));
                }
            }
            Act::Delete => self.fs.rm(LIVE),
            Act::Cluster(faults) => self.cluster.lock().unwrap().script.extend(faults),
            Act::Close { today, open } => {
                let day = self.clock.unix_millis() - if today { 0 } else { 86_400_000 };
                let day = chrono::DateTime::from_timestamp_millis(day).unwrap();
                let index = day.format("nginx-access-%Y.%m.%d").to_string();
                let mut cluster = self.cluster.lock().unwrap();
                if open {
                    cluster.closed.remove(&index);
                } else {
                    cluster.closed.insert(index);
                }
            }
            Act::Limit { bytes } => self.cluster.lock().unwrap().max_bytes = bytes,
            Act::Disk {
                op,
                path,
                error,
                times,
            } => self.fs.fail(op, path, error, times),
            Act::Heal => self.fs.heal(),
            Act::ClockJump { millis } => self.set_clock(millis),
            Act::Wait { millis } => self.left = Duration::from_millis(millis),
            Act::Restart { same_process } => {
                self.crash = None;
                self.same_process = same_process;
            }
            Act::Kill(crash) => {
                if let Crash::InSave { steps } = crash {
                    self.fs.disk.die_after(steps);
                    self.left = 3 * SECOND;
                }
                self.crash = Some(crash);
            }
        }
    }

    fn set_clock(&mut self, by: i64) {
        // The clock is not set far back: lines whose own time is old would rightly expire.
        let by = by.max(-DAY_MILLIS - self.off);
        self.clock.jump(by);
        self.off += by;
    }

    /// Starts another process if the last step killed this one; true if it did.
    fn start_after_death(&mut self) -> bool {
        let dead = self.points.revive();
        if dead && let Some(kept) = self.power {
            self.fs.disk.power_cut(kept, 128);
        }
        dead
    }

    /// What the dead agent left on the disk.
    fn leave(&mut self) {
        let lose = matches!(
            self.crash,
            Some(Crash::TornCheckpoint | Crash::LostCheckpoint)
        );
        if lose || self.unusable.as_ref() == Some(&self.fs.disk.content(CHECKPOINT)) {
            // The trusted time is lost with the positions: then only the clock counts.
            self.set_clock(-self.off);
        }
        match self.crash.take() {
            None | Some(Crash::Process) => {}
            Some(Crash::Power { kept, torn }) => self.fs.disk.power_cut(kept, torn),
            Some(Crash::InSave { .. }) => self.fs.heal(),
            Some(Crash::TornCheckpoint) => {
                let bytes = self.fs.disk.content(CHECKPOINT);
                self.fs.disk.put(CHECKPOINT, &bytes[..bytes.len() / 2]);
            }
            Some(Crash::LostCheckpoint) => {
                self.fs.disk.rm(CHECKPOINT);
                self.fs.disk.rm(&format!("{CHECKPOINT}.previous"));
            }
        }
        if lose {
            self.unusable = Some(self.fs.disk.content(CHECKPOINT));
        }
    }

    /// The script is over: there are no more faults.
    fn heal(&mut self) {
        self.fs.heal();
        let mut cluster = self.cluster.lock().unwrap();
        cluster.script.clear();
        cluster.closed.clear();
        cluster.max_bytes = None;
    }
}

/// A watcher whose waits advance the simulation.
struct Moments {
    calls: Watcher,
    runtime: Rc<Runtime>,
    world: Rc<RefCell<World>>,
    output: Arc<InProcess>,
    stop: Stop,
}

impl Wait for Moments {
    fn waker(&self) -> Waker {
        self.calls.waker()
    }

    fn arm<'p>(&mut self, _: impl IntoIterator<Item = &'p Path>) -> bool {
        true
    }

    fn disarm(&mut self) {}

    fn wait(&self, timeout: Duration) -> Woken {
        let mut world = self.world.borrow_mut();
        if world.points.is_dead() {
            drop(world);
            std::panic::resume_unwind(Box::new(Killed));
        }
        world.waits += 1;
        assert!(world.waits < WAITS, "it never ends");
        let before = world.clock.now();
        while world.left.is_zero() && !self.stop.drain.is_cancelled() {
            let Some(act) = world.acts.pop_front() else {
                self.settle_down(&mut world);
                break;
            };
            let end = matches!(act, Act::Restart { .. });
            world.act(act);
            if end {
                self.stop.drain();
            } else if world.crash.is_some() && world.left.is_zero() {
                drop(world);
                std::panic::resume_unwind(Box::new(Killed));
            }
        }
        // Steps are short while a response may come, because it would end the wait.
        let step = timeout.min(world.left.max(SECOND)).min(5 * SECOND);
        let step = step.max(Duration::from_millis(1));
        self.runtime
            .block_on(async { tokio::time::sleep(step).await });
        world.clock.advance(step);
        let dying = !world.left.is_zero() && world.left <= step && world.crash.is_some();
        world.left = world.left.saturating_sub(step);
        if dying {
            drop(world);
            std::panic::resume_unwind(Box::new(Killed));
        }
        let woken = self.calls.wait(Duration::ZERO);
        // Half of the events are lost; the directories are scanned nevertheless.
        if woken == Woken::Timeout && before.as_millis().is_multiple_of(2) {
            return Woken::Event;
        }
        woken
    }
}

impl Moments {
    /// Lets time pass without faults until nothing changes any more.
    fn settle_down(&self, world: &mut World) {
        world.heal();
        let bulks = world.cluster.lock().unwrap().bulks.len();
        let parked = |entry: std::io::Result<crate::output::dead_letters::Entry>| {
            entry.unwrap().kind == crate::output::dead_letters::EntryKind::Parked
        };
        if self.output.dead_letters().entries().unwrap().any(parked) {
            self.runtime.block_on(async {
                // an agent that dies meanwhile never returns
                let _ = tokio::time::timeout(600 * SECOND, self.output.resend_parked()).await;
            });
        } else if bulks == world.bulks {
            world.quiet += SECOND;
        }
        if bulks != world.bulks {
            world.quiet = Duration::ZERO;
        }
        world.bulks = bulks;
        // A file is closed after a while, and files that waited for that are found afterwards.
        world.left = if world.quiet.as_secs() == 3 {
            Duration::from_secs(4_000)
        } else {
            30 * SECOND
        };
        if world.quiet >= 6 * SECOND {
            world.finished = true;
            self.stop.drain();
        }
    }
}

/// Lines without `\n`, as they are to be delivered.
fn complete_lines(data: &[u8]) -> Vec<String> {
    let plain;
    let data = if data.starts_with(&[0x1f, 0x8b]) {
        let mut out = vec![];
        std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(data), &mut out).unwrap();
        plain = out;
        &plain
    } else {
        data
    };
    let text = std::str::from_utf8(data).unwrap();
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
        .map(str::to_owned)
        .collect()
}

fn harness(world: &World) -> Harness<SimFs, ManualClock> {
    let (fs, clock) = (world.fs.clone(), world.clock.clone());
    let mut harness = Harness::new(fs, clock, "/state/logweir", LIVE, "elasticsearch:test");
    harness.tail.max_line_bytes = 8192;
    harness.tail.read_bytes = 500;
    let iso = "$my_id $time_iso8601 $status \"$request\"";
    let iso = Format::compile(iso, Escape::Default).unwrap();
    harness.record = record::Settings {
        keep_original: true,
        ..record::tests::settings(vec![Format::combined(), iso])
    };
    harness.retain(Some(RETENTION));
    harness.pipeline.batch_bytes = 2048;
    harness.pipeline.batch_count = 7;
    harness
}

/// One agent from its start to its end.
fn run(world: &Rc<RefCell<World>>) {
    let runtime = Rc::new(paused_runtime());
    // Every clock reads the time of this runtime.
    let inside = runtime.enter();
    let calls = Watcher::new(true);
    let stop = Stop::new(calls.waker());
    let harness = harness(&world.borrow());
    let (tailer, output) = {
        let mut world = world.borrow_mut();
        let tailer = harness.tailer(&mut world.handover).or_else(|_| {
            // The disk is full at the start; the agent is started again later.
            world.start_after_death();
            world.fs.heal();
            harness.tailer(&mut world.handover)
        });
        let clock = Arc::new(world.clock.clone());
        let (cluster, data_dir) = (Arc::clone(&world.cluster), world.data_dir.path());
        let output = InProcess::new(cluster, data_dir, clock, &world.points);
        let tailer = tailer.map_err(|error| error.to_string()).unwrap();
        (tailer, output)
    };
    let telemetry = Telemetry::default();
    let moments = Moments {
        calls,
        runtime: Rc::clone(&runtime),
        world: Rc::clone(world),
        output: Arc::clone(&output),
        stop: stop.clone(),
    };
    let handle = runtime.handle();
    let reader = harness.reader(tailer, moments, &output, handle, &telemetry, &stop);
    drop(inside);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| reader.run()));
    let (ended, handover) = match ended {
        Ok((ended, handover)) => (Ok(ended), handover),
        Err(payload) => (Err(payload), CarriedFiles::default()),
    };
    if world.borrow().same_process && !world.borrow().points.is_dead() {
        world.borrow_mut().handover = handover;
    }
    world.borrow_mut().same_process = false;
    match ended {
        Ok(Ended::Broken) => assert!(world.borrow().points.injected(), "a delivery panicked"),
        Ok(_) if world.borrow().points.is_dead() => {}
        Ok(_) => assert_eq!(telemetry.snapshot().accounts.in_flight, 0),
        Err(payload) if payload.is::<Killed>() => {}
        Err(payload) => std::panic::resume_unwind(payload),
    }
    assert!(telemetry.snapshot().accounts.balance());
    let mut world = world.borrow_mut();
    world.start_after_death();
    world.leave();
}

/// How often each line is in the cluster, and in the dead-letter file.
fn delivered(world: &World) -> BTreeMap<String, usize> {
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    let cluster = world.cluster.lock().unwrap();
    let original = |document: &str| {
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        document["event"]["original"].as_str().unwrap().to_owned()
    };
    for ((index, _), document) in &cluster.documents {
        let line = original(document);
        let parsed = world.meant.contains(&line) && !line.starts_with("rubbish");
        assert!(
            !(parsed && document.contains("\"error\"")),
            "unparsed: {document}"
        );
        assert!(
            !(parsed && index == "nginx-access-unparsed"),
            "in {index}: {line}"
        );
        *lines.entry(line).or_default() += 1;
    }
    let mut elsewhere = BTreeSet::new();
    for document in cluster.diverted.values() {
        elsewhere.insert(original(document));
    }
    let output = InProcess::new(
        Arc::clone(&world.cluster),
        world.data_dir.path(),
        Arc::new(world.clock.clone()),
        &FailPoints::default(),
    );
    for entry in output.dead_letters().entries().unwrap() {
        elsewhere.insert(original(entry.unwrap().document.unwrap().get()));
    }
    // A line in the dead-letter file may be in the cluster too, when it was read again after a crash.
    for line in elsewhere {
        lines.entry(line).or_insert(1);
    }
    lines
}

fn live(acts: &[Act]) {
    live_in(World::new(acts));
}

fn live_in(world: World) {
    let world = Rc::new(RefCell::new(world));
    while !world.borrow().finished {
        run(&world);
    }
    let first = delivered(&world.borrow());
    check(&world.borrow(), &first);
    // And another start finds nothing new.
    {
        let mut world = world.borrow_mut();
        world.finished = false;
        world.quiet = Duration::ZERO;
    }
    run(&world);
    assert_eq!(delivered(&world.borrow()), first);
}

fn check(world: &World, delivered: &BTreeMap<String, usize>) {
    for (line, count) in delivered {
        assert_eq!(*count, 1, "doubled: {line}");
        assert!(world.ever.contains(line), "never written: {line}");
    }
    let held = HashMap::from([(world.writer, 1)]);
    for data in world.fs.reachable("/logs", &held) {
        for line in complete_lines(&data) {
            assert!(
                delivered.contains_key(&line),
                "lost: {line}; files: {:?}",
                world.fs.names("/logs")
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 600,
        ..crate::replay::lives(400)
    })]

    #[test]
    fn every_line_once_from_file_to_cluster(acts in prop::collection::vec(act(), 1..40)) {
        live(&acts);
    }
}
