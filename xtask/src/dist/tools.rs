//! The programs that make packages: installed once, at fixed versions, into target/tools.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::done;
use testkit::place;
use testkit::tools::{self, Tool};

/// cargo-zigbuild and Zig's compiler, packages of PyPI.
const ZIGBUILD: &str = "0.24.1";
const ZIG: &str = "0.17.1";

/// The folder with `cargo-zigbuild`, for the PATH.
pub(super) fn zigbuild() -> Result<PathBuf> {
    let folder = folder(&format!("zigbuild-{ZIGBUILD}-zig-{ZIG}"));
    let programs = folder.join("bin");
    if !programs.join("cargo-zigbuild").exists() {
        tools::provide(&[Tool::PythonVenv])?;
        done(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        done(
            Command::new(programs.join("python3"))
                .args(["-m", "pip", "install", "--quiet"])
                .arg(format!("cargo-zigbuild=={ZIGBUILD}"))
                .arg(format!("ziglang=={ZIG}")),
        )?;
    }
    Ok(programs)
}

/// cargo-deb.
pub(super) fn cargo_deb() -> Result<PathBuf> {
    of_crate("cargo-deb", "3.8.0")
}

/// cargo-generate-rpm.
pub(super) fn cargo_generate_rpm() -> Result<PathBuf> {
    of_crate("cargo-generate-rpm", "0.21.1")
}

fn of_crate(name: &str, version: &str) -> Result<PathBuf> {
    let folder = folder(&format!("{name}-{version}"));
    let program = folder.join("bin").join(name);
    if !program.exists() {
        let mut cargo = place::cargo();
        cargo.args(["install", "--locked", "--root"]).arg(&folder);
        // built apart from the workspace, and not kept
        cargo.env_remove("CARGO_TARGET_DIR");
        done(cargo.args([name, "--version", version]))?;
    }
    Ok(program)
}

fn folder(name: &str) -> PathBuf {
    Path::new(&place::target()).join("tools").join(name)
}
