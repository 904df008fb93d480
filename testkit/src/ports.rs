//! Free ports of this machine.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that nobody else gets meanwhile: it lies below the ports that the kernel hands out to connections, and each
/// call gives another one.
///
/// # Panics
///
/// When thousands of ports are taken.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const COUNT: u32 = 12_000;
    loop {
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        assert!(next < COUNT, "no port is free");
        // Two test runs at the same time have process ids close together: each takes a stride of its own.
        let start = std::process::id() % COUNT;
        let offset = u16::try_from((start * 61 + next) % COUNT).unwrap_or_default();
        let port = FIRST + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
