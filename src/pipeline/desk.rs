//! An output for tests: it does nothing of itself, and the test says when and how each delivery ends.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use logweir_parsers::{Escape, Format};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::config::{Enrich, IndexPattern, NamedFormat, Privacy, Routes};
use crate::output::{self, Batch, Delivery, Output, Span, Tally};
use crate::record::{LogSettings, Recorder, Settings};

/// How a delivery ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Settled,
    Panic,
}

/// A delivery under way.
pub(super) struct Order {
    /// Where each item's line stands: six bytes of its stream, and its offset.
    pub(super) lines: Vec<([u8; 6], u64)>,
    /// What each says, where it was understood.
    pub(super) texts: Vec<String>,
    pub(super) spans: Vec<Span>,
    pub(super) bytes: usize,
    end: oneshot::Sender<Verdict>,
}

impl Order {
    /// Ends the delivery.
    pub(super) fn end(self, verdict: Verdict) {
        // one that was recalled does not listen any more
        let _ = self.end.send(verdict);
    }
}

/// The output: what it was given and has not ended stands here, in the order of sending.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) orders: Mutex<Vec<Order>>,
    /// Recalls are not heard.
    pub(super) deaf: AtomicBool,
}

impl Desk {
    pub(super) fn waiting(&self) -> usize {
        self.orders.lock().unwrap().len()
    }

    /// Ends the delivery at `index`; gives what it carried.
    pub(super) fn end(&self, index: usize, verdict: Verdict) -> Vec<([u8; 6], u64)> {
        let order = self.orders.lock().unwrap().remove(index);
        let lines = order.lines.clone();
        order.end(verdict);
        lines
    }
}

impl Output for Desk {
    async fn deliver(&self, mut batch: Batch, stop: &CancellationToken) -> Delivery {
        let items = batch.items.len() as u64;
        let (end, ended) = oneshot::channel();
        self.orders.lock().unwrap().push(Order {
            lines: lines(&batch),
            texts: texts(&batch),
            spans: batch.spans.clone(),
            bytes: batch.body.len(),
            end,
        });
        let verdict = tokio::select! {
            verdict = ended => Some(verdict.unwrap()),
            () = stop.cancelled(), if !self.deaf.load(Ordering::Relaxed) => None,
        };
        assert!(verdict != Some(Verdict::Panic), "as the test asked");
        let mut tally = Tally::default();
        if verdict.is_some() {
            // an output may empty the body, and may tell items apart
            batch.body.clear();
            tally.duplicate = items / 2;
            tally.indexed = items - tally.duplicate;
        }
        Delivery {
            batch,
            tally,
            settled: verdict.is_some(),
        }
    }
}

fn lines(batch: &Batch) -> Vec<([u8; 6], u64)> {
    batch
        .items
        .iter()
        .map(|item| {
            let action = &batch.body[item.start as usize..item.document as usize];
            let (_, id) = output::place(action).unwrap();
            let key = base64::engine::general_purpose::URL_SAFE_NO_PAD
                .decode(id)
                .unwrap();
            let mut offset = [0; 8];
            offset[3..].copy_from_slice(&key[10..]);
            (key[4..10].try_into().unwrap(), u64::from_be_bytes(offset))
        })
        .collect()
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

/// Lets the deliveries go on as far as they can without the test.
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

/// Writes records of lines such as `1795412474.123 x`.
pub(super) fn recorder(retention: Option<std::time::Duration>) -> Recorder {
    let log = LogSettings {
        formats: vec![NamedFormat {
            name: "own".to_owned(),
            format: Format::compile("$msec $my_own", Escape::Default).unwrap(),
        }]
        .into(),
        fields: vec![],
    };
    Recorder::new(Settings {
        target: IndexPattern::parse("nginx-access-%Y.%m.%d").unwrap().into(),
        host: "web-07".to_owned(),
        trusted_proxies: vec![],
        keep_original: false,
        retention,
        routes: Routes::default(),
        privacy: Privacy::default(),
        enrich: Enrich::default(),
        logs: vec![log],
    })
}

/// A desk to share.
pub(super) fn desk() -> Arc<Desk> {
    Arc::new(Desk::default())
}

/// The path of lines that come from nowhere.
pub(super) fn path() -> &'static Path {
    Path::new("/logs/access.log")
}
