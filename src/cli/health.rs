//! `logweir health`: asks the running agent of this host whether it works, for health checks of containers and supervisors.
//!
//! Owns the question, its limits and the reading of the answer. Refuses to know what makes an agent healthy: its own page says
//! so. Invariant: 0 means that an agent answered "ok" within [`TIME`]. A fault elsewhere in the configuration, which does not
//! stop a running agent, does not make it unhealthy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use url::Url;

use super::terminal::{complain, say};
use super::{Common, Exit, HealthArgs, block_on};
use crate::agent::one_line;
use crate::config;
use crate::http::{Backoff, ConnectionSettings, HttpClient, HttpError, Method, Service};

/// Limit of the whole request. Health checks have limits of their own, which should be longer.
const TIME: Duration = Duration::from_secs(3);
/// More than the longest page of a probe.
const LIMIT: usize = 64 * 1024;

pub(super) fn run(common: &Common, args: &HealthArgs) -> Exit {
    let listen = match config::listen(common.config.as_deref(), &config::System, &config::System) {
        Ok(listen) => listen,
        Err(errors) => {
            complain!("{errors}");
            return Exit::Config;
        }
    };
    let page = if args.ready { "readyz" } else { "livez" };
    block_on(async {
        match ask(listen, page).await {
            Ok(()) => {
                say!("ok");
                Exit::Ok
            }
            Err(problem) => {
                complain!("{problem}");
                Exit::Unhealthy
            }
        }
    })
}

/// Requests the page of a probe; the error is one line.
async fn ask(listen: SocketAddr, page: &str) -> Result<(), String> {
    let error = |error: HttpError| one_line(&error.to_string());
    let base = format!("http://{}/", reachable(listen));
    let base = Url::parse(&base).map_err(|error| format!("{base}: {error}"))?;
    let settings = ConnectionSettings {
        request_timeout: TIME,
        gzip: false,
        ..ConnectionSettings::new(vec![base])
    };
    let client = HttpClient::new(&settings, Service::Agent, Backoff::default()).map_err(error)?;
    let url = client.url(0, page).map_err(error)?;
    let response = client.send(0, Method::Get, &url, &[], None, LIMIT).await;
    let response = response.map_err(error)?;
    let body = String::from_utf8_lossy(&response.body);
    match (response.status, &*body) {
        (200, "ok\n") => Ok(()),
        (503, reason) if !reason.trim().is_empty() => Err(one_line(reason)),
        // Another program on the port may answer 200 too.
        (status, _) => Err(format!(
            "{url}: the answer ({status}) is not that of logweir; another program is on this port, or `logweir run` has another \
             `[http] listen`"
        )),
    }
}

/// The address at which this host reaches what listens there: an agent on every address is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What `ask` says of a server that answers with this.
    fn said_of(response: &'static [u8]) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap();
            // the client may have read enough
            let _ = stream.write_all(response);
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let said = runtime.block_on(ask(address, "livez"));
        let request = server.join().unwrap();
        assert!(request.starts_with("GET /livez HTTP/1.1\r\n"), "{request}");
        said
    }

    #[test]
    fn only_an_agent_that_says_ok_is_healthy() {
        assert_eq!(said_of(b"HTTP/1.0 200 OK\r\nx: y\r\n\r\nok\n"), Ok(()));
        let silent = said_of(b"HTTP/1.0 503 x\r\n\r\nthe reader has not moved for 9000 s\n");
        assert_eq!(
            silent,
            Err("the reader has not moved for 9000 s".to_owned())
        );
        let two = said_of(b"HTTP/1.0 503 x\r\n\r\n/a: one\n/b: two\n");
        assert_eq!(two, Err("/a: one; /b: two".to_owned()));
    }

    #[test]
    fn another_program_on_the_port_is_not_healthy() {
        static LONG: [u8; 1 << 20] = [b'x'; 1 << 20];
        for response in [
            &b"HTTP/1.0 200 OK\r\n\r\n<html>"[..],
            b"HTTP/1.0 503 x\r\n\r\n",
            b"HTTP/1.0 404 x\r\n\r\nok\n",
            b"HTTP/1.0 302 x\r\nLocation: /ok\r\n\r\n",
            b"SSH-2.0-OpenSSH\r\n",
            b"200 ok\n",
            b"",
            &LONG,
        ] {
            let error = said_of(response).unwrap_err();
            assert_eq!(error.lines().count(), 1, "{error}");
            assert!(!error.contains("nodes"), "{error}");
        }
    }

    #[test]
    fn an_agent_on_every_address_is_asked_on_loopback() {
        let reached = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:9280"), "127.0.0.1:9280");
        assert_eq!(reached("[::]:9280"), "[::1]:9280");
        assert_eq!(reached("10.1.2.3:80"), "10.1.2.3:80");
    }
}
