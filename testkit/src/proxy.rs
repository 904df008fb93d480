//! An HTTP proxy: it opens tunnels to one server, whatever the name that is asked for, and keeps what it was asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The proxy; it ends with the process.
pub struct Proxy {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

/// How it treats its visitors.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Where tunnels lead; without it none is opened.
    pub target: Option<SocketAddr>,
    /// The only value of `Proxy-Authorization` that it takes.
    pub wants: Option<&'static str>,
}

impl Proxy {
    pub fn start(rule: Rule) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // a visitor who goes ends his own thread alone
                    let _ = serve(stream.unwrap(), rule, &shared);
                });
            }
        });
        Self { address, seen }
    }

    /// First lines of all requests.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, rule: Rule, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut credentials, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        let (name, value) = line.trim_end().split_once(": ").unwrap();
        match name.to_ascii_lowercase().as_str() {
            "proxy-authorization" => credentials = Some(value.to_owned()),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    std::io::copy(
        &mut std::io::Read::take(&mut reader, length),
        &mut std::io::sink(),
    )?;
    seen.lock().unwrap().push(first.trim_end().to_owned());
    let refuse = |status: &str| write!(&stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    if rule.wants.is_some() && credentials.as_deref() != rule.wants {
        return refuse("407 Proxy Authentication Required");
    }
    if !first.starts_with("CONNECT ") {
        return write!(
            &stream,
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
        );
    }
    let Some(target) = rule.target else {
        return refuse("403 Forbidden");
    };
    let server = TcpStream::connect(target)?;
    write!(&stream, "HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from_server, mut to_client) = (server.try_clone()?, stream.try_clone()?);
    let back = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut reader, &mut &server);
    let _ = server.shutdown(Shutdown::Both);
    let _ = back.join();
    Ok(())
}
