//! Shared functions of the integration tests.

pub(crate) mod access_log;
pub(crate) mod agent;
pub(crate) mod compare;
pub(crate) mod counted;
pub(crate) mod delivery;
pub(crate) mod nginx;
pub(crate) mod tls;
pub(crate) mod traffic;
