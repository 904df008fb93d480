//! Sends entries of the dead-letter file, and says what became of them.
//!
//! Owns one request with such entries and the rule what an outcome means for the file; refuses to know why
//! they are sent (`parked` by the clock, `replay` by hand). Invariant: an entry is dropped only when the
//! cluster has its document, and a walk sees each entry of the file once, whoever rewrites it meanwhile.

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

/// What is kept of outcomes before the file is rewritten, in bytes.
const MUCH: usize = 16 << 20;

/// Entries that travel in one request.
pub(super) struct ResendBatch<'e> {
    pub(super) entries: Vec<&'e Entry>,
    /// All of them are for this data stream, or none is for one.
    stream: Option<Arc<DataStream>>,
}

/// How one request fared.
pub(super) enum ResendResult {
    /// Each entry is judged, in order.
    Classified(Vec<ItemOutcome>),
    /// Halves may pass.
    TooLarge,
    /// No answer, or none that judges; it will pass by itself.
    Busy(String),
    /// Somebody must act.
    Held(Rejection),
}

impl<'e> ResendBatch<'e> {
    /// Sorts entries into loads; those that cannot be sent stand apart.
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

    /// These entries of the load.
    pub(super) fn with(&self, entries: Vec<&'e Entry>) -> Self {
        Self {
            entries,
            stream: self.stream.clone(),
        }
    }

    /// Two loads, unless it is one entry only.
    pub(super) fn halves(&self) -> Option<(Self, Self)> {
        let (first, second) = self.entries.split_at(self.entries.len() / 2);
        (!first.is_empty()).then(|| (self.with(first.to_vec()), self.with(second.to_vec())))
    }
}

impl<C: Transport> Deliverer<C> {
    /// The next entries of a walk that are `chosen`, about a batch of them; none at its end.
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

    /// Sends a load once.
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
                // what is wrong may be wrong with these entries only: live batches do not wait for it
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

    /// Writes what became of entries into the file, durably, and forgets it.
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

/// What became of an entry.
pub(super) enum EntryResult {
    /// The cluster has it.
    Taken,
    /// Refused for its own fault.
    Dead(Rejection),
    /// Not taken as things stand.
    Waits(Rejection),
}

/// What became of entries, by index and id.
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

    /// It is time to write them down.
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
