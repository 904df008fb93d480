//! A scripted Elasticsearch behind a socket, plain or TLS: HTTP/1.1 by hand, because most of what it has to
//! do no server library would.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    missing_docs
)]

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::fake_cluster::{Cluster, Reaction};

/// One request as it came in.
#[derive(Debug, Clone)]
pub struct Seen {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body_bytes: usize,
    pub connection: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The server; it ends when dropped.
pub struct FakeEs {
    pub address: SocketAddr,
    pub tls: bool,
    cluster: Arc<Mutex<Cluster>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl FakeEs {
    /// A plain server.
    pub async fn start(cluster: Cluster) -> Self {
        Self::start_with(Arc::new(Mutex::new(cluster)), None).await
    }

    /// A TLS server.
    pub async fn start_tls(cluster: Cluster, config: ServerConfig) -> Self {
        Self::start_with(Arc::new(Mutex::new(cluster)), Some(config)).await
    }

    /// One node of a cluster that others are nodes of, too.
    pub async fn start_with(cluster: Arc<Mutex<Cluster>>, tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let is_tls = acceptor.is_some();
        let task = tokio::spawn({
            let (cluster, seen) = (cluster.clone(), seen.clone());
            async move {
                let mut connections = tokio::task::JoinSet::new();
                for number in 0.. {
                    let Ok((stream, _)) = listener.accept().await else {
                        break;
                    };
                    let (cluster, seen) = (cluster.clone(), seen.clone());
                    let acceptor = acceptor.clone();
                    connections.spawn(async move {
                        match acceptor {
                            None => talk(Plain(stream), number, cluster, seen).await,
                            Some(acceptor) => {
                                if let Ok(stream) = acceptor.accept(stream).await {
                                    talk(Tls(stream), number, cluster, seen).await;
                                }
                            }
                        }
                    });
                }
            }
        });
        Self {
            address,
            tls: is_tls,
            cluster,
            seen,
            task,
        }
    }

    pub fn url(&self) -> url::Url {
        let scheme = if self.tls { "https" } else { "http" };
        url::Url::parse(&format!("{scheme}://localhost:{}", self.address.port())).unwrap()
    }

    pub fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap()
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for FakeEs {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A stream that can end with a reset.
trait Wire: AsyncRead + AsyncWrite + Unpin {
    fn reset(self);
}

struct Plain(TcpStream);
struct Tls(tokio_rustls::server::TlsStream<TcpStream>);

#[allow(deprecated)] // to linger for zero seconds is what makes a reset
fn reset(stream: &TcpStream) {
    let _ = stream.set_linger(Some(std::time::Duration::ZERO));
}

macro_rules! wire {
    ($name:ident, $tcp:expr) => {
        impl Wire for $name {
            fn reset(self) {
                let tcp: fn(&$name) -> &TcpStream = $tcp;
                reset(tcp(&self));
            }
        }
        impl AsyncRead for $name {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.0).poll_read(cx, buf)
            }
        }
        impl AsyncWrite for $name {
            fn poll_write(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                std::pin::Pin::new(&mut self.0).poll_write(cx, buf)
            }
            fn poll_flush(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.0).poll_flush(cx)
            }
            fn poll_shutdown(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.0).poll_shutdown(cx)
            }
        }
    };
}
wire!(Plain, |plain| &plain.0);
wire!(Tls, |tls| tls.0.get_ref().0);

async fn talk(
    mut stream: impl Wire,
    connection: usize,
    cluster: Arc<Mutex<Cluster>>,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    let mut buffer = Vec::new();
    while let Some((mut request, body)) = read_request(&mut stream, &mut buffer).await {
        request.connection = connection;
        seen.lock().unwrap().push(request.clone());
        let reaction = answer(&request, &body, &cluster);
        match reaction {
            Reaction::Answer {
                status,
                retry_after,
                body,
                html,
            } => {
                let mut head = head(status, body.len(), html);
                if let Some(asked) = retry_after {
                    head.push_str(&format!("retry-after: {asked}\r\n"));
                }
                head.push_str("\r\n");
                let sent = [
                    head.as_bytes(),
                    if request.line.starts_with("HEAD") {
                        b""
                    } else {
                        &body
                    },
                ];
                if stream.write_all(&sent.concat()).await.is_err() {
                    return;
                }
            }
            Reaction::Cut { body, sent } => {
                let head = head(200, body.len(), false) + "\r\n";
                let _ = stream
                    .write_all(&[head.as_bytes(), &body[..sent]].concat())
                    .await;
                return;
            }
            Reaction::Reset | Reaction::Refused => return stream.reset(),
            Reaction::Hang => std::future::pending().await,
        }
    }
}

fn head(status: u16, length: usize, html: bool) -> String {
    let kind = if html {
        "text/html"
    } else {
        "application/json"
    };
    format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n")
}

fn answer(request: &Seen, body: &[u8], cluster: &Mutex<Cluster>) -> Reaction {
    let mut words = request.line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let path = target.split('?').next().unwrap();
    let plain = |status: u16, body: &str| Reaction::Answer {
        status,
        retry_after: None,
        body: body.as_bytes().to_vec(),
        html: false,
    };
    let mut cluster = cluster.lock().unwrap();
    match (method, path) {
        ("POST", path) if path.ends_with("/_bulk") => {
            let unpacked = if request.header("content-encoding") == Some("gzip") {
                let mut unpacked = Vec::new();
                flate2::read::MultiGzDecoder::new(body)
                    .read_to_end(&mut unpacked)
                    .unwrap();
                unpacked
            } else {
                body.to_vec()
            };
            if target.contains("require_data_stream=true") {
                cluster.stream_bulk(&unpacked)
            } else {
                cluster.bulk(&unpacked)
            }
        }
        ("GET", path) if path.contains("/_index_template/") => {
            let name = path.rsplit('/').next().unwrap();
            if cluster.stream_templates.contains(name) {
                plain(
                    200,
                    r#"{"index_templates":[{"index_template":{"data_stream":{}}}]}"#,
                )
            } else if cluster.templates.contains(name) {
                plain(200, r#"{"index_templates":[{}]}"#)
            } else if name.starts_with("secret") {
                plain(
                    403,
                    r#"{"error":{"type":"security_exception","reason":"no"},"status":403}"#,
                )
            } else {
                plain(
                    404,
                    r#"{"error":{"type":"resource_not_found_exception"},"status":404}"#,
                )
            }
        }
        ("PUT", path) if path.contains("/_index_template/") => {
            cluster
                .templates
                .insert(path.rsplit('/').next().unwrap().to_owned());
            plain(200, r#"{"acknowledged":true}"#)
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
        // As clusters assembled without the full distribution do.
        (_, "/") => plain(405, r#"{"error":"Incorrect HTTP method","status":405}"#),
        _ => plain(400, r#"{"error":"no handler found","status":400}"#),
    }
}

async fn read_request(stream: &mut impl Wire, buffer: &mut Vec<u8>) -> Option<(Seen, Vec<u8>)> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
        // A TLS greeting on a plain port: real servers answer a 400 in plain text and close.
        if buffer.first() == Some(&0x16) {
            let _ = stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                .await;
            return None;
        }
    };
    let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    while buffer.len() < end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer[end..end + length].to_vec();
    buffer.drain(..end + length);
    Some((
        Seen {
            line,
            headers,
            body_bytes: length,
            connection: 0,
        },
        body,
    ))
}
