//! The agent under test: its settings, its process and its output.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, Signal, prlimit};

use super::clock::{self, Clock};
use super::line::LIMIT;
use super::logs::FileId;
use super::positions::Positions;
use super::random::Dice;
use super::schedule::Tamper;
use testkit::child::Tied;
use testkit::usage;

/// What a scrape may take.
const SCRAPE_WITHIN: Duration = Duration::from_secs(2);
/// `store.memory` in MiB.
const MEMORY: std::ops::Range<u64> = 16..65;
/// The number of recent checkpoints that are kept, so that an old one can be restored.
const REMEMBERED: usize = 40;

/// The agent.
pub(super) struct Agent {
    program: PathBuf,
    folder: PathBuf,
    /// Addresses of the cluster; without one it has the embedded store.
    nodes: Option<Vec<String>>,
    port: u16,
    dice: Dice,
    /// Its clock, where that can be moved.
    pub(super) clock: Option<Clock>,
    running: Option<Tied>,
    pub(super) starts: u64,
    pub(super) peak: u64,
    checkpoints: VecDeque<Vec<u8>>,
    data: PathBuf,
    /// Where nginx's formats are found, and the `[[logs]]` sections.
    logs: String,
}

/// The numbers of one scrape.
pub(super) struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// The sum of all samples of this name.
    pub(super) fn sum(&self, name: &str) -> f64 {
        let of_name =
            |key: &str| key == name || key.split_once('{').is_some_and(|(key, _)| key == name);
        let samples = self.0.iter().filter(|(key, _)| of_name(key));
        samples.map(|(_, value)| value).sum()
    }

    /// One sample, with its labels as they are written.
    pub(super) fn one(&self, key: &str) -> f64 {
        self.0.get(key).copied().unwrap_or(0.0)
    }

    /// Every line that was read is accounted for.
    pub(super) fn balance(&self) -> Result<()> {
        let read = self.sum("logweir_lines_read_total");
        let ended = self.sum("logweir_documents_total") + self.sum("logweir_in_flight_lines");
        ensure!(
            (read - ended).abs() < 0.5,
            "the agent's accounts do not add up: {read} lines read, {ended} accounted for"
        );
        Ok(())
    }

    fn parse(page: &str) -> Self {
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.filter_map(|line| {
            let (key, value) = line.rsplit_once(' ')?;
            Some((key.to_owned(), value.parse().ok()?))
        });
        Self(samples.collect())
    }
}

impl Agent {
    pub(super) fn new(
        program: PathBuf,
        folder: &Path,
        nodes: Option<Vec<String>>,
        port: u16,
        dice: Dice,
        clock: Option<Clock>,
    ) -> Self {
        let shown = folder.display();
        let logs = format!(
            r#"nginx_conf = '{shown}/nginx/nginx.conf'

[[logs]]
paths = ['{shown}/nginx/*access.log']
rotated_dirs = ['{shown}/nginx/old', '{shown}/nginx/*/']

[[logs]]
paths = ['{shown}/own/*.log']
format = "combined"
rotated_dirs = ['{shown}/own/old', '{shown}/own/*/']
"#
        );
        Self {
            program,
            data: folder.join("data"),
            logs,
            folder: folder.to_owned(),
            nodes,
            port,
            dice,
            clock,
            running: None,
            starts: 0,
            peak: 0,
            checkpoints: VecDeque::new(),
        }
    }

    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Makes it read this log alone, under the same name wherever it is, with its state in `data`.
    pub(super) fn read_history(&mut self, log: &Path, data: &Path) {
        self.data = data.to_owned();
        self.logs = format!(
            "[[logs]]\npaths = ['{}']\nname = \"history\"\nformat = \"combined\"\n",
            log.display()
        );
    }

