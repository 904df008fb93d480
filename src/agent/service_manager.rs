//! Tells systemd, or whatever started this process as a service, how it stands: the protocol of sd_notify(3).
//!
//! Owns the socket, the variables that name it, and the form of a message. Refuses to know when something is told.
//! Invariants: the agent works the same whether anybody listens or not, and a text from outside cannot add a line to a
//! message.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::getpid;

use super::ports::{Notice, ServiceManager};
use crate::clock;
use crate::text;

/// How often the status is sent at least.
const STATUS_INTERVAL: Duration = Duration::from_secs(30);

/// How many reports fit into the watchdog's time, so that a late one does no harm.
const REPORTS_PER_WATCHDOG: u32 = 3;

/// How long a send may wait for the receiver.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest status, in bytes.
const STATUS_BYTES: usize = 300;

/// The variables that a service manager sets.
#[derive(Debug, Default)]
struct Variables {
    /// `NOTIFY_SOCKET`: a path, or a name with `@` in front in the abstract namespace.
    socket: Option<OsString>,
    /// `WATCHDOG_USEC`: microseconds without a sign of life after which the service is restarted.
    watchdog_usec: Option<OsString>,
    /// `WATCHDOG_PID`: the process that `WATCHDOG_USEC` is for, if not for all.
    watchdog_pid: Option<OsString>,
}

/// The service manager at the other end of a datagram socket.
pub(super) struct Systemd {
    /// `None` where no service manager listens.
    connection: Option<(UnixDatagram, SocketAddr)>,
    interval: Duration,
    has_failed: AtomicBool,
}

impl Systemd {
    /// The one that the environment names. A name that cannot be used is logged.
    pub(super) fn from_environment() -> Self {
        Self::new(&Variables {
            socket: std::env::var_os("NOTIFY_SOCKET"),
            watchdog_usec: std::env::var_os("WATCHDOG_USEC"),
            watchdog_pid: std::env::var_os("WATCHDOG_PID"),
        })
    }

    fn new(variables: &Variables) -> Self {
        let connection = variables.socket.as_ref().and_then(|name| {
            connect(name.as_bytes())
                .inspect_err(|error| tracing::warn!(%error, "cannot use NOTIFY_SOCKET"))
                .ok()
        });
        let watchdog = watchdog(variables).map(|limit| limit / REPORTS_PER_WATCHDOG);
        Self {
            connection,
            interval: watchdog.map_or(STATUS_INTERVAL, |interval| interval.min(STATUS_INTERVAL)),
            has_failed: AtomicBool::new(false),
        }
    }
}

impl ServiceManager for Systemd {
    fn interval(&self) -> Option<Duration> {
        self.connection.as_ref().map(|_| self.interval)
    }

    fn tell(&self, notice: &Notice) {
        let Some((socket, address)) = &self.connection else {
            return;
        };
        let sent = socket.send_to_addr(message(notice).as_bytes(), address);
        if let Err(error) = sent
            && !self.has_failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "the service manager cannot be told how the agent stands");
        }
    }
}

fn connect(name: &[u8]) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    Ok((socket, address))
}

/// The time after which the service manager restarts a silent process, if it watches this one.
fn watchdog(variables: &Variables) -> Option<Duration> {
    let number = |value: &OsString| value.to_str()?.parse::<u64>().ok();
    if let Some(pid) = &variables.watchdog_pid
        && number(pid) != u64::try_from(getpid().as_raw_nonzero().get()).ok()
    {
        return None;
    }
    let limit = number(variables.watchdog_usec.as_ref()?)?;
    (limit > 0).then(|| Duration::from_micros(limit))
}

fn message(notice: &Notice) -> String {
    match notice {
        Notice::Ready => "READY=1".to_owned(),
        // The time is what Type=notify-reload asks for; others ignore it.
        Notice::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", clock::monotonic_micros()),
        Notice::Stopping => "STOPPING=1".to_owned(),
        Notice::Works(status) => format!("WATCHDOG=1\nSTATUS={}", one_line(status)),
        Notice::Stalled(status) => format!("STATUS={}", one_line(status)),
    }
}

fn one_line(status: &str) -> String {
    text::excerpt(status.as_bytes(), STATUS_BYTES)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A service manager's end of the socket, and the variables that name it.
    fn listen() -> (tempfile::TempDir, UnixDatagram, Variables) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let variables = Variables {
            socket: Some(path.into_os_string()),
            ..Variables::default()
        };
        (folder, socket, variables)
    }

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn each_notice_is_one_message_of_the_protocol() {
        let (_folder, socket, variables) = listen();
        let systemd = Systemd::new(&variables);
        for (notice, expected) in [
            (Notice::Ready, "READY=1"),
            (Notice::Stopping, "STOPPING=1"),
            (
                Notice::Works("7 lines read".to_owned()),
                "WATCHDOG=1\nSTATUS=7 lines read",
            ),
            (Notice::Stalled("it hangs".to_owned()), "STATUS=it hangs"),
        ] {
            systemd.tell(&notice);
            assert_eq!(received(&socket), expected);
        }
        let before = clock::monotonic_micros();
        systemd.tell(&Notice::Reloading);
        let text = received(&socket);
        let time = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        let time: u64 = time.parse().unwrap();
        assert!((before..=clock::monotonic_micros()).contains(&time));
    }

    #[test]
    fn a_status_from_outside_adds_no_line_and_has_a_limit() {
        let notice = Notice::Works(format!("waiting: x\nMAINPID=1\r{}", "y".repeat(5000)));
        let text = message(&notice);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.starts_with("WATCHDOG=1\nSTATUS=waiting: x"), "{text}");
        assert!(text.len() < 400, "{}", text.len());
    }

    #[test]
    fn an_abstract_name_is_a_socket_too() {
        let name = format!("logweir-test-{}", getpid().as_raw_nonzero());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let systemd = Systemd::new(&Variables {
            socket: Some(format!("@{name}").into()),
            ..Variables::default()
        });
        systemd.tell(&Notice::Ready);
        assert_eq!(received(&socket), "READY=1");
    }

    #[test]
    fn the_watchdog_sets_how_often_it_is_told_something() {
        let interval = |usec: Option<&str>, pid: Option<String>| {
            let (_folder, _socket, mut variables) = listen();
            variables.watchdog_usec = usec.map(Into::into);
            variables.watchdog_pid = pid.map(Into::into);
            Systemd::new(&variables).interval().unwrap()
        };
        let own = getpid().as_raw_nonzero().to_string();
        assert_eq!(interval(Some("6000000"), None), Duration::from_secs(2));
        assert_eq!(interval(Some("6000000"), Some(own)), Duration::from_secs(2));
        for (usec, pid) in [
            (Some("6000000"), Some("1".to_owned())),
            (Some("3600000000"), None),
            (Some("0"), None),
            (Some("soon"), None),
            (None, None),
        ] {
            assert_eq!(interval(usec, pid), STATUS_INTERVAL, "{usec:?}");
        }
    }

    #[test]
    fn without_a_service_manager_nothing_is_sent() {
        let nobody = Systemd::new(&Variables::default());
        assert_eq!(nobody.interval(), None);
        nobody.tell(&Notice::Ready);
        // the socket is gone: the agent works all the same
        let (folder, _socket, variables) = listen();
        let systemd = Systemd::new(&variables);
        drop(folder);
        systemd.tell(&Notice::Ready);
        assert!(systemd.has_failed.load(Ordering::Relaxed));
        let useless = Systemd::new(&Variables {
            socket: Some("/".repeat(500).into()),
            ..Variables::default()
        });
        assert_eq!(useless.interval(), None);
    }
}
