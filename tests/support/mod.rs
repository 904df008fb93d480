//! What the integration tests stand on.

pub(crate) mod access_log;
pub(crate) mod agent;
pub(crate) mod compare;
pub(crate) mod counted;
pub(crate) mod delivery;
pub(crate) mod fake_cluster;
pub(crate) mod fake_es;
pub(crate) mod fake_kibana;
pub(crate) mod hostile;
pub(crate) mod http;
pub(crate) mod metrics;
pub(crate) mod mmdb;
pub(crate) mod nginx;
pub(crate) mod proxy;
pub(crate) mod redirector;
pub(crate) mod saved;
pub(crate) mod stage;
pub(crate) mod traffic;
