//! A server that sends every request elsewhere, and one that nobody may come to.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use crate::http_server::{HttpServer, Reply};

/// Answers every request with a redirect.
pub struct Redirector {
    server: HttpServer,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Redirector {
    /// `location` gets the target of each request, and gives the header's value.
    pub fn start(
        status: u16,
        location: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let shared = Arc::clone(&seen);
        let server = HttpServer::start(move |request| {
            shared.lock().unwrap().push(request.head.line.clone());
            let location = location(request.head.target());
            let header = location.map(|to| format!("location: {to}\r\n"));
            Reply::empty(status, header.unwrap_or_default())
        });
        Self { server, seen }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The request lines so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// A server whose visitors are counted and get no answer.
pub struct Forbidden {
    listener: TcpListener,
}

impl Forbidden {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Fails when anybody has come so far: the kernel keeps visitors until they are accepted.
    pub fn assert_unvisited(&self) {
        let visitor = self.listener.accept();
        assert!(visitor.is_err(), "{visitor:?} came");
    }
}
