//! The real binary as a child process, in a folder of its own.

#![allow(clippy::disallowed_methods)] // waiting for another process needs the clock

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use testkit::http::{self, Answer};
use testkit::lines::append;
use testkit::ports::free_port;
use testkit::wait::Deadline;

/// A folder with a configuration, logs and the agent's state.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    port: u16,
    runs: AtomicU32,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            port: free_port(),
            runs: AtomicU32::new(0),
        }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The log that [`Home::append`] writes.
    pub(crate) fn log(&self) -> PathBuf {
        self.path("access.log")
    }

    /// The state directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The configuration's file.
    pub(crate) fn config(&self) -> PathBuf {
        self.path("logweir.toml")
    }

    /// Where nginx's configuration lies; an empty one, when the test makes no other.
    pub(crate) fn nginx_conf(&self) -> PathBuf {
        let path = self.path("nginx.conf");
        if !path.exists() {
            fs::write(&path, "events {}\nhttp { access_log off; }\n").unwrap();
        }
        path
    }

    /// Writes the configuration: keys of the top, then sections.
    pub(crate) fn configure(&self, top: &str, sections: &str) {
        self.configure_nginx(&self.nginx_conf(), top, sections);
    }

    /// The same beside an nginx with this configuration.
    pub(crate) fn configure_nginx(&self, nginx_conf: &Path, top: &str, sections: &str) {
        let text = format!(
            "host = \"web\"\ndata_dir = '{}'\nnginx_conf = '{}'\n{top}\n{sections}\n\
             [http]\nlisten = \"127.0.0.1:{}\"\n",
            self.data().display(),
            nginx_conf.display(),
            self.port
        );
        fs::write(self.config(), text).unwrap();
    }

    /// The usual configuration: this one log, this cluster, quick batches.
    pub(crate) fn configure_log(&self, cluster: &str) {
        self.configure(
            "",
            &format!(
                "{}{}",
                section_log(&self.log(), "combined"),
                section_cluster(cluster)
            ),
        );
    }

    /// Appends a complete line for each number.
    pub(crate) fn append(&self, numbers: std::ops::Range<u32>) {
        append(&self.log(), numbers);
    }

    /// Starts the agent with these arguments, and the configuration's file.
    pub(crate) fn start(&self, arguments: &[&str]) -> Agent {
        self.start_by(Command::new(env!("CARGO_BIN_EXE_logweir")), arguments)
    }

    /// The same with this command, which executes the binary.
    fn start_by(&self, mut command: Command, arguments: &[&str]) -> Agent {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let words = self.path(&format!("words-{run}"));
        let file = File::create(&words).unwrap();
        let child = command
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Agent {
            child,
            words,
            port: self.port,
        }
    }

    /// Runs a command to its end as a user with no rights; for root alone. The binary goes where that user may.
    pub(crate) fn end_as_nobody(&self, arguments: &[&str]) -> Ended {
        use std::os::unix::fs::PermissionsExt as _;
        use std::os::unix::process::CommandExt as _;
        const NOBODY: u32 = 65_534;
        for (path, mode) in [(self.path(""), 0o755), (self.config(), 0o644)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let binary = self.path("logweir");
        // by another process, because a file that is open for writing here cannot be executed
        let copied = Command::new("cp")
            .args([env!("CARGO_BIN_EXE_logweir").as_ref(), binary.as_path()])
            .status();
        assert!(copied.unwrap().success());
        let mut command = Command::new(binary);
        command.uid(NOBODY).gid(NOBODY);
        self.start_by(command, arguments).end()
    }

    /// Runs a command to its end by a shell that has done something before.
    pub(crate) fn end_in_shell(&self, before: &str, arguments: &[&str]) -> Ended {
        self.start_in_shell(before, arguments).end()
    }

    /// Starts a command under these limits, arguments of `ulimit` in pairs.
    pub(crate) fn start_limited(&self, limits: &str, arguments: &[&str]) -> Agent {
        let words: Vec<&str> = limits.split(' ').collect();
        let limits: Vec<String> = words
            .chunks(2)
            .map(|limit| format!("ulimit {}", limit.join(" ")))
            .collect();
        self.start_in_shell(&limits.join(" && "), arguments)
    }

    fn start_in_shell(&self, before: &str, arguments: &[&str]) -> Agent {
        let mut shell = Command::new("/bin/sh");
        let script = format!("{before}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_logweir")]);
        self.start_by(shell, arguments)
    }

    /// Runs a command to its end with these variables, `NAME=value`.
    pub(crate) fn end_with_variables(&self, variables: &[&str], arguments: &[&str]) -> Ended {
        self.start_with_variables(variables, arguments).end()
    }

    /// Starts a command with these variables, `NAME=value`.
    pub(crate) fn start_with_variables(&self, variables: &[&str], arguments: &[&str]) -> Agent {
        let mut command = Command::new("/usr/bin/env");
        command.args(variables).arg(env!("CARGO_BIN_EXE_logweir"));
        self.start_by(command, arguments)
    }

    /// Starts `logweir run`, to run on, and waits until it follows its logs and obeys signals.
    pub(crate) fn run(&self) -> Agent {
        let mut agent = self.start(&["run"]);
        agent.until_said("started");
        agent
    }

    /// Runs a command to its end.
    pub(crate) fn end_of(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).end()
    }

    /// Runs `logweir run --once` to its end, which must be successful.
    pub(crate) fn once(&self) {
        let ended = self.end_of(&["run", "--once"]);
        assert_eq!(ended.code, Some(0), "{}", ended.words);
    }
}

