//! Looks up what a line does not hold: the location and the network of an address, the meaning of a user agent.
//!
//! Owns the members that this adds to a record, and the files that they come from. Each address and each user agent is
//! looked up once and remembered within bounds. Refuses to know the configuration and lines. Invariant: the members
//! hold nothing of the line that must be hidden. An address is therefore looked up before it is hidden, because no part
//! of it is written; a user agent is looked up after it was cleaned, because parts of it are written.

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

/// The lookups of a recorder; `None` for one that is not configured.
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
