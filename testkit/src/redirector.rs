//! A server that sends every request elsewhere, and one that nobody may come to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Answers every request with a redirect.
pub struct Redirector {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Redirector {
    /// `location` gets the target of each request, and gives the header's value.
    pub fn start(
        status: u16,
        location: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (shared, location) = (Arc::clone(&seen), Arc::new(location));
        // ends with the process
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, location) = (Arc::clone(&shared), Arc::clone(&location));
                std::thread::spawn(move || {
                    let _ = answer(stream.unwrap(), status, &*location, &shared);
                });
            }
        });
        Self { address, seen }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// First lines of all requests.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn answer(
    stream: TcpStream,
    status: u16,
    location: &dyn Fn(&str) -> Option<String>,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        (&mut reader).take(length).read_to_end(&mut Vec::new())?;
        let target = request.split(' ').nth(1).unwrap_or_default();
        let location = location(target);
        seen.lock().unwrap().push(request.trim_end().to_owned());
        let header = location.map(|to| format!("location: {to}\r\n"));
        write!(
            &stream,
            "HTTP/1.1 {status} X\r\n{}content-length: 0\r\n\r\n",
            header.unwrap_or_default()
        )?;
    }
}

/// A server whose visitors are counted, and get no answer.
pub struct Forbidden {
    listener: TcpListener,
}

impl Forbidden {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Fails when anybody has come so far: the kernel keeps visitors until they are let in.
    pub fn assert_unvisited(&self) {
        let visitor = self.listener.accept();
        assert!(visitor.is_err(), "{visitor:?} came");
    }
}
