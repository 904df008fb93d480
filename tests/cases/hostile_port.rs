//! Hostile clients of the agent's HTTP port cannot take the descriptors of the logs or keep probes out.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::agent::{Home, section_cluster, section_log};
use testkit::stage::Stage;

/// Enough for the agent, and far less than the connections of the tests.
const LIMITS: &str = "-n 128 -v 1000000";
const CONNECTIONS: usize = 300;

#[test]
fn held_connections_keep_neither_probes_out_nor_logs_unread() {
    let (home, stage) = (Home::new(), Stage::new());
    let paths: Vec<String> = (0..20)
        .map(|number| format!("'{}'", home.path(&format!("{number}.log")).display()))
        .collect();
    let more = format!(
        "[[logs]]\npaths = [{}]\nformat = 'combined'\n",
        paths.join(", ")
    );
    let sections =
        section_log(&home.log(), "combined") + &more + &section_cluster(&stage.address());
    home.configure("", &sections);
    let mut agent = home.start_limited(LIMITS, &["run"]);
    agent.until_said("started");
    let mut held = Vec::new();
    for number in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(agent.address()).unwrap();
        // half a request, nothing, a response that is not read, or an invalid request
        let sent = [
            "GET /status HTTP/1.1\r\nHost: local",
            "",
            "GET /metrics HTTP/1.1\r\n\r\n",
            "\x16\x03\x01",
        ][number % 4];
        let _ = stream.write_all(sent.as_bytes());
        held.push(stream);
    }
    for path in ["/livez", "/readyz", "/metrics", "/status"] {
        assert_eq!(agent.page(path).unwrap().status, 200, "{path}");
    }
    // New logs are opened, and positions are saved.
    for number in 0..20_u32 {
        let log = home.path(&format!("{number}.log"));
        testkit::lines::append(&log, number * 10..number * 10 + 10);
    }
    agent.until_so("all lines", || stage.count() == 200);
    agent.until("a saved position", |agent| {
        (agent.number("/files/open")? == 20 && agent.status()?["problems"] == serde_json::json!([]))
            .then_some(())
    });
    drop(held);
    let ended = agent.stop();
    assert!(
        !ended.words.contains("Too many open files"),
        "{}",
        ended.words
    );
    stage.assert_exactly(0..200);
}

fn raw(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

#[test]
fn a_page_is_served_only_to_requests_with_a_name_of_this_host() {
    let (home, stage) = (Home::new(), Stage::new());
    home.configure_log(&stage.address());
    let config = std::fs::read_to_string(home.config()).unwrap();
    let config = config + "allowed_hosts = [\"Logs.example.org\"]\n";
    std::fs::write(home.config(), config).unwrap();
    let agent = home.run();
    let status = |path: &str, headers: &str| {
        let text = raw(
            &agent.address(),
            &format!("GET {path} HTTP/1.1\r\n{headers}\r\n"),
        );
        text.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let host = |host: &str| status("/status", &format!("Host: {host}\r\n"));
    for name in [
        "127.0.0.1:9280",
        "[::1]",
        "LOCALHOST.",
        "web",
        "logs.example.org:443",
    ] {
        assert_eq!(host(name), "200", "{name}");
    }
    for name in [
        "evil.com",
        "localhost.evil.com",
        "web.evil.com",
        "127.0.0.1.nip.io",
        "",
    ] {
        assert_eq!(host(name), "421", "{name}");
    }
    assert_eq!(status("/status", ""), "400");
    assert_eq!(
        status("/status", "Host: localhost\r\nHost: localhost\r\n"),
        "400"
    );
    assert_eq!(
        status("http://evil.com/status", "Host: localhost\r\n"),
        "421"
    );
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(status(path, "Host: evil.com\r\n"), "200", "{path}");
        assert_eq!(status(path, ""), "200", "{path}");
    }
    let refused = raw(&agent.address(), "GET / HTTP/1.1\r\nHost: evil.com\r\n\r\n");
    assert!(refused.contains("allowed_hosts in [http]"), "{refused}");
    let list = raw(
        &agent.address(),
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    for path in ["/metrics", "/status", "/livez", "/readyz"] {
        assert!(list.contains(path), "{list}");
    }
    let posted = raw(
        &agent.address(),
        "POST /status HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
    assert!(posted.contains("allow: GET, HEAD\r\n"), "{posted}");
    let long = "GET /livez HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n";
    assert!(raw(&agent.address(), long).starts_with("HTTP/1.1 413 "));
    agent.stop();
}
