//! Another user beside the agent, who asks the store how many requests it has, once a second.
//!
//! Invariant: once there is a store, every question is answered, and no answer is less than the one before.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;

/// User and group `nobody` on Debian.
const NOBODY: u32 = 65_534;
const EVERY: Duration = Duration::from_secs(1);
/// Failures that are told.
const NAMED: usize = 5;

/// The asking user.
pub(super) struct Reader {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Readings>>,
}

/// What it saw.
#[derive(Debug, Default)]
pub(super) struct Readings {
    pub(super) runs: u64,
    /// Those that failed because there was no store yet.
    pub(super) before_the_store: u64,
    /// The last answer.
    pub(super) requests: u64,
    pub(super) wrong: Vec<String>,
}

/// Lets the reader's group read what the agent makes in `data` from now on, as an operator would: directories that are
/// made below take over the group. False where only the agent's own user can ask.
pub(super) fn admit(data: &Path) -> Result<bool> {
    fs::create_dir_all(data)?;
    if !rustix::process::geteuid().is_root() {
        return Ok(false);
    }
    chown(data, None, Some(NOBODY))?;
    fs::set_permissions(data, Permissions::from_mode(0o2750))?;
    Ok(true)
}

impl Reader {
    /// Starts asking the store at `store`, as another user where that is possible.
    pub(super) fn start(program: &Path, folder: &Path, store: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let question = Question {
            program: program.to_owned(),
            config: folder.join("logweir.toml"),
            store: store.to_owned(),
        };
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut readings = Readings::default();
            loop {
                let last = stopped.load(Ordering::Relaxed);
                let begin = Instant::now();
                question.ask(&mut readings)?;
                if last {
                    return Ok(readings);
                }
                while begin.elapsed() < EVERY && !stopped.load(Ordering::Relaxed) {
                    sleep(Duration::from_millis(20));
                }
            }
        });
        Self { stop, thread }
    }

    /// Asks once more, and gives what was seen.
    pub(super) fn stop(self) -> Result<Readings> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow!("the reader broke off"))?
    }
}

struct Question {
    program: PathBuf,
    config: PathBuf,
    store: PathBuf,
}

impl Question {
    fn ask(&self, readings: &mut Readings) -> Result<()> {
        let there = self.store.is_dir() && self.config.exists();
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .current_dir("/")
            .args(["top", "--json", "--utc"])
            .args(["--from", "2000-01-01", "--to", "2100-01-01", "-c"])
            .arg(&self.config);
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let done = command.output().context("cannot start the reader")?;
        readings.runs += 1;
        let answered = match done.status.success() {
            true => requests(&done.stdout),
            false if !there => {
                readings.before_the_store += 1;
                return Ok(());
            }
            false => Err(anyhow!(
                "{}: {}",
                done.status,
                String::from_utf8_lossy(&done.stderr).trim()
            )),
        };
        let counted = answered.and_then(|requests| {
            let before = std::mem::replace(&mut readings.requests, requests);
            ensure!(
                requests >= before,
                "{before} requests, and then {requests} of them"
            );
            Ok(())
        });
        if let Err(error) = counted
            && readings.wrong.len() < NAMED
        {
            let words = format!("run {} of the reader: {error:#}", readings.runs);
            readings.wrong.push(words);
        }
        Ok(())
    }
}

fn requests(answer: &[u8]) -> Result<u64> {
    let answer: Value = serde_json::from_slice(answer).context("the answer is no JSON")?;
    answer["requests"]
        .as_u64()
        .context("the answer has no count of requests")
}
