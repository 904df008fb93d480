//! Where things are: the source tree, the build's folder, the folder that a chore may fill.

use std::fs::{self, File};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{FlockOperation, flock};

/// The root of the source tree.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Cargo's build folder.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// An empty folder in the build folder, that no other chore uses as long as this stands.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// The folder of this name, emptied of what an earlier run left there.
    pub fn empty(name: &str) -> Result<Self> {
        let all = target().join("xtask");
        fs::create_dir_all(&all).with_context(|| format!("cannot create {}", all.display()))?;
        let lock = File::create(all.join(format!("{name}.lock")))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .with_context(|| format!("another `cargo xtask {name}` is running here"))?;
        let path = all.join(name);
        if path.exists() {
            fs::remove_dir_all(&path)
                .with_context(|| format!("cannot empty {}", path.display()))?;
        }
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path, _lock: lock })
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

/// The cargo that runs this chore.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // What cargo told this chore about its package would make build scripts run again, and half of all crates be
    // built anew, here and at the next build by hand.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|beginning| name.starts_with(beginning))
        {
            command.env_remove(&*name);
        }
    }
    command
}

/// The profile that is quick to build, where speed is not what counts.
pub const QUICK: &str = "release";

/// The profile of packages, where the agent is measured or its bounds are tried.
pub const SHIPPED: &str = "dist";

/// Builds the agent with this profile of cargo, and returns its path.
pub fn build_agent(profile: &str) -> Result<PathBuf> {
    let status = cargo()
        .args(["build", "--profile", profile, "--bin", "logweir"])
        .status()?;
    ensure!(status.success(), "the agent does not build");
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target().join(folder).join("logweir"))
}
