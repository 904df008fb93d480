//! Many logs: the time until the agent has read them all, and their cost when no log is written and when one is.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::{Agent, all_arrived, cluster, grouped, megabytes};
use crate::sink::Sink;
use testkit::child::Tied;
use testkit::load::Lines;
use testkit::usage::{self, Cpu};

/// So many logs lie in one directory.
const IN_ONE_DIRECTORY: usize = 100;
/// Not measured: the agent needs it to become idle after its start.
const SETTLE: Duration = Duration::from_secs(5);
const WITHIN: Duration = Duration::from_secs(300);
/// Longer than the agent's usual time between two looks at all directories.
const MEASURED: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(100);

pub(super) fn run(agent: &Agent, count: usize) -> Result<()> {
    let mut lines = Lines::new();
    let logs = write(agent, count, &mut lines)?;
    let sink = Sink::start(false);
    let glob = agent.folder.join("logs/*/*access.log");
    let start = Instant::now();
    let mut child =
        agent.start(&agent.command(&[], &["run"], &glob, &cluster(&sink, "250ms"))?)?;
    let arrived = |_: &Tied| (sink.counts().0 >= count as u64).then_some(());
    child.wait_until("all lines in the sink", WITHIN, arrived)?;
    let started = start.elapsed();
    all_arrived(&sink, count as u64, &agent.folder.join("agent.log"))?;
    sleep(SETTLE);

    let pid = child.id();
    let idle = measure(pid, || Ok(()))?;
    let Some(busy_log) = logs.first() else {
        return Ok(());
    };
    let mut log = OpenOptions::new().append(true).open(busy_log)?;
    let begin = Instant::now();
    let busy = measure(pid, || {
        let mut block = Vec::new();
        lines.push(begin.elapsed().as_secs(), "", &mut block);
        Ok(log.write_all(&block)?)
    })?;
    let memory = usage::memory(pid, "VmRSS").context("the agent has ended")?;
    println!(
        "{} logs: all read {:.1} s after the start, RSS {:.1} MB, CPU while nothing is written {:.2} % of a core, while \
         ten lines a second go to one of them {:.2} %",
        grouped(count as u64),
        started.as_secs_f64(),
        megabytes(memory),
        idle,
        busy,
    );
    Ok(())
}

/// A line in each of so many logs.
fn write(agent: &Agent, count: usize, lines: &mut Lines) -> Result<Vec<PathBuf>> {
    let mut logs = Vec::with_capacity(count);
    for at in 0..count {
        let directory = agent.folder.join(format!("logs/{}", at / IN_ONE_DIRECTORY));
        fs::create_dir_all(&directory)?;
        let log = directory.join(format!("site-{at}-access.log"));
        let mut block = Vec::new();
        // No two first lines are equal: each has its own time and address.
        lines.push(at as u64, &format!("site={at}"), &mut block);
        fs::write(&log, block)?;
        logs.push(log);
    }
    Ok(logs)
}

/// The share of a core that a process uses, in percent, while `each_tick` is called.
fn measure(pid: u32, mut each_tick: impl FnMut() -> Result<()>) -> Result<f64> {
    let before = Cpu::of(pid)?;
    let start = Instant::now();
    while start.elapsed() < MEASURED {
        each_tick()?;
        sleep(TICK);
    }
    let used = Cpu::of(pid)?.total().saturating_sub(before.total());
    Ok(used.as_secs_f64() / start.elapsed().as_secs_f64() * 100.0)
}
