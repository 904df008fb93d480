//! `cargo xtask dist`: the packages for hosts (.deb, .rpm, .tar.gz), the debug symbols and the checksums, in target/dist.
//!
//! The binary is linked against glibc 2.28 by Zig's linker, so that it runs on distributions since 2018; that is checked on
//! its symbols. It is stripped; a debugger finds its symbols in the .debug file beside it. docs/INSTALL.md has the cost.

mod binary;
mod formats;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};

pub(crate) use self::binary::Build;
use testkit::place;
use testkit::tools::{self as programs, Tool};

#[derive(clap::Args)]
pub(crate) struct Arguments {}

/// The version of the workspace.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is made of one build.
pub(crate) struct Packages {
    /// For Debian and its descendants.
    pub(crate) deb: PathBuf,
    /// For RHEL, Fedora, SUSE and theirs.
    pub(crate) rpm: PathBuf,
    /// For any other Linux.
    pub(crate) archive: PathBuf,
    /// The debug symbols of the binary in all three.
    pub(crate) symbols: PathBuf,
}

pub(crate) fn run(_: &Arguments) -> Result<ExitCode> {
    let folder = place::target().join("dist");
    fs::create_dir_all(&folder)?;
    remove_earlier(&folder)?;
    let packages = pack(Build::Portable, 1, &folder)?;
    let sums = checksums(&packages, &folder)?;
    println!("\n{sums}in {}", folder.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds the agent, and makes its packages with this revision in `folder`.
pub(crate) fn pack(how: Build, revision: u32, folder: &Path) -> Result<Packages> {
    let binary = binary::build(how)?;
    programs::provide(&[Tool::Binutils])?;
    let staging = formats::staging();
    if staging.exists() {
        fs::remove_dir_all(&staging)?;
    }
    fs::create_dir_all(staging.join("completions"))?;
    let symbols = binary::split(&binary, &staging.join("logweir"), folder)?;
    formats::generate(&staging)?;
    Ok(Packages {
        deb: formats::deb(how, revision, folder)?,
        rpm: formats::rpm(revision, folder)?,
        archive: formats::archive(folder)?,
        symbols,
    })
}

/// Removes packages of earlier runs, so that `logweir_*.deb` is one file. Cargo keeps its own build in the same folder.
fn remove_earlier(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_package = name.starts_with("logweir")
            && [".deb", ".rpm", ".tar.gz", ".debug"]
                .iter()
                .any(|end| name.ends_with(end));
        if is_package {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Writes SHA256SUMS, which `sha256sum --check` reads, and returns its text.
fn checksums(packages: &Packages, folder: &Path) -> Result<String> {
    let files = [
        &packages.deb,
        &packages.rpm,
        &packages.archive,
        &packages.symbols,
    ];
    let names = files.map(|path| path.file_name().unwrap_or_default().to_owned());
    let sums = output(Command::new("sha256sum").args(names).current_dir(folder))?;
    fs::write(folder.join("SHA256SUMS"), &sums)?;
    Ok(sums)
}

/// Runs a command that must be successful, with its output on the terminal.
fn done(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// Runs a command that must be successful, and returns what it prints on standard output.
fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{errors}",
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}
