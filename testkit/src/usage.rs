//! The resources that a process has used, as the kernel counts them (proc(5): `/proc/PID/stat`, `/proc/PID/status`).

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// `USER_HZ`: 100 on every architecture that Linux runs servers on.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of all threads of a process, those that ended included. Readable until the process has been waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    pub user: Duration,
    pub system: Duration,
}

impl Cpu {
    /// Of the process with this id.
    pub fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Self::parse(&stat).with_context(|| format!("cannot understand /proc/{pid}/stat"))
    }

    fn parse(stat: &str) -> Option<Self> {
        // The second field, the program's name in parentheses, may hold anything; utime and stime are the
        // 14th and 15th.
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace().skip(11);
        let mut ticks = || Some(TICK * fields.next()?.parse().ok()?);
        Some(Self {
            user: ticks()?,
            system: ticks()?,
        })
    }

    pub fn total(self) -> Duration {
        self.user + self.system
    }
}

/// A figure of `/proc/PID/status` in bytes: `VmRSS` is what stands in memory now, `VmHWM` the most that ever did. None
/// when the process has ended.
pub fn memory(pid: u32, figure: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(figure))?;
    let kib: u64 = line
        .trim_start_matches(':')
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_hides_no_field() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 0 10 0 0 0 150 25 0 0 20 0 1 0 5 0 0";
        let cpu = Cpu::parse(stat).unwrap();
        assert_eq!((cpu.user.as_millis(), cpu.system.as_millis()), (1500, 250));
    }

    #[test]
    fn this_process_is_in_memory() {
        let now = memory(std::process::id(), "VmRSS").unwrap();
        let most = memory(std::process::id(), "VmHWM").unwrap();
        assert!(now > 0 && most >= now);
    }
}
