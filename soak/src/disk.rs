//! A small disk of its own for the agent's state, so that it can be full: a tmpfs, mounted by a shell that unmounts
//! it when the soak ends, however it ends, and keeps what was on it.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use testkit::child::Tied;

/// MiB for the positions and for the lines that are parked meanwhile.
pub(super) const STATE_SIZE: u64 = 256;
const MOUNT_WITHIN: Duration = Duration::from_secs(60);

/// `$1` is the folder. The signal that ends a tied process comes too when the soak is killed.
const KEEPER: &str = r#"
end() {
    trap '' TERM INT HUP
    kill "$pause"
    rm -f "$1/filler"
    cp -a "$1" "$1.kept"
    umount "$1" || umount -l "$1"
    rmdir "$1" && mv "$1.kept" "$1"
    exit
}
trap 'end "$1"' TERM INT HUP
mount -t tmpfs -o "size=$2,mode=0755" logweir-soak "$1" || exit 1
echo MOUNTED
while :; do
    sleep 3600 &
    pause=$!
    wait
done
"#;

/// The mounted disk.
pub(super) struct Disk {
    _keeper: Tied,
    filler: PathBuf,
    full: Option<File>,
}

impl Disk {
    /// Mounts it at `folder`, with so many MiB; returns the reason where that is not allowed.
    pub(super) fn mount(folder: &Path, size: u64, log: PathBuf) -> Result<Result<Self, String>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Err("only root can mount one".to_owned()));
        }
        fs::create_dir_all(folder)?;
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "sh"]).arg(folder);
        command.arg(format!("{size}m"));
        let mut keeper = Tied::start("the state's disk", &command, log)?;
        let mounted = keeper.wait_until("a mounted disk", MOUNT_WITHIN, |keeper| {
            keeper.line("MOUNTED")
        });
        Ok(match mounted {
            Ok(_) => Ok(Self {
                _keeper: keeper,
                filler: folder.join("filler"),
                full: None,
            }),
            Err(error) => Err(format!("{error:#}").replace('\n', "; ")),
        })
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.is_some()
    }

    /// Fills it; repeatedly, since the agent frees space when it removes files.
    pub(super) fn fill(&mut self) -> Result<()> {
        let filler = match &mut self.full {
            Some(filler) => filler,
            full => full.insert(
                OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(&self.filler)?,
            ),
        };
        // The last pages are written one by one.
        for piece in [1 << 20, 1 << 12] {
            let zeros = vec![0; piece];
            loop {
                match filler.write(&zeros) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("cannot fill the state's disk"),
                }
            }
        }
        Ok(())
    }

    /// Frees its space again.
    pub(super) fn empty(&mut self) -> Result<()> {
        if self.full.take().is_some() {
            fs::remove_file(&self.filler)?;
        }
        Ok(())
    }
}

/// Unmounts the disk of an earlier soak whose shell was killed by `kill -9`.
pub(super) fn unmount_old(folder: &Path) {
    if rustix::process::geteuid().is_root() && folder.is_dir() {
        // Usually nothing is mounted there.
        let _ = Command::new("umount")
            .arg("-lq")
            .arg(folder)
            .stderr(std::process::Stdio::null())
            .status();
    }
}
