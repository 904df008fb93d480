//! A cluster that accepts documents, counts them by id, and responds to bulk requests as badly as configured.
//!
//! Owns the received documents and the responses. Refuses to know the reason: an attack sets the behaviour and resets it.

use std::collections::HashSet;
use std::io::{self, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::sink::{Head, TEMPLATE, read_body};

/// No answer goes on for longer, whatever the agent does.
const LONGEST_ANSWER: Duration = Duration::from_secs(45);
/// What the gzip bomb unpacks to, bytes.
const BOMB_BYTES: u64 = 2 << 30;
const CHUNK: usize = 64 * 1024;

/// How bulk requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Well,
    /// A small gzip body that unpacks to gigabytes.
    Bomb,
    /// A body without an end, as fast as it goes.
    Endless,
    /// A byte now and then.
    Drip,
    /// JSON nested a million deep.
    Deep,
    /// Header lines without an end.
    EndlessHeaders,
    /// The documents are refused with a text of terminal escapes.
    Escapes,
    Unauthorized,
}

/// A running cluster.
pub(super) struct Cluster {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    bomb: Vec<u8>,
    state: Mutex<State>,
}

struct State {
    manner: Manner,
    /// Answers that were given in a bad manner.
    hits: u64,
    ids: HashSet<String>,
    /// A text that must not arrive.
    forbidden: Option<String>,
    leaked: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            bomb: bomb()?,
            state: Mutex::new(State {
                manner: Manner::Well,
                hits: 0,
                ids: HashSet::new(),
                forbidden: None,
                leaked: false,
            }),
        });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        Ok(Self { address, shared })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn answer(&self, manner: Manner) {
        let mut state = self.shared.state();
        state.manner = manner;
        state.hits = 0;
    }

    /// Bad answers since the manner was set.
    pub(super) fn hits(&self) -> u64 {
        self.shared.state().hits
    }

    /// Different documents that were accepted.
    pub(super) fn documents(&self) -> usize {
        self.shared.state().ids.len()
    }

    /// Documents of which this text is known must never come.
    pub(super) fn forbid(&self, text: &str) {
        self.shared.state().forbidden = Some(text.to_owned());
    }

    pub(super) fn leaked(&self) -> bool {
        self.shared.state().leaked
    }
}

/// Blanks, which JSON allows before a value.
fn bomb() -> Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let blanks = vec![b' '; 1 << 20];
    for _ in 0..BOMB_BYTES >> 20 {
        gzip.write_all(&blanks)?;
    }
    Ok(gzip.finish()?)
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(256 * 1024, stream);
    let mut body = Vec::new();
    while let Some(head) = Head::read(&mut reader)? {
        body.clear();
        read_body(&mut reader, head.body, &mut body)?;
        if !head.is_bulk {
            well(stream, TEMPLATE, head.is_head)?;
            continue;
        }
        let manner = {
            let mut state = shared.state();
            state.hits += u64::from(state.manner != Manner::Well);
            state.manner
        };
        match manner {
            Manner::Well => {
                let answer = take(&body, &mut shared.state());
                well(stream, &answer, false)?;
            }
            manner => return badly(stream, manner, &shared.bomb),
        }
    }
    Ok(())
}

fn well(mut out: &TcpStream, body: &str, is_head: bool) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    out.write_all(head.as_bytes())?;
    out.write_all(if is_head { b"" } else { body.as_bytes() })
}

/// One answer, after which the connection is closed. An agent that has had enough closes it first.
fn badly(mut out: &TcpStream, manner: Manner, bomb: &[u8]) -> io::Result<()> {
    let start = Instant::now();
    let going_on = || start.elapsed() < LONGEST_ANSWER;
    let chunked =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    match manner {
        Manner::Well => {}
        Manner::Bomb => {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\
                 Content-Length: {}\r\n\r\n",
                bomb.len()
            );
            out.write_all(head.as_bytes())?;
            out.write_all(bomb)?;
        }
        Manner::Endless => {
            out.write_all(chunked.as_bytes())?;
            let chunk = format!("{CHUNK:x}\r\n{}\r\n", " ".repeat(CHUNK));
            while going_on() {
                out.write_all(chunk.as_bytes())?;
            }
        }
        Manner::Drip => {
            out.write_all(chunked.as_bytes())?;
            while going_on() {
                out.write_all(b"1\r\n \r\n")?;
                sleep(Duration::from_millis(200));
            }
        }
        Manner::Deep => {
            let body = "[".repeat(1 << 20);
            well(out, &body, false)?;
        }
        Manner::EndlessHeaders => {
            out.write_all(b"HTTP/1.1 200 OK\r\n")?;
            while going_on() {
                out.write_all(b"X-Filler: ................................................\r\n")?;
            }
        }
        Manner::Escapes => {
            let body = "{\"error\":{\"type\":\"a\\u001b[2J\\u0007type\",\"reason\":\"\\u001b]0;title\\u0007 \
                        \\u202e\\r\\nforged line\"},\"status\":400}";
            let head = format!(
                "HTTP/1.1 400 Bad\x1b[31mRequest\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            out.write_all(head.as_bytes())?;
        }
        Manner::Unauthorized => {
            let body =
                "{\"error\":{\"type\":\"security_exception\",\"reason\":\"no\"},\"status\":401}";
            let head = format!(
                "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            out.write_all(head.as_bytes())?;
        }
    }
    Ok(())
}

/// Takes the documents of a bulk body, and gives its answer.
fn take(body: &[u8], state: &mut State) -> String {
    if let Some(forbidden) = &state.forbidden {
        state.leaked |= memchr::memmem::find(body, forbidden.as_bytes()).is_some();
    }
    let mut items = Vec::new();
    for action in body.split(|&byte| byte == b'\n').step_by(2) {
        let action: serde_json::Value = serde_json::from_slice(action).unwrap_or_default();
        let Some(id) = action["create"]["_id"].as_str() else {
            continue;
        };
        let status = if state.ids.insert(id.to_owned()) {
            201
        } else {
            409
        };
        items.push(format!("{{\"create\":{{\"status\":{status}}}}}"));
    }
    format!("{{\"items\":[{}]}}", items.join(","))
}
