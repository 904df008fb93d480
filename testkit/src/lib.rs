//! What tests, benches, the soak and the chores share: fakes of other servers, made-up input, and real processes.
//!
//! Owns no assertion about the agent. Refuses to know the library, so that the library's own unit tests can use it
//! without a second copy of the library's types.

#![allow(
    clippy::disallowed_methods,
    reason = "real processes are waited for by the clock"
)]
#![allow(
    missing_docs,
    reason = "only this workspace uses it; what a name does not say, a comment does"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a fake that is used wrongly fails its test by panicking"
)]
#![allow(
    clippy::new_without_default,
    reason = "a new server or deadline begins to run: no value to fill a struct with"
)]

pub mod child;
pub mod fake_cluster;
pub mod fake_es;
pub mod fake_kibana;
pub mod hostile;
pub mod http;
pub mod http_server;
pub mod lines;
pub mod load;
pub mod metrics;
pub mod mmdb;
pub mod nginx;
pub mod place;
pub mod ports;
pub mod proxy;
pub mod redirector;
pub mod route_kinds;
pub mod saved;
pub mod server;
pub mod shop;
pub mod stage;
pub mod tools;
pub mod usage;
pub mod wait;

/// Definitions of user agents in the format of ua-parser's `regexes.yaml`.
pub const USER_AGENTS: &str = include_str!("user_agents.yaml");
