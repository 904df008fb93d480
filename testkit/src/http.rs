//! A blocking HTTP client for one request at a time: enough for pages and searches.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A server that is silent for this long is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer, its body as text.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Sends one request with a JSON body to `address` (host and port) and reads the whole answer.
pub fn ask(address: &str, method: &str, path: &str, body: &str) -> io::Result<Answer> {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    exchange(address, &request, PATIENCE)
}

/// Sends this request, which asks for `connection: close`, and reads the whole answer; no part of it may take longer
/// than `patience`.
pub fn exchange(address: &str, request: &str, patience: Duration) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let text = String::from_utf8(bytes).map_err(|_| wrong("not UTF-8"))?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| wrong("no end of head"))?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| wrong("no status"))?;
    let head = head.to_ascii_lowercase();
    let body = if head.contains("transfer-encoding: chunked") {
        unchunked(body).ok_or_else(|| wrong("broken chunks"))?
    } else {
        body.to_owned()
    };
    Ok(Answer { status, head, body })
}

fn unchunked(mut text: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, rest) = text.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(rest.get(..size)?);
        text = rest.get(size + 2..)?;
    }
}
