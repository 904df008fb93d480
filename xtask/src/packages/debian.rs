//! A Debian in a folder: made, entered, and booted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use testkit::child::Tied;

/// The release that is tried: the oldest that Debian supports.
const RELEASE: &str = "bookworm";

/// What the tests need besides the essential packages.
const PACKAGES: &str = "ca-certificates,curl,nginx-light,systemd-sysv,acl,procps,logrotate";

/// How long the Debian may take to boot.
const BOOT: Duration = Duration::from_secs(90);

/// A Debian in a folder.
pub(super) struct Debian {
    root: PathBuf,
}

impl Debian {
    /// Makes one in this folder, from the archives that this machine uses.
    pub(super) fn make(root: &Path) -> Result<Self> {
        let status = Command::new("mmdebstrap")
            .args(["--quiet", "--variant=minbase"])
            .arg(format!("--include={PACKAGES}"))
            .arg(RELEASE)
            .arg(root)
            .args(archives()?)
            .status()?;
        ensure!(status.success(), "mmdebstrap: {status}");
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// The folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Puts a file into its folder /made.
    pub(super) fn take(&self, file: &Path) -> Result<()> {
        let folder = self.root.join("made");
        fs::create_dir_all(&folder)?;
        fs::copy(file, folder.join(file.file_name().unwrap_or_default()))?;
        Ok(())
    }

    /// Runs a script of the shell in it, without any service, and returns what it prints.
    pub(super) fn sh(&self, script: &str) -> Result<String> {
        shell(Command::new("chroot").arg(&self.root), script)
    }

    /// Boots it, in a network of its own.
    pub(super) fn boot(&self, log: PathBuf) -> Result<Booted> {
        let mut command = Command::new("systemd-nspawn");
        command
            .args(["--quiet", "--boot", "--register=no", "--keep-unit"])
            .args(["--private-network", "--directory"])
            .arg(&self.root);
        let mut machine = Tied::start("the Debian", &command, log)?;
        let supervisor = machine.id();
        let init = machine.wait_until("its first process", BOOT, |_| first_child(supervisor))?;
        let booted = Booted { machine, init };
        booted.until("systemd has booted", |booted| {
            // "degraded" where a unit of Debian's own does not start in a container
            let state = booted.sh("systemctl is-system-running || true")?;
            Ok(["running", "degraded"].contains(&state.trim()))
        })?;
        Ok(booted)
    }
}

/// A Debian that runs under systemd.
pub(super) struct Booted {
    machine: Tied,
    init: u32,
}

impl Booted {
    /// Runs a script of the shell in it as root, and returns what it prints.
    pub(super) fn sh(&self, script: &str) -> Result<String> {
        let target = self.init.to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &target, "--all"]);
        shell(&mut command, script)
    }

    /// Starts a script in it; it ends with the returned process.
    pub(super) fn start(&self, script: &str, log: PathBuf) -> Result<Tied> {
        let target = self.init.to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &target, "--all", "sh", "-euc", script]);
        Tied::start("a script", &command, log)
    }

    /// Looks again and again until this is so.
    pub(super) fn until(
        &self,
        what: &str,
        mut is_so: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        let pauses = BOOT.as_millis() / PAUSE.as_millis();
        for _ in 0..pauses {
            if is_so(self).unwrap_or(false) {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        is_so(self)?;
        let journal = self.sh("journalctl --no-pager --lines=30 --unit=logweir 2>&1 || true")?;
        bail!("waited in vain: {what}\n{journal}");
    }

    /// Shuts it down.
    pub(super) fn stop(self) -> Result<()> {
        // nspawn ends with its first process
        self.sh("systemctl poweroff --no-block || true")?;
        self.machine
            .wait_for_end(BOOT, || {})
            .context("the Debian does not shut down")
    }
}

const PAUSE: Duration = Duration::from_millis(300);

fn shell(command: &mut Command, script: &str) -> Result<String> {
    command
        .args(["/bin/sh", "-euc", script])
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8");
    let output = command.output().context("cannot start a shell there")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{}: {script}\n{text}{errors}",
        output.status
    );
    Ok(text)
}

/// The lists of Debian's archives that this machine uses.
fn archives() -> Result<Vec<PathBuf>> {
    let own = [
        "/etc/apt/sources.list.d/debian.sources",
        "/etc/apt/sources.list",
    ];
    let found = own
        .iter()
        .map(PathBuf::from)
        .find(|path| path.metadata().is_ok_and(|file| file.len() > 0));
    Ok(vec![found.with_context(|| {
        format!(
            "no Debian archive is known: none of {} is there",
            own.join(", ")
        )
    })?])
}

fn first_child(process: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
    let child: u32 = children.split_whitespace().next()?.parse().ok()?;
    // before it is the container's init, it is nspawn itself
    let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
    (name.trim() == "systemd").then_some(child)
}
