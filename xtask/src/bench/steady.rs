//! A steady trickle of lines, or none: the delay of a line, and the cost of the agent.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::{Agent, all_arrived, cluster, grouped, megabytes};
use crate::sink::{SENT, Sink};
use testkit::child::Tied;
use testkit::load::Lines;
use testkit::usage::{self, Cpu};

/// Lines are appended this often, as many as are due: a web server's log grows in about such steps.
const TICK: Duration = Duration::from_millis(1);
/// Not measured: the agent needs it to become idle after its start.
const SETTLE: Duration = Duration::from_secs(3);
const START_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn run(agent: &Agent, rate: u64, duration: Duration, flush: &str) -> Result<()> {
    let mut bench = Bench::start(agent, flush)?;
    bench.write(rate, SETTLE)?;
    bench.all_settled()?;
    bench.sink.take_latencies();

    let before = Cpu::of(bench.child.id())?;
    let start = Instant::now();
    bench.write(rate, duration)?;
    let wall = start.elapsed();
    let used = Cpu::of(bench.child.id())?
        .total()
        .saturating_sub(before.total());
    let memory = usage::memory(bench.child.id(), "VmRSS").unwrap_or(0);
    bench.all_settled()?;

    let mut latencies = bench.sink.take_latencies();
    latencies.sort_unstable();
    let at = |percent: usize| {
        let index = latencies.len().saturating_sub(1) * percent / 100;
        latencies
            .get(index)
            .copied()
            .unwrap_or_default()
            .as_secs_f64()
            * 1e3
    };
    println!(
        "{} lines a second for {:.0} s, flush_interval {flush}: CPU {:.2} % of a core, RSS {:.1} MB, \
         line to sink p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms ({} lines)",
        grouped(rate),
        wall.as_secs_f64(),
        percent(used, wall),
        megabytes(memory),
        at(50),
        at(99),
        at(100),
        grouped(latencies.len() as u64),
    );
    Ok(())
}

pub(super) fn idle(agent: &Agent, duration: Duration) -> Result<()> {
    let bench = Bench::start(agent, "1s")?;
    sleep(SETTLE);
    let before = Cpu::of(bench.child.id())?;
    let start = Instant::now();
    sleep(duration);
    let used = Cpu::of(bench.child.id())?
        .total()
        .saturating_sub(before.total());
    let memory = usage::memory(bench.child.id(), "VmRSS").context("the agent has ended")?;
    println!(
        "idle for {} s: CPU {:.3} % of a core, RSS {:.1} MB",
        duration.as_secs(),
        percent(used, start.elapsed()),
        megabytes(memory),
    );
    Ok(())
}

pub(super) fn percent(used: Duration, wall: Duration) -> f64 {
    used.as_secs_f64() / wall.as_secs_f64() * 100.0
}

/// An agent that follows a file, the file, and the sink behind it.
struct Bench<'a> {
    agent: &'a Agent,
    sink: Sink,
    child: Tied,
    log: File,
    lines: Lines,
    written: u64,
}

impl<'a> Bench<'a> {
    /// Starts the agent and sends a first line through it.
    fn start(agent: &'a Agent, flush: &str) -> Result<Self> {
        let path = agent.folder.join("access.log");
        let log = OpenOptions::new().create(true).append(true).open(&path)?;
        let sink = Sink::start(true);
        let child = agent.start(&agent.command(&[], &["run"], &path, &cluster(&sink, flush))?)?;
        let mut bench = Self {
            agent,
            sink,
            child,
            log,
            lines: Lines::new(),
            written: 0,
        };
        bench.write(1, TICK)?;
        bench.all_settled()?;
        Ok(bench)
    }

    /// Appends `rate` lines a second for so long, each with the moment of its writing.
    fn write(&mut self, rate: u64, duration: Duration) -> Result<()> {
        let start = Instant::now();
        let mut due_before = 0;
        let mut block = Vec::new();
        let total = due(rate, duration).max(1);
        while due_before < total {
            let due_now = due(rate, start.elapsed()).min(total).max(1);
            block.clear();
            let query = format!("{SENT}{}", self.sink.epoch().elapsed().as_nanos());
            for _ in due_before..due_now {
                self.lines
                    .push(start.elapsed().as_secs(), &query, &mut block);
            }
            self.log.write_all(&block)?;
            self.written += due_now - due_before;
            due_before = due_now;
            sleep(TICK);
        }
        Ok(())
    }

    /// Waits until all written lines have arrived.
    fn all_settled(&mut self) -> Result<()> {
        let (sink, written) = (&self.sink, self.written);
        let arrived = |_: &Tied| (sink.counts().0 >= written).then_some(());
        self.child
            .wait_until("all lines in the sink", START_WITHIN, arrived)?;
        all_arrived(&self.sink, written, &self.agent.folder.join("agent.log"))
    }
}

/// Lines that should have been written after so long.
pub(super) fn due(rate: u64, elapsed: Duration) -> u64 {
    u64::try_from(u128::from(rate) * elapsed.as_micros() / 1_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_due_lines_follows_the_clock() {
        assert_eq!(due(10_000, Duration::from_millis(1)), 10);
        assert_eq!(due(10_000, Duration::from_secs(20)), 200_000);
    }
}
