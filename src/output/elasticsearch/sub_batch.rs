//! The documents of a batch, and the sub-batches that are sent as one request each.
//!
//! Owns the bytes of the documents and the choice of items for each request; refuses to know their outcomes. Invariant:
//! while nothing has to be left out or compressed, a request contains the batch's own bytes, never a copy, and the
//! buffer goes back to the pipeline. It guards against a second memory budget for retries.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::action;
use super::transport::BulkRequest;
use crate::config::DataStream;
use crate::event::{Batch, Item, OutcomeCounts, Span};
use crate::output::dead_letters::Rejection;

/// Documents in the form of a bulk body. The body is shared bytes, so that sending it copies nothing.
pub(crate) struct Documents {
    pub(crate) raw: Bytes,
    pub(crate) items: Vec<Item>,
    /// The data stream of all documents; `None` for daily indices.
    pub(crate) stream: Option<Arc<DataStream>>,
}

/// A batch in delivery.
pub(crate) struct BatchInDelivery {
    pub(crate) documents: Documents,
    pub(crate) spans: Vec<Span>,
    pub(crate) counts: OutcomeCounts,
    /// Items for the dead-letter file, which are written when all others are settled.
    pub(crate) dead: Vec<(u32, Rejection)>,
    pub(crate) parked: Vec<(u32, Rejection)>,
}

/// The result of a delivery.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// The batch; its body is empty.
    pub(crate) batch: Batch,
    /// The outcomes of its items.
    pub(crate) counts: OutcomeCounts,
    /// True when every item is durable; false only when delivery was stopped.
    pub(crate) settled: bool,
}

/// The items of one request.
pub(crate) struct SubBatch {
    /// `None`: all documents.
    pub(crate) items: Option<Vec<u32>>,
    pub(crate) request: Option<BulkRequest>,
    /// Whole-request failures since the cluster last took a part of it.
    pub(crate) failures: u32,
    /// How often it was halved.
    pub(crate) halved: u32,
}

impl Documents {
    pub(crate) fn item(&self, item: u32) -> &[u8] {
        let item = item as usize;
        let start = self.items.get(item).map_or(0, |item| item.start as usize);
        let end = self
            .items
            .get(item + 1)
            .map_or(self.raw.len(), |next| next.start as usize);
        self.raw.get(start..end).unwrap_or_default()
    }

    /// Action line and document line.
    pub(crate) fn parts(&self, item: u32) -> (&[u8], &[u8]) {
        let bytes = self.item(item);
        let split = self
            .items
            .get(item as usize)
            .map_or(0, |item| item.document - item.start);
        bytes
            .split_at_checked(split as usize)
            .unwrap_or((bytes, &[]))
    }

    pub(crate) fn index(&self, item: u32) -> &str {
        action::parse(self.parts(item).0).map_or("", |(index, _)| index)
    }

    /// The action line up to the end of the index's name.
    pub(crate) fn head(&self, item: u32) -> &[u8] {
        action::index_part(self.parts(item).0)
    }
}

impl BatchInDelivery {
    /// All documents of the batch are for `stream`, where there is one.
    pub(crate) fn new(batch: Batch, stream: Option<Arc<DataStream>>) -> Self {
        let Batch { body, items, spans } = batch;
        Self {
            documents: Documents {
                raw: Bytes::from(body),
                items,
                stream,
            },
            spans,
            counts: OutcomeCounts::default(),
            dead: Vec::new(),
            parked: Vec::new(),
        }
    }

    /// The file that the item's line was read from.
    pub(crate) fn file(&self, item: u32) -> Option<&Path> {
        let mut documents = 0;
        let mut spans = self.spans.iter();
        let span = spans.find(|span| {
            documents += span.documents;
            item < documents
        });
        span.map(|span| &*span.path)
    }

    /// Takes the items back that were meant for the dead-letter file.
    pub(crate) fn take_rejected(&mut self) -> Vec<u32> {
        let mut items: Vec<u32> = self
            .dead
            .drain(..)
            .chain(self.parked.drain(..))
            .map(|(item, _)| item)
            .collect();
        items.sort_unstable();
        items
    }

    pub(crate) fn finish(self, settled: bool) -> Delivery {
        // The client has released the body by now, unless it was stopped; then a new buffer is made.
        let mut body = match self.documents.raw.try_into_mut() {
            Ok(mut body) => {
                body.clear();
                Vec::from(body)
            }
            Err(_) => Vec::new(),
        };
        body.clear();
        let batch = Batch {
            body,
            items: self.documents.items,
            spans: self.spans,
        };
        Delivery {
            batch,
            counts: self.counts,
            settled,
        }
    }
}

impl SubBatch {
    pub(crate) fn new(items: Option<Vec<u32>>) -> Self {
        Self {
            items,
            request: None,
            failures: 0,
            halved: 0,
        }
    }

    pub(crate) fn count(&self, documents: &Documents) -> usize {
        self.items.as_ref().map_or(documents.items.len(), Vec::len)
    }

    /// The item at this position of the request.
    pub(crate) fn at(&self, position: usize) -> u32 {
        match &self.items {
            Some(items) => items.get(position).copied().unwrap_or(u32::MAX),
            None => u32::try_from(position).unwrap_or(u32::MAX),
        }
    }

    /// The items in the order of the request.
    pub(crate) fn items<'s>(
        &'s self,
        documents: &Documents,
    ) -> impl Iterator<Item = u32> + use<'s> {
        (0..self.count(documents)).map(|position| self.at(position))
    }

    /// Two sub-batches with the halves of the items; `None` for a single item.
    pub(crate) fn halves(&self, documents: &Documents) -> Option<(Self, Self)> {
        let count = self.count(documents);
        if count < 2 {
            return None;
        }
        let mut first: Vec<u32> = self.items(documents).collect();
        let second = first.split_off(count / 2);
        let half = |items| Self {
            halved: self.halved + 1,
            ..Self::new(Some(items))
        };
        Some((half(first), half(second)))
    }

    /// The request for these items; it is encoded once and kept. Its body is that of the documents when nothing has to
    /// be left out or compressed.
    pub(crate) async fn request(&mut self, documents: &Documents, gzip: bool) -> BulkRequest {
        match &self.request {
            Some(request) => request.clone(),
            None => {
                let request = self.encode(documents, gzip).await;
                self.request.insert(request).clone()
            }
        }
    }

    async fn encode(&self, documents: &Documents, gzip: bool) -> BulkRequest {
        let body = match &self.items {
            None => documents.raw.clone(),
            Some(items) => {
                let mut body = Vec::new();
                for item in items {
                    body.extend_from_slice(documents.item(*item));
                }
                Bytes::from(body)
            }
        };
        let packed = if gzip {
            let plain = body.clone();
            let packed = tokio::task::spawn_blocking(move || compress(&plain)).await;
            packed.ok().flatten()
        } else {
            None
        };
        BulkRequest {
            gzip: packed.is_some(),
            body: packed.unwrap_or(body),
            documents: self.count(documents),
            stream: documents.stream.clone(),
        }
    }
}

fn compress(plain: &[u8]) -> Option<Bytes> {
    let packed = Vec::with_capacity(plain.len() / 8);
    let mut encoder = GzEncoder::new(packed, Compression::fast());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
}
