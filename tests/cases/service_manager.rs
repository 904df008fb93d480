//! The real binary as a service: what it tells its service manager by the protocol of sd_notify(3).

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use rustix::process::Signal;

use super::cluster_down;
use crate::support::agent::{Agent, Home, section_cluster, section_log};
use testkit::lines::append;
use testkit::stage::Stage;
use testkit::wait::Deadline;

/// The socket of a service manager, and all that came.
struct Manager {
    socket: UnixDatagram,
    variable: String,
    came: Vec<String>,
}

impl Manager {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            socket,
            variable: format!("NOTIFY_SOCKET={}", path.display()),
            came: Vec::new(),
        }
    }

    /// Waits until a message begins with this, and returns it. Those before it are passed over.
    fn until(&mut self, beginning: &str) -> String {
        let deadline = Deadline::new();
        loop {
            let mut buffer = [0; 4096];
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
                    self.came.push(message.clone());
                    if message.starts_with(beginning) {
                        return message;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error} before {beginning}"),
            }
            deadline.pause(|| format!("{beginning}; so far: {:?}", self.came));
        }
    }

    /// Starts `logweir run` as this manager's service, with a watchdog of a third of a second.
    fn start(&self, home: &Home) -> Agent {
        home.start_with_variables(&[&self.variable, "WATCHDOG_USEC=300000"], &["run"])
    }
}

#[test]
fn a_service_tells_its_start_its_reload_and_its_stop() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    home.append(0..10);
    let mut manager = Manager::listen(&home.path("notify"));
    let agent = manager.start(&home);
    manager.until("READY=1");
    assert_eq!(
        manager.came,
        ["READY=1"],
        "nothing is told before the start"
    );
    let status = loop {
        let status = manager.until("WATCHDOG=1\nSTATUS=");
        if status.contains("10 lines read, 0 in flight, 0 bytes unread") {
            break status;
        }
    };
    assert!(status.ends_with(": delivering"), "{status}");

    agent.signal(Signal::HUP);
    let reloading = manager.until("RELOADING=1");
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    manager.until("READY=1");
    home.append(10..20);
    while !manager.until("WATCHDOG=1").contains("20 lines read") {}

    // a reload that is refused ends too, and the agent works on
    std::fs::write(home.config(), "retention = 'tomorrow'\n").unwrap();
    agent.signal(Signal::HUP);
    manager.until("RELOADING=1");
    manager.until("READY=1");
    manager.until("WATCHDOG=1");

    agent.stop();
    manager.until("STOPPING=1");
    stage.assert_exactly(0..20);
}

/// The reader sleeps for an hour by its settings, and the cluster is away: that is no reason to restart.
#[test]
fn an_agent_without_work_or_without_a_cluster_gives_signs_of_life() {
    let home = Home::new();
    // in a folder of its own: the agent's own log would wake the reader
    let logs = home.path("logs");
    std::fs::create_dir(&logs).unwrap();
    append(&logs.join("access.log"), 0..100);
    let sections = section_log(&logs.join("access.log"), "combined");
    let cluster = section_cluster(&cluster_down());
    home.configure("reconcile_interval = '1h'\n", &(sections + &cluster));
    let mut manager = Manager::listen(&home.path("notify"));
    let mut agent = manager.start(&home);
    manager.until("READY=1");
    while !manager
        .until("WATCHDOG=1")
        .contains("100 in flight, 0 bytes unread")
    {}
    for _ in 0..30 {
        let sign = manager.until("WATCHDOG=1");
        assert!(sign.contains(": waiting: "), "{sign}");
    }
    agent.until_said("started");
    agent.stop();
    manager.until("STOPPING=1");
}

#[test]
fn a_configuration_that_is_wrong_is_never_ready() {
    let home = Home::new();
    std::fs::write(home.config(), "retention = 'tomorrow'\n").unwrap();
    let manager = Manager::listen(&home.path("notify"));
    let ended = manager.start(&home).end();
    assert_eq!(ended.code, Some(78), "{}", ended.words);
    assert!(manager.socket.recv(&mut [0; 64]).is_err());
}
