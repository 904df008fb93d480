//! A cluster that accepts documents, counts them by id, and responds to bulk requests as badly as an attack wants.
//!
//! Owns the received documents. Refuses to know the reason: an attack sets the bad response and takes it back.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use testkit::http_server::{HttpServer, Reply, Request};

use crate::sink::TEMPLATE;

/// A running cluster; it ends when dropped.
pub(super) struct Cluster {
    server: HttpServer,
    shared: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The response to all bulk requests; None: they are served.
    bad: Option<Reply>,
    /// The bad responses so far.
    hits: u64,
    ids: HashSet<String>,
    /// A text that must not arrive.
    forbidden: Option<String>,
    leaked: bool,
}

impl Cluster {
    pub(super) fn start() -> Self {
        let shared = Arc::<Mutex<State>>::default();
        let server = HttpServer::start({
            let shared = Arc::clone(&shared);
            move |request| lock(&shared).reply(request)
        });
        Self { server, shared }
    }

    pub(super) fn address(&self) -> String {
        self.server.url()
    }

    /// Responds to bulk requests like this from now on; None: serves them.
    pub(super) fn answer(&self, bad: Option<Reply>) {
        let mut state = lock(&self.shared);
        state.bad = bad;
        state.hits = 0;
    }

    /// The bad responses since they were set.
    pub(super) fn hits(&self) -> u64 {
        lock(&self.shared).hits
    }

    /// The number of different documents that were accepted.
    pub(super) fn documents(&self) -> usize {
        lock(&self.shared).ids.len()
    }

    /// Documents with this text must never come.
    pub(super) fn forbid(&self, text: &str) {
        lock(&self.shared).forbidden = Some(text.to_owned());
    }

    pub(super) fn leaked(&self) -> bool {
        lock(&self.shared).leaked
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn reply(&mut self, request: &Request) -> Reply {
        if !request.head.path().ends_with("/_bulk") {
            return Reply::json(200, TEMPLATE);
        }
        match &self.bad {
            Some(bad) => {
                self.hits += 1;
                bad.clone()
            }
            None => Reply::json(200, self.take(&request.body)),
        }
    }

    /// Accepts the documents of a bulk body, and gives its response.
    fn take(&mut self, body: &[u8]) -> String {
        if let Some(forbidden) = &self.forbidden {
            self.leaked |= memchr::memmem::find(body, forbidden.as_bytes()).is_some();
        }
        let mut items = Vec::new();
        for action in body.split(|&byte| byte == b'\n').step_by(2) {
            let action: serde_json::Value = serde_json::from_slice(action).unwrap_or_default();
            let Some(id) = action["create"]["_id"].as_str() else {
                continue;
            };
            let is_new = self.ids.insert(id.to_owned());
            let status = if is_new { 201 } else { 409 };
            items.push(format!("{{\"create\":{{\"status\":{status}}}}}"));
        }
        format!("{{\"items\":[{}]}}", items.join(","))
    }
}
