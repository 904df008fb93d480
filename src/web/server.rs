//! Connections to the HTTP port: how many, for how long, and which one is closed for a new one.
//!
//! Owns accepting, the limits of a connection and of a request's head. Refuses to know what is on a page. Invariants: there
//! are never more connections than the limit; a new connection is always accepted, since the oldest connection of the peer
//! with the most connections is closed for it; each has one request and ends within [`CONNECTION_TIME`]; no error of
//! accepting ends the server. It guards against a thousand partly sent requests that take the descriptors of the logs, or
//! keep a probe out so that the agent is killed as if it hung.

use std::cmp::Reverse;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Pages;

/// A request's head must be there after this time.
pub(crate) const HEADER_TIME: Duration = Duration::from_secs(10);
/// A connection ends after this time, whether its response was read or not.
pub(crate) const CONNECTION_TIME: Duration = Duration::from_secs(30);
/// Headers of a request; a browser sends about fifteen.
const HEADERS: usize = 64;
/// Bytes of a request's head; a browser sends about one KiB.
const HEAD_BYTES: usize = 16 * 1024;
/// The pause after an error of accepting.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How often that error is logged.
const TELL: Duration = Duration::from_secs(60);

/// Serves until it is dropped, at most `limit` connections at one time.
pub(crate) async fn serve(listener: TcpListener, pages: Pages, limit: usize) {
    let mut open = Connections {
        limit: limit.max(1),
        open: Vec::new(),
    };
    let mut tell_at = Instant::now();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                open.make_room().await;
                open.add(peer.ip(), stream, pages.clone());
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                if Instant::now() >= tell_at {
                    tell_at = Instant::now() + TELL;
                    tracing::warn!(%error, "the HTTP port accepts no connection for now; it tries again");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The peer is gone already; the next one may be there.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// The connections, in the order in which they came.
struct Connections {
    limit: usize,
    open: Vec<Connection>,
}

struct Connection {
    peer: IpAddr,
    /// Its request has arrived.
    is_heard: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Connections {
    fn add(
        &mut self,
        peer: IpAddr,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        pages: Pages,
    ) {
        let is_heard = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(converse(stream, pages, Arc::clone(&is_heard)));
        self.open.push(Connection {
            peer,
            is_heard,
            task,
        });
    }

    /// Returns when one more connection is allowed.
    async fn make_room(&mut self) {
        self.open
            .retain(|connection| !connection.task.is_finished());
        while self.open.len() >= self.limit
            && let Some(place) = self.least_wanted()
        {
            let connection = self.open.remove(place);
            connection.task.abort();
            // The descriptor is free when the task has ended.
            let _ = connection.task.await;
        }
    }

    /// The oldest connection of the peer with the most connections, preferring those whose request has not arrived.
    fn least_wanted(&self) -> Option<usize> {
        let of_peer = |peer| self.open.iter().filter(|other| other.peer == peer).count();
        let rank = |(place, connection): &(usize, &Connection)| {
            let is_heard = connection.is_heard.load(Ordering::Relaxed);
            (Reverse(of_peer(connection.peer)), is_heard, *place)
        };
        let all = self.open.iter().enumerate();
        all.min_by_key(rank).map(|(place, _)| place)
    }
}

/// One connection from its first byte to its end.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    pages: Pages,
    is_heard: Arc<AtomicBool>,
) {
    let service = service_fn(|request| {
        is_heard.store(true, Ordering::Relaxed);
        std::future::ready(Ok::<_, Infallible>(pages.answer(&request)))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        // A connection with one request is never idle, so it needs no more limits.
        .keep_alive(false)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // A peer that sent an invalid request, or reads too slowly, gets no further response.
    let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