    fn run(&self) -> PathBuf {
        self.data().join("run")
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// `logweir setup`, past the proxy.
    pub(super) fn set_up(&mut self, server: &str) -> Result<()> {
        let config = self.folder.join("setup.toml");
        fs::write(&config, self.settings(Some(&[server.to_owned()])))?;
        let mut setup = Command::new(&self.program);
        setup.arg("setup").arg("-c").arg(&config);
        let done = setup.output()?;
        ensure!(
            done.status.success(),
            "`logweir setup` failed: {}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(())
    }

    /// Starts it, with different delivery settings each time.
    pub(super) fn start(&mut self) -> Result<()> {
        self.write_settings()?;
        let command = self.command(&[]);
        self.starts += 1;
        let log = self.folder.join(format!("agent-{}.log", self.starts));
        self.running = Some(Tied::start("the agent", &command, log)?);
        Ok(())
    }

    /// Runs it once, to the end of everything.
    pub(super) fn run_once(&mut self, within: Duration) -> Result<()> {
        self.write_settings()?;
        let limit = format!("{}s", within.as_secs());
        let command = self.command(&["--once", "--timeout", &limit]);
        self.starts += 1;
        let child = Tied::start("run --once", &command, self.folder.join("once.log"))?;
        child.wait_for_end(within + Duration::from_secs(30), || {})?;
        let tail = child.tail();
        let id = child.id();
        let status = child.stop()?;
        clock::forget(id);
        ensure!(status.success(), "run --once ended with {status}; {tail}");
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("run")
            .args(arguments)
            .arg("-c")
            .arg(self.folder.join("logweir.toml"));
        if let Some(clock) = &self.clock {
            clock.govern(&mut command);
        }
        command
    }

    pub(super) fn write_settings(&mut self) -> Result<()> {
        let nodes = self.nodes.clone();
        let text = self.settings(nodes.as_deref());
        // The file is replaced whole: the agent may read it at any moment.
        let next = self.folder.join("logweir.toml.next");
        fs::write(&next, text)?;
        Ok(fs::rename(next, self.folder.join("logweir.toml"))?)
    }

    fn settings(&mut self, nodes: Option<&[String]>) -> String {
        let (data, logs) = (self.data.display(), &self.logs);
        let dice = &mut self.dice;
        let general = format!(
            r#"host = "soak"
data_dir = '{data}'
history = "30d"
keep_original = true
max_line_bytes = "{LIMIT}"
shutdown_timeout = "{}s"
reconcile_interval = "{}ms"

{logs}"#,
            1 + dice.below(4),
            300 + dice.below(9700),
        );
        let output = match nodes {
            Some(nodes) => format!(
                r#"[elasticsearch]
nodes = {nodes:?}
gzip = {}
batch_bytes = "{}KiB"
max_in_flight = {}
flush_interval = "{}ms"
request_timeout = "3s"
"#,
                dice.percent(50),
                64 + dice.below(448),
                1 + dice.below(4),
                50 + dice.below(400),
            ),
            // No day is removed: each line shall be there at the end.
            None => format!(
                "[store]\nretention = \"36000d\"\nmemory = \"{}MiB\"\n",
                MEMORY.start + dice.below(MEMORY.end - MEMORY.start)
            ),
        };
        let port = self.port;
        format!("{general}\n{output}\n[http]\nlisten = \"127.0.0.1:{port}\"\n")
    }

    /// Sends a signal; false when it is not running.
    pub(super) fn signal(&self, signal: Signal) -> Result<bool> {
        match &self.running {
            Some(child) => child.signal(signal).map(|()| true),
            None => Ok(false),
        }
    }

    /// Whether it handles signals already; before that, a signal ends it.
    pub(super) fn obeys(&self) -> bool {
        let log = self.folder.join(format!("agent-{}.log", self.starts));
        let text = fs::read(log).unwrap_or_default();
        self.is_running() && memchr::memmem::find(&text, b" INFO started ").is_some()
    }

    /// Kills it and waits until it is gone; false when it was not running.
    pub(super) fn kill(&mut self) -> Result<bool> {
        let was_running = self.signal(Signal::KILL)?;
        if let Some(child) = self.running.take() {
            let id = child.id();
            child.stop()?;
            clock::forget(id);
        }
        Ok(was_running)
    }

    /// How it has ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<(ExitStatus, String)>> {
        let Some(child) = &mut self.running else {
            return Ok(None);
        };
        let Some(status) = child.ended()? else {
            return Ok(None);
        };
        let tail = child.tail();
        clock::forget(child.id());
        self.running = None;
        Ok(Some((status, tail)))
    }

    /// Looks at its memory and its checkpoint.
    pub(super) fn look(&mut self) {
        // Pages of its program file count as memory for the kernel, and a development build has many of them.
        if let Some(child) = &self.running
            && let Some(most) = usage::memory(child.id(), "VmHWM")
            && let Some(program) = usage::memory(child.id(), "RssFile")
        {
            self.peak = self.peak.max(most.saturating_sub(program));
        }
        if let Ok(bytes) = fs::read(self.run().join("checkpoint")) {
            if self.checkpoints.len() == REMEMBERED {
                self.checkpoints.pop_front();
            }
            self.checkpoints.push_back(bytes);
        }
    }

    /// Its numbers, if it answers.
    pub(super) fn scrape(&self) -> Option<Metrics> {
        self.page("metrics").map(|page| Metrics::parse(&page))
    }

    /// How long it has run by its own wall clock, in seconds, if it answers.
    pub(super) fn uptime(&self) -> Option<i64> {
        let status: serde_json::Value = serde_json::from_str(&self.page("status")?).ok()?;
        status["uptime_seconds"].as_i64()
    }

    fn page(&self, name: &str) -> Option<String> {
        self.running.as_ref()?;
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(SCRAPE_WITHIN))
            .build();
        let agent: ureq::Agent = config.into();
        let url = format!("http://127.0.0.1:{}/{name}", self.port);
        agent
            .get(&url)
            .call()
            .ok()?
            .body_mut()
            .read_to_string()
            .ok()
    }

