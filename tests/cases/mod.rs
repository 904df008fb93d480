//! The cases, a file for each noun, and the real servers which some of them need.
//!
//! Real servers are named by the environment, which `cargo xtask test` sets after it has started them:
//!
//! | variable | names |
//! |---|---|
//! | `LOGWEIR_TEST_ELASTICSEARCH` | the address of an Elasticsearch that may be written to, `http://127.0.0.1:9200` |
//! | `LOGWEIR_TEST_OPENSEARCH` | the same of an OpenSearch |
//! | `LOGWEIR_TEST_NGINX` | the nginx program, which the tests start by themselves |
//!
//! A case asks [`servers`] for what it needs and returns at once where it is not there. So that a green run does not
//! look like more than it was, [`what_is_left_out_is_said`] writes one line past libtest's capture. Several cases use
//! one server at the same time: each takes index names of its own by [`unique`].

mod check;
mod data_stream;
mod dead_letters;
mod guarantees;
mod kibana;
mod nginx;
mod output;
mod pages;
mod panels;
mod prune;
mod reload;
mod routes;
mod run;
mod saved_objects;
mod setup;
mod setup_command;
mod signals;
mod template;

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::agent::free_port;

/// The real servers of this run.
pub(crate) struct Servers {
    pub(crate) elasticsearch: Option<String>,
    pub(crate) opensearch: Option<String>,
    pub(crate) nginx: Option<PathBuf>,
}

/// Asks the environment.
pub(crate) fn servers() -> Servers {
    let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    Servers {
        elasticsearch: text("LOGWEIR_TEST_ELASTICSEARCH"),
        opensearch: text("LOGWEIR_TEST_OPENSEARCH"),
        nginx: text("LOGWEIR_TEST_NGINX").map(PathBuf::from),
    }
}

impl Servers {
    /// The clusters, each with the name of its family.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("Elasticsearch", &self.elasticsearch),
            ("OpenSearch", &self.opensearch),
        ]
        .into_iter()
        .filter_map(|(family, address)| Some((family, address.as_deref()?)))
    }
}

/// A name that no other case of this run, and no other run, uses: fit for an index.
pub(crate) fn unique(purpose: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("test-{purpose}-{}-{count}", std::process::id())
}

/// The address of a cluster where nobody listens.
pub(crate) fn cluster_down() -> String {
    format!("http://127.0.0.1:{}", free_port())
}

/// Not a check: says what this run did not try. Written to standard error itself, because libtest captures only what
/// goes through `print!` and its like, and shows that of failed tests alone.
#[test]
fn what_is_left_out_is_said() {
    let servers = servers();
    let missing: Vec<&str> = [
        ("Elasticsearch", servers.elasticsearch.is_none()),
        ("OpenSearch", servers.opensearch.is_none()),
        ("nginx", servers.nginx.is_none()),
    ]
    .into_iter()
    .filter_map(|(name, missing)| missing.then_some(name))
    .collect();
    if !missing.is_empty() {
        let line = format!(
            "left out: the tests with a real {}; `cargo xtask test` runs them\n",
            missing.join(", ")
        );
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
}
