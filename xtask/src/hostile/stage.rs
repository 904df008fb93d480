//! One attack's stage: a log, a cluster, and the agent between them under tight limits.
//!
//! It owns the count of lines that were written, and the proof that each arrived once. It does not know the attack.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::cluster::Cluster;
use testkit::child::Tied;
use testkit::lines::{append_bytes, line};
use testkit::{http, usage};

/// Descriptors, and KiB of address space, as docs/SECURITY.md promises.
const LIMITS: &str = "ulimit -n 1024; ulimit -v 1000000; exec \"$0\" \"$@\"";
/// The most memory that the agent may use under any attack.
const MEMORY: u64 = 150_000_000;
const START_WITHIN: Duration = Duration::from_secs(20);
const ARRIVE_WITHIN: Duration = Duration::from_secs(90);
/// The time limit of a page.
const RESPONSE_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

pub(super) struct Stage {
    folder: PathBuf,
    pub(super) cluster: Cluster,
    pub(super) http: SocketAddr,
    agent: Tied,
    lines: u32,
}

/// The settings of one attack.
#[derive(Default)]
pub(super) struct Setting<'s> {
    /// Further paths of logs.
    pub(super) logs: Vec<String>,
    /// Further sections of the configuration.
    pub(super) sections: &'s str,
}

impl Stage {
    /// Starts the agent in this folder, and waits until a first line went through.
    pub(super) fn open(program: &Path, folder: &Path, setting: &Setting<'_>) -> Result<Self> {
        let cluster = Cluster::start();
        let http = SocketAddr::from(([127, 0, 0, 1], testkit::ports::free_port()));
        let logs = folder.join("logs");
        fs::create_dir_all(&logs)?;
        let paths: Vec<String> = [logs.join("access.log").display().to_string()]
            .into_iter()
            .chain(setting.logs.iter().cloned())
            .map(|path| format!("'{path}'"))
            .collect();
        let nginx_conf = folder.join("nginx.conf");
        fs::write(&nginx_conf, "events {}\nhttp { access_log off; }\n")?;
        let config = folder.join("logweir.toml");
        let text = format!(
            "host = \"hostile\"\ndata_dir = '{}'\nnginx_conf = '{}'\n\n[[logs]]\npaths = [{}]\nformat = \"combined\"\n\n\
             [elasticsearch]\nnodes = [\"{}\"]\ngzip = false\nflush_interval = \"50ms\"\n\n[http]\nlisten = \"{http}\"\n\n{}",
            folder.join("data").display(),
            nginx_conf.display(),
            paths.join(", "),
            cluster.address(),
            setting.sections,
        );
        fs::write(&config, text)?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", LIMITS]).arg(program).arg("run");
        command.arg("-c").arg(&config);
        let agent = Tied::start("the agent", &command, folder.join("agent.log"))?;
        let mut stage = Self {
            folder: folder.to_owned(),
            cluster,
            http,
            agent,
            lines: 0,
        };
        stage.write(1);
        let cluster = &stage.cluster;
        stage
            .agent
            .wait_until("the first document", START_WITHIN, |_| {
                (cluster.documents() > 0).then_some(())
            })?;
        Ok(stage)
    }

    /// Appends this many lines to the log.
    pub(super) fn write(&mut self, lines: u32) {
        let text: String = (self.lines..self.lines + lines).map(line).collect();
        self.append(text.as_bytes(), lines);
    }

    /// Appends these bytes, which hold this many lines.
    pub(super) fn append(&mut self, bytes: &[u8], lines: u32) {
        append_bytes(&self.folder.join("logs/access.log"), bytes);
        self.lines += lines;
    }

    /// Lines that were written elsewhere count too.
    pub(super) fn expect_also(&mut self, lines: u32) {
        self.lines += lines;
    }

    /// Waits until every line so far has arrived, and returns how long that took.
    pub(super) fn all_arrived(&mut self) -> Result<Duration> {
        let start = Instant::now();
        let (cluster, lines) = (&self.cluster, self.lines as usize);
        self.agent
            .wait_until(&format!("{lines} documents"), ARRIVE_WITHIN, |_| {
                (cluster.documents() >= lines).then_some(())
            })?;
        let documents = cluster.documents();
        ensure!(
            documents == lines,
            "{lines} lines gave {documents} documents"
        );
        Ok(start.elapsed())
    }

    /// Writes lines and waits for them, which proves that the agent still works.
    pub(super) fn still_indexes(&mut self) -> Result<Duration> {
        self.write(500);
        self.all_arrived()
    }

    /// Waits until this many bad answers were given.
    pub(super) fn hit(&mut self, hits: u64) -> Result<()> {
        let cluster = &self.cluster;
        self.agent
            .wait_until("the attack's answers", ARRIVE_WITHIN, |_| {
                (cluster.hits() >= hits).then_some(())
            })
    }

    /// The most that the agent had in memory, which must lie inside the bound.
    pub(super) fn memory(&self) -> Result<String> {
        let peak = usage::memory(self.agent.id(), "VmHWM").context("the agent is gone")?;
        ensure!(
            peak <= MEMORY,
            "the agent took {} MB of memory; allowed are {}",
            peak / 1_000_000,
            MEMORY / 1_000_000
        );
        Ok(format!("peak memory {} MB", peak / 1_000_000))
    }

    pub(super) fn cpu(&self) -> Result<Duration> {
        Ok(usage::Cpu::of(self.agent.id())?.total())
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        self.agent.signal(signal)
    }

    /// Sends SIGTERM, and returns how long the end took.
    pub(super) fn stop(self) -> Result<Duration> {
        let start = Instant::now();
        let status = self.agent.stop()?;
        ensure!(status.success(), "the agent ended with {status}");
        Ok(start.elapsed())
    }

    /// What the agent printed so far.
    pub(super) fn printed(&self) -> Result<Vec<u8>> {
        Ok(fs::read(self.folder.join("agent.log"))?)
    }

    /// The status and the body of an answer on the agent's port. A connection that an attack crowds out is tried again.
    pub(super) fn get(&self, path: &str, host: &str) -> Result<(u16, String)> {
        let address = self.http.to_string();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let start = Instant::now();
        loop {
            match http::exchange(&address, &request, RESPONSE_WITHIN) {
                Ok(answer) => return Ok((answer.status, answer.body)),
                Err(error) if start.elapsed() > START_WITHIN => return Err(error.into()),
                Err(_) => sleep(LOOK),
            }
        }
    }
}
