//! Resends entries of the dead-letter file, and records the results.
//!
//! Owns one request with such entries and the rule what an outcome means for the file; refuses to know why they are
//! resent (`parked` does so periodically, `replay` on request). Invariant: an entry is dropped only when the cluster
//! has its document, and a walk reads each entry of the file once, whoever rewrites it meanwhile.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::action;
use super::bulk::walk;
use super::classify::{ItemOutcome, RequestOutcome, classify, classify_request};
use super::deliver::{Deliverer, Transport};
use super::sub_batch::BulkRequest;
use crate::config::DataStream;
use crate::output::dead_letters::Rejection;
use crate::output::dead_letters::{Choice, Entries, Entry, Fate, Kind, is_no_entry};

/// Memory of results after which the file is rewritten, in bytes.
const MUCH: usize = 16 << 20;

/// The entries of one request.
pub(super) struct ResendBatch<'e> {
    pub(super) entries: Vec<&'e Entry>,
    /// The data stream of all entries; `None` when none is for a data stream.
    stream: Option<Arc<DataStream>>,
}

/// The result of one request.
pub(super) enum ResendResult {
    /// The outcome of each entry, in order.
    Classified(Vec<ItemOutcome>),
    /// The request is too large; halves may be accepted.
    TooLarge,
    /// There is no usable response; a retry may succeed.
    Busy(String),
    /// An operator must act.
    Held(Rejection),
}

impl<'e> ResendBatch<'e> {
    /// Sorts entries into batches; returns those that cannot be sent separately.
    pub(super) fn sort(entries: &'e [Entry]) -> (Vec<Self>, Vec<&'e Entry>) {
        let mut batches: Vec<Self> = Vec::new();
        let mut unsendable = Vec::new();
        for entry in entries {
            let stream = match entry.data_stream {
                true => DataStream::parse(&entry.index).ok(),
                false => None,
            };
            if !entry.is_sendable() || entry.data_stream != stream.is_some() {
                unsendable.push(entry);
                continue;
            }
            let mut known = batches.iter_mut();
            match known.find(|batch| batch.stream.as_deref() == stream.as_ref()) {
                Some(batch) => batch.entries.push(entry),
                None => batches.push(Self {
                    entries: vec![entry],
                    stream: stream.map(Arc::new),
                }),
            }
        }
        (batches, unsendable)
    }

    /// A batch for the same data stream with these entries.
    pub(super) fn with(&self, entries: Vec<&'e Entry>) -> Self {
        Self {
            entries,
            stream: self.stream.clone(),
        }
    }

    /// Two halves; `None` for a single entry.
    pub(super) fn halves(&self) -> Option<(Self, Self)> {
        let (first, second) = self.entries.split_at(self.entries.len() / 2);
        (!first.is_empty()).then(|| (self.with(first.to_vec()), self.with(second.to_vec())))
    }
}

impl<C: Transport> Deliverer<C> {
    /// The next entries of a walk that are `chosen`, about one batch; none at its end.
    pub(super) async fn next_entries(
        &self,
        mut walk: Entries,
        chosen: impl Fn(&Entry) -> bool + Send + 'static,
    ) -> io::Result<(Entries, Vec<Entry>)> {
        let batch_bytes = self.batch_bytes;
        let read = tokio::task::spawn_blocking(move || {
            let mut entries = Vec::new();
            let mut bytes = 0;
            while bytes < batch_bytes {
                match walk.next() {
                    None => break,
                    Some(Ok(entry)) if chosen(&entry) => {
                        bytes += entry.size();
                        entries.push(entry);
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) if is_no_entry(&error) => {}
                    Some(Err(error)) => return Err(error),
                }
            }
            Ok((walk, entries))
        });
        read.await.map_err(io::Error::other)?
    }

