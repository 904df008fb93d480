//! The demo's agent: this program in a process of its own, as an operator would run it.
//!
//! Owns the process. Invariant: when the agent is killed another one goes on, and none outlives the demo.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The agent.
pub(super) struct AgentProcess {
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
    child: Child,
    /// Agents that ended and were replaced.
    pub(super) restarts: u32,
}

impl AgentProcess {
    /// Starts `program run`; what it logs goes to the file `log`.
    pub(super) fn start(program: PathBuf, config: PathBuf, log: PathBuf) -> io::Result<Self> {
        let child = spawn(&program, &config, &log)?;
        Ok(Self {
            program,
            config,
            log,
            child,
            restarts: 0,
        })
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts another one when it has ended. An agent that ended by itself is an error: it would do so again.
    pub(super) fn keep_alive(&mut self) -> io::Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        if status.code().is_some() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let last = log.lines().last().unwrap_or("its log is empty");
            return Err(io::Error::other(format!("it ended ({status}): {last}")));
        }
        self.child = spawn(&self.program, &self.config, &self.log)?;
        self.restarts += 1;
        Ok(())
    }

    /// Stops it and waits until it has ended.
    pub(super) fn stop(mut self) -> io::Result<()> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // one that has ended is no failure
            let _ = kill_process(pid, Signal::TERM);
        }
        self.child.wait().map(drop)
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        // Only where the demo fails: `stop` has waited for it otherwise.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &Path, config: &Path, log: &Path) -> io::Result<Child> {
    let log = OpenOptions::new().append(true).create(true).open(log)?;
    Command::new(program)
        .args(["run", "--with-parent", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        // Ctrl-C is for the demo, which stops the agent when it has indexed what was written.
        .process_group(0)
        .spawn()
}
