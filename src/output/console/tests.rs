//! Streams that take little, fail for a while, or have no reader.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use super::*;
use crate::clock::SystemClock;
use crate::output::BatchOutcome;

/// Takes a few bytes at a time and fails as scripted.
#[derive(Default)]
struct Stream {
    taken: Vec<u8>,
    errors: VecDeque<Option<ErrorKind>>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Stream>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stream = self.0.lock().unwrap();
        if let Some(Some(kind)) = stream.errors.pop_front() {
            return Err(kind.into());
        }
        let count = bytes.len().min(5);
        stream.taken.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn batch(texts: &[&str]) -> Batch {
    let mut batch = Batch::default();
    for text in texts {
        let start = u32::try_from(batch.body.len()).unwrap();
        batch.items.push(crate::event::Item {
            start,
            document: start,
        });
        batch.body.extend_from_slice(text.as_bytes());
        Lines.close(&mut batch.body);
    }
    batch
}

fn console(stream: &Shared) -> (Console<Shared>, CancellationToken) {
    let closed = CancellationToken::new();
    let clock = Arc::new(SystemClock::new());
    (Console::new(stream.clone(), closed.clone(), clock), closed)
}

/// Delivers a batch; how it ended.
async fn deliver(
    console: &Console<Shared>,
    batch: Batch,
    stop: &CancellationToken,
) -> BatchOutcome {
    let (report, outcome) = std::sync::mpsc::sync_channel(1);
    let ack = Ack::new(move |outcome| report.send(outcome).unwrap());
    drop(console.deliver(batch, ack, stop).await);
    outcome.recv().unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_byte_is_written_once_however_often_a_write_fails() {
    let stream = Shared::default();
    stream.0.lock().unwrap().errors = [
        None,
        Some(ErrorKind::StorageFull),
        Some(ErrorKind::Interrupted),
        None,
        Some(ErrorKind::StorageFull),
    ]
    .into();
    let (console, closed) = console(&stream);
    let stop = CancellationToken::new();
    let outcome = deliver(&console, batch(&["{\"a\":1}", "{\"b\":22}"]), &stop);
    let counts = OutcomeCounts {
        indexed: 2,
        ..OutcomeCounts::default()
    };
    assert_eq!(outcome.await, BatchOutcome::Durable(counts));
    assert_eq!(stream.0.lock().unwrap().taken, b"{\"a\":1}\n{\"b\":22}\n");
    assert_eq!(console.health(), Health::Delivering);
    assert_eq!(console.documents_ended(), 2);
    assert!(!closed.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_the_rest_of_the_one_before() {
    let stream = Shared::default();
    stream.0.lock().unwrap().errors = [None, Some(ErrorKind::StorageFull)].into();
    let (console, _) = console(&stream);
    let stop = CancellationToken::new();
    let first = deliver(&console, batch(&["{\"a\":1}"]), &stop);
    let second = deliver(&console, batch(&["{\"b\":22}"]), &stop);
    tokio::join!(first, second);
    assert_eq!(stream.0.lock().unwrap().taken, b"{\"a\":1}\n{\"b\":22}\n");
}

#[tokio::test]
async fn without_a_reader_the_run_is_asked_to_end_and_the_batch_is_given_up() {
    let stream = Shared::default();
    stream.0.lock().unwrap().errors = [None, Some(ErrorKind::BrokenPipe)].into();
    let (console, closed) = console(&stream);
    let stop = CancellationToken::new();
    let ends = async {
        closed.cancelled().await;
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(deliver(&console, batch(&["{\"a\":1}"]), &stop), ends);
    assert_eq!(outcome, BatchOutcome::Released);
    assert_eq!(console.documents_ended(), 0);
}
