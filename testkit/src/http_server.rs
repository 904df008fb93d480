//! One HTTP/1.1 server for all fakes, written by hand: most of what they do, no server library would.
//!
//! Owns the connections and their bytes. Refuses to know what a request means: a handler decides the reply. The server
//! and all its connections end when it is dropped.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wait::breathe;

/// The start of a request.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The request line, without its end.
    pub line: String,
    /// The headers in their order, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The length of the body, without the framing of chunks.
    pub body_bytes: usize,
    /// The number of the connection, counted from 0.
    pub connection: usize,
}

impl Head {
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// The path with its query.
    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// The path without its query.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A whole request.
#[derive(Debug, Default)]
pub struct Request {
    pub head: Head,
    pub body: Vec<u8>,
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Sends a response with its length, and keeps the connection.
    Answer {
        status: u16,
        /// Further header lines, each with its line end.
        headers: String,
        body: Vec<u8>,
    },
    /// Sends these bytes as they are, and closes the connection.
    Say(Vec<u8>),
    /// Sends the first bytes, then the second ones again and again until the client has enough.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends the first bytes, then one blank at a time, with a pause before each.
    Drip(Vec<u8>),
    /// Passes the request on to this address, sends the response back, and closes the connection.
    Forward(SocketAddr),
    /// Opens a tunnel to this address, as a proxy does for `CONNECT`.
    Tunnel(SocketAddr),
    /// Resets the connection.
    Reset,
    /// Sends nothing, and keeps the connection open.
    Hang,
}

impl Reply {
    /// A response in JSON.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer {
            status,
            headers: "content-type: application/json\r\n".to_owned(),
            body: body.into(),
        }
    }

    /// A response without a body, with these header lines.
    pub fn empty(status: u16, headers: impl Into<String>) -> Self {
        Self::Answer {
            status,
            headers: headers.into(),
            body: Vec::new(),
        }
    }
}

/// A connection in the clear, shared with the server, which ends it.
#[derive(Debug, Clone)]
pub struct Connection(Arc<TcpStream>);

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection as the server talks on it: in the clear, or within TLS.
pub trait Channel: Read + Write + Send {}

impl<C: Read + Write + Send> Channel for C {}