    /// Bytes of dead letters that wait to be sent again.
    pub(super) fn parked_bytes(&self) -> f64 {
        let path = self.data.join("dead-letters/dead-letters.ndjson");
        let text = fs::read(path).unwrap_or_default();
        match memchr::memmem::find(&text, b"\"kind\":\"parked\"") {
            Some(_) => text.len() as f64,
            None => 0.0,
        }
    }

    /// The positions that it saved last.
    pub(super) fn saved(&self) -> Option<Positions> {
        Positions::parse(&fs::read(self.run().join("checkpoint")).ok()?)
    }

    /// The files that it has open.
    pub(super) fn open_files(&self) -> Vec<FileId> {
        let Some(child) = &self.running else {
            return Vec::new();
        };
        let files = fs::read_dir(format!("/proc/{}/fd", child.id()));
        let files = files.into_iter().flatten().filter_map(|file| {
            let metadata = fs::metadata(file.ok()?.path()).ok()?;
            Some(FileId::from(&metadata))
        });
        files.collect()
    }

    /// Tampers with the checkpoint of the stopped agent, if it `may` start with the result; false when
    /// nothing was done.
    pub(super) fn tamper(
        &mut self,
        tamper: Tamper,
        may: impl Fn(Option<&Positions>) -> bool,
    ) -> Result<bool> {
        let newest = self.run().join("checkpoint");
        let previous = self.run().join("checkpoint.previous");
        if !newest.exists() {
            return Ok(false);
        }
        let may_do = |bytes: &[u8]| may(Positions::parse(bytes).as_ref());
        let left = match tamper {
            Tamper::RemoveBoth => Vec::new(),
            Tamper::RemoveNewest | Tamper::Cut | Tamper::Empty => {
                fs::read(&previous).unwrap_or_default()
            }
            Tamper::Older => {
                let usable = self.checkpoints.iter().filter(|bytes| may_do(bytes));
                let usable: Vec<&Vec<u8>> = usable.collect();
                let at = self.dice.place(usable.len());
                usable.get(at).copied().cloned().unwrap_or_default()
            }
        };
        if !may_do(&left) || tamper == Tamper::Older && left.is_empty() {
            return Ok(false);
        }
        match tamper {
            Tamper::RemoveNewest => fs::remove_file(&newest)?,
            Tamper::RemoveBoth => {
                fs::remove_file(&newest)?;
                if previous.exists() {
                    fs::remove_file(&previous)?;
                }
            }
            Tamper::Cut => {
                let bytes = fs::read(&newest)?;
                fs::write(&newest, &bytes[..self.dice.place(bytes.len())])?;
            }
            Tamper::Empty => fs::write(&newest, b"")?,
            Tamper::Older => {
                fs::write(&newest, &left)?;
                fs::write(&previous, &left)?;
            }
        }
        Ok(true)
    }

    /// Makes saving positions fail, or lets it succeed again. Root ignores the rights of a directory; a
    /// directory in the place of the new file stops root too.
    pub(super) fn block_state(&self, on: bool) -> Result<()> {
        let obstacle = self.run().join("checkpoint.new");
        if !on {
            return fs::remove_dir(&obstacle).context("the obstacle was taken away");
        }
        for _ in 0..100 {
            // The agent may be writing its own file there.
            if obstacle.is_file()
                && let Err(error) = fs::remove_file(&obstacle)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                return Err(error.into());
            }
            if fs::create_dir(&obstacle).is_ok() {
                return Ok(());
            }
        }
        bail!("cannot put anything at {}", obstacle.display())
    }

    /// Limits how many files it may have open to what it has, or to `limit`; gives the limit before.
    pub(super) fn limit_files(&self, limit: Option<Rlimit>) -> Result<Option<Rlimit>> {
        let Some(child) = &self.running else {
            return Ok(None);
        };
        let new = match limit {
            Some(limit) => limit,
            None => {
                let open = fs::read_dir(format!("/proc/{}/fd", child.id()))?.count();
                Rlimit {
                    current: Some(open as u64),
                    maximum: None,
                }
            }
        };
        let before = rustix::process::getrlimit(Resource::Nofile);
        let new = Rlimit {
            maximum: before.maximum,
            ..new
        };
        Ok(Some(prlimit(child.pid(), Resource::Nofile, new)?))
    }

    /// How often this text is in its logs, including those of earlier runs.
    pub(super) fn says(&self, words: &str) -> usize {
        let logs = (1..=self.starts).map(|start| self.folder.join(format!("agent-{start}.log")));
        logs.map(|log| fs::read(log).unwrap_or_default())
            .map(|text| memchr::memmem::find_iter(&text, words.as_bytes()).count())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_from_the_page() {
        let page = "# HELP x\nlogweir_lines_read_total 12\nlogweir_documents_total{outcome=\"indexed\"} 7\n\
                    logweir_documents_total{outcome=\"parked\"} 2\nlogweir_in_flight_lines 3.0\n# EOF\n";
        assert!(Metrics::parse(page).balance().is_ok());
        assert!(Metrics::parse(&page.replace("12", "13")).balance().is_err());
    }
}
