//! `cargo xtask test`: all tests of the workspace, with real servers beside them.

use std::process::ExitCode;

use anyhow::Result;

use crate::server::{Kind, Server};
use crate::tools::{self, Tool};
use crate::{child, place};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Start these servers only (may be repeated); the tests that need another one are left out
    #[arg(long, value_enum)]
    only: Vec<Kind>,
    /// Handed on to `cargo test`
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let kinds: &[Kind] = match &arguments.only[..] {
        [] => &[Kind::Elasticsearch, Kind::Opensearch],
        only => only,
    };
    tools::provide(&[Tool::Nginx, Tool::Jdk, Tool::Maven])?;
    let folder = place::Folder::empty("test")?;
    // The servers start up while cargo compiles.
    let mut servers: Vec<Server> = kinds
        .iter()
        .map(|kind| Server::start(*kind, &folder))
        .collect::<Result<_>>()?;
    let mut build = place::cargo();
    build.args(["test", "--workspace", "--no-run"]);
    if !child::tied(&build).status()?.success() {
        return Ok(ExitCode::FAILURE);
    }

    let mut test = place::cargo();
    test.args(["test", "--workspace", "--no-fail-fast"])
        .args(&arguments.arguments);
    for (kind, server) in kinds.iter().zip(&mut servers) {
        test.env(kind.variable(), server.address()?);
    }
    if let Some(nginx) = tools::nginx() {
        test.env("LOGWEIR_TEST_NGINX", nginx);
    }
    let status = child::tied(&test).status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
