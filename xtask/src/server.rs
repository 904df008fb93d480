//! A real Elasticsearch or OpenSearch, started from its recipe in `tests/servers/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;

use crate::child::Tied;
use crate::{place, tools};

/// The first start downloads some hundred megabytes.
const READY_WITHIN: Duration = Duration::from_secs(600);

/// The kinds that the project brings.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// 8.19.
    Elasticsearch,
    /// 2.19.
    Opensearch,
}

impl Kind {
    fn recipe(self) -> &'static str {
        match self {
            Self::Elasticsearch => "elasticsearch-8.19.21",
            Self::Opensearch => "opensearch-2.19.6",
        }
    }

    /// The variable by which the tests learn its address.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Elasticsearch => "LOGWEIR_TEST_ELASTICSEARCH",
            Self::Opensearch => "LOGWEIR_TEST_OPENSEARCH",
        }
    }
}

/// A running server; its data goes when it goes.
pub(crate) struct Server {
    kind: Kind,
    child: Option<Tied>,
    data: PathBuf,
}

impl Server {
    /// Starts one on a free port, with its data and its log under `folder`.
    pub(crate) fn start(kind: Kind, folder: &Path) -> Result<Self> {
        let name = kind.recipe();
        let script = place::root()
            .join("tests/servers")
            .join(name)
            .join("run.sh");
        ensure!(script.is_file(), "{} is not there", script.display());
        let data = folder.join(name);
        let mut command = Command::new(script);
        command
            .arg("0")
            .arg(&data)
            .env("CACHE", place::target().join("servers").join(name));
        if let Some(jdk) = tools::jdk() {
            command.env("JAVA_HOME", jdk);
        }
        let log = folder.join(format!("{name}.log"));
        Ok(Self {
            kind,
            child: Some(Tied::start(name, &command, log)?),
            data,
        })
    }

    /// Waits until it takes requests, and tells its address.
    pub(crate) fn address(&mut self) -> Result<String> {
        let child = self.child.as_mut().context("the server was stopped")?;
        let address =
            child.wait_until("its READY line", READY_WITHIN, |child| child.line("READY "))?;
        println!("{}: {address}", self.kind.recipe());
        Ok(address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // In this order: a node that is still running would write again what is removed.
        self.child = None;
        if self.data.exists()
            && let Err(error) = fs::remove_dir_all(&self.data)
        {
            eprintln!("cannot remove {}: {error}", self.data.display());
        }
    }
}