/// A `[[logs]]` of one file.
pub(crate) fn section_log(path: &Path, format: &str) -> String {
    let path = path.display();
    format!("[[logs]]\npaths = ['{path}']\nformat = '{format}'\n")
}

/// An `[elasticsearch]` with quick batches.
pub(crate) fn section_cluster(address: &str) -> String {
    format!("[elasticsearch]\nnodes = [\"{address}\"]\nflush_interval = \"20ms\"\n")
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None`: by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) words: String,
}

/// A running agent; killed when dropped.
pub(crate) struct Agent {
    child: Child,
    words: PathBuf,
    port: u16,
}

impl Agent {
    /// Its output so far.
    pub(crate) fn words(&self) -> String {
        fs::read_to_string(&self.words).unwrap()
    }

    /// Waits until its output contains `text`.
    pub(crate) fn until_said(&mut self, text: &str) {
        self.until(text, |agent| agent.words().contains(text).then_some(()));
    }

    /// Repeats `look` until it returns something; fails if the agent ends first.
    pub(crate) fn until<T>(&mut self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Deadline::new();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{status} before {what}; its output:\n{}", self.words());
            }
            deadline.pause(|| {
                let status = self.page("/status").map_or(String::new(), |page| page.body);
                format!(
                    "{what}; its output:\n{}\nand shows:\n{status}",
                    self.words()
                )
            });
        }
    }

    /// Repeats `is_so` until it is true.
    pub(crate) fn until_so(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        self.until(what, |_| is_so().then_some(()));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let deadline = Deadline::new();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            deadline.pause(|| format!("its end; its output:\n{}", self.words()));
        };
        Ended {
            code: status.code(),
            words: self.words(),
        }
    }

    /// Sends SIGTERM and waits for the end, which must be successful.
    pub(crate) fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        let ended = self.end();
        assert_eq!(ended.code, Some(0), "{}", ended.words);
        ended
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
        assert_eq!(self.end().code, None);
    }

    /// Where its pages are.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// One of its pages; `None` while nobody listens.
    pub(crate) fn page(&self, path: &str) -> Option<Answer> {
        http::ask(&format!("127.0.0.1:{}", self.port), "GET", path, "").ok()
    }

    /// The page `/status`; `None` while nobody listens.
    pub(crate) fn status(&self) -> Option<Value> {
        let page = self.page("/status")?;
        assert_eq!(page.status, 200, "{}", page.body);
        Some(serde_json::from_str(&page.body).unwrap())
    }

    /// A number of `/status`, by its pointer.
    pub(crate) fn number(&self, pointer: &str) -> Option<u64> {
        self.status()?.pointer(pointer)?.as_u64()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // a process that has been waited for must not be signalled
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
