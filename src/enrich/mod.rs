//! What a record says that its line does not: where an address is, whose it is, what a user agent means.
//!
//! Owns the members that come of it, written once for each address and user agent and remembered within bounds, and
//! the files that it is taken from. Invariant: what it gives holds nothing of the line that must be hidden. So it is
//! given an address before that is hidden, for nothing of it is told; but a user agent after, for parts of it are.

mod addresses;
mod database;
mod file;
mod memo;
mod user_agent;

pub(crate) use addresses::Addresses;
pub use database::{Asn, GeoIp};
pub use file::{About, Content, EnrichFile, FileError};
pub use user_agent::Definitions;
pub(crate) use user_agent::UserAgents;

use std::sync::Arc;

/// The files that records are enriched from; `None` for one that is not set.
#[derive(Debug, Clone, Default)]
pub struct Enrich {
    /// Definitions that user agents are read by.
    pub user_agent: Option<Arc<EnrichFile<Definitions>>>,
    /// The database of locations.
    pub geoip: Option<Arc<EnrichFile<GeoIp>>>,
    /// The database of networks.
    pub asn: Option<Arc<EnrichFile<Asn>>>,
}

impl Enrich {
    /// The files that are set, each with the name of its setting.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &About)> {
        fn one<T: Content>(
            file: &Option<Arc<EnrichFile<T>>>,
        ) -> impl Iterator<Item = (&'static str, &About)> {
            file.iter().map(|file| (T::SETTING, file.about()))
        }
        one(&self.user_agent)
            .chain(one(&self.geoip))
            .chain(one(&self.asn))
    }
}

/// What is looked up for each line; `None` for what is off.
#[derive(Debug)]
pub(crate) struct Enrichment {
    pub(crate) addresses: Option<Addresses>,
    pub(crate) user_agents: Option<UserAgents>,
}

impl Enrichment {
    pub(crate) fn new(enrich: &Enrich) -> Self {
        Self {
            addresses: Addresses::new(enrich),
            user_agents: enrich.user_agent.clone().map(UserAgents::new),
        }
    }
}
