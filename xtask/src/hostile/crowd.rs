//! Many hostile connections to one address at the same time.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// Connections that are held open.
pub(super) struct Crowd(Vec<TcpStream>);

impl Crowd {
    /// Opens this many connections and sends the same bytes over each. Refused ones do not count.
    pub(super) fn gather(address: SocketAddr, count: usize, sends: &[u8]) -> Self {
        let connect = |_| {
            let mut stream = TcpStream::connect_timeout(&address, CONNECT_WITHIN).ok()?;
            stream.set_nonblocking(true).ok()?;
            // The other side may have closed it already.
            let _ = stream.write(sends);
            Some(stream)
        };
        Self((0..count).filter_map(connect).collect())
    }

    /// How many the other side has not closed.
    pub(super) fn open(&mut self) -> usize {
        self.0.retain_mut(|stream| {
            let mut buffer = [0; 4096];
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return false,
                    Ok(_) => {}
                    Err(error) => return error.kind() == ErrorKind::WouldBlock,
                }
            }
        });
        self.0.len()
    }
}
