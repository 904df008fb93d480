//! A whole file, as fast as it goes: lines per CPU-second, peak memory, instructions per line.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::{Agent, all_arrived, cluster, grouped, megabytes, per};
use crate::sink::Sink;
use testkit::load::Lines;
use testkit::usage::{self, Cpu};
use testkit::{child, tools};

/// Lines that share a second.
const LINES_PER_SECOND: u64 = 200;
/// The time limit allows for an agent a hundred times slower than it should be.
pub(super) const RUN_WITHIN: Duration = Duration::from_secs(600);
const FLUSH_INTERVAL: &str = "1s";
/// The two file sizes of the instruction count, in lines.
const INSTRUCTION_LINES: [u64; 2] = [20_000, 120_000];

pub(super) fn run(agent: &Agent, lines: u64, runs: u32) -> Result<()> {
    let log = write_file(&agent.folder, lines)?;
    let size = std::fs::metadata(&log)?.len();
    println!(
        "{} lines of combined, {:.1} MB, one connection, no gzip",
        grouped(lines),
        megabytes(size)
    );
    for _ in 0..runs {
        let sink = Sink::start(false);
        let command = agent.command(
            &[],
            &["run", "--once"],
            &log,
            &cluster(&sink, FLUSH_INTERVAL),
        )?;
        let start = Instant::now();
        let child = agent.start(&command)?;
        let pid = child.id();
        let mut peak = 0;
        // Its times are final when it has ended, and readable until the parent waits for it.
        child.wait_for_end(RUN_WITHIN, || {
            peak = usage::memory(pid, "VmHWM").unwrap_or(0).max(peak);
        })?;
        let wall = start.elapsed();
        let cpu = Cpu::of(pid)?;
        let status = child.stop()?;
        ensure!(status.success(), "the agent ended with {status}");
        all_arrived(&sink, lines, &agent.folder.join("agent.log"))?;
        let (_, requests, bytes) = sink.counts();
        println!(
            "  {:>9.0} lines per CPU-second   cpu {:.2} s (user {:.2} + system {:.2})   wall {:.2} s   \
             peak RSS {:.1} MB   {requests} requests, {:.0} MB",
            per(lines, cpu.total()),
            cpu.total().as_secs_f64(),
            cpu.user.as_secs_f64(),
            cpu.system.as_secs_f64(),
            wall.as_secs_f64(),
            megabytes(peak),
            megabytes(bytes),
        );
    }
    std::fs::remove_file(&log)?;
    Ok(())
}

pub(super) fn instructions(agent: &Agent) -> Result<()> {
    if !tools::answers("valgrind", "--version") {
        println!(
            "  instructions per line: left out, valgrind is not there (apt-get install valgrind)"
        );
        return Ok(());
    }
    let mut counts = [0; 2];
    for (lines, count) in INSTRUCTION_LINES.into_iter().zip(&mut counts) {
        let log = write_file(&agent.folder, lines)?;
        let sink = Sink::start(false);
        let valgrind = [
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
        ];
        let command = agent.command(
            &valgrind,
            &["run", "--once"],
            &log,
            &cluster(&sink, FLUSH_INTERVAL),
        )?;
        let output = child::tied(&command).output()?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "valgrind ended with {}: {words}",
            output.status
        );
        all_arrived(&sink, lines, &log)?;
        *count = collected(&words).context("callgrind gave no \"Collected\" line")?;
        std::fs::remove_file(&log)?;
    }
    let [few, many] = INSTRUCTION_LINES;
    let per_line = counts[1].saturating_sub(counts[0]) / (many - few);
    println!(
        "  {per_line} instructions per line (callgrind: {} for {} lines, {} for {})",
        grouped(counts[0]),
        grouped(few),
        grouped(counts[1]),
        grouped(many),
    );
    Ok(())
}

/// The number in callgrind's `==7== Collected : 12345`.
fn collected(words: &str) -> Option<u64> {
    words
        .lines()
        .find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

pub(super) fn write_file(folder: &Path, lines: u64) -> Result<PathBuf> {
    let path = folder.join("access.log");
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    let mut generator = Lines::new();
    let mut line = Vec::new();
    for number in 0..lines {
        line.clear();
        generator.push(number / LINES_PER_SECOND, "", &mut line);
        file.write_all(&line)?;
    }
    file.flush()?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_of_callgrind_is_parsed() {
        let words = "==7== Events    : Ir\n==7== Collected : 1234567\n==7== \n";
        assert_eq!(collected(words), Some(1_234_567));
    }
}
