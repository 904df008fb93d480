//! A scripted Elasticsearch behind a socket, plain or TLS.

use std::io::Read;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::fake_cluster::{Cluster, Reaction};
use crate::http_server::{Channel, Connection, Head, HttpServer, Reply, Request};

/// The server; it ends when dropped.
pub struct FakeEs {
    pub address: SocketAddr,
    scheme: &'static str,
    cluster: Arc<Mutex<Cluster>>,
    seen: Arc<Mutex<Vec<Head>>>,
    _server: HttpServer,
}

impl FakeEs {
    /// A server in the clear.
    pub fn start(cluster: Cluster) -> Self {
        Self::start_over("http", |connection| Box::new(connection), cluster)
    }

    /// A server whose connections pass through `wrap`.
    pub fn start_tls(
        cluster: Cluster,
        wrap: impl Fn(Connection) -> Box<dyn Channel> + Send + Sync + 'static,
    ) -> Self {
        Self::start_over("https", wrap, cluster)
    }

    fn start_over(
        scheme: &'static str,
        wrap: impl Fn(Connection) -> Box<dyn Channel> + Send + Sync + 'static,
        cluster: Cluster,
    ) -> Self {
        let cluster = Arc::new(Mutex::new(cluster));
        let seen = Arc::<Mutex<Vec<Head>>>::default();
        let shared = (Arc::clone(&cluster), Arc::clone(&seen));
        let server = HttpServer::start_over(wrap, move |request| {
            let (cluster, seen) = &shared;
            seen.lock().unwrap().push(request.head.clone());
            reply(react(request, &mut cluster.lock().unwrap()))
        });
        Self {
            address: server.address,
            scheme,
            cluster,
            seen,
            _server: server,
        }
    }

    /// Its address by name, as certificates have it, in the caller's type of URL.
    pub fn url<U: FromStr<Err: std::fmt::Debug>>(&self) -> U {
        let url = format!("{}://localhost:{}", self.scheme, self.address.port());
        url.parse().unwrap()
    }

    pub fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap()
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Head> {
        self.seen.lock().unwrap().clone()
    }
}

fn reply(reaction: Reaction) -> Reply {
    match reaction {
        Reaction::Answer {
            status,
            retry_after,
            body,
            html,
        } => Reply::Answer {
            status,
            headers: headers(html, retry_after),
            body,
        },
        Reaction::Cut { body, sent } => {
            let length = body.len();
            let head = format!("HTTP/1.1 200 X\r\ncontent-length: {length}\r\n\r\n");
            Reply::Say([head.as_bytes(), &body[..sent]].concat())
        }
        Reaction::Reset | Reaction::Refused => Reply::Reset,
        Reaction::Hang => Reply::Hang,
    }
}

fn headers(html: bool, retry_after: Option<&str>) -> String {
    let kind = if html {
        "text/html"
    } else {
        "application/json"
    };
    let retry_after = retry_after.map(|asked| format!("retry-after: {asked}\r\n"));
    format!(
        "content-type: {kind}\r\n{}",
        retry_after.unwrap_or_default()
    )
}

fn react(Request { head, body }: &Request, cluster: &mut Cluster) -> Reaction {
    let (method, target, path) = (head.method(), head.target(), head.path());
    let plain = |status: u16, body: &str| Reaction::Answer {
        status,
        retry_after: None,
        body: body.as_bytes().to_vec(),
        html: false,
    };
    match (method, path) {
        ("POST", path) if path.ends_with("/_bulk") => {
            let unpacked = if head.header("content-encoding") == Some("gzip") {
                let mut unpacked = Vec::new();
                flate2::read::MultiGzDecoder::new(body.as_slice())
                    .read_to_end(&mut unpacked)
                    .unwrap();
                unpacked
            } else {
                body.clone()
            };
            if target.contains("require_data_stream=true") {
                cluster.stream_bulk(&unpacked)
            } else {
                cluster.bulk(&unpacked)
            }
        }
        ("GET", path) if path.contains("/_resolve/index/") => {
            let name = path.rsplit('/').next().unwrap();
            let entry = format!(r#"[{{"name":"{name}"}}]"#);
            let is_index = cluster.documents.keys().any(|(index, _)| index == name);
            if cluster.streams.contains(name) {
                plain(200, &format!(r#"{{"indices":[],"data_streams":{entry}}}"#))
            } else if is_index {
                plain(200, &format!(r#"{{"indices":{entry},"data_streams":[]}}"#))
            } else {
                plain(
                    404,
                    r#"{"error":{"type":"index_not_found_exception"},"status":404}"#,
                )
            }
        }
        ("PUT", path) if path.contains("/_data_stream/") => {
            let name = path.rsplit('/').next().unwrap();
            if cluster.no_stream_api {
                plain(405, r#"{"error":"Incorrect HTTP method","status":405}"#)
            } else if cluster.makes_stream(name) {
                cluster.streams.insert(name.to_owned());
                plain(200, r#"{"acknowledged":true}"#)
            } else {
                plain(
                    400,
                    r#"{"error":{"type":"illegal_argument_exception","reason":"no matching index template found"},"status":400}"#,
                )
            }
        }
        _ => {
            // a proxy may put the cluster below a path of its own
            let at = target.find("/_index_template").unwrap_or(0);
            let body = Some(body.as_slice()).filter(|body| !body.is_empty());
            match cluster.management.respond(method, &target[at..], body) {
                Some((status, body)) => plain(status, &body),
                None => Reaction::Refused,
            }
        }
    }
}
