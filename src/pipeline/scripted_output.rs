//! A scripted output for tests: the test decides when and how each delivery ends.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::event::{Batch, DocumentId, EventTime, Framing, OutcomeCounts, Span};
use crate::output::{Ack, Health, Output, OutputStatus, Readiness};
use crate::telemetry::MetricSink;

/// How a delivery ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Settled,
    Panic,
}

/// A delivery that has not ended.
pub(super) struct PendingDelivery {
    /// The position of each item's line: six bytes of its stream, and its offset.
    pub(super) lines: Vec<([u8; 6], u64)>,
    /// The text of each line that was parsed.
    pub(super) texts: Vec<String>,
    pub(super) spans: Vec<Span>,
    pub(super) bytes: usize,
    end: oneshot::Sender<Ending>,
}

impl PendingDelivery {
    /// Ends the delivery.
    pub(super) fn end(self, verdict: Ending) {
        // a delivery that was recalled does not wait for this
        let _ = self.end.send(verdict);
    }
}

/// The output. It holds the deliveries that have not ended, in the order of sending.
#[derive(Default)]
pub(super) struct ScriptedOutput {
    pub(super) pending: Mutex<Vec<PendingDelivery>>,
    /// Recalls are ignored.
    pub(super) deaf: AtomicBool,
}

impl ScriptedOutput {
    pub(super) fn waiting(&self) -> usize {
        self.pending.lock().unwrap().len()
    }

    /// Ends the delivery at `index` and returns its items.
    pub(super) fn end(&self, index: usize, verdict: Ending) -> Vec<([u8; 6], u64)> {
        let order = self.pending.lock().unwrap().remove(index);
        let lines = order.lines.clone();
        order.end(verdict);
        lines
    }
}

/// Writes the id before each document.
#[derive(Debug)]
pub(super) struct IdFraming;

impl Framing for IdFraming {
    fn open(&mut self, body: &mut Vec<u8>, id: &DocumentId, _: EventTime) {
        body.extend_from_slice(id.as_bytes());
    }

    fn close(&mut self, body: &mut Vec<u8>) {
        body.push(b'\n');
    }
}

impl OutputStatus for ScriptedOutput {
    fn target(&self) -> String {
        "a test".to_owned()
    }

    fn health(&self) -> Health {
        Health::Delivering
    }

    fn has_responded(&self) -> bool {
        true
    }

    fn documents_ended(&self) -> u64 {
        0
    }

    fn write_metrics(&self, _: &mut dyn MetricSink) -> std::fmt::Result {
        Ok(())
    }
}

impl Output for ScriptedOutput {
    type Framing = IdFraming;

    fn framing(&self) -> IdFraming {
        IdFraming
    }

    async fn deliver(&self, mut batch: Batch, ack: Ack, stop: &CancellationToken) -> Batch {
        let documents = batch.items.len() as u64;
        let (end, ended) = oneshot::channel();
        self.pending.lock().unwrap().push(PendingDelivery {
            lines: lines(&batch),
            texts: texts(&batch),
            spans: batch.spans.clone(),
            bytes: batch.body.len(),
            end,
        });
        let ending = tokio::select! {
            ending = ended => Some(ending.unwrap()),
            () = stop.cancelled(), if !self.deaf.load(Ordering::Relaxed) => None,
        };
        assert!(ending != Some(Ending::Panic), "as the test asked");
        if ending.is_some() {
            // an output may empty the body, and may distinguish items
            batch.body.clear();
            let duplicate = documents / 2;
            ack.durable(OutcomeCounts {
                duplicate,
                indexed: documents - duplicate,
                ..OutcomeCounts::default()
            });
        }
        batch
    }

    async fn readiness(&self) -> Readiness {
        Readiness::Ready
    }
}

fn lines(batch: &Batch) -> Vec<([u8; 6], u64)> {
    let line = |item: &crate::event::Item| {
        let id = &batch.body[item.start as usize..item.document as usize];
        let id = DocumentId::parse(std::str::from_utf8(id).unwrap()).unwrap();
        (id.parts().stream, id.parts().offset)
    };
    batch.items.iter().map(line).collect()
}

fn texts(batch: &Batch) -> Vec<String> {
    const KEY: &[u8] = b"\"my_own\":\"";
    let text = |index| {
        let item = batch.item(index)?;
        let text = &item[memchr::memmem::find(item, KEY)? + KEY.len()..];
        let text = &text[..memchr::memchr(b'"', text)?];
        Some(String::from_utf8(text.to_vec()).unwrap())
    };
    (0..batch.items.len())
        .map(|index| text(index).unwrap_or_default())
        .collect()
}

/// Runs the deliveries as far as they get without the test.
pub(super) fn turn(runtime: &Runtime) {
    runtime.block_on(async {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    });
}

/// A runtime that runs nothing but in [`turn`].
pub(super) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

/// An output to share.
pub(super) fn scripted_output() -> Arc<ScriptedOutput> {
    Arc::new(ScriptedOutput::default())
}

/// A path for lines without a file.
pub(super) fn path() -> &'static Path {
    Path::new("/logs/access.log")
}
