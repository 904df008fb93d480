//! Tests with a peer at one end of a pipe or socket, in virtual time.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;

use super::*;
use crate::web::Hosts;
use crate::web::tests::view;

fn pages() -> Pages {
    Pages::new(Arc::new(view), Hosts::default())
}

/// The peer's end of an open connection.
fn peer() -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(1024);
    tokio::spawn(converse(ours, pages(), Arc::default()));
    theirs
}

/// Everything until the connection ends, and after how many seconds that is.
async fn rest(peer: &mut DuplexStream) -> (String, u64) {
    let began = Instant::now();
    let mut text = String::new();
    peer.read_to_string(&mut text).await.unwrap();
    (text, began.elapsed().as_secs())
}

const REQUEST: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_connection_ends_after_one_request() {
    let mut peer = peer();
    peer.write_all(REQUEST).await.unwrap();
    let (text, after) = rest(&mut peer).await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("connection: close\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nok\n"), "{text}");
    assert_eq!(after, 0);
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_request_ends_after_the_header_time() {
    for sent in ["", "GET /livez HTTP/1.1\r\nHost: lo"] {
        let mut peer = peer();
        peer.write_all(sent.as_bytes()).await.unwrap();
        let (text, after) = rest(&mut peer).await;
        assert!(!text.contains("200"), "{text}");
        assert_eq!(after, HEADER_TIME.as_secs(), "{sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_sent_byte_by_byte_ends_after_the_header_time_too() {
    let mut peer = peer();
    let began = Instant::now();
    for byte in REQUEST.iter().cycle() {
        if peer.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    assert!(began.elapsed() < HEADER_TIME + Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_read_ends_after_the_connection_time() {
    let (ours, mut theirs) = tokio::io::duplex(64);
    let task = tokio::spawn(converse(ours, pages(), Arc::default()));
    let began = Instant::now();
    let request = b"GET /metrics HTTP/1.1\r\n\r\n";
    theirs.write_all(request).await.unwrap();
    task.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), CONNECTION_TIME.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_head_is_bounded_in_bytes_and_in_headers() {
    let long = format!("x: {}\r\n", "a".repeat(2 * HEAD_BYTES));
    let many = "x: a\r\n".repeat(HEADERS + 1);
    let path = format!("/{}", "a".repeat(2 * HEAD_BYTES));
    for (path, headers) in [("/livez", &*long), ("/livez", &many), (&path, "")] {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        tokio::spawn(converse(ours, pages(), Arc::default()));
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        theirs.write_all(request.as_bytes()).await.unwrap();
        let (text, after) = rest(&mut theirs).await;
        let status = text.split(' ').nth(1).unwrap_or_default();
        assert!(matches!(status, "400" | "414" | "431"), "{text}");
        assert_eq!(after, 0);
    }
}

/// A port that is served, with so many connections at most.
async fn served(limit: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, pages(), limit));
    address
}

async fn asked(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn a_probe_is_accepted_however_many_connections_are_open() {
    const LIMIT: usize = 4;
    let address = served(LIMIT).await;
    let mut held = Vec::new();
    for _ in 0..5 * LIMIT {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        held.push(stream);
        assert!(asked(address).await.ends_with("ok\n"));
    }
    // All but the last few were closed; the last ones are still open.
    let mut open = 0;
    for mut stream in held {
        match stream.try_read(&mut [0; 1]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => open += 1,
            _ => assert_ne!(stream.read(&mut [0; 1]).await.unwrap_or(0), 1),
        }
    }
    assert!((1..LIMIT).contains(&open), "{open}");
}

#[tokio::test]
async fn the_peer_with_the_most_connections_loses_one() {
    let mut open = Connections {
        limit: 4,
        open: Vec::new(),
    };
    let mut ends = Vec::new();
    let mut add = |open: &mut Connections, last: u8| {
        let (ours, theirs) = tokio::io::duplex(64);
        open.add([192, 0, 2, last].into(), ours, pages());
        ends.push(theirs);
    };
    for last in [1, 2, 2, 2] {
        add(&mut open, last);
    }
    open.open[1].is_heard.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        open.make_room().await;
        assert_eq!(open.open.len(), 3);
        add(&mut open, 3);
    }
    let left: Vec<String> = open.open.iter().map(|it| it.peer.to_string()).collect();
    // Two connections of 192.0.2.2 without a request were closed, then one of the three of 192.0.2.3.
    assert_eq!(left, ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.3"]);
}
