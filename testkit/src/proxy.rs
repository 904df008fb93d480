//! An HTTP proxy: it opens tunnels to one server, whatever name is requested, and keeps the requests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::http_server::{HttpServer, Reply, Request};

/// A running proxy.
pub struct Proxy {
    server: HttpServer,
    seen: Arc<Mutex<Vec<String>>>,
}

/// How it treats its clients.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Where tunnels lead; without it none is opened.
    pub target: Option<SocketAddr>,
    /// The only value of `Proxy-Authorization` that it takes.
    pub wants: Option<&'static str>,
}

impl Proxy {
    pub fn start(rule: Rule) -> Self {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let shared = Arc::clone(&seen);
        let server = HttpServer::start(move |request| {
            shared.lock().unwrap().push(request.head.line.clone());
            rule.reply(request)
        });
        Self { server, seen }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The request lines so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Rule {
    fn reply(self, request: &Request) -> Reply {
        if self.wants.is_some() && request.head.header("proxy-authorization") != self.wants {
            return Reply::empty(407, "");
        }
        if request.head.method() != "CONNECT" {
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            return Reply::Say(answer.into());
        }
        match self.target {
            Some(target) => Reply::Tunnel(target),
            None => Reply::empty(403, ""),
        }
    }
}
