//! What the integration tests stand on.

pub(crate) mod fake_cluster;
pub(crate) mod fake_es;
