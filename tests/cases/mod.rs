//! The cases, a file for each subject, and the real servers that some of them need.
//!
//! Real servers are named by the environment, which `cargo xtask test` sets after it has started them:
//!
//! | variable | names |
//! |---|---|
//! | `LOGWEIR_TEST_ELASTICSEARCH` | the address of an Elasticsearch that may be written to, `http://127.0.0.1:9200` |
//! | `LOGWEIR_TEST_OPENSEARCH` | the same of an OpenSearch |
//! | `LOGWEIR_TEST_CLUSTERS` | these and others, `elasticsearch-7.17.29=http://127.0.0.1:9201 opensearch-…=…` |
//! | `LOGWEIR_TEST_SECURED` | the same of clusters with TLS and the user `admin`, password `changeme` |
//! | `LOGWEIR_TEST_CA` | the file with the authority of their certificates |
//! | `LOGWEIR_TEST_NGINX` | the nginx program, which the tests start by themselves |
//!
//! A case gets its servers from [`servers`], and returns at once if they are absent. So that a green run does not look
//! more complete than it was, [`skipped_tests_are_reported`] writes one line past libtest's capture. Several cases use
//! one server at the same time: each takes index names of its own by [`unique`].

mod bad_days;
mod check;
mod console;
mod containers;
mod data_stream;
mod dead_letters;
mod discovery;
mod files;
mod guarantees;
mod health;
mod hostile_cluster;
mod hostile_port;
mod hostile_text;
mod kibana;
mod log_format;
mod man;
mod neutral;
mod nginx;
mod operating;
mod output;
mod own_log;
mod pages;
mod panel_cost;
mod panels;
mod people;
mod pods;
mod proxies;
mod prune;
mod questions;
mod redirects;
mod reload;
mod rights;
mod rotation;
mod routes;
mod run;
mod saved_objects;
mod secured;
mod service_manager;
mod setup;
mod setup_command;
mod signals;
mod silence;
mod store;
mod template;
mod trust;
mod version;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use testkit::ports::free_port;

/// The real servers of this run.
pub(crate) struct Servers {
    pub(crate) elasticsearch: Option<String>,
    pub(crate) opensearch: Option<String>,
    pub(crate) nginx: Option<PathBuf>,
    clusters: Vec<Server>,
    secured: Vec<Server>,
    ca: PathBuf,
    _turn: Turn,
}

/// One of the clusters.
struct Server {
    /// Its recipe's name, which begins with the family's.
    name: String,
    address: String,
}

/// A cluster with TLS, and with users.
pub(crate) struct Secured<'s> {
    pub(crate) family: &'static str,
    /// By the name that its certificate carries.
    pub(crate) address: &'s str,
    /// The file with the authority of its certificate.
    pub(crate) ca: &'s Path,
}

/// Held by each test that uses the servers: by many at the same time, or by one that changes the whole cluster.
#[allow(dead_code)] // only its drop matters
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

static TURNS: RwLock<()> = RwLock::new(());

/// The servers that the environment names.
pub(crate) fn servers() -> Servers {
    let turn = TURNS.read().unwrap_or_else(PoisonError::into_inner);
    named(Turn::Shared(turn))
}

/// The same, once no other test uses them.
pub(crate) fn only_user_of_the_servers() -> Servers {
    let turn = TURNS.write().unwrap_or_else(PoisonError::into_inner);
    named(Turn::Alone(turn))
}

fn named(turn: Turn) -> Servers {
    let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let list = |name| text(name).map_or(vec![], |list| Server::list(&list));
    let (elasticsearch, opensearch) = (
        text("LOGWEIR_TEST_ELASTICSEARCH"),
        text("LOGWEIR_TEST_OPENSEARCH"),
    );
    let mut clusters = list("LOGWEIR_TEST_CLUSTERS");
    // Each of the two may be named alone.
    let alone = [
        ("elasticsearch", &elasticsearch),
        ("opensearch", &opensearch),
    ];
    for (name, address) in alone {
        if let Some(address) = address
            && clusters.iter().all(|server| server.address != *address)
        {
            let (name, address) = (name.to_owned(), address.clone());
            clusters.push(Server { name, address });
        }
    }
    Servers {
        elasticsearch,
        opensearch,
        nginx: text("LOGWEIR_TEST_NGINX").map(PathBuf::from),
        clusters,
        secured: list("LOGWEIR_TEST_SECURED"),
        ca: text("LOGWEIR_TEST_CA").unwrap_or_default().into(),
        _turn: turn,
    }
}

impl Server {
    /// Of `NAME=ADDRESS NAME=ADDRESS …`.
    fn list(text: &str) -> Vec<Self> {
        let entry = |entry: &str| {
            let (name, address) = entry.split_once('=').unwrap();
            let (name, address) = (name.to_owned(), address.to_owned());
            Self { name, address }
        };
        text.split_whitespace().map(entry).collect()
    }

    /// The family. Its name is printed, so that it is visible if the case fails.
    fn taken(&self) -> &'static str {
        println!("with {}", self.name);
        if self.name.starts_with("opensearch") {
            "OpenSearch"
        } else {
            "Elasticsearch"
        }
    }
}

impl Servers {
    /// The clusters, each with the name of its family.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let clusters = self.clusters.iter();
        clusters.map(|server| (server.taken(), server.address.as_str()))
    }

    /// Those with TLS and users.
    pub(crate) fn secured(&self) -> impl Iterator<Item = Secured<'_>> {
        self.secured.iter().map(|server| Secured {
            family: server.taken(),
            address: &server.address,
            ca: &self.ca,
        })
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

/// Not a check: it reports the tests that this run skipped. It writes to standard error directly, because libtest captures
/// `print!` and similar macros, and shows their output only for failed tests.
#[test]
fn skipped_tests_are_reported() {
    let servers = servers();
    let missing: Vec<&str> = [
        ("Elasticsearch", servers.elasticsearch.is_none()),
        ("OpenSearch", servers.opensearch.is_none()),
        (
            "cluster with TLS and users",
            servers.secured().next().is_none(),
        ),
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
