//! A server that responds like `_bulk`, counts and discards, to measure the cost of the agent alone.
//!
//! It implements HTTP/1.1 as far as a bulk client needs it, with a thread for each connection. An item has two lines, so it
//! counts documents by line ends. It confirms every other request.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Before the send time in a measured line: nanoseconds since [`Sink::epoch`].
pub(crate) const SENT: &str = "sent-at=";

/// Present, and ours: an agent that asks for its template is content.
pub(crate) const TEMPLATE: &str = r#"{"index_templates":[{"name":"nginx-access","index_template":{"_meta":{"managed_by":"logweir"}}}]}"#;

/// What arrived.
pub(crate) struct Sink {
    address: String,
    epoch: Instant,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    timed: bool,
    documents: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
    /// From the writing of a line to the arrival of its whole request; only for lines that carry [`SENT`].
    latencies: Mutex<Vec<Duration>>,
}

impl Sink {
    /// Listens on a free port until the program ends; `timed` to look for send times in the lines.
    pub(crate) fn start(timed: bool) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", listener.local_addr()?);
        let sink = Self {
            address,
            epoch: Instant::now(),
            shared: Arc::new(Shared {
                timed,
                ..Shared::default()
            }),
        };
        let (shared, epoch) = (Arc::clone(&sink.shared), sink.epoch);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A connection that breaks is the client's to notice: it counts what was acknowledged.
                thread::spawn(move || serve(&stream, &shared, epoch));
            }
        });
        Ok(sink)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// From when send times count.
    pub(crate) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Documents, requests and bytes of bulk bodies so far.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (
            read(&self.shared.documents),
            read(&self.shared.requests),
            read(&self.shared.bytes),
        )
    }

    /// Takes the latencies measured so far.
    pub(crate) fn take_latencies(&self) -> Vec<Duration> {
        std::mem::take(
            &mut *self
                .shared
                .latencies
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

fn serve(stream: &TcpStream, shared: &Shared, epoch: Instant) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(256 * 1024, stream);
    let mut body = Vec::new();
    let mut answer = Vec::new();
    while let Some(head) = Head::read(&mut reader)? {
        body.clear();
        read_body(&mut reader, head.body, &mut body)?;
        answer.clear();
        if head.is_bulk {
            let documents = take(&body, shared, epoch);
            respond(&mut answer, &bulk_answer(documents), head.is_head);
        } else {
            respond(&mut answer, TEMPLATE, head.is_head);
        }
        let mut out = stream;
        out.write_all(&answer)?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
pub(crate) enum Body {
    Length(usize),
    Chunked,
}

pub(crate) struct Head {
    pub(crate) is_bulk: bool,
    pub(crate) is_head: bool,
    pub(crate) body: Body,
}

impl Head {
    /// The next request's head; None when the client has closed.
    pub(crate) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let method = words.next().unwrap_or_default().to_owned();
        let path = words.next().unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let mut head = Self {
            is_bulk: path.ends_with("/_bulk"),
            is_head: method == "HEAD",
            body: Body::Length(0),
        };
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let Some((name, value)) = line.split_once(':') else {
                return Ok(Some(head));
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.body = Body::Length(number(value, 10)?),
                "transfer-encoding" => head.body = Body::Chunked,
                "content-encoding" => {
                    return Err(io::Error::other(
                        "the sink does not unpack: set gzip = false",
                    ));
                }
                _ => {}
            }
        }
    }
}

fn number(text: &str, radix: u32) -> io::Result<usize> {
    usize::from_str_radix(text.trim(), radix).map_err(io::Error::other)
}

pub(crate) fn read_body(
    reader: &mut impl BufRead,
    kind: Body,
    body: &mut Vec<u8>,
) -> io::Result<()> {
    let append = |reader: &mut dyn Read, length: usize, body: &mut Vec<u8>| {
        let from = body.len();
        body.resize(from + length, 0);
        reader.read_exact(body.get_mut(from..).unwrap_or_default())
    };
    match kind {
        Body::Length(length) => append(reader, length, body),
        Body::Chunked => loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let length = number(line.split(';').next().unwrap_or_default(), 16)?;
            append(reader, length, body)?;
            reader.read_line(&mut line)?;
            if length == 0 {
                return Ok(());
            }
        },
    }
}

/// Counts a bulk body and gives the number of its documents.
fn take(body: &[u8], shared: &Shared, epoch: Instant) -> u64 {
    let arrived = epoch.elapsed();
    // memchr is compiled with optimisation even here: a slow sink would show in the wall time and the latencies.
    let lines = memchr::memchr_iter(b'\n', body).count();
    let documents = lines as u64 / 2;
    shared.documents.fetch_add(documents, Ordering::Relaxed);
    shared.requests.fetch_add(1, Ordering::Relaxed);
    shared.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
    if !shared.timed {
        return documents;
    }
    let mut from = 0;
    let lines = memchr::memchr_iter(b'\n', body).filter_map(|end| {
        let line = body.get(from..end)?;
        from = end + 1;
        Some(line)
    });
    let latencies = lines
        .filter_map(sent_at)
        .map(|sent| arrived.saturating_sub(sent));
    let mut held = shared
        .latencies
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    held.extend(latencies);
    documents
}

/// When a line was written, if it says so.
fn sent_at(line: &[u8]) -> Option<Duration> {
    let at = memchr::memmem::find(line, SENT.as_bytes())?;
    let digits = line.get(at + SENT.len()..)?;
    let end = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    let nanos = std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

fn bulk_answer(documents: u64) -> String {
    const ITEM: &str = r#"{"create":{"status":201}}"#;
    let items = vec![ITEM; usize::try_from(documents).unwrap_or(0)].join(",");
    format!(r#"{{"items":[{items}]}}"#)
}

fn respond(out: &mut Vec<u8>, body: &str, is_head: bool) {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(head.as_bytes());
    if !is_head {
        out.extend_from_slice(body.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Sends requests over one connection and gives all that came back.
    fn talk(sink: &Sink, requests: &str) -> String {
        let mut stream = TcpStream::connect(sink.address().trim_start_matches("http://")).unwrap();
        stream.write_all(requests.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        answers
    }

    #[test]
    fn each_document_has_its_item_whether_the_body_has_a_length_or_chunks() {
        let sink = Sink::start(true).unwrap();
        let body = "{}\n{}\n{}\n{}\n";
        let answers = talk(
            &sink,
            &format!(
                "POST /_bulk?filter_path=errors HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}\
                 POST /_bulk HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{{}}\n{{}}\r\n1\r\n\n\r\n0\r\n\r\n",
                body.len()
            ),
        );
        assert_eq!(sink.counts(), (3, 2, 18));
        assert_eq!(answers.matches(r#"{"create":{"status":201}}"#).count(), 3);
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2);
    }

    #[test]
    fn a_question_is_answered_with_yes() {
        let sink = Sink::start(true).unwrap();
        let answers = talk(
            &sink,
            "HEAD /_index_template/x HTTP/1.1\r\n\r\nGET /_index_template/x HTTP/1.1\r\n\r\n",
        );
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2);
        assert_eq!(answers.matches("managed_by").count(), 1);
    }

    #[test]
    fn a_line_with_its_own_time_is_measured_once() {
        let sink = Sink::start(true).unwrap();
        let body = format!("{{\"create\":{{}}}}\n{{\"a\":\"/?{SENT}7\",\"b\":\"{SENT}7\"}}\n");
        talk(
            &sink,
            &format!(
                "PUT /_bulk HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ),
        );
        assert_eq!(sink.take_latencies().len(), 1);
        assert!(sink.take_latencies().is_empty());
    }
}