    /// Sends a batch once.
    pub(super) async fn resend(&self, batch: &ResendBatch<'_>) -> ResendResult {
        let mut body = Vec::new();
        for entry in &batch.entries {
            action::write(&mut body, &entry.index, &entry.id);
            body.extend_from_slice(&entry.document_bytes().unwrap_or_default());
            body.push(b'\n');
        }
        let request = BulkRequest {
            body: body.into(),
            gzip: false,
            documents: batch.entries.len(),
            stream: batch.stream.clone(),
        };
        let permit = self.limiter.acquire().await;
        let node = self.nodes.pick();
        let response = match self.send_request(node, request).await {
            Ok(response) => response,
            Err(error) => {
                permit.refused(None);
                return ResendResult::Busy(error.to_string());
            }
        };
        match classify_request(response.status, &response.body) {
            RequestOutcome::Items => {}
            RequestOutcome::TooLarge => {
                permit.accepted();
                return ResendResult::TooLarge;
            }
            RequestOutcome::Retry(_, reason) => {
                permit.refused(self.retry_after(response.retry_after.as_deref()));
                return ResendResult::Busy(reason.to_string());
            }
            RequestOutcome::Hold(reason) => {
                // the reason may concern these entries only, so live batches do not wait
                drop(permit);
                return ResendResult::Held(reason);
            }
        }
        let mut outcomes = Vec::with_capacity(batch.entries.len());
        let whole = walk(&response.body, batch.entries.len(), |_, item| {
            outcomes.push(classify(&item));
        });
        match whole {
            Ok(()) => {
                permit.accepted();
                ResendResult::Classified(outcomes)
            }
            Err(malformed) => {
                permit.refused(None);
                ResendResult::Busy(malformed.to_string())
            }
        }
    }

    /// Writes the results into the file, durably, and forgets them.
    pub(super) async fn settle(
        &self,
        results: &mut EntryResults,
        choice: &Choice,
    ) -> io::Result<()> {
        if results.map.is_empty() {
            return Ok(());
        }
        let (results, choice) = (std::mem::take(results), choice.clone());
        let file = self.dead_letters.clone();
        let rewritten = tokio::task::spawn_blocking(move || {
            file.rewrite(|entry| {
                if choice.takes(entry) {
                    results.fate(entry)
                } else {
                    Fate::Keep
                }
            })
        });
        rewritten.await.map_err(io::Error::other)?
    }
}

/// The result for one entry.
pub(super) enum EntryResult {
    /// The cluster has it.
    Taken,
    /// It is refused for its own fault.
    Dead(Rejection),
    /// The cluster's state does not allow it.
    Waits(Rejection),
}

/// The results by index and id.
#[derive(Default)]
pub(super) struct EntryResults {
    map: HashMap<(String, String), EntryResult>,
    bytes: usize,
}

impl EntryResults {
    pub(super) fn insert(&mut self, entry: &Entry, result: EntryResult) {
        let reason = match &result {
            EntryResult::Taken => 0,
            EntryResult::Dead(reason) | EntryResult::Waits(reason) => {
                reason.kind.len() + reason.text.len()
            }
        };
        self.bytes +=
            size_of::<((String, String), EntryResult)>() + entry.index.len() + entry.id.len();
        self.bytes += reason;
        self.map
            .insert((entry.index.clone(), entry.id.clone()), result);
    }

    /// Whether they should be written now.
    pub(super) fn are_many(&self) -> bool {
        self.bytes >= MUCH
    }

    fn fate(&self, entry: &Entry) -> Fate {
        let result = self.map.get(&(entry.index.clone(), entry.id.clone()));
        let now = |kind, reason: &Rejection| {
            Fate::Become(Box::new(Entry {
                kind,
                reason: reason.clone(),
                ..entry.clone()
            }))
        };
        match result {
            None => Fate::Keep,
            Some(EntryResult::Taken) => Fate::Drop,
            Some(EntryResult::Dead(reason)) => now(Kind::Dead, reason),
            Some(EntryResult::Waits(reason)) => now(entry.kind, reason),
        }
    }
}
