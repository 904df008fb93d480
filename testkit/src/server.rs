//! A real Elasticsearch or OpenSearch, started from its recipe in `tests/servers/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;

use crate::child::Tied;
use crate::{place, tools};

/// The first start downloads some hundred megabytes, one server after the other.
const READY_WITHIN: Duration = Duration::from_secs(900);

/// The kinds that the project brings, named as their recipes. The two first are those that other chores take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    #[value(name = "elasticsearch-8.19.21", alias = "elasticsearch")]
    Elasticsearch,
    #[value(name = "opensearch-2.19.6", alias = "opensearch")]
    Opensearch,
    #[value(name = "elasticsearch-7.17.29")]
    Elasticsearch7,
    #[value(name = "elasticsearch-9.5.3")]
    Elasticsearch9,
    #[value(name = "opensearch-3.8.0")]
    Opensearch3,
    #[value(name = "elasticsearch-8.19.21-security")]
    SecuredElasticsearch,
    #[value(name = "elasticsearch-9.5.3-security")]
    SecuredElasticsearch9,
    #[value(name = "opensearch-3.4.0-security")]
    SecuredOpensearch,
}

impl Kind {
    /// The name of its recipe.
    pub fn recipe(self) -> String {
        let name = self.to_possible_value();
        name.map(|name| name.get_name().to_owned())
            .unwrap_or_default()
    }

    /// The oldest Java that it takes.
    pub fn oldest_java(self) -> u32 {
        match self {
            Self::Elasticsearch
            | Self::Opensearch
            | Self::Elasticsearch7
            | Self::SecuredElasticsearch => tools::OLDEST_JAVA,
            Self::Elasticsearch9
            | Self::Opensearch3
            | Self::SecuredElasticsearch9
            | Self::SecuredOpensearch => 21,
        }
    }

    /// It is of this family.
    pub fn is_elasticsearch(self) -> bool {
        self.recipe().starts_with("elasticsearch")
    }

    /// It speaks TLS and asks who one is.
    pub fn is_secured(self) -> bool {
        matches!(
            self,
            Self::SecuredElasticsearch | Self::SecuredElasticsearch9 | Self::SecuredOpensearch
        )
    }
}

/// The authority that signs the certificates of all servers that have one.
pub fn authority() -> PathBuf {
    place::target().join("servers/certificates/ca.pem")
}

/// A running server; its data goes when it goes.
pub struct Server {
    kind: Kind,
    child: Option<Tied>,
    data: PathBuf,
}

impl Server {
    /// Starts one on a free port, with its data and its log under `folder`.
    pub fn start(kind: Kind, folder: &Path) -> Result<Self> {
        let name = &kind.recipe();
        let script = place::root()
            .join("tests/servers")
            .join(name)
            .join("run.sh");
        ensure!(script.is_file(), "{} is not there", script.display());
        let jdk = tools::jdk(kind.oldest_java())
            .with_context(|| format!("{name} needs a JDK ≥ {}", kind.oldest_java()))?;
        let data = folder.join(name);
        let mut command = Command::new(script);
        command
            .arg("0")
            .arg(&data)
            .env("CACHE", place::target().join("servers").join(name))
            .env("JAVA_HOME", jdk);
        let log = folder.join(format!("{name}.log"));
        Ok(Self {
            kind,
            child: Some(Tied::start(name, &command, log)?),
            data,
        })
    }

    /// Which one it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Waits until it takes requests, and tells its address.
    pub fn address(&mut self) -> Result<String> {
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
