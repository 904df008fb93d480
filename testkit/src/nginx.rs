//! Starts an nginx that belongs to the current user, with everything that it writes in one folder.
//!
//! Owns the process. Refuses to know the configuration, but for the parts that every nginx of this kind needs.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use rustix::process::{Signal, geteuid};

use crate::child::Tied;

/// How long nginx may take to start, and to finish its requests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running nginx; stopped when dropped.
pub struct Nginx(Tied);

impl Nginx {
    /// Starts nginx by `command`, one of [`command`], and waits until it listens on all these ports.
    pub fn start(command: &Command, folder: &Path, ports: &[u16]) -> Result<Self> {
        let mut child = Tied::start("nginx", command, folder.join("out.log"))?;
        let listens = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
        child.wait_until("open ports", PATIENCE, |_| {
            ports.iter().all(listens).then_some(())
        })?;
        Ok(Self(child))
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.0.signal(signal)
    }

    /// The end of what it printed.
    pub fn tail(&self) -> String {
        self.0.tail()
    }

    /// Lets every request finish, with its line written.
    pub fn quit(self) -> Result<()> {
        self.0.signal(Signal::QUIT)?;
        self.0.wait_for_end(PATIENCE, || {})
    }
}

/// Whether nginx accepts a configuration, and what it prints about it.
pub fn accepts(program: &Path, folder: &Path, conf: &Path) -> Result<(bool, String)> {
    let mut command = command(program, folder, conf);
    let output = command.arg("-t").stdin(Stdio::null()).output()?;
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.success(), printed))
}

/// The command that starts `program` in `folder` with this configuration.
pub fn command(program: &Path, folder: &Path, conf: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(conf)
        .args(["-e", "stderr"]);
    command
}

/// Directives of the main part: it stays in the foreground and writes nothing outside of the folder.
pub fn main_part(folder: &Path) -> String {
    // As root, nginx would give its workers to an account that may not read this folder.
    let user = if geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    format!(
        "daemon off;\n{user}\npid \"{}/nginx.pid\";",
        folder.display()
    )
}

/// Directives of the `http` part: the folders for bodies, which nginx makes whether there are any or not.
pub fn temp_paths(folder: &Path) -> String {
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folder = folder.display();
    kinds
        .map(|kind| format!("{kind}_temp_path \"{folder}/{kind}\";"))
        .join("\n    ")
}
