//! What the integration tests stand on.

pub mod fake_cluster;
pub mod fake_es;
