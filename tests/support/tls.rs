//! TLS on the connections of a fake server.

use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use testkit::http_server::{Channel, Connection};

/// Makes a connection one of TLS, as [`testkit::fake_es::FakeEs::start_tls`] takes it.
pub(crate) fn tls(config: ServerConfig) -> impl Fn(Connection) -> Box<dyn Channel> + Send + Sync {
    let config = Arc::new(config);
    move |connection| {
        let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
        Box::new(StreamOwned::new(tls, connection))
    }
}
