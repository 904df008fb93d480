//! The embedded store: a whole file as fast as it goes, and a steady trickle, seen by a reader beside the agent, with
//! `logweir top` over the last minute each second.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use logweir_store::Reader;

use super::steady::{due, percent};
use super::whole::{RUN_WITHIN, write_file};
use super::{Agent, grouped, megabytes, per};
use testkit::load::Lines;
use testkit::usage::{self, Cpu};

/// The lines have times of their own, which may be old.
const SECTION: &str = "[store]\nretention = \"36000d\"\n";
/// Lines are appended, and the store is looked at, this often.
const TICK: Duration = Duration::from_millis(5);
/// Not measured: the first commits and merges.
const SETTLE: Duration = Duration::from_secs(5);
const START_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn whole(agent: &Agent, lines: u64, runs: u32) -> Result<()> {
    let log = write_file(&agent.folder, lines)?;
    println!("{} lines of combined into the store", grouped(lines));
    for _ in 0..runs {
        let command = agent.command(&[], &["run", "--once"], &log, SECTION)?;
        let start = Instant::now();
        let child = agent.start(&command)?;
        let pid = child.id();
        let mut peak = 0;
        child.wait_for_end(RUN_WITHIN, || {
            peak = usage::memory(pid, "VmHWM").unwrap_or(0).max(peak);
        })?;
        let wall = start.elapsed();
        let cpu = Cpu::of(pid)?.total();
        let status = child.stop()?;
        ensure!(status.success(), "the agent ended with {status}");
        let found = documents(&directory(agent));
        ensure!(found == lines, "{lines} lines, but {found} documents");
        let bytes = size(&directory(agent))?;
        println!(
            "  {:>9.0} lines per CPU-second   cpu {:.2} s   wall {:.2} s   peak RSS {:.1} MB   \
             {:.1} MB on disk for each million lines",
            per(lines, cpu),
            cpu.as_secs_f64(),
            wall.as_secs_f64(),
            megabytes(peak),
            megabytes(bytes * 1_000_000 / lines.max(1)),
        );
    }
    fs::remove_file(&log)?;
    Ok(())
}

pub(super) fn steady(agent: &Agent, rate: u64, duration: Duration) -> Result<()> {
    let path = agent.folder.join("access.log");
    let mut log = OpenOptions::new().create(true).append(true).open(&path)?;
    let mut child = agent.start(&agent.command(&[], &["run"], &path, SECTION)?)?;
    let store = directory(agent);
    let mut lines = Lines::new();
    let mut block = Vec::new();
    lines.push(0, "", &mut block);
    log.write_all(&block)?;
    child.wait_until("the first line in the store", START_WITHIN, |_| {
        (documents(&store) == 1).then_some(())
    })?;

    let start = Instant::now();
    let (mut written, mut begun) = (1, None);
    // the moments at which so many lines were written, until they are seen
    let mut unseen: Vec<(u64, Instant)> = Vec::new();
    let (mut delays, mut answers) = (Vec::new(), Vec::new());
    let mut next_question = SETTLE;
    loop {
        let elapsed = start.elapsed();
        if begun.is_none() && elapsed >= SETTLE {
            begun = Some((Instant::now(), Cpu::of(child.id())?.total()));
            unseen.clear();
        }
        if elapsed >= SETTLE + duration {
            break;
        }
        block.clear();
        let due_now = 1 + due(rate, elapsed);
        for _ in written..due_now {
            lines.push(elapsed.as_secs(), "", &mut block);
        }
        log.write_all(&block)?;
        if due_now > written {
            written = due_now;
            unseen.push((written, Instant::now()));
        }
        let seen = documents(&store);
        if begun.is_some() {
            let done = unseen.partition_point(|(count, _)| *count <= seen);
            delays.extend(unseen.drain(..done).map(|(_, at)| at.elapsed()));
        }
        if elapsed >= next_question {
            next_question = elapsed + Duration::from_secs(1);
            answers.push(ask(agent, elapsed.as_secs())?);
        }
        sleep(TICK);
    }
    let (begun, before) = begun.context("no time was measured")?;
    let wall = begun.elapsed();
    let used = Cpu::of(child.id())?.total().saturating_sub(before);
    let memory = usage::memory(child.id(), "VmHWM").context("the agent has ended")?;
    let at = |times: &mut Vec<Duration>, percent: usize| {
        times.sort_unstable();
        let time = times.get(times.len().saturating_sub(1) * percent / 100);
        time.copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    println!(
        "{} lines a second for {:.0} s into the store: CPU {:.1} % of a core, peak RSS {:.1} MB, line to reader p50 {:.0} ms, \
         p99 {:.0} ms, most {:.0} ms; `logweir top` of the last minute, from its start to its end: p50 {:.0} ms, most {:.0} ms",
        grouped(rate),
        wall.as_secs_f64(),
        percent(used, wall),
        megabytes(memory),
        at(&mut delays, 50),
        at(&mut delays, 99),
        at(&mut delays, 100),
        at(&mut answers, 50),
        at(&mut answers, 100),
    );
    // A stop would leave unread lines to the next start.
    child.wait_until("the last line in the store", START_WITHIN, |_| {
        (documents(&store) >= written).then_some(())
    })?;
    let status = child.stop()?;
    ensure!(status.success(), "the agent ended with {status}");
    let found = documents(&store);
    ensure!(found == written, "{written} lines, but {found} documents");
    Ok(())
}

/// Asks for the top ten routes of the minute before the second `second` of the lines' day, as a user would.
fn ask(agent: &Agent, second: u64) -> Result<Duration> {
    let time = |second: u64| {
        let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
        format!("2026-11-23T{hour:02}:{minute:02}:{second:02}Z")
    };
    let (from, to) = (time(second.saturating_sub(60)), time(second));
    let begun = Instant::now();
    let answer = Command::new(&agent.program)
        .args(["top", "--limit", "10", "--from", &from, "--to", &to, "-c"])
        .arg(agent.folder.join("logweir.toml"))
        .stdin(Stdio::null())
        .output()?;
    let time = begun.elapsed();
    let text = String::from_utf8_lossy(&answer.stderr);
    ensure!(answer.status.success(), "logweir top: {text}");
    Ok(time)
}

fn directory(agent: &Agent) -> PathBuf {
    agent.folder.join("data/store")
}

/// Documents that a reader finds; none while there is no store.
fn documents(store: &Path) -> u64 {
    let days = Reader::open(store).and_then(|reader| reader.days());
    days.map_or(0, |days| days.iter().map(|day| day.documents).sum())
}

/// Bytes of all files in a directory and below.
fn size(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            size(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
