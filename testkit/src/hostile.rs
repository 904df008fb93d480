//! A server in the cluster's place that means harm; some requests it may pass on to a good cluster.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use flate2::{Compress, Compression, FlushCompress};

use crate::wait::breathe;

/// What it does with a request.
#[derive(Debug, Clone)]
pub enum Play {
    /// Passes it on to this address.
    Forward(String),
    /// Says these bytes and closes.
    Say(Vec<u8>),
    /// Says the first bytes, then the second again and again, until nobody listens.
    Endless(Vec<u8>, Vec<u8>),
    /// Says the first bytes, then one byte at a time, with a pause before each.
    Drip(Vec<u8>),
}

/// The server; it ends when dropped.
pub struct Hostile {
    pub address: SocketAddr,
    said: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hostile {
    /// `play` gets the request's first line.
    pub fn start(play: impl Fn(&str) -> Play + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (said, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let play = Arc::new(play);
        let thread = std::thread::spawn({
            let (said, is_over) = (said.clone(), is_over.clone());
            move || {
                for stream in listener.incoming() {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let (play, said, is_over) = (play.clone(), said.clone(), is_over.clone());
                    std::thread::spawn(move || talk(stream.unwrap(), &*play, &said, &is_over));
                }
            }
        });
        Self {
            address,
            said,
            is_over,
            thread: Some(thread),
        }
    }

    /// The same for all requests.
    pub fn always(play: Play) -> Self {
        Self::start(move |_| play.clone())
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes of its own that were taken, by readers or by sockets on the way to them.
    pub fn said(&self) -> u64 {
        self.said.load(Ordering::Relaxed)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn talk(
    mut stream: TcpStream,
    play: &dyn Fn(&str) -> Play,
    said: &AtomicU64,
    is_over: &AtomicBool,
) {
    let Some(request) = read_request(&mut stream) else {
        return;
    };
    let line = String::from_utf8_lossy(&request);
    let line = line.lines().next().unwrap_or_default();
    let mut say = |bytes: &[u8]| {
        let done = stream.write_all(bytes).is_ok() && !is_over.load(Ordering::Relaxed);
        said.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        done
    };
    match play(line) {
        Play::Say(bytes) => {
            say(&bytes);
        }
        Play::Endless(head, chunk) => {
            let mut goes_on = say(&head);
            while goes_on {
                goes_on = say(&chunk);
            }
        }
        Play::Drip(head) => {
            let mut goes_on = say(&head);
            while goes_on {
                breathe();
                goes_on = say(b" ");
            }
        }
        Play::Forward(to) => {
            let mut other = TcpStream::connect(to).unwrap();
            other.write_all(&request).unwrap();
            let _ = other.shutdown(Shutdown::Write);
            let _ = std::io::copy(&mut other, &mut stream);
        }
    }
}

/// One whole request; the connection is used for no other.
fn read_request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let mut wanted = usize::MAX;
    while bytes.len() < wanted {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        if wanted == usize::MAX
            && let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            wanted = end + 4 + length.map_or(0, |length| length.parse().unwrap());
        }
    }
    Some(bytes)
}

/// An answer with this status, these headers and this body, which ends with the connection.
pub fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// An answer of 4 MB that says to be gzip, and is 4 GB then.
pub fn bomb() -> Vec<u8> {
    const PART: usize = 4 << 20;
    const PARTS: usize = 1024;
    let mut compress = Compress::new(Compression::best(), false);
    let (zeros, mut part) = (vec![0; PART], Vec::new());
    // With a full flush each part stands for itself: one can stand for all.
    for _ in 0..2 {
        part = Vec::with_capacity(PART);
        let done = compress.compress_vec(&zeros, &mut part, FlushCompress::Full);
        done.unwrap();
    }
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let body = [&header[..], &part.repeat(PARTS)].concat();
    assert!(body.len() < 5 << 20, "{}", body.len());
    answer(200, "content-encoding: gzip\r\n", &body)
}

/// A body without an end, in chunks.
pub fn endless() -> Play {
    let head = answer(200, "transfer-encoding: chunked\r\n", b"");
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    Play::Endless(head, chunk)
}

/// A head without an end.
pub fn endless_head() -> Play {
    let head = b"HTTP/1.1 200 OK\r\n".to_vec();
    Play::Endless(head, b"x-more: of the same\r\n".repeat(1000))
}
