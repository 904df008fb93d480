//! The agent's HTTP pages: `/metrics`, `/status`, `/livez`, `/readyz`.
//!
//! Owns the pages; it gets the numbers from one [`View`] and changes nothing. Invariant: `/readyz` depends on the
//! configuration and the logs alone, never on the output: as a sidecar's readiness probe it must not take a web site down
//! together with Elasticsearch. `server` bounds the cost of a request; `hosts` decides who may ask.

mod hosts;
mod metrics;
mod server;
mod status;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;

use self::hosts::Refused;

use crate::output::{Health, OutputStatus};
use crate::telemetry::Snapshot;
use crate::text;
pub(crate) use hosts::Hosts;
pub(crate) use server::serve;

/// Everything a page is made from, taken at one moment.
#[derive(Clone)]
pub(crate) struct View {
    /// The counts that the modules report.
    pub snapshot: Snapshot,
    /// How delivery is doing.
    pub delivery: Health,
    /// The output, for its own metrics.
    pub output: Option<Arc<dyn OutputStatus>>,
    /// The host that records carry.
    pub host: String,
    /// Problems other than those of files and delivery: those of the configuration, and of a closed gate.
    pub problems: Vec<String>,
    /// Milliseconds since the epoch, now.
    pub unix_millis: i64,
    /// Milliseconds since the epoch, when the process started.
    pub started_millis: i64,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("snapshot", &self.snapshot)
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}

/// Returns the current view.
pub(crate) type Source = Arc<dyn Fn() -> View + Send + Sync>;

/// The list of pages, for requests for `/`.
const ENDPOINTS: &str = "\
logweir
/metrics  counters and gauges, in OpenMetrics text
/status   how the agent stands, in JSON
/livez    200 while the agent works
/readyz   200 while it can read its logs
";

/// The pages, and who may request them.
#[derive(Clone)]
pub(crate) struct Pages {
    source: Source,
    hosts: Arc<Hosts>,
}

/// Binds the address, or returns why that fails.
pub(crate) async fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(listen).await
}

impl Pages {
    /// Pages of what `source` gives, for requests that call this host by one of `hosts`.
    pub(crate) fn new(source: Source, hosts: Hosts) -> Self {
        let hosts = Arc::new(hosts);
        Self { source, hosts }
    }

    /// Responds to a request. Only its head is read: no page takes a body.
    fn answer<B: Body>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let text = "only GET and HEAD are answered here\n";
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, text);
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
            return response;
        }
        if request.body().size_hint().upper() != Some(0) {
            let text = "no page takes a body\n";
            return plain(StatusCode::PAYLOAD_TOO_LARGE, text);
        }
        let path = request.uri().path();
        // Kubernetes, load balancers and Prometheus may use any name for this host.
        let is_for_all = matches!(path, "/metrics" | "/livez" | "/readyz");
        if !is_for_all && let Err(refused) = self.hosts.permit(request.uri(), request.headers()) {
            return refusal(refused);
        }
        match path {
            "/" => plain(StatusCode::OK, ENDPOINTS),
            "/metrics" => match metrics::page((self.source)()) {
                Ok(page) => page_of(StatusCode::OK, metrics::CONTENT_TYPE, page),
                Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            },
            "/status" => {
                let page = status::page(&(self.source)()).to_string();
                page_of(StatusCode::OK, "application/json", text::safe_json(&page))
            }
            "/livez" => probe_page(status::silent(&(self.source)())),
            "/readyz" => probe_page(status::unready(&(self.source)())),
            _ => plain(
                StatusCode::NOT_FOUND,
                "no such page; / lists those there are\n",
            ),
        }
    }
}

/// A probe's page; `problem` is why the probe fails.
fn probe_page(problem: Option<String>) -> Response<Full<Bytes>> {
    match problem {
        None => plain(StatusCode::OK, "ok\n"),
        Some(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, &(reason + "\n")),
    }
}

fn refusal(refused: Refused) -> Response<Full<Bytes>> {
    match refused {
        Refused::Malformed => plain(StatusCode::BAD_REQUEST, "one Host header is wanted\n"),
        Refused::Foreign => plain(
            StatusCode::MISDIRECTED_REQUEST,
            "this Host is not an address, localhost or the name of this host; add it to allowed_hosts in [http] \
             if it is meant for this agent\n",
        ),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    page_of(status, "text/plain; charset=utf-8", text::safe_lines(text))
}

fn page_of(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        // The pages contain file names and responses: no browser may render them as a document.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
