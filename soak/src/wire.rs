//! The part of HTTP/1.1 that the agent and Elasticsearch use (RFC 9112).

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// How long a read waits before it asks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// A request or an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Message {
    /// `POST /_bulk HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub(super) start: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Message {
    /// An answer of our own.
    pub(super) fn answer(status: &str, media_type: &str, body: &[u8]) -> Self {
        Self {
            start: format!("HTTP/1.1 {status}"),
            headers: vec![("content-type".to_owned(), media_type.to_owned())],
            body: body.to_owned(),
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| key != name);
        self
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn is_bulk(&self) -> bool {
        self.start.starts_with("POST ") && self.start.contains("/_bulk")
    }

    fn asks_for_head_only(&self) -> bool {
        self.start.starts_with("HEAD ")
    }

    /// The bytes to send. The length is that of the body, or the one in the response to a HEAD.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = format!("{}\r\n", self.start);
        let told = self.header("content-length");
        for (name, value) in &self.headers {
            if name != "content-length" && name != "transfer-encoding" {
                out.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        let length = match told {
            Some(told) if self.body.is_empty() => told.to_owned(),
            _ => self.body.len().to_string(),
        };
        out.push_str(&format!("content-length: {length}\r\n\r\n"));
        let mut out = out.into_bytes();
        out.extend_from_slice(&self.body);
        out
    }
}

/// One end of a connection, with the bytes that were read beyond the current message.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self {
            stream,
            read: Vec::new(),
        })
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next request; `None` when the other end has closed the connection between two of them.
    pub(super) fn request(&mut self, wanted: &dyn Fn() -> bool) -> io::Result<Option<Message>> {
        match self.head(wanted)? {
            None => Ok(None),
            Some(head) => self.body(head, wanted).map(Some),
        }
    }

    /// The answer to `request`.
    pub(super) fn answer(
        &mut self,
        request: &Message,
        wanted: &dyn Fn() -> bool,
    ) -> io::Result<Message> {
        let head = self.head(wanted)?.ok_or(ErrorKind::UnexpectedEof)?;
        if request.asks_for_head_only() {
            return Ok(head);
        }
        self.body(head, wanted)
    }

    /// Waits until the other end has gone; false when that does not happen while it is wanted.
    pub(super) fn wait_for_end(&mut self, wanted: &dyn Fn() -> bool) -> bool {
        loop {
            match self.more(wanted) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != ErrorKind::Interrupted,
            }
        }
    }

    fn head(&mut self, wanted: &dyn Fn() -> bool) -> io::Result<Option<Message>> {
        let end = loop {
            if let Some(at) = memchr::memmem::find(&self.read, b"\r\n\r\n") {
                break at;
            }
            if self.more(wanted)? == 0 {
                return match self.read.is_empty() {
                    true => Ok(None),
                    false => Err(ErrorKind::UnexpectedEof.into()),
                };
            }
        };
        let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
        self.read.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Ok(Some(Message {
            start,
            headers,
            body: Vec::new(),
        }))
    }

    fn body(&mut self, mut head: Message, wanted: &dyn Fn() -> bool) -> io::Result<Message> {
        if head.header("transfer-encoding").is_some() {
            loop {
                let line = self.line(wanted)?;
                let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
                let chunk = self.exactly(length + 2, wanted)?;
                if length == 0 {
                    return Ok(head.without("transfer-encoding"));
                }
                head.body.extend_from_slice(&chunk[..length]);
            }
        }
        let length = head.header("content-length").unwrap_or("0");
        let length = length.parse().map_err(io::Error::other)?;
        head.body = self.exactly(length, wanted)?;
        Ok(head)
    }

    fn line(&mut self, wanted: &dyn Fn() -> bool) -> io::Result<String> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.read, b"\r\n") {
                let line = self.exactly(at + 2, wanted)?;
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            if self.more(wanted)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn exactly(&mut self, length: usize, wanted: &dyn Fn() -> bool) -> io::Result<Vec<u8>> {
        while self.read.len() < length {
            if self.more(wanted)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.read.drain(..length).collect())
    }

    fn more(&mut self, wanted: &dyn Fn() -> bool) -> io::Result<usize> {
        let mut block = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut block) {
                Ok(count) => {
                    self.read.extend_from_slice(&block[..count]);
                    return Ok(count);
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) =>
                {
                    if !wanted() {
                        return Err(ErrorKind::Interrupted.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}
