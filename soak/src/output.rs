//! The output of the agent under test: a cluster behind a proxy, or the embedded store.
//!
//! Owns what differs between the two for the rest of the soak. Invariant: the schedule has faults of a cluster only where
//! there is one.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use testkit::ports::free_port;
use testkit::server::Server;

use super::NODES;
use super::cluster::Cluster;
use super::oracle::Index;
use super::proxy::Proxy;
use super::random::Dice;
use super::report::Tally;
use super::stored::Stored;

/// Where the agent's documents go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputKind {
    /// A real Elasticsearch, behind a proxy that makes faults
    Elasticsearch,
    /// The embedded store, with a reader of another user beside it
    Store,
}

/// The running output.
pub(super) enum Output {
    Cluster(Box<Network>),
    Store(Stored),
}

/// A cluster and the way to it.
pub(super) struct Network {
    pub(super) url: String,
    pub(super) cluster: Cluster,
    pub(super) proxy: Proxy,
    _server: Server,
}

impl Network {
    /// Puts the proxy before the server.
    pub(super) fn before(mut server: Server, seed: u64, tally: &Arc<Tally>) -> Result<Self> {
        let url = server.address()?;
        let proxy = Proxy::start(
            &url,
            (0..NODES)
                .map(|_| Ok(TcpListener::bind(("127.0.0.1", free_port()))?))
                .collect::<Result<_>>()?,
            Dice::new(seed, "proxy"),
            Arc::clone(tally),
        )?;
        Ok(Self {
            cluster: Cluster::new(&url),
            url,
            proxy,
            _server: server,
        })
    }
}

impl Output {
    /// The output of an agent whose state is in `data`.
    pub(super) fn of(
        server: Option<Server>,
        data: &Path,
        seed: u64,
        tally: &Arc<Tally>,
    ) -> Result<Self> {
        Ok(match server {
            Some(server) => Self::Cluster(Box::new(Network::before(server, seed, tally)?)),
            None => Self::Store(Stored::new(data.join("store"))),
        })
    }

    /// The addresses that the agent sends to; none where it has the store.
    pub(super) fn nodes(&self) -> Option<Vec<String>> {
        match self {
            Self::Cluster(network) => Some(network.proxy.urls()),
            Self::Store(_) => None,
        }
    }

    /// The cluster, for its faults.
    pub(super) fn network(&self) -> Result<&Network> {
        match self {
            Self::Cluster(network) => Ok(network),
            Self::Store(_) => None.context("the store has no network"),
        }
    }

    /// The store, for its faults.
    pub(super) fn store(&self) -> Result<&Stored> {
        match self {
            Self::Store(stored) => Ok(stored),
            Self::Cluster(_) => None.context("the cluster's files are its own"),
        }
    }

    /// Its documents.
    pub(super) fn index(&self) -> &dyn Index {
        match self {
            Self::Cluster(network) => &network.cluster,
            Self::Store(stored) => stored,
        }
    }

    /// Undoes every fault.
    pub(super) fn mend(&self) -> Result<()> {
        match self {
            Self::Cluster(network) => {
                network.proxy.hit(0);
                network.cluster.mend()
            }
            Self::Store(_) => Ok(()),
        }
    }
}
