//! A server that responds like `_bulk`, counts and discards, to measure the cost of the agent alone.
//!
//! An item has two lines, so it counts documents by line ends. It confirms every other request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use testkit::http_server::{HttpServer, Reply, Request};

/// Before the send time in a measured line: nanoseconds since [`Sink::epoch`].
pub(crate) const SENT: &str = "sent-at=";

/// The response that makes an agent find its own template.
pub(crate) const TEMPLATE: &str = r#"{"index_templates":[{"name":"nginx-access","index_template":{"_meta":{"managed_by":"logweir"}}}]}"#;

/// The received data.
pub(crate) struct Sink {
    address: String,
    epoch: Instant,
    shared: Arc<Shared>,
    _server: HttpServer,
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
    /// Listens on a free port until it is dropped; `timed` to look for send times in the lines.
    pub(crate) fn start(timed: bool) -> Self {
        let shared = Arc::new(Shared {
            timed,
            ..Shared::default()
        });
        let epoch = Instant::now();
        let served = Arc::clone(&shared);
        let server = HttpServer::start(move |request| reply(request, &served, epoch));
        Self {
            address: server.url(),
            epoch,
            shared,
            _server: server,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The time from which send times count.
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

fn reply(request: &Request, shared: &Shared, epoch: Instant) -> Reply {
    if request.head.header("content-encoding").is_some() {
        return Reply::json(
            415,
            "{\"error\":\"the sink does not unpack: set gzip = false\"}",
        );
    }
    if !request.head.path().ends_with("/_bulk") {
        return Reply::json(200, TEMPLATE);
    }
    Reply::json(200, bulk_answer(take(&request.body, shared, epoch)))
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

/// When a line was written, if it contains that.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    /// Sends requests over one connection and returns everything received.
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
        let sink = Sink::start(true);
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
        assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 2);
    }

    #[test]
    fn every_other_request_is_confirmed() {
        let sink = Sink::start(true);
        let answers = talk(
            &sink,
            "HEAD /_index_template/x HTTP/1.1\r\n\r\nGET /_index_template/x HTTP/1.1\r\n\r\n",
        );
        assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 2);
        assert_eq!(answers.matches("managed_by").count(), 1);
    }

    #[test]
    fn a_line_with_a_send_time_is_measured_once() {
        let sink = Sink::start(true);
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
