//! A process that a chore starts, and that never outlives it: stopped on drop, by its own id; and by the kernel, when
//! the chore is killed (`setpriv --pdeathsig`, of util-linux).
//!
//! The kernel's signal comes when the *thread* that started the process ends: start children from the main thread.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// How long a process may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a waiting chore looks.
const LOOK: Duration = Duration::from_millis(20);
/// The same where the moment of the end is measured.
const LOOK_CLOSELY: Duration = Duration::from_millis(2);
/// The number of output lines that an error shows.
const TAIL_LINES: usize = 25;

/// A running process with its output in a file.
pub struct Tied {
    name: String,
    child: Child,
    log: PathBuf,
}

/// `command`, to be killed by the kernel when the calling thread ends.
pub fn tied(command: &Command) -> Command {
    let mut tied = Command::new("setpriv");
    tied.args(["--pdeathsig", "TERM"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(name, value),
            None => tied.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        tied.current_dir(folder);
    }
    tied
}

impl Tied {
    /// Starts `command` with everything that it prints going to the file `log`.
    pub fn start(name: &str, command: &Command, log: PathBuf) -> Result<Self> {
        let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = tied(command)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .context("cannot start setpriv (of util-linux)")?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The end of what it printed.
    pub fn tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(TAIL_LINES);
        format!(
            "the end of {}:\n{}",
            self.log.display(),
            lines.get(from..).unwrap_or(&[]).join("\n")
        )
    }

    /// Looks again and again until `ready` gives something; an error when the process ends before that, or the time
    /// is up.
    pub fn wait_until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = ready(self) {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended ({status}) before {what}; {}",
                    self.name,
                    self.tail()
                );
            }
            if start.elapsed() > limit {
                bail!(
                    "{}: no sign of {what} after {} s; {}",
                    self.name,
                    limit.as_secs(),
                    self.tail()
                );
            }
            sleep(LOOK);
        }
    }

    /// Calls `look` until the process has ended. The process is not reaped yet: what the kernel counted for it stays
    /// readable until [`Tied::stop`].
    pub fn wait_for_end(&self, limit: Duration, mut look: impl FnMut()) -> Result<()> {
        let pid = self.pid().context("a process id is a positive number")?;
        let start = Instant::now();
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while waitid(WaitId::Pid(pid), options)?.is_none() {
            if start.elapsed() > limit {
                bail!(
                    "{} is still running after {} s; {}",
                    self.name,
                    limit.as_secs(),
                    self.tail()
                );
            }
            look();
            sleep(LOOK_CLOSELY);
        }
        Ok(())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().context("a process id is a positive number")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Its process id, as system calls take it.
    pub fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }

    /// The rest of the first output line that begins with this text.
    pub fn line(&self, beginning: &str) -> Option<String> {
        let text = fs::read_to_string(&self.log).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix(beginning))
            .map(str::to_owned)
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.terminate()
            .with_context(|| format!("cannot stop {}", self.name))
    }

    fn terminate(&mut self) -> Result<ExitStatus> {
        let start = Instant::now();
        if let (None, Some(pid)) = (self.child.try_wait()?, self.pid()) {
            kill_process(pid, Signal::TERM)?;
        }
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() > PATIENCE {
                self.child.kill()?;
            }
            sleep(LOOK);
        }
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        if let Err(error) = self.terminate() {
            eprintln!(
                "cannot stop {} (process {}): {error:#}",
                self.name,
                self.child.id()
            );
        }
    }
}
