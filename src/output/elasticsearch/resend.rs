//! Resends entries of the dead-letter file, and records the results.
//!
//! Owns the batches of such entries and the rule what an outcome means for the file; refuses to know how a request is sent
//! (see [`Sender`](super::send::Sender)) and why entries are resent (`parked` does so periodically, `replay` on request).
//! Invariant: an entry is dropped only when the cluster has its document, and a walk reads each entry of the file once,
//! whoever rewrites it meanwhile.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::action;
use super::classify::ItemOutcome;
use super::deliver::Deliverer;
use super::send::{Classified, SendResult};
use super::sub_batch::{Documents, SubBatch};
use super::transport::BulkTransport;
use crate::config::DataStream;
use crate::event::Item;
use crate::output::dead_letters::{
    Choice, Entries, Entry, EntryChange, EntryKind, Rejection, is_no_entry,
};

/// Memory of results after which the file is rewritten, in bytes.
const MUCH: usize = 16 << 20;

/// The longest entry that is sent, in bytes. logweir writes no such entry, and offsets in a bulk body have 32 bits.
const LONGEST: usize = 1 << 30;

/// Entries that are resent together: all are for the same data stream, or none is for one.
pub(super) struct ResendBatch<'e> {
    entries: Vec<&'e Entry>,
    /// Their documents; the item of an entry has its position.
    pub(super) documents: Documents,
}

/// The result of one request.
pub(super) enum ResendResult {
    /// Each entry has an outcome.
    Classified(Classified),
    /// The request is too large: two halves are to be sent instead.
    Halves(SubBatch, SubBatch),
    /// This one document is too large.
    TooLarge(u32, Rejection),
    /// There is no usable response; a retry may succeed.
    Busy(String),
    /// An operator must act.
    Held(Rejection),
}

impl<'e> ResendBatch<'e> {
    /// Sorts entries into batches; also returns how many cannot be sent.
    pub(super) fn sort(entries: &'e [Entry]) -> (Vec<Self>, u64) {
        let mut batches: Vec<(Option<DataStream>, Vec<&Entry>)> = Vec::new();
        let mut unsendable = 0;
        for entry in entries {
            let stream = match entry.data_stream {
                true => DataStream::parse(&entry.index).ok(),
                false => None,
            };
            let is_too_long = entry.size() > LONGEST;
            if is_too_long || !entry.is_sendable() || entry.data_stream != stream.is_some() {
                unsendable += 1;
                continue;
            }
            match batches.iter_mut().find(|(known, _)| *known == stream) {
                Some((_, entries)) => entries.push(entry),
                None => batches.push((stream, vec![entry])),
            }
        }
        let batches = batches
            .into_iter()
            .map(|(stream, entries)| Self {
                documents: encode(&entries, stream),
                entries,
            })
            .collect();
        (batches, unsendable)
    }

    /// The entry of an item.
    pub(super) fn entry(&self, item: u32) -> Option<&'e Entry> {
        self.entries.get(item as usize).copied()
    }

    /// The entries of a sub-batch, each with its item.
    pub(super) fn entries(&self, sub_batch: &SubBatch) -> impl Iterator<Item = (u32, &'e Entry)> {
        let items = sub_batch.items(&self.documents);
        items.filter_map(|item| Some((item, self.entry(item)?)))
    }

    /// The entries of a sub-batch with their outcomes; `None` means that the cluster has the document.
    pub(super) fn outcomes(
        &self,
        sub_batch: &SubBatch,
        classified: Classified,
    ) -> impl Iterator<Item = (u32, &'e Entry, Option<ItemOutcome>)> {
        let mut unsettled = classified.unsettled.into_iter().peekable();
        self.entries(sub_batch).map(move |(item, entry)| {
            let outcome = unsettled.next_if(|(unsettled, _)| *unsettled == item);
            (item, entry, outcome.map(|(_, outcome)| outcome))
        })
    }
}

/// A bulk body with the documents of these entries, which are sendable.
fn encode(entries: &[&Entry], stream: Option<DataStream>) -> Documents {
    let mut body = Vec::new();
    let mut items = Vec::with_capacity(entries.len());
    let place = |body: &Vec<u8>| u32::try_from(body.len()).unwrap_or(u32::MAX);
    for entry in entries {
        let start = place(&body);
        action::write(&mut body, &entry.index, &entry.id);
        let document = place(&body);
        body.extend_from_slice(&entry.document_bytes().unwrap_or_default());
        body.push(b'\n');
        items.push(Item { start, document });
    }
    Documents {
        raw: body.into(),
        items,
        stream: stream.map(Arc::new),
    }
}

impl<T: BulkTransport> Deliverer<T> {
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

    /// Sends a part of a batch once.
    pub(super) async fn resend(
        &self,
        batch: &ResendBatch<'_>,
        sub_batch: &mut SubBatch,
    ) -> ResendResult {
        match self.sender.send(&batch.documents, sub_batch).await {
            SendResult::Classified(classified, permit) => {
                permit.accepted();
                ResendResult::Classified(classified)
            }
            SendResult::Halves(first, second) => ResendResult::Halves(first, second),
            SendResult::TooLarge(item, reason) => ResendResult::TooLarge(item, reason),
            SendResult::Retry(_, reason) => ResendResult::Busy(reason),
            SendResult::Redirected(error, permit) => {
                permit.refused(None);
                ResendResult::Busy(error.to_string())
            }
            // the reason may concern these entries only, so live batches do not wait
            SendResult::Held(reason, _) => ResendResult::Held(reason),
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
                    results.change(entry)
                } else {
                    EntryChange::Keep
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

    fn change(&self, entry: &Entry) -> EntryChange {
        let result = self.map.get(&(entry.index.clone(), entry.id.clone()));
        let now = |kind, reason: &Rejection| {
            EntryChange::Replace(Box::new(Entry {
                kind,
                reason: reason.clone(),
                ..entry.clone()
            }))
        };
        match result {
            None => EntryChange::Keep,
            Some(EntryResult::Taken) => EntryChange::Remove,
            Some(EntryResult::Dead(reason)) => now(EntryKind::Dead, reason),
            Some(EntryResult::Waits(reason)) => now(entry.kind, reason),
        }
    }
}
