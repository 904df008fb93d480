//! `cargo xtask test`: all tests of the workspace, with real servers beside them.

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum as _;

use testkit::server::{Kind, Server, authority};
use testkit::tools::{self, Tool};
use testkit::{child, place};

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
    tools::provide(&[Tool::Nginx, Tool::Jdk, Tool::Openssl, Tool::Maven])?;
    let wanted = match &arguments.only[..] {
        [] => Kind::value_variants(),
        only => only,
    };
    let (kinds, without_java): (Vec<Kind>, Vec<Kind>) = wanted
        .iter()
        .partition(|kind| tools::jdk(kind.oldest_java()).is_some());
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
    let (mut plain, mut secured) = (Vec::new(), Vec::new());
    for server in &mut servers {
        let (kind, address) = (server.kind(), server.address()?);
        let list = if kind.is_secured() {
            &mut secured
        } else {
            &mut plain
        };
        list.push(format!("{}={address}", kind.recipe()));
        match kind {
            Kind::Elasticsearch => test.env("LOGWEIR_TEST_ELASTICSEARCH", address),
            Kind::Opensearch => test.env("LOGWEIR_TEST_OPENSEARCH", address),
            _ => &mut test,
        };
    }
    test.env("LOGWEIR_TEST_CLUSTERS", plain.join(" "))
        .env("LOGWEIR_TEST_SECURED", secured.join(" "))
        .env("LOGWEIR_TEST_CA", authority());
    if !without_java.is_empty() {
        let names: Vec<String> = without_java.iter().map(|kind| kind.recipe()).collect();
        println!(
            "left out, for want of a JDK ≥ 21 (in JAVA_HOME, the PATH or /usr/lib/jvm): {}",
            names.join(", ")
        );
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
