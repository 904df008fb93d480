//! `cargo xtask routes`: how few routes paths with values become.
//!
//! The table and its targets are those of the example `routes`, which shares its paths with the tests.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use testkit::place;

pub(crate) fn run() -> Result<ExitCode> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(place::root()).args([
        "run",
        "--quiet",
        "--package",
        "logweir",
        "--example",
        "routes",
    ]);
    let status = command.status().context("cargo does not start")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
