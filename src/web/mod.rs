//! What the agent tells over HTTP: `/metrics`, `/status`, `/livez`, `/readyz`.
//!
//! Owns the pages; knows the numbers by one [`View`] and changes nothing. Invariant: `/readyz` speaks of the
//! configuration and the logs alone, never of the output: as a sidecar's readiness probe it must not take a
//! web site down together with Elasticsearch.

mod metrics;
mod status;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::output::elasticsearch::Elasticsearch;
use crate::telemetry::Snapshot;
pub use status::Delivery;

/// Everything a page is made from, taken at one moment.
#[derive(Debug, Clone)]
pub struct View {
    /// The accounts and what the rooms report.
    pub snapshot: Snapshot,
    /// How delivery stands.
    pub delivery: Delivery,
    /// The output's own counters.
    pub output: Option<Arc<Elasticsearch>>,
    /// The host that records carry.
    pub host: String,
    /// What is in the way besides files and delivery: the configuration's problems, and a closed gate's.
    pub problems: Vec<String>,
    /// Milliseconds since the epoch, now.
    pub unix_millis: i64,
    /// Milliseconds since the epoch, when the process started.
    pub started_millis: i64,
}

/// Gives a view of this moment.
pub type Source = Arc<dyn Fn() -> View + Send + Sync>;

/// Takes the address, or says why it cannot be had.
pub async fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(listen).await
}

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, source: Source) -> std::io::Result<()> {
    let pages = Router::new()
        .route("/metrics", get(metrics_page))
        .route("/status", get(status_page))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(source);
    axum::serve(listener, pages).await
}

async fn metrics_page(State(source): State<Source>) -> Response {
    match metrics::page(source()) {
        Ok(page) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn status_page(State(source): State<Source>) -> Response {
    axum::Json(status::page(&source())).into_response()
}

async fn livez(State(source): State<Source>) -> Response {
    match status::silent(&source()) {
        None => "ok\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n").into_response(),
    }
}

async fn readyz(State(source): State<Source>) -> Response {
    match status::unready(&source()) {
        None => "ok\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n").into_response(),
    }
}