/// A running server.
pub struct HttpServer {
    pub address: SocketAddr,
    sent: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<Weak<TcpStream>>>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Starts a server in the clear on a free port.
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_over(|connection| Box::new(connection), handler)
    }

    /// Starts a server that replies to every request the same.
    pub fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone())
    }

    /// Starts a server whose connections pass through `wrap`, for TLS.
    pub fn start_over(
        wrap: impl Fn(Connection) -> Box<dyn Channel> + Send + Sync + 'static,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sent, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let connections = Arc::<Mutex<Vec<Weak<TcpStream>>>>::default();
        let shared = Arc::new((wrap, handler));
        let thread = std::thread::spawn({
            let (sent, is_over) = (Arc::clone(&sent), Arc::clone(&is_over));
            let connections = Arc::clone(&connections);
            move || {
                for (number, stream) in listener.incoming().enumerate() {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    // a client that has gone already
                    let Ok(stream) = stream else { continue };
                    let stream = Arc::new(stream);
                    connections.lock().unwrap().push(Arc::downgrade(&stream));
                    let (shared, sent) = (Arc::clone(&shared), Arc::clone(&sent));
                    std::thread::spawn(move || {
                        let (wrap, handler) = &*shared;
                        let connection = Connection(stream);
                        let mut talk = Talk {
                            channel: BufReader::with_capacity(BUFFER, wrap(connection.clone())),
                            connection,
                            sent: &sent,
                        };
                        // a client that goes ends this connection alone
                        let _ = talk.run(number, handler);
                    });
                }
            }
        });
        Self {
            address,
            sent,
            is_over,
            connections,
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes of [`Reply::Say`], [`Reply::Endless`] and [`Reply::Drip`] that clients, or sockets on the way to them, have
    /// taken.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // wakes the thread that accepts
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for connection in self.connections.lock().unwrap().drain(..) {
            if let Some(connection) = connection.upgrade() {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
    }
}

/// Large enough for a bulk body to come in few reads.
const BUFFER: usize = 256 * 1024;

/// One connection.
struct Talk<'s> {
    channel: BufReader<Box<dyn Channel>>,
    connection: Connection,
    sent: &'s AtomicU64,
}

impl Talk<'_> {
    fn run(&mut self, number: usize, handler: &impl Fn(&Request) -> Reply) -> io::Result<()> {
        self.connection.0.set_nodelay(true)?;
        let mut request = Request::default();
        request.head.connection = number;
        // A TLS greeting on a port in the clear: real servers answer a 400 in plain text and close.
        if self.channel.fill_buf()?.first() == Some(&0x16) {
            let refusal = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            return self.write(refusal);
        }
        while read(&mut self.channel, &mut request)? {
            match handler(&request) {
                Reply::Answer {
                    status,
                    headers,
                    body,
                } => {
                    let length = body.len();
                    let head =
                        format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n");
                    let is_head = request.head.method() == "HEAD";
                    let body = if is_head { b"" } else { body.as_slice() };
                    self.write(&[head.as_bytes(), body].concat())?;
                }
                Reply::Say(bytes) => return self.say(&bytes),
                Reply::Endless(head, chunk) => {
                    self.say(&head)?;
                    loop {
                        self.say(&chunk)?;
                    }
                }
                Reply::Drip(head) => {
                    self.say(&head)?;
                    loop {
                        breathe();
                        self.say(b" ")?;
                    }
                }
                Reply::Forward(to) => return self.forward(&request, to),
                Reply::Tunnel(to) => return self.tunnel(to),
                Reply::Reset => {
                    // to linger for zero seconds is what makes a reset
                    let linger = Some(Duration::ZERO);
                    rustix::net::sockopt::set_socket_linger(&*self.connection.0, linger)?;
                    return Ok(());
                }
                Reply::Hang => {
                    io::copy(&mut self.channel, &mut io::sink())?;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.channel.get_mut().write_all(bytes)?;
        self.channel.get_mut().flush()
    }

    fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes)?;
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn forward(&mut self, request: &Request, to: SocketAddr) -> io::Result<()> {
        let mut other = TcpStream::connect(to)?;
        let mut head = format!("{}\r\n", request.head.line);
        for (name, value) in &request.head.headers {
            if !["content-length", "transfer-encoding"].contains(&name.as_str()) {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", request.body.len()));
        other.write_all(head.as_bytes())?;
        other.write_all(&request.body)?;
        other.shutdown(Shutdown::Write)?;
        io::copy(&mut other, self.channel.get_mut())?;
        Ok(())
    }

    fn tunnel(&mut self, to: SocketAddr) -> io::Result<()> {
        let server = TcpStream::connect(to)?;
        self.write(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        let (mut from_server, mut to_client) = (server.try_clone()?, self.connection.clone());
        let back = std::thread::spawn(move || {
            let _ = io::copy(&mut from_server, &mut to_client);
            let _ = to_client.0.shutdown(Shutdown::Both);
        });
        let _ = io::copy(&mut self.channel, &mut &server);
        let _ = server.shutdown(Shutdown::Write);
        let _ = back.join();
        Ok(())
    }
}

/// Reads the next request of a connection into `request`, whose buffers are used again; false when the client has closed.
fn read(reader: &mut impl BufRead, request: &mut Request) -> io::Result<bool> {
    let Request { head, body } = request;
    head.headers.clear();
    body.clear();
    let Some(line) = read_line(reader)? else {
        return Ok(false);
    };
    head.line = line;
    let (mut length, mut is_chunked) = (0, false);
    loop {
        let Some(line) = read_line(reader)? else {
            return Ok(false);
        };
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        match name.as_str() {
            "content-length" => length = number(value, 10)?,
            "transfer-encoding" => is_chunked = true,
            _ => {}
        }
        head.headers.push((name, value.to_owned()));
    }
    if is_chunked {
        loop {
            let size = read_line(reader)?.unwrap_or_default();
            let size = number(size.split(';').next().unwrap_or_default(), 16)?;
            append(reader, size, body)?;
            read_line(reader)?;
            if size == 0 {
                break;
            }
        }
    } else {
        append(reader, length, body)?;
    }
    head.body_bytes = body.len();
    Ok(true)
}

fn append(reader: &mut impl BufRead, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
    let from = body.len();
    body.resize(from + length, 0);
    reader.read_exact(&mut body[from..])
}

/// The next line without its end; None at the end of the connection.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(Some(line))
}

fn number(text: &str, radix: u32) -> io::Result<usize> {
    usize::from_str_radix(text.trim(), radix).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends bytes over one connection, and gives all that came back.
    fn talk(server: &HttpServer, bytes: &str) -> String {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answers = Vec::new();
        stream.read_to_end(&mut answers).unwrap();
        String::from_utf8(answers).unwrap()
    }

    fn echo() -> HttpServer {
        HttpServer::start(|request| Reply::json(200, request.body.clone()))
    }

    #[test]
    fn a_body_is_the_same_with_a_length_and_in_chunks() {
        let answers = talk(
            &echo(),
            "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\
             POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
        );
        assert_eq!(answers.matches("content-length: 3\r\n\r\nabc").count(), 2);
    }

    #[test]
    fn a_response_to_head_has_no_body() {
        let answers = talk(&echo(), "HEAD / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx");
        assert!(answers.ends_with("content-length: 1\r\n\r\n"), "{answers}");
    }

    #[test]
    fn a_tls_greeting_in_the_clear_is_refused() {
        assert!(talk(&echo(), "\u{16}\u{3}\u{1}").starts_with("HTTP/1.1 400 "));
    }

    #[test]
    fn a_request_is_passed_on_whole_and_its_answer_comes_back() {
        let behind = echo();
        let front = HttpServer::always(Reply::Forward(behind.address));
        let answer = talk(&front, "PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi");
        assert!(answer.ends_with("\r\n\r\nhi"), "{answer}");
    }

    #[test]
    fn a_tunnel_carries_both_directions() {
        let behind = echo();
        let front = HttpServer::always(Reply::Tunnel(behind.address));
        let both = "CONNECT a:1 HTTP/1.1\r\n\r\nPUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi";
        let answer = talk(&front, both);
        assert!(answer.starts_with("HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 "));
        assert!(answer.ends_with("\r\n\r\nhi"), "{answer}");
    }

    #[test]
    fn a_server_that_is_dropped_ends_its_connections() {
        let server = HttpServer::always(Reply::Hang);
        let mut stream = TcpStream::connect(server.address).unwrap();
        write!(stream, "GET / HTTP/1.1\r\n\r\n").unwrap();
        let thread = std::thread::spawn(move || stream.read(&mut [0]).unwrap_or(0));
        drop(server);
        assert_eq!(thread.join().unwrap(), 0);
    }
}
