//! What a record says that its line does not: where an address is, whose it is, what a user agent means.
//!
//! Owns the members that come of it, written once for each address and user agent and remembered within bounds, and
//! the files that it is taken from. Invariant: what it gives holds nothing of the line that must be hidden. So it is
//! given an address before that is hidden, for nothing of it is told; but a user agent after, for parts of it are.

mod database;
mod file;
mod memo;
mod places;
mod user_agent;

pub use database::{Asn, GeoIp};
pub use file::{About, Content, EnrichFile, FileError};
pub(super) use places::Places;
pub use user_agent::Definitions;
pub(super) use user_agent::UserAgents;

use crate::config::Enrich;

/// What is looked up for each line; `None` for what is off.
#[derive(Debug)]
pub(super) struct Enrichment {
    pub(super) places: Option<Places>,
    pub(super) user_agents: Option<UserAgents>,
}

impl Enrichment {
    pub(super) fn new(enrich: &Enrich) -> Self {
        Self {
            places: Places::new(enrich),
            user_agents: enrich.user_agent.clone().map(UserAgents::new),
        }
    }
}
